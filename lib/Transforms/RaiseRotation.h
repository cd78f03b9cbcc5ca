//===- RaiseRotation.h - find rotations by index and sign -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_RAISEROTATION_H
#define ROPE_LIB_TRANSFORMS_RAISEROTATION_H

#include "Elements.h"
#include "Rope/IR/RopeOps.h"
#include <string>
#include <vector>

namespace mlir::rope {

/// A tensor that may be a rotation, or a scalar in the body of an operation.
/// Its dimensions, or the loops of the body, are what indices are affine in.
struct RotationRoot {
  Value tensor;
  linalg::LinalgOp body;
  Value scalar;
  SmallVector<int64_t> sizes;
  /// The dimensions that channels run over, the outer one first.
  SmallVector<int64_t, 2> channelDims;
  int64_t channels = 0;

  FloatType getElementType() const {
    return cast<FloatType>(getElementTypeOrSelf(scalar ? scalar : tensor));
  }
};

/// How elements of a tensor are read: at indices that are affine in those of a
/// root, and along one dimension (none where it is negative) at numbers.
struct View {
  Value tensor;
  /// Without meaning at `channelDim`.
  SmallVector<AffineExpr> indices;
  int64_t channelDim = -1;
  bool isImaginary = false;

  /// The number at `channelDim` where `element` is read like this.
  std::optional<int64_t> getChannel(ExprRef element) const;
};

/// The rotation that a root is of the tensor that `x` reads.
struct Rotation {
  View x;
  /// The channel of `x` that is channel zero of the root.
  int64_t firstChannel = 0;
  Pairing pairing = Pairing::half, resultPairing = Pairing::half;
  int64_t offset = 0, pairStride = 0;
  bool isTransposed = false;
  /// Resolved, one for each pair.
  SmallVector<ExprRef> cos, sin;
  /// A factor of both.
  double magnitude = 1;

  int64_t getNumPairs() const { return cos.size(); }
};

/// Matches `root` as a rotation.
class RotationMatcher {
public:
  RotationMatcher(Elements &elements, const RotationRoot &root)
      : elements(elements), root(root) {}

  std::optional<Rotation> match();

  /// Why there is none, and how much of one was found: nothing, a channel that
  /// is a sum of two products, one of a tensor's elements, pairs of them.
  std::string reason;
  unsigned progress = 0;

private:
  struct Term {
    double factor;
    /// The second is null for a term that is no product.
    ExprRef a, b;
  };
  /// Equal values, from one operation to the one before.
  struct Access {
    ExprRef element;
    bool isNegated;
  };
  using Chain = SmallVector<Access, 4>;
  struct Channel {
    SmallVector<Term, 2> terms;
    Chain factors[2][2];
    /// Of a channel that is no sum of two products.
    Chain copied;
    bool isRotated() const { return copied.empty(); }
  };
  /// A channel as a sum of channels of x.
  struct Row {
    bool isRotated;
    int64_t x[2];
    ExprRef factor[2];
    bool isNegated[2];
  };

  std::nullopt_t fail(unsigned how, const Twine &why) {
    if (reason.empty() || how > progress) {
      progress = how;
      reason = why.str();
    }
    return std::nullopt;
  }

  ExprRef getElement(int64_t channel);
  bool addTerms(ExprRef expr, double factor, SmallVectorImpl<Term> &terms,
                unsigned depth);
  ExprRef follow(ExprRef expr, Chain &chain);
  std::optional<double> getFactor(ExprRef expr, unsigned steps = 64);
  std::optional<Channel> read(int64_t channel);
  std::optional<Row> getRow(const Channel &channel, const View &x);
  std::optional<Rotation> matchAs(const View &x);

  Elements &elements;
  const RotationRoot &root;
  std::vector<Channel> channels;
  double magnitude = 1;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_RAISEROTATION_H

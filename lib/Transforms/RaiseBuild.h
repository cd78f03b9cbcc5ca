//===- RaiseBuild.h - write rotations in rope operations --------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_RAISEBUILD_H
#define ROPE_LIB_TRANSFORMS_RAISEBUILD_H

#include "RaiseTable.h"

namespace mlir::rope {

/// A tensor, and the dimension of the root that each of its dimensions is.
struct Placed {
  Value value;
  SmallVector<int64_t> dims;
};

/// Writes a rotation in rope operations.
class RotationBuilder {
public:
  RotationBuilder(RewriterBase &rewriter, Elements &elements,
                  const RotationRoot &root, Location loc, bool exact)
      : b(rewriter), elements(elements), root(root), loc(loc), exact(exact) {}

  /// The value of the root; null, with nothing left behind that is used, if it
  /// cannot be built.
  Value build(const Rotation &rotation);

  std::string reason;
  /// What was made.
  ApplyOp apply;
  TableOp table;
  /// Why there is no table, if there is none.
  std::string untraced;

private:
  Value fail(const Twine &why) {
    if (reason.empty())
      reason = why.str();
    return nullptr;
  }
  OpFoldResult getSize(int64_t dim);
  OpFoldResult getOffset(AffineExpr index);
  Value getIndex(ExprRef integer);
  Value getIndex(AffineExpr index, ValueRange dims);
  Placed buildView(const View &view, int64_t first, int64_t count, int64_t step,
                   bool keepsRank = false);
  Placed moveLast(Placed placed);
  Placed permute(Placed placed, ArrayRef<int64_t> order);
  Placed repeat(Placed placed, ArrayRef<int64_t> dims);
  Placed buildX(const Rotation &rotation);
  Placed buildPositions(const MadeTable &made);
  Placed buildColumns(const Columns &columns, int64_t count);
  std::optional<std::pair<Placed, Placed>> makeTable(const Rotation &rotation);
  std::optional<std::pair<Placed, Placed>> readTable(const Rotation &rotation);
  Value finish(Placed placed);

  RewriterBase &b;
  Elements &elements;
  const RotationRoot &root;
  Location loc;
  bool exact;
};
} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_RAISEBUILD_H

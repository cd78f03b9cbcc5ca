//===- RaiseAttention.h - find attention in linalg --------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Starts at a contraction, the product of weights and values, and follows the
// weights backwards: through reshapes and casts to a softmax, from its operand
// through scalar operations, which go into the region, to the product of
// queries and keys. All the way it is known which loops each dimension runs
// over. A loop that turns out to be two that were collapsed is split.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_RAISEATTENTION_H
#define ROPE_LIB_TRANSFORMS_RAISEATTENTION_H

#include "Rope/IR/Attention.h"
#include "Rope/Transforms/Passes.h"
#include "Sizes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

namespace mlir::rope {

/// A loop before it has a name, or the quotient or the remainder of one by a
/// group. The first four are i, j, d and e, all others batches and heads.
struct Label {
  unsigned atom;
  int64_t group = 1;
  bool isRemainder = false;

  bool isPlain() const { return group == 1; }
  bool operator==(const Label &other) const {
    return atom == other.atom && group == other.group &&
           isRemainder == other.isRemainder;
  }
};
enum : unsigned { kQuery, kKey, kChannel, kValueChannel, kFirstOuter };

/// The loops of a dimension, outermost first; none for a dimension of size one.
using Labels = SmallVector<Label, 2>;
/// Those of each dimension of a tensor.
using Dims = SmallVector<Labels>;

/// The linalg operation that makes `value` with parallel loops alone, if the
/// result's map is a permutation.
linalg::LinalgOp getElementwise(Value value);
/// Sums of a number of times the product of two scalars in the body of `op`.
struct Contraction {
  linalg::LinalgOp op;
  std::array<Value, 2> factors;
  double scale = 1.0;
};
/// `op` as a contraction of tensors.
std::optional<Contraction> getContraction(Operation *op);
/// What the body of `op` yields for `result`.
Value getYielded(linalg::LinalgOp op, Value result);
/// The input of `op` whose element `value` is, if it is one.
OpOperand *getInput(linalg::LinalgOp op, Value value);
/// Those that `value` in the body of `op` is computed from, the one of the most
/// dimensions first.
SmallVector<OpOperand *> getInputs(linalg::LinalgOp op, Value value);
/// Whether `op` passes on its first operand in another shape.
bool isReshape(Operation *op);
/// The constant that `value` is, itself or in every element, through casts.
std::optional<APFloat> getConstantFloat(Value value);
/// The constant of a scalar in the body of `op`.
std::optional<APFloat> getConstantFloat(linalg::LinalgOp op, Value scalar);

/// Goes back from `value` in the body of `op` to what it is a constant number
/// of times of, and returns this number.
std::optional<double> stripFactor(linalg::LinalgOp op, Value &value);

/// Turns what hides keys and scales scores in the region into attributes.
void simplifyScores(RewriterBase &rewriter, AttentionOp op);

/// Matches attention backwards from its second product.
class AttentionRaiser {
public:
  /// Factor `weights` of `values` is to be the softmax.
  AttentionRaiser(RewriterBase &rewriter, const Contraction &values,
                  unsigned weights, Sizes &sizes,
                  const DenseSet<Operation *> &rotated)
      : rewriter(rewriter), values(values.op), weights(values.factors[weights]),
        value(values.factors[1 - weights]), valueScale(values.scale),
        knownSizes(sizes), rotated(rotated) {}

  /// Replaces the second product by attention. Leaves no more than operations
  /// that nothing uses on failure.
  LogicalResult raise();

  /// The first product, once it is found.
  linalg::LinalgOp product;
  /// What has taken their place.
  AttentionOp attention;
  /// All between the products, which goes away, and what it leaves unused.
  llvm::SetVector<Operation *> matched;
  /// Why there is no attention.
  std::string reason;

private:
  enum class Kind { query, key, value, score };
  /// An operand of attention, as far back as a map can follow it.
  struct Operand {
    Kind kind;
    Value value;
    Dims dims;
    double scale = 1.0;
    bool isMapped = false;
  };
  /// An element of a tensor, or a scalar in the body of an operation at loops.
  struct Scalar {
    linalg::LinalgOp op;
    Value value;
    Dims dims;
  };

  LogicalResult fail(const Twine &why) {
    if (reason.empty())
      reason = why.str();
    return failure();
  }

  // Loops.
  unsigned makeAtom(Value value, int64_t dim);
  Labels resolve(const Labels &labels) const;
  Dims resolve(const Dims &dims) const;
  bool isSame(const Dims &a, const Dims &b) const {
    return resolve(a) == resolve(b);
  }
  int64_t countOuter() const;
  static bool areParts(const Label &quotient, const Label &remainder);
  static Labels join(const Labels &labels);
  static FailureOr<Dims> getLoops(AffineMap map, unsigned loops,
                                  const Dims &dims, const Labels &others);
  static Dims apply(AffineMap map, const Dims &loops);
  std::optional<SmallVector<DimGroup>> getGroups(Operation *reshape);
  std::optional<Size> getLabelSize(const Label &label);
  LogicalResult beforeGroup(Value source, ArrayRef<int64_t> group,
                            Labels labels, Dims &before, bool mayGroup);
  LogicalResult beforeReshape(Value &value, Dims &dims, bool mayGroup);

  // The parts, backwards.
  LogicalResult matchValues();
  LogicalResult matchSoftmax(Scalar &score);
  LogicalResult matchQuotient(const Scalar &weight, Scalar &score);
  LogicalResult matchBlind(Scalar condition, bool isTrue, const Scalar &score);
  LogicalResult matchSinks(Scalar &score);
  LogicalResult dropMaximum(Scalar &score);
  LogicalResult matchReduction(Scalar value, const Scalar &input, bool isSum);
  Operation *step(Scalar &scalar);
  Operation *find(Scalar &scalar);
  Scalar getOperand(const Scalar &scalar, unsigned operand) const;
  bool isSame(Scalar a, Scalar b, unsigned depth = 0);
  void findProduct(Scalar score, size_t maxOps);
  FailureOr<Value> emit(Value value, const Dims &dims);
  FailureOr<Value> emitTensor(Value value, const Dims &dims);
  FailureOr<Value> emitScalar(const Scalar &scalar);
  bool isIndexOnly(Value value);
  FailureOr<Value> emitIndex(Labels labels);
  Value emitCapture(Value value);
  Value convert(Value value, Type type);
  Type promote(Type type);
  LogicalResult matchProduct();
  LogicalResult checkUsers();
  void trace(Operand &operand, Scalar next);
  void addMatched(Operation *op) {
    if (op != values)
      matched.insert(op);
  }
  bool isMapped(const Operand &operand) const;

  // The result.
  FailureOr<AffineMap> getMap(const Dims &dims) const;
  FailureOr<OpFoldResult> getSize(unsigned atom);
  LogicalResult joinGroups(Operand &operand);
  LogicalResult materialize(Operand &operand);
  FailureOr<Value> makeSinks();
  LogicalResult build();
  void fillRegion();

  RewriterBase &rewriter;
  linalg::LinalgOp values;
  /// The factors in its body, and the number.
  Value weights, value;
  double valueScale;
  Sizes &knownSizes;
  /// The contractions that read what is rotated.
  const DenseSet<Operation *> &rotated;

  /// Where the size of an atom is found, and what it was split into.
  struct Atom {
    Value value;
    int64_t dim;
    SmallVector<unsigned, 2> parts;
    /// How many times the size of the dimension it is.
    int64_t factor = 1;
  };
  SmallVector<Atom> atoms;
  /// Those that are batch and head.
  std::optional<unsigned> batch, head;

  /// The loops of the second product.
  Dims valueLoops;
  Dims outputDims, productDims;
  /// Where query, key and value are read.
  std::array<Scalar, 3> factors;
  /// Query, key, value, then what enters the region.
  SmallVector<Operand> operands;
  /// The logits that enter the softmax and are dropped from its result.
  std::optional<Operand> sinks;
  /// Whether a softmax was seen on the way to the product.
  bool sawSoftmax = false;
  /// What the weights are computed by, if it is no part of a softmax.
  Operation *obstacle = nullptr;
  /// Whether there is one query, for which the query has no dimension.
  bool isSingle = false;
  /// Whether the last of the weights were dropped.
  bool isSliced = false;
  /// The factor of the exponent that a power of another base than e has.
  double exponentScale = 1.0;

  /// All that scores are computed from and that the product has a part in.
  DenseSet<Operation *> between;
  FloatType scoreType;
  /// The region to be: the score, then the index of loops and the elements of
  /// operands as they are needed.
  Block scratch;
  OpBuilder builder{rewriter.getContext()};
  llvm::MapVector<unsigned, Value> indices;
  SmallVector<Value> elements;
  /// What was emitted for an element of a tensor.
  DenseMap<Value, SmallVector<std::pair<Dims, Value>, 1>> emitted;
  DenseMap<Value, bool> indexOnly;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_RAISEATTENTION_H

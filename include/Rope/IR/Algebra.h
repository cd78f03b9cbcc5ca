//===- Algebra.h - what rewrites of rotations ask ---------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ALGEBRA_H
#define ROPE_IR_ALGEBRA_H

#include "Rope/IR/RopeOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {

/// The table that makes both `cos` and `sin`, null where there is none.
TableOp findTable(Value cos, Value sin);
inline TableOp findTable(ApplyOp op) {
  return findTable(op.getCos(), op.getSin());
}

/// Whether the second rotation turns the pairs that the first one writes, by
/// tables along the same dimensions. Both have as many pairs.
bool areRotatedAlike(ApplyOp first, ApplyOp second);

/// The operation of one scalar that `op` does to each element of its only
/// input, a tensor: itself, or that in the body of a linalg.generic. Or null.
Operation *matchUnary(Operation *op);

/// A tensor operation that only moves elements.
struct Movement {
  Value source;
  /// The dimension of the source that each dimension of the result is, or none:
  /// the result is repeated along it, or splits or merges others with it. Each
  /// dimension of the source that is missing here is merged, or of size one.
  SmallVector<std::optional<int64_t>> dims;
  /// Whether elements of the source occur several times.
  bool repeats = false;
};

/// What `op`, a tensor.expand_shape, tensor.collapse_shape, or linalg operation
/// that yields the elements of its only input, does.
std::optional<Movement> matchMovement(Operation *op);

/// The dimensions of the source that `positionDims` are, where `movement` keeps
/// these, and the head dimension as the last.
std::optional<SmallVector<int64_t>>
getSourceDims(const Movement &movement, ArrayRef<int64_t> positionDims);

/// Does what `op`, for which `matchMovement` holds, does to `source`, of any
/// elements. `like` has the sizes of the result.
Value moveLike(ImplicitLocOpBuilder &b, Operation *op, Value source,
               Value like);

/// Whether `slice` provably is all of `source` in dimension `dim`.
bool isWhole(OffsetSizeAndStrideOpInterface slice, Value source, int64_t dim);

/// Whether shapes of `x` and tables allow a rotation by the pairs of `like`
/// from channel `offset` on.
bool canRotateLike(ApplyOp like, ArrayRef<int64_t> x, ArrayRef<int64_t> tables,
                   ArrayRef<int64_t> positionDims, int64_t offset);

/// The rotation `like` of `x` instead, from channel `offset` on, to a new
/// tensor of `element`s. Null, and builds nothing, where what is known of the
/// sizes contradicts each other.
ApplyOp rotateLike(ImplicitLocOpBuilder &b, ApplyOp like, Value x, Value cos,
                   Value sin, ArrayRef<int64_t> positionDims, int64_t offset,
                   Type element);
ApplyOp rotateLike(ImplicitLocOpBuilder &b, ApplyOp like, Value x, Value cos,
                   Value sin, ArrayRef<int64_t> positionDims);

/// Rotates what the movement that makes the `x` of `op` moves, and moves the
/// result. Fails, and changes nothing, where `x` is no movement that keeps the
/// position and head dimensions.
bool rotateBefore(RewriterBase &rewriter, ApplyOp op);

/// `value` with what is known of its sizes in `type`, of the same elements.
/// Null where sizes contradict each other.
Value castTo(OpBuilder &b, Location loc, Value value, Type type);

} // namespace mlir::rope

#endif // ROPE_IR_ALGEBRA_H

//===- FuseTiles.h - loops over tiles of producers and consumer -*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_FUSETILES_H
#define ROPE_LIB_TRANSFORMS_FUSETILES_H

#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::rope {

/// The loop of `op` that each dimension of an operand follows; the operand's
/// map is a projected permutation.
SmallVector<int64_t> getOperandLoops(AffineMap map);

/// Whether a tile of the result of `op` is made of one tile of `operand`:
/// parallel loops, of which each is one dimension of the result.
bool isTileByTile(linalg::LinalgOp op, OpOperand &operand);

/// The only use of `value` that is not for one of its sizes, null where there
/// is none or more.
OpOperand *getSingleUse(Value value);

/// Takes the sizes of the results of `op` from its operands.
void resolveDims(RewriterBase &rewriter, Operation *op);

/// The operation that puts the result of `apply` into a larger tensor as it is,
/// if nothing else is done with it; null else.
tensor::InsertSliceOp findDirectWrite(ApplyOp apply);

/// Whether a contraction makes what `apply` rotates, as rope-fuse-projection
/// asks for.
bool isProjected(ApplyOp apply);

/// What tiles are made of.
struct Tiles {
  /// The consumer's first.
  SmallVector<Operation *> ops;
  /// The outermost loop.
  Operation *loop;
  /// What stands for the results of the whole consumer.
  SmallVector<Value> replacements;
};

/// Tiles `consumer` by `sizes` (zero: not) in loops in this `order`, or in one
/// scf.forall, in front of it, and makes the tiles of `producers` in them.
/// Fails, and leaves no loop, where one of the producers does not tile along.
FailureOr<Tiles> tileAndFuse(RewriterBase &rewriter, Operation *consumer,
                             ArrayRef<int64_t> order, ArrayRef<int64_t> sizes,
                             const llvm::SetVector<Operation *> &producers,
                             bool isParallel = false);

/// Puts `tiles` in place of `consumer` and of those of `producers` that nothing
/// else uses.
void replaceByTiles(RewriterBase &rewriter, Operation *consumer,
                    const llvm::SetVector<Operation *> &producers,
                    const Tiles &tiles);

/// Lets operations whose destination is not read write to a buffer of their
/// tile's size instead of a slice of the whole. It is as large as the largest
/// tile where that is known, so that it can be made once, in front of the loop.
void writeToOwnTiles(RewriterBase &rewriter, ArrayRef<Operation *> tiledOps);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_FUSETILES_H

//===- Attention.h - the loops of attention and their maps --*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ATTENTION_H
#define ROPE_IR_ATTENTION_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <optional>

namespace mlir::rope {

class ApplyOp;
class AttentionOp;
class OnlineAttentionOp;
class RotationAttr;

/// The loops of rope.attention, in the order in which maps have them.
enum class Loop : unsigned {
  batch,
  head,
  query,
  key,
  channel,
  valueChannel,
};
inline constexpr unsigned kNumLoops = 6;

/// A dimension of an operand: `loop floordiv group`, `loop mod group`, or a
/// dimension of size one that follows no loop.
struct MapResult {
  std::optional<Loop> loop;
  int64_t group = 1;
  bool isRemainder = false;
};

/// Nothing where `result` is of another form.
std::optional<MapResult> matchMapResult(AffineExpr result);

/// What each dimension of an operand follows.
SmallVector<MapResult> followedLoops(AffineMap map);

/// The dimension of the operand that follows `loop`, in groups or not.
std::optional<int64_t> findLoop(AffineMap map, Loop loop);

/// The number of heads that share one of the operand, 1 where it has no heads.
int64_t getGroup(AffineMap map);

/// `map` over those of the loops that `loops` lists, in that order. Other loops
/// are at 0.
AffineMap projectMap(AffineMap map, ArrayRef<Loop> loops);

/// Inlines the region that maps a score, four indices and the elements of score
/// operands to a score. An empty region is the identity.
Value inlineScoreRegion(ImplicitLocOpBuilder &b, Region &region,
                        ValueRange arguments);

/// `x` extended or truncated to `type`.
Value toFloat(ImplicitLocOpBuilder &b, Value x, FloatType type);

/// The type of the elements of query or key `x` before it is rotated: that of
/// scores where they are integers with scales.
FloatType loadedElement(AttentionOp op, Value x);

/// A copy of `op` with other operands and result types. What mlir::clone does,
/// which takes no empty regions.
Operation *cloneWith(OpBuilder &b, Operation *op, TypeRange types,
                     ValueRange operands);

/// The rope.apply that `rotation` stands for.
ApplyOp buildApply(ImplicitLocOpBuilder &b, RotationAttr rotation, Value x,
                   Value cos, Value sin, Value destination);

/// Emits the formulas of `op`, on memrefs, whose scores already hold the
/// products of queries and keys.
void decomposeWithScores(OpBuilder &builder, OnlineAttentionOp op);

/// Whether the key at `key` is visible from `position` by the attributes of
/// `op`, and by `length` if there is one: integers of one type. Null where all
/// keys are.
Value buildVisibility(ImplicitLocOpBuilder &b, AttentionOp op, Value position,
                      Value key, Value length);

} // namespace mlir::rope

#endif // ROPE_IR_ATTENTION_H

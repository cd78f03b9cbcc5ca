//===- AttentionTiles.h - parts of the operands of attention ----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_ATTENTIONTILES_H
#define ROPE_LIB_TRANSFORMS_ATTENTIONTILES_H

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {

using OpFoldResults = SmallVector<OpFoldResult>;

/// The part of a loop that a task, a block or a tile works on.
struct Part {
  OpFoldResult offset, size;
};

/// The parts of the loops b, h, i and j.
using Parts = std::array<Part, 4>;

/// What each dimension of an operand follows.
SmallVector<MapResult> followedLoops(AffineMap map);

/// The float type of the elements of `value`.
FloatType floatElement(Value value);

/// Builds sizes, scratch memory and views for an attention on memrefs.
class AttentionTiles {
protected:
  AttentionTiles(OpBuilder &builder, AttentionOp op)
      : op(op), b(op.getLoc(), builder), type(op.getAccumulatorType()) {}

  // Arithmetic on sizes.
  /// The size of a loop, one where no operand has it.
  OpFoldResult sizeOf(Loop loop);
  OpFoldResult apply(AffineExpr expr, ArrayRef<OpFoldResult> operands) {
    return affine::makeComposedFoldedAffineApply(b, b.getLoc(), expr, operands);
  }
  Value value(OpFoldResult x) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), x);
  }
  Value constant(int64_t x) { return arith::ConstantIndexOp::create(b, x); }
  Value number(double x) {
    return arith::ConstantOp::create(b, b.getFloatAttr(type, x));
  }
  Value infinity(bool negative) {
    return arith::ConstantOp::create(
        b, b.getFloatAttr(type,
                          APFloat::getInf(type.getFloatSemantics(), negative)));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value min(Value x, Value y) { return arith::MinSIOp::create(b, x, y); }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, x, y); }

  // Memory.
  Value alloc(ArrayRef<OpFoldResult> sizes, Type element);
  Value slice(Value memref, ArrayRef<Part> parts, ArrayRef<bool> dropped);
  Value row(Value memref, ArrayRef<Value> leading,
            ArrayRef<OpFoldResult> sizes);
  Value view(Value memref, OpFoldResult start, ArrayRef<OpFoldResult> sizes,
             ArrayRef<OpFoldResult> strides);
  SmallVector<Part> partsOf(Value operand, ArrayRef<MapResult> loops,
                            const Parts &parts);
  Value tileOf(Value operand, AffineMap map, const Parts &parts,
               ArrayRef<Loop> dropped, SmallVectorImpl<Loop> &kept);
  Value tileView(Value scratch, Value operand, AffineMap map,
                 const Parts &parts, ArrayRef<OpFoldResult> loopStrides);
  AffineMap mapOf(ArrayRef<Loop> loops);

  void generic(ArrayRef<Value> inputs, ArrayRef<AffineMap> maps, Value output,
               AffineMap outputMap,
               function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> body);

  AttentionOp op;
  ImplicitLocOpBuilder b;
  /// Of scores, sums and accumulators.
  FloatType type;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_ATTENTIONTILES_H

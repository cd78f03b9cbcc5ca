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

/// Positions are compared as 32-bit integers within these bounds.
inline constexpr int64_t kFarPosition = int64_t(1) << 30;

/// The parts of the loops b, h, i and j.
using Parts = std::array<Part, 4>;

/// The size of a loop, one where no operand has it, as far as it is known.
int64_t getStaticSize(AttentionOp op, Loop loop);

/// The number of query heads that share both keys and values.
int64_t countSharedHeads(AttentionOp op);

/// The float type of the elements of `value`.
FloatType floatElement(Value value);

/// Builds sizes, scratch memory and views for an attention on memrefs.
class AttentionTiles {
protected:
  /// A score operand, and its part for the rows and keys of a block in scratch
  /// memory where it is packed.
  struct ScoreOperand {
    OpOperand *operand;
    AffineMap map;
    bool followsRows, followsKeys;
    Value packed;
  };

  AttentionTiles(OpBuilder &builder, AttentionOp op);

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
  Value tileView(Value scratch, OpFoldResult start, Value operand,
                 AffineMap map, const Parts &parts,
                 ArrayRef<OpFoldResult> loopStrides);
  AffineMap mapOf(ArrayRef<Loop> loops);

  void generic(ArrayRef<Value> inputs, ArrayRef<AffineMap> maps, Value output,
               AffineMap outputMap,
               function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> body);

  // Rows of operands.
  /// Memory for the tables of a tile, where they are made from angles. A tile
  /// has at most `largest` of each of the loops b, h, i and j.
  SmallVector<Value> allocateTables(RotationAttr rotation, ValueRange operands,
                                    Value x, AffineMap map,
                                    ArrayRef<int64_t> largest);
  /// What each dimension of a query or key follows for its rotation.
  SmallVector<MapResult> rotatedLoops(AffineMap map);
  /// The rows of cosines and sines for a part of `x`: those of the operands, or
  /// made from angles in `tables`.
  SmallVector<Value> makeTables(RotationAttr rotation, ValueRange operands,
                                AffineMap map, const Parts &parts,
                                ArrayRef<Value> tables);
  /// Rotates the part of `x`, in its own order of dimensions, to `destination`,
  /// by the rows `cosSin`.
  void rotate(RotationAttr rotation, Value x, AffineMap map, const Parts &parts,
              ArrayRef<Value> cosSin, Value destination);

  // Positions.
  /// Reads the offset and the number of keys of `batch`.
  void readBatch(Value batch);
  /// The position of a query.
  Value positionOf(Value query) { return add(query, offset); }
  /// A part of the keys that queries from position `first` to `last` may see,
  /// as its start and end.
  std::pair<Value, Value> visibleKeys(Value first, Value last);

  /// The indices b, h and i of a row.
  using RowIndices =
      function_ref<std::array<Value, 3>(ImplicitLocOpBuilder &, Value)>;
  /// What the attention makes of a score of `row` and `key`, which counts from
  /// `firstKey` on. `elements` are those of the score operands, and then, with
  /// `hasPositions`, the position of the row, which decides on what it sees.
  Value buildScore(ImplicitLocOpBuilder &b, Value score, Value row, Value key,
                   ValueRange elements, RowIndices indices, Value firstKey,
                   bool hasPositions);
  /// Gives `online` that for its region.
  void buildScores(OnlineAttentionOp online, RowIndices indices, Value firstKey,
                   bool hasPositions);

  // Keys (of inner loop Loop::channel) and values (Loop::valueChannel).
  /// Whether they differ from batch to batch, by their map.
  bool followsBatch(AffineMap map);
  /// Whether tiles are read where they lie: floats of the type of scores that
  /// are not rotated and not in pages.
  bool isReadInPlace(Loop inner);
  /// Loads a part of keys or values to scratch memory from element `start` on,
  /// in which each loop has a stride: looked up, dequantized, rotated by the
  /// rows `cosSin` that makeTables has for it, widened.
  /// Integers go to elements of the type of scores.
  void load(Loop inner, const Parts &parts, ArrayRef<Value> cosSin,
            Value scratch, OpFoldResult start, ArrayRef<OpFoldResult> strides);
  /// The keys or values of a tile of one head, [key][channel] in scratch memory
  /// `wide`. Null where there is none: they are read in place.
  Value prepare(Loop inner, const Parts &parts, ArrayRef<Value> cosSin,
                Value wide);

private:
  struct Run;
  Value openRuns(Run &run, Loop loop, int64_t size);
  SmallVector<Part> placesOf(Run &run, OpOperand &operand);
  Value sourceOf(Run &run);
  Value targetOf(Run &run);
  void dequantize(Run run);
  void loadRun(Run &run, ArrayRef<Value> cosSin);

protected:
  AttentionOp op;
  ImplicitLocOpBuilder b;
  /// Of scores, sums and accumulators.
  FloatType type;
  /// Null where nothing is rotated.
  RotationAttr queryRotation, keyRotation;
  AffineMap queryMap, keyMap, valueMap, outputMap;
  /// The sizes of rows: set before rows are used.
  OpFoldResult channels, valueChannels;
  /// Of a batch.
  Value offset, numKeys;
};

/// Whether the form for few rows is taken: by static sizes, or by those that
/// are known at the call alone.
enum class Decode { never, always, dynamic };
Decode chooseDecode(AttentionOp op);
/// Builds whether it is taken, where that is dynamic.
Value buildIsDecode(OpBuilder &builder, AttentionOp op);
/// Emits it where the builder is.
void emitDecode(OpBuilder &builder, AttentionOp op);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_ATTENTIONTILES_H

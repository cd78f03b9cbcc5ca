//===- AttentionTiles.cpp - parts of the operands of attention ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::rope;

/// The rotation, if it rotates anything.
static RotationAttr effective(RotationAttr rotation, ValueRange operands) {
  if (!rotation)
    return rotation;
  Value last = rotation.getAngles() ? operands[1] : operands[0];
  bool isEmpty = cast<ShapedType>(last.getType()).getShape().back() == 0;
  return isEmpty ? RotationAttr() : rotation;
}

AttentionTiles::AttentionTiles(OpBuilder &builder, AttentionOp op)
    : op(op), b(op.getLoc(), builder), type(op.getAccumulatorType()),
      queryRotation(
          effective(op.getQueryRotationAttr(), op.getQueryRotationOperands())),
      keyRotation(
          effective(op.getKeyRotationAttr(), op.getKeyRotationOperands())),
      queryMap(op.getMap(op.getQueryMutable())),
      keyMap(op.getMap(op.getKeyMutable())),
      valueMap(op.getMap(op.getValueMutable())),
      outputMap(op.getMap(op.getInitsMutable()[0])) {}

OpFoldResult AttentionTiles::sizeOf(Loop loop) {
  SmallVector<OpOperand *> operands = op.getMappedOperands();
  for (OpOperand *operand : llvm::reverse(operands)) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (dim && matchMapResult(map.getResult(*dim))->group == 1)
      return memref::getMixedSize(b, op.getLoc(), operand->get(), *dim);
  }
  return b.getIndexAttr(1);
}

Value AttentionTiles::alloc(ArrayRef<OpFoldResult> sizes, Type element) {
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  dispatchIndexOpFoldResults(sizes, dynamic, shape);
  return memref::AllocOp::create(b, MemRefType::get(shape, element), dynamic,
                                 b.getI64IntegerAttr(64));
}

/// The parts of a memref, without the dimensions that are dropped.
Value AttentionTiles::slice(Value memref, ArrayRef<Part> parts,
                            ArrayRef<bool> dropped) {
  OpFoldResults offsets, sizes, strides(parts.size(), b.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (auto [part, isDropped] : llvm::zip(parts, dropped)) {
    offsets.push_back(part.offset);
    sizes.push_back(part.size);
    if (!isDropped)
      shape.push_back(
          getConstantIntValue(part.size).value_or(ShapedType::kDynamic));
  }
  auto result = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      shape, cast<MemRefType>(memref.getType()), offsets, sizes, strides));
  return memref::SubViewOp::create(b, result, memref, offsets, sizes, strides);
}

/// `memref[leading..., 0:sizes...]`.
Value AttentionTiles::row(Value memref, ArrayRef<Value> leading,
                          ArrayRef<OpFoldResult> sizes) {
  SmallVector<Part> parts;
  SmallVector<bool> dropped;
  for (Value index : leading) {
    parts.push_back({index, b.getIndexAttr(1)});
    dropped.push_back(true);
  }
  for (OpFoldResult size : sizes) {
    parts.push_back({b.getIndexAttr(0), size});
    dropped.push_back(false);
  }
  return slice(memref, parts, dropped);
}

/// Scratch memory from element `start` on, in another shape.
Value AttentionTiles::view(Value memref, OpFoldResult start,
                           ArrayRef<OpFoldResult> sizes,
                           ArrayRef<OpFoldResult> strides) {
  SmallVector<int64_t> shape, staticStrides;
  SmallVector<Value> dynamic;
  dispatchIndexOpFoldResults(sizes, dynamic, shape);
  dispatchIndexOpFoldResults(strides, dynamic, staticStrides);
  auto layout = StridedLayoutAttr::get(
      b.getContext(), getConstantIntValue(start).value_or(ShapedType::kDynamic),
      staticStrides);
  auto result =
      MemRefType::get(shape, getElementTypeOrSelf(memref.getType()), layout);
  return memref::ReinterpretCastOp::create(b, result, memref, start, sizes,
                                           strides);
}

SmallVector<Part> AttentionTiles::partsOf(Value operand,
                                          ArrayRef<MapResult> loops,
                                          const Parts &parts) {
  SmallVector<Part> result;
  for (auto [dim, match] : llvm::enumerate(loops)) {
    if (!match.loop || unsigned(*match.loop) >= parts.size()) {
      result.push_back({b.getIndexAttr(0),
                        memref::getMixedSize(b, b.getLoc(), operand, dim)});
      continue;
    }
    Part part = parts[unsigned(*match.loop)];
    // The heads of a block share one, all heads share all of them.
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    if (match.group > 1)
      part = {apply(s0.floorDiv(match.group), {part.offset}),
              apply(s0.ceilDiv(match.group), {part.size})};
    result.push_back(part);
  }
  return result;
}

SmallVector<MapResult> rope::followedLoops(AffineMap map) {
  return llvm::map_to_vector(map.getResults(), [](AffineExpr result) {
    return *matchMapResult(result);
  });
}

/// The part of an operand, without the dimensions of `dropped` loops and those
/// that follow none. `kept` gets the loops of the others.
Value AttentionTiles::tileOf(Value operand, AffineMap map, const Parts &parts,
                             ArrayRef<Loop> dropped,
                             SmallVectorImpl<Loop> &kept) {
  SmallVector<MapResult> loops = followedLoops(map);
  SmallVector<bool> isDropped;
  for (const MapResult &match : loops) {
    isDropped.push_back(!match.loop || match.group > 1 ||
                        llvm::is_contained(dropped, *match.loop));
    if (!isDropped.back())
      kept.push_back(*match.loop);
  }
  SmallVector<Part> tile = partsOf(operand, loops, parts);
  // A dimension that follows no loop is at 0, of whatever size it may be said.
  for (auto [part, match] : llvm::zip(tile, loops))
    if (!match.loop)
      part.size = b.getIndexAttr(1);
  return slice(operand, tile, isDropped);
}

/// The map of an operand whose dimensions follow `loops`.
AffineMap AttentionTiles::mapOf(ArrayRef<Loop> loops) {
  return AffineMap::get(
      kNumLoops, 0,
      llvm::map_to_vector(
          loops, [&](Loop loop) { return b.getAffineDimExpr(unsigned(loop)); }),
      b.getContext());
}

void AttentionTiles::generic(
    ArrayRef<Value> inputs, ArrayRef<AffineMap> maps, Value output,
    AffineMap outputMap,
    function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> body) {
  SmallVector<AffineMap> all(maps);
  all.push_back(outputMap);
  SmallVector<utils::IteratorType> iterators(outputMap.getNumDims(),
                                             utils::IteratorType::parallel);
  linalg::GenericOp::create(
      b, TypeRange{}, inputs, output, all, iterators,
      [&](OpBuilder &builder, Location loc, ValueRange arguments) {
        ImplicitLocOpBuilder inner(loc, builder);
        linalg::YieldOp::create(inner, body(inner, arguments));
      });
}

FloatType rope::floatElement(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value.getType()));
}

/// Scratch memory from element `start` on as a tile of an operand, in its order
/// of dimensions. Each loop has a stride.
Value AttentionTiles::tileView(Value scratch, OpFoldResult start, Value operand,
                               AffineMap map, const Parts &parts,
                               ArrayRef<OpFoldResult> loopStrides) {
  SmallVector<MapResult> loops = followedLoops(map);
  OpFoldResults sizes, strides;
  for (auto [part, match] : llvm::zip(partsOf(operand, loops, parts), loops)) {
    sizes.push_back(part.size);
    strides.push_back(match.loop ? loopStrides[unsigned(*match.loop)]
                                 : OpFoldResult(b.getIndexAttr(1)));
  }
  return view(scratch, start, sizes, strides);
}

//===----------------------------------------------------------------------===//
// Operations on tiles
//===----------------------------------------------------------------------===//

/// The loops that the tables of a rotation follow, for its first operand.
static SmallVector<MapResult> tableLoops(RotationAttr rotation, AffineMap map) {
  SmallVector<MapResult> loops;
  if (AnglesAttr angles = rotation.getAngles(); angles && angles.getAxes())
    loops.push_back(MapResult{});
  for (int64_t dim : rotation.getPositionDims().asArrayRef())
    loops.push_back(*matchMapResult(map.getResult(dim)));
  if (!rotation.getAngles())
    loops.push_back(MapResult{});
  return loops;
}

SmallVector<Value> AttentionTiles::allocateTables(RotationAttr rotation,
                                                  ValueRange operands, Value x,
                                                  AffineMap map,
                                                  ArrayRef<int64_t> largest) {
  if (!rotation || !rotation.getAngles())
    return {};
  OpFoldResults sizes;
  for (int64_t dim : rotation.getPositionDims().asArrayRef()) {
    MapResult match = *matchMapResult(map.getResult(dim));
    int64_t size = match.loop ? largest[unsigned(*match.loop)] : 1;
    sizes.push_back(b.getIndexAttr(match.group > 1 ? 1 : size));
  }
  sizes.push_back(memref::getMixedSize(b, b.getLoc(), operands[1], 0));
  Type element = floatElement(x).isF64() ? b.getF64Type() : b.getF32Type();
  return {alloc(sizes, element), alloc(sizes, element)};
}

void AttentionTiles::rotate(RotationAttr rotation, ValueRange operands, Value x,
                            AffineMap map, const Parts &parts,
                            ArrayRef<Value> tables, Value destination) {
  SmallVector<MapResult> loops = tableLoops(rotation, map);
  auto part = [&](Value operand) {
    SmallVector<Part> all = partsOf(operand, loops, parts);
    return slice(operand, all, SmallVector<bool>(all.size(), false));
  };
  SmallVector<Value> cosSin;
  if (AnglesAttr angles = rotation.getAngles()) {
    Value positions = part(operands[0]);
    OpFoldResults sizes = memref::getMixedSizes(b, b.getLoc(), positions);
    if (angles.getAxes())
      sizes.erase(sizes.begin());
    sizes.push_back(memref::getMixedSize(b, b.getLoc(), operands[1], 0));
    for (Value table : tables)
      cosSin.push_back(row(table, {}, sizes));
    TableOp::create(b, TypeRange{}, positions, operands[1], cosSin[0],
                    cosSin[1], angles.getMagnitude(), angles.getAxes(),
                    PrecisionAttr::get(b.getContext(), angles.getPrecision()));
  } else {
    cosSin = {part(operands[0]), part(operands[1])};
  }
  SmallVector<Part> all = partsOf(x, followedLoops(map), parts);
  Value tile = slice(x, all, SmallVector<bool>(all.size(), false));
  buildApply(b, rotation, tile, cosSin[0], cosSin[1], destination);
}

Value AttentionTiles::prepare(Value operand, AffineMap map, Loop inner,
                              const Parts &parts, RotationAttr rotation,
                              ValueRange rotationOperands,
                              ArrayRef<Value> tables, Value wide) {
  if (!wide)
    return Value();
  OpFoldResult size = inner == Loop::channel ? channels : valueChannels;
  if (rotation) {
    OpFoldResults strides(kNumLoops, b.getIndexAttr(1));
    strides[unsigned(Loop::key)] = size;
    rotate(rotation, rotationOperands, operand, map, parts, tables,
           tileView(wide, b.getIndexAttr(0), operand, map, parts, strides));
    return wide;
  }
  SmallVector<Loop> kept;
  Value tile = tileOf(operand, map, parts, {Loop::batch, Loop::head}, kept);
  generic({tile}, {projectMap(mapOf(kept), {Loop::key, inner})},
          row(wide, {}, {parts[unsigned(Loop::key)].size, size}),
          b.getMultiDimIdentityMap(2),
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
            return toFloat(b, arguments[0], type);
          });
  return wide;
}

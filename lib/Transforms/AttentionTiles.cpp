//===- AttentionTiles.cpp - parts of the operands of attention ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/CheckedArithmetic.h"
#include <numeric>

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

int64_t rope::getStaticSize(AttentionOp op, Loop loop) {
  if (int64_t pageSize = op.getPageSize(); pageSize && loop == Loop::key) {
    OpOperand &pages = op.getPagesMutable()[0];
    int64_t size = cast<ShapedType>(pages.get().getType())
                       .getDimSize(*findLoop(op.getMap(pages), loop));
    std::optional<int64_t> keys = ShapedType::isDynamic(size)
                                      ? std::nullopt
                                      : llvm::checkedMul(size, pageSize);
    return keys.value_or(ShapedType::kDynamic);
  }
  bool isFound = false;
  for (OpOperand *operand : op.getMappedOperands()) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (!dim || matchMapResult(map.getResult(*dim))->group != 1)
      continue;
    int64_t size = cast<ShapedType>(operand->get().getType()).getDimSize(*dim);
    if (!ShapedType::isDynamic(size))
      return size;
    isFound = true;
  }
  return isFound ? ShapedType::kDynamic : 1;
}

int64_t rope::countSharedHeads(AttentionOp op) {
  int64_t numHeads = getStaticSize(op, Loop::head);
  // Heads without a dimension share all.
  auto group = [&](OpOperand &operand) {
    AffineMap map = op.getMap(operand);
    return findLoop(map, Loop::head)         ? getGroup(map)
           : ShapedType::isDynamic(numHeads) ? 1
                                             : numHeads;
  };
  return std::max<int64_t>(
      1, std::gcd(group(op.getKeyMutable()), group(op.getValueMutable())));
}

OpFoldResult AttentionTiles::sizeOf(Loop loop) {
  int64_t known = getStaticSize(op, loop);
  if (!ShapedType::isDynamic(known))
    return b.getIndexAttr(known);
  if (int64_t pageSize = op.getPageSize(); pageSize && loop == Loop::key) {
    OpOperand &pages = op.getPagesMutable()[0];
    return apply(b.getAffineSymbolExpr(0) * pageSize,
                 {memref::getMixedSize(b, op.getLoc(), pages.get(),
                                       *findLoop(op.getMap(pages), loop))});
  }
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

/// The loops that the first operand of a rotation follows, of those that what
/// is rotated follows.
static SmallVector<MapResult> tableLoops(RotationAttr rotation,
                                         ArrayRef<MapResult> loops) {
  SmallVector<MapResult> result;
  if (AnglesAttr angles = rotation.getAngles(); angles && angles.getAxes())
    result.push_back(MapResult{});
  for (int64_t dim : rotation.getPositionDims().asArrayRef())
    result.push_back(loops[dim]);
  if (!rotation.getAngles())
    result.push_back(MapResult{});
  return result;
}

SmallVector<MapResult> AttentionTiles::rotatedLoops(AffineMap map) {
  return map == keyMap ? op.getLookedUpLoops(op.getKeyMutable())
                       : followedLoops(map);
}

SmallVector<Value> AttentionTiles::allocateTables(RotationAttr rotation,
                                                  ValueRange operands, Value x,
                                                  AffineMap map,
                                                  ArrayRef<int64_t> largest) {
  if (!rotation || !rotation.getAngles())
    return {};
  SmallVector<MapResult> loops = rotatedLoops(map);
  OpFoldResults sizes;
  for (int64_t dim : rotation.getPositionDims().asArrayRef()) {
    MapResult match = loops[dim];
    int64_t size = match.loop ? largest[unsigned(*match.loop)] : 1;
    sizes.push_back(b.getIndexAttr(match.group > 1 ? 1 : size));
  }
  sizes.push_back(memref::getMixedSize(b, b.getLoc(), operands[1], 0));
  Type element = loadedElement(op, x).isF64() ? b.getF64Type() : b.getF32Type();
  return {alloc(sizes, element), alloc(sizes, element)};
}

SmallVector<Value> AttentionTiles::makeTables(RotationAttr rotation,
                                              ValueRange operands,
                                              AffineMap map, const Parts &parts,
                                              ArrayRef<Value> tables) {
  SmallVector<MapResult> loops = tableLoops(rotation, rotatedLoops(map));
  auto part = [&](Value operand) {
    SmallVector<Part> all = partsOf(operand, loops, parts);
    return slice(operand, all, SmallVector<bool>(all.size(), false));
  };
  AnglesAttr angles = rotation.getAngles();
  if (!angles)
    return {part(operands[0]), part(operands[1])};
  SmallVector<Value> cosSin;
  Value positions = part(operands[0]);
  OpFoldResults sizes = memref::getMixedSizes(b, b.getLoc(), positions);
  if (angles.getAxes())
    sizes.erase(sizes.begin());
  sizes.push_back(memref::getMixedSize(b, b.getLoc(), operands[1], 0));
  for (Value table : tables)
    cosSin.push_back(row(table, {}, sizes));
  TableOp::create(b, TypeRange{}, positions, operands[1], cosSin[0], cosSin[1],
                  angles.getMagnitude(), angles.getAxes(),
                  PrecisionAttr::get(b.getContext(), angles.getPrecision()));
  return cosSin;
}

void AttentionTiles::rotate(RotationAttr rotation, Value x, AffineMap map,
                            const Parts &parts, ArrayRef<Value> cosSin,
                            Value destination) {
  SmallVector<Part> all = partsOf(x, followedLoops(map), parts);
  Value tile = slice(x, all, SmallVector<bool>(all.size(), false));
  buildApply(b, rotation, tile, cosSin[0], cosSin[1], destination);
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

bool AttentionTiles::followsBatch(AffineMap map) {
  if (op.getPages() && (map == keyMap || map == valueMap))
    map = op.getMap(op.getPagesMutable()[0]);
  return findLoop(map, Loop::batch).has_value();
}

bool AttentionTiles::isReadInPlace(Loop inner) {
  bool isKey = inner == Loop::channel;
  Value operand = isKey ? op.getKey() : op.getValue();
  return !(isKey && keyRotation) && !op.getPages() &&
         getElementTypeOrSelf(operand.getType()) == type;
}

/// A part of keys or values to be loaded.
struct AttentionTiles::Run {
  OpOperand *operand, *scales;
  Loop inner;
  /// Of the loops b, h, i, j, and of the inner one.
  Parts parts;
  Part channels;
  /// Where the keys of all runs start.
  OpFoldResult firstKey;
  /// That of the keys; null where none is looked up.
  Value page;
  /// Where it goes.
  Value scratch;
  OpFoldResult start;
  ArrayRef<OpFoldResult> strides;

  Part &partOf(Loop loop) {
    return loop == inner ? channels : parts[unsigned(loop)];
  }
  /// Whether a dimension is the page.
  bool isPage(const MapResult &match) const {
    return page && match.loop == Loop::key && !match.isRemainder;
  }
};

/// The part of keys, values or scales that belongs to a run.
SmallVector<Part> AttentionTiles::placesOf(Run &run, OpOperand &operand) {
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  return llvm::map_to_vector(
      followedLoops(op.getMap(operand)), [&](const MapResult &match) -> Part {
        if (run.isPage(match))
          return {run.page, b.getIndexAttr(1)};
        if (!match.loop)
          return {b.getIndexAttr(0), b.getIndexAttr(1)};
        Part part = run.partOf(*match.loop);
        if (match.isRemainder)
          return {apply(s0 % match.group, {part.offset}), part.size};
        if (match.group == 1)
          return part;
        return {apply(s0.floorDiv(match.group), {part.offset}),
                apply(s0.ceilDiv(match.group), {part.size})};
      });
}

/// Opens a loop over the parts of a run for which `loop floordiv size` is one
/// number, which it returns.
Value AttentionTiles::openRuns(Run &run, Loop loop, int64_t size) {
  AffineExpr s0, s1, s2;
  bindSymbols(b.getContext(), s0, s1, s2);
  Part &part = run.partOf(loop);
  Value from = value(part.offset), to = add(from, value(part.size));
  auto runs =
      scf::ForOp::create(b, value(apply(s0.floorDiv(size), {from})),
                         value(apply(s0.ceilDiv(size), {to})), constant(1));
  b.setInsertionPointToStart(runs.getBody());
  Value number = runs.getInductionVar();
  Value first = arith::MulIOp::create(b, number, constant(size));
  // Channels are whole groups, which vectors like to know.
  std::optional<int64_t> known = getConstantIntValue(part.size);
  if (size == 1 || (loop == run.inner && known && *known % size == 0)) {
    part = {first, b.getIndexAttr(size)};
  } else {
    Value start = max(from, first);
    part = {start, sub(min(to, add(first, constant(size))), start)};
  }
  int64_t group = loop == Loop::head ? getGroup(op.getMap(*run.operand)) : 1;
  OpFoldResult skipped =
      apply(s0.floorDiv(group) - s1.floorDiv(group), {part.offset, from});
  run.start =
      apply(s0 + s1 * s2, {run.start, skipped, run.strides[unsigned(loop)]});
  return number;
}

/// Where a run goes, in the order of dimensions of keys or values.
Value AttentionTiles::targetOf(Run &run) {
  OpFoldResults sizes, strides;
  for (auto [part, match] : llvm::zip(placesOf(run, *run.operand),
                                      followedLoops(op.getMap(*run.operand)))) {
    sizes.push_back(part.size);
    strides.push_back(match.loop && !run.isPage(match)
                          ? run.strides[unsigned(*match.loop)]
                          : OpFoldResult(b.getIndexAttr(1)));
  }
  return view(run.scratch, run.start, sizes, strides);
}

/// What of keys or values belongs to a run.
Value AttentionTiles::sourceOf(Run &run) {
  SmallVector<Part> places = placesOf(run, *run.operand);
  return slice(run.operand->get(), places,
               SmallVector<bool>(places.size(), false));
}

/// Multiplies a run with its scales.
void AttentionTiles::dequantize(Run run) {
  OpBuilder::InsertionGuard guard(b);
  AffineMap map = op.getMap(*run.operand);
  SmallVector<MapResult> loops = followedLoops(map);
  SmallVector<MapResult> ofScales = followedLoops(op.getMap(*run.scales));
  // Where a scale is for several heads or channels, one scale at a time.
  auto isShared = [&](const MapResult &match) {
    return match.loop != Loop::key && match.group > 1 &&
           match.group !=
               (match.loop == Loop::head ? getGroup(map) : int64_t(1));
  };
  for (const MapResult &match : ofScales)
    if (match.loop && isShared(match) &&
        getConstantIntValue(run.partOf(*match.loop).size) != 1)
      openRuns(run, *match.loop, match.group);

  SmallVector<bool> isOne;
  SmallVector<AffineExpr> dims;
  for (const MapResult &match : ofScales) {
    // Groups of keys are those of the run.
    bool isGroup =
        match.loop == Loop::key && match.group > 1 && !match.isRemainder;
    isOne.push_back(!match.loop || run.isPage(match) || isGroup ||
                    isShared(match));
    if (isOne.back())
      continue;
    const auto *same = llvm::find_if(loops, [&](const MapResult &other) {
      return match.loop == other.loop && !run.isPage(other);
    });
    dims.push_back(b.getAffineDimExpr(same - loops.begin()));
  }
  SmallVector<Part> places = placesOf(run, *run.scales);
  for (auto [place, one] : llvm::zip(places, isOne))
    if (one)
      place.size = b.getIndexAttr(1);
  Value scales = slice(run.scales->get(), places, isOne);
  AffineMap identity = b.getMultiDimIdentityMap(loops.size());
  generic({sourceOf(run), scales},
          {identity, AffineMap::get(loops.size(), 0, dims, b.getContext())},
          targetOf(run), identity,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
            return arith::MulFOp::create(b, toFloat(b, arguments[0], type),
                                         toFloat(b, arguments[1], type));
          });
}

/// Loads what one page and one group of keys have.
void AttentionTiles::loadRun(Run &run, ArrayRef<Value> cosSin) {
  RotationAttr rotation = run.inner == Loop::channel ? keyRotation : nullptr;
  Value source = run.scales ? Value() : sourceOf(run);
  Value target = targetOf(run);
  if (run.scales)
    dequantize(run);
  if (!rotation) {
    if (run.scales)
      return;
    AffineMap identity =
        b.getMultiDimIdentityMap(op.getMap(*run.operand).getNumResults());
    generic({source}, {identity}, target, identity,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              return toFloat(b, arguments[0], floatElement(target));
            });
    return;
  }
  // The rows of the tables that the run has.
  auto rowsOf = [&](Value table) {
    SmallVector<MapResult> loops = rotatedLoops(keyMap);
    SmallVector<Part> rows;
    for (OpFoldResult size : memref::getMixedSizes(b, b.getLoc(), table))
      rows.push_back({b.getIndexAttr(0), size});
    AffineExpr s0, s1;
    bindSymbols(b.getContext(), s0, s1);
    Part keys = run.parts[unsigned(Loop::key)];
    for (auto [i, dim] :
         llvm::enumerate(rotation.getPositionDims().asArrayRef()))
      if (loops[dim].loop == Loop::key)
        rows[i] = {apply(s0 - s1, {keys.offset, run.firstKey}), keys.size};
    return slice(table, rows, SmallVector<bool>(rows.size(), false));
  };
  Value cos = rowsOf(cosSin[0]), sin = rowsOf(cosSin[1]);
  if (!run.scales) {
    buildApply(b, rotation, source, cos, sin, target);
    return;
  }
  // In place, unless channels change places.
  if (rotation.getResultPairing().value_or(rotation.getPairing()) ==
      rotation.getPairing()) {
    buildApply(b, rotation, target, cos, sin, target);
    return;
  }
  Value copy = alloc(memref::getMixedSizes(b, b.getLoc(), target), type);
  linalg::CopyOp::create(b, target, copy);
  buildApply(b, rotation, copy, cos, sin, target);
  memref::DeallocOp::create(b, copy);
}

void AttentionTiles::load(Loop inner, const Parts &parts,
                          ArrayRef<Value> cosSin, Value scratch,
                          OpFoldResult start, ArrayRef<OpFoldResult> strides) {
  OpBuilder::InsertionGuard guard(b);
  OpOperand &operand =
      inner == Loop::channel ? op.getKeyMutable() : op.getValueMutable();
  Run run{
      &operand,
      op.getScales(operand),
      inner,
      parts,
      {b.getIndexAttr(0), inner == Loop::channel ? channels : valueChannels},
      parts[unsigned(Loop::key)].offset,
      Value(),
      scratch,
      start,
      strides};
  if (int64_t pageSize = op.getPageSize()) {
    Value number = openRuns(run, Loop::key, pageSize);
    OpOperand &pages = op.getPagesMutable()[0];
    SmallVector<Value> indices;
    for (const MapResult &match : followedLoops(op.getMap(pages)))
      indices.push_back(match.loop == Loop::key
                            ? number
                            : value(parts[unsigned(Loop::batch)].offset));
    run.page = memref::LoadOp::create(b, pages.get(), indices);
    if (!run.page.getType().isIndex())
      run.page = arith::IndexCastOp::create(b, b.getIndexType(), run.page);
  } else if (run.scales) {
    AffineMap map = op.getMap(*run.scales);
    if (std::optional<int64_t> dim = findLoop(map, Loop::key))
      if (int64_t group = matchMapResult(map.getResult(*dim))->group; group > 1)
        openRuns(run, Loop::key, group);
  }
  loadRun(run, cosSin);
}

Value AttentionTiles::prepare(Loop inner, const Parts &parts,
                              ArrayRef<Value> cosSin, Value wide) {
  if (!wide)
    return Value();
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1));
  strides[unsigned(Loop::key)] =
      inner == Loop::channel ? channels : valueChannels;
  load(inner, parts, cosSin, wide, b.getIndexAttr(0), strides);
  return wide;
}

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

void AttentionTiles::readBatch(Value batch) {
  auto perBatch = [&](Value number) -> Value {
    if (isa<MemRefType>(number.getType()))
      number = memref::LoadOp::create(b, number, batch);
    if (!number.getType().isIndex())
      number = arith::IndexCastOp::create(b, b.getIndexType(), number);
    return number;
  };
  offset = constant(0);
  // Sums with it must not wrap.
  if (op.getQueryOffset())
    offset =
        max(constant(-2 * kFarPosition),
            min(constant(2 * kFarPosition), perBatch(op.getQueryOffset())));
  numKeys = value(sizeOf(Loop::key));
  if (op.getLengths())
    numKeys = min(numKeys, perBatch(op.getLengths()));
}

std::pair<Value, Value> AttentionTiles::visibleKeys(Value first, Value last) {
  Value start = constant(0), end = numKeys;
  if (op.getCausal())
    end = min(end, add(last, constant(1)));
  if (std::optional<uint64_t> window = op.getWindow())
    start = max(start, sub(add(first, constant(1)),
                           constant(std::min<int64_t>(*window, kFarPosition))));
  if (std::optional<uint64_t> chunk = op.getChunk()) {
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    int64_t size = std::min<int64_t>(*chunk, 2 * kFarPosition - 1);
    start = max(start, value(apply(s0.floorDiv(size) * size, {first})));
    end = min(end, value(apply(s0.floorDiv(size) * size + size, {last})));
  }
  return {start, end};
}

void AttentionTiles::buildScores(OnlineAttentionOp online, RowIndices indices,
                                 Value firstKey, bool hasPositions) {
  if (op.getRegion().empty() && !hasPositions)
    return;
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Type> types = {type};
  types.append(4, b.getIndexType());
  for (Value operand : online.getScoreOperands())
    types.push_back(getElementTypeOrSelf(operand.getType()));
  Block *body = b.createBlock(&online.getRegion(), {}, types,
                              SmallVector<Location>(types.size(), b.getLoc()));
  ValueRange arguments = body->getArguments();
  YieldOp::create(b, buildScore(b, arguments[0], arguments[3], arguments[4],
                                arguments.drop_front(5), indices, firstKey,
                                hasPositions));
}

Value AttentionTiles::buildScore(ImplicitLocOpBuilder &b, Value score,
                                 Value row, Value key, ValueRange elements,
                                 RowIndices indices, Value firstKey,
                                 bool hasPositions) {
  SmallVector<Value> arguments = {score};
  if (!op.getRegion().empty()) {
    llvm::append_range(arguments, indices(b, row));
    arguments.push_back(arith::AddIOp::create(b, key, firstKey));
    for (auto [operand, element] : llvm::zip(op.getScoreOperands(), elements)) {
      if (getElementTypeOrSelf(operand.getType()).isInteger(1) &&
          !element.getType().isInteger(1))
        element = arith::TruncIOp::create(b, b.getI1Type(), element);
      arguments.push_back(element);
    }
  }
  score = inlineScoreRegion(b, op.getRegion(), arguments);
  if (!hasPositions)
    return score;
  Type i32 = b.getI32Type();
  Value at =
      arith::AddIOp::create(b, arith::IndexCastOp::create(b, i32, key),
                            arith::IndexCastOp::create(b, i32, firstKey));
  Value visible = buildVisibility(b, op, elements.back(), at, Value());
  if (!visible)
    return score;
  Value none = arith::ConstantOp::create(
      b, b.getFloatAttr(type, APFloat::getInf(type.getFloatSemantics(),
                                              /*Negative=*/true)));
  return arith::SelectOp::create(b, visible, score, none);
}

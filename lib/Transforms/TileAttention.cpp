//===- TileAttention.cpp - attention to loops over tiles ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rows of a block are the queries of all heads that share a key head: row
// `i * heads + g`. Rows are the lanes of vectors. Scores and accumulators are
// kept transposed, as [key][row] and [channel][row], so that keys and values
// are read as scalars where they lie, the softmax needs no reduction within a
// vector, and any number of keys and channels is fine:
//
//   parallel for (batch, block of keys):
//     rotate and widen its keys and values, where they are not read in place
//   parallel for (batch, key head, chunk of blocks):
//     for each block: rotate, transpose and scale its queries
//     for each tile of keys that one of the blocks can see:
//       for each block that can see them: rope.online_attention
//     for each block: divide, transpose, store
//
// Few rows take the form of TileDecode.cpp. Products of bf16 in pairs take the
// place of rope.online_attention where the processor has them (PairTiles.h).
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "PairTiles.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/CostModel.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <functional>

namespace mlir::rope {
#define GEN_PASS_DEF_TILEATTENTION
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// Keys of a tile, and rows of a block with tiles of AMX: of eight combinations
/// of 32 to 128 rows and 128 to 512 keys those with 32 rows and 256 or 512 keys
/// were the fastest for 512 to 4096 positions (Sapphire Rapids, 32 heads of 128
/// channels), by 9 to 15 % over 64 and 128.
static constexpr int64_t kKeys = 128, kAMXKeys = 256, kAMXRows = 32;
/// Rows of a block with products by vdpbf16ps: two times the vectors of a tile.
static constexpr int64_t kDotRows = 96;
/// Bytes that the queries and accumulators of a task may take: half of a common
/// second cache.
static constexpr int64_t kTaskBytes = int64_t(1) << 20;

namespace {
class AttentionTiler : AttentionTiles {
public:
  AttentionTiler(OpBuilder &builder, AttentionOp op, unsigned vectorBits,
                 PairProduct unit)
      : AttentionTiles(builder, op), unit(unit), pairs(b, unit),
        tileKeys(unit == PairProduct::amx ? kAMXKeys : kKeys),
        lanes(std::max<int64_t>(1, vectorBits / type.getWidth())) {}

  bool runWithoutKeys();
  void run();

private:
  void chooseBlocks();
  void emitPacking();
  void packPairs(Part keys, Value block);
  OpFoldResults packedSizes(Value operand, AffineMap map, OpFoldResult size);
  void packRows(Loop inner, OpFoldResult size, ArrayRef<Value> tables,
                Part keys, Value head, Value packed);
  Value packedTile(Value packed, AffineMap map, Value start, Value count,
                   OpFoldResult size);
  void emitTasks();
  void allocate();
  void emitTask(Value batchIndex, Value headIndex, Value chunk);
  void emitPrologue(Value block);
  void emitKeys();
  void emitTile(Value start, Value count);
  void emitBlock(Value block, Value start, Value from, Value count, Value keys,
                 Value values);
  void emitOnline(Value block, Value start, Value from, Value count, Value keys,
                  Value values, bool isMasked);
  Value isCut(const Parts &parts);
  void emitPairBlock(Value block, Value start, Value from, Value count);
  void packRowOperands(const Parts &parts, OpFoldResult lanes,
                       SmallVectorImpl<Value> &operands,
                       SmallVectorImpl<AffineMap> &maps, Value block);
  using Indices =
      std::function<std::array<Value, 3>(ImplicitLocOpBuilder &, Value)>;
  Indices indicesOf(const Parts &parts);
  void emitCheckedSum(Value values, Value sum, Value count);
  bool isPaired() const { return unit != PairProduct::none; }
  bool isScaledLast() {
    // The largest score is that of the largest product.
    return isPaired() && op.getRegion().empty() && op.getScale().isNormal() &&
           !op.getScale().isNegative();
  }
  Value scaledBy(ImplicitLocOpBuilder &b, Value x, double factor) {
    return arith::MulFOp::create(
        b, x, arith::ConstantOp::create(b, b.getFloatAttr(type, factor)));
  }
  void emitEpilogue(Value block);
  void emitWithoutKeys();

  // Operations on tiles.
  void pack(const ScoreOperand &operand, const Parts &parts,
            OpFoldResult start);

  // Blocks.
  void forEachBlock(function_ref<void(Value)> body);
  Parts blockParts(Value block);
  Part queriesOf(Value block);
  OpFoldResult rowsOf(const Part &part);
  OpFoldResult startOf(Value block);

  PairProduct unit;
  PairTiles pairs;
  int64_t tileKeys, lanes;
  /// Heads and queries of a block, their product rounded up to whole vectors,
  /// and the blocks of a task at most.
  int64_t heads = 1, queries = 1, rows = 1, maxBlocks = 1;
  SmallVector<ScoreOperand, 2> scoreOperands;

  // Of a task.
  Value batch, firstHead, firstQuery, numBlocks, chunkBlocks;
  Value queryTile, outputTile;
  Value transposed, acc, maxima, sums, positions, scores, correction;
  SmallVector<Value> queryTables;

  /// Keys and values as tiles read them, [batch][head][key][channel]. Null
  /// where they are read in place.
  Value packedKeys, packedValues;

  // In pairs. Keys are [batch][head][key][channel], channels padded; values
  // [batch][head][tile][channel][key of the tile]; a flag says of each tile
  // that there are infinities or NaN.
  int64_t paddedChannels = 0, paddedValueChannels = 0;
  Value valueMemory, valueWords, valueFlags;
  Value pairedRows, valueRows;
  Value queryWords, transposedWords, weights;
};
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// Whether dimension `dim` of an operand changes with its loop.
static bool changes(Value operand, int64_t dim) {
  return cast<ShapedType>(operand.getType()).getDimSize(dim) != 1;
}

void AttentionTiler::chooseBlocks() {
  std::optional<int64_t> numHeads = getConstantIntValue(sizeOf(Loop::head));
  std::optional<int64_t> length = getConstantIntValue(sizeOf(Loop::query));
  heads = countSharedHeads(op);
  int64_t target = unit == PairProduct::amx ? kAMXRows
                   : unit == PairProduct::dot
                       ? kDotRows
                       : cost::kBlockRows * 32 / type.getWidth();
  while (heads > target || (heads > 1 && numHeads && *numHeads % heads != 0)) {
    int64_t divisor = 2;
    while (heads % divisor != 0)
      ++divisor;
    heads /= divisor;
  }
  for (OpOperand &operand : op.getScoreOperandsMutable()) {
    AffineMap map = op.getMap(operand);
    std::optional<int64_t> query = findLoop(map, Loop::query);
    std::optional<int64_t> key = findLoop(map, Loop::key);
    // One mask for several heads would have to be spread over their rows.
    bool isMask = query && key && changes(operand.get(), *query) &&
                  (!length || *length > 1);
    bool cutsGroup = findLoop(map, Loop::head) && getGroup(map) > 1 &&
                     getGroup(map) % heads != 0;
    if (isMask || cutsGroup)
      heads = 1;
  }
  queries = std::max<int64_t>(1, target / heads);
  if (length)
    queries = std::clamp<int64_t>(*length, 1, queries);
  rows = llvm::alignTo(heads * queries, lanes);
  for (OpOperand &operand : op.getScoreOperandsMutable()) {
    AffineMap map = op.getMap(operand);
    bool ofHeads = heads > 1 && findLoop(map, Loop::head) && getGroup(map) == 1;
    scoreOperands.push_back({&operand, map,
                             ofHeads || bool(findLoop(map, Loop::query)),
                             bool(findLoop(map, Loop::key)), Value()});
  }
  channels = sizeOf(Loop::channel);
  valueChannels = sizeOf(Loop::valueChannel);
  int64_t perRow = getConstantIntValue(channels).value_or(128) +
                   getConstantIntValue(valueChannels).value_or(128);
  int64_t bytes = std::max<int64_t>(1, perRow) * rows * type.getWidth() / 8;
  paddedChannels = llvm::alignTo(getConstantIntValue(channels).value_or(0),
                                 pairs.depthMultiple());
  paddedValueChannels =
      llvm::alignTo(getConstantIntValue(valueChannels).value_or(0), lanes);
  maxBlocks = std::clamp<int64_t>(kTaskBytes / std::max<int64_t>(bytes, 1), 1,
                                  cost::kTaskBlocks);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

void AttentionTiler::forEachBlock(function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, constant(0), numBlocks, constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

/// The first query of a block, and how many it has.
Part AttentionTiler::queriesOf(Value block) {
  AffineExpr first, index, all;
  bindSymbols(b.getContext(), first, index, all);
  OpFoldResult start = apply(first + index * queries, {firstQuery, block});
  OpFoldResult length = sizeOf(Loop::query);
  std::optional<int64_t> known = getConstantIntValue(length);
  if (known && *known % queries == 0)
    return {start, b.getIndexAttr(queries)};
  SmallVector<AffineExpr> bounds = {
      getAffineConstantExpr(queries, b.getContext()),
      all - first - index * queries};
  return {start,
          affine::makeComposedFoldedAffineMin(
              b, b.getLoc(), AffineMap::get(0, 3, bounds, b.getContext()),
              {firstQuery, block, length})};
}

/// The rows that a block has, as whole vectors.
OpFoldResult AttentionTiler::rowsOf(const Part &part) {
  if (getConstantIntValue(part.size) == queries)
    return b.getIndexAttr(rows);
  AffineExpr size = b.getAffineSymbolExpr(0);
  OpFoldResult vectors = apply((size * heads).ceilDiv(lanes), {part.size});
  // A product, so that it shows.
  return Value(arith::MulIOp::create(b, value(vectors), constant(lanes)));
}

//===----------------------------------------------------------------------===//
// Packed keys and values
//===----------------------------------------------------------------------===//

/// The sizes of the rows of all heads, one head after another.
OpFoldResults AttentionTiler::packedSizes(Value operand, AffineMap map,
                                          OpFoldResult size) {
  OpFoldResult one = b.getIndexAttr(1);
  std::optional<int64_t> head = findLoop(map, Loop::head);
  return {followsBatch(map) ? sizeOf(Loop::batch) : one,
          head ? memref::getMixedSize(b, b.getLoc(), operand, *head) : one,
          sizeOf(Loop::key), size};
}

/// Loads some keys or values of one head or of all.
void AttentionTiler::packRows(Loop inner, OpFoldResult size,
                              ArrayRef<Value> tables, Part keys, Value head,
                              Value packed) {
  AffineMap map = inner == Loop::channel ? keyMap : valueMap;
  Parts parts = {Part{batch, b.getIndexAttr(1)},
                 Part{b.getIndexAttr(0), sizeOf(Loop::head)},
                 Part{b.getIndexAttr(0), b.getIndexAttr(1)}, keys};
  if (head)
    parts[unsigned(Loop::head)] = {
        apply(b.getAffineSymbolExpr(0) * getGroup(map), {head}),
        b.getIndexAttr(1)};
  OpFoldResults sizes = memref::getMixedSizes(b, b.getLoc(), packed);
  AffineExpr s0, s1, s2;
  bindSymbols(b.getContext(), s0, s1, s2);
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1));
  strides[unsigned(Loop::key)] = size;
  strides[unsigned(Loop::head)] = apply(s0 * s1, {sizes[2], size});
  strides[unsigned(Loop::batch)] =
      apply(s0 * s1, {sizes[1], strides[unsigned(Loop::head)]});
  OpFoldResult start = apply(s0 * s1, {keys.offset, size});
  if (followsBatch(map))
    start = apply(s0 + s1 * s2, {start, batch, strides[unsigned(Loop::batch)]});
  if (head)
    start = apply(s0 + s1 * s2, {start, head, strides[unsigned(Loop::head)]});
  SmallVector<Value> cosSin;
  if (inner == Loop::channel && keyRotation)
    cosSin = makeTables(keyRotation, op.getKeyRotationOperands(), keyMap, parts,
                        tables);
  load(inner, parts, cosSin, packed, start, strides);
}

/// Brings the values of a tile into pairs of keys, [channel][key], head by
/// head.
void AttentionTiler::packPairs(Part keys, Value block) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  Value heads = value(memref::getMixedSizes(b, b.getLoc(), valueFlags)[1]);
  auto loop = scf::ForOp::create(b, constant(0), heads, constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value head = loop.getInductionVar();
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  Parts parts = {Part{batch, one},
                 Part{apply(s0 * getGroup(valueMap), {head}), one},
                 Part{zero, one}, keys};
  SmallVector<Loop> kept = {Loop::key, Loop::valueChannel};
  Value rows = prepare(Loop::valueChannel, parts, {}, valueRows);
  if (!rows) {
    kept.clear();
    rows =
        tileOf(op.getValue(), valueMap, parts, {Loop::batch, Loop::head}, kept);
  }
  AffineMap plain = b.getMultiDimIdentityMap(2);
  AffineMap order = projectMap(mapOf(kept), {Loop::key, Loop::valueChannel});
  // Channels of a key, as half of the words of its pair.
  auto narrow = [&](ImplicitLocOpBuilder &b, Value x) -> Value {
    return arith::ExtUIOp::create(
        b, b.getI32Type(), arith::BitcastOp::create(b, b.getI16Type(), x));
  };
  auto every = [&](Value memref, OpFoldResult first, OpFoldResult count,
                   int64_t step) -> Value {
    OpFoldResults offsets, sizes, strides;
    for (Loop loop : kept) {
      bool isKey = loop == Loop::key;
      offsets.push_back(isKey ? first : zero);
      sizes.push_back(isKey ? count : valueChannels);
      strides.push_back(b.getIndexAttr(isKey ? step : 1));
    }
    return memref::SubViewOp::create(b, memref, offsets, sizes, strides);
  };
  OpFoldResult whole = apply(s0.floorDiv(2), {keys.size});
  Value words = row(pairedRows, {}, {whole, valueChannels});
  Value both = constant(2);
  generic({every(rows, zero, whole, 2), every(rows, one, whole, 2)},
          {order, order}, words, plain,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            Value places =
                arith::ConstantOp::create(b, b.getI32IntegerAttr(16));
            return arith::OrIOp::create(
                b, narrow(b, arguments[0]),
                arith::ShLIOp::create(b, narrow(b, arguments[1]), places));
          });
  Value rest = arith::RemUIOp::create(b, value(keys.size), both);
  generic(
      {every(rows, apply(s0.floorDiv(2) * 2, {keys.size}), rest, 1)}, {order},
      slice(pairedRows, {{whole, rest}, {zero, valueChannels}}, {false, false}),
      plain, [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
        return narrow(b, arguments[0]);
      });
  Value at = followsBatch(valueMap) ? batch : constant(0);
  memref::StoreOp::create(b, pairs.findSpecials(pairedRows), valueFlags,
                          ValueRange{at, head, block});
  generic(
      {pairedRows}, {plain},
      row(valueWords, {at, head, block},
          {b.getIndexAttr(paddedValueChannels), b.getIndexAttr(tileKeys / 2)}),
      AffineMap::getPermutationMap(ArrayRef<unsigned>{1, 0}, b.getContext()),
      [&](ImplicitLocOpBuilder &, ValueRange arguments) {
        return arguments[0];
      });
}

/// Rotates and widens all keys that a query may see, once.
void AttentionTiler::emitPacking() {
  if (isPaired()) {
    OpFoldResults sizes = packedSizes(op.getKey(), keyMap, channels);
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    sizes[2] = apply(s0.ceilDiv(tileKeys) * tileKeys, {sizes[2]});
    sizes[3] = b.getIndexAttr(paddedChannels);
    packedKeys = alloc(sizes, b.getBF16Type());
    sizes = packedSizes(op.getValue(), valueMap, valueChannels);
    sizes[2] = apply(s0.ceilDiv(tileKeys), {sizes[2]});
    sizes.pop_back();
    valueFlags = alloc(sizes, b.getI32Type());
    OpFoldResult bytes = b.getIndexAttr(paddedValueChannels * tileKeys * 2);
    for (OpFoldResult size : sizes)
      bytes = apply(s0 * b.getAffineSymbolExpr(1), {bytes, size});
    valueMemory = alloc({bytes}, b.getI8Type());
    auto words = [&](int64_t keys, Type element) -> Value {
      OpFoldResults shape = sizes;
      shape.append({b.getIndexAttr(paddedValueChannels), b.getIndexAttr(keys)});
      SmallVector<int64_t> staticShape;
      SmallVector<Value> dynamic;
      dispatchIndexOpFoldResults(shape, dynamic, staticShape);
      return memref::ViewOp::create(b, MemRefType::get(staticShape, element),
                                    valueMemory, constant(0), dynamic);
    };
    packedValues = words(tileKeys, b.getBF16Type());
    valueWords = words(tileKeys / 2, b.getI32Type());
  } else {
    if (!isReadInPlace(Loop::channel))
      packedKeys = alloc(packedSizes(op.getKey(), keyMap, channels), type);
    if (!isReadInPlace(Loop::valueChannel))
      packedValues =
          alloc(packedSizes(op.getValue(), valueMap, valueChannels), type);
  }
  OpBuilder::InsertionGuard guard(b);
  Value keys = value(sizeOf(Loop::key));
  // Heads that are rotated alike are rotated together.
  bool followsHeads =
      keyRotation &&
      llvm::any_of(
          keyRotation.getPositionDims().asArrayRef(), [&](int64_t dim) {
            return matchMapResult(keyMap.getResult(dim))->loop == Loop::head;
          });
  auto batches = value(sizeOf(Loop::batch));
  Value heads = constant(1);
  if (followsHeads)
    heads = value(memref::getMixedSizes(b, b.getLoc(), packedKeys)[1]);
  Value blocks = arith::CeilDivUIOp::create(b, keys, constant(tileKeys));
  SmallVector<Value> zeros(3, constant(0)), ones(3, constant(1));
  auto tasks = scf::ParallelOp::create(
      b, zeros, ValueRange{batches, heads, blocks}, ones);
  b.setInsertionPointToStart(tasks.getBody());
  SmallVector<Value> ivs = llvm::to_vector_of<Value>(tasks.getInductionVars());
  Block *body = b.getInsertionBlock();
  SmallVector<Value> tables =
      allocateTables(keyRotation, op.getKeyRotationOperands(), op.getKey(),
                     keyMap, {1, 1, 1, tileKeys});
  OpFoldResults sizes;
  if (packedKeys)
    sizes = memref::getMixedSizes(b, b.getLoc(), packedKeys);
  if (isPaired()) {
    // What fills up pairs, tiles and channels is zero.
    pairedRows = alloc(
        {b.getIndexAttr(tileKeys / 2), b.getIndexAttr(paddedValueChannels)},
        b.getI32Type());
    Value none = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
    linalg::FillOp::create(b, none, pairedRows);
    if (op.getPages())
      valueRows =
          alloc({b.getIndexAttr(tileKeys), valueChannels}, b.getBF16Type());
  }
  batch = ivs[0];
  readBatch(batch);
  Value last = sub(value(sizeOf(Loop::query)), constant(1));
  auto [first, end] = visibleKeys(positionOf(constant(0)), positionOf(last));
  Value start = arith::MulIOp::create(b, ivs[2], constant(tileKeys));
  // The last block ends with the keys; no page is looked up that has none.
  Value count =
      min(constant(tileKeys), sub(op.getPages() ? numKeys : keys, start));
  Value stop = add(start, count);
  Value isSeen = arith::AndIOp::create(
      b, arith::CmpIOp::create(b, arith::CmpIPredicate::slt, first, stop),
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, start, end));
  auto branch = scf::IfOp::create(b, isSeen, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard inside(b);
    b.setInsertionPointToStart(branch.thenBlock());
    Part part = {start, count};
    if (isPaired() && getConstantIntValue(channels) != paddedChannels)
      linalg::FillOp::create(b,
                             Value(arith::ConstantOp::create(
                                 b, b.getFloatAttr(b.getBF16Type(), 0.0))),
                             slice(packedKeys,
                                   {{followsBatch(keyMap) ? OpFoldResult(batch)
                                                          : b.getIndexAttr(0),
                                     b.getIndexAttr(1)},
                                    {b.getIndexAttr(0), sizes[1]},
                                    part,
                                    {b.getIndexAttr(0), sizes[3]}},
                                   SmallVector<bool>(4, false)));
    if (packedKeys)
      packRows(Loop::channel, sizes[3], tables, part,
               followsHeads ? Value(ivs[1]) : Value(), packedKeys);
    if (isPaired())
      packPairs(part, ivs[2]);
    else if (packedValues)
      packRows(Loop::valueChannel, valueChannels, {}, part, Value(),
               packedValues);
  }
  for (memref::AllocOp alloc : llvm::to_vector(body->getOps<memref::AllocOp>()))
    memref::DeallocOp::create(b, alloc);
}

//===----------------------------------------------------------------------===//
// A task
//===----------------------------------------------------------------------===//

void AttentionTiler::allocate() {
  OpFoldResult count = b.getIndexAttr(maxBlocks), lanes = b.getIndexAttr(rows);
  OpFoldResult keys = b.getIndexAttr(tileKeys);
  // What is rotated is not rounded, but once for pairs.
  if (!isPaired())
    queryTile = alloc({lanes, channels},
                      queryRotation ? type : floatElement(op.getQuery()));
  outputTile = alloc({lanes, valueChannels}, floatElement(op.getInits()[0]));
  if (isPaired()) {
    int64_t bytes = rows * paddedChannels * 2;
    auto words = [&](Value memory, ArrayRef<int64_t> shape, Type element) {
      return memref::ViewOp::create(b, MemRefType::get(shape, element), memory,
                                    constant(0), ValueRange());
    };
    Value memory = alloc({b.getIndexAttr(bytes)}, b.getI8Type());
    queryTile = words(memory, {rows, paddedChannels}, b.getBF16Type());
    queryWords = words(memory, {rows, paddedChannels / 2}, b.getI32Type());
    memory = alloc({b.getIndexAttr(maxBlocks * bytes)}, b.getI8Type());
    transposed = words(memory, {maxBlocks, paddedChannels / 2, 2 * rows},
                       b.getBF16Type());
    transposedWords =
        words(memory, {maxBlocks, paddedChannels / 2, rows}, b.getI32Type());
    weights = alloc({b.getIndexAttr(tileKeys / 2), b.getIndexAttr(2 * rows)},
                    b.getBF16Type());
    acc = alloc({count, b.getIndexAttr(paddedValueChannels), lanes}, type);
    // The channels that fill up a row stay zero.
    if (getConstantIntValue(channels) != paddedChannels)
      linalg::FillOp::create(
          b, Value(arith::ConstantOp::create(b, b.getI32IntegerAttr(0))),
          queryWords);
  } else {
    transposed = alloc({count, channels, lanes}, type);
    acc = alloc({count, valueChannels, lanes}, type);
  }
  maxima = alloc({count, lanes}, type);
  sums = alloc({count, lanes}, type);
  scores = alloc({keys, lanes}, type);
  correction = alloc({lanes}, type);
  if (op.getCausal() || op.getChunk())
    positions = alloc({count, lanes}, b.getI32Type());
  queryTables =
      allocateTables(queryRotation, op.getQueryRotationOperands(),
                     op.getQuery(), queryMap, {1, heads, queries, tileKeys});
  for (ScoreOperand &operand : scoreOperands) {
    if (!operand.followsRows)
      continue;
    Type element = getElementTypeOrSelf(operand.operand->get().getType());
    // Vectors of i1 do not lie in memory as its elements do.
    if (element.isInteger(1))
      element = b.getI32Type();
    operand.packed =
        alloc({operand.followsKeys ? keys : count, lanes}, element);
  }
}

void AttentionTiler::emitTask(Value batchIndex, Value headIndex, Value chunk) {
  Block *body = b.getInsertionBlock();
  allocate();
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  batch = batchIndex;
  readBatch(batch);
  firstHead = value(apply(s0 * heads, {headIndex}));
  firstQuery = arith::MulIOp::create(
      b, arith::MulIOp::create(b, chunk, chunkBlocks), constant(queries));
  Value left = value(
      apply((s0 - s1).ceilDiv(queries), {sizeOf(Loop::query), firstQuery}));
  numBlocks = min(chunkBlocks, left);

  forEachBlock([&](Value block) { emitPrologue(block); });
  emitKeys();
  forEachBlock([&](Value block) { emitEpilogue(block); });
  for (memref::AllocOp alloc : llvm::to_vector(body->getOps<memref::AllocOp>()))
    memref::DeallocOp::create(b, alloc);
}

Parts AttentionTiler::blockParts(Value block) {
  return {Part{batch, b.getIndexAttr(1)},
          Part{firstHead, b.getIndexAttr(heads)}, queriesOf(block),
          Part{b.getIndexAttr(0), numKeys}};
}

/// Packs a score operand, from element `start` of its scratch memory on, as the
/// rows lie.
void AttentionTiler::pack(const ScoreOperand &operand, const Parts &parts,
                          OpFoldResult start) {
  SmallVector<Loop> kept, dropped = {Loop::batch};
  if (heads == 1)
    dropped.push_back(Loop::head);
  Value tile =
      tileOf(operand.operand->get(), operand.map, parts, dropped, kept);
  SmallVector<Loop> loops = {Loop::query};
  if (heads > 1)
    loops.push_back(Loop::head);
  if (operand.followsKeys)
    loops.insert(loops.begin(), Loop::key);
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1)), sizes, used;
  strides[unsigned(Loop::query)] = b.getIndexAttr(heads);
  strides[unsigned(Loop::key)] = b.getIndexAttr(rows);
  for (Loop loop : loops) {
    sizes.push_back(parts[unsigned(loop)].size);
    used.push_back(strides[unsigned(loop)]);
  }
  Value target = view(operand.packed, start, sizes, used);
  Type element = getElementTypeOrSelf(target.getType());
  generic({tile}, {projectMap(mapOf(kept), loops)}, target,
          b.getMultiDimIdentityMap(loops.size()),
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            if (arguments[0].getType() == element)
              return arguments[0];
            return arith::ExtUIOp::create(b, element, arguments[0]);
          });
}

/// Where the rows of a block start in scratch memory that has all blocks.
OpFoldResult AttentionTiler::startOf(Value block) {
  return apply(b.getAffineSymbolExpr(0) * rows, {block});
}

void AttentionTiler::emitPrologue(Value block) {
  Parts parts = blockParts(block);
  Part part = parts[unsigned(Loop::query)];
  AffineExpr s0 = b.getAffineSymbolExpr(0);

  // The queries, rotated, one after another; then transposed.
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1));
  OpFoldResult perRow =
      isPaired() ? OpFoldResult(b.getIndexAttr(paddedChannels)) : channels;
  strides[unsigned(Loop::head)] = perRow;
  strides[unsigned(Loop::query)] = apply(s0 * heads, {perRow});
  Value tile = tileView(queryTile, b.getIndexAttr(0), op.getQuery(), queryMap,
                        parts, strides);
  if (queryRotation) {
    rotate(queryRotation, op.getQuery(), queryMap, parts,
           makeTables(queryRotation, op.getQueryRotationOperands(), queryMap,
                      parts, queryTables),
           tile);
  } else {
    SmallVector<Part> all =
        partsOf(op.getQuery(), followedLoops(queryMap), parts);
    linalg::CopyOp::create(
        b, slice(op.getQuery(), all, SmallVector<bool>(all.size(), false)),
        tile);
  }
  MLIRContext *context = b.getContext();
  AffineMap plain = b.getMultiDimIdentityMap(2);
  AffineMap swapped =
      AffineMap::getPermutationMap(ArrayRef<unsigned>{1, 0}, context);
  OpFoldResult allRows = b.getIndexAttr(rows);
  if (isPaired()) {
    generic({queryWords}, {plain},
            row(transposedWords, {block},
                {b.getIndexAttr(paddedChannels / 2), allRows}),
            swapped, [&](ImplicitLocOpBuilder &, ValueRange arguments) {
              return arguments[0];
            });
  } else {
    double scale = op.getScale().convertToDouble();
    generic({queryTile}, {plain}, row(transposed, {block}, {channels, allRows}),
            swapped, [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              Value x = toFloat(b, arguments[0], type);
              return scale == 1.0 ? x : scaledBy(b, x, scale);
            });
  }

  // The state.
  auto fill = [&](Value number, Value memref) {
    linalg::FillOp::create(b, number, memref);
  };
  OpFoldResult all = b.getIndexAttr(rows);
  Value maximum = row(maxima, {block}, {all});
  fill(number(0.0), row(acc, {block}, {valueChannels, all}));
  fill(number(op.getSinks() ? 1.0 : 0.0), row(sums, {block}, {all}));
  fill(infinity(/*negative=*/true), maximum);
  OpFoldResults sizes = {part.size, b.getIndexAttr(heads)};
  OpFoldResults rowStrides = {b.getIndexAttr(heads), b.getIndexAttr(1)};
  if (op.getSinks()) {
    Value sinks = slice(op.getSinks(), {parts[unsigned(Loop::head)]}, {false});
    generic({sinks}, {AffineMap::get(2, 0, b.getAffineDimExpr(1))},
            view(maxima, startOf(block), sizes, rowStrides), plain,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              Value sink = toFloat(b, arguments[0], type);
              if (!isScaledLast())
                return sink;
              return scaledBy(b, sink, 1 / op.getScale().convertToDouble());
            });
  }
  if (positions) {
    // Those beyond all keys are as good as equal.
    Value first = positionOf(value(part.offset));
    generic({}, {}, view(positions, startOf(block), sizes, rowStrides), plain,
            [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
              Value position = add(first, linalg::IndexOp::create(b, 0));
              position = min(max(position, constant(-kFarPosition)),
                             constant(kFarPosition));
              return arith::IndexCastOp::create(b, b.getI32Type(), position);
            });
  }
  for (const ScoreOperand &operand : scoreOperands)
    if (operand.followsRows && !operand.followsKeys)
      pack(operand, parts, startOf(block));
}

void AttentionTiler::emitKeys() {
  Value last = arith::MulIOp::create(b, numBlocks, constant(queries));
  last =
      sub(min(value(sizeOf(Loop::query)), add(firstQuery, last)), constant(1));
  auto [start, end] = visibleKeys(positionOf(firstQuery), positionOf(last));
  // Tiles are those of the packed values.
  if (isPaired())
    start = value(
        apply(b.getAffineSymbolExpr(0).floorDiv(tileKeys) * tileKeys, {start}));
  auto loop = scf::ForOp::create(b, start, end, constant(tileKeys));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  emitTile(loop.getInductionVar(),
           min(constant(tileKeys), sub(end, loop.getInductionVar())));
}

/// The keys or values of a tile, if they are packed.
Value AttentionTiler::packedTile(Value packed, AffineMap map, Value start,
                                 Value count, OpFoldResult size) {
  if (!packed)
    return Value();
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult head = zero;
  if (findLoop(map, Loop::head))
    head = apply(b.getAffineSymbolExpr(0).floorDiv(getGroup(map)), {firstHead});
  return slice(packed,
               {{followsBatch(map) ? OpFoldResult(batch) : zero, one},
                {head, one},
                {start, count},
                {zero, size}},
               {true, true, false, false});
}

void AttentionTiler::emitTile(Value start, Value count) {
  Value keys, values;
  if (!isPaired()) {
    keys = packedTile(packedKeys, keyMap, start, count, channels);
    values = packedTile(packedValues, valueMap, start, count, valueChannels);
  }
  forEachBlock([&](Value block) {
    Part part = queriesOf(block);
    Value first = positionOf(value(part.offset));
    Value last = sub(add(first, value(part.size)), constant(1));
    auto [from, to] = visibleKeys(first, last);
    from = max(from, start);
    to = min(to, add(start, count));
    Value any = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, from, to);
    auto branch = scf::IfOp::create(b, any, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    if (isPaired()) {
      // Whole steps of the unit, within the tile.
      from = value(apply(b.getAffineSymbolExpr(0).floorDiv(32) * 32, {from}));
      emitPairBlock(block, start, from, sub(to, from));
    } else {
      emitBlock(block, start, from, sub(to, from), keys, values);
    }
  });
}

/// Whether a row of a block does not see one of the keys: few tiles are cut so.
Value AttentionTiler::isCut(const Parts &parts) {
  Part queries = parts[unsigned(Loop::query)],
       keys = parts[unsigned(Loop::key)];
  Value first = positionOf(value(queries.offset));
  Value last = sub(add(first, value(queries.size)), constant(1));
  std::pair<Value, Value> ofFirst = visibleKeys(first, first);
  std::pair<Value, Value> ofLast = visibleKeys(last, last);
  Value from = value(keys.offset), to = add(from, value(keys.size));
  return arith::OrIOp::create(
      b,
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, from,
                            max(ofFirst.first, ofLast.first)),
      arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, to,
                            min(ofFirst.second, ofLast.second)));
}

void AttentionTiler::emitBlock(Value block, Value start, Value from,
                               Value count, Value keys, Value values) {
  // A region may hide any key.
  if (!op.getRegion().empty() || !positions)
    return emitOnline(block, start, from, count, keys, values,
                      /*isMasked=*/!op.getRegion().empty());
  Parts parts = blockParts(block);
  parts[unsigned(Loop::key)] = {from, count};
  auto branch = scf::IfOp::create(b, isCut(parts), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  emitOnline(block, start, from, count, keys, values, /*isMasked=*/true);
  b.setInsertionPointToStart(branch.elseBlock());
  emitOnline(block, start, from, count, keys, values, /*isMasked=*/false);
}

void AttentionTiler::emitOnline(Value block, Value start, Value from,
                                Value count, Value keys, Value values,
                                bool isMasked) {
  Parts parts = blockParts(block);
  parts[unsigned(Loop::key)] = {from, count};
  OpFoldResult lanes = rowsOf(parts[unsigned(Loop::query)]);
  Value shift = sub(from, start);
  SmallVector<AffineMap> maps;
  // Keys and values in place, or in scratch memory.
  auto inner = [&](Value operand, AffineMap map, Value scratch, Loop loop,
                   OpFoldResult size) -> Value {
    SmallVector<Loop> kept;
    if (!scratch) {
      Value tile = tileOf(operand, map, parts, {Loop::batch, Loop::head}, kept);
      maps.push_back(mapOf(kept));
      return tile;
    }
    maps.push_back(mapOf({Loop::key, loop}));
    return slice(scratch, {{shift, count}, {b.getIndexAttr(0), size}},
                 {false, false});
  };
  Value query = row(transposed, {block}, {channels, lanes});
  maps.push_back(mapOf({Loop::channel, Loop::query}));
  Value key = inner(op.getKey(), keyMap, keys, Loop::channel, channels);
  Value value =
      inner(op.getValue(), valueMap, values, Loop::valueChannel, valueChannels);

  SmallVector<Value> operands;
  if (isMasked)
    packRowOperands(parts, lanes, operands, maps, block);
  maps.append({mapOf({Loop::valueChannel, Loop::query}), mapOf({Loop::query}),
               mapOf({Loop::query}), mapOf({Loop::key, Loop::query}),
               mapOf({Loop::query})});
  auto online = OnlineAttentionOp::create(
      b, TypeRange{}, query, key, value, operands,
      row(acc, {block}, {valueChannels, lanes}), row(maxima, {block}, {lanes}),
      row(sums, {block}, {lanes}), row(scores, {}, {count, lanes}),
      row(correction, {}, {lanes}), b.getAffineMapArrayAttr(maps),
      b.getF64FloatAttr(1.0), isMasked ? UnitAttr() : b.getUnitAttr());
  if (!isMasked)
    return;

  buildScores(online, indicesOf(parts), from, bool(positions));
}

/// The elements of score operands that a block needs, and its positions, with
/// their maps.
void AttentionTiler::packRowOperands(const Parts &parts, OpFoldResult lanes,
                                     SmallVectorImpl<Value> &operands,
                                     SmallVectorImpl<AffineMap> &maps,
                                     Value block) {
  for (const ScoreOperand &operand : scoreOperands) {
    if (!operand.followsRows) {
      SmallVector<Loop> kept;
      operands.push_back(tileOf(operand.operand->get(), operand.map, parts,
                                {Loop::batch, Loop::head, Loop::query}, kept));
      maps.push_back(mapOf(kept));
    } else if (operand.followsKeys) {
      pack(operand, parts, b.getIndexAttr(0));
      operands.push_back(
          row(operand.packed, {}, {parts[unsigned(Loop::key)].size, lanes}));
      maps.push_back(mapOf({Loop::key, Loop::query}));
    } else {
      operands.push_back(row(operand.packed, {block}, {lanes}));
      maps.push_back(mapOf({Loop::query}));
    }
  }
  if (positions) {
    operands.push_back(row(positions, {block}, {lanes}));
    maps.push_back(mapOf({Loop::query}));
  }
}

/// The indices of the rows of a block.
AttentionTiler::Indices AttentionTiler::indicesOf(const Parts &parts) {
  Value firstOfBlock = value(parts[unsigned(Loop::query)].offset);
  return [=](ImplicitLocOpBuilder &b, Value row) -> std::array<Value, 3> {
    Value head = firstHead, index = row;
    if (heads > 1) {
      Value number = arith::ConstantIndexOp::create(b, heads);
      head = arith::AddIOp::create(b, head,
                                   arith::RemUIOp::create(b, row, number));
      index = arith::DivUIOp::create(b, row, number);
    }
    return {batch, head, arith::AddIOp::create(b, index, firstOfBlock)};
  };
}

/// A block's scores, softmax and sums by products of pairs.
void AttentionTiler::emitPairBlock(Value block, Value start, Value from,
                                   Value count) {
  Parts parts = blockParts(block);
  parts[unsigned(Loop::key)] = {from, count};
  OpFoldResult all = b.getIndexAttr(rows), zero = b.getIndexAttr(0),
               one = b.getIndexAttr(1);
  auto indexIn = [&](AffineMap map) -> std::pair<OpFoldResult, OpFoldResult> {
    OpFoldResult head = zero;
    if (findLoop(map, Loop::head))
      head =
          apply(b.getAffineSymbolExpr(0).floorDiv(getGroup(map)), {firstHead});
    return {followsBatch(map) ? OpFoldResult(batch) : zero, head};
  };
  auto roundUp = [&](Value x, int64_t multiple) {
    return value(
        apply(b.getAffineSymbolExpr(0).ceilDiv(multiple) * multiple, {x}));
  };

  // Further keys, or what lies behind them, get scores that nobody reads.
  auto [keyBatch, keyHead] = indexIn(keyMap);
  Value padded = roundUp(count, pairs.rowMultiple());
  Value keys = slice(packedKeys,
                     {{keyBatch, one},
                      {keyHead, one},
                      {from, padded},
                      {zero, b.getIndexAttr(paddedChannels)}},
                     {true, true, false, false});
  Value queries =
      row(transposed, {block},
          {b.getIndexAttr(paddedChannels / 2), b.getIndexAttr(2 * rows)});
  Value product = row(scores, {}, {padded, all});
  pairs.product(keys, queries, product, /*accumulates=*/false);

  auto modify = [&]() {
    SmallVector<Value> operands;
    SmallVector<AffineMap> maps;
    packRowOperands(parts, all, operands, maps, block);
    for (AffineMap &map : maps)
      map = projectMap(map, {Loop::key, Loop::query});
    Indices indices = indicesOf(parts);
    generic(operands, maps, row(scores, {}, {count, all}),
            b.getMultiDimIdentityMap(2),
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              Value key = linalg::IndexOp::create(b, 0);
              Value index = linalg::IndexOp::create(b, 1);
              Value score = arguments.back();
              if (!isScaledLast())
                score = scaledBy(b, score, op.getScale().convertToDouble());
              return buildScore(b, score, index, key, arguments.drop_back(),
                                indices, from, bool(positions));
            });
  };
  if (!isScaledLast()) {
    modify();
  } else if (positions) {
    auto branch = scf::IfOp::create(b, isCut(parts), /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    modify();
  }

  Value sum = row(acc, {block}, {b.getIndexAttr(paddedValueChannels), all});
  pairs.softmax(scores, count, row(maxima, {block}, {all}),
                row(sums, {block}, {all}), correction, weights,
                isScaledLast() ? op.getScale().convertToDouble() : 1.0);
  pairs.rescale(sum, correction);

  // A weight of zero times infinity is no number: such tiles are rare.
  std::pair<OpFoldResult, OpFoldResult> ofValue = indexIn(valueMap);
  Value tile = arith::DivUIOp::create(b, start, constant(tileKeys));
  Value shift = sub(from, start);
  Value depth = roundUp(count, pairs.depthMultiple());
  auto values = [&](int64_t channels, Value depth) {
    return slice(packedValues,
                 {{ofValue.first, one},
                  {ofValue.second, one},
                  {tile, one},
                  {zero, b.getIndexAttr(channels)},
                  {shift, depth}},
                 {true, true, true, false, false});
  };
  Value flag = memref::LoadOp::create(
      b, valueFlags,
      ValueRange{value(ofValue.first), value(ofValue.second), tile});
  Value isFinite = arith::CmpIOp::create(
      b, arith::CmpIPredicate::eq, flag,
      arith::ConstantOp::create(b, b.getI32IntegerAttr(0)));
  auto branch = scf::IfOp::create(b, isFinite, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  Value weightRows = row(
      weights, {}, {apply(s0.floorDiv(2), {depth}), b.getIndexAttr(2 * rows)});
  pairs.product(values(paddedValueChannels, depth), weightRows, sum,
                /*accumulates=*/true);
  b.setInsertionPointToStart(branch.elseBlock());
  emitCheckedSum(values(*getConstantIntValue(valueChannels), count), sum,
                 count);
}

/// sum[channel][row] += the values [channel][key] times their weights, without
/// those of weight zero.
void AttentionTiler::emitCheckedSum(Value values, Value sum, Value count) {
  FloatType narrow = b.getBF16Type();
  auto loop = scf::ForOp::create(b, constant(0), count, constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value key = loop.getInductionVar();
  // The weights of a key, one of each pair.
  Value pair = arith::DivUIOp::create(b, key, constant(2));
  Value isOdd = arith::RemUIOp::create(b, key, constant(2));
  Value ofKey = slice(
      values, {{b.getIndexAttr(0), valueChannels}, {key, b.getIndexAttr(1)}},
      {false, true});
  Value start = add(arith::MulIOp::create(b, pair, constant(2 * rows)), isOdd);
  Value weight =
      view(weights, start, {b.getIndexAttr(rows)}, {b.getIndexAttr(2)});
  AffineMap plain = b.getMultiDimIdentityMap(2);
  generic({ofKey, weight},
          {AffineMap::get(2, 0, b.getAffineDimExpr(0)),
           AffineMap::get(2, 0, b.getAffineDimExpr(1))},
          row(sum, {}, {valueChannels, b.getIndexAttr(rows)}), plain,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            Value zero =
                arith::ConstantOp::create(b, b.getFloatAttr(narrow, 0.0));
            Value isHidden = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                   arguments[1], zero);
            Value product =
                arith::MulFOp::create(b, toFloat(b, arguments[0], type),
                                      toFloat(b, arguments[1], type));
            return arith::SelectOp::create(
                b, isHidden, arguments[2],
                arith::AddFOp::create(b, arguments[2], product));
          });
}

void AttentionTiler::emitEpilogue(Value block) {
  Parts parts = blockParts(block);
  OpFoldResult all = b.getIndexAttr(rows);
  AffineMap vector = b.getMultiDimIdentityMap(1);
  AffineMap plain = b.getMultiDimIdentityMap(2);
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  Value sum = row(sums, {block}, {all});
  auto copyOut = [&](Value scratch, Value destination, AffineMap map,
                     ArrayRef<OpFoldResult> strides) {
    SmallVector<Part> tile = partsOf(destination, followedLoops(map), parts);
    linalg::CopyOp::create(
        b,
        tileView(scratch, b.getIndexAttr(0), destination, map, parts, strides),
        slice(destination, tile, SmallVector<bool>(tile.size(), false)));
  };
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1));

  if (op.getInits().size() > 1) {
    generic({row(maxima, {block}, {all}), sum}, {vector, vector}, correction,
            vector,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
              Value largest = arguments[0];
              if (isScaledLast())
                largest = scaledBy(b, largest, op.getScale().convertToDouble());
              return arith::AddFOp::create(
                  b, largest, math::LogOp::create(b, arguments[1]));
            });
    Value destination = op.getInits()[1];
    strides[unsigned(Loop::query)] = b.getIndexAttr(heads);
    AffineMap map = op.getMap(op.getInitsMutable()[1]);
    // Rounded in place of a copy.
    SmallVector<Part> tile = partsOf(destination, followedLoops(map), parts);
    AffineMap identity = b.getMultiDimIdentityMap(tile.size());
    FloatType element = floatElement(destination);
    generic({tileView(correction, b.getIndexAttr(0), destination, map, parts,
                      strides)},
            {identity},
            slice(destination, tile, SmallVector<bool>(tile.size(), false)),
            identity, [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              return toFloat(b, arguments[0], element);
            });
  }

  // Rows without any weight are zeros.
  generic({sum}, {vector}, correction, vector,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            Value zero =
                arith::ConstantOp::create(b, b.getFloatAttr(type, 0.0));
            Value one = arith::ConstantOp::create(b, b.getFloatAttr(type, 1.0));
            Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                  arguments[0], zero);
            return arith::SelectOp::create(
                b, isEmpty, zero, arith::DivFOp::create(b, one, arguments[0]));
          });
  FloatType element = floatElement(outputTile);
  MLIRContext *context = b.getContext();
  generic({row(acc, {block}, {valueChannels, all}), correction},
          {plain, AffineMap::get(2, 0, b.getAffineDimExpr(1))}, outputTile,
          AffineMap::getPermutationMap(ArrayRef<unsigned>{1, 0}, context),
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
            return toFloat(b,
                           arith::MulFOp::create(b, arguments[0], arguments[1]),
                           element);
          });
  strides[unsigned(Loop::head)] = valueChannels;
  strides[unsigned(Loop::query)] = apply(s0 * heads, {valueChannels});
  copyOut(outputTile, op.getInits()[0], outputMap, strides);
}

/// Results of queries that have no keys.
void AttentionTiler::emitWithoutKeys() {
  Value output = op.getInits()[0];
  linalg::FillOp::create(b, toFloat(b, number(0.0), floatElement(output)),
                         output);
  if (op.getInits().size() == 1)
    return;
  OpOperand &sums = op.getInitsMutable()[1];
  FloatType element = floatElement(sums.get());
  if (!op.getSinks()) {
    linalg::FillOp::create(b, toFloat(b, infinity(/*negative=*/true), element),
                           sums.get());
    return;
  }
  // The sinks are all that there is.
  unsigned rank = op.getMap(sums).getNumResults();
  std::optional<int64_t> head = findLoop(op.getMap(sums), Loop::head);
  AffineExpr sink =
      head ? b.getAffineDimExpr(*head) : b.getAffineConstantExpr(0);
  generic({op.getSinks()}, {AffineMap::get(rank, 0, sink)}, sums.get(),
          b.getMultiDimIdentityMap(rank),
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
            return toFloat(b, toFloat(b, arguments[0], type), element);
          });
}

/// Where there is nothing to write, or nothing to read: slices of nothing would
/// start out of bounds.
bool AttentionTiler::runWithoutKeys() {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(op);
  bool isEmpty = llvm::any_of(op.getInits(), [](Value init) {
    return llvm::is_contained(cast<MemRefType>(init.getType()).getShape(), 0);
  });
  std::optional<int64_t> keys = getConstantIntValue(sizeOf(Loop::key));
  if (llvm::is_contained(cast<MemRefType>(op.getKey().getType()).getShape(),
                         0) ||
      llvm::is_contained(cast<MemRefType>(op.getValue().getType()).getShape(),
                         0))
    keys = 0;
  if (!isEmpty && keys != 0)
    return false;
  if (!isEmpty)
    emitWithoutKeys();
  return true;
}

void AttentionTiler::run() {
  chooseBlocks();
  // Read by all tasks, and kept from call to call as the memory of one task.
  if (isPaired() || !isReadInPlace(Loop::channel) ||
      !isReadInPlace(Loop::valueChannel)) {
    auto region = scf::ExecuteRegionOp::create(b, TypeRange(),
                                               /*no_inline=*/b.getUnitAttr());
    b.createBlock(&region.getRegion());
    emitPacking();
    emitTasks();
    for (memref::AllocOp alloc :
         llvm::to_vector(region.getRegion().front().getOps<memref::AllocOp>()))
      memref::DeallocOp::create(b, alloc);
    scf::YieldOp::create(b);
  } else {
    emitTasks();
  }
}

void AttentionTiler::emitTasks() {
  OpBuilder::InsertionGuard guard(b);
  AffineExpr s0, s1, s2;
  bindSymbols(b.getContext(), s0, s1, s2);
  OpFoldResult length = sizeOf(Loop::query);
  OpFoldResult headBlocks = apply(s0.floorDiv(heads), {sizeOf(Loop::head)});
  OpFoldResult batches = sizeOf(Loop::batch);
  // As many blocks in a task as leave enough tasks.
  OpFoldResult all = apply(s0.ceilDiv(queries), {length});
  Value total =
      value(apply(s0 * s1, {all, apply(s0 * s1, {batches, headBlocks})}));
  Value perTask = arith::DivUIOp::create(b, total, constant(cost::kTasks));
  chunkBlocks = min(max(perTask, constant(1)), constant(maxBlocks));
  Value chunks = arith::CeilDivUIOp::create(b, value(all), chunkBlocks);
  SmallVector<Value> zeros(3, constant(0)), ones(3, constant(1));
  auto tasks = scf::ParallelOp::create(
      b, zeros, ValueRange{value(batches), value(headBlocks), chunks}, ones);
  b.setInsertionPointToStart(tasks.getBody());
  SmallVector<Value> ivs = llvm::to_vector_of<Value>(tasks.getInductionVars());
  emitTask(ivs[0], ivs[1], ivs[2]);
}

/// Whether products can be those of pairs: of bf16, in channels that are known.
static bool canPair(AttentionOp op) {
  auto isBF16 = [](Value value) {
    return getElementTypeOrSelf(value.getType()).isBF16();
  };
  auto size = [&](OpOperand &operand, Loop loop) {
    std::optional<int64_t> dim = findLoop(op.getMap(operand), loop);
    return dim ? cast<ShapedType>(operand.get().getType()).getDimSize(*dim) : 1;
  };
  return isBF16(op.getQuery()) && isBF16(op.getKey()) &&
         isBF16(op.getValue()) &&
         !ShapedType::isDynamic(size(op.getKeyMutable(), Loop::channel)) &&
         !ShapedType::isDynamic(size(op.getValueMutable(), Loop::valueChannel));
}

/// The form for many rows.
static void emitTiles(OpBuilder &builder, AttentionOp op,
                      const TileAttentionOptions &options) {
  unsigned bits = options.vectorBits;
  PairProduct unit =
      bits == 512 && canPair(op) ? options.pairProduct : PairProduct::none;
  if (unit == PairProduct::amx) {
    ImplicitLocOpBuilder b(op.getLoc(), builder);
    auto branch = scf::IfOp::create(b, buildAMXPermission(b),
                                    /*withElseRegion=*/true);
    builder.setInsertionPointToStart(branch.thenBlock());
    AttentionTiler(builder, op, bits, unit).run();
    builder.setInsertionPointToStart(branch.elseBlock());
    unit = PairProduct::none;
  }
  AttentionTiler(builder, op, bits, unit).run();
}

LogicalResult rope::tileAttention(RewriterBase &rewriter, AttentionOp op,
                                  const TileAttentionOptions &options) {
  if (!op.getResults().empty())
    return rewriter.notifyMatchFailure(op, "is on tensors");
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  unsigned bits = options.vectorBits;
  if (AttentionTiler(rewriter, op, bits, PairProduct::none).runWithoutKeys()) {
    rewriter.eraseOp(op);
    return success();
  }
  Decode decode = chooseDecode(op);
  if (decode == Decode::always)
    emitDecode(rewriter, op);
  if (decode == Decode::dynamic) {
    auto branch = scf::IfOp::create(rewriter, op.getLoc(),
                                    buildIsDecode(rewriter, op), /*else=*/true);
    rewriter.setInsertionPointToStart(branch.thenBlock());
    emitDecode(rewriter, op);
    rewriter.setInsertionPointToStart(branch.elseBlock());
  }
  if (decode != Decode::always)
    emitTiles(rewriter, op, options);
  rewriter.eraseOp(op);
  return success();
}

namespace {
struct TileAttention : rope::impl::TileAttentionBase<TileAttention> {
  using TileAttentionBase::TileAttentionBase;

  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation()->walk([&](AttentionOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (AttentionOp op : ops)
      (void)tileAttention(rewriter, op, {vectorBits, pairProduct});
  }
};
} // namespace

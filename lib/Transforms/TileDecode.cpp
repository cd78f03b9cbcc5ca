//===- TileDecode.cpp - attention of few rows to loops over tiles ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where few queries meet many keys, as in decoding, the time is that of reading
// keys and values once. The rows of a head block are the queries of all heads
// that share a key head: row `g * queries + i`. Lanes of vectors are channels
// in the products and keys in the softmax: keys and values are read where they
// lie, in rows. The keys are split among tasks, whose results are combined:
//
//   parallel for (batch, chunk of head blocks, split of the keys):
//     rotate and scale the queries
//     for each tile of keys:
//       make the rows of the table
//       for each head block: what rope.online_attention stands for
//   parallel for (batch, chunk of head blocks):
//     weigh and add what the splits have, store
//
// Heads are inside of tiles where they are so in memory, or share the rows of a
// table.
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "Rope/Transforms/CostModel.h"
#include "VectorBody.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::rope;

/// Keys of a tile.
static constexpr int64_t kKeys = cost::kDecodeTileKeys;
/// Rows of a tile of products, which read each key once.
static constexpr int64_t kRotatingRows = 4;

namespace {
class DecodeTiler : AttentionTiles {
public:
  DecodeTiler(OpBuilder &builder, AttentionOp op)
      : AttentionTiles(builder, op), heads(countSharedHeads(op)) {}

  void run();

private:
  void chooseSizes();
  void emitTask(Value batchIndex, Value chunk, Value split);
  void emitQueries();
  void emitTile(Value from, Value count);
  void emitBlock(Value block, Value from, Value count, ArrayRef<Value> cosSin);
  bool isRotatedInProduct();
  void emitProduct(Value query, Value key, ArrayRef<Value> cosSin, Value scores,
                   OpFoldResult count);
  Value prepareScoreOperand(const ScoreOperand &operand, const Parts &parts,
                            SmallVectorImpl<AffineMap> &maps);
  void emitCombination(Value batchIndex, Value chunk);
  void freeScratch(Block *body);
  void forEachBlock(function_ref<void(Value)> body);
  Value exponential(ImplicitLocOpBuilder &b, Value x, Value max);
  OpFoldResult times(OpFoldResult x, OpFoldResult y) {
    return apply(b.getAffineSymbolExpr(0) * b.getAffineSymbolExpr(1), {x, y});
  }
  Parts blockParts(Value block);
  Parts chunkParts();
  OpFoldResults rowStrides(OpFoldResult size);

  /// Heads of a block, and blocks of a task.
  int64_t heads, blocks = 1;
  /// Queries, rows of a block and of a task, chunks of blocks, splits, and the
  /// keys of each.
  OpFoldResult length, rows, taskRows, chunks, splits, splitKeys;
  /// What the splits have: [batch][chunk][split][row], and channels.
  Value accs, maxima, sums;
  SmallVector<ScoreOperand, 2> scoreOperands;

  // Of a task.
  Value batch, chunk, firstHead;
  Value queries, wideKeys, wideValues, acc, maximum, total, positions, scores,
      correction;
  SmallVector<Value> keyTables;
};
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

Decode rope::chooseDecode(AttentionOp op) {
  int64_t heads = countSharedHeads(op);
  int64_t numHeads = getStaticSize(op, Loop::head);
  int64_t length = getStaticSize(op, Loop::query);
  if (heads > cost::kDecodeRows ||
      (!ShapedType::isDynamic(numHeads) && numHeads % heads != 0))
    return Decode::never;
  // Rows of channels are read as vectors.
  auto hasRows = [&](OpOperand &operand, Loop loop) {
    AffineMap map = op.getMap(operand);
    auto type = cast<MemRefType>(operand.get().getType());
    return findLoop(map, loop) == map.getNumResults() - 1 &&
           type.isLastDimUnitStride();
  };
  if (!hasRows(op.getKeyMutable(), Loop::channel) ||
      !hasRows(op.getValueMutable(), Loop::valueChannel))
    return Decode::never;
  // A block has one of each score operand that is shared.
  for (OpOperand &operand : op.getScoreOperandsMutable()) {
    AffineMap map = op.getMap(operand);
    if (findLoop(map, Loop::head) && getGroup(map) > 1 &&
        getGroup(map) % heads != 0)
      return Decode::never;
  }
  if (ShapedType::isDynamic(length))
    return Decode::dynamic;
  return length * heads <= cost::kDecodeRows ? Decode::always : Decode::never;
}

/// Whether the heads of keys are inside of the keys in memory.
static bool areHeadsInside(AttentionOp op) {
  AffineMap map = op.getMap(op.getKeyMutable());
  std::optional<int64_t> head = findLoop(map, Loop::head);
  std::optional<int64_t> key = findLoop(map, Loop::key);
  if (!head)
    return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(op.getKey().getType());
  if (succeeded(type.getStridesAndOffset(strides, offset)) &&
      !ShapedType::isDynamic(strides[*head]) &&
      !ShapedType::isDynamic(strides[*key]))
    return strides[*head] < strides[*key];
  return *head > *key;
}

void DecodeTiler::chooseSizes() {
  AffineExpr s0, s1, s2;
  bindSymbols(b.getContext(), s0, s1, s2);
  length = sizeOf(Loop::query);
  channels = sizeOf(Loop::channel);
  valueChannels = sizeOf(Loop::valueChannel);
  // A product, so that it shows.
  auto product = [&](int64_t factor, OpFoldResult size) -> OpFoldResult {
    if (std::optional<int64_t> known = getConstantIntValue(size))
      return b.getIndexAttr(factor * *known);
    return Value(arith::MulIOp::create(b, value(size), constant(factor)));
  };
  rows = product(heads, length);
  int64_t numHeads = getStaticSize(op, Loop::head);
  // Heads share the rows of the table too, wherever they lie.
  if (!ShapedType::isDynamic(numHeads) && (keyRotation || areHeadsInside(op))) {
    int64_t perRow = getConstantIntValue(channels).value_or(128) +
                     getConstantIntValue(valueChannels).value_or(128);
    int64_t numRows = getConstantIntValue(rows).value_or(heads);
    int64_t bytes =
        std::max<int64_t>(1, perRow * numRows * type.getWidth() / 8);
    int64_t all = std::max<int64_t>(1, numHeads / heads);
    blocks = std::clamp<int64_t>(cost::kDecodeStateBytes / bytes, 1, all);
    while (all % blocks != 0)
      --blocks;
  }
  taskRows = product(blocks, rows);
  chunks = apply(s0.floorDiv(heads * blocks), {sizeOf(Loop::head)});

  // Keys that one of the queries may see at most.
  Value span = value(sizeOf(Loop::key));
  if (std::optional<uint64_t> window = op.getWindow())
    span = min(span, add(value(length),
                         constant(std::min<int64_t>(*window, kFarPosition))));
  if (std::optional<uint64_t> size = op.getChunk()) {
    int64_t two = 2 * std::min<int64_t>(*size, kFarPosition);
    span = min(span, add(value(length), constant(two)));
  }
  // As many in a split as leave enough tasks.
  OpFoldResult others = times(sizeOf(Loop::batch), chunks);
  Value perTask =
      value(apply((s0 * s1).ceilDiv(cost::kDecodeTasks), {span, others}));
  perTask = min(max(perTask, constant(cost::kMinSplitKeys)),
                constant(cost::kMaxSplitKeys));
  splitKeys = apply(s0.ceilDiv(kKeys) * kKeys, {perTask});
  splits = apply(s0.ceilDiv(s1), {span, value(splitKeys)});

  for (OpOperand &operand : op.getScoreOperandsMutable()) {
    AffineMap map = op.getMap(operand);
    bool ofHeads = heads > 1 && findLoop(map, Loop::head) && getGroup(map) == 1;
    bool ofQueries =
        findLoop(map, Loop::query) && getConstantIntValue(length) != 1;
    scoreOperands.push_back({&operand, map, ofHeads || ofQueries,
                             bool(findLoop(map, Loop::key)), Value()});
  }
}

Parts DecodeTiler::chunkParts() {
  return {Part{batch, b.getIndexAttr(1)},
          Part{firstHead, b.getIndexAttr(heads * blocks)},
          Part{b.getIndexAttr(0), length}, Part{b.getIndexAttr(0), numKeys}};
}

Parts DecodeTiler::blockParts(Value block) {
  Parts parts = chunkParts();
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  parts[unsigned(Loop::head)] = {apply(s0 + s1 * heads, {firstHead, block}),
                                 b.getIndexAttr(heads)};
  return parts;
}

/// The strides of the loops in scratch memory with `size` numbers for each row.
OpFoldResults DecodeTiler::rowStrides(OpFoldResult size) {
  OpFoldResults strides(kNumLoops, b.getIndexAttr(1));
  strides[unsigned(Loop::query)] = size;
  strides[unsigned(Loop::head)] = times(size, length);
  return strides;
}

void DecodeTiler::forEachBlock(function_ref<void(Value)> body) {
  if (blocks == 1)
    return body(constant(0));
  auto loop = scf::ForOp::create(b, constant(0), constant(blocks), constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void DecodeTiler::freeScratch(Block *body) {
  for (memref::AllocOp alloc : llvm::to_vector(body->getOps<memref::AllocOp>()))
    memref::DeallocOp::create(b, alloc);
}

//===----------------------------------------------------------------------===//
// A task
//===----------------------------------------------------------------------===//

void DecodeTiler::emitTask(Value batchIndex, Value chunkIndex, Value split) {
  Block *body = b.getInsertionBlock();
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  batch = batchIndex;
  chunk = chunkIndex;
  firstHead = value(apply(s0 * (heads * blocks), {chunk}));
  readBatch(batch);

  OpFoldResult keys = b.getIndexAttr(kKeys);
  OpFoldResult numBlocks = b.getIndexAttr(blocks);
  queries = alloc({numBlocks, rows, channels}, type);
  maximum = alloc({numBlocks, rows}, type);
  total = alloc({numBlocks, rows}, type);
  scores = alloc({rows, keys}, type);
  correction = alloc({rows}, type);
  // What is neither looked up nor dequantized is read in place.
  if ((keyRotation && !isRotatedInProduct()) || op.getPages() ||
      op.getKeyScales())
    wideKeys = alloc({keys, channels}, type);
  if (op.getPages() || op.getValueScales())
    wideValues = alloc({keys, valueChannels}, type);
  // One query sees all keys of a task.
  if ((op.getCausal() || op.getChunk()) && getConstantIntValue(length) != 1)
    positions = alloc({rows}, b.getI32Type());
  keyTables = allocateTables(keyRotation, op.getKeyRotationOperands(),
                             op.getKey(), keyMap, {1, 1, 1, kKeys});
  for (ScoreOperand &operand : scoreOperands) {
    OpFoldResults sizes;
    if (operand.followsRows)
      sizes.push_back(rows);
    if (operand.followsKeys)
      sizes.push_back(keys);
    Type element = getElementTypeOrSelf(operand.operand->get().getType());
    // Vectors of i1 do not lie in memory as its elements do.
    if (element.isInteger(1))
      element = b.getI32Type();
    if (!sizes.empty())
      operand.packed = alloc(sizes, element);
  }

  acc = row(accs, {batch, chunk, split}, {numBlocks, rows, valueChannels});
  linalg::FillOp::create(b, number(0.0), acc);
  linalg::FillOp::create(b, number(0.0), total);
  linalg::FillOp::create(b, infinity(/*negative=*/true), maximum);
  emitQueries();

  Value last = sub(add(positionOf(constant(0)), value(length)), constant(1));
  auto [start, end] = visibleKeys(positionOf(constant(0)), last);
  Value from = add(start, value(times(splitKeys, split)));
  Value to = min(end, add(from, value(splitKeys)));
  auto loop = scf::ForOp::create(b, from, to, constant(kKeys));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value tile = loop.getInductionVar();
    emitTile(tile, min(constant(kKeys), sub(to, tile)));
  }
  // Tasks share no lines of the cache until they end.
  linalg::CopyOp::create(b, maximum,
                         row(maxima, {batch, chunk, split}, {numBlocks, rows}));
  linalg::CopyOp::create(b, total,
                         row(sums, {batch, chunk, split}, {numBlocks, rows}));
  freeScratch(body);
}

/// The queries of all blocks, rotated and scaled, and their positions.
void DecodeTiler::emitQueries() {
  Parts parts = chunkParts();
  Value tile = tileView(queries, b.getIndexAttr(0), op.getQuery(), queryMap,
                        parts, rowStrides(channels));
  double scale = op.getScale().convertToDouble();
  auto scaled = [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
    Value x = toFloat(b, arguments[0], type);
    if (scale == 1.0)
      return x;
    return arith::MulFOp::create(
        b, x, arith::ConstantOp::create(b, b.getFloatAttr(type, scale)));
  };
  if (queryRotation) {
    SmallVector<int64_t> largest = {
        1, heads * blocks,
        getConstantIntValue(length).value_or(cost::kDecodeRows / heads), 1};
    SmallVector<Value> tables =
        allocateTables(queryRotation, op.getQueryRotationOperands(),
                       op.getQuery(), queryMap, largest);
    rotate(queryRotation, op.getQuery(), queryMap, parts,
           makeTables(queryRotation, op.getQueryRotationOperands(), queryMap,
                      parts, tables),
           tile);
    if (scale != 1.0)
      generic({}, {}, queries, b.getMultiDimIdentityMap(3), scaled);
  } else {
    SmallVector<Part> all =
        partsOf(op.getQuery(), followedLoops(queryMap), parts);
    AffineMap plain = b.getMultiDimIdentityMap(all.size());
    generic({slice(op.getQuery(), all, SmallVector<bool>(all.size(), false))},
            {plain}, tile, plain, scaled);
  }
  if (!positions)
    return;
  // Those beyond all keys are as good as equal.
  Value first = positionOf(constant(0));
  generic({}, {},
          view(positions, b.getIndexAttr(0), {b.getIndexAttr(heads), length},
               {length, b.getIndexAttr(1)}),
          b.getMultiDimIdentityMap(2),
          [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
            Value position = add(first, linalg::IndexOp::create(b, 1));
            position = min(max(position, constant(-kFarPosition)),
                           constant(kFarPosition));
            return arith::IndexCastOp::create(b, b.getI32Type(), position);
          });
}

void DecodeTiler::emitTile(Value from, Value count) {
  auto makeRows = [&](OpFoldResult head, OpFoldResult numHeads) {
    Parts parts = {Part{batch, b.getIndexAttr(1)}, Part{head, numHeads},
                   Part{b.getIndexAttr(0), b.getIndexAttr(1)},
                   Part{from, count}};
    return makeTables(keyRotation, op.getKeyRotationOperands(), keyMap, parts,
                      keyTables);
  };
  // All heads share the rows of the table that do not follow them.
  bool isShared =
      keyRotation &&
      llvm::none_of(
          keyRotation.getPositionDims().asArrayRef(), [&](int64_t dim) {
            return matchMapResult(keyMap.getResult(dim))->loop == Loop::head;
          });
  SmallVector<Value> cosSin;
  if (isShared)
    cosSin = makeRows(firstHead, b.getIndexAttr(1));
  forEachBlock([&](Value block) {
    if (keyRotation && !isShared)
      cosSin = makeRows(blockParts(block)[unsigned(Loop::head)].offset,
                        b.getIndexAttr(1));
    emitBlock(block, from, count, cosSin);
  });
}

/// The part of a score operand for the rows and keys of a tile.
Value DecodeTiler::prepareScoreOperand(const ScoreOperand &operand,
                                       const Parts &parts,
                                       SmallVectorImpl<AffineMap> &maps) {
  SmallVector<Loop> kept, dropped = {Loop::batch};
  if (!operand.followsRows)
    dropped.append({Loop::head, Loop::query});
  Value tile =
      tileOf(operand.operand->get(), operand.map, parts, dropped, kept);
  SmallVector<Loop> loops, followed;
  OpFoldResults sizes, strides;
  OpFoldResult one = b.getIndexAttr(1);
  OpFoldResult perRow = operand.followsKeys ? b.getIndexAttr(kKeys) : one;
  if (operand.followsRows) {
    loops = {Loop::head, Loop::query};
    sizes = {b.getIndexAttr(heads), length};
    strides = {times(perRow, length), perRow};
    followed.push_back(Loop::query);
  }
  if (operand.followsKeys) {
    loops.push_back(Loop::key);
    sizes.push_back(parts[unsigned(Loop::key)].size);
    strides.push_back(one);
    followed.push_back(Loop::key);
  }
  maps.push_back(mapOf(followed));
  if (!operand.packed)
    return tile;
  Value target = view(operand.packed, b.getIndexAttr(0), sizes, strides);
  Type element = getElementTypeOrSelf(target.getType());
  generic({tile}, {projectMap(mapOf(kept), loops)}, target,
          b.getMultiDimIdentityMap(loops.size()),
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            if (arguments[0].getType() == element)
              return arguments[0];
            return arith::ExtUIOp::create(b, element, arguments[0]);
          });
  OpFoldResults used;
  if (operand.followsRows)
    used.push_back(rows);
  if (operand.followsKeys)
    used.push_back(parts[unsigned(Loop::key)].size);
  return row(operand.packed, {}, used);
}

/// Whether keys are rotated as the products read them, row by row: halves, for
/// so few rows that each key is rotated once.
bool DecodeTiler::isRotatedInProduct() {
  return keyRotation && !op.getPages() && !op.getKeyScales() &&
         keyRotation.getPairing() == Pairing::half &&
         keyRotation.getOffset() == 0 && !keyRotation.getPairStride() &&
         !keyRotation.getResultPairing() && !keyRotation.getTranspose() &&
         getConstantIntValue(rows).value_or(heads) <= kRotatingRows;
}

/// `scores = q k`, of keys that are rotated by the rows `cosSin`, if there are
/// any. Keys in place are asked for a tile ahead.
void DecodeTiler::emitProduct(Value query, Value key, ArrayRef<Value> cosSin,
                              Value scores, OpFoldResult count) {
  AffineExpr s0, s1, i, j, c;
  bindSymbols(b.getContext(), s0, s1);
  bindDims(b.getContext(), i, j, c);
  auto map = [&](ArrayRef<AffineExpr> results) {
    return AffineMap::get(3, 0, results, b.getContext());
  };
  auto contract = arith::FastMathFlags::contract;
  auto times = [&](ImplicitLocOpBuilder &b, Value x, Value y) -> Value {
    return arith::MulFOp::create(b, x, y, contract);
  };
  auto accumulate = [&](ImplicitLocOpBuilder &b, Value x, Value y,
                        Value sum) -> Value {
    return arith::AddFOp::create(b, times(b, x, y), sum,
                                 contract | arith::FastMathFlags::reassoc);
  };
  auto product =
      [&](ArrayRef<Value> inputs, ArrayRef<AffineMap> maps,
          ArrayRef<int64_t> prefetch,
          function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> emit) {
        SmallVector<AffineMap> all(maps);
        all.push_back(map({i, j}));
        auto parallel = utils::IteratorType::parallel;
        auto generic = linalg::GenericOp::create(
            b, TypeRange{}, inputs, scores, all,
            {parallel, parallel, utils::IteratorType::reduction},
            [&](OpBuilder &builder, Location loc, ValueRange arguments) {
              ImplicitLocOpBuilder inner(loc, builder);
              SmallVector<Value> wide;
              for (Value argument : arguments)
                wide.push_back(toFloat(inner, argument, type));
              linalg::YieldOp::create(inner, emit(inner, wide));
            });
        if (!wideKeys)
          generic->setAttr(kPrefetchAttrName, b.getDenseI64ArrayAttr(prefetch));
      };
  auto plain = [&](Value query, Value key) {
    product({query, key}, {map({i, c}), map({j, c})}, {1, kKeys},
            [&](ImplicitLocOpBuilder &b, ValueRange x) {
              return accumulate(b, x[0], x[1], x[2]);
            });
  };
  linalg::FillOp::create(b, number(0.0), scores);
  if (cosSin.empty())
    return plain(query, key);

  OpFoldResult zero = b.getIndexAttr(0);
  OpFoldResult pairs = memref::getMixedSizes(b, b.getLoc(), cosSin[0]).back();
  auto columns = [&](Value memref, OpFoldResult size, OpFoldResult start,
                     OpFoldResult number) {
    return slice(memref, {{zero, size}, {start, number}}, {false, false});
  };
  // A row of the table for each key, or one for all.
  SmallVector<bool> dropped;
  for (int64_t dim : keyRotation.getPositionDims().asArrayRef())
    dropped.push_back(matchMapResult(keyMap.getResult(dim))->loop != Loop::key);
  bool hasKeys = llvm::is_contained(dropped, false);
  dropped.push_back(false);
  SmallVector<Value> inputs = {
      columns(query, rows, zero, pairs), columns(query, rows, pairs, pairs),
      columns(key, count, zero, pairs), columns(key, count, pairs, pairs)};
  SmallVector<AffineMap> maps = {map({i, c}), map({i, c}), map({j, c}),
                                 map({j, c})};
  for (Value table : cosSin) {
    SmallVector<Part> all;
    for (OpFoldResult size : memref::getMixedSizes(b, b.getLoc(), table))
      all.push_back({zero, size});
    inputs.push_back(slice(table, all, dropped));
    maps.push_back(hasKeys ? map({j, c}) : map({c}));
  }
  product(inputs, maps, {2, kKeys, 3, kKeys},
          [&](ImplicitLocOpBuilder &b, ValueRange x) {
            Value even = arith::SubFOp::create(b, times(b, x[2], x[4]),
                                               times(b, x[3], x[5]), contract);
            Value odd = arith::AddFOp::create(b, times(b, x[3], x[4]),
                                              times(b, x[2], x[5]), contract);
            return accumulate(b, odd, x[1], accumulate(b, even, x[0], x[6]));
          });
  // Channels that are not rotated.
  OpFoldResult first = apply(s0 * 2, {pairs});
  OpFoldResult rest = apply(s0 - s1 * 2, {channels, pairs});
  if (getConstantIntValue(rest) != 0)
    plain(columns(query, rows, first, rest), columns(key, count, first, rest));
}

void DecodeTiler::emitBlock(Value block, Value from, Value count,
                            ArrayRef<Value> cosSin) {
  Parts parts = blockParts(block);
  parts[unsigned(Loop::key)] = {from, count};
  SmallVector<AffineMap> maps = {mapOf({Loop::query, Loop::channel})};
  auto inPlace = [&](Value operand, AffineMap map) {
    SmallVector<Loop> kept;
    Value tile = tileOf(operand, map, parts, {Loop::batch, Loop::head}, kept);
    maps.push_back(mapOf(kept));
    return tile;
  };
  Parts keyParts = parts;
  keyParts[unsigned(Loop::head)].size = b.getIndexAttr(1);
  auto loaded = [&](Loop inner, Value wide, OpFoldResult size) {
    prepare(inner, keyParts, cosSin, wide);
    maps.push_back(mapOf({Loop::key, inner}));
    return row(wide, {}, {count, size});
  };
  Value key = wideKeys ? loaded(Loop::channel, wideKeys, channels)
                       : inPlace(op.getKey(), keyMap);
  Value values = wideValues
                     ? loaded(Loop::valueChannel, wideValues, valueChannels)
                     : inPlace(op.getValue(), valueMap);
  SmallVector<Value> operands;
  for (const ScoreOperand &operand : scoreOperands)
    operands.push_back(prepareScoreOperand(operand, parts, maps));
  if (positions) {
    operands.push_back(positions);
    maps.push_back(mapOf({Loop::query}));
  }
  AffineMap ofRows = mapOf({Loop::query});
  maps.append({mapOf({Loop::query, Loop::valueChannel}), ofRows, ofRows,
               mapOf({Loop::query, Loop::key}), ofRows});
  Value query = row(queries, {block}, {rows, channels});
  Value products = row(scores, {}, {rows, count});
  auto online = OnlineAttentionOp::create(
      b, TypeRange{}, query, key, values, operands,
      row(acc, {block}, {rows, valueChannels}), row(maximum, {block}, {rows}),
      row(total, {block}, {rows}), products, correction,
      b.getAffineMapArrayAttr(maps), b.getF64FloatAttr(1.0),
      /*unmasked=*/UnitAttr());
  Value head = value(parts[unsigned(Loop::head)].offset);
  auto indices = [&](ImplicitLocOpBuilder &b,
                     Value row) -> std::array<Value, 3> {
    Value number = value(length);
    return {batch, add(head, arith::DivUIOp::create(b, row, number)),
            arith::RemUIOp::create(b, row, number)};
  };
  buildScores(online, indices, from, bool(positions));
  // Values are asked for a tile ahead as well.
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(online);
  emitProduct(query, key, wideKeys ? ArrayRef<Value>() : cosSin, products,
              count);
  decomposeWithScores(b, online);
  auto sums = cast<linalg::GenericOp>(online->getPrevNode());
  sums->setAttr(kPrefetchAttrName, b.getDenseI64ArrayAttr({0, kKeys}));
  online.erase();
}

//===----------------------------------------------------------------------===//
// The combination
//===----------------------------------------------------------------------===//

/// `exp(x - max)`, zero for minus infinity.
Value DecodeTiler::exponential(ImplicitLocOpBuilder &b, Value x, Value max) {
  Value lowest = arith::ConstantOp::create(
      b, b.getFloatAttr(type,
                        APFloat::getLargest(type.getFloatSemantics(), true)));
  Value isLower =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, max, lowest);
  max = arith::SelectOp::create(b, isLower, lowest, max);
  return math::ExpOp::create(b, arith::SubFOp::create(b, x, max));
}

void DecodeTiler::emitCombination(Value batchIndex, Value chunkIndex) {
  Block *body = b.getInsertionBlock();
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  batch = batchIndex;
  chunk = chunkIndex;
  firstHead = value(apply(s0 * (heads * blocks), {chunk}));
  numKeys = constant(0);
  Parts parts = chunkParts();
  OpFoldResult one = b.getIndexAttr(1);
  // The numbers of all splits, as [split][row] and [split][row][channel].
  auto flat = [&](Value memref, ArrayRef<OpFoldResult> inner) {
    OpFoldResults sizes = {splits, taskRows}, strides = {taskRows, one};
    for (OpFoldResult size : inner) {
      sizes.push_back(size);
      for (OpFoldResult &stride : strides)
        stride = times(stride, size);
      strides.push_back(one);
    }
    OpFoldResult start = apply(s0 * b.getAffineSymbolExpr(2) + s1,
                               {batch, chunk, value(chunks)});
    return view(memref, times(start, times(splits, strides[0])), sizes,
                strides);
  };
  Value splitMax = flat(maxima, {}), splitSum = flat(sums, {}),
        splitAcc = flat(accs, {valueChannels});
  Value weights = alloc({splits, taskRows}, type);
  Value top = alloc({taskRows}, type), total = alloc({taskRows}, type);
  Value result = alloc({taskRows, valueChannels}, type);

  MLIRContext *context = b.getContext();
  AffineMap plain = b.getMultiDimIdentityMap(2);
  AffineMap ofRows = AffineMap::get(2, 0, b.getAffineDimExpr(1));
  AffineMap vector = b.getMultiDimIdentityMap(1);
  auto sum = utils::IteratorType::reduction;
  auto parallel = utils::IteratorType::parallel;
  auto reduce =
      [&](ArrayRef<Value> inputs, ArrayRef<Value> outputs,
          ArrayRef<AffineMap> maps, ArrayRef<utils::IteratorType> iterators,
          function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)>
              emit) {
        linalg::GenericOp::create(
            b, TypeRange{}, inputs, outputs, maps, iterators,
            [&](OpBuilder &builder, Location loc, ValueRange arguments) {
              ImplicitLocOpBuilder inner(loc, builder);
              linalg::YieldOp::create(inner, emit(inner, arguments));
            });
      };

  // The largest score, and the sum for it: a sink is a key of its own.
  if (op.getSinks()) {
    OpFoldResults sizes = {b.getIndexAttr(heads * blocks), length};
    Value sinks = slice(op.getSinks(), {parts[unsigned(Loop::head)]}, {false});
    generic({sinks}, {AffineMap::get(2, 0, b.getAffineDimExpr(0))},
            view(top, b.getIndexAttr(0), sizes, {length, one}), plain,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              return toFloat(b, arguments[0], type);
            });
    linalg::CopyOp::create(b, top, total);
  } else {
    linalg::FillOp::create(b, infinity(/*negative=*/true), top);
  }
  reduce({splitMax}, {top}, {plain, ofRows}, {sum, parallel},
         [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
           Value isGreater = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT,
                                                   arguments[0], arguments[1]);
           return SmallVector<Value>{arith::SelectOp::create(
               b, isGreater, arguments[0], arguments[1])};
         });
  if (op.getSinks())
    generic({top}, {vector}, total, vector,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
              return exponential(b, arguments[1], arguments[0]);
            });
  else
    linalg::FillOp::create(b, number(0.0), total);
  reduce({splitMax, splitSum, top}, {weights, total},
         {plain, plain, ofRows, plain, ofRows}, {sum, parallel},
         [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
           Value weight = exponential(b, arguments[0], arguments[2]);
           Value part = arith::MulFOp::create(b, weight, arguments[1]);
           return SmallVector<Value>{
               weight, arith::AddFOp::create(b, arguments[4], part)};
         });

  if (op.getInits().size() > 1) {
    generic({total}, {vector}, top, vector,
            [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
              return arith::AddFOp::create(
                  b, arguments[1], math::LogOp::create(b, arguments[0]));
            });
    OpOperand &destination = op.getInitsMutable()[1];
    AffineMap map = op.getMap(destination);
    SmallVector<Part> tile =
        partsOf(destination.get(), followedLoops(map), parts);
    AffineMap identity = b.getMultiDimIdentityMap(tile.size());
    FloatType element = floatElement(destination.get());
    generic(
        {tileView(top, b.getIndexAttr(0), destination.get(), map, parts,
                  rowStrides(one))},
        {identity},
        slice(destination.get(), tile, SmallVector<bool>(tile.size(), false)),
        identity, [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
          return toFloat(b, arguments[0], element);
        });
  }

  // Rows without any weight are zeros.
  generic({total}, {ofRows}, weights, plain,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) -> Value {
            Value zero =
                arith::ConstantOp::create(b, b.getFloatAttr(type, 0.0));
            Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                  arguments[0], zero);
            return arith::SelectOp::create(
                b, isEmpty, zero,
                arith::DivFOp::create(b, arguments[1], arguments[0]));
          });
  linalg::FillOp::create(b, number(0.0), result);
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(3, dims, context);
  };
  auto flags = arith::FastMathFlags::contract;
  reduce({splitAcc, weights}, {result},
         {map({2, 0, 1}), map({2, 0}), map({0, 1})}, {parallel, parallel, sum},
         [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
           Value product =
               arith::MulFOp::create(b, arguments[0], arguments[1], flags);
           Value next = arith::AddFOp::create(
               b, product, arguments[2], flags | arith::FastMathFlags::reassoc);
           // Whatever an accumulator without weight holds.
           Value isHidden = arith::CmpFOp::create(
               b, arith::CmpFPredicate::OEQ, arguments[1],
               arith::ConstantOp::create(b, b.getFloatAttr(type, 0.0)));
           return SmallVector<Value>{
               arith::SelectOp::create(b, isHidden, arguments[2], next)};
         });
  Value output = op.getInits()[0];
  SmallVector<Part> tile = partsOf(output, followedLoops(outputMap), parts);
  AffineMap identity = b.getMultiDimIdentityMap(tile.size());
  FloatType element = floatElement(output);
  generic({tileView(result, b.getIndexAttr(0), output, outputMap, parts,
                    rowStrides(valueChannels))},
          {identity},
          slice(output, tile, SmallVector<bool>(tile.size(), false)), identity,
          [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
            return toFloat(b, arguments[0], element);
          });
  freeScratch(body);
}

void DecodeTiler::run() {
  chooseSizes();
  OpFoldResult batches = sizeOf(Loop::batch);
  OpFoldResults sizes = {batches, chunks, splits, b.getIndexAttr(blocks), rows};
  // Kept from call to call as the memory of one task.
  auto region = scf::ExecuteRegionOp::create(b, TypeRange(),
                                             /*no_inline=*/b.getUnitAttr());
  b.createBlock(&region.getRegion());
  maxima = alloc(sizes, type);
  sums = alloc(sizes, type);
  sizes.push_back(valueChannels);
  accs = alloc(sizes, type);
  auto emitParallel = [&](ArrayRef<OpFoldResult> sizes,
                          function_ref<void(ValueRange)> emit) {
    SmallVector<Value> zeros(sizes.size(), constant(0)),
        ones(sizes.size(), constant(1)), ends;
    for (OpFoldResult size : sizes)
      ends.push_back(value(size));
    auto tasks = scf::ParallelOp::create(b, zeros, ends, ones);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(tasks.getBody());
    emit(tasks.getInductionVars());
  };
  emitParallel({batches, chunks, splits},
               [&](ValueRange ivs) { emitTask(ivs[0], ivs[1], ivs[2]); });
  emitParallel({batches, chunks},
               [&](ValueRange ivs) { emitCombination(ivs[0], ivs[1]); });
  for (Value memref : {maxima, sums, accs})
    memref::DeallocOp::create(b, memref);
  scf::YieldOp::create(b);
}

Value rope::buildIsDecode(OpBuilder &builder, AttentionOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  OpOperand &query = op.getQueryMutable();
  Value length = memref::DimOp::create(
      b, query.get(), *findLoop(op.getMap(query), Loop::query));
  Value most = arith::ConstantIndexOp::create(b, cost::kDecodeRows /
                                                     countSharedHeads(op));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::sle, length, most);
}

void rope::emitDecode(OpBuilder &builder, AttentionOp op) {
  DecodeTiler(builder, op).run();
}

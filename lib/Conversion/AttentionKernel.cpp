//===- AttentionKernel.cpp - attention as a kernel ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The form of attention that runs on any device: workgroup memory and barriers,
// no subgroups, one element at a time. A block has sixteen rows, the queries of
// all heads that share a key head: row `i * heads + g`. Its threads are four
// groups of 32 lanes. A group has four of the rows; its lanes are the keys of a
// tile, and then the channels of values, which each keeps in registers:
//
//   for each tile of keys that one of the rows can see:
//     for each chunk of channels: queries and keys to workgroup memory, rotated
//       and widened; products
//     scores, their maxima, weights to workgroup memory
//     for each chunk of value channels: values to workgroup memory; accumulate
//   divide, store
//
// Channels are read in the order of slots (see AttentionRotation), so that both
// channels of a pair are rotated at once and lie in one chunk.
//
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"
#include "AttentionParts.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::rope;

/// Rows of a block, and of a group of lanes.
static constexpr int64_t kRows = 16, kGroupRows = 4;
static constexpr int64_t kLanes = 32;
/// As many as any device has.
static constexpr int64_t kThreads = kRows / kGroupRows * kLanes;
/// Keys of a tile.
static constexpr int64_t kKeys = kLanes;
/// Between keys of one slot: odd, so that slots of a key are in several banks.
static constexpr int64_t kKeyStride = kKeys + 1;
/// Keys whose greatest score one thread finds.
static constexpr int64_t kPartKeys = kKeys * kRows / kThreads;
/// Slots that are multiplied in one turn of a loop.
static constexpr int64_t kUnroll = 4;
/// Value channels whose accumulators fit into registers.
static constexpr int64_t kMostValueChannels = 512;
/// Workgroup memory that leaves room for other blocks on the same processor.
static constexpr int64_t kSharedBytes = 24 * 1024;

/// The name of the kernel: that of the function, and what it does.
static std::string nameOf(AttentionOp op) {
  auto func = op->getParentOfType<FunctionOpInterface>();
  return func ? (func.getName() + "_attention").str() : "attention";
}

namespace {
/// What slots are read from: one query or key.
struct SlotSource {
  OpOperand *operand;
  const AttentionRotation *rotation;
  /// Where nothing rotates, only the base of it counts.
  AttentionRotation::Row row;
};

class AttentionKernel {
public:
  AttentionKernel(OpBuilder &host, AttentionOp op, gpu::GPUModuleOp kernels,
                  const GPUTarget &target)
      : b(host, op.getLoc(), kernels, nameOf(op), target, kThreads),
        parts(b, op), type(parts.getType()) {}

  void emit();

private:
  void chooseSizes();
  OpFoldResult enterBlock();
  void stageQueries(Value start, Value limit);
  void stageKeys(Value tile, Value last, Value start, Value limit);
  void stageValues(Value tile, Value last, int64_t chunk);
  std::pair<Value, Value> loadSlots(const SlotSource &source, Value slot);
  void stageSlots(const SlotSource &source, Value slot, Value start,
                  Value limit, Value memory,
                  llvm::function_ref<Value(Value)> place);
  SmallVector<Value> emitProducts(Value tile, Value last);
  SmallVector<Value> emitScores(Value tile, Value end, ValueRange products);
  SmallVector<Value> emitTile(Value tile, Value end, ValueRange state);
  void emitEpilogue(ValueRange state);

  // Rows.
  Indices rowIndices(Value row);
  Value isRow(Value row);
  Value rowOfThread(int64_t number) { return b.add(firstRow, b.index(number)); }

  // Workgroup memory.
  Value load(Value memory, Value place) {
    return memref::LoadOp::create(b, memory, place);
  }
  void store(Value x, Value memory, Value place) {
    memref::StoreOp::create(b, x, memory, place);
  }
  Value place(Value outer, int64_t stride, Value inner) {
    return b.add(b.mul(outer, b.index(stride)), inner);
  }
  void forTile(int64_t rows, int64_t columns,
               llvm::function_ref<void(Value, Value)> body);
  SmallVector<Value> choose(Value condition,
                            llvm::function_ref<SmallVector<Value>()> then,
                            llvm::function_ref<SmallVector<Value>()> otherwise);
  Value select(Value condition, Value x, Value y) {
    return b.createOrFold<arith::SelectOp>(condition, x, y);
  }

  KernelBuilder b;
  AttentionParts parts;
  FloatType type;

  /// Heads and queries of a block.
  int64_t heads = 1, queries = 1;
  /// Slots and value channels of a chunk, value channels of a block, and how
  /// far keys of scores are apart.
  int64_t slots = 0, chunkChannels = 0, blockChannels = 0, scoreStride = 0;
  /// Whether all slots of the queries stay in workgroup memory.
  bool keepsQueries = false;
  std::optional<int64_t> knownChannels;
  /// Says which channel is at a slot; null where that is its number.
  const AttentionRotation *order = nullptr;

  Value queryMemory, keyMemory, scoreMemory, maxMemory;
  Value thread, lane, firstRow;
  Value batch, firstHead, firstQuery, firstChannel, isFirstOfChannels;
  Value channels, valueChannels, lastQuery, keyBase, valueBase;
};
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

void AttentionKernel::chooseSizes() {
  heads = parts.sharedHeads(kRows);
  queries = kRows / heads;
  order =
      parts.keyRotation ? parts.keyRotation.get() : parts.queryRotation.get();

  int64_t bytes = type.getWidth() / 8;
  int64_t total = std::min<int64_t>(b.getTarget().sharedBytes, kSharedBytes);
  // Four more keep rows of one group aligned and in several banks.
  scoreStride = bytes == 4 ? kRows + 4 : kRows;
  total -= (kKeys * scoreStride + kRows * kKeys / kPartKeys) * bytes;

  // Keys of a chunk, and in their place values of one, of a whole number of
  // channels for each lane.
  auto keyBytes = [&](int64_t width) {
    return std::max(kKeyStride * width, kKeys * kLanes) * bytes;
  };
  auto queryBytes = [&](int64_t width) {
    return kRows * static_cast<int64_t>(llvm::alignTo(width, kUnroll)) * bytes;
  };
  knownChannels = parts.knownSize(Loop::channel);
  int64_t most = llvm::bit_ceil<uint64_t>(
      std::clamp<int64_t>(knownChannels.value_or(64), 16, 64));
  keepsQueries =
      knownChannels &&
      queryBytes(*knownChannels) + keyBytes(std::min<int64_t>(most, 32)) <=
          total;
  for (slots = most; slots > 16; slots /= 2)
    if (queryBytes(keepsQueries ? *knownChannels : slots) + keyBytes(slots) <=
        total)
      break;
  chunkChannels = std::max(slots, kLanes);

  std::optional<int64_t> known = parts.knownSize(Loop::valueChannel);
  int64_t count = known.value_or(128);
  int64_t blocks = llvm::divideCeil(count, kMostValueChannels);
  blockChannels = llvm::alignTo(
      llvm::divideCeil(count, std::max<int64_t>(blocks, 1)), kLanes);
  chunkChannels = std::min(chunkChannels, blockChannels);
  blockChannels = llvm::alignTo(blockChannels, chunkChannels);

  queryMemory = b.workgroupMemory(
      queryBytes(keepsQueries ? *knownChannels : slots) / bytes, type);
  keyMemory = b.workgroupMemory(keyBytes(slots) / bytes, type);
  scoreMemory = b.workgroupMemory(kKeys * scoreStride, type);
  maxMemory = b.workgroupMemory(kRows * kKeys / kPartKeys, type);
}

/// Finds what the block works on. Returns the number of blocks.
OpFoldResult AttentionKernel::enterBlock() {
  ImplicitLocOpBuilder host(b.getLoc(), b.getHost());
  auto asValue = [&](OpFoldResult x) {
    return getValueOrCreateConstantIndexOp(host, host.getLoc(), x);
  };
  auto divide = [&](OpFoldResult x, int64_t y) -> OpFoldResult {
    if (std::optional<int64_t> known = getConstantIntValue(x))
      return host.getIndexAttr(llvm::divideCeil(*known, y));
    return host.createOrFold<arith::CeilDivUIOp>(asValue(x),
                                                 asValue(host.getIndexAttr(y)));
  };
  OpFoldResult counts[] = {
      parts.hostSize(Loop::batch), divide(parts.hostSize(Loop::head), heads),
      divide(parts.hostSize(Loop::query), queries),
      divide(parts.hostSize(Loop::valueChannel), blockChannels)};
  SmallVector<Value> numbers;
  Value blocks;
  for (OpFoldResult count : counts) {
    numbers.push_back(b.number(count));
    Value factor = asValue(count);
    blocks = blocks ? host.createOrFold<arith::MulIOp>(blocks, factor) : factor;
  }

  thread = b.threadId();
  lane = b.rem(thread, b.index(kLanes));
  firstRow = b.mul(b.div(thread, b.index(kLanes)), b.index(kGroupRows));
  SmallVector<Value> block = b.delinearize(b.blockId(), numbers);
  batch = block[0];
  firstHead = b.mul(block[1], b.index(heads));
  firstQuery = b.mul(block[2], b.index(queries));
  firstChannel = b.mul(block[3], b.index(blockChannels));
  isFirstOfChannels = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq,
                                                    block[3], b.index(0));
  channels = parts.size(Loop::channel);
  valueChannels = parts.size(Loop::valueChannel);
  lastQuery = b.sub(parts.size(Loop::query), b.index(1));
  Indices at;
  at[Loop::batch] = batch;
  at[Loop::head] = firstHead;
  keyBase = parts.address(parts.key(), at);
  valueBase = parts.address(parts.value(), at);
  parts.enterBatch(batch);
  return getAsOpFoldResult(blocks);
}

/// Batch, head and query of a row, the last one's for rows that are none.
Indices AttentionKernel::rowIndices(Value row) {
  Indices at;
  at[Loop::batch] = batch;
  at[Loop::head] = b.add(firstHead, b.rem(row, b.index(heads)));
  at[Loop::query] =
      b.min(b.add(firstQuery, b.div(row, b.index(heads))), lastQuery);
  return at;
}

Value AttentionKernel::isRow(Value row) {
  Value number = b.div(row, b.index(heads));
  Value exists = b.createOrFold<arith::CmpIOp>(
      arith::CmpIPredicate::sle, b.add(firstQuery, number), lastQuery);
  if (queries * heads == kRows)
    return exists;
  return arith::AndIOp::create(b, exists,
                               b.less(row, b.index(queries * heads)));
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

/// Spreads elements over the threads: neighbouring columns over neighbouring
/// threads. `columns` divides their number.
void AttentionKernel::forTile(int64_t rows, int64_t columns,
                              llvm::function_ref<void(Value, Value)> body) {
  Value column = b.rem(thread, b.index(columns));
  Value first = b.div(thread, b.index(columns));
  b.forLoop(first, b.index(rows), b.index(kThreads / columns),
            [&](Value row) { body(row, column); });
}

SmallVector<Value>
AttentionKernel::choose(Value condition,
                        llvm::function_ref<SmallVector<Value>()> then,
                        llvm::function_ref<SmallVector<Value>()> otherwise) {
  auto branch = scf::IfOp::create(b, TypeRange{type, type}, condition,
                                  /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, then());
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, otherwise());
  return SmallVector<Value>(branch.getResults());
}

//===----------------------------------------------------------------------===//
// To workgroup memory
//===----------------------------------------------------------------------===//

/// The elements at `slot`, which is even and has a channel, and at the next
/// one, zero where that has none.
std::pair<Value, Value> AttentionKernel::loadSlots(const SlotSource &source,
                                                   Value slot) {
  const AttentionRotation *rotation = source.rotation;
  Value stride = parts.stride(*source.operand, Loop::channel);
  auto loadChannel = [&](Value channel) {
    return parts.load(*source.operand,
                      b.add(source.row.base, b.mul(channel, stride)));
  };
  Value next = b.add(slot, b.index(1)), hasNext;
  if (!knownChannels || *knownChannels % 2 != 0) {
    hasNext = b.less(next, channels);
    next = select(hasNext, next, slot);
  }
  auto orZero = [&](Value x) {
    return hasNext ? select(hasNext, x, parts.real(0.0)) : x;
  };
  if (!order)
    return {loadChannel(slot), orZero(loadChannel(next))};

  bool rotatesOtherwise =
      rotation && !order->hasSlotsOf(*rotation) && rotation != order;
  auto load = [&](Value channel) {
    return rotatesOtherwise ? rotation->loadChannel(source.row, channel)
                            : loadChannel(channel);
  };
  auto pairs = [&]() -> SmallVector<Value> {
    Value pair = b.div(slot, b.index(2));
    if (rotation && !rotatesOtherwise) {
      auto [first, second] = rotation->loadPair(source.row, pair);
      return {first, second};
    }
    auto [first, second] = order->writtenChannels(pair);
    return {load(first), load(second)};
  };
  SmallVector<Value> values;
  if (order->rotatesAll())
    values = pairs();
  else
    values = choose(b.less(slot, b.mul(order->pairs(), b.index(2))), pairs,
                    [&]() -> SmallVector<Value> {
                      return {load(order->restChannel(slot)),
                              orZero(load(order->restChannel(next)))};
                    });
  return {values[0], values[1]};
}

/// Puts slots `start + slot` and the next one to `place` of `slot` and the next
/// one, if the chunk reaches that far; zeros where there are no channels.
void AttentionKernel::stageSlots(const SlotSource &source, Value slot,
                                 Value start, Value limit, Value memory,
                                 llvm::function_ref<Value(Value)> place) {
  auto body = [&] {
    Value whole = b.add(start, slot);
    SmallVector<Value> values;
    auto loaded = [&]() -> SmallVector<Value> {
      auto [first, second] = loadSlots(source, whole);
      return {first, second};
    };
    if (knownChannels && *knownChannels % kUnroll == 0)
      values = loaded();
    else
      values =
          choose(b.less(whole, channels), loaded, [&]() -> SmallVector<Value> {
            return {parts.real(0.0), parts.real(0.0)};
          });
    store(values[0], memory, place(slot));
    store(values[1], memory, place(b.add(slot, b.index(1))));
  };
  if (getConstantIntValue(limit) == slots)
    body();
  else
    b.ifThen(b.less(slot, limit), body);
}

/// Slots `start` to `start + limit` of the queries.
void AttentionKernel::stageQueries(Value start, Value limit) {
  forTile(kRows, slots / 2, [&](Value row, Value column) {
    Indices at = rowIndices(row);
    SlotSource source{&parts.query(), parts.queryRotation.get(), {}};
    Value base = parts.address(parts.query(), at);
    source.row.base = base;
    if (source.rotation)
      source.row = source.rotation->row(at, base);
    Value first = keepsQueries ? start : b.index(0);
    stageSlots(
        source, b.mul(column, b.index(2)), start, limit, queryMemory,
        [&](Value slot) { return place(b.add(first, slot), kRows, row); });
  });
}

void AttentionKernel::stageKeys(Value tile, Value last, Value start,
                                Value limit) {
  forTile(kKeys, slots / 2, [&](Value number, Value column) {
    Indices at;
    at[Loop::batch] = batch;
    at[Loop::head] = firstHead;
    at[Loop::key] = b.min(b.add(tile, number), last);
    SlotSource source{&parts.key(), parts.keyRotation.get(), {}};
    Value base = b.add(
        keyBase, b.mul(at[Loop::key], parts.stride(parts.key(), Loop::key)));
    source.row.base = base;
    if (source.rotation)
      source.row = source.rotation->row(at, base);
    stageSlots(source, b.mul(column, b.index(2)), start, limit, keyMemory,
               [&](Value slot) { return place(slot, kKeyStride, number); });
  });
}

/// Value channels from `chunk` on, counted in the block.
void AttentionKernel::stageValues(Value tile, Value last, int64_t chunk) {
  Value lastChannel = b.sub(valueChannels, b.index(1));
  forTile(kKeys, chunkChannels, [&](Value number, Value column) {
    Value key = b.min(b.add(tile, number), last);
    Value channel =
        b.min(b.add(firstChannel, b.add(b.index(chunk), column)), lastChannel);
    Value address = b.add(
        b.add(valueBase, b.mul(key, parts.stride(parts.value(), Loop::key))),
        b.mul(channel, parts.stride(parts.value(), Loop::valueChannel)));
    store(parts.load(parts.value(), address), keyMemory,
          place(number, chunkChannels, column));
  });
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// The products of the key of this lane with the rows of this thread.
SmallVector<Value> AttentionKernel::emitProducts(Value tile, Value last) {
  SmallVector<Value> zeros(kGroupRows, parts.real(0.0));
  return b.forLoop(
      b.index(0), channels, b.index(slots), zeros,
      [&](Value start, ValueRange sums) {
        Value limit = b.index(slots);
        if (!knownChannels || *knownChannels % slots != 0) {
          // A whole number of turns.
          Value left = b.add(b.sub(channels, start), b.index(kUnroll - 1));
          limit = b.min(limit,
                        b.mul(b.div(left, b.index(kUnroll)), b.index(kUnroll)));
        }
        b.barrier();
        if (!keepsQueries)
          stageQueries(start, limit);
        stageKeys(tile, last, start, limit);
        b.barrier();
        Value firstOfQueries = keepsQueries ? start : b.index(0);
        return b.forLoop(
            b.index(0), limit, b.index(kUnroll), sums,
            [&](Value first, ValueRange sums) {
              SmallVector<Value> next(sums);
              for (int64_t i = 0; i < kUnroll; ++i) {
                Value slot = b.add(first, b.index(i));
                Value key = load(keyMemory, place(slot, kKeyStride, lane));
                Value row = place(b.add(firstOfQueries, slot), kRows, firstRow);
                for (auto [r, sum] : llvm::enumerate(next)) {
                  Value query = load(queryMemory, b.add(row, b.index(r)));
                  sum = math::FmaOp::create(b, query, key, sum);
                }
              }
              return next;
            });
      });
}

/// The scores of the key of this lane. Those of keys from `end` on are minus
/// infinity.
SmallVector<Value> AttentionKernel::emitScores(Value tile, Value end,
                                               ValueRange products) {
  Value key = b.add(tile, lane);
  Value exists = b.less(key, end);
  key = b.min(key, b.sub(end, b.index(1)));
  SmallVector<Value> scores;
  for (auto [r, product] : llvm::enumerate(products)) {
    Indices at = rowIndices(rowOfThread(r)).with(Loop::key, key);
    scores.push_back(
        select(exists, parts.score(product, at), parts.minusInfinity()));
  }
  return scores;
}

/// `state` has, for each row of the thread, the maximum, this lane's part of
/// the sum, and then the accumulators: of each chunk of value channels, each
/// row, each channel of this lane.
SmallVector<Value> AttentionKernel::emitTile(Value tile, Value end,
                                             ValueRange state) {
  Value last = b.sub(end, b.index(1));
  SmallVector<Value> scores = emitScores(tile, end, emitProducts(tile, last));
  ValueRange maxima = state.take_front(kGroupRows);
  ValueRange sums = state.slice(kGroupRows, kGroupRows);
  auto placeOfScore = [&](int64_t r) {
    return b.add(place(lane, scoreStride, firstRow), b.index(r));
  };
  for (auto [r, score] : llvm::enumerate(scores))
    store(score, scoreMemory, placeOfScore(r));
  b.barrier();

  // Each thread has some keys of one row.
  {
    Value row = b.rem(thread, b.index(kRows));
    Value part = b.div(thread, b.index(kRows));
    Value first = b.mul(part, b.index(kPartKeys)), max;
    for (int64_t i = 0; i < kPartKeys; ++i) {
      Value score =
          load(scoreMemory, place(b.add(first, b.index(i)), scoreStride, row));
      max = parts.greater(max ? max : parts.minusInfinity(), score);
    }
    store(max, maxMemory, place(part, kRows, row));
  }
  stageValues(tile, last, 0);
  b.barrier();

  SmallVector<Value> next, corrections, weights;
  for (int64_t r = 0; r < kGroupRows; ++r) {
    Value max = maxima[r];
    for (int64_t part = 0; part < kKeys / kPartKeys; ++part)
      max = parts.greater(
          max, load(maxMemory, b.add(firstRow, b.index(part * kRows + r))));
    corrections.push_back(parts.weight(maxima[r], max));
    weights.push_back(parts.weight(scores[r], max));
    store(weights[r], scoreMemory, placeOfScore(r));
    next.push_back(max);
  }
  for (int64_t r = 0; r < kGroupRows; ++r)
    next.push_back(math::FmaOp::create(b, sums[r], corrections[r], weights[r]));
  b.barrier();

  ValueRange accumulators = state.drop_front(2 * kGroupRows);
  int64_t perLane = chunkChannels / kLanes;
  for (int64_t chunk = 0; chunk < blockChannels; chunk += chunkChannels) {
    if (chunk > 0) {
      b.barrier();
      stageValues(tile, last, chunk);
      b.barrier();
    }
    SmallVector<Value> corrected;
    for (int64_t r = 0; r < kGroupRows; ++r)
      for (int64_t c = 0; c < perLane; ++c)
        corrected.push_back(arith::MulFOp::create(
            b, accumulators[r * perLane + c], corrections[r]));
    accumulators = accumulators.drop_front(kGroupRows * perLane);
    llvm::append_range(
        next,
        b.forLoop(b.index(0), b.index(kKeys), b.index(1), corrected,
                  [&](Value key, ValueRange sums) {
                    SmallVector<Value> values, next;
                    Value first = place(key, chunkChannels, lane);
                    for (int64_t c = 0; c < perLane; ++c)
                      values.push_back(
                          load(keyMemory, b.add(first, b.index(c * kLanes))));
                    Value row = place(key, scoreStride, firstRow);
                    for (int64_t r = 0; r < kGroupRows; ++r) {
                      Value weight = load(scoreMemory, b.add(row, b.index(r)));
                      for (int64_t c = 0; c < perLane; ++c)
                        next.push_back(parts.accumulate(sums[r * perLane + c],
                                                        weight, values[c]));
                    }
                    return next;
                  }));
  }
  return next;
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

void AttentionKernel::emitEpilogue(ValueRange state) {
  // The sums of all lanes, where scores were.
  b.barrier();
  ValueRange maxima = state.take_front(kGroupRows);
  for (int64_t r = 0; r < kGroupRows; ++r)
    store(state[kGroupRows + r], scoreMemory,
          b.add(place(lane, scoreStride, firstRow), b.index(r)));
  b.barrier();
  SmallVector<Value> zeros(kGroupRows, parts.real(0.0));
  SmallVector<Value> sums =
      b.forLoop(b.index(0), b.index(kLanes), b.index(1), zeros,
                [&](Value other, ValueRange sums) {
                  SmallVector<Value> next;
                  Value row = place(other, scoreStride, firstRow);
                  for (auto [r, sum] : llvm::enumerate(sums))
                    next.push_back(arith::AddFOp::create(
                        b, sum, load(scoreMemory, b.add(row, b.index(r)))));
                  return next;
                });

  ValueRange accumulators = state.drop_front(2 * kGroupRows);
  int64_t perLane = chunkChannels / kLanes;
  for (int64_t r = 0; r < kGroupRows; ++r) {
    Value row = rowOfThread(r);
    b.ifThen(isRow(row), [&] {
      Indices at = rowIndices(row);
      Value inverse = parts.inverse(sums[r]);
      for (int64_t chunk = 0; chunk < blockChannels; chunk += chunkChannels) {
        for (int64_t c = 0; c < perLane; ++c) {
          Value x = accumulators[chunk / kLanes * kGroupRows + r * perLane + c];
          Value channel =
              b.add(firstChannel, b.add(lane, b.index(chunk + c * kLanes)));
          b.ifThen(b.less(channel, valueChannels), [&] {
            parts.storeOutput(arith::MulFOp::create(b, x, inverse),
                              at.with(Loop::valueChannel, channel));
          });
        }
      }
      if (!parts.hasLogSumExp())
        return;
      Value isFirst = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq,
                                                    lane, b.index(0));
      isFirst = b.createOrFold<arith::AndIOp>(isFirst, isFirstOfChannels);
      b.ifThen(isFirst, [&] { parts.storeLogSumExp(maxima[r], sums[r], at); });
    });
  }
}

void AttentionKernel::emit() {
  chooseSizes();
  OpFoldResult blocks = enterBlock();
  if (keepsQueries) {
    int64_t count = llvm::alignTo(*knownChannels, kUnroll);
    for (int64_t start = 0; start < count; start += slots)
      stageQueries(b.index(start), b.index(std::min(slots, count - start)));
  }

  SmallVector<Value> state, sums;
  Value zero = parts.real(0.0);
  Value isFirst =
      b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, lane, b.index(0));
  Value sum = parts.real(parts.initialSum());
  for (int64_t r = 0; r < kGroupRows; ++r) {
    Value head = rowIndices(rowOfThread(r))[Loop::head];
    state.push_back(parts.initialMax(head));
    sums.push_back(select(isFirst, sum, zero));
  }
  llvm::append_range(state, sums);
  state.append(blockChannels / kLanes * kGroupRows, zero);

  Value last = b.min(b.add(firstQuery, b.index(queries - 1)), lastQuery);
  AttentionParts::KeyRange range = parts.visibleKeys(firstQuery, last);
  state = b.forLoop(range.from, range.to, b.index(kKeys), state,
                    [&](Value tile, ValueRange state) {
                      return emitTile(tile, range.to, state);
                    });
  emitEpilogue(state);
  b.launch(blocks);
}

static LogicalResult checkTypes(AttentionOp op) {
  auto check = [&](Value value) -> LogicalResult {
    Type type = getElementTypeOrSelf(value.getType());
    // The host converts a number.
    bool isNumber = !isa<MemRefType>(value.getType());
    if (KernelBuilder::canStore(type) ||
        (isNumber && value == op.getQueryOffset()))
      return success();
    return op.emitOpError("expected numbers of f16, bf16, f32, f64, i1, i8, "
                          "i16, i32, i64 or index on a GPU, but got ")
           << value.getType();
  };
  for (Value operand : op->getOperands())
    if (failed(check(operand)))
      return failure();
  if (op.getRegion().empty())
    return success();
  // What the region takes from outside.
  WalkResult result = op.getRegion().walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (operand.getParentRegion() != &op.getRegion() &&
          failed(check(operand)))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult rope::emitAttentionKernel(RewriterBase &host, AttentionOp op,
                                        gpu::GPUModuleOp kernels,
                                        const GPUTarget &target) {
  if (failed(checkTypes(op)))
    return failure();
  AttentionKernel(host, op, kernels, target).emit();
  return success();
}

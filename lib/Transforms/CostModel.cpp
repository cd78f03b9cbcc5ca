//===- CostModel.cpp - where rotations are cheapest -----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/CostModel.h"
#include "AttentionTiles.h"
#include "Rope/IR/Attention.h"
#include "Rope/Transforms/Fusion.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::rope;
using namespace mlir::rope::cost;

TargetDescription rope::readTargetDescription(Operation *op) {
  TargetDescription target;
  auto read = [&](StringRef key, int64_t &value) {
    FailureOr<Attribute> found = dlti::query(op, {"CPU", key});
    auto number = succeeded(found) ? dyn_cast<IntegerAttr>(*found) : nullptr;
    if (number && number.getValue().isSignedIntN(63) && number.getInt() > 0)
      value = number.getInt();
  };
  read("L2_cache_size_in_bytes", target.l2Bytes);
  read("max_vector_op_width", target.vectorBits);
  read("num_threads", target.threads);
  return target;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// The size of `loop`, 1 for a loop that no operand has. Nothing where it is
/// known only at the call.
static std::optional<double> getSize(AttentionOp op, Loop loop) {
  int64_t size = getStaticSize(op, loop);
  return ShapedType::isDynamic(size) ? std::nullopt
                                     : std::optional(double(size));
}

namespace {
/// The sizes that decide, as far as they are known.
struct Sizes {
  std::optional<double> batches, heads, keyHeads, queries, keys;

  explicit Sizes(AttentionOp op)
      : batches(getSize(op, Loop::batch)), heads(getSize(op, Loop::head)),
        queries(getSize(op, Loop::query)), keys(getSize(op, Loop::key)) {
    AffineMap map = op.getMap(op.getKeyMutable());
    if (!findLoop(map, Loop::head))
      keyHeads = 1;
    else if (heads)
      keyHeads = std::max(1.0, *heads / getGroup(map));
  }
};
} // namespace

/// How many query heads share a head of keys.
static std::optional<double> getGroupSize(AttentionOp op, const Sizes &sizes) {
  AffineMap map = op.getMap(op.getKeyMutable());
  if (findLoop(map, Loop::head))
    return double(getGroup(map));
  return sizes.heads;
}

namespace {
/// The tasks of one batch and head.
struct Visits {
  /// How many see a key, on average: no more than there are where only some
  /// keys are visible from each query.
  double count;
  /// Rows of one of them.
  double rows;
};
} // namespace

/// Nothing where that is known only at the call.
static std::optional<Visits> countVisits(AttentionOp op, const Sizes &sizes) {
  std::optional<double> group = getGroupSize(op, sizes);
  if (!group || !sizes.queries)
    return std::nullopt;
  // Heads with a mask for each query are no rows of one block.
  double apart = 1;
  for (OpOperand &operand : op.getScoreOperandsMutable())
    if (AffineMap map = op.getMap(operand); *sizes.queries > 1 &&
                                            findLoop(map, Loop::query) &&
                                            findLoop(map, Loop::key))
      apart = *group;
  double blocks = std::max(
      1.0, std::ceil(*sizes.queries * *group / apart / double(kBlockRows)));
  // Tasks are as short as leaves enough of them.
  double all =
      blocks * apart * sizes.batches.value_or(1) * sizes.keyHeads.value_or(1);
  double length =
      std::clamp(std::floor(all / double(kTasks)), 1.0, double(kTaskBlocks));
  double tasks = std::ceil(blocks / length) * apart;
  double rows = *sizes.queries * *group / tasks;
  if (!sizes.keys || *sizes.keys == 0)
    return Visits{tasks, rows};
  double queries = *sizes.queries * apart / tasks, visible = *sizes.keys;
  if (op.getCausal()) // The last queries see all keys, the first the fewest.
    visible -= std::clamp(*sizes.queries - queries, 0.0, visible) / 2;
  for (std::optional<uint64_t> reach : {op.getWindow(), op.getChunk()})
    if (reach)
      visible = std::min(visible, queries + double(*reach));
  return Visits{tasks * visible / *sizes.keys, rows};
}

/// Cycles to move `bytesPerElement` where `bytes` in all are moved, and are
/// small if that is not known.
static double moveCycles(double bytesPerElement, std::optional<double> bytes,
                         const TargetDescription &target) {
  if (!bytes || *bytes <= double(target.l2Bytes))
    return bytesPerElement / kCacheBytesPerCycle / double(target.threads);
  return bytesPerElement / kMemoryBytesPerCycle;
}

/// Cycles for each f32 lane, of those for a vector.
static double laneCycles(double cycles, const TargetDescription &target) {
  double lanes = std::max(1.0, double(target.vectorBits) / 32);
  return cycles / lanes / double(target.threads);
}

//===----------------------------------------------------------------------===//
// Decisions
//===----------------------------------------------------------------------===//

/// Whether a contraction makes `value`, but for its shape and a bias.
static bool isProjected(Value value) {
  for (Operation *op = value.getDefiningOp(); op;) {
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      if (linalg::isaContractionOpInterface(linalgOp))
        return true;
      if (linalgOp.getNumDpsInputs() == 0 ||
          linalgOp.getNumLoops() != linalgOp.getNumParallelLoops())
        return false;
      op = linalgOp.getDpsInputs().front().getDefiningOp();
    } else if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                   tensor::CastOp>(op)) {
      op = op->getOperand(0).getDefiningOp();
    } else {
      return false;
    }
  }
  return false;
}

std::optional<std::string>
rope::whyRotateKeyOnce(AttentionOp attention, ApplyOp rotation,
                       const TargetDescription &target) {
  Sizes sizes(attention);
  std::optional<Visits> visits = countVisits(attention, sizes);
  // Batches that share the keys all rotate them.
  bool isShared =
      !findLoop(attention.getMap(attention.getKeyMutable()), Loop::batch);
  if (isShared && visits && sizes.batches)
    visits->count *= *sizes.batches;
  else if (isShared)
    visits = std::nullopt;
  if (!visits && isProjected(rotation.getX()))
    return "keys are rotated once, where their projection ends, since how "
           "often "
           "each would be rotated as it is loaded is known only at the call";
  if (!visits && isShared)
    return "keys are rotated once, since how many batches share them is known "
           "only at the call";
  // Several tasks have kBlockRows rows each, beside which rotating costs a few
  // hundredths; one task, as in decoding, would wait for all keys to be
  // rotated.
  if (!visits)
    return std::nullopt;
  if (visits->count <= 1)
    return std::nullopt;
  std::string times = llvm::formatv(
      "each would be rotated {0:f1} times as it is loaded", visits->count);
  if (isProjected(rotation.getX()))
    return "keys are rotated once, where their projection ends, since " + times;

  if (visits->rows >= kRowsThatHideRotation)
    return std::nullopt;

  double elementBytes =
      getElementTypeOrSelf(rotation.getX().getType()).getIntOrFloatBitWidth() /
      8;
  std::optional<int64_t> bytes = getStaticBytes(rotation.getX());
  double once =
      moveCycles(2 * elementBytes,
                 bytes ? std::optional(2.0 * *bytes) : std::nullopt, target);
  double again = (visits->count - 1) * laneCycles(kRotateCycles, target);
  if (again <= once)
    return std::nullopt;
  return llvm::formatv("keys are rotated once, since {0}: {1:f2} cycles for "
                       "each element more, against {2:f2} to store and load "
                       "it{3}",
                       times, again, once,
                       bytes ? "" : " if all keys are in cache")
      .str();
}

/// How often a row of the table of `rotation` is read.
static std::optional<double> countReads(AttentionOp op, const Sizes &sizes,
                                        RotationAttr rotation,
                                        ArrayRef<MapResult> loops,
                                        std::optional<double> visits) {
  std::optional<double> count = visits;
  auto follows = [&](Loop loop) {
    return llvm::any_of(rotation.getPositionDims().asArrayRef(),
                        [&](int64_t dim) { return loops[dim].loop == loop; });
  };
  for (auto [loop, size] : {std::pair(Loop::batch, sizes.batches),
                            std::pair(Loop::head, sizes.keyHeads)})
    if (!follows(loop))
      count = count && size ? std::optional(*count * *size) : std::nullopt;
  return count;
}

std::optional<std::string> rope::whyKeepTable(AttentionOp attention,
                                              TableOp table,
                                              const TargetDescription &target) {
  Sizes sizes(attention);
  std::optional<double> keyVisits;
  if (std::optional<Visits> visits = countVisits(attention, sizes))
    keyVisits = visits->count;
  double reads = 0;
  auto add = [&](RotationAttr rotation, ValueRange operands, OpOperand &x,
                 std::optional<double> visits) {
    if (!rotation || rotation.getAngles() ||
        operands.front() != table->getResult(0))
      return true;
    std::optional<double> count = countReads(
        attention, sizes, rotation, attention.getLookedUpLoops(x), visits);
    reads += count.value_or(0);
    return count.has_value();
  };
  if (!add(attention.getQueryRotationAttr(),
           attention.getQueryRotationOperands(), attention.getQueryMutable(),
           1.0) ||
      !add(attention.getKeyRotationAttr(), attention.getKeyRotationOperands(),
           attention.getKeyMutable(), keyVisits))
    return "how often each row would be made is known only at the call";

  // Cosine and sine of a pair.
  double pairBytes =
      2 *
      getElementTypeOrSelf(table.getCos().getType()).getIntOrFloatBitWidth() /
      8;
  std::optional<int64_t> bytes = getStaticBytes(table->getResult(0));
  double move = moveCycles(
      pairBytes, bytes ? std::optional(2.0 * *bytes) : std::nullopt, target);
  double make = laneCycles(kAngleInstructions, target);
  double inside = reads * make, before = make + (1 + reads) * move;
  if (inside <= before)
    return std::nullopt;
  return llvm::formatv("each row would be made {0:f1} times: {1:f2} cycles for "
                       "each pair, against {2:f2} to make, store and load "
                       "it{3}",
                       reads, inside, before,
                       bytes ? "" : " if the table is in cache")
      .str();
}

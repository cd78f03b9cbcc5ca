//===- AttentionParts.h - what kernels of attention share -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Elements, visible keys, scores, rotations and results of one rope.attention
// as values of a kernel. How the loops run, and what lies in workgroup memory,
// is up to the kernel.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_ATTENTIONPARTS_H
#define ROPE_LIB_CONVERSION_ATTENTIONPARTS_H

#include "KernelBuilder.h"
#include "Rope/IR/AngleMath.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"

namespace mlir::rope {

/// The index of each loop, of type index; null for 0.
struct Indices : std::array<Value, kNumLoops> {
  Indices() { fill(Value()); }
  Value &operator[](Loop loop) { return array::operator[](unsigned(loop)); }
  Value operator[](Loop loop) const {
    return array::operator[](unsigned(loop));
  }
  /// A copy with another index of one loop.
  Indices with(Loop loop, Value value) const {
    Indices copy = *this;
    copy[loop] = value;
    return copy;
  }
};

/// Whether tables must be made before the kernel runs, because a rotation has
/// angles that are not exact ones in f32 of whole positions and frequencies in
/// turns.
bool needsTables(AttentionOp op);

/// Gives `op` tables in place of such angles: returns a rope.table to device
/// memory for each in front of it. The memory is freed behind it.
SmallVector<TableOp> makeTables(RewriterBase &host, AttentionOp op);

class AttentionParts;

/// The rotation of query or key. The channels of the result are numbered anew:
/// slots 2i and 2i + 1 are the two of pair i, all others follow in order. The
/// sum over channels may be taken over slots.
class AttentionRotation {
public:
  /// Makes what `rotation` needs parameters of the kernel.
  AttentionRotation(AttentionParts &parts, OpOperand &operand,
                    RotationAttr rotation, ValueRange rotationOperands);

  RotationAttr getAttr() const { return attr; }
  /// How many pairs rotate (index), and the same where it is known.
  Value pairs() const { return numPairs; }
  std::optional<int64_t> knownPairs() const { return knownNumPairs; }
  /// Whether all channels are known to rotate.
  bool rotatesAll() const;
  /// Whether slots of both are the same channels.
  bool hasSlotsOf(const AttentionRotation &other) const;

  /// The two channels of a pair, in the operand or in the result.
  std::pair<Value, Value> readChannels(Value pair) const;
  std::pair<Value, Value> writtenChannels(Value pair) const;
  /// The channel of the result that is at a slot from 2 * pairs() on.
  Value restChannel(Value slot) const;

  /// What one query or key starts from: loaded once for all of its pairs. `at`
  /// has batch, head and query or key; `base` is the address of its channel 0.
  struct Row {
    Value base;
    /// Addresses of the first pair in the tables.
    Value cos, sin;
    /// Or the position as halves, for each axis that is in use.
    SmallVector<std::pair<Value, Value>> positions;
  };
  Row row(const Indices &at, Value base) const;
  /// Of `count` pairs from `pair` on, in the type that rotations are computed
  /// in. With `aligned` tables are read by the widest accesses: see
  /// KernelBuilder::loadFloats.
  SmallVector<CosSin> cosSin(const Row &row, Value pair, int64_t count = 1,
                             bool aligned = false) const;
  /// (u, v) of accumulator type, rotated.
  std::pair<Value, Value> rotate(Value u, Value v, CosSin angle) const;

  /// Both channels of a pair of the result, of accumulator type.
  std::pair<Value, Value> loadPair(const Row &row, Value pair) const;
  /// A channel of the result, rotated or not.
  Value loadChannel(const Row &row, Value channel) const;

private:
  std::pair<Value, Value> channels(Pairing pairing, Value pair) const;
  Value load(const Row &row, Value channel) const;

  AttentionParts &parts;
  OpOperand &operand;
  RotationAttr attr;
  SmallVector<Value> operands;
  Value numPairs, stride;
  std::optional<int64_t> knownNumPairs, knownStride;
  /// The axes in use; one, of no number, without axes.
  SmallVector<int64_t> usedAxes;
  /// Of products of elements with cosines and sines.
  FloatType type;
};

class AttentionParts {
public:
  /// `op` is on memrefs, and needsTables(op) does not hold.
  AttentionParts(KernelBuilder &b, AttentionOp op);

  AttentionOp getOp() const { return op; }
  KernelBuilder &getBuilder() const { return b; }
  /// Of scores, sums and accumulators: f32 or f64.
  FloatType getType() const { return type; }

  //===--------------------------------------------------------------------===//
  // Sizes
  //===--------------------------------------------------------------------===//

  /// The size of a loop where it is known; one where no operand has the loop.
  std::optional<int64_t> knownSize(Loop loop);
  /// The same as an index of the kernel, or of the host.
  Value size(Loop loop);
  OpFoldResult hostSize(Loop loop);
  /// The query heads that share one head of keys and one of values, so that a
  /// tile of keys serves all of them; heads `n * shared ..` do. At most `most`;
  /// a divisor of the number of heads.
  int64_t sharedHeads(int64_t most);

  //===--------------------------------------------------------------------===//
  // Elements
  //===--------------------------------------------------------------------===//

  OpOperand &query() { return op.getQueryMutable(); }
  OpOperand &key() { return op.getKeyMutable(); }
  OpOperand &value() { return op.getValueMutable(); }
  OpOperand &output() { return op.getInitsMutable()[0]; }

  const KernelBuffer &buffer(OpOperand &operand) {
    return b.buffer(operand.get());
  }
  /// The index along a dimension whose map has `match`: 0 where it follows no
  /// loop.
  Value indexOf(const MapResult &match, const Indices &at);
  /// The distance of an element of a mapped operand from its first one. Loops
  /// that the operand does not have do not matter.
  Value address(OpOperand &operand, const Indices &at);
  /// How far apart neighbours along a loop are; 0 where the operand does not
  /// have it. Of heads: neighbouring heads of the operand.
  Value stride(OpOperand &operand, Loop loop);
  std::optional<int64_t> knownStride(OpOperand &operand, Loop loop);
  /// An element of query, key or value, widened to the accumulator type.
  Value load(OpOperand &operand, Value address) {
    return toFloat(b, b.load(buffer(operand), address), type);
  }

  //===--------------------------------------------------------------------===//
  // Visible keys
  //===--------------------------------------------------------------------===//

  /// Loads what differs from batch to batch, at the insertion point. Comes
  /// before what else is said of keys and scores.
  void enterBatch(Value batch);

  struct KeyRange {
    /// Queries see keys in [from, to) alone; from >= to where there are none.
    Value from, to;
    /// All queries see all keys in [allFrom, allTo), which lies within; empty
    /// where allFrom >= allTo. Score regions may yet hide some.
    Value allFrom, allTo;
  };
  /// What queries `first` to `last`, both included, see.
  KeyRange visibleKeys(Value first, Value last);
  /// Whether a query sees the key by the attributes, for keys within
  /// `visibleKeys`; null where it sees all of these.
  Value isVisible(Value query, Value key);

  //===--------------------------------------------------------------------===//
  // Scores
  //===--------------------------------------------------------------------===//

  /// The score of the product of query and key: scaled, through the region, and
  /// minus infinity where the key is not visible (unless `allVisible`). `at`
  /// has batch, head, query and key, all within their loops.
  Value score(Value product, const Indices &at, bool allVisible = false);
  /// Whether scores are no more than scaled products.
  bool isPlainScore() { return op.getRegion().empty(); }

  //===--------------------------------------------------------------------===//
  // Softmax and results
  //===--------------------------------------------------------------------===//

  Value real(double x) { return b.real(type, x); }
  Value minusInfinity();
  Value exp(Value x);
  Value log(Value x);
  /// The greater one; `max` where `x` is not a number.
  Value greater(Value max, Value x);
  /// Maximum and sum before any key: those of the sink of a head, if there are
  /// sinks.
  Value initialMax(Value head);
  double initialSum() { return op.getSinks() ? 1.0 : 0.0; }
  /// exp(score - max), 0 for scores of minus infinity.
  Value weight(Value score, Value max);
  /// acc + weight * x. Where the weight is 0 that is acc, whatever x is.
  Value accumulate(Value acc, Value weight, Value x);
  /// What accumulators are multiplied with at the end.
  Value inverse(Value sum);
  /// Writes a result, rounded.
  void storeOutput(Value x, const Indices &at);
  bool hasLogSumExp() { return op.getInits().size() > 1; }
  void storeLogSumExp(Value max, Value sum, const Indices &at);

  /// Null where nothing rotates.
  std::unique_ptr<AttentionRotation> queryRotation, keyRotation;

private:
  std::unique_ptr<AttentionRotation> makeRotation(OpOperand &operand,
                                                  RotationAttr rotation,
                                                  ValueRange rotationOperands);
  Value position(Value query);

  AttentionOp op;
  KernelBuilder &b;
  FloatType type;
  /// Of the batch: what is added to queries (i32; null for 0), and the keys it
  /// has (index).
  Value offset, numKeys;
  Value hostOffset;
};

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_ATTENTIONPARTS_H

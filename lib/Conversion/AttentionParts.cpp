//===- AttentionParts.cpp - what kernels of attention share ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"
#include "Float64Math.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include <numeric>

using namespace mlir;
using namespace mlir::rope;

/// Positions are 32-bit integers within these bounds: those beyond all keys are
/// as good as equal.
static constexpr int64_t kFarPosition = int64_t(1) << 30;
/// Windows and chunks of this size have all keys.
static constexpr int64_t kAllKeys = int64_t(1) << 29;

static FloatType floatElement(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value.getType()));
}

static Value toI32(ImplicitLocOpBuilder &b, Value index) {
  return b.createOrFold<arith::IndexCastOp>(b.getI32Type(), index);
}

static Value toIndex(ImplicitLocOpBuilder &b, Value integer) {
  return b.createOrFold<arith::IndexCastOp>(b.getIndexType(), integer);
}

static Value compare(ImplicitLocOpBuilder &b, arith::CmpIPredicate predicate,
                     Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(predicate, x, y);
}

static Value select(ImplicitLocOpBuilder &b, Value condition, Value x,
                    Value y) {
  return b.createOrFold<arith::SelectOp>(condition, x, y);
}

static Value compareFloats(ImplicitLocOpBuilder &b,
                           arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}

//===----------------------------------------------------------------------===//
// Tables that kernels do not make
//===----------------------------------------------------------------------===//

/// Whether kernels make cosine and sine from the operands themselves.
static bool isInline(RotationAttr rotation, ValueRange operands, Value x) {
  AnglesAttr angles = rotation.getAngles();
  return !angles ||
         (angles.getPrecision() == Precision::exact &&
          getElementTypeOrSelf(operands[0].getType()).isIntOrIndex() &&
          getElementTypeOrSelf(operands[1].getType()).isInteger(64) &&
          !floatElement(x).isF64());
}

bool rope::needsTables(AttentionOp op) {
  RotationAttr query = op.getQueryRotationAttr(), key = op.getKeyRotationAttr();
  return (query &&
          !isInline(query, op.getQueryRotationOperands(), op.getQuery())) ||
         (key && !isInline(key, op.getKeyRotationOperands(), op.getKey()));
}

SmallVector<TableOp> rope::makeTables(RewriterBase &host, AttentionOp op) {
  OpBuilder::InsertionGuard guard(host);
  ImplicitLocOpBuilder b(op.getLoc(), host);
  SmallVector<TableOp> made;
  auto makeTable = [&](RotationAttr rotation, MutableOperandRange operands,
                       Value x) -> RotationAttr {
    b.setInsertionPoint(op);
    Value positions = operands[0].get(), frequencies = operands[1].get();
    AnglesAttr angles = rotation.getAngles();
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(b, b.getLoc(), positions);
    if (angles.getAxes())
      sizes.erase(sizes.begin());
    sizes.push_back(memref::getMixedSize(b, b.getLoc(), frequencies, 0));
    SmallVector<int64_t> shape;
    SmallVector<Value> dynamic;
    dispatchIndexOpFoldResults(sizes, dynamic, shape);
    Type element = floatElement(x).isF64() ? b.getF64Type() : b.getF32Type();
    SmallVector<Value> tables;
    for (int i = 0; i < 2; ++i)
      tables.push_back(gpu::AllocOp::create(b, MemRefType::get(shape, element),
                                            /*asyncToken=*/Type(), ValueRange(),
                                            dynamic, ValueRange())
                           .getMemref());
    made.push_back(TableOp::create(
        b, TypeRange{}, positions, frequencies, tables[0], tables[1],
        angles.getMagnitude(), angles.getAxes(),
        PrecisionAttr::get(b.getContext(), angles.getPrecision())));
    operands.assign(tables);
    return RotationAttr::get(
        b.getContext(), rotation.getPairing(), rotation.getPositionDims(),
        rotation.getOffset(), rotation.getPairStride(),
        rotation.getResultPairing(), rotation.getTranspose(), AnglesAttr());
  };
  host.modifyOpInPlace(op, [&] {
    RotationAttr query = op.getQueryRotationAttr(),
                 key = op.getKeyRotationAttr();
    if (query && !isInline(query, op.getQueryRotationOperands(), op.getQuery()))
      op.setQueryRotationAttr(makeTable(
          query, op.getQueryRotationOperandsMutable(), op.getQuery()));
    if (key && !isInline(key, op.getKeyRotationOperands(), op.getKey()))
      op.setKeyRotationAttr(
          makeTable(key, op.getKeyRotationOperandsMutable(), op.getKey()));
  });
  b.setInsertionPointAfter(op);
  for (TableOp table : made)
    for (Value memory : {table.getCos(), table.getSin()})
      gpu::DeallocOp::create(b, /*asyncToken=*/Type(), ValueRange(), memory);
  return made;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

AttentionParts::AttentionParts(KernelBuilder &b, AttentionOp op)
    : op(op), b(b), type(op.getAccumulatorType()) {
  queryRotation = makeRotation(query(), op.getQueryRotationAttr(),
                               op.getQueryRotationOperands());
  keyRotation =
      makeRotation(key(), op.getKeyRotationAttr(), op.getKeyRotationOperands());
  Value number = op.getQueryOffset();
  if (!number || isa<MemRefType>(number.getType()))
    return;
  // In 64 bits on the host: it must not wrap here.
  ImplicitLocOpBuilder host(op.getLoc(), b.getHost());
  OpFoldResult clamped;
  APInt known;
  if (matchPattern(number, m_ConstantInt(&known))) {
    clamped = host.getIndexAttr(std::clamp(known.getSignificantBits() <= 64
                                               ? known.getSExtValue()
                                           : known.isNegative() ? -kFarPosition
                                                                : kFarPosition,
                                           -kFarPosition, kFarPosition));
  } else {
    if (!number.getType().isIndex())
      number = arith::IndexCastOp::create(host, host.getIndexType(), number);
    auto bound = [&](int64_t x) -> Value {
      return arith::ConstantIndexOp::create(host, x);
    };
    clamped = Value(arith::MaxSIOp::create(
        host, bound(-kFarPosition),
        arith::MinSIOp::create(host, bound(kFarPosition), number)));
  }
  hostOffset = b.number(clamped);
}

std::optional<int64_t> AttentionParts::knownSize(Loop loop) {
  bool isFound = false;
  for (OpOperand *operand : op.getMappedOperands()) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (!dim)
      continue;
    isFound = true;
    int64_t size = cast<MemRefType>(operand->get().getType()).getDimSize(*dim);
    if (!ShapedType::isDynamic(size))
      return size * matchMapResult(map.getResult(*dim))->group;
  }
  return isFound ? std::nullopt : std::optional<int64_t>(1);
}

/// An operand whose dimension has the size of the loop, and which.
static std::pair<OpOperand *, int64_t> findOperand(AttentionOp op, Loop loop) {
  SmallVector<OpOperand *> operands = op.getMappedOperands();
  for (OpOperand *operand : llvm::reverse(operands)) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (dim && matchMapResult(map.getResult(*dim))->group == 1)
      return {operand, *dim};
  }
  llvm_unreachable("sizes of loops without an operand are known");
}

Value AttentionParts::size(Loop loop) {
  if (std::optional<int64_t> known = knownSize(loop))
    return b.number(b.getIndexAttr(*known));
  auto [operand, dim] = findOperand(op, loop);
  return buffer(*operand).sizes[dim];
}

OpFoldResult AttentionParts::hostSize(Loop loop) {
  if (std::optional<int64_t> known = knownSize(loop))
    return b.getIndexAttr(*known);
  auto [operand, dim] = findOperand(op, loop);
  return memref::getMixedSize(b.getHost(), op.getLoc(), operand->get(), dim);
}

int64_t AttentionParts::sharedHeads(int64_t most) {
  std::optional<int64_t> heads = knownSize(Loop::head);
  // Heads without a dimension share all.
  auto group = [&](OpOperand &operand) {
    AffineMap map = op.getMap(operand);
    return findLoop(map, Loop::head) ? getGroup(map) : heads.value_or(1);
  };
  int64_t shared = std::gcd(group(key()), group(value()));
  for (int64_t count = std::min(most, shared); count > 1; --count)
    if (shared % count == 0 && (!heads || *heads % count == 0))
      return count;
  return 1;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

Value AttentionParts::indexOf(const MapResult &match, const Indices &at) {
  if (!match.loop || !at[*match.loop])
    return Value();
  Value index = at[*match.loop];
  return match.group == 1 ? index : b.div(index, b.index(match.group));
}

Value AttentionParts::address(OpOperand &operand, const Indices &at) {
  SmallVector<Value> indices;
  for (AffineExpr result : op.getMap(operand).getResults())
    indices.push_back(indexOf(*matchMapResult(result), at));
  return b.address(buffer(operand), indices);
}

Value AttentionParts::stride(OpOperand &operand, Loop loop) {
  std::optional<int64_t> dim = findLoop(op.getMap(operand), loop);
  return dim ? buffer(operand).strides[*dim] : b.number(b.getIndexAttr(0));
}

std::optional<int64_t> AttentionParts::knownStride(OpOperand &operand,
                                                   Loop loop) {
  std::optional<int64_t> dim = findLoop(op.getMap(operand), loop);
  if (!dim)
    return 0;
  int64_t known = buffer(operand).staticStrides[*dim];
  return ShapedType::isDynamic(known) ? std::nullopt : std::optional(known);
}

//===----------------------------------------------------------------------===//
// Visible keys
//===----------------------------------------------------------------------===//

/// An integer of 64 bits, in halves, that saturates to 32 bits within bounds.
static Value saturate(KernelBuilder &b, std::pair<Value, Value> halves,
                      int64_t least, int64_t most) {
  auto [low, high] = halves;
  Value sign = arith::ShRSIOp::create(b, low, b.i32(31));
  Value fits = compare(b, arith::CmpIPredicate::eq, high, sign);
  Value isNegative = b.less(high, b.i32(0));
  Value bound = select(b, isNegative, b.i32(least), b.i32(most));
  Value inside = b.max(b.i32(least), b.min(b.i32(most), low));
  return select(b, fits, inside, bound);
}

void AttentionParts::enterBatch(Value batch) {
  offset = Value();
  if (hostOffset)
    offset = toI32(b, hostOffset);
  else if (Value offsets = op.getQueryOffset())
    offset = saturate(
        b,
        b.loadHalves(b.buffer(offsets), b.address(b.buffer(offsets), {batch})),
        -kFarPosition, kFarPosition);
  numKeys = size(Loop::key);
  if (Value lengths = op.getLengths()) {
    Value length = saturate(
        b,
        b.loadHalves(b.buffer(lengths), b.address(b.buffer(lengths), {batch})),
        0, std::numeric_limits<int32_t>::max());
    numKeys = b.min(numKeys, toIndex(b, length));
  }
}

/// The position of a query, as i32.
Value AttentionParts::position(Value query) {
  Value position = toI32(b, query);
  if (!offset)
    return position;
  position = b.add(position, offset);
  return b.max(b.i32(-kFarPosition), b.min(b.i32(kFarPosition), position));
}

/// Distances below this are within the window; nothing where all are.
static std::optional<int64_t> reachOf(AttentionOp op) {
  std::optional<uint64_t> window = op.getWindow();
  if (!window || *window >= kAllKeys)
    return std::nullopt;
  return int64_t(*window);
}

static std::optional<int64_t> chunkOf(AttentionOp op) {
  std::optional<uint64_t> chunk = op.getChunk();
  if (!chunk)
    return std::nullopt;
  return int64_t(std::min<uint64_t>(*chunk, kAllKeys));
}

/// Where the chunk of a position starts: floor division of any sign.
static Value chunkStart(KernelBuilder &b, Value position, int64_t chunk) {
  // Those that are not negative see all keys.
  if (chunk == kAllKeys)
    position = b.min(position, b.i32(0));
  Value size = b.i32(chunk);
  Value sign = arith::ShRSIOp::create(b, position, b.i32(31));
  Value magnitude = arith::XOrIOp::create(b, position, sign);
  Value number = arith::XOrIOp::create(b, b.div(magnitude, size), sign);
  return b.mul(number, size);
}

AttentionParts::KeyRange AttentionParts::visibleKeys(Value first, Value last) {
  first = position(first);
  last = position(last);
  Value keys = toI32(b, numKeys);
  Value from = b.i32(0), to = keys, allFrom = b.i32(0), allTo = keys;
  auto start = [&](Value &bound, Value x) { bound = b.max(bound, x); };
  auto end = [&](Value &bound, Value x) { bound = b.min(bound, x); };
  if (op.getCausal()) {
    end(to, b.add(last, b.i32(1)));
    end(allTo, b.add(first, b.i32(1)));
  }
  if (std::optional<int64_t> reach = reachOf(op)) {
    Value size = b.i32(*reach - 1);
    start(from, b.sub(first, size));
    start(allFrom, b.sub(last, size));
  }
  if (std::optional<int64_t> chunk = chunkOf(op)) {
    Value ofFirst = chunkStart(b, first, *chunk);
    Value ofLast = chunkStart(b, last, *chunk);
    start(from, ofFirst);
    end(to, b.add(ofLast, b.i32(*chunk)));
    // Nothing where the queries are of several chunks.
    start(allFrom, ofLast);
    end(allTo, b.add(ofFirst, b.i32(*chunk)));
  }
  // Not below zero, as what follows may divide.
  auto bounded = [&](Value x) { return toIndex(b, b.max(x, b.i32(0))); };
  return {bounded(from), bounded(to), bounded(allFrom), bounded(allTo)};
}

Value AttentionParts::isVisible(Value query, Value key) {
  if (!op.getCausal() && !op.getChunk())
    return Value();
  Value at = position(query), other = toI32(b, key), visible;
  auto require = [&](Value holds) {
    visible = visible ? Value(arith::AndIOp::create(b, visible, holds)) : holds;
  };
  // One comparison for both ends.
  auto within = [&](Value x, int64_t size) {
    require(compare(b, arith::CmpIPredicate::ult, x, b.i32(size)));
  };
  if (std::optional<int64_t> reach = reachOf(op))
    within(b.sub(at, other), *reach);
  else if (op.getCausal())
    require(compare(b, arith::CmpIPredicate::sle, other, at));
  if (std::optional<int64_t> chunk = chunkOf(op))
    within(b.sub(other, chunkStart(b, at, *chunk)), *chunk);
  return visible;
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// A scalar that the region takes from outside, in the kernel.
static Value captured(KernelBuilder &b, Value hostValue) {
  Attribute constant;
  if (matchPattern(hostValue, m_Constant(&constant)))
    return arith::ConstantOp::create(b, cast<TypedAttr>(constant));
  return b.scalar(hostValue);
}

Value AttentionParts::score(Value product, const Indices &at, bool allVisible) {
  Value score = product;
  double scale = op.getScale().convertToDouble();
  if (scale != 1.0)
    score = arith::MulFOp::create(b, score, real(scale));
  if (!op.getRegion().empty()) {
    Block &body = op.getRegion().front();
    IRMapping mapping;
    mapping.map(body.getArgument(0), score);
    for (Loop loop : {Loop::batch, Loop::head, Loop::query, Loop::key})
      mapping.map(body.getArgument(1 + unsigned(loop)),
                  at[loop] ? at[loop] : b.index(0));
    for (auto [i, operand] : llvm::enumerate(op.getScoreOperandsMutable())) {
      Value element = b.load(buffer(operand), address(operand, at));
      BlockArgument argument = body.getArgument(5 + i);
      if (argument.getType().isIndex())
        element = toIndex(b, element);
      mapping.map(argument, element);
    }
    auto lookup = [&](Value value) {
      if (!mapping.contains(value))
        mapping.map(value, captured(b, value));
      return mapping.lookup(value);
    };
    for (Operation &inner : body.without_terminator()) {
      for (Value operand : inner.getOperands())
        (void)lookup(operand);
      if (Value function = buildF64Function(b, &inner, mapping))
        mapping.map(inner.getResult(0), function);
      else
        b.clone(inner, mapping);
    }
    score = lookup(cast<YieldOp>(body.getTerminator()).getScore());
  }
  if (allVisible)
    return score;
  if (Value visible = isVisible(at[Loop::query], at[Loop::key]))
    score = arith::SelectOp::create(b, visible, score, minusInfinity());
  return score;
}

//===----------------------------------------------------------------------===//
// Softmax and results
//===----------------------------------------------------------------------===//

Value AttentionParts::minusInfinity() {
  return arith::ConstantOp::create(
      b, b.getFloatAttr(type, APFloat::getInf(type.getFloatSemantics(),
                                              /*Negative=*/true)));
}

Value AttentionParts::exp(Value x) {
  return type.isF64() ? buildExpF64(b, x) : Value(math::ExpOp::create(b, x));
}

Value AttentionParts::log(Value x) {
  return type.isF64() ? buildLogF64(b, x) : Value(math::LogOp::create(b, x));
}

Value AttentionParts::greater(Value max, Value x) {
  return select(b, compareFloats(b, arith::CmpFPredicate::OGT, x, max), x, max);
}

Value AttentionParts::initialMax(Value head) {
  Value sinks = op.getSinks();
  if (!sinks)
    return minusInfinity();
  const KernelBuffer &buffer = b.buffer(sinks);
  return toFloat(b, b.load(buffer, b.address(buffer, {head})), type);
}

Value AttentionParts::weight(Value score, Value max) {
  // Minus infinity less itself would not be a number.
  Value lowest = arith::ConstantOp::create(
      b, b.getFloatAttr(type, APFloat::getLargest(type.getFloatSemantics(),
                                                  /*Negative=*/true)));
  return exp(arith::SubFOp::create(b, score, greater(lowest, max)));
}

Value AttentionParts::accumulate(Value acc, Value weight, Value x) {
  Value next = math::FmaOp::create(b, weight, x, acc);
  Value isHidden =
      compareFloats(b, arith::CmpFPredicate::OEQ, weight, real(0.0));
  return arith::SelectOp::create(b, isHidden, acc, next);
}

Value AttentionParts::inverse(Value sum) {
  // Rows without any weight are zeros.
  Value isEmpty = compareFloats(b, arith::CmpFPredicate::OEQ, sum, real(0.0));
  return arith::SelectOp::create(b, isEmpty, real(0.0),
                                 arith::DivFOp::create(b, real(1.0), sum));
}

void AttentionParts::storeOutput(Value x, const Indices &at) {
  b.storeFloats(buffer(output()), address(output(), at), x, /*aligned=*/false);
}

void AttentionParts::storeLogSumExp(Value max, Value sum, const Indices &at) {
  OpOperand &operand = op.getInitsMutable()[1];
  Value x = arith::AddFOp::create(b, max, log(sum));
  b.storeFloats(buffer(operand), address(operand, at), x, /*aligned=*/false);
}

//===----------------------------------------------------------------------===//
// Rotations
//===----------------------------------------------------------------------===//

std::unique_ptr<AttentionRotation>
AttentionParts::makeRotation(OpOperand &operand, RotationAttr rotation,
                             ValueRange rotationOperands) {
  if (!rotation)
    return nullptr;
  auto result = std::make_unique<AttentionRotation>(*this, operand, rotation,
                                                    rotationOperands);
  return result->knownPairs() == 0 ? nullptr : std::move(result);
}

AttentionRotation::AttentionRotation(AttentionParts &parts, OpOperand &operand,
                                     RotationAttr rotation,
                                     ValueRange rotationOperands)
    : parts(parts), operand(operand), attr(rotation),
      operands(rotationOperands) {
  KernelBuilder &b = parts.getBuilder();
  const KernelBuffer &first = b.buffer(operands[0]);
  const KernelBuffer &second = b.buffer(operands[1]);
  // Of tables, both know it.
  int64_t known = second.staticSizes.back();
  if (!attr.getAngles() && ShapedType::isDynamic(known))
    known = first.staticSizes.back();
  if (!ShapedType::isDynamic(known))
    knownNumPairs = known;
  numPairs = knownNumPairs ? b.number(b.getIndexAttr(*knownNumPairs))
                           : second.sizes.back();
  knownStride = attr.getPairStride() ? attr.getPairStride() : knownNumPairs;
  stride = knownStride ? b.number(b.getIndexAttr(*knownStride)) : numPairs;

  type = parts.getType();
  if (AnglesAttr angles = attr.getAngles()) {
    usedAxes = {0};
    if (DenseI64ArrayAttr axes = angles.getAxes()) {
      usedAxes.clear();
      for (int64_t axis : axes.asArrayRef())
        if (!llvm::is_contained(usedAxes, axis))
          usedAxes.push_back(axis);
    }
  } else if (floatElement(operands[0]).isF64()) {
    type = b.getF64Type();
  }
}

bool AttentionRotation::rotatesAll() const {
  std::optional<int64_t> channels = parts.knownSize(Loop::channel);
  return knownNumPairs && channels && 2 * *knownNumPairs == *channels;
}

static Pairing writtenPairing(RotationAttr attr) {
  return attr.getResultPairing().value_or(attr.getPairing());
}

bool AttentionRotation::hasSlotsOf(const AttentionRotation &other) const {
  return knownNumPairs && knownNumPairs == other.knownNumPairs &&
         attr.getOffset() == other.attr.getOffset() &&
         knownStride == other.knownStride &&
         writtenPairing(attr) == writtenPairing(other.attr);
}

std::pair<Value, Value> AttentionRotation::channels(Pairing pairing,
                                                    Value pair) const {
  KernelBuilder &b = parts.getBuilder();
  if (pairing == Pairing::interleaved)
    pair = b.mul(pair, b.index(2));
  Value first =
      attr.getOffset() ? b.add(pair, b.index(attr.getOffset())) : pair;
  return {first, b.add(first, pairing == Pairing::half ? stride : b.index(1))};
}

std::pair<Value, Value> AttentionRotation::readChannels(Value pair) const {
  return channels(attr.getPairing(), pair);
}

std::pair<Value, Value> AttentionRotation::writtenChannels(Value pair) const {
  return channels(writtenPairing(attr), pair);
}

Value AttentionRotation::restChannel(Value slot) const {
  KernelBuilder &b = parts.getBuilder();
  Value pairs = numPairs, both = b.mul(pairs, b.index(2));
  Value number = b.sub(slot, both);
  // Those before the first pair, between the halves, and behind.
  Value before = b.index(attr.getOffset());
  Value gap = b.sub(stride, pairs);
  if (writtenPairing(attr) == Pairing::interleaved)
    gap = b.index(0);
  Value isBefore = b.less(number, before);
  Value isBetween = b.less(number, b.add(before, gap));
  return select(b, isBefore, number,
                select(b, isBetween, b.add(number, pairs), slot));
}

AttentionRotation::Row AttentionRotation::row(const Indices &at,
                                              Value base) const {
  KernelBuilder &b = parts.getBuilder();
  AffineMap map = parts.getOp().getMap(operand);
  SmallVector<Value> indices;
  for (int64_t dim : attr.getPositionDims().asArrayRef())
    indices.push_back(parts.indexOf(*matchMapResult(map.getResult(dim)), at));
  Row result;
  result.base = base;
  const KernelBuffer &first = b.buffer(operands[0]);
  if (!attr.getAngles()) {
    indices.push_back(Value());
    result.cos = b.address(first, indices);
    result.sin = b.address(b.buffer(operands[1]), indices);
    return result;
  }
  if (attr.getAngles().getAxes())
    indices.insert(indices.begin(), Value());
  for (int64_t axis : usedAxes) {
    if (attr.getAngles().getAxes())
      indices[0] = b.index(axis);
    result.positions.push_back(b.loadHalves(first, b.address(first, indices)));
  }
  return result;
}

/// Whether `pair` follows `axis`: its bit in constant words.
static Value isMember(KernelBuilder &b, Value pair, ArrayRef<int64_t> axes,
                      int64_t axis) {
  Value number = toI32(b, pair), word;
  for (size_t first = 0; first < axes.size(); first += 32) {
    uint32_t bits = 0;
    for (auto [i, other] : llvm::enumerate(axes.slice(first).take_front(32)))
      bits |= uint32_t(other == axis) << i;
    Value next = b.i32(static_cast<int32_t>(bits));
    word = !word ? next
                 : select(b,
                          compare(b, arith::CmpIPredicate::sge, number,
                                  b.i32(static_cast<int64_t>(first))),
                          next, word);
  }
  Value bit = arith::AndIOp::create(b, number, b.i32(31));
  return arith::TruncIOp::create(b, b.getI1Type(),
                                 arith::ShRUIOp::create(b, word, bit));
}

SmallVector<CosSin> AttentionRotation::cosSin(const Row &row, Value pair,
                                              int64_t count,
                                              bool aligned) const {
  KernelBuilder &b = parts.getBuilder();
  SmallVector<CosSin> result;
  if (!attr.getAngles()) {
    auto load = [&](Value operand, Value start) {
      const KernelBuffer &table = b.buffer(operand);
      Value step = table.strides.back();
      Value first = b.add(start, b.mul(pair, step));
      if (table.staticStrides.back() == 1 || count == 1)
        return b.loadFloats(table, first, count, type, aligned);
      SmallVector<Value> values;
      for (int64_t i = 0; i < count; ++i)
        values.push_back(toFloat(
            b, b.load(table, b.add(first, b.mul(b.index(i), step))), type));
      return values;
    };
    SmallVector<Value> cos = load(operands[0], row.cos);
    SmallVector<Value> sin = load(operands[1], row.sin);
    for (auto [x, y] : llvm::zip_equal(cos, sin))
      result.push_back({x, y});
    return result;
  }

  AnglesAttr angles = attr.getAngles();
  const KernelBuffer &frequencies = b.buffer(operands[1]);
  double magnitude = angles.getMagnitude().getValueAsDouble();
  for (int64_t i = 0; i < count; ++i) {
    Value at = b.add(pair, b.index(i));
    std::pair<Value, Value> position = row.positions.front();
    for (size_t axis = 1; axis < usedAxes.size(); ++axis) {
      Value holds =
          isMember(b, at, angles.getAxes().asArrayRef(), usedAxes[axis]);
      auto [low, high] = row.positions[axis];
      position = {select(b, holds, low, position.first),
                  select(b, holds, high, position.second)};
    }
    CosSin angle = buildExactCosSinOfHalves(
        b, position, b.loadHalves(frequencies, b.address(frequencies, {at})));
    for (Value *x : {&angle.cos, &angle.sin}) {
      if (magnitude != 1.0)
        *x = arith::MulFOp::create(b, *x, b.real(b.getF32Type(), magnitude));
      *x = toFloat(b, *x, type);
    }
    result.push_back(angle);
  }
  return result;
}

std::pair<Value, Value> AttentionRotation::rotate(Value u, Value v,
                                                  CosSin angle) const {
  KernelBuilder &b = parts.getBuilder();
  auto contract = arith::FastMathFlags::contract;
  u = toFloat(b, u, type);
  v = toFloat(b, v, type);
  auto times = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b, x, y, contract);
  };
  auto plus = [&](Value x, Value y) -> Value {
    return arith::AddFOp::create(b, x, y, contract);
  };
  auto minus = [&](Value x, Value y) -> Value {
    return arith::SubFOp::create(b, x, y, contract);
  };
  Value uCos = times(u, angle.cos), uSin = times(u, angle.sin);
  Value vCos = times(v, angle.cos), vSin = times(v, angle.sin);
  bool back = attr.getTranspose();
  return {
      toFloat(b, back ? plus(uCos, vSin) : minus(uCos, vSin), parts.getType()),
      toFloat(b, back ? minus(vCos, uSin) : plus(vCos, uSin), parts.getType())};
}

std::pair<Value, Value> AttentionRotation::loadPair(const Row &row,
                                                    Value pair) const {
  auto [first, second] = readChannels(pair);
  Value u = load(row, first), v = load(row, second);
  return rotate(u, v, cosSin(row, pair).front());
}

/// A channel of the operand, as it is.
Value AttentionRotation::load(const Row &row, Value channel) const {
  KernelBuilder &b = parts.getBuilder();
  Value distance = b.mul(channel, parts.stride(operand, Loop::channel));
  return parts.load(operand, b.add(row.base, distance));
}

Value AttentionRotation::loadChannel(const Row &row, Value channel) const {
  KernelBuilder &b = parts.getBuilder();
  Value number = b.sub(channel, b.index(attr.getOffset()));
  Value isSecond, pair;
  if (writtenPairing(attr) == Pairing::half) {
    isSecond = compare(b, arith::CmpIPredicate::sge, number, stride);
    pair = select(b, isSecond, b.sub(number, stride), number);
  } else {
    isSecond =
        compare(b, arith::CmpIPredicate::ne,
                arith::AndIOp::create(b, number, b.index(1)), b.index(0));
    pair = arith::ShRSIOp::create(b, number, b.index(1));
  }
  auto rotated = [&]() -> Value {
    auto [first, second] = loadPair(row, pair);
    return select(b, isSecond, second, first);
  };
  if (rotatesAll())
    return rotated();
  // Below zero is far above.
  Value isRotated = compare(b, arith::CmpIPredicate::ult, pair, numPairs);
  auto branch = scf::IfOp::create(b, TypeRange{parts.getType()}, isRotated,
                                  /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, rotated());
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, load(row, channel));
  return branch.getResult(0);
}

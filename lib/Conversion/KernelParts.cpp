//===- KernelParts.cpp - operations that share a kernel -------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelParts.h"
#include "Rope/IR/Attention.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include <numeric>

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// Numbers of the host
//===----------------------------------------------------------------------===//

static OpFoldResult times(ImplicitLocOpBuilder &host, OpFoldResult x,
                          OpFoldResult y) {
  // Sizes are not symbols of each other, so their product is no affine map.
  std::optional<int64_t> knownX = getConstantIntValue(x);
  std::optional<int64_t> knownY = getConstantIntValue(y);
  if (knownX && knownY)
    return host.getIndexAttr(*knownX * *knownY);
  return host.createOrFold<arith::MulIOp>(
      getValueOrCreateConstantIndexOp(host, host.getLoc(), x),
      getValueOrCreateConstantIndexOp(host, host.getLoc(), y));
}

/// `x / y`, rounded up; both are positive or zero, y is not zero.
static OpFoldResult divideCeil(ImplicitLocOpBuilder &host, OpFoldResult x,
                               OpFoldResult y) {
  std::optional<int64_t> knownX = getConstantIntValue(x);
  std::optional<int64_t> knownY = getConstantIntValue(y);
  if (knownX && knownY)
    return host.getIndexAttr(llvm::divideCeil(*knownX, *knownY));
  return host.createOrFold<arith::CeilDivUIOp>(
      getValueOrCreateConstantIndexOp(host, host.getLoc(), x),
      getValueOrCreateConstantIndexOp(host, host.getLoc(), y));
}

static OpFoldResult product(ImplicitLocOpBuilder &host,
                            ArrayRef<OpFoldResult> factors) {
  OpFoldResult result = host.getIndexAttr(1);
  for (OpFoldResult factor : factors)
    result = times(host, result, factor);
  return result;
}

static MemRefType typeOf(Value memref) {
  return cast<MemRefType>(memref.getType());
}

static int64_t bytesOf(Value memref) {
  return std::max(1u, typeOf(memref).getElementType().isIndex()
                          ? 8
                          : typeOf(memref).getElementTypeBitWidth() / 8);
}

/// Whether elements of the last dimension are known to be neighbours.
static bool hasRows(Value memref) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return typeOf(memref).getRank() > 0 &&
         succeeded(typeOf(memref).getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

/// How many elements of the given memrefs one access takes; where accesses are
/// of one element, what makes a thread worth its start.
static int64_t elementsPerAccess(const GPUTarget &target,
                                 ArrayRef<Value> memrefs) {
  int64_t bytes = 8;
  for (Value memref : memrefs)
    bytes = std::min(bytes, bytesOf(memref));
  return (target.accessBytes ? target.accessBytes : 8) / bytes;
}

/// What a thread takes where each element is an access: few, so that threads
/// side by side read elements side by side.
static constexpr int64_t kPairsOfNarrowThreads = 2;

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// `count` elements along the last dimension from `first` on, of the row at
/// `row`, as `KernelBuilder::loadRow` returns them.
static SmallVector<Value> loadRow(KernelBuilder &b, const KernelBuffer &buffer,
                                  Value row, Value first, int64_t count,
                                  bool wide) {
  if (buffer.staticStrides.back() == 1)
    return b.loadRow(buffer, b.add(row, first), count, wide);
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; ++i) {
    Value at = b.mul(b.add(first, b.index(i)), buffer.strides.back());
    values.append(b.loadRow(buffer, b.add(row, at), 1, false));
  }
  return values;
}

static void storeRow(KernelBuilder &b, const KernelBuffer &buffer, Value row,
                     Value first, ValueRange values, bool wide) {
  if (buffer.staticStrides.back() == 1) {
    b.storeFloats(buffer, b.add(row, first), values, wide);
    return;
  }
  for (auto [i, value] : llvm::enumerate(values)) {
    Value at = b.mul(b.add(first, b.index(i)), buffer.strides.back());
    b.storeFloats(buffer, b.add(row, at), value, false);
  }
}

//===----------------------------------------------------------------------===//
// Angles
//===----------------------------------------------------------------------===//

SmallVector<CosSin> rope::emitAngles(KernelBuilder &b,
                                     const AngleSource &angles,
                                     ValueRange coordinates, Value pair,
                                     int64_t count, FloatType type,
                                     bool aligned) {
  const KernelBuffer &positions = b.buffer(angles.positions);
  const KernelBuffer &frequencies = b.buffer(angles.frequencies);
  bool ofInteger = !isa<FloatType>(positions.elementType);
  bool inTurns = frequencies.elementType.isInteger(64);
  bool inHalves = ofInteger && inTurns && type.isF32();
  // What the pairs of one axis share.
  std::pair<Value, Value> halves;
  Value position;
  auto loadPosition = [&](Value axis) {
    SmallVector<Value> indices;
    if (axis)
      indices.push_back(axis);
    llvm::append_range(indices, coordinates);
    Value at = b.address(positions, indices);
    if (inHalves)
      halves = b.loadHalves(positions, at);
    else
      position = b.load(positions, at);
  };
  if (!angles.axes)
    loadPosition(Value());

  SmallVector<CosSin> results;
  SmallVector<std::pair<Value, Value>> turns;
  if (inHalves)
    turns = b.loadHalves(frequencies, b.address(frequencies, pair), count,
                         aligned && frequencies.staticStrides[0] == 1);
  for (int64_t i = 0; i < count; ++i) {
    Value at = b.add(pair, b.index(i));
    if (angles.axes) {
      const KernelBuffer &axes = b.buffer(angles.axes);
      loadPosition(b.loadIndex(axes, b.address(axes, at)));
    }
    CosSin angle;
    if (inHalves) {
      angle = buildExactCosSinOfHalves(b, halves, turns[i]);
    } else {
      Value w = b.load(frequencies, b.address(frequencies, at));
      if (angles.precision == Precision::f32)
        angle = buildF32CosSin(b, position, w);
      else if (!ofInteger)
        angle = buildExactCosSinOfFloat(b, position, w, type);
      else if (inTurns)
        angle = buildExactCosSin(b, position, w, type);
      else
        angle = buildExactCosSinOfRadians(b, position, w, type);
    }
    for (Value *value : {&angle.cos, &angle.sin}) {
      if (angles.magnitude != 1.0)
        *value = arith::MulFOp::create(
            b, *value,
            b.real(cast<FloatType>(value->getType()), angles.magnitude));
      *value = toFloat(b, *value, type);
    }
    results.push_back(angle);
  }
  return results;
}

/// Whether whole vectors of frequencies may be read from multiples of `count`:
/// the runtime aligns what it copies to the device.
static bool areAligned(const AngleSource &angles) {
  return isa_and_nonnull<memref::GetGlobalOp, gpu::AllocOp>(
      angles.frequencies.getDefiningOp());
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

namespace {
class RotationPart : public KernelPart {
public:
  RotationPart(ApplyOp op, std::optional<AngleSource> angles)
      : op(op), angles(angles) {
    int64_t rank = typeOf(op.getX()).getRank();
    for (int64_t dim : op.getPositionDims())
      positionDims.push_back(dim);
    for (int64_t dim = 0; dim < rank - 1; ++dim)
      if (!llvm::is_contained(positionDims, dim))
        headDims.push_back(dim);
    numPairs = typeOf(op.getCos()).getShape().back();
    if (ShapedType::isDynamic(numPairs))
      numPairs = typeOf(op.getSin()).getShape().back();
  }

  OpFoldResult countThreads(ImplicitLocOpBuilder &host, const GPUTarget &target,
                            bool isWide) override {
    wide = isWide;
    width = chooseWidth(target);
    if (target.accessBytes && !wide)
      width = std::gcd(width, kPairsOfNarrowThreads);
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(host, host.getLoc(), op.getX());
    SmallVector<OpFoldResult> known =
        memref::getMixedSizes(host, host.getLoc(), op.getInit());
    auto sizesOf = [&](ArrayRef<int64_t> dims) {
      SmallVector<OpFoldResult> result;
      for (int64_t dim : dims)
        result.push_back(isa<Attribute>(known[dim]) ? known[dim] : sizes[dim]);
      return result;
    };
    positionSizes = sizesOf(positionDims);
    headSizes = sizesOf(headDims);
    OpFoldResult pairs =
        ShapedType::isDynamic(numPairs)
            ? memref::getMixedSizes(host, host.getLoc(), op.getCos()).back()
            : OpFoldResult(host.getIndexAttr(numPairs));
    units = ShapedType::isDynamic(numPairs)
                ? pairs
                : OpFoldResult(host.getIndexAttr(numPairs / width));
    numHeads = product(host, headSizes);
    OpFoldResult rows = times(host, product(host, positionSizes), units);
    // A thread that rotates two heads makes or loads cosine and sine once for
    // both. More heads a thread leave too few bytes in flight: of the speed of
    // copying 65536 tokens of 32 and 8 heads of 128 channels in bf16, threads
    // of 1, 2, 4 and 8 heads reached 0.85, 0.99, 0.97 and 0.95 on an H200; one
    // head each is faster as long as the device is not full, 3.7 in place of
    // 4.0 us for 128 tokens.
    OpFoldResult enough = host.getIndexAttr(int64_t(target.processors) * 512);
    OpFoldResult perThread = host.getIndexAttr(1);
    OpFoldResult all = times(host, rows, numHeads);
    auto knownAll = getConstantIntValue(all);
    if (knownAll) {
      perThread = host.getIndexAttr(std::clamp<int64_t>(
          *knownAll / *getConstantIntValue(enough), 1, kMaxHeadsPerThread));
    } else {
      Value quotient = arith::DivUIOp::create(
          host, cast<Value>(all),
          getValueOrCreateConstantIndexOp(host, host.getLoc(), enough));
      quotient = arith::MaxUIOp::create(
          host, quotient, arith::ConstantIndexOp::create(host, 1));
      perThread = OpFoldResult(arith::MinUIOp::create(
          host, quotient,
          arith::ConstantIndexOp::create(host, kMaxHeadsPerThread)));
    }
    // No fewer than one, as threads are numbered by it.
    if (getConstantIntValue(numHeads) == 0)
      groups = host.getIndexAttr(1);
    else
      groups = divideCeil(host, numHeads, perThread);
    return times(host, rows, groups);
  }

  SmallVector<Value> getWideMemrefs(const GPUTarget &target) override {
    SmallVector<Value> memrefs = {op.getX(), op.getInit()};
    if (!angles)
      memrefs.append({op.getCos(), op.getSin()});
    if (chooseWidth(target) == 1 || !llvm::all_of(memrefs, hasRows))
      return {};
    return memrefs;
  }

  void emit(KernelBuilder &b, Value thread) override {
    Value numUnits = b.number(units), numGroups = b.number(groups);
    Value unit = b.rem(thread, numUnits), rest = b.div(thread, numUnits);
    Value group = b.rem(rest, numGroups);
    Value position = b.div(rest, numGroups);
    SmallVector<Value> coordinates =
        b.delinearize(position, numbers(b, positionSizes));
    Value pair = b.mul(unit, b.index(width));

    FloatType element = cast<FloatType>(typeOf(op.getInit()).getElementType());
    FloatType tables = cast<FloatType>(typeOf(op.getCos()).getElementType());
    bool inF64 = element.isF64() || (element.isF32() && tables.isF64());
    FloatType type = inF64 ? b.getF64Type() : b.getF32Type();
    const KernelBuffer &x = b.buffer(op.getX());
    const KernelBuffer &y = b.buffer(op.getInit());
    // Aligned rows have strides below 2^31: the loop over heads counts in 32
    // bits then, which saves registers.
    auto count = [&](Value number) -> Value {
      return wide ? b.toI32(number) : number;
    };
    auto rowOf = [&](const KernelBuffer &buffer, ArrayRef<int64_t> dims,
                     ValueRange indices) {
      Value row = b.index(0);
      for (auto [dim, index] : llvm::zip(dims, indices)) {
        Value stride = buffer.strides[dim];
        row = b.add(row, index.getType().isIndex()
                             ? b.mul(index, stride)
                             : b.mulWide(index, b.toI32(stride)));
      }
      return row;
    };
    // Where the memrefs themselves start, too: those in loops are views.
    Value fromPosition =
        b.add(b.address(x, {}), rowOf(x, positionDims, coordinates));
    Value toPosition =
        b.add(b.address(y, {}), rowOf(y, positionDims, coordinates));
    SmallVector<Value> sizes =
        llvm::map_to_vector(numbers(b, headSizes), count);
    auto loadHead = [&](Value head) {
      Value from =
          b.add(fromPosition, rowOf(x, headDims, b.delinearize(head, sizes)));
      if (op.getPairing() == Pairing::interleaved)
        return loadRow(b, x, from, interleaved(b, pair), 2 * width, wide);
      SmallVector<Value> row = loadRow(b, x, from, first(b, pair), width, wide);
      row.append(loadRow(b, x, from, second(b, pair), width, wide));
      return row;
    };
    // Of the first head, and of the next one at the end of each round: memory
    // is waited for together with what angles are made from.
    Value head = count(group), end = count(b.number(numHeads));
    SmallVector<Value> row = loadHead(head);

    SmallVector<Value> cos, sin;
    if (angles) {
      for (CosSin angle : emitAngles(b, *angles, coordinates, pair, width, type,
                                     areAligned(*angles))) {
        cos.push_back(angle.cos);
        sin.push_back(angle.sin);
      }
    } else {
      auto load = [&](Value table) {
        const KernelBuffer &buffer = b.buffer(table);
        return b.toFloats(loadRow(b, buffer, b.address(buffer, coordinates),
                                  pair, width, wide),
                          type);
      };
      cos = load(op.getCos());
      sin = load(op.getSin());
    }

    b.forLoop(
        head, end, count(numGroups), row, [&](Value head, ValueRange row) {
          Value to =
              b.add(toPosition, rowOf(y, headDims, b.delinearize(head, sizes)));
          storeHead(b, y, to, pair, cos, sin, b.toFloats(row, type));
          Value next = b.add(head, count(numGroups));
          return b.ifThen(b.less(next, end), row,
                          [&] { return loadHead(next); });
        });
  }

private:
  static constexpr int64_t kMaxHeadsPerThread = 2;

  static SmallVector<Value> numbers(KernelBuilder &b,
                                    ArrayRef<OpFoldResult> sizes) {
    return llvm::map_to_vector(
        sizes, [&](OpFoldResult size) { return b.number(size); });
  }

  /// How many pairs a thread rotates: whole accesses in the rows of x and its
  /// destination, whose first channels they start at multiples of.
  int64_t chooseWidth(const GPUTarget &target) {
    if (ShapedType::isDynamic(numPairs) || numPairs == 0)
      return 1;
    int64_t access = elementsPerAccess(target, {op.getX(), op.getInit()});
    int64_t offset = op.getOffset();
    if (op.getPairing() == Pairing::half &&
        op.getWrittenPairing() == Pairing::half)
      return std::gcd(std::gcd(access, numPairs), std::gcd(offset, stride()));
    // Neighbours in both: one access of interleaved channels.
    int64_t width = std::gcd(access / 2, numPairs);
    if (op.getPairing() != op.getWrittenPairing())
      width = std::gcd(width, stride());
    while (width > 1 && offset % (2 * width) != 0)
      width /= 2;
    return std::max<int64_t>(width, 1);
  }

  int64_t stride() { return op.getPairStride().value_or(numPairs); }

  Value first(KernelBuilder &b, Value pair) {
    return b.add(pair, b.index(op.getOffset()));
  }
  Value second(KernelBuilder &b, Value pair) {
    Value distance = ShapedType::isDynamic(numPairs) && !op.getPairStride()
                         ? b.number(units)
                         : b.index(stride());
    return b.add(first(b, pair), distance);
  }
  Value interleaved(KernelBuilder &b, Value pair) {
    return b.add(b.mul(pair, b.index(2)), b.index(op.getOffset()));
  }

  void storeHead(KernelBuilder &b, const KernelBuffer &y, Value to, Value pair,
                 ArrayRef<Value> cos, ArrayRef<Value> sin,
                 ArrayRef<Value> channels) {
    SmallVector<Value> u, v;
    for (int64_t i = 0; i < width; ++i) {
      bool half = op.getPairing() == Pairing::half;
      u.push_back(channels[half ? i : 2 * i]);
      v.push_back(channels[half ? width + i : 2 * i + 1]);
    }
    rotate(b, cos, sin, u, v);
    if (op.getWrittenPairing() == Pairing::half) {
      storeRow(b, y, to, first(b, pair), u, wide);
      storeRow(b, y, to, second(b, pair), v, wide);
      return;
    }
    SmallVector<Value> both;
    for (auto [x, y] : llvm::zip(u, v))
      both.append({x, y});
    storeRow(b, y, to, interleaved(b, pair), both, wide);
  }

  void rotate(KernelBuilder &b, ArrayRef<Value> cos, ArrayRef<Value> sin,
              MutableArrayRef<Value> us, MutableArrayRef<Value> vs) {
    auto contract = arith::FastMathFlags::contract;
    auto times = [&](Value x, Value y) -> Value {
      return arith::MulFOp::create(b, x, y, contract);
    };
    auto plus = [&](Value x, Value y) -> Value {
      return arith::AddFOp::create(b, x, y, contract);
    };
    auto minus = [&](Value x, Value y) -> Value {
      return arith::SubFOp::create(b, x, y, contract);
    };
    for (auto [c, s, u, v] : llvm::zip(cos, sin, us, vs)) {
      Value uc = times(u, c), vs = times(v, s);
      Value vc = times(v, c), us = times(u, s);
      u = op.getTranspose() ? plus(uc, vs) : minus(uc, vs);
      v = op.getTranspose() ? minus(vc, us) : plus(vc, us);
    }
  }

  ApplyOp op;
  std::optional<AngleSource> angles;
  SmallVector<int64_t> positionDims, headDims;
  int64_t numPairs, width = 1;
  bool wide = false;
  /// Known once threads are counted.
  SmallVector<OpFoldResult> positionSizes, headSizes;
  OpFoldResult units, numHeads, groups;
};

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

class TablePart : public KernelPart {
public:
  TablePart(TableOp op, AngleSource angles) : op(op), angles(angles) {
    for (Value memref : {op.getCos(), op.getSin(), op.getFrequencies()})
      if (ShapedType::isDynamic(numPairs))
        numPairs = typeOf(memref).getShape().back();
  }

  OpFoldResult countThreads(ImplicitLocOpBuilder &host, const GPUTarget &target,
                            bool isWide) override {
    wide = isWide;
    width = chooseWidth(target);
    if (target.accessBytes && !wide)
      width = std::gcd(width, kPairsOfNarrowThreads);
    sizes = memref::getMixedSizes(host, host.getLoc(), op.getCos());
    units = ShapedType::isDynamic(numPairs)
                ? sizes.back()
                : OpFoldResult(host.getIndexAttr(numPairs / width));
    sizes.pop_back();
    return times(host, product(host, sizes), units);
  }

  SmallVector<Value> getWideMemrefs(const GPUTarget &target) override {
    if (chooseWidth(target) == 1 || !hasRows(op.getCos()) ||
        !hasRows(op.getSin()))
      return {};
    return {op.getCos(), op.getSin()};
  }

  void emit(KernelBuilder &b, Value thread) override {
    Value numUnits = b.number(units);
    Value unit = b.rem(thread, numUnits);
    SmallVector<Value> numbers = llvm::map_to_vector(
        sizes, [&](OpFoldResult size) { return b.number(size); });
    SmallVector<Value> coordinates =
        b.delinearize(b.div(thread, numUnits), numbers);
    Value pair = b.mul(unit, b.index(width));
    auto element = cast<FloatType>(typeOf(op.getCos()).getElementType());
    FloatType type = element.isF64() && angles.precision == Precision::exact
                         ? b.getF64Type()
                         : b.getF32Type();
    SmallVector<Value> cos, sin;
    for (CosSin angle : emitAngles(b, angles, coordinates, pair, width, type,
                                   areAligned(angles))) {
      cos.push_back(angle.cos);
      sin.push_back(angle.sin);
    }
    auto store = [&](Value table, ValueRange values) {
      const KernelBuffer &buffer = b.buffer(table);
      storeRow(b, buffer, b.address(buffer, coordinates), pair, values, wide);
    };
    store(op.getCos(), cos);
    store(op.getSin(), sin);
  }

private:
  int64_t chooseWidth(const GPUTarget &target) {
    if (ShapedType::isDynamic(numPairs) || numPairs == 0)
      return 1;
    return std::gcd(elementsPerAccess(target, {op.getCos()}), numPairs);
  }

  TableOp op;
  AngleSource angles;
  int64_t numPairs = ShapedType::kDynamic, width = 1;
  bool wide = false;
  SmallVector<OpFoldResult> sizes;
  OpFoldResult units;
};

//===----------------------------------------------------------------------===//
// Copy
//===----------------------------------------------------------------------===//

class CopyPart : public KernelPart {
public:
  CopyPart(Value from, Value to) : from(from), to(to) {}

  OpFoldResult countThreads(ImplicitLocOpBuilder &host, const GPUTarget &target,
                            bool isWide) override {
    wide = isWide;
    width = chooseWidth(target);
    if (target.accessBytes && !wide)
      width = std::gcd(width, kPairsOfNarrowThreads);
    sizes = memref::getMixedSizes(host, host.getLoc(), from);
    for (auto [dim, size] : llvm::enumerate(typeOf(to).getShape()))
      if (!ShapedType::isDynamic(size))
        sizes[dim] = host.getIndexAttr(size);
    if (width > 1)
      sizes.back() = host.getIndexAttr(lastSize() / width);
    return product(host, sizes);
  }

  SmallVector<Value> getWideMemrefs(const GPUTarget &target) override {
    if (chooseWidth(target) == 1)
      return {};
    return {from, to};
  }

  void emit(KernelBuilder &b, Value thread) override {
    SmallVector<Value> numbers = llvm::map_to_vector(
        sizes, [&](OpFoldResult size) { return b.number(size); });
    SmallVector<Value> indices = b.delinearize(thread, numbers);
    if (width > 1)
      indices.back() = b.mul(indices.back(), b.index(width));
    const KernelBuffer &source = b.buffer(from), &target = b.buffer(to);
    Value read = b.address(source, indices), write = b.address(target, indices);
    if (source.elementType == target.elementType) {
      b.copy(source, read, target, write, width, wide);
      return;
    }
    auto type = cast<FloatType>(target.elementType);
    b.storeFloats(target, write, b.loadFloats(source, read, width, type, wide),
                  wide);
  }

private:
  int64_t lastSize() {
    if (typeOf(from).getRank() == 0)
      return 1;
    int64_t size = typeOf(from).getShape().back();
    return ShapedType::isDynamic(size) ? typeOf(to).getShape().back() : size;
  }

  int64_t chooseWidth(const GPUTarget &target) {
    int64_t size = lastSize();
    if (ShapedType::isDynamic(size) || size == 0 || !hasRows(from) ||
        !hasRows(to))
      return 1;
    return std::gcd(elementsPerAccess(target, {from, to}), size);
  }

  Value from, to;
  int64_t width = 1;
  bool wide = false;
  SmallVector<OpFoldResult> sizes;
};

//===----------------------------------------------------------------------===//
// Linalg
//===----------------------------------------------------------------------===//

class LinalgPart : public KernelPart {
public:
  explicit LinalgPart(linalg::LinalgOp op) : op(op) {}

  OpFoldResult countThreads(ImplicitLocOpBuilder &host, const GPUTarget &target,
                            bool isWide) override {
    SmallVector<OpFoldResult> parallel;
    sizes.clear();
    for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray())) {
      sizes.push_back(sizeOf(host, loop));
      if (iterator == utils::IteratorType::parallel)
        parallel.push_back(sizes.back());
    }
    return product(host, parallel);
  }

  void emit(KernelBuilder &b, Value thread) override {
    SmallVector<Value> parallel, reduction, loops(sizes.size());
    SmallVector<unsigned> reductionLoops;
    for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray())) {
      if (iterator == utils::IteratorType::parallel)
        parallel.push_back(b.number(sizes[loop]));
      else
        reductionLoops.push_back(loop);
    }
    SmallVector<Value> coordinates = b.delinearize(thread, parallel);
    auto next = coordinates.begin();
    for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
      if (iterator == utils::IteratorType::parallel)
        loops[loop] = *next++;
    emitReductions(b, reductionLoops, loops);
  }

private:
  /// The size of a loop, of an operand whose dimension it is.
  OpFoldResult sizeOf(ImplicitLocOpBuilder &host, unsigned loop) {
    SmallVector<std::pair<Value, unsigned>> dims;
    op.mapIterationSpaceDimToAllOperandDims(loop, dims);
    OpFoldResult size;
    for (auto [operand, dim] : dims) {
      size = memref::getMixedSize(host, host.getLoc(), operand, dim);
      if (isa<Attribute>(size))
        break;
    }
    return size;
  }

  void emitReductions(KernelBuilder &b, ArrayRef<unsigned> remaining,
                      MutableArrayRef<Value> loops) {
    if (!remaining.empty()) {
      b.forLoop(b.index(0), b.number(sizes[remaining.front()]), b.index(1),
                [&](Value iv) {
                  loops[remaining.front()] = iv;
                  emitReductions(b, remaining.drop_front(), loops);
                });
      return;
    }
    IRMapping mapping;
    SmallVector<std::pair<const KernelBuffer *, Value>> places;
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(&operand);
      if (!isa<MemRefType>(operand.get().getType())) {
        mapping.map(argument, b.scalar(operand.get()));
        continue;
      }
      const KernelBuffer &buffer = b.buffer(operand.get());
      auto indices = affine::expandAffineMap(
          b, b.getLoc(), op.getMatchingIndexingMap(&operand), loops);
      places.emplace_back(&buffer, b.address(buffer, *indices));
      if (!argument.use_empty())
        mapping.map(argument, asElement(b, b.load(buffer, places.back().second),
                                        argument.getType()));
    }
    for (Operation &inner : op.getBlock()->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        mapping.map(index.getResult(), loops[index.getDim()]);
        continue;
      }
      for (Value used : inner.getOperands())
        if (!mapping.contains(used))
          mapping.map(used, b.scalar(used));
      b.clone(inner, mapping);
    }
    Operation *yield = op.getBlock()->getTerminator();
    ArrayRef<std::pair<const KernelBuffer *, Value>> outputs =
        ArrayRef(places).take_back(yield->getNumOperands());
    for (auto [place, value] : llvm::zip(outputs, yield->getOperands()))
      b.store(*place.first, place.second,
              mapping.contains(value) ? mapping.lookup(value)
                                      : b.scalar(value));
  }

  /// `load` gives indices as i64.
  static Value asElement(KernelBuilder &b, Value value, Type type) {
    if (value.getType() == type)
      return value;
    return arith::IndexCastOp::create(b, type, value);
  }

  linalg::LinalgOp op;
  SmallVector<OpFoldResult> sizes;
};

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

class LoopPart : public KernelPart {
public:
  LoopPart(ArrayRef<LoopLikeOpInterface> loops,
           std::unique_ptr<KernelPart> part)
      : loops(loops), part(std::move(part)) {}

  OpFoldResult countThreads(ImplicitLocOpBuilder &host, const GPUTarget &target,
                            bool wide) override {
    starts.clear();
    steps.clear();
    counts.clear();
    AffineExpr start, end, step;
    bindSymbols(host.getContext(), start, end, step);
    for (LoopLikeOpInterface loop : loops) {
      llvm::append_range(starts, *loop.getLoopLowerBounds());
      llvm::append_range(steps, *loop.getLoopSteps());
      for (auto [from, to, by] :
           llvm::zip(*loop.getLoopLowerBounds(), *loop.getLoopUpperBounds(),
                     *loop.getLoopSteps())) {
        OpFoldResult distance = affine::makeComposedFoldedAffineMax(
            host, host.getLoc(),
            AffineMap::get(
                0, 2,
                {end - start, getAffineConstantExpr(0, host.getContext())},
                host.getContext()),
            {from, to});
        counts.push_back(divideCeil(host, distance, by));
      }
    }
    inner = part->countThreads(host, target, wide);
    return times(host, product(host, counts), inner);
  }

  void emit(KernelBuilder &b, Value thread) override {
    SmallVector<Value> sizes, variables, values;
    for (OpFoldResult count : counts)
      sizes.push_back(b.number(count));
    Value numInner = b.number(inner);
    SmallVector<Value> coordinates =
        b.delinearize(b.div(thread, numInner), sizes);
    for (auto [coordinate, start, step] : llvm::zip(coordinates, starts, steps))
      values.push_back(
          b.add(b.number(start), b.mul(coordinate, b.number(step))));
    for (LoopLikeOpInterface loop : loops)
      llvm::append_range(variables, *loop.getLoopInductionVars());
    b.enterLoops(loops.front(), variables, values);
    part->emit(b, b.rem(thread, numInner));
  }

  /// The memrefs around the loops whose rows are aligned iff those inside are.
  SmallVector<Value> getWideMemrefs(const GPUTarget &target) override {
    SmallVector<Value> memrefs = part->getWideMemrefs(target);
    if (!target.accessBytes)
      return {};
    for (Value &memref : memrefs) {
      while (
          loops.front()->isAncestor(memref.getParentBlock()->getParentOp())) {
        auto subview = memref.getDefiningOp<memref::SubViewOp>();
        if (!subview || !hasRows(subview.getSource()))
          return {};
        std::optional<int64_t> first =
            getConstantIntValue(subview.getMixedOffsets().back());
        if (!first || *first * bytesOf(memref) % target.accessBytes != 0)
          return {};
        memref = subview.getSource();
      }
    }
    return memrefs;
  }

private:
  SmallVector<LoopLikeOpInterface> loops;
  std::unique_ptr<KernelPart> part;
  SmallVector<OpFoldResult> starts, steps, counts;
  OpFoldResult inner;
};
} // namespace

std::unique_ptr<KernelPart>
rope::makeRotation(ApplyOp op, std::optional<AngleSource> angles) {
  return std::make_unique<RotationPart>(op, angles);
}

std::unique_ptr<KernelPart> rope::makeTable(TableOp op, AngleSource angles) {
  return std::make_unique<TablePart>(op, angles);
}

std::unique_ptr<KernelPart> rope::makeCopy(Value from, Value to) {
  return std::make_unique<CopyPart>(from, to);
}

std::unique_ptr<KernelPart>
rope::makeIterations(ArrayRef<LoopLikeOpInterface> loops,
                     std::unique_ptr<KernelPart> part) {
  return std::make_unique<LoopPart>(loops, std::move(part));
}

std::unique_ptr<KernelPart> rope::makeLinalg(linalg::LinalgOp op) {
  for (Operation &inner : op.getBlock()->without_terminator())
    if (inner.getNumRegions() != 0 || !isMemoryEffectFree(&inner))
      return nullptr;
  return std::make_unique<LinalgPart>(op);
}

SmallVector<std::unique_ptr<KernelPart>>
rope::makeCopies(ImplicitLocOpBuilder &host, ApplyOp op) {
  SmallVector<std::unique_ptr<KernelPart>> parts;
  if (op.getX() == op.getInit())
    return parts;
  Location loc = host.getLoc();
  SmallVector<OpFoldResult> sizes = memref::getMixedSizes(host, loc, op.getX());
  OpFoldResult pairs = memref::getMixedSizes(host, loc, op.getCos()).back();
  OpFoldResult zero = host.getIndexAttr(0), one = host.getIndexAttr(1);
  auto combine = [&](AffineExpr expr, OpFoldResult x, OpFoldResult y) {
    return affine::makeComposedFoldedAffineApply(host, loc, expr, {x, y});
  };
  AffineExpr s0, s1;
  bindSymbols(host.getContext(), s0, s1);
  auto keep = [&](OpFoldResult begin, OpFoldResult end) {
    OpFoldResult size = combine(s1 - s0, begin, end);
    if (isConstantIntValue(size, 0))
      return;
    SmallVector<OpFoldResult> offsets(sizes.size(), zero),
        counts = sizes, strides(sizes.size(), one);
    offsets.back() = begin;
    counts.back() = size;
    parts.push_back(makeCopy(
        memref::SubViewOp::create(host, op.getX(), offsets, counts, strides),
        memref::SubViewOp::create(host, op.getInit(), offsets, counts,
                                  strides)));
  };
  OpFoldResult offset = host.getIndexAttr(op.getOffset());
  keep(zero, offset);
  if (op.getPairing() == Pairing::half) {
    OpFoldResult stride = pairs;
    if (op.getPairStride())
      stride = host.getIndexAttr(*op.getPairStride());
    keep(combine(s0 + s1, offset, pairs), combine(s0 + s1, offset, stride));
    OpFoldResult second = combine(s0 + s1, offset, stride);
    keep(combine(s0 + s1, second, pairs), sizes.back());
  } else {
    keep(combine(s0 + s1 * 2, offset, pairs), sizes.back());
  }
  return parts;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// Whether rows of `memrefs` start at multiples of `bytes` and their strides
/// are below 2^31, known on the host at run time.
static Value buildIsAligned(ImplicitLocOpBuilder &host, ArrayRef<Value> memrefs,
                            int64_t bytes) {
  Value bits = arith::ConstantIndexOp::create(host, 0);
  Value strides = bits;
  auto note = [&](Value number, int64_t scale) {
    number = host.createOrFold<arith::MulIOp>(
        number, arith::ConstantIndexOp::create(host, scale));
    bits = host.createOrFold<arith::OrIOp>(bits, number);
  };
  llvm::SmallDenseSet<Value> seen;
  for (Value memref : memrefs) {
    if (!seen.insert(memref).second)
      continue;
    auto metadata = memref::ExtractStridedMetadataOp::create(host, memref);
    note(memref::ExtractAlignedPointerAsIndexOp::create(host, memref), 1);
    note(metadata.getOffset(), bytesOf(memref));
    for (Value stride : metadata.getStrides().drop_back()) {
      note(stride, bytesOf(memref));
      strides = host.createOrFold<arith::OrIOp>(strides, stride);
    }
  }
  Value rest = arith::AndIOp::create(
      host, bits, arith::ConstantIndexOp::create(host, bytes - 1));
  Value isMultiple =
      arith::CmpIOp::create(host, arith::CmpIPredicate::eq, rest,
                            arith::ConstantIndexOp::create(host, 0));
  Value isSmall = arith::CmpIOp::create(
      host, arith::CmpIPredicate::ult, strides,
      arith::ConstantIndexOp::create(host, int64_t(1) << 31));
  return arith::AndIOp::create(host, isMultiple, isSmall);
}

void rope::emitKernel(OpBuilder &builder, Location loc,
                      gpu::GPUModuleOp kernels, StringRef name,
                      const GPUTarget &target,
                      ArrayRef<std::unique_ptr<KernelPart>> parts) {
  ImplicitLocOpBuilder host(loc, builder);
  auto emitVariant = [&](OpBuilder &builder, StringRef kernelName, bool wide) {
    ImplicitLocOpBuilder at(loc, builder);
    OpFoldResult blockSize = at.getIndexAttr(target.blockSize);
    SmallVector<OpFoldResult> threads, ends;
    OpFoldResult blocks;
    for (const std::unique_ptr<KernelPart> &part : parts) {
      bool isWide = wide && !part->getWideMemrefs(target).empty();
      threads.push_back(part->countThreads(at, target, isWide));
      OpFoldResult own = divideCeil(at, threads.back(), blockSize);
      blocks = !blocks ? own
                       : OpFoldResult(at.createOrFold<arith::AddIOp>(
                             getValueOrCreateConstantIndexOp(at, loc, blocks),
                             getValueOrCreateConstantIndexOp(at, loc, own)));
      ends.push_back(blocks);
    }
    KernelBuilder b(at, loc, kernels, kernelName, target, target.blockSize);
    Value block = b.blockId();
    std::function<void(size_t)> emitFrom = [&](size_t index) {
      auto body = [&] {
        Value own =
            index == 0 ? block : b.sub(block, b.number(ends[index - 1]));
        Value thread =
            b.add(b.mul(own, b.index(target.blockSize)), b.threadId());
        b.ifThen(b.less(thread, b.number(threads[index])),
                 [&] { parts[index]->emit(b, thread); });
      };
      if (index + 1 == parts.size())
        body();
      else
        b.ifThen(b.less(block, b.number(ends[index])), body,
                 [&] { emitFrom(index + 1); });
    };
    emitFrom(0);
    b.launch(blocks);
  };
  SmallVector<Value> wideMemrefs;
  for (const std::unique_ptr<KernelPart> &part : parts)
    llvm::append_range(wideMemrefs, part->getWideMemrefs(target));
  if (!target.accessBytes || wideMemrefs.empty()) {
    emitVariant(host, name, /*wide=*/false);
    return;
  }
  Value aligned = buildIsAligned(host, wideMemrefs, target.accessBytes);
  auto branch = scf::IfOp::create(host, aligned, /*withElseRegion=*/true);
  OpBuilder then = branch.getThenBodyBuilder();
  emitVariant(then, name, /*wide=*/true);
  OpBuilder otherwise = branch.getElseBodyBuilder();
  emitVariant(otherwise, (name + "_unaligned").str(), /*wide=*/false);
}

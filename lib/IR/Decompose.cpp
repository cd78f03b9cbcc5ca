//===- Decompose.cpp - table and apply as linalg --------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Both operations as linalg.generic, on tensors and on memrefs alike: on
// slices or subviews of the channels, so that no element is gathered.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/AngleMath.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <numeric>

using namespace mlir;
using namespace mlir::rope;

static int64_t rankOf(Value value) {
  return cast<ShapedType>(value.getType()).getRank();
}

static FloatType floatElement(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value.getType()));
}

static SmallVector<OpFoldResult> sizesOf(ImplicitLocOpBuilder &b, Value value) {
  if (isa<TensorType>(value.getType()))
    return tensor::getMixedSizes(b, b.getLoc(), value);
  return memref::getMixedSizes(b, b.getLoc(), value);
}

static bool isStaticallyEmpty(Value value) {
  return llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0);
}

/// The last size, which `x` and `y` share, as far as either type knows it.
static int64_t sharedLastSize(Value x, Value y) {
  int64_t size = cast<ShapedType>(x.getType()).getShape().back();
  return ShapedType::isDynamic(size)
             ? cast<ShapedType>(y.getType()).getShape().back()
             : size;
}

/// The sizes that `x` and `y` share: numbers where either type knows one.
static SmallVector<OpFoldResult> sharedSizes(ImplicitLocOpBuilder &b, Value x,
                                             Value y) {
  SmallVector<OpFoldResult> sizes = sizesOf(b, x);
  auto known = cast<ShapedType>(y.getType());
  for (auto [dim, size] : llvm::enumerate(sizes))
    if (!known.isDynamicDim(dim))
      size = b.getIndexAttr(known.getDimSize(dim));
  return sizes;
}

/// An elementwise generic over the dimensions of the first output.
static linalg::GenericOp elementwise(
    ImplicitLocOpBuilder &b, ValueRange inputs, ArrayRef<AffineMap> inputMaps,
    ValueRange outputs,
    function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)> body) {
  int64_t rank = rankOf(outputs.front());
  SmallVector<AffineMap> maps(inputMaps);
  maps.append(outputs.size(), b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  SmallVector<Type> types;
  for (Value output : outputs)
    if (isa<TensorType>(output.getType()))
      types.push_back(output.getType());
  return linalg::GenericOp::create(
      b, types, inputs, outputs, maps, iterators,
      [&](OpBuilder &builder, Location loc, ValueRange arguments) {
        ImplicitLocOpBuilder inner(loc, builder);
        linalg::YieldOp::create(
            inner, body(inner, arguments.take_front(inputs.size())));
      });
}

/// A copy between memrefs. Other than a linalg.copy it keeps what it is marked
/// with when named operations are made general.
static Operation *copyRows(ImplicitLocOpBuilder &b, Value from, Value to) {
  FloatType element = floatElement(to);
  return elementwise(b, from, b.getMultiDimIdentityMap(rankOf(from)), to,
                     [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
                       return SmallVector<Value>{
                           toFloat(b, arguments.front(), element)};
                     });
}

//===----------------------------------------------------------------------===//
// table
//===----------------------------------------------------------------------===//

/// `positions[axis, ...]`.
static Value sliceAxis(ImplicitLocOpBuilder &b, Value positions, int64_t axis) {
  SmallVector<OpFoldResult> sizes = sizesOf(b, positions);
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  offsets[0] = b.getIndexAttr(axis);
  sizes[0] = b.getIndexAttr(1);
  auto type = cast<ShapedType>(positions.getType());
  ArrayRef<int64_t> shape = type.getShape().drop_front();
  if (isa<TensorType>(type))
    return tensor::ExtractSliceOp::create(
        b, RankedTensorType::get(shape, type.getElementType()), positions,
        offsets, sizes, strides);
  auto reduced = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      shape, cast<MemRefType>(type), offsets, sizes, strides));
  return memref::SubViewOp::create(b, reduced, positions, offsets, sizes,
                                   strides);
}

/// Whether the pair at hand, dimension `dim` of the loops, follows `axis`: its
/// bit in constant words. Code for vectors folds to constants this way, which
/// an operand would not.
static Value isMember(ImplicitLocOpBuilder &b, int64_t dim,
                      ArrayRef<int64_t> axes, int64_t axis) {
  Type i64 = b.getI64Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  };
  Value pair =
      arith::IndexCastOp::create(b, i64, linalg::IndexOp::create(b, dim));
  Value word;
  for (size_t first = 0; first < axes.size(); first += 64) {
    uint64_t bits = 0;
    for (auto [i, other] : llvm::enumerate(axes.slice(first).take_front(64)))
      bits |= uint64_t(other == axis) << i;
    Value next = constant(int64_t(bits));
    word = !word ? next
                 : arith::SelectOp::create(
                       b,
                       arith::CmpIOp::create(b, arith::CmpIPredicate::sge, pair,
                                             constant(first)),
                       next, word);
  }
  Value bit = arith::AndIOp::create(b, pair, constant(63));
  return arith::TruncIOp::create(b, b.getI1Type(),
                                 arith::ShRUIOp::create(b, word, bit));
}

FailureOr<SmallVector<Value>> TableOp::decomposeOperation(OpBuilder &builder) {
  ImplicitLocOpBuilder b(getLoc(), builder);
  // A slice of nothing would start out of bounds.
  if (llvm::any_of(getOperands(), isStaticallyEmpty))
    return SmallVector<Value>(
        getResults().empty() ? ValueRange{} : ValueRange{getCos(), getSin()});
  int64_t rank = getPositionRank();
  AffineMap ofPosition = AffineMap::get(
      rank + 1, 0,
      llvm::map_to_vector(llvm::seq(rank),
                          [&](int64_t dim) { return b.getAffineDimExpr(dim); }),
      getContext());
  AffineMap ofPair = AffineMap::get(rank + 1, 0, b.getAffineDimExpr(rank));

  // The positions of each axis in use, then the frequencies.
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<int64_t> used;
  if (std::optional<ArrayRef<int64_t>> axes = getAxes()) {
    for (int64_t axis : *axes)
      if (!llvm::is_contained(used, axis))
        used.push_back(axis);
    for (int64_t axis : used) {
      inputs.push_back(sliceAxis(b, getPositions(), axis));
      maps.push_back(ofPosition);
    }
  } else {
    inputs.push_back(getPositions());
    maps.push_back(ofPosition);
  }
  inputs.push_back(getFrequencies());
  maps.push_back(ofPair);

  FloatType element = floatElement(getCos());
  FloatType type = element.isF64() && getPrecision() == Precision::exact
                       ? b.getF64Type()
                       : b.getF32Type();
  bool inTurns = getElementTypeOrSelf(getFrequencies().getType()).isInteger(64);

  auto body = [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
    Value frequency = arguments.back();
    Value position = arguments.front();
    for (size_t i = 1; i < used.size(); ++i)
      position = arith::SelectOp::create(
          b, isMember(b, rank, *getAxes(), used[i]), arguments[i], position);
    CosSin angle;
    if (getPrecision() == Precision::f32)
      angle = buildF32CosSin(b, position, frequency);
    else if (isa<FloatType>(position.getType()))
      angle = buildExactCosSinOfFloat(b, position, frequency, type);
    else if (inTurns)
      angle = buildExactCosSin(b, position, frequency, type);
    else
      angle = buildExactCosSinOfRadians(b, position, frequency, type);
    SmallVector<Value> results;
    for (Value value : {angle.cos, angle.sin}) {
      if (!getMagnitude().isExactlyValue(1.0))
        value = arith::MulFOp::create(
            b, value,
            arith::ConstantOp::create(
                b, b.getFloatAttr(type, getMagnitude().convertToDouble())));
      results.push_back(toFloat(b, value, element));
    }
    return results;
  };
  return SmallVector<Value>(
      elementwise(b, inputs, maps, {getCos(), getSin()}, body).getResults());
}

//===----------------------------------------------------------------------===//
// apply
//===----------------------------------------------------------------------===//

namespace {
/// Channels `start + i * step` of the head dimension, `i` below `size`.
struct Channels {
  OpFoldResult start, size;
  int64_t step = 1;
};

/// A value and its sizes, which are built once so that all slices of it agree.
struct Sized {
  Value value;
  SmallVector<OpFoldResult> sizes;
};

/// Offsets, sizes and strides of channels of all heads.
struct Box {
  SmallVector<OpFoldResult> offsets, sizes, strides;

  Box(OpBuilder &b, const Sized &whole, const Channels &channels)
      : offsets(whole.sizes.size(), b.getIndexAttr(0)), sizes(whole.sizes),
        strides(whole.sizes.size(), b.getIndexAttr(1)) {
    offsets.back() = channels.start;
    sizes.back() = channels.size;
    strides.back() = b.getIndexAttr(channels.step);
  }
};
} // namespace

static Value slice(ImplicitLocOpBuilder &b, const Sized &whole,
                   const Channels &channels) {
  Box box(b, whole, channels);
  if (isa<TensorType>(whole.value.getType()))
    return tensor::ExtractSliceOp::create(b, whole.value, box.offsets,
                                          box.sizes, box.strides);
  return memref::SubViewOp::create(b, whole.value, box.offsets, box.sizes,
                                   box.strides);
}

static Value insert(ImplicitLocOpBuilder &b, Value part, const Sized &whole,
                    const Channels &channels) {
  Box box(b, whole, channels);
  return tensor::InsertSliceOp::create(b, part, whole.value, box.offsets,
                                       box.sizes, box.strides);
}

/// What the operations that `op` on memrefs becomes have in common: they go
/// over the same rows, and where `op` streams they do, with the alignment that
/// the ranges of channels they write, `written`, have in each row.
static void markParts(ApplyOp op, ArrayRef<Operation *> parts,
                      ArrayRef<Channels> written) {
  Builder b(op.getContext());
  if (parts.size() > 1)
    for (Operation *part : parts)
      part->setAttr(RopeDialect::getRowsAttrName(), b.getUnitAttr());
  auto attr =
      op->getAttrOfType<IntegerAttr>(RopeDialect::getStreamingAttrName());
  if (!attr || attr.getValue().getSignificantBits() > 64 || attr.getInt() < 0)
    return;
  int64_t alignment = attr.getInt();
  for (const Channels &channels : written) {
    if (alignment == 0)
      break;
    std::optional<int64_t> start = getConstantIntValue(channels.start);
    if (!start)
      return;
    int64_t bits = floatElement(op.getInit()).getWidth();
    alignment = std::gcd(alignment, *start * bits / 8);
  }
  for (Operation *part : parts)
    part->setAttr(RopeDialect::getStreamingAttrName(),
                  b.getI64IntegerAttr(alignment));
}

static OpFoldResult add(ImplicitLocOpBuilder &b, OpFoldResult x,
                        OpFoldResult y) {
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  return affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 + s1, {x, y});
}

static OpFoldResult subtract(ImplicitLocOpBuilder &b, OpFoldResult x,
                             OpFoldResult y) {
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  return affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 - s1, {x, y});
}

/// Whether the second channel of the first pair, or of all pairs, is known to
/// lie behind the head: then there are no pairs.
static bool hasNoPairs(ApplyOp op) {
  if (isStaticallyEmpty(op.getCos()) || isStaticallyEmpty(op.getSin()))
    return true;
  int64_t head = sharedLastSize(op.getX(), op.getInit());
  int64_t stride = op.getPairing() == Pairing::half
                       ? int64_t(op.getPairStride().value_or(1))
                       : 1;
  return !ShapedType::isDynamic(head) &&
         int64_t(op.getOffset()) >= head - stride;
}

FailureOr<SmallVector<Value>> ApplyOp::decomposeOperation(OpBuilder &builder) {
  ImplicitLocOpBuilder b(getLoc(), builder);
  bool onTensors = !getResults().empty();
  // A slice of nothing would start out of bounds.
  if (isStaticallyEmpty(getX()) || isStaticallyEmpty(getInit()))
    return SmallVector<Value>(onTensors ? ValueRange{getInit()} : ValueRange{});
  if (hasNoPairs(*this)) {
    if (!onTensors && getX() == getInit())
      return SmallVector<Value>();
    if (onTensors)
      return SmallVector<Value>(
          linalg::CopyOp::create(b, getX(), getInit())->getResults());
    markParts(*this, copyRows(b, getX(), getInit()), {});
    return SmallVector<Value>();
  }
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult offset = b.getIndexAttr(getOffset());
  OpFoldResult pairs = sharedSizes(b, getCos(), getSin()).back();
  Sized x{getX(), sharedSizes(b, getX(), getInit())};
  Sized destination{getInit(), x.sizes};
  OpFoldResult head = x.sizes.back();
  OpFoldResult stride = pairs;
  if (getPairStride())
    stride = b.getIndexAttr(*getPairStride());

  auto first = [&](Pairing pairing) -> Channels {
    return {offset, pairs, pairing == Pairing::half ? 1 : 2};
  };
  auto second = [&](Pairing pairing) -> Channels {
    if (pairing == Pairing::half)
      return {add(b, offset, stride), pairs, 1};
    return {add(b, offset, one), pairs, 2};
  };
  Channels readFirst = first(getPairing()), readSecond = second(getPairing());
  Channels writeFirst = first(getWrittenPairing());
  Channels writeSecond = second(getWrittenPairing());

  SmallVector<Operation *> parts;
  // The channels that are not rotated, as runs.
  SmallVector<Channels> kept;
  auto keep = [&](OpFoldResult begin, OpFoldResult end) {
    OpFoldResult size = subtract(b, end, begin);
    if (!isConstantIntValue(size, 0))
      kept.push_back({begin, size, 1});
  };
  keep(zero, offset);
  if (getPairing() == Pairing::half)
    keep(add(b, offset, pairs), add(b, offset, stride));
  keep(add(b, add(b, offset, stride), pairs), head);

  if (onTensors) {
    // Rotated channels replace copied ones: the copy goes where all rotate.
    if (!kept.empty())
      destination.value =
          linalg::CopyOp::create(b, getX(), getInit())->getResult(0);
  } else if (getX() != getInit()) {
    for (const Channels &channels : kept)
      parts.push_back(
          copyRows(b, slice(b, x, channels), slice(b, destination, channels)));
  }

  int64_t rank = rankOf(getX());
  SmallVector<AffineExpr> tableDims = llvm::map_to_vector(
      getPositionDims(), [&](int64_t dim) { return b.getAffineDimExpr(dim); });
  tableDims.push_back(b.getAffineDimExpr(rank - 1));
  AffineMap ofX = b.getMultiDimIdentityMap(rank);
  AffineMap ofTable = AffineMap::get(rank, 0, tableDims, getContext());

  FloatType element = floatElement(getInit()),
            tableElement = floatElement(getCos());
  // 16-bit elements do not need more than f32, and f64 to 16 bits is a call.
  bool wide = element.isF64() || (element.isF32() && tableElement.isF64());
  FloatType type = wide ? b.getF64Type() : b.getF32Type();
  auto contract = arith::FastMathFlags::contract;
  auto body = [&](ImplicitLocOpBuilder &b, ValueRange arguments) {
    SmallVector<Value> wide = llvm::map_to_vector(
        arguments, [&](Value value) { return toFloat(b, value, type); });
    auto times = [&](int x, int y) -> Value {
      return arith::MulFOp::create(b, wide[x], wide[y], contract);
    };
    auto plus = [&](Value x, Value y) -> Value {
      return arith::AddFOp::create(b, x, y, contract);
    };
    auto minus = [&](Value x, Value y) -> Value {
      return arith::SubFOp::create(b, x, y, contract);
    };
    enum { U, V, Cos, Sin };
    Value u = getTranspose() ? plus(times(U, Cos), times(V, Sin))
                             : minus(times(U, Cos), times(V, Sin));
    Value v = getTranspose() ? minus(times(V, Cos), times(U, Sin))
                             : plus(times(V, Cos), times(U, Sin));
    return SmallVector<Value>{toFloat(b, u, element), toFloat(b, v, element)};
  };
  Value u = slice(b, x, readFirst), v = slice(b, x, readSecond);
  linalg::GenericOp rotated = elementwise(
      b, {u, v, getCos(), getSin()}, {ofX, ofX, ofTable, ofTable},
      {slice(b, destination, writeFirst), slice(b, destination, writeSecond)},
      body);
  if (!onTensors) {
    // Interleaved pairs are written as one row.
    SmallVector<Channels> written = {writeFirst};
    if (getWrittenPairing() == Pairing::half)
      written.push_back(writeSecond);
    if (!parts.empty())
      written.append(kept);
    parts.push_back(rotated);
    markParts(*this, parts, written);
    return SmallVector<Value>();
  }
  destination.value = insert(b, rotated.getResult(0), destination, writeFirst);
  return SmallVector<Value>{
      insert(b, rotated.getResult(1), destination, writeSecond)};
}

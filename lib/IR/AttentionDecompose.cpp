//===- AttentionDecompose.cpp - attention as linalg -----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// rope.attention becomes one rope.online_attention over all keys, and that the
// linalg operations of its formulas, on tensors and memrefs alike.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include <limits>

using namespace mlir;
using namespace mlir::rope;

using utils::IteratorType;

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

AffineMap rope::projectMap(AffineMap map, ArrayRef<Loop> loops) {
  MLIRContext *context = map.getContext();
  SmallVector<AffineExpr> dims(kNumLoops, getAffineConstantExpr(0, context));
  for (auto [i, loop] : llvm::enumerate(loops))
    dims[unsigned(loop)] = getAffineDimExpr(i, context);
  return map.replaceDimsAndSymbols(dims, {}, loops.size(), 0);
}

Value rope::inlineScoreRegion(ImplicitLocOpBuilder &b, Region &region,
                              ValueRange arguments) {
  if (region.empty())
    return arguments.front();
  IRMapping mapping;
  mapping.map(region.getArguments(), arguments);
  for (Operation &op : region.front().without_terminator())
    b.clone(op, mapping);
  return mapping.lookupOrDefault(
      cast<YieldOp>(region.front().getTerminator()).getScore());
}

Value rope::buildVisibility(ImplicitLocOpBuilder &b, AttentionOp op,
                            Value position, Value key, Value length) {
  Type type = key.getType();
  // Sizes beyond the type are beyond all positions.
  auto constant = [&](int64_t value) -> Value {
    if (type.isInteger(32))
      value = std::min<int64_t>(value, std::numeric_limits<int32_t>::max());
    return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
  };
  Value visible;
  auto require = [&](arith::CmpIPredicate predicate, Value x, Value y) {
    Value holds = arith::CmpIOp::create(b, predicate, x, y);
    visible = visible ? Value(arith::AndIOp::create(b, visible, holds)) : holds;
  };
  if (length)
    require(arith::CmpIPredicate::slt, key, length);
  if (op.getCausal())
    require(arith::CmpIPredicate::sle, key, position);
  if (std::optional<uint64_t> window = op.getWindow()) {
    Value distance = arith::SubIOp::create(b, position, key);
    require(arith::CmpIPredicate::slt, distance, constant(*window));
  }
  if (std::optional<uint64_t> chunk = op.getChunk()) {
    Value size = constant(*chunk);
    require(arith::CmpIPredicate::eq,
            arith::FloorDivSIOp::create(b, position, size),
            arith::FloorDivSIOp::create(b, key, size));
  }
  return visible;
}

Operation *rope::cloneWith(OpBuilder &b, Operation *op, TypeRange types,
                           ValueRange operands) {
  OperationState state(op->getLoc(), op->getName(), operands, types,
                       op->getAttrs());
  for (Region &region : op->getRegions()) {
    IRMapping mapping;
    Region *copy = state.addRegion();
    if (!region.empty())
      region.cloneInto(copy, mapping);
  }
  return b.create(state);
}

static FloatType floatElement(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value.getType()));
}

FloatType rope::loadedElement(AttentionOp op, Value x) {
  auto element = dyn_cast<FloatType>(getElementTypeOrSelf(x.getType()));
  return element ? element : op.getAccumulatorType();
}

Value rope::toFloat(ImplicitLocOpBuilder &b, Value x, FloatType type) {
  if (isa<IntegerType>(x.getType()))
    return arith::SIToFPOp::create(b, type, x);
  unsigned width = cast<FloatType>(x.getType()).getWidth();
  // Integer operations widen bf16 to f32 alone.
  if (x.getType().isBF16() && type.isF64())
    x = arith::ExtFOp::create(b, b.getF32Type(), x);
  if (width < type.getWidth())
    return arith::ExtFOp::create(b, type, x);
  if (width > type.getWidth())
    return arith::TruncFOp::create(b, type, x);
  return x;
}

static Value floatConstant(ImplicitLocOpBuilder &b, FloatType type,
                           double value) {
  return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
}

static Value minusInfinity(ImplicitLocOpBuilder &b, FloatType type) {
  return arith::ConstantOp::create(
      b, b.getFloatAttr(type, APFloat::getInf(type.getFloatSemantics(), true)));
}

namespace {
/// A linalg.generic over some of the loops.
struct Generic {
  SmallVector<Loop> loops, reductions;
  SmallVector<Value> inputs, outputs;
  /// Of inputs, then of outputs.
  SmallVector<AffineMap> maps;

  /// `body` gets the elements and the indices of the loops b, h, i, j.
  SmallVector<Value>
  build(ImplicitLocOpBuilder &b,
        function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)>
            body) const {
    SmallVector<IteratorType> iterators =
        llvm::map_to_vector(loops, [&](Loop loop) {
          return llvm::is_contained(reductions, loop) ? IteratorType::reduction
                                                      : IteratorType::parallel;
        });
    SmallVector<AffineMap> projected = llvm::map_to_vector(
        maps, [&](AffineMap map) { return projectMap(map, loops); });
    SmallVector<Type> types;
    for (Value output : outputs)
      if (isa<TensorType>(output.getType()))
        types.push_back(output.getType());
    auto generic = linalg::GenericOp::create(
        b, types, inputs, outputs, projected, iterators,
        [&](OpBuilder &builder, Location loc, ValueRange arguments) {
          ImplicitLocOpBuilder inner(loc, builder);
          linalg::YieldOp::create(inner, body(inner, arguments));
        });
    return SmallVector<Value>(generic.getResults());
  }

  Value index(ImplicitLocOpBuilder &b, Loop loop) const {
    const auto *found = llvm::find(loops, loop);
    if (found == loops.end())
      return arith::ConstantIndexOp::create(b, 0);
    return linalg::IndexOp::create(b, found - loops.begin());
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// online_attention
//===----------------------------------------------------------------------===//

/// The formulas of `op`, without the product where `hasScores`.
static SmallVector<Value> decompose(OnlineAttentionOp op, OpBuilder &builder,
                                    bool hasScores) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  FloatType type = op.getAccumulatorType();
  // Sums over channels and keys lose fewer digits where they are made in parts.
  auto contract = arith::FastMathFlags::contract;
  auto sumFlags = contract | arith::FastMathFlags::reassoc;
  SmallVector<AffineMap> maps =
      llvm::to_vector(op.getIndexingMaps().getAsValueRange<AffineMapAttr>());
  AffineMap accMap = maps[maps.size() - 5], maxMap = maps[maps.size() - 4],
            sumMap = maps[maps.size() - 3], scoresMap = maps[maps.size() - 2],
            correctionMap = maps[maps.size() - 1];
  Value acc = op.getAcc(), max = op.getMax(), sum = op.getSum(),
        scores = op.getScores(), correction = op.getCorrection();
  bool onTensors = !op.getResults().empty();
  auto replace = [&](ArrayRef<Value *> values, ArrayRef<Value> results) {
    if (onTensors)
      for (auto [value, result] : llvm::zip_equal(values, results))
        *value = result;
  };
  SmallVector<Loop> outer;
  for (Loop loop : {Loop::batch, Loop::head})
    if (findLoop(accMap, loop))
      outer.push_back(loop);
  // What is contiguous is innermost: rows, or the keys and channels of a row.
  bool areRowsInside =
      findLoop(scoresMap, Loop::query) == scoresMap.getNumResults() - 1;
  auto loops = [&](std::initializer_list<Loop> inner) {
    SmallVector<Loop> all(outer);
    llvm::append_range(all, inner);
    return all;
  };
  // The loops over rows and another, `first` where rows are inside.
  auto loopsWithRows = [&](Loop first) {
    return areRowsInside ? loops({first, Loop::query})
                         : loops({Loop::query, first});
  };
  const Loop i = Loop::query, j = Loop::key, d = Loop::channel,
             e = Loop::valueChannel;
  // Minus infinity less itself would not be a number.
  auto clampedMax = [&](ImplicitLocOpBuilder &b, Value max) -> Value {
    Value lowest = arith::ConstantOp::create(
        b, b.getFloatAttr(type,
                          APFloat::getLargest(type.getFloatSemantics(), true)));
    Value isLower =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, max, lowest);
    return arith::SelectOp::create(b, isLower, lowest, max);
  };
  auto multiplyAdd = [&](ImplicitLocOpBuilder &b, Value x, Value y,
                         Value z) -> Value {
    return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y, contract), z,
                                 sumFlags);
  };

  // scores = q k
  if (!hasScores) {
    Value zero = floatConstant(b, type, 0.0);
    replace({&scores},
            SmallVector<Value>(
                linalg::FillOp::create(b, zero, scores)->getResults()));
    SmallVector<Loop> products = loopsWithRows(j);
    products.push_back(d);
    Generic product{products,
                    {d},
                    {op.getKey(), op.getQuery()},
                    {scores},
                    {maps[1], maps[0], scoresMap}};
    replace({&scores}, product.build(b, [&](auto &b, ValueRange arguments) {
      return SmallVector<Value>{multiplyAdd(b, toFloat(b, arguments[0], type),
                                            toFloat(b, arguments[1], type),
                                            arguments[2])};
    }));
  }

  // correction = max; scores = region(scores); max = max(max, scores)
  Generic copy{loops({i}), {}, {max}, {correction}, {maxMap, correctionMap}};
  replace({&correction}, copy.build(b, [&](auto &, ValueRange arguments) {
    return SmallVector<Value>{arguments[0]};
  }));
  Generic modify{loopsWithRows(j),
                 {j},
                 llvm::to_vector(op.getScoreOperands()),
                 {scores, max},
                 {}};
  llvm::append_range(modify.maps, ArrayRef(maps).drop_front(3).drop_back(5));
  modify.maps.append({scoresMap, maxMap});
  replace({&scores, &max}, modify.build(b, [&](auto &b, ValueRange arguments) {
    Value score = arguments.drop_back().back();
    if (!op.getScale().isExactlyValue(1.0))
      score = arith::MulFOp::create(
          b, score, floatConstant(b, type, op.getScale().convertToDouble()));
    SmallVector<Value> values = {score};
    for (Loop loop : {Loop::batch, Loop::head, i, j})
      values.push_back(modify.index(b, loop));
    llvm::append_range(values, arguments.drop_back(2));
    score = inlineScoreRegion(b, op.getRegion(), values);
    // One instruction, unlike arith.maximumf. A score that is not a number
    // reaches its row through its weight.
    Value isGreater = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, score,
                                            arguments.back());
    return SmallVector<Value>{
        score, arith::SelectOp::create(b, isGreater, score, arguments.back())};
  }));

  // correction = exp(correction - max); sum *= correction
  Generic correct{loops({i}),
                  {},
                  {max},
                  {correction, sum},
                  {maxMap, correctionMap, sumMap}};
  replace({&correction, &sum}, correct.build(b, [&](auto &b,
                                                    ValueRange arguments) {
    Value factor = math::ExpOp::create(
        b, arith::SubFOp::create(b, arguments[1], clampedMax(b, arguments[0])));
    return SmallVector<Value>{factor,
                              arith::MulFOp::create(b, arguments[2], factor)};
  }));

  // acc *= correction
  Generic rescale{
      loopsWithRows(e), {}, {correction}, {acc}, {correctionMap, accMap}};
  replace({&acc}, rescale.build(b, [&](auto &b, ValueRange arguments) {
    return SmallVector<Value>{
        arith::MulFOp::create(b, arguments[1], arguments[0])};
  }));

  // scores = exp(scores - max); sum += all of them, which loses fewer digits
  // than adding one by one to what may be the sum of many keys.
  Value partial = correction;
  replace({&partial},
          SmallVector<Value>(
              linalg::FillOp::create(b, floatConstant(b, type, 0.0), partial)
                  ->getResults()));
  Generic weigh{loopsWithRows(j),
                {j},
                {max},
                {scores, partial},
                {maxMap, scoresMap, correctionMap}};
  replace({&scores, &partial}, weigh.build(b, [&](auto &b,
                                                  ValueRange arguments) {
    Value weight = math::ExpOp::create(
        b, arith::SubFOp::create(b, arguments[1], clampedMax(b, arguments[0])));
    // Along a row in parts, as vectors lie.
    auto order = areRowsInside ? arith::FastMathFlags::none
                               : arith::FastMathFlags::reassoc;
    return SmallVector<Value>{
        weight, arith::AddFOp::create(b, arguments[2], weight, order)};
  }));
  Generic total{loops({i}), {}, {partial}, {sum}, {correctionMap, sumMap}};
  replace({&sum}, total.build(b, [&](auto &b, ValueRange arguments) {
    return SmallVector<Value>{
        arith::AddFOp::create(b, arguments[1], arguments[0])};
  }));
  correction = partial;

  // acc += scores v
  SmallVector<Loop> sums = loopsWithRows(e);
  sums.push_back(j);
  Generic accumulate{
      sums, {j}, {op.getValue(), scores}, {acc}, {maps[2], scoresMap, accMap}};
  replace({&acc}, accumulate.build(b, [&](auto &b, ValueRange arguments) {
    Value weight = arguments[1];
    Value next =
        multiplyAdd(b, toFloat(b, arguments[0], type), weight, arguments[2]);
    if (op.getUnmasked())
      return SmallVector<Value>{next};
    Value isHidden = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, weight,
                                           floatConstant(b, type, 0.0));
    return SmallVector<Value>{
        arith::SelectOp::create(b, isHidden, arguments[2], next)};
  }));
  if (!onTensors)
    return SmallVector<Value>();
  return SmallVector<Value>{acc, max, sum, scores, correction};
}

FailureOr<SmallVector<Value>>
OnlineAttentionOp::decomposeOperation(OpBuilder &builder) {
  return decompose(*this, builder, /*hasScores=*/false);
}

void rope::decomposeWithScores(OpBuilder &builder, OnlineAttentionOp op) {
  decompose(op, builder, /*hasScores=*/true);
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

namespace {
/// Keys or values as a tensor of floats that no pages are looked up for.
struct Loaded {
  Value x;
  AffineMap map;
  /// Of the keys.
  RotationAttr rotation;
};
} // namespace

/// `rotation` of an operand with one more dimension in front.
static RotationAttr shiftDims(RotationAttr rotation) {
  if (!rotation)
    return rotation;
  SmallVector<int64_t> dims =
      llvm::map_to_vector(rotation.getPositionDims().asArrayRef(),
                          [](int64_t dim) { return dim + 1; });
  MLIRContext *context = rotation.getContext();
  return RotationAttr::get(context, rotation.getPairing(),
                           DenseI64ArrayAttr::get(context, dims),
                           rotation.getOffset(), rotation.getPairStride(),
                           rotation.getResultPairing(), rotation.getTranspose(),
                           rotation.getAngles());
}

/// Looks up the pages of keys or values, and multiplies them with their scales.
static Loaded load(ImplicitLocOpBuilder &b, AttentionOp op, OpOperand &operand,
                   RotationAttr rotation) {
  AffineMap map = op.getMap(operand);
  OpOperand *scales = op.getScales(operand);
  if (!scales && !op.getPages())
    return {operand.get(), map, rotation};

  // The dimensions of the result, and their sizes.
  MLIRContext *context = b.getContext();
  FloatType type = op.getAccumulatorType();
  SmallVector<MapResult> loops = op.getLookedUpLoops(operand);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), operand.get());
  AffineMap pagesMap;
  if (Value pages = op.getPages()) {
    pagesMap = op.getMap(op.getPagesMutable()[0]);
    std::optional<int64_t> batch = findLoop(pagesMap, Loop::batch);
    OpFoldResult numKeys = affine::makeComposedFoldedAffineApply(
        b, b.getLoc(), b.getAffineSymbolExpr(0) * op.getPageSize(),
        {tensor::getMixedSize(b, b.getLoc(), pages,
                              *findLoop(pagesMap, Loop::key))});
    OpFoldResult numBatches =
        batch ? tensor::getMixedSize(b, b.getLoc(), pages, *batch)
              : OpFoldResult(b.getIndexAttr(1));
    // The place of a page is that of a batch, unless it is that of a key.
    if (op.getPageSize() == 1 && batch) {
      loops.insert(loops.begin(), {Loop::batch});
      sizes.insert(sizes.begin(), numBatches);
      rotation = shiftDims(rotation);
    }
    SmallVector<MapResult> places = followedLoops(map);
    size_t added = loops.size() - places.size();
    for (auto [i, place] : llvm::enumerate(places))
      if (place.loop == Loop::key)
        sizes[added + i] =
            loops[added + i].loop == Loop::key ? numKeys : numBatches;
  }

  SmallVector<AffineExpr> results;
  for (const MapResult &match : loops) {
    AffineExpr result = getAffineConstantExpr(0, context);
    if (match.loop)
      result = getAffineDimExpr(unsigned(*match.loop), context)
                   .floorDiv(match.group);
    results.push_back(result);
  }
  AffineMap loadedMap = AffineMap::get(kNumLoops, 0, results, context);
  FloatType element = scales ? type : floatElement(operand.get());
  Value empty = tensor::EmptyOp::create(b, sizes, element);
  SmallVector<IteratorType> iterators(loops.size(), IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, empty.getType(), ValueRange(), empty,
      b.getMultiDimIdentityMap(loops.size()), iterators,
      [&](OpBuilder &builder, Location loc, ValueRange) {
        ImplicitLocOpBuilder b(loc, builder);
        auto constant = [&](int64_t x) -> Value {
          return arith::ConstantIndexOp::create(b, x);
        };
        std::array<Value, kNumLoops> indices;
        for (auto [dim, match] : llvm::enumerate(loops))
          if (match.loop) {
            Value index = linalg::IndexOp::create(b, dim);
            if (match.group != 1)
              index = arith::MulIOp::create(b, index, constant(match.group));
            indices[unsigned(*match.loop)] = index;
          }
        Value page;
        auto extract = [&](Value from, AffineMap map) -> Value {
          SmallVector<Value> at;
          for (const MapResult &match : followedLoops(map)) {
            Value index =
                match.loop ? indices[unsigned(*match.loop)] : constant(0);
            if (match.isRemainder)
              index = arith::RemUIOp::create(b, index, constant(match.group));
            else if (match.loop == Loop::key && page)
              index = page;
            else if (match.group != 1)
              index = arith::DivUIOp::create(b, index, constant(match.group));
            at.push_back(index);
          }
          return tensor::ExtractOp::create(b, from, at);
        };
        // Where no page has keys that are seen, its number may be any.
        Value isPage;
        auto requirePage = [&](OpOperand &from) {
          std::optional<int64_t> dim = findLoop(op.getMap(from), Loop::key);
          if (!dim)
            return;
          Value count = tensor::DimOp::create(b, from.get(), *dim);
          Value holds =
              arith::CmpIOp::create(b, arith::CmpIPredicate::ult, page, count);
          isPage =
              isPage ? Value(arith::AndIOp::create(b, isPage, holds)) : holds;
        };
        if (Value pages = op.getPages()) {
          Value number = extract(pages, pagesMap);
          page = number.getType().isIndex()
                     ? number
                     : arith::IndexCastOp::create(b, b.getIndexType(), number);
          requirePage(operand);
          if (scales)
            requirePage(*scales);
        }
        auto read = [&]() -> Value {
          Value x = extract(operand.get(), map);
          if (!scales)
            return x;
          Value scale = extract(scales->get(), op.getMap(*scales));
          return arith::MulFOp::create(b, toFloat(b, x, type),
                                       toFloat(b, scale, type));
        };
        if (!isPage) {
          linalg::YieldOp::create(b, read());
          return;
        }
        Value zero = floatConstant(b, element, 0.0);
        auto branch = scf::IfOp::create(b, TypeRange{element}, isPage,
                                        /*addThenBlock=*/true,
                                        /*addElseBlock=*/true);
        b.setInsertionPointToStart(branch.thenBlock());
        scf::YieldOp::create(b, read());
        b.setInsertionPointToStart(branch.elseBlock());
        scf::YieldOp::create(b, zero);
        b.setInsertionPointAfter(branch);
        linalg::YieldOp::create(b, branch.getResult(0));
      });
  return {generic.getResult(0), loadedMap, rotation};
}

/// The rotated operand, in a tensor of its own, of the elements that scores are
/// computed in.
static Value rotate(ImplicitLocOpBuilder &b, Value x, RotationAttr rotation,
                    ValueRange operands, FloatType accumulator) {
  if (!rotation)
    return x;
  Value cos = operands[0], sin = operands[1];
  if (AnglesAttr angles = rotation.getAngles()) {
    Value positions = operands[0], frequencies = operands[1];
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, b.getLoc(), positions);
    if (angles.getAxes())
      sizes.erase(sizes.begin());
    sizes.push_back(tensor::getMixedSize(b, b.getLoc(), frequencies, 0));
    FloatType type = floatElement(x).isF64() ? FloatType(b.getF64Type())
                                             : FloatType(b.getF32Type());
    Value empty = tensor::EmptyOp::create(b, sizes, type);
    auto table = TableOp::create(
        b, TypeRange{empty.getType(), empty.getType()}, positions, frequencies,
        empty, empty, angles.getMagnitude(), angles.getAxes(),
        PrecisionAttr::get(b.getContext(), angles.getPrecision()));
    cos = table.getResult(0);
    sin = table.getResult(1);
  }
  Value empty = tensor::EmptyOp::create(
      b, tensor::getMixedSizes(b, b.getLoc(), x), accumulator);
  return buildApply(b, rotation, x, cos, sin, empty)->getResult(0);
}

ApplyOp rope::buildApply(ImplicitLocOpBuilder &b, RotationAttr rotation,
                         Value x, Value cos, Value sin, Value destination) {
  MLIRContext *context = b.getContext();
  SmallVector<Type> types;
  if (isa<TensorType>(destination.getType()))
    types.push_back(destination.getType());
  IntegerAttr stride;
  if (rotation.getPairStride())
    stride = b.getI64IntegerAttr(*rotation.getPairStride());
  PairingAttr written;
  if (rotation.getResultPairing())
    written = PairingAttr::get(context, *rotation.getResultPairing());
  return ApplyOp::create(
      b, types, x, cos, sin, destination,
      PairingAttr::get(context, rotation.getPairing()),
      rotation.getPositionDims(), b.getI64IntegerAttr(rotation.getOffset()),
      stride, written, rotation.getTranspose() ? b.getUnitAttr() : UnitAttr());
}

FailureOr<SmallVector<Value>>
AttentionOp::decomposeOperation(OpBuilder &builder) {
  // On memrefs there is nowhere to put what lies between.
  if (getResults().empty())
    return failure();
  ImplicitLocOpBuilder b(getLoc(), builder);
  MLIRContext *context = getContext();
  FloatType type = getAccumulatorType();
  Value query = rotate(b, getQuery(), getQueryRotationAttr(),
                       getQueryRotationOperands(), type);
  Loaded keys = load(b, *this, getKeyMutable(), getKeyRotationAttr());
  Loaded values = load(b, *this, getValueMutable(), nullptr);
  Value key = rotate(b, keys.x, keys.rotation, getKeyRotationOperands(), type);

  AffineMap outputMap = getMap(getInitsMutable()[0]);
  Value output = getInits()[0];
  SmallVector<Loop> outer;
  SmallVector<OpFoldResult> rowSizes;
  for (Loop loop : {Loop::batch, Loop::head, Loop::query})
    if (std::optional<int64_t> dim = findLoop(outputMap, loop)) {
      outer.push_back(loop);
      rowSizes.push_back(tensor::getMixedSize(b, getLoc(), output, *dim));
    }
  auto mapOf = [&](ArrayRef<Loop> loops) {
    return AffineMap::get(kNumLoops, 0,
                          llvm::map_to_vector(loops,
                                              [&](Loop loop) {
                                                return getAffineDimExpr(
                                                    unsigned(loop), context);
                                              }),
                          context);
  };
  SmallVector<Loop> accLoops(outer), scoreLoops(outer);
  accLoops.push_back(Loop::valueChannel);
  scoreLoops.push_back(Loop::key);
  AffineMap rowMap = mapOf(outer), accMap = mapOf(accLoops),
            scoresMap = mapOf(scoreLoops);
  SmallVector<OpFoldResult> accSizes(rowSizes), scoreSizes(rowSizes);
  accSizes.push_back(tensor::getMixedSize(
      b, getLoc(), output, *findLoop(outputMap, Loop::valueChannel)));
  scoreSizes.push_back(
      tensor::getMixedSize(b, getLoc(), key, *findLoop(keys.map, Loop::key)));

  auto filled = [&](ArrayRef<OpFoldResult> sizes, Value value) -> Value {
    return linalg::FillOp::create(
               b, value, Value(tensor::EmptyOp::create(b, sizes, type)))
        ->getResult(0);
  };
  Value zero = floatConstant(b, type, 0.0);
  Value acc = filled(accSizes, zero);
  Value sum = filled(rowSizes, getSinks() ? floatConstant(b, type, 1.0) : zero);
  Value max;
  if (getSinks()) {
    Value empty = tensor::EmptyOp::create(b, rowSizes, type);
    Generic spread{
        outer,
        {},
        {getSinks()},
        {empty},
        {findLoop(outputMap, Loop::head)
             ? mapOf({Loop::head})
             : AffineMap::get(kNumLoops, 0, getAffineConstantExpr(0, context)),
         rowMap}};
    max = spread.build(b, [&](auto &b, ValueRange arguments) {
      return SmallVector<Value>{toFloat(b, arguments[0], type)};
    })[0];
  } else {
    max = filled(rowSizes, minusInfinity(b, type));
  }
  Value scores = tensor::EmptyOp::create(b, scoreSizes, type);
  Value correction = tensor::EmptyOp::create(b, rowSizes, type);

  // What differs from batch to batch enters the region as score operands.
  SmallVector<Value> operands(getScoreOperands());
  SmallVector<AffineMap> maps = {getMap(getQueryMutable()), keys.map,
                                 values.map};
  for (OpOperand &operand : getScoreOperandsMutable())
    maps.push_back(getMap(operand));
  AffineMap perBatch =
      findLoop(outputMap, Loop::batch)
          ? mapOf({Loop::batch})
          : AffineMap::get(kNumLoops, 0, getAffineConstantExpr(0, context));
  auto addPerBatch = [&](Value value) {
    if (!value || !isa<ShapedType>(value.getType()))
      return;
    operands.push_back(value);
    maps.push_back(perBatch);
  };
  addPerBatch(getQueryOffset());
  addPerBatch(getLengths());
  maps.append({accMap, rowMap, rowMap, scoresMap, rowMap});

  auto online = OnlineAttentionOp::create(
      b,
      TypeRange{acc.getType(), max.getType(), sum.getType(), scores.getType(),
                correction.getType()},
      query, key, values.x, operands, acc, max, sum, scores, correction,
      b.getAffineMapArrayAttr(maps), getScaleAttr(), /*unmasked=*/UnitAttr());
  {
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Type> types = {type};
    types.append(4, b.getIndexType());
    for (Value operand : operands)
      types.push_back(getElementTypeOrSelf(operand.getType()));
    Block *block = b.createBlock(&online.getRegion(), {}, types,
                                 SmallVector<Location>(types.size(), getLoc()));
    ValueRange arguments = block->getArguments();
    Value score = inlineScoreRegion(
        b, getRegion(), arguments.take_front(5 + getScoreOperands().size()));
    size_t next = 5 + getScoreOperands().size();
    auto asIndex = [&](Value value) -> Value {
      if (!value || value.getType().isIndex())
        return value;
      return arith::IndexCastOp::create(b, b.getIndexType(), value);
    };
    Value offset = getQueryOffset(), length;
    if (offset && isa<ShapedType>(offset.getType()))
      offset = arguments[next++];
    if (getLengths())
      length = asIndex(arguments[next++]);
    Value position = arguments[3];
    if (offset)
      position = arith::AddIOp::create(b, position, asIndex(offset));
    if (Value visible =
            buildVisibility(b, *this, position, arguments[4], length))
      score =
          arith::SelectOp::create(b, visible, score, minusInfinity(b, type));
    YieldOp::create(b, score);
  }

  Generic finish{accLoops,
                 {},
                 {online.getResult(0), online.getResult(2)},
                 {output},
                 {accMap, rowMap, outputMap}};
  SmallVector<Value> results =
      finish.build(b, [&](auto &b, ValueRange arguments) {
        Value zero = floatConstant(b, type, 0.0);
        Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                              arguments[1], zero);
        Value quotient = arith::DivFOp::create(b, arguments[0], arguments[1]);
        return SmallVector<Value>{
            toFloat(b, arith::SelectOp::create(b, isEmpty, zero, quotient),
                    floatElement(output))};
      });
  if (getInits().size() > 1) {
    Value sums = getInits()[1];
    Generic logarithm{outer,
                      {},
                      {online.getResult(1), online.getResult(2)},
                      {sums},
                      {rowMap, rowMap, getMap(getInitsMutable()[1])}};
    llvm::append_range(
        results, logarithm.build(b, [&](auto &b, ValueRange arguments) {
          return SmallVector<Value>{toFloat(
              b,
              arith::AddFOp::create(b, arguments[0],
                                    math::LogOp::create(b, arguments[1])),
              floatElement(sums))};
        }));
  }
  return results;
}

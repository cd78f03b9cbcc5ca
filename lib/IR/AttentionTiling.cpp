//===- AttentionTiling.cpp - tiling of attention --------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The iteration domain of rope.attention is the loops (b, h, i), that of
// rope.online_attention (b, h, i, j): channels stay whole.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::rope;

using OpFoldResults = SmallVector<OpFoldResult>;

static OpFoldResult sizeOf(OpBuilder &b, Location loc, Value value,
                           int64_t dim) {
  if (isa<TensorType>(value.getType()))
    return tensor::getMixedSize(b, loc, value, dim);
  return memref::getMixedSize(b, loc, value, dim);
}

static unsigned numTiledLoops(AttentionOp) { return 3; }
static unsigned numTiledLoops(OnlineAttentionOp) { return 4; }

/// The size of a loop: that of the first operand that has it whole. One where
/// none has it.
template <typename OpTy>
static OpFoldResult loopSize(OpBuilder &b, OpTy op, Loop loop) {
  SmallVector<OpOperand *> operands = op.getMappedOperands();
  for (OpOperand *operand : llvm::reverse(operands)) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (dim && matchMapResult(map.getResult(*dim))->group == 1)
      return sizeOf(b, op.getLoc(), operand->get(), *dim);
  }
  return b.getIndexAttr(1);
}

//===----------------------------------------------------------------------===//
// The part of an operand that a tile of the loops touches
//===----------------------------------------------------------------------===//

/// Whether `value` is known to be a multiple of `factor`.
static bool isMultiple(OpFoldResult value, int64_t factor) {
  if (factor == 1)
    return true;
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return *constant % factor == 0;
  auto dynamic = cast<Value>(value);
  if (auto argument = dyn_cast<BlockArgument>(dynamic)) {
    auto loop =
        dyn_cast<LoopLikeOpInterface>(argument.getOwner()->getParentOp());
    std::optional<SmallVector<Value>> ivs =
        loop ? loop.getLoopInductionVars() : std::nullopt;
    std::optional<OpFoldResults> starts =
        loop ? loop.getLoopLowerBounds() : std::nullopt;
    std::optional<OpFoldResults> steps =
        loop ? loop.getLoopSteps() : std::nullopt;
    if (!ivs || !starts || !steps)
      return false;
    for (auto [iv, start, step] : llvm::zip(*ivs, *starts, *steps))
      if (iv == argument)
        return isMultiple(start, factor) && isMultiple(step, factor);
    return false;
  }
  if (auto apply = dynamic.getDefiningOp<affine::AffineApplyOp>())
    return apply.getAffineMap().getResult(0).isMultipleOf(factor);
  return false;
}

namespace {
struct Tile {
  OpFoldResults offsets, sizes;
};
} // namespace

/// Appends the part of dimension `dim` of `value` that follows `match`. Fails
/// where a tile would cut a group of heads in a way that maps cannot say.
static LogicalResult appendDim(OpBuilder &b, Location loc, Value value,
                               int64_t dim, MapResult match, const Tile &loops,
                               Tile &tile) {
  if (!match.loop || unsigned(*match.loop) >= loops.offsets.size()) {
    tile.offsets.push_back(b.getIndexAttr(0));
    tile.sizes.push_back(sizeOf(b, loc, value, dim));
    return success();
  }
  OpFoldResult offset = loops.offsets[unsigned(*match.loop)];
  OpFoldResult size = loops.sizes[unsigned(*match.loop)];
  if (match.group == 1) {
    tile.offsets.push_back(offset);
    tile.sizes.push_back(size);
    return success();
  }
  std::optional<int64_t> heads = getConstantIntValue(size);
  bool isWholeGroups =
      heads && *heads % match.group == 0 && isMultiple(offset, match.group);
  bool isWithinGroup = heads && *heads > 0 && match.group % *heads == 0 &&
                       isMultiple(offset, *heads);
  if (!isWholeGroups && !isWithinGroup)
    return failure();
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  tile.offsets.push_back(affine::makeComposedFoldedAffineApply(
      b, loc, s0.floorDiv(match.group), {offset}));
  tile.sizes.push_back(
      b.getIndexAttr(isWholeGroups ? *heads / match.group : 1));
  return success();
}

static Operation *slice(OpBuilder &b, Location loc, Value value,
                        const Tile &tile) {
  OpFoldResults strides(tile.offsets.size(), b.getIndexAttr(1));
  if (isa<TensorType>(value.getType()))
    return tensor::ExtractSliceOp::create(b, loc, value, tile.offsets,
                                          tile.sizes, strides);
  return memref::SubViewOp::create(b, loc, value, tile.offsets, tile.sizes,
                                   strides);
}

/// The loop that each dimension of an operand follows.
static SmallVector<MapResult> followedLoops(AffineMap map) {
  return llvm::map_to_vector(map.getResults(), [](AffineExpr result) {
    return *matchMapResult(result);
  });
}

/// The loops that the dimensions of each operand without a map follow.
static SmallVector<MapResult> unmappedLoops(AttentionOp op,
                                            OpOperand &operand) {
  if (op.getSinks() && &op.getSinksMutable()[0] == &operand)
    return {MapResult{Loop::head}};
  auto rotated = [&](RotationAttr rotation, OperandRange operands,
                     AffineMap map) -> std::optional<SmallVector<MapResult>> {
    unsigned first = operands.getBeginOperandIndex();
    unsigned number = operand.getOperandNumber();
    if (operands.empty() || number < first || number >= first + operands.size())
      return std::nullopt;
    SmallVector<MapResult> loops;
    AnglesAttr angles = rotation.getAngles();
    if (angles && number == first + 1)
      return SmallVector<MapResult>{MapResult{}};
    if (angles && angles.getAxes())
      loops.push_back(MapResult{});
    for (int64_t dim : rotation.getPositionDims().asArrayRef())
      loops.push_back(*matchMapResult(map.getResult(dim)));
    if (!angles)
      loops.push_back(MapResult{});
    return loops;
  };
  if (auto loops =
          rotated(op.getQueryRotationAttr(), op.getQueryRotationOperands(),
                  op.getMap(op.getQueryMutable())))
    return *loops;
  if (auto loops = rotated(op.getKeyRotationAttr(), op.getKeyRotationOperands(),
                           op.getMap(op.getKeyMutable())))
    return *loops;
  // Offsets and lengths, one for each batch.
  return {MapResult{Loop::batch}};
}

static SmallVector<MapResult> operandLoops(AttentionOp op, OpOperand &operand) {
  if (AffineMap map = op.getMap(operand))
    return followedLoops(map);
  return unmappedLoops(op, operand);
}

static SmallVector<MapResult> operandLoops(OnlineAttentionOp op,
                                           OpOperand &operand) {
  return followedLoops(op.getMap(operand));
}

//===----------------------------------------------------------------------===//
// The tile
//===----------------------------------------------------------------------===//

/// Adds the offsets of a tile to the indices that its region sees.
static void shiftIndices(OpBuilder &b, Location loc, Region &region,
                         ArrayRef<OpFoldResult> offsets) {
  if (region.empty())
    return;
  for (auto [i, offset] : llvm::enumerate(offsets)) {
    Value argument = region.getArgument(1 + i);
    if (isConstantIntValue(offset, 0) || argument.use_empty())
      continue;
    Value start = getValueOrCreateConstantIndexOp(b, loc, offset);
    OpBuilder inner = OpBuilder::atBlockBegin(&region.front());
    auto index = arith::AddIOp::create(inner, loc, argument, start);
    argument.replaceAllUsesExcept(index, index);
  }
}

/// The position of the tile's first query.
static FailureOr<Value> shiftOffset(OpBuilder &b, AttentionOp op, Value offset,
                                    OpFoldResult start) {
  Location loc = op.getLoc();
  bool matters = op.getCausal() || op.getWindow() || op.getChunk();
  if (!matters || isConstantIntValue(start, 0))
    return offset;
  Value first = getValueOrCreateConstantIndexOp(b, loc, start);
  if (!offset)
    return first;
  auto shaped = dyn_cast<ShapedType>(offset.getType());
  Type element = getElementTypeOrSelf(offset.getType());
  if (!element.isIndex())
    first = arith::IndexCastOp::create(b, loc, element, first);
  if (!shaped)
    return Value(arith::AddIOp::create(b, loc, offset, first));
  if (!isa<TensorType>(shaped))
    return failure();
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, offset), element);
  AffineMap identity = b.getMultiDimIdentityMap(1);
  auto sum = linalg::GenericOp::create(
      b, loc, empty.getType(), offset, empty, ArrayRef{identity, identity},
      utils::IteratorType::parallel,
      [&](OpBuilder &b, Location loc, ValueRange arguments) {
        linalg::YieldOp::create(
            b, loc, Value(arith::AddIOp::create(b, loc, arguments[0], first)));
      });
  return sum.getResult(0);
}

template <typename OpTy>
static FailureOr<TilingResult> tile(OpBuilder &b, OpTy op,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes) {
  // A slice of nothing would start out of bounds.
  for (Value operand : op->getOperands())
    if (auto type = dyn_cast<ShapedType>(operand.getType()))
      if (llvm::is_contained(type.getShape(), 0))
        return failure();
  Tile loops{OpFoldResults(offsets), OpFoldResults(sizes)};
  SmallVector<Tile> tiles;
  for (OpOperand &operand : op->getOpOperands()) {
    Tile &tile = tiles.emplace_back();
    if (!isa<ShapedType>(operand.get().getType()))
      continue;
    for (auto [dim, match] : llvm::enumerate(operandLoops(op, operand)))
      if (failed(appendDim(b, op.getLoc(), operand.get(), dim, match, loops,
                           tile)))
        return failure();
  }
  SmallVector<Operation *> slices;
  SmallVector<Value> operands;
  for (auto [operand, tile] : llvm::zip(op->getOpOperands(), tiles)) {
    if (!isa<ShapedType>(operand.get().getType())) {
      operands.push_back(operand.get());
      continue;
    }
    slices.push_back(slice(b, op.getLoc(), operand.get(), tile));
    operands.push_back(slices.back()->getResult(0));
  }
  SmallVector<Type> types;
  for (OpOperand &init : op.getDpsInitsMutable())
    if (isa<TensorType>(init.get().getType()))
      types.push_back(operands[init.getOperandNumber()].getType());

  Value queryOffset;
  if constexpr (std::is_same_v<OpTy, AttentionOp>) {
    unsigned number = 0;
    if (op.getQueryOffset()) {
      number = op.getQueryOffsetMutable()[0].getOperandNumber();
      queryOffset = operands[number];
    }
    FailureOr<Value> shifted =
        shiftOffset(b, op, queryOffset, offsets[unsigned(Loop::query)]);
    if (failed(shifted))
      return failure();
    queryOffset = *shifted;
    if (op.getQueryOffset())
      operands[number] = queryOffset;
  }
  auto tiled = cast<OpTy>(cloneWith(b, op, types, operands));
  if constexpr (std::is_same_v<OpTy, AttentionOp>)
    if (queryOffset && !op.getQueryOffset())
      tiled.getQueryOffsetMutable().assign(queryOffset);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(tiled);
    shiftIndices(b, op.getLoc(), tiled.getRegion(), offsets);
  }
  return TilingResult{
      {tiled}, SmallVector<Value>(tiled->getResults()), std::move(slices)};
}

//===----------------------------------------------------------------------===//
// The interface, once for both operations
//===----------------------------------------------------------------------===//

template <typename OpTy>
static SmallVector<Range> iterationDomain(OpBuilder &b, OpTy op) {
  return llvm::map_to_vector(llvm::seq(numTiledLoops(op)), [&](unsigned loop) {
    return Range{b.getIndexAttr(0), loopSize(b, op, Loop(loop)),
                 b.getIndexAttr(1)};
  });
}

template <typename OpTy>
static LogicalResult resultTile(OpBuilder &b, OpTy op, unsigned result,
                                ArrayRef<OpFoldResult> offsets,
                                ArrayRef<OpFoldResult> sizes,
                                SmallVector<OpFoldResult> &resultOffsets,
                                SmallVector<OpFoldResult> &resultSizes) {
  OpOperand &init = *op.getDpsInitOperand(result);
  Tile loops{OpFoldResults(offsets), OpFoldResults(sizes)}, tile;
  for (auto [dim, match] : llvm::enumerate(followedLoops(op.getMap(init))))
    if (failed(appendDim(b, op.getLoc(), init.get(), dim, match, loops, tile)))
      return failure();
  resultOffsets = tile.offsets;
  resultSizes = tile.sizes;
  return success();
}

/// The tile of the loops that makes the given tile of a result. Fails where
/// that is a part of the channels.
template <typename OpTy>
static FailureOr<Tile> domainTile(OpBuilder &b, OpTy op, unsigned result,
                                  ArrayRef<OpFoldResult> offsets,
                                  ArrayRef<OpFoldResult> sizes) {
  OpOperand &init = *op.getDpsInitOperand(result);
  Tile tile;
  for (const Range &range : iterationDomain(b, op)) {
    tile.offsets.push_back(range.offset);
    tile.sizes.push_back(range.size);
  }
  for (auto [dim, match] : llvm::enumerate(followedLoops(op.getMap(init)))) {
    unsigned loop = unsigned(*match.loop);
    if (loop < tile.offsets.size()) {
      tile.offsets[loop] = offsets[dim];
      tile.sizes[loop] = sizes[dim];
    } else if (!isConstantIntValue(offsets[dim], 0) ||
               !isEqualConstantIntOrValue(
                   sizes[dim], sizeOf(b, op.getLoc(), init.get(), dim))) {
      return failure();
    }
  }
  return tile;
}

template <typename OpTy>
static FailureOr<TilingResult>
resultTileValue(OpBuilder &b, OpTy op, unsigned result,
                ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
  FailureOr<Tile> domain = domainTile(b, op, result, offsets, sizes);
  if (failed(domain))
    return failure();
  FailureOr<TilingResult> tiled = tile(b, op, domain->offsets, domain->sizes);
  if (failed(tiled))
    return failure();
  return TilingResult{
      tiled->tiledOps, {tiled->tiledValues[result]}, tiled->generatedSlices};
}

#define ROPE_ATTENTION_TILING_INTERFACE(OpTy)                                  \
  SmallVector<utils::IteratorType> OpTy::getLoopIteratorTypes() {              \
    SmallVector<utils::IteratorType> types(numTiledLoops(*this),               \
                                           utils::IteratorType::parallel);     \
    if (types.size() > unsigned(Loop::key))                                    \
      types[unsigned(Loop::key)] = utils::IteratorType::reduction;             \
    return types;                                                              \
  }                                                                            \
  SmallVector<Range> OpTy::getIterationDomain(OpBuilder &b) {                  \
    return iterationDomain(b, *this);                                          \
  }                                                                            \
  FailureOr<TilingResult> OpTy::getTiledImplementation(                        \
      OpBuilder &b, ArrayRef<OpFoldResult> offsets,                            \
      ArrayRef<OpFoldResult> sizes) {                                          \
    return tile(b, *this, offsets, sizes);                                     \
  }                                                                            \
  LogicalResult OpTy::getResultTilePosition(                                   \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,  \
      SmallVector<OpFoldResult> &resultSizes) {                                \
    return resultTile(b, *this, result, offsets, sizes, resultOffsets,         \
                      resultSizes);                                            \
  }                                                                            \
  FailureOr<TilingResult> OpTy::generateResultTileValue(                       \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes) {                                          \
    return resultTileValue(b, *this, result, offsets, sizes);                  \
  }                                                                            \
  LogicalResult OpTy::getIterationDomainTileFromResultTile(                    \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes, SmallVectorImpl<OpFoldResult> &domOffsets, \
      SmallVectorImpl<OpFoldResult> &domSizes) {                               \
    FailureOr<Tile> domain = domainTile(b, *this, result, offsets, sizes);     \
    if (failed(domain))                                                        \
      return failure();                                                        \
    domOffsets.assign(domain->offsets);                                        \
    domSizes.assign(domain->sizes);                                            \
    return success();                                                          \
  }                                                                            \
  bool OpTy::isOpFusableWithConsumerSlice(unsigned result,                     \
                                          ArrayRef<OpFoldResult> offsets,      \
                                          ArrayRef<OpFoldResult> sizes) {      \
    AffineMap map = getMap(*getDpsInitOperand(result));                        \
    std::optional<int64_t> dim = findLoop(map, Loop::valueChannel);            \
    return !dim || isConstantIntValue(offsets[*dim], 0);                       \
  }

ROPE_ATTENTION_TILING_INTERFACE(AttentionOp)
ROPE_ATTENTION_TILING_INTERFACE(OnlineAttentionOp)

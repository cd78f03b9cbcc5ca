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
#include "Tiles.h"
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

static unsigned numTiledLoops(AttentionOp) { return 3; }
static unsigned numTiledLoops(OnlineAttentionOp) { return 4; }

/// The operand that says how large a loop is, and in which dimension: one that
/// knows a number, else the first that has the loop whole. Null where none has.
template <typename OpTy>
static std::pair<Value, int64_t> findSize(OpTy op, Loop loop) {
  std::pair<Value, int64_t> found;
  for (OpOperand *operand : op.getMappedOperands()) {
    AffineMap map = op.getMap(*operand);
    std::optional<int64_t> dim = findLoop(map, loop);
    if (!dim || matchMapResult(map.getResult(*dim))->group != 1)
      continue;
    auto type = cast<ShapedType>(operand->get().getType());
    if (!type.isDynamicDim(*dim))
      return {operand->get(), *dim};
    if (!found.first)
      found = {operand->get(), *dim};
  }
  return found;
}

template <typename OpTy>
static OpFoldResult loopSize(OpBuilder &b, OpTy op, Loop loop) {
  auto [value, dim] = findSize(op, loop);
  return value ? sizeOf(b, op.getLoc(), value, dim) : b.getIndexAttr(1);
}

//===----------------------------------------------------------------------===//
// The part of an operand that a tile of the loops touches
//===----------------------------------------------------------------------===//

namespace {
/// What is known of numbers of heads, all of which are whole groups.
template <typename OpTy>
class Heads {
public:
  explicit Heads(OpTy op) : op(op) {}

  /// Whether `value` is the number of all heads.
  bool areAll(OpFoldResult value) {
    if (std::optional<int64_t> constant = getConstantIntValue(value)) {
      auto [whole, dim] = findSize(op, Loop::head);
      return whole &&
             cast<ShapedType>(whole.getType()).getDimSize(dim) == *constant;
    }
    Operation *dimOp = cast<Value>(value).getDefiningOp();
    if (!isa_and_nonnull<tensor::DimOp, memref::DimOp>(dimOp))
      return false;
    std::optional<int64_t> dim = getConstantIntValue(dimOp->getOperand(1));
    return llvm::any_of(op.getMappedOperands(), [&](OpOperand *operand) {
      AffineMap map = op.getMap(*operand);
      return operand->get() == dimOp->getOperand(0) && dim &&
             findLoop(map, Loop::head) == dim && getGroup(map) == 1;
    });
  }

  /// Whether `value` is known to be a multiple of `factor`.
  bool isMultiple(OpFoldResult value, int64_t factor) {
    if (factor == 1)
      return true;
    if (std::optional<int64_t> constant = getConstantIntValue(value))
      return *constant % factor == 0;
    auto dynamic = cast<Value>(value);
    if (auto argument = dyn_cast<BlockArgument>(dynamic))
      return isMultiple(argument, factor);
    if (auto apply = dynamic.getDefiningOp<affine::AffineApplyOp>())
      return areMultiples(apply.getAffineMap(), apply.getMapOperands(), factor);
    if (auto min = dynamic.getDefiningOp<affine::AffineMinOp>())
      return areMultiples(min.getAffineMap(), min.getMapOperands(), factor);
    return areAll(value);
  }

private:
  /// The index of a loop that starts and steps by multiples.
  bool isMultiple(BlockArgument argument, int64_t factor) {
    auto loop = dyn_cast_or_null<LoopLikeOpInterface>(
        argument.getOwner()->getParentOp());
    if (!loop)
      return false;
    std::optional<SmallVector<Value>> indices = loop.getLoopInductionVars();
    std::optional<OpFoldResults> starts = loop.getLoopLowerBounds(),
                                 steps = loop.getLoopSteps();
    if (!indices || !starts || !steps)
      return false;
    for (auto [index, start, step] : llvm::zip(*indices, *starts, *steps))
      if (index == argument)
        return isMultiple(start, factor) && isMultiple(step, factor);
    return false;
  }

  bool areMultiples(AffineMap map, ValueRange operands, int64_t factor) {
    DenseMap<AffineExpr, AffineExpr> multiples;
    MLIRContext *context = map.getContext();
    for (auto [i, operand] : llvm::enumerate(operands)) {
      AffineExpr expr =
          i < map.getNumDims()
              ? getAffineDimExpr(i, context)
              : getAffineSymbolExpr(i - map.getNumDims(), context);
      if (isMultiple(OpFoldResult(operand), factor))
        multiples[expr] = expr * factor;
    }
    return llvm::all_of(map.getResults(), [&](AffineExpr result) {
      return result.replace(multiples).isMultipleOf(factor);
    });
  }

  OpTy op;
};
} // namespace

/// Appends the part of dimension `dim` of `value` that follows `match`. Says
/// whether all heads of the tile are within one group, of which that dimension
/// is one. Fails where a tile would cut groups in another way.
template <typename OpTy>
static FailureOr<bool> appendDim(OpBuilder &b, OpTy op, Value value,
                                 int64_t dim, MapResult match,
                                 const Tile &loops, Tile &tile) {
  Location loc = op.getLoc();
  auto takeAll = [&] {
    tile.offsets.push_back(b.getIndexAttr(0));
    tile.sizes.push_back(sizeOf(b, loc, value, dim));
  };
  if (!match.loop || unsigned(*match.loop) >= loops.offsets.size()) {
    takeAll();
    return false;
  }
  OpFoldResult offset = loops.offsets[unsigned(*match.loop)];
  OpFoldResult size = loops.sizes[unsigned(*match.loop)];
  if (match.group == 1) {
    tile.offsets.push_back(offset);
    tile.sizes.push_back(size);
    return false;
  }
  Heads<OpTy> heads(op);
  if (isConstantIntValue(offset, 0) && heads.areAll(size)) {
    takeAll();
    return false;
  }
  AffineExpr groupOf = b.getAffineSymbolExpr(0).floorDiv(match.group);
  bool areWholeGroups = heads.isMultiple(offset, match.group) &&
                        heads.isMultiple(size, match.group);
  std::optional<int64_t> number = getConstantIntValue(size);
  if (!areWholeGroups &&
      (!number || *number <= 0 || match.group % *number != 0 ||
       !heads.isMultiple(offset, *number)))
    return failure();
  tile.offsets.push_back(
      affine::makeComposedFoldedAffineApply(b, loc, groupOf, {offset}));
  tile.sizes.push_back(areWholeGroups ? affine::makeComposedFoldedAffineApply(
                                            b, loc, groupOf, {size})
                                      : b.getIndexAttr(1));
  return !areWholeGroups;
}

static AffineMap replaceResult(AffineMap map, unsigned result,
                               AffineExpr expr) {
  SmallVector<AffineExpr> results(map.getResults());
  results[result] = expr;
  return AffineMap::get(map.getNumDims(), 0, results, map.getContext());
}

/// The loops that the dimensions of each operand without a map follow.
static SmallVector<MapResult> unmappedLoops(AttentionOp op,
                                            OpOperand &operand) {
  if (op.getSinks() && &op.getSinksMutable()[0] == &operand)
    return {MapResult{Loop::head}};
  auto rotated = [&](RotationAttr rotation, OperandRange operands,
                     OpOperand &x) -> std::optional<SmallVector<MapResult>> {
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
      loops.push_back(op.getLookedUpLoops(x)[dim]);
    if (!angles)
      loops.push_back(MapResult{});
    return loops;
  };
  if (auto loops = rotated(op.getQueryRotationAttr(),
                           op.getQueryRotationOperands(), op.getQueryMutable()))
    return *loops;
  if (auto loops = rotated(op.getKeyRotationAttr(), op.getKeyRotationOperands(),
                           op.getKeyMutable()))
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

/// The position of the tile's first query: an index, which no integer of the
/// operand's own type may hold. Fails on memrefs, where nothing can hold one
/// for each batch.
static FailureOr<Value> shiftOffset(OpBuilder &b, AttentionOp op, Value offset,
                                    OpFoldResult start) {
  Location loc = op.getLoc();
  bool matters = op.getCausal() || op.getWindow() || op.getChunk();
  if (!matters || isConstantIntValue(start, 0))
    return offset;
  Value first = getValueOrCreateConstantIndexOp(b, loc, start);
  if (!offset)
    return first;
  auto shifted = [&](OpBuilder &b, Location loc, Value offset) -> Value {
    if (!offset.getType().isIndex())
      offset = arith::IndexCastOp::create(b, loc, b.getIndexType(), offset);
    return arith::AddIOp::create(b, loc, offset, first);
  };
  if (!isa<ShapedType>(offset.getType()))
    return shifted(b, loc, offset);
  if (!isa<TensorType>(offset.getType()))
    return failure();
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, offset), b.getIndexType());
  AffineMap identity = b.getMultiDimIdentityMap(1);
  auto sum = linalg::GenericOp::create(
      b, loc, empty.getType(), offset, empty, ArrayRef{identity, identity},
      utils::IteratorType::parallel,
      [&](OpBuilder &b, Location loc, ValueRange arguments) {
        linalg::YieldOp::create(b, loc, shifted(b, loc, arguments[0]));
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
  SmallVector<AffineMap> maps;
  for (OpOperand &operand : op->getOpOperands()) {
    Tile &tile = tiles.emplace_back();
    if (!isa<ShapedType>(operand.get().getType()))
      continue;
    AffineMap map = op.getMap(operand);
    for (auto [dim, match] : llvm::enumerate(operandLoops(op, operand))) {
      FailureOr<bool> isWithinGroup =
          appendDim(b, op, operand.get(), dim, match, loops, tile);
      if (failed(isWithinGroup))
        return failure();
      // All heads at hand share one.
      if (*isWithinGroup && map)
        map = replaceResult(map, dim, b.getAffineConstantExpr(0));
    }
    if (map)
      maps.push_back(map);
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
  tiled.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
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
    if (failed(appendDim(b, op, init.get(), dim, match, loops, tile)))
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
    } else if (!isWhole(init.get(), dim, offsets[dim], sizes[dim])) {
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
    OpOperand &init = *getDpsInitOperand(result);                              \
    std::optional<int64_t> dim = findLoop(getMap(init), Loop::valueChannel);   \
    return !dim || isWhole(init.get(), *dim, offsets[*dim], sizes[*dim]);      \
  }

ROPE_ATTENTION_TILING_INTERFACE(AttentionOp)
ROPE_ATTENTION_TILING_INTERFACE(OnlineAttentionOp)

//===- FuseTiles.cpp - loops over tiles of producers and consumer ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/Fusion.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::rope;

SmallVector<int64_t> rope::getOperandLoops(AffineMap map) {
  return llvm::map_to_vector(map.getResults(), [](AffineExpr expr) {
    return int64_t(cast<AffineDimExpr>(expr).getPosition());
  });
}

bool rope::isTileByTile(linalg::LinalgOp op, OpOperand &operand) {
  return op.hasPureTensorSemantics() && op.getNumDpsInits() == 1 &&
         op.isDpsInput(&operand) &&
         op.getNumParallelLoops() == op.getNumLoops() &&
         op.getMatchingIndexingMap(&operand).isProjectedPermutation() &&
         op.getIndexingMapsArray().back().isPermutation() &&
         isa<TilingInterface>(op.getOperation());
}

OpOperand *rope::getSingleUse(Value value) {
  OpOperand *single = nullptr;
  for (OpOperand &use : value.getUses()) {
    if (isa<tensor::DimOp>(use.getOwner()))
      continue;
    if (single)
      return nullptr;
    single = &use;
  }
  return single;
}

void rope::resolveDims(RewriterBase &rewriter, Operation *op) {
  auto isDim = llvm::IsaPred<tensor::DimOp>;
  if (llvm::none_of(op->getUsers(), isDim))
    return;
  rewriter.setInsertionPoint(op);
  ReifiedRankedShapedTypeDims shapes;
  if (failed(reifyResultShapes(rewriter, op, shapes)))
    return;
  for (auto [result, shape] : llvm::zip_equal(op->getResults(), shapes)) {
    SmallVector<Operation *> users(
        llvm::make_filter_range(result.getUsers(), isDim));
    for (Operation *user : users) {
      auto dim = cast<tensor::DimOp>(user);
      std::optional<int64_t> index = dim.getConstantIndex();
      if (index && *index >= 0 && *index < int64_t(shape.size()))
        rewriter.replaceOp(dim, getValueOrCreateConstantIndexOp(
                                    rewriter, dim.getLoc(), shape[*index]));
    }
  }
}

FailureOr<Tiles>
rope::tileAndFuse(RewriterBase &rewriter, Operation *consumer,
                  ArrayRef<int64_t> order, ArrayRef<int64_t> sizes,
                  const llvm::SetVector<Operation *> &producers,
                  bool isParallel) {
  scf::SCFTilingOptions tiling;
  if (isParallel)
    tiling.setLoopType(scf::SCFTilingOptions::LoopType::ForallOp);
  tiling.setTileSizes(getAsIndexOpFoldResult(rewriter.getContext(), sizes));
  SmallVector<int64_t> interchange(order);
  for (int64_t loop : llvm::seq<int64_t>(0, sizes.size()))
    if (!llvm::is_contained(order, loop))
      interchange.push_back(loop);
  tiling.setInterchange(interchange);
  scf::SCFTileAndFuseOptions options;
  options.setTilingOptions(tiling);
  options.setFusionControlFn(
      [&](tensor::ExtractSliceOp, OpResult producer,
          bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
        if (!producers.contains(producer.getOwner()))
          return std::nullopt;
        return scf::SCFTileAndFuseOptions::ControlFnResult{};
      });
  rewriter.setInsertionPoint(consumer);
  FailureOr<scf::SCFTileAndFuseResult> fused =
      scf::tileConsumerAndFuseProducersUsingSCF(
          rewriter, cast<TilingInterface>(consumer), options);
  if (failed(fused) || fused->loops.empty())
    return failure();
  if (llvm::any_of(producers, [&](Operation *producer) {
        return !fused->fusedProducers.contains(producer);
      })) {
    rewriter.eraseOp(fused->loops.front());
    return failure();
  }
  Tiles tiles;
  tiles.loop = fused->loops.front();
  tiles.ops = fused->tiledAndFusedOps.takeVector();
  for (Value result : consumer->getResults())
    tiles.replacements.push_back(fused->replacements.lookup(result));
  return tiles;
}

void rope::replaceByTiles(RewriterBase &rewriter, Operation *consumer,
                          const llvm::SetVector<Operation *> &producers,
                          const Tiles &tiles) {
  for (Operation *op : tiles.ops)
    if (auto rotation = dyn_cast<ApplyOp>(op))
      rewriter.modifyOpInPlace(rotation, [&] { markFolded(rotation); });
  rewriter.replaceOp(consumer, tiles.replacements);
  SmallVector<Operation *> dead = llvm::to_vector(producers);
  llvm::sort(dead,
             [](Operation *a, Operation *b) { return b->isBeforeInBlock(a); });
  for (Operation *producer : dead) {
    // Fusion leaves the slices that it has made tiles of.
    for (Operation *user : llvm::make_early_inc_range(producer->getUsers()))
      if (isa<tensor::ExtractSliceOp>(user) && user->use_empty())
        rewriter.eraseOp(user);
    resolveDims(rewriter, producer);
    if (producer->use_empty())
      rewriter.eraseOp(producer);
  }
}

/// The slice that an operand is, if it is not one of what a loop carries.
static tensor::ExtractSliceOp findForeignSlice(Value value) {
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  if (!slice || slice.getDroppedDims().any())
    return {};
  Value source = slice.getSource();
  while (auto outer = source.getDefiningOp<tensor::ExtractSliceOp>())
    source = outer.getSource();
  auto carried = dyn_cast<BlockArgument>(source);
  if (carried && isa<LoopLikeOpInterface>(carried.getOwner()->getParentOp()))
    return {};
  return slice;
}

static bool isRead(DestinationStyleOpInterface op, OpOperand &init) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op.getOperation());
  return linalgOp && linalgOp.payloadUsesValueFromOperand(&init);
}

void rope::writeToOwnTiles(RewriterBase &rewriter,
                           ArrayRef<Operation *> tiledOps) {
  for (Operation *tiledOp : tiledOps) {
    auto op = dyn_cast<DestinationStyleOpInterface>(tiledOp);
    if (!op)
      continue;
    for (OpOperand &init : op.getDpsInitsMutable()) {
      tensor::ExtractSliceOp slice = findForeignSlice(init.get());
      if (!slice || isRead(op, init))
        continue;
      SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
      SmallVector<OpFoldResult> bounds = sizes;
      for (OpFoldResult &bound : bounds) {
        if (getConstantIntValue(bound))
          continue;
        FailureOr<int64_t> known =
            ValueBoundsConstraintSet::computeConstantBound(
                presburger::BoundType::UB, cast<Value>(bound),
                /*stopCondition=*/nullptr, /*closedUB=*/true);
        if (succeeded(known))
          bound = rewriter.getIndexAttr(*known);
      }
      rewriter.setInsertionPoint(slice);
      SmallVector<int64_t> shape;
      SmallVector<Value> dynamic;
      dispatchIndexOpFoldResults(bounds, dynamic, shape);
      Value buffer = bufferization::AllocTensorOp::create(
          rewriter, op.getLoc(),
          RankedTensorType::get(shape, slice.getType().getElementType()),
          dynamic);
      if (bounds != sizes) {
        SmallVector<OpFoldResult> zeros(sizes.size(), rewriter.getIndexAttr(0)),
            ones(sizes.size(), rewriter.getIndexAttr(1));
        buffer = tensor::ExtractSliceOp::create(
            rewriter, op.getLoc(), slice.getType(), buffer, zeros, sizes, ones);
      }
      if (buffer.getType() != slice.getType())
        buffer = tensor::CastOp::create(rewriter, op.getLoc(), slice.getType(),
                                        buffer);
      rewriter.modifyOpInPlace(op, [&] { init.set(buffer); });
      if (slice->use_empty())
        rewriter.eraseOp(slice);
    }
  }
}

//===- FuseProjection.cpp - rotate a projection's tiles as they are made --===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// First the reshapes and slices between the projection and the rotation move
// into the projection, so that heads are loops of it. Then the rotation is
// tiled, and all that makes what it rotates is made in its tiles.
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/TilingInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_FUSEPROJECTION
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static constexpr llvm::StringLiteral kName = "rope-fuse-projection";
static constexpr int kMaxRounds = 64;
/// Channels of the heads of a tile: a block of rope-pack-matmul.
static constexpr int64_t kTileChannels = 256;

namespace {
/// What makes the operand of a rotation.
struct Projection {
  /// From the rotation back to the contractions: all that depends on one.
  llvm::SetVector<Operation *> ops;
  /// Where it starts; those that `ops` do not go beyond.
  SmallVector<linalg::LinalgOp> contractions;
};
} // namespace

static bool isReshape(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp, tensor::CastOp>(op);
}

static bool isContraction(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalg::isaContractionOpInterface(linalgOp);
}

//===----------------------------------------------------------------------===//
// From a rotation back to the contraction
//===----------------------------------------------------------------------===//

tensor::InsertSliceOp rope::findDirectWrite(ApplyOp apply) {
  if (apply.getResults().empty())
    return {};
  OpOperand *use = getSingleUse(apply->getResult(0));
  auto write = use ? dyn_cast<tensor::InsertSliceOp>(use->getOwner())
                   : tensor::InsertSliceOp();
  return write && write->getBlock() == apply->getBlock() &&
                 &write.getSourceMutable() == use
             ? write
             : tensor::InsertSliceOp();
}

/// The operations in front of `apply`, the last one first.
static SmallVector<Operation *> findProducers(ApplyOp apply) {
  llvm::SetVector<Operation *> producers;
  SmallVector<Value> values = {apply.getX()};
  for (size_t i = 0; i < values.size(); ++i) {
    Operation *def = values[i].getDefiningOp();
    if (!def || def->getBlock() != apply->getBlock() || producers.contains(def))
      continue;
    auto op = dyn_cast<linalg::LinalgOp>(def);
    bool isMaker =
        op && op.hasPureTensorSemantics() && op.getNumDpsInits() == 1;
    if (!isMaker && !isReshape(def))
      continue;
    producers.insert(def);
    if (isReshape(def))
      values.push_back(def->getOperand(0));
    else if (!isContraction(def))
      llvm::append_range(values, def->getOperands());
  }
  SmallVector<Operation *> sorted = producers.takeVector();
  llvm::sort(sorted,
             [](Operation *a, Operation *b) { return b->isBeforeInBlock(a); });
  return sorted;
}

/// Whether all uses of `op` but those for sizes are by the rotation, by `ops`,
/// or slices of it.
static bool isUsedInside(Operation *op, ApplyOp apply,
                         const llvm::SetVector<Operation *> &ops) {
  auto isInside = [&](Operation *user) {
    return user == apply || ops.contains(user) || isa<tensor::DimOp>(user);
  };
  auto isSlice = [&](Operation *user) {
    return isa<tensor::ExtractSliceOp, tensor::DimOp>(user);
  };
  return llvm::all_of(op->getUsers(), isInside) ||
         llvm::all_of(op->getUsers(), isSlice);
}

/// Finds what makes the operand of `apply`, or the reason why it is not made in
/// tiles.
static std::optional<std::string> findProjection(ApplyOp apply,
                                                 Projection &projection) {
  projection = {};
  if (apply.getResults().empty())
    return "it is on memrefs";
  for (Value value : {apply.getX(), apply.getCos()})
    if (llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0))
      return "nothing is rotated";
  SmallVector<Operation *> producers = findProducers(apply);
  llvm::SmallDenseSet<Operation *> made;
  for (Operation *op : llvm::reverse(producers)) {
    bool depends = isContraction(op);
    for (Value operand : op->getOperands())
      depends |= made.contains(operand.getDefiningOp());
    if (depends)
      made.insert(op);
  }
  for (Operation *op : producers) {
    if (!made.contains(op))
      continue;
    projection.ops.insert(op);
    if (isContraction(op))
      projection.contractions.push_back(cast<linalg::LinalgOp>(op));
  }
  if (projection.contractions.empty())
    return "no contraction makes what it rotates";
  for (Operation *op : projection.ops)
    if (!isUsedInside(op, apply, projection.ops))
      return ("the result of " + op->getName().getStringRef() +
              " has other uses")
          .str();
  return std::nullopt;
}

bool rope::isProjected(ApplyOp apply) {
  Projection projection;
  return !findProjection(apply, projection);
}

//===----------------------------------------------------------------------===//
// Reshapes and slices move into the contraction
//===----------------------------------------------------------------------===//

/// Whether the slices are of whole rows in all dimensions but one, in which
/// they do not overlap.
static bool areDisjoint(MutableArrayRef<tensor::ExtractSliceOp> slices) {
  for (auto [i, a] : llvm::enumerate(slices)) {
    if (!a.hasUnitStride() || a.getDroppedDims().any())
      return false;
    for (tensor::ExtractSliceOp b : slices.drop_front(i + 1)) {
      bool apart = false;
      for (auto [x, xs, y, ys] :
           llvm::zip_equal(a.getStaticOffsets(), a.getStaticSizes(),
                           b.getStaticOffsets(), b.getStaticSizes())) {
        if (ShapedType::isDynamicShape({x, xs, y, ys}))
          continue;
        apart |= x + xs <= y || y + ys <= x;
      }
      if (!apart)
        return false;
    }
  }
  return true;
}

/// Whether `op` is made from little, like a bias for all tokens, so that what
/// is added to it makes its own tile of it.
static bool isStart(linalg::LinalgOp op) {
  return op.hasPureTensorSemantics() && op.getNumDpsInits() == 1 &&
         op.getNumReductionLoops() == 0 &&
         op.getIndexingMapsArray().back().isProjectedPermutation();
}

/// Lets `op` start from a tensor of its own where it starts from a part of one
/// that is filled with a number.
static void fillOwnStart(RewriterBase &rewriter, linalg::LinalgOp op) {
  OpOperand &init = op.getDpsInitsMutable()[0];
  Operation *def = init.get().getDefiningOp();
  while (def && isReshape(def))
    def = def->getOperand(0).getDefiningOp();
  auto fill = dyn_cast_if_present<linalg::FillOp>(def);
  ReifiedRankedShapedTypeDims shapes;
  rewriter.setInsertionPoint(op);
  if (!fill || fill->getResult(0) == init.get() ||
      failed(reifyResultShapes(rewriter, op, shapes)))
    return;
  auto type = cast<RankedTensorType>(init.get().getType());
  SmallVector<Value> sizes;
  for (auto [dim, size] : llvm::enumerate(shapes.front()))
    if (type.isDynamicDim(dim))
      sizes.push_back(
          getValueOrCreateConstantIndexOp(rewriter, fill.getLoc(), size));
  Value start = tensor::EmptyOp::create(rewriter, fill.getLoc(), type, sizes);
  start = linalg::FillOp::create(rewriter, fill.getLoc(), fill.getInputs(),
                                 ValueRange(start))
              .getResult(0);
  rewriter.modifyOpInPlace(op, [&] { init.set(start); });
}

/// Makes a slice of the result of `op` by an operation of its own.
static LogicalResult makeSlice(RewriterBase &rewriter,
                               tensor::ExtractSliceOp slice,
                               linalg::LinalgOp op) {
  rewriter.setInsertionPoint(slice);
  FailureOr<TilingResult> tiled = tensor::replaceExtractSliceWithTiledProducer(
      rewriter, slice, cast<OpResult>(op->getResult(0)));
  if (failed(tiled))
    return failure();
  if (auto tiledOp = dyn_cast<linalg::LinalgOp>(tiled->tiledOps[0]))
    fillOwnStart(rewriter, tiledOp);
  Value value = tiled->tiledValues[0];
  if (value.getType() != slice.getType())
    value = tensor::CastOp::create(rewriter, slice.getLoc(), slice.getType(),
                                   value);
  rewriter.replaceOp(slice, value);
  return success();
}

/// Makes each slice of the result of `op` by an operation of its own.
static LogicalResult splitIntoSlices(RewriterBase &rewriter,
                                     linalg::LinalgOp op) {
  SmallVector<tensor::ExtractSliceOp> slices;
  for (Operation *user : op->getUsers())
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user))
      slices.push_back(slice);
  if (!areDisjoint(slices))
    return failure();
  for (tensor::ExtractSliceOp slice : slices)
    if (failed(makeSlice(rewriter, slice, op)))
      return failure();
  resolveDims(rewriter, op);
  if (op->use_empty())
    rewriter.eraseOp(op);
  return success();
}

/// Moves the reshapes `ops` in front of what makes their operands.
static bool foldReshapes(RewriterBase &rewriter, ArrayRef<Operation *> ops) {
  MLIRContext *context = rewriter.getContext();
  RewritePatternSet patterns(context);
  llvm::SmallDenseSet<Operation *> allowed(ops.begin(), ops.end());
  linalg::populateFoldReshapeOpsByExpansionPatterns(
      patterns, [&](OpOperand *operand) {
        return isa<tensor::ExpandShapeOp>(operand->getOwner()) &&
               allowed.contains(operand->getOwner());
      });
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
  tensor::CastOp::getCanonicalizationPatterns(patterns, context);
  tensor::populateBubbleUpExpandShapePatterns(patterns);
  context->getLoadedDialect<linalg::LinalgDialect>()
      ->getCanonicalizationPatterns(patterns);
  GreedyRewriteConfig config;
  config.setStrictness(GreedyRewriteStrictness::ExistingOps);
  config.setListener(
      dyn_cast_if_present<RewriterBase::Listener>(rewriter.getListener()));
  bool changed = false;
  (void)applyOpPatternsGreedily(ops, std::move(patterns), config, &changed);
  return changed;
}

/// Erases what is left of folded operations: reshapes that give sizes, and what
/// was there before.
static void eraseUnused(RewriterBase &rewriter, ApplyOp apply) {
  llvm::SetVector<Operation *> ops;
  for (Operation *op : findProducers(apply)) {
    ops.insert(op);
    for (Value operand : op->getOperands())
      if (Operation *def = operand.getDefiningOp())
        ops.insert(def);
  }
  for (Operation *op : ops)
    for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
      if (ops.contains(user))
        continue;
      if (isReshape(user))
        resolveDims(rewriter, user);
      else if (!isa<linalg::LinalgOp>(user))
        continue;
      if (isOpTriviallyDead(user))
        rewriter.eraseOp(user);
    }
}

/// Gives `op` a loop of one round for each constant index of its result, as
/// sums that keep their dimension have: results at loops alone tile.
static void addUnitLoops(RewriterBase &rewriter, linalg::GenericOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<Attribute> iterators = llvm::to_vector(op.getIteratorTypes());
  unsigned loops = maps.back().getNumDims();
  SmallVector<AffineExpr> results;
  for (AffineExpr expr : maps.back().getResults())
    results.push_back(isa<AffineConstantExpr>(expr)
                          ? rewriter.getAffineDimExpr(loops++)
                          : expr);
  if (loops == maps.back().getNumDims())
    return;
  iterators.resize(loops, linalg::IteratorTypeAttr::get(
                              op.getContext(), utils::IteratorType::parallel));
  for (AffineMap &map : maps)
    map = AffineMap::get(loops, 0, map.getResults(), op.getContext());
  maps.back() = AffineMap::get(loops, 0, results, op.getContext());
  rewriter.modifyOpInPlace(op, [&] {
    op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    op.setIteratorTypesAttr(rewriter.getArrayAttr(iterators));
  });
}

/// Brings the projection to a form without reshapes, or says why it has none.
static std::optional<std::string>
dropReshapes(RewriterBase &rewriter, ApplyOp apply, Projection &projection) {
  // Each round moves reshapes by an operation or two.
  Operation *last = nullptr;
  for (int round = 0; round < kMaxRounds; ++round) {
    if (std::optional<std::string> reason = findProjection(apply, projection))
      return reason;
    SmallVector<Operation *> reshapes;
    last = nullptr;
    bool changed = false;
    for (Operation *op : projection.ops) {
      // What operations start from takes part.
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
        fillOwnStart(rewriter, linalgOp);
        if (auto generic = dyn_cast<linalg::GenericOp>(op))
          addUnitLoops(rewriter, generic);
        if (!linalgOp.getIndexingMapsArray().back().isProjectedPermutation())
          return ("the result of " + op->getName().getStringRef() +
                  " is not made by loops over its dimensions")
              .str();
        Operation *init = linalgOp.getDpsInits().front().getDefiningOp();
        if (isa_and_present<tensor::ExpandShapeOp>(init))
          reshapes.push_back(init);
        if (auto slice = dyn_cast_if_present<tensor::ExtractSliceOp>(init))
          if (auto source = slice.getSource().getDefiningOp<linalg::LinalgOp>();
              source && isStart(source))
            changed |= succeeded(makeSlice(rewriter, slice, source));
        continue;
      }
      last = op;
      auto source = op->getOperand(0).getDefiningOp<linalg::LinalgOp>();
      if (isa<tensor::ExtractSliceOp>(op) && source) {
        changed |= succeeded(splitIntoSlices(rewriter, source));
        break;
      }
      reshapes.push_back(op);
    }
    if (!changed && !reshapes.empty())
      changed = foldReshapes(rewriter, reshapes);
    eraseUnused(rewriter, apply);
    if (!changed && !last)
      return std::nullopt;
    if (!changed)
      break;
  }
  return ("the " +
          (last ? last->getName().getStringRef() : StringRef("reshape")) +
          " in front of it does not fold into the contraction")
      .str();
}

//===----------------------------------------------------------------------===//
// Which loops
//===----------------------------------------------------------------------===//

namespace {
/// The dimensions of the rotation whose tiles are made of tiles of the
/// contractions: which they follow, and which nothing between reduces.
struct TiledDims {
  llvm::SetVector<int64_t> dims;
  /// For each dimension, the inputs of the first contraction that follow it.
  SmallVector<llvm::SmallBitVector> inputs;
};
} // namespace

static TiledDims findTiledDims(ApplyOp apply, const Projection &projection) {
  auto type = cast<RankedTensorType>(apply.getX().getType());
  TiledDims tiled;
  tiled.inputs.assign(type.getRank(), llvm::SmallBitVector(2));
  llvm::SetVector<int64_t> &dims = tiled.dims;
  for (int64_t dim : llvm::seq(type.getRank() - 1))
    if (type.getDimSize(dim) != 1)
      dims.insert(dim);
  // The dimension of the rotation that each one of a value follows, or -1.
  llvm::DenseMap<Value, SmallVector<int64_t>> follows;
  follows[apply.getX()] = llvm::to_vector(llvm::seq(type.getRank()));
  for (Operation *op : projection.ops) {
    auto linalgOp = cast<linalg::LinalgOp>(op);
    // Not a reference: the map grows below.
    SmallVector<int64_t> result = follows[op->getResult(0)];
    SmallVector<int64_t> loops(linalgOp.getNumLoops(), -1);
    AffineMap output = linalgOp.getIndexingMapsArray().back();
    for (auto [expr, dim] : llvm::zip_equal(output.getResults(), result))
      if (auto loop = dyn_cast<AffineDimExpr>(expr))
        loops[loop.getPosition()] = dim;
    if (isContraction(op)) {
      dims.remove_if(
          [&](int64_t dim) { return !llvm::is_contained(loops, dim); });
      if (linalgOp == projection.contractions.front())
        for (auto [loop, dim] : llvm::enumerate(loops))
          for (auto [input, operand] :
               llvm::enumerate(linalgOp.getDpsInputOperands()))
            if (dim >= 0)
              tiled.inputs[dim][input] =
                  linalgOp.getMatchingIndexingMap(operand).isFunctionOfDim(
                      loop);
    }
    for (OpOperand &operand : op->getOpOperands()) {
      if (!projection.ops.contains(operand.get().getDefiningOp()))
        continue;
      SmallVector<int64_t> found;
      for (AffineExpr expr :
           linalgOp.getMatchingIndexingMap(&operand).getResults()) {
        auto loop = dyn_cast<AffineDimExpr>(expr);
        found.push_back(loop ? loops[loop.getPosition()] : -1);
      }
      auto [known, isNew] = follows.try_emplace(operand.get(), found);
      if (isNew)
        continue;
      // Two uses that need different parts of it for one tile.
      for (auto [a, b] : llvm::zip_equal(known->second, found))
        if (a != b) {
          dims.remove(a);
          dims.remove(b);
          a = -1;
        }
    }
  }
  return tiled;
}

/// The loops, and their tiles: heads outside, since what projects to one is
/// larger than the tokens of a tile.
static void planLoops(ApplyOp apply, const TiledDims &tiled,
                      const FuseProjectionOptions &options,
                      SmallVector<int64_t> &order,
                      SmallVector<int64_t> &sizes) {
  ArrayRef<int64_t> positions = apply.getPositionDims();
  // Heads are what the operand without positions has alone.
  llvm::SmallBitVector tokens(2);
  for (int64_t dim : positions)
    tokens |= tiled.inputs[dim];
  auto isHead = [&](int64_t dim) {
    return !tiled.inputs[dim].anyCommon(tokens);
  };
  SmallVector<int64_t> heads, rows;
  for (int64_t dim : tiled.dims)
    (isHead(dim) ? heads : rows).push_back(dim);
  // Those with positions innermost: they are many.
  llvm::sort(rows, [&](int64_t a, int64_t b) {
    return std::pair(llvm::is_contained(positions, a), a) <
           std::pair(llvm::is_contained(positions, b), b);
  });
  sizes.assign(tiled.inputs.size() - 1, 0);
  auto type = cast<RankedTensorType>(apply.getX().getType());
  auto add = [&](ArrayRef<int64_t> dims, int64_t lastTile) {
    for (int64_t dim : dims) {
      int64_t tile = dim == dims.back() ? std::max<int64_t>(lastTile, 1) : 1;
      int64_t size = type.getDimSize(dim);
      if (!ShapedType::isDynamic(size) && size <= tile)
        continue;
      order.push_back(dim);
      sizes[dim] = tile;
    }
  };
  int64_t tileHeads = options.tileHeads;
  if (tileHeads <= 0)
    tileHeads =
        ShapedType::isDynamic(type.getShape().back())
            ? 1
            : kTileChannels / std::max<int64_t>(type.getShape().back(), 1);
  add(heads, tileHeads);
  add(rows, options.tileTokens);
}

/// Lets a rotation whose result is put into a larger tensor, such as a cache,
/// write there.
static void rotateIntoPlace(RewriterBase &rewriter, ApplyOp apply) {
  tensor::InsertSliceOp write = findDirectWrite(apply);
  if (!write)
    return;
  // There everything is known that the place depends on.
  resolveDims(rewriter, apply);
  if (!apply->hasOneUse())
    return;
  rewriter.moveOpBefore(apply, write);
  rewriter.setInsertionPoint(apply);
  Value place = tensor::ExtractSliceOp::create(
      rewriter, apply.getLoc(), write.getSourceType(), write.getDest(),
      write.getMixedOffsets(), write.getMixedSizes(), write.getMixedStrides());
  rewriter.modifyOpInPlace(apply, [&] { apply.getInitMutable().set(place); });
}

LogicalResult rope::fuseProjection(RewriterBase &rewriter, ApplyOp apply,
                                   const FuseProjectionOptions &options,
                                   const FusionControlFn &control) {
  auto leave = [&](const Twine &reason) {
    reportLeft(apply, kName, reason);
    return failure();
  };
  Projection projection;
  if (std::optional<std::string> reason = findProjection(apply, projection))
    return leave(*reason);
  auto getCandidate = [&] {
    return FusionCandidate{apply, projection.contractions.front(),
                           getStaticBytes(apply.getX())};
  };
  if (control)
    if (std::optional<std::string> reason = control(getCandidate()))
      return leave(*reason);
  if (std::optional<std::string> reason =
          dropReshapes(rewriter, apply, projection))
    return leave(*reason);

  rotateIntoPlace(rewriter, apply);
  TiledDims tiled = findTiledDims(apply, projection);
  if (tiled.dims.empty())
    return leave("its rows are not made one by one");
  SmallVector<int64_t> order, sizes;
  planLoops(apply, tiled, options, order, sizes);
  if (order.empty())
    return leave("it is one tile already");

  // What operations start from is made in the tile too.
  llvm::SetVector<Operation *> producers = projection.ops;
  for (Operation *op : projection.ops) {
    auto init = cast<linalg::LinalgOp>(op)
                    .getDpsInits()
                    .front()
                    .getDefiningOp<linalg::LinalgOp>();
    if (init && isStart(init) && getSingleUse(init->getResult(0)) &&
        init->getBlock() == op->getBlock())
      producers.insert(init);
  }
  // What a rotation writes to is not read: it need not be what it rotates.
  Value destination = apply.getInit();
  if (producers.contains(destination.getDefiningOp())) {
    rewriter.setInsertionPoint(apply);
    Value empty = tensor::EmptyOp::create(
        rewriter, apply.getLoc(),
        tensor::getMixedSizes(rewriter, apply.getLoc(), destination),
        getElementTypeOrSelf(destination));
    rewriter.modifyOpInPlace(apply, [&] { apply.getInitMutable().set(empty); });
  }
  FailureOr<Tiles> tiles =
      tileAndFuse(rewriter, apply, order, sizes, producers);
  if (failed(tiles))
    return leave("what makes it does not tile along");
  reportFused(getCandidate(), kName);
  Operation *loop = tiles->loop;
  replaceByTiles(rewriter, apply, producers, *tiles);
  // Tiles that several operations read were made for each.
  DominanceInfo dominance(loop);
  eliminateCommonSubExpressions(rewriter, dominance, loop);
  SmallVector<Operation *> ops;
  loop->walk([&](DestinationStyleOpInterface op) { ops.push_back(op); });
  writeToOwnTiles(rewriter, ops);
  // Each tile is written to a place of its own.
  auto tileLoop = dyn_cast<scf::ForOp>(loop);
  for (size_t i = 0; i < order.size() && tileLoop; ++i) {
    tileLoop->setAttr(RopeDialect::getTasksAttrName(), rewriter.getUnitAttr());
    tileLoop = dyn_cast<scf::ForOp>(tileLoop.getBody()->front());
  }
  return success();
}

namespace {
struct FuseProjection : rope::impl::FuseProjectionBase<FuseProjection> {
  using FuseProjectionBase::FuseProjectionBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    FuseProjectionBase::getDependentDialects(registry);
    linalg::registerTilingInterfaceExternalModels(registry);
  }

  void runOnOperation() override {
    SmallVector<ApplyOp> applies;
    getOperation()->walk([&](ApplyOp apply) { applies.push_back(apply); });
    FuseProjectionOptions options{tileTokens, tileHeads};
    IRRewriter rewriter(&getContext());
    for (ApplyOp apply : applies)
      (void)fuseProjection(rewriter, apply, options);
  }
};
} // namespace

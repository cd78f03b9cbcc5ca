//===- FuseMatmul.cpp - rotate tiles of a contraction's operands ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operand that is rotated inside a loop over the rows of the other operand
// would be rotated once for each of its tiles. So the loops here are those of
// the rotated operand alone: outside, the ones that both operands follow, where
// the one that is kept whole is rotated, and inside them those of the rows of
// the other one.
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/TilingInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/Support/CheckedArithmetic.h"

namespace mlir::rope {
#define GEN_PASS_DEF_FUSEMATMUL
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static constexpr llvm::StringLiteral kName = "rope-fuse-matmul";

namespace {
/// A rotation, and the way of its result to an input of a contraction.
struct RotatedOperand {
  ApplyOp apply;
  /// From the rotation on, one use after the other; the last is the
  /// contraction's.
  SmallVector<OpOperand *> uses;
  /// The loop of the contraction that each dimension of the result follows, -1
  /// where there is none.
  SmallVector<int64_t> loops;
  /// Those of them that are parallel and of more than one round.
  llvm::SetVector<int64_t> tiled;

  /// The numbers of the uses' operands, from the contraction on.
  SmallVector<unsigned> getPath() const {
    return llvm::map_to_vector(llvm::reverse(uses), [](OpOperand *use) {
      return use->getOperandNumber();
    });
  }

  linalg::LinalgOp getContraction() const {
    return cast<linalg::LinalgOp>(uses.back()->getOwner());
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// From a rotation to the contraction
//===----------------------------------------------------------------------===//

/// Whether there may be a way through `op`.
static bool isPassed(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp ? linalgOp.getNumReductionLoops() == 0
                  : isa<tensor::CollapseShapeOp, tensor::CastOp>(op);
}

/// The way to the contraction, or the reason why there is none.
static std::optional<std::string> follow(RotatedOperand &operand) {
  ApplyOp apply = operand.apply;
  if (apply.getResults().empty())
    return "it is on memrefs";
  Value value = apply.getResult(0);
  while (true) {
    if (value.use_empty())
      return "its result is not used";
    OpOperand *single = getSingleUse(value);
    if (!single)
      return "its result has several uses";
    OpOperand &use = *single;
    Operation *user = use.getOwner();
    operand.uses.push_back(&use);
    if (user->getBlock() != apply->getBlock())
      return "its result is used in another block, perhaps many times";
    auto op = dyn_cast<linalg::LinalgOp>(user);
    if (op && linalg::isaContractionOpInterface(op)) {
      if (!op.isDpsInput(&use))
        return "its result is the destination of the contraction";
      return std::nullopt;
    }
    if (!isPassed(user) || (op && !isTileByTile(op, use)))
      return ("its result goes to " + user->getName().getStringRef() +
              ", which is no contraction")
          .str();
    value = user->getResult(0);
  }
}

/// The rotations that inputs of `contraction` come from.
static SmallVector<RotatedOperand>
findRotatedOperands(linalg::LinalgOp contraction) {
  SmallVector<RotatedOperand> operands;
  SmallVector<Value> values(contraction.getDpsInputs());
  for (size_t i = 0; i < values.size(); ++i) {
    Operation *def = values[i].getDefiningOp();
    if (auto apply = dyn_cast_if_present<ApplyOp>(def)) {
      RotatedOperand operand{apply, {}, {}, {}};
      if (!follow(operand) && operand.getContraction() == contraction)
        operands.push_back(std::move(operand));
    } else if (def && def->getBlock() == contraction->getBlock() &&
               isPassed(def)) {
      llvm::append_range(values, def->getOperands());
    }
  }
  // In the order of the contraction's operands.
  llvm::sort(operands, [](const RotatedOperand &a, const RotatedOperand &b) {
    unsigned operand = a.uses.back()->getOperandNumber();
    unsigned other = b.uses.back()->getOperandNumber();
    return operand != other ? operand < other
                            : a.apply->isBeforeInBlock(b.apply);
  });
  return operands;
}

/// Folds casts and collapsed dimensions between rotations and the contraction
/// into the contraction, which is another operation afterwards.
static void foldReshapes(RewriterBase &rewriter,
                         ArrayRef<RotatedOperand> operands) {
  llvm::SetVector<Operation *> ops;
  for (const RotatedOperand &operand : operands)
    for (OpOperand *use : operand.uses)
      ops.insert(use->getOwner());
  if (llvm::all_of(ops, llvm::IsaPred<linalg::LinalgOp>))
    return;
  MLIRContext *context = rewriter.getContext();
  RewritePatternSet patterns(context);
  linalg::populateFoldReshapeOpsByExpansionPatterns(
      patterns, [](OpOperand *operand) {
        return isa<linalg::LinalgOp>(operand->getOwner());
      });
  context->getLoadedDialect<tensor::TensorDialect>()
      ->getCanonicalizationPatterns(patterns);
  linalg::FillOp::getCanonicalizationPatterns(patterns, context);
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
  tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
  GreedyRewriteConfig config;
  config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
  config.setListener(
      dyn_cast_if_present<RewriterBase::Listener>(rewriter.getListener()));
  (void)applyOpPatternsGreedily(ops.takeVector(), std::move(patterns), config);
  // What is folded may stand there still for the sizes of its result.
  SmallVector<Operation *> behind;
  for (const RotatedOperand &operand : operands)
    behind.push_back(operand.apply);
  for (size_t i = 0; i < behind.size(); ++i)
    for (Operation *user : behind[i]->getUsers())
      if (isPassed(user) && !llvm::is_contained(behind, user))
        behind.push_back(user);
  for (Operation *op : llvm::reverse(behind)) {
    resolveDims(rewriter, op);
    if (op->use_empty() && !isa<ApplyOp>(op))
      rewriter.eraseOp(op);
  }
}

/// Finds the loops of the contraction that the rotation follows, or the reason
/// why it does not fuse.
static std::optional<std::string> findLoops(RotatedOperand &operand) {
  linalg::LinalgOp contraction = operand.getContraction();
  operand.loops =
      getOperandLoops(contraction.getMatchingIndexingMap(operand.uses.back()));
  for (OpOperand *use : llvm::reverse(ArrayRef(operand.uses).drop_back())) {
    auto op = dyn_cast<linalg::LinalgOp>(use->getOwner());
    if (!op)
      return ("the " + use->getOwner()->getName().getStringRef() +
              " behind it does not fold into the contraction")
          .str();
    SmallVector<int64_t> outer(op.getNumLoops());
    for (auto [loop, outerLoop] : llvm::zip_equal(
             getOperandLoops(op.getIndexingMapsArray().back()), operand.loops))
      outer[loop] = outerLoop;
    operand.loops =
        llvm::map_to_vector(getOperandLoops(op.getMatchingIndexingMap(use)),
                            [&](int64_t loop) { return outer[loop]; });
  }
  SmallVector<utils::IteratorType> iterators =
      contraction.getIteratorTypesArray();
  SmallVector<int64_t> sizes = contraction.getStaticLoopRanges();
  if (iterators[operand.loops.back()] != utils::IteratorType::reduction)
    return "the head dimension is not contracted";
  if (llvm::is_contained(sizes, 0))
    return "the contraction is empty";
  for (Value table : {operand.apply.getCos(), operand.apply.getSin()})
    if (llvm::is_contained(cast<ShapedType>(table.getType()).getShape(), 0))
      return "nothing is rotated";
  for (int64_t loop : ArrayRef(operand.loops).drop_back())
    if (iterators[loop] == utils::IteratorType::parallel && sizes[loop] != 1)
      operand.tiled.insert(loop);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Which loops
//===----------------------------------------------------------------------===//

namespace {
/// One nest of loops around the contraction, and what is rotated in it.
struct Nest {
  SmallVector<int64_t> order, sizes;
  SmallVector<RotatedOperand *> operands;
};
} // namespace

/// How many rows of the rotated operand one tile holds.
static int64_t getTileRows(ApplyOp apply, const FuseMatmulOptions &options) {
  if (options.tileRows > 0)
    return options.tileRows;
  auto type = cast<RankedTensorType>(apply.getResult(0).getType());
  int64_t channels = type.getShape().back();
  if (ShapedType::isDynamic(channels))
    return 32;
  std::optional<int64_t> bytes = llvm::checkedMul<int64_t>(
      channels, llvm::divideCeil(type.getElementTypeBitWidth(), 8));
  if (!bytes || *bytes > options.tileBytes)
    return 1;
  return llvm::bit_floor<uint64_t>(options.tileBytes / *bytes);
}

/// Adds `loops` of the operand to the nest, the rows innermost: the position
/// dimension where there is one.
static void addLoops(Nest &nest, RotatedOperand &operand,
                     const llvm::SetVector<int64_t> &loops,
                     const FuseMatmulOptions &options) {
  nest.operands.push_back(&operand);
  SmallVector<int64_t> staticSizes =
      operand.getContraction().getStaticLoopRanges();
  std::optional<int64_t> rows;
  ArrayRef<int64_t> positions = operand.apply.getPositionDims();
  for (auto [dim, loop] : llvm::enumerate(ArrayRef(operand.loops).drop_back()))
    if (loops.contains(loop) &&
        (!rows || llvm::is_contained(positions, dim) ||
         !llvm::is_contained(positions, llvm::find(operand.loops, *rows) -
                                            operand.loops.begin())))
      rows = loop;
  for (int64_t loop : loops)
    if (loop != rows)
      nest.order.push_back(loop);
  nest.sizes.assign(staticSizes.size(), 0);
  for (int64_t loop : nest.order)
    nest.sizes[loop] = 1;
  int64_t tileRows = getTileRows(operand.apply, options);
  if (rows && (ShapedType::isDynamic(staticSizes[*rows]) ||
               staticSizes[*rows] > tileRows)) {
    nest.order.push_back(*rows);
    nest.sizes[*rows] = tileRows;
  }
}

/// How many rounds the loops take that `operand` follows and `other` does not.
/// What is known only at run time counts as more than what is known.
static uint64_t countOwnRows(const RotatedOperand &operand,
                             const RotatedOperand &other) {
  uint64_t count = 1;
  for (int64_t loop : operand.tiled) {
    if (other.tiled.contains(loop))
      continue;
    int64_t size = operand.getContraction().getStaticLoopRanges()[loop];
    // A dynamic size is the largest number when taken without its sign.
    count = llvm::SaturatingMultiply<uint64_t>(count, size);
  }
  return count;
}

/// The nests for one or two rotated operands, and the operand that is left.
static SmallVector<Nest> planNests(MutableArrayRef<RotatedOperand> operands,
                                   const FuseMatmulOptions &options,
                                   RotatedOperand *&left) {
  SmallVector<Nest> nests(1);
  RotatedOperand *first = &operands.front();
  if (operands.size() == 1) {
    // Batch dimensions outside: what the other operand has for them stays in
    // the cache.
    addLoops(nests[0], *first, first->tiled, options);
    return nests;
  }
  // The one of more rows of its own goes by tiles of them, the other one stays
  // whole between the loops that both follow.
  RotatedOperand *second = &operands.back();
  if (countOwnRows(*second, *first) > countOwnRows(*first, *second))
    std::swap(first, second);
  llvm::SetVector<int64_t> common, own;
  for (int64_t loop : first->tiled)
    (second->tiled.contains(loop) ? common : own).insert(loop);
  if (common.empty()) {
    left = second;
    addLoops(nests[0], *first, own, options);
    return nests;
  }
  nests[0].operands = {first, second};
  nests[0].order = llvm::to_vector(common);
  nests[0].sizes.assign(first->getContraction().getNumLoops(), 0);
  for (int64_t loop : common)
    nests[0].sizes[loop] = 1;
  addLoops(nests.emplace_back(), *first, own, options);
  if (nests.back().order.empty())
    nests.pop_back();
  return nests;
}

//===----------------------------------------------------------------------===//
// The loops
//===----------------------------------------------------------------------===//

/// The rotation, what its result goes through up to `contraction`, and what
/// that starts from: all that is tiled along.
static void addProducers(ArrayRef<unsigned> path, Operation *contraction,
                         llvm::SetVector<Operation *> &producers) {
  Operation *op = contraction;
  for (unsigned operand : path) {
    op = op->getOperand(operand).getDefiningOp();
    producers.insert(op);
  }
  auto fill = cast<linalg::LinalgOp>(contraction)
                  .getDpsInits()
                  .front()
                  .getDefiningOp<linalg::FillOp>();
  if (fill && fill->hasOneUse() && fill->getBlock() == contraction->getBlock())
    producers.insert(fill);
}

static FusionCandidate getCandidate(const RotatedOperand &operand) {
  return {operand.apply, operand.getContraction(),
          getStaticBytes(operand.apply->getResult(0))};
}

LogicalResult rope::fuseMatmul(RewriterBase &rewriter,
                               linalg::LinalgOp contraction,
                               const FuseMatmulOptions &options,
                               const FusionControlFn &control) {
  SmallVector<RotatedOperand> operands = findRotatedOperands(contraction);
  // Those that are left are reported at once.
  auto leaveIf = [&](auto getReason) {
    llvm::erase_if(operands, [&](RotatedOperand &operand) {
      std::optional<std::string> reason = getReason(operand);
      if (reason)
        reportLeft(operand.apply, kName, *reason);
      return reason.has_value();
    });
  };
  leaveIf([&](RotatedOperand &operand) -> std::optional<std::string> {
    if (!isa<TilingInterface>(contraction.getOperation()))
      return "the contraction cannot be tiled";
    if (control)
      return control(getCandidate(operand));
    return std::nullopt;
  });
  foldReshapes(rewriter, operands);
  llvm::SmallDenseSet<unsigned> seen;
  leaveIf([&](RotatedOperand &operand) -> std::optional<std::string> {
    operand.uses.clear();
    if (std::optional<std::string> reason = follow(operand))
      return reason;
    if (std::optional<std::string> reason = findLoops(operand))
      return reason;
    if (!seen.insert(operand.uses.back()->getOperandNumber()).second)
      return "another rotation of the same operand is folded";
    return std::nullopt;
  });
  if (operands.empty())
    return failure();

  RotatedOperand *left = nullptr;
  SmallVector<Nest> nests = planNests(operands, options, left);
  if (left)
    reportLeft(left->apply, kName,
               "it would be repeated for each tile of the other operand");
  auto leave = [&](StringRef reason) {
    for (RotatedOperand *operand : nests.front().operands)
      reportLeft(operand->apply, kName, reason);
    return failure();
  };
  if (nests.front().order.empty())
    return leave("it is one tile already");

  Operation *target = operands.front().getContraction();
  SmallVector<Operation *> tiledOps;
  // The operands of the second nest are among those of the first one.
  SmallVector<SmallVector<SmallVector<unsigned>>> paths;
  for (const Nest &nest : nests)
    paths.push_back(
        llvm::map_to_vector(nest.operands, [](const RotatedOperand *operand) {
          return operand->getPath();
        }));
  for (auto [nest, nestPaths] : llvm::zip_equal(nests, paths)) {
    llvm::SetVector<Operation *> producers;
    for (ArrayRef<unsigned> path : nestPaths)
      addProducers(path, target, producers);
    FailureOr<Tiles> tiles =
        tileAndFuse(rewriter, target, nest.order, nest.sizes, producers);
    if (failed(tiles)) {
      if (tiledOps.empty())
        return leave("its tiles are not those of the contraction");
      break;
    }
    if (tiledOps.empty())
      for (RotatedOperand *operand : nest.operands)
        reportFused(getCandidate(*operand), kName);
    replaceByTiles(rewriter, target, producers, *tiles);
    llvm::erase_if(tiledOps, [&](Operation *op) {
      return op == target || producers.contains(op);
    });
    target = tiles->ops.front();
    llvm::append_range(tiledOps, tiles->ops);
  }
  writeToOwnTiles(rewriter, tiledOps);
  return success();
}

namespace {
struct FuseMatmul : rope::impl::FuseMatmulBase<FuseMatmul> {
  using FuseMatmulBase::FuseMatmulBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    FuseMatmulBase::getDependentDialects(registry);
    linalg::registerTilingInterfaceExternalModels(registry);
  }

  void runOnOperation() override {
    llvm::SetVector<Operation *> contractions;
    getOperation()->walk([&](ApplyOp apply) {
      RotatedOperand operand{apply, {}, {}, {}};
      if (std::optional<std::string> reason = follow(operand))
        reportLeft(apply, kName, *reason);
      else
        contractions.insert(operand.getContraction());
    });
    FuseMatmulOptions options{tileRows, tileBytes};
    IRRewriter rewriter(&getContext());
    for (Operation *contraction : contractions)
      (void)fuseMatmul(rewriter, cast<linalg::LinalgOp>(contraction), options);
  }
};
} // namespace

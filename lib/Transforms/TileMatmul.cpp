//===- TileMatmul.cpp - products of matrices in tasks ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/TilingInterfaceImpl.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::rope {
#define GEN_PASS_DEF_TILEMATMUL
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// A block of the result: f32 of 512 KiB, which the second cache holds beside
/// what is packed. Fewer rows share less of the packing: 128 of them reached
/// 0.9 of the speed (512 x 4096 x 6144, f32 and bf16, Zen 5); more columns gain
/// nothing.
static constexpr int64_t kRows = 512;
static constexpr int64_t kColumns = 256;

namespace {
/// The dimensions of a result, and their blocks; zero where they are whole.
struct Blocks {
  SmallVector<int64_t> sizes;
  /// Columns outside, since what is multiplied by them is larger than rows are.
  SmallVector<int64_t> order;
};
} // namespace

/// The blocks of the result of `op`, nothing where columns are not those of one
/// operand.
static std::optional<Blocks> planBlocks(linalg::LinalgOp op) {
  FailureOr<linalg::ContractionDimensions> dims =
      linalg::inferContractionDims(op);
  AffineMap map = op.getIndexingMapsArray().back();
  if (failed(dims) || !map.isProjectedPermutation() || map.getNumResults() == 0)
    return std::nullopt;
  SmallVector<int64_t> loops = getOperandLoops(map);
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  auto has = [](ArrayRef<unsigned> dims, int64_t loop) {
    return llvm::is_contained(dims, static_cast<unsigned>(loop));
  };
  ArrayRef<unsigned> columns = dims->n, rows = dims->m;
  if (has(rows, loops.back()))
    std::swap(columns, rows);
  if (!has(columns, loops.back()) || llvm::is_contained(ranges, 0))
    return std::nullopt;

  Blocks blocks;
  blocks.sizes.assign(loops.size(), 1);
  int64_t left = kColumns;
  bool isRow = true;
  for (int64_t dim = loops.size(); dim-- > 0;) {
    int64_t size = ranges[loops[dim]];
    int64_t &block = blocks.sizes[dim];
    if (has(columns, loops[dim])) {
      bool isLast = dim + 1 == int64_t(loops.size());
      block = ShapedType::isDynamic(size) ? (isLast ? left : 1)
                                          : std::min(left, size);
      left /= block;
    } else if (has(rows, loops[dim]) && isRow && size != 1) {
      block = kRows;
      isRow = false;
    }
    if (!ShapedType::isDynamic(size) && size <= block)
      block = 0;
  }
  auto add = [&](auto isTaken) {
    for (auto [dim, loop] : llvm::enumerate(loops))
      if (blocks.sizes[dim] && isTaken(loop))
        blocks.order.push_back(dim);
  };
  add([&](int64_t loop) { return !has(columns, loop) && !has(rows, loop); });
  add([&](int64_t loop) { return has(columns, loop); });
  add([&](int64_t loop) { return has(rows, loop); });
  return blocks;
}

/// The operation that makes something of each element of `value`, and of
/// nothing else that is made there, if that is all that `value` is for.
static linalg::LinalgOp findElementwise(Value value) {
  OpOperand *use = getSingleUse(value);
  auto op =
      use ? dyn_cast<linalg::LinalgOp>(use->getOwner()) : linalg::LinalgOp();
  if (!op || op->getBlock() != value.getParentBlock() ||
      !isTileByTile(op, *use) ||
      !op.getMatchingIndexingMap(use).isPermutation())
    return {};
  return llvm::all_of(op->getOpOperands(),
                      [&](OpOperand &operand) {
                        return op.getMatchingIndexingMap(&operand)
                            .isProjectedPermutation();
                      })
             ? op
             : linalg::LinalgOp();
}

LogicalResult rope::tileMatmul(RewriterBase &rewriter, linalg::LinalgOp op) {
  auto isParallel = [](Operation *parent) {
    return isa_and_present<scf::ForallOp, scf::ParallelOp>(parent);
  };
  for (Operation *parent = op->getParentOp(); parent;
       parent = parent->getParentOp())
    if (isParallel(parent))
      return rewriter.notifyMatchFailure(op, "is in a parallel loop");
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      !isa<TilingInterface>(op.getOperation()) ||
      !isa<FloatType>(getElementTypeOrSelf(op->getResult(0))))
    return rewriter.notifyMatchFailure(op, "is no contraction of floats");
  std::optional<Blocks> blocks = planBlocks(op);
  if (!blocks)
    return rewriter.notifyMatchFailure(op, "has no rows and columns");
  if (blocks->order.empty())
    return rewriter.notifyMatchFailure(op, "is a single block");

  llvm::SetVector<Operation *> producers;
  Operation *consumer = op;
  // The loop of the consumer that each dimension of the result is.
  SmallVector<int64_t> loops =
      getOperandLoops(op.getIndexingMapsArray().back());
  SmallVector<int64_t> sizes = blocks->sizes, order = blocks->order;
  while (linalg::LinalgOp next = findElementwise(consumer->getResult(0))) {
    OpOperand *use = getSingleUse(consumer->getResult(0));
    producers.insert(consumer);
    consumer = next;
    // From dimensions of what it reads to those of what it makes.
    SmallVector<int64_t> read =
        getOperandLoops(next.getMatchingIndexingMap(use));
    loops = getOperandLoops(next.getIndexingMapsArray().back());
    SmallVector<int64_t> dims =
        llvm::map_to_vector(read, [&](int64_t loop) -> int64_t {
          return llvm::find(loops, loop) - loops.begin();
        });
    SmallVector<int64_t> moved(sizes.size());
    for (auto [dim, size] : llvm::zip_equal(dims, sizes))
      moved[dim] = size;
    sizes = std::move(moved);
    for (int64_t &dim : order)
      dim = dims[dim];
  }
  // What it starts from.
  if (Operation *fill =
          op.getDpsInits().front().getDefiningOp<linalg::FillOp>();
      fill && fill->getBlock() == op->getBlock() &&
      getSingleUse(fill->getResult(0)))
    producers.insert(fill);

  SmallVector<int64_t> loopSizes(cast<linalg::LinalgOp>(consumer).getNumLoops(),
                                 0);
  for (auto [loop, size] : llvm::zip_equal(loops, sizes))
    loopSizes[loop] = size;
  for (int64_t &dim : order)
    dim = loops[dim];
  FailureOr<Tiles> tiles = tileAndFuse(rewriter, consumer, order, loopSizes,
                                       producers, /*isParallel=*/true);
  if (failed(tiles))
    return rewriter.notifyMatchFailure(op, "does not tile");
  Operation *loop = tiles->loop;
  replaceByTiles(rewriter, consumer, producers, *tiles);
  SmallVector<Operation *> ops;
  loop->walk([&](DestinationStyleOpInterface inner) { ops.push_back(inner); });
  writeToOwnTiles(rewriter, ops);
  return success();
}

namespace {
struct TileMatmul : rope::impl::TileMatmulBase<TileMatmul> {
  void getDependentDialects(DialectRegistry &registry) const override {
    TileMatmulBase::getDependentDialects(registry);
    linalg::registerTilingInterfaceExternalModels(registry);
  }

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (linalg::isaContractionOpInterface(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops)
      (void)tileMatmul(rewriter, op);
  }
};
} // namespace

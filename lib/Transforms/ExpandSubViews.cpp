//===- ExpandSubViews.cpp - views whose dropped dimensions are unclear ----===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// memref.subview does not say which of its dimensions of size one the result
// drops. Upstream, where there are more of them than are dropped, tells them
// apart by their strides, and where these are unknown takes the first, even
// where the sizes that are left are in another order than in the result. The
// size of another dimension is then folded to, or a view of another shape is
// built.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_EXPANDSUBVIEWS
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// The dimensions of `whole` that `reduced` has, in order: its first unit
/// dimensions, as which of them makes no difference. Nothing where `reduced`
/// has others.
static std::optional<SmallVector<int64_t>> findKept(ArrayRef<int64_t> whole,
                                                    ArrayRef<int64_t> reduced) {
  SmallVector<int64_t> kept;
  for (auto [dim, size] : llvm::enumerate(whole)) {
    if (kept.size() < reduced.size() && reduced[kept.size()] == size)
      kept.push_back(dim);
    else if (size != 1)
      return std::nullopt;
  }
  if (kept.size() != reduced.size())
    return std::nullopt;
  return kept;
}

namespace {
/// Pattern: a subview whose result has not the sizes that upstream takes to be
/// left -> all of its dimensions, then those of the result.
struct ExpandSubView : OpRewritePattern<memref::SubViewOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::SubViewOp op,
                                PatternRewriter &rewriter) const override {
    MemRefType type = op.getType();
    SmallVector<int64_t> sizes(op.getStaticSizes());
    llvm::SmallBitVector dropped = op.getDroppedDims();
    SmallVector<int64_t> taken;
    for (auto [dim, size] : llvm::enumerate(sizes))
      if (!dropped.test(dim))
        taken.push_back(size);
    if (llvm::equal(taken, type.getShape()))
      return rewriter.notifyMatchFailure(op, "its dimensions are clear");
    std::optional<SmallVector<int64_t>> kept = findKept(sizes, type.getShape());
    if (!kept)
      return rewriter.notifyMatchFailure(op, "its sizes are not those it says");

    Location loc = op.getLoc();
    Value whole = memref::SubViewOp::create(
        rewriter, loc, op.getSource(), op.getMixedOffsets(), op.getMixedSizes(),
        op.getMixedStrides());
    auto metadata =
        memref::ExtractStridedMetadataOp::create(rewriter, loc, whole);
    SmallVector<OpFoldResult> allStrides = metadata.getConstifiedMixedStrides();
    SmallVector<OpFoldResult> keptSizes, strides;
    auto [known, offset] = type.getStridesAndOffset();
    for (auto [dim, stride] : llvm::zip(*kept, known)) {
      keptSizes.push_back(op.getMixedSizes()[dim]);
      // That of another unit dimension does as well.
      strides.push_back(ShapedType::isDynamic(stride)
                            ? allStrides[dim]
                            : rewriter.getIndexAttr(stride));
    }
    OpFoldResult start = metadata.getConstifiedMixedOffset();
    if (!ShapedType::isDynamic(offset))
      start = rewriter.getIndexAttr(offset);
    auto view = memref::ReinterpretCastOp::create(
        rewriter, loc, metadata.getBaseBuffer(), start, keptSizes, strides);
    Value result = view;
    if (view.getType() != type)
      result = memref::CastOp::create(rewriter, loc, type, view);
    rewriter.replaceOp(op, result);
    return success();
  }
};

struct ExpandSubViews : rope::impl::ExpandSubViewsBase<ExpandSubViews> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandSubViewsPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

void rope::populateExpandSubViewsPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandSubView>(patterns.getContext());
}

//===- RopeToLinalg.cpp - rope.table and rope.apply to linalg -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Conversion/Passes.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_CONVERTROPETOLINALG
#include "Rope/Conversion/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
/// Replaces an operation by what it decomposes to.
template <typename OpTy>
struct Decompose : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> results = op.decomposeOperation(rewriter);
    if (failed(results))
      return rewriter.notifyMatchFailure(op, "does not decompose");
    rewriter.replaceOp(op, *results);
    return success();
  }
};

struct ConvertRopeToLinalg
    : rope::impl::ConvertRopeToLinalgBase<ConvertRopeToLinalg> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRopeToLinalgPatterns(patterns);
    FrozenRewritePatternSet frozen(std::move(patterns));
    WalkResult attention = getOperation()->walk(
        [](AttentionOp) { return WalkResult::interrupt(); });
    walkAndApplyPatterns(getOperation(), frozen);
    // Attention becomes other operations of this dialect first.
    if (attention.wasInterrupted())
      walkAndApplyPatterns(getOperation(), frozen);
  }
};
} // namespace

void rope::populateRopeToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<Decompose<ApplyOp>, Decompose<TableOp>, Decompose<AttentionOp>,
               Decompose<OnlineAttentionOp>>(patterns.getContext());
}

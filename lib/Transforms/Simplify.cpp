//===- Simplify.cpp - rewrite rotations by their algebra ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_SIMPLIFY
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
struct Simplify : rope::impl::SimplifyBase<Simplify> {
  using SimplifyBase::SimplifyBase;

  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet owned(context);
    populateSimplifyPatterns(owned);
    // Sizes of a tensor that is rotated otherwise are no use of it.
    memref::populateResolveRankedShapedTypeResultDimsPatterns(owned);
    // Movements that meet behind rotations.
    linalg::TransposeOp::getCanonicalizationPatterns(owned, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(owned, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(owned, context);
    tensor::DimOp::getCanonicalizationPatterns(owned, context);
    tensor::CastOp::getCanonicalizationPatterns(owned, context);
    patterns = std::move(owned);
    return success();
  }

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    // Equal frequencies and tables are one value before others are asked.
    if (shareTables)
      rope::shareTables(rewriter, getOperation());
    if (failed(applyPatternsGreedily(getOperation(), patterns)))
      return signalPassFailure();
    dropCommonShifts(rewriter, getOperation());
    if (permuteWeights)
      rope::permuteWeights(rewriter, getOperation());
    if (shareTables)
      rope::shareTables(rewriter, getOperation());
  }

  FrozenRewritePatternSet patterns;
};
} // namespace

//===- Lower.cpp - nano to rope, and to code ------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Nano.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace {
struct LowerRotate : OpRewritePattern<nano::RotateOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(nano::RotateOp op,
                                PatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    auto type = cast<RankedTensorType>(op.getType());
    if (type.isDynamicDim(2) || type.getDimSize(2) % 2)
      return rewriter.notifyMatchFailure(op, "has no pairs of channels");
    int64_t n = type.getDimSize(2) / 2;
    auto frequencies = RankedTensorType::get({n}, b.getF64Type());
    Value w = rope::FrequenciesOp::create(b, frequencies, op.getBaseAttr(),
                                          /*dimension=*/nullptr,
                                          /*values=*/nullptr);
    if (auto scaling = op.getScalingAttr())
      w = rope::ScaleFrequenciesOp::create(b, frequencies, w, scaling,
                                           /*length=*/nullptr);
    OpFoldResult size = tensor::getMixedSize(b, op.getLoc(), op.getX(), 0);
    auto empty = [&] {
      return tensor::EmptyOp::create(
          b, ArrayRef<OpFoldResult>{size, b.getIndexAttr(n)}, b.getF32Type());
    };
    Value cos = empty(), sin = empty();
    auto table = rope::TableOp::create(b, op.getPositions(), w, cos, sin,
                                       /*magnitude=*/llvm::APFloat(1.0),
                                       /*axes=*/nullptr);
    Value init = tensor::EmptyOp::create(
        b, tensor::getMixedSizes(b, op.getLoc(), op.getX()), b.getF32Type());
    rewriter.replaceOpWithNewOp<rope::ApplyOp>(
        op, op.getX(), table.getResult(0), table.getResult(1), init,
        rope::Pairing::half, /*position_dims=*/ArrayRef<int64_t>{0},
        /*offset=*/0, /*pair_stride=*/nullptr, /*result_pairing=*/nullptr);
    return success();
  }
};

struct LowerStore : OpRewritePattern<nano::StoreOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(nano::StoreOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<OpFoldResult> offsets(3, rewriter.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(3, rewriter.getIndexAttr(1));
    offsets[0] = op.getPlace();
    auto insert = rewriter.replaceOpWithNewOp<tensor::InsertSliceOp>(
        op, op.getX(), op.getCache(), offsets,
        tensor::getMixedSizes(rewriter, op.getLoc(), op.getX()), strides);
    if (op.getWhole())
      insert->setAttr("nano.whole", rewriter.getUnitAttr());
    return success();
  }
};

/// Turns nano operations into rope and tensor operations, and rotates rows into
/// their place in the cache.
struct Lower : PassWrapper<Lower, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Lower)

  StringRef getArgument() const override { return "nano-lower"; }

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<rope::RopeDialect, affine::AffineDialect, scf::SCFDialect,
                    tensor::TensorDialect>();
  }

  void runOnOperation() override {
    RewritePatternSet lower(&getContext());
    lower.add<LowerRotate, LowerStore>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(lower))))
      return signalPassFailure();
    RewritePatternSet fuse(&getContext());
    rope::populateFuseCacheAppendPatterns(
        fuse,
        [](const rope::FusionCandidate &candidate)
            -> std::optional<std::string> {
          if (candidate.target->hasAttr("nano.whole"))
            return "nano.store wants it whole";
          return std::nullopt;
        });
    if (failed(applyPatternsGreedily(getOperation(), std::move(fuse))))
      signalPassFailure();
  }
};
} // namespace

void nano::registerPasses() {
  PassRegistration<Lower>();
  PassPipelineRegistration<rope::RopeToLLVMPipelineOptions>(
      "nano-to-llvm", "Lower nano operations to the llvm dialect",
      [](OpPassManager &pm, const rope::RopeToLLVMPipelineOptions &options) {
        pm.addPass(std::make_unique<Lower>());
        rope::buildRopeToLLVMPipeline(pm, options);
      });
}

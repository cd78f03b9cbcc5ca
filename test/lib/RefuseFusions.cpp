//===- RefuseFusions.cpp - fusions that a callback decides about ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// Offers all rotations to the fusions; those with the attribute `refuse` are
/// refused.
struct RefuseFusions : PassWrapper<RefuseFusions, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RefuseFusions)

  StringRef getArgument() const override { return "rope-test-refuse-fusions"; }

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<affine::AffineDialect, arith::ArithDialect,
                    bufferization::BufferizationDialect, linalg::LinalgDialect,
                    scf::SCFDialect, tensor::TensorDialect>();
  }

  void runOnOperation() override {
    FusionControlFn control =
        [](const FusionCandidate &candidate) -> std::optional<std::string> {
      if (!candidate.rotation->hasAttr("refuse"))
        return std::nullopt;
      std::string reason = "refused for ";
      reason += candidate.target->getName().getStringRef();
      if (candidate.bytesSaved)
        reason += ", " + std::to_string(*candidate.bytesSaved) + " bytes";
      return reason;
    };
    SmallVector<ApplyOp> applies;
    SmallVector<linalg::LinalgOp> contractions;
    getOperation()->walk([&](Operation *op) {
      if (auto apply = dyn_cast<ApplyOp>(op))
        applies.push_back(apply);
      else if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
               linalgOp && linalg::isaContractionOpInterface(linalgOp))
        contractions.push_back(linalgOp);
    });
    IRRewriter rewriter(&getContext());
    for (ApplyOp apply : applies)
      if (Operation *def = apply.getX().getDefiningOp();
          def && isa<linalg::LinalgOp>(def))
        (void)fuseProjection(rewriter, apply, {}, control);
    for (linalg::LinalgOp contraction : contractions)
      if (llvm::any_of(contraction.getDpsInputs(), [](Value value) {
            return value.getDefiningOp<ApplyOp>();
          }))
        (void)fuseMatmul(rewriter, contraction, {}, control);
  }
};
} // namespace

void registerRefuseFusions() { PassRegistration<RefuseFusions>(); }

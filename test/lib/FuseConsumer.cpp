//===- FuseConsumer.cpp - fuse what reads a loop's result into it ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream offers it as a function; only its own tests have it as a transform.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

/// Registers the pass of RefuseFusions.cpp.
void registerRefuseFusions();

namespace {
/// Fuses each use of an scf.forall into it, and says where it could not.
struct FuseConsumer : PassWrapper<FuseConsumer, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FuseConsumer)

  StringRef getArgument() const override { return "rope-test-fuse-consumer"; }

  void runOnOperation() override {
    SmallVector<scf::ForallOp> loops;
    getOperation()->walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    IRRewriter rewriter(&getContext());
    for (scf::ForallOp loop : loops) {
      SmallVector<LoopLikeOpInterface> nest = {loop};
      Operation *consumer = *loop->getUsers().begin();
      if (failed(scf::tileAndFuseConsumer(rewriter, consumer, nest)))
        consumer->emitRemark("is not fused");
    }
  }
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "rope-test", "0", [] {
            PassRegistration<FuseConsumer>();
            registerRefuseFusions();
          }};
}

//===- SetTarget.cpp - say which machine a module is for ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "Rope/Transforms/TargetInfo.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir::rope {
#define GEN_PASS_DEF_SETTARGET
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
struct SetTarget : rope::impl::SetTargetBase<SetTarget> {
  using SetTargetBase::SetTargetBase;

  void runOnOperation() override {
    llvm::Expected<TargetInfo> target =
        resolveTarget(targetTriple, targetCPU, targetFeatures);
    if (!target) {
      getOperation()->emitError(llvm::toString(target.takeError()));
      return signalPassFailure();
    }
    MLIRContext *context = &getContext();
    getOperation()->setAttr(LLVM::LLVMDialect::getTargetTripleAttrName(),
                            StringAttr::get(context, target->triple));
    for (auto func : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      if (func.isExternal())
        continue;
      func.setTargetCpu(target->cpu);
      if (!target->features.empty())
        func.setTargetFeaturesAttr(
            LLVM::TargetFeaturesAttr::get(context, target->features));
    }
  }
};
} // namespace

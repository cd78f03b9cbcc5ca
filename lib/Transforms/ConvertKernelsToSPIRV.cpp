//===- ConvertKernelsToSPIRV.cpp - kernels to the spirv dialect -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's pass puts the result beside the module of kernels, where what
// serializes it does not look, and has no functions of math.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Conversion/ArithToSPIRV/ArithToSPIRV.h"
#include "mlir/Conversion/FuncToSPIRV/FuncToSPIRV.h"
#include "mlir/Conversion/GPUToSPIRV/GPUToSPIRV.h"
#include "mlir/Conversion/MathToSPIRV/MathToSPIRV.h"
#include "mlir/Conversion/MemRefToSPIRV/MemRefToSPIRV.h"
#include "mlir/Conversion/SCFToSPIRV/SCFToSPIRV.h"
#include "mlir/Conversion/VectorToSPIRV/VectorToSPIRV.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVDialect.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVOps.h"
#include "mlir/Dialect/SPIRV/IR/TargetAndABI.h"
#include "mlir/Dialect/SPIRV/Transforms/SPIRVConversion.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace mlir::rope {
#define GEN_PASS_DEF_CONVERTKERNELSTOSPIRV
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// Upstream's pattern leaves the results of loops without iterations undefined.
static void defineResults(gpu::GPUModuleOp kernels) {
  kernels.walk([](scf::ForOp loop) {
    std::optional<int64_t> from = getConstantIntValue(loop.getLowerBound());
    std::optional<int64_t> to = getConstantIntValue(loop.getUpperBound());
    if (loop.getNumResults() == 0 || (from && to && *from < *to))
      return;
    OpBuilder builder(loop.getContext());
    builder.setInsertionPointAfter(loop);
    auto predicate = loop.getUnsignedCmp() ? arith::CmpIPredicate::ult
                                           : arith::CmpIPredicate::slt;
    Value iterates =
        arith::CmpIOp::create(builder, loop.getLoc(), predicate,
                              loop.getLowerBound(), loop.getUpperBound());
    for (auto [result, init] :
         llvm::zip_equal(loop.getResults(), loop.getInitArgs())) {
      auto select = arith::SelectOp::create(builder, loop.getLoc(), iterates,
                                            result, init);
      result.replaceAllUsesExcept(select, select);
    }
  });
}

/// Converts `kernels` and what is in it to a spirv.module.
static LogicalResult convert(gpu::GPUModuleOp kernels,
                             spirv::TargetEnvAttr target) {
  bool isKernel =
      llvm::is_contained(target.getCapabilities(), spirv::Capability::Kernel);
  SPIRVConversionOptions options;
  options.use64bitIndex = isKernel;
  SPIRVTypeConverter converter(target, options);
  ScfToSPIRVContext scfContext;
  RewritePatternSet patterns(kernels.getContext());
  populateGPUToSPIRVPatterns(converter, patterns);
  populateSCFToSPIRVPatterns(converter, scfContext, patterns);
  arith::populateArithToSPIRVPatterns(converter, patterns);
  populateMathToSPIRVPatterns(converter, patterns);
  populateMemRefToSPIRVPatterns(converter, patterns);
  populateFuncToSPIRVPatterns(converter, patterns);
  populateVectorToSPIRVPatterns(converter, patterns);
  std::unique_ptr<ConversionTarget> conversion =
      SPIRVConversionTarget::get(target);
  return applyFullConversion(kernels, *conversion, std::move(patterns));
}

/// Tools that watch memory tell workgroup memory of OpenCL by its name, that of
/// the kernel and a dot before its own.
static void nameWorkgroupMemory(spirv::ModuleOp module) {
  SymbolTable symbols(module);
  for (auto variable :
       llvm::make_early_inc_range(module.getOps<spirv::GlobalVariableOp>())) {
    auto type = cast<spirv::PointerType>(variable.getType());
    if (type.getStorageClass() != spirv::StorageClass::Workgroup)
      continue;
    std::optional<SymbolTable::UseRange> uses =
        SymbolTable::getSymbolUses(variable, module);
    if (!uses || uses->empty())
      continue;
    auto func = uses->begin()->getUser()->getParentOfType<spirv::FuncOp>();
    if (func)
      (void)symbols.rename(variable,
                           (func.getName() + "." + variable.getName()).str());
  }
}

/// Says that what was written is computed. Drivers for Vulkan may otherwise
/// take floats for real numbers: Mesa's make x of (x + c) - c, which is how
/// functions round. Products and sums that may be fused were made one operation
/// before.
static void fixOrder(spirv::ModuleOp module) {
  auto name = StringAttr::get(module.getContext(), "no_contraction");
  auto unit = UnitAttr::get(module.getContext());
  module.walk([&](Operation *op) {
    if (isa<spirv::FAddOp, spirv::FSubOp, spirv::FMulOp, spirv::FDivOp,
            spirv::FNegateOp, spirv::FRemOp, spirv::GLFmaOp>(op))
      op->setDiscardableAttr(name, unit);
  });
}

namespace {
struct ConvertKernelsToSPIRV
    : rope::impl::ConvertKernelsToSPIRVBase<ConvertKernelsToSPIRV> {
  void runOnOperation() override {
    gpu::GPUModuleOp kernels = getOperation();
    spirv::TargetEnvAttr target;
    if (ArrayAttr targets = kernels.getTargetsAttr())
      for (Attribute attribute : targets)
        if (auto found = dyn_cast<spirv::TargetEnvAttr>(attribute))
          target = found;
    if (!target) {
      kernels.emitError("expected the target of the kernels to be a "
                        "#spirv.target_env, which -rope-specialize-kernels "
                        "attaches");
      return signalPassFailure();
    }
    OpBuilder builder(&getContext());
    builder.setInsertionPointToEnd(kernels.getBody());
    auto copy = cast<gpu::GPUModuleOp>(builder.clone(*kernels));
    defineResults(copy);
    if (failed(convert(copy, target)))
      return signalPassFailure();

    // Launches look for kernels here until they are a binary.
    for (auto func :
         llvm::make_early_inc_range(kernels.getOps<gpu::GPUFuncOp>())) {
      builder.setInsertionPoint(func);
      auto declaration =
          func::FuncOp::create(builder, func.getLoc(), func.getName(),
                               builder.getFunctionType({}, {}));
      declaration.setPrivate();
      declaration->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                           builder.getUnitAttr());
      func.erase();
    }
    bool isKernel =
        llvm::is_contained(target.getCapabilities(), spirv::Capability::Kernel);
    for (auto module : kernels.getOps<spirv::ModuleOp>()) {
      if (isKernel)
        nameWorkgroupMemory(module);
      else
        fixOrder(module);
    }
  }
};
} // namespace

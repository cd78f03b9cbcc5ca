//===- InitAll.cpp - register everything ----------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/InitAll.h"
#include "Rope/Conversion/Passes.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Target/LLVM/NVVM/Target.h"
#include "mlir/Target/LLVM/ROCDL/Target.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/SPIRV/Target.h"

using namespace mlir;

void rope::registerAllDialects(DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<RopeDialect>();
  // What compiles kernels.
  registerAllGPUToLLVMIRTranslations(registry);
  registerBufferizableOpInterfaceExternalModels(registry);
  registerRuntimeVerifiableOpInterfaceExternalModels(registry);
}

void rope::registerAllPasses() {
  mlir::registerAllPasses();
  registerRopePasses();
}

void rope::registerRopePasses() {
  // The registry of passes does not take a name twice, and a plugin may meet a
  // program that has them.
  static bool once = [] {
    registerRopeConversionPasses();
    registerRopeTransformsPasses();
    registerPipelines();
    return true;
  }();
  (void)once;
}

//===- nano-opt.cpp - run passes of a small compiler ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Nano.h"
#include "Rope/InitAll.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::rope::registerAllDialects(registry);
  registry.insert<nano::NanoDialect>();
  mlir::registerTransformsPasses();
  mlir::rope::registerRopePasses();
  nano::registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "A small compiler\n", registry));
}

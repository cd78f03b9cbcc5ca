//===- MinimalOpt.cpp - passes in a context that holds little -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Only this dialect and func are registered: a pass that builds operations of a
// dialect it does not declare crashes here.
//
//===----------------------------------------------------------------------===//

#include "Rope/Conversion/Passes.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::rope::RopeDialect, mlir::func::FuncDialect>();
  mlir::rope::registerRopeConversionPasses();
  mlir::rope::registerRopeTransformsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "minimal optimizer driver\n", registry));
}

//===- rope-run.cpp - compile a function and call it ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/RunMain.h"
#include "Rope/InitAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::rope::registerAllDialects(registry);
  return mlir::rope::runMain(argc, argv, registry);
}

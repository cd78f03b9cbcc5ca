//===- Dialect.cpp - the dialect in the C interface -----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Dialect.h"
#include "Errors.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/InitAll.h"
#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Registration.h"

using namespace mlir;

MLIR_DEFINE_CAPI_DIALECT_REGISTRATION(Rope, rope, rope::RopeDialect)

void ropeRegisterAllDialects(MlirDialectRegistry registry) {
  if (mlirDialectRegistryIsNull(registry))
    return rope::reportNull("ropeRegisterAllDialects", "registry");
  rope::registerAllDialects(*unwrap(registry));
}

void ropeRegisterAllPasses() {
  // The registry of passes does not take a name twice.
  static bool registered = [] {
    rope::registerAllPasses();
    return true;
  }();
  (void)registered;
}

//===- RopeDialect.cpp - dialect registration -----------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::rope;

#include "Rope/IR/RopeDialect.cpp.inc"
#include "Rope/IR/RopeEnums.cpp.inc"
#include "Rope/IR/RopeInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "Rope/IR/RopeAttrs.cpp.inc"

void RopeDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "Rope/IR/RopeAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "Rope/IR/RopeOps.cpp.inc"
      >();
}

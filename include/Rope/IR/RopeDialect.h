//===- RopeDialect.h - the rope dialect -------------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The dialect, its attributes and the interface that scaling rules implement.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEDIALECT_H
#define ROPE_IR_ROPEDIALECT_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

#include "Rope/IR/RopeDialect.h.inc"

#include "Rope/IR/RopeEnums.h.inc"

#include "Rope/IR/RopeInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "Rope/IR/RopeAttrs.h.inc"

#endif // ROPE_IR_ROPEDIALECT_H

//===- Nano.h - the dialect of a small compiler -----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef NANO_H
#define NANO_H

#include "Rope/IR/RopeDialect.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "NanoDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "NanoAttrs.h.inc"

#define GET_OP_CLASSES
#include "NanoOps.h.inc"

namespace nano {
/// Registers the pass `nano-lower` and the pipeline `nano-to-llvm`.
void registerPasses();
} // namespace nano

#endif // NANO_H

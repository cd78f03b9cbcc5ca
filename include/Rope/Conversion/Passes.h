//===- Passes.h - conversions out of the rope dialect -----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_CONVERSION_PASSES_H
#define ROPE_CONVERSION_PASSES_H

#include "Rope/Transforms/GPUTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::rope {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Rope/Conversion/Passes.h.inc"

/// Patterns that turn rope.table and rope.apply, on tensors or memrefs, into
/// linalg.generic. They leave the frequency operations alone.
void populateRopeToLinalgPatterns(RewritePatternSet &patterns);

/// Turns rope, linalg and copy operations on memrefs in the functions of
/// `module`, whose memref arguments are in the memory of the device, into
/// kernels of one gpu.module and launches; see -convert-rope-to-gpu. Reports
/// what cannot be converted and fails; the module is then neither the old one
/// nor valid.
LogicalResult convertRopeToGPU(ModuleOp module, const GPUTarget &target);

} // namespace mlir::rope

#endif // ROPE_CONVERSION_PASSES_H

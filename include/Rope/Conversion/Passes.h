//===- Passes.h - conversions out of the rope dialect -----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_CONVERSION_PASSES_H
#define ROPE_CONVERSION_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::rope {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Rope/Conversion/Passes.h.inc"

/// Patterns that turn rope.table and rope.apply, on tensors or memrefs, into
/// linalg.generic. They leave the frequency operations alone.
void populateRopeToLinalgPatterns(RewritePatternSet &patterns);

} // namespace mlir::rope

#endif // ROPE_CONVERSION_PASSES_H

//===- AttentionKernel.h - attention as a kernel ----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_ATTENTIONKERNEL_H
#define ROPE_LIB_CONVERSION_ATTENTIONKERNEL_H

#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/GPUTarget.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::rope {

/// Builds a kernel that computes `op`, on memrefs of device memory, on any
/// target, and its launch at the insertion point of `host`. `op` stays, for the
/// caller to erase. needsTables(op) must not hold. Fails, with an error, where
/// numbers are of types that kernels do not have.
LogicalResult emitAttentionKernel(RewriterBase &host, AttentionOp op,
                                  gpu::GPUModuleOp kernels,
                                  const GPUTarget &target);

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_ATTENTIONKERNEL_H

//===- AttentionMmaKernel.h - attention by mma.sync -------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_ATTENTIONMMAKERNEL_H
#define ROPE_LIB_CONVERSION_ATTENTIONMMAKERNEL_H

#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/GPUTarget.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::rope {

/// Whether the matrix units of CUDA compute `op`, on memrefs: query, key and
/// value are all f16 or all bf16, channels lie side by side, and there are a
/// multiple of 16 of them, known and at most 256. Query and key are rounded to
/// their type after a rotation, weights to the type of values.
bool canUseMma(AttentionOp op, const GPUTarget &target);

/// Whether what the kernel moves 16 bytes at a time is aligned, as code of the
/// host (i1): the first elements of query, key, value, results and tables, and
/// the distances of their rows. Without it the kernel must not run.
Value buildMmaCondition(OpBuilder &host, AttentionOp op);

/// Builds a kernel that computes `op`, for which canUseMma holds and
/// needsTables (AttentionParts.h) does not, and its launch at the insertion
/// point of `host`. `op` stays, for the caller to erase.
LogicalResult emitMmaAttentionKernel(RewriterBase &host, AttentionOp op,
                                     gpu::GPUModuleOp kernels,
                                     const GPUTarget &target);

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_ATTENTIONMMAKERNEL_H

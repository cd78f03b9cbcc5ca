//===- Stages.h - parts that pipelines share --------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_PIPELINES_STAGES_H
#define ROPE_LIB_PIPELINES_STAGES_H

#include "Rope/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::rope {

/// What every target does on tensors first: tosa and complex operations to
/// linalg, tensor and arith, frequencies to numbers, and the C interface.
void addTensorStages(OpPassManager &pm);

/// Tensors to memrefs: rope operations stay themselves, and nothing that is
/// rotated is allocated or copied.
void addBufferization(OpPassManager &pm);

/// What is left on memrefs to code for a processor, in the llvm dialect. With
/// `parallel`, parallel loops run on several threads.
void addHostStages(OpPassManager &pm, const SetTargetOptions &target,
                   bool parallel);

/// Makes the pipelines for GPUs known to the pass registry.
void registerGPUPipelines();

} // namespace mlir::rope

#endif // ROPE_LIB_PIPELINES_STAGES_H

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
#include "mlir/Pass/PassRegistry.h"

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

/// Makes a pipeline that starts with passes on modules known to the pass
/// registry. Upstream's PassPipelineRegistration would end the program where a
/// textual pipeline puts one on functions.
template <typename Options>
void registerModulePipeline(
    StringRef name, StringRef description,
    const std::function<void(OpPassManager &, const Options &)> &build) {
  registerPassPipeline(
      name, description,
      [name, build](OpPassManager &pm, StringRef text,
                    function_ref<LogicalResult(const Twine &)> emitError) {
        if (pm.getOpName().value_or("builtin.module") != "builtin.module")
          return emitError("can't add pipeline '" + name +
                           "', which runs on 'builtin.module', to a pass "
                           "manager on '" +
                           *pm.getOpName() + "', did you intend to nest?");
        Options options;
        if (failed(options.parseFromString(text)))
          return failure();
        build(pm, options);
        return success();
      },
      [](function_ref<void(const ::mlir::detail::PassOptions &)> handle) {
        handle(Options());
      });
}

/// Makes the pipelines for GPUs known to the pass registry.
void registerGPUPipelines();

} // namespace mlir::rope

#endif // ROPE_LIB_PIPELINES_STAGES_H

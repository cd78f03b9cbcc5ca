//===- Pipelines.h - named sequences of passes ------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PIPELINES_PIPELINES_H
#define ROPE_PIPELINES_PIPELINES_H

#include "mlir/Pass/PassOptions.h"

namespace mlir::rope {

struct RopeToLLVMPipelineOptions
    : PassPipelineOptions<RopeToLLVMPipelineOptions> {
  Option<std::string> targetTriple{
      *this, "target-triple",
      llvm::cl::desc("Target triple; the host's where empty")};
  Option<std::string> targetCPU{
      *this, "target-cpu",
      llvm::cl::desc("Processor as LLVM names it, or 'host'; the triple's "
                     "baseline where empty")};
  Option<std::string> targetFeatures{
      *this, "target-features",
      llvm::cl::desc("Features to add or remove, as in '+avx2,-fma', or "
                     "'host'")};
};

/// Lowers a module of rope, linalg, tensor, memref, scf, arith, math and func
/// operations to the llvm dialect, vectorized for the target. Public functions
/// get a C interface on strided memrefs (see -rope-expose-c-interface). A
/// target that LLVM does not know is reported when the pipeline runs.
void buildRopeToLLVMPipeline(OpPassManager &pm,
                             const RopeToLLVMPipelineOptions &options);

/// Makes the pipelines known to the pass registry.
void registerPipelines();

} // namespace mlir::rope

#endif // ROPE_PIPELINES_PIPELINES_H

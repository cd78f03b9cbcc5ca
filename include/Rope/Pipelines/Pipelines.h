//===- Pipelines.h - named sequences of passes ------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PIPELINES_PIPELINES_H
#define ROPE_PIPELINES_PIPELINES_H

#include "Rope/Transforms/CostModel.h"
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

struct RopeOptimizePipelineOptions
    : PassPipelineOptions<RopeOptimizePipelineOptions> {
  Option<KeyRotation> keyRotation{
      *this, "key-rotation", llvm::cl::desc("Where keys are rotated"),
      llvm::cl::init(KeyRotation::automatic),
      llvm::cl::values(
          clEnumValN(KeyRotation::automatic, "auto",
                     "where the cost model says"),
          clEnumValN(KeyRotation::once, "once", "before attention"),
          clEnumValN(KeyRotation::load, "load", "as attention loads them"))};
  Option<int64_t> l2Bytes{
      *this, "l2-bytes",
      llvm::cl::desc("Size of the second cache; the module's target "
                     "description where 0"),
      llvm::cl::init(0)};
  Option<int64_t> vectorBits{
      *this, "vector-bits",
      llvm::cl::desc("Width of a vector register; the module's target "
                     "description where 0"),
      llvm::cl::init(0)};
  Option<int64_t> threads{
      *this, "threads",
      llvm::cl::desc("Number of threads; the module's target description "
                     "where 0"),
      llvm::cl::init(0)};
};

/// Folds rotations into what surrounds them, on tensors. The order is
///
/// 1. canonicalize and cse, so that equal tables are one and constants known;
/// 2. rope-fuse-attention, which leaves the rotations of keys that are cheaper
///    rotated once;
/// 3. rope-fuse-cache-append and rope-fuse-projection, which take those, the
///    cache first as it saves a copy as well;
/// 4. rope-fuse-matmul, for products that are no attention;
/// 5. canonicalize and cse.
void buildRopeOptimizePipeline(OpPassManager &pm,
                               const RopeOptimizePipelineOptions &options);

/// Makes the pipelines known to the pass registry.
void registerPipelines();

} // namespace mlir::rope

#endif // ROPE_PIPELINES_PIPELINES_H

//===- Pipelines.h - named sequences of passes ------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PIPELINES_PIPELINES_H
#define ROPE_PIPELINES_PIPELINES_H

#include "Rope/Transforms/CostModel.h"
#include "Rope/Transforms/GPUTarget.h"
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
  Option<bool> singleThreaded{
      *this, "single-threaded",
      llvm::cl::desc("Run loops on the calling thread alone: nothing of the "
                     "runtime is needed then"),
      llvm::cl::init(false)};
  Option<int64_t> streamingBytes{
      *this, "streaming-bytes",
      llvm::cl::desc("Rotations that read and write so many bytes write past "
                     "the caches; the processor's own number where negative"),
      llvm::cl::init(-1)};
};

/// Lowers a module of rope, linalg, tensor, memref, scf, arith, math, complex,
/// tosa and func operations to the llvm dialect, vectorized for the target.
/// Public functions get a C interface on strided memrefs (see
/// -rope-expose-c-interface). A target that LLVM does not know is reported when
/// the pipeline runs.
void buildRopeToLLVMPipeline(OpPassManager &pm,
                             const RopeToLLVMPipelineOptions &options);

struct RopeOptimizePipelineOptions
    : PassPipelineOptions<RopeOptimizePipelineOptions> {
  Option<bool> exact{
      *this, "exact",
      llvm::cl::desc("Make exact tables of those that are found, from a base "
                     "where the frequencies have one"),
      llvm::cl::init(false)};
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

/// Finds rotations and folds them into what surrounds them, on tensors. The
/// order is
///
/// 1. rope-raise, before anything else takes the graph apart;
/// 2. canonicalize and cse, so that equal tables are one and constants known;
/// 3. rope-simplify, which leaves fewer rotations and tables;
/// 4. rope-fuse-attention, which leaves the rotations of keys that are cheaper
///    rotated once;
/// 5. rope-fuse-cache-append and rope-fuse-projection, which take those, the
///    cache first as it saves a copy as well;
/// 6. rope-fuse-matmul, for products that are no attention;
/// 7. canonicalize and cse.
void buildRopeOptimizePipeline(OpPassManager &pm,
                               const RopeOptimizePipelineOptions &options);

struct RopeToGPUPipelineOptions
    : PassPipelineOptions<RopeToGPUPipelineOptions> {
  Option<std::string> chip{
      *this, "chip",
      llvm::cl::desc("Chip as LLVM names it; sm_80, gfx942 or vulkan1.1 where "
                     "empty")};
  Option<std::string> format{
      *this, "format",
      llvm::cl::desc("Form of the kernels: isa (PTX, assembly), bin (cubin, "
                     "code object) or fatbin; SPIR-V has one form. Where "
                     "empty, what the driver takes: bin for ROCm, else isa; "
                     "isa with kernels-only")};
  Option<std::string> toolkit{
      *this, "toolkit",
      llvm::cl::desc("Folder of the CUDA or ROCm toolkit, for bin and fatbin")};
  Option<unsigned> optLevel{
      *this, "opt-level",
      llvm::cl::desc("Level of LLVM's optimization of kernels, 0 to 3"),
      llvm::cl::init(3)};
  Option<bool> fromLaunches{
      *this, "from-launches",
      llvm::cl::desc("Start with memrefs, launches and kernels, such as "
                     "kernels written by hand"),
      llvm::cl::init(false)};
  Option<bool> kernelsOnly{
      *this, "kernels-only",
      llvm::cl::desc("Stop when kernels are compiled, with launches as they "
                     "are"),
      llvm::cl::init(false)};
  Option<bool> openCL{
      *this, "opencl",
      llvm::cl::desc("Make the SPIR-V of OpenCL, with kernels-only"),
      llvm::cl::init(false)};
  Option<std::string> targetTriple{
      *this, "target-triple",
      llvm::cl::desc("Target triple of the host's code; this machine's where "
                     "empty")};
  Option<std::string> targetCPU{
      *this, "target-cpu",
      llvm::cl::desc("Processor of the host's code as LLVM names it, or "
                     "'host'; the triple's baseline where empty")};
  Option<std::string> targetFeatures{
      *this, "target-features",
      llvm::cl::desc("Features to add or remove for the host's code")};
};

/// The options of `rope-to-gpu`.
struct RopeToKernelsPipelineOptions
    : PassPipelineOptions<RopeToKernelsPipelineOptions> {
  Option<GPUApi> api{
      *this, "api", llvm::cl::desc("How kernels reach the device"),
      llvm::cl::init(GPUApi::cuda),
      llvm::cl::values(clEnumValN(GPUApi::cuda, "cuda", "NVIDIA's driver"),
                       clEnumValN(GPUApi::rocm, "rocm", "AMD's driver"),
                       clEnumValN(GPUApi::vulkan, "vulkan", "Vulkan"))};
  Option<std::string> chip{
      *this, "chip",
      llvm::cl::desc("Chip as LLVM names it; sm_80, gfx942 or vulkan1.1 where "
                     "empty")};
};

/// Lowers a module of what buildRopeToLLVMPipeline takes to memrefs in the
/// memory of the device, launches, and a gpu.module of portable kernels.
void buildRopeToGPUPipeline(OpPassManager &pm, GPUApi api,
                            const RopeToGPUPipelineOptions &options);

/// Compiles the kernels of each gpu.module to a gpu.binary.
void buildKernelsToBinaryPipeline(OpPassManager &pm, GPUApi api,
                                  const RopeToGPUPipelineOptions &options);

/// Lowers code around a gpu.binary to the llvm dialect and calls of
/// `Rope/Runtime/GPURuntime.h`.
void buildGPUHostToLLVMPipeline(OpPassManager &pm,
                                const RopeToGPUPipelineOptions &options);

/// The three above, one after the other, the first one unless `fromLaunches`,
/// the last one unless `kernelsOnly`: rope-to-nvvm, rope-to-rocdl and
/// rope-to-spirv. A chip, format or target that
/// is not known is reported when the pipeline runs.
void buildGPUPipeline(OpPassManager &pm, GPUApi api,
                      const RopeToGPUPipelineOptions &options);

/// Makes the pipelines known to the pass registry.
void registerPipelines();

} // namespace mlir::rope

#endif // ROPE_PIPELINES_PIPELINES_H

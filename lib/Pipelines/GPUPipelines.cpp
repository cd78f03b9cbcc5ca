//===- GPUPipelines.cpp - sequences of passes for GPUs --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Conversion/Passes.h"
#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Transforms/GPUTarget.h"
#include "Stages.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVOps.h"
#include "mlir/Dialect/SPIRV/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::rope;

static SetTargetOptions getHost(const RopeToGPUPipelineOptions &options) {
  SetTargetOptions host;
  host.targetTriple = options.targetTriple;
  host.targetCPU = options.targetCPU;
  host.targetFeatures = options.targetFeatures;
  return host;
}

void rope::buildRopeToGPUPipeline(OpPassManager &pm, GPUApi api,
                                  const RopeToGPUPipelineOptions &options) {
  pm.addNestedPass<func::FuncOp>(createParallelizeLoops());
  addTensorStages(pm);
  pm.addPass(createCSEPass());
  pm.addPass(createCanonicalizerPass());
  addBufferization(pm);
  pm.addPass(createCSEPass());
  pm.addPass(createCanonicalizerPass());
  ConvertRopeToGPUOptions convert;
  convert.api = stringify(api).str();
  convert.chip = options.chip;
  pm.addPass(createConvertRopeToGPU(convert));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// Everything in kernels to LLVM's dialect of NVIDIA's GPUs.
static void addNVVM(OpPassManager &pm) {
  pm.addPass(createConvertNVGPUToNVVMPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertGpuOpsToNVVMOps());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createConvertNVVMToLLVMPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// The same of AMD's.
static void addROCDL(OpPassManager &pm, const std::string &chip) {
  ConvertAMDGPUToROCDLPassOptions amdgpu;
  amdgpu.chipset = chip;
  pm.addPass(createConvertAMDGPUToROCDLPass(amdgpu));
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  ConvertGpuOpsToROCDLOpsOptions rocdl;
  rocdl.chipset = chip;
  rocdl.runtime = gpu::amd::Runtime::HIP;
  pm.addPass(createConvertGpuOpsToROCDLOps(rocdl));
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// The same to SPIR-V. Drivers optimize less than LLVM does.
static void addSPIRV(OpPassManager &pm) {
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createConvertKernelsToSPIRV());
  OpPassManager &module = pm.nest<spirv::ModuleOp>();
  module.addPass(spirv::createSPIRVLowerABIAttributesPass());
  module.addPass(createCanonicalizerPass());
  module.addPass(createCSEPass());
  module.addPass(spirv::createSPIRVUpdateVCEPass());
}

void rope::buildKernelsToBinaryPipeline(
    OpPassManager &pm, GPUApi api, const RopeToGPUPipelineOptions &options) {
  std::string chip = options.chip;
  bool wave64 = true;
  // One that is not known is reported by the pass that specializes kernels.
  if (llvm::Expected<GPUTarget> target = resolveGPUTarget(api, chip)) {
    chip = target->chip;
    wave64 = target->subgroupSize == 64;
  } else {
    llvm::consumeError(target.takeError());
  }
  if (api == GPUApi::cuda) {
    GpuNVVMAttachTargetOptions target;
    target.chip = chip;
    target.optLevel = options.optLevel;
    pm.addPass(createGpuNVVMAttachTarget(target));
  } else if (api == GPUApi::rocm) {
    GpuROCDLAttachTargetOptions target;
    target.chip = chip;
    target.optLevel = options.optLevel;
    target.wave64Flag = wave64;
    // Code object version 5, which older drivers load as well.
    target.abiVersion = "500";
    pm.addPass(createGpuROCDLAttachTarget(target));
  }

  // Launches verify before this nest and after it, not within.
  OpPassManager &kernels = pm.nest<gpu::GPUModuleOp>();
  kernels.addPass(createApproximateMath());
  if (api == GPUApi::vulkan) {
    // Its memory has no bf16: see KernelBuffer.
    kernels.addPass(createExpandBF16());
    // Nothing is fused later.
    kernels.addPass(math::createMathUpliftToFMA());
  }
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  SpecializeKernelsOptions specialize;
  specialize.api = stringify(api).str();
  specialize.chip = chip;
  specialize.openCL = options.openCL;
  kernels.addPass(createSpecializeKernels(specialize));
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  if (api == GPUApi::cuda)
    addNVVM(kernels);
  else if (api == GPUApi::rocm)
    addROCDL(kernels, chip);
  else
    addSPIRV(kernels);

  SerializeKernelsOptions serialize;
  bool isLinked = api == GPUApi::rocm && !options.kernelsOnly;
  serialize.format = !options.format.empty() ? options.format.getValue()
                     : isLinked              ? "bin"
                                             : "isa";
  serialize.toolkit = options.toolkit;
  pm.addPass(createSerializeKernels(serialize));
}

void rope::buildGPUHostToLLVMPipeline(OpPassManager &pm,
                                      const RopeToGPUPipelineOptions &options) {
  pm.addPass(createLowerLaunches());
  // The stream belongs to the calling thread.
  addHostStages(pm, getHost(options), /*parallel=*/false);
}

void rope::buildGPUPipeline(OpPassManager &pm, GPUApi api,
                            const RopeToGPUPipelineOptions &options) {
  pm.addPass(createSetTarget(getHost(options)));
  if (!options.fromLaunches)
    buildRopeToGPUPipeline(pm, api, options);
  buildKernelsToBinaryPipeline(pm, api, options);
  if (!options.kernelsOnly)
    buildGPUHostToLLVMPipeline(pm, options);
}

void rope::registerGPUPipelines() {
  registerModulePipeline<RopeToKernelsPipelineOptions>(
      "rope-to-gpu",
      "Lower rope operations to kernels of one form for all GPUs, and launches",
      [](OpPassManager &pm, const RopeToKernelsPipelineOptions &options) {
        RopeToGPUPipelineOptions all;
        all.chip = options.chip;
        buildRopeToGPUPipeline(pm, options.api, all);
      });
  auto add = [](GPUApi api, StringRef name, StringRef description) {
    registerModulePipeline<RopeToGPUPipelineOptions>(
        name, description,
        [api](OpPassManager &pm, const RopeToGPUPipelineOptions &options) {
          buildGPUPipeline(pm, api, options);
        });
  };
  add(GPUApi::cuda, "rope-to-nvvm",
      "Lower rope operations to kernels for NVIDIA's GPUs and the llvm "
      "dialect");
  add(GPUApi::rocm, "rope-to-rocdl",
      "Lower rope operations to kernels for AMD's GPUs and the llvm dialect");
  add(GPUApi::vulkan, "rope-to-spirv",
      "Lower rope operations to kernels for Vulkan and the llvm dialect");
}

//===- Passes.cpp - passes and pipelines in the C interface ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Passes.h"
#include "Checks.h"
#include "Rope/Conversion/Passes.h"
#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/CAPI/Pass.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace mlir::rope;

#include "Rope/Conversion/Passes.capi.cpp.inc"
#include "Rope/Transforms/Passes.capi.cpp.inc"

/// Whether a pipeline for modules can be added; an error otherwise.
static bool takesModules(const char *function, MlirOpPassManager handle) {
  if (!handle.ptr) {
    reportNull(function, "passManager");
    return false;
  }
  StringRef anchor = unwrap(handle)->getOpAnchorName();
  if (anchor == OpPassManager::getAnyOpAnchorName() ||
      anchor == ModuleOp::getOperationName())
    return true;
  reportArgument(function, "a manager of passes on builtin.module",
                 "one on " + anchor);
  return false;
}

static bool inRange(const char *function, const char *option, int64_t value,
                    int64_t low, int64_t high = INT64_MAX) {
  if (value >= low && value <= high)
    return true;
  reportArgument(function,
                 "'" + Twine(option) + "' to be " +
                     (high == INT64_MAX
                          ? "at least " + Twine(low)
                          : "from " + Twine(low) + " to " + Twine(high)),
                 Twine(value));
  return false;
}

static std::string toString(MlirStringRef text) {
  return text.data ? unwrap(text).str() : std::string();
}

//===----------------------------------------------------------------------===//
// Processors
//===----------------------------------------------------------------------===//

RopeOptimizeOptions ropeOptimizeOptionsGetDefault() {
  RopeOptimizePipelineOptions defaults;
  return {defaults.exact, RopeKeyRotation(defaults.keyRotation.getValue()),
          defaults.l2Bytes, defaults.vectorBits, defaults.threads};
}

MlirLogicalResult ropeAddOptimizePipeline(MlirOpPassManager passManager,
                                          const RopeOptimizeOptions *options) {
  RopeOptimizeOptions o = options ? *options : ropeOptimizeOptionsGetDefault();
  if (!takesModules(__func__, passManager) ||
      !inRange(__func__, "keyRotation", o.keyRotation, ROPE_KEY_ROTATION_AUTO,
               ROPE_KEY_ROTATION_LOAD) ||
      !inRange(__func__, "l2Bytes", o.l2Bytes, 0) ||
      !inRange(__func__, "vectorBits", o.vectorBits, 0) ||
      !inRange(__func__, "threads", o.threads, 0))
    return mlirLogicalResultFailure();
  RopeOptimizePipelineOptions pipeline;
  pipeline.exact = o.exact;
  pipeline.keyRotation = KeyRotation(o.keyRotation);
  pipeline.l2Bytes = o.l2Bytes;
  pipeline.vectorBits = o.vectorBits;
  pipeline.threads = o.threads;
  buildRopeOptimizePipeline(*unwrap(passManager), pipeline);
  return mlirLogicalResultSuccess();
}

RopeToLLVMOptions ropeToLLVMOptionsGetDefault() {
  RopeToLLVMPipelineOptions defaults;
  RopeToLLVMOptions options = {};
  options.singleThreaded = defaults.singleThreaded;
  options.streamingBytes = defaults.streamingBytes;
  return options;
}

MlirLogicalResult ropeAddToLLVMPipeline(MlirOpPassManager passManager,
                                        const RopeToLLVMOptions *options) {
  RopeToLLVMOptions o = options ? *options : ropeToLLVMOptionsGetDefault();
  if (!takesModules(__func__, passManager))
    return mlirLogicalResultFailure();
  RopeToLLVMPipelineOptions pipeline;
  pipeline.targetTriple = toString(o.targetTriple);
  pipeline.targetCPU = toString(o.targetCPU);
  pipeline.targetFeatures = toString(o.targetFeatures);
  pipeline.singleThreaded = o.singleThreaded;
  pipeline.streamingBytes = o.streamingBytes;
  buildRopeToLLVMPipeline(*unwrap(passManager), pipeline);
  return mlirLogicalResultSuccess();
}

//===----------------------------------------------------------------------===//
// GPUs
//===----------------------------------------------------------------------===//

RopeToGPUOptions ropeToGPUOptionsGetDefault() {
  RopeToGPUPipelineOptions defaults;
  RopeToGPUOptions options = {};
  options.optLevel = int32_t(defaults.optLevel);
  options.fromLaunches = defaults.fromLaunches;
  options.kernelsOnly = defaults.kernelsOnly;
  options.openCL = defaults.openCL;
  return options;
}

static MlirLogicalResult addGPUPipeline(const char *function, GPUApi api,
                                        MlirOpPassManager passManager,
                                        const RopeToGPUOptions *options) {
  RopeToGPUOptions o = options ? *options : ropeToGPUOptionsGetDefault();
  if (!takesModules(function, passManager) ||
      !inRange(function, "optLevel", o.optLevel, 0, 3))
    return mlirLogicalResultFailure();
  RopeToGPUPipelineOptions pipeline;
  pipeline.chip = toString(o.chip);
  pipeline.format = toString(o.format);
  pipeline.toolkit = toString(o.toolkit);
  pipeline.optLevel = unsigned(o.optLevel);
  pipeline.fromLaunches = o.fromLaunches;
  pipeline.kernelsOnly = o.kernelsOnly;
  pipeline.openCL = o.openCL;
  pipeline.targetTriple = toString(o.targetTriple);
  pipeline.targetCPU = toString(o.targetCPU);
  pipeline.targetFeatures = toString(o.targetFeatures);
  buildGPUPipeline(*unwrap(passManager), api, pipeline);
  return mlirLogicalResultSuccess();
}

MlirLogicalResult ropeAddToNVVMPipeline(MlirOpPassManager passManager,
                                        const RopeToGPUOptions *options) {
  return addGPUPipeline(__func__, GPUApi::cuda, passManager, options);
}

MlirLogicalResult ropeAddToROCDLPipeline(MlirOpPassManager passManager,
                                         const RopeToGPUOptions *options) {
  return addGPUPipeline(__func__, GPUApi::rocm, passManager, options);
}

MlirLogicalResult ropeAddToSPIRVPipeline(MlirOpPassManager passManager,
                                         const RopeToGPUOptions *options) {
  return addGPUPipeline(__func__, GPUApi::vulkan, passManager, options);
}

MlirLogicalResult ropeAddToGPUPipeline(MlirOpPassManager passManager,
                                       RopeGPUApi api,
                                       const RopeToGPUOptions *options) {
  if (!takesModules(__func__, passManager) ||
      !inRange(__func__, "api", api, ROPE_GPU_CUDA, ROPE_GPU_VULKAN))
    return mlirLogicalResultFailure();
  RopeToGPUPipelineOptions pipeline;
  if (options)
    pipeline.chip = toString(options->chip);
  buildRopeToGPUPipeline(*unwrap(passManager), GPUApi(api), pipeline);
  return mlirLogicalResultSuccess();
}

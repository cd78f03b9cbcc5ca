/*===- rope-c/Passes.h - passes and pipelines --------------------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|* Pipelines with their options, and below, by the included files, a function *|
|* for each pass with options by default, such as                             *|
|* `mlirCreateRopeTransformsRaise()`. What each does, and other options of    *|
|* passes as text for `mlirParsePassPipeline`, stands in the reference.       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_PASSES_H
#define ROPE_C_PASSES_H

#include "mlir-c/Pass.h"

/* Each brackets itself with extern "C". */
#include "Rope/Conversion/Passes.capi.h.inc"
#include "Rope/Transforms/Passes.capi.h.inc"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A function `ropeAdd...Pipeline` adds to the manager of passes on a module, or
 * on any operation and run on a module. A null structure of options stands for
 * those by default. It fails, adding nothing, after an error
 * (`ropeSetErrorCallback`) where the manager is null or one of other
 * operations, or where an option is out of range. What a target does not know,
 * such as a processor, is a diagnostic when the pipeline runs.
 */

/** Where keys are rotated. */
typedef enum RopeKeyRotation {
  ROPE_KEY_ROTATION_AUTO = 0, /**< where the cost model says */
  ROPE_KEY_ROTATION_ONCE = 1, /**< before attention */
  ROPE_KEY_ROTATION_LOAD = 2  /**< as attention loads them */
} RopeKeyRotation;

typedef struct RopeOptimizeOptions {
  /** Make exact tables of those that are found, from a base where the
   * frequencies have one. */
  bool exact;
  RopeKeyRotation keyRotation;
  /** Bytes of the second cache, bits of a vector register, and threads, 0 or
   * more; the module's target description where 0. */
  int64_t l2Bytes;
  int64_t vectorBits;
  int64_t threads;
} RopeOptimizeOptions;

MLIR_CAPI_EXPORTED RopeOptimizeOptions ropeOptimizeOptionsGetDefault(void);

/** `rope-optimize`: finds rotations and folds them into what is around them. */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeAddOptimizePipeline(
    MlirOpPassManager passManager, const RopeOptimizeOptions *options);

typedef struct RopeToLLVMOptions {
  /** This machine's where empty. */
  MlirStringRef targetTriple;
  /** A processor as LLVM names it, or `host`; the triple's baseline where
   * empty. */
  MlirStringRef targetCPU;
  /** Features to add or remove, as in `+avx2,-fma`, or `host`. */
  MlirStringRef targetFeatures;
  /** Run loops on the calling thread alone: nothing of the runtime is needed
   * then. */
  bool singleThreaded;
  /** Bytes that rotations read and write from which on they write past the
   * caches; the processor's own number where negative. */
  int64_t streamingBytes;
} RopeToLLVMOptions;

MLIR_CAPI_EXPORTED RopeToLLVMOptions ropeToLLVMOptionsGetDefault(void);

/** `rope-to-llvm`: lowers a module to the llvm dialect, for a processor. */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeAddToLLVMPipeline(
    MlirOpPassManager passManager, const RopeToLLVMOptions *options);

typedef struct RopeToGPUOptions {
  /** As LLVM names it; sm_80, gfx942 or vulkan1.1 where empty. */
  MlirStringRef chip;
  /** `isa`, `bin` or `fatbin`; what the driver takes where empty. */
  MlirStringRef format;
  /** Folder of the CUDA or ROCm toolkit, for `bin` and `fatbin`. */
  MlirStringRef toolkit;
  /** Of LLVM's optimization of kernels, 0 to 3. */
  int32_t optLevel;
  /** Start with memrefs, launches and kernels. */
  bool fromLaunches;
  /** Stop when kernels are compiled, with launches as they are. */
  bool kernelsOnly;
  /** Make the SPIR-V of OpenCL, with `kernelsOnly`. */
  bool openCL;
  /** Of the host's code, as in `RopeToLLVMOptions`. */
  MlirStringRef targetTriple;
  MlirStringRef targetCPU;
  MlirStringRef targetFeatures;
} RopeToGPUOptions;

MLIR_CAPI_EXPORTED RopeToGPUOptions ropeToGPUOptionsGetDefault(void);

/** `rope-to-nvvm`: kernels for NVIDIA's GPUs, and the llvm dialect. */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeAddToNVVMPipeline(
    MlirOpPassManager passManager, const RopeToGPUOptions *options);

/** `rope-to-rocdl`: kernels for AMD's GPUs, and the llvm dialect. */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeAddToROCDLPipeline(
    MlirOpPassManager passManager, const RopeToGPUOptions *options);

/** `rope-to-spirv`: kernels for Vulkan, and the llvm dialect. */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeAddToSPIRVPipeline(
    MlirOpPassManager passManager, const RopeToGPUOptions *options);

/** How kernels reach the device. */
typedef enum RopeGPUApi {
  ROPE_GPU_CUDA = 0,
  ROPE_GPU_ROCM = 1,
  ROPE_GPU_VULKAN = 2
} RopeGPUApi;

/**
 * `rope-to-gpu`: launches and kernels of one form for all GPUs. Of the options
 * it reads `chip`.
 */
MLIR_CAPI_EXPORTED MlirLogicalResult
ropeAddToGPUPipeline(MlirOpPassManager passManager, RopeGPUApi api,
                     const RopeToGPUOptions *options);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_PASSES_H */

//===- Pipelines.cpp - named sequences of passes --------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Conversion/Passes.h"
#include "Rope/Transforms/Passes.h"
#include "Rope/Transforms/TargetInfo.h"
#include "Stages.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Tosa/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::rope;

void rope::addBufferization(OpPassManager &pm) {
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.allowReturnAllocsFromLoops = true;
  options.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(options));
  // What a loop needs for itself is made once, on the stack if it is small.
  pm.addNestedPass<func::FuncOp>(bufferization::createBufferHoistingPass());
  pm.addNestedPass<func::FuncOp>(bufferization::createBufferLoopHoistingPass());
  bufferization::PromoteBuffersToStackPassOptions promotion;
  promotion.maxAllocSizeInBytes = 16384;
  pm.addNestedPass<func::FuncOp>(
      bufferization::createPromoteBuffersToStackPass(promotion));
  bufferization::buildBufferDeallocationPipeline(pm);
  pm.addPass(createConvertBufferizationToMemRefPass());
}

/// Everything that is left to the llvm dialect.
static void addConversionToLLVM(OpPassManager &pm) {
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  // Functions that LLVM has no operation for, such as erf, are libm's.
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createConvertToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

/// Dialects of exporters that are not bufferized, or not lowered at the end.
static void addExportedDialects(OpPassManager &pm) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createTosaToSCFPass());
  function.addPass(tosa::createTosaMakeBroadcastablePass());
  function.addPass(tosa::createTosaToLinalgNamed());
  function.addPass(tosa::createTosaToLinalg());
  function.addPass(createTosaToArithPass());
  function.addPass(createTosaToTensorPass());
  // Bodies on numbers vectorize.
  function.addPass(createConvertComplexToStandardPass());
}

void rope::addTensorStages(OpPassManager &pm) {
  addExportedDialects(pm);
  pm.addNestedPass<func::FuncOp>(createLowerFrequencies());
  pm.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  // Equal tables become one first, then those of a single use move to it.
  pm.addPass(createCSEPass());
  pm.addPass(createExposeCInterface());
}

void rope::addHostStages(OpPassManager &pm, const SetTargetOptions &target,
                         bool parallel) {
  VectorizeOptions vectorize;
  TileAttentionOptions tile;
  PackMatmulOptions pack;
  bool hasFMA = false;
  // A target that is not known is reported by the pass that sets it.
  if (llvm::Expected<TargetInfo> info = resolveTarget(
          target.targetTriple, target.targetCPU, target.targetFeatures)) {
    vectorize.vectorBits = tile.vectorBits = info->vectorBits;
    pack.vectorBits = info->vectorBits;
    vectorize.registers = pack.registers = info->vectorRegisters;
    vectorize.avx512BF16 = info->avx512BF16;
    vectorize.bf16Dot = pack.bf16Dot = info->fastBF16Dot;
    tile.pairProduct = info->amxBF16       ? PairProduct::amx
                       : info->fastBF16Dot ? PairProduct::dot
                                           : PairProduct::none;
    hasFMA = info->hasFMA;
  } else {
    llvm::consumeError(info.takeError());
  }
  // Products of attention are packed by its own tiles.
  pm.addNestedPass<func::FuncOp>(createPackMatmul(pack));
  pm.addNestedPass<func::FuncOp>(createTileAttention(tile));
  // Those of tiles, and of tensors that were inserted.
  pm.addNestedPass<func::FuncOp>(createExpandSubViews());
  // Bodies are rewritten while they are scalar, before vectors make many of one
  // operation; those of named operations must not be.
  pm.addNestedPass<func::FuncOp>(createConvertRopeToLinalg());
  pm.addNestedPass<func::FuncOp>(createLinalgGeneralizeNamedOpsPass());
  pm.addNestedPass<func::FuncOp>(createApproximateMath());
  pm.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass());
  pm.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass());
  vectorize.loops = true;
  pm.addNestedPass<func::FuncOp>(createVectorize(vectorize));
  // Which product of two a sum takes in is decided here: LLVM's choice depends
  // on the code around, so that a rotation in a fusion and one alone would
  // differ.
  if (hasFMA)
    pm.addNestedPass<func::FuncOp>(math::createMathUpliftToFMA());
  // Conversions of whole rows are those of vectors.
  pm.addNestedPass<func::FuncOp>(createExpandBF16());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());

  if (parallel)
    pm.addPass(createOutlineParallelLoops());
  addConversionToLLVM(pm);
  pm.addPass(createSetTarget(target));
}

void rope::buildRopeToLLVMPipeline(OpPassManager &pm,
                                   const RopeToLLVMPipelineOptions &options) {
  SetTargetOptions target;
  target.targetTriple = options.targetTriple;
  target.targetCPU = options.targetCPU;
  target.targetFeatures = options.targetFeatures;
  pm.addPass(createSetTarget(target));

  addTensorStages(pm);
  ParallelizeLoopsOptions tasks;
  tasks.tasks = true;
  pm.addNestedPass<func::FuncOp>(createParallelizeLoops(tasks));
  pm.addNestedPass<func::FuncOp>(createTileMatmul());
  pm.addNestedPass<func::FuncOp>(createTileApply());
  pm.addPass(createCSEPass());
  pm.addPass(createCanonicalizerPass());
  addBufferization(pm);
  StreamApplyOptions stream;
  stream.minBytes = options.streamingBytes;
  if (options.streamingBytes < 0) {
    // A target that is not known is reported by the pass that sets it.
    if (llvm::Expected<TargetInfo> info = resolveTarget(
            target.targetTriple, target.targetCPU, target.targetFeatures))
      stream.minBytes = info->streamingBytes;
    else
      llvm::consumeError(info.takeError());
  }
  pm.addNestedPass<func::FuncOp>(createStreamApply(stream));
  addHostStages(pm, target, /*parallel=*/!options.singleThreaded);
}

void rope::buildRopeOptimizePipeline(
    OpPassManager &pm, const RopeOptimizePipelineOptions &options) {
  FuseAttentionOptions attention;
  attention.keyRotation = options.keyRotation;
  attention.l2Bytes = options.l2Bytes;
  attention.vectorBits = options.vectorBits;
  attention.threads = options.threads;
  // Before anything else takes the graph apart.
  RaiseOptions raise;
  raise.exact = options.exact;
  pm.addNestedPass<func::FuncOp>(createRaise(raise));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createSimplify());
  pm.addNestedPass<func::FuncOp>(createFuseAttention(attention));
  pm.addNestedPass<func::FuncOp>(createFuseCacheAppend());
  pm.addNestedPass<func::FuncOp>(createFuseProjection());
  pm.addNestedPass<func::FuncOp>(createFuseMatmul());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void rope::registerPipelines() {
  PassPipelineRegistration<RopeOptimizePipelineOptions>(
      "rope-optimize",
      "Find rotations and fold them into the operations around them",
      buildRopeOptimizePipeline);
  registerModulePipeline<RopeToLLVMPipelineOptions>(
      "rope-to-llvm",
      "Lower rope operations, and what stands around them, to the llvm dialect",
      buildRopeToLLVMPipeline);
  registerGPUPipelines();
}

//===- Target.h - from lowered modules to machine code ----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_TARGET_H
#define ROPE_TARGET_TARGET_H

#include "Rope/Transforms/GPUTarget.h"
#include "Rope/Transforms/TargetInfo.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace mlir::rope {

/// The triple in the module's `llvm.target_triple` attribute, empty where there
/// is none: of a module that was lowered for a target before.
StringRef getModuleTriple(ModuleOp module);

/// Fails where no CPU code can be made for `target`: its pointers must have 64
/// bits, and LLVM's code generator must not be a GPU's or an interpreter's.
llvm::Error checkIsCPU(const TargetInfo &target);

/// Fails where this machine cannot run code made for `target`, naming the first
/// feature that is missing.
llvm::Error checkRunsOnHost(const TargetInfo &target);

/// LLVM's code generator for a target that `resolveTarget` returned. `optLevel`
/// is 0 to 3. Code is position independent.
std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const TargetInfo &target, unsigned optLevel);

/// Parses a file of IR, text or bytecode, `-` for standard input. Reports
/// errors as diagnostics and returns null.
OwningOpRef<ModuleOp> loadModule(StringRef path, MLIRContext *context);

/// Finds rotations in a module and folds them into what surrounds them, with
/// the pipeline `rope-optimize`; leaves one alone that was lowered to the
/// `llvm` dialect. Reports errors as diagnostics.
LogicalResult foldRotations(ModuleOp module);

/// Lowers a module of any level to the `llvm` dialect for a target with the
/// pipeline `rope-to-llvm`; leaves one alone that is there already. Code that
/// is `singleThreaded` does not call the runtime (`Rope/Runtime/Runtime.h`).
/// Reports errors as diagnostics.
LogicalResult lowerToLLVM(ModuleOp module, const TargetInfo &target,
                          bool singleThreaded = false);

/// The attribute of a lowered module whose functions work on a GPU: the API's
/// name.
inline constexpr llvm::StringLiteral gpuApiAttrName = "rope.gpu_api";

/// The API of the GPU that a lowered module's functions work on, none where
/// they work on the processor.
std::optional<GPUApi> getGPUApi(ModuleOp module);

/// Compiles the kernels of a module of any level for a device to one
/// `gpu.binary`: `format` is isa, bin or fatbin. Reports errors as diagnostics.
LogicalResult lowerToKernels(ModuleOp module, const GPUTarget &target,
                             const TargetInfo &host, StringRef format,
                             unsigned optLevel);

/// The bytes of the kernels that `lowerToKernels` made. Fails where there are
/// none.
llvm::Expected<StringRef> getKernels(ModuleOp module);

/// Lowers a module of any level to the `llvm` dialect, for a device and a host
/// that calls `Rope/Runtime/GPURuntime.h`; leaves one alone that is there
/// already. Reports errors as diagnostics.
LogicalResult lowerToLLVM(ModuleOp module, const GPUTarget &target,
                          const TargetInfo &host, unsigned optLevel);

/// Fails where a lowered module is not for `api` (none: the processor). `file`
/// says where it comes from.
llvm::Error checkIsFor(ModuleOp module, std::optional<GPUApi> api,
                       StringRef file);

/// Translates a module of the `llvm` dialect to LLVM IR for the machine.
/// Functions without a target of their own get the machine's. Reports errors as
/// diagnostics and returns null.
std::unique_ptr<llvm::Module>
translateModule(Operation *module, llvm::LLVMContext &context,
                const llvm::TargetMachine &machine);

/// Runs LLVM's optimiser at level 0 to 3.
void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine,
                    unsigned optLevel);

/// Writes assembly or an object file.
llvm::Error emitModule(llvm::Module &module, llvm::TargetMachine &machine,
                       llvm::CodeGenFileType kind, llvm::raw_pwrite_stream &os);

/// The symbol of the runtime that lowered modules call to run loops on threads
/// (`Rope/Runtime/Runtime.h`).
inline constexpr llvm::StringLiteral runtimeSymbol = "rope_parallel_for";

/// Whether a lowered module declares the runtime and does not define it.
bool usesRuntime(ModuleOp module);

/// Links an object file for `target` to a shared library with the system's
/// compiler driver or linker, and returns the library. `name` is its own name
/// (soname). The library holds the runtime with those functions, and what they
/// need, that the object uses or that `symbols` lists; none where `withRuntime`
/// is not set. Fails where there is no linker, or with what it printed, or
/// where the runtime that is here is not for `target`.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>>
linkSharedLibrary(StringRef object, StringRef name, const TargetInfo &target,
                  bool withRuntime, ArrayRef<StringRef> symbols = {});

} // namespace mlir::rope

#endif // ROPE_TARGET_TARGET_H

//===- Executable.h - functions compiled in memory --------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_EXECUTABLE_H
#define ROPE_EXECUTION_EXECUTABLE_H

#include "Rope/Execution/Array.h"
#include "Rope/Execution/FunctionCode.h"
#include "Rope/Target/Signature.h"
#include <memory>
#include <optional>

namespace mlir::rope {

/// A compiled function that is loaded into this process. Of a module whose
/// functions work on a GPU (`getGPUApi`), arguments are copied to its memory
/// before a call and results back after it. Any number of threads may call it.
class Executable {
public:
  /// Compiles `function` of a module of the `llvm` dialect (`compileFunction`)
  /// and loads it.
  static llvm::Expected<std::unique_ptr<Executable>>
  create(ModuleOp module, StringRef function, const TargetInfo &target,
         unsigned optLevel = 3);
  /// Loads code that `compileFunction` made. Fails where its declaration is not
  /// valid, or where this process lacks a symbol that it uses.
  static llvm::Expected<std::unique_ptr<Executable>>
  load(const FunctionCode &code);
  ~Executable();

  const Signature &getSignature() const { return signature; }

  /// Whether `call` can write to memory of the caller: the sizes of all results
  /// are known from those of the arguments, and the function works on the
  /// processor.
  bool hasKnownSizes() const;

  /// Checks what `call` checks of arguments.
  llvm::Error checkArguments(ArrayRef<ArrayView> arguments) const;

  /// The sizes of a result, where they are known, from arguments that were
  /// checked.
  SmallVector<int64_t> getResultSizes(ArrayRef<ArrayView> arguments,
                                      unsigned index) const;

  /// Calls the function, which `hasKnownSizes`, with results in memory of the
  /// caller. Fails, before anything is called, where the number of arrays, an
  /// element type, a rank, a size or a stride does not fit, where data is
  /// missing or not aligned to its elements, or where a result shares memory
  /// with another array or with itself.
  llvm::Error call(ArrayRef<ArrayView> arguments,
                   ArrayRef<ArrayView> results) const;

  /// Calls the function. The elements of memref arguments may change. Returns
  /// the results in new arrays. Fails where arguments do not fit, or where a
  /// result is too large; then nothing has been called.
  llvm::Expected<SmallVector<Array>>
  callAndAllocate(ArrayRef<ArrayView> arguments) const;

  /// Makes a call that many times.
  using Repeat = llvm::function_ref<llvm::Error(int64_t times)>;

  /// Makes a call as `callAndAllocate` does, and then hands `use` what makes it
  /// again with the arguments and results where they are: on a GPU without
  /// copies, but until its work is done. What a function allocates for its
  /// results is freed. `use` also gets the bytes of all arrays that the call
  /// takes and returns.
  llvm::Error repeat(
      ArrayRef<ArrayView> arguments,
      llvm::function_ref<llvm::Error(Repeat again, int64_t bytes)> use) const;

private:
  Executable() = default;

  llvm::Error link(const FunctionCode &code);

  struct Frame;
  llvm::Expected<std::unique_ptr<Frame>>
  prepare(ArrayRef<ArrayView> arguments) const;
  llvm::Error copyToDevice(Frame &frame, ArrayRef<ArrayView> arguments) const;
  llvm::Error copyFromDevice(Frame &frame, ArrayRef<ArrayView> arguments) const;
  llvm::Error invokeOnce(Frame &frame) const;
  llvm::Expected<SmallVector<Array>> copyReturned(const Frame &frame) const;
  SmallVector<char *> findOwned(const Frame &frame,
                                ArrayRef<ArrayView> arguments) const;
  llvm::Expected<SmallVector<Array>>
  takeReturned(Frame &frame, ArrayRef<ArrayView> arguments) const;

  /// Of the types in the signature, where the module's context may go.
  std::unique_ptr<MLIRContext> context;
  Signature signature;
  /// The types of arguments, then of results, in a form that is quick to check.
  struct Parameter;
  std::vector<Parameter> parameters;
  std::optional<GPUApi> api;
  struct Memory;
  std::unique_ptr<Memory> memory;
  void (*entry)(void **) = nullptr;
};

} // namespace mlir::rope

#endif // ROPE_EXECUTION_EXECUTABLE_H

//===- Executable.h - functions compiled in memory --------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_EXECUTABLE_H
#define ROPE_EXECUTION_EXECUTABLE_H

#include "Rope/Execution/Array.h"
#include "Rope/Target/Signature.h"
#include "Rope/Target/Target.h"
#include <memory>

namespace mlir {
class ExecutionEngine;
} // namespace mlir

namespace mlir::rope {

/// One function of a lowered module, compiled for this machine. Of a module
/// whose functions work on a GPU (`getGPUApi`), arguments are copied to its
/// memory before a call and results back after it.
class Executable {
public:
  /// Compiles `function` of a module of the `llvm` dialect, and what it calls.
  /// Fails where its signature is not valid (`getSignature`), where `target` is
  /// not of this machine, or where a symbol it uses is not defined.
  static llvm::Expected<std::unique_ptr<Executable>>
  create(ModuleOp module, StringRef function, const TargetInfo &target,
         unsigned optLevel = 3);
  ~Executable();

  const Signature &getSignature() const { return signature; }

  /// Calls the function. `arguments` fit its signature (`checkFits`); the
  /// elements of memref arguments may change. Returns the results in new
  /// arrays. Fails where sizes that must agree do not, or where a result is too
  /// large; then nothing has been called.
  llvm::Expected<SmallVector<Array>> call(MutableArrayRef<Array> arguments);

  /// Makes a call that many times.
  using Repeat = llvm::function_ref<llvm::Error(int64_t times)>;

  /// Makes a call as `call` does, and then hands `use` what makes it again with
  /// the arguments and results where they are: on a GPU without copies, but
  /// until its work is done. What a function allocates for its results is
  /// freed. `use` also gets the bytes of all arrays that the call takes and
  /// returns.
  llvm::Error
  repeat(MutableArrayRef<Array> arguments,
         llvm::function_ref<llvm::Error(Repeat again, int64_t bytes)> use);

private:
  Executable() = default;

  struct Frame;
  llvm::Expected<std::unique_ptr<Frame>> prepare(MutableArrayRef<Array> args);
  llvm::Error copyToDevice(Frame &frame, ArrayRef<Array> arguments);
  llvm::Error copyFromDevice(Frame &frame, MutableArrayRef<Array> arguments);
  llvm::Error invokeOnce(Frame &frame);
  llvm::Expected<SmallVector<Array>> copyReturned(const Frame &frame);
  SmallVector<char *> findOwned(const Frame &frame, ArrayRef<Array> arguments);
  llvm::Expected<SmallVector<Array>> takeReturned(Frame &frame,
                                                  ArrayRef<Array> arguments);

  Signature signature;
  std::optional<GPUApi> api;
  std::unique_ptr<ExecutionEngine> engine;
  void (*entry)(void **) = nullptr;
};

} // namespace mlir::rope

#endif // ROPE_EXECUTION_EXECUTABLE_H

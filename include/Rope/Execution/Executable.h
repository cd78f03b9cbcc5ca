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

  /// Calls the function again and again for about half a second, or `numCalls`
  /// times where that is not 0, and returns the nanoseconds of each call,
  /// sorted. On a GPU without the copies, but until its work is done. Fails as
  /// `call`.
  llvm::Expected<SmallVector<double>>
  benchmark(MutableArrayRef<Array> arguments, unsigned numCalls);

private:
  Executable() = default;

  struct Frame;
  llvm::Expected<std::unique_ptr<Frame>> prepare(MutableArrayRef<Array> args);
  llvm::Error copyToDevice(Frame &frame, ArrayRef<Array> arguments);
  llvm::Error copyFromDevice(Frame &frame, MutableArrayRef<Array> arguments);
  llvm::Error invokeOnce(Frame &frame);
  llvm::Expected<SmallVector<Array>> takeReturned(Frame &frame,
                                                  ArrayRef<Array> arguments);

  Signature signature;
  std::optional<GPUApi> api;
  std::unique_ptr<ExecutionEngine> engine;
  void (*entry)(void **) = nullptr;
};

} // namespace mlir::rope

#endif // ROPE_EXECUTION_EXECUTABLE_H

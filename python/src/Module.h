//===- Module.h - modules and operations ------------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PYTHON_MODULE_H
#define ROPE_PYTHON_MODULE_H

#include "Diagnostics.h"
#include "mlir-c/IR.h"
#include <memory>
#include <mutex>

namespace rope_python {

/// A module with its context. Threads take turns.
class ModuleState {
public:
  ModuleState();
  ~ModuleState();
  ModuleState(const ModuleState &) = delete;
  ModuleState &operator=(const ModuleState &) = delete;

  /// Calls `body` alone and without the interpreter's lock, so it may not touch
  /// objects of Python: what these run could ask for the module again.
  template <typename Body>
  auto alone(Body &&body) {
    nanobind::gil_scoped_release release;
    std::lock_guard<std::mutex> guard(mutex);
    return body();
  }

  MlirContext context;
  MlirModule module = {nullptr};
  /// Counts what has replaced the module's operations.
  uint64_t generation = 0;
  Source source;

private:
  std::mutex mutex;
};

struct Module {
  std::shared_ptr<ModuleState> state;
};

/// Parses text or bytecode. Raises an MLIRError.
Module parseModule(nanobind::handle source, const std::string &fileName);

/// Adds Module and Operation.
void addModule(nanobind::module_ &m);

} // namespace rope_python

#endif // ROPE_PYTHON_MODULE_H

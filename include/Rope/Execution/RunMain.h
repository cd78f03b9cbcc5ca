//===- RunMain.h - main function of rope-run --------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_RUNMAIN_H
#define ROPE_EXECUTION_RUNMAIN_H

#include "mlir/IR/DialectRegistry.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include <map>

namespace mlir::rope {

/// A call that `rope-run --benchmark` times.
struct BenchmarkedCall {
  std::string function;
  /// How often it is to be made; 0 leaves that to the library.
  int64_t numCalls = 0;
  /// In all arrays that it takes and returns.
  int64_t bytes = 0;
  /// What else may matter to a reader, by name.
  std::map<std::string, std::string> context;
  /// Makes the call that many times.
  llvm::function_ref<llvm::Error(int64_t times)> call;
};

/// The library that times calls, which libRope.so itself does not need.
class BenchmarkLibrary {
public:
  virtual ~BenchmarkLibrary() = default;
  /// Takes the `--benchmark_..` arguments, and fails where one is not known.
  virtual llvm::Error setFlags(llvm::ArrayRef<std::string> flags) = 0;
  /// Times the call and prints what came out.
  virtual llvm::Error run(const BenchmarkedCall &call) = 0;
};

int runMain(int argc, char **argv, DialectRegistry &registry,
            BenchmarkLibrary &benchmarks);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_RUNMAIN_H

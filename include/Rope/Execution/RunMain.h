//===- RunMain.h - main function of rope-run --------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_RUNMAIN_H
#define ROPE_EXECUTION_RUNMAIN_H

#include "mlir/IR/DialectRegistry.h"

namespace mlir::rope {

/// Implements tools like `rope-run`: compiles one function of a file of IR of
/// any level in memory and calls it. `registry` holds the dialects that may
/// occur. Returns the exit status: 0, or 1 after an `error:` line; then no
/// output file has been touched.
int runMain(int argc, char **argv, DialectRegistry &registry);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_RUNMAIN_H

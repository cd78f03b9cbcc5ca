//===- CompileMain.h - main function of rope-compile ------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_COMPILEMAIN_H
#define ROPE_TARGET_COMPILEMAIN_H

#include "mlir/IR/DialectRegistry.h"

namespace mlir::rope {

/// Implements tools like `rope-compile`: compiles a file of IR of any level to
/// LLVM IR, assembly, an object file or a shared library with a C header.
/// `registry` holds the dialects that may occur. Returns the exit status: 0, or
/// 1 after an `error:` line; then no output file has been touched.
int compileMain(int argc, char **argv, DialectRegistry &registry);

} // namespace mlir::rope

#endif // ROPE_TARGET_COMPILEMAIN_H

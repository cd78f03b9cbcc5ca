//===- ToolMain.h - what the tools' main functions share --------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_TOOLMAIN_H
#define ROPE_TARGET_TOOLMAIN_H

#include "Rope/Transforms/GPUTarget.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Error.h"
#include <optional>

namespace mlir::rope {

/// Parses the command line, makes a context and calls `run`. Of LLVM's options,
/// `--help` shows those of `category` alone, below `overview`. Returns the exit
/// status: 0, or 1 after an `error:` line, also where LLVM's code generator
/// gives up.
int toolMain(int argc, char **argv, DialectRegistry &registry,
             const char *overview, llvm::cl::OptionCategory &category,
             llvm::function_ref<llvm::Error(MLIRContext *)> run);

/// Checks the options that tools share: `target`, the kind of processor,
/// `chip`, which is for GPUs, and `optLevel`. Returns the kind of GPU, none for
/// cpu.
llvm::Expected<std::optional<GPUApi>>
checkOptions(llvm::StringRef target, llvm::StringRef chip, unsigned optLevel);

} // namespace mlir::rope

#endif // ROPE_TARGET_TOOLMAIN_H

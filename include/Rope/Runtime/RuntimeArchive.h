//===- RuntimeArchive.h - the runtime, to be linked into others -*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_RUNTIME_RUNTIMEARCHIVE_H
#define ROPE_RUNTIME_RUNTIMEARCHIVE_H

#include "llvm/ADT/StringRef.h"

namespace mlir::rope {

/// The content of librope-runtime.a, for the kind of machine that this library
/// is built for: position independent, and in need of the C library alone.
llvm::StringRef getRuntimeArchive();

} // namespace mlir::rope

#endif // ROPE_RUNTIME_RUNTIMEARCHIVE_H

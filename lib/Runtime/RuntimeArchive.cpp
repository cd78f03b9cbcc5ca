//===- RuntimeArchive.cpp - the runtime, to be linked into others ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/RuntimeArchive.h"

// The bytes of the file, which the build makes before this one.
asm(".pushsection .rodata\n"
    ".balign 16\n"
    "rope_runtime_archive_begin:\n"
    ".incbin \"" ROPE_RUNTIME_ARCHIVE "\"\n"
    "rope_runtime_archive_end:\n"
    ".popsection\n");

extern "C" const char rope_runtime_archive_begin[], rope_runtime_archive_end[];

llvm::StringRef mlir::rope::getRuntimeArchive() {
  return {rope_runtime_archive_begin,
          static_cast<size_t>(rope_runtime_archive_end -
                              rope_runtime_archive_begin)};
}

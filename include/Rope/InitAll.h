//===- InitAll.h - register everything --------------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_INITALL_H
#define ROPE_INITALL_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace mlir::rope {

/// Registers the rope dialect with its interfaces, and every upstream dialect
/// and extension that the pipelines may meet. Those that are registered already
/// stay as they are.
void registerAllDialects(DialectRegistry &registry);

/// Registers the passes and pipelines of this project, and upstream's passes.
void registerAllPasses();

/// Registers those of this project alone, for programs that register upstream's
/// by themselves. Any further call does nothing.
void registerRopePasses();

} // namespace mlir::rope

#endif // ROPE_INITALL_H

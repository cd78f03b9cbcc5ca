//===- CHeader.h - C declarations of lowered functions ----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_CHEADER_H
#define ROPE_TARGET_CHEADER_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::rope {

/// Writes a header, for C and for C++, that declares every function of a
/// lowered module with a `c_signature`: its descriptors, its C symbol and an
/// inline function of its plain name. `name` is the header's file name. Fails
/// where a signature is not valid.
llvm::Error writeCHeader(ModuleOp module, StringRef name,
                         llvm::raw_ostream &os);

} // namespace mlir::rope

#endif // ROPE_TARGET_CHEADER_H

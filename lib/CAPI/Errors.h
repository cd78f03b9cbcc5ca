//===- Errors.h - the error callback of the C interface ---------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CAPI_ERRORS_H
#define ROPE_LIB_CAPI_ERRORS_H

#include "rope-c/Support.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

namespace mlir::rope {

/// Hands a message to the calling thread's error callback.
void reportError(const llvm::Twine &message,
                 RopeErrorKind kind = ROPE_ERROR_ARGUMENT);

inline void reportError(llvm::Error error,
                        RopeErrorKind kind = ROPE_ERROR_ARGUMENT) {
  reportError(llvm::toString(std::move(error)), kind);
}

/// Reports that an argument of a function of the C interface is null.
void reportNull(const char *function, const char *argument);

} // namespace mlir::rope

#endif // ROPE_LIB_CAPI_ERRORS_H

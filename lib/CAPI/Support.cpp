//===- Support.cpp - errors and versions of the C interface ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Support.h"
#include "Errors.h"
#include "mlir/CAPI/Support.h"
#include "llvm-c/Core.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace {
struct ErrorHandler {
  RopeErrorCallback callback = nullptr;
  void *userData = nullptr;
};
} // namespace

static thread_local ErrorHandler errorHandler;

void rope::reportError(const Twine &message, RopeErrorKind kind) {
  std::string text = message.str();
  if (errorHandler.callback)
    errorHandler.callback(wrap(StringRef(text)), kind, errorHandler.userData);
  else
    llvm::errs() << "error: " << text << "\n";
}

void rope::reportNull(const char *function, const char *argument) {
  reportError(Twine(function) + ": expected " + argument + " not to be null");
}

void ropeSetErrorCallback(RopeErrorCallback callback, void *userData) {
  errorHandler = {callback, userData};
}

MlirStringRef ropeGetVersion() { return wrap(StringRef(ROPE_VERSION)); }

MlirStringRef ropeGetLLVMVersion() {
  return wrap(StringRef(LLVM_VERSION_STRING));
}

bool ropeCheckLLVMVersion() {
  unsigned major = 0, minor = 0, patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  if (major == LLVM_VERSION_MAJOR && minor == LLVM_VERSION_MINOR)
    return true;
  rope::reportError("rope-mlir " ROPE_VERSION
                    " is built for LLVM " LLVM_VERSION_STRING ", but LLVM " +
                    Twine(major) + "." + Twine(minor) + "." + Twine(patch) +
                    " is loaded");
  return false;
}

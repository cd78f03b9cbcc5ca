/*===- rope-c/Support.h - errors and versions --------------------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_SUPPORT_H
#define ROPE_C_SUPPORT_H

#include "mlir-c/Support.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an error is about. */
typedef enum RopeErrorKind {
  ROPE_ERROR_ARGUMENT, /**< what was passed: a null handle, a size, a type */
  ROPE_ERROR_NAME,  /**< a name that is not there, or none where one must be */
  ROPE_ERROR_MODULE /**< a module that cannot be compiled */
} RopeErrorKind;

/**
 * Gets the errors of this API: what was expected, what was found. `message` is
 * valid during the call.
 */
typedef void (*RopeErrorCallback)(MlirStringRef message, RopeErrorKind kind,
                                  void *userData);

/**
 * Sets what gets the errors of later calls from this thread; null goes back to
 * the default, which prints them on standard error. What is wrong with IR is
 * not reported here but as a diagnostic of its context
 * (`mlirContextAttachDiagnosticHandler`).
 */
MLIR_CAPI_EXPORTED void ropeSetErrorCallback(RopeErrorCallback callback,
                                             void *userData);

/** The version of this library, as in "0.1.0". */
MLIR_CAPI_EXPORTED MlirStringRef ropeGetVersion(void);

/** The version of LLVM and MLIR that this library was built with. */
MLIR_CAPI_EXPORTED MlirStringRef ropeGetLLVMVersion(void);

/**
 * Whether the LLVM that is loaded is one that this library works with: of the
 * same major and minor version. Otherwise an error names both, and nothing else
 * of this API may be called.
 */
MLIR_CAPI_EXPORTED bool ropeCheckLLVMVersion(void);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_SUPPORT_H */

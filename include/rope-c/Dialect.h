/*===- rope-c/Dialect.h - the dialect and its passes -------------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_DIALECT_H
#define ROPE_C_DIALECT_H

#include "mlir-c/IR.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The rope dialect alone: `mlirGetDialectHandle__rope__()`. */
MLIR_DECLARE_CAPI_DIALECT_REGISTRATION(Rope, rope);

/**
 * Registers the rope dialect with its interfaces, and every dialect and
 * extension of MLIR that the pipelines may meet. No error where `registry` is
 * null: nothing happens but a call of the error callback.
 */
MLIR_CAPI_EXPORTED void ropeRegisterAllDialects(MlirDialectRegistry registry);

/**
 * Makes the passes and pipelines of this project and of MLIR known by name, as
 * `mlirParsePassPipeline` takes them. May be called any number of times.
 */
MLIR_CAPI_EXPORTED void ropeRegisterAllPasses(void);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_DIALECT_H */

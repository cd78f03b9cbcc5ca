/*===- rope-c/Import.h - modules from text and configurations -----*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_IMPORT_H
#define ROPE_C_IMPORT_H

#include "mlir-c/IR.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Parses a module, text or bytecode. `fileName` stands in locations. `source`
 * needs no zero at its end, nor a module around its operations. The caller
 * destroys the module. Returns a null module after a diagnostic.
 */
MLIR_CAPI_EXPORTED MlirModule ropeParseModule(MlirContext context,
                                              MlirStringRef source,
                                              MlirStringRef fileName);

/**
 * Imports the text of a `config.json` as published with a model on the Hugging
 * Face hub: see `Rope/Import/HFConfig.h` for the functions that the module
 * holds. `context` knows the dialects of `ropeRegisterAllDialects`. `fileName`
 * stands in locations. `dtype` is `f32`, `bf16` or `f16`, or empty for the one
 * that the configuration names. The caller destroys the module. Returns a null
 * module after a diagnostic that names the key and what is wrong with it.
 */
MLIR_CAPI_EXPORTED MlirModule ropeImportHFConfig(MlirContext context,
                                                 MlirStringRef json,
                                                 MlirStringRef fileName,
                                                 MlirStringRef dtype);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_IMPORT_H */

//===- Import.cpp - text and configurations, from C -----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Import.h"
#include "Errors.h"
#include "Rope/Import/HFConfig.h"
#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Support.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

MlirModule ropeParseModule(MlirContext context, MlirStringRef source,
                           MlirStringRef fileName) {
  if (mlirContextIsNull(context)) {
    rope::reportNull("ropeParseModule", "context");
    return {nullptr};
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(
      llvm::MemoryBuffer::getMemBufferCopy(unwrap(source), unwrap(fileName)),
      llvm::SMLoc());
  return wrap(parseSourceFile<ModuleOp>(sources, ParserConfig(unwrap(context)))
                  .release());
}

MlirModule ropeImportHFConfig(MlirContext context, MlirStringRef json,
                              MlirStringRef fileName, MlirStringRef dtype) {
  if (mlirContextIsNull(context)) {
    rope::reportNull("ropeImportHFConfig", "context");
    return {nullptr};
  }
  rope::HFImportOptions options;
  options.dtype = unwrap(dtype).str();
  return wrap(rope::importHFConfig(unwrap(context), unwrap(json),
                                   unwrap(fileName), options)
                  .release());
}

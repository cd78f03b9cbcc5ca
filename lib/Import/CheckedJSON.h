//===- CheckedJSON.h - JSON from untrusted files ----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IMPORT_CHECKEDJSON_H
#define ROPE_LIB_IMPORT_CHECKEDJSON_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"
#include <string>

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace mlir::rope {

/// Arrays and objects may stand this deep in one another.
inline constexpr unsigned maxJSONDepth = 64;

/// Parses `text`. Refuses, with an error at the place in `fileName`: text that
/// is not UTF-8, deeper nesting than `maxJSONDepth` (the parser of LLVM calls
/// itself for each level), keys that occur twice in an object (it would take
/// the last) and whatever is not JSON. `NaN`, `Infinity` and `-Infinity`, which
/// Python writes, are read as strings.
FailureOr<llvm::json::Value>
parseCheckedJSON(MLIRContext *context, StringRef text, StringRef fileName);

/// `text` in single quotes, shortened, without control characters.
std::string quoteForMessage(StringRef text);

} // namespace mlir::rope

#endif // ROPE_LIB_IMPORT_CHECKEDJSON_H

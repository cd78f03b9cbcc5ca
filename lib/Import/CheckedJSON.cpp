//===- CheckedJSON.cpp - JSON from untrusted files ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CheckedJSON.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::rope;

std::string rope::quoteForMessage(StringRef text) {
  constexpr size_t limit = 80;
  std::string result;
  llvm::raw_string_ostream os(result);
  os << "'";
  llvm::printEscapedString(text.take_front(limit), os);
  os << (text.size() > limit ? "...'" : "'");
  return result;
}

namespace {
/// One pass over the text with a stack of its own. It knows as much of JSON as
/// is needed to find keys and nesting; the rest is the parser's.
class Scanner {
public:
  Scanner(MLIRContext *context, StringRef text, StringRef fileName)
      : context(context), text(text), fileName(fileName) {}

  /// The text for the parser, without Python's words.
  FailureOr<std::string> run();

private:
  InFlightDiagnostic error(size_t offset) {
    StringRef before = text.take_front(offset);
    size_t lineStart = before.rfind('\n') + 1; // npos + 1 is 0.
    return emitError(FileLineColLoc::get(
        context, fileName, before.count('\n') + 1, offset - lineStart + 1));
  }

  /// The string that starts at `offset`, quotes included.
  StringRef stringAt(size_t offset) const {
    for (size_t i = offset + 1; i < text.size(); ++i) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        return text.slice(offset, i + 1);
    }
    return text.drop_front(offset);
  }

  LogicalResult enterKey(StringRef quoted, size_t offset);

  struct Level {
    bool isObject;
    bool expectsKey;
    llvm::StringSet<> keys;
  };

  MLIRContext *context;
  StringRef text;
  StringRef fileName;
  SmallVector<Level> levels;
};
} // namespace

LogicalResult Scanner::enterKey(StringRef quoted, size_t offset) {
  std::string key = quoted.drop_front().drop_back().str();
  if (quoted.contains('\\')) {
    // Two spellings of one key are the same key.
    llvm::Expected<llvm::json::Value> value = llvm::json::parse(quoted);
    if (!value) {
      llvm::consumeError(value.takeError());
      return success(); // The parser will refuse it.
    }
    key = value->getAsString().value_or("").str();
  }
  if (!levels.back().keys.insert(key).second)
    return error(offset) << "the key " << quoteForMessage(key)
                         << " occurs twice in one object";
  return success();
}

FailureOr<std::string> Scanner::run() {
  size_t invalid = 0;
  if (!llvm::json::isUTF8(text, &invalid))
    return error(invalid) << "the text is not UTF-8";

  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    StringRef rest = text.drop_front(i);
    if (rest.front() == '"') {
      StringRef quoted = stringAt(i);
      if (!levels.empty() && levels.back().expectsKey && quoted.size() > 1) {
        levels.back().expectsKey = false;
        if (failed(enterKey(quoted, i)))
          return failure();
      }
      result += quoted;
      i += quoted.size();
      continue;
    }
    // Words that Python writes for numbers that JSON has not.
    StringRef word =
        rest.take_while([](char c) { return llvm::isAlpha(c) || c == '-'; });
    if (word == "NaN" || word == "Infinity" || word == "-Infinity") {
      result += ("\"" + word + "\"").str();
      i += word.size();
      continue;
    }
    switch (rest.front()) {
    case '{':
    case '[':
      if (levels.size() == maxJSONDepth)
        return error(i) << "expected at most " << maxJSONDepth
                        << " arrays and objects in one another";
      levels.push_back({rest.front() == '{', rest.front() == '{', {}});
      break;
    case '}':
    case ']':
      if (!levels.empty())
        levels.pop_back();
      break;
    case ',':
      if (!levels.empty())
        levels.back().expectsKey = levels.back().isObject;
      break;
    default:
      break;
    }
    size_t step = std::max<size_t>(word.size(), 1);
    result += rest.take_front(step);
    i += step;
  }
  return result;
}

FailureOr<llvm::json::Value> rope::parseCheckedJSON(MLIRContext *context,
                                                    StringRef text,
                                                    StringRef fileName) {
  FailureOr<std::string> checked = Scanner(context, text, fileName).run();
  if (failed(checked))
    return failure();
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(*checked);
  if (!value)
    return emitError(FileLineColLoc::get(context, fileName, 0, 0))
           << "the text is not JSON: " << llvm::toString(value.takeError());
  return std::move(*value);
}

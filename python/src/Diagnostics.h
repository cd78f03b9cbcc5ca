//===- Diagnostics.h - errors of the compiler as exceptions -----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PYTHON_DIAGNOSTICS_H
#define ROPE_PYTHON_DIAGNOSTICS_H

#include "mlir-c/Diagnostics.h"
#include "nanobind/nanobind.h"
#include "rope-c/Support.h"
#include <string>
#include <string_view>
#include <vector>

namespace rope_python {

inline MlirStringRef toRef(std::string_view text) {
  return mlirStringRefCreate(text.data(), text.size());
}
inline std::string toString(MlirStringRef text) {
  return text.length ? std::string(text.data, text.length) : std::string();
}
/// A callback of MLIR that appends to the std::string it is given.
void append(MlirStringRef part, void *string);

struct Location {
  std::string file;
  int64_t line = 0, column = 0;
  bool isKnown() const { return !file.empty(); }
};

/// The first place in a text that a location names.
Location getLocation(MlirLocation location);

struct Diagnostic {
  const char *severity;
  std::string message;
  Location location;
  std::vector<Diagnostic> notes;
};

/// Gets the errors of the C interface on this thread while it lives.
class ErrorScope {
public:
  ErrorScope();
  ~ErrorScope() { ropeSetErrorCallback(nullptr, nullptr); }
  ErrorScope(const ErrorScope &) = delete;
  ErrorScope &operator=(const ErrorScope &) = delete;

  std::string text;
  RopeErrorKind kind = ROPE_ERROR_ARGUMENT;
};

struct Messages {
  /// The error of the C interface, or of a pipeline's text.
  std::string error;
  RopeErrorKind kind = ROPE_ERROR_ARGUMENT;
  /// Diagnostics of a context.
  std::vector<Diagnostic> diagnostics;
};

/// Collects what this thread has to say of a context while it lives. Needs no
/// lock of the interpreter.
class Collector {
public:
  Collector(MlirContext context, Messages &messages);
  ~Collector();
  Collector(const Collector &) = delete;
  Collector &operator=(const Collector &) = delete;

private:
  MlirContext context;
  Messages &messages;
  ErrorScope scope;
  MlirDiagnosticHandlerID handler;
};

/// The text that a module is parsed from, and its name; lines of it are shown.
struct Source {
  nanobind::object text;
  std::string file;
};

/// Location and diagnostics as Python's own types.
nanobind::object toPython(const Location &location);

/// Raises an MLIRError of what was collected, or of `reason` where that is
/// nothing.
[[noreturn]] void raiseMLIRError(const Messages &messages, const Source &source,
                                 const std::string &reason);

/// A type of rope_mlir._errors.
nanobind::object getErrorType(const char *name);

/// Raises an exception of a type of Python or of this package.
[[noreturn]] void raise(nanobind::handle type, std::string_view message);

} // namespace rope_python

#endif // ROPE_PYTHON_DIAGNOSTICS_H

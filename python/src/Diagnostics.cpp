//===- Diagnostics.cpp - errors of the compiler as exceptions -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Diagnostics.h"

namespace nb = nanobind;
using namespace rope_python;

void rope_python::append(MlirStringRef part, void *string) {
  static_cast<std::string *>(string)->append(part.data, part.length);
}

Location rope_python::getLocation(MlirLocation location) {
  if (mlirLocationIsAFileLineColRange(location))
    return {toString(mlirIdentifierStr(
                mlirLocationFileLineColRangeGetFilename(location))),
            mlirLocationFileLineColRangeGetStartLine(location),
            mlirLocationFileLineColRangeGetStartColumn(location)};
  if (mlirLocationIsAName(location))
    return getLocation(mlirLocationNameGetChildLoc(location));
  if (mlirLocationIsACallSite(location))
    return getLocation(mlirLocationCallSiteGetCallee(location));
  if (mlirLocationIsAFused(location)) {
    std::vector<MlirLocation> parts(mlirLocationFusedGetNumLocations(location));
    mlirLocationFusedGetLocations(location, parts.data());
    for (MlirLocation part : parts)
      if (Location found = getLocation(part); found.isKnown())
        return found;
  }
  return {};
}

static Diagnostic convert(MlirDiagnostic diagnostic) {
  static constexpr const char *kSeverities[] = {"error", "warning", "note",
                                                "remark"};
  Diagnostic result{
      kSeverities[mlirDiagnosticGetSeverity(diagnostic)], {}, {}, {}};
  mlirDiagnosticPrint(diagnostic, append, &result.message);
  result.location = getLocation(mlirDiagnosticGetLocation(diagnostic));
  for (intptr_t i = 0, e = mlirDiagnosticGetNumNotes(diagnostic); i < e; ++i)
    result.notes.push_back(convert(mlirDiagnosticGetNote(diagnostic, i)));
  return result;
}

ErrorScope::ErrorScope() {
  ropeSetErrorCallback(
      [](MlirStringRef message, RopeErrorKind kind, void *data) {
        auto &scope = *static_cast<ErrorScope *>(data);
        scope.text = toString(message);
        scope.kind = kind;
      },
      this);
}

Collector::Collector(MlirContext context, Messages &messages)
    : context(context), messages(messages),
      handler(mlirContextAttachDiagnosticHandler(
          context,
          [](MlirDiagnostic diagnostic, void *data) {
            static_cast<Messages *>(data)->diagnostics.push_back(
                convert(diagnostic));
            return mlirLogicalResultSuccess();
          },
          &messages, nullptr)) {}

Collector::~Collector() {
  mlirContextDetachDiagnosticHandler(context, handler);
  if (scope.text.empty())
    return;
  messages.error = std::move(scope.text);
  messages.kind = scope.kind;
}

nb::object rope_python::getErrorType(const char *name) {
  return nb::module_::import_("rope_mlir._errors").attr(name);
}

nb::object rope_python::toPython(const Location &location) {
  if (!location.isKnown())
    return nb::none();
  return getErrorType("Location")(nb::str(location.file.c_str()), location.line,
                                  location.column);
}

/// Text of a message, which may hold anything.
static nb::object toText(std::string_view text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), text.size(), "backslashreplace"));
}

void rope_python::raise(nb::handle type, std::string_view message) {
  nb::object text = toText(message);
  PyErr_SetObject(type.ptr(), text.ptr());
  throw nb::python_error();
}

/// Line `number` of a text, counted from 1; empty where there is none.
static std::string_view getLine(std::string_view text, int64_t number) {
  for (; number > 1; --number) {
    size_t end = text.find('\n');
    if (end == text.npos)
      return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

static nb::object toPython(const Diagnostic &diagnostic, const Source &source) {
  std::string_view text;
  if (source.text.is_valid() && diagnostic.location.line != 0 &&
      diagnostic.location.file == source.file) {
    Py_ssize_t length = 0;
    if (PyUnicode_Check(source.text.ptr())) {
      const char *data = PyUnicode_AsUTF8AndSize(source.text.ptr(), &length);
      text = {data, static_cast<size_t>(length)};
    } else if (PyBytes_Check(source.text.ptr())) {
      text = {PyBytes_AS_STRING(source.text.ptr()),
              static_cast<size_t>(PyBytes_GET_SIZE(source.text.ptr()))};
    }
    text = getLine(text, diagnostic.location.line);
    // Bytecode has no lines, and nobody reads very long ones.
    if (text.size() > 500 || text.find('\0') != text.npos)
      text = {};
  }
  nb::list notes;
  for (const Diagnostic &note : diagnostic.notes)
    notes.append(toPython(note, source));
  return getErrorType("Diagnostic")(
      nb::str(diagnostic.severity), toText(diagnostic.message),
      toPython(diagnostic.location), nb::tuple(notes), toText(text));
}

void rope_python::raiseMLIRError(const Messages &messages, const Source &source,
                                 const std::string &reason) {
  nb::list diagnostics;
  bool hasError = !messages.error.empty();
  for (const Diagnostic &diagnostic : messages.diagnostics) {
    hasError |= std::string_view(diagnostic.severity) == "error";
    diagnostics.append(::toPython(diagnostic, source));
  }
  nb::object type = getErrorType("MLIRError");
  nb::object error =
      type(toText(hasError ? messages.error : reason), diagnostics);
  PyErr_SetObject(type.ptr(), error.ptr());
  throw nb::python_error();
}

//===- rope-translate.cpp - other formats to the rope dialect -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs one registered translation, as mlir-translate does, except that nothing
// becomes of the output file unless the translation succeeds, and that input
// is read in bounded memory.
//
//===----------------------------------------------------------------------===//

#include "Rope/Import/HFConfig.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace llvm;

static int fail(const Twine &message) {
  WithColor::error() << message << "\n";
  return 1;
}

/// Reads the file, or standard input for `-`; never more than `limit` bytes,
/// whatever the file turns out to be.
static Expected<std::string> readInput(StringRef name, size_t limit) {
  Expected<sys::fs::file_t> file = name == "-"
                                       ? sys::fs::getStdinHandle()
                                       : sys::fs::openNativeFileForRead(name);
  if (!file)
    return file.takeError();
  std::string text;
  char chunk[1 << 16];
  Error error = Error::success();
  while (text.size() <= limit) {
    Expected<size_t> count = sys::fs::readNativeFile(*file, chunk);
    if (!count) {
      error = joinErrors(std::move(error), count.takeError());
      break;
    }
    if (*count == 0)
      break;
    text.append(chunk, *count);
  }
  if (name != "-")
    if (std::error_code code = sys::fs::closeFile(*file))
      error = joinErrors(std::move(error), errorCodeToError(code));
  if (error)
    return std::move(error);
  if (text.size() > limit)
    return createStringError("expected at most " + Twine(limit) + " bytes");
  return text;
}

static Error writeTo(int file, StringRef text, bool close) {
  raw_fd_ostream os(file, close);
  os << text;
  os.flush();
  if (!os.has_error())
    return Error::success();
  std::error_code code = os.error();
  os.clear_error();
  return errorCodeToError(code);
}

/// Puts `text` in the file all at once, or leaves the file as it was.
static Error writeOutput(StringRef name, StringRef text) {
  if (name == "-")
    return writeTo(sys::fs::getStdoutHandle(), text, /*close=*/false);

  sys::fs::file_status status;
  std::error_code code = sys::fs::status(name, status);
  bool exists = !code;
  // A device or a pipe is written to, not replaced.
  if (exists && status.type() != sys::fs::file_type::regular_file) {
    int file;
    if ((code = sys::fs::openFileForWrite(name, file)))
      return errorCodeToError(code);
    return writeTo(file, text, /*close=*/true);
  }
  // Through a link, the file that it leads to is replaced, not the link.
  SmallString<128> target(name);
  if (exists && (code = sys::fs::real_path(name, target)))
    return errorCodeToError(code);
  if (exists && (code = sys::fs::access(target, sys::fs::AccessMode::Write)))
    return errorCodeToError(code);
  unsigned mode =
      exists ? status.permissions() : sys::fs::all_read | sys::fs::all_write;
  Expected<sys::fs::TempFile> temporary =
      sys::fs::TempFile::create(target + ".%%%%%%.tmp", mode);
  if (!temporary)
    return temporary.takeError();
  if (Error error = writeTo(temporary->FD, text, /*close=*/false))
    return joinErrors(std::move(error), temporary->discard());
  return temporary->keep(target);
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  rope::registerHFConfigTranslation();

  cl::OptionCategory category("rope-translate options");
  cl::opt<const Translation *, false, TranslationParser> translation(
      "", cl::desc("Translation to perform"), cl::cat(category));
  cl::opt<std::string> input(cl::Positional, cl::desc("<input file>"),
                             cl::init("-"), cl::cat(category));
  cl::opt<std::string> output("o", cl::desc("Output file, - for stdout"),
                              cl::value_desc("file"), cl::init("-"),
                              cl::cat(category));
  cl::getRegisteredOptions().lookup("dtype")->addCategory(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Makes rope dialect IR of other formats\n\n"
      "  rope-translate --import-hf-config config.json -o model.mlir\n\n"
      "An imported module holds, for each kind of layer, "
      "rope_table(positions),\n"
      "rope_apply(x, positions) and attention(q, k, v, positions). Attention\n"
      "sinks, where a model has them, follow the positions; the length in "
      "use,\n"
      "where it matters, is the last argument of all three.\n");
  if (!translation)
    return fail("expected a translation, such as --import-hf-config");

  Expected<std::string> text = readInput(input, rope::maxHFConfigBytes);
  std::string inputName = input == "-" ? "<stdin>" : input.getValue();
  if (!text)
    return fail(inputName + ": " + toString(text.takeError()));

  MLIRContext context(MLIRContext::Threading::DISABLED);
  // `error: file:line:column: message`, without the places that are unknown.
  ScopedDiagnosticHandler handler(&context, [](Diagnostic &diagnostic) {
    raw_ostream &os = diagnostic.getSeverity() == DiagnosticSeverity::Error
                          ? WithColor::error()
                          : WithColor::note();
    if (auto loc = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>()) {
      os << loc.getFilename().getValue() << ":";
      if (loc.getLine())
        os << loc.getLine() << ":" << loc.getColumn() << ":";
      os << " ";
    }
    os << diagnostic << "\n";
  });

  auto sourceMgr = std::make_shared<SourceMgr>();
  sourceMgr->AddNewSourceBuffer(MemoryBuffer::getMemBuffer(*text, inputName),
                                SMLoc());
  std::string result;
  raw_string_ostream os(result);
  if (failed((*translation.getValue())(sourceMgr, os, &context)))
    return 1;
  if (Error error = writeOutput(output, result))
    return fail(output + ": " + toString(std::move(error)));
  return 0;
}

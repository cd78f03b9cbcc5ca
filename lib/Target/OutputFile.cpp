//===- OutputFile.cpp - files that appear whole or not at all -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/OutputFile.h"

using namespace mlir::rope;
using namespace llvm;

static Error cannotWrite(StringRef path, const Twine &reason) {
  return createStringError("cannot write '" + path + "': " + reason);
}

Expected<OutputFile> OutputFile::create(StringRef path) {
  OutputFile file(path);
  if (path == "-") {
    file.stream = &outs();
    return std::move(file);
  }
  if (path.empty())
    return createStringError("cannot write to a file without a name");
  sys::fs::file_status status;
  bool exists = !sys::fs::status(path, status) && sys::fs::exists(status);
  if (exists && sys::fs::is_directory(status))
    return cannotWrite(path, "it is a folder");
  if (exists && !sys::fs::is_regular_file(status)) {
    std::error_code error;
    file.owned = std::make_unique<raw_fd_ostream>(path, error);
    if (error)
      return cannotWrite(path, error.message());
    file.stream = file.owned.get();
    return std::move(file);
  }
  Expected<sys::fs::TempFile> temporary = sys::fs::TempFile::create(
      path + ".tmp-%%%%%%", sys::fs::all_read | sys::fs::all_write);
  if (!temporary)
    return cannotWrite(path, toString(temporary.takeError()));
  file.temporary = std::move(*temporary);
  file.owned = std::make_unique<raw_fd_ostream>(file.temporary->FD,
                                                /*shouldClose=*/false);
  file.stream = file.owned.get();
  return std::move(file);
}

OutputFile::~OutputFile() {
  // The stream ends the program if an error is left in it.
  if (owned) {
    owned->flush();
    owned->clear_error();
  }
  owned.reset();
  if (temporary)
    consumeError(temporary->discard());
}

Error OutputFile::commit() {
  stream->flush();
  if (std::error_code error = stream->error()) {
    stream->clear_error();
    return cannotWrite(path, error.message());
  }
  if (!temporary)
    return Error::success();
  owned.reset();
  Error error = temporary->keep(path);
  temporary.reset();
  if (error)
    return cannotWrite(path, toString(std::move(error)));
  return Error::success();
}

//===- OutputFile.h - files that appear whole or not at all -----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_OUTPUTFILE_H
#define ROPE_TARGET_OUTPUTFILE_H

#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>
#include <optional>
#include <string>

namespace mlir::rope {

/// A file that is written beside its destination and takes its name only on
/// `commit`. Without a commit, or where writing fails, what was there before
/// stays as it was. `-` is standard output; a device or pipe that exists is
/// written directly.
class OutputFile {
public:
  /// Fails where no file can be made in the folder of `path`.
  static llvm::Expected<OutputFile> create(llvm::StringRef path);

  OutputFile(OutputFile &&) = default;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  llvm::raw_ostream &os() { return *stream; }

  /// Puts the file in its place. Fails on any earlier write error (a full
  /// disk, a closed pipe); then the destination is unchanged.
  llvm::Error commit();

private:
  explicit OutputFile(llvm::StringRef path) : path(path) {}

  std::string path;
  std::optional<llvm::sys::fs::TempFile> temporary;
  std::unique_ptr<llvm::raw_fd_ostream> owned;
  llvm::raw_fd_ostream *stream = nullptr;
};

} // namespace mlir::rope

#endif // ROPE_TARGET_OUTPUTFILE_H

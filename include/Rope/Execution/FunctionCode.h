//===- FunctionCode.h - machine code of one function ------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_FUNCTIONCODE_H
#define ROPE_EXECUTION_FUNCTIONCODE_H

#include "Rope/Target/Target.h"
#include <memory>
#include <string>

namespace mlir::rope {

/// All that a process needs to call a function, and what a file can keep.
struct FunctionCode {
  std::string name;
  /// A module with the function's declaration, for `getSignature`.
  std::string declaration;
  /// A relocatable object file, which defines `getEntryName(name)`.
  std::string object;
};

/// The symbol of `void (void **values)`, which calls a function with the values
/// of its C interface, each at an address, and writes what that returns to a
/// last one.
std::string getEntryName(StringRef function);

/// What compiled code calls of libRope.so, which a process may have loaded
/// without showing its symbols to others.
ArrayRef<std::pair<StringRef, void *>> getRuntimeFunctions();

/// Checks `name`, or finds the only function that can be called where it is
/// empty. Errors list the functions there are; `source` says of what, and
/// `remedy` how to name one.
llvm::Expected<std::string> findFunction(ModuleOp module, StringRef name,
                                         const Twine &source, StringRef remedy);

/// Erases the functions that `name` does not reach: compiling them would be
/// waste.
void eraseOtherFunctions(ModuleOp module, StringRef name);

/// Compiles a function of a module of the `llvm` dialect for this machine, and
/// what it calls. Fails where its signature is not valid (`getSignature`),
/// where `target` is not of this machine, or where a symbol it uses is not
/// defined.
llvm::Expected<FunctionCode> compileFunction(ModuleOp module,
                                             StringRef function,
                                             const TargetInfo &target,
                                             unsigned optLevel);

struct FunctionCodeOptions {
  unsigned optLevel = 3;
  /// Finds rotations first and folds them into what surrounds them.
  bool optimize = false;
  bool singleThreaded = false;
  /// Where code is kept, empty for nowhere.
  std::string cacheDirectory;
};

/// Code, and whether it was there.
struct CachedFunctionCode {
  FunctionCode code;
  bool isFromCache = false;
};

/// Compiles a function of a module of any level, which stays as it is, or takes
/// its code from the cache. An entry is found by the text of the module, the
/// options, the target, and the libraries that made it. It appears whole or not
/// at all; one that is damaged is compiled again and replaced. A folder that
/// cannot be written to is no error. What was not used for a week goes away.
llvm::Expected<CachedFunctionCode>
compileFunction(ModuleOp module, StringRef function, const TargetInfo &target,
                const FunctionCodeOptions &options);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_FUNCTIONCODE_H

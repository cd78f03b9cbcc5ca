//===- Core.cpp - the extension module ------------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Function.h"
#include "Module.h"
#include "rope-c/Support.h"

namespace nb = nanobind;
using namespace rope_python;

/// Called by the package, as an error while a module is initialized would hide
/// this one.
static void checkLLVMVersion() {
  ErrorScope error;
  if (!ropeCheckLLVMVersion())
    raise(PyExc_ImportError, error.text);
}

NB_MODULE(_core, m) {
  // What a caller keeps until the interpreter ends is no leak of this module.
  nb::set_leak_warnings(false);
  m.attr("version") = toString(ropeGetVersion()).c_str();
  m.attr("llvm_version") = toString(ropeGetLLVMVersion()).c_str();
  m.def("_check_llvm_version", &checkLLVMVersion,
        "Raises ImportError where another LLVM is loaded than the one that the "
        "package is built for: nothing else may be called then.");
  addModule(m);
  addFunction(m);
}

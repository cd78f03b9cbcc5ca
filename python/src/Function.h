//===- Function.h - compiled functions --------------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PYTHON_FUNCTION_H
#define ROPE_PYTHON_FUNCTION_H

#include "nanobind/nanobind.h"

namespace rope_python {

/// Adds Function and what makes one.
void addFunction(nanobind::module_ &m);

} // namespace rope_python

#endif // ROPE_PYTHON_FUNCTION_H

//===- Arguments.h - values on the command line -----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_ARGUMENTS_H
#define ROPE_EXECUTION_ARGUMENTS_H

#include "Rope/Execution/Array.h"

namespace mlir::rope {

/// Makes the value of an argument of type `expected` from its text:
///
/// - `@file.npy`: see `readNpy`;
/// - `2x3xf32=1 2 3 4 5 6`: shape, element type and elements, rows first, apart
///   by spaces, commas or brackets; one element fills the array, none is zeros;
/// - `131072`: a scalar or an array of rank 0. Floats may be `inf` and `nan`.
///
/// Numbers are rounded once to the element type; those it cannot hold are
/// errors.
llvm::Expected<Array> parseArgument(StringRef text, Type expected);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_ARGUMENTS_H

//===- Npy.h - NumPy's array files ------------------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Format:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_NPY_H
#define ROPE_EXECUTION_NPY_H

#include "Rope/Execution/Array.h"

namespace mlir::rope {

/// Reads an `.npy` file, version 1 to 3, little endian, rows first, for an
/// argument of type `expected` (`checkFits`). NumPy has no bf16: two raw bytes
/// an element (`V2`, as ml_dtypes writes) or `<u2` hold it. Integers without a
/// sign in their type take signed and unsigned files of their width. Memory is
/// taken only after the header, the sizes and the length of the file agree.
/// Errors name the file and what is wrong with it.
llvm::Expected<Array> readNpy(StringRef path, Type expected);

/// Writes an array as an `.npy` file of version 1: bf16 as `<V2`, which
/// `numpy.load(..).view(ml_dtypes.bfloat16)` understands.
void writeNpy(const Array &array, llvm::raw_ostream &os);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_NPY_H

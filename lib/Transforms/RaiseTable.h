//===- RaiseTable.h - find what makes cosines and sines ---------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_RAISETABLE_H
#define ROPE_LIB_TRANSFORMS_RAISETABLE_H

#include "RaiseRotation.h"

namespace mlir::rope {

/// Columns of a tensor, or one row of numbers.
struct Columns {
  View view;
  int64_t first = 0, step = 1;
  SmallVector<double> numbers;
  FloatType type;
};

/// Cosines and sines that `rope.table` makes.
struct MadeTable {
  SmallVector<double> frequencies;
  /// Where no tensor holds the positions, `computed` says what they are.
  View positions;
  ExprRef computed = nullptr;
  /// One axis for each pair, if there are several.
  SmallVector<int64_t> axes;
  double magnitude = 1;
  Precision precision = Precision::f32;
  FloatType type;
};

/// Cosines and sines that are read where the graph made them.
struct GivenTable {
  Columns cos, sin;
};

/// The table that makes the cosines and sines of `rotation`. Sets `reason` if
/// it cannot be told that one makes both.
std::optional<MadeTable>
traceTable(Elements &elements, const Rotation &rotation, std::string &reason);

/// The tensors that hold the cosines and sines of `rotation`.
std::optional<GivenTable>
findTable(Elements &elements, const Rotation &rotation, std::string &reason);

/// Whether elements that are read like `view` are those of a slice.
bool isSlice(const Elements &elements, const View &view);

/// The base b for which the frequencies are b^(-2i/d), d = 2n, to within the
/// rounding of f32; nothing if they are not.
std::optional<double> fitBase(ArrayRef<double> frequencies);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_RAISETABLE_H

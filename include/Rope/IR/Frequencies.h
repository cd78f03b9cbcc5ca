//===- Frequencies.h - evaluate frequency chains ----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Inverse frequencies as numbers: the one place that turns a chain of
// rope.frequencies and rope.scale_frequencies into what it stands for.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_FREQUENCIES_H
#define ROPE_IR_FREQUENCIES_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace mlir::rope {

/// Evaluates the one-dimensional f64 tensor `frequencies`, in radians per
/// position. Follows rope.frequencies, rope.scale_frequencies and constants;
/// computes in long double and rounds once to f64. Returns nothing where the
/// chain starts at another operation or reads a length that is no constant.
std::optional<SmallVector<double>> evaluateFrequencies(Value frequencies);

/// The same before rounding, for code that scales further.
std::optional<SmallVector<long double>> evaluateUnrounded(Value frequencies);

} // namespace mlir::rope

#endif // ROPE_IR_FREQUENCIES_H

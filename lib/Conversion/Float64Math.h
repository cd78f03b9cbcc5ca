//===- Float64Math.h - functions of f64 as code -----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// GPUs have no instructions for these, and not all have a library of them.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_FLOAT64MATH_H
#define ROPE_LIB_CONVERSION_FLOAT64MATH_H

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {

/// Within a few units in the last place. Results below 2^-1022 are zeros.
Value buildExpF64(ImplicitLocOpBuilder &b, Value x);
/// The same for the logarithm; numbers below 2^-1022 count as zero.
Value buildLogF64(ImplicitLocOpBuilder &b, Value x);
/// Within a few units in the last place of numbers from 1/4 on; below, within
/// 1e-16.
Value buildTanhF64(ImplicitLocOpBuilder &b, Value x);

/// What the scalar operation `op` of operands in `mapping` computes, where it
/// is one of these. Else null.
Value buildF64Function(ImplicitLocOpBuilder &b, Operation *op,
                       const IRMapping &mapping);

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_FLOAT64MATH_H

//===- AngleMath.h - angles, cosines and sines as code ----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Builds scalar operations for cosine and sine of position x frequency. No
// sine or cosine of the math dialect, whose lowering loses far positions.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ANGLEMATH_H
#define ROPE_IR_ANGLEMATH_H

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Value.h"
#include <utility>

namespace mlir::rope {

struct CosSin {
  Value cos, sin;
};

/// A frequency of `w` radians per position as turns per position: the fraction
/// of a turn times 2^64, within 2 units. `w` is less than 2^20 in magnitude.
int64_t evaluateTurns(double w);

/// The same as code: `w` is an f64; returns an i64. Where `rest` is given it
/// becomes an f64: what rounding left out, in the same unit.
Value buildTurns(ImplicitLocOpBuilder &b, Value w, Value *rest = nullptr);

/// Cosine and sine of `position` (integer or index) times `turns` (i64, see
/// `buildTurns`) in `type`, f32 or f64. The product wraps at whole turns, so it
/// is as good at far positions as at near ones: within 1.2e-7 in f32.
CosSin buildExactCosSin(ImplicitLocOpBuilder &b, Value position, Value turns,
                        FloatType type);

/// The same in f32, by 32-bit arithmetic: `position` and `turns` are the lower
/// and the upper half of an i64.
CosSin buildExactCosSinOfHalves(ImplicitLocOpBuilder &b,
                                std::pair<Value, Value> position,
                                std::pair<Value, Value> turns);

/// The same for a frequency `w` in radians (f64). In f64 what 64 bits of a turn
/// leave out counts, too: within 1e-15 for positions below 2^31 in magnitude.
CosSin buildExactCosSinOfRadians(ImplicitLocOpBuilder &b, Value position,
                                 Value w, FloatType type);

/// Cosine and sine of the float `position` times `w` (f64, radians) in `type`,
/// f32 or f64, as good. The position is split into a whole number, which goes
/// by turns, and a fraction.
CosSin buildExactCosSinOfFloat(ImplicitLocOpBuilder &b, Value position, Value w,
                               FloatType type);

/// Cosine and sine, in f32, of the f32 product of `position` (any type) and `w`
/// (f64), each rounded to f32 first: within one unit in the last place of the
/// correctly rounded cosine and sine of that product.
CosSin buildF32CosSin(ImplicitLocOpBuilder &b, Value position, Value w);

} // namespace mlir::rope

#endif // ROPE_IR_ANGLEMATH_H

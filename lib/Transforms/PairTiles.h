//===- PairTiles.h - products of bf16 in pairs ------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Instructions that multiply bf16 and add in f32 take two steps of the sum at
// once. What they read lies in pairs: for c = a b, with sums over k,
//
//   a: [m][k]           rows of any stride
//   b: [k / 2][n][2]    as [k / 2][2 n]
//   c: [m][n]           f32
//
// Memory is padded: m, n and k are multiples of what a unit takes.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_PAIRTILES_H
#define ROPE_LIB_TRANSFORMS_PAIRTILES_H

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {

/// Builds code on padded memory in pairs, in vectors of 512 bits.
class PairTiles {
public:
  /// Elements of f32 in a vector. n is a multiple of it.
  static constexpr int64_t kLanes = 16;

  PairTiles(ImplicitLocOpBuilder &builder, PairProduct unit)
      : b(builder), unit(unit) {}

  /// What m and k are multiples of.
  int64_t rowMultiple() const { return unit == PairProduct::amx ? 16 : 8; }
  int64_t depthMultiple() const { return unit == PairProduct::amx ? 32 : 2; }

  /// c = a b, or c += a b.
  void product(Value lhs, Value rhs, Value result, bool accumulates);

  /// The online softmax of `scores` [key][row], of which `count` keys count:
  /// updates `max` and `sum` [row], sets `correction` [row] to what values
  /// accumulated before are to be multiplied with, and `weights` in pairs,
  /// [key / 2][2 row], zero beyond `count` up to a multiple of depthMultiple.
  /// Scores and maxima are as products are, to be multiplied with `scale`.
  void softmax(Value scores, Value count, Value max, Value sum,
               Value correction, Value weights, double scale);

  /// Multiplies the rows of `acc` [m][row] with `correction` [row], unless all
  /// of that is one.
  void rescale(Value acc, Value correction);

  /// Not zero where `words`, pairs of bf16 in rows of whole vectors, hold an
  /// infinity or a NaN: i32.
  Value findSpecials(Value words);

private:
  void dotProduct(Value lhs, Value rhs, Value result, bool accumulates);
  void dotTile(Value lhs, Value rhs, Value result, Value row, int64_t column,
               int64_t rows, int64_t vectors, bool accumulates);
  void amxProduct(Value lhs, Value rhs, Value result, bool accumulates);
  void amxTile(Value lhs, Value rhs, Value result, Value row, int64_t column,
               int64_t rows, int64_t columns, bool accumulates);
  Value exp2(Value x);

  Value index(int64_t x) { return arith::ConstantIndexOp::create(b, x); }
  Value plus(Value x, int64_t y) {
    return y ? Value(arith::AddIOp::create(b, x, index(y))) : x;
  }
  Value splat(double x);
  Value load(Value memref, ValueRange indices);
  Value dim(Value memref, int64_t dim);
  SmallVector<Value> loop(Value from, Value to, int64_t step, ValueRange inits,
                          function_ref<SmallVector<Value>(Value, ValueRange)>);

  ImplicitLocOpBuilder &b;
  PairProduct unit;
};

/// Whether the process may use the tiles of AMX, which it asks the system for:
/// i1. For x86-64 Linux alone.
Value buildAMXPermission(ImplicitLocOpBuilder &b);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_PAIRTILES_H

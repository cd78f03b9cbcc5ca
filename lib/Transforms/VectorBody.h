//===- VectorBody.h - bodies of linalg operations on vectors ----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the forms of rope-vectorize share: the scalar body of a linalg operation
// on memrefs becomes code on vectors, whatever the loops around it are.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_VECTORBODY_H
#define ROPE_LIB_TRANSFORMS_VECTORBODY_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {

/// The attribute of a contraction, array<i64: operand, distance, ...>: vectors
/// of these operands are asked for as many rows ahead as they are read.
inline constexpr llvm::StringLiteral kPrefetchAttrName = "rope.prefetch";

/// Asks for the vector at `indices` of `memref`, `distance` rows ahead. What
/// lies behind the end of an array is not touched.
void emitPrefetch(ImplicitLocOpBuilder &b, Value memref, ValueRange indices,
                  int64_t distance);

/// The distance for operand `operand` of `op`, zero where it is not asked for.
int64_t getPrefetchDistance(linalg::LinalgOp op, unsigned operand);

/// Whether the elements of the last dimension lie side by side.
bool isContiguous(Value memref);

/// The largest number that `value`, an index, is known to be a multiple of:
/// from its constant factors, through minima, sums and steps of loops. That of
/// zero is zero.
int64_t getKnownDivisor(Value value);

/// The largest multiple of `unit` that is not more than `size`, an index:
/// `size` itself where it is known to be one.
Value roundDown(ImplicitLocOpBuilder &b, Value size, int64_t unit);

/// Opens a loop of `step` around what `emit` makes.
void emitLoop(ImplicitLocOpBuilder &b, Value from, Value to, int64_t step,
              llvm::function_ref<void(Value)> emit);

// Pairs of bf16 in AVX512-BF16: vectors of 32 elements, two for each f32.

/// The pair at `indices` of `memref` in all lanes.
Value loadPair(ImplicitLocOpBuilder &b, Value memref, ValueRange indices);

/// `sum`, vector<16xf32>, and the products of both elements of each pair.
Value addPairs(ImplicitLocOpBuilder &b, Value sum, Value x, Value y);

/// Two vectors of f32 rounded to bf16, in turns, as vector<2nxi16>: integers,
/// as shuffles of bf16 are taken apart. Denormals become zeros.
Value interleavePairs(ImplicitLocOpBuilder &b, Value even, Value odd);

/// The size of each loop of `op`: where operands of dynamic sizes tell
/// different things of it, the one that most is known of.
SmallVector<Value> getLoopSizes(linalg::LinalgOp op, ImplicitLocOpBuilder &b);

/// Emits the body of one linalg operation as code on vectors.
class VectorBody {
public:
  /// `b` is the builder that all code is emitted with.
  VectorBody(linalg::LinalgOp op, ImplicitLocOpBuilder &b) : op(op), b(b) {}

  /// Whether all of `op` but its loops can become code on vectors: operands are
  /// scalars or memrefs of vector elements, indexed by loops as they are, and
  /// the body is elementwise. Bits are read, not written: in memory each has a
  /// byte.
  static bool isSupported(linalg::LinalgOp op);

  /// As many lanes as numbers of the result fill a register, 16-bit ones being
  /// computed in 32.
  static int64_t getLanes(linalg::LinalgOp op, unsigned vectorBits);

  /// As many lanes as elements of the result fill a register.
  static int64_t getCopyLanes(linalg::LinalgOp op, unsigned vectorBits);

  /// From now on argument `i`, of 16-bit floats, is given as the f32 that the
  /// body extends it to.
  void setExtended(unsigned i) { extended.insert(i); }

  /// From now on result `i`, of 16-bit floats, is the f32 that the body rounds.
  void setUnrounded(unsigned i) { unrounded.insert(i); }

  /// Begins: constants and views go where the builder is now.
  void start();

  /// The index 0, in front of all that is emitted.
  Value getZero() const { return zero; }

  /// `start`, `start` + 1, ... in `lanes` lanes.
  Value count(Value start, int64_t lanes);

  /// A value in all lanes.
  Value asVector(Value value, int64_t lanes);

  /// Floats as integers: shuffles of bf16 are taken apart element by element.
  Value asBits(Value vector);

  /// Reads `lanes` elements from `indices` on, 16-bit floats `asBits`.
  Value load(Value memref, ValueRange indices, int64_t lanes,
             bool asBits = false);

  /// A view of 16-bit floats as integers.
  Value asIntegers(Value memref);

  /// The size of the elements of a memref in bytes, that of bits being a byte.
  static int64_t getBytes(Value memref);

  /// The f32 of the even and of the odd elements of a vector of bf16.
  std::pair<Value, Value> extendWords(Value vector);

  /// Two vectors of f32 rounded to bf16, to nearest and even, as words of which
  /// `even` is the lower half and `odd` the upper one. A NaN stays one, made
  /// quiet.
  Value roundToWords(Value even, Value odd);

  /// Likewise by AVX512-BF16, as 16-bit integers in turns. Denormals become
  /// zeros.
  Value roundFast(Value even, Value odd);

  /// Where 16-bit floats, given as integers, are zero.
  Value isZero(Value bits);

  /// Reads one element, or takes the operand that is one.
  Value loadScalar(Value operand, ValueRange indices);

  /// The values that the body yields for `values`, those of its arguments, null
  /// where unused. `index` gives the value of a loop. A value stays a scalar
  /// while nothing that it is made of is a vector.
  SmallVector<Value> emit(ValueRange values, int64_t lanes,
                          llvm::function_ref<Value(unsigned)> index);

private:
  Value constant(DenseElementsAttr attr);
  Value splat(VectorType type, int64_t value);
  Value viewAs(Value memref, Type element);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder &b;
  Value zero;
  /// Vectors of constants beside `zero`, and views of bits as bytes.
  DenseMap<Attribute, Value> constants;
  DenseMap<Value, Value> views;
  llvm::SmallDenseSet<unsigned> extended, unrounded;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_VECTORBODY_H

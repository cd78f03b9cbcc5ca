//===- Sizes.h - sizes of tensors as polynomials ----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes of exported modules are products and sums of a few numbers that are
// not known: reshapes multiply and divide them, caches add to them. As
// polynomials of these, equal ones look equal.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_SIZES_H
#define ROPE_LIB_TRANSFORMS_SIZES_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"
#include <map>

namespace mlir::rope {

/// A number that is not known: a scalar, or the size of a dimension of a
/// tensor.
using SizeAtom = std::pair<const void *, int64_t>;

/// A polynomial, no terms for zero.
class Size {
public:
  Size(int64_t constant = 0) { add({}, constant); }
  Size(SizeAtom atom) { add({atom}, 1); }

  std::optional<int64_t> getConstant() const;
  /// The number that is not known, if it is that alone.
  std::optional<SizeAtom> getAtom() const;
  bool operator==(const Size &other) const { return terms == other.terms; }
  bool operator!=(const Size &other) const { return terms != other.terms; }
  Size operator+(const Size &other) const;
  Size operator*(const Size &other) const;
  /// The quotient by a polynomial of one term, if there is no remainder.
  std::optional<Size> divide(const Size &other) const;
  /// How many atoms and terms there are.
  size_t getLength() const;

private:
  using Factors = SmallVector<SizeAtom, 2>;
  void add(const Factors &factors, int64_t coefficient);

  /// The coefficient of each product of atoms, which are sorted.
  std::map<Factors, int64_t> terms;
};

/// Finds sizes, and keeps what it found while operations are not erased.
class Sizes {
public:
  /// The size of dimension `dim` of `tensor`.
  Size get(Value tensor, int64_t dim) { return get(tensor, dim, 0); }
  Size get(OpFoldResult size) { return get(size, 0); }
  void clear() { known.clear(); }

  /// The size of dimension `dim` of `tensor`, as an index or a constant that is
  /// computed from what `tensor` is made of; null if that is `tensor` alone.
  OpFoldResult make(OpBuilder &builder, Location loc, Value tensor,
                    int64_t dim);

private:
  Size get(Value tensor, int64_t dim, unsigned depth);
  Size get(OpFoldResult size, unsigned depth);
  Size find(Value tensor, int64_t dim, unsigned depth);
  Size find(Value scalar, unsigned depth);
  Size findCarried(BlockArgument tensor, int64_t dim, unsigned depth);

  /// A scalar has the dimension -1.
  std::map<SizeAtom, Size> known;
  /// Those that a loop carries and that are looked at: what they are is not
  /// known before what a round makes of them is.
  SmallVector<SizeAtom> pending;
};

/// The groups of dimensions of `from` and of `to` that hold the same elements,
/// where each has one dimension on one side at least; nothing if that cannot be
/// told.
struct DimGroup {
  SmallVector<int64_t> from, to;
};
std::optional<SmallVector<DimGroup>> matchShapes(ArrayRef<Size> from,
                                                 ArrayRef<Size> to);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_SIZES_H

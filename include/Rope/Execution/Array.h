//===- Array.h - arrays that functions are called with ----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_EXECUTION_ARRAY_H
#define ROPE_EXECUTION_ARRAY_H

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdlib>
#include <memory>
#include <optional>

namespace mlir::rope {

/// Types of elements as they lie in memory. A boolean is a byte, 0 or 1.
enum class ElementKind : int32_t {
  boolean,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  f16,
  bf16,
  f32,
  f64
};
inline constexpr int32_t numElementKinds = 13;

/// As in `u8`; a boolean is `i1`.
StringRef stringify(ElementKind kind);

/// Bytes of one element in memory.
unsigned getElementBytes(ElementKind kind);

/// How elements of the type lie in memory, none where arrays of it cannot cross
/// the C interface. An index is an i64.
std::optional<ElementKind> getElementKind(Type type);

/// Whether elements of the kind may be passed as the type: integers of a type
/// without sign take either.
bool fits(Type type, ElementKind kind);

/// An array in memory of somebody else; a scalar is one of rank 0.
struct ArrayView {
  /// The element whose indices are 0.
  char *data = nullptr;
  ElementKind kind = ElementKind::f32;
  ArrayRef<int64_t> sizes;
  /// In elements, one for each size.
  ArrayRef<int64_t> strides;
};

/// Strides of rows without gaps. Empty dimensions count as one.
SmallVector<int64_t> getContiguousStrides(ArrayRef<int64_t> sizes);

/// A contiguous array in row-major order; a scalar is one of rank 0.
class Array {
public:
  /// Memory for an array, not initialised, on a 64-byte boundary. Fails where
  /// arrays of the element type cannot cross the C interface, where the product
  /// of the sizes overflows, or where it is more than this machine's memory.
  static llvm::Expected<Array> allocate(Type elementType,
                                        ArrayRef<int64_t> shape);

  Type getElementType() const { return elementType; }
  ArrayRef<int64_t> getShape() const { return shape; }
  int64_t getNumElements() const { return numElements; }
  unsigned getElementBytes() const { return elementBytes; }
  char *data() { return memory.get(); }
  const char *data() const { return memory.get(); }
  /// The array as functions take it.
  ArrayView view();
  /// The elements as bytes, in this machine's order.
  MutableArrayRef<char> bytes() {
    return {memory.get(), static_cast<size_t>(numElements) * elementBytes};
  }
  ArrayRef<char> bytes() const { return const_cast<Array *>(this)->bytes(); }

private:
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };

  Type elementType;
  SmallVector<int64_t> shape, strides;
  int64_t numElements = 0;
  unsigned elementBytes = 0;
  std::unique_ptr<char, Free> memory;
};

/// A shape and an element type as in `2x3xf32`, or `f32` alone for rank 0.
std::string describeShape(Type elementType, ArrayRef<int64_t> shape);

/// Whether an array fits an argument of a function: element type, rank, static
/// sizes. A scalar fits rank 0 only. Fails with what was expected and found;
/// `source` says what holds the array.
llvm::Error checkFits(Type expected, Type elementType, ArrayRef<int64_t> shape,
                      StringRef source);

/// Prints the elements in nested brackets, the middle of long dimensions left
/// out in arrays of more than a thousand elements.
void printArray(const Array &array, llvm::raw_ostream &os);

} // namespace mlir::rope

#endif // ROPE_EXECUTION_ARRAY_H

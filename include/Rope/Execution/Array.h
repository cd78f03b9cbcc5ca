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

namespace mlir::rope {

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
  SmallVector<int64_t> shape;
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

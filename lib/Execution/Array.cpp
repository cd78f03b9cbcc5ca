//===- Array.cpp - arrays that functions are called with ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/Array.h"
#include "Rope/Target/Signature.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"
#include <charconv>
#include <unistd.h>

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

static std::string str(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static constexpr struct {
  StringLiteral name;
  unsigned bytes;
} elementKinds[numElementKinds] = {
    {"i1", 1},   {"i8", 1},  {"i16", 2}, {"i32", 4}, {"i64", 8},
    {"u8", 1},   {"u16", 2}, {"u32", 4}, {"u64", 8}, {"f16", 2},
    {"bf16", 2}, {"f32", 4}, {"f64", 8}};

StringRef rope::stringify(ElementKind kind) {
  return elementKinds[static_cast<int32_t>(kind)].name;
}

unsigned rope::getElementBytes(ElementKind kind) {
  return elementKinds[static_cast<int32_t>(kind)].bytes;
}

std::optional<ElementKind> rope::getElementKind(Type type) {
  if (!rope::getElementBytes(type))
    return std::nullopt;
  if (type.isF16())
    return ElementKind::f16;
  if (type.isBF16())
    return ElementKind::bf16;
  if (type.isF32())
    return ElementKind::f32;
  if (type.isF64())
    return ElementKind::f64;
  if (type.isInteger(1))
    return ElementKind::boolean;
  unsigned log = llvm::Log2_32(*rope::getElementBytes(type));
  ElementKind first =
      type.isUnsignedInteger() ? ElementKind::u8 : ElementKind::i8;
  return static_cast<ElementKind>(static_cast<int32_t>(first) + log);
}

bool rope::fits(Type type, ElementKind kind) {
  std::optional<ElementKind> own = getElementKind(type);
  if (own == kind)
    return true;
  // The unsigned kinds follow the signed ones.
  constexpr int32_t apart = static_cast<int32_t>(ElementKind::u8) -
                            static_cast<int32_t>(ElementKind::i8);
  return type.isSignlessInteger() && !type.isInteger(1) && own &&
         static_cast<int32_t>(*own) + apart == static_cast<int32_t>(kind);
}

SmallVector<int64_t> rope::getContiguousStrides(ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> strides(sizes.size(), 1);
  for (size_t dim = sizes.size(); dim-- > 1;)
    strides[dim - 1] = strides[dim] * std::max<int64_t>(sizes[dim], 1);
  return strides;
}

ArrayView Array::view() {
  return {memory.get(), *getElementKind(elementType), shape, strides};
}

std::string rope::describeShape(Type elementType, ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + str(elementType);
}

Expected<Array> Array::allocate(Type elementType, ArrayRef<int64_t> shape) {
  std::optional<unsigned> elementBytes = rope::getElementBytes(elementType);
  if (!elementBytes)
    return createStringError("arrays of " + str(elementType) +
                             " cannot cross the C interface");
  // Empty dimensions do not excuse the others: strides are products of them.
  std::optional<int64_t> count = 1, bytes = *elementBytes;
  for (int64_t size : shape) {
    if (size < 0)
      return createStringError("the size " + Twine(size) + " is negative");
    count = llvm::checkedMul(*count, size);
    bytes = llvm::checkedMul(*bytes, std::max<int64_t>(size, 1));
    if (!count || !bytes)
      return createStringError("the size of " +
                               describeShape(elementType, shape) +
                               " exceeds 2^63 - 1 bytes");
  }
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  int64_t needed = *count * *elementBytes;
  if (needed > memory)
    return createStringError(
        describeShape(elementType, shape) + " needs " + Twine(needed) +
        " bytes, more than this machine's memory of " + Twine(memory));
  Array array;
  array.elementType = elementType;
  array.shape.assign(shape.begin(), shape.end());
  array.strides = getContiguousStrides(shape);
  array.numElements = *count;
  array.elementBytes = *elementBytes;
  void *pointer = nullptr;
  if (posix_memalign(&pointer, 64, std::max<int64_t>(needed, 1)))
    return createStringError(describeShape(elementType, shape) + " needs " +
                             Twine(needed) + " bytes, which are not free");
  array.memory.reset(static_cast<char *>(pointer));
  return std::move(array);
}

Error rope::checkFits(Type expected, Type elementType, ArrayRef<int64_t> shape,
                      StringRef source) {
  ArrayRef<int64_t> sizes;
  Type expectedElement = expected;
  if (isArray(expected)) {
    sizes = cast<ShapedType>(expected).getShape();
    expectedElement = cast<ShapedType>(expected).getElementType();
  }
  std::string reason;
  if (elementType != expectedElement) {
    reason = "the element type is " + str(elementType) + ", not " +
             str(expectedElement);
  } else if (shape.size() != sizes.size()) {
    reason = "the rank is " + std::to_string(shape.size()) + ", not " +
             std::to_string(sizes.size());
  } else {
    for (auto [dim, size] : llvm::enumerate(sizes))
      if (!ShapedType::isDynamic(size) && size != shape[dim]) {
        reason = "dimension " + std::to_string(dim) + " is " +
                 std::to_string(shape[dim]) + ", not " + std::to_string(size);
        break;
      }
  }
  if (reason.empty())
    return Error::success();
  return createStringError("expected " + str(expected) + ", but " + source +
                           " holds " + describeShape(elementType, shape) +
                           ": " + reason);
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

template <typename T>
static T load(const char *pointer) {
  T value;
  memcpy(&value, pointer, sizeof(T));
  return value;
}

template <typename T>
static std::string shortest(T value) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end.ptr);
}

static std::string getElement(const Array &array, int64_t index) {
  const char *pointer = array.data() + index * array.getElementBytes();
  Type type = array.getElementType();
  if (type.isF64())
    return shortest(load<double>(pointer));
  if (type.isF32())
    return shortest(load<float>(pointer));
  if (auto floatType = dyn_cast<FloatType>(type)) {
    SmallString<16> text;
    llvm::APFloat(floatType.getFloatSemantics(),
                  llvm::APInt(16, load<uint16_t>(pointer)))
        .toString(text);
    return text.str().str();
  }
  if (type.isInteger(1))
    return *pointer ? "true" : "false";
  uint64_t value = 0;
  memcpy(&value, pointer, array.getElementBytes());
  if (type.isUnsignedInteger())
    return std::to_string(value);
  return std::to_string(llvm::SignExtend64(value, 8 * array.getElementBytes()));
}

void rope::printArray(const Array &array, llvm::raw_ostream &os) {
  constexpr int64_t maxElements = 1000, edge = 3;
  ArrayRef<int64_t> shape = array.getShape();
  bool elide = array.getNumElements() > maxElements;
  // Calls `visit` for the indices that are shown, null for those left out.
  auto forShown = [&](int64_t size, llvm::function_ref<void(int64_t)> visit,
                      llvm::function_ref<void()> skipped) {
    for (int64_t i = 0; i < size; ++i) {
      if (elide && size > 2 * edge && i == edge) {
        skipped();
        i = size - edge;
      }
      visit(i);
    }
  };

  // All elements are as wide as the widest, so that columns line up.
  size_t width = 0;
  std::function<void(size_t, int64_t)> measure = [&](size_t dim,
                                                     int64_t index) {
    if (dim == shape.size()) {
      width = std::max(width, getElement(array, index).size());
      return;
    }
    forShown(
        shape[dim],
        [&](int64_t i) { measure(dim + 1, index * shape[dim] + i); }, [] {});
  };
  std::function<void(size_t, int64_t)> print = [&](size_t dim, int64_t index) {
    if (dim == shape.size()) {
      os << llvm::right_justify(getElement(array, index), width);
      return;
    }
    os << "[";
    bool first = true;
    auto separate = [&] {
      if (first) {
        first = false;
        return;
      }
      os << ",";
      if (dim + 1 == shape.size())
        os << " ";
      else
        os << std::string(shape.size() - dim - 1, '\n').substr(0, 2);
      if (dim + 1 != shape.size())
        os.indent(dim + 1);
    };
    forShown(
        shape[dim],
        [&](int64_t i) {
          separate();
          print(dim + 1, index * shape[dim] + i);
        },
        [&] {
          separate();
          os << "...";
        });
    os << "]";
  };
  // An array without elements may have a long dimension around them.
  if (array.getNumElements() == 0) {
    os << "[]";
    return;
  }
  measure(0, 0);
  print(0, 0);
}

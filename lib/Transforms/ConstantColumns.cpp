//===- ConstantColumns.cpp - numbers of constants -------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ConstantColumns.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace mlir::rope;

std::optional<double> rope::getNumber(ElementsAttr constant, int64_t position,
                                      bool isImaginary) {
  Type type = constant.getElementType();
  auto complexType = dyn_cast<ComplexType>(type);
  if (complexType)
    type = complexType.getElementType();
  if (!type.isIntOrIndexOrFloat())
    return std::nullopt;
  bool isSplat = false;
  ArrayRef<char> data;
  if (auto dense = dyn_cast<DenseElementsAttr>(constant)) {
    isSplat = dense.isSplat();
    if (type.isInteger(1) && !complexType)
      return *(dense.value_begin<bool>() + (isSplat ? 0 : position));
    data = dense.getRawData();
  } else if (auto resource = dyn_cast<DenseResourceElementsAttr>(constant)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return std::nullopt;
    data = blob->getData();
  } else {
    return std::nullopt;
  }
  unsigned bits = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  unsigned bytes = bits / 8;
  if (bits % 8 != 0 || bytes > 8)
    return std::nullopt;
  int64_t start = isSplat ? 0 : position * bytes;
  if (complexType)
    start = 2 * start + (isImaginary ? bytes : 0);
  if (start < 0 || start + bytes > int64_t(data.size()))
    return std::nullopt;
  uint64_t raw = 0;
  memcpy(&raw, data.data() + start, bytes);
  // What most constants are is read without the detour.
  if (type.isF32())
    return llvm::bit_cast<float>(uint32_t(raw));
  if (type.isF64())
    return llvm::bit_cast<double>(raw);
  APInt value(bits, raw);
  if (auto floatType = dyn_cast<FloatType>(type))
    return APFloat(floatType.getFloatSemantics(), value).convertToDouble();
  int64_t integer = type.isUnsignedInteger() ? int64_t(value.getZExtValue())
                                             : value.getSExtValue();
  // Larger integers are no numbers that a double holds.
  if (integer > (int64_t(1) << 53) || integer < -(int64_t(1) << 53))
    return std::nullopt;
  return double(integer);
}

/// Signs do not matter to it.
static llvm::hash_code hash(const ConstantColumns::Column &column) {
  llvm::hash_code result = llvm::hash_combine(column.stride, column.count);
  for (int64_t i = 0; i != column.count; ++i) {
    std::optional<double> number = getNumber(
        column.constant, column.start + i * column.stride, column.isImaginary);
    result = llvm::hash_combine(
        result, llvm::bit_cast<uint64_t>(std::abs(number.value_or(0))));
  }
  return result;
}

std::unique_ptr<ConstantColumns::Fit> &
ConstantColumns::getFit(ArrayRef<Column> columns) {
  std::vector<Key> key;
  for (const Column &column : columns)
    key.push_back(getKey(column));
  return fits[std::move(key)];
}

bool ConstantColumns::isCount(const Column &column) {
  auto [it, isNew] = counts.try_emplace(getKey(column), false);
  if (isNew && column.count > 1 && !column.isImaginary) {
    it->second = true;
    for (int64_t i = 0; i != column.count && it->second; ++i)
      it->second = getNumber(column.constant,
                             column.start + i * column.stride) == double(i);
  }
  return it->second;
}

ConstantColumns::Equal ConstantColumns::getEqual(const Column &column) {
  auto [it, isNew] =
      known.try_emplace(getKey(column), Equal{column.start, false});
  if (!isNew)
    return it->second;
  SmallVector<Column, 1> &candidates =
      byHash[{column.constant, uint64_t(hash(column))}];
  for (const Column &other : candidates) {
    if (other.stride != column.stride || other.count != column.count ||
        other.isImaginary != column.isImaginary)
      continue;
    bool isSame = true, isOpposite = true;
    for (int64_t i = 0; i != column.count; ++i) {
      std::optional<double> a =
          getNumber(column.constant, column.start + i * column.stride,
                    column.isImaginary);
      std::optional<double> b = getNumber(
          other.constant, other.start + i * other.stride, other.isImaginary);
      isSame &= a && b && *a == *b;
      isOpposite &= a && b && *a == -*b;
    }
    if (isSame || isOpposite)
      return it->second = {other.start, !isSame};
  }
  candidates.push_back(column);
  return it->second;
}

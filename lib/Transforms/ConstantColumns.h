//===- ConstantColumns.h - numbers of constants -----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_CONSTANTCOLUMNS_H
#define ROPE_LIB_TRANSFORMS_CONSTANTCOLUMNS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseMap.h"
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace mlir::rope {

/// The number at `position`, counted in row-major order, of a constant of
/// floats, integers or complex numbers; nothing for other elements.
std::optional<double> getNumber(ElementsAttr constant, int64_t position,
                                bool isImaginary = false);

/// Columns of constants, read once for all tensors that are looked at: numbers
/// at a fixed distance from each other.
class ConstantColumns {
public:
  struct Column {
    ElementsAttr constant;
    int64_t start, stride, count;
    bool isImaginary;
  };
  /// The first column that was asked for with these numbers, or with all of
  /// them negated.
  struct Equal {
    int64_t start = 0;
    bool isNegated = false;
  };
  Equal getEqual(const Column &column);
  /// Whether the numbers are 0, 1, 2 and so on.
  bool isCount(const Column &column);

  /// The frequencies for which columns of cosines and sines were computed, or
  /// why there are none.
  struct Fit {
    SmallVector<double> frequencies;
    double magnitude = 1;
    bool isExact = false;
    std::string failure;
  };
  /// What was found for columns, in turn the cosines and the sines of a pair;
  /// null at first.
  std::unique_ptr<Fit> &getFit(ArrayRef<Column> columns);

private:
  /// What tells a column from others: the constant, the start, the stride,
  /// which leaves one count in a constant's shape, and the part of a complex
  /// number.
  using Key = std::tuple<const void *, int64_t, int64_t, bool>;
  static Key getKey(const Column &column) {
    return {column.constant.getAsOpaquePointer(), column.start, column.stride,
            column.isImaginary};
  }

  DenseMap<std::pair<Attribute, uint64_t>, SmallVector<Column, 1>> byHash;
  std::map<Key, Equal> known;
  std::map<Key, bool> counts;
  std::map<std::vector<Key>, std::unique_ptr<Fit>> fits;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_CONSTANTCOLUMNS_H

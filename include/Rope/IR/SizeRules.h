//===- SizeRules.h - what operations need of sizes --------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rules of the verifiers about sizes that may be known only at run time:
// assertions, and what callers of a function must know, are made of them.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_SIZERULES_H
#define ROPE_IR_SIZERULES_H

#include "mlir/IR/Operation.h"
#include <string>

namespace mlir::rope {

/// `factor` times dimension `dim` of a tensor or memref, plus `constant`; the
/// constant alone where there is no value.
struct Size {
  Value value;
  int64_t dim = 0, factor = 1, constant = 0;

  /// The number it is, if that is known.
  std::optional<int64_t> getNumber() const;
};

/// `lhs` equals `rhs`, or is at most that.
struct SizeRule {
  Size lhs, rhs;
  bool isEqual;
  /// The label of the rule and what it expects.
  std::string message;
};

/// The rules of an operation of this dialect that do not follow from its types.
SmallVector<SizeRule> getSizeRules(Operation *op);

} // namespace mlir::rope

#endif // ROPE_IR_SIZERULES_H

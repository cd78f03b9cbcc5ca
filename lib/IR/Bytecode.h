//===- Bytecode.h - versions of the rope dialect in files -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How bytecode keeps the dialect, see docs/compatibility.md: the attributes of
// an operation and the parameters of an attribute are its parts, a dictionary
// by name, so that a release can add one that older files do not hold. Whatever
// else a release changes is an Upgrade.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IR_BYTECODE_H
#define ROPE_LIB_IR_BYTECODE_H

#include "mlir/Bytecode/BytecodeImplementation.h"
#include "mlir/IR/OperationSupport.h"
#include <array>
#include <functional>

namespace mlir::rope {

/// The version of the dialect: the first release of this project that reads it.
struct Release : DialectVersion {
  using Numbers = std::array<uint64_t, 3>;
  Release(Numbers numbers) : numbers(numbers) {}
  std::string text() const;

  Numbers numbers;
};

/// What a release changed, for what earlier ones wrote.
struct Upgrade {
  Release::Numbers release;
  /// Changes the parts of `name`, an operation or attribute such as
  /// "rope.apply" or "rope.yarn", before it is made of them. May be null.
  std::function<void(StringRef name, NamedAttrList &parts)> changeParts;
  /// Changes operations once all are read. May be null.
  std::function<void(Operation *root)> changeOperations;
};

class RopeBytecodeInterface : public BytecodeDialectInterface {
public:
  RopeBytecodeInterface(Dialect *dialect) : BytecodeDialectInterface(dialect) {}

  void writeVersion(DialectBytecodeWriter &writer) const final;
  std::unique_ptr<DialectVersion>
  readVersion(DialectBytecodeReader &reader) const final;
  LogicalResult upgradeFromVersion(Operation *root,
                                   const DialectVersion &version) const final;
  LogicalResult writeAttribute(Attribute attr,
                               DialectBytecodeWriter &writer) const final;
  Attribute readAttribute(DialectBytecodeReader &reader) const final;

  /// The version that is written. A release that adds to the dialect or changes
  /// it puts its own number here and keeps a file in test/compat.
  Release version = Release::Numbers{0, 1, 0};
  /// Applied in this order to what releases before theirs wrote.
  SmallVector<Upgrade> upgrades;
};

} // namespace mlir::rope

#endif // ROPE_LIB_IR_BYTECODE_H

//===- Rules.h - rules that several operations have -------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IR_RULES_H
#define ROPE_LIB_IR_RULES_H

#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::rope {

using EmitErrorFn = function_ref<InFlightDiagnostic()>;

/// Static sizes agree where both are known.
bool areCompatible(int64_t a, int64_t b);

/// The sizes that are known of `a` or of `b`, which have one shape.
SmallVector<int64_t> mergeShapes(ShapedType a, ShapedType b);

/// A size as it stands in a type.
std::string sizeText(int64_t size);

/// f16, bf16, f32 or f64.
bool isSupportedFloat(Type type);

/// No operand is a tensor where another is a memref.
LogicalResult verifyOneKind(Operation *op, StringRef label);

/// The static part of the size in bytes of each shaped operand fits a signed
/// 64-bit number.
LogicalResult verifySizes(Operation *op, StringRef label);

/// What rope.table and #rope.angles hold.
struct TableRules {
  ShapedType positions, frequencies;
  std::optional<ArrayRef<int64_t>> axes;
  APFloat magnitude;
  Precision precision;
};

/// Rules table_c2, c3, c6 and c7.
LogicalResult verifyTable(EmitErrorFn emitError, const TableRules &rules);

/// The shape of cosine and sine.
SmallVector<int64_t> inferTableShape(const TableRules &rules);

/// What rope.apply and #rope.rotation hold, and the shapes of what is rotated
/// and of the tables.
struct ApplyRules {
  ArrayRef<int64_t> x, tables;
  Pairing pairing, written;
  ArrayRef<int64_t> positionDims;
  int64_t offset;
  std::optional<int64_t> pairStride;
};

/// Rules apply_c4 to c9.
LogicalResult verifyApply(EmitErrorFn emitError, const ApplyRules &rules);

/// Cosine and sine have one shape and one float element type. Layouts of
/// memrefs may differ, and so may what is known of the sizes.
LogicalResult verifyCosSin(EmitErrorFn emitError, StringRef label,
                           ShapedType cos, ShapedType sin);

//===----------------------------------------------------------------------===//
// Simple interfaces of operations in destination style
//===----------------------------------------------------------------------===//

/// The types of tensor destinations are those of the results.
LogicalResult inferFromInits(ValueRange inits, SmallVectorImpl<Type> &types);

LogicalResult reifyFromInits(OpBuilder &b, DestinationStyleOpInterface op,
                             ReifiedRankedShapedTypeDims &shapes);

/// Inputs on memrefs are read. Destinations are written, and those in
/// `readInits` read before.
void memoryEffects(DestinationStyleOpInterface op,
                   SmallVectorImpl<MemoryEffects::EffectInstance> &effects,
                   bool readInits = false);

/// Sizes that disagree at run time are undefined behaviour, which a condition
/// around the operation may exclude: only static shapes may be speculated.
Speculation::Speculatability speculatability(Operation *op);

} // namespace mlir::rope

#endif // ROPE_LIB_IR_RULES_H

//===- VectorBody.cpp - bodies of linalg operations on vectors ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// What is known of memrefs and sizes
//===----------------------------------------------------------------------===//

bool rope::isContiguous(Value memref) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  return type && succeeded(type.getStridesAndOffset(strides, offset)) &&
         !strides.empty() && strides.back() == 1;
}

/// That of an expression over `operands`.
static int64_t getKnownDivisor(AffineExpr expr, unsigned numDims,
                               ValueRange operands) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return std::abs(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return rope::getKnownDivisor(operands[dim.getPosition()]);
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return rope::getKnownDivisor(operands[numDims + symbol.getPosition()]);
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t left = getKnownDivisor(binary.getLHS(), numDims, operands);
  int64_t right = getKnownDivisor(binary.getRHS(), numDims, operands);
  int64_t product;
  switch (expr.getKind()) {
  case AffineExprKind::Add:
  case AffineExprKind::Mod:
    return std::gcd(left, right);
  case AffineExprKind::Mul:
    return llvm::MulOverflow(left, right, product) ? 1 : product;
  default:
    return 1;
  }
}

int64_t rope::getKnownDivisor(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return std::abs(*constant);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (loop && argument == loop.getInductionVar())
      return std::gcd(getKnownDivisor(loop.getLowerBound()),
                      getKnownDivisor(loop.getStep()));
    return 1;
  }
  auto ofMap = [](AffineMap map, ValueRange operands) {
    int64_t divisor = 0;
    for (AffineExpr expr : map.getResults())
      divisor = std::gcd(divisor,
                         ::getKnownDivisor(expr, map.getNumDims(), operands));
    return divisor;
  };
  Operation *op = value.getDefiningOp();
  if (isa<affine::AffineApplyOp, affine::AffineMinOp, affine::AffineMaxOp>(op))
    return ofMap(cast<AffineMapAttr>(op->getAttr("map")).getValue(),
                 op->getOperands());
  if (isa<arith::MulIOp>(op)) {
    int64_t product;
    return llvm::MulOverflow(getKnownDivisor(op->getOperand(0)),
                             getKnownDivisor(op->getOperand(1)), product)
               ? 1
               : product;
  }
  if (isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MinUIOp,
          arith::MaxSIOp, arith::MaxUIOp>(op))
    return std::gcd(getKnownDivisor(op->getOperand(0)),
                    getKnownDivisor(op->getOperand(1)));
  return 1;
}

//===----------------------------------------------------------------------===//
// VectorBody
//===----------------------------------------------------------------------===//

/// Whether vectors of `type` lie in memory as its elements do: those of other
/// widths, such as i1, are packed.
static bool isVectorElement(Type type) {
  if (type.isIndex())
    return true;
  return type.isIntOrFloat() && type.getIntOrFloatBitWidth() >= 8 &&
         llvm::isPowerOf2_64(type.getIntOrFloatBitWidth());
}

bool VectorBody::isSupported(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics())
    return false;
  for (Operation &inner : op.getBlock()->without_terminator()) {
    // LLVM's powi takes no vector of exponents.
    bool isElementwise = OpTrait::hasElementwiseMappableTraits(&inner) &&
                         inner.getNumRegions() == 0 &&
                         !isa<math::FPowIOp>(inner);
    if (!isElementwise && !isa<linalg::IndexOp, arith::ConstantOp>(inner))
      return false;
    if (!llvm::all_of(inner.getResultTypes(), VectorType::isValidElementType))
      return false;
  }
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    return type &&
           op.getMatchingIndexingMap(&operand).isProjectedPermutation() &&
           (isVectorElement(type.getElementType()) ||
            (type.getElementType().isInteger(1) && op.isDpsInput(&operand)));
  });
}

int64_t VectorBody::getLanes(linalg::LinalgOp op, unsigned vectorBits) {
  unsigned bits = 32;
  for (Value init : op.getDpsInits()) {
    Type element = getElementTypeOrSelf(init.getType());
    if (element.isIntOrFloat())
      bits = std::max(bits, element.getIntOrFloatBitWidth());
  }
  return std::max<int64_t>(1, llvm::bit_floor(vectorBits / bits));
}

void VectorBody::start() { zero = arith::ConstantIndexOp::create(b, 0); }

Value VectorBody::constant(DenseElementsAttr attr) {
  Value &known = constants[attr];
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(zero);
    known = arith::ConstantOp::create(b, attr);
  }
  return known;
}

Value VectorBody::count(Value start, int64_t lanes) {
  // vector.step is no constant.
  auto type = VectorType::get(lanes, b.getIndexType());
  Value steps = constant(DenseElementsAttr::get(
      type, llvm::map_to_vector(llvm::seq<int64_t>(lanes), [&](int64_t i) {
        return Attribute(b.getIndexAttr(i));
      })));
  return arith::AddIOp::create(b, asVector(start, lanes), steps);
}

Value VectorBody::asVector(Value value, int64_t lanes) {
  if (isa<VectorType>(value.getType()))
    return value;
  auto type = VectorType::get(lanes, value.getType());
  if (auto scalar = value.getDefiningOp<arith::ConstantOp>())
    return constant(DenseElementsAttr::get(type, Attribute(scalar.getValue())));
  return vector::BroadcastOp::create(b, type, value);
}

Value VectorBody::asBits(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  if (!isa<FloatType>(type.getElementType()))
    return vector;
  return vector::BitCastOp::create(
      b, type.clone(b.getIntegerType(type.getElementTypeBitWidth())), vector);
}

Value VectorBody::load(Value memref, ValueRange indices, int64_t lanes) {
  auto memrefType = cast<MemRefType>(memref.getType());
  Type element = memrefType.getElementType();
  if (!element.isInteger(1))
    return vector::LoadOp::create(b, VectorType::get(lanes, element), memref,
                                  indices);
  // Both types are the same descriptor and the same bytes in the end, so the
  // cast folds away with those of the conversion to LLVM.
  Value &view = bytes[memref];
  if (!view) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(zero);
    view = UnrealizedConversionCastOp::create(
               b, cast<MemRefType>(memrefType.clone(b.getI8Type())), memref)
               .getResult(0);
  }
  auto type = VectorType::get(lanes, b.getI8Type());
  Value loaded = vector::LoadOp::create(b, type, view, indices);
  return arith::CmpIOp::create(
      b, arith::CmpIPredicate::ne, loaded,
      constant(DenseElementsAttr::get(type, Attribute(b.getI8IntegerAttr(0)))));
}

SmallVector<Value> VectorBody::emit(ValueRange values, int64_t lanes,
                                    llvm::function_ref<Value(unsigned)> index) {
  IRMapping mapping;
  for (auto [argument, value] :
       llvm::zip(op.getBlock()->getArguments(), values))
    if (value)
      mapping.map(argument, value);
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (auto indexOp = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(indexOp.getResult(), index(indexOp.getDim()));
      continue;
    }
    bool isVector = llvm::any_of(inner.getOperands(), [&](Value operand) {
      return isa<VectorType>(mapping.lookupOrDefault(operand).getType());
    });
    if (isVector)
      for (Value operand : inner.getOperands())
        mapping.map(operand, asVector(mapping.lookupOrDefault(operand), lanes));
    Operation *clone = b.clone(inner, mapping);
    if (isVector)
      for (Value result : clone->getResults())
        result.setType(VectorType::get(lanes, result.getType()));
  }
  return llvm::map_to_vector(
      op.getBlock()->getTerminator()->getOperands(),
      [&](Value value) { return mapping.lookupOrDefault(value); });
}

//===- ElementScalars.cpp - elements as functions of scalars -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Complex/IR/Complex.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tosa/IR/TosaOps.h"
#include "mlir/Dialect/Tosa/Utils/ConversionUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

ExprRef Elements::getScalar(LinalgOp op, Value scalar,
                            ArrayRef<AffineExpr> loops, bool isImaginary) {
  Body body(op.getBlock(), op, loops);
  return evaluate(body, scalar, isImaginary);
}

/// A scalar that stands outside of any body that is looked at.
ExprRef Elements::getOutside(Value value, bool isImaginary) {
  Body body(nullptr, nullptr, {});
  return evaluate(body, value, isImaginary);
}

ExprRef Elements::evaluate(Body &body, Value scalar, bool isImaginary) {
  auto [it, isNew] =
      body.known.try_emplace({scalar, unsigned(isImaginary)}, nullptr);
  if (!isNew && it->second)
    return it->second;
  auto opaque = [&] { return makeScalar(scalar, isImaginary, body.loops); };
  auto compute = [&]() -> ExprRef {
    if (body.depth > kMaxDepth)
      return opaque();
    ++body.depth;
    llvm::scope_exit leave([&] { --body.depth; });
    if (auto argument = dyn_cast<BlockArgument>(scalar)) {
      if (!body.block || argument.getOwner() != body.block)
        return makeScalar(scalar, isImaginary);
      if (!body.op)
        return makeIndex(body.loops[argument.getArgNumber()]);
      OpOperand *operand = body.op.getMatchingOpOperand(argument);
      if (!isa<RankedTensorType>(operand->get().getType()))
        return getOutside(operand->get(), isImaginary);
      AffineMap map = body.op.getMatchingIndexingMap(operand);
      SmallVector<AffineExpr> indices =
          llvm::map_to_vector(map.getResults(), [&](AffineExpr result) {
            return result.replaceDims(body.loops);
          });
      return getElement(operand->get(), indices, isImaginary);
    }
    Operation *op = scalar.getDefiningOp();
    bool isInside = body.block && op->getBlock() == body.block;
    if (body.block && !isInside)
      return getOutside(scalar, isImaginary);
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      return isInside ? makeIndex(body.loops[index.getDim()]) : opaque();
    if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      SmallVector<AffineExpr> indices =
          llvm::map_to_vector(extract.getIndices(), [&](Value index) {
            return toAffine(evaluate(body, index, false));
          });
      narrow(extract.getTensor(), indices);
      return getElement(extract.getTensor(), indices, isImaginary);
    }
    if (op->getNumResults() != 1 || op->getNumRegions() != 0 || !isPure(op) ||
        llvm::any_of(op->getOperandTypes(),
                     [](Type type) { return isa<ShapedType>(type); }))
      return opaque();
    ExprRef result = evaluateOp(
        op,
        [&](unsigned i, bool part) {
          return evaluate(body, op->getOperand(i), part);
        },
        isImaginary);
    return result ? result : opaque();
  };
  ExprRef result = compute();
  body.known[{scalar, unsigned(isImaginary)}] = result;
  return result;
}

ExprRef Elements::evaluateOp(Operation *op,
                             function_ref<ExprRef(unsigned, bool)> operand,
                             bool isImaginary) {
  Type resultType = getScalarType(op->getResult(0));
  bool isComplex = isa<ComplexType>(resultType) ||
                   llvm::any_of(op->getOperands(), [](Value value) {
                     return isa<ComplexType>(getScalarType(value));
                   });
  if (isComplex)
    return evaluateComplex(op, operand, isImaginary);
  if (Attribute constant; matchPattern(op, m_Constant(&constant))) {
    if (auto number = dyn_cast<FloatAttr>(constant))
      return makeNumber(number.getValueAsDouble(),
                        cast<FloatType>(number.getType()));
    if (auto integer = dyn_cast<IntegerAttr>(constant))
      if (integer.getValue().getSignificantBits() <= 64)
        return makeInteger(resultType.isInteger(1)
                               ? int64_t(integer.getValue().getZExtValue())
                               : integer.getValue().getSExtValue());
    return nullptr;
  }
  SmallVector<ExprRef> operands;
  unsigned count = op->getNumOperands();
  // The others are what TOSA's operations are scaled or shifted by.
  if (isa<tosa::MulOp>(op))
    count = 2;
  if (isa<tosa::NegateOp>(op))
    count = 1;
  for (unsigned i = 0; i != count; ++i)
    operands.push_back(operand(i, false));
  return evaluateReal(op, operands);
}

ExprRef Elements::evaluateReal(Operation *op, ArrayRef<ExprRef> operands) {
  Type resultType = getScalarType(op->getResult(0));
  if (isa<arith::SelectOp, tosa::SelectOp>(op))
    if (ExprRef condition = resolve(operands[0]); condition->isInteger())
      return operands[condition->integer ? 1 : 2];
  auto type = dyn_cast<FloatType>(resultType);
  if (!type)
    return isa<IntegerType, IndexType>(resultType)
               ? evaluateInteger(op, operands)
               : nullptr;
  return TypeSwitch<Operation *, ExprRef>(op)
      .Case<arith::AddFOp, tosa::AddOp>(
          [&](auto) { return make(Fn::add, type, operands); })
      .Case<arith::SubFOp, tosa::SubOp>([&](auto) {
        return makeSum(operands[0], operands[1], /*isDifference=*/true, type);
      })
      .Case<arith::MulFOp, tosa::MulOp>(
          [&](auto) { return make(Fn::mul, type, operands); })
      .Case([&](arith::DivFOp) { return make(Fn::div, type, operands); })
      .Case<arith::NegFOp, tosa::NegateOp>(
          [&](auto) { return make(Fn::neg, type, operands); })
      .Case([&](math::FmaOp) {
        return make(
            Fn::add, type,
            {make(Fn::mul, type, {operands[0], operands[1]}), operands[2]});
      })
      .Case<math::CosOp, tosa::CosOp>(
          [&](auto) { return make(Fn::cos, type, operands); })
      .Case<math::SinOp, tosa::SinOp>(
          [&](auto) { return make(Fn::sin, type, operands); })
      .Case<arith::ExtFOp, arith::TruncFOp>(
          [&](auto) { return make(Fn::cast, type, operands); })
      .Case([&](tosa::CastOp) {
        return make(operands[0]->type ? Fn::cast : Fn::fromInt, type, operands);
      })
      .Case([&](arith::SIToFPOp) { return make(Fn::fromInt, type, operands); })
      .Case([&](arith::UIToFPOp) -> ExprRef {
        // Indices have no sign.
        if (operands[0]->is(Expr::Kind::index) &&
            getBounds(operands[0]->indices[0]).low.value_or(-1) >= 0)
          return make(Fn::fromInt, type, operands);
        if (operands[0]->isInteger() && operands[0]->integer >= 0)
          return make(Fn::fromInt, type, operands);
        return makeOther(op, type, operands);
      })
      .Case([&](tosa::IdentityOp) { return operands[0]; })
      .Default([&](Operation *) { return makeOther(op, type, operands); });
}

ExprRef Elements::evaluateComplex(Operation *op,
                                  function_ref<ExprRef(unsigned, bool)> operand,
                                  bool isImaginary) {
  auto complexType = dyn_cast<ComplexType>(getScalarType(op->getResult(0)));
  Type element = complexType ? complexType.getElementType()
                             : getScalarType(op->getResult(0));
  auto type = dyn_cast<FloatType>(element);
  if (!type)
    return nullptr;
  auto mul = [&](bool x, bool y) {
    return make(Fn::mul, type, {operand(0, x), operand(1, y)});
  };
  return TypeSwitch<Operation *, ExprRef>(op)
      .Case([&](complex::CreateOp) { return operand(isImaginary, false); })
      .Case([&](complex::ReOp) { return operand(0, false); })
      .Case([&](complex::ImOp) { return operand(0, true); })
      .Case([&](complex::ConstantOp constant) {
        auto part = cast<FloatAttr>(constant.getValue()[isImaginary]);
        return makeNumber(part.getValueAsDouble(), type);
      })
      .Case([&](complex::MulOp) {
        return isImaginary
                   ? makeSum(mul(false, true), mul(true, false), false, type)
                   : makeSum(mul(false, false), mul(true, true), true, type);
      })
      .Case<complex::AddOp, complex::SubOp>([&](auto) {
        return makeSum(operand(0, isImaginary), operand(1, isImaginary),
                       isa<complex::SubOp>(op), type);
      })
      .Case([&](complex::NegOp) {
        return make(Fn::neg, type, operand(0, isImaginary));
      })
      .Case([&](complex::ConjOp) {
        ExprRef part = operand(0, isImaginary);
        return isImaginary ? make(Fn::neg, type, part) : part;
      })
      .Case([&](complex::ExpOp) -> ExprRef {
        // Only a phase: what e^x rounds to is not cosine and sine's factor.
        ExprRef real = operand(0, false);
        if (!real->isFloatNumber() || real->number != 0)
          return nullptr;
        return make(isImaginary ? Fn::sin : Fn::cos, type, operand(0, true));
      })
      .Case([&](arith::SelectOp) -> ExprRef {
        ExprRef condition = resolve(operand(0, false));
        if (!condition->isInteger())
          return nullptr;
        return operand(condition->integer ? 1 : 2, isImaginary);
      })
      .Default([](Operation *) { return nullptr; });
}

ExprRef Elements::evaluateInteger(Operation *op, ArrayRef<ExprRef> operands) {
  auto other = [&] { return makeOther(op, nullptr, operands); };
  auto isMask = [](int64_t value) { return llvm::isPowerOf2_64(value + 1); };
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp>(op))
    return operands[0];
  if (operands.size() == 1) {
    ExprRef operand = operands[0];
    bool isIndex = operand->is(Expr::Kind::index);
    // What an index needs, an integer that it is cast to holds.
    if (isa<arith::TruncIOp, arith::ExtUIOp, tosa::CastOp>(op) &&
        !operand->type &&
        (isIndex || (operand->isInteger() && operand->integer >= 0)))
      return operand;
    if (isa<tosa::CastOp>(op) && !operand->type &&
        getScalarType(op->getResult(0)).getIntOrFloatBitWidth() >=
            getScalarType(op->getOperand(0)).getIntOrFloatBitWidth())
      return operand;
    return other();
  }
  if (operands.size() != 2 || operands[0]->type || operands[1]->type)
    return other();
  AffineExpr a = toAffine(operands[0]), b = toAffine(operands[1]);
  auto lhs = dyn_cast<AffineConstantExpr>(a);
  auto rhs = dyn_cast<AffineConstantExpr>(b);
  bool isPositive = getBounds(a).low.value_or(-1) >= 0;
  auto booleans = [&](auto function) -> ExprRef {
    if (lhs && rhs)
      return makeInteger(function(lhs.getValue(), rhs.getValue()));
    return other();
  };
  return TypeSwitch<Operation *, ExprRef>(op)
      .Case<arith::AddIOp, tosa::AddOp>([&](auto) { return makeIndex(a + b); })
      .Case<arith::SubIOp, tosa::SubOp>([&](auto) { return makeIndex(a - b); })
      .Case<arith::MulIOp, tosa::MulOp>(
          [&](auto) { return lhs || rhs ? makeIndex(a * b) : other(); })
      .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>([&](auto) {
        return rhs && rhs.getValue() > 0 &&
                       (isPositive || isa<arith::FloorDivSIOp>(op))
                   ? makeIndex(a.floorDiv(b))
                   : other();
      })
      .Case<arith::RemSIOp, arith::RemUIOp>([&](auto) {
        return rhs && rhs.getValue() > 0 && isPositive ? makeIndex(a % b)
                                                       : other();
      })
      .Case([&](arith::ShLIOp) {
        return rhs && rhs.getValue() >= 0 && rhs.getValue() < 62
                   ? makeIndex(a * (int64_t(1) << rhs.getValue()))
                   : other();
      })
      .Case<arith::ShRSIOp, arith::ShRUIOp>([&](auto) {
        return rhs && rhs.getValue() >= 0 && rhs.getValue() < 62 && isPositive
                   ? makeIndex(a.floorDiv(int64_t(1) << rhs.getValue()))
                   : other();
      })
      .Case<arith::MaxSIOp, arith::MinSIOp>([&](auto) -> ExprRef {
        Bounds bounds = getBounds(simplify(a - b));
        bool isMax = isa<arith::MaxSIOp>(op);
        if (bounds.low && *bounds.low >= 0)
          return operands[isMax ? 0 : 1];
        if (bounds.high && *bounds.high <= 0)
          return operands[isMax ? 1 : 0];
        return other();
      })
      .Case([&](arith::AndIOp) {
        if (rhs && rhs.getValue() > 0 && isMask(rhs.getValue()) && !lhs)
          return makeIndex(a % (rhs.getValue() + 1));
        return booleans([](int64_t x, int64_t y) { return x & y; });
      })
      .Case([&](arith::OrIOp) {
        return booleans([](int64_t x, int64_t y) { return x | y; });
      })
      .Case([&](arith::XOrIOp) {
        return booleans([](int64_t x, int64_t y) { return x ^ y; });
      })
      .Case([&](arith::CmpIOp compare) -> ExprRef {
        using Predicate = arith::CmpIPredicate;
        Bounds bounds = getBounds(simplify(a - b));
        auto known = [&](std::optional<bool> value) {
          return value ? makeInteger(*value) : other();
        };
        auto isBelow = [&](int64_t limit) -> std::optional<bool> {
          if (bounds.high && *bounds.high < limit)
            return true;
          if (bounds.low && *bounds.low >= limit)
            return false;
          return std::nullopt;
        };
        auto invert = [](std::optional<bool> value) {
          return value ? std::optional<bool>(!*value) : value;
        };
        bool isUnsigned = llvm::is_contained(
            {Predicate::ult, Predicate::ule, Predicate::ugt, Predicate::uge},
            compare.getPredicate());
        if (isUnsigned && (!isPositive || getBounds(b).low.value_or(-1) < 0))
          return other();
        switch (compare.getPredicate()) {
        case Predicate::eq:
        case Predicate::ne: {
          std::optional<bool> isEqual;
          if (bounds.low && bounds.low == bounds.high)
            isEqual = *bounds.low == 0;
          else if ((bounds.low && *bounds.low > 0) ||
                   (bounds.high && *bounds.high < 0))
            isEqual = false;
          return known(compare.getPredicate() == Predicate::eq
                           ? isEqual
                           : invert(isEqual));
        }
        case Predicate::slt:
        case Predicate::ult:
          return known(isBelow(0));
        case Predicate::sle:
        case Predicate::ule:
          return known(isBelow(1));
        case Predicate::sgt:
        case Predicate::ugt:
          return known(invert(isBelow(1)));
        case Predicate::sge:
        case Predicate::uge:
          return known(invert(isBelow(0)));
        }
        return other();
      })
      .Default([&](Operation *) { return other(); });
}

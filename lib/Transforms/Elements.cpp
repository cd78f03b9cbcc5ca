//===- Elements.cpp - what an element of a tensor is made of -----------===//
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

//===----------------------------------------------------------------------===//
// Making expressions
//===----------------------------------------------------------------------===//

static double roundTo(double number, FloatType type) {
  APFloat value(number);
  bool losesInfo = false;
  value.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                &losesInfo);
  return value.convertToDouble();
}

void Expr::Profile(llvm::FoldingSetNodeID &id) const {
  id.AddInteger(unsigned(kind));
  id.AddInteger(unsigned(fn));
  id.AddBoolean(isImaginary);
  id.AddPointer(type ? type.getAsOpaquePointer() : nullptr);
  id.AddPointer(value ? value.getAsOpaquePointer() : nullptr);
  id.AddInteger(llvm::bit_cast<uint64_t>(number));
  id.AddInteger(integer);
  for (AffineExpr index : indices)
    id.AddPointer(index.getAsOpaquePointer());
  for (const Expr *operand : operands)
    id.AddPointer(operand);
  if (source) {
    id.AddPointer(source->getName().getAsOpaquePointer());
    id.AddPointer(source->getAttrDictionary().getAsOpaquePointer());
  }
}

void Elements::narrow(Value tensor, ArrayRef<AffineExpr> indices) {
  for (unsigned dim = 0, e = sizes.size(); dim != e; ++dim)
    if (llvm::any_of(indices, [&](AffineExpr index) {
          return index.isFunctionOfDim(dim);
        }))
      narrowed[tensor] |= uint64_t(1) << dim;
}

ExprRef Elements::unique(const Expr &expr) {
  llvm::FoldingSetNodeID id;
  expr.Profile(id);
  void *position = nullptr;
  if (Expr *found = exprs.FindNodeOrInsertPos(id, position))
    return found;
  if (budget > 0)
    --budget;
  Expr *made = new (allocator) Expr(expr);
  auto keep = [&](auto list) {
    using T =
        std::remove_const_t<std::remove_reference_t<decltype(list.front())>>;
    T *copy = allocator.Allocate<T>(list.size());
    llvm::uninitialized_copy(list, copy);
    return ArrayRef<T>(copy, list.size());
  };
  made->indices = keep(expr.indices);
  made->operands = keep(expr.operands);
  exprs.InsertNode(made, position);
  return made;
}

ExprRef Elements::makeNumber(double number, FloatType type) {
  Expr expr;
  expr.kind = Expr::Kind::number;
  expr.type = type;
  expr.number = roundTo(number, type);
  return unique(expr);
}

ExprRef Elements::makeInteger(int64_t integer) {
  Expr expr;
  expr.kind = Expr::Kind::number;
  expr.integer = integer;
  return unique(expr);
}

/// `loops` are those of the body that the scalar stands in: its value differs
/// from iteration to iteration.
ExprRef Elements::makeScalar(Value value, bool isImaginary,
                             ArrayRef<AffineExpr> loops) {
  Expr expr;
  expr.kind = Expr::Kind::scalar;
  expr.type = getFloatType(value.getType());
  expr.value = value;
  expr.isImaginary = isImaginary;
  expr.indices = loops;
  return unique(expr);
}

ExprRef Elements::makeIndex(AffineExpr index) {
  index = simplify(index);
  if (auto constant = dyn_cast<AffineConstantExpr>(index))
    return makeInteger(constant.getValue());
  if (auto symbol = dyn_cast<AffineSymbolExpr>(index))
    return symbols[symbol.getPosition()];
  Expr expr;
  expr.kind = Expr::Kind::index;
  expr.indices = index;
  return unique(expr);
}

AffineExpr Elements::toAffine(ExprRef integer) {
  integer = resolve(integer);
  if (integer->isInteger())
    return getAffineConstantExpr(integer->integer, context);
  if (integer->is(Expr::Kind::index))
    return integer->indices.front();
  auto [it, isNew] = symbolOf.try_emplace(integer, symbols.size());
  if (isNew)
    symbols.push_back(integer);
  return getAffineSymbolExpr(it->second, context);
}

static bool isNegated(ExprRef expr) { return expr->is(Fn::neg); }

ExprRef Elements::makeSum(ExprRef a, ExprRef b, bool isDifference,
                          FloatType type) {
  return make(Fn::add, type, {a, isDifference ? make(Fn::neg, type, b) : b});
}

ExprRef Elements::make(Fn fn, FloatType type, ArrayRef<ExprRef> given) {
  SmallVector<ExprRef, 2> operands(given);
  auto isNumber = [](ExprRef expr) { return expr->isFloatNumber(); };
  auto is = [&](unsigned i, double number) {
    return isNumber(operands[i]) && operands[i]->number == number;
  };
  auto neg = [&](ExprRef expr) { return make(Fn::neg, type, expr); };
  bool areNumbers = llvm::all_of(operands, isNumber);
  switch (fn) {
  case Fn::neg:
    if (areNumbers)
      return makeNumber(-operands[0]->number, type);
    if (isNegated(operands[0]))
      return operands[0]->operands[0];
    break;
  case Fn::add:
    if (areNumbers)
      return makeNumber(operands[0]->number + operands[1]->number, type);
    for (unsigned i : {0, 1})
      if (is(i, 0))
        return operands[1 - i];
    if (isNegated(operands[0]) && isNegated(operands[1]))
      return neg(
          make(fn, type, {operands[0]->operands[0], operands[1]->operands[0]}));
    break;
  case Fn::mul:
  case Fn::div: {
    if (areNumbers)
      return makeNumber(fn == Fn::mul
                            ? operands[0]->number * operands[1]->number
                            : operands[0]->number / operands[1]->number,
                        type);
    bool isNegative = false;
    for (ExprRef &operand : operands) {
      if (isNegated(operand)) {
        operand = operand->operands[0];
        isNegative = !isNegative;
      } else if (isNumber(operand) && operand->number < 0) {
        operand = makeNumber(-operand->number, operand->type);
        isNegative = !isNegative;
      }
    }
    if (isNegative)
      return neg(make(fn, type, operands));
    if (fn == Fn::div) {
      if (is(1, 1))
        return operands[0];
      // The inverse of a power of two is one, so that nothing is rounded.
      int exponent = 0;
      if (isNumber(operands[1]) &&
          std::frexp(operands[1]->number, &exponent) == 0.5)
        return make(Fn::mul, type,
                    {operands[0], makeNumber(1 / operands[1]->number, type)});
      break;
    }
    for (unsigned i : {0, 1})
      if (is(i, 1))
        return operands[1 - i];
    if (isNumber(operands[1]))
      std::swap(operands[0], operands[1]);
    break;
  }
  case Fn::cast: {
    ExprRef inner = operands[0];
    if (inner->type == type)
      return inner;
    if (areNumbers)
      return makeNumber(inner->number, type);
    if (isNegated(inner))
      return neg(make(fn, type, inner->operands[0]));
    if (inner->is(Fn::cast) && inner->operands[0]->type == type &&
        type.getWidth() < inner->type.getWidth())
      return inner->operands[0];
    break;
  }
  case Fn::fromInt:
    if (operands[0]->isInteger())
      return makeNumber(double(operands[0]->integer), type);
    break;
  case Fn::cos:
    if (areNumbers)
      return makeNumber(std::cos(operands[0]->number), type);
    if (isNegated(operands[0]))
      operands[0] = operands[0]->operands[0];
    break;
  case Fn::sin:
    if (areNumbers)
      return makeNumber(std::sin(operands[0]->number), type);
    if (isNegated(operands[0]))
      return neg(make(fn, type, operands[0]->operands[0]));
    break;
  case Fn::other:
    break;
  }
  Expr expr;
  expr.kind = Expr::Kind::op;
  expr.fn = fn;
  expr.type = type;
  expr.operands = operands;
  return unique(expr);
}

/// What a function of numbers computes, in double precision.
static std::optional<double> fold(Operation *op, ArrayRef<ExprRef> operands) {
  if (operands.empty() || !llvm::all_of(operands, [](ExprRef operand) {
        return operand->is(Expr::Kind::number);
      }))
    return std::nullopt;
  auto get = [&](unsigned i) {
    return operands[i]->type ? operands[i]->number
                             : double(operands[i]->integer);
  };
  double a = get(0), b = operands.size() > 1 ? get(1) : 0;
  return TypeSwitch<Operation *, std::optional<double>>(op)
      .Case<math::PowFOp, math::FPowIOp, tosa::PowOp>(
          [&](auto) { return std::pow(a, b); })
      .Case<math::ExpOp, tosa::ExpOp>([&](auto) { return std::exp(a); })
      .Case([&](math::Exp2Op) { return std::exp2(a); })
      .Case<math::LogOp, tosa::LogOp>([&](auto) { return std::log(a); })
      .Case([&](math::Log2Op) { return std::log2(a); })
      .Case([&](math::SqrtOp) { return std::sqrt(a); })
      .Case<math::RsqrtOp, tosa::RsqrtOp>(
          [&](auto) { return 1 / std::sqrt(a); })
      .Case([&](tosa::ReciprocalOp) { return 1 / a; })
      .Case([&](math::AbsFOp) { return std::abs(a); })
      .Case<math::FloorOp, tosa::FloorOp>([&](auto) { return std::floor(a); })
      .Case([&](math::CeilOp) { return std::ceil(a); })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>(
          [&](auto) { return std::max(a, b); })
      .Case<arith::MinimumFOp, arith::MinNumFOp>(
          [&](auto) { return std::min(a, b); })
      .Default([](Operation *) { return std::nullopt; });
}

ExprRef Elements::makeOther(Operation *op, FloatType type,
                            ArrayRef<ExprRef> operands) {
  if (type)
    if (std::optional<double> number = fold(op, operands))
      return makeNumber(*number, type);
  Expr expr;
  expr.kind = Expr::Kind::op;
  expr.fn = Fn::other;
  expr.type = type;
  expr.operands = operands;
  expr.source = op;
  return unique(expr);
}

ExprRef Elements::resolve(ExprRef expr, unsigned depth) {
  if (auto it = resolved.find(expr); it != resolved.end())
    return it->second;
  ExprRef result = expr;
  if (depth < kMaxDepth && budget > 0) {
    if (expr->is(Expr::Kind::element)) {
      ExprRef next = expand(expr);
      result = next ? resolve(next, depth + 1) : getEqualColumn(expr);
    } else if (expr->is(Expr::Kind::op)) {
      SmallVector<ExprRef, 2> operands =
          llvm::map_to_vector<2>(expr->operands, [&](ExprRef operand) {
            return resolve(operand, depth + 1);
          });
      if (expr->fn != Fn::other) {
        result = make(expr->fn, expr->type, operands);
      } else if (ArrayRef(operands) != expr->operands) {
        result = evaluateReal(expr->source, operands);
      }
    }
  }
  resolved[expr] = result;
  if (expr->is(Expr::Kind::element)) {
    SmallVector<ExprRef, 4> &list = holders[result];
    if (!llvm::is_contained(list, expr))
      list.insert(list.begin(), expr);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

Elements::Bounds Elements::getBounds(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return {constant.getValue(), constant.getValue()};
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    int64_t size = sizes[dim.getPosition()];
    if (ShapedType::isDynamic(size))
      return {0, std::nullopt};
    return {0, size - 1};
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return {};
  Bounds a = getBounds(binary.getLHS()), b = getBounds(binary.getRHS());
  auto combine = [](std::optional<int64_t> x, std::optional<int64_t> y,
                    auto function) -> std::optional<int64_t> {
    return x && y ? function(*x, *y) : std::nullopt;
  };
  auto add = [](int64_t x, int64_t y) { return llvm::checkedAdd(x, y); };
  auto mul = [](int64_t x, int64_t y) { return llvm::checkedMul(x, y); };
  auto divide = [](int64_t x, int64_t y) {
    return std::optional<int64_t>(llvm::divideFloorSigned(x, y));
  };
  if (expr.getKind() == AffineExprKind::Add)
    return {combine(a.low, b.low, add), combine(a.high, b.high, add)};
  if (!b.low || b.low != b.high)
    return {};
  if (expr.getKind() == AffineExprKind::Mul)
    return *b.low >= 0
               ? Bounds{combine(a.low, b.low, mul), combine(a.high, b.low, mul)}
               : Bounds{combine(a.high, b.low, mul),
                        combine(a.low, b.low, mul)};
  if (*b.low <= 0)
    return {};
  if (expr.getKind() == AffineExprKind::FloorDiv)
    return {combine(a.low, b.low, divide), combine(a.high, b.low, divide)};
  if (expr.getKind() == AffineExprKind::Mod)
    return {0, *b.low - 1};
  return {};
}

AffineExpr Elements::simplify(AffineExpr expr) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return sizes[dim.getPosition()] == 1 ? getAffineConstantExpr(0, context)
                                         : expr;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr;
  AffineExpr lhs = simplify(binary.getLHS()), rhs = simplify(binary.getRHS());
  // Sums of multiples, so that each is divided alone.
  if (auto sum = dyn_cast<AffineBinaryOpExpr>(lhs);
      sum && sum.getKind() == AffineExprKind::Add &&
      expr.getKind() == AffineExprKind::Mul && isa<AffineConstantExpr>(rhs))
    return simplify(sum.getLHS() * rhs + sum.getRHS() * rhs);
  AffineExpr made = getAffineBinaryOpExpr(expr.getKind(), lhs, rhs);
  if (made != expr)
    return simplify(made);
  auto divisor = dyn_cast<AffineConstantExpr>(rhs);
  bool isDivision = expr.getKind() == AffineExprKind::FloorDiv;
  if (!divisor || divisor.getValue() <= 0 ||
      (!isDivision && expr.getKind() != AffineExprKind::Mod))
    return expr;
  // Quotients of a range that lies between two multiples are known.
  Bounds bounds = getBounds(lhs);
  if (!bounds.low || !bounds.high)
    return expr;
  int64_t quotient = llvm::divideFloorSigned(*bounds.low, divisor.getValue());
  if (quotient != llvm::divideFloorSigned(*bounds.high, divisor.getValue()))
    return expr;
  return isDivision ? getAffineConstantExpr(quotient, context)
                    : lhs - quotient * divisor.getValue();
}

/// Whether low <= index < high, where that is the same for all indices.
std::optional<bool> Elements::isWithin(AffineExpr index, int64_t low,
                                       int64_t high) {
  Bounds bounds = getBounds(index);
  if (bounds.low && bounds.high && *bounds.low >= low && *bounds.high < high)
    return true;
  if ((bounds.high && *bounds.high < low) ||
      (bounds.low && *bounds.low >= high))
    return false;
  return std::nullopt;
}

std::optional<AffineExpr> Elements::linearize(ArrayRef<int64_t> shape,
                                              ArrayRef<AffineExpr> indices) {
  AffineExpr result = getAffineConstantExpr(0, context);
  for (auto [size, index] : llvm::zip_equal(shape, indices)) {
    if (size == 1)
      continue;
    if (ShapedType::isDynamic(size) && result != 0)
      return std::nullopt;
    result = result == 0 ? index : result * size + index;
  }
  return result;
}

std::optional<SmallVector<AffineExpr>>
Elements::delinearize(ArrayRef<int64_t> shape, AffineExpr index) {
  AffineExpr zero = getAffineConstantExpr(0, context);
  SmallVector<AffineExpr> result(shape.size(), zero);
  SmallVector<unsigned> wide;
  for (auto [i, size] : llvm::enumerate(shape))
    if (size != 1)
      wide.push_back(i);
  for (unsigned i : llvm::reverse(wide)) {
    if (i == wide.front()) {
      result[i] = index;
      break;
    }
    if (index == zero)
      break;
    if (ShapedType::isDynamic(shape[i]) || shape[i] == 0)
      return std::nullopt;
    result[i] = simplify(index % shape[i]);
    index = simplify(index.floorDiv(shape[i]));
  }
  return result;
}

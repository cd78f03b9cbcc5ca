//===- Elements.cpp - what an element of a tensor is made of --------------===//
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
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

/// How deep expressions are read. Residual streams are chains of sums as long
/// as a model has layers.
static constexpr unsigned kMaxDepth = 192;

//===----------------------------------------------------------------------===//
// Constants and sizes
//===----------------------------------------------------------------------===//

static double roundTo(double number, FloatType type) {
  APFloat value(number);
  bool losesInfo = false;
  value.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                &losesInfo);
  return value.convertToDouble();
}

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
  std::vector<uint64_t> key;
  for (const Column &column : columns) {
    key.push_back(
        reinterpret_cast<uintptr_t>(column.constant.getAsOpaquePointer()));
    key.push_back(column.start);
    key.push_back(column.stride);
    key.push_back(column.isImaginary);
  }
  return fits[std::move(key)];
}

bool ConstantColumns::isCount(const Column &column) {
  auto [it, isNew] = counts.try_emplace(
      {column.constant, llvm::hash_combine(column.start, column.stride)},
      false);
  if (isNew && column.count > 1 && !column.isImaginary) {
    it->second = true;
    for (int64_t i = 0; i != column.count && it->second; ++i)
      it->second = getNumber(column.constant,
                             column.start + i * column.stride) == double(i);
  }
  return it->second;
}

ConstantColumns::Equal ConstantColumns::getEqual(const Column &column) {
  auto [it, isNew] = known.try_emplace(
      {column.constant,
       llvm::hash_combine(column.start, column.stride, column.isImaginary)},
      Equal{column.start, false});
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

//===----------------------------------------------------------------------===//
// Making expressions
//===----------------------------------------------------------------------===//

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
  Type type = value.getType();
  if (auto complexType = dyn_cast<ComplexType>(type))
    type = complexType.getElementType();
  expr.type = dyn_cast<FloatType>(type);
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

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

/// The body of an operation at given loop indices.
struct Elements::Body {
  Body(Block *block, LinalgOp op, ArrayRef<AffineExpr> loops)
      : block(block), op(op), loops(loops) {}
  Block *block;
  LinalgOp op;
  ArrayRef<AffineExpr> loops;
  DenseMap<std::pair<Value, unsigned>, ExprRef> known;
  unsigned depth = 0;
};

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

static Type getScalarType(Value value) {
  return getElementTypeOrSelf(value.getType());
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

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

ExprRef Elements::getElement(Value tensor, ArrayRef<AffineExpr> indices,
                             bool isImaginary) {
  Expr expr;
  expr.kind = Expr::Kind::element;
  auto type = cast<ShapedType>(tensor.getType());
  Type element = type.getElementType();
  if (auto complexType = dyn_cast<ComplexType>(element))
    element = complexType.getElementType();
  expr.type = dyn_cast<FloatType>(element);
  expr.value = tensor;
  expr.isImaginary = isImaginary;
  SmallVector<AffineExpr> simplified;
  for (auto [i, index] : llvm::enumerate(indices))
    simplified.push_back(type.hasRank() && type.getDimSize(i) == 1
                             ? getAffineConstantExpr(0, context)
                             : simplify(index));
  expr.indices = simplified;
  return unique(expr);
}

/// A constant's element whose indices are constants.
ExprRef Elements::getConstantElement(ExprRef element) {
  ElementsAttr constant;
  if (!matchPattern(element->value, m_Constant(&constant)))
    return nullptr;
  ArrayRef<int64_t> shape =
      cast<ShapedType>(element->value.getType()).getShape();
  int64_t position = 0;
  bool isSplat = constant.isSplat();
  for (auto [size, index] : llvm::zip_equal(shape, element->indices)) {
    auto known = dyn_cast<AffineConstantExpr>(index);
    if (isSplat)
      continue;
    if (!known || known.getValue() < 0 || known.getValue() >= size)
      return nullptr;
    position = position * size + known.getValue();
  }
  std::optional<double> number =
      getNumber(constant, position, element->isImaginary);
  if (!number)
    return nullptr;
  return element->type ? makeNumber(*number, element->type)
                       : makeInteger(int64_t(*number));
}

/// The element of the first of equal columns that an element of a constant is
/// in: equal columns are one, and what one negates is its negation. Numbers
/// that are their own positions are these.
ExprRef Elements::getEqualColumn(ExprRef element) {
  ElementsAttr constant;
  if (!matchPattern(element->value, m_Constant(&constant)))
    return element;
  auto type = cast<RankedTensorType>(element->value.getType());
  ConstantColumns::Column column = {constant, 0, 0, 0, element->isImaginary};
  int64_t row = -1;
  for (auto [i, size, index] :
       llvm::enumerate(type.getShape(), element->indices)) {
    column.start *= size;
    column.stride *= size;
    if (auto known = dyn_cast<AffineConstantExpr>(index)) {
      column.start += known.getValue();
    } else if (row >= 0) {
      return element;
    } else {
      row = i;
      column.stride = 1;
      column.count = size;
    }
  }
  if (row < 0)
    return element;
  if (columns.isCount(column)) {
    ExprRef index = makeIndex(element->indices[row]);
    return element->type ? make(Fn::fromInt, element->type, index) : index;
  }
  if (!element->type)
    return element;
  ConstantColumns::Equal equal = columns.getEqual(column);
  SmallVector<AffineExpr> indices(element->indices);
  int64_t rest = equal.start;
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    if (i != row)
      indices[i] = getAffineConstantExpr(rest % type.getDimSize(i), context);
    rest /= type.getDimSize(i);
  }
  ExprRef result = getElement(element->value, indices, element->isImaginary);
  return equal.isNegated ? make(Fn::neg, element->type, result) : result;
}

ExprRef Elements::expand(ExprRef element) {
  if (!element->is(Expr::Kind::element) || budget == 0)
    return nullptr;
  auto [it, isNew] = expanded.try_emplace(element, nullptr);
  if (!isNew)
    return it->second;
  ExprRef result = expandStep(element);
  // What a wider tensor is made of may be wider as well.
  if (uint64_t dims = narrowed.lookup(element->value))
    if (Operation *op = element->value.getDefiningOp())
      for (Value operand : op->getOperands())
        narrowed[operand] |= dims;
  expanded[element] = result;
  return result;
}

/// The sum over the loops that a reduction runs over, if that is of few terms
/// that are not zero.
ExprRef Elements::expandReduction(LinalgOp op,
                                  MutableArrayRef<AffineExpr> loops,
                                  OpResult result, bool isImaginary) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<unsigned> dims;
  int64_t points = 1;
  for (auto [i, loop] : llvm::enumerate(loops)) {
    if (loop)
      continue;
    if (ShapedType::isDynamic(ranges[i]) || ranges[i] > 1024)
      return nullptr;
    dims.push_back(i);
    points *= ranges[i];
    if (points > 1024)
      return nullptr;
  }
  OpOperand *init = op.getDpsInitOperand(result.getResultNumber());
  Value state = op.getMatchingBlockArgument(init);
  Operation *sum = op.getBlock()
                       ->getTerminator()
                       ->getOperand(result.getResultNumber())
                       .getDefiningOp();
  auto type = dyn_cast<FloatType>(getScalarType(result));
  if (!isa_and_nonnull<arith::AddFOp>(sum) || !type || isImaginary)
    return nullptr;
  unsigned added = sum->getOperand(0) == state ? 1 : 0;
  if (sum->getOperand(1 - added) != state || sum->getOperand(added) == state)
    return nullptr;
  // Only what a constant selects is a sum of few.
  static constexpr int64_t kFew = 4;
  auto selects = [&](OpOperand *input) {
    AffineMap map = op.getMatchingIndexingMap(input);
    return matchPattern(input->get(), m_Constant()) &&
           llvm::all_of(dims,
                        [&](unsigned dim) { return map.isFunctionOfDim(dim); });
  };
  if (points > kFew && llvm::none_of(op.getDpsInputOperands(), selects))
    return nullptr;
  AffineMap map = op.getMatchingIndexingMap(init);
  SmallVector<AffineExpr> indices =
      llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
        return expr.replaceDims(loops);
      });
  ExprRef before = resolve(getElement(init->get(), indices));
  if (!before->isFloatNumber() || before->number != 0)
    return nullptr;
  ExprRef total = before;
  int64_t terms = 0;
  for (int64_t point = 0; point != points; ++point) {
    int64_t rest = point;
    for (unsigned dim : llvm::reverse(dims)) {
      loops[dim] = getAffineConstantExpr(rest % ranges[dim], context);
      rest /= ranges[dim];
    }
    // Factors that are numbers are seen once their elements are.
    Body body(op.getBlock(), op, loops);
    Value term = sum->getOperand(added);
    ExprRef expr = evaluate(body, term, false);
    bool isZero = expr->isFloatNumber() && expr->number == 0;
    if (auto product = term.getDefiningOp<arith::MulFOp>()) {
      SmallVector<ExprRef, 2> factors;
      for (Value operand : product->getOperands()) {
        ExprRef factor = evaluate(body, operand, false);
        ExprRef known = resolve(factor);
        factors.push_back(known->isFloatNumber() ? known : factor);
        isZero |= known->isFloatNumber() && known->number == 0;
      }
      expr = make(Fn::mul, type, factors);
    }
    if (isZero && points > kFew)
      continue;
    if (++terms > kFew)
      return nullptr;
    total = make(Fn::add, type, {total, expr});
  }
  return total;
}

ExprRef Elements::expandStep(ExprRef element) {
  Value tensor = element->value;
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  Operation *op = tensor.getDefiningOp();
  if (!op || !type)
    return nullptr;
  // Indices out of bounds have no element.
  for (auto [size, index] : llvm::zip_equal(type.getShape(), element->indices))
    if (auto constant = dyn_cast<AffineConstantExpr>(index);
        constant && !ShapedType::isDynamic(size) &&
        (constant.getValue() < 0 || constant.getValue() >= size))
      return nullptr;
  if (ExprRef number = getConstantElement(element))
    return number;
  bool isImaginary = element->isImaginary;
  SmallVector<AffineExpr> indices(element->indices);
  auto get = [&](Value source, ArrayRef<AffineExpr> at) {
    return getElement(source, at, isImaginary);
  };
  auto isFull = [&](OpFoldResult offset, OpFoldResult size, OpFoldResult stride,
                    Value whole, int64_t dim) {
    if (!isZeroInteger(offset) || !isOneInteger(stride))
      return false;
    return tensorSizes.get(size) == tensorSizes.get(whole, dim);
  };

  if (auto linalgOp = dyn_cast<LinalgOp>(op)) {
    if (!linalgOp.hasPureTensorSemantics())
      return nullptr;
    auto result = cast<OpResult>(tensor);
    AffineMap map = linalgOp.getIndexingMapMatchingResult(result);
    SmallVector<AffineExpr> loops(linalgOp.getNumLoops());
    for (auto [expr, index] : llvm::zip_equal(map.getResults(), indices)) {
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        loops[dim.getPosition()] = index;
      else if (!isa<AffineConstantExpr>(expr))
        return nullptr;
    }
    for (auto [i, loop] : llvm::enumerate(loops))
      if (!loop &&
          linalgOp.getIteratorTypesArray()[i] == utils::IteratorType::parallel)
        return nullptr;
    if (llvm::is_contained(loops, AffineExpr()))
      return expandReduction(linalgOp, loops, result, isImaginary);
    return getScalar(linalgOp,
                     linalgOp.getBlock()->getTerminator()->getOperand(
                         result.getResultNumber()),
                     loops, isImaginary);
  }
  if (isa_and_nonnull<tosa::TosaDialect>(op->getDialect()))
    if (ExprRef result = expandTosa(op, element))
      return result;
  if (OpTrait::hasElementwiseMappableTraits(op) ||
      op->hasTrait<OpTrait::tosa::TosaElementwiseOperator>() ||
      isa<tosa::CastOp, tosa::IdentityOp, tosa::NegateOp, tosa::SinOp,
          tosa::CosOp, tosa::MulOp>(op)) {
    if (op->getNumResults() != 1 || op->getNumRegions() != 0)
      return nullptr;
    return evaluateOp(
        op,
        [&](unsigned i, bool part) {
          Value operand = op->getOperand(i);
          return isa<RankedTensorType>(operand.getType())
                     ? getElement(operand, indices, part)
                     : getOutside(operand, part);
        },
        isImaginary);
  }

  return TypeSwitch<Operation *, ExprRef>(op)
      .Case([&](tensor::CastOp op) -> ExprRef {
        if (!isa<RankedTensorType>(op.getSource().getType()))
          return nullptr;
        return get(op.getSource(), indices);
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        SmallVector<AffineExpr> source;
        unsigned next = 0;
        for (auto [i, offset, size, stride] :
             llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(),
                             slice.getMixedStrides())) {
          AffineExpr index = dropped.test(i) ? getAffineConstantExpr(0, context)
                                             : indices[next++];
          if (!isFull(offset, size, stride, slice.getSource(), i))
            narrow(slice.getSource(), index);
          source.push_back(getSize(offset) + index * getSize(stride));
        }
        return get(slice.getSource(), source);
      })
      .Case([&](tensor::InsertSliceOp slice) -> ExprRef {
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        SmallVector<AffineExpr> source;
        bool isKnown = true;
        for (auto [i, offset, size, stride] :
             llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(),
                             slice.getMixedStrides())) {
          AffineExpr index = indices[i];
          if (!isFull(offset, size, stride, slice.getDest(), i)) {
            std::optional<int64_t> first = getConstantIntValue(offset),
                                   count = getConstantIntValue(size),
                                   step = getConstantIntValue(stride);
            if (!first || !count || !step || *step <= 0) {
              isKnown = false;
              continue;
            }
            if (*count <= 0)
              return get(slice.getDest(), indices);
            std::optional<bool> inside =
                isWithin(index, *first, *first + (*count - 1) * *step + 1);
            AffineExpr phase = simplify((index - *first) % *step);
            if (inside == false ||
                (isa<AffineConstantExpr>(phase) && phase != 0))
              return get(slice.getDest(), indices);
            isKnown &= inside == true && phase == 0;
            index = (index - *first).floorDiv(*step);
          }
          if (!dropped.test(i))
            source.push_back(index);
        }
        return isKnown ? get(slice.getSource(), source) : nullptr;
      })
      .Case([&](tensor::ConcatOp concat) -> ExprRef {
        int64_t dim = concat.getDim(), start = 0;
        for (Value input : concat.getInputs()) {
          int64_t size =
              cast<RankedTensorType>(input.getType()).getDimSize(dim);
          // The last part has what the others leave.
          std::optional<bool> inside =
              ShapedType::isDynamic(size)
                  ? std::nullopt
                  : isWithin(indices[dim], start, start + size);
          if (inside == true) {
            indices[dim] = indices[dim] - start;
            return get(input, indices);
          }
          if (inside != false)
            return nullptr;
          start += size;
        }
        return nullptr;
      })
      .Case([&](tensor::PadOp pad) -> ExprRef {
        bool isOutside = false, isKnown = true;
        for (auto [i, low, high] :
             llvm::enumerate(pad.getMixedLowPad(), pad.getMixedHighPad())) {
          if (isZeroInteger(low) && isZeroInteger(high))
            continue;
          std::optional<int64_t> before = getConstantIntValue(low);
          int64_t size = pad.getSourceType().getDimSize(i);
          if (!before || ShapedType::isDynamic(size)) {
            isKnown = false;
            continue;
          }
          std::optional<bool> inside =
              isWithin(indices[i], *before, *before + size);
          isOutside |= inside == false;
          isKnown &= inside.has_value();
          indices[i] = indices[i] - *before;
        }
        if (isOutside) {
          Value padding = pad.getConstantPaddingValue();
          return padding ? getOutside(padding, isImaginary) : nullptr;
        }
        return isKnown ? get(pad.getSource(), indices) : nullptr;
      })
      .Case([&](tensor::ExpandShapeOp expand) -> ExprRef {
        SmallVector<AffineExpr> source;
        for (const ReassociationIndices &group :
             expand.getReassociationIndices()) {
          std::optional<AffineExpr> index =
              linearize(type.getShape().slice(group.front(), group.size()),
                        ArrayRef(indices).slice(group.front(), group.size()));
          if (!index)
            return nullptr;
          source.push_back(*index);
        }
        return get(expand.getSrc(), source);
      })
      .Case([&](tensor::CollapseShapeOp collapse) -> ExprRef {
        SmallVector<AffineExpr> source;
        for (auto [group, index] :
             llvm::zip_equal(collapse.getReassociationIndices(), indices)) {
          std::optional<SmallVector<AffineExpr>> parts =
              delinearize(collapse.getSrcType().getShape().slice(group.front(),
                                                                 group.size()),
                          index);
          if (!parts)
            return nullptr;
          llvm::append_range(source, *parts);
        }
        if (collapse.getReassociationIndices().empty())
          source.assign(collapse.getSrcType().getRank(),
                        getAffineConstantExpr(0, context));
        return get(collapse.getSrc(), source);
      })
      .Case([&](tensor::ReshapeOp reshape) -> ExprRef {
        auto from = dyn_cast<RankedTensorType>(reshape.getSource().getType());
        if (!from)
          return nullptr;
        SmallVector<Size> fromSizes, toSizes;
        for (int64_t i = 0; i != from.getRank(); ++i)
          fromSizes.push_back(tensorSizes.get(reshape.getSource(), i));
        for (int64_t i = 0; i != type.getRank(); ++i)
          toSizes.push_back(tensorSizes.get(tensor, i));
        // One unknown size is what the known ones leave of all elements.
        if (from.getNumDynamicDims() == 1 && type.getNumDynamicDims() == 1) {
          auto *x = llvm::find_if(from.getShape(), ShapedType::isDynamic);
          auto *y = llvm::find_if(type.getShape(), ShapedType::isDynamic);
          Size left = 1, right = 1;
          for (auto [i, size] : llvm::enumerate(from.getShape()))
            if (!ShapedType::isDynamic(size))
              left = left * Size(size);
          for (int64_t size : type.getShape())
            if (!ShapedType::isDynamic(size))
              right = right * Size(size);
          if (left == right)
            toSizes[y - type.getShape().begin()] =
                fromSizes[x - from.getShape().begin()];
        }
        std::optional<SmallVector<DimGroup>> groups =
            matchShapes(fromSizes, toSizes);
        if (!groups)
          return nullptr;
        auto pick = [](ArrayRef<int64_t> shape, ArrayRef<int64_t> dims) {
          return llvm::map_to_vector(dims,
                                     [&](int64_t dim) { return shape[dim]; });
        };
        SmallVector<AffineExpr> source(from.getRank(),
                                       getAffineConstantExpr(0, context));
        for (const DimGroup &group : *groups) {
          std::optional<AffineExpr> index =
              linearize(pick(type.getShape(), group.to),
                        llvm::map_to_vector(group.to, [&](int64_t dim) {
                          return indices[dim];
                        }));
          std::optional<SmallVector<AffineExpr>> parts;
          if (index)
            parts = delinearize(pick(from.getShape(), group.from),
                                simplify(*index));
          if (!parts)
            return nullptr;
          for (auto [dim, part] : llvm::zip_equal(group.from, *parts))
            source[dim] = part;
        }
        return get(reshape.getSource(), source);
      })
      .Case([&](tensor::SplatOp splat) {
        return getOutside(splat.getInput(), isImaginary);
      })
      .Case([&](tensor::FromElementsOp from) -> ExprRef {
        int64_t position = 0;
        for (auto [size, index] : llvm::zip_equal(type.getShape(), indices)) {
          auto constant = dyn_cast<AffineConstantExpr>(index);
          if (!constant)
            return nullptr;
          position = position * size + constant.getValue();
        }
        return getOutside(from.getElements()[position], isImaginary);
      })
      .Case([&](tensor::GenerateOp generate) {
        Block &block = generate.getBody().front();
        Body body(&block, nullptr, indices);
        return evaluate(body, block.getTerminator()->getOperand(0),
                        isImaginary);
      })
      .Case([&](tensor::GatherOp gather) -> ExprRef {
        // result[batch.., slice..] with one gathered dimension.
        if (gather.getGatherDims().size() != 1)
          return nullptr;
        int64_t dim = gather.getGatherDims().front();
        auto positions = cast<RankedTensorType>(gather.getIndices().getType());
        int64_t sourceRank = gather.getSourceType().getRank();
        int64_t batch = positions.getRank() - 1;
        if (type.getRank() != batch + sourceRank &&
            type.getRank() != batch + sourceRank - 1)
          return nullptr;
        bool isReduced = type.getRank() == batch + sourceRank - 1;
        SmallVector<AffineExpr> at(ArrayRef(indices).take_front(batch));
        at.push_back(getAffineConstantExpr(0, context));
        AffineExpr position = toAffine(getElement(gather.getIndices(), at));
        SmallVector<AffineExpr> source;
        int64_t next = batch;
        for (int64_t i = 0; i != sourceRank; ++i) {
          if (i == dim) {
            source.push_back(position);
            next += !isReduced;
          } else {
            source.push_back(indices[next++]);
          }
        }
        narrow(gather.getSource(), source);
        return get(gather.getSource(), source);
      })
      .Default([](Operation *) { return nullptr; });
}

/// An offset or a stride, as an index.
AffineExpr Elements::getSize(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return getAffineConstantExpr(*constant, context);
  return toAffine(getOutside(cast<Value>(size), false));
}

/// TOSA's operations on shapes; its scalar ones are like all others.
ExprRef Elements::expandTosa(Operation *op, ExprRef element) {
  SmallVector<AffineExpr> indices(element->indices);
  auto getShape = [](Value value) {
    SmallVector<int64_t> shape;
    tosa::getConstShapeValues(value.getDefiningOp(), shape);
    return shape;
  };
  auto getSource = [](Value value) {
    return dyn_cast<RankedTensorType>(value.getType());
  };
  auto get = [&](Value source) { return getElement(source, indices); };
  for (Value operand : op->getOperands())
    if (isa<TensorType>(operand.getType()) && !getSource(operand))
      return nullptr;
  return TypeSwitch<Operation *, ExprRef>(op)
      .Case([&](tosa::ReshapeOp reshape) -> ExprRef {
        auto from = getSource(reshape.getInput1());
        auto to = cast<RankedTensorType>(reshape.getType());
        std::optional<AffineExpr> index = linearize(to.getShape(), indices);
        std::optional<SmallVector<AffineExpr>> parts;
        if (index)
          parts = delinearize(from.getShape(), simplify(*index));
        return parts ? getElement(reshape.getInput1(), *parts) : nullptr;
      })
      .Case([&](tosa::SliceOp slice) -> ExprRef {
        SmallVector<int64_t> start = getShape(slice.getStart());
        if (start.size() != indices.size())
          return nullptr;
        for (auto [i, first] : llvm::enumerate(start)) {
          if (getSource(slice.getInput1()).getDimSize(i) !=
              cast<RankedTensorType>(slice.getType()).getDimSize(i))
            narrow(slice.getInput1(), indices[i]);
          indices[i] = indices[i] + first;
        }
        return get(slice.getInput1());
      })
      .Case([&](tosa::ConcatOp concat) -> ExprRef {
        int64_t dim = concat.getAxis(), start = 0;
        for (Value input : concat.getInput1()) {
          int64_t size = getSource(input).getDimSize(dim);
          if (ShapedType::isDynamic(size))
            return nullptr;
          std::optional<bool> inside =
              isWithin(indices[dim], start, start + size);
          if (!inside)
            return nullptr;
          if (*inside) {
            indices[dim] = indices[dim] - start;
            return get(input);
          }
          start += size;
        }
        return nullptr;
      })
      .Case([&](tosa::TransposeOp transpose) {
        SmallVector<AffineExpr> source(indices.size());
        for (auto [i, dim] : llvm::enumerate(transpose.getPerms()))
          source[dim] = indices[i];
        return getElement(transpose.getInput1(), source);
      })
      .Case([&](tosa::TileOp tile) -> ExprRef {
        for (auto [index, size] :
             llvm::zip_equal(indices, getSource(tile.getInput1()).getShape())) {
          if (ShapedType::isDynamic(size) || size == 0)
            return nullptr;
          index = index % size;
        }
        return get(tile.getInput1());
      })
      .Case([&](tosa::ReverseOp reverse) -> ExprRef {
        int64_t dim = reverse.getAxis();
        int64_t size = getSource(reverse.getInput1()).getDimSize(dim);
        if (ShapedType::isDynamic(size))
          return nullptr;
        indices[dim] = size - 1 - indices[dim];
        return get(reverse.getInput1());
      })
      .Case([&](tosa::PadOp pad) -> ExprRef {
        SmallVector<int64_t> padding = getShape(pad.getPadding());
        auto from = getSource(pad.getInput1());
        if (padding.size() != 2 * indices.size())
          return nullptr;
        for (auto [i, index] : llvm::enumerate(indices)) {
          if (padding[2 * i] == 0 && padding[2 * i + 1] == 0)
            continue;
          if (from.isDynamicDim(i))
            return nullptr;
          index = simplify(index - padding[2 * i]);
          std::optional<bool> inside = isWithin(index, 0, from.getDimSize(i));
          if (!inside)
            return nullptr;
          if (!*inside)
            return getElement(pad.getPadConst(),
                              getAffineConstantExpr(0, context));
        }
        return get(pad.getInput1());
      })
      .Case([&](tosa::GatherOp gather) {
        // values[n, k, c], indices[n, w]
        AffineExpr position =
            toAffine(getElement(gather.getIndices(), {indices[0], indices[1]}));
        indices[1] = position;
        narrow(gather.getValues(), indices);
        return get(gather.getValues());
      })
      .Default([](Operation *) { return nullptr; });
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

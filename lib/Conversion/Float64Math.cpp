//===- Float64Math.cpp - functions of f64 as code -------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Float64Math.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <limits>

using namespace mlir;
using namespace mlir::rope;

// ln 2 in two parts; products of the first with numbers up to 2^11 are exact.
static constexpr double kLn2High = 0x1.62e42fefa3800p-1;
static constexpr double kLn2Low = 0x1.ef35793c76730p-45;

namespace {
/// Short forms of arithmetic on f64 and i64.
struct Emitter {
  ImplicitLocOpBuilder &b;

  Value real(double x) const {
    return arith::ConstantOp::create(b, b.getF64FloatAttr(x));
  }
  Value integer(int64_t x) const {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(x));
  }
  Value add(Value x, Value y) const { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) const { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) const { return arith::MulFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) const {
    return math::FmaOp::create(b, x, y, z);
  }
  Value less(Value x, double y) const {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, real(y));
  }
  Value select(Value condition, Value x, Value y) const {
    return arith::SelectOp::create(b, condition, x, y);
  }
  Value bits(Value x) const {
    return arith::BitcastOp::create(b, b.getI64Type(), x);
  }
  Value fromBits(Value x) const {
    return arith::BitcastOp::create(b, b.getF64Type(), x);
  }
  /// The sum of x^k / divisor(k) for k = 0 .. degree.
  Value series(Value x, int degree,
               llvm::function_ref<double(int)> divisor) const {
    Value sum = real(1.0 / divisor(degree));
    for (int k = degree; k-- > 0;)
      sum = fma(sum, x, real(1.0 / divisor(k)));
    return sum;
  }
};
} // namespace

static double factorial(int k) { return k < 2 ? 1.0 : k * factorial(k - 1); }

Value rope::buildExpF64(ImplicitLocOpBuilder &b, Value x) {
  Emitter e{b};
  // Numbers around 1.5 * 2^52 have no digits behind the point, and the whole
  // number in their last bits.
  Value magic = e.real(0x1.8p52);
  Value shifted = e.fma(x, e.real(0x1.71547652b82fep0), magic);
  Value n = e.sub(shifted, magic);
  Value r = e.fma(n, e.real(-kLn2High), x);
  r = e.fma(n, e.real(-kLn2Low), r);
  Value p = e.series(r, 13, factorial);
  Value scaled = e.fromBits(arith::AddIOp::create(
      b, e.bits(p), arith::ShLIOp::create(b, e.bits(shifted), e.integer(52))));
  // Out of range, and for NaN, all of this was for nothing.
  Value result = e.select(e.less(x, -708.0), e.real(0.0), scaled);
  Value overflow = e.add(x, e.real(std::numeric_limits<double>::infinity()));
  return e.select(e.less(x, 709.78), result, overflow);
}

Value rope::buildLogF64(ImplicitLocOpBuilder &b, Value x) {
  Emitter e{b};
  // x = 2^n m with m from sqrt(1/2) to sqrt(2), and log m = 2 artanh(s).
  Value whole = e.bits(x), root = e.integer(0x3fe6a09e667f3bcd);
  Value distance = arith::SubIOp::create(b, whole, root);
  Value n = arith::ShRSIOp::create(b, distance, e.integer(52));
  Value m = e.fromBits(arith::SubIOp::create(
      b, whole, arith::ShLIOp::create(b, n, e.integer(52))));
  Value one = e.real(1.0);
  Value s = arith::DivFOp::create(b, e.sub(m, one), e.add(m, one));
  Value p = e.series(e.mul(s, s), 10, [](int k) { return 2.0 * k + 1.0; });
  Value scale = arith::SIToFPOp::create(b, b.getF64Type(), n);
  Value rest = e.fma(scale, e.real(kLn2Low), e.mul(e.add(s, s), p));
  Value result = e.fma(scale, e.real(kLn2High), rest);
  // Zeros, infinity, and what has no logarithm.
  double infinity = std::numeric_limits<double>::infinity();
  result = e.select(e.less(x, infinity), result, x);
  result = e.select(e.less(x, std::numeric_limits<double>::min()),
                    e.real(-infinity), result);
  return e.select(e.less(x, 0.0),
                  e.real(std::numeric_limits<double>::quiet_NaN()), result);
}

Value rope::buildTanhF64(ImplicitLocOpBuilder &b, Value x) {
  Emitter e{b};
  Value power = buildExpF64(b, e.mul(math::AbsFOp::create(b, x), e.real(-2.0)));
  Value one = e.real(1.0);
  Value quotient =
      arith::DivFOp::create(b, e.sub(one, power), e.add(one, power));
  return e.select(e.less(x, 0.0), arith::NegFOp::create(b, quotient), quotient);
}

Value rope::buildF64Function(ImplicitLocOpBuilder &b, Operation *op,
                             const IRMapping &mapping) {
  if (op->getNumResults() != 1 || !op->getResult(0).getType().isF64())
    return Value();
  auto operand = [&] { return mapping.lookup(op->getOperand(0)); };
  if (isa<math::ExpOp>(op))
    return buildExpF64(b, operand());
  if (isa<math::LogOp>(op))
    return buildLogF64(b, operand());
  if (isa<math::TanhOp>(op))
    return buildTanhF64(b, operand());
  return Value();
}

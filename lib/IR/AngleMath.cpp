//===- AngleMath.cpp - angles, cosines and sines as code ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An angle is kept in quarter turns: a whole number q, of which only the last
// two bits matter, and a rest y in [-1/2, 1/2]. Polynomials in y^2 give
// cos(pi/2 y) and sin(pi/2 y) / y; q says which is which, and the signs.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/AngleMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;

// Minimax polynomials on y^2 in [0, 1/4], by Remez' exchange in 60 digits.
// Errors: f32 sine 4.8e-9, cosine 4.7e-11; f64 sine 2.8e-21, cosine 1.5e-23,
// before the rounding of the coefficients.
static constexpr double kSinF32[] = {
    1.5707963219668132113, -0.64596347864152086446, 0.079680228064436131617,
    -0.004602176988711202552};
static constexpr double kCosF32[] = {
    0.9999999999526005022, -1.2337005406473750402, 0.25366920393930219453,
    -0.02086007131879484836, 0.0009036317030559741264};
static constexpr double kSinF64[] = {
    1.5707963267948966192,     -0.64596409750624625222,
    0.079692626246166924544,   -0.0046817541353148285949,
    0.00016044118472466971691, -3.598842717247032477e-6,
    5.6919278802119438176e-8,  -6.6276283356832959745e-10};
static constexpr double kCosF64[] = {1.0,
                                     -1.2337005501361698273,
                                     0.25366950790104801258,
                                     -0.020863480763352917463,
                                     0.00091926027483853335977,
                                     -0.000025202042362735593403,
                                     4.7108740776447278456e-7,
                                     -6.3863254900628878508e-9,
                                     6.5066569048747609729e-11};

// 1 / (2 pi) in two doubles.
static constexpr double kPerTurnHigh = 0x1.45f306dc9c883p-3;
static constexpr double kPerTurnLow = -0x1.6b01ec5417056p-57;

// 2 / pi in three pieces of 29 bits: a product with an f32 number is exact.
static constexpr double kPerQuarter[] = {
    0x1.45f306d000000p-1, 0x1.9391054000000p-30, 0x1.4fe13ab000000p-59};

// Adding and subtracting it rounds an f64 number below 2^51 to a whole one.
// The low bits of the sum are that number.
static constexpr double kRounder = 0x1.8p52;

//===----------------------------------------------------------------------===//
// Small helpers
//===----------------------------------------------------------------------===//

static Value real(ImplicitLocOpBuilder &b, Type type, double value) {
  return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
}

static Value integer(ImplicitLocOpBuilder &b, Type type, int64_t value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
}

/// `x` in `type`, widened or rounded.
static Value toFloat(ImplicitLocOpBuilder &b, Value x, FloatType type) {
  auto from = cast<FloatType>(x.getType());
  if (from == type)
    return x;
  if (from.getWidth() < type.getWidth())
    return arith::ExtFOp::create(b, type, x);
  return arith::TruncFOp::create(b, type, x);
}

/// An integer or index as an i64.
static Value toI64(ImplicitLocOpBuilder &b, Value x) {
  if (x.getType().isIndex())
    return arith::IndexCastOp::create(b, b.getI64Type(), x);
  if (x.getType().isInteger(64))
    return x;
  return arith::ExtSIOp::create(b, b.getI64Type(), x);
}

/// Rounds an f64 number to a whole one, to nearest and even; `sum` becomes what
/// holds it in its low bits.
static Value roundWhole(ImplicitLocOpBuilder &b, Value x, Value &sum) {
  Value rounder = real(b, b.getF64Type(), kRounder);
  sum = arith::AddFOp::create(b, x, rounder);
  return arith::SubFOp::create(b, sum, rounder);
}

/// What rounding left out of `xy`, the product of two f64 numbers, by products
/// of their halves (Dekker 1971). A multiply-add would say it in one operation,
/// but rounds twice on some devices.
static Value productError(ImplicitLocOpBuilder &b, Value x, Value y, Value xy) {
  auto times = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b, x, y);
  };
  auto minus = [&](Value x, Value y) -> Value {
    return arith::SubFOp::create(b, x, y);
  };
  auto halves = [&](Value x) -> std::pair<Value, Value> {
    Value scaled = times(x, real(b, x.getType(), 0x1.0000002p27));
    Value high = minus(scaled, minus(scaled, x));
    return {high, minus(x, high)};
  };
  auto [xHigh, xLow] = halves(x);
  auto [yHigh, yLow] = halves(y);
  Value error = minus(times(xHigh, yHigh), xy);
  error = arith::AddFOp::create(b, error, times(xHigh, yLow));
  error = arith::AddFOp::create(b, error, times(xLow, yHigh));
  return arith::AddFOp::create(b, error, times(xLow, yLow));
}

static Value polynomial(ImplicitLocOpBuilder &b, ArrayRef<double> coefficients,
                        Value x) {
  // A product and a sum may become one instruction where the target has it.
  auto contract = arith::FastMathFlags::contract;
  Value sum = real(b, x.getType(), coefficients.back());
  for (double coefficient : llvm::reverse(coefficients.drop_back())) {
    sum = arith::MulFOp::create(b, sum, x, contract);
    sum = arith::AddFOp::create(b, sum, real(b, x.getType(), coefficient),
                                contract);
  }
  return sum;
}

/// Flips the sign of `x` where `flip`, an integer of the same width, has its
/// second lowest bit set.
static Value flipSign(ImplicitLocOpBuilder &b, Value x, Value flip) {
  Type type = flip.getType();
  int64_t width = type.getIntOrFloatBitWidth();
  Value sign = arith::AndIOp::create(b, flip, integer(b, type, 2));
  sign = arith::ShLIOp::create(b, sign, integer(b, type, width - 2));
  Value bits = arith::BitcastOp::create(b, type, x);
  return arith::BitcastOp::create(b, x.getType(),
                                  arith::XOrIOp::create(b, bits, sign));
}

/// Cosine and sine of q + y quarter turns. `y` is f32 or f64, `q` an integer of
/// the same width.
static CosSin cosSinOfQuarters(ImplicitLocOpBuilder &b, Value q, Value y) {
  bool wide = y.getType().isF64();
  Value square = arith::MulFOp::create(b, y, y);
  Value even =
      polynomial(b, wide ? ArrayRef(kCosF64) : ArrayRef(kCosF32), square);
  Value odd = arith::MulFOp::create(
      b, polynomial(b, wide ? ArrayRef(kSinF64) : ArrayRef(kSinF32), square),
      y);
  Type type = q.getType();
  Value one = integer(b, type, 1);
  Value isOdd = arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                      arith::AndIOp::create(b, q, one),
                                      integer(b, type, 0));
  Value cos = arith::SelectOp::create(b, isOdd, odd, even);
  Value sin = arith::SelectOp::create(b, isOdd, even, odd);
  return {flipSign(b, cos, arith::AddIOp::create(b, q, one)),
          flipSign(b, sin, q)};
}

/// Cosine and sine of `phase`, an integer as wide as `type`, which is a
/// fraction of a turn times two to its width.
static CosSin cosSinOfFraction(ImplicitLocOpBuilder &b, Value phase,
                               FloatType type) {
  int64_t width = type.getWidth();
  Type integerType = phase.getType();
  Value bits = integer(b, integerType, width - 2);
  Value half = integer(b, integerType, int64_t(1) << (width - 3));
  Value q =
      arith::ShRUIOp::create(b, arith::AddIOp::create(b, phase, half), bits);
  Value rest =
      arith::SubIOp::create(b, phase, arith::ShLIOp::create(b, q, bits));
  Value y = arith::MulFOp::create(b, arith::SIToFPOp::create(b, type, rest),
                                  real(b, type, std::ldexp(1.0, 2 - width)));
  return cosSinOfQuarters(b, q, y);
}

/// Cosine and sine of `phase` (i64) 2^-64 turns.
static CosSin cosSinOfPhase(ImplicitLocOpBuilder &b, Value phase,
                            FloatType type) {
  // For f32 the upper half says enough: 2^-32 turns are 1.5e-9 radians.
  if (type.getWidth() == 32)
    phase = arith::TruncIOp::create(
        b, b.getI32Type(),
        arith::ShRUIOp::create(b, phase, integer(b, b.getI64Type(), 32)));
  return cosSinOfFraction(b, phase, type);
}

//===----------------------------------------------------------------------===//
// Exact angles
//===----------------------------------------------------------------------===//

// turns = w / (2 pi) in two doubles, of which the first loses its whole turns;
// then 32 bits of the fraction at a time.
int64_t rope::evaluateTurns(double w) {
  auto round = [](double x) { return std::nearbyint(x); };
  double high = w * kPerTurnHigh;
  double low = std::fma(w, kPerTurnHigh, -high) + w * kPerTurnLow;
  double upper = (high - round(high)) * 0x1p32;
  double lower = (upper - round(upper)) * 0x1p32 + low * 0x1p64;
  return int64_t((uint64_t(int64_t(round(upper))) << 32) +
                 uint64_t(int64_t(round(lower))));
}

Value rope::buildTurns(ImplicitLocOpBuilder &b, Value w, Value *rest) {
  Type f64 = b.getF64Type(), i64 = b.getI64Type();
  Value sum;
  auto times = [&](Value x, double y) -> Value {
    return arith::MulFOp::create(b, x, real(b, f64, y));
  };
  auto fraction = [&](Value x, Value &whole) -> Value {
    whole = roundWhole(b, x, sum);
    return arith::SubFOp::create(b, x, whole);
  };
  Value whole;
  Value high = times(w, kPerTurnHigh);
  Value low = arith::AddFOp::create(
      b, productError(b, w, real(b, f64, kPerTurnHigh), high),
      times(w, kPerTurnLow));
  Value upper = times(fraction(high, whole), 0x1p32);
  Value remainder = fraction(upper, whole);
  Value exact =
      arith::AddFOp::create(b, times(remainder, 0x1p32), times(low, 0x1p64));
  Value lower = roundWhole(b, exact, sum);
  if (rest)
    *rest = arith::SubFOp::create(b, exact, lower);
  return arith::AddIOp::create(
      b,
      arith::ShLIOp::create(b, arith::FPToSIOp::create(b, i64, whole),
                            integer(b, i64, 32)),
      arith::FPToSIOp::create(b, i64, lower));
}

CosSin rope::buildExactCosSin(ImplicitLocOpBuilder &b, Value position,
                              Value turns, FloatType type) {
  return cosSinOfPhase(b, arith::MulIOp::create(b, toI64(b, position), turns),
                       type);
}

CosSin rope::buildExactCosSinOfHalves(ImplicitLocOpBuilder &b,
                                      std::pair<Value, Value> position,
                                      std::pair<Value, Value> turns) {
  // The upper half of the lower 64 bits of the product.
  auto [low, high] = position;
  Value upper = arith::MulUIExtendedOp::create(b, low, turns.first).getHigh();
  upper = arith::AddIOp::create(b, upper,
                                arith::MulIOp::create(b, low, turns.second));
  upper = arith::AddIOp::create(b, upper,
                                arith::MulIOp::create(b, high, turns.first));
  return cosSinOfFraction(b, upper, b.getF32Type());
}

/// `whole` (i64, and the same as an f64) positions of `w` radians, in 2^-64
/// turns.
static Value phaseOf(ImplicitLocOpBuilder &b, Value whole, Value wholeAsFloat,
                     Value w, FloatType type) {
  if (!type.isF64())
    return arith::MulIOp::create(b, whole, buildTurns(b, w));
  Value rest;
  Value phase = arith::MulIOp::create(b, whole, buildTurns(b, w, &rest));
  Value correction = arith::FPToSIOp::create(
      b, b.getI64Type(), arith::MulFOp::create(b, wholeAsFloat, rest));
  return arith::AddIOp::create(b, phase, correction);
}

CosSin rope::buildExactCosSinOfRadians(ImplicitLocOpBuilder &b, Value position,
                                       Value w, FloatType type) {
  Value whole = toI64(b, position);
  Value asFloat = arith::SIToFPOp::create(b, b.getF64Type(), whole);
  return cosSinOfPhase(b, phaseOf(b, whole, asFloat, w, type), type);
}

CosSin rope::buildExactCosSinOfFloat(ImplicitLocOpBuilder &b, Value position,
                                     Value w, FloatType type) {
  FloatType f64 = b.getF64Type();
  Type i64 = b.getI64Type();
  Value wide = toFloat(b, position, f64), sum;
  Value whole = roundWhole(b, wide, sum);
  Value rest = arith::SubFOp::create(b, wide, whole);
  Value phase =
      phaseOf(b, arith::FPToSIOp::create(b, i64, whole), whole, w, type);
  // At most half a position of at most 2^20 radians: the whole turns of it go
  // before it is scaled to 2^-64 turns, in two steps that do not overflow.
  auto times = [&](Value x, double y) -> Value {
    return arith::MulFOp::create(b, x, real(b, f64, y));
  };
  Value angle = arith::MulFOp::create(b, rest, w);
  Value high = times(angle, kPerTurnHigh);
  Value turns = arith::SubFOp::create(b, high, roundWhole(b, high, sum));
  if (type.isF64()) {
    // What the two products and the constant left out.
    Value lost = productError(b, angle, real(b, f64, kPerTurnHigh), high);
    Value angleLost = productError(b, rest, w, angle);
    lost = arith::AddFOp::create(b, lost, times(angle, kPerTurnLow));
    lost = arith::AddFOp::create(b, lost, times(angleLost, kPerTurnHigh));
    turns = arith::AddFOp::create(b, turns, lost);
  }
  Value scaled = arith::MulFOp::create(b, turns, real(b, f64, 0x1p62));
  Value fraction = arith::ShLIOp::create(
      b, arith::FPToSIOp::create(b, i64, scaled), integer(b, i64, 2));
  return cosSinOfPhase(b, arith::AddIOp::create(b, phase, fraction), type);
}

//===----------------------------------------------------------------------===//
// Single precision
//===----------------------------------------------------------------------===//

CosSin rope::buildF32CosSin(ImplicitLocOpBuilder &b, Value position, Value w) {
  FloatType f32 = b.getF32Type(), f64 = b.getF64Type();
  Value single = isa<FloatType>(position.getType())
                     ? toFloat(b, position, f32)
                     : arith::SIToFPOp::create(b, f32, toI64(b, position));
  Value angle = arith::MulFOp::create(b, single, toFloat(b, w, f32));
  angle = toFloat(b, angle, f64);
  auto quarters = [&](int piece) -> Value {
    return arith::MulFOp::create(b, angle, real(b, f64, kPerQuarter[piece]));
  };
  Value first, second;
  Value high = quarters(0);
  high = arith::SubFOp::create(b, high, roundWhole(b, high, first));
  Value y = arith::AddFOp::create(b, high, quarters(1));
  y = arith::SubFOp::create(b, y, roundWhole(b, y, second));
  y = arith::AddFOp::create(b, y, quarters(2));
  Type i64 = b.getI64Type();
  Value q = arith::AddIOp::create(b, arith::BitcastOp::create(b, i64, first),
                                  arith::BitcastOp::create(b, i64, second));
  CosSin wide = cosSinOfQuarters(b, q, y);
  return {toFloat(b, wide.cos, f32), toFloat(b, wide.sin, f32)};
}

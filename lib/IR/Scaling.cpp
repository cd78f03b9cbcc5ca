//===- Scaling.cpp - the formulas of the scaling rules --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each rule twice: on numbers in extended precision, and as code for
// frequencies or lengths that are known only at run time. All rules but one
// multiply pair i by a number that does not depend on the frequency, so that
// number is written once and serves both.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Frequencies.h"
#include "Rope/IR/RopeDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>
#include <optional>

using namespace mlir;
using namespace mlir::rope;

using Numbers = SmallVector<long double>;

static constexpr long double kTwoPi = 6.283185307179586476925286766559005768L;

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

static long double number(FloatAttr attr) { return attr.getValueAsDouble(); }

static long double number(FloatAttr attr, double absent) {
  return attr ? attr.getValueAsDouble() : absent;
}

using EmitError = function_ref<InFlightDiagnostic()>;

/// Rule (scaling_c1): numeric parameters are f64, finite and positive.
static LogicalResult verifyNumber(EmitError emitError, StringRef name,
                                  FloatAttr attr) {
  if (!attr)
    return success();
  if (!attr.getType().isF64())
    return emitError() << "(scaling_c1) expected '" << name
                       << "' to be an f64, but got " << attr.getType();
  double value = attr.getValueAsDouble();
  if (!std::isfinite(value) || value <= 0)
    return emitError() << "(scaling_c1) expected '" << name
                       << "' to be finite and greater than zero, but got "
                       << attr;
  return success();
}

/// Rule (scaling_c2): the numbers of a list are finite and positive.
static LogicalResult verifyNumbers(EmitError emitError, StringRef name,
                                   DenseF64ArrayAttr attr) {
  for (auto [i, value] : llvm::enumerate(attr.asArrayRef()))
    if (!std::isfinite(value) || value <= 0)
      return emitError() << "(scaling_c2) expected '" << name << "[" << i
                         << "]' to be finite and greater than zero, but got "
                         << value;
  return success();
}

static LogicalResult verifyCount(EmitError emitError, StringRef name,
                                 DenseF64ArrayAttr attr, int64_t n) {
  if (attr.size() == n)
    return success();
  return emitError() << "expected '" << name
                     << "' to have one entry for each of " << n
                     << " frequencies, but got " << attr.size();
}

static LogicalResult verifyTwoPairs(EmitError emitError, StringRef name,
                                    int64_t n) {
  if (n >= 2)
    return success();
  return emitError() << "expected two or more frequencies for '" << name
                     << "', but got " << n;
}

//===----------------------------------------------------------------------===//
// Code for run time
//===----------------------------------------------------------------------===//

static Value constant(ImplicitLocOpBuilder &b, ArrayRef<long double> numbers) {
  SmallVector<double> rounded(numbers.begin(), numbers.end());
  auto type = RankedTensorType::get(rounded.size(), b.getF64Type());
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef<double>(rounded)));
}

static Value constant(ImplicitLocOpBuilder &b, double value) {
  return arith::ConstantOp::create(b, b.getF64FloatAttr(value));
}

static Numbers multiply(ArrayRef<long double> w,
                        ArrayRef<long double> multipliers) {
  Numbers scaled;
  for (auto [frequency, multiplier] : llvm::zip_equal(w, multipliers))
    scaled.push_back(frequency * multiplier);
  return scaled;
}

/// `w` times one number for each pair; a constant, rounded once, where `w` can
/// be evaluated.
static Value multiply(OpBuilder &builder, Location loc, Value w,
                      ArrayRef<long double> multipliers) {
  ImplicitLocOpBuilder b(loc, builder);
  if (std::optional<Numbers> known = evaluateUnrounded(w))
    return constant(b, multiply(*known, multipliers));
  return arith::MulFOp::create(b, w, constant(b, multipliers));
}

static int64_t count(Value w) {
  return cast<RankedTensorType>(w.getType()).getDimSize(0);
}

/// One number for each pair, from its index.
static Numbers forEachPair(int64_t n, function_ref<long double(int64_t)> f) {
  return llvm::map_to_vector(llvm::seq<int64_t>(n), f);
}

//===----------------------------------------------------------------------===//
// linear
//===----------------------------------------------------------------------===//

static Numbers multipliers(LinearAttr attr, int64_t n) {
  return Numbers(n, 1 / number(attr.getFactor()));
}

Numbers LinearAttr::scale(ArrayRef<long double> w,
                          std::optional<double>) const {
  return multiply(w, multipliers(*this, w.size()));
}

Value LinearAttr::buildScale(OpBuilder &b, Location loc, Value w, Value) const {
  return multiply(b, loc, w, multipliers(*this, count(w)));
}

LogicalResult LinearAttr::verify(EmitError emitError, FloatAttr factor) {
  return verifyNumber(emitError, "factor", factor);
}

//===----------------------------------------------------------------------===//
// ntk
//===----------------------------------------------------------------------===//

static Numbers multipliers(NtkAttr attr, int64_t n) {
  long double factor = number(attr.getFactor());
  if (!attr.getMixedExponent())
    return forEachPair(n, [&](int64_t i) {
      return std::pow(factor, -(long double)(i + 1) / n);
    });
  long double exponent = number(attr.getMixedExponent());
  // (i+1)^m / n^m as one power: neither overflows for large exponents.
  return forEachPair(n, [&](int64_t i) {
    return std::exp(-std::log(factor) *
                    std::pow((long double)(i + 1) / n, exponent));
  });
}

Numbers NtkAttr::scale(ArrayRef<long double> w, std::optional<double>) const {
  return multiply(w, multipliers(*this, w.size()));
}

Value NtkAttr::buildScale(OpBuilder &b, Location loc, Value w, Value) const {
  return multiply(b, loc, w, multipliers(*this, count(w)));
}

LogicalResult NtkAttr::verify(EmitError emitError, FloatAttr factor,
                              FloatAttr mixedExponent) {
  if (failed(verifyNumber(emitError, "factor", factor)))
    return failure();
  return verifyNumber(emitError, "mixed_exponent", mixedExponent);
}

//===----------------------------------------------------------------------===//
// ntk_alpha and dynamic_ntk
//===----------------------------------------------------------------------===//

/// What multiplying the base by `stretch^(d/(d-2))` does to the frequencies.
static Numbers stretchBase(long double stretch, int64_t n) {
  return forEachPair(n, [&](int64_t i) {
    return std::pow(stretch, -(long double)i / (n - 1));
  });
}

Numbers NtkAlphaAttr::scale(ArrayRef<long double> w,
                            std::optional<double>) const {
  return multiply(w, stretchBase(number(getAlpha()), w.size()));
}

Value NtkAlphaAttr::buildScale(OpBuilder &b, Location loc, Value w,
                               Value) const {
  return multiply(b, loc, w, stretchBase(number(getAlpha()), count(w)));
}

LogicalResult NtkAlphaAttr::verifyScaling(EmitError emitError,
                                          int64_t n) const {
  return verifyTwoPairs(emitError, "ntk_alpha", n);
}

LogicalResult NtkAlphaAttr::verify(EmitError emitError, FloatAttr alpha) {
  return verifyNumber(emitError, "alpha", alpha);
}

Numbers DynamicNtkAttr::scale(ArrayRef<long double> w,
                              std::optional<double> length) const {
  long double factor = number(getFactor()), limit = number(getMaxPosition());
  long double used = std::max((long double)*length, limit);
  return multiply(w,
                  stretchBase(factor * used / limit - (factor - 1), w.size()));
}

namespace {
/// An unevaluated sum of two f64 values: about 106 bits.
struct TwoDoubles {
  Value high, low;
};
} // namespace

/// a * b, from the error-free product of the high parts.
static TwoDoubles multiply(ImplicitLocOpBuilder &b, TwoDoubles x,
                           TwoDoubles y) {
  Value high = arith::MulFOp::create(b, x.high, y.high);
  Value error =
      math::FmaOp::create(b, x.high, y.high, arith::NegFOp::create(b, high));
  error = math::FmaOp::create(b, x.high, y.low, error);
  error = math::FmaOp::create(b, x.low, y.high, error);
  Value sum = arith::AddFOp::create(b, high, error);
  return {sum,
          arith::AddFOp::create(b, arith::SubFOp::create(b, high, sum), error)};
}

// Frequencies reach positions of 2^31, where one rounding of a power to f64 is
// already a third of the tolerated error. So the ratio of neighbours,
// r = stretch^(-1/(n-1)), is refined to two doubles by one step of Newton's
// method and multiplied up in two doubles, as is the frequency where it is
// known; only their product is rounded.
Value DynamicNtkAttr::buildScale(OpBuilder &builder, Location loc, Value w,
                                 Value length) const {
  ImplicitLocOpBuilder b(loc, builder);
  int64_t n = count(w);
  Value limit = constant(b, getMaxPosition().getValueAsDouble());
  Value factor = constant(b, getFactor().getValueAsDouble());
  Value one = constant(b, 1.0), zero = constant(b, 0.0);
  Value used = arith::SIToFPOp::create(b, b.getF64Type(), length);
  used = arith::MaxNumFOp::create(b, used, limit);
  // factor * used / limit - (factor - 1), as 1 + factor * (used - limit) /
  // limit so that nothing cancels.
  Value stretch = arith::AddFOp::create(
      b, one,
      arith::DivFOp::create(
          b,
          arith::MulFOp::create(b, factor,
                                arith::SubFOp::create(b, used, limit)),
          limit));

  Value first = arith::ConstantIndexOp::create(b, 0);
  Value last = arith::ConstantIndexOp::create(b, n);
  Value step = arith::ConstantIndexOp::create(b, 1);
  Value root =
      math::PowFOp::create(b, stretch, constant(b, -1.0 / double(n - 1)));
  // residual = stretch * root^(n-1) - 1, in two doubles.
  auto power = scf::ForOp::create(
      b, step, last, step, ValueRange{stretch, zero},
      [&](OpBuilder &builder, Location loc, Value, ValueRange carried) {
        ImplicitLocOpBuilder b(loc, builder);
        TwoDoubles next = multiply(b, {carried[0], carried[1]}, {root, zero});
        scf::YieldOp::create(b, ValueRange{next.high, next.low});
      });
  Value residual = arith::AddFOp::create(
      b, arith::SubFOp::create(b, power.getResult(0), one), power.getResult(1));
  Value correction =
      arith::MulFOp::create(b, arith::MulFOp::create(b, root, residual),
                            constant(b, -1.0 / double(n - 1)));

  // What rounding takes from a frequency that is known.
  Value rest;
  if (std::optional<Numbers> known = evaluateUnrounded(w)) {
    for (long double &frequency : *known)
      frequency -= double(frequency);
    rest = constant(b, *known);
  }
  Value empty = tensor::EmptyOp::create(b, w.getType(), ValueRange{});
  auto scaled = scf::ForOp::create(
      b, first, last, step, ValueRange{one, zero, empty},
      [&](OpBuilder &builder, Location loc, Value i, ValueRange carried) {
        ImplicitLocOpBuilder b(loc, builder);
        TwoDoubles multiplier{carried[0], carried[1]};
        TwoDoubles frequency{tensor::ExtractOp::create(b, w, i), zero};
        if (rest)
          frequency.low = tensor::ExtractOp::create(b, rest, i);
        Value product = multiply(b, multiplier, frequency).high;
        Value filled = tensor::InsertOp::create(b, product, carried[2], i);
        TwoDoubles next = multiply(b, multiplier, {root, correction});
        scf::YieldOp::create(b, ValueRange{next.high, next.low, filled});
      });
  return scaled.getResult(2);
}

bool DynamicNtkAttr::isLengthDependent() const { return true; }

LogicalResult DynamicNtkAttr::verifyScaling(EmitError emitError,
                                            int64_t n) const {
  return verifyTwoPairs(emitError, "dynamic_ntk", n);
}

LogicalResult DynamicNtkAttr::verify(EmitError emitError, FloatAttr factor,
                                     FloatAttr maxPosition) {
  if (failed(verifyNumber(emitError, "factor", factor)))
    return failure();
  return verifyNumber(emitError, "max_position", maxPosition);
}

//===----------------------------------------------------------------------===//
// yarn
//===----------------------------------------------------------------------===//

static Numbers multipliers(YarnAttr attr, int64_t n) {
  long double d = 2 * n, factor = number(attr.getFactor());
  auto indexOf = [&](long double beta) {
    return d *
           std::log(number(attr.getOriginalMaxPosition()) / (beta * kTwoPi)) /
           (2 * std::log(number(attr.getBase())));
  };
  long double low = indexOf(number(attr.getBetaFast(), 32));
  long double high = indexOf(number(attr.getBetaSlow(), 1));
  if (attr.getTruncate()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0L);
  high = std::min(high, d - 1);
  if (low == high)
    high += 0.001L;
  return forEachPair(n, [&](int64_t i) {
    long double ramp = std::min(std::max((i - low) / (high - low), 0.0L), 1.0L);
    return (1 - ramp) + ramp / factor;
  });
}

Numbers YarnAttr::scale(ArrayRef<long double> w, std::optional<double>) const {
  return multiply(w, multipliers(*this, w.size()));
}

Value YarnAttr::buildScale(OpBuilder &b, Location loc, Value w, Value) const {
  return multiply(b, loc, w, multipliers(*this, count(w)));
}

LogicalResult YarnAttr::verify(EmitError emitError, FloatAttr base,
                               FloatAttr factor, FloatAttr originalMaxPosition,
                               FloatAttr betaFast, FloatAttr betaSlow,
                               bool truncate) {
  if (failed(verifyNumber(emitError, "base", base)) ||
      failed(verifyNumber(emitError, "factor", factor)) ||
      failed(verifyNumber(emitError, "original_max_position",
                          originalMaxPosition)) ||
      failed(verifyNumber(emitError, "beta_fast", betaFast)) ||
      failed(verifyNumber(emitError, "beta_slow", betaSlow)))
    return failure();
  if (base.getValueAsDouble() <= 1)
    return emitError() << "(scaling_c3) expected 'base' to be greater than "
                          "one, but got "
                       << base;
  return success();
}

//===----------------------------------------------------------------------===//
// llama3
//===----------------------------------------------------------------------===//

// In turns over the original length, x = L w / (2 pi): kept above high,
// stretched below low. The comparisons of wavelengths turn round.
Numbers Llama3Attr::scale(ArrayRef<long double> w,
                          std::optional<double>) const {
  long double factor = number(getFactor());
  long double low = number(getLowFreqFactor());
  long double high = number(getHighFreqFactor());
  long double length = number(getOriginalMaxPosition());
  return llvm::map_to_vector(w, [&](long double frequency) {
    long double turns = length * std::fabs(frequency) / kTwoPi;
    if (turns > high)
      return frequency;
    if (turns < low || low == high)
      return frequency / factor;
    long double keep = (turns - low) / (high - low);
    return (1 - keep) * frequency / factor + keep * frequency;
  });
}

Value Llama3Attr::buildScale(OpBuilder &builder, Location loc, Value w,
                             Value) const {
  ImplicitLocOpBuilder b(loc, builder);
  int64_t n = count(w);
  auto splat = [&](long double value) {
    return constant(b, Numbers(n, value));
  };
  long double low = number(getLowFreqFactor());
  long double high = number(getHighFreqFactor());
  Value turns =
      arith::MulFOp::create(b, math::AbsFOp::create(b, w),
                            splat(number(getOriginalMaxPosition()) / kTwoPi));
  // Without a band between the edges the share to keep is a step.
  Value stretched = arith::MulFOp::create(b, w, splat(1 / number(getFactor())));
  if (low == high) {
    Value kept =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, turns, splat(high));
    return arith::SelectOp::create(b, kept, w, stretched);
  }
  Value keep = arith::DivFOp::create(
      b, arith::SubFOp::create(b, turns, splat(low)), splat(high - low));
  keep = arith::MinNumFOp::create(
      b, arith::MaxNumFOp::create(b, keep, splat(0)), splat(1));
  return arith::AddFOp::create(
      b,
      arith::MulFOp::create(b, arith::SubFOp::create(b, splat(1), keep),
                            stretched),
      arith::MulFOp::create(b, keep, w));
}

LogicalResult Llama3Attr::verify(EmitError emitError, FloatAttr factor,
                                 FloatAttr lowFreqFactor,
                                 FloatAttr highFreqFactor,
                                 FloatAttr originalMaxPosition) {
  if (failed(verifyNumber(emitError, "factor", factor)) ||
      failed(verifyNumber(emitError, "low_freq_factor", lowFreqFactor)) ||
      failed(verifyNumber(emitError, "high_freq_factor", highFreqFactor)) ||
      failed(verifyNumber(emitError, "original_max_position",
                          originalMaxPosition)))
    return failure();
  if (lowFreqFactor.getValueAsDouble() > highFreqFactor.getValueAsDouble())
    return emitError() << "(scaling_c4) expected 'low_freq_factor' not to "
                          "exceed 'high_freq_factor', but got "
                       << lowFreqFactor << " and " << highFreqFactor;
  return success();
}

//===----------------------------------------------------------------------===//
// longrope and factors
//===----------------------------------------------------------------------===//

static Numbers reciprocals(DenseF64ArrayAttr divisors) {
  return llvm::map_to_vector(divisors.asArrayRef(), [](double divisor) {
    return 1 / (long double)divisor;
  });
}

Numbers LongRopeAttr::scale(ArrayRef<long double> w,
                            std::optional<double> length) const {
  bool isLong = *length > number(getOriginalMaxPosition());
  return multiply(w,
                  reciprocals(isLong ? getLongFactors() : getShortFactors()));
}

Value LongRopeAttr::buildScale(OpBuilder &builder, Location loc, Value w,
                               Value length) const {
  ImplicitLocOpBuilder b(loc, builder);
  Value used = arith::SIToFPOp::create(b, b.getF64Type(), length);
  Value isLong = arith::CmpFOp::create(
      b, arith::CmpFPredicate::OGT, used,
      constant(b, getOriginalMaxPosition().getValueAsDouble()));
  return arith::SelectOp::create(
      b, isLong, multiply(b, loc, w, reciprocals(getLongFactors())),
      multiply(b, loc, w, reciprocals(getShortFactors())));
}

bool LongRopeAttr::isLengthDependent() const { return true; }

LogicalResult LongRopeAttr::verifyScaling(EmitError emitError,
                                          int64_t n) const {
  if (failed(verifyCount(emitError, "short_factors", getShortFactors(), n)))
    return failure();
  return verifyCount(emitError, "long_factors", getLongFactors(), n);
}

LogicalResult LongRopeAttr::verify(EmitError emitError,
                                   DenseF64ArrayAttr shortFactors,
                                   DenseF64ArrayAttr longFactors,
                                   FloatAttr originalMaxPosition) {
  if (failed(verifyNumbers(emitError, "short_factors", shortFactors)) ||
      failed(verifyNumbers(emitError, "long_factors", longFactors)))
    return failure();
  return verifyNumber(emitError, "original_max_position", originalMaxPosition);
}

Numbers FactorsAttr::scale(ArrayRef<long double> w,
                           std::optional<double>) const {
  return multiply(w, reciprocals(getDivisors()));
}

Value FactorsAttr::buildScale(OpBuilder &b, Location loc, Value w,
                              Value) const {
  return multiply(b, loc, w, reciprocals(getDivisors()));
}

LogicalResult FactorsAttr::verifyScaling(EmitError emitError, int64_t n) const {
  return verifyCount(emitError, "divisors", getDivisors(), n);
}

LogicalResult FactorsAttr::verify(EmitError emitError,
                                  DenseF64ArrayAttr divisors) {
  return verifyNumbers(emitError, "divisors", divisors);
}

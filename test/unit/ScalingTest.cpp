//===- ScalingTest.cpp - the numbers of frequency chains ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each scaling rule against a closed form that is written here once more, in
// long double, mostly in the form in which it was published. Where a rule has a
// trap, the test also shows that the other way gives another number.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Frequencies.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;

using Real = long double;
using Reals = std::vector<Real>;
using Doubles = std::vector<double>;

static const Real kPi = std::acos(-1.0L);

namespace {
struct Scaling : ::testing::Test {
  Scaling() {
    context.loadDialect<RopeDialect, arith::ArithDialect, func::FuncDialect>();
  }

  /// What the function's result evaluates to, if it does. `body` computes %r.
  std::optional<Doubles> tryEvaluate(const std::string &body, int64_t n) {
    std::string type = "tensor<" + std::to_string(n) + "xf64>";
    std::string source = "func.func @f(%unknown: i64, %w: " + type + ") -> " +
                         type + " {\n" + body + " : " + type +
                         "\nreturn %r : " + type + "\n}";
    module = parseSourceString<ModuleOp>(source, &context);
    if (!module) {
      ADD_FAILURE() << "does not parse: " << source;
      return std::nullopt;
    }
    auto func = *module->getOps<func::FuncOp>().begin();
    auto w = evaluateFrequencies(
        func.getBody().front().getTerminator()->getOperand(0));
    if (!w)
      return std::nullopt;
    return Doubles(w->begin(), w->end());
  }

  Doubles evaluate(const std::string &body, int64_t n) {
    std::optional<Doubles> w = tryEvaluate(body, n);
    EXPECT_TRUE(w.has_value()) << "is not evaluated: " << body;
    return w.value_or(Doubles());
  }

  /// One scaling of the plain frequencies; `length` where the rule reads it.
  Doubles scaled(Real base, int64_t n, const std::string &rule,
                 const std::string &length = "") {
    std::string body = "%f = rope.frequencies base(" + text(base) +
                       ") : tensor<" + std::to_string(n) + "xf64>\n";
    if (!length.empty())
      body += "%length = arith.constant " + length + " : i64\n";
    body += "%r = rope.scale_frequencies %f by(#rope." + rule + ")";
    return evaluate(body + (length.empty() ? "" : " at %length"), n);
  }

  static std::string text(Real number) {
    char buffer[64];
    snprintf(buffer, sizeof(buffer), "%.17e", double(number));
    return buffer;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

static Reals plain(Real base, int64_t n) {
  Reals w;
  for (int64_t i = 0; i < n; ++i)
    w.push_back(1 / std::pow(base, Real(2 * i) / (2 * n)));
  return w;
}

/// Equal but for the rounding of two computations in long double to f64.
static void expectNear(const Doubles &actual, const Reals &expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    Real error = std::fabs(actual[i] - expected[i]);
    EXPECT_LE(error, std::fabs(expected[i]) * 2.3e-16L)
        << "pair " << i << ": " << actual[i] << " for " << double(expected[i]);
  }
}

/// The numbers differ in one pair at least by more than a hundredth.
static void expectOther(const Doubles &actual, const Reals &trap) {
  ASSERT_EQ(actual.size(), trap.size());
  Real worst = 0;
  for (size_t i = 0; i < actual.size(); ++i)
    worst = std::max(worst, std::fabs(actual[i] / trap[i] - 1));
  EXPECT_GT(worst, 0.01L) << "the test does not tell the two apart";
}

//===----------------------------------------------------------------------===//
// Frequencies
//===----------------------------------------------------------------------===//

TEST_F(Scaling, Base) {
  expectNear(evaluate("%r = rope.frequencies base(500000.0)", 64),
             plain(500000, 64));
  EXPECT_EQ(evaluate("%r = rope.frequencies base(10000.0)", 2),
            Doubles({1.0, 0.01}));
  EXPECT_EQ(evaluate("%r = rope.frequencies base(10000.0)", 0), Doubles());
  // A base of one, or below.
  EXPECT_EQ(evaluate("%r = rope.frequencies base(1.0)", 2), Doubles({1, 1}));
  EXPECT_EQ(evaluate("%r = rope.frequencies base(0.25)", 2), Doubles({1, 2}));
}

// The denominator is `dimension`, not the number of rotated channels.
TEST_F(Scaling, Dimension) {
  Doubles w = evaluate("%r = rope.frequencies base(1.0e6) dimension(512)", 64);
  Reals whole = plain(1e6L, 256);
  expectNear(w, Reals(whole.begin(), whole.begin() + 64));
  expectOther(w, plain(1e6L, 64));
}

TEST_F(Scaling, Values) {
  EXPECT_EQ(evaluate("%r = rope.frequencies values(dense<[1.0, -0.3, 0.0]> : "
                     "tensor<3xf64>)",
                     3),
            Doubles({1.0, -0.3, 0.0}));
  EXPECT_EQ(
      evaluate("%r = rope.frequencies values(dense<0.3> : tensor<3xf64>)", 3),
      Doubles({0.3, 0.3, 0.3}));
}

TEST_F(Scaling, UnknownIsNotEvaluated) {
  EXPECT_FALSE(
      tryEvaluate("%r = rope.scale_frequencies %w by(#rope.linear<factor = "
                  "2.0>)",
                  4));
  EXPECT_FALSE(tryEvaluate(
      "%f = rope.frequencies base(2.0) : tensor<4xf64>\n"
      "%r = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 2.0, "
      "max_position = 4.0>) at %unknown",
      4));
  EXPECT_EQ(evaluate("%c = arith.constant dense<[3.0, 6.0]> : tensor<2xf64>\n"
                     "%r = rope.scale_frequencies %c by(#rope.linear<factor = "
                     "3.0>)",
                     2),
            Doubles({1.0, 2.0}));
}

// A chain is rounded at its end alone: rounding each of its steps gives other
// last bits in some pairs.
TEST_F(Scaling, RoundsOnce) {
  std::string body = "%f = rope.frequencies base(10000.0) : tensor<64xf64>\n"
                     "%g = rope.scale_frequencies %f by(#rope.linear<factor = "
                     "3.0>) : tensor<64xf64>\n"
                     "%r = rope.scale_frequencies %g by(#rope.linear<factor = "
                     "7.0>)";
  Doubles w = evaluate(body, 64);
  Reals exact = plain(10000, 64);
  int twice = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    // Long double itself errs by 2^-64 of the number, a 2048th of a double's
    // last bit: no more than that may be missing to the correct rounding.
    Real expected = exact[i] / 21;
    double ulp = std::nextafter(double(expected), 1e9) - double(expected);
    EXPECT_LE(std::fabs(w[i] - expected), ulp * 0.502L) << "pair " << i;
    twice += w[i] != double(exact[i]) / 3 / 7;
  }
  EXPECT_GT(twice, 5) << "the test does not tell the two apart";
}

// A long chain is no deep recursion.
TEST_F(Scaling, LongChain) {
  std::string body = "%f0 = rope.frequencies base(16.0) : tensor<2xf64>\n";
  int count = 20000;
  for (int i = 0; i < count; ++i)
    body += "%f" + std::to_string(i + 1) + " = rope.scale_frequencies %f" +
            std::to_string(i) +
            " by(#rope.factors<divisors = [1.0, 1.0]>) : tensor<2xf64>\n";
  body += "%r = rope.scale_frequencies %f" + std::to_string(count) +
          " by(#rope.linear<factor = 2.0>)";
  EXPECT_EQ(evaluate(body, 2), Doubles({0.5, 0.125}));
}

//===----------------------------------------------------------------------===//
// linear, ntk, ntk_alpha, dynamic_ntk
//===----------------------------------------------------------------------===//

TEST_F(Scaling, Linear) {
  Reals expected = plain(10000, 32);
  for (Real &w : expected)
    w /= 8;
  expectNear(scaled(10000, 32, "linear<factor = 8.0>"), expected);
}

// As published: (base * factor)^(-2i/d) / factor^(2/d).
TEST_F(Scaling, NtkFixed) {
  Reals expected = plain(10000 * 4.0L, 64);
  for (Real &w : expected)
    w /= std::pow(4.0L, 2.0L / 128);
  Doubles w = scaled(10000, 64, "ntk<factor = 4.0>");
  expectNear(w, expected);
  // The last pair is slowed by exactly the factor; the base alone does less.
  EXPECT_DOUBLE_EQ(w[63] * 4, double(plain(10000, 64)[63]));
  expectOther(w, plain(10000 * 4.0L, 64));
}

TEST_F(Scaling, NtkMixed) {
  Real a = std::log(4.0L) / std::pow(64.0L, 0.625L);
  Reals expected = plain(10000, 64), trap = expected;
  for (int i = 0; i < 64; ++i) {
    expected[i] /= std::exp(a * std::pow(Real(i + 1), 0.625L));
    trap[i] /= std::exp(a * std::pow(Real(i), 0.625L));
  }
  Doubles w = scaled(10000, 64, "ntk<factor = 4.0, mixed_exponent = 0.625>");
  // A power of a power: a few roundings of long double.
  expectNear(w, expected);
  expectOther(w, trap);
  // No overflow on the way.
  for (double v :
       scaled(10000, 64, "ntk<factor = 4.0, mixed_exponent = 1.0e6>"))
    EXPECT_TRUE(std::isfinite(v) && v > 0);
}

TEST_F(Scaling, NtkAlpha) {
  Doubles w = scaled(10000, 64, "ntk_alpha<alpha = 1000.0>");
  expectNear(w, plain(10000 * std::pow(1000.0L, 128.0L / 126), 64));
  expectOther(w, plain(10000 * 1000.0L, 64));
}

TEST_F(Scaling, DynamicNtk) {
  std::string rule = "dynamic_ntk<factor = 4.0, max_position = 2048.0>";
  Reals identity = plain(10000, 64);
  Doubles expected(identity.begin(), identity.end());
  // Up to the trained length the frequencies are the plain ones, to the bit.
  for (const char *length : {"2048", "2047", "1", "0", "-5"})
    EXPECT_EQ(scaled(10000, 64, rule, length), expected) << length;
  for (int64_t length : {2049, 4096, 8192, 131072}) {
    Real bracket = 4.0L * length / 2048 - (4.0L - 1);
    Doubles w = scaled(10000, 64, rule, std::to_string(length));
    expectNear(w, plain(10000 * std::pow(bracket, 128.0L / 126), 64));
    // The last pair is slowed by exactly the bracket.
    EXPECT_DOUBLE_EQ(w[63] * double(bracket), expected[63]);
  }
  // Neither the factor alone, nor the ratio of lengths alone.
  Doubles w = scaled(10000, 64, rule, "8192");
  expectOther(w, plain(10000 * std::pow(4.0L, 128.0L / 126), 64));
  expectOther(w, plain(10000 * std::pow(16.0L, 128.0L / 126), 64));
  // Two pairs are the fewest, and a long length does no harm.
  expectNear(scaled(10000, 2, rule, "4096"), {1, 0.01L / 5});
  for (double v : scaled(10000, 64, rule, "9223372036854775807"))
    EXPECT_TRUE(std::isfinite(v) && v > 0);
}

// With one pair the exponent d/(d-2) is infinite: refused, not computed.
TEST_F(Scaling, OnePairIsRefused) {
  Builder b(&context);
  std::string message;
  ScopedDiagnosticHandler handler(
      &context, [&](Diagnostic &diagnostic) { message = diagnostic.str(); });
  auto error = [&] { return emitError(b.getUnknownLoc()); };
  ScalingAttrInterface dynamic = DynamicNtkAttr::get(
      &context, b.getF64FloatAttr(4), b.getF64FloatAttr(2048));
  ScalingAttrInterface alpha =
      NtkAlphaAttr::get(&context, b.getF64FloatAttr(4));
  for (ScalingAttrInterface rule : {dynamic, alpha}) {
    message.clear();
    EXPECT_TRUE(failed(rule.verifyScaling(error, 1)));
    EXPECT_NE(message.find("two or more"), std::string::npos) << message;
    EXPECT_TRUE(succeeded(rule.verifyScaling(error, 2)));
  }
  EXPECT_TRUE(dynamic.isLengthDependent());
  EXPECT_FALSE(alpha.isLengthDependent());
}

//===----------------------------------------------------------------------===//
// yarn
//===----------------------------------------------------------------------===//

static Real yarnIndex(Real base, int64_t n, Real length, Real beta) {
  return 2 * n * std::log(length / (beta * 2 * kPi)) / (2 * std::log(base));
}

/// The ramp from pair `low` to pair `high`, as published.
static Reals yarn(Real base, int64_t n, Real factor, Real low, Real high) {
  Reals w = plain(base, n);
  for (int64_t i = 0; i < n; ++i) {
    Real ramp = (i - low) / (high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    w[i] = w[i] / factor * ramp + w[i] * (1 - ramp);
  }
  return w;
}

TEST_F(Scaling, Yarn) {
  Real low = std::floor(yarnIndex(10000, 64, 4096, 32));
  Real high = std::ceil(yarnIndex(10000, 64, 4096, 1));
  EXPECT_EQ(low, 20);
  EXPECT_EQ(high, 46);
  expectNear(scaled(10000, 64,
                    "yarn<base = 10000.0, factor = 32.0, "
                    "original_max_position = 4096.0>"),
             yarn(10000, 64, 32, low, high));
}

// gpt-oss: 8.0928 .. 17.3980, not 8 .. 18.
TEST_F(Scaling, YarnWithoutTruncation) {
  Real low = yarnIndex(150000, 32, 4096, 32);
  Real high = yarnIndex(150000, 32, 4096, 1);
  EXPECT_NEAR(double(low), 8.0928, 5e-5);
  EXPECT_NEAR(double(high), 17.3980, 5e-5);
  std::string rule = "yarn<base = 150000.0, factor = 32.0, "
                     "original_max_position = 4096.0";
  Doubles w = scaled(150000, 32, rule + ", truncate = false>");
  expectNear(w, yarn(150000, 32, 32, low, high));
  expectOther(w, yarn(150000, 32, 32, 8, 18));
  Doubles truncated = scaled(150000, 32, rule + ">");
  expectNear(truncated, yarn(150000, 32, 32, 8, 18));
  EXPECT_NEAR(truncated[17] / w[17], 1.763, 1e-3);
}

// The upper clamp is d - 1: the ramp may end beyond the last pair.
TEST_F(Scaling, YarnClampsAtChannels) {
  std::string rule = "yarn<base = 10000.0, factor = 8.0, "
                     "original_max_position = 1000000.0>";
  Real low = std::floor(yarnIndex(10000, 64, 1e6L, 32));
  EXPECT_EQ(std::ceil(yarnIndex(10000, 64, 1e6L, 1)), 84);
  Doubles w = scaled(10000, 64, rule);
  expectNear(w, yarn(10000, 64, 8, low, 84));
  expectOther(w, yarn(10000, 64, 8, low, 63));

  rule = "yarn<base = 10000.0, factor = 8.0, original_max_position = 1.0e12, "
         "beta_fast = 1.0e9>";
  low = std::floor(yarnIndex(10000, 64, 1e12L, 1e9L));
  EXPECT_GT(std::ceil(yarnIndex(10000, 64, 1e12L, 1)), 127);
  w = scaled(10000, 64, rule);
  expectNear(w, yarn(10000, 64, 8, low, 127));
  expectOther(
      w, yarn(10000, 64, 8, low, std::ceil(yarnIndex(10000, 64, 1e12L, 1))));
  expectOther(w, yarn(10000, 64, 8, low, 63));

  // And the lower clamp is zero.
  rule = "yarn<base = 10000.0, factor = 8.0, original_max_position = 128.0>";
  EXPECT_LT(std::floor(yarnIndex(10000, 64, 128, 32)), 0);
  Real high = std::ceil(yarnIndex(10000, 64, 128, 1));
  w = scaled(10000, 64, rule);
  expectNear(w, yarn(10000, 64, 8, 0, high));
  expectOther(
      w, yarn(10000, 64, 8, std::floor(yarnIndex(10000, 64, 128, 32)), high));
}

// Kimi-K2: equal betas give the range 19 .. 20, a step.
TEST_F(Scaling, YarnEqualBetas) {
  EXPECT_NEAR(double(yarnIndex(50000, 32, 4096, 1)), 19.1646, 5e-5);
  Doubles w = scaled(50000, 32,
                     "yarn<base = 50000.0, factor = 32.0, "
                     "original_max_position = 4096.0, beta_fast = 1.0, "
                     "beta_slow = 1.0>");
  Reals base = plain(50000, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(w[i], double(i <= 19 ? base[i] : base[i] / 32)) << "pair " << i;
  // Without truncation both ends are equal: 0.001 wide instead of 0 / 0.
  w = scaled(50000, 32,
             "yarn<base = 50000.0, factor = 32.0, original_max_position = "
             "4096.0, beta_fast = 1.0, beta_slow = 1.0, truncate = false>");
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(w[i], double(i <= 19 ? base[i] : base[i] / 32)) << "pair " << i;
}

// Equal whole ends: the pair on them is 0 / 0 without the guard, and kept.
TEST_F(Scaling, YarnEqualWholeEnds) {
  Real length = 2 * kPi * std::pow(50000.0L, 19.2L / 32);
  // The fast end is at 19.2, the slow one at 18.5: floor and ceiling meet.
  Real slow = std::pow(50000.0L, 0.7L / 32);
  EXPECT_EQ(std::floor(yarnIndex(50000, 32, length, 1)), 19);
  EXPECT_EQ(std::ceil(yarnIndex(50000, 32, length, slow)), 19);
  Doubles w = scaled(50000, 32,
                     "yarn<base = 50000.0, factor = 32.0, "
                     "original_max_position = " +
                         text(length) +
                         ", beta_fast = 1.0, beta_slow = " + text(slow) + ">");
  Reals base = plain(50000, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(w[i], double(i <= 19 ? base[i] : base[i] / 32)) << "pair " << i;
}

//===----------------------------------------------------------------------===//
// llama3
//===----------------------------------------------------------------------===//

/// As published, on wavelengths.
static Reals llama3(Real base, int64_t n, Real factor, Real low, Real high,
                    Real length) {
  Reals w = plain(base, n);
  for (Real &frequency : w) {
    Real wavelength = 2 * kPi / frequency;
    if (wavelength < length / high)
      continue;
    if (wavelength > length / low) {
      frequency /= factor;
      continue;
    }
    Real smooth = (length / wavelength - low) / (high - low);
    frequency = (1 - smooth) * frequency / factor + smooth * frequency;
  }
  return w;
}

TEST_F(Scaling, Llama3) {
  Doubles w = scaled(500000, 64,
                     "llama3<factor = 8.0, low_freq_factor = 1.0, "
                     "high_freq_factor = 4.0, original_max_position = 8192.0>");
  Reals expected = llama3(500000, 64, 8, 1, 4, 8192);
  expectNear(w, expected);
  // All three parts are there.
  Reals base = plain(500000, 64);
  EXPECT_EQ(w[0], 1.0);
  EXPECT_EQ(w[63], double(base[63] / 8));
  EXPECT_TRUE(w[32] < base[32] && w[32] > base[32] / 8);
  // The blend is of frequencies, and the edges are in this order.
  expectOther(w, llama3(500000, 64, 8, 4, 1, 8192));
}

// Equal edges: no band, so no 0 / 0, neither number nor scaling at all.
TEST_F(Scaling, Llama3EqualEdges) {
  Doubles w = scaled(500000, 64,
                     "llama3<factor = 16.0, low_freq_factor = 1.0, "
                     "high_freq_factor = 1.0, original_max_position = 8192.0>");
  Reals base = plain(500000, 64);
  int kept = 0;
  for (int i = 0; i < 64; ++i) {
    bool isShort = 2 * kPi / base[i] < 8192;
    kept += isShort;
    EXPECT_EQ(w[i], double(isShort ? base[i] : base[i] / 16)) << "pair " << i;
  }
  EXPECT_TRUE(kept > 0 && kept < 64);
}

// Frequencies may be zero (pairs that do not turn) or negative.
TEST_F(Scaling, Llama3ZeroAndNegative) {
  EXPECT_EQ(
      evaluate("%f = rope.frequencies values(dense<[0.0, -1.0, -1.0e-9]> : "
               "tensor<3xf64>) : tensor<3xf64>\n"
               "%r = rope.scale_frequencies %f by(#rope.llama3<factor = 8.0, "
               "low_freq_factor = 1.0, high_freq_factor = 4.0, "
               "original_max_position = 8192.0>)",
               3),
      Doubles({0.0, -1.0, -1.0e-9 / 8}));
}

//===----------------------------------------------------------------------===//
// longrope and factors
//===----------------------------------------------------------------------===//

// Long where the length is strictly greater.
TEST_F(Scaling, LongRope) {
  std::string rule = "longrope<short_factors = [1.0, 1.5], long_factors = "
                     "[2.0, 32.0], original_max_position = 4096.0>";
  Doubles isShort = {1.0, double(0.01L / 1.5L)};
  Doubles isLong = {0.5, double(0.01L / 32)};
  EXPECT_EQ(scaled(10000, 2, rule, "1"), isShort);
  EXPECT_EQ(scaled(10000, 2, rule, "4096"), isShort);
  EXPECT_EQ(scaled(10000, 2, rule, "4097"), isLong);
  EXPECT_EQ(scaled(10000, 2, rule, "131072"), isLong);
}

TEST_F(Scaling, Factors) {
  expectNear(scaled(10000, 4, "factors<divisors = [1.0, 3.0, 7.0, 1.0e30]>"),
             {1, 0.1L / 3, 0.01L / 7, 0.001L / 1e30L});
}

// The order of a chain matters: yarn's ramp goes by the pair, llama3's bands by
// what it is given.
TEST_F(Scaling, ChainOrder) {
  std::string linear = "by(#rope.linear<factor = 100.0>)";
  std::string llama = "by(#rope.llama3<factor = 8.0, low_freq_factor = 1.0, "
                      "high_freq_factor = 4.0, original_max_position = "
                      "8192.0>)";
  auto chain = [&](const std::string &first, const std::string &second) {
    return evaluate("%f = rope.frequencies base(500000.0) : tensor<64xf64>\n"
                    "%g = rope.scale_frequencies %f " +
                        first + " : tensor<64xf64>\n%r = " +
                        "rope.scale_frequencies %g " + second,
                    64);
  };
  Reals expected = llama3(500000, 64, 8, 1, 4, 8192);
  for (Real &w : expected)
    w /= 100;
  expectNear(chain(llama, linear), expected);
  expectOther(chain(linear, llama), expected);
}

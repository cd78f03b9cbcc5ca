//===- TurnsTest.cpp - frequencies as fractions of a turn -----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/AngleMath.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace mlir;

/// w / (2 pi) turns without the whole ones, times 2^64, rounded down: exact
/// integer arithmetic on 256 bits of 1 / (2 pi). |w| is from 2^-60 to 2^20.
static uint64_t expectedTurns(double w) {
  // Least significant first.
  static const uint64_t perTurn[] = {0x7f9458eaf7aef158, 0x36d8a5664f10e410,
                                     0x7f09d5f47d4d3770, 0x28be60db9391054a};
  int exponent;
  uint64_t digits =
      uint64_t(std::ldexp(std::frexp(std::fabs(w), &exponent), 53));
  exponent -= 53;
  uint64_t product[6] = {};
  uint64_t carry = 0;
  for (int i = 0; i < 4; ++i) {
    unsigned __int128 sum = (unsigned __int128)(digits)*perTurn[i] + carry;
    product[i] = uint64_t(sum);
    carry = uint64_t(sum >> 64);
  }
  product[4] = carry;
  // The product has 256 - exponent binary digits behind the point.
  int shift = 192 - exponent;
  int word = shift / 64, bit = shift % 64;
  uint64_t turns = product[word] >> bit;
  if (bit)
    turns |= product[word + 1] << (64 - bit);
  return w < 0 ? 0 - turns : turns;
}

static void expectTurns(double w) {
  int64_t error = int64_t(uint64_t(rope::evaluateTurns(w)) - expectedTurns(w));
  EXPECT_LE(std::abs(error), 2) << "for " << w;
}

TEST(Turns, Known) {
  EXPECT_EQ(rope::evaluateTurns(0.0), 0);
  EXPECT_EQ(rope::evaluateTurns(-0.0), 0);
  // 1 / (2 pi), to the last digit but two.
  EXPECT_LE(std::abs(rope::evaluateTurns(1.0) - 0x28be60db9391054a), 2);
  EXPECT_LE(std::abs(rope::evaluateTurns(-1.0) + 0x28be60db9391054a), 2);
}

TEST(Turns, PowersOfTwo) {
  for (int exponent = -60; exponent <= 19; ++exponent)
    for (double sign : {1.0, -1.0})
      expectTurns(std::ldexp(sign, exponent));
}

// Most of a turn, and close to whole turns, where digits cancel.
TEST(Turns, NearWholeTurns) {
  const double turn = 6.283185307179586;
  for (double whole : {1.0, 2.0, 3.0, 1000.0, 166886.0})
    for (double w : {whole * turn, std::nextafter(whole * turn, 0.0),
                     std::nextafter(whole * turn, 1e9), (whole - 0.5) * turn})
      for (double sign : {1.0, -1.0})
        expectTurns(sign * w);
}

TEST(Turns, Ladder) {
  for (double base : {1e4, 1.5e5, 5e5, 1e6, 1e7})
    for (int i = 0; i < 64; ++i)
      expectTurns(std::pow(base, -i / 64.0));
}

TEST(Turns, Random) {
  std::mt19937_64 random(20240229);
  std::uniform_real_distribution<double> logarithm(-40, 20), sign(-1, 1);
  for (int i = 0; i < 100000; ++i)
    expectTurns(std::copysign(std::exp2(logarithm(random)), sign(random)));
}

// What smaller frequencies have is below the last digit.
TEST(Turns, Tiny) {
  EXPECT_EQ(rope::evaluateTurns(1e-30), 0);
  EXPECT_EQ(rope::evaluateTurns(5e-324), 0);
  EXPECT_LE(
      std::abs(rope::evaluateTurns(std::ldexp(6.283185307179586, -64)) - 1), 1);
}

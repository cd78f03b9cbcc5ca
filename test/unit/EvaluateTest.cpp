//===- EvaluateTest.cpp - frequency chains as numbers ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/AngleMath.h"
#include "gtest/gtest.h"

using namespace mlir;

TEST(Turns, ZeroIsZero) { EXPECT_EQ(rope::evaluateTurns(0.0), 0); }

//===- PairTiles.cpp - products of bf16 in pairs --------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PairTiles.h"
#include "VectorBody.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::rope;

/// Vectors of a tile of vdpbf16ps at most, and its accumulators: two products
/// start in a cycle and take ten each on a Zen 5, where 16 of them reach 0.6 of
/// the peak. With eight rows of three vectors what a step reads fits beside.
static constexpr int64_t kDotVectors = 3, kDotSums = 24;
/// Vectors of the softmax side by side.
static constexpr int64_t kSoftmaxVectors = 4;

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

Value PairTiles::splat(double x) {
  auto type = VectorType::get(kLanes, b.getF32Type());
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, static_cast<float>(x)));
}

Value PairTiles::load(Value memref, ValueRange indices) {
  return vector::LoadOp::create(b, VectorType::get(kLanes, b.getF32Type()),
                                memref, indices);
}

Value PairTiles::dim(Value memref, int64_t dim) {
  return b.createOrFold<memref::DimOp>(memref, dim);
}

SmallVector<Value>
PairTiles::loop(Value from, Value to, int64_t step, ValueRange inits,
                function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, from, to, index(step), inits);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b,
                       body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return llvm::to_vector_of<Value>(loop.getResults());
}

static Value callIntrinsic(ImplicitLocOpBuilder &b, StringRef name, Type type,
                           ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands)
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void PairTiles::product(Value lhs, Value rhs, Value result, bool accumulates) {
  if (unit == PairProduct::amx)
    return amxProduct(lhs, rhs, result, accumulates);
  dotProduct(lhs, rhs, result, accumulates);
}

void PairTiles::dotProduct(Value lhs, Value rhs, Value result,
                           bool accumulates) {
  int64_t columns = cast<MemRefType>(result.getType()).getDimSize(1);
  int64_t block = kDotVectors * kLanes;
  for (int64_t column = 0; column < columns; column += block) {
    int64_t vectors = std::min(block, columns - column) / kLanes;
    int64_t rows = rowMultiple();
    while (rows * vectors > kDotSums)
      rows /= 2;
    emitLoop(b, index(0), dim(result, 0), rows, [&](Value row) {
      dotTile(lhs, rhs, result, row, column, rows, vectors, accumulates);
    });
  }
}

void PairTiles::dotTile(Value lhs, Value rhs, Value result, Value row,
                        int64_t column, int64_t numRows, int64_t vectors,
                        bool accumulates) {
  auto pairs = VectorType::get(2 * kLanes, b.getBF16Type());
  SmallVector<Value> inits, rows;
  for (int64_t i = 0; i < numRows; ++i)
    rows.push_back(plus(row, i));
  for (Value row : rows)
    for (int64_t j = 0; j < vectors; ++j)
      inits.push_back(accumulates
                          ? load(result, {row, index(column + j * kLanes)})
                          : splat(0.0));
  SmallVector<Value> sums =
      loop(index(0), dim(rhs, 0), 1, inits, [&](Value pair, ValueRange sums) {
        Value depth = arith::MulIOp::create(b, pair, index(2));
        SmallVector<Value> right, next;
        for (int64_t j = 0; j < vectors; ++j)
          right.push_back(vector::LoadOp::create(
              b, pairs, rhs,
              ValueRange{pair, index(2 * (column + j * kLanes))}));
        for (auto [i, row] : llvm::enumerate(rows)) {
          Value left = loadPair(b, lhs, {row, depth});
          for (int64_t j = 0; j < vectors; ++j)
            next.push_back(addPairs(b, sums[i * vectors + j], left, right[j]));
        }
        return next;
      });
  for (auto [i, row] : llvm::enumerate(rows))
    for (int64_t j = 0; j < vectors; ++j)
      vector::StoreOp::create(b, sums[i * vectors + j], result,
                              ValueRange{row, index(column + j * kLanes)});
}

void PairTiles::amxProduct(Value lhs, Value rhs, Value result,
                           bool accumulates) {
  auto type = cast<MemRefType>(result.getType());
  Value zero = index(0), rows = dim(result, 0);
  Value whole = roundDown(b, rows, 32);
  int64_t columns = type.getDimSize(1);
  bool isEven = !type.isDynamicDim(0) && type.getDimSize(0) % 32 == 0;
  for (int64_t column = 0; column < columns; column += 32) {
    int64_t width = std::min<int64_t>(2, (columns - column) / 16);
    emitLoop(b, zero, whole, 32, [&](Value row) {
      amxTile(lhs, rhs, result, row, column, 2, width, accumulates);
    });
    if (!isEven)
      emitLoop(b, whole, rows, 16, [&](Value row) {
        amxTile(lhs, rhs, result, row, column, 1, width, accumulates);
      });
  }
}

void PairTiles::amxTile(Value lhs, Value rhs, Value result, Value row,
                        int64_t column, int64_t rows, int64_t columns,
                        bool accumulates) {
  auto operand = amx::TileType::get({16, 32}, b.getBF16Type());
  auto sum = amx::TileType::get({16, 16}, b.getF32Type());
  auto place = [&](int64_t i, int64_t j) -> SmallVector<Value> {
    return {plus(row, 16 * i), index(column + 16 * j)};
  };
  SmallVector<Value> inits;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      inits.push_back(accumulates ? Value(amx::TileLoadOp::create(
                                        b, sum, result, place(i, j)))
                                  : Value(amx::TileZeroOp::create(b, sum)));
  SmallVector<Value> sums =
      loop(index(0), dim(rhs, 0), 16, inits, [&](Value pair, ValueRange sums) {
        Value depth = arith::MulIOp::create(b, pair, index(2));
        SmallVector<Value> left, right, next;
        for (int64_t i = 0; i < rows; ++i)
          left.push_back(amx::TileLoadOp::create(
              b, operand, lhs, ValueRange{plus(row, 16 * i), depth}));
        for (int64_t j = 0; j < columns; ++j)
          right.push_back(amx::TileLoadOp::create(
              b, operand, rhs, ValueRange{pair, index(2 * (column + 16 * j))}));
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j)
            next.push_back(amx::TileMulFOp::create(b, sum, left[i], right[j],
                                                   sums[i * columns + j]));
        return next;
      });
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      amx::TileStoreOp::create(b, result, place(i, j), sums[i * columns + j]);
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// 2^x for x <= 0, or not a number. The polynomial for the fraction has the
/// least relative error of its degree, 7.5e-5: a 26th of a unit of bf16.
Value PairTiles::exp2(Value x) {
  Type type = x.getType();
  auto i32 = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
  // x - floor(x), and p * 2^floor(x), which is zero where it is too small.
  Value fraction = callIntrinsic(b, "llvm.x86.avx512.mask.reduce.ps.512", type,
                                 {x, i32(1), x, all, i32(4)});
  auto fma = [&](Value sum, double coefficient) -> Value {
    return math::FmaOp::create(b, sum, fraction, splat(coefficient));
  };
  Value power = fma(splat(0.07802452147006989), 0.22606715559959412);
  power = fma(fma(power, 0.6958335638046265), 0.9999251961708069);
  return callIntrinsic(b, "llvm.x86.avx512.mask.scalef.ps.512", type,
                       {power, x, x, all, i32(4)});
}

void PairTiles::softmax(Value scores, Value count, Value max, Value sum,
                        Value correction, Value weights, double scale) {
  Value factor = splat(scale * llvm::numbers::log2e);
  int64_t rows = cast<MemRefType>(max.getType()).getDimSize(0);
  Value two = index(2), zero = index(0);
  // One more key, without weight, makes pairs of all.
  Value infinity = splat(-std::numeric_limits<double>::infinity());
  Value even = arith::MulIOp::create(
      b,
      arith::DivUIOp::create(b, arith::AddIOp::create(b, count, index(1)), two),
      two);
  emitLoop(b, count, even, 1, [&](Value key) {
    for (int64_t row = 0; row < rows; row += kLanes)
      vector::StoreOp::create(b, infinity, scores, ValueRange{key, index(row)});
  });
  // Not a number does not become the maximum: it reaches its row as a weight.
  auto larger = [&](Value x, Value y) -> Value {
    Value isLarger = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
    return arith::SelectOp::create(b, isLarger, x, y);
  };
  int64_t block = kSoftmaxVectors * kLanes;
  for (int64_t first = 0; first < rows; first += block) {
    int64_t vectors = std::min(block, rows - first) / kLanes;
    SmallVector<Value> places, olds, inits;
    for (int64_t i = 0; i < vectors; ++i)
      places.push_back(index(first + i * kLanes));
    for (Value place : places)
      olds.push_back(load(max, place));
    // Those of even keys and those of odd ones.
    inits = olds;
    llvm::append_range(inits, olds);
    SmallVector<Value> maxima =
        loop(zero, even, 2, inits, [&](Value key, ValueRange maxima) {
          SmallVector<Value> next;
          for (int64_t odd = 0; odd < 2; ++odd)
            for (auto [i, place] : llvm::enumerate(places))
              next.push_back(larger(load(scores, {plus(key, odd), place}),
                                    maxima[odd * vectors + i]));
          return next;
        });
    SmallVector<Value> shifts, corrections;
    for (auto [i, place] : llvm::enumerate(places)) {
      Value newMax = larger(maxima[i], maxima[vectors + i]);
      vector::StoreOp::create(b, newMax, max, place);
      // Minus infinity less itself would not be a number.
      Value shift =
          larger(newMax, splat(-double(std::numeric_limits<float>::max())));
      shifts.push_back(shift);
      corrections.push_back(exp2(arith::MulFOp::create(
          b, arith::SubFOp::create(b, olds[i], shift), factor)));
      vector::StoreOp::create(b, corrections.back(), correction, place);
    }
    SmallVector<Value> zeros(vectors, splat(0.0));
    SmallVector<Value> totals =
        loop(zero, even, 2, zeros, [&](Value key, ValueRange totals) {
          Value pair = arith::DivUIOp::create(b, key, two);
          SmallVector<Value> next;
          for (auto [i, place] : llvm::enumerate(places)) {
            Value both[2];
            for (int64_t odd = 0; odd < 2; ++odd) {
              Value score = load(scores, {plus(key, odd), place});
              both[odd] = exp2(arith::MulFOp::create(
                  b, arith::SubFOp::create(b, score, shifts[i]), factor));
            }
            Value bits = interleavePairs(b, both[0], both[1]);
            vector::StoreOp::create(
                b,
                vector::BitCastOp::create(
                    b, VectorType::get(2 * kLanes, b.getBF16Type()), bits),
                weights,
                ValueRange{pair, index(2 * (first + int64_t(i) * kLanes))});
            next.push_back(arith::AddFOp::create(
                b, totals[i], arith::AddFOp::create(b, both[0], both[1])));
          }
          return next;
        });
    for (auto [i, place] : llvm::enumerate(places)) {
      Value old = load(sum, place);
      vector::StoreOp::create(
          b, math::FmaOp::create(b, old, corrections[i], totals[i]), sum,
          place);
    }
  }
  if (depthMultiple() == 2)
    return;
  // What fills up the last step of the unit.
  Value step = index(depthMultiple() / 2);
  Value pairs = arith::DivUIOp::create(b, even, two);
  Value padded = arith::MulIOp::create(
      b,
      arith::DivUIOp::create(
          b, arith::AddIOp::create(b, pairs, index(depthMultiple() / 2 - 1)),
          step),
      step);
  Value none = arith::ConstantOp::create(
      b, b.getZeroAttr(VectorType::get(2 * kLanes, b.getBF16Type())));
  emitLoop(b, pairs, padded, 1, [&](Value pair) {
    for (int64_t row = 0; row < 2 * rows; row += 2 * kLanes)
      vector::StoreOp::create(b, none, weights, ValueRange{pair, index(row)});
  });
}

void PairTiles::rescale(Value acc, Value correction) {
  int64_t rows = cast<MemRefType>(correction.getType()).getDimSize(0);
  SmallVector<Value> factors;
  Value any;
  for (int64_t row = 0; row < rows; row += kLanes) {
    Value factor = load(correction, index(row));
    factors.push_back(factor);
    Value differs =
        arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, factor, splat(1.0));
    any = any ? Value(arith::OrIOp::create(b, any, differs)) : differs;
  }
  Value isAny = vector::ReductionOp::create(b, vector::CombiningKind::OR, any);
  auto branch = scf::IfOp::create(b, isAny, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  emitLoop(b, index(0), dim(acc, 0), 1, [&](Value channel) {
    for (auto [i, factor] : llvm::enumerate(factors)) {
      SmallVector<Value> place = {channel, index(int64_t(i) * kLanes)};
      vector::StoreOp::create(
          b, arith::MulFOp::create(b, load(acc, place), factor), acc, place);
    }
  });
}

Value PairTiles::findSpecials(Value words) {
  auto type = VectorType::get(kLanes, b.getI32Type());
  auto splat = [&](int32_t x) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, x));
  };
  int64_t columns = cast<MemRefType>(words.getType()).getDimSize(1);
  Value found =
      loop(index(0), dim(words, 0), 1, splat(0),
           [&](Value row, ValueRange found) -> SmallVector<Value> {
             Value all = found[0];
             for (int64_t column = 0; column < columns; column += kLanes) {
               Value word = vector::LoadOp::create(
                   b, type, words, ValueRange{row, index(column)});
               // One more than the largest exponent is the sign.
               Value exponents =
                   arith::AndIOp::create(b, word, splat(0x7f807f80));
               all = arith::OrIOp::create(
                   b, all,
                   arith::AddIOp::create(b, exponents, splat(0x00800080)));
             }
             return {all};
           })
          .front();
  found =
      arith::AndIOp::create(b, found, splat(static_cast<int32_t>(0x80008000)));
  return vector::ReductionOp::create(b, vector::CombiningKind::OR, found);
}

//===----------------------------------------------------------------------===//
// AMX
//===----------------------------------------------------------------------===//

Value rope::buildAMXPermission(ImplicitLocOpBuilder &b) {
  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), which is 0 where the
  // process has the permission, and fails where there are no such tiles.
  Type i64 = b.getI64Type();
  auto constant = [&](int64_t x) -> Value {
    return LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(x));
  };
  Value result =
      LLVM::InlineAsmOp::create(
          b, TypeRange{i64},
          ValueRange{constant(158), constant(0x1023), constant(18)}, "syscall",
          "={rax},{rax},{rdi},{rsi},~{rcx},~{r11},~{memory},~{dirflag},~{fpsr},"
          "~{flags}",
          /*has_side_effects=*/true, /*is_align_stack=*/false,
          LLVM::TailCallKind::None,
          LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT),
          ArrayAttr())
          .getRes();
  return LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::eq, result, constant(0));
}

//===- ApproximateMath.cpp - functions of f32 as polynomials --------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exponentials have their own short form here: upstream's takes twice the
// operations. The others are upstream's.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
/// An exponential function on f32, made of 2^n * p(r) with a whole n and
/// p(r) = 1 + r * (c0 + r * (c1 + ...)).
struct Exponential {
  /// x * scale is n + a fraction.
  float scale;
  /// r = x - n * unit, the unit in parts of which n times the first is exact.
  ArrayRef<float> unit;
  /// Fitted to the least relative error for |n + fraction| <= 1/2.
  ArrayRef<float> coefficients;
  /// Results are normal numbers from `least` on and below `most`.
  float least, most;
};
} // namespace

static const Exponential &getExp() {
  static const float unit[] = {0x1.63p-1f, -0x1.bd0106p-13f};
  static const float coefficients[] = {0x1.000000p+0f, 0x1.fffffcp-2f,
                                       0x1.55541ap-3f, 0x1.555822p-5f,
                                       0x1.126794p-7f, 0x1.6ae720p-10f};
  static const Exponential exp = {0x1.715476p+0f, unit, coefficients,
                                  -0x1.5d589ep+6f, 0x1.62e430p+6f};
  return exp;
}

static const Exponential &getExp2() {
  static const float unit[] = {1.0f};
  static const float coefficients[] = {0x1.62e42ap-1f, 0x1.ebf9bcp-3f,
                                       0x1.c6b752p-5f, 0x1.3cea88p-7f,
                                       0x1.5bba14p-10f};
  static const Exponential exp2 = {1.0f, unit, coefficients, -126.0f, 128.0f};
  return exp2;
}

/// x * y + z, in one instruction where there is one.
static Value multiplyAdd(ImplicitLocOpBuilder &b, Value x, Value y, Value z) {
  auto contract = arith::FastMathFlags::contract;
  return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y, contract), z,
                               contract);
}

namespace {
/// Pattern: an exponential of f32 -> 2^n * p(r).
template <typename OpTy>
struct ApproximateExponential : OpRewritePattern<OpTy> {
  ApproximateExponential(MLIRContext *context, const Exponential &function)
      : OpRewritePattern<OpTy>(context), function(function) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!getElementTypeOrSelf(type).isF32() ||
        !isa<FloatType, VectorType>(type))
      return rewriter.notifyMatchFailure(op, "is not of f32");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type i32 = b.getI32Type();
    if (auto vector = dyn_cast<VectorType>(type))
      i32 = vector.clone(i32);
    auto constant = [&](float value) -> Value {
      TypedAttr attr = b.getF32FloatAttr(value);
      if (auto vector = dyn_cast<VectorType>(type))
        attr = DenseElementsAttr::get(vector, value);
      return arith::ConstantOp::create(b, attr);
    };
    // Where there is an instruction for both, that is better yet.
    auto contract = arith::FastMathFlags::contract;
    auto fma = [&](Value x, Value y, Value z) -> Value {
      return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y, contract),
                                   z, contract);
    };

    // Numbers around 1.5 * 2^23 have no digits behind the point, and n in their
    // last bits.
    Value x = op.getOperand(), magic = constant(0x1.8p+23f);
    Value shifted = function.scale == 1.0f
                        ? arith::AddFOp::create(b, x, magic)
                        : fma(x, constant(function.scale), magic);
    Value n = arith::SubFOp::create(b, shifted, magic), r = x;
    for (float part : function.unit)
      r = part == 1.0f ? Value(arith::SubFOp::create(b, r, n))
                       : fma(n, constant(-part), r);
    Value result = constant(function.coefficients.back());
    for (float coefficient : llvm::reverse(function.coefficients.drop_back()))
      result = fma(result, r, constant(coefficient));
    result = fma(result, r, constant(1.0f));

    TypedAttr places = b.getI32IntegerAttr(23);
    if (auto vector = dyn_cast<VectorType>(i32))
      places = DenseElementsAttr::get(vector, int32_t(23));
    Value exponent =
        arith::ShLIOp::create(b, arith::BitcastOp::create(b, i32, shifted),
                              arith::ConstantOp::create(b, places));
    result = arith::BitcastOp::create(
        b, type,
        arith::AddIOp::create(b, arith::BitcastOp::create(b, i32, result),
                              exponent));

    // Out of range, and for NaN, all of this was for nothing.
    Value isSmall = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                          constant(function.least));
    result = arith::SelectOp::create(b, isSmall, constant(0.0f), result);
    Value isFinite = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                           constant(function.most));
    Value rest = arith::AddFOp::create(
        b, x, constant(std::numeric_limits<float>::infinity()));
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, isFinite, result, rest);
    return success();
  }

private:
  const Exponential &function;
};

struct ApproximateMath : rope::impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    DenseSet<Operation *> given;
    SmallVector<Operation *> functions;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::FmaOp>(op))
        given.insert(op);
      // Upstream's patterns make invalid code of tensors.
      if (isa<math::ExpOp, math::Exp2Op, math::TanhOp, math::LogOp>(op) &&
          isa<FloatType, VectorType>(op->getResult(0).getType()))
        functions.push_back(op);
    });
    RewritePatternSet patterns(&getContext());
    populateApproximateMathPatterns(patterns);
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    (void)applyOpPatternsGreedily(functions, std::move(patterns), config);
    // Upstream's polynomials ask for a fused multiply-add by name, which is a
    // call where there is no instruction for it.
    getOperation()->walk([&](math::FmaOp op) {
      if (given.contains(op))
        return;
      ImplicitLocOpBuilder b(op.getLoc(), op);
      op.getResult().replaceAllUsesWith(
          multiplyAdd(b, op.getA(), op.getB(), op.getC()));
      op.erase();
    });
  }
};
} // namespace

void rope::populateApproximateMathPatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<ApproximateExponential<math::ExpOp>>(context, getExp());
  patterns.add<ApproximateExponential<math::Exp2Op>>(context, getExp2());
  auto isUpstreams = [](StringRef name) {
    return name == math::TanhOp::getOperationName() ||
           name == math::LogOp::getOperationName();
  };
  populateMathPolynomialApproximationPatterns(patterns, isUpstreams);
  auto isWidened = [=](StringRef name) {
    return isUpstreams(name) || name == math::ExpOp::getOperationName() ||
           name == math::Exp2Op::getOperationName();
  };
  populateMathF32ExpansionPatterns(patterns, isWidened);
}

//===- ExpandBF16.cpp - bf16 by integer operations ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_EXPANDBF16
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// `element`, or vectors of it of the shape of `type`.
static Type likeShape(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

static Value splat(ImplicitLocOpBuilder &b, Type i32, int32_t value) {
  TypedAttr attr = b.getI32IntegerAttr(value);
  if (auto vector = dyn_cast<VectorType>(i32))
    attr = DenseElementsAttr::get(vector, value);
  return arith::ConstantOp::create(b, attr);
}

static bool isF32AndBF16(Type wide, Type narrow) {
  return getElementTypeOrSelf(wide).isF32() &&
         getElementTypeOrSelf(narrow).isBF16() &&
         isa<FloatType, VectorType>(wide);
}

namespace {
/// Pattern: arith.extf bf16 -> f32: the upper half of the bits.
struct WidenBF16 : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::ExtFOp op,
                                PatternRewriter &rewriter) const override {
    if (!isF32AndBF16(op.getType(), op.getIn().getType()))
      return rewriter.notifyMatchFailure(op, "is not from bf16 to f32");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type i32 = likeShape(op.getType(), b.getI32Type());
    Value bits = arith::BitcastOp::create(
        b, likeShape(op.getType(), b.getI16Type()), op.getIn());
    bits = arith::ShLIOp::create(b, arith::ExtUIOp::create(b, i32, bits),
                                 splat(b, i32, 16));
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, op.getType(), bits);
    return success();
  }
};

/// Pattern: arith.truncf f32 -> bf16. All lanes stay 32 bits wide up to the
/// last step, so that the comparison's mask fits the selection.
struct RoundToBF16 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    if (!isF32AndBF16(op.getIn().getType(), op.getType()))
      return rewriter.notifyMatchFailure(op, "is not from f32 to bf16");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type i32 = likeShape(op.getType(), b.getI32Type());
    auto constant = [&](int32_t value) { return splat(b, i32, value); };
    Value bits = arith::BitcastOp::create(b, i32, op.getIn());
    // Half a unit less one, and one more where the kept part is odd.
    Value odd = arith::AndIOp::create(
        b, arith::ShRUIOp::create(b, bits, constant(16)), constant(1));
    Value rounded = arith::AddIOp::create(
        b, arith::AddIOp::create(b, bits, constant(0x7fff)), odd);
    Value isNaN = arith::CmpIOp::create(
        b, arith::CmpIPredicate::sgt,
        arith::AndIOp::create(b, bits, constant(0x7fffffff)),
        constant(0x7f800000));
    Value quiet = arith::OrIOp::create(b, bits, constant(0x00400000));
    Value kept = arith::ShRUIOp::create(
        b, arith::SelectOp::create(b, isNaN, quiet, rounded), constant(16));
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(
        op, op.getType(),
        arith::TruncIOp::create(b, likeShape(op.getType(), b.getI16Type()),
                                kept));
    return success();
  }
};

struct ExpandBF16 : rope::impl::ExpandBF16Base<ExpandBF16> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandBF16Patterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

void rope::populateExpandBF16Patterns(RewritePatternSet &patterns) {
  patterns.add<RoundToBF16, WidenBF16>(patterns.getContext());
}

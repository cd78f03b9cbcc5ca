//===- LowerFrequencies.cpp - frequency chains to constants and code ------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/AngleMath.h"
#include "Rope/IR/Frequencies.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <cmath>

namespace mlir::rope {
#define GEN_PASS_DEF_LOWERFREQUENCIES
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
/// Pattern: a chain without unknown lengths -> constant. Waits until nothing
/// scales the frequencies further, since each constant is a rounding.
template <typename OpTy>
struct EvaluateChain : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (llvm::any_of(op->getUsers(), llvm::IsaPred<ScaleFrequenciesOp>))
      return rewriter.notifyMatchFailure(op, "is scaled further");
    std::optional<SmallVector<double>> w = evaluateFrequencies(op.getResult());
    if (!w)
      return rewriter.notifyMatchFailure(op, "reads a length");
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(
        op, DenseElementsAttr::get(op.getType(), ArrayRef<double>(*w)));
    return success();
  }
};

/// Pattern: a scaling by an unknown length, or of frequencies that are not
/// known -> the code that its rule builds.
struct BuildScale : OpRewritePattern<ScaleFrequenciesOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScaleFrequenciesOp op,
                                PatternRewriter &rewriter) const override {
    if (evaluateUnrounded(op.getResult()))
      return rewriter.notifyMatchFailure(op, "is a constant");
    rewriter.replaceOp(op, op.getScaling().buildScale(rewriter, op.getLoc(),
                                                      op.getFrequencies(),
                                                      op.getLength()));
    return success();
  }
};

/// The positions and frequencies of a table, and what it is made for.
struct Angles {
  OpOperand *positions, *frequencies;
  Precision precision;
  /// Elements of the tables.
  Type element;
};

SmallVector<Angles> anglesOf(Operation *op) {
  if (auto table = dyn_cast<TableOp>(op))
    return {{&table.getPositionsMutable(), &table.getFrequenciesMutable(),
             table.getPrecision(),
             getElementTypeOrSelf(table.getCos().getType())}};
  SmallVector<Angles> all;
  auto attention = dyn_cast<AttentionOp>(op);
  if (!attention)
    return all;
  auto add = [&](RotationAttr rotation, const MutableOperandRange &operands,
                 Value x) {
    if (rotation && rotation.getAngles())
      all.push_back({&operands[0], &operands[1],
                     rotation.getAngles().getPrecision(),
                     loadedElement(attention, x)});
  };
  add(attention.getQueryRotationAttr(),
      attention.getQueryRotationOperandsMutable(), attention.getQuery());
  add(attention.getKeyRotationAttr(), attention.getKeyRotationOperandsMutable(),
      attention.getKey());
  return all;
}

/// Pattern: frequencies of an exact table of integer positions -> in turns. An
/// f64 table needs more of them than 64 bits of a turn.
struct UseTurns : RewritePattern {
  UseTurns(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    bool changed = false;
    for (const Angles &angles : anglesOf(op)) {
      auto type =
          dyn_cast<RankedTensorType>(angles.frequencies->get().getType());
      if (!type || !type.getElementType().isF64() ||
          angles.precision != Precision::exact || angles.element.isF64() ||
          isa<FloatType>(
              getElementTypeOrSelf(angles.positions->get().getType())))
        continue;
      rewriter.setInsertionPointAfterValue(angles.frequencies->get());
      Value turns = toTurns(rewriter, op->getLoc(), angles.frequencies->get());
      rewriter.modifyOpInPlace(op, [&] { angles.frequencies->set(turns); });
      changed = true;
    }
    return success(changed);
  }

private:
  static Value toTurns(OpBuilder &builder, Location loc, Value frequencies) {
    ImplicitLocOpBuilder b(loc, builder);
    auto type =
        cast<RankedTensorType>(frequencies.getType()).clone(b.getI64Type());
    if (auto w = evaluateFrequencies(frequencies)) {
      SmallVector<int64_t> turns = llvm::map_to_vector(*w, evaluateTurns);
      return arith::ConstantOp::create(
          b, DenseElementsAttr::get(cast<ShapedType>(type),
                                    ArrayRef<int64_t>(turns)));
    }
    Value init = tensor::EmptyOp::create(
        b, tensor::getMixedSizes(b, loc, frequencies), b.getI64Type());
    AffineMap identity = b.getMultiDimIdentityMap(1);
    auto generic = linalg::GenericOp::create(
        b, TypeRange{init.getType()}, frequencies, init,
        ArrayRef{identity, identity}, utils::IteratorType::parallel,
        [](OpBuilder &builder, Location loc, ValueRange arguments) {
          ImplicitLocOpBuilder inner(loc, builder);
          linalg::YieldOp::create(inner, buildTurns(inner, arguments[0]));
        });
    return generic.getResult(0);
  }
};

/// Reports frequencies that are known and too large for exact angles, which a
/// base or factors below one can give.
LogicalResult verifyRange(Operation *op) {
  for (const Angles &angles : anglesOf(op)) {
    std::optional<SmallVector<double>> w =
        evaluateFrequencies(angles.frequencies->get());
    if (!w)
      continue;
    for (auto [i, frequency] : llvm::enumerate(*w))
      if (!(std::fabs(frequency) < 0x1p20))
        return op->emitOpError(
                   "expected frequencies to be finite and less than 2^20 in "
                   "magnitude, but pair ")
               << i << " has " << frequency;
  }
  return success();
}

struct LowerFrequencies : rope::impl::LowerFrequenciesBase<LowerFrequencies> {
  void runOnOperation() override {
    WalkResult known = getOperation()->walk(
        [](Operation *op) -> WalkResult { return verifyRange(op); });
    if (known.wasInterrupted())
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    populateLowerFrequenciesPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

void rope::populateLowerFrequenciesPatterns(RewritePatternSet &patterns) {
  patterns.add<EvaluateChain<FrequenciesOp>, EvaluateChain<ScaleFrequenciesOp>,
               BuildScale, UseTurns>(patterns.getContext());
}

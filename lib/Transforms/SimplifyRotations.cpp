//===- SimplifyRotations.cpp - rotations that meet ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each rule has a label, such as (simplify_1), under which the reference states
// its conditions.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "Simplify.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::rope;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static Type elementOf(Value value) { return typeOf(value).getElementType(); }

//===----------------------------------------------------------------------===//
// One rotation after another
//===----------------------------------------------------------------------===//

/// Whether the tables turn by positions times the same frequencies, exactly, so
/// that angles add up where positions do.
static bool haveAnglesThatAdd(TableOp first, TableOp second) {
  auto isInteger = [](TableOp table) {
    return elementOf(table.getPositions()).isIntOrIndex() &&
           table.getPrecision() == Precision::exact;
  };
  return isInteger(first) && isInteger(second) &&
         first.getFrequencies() == second.getFrequencies() &&
         first.getAxes() == second.getAxes() &&
         elementOf(first.getPositions()) == elementOf(second.getPositions()) &&
         elementOf(first.getCos()) == elementOf(second.getCos());
}

/// Whether a table for `op` alone costs less than a rotation: several heads,
/// or the like, have a row of it in common.
static bool isWorthTable(ApplyOp op) {
  ArrayRef<int64_t> shape = typeOf(op.getX()).getShape();
  for (auto [dim, size] : llvm::enumerate(shape.drop_back()))
    if (!ShapedType::isDynamic(size) && size > 1 &&
        !llvm::is_contained(op.getPositionDims(), int64_t(dim)))
      return true;
  return false;
}

/// Whether `table` makes tables for these rotations alone.
static bool isOnlyFor(TableOp table, ApplyOp first, ApplyOp second) {
  return llvm::all_of(table->getUsers(), [&](Operation *user) {
    return user == first || user == second;
  });
}

namespace {
/// Pattern (simplify_1): the rotation of a rotation.
struct AddPositions : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    auto first = op.getX().getDefiningOp<ApplyOp>();
    TableOp firstTable = first ? findTable(first) : TableOp();
    TableOp table = findTable(op);
    if (!table || !firstTable || !first->hasOneUse() ||
        !areRotatedAlike(first, op) || !haveAnglesThatAdd(firstTable, table))
      return rewriter.notifyMatchFailure(op, "follows no like rotation");
    if (first->getBlock() != op->getBlock())
      return rewriter.notifyMatchFailure(op, "is repeated");
    RankedTensorType type = typeOf(table.getPositions());
    APFloat magnitude = firstTable.getMagnitude() * table.getMagnitude();
    if (!magnitude.isFinite() || !haveSameSizes(first, op, firstTable, table))
      return rewriter.notifyMatchFailure(op, "sizes or magnitudes differ");
    bool replacesTables =
        isOnlyFor(firstTable, first, op) && isOnlyFor(table, first, op);
    if (!replacesTables && !isWorthTable(op))
      return rewriter.notifyMatchFailure(op, "a new table costs as much");

    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value p = castTo(b, b.getLoc(), firstTable.getPositions(), type);
    Value q = table.getPositions();
    // A sum of narrow integers might not be one of them.
    if (!type.getElementType().isIndex() &&
        type.getElementTypeBitWidth() < 64) {
      Type wide = type.clone(b.getI64Type());
      p = arith::ExtSIOp::create(b, wide, p);
      q = arith::ExtSIOp::create(b, wide, q);
    }
    // Forwards, but for two rotations backwards.
    bool isSum = first.getTranspose() == op.getTranspose();
    if (!isSum && first.getTranspose())
      std::swap(p, q);
    Value positions = isSum ? arith::AddIOp::create(b, p, q).getResult()
                            : arith::SubIOp::create(b, p, q).getResult();
    TableOp sum = tableLike(b, table, positions,
                            b.getF64FloatAttr(magnitude.convertToDouble()));

    rewriter.modifyOpInPlace(op, [&] {
      op.getXMutable().set(first.getX());
      op.getCosMutable().set(sum->getResult(0));
      op.getSinMutable().set(sum->getResult(1));
      Pairing written = op.getWrittenPairing();
      if (!op.getPairStride() && first.getPairStride())
        op.setPairStride(first.getPairStride());
      op.setPairing(first.getPairing());
      op.setResultPairing(written == first.getPairing()
                              ? std::nullopt
                              : std::optional<Pairing>(written));
      // Where pairings change the stride is the number of pairs, which goes
      // without saying.
      if (written != Pairing::half || first.getPairing() != Pairing::half)
        op.removePairStrideAttr();
      op.setTranspose(isSum && op.getTranspose());
    });
    reportOther(op, kSimplifyName, true,
                "two rotations became one by the sum of their positions");
    return success();
  }

  static bool haveSameSizes(ApplyOp first, ApplyOp op, TableOp firstTable,
                            TableOp table) {
    RankedTensorType x = typeOf(first.getX());
    SmallVector<int64_t> tables(typeOf(table.getPositions()).getShape());
    if (table.getAxes())
      tables.erase(tables.begin());
    tables.push_back(typeOf(table.getFrequencies()).getDimSize(0));
    auto fits = [&](RankedTensorType type) {
      return canRotateLike(op, type.getShape(), tables, op.getPositionDims(),
                           op.getOffset());
    };
    return tensor::CastOp::areCastCompatible(
               firstTable.getPositions().getType(),
               table.getPositions().getType()) &&
           succeeded(verifyCompatibleShape(x, op.getInit().getType())) &&
           fits(x) && fits(typeOf(op.getInit()));
  }
};

//===----------------------------------------------------------------------===//
// What stands between
//===----------------------------------------------------------------------===//

/// Pattern (simplify_2): what moves elements between two rotations by the same
/// frequencies moves behind both.
struct MeetRotation : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    TableOp table = findTable(op);
    std::optional<Movement> movement =
        table ? matchMovement(op.getX().getDefiningOp()) : std::nullopt;
    if (!movement)
      return rewriter.notifyMatchFailure(op, "rotates nothing moved");
    SmallVector<int64_t> dims(op.getPositionDims());
    Value x = op.getX();
    while (movement) {
      std::optional<SmallVector<int64_t>> sourceDims =
          getSourceDims(*movement, dims);
      if (!sourceDims || !x.hasOneUse() ||
          x.getDefiningOp()->getBlock() != op->getBlock())
        return rewriter.notifyMatchFailure(op, "cannot be moved");
      dims = *sourceDims;
      x = movement->source;
      movement = matchMovement(x.getDefiningOp());
    }
    auto first = x.getDefiningOp<ApplyOp>();
    TableOp other = first ? findTable(first) : TableOp();
    if (!other || other.getFrequencies() != table.getFrequencies() ||
        !x.hasOneUse() || first.getPositionDims() != ArrayRef(dims))
      return rewriter.notifyMatchFailure(op, "meets no rotation");
    if (!rotateBefore(rewriter, op))
      return rewriter.notifyMatchFailure(op, "sizes contradict each other");
    reportOther(first, kSimplifyName, true,
                "a rotation moved in front of a transposition or reshape");
    return success();
  }
};

/// Whether `second` puts the elements back where they are before `first`.
bool undoes(Operation *second, const Movement &back, Operation *first,
            const Movement &forth) {
  auto source = typeOf(forth.source), result = typeOf(second->getResult(0));
  if (source.getRank() != result.getRank() ||
      failed(verifyCompatibleShape(source, result)))
    return false;
  auto expand = dyn_cast<tensor::ExpandShapeOp>(second);
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(second);
  // A group may have one size that is not known: then it follows.
  auto haveSameGroups = [](tensor::ExpandShapeOp expand,
                           tensor::CollapseShapeOp collapse,
                           RankedTensorType large) {
    if (!expand || !collapse ||
        expand.getReassociationIndices() != collapse.getReassociationIndices())
      return false;
    return llvm::all_of(expand.getReassociationIndices(),
                        [&](const ReassociationIndices &group) {
                          return llvm::count_if(group, [&](int64_t dim) {
                                   return large.isDynamicDim(dim);
                                 }) <= 1;
                        });
  };
  if (collapse)
    return haveSameGroups(dyn_cast<tensor::ExpandShapeOp>(first), collapse,
                          typeOf(collapse.getSrc()));
  if (expand) {
    auto before = dyn_cast<tensor::CollapseShapeOp>(first);
    return haveSameGroups(expand, before, result) &&
           (result.hasStaticShape() || result.getShape() == source.getShape());
  }
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(first) ||
      back.repeats || forth.repeats || back.dims.size() != forth.dims.size())
    return false;
  return llvm::all_of(llvm::enumerate(back.dims), [&](auto pair) {
    std::optional<int64_t> dim = pair.value();
    return dim && forth.dims[*dim] == int64_t(pair.index());
  });
}

/// Pattern (simplify_2): what is moved, rotated and moved back.
struct RotateUnmoved : RewritePattern {
  RotateUnmoved(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    std::optional<Movement> back = matchMovement(op);
    auto apply = back ? back->source.getDefiningOp<ApplyOp>() : ApplyOp();
    Operation *mover = apply ? apply.getX().getDefiningOp() : nullptr;
    std::optional<Movement> forth = matchMovement(mover);
    if (!forth || !apply->hasOneUse() || apply->getBlock() != op->getBlock() ||
        !undoes(op, *back, mover, *forth))
      return rewriter.notifyMatchFailure(op, "does not move back");
    std::optional<SmallVector<int64_t>> dims =
        getSourceDims(*forth, apply.getPositionDims());
    ImplicitLocOpBuilder b(apply.getLoc(), rewriter);
    ApplyOp rotated = dims ? rotateLike(b, apply, forth->source, apply.getCos(),
                                        apply.getSin(), *dims)
                           : ApplyOp();
    if (!rotated)
      return rewriter.notifyMatchFailure(op, "dimensions do not follow");
    reportOther(apply, kSimplifyName, true,
                "rotation made where a transposition or reshape came from");
    rewriter.replaceOp(op, castTo(rewriter, op->getLoc(), rotated->getResult(0),
                                  op->getResult(0).getType()));
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Side by side
//===----------------------------------------------------------------------===//

/// Pattern (simplify_3): joined rotations by one table.
struct RotateJoined : OpRewritePattern<tensor::ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ConcatOp concat,
                                PatternRewriter &rewriter) const override {
    auto first = concat.getInputs().front().getDefiningOp<ApplyOp>();
    int64_t dim = concat.getDim();
    if (!first || dim == concat.getResultType().getRank() - 1 ||
        llvm::is_contained(first.getPositionDims(), dim))
      return rewriter.notifyMatchFailure(concat, "joins no heads");
    SmallVector<int64_t> shape(typeOf(first.getX()).getShape());
    shape[dim] = ShapedType::kDynamic;
    SmallVector<Value> inputs;
    for (Value input : concat.getInputs()) {
      auto apply = input.getDefiningOp<ApplyOp>();
      if (!apply || !apply->hasOneUse() ||
          apply->getBlock() != concat->getBlock() ||
          apply.getCos() != first.getCos() ||
          apply.getSin() != first.getSin() ||
          apply->getAttrDictionary() != first->getAttrDictionary() ||
          elementOf(apply.getX()) != elementOf(first.getX()) ||
          failed(verifyCompatibleShape(shape, typeOf(apply.getX()).getShape())))
        return rewriter.notifyMatchFailure(concat, "joins other things");
      inputs.push_back(apply.getX());
    }
    if (inputs.size() < 2)
      return rewriter.notifyMatchFailure(concat, "joins nothing");
    RankedTensorType type =
        tensor::ConcatOp::inferResultType(dim, TypeRange(ValueRange(inputs)));
    auto sizes = mergeShape(type.getShape(), concat.getResultType().getShape());
    if (!sizes ||
        !canRotateLike(first, *sizes, typeOf(first.getCos()).getShape(),
                       first.getPositionDims(), first.getOffset()) ||
        !canRotateLike(first, *sizes, typeOf(first.getSin()).getShape(),
                       first.getPositionDims(), first.getOffset()))
      return rewriter.notifyMatchFailure(concat, "sizes contradict each other");
    ImplicitLocOpBuilder b(first.getLoc(), rewriter);
    Value x = tensor::ConcatOp::create(b, dim, inputs);
    ApplyOp apply = rotateLike(b, first, x, first.getCos(), first.getSin(),
                               first.getPositionDims());
    reportOther(apply, kSimplifyName, true, "joined rotations became one");
    rewriter.replaceOp(concat, castTo(rewriter, concat.getLoc(),
                                      apply->getResult(0), concat.getType()));
    return success();
  }

  /// What is known of either, nothing where that differs.
  static std::optional<SmallVector<int64_t>> mergeShape(ArrayRef<int64_t> a,
                                                        ArrayRef<int64_t> b) {
    if (failed(verifyCompatibleShape(a, b)))
      return std::nullopt;
    SmallVector<int64_t> merged(a);
    for (auto [size, other] : llvm::zip(merged, b))
      if (ShapedType::isDynamic(size))
        size = other;
    return merged;
  }
};
} // namespace

void rope::populateSimplifyPatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  ApplyOp::getCanonicalizationPatterns(patterns, context);
  patterns.add<AddPositions, MeetRotation, RotateUnmoved, RotateJoined>(
      context);
  populateSimplifyTablePatterns(patterns);
}

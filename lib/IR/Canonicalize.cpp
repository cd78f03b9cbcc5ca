//===- Canonicalize.cpp - rotations that are simpler in any case ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each rule has a label, such as (apply_f3), under which the reference states
// its conditions.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Algebra.h"
#include "Rules.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::rope;

static Type elementOf(Value value) {
  return getElementTypeOrSelf(value.getType());
}

/// Replaces `op` by `value` where types agree but for what is known of sizes.
static LogicalResult replaceBy(PatternRewriter &rewriter, ApplyOp op,
                               Value value) {
  Value result =
      castTo(rewriter, op.getLoc(), value, op->getResult(0).getType());
  if (!result)
    return rewriter.notifyMatchFailure(op, "elements or sizes differ");
  rewriter.replaceOp(op, result);
  return success();
}

//===----------------------------------------------------------------------===//
// Rotations that do nothing
//===----------------------------------------------------------------------===//

namespace {
/// Patterns (apply_f1) and (apply_f2): no pairs, or positions that are zero.
struct DropIdentity : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getResults().empty() ||
        (!isWithoutPairs(op) && !isOfZeroPositions(op)))
      return rewriter.notifyMatchFailure(op, "rotates");
    return replaceBy(rewriter, op, op.getX());
  }

  static bool isWithoutPairs(ApplyOp op) {
    return mergeShapes(cast<ShapedType>(op.getCos().getType()),
                       cast<ShapedType>(op.getSin().getType()))
               .back() == 0;
  }

  static bool isOfZeroPositions(ApplyOp op) {
    TableOp table = findTable(op);
    return table && op.getWrittenPairing() == op.getPairing() &&
           table.getMagnitude().isExactlyValue(1.0) &&
           (matchPattern(table.getPositions(), m_Zero()) ||
            matchPattern(table.getPositions(), m_AnyZeroFloat()));
  }
};

/// Pattern (apply_f3): a rotation and its inverse.
struct CancelInverse : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    auto first = op.getX().getDefiningOp<ApplyOp>();
    TableOp table = findTable(op);
    if (!first || !table || findTable(first) != table ||
        first.getTranspose() == op.getTranspose() ||
        !areRotatedAlike(first, op) ||
        op.getWrittenPairing() != first.getPairing())
      return rewriter.notifyMatchFailure(op, "is not the inverse of its x");
    unsigned bits = elementOf(table.getCos()).getIntOrFloatBitWidth();
    if (!table.getMagnitude().isExactlyValue(1.0) || bits < 32 ||
        bits < elementOf(op.getX()).getIntOrFloatBitWidth())
      return rewriter.notifyMatchFailure(op, "is of no unit table");
    return replaceBy(rewriter, op, first.getX());
  }
};

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

/// The tensor that `op` casts element by element with a `CastOp`, or null.
template <typename CastOp>
Value matchCast(Operation *op) {
  Operation *cast = op ? matchUnary(op) : nullptr;
  return isa_and_nonnull<CastOp>(cast) ? op->getOperand(0) : Value();
}

/// Pattern (apply_f4): a rotation of what is extended.
struct RotateNarrow : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getResults().empty())
      return rewriter.notifyMatchFailure(op, "is on memrefs");
    Value x = matchCast<arith::ExtFOp>(op.getX().getDefiningOp());
    if (!x || !isSupportedFloat(elementOf(x)) ||
        failed(verifyCompatibleShape(x.getType(), op.getInit().getType())) ||
        failed(verifyCompatibleShape(x.getType(), op.getX().getType())))
      return rewriter.notifyMatchFailure(op, "rotates nothing extended");
    // Keeps what is known of the sizes.
    auto type = cast<RankedTensorType>(op.getX().getType()).clone(elementOf(x));
    x = castTo(rewriter, op.getLoc(), x, type);
    rewriter.modifyOpInPlace(op, [&] { op.getXMutable().set(x); });
    return success();
  }
};

/// Pattern (apply_f5): a rotation into f32 that is truncated to what it was.
struct RoundOnce : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getResults().empty() || !op->hasOneUse())
      return rewriter.notifyMatchFailure(op, "has other uses");
    Operation *user = *op->user_begin();
    if (!matchCast<arith::TruncFOp>(user) ||
        user->getOperand(0) != op->getResult(0) || !roundsToNearest(user))
      return rewriter.notifyMatchFailure(op, "is not truncated");
    Type element = elementOf(op.getX());
    if (elementOf(user->getResult(0)) != element ||
        element.getIntOrFloatBitWidth() != 16 ||
        !elementOf(op.getInit()).isF32() || elementOf(op.getCos()).isF64())
      return rewriter.notifyMatchFailure(op, "is computed in another type");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    ApplyOp narrow = rotateLike(b, op, op.getX(), op.getCos(), op.getSin(),
                                op.getPositionDims(), op.getOffset(), element);
    if (!narrow)
      return rewriter.notifyMatchFailure(op, "sizes contradict each other");
    Value sized = castTo(
        rewriter, op.getLoc(), narrow->getResult(0),
        cast<RankedTensorType>(op->getResult(0).getType()).clone(element));
    rewriter.replaceOp(user, castTo(rewriter, op.getLoc(), sized,
                                    user->getResult(0).getType()));
    rewriter.eraseOp(op);
    return success();
  }

  static bool roundsToNearest(Operation *op) {
    bool nearest = true;
    op->walk([&](arith::TruncFOp cast) {
      nearest &= cast.getRoundingmode().value_or(
                     arith::RoundingMode::to_nearest_even) ==
                 arith::RoundingMode::to_nearest_even;
    });
    return nearest;
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Rotations of less
//===----------------------------------------------------------------------===//

namespace {
/// Pattern (apply_f6): a rotation of what is repeated, and perhaps reshaped.
struct RotateBeforeRepeat : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getResults().empty())
      return rewriter.notifyMatchFailure(op, "is on memrefs");
    SmallVector<int64_t> dims(op.getPositionDims());
    Value x = op.getX();
    while (true) {
      std::optional<Movement> movement = matchMovement(x.getDefiningOp());
      std::optional<SmallVector<int64_t>> sourceDims =
          movement ? getSourceDims(*movement, dims) : std::nullopt;
      if (!sourceDims || x.getDefiningOp()->getBlock() != op->getBlock())
        return rewriter.notifyMatchFailure(op, "rotates nothing repeated");
      if (movement->repeats)
        break;
      dims = *sourceDims;
      x = movement->source;
    }
    return success(rotateBefore(rewriter, op));
  }
};

/// Pattern (apply_f7): a slice of a rotation.
struct RotateSlice : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ExtractSliceOp slice,
                                PatternRewriter &rewriter) const override {
    auto apply = slice.getSource().getDefiningOp<ApplyOp>();
    if (!apply || !apply->hasOneUse() || apply->getBlock() != slice->getBlock())
      return rewriter.notifyMatchFailure(slice, "rotation has other uses");
    int64_t head = slice.getSourceType().getRank() - 1;
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    if (!isWhole(slice, slice.getSource(), head) || dropped.test(head))
      return rewriter.notifyMatchFailure(slice, "takes some channels");
    if (llvm::all_of(llvm::seq(head), [&](int64_t dim) {
          return isWhole(slice, slice.getSource(), dim);
        }))
      return rewriter.notifyMatchFailure(slice, "takes everything");

    // The dimensions of tables and of what is sliced, as far as they stay.
    ImplicitLocOpBuilder b(apply.getLoc(), rewriter);
    SmallVector<OpFoldResult> offsets, sizes, strides;
    SmallVector<int64_t> positionDims;
    bool isWholeTable = true;
    SmallVector<int64_t> tables =
        mergeShapes(cast<ShapedType>(apply.getCos().getType()),
                    cast<ShapedType>(apply.getSin().getType()));
    SmallVector<int64_t> shape;
    for (auto [i, dim] : llvm::enumerate(apply.getPositionDims())) {
      isWholeTable &=
          isWhole(slice, slice.getSource(), dim) && !dropped.test(dim);
      offsets.push_back(slice.getMixedOffsets()[dim]);
      sizes.push_back(slice.getMixedSizes()[dim]);
      strides.push_back(slice.getMixedStrides()[dim]);
      if (dropped.test(dim))
        continue;
      shape.push_back(slice.getStaticSizes()[dim]);
      int64_t before = 0;
      for (int64_t other : llvm::seq(dim))
        before += dropped.test(other);
      positionDims.push_back(dim - before);
    }
    shape.push_back(tables.back());
    if (!isWholeTable && ShapedType::isDynamic(tables.back()))
      return rewriter.notifyMatchFailure(slice, "unknown number of pairs");
    // Sizes that are known of one operand alone might contradict the slice.
    auto agrees = [](ArrayRef<int64_t> sizes, ArrayRef<int64_t> others) {
      return llvm::all_of(llvm::zip(sizes, others), [](auto pair) {
        return ShapedType::isDynamic(std::get<0>(pair)) ||
               std::get<0>(pair) == std::get<1>(pair);
      });
    };
    ArrayRef<int64_t> whole = slice.getSourceType().getShape();
    SmallVector<int64_t> followed = llvm::map_to_vector(
        apply.getPositionDims(), [&](int64_t dim) { return whole[dim]; });
    if (!agrees(cast<ShapedType>(apply.getX().getType()).getShape(), whole) ||
        (!isWholeTable && !agrees(ArrayRef(tables).drop_back(), followed)) ||
        !canRotateLike(apply, slice.getType().getShape(),
                       isWholeTable ? tables : shape, positionDims,
                       apply.getOffset()))
      return rewriter.notifyMatchFailure(slice, "sizes contradict each other");

    auto sliceTensor = [&](Value tensor, ArrayRef<int64_t> shape,
                           ArrayRef<OpFoldResult> offsets,
                           ArrayRef<OpFoldResult> sizes,
                           ArrayRef<OpFoldResult> strides) -> Value {
      auto type = RankedTensorType::get(shape, elementOf(tensor));
      return tensor::ExtractSliceOp::create(b, type, tensor, offsets, sizes,
                                            strides);
    };
    offsets.push_back(b.getIndexAttr(0));
    sizes.push_back(b.getIndexAttr(shape.back()));
    strides.push_back(b.getIndexAttr(1));
    auto sliceTable = [&](Value tensor) {
      return isWholeTable ? tensor
                          : sliceTensor(tensor, shape, offsets, sizes, strides);
    };
    rewriter.setInsertionPoint(slice);
    Value x = sliceTensor(apply.getX(), slice.getType().getShape(),
                          slice.getMixedOffsets(), slice.getMixedSizes(),
                          slice.getMixedStrides());
    ApplyOp rotated = rotateLike(b, apply, x, sliceTable(apply.getCos()),
                                 sliceTable(apply.getSin()), positionDims);
    rewriter.replaceOp(slice, castTo(rewriter, slice.getLoc(),
                                     rotated->getResult(0), slice.getType()));
    rewriter.eraseOp(apply);
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Rotations of some channels
//===----------------------------------------------------------------------===//

namespace {
/// Channels of a tensor that are channels of another one, or these rotated.
struct Part {
  int64_t start, size;
  /// The slice that takes them, and the first of its channels.
  tensor::ExtractSliceOp slice;
  int64_t from;
  ApplyOp rotation;
};

/// What joins slices along the head dimension.
class Join {
public:
  /// Whether `root` joins neighbouring channels of one tensor, one part of
  /// which is rotated and has no other use.
  bool match(Operation *root);
  /// The rotation of the same channels, null where nothing could be built.
  Value rotate(ImplicitLocOpBuilder &b);

private:
  bool addPart(Value value, int64_t start, int64_t size);
  bool matchConcat(tensor::ConcatOp concat);
  bool matchInserts();
  bool isOfOneTensor();

  Operation *root = nullptr;
  int64_t head = 0;
  SmallVector<Part> parts;
  Part *rotated = nullptr;
  /// The tensor that slices are inserted into, if that is what they are of.
  Value rest;
};
} // namespace

bool Join::addPart(Value value, int64_t start, int64_t size) {
  Part part{start, size, value.getDefiningOp<tensor::ExtractSliceOp>(), 0,
            value.getDefiningOp<ApplyOp>()};
  if (part.rotation) {
    if (!part.rotation->hasOneUse() ||
        part.rotation->getBlock() != root->getBlock())
      return false;
    part.slice = part.rotation.getX().getDefiningOp<tensor::ExtractSliceOp>();
  }
  if (!part.slice || part.slice.getType().getRank() != head + 1 ||
      part.slice.getSourceType().getRank() != head + 1 ||
      !part.slice.hasUnitStride() ||
      part.slice.getStaticSizes()[head] != size ||
      ShapedType::isDynamic(part.slice.getStaticOffsets()[head]))
    return false;
  part.from = part.slice.getStaticOffsets()[head];
  parts.push_back(part);
  return true;
}

bool Join::matchConcat(tensor::ConcatOp concat) {
  if (int64_t(concat.getDim()) != head)
    return false;
  int64_t start = 0;
  for (Value input : concat.getInputs()) {
    int64_t size = cast<RankedTensorType>(input.getType()).getDimSize(head);
    if (ShapedType::isDynamic(size) || !addPart(input, start, size))
      return false;
    start += size;
  }
  return true;
}

bool Join::matchInserts() {
  rest = root->getResult(0);
  while (auto insert = rest.getDefiningOp<tensor::InsertSliceOp>()) {
    if (insert->getBlock() != root->getBlock() ||
        (insert != root && !insert->hasOneUse()))
      break;
    rest = insert.getDest();
    int64_t start = insert.getStaticOffsets()[head],
            size = insert.getStaticSizes()[head];
    if (insert.getSourceType().getRank() != head + 1 ||
        ShapedType::isDynamic(start) || ShapedType::isDynamic(size) ||
        !insert.hasUnitStride() ||
        !llvm::all_of(
            llvm::seq(head),
            [&](int64_t dim) { return isWhole(insert, rest, dim); }) ||
        !addPart(insert.getSource(), start, size))
      return false;
  }
  return true;
}

bool Join::isOfOneTensor() {
  llvm::sort(parts, [](const Part &a, const Part &b) {
    return std::pair(a.start, a.size) < std::pair(b.start, b.size);
  });
  for (Part &part : parts) {
    if (!part.rotation)
      continue;
    if (rotated)
      return false;
    rotated = &part;
  }
  if (!rotated)
    return false;
  Value source = rotated->slice.getSource();
  auto isSame = [&](tensor::ExtractSliceOp slice, int64_t dim) {
    tensor::ExtractSliceOp other = rotated->slice;
    return (slice.getMixedOffsets()[dim] == other.getMixedOffsets()[dim] &&
            slice.getMixedSizes()[dim] == other.getMixedSizes()[dim]) ||
           (isWhole(slice, source, dim) && isWhole(other, source, dim));
  };
  for (Part &part : parts) {
    if (part.slice.getSource() != source ||
        part.from - part.start != rotated->from - rotated->start)
      return false;
    for (int64_t dim : llvm::seq(head))
      if (!isSame(part.slice, dim))
        return false;
  }
  // Without overlap; what is missing is of the tensor they are inserted into.
  int64_t end = 0;
  bool isComplete = true;
  for (const Part &part : parts) {
    if (part.start < end)
      return false;
    isComplete &= part.start == end;
    end = part.start + part.size;
  }
  isComplete &=
      end == cast<ShapedType>(root->getResult(0).getType()).getDimSize(head);
  if (isComplete)
    return parts.size() > 1;
  return rest == source && rotated->from == rotated->start &&
         llvm::all_of(llvm::seq(head), [&](int64_t dim) {
           return isWhole(rotated->slice, source, dim);
         });
}

bool Join::match(Operation *op) {
  root = op;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  head = type.getRank() - 1;
  if (head < 0 || type.isDynamicDim(head))
    return false;
  auto concat = dyn_cast<tensor::ConcatOp>(op);
  if (!(concat ? matchConcat(concat) : matchInserts()) || !isOfOneTensor())
    return false;
  ApplyOp rotation = rotated->rotation;
  SmallVector<int64_t> shape(rotated->slice.getType().getShape());
  shape[head] = type.getDimSize(head);
  return elementOf(rotation.getX()) == elementOf(rotation.getInit()) &&
         succeeded(verifyCompatibleShape(shape, type.getShape())) &&
         canRotateLike(
             rotation, shape,
             mergeShapes(cast<ShapedType>(rotation.getCos().getType()),
                         cast<ShapedType>(rotation.getSin().getType())),
             rotation.getPositionDims(),
             int64_t(rotation.getOffset()) + rotated->start);
}

Value Join::rotate(ImplicitLocOpBuilder &b) {
  ApplyOp rotation = rotated->rotation;
  tensor::ExtractSliceOp slice = rotated->slice;
  Value x = slice.getSource();
  auto source = cast<RankedTensorType>(x.getType());
  auto type = cast<RankedTensorType>(root->getResult(0).getType());
  bool isAll = source.getDimSize(head) == type.getDimSize(head) &&
               llvm::all_of(llvm::seq(head), [&](int64_t dim) {
                 return isWhole(slice, x, dim);
               });
  if (!isAll) {
    SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(),
                              sizes = slice.getMixedSizes();
    offsets[head] = b.getIndexAttr(rotated->from - rotated->start);
    sizes[head] = b.getIndexAttr(type.getDimSize(head));
    x = tensor::ExtractSliceOp::create(b, x, offsets, sizes,
                                       slice.getMixedStrides());
  }
  ApplyOp apply = rotateLike(b, rotation, x, rotation.getCos(),
                             rotation.getSin(), rotation.getPositionDims(),
                             int64_t(rotation.getOffset()) + rotated->start,
                             type.getElementType());
  return castTo(b, b.getLoc(), apply->getResult(0), type);
}

namespace {
/// Pattern (apply_f8): channels that are cut out, rotated and joined again.
template <typename JoinOp>
struct RotateInPlace : OpRewritePattern<JoinOp> {
  using OpRewritePattern<JoinOp>::OpRewritePattern;

  LogicalResult matchAndRewrite(JoinOp op,
                                PatternRewriter &rewriter) const override {
    Join join;
    if (!join.match(op))
      return rewriter.notifyMatchFailure(op, "joins no part that is rotated");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    rewriter.replaceOp(op, join.rotate(b));
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
/// Casts that only forget sizes are no use of an operand. What upstream does
/// for every destination-style operation, but not for one with an empty region.
template <typename AttentionLikeOp>
struct FoldOperandCasts : OpRewritePattern<AttentionLikeOp> {
  FoldOperandCasts(MLIRContext *context)
      : OpRewritePattern<AttentionLikeOp>(context, /*benefit=*/2) {}

  LogicalResult matchAndRewrite(AttentionLikeOp op,
                                PatternRewriter &rewriter) const override {
    if (!tensor::hasFoldableTensorCastOperand(op))
      return rewriter.notifyMatchFailure(op, "has no casts");
    SmallVector<Type> types(op->getResultTypes());
    SmallVector<Value> operands =
        tensor::getUpdatedOperandsAfterCastOpFolding(op, types);
    Operation *folded = cloneWith(rewriter, op, types, operands);
    SmallVector<Value> results;
    for (auto [result, type] :
         llvm::zip(folded->getResults(), op->getResultTypes()))
      results.push_back(castTo(rewriter, op.getLoc(), result, type));
    rewriter.replaceOp(op, results);
    return success();
  }
};
} // namespace

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<FoldOperandCasts<AttentionOp>>(context);
}

void OnlineAttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                    MLIRContext *context) {
  patterns.add<FoldOperandCasts<OnlineAttentionOp>>(context);
}

void ApplyOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                          MLIRContext *context) {
  patterns.add<DropIdentity, CancelInverse, RotateNarrow, RoundOnce,
               RotateBeforeRepeat, RotateSlice, RotateInPlace<tensor::ConcatOp>,
               RotateInPlace<tensor::InsertSliceOp>>(context);
}

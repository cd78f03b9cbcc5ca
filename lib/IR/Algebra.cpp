//===- Algebra.cpp - what rewrites of rotations ask -----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Algebra.h"
#include "Rules.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::rope;

TableOp rope::findTable(Value cos, Value sin) {
  auto table = cos.getDefiningOp<TableOp>();
  bool makesBoth = table && !table.getResults().empty() &&
                   cos == table->getResult(0) && sin == table->getResult(1);
  return makesBoth ? table : TableOp();
}

/// The distance of the channels of a pair in half pairing.
static int64_t getStride(ApplyOp op) {
  if (std::optional<uint64_t> stride = op.getPairStride())
    return int64_t(*stride);
  return cast<ShapedType>(op.getCos().getType()).getShape().back();
}

bool rope::areRotatedAlike(ApplyOp first, ApplyOp second) {
  return first.getOffset() == second.getOffset() &&
         first.getWrittenPairing() == second.getPairing() &&
         first.getPositionDims() == second.getPositionDims() &&
         getStride(first) == getStride(second);
}

Operation *rope::matchUnary(Operation *op) {
  if (OpTrait::hasElementwiseMappableTraits(op))
    return op->getNumOperands() == 1 && op->getNumResults() == 1 &&
                   isa<RankedTensorType>(op->getOperand(0).getType())
               ? op
               : nullptr;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInputs() != 1 ||
      generic->getNumResults() != 1 ||
      generic.getNumParallelLoops() != generic.getNumLoops() ||
      !llvm::all_of(generic.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }) ||
      !llvm::hasNItems(*generic.getBlock(), 2))
    return nullptr;
  Operation &scalar = generic.getBlock()->front();
  if (scalar.getNumOperands() != 1 || scalar.getNumResults() != 1 ||
      scalar.getOperand(0) != generic.getBlock()->getArgument(0) ||
      generic.getBlock()->getTerminator()->getOperand(0) !=
          scalar.getResult(0) ||
      !isa<RankedTensorType>(generic.getDpsInputOperand(0)->get().getType()))
    return nullptr;
  return &scalar;
}

static Movement matchReshape(ArrayRef<ReassociationIndices> groups,
                             ShapedType large, bool expands) {
  Movement movement;
  for (auto [i, group] : llvm::enumerate(groups)) {
    // The dimension that is all of the group.
    std::optional<int64_t> whole;
    for (int64_t dim : group)
      if (large.getDimSize(dim) != 1 || group.size() == 1)
        whole = whole ? std::optional<int64_t>(-1) : dim;
    if (!whole)
      whole = group.back();
    if (!expands) {
      movement.dims.push_back(*whole < 0 ? std::nullopt : whole);
      continue;
    }
    for (int64_t dim : group)
      movement.dims.push_back(dim == *whole ? std::optional<int64_t>(i)
                                            : std::nullopt);
  }
  return movement;
}

static std::optional<Movement> matchCopy(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops())
    return std::nullopt;
  OpOperand *input = op.getDpsInputOperand(0);
  auto source = dyn_cast<RankedTensorType>(input->get().getType());
  AffineMap in = op.getMatchingIndexingMap(input);
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!source || !out.isPermutation() ||
      op.getBlock()->getTerminator()->getOperand(0) !=
          op.getBlock()->getArgument(0))
    return std::nullopt;
  Movement movement;
  movement.source = input->get();
  SmallVector<std::optional<int64_t>> dimOfLoop(in.getNumDims());
  for (auto [i, result] : llvm::enumerate(in.getResults())) {
    if (auto loop = dyn_cast<AffineDimExpr>(result)) {
      if (dimOfLoop[loop.getPosition()])
        return std::nullopt;
      dimOfLoop[loop.getPosition()] = i;
    } else if (!isa<AffineConstantExpr>(result) || source.getDimSize(i) != 1) {
      return std::nullopt;
    }
  }
  auto type = cast<ShapedType>(op->getResult(0).getType());
  for (auto [i, result] : llvm::enumerate(out.getResults())) {
    movement.dims.push_back(
        dimOfLoop[cast<AffineDimExpr>(result).getPosition()]);
    movement.repeats |= !movement.dims.back() && type.getDimSize(i) != 1;
  }
  return movement;
}

std::optional<Movement> rope::matchMovement(Operation *op) {
  if (!op)
    return std::nullopt;
  std::optional<Movement> movement;
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    movement = matchReshape(expand.getReassociationIndices(),
                            expand.getResultType(), /*expands=*/true);
  else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    movement = matchReshape(collapse.getReassociationIndices(),
                            collapse.getSrcType(), /*expands=*/false);
  else if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return matchCopy(linalgOp);
  if (movement)
    movement->source = op->getOperand(0);
  return movement;
}

std::optional<SmallVector<int64_t>>
rope::getSourceDims(const Movement &movement, ArrayRef<int64_t> positionDims) {
  auto type = cast<ShapedType>(movement.source.getType());
  if (movement.dims.empty() || movement.dims.back() != type.getRank() - 1)
    return std::nullopt;
  SmallVector<int64_t> dims;
  for (int64_t dim : positionDims) {
    if (!movement.dims[dim])
      return std::nullopt;
    dims.push_back(*movement.dims[dim]);
  }
  return dims;
}

Value rope::moveLike(ImplicitLocOpBuilder &b, Operation *op, Value source,
                     Value like) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType())
                  .clone(getElementTypeOrSelf(source.getType()));
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return tensor::ExpandShapeOp::create(b, type, source,
                                         expand.getReassociationIndices(),
                                         expand.getMixedOutputShape());
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return tensor::CollapseShapeOp::create(b, type, source,
                                           collapse.getReassociationIndices());
  auto copy = cast<linalg::LinalgOp>(op);
  Value init = tensor::EmptyOp::create(
      b, tensor::getMixedSizes(b, b.getLoc(), like), type.getElementType());
  init = castTo(b, b.getLoc(), init, type);
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return linalg::TransposeOp::create(b, source, init,
                                       transpose.getPermutation())
        ->getResult(0);
  if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op))
    return linalg::BroadcastOp::create(b, source, init,
                                       broadcast.getDimensions())
        ->getResult(0);
  return linalg::GenericOp::create(
             b, type, source, init, copy.getIndexingMapsArray(),
             copy.getIteratorTypesArray(),
             [](OpBuilder &b, Location loc, ValueRange arguments) {
               linalg::YieldOp::create(b, loc, arguments.front());
             })
      .getResult(0);
}

bool rope::isWhole(OffsetSizeAndStrideOpInterface slice, Value source,
                   int64_t dim) {
  if (!isConstantIntValue(slice.getMixedOffsets()[dim], 0) ||
      !isConstantIntValue(slice.getMixedStrides()[dim], 1))
    return false;
  OpFoldResult size = slice.getMixedSizes()[dim];
  int64_t known = cast<ShapedType>(source.getType()).getDimSize(dim);
  if (!ShapedType::isDynamic(known))
    return isConstantIntValue(size, known);
  FailureOr<bool> isEqual = ValueBoundsConstraintSet::areEqual(
      size, ValueBoundsConstraintSet::Variable(source, dim));
  return succeeded(isEqual) && *isEqual;
}

bool rope::canRotateLike(ApplyOp like, ArrayRef<int64_t> x,
                         ArrayRef<int64_t> tables,
                         ArrayRef<int64_t> positionDims, int64_t offset) {
  std::optional<int64_t> stride;
  if (like.getPairStride())
    stride = int64_t(*like.getPairStride());
  // A diagnostic that is not in flight says that nothing failed.
  bool isValid = true;
  (void)verifyApply(
      [&] {
        isValid = false;
        return InFlightDiagnostic();
      },
      {x, tables, like.getPairing(), like.getWrittenPairing(), positionDims,
       offset, stride});
  return isValid;
}

ApplyOp rope::rotateLike(ImplicitLocOpBuilder &b, ApplyOp like, Value x,
                         Value cos, Value sin, ArrayRef<int64_t> positionDims,
                         int64_t offset, Type element) {
  if (!canRotateLike(like, cast<ShapedType>(x.getType()).getShape(),
                     mergeShapes(cast<ShapedType>(cos.getType()),
                                 cast<ShapedType>(sin.getType())),
                     positionDims, offset))
    return nullptr;
  Value init = tensor::EmptyOp::create(
      b, tensor::getMixedSizes(b, b.getLoc(), x), element);
  auto apply = ApplyOp::create(b, TypeRange(init.getType()),
                               ValueRange{x, cos, sin, init},
                               SmallVector<NamedAttribute>(like->getAttrs()));
  apply.setPositionDims(positionDims);
  apply.setOffset(offset);
  return apply;
}

ApplyOp rope::rotateLike(ImplicitLocOpBuilder &b, ApplyOp like, Value x,
                         Value cos, Value sin, ArrayRef<int64_t> positionDims) {
  return rotateLike(b, like, x, cos, sin, positionDims, like.getOffset(),
                    getElementTypeOrSelf(like.getInit().getType()));
}

bool rope::rotateBefore(RewriterBase &rewriter, ApplyOp op) {
  Operation *mover = op.getX().getDefiningOp();
  std::optional<Movement> movement = matchMovement(mover);
  if (!movement || op.getResults().empty())
    return false;
  std::optional<SmallVector<int64_t>> dims =
      getSourceDims(*movement, op.getPositionDims());
  ImplicitLocOpBuilder b(op.getLoc(), rewriter);
  ApplyOp rotated = dims ? rotateLike(b, op, movement->source, op.getCos(),
                                      op.getSin(), *dims)
                         : ApplyOp();
  if (!rotated)
    return false;
  Value moved = moveLike(b, mover, rotated->getResult(0), op.getInit());
  rewriter.replaceOp(
      op, castTo(rewriter, op.getLoc(), moved, op->getResult(0).getType()));
  return true;
}

Value rope::castTo(OpBuilder &b, Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  if (!tensor::CastOp::areCastCompatible(value.getType(), type))
    return nullptr;
  return tensor::CastOp::create(b, loc, type, value);
}

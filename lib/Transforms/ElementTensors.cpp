//===- ElementTensors.cpp - elements as those of other tensors ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Complex/IR/Complex.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tosa/IR/TosaOps.h"
#include "mlir/Dialect/Tosa/Utils/ConversionUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

ExprRef Elements::getElement(Value tensor, ArrayRef<AffineExpr> indices,
                             bool isImaginary) {
  Expr expr;
  expr.kind = Expr::Kind::element;
  auto type = cast<ShapedType>(tensor.getType());
  expr.type = getFloatType(type.getElementType());
  expr.value = tensor;
  expr.isImaginary = isImaginary;
  SmallVector<AffineExpr> simplified;
  for (auto [i, index] : llvm::enumerate(indices))
    simplified.push_back(type.hasRank() && type.getDimSize(i) == 1
                             ? getAffineConstantExpr(0, context)
                             : simplify(index));
  expr.indices = simplified;
  return unique(expr);
}

/// A constant's element whose indices are constants.
ExprRef Elements::getConstantElement(ExprRef element) {
  ElementsAttr constant;
  if (!matchPattern(element->value, m_Constant(&constant)))
    return nullptr;
  ArrayRef<int64_t> shape =
      cast<ShapedType>(element->value.getType()).getShape();
  int64_t position = 0;
  bool isSplat = constant.isSplat();
  for (auto [size, index] : llvm::zip_equal(shape, element->indices)) {
    auto known = dyn_cast<AffineConstantExpr>(index);
    if (isSplat)
      continue;
    if (!known || known.getValue() < 0 || known.getValue() >= size)
      return nullptr;
    position = position * size + known.getValue();
  }
  std::optional<double> number =
      getNumber(constant, position, element->isImaginary);
  if (!number)
    return nullptr;
  return element->type ? makeNumber(*number, element->type)
                       : makeInteger(int64_t(*number));
}

/// The element of the first of equal columns that an element of a constant is
/// in: equal columns are one, and what one negates is its negation. Numbers
/// that are their own positions are these.
ExprRef Elements::getEqualColumn(ExprRef element) {
  ElementsAttr constant;
  if (!matchPattern(element->value, m_Constant(&constant)))
    return element;
  auto type = cast<RankedTensorType>(element->value.getType());
  ConstantColumns::Column column = {constant, 0, 0, 0, element->isImaginary};
  int64_t row = -1;
  for (auto [i, size, index] :
       llvm::enumerate(type.getShape(), element->indices)) {
    column.start *= size;
    column.stride *= size;
    if (auto known = dyn_cast<AffineConstantExpr>(index)) {
      column.start += known.getValue();
    } else if (row >= 0) {
      return element;
    } else {
      row = i;
      column.stride = 1;
      column.count = size;
    }
  }
  if (row < 0)
    return element;
  if (columns.isCount(column)) {
    ExprRef index = makeIndex(element->indices[row]);
    return element->type ? make(Fn::fromInt, element->type, index) : index;
  }
  if (!element->type)
    return element;
  ConstantColumns::Equal equal = columns.getEqual(column);
  SmallVector<AffineExpr> indices(element->indices);
  int64_t rest = equal.start;
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    if (i != row)
      indices[i] = getAffineConstantExpr(rest % type.getDimSize(i), context);
    rest /= type.getDimSize(i);
  }
  ExprRef result = getElement(element->value, indices, element->isImaginary);
  return equal.isNegated ? make(Fn::neg, element->type, result) : result;
}

ExprRef Elements::expand(ExprRef element) {
  if (!element->is(Expr::Kind::element) || budget == 0)
    return nullptr;
  auto [it, isNew] = expanded.try_emplace(element, nullptr);
  if (!isNew)
    return it->second;
  ExprRef result = expandStep(element);
  // What a wider tensor is made of may be wider as well.
  if (uint64_t dims = narrowed.lookup(element->value))
    if (Operation *op = element->value.getDefiningOp())
      for (Value operand : op->getOperands())
        narrowed[operand] |= dims;
  expanded[element] = result;
  return result;
}

/// The sum over the loops that a reduction runs over, if that is of few terms
/// that are not zero.
ExprRef Elements::expandReduction(LinalgOp op,
                                  MutableArrayRef<AffineExpr> loops,
                                  OpResult result, bool isImaginary) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<unsigned> dims;
  int64_t points = 1;
  for (auto [i, loop] : llvm::enumerate(loops)) {
    if (loop)
      continue;
    if (ShapedType::isDynamic(ranges[i]) || ranges[i] > 1024)
      return nullptr;
    dims.push_back(i);
    points *= ranges[i];
    if (points > 1024)
      return nullptr;
  }
  OpOperand *init = op.getDpsInitOperand(result.getResultNumber());
  Value state = op.getMatchingBlockArgument(init);
  Operation *sum = op.getBlock()
                       ->getTerminator()
                       ->getOperand(result.getResultNumber())
                       .getDefiningOp();
  auto type = dyn_cast<FloatType>(getScalarType(result));
  if (!isa_and_nonnull<arith::AddFOp>(sum) || !type || isImaginary)
    return nullptr;
  unsigned added = sum->getOperand(0) == state ? 1 : 0;
  if (sum->getOperand(1 - added) != state || sum->getOperand(added) == state)
    return nullptr;
  // Only what a constant selects is a sum of few.
  static constexpr int64_t kFew = 4;
  auto selects = [&](OpOperand *input) {
    AffineMap map = op.getMatchingIndexingMap(input);
    return matchPattern(input->get(), m_Constant()) &&
           llvm::all_of(dims,
                        [&](unsigned dim) { return map.isFunctionOfDim(dim); });
  };
  if (points > kFew && llvm::none_of(op.getDpsInputOperands(), selects))
    return nullptr;
  AffineMap map = op.getMatchingIndexingMap(init);
  SmallVector<AffineExpr> indices =
      llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
        return expr.replaceDims(loops);
      });
  ExprRef before = resolve(getElement(init->get(), indices));
  if (!before->isFloatNumber() || before->number != 0)
    return nullptr;
  ExprRef total = before;
  int64_t terms = 0;
  for (int64_t point = 0; point != points; ++point) {
    int64_t rest = point;
    for (unsigned dim : llvm::reverse(dims)) {
      loops[dim] = getAffineConstantExpr(rest % ranges[dim], context);
      rest /= ranges[dim];
    }
    // Factors that are numbers are seen once their elements are.
    Body body(op.getBlock(), op, loops);
    Value term = sum->getOperand(added);
    ExprRef expr = evaluate(body, term, false);
    bool isZero = expr->isFloatNumber() && expr->number == 0;
    if (auto product = term.getDefiningOp<arith::MulFOp>()) {
      SmallVector<ExprRef, 2> factors;
      for (Value operand : product->getOperands()) {
        ExprRef factor = evaluate(body, operand, false);
        ExprRef known = resolve(factor);
        factors.push_back(known->isFloatNumber() ? known : factor);
        isZero |= known->isFloatNumber() && known->number == 0;
      }
      expr = make(Fn::mul, type, factors);
    }
    if (isZero && points > kFew)
      continue;
    if (++terms > kFew)
      return nullptr;
    total = make(Fn::add, type, {total, expr});
  }
  return total;
}

ExprRef Elements::expandStep(ExprRef element) {
  Value tensor = element->value;
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  Operation *op = tensor.getDefiningOp();
  if (!op || !type)
    return nullptr;
  // Indices out of bounds have no element.
  for (auto [size, index] : llvm::zip_equal(type.getShape(), element->indices))
    if (auto constant = dyn_cast<AffineConstantExpr>(index);
        constant && !ShapedType::isDynamic(size) &&
        (constant.getValue() < 0 || constant.getValue() >= size))
      return nullptr;
  if (ExprRef number = getConstantElement(element))
    return number;
  bool isImaginary = element->isImaginary;
  SmallVector<AffineExpr> indices(element->indices);
  auto get = [&](Value source, ArrayRef<AffineExpr> at) {
    return getElement(source, at, isImaginary);
  };
  auto isFull = [&](OpFoldResult offset, OpFoldResult size, OpFoldResult stride,
                    Value whole, int64_t dim) {
    if (!isZeroInteger(offset) || !isOneInteger(stride))
      return false;
    return tensorSizes.get(size) == tensorSizes.get(whole, dim);
  };

  if (auto linalgOp = dyn_cast<LinalgOp>(op)) {
    if (!linalgOp.hasPureTensorSemantics())
      return nullptr;
    auto result = cast<OpResult>(tensor);
    AffineMap map = linalgOp.getIndexingMapMatchingResult(result);
    SmallVector<AffineExpr> loops(linalgOp.getNumLoops());
    for (auto [expr, index] : llvm::zip_equal(map.getResults(), indices)) {
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        loops[dim.getPosition()] = index;
      else if (!isa<AffineConstantExpr>(expr))
        return nullptr;
    }
    for (auto [i, loop] : llvm::enumerate(loops))
      if (!loop &&
          linalgOp.getIteratorTypesArray()[i] == utils::IteratorType::parallel)
        return nullptr;
    if (llvm::is_contained(loops, AffineExpr()))
      return expandReduction(linalgOp, loops, result, isImaginary);
    return getScalar(linalgOp,
                     linalgOp.getBlock()->getTerminator()->getOperand(
                         result.getResultNumber()),
                     loops, isImaginary);
  }
  if (isa_and_nonnull<tosa::TosaDialect>(op->getDialect()))
    if (ExprRef result = expandTosa(op, element))
      return result;
  if (OpTrait::hasElementwiseMappableTraits(op) ||
      op->hasTrait<OpTrait::tosa::TosaElementwiseOperator>() ||
      isa<tosa::CastOp, tosa::IdentityOp, tosa::NegateOp, tosa::SinOp,
          tosa::CosOp, tosa::MulOp>(op)) {
    if (op->getNumResults() != 1 || op->getNumRegions() != 0)
      return nullptr;
    return evaluateOp(
        op,
        [&](unsigned i, bool part) {
          Value operand = op->getOperand(i);
          return isa<RankedTensorType>(operand.getType())
                     ? getElement(operand, indices, part)
                     : getOutside(operand, part);
        },
        isImaginary);
  }

  return TypeSwitch<Operation *, ExprRef>(op)
      .Case([&](tensor::CastOp op) -> ExprRef {
        if (!isa<RankedTensorType>(op.getSource().getType()))
          return nullptr;
        return get(op.getSource(), indices);
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        SmallVector<AffineExpr> source;
        unsigned next = 0;
        for (auto [i, offset, size, stride] :
             llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(),
                             slice.getMixedStrides())) {
          AffineExpr index = dropped.test(i) ? getAffineConstantExpr(0, context)
                                             : indices[next++];
          if (!isFull(offset, size, stride, slice.getSource(), i))
            narrow(slice.getSource(), index);
          source.push_back(getSize(offset) + index * getSize(stride));
        }
        return get(slice.getSource(), source);
      })
      .Case([&](tensor::InsertSliceOp slice) -> ExprRef {
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        SmallVector<AffineExpr> source;
        bool isKnown = true;
        for (auto [i, offset, size, stride] :
             llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(),
                             slice.getMixedStrides())) {
          AffineExpr index = indices[i];
          if (!isFull(offset, size, stride, slice.getDest(), i)) {
            std::optional<int64_t> first = getConstantIntValue(offset),
                                   count = getConstantIntValue(size),
                                   step = getConstantIntValue(stride);
            if (!first || !count || !step || *step <= 0) {
              isKnown = false;
              continue;
            }
            if (*count <= 0)
              return get(slice.getDest(), indices);
            std::optional<bool> inside =
                isWithin(index, *first, *first + (*count - 1) * *step + 1);
            AffineExpr phase = simplify((index - *first) % *step);
            if (inside == false ||
                (isa<AffineConstantExpr>(phase) && phase != 0))
              return get(slice.getDest(), indices);
            isKnown &= inside == true && phase == 0;
            index = (index - *first).floorDiv(*step);
          }
          if (!dropped.test(i))
            source.push_back(index);
        }
        return isKnown ? get(slice.getSource(), source) : nullptr;
      })
      .Case([&](tensor::ConcatOp concat) -> ExprRef {
        int64_t dim = concat.getDim(), start = 0;
        for (Value input : concat.getInputs()) {
          int64_t size =
              cast<RankedTensorType>(input.getType()).getDimSize(dim);
          // The last part has what the others leave.
          std::optional<bool> inside =
              ShapedType::isDynamic(size)
                  ? std::nullopt
                  : isWithin(indices[dim], start, start + size);
          if (inside == true) {
            indices[dim] = indices[dim] - start;
            return get(input, indices);
          }
          if (inside != false)
            return nullptr;
          start += size;
        }
        return nullptr;
      })
      .Case([&](tensor::PadOp pad) -> ExprRef {
        bool isOutside = false, isKnown = true;
        for (auto [i, low, high] :
             llvm::enumerate(pad.getMixedLowPad(), pad.getMixedHighPad())) {
          if (isZeroInteger(low) && isZeroInteger(high))
            continue;
          std::optional<int64_t> before = getConstantIntValue(low);
          int64_t size = pad.getSourceType().getDimSize(i);
          if (!before || ShapedType::isDynamic(size)) {
            isKnown = false;
            continue;
          }
          std::optional<bool> inside =
              isWithin(indices[i], *before, *before + size);
          isOutside |= inside == false;
          isKnown &= inside.has_value();
          indices[i] = indices[i] - *before;
        }
        if (isOutside) {
          Value padding = pad.getConstantPaddingValue();
          return padding ? getOutside(padding, isImaginary) : nullptr;
        }
        return isKnown ? get(pad.getSource(), indices) : nullptr;
      })
      .Case([&](tensor::ExpandShapeOp expand) -> ExprRef {
        SmallVector<AffineExpr> source;
        for (const ReassociationIndices &group :
             expand.getReassociationIndices()) {
          std::optional<AffineExpr> index =
              linearize(type.getShape().slice(group.front(), group.size()),
                        ArrayRef(indices).slice(group.front(), group.size()));
          if (!index)
            return nullptr;
          source.push_back(*index);
        }
        return get(expand.getSrc(), source);
      })
      .Case([&](tensor::CollapseShapeOp collapse) -> ExprRef {
        SmallVector<AffineExpr> source;
        for (auto [group, index] :
             llvm::zip_equal(collapse.getReassociationIndices(), indices)) {
          std::optional<SmallVector<AffineExpr>> parts =
              delinearize(collapse.getSrcType().getShape().slice(group.front(),
                                                                 group.size()),
                          index);
          if (!parts)
            return nullptr;
          llvm::append_range(source, *parts);
        }
        if (collapse.getReassociationIndices().empty())
          source.assign(collapse.getSrcType().getRank(),
                        getAffineConstantExpr(0, context));
        return get(collapse.getSrc(), source);
      })
      .Case([&](tensor::ReshapeOp reshape) -> ExprRef {
        auto from = dyn_cast<RankedTensorType>(reshape.getSource().getType());
        if (!from)
          return nullptr;
        SmallVector<Size> fromSizes, toSizes;
        for (int64_t i = 0; i != from.getRank(); ++i)
          fromSizes.push_back(tensorSizes.get(reshape.getSource(), i));
        for (int64_t i = 0; i != type.getRank(); ++i)
          toSizes.push_back(tensorSizes.get(tensor, i));
        // One unknown size is what the known ones leave of all elements.
        if (from.getNumDynamicDims() == 1 && type.getNumDynamicDims() == 1) {
          auto *x = llvm::find_if(from.getShape(), ShapedType::isDynamic);
          auto *y = llvm::find_if(type.getShape(), ShapedType::isDynamic);
          Size left = 1, right = 1;
          for (auto [i, size] : llvm::enumerate(from.getShape()))
            if (!ShapedType::isDynamic(size))
              left = left * Size(size);
          for (int64_t size : type.getShape())
            if (!ShapedType::isDynamic(size))
              right = right * Size(size);
          if (left == right)
            toSizes[y - type.getShape().begin()] =
                fromSizes[x - from.getShape().begin()];
        }
        std::optional<SmallVector<DimGroup>> groups =
            matchShapes(fromSizes, toSizes);
        if (!groups)
          return nullptr;
        auto pick = [](ArrayRef<int64_t> shape, ArrayRef<int64_t> dims) {
          return llvm::map_to_vector(dims,
                                     [&](int64_t dim) { return shape[dim]; });
        };
        SmallVector<AffineExpr> source(from.getRank(),
                                       getAffineConstantExpr(0, context));
        for (const DimGroup &group : *groups) {
          std::optional<AffineExpr> index =
              linearize(pick(type.getShape(), group.to),
                        llvm::map_to_vector(group.to, [&](int64_t dim) {
                          return indices[dim];
                        }));
          std::optional<SmallVector<AffineExpr>> parts;
          if (index)
            parts = delinearize(pick(from.getShape(), group.from),
                                simplify(*index));
          if (!parts)
            return nullptr;
          for (auto [dim, part] : llvm::zip_equal(group.from, *parts))
            source[dim] = part;
        }
        return get(reshape.getSource(), source);
      })
      .Case([&](tensor::SplatOp splat) {
        return getOutside(splat.getInput(), isImaginary);
      })
      .Case([&](tensor::FromElementsOp from) -> ExprRef {
        int64_t position = 0;
        for (auto [size, index] : llvm::zip_equal(type.getShape(), indices)) {
          auto constant = dyn_cast<AffineConstantExpr>(index);
          if (!constant)
            return nullptr;
          position = position * size + constant.getValue();
        }
        return getOutside(from.getElements()[position], isImaginary);
      })
      .Case([&](tensor::GenerateOp generate) {
        Block &block = generate.getBody().front();
        Body body(&block, nullptr, indices);
        return evaluate(body, block.getTerminator()->getOperand(0),
                        isImaginary);
      })
      .Case([&](tensor::GatherOp gather) -> ExprRef {
        // result[batch.., slice..] with one gathered dimension.
        if (gather.getGatherDims().size() != 1)
          return nullptr;
        int64_t dim = gather.getGatherDims().front();
        auto positions = cast<RankedTensorType>(gather.getIndices().getType());
        int64_t sourceRank = gather.getSourceType().getRank();
        int64_t batch = positions.getRank() - 1;
        if (type.getRank() != batch + sourceRank &&
            type.getRank() != batch + sourceRank - 1)
          return nullptr;
        bool isReduced = type.getRank() == batch + sourceRank - 1;
        SmallVector<AffineExpr> at(
            ArrayRef<AffineExpr>(indices).take_front(batch));
        at.push_back(getAffineConstantExpr(0, context));
        AffineExpr position = toAffine(getElement(gather.getIndices(), at));
        SmallVector<AffineExpr> source;
        int64_t next = batch;
        for (int64_t i = 0; i != sourceRank; ++i) {
          if (i == dim) {
            source.push_back(position);
            next += !isReduced;
          } else {
            source.push_back(indices[next++]);
          }
        }
        narrow(gather.getSource(), source);
        return get(gather.getSource(), source);
      })
      .Default([](Operation *) { return nullptr; });
}

/// An offset or a stride, as an index.
AffineExpr Elements::getSize(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return getAffineConstantExpr(*constant, context);
  return toAffine(getOutside(cast<Value>(size), false));
}

/// TOSA's operations on shapes; its scalar ones are like all others.
ExprRef Elements::expandTosa(Operation *op, ExprRef element) {
  SmallVector<AffineExpr> indices(element->indices);
  auto getShape = [](Value value) {
    SmallVector<int64_t> shape;
    tosa::getConstShapeValues(value.getDefiningOp(), shape);
    return shape;
  };
  auto getSource = [](Value value) {
    return dyn_cast<RankedTensorType>(value.getType());
  };
  auto get = [&](Value source) { return getElement(source, indices); };
  for (Value operand : op->getOperands())
    if (isa<TensorType>(operand.getType()) && !getSource(operand))
      return nullptr;
  return TypeSwitch<Operation *, ExprRef>(op)
      .Case([&](tosa::ReshapeOp reshape) -> ExprRef {
        auto from = getSource(reshape.getInput1());
        auto to = cast<RankedTensorType>(reshape.getType());
        std::optional<AffineExpr> index = linearize(to.getShape(), indices);
        std::optional<SmallVector<AffineExpr>> parts;
        if (index)
          parts = delinearize(from.getShape(), simplify(*index));
        return parts ? getElement(reshape.getInput1(), *parts) : nullptr;
      })
      .Case([&](tosa::SliceOp slice) -> ExprRef {
        SmallVector<int64_t> start = getShape(slice.getStart());
        if (start.size() != indices.size())
          return nullptr;
        for (auto [i, first] : llvm::enumerate(start)) {
          if (getSource(slice.getInput1()).getDimSize(i) !=
              cast<RankedTensorType>(slice.getType()).getDimSize(i))
            narrow(slice.getInput1(), indices[i]);
          indices[i] = indices[i] + first;
        }
        return get(slice.getInput1());
      })
      .Case([&](tosa::ConcatOp concat) -> ExprRef {
        int64_t dim = concat.getAxis(), start = 0;
        for (Value input : concat.getInput1()) {
          int64_t size = getSource(input).getDimSize(dim);
          if (ShapedType::isDynamic(size))
            return nullptr;
          std::optional<bool> inside =
              isWithin(indices[dim], start, start + size);
          if (!inside)
            return nullptr;
          if (*inside) {
            indices[dim] = indices[dim] - start;
            return get(input);
          }
          start += size;
        }
        return nullptr;
      })
      .Case([&](tosa::TransposeOp transpose) {
        SmallVector<AffineExpr> source(indices.size());
        for (auto [i, dim] : llvm::enumerate(transpose.getPerms()))
          source[dim] = indices[i];
        return getElement(transpose.getInput1(), source);
      })
      .Case([&](tosa::TileOp tile) -> ExprRef {
        for (auto [index, size] :
             llvm::zip_equal(indices, getSource(tile.getInput1()).getShape())) {
          if (ShapedType::isDynamic(size) || size == 0)
            return nullptr;
          index = index % size;
        }
        return get(tile.getInput1());
      })
      .Case([&](tosa::ReverseOp reverse) -> ExprRef {
        int64_t dim = reverse.getAxis();
        int64_t size = getSource(reverse.getInput1()).getDimSize(dim);
        if (ShapedType::isDynamic(size))
          return nullptr;
        indices[dim] = size - 1 - indices[dim];
        return get(reverse.getInput1());
      })
      .Case([&](tosa::PadOp pad) -> ExprRef {
        SmallVector<int64_t> padding = getShape(pad.getPadding());
        auto from = getSource(pad.getInput1());
        if (padding.size() != 2 * indices.size())
          return nullptr;
        for (auto [i, index] : llvm::enumerate(indices)) {
          if (padding[2 * i] == 0 && padding[2 * i + 1] == 0)
            continue;
          if (from.isDynamicDim(i))
            return nullptr;
          index = simplify(index - padding[2 * i]);
          std::optional<bool> inside = isWithin(index, 0, from.getDimSize(i));
          if (!inside)
            return nullptr;
          if (!*inside)
            return getElement(pad.getPadConst(),
                              getAffineConstantExpr(0, context));
        }
        return get(pad.getInput1());
      })
      .Case([&](tosa::GatherOp gather) {
        // values[n, k, c], indices[n, w]
        AffineExpr position =
            toAffine(getElement(gather.getIndices(), {indices[0], indices[1]}));
        indices[1] = position;
        narrow(gather.getValues(), indices);
        return get(gather.getValues());
      })
      .Default([](Operation *) { return nullptr; });
}

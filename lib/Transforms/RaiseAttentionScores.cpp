//===- RaiseAttentionScores.cpp - scores of attention as a region ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseAttention.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

/// Scores are computed in one type, which holds what narrower ones do.
Type AttentionRaiser::promote(Type type) {
  auto floatType = dyn_cast<FloatType>(type);
  return floatType && floatType.getWidth() < scoreType.getWidth() ? scoreType
                                                                  : type;
}

Value AttentionRaiser::convert(Value value, Type type) {
  auto from = dyn_cast<FloatType>(value.getType());
  auto to = dyn_cast<FloatType>(type);
  if (!from || !to || from == to)
    return value;
  if (from.getWidth() < to.getWidth())
    return builder.createOrFold<arith::ExtFOp>(value.getLoc(), to, value);
  return builder.createOrFold<arith::TruncFOp>(value.getLoc(), to, value);
}

/// A scalar from outside of a body.
Value AttentionRaiser::emitCapture(Value value) {
  if (Operation *constant = value.getDefiningOp();
      constant && constant->hasTrait<OpTrait::ConstantLike>())
    value = builder.clone(*constant)->getResult(0);
  return convert(value, promote(value.getType()));
}

FailureOr<Value> AttentionRaiser::emitIndex(Labels labels) {
  labels = resolve(labels);
  if (labels.empty())
    return Value(arith::ConstantIndexOp::create(builder, values.getLoc(), 0));
  if (labels.size() != 1 || !labels[0].isPlain())
    return failure();
  Value &index = indices[labels[0].atom];
  if (!index)
    index = scratch.addArgument(builder.getIndexType(), values.getLoc());
  return index;
}

/// Whether `value` is computed from indices and scalars alone.
bool AttentionRaiser::isIndexOnly(Value value) {
  // Masks are made in few steps.
  static constexpr size_t kMaxValues = 256;
  if (auto it = indexOnly.find(value); it != indexOnly.end())
    return it->second;
  if (indexOnly.size() == kMaxValues)
    return false;
  indexOnly[value] = false;
  bool result = false;
  if (isReshape(value.getDefiningOp())) {
    result = isIndexOnly(value.getDefiningOp()->getOperand(0));
  } else if (LinalgOp op = getElementwise(value)) {
    result = llvm::all_of(op.getDpsInputs(), [&](Value input) {
      return !isa<ShapedType>(input.getType()) || isIndexOnly(input);
    });
  }
  return indexOnly[value] = result;
}

/// The element of `value` that the score of the loops of `dims` goes with.
FailureOr<Value> AttentionRaiser::emit(Value value, const Dims &dims) {
  for (auto &[loops, element] : emitted.lookup(value))
    if (isSame(loops, dims))
      return element;
  Operation *op = value.getDefiningOp();
  FailureOr<Value> result = failure();
  if (!between.contains(op)) {
    // Constants and masks that are made of indices need no memory.
    if (std::optional<APFloat> constant = getConstantFloat(value))
      result =
          convert(arith::ConstantOp::create(
                      builder, values.getLoc(),
                      builder.getFloatAttr(
                          getElementTypeOrSelf(value.getType()), *constant)),
                  promote(getElementTypeOrSelf(value.getType())));
    else if (isIndexOnly(value))
      result = emitTensor(value, dims);
    if (failed(result)) {
      operands.push_back({Kind::score, value, dims});
      elements.push_back(scratch.addArgument(
          getElementTypeOrSelf(value.getType()), value.getLoc()));
      result = convert(elements.back(), promote(elements.back().getType()));
    }
  } else {
    matched.insert(op);
    if (op == product) {
      if (!productDims.empty() && !isSame(productDims, dims))
        return failure();
      productDims = dims;
      return convert(scratch.getArgument(0),
                     promote(getElementTypeOrSelf(value.getType())));
    }
    result = emitTensor(value, dims);
  }
  if (succeeded(result))
    emitted[value].push_back({dims, *result});
  return result;
}

/// The element that a reshape or scalar operations make.
FailureOr<Value> AttentionRaiser::emitTensor(Value value, const Dims &dims) {
  Value before = value;
  Dims beforeDims = dims;
  if (succeeded(beforeReshape(before, beforeDims, /*mayGroup=*/false)))
    return emit(before, beforeDims);
  LinalgOp op = getElementwise(value);
  if (!op)
    return between.contains(value.getDefiningOp())
               ? fail("'" + value.getDefiningOp()->getName().getStringRef() +
                      "' between the products is no scalar operation and no "
                      "part of the softmax")
               : failure();
  FailureOr<Dims> loops =
      getLoops(op.getIndexingMapMatchingResult(cast<OpResult>(value)),
               op.getNumLoops(), dims, {});
  if (failed(loops))
    return failure();
  return emitScalar({op, getYielded(op, value), *loops});
}

/// Copies what a scalar is computed by.
FailureOr<Value> AttentionRaiser::emitScalar(const Scalar &scalar) {
  if (!scalar.op)
    return emit(scalar.value, scalar.dims);
  LinalgOp op = scalar.op;
  Block *body = op.getBlock();
  // In the order of the body, no more than is needed.
  DenseSet<Operation *> needed;
  SmallVector<Value> work = {scalar.value};
  while (!work.empty()) {
    Operation *inner = work.pop_back_val().getDefiningOp();
    if (inner && inner->getBlock() == body && needed.insert(inner).second)
      llvm::append_range(work, inner->getOperands());
  }
  IRMapping mapping;
  auto lookup = [&](Value value) -> FailureOr<Value> {
    if (Value mapped = mapping.lookupOrNull(value))
      return mapped;
    FailureOr<Value> element = failure();
    auto argument = dyn_cast<BlockArgument>(value);
    if (!argument || argument.getOwner() != body) {
      element = emitCapture(value);
    } else if (OpOperand *input = getInput(op, value)) {
      element = isa<ShapedType>(input->get().getType())
                    ? emit(input->get(),
                           apply(op.getMatchingIndexingMap(input), scalar.dims))
                    : FailureOr<Value>(emitCapture(input->get()));
    }
    // What a destination held is no score.
    if (succeeded(element))
      mapping.map(value, *element);
    return element;
  };
  for (Operation &inner : body->without_terminator()) {
    if (!needed.contains(&inner))
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      FailureOr<Value> value = emitIndex(scalar.dims[index.getDim()]);
      if (failed(value))
        return failure();
      mapping.map(index.getResult(), *value);
      continue;
    }
    for (Value operand : inner.getOperands())
      if (failed(lookup(operand)))
        return failure();
    if (isa<arith::ExtFOp, arith::TruncFOp>(inner)) {
      Type type = inner.getResult(0).getType();
      Value value = mapping.lookup(inner.getOperand(0));
      // Scores stay in their wider type, with the values that they had.
      if (isa<arith::TruncFOp>(inner) && value.getType() == promote(type) &&
          type != value.getType())
        value = arith::TruncFOp::create(builder, inner.getLoc(), type, value);
      mapping.map(inner.getResult(0), convert(value, promote(type)));
      continue;
    }
    if (!isMemoryEffectFree(&inner) || inner.getNumRegions() != 0 ||
        !isa_and_nonnull<arith::ArithDialect, math::MathDialect>(
            inner.getDialect()) ||
        isa<arith::BitcastOp>(inner))
      return failure();
    Operation *clone = builder.clone(inner, mapping);
    if (auto constant = dyn_cast<arith::ConstantOp>(clone)) {
      mapping.map(inner.getResult(0),
                  convert(constant, promote(constant.getType())));
      continue;
    }
    for (OpResult value : clone->getResults())
      value.setType(promote(value.getType()));
  }
  return lookup(scalar.value);
}

/// Gives `attention` the scores' operations.
void AttentionRaiser::fillRegion() {
  Region &region = attention.getRegion();
  SmallVector<Type> types = {scoreType};
  types.append(4, rewriter.getIndexType());
  for (Value element : elements)
    types.push_back(element.getType());
  OpBuilder::InsertionGuard guard(rewriter);
  Block *block = rewriter.createBlock(
      &region, {}, types, SmallVector<Location>(types.size(), values.getLoc()));
  IRMapping mapping;
  mapping.map(scratch.getArgument(0), block->getArgument(0));
  for (auto [atom, index] : indices) {
    unsigned position = atom == kQuery  ? 3
                        : atom == kKey  ? 4
                        : atom == batch ? 1
                                        : 2;
    mapping.map(index, block->getArgument(position));
  }
  for (auto [i, element] : llvm::enumerate(elements))
    mapping.map(element, block->getArgument(5 + i));
  for (Operation &op : scratch)
    rewriter.clone(op, mapping);
}

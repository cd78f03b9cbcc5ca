//===- Sizes.cpp - sizes of tensors as polynomials ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sizes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::rope;

/// Sizes are found in few steps; what takes more is taken for unknown.
static constexpr unsigned kMaxDepth = 64;
/// Products of sums grow; real ones have a few atoms.
static constexpr size_t kMaxLength = 64;

//===----------------------------------------------------------------------===//
// Polynomials
//===----------------------------------------------------------------------===//

void Size::add(const Factors &factors, int64_t coefficient) {
  if (coefficient == 0)
    return;
  auto [it, isNew] = terms.try_emplace(factors, coefficient);
  // The sizes of what exists do not overflow; of what is never run, any value
  // is right.
  if (!isNew &&
      (it->second = int64_t(uint64_t(it->second) + uint64_t(coefficient))) == 0)
    terms.erase(it);
}

std::optional<int64_t> Size::getConstant() const {
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

std::optional<SizeAtom> Size::getAtom() const {
  if (terms.size() != 1 || terms.begin()->first.size() != 1 ||
      terms.begin()->second != 1)
    return std::nullopt;
  return terms.begin()->first.front();
}

size_t Size::getLength() const {
  size_t length = 0;
  for (const auto &[factors, coefficient] : terms)
    length += factors.size() + 1;
  return length;
}

Size Size::operator+(const Size &other) const {
  Size result = *this;
  for (const auto &[factors, coefficient] : other.terms)
    result.add(factors, coefficient);
  return result;
}

Size Size::operator*(const Size &other) const {
  Size result;
  for (const auto &[left, a] : terms)
    for (const auto &[right, b] : other.terms) {
      Factors factors = left;
      llvm::append_range(factors, right);
      llvm::sort(factors);
      result.add(factors, int64_t(uint64_t(a) * uint64_t(b)));
    }
  return result;
}

std::optional<Size> Size::divide(const Size &other) const {
  if (other.terms.size() != 1)
    return std::nullopt;
  const auto &[divisor, number] = *other.terms.begin();
  Size result;
  for (const auto &[factors, coefficient] : terms) {
    if (!std::includes(factors.begin(), factors.end(), divisor.begin(),
                       divisor.end()) ||
        number <= 0 || coefficient % number != 0)
      return std::nullopt;
    Factors rest;
    std::set_difference(factors.begin(), factors.end(), divisor.begin(),
                        divisor.end(), std::back_inserter(rest));
    result.add(rest, coefficient / number);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Finding sizes
//===----------------------------------------------------------------------===//

Size Sizes::get(Value tensor, int64_t dim, unsigned depth) {
  auto type = cast<ShapedType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return type.getDimSize(dim);
  SizeAtom atom(tensor.getAsOpaquePointer(), dim);
  if (auto it = known.find(atom); it != known.end())
    return it->second;
  Size size = depth > kMaxDepth ? Size(atom) : find(tensor, dim, depth + 1);
  if (size.getLength() > kMaxLength)
    size = atom;
  return known.try_emplace(atom, std::move(size)).first->second;
}

Size Sizes::get(OpFoldResult size, unsigned depth) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return *constant;
  auto value = cast<Value>(size);
  SizeAtom atom(value.getAsOpaquePointer(), -1);
  if (auto it = known.find(atom); it != known.end())
    return it->second;
  Size found = depth > kMaxDepth ? Size(atom) : find(value, depth + 1);
  if (found.getLength() > kMaxLength)
    found = atom;
  return known.try_emplace(atom, std::move(found)).first->second;
}

/// Of a dimension that is not static.
Size Sizes::find(Value tensor, int64_t dim, unsigned depth) {
  Size unknown(SizeAtom(tensor.getAsOpaquePointer(), dim));
  if (auto argument = dyn_cast<BlockArgument>(tensor))
    return findCarried(argument, dim, depth);
  Operation *op = tensor.getDefiningOp();
  // All tensors of an elementwise operation have one shape.
  if (OpTrait::hasElementwiseMappableTraits(op))
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        return get(operand, dim, depth);
  if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
    return get(dps.getTiedOpOperand(cast<OpResult>(tensor))->get(), dim, depth);
  return llvm::TypeSwitch<Operation *, Size>(op)
      .Case([&](tensor::EmptyOp op) {
        return get(op.getMixedSizes()[dim], depth);
      })
      .Case([&](tensor::CastOp op) -> Size {
        if (!isa<RankedTensorType>(op.getSource().getType()))
          return unknown;
        return get(op.getSource(), dim, depth);
      })
      .Case([&](tensor::ExpandShapeOp op) {
        return get(op.getMixedOutputShape()[dim], depth);
      })
      .Case([&](tensor::CollapseShapeOp op) {
        Size product = 1;
        ReassociationIndices group = op.getReassociationIndices()[dim];
        for (int64_t from : group)
          if (product = product * get(op.getSrc(), from, depth);
              product.getLength() > kMaxLength)
            return unknown;
        return product;
      })
      .Case([&](tensor::ReshapeOp op) -> Size {
        auto shape = op.getShape().getDefiningOp<tensor::FromElementsOp>();
        return shape ? get(OpFoldResult(shape.getElements()[dim]), depth)
                     : unknown;
      })
      .Case([&](tensor::ExtractSliceOp op) {
        llvm::SmallBitVector dropped = op.getDroppedDims();
        int64_t kept = -1;
        for (auto [i, size] : llvm::enumerate(op.getMixedSizes()))
          if (!dropped.test(i) && ++kept == dim)
            return get(size, depth);
        return unknown;
      })
      .Case([&](tensor::InsertSliceOp op) {
        return get(op.getDest(), dim, depth);
      })
      .Case([&](tensor::PadOp op) {
        return get(op.getSource(), dim, depth) +
               get(op.getMixedLowPad()[dim], depth) +
               get(op.getMixedHighPad()[dim], depth);
      })
      .Case([&](tensor::ConcatOp op) {
        if (uint64_t(dim) != op.getDim())
          return get(op.getInputs().front(), dim, depth);
        Size sum;
        for (Value input : op.getInputs())
          if (sum = sum + get(input, dim, depth); sum.getLength() > kMaxLength)
            return unknown;
        return sum;
      })
      .Default([&](Operation *) { return unknown; });
}

/// Of a tensor that a loop may carry: what enters it, if each round leaves the
/// size as it was, or makes it what entered.
Size Sizes::findCarried(BlockArgument tensor, int64_t dim, unsigned depth) {
  static constexpr size_t kMaxPending = 4;
  SizeAtom atom(tensor.getAsOpaquePointer(), dim);
  auto loop =
      dyn_cast_or_null<LoopLikeOpInterface>(tensor.getOwner()->getParentOp());
  OpOperand *init = loop ? loop.getTiedLoopInit(tensor) : nullptr;
  OpOperand *yielded = init ? loop.getTiedLoopYieldedValue(tensor) : nullptr;
  if (!yielded || init->get().getType() != tensor.getType() ||
      pending.size() == kMaxPending)
    return atom;
  Sizes round;
  round.pending = pending;
  round.pending.push_back(atom);
  for (SizeAtom carried : round.pending)
    round.known.try_emplace(carried, Size(carried));
  Size after = round.get(yielded->get(), dim, depth);
  Size before = get(init->get(), dim, depth);
  return after == Size(atom) || after == before ? before : Size(atom);
}

OpFoldResult Sizes::make(OpBuilder &builder, Location loc, Value tensor,
                         int64_t dim) {
  Size size = get(tensor, dim);
  if (std::optional<int64_t> constant = size.getConstant())
    return builder.getIndexAttr(*constant);
  std::optional<SizeAtom> atom = size.getAtom();
  if (!atom)
    return OpFoldResult();
  Value value = Value::getFromOpaquePointer(atom->first);
  if (value == tensor)
    return OpFoldResult();
  if (atom->second >= 0)
    return tensor::getMixedSize(builder, loc, value, atom->second);
  return getValueOrCreateCastToIndexLike(builder, loc, builder.getIndexType(),
                                         value);
}

/// Of a scalar that is no constant.
Size Sizes::find(Value scalar, unsigned depth) {
  Size unknown(SizeAtom(scalar.getAsOpaquePointer(), -1));
  Operation *op = scalar.getDefiningOp();
  if (!op)
    return unknown;
  auto operand = [&](unsigned i) {
    return get(OpFoldResult(op->getOperand(i)), depth);
  };
  return llvm::TypeSwitch<Operation *, Size>(op)
      // Sizes are not negative and fit.
      .Case<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp,
            arith::ExtUIOp, arith::TruncIOp>(
          [&](Operation *) { return operand(0); })
      .Case([&](tensor::DimOp dim) -> Size {
        std::optional<int64_t> index = dim.getConstantIndex();
        auto type = dyn_cast<RankedTensorType>(dim.getSource().getType());
        if (!index || !type || *index < 0 || *index >= type.getRank())
          return unknown;
        return get(dim.getSource(), *index, depth);
      })
      .Case([&](arith::AddIOp) { return operand(0) + operand(1); })
      .Case([&](arith::SubIOp) { return operand(0) + operand(1) * Size(-1); })
      .Case([&](arith::MulIOp) { return operand(0) * operand(1); })
      .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
            arith::CeilDivSIOp, arith::CeilDivUIOp>([&](Operation *) {
        return operand(0).divide(operand(1)).value_or(unknown);
      })
      .Case([&](affine::AffineApplyOp apply) {
        AffineMap map = apply.getAffineMap();
        std::function<std::optional<Size>(AffineExpr)> evaluate =
            [&](AffineExpr expr) -> std::optional<Size> {
          if (auto constant = dyn_cast<AffineConstantExpr>(expr))
            return Size(constant.getValue());
          if (auto dim = dyn_cast<AffineDimExpr>(expr))
            return operand(dim.getPosition());
          if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
            return operand(map.getNumDims() + symbol.getPosition());
          auto binary = cast<AffineBinaryOpExpr>(expr);
          std::optional<Size> lhs = evaluate(binary.getLHS()),
                              rhs = evaluate(binary.getRHS());
          if (!lhs || !rhs)
            return std::nullopt;
          switch (expr.getKind()) {
          case AffineExprKind::Add:
            return *lhs + *rhs;
          case AffineExprKind::Mul:
            return *lhs * *rhs;
          case AffineExprKind::FloorDiv:
          case AffineExprKind::CeilDiv:
            return lhs->divide(*rhs);
          default:
            return std::nullopt;
          }
        };
        return evaluate(map.getResult(0)).value_or(unknown);
      })
      .Default([&](Operation *) { return unknown; });
}

//===----------------------------------------------------------------------===//
// Reshapes
//===----------------------------------------------------------------------===//

std::optional<SmallVector<DimGroup>> rope::matchShapes(ArrayRef<Size> from,
                                                       ArrayRef<Size> to) {
  SmallVector<DimGroup> groups;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    DimGroup &group = groups.emplace_back();
    Size left = from[i], right = to[j];
    // A dimension of one has a group of its own only on both sides.
    group.from.push_back(i++);
    group.to.push_back(j++);
    while (left != right) {
      if (i < from.size() && group.to.size() == 1 && right.divide(left)) {
        left = left * from[i];
        group.from.push_back(i++);
      } else if (j < to.size() && group.from.size() == 1 &&
                 left.divide(right)) {
        right = right * to[j];
        group.to.push_back(j++);
      } else {
        return std::nullopt;
      }
    }
  }
  // What is left over are dimensions of one.
  for (; i < from.size(); ++i) {
    if (groups.empty() || groups.back().to.size() != 1 || from[i] != Size(1))
      return std::nullopt;
    groups.back().from.push_back(i);
  }
  for (; j < to.size(); ++j) {
    if (groups.empty() || groups.back().from.size() != 1 || to[j] != Size(1))
      return std::nullopt;
    groups.back().to.push_back(j);
  }
  return groups;
}

//===- RaiseAttentionMask.cpp - hidden keys as attributes -----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseAttention.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// The comparisons that hide keys, as attributes.
struct Visibility {
  explicit Visibility(AttentionOp op) : op(op) {}

  AttentionOp op;
  bool causal = false;
  std::optional<int64_t> window;
  /// Added to the query; null for nothing. One for all comparisons.
  std::optional<Value> offset;

  Value query() { return op.getRegion().front().getArgument(3); }
  Value key() { return op.getRegion().front().getArgument(4); }

  /// Takes over that keys are visible where `condition` is `value`.
  bool add(Value condition, bool value);
  bool isPosition(Value value);
  bool addOrder(arith::CmpIPredicate predicate, Value lhs, Value rhs);
};
} // namespace

static Value stripCasts(Value value) {
  while (isa_and_nonnull<arith::IndexCastOp, arith::ExtSIOp>(
      value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

/// Whether `value` is the query's index plus the offset.
bool Visibility::isPosition(Value value) {
  value = stripCasts(value);
  Value found;
  if (value != query()) {
    auto sum = value.getDefiningOp<arith::AddIOp>();
    if (!sum)
      return false;
    Value lhs = stripCasts(sum.getLhs()), rhs = stripCasts(sum.getRhs());
    if (rhs == query())
      std::swap(lhs, rhs);
    if (lhs != query() || (rhs.getParentRegion() == &op.getRegion() &&
                           !matchPattern(rhs, m_Constant())))
      return false;
    found = rhs;
  }
  auto isEqual = [](Value a, Value b) {
    Attribute first, second;
    return a == b || (a && b && matchPattern(a, m_Constant(&first)) &&
                      matchPattern(b, m_Constant(&second)) && first == second);
  };
  if (offset && !isEqual(*offset, found))
    return false;
  offset = found;
  return true;
}

/// Takes over `lhs predicate rhs`, which is signed and no equality.
bool Visibility::addOrder(arith::CmpIPredicate predicate, Value lhs,
                          Value rhs) {
  using Predicate = arith::CmpIPredicate;
  lhs = stripCasts(lhs);
  rhs = stripCasts(rhs);
  if (predicate == Predicate::sgt || predicate == Predicate::sge) {
    std::swap(lhs, rhs);
    predicate = predicate == Predicate::sgt ? Predicate::slt : Predicate::sle;
  }
  bool isStrict = predicate == Predicate::slt;
  // key <= position
  if (lhs == key() && !isStrict && isPosition(rhs)) {
    causal = true;
    return true;
  }
  // position - key < window, or position - window < key
  APInt size;
  auto difference = lhs.getDefiningOp<arith::SubIOp>();
  if (!difference)
    return false;
  if (stripCasts(difference.getRhs()) == key()) {
    if (!matchPattern(rhs, m_ConstantInt(&size)) ||
        !isPosition(difference.getLhs()))
      return false;
  } else if (rhs != key() ||
             !matchPattern(difference.getRhs(), m_ConstantInt(&size)) ||
             !isPosition(difference.getLhs())) {
    return false;
  }
  if (size.getSignificantBits() > 62 || size.getSExtValue() + !isStrict <= 0)
    return false;
  int64_t keys = size.getSExtValue() + !isStrict;
  window = std::min(window.value_or(keys), keys);
  return true;
}

bool Visibility::add(Value condition, bool value) {
  if (auto both = condition.getDefiningOp<arith::AndIOp>(); both && value)
    return add(both.getLhs(), true) && add(both.getRhs(), true);
  if (auto either = condition.getDefiningOp<arith::OrIOp>(); either && !value)
    return add(either.getLhs(), false) && add(either.getRhs(), false);
  auto compare = condition.getDefiningOp<arith::CmpIOp>();
  if (!compare)
    return false;
  using Predicate = arith::CmpIPredicate;
  Predicate predicate = compare.getPredicate();
  if (!value)
    predicate = arith::invertPredicate(predicate);
  // Indices themselves have no sign.
  Value lhs = compare.getLhs(), rhs = compare.getRhs();
  bool areIndices = llvm::all_of(compare.getOperands(), [&](Value operand) {
    return stripCasts(operand) == key() || stripCasts(operand) == query();
  });
  switch (predicate) {
  case Predicate::ult:
  case Predicate::ule:
  case Predicate::ugt:
  case Predicate::uge:
    if (!areIndices)
      return false;
    predicate = predicate == Predicate::ult   ? Predicate::slt
                : predicate == Predicate::ule ? Predicate::sle
                : predicate == Predicate::ugt ? Predicate::sgt
                                              : Predicate::sge;
    break;
  case Predicate::eq:
  case Predicate::ne:
    return false;
  default:
    break;
  }
  return addOrder(predicate, lhs, rhs);
}

/// Whether `value` is -inf where `select` hides; sets what it keeps else.
static bool matchHiding(arith::SelectOp select, Value &kept, bool &isVisible) {
  isVisible = matchPattern(select.getFalseValue(), m_NegInfFloat());
  kept = isVisible ? select.getTrueValue() : select.getFalseValue();
  return isVisible || matchPattern(select.getTrueValue(), m_NegInfFloat());
}

/// Turns the last operations of the region that hide keys into attributes.
static void raiseVisibility(RewriterBase &rewriter, AttentionOp op) {
  auto yield = cast<YieldOp>(op.getRegion().front().getTerminator());
  Value score = yield.getScore();
  Visibility visibility(op);
  for (;;) {
    Value kept, rest;
    bool isVisible = false;
    auto select = score.getDefiningOp<arith::SelectOp>();
    if (auto sum = score.getDefiningOp<arith::AddFOp>()) {
      // A mask of zero and minus infinity.
      for (int64_t i : {0, 1})
        if (auto mask = sum->getOperand(i).getDefiningOp<arith::SelectOp>();
            mask && matchHiding(mask, kept, isVisible) &&
            matchPattern(kept, m_AnyZeroFloat())) {
          select = mask;
          rest = sum->getOperand(1 - i);
        }
    } else if (select && matchHiding(select, kept, isVisible)) {
      rest = kept;
    }
    Visibility next = visibility;
    if (!rest || !next.add(select.getCondition(), isVisible))
      break;
    visibility = next;
    score = rest;
  }
  if (!visibility.causal)
    return;
  Value offset = visibility.offset.value_or(Value());
  Attribute constant;
  if (offset && matchPattern(offset, m_Constant(&constant))) {
    rewriter.setInsertionPoint(op);
    offset = rewriter.clone(*offset.getDefiningOp())->getResult(0);
  }
  rewriter.modifyOpInPlace(op, [&] {
    op.setCausal(true);
    if (visibility.window)
      op.setWindow(*visibility.window);
    if (offset)
      op.getQueryOffsetMutable().assign(offset);
  });
  rewriter.modifyOpInPlace(yield, [&] { yield.getScoreMutable().set(score); });
}

/// Takes a factor of the product over into the scale.
static bool raiseScale(RewriterBase &rewriter, AttentionOp op) {
  Value score = op.getRegion().front().getArgument(0);
  if (!score.hasOneUse())
    return false;
  Operation *user = *score.user_begin();
  if (!isa<arith::MulFOp, arith::DivFOp>(user))
    return false;
  unsigned other = 1 - score.use_begin()->getOperandNumber();
  if (other == 0 && isa<arith::DivFOp>(user))
    return false;
  std::optional<APFloat> constant = getConstantFloat(user->getOperand(other));
  if (!constant)
    return false;
  double factor = FloatAttr::getValueAsDouble(*constant);
  double scale = op.getScale().convertToDouble();
  scale = isa<arith::MulFOp>(user) ? scale * factor : scale / factor;
  if (!std::isfinite(scale))
    return false;
  rewriter.modifyOpInPlace(op, [&] { op.setScale(APFloat(scale)); });
  rewriter.replaceOp(user, score);
  return true;
}

/// A region of a bare score is none.
static void eraseRegion(RewriterBase &rewriter, AttentionOp op) {
  Block &block = op.getRegion().front();
  SmallVector<Operation *> inner;
  for (Operation &scalar : block.without_terminator())
    inner.push_back(&scalar);
  for (Operation *scalar : llvm::reverse(inner))
    if (isOpTriviallyDead(scalar))
      rewriter.eraseOp(scalar);
  if (op.getScoreOperands().empty() &&
      cast<YieldOp>(block.getTerminator()).getScore() == block.getArgument(0))
    rewriter.eraseBlock(&block);
}

void rope::simplifyScores(RewriterBase &rewriter, AttentionOp op) {
  raiseVisibility(rewriter, op);
  while (raiseScale(rewriter, op)) {
  }
  eraseRegion(rewriter, op);
}

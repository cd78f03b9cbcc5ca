//===- SizeRules.cpp - what operations need of sizes ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/SizeRules.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::rope;

std::optional<int64_t> Size::getNumber() const {
  if (!value)
    return constant;
  int64_t size = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (ShapedType::isDynamic(size))
    return std::nullopt;
  return factor * size + constant;
}

namespace {
class Rules {
public:
  SmallVector<SizeRule> all;

  void add(ApplyOp op) {
    sameShape(op.getX(), op.getInit(),
              "(apply_c2) expected 'x' and the destination to have one shape");
    Value cos = op.getCos();
    sameShape(cos, op.getSin(),
              "(apply_c3) expected 'cos' and 'sin' to have one shape");
    rotation({sizesOf(op.getX()), op.getPositionDims(), int64_t(op.getOffset()),
              op.getPairStride()},
             cos, 0, Size{cos, rank(cos) - 1}, "");
  }

  void add(TableOp op) {
    Value positions = op.getPositions(), cos = op.getCos();
    std::optional<ArrayRef<int64_t>> axes = op.getAxes();
    sameShape(cos, op.getSin(),
              "(table_c4) expected 'cos' and 'sin' to have one shape");
    for (int64_t dim : llvm::seq(op.getPositionRank()))
      equal({cos, dim}, {positions, dim + axes.has_value()},
            "(table_c5) expected the tables to have the sizes of the "
            "positions");
    equal({cos, op.getPositionRank()}, {op.getFrequencies(), 0},
          "(table_c5) expected the tables to have one column for each "
          "frequency");
    if (axes)
      axisRules(*axes, positions, Size{cos, op.getPositionRank()}, "");
  }

  void add(AttentionOp op) {
    loops(op, "(attention_c6)");
    OpOperand &output = op.getInitsMutable()[0];
    auto sizeOf = [&](Loop loop) -> Size {
      if (std::optional<int64_t> dim = findLoop(op.getMap(output), loop))
        return {output.get(), *dim};
      return number(1);
    };
    auto perLoop = [&](Value value, Loop loop, const char *message) {
      if (value && isa<ShapedType>(value.getType()))
        equal({value, 0}, sizeOf(loop), message);
    };
    perLoop(op.getQueryOffset(), Loop::batch,
            "(attention_c9) expected one of 'query_offset' for each batch");
    perLoop(op.getLengths(), Loop::batch,
            "(attention_c9) expected one of 'lengths' for each batch");
    perLoop(op.getSinks(), Loop::head,
            "(attention_c9) expected one of 'sinks' for each head");
    inner(op.getQueryRotationAttr(), sizesOf(op.getQuery()),
          op.getQueryRotationOperands(),
          "(attention_c11) expected a valid rotation of the query: ");
    SmallVector<Size> keySizes = sizesOf(op.getKey());
    if (Value pages = op.getPages()) {
      // Tables follow keys, not places.
      Size keys = {pages,
                   *findLoop(op.getMap(op.getPagesMutable()[0]), Loop::key),
                   op.getPageSize()};
      SmallVector<MapResult> places =
          followedLoops(op.getMap(op.getKeyMutable()));
      for (auto [size, place, match] :
           llvm::zip(keySizes, places, op.getLookedUpLoops(op.getKeyMutable())))
        if (place.loop == Loop::key)
          size = match.loop == Loop::key ? keys
                 : match.loop            ? sizeOf(Loop::batch)
                                         : number(1);
    }
    inner(op.getKeyRotationAttr(), keySizes, op.getKeyRotationOperands(),
          "(attention_c11) expected a valid rotation of the key: ");
  }

  void add(OnlineAttentionOp op) { loops(op, "(online_attention_c6)"); }

private:
  /// What rope.apply and #rope.rotation have in common.
  struct Rotation {
    /// Of what is rotated.
    SmallVector<Size> sizes;
    ArrayRef<int64_t> positionDims;
    int64_t offset;
    std::optional<int64_t> pairStride;
  };

  static int64_t rank(Value value) {
    return cast<ShapedType>(value.getType()).getRank();
  }

  static SmallVector<Size> sizesOf(Value value) {
    return llvm::map_to_vector(llvm::seq(rank(value)),
                               [&](int64_t dim) { return Size{value, dim}; });
  }

  static Size number(int64_t constant) { return {Value(), 0, 1, constant}; }

  void rule(const Size &lhs, const Size &rhs, bool isEqual,
            const Twine &message) {
    // Known sizes are the verifier's.
    if (!lhs.getNumber() || !rhs.getNumber())
      all.push_back({lhs, rhs, isEqual, message.str()});
  }

  void equal(const Size &lhs, const Size &rhs, const Twine &message) {
    rule(lhs, rhs, /*isEqual=*/true, message);
  }

  void atMost(const Size &lhs, const Size &rhs, const Twine &message) {
    rule(lhs, rhs, /*isEqual=*/false, message);
  }

  void sameShape(Value x, Value y, const Twine &message) {
    for (int64_t dim : llvm::seq(rank(x)))
      equal({x, dim}, {y, dim}, message);
  }

  /// `positions` has the sizes that `x` has in the dimensions that it follows,
  /// from its dimension `first` on.
  void rotation(const Rotation &rotation, Value positions, int64_t first,
                Size pairs, const Twine &prefix) {
    for (auto [i, dim] : llvm::enumerate(rotation.positionDims))
      equal({positions, first + int64_t(i)}, rotation.sizes[dim],
            prefix + "(apply_c6) expected the tables to have the size of the "
                     "dimension of 'x' they follow");
    Size head = rotation.sizes.back();
    Size end = pairs;
    end.constant = rotation.offset;
    if (rotation.pairStride) {
      atMost(pairs, number(*rotation.pairStride),
             prefix + "(apply_c8) expected 'pair_stride' to be at least the "
                      "number of pairs");
      end.constant += *rotation.pairStride;
    } else {
      end.factor = 2;
    }
    atMost(end, head,
           prefix + "(apply_c7) expected all pairs to lie within the head");
  }

  void axisRules(ArrayRef<int64_t> axes, Value positions, Size pairs,
                 const Twine &prefix) {
    equal(pairs, number(axes.size()),
          prefix + "(table_c6) expected one of 'axes' for each frequency");
    if (!axes.empty())
      atMost(number(*llvm::max_element(axes) + 1), {positions, 0},
             prefix + "(table_c6) expected 'axes' below the axes of the "
                      "positions");
  }

  /// A rotation that is part of another operation.
  void inner(RotationAttr attribute, ArrayRef<Size> sizes, ValueRange operands,
             const Twine &prefix) {
    if (!attribute)
      return;
    Rotation rules{SmallVector<Size>(sizes),
                   attribute.getPositionDims().asArrayRef(),
                   attribute.getOffset(), attribute.getPairStride()};
    AnglesAttr angles = attribute.getAngles();
    if (!angles) {
      sameShape(operands[0], operands[1],
                prefix + "(apply_c3) expected 'cos' and 'sin' to have one "
                         "shape");
      return rotation(rules, operands[0], 0,
                      Size{operands[0], rank(operands[0]) - 1}, prefix);
    }
    Size pairs = {operands[1], 0};
    bool hasAxes = bool(angles.getAxes());
    if (hasAxes)
      axisRules(angles.getAxes().asArrayRef(), operands[0], pairs, prefix);
    rotation(rules, operands[0], hasAxes, pairs, prefix);
  }

  /// A loop has one size in all operands: that of the last one that has it
  /// whole.
  template <typename OpTy>
  void loops(OpTy op, const Twine &label) {
    SmallVector<OpOperand *> operands = op.getMappedOperands();
    for (unsigned loop = 0; loop < kNumLoops; ++loop) {
      std::optional<Size> whole;
      for (OpOperand *operand : llvm::reverse(operands)) {
        AffineMap map = op.getMap(*operand);
        std::optional<int64_t> dim = findLoop(map, Loop(loop));
        if (!dim || (Loop(loop) == Loop::key && isPaged(op, *operand)))
          continue;
        Size size = {operand->get(), *dim,
                     matchMapResult(map.getResult(*dim))->group};
        if (!whole)
          whole = size;
        else
          equal(size, *whole,
                label + " expected one size of loop " + Twine("bhijde"[loop]) +
                    " in all operands");
      }
    }
    for (OpOperand *operand : operands)
      for (auto [dim, result] :
           llvm::enumerate(op.getMap(*operand).getResults())) {
        MapResult match = *matchMapResult(result);
        if (!match.loop)
          equal({operand->get(), int64_t(dim)}, number(1),
                label + " expected size 1 where the map has 0");
        if (match.isRemainder)
          equal({operand->get(), int64_t(dim)}, number(match.group),
                label + " expected pages of " + Twine(match.group) + " keys");
      }
  }

  static bool isPaged(AttentionOp op, OpOperand &operand) {
    return op.isPaged(operand);
  }
  static bool isPaged(OnlineAttentionOp, OpOperand &) { return false; }
};
} // namespace

SmallVector<SizeRule> rope::getSizeRules(Operation *op) {
  Rules rules;
  llvm::TypeSwitch<Operation *>(op)
      .Case<ApplyOp, TableOp, AttentionOp, OnlineAttentionOp>(
          [&](auto op) { rules.add(op); });
  return std::move(rules.all);
}

//===- SimplifyTables.cpp - tables that are shared or smaller -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each rule has a label, such as (simplify_4), under which the reference states
// its conditions.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "Simplify.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
using namespace mlir::rope;

TableOp rope::tableLike(ImplicitLocOpBuilder &b, TableOp like, Value positions,
                        FloatAttr magnitude, RankedTensorType cos,
                        RankedTensorType sin) {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), positions);
  if (like.getAxes())
    sizes.erase(sizes.begin());
  sizes.push_back(
      tensor::getMixedSize(b, b.getLoc(), like.getFrequencies(), 0));
  Type element = getElementTypeOrSelf(like.getCos().getType());
  auto make = [&](RankedTensorType type) -> Value {
    if (!type)
      return tensor::EmptyOp::create(b, sizes, element);
    SmallVector<Value> dynamic;
    for (auto [size, known] : llvm::zip(sizes, type.getShape()))
      if (ShapedType::isDynamic(known))
        dynamic.push_back(getValueOrCreateConstantIndexOp(b, b.getLoc(), size));
    return tensor::EmptyOp::create(b, type, dynamic);
  };
  Value cosInit = make(cos), sinInit = cos == sin ? cosInit : make(sin);
  return TableOp::create(b, TypeRange{cosInit.getType(), sinInit.getType()},
                         positions, like.getFrequencies(), cosInit, sinInit,
                         magnitude, like.getAxesAttr(),
                         like.getPrecisionAttr());
}

//===----------------------------------------------------------------------===//
// Tables of less
//===----------------------------------------------------------------------===//

namespace {
/// Pattern (simplify_4): a table of which one slice is used.
struct SliceTable : OpRewritePattern<TableOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(TableOp table,
                                PatternRewriter &rewriter) const override {
    if (table.getResults().empty() || table.getAxes() || table->use_empty())
      return rewriter.notifyMatchFailure(table, "has axes or is on memrefs");
    SmallVector<tensor::ExtractSliceOp> slices;
    for (Operation *user : table->getUsers()) {
      auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
      if (!slice || slice->getBlock() != table->getBlock())
        return rewriter.notifyMatchFailure(table, "is used as a whole");
      slices.push_back(slice);
    }
    tensor::ExtractSliceOp first =
        *llvm::min_element(slices, [](Operation *a, Operation *b) {
          return a->isBeforeInBlock(b);
        });
    int64_t rank = table.getPositionRank();
    llvm::SmallBitVector dropped = first.getDroppedDims();
    auto positions = cast<RankedTensorType>(table.getPositions().getType());
    ArrayRef<int64_t> known = first.getSourceType().getShape();
    for (auto [size, other] : llvm::zip(positions.getShape(), known))
      if (!ShapedType::isDynamic(size) && size != other)
        return rewriter.notifyMatchFailure(table, "sizes are not agreed on");
    for (tensor::ExtractSliceOp slice : slices)
      if (!isWhole(slice, slice.getSource(), rank) || dropped.test(rank) ||
          slice.getMixedOffsets() != first.getMixedOffsets() ||
          slice.getMixedSizes() != first.getMixedSizes() ||
          slice.getMixedStrides() != first.getMixedStrides() ||
          slice.getDroppedDims() != dropped)
        return rewriter.notifyMatchFailure(table, "several slices are used");

    rewriter.setInsertionPoint(first);
    ImplicitLocOpBuilder b(table.getLoc(), rewriter);
    auto leading = [&](SmallVector<OpFoldResult> values) {
      values.pop_back();
      return values;
    };
    Value slice = tensor::ExtractSliceOp::create(
        b,
        RankedTensorType::get(first.getType().getShape().drop_back(),
                              positions.getElementType()),
        table.getPositions(), leading(first.getMixedOffsets()),
        leading(first.getMixedSizes()), leading(first.getMixedStrides()));
    auto typeOf = [&](unsigned result) {
      for (tensor::ExtractSliceOp slice : slices)
        if (slice.getSource() == table->getResult(result))
          return slice.getType();
      return first.getType();
    };
    TableOp sliced = tableLike(b, table, slice, table.getMagnitudeAttr(),
                               typeOf(0), typeOf(1));
    reportOther(sliced, kSimplifyName, true, "table made for fewer positions");
    for (tensor::ExtractSliceOp slice : slices)
      rewriter.replaceOp(
          slice,
          sliced->getResult(slice.getSource() == table->getResult(0) ? 0 : 1));
    rewriter.eraseOp(table);
    return success();
  }
};
} // namespace

void rope::populateSimplifyTablePatterns(RewritePatternSet &patterns) {
  patterns.add<SliceTable>(patterns.getContext());
}

//===----------------------------------------------------------------------===//
// Sharing
//===----------------------------------------------------------------------===//

/// Moves `op` and what makes its operands in front of `parent`, which holds it.
/// Fails, and changes nothing, where something of it is not known there.
static LogicalResult moveOut(RewriterBase &rewriter, Operation *op,
                             Operation *parent) {
  BackwardSliceOptions options;
  options.omitBlockArguments = true;
  options.filter = [&](Operation *maker) {
    return parent->isProperAncestor(maker);
  };
  SetVector<Operation *> makers;
  if (failed(getBackwardSlice(op, &makers, options)))
    return failure();
  makers.insert(op);
  for (Operation *maker : makers) {
    if (maker != op && (!isPure(maker) || maker->getNumRegions() > 0))
      return failure();
    for (Value operand : maker->getOperands())
      if (!operand.getDefiningOp() &&
          parent->isAncestor(operand.getParentBlock()->getParentOp()))
        return failure();
  }
  for (Operation *maker : makers)
    rewriter.moveOpBefore(maker, parent);
  return success();
}

/// Moves `op` out of the operations around it, the outermost first.
static void hoist(RewriterBase &rewriter, Operation *op,
                  function_ref<bool(Operation *)> mayLeave) {
  SmallVector<Operation *> parents;
  for (Operation *parent = op->getParentOp();
       parent && !parent->hasTrait<OpTrait::IsIsolatedFromAbove>();
       parent = parent->getParentOp())
    parents.push_back(parent);
  // Not further than it may leave.
  auto last = llvm::find_if_not(parents, mayLeave);
  for (Operation *parent :
       llvm::reverse(llvm::make_range(parents.begin(), last)))
    if (succeeded(moveOut(rewriter, op, parent)))
      return;
}

/// Whether rotations can do with all that is known of the sizes that `table`
/// makes: what its type leaves open might contradict them.
static bool fitsRotations(TableOp table) {
  SmallVector<int64_t> shape(
      cast<RankedTensorType>(table.getPositions().getType()).getShape());
  if (table.getAxes())
    shape.erase(shape.begin());
  shape.push_back(
      cast<RankedTensorType>(table.getFrequencies().getType()).getDimSize(0));
  return llvm::all_of(table->getUsers(), [&](Operation *user) {
    auto apply = dyn_cast<ApplyOp>(user);
    if (!apply || (!llvm::is_contained(table->getResults(), apply.getCos()) &&
                   !llvm::is_contained(table->getResults(), apply.getSin())))
      return true;
    return llvm::all_of(
        ValueRange{apply.getX(), apply.getInit()}, [&](Value x) {
          return canRotateLike(apply, cast<ShapedType>(x.getType()).getShape(),
                               shape, apply.getPositionDims(),
                               apply.getOffset());
        });
  });
}

/// Gives `table` destinations of the sizes that it makes, which are not read,
/// so that it may be made anywhere and equals others.
static TableOp detach(RewriterBase &rewriter, TableOp table) {
  rewriter.setInsertionPoint(table);
  ImplicitLocOpBuilder b(table.getLoc(), rewriter);
  TableOp made =
      tableLike(b, table, table.getPositions(), table.getMagnitudeAttr(),
                cast<RankedTensorType>(table.getCos().getType()),
                cast<RankedTensorType>(table.getSin().getType()));
  made->setDiscardableAttrs(table->getDiscardableAttrDictionary());
  rewriter.replaceAllUsesWith(table->getResults(), made->getResults());
  rewriter.eraseOp(table);
  return made;
}

static bool areEqual(TableOp a, TableOp b) {
  return a.getPositions() == b.getPositions() &&
         a.getFrequencies() == b.getFrequencies() &&
         a->getAttrDictionary() == b->getAttrDictionary() &&
         a->getResultTypes() == b->getResultTypes();
}

namespace {
/// Reports tables that are replaced.
struct ReportShared : RewriterBase::Listener {
  void notifyOperationReplaced(Operation *op, Operation *other) override {
    report(op);
  }
  void notifyOperationReplaced(Operation *op, ValueRange) override {
    report(op);
  }

private:
  static void report(Operation *op) {
    if (isa<TableOp>(op) && !op->use_empty())
      reportOther(op, kSimplifyName, true, "table shared with an equal one");
  }
};
} // namespace

/// Moves tables, and what makes their operands, as far to the front of their
/// blocks as what else these are made of permits.
static void moveToFront(RewriterBase &rewriter, Block *block,
                        ArrayRef<TableOp> tables) {
  BackwardSliceOptions options;
  options.omitBlockArguments = true;
  // Tables have the sizes of what they are made of, known or not.
  options.filter = [&](Operation *maker) {
    return maker->getBlock() == block && maker->getNumRegions() == 0 &&
           (isPure(maker) || isa<TableOp>(maker));
  };
  options.inclusive = true;
  SetVector<Operation *> moved;
  for (TableOp table : tables)
    (void)getBackwardSlice(table.getOperation(), &moved, options);
  SmallVector<Operation *> order = moved.takeVector();
  llvm::sort(order,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  llvm::SmallPtrSet<Operation *, 16> isMoved(order.begin(), order.end());
  for (Operation *op : order) {
    Operation *point = &block->front();
    for (Value operand : op->getOperands())
      if (Operation *maker = operand.getDefiningOp();
          maker && maker->getBlock() == block && !maker->isBeforeInBlock(point))
        point = maker->getNextNode();
    // In the order in which they are, behind constants, which rewriters put in
    // front of everything.
    while (point != op && (isMoved.contains(point) ||
                           point->hasTrait<OpTrait::ConstantLike>()))
      point = point->getNextNode();
    if (point != op)
      rewriter.moveOpBefore(op, point);
  }
}

static SmallVector<TableOp> findTables(Operation *root) {
  SmallVector<TableOp> tables;
  root->walk([&](TableOp table) {
    if (!table.getResults().empty())
      tables.push_back(table);
  });
  return tables;
}

void rope::shareTables(RewriterBase &rewriter, Operation *root) {
  SmallVector<Operation *> frequencies;
  root->walk([&](Operation *op) {
    if (isa<FrequenciesOp, ScaleFrequenciesOp>(op))
      frequencies.push_back(op);
  });
  for (Operation *op : frequencies)
    hoist(rewriter, op, [](Operation *) { return true; });
  ReportShared listener;
  IRRewriter reporting(rewriter.getContext(), &listener);
  auto shareEqual = [&] {
    DominanceInfo dominance(root);
    eliminateCommonSubExpressions(reporting, dominance, root);
  };
  shareEqual();
  unifyPositions(rewriter, findTables(root));
  shareEqual();

  SmallVector<TableOp> tables = findTables(root);
  for (TableOp &table : tables)
    if (fitsRotations(table))
      table = detach(rewriter, table);
  for (TableOp table : tables)
    hoist(rewriter, table, [&](Operation *parent) {
      if (isa<LoopLikeOpInterface>(parent))
        return true;
      Region *branch = table->getParentRegion();
      while (branch->getParentOp() != parent)
        branch = branch->getParentRegion();
      return llvm::any_of(tables, [&](TableOp other) {
        return areEqual(table, other) &&
               !branch->isAncestor(other->getParentRegion());
      });
    });
  shareEqual();
  llvm::MapVector<Block *, SmallVector<TableOp>> blocks;
  for (TableOp table : findTables(root))
    blocks[table->getBlock()].push_back(table);
  for (auto &[block, tables] : blocks)
    moveToFront(rewriter, block, tables);
}

//===----------------------------------------------------------------------===//
// Shifts
//===----------------------------------------------------------------------===//

namespace {
/// What is added to each element of `base`: a constant, a scalar or a tensor of
/// one element.
struct Shifted {
  Value base;
  PointerUnion<Attribute, Value> shift;
};

/// How the queries or keys of an attention are rotated.
struct Side {
  /// The table, or null where the attention makes angles itself.
  TableOp table;
  /// The uses of that table for this rotation.
  SmallVector<OpOperand *, 2> uses;
  OpOperand *positions = nullptr, *frequencies = nullptr;
  DenseI64ArrayAttr axes;
  Precision precision = Precision::exact;
  /// The pairs that are written, and the direction.
  std::tuple<Pairing, int64_t, int64_t, bool> pairs;
  std::optional<Shifted> shifted;
};

struct Rotated {
  AttentionOp attention;
  Side query, key;
};
} // namespace

static PointerUnion<Attribute, Value> getUniform(Value value) {
  SplatElementsAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return constant.getSplatValue<Attribute>();
  if (auto splat = value.getDefiningOp<tensor::SplatOp>())
    return splat.getInput();
  return {};
}

/// Matches an addition to all elements of `positions` alike, of 64 bits, in
/// which a sum that is too large still is the right angle.
static std::optional<Shifted> matchShift(Value positions) {
  Type element = getElementTypeOrSelf(positions.getType());
  if (!element.isIndex() && !element.isSignlessInteger(64))
    return std::nullopt;
  if (auto sum = positions.getDefiningOp<arith::AddIOp>()) {
    for (auto [base, shift] : {std::pair(sum.getLhs(), sum.getRhs()),
                               std::pair(sum.getRhs(), sum.getLhs())})
      if (PointerUnion<Attribute, Value> uniform = getUniform(shift))
        return Shifted{base, uniform};
    return std::nullopt;
  }
  auto generic = positions.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic->getNumResults() != 1 ||
      generic.getNumParallelLoops() != generic.getNumLoops() ||
      !llvm::hasNItems(*generic.getBlock(), 2) ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0))
           .isIdentity())
    return std::nullopt;
  auto sum = dyn_cast<arith::AddIOp>(generic.getBlock()->front());
  if (!sum || generic.getBlock()->getTerminator()->getOperand(0) != sum)
    return std::nullopt;
  for (auto [base, shift] : {std::pair(sum.getLhs(), sum.getRhs()),
                             std::pair(sum.getRhs(), sum.getLhs())}) {
    auto argument = dyn_cast<BlockArgument>(base);
    if (!argument || argument.getOwner() != generic.getBlock() ||
        argument.getArgNumber() >= generic.getNumDpsInputs())
      continue;
    OpOperand *input = generic.getDpsInputOperand(argument.getArgNumber());
    if (!generic.getMatchingIndexingMap(input).isIdentity())
      continue;
    IntegerAttr constant;
    if (matchPattern(shift, m_Constant(&constant)))
      return Shifted{input->get(), Attribute(constant)};
    auto other = dyn_cast<BlockArgument>(shift);
    if (!other || other.getOwner() != generic.getBlock())
      return Shifted{input->get(), shift};
    // A tensor of one element, which each round reads.
    if (other.getArgNumber() < generic.getNumDpsInputs()) {
      OpOperand *scalar = generic.getDpsInputOperand(other.getArgNumber());
      if (generic.getMatchingIndexingMap(scalar).getNumResults() == 0)
        return Shifted{input->get(), scalar->get()};
    }
  }
  return std::nullopt;
}

static std::optional<Side> getSide(AttentionOp op, bool isQuery) {
  RotationAttr rotation =
      isQuery ? op.getQueryRotationAttr() : op.getKeyRotationAttr();
  OpOperand &operand = isQuery ? op.getQueryMutable() : op.getKeyMutable();
  Side side;
  int64_t pairs = 0;
  std::optional<int64_t> stride;
  if (rotation) {
    MutableOperandRange operands = isQuery
                                       ? op.getQueryRotationOperandsMutable()
                                       : op.getKeyRotationOperandsMutable();
    if (AnglesAttr angles = rotation.getAngles()) {
      side.positions = &operands[0];
      side.frequencies = &operands[1];
      side.axes = angles.getAxes();
      side.precision = angles.getPrecision();
    } else {
      side.table = findTable(operands[0].get(), operands[1].get());
      side.uses = {&operands[0], &operands[1]};
    }
    stride = rotation.getPairStride();
    side.pairs = {rotation.getResultPairing().value_or(rotation.getPairing()),
                  rotation.getOffset(), 0, rotation.getTranspose()};
  } else {
    auto apply = operand.get().getDefiningOp<ApplyOp>();
    AffineMap map = op.getMap(operand);
    if (!apply || !apply->hasOneUse() ||
        findLoop(map, Loop::channel) != int64_t(map.getNumResults()) - 1)
      return std::nullopt;
    side.table = findTable(apply);
    side.uses = {&apply.getCosMutable(), &apply.getSinMutable()};
    if (apply.getPairStride())
      stride = int64_t(*apply.getPairStride());
    side.pairs = {apply.getWrittenPairing(), int64_t(apply.getOffset()), 0,
                  apply.getTranspose()};
  }
  if (side.table) {
    side.positions = &side.table.getPositionsMutable();
    side.frequencies = &side.table.getFrequenciesMutable();
    side.axes = side.table.getAxesAttr();
    side.precision = side.table.getPrecision();
  } else if (!rotation || !rotation.getAngles()) {
    return std::nullopt;
  }
  if (!isa<RankedTensorType>(side.positions->get().getType()))
    return std::nullopt;
  pairs = cast<ShapedType>(side.frequencies->get().getType()).getDimSize(0);
  std::get<2>(side.pairs) = stride.value_or(pairs);
  side.shifted = matchShift(side.positions->get());
  return side;
}

/// Whether the shift of the queries is that of the keys, and turns the same
/// pairs by the same angles.
static bool haveCommonShift(const Side &query, const Side &key) {
  return query.shifted && key.shifted &&
         query.shifted->shift == key.shifted->shift &&
         query.frequencies->get() == key.frequencies->get() &&
         query.axes == key.axes && query.pairs == key.pairs &&
         query.precision == Precision::exact &&
         key.precision == Precision::exact;
}

void rope::dropCommonShifts(RewriterBase &rewriter, Operation *root) {
  SmallVector<Rotated, 0> candidates;
  root->walk([&](AttentionOp op) {
    std::optional<Side> query = getSide(op, true), key = getSide(op, false);
    if (query && key && haveCommonShift(*query, *key))
      candidates.push_back({op, *query, *key});
  });
  // A table stays where anything else uses it, and with it those of the
  // attentions that use it.
  while (true) {
    llvm::SmallPtrSet<OpOperand *, 8> uses;
    for (const Rotated &rotated : candidates)
      for (const Side &side : {rotated.query, rotated.key})
        uses.insert(side.uses.begin(), side.uses.end());
    auto isFree = [&](const Side &side) {
      return !side.table ||
             llvm::all_of(side.table->getUses(),
                          [&](OpOperand &use) { return uses.contains(&use); });
    };
    size_t before = candidates.size();
    llvm::erase_if(candidates, [&](const Rotated &rotated) {
      return !isFree(rotated.query) || !isFree(rotated.key);
    });
    if (candidates.size() == before)
      break;
  }
  llvm::SmallPtrSet<OpOperand *, 8> done;
  for (const Rotated &rotated : candidates) {
    for (const Side &side : {rotated.query, rotated.key}) {
      OpOperand *operand = side.positions;
      if (!done.insert(operand).second)
        continue;
      Operation *owner = operand->getOwner();
      rewriter.setInsertionPoint(owner);
      Value base = castTo(rewriter, owner->getLoc(), side.shifted->base,
                          operand->get().getType());
      rewriter.modifyOpInPlace(owner, [&] { operand->set(base); });
    }
    reportOther(rotated.attention, kSimplifyName, true,
                "shift of all positions dropped");
  }
}

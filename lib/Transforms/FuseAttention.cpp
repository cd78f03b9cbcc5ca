//===- FuseAttention.cpp - fold rotations into attention ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::rope {
#define GEN_PASS_DEF_FUSEATTENTION
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static constexpr StringLiteral kName = "rope-fuse-attention";

namespace {
/// The rotation that makes an operand, and what lies between.
struct Rotated {
  ApplyOp apply;
  /// The map of the operand that takes the place of the given one.
  AffineMap map;
  /// The shape of the given operand, in the order of that map.
  SmallVector<int64_t> shape;
  /// The first operation between that a map cannot stand for.
  Operation *obstacle = nullptr;
  /// Whether all that is between has no other use.
  bool isOwn = true;
};
} // namespace

/// The permutation by which `op` copies its only input: dimension i of the
/// result is dimension permutation[i] of the input.
static std::optional<SmallVector<int64_t>> matchTransposition(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp.getNumDpsInputs() != 1 ||
      linalgOp->getNumResults() != 1)
    return std::nullopt;
  Block *body = linalgOp.getBlock();
  AffineMap in =
      linalgOp.getMatchingIndexingMap(linalgOp.getDpsInputOperand(0));
  AffineMap out =
      linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0));
  if (body->getTerminator()->getOperand(0) != body->getArgument(0) ||
      !in.isPermutation() || !out.isPermutation())
    return std::nullopt;
  AffineMap permutation = inversePermutation(in).compose(out);
  // The input's dimension that loop `out[i]` runs over.
  return llvm::map_to_vector(permutation.getResults(), [](AffineExpr result) {
    return int64_t(cast<AffineDimExpr>(result).getPosition());
  });
}

/// Finds the rotation behind reshapes, casts, transpositions and the like.
static Rotated findRotation(Value value, AffineMap map) {
  Rotated found;
  found.map = map;
  SmallVector<AffineExpr> results(map.getResults());
  found.shape = llvm::to_vector(cast<ShapedType>(value.getType()).getShape());
  while (Operation *op = value.getDefiningOp()) {
    found.isOwn &= value.hasOneUse();
    if (auto apply = dyn_cast<ApplyOp>(op)) {
      found.apply = apply;
      break;
    }
    if (std::optional<SmallVector<int64_t>> permutation =
            found.obstacle ? std::nullopt : matchTransposition(op)) {
      SmallVector<AffineExpr> permuted(results.size());
      SmallVector<int64_t> shape(results.size());
      for (auto [i, dim] : llvm::enumerate(*permutation)) {
        permuted[dim] = results[i];
        shape[dim] = found.shape[i];
      }
      results = std::move(permuted);
      found.shape = std::move(shape);
    } else if (isa<tensor::ConcatOp, tensor::InsertSliceOp>(op)) {
      // Keys behind others, or channels behind others that are not rotated.
      if (!found.obstacle)
        found.obstacle = op;
      value = isa<tensor::ConcatOp>(op) ? op->getOperands().back()
                                        : op->getOperand(0);
      continue;
    } else if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
               isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                   tensor::ExtractSliceOp>(op) ||
               (linalgOp && linalgOp.getNumDpsInputs() == 1 &&
                linalgOp.getNumLoops() == linalgOp.getNumParallelLoops())) {
      if (!found.obstacle)
        found.obstacle = op;
    } else if (!isa<tensor::CastOp>(op)) {
      break;
    }
    value = op->getOperand(0);
  }
  if (!found.obstacle)
    found.map = AffineMap::get(kNumLoops, 0, results, map.getContext());
  return found;
}

/// The type of the operand in the order of the rotated tensor, null where that
/// contradicts the sizes of the rotation.
static RankedTensorType getOperandType(const Rotated &found) {
  ApplyOp apply = found.apply;
  auto x = cast<RankedTensorType>(apply.getX().getType());
  auto type = RankedTensorType::get(found.shape, x.getElementType());
  if (!tensor::CastOp::areCastCompatible(x, type))
    return nullptr;
  ArrayRef<int64_t> tables =
      cast<ShapedType>(apply.getCos().getType()).getShape();
  for (auto [size, dim] : llvm::zip(tables, apply.getPositionDims()))
    if (failed(verifyCompatibleShape({size}, {found.shape[dim]})))
      return nullptr;
  return type;
}

/// Why the rotation of an operand of `attention` cannot be folded, if it can
/// not.
static std::optional<std::string> whyNotFolded(AttentionOp attention,
                                               const Rotated &found,
                                               bool isRotated, bool isPaged) {
  if (isPaged)
    return "it rotates places in pages, where the attention rotates keys";
  if (found.obstacle)
    return ("'" + found.obstacle->getName().getStringRef() +
            "' stands between it and the attention")
        .str();
  if (isRotated)
    return "the attention rotates the operand already";
  if (!found.isOwn)
    return "others use the rotated tensor, so it is made in any case";
  if (found.apply->getBlock() != attention->getBlock())
    return "it stands before the loop or branch of the attention, which would "
           "repeat it";
  if (findLoop(found.map, Loop::channel) !=
      int64_t(found.map.getNumResults()) - 1)
    return "the head dimension of the operand is not its last";
  return std::nullopt;
}

/// The attributes of `apply`.
static RotationAttr getRotation(ApplyOp apply) {
  std::optional<int64_t> stride;
  if (apply.getPairStride())
    stride = int64_t(*apply.getPairStride());
  return RotationAttr::get(
      apply.getContext(), apply.getPairing(), apply.getPositionDimsAttr(),
      int64_t(apply.getOffset()), stride, apply.getResultPairing(),
      apply.getTranspose(), AnglesAttr());
}

/// Folds the rotation that makes `operand`, the query or the key.
static void foldRotation(RewriterBase &rewriter, AttentionOp attention,
                         OpOperand &operand, const FusionControlFn &control) {
  bool isQuery = &operand == &attention.getQueryMutable();
  AffineMap map = attention.getMap(operand);
  Rotated found = findRotation(operand.get(), map);
  ApplyOp apply = found.apply;
  if (!apply)
    return;
  RotationAttr present = isQuery ? attention.getQueryRotationAttr()
                                 : attention.getKeyRotationAttr();
  std::optional<std::string> reason =
      whyNotFolded(attention, found, bool(present), attention.isPaged(operand));
  RankedTensorType type;
  if (!reason) {
    type = getOperandType(found);
    if (!type)
      reason = "its sizes are not those of the attention";
  }
  FusionCandidate candidate{apply, attention, std::nullopt, &operand};
  // The rotated tensor is neither written nor read.
  if (std::optional<int64_t> bytes = getStaticBytes(apply->getResult(0));
      bytes && *bytes <= std::numeric_limits<int64_t>::max() / 2)
    candidate.bytesSaved = 2 * *bytes;
  if (!reason)
    reason = control(candidate);
  if (reason)
    return reportLeft(apply, kName, *reason);

  reportFused(candidate, kName);
  Value x = apply.getX();
  if (x.getType() != type) {
    rewriter.setInsertionPoint(attention);
    x = tensor::CastOp::create(rewriter, attention.getLoc(), type, x);
  }
  Operation *before = operand.get().getDefiningOp();
  rewriter.modifyOpInPlace(attention, [&] {
    SmallVector<AffineMap> maps = llvm::to_vector(
        attention.getIndexingMaps().getAsValueRange<AffineMapAttr>());
    maps[isQuery ? 0 : 1] = found.map;
    attention.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    operand.set(x);
    RotationAttr rotation = getRotation(apply);
    if (isQuery) {
      attention.setQueryRotationAttr(rotation);
      attention.getQueryRotationOperandsMutable().assign(
          {apply.getCos(), apply.getSin()});
    } else {
      attention.setKeyRotationAttr(rotation);
      attention.getKeyRotationOperandsMutable().assign(
          {apply.getCos(), apply.getSin()});
    }
  });
  while (before && isOpTriviallyDead(before)) {
    Operation *next =
        before == apply ? nullptr : before->getOperand(0).getDefiningOp();
    rewriter.eraseOp(before);
    before = next;
  }
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

namespace {
/// The query or the key of an attention, and its rotation.
struct Side {
  Value x;
  RotationAttr rotation;
  ValueRange operands;

  /// Whether `table` makes cosine and sine.
  bool isRotatedBy(TableOp table) const {
    return rotation && !rotation.getAngles() &&
           operands[0] == table->getResult(0) &&
           operands[1] == table->getResult(1);
  }
};
} // namespace

static std::array<Side, 2> getSides(AttentionOp op) {
  return {
      Side{op.getQuery(), op.getQueryRotationAttr(),
           op.getQueryRotationOperands()},
      Side{op.getKey(), op.getKeyRotationAttr(), op.getKeyRotationOperands()}};
}

/// Why the rows of `table` cannot be made in `attention`, if they cannot.
static std::optional<std::string> whyNotMadeInside(TableOp table,
                                                   AttentionOp attention) {
  if (table->getBlock() != attention->getBlock())
    return "it stands before the loop or branch of the attention, which would "
           "repeat it";
  int64_t uses = 0;
  for (const Side &side : getSides(attention)) {
    if (!side.isRotatedBy(table))
      continue;
    uses += 2;
    FloatType element = loadedElement(attention, side.x);
    if (getElementTypeOrSelf(table.getCos().getType()).isF64() !=
            element.isF64() ||
        getElementTypeOrSelf(table.getCos().getType()).getIntOrFloatBitWidth() <
            32)
      return "its elements are of another type than those made as they are "
             "used";
  }
  if (uses != std::distance(table->use_begin(), table->use_end()))
    return "others use it as well";
  return std::nullopt;
}

static void foldTable(RewriterBase &rewriter, TableOp table,
                      AttentionOp attention, const TableControlFn &control) {
  std::optional<std::string> reason = whyNotMadeInside(table, attention);
  if (!reason)
    reason = control(table, attention);
  if (reason)
    return reportOther(table, kName, false, "table left: " + *reason);

  reportOther(table, kName, true, "table folded into rope.attention");
  auto angles = AnglesAttr::get(table.getContext(), table.getMagnitudeAttr(),
                                table.getAxesAttr(), table.getPrecision());
  auto withAngles = [&](RotationAttr rotation) {
    return RotationAttr::get(
        table.getContext(), rotation.getPairing(), rotation.getPositionDims(),
        rotation.getOffset(), rotation.getPairStride(),
        rotation.getResultPairing(), rotation.getTranspose(), angles);
  };
  Value inputs[] = {table.getPositions(), table.getFrequencies()};
  rewriter.modifyOpInPlace(attention, [&] {
    auto [query, key] = getSides(attention);
    bool foldsQuery = query.isRotatedBy(table);
    bool foldsKey = key.isRotatedBy(table);
    if (foldsQuery) {
      attention.setQueryRotationAttr(withAngles(query.rotation));
      attention.getQueryRotationOperandsMutable().assign(inputs);
    }
    if (foldsKey) {
      attention.setKeyRotationAttr(withAngles(key.rotation));
      attention.getKeyRotationOperandsMutable().assign(inputs);
    }
  });
  rewriter.eraseOp(table);
}

void rope::foldRotations(RewriterBase &rewriter, AttentionOp attention,
                         const FusionControlFn &control,
                         const TableControlFn &tableControl) {
  if (attention.getResults().empty())
    return;
  foldRotation(rewriter, attention, attention.getQueryMutable(), control);
  foldRotation(rewriter, attention, attention.getKeyMutable(), control);

  llvm::SmallSetVector<TableOp, 2> tables;
  for (const Side &side : getSides(attention))
    if (side.rotation)
      if (auto table = side.operands[0].getDefiningOp<TableOp>();
          table && side.isRotatedBy(table))
        tables.insert(table);
  for (TableOp table : tables)
    foldTable(rewriter, table, attention, tableControl);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct FuseAttention : rope::impl::FuseAttentionBase<FuseAttention> {
  using FuseAttentionBase::FuseAttentionBase;

  TargetDescription getTarget() {
    TargetDescription target = readTargetDescription(getOperation());
    if (l2Bytes > 0)
      target.l2Bytes = l2Bytes;
    if (vectorBits > 0)
      target.vectorBits = vectorBits;
    if (threads > 0)
      target.threads = threads;
    return target;
  }

  void runOnOperation() override {
    TargetDescription target = getTarget();
    auto control =
        [&](const FusionCandidate &candidate) -> std::optional<std::string> {
      auto attention = cast<AttentionOp>(candidate.target);
      if (candidate.operand == &attention.getQueryMutable() ||
          keyRotation == KeyRotation::load)
        return std::nullopt;
      if (keyRotation == KeyRotation::once)
        return "keys are to be rotated once";
      return whyRotateKeyOnce(attention, candidate.rotation, target);
    };
    auto tableControl = [&](TableOp table, AttentionOp attention) {
      return whyKeepTable(attention, table, target);
    };
    IRRewriter rewriter(&getContext());
    raiseAttention(rewriter, getOperation());
    SmallVector<AttentionOp> attentions;
    getOperation()->walk(
        [&](AttentionOp attention) { attentions.push_back(attention); });
    for (AttentionOp attention : attentions)
      foldRotations(rewriter, attention, control, tableControl);
  }
};
} // namespace

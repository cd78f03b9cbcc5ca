//===- SimplifyWeights.cpp - permutations that weights take ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rule (simplify_7): an interleaved rotation is a half-split one of channels in
// another order. Constants that make the channels are put in that order, and
// what follows must not see it: a sum over the channels of queries times keys
// in the same order does not, but for the order of the sum.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "Simplify.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// A constant operand, whose dimension `dim` holds channels, heads by heads.
struct Weights {
  OpOperand *operand;
  int64_t dim;
};

/// Where rotated channels are summed: an operand of a contraction or attention.
struct Sum {
  OpOperand *operand = nullptr;
  /// The loop that sums them.
  unsigned loop = 0;
};
} // namespace

static RankedTensorType typeOfX(ApplyOp op) {
  return cast<RankedTensorType>(op.getX().getType());
}

/// The number of pairs that `op` turns, where it is known with its head size.
static std::optional<int64_t> getPairs(ApplyOp op) {
  int64_t pairs = cast<ShapedType>(op.getCos().getType()).getShape().back();
  int64_t head = typeOfX(op).getShape().back();
  if (ShapedType::isDynamic(pairs) || ShapedType::isDynamic(head) || pairs < 2)
    return std::nullopt;
  return pairs;
}

/// The only use of `value` that is not for one of its sizes.
static OpOperand *findOnlyUse(Value value) {
  OpOperand *only = nullptr;
  for (OpOperand &use : value.getUses()) {
    if (isa<tensor::DimOp>(use.getOwner()))
      continue;
    if (only)
      return nullptr;
    only = &use;
  }
  return only;
}

/// The only dimension of an operand with this map that follows `loop`, or none;
/// -1 where the loop is in another expression, or twice.
static std::optional<int64_t> findDim(AffineMap map, unsigned loop) {
  std::optional<int64_t> found;
  for (auto [dim, result] : llvm::enumerate(map.getResults())) {
    if (!result.isFunctionOfDim(loop))
      continue;
    if (found || !isa<AffineDimExpr>(result))
      return -1;
    found = dim;
  }
  return found;
}

/// Whether all elements of `value` are equal, or none is of interest.
static bool isUniform(Value value) {
  return value.getDefiningOp<linalg::FillOp>() ||
         value.getDefiningOp<tensor::EmptyOp>() ||
         value.getDefiningOp<tensor::SplatOp>() ||
         matchPattern(value, m_Constant<SplatElementsAttr>(nullptr));
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// The bytes of a constant, nothing where they are not all there.
static ArrayRef<char> getBytes(Value value) {
  ElementsAttr elements;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!matchPattern(value, m_Constant(&elements)) || !type ||
      !type.getElementType().isIntOrFloat() ||
      type.getElementTypeBitWidth() % 8 != 0)
    return {};
  ArrayRef<char> bytes;
  if (auto dense = dyn_cast<DenseElementsAttr>(elements))
    bytes = dense.getRawData();
  else if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements))
    if (AsmResourceBlob *blob = resource.getRawHandle().getBlob())
      bytes = blob->getData();
  std::optional<int64_t> size = getStaticBytes(value);
  return size == int64_t(bytes.size()) ? bytes : ArrayRef<char>();
}

/// Puts a constant in place of `weights` whose channel `i` of each head is
/// channel `order[i]` of it.
static void permute(RewriterBase &rewriter, const Weights &weights,
                    ArrayRef<int64_t> order) {
  Value value = weights.operand->get();
  ArrayRef<char> bytes = getBytes(value);
  auto type = cast<RankedTensorType>(value.getType());
  size_t row = type.getElementTypeBitWidth() / 8;
  for (int64_t size : type.getShape().drop_front(weights.dim + 1))
    row *= size;
  size_t head = row * order.size();
  SmallVector<char, 0> permuted(bytes.size());
  for (size_t start = 0; start < bytes.size(); start += head)
    for (auto [to, from] : llvm::enumerate(order))
      std::memcpy(&permuted[start + to * row], &bytes[start + from * row], row);

  ElementsAttr elements;
  DenseResourceElementsAttr resource;
  if (matchPattern(value, m_Constant(&resource))) {
    AsmResourceBlob blob = HeapAsmResourceBlob::allocateAndCopyWithAlign(
        permuted, resource.getRawHandle().getBlob()->getDataAlignment());
    elements = DenseResourceElementsAttr::get(
        type, resource.getRawHandle().getKey(), std::move(blob));
  } else {
    elements = DenseElementsAttr::getFromRawBuffer(type, permuted);
  }
  Operation *owner = weights.operand->getOwner();
  rewriter.setInsertionPoint(owner);
  Value constant =
      arith::ConstantOp::create(rewriter, value.getLoc(), elements);
  rewriter.modifyOpInPlace(owner, [&] { weights.operand->set(constant); });
}

/// Collects the constants that are to be permuted so that dimension `dim` of
/// `operand`, which holds heads of `head` channels, is. Fails where something
/// else makes it, or others see it.
static LogicalResult collectWeights(OpOperand &operand, int64_t dim,
                                    int64_t head,
                                    SmallVectorImpl<Weights> &weights,
                                    int64_t depth = 0) {
  Value value = operand.get();
  if (isUniform(value))
    return success();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.isDynamicDim(dim) || type.getDimSize(dim) % head != 0)
    return failure();
  if (!getBytes(value).empty()) {
    weights.push_back({&operand, dim});
    return success();
  }
  Operation *op = value.getDefiningOp();
  // A model's projection is a few operations long.
  if (!op || depth > 32 || findOnlyUse(value) != &operand)
    return failure();
  auto collect = [&](OpOperand &input, int64_t inputDim) {
    return collectWeights(input, inputDim, head, weights, depth + 1);
  };
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    for (auto [i, group] : llvm::enumerate(expand.getReassociationIndices()))
      if (group.back() == dim)
        return collect(expand.getSrcMutable(), i);
    return failure();
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return collect(collapse.getSrcMutable(),
                   collapse.getReassociationIndices()[dim].back());
  if (isa<tensor::CastOp>(op) || OpTrait::hasElementwiseMappableTraits(op)) {
    for (OpOperand &input : op->getOpOperands())
      if (isa<RankedTensorType>(input.get().getType()) &&
          failed(collect(input, dim)))
        return failure();
    return success();
  }
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp->getNumResults() != 1 ||
      linalgOp.hasIndexSemantics())
    return failure();
  OpOperand *init = linalgOp.getDpsInitOperand(0);
  AffineMap written = linalgOp.getMatchingIndexingMap(init);
  auto loop = dyn_cast<AffineDimExpr>(written.getResult(dim));
  if (!loop || findDim(written, loop.getPosition()) != dim)
    return failure();
  for (OpOperand &input : op->getOpOperands()) {
    if (&input == init && !linalgOp.payloadUsesValueFromOperand(&input))
      continue;
    std::optional<int64_t> inputDim =
        findDim(linalgOp.getMatchingIndexingMap(&input), loop.getPosition());
    if (inputDim && (*inputDim < 0 || failed(collect(input, *inputDim))))
      return failure();
  }
  return success();
}

static LogicalResult collectWeights(ApplyOp op,
                                    SmallVectorImpl<Weights> &weights) {
  return collectWeights(op.getXMutable(), typeOfX(op).getRank() - 1,
                        typeOfX(op).getShape().back(), weights);
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Follows the channels that `apply` rotates to where they are summed, through
/// operations that nothing else sees. Nothing where something else is done.
static std::optional<Sum> findSum(ApplyOp apply) {
  Value value = apply->getResult(0);
  int64_t dim = typeOfX(apply).getRank() - 1;
  while (OpOperand *use = findOnlyUse(value)) {
    Operation *user = use->getOwner();
    if (auto attention = dyn_cast<AttentionOp>(user)) {
      bool isQuery = use == &attention.getQueryMutable();
      if ((!isQuery && use != &attention.getKeyMutable()) ||
          (isQuery ? attention.getQueryRotationAttr()
                   : attention.getKeyRotationAttr()) ||
          findLoop(attention.getMap(*use), Loop::channel) != dim)
        return std::nullopt;
      return Sum{use, unsigned(Loop::channel)};
    }
    if (isa<tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
            user)) {
      if (std::optional<Movement> movement = matchMovement(user)) {
        auto kept = llvm::find(movement->dims, std::optional<int64_t>(dim));
        if (kept == movement->dims.end())
          return std::nullopt;
        dim = kept - movement->dims.begin();
      }
      value = user->getResult(0);
      continue;
    }
    auto linalgOp = dyn_cast<linalg::LinalgOp>(user);
    if (!linalgOp || user->getNumResults() != 1 ||
        linalgOp.hasIndexSemantics() || !linalgOp.isDpsInput(use))
      return std::nullopt;
    AffineMap map = linalgOp.getMatchingIndexingMap(use);
    auto loop = dyn_cast<AffineDimExpr>(map.getResult(dim));
    if (!loop || findDim(map, loop.getPosition()) != dim)
      return std::nullopt;
    OpOperand *init = linalgOp.getDpsInitOperand(0);
    std::optional<int64_t> resultDim =
        findDim(linalgOp.getMatchingIndexingMap(init), loop.getPosition());
    // A sum of products, which may be added in any order.
    if (!resultDim)
      return linalg::isaContractionOpInterface(linalgOp)
                 ? std::optional<Sum>({use, loop.getPosition()})
                 : std::nullopt;
    // Each channel for itself, and alike.
    for (OpOperand *input : linalgOp.getDpsInputOperands())
      if (input != use &&
          findDim(linalgOp.getMatchingIndexingMap(input), loop.getPosition()))
        return std::nullopt;
    if (*resultDim < 0 ||
        (linalgOp.payloadUsesValueFromOperand(init) && !isUniform(init->get())))
      return std::nullopt;
    value = user->getResult(0);
    dim = *resultDim;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Rotations
//===----------------------------------------------------------------------===//

static void makeHalfSplit(RewriterBase &rewriter, ApplyOp op,
                          ArrayRef<Weights> weights) {
  int64_t pairs = *getPairs(op), offset = op.getOffset();
  SmallVector<int64_t> order =
      llvm::to_vector(llvm::seq<int64_t>(typeOfX(op).getShape().back()));
  for (int64_t i : llvm::seq(pairs)) {
    order[offset + i] = offset + 2 * i;
    order[offset + pairs + i] = offset + 2 * i + 1;
  }
  for (const Weights &constant : weights)
    permute(rewriter, constant, order);
  rewriter.modifyOpInPlace(op, [&] {
    op.setPairing(Pairing::half);
    op.removeResultPairingAttr();
  });
  reportOther(op, kSimplifyName, true,
              "interleaved rotation made half-split by its weights");
}

void rope::permuteWeights(RewriterBase &rewriter, Operation *root) {
  SmallVector<ApplyOp> rotations;
  root->walk([&](ApplyOp op) {
    if (!op.getResults().empty() && op.getPairing() == Pairing::interleaved &&
        getPairs(op))
      rotations.push_back(op);
  });
  llvm::MapVector<Operation *, SmallVector<std::pair<ApplyOp, Sum>, 2>> sums;
  for (ApplyOp op : rotations) {
    SmallVector<Weights> weights;
    if (op.getWrittenPairing() == Pairing::interleaved) {
      if (std::optional<Sum> sum = findSum(op))
        sums[sum->operand->getOwner()].emplace_back(op, *sum);
      else
        reportLeft(op, kSimplifyName,
                   "interleaved, and used otherwise than by a product of "
                   "queries and keys");
    } else if (succeeded(collectWeights(op, weights))) {
      // What follows sees the same.
      makeHalfSplit(rewriter, op, weights);
    } else {
      reportLeft(op, kSimplifyName, "interleaved, and no constants make it");
    }
  }
  for (auto &[owner, sides] : sums) {
    SmallVector<Weights> first, second;
    StringRef reason;
    if (sides.size() != 2 || sides[0].second.loop != sides[1].second.loop)
      reason = "interleaved, and multiplied by what is not";
    else if (sides[0].first.getOffset() != sides[1].first.getOffset() ||
             getPairs(sides[0].first) != getPairs(sides[1].first))
      reason = "interleaved, and queries and keys have different pairs";
    else if (failed(collectWeights(sides[0].first, first)) ||
             failed(collectWeights(sides[1].first, second)))
      reason = "interleaved, and no constants make it";
    if (!reason.empty()) {
      for (auto &[op, sum] : sides)
        reportLeft(op, kSimplifyName, reason);
      continue;
    }
    makeHalfSplit(rewriter, sides[0].first, first);
    makeHalfSplit(rewriter, sides[1].first, second);
  }
}

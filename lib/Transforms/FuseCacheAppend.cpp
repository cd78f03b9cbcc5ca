//===- FuseCacheAppend.cpp - rotate rows into their place in a cache ------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What stands between a rotation and the cache (casts, quantisation) is
// followed from the rotation to the writes, with the dimension of x that each
// dimension of a value goes along. Then the writes become one loop over rows,
// and each row is made in it by pulling slices through what was followed.
// Writes that stand in a loop already only have their slices pulled.
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/CheckedArithmetic.h"

namespace mlir::rope {
#define GEN_PASS_DEF_FUSECACHEAPPEND
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

using OpFoldResults = SmallVector<OpFoldResult>;
/// Why something cannot be done; nothing where it can.
using Reason = std::optional<std::string>;

static constexpr StringRef kName = "rope-fuse-cache-append";

static std::string quote(Operation *op) {
  return ("'" + op->getName().getStringRef() + "'").str();
}

static bool isElementwise(Operation *op) {
  return OpTrait::hasElementwiseMappableTraits(op) &&
         op->getNumResults() == 1 &&
         llvm::all_of(op->getOperandTypes(), llvm::IsaPred<RankedTensorType>);
}

/// Whether rows can be made by slices of the operands of `op` alone.
static bool isRowMaker(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return isElementwise(op) || (linalgOp && linalgOp.hasPureTensorSemantics());
}

/// The tensor that `write` writes into.
static Value getCache(Operation *write) {
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(write))
    return insert.getDest();
  return cast<tensor::ScatterOp>(write).getDest();
}

/// The write that `slice`, or what is made of it, ends in; null if in none.
static Operation *findWriteOf(tensor::ExtractSliceOp slice) {
  llvm::SetVector<Operation *> makers;
  makers.insert(slice);
  for (unsigned i = 0; i < makers.size(); ++i)
    for (OpOperand &use : makers[i]->getUses()) {
      Operation *user = use.getOwner();
      if (isa<tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(user) &&
          use.getOperandNumber() == 0)
        return user;
      if (isRowMaker(user))
        makers.insert(user);
    }
  return nullptr;
}

/// Whether `slice` is another one in each round of each loop up to `outside`.
static bool isOfEachRound(tensor::ExtractSliceOp slice, Block *outside) {
  Operation *outermost = outside->findAncestorOpInBlock(*slice);
  llvm::SetVector<Value> seen;
  seen.insert_range(slice.getOffsets());
  for (unsigned i = 0; i < seen.size(); ++i)
    if (Operation *op = seen[i].getDefiningOp())
      if (outermost->isProperAncestor(op))
        seen.insert_range(op->getOperands());
  for (Operation *op = slice; op != outermost;) {
    op = op->getParentOp();
    auto loop = dyn_cast<LoopLikeOpInterface>(op);
    if (!loop)
      continue;
    std::optional<SmallVector<Value>> variables = loop.getLoopInductionVars();
    if (!variables || !llvm::all_of(*variables, [&](Value variable) {
          return seen.contains(variable);
        }))
      return false;
  }
  return true;
}

namespace {
/// One rotation and what takes it to a cache.
class Append {
public:
  Append(RewriterBase &rewriter, ApplyOp apply)
      : rewriter(rewriter), apply(apply) {}

  /// Finds what takes the rotation to a cache. Changes nothing.
  Reason match();
  FusionCandidate getCandidate();
  /// Makes the rows at their place, next to what is there.
  Reason build();
  /// Puts what was built in place of what was there.
  void commit();

private:
  Reason follow();
  Reason classify(OpOperand &use);
  Reason followDims();
  Reason followDims(linalg::LinalgOp op);
  Reason matchWrites();
  Reason matchSlices();
  void chooseLoops();

  Value sizeAlong(OpBuilder &b, int64_t dim) {
    return tensor::DimOp::create(b, apply.getLoc(), apply.getX(), dim);
  }
  /// The offset of a row along dimension `dim` of x; nothing where rows are
  /// whole along it.
  Value offsetAlong(int64_t dim) { return offsets.lookup(dim); }

  OpFoldResult sizeOfRow(OpBuilder &b, Value source, int64_t i);
  tensor::ExtractSliceOp sliceRow(OpBuilder &b, Value source,
                                  unsigned droppedDims);
  Value writeRow(OpBuilder &b, tensor::InsertSliceOp write, Value cache);
  Value writeRow(OpBuilder &b, tensor::ScatterOp write, Value cache);
  void buildLoops(Operation *place);
  Reason pull(tensor::ExtractSliceOp row);
  FailureOr<Value> makeSlice(tensor::ExtractSliceOp slice,
                             SmallVector<tensor::ExtractSliceOp> &operands);
  bool hasOtherUsers();

  RewriterBase &rewriter;
  ApplyOp apply;
  /// The table of the rotation, where its rows are made with it.
  TableOp table;
  /// The rotation and what is made of it, in order.
  llvm::SetVector<Operation *> makers;
  /// What writes into caches in the block of the rotation.
  llvm::SetVector<Operation *> writes;
  /// Slices in a loop that are written there.
  llvm::SetVector<tensor::ExtractSliceOp> slices;
  /// The dimension of x that each dimension of a value goes along.
  DenseMap<Value, SmallVector<int64_t>> dims;
  /// Dimensions of x that are reduced on the way.
  llvm::SmallDenseSet<int64_t> reduced;
  /// Dimensions of x that the rows are split along, outermost first.
  SmallVector<int64_t> loopDims;

  // What build makes.
  llvm::SmallDenseMap<int64_t, Value> offsets;
  SmallVector<tensor::ExtractSliceOp> rows;
  SmallVector<Value> made;
  scf::LoopNest nest;
};
} // namespace

//===----------------------------------------------------------------------===//
// What takes the rotation to a cache
//===----------------------------------------------------------------------===//

Reason Append::classify(OpOperand &use) {
  Operation *user = use.getOwner();
  if (auto dim = dyn_cast<tensor::DimOp>(user)) {
    std::optional<int64_t> index = dim.getConstantIndex();
    int64_t rank = cast<RankedTensorType>(use.get().getType()).getRank();
    if (!index || *index < 0 || *index >= rank)
      return "which of its sizes is used is known only at run time";
    return std::nullopt;
  }
  if (user->getBlock() != apply->getBlock()) {
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice)
      return "it is used as a whole by " + quote(user) + " in a region";
    slices.insert(slice);
    return std::nullopt;
  }
  if (isa<tensor::InsertSliceOp, tensor::ScatterOp>(user)) {
    if (use.getOperandNumber() != 0)
      return "it is used by " + quote(user) + " other than as what is written";
    writes.insert(user);
    return std::nullopt;
  }
  if (user->hasTrait<OpTrait::IsTerminator>())
    return "it is also returned by " + quote(user);
  if (isa<tensor::ExtractSliceOp>(user))
    return std::string("a slice of it is used where it is rotated");
  if (!isRowMaker(user))
    return "it is also used by " + quote(user);
  makers.insert(user);
  return std::nullopt;
}

Reason Append::follow() {
  makers.insert(apply);
  unsigned next = 0;
  while (next < makers.size())
    for (OpOperand &use : makers[next++]->getUses())
      if (Reason reason = classify(use))
        return reason;
  SmallVector<Operation *> sorted = makers.takeVector();
  llvm::sort(sorted, [](Operation *a, Operation *b) {
    return a != b && a->isBeforeInBlock(b);
  });
  makers.insert_range(sorted);
  return std::nullopt;
}

Reason Append::followDims(linalg::LinalgOp op) {
  SmallVector<int64_t> loops(op.getNumLoops(), -1);
  for (OpOperand &operand : op->getOpOperands()) {
    auto known = dims.find(operand.get());
    if (known == dims.end())
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation())
      return "rows are mixed by " + quote(op);
    for (auto [i, dim] : llvm::enumerate(known->second)) {
      int64_t &loop = loops[map.getDimPosition(i)];
      if (loop != -1 && loop != dim)
        return "rows are mixed by " + quote(op);
      loop = dim;
    }
  }
  for (auto [dim, kind] : llvm::zip_equal(loops, op.getIteratorTypesArray()))
    if (kind != utils::IteratorType::parallel && dim != -1) {
      if (llvm::is_contained(apply.getPositionDims(), dim))
        return quote(op) + " reads other tokens";
      reduced.insert(dim);
    }
  for (OpOperand &init : op.getDpsInitsMutable()) {
    AffineMap map = op.getMatchingIndexingMap(&init);
    if (!map.isProjectedPermutation())
      return "rows are mixed by " + quote(op);
    SmallVector<int64_t> &result = dims[op.getTiedOpResult(&init)];
    for (unsigned i : llvm::seq(map.getNumResults()))
      result.push_back(loops[map.getDimPosition(i)]);
    if (llvm::is_contained(result, -1))
      return quote(op) + " makes several rows of one";
  }
  return std::nullopt;
}

Reason Append::followDims() {
  int64_t rank = cast<RankedTensorType>(apply.getX().getType()).getRank();
  for (Operation *op : makers) {
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      if (Reason reason = followDims(linalgOp))
        return reason;
      continue;
    }
    SmallVector<int64_t> result = llvm::to_vector(llvm::seq(rank));
    if (op != apply)
      for (Value operand : op->getOperands())
        if (auto known = dims.find(operand); known != dims.end()) {
          if (operand != op->getOperand(0) &&
              dims.contains(op->getOperand(0)) &&
              dims[op->getOperand(0)] != known->second)
            return "rows are mixed by " + quote(op);
          result = known->second;
        }
    dims[op->getResult(0)] = result;
  }
  return std::nullopt;
}

void Append::chooseLoops() {
  auto type = cast<RankedTensorType>(apply.getX().getType());
  int64_t outer = type.getRank() - 1;
  llvm::SetVector<int64_t> chosen;
  // A row of the table is made once for all that it rotates.
  if (table)
    chosen.insert_range(apply.getPositionDims());
  for (int64_t dim : llvm::seq(outer))
    chosen.insert(dim);
  llvm::SmallDenseSet<int64_t> needed(llvm::from_range,
                                      apply.getPositionDims());
  for (Operation *write : writes)
    if (auto scatter = dyn_cast<tensor::ScatterOp>(write)) {
      int64_t rows = scatter.getIndicesType().getRank() - 1;
      ArrayRef<int64_t> along = dims[scatter.getSource()];
      needed.insert_range(along.take_front(rows));
    }
  for (int64_t dim : chosen) {
    // All heads of a token are one row where they lie side by side.
    bool isInnermost = dim == outer - 1 && !needed.contains(dim);
    if (!isInnermost && !reduced.contains(dim) && type.getDimSize(dim) != 1)
      loopDims.push_back(dim);
  }
}

Reason Append::matchWrites() {
  int64_t head = cast<RankedTensorType>(apply.getX().getType()).getRank() - 1;
  Operation *last = nullptr;
  bool hasScatter = false;
  for (Operation *write : writes) {
    if (!last || last->isBeforeInBlock(write))
      last = write;
    auto scatter = dyn_cast<tensor::ScatterOp>(write);
    if (!scatter)
      continue;
    hasScatter = true;
    int64_t rows = scatter.getIndicesType().getRank() - 1;
    for (int64_t dim : ArrayRef(dims[scatter.getSource()]).take_front(rows)) {
      if (dim == head)
        return std::string("'tensor.scatter' splits the head dimension");
      if (reduced.contains(dim))
        return std::string("'tensor.scatter' splits a reduced dimension");
    }
  }
  for (Operation *write : writes)
    for (Operation *user : write->getUsers()) {
      Operation *inBlock = last->getBlock()->findAncestorOpInBlock(*user);
      if (!inBlock || !last->isBeforeInBlock(inBlock))
        return std::string("a cache is used before the last write");
    }
  // What is written last is written at its place.
  writes.remove(last);
  writes.insert(last);
  chooseLoops();
  if (loopDims.empty() && !hasScatter)
    return std::string("it is one row alone");
  return std::nullopt;
}

Reason Append::matchSlices() {
  int64_t head = cast<RankedTensorType>(apply.getX().getType()).getRank() - 1;
  for (tensor::ExtractSliceOp slice : slices) {
    if (!findWriteOf(slice))
      return std::string("no write into a cache follows");
    if (slice->getBlock() != slices[0]->getBlock())
      return std::string("it is used in several loops");
    if (!slice.hasUnitStride())
      return std::string("a slice of it has strides");
    for (auto [i, dim] : llvm::enumerate(dims[slice.getSource()])) {
      OpFoldResult size = slice.getMixedSizes()[i];
      FailureOr<bool> isWhole = ValueBoundsConstraintSet::areEqual(
          {size}, {slice.getSource(), static_cast<int64_t>(i)});
      bool splits = !isConstantIntValue(slice.getMixedOffsets()[i], 0) ||
                    failed(isWhole) || !*isWhole;
      if (dim == head && splits)
        return std::string("the head dimension is split");
      if (reduced.contains(dim) && splits)
        return std::string("a reduced dimension is split");
    }
    if (!isOfEachRound(slice, apply->getBlock()))
      return std::string("the loop would rotate a row several times");
  }
  return std::nullopt;
}

Reason Append::match() {
  if (mayBeGraphRegion(*apply->getParentRegion()))
    return std::string("it has no place among other operations");
  for (Value operand : apply->getOperands())
    if (llvm::is_contained(cast<ShapedType>(operand.getType()).getShape(), 0))
      return std::string("it is empty");
  if (Reason reason = follow())
    return reason;
  if (writes.empty() && slices.empty())
    return std::string("no write into a cache follows");
  if (!writes.empty() && !slices.empty())
    return std::string("it is used inside and outside of a loop");
  if (Reason reason = followDims())
    return reason;
  if (!apply.getPositionDims().empty())
    table = findOwnTable(apply);
  return slices.empty() ? matchWrites() : matchSlices();
}

FusionCandidate Append::getCandidate() {
  FusionCandidate candidate;
  candidate.rotation = apply;
  candidate.target = slices.empty() ? writes[0] : findWriteOf(slices[0]);
  candidate.bytesSaved = 0;
  for (Operation *op : makers)
    for (Value result : op->getResults())
      if (candidate.bytesSaved && !result.use_empty()) {
        std::optional<int64_t> bytes = getStaticBytes(result);
        candidate.bytesSaved =
            bytes ? llvm::checkedAdd(*candidate.bytesSaved, *bytes) : bytes;
      }
  return candidate;
}

//===----------------------------------------------------------------------===//
// Writing rows
//===----------------------------------------------------------------------===//

/// The size of a row along dimension `i` of `source`.
OpFoldResult Append::sizeOfRow(OpBuilder &b, Value source, int64_t i) {
  int64_t dim = dims[source][i];
  if (offsetAlong(dim))
    return b.getIndexAttr(1);
  for (auto [value, known] :
       {std::pair(source, i), std::pair(apply.getX(), dim)})
    if (auto type = cast<RankedTensorType>(value.getType());
        !type.isDynamicDim(known))
      return b.getIndexAttr(type.getDimSize(known));
  return sizeAlong(b, dim);
}

/// The row of `source`, without its first `droppedDims` dimensions.
tensor::ExtractSliceOp Append::sliceRow(OpBuilder &b, Value source,
                                        unsigned droppedDims) {
  auto type = cast<RankedTensorType>(source.getType());
  OpFoldResults starts, sizes, strides(type.getRank(), b.getIndexAttr(1));
  for (auto [i, dim] : llvm::enumerate(dims[source])) {
    Value offset = offsetAlong(dim);
    starts.push_back(offset ? OpFoldResult(offset) : b.getIndexAttr(0));
    sizes.push_back(sizeOfRow(b, source, i));
  }
  auto row = cast<RankedTensorType>(
      tensor::ExtractSliceOp::inferResultType(type, sizes));
  row = RankedTensorType::get(row.getShape().drop_front(droppedDims),
                              row.getElementType(), row.getEncoding());
  rows.push_back(tensor::ExtractSliceOp::create(b, apply.getLoc(), row, source,
                                                starts, sizes, strides));
  return rows.back();
}

Value Append::writeRow(OpBuilder &b, tensor::InsertSliceOp write, Value cache) {
  tensor::ExtractSliceOp row = sliceRow(b, write.getSource(), 0);
  OpFoldResults starts = write.getMixedOffsets(), sizes = write.getMixedSizes();
  OpFoldResults strides = write.getMixedStrides();
  llvm::SmallBitVector dropped = write.getDroppedDims();
  AffineExpr start, offset, stride;
  bindSymbols(b.getContext(), start, offset, stride);
  int64_t i = 0;
  for (unsigned dim : llvm::seq(starts.size())) {
    if (dropped[dim])
      continue;
    if (!row.getType().isDynamicDim(i))
      sizes[dim] = b.getIndexAttr(row.getType().getDimSize(i));
    if (Value along = offsetAlong(dims[write.getSource()][i++]))
      starts[dim] = affine::makeComposedFoldedAffineApply(
          b, write.getLoc(), start + offset * stride,
          {starts[dim], along, strides[dim]});
  }
  return tensor::InsertSliceOp::create(b, write.getLoc(), row, cache, starts,
                                       sizes, strides);
}

Value Append::writeRow(OpBuilder &b, tensor::ScatterOp write, Value cache) {
  Location loc = write.getLoc();
  RankedTensorType indices = write.getIndicesType(), type = write.getDestType();
  ArrayRef<int64_t> along = dims[write.getSource()];
  ArrayRef<int64_t> scatterDims = write.getScatterDims();
  unsigned rank = type.getRank(), rowDims = indices.getRank() - 1;
  SmallVector<Value> coordinates;
  for (int64_t dim : along.take_front(rowDims)) {
    Value offset = offsetAlong(dim);
    coordinates.push_back(offset ? offset
                                 : arith::ConstantIndexOp::create(b, loc, 0));
  }

  bool isReduced = along.size() != rank + rowDims;
  OpFoldResults starts, sizes, strides(rank, b.getIndexAttr(1));
  unsigned i = rowDims, k = 0;
  for (int64_t dim : llvm::seq<int64_t>(rank)) {
    if (!llvm::is_contained(scatterDims, dim)) {
      Value offset = offsetAlong(along[i]);
      starts.push_back(offset ? OpFoldResult(offset) : b.getIndexAttr(0));
      sizes.push_back(sizeOfRow(b, write.getSource(), i++));
      continue;
    }
    i += !isReduced;
    SmallVector<Value> coordinate = coordinates;
    coordinate.push_back(arith::ConstantIndexOp::create(b, loc, k++));
    Value index =
        tensor::ExtractOp::create(b, loc, write.getIndices(), coordinate);
    if (!index.getType().isIndex())
      index = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
    starts.push_back(index);
    sizes.push_back(b.getIndexAttr(1));
  }
  return tensor::InsertSliceOp::create(b, loc,
                                       sliceRow(b, write.getSource(), rowDims),
                                       cache, starts, sizes, strides);
}

//===----------------------------------------------------------------------===//
// Making rows
//===----------------------------------------------------------------------===//

/// An empty tensor of the type of `slice`.
static Value createEmpty(RewriterBase &rewriter, tensor::ExtractSliceOp slice) {
  OpFoldResults sizes;
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  for (auto [dim, size] : llvm::enumerate(slice.getMixedSizes()))
    if (!dropped[dim])
      sizes.push_back(size);
  RankedTensorType type = slice.getType();
  return tensor::EmptyOp::create(rewriter, slice.getLoc(), sizes,
                                 type.getElementType(), type.getEncoding());
}

/// `slice`, whose heads are whole, with the size that heads of `rotated` have
/// by its own account.
static tensor::ExtractSliceOp takeWholeHeads(RewriterBase &rewriter,
                                             tensor::ExtractSliceOp slice,
                                             Value rotated) {
  OpFoldResults sizes = slice.getMixedSizes();
  OpFoldResult whole =
      tensor::getMixedSize(rewriter, slice.getLoc(), rotated, sizes.size() - 1);
  if (isEqualConstantIntOrValue(sizes.back(), whole))
    return slice;
  sizes.back() = whole;
  auto type = cast<RankedTensorType>(
      tensor::ExtractSliceOp::inferResultType(slice.getSourceType(), sizes));
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (!dropped[dim])
      shape.push_back(size);
  return tensor::ExtractSliceOp::create(
      rewriter, slice.getLoc(), type.clone(shape), slice.getSource(),
      slice.getMixedOffsets(), sizes, slice.getMixedStrides());
}

/// The slice made of slices of the operands of what makes its source, which are
/// appended to `operands`; the slice itself where that makes nothing.
FailureOr<Value>
Append::makeSlice(tensor::ExtractSliceOp slice,
                  SmallVector<tensor::ExtractSliceOp> &operands) {
  auto result = dyn_cast<OpResult>(slice.getSource());
  if (!result)
    return slice.getResult();
  Operation *maker = result.getOwner();
  rewriter.setInsertionPoint(slice);
  if (isa<tensor::EmptyOp>(maker))
    return createEmpty(rewriter, slice);
  bool isOwnTable = table && maker == table &&
                    (slices.empty() || isOfEachRound(slice, apply->getBlock()));
  if (!makers.contains(maker) && !isOwnTable && !isa<linalg::FillOp>(maker))
    return slice.getResult();
  if (isElementwise(maker) && !isa<linalg::LinalgOp>(maker)) {
    SmallVector<Value> tiles;
    for (Value operand : maker->getOperands()) {
      auto type = cast<RankedTensorType>(operand.getType());
      operands.push_back(tensor::ExtractSliceOp::create(
          rewriter, slice.getLoc(),
          cast<RankedTensorType>(slice.getType().clone(type.getElementType())),
          operand, slice.getMixedOffsets(), slice.getMixedSizes(),
          slice.getMixedStrides()));
      tiles.push_back(operands.back());
    }
    Operation *tile =
        mlir::clone(rewriter, maker, TypeRange(slice.getType()), tiles);
    return tile->getResult(0);
  }
  if (!isa<TilingInterface>(maker))
    return failure();
  tensor::ExtractSliceOp taken =
      maker == apply ? takeWholeHeads(rewriter, slice, apply.getInit()) : slice;
  FailureOr<TilingResult> tiled =
      tensor::replaceExtractSliceWithTiledProducer(rewriter, taken, result);
  if (taken != slice)
    rewriter.eraseOp(taken);
  if (failed(tiled) || tiled->tiledValues.size() != 1)
    return failure();
  for (Operation *generated : tiled->generatedSlices)
    if (auto operand = dyn_cast<tensor::ExtractSliceOp>(generated))
      operands.push_back(operand);
  // The destination of the rotation is not read: the row may go elsewhere.
  for (Operation *op : tiled->tiledOps)
    if (auto rotation = dyn_cast<ApplyOp>(op)) {
      rewriter.modifyOpInPlace(rotation, [&] { markFolded(rotation); });
      if (auto init =
              rotation.getInit().getDefiningOp<tensor::ExtractSliceOp>()) {
        rewriter.setInsertionPoint(rotation);
        Value empty = createEmpty(rewriter, init);
        rewriter.modifyOpInPlace(
            rotation, [&] { rotation.getInitMutable().assign(empty); });
      }
    }
  Value tile = tiled->tiledValues[0];
  if (tile.getType() == slice.getType())
    return tile;
  if (!tensor::CastOp::areCastCompatible(tile.getType(), slice.getType()))
    return failure();
  rewriter.setInsertionPoint(slice);
  return Value(
      tensor::CastOp::create(rewriter, slice.getLoc(), slice.getType(), tile));
}

/// Makes `row` out of slices of what is not fused, and appends it to `made`.
Reason Append::pull(tensor::ExtractSliceOp row) {
  SmallVector<tensor::ExtractSliceOp> pending{row};
  for (bool isFirst = true; !pending.empty(); isFirst = false) {
    tensor::ExtractSliceOp slice = pending.pop_back_val();
    FailureOr<Value> value = makeSlice(slice, pending);
    if (failed(value))
      return "rows of " + quote(slice.getSource().getDefiningOp()) +
             " cannot be made one by one";
    if (isFirst)
      made.push_back(*value);
    if (*value != slice.getResult())
      rewriter.replaceOp(slice, *value);
  }
  return std::nullopt;
}

/// Whether anything but what is replaced uses what is no longer made.
bool Append::hasOtherUsers() {
  for (Operation *op : makers)
    for (Operation *user : op->getUsers())
      if (!makers.contains(user) && !writes.contains(user) &&
          !llvm::is_contained(slices, user) && !isa<tensor::DimOp>(user))
        return true;
  return false;
}

void Append::buildLoops(Operation *place) {
  rewriter.setInsertionPoint(place);
  Location loc = apply.getLoc();
  Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0);
  Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
  SmallVector<Value> starts(loopDims.size(), zero), ends, caches;
  SmallVector<Value> steps(loopDims.size(), one);
  for (int64_t dim : loopDims)
    ends.push_back(sizeAlong(rewriter, dim));
  for (Operation *write : writes)
    caches.push_back(getCache(write));
  nest = scf::buildLoopNest(
      rewriter, loc, starts, ends, steps, caches,
      [&](OpBuilder &b, Location, ValueRange variables, ValueRange caches) {
        // Without loops, the caches are those outside.
        for (auto [dim, variable] : llvm::zip_equal(loopDims, variables))
          offsets[dim] = variable;
        scf::ValueVector written;
        for (auto [write, cache] : llvm::zip_equal(writes, caches)) {
          if (auto insert = dyn_cast<tensor::InsertSliceOp>(write))
            written.push_back(writeRow(b, insert, cache));
          else
            written.push_back(
                writeRow(b, cast<tensor::ScatterOp>(write), cache));
        }
        return written;
      });
  // Each row goes to a place of its own.
  for (scf::ForOp loop : nest.loops)
    loop->setAttr(RopeDialect::getParallelAttrName(), rewriter.getUnitAttr());
}

Reason Append::build() {
  // Everything is built in front of these, after the operations beside them.
  SmallVector<std::pair<Operation *, Operation *>> places;
  if (slices.empty())
    places.push_back({writes.back(), writes.back()->getPrevNode()});
  else
    for (tensor::ExtractSliceOp slice : slices)
      places.push_back({slice, slice->getPrevNode()});
  if (slices.empty())
    buildLoops(writes.back());
  for (tensor::ExtractSliceOp slice : slices) {
    rewriter.setInsertionPoint(slice);
    rows.push_back(cast<tensor::ExtractSliceOp>(rewriter.clone(*slice)));
  }

  Reason reason;
  for (tensor::ExtractSliceOp row : rows)
    if (!reason)
      reason = pull(row);
  if (!reason && hasOtherUsers())
    reason = "its rows are not all that is used";
  if (!reason)
    return std::nullopt;
  for (auto [place, before] : llvm::reverse(places))
    while (place->getPrevNode() != before)
      rewriter.eraseOp(place->getPrevNode());
  return reason;
}

/// A row that loses dimensions of one before it is written, although its place
/// has them, is written with them: it can be made at its place then.
static void keepUnitDims(RewriterBase &rewriter, Value row) {
  auto slice = row.getDefiningOp<tensor::ExtractSliceOp>();
  if (!slice)
    return;
  for (OpOperand &use : llvm::make_early_inc_range(slice->getUses())) {
    auto write = dyn_cast<tensor::InsertSliceOp>(use.getOwner());
    if (!write || use.getOperandNumber() != 0)
      continue;
    auto place = cast<RankedTensorType>(tensor::ExtractSliceOp::inferResultType(
        write.getDestType(), write.getMixedSizes()));
    if (isRankReducedType(place, slice.getSourceType()) ==
        SliceVerificationResult::Success)
      rewriter.modifyOpInPlace(write, [&] { use.set(slice.getSource()); });
  }
}

/// A row that is made anew is made at its place: what is written outside of the
/// cache is then found, by those who check it, before it is written.
static void makeInPlace(RewriterBase &rewriter, Value row) {
  auto maker = row.getDefiningOp<DestinationStyleOpInterface>();
  if (!maker)
    return;
  tensor::InsertSliceOp write;
  for (Operation *user : row.getUsers()) {
    if (isOpTriviallyDead(user))
      continue;
    auto insert = dyn_cast<tensor::InsertSliceOp>(user);
    if (write || !insert || insert.getSource() != row)
      return;
    write = insert;
  }
  OpOperand *destination = maker.getTiedOpOperand(cast<OpResult>(row));
  if (!write || !destination->get().getDefiningOp<tensor::EmptyOp>())
    return;
  DominanceInfo dominance;
  for (Value operand : write->getOperands())
    if (operand != row && !dominance.properlyDominates(operand, maker))
      return;
  rewriter.setInsertionPoint(maker);
  Value place = tensor::ExtractSliceOp::create(
      rewriter, write.getLoc(), write.getSourceType(), write.getDest(),
      write.getMixedOffsets(), write.getMixedSizes(), write.getMixedStrides());
  rewriter.modifyOpInPlace(maker, [&] { destination->set(place); });
}

void Append::commit() {
  for (Operation *op : makers)
    for (Value result : op->getResults())
      for (Operation *user : llvm::make_early_inc_range(result.getUsers()))
        if (auto dim = dyn_cast<tensor::DimOp>(user)) {
          rewriter.setInsertionPoint(dim);
          int64_t index = *dim.getConstantIndex();
          rewriter.replaceOpWithNewOp<tensor::DimOp>(dim, apply.getX(),
                                                     dims[result][index]);
        }
  for (auto [i, write] : llvm::enumerate(writes))
    rewriter.replaceOp(write, nest.results[i]);
  for (auto [slice, row] : llvm::zip(slices, made))
    rewriter.replaceOp(slice, row);
  for (Value row : made)
    keepUnitDims(rewriter, row);
  for (scf::ForOp loop : nest.loops)
    for (Operation &op : *loop.getBody())
      if (auto write = dyn_cast<tensor::InsertSliceOp>(op))
        makeInPlace(rewriter, write.getSource());
  for (Value row : made)
    makeInPlace(rewriter, row);
  for (Operation *op : llvm::reverse(makers))
    rewriter.eraseOp(op);
  if (table && table->use_empty())
    rewriter.eraseOp(table);
  // Rows of a table, and places, that several rows share are made once.
  for (LoopLikeOpInterface loop : llvm::reverse(nest.loops))
    moveLoopInvariantCode(
        loop.getLoopRegions(),
        [&](Value value, Region *) {
          return loop.isDefinedOutsideOfLoop(value);
        },
        [](Operation *op, Region *) {
          // What a row starts from, such as zeros, would be copied each round.
          return isPure(op) && !isa<linalg::LinalgOp>(op);
        },
        [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
}

LogicalResult rope::fuseCacheAppend(RewriterBase &rewriter, ApplyOp apply,
                                    const FusionControlFn &control) {
  if (apply.getResults().empty())
    return rewriter.notifyMatchFailure(apply, "is on memrefs");
  OpBuilder::InsertionGuard guard(rewriter);
  Append append(rewriter, apply);
  Reason reason = append.match();
  if (!reason && findDirectWrite(apply) && isProjected(apply))
    reason = "the tiles of the projection that makes it go to the cache";
  FusionCandidate candidate;
  if (!reason) {
    candidate = append.getCandidate();
    if (control)
      reason = control(candidate);
  }
  if (!reason)
    reason = append.build();
  if (reason) {
    reportLeft(apply, kName, *reason);
    return rewriter.notifyMatchFailure(apply, *reason);
  }
  reportFused(candidate, kName);
  append.commit();
  return success();
}

namespace {
struct FuseCacheAppendPattern : OpRewritePattern<ApplyOp> {
  FuseCacheAppendPattern(MLIRContext *context, FusionControlFn control)
      : OpRewritePattern(context), control(std::move(control)) {}

  LogicalResult matchAndRewrite(ApplyOp apply,
                                PatternRewriter &rewriter) const override {
    return fuseCacheAppend(rewriter, apply, control);
  }

  FusionControlFn control;
};

struct FuseCacheAppend : rope::impl::FuseCacheAppendBase<FuseCacheAppend> {
  void runOnOperation() override {
    SmallVector<ApplyOp> applies;
    getOperation()->walk([&](ApplyOp apply) { applies.push_back(apply); });
    IRRewriter rewriter(&getContext());
    for (ApplyOp apply : applies)
      (void)fuseCacheAppend(rewriter, apply, nullptr);
  }
};
} // namespace

void rope::populateFuseCacheAppendPatterns(RewritePatternSet &patterns,
                                           FusionControlFn control) {
  patterns.add<FuseCacheAppendPattern>(patterns.getContext(),
                                       std::move(control));
}

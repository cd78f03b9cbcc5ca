//===- TileApply.cpp - rotate in blocks that threads share ----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rotations that read the same table become one parallel loop over blocks of
// positions, which makes the block's rows of the table, if nothing else needs
// them, and rotates the block of each.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/CostModel.h"
#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::rope {
#define GEN_PASS_DEF_TILEAPPLY
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static bool isOnTensors(ApplyOp apply) { return !apply.getResults().empty(); }

static ShapedType typeOfX(ApplyOp apply) {
  return cast<ShapedType>(apply.getX().getType());
}

/// Whether slices can be taken of all operands: one of nothing would start out
/// of bounds.
static bool canSlice(Operation *op) {
  return llvm::all_of(op->getOperands(), [](Value value) {
    return !llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0);
  });
}

//===----------------------------------------------------------------------===//
// What shares a loop
//===----------------------------------------------------------------------===//

/// Whether all uses of what `op` makes come after `last`, in its block.
static bool isUsedAfter(Operation *op, Operation *last) {
  return llvm::all_of(op->getUsers(), [&](Operation *user) {
    Operation *there = op->getBlock()->findAncestorOpInBlock(*user);
    return there && last->isBeforeInBlock(there);
  });
}

/// Whether `apply` can be in the loop of `group`, which stands where `apply`
/// does.
static bool canJoin(ArrayRef<ApplyOp> group, ApplyOp apply) {
  ApplyOp first = group.front();
  return isOnTensors(apply) && isOnTensors(first) &&
         apply->getBlock() == first->getBlock() &&
         apply.getCos() == first.getCos() && apply.getSin() == first.getSin() &&
         !apply.getPositionDims().empty() &&
         llvm::all_of(
             group, [&](ApplyOp member) { return isUsedAfter(member, apply); });
}

/// Whether dimension `dim` has the same size in all of `group`, as far as types
/// know.
static bool isCommon(ArrayRef<ApplyOp> group, int64_t dim) {
  auto sizeOf = [&](ApplyOp apply) {
    ShapedType type = typeOfX(apply);
    return dim + 1 < type.getRank() ? type.getDimSize(dim)
                                    : ShapedType::kDynamic;
  };
  int64_t size = sizeOf(group.front());
  return group.size() == 1 ||
         (!ShapedType::isDynamic(size) &&
          llvm::all_of(group, [&](ApplyOp apply) {
            return sizeOf(apply) == size &&
                   !llvm::is_contained(apply.getPositionDims(), dim);
          }));
}

/// Whether what is rotated by one row of the table lies side by side.
static bool doPositionsLead(ApplyOp apply) {
  ArrayRef<int64_t> dims = apply.getPositionDims();
  if (dims.empty())
    return false;
  int64_t last = *llvm::max_element(dims);
  return llvm::all_of(llvm::seq(last), [&](int64_t dim) {
    return llvm::is_contained(dims, dim) || typeOfX(apply).getDimSize(dim) == 1;
  });
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

namespace {
/// A dimension of the loop: a dimension of the table, or one that all rotations
/// have in common.
struct BlockLoop {
  /// The dimension of the table, or -1.
  int64_t tableDim;
  /// The dimension of x, if it is none of the table.
  int64_t dim;
  OpFoldResult size;
  OpFoldResult block;

  int64_t in(ApplyOp apply) const {
    return tableDim < 0 ? dim : apply.getPositionDims()[tableDim];
  }
};

/// A rotation of a block, and on tensors the block that it writes.
struct Tile {
  ApplyOp apply;
  tensor::ExtractSliceOp slice;
};

class Tiler {
public:
  Tiler(RewriterBase &rewriter, ArrayRef<ApplyOp> group,
        const TileApplyOptions &options)
      : rewriter(rewriter), b(ApplyOp(group.front()).getLoc(), rewriter),
        group(group), table(findOwnTable(group)), options(options),
        positionsLead(llvm::all_of(group, doPositionsLead)),
        rowByRow(positionsLead && isOnTensors(group.front())) {
    if (table && !canSlice(table))
      table = nullptr;
  }

  LogicalResult run();

private:
  void findLoops();
  void chooseBlocks();
  void emitBody(scf::ForallOp forall);
  Tile emitTile(ApplyOp apply, ArrayRef<int64_t> dims,
                ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                Value out);
  void emitRows(MutableArrayRef<Tile> tiles, ArrayRef<OpFoldResult> offsets,
                ArrayRef<OpFoldResult> sizes);
  std::pair<Value, Value> emitTable(ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes,
                                    ArrayRef<OpFoldResult> block);
  void report(scf::ForallOp forall);
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value asValue(OpFoldResult value) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), value);
  }
  template <typename OpTy>
  Value fold(Value x, Value y) {
    return b.createOrFold<OpTy>(x, y);
  }

  RewriterBase &rewriter;
  ImplicitLocOpBuilder b;
  ArrayRef<ApplyOp> group;
  TableOp table;
  const TileApplyOptions &options;
  bool positionsLead;
  /// Positions are rotated one by one, rather than heads.
  bool rowByRow;
  SmallVector<BlockLoop> loops;
};
} // namespace

void Tiler::findLoops() {
  ApplyOp first = group.front();
  for (int64_t dim : llvm::seq(typeOfX(first).getRank() - 1)) {
    auto position = llvm::find(first.getPositionDims(), dim);
    bool follows = position != first.getPositionDims().end();
    if (!follows && !isCommon(group, dim))
      continue;
    int64_t tableDim =
        follows ? position - first.getPositionDims().begin() : -1;
    loops.push_back(
        {tableDim,
         dim,
         linalg::createFoldedDimOp(b, b.getLoc(), first.getX(), dim),
         {}});
  }
}

/// Blocks are as large as a task should be, the inner dimensions whole first
/// and those that the table does not follow before those that it does, so that
/// its rows are used for as much as there is.
void Tiler::chooseBlocks() {
  Value one = constant(1);
  auto atLeastOne = [&](Value value) {
    return fold<arith::MaxSIOp>(value, one);
  };
  // The bytes of a round, so far of a single index in each dimension.
  Value bytes = constant(0), total = constant(0);
  for (ApplyOp apply : group) {
    int64_t element = llvm::divideCeil(
        typeOfX(apply).getElementType().getIntOrFloatBitWidth(), 8);
    Value inner = constant(2 * element), all = inner;
    for (int64_t dim : llvm::seq(typeOfX(apply).getRank())) {
      Value size =
          asValue(linalg::createFoldedDimOp(b, b.getLoc(), apply.getX(), dim));
      all = fold<arith::MulIOp>(all, size);
      if (llvm::none_of(loops, [&](const BlockLoop &loop) {
            return loop.in(apply) == dim;
          }))
        inner = fold<arith::MulIOp>(inner, size);
    }
    bytes = fold<arith::AddIOp>(bytes, inner);
    total = fold<arith::AddIOp>(total, all);
  }
  bytes = atLeastOne(bytes);
  Value isSmall = b.createOrFold<arith::CmpIOp>(
      arith::CmpIPredicate::sle, total, constant(options.oneTaskBytes));
  int64_t tableRows = cost::kWideTableRows;
  for (ApplyOp apply : group)
    if (typeOfX(apply).getElementType().getIntOrFloatBitWidth() <= 16)
      tableRows = cost::kNarrowTableRows;
  Value rows = one;
  auto choose = [&](BlockLoop &loop) {
    Value size = asValue(loop.size);
    Value room = fold<arith::DivUIOp>(constant(options.taskBytes), bytes);
    if (!positionsLead && loop.tableDim >= 0) {
      // Rows of a head in a block are a piece of memory that goes on in the
      // next.
      Value piece = fold<arith::DivUIOp>(constant(tableRows), rows);
      room = table ? piece : fold<arith::MaxSIOp>(room, piece);
    }
    Value block = atLeastOne(fold<arith::MinSIOp>(room, size));
    bytes = fold<arith::MulIOp>(bytes, block);
    if (loop.tableDim >= 0)
      rows = fold<arith::MulIOp>(rows, block);
    Value whole = atLeastOne(size);
    std::optional<int64_t> known = getConstantIntValue(whole);
    if (known && known != getConstantIntValue(block))
      known = std::nullopt;
    loop.block = getAsOpFoldResult(
        known ? whole : b.createOrFold<arith::SelectOp>(isSmall, whole, block));
  };
  for (bool follows : {false, true})
    for (BlockLoop &loop : llvm::reverse(loops))
      if (follows == (loop.tableDim >= 0))
        choose(loop);
}

/// Rows of the table, in a buffer of `block` of them.
std::pair<Value, Value> Tiler::emitTable(ArrayRef<OpFoldResult> offsets,
                                         ArrayRef<OpFoldResult> sizes,
                                         ArrayRef<OpFoldResult> block) {
  int64_t rank = table.getPositionRank();
  FailureOr<TilingResult> tiled =
      cast<TilingInterface>(table.getOperation())
          .getTiledImplementation(b, offsets, sizes);
  assert(succeeded(tiled) && "nothing of it is empty");
  auto tile = cast<TableOp>(tiled->tiledOps.front());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(tile);
  for (OpOperand &init : tile.getDpsInitsMutable()) {
    auto type = cast<RankedTensorType>(init.get().getType());
    SmallVector<OpFoldResult> whole(block), part(sizes);
    OpFoldResult pairs =
        linalg::createFoldedDimOp(b, b.getLoc(), init.get(), rank);
    whole.push_back(pairs);
    part.push_back(pairs);
    Value rows = tensor::EmptyOp::create(b, whole, type.getElementType());
    SmallVector<OpFoldResult> zeros(rank + 1, b.getIndexAttr(0));
    SmallVector<OpFoldResult> ones(rank + 1, b.getIndexAttr(1));
    if (rows.getType() != type)
      rows = tensor::ExtractSliceOp::create(b, type, rows, zeros, part, ones);
    init.set(rows);
  }
  return {tile->getResult(0), tile->getResult(1)};
}

/// The block of `apply` that `offsets` and `sizes` are of those dimensions that
/// `dims` gives, and all of the others. It writes to `out`, if that is a value.
Tile Tiler::emitTile(ApplyOp apply, ArrayRef<int64_t> dims,
                     ArrayRef<OpFoldResult> offsets,
                     ArrayRef<OpFoldResult> sizes, Value out) {
  SmallVector<OpFoldResult> offset, size;
  for (int64_t dim : llvm::seq(typeOfX(apply).getRank() - 1)) {
    offset.push_back(b.getIndexAttr(0));
    size.push_back(linalg::createFoldedDimOp(b, b.getLoc(), apply.getX(), dim));
  }
  for (auto [i, dim] : llvm::enumerate(dims)) {
    offset[dim] = offsets[i];
    size[dim] = sizes[i];
  }
  FailureOr<TilingResult> tiled = cast<TilingInterface>(apply.getOperation())
                                      .getTiledImplementation(b, offset, size);
  assert(succeeded(tiled) && "nothing of it is empty");
  auto tile = cast<ApplyOp>(tiled->tiledOps.front());
  tensor::ExtractSliceOp slice;
  if (out) {
    slice = tile.getInit().getDefiningOp<tensor::ExtractSliceOp>();
    slice.getSourceMutable().set(out);
    if (apply.getX() == apply.getInit())
      tile.getXMutable().set(slice);
  }
  return {tile, slice};
}

/// The sizes of a tile from `start` on.
static OpFoldResult clip(ImplicitLocOpBuilder &b, OpFoldResult start,
                         const BlockLoop &loop) {
  AffineExpr d0, s0, s1;
  bindDims(b.getContext(), d0);
  bindSymbols(b.getContext(), s0, s1);
  std::optional<int64_t> size = getConstantIntValue(loop.size);
  std::optional<int64_t> block = getConstantIntValue(loop.block);
  if (size && block && *size % *block == 0)
    return loop.block;
  auto map = AffineMap::get(1, 2, {s0 - d0, s1}, b.getContext());
  return affine::makeComposedFoldedAffineMin(b, b.getLoc(), map,
                                             {start, loop.size, loop.block});
}

/// Goes through the positions of `tiles`, blocks that start at `offsets` of the
/// table, one by one: the memory is busy with one position while the next row
/// is made. For 4096 positions of 32 and 8 heads of 128 channels, on a Zen 5
/// core, angles that were made for whole blocks took 10 % (f32) and 9 % (bf16)
/// of the time of a rotation with a table; made row by row they take nothing.
void Tiler::emitRows(MutableArrayRef<Tile> tiles,
                     ArrayRef<OpFoldResult> offsets,
                     ArrayRef<OpFoldResult> sizes) {
  int64_t rank = offsets.size();
  SmallVector<Value> zeros(rank, constant(0)), ones(rank, constant(1)), ends,
      outs;
  for (OpFoldResult size : sizes)
    ends.push_back(asValue(size));
  for (Tile &tile : tiles)
    outs.push_back(tile.apply.getInit());
  SmallVector<OpFoldResult> single(rank, b.getIndexAttr(1));
  AffineExpr d0, s0;
  bindDims(b.getContext(), d0);
  bindSymbols(b.getContext(), s0);
  scf::LoopNest nest = scf::buildLoopNest(
      b, b.getLoc(), zeros, ends, ones, outs,
      [&](OpBuilder &, Location, ValueRange variables,
          ValueRange arguments) -> scf::ValueVector {
        SmallVector<OpFoldResult> inBlock(variables.begin(), variables.end());
        SmallVector<OpFoldResult> inTable;
        for (auto [offset, variable] : llvm::zip_equal(offsets, inBlock))
          inTable.push_back(affine::makeComposedFoldedAffineApply(
              b, b.getLoc(), d0 + s0, {variable, offset}));
        std::pair<Value, Value> row;
        if (table)
          row = emitTable(inTable, single, single);
        scf::ValueVector results;
        for (auto [tile, argument] : llvm::zip_equal(tiles, arguments)) {
          Tile part = emitTile(tile.apply, tile.apply.getPositionDims(),
                               inBlock, single, argument);
          if (table) {
            part.apply.getCosMutable().set(row.first);
            part.apply.getSinMutable().set(row.second);
          }
          results.push_back(tensor::InsertSliceOp::create(
              b, part.apply->getResult(0), argument,
              part.slice.getMixedOffsets(), part.slice.getMixedSizes(),
              part.slice.getMixedStrides()));
        }
        return results;
      });
  for (auto [tile, result] : llvm::zip_equal(tiles, nest.results))
    rewriter.replaceOp(tile.apply, result);
}

void Tiler::emitBody(scf::ForallOp forall) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(forall.getTerminator());
  SmallVector<OpFoldResult> starts, sizes;
  for (auto [variable, loop] :
       llvm::zip_equal(forall.getInductionVars(), loops)) {
    starts.push_back(variable);
    sizes.push_back(clip(b, starts.back(), loop));
  }
  // What a block is of the table.
  ApplyOp first = group.front();
  SmallVector<OpFoldResult> start, size, block;
  for (int64_t dim : llvm::seq(first.getPositionDims().size())) {
    start.push_back(b.getIndexAttr(0));
    size.push_back(
        linalg::createFoldedDimOp(b, b.getLoc(), first.getCos(), dim));
  }
  block = size;
  for (auto [i, loop] : llvm::enumerate(loops))
    if (loop.tableDim >= 0) {
      start[loop.tableDim] = starts[i];
      size[loop.tableDim] = sizes[i];
      block[loop.tableDim] = loop.block;
    }
  SmallVector<Tile> tiles;
  for (ApplyOp apply : group) {
    SmallVector<int64_t> dims = llvm::map_to_vector(
        loops, [&](const BlockLoop &loop) { return loop.in(apply); });
    Value out;
    if (isOnTensors(apply))
      out = forall.getRegionIterArgs()[tiles.size()];
    tiles.push_back(emitTile(apply, dims, starts, sizes, out));
  }
  if (!isOnTensors(group.front()))
    return;

  OpBuilder inserts = OpBuilder::atBlockEnd(forall.getTerminator().getBody());
  for (auto [tile, argument] :
       llvm::zip_equal(tiles, forall.getRegionIterArgs()))
    tensor::ParallelInsertSliceOp::create(
        inserts, b.getLoc(), tile.apply->getResult(0), argument,
        tile.slice.getMixedOffsets(), tile.slice.getMixedSizes(),
        tile.slice.getMixedStrides());
  if (!table && !rowByRow)
    return;
  if (rowByRow)
    return emitRows(tiles, start, size);
  b.setInsertionPoint(tiles.front().apply);
  auto [cos, sin] = emitTable(start, size, block);
  for (Tile &tile : tiles) {
    tile.apply.getCosMutable().set(cos);
    tile.apply.getSinMutable().set(sin);
  }
}

void Tiler::report(scf::ForallOp forall) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << group.size() << (group.size() == 1 ? " rotation" : " rotations")
     << " in one parallel loop: tasks of " << options.taskBytes
     << " bytes read and written, one task where all is at most "
     << options.oneTaskBytes << " bytes; ";
  if (table)
    os << "each task makes its rows of the table";
  else if (ApplyOp(group.front()).getCos().getDefiningOp<TableOp>())
    os << "the table is made before, since something else reads it";
  else
    os << "the table is given";
  reportOther(forall, "rope-tile-apply", /*wasFused=*/true, text);
}

LogicalResult Tiler::run() {
  OpBuilder::InsertionGuard guard(rewriter);
  b.setInsertionPoint(group.back());
  findLoops();
  if (loops.empty())
    return failure();
  chooseBlocks();
  // Dimensions that every block has whole, but for one.
  for (size_t i = loops.size(); i-- > 0;)
    if (loops.size() > 1 && getConstantIntValue(loops[i].size) &&
        loops[i].size == loops[i].block)
      loops.erase(loops.begin() + i);
  SmallVector<OpFoldResult> zeros(loops.size(), b.getIndexAttr(0)), ends, steps;
  for (const BlockLoop &loop : loops) {
    ends.push_back(loop.size);
    steps.push_back(loop.block);
  }
  SmallVector<Value> outs;
  for (ApplyOp apply : group)
    if (isOnTensors(apply))
      outs.push_back(apply.getInit());
  auto forall = scf::ForallOp::create(b, zeros, ends, steps, outs,
                                      /*mapping=*/std::nullopt);
  emitBody(forall);
  report(forall);
  for (auto [i, apply] : llvm::enumerate(group)) {
    if (isOnTensors(apply))
      rewriter.replaceOp(apply, forall.getResult(i));
    else
      rewriter.eraseOp(apply);
  }
  if (table && table->use_empty())
    rewriter.eraseOp(table);
  return success();
}

/// Whether `value` is made in memory that nobody knows: then it may be written
/// over once nobody reads it any more.
static bool isFresh(Value value) {
  for (Operation *op = value.getDefiningOp(); op;) {
    if (isa<tensor::EmptyOp>(op))
      return true;
    if (!op->hasOneUse() || op->getNumRegions() > 1)
      return false;
    if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
      value = dps.getTiedOpOperand(cast<OpResult>(value))->get();
    else if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
      value = op->getOperand(0);
    else
      return false;
    op = value.getDefiningOp();
  }
  return false;
}

/// Rotates in place what nobody else reads. What made it then writes where the
/// result of the rotation goes.
static void reuseInput(RewriterBase &rewriter, ApplyOp apply) {
  Value x = apply.getX();
  if (isOnTensors(apply) && apply.getInit().getDefiningOp<tensor::EmptyOp>() &&
      x.hasOneUse() && x.getType() == apply.getInit().getType() &&
      apply.getPairing() == apply.getWrittenPairing() && isFresh(x))
    rewriter.modifyOpInPlace(apply, [&] { apply.getInitMutable().set(x); });
}

/// Whether `apply` is whole, not a tile of it in a loop that threads share or
/// that a fusion made.
static bool isWholeRotation(ApplyOp apply) {
  return !isFolded(apply) && !apply->getParentOfType<scf::ForallOp>() &&
         !apply->getParentOfType<scf::ParallelOp>() && canSlice(apply);
}

LogicalResult rope::tileApply(RewriterBase &rewriter, ArrayRef<ApplyOp> group,
                              const TileApplyOptions &options) {
  for (size_t i = 1; i < group.size(); ++i)
    if (!canJoin(group.take_front(i), group[i]))
      return rewriter.notifyMatchFailure(group[i],
                                         "cannot share the others' loop");
  if (group.empty() || !llvm::all_of(group, isWholeRotation))
    return failure();
  return Tiler(rewriter, group, options).run();
}

namespace {
struct TileApply : rope::impl::TileApplyBase<TileApply> {
  using TileApplyBase::TileApplyBase;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<SmallVector<ApplyOp>> groups;
    getOperation()->walk([&](ApplyOp apply) {
      if (!isWholeRotation(apply))
        return;
      reuseInput(rewriter, apply);
      auto group = llvm::find_if(groups, [&](ArrayRef<ApplyOp> group) {
        return canJoin(group, apply);
      });
      if (group == groups.end())
        groups.push_back({apply});
      else
        group->push_back(apply);
    });
    for (ArrayRef<ApplyOp> group : groups)
      (void)tileApply(rewriter, group, {taskBytes, oneTaskBytes});
  }
};
} // namespace

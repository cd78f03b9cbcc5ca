//===- VectorizeContraction.cpp - contractions in register tiles ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A contraction has one reduction loop and an accumulator that is contiguous in
// its last dimension. A tile of the accumulator, rows times vectors, stays in
// registers for the whole of that loop: each step reads one vector for each
// column of the tile and one scalar for each row of it, broadcast.
//
// A long chain of additions loses digits. Where sums may be reassociated, the
// reduction loop is cut into chunks, each of which sums from zero and adds its
// sum to the accumulator in memory.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::rope;

/// Additions in a row, at most, where sums may be reassociated: as many steps
/// as make the load, addition and store of the accumulator cheap.
static constexpr int64_t kMaxChunk = 128;

namespace {
/// Vectors of a tile, side by side, and how many of them it has at most: with
/// the vectors and the scalar that a step reads they fill the registers.
struct TileShape {
  int64_t vectors;
  int64_t accumulators;
  int64_t maxRows;

  static TileShape get(linalg::LinalgOp op, unsigned vectorBits,
                       unsigned registers) {
    TileShape shape =
        registers >= 32 ? TileShape{4, 24, 12} : TileShape{2, 12, 8};
    // Conditions and what is selected from take registers too, where there are
    // no others for masks.
    bool selects = vectorBits < 512 && llvm::any_of(
                                           *op.getBlock(),
                                           [](Operation &inner) {
                                             return isa<arith::SelectOp>(inner);
                                           });
    if (selects)
      shape.accumulators = registers >= 32 ? 12 : 8;
    return shape;
  }
  int64_t rows(int64_t columns) const {
    return std::min(maxRows, std::max<int64_t>(1, accumulators / columns));
  }
};

/// A tile of the accumulator.
struct Tile {
  Value row;
  int64_t rows;
  Value column;
  int64_t vectors;
  int64_t lanes;
};

/// An operand: what it is, and which loops it changes with.
struct Access {
  Value memref;
  AffineMap map;
  bool isUsed;
  bool hasLanes;
  bool hasColumns;
  bool hasRows;
  bool hasReduction;
  int64_t prefetchDistance;
};

class Contraction {
public:
  Contraction(RewriterBase &rewriter, linalg::LinalgOp op, unsigned vectorBits,
              unsigned registers)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(vectorBits),
        shape(TileShape::get(op, vectorBits, registers)) {}

  LogicalResult run();

private:
  LogicalResult analyze();
  void emitOuter(unsigned dim);
  void emitColumns();
  void emitChunks(Value column, int64_t vectors, int64_t lanes);
  void emitRows(Value column, int64_t vectors, int64_t lanes);
  void emitTile(const Tile &tile);
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value plus(Value index, int64_t offset);
  Value load(const Access &access, ValueRange position, int64_t lanes);
  SmallVector<Value> position(const Tile &tile, int64_t row, int64_t vector);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits;
  TileShape shape;

  SmallVector<Access> accesses;
  SmallVector<Value> sizes;
  SmallVector<int64_t> staticSizes;
  int64_t width = 1;
  /// The loops: along a vector, over vectors (often the same), over rows, over
  /// what is summed.
  unsigned lane = 0, column = 0, reduction = 0;
  std::optional<unsigned> row;
  /// The value of each loop so far, and the part of the reduction to emit.
  SmallVector<Value> current;
  Value chunkStart, chunkEnd;
  /// Whether parts of the reduction are summed from zero.
  bool isPartial = false;
};
} // namespace

//===----------------------------------------------------------------------===//
// What is a contraction
//===----------------------------------------------------------------------===//

LogicalResult Contraction::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumReductionLoops() != 1 ||
      op.getNumParallelLoops() + 1 != op.getNumLoops() ||
      op.getNumDpsInits() != 1)
    return failure();
  AffineMap result = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  // All loops but the reduction, each once.
  if (result.getNumResults() == 0 ||
      result.getNumResults() != op.getNumParallelLoops())
    return failure();
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    if (op.getIteratorTypesArray()[dim] == utils::IteratorType::reduction)
      reduction = dim;
  if (result.isFunctionOfDim(reduction))
    return failure();
  lane = column = result.getDimPosition(result.getNumResults() - 1);
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool hasLanes = map.isFunctionOfDim(lane);
    if (hasLanes && (map.getDimPosition(map.getNumResults() - 1) != lane ||
                     !isContiguous(operand.get())))
      return failure();
    accesses.push_back({operand.get(), map,
                        op.payloadUsesValueFromOperand(&operand), hasLanes,
                        false, false, map.isFunctionOfDim(reduction),
                        getPrefetchDistance(op, operand.getOperandNumber())});
  }
  staticSizes = op.getStaticLoopRanges();
  width = VectorBody::getLanes(op, vectorBits);

  // Rows share vectors, columns share scalars.
  ArrayRef<Access> inputs = ArrayRef(accesses).drop_back();
  auto isShared = [&](unsigned dim, bool vectors) {
    bool isIn = false, isAbsent = false;
    for (const Access &input : inputs) {
      bool has = input.map.isFunctionOfDim(dim);
      isAbsent |= input.hasLanes == vectors && input.hasReduction && !has;
      isIn |= has;
    }
    return isIn && isAbsent;
  };
  for (AffineExpr expr : llvm::reverse(result.getResults().drop_back())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (!row && isShared(dim, /*vectors=*/true))
      row = dim;
    else if (column == lane && staticSizes[lane] == width &&
             isShared(dim, /*vectors=*/false))
      column = dim;
  }
  for (Access &access : accesses) {
    access.hasColumns = access.hasLanes || access.map.isFunctionOfDim(column);
    access.hasRows = row && access.map.isFunctionOfDim(*row);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// The predicate that holds where `predicate` does not.
static arith::CmpFPredicate invert(arith::CmpFPredicate predicate) {
  switch (predicate) {
  case arith::CmpFPredicate::ORD:
    return arith::CmpFPredicate::UNO;
  case arith::CmpFPredicate::UNO:
    return arith::CmpFPredicate::ORD;
  case arith::CmpFPredicate::AlwaysFalse:
    return arith::CmpFPredicate::AlwaysTrue;
  case arith::CmpFPredicate::AlwaysTrue:
    return arith::CmpFPredicate::AlwaysFalse;
  default:
    // Ordered ones count up from 1, their opposites down from 13.
    return static_cast<arith::CmpFPredicate>(14 -
                                             static_cast<uint64_t>(predicate));
  }
}

/// Turns selections of the accumulator where a comparison holds into those of
/// its next value where it does not: these are masked instructions.
static void keepAccumulatorLast(RewriterBase &rewriter, linalg::LinalgOp op) {
  Value accumulator = op.getRegionOutputArgs().front();
  for (auto select : op.getBlock()->getOps<arith::SelectOp>()) {
    auto compare = select.getCondition().getDefiningOp<arith::CmpFOp>();
    if (select.getTrueValue() != accumulator || !compare)
      continue;
    rewriter.setInsertionPoint(select);
    Value opposite = arith::CmpFOp::create(rewriter, select.getLoc(),
                                           invert(compare.getPredicate()),
                                           compare.getLhs(), compare.getRhs());
    rewriter.modifyOpInPlace(select, [&] {
      select->setOperands({opposite, select.getFalseValue(), accumulator});
    });
  }
}

/// The addition into the accumulator that is all that is done with it, if its
/// order is free. A step may leave the accumulator, or its partial sum, as it
/// is.
static arith::AddFOp findFreeAddition(linalg::LinalgOp op) {
  Value accumulator = op.getRegionOutputArgs().front();
  Value next = op.getBlock()->getTerminator()->getOperand(0);
  unsigned numUses = 1;
  if (auto select = next.getDefiningOp<arith::SelectOp>()) {
    bool isLast = select.getFalseValue() == accumulator;
    if (!isLast && select.getTrueValue() != accumulator)
      return {};
    next = isLast ? select.getTrueValue() : select.getFalseValue();
    numUses = 2;
  }
  auto add = next.getDefiningOp<arith::AddFOp>();
  bool isFree = add && add->hasOneUse() &&
                llvm::is_contained(add->getOperands(), accumulator) &&
                accumulator.hasNUses(numUses) &&
                arith::bitEnumContainsAny(add.getFastmath(),
                                          arith::FastMathFlags::reassoc);
  return isFree ? add : arith::AddFOp();
}

LogicalResult Contraction::run() {
  if (failed(analyze()))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  keepAccumulatorLast(rewriter, op);
  if (arith::AddFOp add = findFreeAddition(op)) {
    isPartial = true;
    // The order is chosen here. What else was promised of the sums need not
    // hold for those of parts.
    rewriter.modifyOpInPlace(add, [&] {
      add.setFastmath(add.getFastmath() & arith::FastMathFlags::contract);
    });
  }
  b.setInsertionPoint(op);
  body.start();
  sizes = getLoopSizes(op, b);
  current.assign(sizes.size(), Value());
  emitOuter(0);
  rewriter.eraseOp(op);
  return success();
}

void Contraction::emitOuter(unsigned dim) {
  if (dim == op.getNumLoops())
    return emitColumns();
  if (dim == reduction || dim == lane || dim == column || dim == row)
    return emitOuter(dim + 1);
  emitLoop(b, body.getZero(), sizes[dim], 1, [&](Value index) {
    current[dim] = index;
    emitOuter(dim + 1);
  });
}

/// Blocks of as many vectors as a tile has, then what is left.
void Contraction::emitColumns() {
  // A vector is as many steps of the loop over columns.
  int64_t step = column == lane ? width : 1;
  int64_t size = staticSizes[column];
  if (!ShapedType::isDynamic(size)) {
    // Equal blocks, where there are some.
    int64_t vectors =
        std::min(shape.vectors, std::max<int64_t>(1, size / step));
    for (int64_t some = vectors; some > 1; --some)
      if (size / step % some == 0) {
        vectors = some;
        break;
      }
    int64_t block = vectors * step, start = size - size % block;
    emitLoop(b, body.getZero(), constant(start), block,
             [&](Value index) { emitChunks(index, vectors, width); });
    if (int64_t rest = (size - start) / step) {
      emitChunks(constant(start), rest, width);
      start += rest * step;
    }
    for (int64_t lanes = width / 2; lanes > 0; lanes /= 2)
      if (size - start >= lanes) {
        emitChunks(constant(start), 1, lanes);
        start += lanes;
      }
    return;
  }
  Value end = sizes[column];
  int64_t divisor = getKnownDivisor(end), vectors = shape.vectors;
  while (vectors > 2 && divisor % (vectors * step) != 0 &&
         divisor % (vectors / 2 * step) == 0)
    vectors /= 2;
  Value from = body.getZero();
  auto emitBlocks = [&](int64_t block, int64_t count, int64_t lanes) {
    Value to = divisor % block == 0 ? end : roundDown(b, end, block);
    emitLoop(b, from, to, block,
             [&](Value index) { emitChunks(index, count, lanes); });
    from = to;
  };
  emitBlocks(vectors * step, vectors, width);
  if (from != end)
    emitBlocks(step, 1, width);
  if (from != end)
    emitBlocks(1, 1, 1);
}

/// Outside of the rows: what a chunk reads for the columns, all of them share.
void Contraction::emitChunks(Value column, int64_t vectors, int64_t lanes) {
  Value size = sizes[reduction];
  int64_t known = staticSizes[reduction], step = kMaxChunk;
  bool isStatic = !ShapedType::isDynamic(known);
  if (!isPartial || (isStatic && known <= kMaxChunk)) {
    chunkStart = body.getZero();
    chunkEnd = size;
    return emitRows(column, vectors, lanes);
  }
  // Equal chunks, where their number is known.
  if (isStatic)
    step = llvm::divideCeil(known, llvm::divideCeil(known, kMaxChunk));
  emitLoop(b, body.getZero(), size, step, [&](Value index) {
    chunkStart = index;
    chunkEnd = plus(index, step);
    if (getKnownDivisor(size) % step != 0)
      chunkEnd = arith::MinSIOp::create(b, chunkEnd, size);
    emitRows(column, vectors, lanes);
  });
}

void Contraction::emitRows(Value column, int64_t vectors, int64_t lanes) {
  if (!row)
    return emitTile({Value(), 1, column, vectors, lanes});
  int64_t rows = shape.rows(vectors), size = staticSizes[*row];
  if (!ShapedType::isDynamic(size) && size > 0)
    rows = llvm::divideCeil(size, llvm::divideCeil(size, rows));
  auto emitBlocks = [&](Value from, Value to, int64_t rows) {
    emitLoop(b, from, to, rows, [&](Value index) {
      emitTile({index, rows, column, vectors, lanes});
    });
  };
  if (!ShapedType::isDynamic(size)) {
    int64_t full = size - size % rows;
    emitBlocks(body.getZero(), constant(full), rows);
    if (size != full)
      emitTile({constant(full), size - full, column, vectors, lanes});
    return;
  }
  Value end = sizes[*row];
  int64_t divisor = getKnownDivisor(end);
  // Fewer rows, where none is left then.
  for (int64_t fewer = rows; 2 * fewer > rows; --fewer)
    if (divisor % fewer == 0)
      return emitBlocks(body.getZero(), end, fewer);
  Value full = roundDown(b, end, rows);
  emitBlocks(body.getZero(), full, rows);
  // Two rows still hide the latency of sums.
  if (rows > 2 && rows % 2 == 0 && vectors > 1) {
    Value even = roundDown(b, end, 2);
    emitBlocks(full, even, 2);
    full = even;
  }
  emitBlocks(full, end, 1);
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

Value Contraction::plus(Value index, int64_t offset) {
  if (offset == 0)
    return index;
  return arith::AddIOp::create(b, index, constant(offset));
}

/// The values of all loops at one vector of a tile.
SmallVector<Value> Contraction::position(const Tile &tile, int64_t rowOffset,
                                         int64_t vector) {
  SmallVector<Value> position = current;
  if (row)
    position[*row] = plus(tile.row, rowOffset);
  position[lane] = body.getZero();
  position[column] =
      plus(tile.column, column == lane ? vector * width : vector);
  return position;
}

Value Contraction::load(const Access &access, ValueRange position,
                        int64_t lanes) {
  SmallVector<Value> indices = llvm::map_to_vector(
      access.map.getResults(), [&](AffineExpr expr) -> Value {
        return position[cast<AffineDimExpr>(expr).getPosition()];
      });
  if (access.hasLanes) {
    emitPrefetch(b, access.memref, indices, access.prefetchDistance);
    return body.load(access.memref, indices, lanes);
  }
  return body.loadScalar(access.memref, indices);
}

void Contraction::emitTile(const Tile &tile) {
  int64_t count = tile.rows * tile.vectors;
  SmallVector<SmallVector<Value>> positions;
  for (int64_t i = 0; i < count; ++i)
    positions.push_back(position(tile, i / tile.vectors, i % tile.vectors));

  // What is read for each vector of the tile: once where some share it.
  SmallVector<SmallVector<Value>> values(count,
                                         SmallVector<Value>(accesses.size()));
  auto loadInputs = [&](int64_t i, bool inReduction) {
    for (auto [j, access] : llvm::enumerate(ArrayRef(accesses).drop_back())) {
      if (!access.isUsed || access.hasReduction != inReduction)
        continue;
      int64_t first = (access.hasRows ? i - i % tile.vectors : 0) +
                      (access.hasColumns ? i % tile.vectors : 0);
      values[i][j] = first == i ? load(access, positions[i], tile.lanes)
                                : values[first][j];
    }
  };
  for (int64_t i = 0; i < count; ++i)
    loadInputs(i, /*inReduction=*/false);
  const Access &result = accesses.back();
  SmallVector<Value> accumulators;
  if (isPartial) {
    // From 0.0 on: where the accumulator and all products are -0.0, so is
    // their sum, but not this one. Who lets sums be reordered does not mind.
    Value zero = arith::ConstantOp::create(
        b, b.getZeroAttr(getElementTypeOrSelf(result.memref.getType())));
    accumulators.assign(count, body.asVector(zero, tile.lanes));
  } else {
    for (int64_t i = 0; i < count; ++i)
      accumulators.push_back(load(result, positions[i], tile.lanes));
  }

  auto loop =
      scf::ForOp::create(b, chunkStart, chunkEnd, constant(1), accumulators);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    for (SmallVector<Value> &position : positions)
      position[reduction] = loop.getInductionVar();
    SmallVector<Value> yielded;
    for (int64_t i = 0; i < count; ++i) {
      // Row by row: few scalars live at once.
      loadInputs(i, /*inReduction=*/true);
      values[i].back() = loop.getRegionIterArgs()[i];
      auto index = [&](unsigned dim) {
        return dim == lane ? body.count(positions[i][dim], tile.lanes)
                           : positions[i][dim];
      };
      Value next = body.emit(values[i], tile.lanes, index).front();
      yielded.push_back(body.asVector(next, tile.lanes));
    }
    scf::YieldOp::create(b, yielded);
  }
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> indices =
        llvm::map_to_vector(result.map.getResults(), [&](AffineExpr expr) {
          return positions[i][cast<AffineDimExpr>(expr).getPosition()];
        });
    Value sum = loop.getResult(i);
    if (isPartial)
      sum =
          arith::AddFOp::create(b, load(result, positions[i], tile.lanes), sum);
    vector::StoreOp::create(b, sum, result.memref, indices);
  }
}

LogicalResult rope::vectorizeContraction(RewriterBase &rewriter,
                                         linalg::LinalgOp op,
                                         unsigned vectorBits,
                                         unsigned registers) {
  return Contraction(rewriter, op, vectorBits, registers).run();
}

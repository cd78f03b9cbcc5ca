//===- VectorizeDot.cpp - contractions along contiguous channels ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The reduction loop is the contiguous one of all operands that it indexes: dot
// products. Each of a tile of the result, rows times columns, has a vector of
// partial sums in a register; each step reads one vector for each row and one
// for each column. At the end as many of these as a vector has lanes become the
// vector of their sums, by shuffles and additions that transpose on the way.
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

namespace {
/// A tile of the result.
struct Tile {
  Value row;
  int64_t rows;
  Value column;
  int64_t columns;
};

struct Access {
  Value memref;
  AffineMap map;
  bool isUsed, hasReduction, hasColumns, hasRows;
  int64_t prefetchDistance;
};

class DotProducts {
public:
  DotProducts(RewriterBase &rewriter, linalg::LinalgOp op, unsigned vectorBits,
              unsigned registers)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(vectorBits), accumulators(registers >= 32 ? 16 : 8),
        maxRows(registers >= 32 ? 4 : 2) {}

  LogicalResult run();

private:
  LogicalResult analyze();
  void emitOuter(unsigned dim);
  void emitColumns();
  void emitRows(Value column, int64_t columns);
  void emitTile(const Tile &tile);
  SmallVector<Value> emitStep(const Tile &tile, Value channel, Value mask,
                              ValueRange sums);
  Value load(const Access &access, ValueRange position, Value mask);
  void store(Value sum, ValueRange position);
  SmallVector<Value> position(const Tile &tile, int64_t row, int64_t column);
  Value addLanes(SmallVector<Value> vectors);
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value plus(Value index, int64_t offset) {
    return offset == 0
               ? index
               : Value(arith::AddIOp::create(b, index, constant(offset)));
  }

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits;
  /// Of a tile, at most.
  int64_t accumulators, maxRows;

  SmallVector<Access> accesses;
  SmallVector<Value> sizes;
  SmallVector<int64_t> staticSizes;
  FloatType type;
  int64_t width = 1;
  unsigned column = 0, reduction = 0;
  std::optional<unsigned> row;
  /// Rows of most tiles.
  int64_t tileRows = 1;
  SmallVector<Value> current;
};
} // namespace

//===----------------------------------------------------------------------===//
// What are dot products
//===----------------------------------------------------------------------===//

/// The additions, one after the other, that are all that is done with the
/// accumulator, if their order is free. None, where something else is.
static SmallVector<arith::AddFOp> findFreeAdditions(linalg::LinalgOp op) {
  Value accumulator = op.getRegionOutputArgs().front();
  Value next = op.getBlock()->getTerminator()->getOperand(0);
  SmallVector<arith::AddFOp> additions;
  while (next != accumulator) {
    auto add = next.getDefiningOp<arith::AddFOp>();
    if (!add || !add->hasOneUse() ||
        !arith::bitEnumContainsAny(add.getFastmath(),
                                   arith::FastMathFlags::reassoc))
      return {};
    additions.push_back(add);
    auto leadsOn = [&](Value value) {
      return value == accumulator || value.getDefiningOp<arith::AddFOp>();
    };
    if (leadsOn(add.getLhs()) == leadsOn(add.getRhs()))
      return {};
    next = leadsOn(add.getLhs()) ? add.getLhs() : add.getRhs();
  }
  return accumulator.hasOneUse() ? additions : SmallVector<arith::AddFOp>();
}

LogicalResult DotProducts::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumReductionLoops() != 1 ||
      op.getNumParallelLoops() + 1 != op.getNumLoops() ||
      op.getNumDpsInits() != 1)
    return failure();
  OpOperand *init = op.getDpsInitOperand(0);
  AffineMap result = op.getMatchingIndexingMap(init);
  type = dyn_cast<FloatType>(getElementTypeOrSelf(init->get().getType()));
  if (!type || type.getWidth() < 32 || !isContiguous(init->get()) ||
      result.getNumResults() == 0 ||
      result.getNumResults() != op.getNumParallelLoops())
    return failure();
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    if (op.getIteratorTypesArray()[dim] == utils::IteratorType::reduction)
      reduction = dim;
  width = VectorBody::getLanes(op, vectorBits);
  int64_t inLane = 128 / type.getWidth();
  if (result.isFunctionOfDim(reduction) || width < inLane)
    return failure();
  column = result.getDimPosition(result.getNumResults() - 1);
  auto isShared = [&](unsigned dim) {
    bool isIn = false, isAbsent = false;
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      if (map.isFunctionOfDim(reduction))
        (map.isFunctionOfDim(dim) ? isIn : isAbsent) = true;
    }
    return isIn && isAbsent;
  };
  for (AffineExpr expr : llvm::reverse(result.getResults().drop_back())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (!row && isShared(dim))
      row = dim;
  }
  bool isAlong = false;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool hasReduction = map.isFunctionOfDim(reduction);
    isAlong |= hasReduction;
    if (hasReduction &&
        (map.getDimPosition(map.getNumResults() - 1) != reduction ||
         !isContiguous(operand.get()) ||
         getElementTypeOrSelf(operand.get().getType()).isInteger(1)))
      return failure();
    accesses.push_back({operand.get(), map,
                        op.payloadUsesValueFromOperand(&operand), hasReduction,
                        map.isFunctionOfDim(column),
                        row && map.isFunctionOfDim(*row),
                        getPrefetchDistance(op, operand.getOperandNumber())});
  }
  // What columns are made of takes registers too, where instructions do not
  // read memory themselves or there are few.
  if (vectorBits < 512 &&
      llvm::count_if(
          accesses, [](const Access &access) { return access.hasReduction; }) >
          2)
    accumulators /= 2;
  staticSizes = op.getStaticLoopRanges();
  return success(isAlong && !findFreeAdditions(op).empty());
}

LogicalResult DotProducts::run() {
  if (failed(analyze()))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  // The order is chosen here. What else was promised of the sums need not hold
  // for those of parts.
  for (arith::AddFOp add : findFreeAdditions(op))
    rewriter.modifyOpInPlace(add, [&] {
      add.setFastmath(add.getFastmath() & arith::FastMathFlags::contract);
    });
  b.setInsertionPoint(op);
  body.start();
  sizes = getLoopSizes(op, b);
  current.assign(sizes.size(), Value());
  emitOuter(0);
  rewriter.eraseOp(op);
  return success();
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void DotProducts::emitOuter(unsigned dim) {
  if (dim == op.getNumLoops())
    return emitColumns();
  if (dim == reduction || dim == column || dim == row)
    return emitOuter(dim + 1);
  emitLoop(b, body.getZero(), sizes[dim], 1, [&](Value index) {
    current[dim] = index;
    emitOuter(dim + 1);
  });
}

/// Columns outside of rows: each is read once.
void DotProducts::emitColumns() {
  if (row) {
    int64_t size = staticSizes[*row];
    tileRows = maxRows;
    if (!ShapedType::isDynamic(size) && size > 0)
      tileRows = llvm::divideCeil(size, llvm::divideCeil(size, maxRows));
    else
      for (int64_t some = maxRows; some > 1; --some)
        if (getKnownDivisor(sizes[*row]) % some == 0) {
          tileRows = some;
          break;
        }
  }
  int64_t columns = llvm::bit_floor<uint64_t>(accumulators / tileRows);
  Value end = sizes[column], full = roundDown(b, end, columns);
  emitLoop(b, body.getZero(), full, columns,
           [&](Value index) { emitRows(index, columns); });
  if (full != end)
    emitLoop(b, full, end, 1, [&](Value index) { emitRows(index, 1); });
}

void DotProducts::emitRows(Value column, int64_t columns) {
  if (!row)
    return emitTile({Value(), 1, column, columns});
  Value end = sizes[*row];
  int64_t size = staticSizes[*row];
  if (ShapedType::isDynamic(size)) {
    Value full = roundDown(b, end, tileRows);
    emitLoop(b, body.getZero(), full, tileRows, [&](Value index) {
      emitTile({index, tileRows, column, columns});
    });
    if (full != end)
      emitLoop(b, full, end, 1,
               [&](Value index) { emitTile({index, 1, column, columns}); });
    return;
  }
  int64_t full = size - size % tileRows;
  emitLoop(b, body.getZero(), constant(full), tileRows,
           [&](Value index) { emitTile({index, tileRows, column, columns}); });
  if (size != full)
    emitTile({constant(full), size - full, column, columns});
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

SmallVector<Value> DotProducts::position(const Tile &tile, int64_t rowOffset,
                                         int64_t columnOffset) {
  SmallVector<Value> position = current;
  if (row)
    position[*row] = plus(tile.row, rowOffset);
  position[column] = plus(tile.column, columnOffset);
  position[reduction] = body.getZero();
  return position;
}

static SmallVector<Value> indicesAt(AffineMap map, ValueRange position) {
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) -> Value {
    return position[cast<AffineDimExpr>(expr).getPosition()];
  });
}

Value DotProducts::load(const Access &access, ValueRange position, Value mask) {
  SmallVector<Value> indices = indicesAt(access.map, position);
  if (!access.hasReduction)
    return body.loadScalar(access.memref, indices);
  emitPrefetch(b, access.memref, indices, access.prefetchDistance);
  if (!mask)
    return body.load(access.memref, indices, width);
  // Processors that have no bf16 take masked vectors of it apart.
  Value memref = access.memref;
  auto type = VectorType::get(width, getElementTypeOrSelf(memref.getType()));
  VectorType loaded = type;
  if (type.getElementType().isBF16() || type.getElementType().isF16()) {
    memref = body.asIntegers(memref);
    loaded = VectorType::get(width, b.getI16Type());
  }
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(loaded));
  Value vector =
      vector::MaskedLoadOp::create(b, loaded, memref, indices, mask, zero);
  return loaded == type ? vector : vector::BitCastOp::create(b, type, vector);
}

/// Adds the products at `channel`, in the lanes of `mask` if there is one.
SmallVector<Value> DotProducts::emitStep(const Tile &tile, Value channel,
                                         Value mask, ValueRange sums) {
  int64_t count = tile.rows * tile.columns;
  SmallVector<SmallVector<Value>> values(count,
                                         SmallVector<Value>(accesses.size()));
  SmallVector<Value> next;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rowOffset = i / tile.columns, columnOffset = i % tile.columns;
    SmallVector<Value> at = position(tile, rowOffset, columnOffset);
    at[reduction] = channel;
    for (auto [j, access] : llvm::enumerate(ArrayRef(accesses).drop_back())) {
      if (!access.isUsed)
        continue;
      int64_t first = (access.hasRows ? i - columnOffset : 0) +
                      (access.hasColumns ? columnOffset : 0);
      values[i][j] = first == i ? load(access, at, mask) : values[first][j];
    }
    values[i].back() = sums[i];
    auto index = [&](unsigned dim) {
      return dim == reduction ? body.count(channel, width) : at[dim];
    };
    Value sum =
        body.asVector(body.emit(values[i], width, index).front(), width);
    if (mask)
      sum = arith::SelectOp::create(b, mask, sum, sums[i]);
    next.push_back(sum);
  }
  return next;
}

void DotProducts::emitTile(const Tile &tile) {
  int64_t count = tile.rows * tile.columns;
  Value zero = body.asVector(
      arith::ConstantOp::create(b, b.getZeroAttr(Type(type))), width);
  SmallVector<Value> sums(count, zero);
  Value end = sizes[reduction], full = roundDown(b, end, width);
  auto loop =
      scf::ForOp::create(b, body.getZero(), full, constant(width), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, emitStep(tile, loop.getInductionVar(), Value(),
                                     loop.getRegionIterArgs()));
  }
  sums = llvm::to_vector_of<Value>(loop.getResults());
  if (full != end) {
    Value mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                       body.count(full, width),
                                       body.asVector(end, width));
    sums = emitStep(tile, full, mask, sums);
  }

  // As many as a vector has lanes: columns of one row, or those of some.
  for (int64_t first = 0; first < count; first += width) {
    SmallVector<Value> some(width);
    for (int64_t i = 0; i < width && first + i < count; ++i)
      some[i] = sums[first + i];
    Value sum = addLanes(some);
    int64_t lanes = std::min(tile.columns, width);
    for (int64_t i = 0; i < width && first + i < count; i += lanes) {
      Value part = sum;
      if (lanes < width)
        part = vector::ShuffleOp::create(
            b, sum, sum, llvm::to_vector(llvm::seq(i, i + lanes)));
      store(part, position(tile, (first + i) / tile.columns,
                           (first + i) % tile.columns));
    }
  }
}

/// Adds sums to the result.
void DotProducts::store(Value sum, ValueRange position) {
  const Access &result = accesses.back();
  SmallVector<Value> indices = indicesAt(result.map, position);
  auto lanes = cast<VectorType>(sum.getType()).getNumElements();
  sum = arith::AddFOp::create(b, body.load(result.memref, indices, lanes), sum);
  vector::StoreOp::create(b, sum, result.memref, indices);
}

/// The sums of the lanes of each vector, side by side. Pairs of neighbours
/// become one: first by shuffles within 128 bits, then by those of 128 bits.
Value DotProducts::addLanes(SmallVector<Value> vectors) {
  int64_t inLane = 128 / type.getWidth();
  Value zero = body.asVector(
      arith::ConstantOp::create(b, b.getZeroAttr(Type(type))), width);
  auto addPairs = [&](ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
    SmallVector<Value> pairs;
    for (size_t i = 0; i < vectors.size(); i += 2) {
      Value x = vectors[i], y = vectors[i + 1];
      if (!x && !y) {
        pairs.push_back(Value());
        continue;
      }
      x = x ? x : zero;
      y = y ? y : zero;
      pairs.push_back(
          arith::AddFOp::create(b, vector::ShuffleOp::create(b, x, y, low),
                                vector::ShuffleOp::create(b, x, y, high)));
    }
    vectors = pairs;
  };
  for (int64_t unit = 1; unit < inLane; unit *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < width; ++lane) {
      int64_t within = lane % inLane, start = lane - within;
      int64_t from = start + within / (2 * unit) * unit + within % unit;
      if (within / unit % 2)
        from += width;
      low.push_back(from);
      high.push_back(from + inLane / 2);
    }
    addPairs(low, high);
  }
  while (vectors.size() > 1) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < width; ++lane) {
      int64_t from = 2 * (lane / inLane) * inLane + lane % inLane;
      low.push_back(from);
      high.push_back(from + inLane);
    }
    addPairs(low, high);
  }
  return vectors.front();
}

LogicalResult rope::vectorizeDot(RewriterBase &rewriter, linalg::LinalgOp op,
                                 unsigned vectorBits, unsigned registers) {
  return DotProducts(rewriter, op, vectorBits, registers).run();
}

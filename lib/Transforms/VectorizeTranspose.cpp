//===- VectorizeTranspose.cpp - transposing copies in square blocks -------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operands are contiguous along one loop, the results along another. Over
// both, square blocks of one vector each way: the body is computed on rows of
// the operands, then its results are transposed in registers.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
class Transposer {
public:
  Transposer(RewriterBase &rewriter, linalg::LinalgOp op, unsigned vectorBits)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(vectorBits) {}

  LogicalResult run();

private:
  LogicalResult analyze();
  void emitOuter(unsigned dim);
  void emitBlocks();
  void emitBlock(Value sourceStart, Value targetStart);
  void emitScalars(Value sourceFrom, Value sourceTo, Value targetFrom,
                   Value targetTo);
  SmallVector<Value> emitBody(int64_t lanes);
  SmallVector<Value> indices(OpOperand &operand);
  SmallVector<Value> transpose(SmallVector<Value> rows);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits;

  SmallVector<Value> sizes;
  int64_t width = 1;
  /// The loops along which operands and results are contiguous.
  unsigned source = 0, target = 0;
  /// The value of each loop so far.
  SmallVector<Value> current;
};
} // namespace

/// The loop of the last dimension.
static std::optional<unsigned> getLastLoop(AffineMap map) {
  if (map.getNumResults() == 0)
    return std::nullopt;
  return map.getDimPosition(map.getNumResults() - 1);
}

LogicalResult Transposer::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumLoops() < 2 ||
      op.getNumParallelLoops() != op.getNumLoops())
    return failure();
  std::optional<unsigned> from, to;
  for (OpOperand &init : op.getDpsInitsMutable()) {
    AffineMap map = op.getMatchingIndexingMap(&init);
    if (map.getNumResults() != op.getNumLoops() || !isContiguous(init.get()) ||
        op.payloadUsesValueFromOperand(&init) || (to && to != getLastLoop(map)))
      return failure();
    to = getLastLoop(map);
  }
  if (!to)
    return failure();
  // Operands that change along the results' rows only are read as scalars.
  for (OpOperand *input : op.getDpsInputOperands()) {
    std::optional<unsigned> last =
        getLastLoop(op.getMatchingIndexingMap(input));
    if (!from && last && last != to && isContiguous(input->get()))
      from = last;
  }
  if (!from)
    return failure();
  source = *from;
  target = *to;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (map.isFunctionOfDim(source) &&
        (getLastLoop(map) != source || !isContiguous(input->get())))
      return failure();
  }
  width = VectorBody::getLanes(op, vectorBits);
  return success(width > 1);
}

LogicalResult Transposer::run() {
  if (failed(analyze()))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  b.setInsertionPoint(op);
  body.start();
  sizes = getLoopSizes(op, b);
  current.assign(sizes.size(), Value());
  emitOuter(0);
  rewriter.eraseOp(op);
  return success();
}

void Transposer::emitOuter(unsigned dim) {
  if (dim == op.getNumLoops())
    return emitBlocks();
  if (dim == source || dim == target)
    return emitOuter(dim + 1);
  emitLoop(b, body.getZero(), sizes[dim], 1, [&](Value index) {
    current[dim] = index;
    emitOuter(dim + 1);
  });
}

/// Full blocks, then scalars: what is left of the operands' rows, then of the
/// results' rows.
void Transposer::emitBlocks() {
  Value zero = body.getZero();
  auto full = [&](Value size) -> Value {
    if (getKnownDivisor(size) % width == 0)
      return size;
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    return getValueOrCreateConstantIndexOp(
        b, b.getLoc(),
        affine::makeComposedFoldedAffineApply(
            b, b.getLoc(), s0.floorDiv(width) * width, {size}));
  };
  Value fullSource = full(sizes[source]), fullTarget = full(sizes[target]);
  emitLoop(b, zero, fullSource, width, [&](Value sourceStart) {
    emitLoop(b, zero, fullTarget, width,
             [&](Value targetStart) { emitBlock(sourceStart, targetStart); });
  });
  if (fullSource != sizes[source])
    emitScalars(fullSource, sizes[source], zero, sizes[target]);
  if (fullTarget != sizes[target])
    emitScalars(zero, fullSource, fullTarget, sizes[target]);
}

SmallVector<Value> Transposer::indices(OpOperand &operand) {
  return llvm::map_to_vector(
      op.getMatchingIndexingMap(&operand).getResults(), [&](AffineExpr expr) {
        return current[cast<AffineDimExpr>(expr).getPosition()];
      });
}

/// The body at `current`: `lanes` elements along the operands' rows, or scalars
/// where that is zero.
SmallVector<Value> Transposer::emitBody(int64_t lanes) {
  SmallVector<Value> values;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!op.payloadUsesValueFromOperand(&operand))
      values.emplace_back();
    else if (lanes && map.isFunctionOfDim(source))
      values.push_back(body.load(operand.get(), indices(operand), lanes));
    else
      values.push_back(body.loadScalar(operand.get(), indices(operand)));
  }
  return body.emit(values, lanes, [&](unsigned dim) {
    return lanes && dim == source ? body.count(current[dim], lanes)
                                  : current[dim];
  });
}

void Transposer::emitBlock(Value sourceStart, Value targetStart) {
  auto plus = [&](Value index, int64_t offset) -> Value {
    return arith::AddIOp::create(b, index,
                                 arith::ConstantIndexOp::create(b, offset));
  };
  // The rows of each result.
  SmallVector<SmallVector<Value>> results(op.getNumDpsInits());
  current[source] = sourceStart;
  for (int64_t i = 0; i < width; ++i) {
    current[target] = plus(targetStart, i);
    for (auto [rows, value] : llvm::zip(results, emitBody(width)))
      rows.push_back(body.asVector(value, width));
  }
  current[target] = targetStart;
  for (auto [init, rows] : llvm::zip(op.getDpsInitsMutable(), results))
    for (auto [i, row] : llvm::enumerate(transpose(rows))) {
      current[source] = plus(sourceStart, i);
      vector::StoreOp::create(b, row, init.get(), indices(init));
    }
}

/// A perfect shuffle of the rows, as often as halving them takes: each step
/// interleaves row i with the row half of them further on.
SmallVector<Value> Transposer::transpose(SmallVector<Value> rows) {
  Type type = rows.front().getType();
  for (Value &row : rows)
    row = body.asBits(row);
  int64_t half = width / 2;
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < half; ++i) {
    low.append({i, i + width});
    high.append({i + half, i + half + width});
  }
  for (int64_t done = 1; done < width; done *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < half; ++i)
      for (ArrayRef<int64_t> lanes : {ArrayRef(low), ArrayRef(high)})
        next.push_back(
            vector::ShuffleOp::create(b, rows[i], rows[i + half], lanes));
    rows = std::move(next);
  }
  for (Value &row : rows)
    row = vector::BitCastOp::create(b, type, row);
  return rows;
}

void Transposer::emitScalars(Value sourceFrom, Value sourceTo, Value targetFrom,
                             Value targetTo) {
  emitLoop(b, sourceFrom, sourceTo, 1, [&](Value sourceIndex) {
    current[source] = sourceIndex;
    emitLoop(b, targetFrom, targetTo, 1, [&](Value targetIndex) {
      current[target] = targetIndex;
      for (auto [init, value] :
           llvm::zip(op.getDpsInitsMutable(), emitBody(/*lanes=*/0)))
        memref::StoreOp::create(b, value, init.get(), indices(init));
    });
  });
}

LogicalResult rope::vectorizeTranspose(RewriterBase &rewriter,
                                       linalg::LinalgOp op,
                                       unsigned vectorBits) {
  return Transposer(rewriter, op, vectorBits).run();
}

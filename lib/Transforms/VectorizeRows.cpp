//===- VectorizeRows.cpp - elementwise with reductions of rows ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The innermost loop, along which operands are contiguous, reduces some of the
// results: sums and maxima of rows, as a softmax has them. Each lane of a
// vector has a part of them, and the lanes are combined at the end of the row.
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
struct Access {
  Value memref;
  AffineMap map;
  bool isUsed, isVector, isInit;
  /// What combines a result that is reduced with what is added to it.
  Operation *combiner = nullptr;
};

class RowVectorizer {
public:
  RowVectorizer(RewriterBase &rewriter, linalg::LinalgOp op,
                unsigned vectorBits)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(vectorBits) {}

  LogicalResult run();

private:
  LogicalResult analyze();
  void emitLoops(unsigned dim);
  void emitRow();
  SmallVector<Value> emitLoop(Value from, Value to, int64_t lanes,
                              ValueRange parts);
  SmallVector<Value> emitPart(Value start, int64_t lanes, ValueRange parts);
  SmallVector<Value> indices(const Access &access, Value start);
  Value combine(Operation *combiner, Value x, Value y);
  Value combineLanes(Operation *combiner, Value vector);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits;
  int64_t width = 1;
  SmallVector<Access> accesses;
  /// Those of the results that are reduced.
  SmallVector<unsigned> reduced;
  SmallVector<Value> sizes, outer, scalars;
};
} // namespace

/// The operation of the body that combines result `argument` with what is added
/// to it, if it is a sum in any order or the greater of two.
static Operation *findCombiner(Value argument, Value result) {
  if (auto add = result.getDefiningOp<arith::AddFOp>())
    return argument.hasOneUse() &&
                   llvm::is_contained(add->getOperands(), argument) &&
                   arith::bitEnumContainsAny(add.getFastmath(),
                                             arith::FastMathFlags::reassoc)
               ? add
               : nullptr;
  auto select = result.getDefiningOp<arith::SelectOp>();
  auto compare = select ? select.getCondition().getDefiningOp<arith::CmpFOp>()
                        : arith::CmpFOp();
  bool isGreater = compare &&
                   compare.getPredicate() == arith::CmpFPredicate::OGT &&
                   argument.hasNUses(2) && compare.getRhs() == argument &&
                   select.getFalseValue() == argument &&
                   select.getTrueValue() == compare.getLhs();
  return isGreater ? select : nullptr;
}

LogicalResult RowVectorizer::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumLoops() == 0 ||
      op.getNumReductionLoops() != 1 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::reduction)
    return failure();
  unsigned last = op.getNumLoops() - 1;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    Access access = {operand.get(), map,
                     op.payloadUsesValueFromOperand(&operand),
                     map.isFunctionOfDim(last), op.isDpsInit(&operand)};
    if (access.isVector &&
        (map.getDimPosition(map.getNumResults() - 1) != last ||
         !isContiguous(access.memref)))
      return failure();
    if (access.isInit && !access.isVector) {
      access.combiner = findCombiner(op.getMatchingBlockArgument(&operand),
                                     op.getMatchingYieldValue(&operand)->get());
      if (!access.combiner ||
          !isa<FloatType>(getElementTypeOrSelf(access.memref.getType())))
        return failure();
      reduced.push_back(operand.getOperandNumber());
    }
    accesses.push_back(access);
  }
  width = VectorBody::getLanes(op, vectorBits);
  return success();
}

LogicalResult RowVectorizer::run() {
  if (failed(analyze()))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  // The order is chosen here.
  for (unsigned i : reduced)
    if (auto add = dyn_cast<arith::AddFOp>(accesses[i].combiner))
      rewriter.modifyOpInPlace(add, [&] {
        add.setFastmath(add.getFastmath() & arith::FastMathFlags::contract);
      });
  b.setInsertionPoint(op);
  body.start();
  sizes = getLoopSizes(op, b);
  emitLoops(0);
  rewriter.eraseOp(op);
  return success();
}

void RowVectorizer::emitLoops(unsigned dim) {
  if (dim + 1 == op.getNumLoops())
    return emitRow();
  auto loop = scf::ForOp::create(b, body.getZero(), sizes[dim],
                                 arith::ConstantIndexOp::create(b, 1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  outer.push_back(loop.getInductionVar());
  emitLoops(dim + 1);
  outer.pop_back();
}

SmallVector<Value> RowVectorizer::indices(const Access &access, Value start) {
  return llvm::map_to_vector(
      access.map.getResults(), [&](AffineExpr result) -> Value {
        unsigned dim = cast<AffineDimExpr>(result).getPosition();
        return dim + 1 == op.getNumLoops() ? start : outer[dim];
      });
}

/// Reads what is the same for the whole row, and the results so far.
void RowVectorizer::emitRow() {
  scalars.assign(accesses.size(), Value());
  for (auto [i, access] : llvm::enumerate(accesses))
    if (!access.isVector && (access.isUsed || access.combiner))
      scalars[i] =
          body.loadScalar(access.memref, indices(access, body.getZero()));

  // Whole vectors, then what is left one by one.
  Value end = sizes.back(), full = end;
  if (getKnownDivisor(end) % width != 0) {
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    full = getValueOrCreateConstantIndexOp(
        b, b.getLoc(),
        affine::makeComposedFoldedAffineApply(
            b, b.getLoc(), s0.floorDiv(width) * width, {end}));
  }
  SmallVector<Value> parts;
  for (unsigned i : reduced) {
    // Every lane of a maximum may begin with the result.
    Value start = scalars[i];
    if (isa<arith::AddFOp>(accesses[i].combiner))
      start = arith::ConstantOp::create(b, b.getZeroAttr(start.getType()));
    parts.push_back(body.asVector(start, width));
  }
  parts = emitLoop(body.getZero(), full, width, parts);
  for (auto [i, part] : llvm::zip(reduced, parts))
    part = combine(accesses[i].combiner,
                   combineLanes(accesses[i].combiner, part), scalars[i]);
  if (full != end)
    parts = emitLoop(full, end, 1, parts);
  for (auto [i, part] : llvm::zip(reduced, parts))
    memref::StoreOp::create(b, part, accesses[i].memref,
                            indices(accesses[i], body.getZero()));
}

SmallVector<Value> RowVectorizer::emitLoop(Value from, Value to, int64_t lanes,
                                           ValueRange parts) {
  auto loop = scf::ForOp::create(
      b, from, to, arith::ConstantIndexOp::create(b, lanes), parts);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  auto next = emitPart(loop.getInductionVar(), lanes, loop.getRegionIterArgs());
  // Without parts the loop has its terminator already.
  if (!parts.empty())
    scf::YieldOp::create(b, next);
  return llvm::to_vector_of<Value>(loop.getResults());
}

/// Computes `lanes` elements from `start` on, and returns the next `parts`.
SmallVector<Value> RowVectorizer::emitPart(Value start, int64_t lanes,
                                           ValueRange parts) {
  bool isVector = lanes > 1;
  SmallVector<Value> values = scalars;
  for (auto [i, access] : llvm::enumerate(accesses))
    if (access.isVector && access.isUsed)
      values[i] = isVector
                      ? body.load(access.memref, indices(access, start), lanes)
                      : body.loadScalar(access.memref, indices(access, start));
  for (auto [i, part] : llvm::zip(reduced, parts))
    values[i] = part;
  auto index = [&](unsigned dim) {
    if (dim + 1 < op.getNumLoops())
      return outer[dim];
    return isVector ? body.count(start, lanes) : start;
  };
  SmallVector<Value> yielded = body.emit(values, lanes, index), next;
  unsigned numInputs = op.getNumDpsInputs();
  for (auto [i, access] : llvm::enumerate(accesses)) {
    if (!access.isInit)
      continue;
    Value value = yielded[i - numInputs];
    if (isVector)
      value = body.asVector(value, lanes);
    if (access.combiner)
      next.push_back(value);
    else if (isVector)
      vector::StoreOp::create(b, value, access.memref, indices(access, start));
    else
      memref::StoreOp::create(b, value, access.memref, indices(access, start));
  }
  return next;
}

Value RowVectorizer::combine(Operation *combiner, Value x, Value y) {
  if (isa<arith::AddFOp>(combiner))
    return arith::AddFOp::create(b, x, y);
  Value isGreater = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
  return arith::SelectOp::create(b, isGreater, x, y);
}

/// The lanes of a vector as one, in halves.
Value RowVectorizer::combineLanes(Operation *combiner, Value vector) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  for (; lanes > 1; lanes /= 2) {
    auto half = [&](int64_t start) -> Value {
      return vector::ShuffleOp::create(
          b, vector, vector,
          llvm::to_vector(llvm::seq(start, start + lanes / 2)));
    };
    vector = combine(combiner, half(0), half(lanes / 2));
  }
  return vector::ExtractOp::create(b, vector, 0);
}

LogicalResult rope::vectorizeRows(RewriterBase &rewriter, linalg::LinalgOp op,
                                  unsigned vectorBits) {
  return RowVectorizer(rewriter, op, vectorBits).run();
}

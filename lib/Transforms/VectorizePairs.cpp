//===- VectorizePairs.cpp - sums of products of pairs of bf16 -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A contraction whose operands hold two steps side by side: A[m][k][2] times
// B[k][n][2], both bf16, into C[m][n] of f32. A tile of C stays in registers;
// each step reads a vector of pairs for each column of the tile and a pair for
// each row, broadcast, and vdpbf16ps adds both products.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::rope;

/// The lanes of a register of 512 bits, and a tile: 24 accumulators, 4 vectors
/// of B and a pair of A fit 32 registers.
static constexpr int64_t kLanes = 16;
static constexpr int64_t kVectors = 4;
static constexpr int64_t kRows = 6;

namespace {
class PairContraction {
public:
  PairContraction(RewriterBase &rewriter, linalg::LinalgOp op)
      : op(op), rewriter(rewriter), b(op.getLoc(), rewriter) {}

  bool match();
  void run();

private:
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value plus(Value x, int64_t y) {
    return y ? Value(arith::AddIOp::create(b, x, constant(y))) : x;
  }
  void emitRows(Value column, int64_t vectors, Value mask);
  void emitTile(Value row, int64_t rows, Value column, int64_t vectors,
                Value mask);

  linalg::LinalgOp op;
  RewriterBase &rewriter;
  ImplicitLocOpBuilder b;
  bool hasRows = false;
  Value zero, steps, numRows;
};
} // namespace

/// Whether `value` is argument `i` of the body, extended to f32.
static bool isExtended(Value value, linalg::LinalgOp op, unsigned i) {
  auto extension = value.getDefiningOp<arith::ExtFOp>();
  return extension && extension.getIn() == op.getBlock()->getArgument(i);
}

bool PairContraction::match() {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInputs() != 2 ||
      op.getNumDpsInits() != 1 || op.getNumReductionLoops() != 2)
    return false;
  unsigned loops = op.getNumLoops();
  hasRows = loops == 4;
  if (loops != 4 && loops != 3)
    return false;
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if ((kind == utils::IteratorType::reduction) != (loop + 2 >= loops))
      return false;
  auto dim = [&](unsigned i) { return b.getAffineDimExpr(i); };
  unsigned n = loops - 3, k = loops - 2, p = loops - 1;
  SmallVector<AffineExpr> a = {dim(k), dim(p)}, c = {dim(n)};
  if (hasRows) {
    a.insert(a.begin(), dim(0));
    c.insert(c.begin(), dim(0));
  }
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  auto mapOf = [&](ArrayRef<AffineExpr> results) {
    return AffineMap::get(loops, 0, results, b.getContext());
  };
  if (maps[0] != mapOf(a) || maps[1] != mapOf({dim(k), dim(n), dim(p)}) ||
      maps[2] != mapOf(c) || op.getStaticLoopRanges()[p] != 2)
    return false;
  SmallVector<Type> types = {b.getBF16Type(), b.getBF16Type(), b.getF32Type()};
  for (auto [operand, type] : llvm::zip(op->getOperands(), types))
    if (getElementTypeOrSelf(operand) != type || !isContiguous(operand))
      return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(cast<MemRefType>(op->getOperand(1).getType())
                 .getStridesAndOffset(strides, offset)) ||
      strides[1] != 2)
    return false;
  Block *block = op.getBlock();
  auto add =
      block->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  bool isFirst = add.getLhs() == block->getArgument(2);
  auto product =
      (isFirst ? add.getRhs() : add.getLhs()).getDefiningOp<arith::MulFOp>();
  return (isFirst || add.getRhs() == block->getArgument(2)) && product &&
         ((isExtended(product.getLhs(), op, 0) &&
           isExtended(product.getRhs(), op, 1)) ||
          (isExtended(product.getLhs(), op, 1) &&
           isExtended(product.getRhs(), op, 0)));
}

void PairContraction::emitRows(Value column, int64_t vectors, Value mask) {
  if (!hasRows)
    return emitTile({}, 1, column, vectors, mask);
  Value full = roundDown(b, numRows, kRows);
  emitLoop(b, zero, full, kRows,
           [&](Value row) { emitTile(row, kRows, column, vectors, mask); });
  if (std::optional<int64_t> known = getConstantIntValue(numRows)) {
    if (int64_t rest = *known % kRows)
      emitTile(full, rest, column, vectors, mask);
    return;
  }
  if (vectors < kVectors)
    return emitLoop(b, full, numRows, 1, [&](Value row) {
      emitTile(row, 1, column, vectors, mask);
    });
  // One tile for all that are left: a sum is ready ten cycles after another, so
  // one of few rows takes nearly as long as one of many.
  Value left = arith::SubIOp::create(b, numRows, full);
  SmallVector<int64_t> cases = llvm::to_vector(llvm::seq<int64_t>(1, kRows));
  auto branch =
      scf::IndexSwitchOp::create(b, TypeRange{}, left, cases, cases.size());
  OpBuilder::InsertionGuard guard(b);
  for (auto [rows, region] : llvm::zip(cases, branch.getCaseRegions())) {
    b.setInsertionPointToStart(&region.emplaceBlock());
    emitTile(full, rows, column, vectors, mask);
    scf::YieldOp::create(b);
  }
  b.setInsertionPointToStart(&branch.getDefaultRegion().emplaceBlock());
  scf::YieldOp::create(b);
}

void PairContraction::emitTile(Value row, int64_t rows, Value column,
                               int64_t vectors, Value mask) {
  Value a = op->getOperand(0), bs = op->getOperand(1), c = op->getOperand(2);
  auto floats = VectorType::get(kLanes, b.getF32Type());
  auto halves = VectorType::get(2 * kLanes, b.getBF16Type());
  Value none, noneHalves, pairMask;
  if (mask) {
    none = arith::ConstantOp::create(b, b.getZeroAttr(floats));
    noneHalves = arith::ConstantOp::create(b, b.getZeroAttr(halves));
    SmallVector<int64_t> twice;
    for (int64_t i = 0; i < kLanes; ++i)
      twice.append({i, i});
    pairMask = vector::ShuffleOp::create(b, mask, mask, twice);
  }
  auto at = [&](int64_t r, int64_t vector) {
    SmallVector<Value> indices;
    if (hasRows)
      indices.push_back(plus(row, r));
    indices.push_back(plus(column, vector * kLanes));
    return indices;
  };
  SmallVector<Value> sums;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      sums.push_back(
          mask ? Value(vector::MaskedLoadOp::create(b, floats, c, at(r, v),
                                                    mask, none))
               : Value(vector::LoadOp::create(b, floats, c, at(r, v))));
  auto loop = scf::ForOp::create(b, zero, steps, constant(1), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value step = loop.getInductionVar();
    SmallVector<Value> right, next;
    for (int64_t v = 0; v < vectors; ++v) {
      SmallVector<Value> indices = {step, plus(column, v * kLanes), zero};
      right.push_back(
          mask ? Value(vector::MaskedLoadOp::create(b, halves, bs, indices,
                                                    pairMask, noneHalves))
               : Value(vector::LoadOp::create(b, halves, bs, indices)));
    }
    for (int64_t r = 0; r < rows; ++r) {
      SmallVector<Value> indices = {step, zero};
      if (hasRows)
        indices.insert(indices.begin(), plus(row, r));
      Value both = loadPair(b, a, indices);
      for (int64_t v = 0; v < vectors; ++v)
        next.push_back(addPairs(b, loop.getRegionIterArgs()[r * vectors + v],
                                both, right[v]));
    }
    scf::YieldOp::create(b, next);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < vectors; ++v) {
      Value sum = loop.getResult(r * vectors + v);
      if (mask)
        vector::MaskedStoreOp::create(b, c, at(r, v), mask, sum);
      else
        vector::StoreOp::create(b, sum, c, at(r, v));
    }
}

void PairContraction::run() {
  OpBuilder::InsertionGuard guard(rewriter);
  b.setInsertionPoint(op);
  zero = constant(0);
  SmallVector<Value> sizes = getLoopSizes(op, b);
  steps = sizes[sizes.size() - 2];
  Value columns = sizes[sizes.size() - 3];
  numRows = hasRows ? sizes[0] : Value();
  int64_t divisor = getKnownDivisor(columns);
  Value from = zero;
  for (int64_t vectors : {kVectors, int64_t(1)}) {
    int64_t width = vectors * kLanes;
    Value to = divisor % width == 0 ? columns : roundDown(b, columns, width);
    if (getConstantIntValue(to) != 0)
      emitLoop(b, from, to, width,
               [&](Value column) { emitRows(column, vectors, {}); });
    from = to;
    if (divisor % width == 0)
      break;
  }
  if (divisor % kLanes != 0) {
    // At most one vector that is not full.
    emitLoop(b, from, columns, kLanes, [&](Value column) {
      Value left = arith::SubIOp::create(b, columns, column);
      left = arith::IndexCastOp::create(b, b.getI32Type(), left);
      auto type = VectorType::get(kLanes, b.getI32Type());
      Value lanes = arith::ConstantOp::create(
          b, DenseElementsAttr::get(
                 type, ArrayRef(llvm::to_vector(
                           llvm::seq<int32_t>(0, int32_t(kLanes))))));
      Value mask =
          arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lanes,
                                vector::BroadcastOp::create(b, type, left));
      emitRows(column, 1, mask);
    });
  }
  rewriter.eraseOp(op);
}

LogicalResult rope::vectorizePairs(RewriterBase &rewriter,
                                   linalg::LinalgOp op) {
  PairContraction product(rewriter, op);
  if (!product.match())
    return rewriter.notifyMatchFailure(op, "is no product of pairs of bf16");
  product.run();
  return success();
}

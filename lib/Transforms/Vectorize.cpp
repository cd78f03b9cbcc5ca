//===- Vectorize.cpp - elementwise linalg to loops over vectors -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rows of an elementwise operation, its innermost loop, become vectors; the
// other loops stay loops. A row of a static size is cut into full vectors and,
// for its rest, vectors of smaller powers of two, so nothing is read or written
// out of bounds. Short rows are unrolled: then what does not change with the
// inner loops, such as a table's row for all heads, is read outside them and
// stays in registers.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::rope {
#define GEN_PASS_DEF_VECTORIZE
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// Rows of up to this many vectors are unrolled.
static constexpr int64_t kMaxUnrolled = 8;

namespace {
/// How an operand is accessed.
struct Access {
  OpOperand *operand = nullptr;
  AffineMap map;
  /// What is read or written: the operand, or the contiguous view over it and
  /// its partner.
  Value memref;
  /// Changes along a row.
  bool isVector = false;
  /// Every other element of `memref`; the other ones are those of `partner`.
  std::optional<unsigned> partner;
  bool isOdd = false;
  /// The number of outer loops that it is inside of.
  int64_t depth = 0;
};

/// Part of a row: `size` elements from `start` on.
struct RowPart {
  Value start;
  int64_t size;
};

class Vectorizer {
public:
  Vectorizer(RewriterBase &rewriter, linalg::LinalgOp op, unsigned vectorBits)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(vectorBits) {}

  LogicalResult run();

private:
  LogicalResult analyze();
  void findPartners();
  Value widen(Access &even, Access &odd);
  void emitLoops(int64_t depth);
  void emitRow();
  void emitBlocks(ArrayRef<RowPart> blocks);
  SmallVector<RowPart> staticBlocks(int64_t size);
  void load(unsigned index, const RowPart &block,
            SmallVectorImpl<Value> &values);
  void store(unsigned index, const RowPart &block, ValueRange yielded);
  SmallVector<Value> indices(const Access &access, const RowPart &block);
  SmallVector<Value> emitBody(const RowPart &block, ValueRange values);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits;

  SmallVector<Access> accesses;
  SmallVector<Value> sizes;
  SmallVector<int64_t> staticSizes;
  int64_t width = 1;
  /// The induction variables of the outer loops so far.
  SmallVector<Value> outer;
  /// The blocks of an unrolled row, and what is read for each so far.
  SmallVector<RowPart> unrolled;
  SmallVector<SmallVector<Value>> loaded;
};
} // namespace

//===----------------------------------------------------------------------===//
// What can be vectorized
//===----------------------------------------------------------------------===//

LogicalResult Vectorizer::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumLoops() == 0 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::parallel)
    return failure();
  int64_t last = op.getNumLoops() - 1;
  for (OpOperand &operand : op->getOpOperands()) {
    Access access;
    access.operand = &operand;
    access.map = op.getMatchingIndexingMap(&operand);
    access.memref = operand.get();
    for (AffineExpr result : access.map.getResults()) {
      int64_t dim = cast<AffineDimExpr>(result).getPosition();
      if (dim == last)
        access.isVector = true;
      else
        access.depth = std::max(access.depth, dim + 1);
    }
    // What an iteration reads, the one before it may have written.
    if (op.isDpsInit(&operand))
      access.depth = last;
    if (access.isVector &&
        access.map.getDimPosition(access.map.getNumResults() - 1) != last)
      return failure();
    accesses.push_back(access);
  }
  findPartners();
  for (Access &access : accesses) {
    bool isInit = op.isDpsInit(access.operand);
    if (isInit && !access.isVector)
      return failure();
    if (access.isVector && !access.partner && !isContiguous(access.memref))
      return failure();
  }
  staticSizes = op.getStaticLoopRanges();
  width = VectorBody::getLanes(op, vectorBits);
  return success();
}

/// Finds operands that are the even and the odd elements of the same rows.
void Vectorizer::findPartners() {
  auto subviewOf = [](Access &access) {
    auto subview = access.memref.getDefiningOp<memref::SubViewOp>();
    bool isStrided =
        access.isVector && subview &&
        subview.getSourceType().getRank() == subview.getType().getRank() &&
        subview.getStaticStrides().back() == 2 &&
        isContiguous(subview.getSource());
    return isStrided ? subview : memref::SubViewOp();
  };
  for (unsigned i = 0; i < accesses.size(); ++i) {
    memref::SubViewOp even = subviewOf(accesses[i]);
    for (unsigned j = 0; j < accesses.size() && even; ++j) {
      memref::SubViewOp odd = subviewOf(accesses[j]);
      if (!odd || accesses[i].partner || accesses[j].partner ||
          even.getSource() != odd.getSource() ||
          accesses[i].map != accesses[j].map ||
          op.isDpsInit(accesses[i].operand) !=
              op.isDpsInit(accesses[j].operand))
        continue;
      auto evens = even.getMixedOffsets(), odds = odd.getMixedOffsets();
      std::optional<int64_t> first = getConstantIntValue(evens.back());
      std::optional<int64_t> second = getConstantIntValue(odds.back());
      auto agree = [](ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> b) {
        return isEqualConstantIntOrValueArray(a.drop_back(), b.drop_back());
      };
      if (!first || !second || *second != *first + 1 || !agree(evens, odds) ||
          even.getMixedSizes() != odd.getMixedSizes() ||
          !agree(even.getMixedStrides(), odd.getMixedStrides()))
        continue;
      accesses[i].partner = j;
      accesses[j].partner = i;
      accesses[j].isOdd = true;
    }
  }
}

/// The contiguous view over the rows of both.
Value Vectorizer::widen(Access &even, Access &odd) {
  auto subview = even.memref.getDefiningOp<memref::SubViewOp>();
  SmallVector<OpFoldResult> sizes = subview.getMixedSizes();
  SmallVector<OpFoldResult> strides = subview.getMixedStrides();
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  sizes.back() = affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 * 2,
                                                       sizes.back());
  strides.back() = b.getIndexAttr(1);
  return memref::SubViewOp::create(b, subview.getSource(),
                                   subview.getMixedOffsets(), sizes, strides);
}

//===----------------------------------------------------------------------===//
// Emission
//===----------------------------------------------------------------------===//

LogicalResult Vectorizer::run() {
  if (failed(analyze()))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  b.setInsertionPoint(op);
  body.start();
  sizes = getLoopSizes(op, b);
  for (Access &access : accesses)
    if (access.partner && !access.isOdd) {
      Access &odd = accesses[*access.partner];
      access.memref = odd.memref = widen(access, odd);
    }
  if (!ShapedType::isDynamic(staticSizes.back())) {
    SmallVector<RowPart> blocks = staticBlocks(staticSizes.back());
    if (int64_t(blocks.size()) <= kMaxUnrolled)
      unrolled = blocks;
  }
  loaded.assign(unrolled.size(), SmallVector<Value>(accesses.size()));
  emitLoops(0);
  rewriter.eraseOp(op);
  return success();
}

SmallVector<RowPart> Vectorizer::staticBlocks(int64_t size) {
  SmallVector<RowPart> blocks;
  int64_t start = 0;
  for (int64_t lanes = width; lanes > 0; lanes /= 2)
    for (; size - start >= lanes; start += lanes) {
      // More would not be unrolled.
      if (int64_t(blocks.size()) > kMaxUnrolled)
        return blocks;
      blocks.push_back({arith::ConstantIndexOp::create(b, start), lanes});
    }
  return blocks;
}

void Vectorizer::emitLoops(int64_t depth) {
  for (auto [block, values] : llvm::zip(unrolled, loaded))
    for (unsigned i = 0; i < accesses.size(); ++i)
      if (accesses[i].depth == depth && !values[i] &&
          op.payloadUsesValueFromOperand(accesses[i].operand))
        load(i, block, values);
  if (depth + 1 == op.getNumLoops())
    return emitRow();
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto loop = scf::ForOp::create(b, body.getZero(), sizes[depth], one);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  outer.push_back(loop.getInductionVar());
  emitLoops(depth + 1);
  outer.pop_back();
}

void Vectorizer::emitRow() {
  int64_t size = staticSizes.back();
  if (!unrolled.empty() || size == 0) {
    // All is read before anything is written.
    SmallVector<SmallVector<Value>> results;
    for (auto [block, values] : llvm::zip(unrolled, loaded))
      results.push_back(emitBody(block, values));
    for (auto [block, yielded] : llvm::zip(unrolled, results))
      for (unsigned i = op.getNumDpsInputs(); i < accesses.size(); ++i)
        store(i, block, yielded);
    return;
  }
  Value end = sizes.back();
  auto emitLoop = [&](Value from, Value to, int64_t lanes) {
    auto loop = scf::ForOp::create(b, from, to,
                                   arith::ConstantIndexOp::create(b, lanes));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitBlocks(RowPart{loop.getInductionVar(), lanes});
  };
  if (!ShapedType::isDynamic(size)) {
    int64_t start = size - size % width;
    emitLoop(body.getZero(), arith::ConstantIndexOp::create(b, start), width);
    for (int64_t lanes = width / 2; lanes > 0; lanes /= 2)
      if (size - start >= lanes) {
        emitBlocks(RowPart{arith::ConstantIndexOp::create(b, start), lanes});
        start += lanes;
      }
    return;
  }
  if (getKnownDivisor(end) % width == 0)
    return emitLoop(body.getZero(), end, width);
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  Value full = getValueOrCreateConstantIndexOp(
      b, b.getLoc(),
      affine::makeComposedFoldedAffineApply(b, b.getLoc(),
                                            s0.floorDiv(width) * width, {end}));
  emitLoop(body.getZero(), full, width);
  emitLoop(full, end, 1);
}

void Vectorizer::emitBlocks(ArrayRef<RowPart> blocks) {
  for (const RowPart &block : blocks) {
    SmallVector<Value> values(accesses.size());
    for (unsigned i = 0; i < accesses.size(); ++i)
      if (!values[i] && op.payloadUsesValueFromOperand(accesses[i].operand))
        load(i, block, values);
    SmallVector<Value> yielded = emitBody(block, values);
    for (unsigned i = op.getNumDpsInputs(); i < accesses.size(); ++i)
      store(i, block, yielded);
  }
}

SmallVector<Value> Vectorizer::indices(const Access &access,
                                       const RowPart &block) {
  int64_t last = op.getNumLoops() - 1;
  return llvm::map_to_vector(access.map.getResults(), [&](AffineExpr result) {
    int64_t dim = cast<AffineDimExpr>(result).getPosition();
    if (dim != last)
      return outer[dim];
    if (!access.partner)
      return block.start;
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    return getValueOrCreateConstantIndexOp(
        b, b.getLoc(),
        affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 * 2,
                                              {block.start}));
  });
}

void Vectorizer::load(unsigned index, const RowPart &block,
                      SmallVectorImpl<Value> &values) {
  Access &access = accesses[index];
  Type element = getElementTypeOrSelf(access.memref.getType());
  if (!access.isVector) {
    values[index] = body.loadScalar(access.memref, indices(access, block));
    return;
  }
  int64_t lanes = access.partner ? 2 * block.size : block.size;
  Value vector = body.load(access.memref, indices(access, block), lanes);
  if (!access.partner) {
    values[index] = vector;
    return;
  }
  auto pair = vector::DeinterleaveOp::create(b, body.asBits(vector));
  auto half = [&](bool odd) -> Value {
    return vector::BitCastOp::create(b, VectorType::get(block.size, element),
                                     pair.getResult(odd));
  };
  values[index] = half(access.isOdd);
  values[*access.partner] = half(!access.isOdd);
}

void Vectorizer::store(unsigned index, const RowPart &block,
                       ValueRange yielded) {
  Access &access = accesses[index];
  auto yieldedFor = [&](unsigned i) {
    return yielded[i - op.getNumDpsInputs()];
  };
  Value value = yieldedFor(index);
  if (access.partner) {
    // Written with the even elements.
    if (access.isOdd)
      return;
    Value bits = vector::InterleaveOp::create(
        b, body.asBits(value), body.asBits(yieldedFor(*access.partner)));
    value = vector::BitCastOp::create(
        b,
        VectorType::get(2 * block.size,
                        getElementTypeOrSelf(access.memref.getType())),
        bits);
  }
  vector::StoreOp::create(b, value, access.memref, indices(access, block));
}

SmallVector<Value> Vectorizer::emitBody(const RowPart &block,
                                        ValueRange values) {
  auto index = [&](unsigned dim) {
    return dim + 1 < op.getNumLoops() ? outer[dim]
                                      : body.count(block.start, block.size);
  };
  SmallVector<Value> yielded = body.emit(values, block.size, index);
  for (Value &value : yielded)
    value = body.asVector(value, block.size);
  return yielded;
}

LogicalResult rope::vectorizeElementwise(RewriterBase &rewriter,
                                         linalg::LinalgOp op,
                                         unsigned vectorBits) {
  return Vectorizer(rewriter, op, vectorBits).run();
}

/// Makes a copy between strided memrefs an elementwise operation: it would
/// become a call into a runtime library. Others become a call of memcpy.
static void expandCopy(memref::CopyOp op) {
  auto source = dyn_cast<MemRefType>(op.getSource().getType());
  auto target = dyn_cast<MemRefType>(op.getTarget().getType());
  if (!source || !target ||
      (source.getLayout().isIdentity() && target.getLayout().isIdentity()))
    return;
  OpBuilder b(op);
  linalg::CopyOp::create(b, op.getLoc(), op.getSource(), op.getTarget());
  op.erase();
}

namespace {
struct Vectorize : rope::impl::VectorizeBase<Vectorize> {
  using VectorizeBase::VectorizeBase;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([](memref::CopyOp op) { expandCopy(op); });
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    for (linalg::LinalgOp op : ops) {
      if (succeeded(
              vectorizeContraction(rewriter, op, vectorBits, registers)) ||
          succeeded(vectorizeElementwise(rewriter, op, vectorBits)) ||
          succeeded(vectorizeTranspose(rewriter, op, vectorBits)) || !loops ||
          !op.hasPureBufferSemantics())
        continue;
      rewriter.setInsertionPoint(op);
      if (succeeded(linalg::linalgOpToLoops(rewriter, op)))
        rewriter.eraseOp(op);
    }
  }
};
} // namespace

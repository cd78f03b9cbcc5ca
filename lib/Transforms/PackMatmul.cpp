//===- PackMatmul.cpp - products of matrices from packed blocks -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A register tile of rope-vectorize goes along what is summed and reads one
// row of a few vectors in each step. Where rows are those of a large matrix,
// each step is another page. So a block of that matrix is copied first, in
// panels as wide as the tile, and all rows of the other operand go over them.
//
//===----------------------------------------------------------------------===//

#include "FuseTiles.h"
#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

namespace mlir::rope {
#define GEN_PASS_DEF_PACKMATMUL
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static constexpr llvm::StringLiteral kName = "rope-pack-matmul";

// Blocks, of 512 x 4096 x 6144 on a Zen 5 core with 1 MiB of second cache.
/// Steps of a packed block: 64 to 1024 are equal within 3 %.
static constexpr int64_t kSteps = 256;
/// Columns of a packed block: fewer are slower for few rows (a line of memory
/// after the other is 1 KiB long), more leave the cache.
static constexpr int64_t kColumns = 256;
/// Rows of the packed operand that are copied side by side. With 8, of which
/// each gives no more than a panel's width at a time, 16 rows of bf16 take 5.1
/// ms in place of 4.0.
static constexpr int64_t kCopyRows = 2;
/// Products of up to so many rows are made in place. f32 with 1 row: 2.5 ms in
/// place, 4.9 packed.
static constexpr int64_t kFewRows = 6;
/// Steps and columns of a block in place, which is read row by row: 16 and 64
/// steps take 1.05 and 1.4 times as long as 8, 256 columns 1.1 times.
static constexpr int64_t kDirectSteps = 8;
/// Products of up to so many rows with what is stored along the steps are dot
/// products in place, of so many columns at once: 4.1 ms, 6.9 packed.
static constexpr int64_t kFewDots = 2;
static constexpr int64_t kDotColumns = 4;
static constexpr int64_t kDirectColumns = 512;
/// Most rows of the other operand that are widened for a block.
static constexpr int64_t kMaxWideRows = 512;

using OpFoldResults = SmallVector<OpFoldResult>;

namespace {
/// Part of a loop.
struct Part {
  OpFoldResult offset, size;
};

class Packer {
public:
  Packer(RewriterBase &rewriter, linalg::LinalgOp op,
         const PackMatmulOptions &options)
      : op(op), rewriter(rewriter), b(op.getLoc(), rewriter), options(options) {
  }

  std::optional<std::string> analyze();
  void run();

private:
  bool matchBody();
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value asValue(OpFoldResult x) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), x);
  }
  OpFoldResult apply(AffineExpr expr, ArrayRef<OpFoldResult> operands) {
    return affine::makeComposedFoldedAffineApply(b, b.getLoc(), expr, operands);
  }
  OpFoldResult minimum(OpFoldResult size, OpFoldResult offset, int64_t block);
  Type getElement(OpOperand *operand) {
    return getElementTypeOrSelf(operand->get());
  }
  OpFoldResult sizeOf(unsigned loop);

  void findScratch();
  Value alloc(ArrayRef<int64_t> shape, Type element);
  void emitLoop(OpFoldResult from, OpFoldResult to, int64_t step,
                llvm::function_ref<void(Value)> emit);
  void emitLoops(ArrayRef<unsigned> loops, llvm::function_ref<void()> emit);
  void emitDirect();
  void emitDots();
  void emitDot(Value column, int64_t count);
  void allocPacked();
  void emitPacked();
  void emitSteps(OpFoldResult offset, OpFoldResult size);
  void emitPanels(OpFoldResult columns,
                  llvm::function_ref<void(OpFoldResult, OpFoldResult)> emit);
  Value panelIndex(OpFoldResult column);
  Value panelOf(OpFoldResult column, OpFoldResult columns, OpFoldResult first,
                OpFoldResult steps);
  void emitPack(OpFoldResult offset, OpFoldResult size, OpFoldResult columns);
  void emitCopy(Part steps, Part column, OpFoldResult first);
  void emitTransposedPairs(Value source, Value target);
  void emitWiden(Part steps);
  void emitProduct(Part steps, Part column);
  void emitLastStep(OpFoldResult from);
  Value slice(OpOperand *operand, ArrayRef<unsigned> kept,
              OpFoldResult stepStride = {});
  Value takeDims(Value memref, ArrayRef<OpFoldResult> offsets,
                 ArrayRef<OpFoldResult> lengths, ArrayRef<OpFoldResult> strides,
                 ArrayRef<int64_t> dims);
  void emitGeneric(ValueRange inputs, Value output, ArrayRef<AffineMap> maps,
                   unsigned numReductions,
                   llvm::function_ref<void(OpBuilder &, ValueRange)> body);

  linalg::LinalgOp op;
  RewriterBase &rewriter;
  ImplicitLocOpBuilder b;
  const PackMatmulOptions &options;

  /// The operand with rows, the one with columns, and the result.
  OpOperand *left = nullptr, *right = nullptr, *result = nullptr;
  SmallVector<unsigned> batches, rows, columns;
  unsigned step = 0, lane = 0;
  std::optional<unsigned> row;
  SmallVector<int64_t> ranges;
  /// The loops' sizes, and the part of each that code is emitted for.
  SmallVector<OpFoldResult> sizes;
  SmallVector<Part> parts;

  /// Columns that are inside a block beside `lane`.
  SmallVector<unsigned> inner;
  int64_t panel = 0, panels = 0, blockColumns = 0, blockSteps = 0;
  bool isTransposed = false, isContiguousInLanes = false;
  bool isDot = false;
  bool widensLeft = false;
  int64_t wideRows = 0;
  Value packed, wide;
  SmallVector<Value> dotColumns;
  /// In front of which scratch memory is allocated, and freed behind.
  Operation *scratchUser = nullptr;
  SmallVector<Value> scratch;
};
} // namespace

//===----------------------------------------------------------------------===//
// What is packed
//===----------------------------------------------------------------------===//

/// Whether the body is a sum of products, of operands that are extended at
/// most.
bool Packer::matchBody() {
  Block *block = op.getBlock();
  auto isInput = [&](Value value, OpOperand *operand) {
    if (auto extension = value.getDefiningOp<arith::ExtFOp>())
      value = extension.getIn();
    return value == block->getArgument(operand->getOperandNumber());
  };
  auto add =
      block->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  Value sum = block->getArgument(result->getOperandNumber());
  bool isFirst = add.getLhs() == sum;
  if (!isFirst && add.getRhs() != sum)
    return false;
  auto product =
      (isFirst ? add.getRhs() : add.getLhs()).getDefiningOp<arith::MulFOp>();
  return product && ((isInput(product.getLhs(), left) &&
                      isInput(product.getRhs(), right)) ||
                     (isInput(product.getLhs(), right) &&
                      isInput(product.getRhs(), left)));
}

/// Whether `loop` runs along the last dimension of an operand.
static bool isLastLoop(AffineMap map, unsigned loop) {
  return map.getDimPosition(map.getNumResults() - 1) == loop;
}

/// The reason why the contraction is left, or nothing.
std::optional<std::string> Packer::analyze() {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInputs() != 2 ||
      op.getNumDpsInits() != 1)
    return "it is not on memrefs";
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    int64_t offset;
    SmallVector<int64_t> strides;
    if (!type || !isa<FloatType>(type.getElementType()) ||
        failed(type.getStridesAndOffset(strides, offset)) ||
        !op.getMatchingIndexingMap(&operand).isProjectedPermutation())
      return "an operand is no strided memref of floats that loops index";
  }
  result = op.getDpsInitOperand(0);
  left = op.getDpsInputOperand(0);
  right = op.getDpsInputOperand(1);
  AffineMap map = maps.back();
  if (op.getNumReductionLoops() != 1 || map.getNumResults() == 0 ||
      map.getNumResults() + 1 != op.getNumLoops())
    return "it does not sum over one dimension";
  lane = map.getDimPosition(map.getNumResults() - 1);
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      step = loop;
  if (map.isFunctionOfDim(step))
    return "it does not sum over one dimension";
  if (op.getMatchingIndexingMap(left).isFunctionOfDim(lane))
    std::swap(left, right);
  AffineMap leftMap = op.getMatchingIndexingMap(left);
  AffineMap rightMap = op.getMatchingIndexingMap(right);
  if (leftMap.isFunctionOfDim(lane) || !rightMap.isFunctionOfDim(lane) ||
      !leftMap.isFunctionOfDim(step) || !rightMap.isFunctionOfDim(step))
    return "its last dimension is not one operand's alone";
  if (!isContiguous(result->get()))
    return "its result is not contiguous";
  Type type = getElement(result);
  if (!type.isF32() && !type.isF64())
    return "its sums are rounded in each step";
  if (!matchBody())
    return "it is no sum of products";

  ranges = op.getStaticLoopRanges();
  for (AffineExpr expr : map.getResults()) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    bool isLeft = leftMap.isFunctionOfDim(loop);
    bool isRight = rightMap.isFunctionOfDim(loop);
    if (!isLeft && !isRight)
      return "it repeats its result";
    (isLeft && isRight ? batches : isLeft ? rows : columns).push_back(loop);
    // Innermost, of those that are more than one.
    if (isLeft && !isRight && (!row || ranges[loop] != 1))
      row = loop;
  }
  if (llvm::is_contained(ranges, 0))
    return "it is empty";

  unsigned lanes = options.vectorBits / type.getIntOrFloatBitWidth();
  if (lanes < 2)
    return "there are no vectors";
  if (!ShapedType::isDynamic(ranges[lane]) && ranges[lane] < int64_t(lanes))
    return "its columns do not fill a vector";
  panel = int64_t(lanes) * (options.registers >= 32 ? 4 : 2);
  bool isUnit = isContiguous(right->get());
  isContiguousInLanes = isUnit && isLastLoop(rightMap, lane);
  isTransposed = isUnit && isLastLoop(rightMap, step);
  auto sum = cast<arith::AddFOp>(
      op.getBlock()->getTerminator()->getOperand(0).getDefiningOp());
  if (isTransposed && isContiguous(left->get()) && isLastLoop(leftMap, step) &&
      arith::bitEnumContainsAny(sum.getFastmath(),
                                arith::FastMathFlags::reassoc))
    return "its sums are dot products in any order";
  bool isWideLeft = getElement(left) == type;
  isDot = options.bf16Dot && options.vectorBits == 512 && type.isF32() &&
          getElement(left).isBF16() && getElement(right).isBF16() &&
          isContiguous(left->get()) && isLastLoop(leftMap, step) &&
          ranges[step] != 1;
  // Other columns are in the same block as long as there is room.
  blockColumns = ShapedType::isDynamic(ranges[lane])
                     ? kColumns
                     : std::min(kColumns, ranges[lane]);
  panels = llvm::divideCeil(blockColumns, panel);
  for (unsigned loop : llvm::reverse(ArrayRef(columns).drop_back())) {
    if (ShapedType::isDynamic(ranges[loop]) || ranges[loop] > kColumns ||
        blockColumns != ranges[lane] ||
        panels * ranges[loop] * panel > kColumns)
      break;
    panels *= ranges[loop];
    inner.push_back(loop);
  }
  if (!isDot && !isWideLeft && row) {
    // Other rows are loops around.
    FailureOr<int64_t> bound = ranges[*row];
    if (ShapedType::isDynamic(ranges[*row])) {
      for (auto [dim, expr] : llvm::enumerate(leftMap.getResults()))
        if (cast<AffineDimExpr>(expr).getPosition() == *row)
          bound = ValueBoundsConstraintSet::computeConstantBound(
              presburger::BoundType::UB,
              {left->get(), static_cast<int64_t>(dim)},
              /*stopCondition=*/nullptr, /*closedUB=*/true);
    }
    widensLeft = succeeded(bound) && *bound <= kMaxWideRows;
    wideRows = widensLeft ? std::max<int64_t>(*bound, 0) : 0;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Loops and memory
//===----------------------------------------------------------------------===//

/// What is left of `size` from `offset` on, at most `block`.
OpFoldResult Packer::minimum(OpFoldResult size, OpFoldResult offset,
                             int64_t block) {
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  if (std::optional<int64_t> known = getConstantIntValue(size)) {
    if (*known <= block)
      return size;
    if (*known % block == 0)
      return b.getIndexAttr(block);
  }
  return affine::makeComposedFoldedAffineMin(
      b, b.getLoc(),
      AffineMap::get(0, 2, {b.getAffineConstantExpr(block), s0 - s1},
                     b.getContext()),
      {size, offset});
}

/// The size of a loop that is static in one operand is known.
OpFoldResult Packer::sizeOf(unsigned loop) {
  if (!ShapedType::isDynamic(ranges[loop]))
    return b.getIndexAttr(ranges[loop]);
  for (OpOperand *operand : {result, left, right})
    for (auto [dim, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(operand).getResults()))
      if (cast<AffineDimExpr>(expr).getPosition() == loop)
        return memref::getMixedSize(b, b.getLoc(), operand->get(), dim);
  llvm_unreachable("each loop indexes an operand");
}

void Packer::emitLoop(OpFoldResult from, OpFoldResult to, int64_t step,
                      llvm::function_ref<void(Value)> emit) {
  rope::emitLoop(b, asValue(from), asValue(to), step, emit);
}

/// All rounds of `loops`, one by one.
void Packer::emitLoops(ArrayRef<unsigned> loops,
                       llvm::function_ref<void()> emit) {
  if (loops.empty())
    return emit();
  unsigned loop = loops.front();
  Part whole = parts[loop];
  if (ranges[loop] == 1) {
    emitLoops(loops.drop_front(), emit);
  } else {
    emitLoop(b.getIndexAttr(0), sizes[loop], 1, [&](Value index) {
      parts[loop] = {index, b.getIndexAttr(1)};
      emitLoops(loops.drop_front(), emit);
    });
  }
  parts[loop] = whole;
}

/// Scratch memory is made around what holds the product in the outermost
/// parallel loop, or else in the function.
void Packer::findScratch() {
  Operation *outer = op;
  scratchUser = nullptr;
  for (Operation *parent = op->getParentOp(); parent;
       parent = parent->getParentOp()) {
    if (isa<scf::ForallOp, scf::ParallelOp>(parent))
      scratchUser = outer;
    if (parent->hasTrait<OpTrait::IsIsolatedFromAbove>())
      break;
    outer = parent;
  }
  if (!scratchUser)
    scratchUser = outer;
}

Value Packer::alloc(ArrayRef<int64_t> shape, Type element) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(scratchUser);
  Value memory = memref::AllocOp::create(b, MemRefType::get(shape, element),
                                         b.getI64IntegerAttr(64));
  scratch.push_back(memory);
  return memory;
}

/// Part of `memref`, without dimensions other than `dims`, which have a size of
/// one.
Value Packer::takeDims(Value memref, ArrayRef<OpFoldResult> offsets,
                       ArrayRef<OpFoldResult> lengths,
                       ArrayRef<OpFoldResult> strides, ArrayRef<int64_t> dims) {
  auto isOne = [](OpFoldResult x) { return getConstantIntValue(x) == 1; };
  if (dims.size() == lengths.size())
    return memref::SubViewOp::create(b, memref, offsets, lengths, strides);
  // Which ones are dropped is clear where no other has that size, and upstream
  // finds them by their strides, which must be those of `memref`.
  if (llvm::none_of(dims, [&](int64_t dim) { return isOne(lengths[dim]); }) &&
      llvm::all_of(strides, isOne)) {
    SmallVector<int64_t> shape = llvm::map_to_vector(dims, [&](int64_t dim) {
      return getConstantIntValue(lengths[dim]).value_or(ShapedType::kDynamic);
    });
    auto type = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
        shape, cast<MemRefType>(memref.getType()), offsets, lengths, strides));
    return memref::SubViewOp::create(b, type, memref, offsets, lengths,
                                     strides);
  }
  Value whole = memref::SubViewOp::create(b, memref, offsets, lengths, strides);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, whole);
  OpFoldResults allSizes = metadata.getConstifiedMixedSizes();
  OpFoldResults allStrides = metadata.getConstifiedMixedStrides();
  OpFoldResults keptSizes, keptStrides;
  for (int64_t dim : dims) {
    keptSizes.push_back(allSizes[dim]);
    keptStrides.push_back(allStrides[dim]);
  }
  return memref::ReinterpretCastOp::create(b, metadata.getBaseBuffer(),
                                           metadata.getConstifiedMixedOffset(),
                                           keptSizes, keptStrides);
}

/// The current part of an operand, of which the dimensions that `kept` loops
/// index are left; those along the steps `stepStride` apart.
Value Packer::slice(OpOperand *operand, ArrayRef<unsigned> kept,
                    OpFoldResult stepStride) {
  OpFoldResults offsets, lengths, strides;
  SmallVector<int64_t> dims;
  for (auto [dim, expr] :
       llvm::enumerate(op.getMatchingIndexingMap(operand).getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    offsets.push_back(parts[loop].offset);
    lengths.push_back(parts[loop].size);
    strides.push_back(loop == step && stepStride ? stepStride
                                                 : b.getIndexAttr(1));
    if (llvm::is_contained(kept, loop))
      dims.push_back(static_cast<int64_t>(dim));
  }
  return takeDims(operand->get(), offsets, lengths, strides, dims);
}

void Packer::emitGeneric(
    ValueRange inputs, Value output, ArrayRef<AffineMap> maps,
    unsigned numReductions,
    llvm::function_ref<void(OpBuilder &, ValueRange)> body) {
  SmallVector<utils::IteratorType> iterators(maps.back().getNumDims(),
                                             utils::IteratorType::parallel);
  for (unsigned i = 0; i < numReductions; ++i)
    iterators[iterators.size() - 1 - i] = utils::IteratorType::reduction;
  linalg::GenericOp::create(
      b, TypeRange{}, inputs, output, maps, iterators,
      [&](OpBuilder &builder, Location, ValueRange arguments) {
        body(builder, arguments);
      });
}

//===----------------------------------------------------------------------===//
// In place
//===----------------------------------------------------------------------===//

/// Blocks of a few whole rows of the right operand.
void Packer::emitDirect() {
  emitLoops(batches, [&] {
    emitLoop(b.getIndexAttr(0), sizes[lane], kDirectColumns, [&](Value column) {
      parts[lane] = {column, minimum(sizes[lane], column, kDirectColumns)};
      emitLoop(b.getIndexAttr(0), sizes[step], kDirectSteps, [&](Value start) {
        parts[step] = {start, minimum(sizes[step], start, kDirectSteps)};
        SmallVector<Value> operands;
        SmallVector<unsigned> all =
            llvm::to_vector(llvm::seq<unsigned>(0, op.getNumLoops()));
        for (OpOperand &operand : op->getOpOperands())
          operands.push_back(slice(&operand, all));
        Operation *block = clone(b, op, TypeRange{}, operands);
        // Sums of so few steps are not cut again.
        block->walk([](arith::AddFOp add) {
          add.setFastmath(add.getFastmath() & ~arith::FastMathFlags::reassoc);
        });
      });
    });
  });
}

/// Dot products of rows of both operands.
void Packer::emitDots() {
  SmallVector<unsigned> outer = batches;
  llvm::append_range(outer, rows);
  for (unsigned loop : columns)
    if (loop != lane)
      outer.push_back(loop);
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  emitLoops(outer, [&] {
    OpFoldResult full =
        apply(s0.floorDiv(kDotColumns) * kDotColumns, {sizes[lane]});
    emitLoop(b.getIndexAttr(0), full, kDotColumns,
             [&](Value column) { emitDot(column, kDotColumns); });
    emitLoop(full, sizes[lane], 1, [&](Value column) { emitDot(column, 1); });
  });
}

/// Those of `count` columns, each with its partial sums in a vector.
void Packer::emitDot(Value column, int64_t count) {
  Type element = getElement(result);
  int64_t lanes = options.vectorBits / element.getIntOrFloatBitWidth();
  auto type = VectorType::get(lanes, element);
  int64_t width = isDot ? 2 * lanes : lanes;
  auto indicesOf = [&](OpOperand *operand, Value column, Value at) {
    return llvm::map_to_vector(op.getMatchingIndexingMap(operand).getResults(),
                               [&](AffineExpr expr) -> Value {
                                 unsigned loop =
                                     cast<AffineDimExpr>(expr).getPosition();
                                 return loop == lane ? column
                                        : loop == step
                                            ? at
                                            : asValue(parts[loop].offset);
                               });
  };
  auto widen = [&](Value value, Type type) -> Value {
    return value.getType() == type ? value
                                   : arith::ExtFOp::create(b, type, value);
  };
  auto load = [&](OpOperand *operand, Value column, Value at) -> Value {
    Value loaded =
        vector::LoadOp::create(b, VectorType::get(width, getElement(operand)),
                               operand->get(), indicesOf(operand, column, at));
    return isDot ? loaded : widen(loaded, type);
  };
  auto loadOne = [&](OpOperand *operand, Value column, Value at) -> Value {
    return widen(memref::LoadOp::create(b, operand->get(),
                                        indicesOf(operand, column, at)),
                 element);
  };
  auto emitSteps = [&](OpFoldResult from, OpFoldResult to, int64_t by,
                       ArrayRef<Value> sums,
                       llvm::function_ref<Value(Value, Value, Value)> next) {
    auto loop =
        scf::ForOp::create(b, asValue(from), asValue(to), constant(by), sums);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> yielded;
    for (auto [column, sum] : llvm::zip(dotColumns, loop.getRegionIterArgs()))
      yielded.push_back(next(column, loop.getInductionVar(), sum));
    scf::YieldOp::create(b, yielded);
    return llvm::to_vector_of<Value>(loop.getResults());
  };
  dotColumns.clear();
  for (int64_t i = 0; i < count; ++i)
    dotColumns.push_back(
        i ? Value(arith::AddIOp::create(b, column, constant(i))) : column);

  AffineExpr s0 = b.getAffineSymbolExpr(0);
  OpFoldResult full = apply(s0.floorDiv(width) * width, {sizes[step]});
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
  SmallVector<Value> partial = emitSteps(
      b.getIndexAttr(0), full, width, SmallVector<Value>(count, none),
      [&](Value column, Value at, Value sum) -> Value {
        Value x = load(left, column, at), y = load(right, column, at);
        if (isDot)
          return addPairs(b, sum, x, y);
        return arith::AddFOp::create(b, sum, arith::MulFOp::create(b, x, y));
      });
  SmallVector<Value> sums;
  for (Value vector : partial)
    sums.push_back(vector::ReductionOp::create(
        b, vector::CombiningKind::ADD, vector, arith::FastMathFlags::reassoc));
  sums = emitSteps(full, sizes[step], 1, sums,
                   [&](Value column, Value at, Value sum) -> Value {
                     Value product =
                         arith::MulFOp::create(b, loadOne(left, column, at),
                                               loadOne(right, column, at));
                     return arith::AddFOp::create(b, sum, product);
                   });
  for (auto [column, sum] : llvm::zip(dotColumns, sums)) {
    SmallVector<Value> indices = indicesOf(result, column, Value());
    Value before = memref::LoadOp::create(b, result->get(), indices);
    memref::StoreOp::create(b, arith::AddFOp::create(b, before, sum),
                            result->get(), indices);
  }
}

//===----------------------------------------------------------------------===//
// Packed
//===----------------------------------------------------------------------===//

/// Whole panels of a block of `columns`, then what is left.
void Packer::emitPanels(
    OpFoldResult columns,
    llvm::function_ref<void(OpFoldResult, OpFoldResult)> emit) {
  std::optional<int64_t> known = getConstantIntValue(columns);
  int64_t divisor = known ? *known : getKnownDivisor(asValue(columns));
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  OpFoldResult full = apply(s0.floorDiv(panel) * panel, {columns});
  if (divisor % panel == 0)
    full = columns;
  if (getConstantIntValue(full) != 0)
    emitLoop(b.getIndexAttr(0), full, panel,
             [&](Value column) { emit(column, b.getIndexAttr(panel)); });
  if (divisor % panel != 0)
    emit(full, apply(s0 - s1, {columns, full}));
}

/// The number of the panel that starts at `column` of a block.
Value Packer::panelIndex(OpFoldResult column) {
  AffineExpr expr = b.getAffineSymbolExpr(0).floorDiv(panel);
  OpFoldResults operands = {column};
  int64_t factor = llvm::divideCeil(blockColumns, panel);
  for (unsigned loop : inner) {
    expr = expr + b.getAffineSymbolExpr(operands.size()) * factor;
    operands.push_back(parts[loop].offset);
    factor *= ranges[loop];
  }
  return asValue(apply(expr, operands));
}

/// Steps and columns of the panel of `column`, from there and from step `first`
/// on: pairs of steps and twice as many columns where steps come in pairs.
Value Packer::panelOf(OpFoldResult column, OpFoldResult columns,
                      OpFoldResult first, OpFoldResult steps) {
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  OpFoldResult inside = b.getIndexAttr(0);
  if (getConstantIntValue(columns) != panel)
    inside = apply(s0 % panel, {column});
  if (isDot) {
    columns = apply(s0 * 2, {columns});
    inside = apply(s0 * 2, {inside});
    first = apply(s0.floorDiv(2), {first});
    steps = apply(s0.floorDiv(2), {steps});
  }
  OpFoldResults offsets = {OpFoldResult(panelIndex(column)), first, inside};
  OpFoldResults lengths = {b.getIndexAttr(1), steps, columns};
  OpFoldResults strides(3, b.getIndexAttr(1));
  return takeDims(packed, offsets, lengths, strides, {1, 2});
}

/// [steps, columns] of pairs as [steps, columns, 2].
static Value expandPairs(ImplicitLocOpBuilder &b, Value memref) {
  OpFoldResults shape = memref::getMixedSizes(b, b.getLoc(), memref);
  shape.back() = affine::makeComposedFoldedAffineApply(
      b, b.getLoc(), b.getAffineSymbolExpr(0).floorDiv(2), {shape.back()});
  shape.push_back(b.getIndexAttr(2));
  SmallVector<int64_t> sizes =
      llvm::map_to_vector(shape, [](OpFoldResult size) {
        return getConstantIntValue(size).value_or(ShapedType::kDynamic);
      });
  SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
  return memref::ExpandShapeOp::create(b, sizes, memref, groups, shape);
}

/// Copies `steps` x `column` of the right operand to its panel, from step
/// `first` of that on.
void Packer::emitCopy(Part steps, Part column, OpFoldResult first) {
  Part wholeSteps = parts[step], wholeLanes = parts[lane];
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  OpFoldResult start = apply(s0 + s1, {wholeLanes.offset, column.offset});
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  AffineMap map = op.getMatchingIndexingMap(right);
  bool isStepFirst = false;
  for (AffineExpr expr : map.getResults()) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (loop == step || loop == lane) {
      isStepFirst = loop == step;
      break;
    }
  }
  auto mapOf = [&](ArrayRef<AffineExpr> results) {
    return AffineMap::get(2, 0, results, b.getContext());
  };
  AffineMap identity = mapOf({d0, d1});
  AffineMap read = isStepFirst ? identity : mapOf({d1, d0});
  auto copy = [&](OpBuilder &builder, ValueRange arguments) {
    Value value = arguments.front();
    Type type = arguments.back().getType();
    if (value.getType() != type)
      value = arith::ExtFOp::create(builder, b.getLoc(), type, value);
    linalg::YieldOp::create(builder, b.getLoc(), value);
  };
  parts[lane] = {start, column.size};
  Value target = panelOf(column.offset, column.size, first, steps.size);
  if (!isDot) {
    parts[step] = steps;
    emitGeneric(slice(right, {step, lane}), target, {read, identity}, 0, copy);
  } else if (isTransposed) {
    parts[step] = steps;
    emitTransposedPairs(slice(right, {step, lane}), target);
  } else {
    // Rows of even and of odd steps.
    OpFoldResult half = apply(s0.floorDiv(2), {steps.size});
    SmallVector<Value> sources, targets;
    for (int64_t odd : {0, 1}) {
      parts[step] = {apply(s0 + odd, {steps.offset}), half};
      sources.push_back(slice(right, {step, lane}, b.getIndexAttr(2)));
      OpFoldResults offsets = {b.getIndexAttr(0), b.getIndexAttr(odd)};
      OpFoldResults lengths = {half, column.size};
      OpFoldResults strides = {b.getIndexAttr(1), b.getIndexAttr(2)};
      targets.push_back(
          memref::SubViewOp::create(b, target, offsets, lengths, strides));
    }
    SmallVector<utils::IteratorType> iterators(2,
                                               utils::IteratorType::parallel);
    linalg::GenericOp::create(
        b, TypeRange{}, sources, targets,
        ArrayRef<AffineMap>{read, read, identity, identity}, iterators,
        [&](OpBuilder &builder, Location loc, ValueRange arguments) {
          linalg::YieldOp::create(builder, loc, arguments.take_front(2));
        });
  }
  parts[step] = wholeSteps;
  parts[lane] = wholeLanes;
}

/// Puts pairs of steps of `source`, [columns][steps] or [steps][columns], into
/// `target`, in square blocks of words that are transposed in registers.
void Packer::emitTransposedPairs(Value source, Value target) {
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  int64_t width = options.vectorBits / 32;
  OpFoldResult columns = memref::getMixedSize(b, b.getLoc(), source, 0);
  OpFoldResult pairs = memref::getMixedSize(b, b.getLoc(), target, 0);
  OpFoldResult fullColumns = apply(s0.floorDiv(width) * width, {columns});
  OpFoldResult fullPairs = apply(s0.floorDiv(width) * width, {pairs});
  auto halves = VectorType::get(2 * width, b.getBF16Type());
  auto words = VectorType::get(width, b.getI32Type());
  auto plus = [&](Value x, int64_t y) -> Value {
    return y ? Value(arith::AddIOp::create(b, x, constant(y))) : x;
  };
  auto twice = [&](Value x) -> Value {
    return arith::MulIOp::create(b, x, constant(2));
  };
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < width / 2; ++i) {
    low.append({i, i + width});
    high.append({i + width / 2, i + width / 2 + width});
  }
  emitLoop(b.getIndexAttr(0), fullColumns, width, [&](Value column) {
    emitLoop(b.getIndexAttr(0), fullPairs, width, [&](Value pair) {
      SmallVector<Value> rows;
      for (int64_t i = 0; i < width; ++i)
        rows.push_back(vector::BitCastOp::create(
            b, words,
            vector::LoadOp::create(b, halves, source,
                                   ValueRange{plus(column, i), twice(pair)})));
      // A perfect shuffle, as often as halving takes.
      for (int64_t done = 1; done < width; done *= 2) {
        SmallVector<Value> next;
        for (int64_t i = 0; i < width / 2; ++i)
          for (ArrayRef<int64_t> lanes : {ArrayRef(low), ArrayRef(high)})
            next.push_back(vector::ShuffleOp::create(
                b, rows[i], rows[i + width / 2], lanes));
        rows = std::move(next);
      }
      for (auto [i, words] : llvm::enumerate(rows))
        vector::StoreOp::create(b, vector::BitCastOp::create(b, halves, words),
                                target,
                                ValueRange{plus(pair, i), twice(column)});
    });
  });
  auto emitScalars = [&](OpFoldResult pairFrom, OpFoldResult columnFrom,
                         OpFoldResult columnTo) {
    emitLoop(pairFrom, pairs, 1, [&](Value pair) {
      emitLoop(columnFrom, columnTo, 1, [&](Value column) {
        for (int64_t odd : {0, 1}) {
          Value value = memref::LoadOp::create(
              b, source, ValueRange{column, plus(twice(pair), odd)});
          memref::StoreOp::create(b, value, target,
                                  ValueRange{pair, plus(twice(column), odd)});
        }
      });
    });
  };
  if (fullColumns != columns)
    emitScalars(b.getIndexAttr(0), fullColumns, columns);
  if (fullPairs != pairs)
    emitScalars(fullPairs, b.getIndexAttr(0), fullColumns);
}

/// Copies the current steps and columns of the right operand.
void Packer::emitPack(OpFoldResult offset, OpFoldResult size,
                      OpFoldResult blockSize) {
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  auto emitColumns = [&](Part steps, OpFoldResult first) {
    emitLoops(inner, [&] {
      emitPanels(blockSize, [&](OpFoldResult column, OpFoldResult width) {
        if (!isTransposed || isDot || getConstantIntValue(width) != panel)
          return emitCopy(steps, {column, width}, first);
        // Each column is a row in memory of its own: not all at once.
        int64_t lanes =
            options.vectorBits / getElement(result).getIntOrFloatBitWidth();
        emitLoop(b.getIndexAttr(0), width, lanes, [&](Value part) {
          emitCopy(steps,
                   {apply(s0 + s1, {column, OpFoldResult(part)}),
                    b.getIndexAttr(lanes)},
                   first);
        });
      });
    });
  };
  // Along rows where they lie side by side.
  if (!isContiguousInLanes)
    return emitColumns({offset, size}, b.getIndexAttr(0));
  emitLoop(b.getIndexAttr(0), size, kCopyRows, [&](Value first) {
    emitColumns({apply(s0 + s1, {offset, OpFoldResult(first)}),
                 minimum(size, first, kCopyRows)},
                first);
  });
}

/// Widens the current rows and steps of the left operand.
void Packer::emitWiden(Part steps) {
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  parts[step] = steps;
  Value source = slice(left, {*row, step});
  AffineMap map = op.getMatchingIndexingMap(left);
  bool isRowFirst = false;
  for (AffineExpr expr : map.getResults()) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (loop == step || loop == *row) {
      isRowFirst = loop == *row;
      break;
    }
  }
  OpFoldResults offsets(2, b.getIndexAttr(0)), strides(2, b.getIndexAttr(1));
  OpFoldResults lengths = {sizes[*row], steps.size};
  Value target = memref::SubViewOp::create(b, wide, offsets, lengths, strides);
  AffineMap identity = AffineMap::get(2, 0, {d0, d1}, b.getContext());
  AffineMap read =
      isRowFirst ? identity : AffineMap::get(2, 0, {d1, d0}, b.getContext());
  emitGeneric(source, target, {read, identity}, 0,
              [&](OpBuilder &builder, ValueRange arguments) {
                Value value = arith::ExtFOp::create(builder, b.getLoc(),
                                                    arguments.back().getType(),
                                                    arguments.front());
                linalg::YieldOp::create(builder, b.getLoc(), value);
              });
}

/// All rows times one panel.
void Packer::emitProduct(Part steps, Part column) {
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  Part wholeLanes = parts[lane];
  Value panelView =
      panelOf(column.offset, column.size, b.getIndexAttr(0), steps.size);
  parts[step] = steps;
  parts[lane] = {apply(s0 + s1, {wholeLanes.offset, column.offset}),
                 column.size};
  SmallVector<unsigned> leftLoops = {step}, resultLoops = {lane};
  if (row) {
    leftLoops.push_back(*row);
    resultLoops.push_back(*row);
  }
  Value leftView;
  bool isRowFirst = true;
  if (widensLeft) {
    OpFoldResults offsets(2, b.getIndexAttr(0)), strides(2, b.getIndexAttr(1));
    OpFoldResults lengths = {sizes[*row], steps.size};
    leftView = memref::SubViewOp::create(b, wide, offsets, lengths, strides);
  } else {
    leftView = slice(left, leftLoops);
    AffineMap map = op.getMatchingIndexingMap(left);
    isRowFirst = row && map.getDimPosition(map.getNumResults() - 1) == step;
    for (AffineExpr expr : map.getResults()) {
      unsigned loop = cast<AffineDimExpr>(expr).getPosition();
      if (row && (loop == step || loop == *row)) {
        isRowFirst = loop == *row;
        break;
      }
    }
  }
  Value resultView = slice(result, resultLoops);

  // (row, lane, step[, pair])
  unsigned loops = (row ? 3 : 2) + isDot, at = row ? 1 : 0;
  auto dim = [&](unsigned i) { return b.getAffineDimExpr(i); };
  SmallVector<AffineExpr> ofLeft, ofRight, ofResult;
  if (row && isRowFirst)
    ofLeft.push_back(dim(0));
  ofLeft.push_back(dim(at + 1));
  if (row && !isRowFirst)
    ofLeft.push_back(dim(0));
  ofRight = {dim(at + 1), dim(at)};
  if (row)
    ofResult.push_back(dim(0));
  ofResult.push_back(dim(at));
  if (isDot) {
    ofLeft.push_back(dim(at + 2));
    ofRight.push_back(dim(at + 2));
    panelView = expandPairs(b, panelView);
    leftView = row ? expandPairs(b, leftView) : Value();
  }
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> results : {ofLeft, ofRight, ofResult})
    maps.push_back(AffineMap::get(loops, 0, results, b.getContext()));
  Block *block = op.getBlock();
  emitGeneric({leftView, panelView}, resultView, maps, isDot ? 2 : 1,
              [&](OpBuilder &builder, ValueRange arguments) {
                IRMapping mapping;
                OpOperand *operands[] = {left, right, result};
                for (auto [operand, argument] : llvm::zip(operands, arguments))
                  mapping.map(block->getArgument(operand->getOperandNumber()),
                              argument);
                for (Operation &inner : *block) {
                  // What is packed is extended already.
                  if (isa<arith::ExtFOp>(inner) &&
                      mapping.lookup(inner.getOperand(0)).getType() ==
                          inner.getResult(0).getType()) {
                    mapping.map(inner.getResult(0),
                                mapping.lookup(inner.getOperand(0)));
                    continue;
                  }
                  // Parts of a long sum, each from zero, lose fewer digits; the
                  // order of a named operation's sums is free.
                  Operation *copy = builder.clone(inner, mapping);
                  auto add = dyn_cast<arith::AddFOp>(copy);
                  if (add && !isDot && !isa<linalg::GenericOp>(op))
                    add.setFastmath(add.getFastmath() |
                                    arith::FastMathFlags::reassoc);
                }
              });
  parts[lane] = wholeLanes;
}

/// One block of steps: `size` of them from `offset` on.
void Packer::emitSteps(OpFoldResult offset, OpFoldResult size) {
  OpFoldResult blockSize = parts[lane].size;
  emitPack(offset, size, blockSize);
  SmallVector<unsigned> others;
  for (unsigned loop : rows)
    if (loop != row)
      others.push_back(loop);
  emitLoops(others, [&] {
    if (widensLeft)
      emitWiden({offset, size});
    emitLoops(inner, [&] {
      emitPanels(blockSize, [&](OpFoldResult column, OpFoldResult width) {
        emitProduct({offset, size}, {column, width});
      });
    });
  });
}

/// Where pairs leave a step, that is added as it is.
void Packer::emitLastStep(OpFoldResult from) {
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  parts[step] = {from, apply(s0 - s1, {sizes[step], from})};
  SmallVector<Value> operands;
  SmallVector<unsigned> all =
      llvm::to_vector(llvm::seq<unsigned>(0, op.getNumLoops()));
  for (OpOperand &operand : op->getOpOperands())
    operands.push_back(slice(&operand, all));
  clone(b, op, TypeRange{}, operands);
}

/// Makes the memory for what is packed.
void Packer::allocPacked() {
  blockSteps = isDot ? 2 * kSteps : kSteps;
  if (!ShapedType::isDynamic(ranges[step]) && ranges[step] < blockSteps)
    blockSteps = static_cast<int64_t>(llvm::alignTo(ranges[step], 2));
  Type element = isDot ? b.getBF16Type() : getElement(result);
  packed = isDot ? alloc({panels, blockSteps / 2, panel * 2}, element)
                 : alloc({panels, blockSteps, panel}, element);
  if (widensLeft)
    wide = alloc({wideRows, blockSteps}, element);
}

void Packer::emitPacked() {
  int64_t steps = blockSteps;
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  SmallVector<unsigned> outer = batches;
  for (unsigned loop : columns)
    if (loop != lane && !llvm::is_contained(inner, loop))
      outer.push_back(loop);
  emitLoops(outer, [&] {
    emitLoop(b.getIndexAttr(0), sizes[lane], kColumns, [&](Value column) {
      parts[lane] = {column, minimum(sizes[lane], column, kColumns)};
      Part lanes = parts[lane];
      OpFoldResult all = sizes[step];
      if (isDot)
        all = apply(s0.floorDiv(2) * 2, {all});
      // Whole blocks, then what is left.
      OpFoldResult full = apply(s0.floorDiv(steps) * steps, {all});
      if (getConstantIntValue(full) != 0)
        emitLoop(b.getIndexAttr(0), full, steps,
                 [&](Value start) { emitSteps(start, b.getIndexAttr(steps)); });
      AffineExpr s1 = b.getAffineSymbolExpr(1);
      OpFoldResult rest = apply(s0 - s1, {all, full});
      if (getConstantIntValue(rest) != 0)
        emitSteps(full, rest);
      parts[lane] = lanes;
      if (isDot && (ShapedType::isDynamic(ranges[step]) || ranges[step] % 2))
        emitLastStep(all);
    });
  });
}

void Packer::run() {
  OpBuilder::InsertionGuard guard(rewriter);
  b.setInsertionPoint(op);
  findScratch();
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
    sizes.push_back(sizeOf(loop));
    parts.push_back({b.getIndexAttr(0), sizes.back()});
  }
  // Few rows are multiplied in place: up to how many, and how many there are.
  bool isDots = isTransposed && isContiguous(left->get()) &&
                isLastLoop(op.getMatchingIndexingMap(left), step);
  int64_t few = isContiguousInLanes ? kFewRows : isDots ? kFewDots : -1;
  auto emitFew = [&] { isDots ? emitDots() : emitDirect(); };
  std::optional<int64_t> known = 1;
  for (unsigned loop : rows)
    if (known)
      known = ShapedType::isDynamic(ranges[loop])
                  ? std::nullopt
                  : std::optional(std::min<int64_t>(
                        *known * std::min<int64_t>(ranges[loop], 1 << 10),
                        1 << 10));
  if (!known || *known > few)
    allocPacked();
  if (few < 0 || (known && *known > few)) {
    emitPacked();
  } else if (known) {
    emitFew();
  } else {
    Value count = constant(1);
    for (unsigned loop : rows)
      count = b.createOrFold<arith::MulIOp>(count, asValue(sizes[loop]));
    Value isFew = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, count,
                                        constant(few));
    auto branch = scf::IfOp::create(b, isFew, /*withElseRegion=*/true);
    SmallVector<Part> whole = parts;
    b.setInsertionPointToStart(branch.thenBlock());
    emitFew();
    parts = whole;
    b.setInsertionPointToStart(branch.elseBlock());
    emitPacked();
  }
  b.setInsertionPointAfter(scratchUser);
  for (Value memory : scratch)
    memref::DeallocOp::create(b, memory);
  rewriter.eraseOp(op);
}

LogicalResult rope::packMatmul(RewriterBase &rewriter, linalg::LinalgOp op,
                               const PackMatmulOptions &options) {
  Packer packer(rewriter, op, options);
  if (std::optional<std::string> reason = packer.analyze()) {
    reportOther(op, kName, /*wasFused=*/false,
                "product left in place: " + *reason);
    return failure();
  }
  packer.run();
  return success();
}

namespace {
struct PackMatmul : rope::impl::PackMatmulBase<PackMatmul> {
  using PackMatmulBase::PackMatmulBase;

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (linalg::isaContractionOpInterface(op))
        ops.push_back(op);
    });
    PackMatmulOptions options;
    options.vectorBits = vectorBits;
    options.registers = registers;
    options.bf16Dot = bf16Dot;
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops)
      (void)packMatmul(rewriter, op, options);
  }
};
} // namespace

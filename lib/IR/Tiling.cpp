//===- Tiling.cpp - tiling and fusion of table and apply ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The iteration domain of rope.apply is every dimension of x but the head
// dimension, that of rope.table every position dimension: a tile holds whole
// pairs. Asking for a part of the last dimension fails.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Tiles.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// Slices of tensors and memrefs
//===----------------------------------------------------------------------===//

OpFoldResult rope::sizeOf(OpBuilder &b, Location loc, Value value,
                          int64_t dim) {
  if (isa<TensorType>(value.getType()))
    return tensor::getMixedSize(b, loc, value, dim);
  return memref::getMixedSize(b, loc, value, dim);
}

Operation *rope::slice(OpBuilder &b, Location loc, Value value,
                       const Tile &tile) {
  OpFoldResults strides(tile.offsets.size(), b.getIndexAttr(1));
  if (isa<TensorType>(value.getType()))
    return tensor::ExtractSliceOp::create(b, loc, value, tile.offsets,
                                          tile.sizes, strides);
  return memref::SubViewOp::create(b, loc, value, tile.offsets, tile.sizes,
                                   strides);
}

static void appendWhole(OpBuilder &b, Location loc, Value value, int64_t dim,
                        Tile &tile) {
  tile.offsets.push_back(b.getIndexAttr(0));
  tile.sizes.push_back(sizeOf(b, loc, value, dim));
}

bool rope::isWhole(Value value, int64_t dim, OpFoldResult offset,
                   OpFoldResult size) {
  if (!isConstantIntValue(offset, 0))
    return false;
  int64_t known = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    if (!ShapedType::isDynamic(known))
      return *constant == known;
  FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
      {size}, ValueBoundsConstraintSet::Variable(value, dim));
  return succeeded(equal) && *equal;
}

//===----------------------------------------------------------------------===//
// Which part of an operand a tile of the iteration domain touches, and back
//===----------------------------------------------------------------------===//

static constexpr unsigned kApplyCos = 1, kApplySin = 2;
static constexpr unsigned kPositions = 0, kFrequencies = 1;

static Tile operandTile(OpBuilder &b, ApplyOp op, unsigned operand,
                        ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes) {
  Tile tile;
  Value value = op->getOperand(operand);
  int64_t rank = cast<ShapedType>(value.getType()).getRank();
  if (operand == kApplyCos || operand == kApplySin) {
    for (int64_t dim : op.getPositionDims()) {
      tile.offsets.push_back(offsets[dim]);
      tile.sizes.push_back(sizes[dim]);
    }
  } else {
    tile = {OpFoldResults(offsets), OpFoldResults(sizes)};
  }
  appendWhole(b, op.getLoc(), value, rank - 1, tile);
  return tile;
}

static Tile operandTile(OpBuilder &b, TableOp op, unsigned operand,
                        ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes) {
  Tile tile;
  Value value = op->getOperand(operand);
  if (operand == kFrequencies || (operand == kPositions && op.getAxes()))
    appendWhole(b, op.getLoc(), value, 0, tile);
  if (operand == kFrequencies)
    return tile;
  llvm::append_range(tile.offsets, offsets);
  llvm::append_range(tile.sizes, sizes);
  if (operand != kPositions)
    appendWhole(b, op.getLoc(), value, offsets.size(), tile);
  return tile;
}

/// The domain tile that touches exactly the given tile of one operand.
static FailureOr<Tile> domainTile(OpBuilder &b, ApplyOp op, unsigned operand,
                                  ArrayRef<OpFoldResult> offsets,
                                  ArrayRef<OpFoldResult> sizes) {
  Value value = op->getOperand(operand);
  int64_t last = offsets.size() - 1;
  if (!isWhole(value, last, offsets[last], sizes[last]))
    return failure();
  if (operand != kApplyCos && operand != kApplySin)
    return Tile{OpFoldResults(offsets.drop_back()),
                OpFoldResults(sizes.drop_back())};
  Tile tile;
  int64_t rank = cast<ShapedType>(op.getX().getType()).getRank();
  for (int64_t dim : llvm::seq(rank - 1))
    appendWhole(b, op.getLoc(), op.getX(), dim, tile);
  for (auto [i, dim] : llvm::enumerate(op.getPositionDims())) {
    tile.offsets[dim] = offsets[i];
    tile.sizes[dim] = sizes[i];
  }
  return tile;
}

static FailureOr<Tile> domainTile(OpBuilder &b, TableOp op, unsigned operand,
                                  ArrayRef<OpFoldResult> offsets,
                                  ArrayRef<OpFoldResult> sizes) {
  Value value = op->getOperand(operand);
  if (operand == kFrequencies)
    return failure();
  if (operand == kPositions) {
    if (!op.getAxes())
      return Tile{OpFoldResults(offsets), OpFoldResults(sizes)};
    if (!isWhole(value, 0, offsets[0], sizes[0]))
      return failure();
    return Tile{OpFoldResults(offsets.drop_front()),
                OpFoldResults(sizes.drop_front())};
  }
  int64_t last = offsets.size() - 1;
  if (!isWhole(value, last, offsets[last], sizes[last]))
    return failure();
  return Tile{OpFoldResults(offsets.drop_back()),
              OpFoldResults(sizes.drop_back())};
}

//===----------------------------------------------------------------------===//
// The interface, once for both operations
//===----------------------------------------------------------------------===//

template <typename OpTy>
static Value domainValue(OpTy op) {
  return op.getDpsInits().front();
}

template <typename OpTy>
static SmallVector<Range> iterationDomain(OpBuilder &b, OpTy op) {
  Value value = domainValue(op);
  int64_t rank = cast<ShapedType>(value.getType()).getRank();
  return llvm::map_to_vector(llvm::seq(rank - 1), [&](int64_t dim) {
    return Range{b.getIndexAttr(0), sizeOf(b, op.getLoc(), value, dim),
                 b.getIndexAttr(1)};
  });
}

template <typename OpTy>
static FailureOr<TilingResult> tile(OpBuilder &b, OpTy op,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes) {
  // A slice of nothing would start out of bounds.
  for (Value operand : op->getOperands())
    if (llvm::is_contained(cast<ShapedType>(operand.getType()).getShape(), 0))
      return failure();
  SmallVector<Operation *> slices;
  SmallVector<Value> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    slices.push_back(
        slice(b, op.getLoc(), operand.get(),
              operandTile(b, op, operand.getOperandNumber(), offsets, sizes)));
    operands.push_back(slices.back()->getResult(0));
  }
  SmallVector<Type> types;
  for (OpOperand &init : op.getDpsInitsMutable())
    if (isa<TensorType>(init.get().getType()))
      types.push_back(operands[init.getOperandNumber()].getType());
  Operation *tiled = mlir::clone(b, op, types, operands);
  return TilingResult{
      {tiled}, SmallVector<Value>(tiled->getResults()), std::move(slices)};
}

template <typename OpTy>
static LogicalResult resultTile(OpBuilder &b, OpTy op, unsigned result,
                                ArrayRef<OpFoldResult> offsets,
                                ArrayRef<OpFoldResult> sizes,
                                SmallVector<OpFoldResult> &resultOffsets,
                                SmallVector<OpFoldResult> &resultSizes) {
  unsigned operand = op.getDpsInitOperand(result)->getOperandNumber();
  Tile tile = operandTile(b, op, operand, offsets, sizes);
  resultOffsets = tile.offsets;
  resultSizes = tile.sizes;
  return success();
}

template <typename OpTy>
static FailureOr<Tile> domainFromOperands(OpBuilder &b, OpTy op,
                                          ArrayRef<unsigned> operands,
                                          ArrayRef<OpFoldResults> allOffsets,
                                          ArrayRef<OpFoldResults> allSizes) {
  std::optional<Tile> common;
  for (auto [operand, offsets, sizes] :
       llvm::zip_equal(operands, allOffsets, allSizes)) {
    FailureOr<Tile> tile = domainTile(b, op, operand, offsets, sizes);
    if (failed(tile))
      return failure();
    if (common &&
        (!isEqualConstantIntOrValueArray(common->offsets, tile->offsets) ||
         !isEqualConstantIntOrValueArray(common->sizes, tile->sizes)))
      return failure();
    common = *tile;
  }
  if (!common)
    return failure();
  return *common;
}

template <typename OpTy>
static FailureOr<TilingResult>
resultTileValue(OpBuilder &b, OpTy op, unsigned result,
                ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
  unsigned operand = op.getDpsInitOperand(result)->getOperandNumber();
  FailureOr<Tile> domain = domainTile(b, op, operand, offsets, sizes);
  if (failed(domain))
    return failure();
  FailureOr<TilingResult> tiled = tile(b, op, domain->offsets, domain->sizes);
  if (failed(tiled))
    return failure();
  return TilingResult{
      tiled->tiledOps, {tiled->tiledValues[result]}, tiled->generatedSlices};
}

/// Whether a tile of an operand takes whole what no tile may split: known
/// without building anything.
static bool isTileable(ApplyOp op, unsigned operand,
                       ArrayRef<OpFoldResult> offsets,
                       ArrayRef<OpFoldResult> sizes) {
  int64_t last = offsets.size() - 1;
  return isWhole(op->getOperand(operand), last, offsets[last], sizes[last]);
}

static bool isTileable(TableOp op, unsigned operand,
                       ArrayRef<OpFoldResult> offsets,
                       ArrayRef<OpFoldResult> sizes) {
  if (operand == kFrequencies)
    return false;
  if (operand == kPositions && !op.getAxes())
    return true;
  int64_t dim = operand == kPositions ? 0 : offsets.size() - 1;
  return isWhole(op->getOperand(operand), dim, offsets[dim], sizes[dim]);
}

#define ROPE_TILING_INTERFACE(OpTy)                                            \
  SmallVector<utils::IteratorType> OpTy::getLoopIteratorTypes() {              \
    int64_t rank = cast<ShapedType>(domainValue(*this).getType()).getRank();   \
    return SmallVector<utils::IteratorType>(rank - 1,                          \
                                            utils::IteratorType::parallel);    \
  }                                                                            \
  SmallVector<Range> OpTy::getIterationDomain(OpBuilder &b) {                  \
    return iterationDomain(b, *this);                                          \
  }                                                                            \
  FailureOr<TilingResult> OpTy::getTiledImplementation(                        \
      OpBuilder &b, ArrayRef<OpFoldResult> offsets,                            \
      ArrayRef<OpFoldResult> sizes) {                                          \
    return tile(b, *this, offsets, sizes);                                     \
  }                                                                            \
  LogicalResult OpTy::getResultTilePosition(                                   \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,  \
      SmallVector<OpFoldResult> &resultSizes) {                                \
    return resultTile(b, *this, result, offsets, sizes, resultOffsets,         \
                      resultSizes);                                            \
  }                                                                            \
  FailureOr<TilingResult> OpTy::generateResultTileValue(                       \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes) {                                          \
    return resultTileValue(b, *this, result, offsets, sizes);                  \
  }                                                                            \
  LogicalResult OpTy::getIterationDomainTileFromResultTile(                    \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,           \
      ArrayRef<OpFoldResult> sizes, SmallVectorImpl<OpFoldResult> &domOffsets, \
      SmallVectorImpl<OpFoldResult> &domSizes) {                               \
    unsigned operand = getDpsInitOperand(result)->getOperandNumber();          \
    FailureOr<Tile> domain = domainTile(b, *this, operand, offsets, sizes);    \
    if (failed(domain))                                                        \
      return failure();                                                        \
    domOffsets.assign(domain->offsets);                                        \
    domSizes.assign(domain->sizes);                                            \
    return success();                                                          \
  }                                                                            \
  LogicalResult OpTy::getIterationDomainTileFromOperandTiles(                  \
      OpBuilder &b, ArrayRef<unsigned> operands,                               \
      ArrayRef<OpFoldResults> offsets, ArrayRef<OpFoldResults> sizes,          \
      SmallVectorImpl<OpFoldResult> &domOffsets,                               \
      SmallVectorImpl<OpFoldResult> &domSizes) {                               \
    FailureOr<Tile> domain =                                                   \
        domainFromOperands(b, *this, operands, offsets, sizes);                \
    if (failed(domain))                                                        \
      return failure();                                                        \
    domOffsets.assign(domain->offsets);                                        \
    domSizes.assign(domain->sizes);                                            \
    return success();                                                          \
  }                                                                            \
  FailureOr<TilingResult> OpTy::getTiledImplementationFromOperandTiles(        \
      OpBuilder &b, ArrayRef<unsigned> operands,                               \
      ArrayRef<OpFoldResults> offsets, ArrayRef<OpFoldResults> sizes) {        \
    FailureOr<Tile> domain =                                                   \
        domainFromOperands(b, *this, operands, offsets, sizes);                \
    if (failed(domain))                                                        \
      return failure();                                                        \
    return tile(b, *this, domain->offsets, domain->sizes);                     \
  }                                                                            \
  bool OpTy::isOpFusableWithConsumerSlice(unsigned result,                     \
                                          ArrayRef<OpFoldResult> offsets,      \
                                          ArrayRef<OpFoldResult> sizes) {      \
    return isTileable(*this, getDpsInitOperand(result)->getOperandNumber(),    \
                      offsets, sizes);                                         \
  }                                                                            \
  bool OpTy::isOpFusableWithProducerSlices(ArrayRef<unsigned> operands,        \
                                           ArrayRef<OpFoldResults> offsets,    \
                                           ArrayRef<OpFoldResults> sizes) {    \
    return llvm::all_of(                                                       \
        llvm::zip_equal(operands, offsets, sizes), [&](auto tile) {            \
          return isTileable(*this, std::get<0>(tile), std::get<1>(tile),       \
                            std::get<2>(tile));                                \
        });                                                                    \
  }

ROPE_TILING_INTERFACE(ApplyOp)
ROPE_TILING_INTERFACE(TableOp)

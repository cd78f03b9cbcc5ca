//===- RaiseBuild.cpp - write rotations in rope operations ----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseBuild.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Complex/IR/Complex.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

static constexpr int64_t kChannel = -1;

static Value makeEmpty(OpBuilder &b, Location loc, ArrayRef<OpFoldResult> sizes,
                       Type element) {
  return tensor::EmptyOp::create(b, loc, sizes, element);
}

OpFoldResult RotationBuilder::getSize(int64_t dim) {
  if (!ShapedType::isDynamic(root.sizes[dim]))
    return b.getIndexAttr(root.sizes[dim]);
  if (root.scalar) {
    LinalgOp body = root.body;
    return body.createLoopRanges(b, loc)[dim].size;
  }
  // Not of the root itself, which is replaced.
  if (OpFoldResult size = elements.getSizes().make(b, loc, root.tensor, dim))
    return size;
  auto result = cast<OpResult>(root.tensor);
  FailureOr<OpFoldResult> size =
      reifyDimOfResult(b, result.getOwner(), result.getResultNumber(), dim);
  return succeeded(size) ? *size : OpFoldResult();
}

/// The integer that `expr` is, as an index.
Value RotationBuilder::getIndex(ExprRef expr) {
  if (expr->isInteger())
    return arith::ConstantIndexOp::create(b, loc, expr->integer);
  if (expr->is(Expr::Kind::scalar) && expr->indices.empty() &&
      expr->value.getType().isIntOrIndex())
    return getValueOrCreateCastToIndexLike(b, loc, b.getIndexType(),
                                           expr->value);
  if (expr->is(Expr::Kind::element) && !expr->type &&
      llvm::all_of(expr->indices, llvm::IsaPred<AffineConstantExpr>)) {
    SmallVector<Value> indices =
        llvm::map_to_vector(expr->indices, [&](AffineExpr index) -> Value {
          return arith::ConstantIndexOp::create(
              b, loc, cast<AffineConstantExpr>(index).getValue());
        });
    Value element = tensor::ExtractOp::create(b, loc, expr->value, indices);
    return getValueOrCreateCastToIndexLike(b, loc, b.getIndexType(), element);
  }
  return nullptr;
}

Value RotationBuilder::getIndex(AffineExpr index, ValueRange dims) {
  SmallVector<Value> symbols;
  bool isKnown = true;
  unsigned count = 0;
  index.walk([&](AffineExpr expr) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      count = std::max(count, symbol.getPosition() + 1);
  });
  for (unsigned i = 0; i != count; ++i) {
    Value symbol;
    if (index.isFunctionOfSymbol(i)) {
      symbol = getIndex(elements.getSymbol(i));
      isKnown &= symbol != nullptr;
    }
    symbols.push_back(symbol);
  }
  if (!isKnown)
    return nullptr;
  return affine::expandAffineExpr(b, loc, index, dims, symbols);
}

/// What an index adds to a dimension.
OpFoldResult RotationBuilder::getOffset(AffineExpr index) {
  if (auto constant = dyn_cast<AffineConstantExpr>(index))
    return b.getIndexAttr(constant.getValue());
  if (isa<AffineDimExpr>(index))
    return b.getIndexAttr(0);
  AffineExpr offset = index;
  if (auto sum = dyn_cast<AffineBinaryOpExpr>(index))
    offset = sum.getRHS();
  if (auto constant = dyn_cast<AffineConstantExpr>(offset))
    return b.getIndexAttr(constant.getValue());
  Value value = getIndex(offset, {});
  return value ? OpFoldResult(value) : OpFoldResult();
}

/// The slice that `view` reads, with `count` channels. Dimensions that it does
/// not run over are dropped unless it `keepsRank`.
Placed RotationBuilder::buildView(const View &view, int64_t first,
                                  int64_t count, int64_t step, bool keepsRank) {
  if (!isSlice(elements, view))
    return {};
  auto type = cast<RankedTensorType>(view.tensor.getType());
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> dims, shape;
  bool isWhole = true;
  for (auto [i, index] : llvm::enumerate(view.indices)) {
    int64_t size = type.getDimSize(i);
    if (int64_t(i) == view.channelDim) {
      offsets.push_back(b.getIndexAttr(first));
      sizes.push_back(b.getIndexAttr(count));
      strides.push_back(b.getIndexAttr(step));
      isWhole &= first == 0 && count == size && step == 1;
      dims.push_back(kChannel);
      shape.push_back(count);
      continue;
    }
    strides.push_back(b.getIndexAttr(1));
    OpFoldResult offset = getOffset(index);
    if (!offset)
      return {};
    offsets.push_back(offset);
    AffineExpr start = index;
    if (auto sum = dyn_cast<AffineBinaryOpExpr>(index))
      start = sum.getLHS();
    auto dim = dyn_cast<AffineDimExpr>(start);
    if (!dim) {
      sizes.push_back(b.getIndexAttr(1));
      isWhole &= size == 1 && isZeroInteger(offset);
      if (keepsRank) {
        dims.push_back(i);
        shape.push_back(1);
      } else {
        isWhole = false;
      }
      continue;
    }
    int64_t position = dim.getPosition();
    dims.push_back(position);
    // A dimension is as large as the root's unless something was cut off.
    bool isSame =
        isZeroInteger(offset) &&
        (!elements.isNarrowed(view.tensor, position) ||
         (!root.scalar && elements.getSizes().get(view.tensor, i) ==
                              elements.getSizes().get(root.tensor, position)) ||
         (!ShapedType::isDynamic(size) && size == root.sizes[position]));
    if (isSame) {
      sizes.push_back(tensor::getMixedSize(b, loc, view.tensor, i));
      shape.push_back(size);
      continue;
    }
    isWhole = false;
    OpFoldResult rootSize = getSize(position);
    if (!rootSize)
      return {};
    sizes.push_back(rootSize);
    shape.push_back(root.sizes[position]);
  }
  Value slice = view.tensor;
  if (!isWhole)
    slice = tensor::ExtractSliceOp::create(
        b, loc, RankedTensorType::get(shape, type.getElementType()),
        view.tensor, offsets, sizes, strides);
  auto complexType = dyn_cast<ComplexType>(type.getElementType());
  if (!complexType)
    return {slice, dims};
  // One part of complex numbers.
  int64_t rank = dims.size();
  Value init = makeEmpty(b, loc, tensor::getMixedSizes(b, loc, slice),
                         complexType.getElementType());
  AffineMap map = b.getMultiDimIdentityMap(rank);
  auto part = linalg::GenericOp::create(
      b, loc, init.getType(), slice, init, ArrayRef({map, map}),
      SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
      [&](OpBuilder &nested, Location loc, ValueRange arguments) {
        Value number =
            view.isImaginary
                ? complex::ImOp::create(nested, loc, arguments[0]).getResult()
                : complex::ReOp::create(nested, loc, arguments[0]).getResult();
        linalg::YieldOp::create(nested, loc, number);
      });
  return {part.getResult(0), dims};
}

/// `placed` with its dimensions in the order `order`, of its dimensions.
Placed RotationBuilder::permute(Placed placed, ArrayRef<int64_t> order) {
  if (llvm::equal(order, llvm::seq<int64_t>(0, order.size())))
    return placed;
  auto type = cast<RankedTensorType>(placed.value.getType());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, placed.value);
  SmallVector<OpFoldResult> permuted;
  Placed result;
  for (int64_t dim : order) {
    permuted.push_back(sizes[dim]);
    result.dims.push_back(placed.dims[dim]);
  }
  Value init = makeEmpty(b, loc, permuted, type.getElementType());
  result.value = linalg::TransposeOp::create(b, loc, placed.value, init, order)
                     ->getResult(0);
  return result;
}

/// `placed`, repeated along `dims` of the root, which go in front; nothing if
/// a size of these cannot be told.
Placed RotationBuilder::repeat(Placed placed, ArrayRef<int64_t> dims) {
  if (dims.empty())
    return placed;
  SmallVector<OpFoldResult> sizes = llvm::map_to_vector(
      dims, [&](int64_t dim) -> OpFoldResult { return getSize(dim); });
  if (llvm::is_contained(sizes, OpFoldResult())) {
    fail("a size of the result cannot be told");
    return {};
  }
  llvm::append_range(sizes, tensor::getMixedSizes(b, loc, placed.value));
  Value init = makeEmpty(b, loc, sizes, getElementTypeOrSelf(placed.value));
  placed.value = linalg::BroadcastOp::create(
                     b, loc, placed.value, init,
                     llvm::to_vector(llvm::seq<int64_t>(0, dims.size())))
                     ->getResult(0);
  placed.dims.insert(placed.dims.begin(), dims.begin(), dims.end());
  return placed;
}

/// `placed` with its channels innermost.
Placed RotationBuilder::moveLast(Placed placed) {
  SmallVector<int64_t> order;
  for (auto [i, dim] : llvm::enumerate(placed.dims))
    if (dim != kChannel)
      order.push_back(i);
  for (auto [i, dim] : llvm::enumerate(placed.dims))
    if (dim == kChannel)
      order.push_back(i);
  return permute(std::move(placed), order);
}

Placed RotationBuilder::buildX(const Rotation &rotation) {
  const View &x = rotation.x;
  // Read as it lies where its dimensions are those of the root.
  int64_t rank = x.indices.size();
  bool isAligned = !root.scalar && root.channelDims.size() == 1 &&
                   int64_t(root.sizes.size()) == rank &&
                   x.channelDim == rank - 1 &&
                   root.channelDims.front() == rank - 1;
  for (int64_t i = 0; isAligned && i < rank - 1; ++i) {
    AffineExpr start = x.indices[i];
    if (auto sum = dyn_cast<AffineBinaryOpExpr>(start))
      start = sum.getLHS();
    auto dim = dyn_cast<AffineDimExpr>(start);
    isAligned = dim ? int64_t(dim.getPosition()) == i : root.sizes[i] == 1;
  }
  return moveLast(buildView(x, rotation.firstChannel, root.channels, 1,
                            /*keepsRank=*/isAligned));
}

Placed RotationBuilder::buildPositions(const MadeTable &made) {
  if (!made.computed) {
    const View &view = made.positions;
    if (made.axes.empty())
      return buildView(view, 0, 0, 1);
    int64_t axes = cast<RankedTensorType>(view.tensor.getType())
                       .getDimSize(view.channelDim);
    if (ShapedType::isDynamic(axes))
      return {};
    Placed placed = buildView(view, 0, axes, 1);
    if (!placed.value)
      return {};
    SmallVector<int64_t> order;
    for (bool isAxis : {true, false})
      for (auto [i, dim] : llvm::enumerate(placed.dims))
        if ((dim == kChannel) == isAxis)
          order.push_back(i);
    return permute(std::move(placed), order);
  }
  // Counted by the graph: one number for each index of the root.
  AffineExpr index = made.computed->is(Expr::Kind::index)
                         ? made.computed->indices.front()
                         : AffineExpr();
  Placed result;
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> replaced(root.sizes.size(),
                                   b.getAffineConstantExpr(0));
  for (int64_t i = 0, e = root.sizes.size(); index && i != e; ++i) {
    if (!index.isFunctionOfDim(i))
      continue;
    replaced[i] = b.getAffineDimExpr(result.dims.size());
    result.dims.push_back(i);
    sizes.push_back(getSize(i));
    if (!sizes.back())
      return {};
  }
  // Scalars that are read stand in front of the loop.
  Value scalar = index ? Value() : getIndex(made.computed);
  if (!index && !scalar)
    return {};
  Value probe =
      index ? getIndex(index.replaceDims(SmallVector<AffineExpr>(
                           root.sizes.size(), b.getAffineConstantExpr(0))),
                       {})
            : scalar;
  if (!probe)
    return {};
  int64_t rank = sizes.size();
  Value init = makeEmpty(b, loc, sizes, b.getI64Type());
  result.value =
      linalg::GenericOp::create(
          b, loc, init.getType(), ValueRange(), init,
          b.getMultiDimIdentityMap(rank),
          SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
          [&](OpBuilder &nested, Location, ValueRange) {
            OpBuilder::InsertionGuard guard(b);
            b.setInsertionPointToEnd(nested.getInsertionBlock());
            SmallVector<Value> dims;
            for (int64_t i = 0; i != rank; ++i)
              dims.push_back(linalg::IndexOp::create(b, loc, i));
            Value value =
                index ? getIndex(index.replaceDims(replaced), dims) : scalar;
            value = arith::IndexCastOp::create(b, loc, b.getI64Type(), value);
            linalg::YieldOp::create(b, loc, value);
          })
          .getResult(0);
  return result;
}

std::optional<std::pair<Placed, Placed>>
RotationBuilder::makeTable(const Rotation &rotation) {
  std::optional<MadeTable> made = traceTable(elements, rotation, untraced);
  if (!made)
    return std::nullopt;
  Placed positions = buildPositions(*made);
  if (!positions.value) {
    untraced = "no slice of a tensor holds the positions";
    return std::nullopt;
  }
  int64_t n = rotation.getNumPairs();
  auto type = RankedTensorType::get(n, b.getF64Type());
  std::optional<double> base =
      exact ? fitBase(made->frequencies) : std::nullopt;
  auto frequencies = FrequenciesOp::create(
      b, loc, type, base ? b.getF64FloatAttr(*base) : FloatAttr(),
      /*dimension=*/IntegerAttr(),
      base ? ElementsAttr()
           : DenseElementsAttr::get(type, ArrayRef(made->frequencies)));
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, positions.value);
  if (!made->axes.empty()) {
    sizes.erase(sizes.begin());
    positions.dims.erase(positions.dims.begin());
  }
  sizes.push_back(b.getIndexAttr(n));
  Value init = makeEmpty(b, loc, sizes, made->type);
  table = TableOp::create(
      b, loc, TypeRange{init.getType(), init.getType()}, positions.value,
      frequencies, init, init, b.getF64FloatAttr(made->magnitude),
      made->axes.empty() ? DenseI64ArrayAttr()
                         : b.getDenseI64ArrayAttr(made->axes),
      PrecisionAttr::get(b.getContext(),
                         exact ? Precision::exact : made->precision));
  SmallVector<int64_t> dims = positions.dims;
  dims.push_back(kChannel);
  return std::pair(Placed{table.getResult(0), dims},
                   Placed{table.getResult(1), dims});
}

Placed RotationBuilder::buildColumns(const Columns &columns, int64_t count) {
  if (columns.numbers.empty())
    return moveLast(
        buildView(columns.view, columns.first, count, columns.step));
  SmallVector<Attribute> numbers =
      llvm::map_to_vector(columns.numbers, [&](double number) -> Attribute {
        return b.getFloatAttr(columns.type, number);
      });
  auto type = RankedTensorType::get(count, columns.type);
  return {
      arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, numbers)),
      {kChannel}};
}

std::optional<std::pair<Placed, Placed>>
RotationBuilder::readTable(const Rotation &rotation) {
  std::optional<GivenTable> given = findTable(elements, rotation, reason);
  if (!given)
    return std::nullopt;
  if (rotation.magnitude != 1) {
    fail("its products have a factor, which the tables do not hold");
    return std::nullopt;
  }
  int64_t n = rotation.getNumPairs();
  Placed cos = buildColumns(given->cos, n), sin = buildColumns(given->sin, n);
  if (!cos.value || !sin.value ||
      getElementTypeOrSelf(cos.value) != getElementTypeOrSelf(sin.value)) {
    fail("cosines and sines are not slices of tensors of one type");
    return std::nullopt;
  }
  SmallVector<int64_t> order;
  for (int64_t dim : cos.dims) {
    auto it = llvm::find(sin.dims, dim);
    if (it == sin.dims.end() || cos.dims.size() != sin.dims.size()) {
      fail("cosines and sines vary along different dimensions");
      return std::nullopt;
    }
    order.push_back(it - sin.dims.begin());
  }
  return std::pair(cos, permute(std::move(sin), order));
}

/// Brings the rotated tensor into the dimensions and the type of the root.
Value RotationBuilder::finish(Placed placed) {
  FloatType element = root.getElementType();
  auto getType = [&] { return cast<RankedTensorType>(placed.value.getType()); };
  int64_t rank = root.sizes.size();
  bool isAligned = int64_t(placed.dims.size()) == rank &&
                   root.channelDims.size() == 1 &&
                   root.channelDims.front() == rank - 1;
  for (int64_t i = 0; isAligned && i < rank - 1; ++i)
    isAligned = placed.dims[i] == i;
  if (!isAligned) {
    // The channels, as the dimensions that they run over.
    int64_t outer = placed.dims.size() - 1;
    placed.dims.pop_back();
    if (root.channelDims.size() > 1) {
      SmallVector<ReassociationIndices> groups;
      SmallVector<OpFoldResult> sizes =
          tensor::getMixedSizes(b, loc, placed.value);
      SmallVector<int64_t> shape(getType().getShape().drop_back());
      sizes.pop_back();
      for (int64_t i = 0; i != outer; ++i)
        groups.push_back({i});
      ReassociationIndices &last = groups.emplace_back();
      for (int64_t dim : root.channelDims) {
        last.push_back(shape.size());
        shape.push_back(root.sizes[dim]);
        sizes.push_back(b.getIndexAttr(root.sizes[dim]));
      }
      placed.value = tensor::ExpandShapeOp::create(
          b, loc, RankedTensorType::get(shape, getType().getElementType()),
          placed.value, groups, sizes);
    }
    llvm::append_range(placed.dims, root.channelDims);
    // Dimensions that nothing depends on are repeated.
    SmallVector<int64_t> missing;
    for (int64_t i = 0; i != rank; ++i)
      if (root.sizes[i] != 1 && !llvm::is_contained(placed.dims, i))
        missing.push_back(i);
    placed = repeat(std::move(placed), missing);
    if (!placed.value)
      return nullptr;
    SmallVector<int64_t> order =
        llvm::to_vector(llvm::seq<int64_t>(0, placed.dims.size()));
    llvm::sort(order, [&](int64_t i, int64_t j) {
      return placed.dims[i] < placed.dims[j];
    });
    placed = permute(std::move(placed), order);
    // A body reads it by a map.
    if (!root.scalar && int64_t(placed.dims.size()) != rank) {
      // Unit dimensions go to the one before, those in front to the first.
      SmallVector<ReassociationIndices> groups(placed.dims.size());
      SmallVector<OpFoldResult> sizes =
          tensor::getMixedSizes(b, loc, placed.value);
      SmallVector<OpFoldResult> expanded;
      SmallVector<int64_t> shape;
      size_t next = 0;
      for (int64_t i = 0; i != rank; ++i) {
        if (next < placed.dims.size() && placed.dims[next] == i) {
          expanded.push_back(sizes[next]);
          shape.push_back(getType().getDimSize(next));
          ++next;
        } else {
          expanded.push_back(b.getIndexAttr(1));
          shape.push_back(1);
        }
        groups[next == 0 ? 0 : next - 1].push_back(i);
      }
      placed.value = tensor::ExpandShapeOp::create(
          b, loc, RankedTensorType::get(shape, getType().getElementType()),
          placed.value, groups, expanded);
    }
  }
  auto from = cast<FloatType>(getType().getElementType());
  if (from != element) {
    auto type = getType().clone(element);
    placed.value =
        from.getWidth() < element.getWidth()
            ? Value(arith::ExtFOp::create(b, loc, type, placed.value))
            : Value(arith::TruncFOp::create(b, loc, type, placed.value));
  }
  if (!root.scalar && placed.value.getType() != root.tensor.getType()) {
    if (!tensor::CastOp::areCastCompatible(placed.value.getType(),
                                           root.tensor.getType()))
      return fail("sizes of the result are not those of what is rotated");
    placed.value =
        tensor::CastOp::create(b, loc, root.tensor.getType(), placed.value);
  }
  return placed.value;
}

Value RotationBuilder::build(const Rotation &rotation) {
  Placed x = buildX(rotation);
  if (!x.value)
    return fail("what is rotated is no slice of a tensor");
  std::optional<std::pair<Placed, Placed>> tables = makeTable(rotation);
  if (!tables)
    tables = readTable(rotation);
  if (!tables)
    return nullptr;
  auto [cos, sin] = *tables;
  // Dimensions along which the table varies and x does not.
  SmallVector<int64_t> missing;
  for (int64_t dim : cos.dims)
    if (!llvm::is_contained(x.dims, dim))
      missing.push_back(dim);
  x = repeat(std::move(x), missing);
  if (!x.value)
    return nullptr;
  SmallVector<int64_t> positionDims;
  for (int64_t dim : ArrayRef(cos.dims).drop_back())
    positionDims.push_back(llvm::find(x.dims, dim) - x.dims.begin());

  FloatType element = root.getElementType();
  auto xElement = cast<FloatType>(getElementTypeOrSelf(x.value));
  if (element.getWidth() <= xElement.getWidth())
    element = xElement;
  Value init =
      makeEmpty(b, loc, tensor::getMixedSizes(b, loc, x.value), element);
  bool hasStride = rotation.pairing == Pairing::half &&
                   rotation.pairStride != rotation.getNumPairs();
  MLIRContext *context = b.getContext();
  apply = ApplyOp::create(
      b, loc, TypeRange{init.getType()}, x.value, cos.value, sin.value, init,
      PairingAttr::get(context, rotation.pairing),
      b.getDenseI64ArrayAttr(positionDims),
      b.getI64IntegerAttr(rotation.offset),
      hasStride ? b.getI64IntegerAttr(rotation.pairStride) : IntegerAttr(),
      rotation.pairing == rotation.resultPairing
          ? PairingAttr()
          : PairingAttr::get(context, rotation.resultPairing),
      rotation.isTransposed ? b.getUnitAttr() : UnitAttr());
  Value result = finish({apply.getResult(0), x.dims});
  if (!result)
    return nullptr;
  ScopedDiagnosticHandler ignore(context,
                                 [](Diagnostic &) { return success(); });
  if (failed(verify(apply)) || (table && failed(verify(table))) ||
      failed(verify(result.getDefiningOp())))
    return fail("sizes and types are not those of a rotation");
  return result;
}

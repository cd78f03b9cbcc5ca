//===- ExposeCInterface.cpp - public functions on strided memrefs ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::rope {
#define GEN_PASS_DEF_EXPOSECINTERFACE
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
/// A dimension of an argument of the function.
struct ArgumentDim {
  int64_t argument, dim;
};
} // namespace

static std::optional<ArgumentDim> asArgumentDim(func::FuncOp func, Value value,
                                                int64_t dim) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != &func.getBody().front())
    return std::nullopt;
  return ArgumentDim{int64_t(argument.getArgNumber()), dim};
}

/// The argument's dimension that dimension `dim` of `value` equals. Follows
/// destinations and tensor.empty, which is most of what there is, by itself:
/// chains of operations cost nothing then; the rest through value bounds.
static std::optional<ArgumentDim> findArgumentDim(func::FuncOp func,
                                                  Value value, int64_t dim) {
  while (Operation *op = value.getDefiningOp()) {
    auto result = cast<OpResult>(value);
    if (auto destination = dyn_cast<DestinationStyleOpInterface>(op)) {
      value = destination.getTiedOpOperand(result)->get();
      continue;
    }
    if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
      if (!empty.getType().isDynamicDim(dim))
        return std::nullopt;
      auto size = empty.getDynamicSize(dim).getDefiningOp<tensor::DimOp>();
      if (!size || !size.getConstantIndex())
        return std::nullopt;
      value = size.getSource();
      dim = *size.getConstantIndex();
      // A dimension that is not there is undefined, not invalid.
      auto type = dyn_cast<RankedTensorType>(value.getType());
      if (!type || dim < 0 || dim >= type.getRank())
        return std::nullopt;
      continue;
    }
    AffineMap bound;
    ValueDimList operands;
    auto stop = [](Value value, std::optional<int64_t>,
                   ValueBoundsConstraintSet &) {
      return isa<BlockArgument>(value);
    };
    if (failed(ValueBoundsConstraintSet::computeBound(
            bound, operands, presburger::BoundType::EQ, {value, dim}, stop)) ||
        bound.getNumResults() != 1)
      return std::nullopt;
    unsigned position;
    if (auto symbol = dyn_cast<AffineSymbolExpr>(bound.getResult(0)))
      position = bound.getNumDims() + symbol.getPosition();
    else if (auto dimension = dyn_cast<AffineDimExpr>(bound.getResult(0)))
      position = dimension.getPosition();
    else
      return std::nullopt;
    auto [bounded, boundedDim] = operands[position];
    return boundedDim ? asArgumentDim(func, bounded, *boundedDim)
                      : std::nullopt;
  }
  return asArgumentDim(func, value, dim);
}

//===----------------------------------------------------------------------===//
// What a caller must know
//===----------------------------------------------------------------------===//

/// For each result the argument dimensions its dynamic sizes are; nothing where
/// one does not follow from the arguments.
static std::optional<SmallVector<Attribute>>
findResultDims(func::FuncOp func, func::ReturnOp terminator) {
  SmallVector<Attribute> dims;
  for (Value value : terminator.getOperands()) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type)
      return std::nullopt;
    SmallVector<int64_t> pairs;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      if (!type.isDynamicDim(dim))
        continue;
      std::optional<ArgumentDim> source = findArgumentDim(func, value, dim);
      if (!source)
        return std::nullopt;
      pairs.append({source->argument, source->dim});
    }
    dims.push_back(DenseI64ArrayAttr::get(func.getContext(), pairs));
  }
  return dims;
}

/// The dimensions of arguments that must be equal for the operations of this
/// dialect to be defined.
static SmallVector<Attribute> findEqualDims(func::FuncOp func) {
  llvm::SetVector<Attribute> equal;
  auto add = [&](Value x, int64_t xDim, Value y, int64_t yDim) {
    auto isDynamic = [](Value value, int64_t dim) {
      return cast<ShapedType>(value.getType()).isDynamicDim(dim);
    };
    if (!isDynamic(x, xDim) || !isDynamic(y, yDim))
      return;
    std::optional<ArgumentDim> a = findArgumentDim(func, x, xDim);
    std::optional<ArgumentDim> b = findArgumentDim(func, y, yDim);
    if (a && b && (a->argument != b->argument || a->dim != b->dim))
      equal.insert(DenseI64ArrayAttr::get(
          func.getContext(), {a->argument, a->dim, b->argument, b->dim}));
  };
  auto addAll = [&](Value x, Value y) {
    for (int64_t dim : llvm::seq(cast<ShapedType>(x.getType()).getRank()))
      add(x, dim, y, dim);
  };
  func.walk([&](Operation *op) {
    if (auto apply = dyn_cast<ApplyOp>(op)) {
      addAll(apply.getX(), apply.getInit());
      addAll(apply.getCos(), apply.getSin());
      for (auto [i, dim] : llvm::enumerate(apply.getPositionDims()))
        add(apply.getX(), dim, apply.getCos(), i);
    } else if (auto table = dyn_cast<TableOp>(op)) {
      addAll(table.getCos(), table.getSin());
      for (int64_t dim : llvm::seq(table.getPositionRank()))
        add(table.getPositions(), dim + table.getAxes().has_value(),
            table.getCos(), dim);
    }
  });
  return llvm::to_vector(equal);
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// The strided memref of a tensor: any strides but the innermost, which is one.
static MemRefType interfaceType(RankedTensorType type) {
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  if (!strides.empty())
    strides.back() = 1;
  return MemRefType::get(
      type.getShape(), type.getElementType(),
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides));
}

/// An argument is not to be written. Operations that would only write it get a
/// tensor of its shape instead, which can become the caller's own memory.
static void renewDestinations(OpBuilder &b, Value argument) {
  auto type = cast<RankedTensorType>(argument.getType());
  for (OpOperand &use : llvm::make_early_inc_range(argument.getUses())) {
    Operation *op = use.getOwner();
    if (!isa<ApplyOp, TableOp>(op) ||
        !cast<DestinationStyleOpInterface>(op).isDpsInit(&use))
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(op);
    use.set(tensor::EmptyOp::create(
        b, op->getLoc(), tensor::getMixedSizes(b, op->getLoc(), argument),
        type.getElementType(), type.getEncoding()));
  }
}

static void expose(func::FuncOp func, func::ReturnOp terminator) {
  OpBuilder b(func.getContext());
  Block &entry = func.getBody().front();
  b.setInsertionPointToStart(&entry);
  SmallVector<Type> types;
  for (BlockArgument argument : entry.getArguments()) {
    if (auto tensor = dyn_cast<RankedTensorType>(argument.getType())) {
      argument.setType(interfaceType(tensor));
      auto view = bufferization::ToTensorOp::create(
          b, argument.getLoc(), tensor, argument, /*restrict=*/true);
      argument.replaceAllUsesExcept(view, view);
      renewDestinations(b, view);
    }
    types.push_back(argument.getType());
  }
  b.setInsertionPoint(terminator);
  for (Value value : terminator.getOperands()) {
    types.push_back(interfaceType(cast<RankedTensorType>(value.getType())));
    BlockArgument out = entry.addArgument(types.back(), value.getLoc());
    bufferization::MaterializeInDestinationOp::create(
        b, value.getLoc(), TypeRange{}, value, out, /*restrict=*/true,
        /*writable=*/true);
  }
  func::ReturnOp::create(b, terminator.getLoc());
  terminator.erase();
  // Attributes of the arguments stay, those of the results go with them.
  func.setType(b.getFunctionType(types, {}));
}

namespace {
struct ExposeCInterface : rope::impl::ExposeCInterfaceBase<ExposeCInterface> {
  void runOnOperation() override {
    DenseSet<StringAttr> called;
    if (std::optional<SymbolTable::UseRange> uses =
            SymbolTable::getSymbolUses(&getOperation().getBodyRegion()))
      for (SymbolTable::SymbolUse use : *uses)
        called.insert(use.getSymbolRef().getLeafReference());
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func.isPublic() || func.isExternal() || func->hasAttr(kSignature))
        continue;
      OpBuilder b(func.getContext());
      func->setAttr(kSignature, TypeAttr::get(func.getFunctionType()));
      func->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(),
                    b.getUnitAttr());
      auto terminator =
          dyn_cast<func::ReturnOp>(func.getBody().back().getTerminator());
      bool isSimple = terminator && func.getBody().hasOneBlock() &&
                      !called.contains(func.getSymNameAttr());
      std::optional<SmallVector<Attribute>> resultDims;
      if (isSimple)
        resultDims = findResultDims(func, terminator);
      if (!resultDims)
        continue;
      func->setAttr("c_result_dims", b.getArrayAttr(*resultDims));
      func->setAttr("c_equal_dims", b.getArrayAttr(findEqualDims(func)));
      expose(func, terminator);
    }
  }

  static constexpr StringRef kSignature = "c_signature";
};
} // namespace

//===- ExposeCInterface.cpp - public functions on strided memrefs ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Rope/IR/SizeRules.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
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
    if (OpTrait::hasElementwiseMappableTraits(op)) {
      // Scalars, as of arith.select, go with tensors of the result's shape.
      auto tensors = llvm::make_filter_range(op->getOperands(), [](Value v) {
        return isa<RankedTensorType>(v.getType());
      });
      if (tensors.empty())
        return std::nullopt;
      value = *tensors.begin();
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

namespace {
/// What operations need of sizes that are known only at the call: `equal` and
/// `bounds` are what `c_equal_dims` and `c_size_bounds` hold.
class CallRules {
public:
  explicit CallRules(func::FuncOp func) : func(func) {
    func.walk([&](Operation *op) {
      for (const SizeRule &rule : getSizeRules(op))
        add(rule);
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
        addLoops(linalgOp);
      else if (OpTrait::hasElementwiseMappableTraits(op))
        addElementwise(op);
    });
  }

  llvm::SetVector<Attribute> equal, bounds;

private:
  /// A size as a caller sees it: a number, or a dimension of an argument.
  struct CallSize {
    std::optional<int64_t> number;
    ArgumentDim source = {-1, 0};
  };

  /// Without factor and constant. Nothing where the size does not follow from
  /// the arguments.
  std::optional<CallSize> resolve(const rope::Size &size) {
    if (!size.value)
      return CallSize{0};
    auto type = cast<ShapedType>(size.value.getType());
    if (!type.isDynamicDim(size.dim))
      return CallSize{type.getDimSize(size.dim)};
    if (auto source = findArgumentDim(func, size.value, size.dim))
      return CallSize{std::nullopt, *source};
    return std::nullopt;
  }

  /// factor * x + constant <= y.
  void addBound(const CallSize &x, int64_t factor, int64_t constant,
                const CallSize &y) {
    if (x.number) {
      constant += factor * *x.number;
      factor = 0;
    }
    bounds.insert(DenseI64ArrayAttr::get(
        func.getContext(),
        {x.source.argument, x.source.dim, factor, constant, y.source.argument,
         y.number ? *y.number : y.source.dim}));
  }

  /// Dimensions that one loop runs over have one size.
  void addLoops(linalg::LinalgOp op) {
    SmallVector<std::optional<rope::Size>> sizes(op.getNumLoops());
    for (OpOperand &operand : op->getOpOperands())
      for (auto [dim, index] :
           llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(index);
        if (!loop)
          continue;
        rope::Size size = {operand.get(), int64_t(dim)};
        std::optional<rope::Size> &first = sizes[loop.getPosition()];
        if (first)
          add({*first, size, /*isEqual=*/true, ""});
        else
          first = size;
      }
  }

  void addElementwise(Operation *op) {
    Value first;
    for (Value operand : op->getOperands()) {
      auto type = dyn_cast<RankedTensorType>(operand.getType());
      if (!type)
        continue;
      if (!first)
        first = operand;
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        add({{first, dim}, {operand, dim}, /*isEqual=*/true, ""});
    }
  }

  void add(const SizeRule &rule) {
    std::optional<CallSize> x = resolve(rule.lhs), y = resolve(rule.rhs);
    if (!x || !y)
      return;
    int64_t factor = rule.lhs.factor, constant = rule.lhs.constant;
    if (y->number)
      y->number = rule.rhs.factor * *y->number + rule.rhs.constant;
    if (x->number && y->number)
      return;
    if (rule.isEqual && !x->number && !y->number && factor == 1 &&
        constant == 0) {
      std::pair first(x->source.argument, x->source.dim);
      std::pair second(y->source.argument, y->source.dim);
      if (second < first)
        std::swap(first, second);
      if (first != second)
        equal.insert(DenseI64ArrayAttr::get(
            func.getContext(),
            {first.first, first.second, second.first, second.second}));
      return;
    }
    addBound(*x, factor, constant, *y);
    // The other direction, in so far as it is a bound on a size itself.
    if (rule.isEqual && x->number)
      addBound(*y, 1, 0, CallSize{factor * *x->number + constant});
    else if (rule.isEqual && y->number)
      addBound(CallSize{llvm::divideCeilSigned(*y->number - constant, factor)},
               1, 0, *x);
  }

  func::FuncOp func;
};
} // namespace

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
    if (!isa<ApplyOp, TableOp, AttentionOp>(op) ||
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
      CallRules rules(func);
      func->setAttr("c_equal_dims", b.getArrayAttr(rules.equal.getArrayRef()));
      if (!rules.bounds.empty())
        func->setAttr("c_size_bounds",
                      b.getArrayAttr(rules.bounds.getArrayRef()));
      expose(func, terminator);
    }
  }

  static constexpr StringRef kSignature = "c_signature";
};
} // namespace

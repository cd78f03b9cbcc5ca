//===- SimplifyPositions.cpp - tables of the same positions ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Positions that are extended, repeated, transposed or reshaped by sizes of one
// make the rows of a table that another has already (simplify_8).
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "Simplify.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// What a table's positions are made of.
struct Spelling {
  TableOp table;
  Value root;
  /// The dimension of the root that each dimension of positions is, or none.
  SmallVector<std::optional<int64_t>> dims;
};
} // namespace

/// The integers of which `op` makes the same numbers, of more bits.
static Value matchExtension(Operation *op) {
  Operation *cast = op ? matchUnary(op) : nullptr;
  if (!isa_and_nonnull<arith::ExtSIOp, arith::IndexCastOp>(cast))
    return nullptr;
  auto getBits = [](Type type) {
    return type.isIndex() ? unsigned(IndexType::kInternalStorageBitWidth)
                          : type.getIntOrFloatBitWidth();
  };
  if (getBits(getElementTypeOrSelf(cast->getOperand(0))) >
      getBits(getElementTypeOrSelf(cast->getResult(0))))
    return nullptr;
  return op->getOperand(0);
}

/// Puts what `movement` does in front of `dims`. False where it merges or
/// splits one of them.
static bool trace(const Movement &movement, Operation *op,
                  SmallVectorImpl<std::optional<int64_t>> &dims) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (int64_t(movement.dims.size()) != type.getRank())
    return false;
  for (int64_t dim : llvm::seq(type.getRank()))
    if (!movement.dims[dim] && type.getDimSize(dim) != 1 &&
        !isa<linalg::LinalgOp>(op))
      return false;
  for (std::optional<int64_t> &dim : dims)
    if (dim)
      dim = movement.dims[*dim];
  return true;
}

static Spelling trace(TableOp table) {
  Spelling spelling{table, table.getPositions(), {}};
  auto type = cast<RankedTensorType>(spelling.root.getType());
  for (int64_t dim : llvm::seq(type.getRank()))
    spelling.dims.push_back(dim);
  while (Operation *op = spelling.root.getDefiningOp()) {
    Value source = matchExtension(op);
    if (auto cast = dyn_cast<tensor::CastOp>(op))
      source = cast.getSource();
    if (!source) {
      std::optional<Movement> movement = matchMovement(op);
      if (!movement || !trace(*movement, op, spelling.dims))
        break;
      source = movement->source;
    }
    if (!isa<RankedTensorType>(source.getType()))
      break;
    spelling.root = source;
  }
  return spelling;
}

static bool isUnit(Value root, int64_t dim) {
  return cast<RankedTensorType>(root.getType()).getDimSize(dim) == 1;
}

/// Whether the table is of the root as it is.
static bool isPlain(const Spelling &spelling) {
  TableOp table = spelling.table;
  return table.getPositions() == spelling.root &&
         !llvm::is_contained(
             cast<RankedTensorType>(spelling.root.getType()).getShape(), 1);
}

/// The dimensions of x that a table of the root, without those of size one,
/// follows. Nothing where some dimension is not there.
static std::optional<SmallVector<int64_t>>
getPositionDims(const Spelling &spelling, ApplyOp apply) {
  SmallVector<int64_t> dims;
  auto type = cast<RankedTensorType>(spelling.root.getType());
  for (int64_t dim : llvm::seq(type.getRank())) {
    if (isUnit(spelling.root, dim))
      continue;
    auto place = llvm::find(spelling.dims, std::optional<int64_t>(dim));
    if (place == spelling.dims.end())
      return std::nullopt;
    dims.push_back(apply.getPositionDims()[place - spelling.dims.begin()]);
  }
  return dims;
}

/// Whether rotations alone use the table, each of which can do with that of the
/// root.
static bool canBePlain(const Spelling &spelling) {
  TableOp table = spelling.table;
  SmallVector<int64_t> shape;
  for (int64_t size :
       cast<RankedTensorType>(spelling.root.getType()).getShape())
    if (size != 1)
      shape.push_back(size);
  shape.push_back(
      cast<RankedTensorType>(table.getFrequencies().getType()).getDimSize(0));
  return llvm::all_of(table->getUsers(), [&](Operation *user) {
    auto apply = dyn_cast<ApplyOp>(user);
    if (!apply || findTable(apply) != table ||
        llvm::is_contained(table->getResults(), apply.getX()) ||
        llvm::is_contained(table->getResults(), apply.getInit()))
      return false;
    std::optional<SmallVector<int64_t>> dims = getPositionDims(spelling, apply);
    auto fits = [&](Value x) {
      return canRotateLike(apply, cast<ShapedType>(x.getType()).getShape(),
                           shape, *dims, apply.getOffset());
    };
    return dims && fits(apply.getX()) && fits(apply.getInit());
  });
}

static void makePlain(RewriterBase &rewriter, const Spelling &spelling) {
  TableOp table = spelling.table;
  rewriter.setInsertionPoint(table);
  ImplicitLocOpBuilder b(table.getLoc(), rewriter);
  auto type = cast<RankedTensorType>(spelling.root.getType());
  Value positions = spelling.root;
  if (llvm::is_contained(type.getShape(), 1)) {
    SmallVector<ReassociationIndices> groups;
    // Sizes of one go with what follows, the last ones with what is before.
    ReassociationIndices group;
    for (int64_t dim : llvm::seq(type.getRank())) {
      group.push_back(dim);
      if (!isUnit(spelling.root, dim))
        groups.push_back(std::exchange(group, {}));
    }
    if (!groups.empty())
      groups.back().append(group);
    positions = tensor::CollapseShapeOp::create(b, positions, groups);
  }
  TableOp plain = tableLike(b, table, positions, table.getMagnitudeAttr());
  reportOther(table, kSimplifyName, true,
              "table made for positions that another has");
  SmallVector<Operation *> users(table->getResult(0).getUsers());
  for (Operation *user : users) {
    auto apply = cast<ApplyOp>(user);
    SmallVector<int64_t> dims = *getPositionDims(spelling, apply);
    rewriter.modifyOpInPlace(apply, [&] {
      apply.getCosMutable().set(plain->getResult(0));
      apply.getSinMutable().set(plain->getResult(1));
      apply.setPositionDims(dims);
    });
  }
  rewriter.eraseOp(table);
}

void rope::unifyPositions(RewriterBase &rewriter, ArrayRef<TableOp> tables) {
  using Key = std::tuple<Value, Value, Attribute, Type, Type>;
  llvm::MapVector<Key, SmallVector<Spelling, 2>> alike;
  for (TableOp table : tables) {
    if (table.getAxes())
      continue;
    Spelling spelling = trace(table);
    if (!isPlain(spelling) && !canBePlain(spelling))
      continue;
    alike[{spelling.root, table.getFrequencies(), table->getAttrDictionary(),
           getElementTypeOrSelf(table.getCos()),
           getElementTypeOrSelf(table.getSin())}]
        .push_back(std::move(spelling));
  }
  for (auto &[key, spellings] : alike) {
    if (llvm::all_equal(llvm::map_range(spellings, [](Spelling &spelling) {
          return spelling.table.getPositions();
        })))
      continue;
    for (const Spelling &spelling : spellings)
      if (!isPlain(spelling))
        makePlain(rewriter, spelling);
  }
}

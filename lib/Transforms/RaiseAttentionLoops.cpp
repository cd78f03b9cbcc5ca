//===- RaiseAttentionLoops.cpp - loops of dimensions ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseAttention.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

unsigned AttentionRaiser::makeAtom(Value value, int64_t dim) {
  atoms.push_back({value, dim, {}});
  return atoms.size() - 1;
}

Labels AttentionRaiser::resolve(const Labels &labels) const {
  Labels result;
  for (const Label &label : labels) {
    if (atoms[label.atom].parts.empty()) {
      result.push_back(label);
      continue;
    }
    for (unsigned part : atoms[label.atom].parts)
      llvm::append_range(result, resolve(Labels{{part}}));
  }
  return result;
}

Dims AttentionRaiser::resolve(const Dims &dims) const {
  return llvm::map_to_vector(
      dims, [&](const Labels &labels) { return resolve(labels); });
}

int64_t AttentionRaiser::countOuter() const {
  return llvm::count_if(ArrayRef(atoms).drop_front(kFirstOuter),
                        [](const Atom &atom) { return atom.parts.empty(); });
}

/// The labels of the loops of an operation whose operand with `map` has `dims`.
/// Loops that it does not have get `others`.
FailureOr<Dims> AttentionRaiser::getLoops(AffineMap map, unsigned loops,
                                          const Dims &dims,
                                          const Labels &others) {
  Dims result(loops, others);
  for (auto [expr, labels] : llvm::zip_equal(map.getResults(), dims)) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      result[dim.getPosition()] = labels;
    else if (!isa<AffineConstantExpr>(expr) || !labels.empty())
      return failure();
  }
  return result;
}

/// The labels of an operand with `map`.
Dims AttentionRaiser::apply(AffineMap map, const Dims &loops) {
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    return dim ? loops[dim.getPosition()] : Labels();
  });
}

/// Whether these are a head divided by the size of its group, and what
/// remains.
bool AttentionRaiser::areParts(const Label &quotient, const Label &remainder) {
  return !quotient.isPlain() && !quotient.isRemainder &&
         remainder.isRemainder && quotient.atom == remainder.atom &&
         quotient.group == remainder.group;
}

Labels AttentionRaiser::join(const Labels &labels) {
  Labels result;
  for (const Label &label : labels) {
    if (!result.empty() && areParts(result.back(), label))
      result.back() = {label.atom};
    else
      result.push_back(label);
  }
  return result;
}

/// The groups of dimensions that a reshape joins or splits.
std::optional<SmallVector<DimGroup>>
AttentionRaiser::getGroups(Operation *reshape) {
  Value source = reshape->getOperand(0), result = reshape->getResult(0);
  int64_t from = cast<RankedTensorType>(source.getType()).getRank();
  int64_t to = cast<RankedTensorType>(result.getType()).getRank();
  if (isa<tensor::ReshapeOp>(reshape)) {
    SmallVector<Size> before, after;
    for (int64_t dim : llvm::seq(from))
      before.push_back(knownSizes.get(source, dim));
    for (int64_t dim : llvm::seq(to))
      after.push_back(knownSizes.get(result, dim));
    return matchShapes(before, after);
  }
  SmallVector<DimGroup> groups(std::min(from, to));
  for (auto [dim, group] : llvm::enumerate(groups)) {
    group.from = group.to = {int64_t(dim)};
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(reshape))
      group.from = llvm::to_vector<2>(collapse.getReassociationIndices()[dim]);
    else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(reshape))
      group.to = llvm::to_vector<2>(expand.getReassociationIndices()[dim]);
  }
  // A scalar has no groups.
  if (groups.empty() && to > 0)
    return std::nullopt;
  return groups;
}

std::optional<Size> AttentionRaiser::getLabelSize(const Label &label) {
  const Atom &atom = atoms[label.atom];
  if (label.isRemainder)
    return Size(label.group);
  if (!atom.value)
    return std::nullopt;
  return (knownSizes.get(atom.value, atom.dim) * Size(atom.factor))
      .divide(Size(label.group));
}

/// Distributes the labels of a dimension over those of `source` that it was
/// collapsed from. A head may become a quotient and a remainder, or, if not
/// `mayGroup`, a batch and a head for all tensors.
LogicalResult AttentionRaiser::beforeGroup(Value source,
                                           ArrayRef<int64_t> group,
                                           Labels labels, Dims &before,
                                           bool mayGroup) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(source.getType()).getShape();
  SmallVector<int64_t> wide = llvm::to_vector(llvm::make_filter_range(
      group, [&](int64_t dim) { return shape[dim] != 1; }));
  bool isOuter = !labels.empty() && labels.back().atom >= kFirstOuter &&
                 labels.back().isPlain();
  // A batch of one is a loop of its own, as a query must be indexed by it.
  if (!mayGroup && labels.size() == 1 && isOuter && group.size() == 2 &&
      countOuter() == 1) {
    SmallVector<unsigned, 2> parts;
    for (int64_t dim : group)
      parts.push_back(makeAtom(source, dim));
    atoms[labels[0].atom].parts = parts;
    labels = resolve(labels);
  }
  SmallVector<int64_t> chosen =
      labels.size() == group.size() ? llvm::to_vector(group) : wide;
  if (labels.size() + 1 == chosen.size() && isOuter &&
      (mayGroup || countOuter() == 2) &&
      !ShapedType::isDynamic(shape[chosen.back()])) {
    int64_t inner = chosen.pop_back_val();
    labels.back().group = shape[inner];
    before[inner] = {{labels.back().atom, shape[inner], true}};
  }
  if (labels.size() != chosen.size())
    return failure();
  // All sizes but one are known, so the last is the same as well.
  int64_t unknown = 0;
  for (auto [label, dim] : llvm::zip_equal(labels, chosen)) {
    before[dim] = {label};
    std::optional<Size> size = getLabelSize(label);
    Size other = knownSizes.get(source, dim);
    if (size == other)
      continue;
    if (size && size->getConstant() && other.getConstant())
      return failure();
    ++unknown;
  }
  return success(unknown <= 1);
}

/// One step back through a cast or reshape.
LogicalResult AttentionRaiser::beforeReshape(Value &value, Dims &dims,
                                             bool mayGroup) {
  Operation *op = value.getDefiningOp();
  if (!isReshape(op))
    return failure();
  std::optional<SmallVector<DimGroup>> groups = getGroups(op);
  if (!groups)
    return failure();
  Value source = op->getOperand(0);
  Dims before(cast<RankedTensorType>(source.getType()).getRank());
  for (const DimGroup &group : *groups) {
    Labels labels;
    for (int64_t dim : group.to)
      llvm::append_range(labels, resolve(dims[dim]));
    labels = join(labels);
    if (group.from.size() == 1)
      before[group.from[0]] = labels;
    else if (failed(beforeGroup(source, group.from, labels, before, mayGroup)))
      return failure();
  }
  dims = std::move(before);
  value = source;
  return success();
}

/// Whether a map can stand for the dimensions of `operand`.
bool AttentionRaiser::isMapped(const Operand &operand) const {
  Dims dims = resolve(operand.dims);
  auto has = [&](unsigned atom) {
    return llvm::is_contained(dims, Labels{{atom}});
  };
  SmallVector<unsigned> found;
  for (const Labels &labels : dims) {
    if (labels.size() > 1 || (labels.empty() && operand.kind == Kind::query))
      return false;
    if (labels.empty())
      continue;
    if (labels[0].isRemainder ||
        (operand.kind == Kind::query && !labels[0].isPlain()) ||
        llvm::is_contained(found, labels[0].atom))
      return false;
    found.push_back(labels[0].atom);
  }
  switch (operand.kind) {
  case Kind::query:
    return (has(kQuery) || isSingle) && has(kChannel);
  case Kind::key:
    return has(kKey) && has(kChannel);
  case Kind::value:
    return has(kKey) && has(kValueChannel);
  case Kind::score:
    return true;
  }
  return false;
}

/// Follows an operand back through what a map and a scale can stand for, at
/// most to its rotation.
void AttentionRaiser::trace(Operand &operand, Scalar next) {
  Operand here = operand;
  operand.value = nullptr;
  for (;;) {
    if (!next.op) {
      here.value = next.value;
      here.dims = next.dims;
      here.isMapped = isMapped(here);
      if (here.isMapped || !operand.value)
        operand = here;
      if (next.value.getDefiningOp<ApplyOp>())
        return;
      if (succeeded(
              beforeReshape(next.value, next.dims, here.kind != Kind::query)))
        continue;
      LinalgOp op = getElementwise(next.value);
      if (!op)
        return;
      FailureOr<Dims> loops =
          getLoops(op.getIndexingMapMatchingResult(cast<OpResult>(next.value)),
                   op.getNumLoops(), next.dims, {});
      if (failed(loops))
        return;
      next = {op, getYielded(op, next.value), *loops};
      continue;
    }
    bool isFactor = here.kind == Kind::query || here.kind == Kind::key;
    std::optional<double> number;
    if (isFactor)
      number = stripFactor(next.op, next.value);
    if (number) {
      here.scale *= *number;
      if (!std::isfinite(here.scale))
        return;
      continue;
    }
    Operation *cast = next.value.getDefiningOp();
    // Narrower elements are widened as they are loaded. What is rounded in the
    // body of the product need not be.
    if (here.kind != Kind::score && cast &&
        cast->getBlock() == next.op.getBlock() &&
        ((isa<arith::ExtFOp>(cast) && !next.value.getType().isF64()) ||
         (isa<arith::TruncFOp>(cast) && !operand.value))) {
      next.value = cast->getOperand(0);
      continue;
    }
    OpOperand *input = getInput(next.op, next.value);
    if (!input || !isa<RankedTensorType>(input->get().getType()))
      return;
    next = {nullptr, input->get(),
            apply(next.op.getMatchingIndexingMap(input), next.dims)};
  }
}

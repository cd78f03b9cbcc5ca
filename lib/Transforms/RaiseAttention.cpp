//===- RaiseAttention.cpp - find attention in linalg ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseAttention.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

static constexpr StringLiteral kName = "rope-fuse-attention";
//===----------------------------------------------------------------------===//
// The result
//===----------------------------------------------------------------------===//

/// The map from the loops of attention to `dims`.
FailureOr<AffineMap> AttentionRaiser::getMap(const Dims &dims) const {
  MLIRContext *context = rewriter.getContext();
  SmallVector<AffineExpr> results;
  for (const Labels &labels : resolve(dims)) {
    if (labels.empty()) {
      results.push_back(getAffineConstantExpr(0, context));
      continue;
    }
    if (labels.size() != 1)
      return failure();
    static constexpr Loop kNames[] = {Loop::query, Loop::key, Loop::channel,
                                      Loop::valueChannel};
    unsigned atom = labels[0].atom;
    Loop loop = atom < kFirstOuter ? kNames[atom]
                : atom == batch    ? Loop::batch
                                   : Loop::head;
    AffineExpr expr = getAffineDimExpr(unsigned(loop), context);
    results.push_back(labels[0].isPlain() ? expr
                                          : expr.floorDiv(labels[0].group));
  }
  return AffineMap::get(kNumLoops, 0, results, context);
}

FailureOr<OpFoldResult> AttentionRaiser::getSize(unsigned atom) {
  // The operands of attention outlive what lies between the products, and what
  // is rotated outlives its rotation.
  for (const Operand &operand : operands)
    for (auto [i, labels] : llvm::enumerate(resolve(operand.dims)))
      if (labels == Labels{{atom}}) {
        auto apply = operand.value.getDefiningOp<ApplyOp>();
        return tensor::getMixedSize(rewriter, values.getLoc(),
                                    apply ? apply.getX() : operand.value, i);
      }
  const Atom &found = atoms[atom];
  int64_t size = cast<ShapedType>(found.value.getType()).getDimSize(found.dim);
  if (ShapedType::isDynamic(size))
    return failure();
  return OpFoldResult(rewriter.getIndexAttr(size * found.factor));
}

/// Collapses dimensions over groups and within into one over heads.
LogicalResult AttentionRaiser::joinGroups(Operand &operand) {
  Dims dims = resolve(operand.dims), joined;
  SmallVector<ReassociationIndices> groups;
  for (auto [i, labels] : llvm::enumerate(dims)) {
    if (i > 0 && labels.size() == 1 && joined.back().size() == 1 &&
        areParts(joined.back()[0], labels[0])) {
      joined.back() = {{labels[0].atom}};
      groups.back().push_back(i);
      continue;
    }
    joined.push_back(labels);
    groups.push_back({int64_t(i)});
  }
  if (joined.size() == dims.size())
    return failure();
  operand.value = tensor::CollapseShapeOp::create(rewriter, values.getLoc(),
                                                  operand.value, groups);
  operand.dims = joined;
  operand.isMapped = isMapped(operand);
  return success();
}

/// Expands the dimensions of an operand that run over two loops.
LogicalResult AttentionRaiser::materialize(Operand &operand) {
  auto type = cast<RankedTensorType>(operand.value.getType());
  Dims expanded;
  SmallVector<ReassociationIndices> groups;
  SmallVector<OpFoldResult> sizes;
  for (auto [i, labels] : llvm::enumerate(resolve(operand.dims))) {
    ReassociationIndices &group = groups.emplace_back();
    if (labels.size() < 2) {
      group.push_back(sizes.size());
      expanded.push_back(labels);
      sizes.push_back(
          tensor::getMixedSize(rewriter, values.getLoc(), operand.value, i));
      continue;
    }
    for (const Label &label : labels) {
      FailureOr<OpFoldResult> size = getSize(label.atom);
      if (!label.isPlain() || failed(size))
        return failure();
      group.push_back(sizes.size());
      expanded.push_back({label});
      sizes.push_back(*size);
    }
  }
  SmallVector<int64_t> shape;
  SmallVector<Value> ignored;
  dispatchIndexOpFoldResults(sizes, ignored, shape);
  auto expandedType = RankedTensorType::get(shape, type.getElementType());
  auto collapsedType =
      tensor::CollapseShapeOp::inferCollapsedType(expandedType, groups);
  if (!tensor::CastOp::areCastCompatible(type, collapsedType))
    return failure();
  if (type != collapsedType)
    operand.value = tensor::CastOp::create(rewriter, values.getLoc(),
                                           collapsedType, operand.value);
  operand.value = tensor::ExpandShapeOp::create(
      rewriter, values.getLoc(), expandedType, operand.value, groups, sizes);
  operand.dims = std::move(expanded);
  operand.isMapped = isMapped(operand);
  return success(operand.isMapped);
}

LogicalResult AttentionRaiser::build() {
  // Names for the outer loops, in the order of the result. Heads are grouped.
  SmallVector<unsigned> outer;
  for (const Labels &labels : resolve(outputDims))
    for (const Label &label : labels)
      if (label.atom >= kFirstOuter && !llvm::is_contained(outer, label.atom))
        outer.push_back(label.atom);
  if (outer.size() > 2)
    return fail("it has more loops than attention");
  if (!outer.empty())
    head = outer.back();
  if (outer.size() == 2)
    batch = outer.front();
  for (const Operand &operand : operands)
    for (const Labels &labels : operand.dims)
      for (const Label &label : labels)
        if (!label.isPlain() && label.atom == batch)
          std::swap(batch, head);
  for (auto [atom, index] : indices)
    if (!atoms[atom].parts.empty())
      return fail("a score depends on the index of a collapsed dimension");

  Location loc = values.getLoc();
  rewriter.setInsertionPoint(values);
  if (isSingle) {
    Operand &query = operands[0];
    auto type = cast<RankedTensorType>(query.value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape.insert(shape.end() - 1, 1);
    SmallVector<ReassociationIndices> groups;
    for (int64_t dim : llvm::seq(type.getRank()))
      groups.push_back({dim});
    groups.back().push_back(type.getRank());
    query.value = tensor::ExpandShapeOp::create(
        rewriter, loc, RankedTensorType::get(shape, type.getElementType()),
        query.value, groups);
    query.dims.insert(query.dims.end() - 1, Labels{{kQuery}});
  }
  for (Operand &operand : operands)
    if (!operand.isMapped &&
        !(succeeded(joinGroups(operand)) && operand.isMapped) &&
        failed(materialize(operand)))
      return fail("how an operand is indexed is no map of its dimensions");

  SmallVector<OpFoldResult> sizes;
  SmallVector<ReassociationIndices> groups;
  Dims resultDims;
  // Of the result's own dimensions, for each of those that are joined.
  SmallVector<ReassociationIndices> splits;
  for (auto [i, labels] : llvm::enumerate(resolve(outputDims))) {
    if (i > 0 && labels.size() == 1 && resultDims.back().size() == 1 &&
        areParts(resultDims.back()[0], labels[0])) {
      FailureOr<OpFoldResult> size = getSize(labels[0].atom);
      if (failed(size))
        return fail("the sizes of the result are not those of the operands");
      sizes.back() = *size;
      resultDims.back() = {{labels[0].atom}};
      splits.back().push_back(i);
      continue;
    }
    splits.push_back({int64_t(i)});
    ReassociationIndices &group = groups.emplace_back();
    for (const Label &label : labels) {
      FailureOr<OpFoldResult> size = getSize(label.atom);
      if (failed(size) || label.isRemainder)
        return fail("the sizes of the result are not those of the operands");
      group.push_back(sizes.size());
      sizes.push_back(*size);
      resultDims.push_back({label});
    }
  }
  for (const Labels &labels : resultDims)
    if (!labels[0].isPlain())
      return fail("groups of heads are not next to the heads of a group");
  auto type = cast<RankedTensorType>(values->getResult(0).getType());
  auto init =
      tensor::EmptyOp::create(rewriter, loc, sizes, type.getElementType());
  bool isSplit = splits.size() != size_t(type.getRank());
  // One kind of reshape is all that real ones need.
  auto joined = isSplit
                    ? tensor::CollapseShapeOp::inferCollapsedType(type, splits)
                    : type;
  if ((isSplit && sizes.size() != splits.size()) ||
      !tensor::CastOp::areCastCompatible(
          tensor::CollapseShapeOp::inferCollapsedType(init.getType(), groups),
          joined))
    return fail("the sizes of the result are not those of the operands");
  SmallVector<AffineMap> maps;
  SmallVector<Value> scoreOperands;
  for (const Operand &operand : operands) {
    FailureOr<AffineMap> map = getMap(operand.dims);
    if (failed(map))
      return fail("how an operand is indexed is no map of its dimensions");
    maps.push_back(*map);
    if (operand.kind == Kind::score)
      scoreOperands.push_back(operand.value);
  }
  maps.push_back(*getMap(resultDims));
  FailureOr<Value> logits = makeSinks();
  if (failed(logits))
    return failure();
  attention = AttentionOp::create(
      rewriter, loc, TypeRange{init.getType()}, operands[0].value,
      operands[1].value, operands[2].value, /*key_scales=*/Value(),
      /*value_scales=*/Value(), /*pages=*/Value(), scoreOperands,
      /*query_offset=*/Value(), /*lengths=*/Value(), *logits, ValueRange(),
      ValueRange(), ValueRange{init}, rewriter.getAffineMapArrayAttr(maps),
      rewriter.getF64FloatAttr(operands[0].scale * operands[1].scale),
      /*causal=*/UnitAttr(), /*window=*/IntegerAttr(), /*chunk=*/IntegerAttr(),
      RotationAttr(), RotationAttr());
  fillRegion();

  // Shapes that contradict each other are no attention.
  {
    ScopedDiagnosticHandler ignore(rewriter.getContext(),
                                   [](Diagnostic &) { return success(); });
    if (failed(verify(attention))) {
      rewriter.eraseOp(attention);
      return fail("sizes, types or operations are not those of attention");
    }
  }
  Value result = attention->getResult(0);
  if (isSplit) {
    SmallVector<OpFoldResult> shape;
    for (auto [size, split] : llvm::zip_equal(sizes, splits)) {
      if (split.size() == 1) {
        shape.push_back(size);
        continue;
      }
      for (int64_t dim : split)
        shape.push_back(rewriter.getIndexAttr(type.getDimSize(dim)));
    }
    SmallVector<int64_t> expanded;
    SmallVector<Value> ignored;
    dispatchIndexOpFoldResults(shape, ignored, expanded);
    result = tensor::ExpandShapeOp::create(
        rewriter, loc, RankedTensorType::get(expanded, type.getElementType()),
        result, splits, shape);
  } else if (sizes.size() != size_t(type.getRank()))
    result = tensor::CollapseShapeOp::create(rewriter, loc, result, groups);
  if (result.getType() != type)
    result = tensor::CastOp::create(rewriter, loc, type, result);
  for (Value operand : values->getOperands())
    if (Operation *op = operand.getDefiningOp())
      matched.insert(op);
  rewriter.replaceOp(values, result);
  return success();
}

/// The head's dimension of the sinks, where they have one for each head.
FailureOr<Value> AttentionRaiser::makeSinks() {
  if (!sinks)
    return Value();
  trace(*sinks, {nullptr, sinks->value, sinks->dims});
  int64_t rank = 0;
  bool hasHead = false;
  for (const Labels &labels : resolve(sinks->dims)) {
    if (labels.empty())
      continue;
    hasHead =
        labels.size() == 1 && labels[0].isPlain() && labels[0].atom == head;
    ++rank;
  }
  if (rank != 1 || !hasHead)
    return fail("sinks are not one for each head");
  auto type = cast<RankedTensorType>(sinks->value.getType());
  if (type.getRank() == 1)
    return sinks->value;
  auto all = llvm::to_vector<2>(llvm::seq(type.getRank()));
  return Value(
      tensor::CollapseShapeOp::create(rewriter, values.getLoc(), sinks->value,
                                      SmallVector<ReassociationIndices>{all}));
}

LogicalResult AttentionRaiser::raise() {
  Scalar score = {values, weights, {}};
  if (failed(matchValues()) || failed(matchSoftmax(score))) {
    // A product of what is rotated, or with a softmax, is worth a remark.
    findProduct({values, weights, {}}, /*maxOps=*/32);
    if (obstacle && sawSoftmax)
      reason = ("'" + obstacle->getName().getStringRef() +
                "' stands between the softmax and the product with values")
                   .str();
    if (product && !rotated.contains(product) && !sawSoftmax)
      product = nullptr;
    return failure();
  }
  findProduct(score, /*maxOps=*/1024);
  if (!product)
    return failure();

  Contraction scores = *getContraction(product);
  scoreType = rewriter.getF32Type();
  for (Value factor : {scores.factors[0], scores.factors[1], value})
    if (factor.getType().isF64())
      scoreType = rewriter.getF64Type();
  for (Kind kind : {Kind::query, Kind::key, Kind::value})
    operands.emplace_back().kind = kind;
  scratch.addArgument(scoreType, values.getLoc());
  builder.setInsertionPointToEnd(&scratch);
  FailureOr<Value> emitted = emitScalar(score);
  if (failed(emitted))
    return fail("its scores are not made by scalar operations alone");
  Value yielded = convert(*emitted, scoreType);
  if (exponentScale != 1.0)
    yielded = arith::MulFOp::create(
        builder, values.getLoc(), yielded,
        arith::ConstantOp::create(
            builder, values.getLoc(),
            builder.getFloatAttr(scoreType, exponentScale)));
  YieldOp::create(builder, values.getLoc(), yielded);

  if (failed(checkUsers()) || failed(matchProduct()))
    return failure();
  operands[0].scale = scores.scale;
  for (auto [i, operand] : llvm::enumerate(operands)) {
    if (operand.kind == Kind::score)
      trace(operand, {nullptr, operand.value, operand.dims});
    else
      trace(operand, factors[i]);
    if (!operand.value)
      return fail("an operand is computed in the body of its product");
  }
  // The query may have split a loop.
  for (Operand &operand : operands)
    operand.isMapped = isMapped(operand);
  return build();
}

/// The rotation that makes `value` but for its shape, type and scale.
static bool isRotated(Value value) {
  static constexpr unsigned kMaxSteps = 32;
  for (unsigned i = 0; i != kMaxSteps; ++i) {
    Operation *op = value.getDefiningOp();
    if (isa_and_nonnull<ApplyOp>(op))
      return true;
    LinalgOp elementwise = getElementwise(value);
    bool isUnary = elementwise && elementwise.getNumDpsInputs() == 1;
    if (!op || (!isUnary && !isReshape(op)))
      return false;
    value = op->getOperand(0);
  }
  return false;
}

/// Erases `roots` and what they are computed from, as far as nothing uses it.
static void eraseDead(RewriterBase &rewriter, ArrayRef<Operation *> roots,
                      DenseSet<Operation *> &erased) {
  SmallVector<Operation *> work(roots);
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    if (erased.contains(op) || !isOpTriviallyDead(op))
      continue;
    for (Value operand : op->getOperands())
      if (Operation *before = operand.getDefiningOp())
        work.push_back(before);
    erased.insert(op);
    rewriter.eraseOp(op);
  }
}

void rope::raiseAttention(RewriterBase &rewriter, Operation *root) {
  SmallVector<Contraction> contractions;
  DenseSet<Operation *> rotated;
  root->walk([&](LinalgOp op) {
    std::optional<Contraction> contraction = getContraction(op);
    if (!contraction)
      return;
    contractions.push_back(*contraction);
    if (llvm::any_of(op.getDpsInputs(), isRotated))
      rotated.insert(op);
  });
  Sizes sizes;
  // Those that are no part of attention, and why.
  llvm::MapVector<Operation *, std::string> left;
  for (const Contraction &contraction : contractions)
    if (rotated.contains(contraction.op))
      left[contraction.op];
  for (const Contraction &values : contractions) {
    for (unsigned weights : {0, 1}) {
      AttentionRaiser raiser(rewriter, values, weights, sizes, rotated);
      if (failed(raiser.raise())) {
        if (std::string *reason =
                raiser.product ? &left[raiser.product] : nullptr;
            reason && reason->empty())
          *reason = raiser.reason;
        continue;
      }
      reportOther(raiser.product, kName, true, "raised to rope.attention");
      left.erase(raiser.product);
      DenseSet<Operation *> erased;
      eraseDead(rewriter, raiser.matched.getArrayRef(), erased);
      left.remove_if(
          [&](const auto &entry) { return erased.contains(entry.first); });
      sizes.clear();
      simplifyScores(rewriter, raiser.attention);
      break;
    }
  }
  for (const auto &[product, reason] : left)
    reportOther(
        product, kName, false,
        "product not raised: " +
            (reason.empty() ? "no second product reads its scores" : reason));
}

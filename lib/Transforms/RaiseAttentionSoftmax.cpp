//===- RaiseAttentionSoftmax.cpp - a softmax and its products -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseAttention.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

//===----------------------------------------------------------------------===//
// Small matchers
//===----------------------------------------------------------------------===//

LinalgOp rope::getElementwise(Value value) {
  auto op = value.getDefiningOp<LinalgOp>();
  if (!op || !op.hasPureTensorSemantics() ||
      op.getNumLoops() != op.getNumParallelLoops() ||
      !op.getIndexingMapMatchingResult(cast<OpResult>(value)).isPermutation())
    return nullptr;
  // A dimension runs over a loop or is one element.
  for (AffineMap map : op.getIndexingMapsArray())
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return nullptr;
  return op;
}

Value rope::getYielded(LinalgOp op, Value result) {
  return op.getBlock()->getTerminator()->getOperand(
      cast<OpResult>(result).getResultNumber());
}

OpOperand *rope::getInput(LinalgOp op, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != op.getBlock() ||
      argument.getArgNumber() >= op.getNumDpsInputs())
    return nullptr;
  return op.getDpsInputOperand(argument.getArgNumber());
}

SmallVector<OpOperand *> rope::getInputs(LinalgOp op, Value value) {
  llvm::SetVector<Value> work;
  work.insert(value);
  SmallVector<OpOperand *> inputs;
  for (size_t i = 0; i != work.size(); ++i) {
    Operation *inner = work[i].getDefiningOp();
    if (OpOperand *input = getInput(op, work[i]);
        input && isa<RankedTensorType>(input->get().getType()))
      inputs.push_back(input);
    else if (inner && inner->getBlock() == op.getBlock())
      work.insert(inner->operand_begin(), inner->operand_end());
  }
  auto *widest = llvm::max_element(inputs, [&](OpOperand *a, OpOperand *b) {
    return op.getMatchingIndexingMap(a).getNumResults() <
           op.getMatchingIndexingMap(b).getNumResults();
  });
  if (!inputs.empty())
    std::swap(inputs.front(), *widest);
  return inputs;
}

bool rope::isReshape(Operation *op) {
  return isa_and_nonnull<tensor::CastOp, tensor::ExpandShapeOp,
                         tensor::CollapseShapeOp, tensor::ReshapeOp>(op) &&
         isa<RankedTensorType>(op->getOperand(0).getType()) &&
         isa<RankedTensorType>(op->getResult(0).getType());
}

static Value stripFloatCasts(Value value) {
  while (isa_and_nonnull<arith::ExtFOp, arith::TruncFOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

std::optional<APFloat> rope::getConstantFloat(Value value) {
  // The rounding of a narrow constant is part of its value.
  if (auto cast = value.getDefiningOp();
      isa_and_nonnull<arith::ExtFOp, arith::TruncFOp>(cast)) {
    std::optional<APFloat> constant = getConstantFloat(cast->getOperand(0));
    if (constant) {
      bool losesInfo = false;
      constant->convert(
          llvm::cast<FloatType>(value.getType()).getFloatSemantics(),
          APFloat::rmNearestTiesToEven, &losesInfo);
    }
    return constant;
  }
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    return getConstantFloat(fill.getInputs()[0]);
  if (isReshape(value.getDefiningOp()))
    return getConstantFloat(value.getDefiningOp()->getOperand(0));
  APFloat scalar(0.0);
  if (matchPattern(value, m_ConstantFloat(&scalar)))
    return scalar;
  DenseElementsAttr constant;
  if (matchPattern(value, m_Constant(&constant)) && constant.isSplat() &&
      isa<FloatType>(constant.getElementType()))
    return constant.getSplatValue<APFloat>();
  return std::nullopt;
}

std::optional<APFloat> rope::getConstantFloat(LinalgOp op, Value scalar) {
  OpOperand *input = getInput(op, scalar);
  return getConstantFloat(input ? input->get() : scalar);
}

std::optional<double> rope::stripFactor(LinalgOp op, Value &value) {
  Operation *product = value.getDefiningOp();
  if (!isa_and_nonnull<arith::MulFOp, arith::DivFOp>(product) ||
      product->getBlock() != op.getBlock())
    return std::nullopt;
  bool isQuotient = isa<arith::DivFOp>(product);
  for (unsigned i : {1, 0}) {
    std::optional<APFloat> constant =
        getConstantFloat(op, product->getOperand(i));
    if (!constant || (isQuotient && i == 0))
      continue;
    double number = FloatAttr::getValueAsDouble(*constant);
    value = product->getOperand(1 - i);
    return isQuotient ? 1.0 / number : number;
  }
  return std::nullopt;
}

static bool isZero(const APFloat &value) { return value.isZero(); }
static bool isLowest(const APFloat &value) {
  return value.isNegative() && (value.isInfinity() || value.isLargest());
}

/// Whether all elements of `value` are one constant that `predicate` accepts.
static bool isFilledWith(Value value,
                         function_ref<bool(const APFloat &)> predicate) {
  std::optional<APFloat> constant = getConstantFloat(value);
  return constant && predicate(*constant);
}

/// The operand that a body combines with `state` to what it yields.
static Value getCombined(Value yielded, Value state, bool isSum) {
  Operation *combiner = stripFloatCasts(yielded).getDefiningOp();
  Value lhs, rhs;
  if (isSum ? isa_and_nonnull<arith::AddFOp>(combiner)
            : isa_and_nonnull<arith::MaximumFOp, arith::MaxNumFOp>(combiner)) {
    lhs = combiner->getOperand(0);
    rhs = combiner->getOperand(1);
  } else if (auto select = dyn_cast_or_null<arith::SelectOp>(combiner);
             select && !isSum) {
    // x > y ? x : y
    using Predicate = arith::CmpFPredicate;
    auto compare = select.getCondition().getDefiningOp<arith::CmpFOp>();
    if (!compare)
      return nullptr;
    lhs = compare.getLhs();
    rhs = compare.getRhs();
    switch (compare.getPredicate()) {
    case Predicate::OGT:
    case Predicate::OGE:
    case Predicate::UGT:
    case Predicate::UGE:
      break;
    case Predicate::OLT:
    case Predicate::OLE:
    case Predicate::ULT:
    case Predicate::ULE:
      std::swap(lhs, rhs);
      break;
    default:
      return nullptr;
    }
    if (select.getTrueValue() != lhs || select.getFalseValue() != rhs)
      return nullptr;
  } else {
    return nullptr;
  }
  if (stripFloatCasts(lhs) == state)
    std::swap(lhs, rhs);
  return stripFloatCasts(rhs) == state && stripFloatCasts(lhs) != state
             ? lhs
             : Value();
}

std::optional<Contraction> rope::getContraction(Operation *op) {
  auto linalgOp = dyn_cast_or_null<LinalgOp>(op);
  if (!linalgOp || !linalgOp.hasPureTensorSemantics() ||
      linalgOp.getNumDpsInits() != 1 || linalgOp.getNumReductionLoops() == 0)
    return std::nullopt;
  for (AffineMap map : linalgOp.getIndexingMapsArray())
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
  Value state =
      linalgOp.getMatchingBlockArgument(linalgOp.getDpsInitOperand(0));
  Value sum = linalgOp.getBlock()->getTerminator()->getOperand(0);
  Value product = getCombined(sum, state, /*isSum=*/true);
  if (!product)
    return std::nullopt;
  Contraction result{linalgOp, {}, 1.0};
  product = stripFloatCasts(product);
  while (std::optional<double> number = stripFactor(linalgOp, product)) {
    result.scale *= *number;
    product = stripFloatCasts(product);
  }
  auto factors = product.getDefiningOp<arith::MulFOp>();
  if (!factors || factors->getBlock() != linalgOp.getBlock() ||
      !std::isfinite(result.scale))
    return std::nullopt;
  result.factors = {factors.getLhs(), factors.getRhs()};
  return result;
}

//===----------------------------------------------------------------------===//
// Going back
//===----------------------------------------------------------------------===//

/// One step back through what keeps the value but for its type; returns what
/// was passed.
Operation *AttentionRaiser::step(Scalar &scalar) {
  if (!scalar.op) {
    Operation *op = scalar.value.getDefiningOp();
    if (succeeded(beforeReshape(scalar.value, scalar.dims, /*mayGroup=*/false)))
      return op;
    LinalgOp elementwise = getElementwise(scalar.value);
    if (!elementwise)
      return nullptr;
    FailureOr<Dims> loops = getLoops(
        elementwise.getIndexingMapMatchingResult(cast<OpResult>(scalar.value)),
        elementwise.getNumLoops(), scalar.dims, {});
    if (failed(loops))
      return nullptr;
    scalar = {elementwise, getYielded(elementwise, scalar.value), *loops};
    return elementwise;
  }
  if (OpOperand *input = getInput(scalar.op, scalar.value)) {
    if (!isa<RankedTensorType>(input->get().getType()))
      return nullptr;
    Operation *op = scalar.op;
    scalar = {nullptr, input->get(),
              apply(scalar.op.getMatchingIndexingMap(input), scalar.dims)};
    return op;
  }
  Operation *cast = scalar.value.getDefiningOp();
  if (!isa_and_nonnull<arith::ExtFOp, arith::TruncFOp>(cast) ||
      cast->getBlock() != scalar.op.getBlock())
    return nullptr;
  scalar.value = cast->getOperand(0);
  return scalar.op;
}

/// Goes back to the operation in a body that computes `scalar`; null where
/// there is none, `scalar` is as far back as possible then.
Operation *AttentionRaiser::find(Scalar &scalar) {
  while (Operation *passed = step(scalar))
    addMatched(passed);
  Operation *op = scalar.op ? scalar.value.getDefiningOp() : nullptr;
  return op && op->getBlock() == scalar.op.getBlock() ? op : nullptr;
}

AttentionRaiser::Scalar AttentionRaiser::getOperand(const Scalar &scalar,
                                                    unsigned operand) const {
  return {scalar.op, scalar.value.getDefiningOp()->getOperand(operand),
          scalar.dims};
}

/// Whether two scalars are computed in the same way, but for roundings.
bool AttentionRaiser::isSame(Scalar a, Scalar b, unsigned depth) {
  static constexpr unsigned kMaxDepth = 8;
  Operation *left = find(a), *right = find(b);
  if (a.op == b.op && a.value == b.value)
    return isSame(a.dims, b.dims);
  if (!left || !right) {
    auto getConstant = [](const Scalar &scalar) {
      return scalar.op ? rope::getConstantFloat(scalar.op, scalar.value)
                       : rope::getConstantFloat(scalar.value);
    };
    std::optional<APFloat> first = getConstant(a), second = getConstant(b);
    return first && second &&
           FloatAttr::getValueAsDouble(*first) ==
               FloatAttr::getValueAsDouble(*second);
  }
  if (depth == kMaxDepth || left->getName() != right->getName() ||
      left->getAttrDictionary() != right->getAttrDictionary() ||
      left->getNumOperands() != right->getNumOperands() ||
      left->getNumResults() != 1 || left->getNumRegions() != 0 ||
      isa<linalg::IndexOp>(left) || !isMemoryEffectFree(left))
    return false;
  return llvm::all_of(llvm::seq(left->getNumOperands()), [&](unsigned i) {
    return isSame(getOperand(a, i), getOperand(b, i), depth + 1);
  });
}

//===----------------------------------------------------------------------===//
// The products
//===----------------------------------------------------------------------===//

/// Whether `op` is the sum of a softmax.
static bool sumsPowers(LinalgOp op) {
  static constexpr unsigned kMaxSteps = 8;
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0)
    return false;
  Value value = getCombined(
      op.getBlock()->getTerminator()->getOperand(0),
      op.getMatchingBlockArgument(op.getDpsInitOperand(0)), /*isSum=*/true);
  for (unsigned i = 0; value && i != kMaxSteps; ++i) {
    value = stripFloatCasts(value);
    if (isa_and_nonnull<math::ExpOp, math::Exp2Op>(value.getDefiningOp()))
      return true;
    OpOperand *input = getInput(op, value);
    if (!input)
      return false;
    value = input->get();
    while (isReshape(value.getDefiningOp()))
      value = value.getDefiningOp()->getOperand(0);
    op = getElementwise(value);
    if (!op)
      return false;
    value = getYielded(op, value);
  }
  return false;
}

/// Finds the first product behind `score`, that of what is rotated if there
/// are several.
void AttentionRaiser::findProduct(Scalar score, size_t maxOps) {
  SmallVector<Value> work;
  if (score.op)
    for (OpOperand *input : getInputs(score.op, score.value))
      work.push_back(input->get());
  else
    work.push_back(score.value);
  llvm::SetVector<Operation *> seen;
  product = nullptr;
  for (size_t i = 0; i < work.size() && seen.size() < maxOps; ++i) {
    Operation *op = work[i].getDefiningOp();
    if (!op || !seen.insert(op))
      continue;
    if (getContraction(op)) {
      if (op != values &&
          (!product || (rotated.contains(op) && !rotated.contains(product))))
        product = cast<LinalgOp>(op);
    } else if (isReshape(op) || isa<linalg::SoftmaxOp>(op)) {
      sawSoftmax |= isa<linalg::SoftmaxOp>(op);
      work.push_back(op->getOperand(0));
    } else if (isa<tensor::ExtractSliceOp>(op)) {
      work.push_back(op->getOperand(0));
    } else if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
      llvm::append_range(work, concat.getInputs());
    } else if (auto linalgOp = dyn_cast<LinalgOp>(op)) {
      sawSoftmax |= sumsPowers(linalgOp);
      llvm::append_range(work, linalgOp.getDpsInputs());
    }
  }
  if (!product)
    return;
  SmallVector<Operation *> uses = {product};
  while (!uses.empty()) {
    Operation *op = uses.pop_back_val();
    if (between.insert(op).second)
      for (Operation *user : op->getUsers())
        if (seen.contains(user))
          uses.push_back(user);
  }
}

/// Names the loops of the second product.
LogicalResult AttentionRaiser::matchValues() {
  auto mismatch = [&] {
    return fail("the loops of the product with values are not those of "
                "attention");
  };
  SmallVector<OpOperand *> inputs = getInputs(values, weights);
  SmallVector<OpOperand *> others = getInputs(values, value);
  AffineMap out = values.getMatchingIndexingMap(values.getDpsInitOperand(0));
  if (!isFilledWith(values.getDpsInits()[0], isZero))
    return fail("the product with values adds to a tensor that is not zero");
  if (values.getNumReductionLoops() != 1 || inputs.empty() || others.empty() ||
      !out.isProjectedPermutation())
    return mismatch();
  if (valueScale != 1.0)
    return fail("the weights are multiplied by a number");
  AffineMap map = values.getMatchingIndexingMap(inputs[0]);
  AffineMap otherMap = values.getMatchingIndexingMap(others[0]);
  // The others have no loops that the first does not have.
  for (auto &[all, widest] : {std::pair(inputs, map), {others, otherMap}})
    for (OpOperand *input : all)
      for (AffineExpr expr : values.getMatchingIndexingMap(input).getResults())
        if (auto dim = dyn_cast<AffineDimExpr>(expr);
            dim && !widest.isFunctionOfDim(dim.getPosition()))
          return mismatch();
  if (!map.isProjectedPermutation() || !otherMap.isProjectedPermutation())
    return mismatch();

  atoms.resize(kFirstOuter);
  Dims loops(values.getNumLoops());
  auto has = [](AffineMap map, unsigned loop) {
    return map.isFunctionOfDim(loop);
  };
  bool hasQuery = false;
  // The last of the parallel loops of the weights is that over queries, if
  // values do not have it.
  for (AffineExpr expr : llvm::reverse(map.getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (values.getIteratorTypesArray()[loop] ==
        utils::IteratorType::reduction) {
      loops[loop] = {{kKey}};
    } else if (!hasQuery && !has(otherMap, loop)) {
      loops[loop] = {{kQuery}};
      hasQuery = true;
    }
  }
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (loops[loop].empty())
      loops[loop] = {{makeAtom(inputs[0]->get(), i)}};
    else
      atoms[loops[loop][0].atom] = {inputs[0]->get(), int64_t(i), {}};
  }
  unsigned channels = 0;
  for (auto [i, expr] : llvm::enumerate(otherMap.getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (!loops[loop].empty())
      continue;
    loops[loop] = {{kValueChannel}};
    atoms[kValueChannel] = {others[0]->get(), int64_t(i), {}};
    ++channels;
  }
  // Of three loops, two are over heads: over groups of them and within, which
  // have the same values.
  SmallVector<unsigned> outer;
  for (AffineExpr expr : out.getResults()) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (!loops[loop].empty() && loops[loop][0].atom >= kFirstOuter)
      outer.push_back(loop);
  }
  if (outer.size() == 3) {
    bool isSecond = has(otherMap, outer[0]) && !has(otherMap, outer[1]);
    unsigned heads = outer[isSecond ? 0 : 1], within = outer[isSecond ? 1 : 2];
    int64_t group = values.getStaticLoopRanges()[within];
    if (group > 1) {
      unsigned atom = loops[heads][0].atom;
      atoms[atom].factor = group;
      atoms[loops[within][0].atom].parts = {atom};
      loops[heads] = {{atom, group, false}};
      loops[within] = {{atom, group, true}};
    }
  }
  if (!hasQuery || channels != 1 || countOuter() > 2 ||
      llvm::any_of(loops, [](const Labels &labels) { return labels.empty(); }))
    return mismatch();
  outputDims = apply(out, loops);
  factors[2] = {values, value, loops};
  valueLoops = std::move(loops);
  return success();
}

LogicalResult AttentionRaiser::matchProduct() {
  auto mismatch = [&] {
    return fail("the loops of the product of queries and keys are not those of "
                "attention");
  };
  if (!isFilledWith(product.getDpsInits()[0], isZero))
    return fail("the product of queries and keys adds to a tensor that is not "
                "zero");
  AffineMap out = product.getMatchingIndexingMap(product.getDpsInitOperand(0));
  if (product.getNumReductionLoops() != 1 || !out.isProjectedPermutation())
    return mismatch();
  FailureOr<Dims> loops =
      getLoops(out, product.getNumLoops(), productDims, {{kChannel}});
  if (failed(loops))
    return mismatch();
  Contraction scores = *getContraction(product);
  for (Value factor : scores.factors) {
    SmallVector<OpOperand *> inputs = getInputs(product, factor);
    if (inputs.empty())
      return mismatch();
    AffineMap map = product.getMatchingIndexingMap(inputs[0]);
    for (OpOperand *input : inputs)
      for (AffineExpr expr : product.getMatchingIndexingMap(input).getResults())
        if (auto dim = dyn_cast<AffineDimExpr>(expr);
            dim && !map.isFunctionOfDim(dim.getPosition()))
          return mismatch();
    if (!map.isProjectedPermutation())
      return mismatch();
    Dims dims = apply(map, *loops);
    auto has = [&](unsigned atom) {
      return llvm::is_contained(dims, Labels{{atom}});
    };
    // A single query may have no dimension.
    bool isQuery =
        has(kQuery) || (!has(kKey) && getLabelSize({kQuery}) == Size(1));
    if (!has(kChannel) || isQuery == has(kKey))
      return mismatch();
    isSingle |= isQuery && !has(kQuery);
    for (auto [i, labels] : llvm::enumerate(dims))
      if (labels == Labels{{kChannel}})
        atoms[kChannel] = {inputs[0]->get(), int64_t(i), {}};
    factors[has(kKey)] = {product, factor, *loops};
  }
  return factors[0].op && factors[1].op ? success() : mismatch();
}

/// Nothing outside needs what lies between the products.
LogicalResult AttentionRaiser::checkUsers() {
  // Sizes are taken from elsewhere.
  SmallVector<Operation *> sizes;
  for (Operation *op : matched)
    for (Operation *user : op->getUsers())
      if (isa<tensor::DimOp>(user))
        sizes.push_back(user);
  if (!sizes.empty()) {
    RewritePatternSet patterns(rewriter.getContext());
    memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
    memref::populateResolveShapedTypeResultDimsPatterns(patterns);
    tensor::DimOp::getCanonicalizationPatterns(patterns, rewriter.getContext());
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    config.enableConstantCSE(false);
    (void)applyOpPatternsGreedily(sizes, std::move(patterns), config);
    knownSizes.clear();
  }
  for (Operation *op : matched)
    for (Operation *user : op->getUsers())
      if (user != values && !matched.contains(user))
        return fail("'" + op->getName().getStringRef() +
                    "' between the products has other users");
  return success();
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// From the weights back to what the softmax takes.
LogicalResult AttentionRaiser::matchSoftmax(Scalar &score) {
  score = {values, weights, valueLoops};
  auto mismatch = [&] {
    return fail("the second product does not read a softmax of its scores");
  };
  // What is true, or not, of a query that sees nothing.
  std::optional<std::pair<Scalar, bool>> blind;
  for (;;) {
    if (Operation *op = find(score)) {
      if (auto select = dyn_cast<arith::SelectOp>(op); select && !blind) {
        // The weights of such queries are zero.
        std::optional<APFloat> chosen =
            rope::getConstantFloat(score.op, select.getTrueValue());
        bool isTrue = chosen && chosen->isZero();
        if (!isTrue)
          chosen = rope::getConstantFloat(score.op, select.getFalseValue());
        if (!chosen || !chosen->isZero())
          return mismatch();
        blind.emplace(getOperand(score, 0), isTrue);
        score = getOperand(score, isTrue ? 2 : 1);
        continue;
      }
      obstacle = op;
      if (!isa<arith::DivFOp, arith::MulFOp>(op))
        return mismatch();
      Scalar weight = score;
      if (failed(matchQuotient(weight, score)))
        return failure();
      break;
    }
    if (score.op)
      return mismatch();
    Operation *op = score.value.getDefiningOp();
    auto getKeyDim = [&]() -> int64_t {
      const auto *it = llvm::find_if(score.dims, [&](const Labels &labels) {
        return resolve(labels) == Labels{{kKey}};
      });
      return it == score.dims.end() ? -1 : it - score.dims.begin();
    };
    if (auto softmax = dyn_cast_or_null<linalg::SoftmaxOp>(op)) {
      if (int64_t(softmax.getDimension()) != getKeyDim())
        return fail("the softmax is not over the keys");
      matched.insert(op);
      score.value = softmax.getInput();
      break;
    }
    // What is dropped from the end are weights of sinks.
    auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op);
    if (!slice || isSliced || slice.getDroppedDims().any())
      return mismatch();
    for (auto [i, offset, size, stride] :
         llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(),
                         slice.getMixedStrides()))
      if (!isConstantIntValue(offset, 0) || !isConstantIntValue(stride, 1) ||
          (int64_t(i) != getKeyDim() &&
           knownSizes.get(size) != knownSizes.get(slice.getSource(), i)))
        return mismatch();
    isSliced = true;
    matched.insert(op);
    score.value = slice.getSource();
  }
  // The softmax of what a maximum was subtracted from is the same.
  while (succeeded(dropMaximum(score))) {
  }
  if (blind && failed(matchBlind(blind->first, blind->second, score)))
    return fail("weights are set to zero where a query may see something");
  return isSliced ? matchSinks(score) : success();
}

/// Whether `condition` is `isTrue` where all scores of a query are -inf.
LogicalResult AttentionRaiser::matchBlind(Scalar condition, bool isTrue,
                                          const Scalar &score) {
  auto isNot = [](LinalgOp op, Operation *inner) {
    auto isConstant = [&](unsigned i, bool number) {
      APInt found;
      OpOperand *input = getInput(op, inner->getOperand(i));
      return matchPattern(input ? input->get() : inner->getOperand(i),
                          m_ConstantInt(&found)) &&
             found.getBitWidth() == 1 && found.getBoolValue() == number;
    };
    auto compare = dyn_cast<arith::CmpIOp>(inner);
    return (isa<arith::XOrIOp>(inner) && isConstant(1, true)) ||
           (compare && compare.getPredicate() == arith::CmpIPredicate::eq &&
            isConstant(1, false));
  };
  for (bool isReduced = false;;) {
    if (Operation *inner = find(condition)) {
      if (isNot(condition.op, inner)) {
        isTrue = !isTrue;
        condition = getOperand(condition, 0);
        continue;
      }
      using Predicate = arith::CmpFPredicate;
      auto compare = dyn_cast<arith::CmpFOp>(inner);
      if (!compare || !isReduced)
        return failure();
      Predicate predicate = compare.getPredicate();
      std::optional<APFloat> infinity =
          rope::getConstantFloat(condition.op, compare.getRhs());
      bool isEqual = predicate == Predicate::OEQ ||
                     (isTrue && predicate == Predicate::OLE);
      bool isOther = predicate == Predicate::UNE ||
                     (!isTrue && predicate == Predicate::OGT);
      return success(infinity && infinity->isInfinity() &&
                     infinity->isNegative() && (isTrue ? isEqual : isOther) &&
                     isSame(getOperand(condition, 0), score));
    }
    // All are, or there is none that is not.
    auto op =
        condition.op ? nullptr : condition.value.getDefiningOp<LinalgOp>();
    if (!op || isReduced || !op.hasPureTensorSemantics() ||
        op.getNumReductionLoops() != 1 || op.getNumDpsInits() != 1)
      return failure();
    OpOperand *init = op.getDpsInitOperand(0);
    auto fill = init->get().getDefiningOp<linalg::FillOp>();
    APInt start;
    if (!fill || !matchPattern(fill.getInputs()[0], m_ConstantInt(&start)) ||
        start.getBitWidth() != 1 || start.getBoolValue() != isTrue)
      return failure();
    Operation *combiner = getYielded(op, condition.value).getDefiningOp();
    if (isTrue ? !isa_and_nonnull<arith::AndIOp>(combiner)
               : !isa_and_nonnull<arith::OrIOp>(combiner))
      return failure();
    Value state = op.getMatchingBlockArgument(init), reduced;
    for (unsigned i : {0, 1})
      if (combiner->getOperand(1 - i) == state)
        reduced = combiner->getOperand(i);
    for (Labels &labels : condition.dims)
      if (resolve(labels) == Labels{{kKey}})
        labels.clear();
    FailureOr<Dims> loops =
        getLoops(op.getMatchingIndexingMap(init), op.getNumLoops(),
                 condition.dims, {{kKey}});
    if (!reduced || reduced == state || failed(loops))
      return failure();
    matched.insert(op);
    condition = {op, reduced, *loops};
    isReduced = true;
  }
}

/// exp(x - max) / sum, or its product with the reciprocal of the sum.
LogicalResult AttentionRaiser::matchQuotient(const Scalar &weight,
                                             Scalar &score) {
  auto mismatch = [&] {
    return fail("the second product does not read a softmax of its scores");
  };
  Scalar above = getOperand(weight, 0), below = getOperand(weight, 1);
  if (isa<arith::MulFOp>(weight.value.getDefiningOp())) {
    auto matchReciprocal = [&](Scalar &scalar) {
      auto division = dyn_cast_or_null<arith::DivFOp>(find(scalar));
      std::optional<APFloat> one;
      if (division)
        one = rope::getConstantFloat(scalar.op, division.getLhs());
      if (!one || !one->isExactlyValue(1.0))
        return false;
      scalar = getOperand(scalar, 1);
      return true;
    };
    if (!matchReciprocal(below)) {
      std::swap(above, below);
      if (!matchReciprocal(below))
        return mismatch();
    }
  }
  Operation *exponential = find(above);
  if (!isa_and_nonnull<math::ExpOp, math::Exp2Op>(exponential))
    return mismatch();
  obstacle = nullptr;
  if (isa<math::Exp2Op>(exponential))
    exponentScale = llvm::numbers::ln2;
  if (failed(matchReduction(below, above, /*isSum=*/true)))
    return failure();
  score = getOperand(above, 0);
  return success();
}

/// From x - max to x, also under factors of the power.
LogicalResult AttentionRaiser::dropMaximum(Scalar &score) {
  size_t count = matched.size();
  std::string before = reason;
  Scalar difference = score;
  double factor = 1.0;
  while (find(difference)) {
    std::optional<double> number = stripFactor(difference.op, difference.value);
    if (!number)
      break;
    factor *= *number;
  }
  if (auto sub = dyn_cast_or_null<arith::SubFOp>(find(difference))) {
    Scalar kept = getOperand(difference, 0);
    if (succeeded(matchReduction(getOperand(difference, 1), kept,
                                 /*isSum=*/false)) &&
        std::isfinite(exponentScale * factor)) {
      addMatched(difference.op);
      exponentScale *= factor;
      score = kept;
      return success();
    }
  }
  while (matched.size() > count)
    matched.pop_back();
  reason = before;
  return failure();
}

/// The value that a maximum of two values or a choice between them is, if the
/// other is a constant, whatever is chosen by.
static std::optional<unsigned> getGuarded(LinalgOp op, Operation *guard) {
  bool isSelect = isa<arith::SelectOp>(guard);
  if (!isSelect && !isa<arith::MaximumFOp, arith::MaxNumFOp>(guard))
    return std::nullopt;
  for (unsigned i : {0, 1})
    if (getConstantFloat(op, guard->getOperand(1 - i + isSelect)))
      return i + isSelect;
  return std::nullopt;
}

/// Whether `value` is computed in its body from no element but that of `input`.
static bool isFunctionOf(LinalgOp op, Value value, Value input) {
  SmallVector<Value> work = {value};
  for (size_t i = 0; i != work.size(); ++i) {
    Operation *inner = work[i].getDefiningOp();
    if (isa<BlockArgument>(work[i]) &&
        cast<BlockArgument>(work[i]).getOwner() == op.getBlock() &&
        work[i] != input && !getConstantFloat(op, work[i]))
      return false;
    if (!inner || inner->getBlock() != op.getBlock() || work[i] == input)
      continue;
    if (isa<linalg::IndexOp>(inner))
      return false;
    for (Value operand : inner->getOperands())
      if (!llvm::is_contained(work, operand))
        work.push_back(operand);
  }
  return true;
}

/// Whether `value` is the sum or the maximum of `input` over keys.
LogicalResult AttentionRaiser::matchReduction(Scalar value, const Scalar &input,
                                              bool isSum) {
  auto mismatch = [&] {
    return fail("the second product does not read a softmax of its scores");
  };
  // A broadcast along the keys may precede.
  for (Labels &labels : value.dims)
    if (resolve(labels) == Labels{{kKey}})
      labels.clear();
  while (Operation *guard = find(value)) {
    // Any value may be subtracted from all scores of a query.
    std::optional<unsigned> guarded;
    if (!isSum)
      guarded = getGuarded(value.op, guard);
    // The choice is that of the query, too.
    if (!guarded ||
        (isa<arith::SelectOp>(guard) &&
         !isFunctionOf(value.op, guard->getOperand(0),
                       stripFloatCasts(guard->getOperand(*guarded)))))
      return mismatch();
    addMatched(value.op);
    value = getOperand(value, *guarded);
  }
  auto op = value.op ? nullptr : value.value.getDefiningOp<LinalgOp>();
  if (!op || !op.hasPureTensorSemantics() || op.getNumReductionLoops() != 1)
    return mismatch();
  OpOperand *init =
      op.getDpsInitOperand(cast<OpResult>(value.value).getResultNumber());
  if (!isFilledWith(init->get(), isSum ? isZero : isLowest))
    return isSum ? fail("the sum of the softmax does not start from zero")
                 : mismatch();
  FailureOr<Dims> loops = getLoops(op.getMatchingIndexingMap(init),
                                   op.getNumLoops(), value.dims, {{kKey}});
  Value reduced = getCombined(getYielded(op, value.value),
                              op.getMatchingBlockArgument(init), isSum);
  if (!reduced || failed(loops))
    return mismatch();
  matched.insert(op);
  Scalar element{op, reduced, *loops};
  if (isSame(element, input))
    return success();
  // Tell the other dimension from another value.
  Scalar other = input;
  find(element);
  find(other);
  if (element.value == other.value)
    return fail("the softmax is not over the keys");
  return mismatch();
}

/// From scores and sinks, concatenated, to scores.
LogicalResult AttentionRaiser::matchSinks(Scalar &score) {
  auto mismatch = [&] {
    return fail("what is dropped from the weights are not those of sinks");
  };
  if (find(score) || score.op || exponentScale != 1.0)
    return mismatch();
  auto concat = score.value.getDefiningOp<tensor::ConcatOp>();
  if (!concat || concat.getInputs().size() != 2 ||
      resolve(score.dims[concat.getDim()]) != Labels{{kKey}})
    return mismatch();
  Value scores = concat.getInputs()[0], logits = concat.getInputs()[1];
  int64_t dim = concat.getDim();
  if (knownSizes.get(logits, dim) != Size(1) ||
      getLabelSize({kKey}) != knownSizes.get(scores, dim))
    return mismatch();
  matched.insert(concat);
  sinks = Operand{Kind::score, logits, score.dims};
  sinks->dims[dim].clear();
  score = {nullptr, scores, score.dims};
  return success();
}

//===- RaiseAttention.cpp - find attention in linalg ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Starts at a contraction, the product of weights and values, and follows the
// weights backwards: through reshapes and casts to a softmax, from its operand
// through scalar operations, which go into the region, to the product of
// queries and keys. All the way it is known which loops each dimension runs
// over. A loop that turns out to be two that were collapsed is split.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

static constexpr StringLiteral kName = "rope-fuse-attention";

namespace {
/// A loop before it has a name, or the quotient or the remainder of one by a
/// group. The first four are i, j, d and e, all others batches and heads.
struct Label {
  unsigned atom;
  int64_t group = 1;
  bool isRemainder = false;

  bool isPlain() const { return group == 1; }
  bool operator==(const Label &other) const {
    return atom == other.atom && group == other.group &&
           isRemainder == other.isRemainder;
  }
};
enum : unsigned { kQuery, kKey, kChannel, kValueChannel, kFirstOuter };

/// The loops of a dimension, outermost first; none for a dimension of size one.
using Labels = SmallVector<Label, 2>;
/// Those of each dimension of a tensor.
using Dims = SmallVector<Labels>;
} // namespace

//===----------------------------------------------------------------------===//
// Small matchers
//===----------------------------------------------------------------------===//

/// The linalg operation that makes `value` with parallel loops alone, if the
/// result's map is a permutation.
static LinalgOp getElementwise(Value value) {
  auto op = value.getDefiningOp<LinalgOp>();
  if (!op || !op.hasPureTensorSemantics() ||
      op.getNumLoops() != op.getNumParallelLoops() ||
      !op.getIndexingMapMatchingResult(cast<OpResult>(value)).isPermutation())
    return nullptr;
  return op;
}

static LinalgOp getContraction(Operation *op) {
  auto linalgOp = dyn_cast_or_null<LinalgOp>(op);
  return linalgOp && linalgOp.hasPureTensorSemantics() &&
                 linalg::isaContractionOpInterface(linalgOp)
             ? linalgOp
             : nullptr;
}

/// What the body of `op` yields for `result`.
static Value getYielded(LinalgOp op, Value result) {
  return op.getBlock()->getTerminator()->getOperand(
      cast<OpResult>(result).getResultNumber());
}

/// The input of `op` whose element `value` is, if it is one.
static OpOperand *getInput(LinalgOp op, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != op.getBlock() ||
      argument.getArgNumber() >= op.getNumDpsInputs())
    return nullptr;
  return op.getDpsInputOperand(argument.getArgNumber());
}

/// Whether all elements of `value` are one constant that `predicate` accepts.
static bool isFilledWith(Value value,
                         function_ref<bool(const APFloat &)> predicate) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>()) {
    APFloat constant(0.0);
    return matchPattern(fill.getInputs()[0], m_ConstantFloat(&constant)) &&
           predicate(constant);
  }
  DenseElementsAttr constant;
  return matchPattern(value, m_Constant(&constant)) && constant.isSplat() &&
         isa<FloatType>(constant.getElementType()) &&
         predicate(constant.getSplatValue<APFloat>());
}

static bool isZero(const APFloat &value) { return value.isZero(); }
static bool isLowest(const APFloat &value) {
  return value.isNegative() && (value.isInfinity() || value.isLargest());
}

/// Whether `op` passes on its only tensor operand in another shape.
static bool isReshape(Operation *op) {
  return isa_and_nonnull<tensor::CastOp, tensor::ExpandShapeOp,
                         tensor::CollapseShapeOp>(op);
}

/// The rotation that makes `value` but for its shape, type and scale.
static bool isRotated(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (isa<ApplyOp>(op))
      return true;
    LinalgOp elementwise = getElementwise(value);
    bool isUnary = elementwise && elementwise.getNumDpsInputs() == 1;
    if (!isUnary && !isReshape(op))
      return false;
    value = op->getOperand(0);
  }
  return false;
}

//===----------------------------------------------------------------------===//
// The matcher
//===----------------------------------------------------------------------===//

namespace {
using Products = llvm::SetVector<Operation *>;

/// Matches attention backwards from its second product.
class Raiser {
public:
  Raiser(RewriterBase &rewriter, LinalgOp values, OpOperand *weights,
         const Products &products)
      : rewriter(rewriter), values(values), weights(weights),
        products(products) {}

  /// Replaces the second product by attention. Leaves no more than operations
  /// that nothing uses on failure.
  LogicalResult raise();

  /// The first product, once it is found.
  LinalgOp product;
  /// What has taken their place.
  AttentionOp attention;
  /// All between the products, which goes away, and what it leaves unused.
  llvm::SetVector<Operation *> matched;
  /// Why there is no attention.
  std::string reason;

private:
  enum class Kind { query, key, value, score };
  /// An operand of attention, where it was found and as far back as a map can
  /// follow it.
  struct Operand {
    Kind kind;
    Value value;
    Dims dims;
    double scale = 1.0;
    bool isMapped = false;
  };

  LogicalResult fail(const Twine &why) {
    if (reason.empty())
      reason = why.str();
    return failure();
  }

  // Loops.
  unsigned makeAtom(Value value, int64_t dim);
  Labels resolve(const Labels &labels) const;
  Dims resolve(const Dims &dims) const;
  bool isSame(const Dims &a, const Dims &b) const {
    return resolve(a) == resolve(b);
  }
  int64_t countOuter() const;
  FailureOr<Dims> getLoops(AffineMap map, unsigned loops, const Dims &dims,
                           const Labels &others);
  static Dims apply(AffineMap map, const Dims &loops);
  LogicalResult beforeCollapse(tensor::CollapseShapeOp op, Dims &dims,
                               bool mayGroup);
  LogicalResult beforeReshape(Value &value, Dims &dims, bool mayGroup);

  // The parts, backwards.
  Operation *findProduct(Value value);
  LogicalResult matchValues();
  LogicalResult matchSoftmax(Value &value, Dims &dims);
  LogicalResult matchQuotient(LinalgOp op, Value &value, Dims &dims);
  template <typename... Ops>
  LogicalResult matchReduction(Value value, Dims dims, Value input,
                               const Dims &inputDims,
                               function_ref<bool(const APFloat &)> isInit);
  FailureOr<Value> emit(Value value, const Dims &dims);
  FailureOr<Value> emitElement(Value value, const Dims &dims);
  FailureOr<Value> emitBody(LinalgOp op, Value result, const Dims &loops);
  bool isIndexOnly(Value value);
  FailureOr<Value> emitIndex(Labels labels);
  Value emitCapture(Value value);
  Value convert(Value value, Type type);
  Type promote(Type type);
  LogicalResult matchProduct();
  LogicalResult checkUsers();
  void trace(Operand &operand);
  bool isMapped(const Operand &operand) const;

  // The result.
  FailureOr<AffineMap> getMap(const Dims &dims) const;
  FailureOr<OpFoldResult> getSize(unsigned atom);
  LogicalResult materialize(Operand &operand);
  LogicalResult build();
  void fillRegion();

  RewriterBase &rewriter;
  LinalgOp values;
  OpOperand *weights;
  const Products &products;

  /// Where the size of an atom is found, and what it was split into.
  struct Atom {
    Value value;
    int64_t dim;
    SmallVector<unsigned, 2> parts;
  };
  SmallVector<Atom> atoms;
  /// Those that are batch and head.
  std::optional<unsigned> batch, head;

  Dims outputDims, productDims;
  /// Query, key, value, then what enters the region.
  SmallVector<Operand> operands;

  FloatType scoreType;
  /// The region to be: the score, then the index of loops and the elements of
  /// operands as they are needed.
  Block scratch;
  OpBuilder builder{rewriter.getContext()};
  DenseMap<unsigned, Value> indices;
  SmallVector<Value> elements;
};
} // namespace

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

unsigned Raiser::makeAtom(Value value, int64_t dim) {
  atoms.push_back({value, dim, {}});
  return atoms.size() - 1;
}

Labels Raiser::resolve(const Labels &labels) const {
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

Dims Raiser::resolve(const Dims &dims) const {
  return llvm::map_to_vector(
      dims, [&](const Labels &labels) { return resolve(labels); });
}

int64_t Raiser::countOuter() const {
  return llvm::count_if(ArrayRef(atoms).drop_front(kFirstOuter),
                        [](const Atom &atom) { return atom.parts.empty(); });
}

/// The labels of the loops of an operation whose operand with `map` has `dims`.
/// Loops that it does not have get `others`.
FailureOr<Dims> Raiser::getLoops(AffineMap map, unsigned loops,
                                 const Dims &dims, const Labels &others) {
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
Dims Raiser::apply(AffineMap map, const Dims &loops) {
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    return dim ? loops[dim.getPosition()] : Labels();
  });
}

/// From the dimensions of the result to those of the source. `mayGroup` allows
/// a head to be a quotient and a remainder; else it is split for all tensors.
LogicalResult Raiser::beforeCollapse(tensor::CollapseShapeOp op, Dims &dims,
                                     bool mayGroup) {
  ArrayRef<int64_t> shape = op.getSrcType().getShape();
  Dims before(shape.size());
  for (auto [group, given] :
       llvm::zip_equal(op.getReassociationIndices(), dims)) {
    Labels labels = resolve(given);
    SmallVector<int64_t> wide = llvm::to_vector(llvm::make_filter_range(
        group, [&](int64_t dim) { return shape[dim] != 1; }));
    bool isOuter = !labels.empty() && labels.back().atom >= kFirstOuter &&
                   labels.back().isPlain();
    // A batch of one is a loop of its own, as a query must be indexed by it.
    if (!mayGroup && labels.size() == 1 && isOuter && group.size() == 2 &&
        countOuter() == 1) {
      SmallVector<unsigned, 2> parts;
      for (int64_t dim : group)
        parts.push_back(makeAtom(op.getSrc(), dim));
      atoms[labels[0].atom].parts = parts;
      labels = resolve(labels);
    }
    SmallVector<int64_t> chosen =
        labels.size() == group.size() ? llvm::to_vector(group) : wide;
    if (labels.size() + 1 == chosen.size() && isOuter && mayGroup &&
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
      const Atom &atom = atoms[label.atom];
      int64_t size =
          cast<ShapedType>(atom.value.getType()).getDimSize(atom.dim);
      if (!label.isPlain() && !ShapedType::isDynamic(size))
        size /= label.group;
      if (ShapedType::isDynamic(size) || ShapedType::isDynamic(shape[dim]))
        ++unknown;
      else if (size != shape[dim])
        return failure();
    }
    if (unknown > 1 && !llvm::all_of(labels, [&](const Label &label) {
          return atoms[label.atom].value == op.getSrc();
        }))
      return failure();
  }
  dims = std::move(before);
  return success();
}

/// One step back through a cast or reshape.
LogicalResult Raiser::beforeReshape(Value &value, Dims &dims, bool mayGroup) {
  Operation *op = value.getDefiningOp();
  if (!isReshape(op))
    return failure();
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    if (failed(beforeCollapse(collapse, dims, mayGroup)))
      return failure();
  } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    Dims before;
    for (const ReassociationIndices &group : expand.getReassociationIndices()) {
      Labels &labels = before.emplace_back();
      for (int64_t dim : group)
        llvm::append_range(labels, dims[dim]);
    }
    dims = std::move(before);
  }
  value = op->getOperand(0);
  return success();
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// The first product that `value` is computed from.
Operation *Raiser::findProduct(Value value) {
  SmallVector<Value> work = {value};
  DenseSet<Operation *> seen;
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (!op || !seen.insert(op).second)
      continue;
    if (products.contains(op) && op != values)
      return op;
    if (isReshape(op) || isa<linalg::SoftmaxOp>(op)) {
      work.push_back(op->getOperand(0));
    } else if (auto linalgOp = dyn_cast<LinalgOp>(op);
               linalgOp && !getContraction(op)) {
      llvm::append_range(work, linalgOp.getDpsInputs());
    }
  }
  return nullptr;
}

/// Names the loops of the second product.
LogicalResult Raiser::matchValues() {
  OpOperand *other = values.getDpsInputOperand(1 - weights->getOperandNumber());
  AffineMap map = values.getMatchingIndexingMap(weights);
  AffineMap otherMap = values.getMatchingIndexingMap(other);
  AffineMap out = values.getMatchingIndexingMap(values.getDpsInitOperand(0));
  if (!isFilledWith(values.getDpsInits()[0], isZero))
    return fail("the product with values adds to a tensor that is not zero");
  if (values.getNumReductionLoops() != 1 || !map.isProjectedPermutation() ||
      !otherMap.isProjectedPermutation() || !out.isProjectedPermutation())
    return fail("the loops of the product with values are not those of "
                "attention");

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
      loops[loop] = {{makeAtom(weights->get(), i)}};
    else
      atoms[loops[loop][0].atom] = {weights->get(), int64_t(i), {}};
  }
  unsigned channels = 0;
  for (auto [i, expr] : llvm::enumerate(otherMap.getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    if (!loops[loop].empty())
      continue;
    loops[loop] = {{kValueChannel}};
    atoms[kValueChannel] = {other->get(), int64_t(i), {}};
    ++channels;
  }
  if (!hasQuery || channels != 1 || countOuter() > 2 ||
      llvm::any_of(loops, [](const Labels &labels) { return labels.empty(); }))
    return fail("the loops of the product with values are not those of "
                "attention");
  outputDims = apply(out, loops);
  operands.resize(3);
  operands[2] = {Kind::value, other->get(), apply(otherMap, loops)};

  Value value = weights->get();
  Dims dims = apply(map, loops);
  scoreType = rewriter.getF32Type();
  for (Value operand :
       {product.getDpsInputs()[0], product.getDpsInputs()[1], other->get()})
    if (getElementTypeOrSelf(operand.getType()).isF64())
      scoreType = rewriter.getF64Type();
  scratch.addArgument(scoreType, values.getLoc());
  builder.setInsertionPointToEnd(&scratch);

  if (failed(matchSoftmax(value, dims)))
    return failure();
  FailureOr<Value> score = emit(value, dims);
  if (failed(score))
    return fail("its scores are not made by scalar operations alone");
  Value yielded = convert(*score, scoreType);
  YieldOp::create(builder, values.getLoc(), yielded);
  return success();
}

/// From the weights back to what the softmax takes.
LogicalResult Raiser::matchSoftmax(Value &value, Dims &dims) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op)) {
      if (resolve(dims[softmax.getDimension()]) != Labels{{kKey}})
        return fail("the softmax is not over the keys");
      matched.insert(op);
      value = softmax.getInput();
      return success();
    }
    matched.insert(op);
    if (succeeded(beforeReshape(value, dims, /*mayGroup=*/false)))
      continue;
    LinalgOp elementwise = getElementwise(value);
    if (!elementwise)
      break;
    FailureOr<Dims> loops = getLoops(
        elementwise.getIndexingMapMatchingResult(cast<OpResult>(value)),
        elementwise.getNumLoops(), dims, {});
    Value yielded = getYielded(elementwise, value);
    if (failed(loops))
      break;
    if (yielded.getDefiningOp<arith::DivFOp>())
      return matchQuotient(elementwise, value, dims = *loops);
    if (isa_and_nonnull<arith::TruncFOp, arith::ExtFOp>(
            yielded.getDefiningOp()))
      yielded = yielded.getDefiningOp()->getOperand(0);
    OpOperand *input = getInput(elementwise, yielded);
    if (!input || elementwise.getNumDpsInputs() != 1)
      break;
    AffineMap map = elementwise.getMatchingIndexingMap(input);
    if (!map.isPermutation())
      break;
    dims = apply(map, *loops);
    value = input->get();
  }
  return fail("the second product does not read a softmax of its scores");
}

/// exp(x - max) / sum. `dims` are the loops of `op`.
LogicalResult Raiser::matchQuotient(LinalgOp op, Value &value, Dims &dims) {
  auto mismatch = [&] {
    return fail("the second product does not read a softmax of its scores");
  };
  Dims loops = dims;
  auto quotient = getYielded(op, value).getDefiningOp<arith::DivFOp>();
  OpOperand *above = getInput(op, quotient.getLhs());
  OpOperand *below = getInput(op, quotient.getRhs());
  if (!above || !below)
    return mismatch();
  Value weight = above->get();
  Dims weightDims = apply(op.getMatchingIndexingMap(above), loops);
  Dims sumDims = apply(op.getMatchingIndexingMap(below), loops);

  LinalgOp power = getElementwise(weight);
  auto exponential =
      power ? getYielded(power, weight).getDefiningOp<math::ExpOp>() : nullptr;
  if (!exponential)
    return mismatch();
  matched.insert(power);
  if (failed(matchReduction<arith::AddFOp>(below->get(), sumDims, weight,
                                           weightDims, isZero)))
    return failure();
  // The difference stands in the same body or in one of its own.
  Value difference = exponential.getOperand();
  LinalgOp subtraction = power;
  FailureOr<Dims> inner =
      getLoops(power.getIndexingMapMatchingResult(cast<OpResult>(weight)),
               power.getNumLoops(), weightDims, {});
  if (OpOperand *input = getInput(power, difference);
      succeeded(inner) && input) {
    subtraction = getElementwise(input->get());
    if (!subtraction)
      return mismatch();
    matched.insert(subtraction);
    Dims inputDims = apply(power.getMatchingIndexingMap(input), *inner);
    inner = getLoops(
        subtraction.getIndexingMapMatchingResult(cast<OpResult>(input->get())),
        subtraction.getNumLoops(), inputDims, {});
    difference = getYielded(subtraction, input->get());
  }
  auto sub = difference.getDefiningOp<arith::SubFOp>();
  if (failed(inner) || !sub)
    return mismatch();
  OpOperand *score = getInput(subtraction, sub.getLhs());
  OpOperand *max = getInput(subtraction, sub.getRhs());
  if (!score || !max)
    return mismatch();
  dims = apply(subtraction.getMatchingIndexingMap(score), *inner);
  value = score->get();
  return matchReduction<arith::MaximumFOp, arith::MaxNumFOp>(
      max->get(), apply(subtraction.getMatchingIndexingMap(max), *inner), value,
      dims, isLowest);
}

/// `value` is the reduction of `input` over keys by one of `Ops`.
template <typename... Ops>
LogicalResult
Raiser::matchReduction(Value value, Dims dims, Value input,
                       const Dims &inputDims,
                       function_ref<bool(const APFloat &)> isInit) {
  auto mismatch = [&] {
    return fail("the second product does not read a softmax of its scores");
  };
  // A broadcast along the keys may precede.
  for (Labels &labels : dims)
    if (resolve(labels) == Labels{{kKey}})
      labels.clear();
  for (;;) {
    Operation *op = value.getDefiningOp();
    if (!op)
      return mismatch();
    matched.insert(op);
    if (succeeded(beforeReshape(value, dims, /*mayGroup=*/false)))
      continue;
    LinalgOp copy = getElementwise(value);
    OpOperand *source =
        copy ? getInput(copy, getYielded(copy, value)) : nullptr;
    if (!source)
      break;
    FailureOr<Dims> loops =
        getLoops(copy.getIndexingMapMatchingResult(cast<OpResult>(value)),
                 copy.getNumLoops(), dims, {});
    if (failed(loops))
      return mismatch();
    dims = apply(copy.getMatchingIndexingMap(source), *loops);
    value = source->get();
  }
  auto op = value.getDefiningOp<LinalgOp>();
  if (!op || !op.hasPureTensorSemantics() || op.getNumReductionLoops() != 1)
    return mismatch();
  OpOperand *init =
      op.getDpsInitOperand(cast<OpResult>(value).getResultNumber());
  Operation *combiner = getYielded(op, value).getDefiningOp();
  if (!isa_and_nonnull<Ops...>(combiner) || !isFilledWith(init->get(), isInit))
    return mismatch();
  Value state = op.getMatchingBlockArgument(init);
  OpOperand *reduced = nullptr;
  for (int64_t i : {0, 1})
    if (combiner->getOperand(1 - i) == state)
      reduced = getInput(op, combiner->getOperand(i));
  FailureOr<Dims> loops = getLoops(op.getMatchingIndexingMap(init),
                                   op.getNumLoops(), dims, {{kKey}});
  if (!reduced || reduced->get() != input || failed(loops))
    return mismatch();
  if (!isSame(apply(op.getMatchingIndexingMap(reduced), *loops), inputDims))
    return fail("the softmax is not over the keys");
  return success();
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// Scores are computed in one type, which holds what narrower ones do.
Type Raiser::promote(Type type) {
  auto floatType = dyn_cast<FloatType>(type);
  return floatType && floatType.getWidth() < scoreType.getWidth() ? scoreType
                                                                  : type;
}

Value Raiser::convert(Value value, Type type) {
  auto from = dyn_cast<FloatType>(value.getType());
  auto to = dyn_cast<FloatType>(type);
  if (!from || !to || from == to)
    return value;
  if (from.getWidth() < to.getWidth())
    return builder.createOrFold<arith::ExtFOp>(value.getLoc(), to, value);
  return builder.createOrFold<arith::TruncFOp>(value.getLoc(), to, value);
}

/// A scalar from outside of a body.
Value Raiser::emitCapture(Value value) {
  if (Operation *constant = value.getDefiningOp();
      constant && constant->hasTrait<OpTrait::ConstantLike>())
    value = builder.clone(*constant)->getResult(0);
  return convert(value, promote(value.getType()));
}

FailureOr<Value> Raiser::emitIndex(Labels labels) {
  labels = resolve(labels);
  if (labels.empty())
    return Value(arith::ConstantIndexOp::create(builder, values.getLoc(), 0));
  if (labels.size() != 1 || !labels[0].isPlain())
    return failure();
  Value &index = indices[labels[0].atom];
  if (!index)
    index = scratch.addArgument(builder.getIndexType(), values.getLoc());
  return index;
}

/// Whether `value` is computed from indices and scalars alone.
bool Raiser::isIndexOnly(Value value) {
  if (isReshape(value.getDefiningOp()))
    return isIndexOnly(value.getDefiningOp()->getOperand(0));
  LinalgOp op = getElementwise(value);
  return op && llvm::all_of(op.getDpsInputs(), [&](Value input) {
           return !isa<ShapedType>(input.getType()) || isIndexOnly(input);
         });
}

/// The element of `value` that the score of the loops of `dims` goes with.
FailureOr<Value> Raiser::emit(Value value, const Dims &dims) {
  Operation *op = value.getDefiningOp();
  if (!findProduct(value)) {
    // Masks that are made of indices need no memory.
    if (isIndexOnly(value))
      if (FailureOr<Value> element = emitElement(value, dims);
          succeeded(element))
        return element;
    operands.push_back({Kind::score, value, dims});
    elements.push_back(scratch.addArgument(
        getElementTypeOrSelf(value.getType()), value.getLoc()));
    return convert(elements.back(), promote(elements.back().getType()));
  }
  matched.insert(op);
  if (op == product) {
    if (!productDims.empty() && !isSame(productDims, dims))
      return failure();
    productDims = dims;
    return convert(scratch.getArgument(0),
                   promote(getElementTypeOrSelf(value.getType())));
  }
  return emitElement(value, dims);
}

/// The element that a reshape or scalar operations make.
FailureOr<Value> Raiser::emitElement(Value value, const Dims &dims) {
  Value before = value;
  Dims beforeDims = dims;
  if (succeeded(beforeReshape(before, beforeDims, /*mayGroup=*/false)))
    return emit(before, beforeDims);
  LinalgOp linalgOp = getElementwise(value);
  if (!linalgOp)
    return failure();
  FailureOr<Dims> loops =
      getLoops(linalgOp.getIndexingMapMatchingResult(cast<OpResult>(value)),
               linalgOp.getNumLoops(), dims, {});
  if (failed(loops))
    return failure();
  return emitBody(linalgOp, value, *loops);
}

FailureOr<Value> Raiser::emitBody(LinalgOp op, Value result,
                                  const Dims &loops) {
  IRMapping mapping;
  for (OpOperand *input : op.getDpsInputOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(input);
    if (argument.use_empty())
      continue;
    FailureOr<Value> element = Value();
    if (isa<ShapedType>(input->get().getType()))
      element =
          emit(input->get(), apply(op.getMatchingIndexingMap(input), loops));
    else
      element = emitCapture(input->get());
    if (failed(element))
      return failure();
    mapping.map(argument, *element);
  }
  auto lookup = [&](Value value) {
    if (Value mapped = mapping.lookupOrNull(value))
      return mapped;
    Value captured = emitCapture(value);
    mapping.map(value, captured);
    return captured;
  };
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      FailureOr<Value> value = emitIndex(loops[index.getDim()]);
      if (failed(value))
        return failure();
      mapping.map(index.getResult(), *value);
      continue;
    }
    for (Value operand : inner.getOperands()) {
      // What a destination held is no score.
      if (auto argument = dyn_cast<BlockArgument>(operand);
          argument && argument.getOwner() == op.getBlock() &&
          !mapping.contains(argument))
        return failure();
      lookup(operand);
    }
    if (isa<arith::ExtFOp, arith::TruncFOp>(inner)) {
      mapping.map(inner.getResult(0),
                  convert(mapping.lookup(inner.getOperand(0)),
                          promote(inner.getResult(0).getType())));
      continue;
    }
    if (!isMemoryEffectFree(&inner) || inner.getNumRegions() != 0 ||
        !isa_and_nonnull<arith::ArithDialect, math::MathDialect>(
            inner.getDialect()) ||
        isa<arith::BitcastOp>(inner))
      return failure();
    Operation *clone = builder.clone(inner, mapping);
    if (auto constant = dyn_cast<arith::ConstantOp>(clone)) {
      mapping.map(inner.getResult(0),
                  convert(constant, promote(constant.getType())));
      continue;
    }
    for (OpResult value : clone->getResults())
      value.setType(promote(value.getType()));
  }
  Value yielded = getYielded(op, result);
  if (auto argument = dyn_cast<BlockArgument>(yielded);
      argument && argument.getOwner() == op.getBlock() &&
      !mapping.contains(argument))
    return failure();
  return lookup(yielded);
}

//===----------------------------------------------------------------------===//
// Queries and keys
//===----------------------------------------------------------------------===//

LogicalResult Raiser::matchProduct() {
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
  for (OpOperand *input : product.getDpsInputOperands()) {
    AffineMap map = product.getMatchingIndexingMap(input);
    if (!map.isProjectedPermutation())
      return mismatch();
    Dims dims = apply(map, *loops);
    auto has = [&](unsigned atom) {
      return llvm::is_contained(dims, Labels{{atom}});
    };
    if (!has(kChannel) || has(kQuery) == has(kKey))
      return mismatch();
    for (auto [i, labels] : llvm::enumerate(dims))
      if (labels == Labels{{kChannel}})
        atoms[kChannel] = {input->get(), int64_t(i), {}};
    Kind kind = has(kQuery) ? Kind::query : Kind::key;
    operands[kind == Kind::query ? 0 : 1] = {kind, input->get(), dims};
  }
  if (!operands[0].value || !operands[1].value)
    return mismatch();
  return success();
}

/// Nothing outside needs what lies between the products.
LogicalResult Raiser::checkUsers() {
  for (Operation *op : matched)
    for (Operation *user : op->getUsers())
      if (user != values && !matched.contains(user))
        return fail("'" + op->getName().getStringRef() +
                    "' between the products has other users");
  return success();
}

/// Whether a map can stand for the dimensions of `operand`.
bool Raiser::isMapped(const Operand &operand) const {
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
    return has(kQuery) && has(kChannel);
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
void Raiser::trace(Operand &operand) {
  Operand next = operand;
  for (;;) {
    next.isMapped = isMapped(next);
    if (next.isMapped)
      operand = next;
    if (next.value.getDefiningOp<ApplyOp>())
      return;
    if (succeeded(
            beforeReshape(next.value, next.dims, next.kind != Kind::query)))
      continue;
    LinalgOp op = getElementwise(next.value);
    if (!op)
      return;
    Value yielded = getYielded(op, next.value);
    FailureOr<Dims> loops =
        getLoops(op.getIndexingMapMatchingResult(cast<OpResult>(next.value)),
                 op.getNumLoops(), next.dims, {});
    bool isFactor = next.kind == Kind::query || next.kind == Kind::key;
    if (auto product = yielded.getDefiningOp<arith::MulFOp>();
        product && isFactor) {
      APFloat factor(0.0);
      if (!matchPattern(product.getRhs(), m_ConstantFloat(&factor)) ||
          !factor.isFinite())
        return;
      next.scale *= FloatAttr::getValueAsDouble(factor);
      yielded = product.getLhs();
    }
    // Narrower elements are widened as they are loaded.
    if (auto extension = yielded.getDefiningOp<arith::ExtFOp>();
        extension && !extension.getType().isF64() && next.kind != Kind::score)
      yielded = extension.getIn();
    OpOperand *input = getInput(op, yielded);
    if (failed(loops) || !input || !isa<ShapedType>(input->get().getType()))
      return;
    next.dims = apply(op.getMatchingIndexingMap(input), *loops);
    next.value = input->get();
  }
}

//===----------------------------------------------------------------------===//
// The result
//===----------------------------------------------------------------------===//

/// The map from the loops of attention to `dims`.
FailureOr<AffineMap> Raiser::getMap(const Dims &dims) const {
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

FailureOr<OpFoldResult> Raiser::getSize(unsigned atom) {
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
  return OpFoldResult(rewriter.getIndexAttr(size));
}

/// Expands the dimensions of an operand that run over two loops.
LogicalResult Raiser::materialize(Operand &operand) {
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

/// Gives `attention` the scores' operations.
void Raiser::fillRegion() {
  Region &region = attention.getRegion();
  SmallVector<Type> types = {scoreType};
  types.append(4, rewriter.getIndexType());
  for (Value element : elements)
    types.push_back(element.getType());
  OpBuilder::InsertionGuard guard(rewriter);
  Block *block = rewriter.createBlock(
      &region, {}, types, SmallVector<Location>(types.size(), values.getLoc()));
  IRMapping mapping;
  mapping.map(scratch.getArgument(0), block->getArgument(0));
  for (auto [atom, index] : indices) {
    unsigned position = atom == kQuery  ? 3
                        : atom == kKey  ? 4
                        : atom == batch ? 1
                                        : 2;
    mapping.map(index, block->getArgument(position));
  }
  for (auto [i, element] : llvm::enumerate(elements))
    mapping.map(element, block->getArgument(5 + i));
  for (Operation &op : scratch)
    rewriter.clone(op, mapping);
}

LogicalResult Raiser::build() {
  // Names for the outer loops, in the order of the result. Heads are grouped.
  SmallVector<unsigned> outer;
  for (const Labels &labels : resolve(outputDims))
    for (const Label &label : labels)
      if (label.atom >= kFirstOuter)
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
  for (Operand &operand : operands)
    if (!operand.isMapped && failed(materialize(operand)))
      return fail("how an operand is indexed is no map of its dimensions");

  SmallVector<OpFoldResult> sizes;
  SmallVector<ReassociationIndices> groups;
  Dims resultDims;
  for (const Labels &labels : resolve(outputDims)) {
    ReassociationIndices &group = groups.emplace_back();
    for (const Label &label : labels) {
      FailureOr<OpFoldResult> size = getSize(label.atom);
      if (failed(size))
        return fail("the sizes of the result are not those of the operands");
      group.push_back(sizes.size());
      sizes.push_back(*size);
      resultDims.push_back({label});
    }
  }
  auto type = cast<RankedTensorType>(values->getResult(0).getType());
  auto init =
      tensor::EmptyOp::create(rewriter, loc, sizes, type.getElementType());
  if (!tensor::CastOp::areCastCompatible(
          tensor::CollapseShapeOp::inferCollapsedType(init.getType(), groups),
          type))
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
  attention = AttentionOp::create(
      rewriter, loc, TypeRange{init.getType()}, operands[0].value,
      operands[1].value, operands[2].value, /*key_scales=*/Value(),
      /*value_scales=*/Value(), /*pages=*/Value(), scoreOperands, Value(),
      Value(), Value(), ValueRange(), ValueRange(), ValueRange{init},
      rewriter.getAffineMapArrayAttr(maps),
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
  if (sizes.size() != size_t(type.getRank()))
    result = tensor::CollapseShapeOp::create(rewriter, loc, result, groups);
  if (result.getType() != type)
    result = tensor::CastOp::create(rewriter, loc, type, result);
  for (Value input : values.getDpsInputs())
    if (Operation *op = input.getDefiningOp())
      matched.insert(op);
  rewriter.replaceOp(values, result);
  return success();
}

LogicalResult Raiser::raise() {
  product = dyn_cast_or_null<LinalgOp>(findProduct(weights->get()));
  if (!product || failed(matchValues()) || failed(checkUsers()) ||
      failed(matchProduct()))
    return failure();
  for (Operand &operand : operands)
    trace(operand);
  // The query may have split a loop.
  for (Operand &operand : operands)
    operand.isMapped = isMapped(operand);
  return build();
}

//===----------------------------------------------------------------------===//
// Attributes in place of operations
//===----------------------------------------------------------------------===//

namespace {
/// The comparisons that hide keys, as attributes.
struct Visibility {
  explicit Visibility(AttentionOp op) : op(op) {}

  AttentionOp op;
  bool causal = false;
  std::optional<int64_t> window;
  /// Added to the query; null for nothing. One for all comparisons.
  std::optional<Value> offset;

  Value query() { return op.getRegion().front().getArgument(3); }
  Value key() { return op.getRegion().front().getArgument(4); }

  /// Takes over that keys are visible where `condition` is `value`.
  bool add(Value condition, bool value);
  bool isPosition(Value value);
  bool addOrder(arith::CmpIPredicate predicate, Value lhs, Value rhs);
};
} // namespace

static Value stripCasts(Value value) {
  while (isa_and_nonnull<arith::IndexCastOp, arith::ExtSIOp>(
      value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

/// Whether `value` is the query's index plus the offset.
bool Visibility::isPosition(Value value) {
  value = stripCasts(value);
  Value found;
  if (value != query()) {
    auto sum = value.getDefiningOp<arith::AddIOp>();
    if (!sum)
      return false;
    Value lhs = stripCasts(sum.getLhs()), rhs = stripCasts(sum.getRhs());
    if (rhs == query())
      std::swap(lhs, rhs);
    if (lhs != query() || (rhs.getParentRegion() == &op.getRegion() &&
                           !matchPattern(rhs, m_Constant())))
      return false;
    found = rhs;
  }
  auto isEqual = [](Value a, Value b) {
    Attribute first, second;
    return a == b || (a && b && matchPattern(a, m_Constant(&first)) &&
                      matchPattern(b, m_Constant(&second)) && first == second);
  };
  if (offset && !isEqual(*offset, found))
    return false;
  offset = found;
  return true;
}

/// Takes over `lhs predicate rhs`, which is signed and no equality.
bool Visibility::addOrder(arith::CmpIPredicate predicate, Value lhs,
                          Value rhs) {
  using Predicate = arith::CmpIPredicate;
  lhs = stripCasts(lhs);
  rhs = stripCasts(rhs);
  if (predicate == Predicate::sgt || predicate == Predicate::sge) {
    std::swap(lhs, rhs);
    predicate = predicate == Predicate::sgt ? Predicate::slt : Predicate::sle;
  }
  bool isStrict = predicate == Predicate::slt;
  // key <= position
  if (lhs == key() && !isStrict && isPosition(rhs)) {
    causal = true;
    return true;
  }
  // position - key < window, or position - window < key
  APInt size;
  auto difference = lhs.getDefiningOp<arith::SubIOp>();
  if (!difference)
    return false;
  if (stripCasts(difference.getRhs()) == key()) {
    if (!matchPattern(rhs, m_ConstantInt(&size)) ||
        !isPosition(difference.getLhs()))
      return false;
  } else if (rhs != key() ||
             !matchPattern(difference.getRhs(), m_ConstantInt(&size)) ||
             !isPosition(difference.getLhs())) {
    return false;
  }
  if (size.getSignificantBits() > 62 || size.getSExtValue() + !isStrict <= 0)
    return false;
  int64_t keys = size.getSExtValue() + !isStrict;
  window = std::min(window.value_or(keys), keys);
  return true;
}

bool Visibility::add(Value condition, bool value) {
  if (auto both = condition.getDefiningOp<arith::AndIOp>(); both && value)
    return add(both.getLhs(), true) && add(both.getRhs(), true);
  if (auto either = condition.getDefiningOp<arith::OrIOp>(); either && !value)
    return add(either.getLhs(), false) && add(either.getRhs(), false);
  auto compare = condition.getDefiningOp<arith::CmpIOp>();
  if (!compare)
    return false;
  using Predicate = arith::CmpIPredicate;
  Predicate predicate = compare.getPredicate();
  if (!value)
    predicate = arith::invertPredicate(predicate);
  // Indices themselves have no sign.
  Value lhs = compare.getLhs(), rhs = compare.getRhs();
  bool areIndices = llvm::all_of(compare.getOperands(), [&](Value operand) {
    return stripCasts(operand) == key() || stripCasts(operand) == query();
  });
  switch (predicate) {
  case Predicate::ult:
  case Predicate::ule:
  case Predicate::ugt:
  case Predicate::uge:
    if (!areIndices)
      return false;
    predicate = predicate == Predicate::ult   ? Predicate::slt
                : predicate == Predicate::ule ? Predicate::sle
                : predicate == Predicate::ugt ? Predicate::sgt
                                              : Predicate::sge;
    break;
  case Predicate::eq:
  case Predicate::ne:
    return false;
  default:
    break;
  }
  return addOrder(predicate, lhs, rhs);
}

/// Whether `value` is -inf where `select` hides; sets what it keeps else.
static bool matchHiding(arith::SelectOp select, Value &kept, bool &isVisible) {
  isVisible = matchPattern(select.getFalseValue(), m_NegInfFloat());
  kept = isVisible ? select.getTrueValue() : select.getFalseValue();
  return isVisible || matchPattern(select.getTrueValue(), m_NegInfFloat());
}

/// Turns the last operations of the region that hide keys into attributes.
static void raiseVisibility(RewriterBase &rewriter, AttentionOp op) {
  auto yield = cast<YieldOp>(op.getRegion().front().getTerminator());
  Value score = yield.getScore();
  Visibility visibility(op);
  for (;;) {
    Value kept, rest;
    bool isVisible = false;
    auto select = score.getDefiningOp<arith::SelectOp>();
    if (auto sum = score.getDefiningOp<arith::AddFOp>()) {
      // A mask of zero and minus infinity.
      for (int64_t i : {0, 1})
        if (auto mask = sum->getOperand(i).getDefiningOp<arith::SelectOp>();
            mask && matchHiding(mask, kept, isVisible) &&
            matchPattern(kept, m_AnyZeroFloat())) {
          select = mask;
          rest = sum->getOperand(1 - i);
        }
    } else if (select && matchHiding(select, kept, isVisible)) {
      rest = kept;
    }
    Visibility next = visibility;
    if (!rest || !next.add(select.getCondition(), isVisible))
      break;
    visibility = next;
    score = rest;
  }
  if (!visibility.causal)
    return;
  Value offset = visibility.offset.value_or(Value());
  Attribute constant;
  if (offset && matchPattern(offset, m_Constant(&constant))) {
    rewriter.setInsertionPoint(op);
    offset = rewriter.clone(*offset.getDefiningOp())->getResult(0);
  }
  rewriter.modifyOpInPlace(op, [&] {
    op.setCausal(true);
    if (visibility.window)
      op.setWindow(*visibility.window);
    if (offset)
      op.getQueryOffsetMutable().assign(offset);
  });
  rewriter.modifyOpInPlace(yield, [&] { yield.getScoreMutable().set(score); });
}

/// Takes a factor of the product over into the scale.
static void raiseScale(RewriterBase &rewriter, AttentionOp op) {
  Value score = op.getRegion().front().getArgument(0);
  if (!score.hasOneUse())
    return;
  Operation *user = *score.user_begin();
  APFloat constant(0.0);
  if (!isa<arith::MulFOp, arith::DivFOp>(user))
    return;
  unsigned other = 1 - score.use_begin()->getOperandNumber();
  if ((other == 0 && isa<arith::DivFOp>(user)) ||
      !matchPattern(user->getOperand(other), m_ConstantFloat(&constant)))
    return;
  double factor = FloatAttr::getValueAsDouble(constant);
  double scale = op.getScale().convertToDouble();
  scale = isa<arith::MulFOp>(user) ? scale * factor : scale / factor;
  if (!std::isfinite(scale))
    return;
  rewriter.modifyOpInPlace(op, [&] { op.setScale(APFloat(scale)); });
  rewriter.replaceOp(user, score);
}

/// A region of a bare score is none.
static void simplifyRegion(RewriterBase &rewriter, AttentionOp op) {
  Block &block = op.getRegion().front();
  SmallVector<Operation *> inner;
  for (Operation &scalar : block.without_terminator())
    inner.push_back(&scalar);
  for (Operation *scalar : llvm::reverse(inner))
    if (isOpTriviallyDead(scalar))
      rewriter.eraseOp(scalar);
  if (op.getScoreOperands().empty() &&
      cast<YieldOp>(block.getTerminator()).getScore() == block.getArgument(0))
    rewriter.eraseBlock(&block);
}

/// Erases `roots` and what they are computed from, as far as nothing uses it.
static void eraseDead(RewriterBase &rewriter, ArrayRef<Operation *> roots,
                      Products &products) {
  SmallVector<Operation *> work(roots);
  DenseSet<Operation *> erased;
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    if (erased.contains(op) || !isOpTriviallyDead(op))
      continue;
    for (Value operand : op->getOperands())
      if (Operation *before = operand.getDefiningOp())
        work.push_back(before);
    erased.insert(op);
    products.remove(op);
    rewriter.eraseOp(op);
  }
}

void rope::raiseAttention(RewriterBase &rewriter, Operation *root) {
  Products products;
  SmallVector<LinalgOp> contractions;
  root->walk([&](LinalgOp op) {
    if (!getContraction(op))
      return;
    contractions.push_back(op);
    if (llvm::any_of(op.getDpsInputs(), isRotated))
      products.insert(op);
  });
  DenseMap<Operation *, std::string> reasons;
  for (LinalgOp values : contractions) {
    for (OpOperand *weights : values.getDpsInputOperands()) {
      Raiser raiser(rewriter, values, weights, products);
      if (failed(raiser.raise())) {
        if (raiser.product)
          reasons.try_emplace(raiser.product, raiser.reason);
        continue;
      }
      reportOther(raiser.product, kName, true, "raised to rope.attention");
      products.remove(raiser.product);
      eraseDead(rewriter, raiser.matched.getArrayRef(), products);
      raiseVisibility(rewriter, raiser.attention);
      raiseScale(rewriter, raiser.attention);
      simplifyRegion(rewriter, raiser.attention);
      break;
    }
  }
  for (Operation *product : products) {
    std::string reason = reasons.lookup(product);
    reportOther(
        product, kName, false,
        "product not raised: " +
            (reason.empty() ? "no second product reads its scores" : reason));
  }
}

//===- Raise.cpp - find rotations in graphs of other operations -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rotation may end in any operation that puts channels together. From each
// sum it is tried whether its tensor is one, then those made of it by moving
// elements; and, of those that are, the largest is taken.
//
//===----------------------------------------------------------------------===//

#include "RaiseBuild.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Complex/IR/Complex.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tosa/IR/TosaOps.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/Support/Format.h"

namespace mlir::rope {
#define GEN_PASS_DEF_RAISE
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;
using linalg::LinalgOp;

static constexpr StringLiteral kName = "rope-raise";
/// Heads are not wider, and tensors that are take long to read.
static constexpr int64_t kMaxChannels = 4096;

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

/// Whether `op` computes a sum, in the body or on tensors.
static bool hasSum(Operation *op) {
  auto isSum = [](Operation *op) {
    return isa<arith::AddFOp, arith::SubFOp, math::FmaOp, complex::MulOp,
               tosa::AddOp, tosa::SubOp>(op);
  };
  if (auto linalgOp = dyn_cast<LinalgOp>(op))
    return llvm::any_of(*linalgOp.getBlock(),
                        [&](Operation &inner) { return isSum(&inner); });
  if (auto generate = dyn_cast<tensor::GenerateOp>(op))
    return llvm::any_of(generate.getBody().front(),
                        [&](Operation &inner) { return isSum(&inner); });
  return isSum(op);
}

/// The operation whose results are made where `user` reads: that of the body
/// that it stands in.
static Operation *getReader(Operation *user) {
  for (Operation *op = user->getParentOp(); op; op = op->getParentOp())
    if (isa<LinalgOp, tensor::GenerateOp>(op))
      return op;
  return user;
}

/// Why elements of what `op` computes cannot be read, if it is a sum of two
/// products.
static std::string whyUnread(Operation *op) {
  auto isProduct = [](Value value) {
    return isa_and_nonnull<arith::MulFOp, tosa::MulOp>(value.getDefiningOp());
  };
  auto isSumOfProducts = [&](Operation *op) {
    return isa<arith::AddFOp, arith::SubFOp, tosa::AddOp, tosa::SubOp>(op) &&
           llvm::all_of(op->getOperands(), isProduct);
  };
  if (auto linalgOp = dyn_cast<LinalgOp>(op)) {
    bool isOnBuffers = !linalgOp.hasPureTensorSemantics();
    return isOnBuffers && llvm::any_of(*linalgOp.getBlock(),
                                       [&](Operation &inner) {
                                         return isSumOfProducts(&inner);
                                       })
               ? "it works on memrefs, which others may write to: raise before "
                 "bufferization"
               : "";
  }
  bool isUnranked =
      llvm::any_of(op->getResultTypes(), llvm::IsaPred<UnrankedTensorType>);
  if (isUnranked && isSumOfProducts(op))
    return "its rank is not known";
  // Scalars that a loop loads.
  bool isLoaded =
      isSumOfProducts(op) && isa<FloatType>(op->getOperand(0).getType()) &&
      getReader(op) == op && llvm::any_of(op->getOperands(), [](Value product) {
        return llvm::any_of(product.getDefiningOp()->getOperands(),
                            [](Value factor) {
                              Operation *load = factor.getDefiningOp();
                              return load && !isMemoryEffectFree(load);
                            });
      });
  return isLoaded ? "it is computed from scalars that are loaded from memrefs"
                  : "";
}

/// Whether the elements of a result of `op` may be those of an operand, moved.
static bool isAssembly(Operation *op) {
  if (auto linalgOp = dyn_cast<LinalgOp>(op))
    return linalgOp.hasPureTensorSemantics() &&
           linalgOp.getNumLoops() == linalgOp.getNumParallelLoops();
  return isa<tensor::ConcatOp, tensor::InsertSliceOp, tensor::ExtractSliceOp,
             tosa::SliceOp, tensor::GenerateOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::ReshapeOp, tensor::CastOp,
             tensor::PadOp, arith::AddFOp, arith::SubFOp, arith::NegFOp,
             arith::SelectOp, arith::TruncFOp, arith::ExtFOp, complex::ReOp,
             complex::ImOp, tosa::ReshapeOp, tosa::ConcatOp, tosa::PadOp,
             tosa::AddOp, tosa::SubOp, tosa::TransposeOp, tosa::CastOp>(op);
}

namespace {
/// A rotation that was found, with all that describes it.
struct Found {
  std::unique_ptr<Elements> elements;
  std::unique_ptr<RotationRoot> root;
  Rotation rotation;
};

class RotationRaiser {
public:
  RotationRaiser(RewriterBase &rewriter, bool exact)
      : rewriter(rewriter), exact(exact) {}

  void run(Operation *top);

private:
  std::optional<Found> match(RotationRoot root, ArrayRef<int64_t> dims,
                             int64_t minChannels);
  std::optional<Found> match(RotationRoot root, int64_t minChannels = 2);
  std::optional<Found> matchTensor(Value tensor, int64_t minChannels = 2);
  std::optional<Found> search(Operation *op);
  std::optional<Found> searchBody(LinalgOp op);
  Found extend(Found found);
  bool raise(Found found);
  void replaceInBody(const RotationRoot &root, Value rotated);
  void eraseDead(Operation *op);

  RewriterBase &rewriter;
  bool exact;
  /// What looks like a rotation and is none, and why.
  llvm::MapVector<Operation *, std::string> reasons;
  DenseSet<Operation *> erased;
  ConstantColumns columns;
  Sizes sizes;
  /// Of the search that is under way: the best reason, and how much was found.
  std::string reason;
  unsigned progress = 0;
};
} // namespace

std::optional<Found> RotationRaiser::match(RotationRoot given,
                                           ArrayRef<int64_t> dims,
                                           int64_t minChannels) {
  given.channelDims.assign(dims.begin(), dims.end());
  given.channels = 1;
  for (int64_t dim : dims) {
    int64_t size = given.sizes[dim];
    if (ShapedType::isDynamic(size) || size > kMaxChannels)
      return std::nullopt;
    given.channels *= size;
  }
  if (given.channels < minChannels || given.channels > kMaxChannels)
    return std::nullopt;
  Found found;
  found.root = std::make_unique<RotationRoot>(std::move(given));
  found.elements = std::make_unique<Elements>(
      rewriter.getContext(), found.root->sizes, sizes, columns);
  RotationMatcher matcher(*found.elements, *found.root);
  if (std::optional<Rotation> rotation = matcher.match()) {
    found.rotation = std::move(*rotation);
    return found;
  }
  if (matcher.progress > progress) {
    progress = matcher.progress;
    reason = matcher.reason;
  }
  return std::nullopt;
}

/// Tries the dimensions that channels may run over: two, where one of them is
/// that of the two channels of a pair, else the innermost first.
std::optional<Found> RotationRaiser::match(RotationRoot root,
                                           int64_t minChannels) {
  int64_t rank = root.sizes.size();
  for (int64_t i = rank - 2; i >= 0; --i)
    if (root.sizes[i] == 2 || root.sizes[i + 1] == 2)
      if (std::optional<Found> found = match(root, {i, i + 1}, minChannels))
        return found;
  for (int64_t i = rank - 1; i >= 0; --i)
    if (std::optional<Found> found = match(root, {i}, minChannels))
      return found;
  return std::nullopt;
}

/// One of `minChannels` at least.
std::optional<Found> RotationRaiser::matchTensor(Value tensor,
                                                 int64_t minChannels) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  if (!type || !isa<FloatType>(type.getElementType()) || type.getRank() > 16 ||
      llvm::is_contained(type.getShape(), 0) || !isa<OpResult>(tensor))
    return std::nullopt;
  RotationRoot root;
  root.tensor = tensor;
  root.sizes = llvm::to_vector(type.getShape());
  return match(std::move(root), minChannels);
}

/// The loops that `scalar`, in the body of `op`, depends on.
static llvm::SmallBitVector getLoops(LinalgOp op, Value scalar) {
  llvm::SmallBitVector loops(op.getNumLoops());
  SmallVector<Value> work = {scalar};
  DenseSet<Value> seen;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() != op.getBlock())
        continue;
      AffineMap map =
          op.getMatchingIndexingMap(op.getMatchingOpOperand(argument));
      for (unsigned i = 0, e = loops.size(); i != e; ++i)
        if (map.isFunctionOfDim(i))
          loops.set(i);
    } else if (value.getDefiningOp()->getBlock() == op.getBlock()) {
      if (auto index = value.getDefiningOp<linalg::IndexOp>())
        loops.set(index.getDim());
      llvm::append_range(work, value.getDefiningOp()->getOperands());
    }
  }
  return loops;
}

/// A rotation that ends in a scalar of a body, over the loops that the scalar
/// depends on.
std::optional<Found> RotationRaiser::searchBody(LinalgOp op) {
  if (!isa<linalg::GenericOp>(*op) || !op.hasPureTensorSemantics() ||
      op.getNumLoops() > 16)
    return std::nullopt;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  if (llvm::is_contained(ranges, 0))
    return std::nullopt;
  for (Operation &inner : llvm::reverse(*op.getBlock())) {
    if (!isa<arith::AddFOp, arith::SubFOp, math::FmaOp>(inner))
      continue;
    RotationRoot root;
    root.tensor = op->getResult(0);
    root.body = op;
    root.scalar = inner.getResult(0);
    root.sizes = ranges;
    llvm::SmallBitVector loops = getLoops(op, root.scalar);
    for (auto [i, size] : llvm::enumerate(root.sizes))
      if (!loops.test(i))
        size = 1;
    if (std::optional<Found> found = match(std::move(root)))
      return found;
  }
  return std::nullopt;
}

/// The rotation that the sum `op` is a part of.
std::optional<Found> RotationRaiser::search(Operation *op) {
  static constexpr size_t kMaxTensors = 24;
  reason.clear();
  progress = 0;
  SmallVector<Value> work;
  DenseSet<Value> seen;
  auto push = [&](Value value) {
    if (isa<RankedTensorType>(value.getType()) && seen.insert(value).second)
      work.push_back(value);
  };
  for (Value result : op->getResults())
    push(result);
  std::optional<Found> single;
  for (size_t i = 0; i < work.size(); ++i) {
    Value value = work[i];
    if (std::optional<Found> found = matchTensor(value)) {
      // One pair may be one of the many of a tensor that is put together later.
      if (found->rotation.getNumPairs() > 1)
        return found;
      if (!single)
        single = std::move(found);
      progress = std::max(progress, 1u);
    }
    // Sums of other things do not become rotations. Of complex numbers, and of
    // tensors of one channel, it is seen later.
    bool isOpen = isa<ComplexType>(getElementTypeOrSelf(value)) ||
                  llvm::none_of(cast<ShapedType>(value.getType()).getShape(),
                                [](int64_t size) { return size > 1; });
    if ((progress == 0 && !isOpen) || work.size() > kMaxTensors)
      continue;
    for (Operation *user : value.getUsers())
      if (Operation *reader = getReader(user); isAssembly(reader))
        for (Value result : reader->getResults())
          push(result);
  }
  if (single)
    return single;
  if (auto linalgOp = dyn_cast<LinalgOp>(op))
    return searchBody(linalgOp);
  return std::nullopt;
}

/// The rotation that goes on to further channels, if what is made of `found`
/// alone adds some.
Found RotationRaiser::extend(Found found) {
  static constexpr unsigned kMaxSteps = 8, kMaxTensors = 16;
  if (found.root->scalar)
    return found;
  // All that is made of it by moving elements, step by step. Where but one
  // tensor of these is read by others, that may take its place.
  llvm::SetVector<Value> made;
  made.insert(found.root->tensor);
  auto isSize = [](Operation *user) { return isa<tensor::DimOp>(user); };
  for (unsigned step = 0; step != kMaxSteps; ++step) {
    SmallVector<Value> next;
    for (Value value : made)
      for (Operation *user : value.getUsers())
        if (Operation *reader = getReader(user);
            reader->getNumResults() == 1 && isAssembly(reader) &&
            isa<RankedTensorType>(reader->getResult(0).getType()))
          next.push_back(reader->getResult(0));
    size_t before = made.size();
    made.insert(next.begin(), next.end());
    if (made.size() == before || made.size() > kMaxTensors)
      break;
    SmallVector<Value> ends = llvm::filter_to_vector(made, [&](Value value) {
      return llvm::any_of(value.getUsers(), [&](Operation *user) {
        Operation *reader = getReader(user);
        return !isSize(user) && (reader->getNumResults() != 1 ||
                                 !made.contains(reader->getResult(0)));
      });
    });
    if (ends.size() != 1 || ends.front() == found.root->tensor)
      continue;
    // As many are enough where they run over one dimension in place of two.
    bool isSplit = found.root->channelDims.size() > 1;
    std::optional<Found> wider =
        matchTensor(ends.front(), found.root->channels + !isSplit);
    if (wider &&
        wider->rotation.getNumPairs() >= found.rotation.getNumPairs() &&
        (wider->root->channels > found.root->channels ||
         wider->root->channelDims.size() < found.root->channelDims.size()))
      found = std::move(*wider);
  }
  return found;
}

/// Whether nothing but an assertion about bounds would be lost with `op`.
static bool isDead(Operation *op) {
  if (isOpTriviallyDead(op))
    return true;
  auto linalgOp = dyn_cast<LinalgOp>(op);
  return linalgOp && linalgOp.hasPureTensorSemantics() && op->use_empty() &&
         llvm::all_of(*linalgOp.getBlock(), [](Operation &inner) {
           return isa<cf::AssertOp>(inner) || isPure(&inner);
         });
}

/// Erases `op` and what it is computed from, as far as nothing uses it but its
/// sizes, which are computed from those of its operands.
void RotationRaiser::eraseDead(Operation *op) {
  SmallVector<Operation *> work = {op};
  while (!work.empty()) {
    Operation *dead = work.pop_back_val();
    if (erased.contains(dead))
      continue;
    for (OpResult result : dead->getResults())
      for (Operation *user : llvm::make_early_inc_range(result.getUsers())) {
        auto dim = dyn_cast<tensor::DimOp>(user);
        std::optional<int64_t> index = dim && dim.getSource() == result
                                           ? dim.getConstantIndex()
                                           : std::nullopt;
        if (!index ||
            !llvm::all_of(dead->getUsers(), llvm::IsaPred<tensor::DimOp>))
          continue;
        rewriter.setInsertionPoint(dim);
        // What was found before is of operations that may be gone.
        sizes.clear();
        OpFoldResult size = sizes.make(rewriter, dim.getLoc(), result, *index);
        if (!size)
          size =
              reifyDimOfResult(rewriter, dead, result.getResultNumber(), *index)
                  .value_or(OpFoldResult());
        if (!size)
          continue;
        erased.insert(dim);
        rewriter.replaceOp(
            dim, getValueOrCreateConstantIndexOp(rewriter, dim.getLoc(), size));
      }
    if (!isDead(dead))
      continue;
    dead->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (Operation *before = operand.getDefiningOp();
            before && !dead->isAncestor(before))
          work.push_back(before);
    });
    erased.insert(dead);
    rewriter.eraseOp(dead);
  }
}

/// What a remark says of a rotation that was raised.
static std::string describe(const Rotation &rotation, const RotationRoot &root,
                            const RotationBuilder &builder) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << rotation.getNumPairs() << " pairs, "
     << stringifyPairing(rotation.pairing);
  if (rotation.pairing != rotation.resultPairing)
    os << " to " << stringifyPairing(rotation.resultPairing);
  os << ", of " << root.channels << " channels";
  if (rotation.offset)
    os << " from channel " << rotation.offset << " on";
  if (rotation.isTransposed)
    os << ", transposed";
  if (TableOp table = builder.table) {
    os << "; table of known frequencies";
    auto frequencies = table.getFrequencies().getDefiningOp<FrequenciesOp>();
    if (auto values = frequencies ? dyn_cast_or_null<DenseElementsAttr>(
                                        Attribute(frequencies.getValuesAttr()))
                                  : DenseElementsAttr())
      if (std::optional<double> base =
              fitBase(llvm::to_vector(values.getValues<double>())))
        os << ", those of base " << llvm::format("%g", *base);
  } else {
    os << "; given cosines and sines: " << builder.untraced;
  }
  FloatType element = root.getElementType();
  if (element.getWidth() < 32)
    os << "; rounded to " << (element.isBF16() ? "bf16" : "16 bits") << " once";
  return text;
}

/// Writes `found` in rope operations in place of what computes it.
bool RotationRaiser::raise(Found found) {
  const RotationRoot &root = *found.root;
  // Both a body's and a tensor's.
  Operation *owner = root.tensor.getDefiningOp();
  Operation *before = owner->getPrevNode();
  rewriter.setInsertionPoint(owner);
  RotationBuilder builder(rewriter, *found.elements, root, owner->getLoc(),
                          exact);
  Value result = builder.build(found.rotation);
  if (!result) {
    reason = builder.reason;
    // What was built by then.
    for (Operation *op = owner->getPrevNode(); op != before;) {
      Operation *built = std::exchange(op, op->getPrevNode());
      if (built->use_empty())
        rewriter.eraseOp(built);
    }
    sizes.clear();
    return false;
  }
  reportOther(owner, kName, true,
              "rotation raised: " + describe(found.rotation, root, builder));
  if (root.scalar) {
    replaceInBody(root, result);
  } else {
    rewriter.replaceAllUsesWith(root.tensor, result);
    eraseDead(owner);
  }
  sizes.clear();
  return true;
}

/// Has the body that computes `root.scalar` read `rotated` as an operand.
void RotationRaiser::replaceInBody(const RotationRoot &root, Value rotated) {
  auto generic = cast<linalg::GenericOp>(*root.body);
  SmallVector<Value> inputs(generic.getInputs());
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  SmallVector<AffineExpr> dims;
  for (auto [i, size] : llvm::enumerate(root.sizes))
    if (size != 1)
      dims.push_back(rewriter.getAffineDimExpr(i));
  maps.insert(
      maps.begin() + inputs.size(),
      AffineMap::get(generic.getNumLoops(), 0, dims, rewriter.getContext()));
  inputs.push_back(rotated);
  auto replaced = linalg::GenericOp::create(
      rewriter, generic.getLoc(), generic.getResultTypes(), inputs,
      generic.getOutputs(), maps, generic.getIteratorTypesArray());
  rewriter.inlineRegionBefore(generic.getRegion(), replaced.getRegion(),
                              replaced.getRegion().end());
  Block *block = replaced.getBlock();
  Value scalar = block->insertArgument(inputs.size() - 1, root.scalar.getType(),
                                       generic.getLoc());
  Operation *sum = root.scalar.getDefiningOp();
  rewriter.replaceAllUsesWith(root.scalar, scalar);
  SmallVector<Operation *> inner = llvm::map_to_vector(
      block->without_terminator(), [](Operation &op) { return &op; });
  for (Operation *op : llvm::reverse(inner))
    if (op == sum || isOpTriviallyDead(op))
      rewriter.eraseOp(op);
  SmallVector<Operation *> before;
  for (Value input : generic.getInputs())
    if (Operation *op = input.getDefiningOp())
      before.push_back(op);
  rewriter.replaceOp(generic, replaced.getResults());
  erased.insert(root.body);

  // Operands that the body does not read any more.
  RewritePatternSet patterns(rewriter.getContext());
  linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
  (void)applyOpPatternsGreedily(
      replaced.getOperation(), std::move(patterns),
      GreedyRewriteConfig().enableFolding(false).setStrictness(
          GreedyRewriteStrictness::ExistingOps));
  for (Operation *op : before)
    eraseDead(op);
}

void RotationRaiser::run(Operation *top) {
  SmallVector<Operation *> sums;
  top->walk([&](Operation *op) {
    if (!hasSum(op))
      return;
    // Of what is not read it is said why.
    if (std::string why = whyUnread(op); !why.empty()) {
      reasons[op] = why;
      return;
    }
    // Bodies are read with the operations that they belong to, which may have
    // but effects.
    if (op->getNumResults() == 0)
      return;
    if (!isa<LinalgOp>(op) && getReader(op) != op)
      return;
    sums.push_back(op);
  });
  bool isChanged = false;
  for (Operation *op : sums) {
    if (erased.contains(op))
      continue;
    std::optional<Found> found = search(op);
    if (found && raise(extend(std::move(*found))))
      isChanged = true;
    else if (!reason.empty())
      reasons[op] = reason;
  }
  for (const auto &[op, why] : reasons)
    if (!erased.contains(op))
      reportOther(op, kName, false, "sum of two products not raised: " + why);
  // Rotations of one table have one of their own each so far.
  if (isChanged) {
    DominanceInfo dominance(top);
    eliminateCommonSubExpressions(rewriter, dominance, top);
  }
}

void rope::raiseRotations(RewriterBase &rewriter, Operation *root, bool exact) {
  RotationRaiser(rewriter, exact).run(root);
}

namespace {
struct Raise : rope::impl::RaiseBase<Raise> {
  using RaiseBase::RaiseBase;
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    raiseRotations(rewriter, getOperation(), exact);
  }
};
} // namespace

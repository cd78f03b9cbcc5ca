//===- Vectorize.cpp - elementwise linalg to loops over vectors -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rows of an elementwise operation, its innermost loop, become vectors; the
// other loops stay loops. A row of a static size is cut into full vectors and,
// for its rest, vectors of smaller powers of two, so nothing is read or written
// out of bounds. Short rows are unrolled: then what does not change with the
// inner loops, such as a table's row for all heads, is read outside them and
// stays in registers.
//
// The order of elements in vectors is what costs least to read and write: even
// and odd ones apart where bf16 comes in words of two, that of shuffles within
// 128 bits where pairs are interleaved. All operands of an operation follow it.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Passes.h"
#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/TargetParser/Triple.h"
#include <numeric>

namespace mlir::rope {
#define GEN_PASS_DEF_VECTORIZE
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// Rows of up to this many vectors are unrolled.
static constexpr int64_t kMaxUnrolled = 8;

/// A line of the cache, in bytes.
static constexpr int64_t kLine = 64;

/// What streams is asked for this many bytes ahead. Rotating f32 and bf16 in
/// heads of 128 channels, half and interleaved, reached 1.01, 1.00, 1.00 and
/// 0.95 of the speed of the fastest copy with 8192, 0.98, 0.96, 1.00 and 0.98
/// with 4096, and 0.96, 0.89, 0.90 and 0.92 with 2048, on a Zen 5 core; in
/// place more is better, up to 8192. Keeping what is read out of the outer
/// caches (locality 0) changes nothing.
static constexpr int64_t kPrefetchDistance = 8192;

/// Rows of results that are longer, in bytes, are written one after the other,
/// and what they are made of is read for each. Stores around the cache that go
/// to and fro over more than that are as slow as stores to the cache: 0.70 of
/// the copy's speed instead of 0.95, f32 in halves of 128, on a Zen 5 core.
static constexpr int64_t kLongestInTurns = 256;

/// The narrowest non-temporal store of a vector, in bytes. Rows written by it
/// in order are as fast as by whole lines.
static constexpr int64_t kNarrowestStreamed = 16;

namespace {
/// How an operand is accessed.
struct Access {
  OpOperand *operand = nullptr;
  AffineMap map;
  /// What is read or written: the operand, or the contiguous view over it and
  /// its partner.
  Value memref;
  /// Changes along a row.
  bool isVector = false;
  /// Every other element of `memref`; the other ones are those of `partner`.
  std::optional<unsigned> partner;
  bool isOdd = false;
  /// The number of outer loops that it is inside of.
  int64_t depth = 0;
  /// 16-bit floats that the body does nothing with but to extend them to f32,
  /// and to round f32 to them: converted where they are read and written.
  bool isExtended = false, isRounded = false;
};

/// Part of a row: `size` elements from `start` on. Where it is split, the even
/// and the odd ones are a vector each.
struct RowPart {
  Value start;
  int64_t size;
  bool isSplit = false;
};

/// A value for each operand, or result, in the vectors of a part of a row.
using PartValues = std::array<SmallVector<Value>, 2>;

/// Two vectors of f32 that become one of bf16, which has the elements of them
/// in turns.
struct Joined {
  const Access *access;
  const RowPart *part;
  Value even, odd;
};

/// The rotation of interleaved pairs, by the numbers of its operands:
///   even' = even * cos -+ odd * sin,  odd' = odd * cos +- even * sin
struct Rotation {
  unsigned even, odd, cos, sin;
  /// The sine is taken from the even elements, or else from the odd ones.
  bool fromEven;
  Type type;
  arith::FastMathFlags product, sum;
};

class Vectorizer {
public:
  Vectorizer(RewriterBase &rewriter, linalg::LinalgOp op,
             const ElementwiseVectorization &options)
      : op(op), b(op.getLoc(), rewriter), body(op, b), rewriter(rewriter),
        vectorBits(options.vectorBits), registers(options.registers),
        hasBF16(options.avx512BF16) {}

  /// Fails where the operation cannot be vectorized.
  LogicalResult analyze();

  /// Whether rows are written around the cache.
  bool isStreaming() const { return streaming; }
  void setPlain() { streaming = 0; }

  /// Replaces operations that have gone through analyze() and have the same
  /// outer loops; the last one of them is `before`.
  static void emit(MutableArrayRef<std::unique_ptr<Vectorizer>> all,
                   Operation *before);

private:
  void findPartners();
  void findConversions();
  void findForm();
  std::optional<Rotation> findRotation();
  bool isWords(const Access &access) const;
  Value widen(Access &even, Access &odd);
  void loadAt(int64_t depth, const RowPart &part, PartValues &values);
  void start(Operation *before);
  static void emitLoops(MutableArrayRef<std::unique_ptr<Vectorizer>> all,
                        int64_t depth);
  void emitRow();
  bool writesOneByOne();
  void emitParts(ArrayRef<RowPart> parts, MutableArrayRef<PartValues> values,
                 std::optional<unsigned> only = std::nullopt);
  SmallVector<RowPart> staticParts(int64_t size);
  void load(unsigned index, const RowPart &part, PartValues &values);
  void prefetch(const Access &access, const RowPart &part, ValueRange indices,
                int64_t size);
  SmallVector<Value> indices(const Access &access, const RowPart &part);
  PartValues emitRotation(const PartValues &values);
  PartValues emitBody(const RowPart &part, const PartValues &values);
  void store(const Access &access, const RowPart &part, Value value);
  void storeJoined(ArrayRef<Joined> joined);
  std::pair<Value, Value> takeApart(Value vector);
  Value putTogether(Value even, Value odd);
  Value inLaneOrder(Value vector, bool back);
  Value roundToF16(Value vector);

  linalg::LinalgOp op;
  ImplicitLocOpBuilder b;
  VectorBody body;
  RewriterBase &rewriter;
  unsigned vectorBits, registers;
  bool hasBF16;
  llvm::Triple triple;

  SmallVector<Access> accesses;
  SmallVector<Value> sizes;
  SmallVector<int64_t> staticSizes;
  int64_t width = 1;
  /// Parts are split into even and odd elements.
  bool splits = false;
  /// The bits of what is taken apart and put together within the 128 bits of a
  /// lane, which the order of all other vectors follows; zero where elements
  /// stay in order.
  unsigned laneOrderBits = 0;
  /// Set where pairs are turned side by side as they are in memory.
  std::optional<Rotation> rotation;
  /// How rows are aligned that are written around the cache, in bytes; zero
  /// where they are not.
  int64_t streaming = 0;
  /// What is read is asked for ahead.
  bool prefetches = false;
  /// Only this operand is, for now.
  std::optional<unsigned> prefetched;
  /// The induction variables of the outer loops so far.
  SmallVector<Value> outer;
  /// The parts of an unrolled row, and what is read for each so far.
  SmallVector<RowPart> unrolled;
  SmallVector<PartValues> loaded;
};
} // namespace

//===----------------------------------------------------------------------===//
// What can be vectorized
//===----------------------------------------------------------------------===//

LogicalResult Vectorizer::analyze() {
  if (!VectorBody::isSupported(op) || op.getNumLoops() == 0 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::parallel)
    return failure();
  int64_t last = op.getNumLoops() - 1;
  for (OpOperand &operand : op->getOpOperands()) {
    Access access;
    access.operand = &operand;
    access.map = op.getMatchingIndexingMap(&operand);
    access.memref = operand.get();
    for (AffineExpr result : access.map.getResults()) {
      int64_t dim = cast<AffineDimExpr>(result).getPosition();
      if (dim == last)
        access.isVector = true;
      else
        access.depth = std::max(access.depth, dim + 1);
    }
    // What an iteration reads, the one before it may have written.
    if (op.isDpsInit(&operand))
      access.depth = last;
    if (access.isVector &&
        access.map.getDimPosition(access.map.getNumResults() - 1) != last)
      return failure();
    accesses.push_back(access);
  }
  findPartners();
  for (Access &access : accesses) {
    bool isInit = op.isDpsInit(access.operand);
    if (isInit && !access.isVector)
      return failure();
    if (access.isVector && !access.partner && !isContiguous(access.memref))
      return failure();
  }
  staticSizes = op.getStaticLoopRanges();
  if (auto module = op->getParentOfType<ModuleOp>())
    if (auto name = module->getAttrOfType<StringAttr>(
            LLVM::LLVMDialect::getTargetTripleAttrName()))
      triple = llvm::Triple(name.getValue());
  findConversions();
  findForm();
  return success();
}

/// Finds operands that are the even and the odd elements of the same rows.
void Vectorizer::findPartners() {
  auto subviewOf = [](Access &access) {
    auto subview = access.memref.getDefiningOp<memref::SubViewOp>();
    bool isStrided =
        access.isVector && subview &&
        subview.getSourceType().getRank() == subview.getType().getRank() &&
        subview.getStaticStrides().back() == 2 &&
        isContiguous(subview.getSource());
    return isStrided ? subview : memref::SubViewOp();
  };
  for (unsigned i = 0; i < accesses.size(); ++i) {
    memref::SubViewOp even = subviewOf(accesses[i]);
    for (unsigned j = 0; j < accesses.size() && even; ++j) {
      memref::SubViewOp odd = subviewOf(accesses[j]);
      if (!odd || accesses[i].partner || accesses[j].partner ||
          even.getSource() != odd.getSource() ||
          accesses[i].map != accesses[j].map ||
          op.isDpsInit(accesses[i].operand) !=
              op.isDpsInit(accesses[j].operand))
        continue;
      auto evens = even.getMixedOffsets(), odds = odd.getMixedOffsets();
      std::optional<int64_t> first = getConstantIntValue(evens.back());
      std::optional<int64_t> second = getConstantIntValue(odds.back());
      auto agree = [](ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> b) {
        return isEqualConstantIntOrValueArray(a.drop_back(), b.drop_back());
      };
      if (!first || !second || *second != *first + 1 || !agree(evens, odds) ||
          even.getMixedSizes() != odd.getMixedSizes() ||
          !agree(even.getMixedStrides(), odd.getMixedStrides()))
        continue;
      accesses[i].partner = j;
      accesses[j].partner = i;
      accesses[j].isOdd = true;
    }
  }
}

static bool isNarrowFloat(Type type) { return type.isBF16() || type.isF16(); }

/// Finds 16-bit floats that are only converted from f32 and to it.
void Vectorizer::findConversions() {
  Block *block = op.getBlock();
  for (auto [i, access] : llvm::enumerate(accesses)) {
    if (!access.isVector ||
        !isNarrowFloat(getElementTypeOrSelf(access.memref.getType())))
      continue;
    BlockArgument argument = block->getArgument(i);
    access.isExtended = llvm::all_of(argument.getUsers(), [](Operation *user) {
      return isa<arith::ExtFOp>(user) && user->getResult(0).getType().isF32();
    });
    if (!op.isDpsInit(access.operand))
      continue;
    auto rounding = block->getTerminator()
                        ->getOperand(i - op.getNumDpsInputs())
                        .getDefiningOp<arith::TruncFOp>();
    access.isRounded = rounding && rounding->getBlock() == block &&
                       rounding.getIn().getType().isF32();
  }
  // Both of a pair, or none.
  for (Access &access : accesses)
    if (access.partner) {
      Access &other = accesses[*access.partner];
      access.isExtended &= other.isExtended;
      access.isRounded &= other.isRounded;
      other.isExtended &= access.isExtended;
      other.isRounded &= access.isRounded;
    }
  for (auto [i, access] : llvm::enumerate(accesses)) {
    if (access.isExtended)
      body.setExtended(i);
    if (access.isRounded)
      body.setUnrounded(i - op.getNumDpsInputs());
  }
}

/// Whether two neighbours are taken from, and put into, a word of 32 bits, as
/// its lower and its upper half: the upper half of an f32 is bf16.
bool Vectorizer::isWords(const Access &access) const {
  bool isLittle =
      triple.getArch() == llvm::Triple::UnknownArch || triple.isLittleEndian();
  return isLittle && (access.isExtended || access.isRounded) &&
         getElementTypeOrSelf(access.memref.getType()).isBF16();
}

/// The rotation that the body is, where it is done on pairs side by side: every
/// number of the table is then there twice, outside the loop over heads, in no
/// more than half of the registers. One shuffle for two vectors is saved for
/// two registers more.
std::optional<Rotation> Vectorizer::findRotation() {
  Block *block = op.getBlock();
  int64_t size = staticSizes.back();
  if (op.getNumDpsInits() != 2 || ShapedType::isDynamic(size))
    return std::nullopt;
  auto argumentOf = [&](Value value) -> int64_t {
    if (auto extension = value.getDefiningOp<arith::ExtFOp>())
      value = extension.getIn();
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == block
               ? int64_t(argument.getArgNumber())
               : -1;
  };
  struct Term {
    int64_t factors[4];
    bool isSum;
    Rotation rotation;
  };
  auto termOf = [&](Value value) -> std::optional<Term> {
    if (auto rounding = value.getDefiningOp<arith::TruncFOp>())
      value = rounding.getIn();
    Operation *sum = value.getDefiningOp();
    if (!isa_and_nonnull<arith::AddFOp, arith::SubFOp>(sum))
      return std::nullopt;
    auto left = sum->getOperand(0).getDefiningOp<arith::MulFOp>();
    auto right = sum->getOperand(1).getDefiningOp<arith::MulFOp>();
    if (!left || !right || left.getFastmath() != right.getFastmath())
      return std::nullopt;
    Term term = {{argumentOf(left.getLhs()), argumentOf(left.getRhs()),
                  argumentOf(right.getLhs()), argumentOf(right.getRhs())},
                 isa<arith::AddFOp>(sum),
                 {}};
    for (int64_t factor : term.factors)
      if (factor < 0 || factor >= op.getNumDpsInputs() ||
          !accesses[factor].isVector)
        return std::nullopt;
    term.rotation.type = value.getType();
    term.rotation.product = left.getFastmath();
    term.rotation.sum = cast<arith::ArithFastMathInterface>(sum)
                            .getFastMathFlagsAttr()
                            .getValue();
    return term;
  };
  std::optional<Term> terms[2];
  for (int64_t i = 0; i < 2; ++i) {
    const Access &access = accesses[op.getNumDpsInputs() + i];
    if (!access.partner || isWords(access))
      return std::nullopt;
    terms[access.isOdd] = termOf(block->getTerminator()->getOperand(i));
  }
  if (!terms[0] || !terms[1] || terms[0]->isSum == terms[1]->isSum)
    return std::nullopt;
  const int64_t (&even)[4] = terms[0]->factors, (&odd)[4] = terms[1]->factors;
  Rotation found = terms[0]->rotation;
  if (even[0] != odd[2] || even[2] != odd[0] || even[1] != odd[1] ||
      even[3] != odd[3] || even[1] == even[3] ||
      found.type != terms[1]->rotation.type ||
      found.product != terms[1]->rotation.product ||
      found.sum != terms[1]->rotation.sum)
    return std::nullopt;
  found.even = even[0];
  found.odd = even[2];
  found.cos = even[1];
  found.sin = even[3];
  found.fromEven = !terms[0]->isSum;
  const Access &first = accesses[found.even];
  if (first.partner != found.odd || first.isOdd || isWords(first))
    return std::nullopt;
  int64_t last = op.getNumLoops() - 1;
  for (unsigned table : {found.cos, found.sin})
    if (accesses[table].partner || accesses[table].depth >= last)
      return std::nullopt;
  int64_t vectors = llvm::divideCeil(size, width);
  if (vectors > kMaxUnrolled || 4 * vectors > registers / 2)
    return std::nullopt;
  return found;
}

/// Decides on the width of vectors, the order of elements in them, and whether
/// they are written around the cache.
void Vectorizer::findForm() {
  Block *block = op.getBlock();
  int64_t last = op.getNumLoops() - 1, size = staticSizes.back();
  bool isStatic = !ShapedType::isDynamic(size);
  bool isCopy = block->without_terminator().empty();
  width = isCopy ? VectorBody::getCopyLanes(op, vectorBits)
                 : VectorBody::getLanes(op, vectorBits);

  auto attr =
      op->getAttrOfType<IntegerAttr>(RopeDialect::getStreamingAttrName());
  if (attr && isStatic && triple.getArch() == llvm::Triple::x86_64 &&
      attr.getValue().getSignificantBits() <= 64 && attr.getInt() >= 0) {
    prefetches = true;
    streaming = std::min<int64_t>(attr.getInt() & -attr.getInt(), kLine);
    for (Value init : op.getDpsInits()) {
      Type element = getElementTypeOrSelf(init.getType());
      int64_t bytes = element.isIntOrFloat()
                          ? size * element.getIntOrFloatBitWidth() / 8
                          : 0;
      // Stores to parts of lines that others stream to are slow.
      if (streaming < kNarrowestStreamed || bytes % kNarrowestStreamed != 0 ||
          bytes == 0)
        streaming = 0;
    }
  }

  bool countsRow = llvm::any_of(*block, [&](Operation &inner) {
    auto index = dyn_cast<linalg::IndexOp>(inner);
    return index && int64_t(index.getDim()) == last;
  });
  auto vectors = llvm::make_filter_range(
      accesses, [](const Access &access) { return access.isVector; });
  auto isInit = [&](const Access &access) {
    return op.isDpsInit(access.operand);
  };
  bool hasPartners = llvm::any_of(
      vectors, [](const Access &access) { return bool(access.partner); });
  if (hasPartners) {
    for (const Access &access : vectors) {
      unsigned bits =
          getElementTypeOrSelf(access.memref.getType()).getIntOrFloatBitWidth();
      if (access.partner)
        laneOrderBits = std::max({laneOrderBits, bits, 32u});
    }
    rotation = findRotation();
    // Words give elements in order.
    if (countsRow || llvm::any_of(vectors, [&](const Access &access) {
          return isWords(access) ||
                 getElementTypeOrSelf(access.memref.getType()).isInteger(1);
        }))
      laneOrderBits = 0;
    return;
  }
  splits = isStatic && size >= width && !countsRow &&
           llvm::all_of(
               vectors,
               [&](const Access &access) {
                 Type element = getElementTypeOrSelf(access.memref.getType());
                 return isInit(access)
                            ? isWords(access) && access.isRounded
                            : element.isIntOrFloat() && !element.isInteger(1);
               }) &&
           llvm::any_of(vectors, [&](const Access &access) {
             return !isInit(access) && isWords(access);
           });
  // LLVM truncates and stores by one instruction, which goes to the cache.
  if (!splits && llvm::any_of(vectors, [&](const Access &access) {
        return isInit(access) && access.isRounded && isWords(access);
      }))
    streaming = 0;
  // Whole lines of 16-bit results.
  bool isF16 = llvm::all_of(vectors, [&](const Access &access) {
    return !isInit(access) ||
           (access.isRounded &&
            getElementTypeOrSelf(access.memref.getType()).isF16());
  });
  if (streaming && isF16 && !isCopy && size >= 2 * width)
    width *= 2;
}

/// The contiguous view over the rows of both.
Value Vectorizer::widen(Access &even, Access &odd) {
  auto subview = even.memref.getDefiningOp<memref::SubViewOp>();
  SmallVector<OpFoldResult> sizes = subview.getMixedSizes();
  SmallVector<OpFoldResult> strides = subview.getMixedStrides();
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  sizes.back() = affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 * 2,
                                                       sizes.back());
  strides.back() = b.getIndexAttr(1);
  return memref::SubViewOp::create(b, subview.getSource(),
                                   subview.getMixedOffsets(), sizes, strides);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void Vectorizer::start(Operation *before) {
  b.setInsertionPoint(before);
  body.start();
  sizes = getLoopSizes(op, b);
  for (Access &access : accesses)
    if (access.partner && !access.isOdd) {
      Access &odd = accesses[*access.partner];
      access.memref = odd.memref = widen(access, odd);
    }
  if (!ShapedType::isDynamic(staticSizes.back()))
    unrolled = staticParts(staticSizes.back());
  for (size_t i = 0; i < unrolled.size(); ++i) {
    loaded.emplace_back();
    for (SmallVector<Value> &values : loaded.back())
      values.resize(accesses.size());
  }
}

void Vectorizer::emit(MutableArrayRef<std::unique_ptr<Vectorizer>> all,
                      Operation *before) {
  Vectorizer &first = *all.front();
  OpBuilder::InsertionGuard guard(first.rewriter);
  for (auto &one : all)
    one->start(before);
  emitLoops(all, 0);
  for (auto &one : all)
    first.rewriter.eraseOp(one->op);
}

/// The parts of a row that is unrolled; none where it is too long.
SmallVector<RowPart> Vectorizer::staticParts(int64_t size) {
  SmallVector<RowPart> parts;
  int64_t start = 0, vectors = 0;
  auto add = [&](int64_t lanes, bool isSplit) {
    for (; size - start >= lanes && vectors <= kMaxUnrolled; start += lanes) {
      vectors += isSplit ? 2 : 1;
      parts.push_back(
          {arith::ConstantIndexOp::create(b, start), lanes, isSplit});
    }
  };
  for (int64_t lanes = splits ? 2 * width : width; lanes > 0; lanes /= 2)
    add(lanes, splits && lanes > 1);
  if (vectors > kMaxUnrolled)
    parts.clear();
  return parts;
}

/// Reads what does not change with the loops inside of the first `depth`.
void Vectorizer::loadAt(int64_t depth, const RowPart &part,
                        PartValues &values) {
  for (unsigned i = 0; i < accesses.size(); ++i)
    if (accesses[i].depth <= depth && !values[0][i] &&
        op.payloadUsesValueFromOperand(accesses[i].operand))
      load(i, part, values);
}

void Vectorizer::emitLoops(MutableArrayRef<std::unique_ptr<Vectorizer>> all,
                           int64_t depth) {
  Vectorizer &first = *all.front();
  if (depth + 1 == first.op.getNumLoops()) {
    for (auto &one : all)
      one->emitRow();
    return;
  }
  for (auto &one : all)
    for (auto [part, values] : llvm::zip(one->unrolled, one->loaded))
      one->loadAt(depth, part, values);
  Value step = arith::ConstantIndexOp::create(first.b, 1);
  auto loop = scf::ForOp::create(first.b, first.body.getZero(),
                                 first.sizes[depth], step);
  for (auto &one : all) {
    one->b.setInsertionPoint(loop.getBody()->getTerminator());
    one->outer.push_back(loop.getInductionVar());
  }
  emitLoops(all, depth + 1);
  for (auto &one : all) {
    one->b.setInsertionPointAfter(loop);
    one->outer.pop_back();
  }
}

void Vectorizer::emitRow() {
  int64_t size = staticSizes.back(), depth = op.getNumLoops() - 1;
  if (!unrolled.empty() || size == 0) {
    // Stores that take turns with loads are faster than a row of them: 0.95 of
    // the copy's speed instead of 0.74, f32 in halves of 64, on a Zen 5.
    if (prefetches) {
      SmallVector<std::optional<unsigned>> passes = {std::nullopt};
      if (streaming && writesOneByOne())
        passes = {0u, 1u};
      for (std::optional<unsigned> only : passes) {
        for (auto [part, values] : llvm::zip(unrolled, loaded)) {
          PartValues read = values;
          prefetched = only;
          loadAt(depth, part, read);
          emitParts(part, read, only);
        }
      }
      return;
    }
    for (auto [part, values] : llvm::zip(unrolled, loaded))
      loadAt(depth, part, values);
    return emitParts(unrolled, loaded);
  }
  Value end = sizes.back();
  auto emitPart = [&](const RowPart &part) {
    PartValues values;
    for (SmallVector<Value> &vector : values)
      vector.resize(accesses.size());
    loadAt(depth, part, values);
    emitParts(part, values);
  };
  auto emitLoop = [&](Value from, Value to, int64_t lanes,
                      bool isSplit = false) {
    auto loop = scf::ForOp::create(b, from, to,
                                   arith::ConstantIndexOp::create(b, lanes));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitPart({loop.getInductionVar(), lanes, isSplit});
  };
  if (!ShapedType::isDynamic(size)) {
    int64_t step = splits ? 2 * width : width;
    int64_t start = size - size % step;
    emitLoop(body.getZero(), arith::ConstantIndexOp::create(b, start), step,
             splits);
    for (int64_t lanes = step / 2; lanes > 0; lanes /= 2)
      if (size - start >= lanes) {
        emitPart({arith::ConstantIndexOp::create(b, start), lanes,
                  splits && lanes > 1});
        start += lanes;
      }
    return;
  }
  if (getKnownDivisor(end) % width == 0)
    return emitLoop(body.getZero(), end, width);
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  Value full = getValueOrCreateConstantIndexOp(
      b, b.getLoc(),
      affine::makeComposedFoldedAffineApply(b, b.getLoc(),
                                            s0.floorDiv(width) * width, {end}));
  emitLoop(body.getZero(), full, width);
  emitLoop(full, end, 1);
}

/// Whether there are two rows of results, apart from each other, that are too
/// long to be written in turns.
bool Vectorizer::writesOneByOne() {
  auto results = ArrayRef(accesses).drop_front(op.getNumDpsInputs());
  return results.size() == 2 &&
         llvm::all_of(results, [&](const Access &access) {
           return !access.partner &&
                  staticSizes.back() * body.getBytes(access.memref) >
                      kLongestInTurns;
         });
}

/// Computes `parts` from `values`, what is read for each, and writes all
/// results or result `only`. All has been read before anything is written.
void Vectorizer::emitParts(ArrayRef<RowPart> parts,
                           MutableArrayRef<PartValues> values,
                           std::optional<unsigned> only) {
  SmallVector<PartValues> results;
  for (auto [part, read] : llvm::zip(parts, values))
    results.push_back(rotation ? emitRotation(read) : emitBody(part, read));
  SmallVector<Joined> joined;
  for (auto [part, yielded] : llvm::zip(parts, results))
    for (unsigned i = op.getNumDpsInputs(); i < accesses.size(); ++i) {
      const Access &access = accesses[i];
      // Written with the even elements.
      if (access.isOdd)
        continue;
      unsigned result = i - op.getNumDpsInputs();
      if (only && *only != result)
        continue;
      Value value = yielded[0][result], other;
      if (access.partner)
        other = yielded[0][*access.partner - op.getNumDpsInputs()];
      else if (part.isSplit)
        other = yielded[1][result];
      if (other && access.isRounded && isWords(access)) {
        joined.push_back({&access, &part, value, other});
        continue;
      }
      if (rotation)
        other = {};
      if (other)
        value = putTogether(value, other);
      else if (laneOrderBits && !rotation)
        value = inLaneOrder(value, /*back=*/true);
      Type element = getElementTypeOrSelf(access.memref.getType());
      auto type = cast<VectorType>(value.getType());
      if (streaming && element.isF16() && vectorBits >= 512 &&
          type.getElementType().isF32())
        value = roundToF16(value);
      else if (isa<FloatType>(type.getElementType()) &&
               type.getElementType() != element)
        value = arith::TruncFOp::create(b, type.clone(element), value);
      store(access, part, value);
    }
  if (!joined.empty())
    storeJoined(joined);
}

/// Pairs side by side, for either result.
PartValues Vectorizer::emitRotation(const PartValues &values) {
  auto times = [&](unsigned x, unsigned y) -> Value {
    return arith::MulFOp::create(b, values[0][x], values[0][y],
                                 rotation->product);
  };
  Value turned =
      arith::AddFOp::create(b, times(rotation->even, rotation->cos),
                            times(rotation->odd, rotation->sin), rotation->sum);
  PartValues yielded;
  yielded[0] = {turned, turned};
  return yielded;
}

PartValues Vectorizer::emitBody(const RowPart &part, const PartValues &values) {
  PartValues yielded;
  int64_t lanes = part.isSplit ? part.size / 2 : part.size;
  for (unsigned group = 0; group < (part.isSplit ? 2 : 1); ++group) {
    auto index = [&](unsigned dim) {
      return dim + 1 < op.getNumLoops() ? outer[dim]
                                        : body.count(part.start, lanes);
    };
    yielded[group] = body.emit(values[group], lanes, index);
    for (Value &value : yielded[group])
      value = body.asVector(value, lanes);
  }
  return yielded;
}

SmallVector<Value> Vectorizer::indices(const Access &access,
                                       const RowPart &part) {
  int64_t last = op.getNumLoops() - 1;
  return llvm::map_to_vector(access.map.getResults(), [&](AffineExpr result) {
    int64_t dim = cast<AffineDimExpr>(result).getPosition();
    if (dim != last)
      return outer[dim];
    if (!access.partner)
      return part.start;
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    return getValueOrCreateConstantIndexOp(
        b, b.getLoc(),
        affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 * 2,
                                              {part.start}));
  });
}

//===----------------------------------------------------------------------===//
// The order of elements
//===----------------------------------------------------------------------===//

/// The pair, of `lanes`, that is in lane `lane` where two vectors of `lanes`
/// elements, of which every 128 bits hold `inLane`, are taken apart by
/// instructions that do not cross these.
static int64_t pairInLane(int64_t lane, int64_t lanes, int64_t inLane) {
  if (lanes <= inLane)
    return lane;
  int64_t first = lane / inLane * inLane, rest = lane % inLane;
  int64_t half = rest / (inLane / 2), within = rest % (inLane / 2);
  return half * lanes / 2 + first / 2 + within;
}

/// Brings the elements into the order of those taken apart, or `back`.
Value Vectorizer::inLaneOrder(Value vector, bool back) {
  auto type = dyn_cast<VectorType>(vector.getType());
  if (!type || type.getNumElements() <= 128 / laneOrderBits)
    return vector;
  int64_t lanes = type.getNumElements();
  SmallVector<int64_t> mask(lanes);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    int64_t pair = pairInLane(lane, lanes, 128 / laneOrderBits);
    (back ? mask[pair] : mask[lane]) = back ? lane : pair;
  }
  Value bits = body.asBits(vector);
  return vector::BitCastOp::create(
      b, type, vector::ShuffleOp::create(b, bits, bits, mask));
}

/// The even and the odd elements.
std::pair<Value, Value> Vectorizer::takeApart(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  int64_t lanes = type.getNumElements() / 2;
  auto half = VectorType::get(lanes, type.getElementType());
  Value bits = body.asBits(vector);
  if (!laneOrderBits || lanes <= 128 / laneOrderBits) {
    auto pair = vector::DeinterleaveOp::create(b, bits);
    return {vector::BitCastOp::create(b, half, pair.getRes1()),
            vector::BitCastOp::create(b, half, pair.getRes2())};
  }
  auto take = [&](int64_t odd) -> Value {
    auto mask = llvm::map_to_vector(llvm::seq(lanes), [&](int64_t lane) {
      return 2 * pairInLane(lane, lanes, 128 / laneOrderBits) + odd;
    });
    return vector::BitCastOp::create(
        b, half, vector::ShuffleOp::create(b, bits, bits, mask));
  };
  return {take(0), take(1)};
}

/// One vector of them in turns.
Value Vectorizer::putTogether(Value even, Value odd) {
  auto type = cast<VectorType>(even.getType());
  int64_t lanes = type.getNumElements();
  auto whole = VectorType::get(2 * lanes, type.getElementType());
  if (!laneOrderBits || lanes <= 128 / laneOrderBits)
    return vector::BitCastOp::create(
        b, whole,
        vector::InterleaveOp::create(b, body.asBits(even), body.asBits(odd)));
  SmallVector<int64_t> mask(2 * lanes);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    int64_t pair = pairInLane(lane, lanes, 128 / laneOrderBits);
    mask[2 * pair] = lane;
    mask[2 * pair + 1] = lanes + lane;
  }
  return vector::BitCastOp::create(
      b, whole,
      vector::ShuffleOp::create(b, body.asBits(even), body.asBits(odd), mask));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

void Vectorizer::load(unsigned index, const RowPart &part, PartValues &values) {
  Access &access = accesses[index];
  SmallVector<Value> at = indices(access, part);
  if (!access.isVector) {
    values[0][index] = values[1][index] = body.loadScalar(access.memref, at);
    return;
  }
  int64_t size = access.partner ? 2 * part.size : part.size;
  if (prefetches && (!prefetched || *prefetched == index))
    prefetch(access, part, at, size);
  // Copies of 16-bit floats are stored as integers: see store().
  bool asIntegers = streaming && op.getBlock()->without_terminator().empty();
  Value vector = body.load(access.memref, at, size, asIntegers);
  auto setPair = [&](std::pair<Value, Value> pair) {
    auto [even, odd] = pair;
    if (access.partner) {
      values[0][index] = access.isOdd ? odd : even;
      values[0][*access.partner] = access.isOdd ? even : odd;
    } else {
      values[0][index] = even;
      values[1][index] = odd;
    }
  };
  bool isPair = access.partner || part.isSplit;
  if (isPair && access.isExtended && isWords(access))
    return setPair(body.extendWords(vector));
  if (rotation) {
    if (rotation->type != getElementTypeOrSelf(vector.getType()))
      vector = arith::ExtFOp::create(b, VectorType::get(size, rotation->type),
                                     vector);
    if (access.partner) {
      auto swapped = llvm::map_to_vector(llvm::seq(size),
                                         [](int64_t lane) { return lane ^ 1; });
      values[0][rotation->even] = vector;
      values[0][rotation->odd] =
          vector::ShuffleOp::create(b, vector, vector, swapped);
      return;
    }
    Value even = vector, odd = vector;
    if (index == rotation->sin)
      (rotation->fromEven ? even : odd) = arith::NegFOp::create(b, vector);
    values[0][index] = vector::InterleaveOp::create(b, even, odd);
    return;
  }
  if (access.isExtended)
    vector =
        arith::ExtFOp::create(b, VectorType::get(size, b.getF32Type()), vector);
  if (isPair)
    return setPair(takeApart(vector));
  values[0][index] =
      laneOrderBits ? inLaneOrder(vector, /*back=*/false) : vector;
}

/// Asks for what is read a while later: the lines that are as far ahead as the
/// `size` elements' own. What lies behind the end of an array is not touched.
void Vectorizer::prefetch(const Access &access, const RowPart &part,
                          ValueRange indices, int64_t size) {
  // Rows that loops read again are in the cache.
  if (access.map.getNumResults() != op.getNumLoops() ||
      op.isDpsInit(access.operand))
    return;
  int64_t bytes = body.getBytes(access.memref);
  std::optional<int64_t> start = getConstantIntValue(indices.back());
  for (int64_t line = 0; line < size * bytes; line += kLine) {
    if (start && (*start * bytes + line) % kLine != 0)
      continue;
    SmallVector<Value> ahead(indices);
    Value distance =
        arith::ConstantIndexOp::create(b, (kPrefetchDistance + line) / bytes);
    ahead.back() = arith::AddIOp::create(b, ahead.back(), distance);
    memref::PrefetchOp::create(b, access.memref, ahead, /*isWrite=*/false,
                               /*localityHint=*/3, /*isDataCache=*/true);
  }
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static Value slice(ImplicitLocOpBuilder &b, Value vector, int64_t start,
                   int64_t size) {
  return vector::ShuffleOp::create(
      b, vector, vector,
      llvm::to_vector(llvm::seq<int64_t>(start, start + size)));
}

/// Rounds f32 to f16, given as integers: vectors of f16 lose that they are
/// written around the cache where the processor computes with them.
Value Vectorizer::roundToF16(Value vector) {
  int64_t size = cast<VectorType>(vector.getType()).getNumElements();
  SmallVector<Value> parts;
  for (int64_t start = 0, lanes = std::min<int64_t>(size, 16); start < size;
       start += lanes) {
    Value part = vector;
    if (lanes < size)
      part = slice(b, vector, start, lanes);
    auto type = VectorType::get(lanes, b.getI16Type());
    auto constant = [&](Type type, int64_t value) -> Value {
      return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
    };
    SmallVector<Value> operands = {part, constant(b.getI32Type(), 0)};
    StringRef name = "llvm.x86.vcvtps2ph.256";
    if (lanes == 16) {
      name = "llvm.x86.avx512.mask.vcvtps2ph.512";
      operands.push_back(arith::ConstantOp::create(
          b, DenseElementsAttr::get(type, b.getI16IntegerAttr(0))));
      operands.push_back(constant(b.getI16Type(), -1));
    }
    parts.push_back(
        LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands)
            .getResult(0));
  }
  if (parts.size() == 1)
    return parts.front();
  return vector::ShuffleOp::create(
      b, parts[0], parts[1], llvm::to_vector(llvm::seq<int64_t>(0, size)));
}

/// Writes `value`, of the memref's elements or of integers as wide.
void Vectorizer::store(const Access &access, const RowPart &part, Value value) {
  SmallVector<Value> at = indices(access, part);
  auto type = cast<VectorType>(value.getType());
  Type element = getElementTypeOrSelf(access.memref.getType());
  if (!streaming) {
    if (type.getElementType() != element)
      value = vector::BitCastOp::create(
          b,
          VectorType::get(type.getNumElements() *
                              type.getElementTypeBitWidth() /
                              element.getIntOrFloatBitWidth(),
                          element),
          value);
    vector::StoreOp::create(b, value, access.memref, at);
    return;
  }
  // LLVM forgets that vectors of 16-bit floats are written around the cache.
  Value memref = access.memref;
  if (isNarrowFloat(element)) {
    element = b.getI16Type();
    memref = body.asIntegers(memref);
  }
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  int64_t size =
      type.getNumElements() * type.getElementTypeBitWidth() / 8 / bytes;
  if (type.getElementType() != element)
    value = vector::BitCastOp::create(b, VectorType::get(size, element), value);
  int64_t alignment =
      std::gcd(streaming, rope::getKnownDivisor(at.back()) * bytes);
  int64_t piece =
      std::min({size, alignment / bytes, int64_t(vectorBits) / 8 / bytes});
  for (int64_t start = 0; start < size; start += piece) {
    Value part = value;
    SmallVector<Value> to = at;
    if (piece < size) {
      part = slice(b, value, start, piece);
      if (start > 0)
        to.back() = b.createOrFold<arith::AddIOp>(
            to.back(), arith::ConstantIndexOp::create(b, start));
    }
    vector::StoreOp::create(b, part, memref, to, /*nontemporal=*/true,
                            llvm::MaybeAlign(piece * bytes));
  }
}

/// Rounds and writes pairs of vectors of f32 as bf16. The processor's
/// instruction for it makes zeros of denormals: where one of a row becomes
/// zero, which is rare, the row is rounded by integer operations.
void Vectorizer::storeJoined(ArrayRef<Joined> joined) {
  auto lanesOf = [](const Joined &pair) {
    return cast<VectorType>(pair.even.getType()).getNumElements();
  };
  auto isFast = [&](const Joined &pair) {
    return hasBF16 && lanesOf(pair) >= 4 && lanesOf(pair) <= 16;
  };
  for (const Joined &pair : joined)
    if (!isFast(pair))
      store(*pair.access, *pair.part, body.roundToWords(pair.even, pair.odd));
  auto fast = llvm::to_vector(llvm::make_filter_range(joined, isFast));
  if (fast.empty())
    return;
  SmallVector<Value> rounded;
  // Where results are zero, for each number of lanes.
  llvm::MapVector<int64_t, Value> zeros;
  for (const Joined &pair : fast) {
    rounded.push_back(body.roundFast(pair.even, pair.odd));
    Value isZero = body.isZero(rounded.back());
    Value &all = zeros[lanesOf(pair)];
    all = all ? arith::OrIOp::create(b, all, isZero) : isZero;
  }
  Value any;
  for (auto [lanes, isZero] : zeros) {
    Value reduced =
        vector::ReductionOp::create(b, vector::CombiningKind::OR, isZero);
    any = any ? arith::OrIOp::create(b, any, reduced) : reduced;
  }
  Value never = arith::ConstantOp::create(b, b.getBoolAttr(false));
  any = LLVM::ExpectOp::create(b, any, never);
  auto branch = scf::IfOp::create(b, any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  for (const Joined &pair : fast)
    store(*pair.access, *pair.part, body.roundToWords(pair.even, pair.odd));
  b.setInsertionPointToStart(branch.elseBlock());
  for (auto [pair, value] : llvm::zip(fast, rounded))
    store(*pair.access, *pair.part, value);
}

LogicalResult
rope::vectorizeElementwise(RewriterBase &rewriter,
                           ArrayRef<linalg::LinalgOp> ops,
                           const ElementwiseVectorization &options) {
  SmallVector<std::unique_ptr<Vectorizer>> all;
  for (linalg::LinalgOp op : ops) {
    all.push_back(std::make_unique<Vectorizer>(rewriter, op, options));
    if (failed(all.back()->analyze()))
      return failure();
  }
  // Lines that are written around the cache in part only are slow.
  if (!llvm::all_of(all, [](auto &one) { return one->isStreaming(); }))
    for (auto &one : all)
      one->setPlain();
  Vectorizer::emit(all, ops.back());
  return success();
}

/// What is read and written of `op` where these are subviews of as many
/// dimensions, and all of its loops are parallel.
static std::optional<std::pair<memref::SubViewOp, memref::SubViewOp>>
findRows(linalg::LinalgOp op) {
  if (!op->hasAttr(RopeDialect::getRowsAttrName()) ||
      op.getNumLoops() != op.getNumParallelLoops() ||
      op.getNumDpsInputs() == 0 || op.getNumDpsInits() == 0)
    return std::nullopt;
  auto find = [](OpOperand *operand) {
    auto rows = operand->get().getDefiningOp<memref::SubViewOp>();
    return rows && rows.getType().getRank() == rows.getSourceType().getRank()
               ? rows
               : memref::SubViewOp();
  };
  auto read = find(op.getDpsInputOperand(0));
  auto written = find(op.getDpsInitOperand(0));
  if (!read || !written)
    return std::nullopt;
  return std::pair(read, written);
}

/// `op` and those behind it that are parts of the same rope.apply: they read
/// and write other channels of the same rows.
static SmallVector<linalg::LinalgOp> findParts(linalg::LinalgOp op) {
  SmallVector<linalg::LinalgOp> parts = {op};
  auto rows = findRows(op);
  auto areSame = [](memref::SubViewOp a, memref::SubViewOp b) {
    auto agree = [](ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> b) {
      return isEqualConstantIntOrValueArray(a.drop_back(), b.drop_back());
    };
    return a.getSource() == b.getSource() &&
           agree(a.getMixedOffsets(), b.getMixedOffsets()) &&
           agree(a.getMixedSizes(), b.getMixedSizes()) &&
           agree(a.getMixedStrides(), b.getMixedStrides());
  };
  for (Operation *next = op->getNextNode(); rows && next;
       next = next->getNextNode()) {
    auto part = dyn_cast<linalg::LinalgOp>(next);
    if (!part && isMemoryEffectFree(next))
      continue;
    auto others = part ? findRows(part) : std::nullopt;
    if (!others || part.getNumLoops() != op.getNumLoops() ||
        !areSame(rows->first, others->first) ||
        !areSame(rows->second, others->second))
      break;
    parts.push_back(part);
  }
  return parts;
}

/// Makes a copy between strided memrefs an elementwise operation: it would
/// become a call into a runtime library. Others become a call of memcpy.
static void expandCopy(memref::CopyOp op) {
  auto source = dyn_cast<MemRefType>(op.getSource().getType());
  auto target = dyn_cast<MemRefType>(op.getTarget().getType());
  if (!source || !target ||
      (source.getLayout().isIdentity() && target.getLayout().isIdentity()))
    return;
  OpBuilder b(op);
  linalg::CopyOp::create(b, op.getLoc(), op.getSource(), op.getTarget());
  op.erase();
}

namespace {
struct Vectorize : rope::impl::VectorizeBase<Vectorize> {
  using VectorizeBase::VectorizeBase;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([](memref::CopyOp op) { expandCopy(op); });
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    ElementwiseVectorization elementwise = {vectorBits, registers, avx512BF16};
    llvm::SmallPtrSet<Operation *, 16> done;
    for (linalg::LinalgOp op : ops) {
      if (done.contains(op))
        continue;
      SmallVector<linalg::LinalgOp> parts = findParts(op);
      SmallVector<Operation *> together(parts.begin(), parts.end());
      if (parts.size() > 1 &&
          succeeded(vectorizeElementwise(rewriter, parts, elementwise))) {
        done.insert(together.begin(), together.end());
        continue;
      }
      if ((bf16Dot && succeeded(vectorizePairs(rewriter, op))) ||
          succeeded(
              vectorizeContraction(rewriter, op, vectorBits, registers)) ||
          succeeded(vectorizeDot(rewriter, op, vectorBits, registers)) ||
          succeeded(vectorizeRows(rewriter, op, vectorBits)) ||
          succeeded(vectorizeElementwise(rewriter, op, elementwise)) ||
          succeeded(vectorizeTranspose(rewriter, op, vectorBits)) || !loops ||
          !op.hasPureBufferSemantics())
        continue;
      rewriter.setInsertionPoint(op);
      if (succeeded(linalg::linalgOpToLoops(rewriter, op)))
        rewriter.eraseOp(op);
    }
  }
};
} // namespace

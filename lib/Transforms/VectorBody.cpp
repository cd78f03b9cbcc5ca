//===- VectorBody.cpp - bodies of linalg operations on vectors ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// What is known of memrefs and sizes
//===----------------------------------------------------------------------===//

bool rope::isContiguous(Value memref) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  return type && succeeded(type.getStridesAndOffset(strides, offset)) &&
         !strides.empty() && strides.back() == 1;
}

int64_t rope::getPrefetchDistance(linalg::LinalgOp op, unsigned operand) {
  auto attr = op->getAttrOfType<DenseI64ArrayAttr>(kPrefetchAttrName);
  for (int64_t i = 0; attr && i + 1 < attr.size(); i += 2)
    if (attr[i] == operand)
      return attr[i + 1];
  return 0;
}

void rope::emitPrefetch(ImplicitLocOpBuilder &b, Value memref,
                        ValueRange indices, int64_t distance) {
  if (distance == 0 || indices.size() < 2)
    return;
  SmallVector<Value> ahead(indices);
  Value &row = ahead[ahead.size() - 2];
  row = arith::AddIOp::create(b, row,
                              arith::ConstantIndexOp::create(b, distance));
  memref::PrefetchOp::create(b, memref, ahead, /*isWrite=*/false,
                             /*localityHint=*/2, /*isDataCache=*/true);
}

Value rope::roundDown(ImplicitLocOpBuilder &b, Value size, int64_t unit) {
  if (getKnownDivisor(size) % unit == 0)
    return size;
  AffineExpr s0 = b.getAffineSymbolExpr(0);
  return getValueOrCreateConstantIndexOp(
      b, b.getLoc(),
      affine::makeComposedFoldedAffineApply(b, b.getLoc(),
                                            s0.floorDiv(unit) * unit, {size}));
}

void rope::emitLoop(ImplicitLocOpBuilder &b, Value from, Value to, int64_t step,
                    llvm::function_ref<void(Value)> emit) {
  auto loop =
      scf::ForOp::create(b, from, to, arith::ConstantIndexOp::create(b, step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  emit(loop.getInductionVar());
}

//===----------------------------------------------------------------------===//
// Pairs of bf16
//===----------------------------------------------------------------------===//

static Value callIntrinsic(ImplicitLocOpBuilder &b, const Twine &name,
                           Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands)
      .getResult(0);
}

Value rope::loadPair(ImplicitLocOpBuilder &b, Value memref,
                     ValueRange indices) {
  Type bf16 = b.getBF16Type(), i32 = b.getI32Type();
  Value pair =
      vector::LoadOp::create(b, VectorType::get(2, bf16), memref, indices);
  // One number of 32 bits.
  pair = vector::BitCastOp::create(b, VectorType::get(1, i32), pair);
  pair = vector::BroadcastOp::create(
      b, VectorType::get(16, i32),
      vector::ExtractOp::create(b, pair, ArrayRef<int64_t>{0}));
  return vector::BitCastOp::create(b, VectorType::get(32, bf16), pair);
}

Value rope::addPairs(ImplicitLocOpBuilder &b, Value sum, Value x, Value y) {
  return callIntrinsic(b, "llvm.x86.avx512bf16.dpbf16ps.512", sum.getType(),
                       {sum, x, y});
}

Value rope::interleavePairs(ImplicitLocOpBuilder &b, Value even, Value odd) {
  int64_t lanes = cast<VectorType>(even.getType()).getNumElements();
  Value both =
      callIntrinsic(b, "llvm.x86.avx512bf16.cvtne2ps2bf16." + Twine(32 * lanes),
                    VectorType::get(2 * lanes, b.getBF16Type()), {odd, even});
  both = vector::BitCastOp::create(
      b, VectorType::get(2 * lanes, b.getI16Type()), both);
  SmallVector<int64_t> mask;
  for (int64_t i = 0; i < lanes; ++i)
    mask.append({i, lanes + i});
  return vector::ShuffleOp::create(b, both, both, mask);
}

//===----------------------------------------------------------------------===//
// Divisors
//===----------------------------------------------------------------------===//

/// Definitions are followed this far.
static constexpr int kMaxDepth = 6;

static int64_t getKnownDivisor(Value value, int depth);

static int64_t multiply(int64_t left, int64_t right) {
  int64_t product;
  return llvm::MulOverflow(left, right, product) ? 1 : product;
}

/// That of an expression over `operands`.
static int64_t getKnownDivisor(AffineExpr expr, unsigned numDims,
                               ValueRange operands, int depth) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return getKnownDivisor(operands[dim.getPosition()], depth);
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return getKnownDivisor(operands[numDims + symbol.getPosition()], depth);
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr.getLargestKnownDivisor();
  int64_t left = getKnownDivisor(binary.getLHS(), numDims, operands, depth);
  int64_t right = getKnownDivisor(binary.getRHS(), numDims, operands, depth);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
  case AffineExprKind::Mod:
    return std::gcd(left, right);
  case AffineExprKind::Mul:
    return multiply(left, right);
  default:
    return 1;
  }
}

static int64_t getKnownDivisor(Value value, int depth) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return std::abs(std::max(*constant, -std::numeric_limits<int64_t>::max()));
  if (depth == 0)
    return 1;
  if (scf::ForOp loop = scf::getForInductionVarOwner(value))
    return std::gcd(getKnownDivisor(loop.getLowerBound(), depth - 1),
                    getKnownDivisor(loop.getStep(), depth - 1));
  Operation *op = value.getDefiningOp();
  if (!op)
    return 1;
  auto ofMap = [&](AffineMap map) {
    int64_t divisor = 0;
    for (AffineExpr expr : map.getResults())
      divisor =
          std::gcd(divisor, getKnownDivisor(expr, map.getNumDims(),
                                            op->getOperands(), depth - 1));
    return divisor;
  };
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return ofMap(apply.getMap());
  if (auto min = dyn_cast<affine::AffineMinOp>(op))
    return ofMap(min.getMap());
  if (auto max = dyn_cast<affine::AffineMaxOp>(op))
    return ofMap(max.getMap());
  auto operand = [&](unsigned i) {
    return getKnownDivisor(op->getOperand(i), depth - 1);
  };
  if (isa<arith::MulIOp>(op))
    return multiply(operand(0), operand(1));
  if (isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MinUIOp,
          arith::MaxSIOp, arith::MaxUIOp>(op))
    return std::gcd(operand(0), operand(1));
  return 1;
}

int64_t rope::getKnownDivisor(Value value) {
  return ::getKnownDivisor(value, kMaxDepth);
}

SmallVector<Value> rope::getLoopSizes(linalg::LinalgOp op,
                                      ImplicitLocOpBuilder &b) {
  SmallVector<Value> sizes(op.getNumLoops());
  SmallVector<int64_t> divisors(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands())
    for (auto [i, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      unsigned dim = cast<AffineDimExpr>(expr).getPosition();
      if (sizes[dim] && getConstantIntValue(sizes[dim]))
        continue;
      Value size = b.createOrFold<memref::DimOp>(operand.get(), i);
      int64_t divisor = rope::getKnownDivisor(size);
      if (!sizes[dim] || getConstantIntValue(size) || divisor > divisors[dim]) {
        sizes[dim] = size;
        divisors[dim] = divisor;
      }
    }
  return sizes;
}

//===----------------------------------------------------------------------===//
// VectorBody
//===----------------------------------------------------------------------===//

/// Whether vectors of `type` lie in memory as its elements do: those of other
/// widths, such as i1, are packed.
static bool isVectorElement(Type type) {
  if (type.isIndex())
    return true;
  return type.isIntOrFloat() && type.getIntOrFloatBitWidth() >= 8 &&
         llvm::isPowerOf2_64(type.getIntOrFloatBitWidth());
}

bool VectorBody::isSupported(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics())
    return false;
  for (Operation &inner : op.getBlock()->without_terminator()) {
    // LLVM's powi takes no vector of exponents.
    bool isElementwise = OpTrait::hasElementwiseMappableTraits(&inner) &&
                         inner.getNumRegions() == 0 &&
                         !isa<math::FPowIOp>(inner);
    if (!isElementwise && !isa<linalg::IndexOp, arith::ConstantOp>(inner))
      return false;
    if (!llvm::all_of(inner.getResultTypes(), VectorType::isValidElementType))
      return false;
  }
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    Type type = operand.get().getType(), element = getElementTypeOrSelf(type);
    if (!isa<MemRefType>(type) && type != element)
      return false;
    bool isBit = element.isInteger(1) && op.isDpsInput(&operand);
    return (isVectorElement(element) || isBit) &&
           op.getMatchingIndexingMap(&operand).isProjectedPermutation();
  });
}

int64_t VectorBody::getLanes(linalg::LinalgOp op, unsigned vectorBits) {
  unsigned bits = 32;
  for (Value init : op.getDpsInits()) {
    Type element = getElementTypeOrSelf(init.getType());
    if (element.isIntOrFloat())
      bits = std::max(bits, element.getIntOrFloatBitWidth());
  }
  return std::max<int64_t>(1, llvm::bit_floor(vectorBits / bits));
}

int64_t VectorBody::getCopyLanes(linalg::LinalgOp op, unsigned vectorBits) {
  unsigned bits = 8;
  for (Value init : op.getDpsInits()) {
    Type element = getElementTypeOrSelf(init.getType());
    bits = std::max(bits, element.isIntOrFloat()
                              ? element.getIntOrFloatBitWidth()
                              : unsigned(IndexType::kInternalStorageBitWidth));
  }
  return std::max<int64_t>(1, llvm::bit_floor(vectorBits / bits));
}

void VectorBody::start() { zero = arith::ConstantIndexOp::create(b, 0); }

Value VectorBody::constant(DenseElementsAttr attr) {
  Value &known = constants[attr];
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(zero);
    known = arith::ConstantOp::create(b, attr);
  }
  return known;
}

Value VectorBody::count(Value start, int64_t lanes) {
  // vector.step is no constant.
  auto type = VectorType::get(lanes, b.getIndexType());
  Value steps = constant(DenseElementsAttr::get(
      type, llvm::map_to_vector(llvm::seq<int64_t>(lanes), [&](int64_t i) {
        return Attribute(b.getIndexAttr(i));
      })));
  return arith::AddIOp::create(b, asVector(start, lanes), steps);
}

Value VectorBody::asVector(Value value, int64_t lanes) {
  if (isa<VectorType>(value.getType()))
    return value;
  auto type = VectorType::get(lanes, value.getType());
  if (auto scalar = value.getDefiningOp<arith::ConstantOp>())
    return constant(DenseElementsAttr::get(type, Attribute(scalar.getValue())));
  return vector::BroadcastOp::create(b, type, value);
}

Value VectorBody::asBits(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  if (!isa<FloatType>(type.getElementType()))
    return vector;
  return vector::BitCastOp::create(
      b, type.clone(b.getIntegerType(type.getElementTypeBitWidth())), vector);
}

Value VectorBody::splat(VectorType type, int64_t value) {
  return constant(DenseElementsAttr::get(
      type, Attribute(b.getIntegerAttr(type.getElementType(), value))));
}

/// Both types are the same descriptor and the same bytes in the end, so the
/// cast folds away with those of the conversion to LLVM.
Value VectorBody::viewAs(Value memref, Type element) {
  Value &view = views[memref];
  if (!view) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(zero);
    if (Operation *owner = memref.getDefiningOp();
        owner && owner->getBlock() == zero.getParentBlock() &&
        zero.getDefiningOp()->isBeforeInBlock(owner))
      b.setInsertionPointAfter(owner);
    auto type = cast<MemRefType>(memref.getType());
    view = UnrealizedConversionCastOp::create(
               b, cast<MemRefType>(type.clone(element)), memref)
               .getResult(0);
  }
  return view;
}

Value VectorBody::asIntegers(Value memref) {
  return viewAs(memref, b.getI16Type());
}

int64_t VectorBody::getBytes(Value memref) {
  Type element = getElementTypeOrSelf(memref.getType());
  return element.isIntOrFloat() ? (element.getIntOrFloatBitWidth() + 7) / 8
                                : IndexType::kInternalStorageBitWidth / 8;
}

Value VectorBody::load(Value memref, ValueRange indices, int64_t lanes,
                       bool asBits) {
  Type element = getElementTypeOrSelf(memref.getType());
  if (asBits && (element.isBF16() || element.isF16())) {
    memref = asIntegers(memref);
    element = b.getI16Type();
  }
  if (!element.isInteger(1))
    return vector::LoadOp::create(b, VectorType::get(lanes, element), memref,
                                  indices);
  auto type = VectorType::get(lanes, b.getI8Type());
  Value loaded =
      vector::LoadOp::create(b, type, viewAs(memref, b.getI8Type()), indices);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, loaded,
                               splat(type, 0));
}

//===----------------------------------------------------------------------===//
// bf16
//===----------------------------------------------------------------------===//

std::pair<Value, Value> VectorBody::extendWords(Value vector) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements() / 2;
  auto words = VectorType::get(lanes, b.getI32Type());
  auto floats = VectorType::get(lanes, b.getF32Type());
  Value bits = vector::BitCastOp::create(b, words, vector);
  Value even = arith::ShLIOp::create(b, bits, splat(words, 16));
  Value odd = arith::AndIOp::create(b, bits, splat(words, -0x10000));
  return {arith::BitcastOp::create(b, floats, even),
          arith::BitcastOp::create(b, floats, odd)};
}

Value VectorBody::roundToWords(Value even, Value odd) {
  auto words = cast<VectorType>(even.getType()).clone(b.getI32Type());
  // In the upper half.
  auto round = [&](Value value) -> Value {
    Value bits = arith::BitcastOp::create(b, words, value);
    // Half a unit less one, and one more where the kept part is odd.
    Value isOdd = arith::AndIOp::create(
        b, arith::ShRUIOp::create(b, bits, splat(words, 16)), splat(words, 1));
    Value rounded = arith::AddIOp::create(
        b, arith::AddIOp::create(b, bits, splat(words, 0x7fff)), isOdd);
    Value isNaN =
        arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, value, value);
    Value quiet = arith::OrIOp::create(b, bits, splat(words, 0x00400000));
    return arith::SelectOp::create(b, isNaN, quiet, rounded);
  };
  Value low = arith::ShRUIOp::create(b, round(even), splat(words, 16));
  Value high = arith::AndIOp::create(b, round(odd), splat(words, -0x10000));
  return arith::OrIOp::create(b, low, high);
}

Value VectorBody::roundFast(Value even, Value odd) {
  return interleavePairs(b, even, odd);
}

Value VectorBody::isZero(Value bits) {
  auto type = cast<VectorType>(bits.getType());
  return arith::CmpIOp::create(
      b, arith::CmpIPredicate::eq,
      arith::AndIOp::create(b, bits, splat(type, 0x7fff)), splat(type, 0));
}

//===----------------------------------------------------------------------===//
// The body
//===----------------------------------------------------------------------===//

Value VectorBody::loadScalar(Value operand, ValueRange indices) {
  if (!isa<MemRefType>(operand.getType()))
    return operand;
  return memref::LoadOp::create(b, operand, indices);
}

SmallVector<Value> VectorBody::emit(ValueRange values, int64_t lanes,
                                    llvm::function_ref<Value(unsigned)> index) {
  IRMapping mapping;
  for (auto [argument, value] :
       llvm::zip(op.getBlock()->getArguments(), values))
    if (value)
      mapping.map(argument, value);
  // Roundings that are left to the caller.
  auto isUnrounded = [&](Operation &inner) {
    return isa<arith::TruncFOp>(inner) &&
           llvm::all_of(inner.getUses(), [&](OpOperand &use) {
             return use.getOwner() == op.getBlock()->getTerminator() &&
                    unrounded.contains(use.getOperandNumber());
           });
  };
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (isUnrounded(inner))
      continue;
    if (auto indexOp = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(indexOp.getResult(), index(indexOp.getDim()));
      continue;
    }
    if (isa<arith::ExtFOp>(inner))
      if (auto argument = dyn_cast<BlockArgument>(inner.getOperand(0));
          argument && argument.getOwner() == op.getBlock() &&
          extended.contains(argument.getArgNumber())) {
        mapping.map(inner.getResult(0), mapping.lookup(argument));
        continue;
      }
    bool isVector = llvm::any_of(inner.getOperands(), [&](Value operand) {
      return isa<VectorType>(mapping.lookupOrDefault(operand).getType());
    });
    if (isVector)
      for (Value operand : inner.getOperands())
        mapping.map(operand, asVector(mapping.lookupOrDefault(operand), lanes));
    Operation *clone = b.clone(inner, mapping);
    if (isVector)
      for (Value result : clone->getResults())
        result.setType(VectorType::get(lanes, result.getType()));
  }
  SmallVector<Value> yielded;
  for (auto [i, value] :
       llvm::enumerate(op.getBlock()->getTerminator()->getOperands()))
    yielded.push_back(mapping.lookupOrDefault(
        unrounded.contains(i) ? value.getDefiningOp()->getOperand(0) : value));
  return yielded;
}

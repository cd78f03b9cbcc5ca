//===- RopeOps.cpp - verifiers and simple interfaces ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The label in front of a message is that of the rule in RopeOps.td.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Rules.h"
#include "llvm/Support/CheckedArithmetic.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;

#define GET_OP_CLASSES
#include "Rope/IR/RopeOps.cpp.inc"

//===----------------------------------------------------------------------===//
// What several operations share
//===----------------------------------------------------------------------===//

static ShapedType shaped(Value value) {
  return cast<ShapedType>(value.getType());
}

bool rope::areCompatible(int64_t a, int64_t b) {
  return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b);
}

SmallVector<int64_t> rope::mergeShapes(ShapedType a, ShapedType b) {
  SmallVector<int64_t> shape(a.getShape());
  for (auto [size, other] : llvm::zip_equal(shape, b.getShape()))
    if (ShapedType::isDynamic(size))
      size = other;
  return shape;
}

std::string rope::sizeText(int64_t size) {
  return ShapedType::isDynamic(size) ? "?" : std::to_string(size);
}

bool rope::isSupportedFloat(Type type) {
  return isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(type);
}

LogicalResult rope::verifyOneKind(Operation *op, StringRef label) {
  bool anyTensor =
      llvm::any_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
  bool anyMemRef =
      llvm::any_of(op->getOperandTypes(), llvm::IsaPred<MemRefType>);
  if (anyTensor && anyMemRef)
    return op->emitOpError("(") << label
                                << ") expected operands to be all tensors or "
                                   "all memrefs, but got both";
  return success();
}

LogicalResult rope::verifySizes(Operation *op, StringRef label) {
  for (Type type : op->getOperandTypes()) {
    auto shapedType = dyn_cast<ShapedType>(type);
    if (!shapedType)
      continue;
    Type element = shapedType.getElementType();
    // Indices have 8 bytes. What is neither breaks another rule.
    std::optional<int64_t> bytes =
        element.isIntOrFloat()
            ? llvm::divideCeil(element.getIntOrFloatBitWidth(), 8)
            : 8;
    for (int64_t size : shapedType.getShape())
      if (bytes && !ShapedType::isDynamic(size) && size != 0)
        bytes = llvm::checkedMul(*bytes, size);
    if (!bytes)
      return op->emitOpError("(") << label
                                  << ") expected at most 2^63 - 1 bytes, but "
                                     "got "
                                  << type;
  }
  return success();
}

LogicalResult rope::verifyCosSin(EmitErrorFn emitError, StringRef label,
                                 ShapedType cos, ShapedType sin) {
  if (!llvm::equal(cos.getShape(), sin.getShape(), areCompatible) ||
      cos.getElementType() != sin.getElementType() ||
      !isa<FloatType>(cos.getElementType()))
    return emitError() << "(" << label
                       << ") expected 'cos' and 'sin' to have one shape and "
                       << "element type, of floats, but got " << cos << " and "
                       << sin;
  if (!isSupportedFloat(cos.getElementType()))
    return emitError() << "(" << label
                       << ") expected tables of f16, bf16, f32 or f64, but got "
                       << cos.getElementType();
  return success();
}

LogicalResult rope::inferFromInits(ValueRange inits,
                                   SmallVectorImpl<Type> &types) {
  for (Value init : inits)
    if (auto type = dyn_cast<RankedTensorType>(init.getType()))
      types.push_back(type);
  return success();
}

LogicalResult rope::reifyFromInits(OpBuilder &b, DestinationStyleOpInterface op,
                                   ReifiedRankedShapedTypeDims &shapes) {
  for (OpOperand &init : op.getDpsInitsMutable())
    if (isa<RankedTensorType>(init.get().getType()))
      shapes.push_back(tensor::getMixedSizes(b, op.getLoc(), init.get()));
  return success();
}

void rope::memoryEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects, bool readInits) {
  for (OpOperand *input : op.getDpsInputOperands())
    if (isa<MemRefType>(input->get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), input);
  for (OpOperand &init : op.getDpsInitsMutable())
    if (isa<MemRefType>(init.get().getType())) {
      if (readInits)
        effects.emplace_back(MemoryEffects::Read::get(), &init);
      effects.emplace_back(MemoryEffects::Write::get(), &init);
    }
}

Speculation::Speculatability rope::speculatability(Operation *op) {
  bool known = llvm::all_of(op->getOperandTypes(), [](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.hasStaticShape();
  });
  return known ? Speculation::Speculatable : Speculation::NotSpeculatable;
}

//===----------------------------------------------------------------------===//
// frequencies
//===----------------------------------------------------------------------===//

void FrequenciesOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "frequencies");
}

/// Compile-time evaluation takes memory and time for each frequency.
static LogicalResult verifyCount(Operation *op, StringRef label,
                                 RankedTensorType type) {
  if (type.getDimSize(0) > (int64_t(1) << 20))
    return op->emitOpError("(")
           << label << ") expected at most 2^20 frequencies, but got "
           << type.getDimSize(0);
  return success();
}

LogicalResult FrequenciesOp::verify() {
  if (failed(verifyCount(*this, "frequencies_c6", getType())))
    return failure();
  if (getBase().has_value() == getValues().has_value())
    return emitOpError("(frequencies_c1) expected either 'base' or 'values', "
                       "but got ")
           << (getBase() ? "both" : "neither");
  if (std::optional<APFloat> base = getBase())
    if (!base->isFinite() || base->isNegative() || base->isZero())
      return emitOpError("(frequencies_c2) expected 'base' to be finite and "
                         "greater than zero, but got ")
             << getBaseAttr();
  if (std::optional<ElementsAttr> values = getValues()) {
    if (values->getShapedType() != getType())
      return emitOpError("(frequencies_c3) expected 'values' of type ")
             << getType() << ", but got " << values->getShapedType();
    auto numbers = values->tryGetValues<double>();
    if (!numbers)
      return emitOpError("(frequencies_c3) expected 'values' to hold readable "
                         "f64 numbers");
    for (double value : *numbers)
      if (!std::isfinite(value) || std::fabs(value) >= 0x1p20)
        return emitOpError("(frequencies_c4) expected 'values' to be finite "
                           "and less than 2^20 in magnitude, but got ")
               << value;
  }
  if (std::optional<uint64_t> dimension = getDimension())
    if (!getBase() || int64_t(*dimension) <= 0)
      return emitOpError("(frequencies_c5) expected 'dimension' to come with "
                         "'base' and be greater than zero, but got ")
             << int64_t(*dimension);
  return success();
}

//===----------------------------------------------------------------------===//
// scale_frequencies
//===----------------------------------------------------------------------===//

void ScaleFrequenciesOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "frequencies");
}

LogicalResult ScaleFrequenciesOp::verify() {
  if (failed(verifyCount(*this, "scale_frequencies_c3", getType())))
    return failure();
  bool dependent = getScaling().isLengthDependent();
  if (dependent != bool(getLength()))
    return emitOpError("(scale_frequencies_c1) expected ")
           << (dependent ? "a length, on which " : "no length, since ")
           << getScaling() << (dependent ? " depends" : " depends on none");
  return getScaling().verifyScaling(
      [&] { return emitOpError("(scale_frequencies_c2) "); },
      getType().getDimSize(0));
}

//===----------------------------------------------------------------------===//
// table
//===----------------------------------------------------------------------===//

void TableOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  if (getResults().empty())
    return;
  setName(getResult(0), "cos");
  setName(getResult(1), "sin");
}

LogicalResult TableOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                        ValueRange operands, DictionaryAttr,
                                        OpaqueProperties, RegionRange,
                                        SmallVectorImpl<Type> &types) {
  if (operands.size() != 4)
    return failure();
  return inferFromInits(operands.drop_front(2), types);
}

LogicalResult TableOp::reifyResultShapes(OpBuilder &b,
                                         ReifiedRankedShapedTypeDims &shapes) {
  return reifyFromInits(b, *this, shapes);
}

void TableOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  memoryEffects(*this, effects);
}

Speculation::Speculatability TableOp::getSpeculatability() {
  return speculatability(*this);
}

LogicalResult rope::verifyTable(EmitErrorFn emitError,
                                const TableRules &rules) {
  ShapedType positions = rules.positions, frequencies = rules.frequencies;
  Type element = positions.getElementType();
  bool isInteger =
      element.isSignlessInteger() && element.getIntOrFloatBitWidth() <= 64;
  bool isFloat = isSupportedFloat(element);
  if (!isInteger && !isFloat && !element.isIndex())
    return emitError() << "(table_c2) expected positions to be integers of at "
                          "most 64 bits, indices or floats of 16 to 64 bits, "
                          "but got "
                       << element;
  bool inTurns = frequencies.getElementType().isSignlessInteger(64);
  if (frequencies.getRank() != 1 ||
      (!inTurns && !frequencies.getElementType().isF64()))
    return emitError() << "(table_c3) expected 'frequencies' to be "
                          "one-dimensional, of f64 or i64, but got "
                       << frequencies;
  if (inTurns && (isFloat || rules.precision != Precision::exact))
    return emitError() << "(table_c3) expected f64 frequencies for float "
                          "positions and for f32 precision, but got "
                       << frequencies;
  if (rules.axes && positions.getRank() == 0)
    return emitError() << "(table_c6) expected positions with an axis "
                          "dimension, but got "
                       << positions;
  if (rules.axes) {
    if (!areCompatible(rules.axes->size(), frequencies.getDimSize(0)))
      return emitError() << "(table_c6) expected one of 'axes' for each of "
                         << sizeText(frequencies.getDimSize(0))
                         << " frequencies, but got " << rules.axes->size();
    int64_t limit = positions.getDimSize(0);
    for (int64_t axis : *rules.axes)
      if (axis < 0 || (!ShapedType::isDynamic(limit) && axis >= limit))
        return emitError() << "(table_c6) expected 'axes' below the "
                           << sizeText(limit)
                           << " axes of the positions, but got " << axis;
  }
  if (!rules.magnitude.isFinite()) {
    Builder b(positions.getContext());
    return emitError()
           << "(table_c7) expected 'magnitude' to be finite, but got "
           << FloatAttr::get(b.getF64Type(), rules.magnitude);
  }
  return success();
}

SmallVector<int64_t> rope::inferTableShape(const TableRules &rules) {
  SmallVector<int64_t> shape(rules.positions.getShape());
  if (rules.axes)
    shape.erase(shape.begin());
  shape.push_back(rules.frequencies.getDimSize(0));
  return shape;
}

LogicalResult TableOp::verify() {
  if (failed(verifyOneKind(*this, "table_c1")))
    return failure();
  ShapedType cos = shaped(getCos()), sin = shaped(getSin());
  TableRules rules{shaped(getPositions()), shaped(getFrequencies()), getAxes(),
                   getMagnitude(), getPrecision()};
  auto emit = [&] { return emitOpError(); };
  if (failed(verifyCosSin(emit, "table_c4", cos, sin)) ||
      failed(verifyTable(emit, rules)))
    return failure();
  SmallVector<int64_t> expected = inferTableShape(rules);
  if (!llvm::equal(expected, mergeShapes(cos, sin), areCompatible))
    return emitOpError("(table_c5) expected tables of shape ")
           << llvm::join(llvm::map_range(expected, sizeText), "x")
           << ", but got " << cos << " and " << sin;
  return verifySizes(*this, "table_c8");
}

//===----------------------------------------------------------------------===//
// apply
//===----------------------------------------------------------------------===//

void ApplyOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  for (Value result : getResults())
    setName(result, "rotated");
}

LogicalResult ApplyOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                        ValueRange operands, DictionaryAttr,
                                        OpaqueProperties, RegionRange,
                                        SmallVectorImpl<Type> &types) {
  if (operands.size() != 4)
    return failure();
  return inferFromInits(operands.drop_front(3), types);
}

LogicalResult ApplyOp::reifyResultShapes(OpBuilder &b,
                                         ReifiedRankedShapedTypeDims &shapes) {
  return reifyFromInits(b, *this, shapes);
}

void ApplyOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  memoryEffects(*this, effects);
}

Speculation::Speculatability ApplyOp::getSpeculatability() {
  return speculatability(*this);
}

LogicalResult rope::verifyApply(EmitErrorFn emitError,
                                const ApplyRules &rules) {
  ArrayRef<int64_t> x = rules.x, dims = rules.positionDims;
  if (rules.tables.size() != dims.size() + 1)
    return emitError() << "(apply_c4) expected tables of rank "
                       << dims.size() + 1
                       << ", one more than 'position_dims', but got shape ["
                       << llvm::join(llvm::map_range(rules.tables, sizeText),
                                     ", ")
                       << "]";
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim < 0 || dim >= int64_t(x.size()) - 1 ||
        llvm::is_contained(dims.take_front(i), dim))
      return emitError()
             << "(apply_c5) expected 'position_dims' to be distinct "
                "dimensions of 'x' before its last, but got ["
             << dims << "] for rank " << x.size();
    if (!areCompatible(rules.tables[i], x[dim]))
      return emitError() << "(apply_c6) expected size " << sizeText(x[dim])
                         << " of dimension " << dim << " of 'x' in dimension "
                         << i << " of the tables, but got "
                         << sizeText(rules.tables[i]);
  }

  int64_t pairs = rules.tables.back(), head = x.back();
  if (rules.offset < 0)
    return emitError() << "(apply_c7) expected 'offset' not to be negative, "
                          "but got "
                       << rules.offset;
  bool anyHalf =
      rules.pairing == Pairing::half || rules.written == Pairing::half;
  int64_t stride = pairs;
  if (rules.pairStride) {
    stride = *rules.pairStride;
    if (!anyHalf || stride < 0 ||
        (!ShapedType::isDynamic(pairs) && stride < pairs))
      return emitError() << "(apply_c8) expected 'pair_stride' to come with "
                            "half pairing and be at least "
                         << sizeText(pairs) << ", but got " << stride;
  }
  bool changes = rules.written != rules.pairing;
  if (changes && rules.pairStride && stride != pairs)
    return emitError() << "(apply_c9) expected 'pair_stride' to be the number "
                          "of pairs, "
                       << sizeText(pairs)
                       << ", where the pairing of the result differs, but got "
                       << stride;
  // One past the last rotated channel; in half pairing that of the last pair's
  // second channel. Holds without pairs as well: the channels before it, and
  // those between first and second channels, are copied.
  int64_t known = ShapedType::isDynamic(pairs) ? 0 : pairs;
  if (ShapedType::isDynamic(stride))
    stride = 0;
  std::optional<int64_t> end = llvm::checkedAdd(stride, known);
  end = end ? llvm::checkedAdd(*end, rules.offset) : std::nullopt;
  if (!end || (!ShapedType::isDynamic(head) && *end > head))
    return emitError() << "(apply_c7) expected all pairs to lie within "
                       << sizeText(head) << " channels, but " << sizeText(pairs)
                       << " pairs from channel " << rules.offset
                       << " with a stride of " << stride << " do not";
  return success();
}

LogicalResult ApplyOp::verify() {
  if (failed(verifyOneKind(*this, "apply_c1")))
    return failure();
  ShapedType x = shaped(getX()), init = shaped(getInit()),
             cos = shaped(getCos()), sin = shaped(getSin());
  if (x.getRank() == 0 ||
      !llvm::equal(x.getShape(), init.getShape(), areCompatible))
    return emitOpError("(apply_c2) expected 'x' and the destination to have "
                       "one shape, and one dimension or more, but got ")
           << x << " and " << init;
  Type element = x.getElementType(), result = init.getElementType();
  if (!isSupportedFloat(element))
    return emitOpError("(apply_c2) expected elements of f16, bf16, f32 or f64, "
                       "but got ")
           << element;
  if (result != element &&
      (!isSupportedFloat(result) ||
       result.getIntOrFloatBitWidth() <= element.getIntOrFloatBitWidth()))
    return emitOpError("(apply_c2) expected a destination of ")
           << element << " or wider floats, but got " << init;
  auto emit = [&] { return emitOpError(); };
  if (failed(verifyCosSin(emit, "apply_c3", cos, sin)) ||
      failed(verifyApply(emit,
                         {mergeShapes(x, init), mergeShapes(cos, sin),
                          getPairing(), getWrittenPairing(), getPositionDims(),
                          int64_t(getOffset()), getPairStride()})))
    return failure();
  if (getWrittenPairing() != getPairing() && getX() == getInit() &&
      isa<MemRefType>(x))
    return emitOpError("(apply_c11) expected a destination other than 'x', "
                       "since the pairing of the result differs");
  return verifySizes(*this, "apply_c10");
}

//===- Attention.cpp - verifiers and simple interfaces of attention -------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The label in front of a message is that of the rule in AttentionOps.td.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "Rules.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace mlir::rope;

/// As text: diagnostics print no affine expressions.
template <typename T>
static std::string toText(T affine) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  affine.print(stream);
  return text;
}

static ShapedType shaped(Value value) {
  return cast<ShapedType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Maps
//===----------------------------------------------------------------------===//

std::optional<MapResult> rope::matchMapResult(AffineExpr result) {
  if (auto dim = dyn_cast<AffineDimExpr>(result))
    return MapResult{Loop(dim.getPosition()), 1};
  if (auto constant = dyn_cast<AffineConstantExpr>(result))
    return constant.getValue() == 0 ? std::optional(MapResult{std::nullopt, 1})
                                    : std::nullopt;
  auto division = dyn_cast<AffineBinaryOpExpr>(result);
  if (!division || (division.getKind() != AffineExprKind::FloorDiv &&
                    division.getKind() != AffineExprKind::Mod))
    return std::nullopt;
  auto dim = dyn_cast<AffineDimExpr>(division.getLHS());
  auto group = dyn_cast<AffineConstantExpr>(division.getRHS());
  if (!dim || !group || group.getValue() < 1)
    return std::nullopt;
  return MapResult{Loop(dim.getPosition()), group.getValue(),
                   division.getKind() == AffineExprKind::Mod};
}

SmallVector<MapResult> rope::followedLoops(AffineMap map) {
  return llvm::map_to_vector(map.getResults(), [](AffineExpr result) {
    return *matchMapResult(result);
  });
}

std::optional<int64_t> rope::findLoop(AffineMap map, Loop loop) {
  for (auto [i, result] : llvm::enumerate(map.getResults()))
    if (std::optional<MapResult> match = matchMapResult(result))
      if (match->loop == loop && !match->isRemainder)
        return i;
  return std::nullopt;
}

int64_t rope::getGroup(AffineMap map) {
  if (std::optional<int64_t> dim = findLoop(map, Loop::head))
    return matchMapResult(map.getResult(*dim))->group;
  return 1;
}

namespace {
/// The loops that a map must have, and those that it may have besides.
struct LoopRules {
  StringRef operand;
  SmallVector<Loop> required, allowed;
  /// Whether heads may be grouped and dimensions be constant.
  bool mayBroadcast = false;
  /// Whether keys are looked up in pages, by a dimension that has no size of
  /// the loop.
  bool isPaged = false;
  /// Whether the map is known to obey rules of its own.
  bool isVerified = false;
};

/// The labels of the rules that both operations check.
struct Labels {
  StringRef loops, destinations, sizes;
};
} // namespace

static StringRef loopName(Loop loop) {
  static constexpr StringRef kNames[] = {"b", "h", "i", "j", "d", "e"};
  return kNames[unsigned(loop)];
}

static LogicalResult verifyMap(Operation *op, StringRef label, AffineMap map,
                               const LoopRules &rules) {
  auto text = [](ArrayRef<Loop> loops) {
    return llvm::join(llvm::map_range(loops, loopName), ", ");
  };
  auto error = [&] {
    return op->emitOpError("(")
           << label << ") expected the map of the " << rules.operand
           << " to have " << text(rules.required)
           << (rules.required.empty() || rules.allowed.empty()
                   ? ""
                   : ", and to have ")
           << (rules.allowed.empty() ? "" : "at most ") << text(rules.allowed)
           << (rules.allowed.empty() ? "" : " besides")
           << ", each once, but got " << toText(map) << ": ";
  };
  SmallVector<Loop> found;
  for (AffineExpr result : map.getResults()) {
    std::optional<MapResult> match = matchMapResult(result);
    if (!match)
      return error() << "'" << toText(result) << "' is none of them";
    if (!rules.mayBroadcast && (!match->loop || match->group != 1))
      return error() << "'" << toText(result) << "' is no loop";
    if (!match->loop)
      continue;
    if (match->group != 1 && match->loop != Loop::head &&
        !(rules.isPaged && match->loop == Loop::key))
      return error() << "'" << toText(result) << "' is none of them";
    if (match->isRemainder) {
      if (match->loop == Loop::head)
        return error() << "'" << toText(result) << "' is none of them";
      continue;
    }
    if (llvm::is_contained(found, *match->loop))
      return error() << loopName(*match->loop) << " stands twice";
    if (!llvm::is_contained(rules.required, *match->loop) &&
        !llvm::is_contained(rules.allowed, *match->loop))
      return error() << loopName(*match->loop) << " is none of them";
    found.push_back(*match->loop);
  }
  for (Loop loop : rules.required)
    if (!llvm::is_contained(found, loop))
      return error() << loopName(loop) << " is missing";
  return success();
}

/// There is a map for each operand that is indexed.
static LogicalResult verifyMapShapes(Operation *op, ArrayAttr maps,
                                     ArrayRef<OpOperand *> operands,
                                     StringRef label) {
  if (maps.size() != operands.size())
    return op->emitOpError("(")
           << label << ") expected " << operands.size()
           << " indexing maps, one for each operand that is indexed, but got "
           << maps.size();
  for (auto [map, operand] :
       llvm::zip(maps.getAsValueRange<AffineMapAttr>(), operands))
    if (map.getNumDims() != kNumLoops || map.getNumSymbols() != 0 ||
        int64_t(map.getNumResults()) != shaped(operand->get()).getRank())
      return op->emitOpError("(")
             << label << ") expected a map of six loops to "
             << shaped(operand->get()).getRank() << " dimensions for "
             << operand->get().getType() << ", but got " << toText(map);
  return success();
}

/// The maps have the loops of their operands, which have one size for a loop.
static LogicalResult verifyMaps(Operation *op, ArrayAttr maps,
                                ArrayRef<OpOperand *> operands,
                                ArrayRef<LoopRules> inputRules,
                                ArrayRef<LoopRules> initRules,
                                const Labels &labels) {
  SmallVector<AffineMap> all =
      llvm::to_vector(maps.getAsValueRange<AffineMapAttr>());
  SmallVector<Loop> outer;
  for (auto [map, rules] : llvm::zip(all, inputRules)) {
    if (!rules.isVerified && failed(verifyMap(op, labels.loops, map, rules)))
      return failure();
    for (Loop loop : {Loop::batch, Loop::head})
      if (findLoop(map, loop) && !llvm::is_contained(outer, loop))
        outer.push_back(loop);
  }
  for (auto [map, rules] :
       llvm::zip(ArrayRef(all).drop_front(inputRules.size()), initRules)) {
    LoopRules exact = rules;
    llvm::append_range(exact.required, outer);
    exact.allowed.clear();
    for (Loop loop : {Loop::batch, Loop::head})
      if (!llvm::is_contained(outer, loop))
        exact.allowed.push_back(loop);
    if (failed(verifyMap(op, labels.destinations, map, exact)))
      return failure();
  }

  // Sizes: those of destinations are known first, as heads are grouped
  // elsewhere.
  std::array<int64_t, kNumLoops> sizes;
  sizes.fill(ShapedType::kDynamic);
  auto checkSize = [&](AffineMap map, Value operand,
                       bool isPaged) -> LogicalResult {
    for (auto [i, match] : llvm::enumerate(followedLoops(map))) {
      int64_t size = shaped(operand).getDimSize(i);
      if (ShapedType::isDynamic(size))
        continue;
      if (match.isRemainder && size != match.group)
        return op->emitOpError("(")
               << labels.sizes << ") expected size " << match.group
               << " of dimension " << i << " of " << operand.getType()
               << ", whose map has j mod " << match.group << " there";
      if (isPaged && match.loop == Loop::key)
        continue;
      if (!match.loop) {
        if (size != 1)
          return op->emitOpError("(")
                 << labels.sizes << ") expected size 1 of dimension " << i
                 << " of " << operand.getType() << ", whose map has 0 there";
        continue;
      }
      int64_t &known = sizes[unsigned(*match.loop)];
      std::optional<int64_t> whole = llvm::checkedMul(size, match.group);
      if (!whole || !areCompatible(known, *whole))
        return op->emitOpError("(")
               << labels.sizes << ") expected size " << sizeText(known)
               << " of loop " << loopName(*match.loop) << " in dimension " << i
               << " of " << operand.getType()
               << (match.group == 1
                       ? std::string()
                       : " times groups of " + std::to_string(match.group))
               << ", but got " << size
               << (match.group == 1 ? std::string()
                                    : " x " + std::to_string(match.group));
      known = *whole;
    }
    return success();
  };
  for (size_t i = operands.size(); i-- > 0;)
    if (failed(checkSize(all[i], operands[i]->get(),
                         i < inputRules.size() && inputRules[i].isPaged)))
      return failure();
  for (Loop loop : {Loop::channel, Loop::valueChannel})
    if (sizes[unsigned(loop)] == 0)
      return op->emitOpError("(")
             << labels.sizes << ") expected loop " << loopName(loop)
             << " to have a size greater than zero, but got 0";
  return success();
}

/// The region maps a score to a score and does nothing else.
static LogicalResult verifyRegion(Operation *op, Region &region,
                                  ValueRange scoreOperands, FloatType score,
                                  StringRef label) {
  if (region.empty()) {
    if (scoreOperands.empty())
      return success();
    return op->emitOpError("(")
           << label << ") expected a region, which the score operands enter";
  }
  Type index = IndexType::get(op->getContext());
  SmallVector<Type> expected = {score, index, index, index, index};
  for (Value operand : scoreOperands)
    expected.push_back(getElementTypeOrSelf(operand.getType()));
  if (!llvm::equal(region.getArgumentTypes(), expected))
    return op->emitOpError("(")
           << label << ") expected a region with arguments of types ["
           << expected << "], but got [" << region.getArgumentTypes() << "]";
  auto yield = dyn_cast_or_null<YieldOp>(
      region.front().empty() ? nullptr : &region.front().back());
  if (!yield || yield.getScore().getType() != score)
    return op->emitOpError("(")
           << label << ") expected the region to yield a score of type "
           << score;
  auto isScalar = [](Type type) { return type.isIntOrIndexOrFloat(); };
  for (Operation &inner : region.front())
    if (!isMemoryEffectFree(&inner) || inner.getNumRegions() != 0 ||
        !llvm::all_of(inner.getOperandTypes(), isScalar) ||
        !llvm::all_of(inner.getResultTypes(), isScalar))
      return op->emitOpError("(") << label
                                  << ") expected a region of scalar operations "
                                     "without side effects, "
                                     "but got '"
                                  << inner.getName() << "'";
  return success();
}

/// Operands may be null, but for the first.
static FloatType accumulatorType(ArrayRef<Value> operands) {
  MLIRContext *context = operands.front().getContext();
  bool wide = llvm::any_of(operands, [](Value value) {
    return value && getElementTypeOrSelf(value.getType()).isF64();
  });
  return wide ? FloatType(Float64Type::get(context))
              : FloatType(Float32Type::get(context));
}

static SmallVector<LoopRules> inputRules(unsigned scoreOperands) {
  const Loop b = Loop::batch, h = Loop::head, i = Loop::query, j = Loop::key,
             d = Loop::channel, e = Loop::valueChannel;
  SmallVector<LoopRules> rules = {{"query", {i, d}, {b, h}, false},
                                  {"key", {j, d}, {b, h}, true},
                                  {"value", {j, e}, {b, h}, true}};
  rules.append(scoreOperands, {"score operand", {}, {b, h, i, j}, true});
  return rules;
}

static LogicalResult verifyElements(Operation *op, StringRef label,
                                    ValueRange operands) {
  for (Value operand : operands)
    if (!isSupportedFloat(getElementTypeOrSelf(operand.getType())))
      return op->emitOpError("(")
             << label
             << ") expected elements of f16, bf16, f32 or f64, but got "
             << operand.getType();
  return success();
}

static LogicalResult verifyScoreOperands(Operation *op, StringRef label,
                                         ValueRange operands) {
  for (Type type : operands.getTypes())
    if (!getElementTypeOrSelf(type).isIntOrIndexOrFloat())
      return op->emitOpError("(")
             << label
             << ") expected score operands of integers, indices or floats, but "
                "got "
             << type;
  return success();
}

static LogicalResult verifyDestinations(Operation *op, StringRef label,
                                        MutableOperandRange inits) {
  for (OpOperand &init : inits)
    for (OpOperand &other : op->getOpOperands())
      if (&init != &other && init.get() == other.get() &&
          isa<MemRefType>(init.get().getType()))
        return op->emitOpError("(")
               << label << ") expected a destination that is no other operand, "
               << "but operand " << init.getOperandNumber() << " is operand "
               << other.getOperandNumber();
  return success();
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

FloatType AttentionOp::getAccumulatorType() {
  return accumulatorType(
      {getQuery(), getKey(), getValue(), getKeyScales(), getValueScales()});
}

SmallVector<OpOperand *> AttentionOp::getMappedOperands() {
  SmallVector<OpOperand *> operands = {&getQueryMutable(), &getKeyMutable(),
                                       &getValueMutable()};
  for (MutableOperandRange range :
       {getKeyScalesMutable(), getValueScalesMutable(), getPagesMutable(),
        getScoreOperandsMutable(), getInitsMutable()})
    for (OpOperand &operand : range)
      operands.push_back(&operand);
  return operands;
}

OpOperand *AttentionOp::getScales(OpOperand &operand) {
  if (&operand == &getKeyMutable() && getKeyScales())
    return &getKeyScalesMutable()[0];
  if (&operand == &getValueMutable() && getValueScales())
    return &getValueScalesMutable()[0];
  return nullptr;
}

int64_t AttentionOp::getPageSize() {
  if (!getPages())
    return 0;
  AffineMap map = getMap(getPagesMutable()[0]);
  return matchMapResult(map.getResult(*findLoop(map, Loop::key)))->group;
}

bool AttentionOp::isPaged(OpOperand &operand) {
  return getPages() &&
         (&operand == &getKeyMutable() || &operand == &getValueMutable() ||
          &operand == getScales(getKeyMutable()) ||
          &operand == getScales(getValueMutable()));
}

SmallVector<MapResult> AttentionOp::getLookedUpLoops(OpOperand &operand) {
  SmallVector<MapResult> loops = followedLoops(getMap(operand));
  if (!isPaged(operand))
    return loops;
  int64_t pageSize = getPageSize();
  for (MapResult &match : loops) {
    if (match.loop != Loop::key)
      continue;
    if (match.isRemainder || pageSize == 1)
      match = {Loop::key};
    else if (findLoop(getMap(getPagesMutable()[0]), Loop::batch))
      match = {Loop::batch};
    else
      match = {};
  }
  return loops;
}

AffineMap AttentionOp::getMap(OpOperand &operand) {
  for (auto [mapped, map] :
       llvm::zip_equal(getMappedOperands(),
                       getIndexingMaps().getAsValueRange<AffineMapAttr>()))
    if (mapped == &operand)
      return map;
  return AffineMap();
}

void AttentionOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  if (getResults().empty())
    return;
  setName(getResult(0), "attention");
  if (getResults().size() > 1)
    setName(getResult(1), "log_sum_exp");
}

LogicalResult
AttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                              ValueRange operands, DictionaryAttr attributes,
                              OpaqueProperties properties, RegionRange regions,
                              SmallVectorImpl<Type> &types) {
  AttentionOp::Adaptor adaptor(operands, attributes, properties, regions);
  ArrayRef<int32_t> segments = adaptor.getProperties().operandSegmentSizes;
  int64_t total = 0;
  for (int32_t size : segments)
    total += size;
  if (total != int64_t(operands.size()))
    return failure();
  return inferFromInits(adaptor.getInits(), types);
}

LogicalResult
AttentionOp::reifyResultShapes(OpBuilder &b,
                               ReifiedRankedShapedTypeDims &shapes) {
  return reifyFromInits(b, *this, shapes);
}

void AttentionOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  memoryEffects(*this, effects);
}

Speculation::Speculatability AttentionOp::getSpeculatability() {
  // Pages may be valid only where the operation is reached.
  if (getPages())
    return Speculation::NotSpeculatable;
  return speculatability(*this);
}

static LogicalResult verifyRotation(AttentionOp op, StringRef name,
                                    RotationAttr rotation, ValueRange operands,
                                    ArrayRef<int64_t> shape, AffineMap map) {
  auto emit = [&] {
    return op.emitOpError("(attention_c11) expected a valid rotation of the ")
           << name << ": ";
  };
  if (bool(rotation) != !operands.empty())
    return emit() << "operands and attribute come together";
  if (!rotation)
    return success();
  if (operands.size() != 2)
    return emit() << "expected two operands, but got " << operands.size();
  if (findLoop(map, Loop::channel) != int64_t(map.getNumResults()) - 1)
    return emit() << "expected the head dimension last, but got "
                  << toText(map);
  ShapedType first = shaped(operands[0]), second = shaped(operands[1]);
  SmallVector<int64_t> tables(first.getShape());
  if (AnglesAttr angles = rotation.getAngles()) {
    TableRules rules{first, second, std::nullopt,
                     angles.getMagnitude().getValue(), angles.getPrecision()};
    if (angles.getAxes())
      rules.axes = angles.getAxes().asArrayRef();
    if (failed(verifyTable(emit, rules)))
      return failure();
    tables = inferTableShape(rules);
  } else if (failed(verifyCosSin(emit, "apply_c3", first, second))) {
    return failure();
  } else {
    tables = mergeShapes(first, second);
  }
  return verifyApply(
      emit, {shape, tables, rotation.getPairing(),
             rotation.getResultPairing().value_or(rotation.getPairing()),
             rotation.getPositionDims().asArrayRef(), rotation.getOffset(),
             rotation.getPairStride()});
}

/// An integer for each batch.
static LogicalResult verifyPerBatch(AttentionOp op, StringRef name, Value value,
                                    int64_t batches) {
  auto type = dyn_cast<ShapedType>(value.getType());
  if (!type)
    return success();
  if (type.getRank() != 1 || !type.getElementType().isIntOrIndex() ||
      !areCompatible(type.getDimSize(0), batches))
    return op.emitOpError("(attention_c9) expected ")
           << name << " of " << sizeText(batches)
           << " integers, one for each batch, but got " << type;
  return success();
}

/// Floats, and i8 where it has scales.
static LogicalResult verifyElements(AttentionOp op) {
  SmallVector<Value> floats = {op.getQuery()};
  for (OpOperand *operand : {&op.getKeyMutable(), &op.getValueMutable()}) {
    OpOperand *scales = op.getScales(*operand);
    floats.push_back(scales ? scales->get() : operand->get());
    if (scales &&
        !getElementTypeOrSelf(operand->get().getType()).isSignlessInteger(8))
      return op.emitOpError(
                 "(attention_c2) expected elements of i8, which have "
                 "scales, but got ")
             << operand->get().getType();
  }
  llvm::append_range(floats, op.getInits());
  if (op.getSinks())
    floats.push_back(op.getSinks());
  return verifyElements(op, "attention_c2", floats);
}

static LogicalResult verifyPages(AttentionOp op) {
  OpOperand &pages = op.getPagesMutable()[0];
  if (!getElementTypeOrSelf(pages.get().getType()).isIntOrIndex())
    return op.emitOpError("(attention_c15) expected 'pages' of integers, but "
                          "got ")
           << pages.get().getType();
  AffineMap map = op.getMap(pages);
  int64_t pageSize = 0, batches = 0;
  for (AffineExpr result : map.getResults()) {
    std::optional<MapResult> match = matchMapResult(result);
    if (match && match->loop == Loop::key && !match->isRemainder && !pageSize)
      pageSize = match->group;
    else if (match && match->loop == Loop::batch && match->group == 1)
      ++batches;
    else
      batches = 2;
  }
  if (pageSize == 0 || batches > 1)
    return op.emitOpError("(attention_c15) expected the map of 'pages' to have "
                          "j floordiv P and at most b besides, but got ")
           << toText(map);

  auto verifyPlaces = [&](OpOperand &operand, bool isScale) -> LogicalResult {
    AffineMap map = op.getMap(operand);
    int64_t quotients = 0, remainders = 0;
    bool isOther = false;
    for (AffineExpr result : map.getResults()) {
      std::optional<MapResult> match = matchMapResult(result);
      if (match && match->loop == Loop::batch)
        isOther = true;
      if (!match || match->loop != Loop::key)
        continue;
      ++(match->isRemainder ? remainders : quotients);
      isOther |= match->group != pageSize;
    }
    if (!isOther && quotients == 1 && remainders == (pageSize > 1 ? 1 : 0))
      return success();
    if (!isOther && isScale && quotients <= 1 && remainders == 0)
      return success();
    InFlightDiagnostic error =
        op.emitOpError("(attention_c15) expected the map of ");
    error << (isScale ? "scales" : "key and value") << " to have j floordiv "
          << pageSize;
    if (pageSize > 1)
      error << " and j mod " << pageSize << " in place of j";
    return error << ", and not b, but got " << toText(map);
  };
  for (OpOperand *operand : {&op.getKeyMutable(), &op.getValueMutable()}) {
    if (failed(verifyPlaces(*operand, /*isScale=*/false)))
      return failure();
    if (OpOperand *scales = op.getScales(*operand))
      if (failed(verifyPlaces(*scales, /*isScale=*/true)))
        return failure();
  }
  return success();
}

/// The map of scales has loops of the operand's, each once.
static LogicalResult verifyScales(AttentionOp op, OpOperand &operand) {
  OpOperand *scales = op.getScales(operand);
  if (!scales)
    return success();
  AffineMap map = op.getMap(*scales), ofOperand = op.getMap(operand);
  auto error = [&] {
    return op.emitOpError("(attention_c14) expected the map of scales to have "
                          "loops of their key or value, each once, but got ")
           << toText(map) << " for " << toText(ofOperand);
  };
  SmallVector<Loop> found;
  for (AffineExpr result : map.getResults()) {
    std::optional<MapResult> match = matchMapResult(result);
    if (!match)
      return error();
    if (!match->loop)
      continue;
    if (match->isRemainder) {
      if (!op.getPages() || match->loop != Loop::key)
        return error();
      continue;
    }
    if (!findLoop(ofOperand, *match->loop) ||
        llvm::is_contained(found, *match->loop))
      return error();
    found.push_back(*match->loop);
    if (match->loop == Loop::head && match->group % getGroup(ofOperand) != 0)
      return error() << ": heads are in groups of " << getGroup(ofOperand);
  }
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyOneKind(*this, "attention_c1")) ||
      failed(verifySizes(*this, "attention_c12")) ||
      failed(verifyElements(*this)) ||
      failed(verifyScoreOperands(*this, "attention_c2", getScoreOperands())))
    return failure();
  if (getInits().empty() || getInits().size() > 2)
    return emitOpError("(attention_c7) expected one or two destinations, but "
                       "got ")
           << getInits().size();

  SmallVector<LoopRules> initRules = {
      {"destination", {Loop::query, Loop::valueChannel}, {}, false},
      {"sums", {Loop::query}, {}, false}};
  SmallVector<OpOperand *> operands = getMappedOperands();
  if (failed(verifyMapShapes(*this, getIndexingMaps(), operands,
                             "attention_c3")) ||
      (getPages() && failed(verifyPages(*this))) ||
      failed(verifyScales(*this, getKeyMutable())) ||
      failed(verifyScales(*this, getValueMutable())))
    return failure();
  SmallVector<LoopRules> rules = inputRules(getScoreOperands().size());
  // Pages and scales stand between values and score operands.
  size_t others = operands.size() - getInits().size() - rules.size();
  LoopRules verified;
  verified.isVerified = true;
  rules.insert(rules.begin() + 3, others, verified);
  for (auto [rule, operand] : llvm::zip(rules, operands))
    rule.isPaged = isPaged(*operand);
  if (failed(verifyMaps(*this, getIndexingMaps(), operands, rules, initRules,
                        {"attention_c4", "attention_c5", "attention_c6"})) ||
      failed(verifyRegion(*this, getRegion(), getScoreOperands(),
                          getAccumulatorType(), "attention_c10")) ||
      failed(verifyDestinations(*this, "attention_c13", getInitsMutable())))
    return failure();

  if (getWindow() && !getCausal())
    return emitOpError("(attention_c8) expected 'causal' beside 'window'");
  for (std::optional<uint64_t> size : {getWindow(), getChunk()})
    if (size && int64_t(*size) <= 0)
      return emitOpError("(attention_c8) expected 'window' and 'chunk' to be "
                         "greater than zero, but got ")
             << int64_t(*size);
  if (!getScale().isFinite())
    return emitOpError("(attention_c8) expected 'scale' to be finite, but got ")
           << getScaleAttr();

  OpOperand &output = getInitsMutable()[0];
  auto loopSize = [&](Loop loop) -> int64_t {
    std::optional<int64_t> dim = findLoop(getMap(output), loop);
    return dim ? shaped(output.get()).getDimSize(*dim) : 1;
  };
  if (getQueryOffset() &&
      failed(verifyPerBatch(*this, "'query_offset'", getQueryOffset(),
                            loopSize(Loop::batch))))
    return failure();
  if (getLengths() && failed(verifyPerBatch(*this, "'lengths'", getLengths(),
                                            loopSize(Loop::batch))))
    return failure();
  if (getSinks()) {
    ShapedType sinks = shaped(getSinks());
    if (sinks.getRank() != 1 ||
        !areCompatible(sinks.getDimSize(0), loopSize(Loop::head)))
      return emitOpError("(attention_c9) expected 'sinks' of ")
             << sizeText(loopSize(Loop::head))
             << " floats, one for each head, but got " << sinks;
  }
  if (failed(verifyRotation(
          *this, "query", getQueryRotationAttr(), getQueryRotationOperands(),
          shaped(getQuery()).getShape(), getMap(getQueryMutable()))))
    return failure();
  SmallVector<int64_t> keyShape(shaped(getKey()).getShape());
  if (getPages()) {
    // Tables follow keys, not places.
    OpOperand &pages = getPagesMutable()[0];
    int64_t count =
        shaped(pages.get()).getDimSize(*findLoop(getMap(pages), Loop::key));
    std::optional<int64_t> keys =
        ShapedType::isDynamic(count)
            ? ShapedType::kDynamic
            : llvm::checkedMul<int64_t>(count, getPageSize());
    SmallVector<MapResult> places = followedLoops(getMap(getKeyMutable()));
    for (auto [size, place, match] :
         llvm::zip(keyShape, places, getLookedUpLoops(getKeyMutable())))
      if (place.loop == Loop::key)
        size = match.loop == Loop::key     ? *keys
               : match.loop == Loop::batch ? loopSize(Loop::batch)
                                           : 1;
  }
  return verifyRotation(*this, "key", getKeyRotationAttr(),
                        getKeyRotationOperands(), keyShape,
                        getMap(getKeyMutable()));
}

//===----------------------------------------------------------------------===//
// online_attention
//===----------------------------------------------------------------------===//

FloatType OnlineAttentionOp::getAccumulatorType() {
  return accumulatorType({getQuery(), getKey(), getValue()});
}

SmallVector<OpOperand *> OnlineAttentionOp::getMappedOperands() {
  return llvm::map_to_vector((*this)->getOpOperands(),
                             [](OpOperand &operand) { return &operand; });
}

AffineMap OnlineAttentionOp::getMap(OpOperand &operand) {
  return cast<AffineMapAttr>(getIndexingMaps()[operand.getOperandNumber()])
      .getValue();
}

void OnlineAttentionOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  static constexpr StringRef kNames[] = {"acc", "max", "sum", "scores",
                                         "correction"};
  for (auto [result, name] : llvm::zip(getResults(), kNames))
    setName(result, name);
}

LogicalResult OnlineAttentionOp::inferReturnTypes(
    MLIRContext *, std::optional<Location>, ValueRange operands, DictionaryAttr,
    OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  if (operands.size() < 8)
    return failure();
  return inferFromInits(operands.take_back(5), types);
}

LogicalResult
OnlineAttentionOp::reifyResultShapes(OpBuilder &b,
                                     ReifiedRankedShapedTypeDims &shapes) {
  return reifyFromInits(b, *this, shapes);
}

void OnlineAttentionOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  memoryEffects(*this, effects, /*readInits=*/true);
}

Speculation::Speculatability OnlineAttentionOp::getSpeculatability() {
  return speculatability(*this);
}

LogicalResult OnlineAttentionOp::verify() {
  if (failed(verifyOneKind(*this, "online_attention_c1")) ||
      failed(verifySizes(*this, "online_attention_c9")) ||
      failed(verifyElements(*this, "online_attention_c2",
                            {getQuery(), getKey(), getValue()})) ||
      failed(verifyScoreOperands(*this, "online_attention_c2",
                                 getScoreOperands())))
    return failure();
  FloatType type = getAccumulatorType();
  for (Value init : getDpsInits())
    if (getElementTypeOrSelf(init.getType()) != type)
      return emitOpError("(online_attention_c2) expected destinations of ")
             << type << ", but got " << init.getType();
  const Loop i = Loop::query, j = Loop::key, e = Loop::valueChannel;
  SmallVector<LoopRules> initRules = {{"accumulator", {i, e}, {}, false},
                                      {"maximum", {i}, {}, false},
                                      {"sum", {i}, {}, false},
                                      {"scores", {i, j}, {}, false},
                                      {"correction", {i}, {}, false}};
  if (failed(verifyMapShapes(*this, getIndexingMaps(), getMappedOperands(),
                             "online_attention_c3")) ||
      failed(verifyMaps(*this, getIndexingMaps(), getMappedOperands(),
                        inputRules(getScoreOperands().size()), initRules,
                        {"online_attention_c4", "online_attention_c5",
                         "online_attention_c6"})) ||
      failed(verifyRegion(*this, getRegion(), getScoreOperands(), type,
                          "online_attention_c8")) ||
      failed(verifyDestinations(*this, "online_attention_c10",
                                getDpsInitsMutable())))
    return failure();
  if (!getScale().isFinite())
    return emitOpError("(online_attention_c7) expected 'scale' to be finite, "
                       "but got ")
           << getScaleAttr();
  return success();
}

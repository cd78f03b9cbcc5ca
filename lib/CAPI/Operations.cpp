//===- Operations.cpp - operations in the C interface ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Operations.h"
#include "Checks.h"
#include "Rope/IR/Frequencies.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// Makes one operation. Reads the handles that the caller gives, reports what
/// is wrong with them, and makes nothing after an error.
class OpMaker {
public:
  OpMaker(const char *function, MlirLocation location) : function(function) {
    if (mlirLocationIsNull(location)) {
      failNull("location");
      return;
    }
    loc = unwrap(location);
    context = loadDialect(function, wrap(loc->getContext()));
  }

  bool ok() const { return isOk; }
  Location getLoc() const { return *loc; }
  MLIRContext *getContext() const { return context; }
  Builder builder() const { return Builder(context); }

  void fail() { isOk = false; }
  void failNull(const char *argument) {
    reportNull(function, argument);
    isOk = false;
  }

  Value value(const char *argument, MlirValue handle) {
    if (isOk && mlirValueIsNull(handle))
      failNull(argument);
    return optionalValue(argument, handle);
  }

  /// Null where the handle is.
  Value optionalValue(const char *argument, MlirValue handle) {
    if (!isOk || mlirValueIsNull(handle))
      return {};
    Value value = unwrap(handle);
    isOk = isOfContext(function, argument, value, context);
    return value;
  }

  SmallVector<Value> values(const char *argument, intptr_t size,
                            const MlirValue *handles) {
    SmallVector<Value> result;
    if (array(argument, size, handles))
      for (MlirValue handle : ArrayRef(handles, size))
        result.push_back(value(argument, handle));
    return result;
  }

  template <typename T>
  bool array(const char *argument, intptr_t size, const T *elements) {
    return isOk = isOk && isArray(function, argument, size, elements);
  }

  template <typename AttrT>
  AttrT attribute(const char *argument, MlirAttribute handle) {
    if (!isOk)
      return {};
    AttrT attr = getAs<AttrT>(function, handle, argument);
    isOk = attr && isOfContext(function, argument, attr, context);
    return attr;
  }

  ArrayAttr maps(intptr_t size, const MlirAffineMap *handles) {
    SmallVector<AffineMap> maps;
    if (array("indexingMaps", size, handles))
      for (MlirAffineMap handle : ArrayRef(handles, size)) {
        if (mlirAffineMapIsNull(handle)) {
          failNull("indexingMaps");
          return {};
        }
        maps.push_back(unwrap(handle));
        if (!isOfContext(function, "indexingMaps", maps.back(), context)) {
          fail();
          return {};
        }
      }
    return isOk ? builder().getAffineMapArrayAttr(maps) : ArrayAttr();
  }

  IntegerAttr optionalInteger(const int64_t *number) {
    return isOk && number ? builder().getI64IntegerAttr(*number)
                          : IntegerAttr();
  }
  FloatAttr number(double value) {
    return isOk ? builder().getF64FloatAttr(value) : FloatAttr();
  }

  /// An operation of the types and parameters that `OpT::build` takes. Takes
  /// the blocks of `region`, where there is one.
  template <typename OpT, typename... Args>
  OpT create(TypeRange types, Args &&...args) {
    OpBuilder b(context);
    OperationState state(*loc, OpT::getOperationName());
    OpT::build(b, state, types, std::forward<Args>(args)...);
    return cast<OpT>(Operation::create(state));
  }

  /// The operation, if it obeys its rules.
  MlirOperation finish(Operation *op) {
    if (succeeded(verify(op)))
      return wrap(op);
    op->destroy();
    return {nullptr};
  }

private:
  const char *function;
  std::optional<Location> loc;
  MLIRContext *context = nullptr;
  bool isOk = true;
};
} // namespace

/// The types of results: those of the destinations that are tensors.
static SmallVector<Type> inferTypes(ArrayRef<Value> inits) {
  SmallVector<Type> types;
  for (Value init : inits)
    if (isa<RankedTensorType>(init.getType()))
      types.push_back(init.getType());
  return types;
}

//===----------------------------------------------------------------------===//
// Frequencies
//===----------------------------------------------------------------------===//

/// A tensor<n x f64>; null after a diagnostic.
static RankedTensorType frequencyType(OpMaker &maker, intptr_t n) {
  if (!maker.ok())
    return {};
  if (n >= 0)
    return RankedTensorType::get({n}, maker.builder().getF64Type());
  emitError(maker.getLoc())
      << "expected a number of frequencies that is not negative, but got " << n;
  return {};
}

MlirOperation ropeFrequenciesCreate(MlirLocation location, intptr_t n,
                                    double base, const int64_t *dimension) {
  OpMaker maker(__func__, location);
  RankedTensorType type = frequencyType(maker, n);
  if (!type)
    return {nullptr};
  return maker.finish(maker.create<FrequenciesOp>(
      type, maker.number(base), maker.optionalInteger(dimension),
      ElementsAttr()));
}

MlirOperation ropeFrequenciesCreateFromValues(MlirLocation location, intptr_t n,
                                              const double *values) {
  OpMaker maker(__func__, location);
  RankedTensorType type = frequencyType(maker, n);
  if (!type || !maker.array("values", n, values))
    return {nullptr};
  return maker.finish(maker.create<FrequenciesOp>(
      type, FloatAttr(), IntegerAttr(),
      DenseElementsAttr::get(type, ArrayRef(values, n))));
}

MlirOperation ropeScaleFrequenciesCreate(MlirLocation location,
                                         MlirValue frequencies,
                                         MlirAttribute scaling,
                                         MlirValue length) {
  OpMaker maker(__func__, location);
  Value w = maker.value("frequencies", frequencies);
  auto rule = maker.attribute<ScalingAttrInterface>("scaling", scaling);
  Value positions = maker.optionalValue("length", length);
  if (!maker.ok())
    return {nullptr};
  return maker.finish(
      maker.create<ScaleFrequenciesOp>(w.getType(), w, rule, positions));
}

intptr_t ropeEvaluateFrequencies(MlirValue value, intptr_t capacity,
                                 double *result) {
  if (mlirValueIsNull(value)) {
    reportNull(__func__, "value");
    return -1;
  }
  if (!isArray(__func__, "result", capacity, result))
    return -1;
  Value frequencies = unwrap(value);
  auto type = dyn_cast<RankedTensorType>(frequencies.getType());
  if (!type || type.getRank() != 1 || !type.hasStaticShape() ||
      !type.getElementType().isF64()) {
    reportArgument(__func__, "a one-dimensional statically shaped f64 tensor",
                   toText(frequencies.getType()));
    return -1;
  }
  // Who made the operations need not have verified them.
  Value source = frequencies;
  SmallPtrSet<Operation *, 8> chain;
  while (Operation *op = source.getDefiningOp()) {
    if (!isa<FrequenciesOp, ScaleFrequenciesOp>(op))
      break;
    // Operations of a graph region may use each other in a circle.
    if (!chain.insert(op).second)
      return -1;
    if (failed(verify(op)))
      return -1;
    if (isa<FrequenciesOp>(op))
      break;
    source = cast<ScaleFrequenciesOp>(op).getFrequencies();
  }
  std::optional<SmallVector<double>> numbers = evaluateFrequencies(frequencies);
  if (!numbers)
    return -1;
  ArrayRef<double> written(*numbers);
  llvm::copy(written.take_front(capacity), result);
  return written.size();
}

//===----------------------------------------------------------------------===//
// Tables and rotations
//===----------------------------------------------------------------------===//

MlirOperation ropeTableCreate(MlirLocation location, MlirValue positions,
                              MlirValue frequencies, MlirValue cos,
                              MlirValue sin, const RopeTableOptions *options) {
  static const RopeTableOptions defaults = {};
  const RopeTableOptions &o = options ? *options : defaults;
  OpMaker maker(__func__, location);
  Value p = maker.value("positions", positions);
  Value w = maker.value("frequencies", frequencies);
  Value c = maker.value("cos", cos), s = maker.value("sin", sin);
  if (!maker.array("axes", o.numAxes, o.axes))
    return {nullptr};
  auto precision = getCase<Precision>(maker.getLoc(), "precision", o.precision);
  if (!precision)
    return {nullptr};
  Builder b = maker.builder();
  return maker.finish(maker.create<TableOp>(
      inferTypes({c, s}), p, w, c, s,
      maker.number(o.magnitude ? *o.magnitude : 1),
      o.axes ? b.getDenseI64ArrayAttr({o.axes, size_t(o.numAxes)})
             : DenseI64ArrayAttr(),
      PrecisionAttr::get(maker.getContext(), *precision)));
}

MlirOperation ropeApplyCreate(MlirLocation location, MlirValue x, MlirValue cos,
                              MlirValue sin, MlirValue init,
                              const RopeRotation *rotation) {
  OpMaker maker(__func__, location);
  Value in = maker.value("x", x);
  Value c = maker.value("cos", cos), s = maker.value("sin", sin);
  Value out = maker.value("init", init);
  if (maker.ok() && !rotation)
    maker.failNull("rotation");
  if (!maker.ok())
    return {nullptr};
  std::optional<RotationParameters> parameters =
      getParameters(__func__, maker.getLoc(), *rotation);
  if (!parameters)
    return {nullptr};
  Builder b = maker.builder();
  auto pairing = [&](Pairing value) {
    return PairingAttr::get(maker.getContext(), value);
  };
  return maker.finish(maker.create<ApplyOp>(
      inferTypes(out), in, c, s, out, pairing(parameters->pairing),
      b.getDenseI64ArrayAttr(parameters->positionDims),
      b.getI64IntegerAttr(rotation->offset),
      maker.optionalInteger(rotation->pairStride),
      parameters->resultPairing ? pairing(*parameters->resultPairing)
                                : PairingAttr(),
      rotation->transpose ? b.getUnitAttr() : UnitAttr()));
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// A region that belongs to this call.
static std::unique_ptr<Region> take(MlirRegion region) {
  return std::unique_ptr<Region>(unwrap(region));
}

MlirOperation ropeAttentionCreate(MlirLocation location, MlirValue query,
                                  MlirValue key, MlirValue value,
                                  intptr_t numInits, const MlirValue *inits,
                                  intptr_t numMaps,
                                  const MlirAffineMap *indexingMaps,
                                  const RopeAttentionOptions *options) {
  static const RopeAttentionOptions defaults = {};
  const RopeAttentionOptions &o = options ? *options : defaults;
  std::unique_ptr<Region> region = take(o.region);
  OpMaker maker(__func__, location);
  Value q = maker.value("query", query), k = maker.value("key", key);
  Value v = maker.value("value", value);
  SmallVector<Value> outs = maker.values("inits", numInits, inits);
  ArrayAttr maps = maker.maps(numMaps, indexingMaps);
  Value keyScales = maker.optionalValue("keyScales", o.keyScales);
  Value valueScales = maker.optionalValue("valueScales", o.valueScales);
  Value pages = maker.optionalValue("pages", o.pages);
  SmallVector<Value> scores =
      maker.values("scoreOperands", o.numScoreOperands, o.scoreOperands);
  Value offset = maker.optionalValue("queryOffset", o.queryOffset);
  Value lengths = maker.optionalValue("lengths", o.lengths);
  Value sinks = maker.optionalValue("sinks", o.sinks);
  RotationAttr rotations[2];
  SmallVector<Value> rotationOperands[2];
  auto rotate = [&](int i, MlirAttribute attr, const char *name,
                    const MlirValue *operands, const char *operandsName) {
    if (mlirAttributeIsNull(attr))
      return;
    rotations[i] = maker.attribute<RotationAttr>(name, attr);
    rotationOperands[i] = maker.values(operandsName, 2, operands);
  };
  rotate(0, o.queryRotation, "queryRotation", o.queryRotationOperands,
         "queryRotationOperands");
  rotate(1, o.keyRotation, "keyRotation", o.keyRotationOperands,
         "keyRotationOperands");
  if (!maker.ok())
    return {nullptr};
  auto op = maker.create<AttentionOp>(
      inferTypes(outs), q, k, v, keyScales, valueScales, pages, scores, offset,
      lengths, sinks, rotationOperands[0], rotationOperands[1], outs, maps,
      maker.number(o.scale ? *o.scale : 1),
      o.causal ? maker.builder().getUnitAttr() : UnitAttr(),
      maker.optionalInteger(o.window), maker.optionalInteger(o.chunk),
      rotations[0], rotations[1]);
  if (region)
    op.getRegion().takeBody(*region);
  return maker.finish(op);
}

MlirOperation
ropeOnlineAttentionCreate(MlirLocation location, MlirValue query, MlirValue key,
                          MlirValue value, const MlirValue *inits,
                          intptr_t numMaps, const MlirAffineMap *indexingMaps,
                          const RopeOnlineAttentionOptions *options) {
  static const RopeOnlineAttentionOptions defaults = {};
  const RopeOnlineAttentionOptions &o = options ? *options : defaults;
  std::unique_ptr<Region> region = take(o.region);
  OpMaker maker(__func__, location);
  Value q = maker.value("query", query), k = maker.value("key", key);
  Value v = maker.value("value", value);
  SmallVector<Value> outs = maker.values("inits", 5, inits);
  ArrayAttr maps = maker.maps(numMaps, indexingMaps);
  SmallVector<Value> scores =
      maker.values("scoreOperands", o.numScoreOperands, o.scoreOperands);
  if (!maker.ok())
    return {nullptr};
  auto op = maker.create<OnlineAttentionOp>(
      inferTypes(outs), q, k, v, scores, outs[0], outs[1], outs[2], outs[3],
      outs[4], maps, maker.number(o.scale ? *o.scale : 1),
      o.unmasked ? maker.builder().getUnitAttr() : UnitAttr());
  if (region)
    op.getRegion().takeBody(*region);
  return maker.finish(op);
}

MlirOperation ropeYieldCreate(MlirLocation location, MlirValue score) {
  OpMaker maker(__func__, location);
  Value value = maker.value("score", score);
  if (!maker.ok())
    return {nullptr};
  return wrap(maker.create<YieldOp>(TypeRange(), value).getOperation());
}

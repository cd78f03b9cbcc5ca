//===- Attributes.cpp - attributes in the C interface ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Attributes.h"
#include "Checks.h"
#include "mlir/IR/Builders.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// What attributes share
//===----------------------------------------------------------------------===//

/// Makes an attribute of parameters that its verifier accepts.
template <typename AttrT, typename... Parameters>
static MlirAttribute getChecked(MLIRContext *context,
                                Parameters... parameters) {
  auto emit = [&] { return emitError(UnknownLoc::get(context)); };
  return wrap(AttrT::getChecked(emit, context, parameters...));
}

static FloatAttr number(MLIRContext *context, double value) {
  return Builder(context).getF64FloatAttr(value);
}

static FloatAttr number(MLIRContext *context, const double *value) {
  return value ? number(context, *value) : FloatAttr();
}

static double toDouble(FloatAttr attr) {
  return attr ? attr.getValueAsDouble() : std::nan("");
}

/// The answer where there is no attribute to ask.
static double absent(double) { return std::nan(""); }
static bool absent(bool) { return false; }
static int64_t absent(int64_t) { return -1; }
static RopePairing absent(RopePairing) { return ROPE_PAIRING_INVALID; }
static RopePrecision absent(RopePrecision) { return ROPE_PRECISION_INVALID; }
static MlirAttribute absent(MlirAttribute) { return {nullptr}; }

/// What `get` reads from an attribute of one kind.
template <typename AttrT, typename Get>
static auto read(const char *function, MlirAttribute handle, Get get) {
  AttrT attr = getAs<AttrT>(function, handle);
  using Result = decltype(get(attr));
  return attr ? get(attr) : absent(Result{});
}

/// One element of a list that `list` reads from an attribute of one kind.
template <typename AttrT, typename List>
static auto readElement(const char *function, MlirAttribute handle,
                        intptr_t index, List list) {
  AttrT attr = getAs<AttrT>(function, handle);
  using Element = std::decay_t<decltype(list(attr)[0])>;
  if (!attr)
    return absent(Element{});
  auto elements = list(attr);
  if (index >= 0 && size_t(index) < elements.size())
    return Element(elements[index]);
  reportArgument(function,
                 "an index below " + Twine(elements.size()) + " and from 0",
                 Twine(index));
  return absent(Element{});
}

#define ROPE_DEFINE_ATTR(KIND)                                                 \
  bool ropeAttributeIsA##KIND(MlirAttribute attr) {                            \
    return isa_and_nonnull<KIND##Attr>(unwrap(attr));                          \
  }                                                                            \
  MlirTypeID rope##KIND##AttrGetTypeID() {                                     \
    return wrap(KIND##Attr::getTypeID());                                      \
  }

#define ROPE_DEFINE_NUMBER(KIND, NAME)                                         \
  double rope##KIND##AttrGet##NAME(MlirAttribute attr) {                       \
    return read<KIND##Attr>(                                                   \
        __func__, attr, [](KIND##Attr a) { return toDouble(a.get##NAME()); }); \
  }

#define ROPE_DEFINE_NUMBERS(KIND, NAME)                                        \
  intptr_t rope##KIND##AttrGetNum##NAME##s(MlirAttribute attr) {               \
    return read<KIND##Attr>(                                                   \
        __func__, attr, [](KIND##Attr a) { return a.get##NAME##s().size(); }); \
  }                                                                            \
  double rope##KIND##AttrGet##NAME(MlirAttribute attr, intptr_t index) {       \
    return readElement<KIND##Attr>(__func__, attr, index, [](KIND##Attr a) {   \
      return a.get##NAME##s().asArrayRef();                                    \
    });                                                                        \
  }

//===----------------------------------------------------------------------===//
// pairing and precision
//===----------------------------------------------------------------------===//

ROPE_DEFINE_ATTR(Pairing)
ROPE_DEFINE_ATTR(Precision)

MlirAttribute ropePairingAttrGet(MlirContext context, RopePairing pairing) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  auto value = getCase<Pairing>(UnknownLoc::get(ctx), "pairing", pairing);
  return wrap(value ? PairingAttr::get(ctx, *value) : PairingAttr());
}

RopePairing ropePairingAttrGetValue(MlirAttribute attr) {
  return read<PairingAttr>(
      __func__, attr, [](PairingAttr a) { return RopePairing(a.getValue()); });
}

MlirAttribute ropePrecisionAttrGet(MlirContext context,
                                   RopePrecision precision) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  auto value = getCase<Precision>(UnknownLoc::get(ctx), "precision", precision);
  return wrap(value ? PrecisionAttr::get(ctx, *value) : PrecisionAttr());
}

RopePrecision ropePrecisionAttrGetValue(MlirAttribute attr) {
  return read<PrecisionAttr>(__func__, attr, [](PrecisionAttr a) {
    return RopePrecision(a.getValue());
  });
}

//===----------------------------------------------------------------------===//
// Every scaling rule
//===----------------------------------------------------------------------===//

bool ropeAttributeIsAScaling(MlirAttribute attr) {
  return isa_and_nonnull<ScalingAttrInterface>(unwrap(attr));
}

bool ropeScalingAttrIsLengthDependent(MlirAttribute attr) {
  return read<ScalingAttrInterface>(
      __func__, attr, [](auto a) { return bool(a.isLengthDependent()); });
}

MlirLogicalResult ropeScalingAttrScale(MlirAttribute attr, intptr_t n,
                                       const double *frequencies,
                                       const int64_t *length, double *scaled) {
  MlirLogicalResult failure = mlirLogicalResultFailure();
  auto scaling = getAs<ScalingAttrInterface>(__func__, attr);
  if (!scaling || !isArray(__func__, "frequencies", n, frequencies) ||
      !isArray(__func__, "scaled", n, scaled))
    return failure;
  if (scaling.isLengthDependent() != bool(length)) {
    reportArgument(__func__,
                   length ? "no length, on which the rule does not depend"
                          : "a length, on which the rule depends",
                   length ? Twine(*length) : Twine("none"));
    return failure;
  }
  auto emit = [&] {
    return emitError(UnknownLoc::get(scaling.getContext())) << scaling << " ";
  };
  if (failed(scaling.verifyScaling(emit, n)))
    return failure;
  SmallVector<long double> w(frequencies, frequencies + n);
  std::optional<double> positions;
  if (length)
    positions = double(*length);
  llvm::copy(scaling.scale(w, positions), scaled);
  return mlirLogicalResultSuccess();
}

//===----------------------------------------------------------------------===//
// Scaling rules
//===----------------------------------------------------------------------===//

ROPE_DEFINE_ATTR(Linear)
ROPE_DEFINE_NUMBER(Linear, Factor)

MlirAttribute ropeLinearAttrGet(MlirContext context, double factor) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<LinearAttr>(ctx, number(ctx, factor));
}

ROPE_DEFINE_ATTR(Ntk)
ROPE_DEFINE_NUMBER(Ntk, Factor)
ROPE_DEFINE_NUMBER(Ntk, MixedExponent)

MlirAttribute ropeNtkAttrGet(MlirContext context, double factor,
                             const double *mixedExponent) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<NtkAttr>(ctx, number(ctx, factor),
                             number(ctx, mixedExponent));
}

ROPE_DEFINE_ATTR(DynamicNtk)
ROPE_DEFINE_NUMBER(DynamicNtk, Factor)
ROPE_DEFINE_NUMBER(DynamicNtk, MaxPosition)

MlirAttribute ropeDynamicNtkAttrGet(MlirContext context, double factor,
                                    double maxPosition) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<DynamicNtkAttr>(ctx, number(ctx, factor),
                                    number(ctx, maxPosition));
}

ROPE_DEFINE_ATTR(NtkAlpha)
ROPE_DEFINE_NUMBER(NtkAlpha, Alpha)

MlirAttribute ropeNtkAlphaAttrGet(MlirContext context, double alpha) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<NtkAlphaAttr>(ctx, number(ctx, alpha));
}

ROPE_DEFINE_ATTR(Yarn)
ROPE_DEFINE_NUMBER(Yarn, Base)
ROPE_DEFINE_NUMBER(Yarn, Factor)
ROPE_DEFINE_NUMBER(Yarn, OriginalMaxPosition)
ROPE_DEFINE_NUMBER(Yarn, BetaFast)
ROPE_DEFINE_NUMBER(Yarn, BetaSlow)

MlirAttribute ropeYarnAttrGet(MlirContext context, double base, double factor,
                              double originalMaxPosition,
                              const double *betaFast, const double *betaSlow,
                              bool truncate) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<YarnAttr>(ctx, number(ctx, base), number(ctx, factor),
                              number(ctx, originalMaxPosition),
                              number(ctx, betaFast), number(ctx, betaSlow),
                              truncate);
}

bool ropeYarnAttrGetTruncate(MlirAttribute attr) {
  return read<YarnAttr>(__func__, attr,
                        [](YarnAttr a) { return a.getTruncate(); });
}

ROPE_DEFINE_ATTR(Llama3)
ROPE_DEFINE_NUMBER(Llama3, Factor)
ROPE_DEFINE_NUMBER(Llama3, LowFreqFactor)
ROPE_DEFINE_NUMBER(Llama3, HighFreqFactor)
ROPE_DEFINE_NUMBER(Llama3, OriginalMaxPosition)

MlirAttribute ropeLlama3AttrGet(MlirContext context, double factor,
                                double lowFreqFactor, double highFreqFactor,
                                double originalMaxPosition) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  return getChecked<Llama3Attr>(
      ctx, number(ctx, factor), number(ctx, lowFreqFactor),
      number(ctx, highFreqFactor), number(ctx, originalMaxPosition));
}

ROPE_DEFINE_ATTR(LongRope)
ROPE_DEFINE_NUMBERS(LongRope, ShortFactor)
ROPE_DEFINE_NUMBERS(LongRope, LongFactor)
ROPE_DEFINE_NUMBER(LongRope, OriginalMaxPosition)

MlirAttribute ropeLongRopeAttrGet(MlirContext context, intptr_t numShortFactors,
                                  const double *shortFactors,
                                  intptr_t numLongFactors,
                                  const double *longFactors,
                                  double originalMaxPosition) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx ||
      !isArray(__func__, "shortFactors", numShortFactors, shortFactors) ||
      !isArray(__func__, "longFactors", numLongFactors, longFactors))
    return {nullptr};
  Builder b(ctx);
  return getChecked<LongRopeAttr>(
      ctx, b.getDenseF64ArrayAttr({shortFactors, size_t(numShortFactors)}),
      b.getDenseF64ArrayAttr({longFactors, size_t(numLongFactors)}),
      number(ctx, originalMaxPosition));
}

ROPE_DEFINE_ATTR(Factors)
ROPE_DEFINE_NUMBERS(Factors, Divisor)

MlirAttribute ropeFactorsAttrGet(MlirContext context, intptr_t numDivisors,
                                 const double *divisors) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx || !isArray(__func__, "divisors", numDivisors, divisors))
    return {nullptr};
  return getChecked<FactorsAttr>(
      ctx, Builder(ctx).getDenseF64ArrayAttr({divisors, size_t(numDivisors)}));
}

//===----------------------------------------------------------------------===//
// angles and rotation
//===----------------------------------------------------------------------===//

ROPE_DEFINE_ATTR(Angles)
ROPE_DEFINE_NUMBER(Angles, Magnitude)

MlirAttribute ropeAnglesAttrGet(MlirContext context, double magnitude,
                                intptr_t numAxes, const int64_t *axes,
                                RopePrecision precision) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx || !isArray(__func__, "axes", numAxes, axes))
    return {nullptr};
  auto value = getCase<Precision>(UnknownLoc::get(ctx), "precision", precision);
  if (!value)
    return {nullptr};
  DenseI64ArrayAttr list;
  if (axes)
    list = DenseI64ArrayAttr::get(ctx, {axes, size_t(numAxes)});
  return wrap(AnglesAttr::get(ctx, number(ctx, magnitude), list, *value));
}

static ArrayRef<int64_t> getAxes(AnglesAttr attr) {
  return attr.getAxes() ? attr.getAxes().asArrayRef() : ArrayRef<int64_t>();
}

bool ropeAnglesAttrHasAxes(MlirAttribute attr) {
  return read<AnglesAttr>(__func__, attr,
                          [](AnglesAttr a) { return bool(a.getAxes()); });
}

intptr_t ropeAnglesAttrGetNumAxes(MlirAttribute attr) {
  return read<AnglesAttr>(
      __func__, attr, [](AnglesAttr a) { return int64_t(getAxes(a).size()); });
}

int64_t ropeAnglesAttrGetAxis(MlirAttribute attr, intptr_t index) {
  return readElement<AnglesAttr>(__func__, attr, index, getAxes);
}

RopePrecision ropeAnglesAttrGetPrecision(MlirAttribute attr) {
  return read<AnglesAttr>(__func__, attr, [](AnglesAttr a) {
    return RopePrecision(a.getPrecision());
  });
}

ROPE_DEFINE_ATTR(Rotation)

std::optional<RotationParameters>
rope::getParameters(const char *function, Location loc,
                    const RopeRotation &rotation) {
  if (!isArray(function, "positionDims", rotation.numPositionDims,
               rotation.positionDims))
    return std::nullopt;
  std::optional<Pairing> pairing =
      getCase<Pairing>(loc, "pairing", rotation.pairing);
  if (!pairing)
    return std::nullopt;
  RotationParameters parameters{
      *pairing,
      {rotation.positionDims, size_t(rotation.numPositionDims)},
      std::nullopt,
      std::nullopt};
  if (rotation.pairStride)
    parameters.pairStride = *rotation.pairStride;
  if (rotation.resultPairing) {
    parameters.resultPairing =
        getCase<Pairing>(loc, "result_pairing", *rotation.resultPairing);
    if (!parameters.resultPairing)
      return std::nullopt;
  }
  return parameters;
}

MlirAttribute ropeRotationAttrGet(MlirContext context,
                                  const RopeRotation *rotation,
                                  MlirAttribute angles) {
  MLIRContext *ctx = loadDialect(__func__, context);
  if (!ctx)
    return {nullptr};
  if (!rotation) {
    reportNull(__func__, "rotation");
    return {nullptr};
  }
  AnglesAttr table;
  if (!mlirAttributeIsNull(angles)) {
    table = getAs<AnglesAttr>(__func__, angles, "angles");
    if (!table || !isOfContext(__func__, "angles", table, ctx))
      return {nullptr};
  }
  std::optional<RotationParameters> parameters =
      getParameters(__func__, UnknownLoc::get(ctx), *rotation);
  if (!parameters)
    return {nullptr};
  return wrap(
      RotationAttr::get(ctx, parameters->pairing,
                        DenseI64ArrayAttr::get(ctx, parameters->positionDims),
                        rotation->offset, parameters->pairStride,
                        parameters->resultPairing, rotation->transpose, table));
}

RopePairing ropeRotationAttrGetPairing(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr, [](RotationAttr a) {
    return RopePairing(a.getPairing());
  });
}

intptr_t ropeRotationAttrGetNumPositionDims(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr, [](RotationAttr a) {
    return a.getPositionDims().size();
  });
}

int64_t ropeRotationAttrGetPositionDim(MlirAttribute attr, intptr_t index) {
  return readElement<RotationAttr>(__func__, attr, index, [](RotationAttr a) {
    return a.getPositionDims().asArrayRef();
  });
}

int64_t ropeRotationAttrGetOffset(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr,
                            [](RotationAttr a) { return a.getOffset(); });
}

int64_t ropeRotationAttrGetPairStride(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr, [](RotationAttr a) {
    return a.getPairStride().value_or(-1);
  });
}

RopePairing ropeRotationAttrGetResultPairing(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr, [](RotationAttr a) {
    return RopePairing(a.getResultPairing().value_or(a.getPairing()));
  });
}

bool ropeRotationAttrGetTranspose(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr,
                            [](RotationAttr a) { return a.getTranspose(); });
}

MlirAttribute ropeRotationAttrGetAngles(MlirAttribute attr) {
  return read<RotationAttr>(__func__, attr,
                            [](RotationAttr a) { return wrap(a.getAngles()); });
}

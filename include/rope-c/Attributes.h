/*===- rope-c/Attributes.h - attributes of the dialect -----------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|* What an attribute means, with its formula and the source of that, stands   *|
|* in the reference of the dialect. Here:                                     *|
|*                                                                            *|
|* - `...Get` makes an attribute, which the context owns, and loads the rope  *|
|*   dialect into the context. Numbers that the rules of an attribute do not  *|
|*   allow give a null attribute and a diagnostic of the context, with the    *|
|*   label of the rule.                                                       *|
|* - A null handle, an attribute of another kind, an index out of range and a *|
|*   null array with elements are reported to the error callback              *|
|*   (`ropeSetErrorCallback`). The result is null, NaN, false or -1 then.     *|
|* - `ropeAttributeIsA...` answers false for a null attribute, silently.      *|
|* - Frequencies are in radians per position, lengths and positions in        *|
|*   positions (tokens); factors and magnitudes have no unit.                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_ATTRIBUTES_H
#define ROPE_C_ATTRIBUTES_H

#include "mlir-c/IR.h"

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* #rope.pairing and #rope.precision                                          *|
\*===----------------------------------------------------------------------===*/

/** Which two channels form a pair. */
typedef enum RopePairing {
  ROPE_PAIRING_INVALID = -1, /**< the answer after an error */
  /** Pair i is the channels (offset + i, offset + i + pair stride). */
  ROPE_PAIRING_HALF = 0,
  /** Pair i is the channels (offset + 2i, offset + 2i + 1). */
  ROPE_PAIRING_INTERLEAVED = 1
} RopePairing;

/** How angles are computed. */
typedef enum RopePrecision {
  ROPE_PRECISION_INVALID = -1, /**< the answer after an error */
  /** Cosine and sine within 3e-7 for every position below 2^31. */
  ROPE_PRECISION_EXACT = 0,
  /** As model code in single precision computes them. */
  ROPE_PRECISION_F32 = 1
} RopePrecision;

MLIR_CAPI_EXPORTED bool ropeAttributeIsAPairing(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropePairingAttrGetTypeID(void);
MLIR_CAPI_EXPORTED MlirAttribute ropePairingAttrGet(MlirContext context,
                                                    RopePairing pairing);
MLIR_CAPI_EXPORTED RopePairing ropePairingAttrGetValue(MlirAttribute attr);

MLIR_CAPI_EXPORTED bool ropeAttributeIsAPrecision(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropePrecisionAttrGetTypeID(void);
MLIR_CAPI_EXPORTED MlirAttribute ropePrecisionAttrGet(MlirContext context,
                                                      RopePrecision precision);
MLIR_CAPI_EXPORTED RopePrecision ropePrecisionAttrGetValue(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* Every scaling rule, those of other dialects as well                        *|
\*===----------------------------------------------------------------------===*/

/** Whether `rope.scale_frequencies` takes the attribute. */
MLIR_CAPI_EXPORTED bool ropeAttributeIsAScaling(MlirAttribute attr);

/** Whether the rule reads the number of positions in use. */
MLIR_CAPI_EXPORTED bool ropeScalingAttrIsLengthDependent(MlirAttribute attr);

/**
 * Scales `n` frequencies in extended precision and rounds once to f64:
 * reads `frequencies[n]` and writes `scaled[n]`, which may be the same array.
 * `length` points to the number of positions in use where the rule depends on
 * it, and is null where it does not. Fails after a diagnostic where the rule
 * does not accept `n` frequencies, and after an error where a length is missing
 * or superfluous.
 */
MLIR_CAPI_EXPORTED MlirLogicalResult
ropeScalingAttrScale(MlirAttribute attr, intptr_t n, const double *frequencies,
                     const int64_t *length, double *scaled);

/*===----------------------------------------------------------------------===*\
|* #rope.linear                                                               *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsALinear(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeLinearAttrGetTypeID(void);
/** `factor` > 0 divides every frequency. */
MLIR_CAPI_EXPORTED MlirAttribute ropeLinearAttrGet(MlirContext context,
                                                   double factor);
MLIR_CAPI_EXPORTED double ropeLinearAttrGetFactor(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.ntk                                                                  *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsANtk(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeNtkAttrGetTypeID(void);
/**
 * `factor` > 0 slows the last pair. `mixedExponent` points to the exponent > 0
 * of the mixed form, or is null for the fixed one.
 */
MLIR_CAPI_EXPORTED MlirAttribute ropeNtkAttrGet(MlirContext context,
                                                double factor,
                                                const double *mixedExponent);
MLIR_CAPI_EXPORTED double ropeNtkAttrGetFactor(MlirAttribute attr);
/** NaN where there is none. */
MLIR_CAPI_EXPORTED double ropeNtkAttrGetMixedExponent(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.dynamic_ntk                                                          *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsADynamicNtk(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeDynamicNtkAttrGetTypeID(void);
/** `factor` > 0; `maxPosition` > 0 is the longest length left as it is. */
MLIR_CAPI_EXPORTED MlirAttribute ropeDynamicNtkAttrGet(MlirContext context,
                                                       double factor,
                                                       double maxPosition);
MLIR_CAPI_EXPORTED double ropeDynamicNtkAttrGetFactor(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeDynamicNtkAttrGetMaxPosition(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.ntk_alpha                                                            *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsANtkAlpha(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeNtkAlphaAttrGetTypeID(void);
/** `alpha` > 0 slows the last pair. */
MLIR_CAPI_EXPORTED MlirAttribute ropeNtkAlphaAttrGet(MlirContext context,
                                                     double alpha);
MLIR_CAPI_EXPORTED double ropeNtkAlphaAttrGetAlpha(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.yarn                                                                 *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsAYarn(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeYarnAttrGetTypeID(void);
/**
 * `base` > 1 is the one that the frequencies were made from, `factor` > 0
 * the stretch of the context, `originalMaxPosition` > 0 the length the model
 * was trained on. `betaFast` and `betaSlow` point to the turns above which a
 * pair is kept and below which it is stretched, or are null for 32 and 1.
 * `truncate` (usual) rounds the ends of the ramp to whole pairs.
 */
MLIR_CAPI_EXPORTED MlirAttribute ropeYarnAttrGet(
    MlirContext context, double base, double factor, double originalMaxPosition,
    const double *betaFast, const double *betaSlow, bool truncate);
MLIR_CAPI_EXPORTED double ropeYarnAttrGetBase(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeYarnAttrGetFactor(MlirAttribute attr);
MLIR_CAPI_EXPORTED double
ropeYarnAttrGetOriginalMaxPosition(MlirAttribute attr);
/** NaN where it is left to its default. */
MLIR_CAPI_EXPORTED double ropeYarnAttrGetBetaFast(MlirAttribute attr);
/** NaN where it is left to its default. */
MLIR_CAPI_EXPORTED double ropeYarnAttrGetBetaSlow(MlirAttribute attr);
MLIR_CAPI_EXPORTED bool ropeYarnAttrGetTruncate(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.llama3                                                               *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsALlama3(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeLlama3AttrGetTypeID(void);
/**
 * `factor` > 0 stretches long wavelengths, 0 < `lowFreqFactor` <=
 * `highFreqFactor` are the turns within `originalMaxPosition` > 0 between which
 * it is blended.
 */
MLIR_CAPI_EXPORTED MlirAttribute ropeLlama3AttrGet(MlirContext context,
                                                   double factor,
                                                   double lowFreqFactor,
                                                   double highFreqFactor,
                                                   double originalMaxPosition);
MLIR_CAPI_EXPORTED double ropeLlama3AttrGetFactor(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeLlama3AttrGetLowFreqFactor(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeLlama3AttrGetHighFreqFactor(MlirAttribute attr);
MLIR_CAPI_EXPORTED double
ropeLlama3AttrGetOriginalMaxPosition(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.longrope                                                             *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsALongRope(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeLongRopeAttrGetTypeID(void);
/**
 * A divisor > 0 for each pair, `shortFactors[numShortFactors]` for lengths up
 * to `originalMaxPosition` > 0, `longFactors[numLongFactors]` beyond.
 */
MLIR_CAPI_EXPORTED MlirAttribute
ropeLongRopeAttrGet(MlirContext context, intptr_t numShortFactors,
                    const double *shortFactors, intptr_t numLongFactors,
                    const double *longFactors, double originalMaxPosition);
MLIR_CAPI_EXPORTED intptr_t
ropeLongRopeAttrGetNumShortFactors(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeLongRopeAttrGetShortFactor(MlirAttribute attr,
                                                         intptr_t index);
MLIR_CAPI_EXPORTED intptr_t
ropeLongRopeAttrGetNumLongFactors(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeLongRopeAttrGetLongFactor(MlirAttribute attr,
                                                        intptr_t index);
MLIR_CAPI_EXPORTED double
ropeLongRopeAttrGetOriginalMaxPosition(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.factors                                                              *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsAFactors(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeFactorsAttrGetTypeID(void);
/** A divisor > 0 for each pair: `divisors[numDivisors]`. */
MLIR_CAPI_EXPORTED MlirAttribute ropeFactorsAttrGet(MlirContext context,
                                                    intptr_t numDivisors,
                                                    const double *divisors);
MLIR_CAPI_EXPORTED intptr_t ropeFactorsAttrGetNumDivisors(MlirAttribute attr);
MLIR_CAPI_EXPORTED double ropeFactorsAttrGetDivisor(MlirAttribute attr,
                                                    intptr_t index);

/*===----------------------------------------------------------------------===*\
|* #rope.angles                                                               *|
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED bool ropeAttributeIsAAngles(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeAnglesAttrGetTypeID(void);
/**
 * How positions and frequencies become tables inside of another operation.
 * `magnitude` multiplies cosine and sine. `axes[numAxes]` is the axis of each
 * pair, null for positions of one axis. That they fit the operands is checked
 * by the operation that takes the attribute.
 */
MLIR_CAPI_EXPORTED MlirAttribute ropeAnglesAttrGet(MlirContext context,
                                                   double magnitude,
                                                   intptr_t numAxes,
                                                   const int64_t *axes,
                                                   RopePrecision precision);
MLIR_CAPI_EXPORTED double ropeAnglesAttrGetMagnitude(MlirAttribute attr);
MLIR_CAPI_EXPORTED bool ropeAnglesAttrHasAxes(MlirAttribute attr);
/** 0 where there are none. */
MLIR_CAPI_EXPORTED intptr_t ropeAnglesAttrGetNumAxes(MlirAttribute attr);
/** -1 after an error. */
MLIR_CAPI_EXPORTED int64_t ropeAnglesAttrGetAxis(MlirAttribute attr,
                                                 intptr_t index);
MLIR_CAPI_EXPORTED RopePrecision ropeAnglesAttrGetPrecision(MlirAttribute attr);

/*===----------------------------------------------------------------------===*\
|* #rope.rotation                                                             *|
\*===----------------------------------------------------------------------===*/

/**
 * Which channels a rotation turns, and by which rows of the tables. A structure
 * of zeros turns all channels, half paired, all by one row.
 */
typedef struct RopeRotation {
  RopePairing pairing;
  /** The dimension of x that each leading dimension of the tables follows. */
  intptr_t numPositionDims;
  const int64_t *positionDims;
  /** The first rotated channel. */
  int64_t offset;
  /** The distance of the two channels of a pair in half pairing; null for the
   * number of pairs. */
  const int64_t *pairStride;
  /** The pairing that is written; null for the one that is read. */
  const RopePairing *resultPairing;
  /** Rotate backwards. */
  bool transpose;
} RopeRotation;

MLIR_CAPI_EXPORTED bool ropeAttributeIsARotation(MlirAttribute attr);
MLIR_CAPI_EXPORTED MlirTypeID ropeRotationAttrGetTypeID(void);
/**
 * The rotation of an operand as another operation loads it. `angles` is a
 * `#rope.angles` for a rotation by positions and frequencies, null for one by
 * cosine and sine. That it fits the operands is checked by the operation that
 * takes the attribute.
 */
MLIR_CAPI_EXPORTED MlirAttribute ropeRotationAttrGet(
    MlirContext context, const RopeRotation *rotation, MlirAttribute angles);
MLIR_CAPI_EXPORTED RopePairing ropeRotationAttrGetPairing(MlirAttribute attr);
MLIR_CAPI_EXPORTED intptr_t
ropeRotationAttrGetNumPositionDims(MlirAttribute attr);
/** -1 after an error. */
MLIR_CAPI_EXPORTED int64_t ropeRotationAttrGetPositionDim(MlirAttribute attr,
                                                          intptr_t index);
/** -1 after an error. */
MLIR_CAPI_EXPORTED int64_t ropeRotationAttrGetOffset(MlirAttribute attr);
/** -1 where it is the number of pairs. */
MLIR_CAPI_EXPORTED int64_t ropeRotationAttrGetPairStride(MlirAttribute attr);
/** That which is read where no other one is given. */
MLIR_CAPI_EXPORTED RopePairing
ropeRotationAttrGetResultPairing(MlirAttribute attr);
MLIR_CAPI_EXPORTED bool ropeRotationAttrGetTranspose(MlirAttribute attr);
/** Null, without an error, where the rotation is by cosine and sine. */
MLIR_CAPI_EXPORTED MlirAttribute ropeRotationAttrGetAngles(MlirAttribute attr);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_ATTRIBUTES_H */

/* Makes every attribute, reads it back, and evaluates scaling rules.
 *
 * RUN: %c_compile %t && %t | FileCheck %s
 */
#include "rope-c/Attributes.h"
#include "testing.h"
#include <math.h>

static void show(MlirAttribute attr) {
  mlirAttributePrint(attr, toStdout, NULL);
  printf("\n");
}

static void testCases(MlirContext context) {
  MlirAttribute half = ropePairingAttrGet(context, ROPE_PAIRING_HALF);
  // CHECK: #rope.pairing<half>
  show(half);
  CHECK(ropePairingAttrGetValue(half) == ROPE_PAIRING_HALF);
  MlirAttribute interleaved =
      ropePairingAttrGet(context, ROPE_PAIRING_INTERLEAVED);
  // CHECK: #rope.pairing<interleaved>
  show(interleaved);
  CHECK(ropePairingAttrGetValue(interleaved) == ROPE_PAIRING_INTERLEAVED);
  CHECK(ropeAttributeIsAPairing(half) && !ropeAttributeIsAPrecision(half));

  MlirAttribute exact = ropePrecisionAttrGet(context, ROPE_PRECISION_EXACT);
  MlirAttribute single = ropePrecisionAttrGet(context, ROPE_PRECISION_F32);
  // CHECK: #rope.precision<f32>
  show(single);
  CHECK(ropePrecisionAttrGetValue(exact) == ROPE_PRECISION_EXACT);
  CHECK(ropePrecisionAttrGetValue(single) == ROPE_PRECISION_F32);
  CHECK(ropeAttributeIsAPrecision(exact) && !ropeAttributeIsAPairing(exact));

  /* A number that is no case. */
  EXPECT_DIAGNOSTIC(
      mlirAttributeIsNull(ropePairingAttrGet(context, (RopePairing)7)),
      "expected 'pairing' to be 0 or 1, but got 7");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(
                        ropePrecisionAttrGet(context, ROPE_PRECISION_INVALID)),
                    "expected 'precision' to be 0 or 1, but got -1");
}

static void testTypeIDs(MlirContext context) {
  MlirTypeID ids[] = {
      ropePairingAttrGetTypeID(),    ropePrecisionAttrGetTypeID(),
      ropeLinearAttrGetTypeID(),     ropeNtkAttrGetTypeID(),
      ropeDynamicNtkAttrGetTypeID(), ropeNtkAlphaAttrGetTypeID(),
      ropeYarnAttrGetTypeID(),       ropeLlama3AttrGetTypeID(),
      ropeLongRopeAttrGetTypeID(),   ropeFactorsAttrGetTypeID(),
      ropeAnglesAttrGetTypeID(),     ropeRotationAttrGetTypeID()};
  size_t n = sizeof(ids) / sizeof(*ids);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      CHECK(mlirTypeIDEqual(ids[i], ids[j]) == (i == j));
  CHECK(mlirTypeIDEqual(mlirAttributeGetTypeID(ropeLinearAttrGet(context, 2)),
                        ropeLinearAttrGetTypeID()));
}

/* Scales the four frequencies of base 10000 and checks element 2. */
static void testScale(MlirAttribute rule, const int64_t *length,
                      double expected) {
  double w[4], scaled[4];
  for (int i = 0; i < 4; ++i)
    w[i] = pow(10000, -2.0 * i / 8);
  CHECK(ropeAttributeIsAScaling(rule));
  CHECK(ropeScalingAttrIsLengthDependent(rule) == (length != NULL));
  CHECK(mlirLogicalResultIsSuccess(
      ropeScalingAttrScale(rule, 4, w, length, scaled)));
  CHECK(fabs(scaled[2] / (w[2] * expected) - 1) < 1e-14);
  /* In place. */
  CHECK(
      mlirLogicalResultIsSuccess(ropeScalingAttrScale(rule, 4, w, length, w)));
  CHECK(memcmp(w, scaled, sizeof(w)) == 0);
}

static void testRules(MlirContext context) {
  const double two = 2, three = 3;
  const int64_t far = 8192, near = 1024;

  MlirAttribute linear = ropeLinearAttrGet(context, 8);
  // CHECK: #rope.linear<factor = 8.000000e+00 : f64>
  show(linear);
  CHECK(ropeAttributeIsALinear(linear) && !ropeAttributeIsANtk(linear));
  CHECK(ropeLinearAttrGetFactor(linear) == 8);
  testScale(linear, NULL, 1 / 8.0);

  MlirAttribute ntk = ropeNtkAttrGet(context, 4, NULL);
  // CHECK: #rope.ntk<factor = 4.000000e+00 : f64>
  show(ntk);
  CHECK(ropeAttributeIsANtk(ntk) && !ropeAttributeIsADynamicNtk(ntk));
  CHECK(ropeNtkAttrGetFactor(ntk) == 4);
  CHECK(isnan(ropeNtkAttrGetMixedExponent(ntk)));
  testScale(ntk, NULL, pow(4, -2 * 3 / 8.0));

  MlirAttribute mixed = ropeNtkAttrGet(context, 4, &two);
  // CHECK: #rope.ntk<factor = 4.000000e+00 : f64, mixed_exponent = 2.000000e+00 : f64>
  show(mixed);
  CHECK(ropeNtkAttrGetMixedExponent(mixed) == 2);
  testScale(mixed, NULL, exp(-log(4) / 16 * 9));

  MlirAttribute dynamic = ropeDynamicNtkAttrGet(context, 4, 2048);
  // CHECK: #rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64>
  show(dynamic);
  CHECK(ropeAttributeIsADynamicNtk(dynamic) && !ropeAttributeIsANtk(dynamic));
  CHECK(ropeDynamicNtkAttrGetFactor(dynamic) == 4);
  CHECK(ropeDynamicNtkAttrGetMaxPosition(dynamic) == 2048);
  testScale(dynamic, &far, pow(13, -4 / 6.0));
  testScale(dynamic, &near, 1);

  MlirAttribute alpha = ropeNtkAlphaAttrGet(context, 1000);
  // CHECK: #rope.ntk_alpha<alpha = 1.000000e+03 : f64>
  show(alpha);
  CHECK(ropeAttributeIsANtkAlpha(alpha) && !ropeAttributeIsAYarn(alpha));
  CHECK(ropeNtkAlphaAttrGetAlpha(alpha) == 1000);
  testScale(alpha, NULL, pow(1000, -4 / 6.0));

  MlirAttribute yarn =
      ropeYarnAttrGet(context, 10000, 32, 4096, NULL, NULL, true);
  // CHECK: #rope.yarn<base = 1.000000e+04 : f64, factor = 3.200000e+01 : f64, original_max_position = 4.096000e+03 : f64>
  show(yarn);
  CHECK(ropeAttributeIsAYarn(yarn) && !ropeAttributeIsALlama3(yarn));
  CHECK(ropeYarnAttrGetBase(yarn) == 10000);
  CHECK(ropeYarnAttrGetFactor(yarn) == 32);
  CHECK(ropeYarnAttrGetOriginalMaxPosition(yarn) == 4096);
  CHECK(isnan(ropeYarnAttrGetBetaFast(yarn)));
  CHECK(isnan(ropeYarnAttrGetBetaSlow(yarn)));
  CHECK(ropeYarnAttrGetTruncate(yarn));
  /* floor(1.31) = 1 and ceil(2.81) = 3: pair 2 is half way. */
  testScale(yarn, NULL, 0.5 + 0.5 / 32);

  MlirAttribute edges =
      ropeYarnAttrGet(context, 10000, 32, 4096, &three, &two, false);
  // CHECK: #rope.yarn<base = 1.000000e+04 : f64, factor = 3.200000e+01 : f64, original_max_position = 4.096000e+03 : f64, beta_fast = 3.000000e+00 : f64, beta_slow = 2.000000e+00 : f64, truncate = false>
  show(edges);
  CHECK(ropeYarnAttrGetBetaFast(edges) == 3);
  CHECK(ropeYarnAttrGetBetaSlow(edges) == 2);
  CHECK(!ropeYarnAttrGetTruncate(edges));

  MlirAttribute llama3 = ropeLlama3AttrGet(context, 8, 1, 4, 8192);
  // CHECK: #rope.llama3<factor = 8.000000e+00 : f64, low_freq_factor = 1.000000e+00 : f64, high_freq_factor = 4.000000e+00 : f64, original_max_position = 8.192000e+03 : f64>
  show(llama3);
  CHECK(ropeAttributeIsALlama3(llama3) && !ropeAttributeIsALongRope(llama3));
  CHECK(ropeLlama3AttrGetFactor(llama3) == 8);
  CHECK(ropeLlama3AttrGetLowFreqFactor(llama3) == 1);
  CHECK(ropeLlama3AttrGetHighFreqFactor(llama3) == 4);
  CHECK(ropeLlama3AttrGetOriginalMaxPosition(llama3) == 8192);
  testScale(llama3, NULL, 1);

  const double shorts[4] = {1, 1.5, 2, 2.5}, longs[4] = {1, 2, 4, 32};
  MlirAttribute longrope =
      ropeLongRopeAttrGet(context, 4, shorts, 4, longs, 4096);
  // CHECK: #rope.longrope<short_factors = [1.000000e+00, 1.500000e+00, 2.000000e+00, 2.500000e+00], long_factors = [1.000000e+00, 2.000000e+00, 4.000000e+00, 3.200000e+01], original_max_position = 4.096000e+03 : f64>
  show(longrope);
  CHECK(ropeAttributeIsALongRope(longrope));
  CHECK(!ropeAttributeIsAFactors(longrope));
  CHECK(ropeLongRopeAttrGetNumShortFactors(longrope) == 4);
  CHECK(ropeLongRopeAttrGetShortFactor(longrope, 3) == 2.5);
  CHECK(ropeLongRopeAttrGetNumLongFactors(longrope) == 4);
  CHECK(ropeLongRopeAttrGetLongFactor(longrope, 3) == 32);
  CHECK(ropeLongRopeAttrGetOriginalMaxPosition(longrope) == 4096);
  testScale(longrope, &near, 1 / 2.0);
  testScale(longrope, &far, 1 / 4.0);

  MlirAttribute factors = ropeFactorsAttrGet(context, 4, longs);
  // CHECK: #rope.factors<divisors = [1.000000e+00, 2.000000e+00, 4.000000e+00, 3.200000e+01]>
  show(factors);
  CHECK(ropeAttributeIsAFactors(factors) && !ropeAttributeIsALinear(factors));
  CHECK(ropeFactorsAttrGetNumDivisors(factors) == 4);
  CHECK(ropeFactorsAttrGetDivisor(factors, 2) == 4);
  testScale(factors, NULL, 1 / 4.0);

  MlirAttribute none = ropeFactorsAttrGet(context, 0, NULL);
  CHECK(ropeFactorsAttrGetNumDivisors(none) == 0);
  CHECK(mlirLogicalResultIsSuccess(
      ropeScalingAttrScale(none, 0, NULL, NULL, NULL)));

  /* Numbers that the rules do not take. */
  const double nan = NAN, bad[2] = {1, -2};
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeLinearAttrGet(context, 0)),
                    "(scaling_c1) expected 'factor' to be finite and greater "
                    "than zero");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeNtkAttrGet(context, 4, &nan)),
                    "(scaling_c1) expected 'mixed_exponent'");
  EXPECT_DIAGNOSTIC(
      mlirAttributeIsNull(ropeDynamicNtkAttrGet(context, 4, -2048)),
      "(scaling_c1) expected 'max_position'");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeNtkAlphaAttrGet(context, INFINITY)),
                    "(scaling_c1) expected 'alpha'");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeYarnAttrGet(context, 1, 32, 4096,
                                                        NULL, NULL, true)),
                    "(scaling_c3) expected 'base' to be greater than");
  EXPECT_DIAGNOSTIC(
      mlirAttributeIsNull(ropeLlama3AttrGet(context, 8, 4, 1, 8192)),
      "(scaling_c4) expected 'low_freq_factor'");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(
                        ropeLongRopeAttrGet(context, 2, shorts, 2, bad, 4096)),
                    "(scaling_c2) expected 'long_factors[1]'");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeFactorsAttrGet(context, 2, bad)),
                    "(scaling_c2) expected 'divisors[1]'");

  /* Scaling that a rule cannot do. */
  double w[4] = {1, 0.5, 0.25, 0.125}, before[4];
  memcpy(before, w, sizeof(w));
#define REFUSED(...)                                                           \
  mlirLogicalResultIsFailure(ropeScalingAttrScale(__VA_ARGS__))
  EXPECT_DIAGNOSTIC(REFUSED(factors, 3, w, NULL, w),
                    "expected 'divisors' to have one entry for each of 3 "
                    "frequencies, but got 4");
  EXPECT_DIAGNOSTIC(REFUSED(dynamic, 1, w, &far, w),
                    "expected two or more frequencies");
  EXPECT_ERROR(REFUSED(dynamic, 4, w, NULL, w),
               "ropeScalingAttrScale: expected a length, on which the rule "
               "depends, but got none");
  EXPECT_ERROR(REFUSED(linear, 4, w, &far, w),
               "expected no length, on which the rule does not depend, but got "
               "8192");
  EXPECT_ERROR(REFUSED(linear, -1, w, NULL, w),
               "expected the number of frequencies not to be negative, but got "
               "-1");
  EXPECT_ERROR(REFUSED(linear, 4, NULL, NULL, w),
               "expected frequencies not to be null");
  EXPECT_ERROR(REFUSED(linear, 4, w, NULL, NULL),
               "expected scaled not to be null");
  CHECK(memcmp(before, w, sizeof(w)) == 0);
}

static void testRotations(MlirContext context) {
  const int64_t axes[4] = {0, 0, 1, 1}, dims[2] = {0, 1}, stride = 64;
  const RopePairing half = ROPE_PAIRING_HALF, bad = (RopePairing)2;

  MlirAttribute plain =
      ropeAnglesAttrGet(context, 1, 0, NULL, ROPE_PRECISION_EXACT);
  // CHECK: #rope.angles<magnitude = 1.000000e+00 : f64>
  show(plain);
  CHECK(!ropeAnglesAttrHasAxes(plain));
  CHECK(ropeAnglesAttrGetNumAxes(plain) == 0);
  CHECK(ropeAnglesAttrGetPrecision(plain) == ROPE_PRECISION_EXACT);

  MlirAttribute angles =
      ropeAnglesAttrGet(context, 1.25, 4, axes, ROPE_PRECISION_F32);
  // CHECK: #rope.angles<magnitude = 1.250000e+00 : f64, axes = [0, 0, 1, 1], precision = f32>
  show(angles);
  CHECK(ropeAttributeIsAAngles(angles) && !ropeAttributeIsARotation(angles));
  CHECK(ropeAnglesAttrGetMagnitude(angles) == 1.25);
  CHECK(ropeAnglesAttrHasAxes(angles));
  CHECK(ropeAnglesAttrGetNumAxes(angles) == 4);
  CHECK(ropeAnglesAttrGetAxis(angles, 2) == 1);
  CHECK(ropeAnglesAttrGetPrecision(angles) == ROPE_PRECISION_F32);
  EXPECT_ERROR(ropeAnglesAttrGetAxis(angles, 4) == -1,
               "ropeAnglesAttrGetAxis: expected an index below 4 and from 0, "
               "but got 4");
  EXPECT_DIAGNOSTIC(mlirAttributeIsNull(ropeAnglesAttrGet(context, 1, 0, NULL,
                                                          (RopePrecision)2)),
                    "expected 'precision' to be 0 or 1, but got 2");

  RopeRotation zeros = {0};
  MlirAttribute simple =
      ropeRotationAttrGet(context, &zeros, mlirAttributeGetNull());
  // CHECK: #rope.rotation<pairing = half, position_dims = []>
  show(simple);
  CHECK(ropeAttributeIsARotation(simple) && !ropeAttributeIsAAngles(simple));
  CHECK(ropeRotationAttrGetPairing(simple) == ROPE_PAIRING_HALF);
  CHECK(ropeRotationAttrGetNumPositionDims(simple) == 0);
  CHECK(ropeRotationAttrGetOffset(simple) == 0);
  CHECK(ropeRotationAttrGetPairStride(simple) == -1);
  CHECK(ropeRotationAttrGetResultPairing(simple) == ROPE_PAIRING_HALF);
  CHECK(!ropeRotationAttrGetTranspose(simple));
  forget();
  CHECK(mlirAttributeIsNull(ropeRotationAttrGetAngles(simple)));
  CHECK(numErrors == 0);

  RopeRotation all = {.pairing = ROPE_PAIRING_INTERLEAVED,
                      .numPositionDims = 2,
                      .positionDims = dims,
                      .offset = 128,
                      .pairStride = &stride,
                      .resultPairing = &half,
                      .transpose = true};
  MlirAttribute rotation = ropeRotationAttrGet(context, &all, angles);
  // CHECK: #rope.rotation<pairing = interleaved, position_dims = [0, 1], offset = 128, pair_stride = 64, result_pairing = half, transpose = true, angles = <magnitude = 1.250000e+00 : f64, axes = [0, 0, 1, 1], precision = f32>>
  show(rotation);
  CHECK(ropeRotationAttrGetPairing(rotation) == ROPE_PAIRING_INTERLEAVED);
  CHECK(ropeRotationAttrGetNumPositionDims(rotation) == 2);
  CHECK(ropeRotationAttrGetPositionDim(rotation, 1) == 1);
  CHECK(ropeRotationAttrGetOffset(rotation) == 128);
  CHECK(ropeRotationAttrGetPairStride(rotation) == 64);
  CHECK(ropeRotationAttrGetResultPairing(rotation) == ROPE_PAIRING_HALF);
  CHECK(ropeRotationAttrGetTranspose(rotation));
  CHECK(mlirAttributeEqual(ropeRotationAttrGetAngles(rotation), angles));

  EXPECT_ERROR(mlirAttributeIsNull(ropeRotationAttrGet(context, NULL, angles)),
               "ropeRotationAttrGet: expected rotation not to be null");
  EXPECT_ERROR(mlirAttributeIsNull(ropeRotationAttrGet(context, &all, simple)),
               "expected angles to be #rope.angles, but got #rope.rotation<");
  all.resultPairing = &bad;
  EXPECT_DIAGNOSTIC(
      mlirAttributeIsNull(ropeRotationAttrGet(context, &all, angles)),
      "expected 'result_pairing' to be 0 or 1, but got 2");
  all.resultPairing = NULL;
  all.pairing = ROPE_PAIRING_INVALID;
  EXPECT_DIAGNOSTIC(
      mlirAttributeIsNull(ropeRotationAttrGet(context, &all, angles)),
      "expected 'pairing' to be 0 or 1, but got -1");
  all.pairing = ROPE_PAIRING_HALF;
  all.positionDims = NULL;
  EXPECT_ERROR(mlirAttributeIsNull(ropeRotationAttrGet(context, &all, angles)),
               "expected positionDims not to be null");

  /* An attribute of another context. */
  MlirContext other = createContext();
  all.positionDims = dims;
  EXPECT_ERROR(mlirAttributeIsNull(ropeRotationAttrGet(other, &all, angles)),
               "expected angles to be of the same context, but got another");
  mlirContextDestroy(other);
}

/* Nothing has to be registered for attributes. */
static void testEmptyContext(void) {
  MlirContext context = mlirContextCreate();
  CHECK(!mlirAttributeIsNull(ropeLinearAttrGet(context, 2)));
  mlirContextDestroy(context);
}

int main(void) {
  MlirContext context = createContext();
  testCases(context);
  testTypeIDs(context);
  testRules(context);
  testRotations(context);
  mlirContextDestroy(context);
  testEmptyContext();
  // CHECK: all checks hold
  return finish();
}

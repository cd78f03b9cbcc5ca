/* Each function of attributes, operations, passes, configurations and dialects
 * refuses null handles, handles of another kind and of another context, and
 * arrays that are not there: with the answer that stands for nothing and one
 * call of the error callback. What is wrong with the IR is one diagnostic.
 *
 * RUN: %c_compile %t && %t
 */
#include "mlir-c/Pass.h"
#include "rope-c/Import.h"
#include "rope-c/Operations.h"
#include "rope-c/Passes.h"
#include "testing.h"
#include <math.h>

static const int64_t dynamic = INT64_MIN;
static const MlirAttribute noAttr = {NULL};
static const MlirValue noValue = {NULL};
static const MlirContext noContext = {NULL};
static const MlirLocation noLocation = {NULL};
static const MlirOpPassManager noManager = {NULL};

/* That a getter refuses null and `other`, an attribute of another kind. */
#define GETTER(refused)                                                        \
  do {                                                                         \
    MlirAttribute attr = noAttr;                                               \
    EXPECT_ERROR(refused, ": expected attr not to be null");                   \
    attr = other;                                                              \
    EXPECT_ERROR(refused, ", but got \"text\"");                               \
  } while (0)

static void testAttributes(MlirContext context) {
  MlirAttribute other = mlirStringAttrGet(context, str("text"));

  /* A question of kind is answered without an error. */
  bool (*isA[])(MlirAttribute) = {
      ropeAttributeIsAPairing,  ropeAttributeIsAPrecision,
      ropeAttributeIsAScaling,  ropeAttributeIsALinear,
      ropeAttributeIsANtk,      ropeAttributeIsADynamicNtk,
      ropeAttributeIsANtkAlpha, ropeAttributeIsAYarn,
      ropeAttributeIsALlama3,   ropeAttributeIsALongRope,
      ropeAttributeIsAFactors,  ropeAttributeIsAAngles,
      ropeAttributeIsARotation};
  forget();
  for (size_t i = 0; i < sizeof(isA) / sizeof(*isA); ++i)
    CHECK(!isA[i](noAttr) && !isA[i](other));
  CHECK(numErrors == 0 && numDiagnostics == 0);

  GETTER(ropePairingAttrGetValue(attr) == ROPE_PAIRING_INVALID);
  GETTER(ropePrecisionAttrGetValue(attr) == ROPE_PRECISION_INVALID);
  GETTER(!ropeScalingAttrIsLengthDependent(attr));
  GETTER(mlirLogicalResultIsFailure(
      ropeScalingAttrScale(attr, 0, NULL, NULL, NULL)));
  GETTER(isnan(ropeLinearAttrGetFactor(attr)));
  GETTER(isnan(ropeNtkAttrGetFactor(attr)));
  GETTER(isnan(ropeNtkAttrGetMixedExponent(attr)));
  GETTER(isnan(ropeDynamicNtkAttrGetFactor(attr)));
  GETTER(isnan(ropeDynamicNtkAttrGetMaxPosition(attr)));
  GETTER(isnan(ropeNtkAlphaAttrGetAlpha(attr)));
  GETTER(isnan(ropeYarnAttrGetBase(attr)));
  GETTER(isnan(ropeYarnAttrGetFactor(attr)));
  GETTER(isnan(ropeYarnAttrGetOriginalMaxPosition(attr)));
  GETTER(isnan(ropeYarnAttrGetBetaFast(attr)));
  GETTER(isnan(ropeYarnAttrGetBetaSlow(attr)));
  GETTER(!ropeYarnAttrGetTruncate(attr));
  GETTER(isnan(ropeLlama3AttrGetFactor(attr)));
  GETTER(isnan(ropeLlama3AttrGetLowFreqFactor(attr)));
  GETTER(isnan(ropeLlama3AttrGetHighFreqFactor(attr)));
  GETTER(isnan(ropeLlama3AttrGetOriginalMaxPosition(attr)));
  GETTER(ropeLongRopeAttrGetNumShortFactors(attr) == -1);
  GETTER(isnan(ropeLongRopeAttrGetShortFactor(attr, 0)));
  GETTER(ropeLongRopeAttrGetNumLongFactors(attr) == -1);
  GETTER(isnan(ropeLongRopeAttrGetLongFactor(attr, 0)));
  GETTER(isnan(ropeLongRopeAttrGetOriginalMaxPosition(attr)));
  GETTER(ropeFactorsAttrGetNumDivisors(attr) == -1);
  GETTER(isnan(ropeFactorsAttrGetDivisor(attr, 0)));
  GETTER(isnan(ropeAnglesAttrGetMagnitude(attr)));
  GETTER(!ropeAnglesAttrHasAxes(attr));
  GETTER(ropeAnglesAttrGetNumAxes(attr) == -1);
  GETTER(ropeAnglesAttrGetAxis(attr, 0) == -1);
  GETTER(ropeAnglesAttrGetPrecision(attr) == ROPE_PRECISION_INVALID);
  GETTER(ropeRotationAttrGetPairing(attr) == ROPE_PAIRING_INVALID);
  GETTER(ropeRotationAttrGetNumPositionDims(attr) == -1);
  GETTER(ropeRotationAttrGetPositionDim(attr, 0) == -1);
  GETTER(ropeRotationAttrGetOffset(attr) == -1);
  GETTER(ropeRotationAttrGetPairStride(attr) == -1);
  GETTER(ropeRotationAttrGetResultPairing(attr) == ROPE_PAIRING_INVALID);
  GETTER(!ropeRotationAttrGetTranspose(attr));
  GETTER(mlirAttributeIsNull(ropeRotationAttrGetAngles(attr)));

  /* A rule is not another rule. */
  EXPECT_ERROR(isnan(ropeNtkAttrGetFactor(ropeLinearAttrGet(context, 2))),
               "ropeNtkAttrGetFactor: expected attr to be #rope.ntk, but got "
               "#rope.linear<factor = 2.0");
  EXPECT_ERROR(!ropeScalingAttrIsLengthDependent(other) ? 1 : 0,
               "expected attr to be a scaling rule, but got \"text\"");

  /* Indices. */
  const double numbers[2] = {1, 2};
  MlirAttribute factors = ropeFactorsAttrGet(context, 2, numbers);
  MlirAttribute longrope =
      ropeLongRopeAttrGet(context, 2, numbers, 1, numbers, 4096);
  RopeRotation zeros = {0};
  MlirAttribute rotation = ropeRotationAttrGet(context, &zeros, noAttr);
  EXPECT_ERROR(isnan(ropeFactorsAttrGetDivisor(factors, 2)),
               "expected an index below 2 and from 0, but got 2");
  EXPECT_ERROR(isnan(ropeFactorsAttrGetDivisor(factors, -1)), "but got -1");
  EXPECT_ERROR(isnan(ropeLongRopeAttrGetShortFactor(longrope, INTPTR_MIN)),
               "expected an index below 2");
  EXPECT_ERROR(isnan(ropeLongRopeAttrGetLongFactor(longrope, INTPTR_MAX)),
               "expected an index below 1");
  EXPECT_ERROR(ropeRotationAttrGetPositionDim(rotation, 0) == -1,
               "expected an index below 0");

  /* Null contexts. */
#define NO_CONTEXT(call)                                                       \
  EXPECT_ERROR(mlirAttributeIsNull(call), ": expected context not to be null")
  NO_CONTEXT(ropePairingAttrGet(noContext, ROPE_PAIRING_HALF));
  NO_CONTEXT(ropePrecisionAttrGet(noContext, ROPE_PRECISION_F32));
  NO_CONTEXT(ropeLinearAttrGet(noContext, 2));
  NO_CONTEXT(ropeNtkAttrGet(noContext, 2, NULL));
  NO_CONTEXT(ropeDynamicNtkAttrGet(noContext, 2, 2048));
  NO_CONTEXT(ropeNtkAlphaAttrGet(noContext, 2));
  NO_CONTEXT(ropeYarnAttrGet(noContext, 1e4, 2, 4096, NULL, NULL, true));
  NO_CONTEXT(ropeLlama3AttrGet(noContext, 8, 1, 4, 8192));
  NO_CONTEXT(ropeLongRopeAttrGet(noContext, 2, numbers, 2, numbers, 4096));
  NO_CONTEXT(ropeFactorsAttrGet(noContext, 2, numbers));
  NO_CONTEXT(ropeAnglesAttrGet(noContext, 1, 0, NULL, ROPE_PRECISION_EXACT));
  NO_CONTEXT(ropeRotationAttrGet(noContext, &zeros, noAttr));

  /* Arrays. */
  EXPECT_ERROR(mlirAttributeIsNull(
                   ropeLongRopeAttrGet(context, 2, NULL, 2, numbers, 4096)),
               "expected shortFactors not to be null");
  EXPECT_ERROR(mlirAttributeIsNull(
                   ropeLongRopeAttrGet(context, 2, numbers, -2, NULL, 4096)),
               "expected the number of longFactors not to be negative");
  EXPECT_ERROR(mlirAttributeIsNull(ropeFactorsAttrGet(context, 2, NULL)),
               "expected divisors not to be null");
  EXPECT_ERROR(mlirAttributeIsNull(ropeAnglesAttrGet(context, 1, 4, NULL,
                                                     ROPE_PRECISION_EXACT)),
               "expected axes not to be null");
}

#define NO_OPERATION(call, text) EXPECT_ERROR(mlirOperationIsNull(call), text)
#define INVALID(call, text) EXPECT_DIAGNOSTIC(mlirOperationIsNull(call), text)

/* The arguments of a block, which stand for values of each type. */
typedef struct Values {
  MlirBlock block;
  MlirValue frequencies, length, positions, cos, sin, x, index, row;
} Values;

static Values createValues(MlirContext context) {
  MlirType f32 = mlirF32TypeGet(context), i64 = mlirIntegerTypeGet(context, 64);
  MlirType table = tensor(f32, 2, (int64_t[]){dynamic, 4});
  MlirType types[] = {tensor(mlirF64TypeGet(context), 1, (int64_t[]){4}),
                      i64,
                      tensor(i64, 1, (int64_t[]){dynamic}),
                      table,
                      table,
                      tensor(f32, 3, (int64_t[]){dynamic, 2, 8}),
                      mlirIndexTypeGet(context),
                      tensor(f32, 1, (int64_t[]){dynamic})};
  MlirLocation locations[8];
  for (int i = 0; i < 8; ++i)
    locations[i] = mlirLocationUnknownGet(context);
  MlirBlock block = mlirBlockCreate(8, types, locations);
  MlirValue v[8];
  for (int i = 0; i < 8; ++i)
    v[i] = mlirBlockGetArgument(block, i);
  return (Values){block, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
}

static void testFrequencies(MlirContext context) {
  MlirLocation loc = mlirLocationFileLineColGet(context, str("file"), 1, 2);
  Values v = createValues(context);
  MlirContext another = createContext();
  Values theirs = createValues(another);
  MlirAttribute text = mlirStringAttrGet(context, str("text"));
  MlirAttribute linear = ropeLinearAttrGet(context, 8);
  MlirAttribute dynamicNtk = ropeDynamicNtkAttrGet(context, 4, 2048);
  const double values[4] = {1, 0.5, 0.25, INFINITY};
  double numbers[4];
  const int64_t negative = -1;

  NO_OPERATION(ropeFrequenciesCreate(noLocation, 4, 1e4, NULL),
               "ropeFrequenciesCreate: expected location not to be null");
  INVALID(ropeFrequenciesCreate(loc, -4, 1e4, NULL), "but got -4");
  INVALID(ropeFrequenciesCreate(loc, INTPTR_MAX, 1e4, NULL), "frequencies_c6");
  INVALID(ropeFrequenciesCreate(loc, 4, NAN, NULL), "frequencies_c2");
  INVALID(ropeFrequenciesCreate(loc, 4, 1e4, &negative), "frequencies_c5");
  NO_OPERATION(ropeFrequenciesCreateFromValues(noLocation, 4, values),
               "expected location not to be null");
  NO_OPERATION(ropeFrequenciesCreateFromValues(loc, 4, NULL),
               "expected values not to be null");
  INVALID(ropeFrequenciesCreateFromValues(loc, -1, values), "but got -1");
  INVALID(ropeFrequenciesCreateFromValues(loc, 4, values), "frequencies_c4");

#define SCALE(LOC, W, RULE, LENGTH)                                            \
  ropeScaleFrequenciesCreate(LOC, W, RULE, LENGTH)
  NO_OPERATION(SCALE(noLocation, v.frequencies, linear, noValue),
               "expected location not to be null");
  NO_OPERATION(SCALE(loc, noValue, linear, noValue),
               "expected frequencies not to be null");
  NO_OPERATION(SCALE(loc, v.frequencies, noAttr, noValue),
               "expected scaling not to be null");
  NO_OPERATION(SCALE(loc, v.frequencies, text, noValue),
               "expected scaling to be a scaling rule, but got \"text\"");
  NO_OPERATION(SCALE(loc, theirs.frequencies, linear, noValue),
               "expected frequencies to be of the same context");
  NO_OPERATION(
      SCALE(loc, v.frequencies, ropeLinearAttrGet(another, 8), noValue),
      "expected scaling to be of the same context");
  NO_OPERATION(SCALE(loc, v.frequencies, dynamicNtk, theirs.length),
               "expected length to be of the same context");
  INVALID(SCALE(loc, v.x, linear, noValue),
          "must be one-dimensional statically shaped f64 tensor");
  INVALID(SCALE(loc, v.index, linear, noValue),
          "must be one-dimensional statically shaped f64 tensor");
  INVALID(SCALE(loc, v.frequencies, dynamicNtk, noValue),
          "(scale_frequencies_c1) expected a length");
  INVALID(SCALE(loc, v.frequencies, linear, v.length),
          "(scale_frequencies_c1) expected no length");
  INVALID(SCALE(loc, v.frequencies, dynamicNtk, v.index),
          "must be 64-bit signless integer");

  EXPECT_ERROR(ropeEvaluateFrequencies(noValue, 4, numbers) == -1,
               "ropeEvaluateFrequencies: expected value not to be null");
  EXPECT_ERROR(ropeEvaluateFrequencies(v.x, 4, numbers) == -1,
               "expected a one-dimensional statically shaped f64 tensor, but "
               "got tensor<?x2x8xf32>");
  EXPECT_ERROR(ropeEvaluateFrequencies(v.frequencies, 4, NULL) == -1,
               "expected result not to be null");
  EXPECT_ERROR(ropeEvaluateFrequencies(v.frequencies, -1, numbers) == -1,
               "not to be negative");
  forget();
  CHECK(ropeEvaluateFrequencies(v.frequencies, 4, numbers) == -1);
  CHECK(numErrors == 0 && numDiagnostics == 0);

  mlirBlockDestroy(v.block);
  mlirBlockDestroy(theirs.block);
  mlirContextDestroy(another);
}

/* Operations that another program made by name, and did not verify. */
static void testChains(MlirContext context) {
  MlirLocation loc = mlirLocationUnknownGet(context);
  MlirType type = tensor(mlirF64TypeGet(context), 1, (int64_t[]){4});
  double numbers[4];
  MlirOperationState state =
      mlirOperationStateGet(str("rope.frequencies"), loc);
  mlirOperationStateAddResults(&state, 1, &type);
  MlirOperation neither = mlirOperationCreate(&state);
  MlirValue w = mlirOperationGetResult(neither, 0);
  EXPECT_DIAGNOSTIC(
      ropeEvaluateFrequencies(w, 4, numbers) == -1,
      "(frequencies_c1) expected either 'base' or 'values', but got neither");
  mlirOperationDestroy(neither);

  /* A rule that does not fit what it scales. */
  const double three[3] = {1, 2, 4};
  MlirOperation four = ropeFrequenciesCreate(loc, 4, 1e4, NULL);
  w = mlirOperationGetResult(four, 0);
  MlirNamedAttribute scaling = {mlirIdentifierGet(context, str("scaling")),
                                ropeFactorsAttrGet(context, 3, three)};
  state = mlirOperationStateGet(str("rope.scale_frequencies"), loc);
  mlirOperationStateAddOperands(&state, 1, &w);
  mlirOperationStateAddResults(&state, 1, &type);
  mlirOperationStateAddAttributes(&state, 1, &scaling);
  MlirOperation scale = mlirOperationCreate(&state);
  MlirValue scaled = mlirOperationGetResult(scale, 0);
  EXPECT_DIAGNOSTIC(ropeEvaluateFrequencies(scaled, 4, numbers) == -1,
                    "scale_frequencies_c2");

  /* One that scales itself, which no block in order allows. */
  mlirOperationSetInherentAttributeByName(scale, str("scaling"),
                                          ropeLinearAttrGet(context, 2));
  CHECK(ropeEvaluateFrequencies(scaled, 4, numbers) == 4);
  mlirOperationSetOperand(scale, 0, scaled);
  forget();
  CHECK(ropeEvaluateFrequencies(scaled, 4, numbers) == -1);
  CHECK(numErrors == 0 && numDiagnostics == 0);
  mlirOperationSetOperand(scale, 0, w);
  mlirOperationDestroy(scale);
  mlirOperationDestroy(four);
}

static void testRotations(MlirContext context) {
  MlirLocation loc = mlirLocationUnknownGet(context);
  Values v = createValues(context);
  MlirContext another = createContext();
  Values theirs = createValues(another);
  const double infinite = INFINITY;
  const int64_t zero = 0;

#define TABLE(LOC, P, W, C, S, OPTIONS)                                        \
  ropeTableCreate(LOC, P, W, C, S, OPTIONS)
  NO_OPERATION(
      TABLE(noLocation, v.positions, v.frequencies, v.cos, v.sin, NULL),
      "expected location not to be null");
  NO_OPERATION(TABLE(loc, noValue, v.frequencies, v.cos, v.sin, NULL),
               "expected positions not to be null");
  NO_OPERATION(TABLE(loc, v.positions, noValue, v.cos, v.sin, NULL),
               "expected frequencies not to be null");
  NO_OPERATION(TABLE(loc, v.positions, v.frequencies, noValue, v.sin, NULL),
               "expected cos not to be null");
  NO_OPERATION(TABLE(loc, v.positions, v.frequencies, v.cos, noValue, NULL),
               "expected sin not to be null");
  NO_OPERATION(TABLE(loc, v.positions, v.frequencies, v.cos, theirs.sin, NULL),
               "expected sin to be of the same context");
  RopeTableOptions table = {.numAxes = 4};
  NO_OPERATION(TABLE(loc, v.positions, v.frequencies, v.cos, v.sin, &table),
               "expected axes not to be null");
  table = (RopeTableOptions){.precision = (RopePrecision)5};
  INVALID(TABLE(loc, v.positions, v.frequencies, v.cos, v.sin, &table),
          "expected 'precision' to be 0 or 1, but got 5");
  table = (RopeTableOptions){.magnitude = &infinite};
  INVALID(TABLE(loc, v.positions, v.frequencies, v.cos, v.sin, &table),
          "table_c7");
  INVALID(TABLE(loc, v.length, v.frequencies, v.cos, v.sin, NULL),
          "must be ranked tensor or memref");
  INVALID(TABLE(loc, v.positions, v.frequencies, v.cos, v.x, NULL), "table_c4");
  INVALID(TABLE(loc, v.positions, v.frequencies, v.index, v.index, NULL),
          "must be ranked tensor or memref");

  RopeRotation rotation = {.numPositionDims = 1, .positionDims = &zero};
#define APPLY(LOC, X, C, S, INIT) ropeApplyCreate(LOC, X, C, S, INIT, &rotation)
  NO_OPERATION(APPLY(noLocation, v.x, v.cos, v.sin, v.x),
               "expected location not to be null");
  NO_OPERATION(APPLY(loc, noValue, v.cos, v.sin, v.x),
               "expected x not to be null");
  NO_OPERATION(APPLY(loc, v.x, noValue, v.sin, v.x),
               "expected cos not to be null");
  NO_OPERATION(APPLY(loc, v.x, v.cos, noValue, v.x),
               "expected sin not to be null");
  NO_OPERATION(APPLY(loc, v.x, v.cos, v.sin, noValue),
               "expected init not to be null");
  NO_OPERATION(ropeApplyCreate(loc, v.x, v.cos, v.sin, v.x, NULL),
               "expected rotation not to be null");
  NO_OPERATION(APPLY(loc, theirs.x, v.cos, v.sin, v.x),
               "expected x to be of the same context");
  INVALID(APPLY(loc, v.length, v.cos, v.sin, v.x),
          "must be ranked tensor or memref");
  INVALID(APPLY(loc, v.x, v.cos, v.sin, v.length),
          "must be ranked tensor or memref");
  INVALID(APPLY(loc, v.positions, v.cos, v.sin, v.positions), "apply_c2");
  rotation.offset = -8;
  INVALID(APPLY(loc, v.x, v.cos, v.sin, v.x), "apply_c7");
  rotation.offset = INT64_MAX;
  INVALID(APPLY(loc, v.x, v.cos, v.sin, v.x), "apply_c7");
  rotation = (RopeRotation){.numPositionDims = 1};
  NO_OPERATION(APPLY(loc, v.x, v.cos, v.sin, v.x),
               "expected positionDims not to be null");
  rotation = (RopeRotation){.pairing = (RopePairing)9};
  INVALID(APPLY(loc, v.x, v.cos, v.sin, v.x),
          "expected 'pairing' to be 0 or 1, but got 9");

  mlirBlockDestroy(v.block);
  mlirBlockDestroy(theirs.block);
  mlirContextDestroy(another);
}

/* A region of one block; of attention's block arguments if `isScore`. */
static MlirRegion createRegion(MlirContext context, bool isScore) {
  MlirType index = mlirIndexTypeGet(context);
  MlirType types[] = {isScore ? mlirF32TypeGet(context) : index, index, index,
                      index, index};
  MlirLocation loc = mlirLocationUnknownGet(context);
  MlirLocation locations[] = {loc, loc, loc, loc, loc};
  MlirBlock block = mlirBlockCreate(5, types, locations);
  mlirBlockAppendOwnedOperation(
      block, ropeYieldCreate(loc, mlirBlockGetArgument(block, 0)));
  MlirRegion region = mlirRegionCreate();
  mlirRegionAppendOwnedBlock(region, block);
  return region;
}

static void testAttention(MlirContext context) {
  MlirLocation loc = mlirLocationUnknownGet(context);
  Values v = createValues(context);
  MlirContext another = createContext();
  Values theirs = createValues(another);
  MlirAffineExpr d[6];
  for (int i = 0; i < 6; ++i)
    d[i] = mlirAffineDimExprGet(context, i);
  MlirAffineExpr q[] = {d[2], d[1], d[4]}, k[] = {d[3], d[1], d[4]};
  MlirAffineExpr e[] = {d[3], d[1], d[5]}, o[] = {d[2], d[1], d[5]};
  MlirAffineMap maps[] = {mlirAffineMapGet(context, 6, 0, 3, q),
                          mlirAffineMapGet(context, 6, 0, 3, k),
                          mlirAffineMapGet(context, 6, 0, 3, e),
                          mlirAffineMapGet(context, 6, 0, 3, o),
                          {NULL}};
  MlirAffineMap theirMaps[] = {maps[0], maps[1], maps[2],
                               mlirAffineMapEmptyGet(another)};
  const MlirValue inits[] = {v.x, noValue, theirs.x};

#define ATTENTION(LOC, Q, K, V, OPTIONS)                                       \
  ropeAttentionCreate(LOC, Q, K, V, 1, inits, 4, maps, OPTIONS)
#define OF_X(NUM_INITS, INITS, NUM_MAPS, MAPS)                                 \
  ropeAttentionCreate(loc, v.x, v.x, v.x, NUM_INITS, INITS, NUM_MAPS, MAPS,    \
                      NULL)
  MlirOperation fine = ATTENTION(loc, v.x, v.x, v.x, NULL);
  CHECK(!mlirOperationIsNull(fine));
  CHECK(mlirOperationGetNumResults(fine) == 1);
  mlirOperationDestroy(fine);

  NO_OPERATION(ATTENTION(noLocation, v.x, v.x, v.x, NULL),
               "ropeAttentionCreate: expected location not to be null");
  NO_OPERATION(ATTENTION(loc, noValue, v.x, v.x, NULL),
               "expected query not to be null");
  NO_OPERATION(ATTENTION(loc, v.x, noValue, v.x, NULL),
               "expected key not to be null");
  NO_OPERATION(ATTENTION(loc, v.x, v.x, noValue, NULL),
               "expected value not to be null");
  NO_OPERATION(ATTENTION(loc, v.x, theirs.x, v.x, NULL),
               "expected key to be of the same context");
  NO_OPERATION(OF_X(1, NULL, 4, maps), "expected inits not to be null");
  NO_OPERATION(OF_X(-1, inits, 4, maps),
               "expected the number of inits not to be negative");
  NO_OPERATION(OF_X(2, inits, 4, maps), "expected inits not to be null");
  NO_OPERATION(OF_X(1, inits + 2, 4, maps),
               "expected inits to be of the same context");
  NO_OPERATION(OF_X(1, inits, 4, NULL), "expected indexingMaps not to be null");
  NO_OPERATION(OF_X(1, inits, 5, maps), "expected indexingMaps not to be null");
  NO_OPERATION(OF_X(1, inits, 4, theirMaps),
               "expected indexingMaps to be of the same context");
  INVALID(OF_X(1, inits, 3, maps), "attention_c3");
  INVALID(OF_X(0, NULL, 3, maps), "attention_c7");
  INVALID(ATTENTION(loc, v.length, v.x, v.x, NULL),
          "must be ranked tensor or memref");

  /* Operands and attributes in the options. */
  RopeAttentionOptions a;
#define OPTION(...) (a = (RopeAttentionOptions){__VA_ARGS__}, &a)
#define WITH(...) ATTENTION(loc, v.x, v.x, v.x, OPTION(__VA_ARGS__))
  NO_OPERATION(WITH(.keyScales = theirs.x), "expected keyScales to be of");
  NO_OPERATION(WITH(.valueScales = theirs.x), "expected valueScales to be of");
  NO_OPERATION(WITH(.pages = theirs.x), "expected pages to be of");
  NO_OPERATION(WITH(.queryOffset = theirs.x), "expected queryOffset to be of");
  NO_OPERATION(WITH(.lengths = theirs.x), "expected lengths to be of");
  NO_OPERATION(WITH(.sinks = theirs.x), "expected sinks to be of");
  NO_OPERATION(WITH(.numScoreOperands = 1), "expected scoreOperands not to be");
  NO_OPERATION(WITH(.numScoreOperands = 2, .scoreOperands = inits),
               "expected scoreOperands not to be null");
  MlirAttribute text = mlirStringAttrGet(context, str("text"));
  const int64_t zero = 0;
  RopeRotation parameters = {.numPositionDims = 1, .positionDims = &zero};
  MlirAttribute rotation = ropeRotationAttrGet(context, &parameters, noAttr);
  MlirAttribute theirRotation =
      ropeRotationAttrGet(another, &parameters, noAttr);
  NO_OPERATION(WITH(.queryRotation = text),
               "expected queryRotation to be #rope.rotation, but got \"text\"");
  NO_OPERATION(WITH(.keyRotation = text),
               "expected keyRotation to be #rope.rotation, but got \"text\"");
  NO_OPERATION(WITH(.queryRotation = theirRotation),
               "expected queryRotation to be of the same context");
  NO_OPERATION(WITH(.queryRotation = rotation),
               "expected queryRotationOperands not to be null");
  NO_OPERATION(WITH(.keyRotation = rotation, .keyRotationOperands = {v.cos}),
               "expected keyRotationOperands not to be null");
  INVALID(WITH(.queryRotation = rotation,
               .queryRotationOperands = {v.positions, v.frequencies}),
          "attention_c11");
  const double infinite = INFINITY;
  const int64_t negative = -1;
  INVALID(WITH(.scale = &infinite), "attention_c8");
  INVALID(WITH(.causal = true, .window = &negative), "attention_c8");
  INVALID(WITH(.chunk = &negative), "attention_c8");
  INVALID(WITH(.keyScales = v.index), "must be ranked tensor or memref");
  INVALID(WITH(.lengths = v.x), "attention_c9");

  /* The region belongs to the operation, or is destroyed. */
  fine = WITH(.region = createRegion(context, true));
  CHECK(!mlirOperationIsNull(fine));
  mlirOperationDestroy(fine);
  INVALID(WITH(.region = createRegion(context, false)), "attention_c10");
  INVALID(WITH(.region = mlirRegionCreate(), .chunk = &negative),
          "attention_c8");
  NO_OPERATION(ATTENTION(noLocation, v.x, v.x, v.x,
                         OPTION(.region = createRegion(context, true))),
               "expected location not to be null");

  /* online_attention */
  const MlirValue state[] = {v.x, v.row, v.row, v.row, v.row};
#define ONLINE(LOC, Q, K, V, INITS, OPTIONS)                                   \
  ropeOnlineAttentionCreate(LOC, Q, K, V, INITS, 4, maps, OPTIONS)
  RopeOnlineAttentionOptions online = {.numScoreOperands = 1};
  NO_OPERATION(ONLINE(noLocation, v.x, v.x, v.x, state, NULL),
               "ropeOnlineAttentionCreate: expected location not to be null");
  NO_OPERATION(ONLINE(loc, noValue, v.x, v.x, state, NULL),
               "expected query not to be null");
  NO_OPERATION(ONLINE(loc, v.x, noValue, v.x, state, NULL),
               "expected key not to be null");
  NO_OPERATION(ONLINE(loc, v.x, v.x, noValue, state, NULL),
               "expected value not to be null");
  NO_OPERATION(ONLINE(loc, v.x, v.x, v.x, NULL, NULL),
               "expected inits not to be null");
  NO_OPERATION(ONLINE(loc, v.x, v.x, v.x, state, &online),
               "expected scoreOperands not to be null");
  NO_OPERATION(
      ropeOnlineAttentionCreate(loc, v.x, v.x, v.x, state, 4, NULL, NULL),
      "expected indexingMaps not to be null");
  INVALID(ONLINE(loc, v.x, v.x, v.x, state, NULL), "online_attention_c3");
  INVALID(ONLINE(loc, v.x, v.x, v.index, state, NULL),
          "must be ranked tensor or memref");
  online = (RopeOnlineAttentionOptions){.region = createRegion(context, true)};
  INVALID(ONLINE(loc, v.x, v.x, v.x, state, &online), "online_attention_c3");

  /* yield, which nothing but its parent can verify. */
  NO_OPERATION(ropeYieldCreate(noLocation, v.length),
               "ropeYieldCreate: expected location not to be null");
  NO_OPERATION(ropeYieldCreate(loc, noValue), "expected score not to be null");

  mlirBlockDestroy(v.block);
  mlirBlockDestroy(theirs.block);
  mlirContextDestroy(another);
}

#define NOT_ADDED(call, text)                                                  \
  EXPECT_ERROR(mlirLogicalResultIsFailure(call), text)

static void testPipelines(MlirContext context) {
  MlirPassManager modules =
      mlirPassManagerCreateOnOperation(context, str("builtin.module"));
  MlirPassManager functions =
      mlirPassManagerCreateOnOperation(context, str("func.func"));
  MlirOpPassManager m = mlirPassManagerGetAsOpPassManager(modules);
  MlirOpPassManager f = mlirPassManagerGetAsOpPassManager(functions);

  const char *null = "expected passManager not to be null";
  NOT_ADDED(ropeAddOptimizePipeline(noManager, NULL), null);
  NOT_ADDED(ropeAddToLLVMPipeline(noManager, NULL), null);
  NOT_ADDED(ropeAddToNVVMPipeline(noManager, NULL), null);
  NOT_ADDED(ropeAddToROCDLPipeline(noManager, NULL), null);
  NOT_ADDED(ropeAddToSPIRVPipeline(noManager, NULL), null);
  NOT_ADDED(ropeAddToGPUPipeline(noManager, ROPE_GPU_CUDA, NULL), null);

  const char *kind =
      "expected a manager of passes on builtin.module, but got one on "
      "func.func";
  NOT_ADDED(ropeAddOptimizePipeline(f, NULL), kind);
  NOT_ADDED(ropeAddToLLVMPipeline(f, NULL), kind);
  NOT_ADDED(ropeAddToNVVMPipeline(f, NULL), kind);
  NOT_ADDED(ropeAddToROCDLPipeline(f, NULL), kind);
  NOT_ADDED(ropeAddToSPIRVPipeline(f, NULL), kind);
  NOT_ADDED(ropeAddToGPUPipeline(f, ROPE_GPU_CUDA, NULL), kind);

  RopeOptimizeOptions optimize = ropeOptimizeOptionsGetDefault();
  CHECK(!optimize.exact && optimize.keyRotation == ROPE_KEY_ROTATION_AUTO);
  optimize.keyRotation = (RopeKeyRotation)3;
  NOT_ADDED(ropeAddOptimizePipeline(m, &optimize),
            "expected 'keyRotation' to be from 0 to 2, but got 3");
  optimize = ropeOptimizeOptionsGetDefault();
  optimize.threads = -1;
  NOT_ADDED(ropeAddOptimizePipeline(m, &optimize),
            "expected 'threads' to be at least 0, but got -1");
  optimize = ropeOptimizeOptionsGetDefault();
  optimize.l2Bytes = -1;
  NOT_ADDED(ropeAddOptimizePipeline(m, &optimize), "'l2Bytes'");
  optimize = ropeOptimizeOptionsGetDefault();
  optimize.vectorBits = INT64_MIN;
  NOT_ADDED(ropeAddOptimizePipeline(m, &optimize), "'vectorBits'");

  RopeToGPUOptions gpu = ropeToGPUOptionsGetDefault();
  CHECK(gpu.optLevel == 3 && gpu.chip.length == 0);
  gpu.optLevel = 4;
  NOT_ADDED(ropeAddToNVVMPipeline(m, &gpu),
            "expected 'optLevel' to be from 0 to 3, but got 4");
  gpu.optLevel = -1;
  NOT_ADDED(ropeAddToROCDLPipeline(m, &gpu), "'optLevel'");
  NOT_ADDED(ropeAddToSPIRVPipeline(m, &gpu), "'optLevel'");
  NOT_ADDED(ropeAddToGPUPipeline(m, (RopeGPUApi)3, NULL),
            "expected 'api' to be from 0 to 2, but got 3");
  mlirPassManagerDestroy(functions);
  mlirPassManagerDestroy(modules);

  /* What a target does not know is found when the pipeline runs, and so is an
   * operation that is no module. */
  MlirModule module = mlirModuleCreateEmpty(mlirLocationUnknownGet(context));
  MlirPassManager any = mlirPassManagerCreate(context);
  RopeToLLVMOptions llvm = ropeToLLVMOptionsGetDefault();
  CHECK(!llvm.singleThreaded && llvm.streamingBytes < 0);
  llvm.targetCPU = str("no-such-processor");
  CHECK(mlirLogicalResultIsSuccess(
      ropeAddToLLVMPipeline(mlirPassManagerGetAsOpPassManager(any), &llvm)));
  EXPECT_DIAGNOSTIC(mlirLogicalResultIsFailure(mlirPassManagerRunOnOp(
                        any, mlirModuleGetOperation(module))),
                    "no-such-processor");
  MlirOperation frequencies =
      ropeFrequenciesCreate(mlirLocationUnknownGet(context), 4, 1e4, NULL);
  EXPECT_DIAGNOSTIC(
      mlirLogicalResultIsFailure(mlirPassManagerRunOnOp(any, frequencies)),
      "trying to schedule a pass on an operation");
  mlirOperationDestroy(frequencies);
  mlirPassManagerDestroy(any);
  mlirModuleDestroy(module);

  /* Passes may be registered again. */
  ropeRegisterAllPasses();
  ropeRegisterAllPasses();
  mlirRegisterRopeTransformsPasses();
  mlirRegisterRopeConversionPasses();
}

static void testImport(MlirContext context) {
  MlirStringRef none = {NULL, 0}, file = str("config.json");
  EXPECT_ERROR(
      mlirModuleIsNull(ropeImportHFConfig(noContext, str("{}"), file, none)),
      "ropeImportHFConfig: expected context not to be null");
  EXPECT_DIAGNOSTIC(
      mlirModuleIsNull(ropeImportHFConfig(context, str("{"), file, none)),
      "not JSON");
  EXPECT_DIAGNOSTIC(
      mlirModuleIsNull(ropeImportHFConfig(context, none, none, none)),
      "not JSON");
  MlirStringRef llama = str("{\"model_type\": \"llama\", \"hidden_size\": 64, "
                            "\"num_attention_heads\": 4}");
  EXPECT_DIAGNOSTIC(
      mlirModuleIsNull(ropeImportHFConfig(context, llama, file, str("i8"))),
      "i8");
}

int main(void) {
  MlirContext context = createContext();
  testAttributes(context);
  testFrequencies(context);
  testChains(context);
  testRotations(context);
  testAttention(context);
  testPipelines(context);
  testImport(context);
  mlirContextDestroy(context);

  EXPECT_ERROR((ropeRegisterAllDialects((MlirDialectRegistry){NULL}), 1),
               "ropeRegisterAllDialects: expected registry not to be null");
  return finish();
}

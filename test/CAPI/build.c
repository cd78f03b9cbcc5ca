/* Builds a module through the builders, verifies and prints it, evaluates its
 * frequencies, and runs pipelines on it.
 *
 * RUN: %c_compile %t && %t | FileCheck %s
 */
#include "mlir-c/Pass.h"
#include "rope-c/Operations.h"
#include "rope-c/Passes.h"
#include "testing.h"
#include <math.h>

static const int64_t dynamic = INT64_MIN;

static MlirValue result(MlirOperation op, intptr_t index) {
  CHECK(!mlirOperationIsNull(op));
  return mlirOperationGetResult(op, index);
}

/* Appends an operation and returns its first result. */
static MlirValue append(MlirBlock block, MlirOperation op) {
  CHECK(!mlirOperationIsNull(op));
  mlirBlockAppendOwnedOperation(block, op);
  return mlirOperationGetNumResults(op) ? result(op, 0) : (MlirValue){NULL};
}

/* A function of `numInputs` types; returns its body. */
static MlirBlock addFunction(MlirModule module, const char *name,
                             intptr_t numInputs, const MlirType *inputs,
                             intptr_t numResults, const MlirType *results) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirLocation locations[16];
  for (intptr_t i = 0; i < numInputs; ++i)
    locations[i] = location;
  MlirBlock body = mlirBlockCreate(numInputs, inputs, locations);
  MlirRegion region = mlirRegionCreate();
  mlirRegionAppendOwnedBlock(region, body);
  MlirNamedAttribute attributes[] = {
      {mlirIdentifierGet(context, str("sym_name")),
       mlirStringAttrGet(context, str(name))},
      {mlirIdentifierGet(context, str("function_type")),
       mlirTypeAttrGet(mlirFunctionTypeGet(context, numInputs, inputs,
                                           numResults, results))}};
  MlirOperationState state = mlirOperationStateGet(str("func.func"), location);
  mlirOperationStateAddAttributes(&state, 2, attributes);
  mlirOperationStateAddOwnedRegions(&state, 1, &region);
  append(mlirModuleGetBody(module), mlirOperationCreate(&state));
  return body;
}

static void addReturn(MlirBlock body, intptr_t n, const MlirValue *values) {
  MlirContext context = mlirTypeGetContext(mlirValueGetType(values[0]));
  MlirOperationState state = mlirOperationStateGet(
      str("func.return"), mlirLocationUnknownGet(context));
  mlirOperationStateAddOperands(&state, n, values);
  append(body, mlirOperationCreate(&state));
}

/* One operation of one operand or two, and a result of the first one's type. */
static MlirValue compute(MlirBlock block, const char *name, intptr_t n,
                         const MlirValue *operands) {
  MlirType type = mlirValueGetType(operands[0]);
  MlirOperationState state = mlirOperationStateGet(
      str(name), mlirLocationUnknownGet(mlirTypeGetContext(type)));
  mlirOperationStateAddOperands(&state, n, operands);
  mlirOperationStateAddResults(&state, 1, &type);
  return append(block, mlirOperationCreate(&state));
}

/* A map of the six loops of attention to some of them. */
static MlirAffineMap loops(MlirContext context, intptr_t n, const int *which,
                           int group) {
  MlirAffineExpr results[6];
  for (intptr_t i = 0; i < n; ++i) {
    results[i] = mlirAffineDimExprGet(context, which[i]);
    if (which[i] == 1 && group > 1)
      results[i] = mlirAffineFloorDivExprGet(
          results[i], mlirAffineConstantExprGet(context, group));
  }
  return mlirAffineMapGet(context, 6, 0, n, results);
}

enum { B, H, I, J, D, E };

/* Frequencies in each form. */
static void buildFrequencies(MlirModule module) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType i64 = mlirIntegerTypeGet(context, 64);
  MlirType frequencies = tensor(mlirF64TypeGet(context), 1, (int64_t[]){4});
  MlirBlock body =
      addFunction(module, "frequencies", 1, &i64, 3,
                  (MlirType[]){frequencies, frequencies, frequencies});
  MlirValue length = mlirBlockGetArgument(body, 0), none = {NULL};
  const double values[4] = {1, 0.5, 0.25, 0.125};
  const int64_t dimension = 512;
  double numbers[4] = {0};

  // CHECK-LABEL: func.func @frequencies(
  // CHECK-SAME: %[[LENGTH:.*]]: i64
  // CHECK: rope.frequencies base(1.000000e+06) dimension(512) : tensor<4xf64>
  MlirValue ladder =
      append(body, ropeFrequenciesCreate(location, 4, 1e6, &dimension));
  CHECK(ropeEvaluateFrequencies(ladder, 4, numbers) == 4);
  CHECK(fabs(numbers[3] / pow(1e6, -6 / 512.0) - 1) < 1e-15);

  // CHECK: %[[W:.*]] = rope.frequencies values(dense<[1.000000e+00, 5.000000e-01, 2.500000e-01, 1.250000e-01]> : tensor<4xf64>) : tensor<4xf64>
  MlirValue given =
      append(body, ropeFrequenciesCreateFromValues(location, 4, values));
  CHECK(ropeEvaluateFrequencies(given, 4, numbers) == 4);
  CHECK(memcmp(numbers, values, sizeof(values)) == 0);

  // CHECK: %[[LINEAR:.*]] = rope.scale_frequencies %[[W]] by(#rope.linear<factor = 8.000000e+00 : f64>) : tensor<4xf64>
  MlirValue linear =
      append(body, ropeScaleFrequenciesCreate(
                       location, given, ropeLinearAttrGet(context, 8), none));
  /* No more than there is room for. */
  numbers[2] = -1;
  CHECK(ropeEvaluateFrequencies(linear, 2, numbers) == 4);
  CHECK(numbers[0] == 1 / 8.0 && numbers[1] == 0.5 / 8 && numbers[2] == -1);
  CHECK(ropeEvaluateFrequencies(linear, 0, NULL) == 4);

  // CHECK: rope.scale_frequencies %[[LINEAR]] by(#rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64>) at %[[LENGTH]] : tensor<4xf64>
  MlirValue scaled =
      append(body, ropeScaleFrequenciesCreate(
                       location, linear,
                       ropeDynamicNtkAttrGet(context, 4, 2048), length));
  /* The length is not known. */
  forget();
  CHECK(ropeEvaluateFrequencies(scaled, 4, numbers) == -1);
  CHECK(numErrors == 0 && numDiagnostics == 0);
  addReturn(body, 3, (MlirValue[]){ladder, given, scaled});
}

/* Tables and rotations with all their options, on tensors and on memrefs. */
static void buildRotations(MlirModule module) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType f32 = mlirF32TypeGet(context), i64 = mlirIntegerTypeGet(context, 64);
  MlirType table = tensor(f32, 2, (int64_t[]){dynamic, 4});
  MlirType x = tensor(f32, 4, (int64_t[]){1, dynamic, 2, 16});
  MlirType positions = tensor(i64, 2, (int64_t[]){3, dynamic});
  MlirType inputs[] = {x, positions, table, table, x};
  MlirBlock body = addFunction(module, "rotate", 5, inputs, 1, &x);
  MlirValue arguments[5];
  for (int i = 0; i < 5; ++i)
    arguments[i] = mlirBlockGetArgument(body, i);

  MlirValue w = append(body, ropeFrequenciesCreate(location, 4, 10000, NULL));
  const double magnitude = 1.25;
  const int64_t axes[4] = {0, 1, 2, 0}, stride = 8;
  RopeTableOptions options = {.magnitude = &magnitude,
                              .numAxes = 4,
                              .axes = axes,
                              .precision = ROPE_PRECISION_F32};
  // CHECK-LABEL: func.func @rotate(
  // CHECK-SAME: %[[X:[^:]*]]: {{[^,]*}}, %[[P:[^:]*]]: {{[^,]*}}, %[[C:[^:]*]]: {{[^,]*}}, %[[S:[^:]*]]: {{[^,]*}}, %[[INIT:[^:]*]]:
  // CHECK: %[[W:.*]] = rope.frequencies base(1.000000e+04)
  // CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[P]], %[[W]] : tensor<3x?xi64>, tensor<4xf64>) outs(%[[C]], %[[S]] : tensor<?x4xf32>, tensor<?x4xf32>)
  // CHECK-SAME: {axes = array<i64: 0, 1, 2, 0>, magnitude = 1.250000e+00 : f64, precision = #rope.precision<f32>}
  MlirOperation tables = ropeTableCreate(location, arguments[1], w,
                                         arguments[2], arguments[3], &options);
  append(body, tables);

  RopeRotation rotation = {.pairing = ROPE_PAIRING_HALF,
                           .numPositionDims = 1,
                           .positionDims = (int64_t[]){1},
                           .offset = 2,
                           .pairStride = &stride,
                           .transpose = true};
  // CHECK: %[[R:.*]] = rope.apply ins(%[[X]], %[[COS]], %[[SIN]] : {{.*}}) outs(%[[INIT]] : tensor<1x?x2x16xf32>)
  // CHECK-SAME: {offset = 2 : i64, pair_stride = 8 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 1>, transpose}
  MlirValue rotated =
      append(body, ropeApplyCreate(location, arguments[0], result(tables, 0),
                                   result(tables, 1), arguments[4], &rotation));

  RopePairing half = ROPE_PAIRING_HALF;
  RopeRotation other = {.pairing = ROPE_PAIRING_INTERLEAVED,
                        .numPositionDims = 1,
                        .positionDims = (int64_t[]){1},
                        .resultPairing = &half};
  // CHECK: rope.apply ins(%[[R]],
  // CHECK-SAME: {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 1>, result_pairing = #rope.pairing<half>}
  rotated =
      append(body, ropeApplyCreate(location, rotated, result(tables, 0),
                                   result(tables, 1), arguments[4], &other));
  addReturn(body, 1, &rotated);

  /* Memrefs are written to: no results. */
  MlirType buffer = mlirMemRefTypeContiguousGet(f32, 2, (int64_t[]){3, 8},
                                                mlirAttributeGetNull());
  MlirType row = mlirMemRefTypeContiguousGet(f32, 2, (int64_t[]){3, 4},
                                             mlirAttributeGetNull());
  MlirType inputs2[] = {buffer, row, row, i64};
  body = addFunction(module, "in_place", 4, inputs2, 1, &i64);
  RopeRotation plain = {.numPositionDims = 1, .positionDims = (int64_t[]){0}};
  MlirValue memory = mlirBlockGetArgument(body, 0);
  MlirOperation inPlace =
      ropeApplyCreate(location, memory, mlirBlockGetArgument(body, 1),
                      mlirBlockGetArgument(body, 2), memory, &plain);
  CHECK(mlirOperationGetNumResults(inPlace) == 0);
  // CHECK-LABEL: func.func @in_place(
  // CHECK: rope.apply ins(%[[M:.*]], %{{.*}}, %{{.*}} : memref<3x8xf32>, memref<3x4xf32>, memref<3x4xf32>) outs(%[[M]] : memref<3x8xf32>)
  append(body, inPlace);
  MlirValue number = mlirBlockGetArgument(body, 3);
  addReturn(body, 1, &number);
}

/* A region that adds a bias to each score. */
static MlirRegion biasRegion(MlirContext context) {
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType f32 = mlirF32TypeGet(context), index = mlirIndexTypeGet(context);
  MlirType types[] = {f32, index, index, index, index, f32};
  MlirLocation locations[6] = {location, location, location,
                               location, location, location};
  MlirBlock block = mlirBlockCreate(6, types, locations);
  MlirRegion region = mlirRegionCreate();
  mlirRegionAppendOwnedBlock(region, block);
  MlirValue sum = compute(block, "arith.addf", 2,
                          (MlirValue[]){mlirBlockGetArgument(block, 0),
                                        mlirBlockGetArgument(block, 5)});
  append(block, ropeYieldCreate(location, sum));
  return region;
}

/* Attention with everything that one operation may have. */
static void buildAttention(MlirModule module) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType f32 = mlirF32TypeGet(context), f16 = mlirF16TypeGet(context);
  MlirType i32 = mlirIntegerTypeGet(context, 32);
  MlirType i64 = mlirIntegerTypeGet(context, 64);
  MlirType i8 = mlirIntegerTypeGet(context, 8);
  MlirType q = tensor(f32, 4, (int64_t[]){2, dynamic, 4, 8});
  MlirType cache = tensor(i8, 4, (int64_t[]){dynamic, 16, 2, 8});
  MlirType scales = tensor(f16, 3, (int64_t[]){dynamic, 16, 2});
  MlirType pages = tensor(i32, 2, (int64_t[]){2, dynamic});
  MlirType bias = tensor(f32, 2, (int64_t[]){dynamic, dynamic});
  MlirType lengths = tensor(i32, 1, (int64_t[]){2});
  MlirType sinks = tensor(f32, 1, (int64_t[]){4});
  MlirType table = tensor(f32, 2, (int64_t[]){dynamic, 4});
  MlirType positions = tensor(i64, 1, (int64_t[]){dynamic});
  MlirType sums = tensor(f32, 3, (int64_t[]){2, dynamic, 4});
  MlirType inputs[] = {q,     cache, cache,     scales,  scales,
                       pages, bias,  i64,       lengths, sinks,
                       table, table, positions, q,       sums};
  MlirType outputs[] = {q, sums};
  MlirBlock body = addFunction(module, "attention", 15, inputs, 2, outputs);
  MlirValue a[15];
  for (int i = 0; i < 15; ++i)
    a[i] = mlirBlockGetArgument(body, i);
  MlirValue w = append(body, ropeFrequenciesCreate(location, 4, 10000, NULL));

  MlirAffineExpr b = mlirAffineDimExprGet(context, B);
  MlirAffineExpr h = mlirAffineFloorDivExprGet(
      mlirAffineDimExprGet(context, H), mlirAffineConstantExprGet(context, 2));
  MlirAffineExpr j = mlirAffineDimExprGet(context, J);
  MlirAffineExpr size = mlirAffineConstantExprGet(context, 16);
  MlirAffineExpr page = mlirAffineFloorDivExprGet(j, size);
  MlirAffineExpr place = mlirAffineModExprGet(j, size);
  MlirAffineExpr keyDims[] = {page, place, h, mlirAffineDimExprGet(context, D)};
  MlirAffineExpr valueDims[] = {page, place, h,
                                mlirAffineDimExprGet(context, E)};
  MlirAffineMap maps[] = {
      loops(context, 4, (int[]){B, I, H, D}, 1),
      mlirAffineMapGet(context, 6, 0, 4, keyDims),
      mlirAffineMapGet(context, 6, 0, 4, valueDims),
      mlirAffineMapGet(context, 6, 0, 3, keyDims),
      mlirAffineMapGet(context, 6, 0, 3, keyDims),
      mlirAffineMapGet(context, 6, 0, 2, (MlirAffineExpr[]){b, page}),
      loops(context, 2, (int[]){I, J}, 1),
      loops(context, 4, (int[]){B, I, H, E}, 1),
      loops(context, 3, (int[]){B, I, H}, 1)};

  RopeRotation rotation = {.numPositionDims = 1,
                           .positionDims = (int64_t[]){1}};
  const double scale = 0.5;
  const int64_t window = 128;
  RopeAttentionOptions options = {
      .keyScales = a[3],
      .valueScales = a[4],
      .pages = a[5],
      .numScoreOperands = 1,
      .scoreOperands = &a[6],
      .queryOffset = a[7],
      .lengths = a[8],
      .sinks = a[9],
      .queryRotation = ropeRotationAttrGet(
          context, &rotation,
          ropeAnglesAttrGet(context, 1, 0, NULL, ROPE_PRECISION_EXACT)),
      .queryRotationOperands = {a[12], w},
      .keyRotation =
          ropeRotationAttrGet(context, &rotation, mlirAttributeGetNull()),
      .keyRotationOperands = {a[10], a[11]},
      .scale = &scale,
      .causal = true,
      .window = &window,
      .region = biasRegion(context)};
  // CHECK-LABEL: func.func @attention(
  // CHECK: rope.attention {causal, indexing_maps = [{{.*}}], scale = 5.000000e-01 : f64, window = 128 : i64}
  // CHECK-SAME: key_scales({{.*}}) value_scales({{.*}}) pages({{.*}}) score_operands({{.*}}) query_offset({{.*}}) lengths({{.*}}) sinks(
  // CHECK-SAME: rotate_query({{.*}} : tensor<?xi64>, tensor<4xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.000000e+00 : f64>>
  // CHECK-SAME: rotate_key({{.*}} : tensor<?x4xf32>, tensor<?x4xf32>) by <pairing = half, position_dims = [1]>
  // CHECK: ^bb0(%[[SCORE:.*]]: f32, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %[[BIAS:.*]]: f32):
  // CHECK: %[[SUM:.*]] = arith.addf %[[SCORE]], %[[BIAS]]
  // CHECK: rope.yield %[[SUM]]
  MlirOperation op = ropeAttentionCreate(location, a[0], a[1], a[2], 2, &a[13],
                                         9, maps, &options);
  append(body, op);
  addReturn(body, 2, (MlirValue[]){result(op, 0), result(op, 1)});

  /* A chunk, and nothing else. */
  MlirType plain = tensor(f32, 3, (int64_t[]){8, 4, 16});
  MlirType inputs2[] = {plain, plain};
  body = addFunction(module, "chunks", 2, inputs2, 1, &plain);
  const int64_t chunk = 4;
  RopeAttentionOptions chunks = {.chunk = &chunk};
  MlirAffineMap four[] = {loops(context, 3, (int[]){I, H, D}, 1),
                          loops(context, 3, (int[]){J, H, D}, 1),
                          loops(context, 3, (int[]){J, H, E}, 1),
                          loops(context, 3, (int[]){I, H, E}, 1)};
  MlirValue x = mlirBlockGetArgument(body, 0),
            out = mlirBlockGetArgument(body, 1);
  // CHECK-LABEL: func.func @chunks(
  // CHECK: rope.attention {chunk = 4 : i64, indexing_maps = [{{.*}}]} ins(
  MlirValue o = append(
      body, ropeAttentionCreate(location, x, x, x, 1, &out, 4, four, &chunks));
  addReturn(body, 1, &o);
}

/* A rotation in front of attention. */
static void buildRotatedQuery(MlirModule module) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType f32 = mlirF32TypeGet(context);
  MlirType x = tensor(f32, 3, (int64_t[]){8, 4, 16});
  MlirType row = tensor(f32, 2, (int64_t[]){8, 8});
  MlirType inputs[] = {x, x, row, row, x};
  MlirBlock body = addFunction(module, "rotated_query", 5, inputs, 1, &x);
  MlirValue a[5];
  for (int i = 0; i < 5; ++i)
    a[i] = mlirBlockGetArgument(body, i);
  RopeRotation rotation = {.numPositionDims = 1,
                           .positionDims = (int64_t[]){0}};
  MlirValue rotated = append(
      body, ropeApplyCreate(location, a[0], a[2], a[3], a[4], &rotation));
  MlirAffineMap maps[] = {loops(context, 3, (int[]){I, H, D}, 1),
                          loops(context, 3, (int[]){J, H, D}, 1),
                          loops(context, 3, (int[]){J, H, E}, 1),
                          loops(context, 3, (int[]){I, H, E}, 1)};
  MlirValue o = append(body, ropeAttentionCreate(location, rotated, a[1], a[1],
                                                 1, &a[4], 4, maps, NULL));
  addReturn(body, 1, &o);
}

static void buildOnlineAttention(MlirModule module) {
  MlirContext context = mlirModuleGetContext(module);
  MlirLocation location = mlirLocationUnknownGet(context);
  MlirType f32 = mlirF32TypeGet(context);
  MlirType q = tensor(f32, 2, (int64_t[]){16, 64});
  MlirType k = tensor(f32, 2, (int64_t[]){dynamic, 64});
  MlirType row = tensor(f32, 1, (int64_t[]){16});
  MlirType scores = tensor(f32, 2, (int64_t[]){16, dynamic});
  MlirType inputs[] = {q, k, k, scores, q, row, row, scores, row};
  MlirBlock body =
      addFunction(module, "online_attention", 9, inputs, 5, &inputs[4]);
  MlirValue a[9];
  for (int i = 0; i < 9; ++i)
    a[i] = mlirBlockGetArgument(body, i);
  MlirAffineMap id = loops(context, 2, (int[]){I, D}, 1);
  MlirAffineMap jd = loops(context, 2, (int[]){J, D}, 1);
  MlirAffineMap je = loops(context, 2, (int[]){J, E}, 1);
  MlirAffineMap ij = loops(context, 2, (int[]){I, J}, 1);
  MlirAffineMap ie = loops(context, 2, (int[]){I, E}, 1);
  MlirAffineMap i = loops(context, 1, (int[]){I}, 1);
  MlirAffineMap maps[] = {id, jd, je, ij, ie, i, i, ij, i};
  const double scale = 0.125;
  RopeOnlineAttentionOptions options = {.numScoreOperands = 1,
                                        .scoreOperands = &a[3],
                                        .scale = &scale,
                                        .unmasked = true,
                                        .region = biasRegion(context)};
  // CHECK-LABEL: func.func @online_attention(
  // CHECK: rope.online_attention {indexing_maps = [{{.*}}], scale = 1.250000e-01 : f64, unmasked}
  MlirOperation op = ropeOnlineAttentionCreate(location, a[0], a[1], a[2],
                                               &a[4], 9, maps, &options);
  append(body, op);
  MlirValue results[5];
  for (int r = 0; r < 5; ++r)
    results[r] = result(op, r);
  addReturn(body, 5, results);
}

/* Runs a pipeline on a copy of the module and returns the copy. */
static MlirModule run(MlirModule module,
                      MlirLogicalResult (*add)(MlirOpPassManager)) {
  MlirModule copy = mlirModuleFromOperation(
      mlirOperationClone(mlirModuleGetOperation(module)));
  MlirPassManager manager = mlirPassManagerCreate(mlirModuleGetContext(module));
  CHECK(mlirLogicalResultIsSuccess(
      add(mlirPassManagerGetAsOpPassManager(manager))));
  CHECK(mlirLogicalResultIsSuccess(
      mlirPassManagerRunOnOp(manager, mlirModuleGetOperation(copy))));
  if (numDiagnostics)
    fprintf(stderr, "%s\n", lastMessage);
  mlirPassManagerDestroy(manager);
  return copy;
}

static MlirLogicalResult optimize(MlirOpPassManager manager) {
  return ropeAddOptimizePipeline(manager, NULL);
}

static MlirLogicalResult toLLVM(MlirOpPassManager manager) {
  RopeToLLVMOptions options = ropeToLLVMOptionsGetDefault();
  options.targetTriple = str("x86_64-unknown-linux-gnu");
  options.targetCPU = str("x86-64-v3");
  options.singleThreaded = true;
  return ropeAddToLLVMPipeline(manager, &options);
}

static MlirLogicalResult toGPU(MlirOpPassManager manager) {
  return ropeAddToGPUPipeline(manager, ROPE_GPU_ROCM, NULL);
}

static MlirLogicalResult toNVVM(MlirOpPassManager manager) {
  RopeToGPUOptions options = ropeToGPUOptionsGetDefault();
  options.chip = str("sm_90");
  options.kernelsOnly = true;
  return ropeAddToNVVMPipeline(manager, &options);
}

static MlirLogicalResult toROCDL(MlirOpPassManager manager) {
  RopeToGPUOptions options = ropeToGPUOptionsGetDefault();
  options.chip = str("gfx942");
  options.kernelsOnly = true;
  return ropeAddToROCDLPipeline(manager, &options);
}

static MlirLogicalResult toSPIRV(MlirOpPassManager manager) {
  RopeToGPUOptions options = ropeToGPUOptionsGetDefault();
  options.kernelsOnly = true;
  return ropeAddToSPIRVPipeline(manager, &options);
}

/* Passes by their functions. */
static MlirLogicalResult passes(MlirOpPassManager manager) {
  MlirOpPassManager functions =
      mlirOpPassManagerGetNestedUnder(manager, str("func.func"));
  mlirOpPassManagerAddOwnedPass(functions, mlirCreateRopeTransformsSimplify());
  mlirOpPassManagerAddOwnedPass(functions,
                                mlirCreateRopeTransformsLowerFrequencies());
  return mlirLogicalResultSuccess();
}

static void collect(MlirStringRef text, void *userData) {
  /* Long enough for what is printed here. */
  static const size_t room = 1 << 24;
  char *all = userData;
  size_t used = strlen(all);
  if (used + text.length < room) {
    memcpy(all + used, text.data, text.length);
    all[used + text.length] = 0;
  }
}

static bool contains(MlirModule module, const char *text) {
  char *all = calloc(1, 1 << 24);
  mlirOperationPrint(mlirModuleGetOperation(module), collect, all);
  bool found = strstr(all, text) != NULL;
  free(all);
  return found;
}

static MlirModule moduleOf(MlirContext context, void (*build)(MlirModule)) {
  MlirModule module = mlirModuleCreateEmpty(mlirLocationUnknownGet(context));
  build(module);
  return module;
}

int main(void) {
  MlirContext context = createContext();
  /* Those of operations that are made by name. */
  mlirContextGetOrLoadDialect(context, str("arith"));
  mlirContextGetOrLoadDialect(context, str("func"));
  MlirModule module = mlirModuleCreateEmpty(mlirLocationUnknownGet(context));
  buildFrequencies(module);
  buildRotations(module);
  buildAttention(module);
  buildOnlineAttention(module);
  mlirOperationPrint(mlirModuleGetOperation(module), toStdout, NULL);
  CHECK(mlirOperationVerify(mlirModuleGetOperation(module)));
  if (numDiagnostics)
    fprintf(stderr, "%s\n", lastMessage);

  MlirModule functions[] = {module, moduleOf(context, buildRotatedQuery),
                            moduleOf(context, buildRotations)};
  enum { all, rotatedQuery, rotations };
  struct {
    MlirLogicalResult (*add)(MlirOpPassManager);
    int from;
    const char *gone, *made;
  } pipelines[] = {{passes, all, "rope.scale_frequencies", "arith.constant"},
                   {toLLVM, all, "rope.", "llvm.func @rotate"},
                   {optimize, rotatedQuery, "rope.apply", "rotate_query"},
                   {toGPU, rotations, "rope.apply", "gpu.module"},
                   {toNVVM, rotations, "rope.apply", "sm_90"},
                   {toROCDL, rotations, "rope.apply", "gfx942"},
                   {toSPIRV, rotations, "rope.apply", "gpu.binary"}};
  for (size_t i = 0; i < sizeof(pipelines) / sizeof(*pipelines); ++i) {
    MlirModule from = functions[pipelines[i].from];
    CHECK(contains(from, pipelines[i].gone));
    CHECK(!contains(from, pipelines[i].made));
    MlirModule lowered = run(from, pipelines[i].add);
    CHECK(!contains(lowered, pipelines[i].gone));
    CHECK(contains(lowered, pipelines[i].made));
    mlirModuleDestroy(lowered);
  }
  for (int i = all; i <= rotations; ++i)
    mlirModuleDestroy(functions[i]);
  mlirContextDestroy(context);
  // CHECK: all checks hold
  return finish();
}

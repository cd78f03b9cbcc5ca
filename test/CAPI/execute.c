/* Imports a configuration, compiles its functions and calls them on arrays,
 * beside a reference in f64.
 *
 * RUN: %c_compile %t && %t | FileCheck %s
 */
#include "rope-c/Attributes.h"
#include "rope-c/Execution.h"
#include "rope-c/Import.h"
#include "testing.h"
#include <math.h>

static const char config[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 64,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    " \"max_position_embeddings\": 131072, \"rope_theta\": 500000.0,"
    " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
    "   \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
    "   \"original_max_position_embeddings\": 8192},"
    " \"torch_dtype\": \"float32\"}";

enum { B = 2, S = 5, HQ = 4, HK = 2, D = 16, N = D / 2 };

static double frequencies[N];

/* A number between -1 and 1 for each index. */
static float number(int64_t i) {
  return (float)((uint64_t)i * 2654435761u % 2001) / 1000 - 1;
}

static void fill(float *array, int64_t n, int64_t seed) {
  for (int64_t i = 0; i < n; ++i)
    array[i] = number(i + seed);
}

/* The element of channel `c` of a rotated head. */
static double rotated(const float *head, int c, double position) {
  int pair = c % N;
  double angle = position * frequencies[pair];
  double u = head[pair], v = head[pair + N];
  return c < N ? u * cos(angle) - v * sin(angle)
               : u * sin(angle) + v * cos(angle);
}

static MlirModule import(MlirContext context, const char *dtype) {
  MlirModule module =
      ropeImportHFConfig(context, str(config), str("config.json"), str(dtype));
  CHECK(!mlirModuleIsNull(module));
  return module;
}

static RopeFunction compile(MlirModule module, const char *name) {
  RopeFunction function = ropeFunctionCompile(module, str(name), NULL);
  CHECK(!ropeFunctionIsNull(function));
  MlirStringRef signature = ropeFunctionGetSignature(function);
  printf("%.*s\n", (int)signature.length, signature.data);
  CHECK(!ropeFunctionIsFromCache(function));
  return function;
}

static void testTable(MlirModule module) {
  // CHECK: rope_table: (tensor<?xi64>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  RopeFunction function = compile(module, "rope_table");
  CHECK(ropeFunctionGetNumArguments(function) == 1);
  CHECK(ropeFunctionGetNumResults(function) == 2);
  CHECK(ropeFunctionHasKnownSizes(function));
  RopeParameter parameter = ropeFunctionGetArgument(function, 0);
  CHECK(parameter.type == ROPE_I64 && parameter.rank == 1);
  CHECK(parameter.sizes[0] == ROPE_DYNAMIC && !parameter.isWritten);
  parameter = ropeFunctionGetResult(function, 1);
  CHECK(parameter.type == ROPE_F32 && parameter.rank == 2);
  CHECK(parameter.sizes[1] == N);

  int64_t positions[S] = {0, 1, -3, 131071, 1048576};
  float cosine[S][N], sine[S][N];
  int64_t sizes[2] = {S, N}, found[2];
  RopeArray in = {positions, ROPE_I64, 1, sizes, NULL};
  RopeArray out[2] = {{cosine, ROPE_F32, 2, sizes, NULL},
                      {sine, ROPE_F32, 2, sizes, NULL}};
  CHECK(mlirLogicalResultIsSuccess(
      ropeFunctionGetResultSizes(function, 1, &in, 1, found)));
  CHECK(found[0] == S && found[1] == N);
  CHECK(mlirLogicalResultIsSuccess(ropeFunctionCall(function, 1, &in, 2, out)));
  for (int s = 0; s < S; ++s)
    for (int i = 0; i < N; ++i) {
      double angle = (double)positions[s] * frequencies[i];
      CHECK(fabs(cosine[s][i] - cos(angle)) < 3e-7);
      CHECK(fabs(sine[s][i] - sin(angle)) < 3e-7);
    }

  /* No positions. */
  sizes[0] = 0;
  in.data = out[0].data = out[1].data = NULL;
  CHECK(mlirLogicalResultIsSuccess(ropeFunctionCall(function, 1, &in, 2, out)));
  ropeFunctionDestroy(function);
}

/* Rotates [B, S, H, D] arrays whose elements lie at `strides`. */
static void rotate(RopeFunction function, const float *x, float *y,
                   const int64_t *strides) {
  int64_t positions[B][S];
  for (int b = 0; b < B; ++b)
    for (int s = 0; s < S; ++s)
      positions[b][s] = 1000 * b + s;
  int64_t sizes[4] = {B, S, HQ, D};
  RopeArray in[2] = {{(void *)x, ROPE_F32, 4, sizes, strides},
                     {positions, ROPE_I64, 2, sizes, NULL}};
  RopeArray out = {y, ROPE_F32, 4, sizes, strides};
  CHECK(mlirLogicalResultIsSuccess(ropeFunctionCall(function, 2, in, 1, &out)));
  for (int b = 0; b < B; ++b)
    for (int s = 0; s < S; ++s)
      for (int h = 0; h < HQ; ++h) {
        int64_t at = b * strides[0] + s * strides[1] + h * strides[2];
        for (int c = 0; c < D; ++c)
          CHECK(fabs(y[at + c] - rotated(x + at, c, (double)positions[b][s])) <
                1e-6);
      }
}

static void testApply(MlirModule module) {
  // CHECK: rope_apply: (tensor<?x?x4x16xf32>, tensor<?x?xi64>) -> tensor<?x?x4x16xf32>
  RopeFunction function = compile(module, "rope_apply");
  /* Twice the room, for gaps. */
  enum { SIZE = 2 * B * S * HQ * D };
  static float x[SIZE], y[SIZE];
  fill(x, SIZE, 0);
  rotate(function, x, y, (int64_t[]){S * HQ * D, HQ * D, D, 1});
  /* Heads in front of positions, rows with gaps. */
  rotate(function, x, y, (int64_t[]){2 * HQ * S * D, 2 * D, 2 * S * D, 1});
  /* Batches from the last to the first. */
  rotate(function, x + S * HQ * D, y + S * HQ * D,
         (int64_t[]){-S * HQ * D, HQ * D, D, 1});

  /* Results in memory of the library. */
  int64_t sizes[4] = {1, 1, HQ, D}, position = 7;
  RopeArray in[2] = {{x, ROPE_F32, 4, sizes, NULL},
                     {&position, ROPE_I64, 2, sizes, NULL}};
  RopeResults results = ropeFunctionCallAndAllocate(function, 2, in);
  CHECK(!ropeResultsIsNull(results));
  RopeArray result = ropeResultsGet(results, 0);
  CHECK(result.type == ROPE_F32 && result.rank == 4 && result.sizes[3] == D);
  CHECK((uintptr_t)result.data % 64 == 0);
  for (int c = 0; c < D; ++c)
    CHECK(fabs(((float *)result.data)[c] - rotated(x, c, 7)) < 1e-6);
  EXPECT_ERROR(ropeResultsGet(results, 1).rank == -1, "expected an index");
  ropeResultsDestroy(results);
  ropeFunctionDestroy(function);
}

static void testAttention(MlirModule module) {
  // CHECK: attention: (tensor<?x?x4x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?xi64>) -> tensor<?x?x4x16xf32>
  RopeFunction function = compile(module, "attention");
  static float q[B][S][HQ][D], k[B][S][HK][D], v[B][S][HK][D], o[B][S][HQ][D];
  int64_t positions[B][S];
  fill(q[0][0][0], B * S * HQ * D, 1);
  fill(k[0][0][0], B * S * HK * D, 100000);
  fill(v[0][0][0], B * S * HK * D, 200000);
  for (int b = 0; b < B; ++b)
    for (int s = 0; s < S; ++s)
      positions[b][s] = 50 * b + s;
  int64_t sizes[4] = {B, S, HQ, D}, keySizes[4] = {B, S, HK, D};
  RopeArray in[4] = {{q, ROPE_F32, 4, sizes, NULL},
                     {k, ROPE_F32, 4, keySizes, NULL},
                     {v, ROPE_F32, 4, keySizes, NULL},
                     {positions, ROPE_I64, 2, sizes, NULL}};
  RopeArray out = {o, ROPE_F32, 4, sizes, NULL};
  CHECK(mlirLogicalResultIsSuccess(ropeFunctionCall(function, 4, in, 1, &out)));
  for (int b = 0; b < B; ++b)
    for (int h = 0; h < HQ; ++h)
      for (int i = 0; i < S; ++i) {
        int g = h / (HQ / HK);
        double weights[S], sum = 0;
        for (int j = 0; j <= i; ++j) {
          double score = 0;
          for (int c = 0; c < D; ++c)
            score += rotated(q[b][i][h], c, (double)positions[b][i]) *
                     rotated(k[b][j][g], c, (double)positions[b][j]);
          sum += weights[j] = exp(score / sqrt(D));
        }
        for (int c = 0; c < D; ++c) {
          double expected = 0;
          for (int j = 0; j <= i; ++j)
            expected += weights[j] / sum * v[b][j][g][c];
          CHECK(fabs(o[b][i][h][c] - expected) < 2e-6);
        }
      }
  ropeFunctionDestroy(function);
}

/* 16-bit elements are rounded once, to within half a unit in the last place. */
static void testNarrow(MlirContext context) {
  MlirModule module = import(context, "bf16");
  // CHECK: rope_apply: (tensor<?x?x4x16xbf16>, tensor<?x?xi64>) -> tensor<?x?x4x16xbf16>
  RopeFunction function = compile(module, "rope_apply");
  uint16_t x[HQ][D], y[HQ][D];
  float wide[HQ][D];
  for (int i = 0; i < HQ * D; ++i) {
    float f = number(i);
    uint32_t bits;
    memcpy(&bits, &f, 4);
    x[0][i] = (uint16_t)(bits >> 16);
    bits &= 0xffff0000;
    memcpy(&wide[0][i], &bits, 4);
  }
  int64_t sizes[4] = {1, 1, HQ, D}, position = 12345;
  RopeArray in[2] = {{x, ROPE_BF16, 4, sizes, NULL},
                     {&position, ROPE_I64, 2, sizes, NULL}};
  RopeArray out = {y, ROPE_BF16, 4, sizes, NULL};
  CHECK(mlirLogicalResultIsSuccess(ropeFunctionCall(function, 2, in, 1, &out)));
  for (int h = 0; h < HQ; ++h)
    for (int c = 0; c < D; ++c) {
      uint32_t bits = (uint32_t)y[h][c] << 16;
      float found;
      memcpy(&found, &bits, 4);
      double expected = rotated(wide[h], c, (double)position);
      CHECK(fabs(found - expected) <= fabs(expected) / 256 + 1e-6);
    }
  ropeFunctionDestroy(function);
  mlirModuleDestroy(module);
}

/* Options, and a function whose results are not known before the call. */
static void testOptions(MlirContext context) {
  MlirModule module = ropeParseModule(
      context,
      str("func.func @ramp(%n: index, %w: memref<?xf32>) -> tensor<?xf32> {\n"
          "  %c0 = arith.constant 0 : index\n"
          "  %one = arith.constant 1.0 : f32\n"
          "  memref.store %one, %w[%c0] : memref<?xf32>\n"
          "  %r = tensor.generate %n {\n"
          "  ^bb0(%i: index):\n"
          "    %j = arith.index_cast %i : index to i64\n"
          "    %f = arith.sitofp %j : i64 to f32\n"
          "    tensor.yield %f : f32\n"
          "  } : tensor<?xf32>\n"
          "  return %r : tensor<?xf32>\n"
          "}\n"),
      str("ramp.mlir"));
  CHECK(!mlirModuleIsNull(module));
  RopeCompileOptions options = ropeCompileOptionsGetDefault();
  CHECK(options.optLevel == 3 && !options.optimize && !options.singleThreaded);
  options.optLevel = 1;
  options.optimize = true;
  options.singleThreaded = true;
  options.targetFeatures = str("-avx512f");
  /* The only function needs no name. */
  RopeFunction function = ropeFunctionCompile(module, str(""), &options);
  CHECK(!ropeFunctionIsNull(function));
  CHECK(!ropeFunctionHasKnownSizes(function));
  CHECK(ropeFunctionGetArgument(function, 1).isWritten);
  CHECK(ropeFunctionGetArgument(function, 0).rank == 0);
  int64_t n = 5, size = 1;
  float written = 0, room[5];
  RopeArray in[2] = {{&n, ROPE_I64, 0, NULL, NULL},
                     {&written, ROPE_F32, 1, &size, NULL}};
  RopeArray out = {room, ROPE_F32, 1, &n, NULL};
  EXPECT_ERROR(
      mlirLogicalResultIsFailure(ropeFunctionCall(function, 2, in, 1, &out)),
      "the function allocates its results");
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionGetResultSizes(function, 2, in, 0, &n)),
               "not known before the call");
  RopeResults results = ropeFunctionCallAndAllocate(function, 2, in);
  CHECK(!ropeResultsIsNull(results));
  RopeArray ramp = ropeResultsGet(results, 0);
  CHECK(ramp.rank == 1 && ramp.sizes[0] == 5);
  CHECK(((float *)ramp.data)[4] == 4 && written == 1);
  ropeResultsDestroy(results);
  ropeFunctionDestroy(function);
  mlirModuleDestroy(module);
}

int main(void) {
  for (int type = ROPE_BOOL; type <= ROPE_F64; ++type)
    CHECK(ropeElementTypeGetBytes((RopeElementType)type) > 0);
  CHECK(ropeElementTypeGetBytes(ROPE_BF16) == 2);
  CHECK(ropeElementTypeGetBytes((RopeElementType)13) == 0);
  CHECK(ropeElementTypeGetBytes((RopeElementType)-1) == 0);
  ropeSetNumThreads(2);
  CHECK(ropeGetNumThreads() == 2);

  MlirContext context = createContext();
  /* The rule of the configuration, by the attribute of the dialect; that rule's
   * formula has a test of its own. */
  for (int i = 0; i < N; ++i)
    frequencies[i] = pow(500000, -2.0 * i / D);
  CHECK(mlirLogicalResultIsSuccess(
      ropeScalingAttrScale(ropeLlama3AttrGet(context, 8, 1, 4, 8192), N,
                           frequencies, NULL, frequencies)));

  MlirModule module = import(context, "");
  testTable(module);
  testApply(module);
  testAttention(module);
  mlirModuleDestroy(module);
  testNarrow(context);
  testOptions(context);
  if (numDiagnostics)
    fprintf(stderr, "%s\n", lastMessage);
  mlirContextDestroy(context);
  // CHECK: all checks hold
  return finish();
}

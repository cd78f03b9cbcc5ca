/* Builds operations of random values, attributes and numbers: `fuzz SEED
 * COUNT`. Each either obeys its rules, which is checked by printing it and
 * reading it again, or is refused with a diagnostic or an error. None ends the
 * program.
 *
 * RUN: %c_compile %t && %t 1 4000
 */
#include "rope-c/Import.h"
#include "rope-c/Operations.h"
#include "testing.h"
#include <math.h>

static uint64_t state;

static uint32_t next(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

static int below(int n) { return (int)(next() % (uint32_t)n); }

static double pickNumber(void) {
  /* Those at the front are likely, and taken by most rules. */
  const double numbers[] = {1, 4,  32,     2048,  1e4, 5e5,      0.5,
                            0, -1, 1e-320, 1e300, NAN, INFINITY, -INFINITY};
  return numbers[below(below(3) ? 7 : 14)];
}

static int64_t pickInteger(void) {
  const int64_t numbers[] = {0,  1,         2,         3,         4,      8,
                             -1, INT64_MAX, INT64_MIN, 1LL << 32, 1 << 20};
  return numbers[below(11)];
}

static const int64_t *maybeInteger(int64_t *storage) {
  *storage = pickInteger();
  return below(2) ? storage : NULL;
}

static const double *maybeNumber(double *storage) {
  *storage = pickNumber();
  return below(2) ? storage : NULL;
}

/* Types of values; those at the front are likely. */
static const char *const types[] = {
    "tensor<4xf64>",
    "tensor<?xi64>",
    "tensor<?x4xf32>",
    "tensor<?x4xf32>",
    "tensor<?x2x8xf32>",
    "tensor<8x2x8xf32>",
    "tensor<8xf32>",
    "tensor<8x2xf32>",
    "i64",
    "tensor<8xi32>",
    "memref<8x2x8xf32>",
    "memref<8x4xf32>",
    "memref<4xf64>",
    "memref<8xi64>",
    "index",
    "f32",
    "tensor<4xi64>",
    "tensor<f32>",
    "tensor<i64>",
    "tensor<8x2x8xi8>",
    "tensor<8x2x8xbf16>",
    "tensor<*xf32>",
    "memref<*xf32>",
    "tensor<8x2x8xf8E4M3FN>",
    "tensor<8x2x8xf128>",
    "tensor<4xcomplex<f32>>",
    "tensor<8x2x8xvector<2xf32>>",
    "memref<8xmemref<4xf32>>",
    "tensor<8xindex>",
    "tensor<0x2x8xf32>",
    "tensor<8x2x0xf32>",
    "tensor<4611686018427387904x2x8xf32>",
    "tensor<9223372036854775807xf64>",
    "memref<8x2x8xf32, strided<[?, ?, ?], offset: ?>>",
    "memref<8x4xf32, affine_map<(a, b) -> (b, a)>>",
    "tensor<8xi1>",
    "tensor<8xi128>",
    "tensor<8xsi8>",
    "tensor<8xui64>",
    "tensor<4xf64, \"encoding\">",
    "vector<4xf64>",
    "none",
    "tuple<i64>",
    "(i64) -> i64",
    "memref<8x2x8xf32, 3>",
};
enum { numTypes = sizeof(types) / sizeof(*types) };

static MlirContext context;
static MlirLocation location;
static MlirBlock block;

static MlirValue pickValue(void) {
  if (below(200) == 0)
    return (MlirValue){NULL};
  return mlirBlockGetArgument(block, below(below(4) ? 14 : numTypes));
}

static MlirValue maybeValue(void) {
  return below(3) ? (MlirValue){NULL} : pickValue();
}

static RopePairing pairing;
static int64_t stride, dims[4];

static RopeRotation pickRotation(void) {
  RopeRotation rotation = {.pairing = (RopePairing)(below(9) / 4),
                           .numPositionDims = below(3),
                           .positionDims = dims,
                           .offset = below(2) ? 0 : pickInteger(),
                           .transpose = below(2)};
  for (int i = 0; i < 4; ++i)
    dims[i] = below(4) ? below(3) : pickInteger();
  if (below(4) == 0)
    rotation.pairStride = maybeInteger(&stride);
  pairing = (RopePairing)below(2);
  if (below(4) == 0)
    rotation.resultPairing = &pairing;
  return rotation;
}

static MlirAttribute pickRotationAttr(void) {
  MlirAttribute angles = {NULL};
  int64_t axes[] = {0, 1, below(3), 0};
  if (below(2))
    angles = ropeAnglesAttrGet(context, below(4) ? 1 : pickNumber(), below(5),
                               below(3) ? NULL : axes, (RopePrecision)below(2));
  RopeRotation rotation = pickRotation();
  return ropeRotationAttrGet(context, &rotation, angles);
}

static MlirAttribute pickAttribute(void) {
  double a, b, list[4] = {1, 2, pickNumber(), 4};
  switch (below(11)) {
  case 0:
    return ropeLinearAttrGet(context, pickNumber());
  case 1:
    return ropeNtkAttrGet(context, pickNumber(), maybeNumber(&a));
  case 2:
    return ropeDynamicNtkAttrGet(context, pickNumber(), pickNumber());
  case 3:
    return ropeNtkAlphaAttrGet(context, pickNumber());
  case 4:
    return ropeYarnAttrGet(context, pickNumber(), pickNumber(), pickNumber(),
                           maybeNumber(&a), maybeNumber(&b), below(2));
  case 5:
    return ropeLlama3AttrGet(context, pickNumber(), pickNumber(), pickNumber(),
                             pickNumber());
  case 6:
    return ropeLongRopeAttrGet(context, below(5), list, below(5), list,
                               pickNumber());
  case 7:
    return ropeFactorsAttrGet(context, below(5), list);
  case 8:
    return pickRotationAttr();
  case 9:
    return ropePairingAttrGet(context, (RopePairing)below(3));
  default:
    return mlirAttributeParseGet(context, str("array<i64: 1, 2>"));
  }
}

/* Maps that attention takes, mostly. */
static MlirAffineMap pickMap(void) {
  static const char *const maps[] = {
      "(i, h, d)",
      "(j, h, d)",
      "(j, h, e)",
      "(i, h, e)",
      "(i, h)",
      "(i, j)",
      "(b)",
      "(j, h floordiv 2, d)",
      "(b, i, h, d)",
      "(i)",
      "()",
      "(j floordiv 2, j mod 2, d)",
      "(b, j floordiv 2)",
      "(i + j, h, d)",
      "(h floordiv 0)",
      "(d floordiv 4)",
      "(i, i, d)",
      "(0, h, d)",
  };
  char text[128];
  const char *loops = below(20) ? "b, h, i, j, d, e" : "h, i, j, d, e";
  const char *results = maps[below(18)];
  if (strlen(loops) < 16 && strchr(results, 'b'))
    results = "(i)";
  snprintf(text, sizeof(text), "affine_map<(%s) -> %s>", loops, results);
  forget();
  return mlirAffineMapAttrGetValue(mlirAttributeParseGet(context, str(text)));
}

static MlirRegion pickRegion(void) {
  if (below(3))
    return (MlirRegion){NULL};
  MlirRegion region = mlirRegionCreate();
  if (below(10) == 0)
    return region;
  MlirType index = mlirIndexTypeGet(context), f32 = mlirF32TypeGet(context);
  MlirType arguments[] = {f32, index, index, index, index, f32, f32};
  MlirLocation locations[] = {location, location, location, location,
                              location, location, location};
  MlirBlock body =
      mlirBlockCreate(below(4) ? 5 : below(8), arguments, locations);
  if (below(10) && mlirBlockGetNumArguments(body)) {
    MlirOperation yield =
        ropeYieldCreate(location, mlirBlockGetArgument(body, 0));
    mlirBlockAppendOwnedOperation(body, yield);
  }
  mlirRegionAppendOwnedBlock(region, body);
  return region;
}

/* Values of the types at these indices. */
static void use(MlirValue *values, int n, const int *indices) {
  for (int i = 0; i < n; ++i)
    values[i] = mlirBlockGetArgument(block, indices[i]);
}

static MlirOperation pickOperation(void) {
  const double values[] = {1, 0.5, 0.25, pickNumber()};
  const int64_t axes[] = {0, 1, below(3), 0};
  double number;
  int64_t window, chunk;
  MlirValue many[8];
  MlirAffineMap maps[12];
  for (int i = 0; i < 8; ++i)
    many[i] = pickValue();
  /* What fits is too rare among all that there is. */
  bool fits = below(2);
  switch (below(6)) {
  case 0:
    forget();
    return below(2)
               ? ropeFrequenciesCreate(location, below(2) ? 4 : pickInteger(),
                                       pickNumber(), maybeInteger(&window))
               : ropeFrequenciesCreateFromValues(location, below(5), values);
  case 1: {
    MlirAttribute scaling = pickAttribute();
    forget();
    return ropeScaleFrequenciesCreate(location, pickValue(), scaling,
                                      maybeValue());
  }
  case 2: {
    RopeTableOptions options = {.magnitude = maybeNumber(&number),
                                .numAxes = below(5),
                                .axes = below(2) ? NULL : axes,
                                .precision = (RopePrecision)below(2)};
    if (!options.axes)
      options.numAxes = 0;
    if (fits)
      use(many, 4, (int[]){1, 0, 2, 3});
    forget();
    return ropeTableCreate(location, many[0], many[1], many[2], many[3],
                           below(2) ? NULL : &options);
  }
  case 3: {
    RopeRotation rotation = pickRotation();
    if (fits)
      use(many, 4, (int[]){4, 2, 3, 4});
    forget();
    return ropeApplyCreate(location, many[0], many[1], many[2], many[3],
                           &rotation);
  }
  default: {
    for (int i = 0; i < 12; ++i)
      maps[i] = pickMap();
    bool isOnline = below(4) == 0;
    int numScores = below(3) ? 0 : below(3), numMaps = 4 + numScores;
    if (fits) {
      static const char *const usual[] = {"(i, h, d)", "(j, h, d)", "(j, h, e)",
                                          "(i, h, e)", "(i, h)",    "(i, h)",
                                          "(i, h, j)", "(i, h)"};
      for (int i = 0; i < (isOnline ? 8 : 4); ++i) {
        char text[128];
        snprintf(text, sizeof(text), "affine_map<(b, h, i, j, d, e) -> %s>",
                 usual[i]);
        maps[i] = mlirAffineMapAttrGetValue(
            mlirAttributeParseGet(context, str(text)));
      }
      if (isOnline)
        numScores = 0;
      use(many, isOnline ? 8 : 4, (int[]){5, 5, 5, 5, 7, 7, 5, 7});
    }
    if (isOnline) {
      RopeOnlineAttentionOptions options = {.numScoreOperands = numScores,
                                            .scoreOperands = many + 6,
                                            .scale = maybeNumber(&number),
                                            .unmasked = below(2),
                                            .region = pickRegion()};
      forget();
      return ropeOnlineAttentionCreate(location, many[0], many[1], many[2],
                                       many + 3, 8 + numScores, maps, &options);
    }
    RopeAttentionOptions options = {.scale = maybeNumber(&number),
                                    .causal = below(2),
                                    .region = pickRegion()};
    options.numScoreOperands = numScores;
    options.scoreOperands = many + 6;
    if (below(3) == 0) {
      options.window = maybeInteger(&window);
      options.chunk = maybeInteger(&chunk);
      options.queryOffset = maybeValue();
      options.lengths = maybeValue();
      options.sinks = maybeValue();
    }
    if (below(3) == 0) {
      options.keyScales = maybeValue();
      options.valueScales = maybeValue();
      options.pages = maybeValue();
      numMaps += !mlirValueIsNull(options.keyScales) +
                 !mlirValueIsNull(options.valueScales) +
                 !mlirValueIsNull(options.pages);
    }
    if (below(3) == 0) {
      options.queryRotation = pickRotationAttr();
      options.keyRotation = below(2) ? pickAttribute() : pickRotationAttr();
      for (int i = 0; i < 2; ++i) {
        options.queryRotationOperands[i] = pickValue();
        options.keyRotationOperands[i] = pickValue();
      }
    }
    int numInits = 1 + (below(4) == 0);
    forget();
    return ropeAttentionCreate(location, many[0], many[1], many[2], numInits,
                               many + 3, numMaps + numInits - 1, maps,
                               &options);
  }
  }
}

typedef struct Text {
  char data[1 << 16];
  size_t size;
} Text;

static void append(MlirStringRef part, void *userData) {
  Text *text = userData;
  if (text->size + part.length < sizeof(text->data)) {
    memcpy(text->data + text->size, part.data, part.length);
    text->size += part.length;
  }
}

/* A module of a function of all values and a copy of the operation. */
static MlirModule wrap(MlirOperation operation) {
  static Text text;
  text.size = 0;
  append(str("func.func @f("), &text);
  for (int i = 0; i < numTypes; ++i) {
    char argument[256];
    snprintf(argument, sizeof(argument), "%s%%a%d: %s", i ? ", " : "", i,
             types[i]);
    append(str(argument), &text);
  }
  append(str(") {\n  return\n}\n"), &text);
  MlirModule module = ropeParseModule(
      context, mlirStringRefCreate(text.data, text.size), str("values"));
  MlirOperation function =
      mlirBlockGetFirstOperation(mlirModuleGetBody(module));
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
  for (intptr_t i = 0; i < mlirOperationGetNumOperands(operation); ++i)
    mlirOperationSetOperand(
        operation, i,
        mlirBlockGetArgument(body, mlirBlockArgumentGetArgNumber(
                                       mlirOperationGetOperand(operation, i))));
  mlirBlockInsertOwnedOperation(body, 0, operation);
  return module;
}

int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
  context = createContext();
  location = mlirLocationUnknownGet(context);
  MlirType parsed[numTypes];
  MlirLocation locations[numTypes];
  for (int i = 0; i < numTypes; ++i) {
    parsed[i] = mlirTypeParseGet(context, str(types[i]));
    locations[i] = location;
    CHECK(!mlirTypeIsNull(parsed[i]));
  }
  block = mlirBlockCreate(numTypes, parsed, locations);
  long made[6] = {0}, refused = 0;
  static const char *const names[6] = {
      "rope.frequencies", "rope.scale_frequencies", "rope.table",
      "rope.apply",       "rope.attention",         "rope.online_attention"};
  for (long i = 0; i < count; ++i) {
    MlirOperation operation = pickOperation();
    if (mlirOperationIsNull(operation)) {
      CHECK(numErrors + numDiagnostics == 1);
      ++refused;
      continue;
    }
    CHECK(numErrors + numDiagnostics == 0);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(operation));
    for (int kind = 0; kind < 6; ++kind)
      made[kind] += !strncmp(name.data, names[kind], name.length) &&
                    strlen(names[kind]) == name.length;
    double numbers[8];
    if (mlirOperationGetNumResults(operation) == 1 && strstr(name.data, "freq"))
      ropeEvaluateFrequencies(mlirOperationGetResult(operation, 0), 8, numbers);
    static Text text;
    text.size = 0;
    forget();
    MlirModule module = wrap(operation);
    mlirOperationPrint(mlirModuleGetOperation(module), append, &text);
    mlirModuleDestroy(module);
    module = ropeParseModule(context, mlirStringRefCreate(text.data, text.size),
                             str("printed"));
    if (mlirModuleIsNull(module)) {
      fprintf(stderr, "%s\n%.*s\n", lastMessage, (int)text.size, text.data);
      ++failures;
    } else {
      mlirModuleDestroy(module);
    }
  }
  /* Each kind was made. */
  for (int kind = 0; kind < 6; ++kind) {
    printf("%s: %ld\n", names[kind], made[kind]);
    CHECK(made[kind] > 0);
  }
  printf("refused: %ld\n", refused);
  mlirBlockDestroy(block);
  mlirContextDestroy(context);
  return finish();
}

/* What cannot be compiled or called is refused with one call of the error
 * callback, and nothing is written.
 *
 * RUN: %c_compile %t -pthread && %t
 */
#include "rope-c/Execution.h"
#include "rope-c/Import.h"
#include "testing.h"
#include <pthread.h>

static const char source[] =
    "func.func @f(%x: tensor<?x4xf32>, %p: tensor<?xi64>, %s: f32)\n"
    "    -> (tensor<?x4xf32>, tensor<?x4xf32>) {\n"
    "  return %x, %x : tensor<?x4xf32>, tensor<?x4xf32>\n"
    "}\n"
    "func.func @other(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
    "  return %x : tensor<2xf32>\n"
    "}\n"
    "func.func private @hidden(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
    "  return %x : tensor<2xf32>\n"
    "}\n"
    "func.func @strange(%x: vector<4xf32>) -> vector<4xf32> {\n"
    "  return %x : vector<4xf32>\n"
    "}\n";

enum { ROWS = 3, CHANNELS = 4 };

/* A call whose arguments and results a test spoils. */
typedef struct Call {
  int64_t sizes[2], positionSize, strides[2], resultSizes[2], resultStrides[2];
  float x[ROWS * CHANNELS], y[2][ROWS * CHANNELS + 1], scalar;
  int64_t positions[ROWS];
  RopeArray in[4], out[3];
  intptr_t numIn, numOut;
} Call;

static Call call;

static void reset(void) {
  call = (Call){.sizes = {ROWS, CHANNELS},
                .positionSize = ROWS,
                .strides = {CHANNELS, 1},
                .resultSizes = {ROWS, CHANNELS},
                .resultStrides = {CHANNELS, 1},
                .numIn = 3,
                .numOut = 2};
  call.in[0] = (RopeArray){call.x, ROPE_F32, 2, call.sizes, call.strides};
  call.in[1] =
      (RopeArray){call.positions, ROPE_I64, 1, &call.positionSize, NULL};
  call.in[2] = (RopeArray){&call.scalar, ROPE_F32, 0, NULL, NULL};
  for (int i = 0; i < 2; ++i)
    call.out[i] = (RopeArray){call.y[i], ROPE_F32, 2, call.resultSizes,
                              call.resultStrides};
  for (int i = 0; i < ROWS * CHANNELS; ++i) {
    call.x[i] = 1;
    call.y[0][i] = call.y[1][i] = -1;
  }
}

static bool refuses(RopeFunction function) {
  return mlirLogicalResultIsFailure(
      ropeFunctionCall(function, call.numIn, call.in, call.numOut, call.out));
}

static void expectUntouched(int line) {
  for (int i = 0; i < ROWS * CHANNELS; ++i)
    if (call.y[0][i] != -1 || call.y[1][i] != -1 || call.x[i] != 1) {
      fprintf(stderr, "%s:%d: memory was written\n", __FILE__, line);
      ++failures;
      return;
    }
}

/* Spoils a call by statements, and expects an error. */
#define WRONG(text, ...)                                                       \
  do {                                                                         \
    reset();                                                                   \
    __VA_ARGS__;                                                               \
    EXPECT_ERROR(refuses(function), text);                                     \
    expectUntouched(__LINE__);                                                 \
  } while (0)

/* The same where it is an argument, so that no way to call is spared. */
#define WRONG_ARGUMENT(text, ...)                                              \
  do {                                                                         \
    WRONG(text, __VA_ARGS__);                                                  \
    EXPECT_ERROR(ropeResultsIsNull(ropeFunctionCallAndAllocate(                \
                     function, call.numIn, call.in)),                          \
                 text);                                                        \
    int64_t found[2];                                                          \
    EXPECT_ERROR(mlirLogicalResultIsFailure(ropeFunctionGetResultSizes(        \
                     function, call.numIn, call.in, 0, found)),                \
                 text);                                                        \
  } while (0)

static void testCalls(RopeFunction function) {
  reset();
  forget();
  CHECK(!refuses(function) && numErrors == 0);
  CHECK(call.y[0][0] == 1 && call.y[1][ROWS * CHANNELS - 1] == 1);

  /* Numbers. */
  WRONG_ARGUMENT("expected 3 arguments, but got 2", call.numIn = 2);
  WRONG_ARGUMENT("expected 3 arguments, but got 4", call.numIn = 4,
                 call.in[3] = call.in[2]);
  WRONG_ARGUMENT("expected arrays, but got a null pointer for -1 arguments",
                 call.numIn = -1);
  WRONG("expected 2 results, but got 1", call.numOut = 1);
  WRONG("expected 2 results, but got 3", call.numOut = 3,
        call.out[2] = call.out[1]);
  WRONG("for -5 results", call.numOut = -5);
  reset();
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionCall(function, 3, NULL, 2, call.out)),
               "expected arrays, but got a null pointer for 3 arguments");
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionCall(function, 3, call.in, 2, NULL)),
               "expected arrays, but got a null pointer for 2 results");

  /* Types. */
  WRONG_ARGUMENT("argument 0", call.in[0].type = ROPE_F64);
  WRONG_ARGUMENT("argument 0", call.in[0].type = ROPE_BF16);
  WRONG_ARGUMENT("argument 1", call.in[1].type = ROPE_I32);
  WRONG_ARGUMENT("argument 1", call.in[1].type = ROPE_F64);
  WRONG_ARGUMENT("argument 2", call.in[2].type = ROPE_I32);
  WRONG_ARGUMENT("argument 0: unknown element type 99",
                 call.in[0].type = (RopeElementType)99);
  WRONG_ARGUMENT("argument 0: unknown element type -1",
                 call.in[0].type = (RopeElementType)-1);
  WRONG("result 1", call.out[1].type = ROPE_F16);

  /* Ranks. */
  WRONG_ARGUMENT("argument 0", call.in[0].rank = 1);
  WRONG_ARGUMENT("argument 1", call.in[1].rank = 0);
  WRONG_ARGUMENT("argument 0: expected sizes of an array of rank -1",
                 call.in[0].rank = -1);
  WRONG_ARGUMENT("argument 0: expected sizes of an array of rank 2",
                 call.in[0].sizes = NULL);
  WRONG_ARGUMENT("argument 2", call.in[2].rank = 1,
                 call.in[2].sizes = call.sizes);
  WRONG("result 0", call.out[0].rank = 1);

  /* Sizes. */
  WRONG_ARGUMENT("argument 0", call.sizes[1] = 5);
  WRONG_ARGUMENT("argument 0", call.sizes[1] = 0);
  WRONG_ARGUMENT("argument 0", call.sizes[0] = -1);
  WRONG_ARGUMENT("argument 0", call.sizes[0] = ROPE_DYNAMIC);
  WRONG("result 0", call.resultSizes[0] = 2);
  WRONG("result 0", call.resultSizes[1] = 8);

  /* Strides. */
  WRONG_ARGUMENT("expected the elements of the last dimension to follow each "
                 "other, but their stride is 2",
                 call.strides[1] = 2);
  WRONG_ARGUMENT("their stride is -1", call.strides[1] = -1);
  WRONG("result 0", call.resultStrides[1] = 0);
  WRONG("result 0: expected an element for each index",
        call.resultStrides[0] = 0);

  /* Memory. */
  WRONG_ARGUMENT("expected memory of", call.in[0].data = NULL);
  WRONG_ARGUMENT("argument 2", call.in[2].data = NULL);
  WRONG("result 1", call.out[1].data = NULL);
  WRONG_ARGUMENT("argument 0: expected memory aligned to elements of 4 bytes",
                 call.in[0].data = (char *)call.x + 1);
  WRONG("result 0: expected memory aligned",
        call.out[0].data = (char *)call.y[0] + 2);
  WRONG("result 0: expected memory of its own, but it shares some with "
        "argument 0",
        call.out[0].data = call.x);
  WRONG("result 1: expected memory of its own, but it shares some with result "
        "0",
        call.out[1].data = call.y[0] + 1);
  WRONG("shares some with argument 2", call.in[2].data = call.y[0] + 2);

  /* Sizes without room for them, and indices. */
  int64_t found[2];
  reset();
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionGetResultSizes(function, 3, call.in, 0, NULL)),
               "expected sizes not to be null");
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionGetResultSizes(function, 3, call.in, 2, found)),
               "expected an index below 2, but got 2");
  EXPECT_ERROR(ropeFunctionGetArgument(function, 3).rank == -1,
               "expected an index below 3, but got 3");
  EXPECT_ERROR(ropeFunctionGetArgument(function, -1).rank == -1, "but got -1");
  EXPECT_ERROR(ropeFunctionGetResult(function, 2).rank == -1,
               "expected an index below 2, but got 2");
}

static void testNull(void) {
  RopeFunction function = {NULL};
  RopeResults results = {NULL};
  int64_t size;
  const char *text = "expected function not to be null";
  EXPECT_ERROR(ropeFunctionGetSignature(function).length == 0, text);
  EXPECT_ERROR(!ropeFunctionIsFromCache(function), text);
  EXPECT_ERROR(ropeFunctionGetNumArguments(function) == 0, text);
  EXPECT_ERROR(ropeFunctionGetNumResults(function) == 0, text);
  EXPECT_ERROR(ropeFunctionGetArgument(function, 0).rank == -1, text);
  EXPECT_ERROR(ropeFunctionGetResult(function, 0).rank == -1, text);
  EXPECT_ERROR(!ropeFunctionHasKnownSizes(function), text);
  EXPECT_ERROR(mlirLogicalResultIsFailure(
                   ropeFunctionGetResultSizes(function, 0, NULL, 0, &size)),
               text);
  EXPECT_ERROR(
      mlirLogicalResultIsFailure(ropeFunctionCall(function, 0, NULL, 0, NULL)),
      text);
  EXPECT_ERROR(
      ropeResultsIsNull(ropeFunctionCallAndAllocate(function, 0, NULL)), text);
  EXPECT_ERROR(ropeResultsGet(results, 0).rank == -1,
               "expected results not to be null");
  /* As free does. */
  forget();
  ropeFunctionDestroy(function);
  ropeResultsDestroy(results);
  CHECK(numErrors == 0);
}

static void count(MlirStringRef message, RopeErrorKind kind, void *userData) {
  (void)message, (void)kind;
  ++*(int *)userData;
}

static void *fail(void *userData) {
  ropeSetErrorCallback(count, userData);
  ropeResultsGet((RopeResults){NULL}, 0);
  return NULL;
}

/* Each thread has a callback of its own. */
static void testThreads(void) {
  pthread_t thread;
  int errors = 0;
  forget();
  CHECK(pthread_create(&thread, NULL, fail, &errors) == 0);
  pthread_join(thread, NULL);
  CHECK(errors == 1 && numErrors == 0);
  EXPECT_ERROR(ropeResultsGet((RopeResults){NULL}, 0).rank == -1, "null");
  CHECK(errors == 1);
}

/* That nothing is compiled; diagnostics may say more. */
#define NOT_COMPILED(kind, text, module, name, options)                        \
  do {                                                                         \
    forget();                                                                  \
    CHECK(                                                                     \
        ropeFunctionIsNull(ropeFunctionCompile(module, str(name), options)));  \
    CHECK(numErrors == 1 && lastKind == kind);                                 \
    if (!strstr(lastMessage, text)) {                                          \
      fprintf(stderr, "%s:%d: expected %s in:\n  %s\n", __FILE__, __LINE__,    \
              text, lastMessage);                                              \
      ++failures;                                                              \
    }                                                                          \
  } while (0)

static void testCompile(MlirContext context, MlirModule module) {
  NOT_COMPILED(ROPE_ERROR_ARGUMENT,
               "ropeFunctionCompile: expected module not to be null",
               (MlirModule){NULL}, "f", NULL);
  NOT_COMPILED(ROPE_ERROR_NAME, "there is no function 'g' in the module",
               module, "g", NULL);
  NOT_COMPILED(ROPE_ERROR_NAME, "f: (tensor<?x4xf32>", module, "g", NULL);
  NOT_COMPILED(ROPE_ERROR_NAME, "no function was named", module, "", NULL);
  NOT_COMPILED(ROPE_ERROR_NAME, "private", module, "hidden", NULL);
  NOT_COMPILED(ROPE_ERROR_MODULE, "strange", module, "strange", NULL);

  RopeCompileOptions options = ropeCompileOptionsGetDefault();
  options.optLevel = 4;
  NOT_COMPILED(ROPE_ERROR_ARGUMENT, "level of optimization 4: expected 0 to 3",
               module, "f", &options);
  options = ropeCompileOptionsGetDefault();
  options.targetCPU = str("no-such-processor");
  NOT_COMPILED(ROPE_ERROR_ARGUMENT, "no-such-processor", module, "f", &options);
  options = ropeCompileOptionsGetDefault();
  options.targetFeatures = str("+no-such-feature");
  NOT_COMPILED(ROPE_ERROR_ARGUMENT, "no-such-feature", module, "f", &options);

  /* What is not lowered has a diagnostic as well. */
  MlirModule unknown = ropeParseModule(context,
                                       str("func.func @f(%x: f32) -> f32 {\n"
                                           "  %y = spirv.FAdd %x, %x : f32\n"
                                           "  return %y : f32\n"
                                           "}\n"),
                                       str("unknown.mlir"));
  CHECK(!mlirModuleIsNull(unknown));
  NOT_COMPILED(ROPE_ERROR_MODULE, "function 'f' cannot be", unknown, "f", NULL);
  CHECK(numDiagnostics > 0);
  mlirModuleDestroy(unknown);
  MlirModule empty = mlirModuleCreateEmpty(mlirLocationUnknownGet(context));
  NOT_COMPILED(ROPE_ERROR_NAME, "", empty, "f", NULL);
  mlirModuleDestroy(empty);
}

static void testParse(MlirContext context) {
  MlirStringRef none = {NULL, 0};
  EXPECT_ERROR(
      mlirModuleIsNull(ropeParseModule((MlirContext){NULL}, none, none)),
      "ropeParseModule: expected context not to be null");
  EXPECT_DIAGNOSTIC(mlirModuleIsNull(ropeParseModule(
                        context, str("func.func @f("), str("f.mlir"))),
                    "expected");
  EXPECT_DIAGNOSTIC(
      mlirModuleIsNull(ropeParseModule(
          context, str("\"no.such_operation\"() : () -> ()"), str("f.mlir"))),
      "unregistered");
  /* An empty module is one. */
  MlirModule module = ropeParseModule(context, none, none);
  CHECK(!mlirModuleIsNull(module));
  mlirModuleDestroy(module);
}

int main(void) {
  MlirContext context = createContext();
  MlirModule module = ropeParseModule(context, str(source), str("f.mlir"));
  RopeFunction function = ropeFunctionCompile(module, str("f"), NULL);
  CHECK(!ropeFunctionIsNull(function));
  testCompile(context, module);
  testParse(context);
  mlirModuleDestroy(module);
  mlirContextDestroy(context);
  /* It lives longer than its module. */
  testCalls(function);
  ropeFunctionDestroy(function);
  testNull();
  testThreads();
  return finish();
}

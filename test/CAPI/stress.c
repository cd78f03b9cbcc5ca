/* Compiles, calls and frees a function again and again, and calls and compiles
 * from several threads at once: `stress CYCLES THREADS`. More cycles are for a
 * library that is built with a sanitizer (`cmake --preset asan` or `tsan`).
 *
 * RUN: %c_compile %t -pthread && %t 40 8
 */
#include "rope-c/Execution.h"
#include "testing.h"
#include <math.h>
#include <pthread.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif

static const char rotation[] =
    "func.func @rotate(%x: tensor<?x8xf32>, %p: tensor<?xi64>)"
    "    -> tensor<?x8xf32> {\n"
    "  %c0 = arith.constant 0 : index\n"
    "  %n = tensor.dim %x, %c0 : tensor<?x8xf32>\n"
    "  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>\n"
    "  %e = tensor.empty(%n) : tensor<?x4xf32>\n"
    "  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xf64>)\n"
    "      outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>)\n"
    "  %i = tensor.empty(%n) : tensor<?x8xf32>\n"
    "  %y = rope.apply\n"
    "      ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, "
    "tensor<?x4xf32>)\n"
    "      outs(%i : tensor<?x8xf32>) {pairing = #rope.pairing<half>,\n"
    "                                  position_dims = array<i64: 0>}\n"
    "  return %y : tensor<?x8xf32>\n"
    "}\n";

enum { maxRows = 64, numChannels = 8 };

static RopeFunction compile(MlirDialectRegistry registry, const char *source) {
  MlirContext context = mlirContextCreateWithRegistry(registry, false);
  MlirModule module =
      mlirModuleCreateParse(context, mlirStringRefCreateFromCString(source));
  RopeFunction function =
      ropeFunctionCompile(module, mlirStringRefCreateFromCString(""), NULL);
  mlirModuleDestroy(module);
  mlirContextDestroy(context);
  return function;
}

/* Rotates rows of numbers that `seed` makes, at positions that it makes, and
 * returns the number of elements that are wrong. */
static int rotateAndCompare(RopeFunction function, unsigned seed,
                            int64_t rows) {
  float x[maxRows * numChannels], y[maxRows * numChannels];
  int64_t positions[maxRows], sizes[2] = {rows, numChannels};
  for (int64_t i = 0; i < rows * numChannels; ++i)
    x[i] = (float)((seed + i * 7919) % 1000) / 1000;
  for (int64_t i = 0; i < rows; ++i)
    positions[i] = (int64_t)(seed * 31 + i * 1000003) % 1048576;
  RopeArray arguments[] = {{x, ROPE_F32, 2, sizes, NULL},
                           {positions, ROPE_I64, 1, sizes, NULL}};
  RopeArray result = {y, ROPE_F32, 2, sizes, NULL};
  if (mlirLogicalResultIsFailure(
          ropeFunctionCall(function, 2, arguments, 1, &result)))
    return -1;
  int wrong = 0;
  for (int64_t row = 0; row < rows; ++row)
    for (int i = 0; i < numChannels / 2; ++i) {
      double angle = (double)positions[row] * pow(1e4, -2.0 * i / numChannels);
      const float *in = x + row * numChannels, *out = y + row * numChannels;
      double a = in[i], b = in[i + numChannels / 2];
      wrong += fabs(a * cos(angle) - b * sin(angle) - out[i]) > 1e-6;
      wrong += fabs(b * cos(angle) + a * sin(angle) -
                    out[i + numChannels / 2]) > 1e-6;
    }
  return wrong;
}

/* Memory of the process in kB. */
static long getMemory(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long total, resident = 0;
  if (file && fscanf(file, "%ld %ld", &total, &resident) != 2)
    resident = 0;
  if (file)
    fclose(file);
  return resident * 4;
}

static void cycle(MlirDialectRegistry registry, long cycles) {
  long before = 0, after = 0;
  for (long i = 0; i < cycles; ++i) {
    RopeFunction function = compile(registry, rotation);
    CHECK(!ropeFunctionIsNull(function));
    CHECK(rotateAndCompare(function, (unsigned)i, i % maxRows) == 0);
    ropeFunctionDestroy(function);
    /* What is made once has been made by then. */
    if (i == cycles / 4)
      before = getMemory();
  }
  after = getMemory();
  printf("%ld cycles: %ld kB after a quarter, %ld kB at the end\n", cycles,
         before, after);
  /* A page for each cycle would be seen. AddressSanitizer keeps freed memory
   * and what it knows of it; it tells of leaks itself. */
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
  CHECK(after - before < 1024 + cycles);
#endif
}

struct Caller {
  RopeFunction function;
  MlirDialectRegistry registry;
  unsigned seed;
  long calls;
  int wrong;
};

static void *call(void *context) {
  struct Caller *caller = context;
  for (long i = 0; i < caller->calls; ++i)
    caller->wrong += rotateAndCompare(caller->function,
                                      caller->seed + (unsigned)i, i % maxRows);
  RopeFunction own = compile(caller->registry, rotation);
  caller->wrong += rotateAndCompare(own, caller->seed, maxRows);
  ropeFunctionDestroy(own);
  return NULL;
}

static void callFromThreads(MlirDialectRegistry registry, int threads) {
  RopeFunction function = compile(registry, rotation);
  pthread_t ids[64];
  struct Caller callers[64];
  for (int i = 0; i < threads; ++i) {
    callers[i] =
        (struct Caller){function, registry, (unsigned)i * 1000, 2000, 0};
    CHECK(pthread_create(&ids[i], NULL, call, &callers[i]) == 0);
  }
  for (int i = 0; i < threads; ++i) {
    pthread_join(ids[i], NULL);
    CHECK(callers[i].wrong == 0);
  }
  ropeFunctionDestroy(function);
}

int main(int argc, char **argv) {
  long cycles = argc > 1 ? strtol(argv[1], NULL, 10) : 40;
  long threads = argc > 2 ? strtol(argv[2], NULL, 10) : 8;
  MlirDialectRegistry registry = mlirDialectRegistryCreate();
  ropeRegisterAllDialects(registry);
  cycle(registry, cycles);
  callFromThreads(registry, threads < 64 ? (int)threads : 64);
  mlirDialectRegistryDestroy(registry);
  return failures != 0;
}

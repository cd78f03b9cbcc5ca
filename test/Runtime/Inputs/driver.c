/* Calls the runtime of CUDA, or of HIP where FAKE_HIP is defined, in one of
 * several cases. Prints `right`, or what is wrong; errors as they are. */
#include "Rope/Runtime/GPURuntime.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef FAKE_HIP
#define API ROPE_GPU_ROCM
#else
#define API ROPE_GPU_CUDA
#endif

static const char text[] = "//\n.visible .entry scale() .entry other()";
static rope_gpu_module module = {API, text, sizeof(text), NULL};
static const char kernel[] = "scale";

static void check(const char *error) {
  if (!error)
    return;
  printf("error: %s\n", error);
  exit(1);
}

static void launch(int32_t *in, int32_t *out, int64_t n, int64_t shared) {
  void *buffers[] = {in, out};
  int64_t numbers[] = {n, 3};
  rope_gpu_launch(&module, kernel, (n + 63) / 64, 1, 1, 64, 1, 1, shared, 2,
                  buffers, 2, numbers);
}

/* A function of a program: temporary memory, a copy, a constant, kernels. */
static void call(void *stream, int32_t *out) {
  static const int32_t constant[4] = {1, 2, 3, 4};
  int32_t data[4] = {10, 20, 30, 40};
  rope_gpu_begin(API, stream);
  int32_t *memory = rope_gpu_alloc(&module, 16);
  rope_gpu_upload(&module, memory, data, 16);
  int32_t *kept = rope_gpu_constant(&module, constant, 16);
  launch(memory, out, 4, 0);
  launch(kept, out, 2, 0);
  launch(memory, out, 0, 0);
  rope_gpu_free(&module, memory);
  check(rope_gpu_end());
}

static void run(void) {
  void *out;
  int32_t host[4];
  printf("%s, %s\n", rope_gpu_device(API), rope_gpu_chip(API));
  check(rope_gpu_malloc(API, 16, &out));
  call((void *)5, out);
  check(rope_gpu_read(API, host, out, 16));
  if (host[0] != 3 || host[1] != 6 || host[2] != 90 || host[3] != 120)
    exit(printf("got %d %d %d %d\n", host[0], host[1], host[2], host[3]));
  printf("again\n");
  call((void *)6, out);
  check(rope_gpu_write(API, out, host, 16));
  check(rope_gpu_synchronize(API));
  check(rope_gpu_release(API, out));
}

/* Modules are loaded once in each context. */
static void contexts(void) {
  int32_t out[4];
  void *library = dlopen(
      getenv(API == ROPE_GPU_CUDA ? "ROPE_CUDA_LIBRARY" : "ROPE_HIP_LIBRARY"),
      RTLD_NOW);
  void (*set)(int) = (void (*)(int))dlsym(library, "fake_set_current");
  for (int round = 0; round < 4; ++round) {
    set(round % 2);
    printf("%s\n", rope_gpu_device(API));
    call(NULL, out);
  }
}

static void refused(void) {
  int32_t memory[4] = {1};
  void *buffers[] = {memory, memory};
  int64_t numbers[200] = {1, 3};
#define REFUSED(...)                                                           \
  do {                                                                         \
    rope_gpu_begin(API, NULL);                                                 \
    __VA_ARGS__;                                                               \
    launch(memory, memory, 1, 0);                                              \
    const char *error = rope_gpu_end();                                        \
    printf("%s\n", error ? error : "no error");                                \
  } while (0)
#define LAUNCH(name, gx, gy, gz, bx, by, bz, shared, count)                    \
  REFUSED(rope_gpu_launch(&module, name, gx, gy, gz, bx, by, bz, shared, 2,    \
                          buffers, count, numbers))
  LAUNCH("absent", 1, 1, 1, 64, 1, 1, 0, 2);
  LAUNCH("scale", INT64_C(1) << 31, 1, 1, 64, 1, 1, 0, 2);
  LAUNCH("scale", 1, 65536, 1, 64, 1, 1, 0, 2);
  LAUNCH("scale", -1, 1, 1, 64, 1, 1, 0, 2);
  LAUNCH("scale", 1, 1, 1, 64, 8, 2, 0, 2);
  LAUNCH("scale", 1, 1, 1, 0, 1, 1, 0, 2);
  LAUNCH("scale", 1, 1, 1, 64, 1, 1, 1 << 20, 2);
  LAUNCH("scale", 1, 1, 1, 64, 1, 1, 0, 200);
  LAUNCH("scale", 1 << 30, 1, 1, 64, 1, 1, 0, 2);
  REFUSED(rope_gpu_check_address("scale", 1, (char *)0x1006, 4));
  REFUSED(rope_gpu_alloc(&module, -1));
  REFUSED(rope_gpu_fail("first"); rope_gpu_fail("second"));
  if (memory[0] != 1)
    exit(printf("something was queued: got %d\n", memory[0]));
  /* An error does not stay for the next call. */
  rope_gpu_begin(API, NULL);
  launch(memory, memory, 1, 0);
  check(rope_gpu_end());
  if (memory[0] != 3)
    exit(printf("got %d\n", memory[0]));
}

/* A driver that records copies plays them later. */
static void capture(void) {
  void *library = dlopen(getenv("ROPE_CUDA_LIBRARY"), RTLD_NOW);
  void (*record)(int) = (void (*)(int))dlsym(library, "fake_record");
  void (*play)(void) = (void (*)(void))dlsym(library, "fake_play");
  int32_t data[4] = {1, 2, 3, 4}, memory[4] = {0};
  rope_gpu_begin(API, (void *)5);
  record(1);
  rope_gpu_upload(&module, memory, data, 16);
  record(0);
  check(rope_gpu_end());
  memset(data, 0, sizeof(data));
  play();
  if (memory[0] != 1 || memory[3] != 4)
    exit(printf("got %d, %d, %d, %d from the graph\n", memory[0], memory[1],
                memory[2], memory[3]) < 0);
}

static void shared(void) {
  int32_t memory[4] = {1};
  rope_gpu_begin(API, NULL);
  launch(memory, memory, 1, 48 * 1024 - 1024);
  launch(memory, memory, 1, 48 * 1024);
  launch(memory, memory, 1, 48 * 1024);
  launch(memory, memory, 1, 40 * 1024);
  launch(memory, memory, 1, 60 * 1024);
  check(rope_gpu_end());
}

static void broken(void) {
  static const char other[] = "//\n.broken";
  module.image = other;
  int32_t memory[4];
  rope_gpu_begin(API, NULL);
  launch(memory, memory, 1, 0);
  check(rope_gpu_end());
}

static void *callOften(void *out) {
  for (int i = 0; i < 2000; ++i)
    call(NULL, out);
  return NULL;
}

/* Eight threads meet at the first use. */
static void threads(void) {
  pthread_t all[8];
  int32_t out[8][4];
  for (int i = 0; i < 8; ++i)
    pthread_create(&all[i], NULL, callOften, out[i]);
  for (int i = 0; i < 8; ++i)
    pthread_join(all[i], NULL);
  for (int i = 0; i < 8; ++i)
    if (out[i][1] != 6 || out[i][3] != 120)
      exit(printf("thread %d: got %d %d\n", i, out[i][1], out[i][3]));
}

/* Host time of a launch beside that of the fake driver, which is short. */
static void timed(void) {
  int32_t memory[4] = {1};
  struct timespec begin, end;
  call(NULL, memory);
  double best = 1e9;
  for (int round = 0; round < 20; ++round) {
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < 1000; ++i) {
      rope_gpu_begin(API, NULL);
      launch(memory, memory, 1, 0);
      check(rope_gpu_end());
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double time = (double)(end.tv_sec - begin.tv_sec) * 1e6 +
                  (double)(end.tv_nsec - begin.tv_nsec) * 1e-3;
    best = time < best ? time : best;
  }
  printf("%.0f ns a call\n", best);
}

int main(int argc, char **argv) {
  const struct {
    const char *name;
    void (*run)(void);
  } cases[] = {{"run", run},       {"contexts", contexts}, {"refused", refused},
               {"shared", shared}, {"broken", broken},     {"threads", threads},
               {"timed", timed},   {"capture", capture}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i)
    if (argc == 2 && strcmp(cases[i].name, argv[1]) == 0) {
      check(rope_gpu_open(API));
      cases[i].run();
      printf("right\n");
      return 0;
    }
  return 2;
}

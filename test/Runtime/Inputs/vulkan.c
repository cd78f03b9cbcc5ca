/* Runs kernels.spvasm: use-vulkan FILE.spv CASE. Prints `right`, or what is
 * wrong; an error of the runtime as it is. */
#include "Rope/Runtime/GPURuntime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rope_gpu_module module = {ROPE_GPU_VULKAN, NULL, 0, NULL};

static void check(const char *error) {
  if (!error)
    return;
  printf("error: %s\n", error);
  exit(1);
}

static int32_t *make(int64_t elements) {
  void *memory;
  check(rope_gpu_malloc(ROPE_GPU_VULKAN, elements * 4, &memory));
  return memory;
}

static int64_t blocks(int64_t n) { return (n + 63) / 64; }

static void scale(const int32_t *in, int32_t *out, int64_t n, int64_t factor) {
  void *buffers[] = {(void *)in, out};
  int64_t numbers[] = {n, factor};
  rope_gpu_launch(&module, "scale", blocks(n), 1, 1, 64, 1, 1, 0, 2, buffers, 2,
                  numbers);
}

/* Scales n numbers that lie `from` and `to` elements behind the starts. */
static void runScale(int64_t n, int64_t from, int64_t to) {
  int64_t total = n + 300;
  int32_t *host = malloc(total * 4);
  int32_t *in = make(total), *out = make(total);
  for (int64_t i = 0; i < total; ++i)
    host[i] = (int32_t)i;
  check(rope_gpu_write(ROPE_GPU_VULKAN, in, host, total * 4));
  memset(host, 255, total * 4);
  check(rope_gpu_write(ROPE_GPU_VULKAN, out, host, total * 4));
  rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
  scale(in + from, out + to, n, 3);
  check(rope_gpu_end());
  check(rope_gpu_read(ROPE_GPU_VULKAN, host, out, total * 4));
  for (int64_t i = 0; i < total; ++i) {
    int inside = i >= to && i < to + n;
    int32_t expected = inside ? (int32_t)(i - to + from) * 3 : -1;
    if (host[i] != expected) {
      printf("element %d of %d at %d, %d: expected %d, but got %d\n", (int)i,
             (int)n, (int)from, (int)to, expected, host[i]);
      exit(1);
    }
  }
  check(rope_gpu_release(ROPE_GPU_VULKAN, in));
  check(rope_gpu_release(ROPE_GPU_VULKAN, out));
  free(host);
}

static void misaligned(void) {
  for (int64_t offset = 0; offset < 70; offset += offset < 9 ? 1 : 7) {
    runScale(100, offset, 0);
    runScale(100, 0, offset);
    runScale(65, offset, 3 * offset);
  }
}

static void folded(void) {
  /* A device must take 65535 blocks along a dimension, not more. */
  runScale(65535 * 64, 0, 0);
  runScale(65535 * 64 + 1, 1, 2);
  runScale(3 * 65535 * 64 + 130, 0, 0);
}

/* For a device of 4 columns, 3 rows and 5000 bytes. */
static void rows(void) {
  for (int64_t n = 1; n <= 12 * 64; n += n < 5 ? 1 : 59)
    runScale(n, n % 9, n % 5);
  int32_t *a = make(64);
  rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
  scale(a, a, 13 * 64, 1);
  printf("%s\n", rope_gpu_end());
  make(1250);
  void *memory;
  printf("%s\n", rope_gpu_malloc(ROPE_GPU_VULKAN, 5004, &memory));
}

/* Kernels that depend on each other, temporary memory, uploads, constants. */
static void chain(void) {
  static const int32_t constant[100] = {5, 6, 7};
  int32_t host[100], *out = make(100);
  for (int round = 0; round < 200; ++round) {
    rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
    int32_t *a = rope_gpu_alloc(&module, 400);
    int32_t *b = rope_gpu_alloc(&module, 400);
    const int32_t *c = rope_gpu_constant(&module, constant, 400);
    int32_t data[100];
    for (int i = 0; i < 100; ++i)
      data[i] = round + i;
    rope_gpu_upload(&module, a, data, 400);
    memset(data, 0, sizeof(data));
    scale(a, b, 100, 2);
    for (int i = 0; i < 30; ++i)
      scale(i % 2 ? a : b, i % 2 ? b : a, 100, i < 3 ? 2 : 1);
    scale(b, out, 100, 1);
    scale(c, out, 3, -1);
    rope_gpu_free(&module, a);
    rope_gpu_free(&module, b);
    check(rope_gpu_end());
    if (round % 20 && round < 199)
      continue;
    check(rope_gpu_read(ROPE_GPU_VULKAN, host, out, 400));
    for (int i = 0; i < 100; ++i) {
      int32_t expected = i < 3 ? -constant[i] : 16 * (round + i);
      if (host[i] != expected) {
        printf("round %d, element %d: expected %d, but got %d\n", round, i,
               expected, host[i]);
        exit(1);
      }
    }
  }
}

/* Reading between begin and end sees what was queued. */
static void inside(void) {
  int32_t host[4] = {1, 2, 3, 4}, *a = make(4), *b = make(4);
  check(rope_gpu_write(ROPE_GPU_VULKAN, a, host, 16));
  rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
  scale(a, b, 4, 10);
  check(rope_gpu_read(ROPE_GPU_VULKAN, host, b, 16));
  scale(b, a, 4, 10);
  check(rope_gpu_end());
  check(rope_gpu_read(ROPE_GPU_VULKAN, host + 2, a, 8));
  if (host[0] != 10 || host[1] != 20 || host[2] != 100 || host[3] != 200)
    exit(printf("got %d %d %d %d\n", host[0], host[1], host[2], host[3]));
}

static void list(void) {
  int64_t numbers[40];
  int32_t host[50], *out = make(50);
  for (int i = 0; i < 40; ++i)
    numbers[i] = 1000 - 7 * i;
  memset(host, 0, sizeof(host));
  check(rope_gpu_write(ROPE_GPU_VULKAN, out, host, 200));
  rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
  void *buffers[] = {out + 5};
  rope_gpu_launch(&module, "list", 1, 1, 1, 64, 1, 1, 0, 1, buffers, 40,
                  numbers);
  check(rope_gpu_end());
  check(rope_gpu_read(ROPE_GPU_VULKAN, host, out, 200));
  for (int i = 0; i < 50; ++i)
    if (host[i] != (i < 5 || i >= 45 ? 0 : numbers[i - 5]))
      exit(printf("element %d: got %d\n", i, host[i]));
}

/* Arrays without elements may be null or end where memory ends. */
static void empty(void) {
  int32_t host[16] = {7}, *a = make(16), *b = make(16);
  check(rope_gpu_write(ROPE_GPU_VULKAN, a, host, 64));
  check(rope_gpu_write(ROPE_GPU_VULKAN, b, host, 64));
  rope_gpu_begin(ROPE_GPU_VULKAN, NULL);
  scale(NULL, b, 0, 3);
  void *buffers[] = {NULL, a + 16};
  int64_t numbers[] = {0, 3};
  rope_gpu_launch(&module, "scale", 1, 1, 1, 64, 1, 1, 0, 2, buffers, 2,
                  numbers);
  check(rope_gpu_end());
  check(rope_gpu_read(ROPE_GPU_VULKAN, host, b, 64));
  if (host[0] != 7)
    exit(printf("got %d\n", host[0]));
}

/* What is refused; each line is one error, after which nothing is queued. */
static void refused(void) {
  int32_t *a = make(64), host[64] = {1};
  int64_t numbers[] = {64, 3};
  void *buffers[] = {a, a};
  check(rope_gpu_write(ROPE_GPU_VULKAN, a, host, 256));
#define REFUSED(...)                                                           \
  do {                                                                         \
    rope_gpu_begin(ROPE_GPU_VULKAN, NULL);                                     \
    __VA_ARGS__;                                                               \
    scale(a, a, 64, 100);                                                      \
    const char *error = rope_gpu_end();                                        \
    printf("%s\n", error ? error : "no error");                                \
  } while (0)
  REFUSED(scale(a, a, 64, INT64_C(2147483648)));
  REFUSED(scale(a, a, 64, INT64_C(-2147483649)));
  REFUSED(scale(host, a, 64, 1));
  REFUSED(rope_gpu_launch(&module, "absent", 1, 1, 1, 64, 1, 1, 0, 2, buffers,
                          2, numbers));
  REFUSED(rope_gpu_launch(&module, "scal", 1, 1, 1, 64, 1, 1, 0, 2, buffers, 2,
                          numbers));
  REFUSED(rope_gpu_launch(&module, "scale", 1, 1, 1, 32, 1, 1, 0, 2, buffers, 2,
                          numbers));
  REFUSED(rope_gpu_launch(&module, "scale", 2, 2, 1, 64, 1, 1, 0, 2, buffers, 2,
                          numbers));
  REFUSED(rope_gpu_launch(&module, "scale", INT64_C(1) << 31, 1, 1, 64, 1, 1, 0,
                          2, buffers, 2, numbers));
  REFUSED(rope_gpu_launch(&module, "scale", -1, 1, 1, 64, 1, 1, 0, 2, buffers,
                          2, numbers));
  REFUSED(rope_gpu_launch(&module, "scale", 1, 1, 1, 64, 1, 1, 0, 2, buffers,
                          300, numbers));
  REFUSED(rope_gpu_alloc(&module, INT64_C(1) << 40));
  REFUSED(rope_gpu_alloc(&module, -4));
  REFUSED(rope_gpu_upload(&module, a + 60, host, 256));
  REFUSED(rope_gpu_free(&module, a + 1));
  REFUSED(rope_gpu_fail("the sizes do not agree"));
  module.api = ROPE_GPU_CUDA;
  REFUSED(scale(a, a, 64, 1));
  module.api = ROPE_GPU_VULKAN;
  scale(a, a, 64, 1);
  rope_gpu_begin(ROPE_GPU_VULKAN, &module);
  printf("%s\n", rope_gpu_end());
  rope_gpu_begin(7, NULL);
  printf("%s\n", rope_gpu_end());
  void *memory;
  printf("%s\n", rope_gpu_malloc(ROPE_GPU_VULKAN, INT64_C(1) << 40, &memory));
  printf("%s\n", rope_gpu_read(ROPE_GPU_VULKAN, host, host, 4));
  printf("%s\n", rope_gpu_read(ROPE_GPU_VULKAN, host, a, 1 << 20));
  check(rope_gpu_read(ROPE_GPU_VULKAN, host, a, 256));
  if (host[0] != 1)
    exit(printf("something was queued: got %d\n", host[0]));
}

int main(int argc, char **argv) {
  FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
  if (!file)
    return 2;
  static char image[1 << 16];
  /* Not aligned, as an image in a program's data may be. */
  module.image = image + 1;
  module.image_bytes = (int64_t)fread(image + 1, 1, sizeof(image) - 1, file);
  fclose(file);
  const struct {
    const char *name;
    void (*run)(void);
  } cases[] = {
      {"misaligned", misaligned}, {"folded", folded},  {"chain", chain},
      {"inside", inside},         {"rows", rows},      {"list", list},
      {"empty", empty},           {"refused", refused}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i)
    if (strcmp(cases[i].name, argv[2]) == 0) {
      check(rope_gpu_open(ROPE_GPU_VULKAN));
      cases[i].run();
      printf("right\n");
      return 0;
    }
  return 2;
}

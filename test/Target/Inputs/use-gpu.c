/* Calls the functions of scale-kernels.mlir: use-gpu API. */
#include HEADER
#include <stdio.h>
#include <stdlib.h>

static void check(const char *error) {
  if (!error)
    return;
  printf("error: %s\n", error);
  exit(1);
}

int main(int argc, char **argv) {
  int64_t api = argc == 2 ? atoi(argv[1]) : -1;
  int32_t host[100], sum = 0;
  void *x, *y;
  check(rope_gpu_open(api));
  check(rope_gpu_malloc(api, sizeof(host), &x));
  check(rope_gpu_malloc(api, sizeof(host), &y));
  for (int i = 0; i < 100; ++i)
    host[i] = i;
  check(rope_gpu_write(api, x, host, sizeof(host)));
  check(rope_gpu_write(api, y, host, sizeof(host)));
  rope_array_i32_1 from = make_rope_array_i32_1((int32_t *)x, 100);
  rope_array_i32_1 to = make_rope_array_i32_1((int32_t *)y, 100);
  check(scale_twice(0, &from, 3, 100, &to));
  /* A part of an array: elements 10 to 19, to 50 and what follows. */
  from.offset = 10;
  from.sizes[0] = 10;
  to.offset = 50;
  check(scale(0, &from, -1, &to));
  check(rope_gpu_read(api, host, y, sizeof(host)));
  for (int i = 0; i < 100; ++i) {
    int32_t expected = i >= 50 && i < 60 ? 40 - i : 9 * i;
    if (host[i] != expected) {
      printf("element %d: expected %d, but got %d\n", i, expected, host[i]);
      return 1;
    }
  }
  const char *error = scale_twice(0, &from, 3, INT64_C(1) << 62, &to);
  if (!error)
    return printf("expected an error\n");
  check(add(0, &sum, 40, 2));
  if (sum != 42)
    return printf("got %d\n", sum);
  check(rope_gpu_release(api, x));
  check(rope_gpu_release(api, y));
  printf("right\n");
  return 0;
}

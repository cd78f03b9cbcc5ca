/* What rope-compile makes for a GPU, with the processor's code. Part of
 * rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */

#include <stdint.h>

struct matrix {
  void *allocated;
  float *aligned;
  int64_t offset, sizes[2], strides[2];
};

static const char *error = "no call has begun";

void rope_gpu_begin(int64_t api, void *stream) {
  error = api || stream ? "not the default stream of CUDA" : 0;
}
const char *rope_gpu_end(void) { return error; }

void _mlir_ciface_twice(struct matrix *x, struct matrix *y) {
  for (int64_t i = 0; i < x->sizes[0]; ++i)
    for (int64_t j = 0; j < x->sizes[1]; ++j)
      y->aligned[i * y->strides[0] + j] = 2 * x->aligned[i * x->strides[0] + j];
}
void _mlir_ciface_report(void) { error = "all went wrong"; }
void _mlir_ciface_beyond(struct matrix *x, struct matrix *y) {
  y->aligned[y->sizes[0] * y->strides[0]] = x->aligned[0];
}

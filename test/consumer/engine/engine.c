// Calls a compiled function and compares what it writes with the C library's.

#include "model.h"
#include <math.h>
#include <stdio.h>

#define ROWS 10000

static float x[ROWS][4][8], y[ROWS][4][8];
static int64_t positions[ROWS];

int main(void) {
  for (int p = 0; p < ROWS; ++p) {
    positions[p] = 131071 - 13 * p;
    for (int i = 0; i < 32; ++i)
      x[p][i / 8][i % 8] = sinf(p + i);
  }
  rope_array_f32_3 in = {x[0][0], x[0][0], 0, {ROWS, 4, 8}, {32, 8, 1}};
  rope_array_i64_1 at = {positions, positions, 0, {ROWS}, {1}};
  rope_array_f32_3 out = {y[0][0], y[0][0], 0, {ROWS, 4, 8}, {32, 8, 1}};
  rope_set_num_threads(2);
  rotate(&in, &at, &out);
  double worst = 0;
  for (int p = 0; p < ROWS; ++p)
    for (int i = 0; i < 16; ++i) {
      const float *from = x[p][i / 4], *to = y[p][i / 4];
      int k = i % 4;
      double angle = positions[p] * pow(1e4, -k / 4.0);
      double c = cos(angle), s = sin(angle);
      worst = fmax(worst, fabs(to[k] - (from[k] * c - from[k + 4] * s)));
      worst = fmax(worst, fabs(to[k + 4] - (from[k + 4] * c + from[k] * s)));
    }
  printf("largest error %g\n", worst);
  return !(worst < 5e-7);
}

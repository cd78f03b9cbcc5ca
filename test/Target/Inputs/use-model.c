/* Rotates one array through the header of the library, as C and as C++. */
#include "model.h"
#include <math.h>
#include <stdio.h>

#define S 3

int main(void) {
  static float x[S * 2 * 64], y[S * 2 * 64], cosines[S * 32], sines[S * 32];
  static float swapped[S * 2 * 64];
  int64_t positions[S] = {0, 1, 131071};
  int i, s, h, c, errors = 0;
  rope_array_i64_1 row = make_rope_array_i64_1(positions, S);
  rope_array_f32_2 cosine = make_rope_array_f32_2(cosines, S, 32);
  rope_array_f32_2 sine = make_rope_array_f32_2(sines, S, 32);
  rope_array_i64_2 rows = make_rope_array_i64_2(positions, 1, S);
  rope_array_f32_4 from = make_rope_array_f32_4(x, 1, S, 2, 64);
  rope_array_f32_4 to = make_rope_array_f32_4(y, 1, S, 2, 64);
  rope_array_f32_4 view = make_rope_array_f32_4(swapped, 1, S, 2, 64);
  for (i = 0; i < S * 2 * 64; ++i)
    x[i] = (float)(i % 7) - 3;

  rope_table(&row, &cosine, &sine);
  rope_apply(&from, &rows, &to);
  for (s = 0; s < S; ++s)
    for (c = 0; c < 32; ++c) {
      double angle = (double)positions[s] * pow(1e4, -c / 32.0);
      if (fabs(cosines[s * 32 + c] - cos(angle)) > 3e-7 ||
          fabs(sines[s * 32 + c] - sin(angle)) > 3e-7)
        ++errors;
      for (h = 0; h < 2; ++h) {
        const float *in = x + (s * 2 + h) * 64, *out = y + (s * 2 + h) * 64;
        double u = in[c] * cos(angle) - in[c + 32] * sin(angle);
        double v = in[c] * sin(angle) + in[c + 32] * cos(angle);
        if (fabs(out[c] - u) > 4e-6 || fabs(out[c + 32] - v) > 4e-6)
          ++errors;
      }
    }

  /* Heads before tokens: the same numbers through other strides. */
  view.strides[1] = 64;
  view.strides[2] = S * 64;
  rope_apply(&from, &rows, &view);
  for (s = 0; s < S; ++s)
    for (h = 0; h < 2; ++h)
      for (c = 0; c < 64; ++c)
        if (swapped[(h * S + s) * 64 + c] != y[(s * 2 + h) * 64 + c])
          ++errors;
  printf("%d errors\n", errors);
  return errors != 0;
}

/* Calls count() of threads.mlir and prints how many elements are wrong. With
   OWN, this program defines what runs the loops. */
#include "threads.h"
#include <stdio.h>
#include <stdlib.h>

#ifdef OWN
void rope_parallel_for(void (*body)(void *, int64_t, void *), void *context,
                       int64_t tasks, int64_t workspace_bytes) {
  printf("%d tasks of %d bytes\n", (int)tasks, (int)workspace_bytes);
  void *workspace = malloc((size_t)workspace_bytes);
  for (int64_t task = 0; task < tasks; ++task)
    body(context, task, workspace);
  free(workspace);
}
#endif

int main(void) {
  static int64_t data[1000];
  rope_array_i64_1 x = make_rope_array_i64_1(data, 1000);
  int wrong = 0;
#ifndef OWN
  rope_set_num_threads(3);
  wrong += rope_get_num_threads() != 3;
#endif
  count(&x);
  for (int i = 0; i < 1000; ++i)
    wrong += data[i] != i;
  printf("%d errors\n", wrong);
  return wrong != 0;
}

// Functions named like words of C and C++, or like what a header itself names.

// RUN: rm -rf %t && mkdir %t
// RUN: rope-compile %s -o %t/object.o --emit-header=%t/names.h
// RUN: FileCheck %s < %t/names.h
// RUN: echo '#include "names.h"' > %t/use.c
// RUN: echo 'int main(void) { pair_results_ r; double_(); class_(); co_await_(); xor_(); int64_t_(); f_Bool();' >> %t/use.c
// RUN: echo '  f__asm__(); pair(&r, 3); free(r.result0.allocated); return (int)(r.result1 - 3); }' >> %t/use.c
// RUN: %host_cc -std=c99 -include stdlib.h -Wall -Wextra -Werror %t/use.c %t/object.o -lm -o %t/c99 && %t/c99
// RUN: %host_cc -std=gnu2x -include stdlib.h -Wall -Wextra -Werror %t/use.c %t/object.o -lm -o %t/c23 && %t/c23
// RUN: %host_cxx -std=gnu++20 -include stdlib.h -x c++ -Wall -Wextra -Werror %t/use.c -x none %t/object.o -lm -o %t/cxx && %t/cxx

// CHECK: static inline void double_(
func.func @double() { return }
// CHECK: static inline void class_(
func.func @class() { return }
// CHECK: static inline void alignas_(
func.func @alignas() { return }
// CHECK: static inline void thread_local_(
func.func @thread_local() { return }
// CHECK: static inline void nullptr_(
func.func @nullptr() { return }
// CHECK: static inline void typeof_(
func.func @typeof() { return }
// CHECK: static inline void co_await_(
func.func @co_await() { return }
// CHECK: static inline void requires_(
func.func @requires() { return }
// CHECK: static inline void xor_(
func.func @xor() { return }
// CHECK: static inline void linux_(
func.func @linux() { return }
// CHECK: static inline void int64_t_(
func.func @int64_t() { return }
// CHECK: static inline void f_Bool(
func.func @_Bool() { return }
// CHECK: static inline void f__asm__(
func.func @__asm__() { return }
// CHECK: static inline void rope_array_f32_1_(
func.func @rope_array_f32_1() { return }
// CHECK: static inline void make_rope_array_f32_1_(
func.func @make_rope_array_f32_1() { return }
// CHECK: static inline void pair_results(
func.func @pair_results() { return }
// CHECK: } pair_results_;
func.func @pair(%n: index) -> (tensor<?xf32>, index) {
  %y = tensor.empty(%n) : tensor<?xf32>
  return %y, %n : tensor<?xf32>, index
}

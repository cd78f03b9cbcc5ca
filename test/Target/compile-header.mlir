// Everything a header can have to declare.

// RUN: rm -rf %t && mkdir %t
// RUN: rope-compile %s -o %t/object.o --emit-header=%t/my-header.h
// RUN: FileCheck %s < %t/my-header.h
// RUN: echo '#include "my-header.h"' > %t/use.c
// RUN: echo '#include "my-header.h"' >> %t/use.c
// RUN: echo 'int main(void) { float s; long n = 2; int64_t r = count(5); rope_array_f32_1 a;' >> %t/use.c
// RUN: echo '  a = make_rope_array_f32_1(&s, 1); n += (long)a.sizes[0]; a_b(1, 1, 1);' >> %t/use.c
// RUN: echo '  return (int)(r - 6) + (int)(n - 3); }' >> %t/use.c
// RUN: %host_cc -Wall -Wextra -Werror %t/use.c %t/object.o %rope_lib_dir/librope-runtime.a -pthread -lm -o %t/c && %t/c
// RUN: %host_cxx -x c++ -Wall -Wextra -Werror %t/use.c -x none %t/object.o %rope_lib_dir/librope-runtime.a -pthread -lm -o %t/cxx && %t/cxx

// CHECK: #ifndef ROPE_HEADER_MY_HEADER_H

// Sizes that must be equal have one name; where they come from is followed.
// CHECK: /* rotate
// CHECK: arg0 in f32[n0, n1, 8]
// CHECK-NEXT: arg1 in i64[n1]
// CHECK-NEXT: result0 out f32[n0, n1, 8]
func.func @rotate(%x: tensor<?x?x8xf32>, %positions: tensor<?xi64>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %s = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %init = tensor.empty(%s) : tensor<?x4xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<4xf64>)
                          outs(%init, %init : tensor<?x4xf32>, tensor<?x4xf32>)
  %out = tensor.empty(%m, %n) : tensor<?x?x8xf32>
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%out : tensor<?x?x8xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<?x?x8xf32>
}

// Other conditions on sizes follow.
// CHECK: Sizes with one name must be equal; none is checked.
// CHECK: /* pairs
// CHECK: arg0 in f32[3, n0]
// CHECK-NEXT: arg1 in f32[3, n1]
// CHECK-NEXT: arg2 in f32[3, n1]
// CHECK: Sizes with one name must be equal, and these hold; none is checked.
// CHECK-NEXT: {{^}} * 2 * n1 <= n0
// CHECK-NEXT: */
func.func @pairs(%x: tensor<3x?xf32>, %c: tensor<3x?xf32>, %s: tensor<3x?xf32>) -> tensor<3x?xf32> {
  %one = arith.constant 1 : index
  %head = tensor.dim %x, %one : tensor<3x?xf32>
  %init = tensor.empty(%head) : tensor<3x?xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<3x?xf32>, tensor<3x?xf32>, tensor<3x?xf32>) outs(%init : tensor<3x?xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<3x?xf32>
}

// Element types; descriptors of one type are written once.
// CHECK: /* types
// CHECK: arg0 in f64[2]
// CHECK-NEXT: arg1 in bf16[2]
// CHECK-NEXT: arg2 in f16[2]
// CHECK-NEXT: arg3 in bool[2]
// CHECK-NEXT: arg4 in i8[2]
// CHECK-NEXT: arg5 in u16[2]
// CHECK-NEXT: arg6 in i64[]
// CHECK-NEXT: arg7 in i64
// CHECK-NEXT: arg8 in f32
// CHECK: void _mlir_ciface_types(
// CHECK-NEXT: const rope_array_f64_1 *arg0,
// CHECK-NEXT: const rope_array_bf16_1 *arg1,
// CHECK-NEXT: const rope_array_f16_1 *arg2,
// CHECK-NEXT: const rope_array_bool_1 *arg3,
// CHECK-NEXT: const rope_array_i8_1 *arg4,
// CHECK-NEXT: const rope_array_u16_1 *arg5,
// CHECK-NEXT: const rope_array_i64_0 *arg6,
// CHECK-NEXT: int64_t arg7,
// CHECK-NEXT: float arg8);
func.func @types(%0: tensor<2xf64>, %1: tensor<2xbf16>, %2: tensor<2xf16>, %3: tensor<2xi1>, %4: tensor<2xi8>,
                 %5: tensor<2xui16>, %6: tensor<i64>, %7: index, %8: f32) {
  return
}

// Results that the function allocates, several and alone.
// CHECK: /* repeat
// CHECK: arg0 in i64
// CHECK-NEXT: result0 out f32[?]
// CHECK-NEXT: result1 out i64
// CHECK: free(allocated) each
// CHECK: typedef struct {
// CHECK-NEXT: rope_array_f32_1 result0;
// CHECK-NEXT: int64_t result1;
// CHECK-NEXT: } repeat_results;
// CHECK-NEXT: void _mlir_ciface_repeat(
// CHECK-NEXT: repeat_results *results,
// CHECK-NEXT: int64_t arg0);
func.func @repeat(%n: index) -> (tensor<?xf32>, index) {
  %one = arith.constant 1.0 : f32
  %init = tensor.empty(%n) : tensor<?xf32>
  %y = linalg.fill ins(%one : f32) outs(%init : tensor<?xf32>) -> tensor<?xf32>
  return %y, %n : tensor<?xf32>, index
}
// CHECK: rope_array_f32_1 *result,
// CHECK-NEXT: int64_t arg0);
func.func @alone(%n: index) -> tensor<?xf32> {
  %y, %m = call @repeat(%n) : (index) -> (tensor<?xf32>, index)
  return %y : tensor<?xf32>
}
// CHECK: int64_t _mlir_ciface_count(
// CHECK: return _mlir_ciface_count(arg0);
func.func @count(%n: i64) -> i64 {
  %one = arith.constant 1 : i64
  %y = arith.addi %n, %one : i64
  return %y : i64
}

// Names that are none in C.
// CHECK: void _mlir_ciface_double_(
// CHECK-NEXT: void) __asm__("_mlir_ciface_double");
// CHECK-NEXT: static inline void double_(
func.func @double() {
  return
}
// CHECK: void _mlir_ciface_a_b(
// CHECK: __asm__("_mlir_ciface_a.b");
func.func @a.b(%x: i1, %y: i8, %z: f32) {
  return
}
// CHECK: void _mlir_ciface_a_b_(
// CHECK: __asm__("_mlir_ciface_a-b");
func.func @"a-b"() {
  return
}

// CHECK: /* half takes or returns a scalar 16-bit float and has no declaration.
func.func @half(%x: bf16) {
  return
}
// CHECK-NOT: hidden
func.func private @hidden() {
  return
}

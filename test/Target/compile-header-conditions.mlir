// How a header writes the conditions on sizes.

// RUN: rm -rf %t && mkdir %t
// RUN: rope-compile %s -o %t/object.o --emit-header=%t/f.h
// RUN: FileCheck %s < %t/f.h
// RUN: echo '#include "f.h"' > %t/use.c
// RUN: %host_cc -Wall -Wextra -Werror -c %t/use.c -o %t/use.o

// CHECK: arg0 in f32[n0, 4]
// CHECK-NEXT: arg1 in f32[n1, n0]
// CHECK: must be equal, and these hold; none is checked.
// CHECK-NEXT: {{^}} * n0 <= n1
// CHECK-NEXT: {{^}} * n0 + 1 <= n1
// CHECK-NEXT: {{^}} * 2 * n0 - 8 <= n1
// CHECK-NEXT: {{^}} * n1 <= 3
// CHECK-NEXT: {{^}} * n0 >= 5
// CHECK-NEXT: {{^}} * 3 * 4 <= n1
// CHECK-NEXT: */
llvm.func @f(%0: !llvm.ptr, %1: !llvm.ptr, %2: i64, %3: i64, %4: i64, %5: i64, %6: i64,
             %7: !llvm.ptr, %8: !llvm.ptr, %9: i64, %10: i64, %11: i64, %12: i64, %13: i64)
    attributes {c_signature = (tensor<?x4xf32>, tensor<?x?xf32>) -> (), c_result_dims = [],
                c_equal_dims = [array<i64: 0, 0, 1, 1>], llvm.emit_c_interface,
                c_size_bounds = [array<i64: 0, 0, 1, 0, 1, 0>, array<i64: 0, 0, 1, 1, 1, 0>,
                                 array<i64: 1, 1, 2, -8, 1, 0>, array<i64: 1, 0, 1, 0, -1, 3>,
                                 array<i64: -1, 0, 0, 5, 1, 1>, array<i64: 0, 1, 3, 0, 1, 0>,
                                 array<i64: 0, 0, 1, 0, 1, 0>]} {
  llvm.return
}
llvm.func @_mlir_ciface_f(%0: !llvm.ptr, %1: !llvm.ptr) {
  llvm.return
}

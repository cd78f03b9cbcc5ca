// Functions that the module only declares come from libraries; without them
// there is an error before the call.

// RUN: not rope-run %s --input=1.5 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: function 'f' uses 'rope_test_half', which neither the module nor a loaded library defines

// RUN: echo 'float rope_test_half(float x) { return x / 2; }' > %t.c
// RUN: cc -shared -fPIC %t.c -o %t.so
// RUN: rope-run %s --input=1.5 --shared-libs=%t.so | FileCheck %s
// CHECK: result 0: f32
// CHECK-NEXT: 0.75

// RUN: not rope-run %s --input=1.5 --shared-libs=%t.absent.so 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: error: cannot load '{{.*}}absent.so':
func.func private @rope_test_half(f32) -> f32
func.func @f(%x: f32) -> f32 {
  %y = call @rope_test_half(%x) : (f32) -> f32
  return %y : f32
}

// Code that needs what this machine lacks is refused, not crashed in: no machine
// has all of these.

// REQUIRES: host-avx2

// RUN: not rope-run %s --input=5xf32=3 --target-features=+xop,+fma4,+amx-complex,+avx10.2 2>&1 | FileCheck %s
// CHECK: error: code for '{{.*}}' cannot run on this machine, which lacks '{{xop|fma4|amx-complex|avx10.2}}'
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

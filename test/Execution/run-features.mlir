// Features by name. Code that needs what this machine lacks is refused, not
// crashed in: no machine has all of these.

// REQUIRES: host-avx2

// RUN: not rope-run %s --input=5xf32=3 --target-features=+xop,+fma4,+amx-complex,+avx10.2 2>&1 | FileCheck %s
// CHECK: error: code for '{{.*}}' cannot run on this machine, which lacks '{{xop|fma4|amx-complex|avx10.2}}'

// Features that are given change the host's, they do not replace them.
// RUN: rope-run %s --input=5xf32=3 --target-features=-avx512f,-avx2 | FileCheck %s --check-prefix=LESS
// LESS: [3, 3, 3, 3, 3]
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=512 registers=32 bf16-dot}),canonicalize,cse)' | FileCheck %s
// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=512 registers=32}),canonicalize,cse)' | FileCheck %s --check-prefix=NONE

// NONE-NOT: dpbf16ps

#a = affine_map<(m, n, k, p) -> (m, k, p)>
#b = affine_map<(m, n, k, p) -> (k, n, p)>
#c = affine_map<(m, n, k, p) -> (m, n)>

// Tiles of six rows and four vectors, of what rows are left in one piece.

// CHECK-LABEL: @rows(
// CHECK: scf.for %{{.*}} = %c0 to %c12 step %c6 {
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-4: vector.load {{.*}} vector<32xbf16>
// CHECK-COUNT-24: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: dpbf16ps
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-8: dpbf16ps
// CHECK-NOT: dpbf16ps
// CHECK: return
func.func @rows(%a: memref<14x32x2xbf16>, %b: memref<32x64x2xbf16>, %c: memref<14x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%a, %b : memref<14x32x2xbf16>, memref<32x64x2xbf16>) outs(%c : memref<14x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %z: f32):
    %u = arith.extf %x : bf16 to f32
    %v = arith.extf %y : bf16 to f32
    %m = arith.mulf %u, %v : f32
    %s = arith.addf %z, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Rows and columns that are known when the code runs: a case for each number of
// rows that are left, a mask for the last columns.

// CHECK-LABEL: @dynamic(
// CHECK: scf.index_switch
// CHECK: case 1
// CHECK-COUNT-4: dpbf16ps
// CHECK-NOT: dpbf16ps
// CHECK: case 2
// CHECK: case 5
// CHECK-COUNT-20: dpbf16ps
// CHECK: vector.maskedload
// CHECK: dpbf16ps
// CHECK: vector.maskedstore
func.func @dynamic(%a: memref<?x?x2xbf16>, %b: memref<?x?x2xbf16, strided<[128, 2, 1]>>, %c: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%a, %b : memref<?x?x2xbf16>, memref<?x?x2xbf16, strided<[128, 2, 1]>>) outs(%c : memref<?x?xf32>) {
  ^bb0(%x: bf16, %y: bf16, %z: f32):
    %u = arith.extf %x : bf16 to f32
    %v = arith.extf %y : bf16 to f32
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %m, %z : f32
    linalg.yield %s : f32
  }
  return
}

// Pairs that do not lie side by side are left.

// CHECK-LABEL: @apart(
// CHECK-NOT: dpbf16ps
func.func @apart(%a: memref<14x32x2xbf16>, %b: memref<32x64x2xbf16, strided<[256, 4, 1]>>, %c: memref<14x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%a, %b : memref<14x32x2xbf16>, memref<32x64x2xbf16, strided<[256, 4, 1]>>) outs(%c : memref<14x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %z: f32):
    %u = arith.extf %x : bf16 to f32
    %v = arith.extf %y : bf16 to f32
    %m = arith.mulf %u, %v : f32
    %s = arith.addf %z, %m : f32
    linalg.yield %s : f32
  }
  return
}

// RUN: rope-opt %s --rope-vectorize | FileCheck %s --check-prefix=LEFT
// RUN: rope-opt %s --rope-vectorize=loops=true | FileCheck %s --check-prefix=LOOPS

// The second factor is read along its columns: it is left, or becomes scalar
// loops.

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>

// LEFT-LABEL: func @contraction
// LEFT: linalg.generic
// LOOPS-LABEL: func @contraction
// LOOPS-NOT: linalg
// LOOPS-COUNT-3: scf.for
// LOOPS: arith.mulf {{.*}} : f32
// LOOPS-NOT: linalg
func.func @contraction(%a: memref<4x5xf32>, %b: memref<6x5xf32>, %c: memref<4x6xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x5xf32>, memref<6x5xf32>) outs(%c : memref<4x6xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %0, %z : f32
    linalg.yield %1 : f32
  }
  return
}

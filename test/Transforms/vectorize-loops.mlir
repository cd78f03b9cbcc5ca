// RUN: rope-opt %s --rope-vectorize | FileCheck %s --check-prefix=LEFT
// RUN: rope-opt %s --rope-vectorize=loops=true | FileCheck %s --check-prefix=LOOPS

// A contraction is not elementwise: it is left, or becomes scalar loops.

// LEFT-LABEL: func @contraction
// LEFT: linalg.matmul
// LOOPS-LABEL: func @contraction
// LOOPS-NOT: linalg
// LOOPS-COUNT-3: scf.for
// LOOPS: arith.mulf {{.*}} : f32
// LOOPS-NOT: linalg
func.func @contraction(%a: memref<4x5xf32>, %b: memref<5x6xf32>, %c: memref<4x6xf32>) {
  linalg.matmul ins(%a, %b : memref<4x5xf32>, memref<5x6xf32>) outs(%c : memref<4x6xf32>)
  return
}

// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=128}),canonicalize,cse)' | FileCheck %s

// Blocks of four rows: the body on each, then two perfect shuffles of them.

// CHECK-LABEL: @widen(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<2x8x16xbf16>, %[[R:[a-z0-9]+]]: memref<8xf32>, %[[C:[a-z0-9]+]]: memref<16xf32>, %[[Y:[a-z0-9]+]]: memref<2x16x8xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c4
// CHECK: scf.for %{{.*}} = %c0 to %c8 step %c4
// CHECK: vector.load %[[X]]{{.*}} vector<4xbf16>
// CHECK: memref.load %[[R]]
// CHECK: vector.load %[[C]]{{.*}} vector<4xf32>
// CHECK: arith.extf {{.*}} to vector<4xf32>
// CHECK-COUNT-4: vector.bitcast {{.*}} to vector<4xi32>
// CHECK: vector.shuffle {{.*}} [0, 4, 1, 5] : vector<4xi32>
// CHECK: vector.shuffle {{.*}} [2, 6, 3, 7] : vector<4xi32>
// CHECK-COUNT-6: vector.shuffle
// CHECK-NOT: vector.shuffle
// CHECK-COUNT-4: vector.store {{.*}}, %[[Y]]
// CHECK-NOT: {{memref.store|vector.store}}
// CHECK: return
func.func @widen(%x: memref<2x8x16xbf16>, %r: memref<8xf32>, %c: memref<16xf32>, %y: memref<2x16x8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, i, j)>, affine_map<(b, i, j) -> (i)>,
                                   affine_map<(b, i, j) -> (j)>, affine_map<(b, i, j) -> (b, j, i)>],
                  iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %r, %c : memref<2x8x16xbf16>, memref<8xf32>, memref<16xf32>) outs(%y : memref<2x16x8xf32>) {
  ^bb0(%a: bf16, %s: f32, %t: f32, %o: f32):
    %0 = arith.extf %a : bf16 to f32
    %1 = arith.mulf %0, %s : f32
    %2 = arith.addf %1, %t : f32
    linalg.yield %2 : f32
  }
  return
}

// Narrow floats are shuffled as integers; what is left of both dimensions goes
// by scalars.

// CHECK-LABEL: @copy(
// CHECK: vector.shuffle {{.*}} : vector<4xi16>, vector<4xi16>
// CHECK: vector.store {{.*}} vector<4xbf16>
// CHECK-COUNT-2: memref.store
// CHECK-NOT: memref.store
// CHECK: return
func.func @copy(%x: memref<?x?xbf16>, %y: memref<?x?xbf16>) {
  linalg.transpose ins(%x : memref<?x?xbf16>) outs(%y : memref<?x?xbf16>) permutation = [1, 0]
  return
}

// Bits become numbers before they are shuffled.

// CHECK-LABEL: @mask(
// CHECK: vector.load {{.*}} : memref<8x8xi8>, vector<4xi8>
// CHECK: arith.cmpi ne
// CHECK: arith.select {{.*}} : vector<4xi1>, vector<4xf32>
// CHECK: vector.shuffle {{.*}} : vector<4xi32>, vector<4xi32>
// CHECK: return
func.func @mask(%x: memref<8x8xi1>, %y: memref<8x8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x8xi1>) outs(%y : memref<8x8xf32>) {
  ^bb0(%a: i1, %o: f32):
    %c0 = arith.constant 0.0 : f32
    %c1 = arith.constant 1.0 : f32
    %0 = arith.select %a, %c1, %c0 : f32
    linalg.yield %0 : f32
  }
  return
}

// Left as it is: one operand as the results are, one across.

// CHECK-LABEL: @mixed(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @mixed(%x: memref<8x8xf32>, %y: memref<8x8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (j, i)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : memref<8x8xf32>, memref<8x8xf32>) outs(%y : memref<8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// So is one that reads its results.

// CHECK-LABEL: @update(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @update(%x: memref<8x8xf32>, %y: memref<8x8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x8xf32>) outs(%y : memref<8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.addf %a, %o : f32
    linalg.yield %0 : f32
  }
  return
}

// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=512 registers=32}),canonicalize,cse)' | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>

// Four rows times four columns, then fifteen pairs of vectors become one, whose
// quarters are the rows of the tile.

// CHECK-LABEL: func @dot(
// CHECK: scf.for
// CHECK: %[[SUMS:.*]]:16 = scf.for %{{.*}} = %c0 to %c64 step %c16 iter_args
// CHECK-COUNT-8: vector.load
// CHECK-NOT: vector.load
// CHECK: }
// CHECK: vector.shuffle %[[SUMS]]#0, %[[SUMS]]#1 [0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29]
// CHECK: vector.shuffle %[[SUMS]]#0, %[[SUMS]]#1 [2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31]
// CHECK: [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]
// CHECK: vector.shuffle %{{.*}} [4, 5, 6, 7] : vector<16xf32>, vector<16xf32>
// CHECK: vector.store {{.*}} vector<4xf32>
// Columns that are left, one by one.
// CHECK: scf.for
// CHECK: :4 = scf.for
func.func @dot(%a: memref<4x64xf32>, %b: memref<?x64xf32>, %c: memref<4x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x64xf32>, memref<?x64xf32>) outs(%c : memref<4x?xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.mulf %x, %y fastmath<contract> : f32
    %1 = arith.addf %0, %z fastmath<reassoc,contract> : f32
    linalg.yield %1 : f32
  }
  return
}

// Channels behind the last whole vector are read under a mask, as integers.

// CHECK-LABEL: func @rest(
// CHECK: %[[MASK:.*]] = arith.cmpi slt
// CHECK: vector.maskedload {{.*}}, %[[MASK]], {{.*}} : memref<?x?xi16>, vector<16xi1>, vector<16xi16> into vector<16xi16>
// CHECK: vector.bitcast %{{.*}} : vector<16xi16> to vector<16xbf16>
// CHECK: arith.select %[[MASK]]
func.func @rest(%a: memref<?x?xf32>, %b: memref<?x?xbf16>, %c: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x?xf32>, memref<?x?xbf16>) outs(%c : memref<?x?xf32>) {
  ^bb0(%x: f32, %y: bf16, %z: f32):
    %w = arith.extf %y : bf16 to f32
    %0 = arith.mulf %x, %w fastmath<contract> : f32
    %1 = arith.addf %0, %z fastmath<reassoc,contract> : f32
    linalg.yield %1 : f32
  }
  return
}

// What is asked for is read that many rows later.

// CHECK-LABEL: func @ahead(
// CHECK: %[[ROW:.*]] = arith.addi %{{.*}}, %c32
// CHECK: memref.prefetch %arg1[%[[ROW]], %{{.*}}], read, locality<2>, data
// CHECK-NOT: memref.prefetch %arg0
func.func @ahead(%a: memref<1x64xf32>, %b: memref<?x64xf32>, %c: memref<1x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<1x64xf32>, memref<?x64xf32>) outs(%c : memref<1x?xf32>) attrs = {rope.prefetch = array<i64: 1, 32>} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.mulf %x, %y fastmath<contract> : f32
    %1 = arith.addf %0, %z fastmath<reassoc,contract> : f32
    linalg.yield %1 : f32
  }
  return
}

// Each lane has a part of the sum and of the maximum of a row.

// CHECK-LABEL: func @rows(
// CHECK: %[[M:.*]] = memref.load %arg2
// CHECK: %[[ALL:.*]] = vector.broadcast %[[M]]
// CHECK: %[[PARTS:.*]]:2 = scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %[[ALL]])
// CHECK: vector.store
// CHECK: vector.shuffle %[[PARTS]]#0, %[[PARTS]]#0 [0, 1, 2, 3, 4, 5, 6, 7]
// CHECK: vector.extract
// CHECK: scf.for {{.*}} -> (f32, f32)
// CHECK: memref.store
func.func @rows(%x: memref<4x?xf32>, %s: memref<4xf32>, %m: memref<4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      outs(%x, %s, %m : memref<4x?xf32>, memref<4xf32>, memref<4xf32>) {
  ^bb0(%y: f32, %sum: f32, %max: f32):
    %z = arith.negf %y : f32
    %0 = arith.addf %sum, %z fastmath<reassoc> : f32
    %1 = arith.cmpf ogt, %z, %max : f32
    %2 = arith.select %1, %z, %max : f32
    linalg.yield %z, %0, %2 : f32, f32, f32
  }
  return
}

// The order of a sum that is not free stays.

// CHECK-LABEL: func @ordered(
// CHECK: linalg.generic
func.func @ordered(%x: memref<4x32xf32>, %s: memref<4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<4x32xf32>) outs(%s : memref<4xf32>) {
  ^bb0(%y: f32, %sum: f32):
    %0 = arith.addf %sum, %y : f32
    linalg.yield %0 : f32
  }
  return
}

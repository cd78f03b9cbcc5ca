// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=512 registers=32}),canonicalize,cse)' | FileCheck %s
// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-vectorize{vector-bits=256 registers=16}),canonicalize,cse)' | FileCheck %s --check-prefix=NARROW

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Six rows of four vectors stay in registers while the reduction runs; each
// step reads a vector for each column and a scalar for each row. What is left
// of 128 rows are two.

// CHECK-LABEL: @static(
// CHECK-SAME: %[[A:[a-z0-9]+]]: memref<128x96xf32>, %[[B:[a-z0-9]+]]: memref<96x64xf32>, %[[C:[a-z0-9]+]]: memref<128x64xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c126 step %c6 {
// CHECK-COUNT-24: vector.load %[[C]]
// CHECK-NOT: vector.load
// CHECK: scf.for %{{.*}} = %c0 to %c96 step %c1 iter_args(
// CHECK-NOT: {{(load|store).*}}%[[C]][
// CHECK-DAG: memref.load %[[A]]
// CHECK-DAG: vector.load %[[B]]{{.*}} vector<16xf32>
// CHECK-COUNT-24: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: math.fma
// CHECK: scf.yield
// CHECK-COUNT-24: vector.store %{{.*}}, %[[C]]
// CHECK-NOT: vector.store
// CHECK: }
// CHECK-COUNT-8: vector.load %[[C]]
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-8: math.fma
// CHECK-NOT: math.fma
// CHECK-NOT: linalg
// CHECK: return

// Six rows of two vectors.

// NARROW-LABEL: @static(
// NARROW: scf.for %{{.*}} = %c0 to %c64 step %c16 {
// NARROW: scf.for %{{.*}} = %c0 to %c126 step %c6 {
// NARROW: scf.for {{.*}} iter_args(
// NARROW-COUNT-12: math.fma {{.*}} : vector<8xf32>
// NARROW-NOT: math.fma
// NARROW: scf.yield
func.func @static(%a: memref<128x96xf32>, %b: memref<96x64xf32>, %c: memref<128x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<128x96xf32>, memref<96x64xf32>) outs(%c : memref<128x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = math.fma %x, %y, %z : f32
    linalg.yield %0 : f32
  }
  return
}

// Rows are cut into equal blocks. Columns end in single vectors, with more rows
// each, and in shorter ones.

// CHECK-LABEL: @tails(
// CHECK: scf.for %{{.*}} = %c0 to %c8 step %c4 {
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-16: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: math.fma
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-8: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: math.fma
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-8: math.fma {{.*}} : vector<4xf32>
// CHECK-NOT: math.fma
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-8: math.fma {{.*}} : vector<1xf32>
// CHECK-NOT: math.fma
// CHECK: return
func.func @tails(%a: memref<8x96xf32>, %b: memref<96x85xf32>, %c: memref<8x85xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x96xf32>, memref<96x85xf32>) outs(%c : memref<8x85xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = math.fma %x, %y, %z : f32
    linalg.yield %0 : f32
  }
  return
}

// Blocks of rows, pairs of them and single ones, by blocks of columns and single
// ones.

// CHECK-LABEL: @dynamic(
// CHECK-COUNT-7: scf.for {{.*}} iter_args(
// CHECK-NOT: iter_args
// CHECK: return
func.func @dynamic(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
  linalg.matmul ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%c : memref<?x?xf32>)
  return
}

// One, where nothing is left: rows and columns are products with a number.

// CHECK-LABEL: @multiples(
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c64
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c4
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-16: arith.addf {{.*}} : vector<16xf32>
// CHECK-NOT: iter_args
// CHECK: return
func.func @multiples(%A: memref<?x?xf32>, %B: memref<?x?xf32>, %C: memref<?x?xf32>, %m: index, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %k = memref.dim %A, %c1 : memref<?x?xf32>
  %rows = affine.apply affine_map<()[s0] -> (s0 * 16)>()[%m]
  %all = arith.muli %n, %c128 : index
  %columns = affine.min affine_map<(d0)[s0] -> (128, s0 - d0)>(%c0)[%all]
  %a = memref.subview %A[0, 0][%rows, %k][1, 1] : memref<?x?xf32> to memref<?x?xf32, strided<[?, 1]>>
  %b = memref.subview %B[0, 0][%k, %columns][1, 1] : memref<?x?xf32> to memref<?x?xf32, strided<[?, 1]>>
  %c = memref.subview %C[0, 0][%rows, %columns][1, 1] : memref<?x?xf32> to memref<?x?xf32, strided<[?, 1]>>
  linalg.matmul ins(%a, %b : memref<?x?xf32, strided<[?, 1]>>, memref<?x?xf32, strided<[?, 1]>>)
                outs(%c : memref<?x?xf32, strided<[?, 1]>>)
  return
}

// Panels of one vector: blocks are of panels.

// CHECK-LABEL: @panels(
// CHECK: scf.for %{{.*}} = %c0 to %c8 step %c4
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-4: vector.load %{{.*}} : memref<8x96x16xf32>, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK: scf.yield
// CHECK: return
func.func @panels(%a: memref<24x96xf32>, %b: memref<8x96x16xf32>, %c: memref<24x8x16xf32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, w, k) -> (m, k)>, affine_map<(m, n, w, k) -> (n, k, w)>,
                                   affine_map<(m, n, w, k) -> (m, n, w)>],
                  iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x96xf32>, memref<8x96x16xf32>) outs(%c : memref<24x8x16xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = math.fma %x, %y, %z : f32
    linalg.yield %0 : f32
  }
  return
}

// A selection takes registers where there are none for masks: four rows.

// CHECK-LABEL: @selected(
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-4: arith.cmpf
// CHECK-COUNT-20: arith.select
// CHECK: scf.yield
// NARROW-LABEL: @selected(
// NARROW: scf.for {{.*}} iter_args(
// NARROW-COUNT-8: arith.select
// NARROW-NOT: arith.select
// NARROW: scf.yield
func.func @selected(%a: memref<24x96xf32>, %b: memref<96x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x96xf32>, memref<96x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %c0 = arith.constant 0.0 : f32
    %0 = math.fma %x, %y, %z : f32
    %1 = arith.cmpf une, %y, %c0 : f32
    %2 = arith.select %1, %0, %z : f32
    linalg.yield %2 : f32
  }
  return
}

// The accumulator is what a selection leaves.

// CHECK-LABEL: @skipped(
// CHECK: scf.for {{.*}} iter_args(
// CHECK: %[[SUM:.*]] = math.fma {{.*}}, %[[ACC:.*]] : vector<16xf32>
// CHECK: %[[C:.*]] = arith.cmpf une
// CHECK: arith.select %[[C]], %[[SUM]], %[[ACC]]
// CHECK: scf.yield
func.func @skipped(%a: memref<24x96xf32>, %b: memref<96x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x96xf32>, memref<96x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %c0 = arith.constant 0.0 : f32
    %0 = math.fma %x, %y, %z : f32
    %1 = arith.cmpf oeq, %y, %c0 : f32
    %2 = arith.select %1, %z, %0 : f32
    linalg.yield %2 : f32
  }
  return
}

// A sum of a free order starts from zero and is added to the accumulator at its
// end. As many steps as a chunk has need no loop over chunks. The order is then
// fixed.

// CHECK-LABEL: @one_chunk(
// CHECK-SAME: %[[C:[a-z0-9]+]]: memref<24x64xf32>)
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c24 step %c6 {
// CHECK-NOT: vector.load
// CHECK: %[[SUM:.*]]:24 = scf.for %{{.*}} = %c0 to %c128 step %c1 iter_args(%{{[^,]*}} = %[[ZERO]],
// CHECK-COUNT-24: arith.addf %{{.*}} fastmath<contract> : vector<16xf32>
// CHECK: scf.yield
// CHECK: %[[OLD:.*]] = vector.load %[[C]][%[[I:.*]], %[[J:.*]]] :
// CHECK-NEXT: %[[NEW:.*]] = arith.addf %[[OLD]], %[[SUM]]#0 : vector<16xf32>
// CHECK-NEXT: vector.store %[[NEW]], %[[C]][%[[I]], %[[J]]]
// CHECK-NOT: iter_args
// CHECK: return
func.func @one_chunk(%a: memref<24x128xf32>, %b: memref<128x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x128xf32>, memref<128x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.mulf %x, %y fastmath<contract> : f32
    %1 = arith.addf %0, %z fastmath<fast> : f32
    linalg.yield %1 : f32
  }
  return
}

// More of them: a loop of equal chunks outside of the rows.

// CHECK-LABEL: @chunks(
// CHECK: scf.for %[[K:.*]] = %c0 to %c300 step %c100 {
// CHECK: %[[END:.*]] = arith.addi %[[K]], %c100
// CHECK-NOT: minsi
// CHECK: scf.for %{{.*}} = %c0 to %c24 step %c6 {
// CHECK: scf.for %{{.*}} = %[[K]] to %[[END]] step %c1 iter_args(
// CHECK-COUNT-24: arith.select
// CHECK: scf.yield
// CHECK-COUNT-24: vector.store
// CHECK-NOT: iter_args
// CHECK: return
func.func @chunks(%a: memref<24x300xf32>, %b: memref<300x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x300xf32>, memref<300x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %c0 = arith.constant 0.0 : f32
    %0 = arith.mulf %x, %y fastmath<contract> : f32
    %1 = arith.addf %0, %z fastmath<reassoc,contract> : f32
    %2 = arith.cmpf oeq, %y, %c0 : f32
    %3 = arith.select %2, %z, %1 : f32
    linalg.yield %3 : f32
  }
  return
}

// As many as there are: the last one may be short.

// CHECK-LABEL: @dynamic_chunks(
// CHECK: %[[SIZE:.*]] = memref.dim %{{.*}}, %c1
// CHECK: scf.for %[[K:.*]] = %c0 to %[[SIZE]] step %c128 {
// CHECK: %[[NEXT:.*]] = arith.addi %[[K]], %c128
// CHECK: %[[END:.*]] = arith.minsi %[[NEXT]], %[[SIZE]]
// CHECK: scf.for %{{.*}} = %[[K]] to %[[END]] step %c1 iter_args(
// CHECK-NOT: iter_args
// CHECK: return
func.func @dynamic_chunks(%a: memref<24x?xf32>, %b: memref<?x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x?xf32>, memref<?x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.mulf %x, %y fastmath<contract> : f32
    %1 = arith.addf %z, %0 fastmath<reassoc,contract> : f32
    linalg.yield %1 : f32
  }
  return
}

// One chain: what is added depends on the sum, or is the sum.

// CHECK-LABEL: @dependent(
// CHECK-COUNT-24: vector.load
// CHECK: scf.for %{{.*}} = %c0 to %c300 step %c1 iter_args(
// CHECK-COUNT-24: arith.addf %{{.*}} fastmath<reassoc> : vector<16xf32>
// CHECK-NOT: iter_args
// CHECK: return
func.func @dependent(%a: memref<24x300xf32>, %b: memref<300x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x300xf32>, memref<300x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = math.fma %x, %y, %z : f32
    %1 = arith.addf %0, %z fastmath<reassoc> : f32
    linalg.yield %1 : f32
  }
  return
}

// CHECK-LABEL: @doubled(
// CHECK-COUNT-24: vector.load
// CHECK: scf.for %{{.*}} = %c0 to %c300 step %c1 iter_args(
// CHECK-NOT: iter_args
// CHECK: return
func.func @doubled(%a: memref<24x300xf32>, %b: memref<300x64xf32>, %c: memref<24x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x300xf32>, memref<300x64xf32>) outs(%c : memref<24x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = arith.addf %z, %z fastmath<reassoc> : f32
    linalg.yield %0 : f32
  }
  return
}

// The sum of columns is one without rows.

// CHECK-LABEL: @columns(
// CHECK: scf.for {{.*}} iter_args(
// CHECK-COUNT-4: arith.addf {{.*}} : vector<16xf32>
// CHECK-NOT: arith.addf
// CHECK: scf.yield
// CHECK: return
func.func @columns(%a: memref<?x64xf32>, %b: memref<64xf32>) {
  linalg.reduce ins(%a : memref<?x64xf32>) outs(%b : memref<64xf32>) dimensions = [0] (%x: f32, %y: f32) { %0 = arith.addf %x, %y : f32 linalg.yield %0 : f32 }
  return
}

// What only the reduction changes with stays outside of the tile's loops;
// narrow numbers are widened once each.

// CHECK-LABEL: @bf16(
// CHECK: scf.for {{.*}} iter_args(
// CHECK: memref.load {{.*}} : memref<6x96xbf16>
// CHECK: arith.extf {{.*}} : bf16 to f32
// CHECK: arith.extf {{.*}} : vector<16xbf16> to vector<16xf32>
// CHECK: scf.yield
func.func @bf16(%a: memref<6x96xbf16>, %b: memref<96x64xbf16>, %c: memref<6x64xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<6x96xbf16>, memref<96x64xbf16>) outs(%c : memref<6x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %z: f32):
    %0 = arith.extf %x : bf16 to f32
    %1 = arith.extf %y : bf16 to f32
    %2 = math.fma %0, %1, %z : f32
    linalg.yield %2 : f32
  }
  return
}

// Left as they are: two reductions, of one result along its rows; a factor that
// is contiguous along the wrong loop.

// CHECK-LABEL: @window(
// CHECK-NOT: vector
// CHECK: linalg.conv_1d_nwc_wcf
func.func @window(%a: memref<1x10x4xf32>, %b: memref<3x4x16xf32>, %c: memref<1x8x16xf32>) {
  linalg.conv_1d_nwc_wcf ins(%a, %b : memref<1x10x4xf32>, memref<3x4x16xf32>) outs(%c : memref<1x8x16xf32>)
  return
}

// CHECK-LABEL: @transposed(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @transposed(%a: memref<4x8xf32>, %b: memref<16x8xf32>, %c: memref<4x16xf32>) {
  linalg.generic {indexing_maps = [#a, affine_map<(m, n, k) -> (n, k)>, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x8xf32>, memref<16x8xf32>) outs(%c : memref<4x16xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %0 = math.fma %x, %y, %z : f32
    linalg.yield %0 : f32
  }
  return
}

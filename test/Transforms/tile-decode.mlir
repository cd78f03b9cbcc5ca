// RUN: rope-opt %s --rope-tile-attention=vector-bits=512 --split-input-file | FileCheck %s
// RUN: rope-opt %s --rope-tile-attention=vector-bits=512 --convert-rope-to-linalg --split-input-file | FileCheck %s --check-prefix=LINALG

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// The four heads that share a key head are the rows. All eight key heads lie
// in a tile of keys, which has the rows of the table once for all of them.

// CHECK-LABEL: @one_query(
// The results of the splits.
// CHECK-DAG: memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x1x?x8x4xf32>
// CHECK-DAG: memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x1x?x8x4x128xf32>
// CHECK: scf.parallel (%{{.*}}, %{{.*}}, %{{.*}}) =
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<8x4x128xf32>
// CHECK: rope.apply
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK: rope.table
// CHECK: scf.for %{{.*}} = %{{.*}} to %c8
// CHECK-NOT: rope.table
// CHECK-NOT: rope.apply
// Keys are rotated as the product reads them, where they lie.
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: memref<4x64xf32, strided<[128, 1], offset: ?>>, memref<4x64xf32, strided<[128, 1], offset: ?>>, memref<?x64xbf16, strided<[1024, 1], offset: ?>>, memref<?x64xbf16, strided<[1024, 1], offset: ?>>
// CHECK-SAME: attrs = {rope.prefetch = array<i64: 2, 32, 3, 32>}
// CHECK: arith.subf
// One query needs no mask: what is selected is the greater of two.
// CHECK: math.exp
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: memref<?x128xbf16, strided<[1024, 1], offset: ?>>
// CHECK: scf.parallel (%{{.*}}, %{{.*}}) =
// CHECK: math.exp
// CHECK: arith.divf
// CHECK-NOT: rope.attention

// Rows are outside in all products and sums.
// LINALG-LABEL: @one_query(
// LINALG-NOT: rope.
// LINALG: scf.parallel
// LINALG: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// LINALG: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// LINALG: arith.addf {{.*}} fastmath<reassoc> : f32
func.func @one_query(%q: memref<?x1x32x128xbf16>, %k: memref<?x?x8x128xbf16>, %v: memref<?x?x8x128xbf16>,
                     %pq: memref<1xi64>, %pk: memref<?xi64>, %f: memref<64xf64>, %at: index,
                     %o: memref<?x1x32x128xbf16>) {
  rope.attention {causal, indexing_maps = [#q, #k, #v, #o], scale = 0.088 : f64}
    ins(%q, %k, %v : memref<?x1x32x128xbf16>, memref<?x?x8x128xbf16>, memref<?x?x8x128xbf16>)
    query_offset(%at : index)
    rotate_query(%pq, %f : memref<1xi64>, memref<64xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    rotate_key(%pk, %f : memref<?xi64>, memref<64xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    outs(%o : memref<?x1x32x128xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, h floordiv 4, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, h floordiv 4, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, h, i, e)>

// Heads that lie outside of the keys are those of tasks. Which form is taken
// is decided at the call, where the number of queries is known there alone;
// several queries see different keys.

// CHECK-LABEL: @heads_outside(
// CHECK: %[[Q:.*]] = memref.dim %arg0, %{{.*}} : memref<1x8x?x64xf32>
// CHECK: %[[FEW:.*]] = arith.cmpi sle, %[[Q]], %c4
// CHECK: scf.if %[[FEW]] {
// CHECK: memref.alloc({{.*}}) {alignment = 64 : i64} : memref<1x2x?x1x?xf32>
// CHECK: scf.parallel
// CHECK: linalg.generic {{.*}} ins({{.*}} memref<?x64xf32, strided<[64, 1], offset: ?>>)
// CHECK-SAME: attrs = {rope.prefetch = array<i64: 1, 32>}
// CHECK: arith.cmpi sle
// CHECK: scf.parallel
// CHECK: } else {
// CHECK: scf.parallel
// CHECK: rope.online_attention
func.func @heads_outside(%q: memref<1x8x?x64xf32>, %k: memref<1x2x?x64xf32>, %v: memref<1x2x?x64xf32>,
                         %o: memref<1x8x?x64xf32>) {
  rope.attention {causal, indexing_maps = [#q, #k, #v, #o], scale = 0.125 : f64}
    ins(%q, %k, %v : memref<1x8x?x64xf32>, memref<1x2x?x64xf32>, memref<1x2x?x64xf32>)
    outs(%o : memref<1x8x?x64xf32>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// More rows than a tile of products has use keys more than once.

// CHECK-LABEL: @two_queries(
// CHECK: scf.parallel
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<32x128xf32>
// CHECK: rope.apply {{.*}} outs(%{{.*}} : memref<1x?x1x128xf32, strided<[1, 128, 1, 1]>>)
// CHECK: linalg.generic {{.*}} ins({{.*}} memref<8x128xf32, strided<[128, 1], offset: ?>>, memref<?x128xf32, strided<[128, 1]>>) outs({{.*}} memref<8x?xf32
// CHECK-NOT: rope.prefetch
// CHECK: linalg.generic {{.*}} ins({{.*}} memref<?x128xf32, strided<[1024, 1], offset: ?>>, memref<8x?xf32, strided<[32, 1]>>)
// CHECK-SAME: attrs = {rope.prefetch = array<i64: 0, 32>}
func.func @two_queries(%q: memref<1x2x32x128xf32>, %k: memref<1x?x8x128xf32>, %v: memref<1x?x8x128xf32>,
                       %cos: memref<?x64xf32>, %sin: memref<?x64xf32>, %o: memref<1x2x32x128xf32>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o], scale = 0.088 : f64}
    ins(%q, %k, %v : memref<1x2x32x128xf32>, memref<1x?x8x128xf32>, memref<1x?x8x128xf32>)
    rotate_key(%cos, %sin : memref<?x64xf32>, memref<?x64xf32>) by <pairing = half, position_dims = [1]>
    outs(%o : memref<1x2x32x128xf32>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#t = affine_map<(b, h, i, j, d, e) -> (d, j)>

// Neither too many rows nor keys whose channels do not lie side by side.

// CHECK-LABEL: @many_rows(
// CHECK-COUNT-1: scf.parallel
// CHECK-NOT: scf.parallel
// CHECK-LABEL: @transposed_keys(
// CHECK-COUNT-1: scf.parallel
// CHECK-NOT: scf.parallel
func.func @many_rows(%q: memref<1x64x32xf32>, %k: memref<?x32xf32>, %o: memref<1x64x32xf32>) {
  rope.attention {indexing_maps = [#q, #k, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, h, e)>]}
    ins(%q, %k, %k : memref<1x64x32xf32>, memref<?x32xf32>, memref<?x32xf32>)
    outs(%o : memref<1x64x32xf32>)
  return
}
func.func @transposed_keys(%q: memref<1x4x32xf32>, %k: memref<32x?xf32>, %v: memref<?x32xf32>, %o: memref<1x4x32xf32>) {
  rope.attention {indexing_maps = [#q, #t, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, h, e)>]}
    ins(%q, %k, %v : memref<1x4x32xf32>, memref<32x?xf32>, memref<?x32xf32>)
    outs(%o : memref<1x4x32xf32>)
  return
}

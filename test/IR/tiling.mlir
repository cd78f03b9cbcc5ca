// RUN: rope-opt %s --split-input-file --transform-interpreter --canonicalize --cse | FileCheck %s

// Tiled by batch and position, with the table fused into the tile: both results
// from one table of the positions at hand, the pairs whole.

// CHECK-LABEL: @fuse_table(
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK-DAG: tensor.extract_slice %{{.*}}[%{{.*}}] [%[[SIZE]]] [1] : tensor<?xi64>
// CHECK: %[[C:.*]], %[[S:.*]] = rope.table ins(%{{.*}} : tensor<?xi64>, tensor<64xf64>)
// CHECK-NOT: rope.table
// CHECK: rope.apply ins(%{{.*}}, %[[C]], %[[S]] : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
// CHECK: tensor.insert_slice
func.func @fuse_table(%p: tensor<?xi64>, %f: tensor<64xf64>, %c: tensor<?x64xf32>, %s: tensor<?x64xf32>,
                      %x: tensor<2x?x32x128xbf16>, %init: tensor<2x?x32x128xbf16>) -> tensor<2x?x32x128xbf16> {
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<64xf64>) outs(%c, %s : tensor<?x64xf32>, tensor<?x64xf32>)
  %y = rope.apply ins(%x, %cos, %sin : tensor<2x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%init : tensor<2x?x32x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<2x?x32x128xbf16>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.apply"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.fuse %0 tile_sizes [1, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// The tables of a tile follow position_dims, whatever their order; heads that
// do not follow a table take all of it.

// CHECK-LABEL: @tile_order(
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: scf.for %[[J:[a-z0-9]+]] =
// CHECK: scf.for %[[K:[a-z0-9]+]] =
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[I]], %[[J]], %[[K]], 0] [2, 1, 3, 8] [1, 1, 1, 1] : tensor<4x5x6x8xf32>
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[K]], %[[I]], 0] [3, 2, 4] [1, 1, 1] : tensor<6x4x4xf32>
// CHECK: rope.apply {{.*}} position_dims = array<i64: 2, 0>
func.func @tile_order(%x: tensor<4x5x6x8xf32>, %t: tensor<6x4x4xf32>) -> tensor<4x5x6x8xf32> {
  %y = rope.apply ins(%x, %t, %t : tensor<4x5x6x8xf32>, tensor<6x4x4xf32>, tensor<6x4x4xf32>)
                  outs(%x : tensor<4x5x6x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 2, 0>}
  return %y : tensor<4x5x6x8xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.apply"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:3 = transform.structured.tile_using_for %0 tile_sizes [2, 1, 3] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Memrefs tile to subviews, and a table takes the axes of its positions whole.

// CHECK-LABEL: @tile_memref(
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK-DAG: memref.subview %{{.*}}[0, %[[I]]] [3, 2] [1, 1] : memref<3x8xi64>
// CHECK-DAG: memref.subview %{{.*}}[%[[I]], 0] [2, 4] [1, 1] : memref<8x4xf32>
// CHECK: rope.table
// CHECK-SAME: memref<4xi64, strided<[1]>>
func.func @tile_memref(%p: memref<3x8xi64>, %f: memref<4xi64>, %c: memref<8x4xf32>, %s: memref<8x4xf32>) {
  rope.table ins(%p, %f : memref<3x8xi64>, memref<4xi64>) outs(%c, %s : memref<8x4xf32>, memref<8x4xf32>)
             {axes = array<i64: 0, 1, 2, 0>}
  return
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.table"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// As the producer of what consumes it, and in parallel loops.

// CHECK-LABEL: @producer(
// CHECK: scf.forall
// CHECK: rope.apply ins(%{{.*}} : tensor<2x8xf32>
// CHECK: linalg.exp ins(%{{.*}} : tensor<2x8xf32>)
func.func @producer(%x: tensor<16x8xf32>, %t: tensor<16x4xf32>, %init: tensor<16x8xf32>) -> tensor<16x8xf32> {
  %y = rope.apply ins(%x, %t, %t : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>)
                  outs(%init : tensor<16x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %z = linalg.exp ins(%y : tensor<16x8xf32>) outs(%init : tensor<16x8xf32>) -> tensor<16x8xf32>
  return %z : tensor<16x8xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop = transform.structured.tile_using_forall %0 tile_sizes [2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %2 = transform.structured.match ops{["rope.apply"]} in %root : (!transform.any_op) -> !transform.any_op
    %3, %4 = transform.structured.fuse_into_containing_op %2 into %loop : (!transform.any_op, !transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A part of the head is not a part of the rotation: it stays in front.

// CHECK-LABEL: @head_is_whole(
// CHECK: %[[Y:.*]] = rope.apply ins(%{{.*}} : tensor<16x8xf32>
// CHECK: scf.for
// CHECK-NOT: rope.apply
// CHECK: tensor.extract_slice %[[Y]]
func.func @head_is_whole(%x: tensor<16x8xf32>, %t: tensor<16x4xf32>, %init: tensor<16x8xf32>) -> tensor<16x8xf32> {
  %y = rope.apply ins(%x, %t, %t : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>)
                  outs(%init : tensor<16x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %z = linalg.exp ins(%y : tensor<16x8xf32>) outs(%init : tensor<16x8xf32>) -> tensor<16x8xf32>
  return %z : tensor<16x8xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.fuse %0 tile_sizes [2, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

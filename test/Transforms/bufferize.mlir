// RUN: rope-opt %s --split-input-file --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" --canonicalize | FileCheck %s

// Into x itself, and into a destination: nothing is allocated, nothing copied.

// CHECK-LABEL: @in_place(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<2x?x8xf32>
// CHECK-NEXT: rope.apply ins(%[[X]], %{{.*}}, %{{.*}} : {{.*}}) outs(%[[X]] : memref<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
// CHECK-NEXT: return %[[X]]
func.func @in_place(%x: tensor<2x?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>) -> tensor<2x?x8xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%x : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<2x?x8xf32>
}

// -----

// CHECK-LABEL: @in_place_interleaved(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<2x?x8xf32>
// CHECK-NEXT: rope.apply
// CHECK-SAME: outs(%[[X]]
// CHECK-NEXT: return %[[X]]
func.func @in_place_interleaved(%x: tensor<2x?x8xf32>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>) -> tensor<2x?x8xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%x : tensor<2x?x8xf32>)
                  {pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<interleaved>, position_dims = array<i64: 1>, offset = 4}
  return %y : tensor<2x?x8xf32>
}

// -----

// CHECK-LABEL: @destination(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<2x?x8xf32>, %{{.*}}, %{{.*}}, %[[Y:[a-z0-9]+]]: memref<2x?x8xf32>)
// CHECK-NEXT: rope.apply ins(%[[X]]
// CHECK-SAME: outs(%[[Y]]
// CHECK-NEXT: return %[[Y]]
func.func @destination(%x: tensor<2x?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>, %y: tensor<2x?x8xf32>) -> tensor<2x?x8xf32> {
  %z = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%y : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %z : tensor<2x?x8xf32>
}

// -----

// Partial: what the destination held is not read either, though channels of x
// are copied into it.

// CHECK-LABEL: @partial_destination(
// CHECK: rope.apply
// CHECK-NOT: copy
// CHECK: return
func.func @partial_destination(%x: tensor<2x?x8xf32>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>, %y: memref<2x?x8xf32>) {
  %t = bufferization.to_tensor %y restrict writable : memref<2x?x8xf32> to tensor<2x?x8xf32>
  %z = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%t : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  bufferization.materialize_in_destination %z in restrict writable %y : (tensor<2x?x8xf32>, memref<2x?x8xf32>) -> ()
  return
}

// -----

// The pairing changes: each pair is written where another is still to be read.

// CHECK-LABEL: @other_pairing(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<4x8xf32>
// CHECK: %[[NEW:.*]] = memref.alloc()
// CHECK: rope.apply ins(%[[X]]
// CHECK-SAME: outs(%[[NEW]]
// CHECK: return %[[NEW]]
func.func @other_pairing(%x: tensor<4x8xf32>, %c: tensor<4x4xf32>, %s: tensor<4x4xf32>) -> tensor<4x8xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%x : tensor<4x8xf32>)
                  {pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x8xf32>
}

// -----

// x is read afterwards.

// CHECK-LABEL: @used_again(
// CHECK: memref.alloc()
// CHECK: rope.apply
func.func @used_again(%x: tensor<4x8xf32>, %c: tensor<4x4xf32>, %s: tensor<4x4xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %y = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%x : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %x, %y : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// The table is read for every row, whatever has been written meanwhile: it may
// not be the destination, even where it is x as well.

// CHECK-LABEL: @table_is_x(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<?x?xf32>
// CHECK: %[[NEW:.*]] = memref.alloc(
// CHECK: rope.apply ins(%[[X]], %[[X]], %[[X]]
// CHECK-SAME: outs(%[[NEW]]
func.func @table_is_x(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %y = rope.apply ins(%x, %x, %x : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
                  outs(%x : tensor<?x?xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x?xf32>
}

// -----

// Two results, two destinations.

// CHECK-LABEL: @table(
// CHECK-SAME: %[[P:[a-z0-9]+]]: memref<?xi64>, %[[F:[a-z0-9]+]]: memref<4xi64>, %[[C:[a-z0-9]+]]: memref<?x4xf32>, %[[S:[a-z0-9]+]]: memref<?x4xf32>
// CHECK-NEXT: rope.table ins(%[[P]], %[[F]] : {{.*}}) outs(%[[C]], %[[S]] : memref<?x4xf32>, memref<?x4xf32>) {magnitude = 2.000000e+00 : f64}
// CHECK-NEXT: return %[[C]], %[[S]]
func.func @table(%p: tensor<?xi64>, %f: tensor<4xi64>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xi64>) outs(%c, %s : tensor<?x4xf32>, tensor<?x4xf32>) {magnitude = 2.0 : f64}
  return %cos, %sin : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// One destination for both: they must not share it.

// CHECK-LABEL: @table_one_init(
// CHECK: %[[NEW:.*]] = memref.alloc(
// CHECK-NOT: memref.copy
// CHECK: rope.table {{.*}} outs(%[[A:.*]], %[[B:.*]] :
// CHECK: return %[[A]], %[[B]]
func.func @table_one_init(%p: tensor<?xi64>, %f: tensor<4xi64>, %c: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xi64>) outs(%c, %c : tensor<?x4xf32>, tensor<?x4xf32>)
  return %cos, %sin : tensor<?x4xf32>, tensor<?x4xf32>
}

// RUN: rope-opt %s --split-input-file --load-pass-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext --pass-pipeline='builtin.module(transform-interpreter,rope-test-fuse-consumer,canonicalize,cse)' --verify-diagnostics | FileCheck %s

// Fused as the consumer of a tiled producer: the epilogue of a projection. The
// tables are sliced like the positions of the tile.

// CHECK-LABEL: @epilogue(
// CHECK: scf.forall (%[[I:.*]]) in (8)
// CHECK: %[[O:.*]] = affine.apply
// CHECK: %[[Z:.*]] = linalg.exp ins(%{{.*}} : tensor<2x8xf32>)
// CHECK: %[[T:.*]] = tensor.extract_slice %{{.*}}[%[[O]], 0] [2, 4] [1, 1] : tensor<16x4xf32>
// CHECK: rope.apply ins(%[[Z]], %[[T]], %[[T]] : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>)
func.func @epilogue(%x: tensor<16x8xf32>, %t: tensor<16x4xf32>, %init: tensor<16x8xf32>) -> tensor<16x8xf32> {
  %z = linalg.exp ins(%x : tensor<16x8xf32>) outs(%init : tensor<16x8xf32>) -> tensor<16x8xf32>
  %y = rope.apply ins(%z, %t, %t : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>)
                  outs(%init : tensor<16x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<16x8xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop = transform.structured.tile_using_forall %0 tile_sizes [2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Positions that a loop makes: the table is fused behind them.

// CHECK-LABEL: @table(
// CHECK: scf.forall
// CHECK: linalg.add
// CHECK: rope.table ins(%{{.*}} : tensor<4xi64>, tensor<2xf64>) outs(%{{.*}} : tensor<4x2xf32>, tensor<4x2xf32>)
func.func @table(%p: tensor<16xi64>, %f: tensor<2xf64>, %init: tensor<16x2xf32>) -> (tensor<16x2xf32>, tensor<16x2xf32>) {
  %q = linalg.add ins(%p, %p : tensor<16xi64>, tensor<16xi64>) outs(%p : tensor<16xi64>) -> tensor<16xi64>
  %c, %s = rope.table ins(%q, %f : tensor<16xi64>, tensor<2xf64>) outs(%init, %init : tensor<16x2xf32>, tensor<16x2xf32>)
  return %c, %s : tensor<16x2xf32>, tensor<16x2xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.add"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop = transform.structured.tile_using_forall %0 tile_sizes [4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A loop over parts of the head does not rotate whole pairs: refused.

// CHECK-LABEL: @head(
// CHECK: scf.forall
// CHECK-NOT: rope.apply
// CHECK: }
// CHECK: rope.apply ins(%{{.*}} : tensor<16x8xf32>
func.func @head(%x: tensor<16x8xf32>, %t: tensor<16x4xf32>, %init: tensor<16x8xf32>) -> tensor<16x8xf32> {
  %z = linalg.exp ins(%x : tensor<16x8xf32>) outs(%init : tensor<16x8xf32>) -> tensor<16x8xf32>
  // expected-remark @below {{is not fused}}
  %y = rope.apply ins(%z, %t, %t : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>)
                  outs(%init : tensor<16x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<16x8xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop = transform.structured.tile_using_forall %0 tile_sizes [2, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-fuse-table),cse)' | FileCheck %s

// A row is made for one position, in an empty row of its own, and used for all
// heads.

// CHECK-LABEL: @own(
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK: tensor.empty() : tensor<1x4xf32>
// CHECK: rope.table ins(%{{.*}} : tensor<1xi64>, tensor<4xi64>)
// CHECK-SAME: tensor<1x4xf32>
// CHECK-NOT: rope.table
// CHECK: rope.apply ins(%{{.*}} : tensor<2x1x32x8xf32>, tensor<1x4xf32>, tensor<1x4xf32>)
func.func @own(%p: tensor<?xi64>, %f: tensor<4xi64>, %x: tensor<2x?x32x8xf32>, %init: tensor<2x?x32x8xf32>, %n: index) -> tensor<2x?x32x8xf32> {
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xi64>) outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x32x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<2x?x32x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<2x?x32x8xf32>
}

// -----

// Used by two, it is made once.

// CHECK-LABEL: @shared(
// CHECK-NOT: scf.for
// CHECK: rope.table
// CHECK-NOT: scf.for
func.func @shared(%p: tensor<4xi64>, %f: tensor<4xi64>, %q: tensor<4x8xf32>, %k: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xi64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %y = rope.apply ins(%q, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%q : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %z = rope.apply ins(%k, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%k : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %z : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// In front of a loop that rotates with it each time round, it stays there.

// CHECK-LABEL: @before_loop(
// CHECK: rope.table
// CHECK: scf.for
// CHECK-NOT: rope.table
func.func @before_loop(%p: tensor<4xi64>, %f: tensor<4xi64>, %x: tensor<4x8xf32>, %n: index) -> tensor<4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<4x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xi64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%y = %x) -> tensor<4x8xf32> {
    %z = rope.apply ins(%y, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                    outs(%y : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %z : tensor<4x8xf32>
  }
  return %r : tensor<4x8xf32>
}

// -----

// Cosine and sine the wrong way round, or of one position for all: left alone.

// CHECK-LABEL: @left_alone(
// CHECK-NOT: scf.for
// CHECK: return
func.func @left_alone(%p: tensor<4xi64>, %o: tensor<i64>, %f: tensor<4xi64>, %x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xi64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %y = rope.apply ins(%x, %s, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%x : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %e1 = tensor.empty() : tensor<4xf32>
  %c1, %s1 = rope.table ins(%o, %f : tensor<i64>, tensor<4xi64>) outs(%e1, %e1 : tensor<4xf32>, tensor<4xf32>)
  %z = rope.apply ins(%x, %c1, %s1 : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
                  outs(%x : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return %y, %z : tensor<4x8xf32>, tensor<4x8xf32>
}

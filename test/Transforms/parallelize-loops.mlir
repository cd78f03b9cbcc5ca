// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-parallelize-loops))' | FileCheck %s

// Nested loops become one; slices are written at its end.

// CHECK-LABEL: @nest(
// CHECK-SAME: %[[X:.*]]: tensor<?x4xf32>, %[[Y:.*]]: tensor<?x4xf32>, %[[N:.*]]: index
// CHECK: %[[R:.*]] = scf.forall (%[[I:.*]], %[[J:.*]]) in (%[[N]], %{{.*}}) shared_outs(%[[S:.*]] = %[[Y]])
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[X]][%[[I]], %[[J]]] [1, 1] [1, 1]
// CHECK: scf.forall.in_parallel
// CHECK: tensor.parallel_insert_slice %[[ROW]] into %[[S]][%[[I]], %[[J]]] [1, 1] [1, 1]
// CHECK: return %[[R]]
func.func @nest(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>, %n: index) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %y) -> (tensor<?x4xf32>) {
    %t = scf.for %j = %c0 to %c4 step %c1 iter_args(%b = %a) -> (tensor<?x4xf32>) {
      %row = tensor.extract_slice %x[%i, %j] [1, 1] [1, 1] : tensor<?x4xf32> to tensor<1x1xf32>
      %w = tensor.insert_slice %row into %b[%i, %j] [1, 1] [1, 1] : tensor<1x1xf32> into tensor<?x4xf32>
      scf.yield %w : tensor<?x4xf32>
    } {rope.parallel}
    scf.yield %t : tensor<?x4xf32>
  } {rope.parallel}
  return %r : tensor<?x4xf32>
}

// -----

// Loops that nobody marked, and those that carry something else, are left.

// CHECK-LABEL: @left(
// CHECK-NOT: scf.forall
func.func @left(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>, %n: index, %z: f32) -> (tensor<?x4xf32>, f32, tensor<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %y) -> (tensor<?x4xf32>) {
    %row = tensor.extract_slice %x[%i, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<1x4xf32>
    %w = tensor.insert_slice %row into %a[%i, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<?x4xf32>
    scf.yield %w : tensor<?x4xf32>
  }
  %s = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z) -> (f32) {
    %b = arith.addf %a, %z : f32
    scf.yield %b : f32
  } {rope.parallel}
  // The slice goes into another tensor than the one that goes around.
  %t = scf.for %i = %c0 to %n step %c1 iter_args(%a = %y) -> (tensor<?x4xf32>) {
    %row = tensor.extract_slice %a[%i, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<1x4xf32>
    %w = tensor.insert_slice %row into %x[%i, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<?x4xf32>
    scf.yield %w : tensor<?x4xf32>
  } {rope.parallel}
  return %r, %s, %t : tensor<?x4xf32>, f32, tensor<?x4xf32>
}

// RUN: rope-opt %s --rope-to-llvm | FileCheck %s
// RUN: rope-opt %s --rope-to-llvm | FileCheck %s --check-prefix=NONE

// What else functions do around the operations: all is lowered, and nothing is
// left of the dialects above.

// NONE-NOT: = math.
// NONE-NOT: memref.
// NONE-NOT: unrealized_conversion_cast

// One of two tables is returned: into the caller's memory, of any strides, while
// the other one goes to memory of its own.

// CHECK-LABEL: llvm.func @one_table(
func.func @one_table(%p: tensor<4xi64>) -> tensor<4x4xf32> {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %e = tensor.empty() : tensor<4x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  return %c : tensor<4x4xf32>
}

// An argument as destination is not written; what is written is the caller's
// memory, not one that is copied there.

// CHECK-LABEL: llvm.func @argument_as_destination(
// CHECK-NOT: malloc
// CHECK-NOT: memcpy
// CHECK: llvm.return
func.func @argument_as_destination(%x: tensor<?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%x : tensor<?x8xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x8xf32>
}

// In a branch and in a loop, where no carried value is copied either.

// CHECK-LABEL: llvm.func @in_branch(
func.func @in_branch(%x: tensor<4x8xf32>, %t: tensor<4x4xf32>, %b: i1) -> tensor<4x8xf32> {
  %r = scf.if %b -> tensor<4x8xf32> {
    %z = rope.apply ins(%x, %t, %t : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%x : tensor<4x8xf32>)
                    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %z : tensor<4x8xf32>
  } else {
    scf.yield %x : tensor<4x8xf32>
  }
  return %r : tensor<4x8xf32>
}

// CHECK-LABEL: llvm.func @in_loop(
func.func @in_loop(%x: tensor<4x8xf32>, %t: tensor<4x4xf32>, %n: index) -> tensor<4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%y = %x) -> tensor<4x8xf32> {
    %z = rope.apply ins(%y, %t, %t : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%y : tensor<4x8xf32>)
                    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %z : tensor<4x8xf32>
  }
  return %r : tensor<4x8xf32>
}

// Unusual element types of positions, dynamic numbers of pairs, none at all.

// CHECK-LABEL: llvm.func @positions(
func.func @positions(%p: tensor<4xi1>, %q: tensor<4xi17>, %r: tensor<4xbf16>, %s: tensor<4xf64>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf64>, tensor<4x4xf64>) {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %e = tensor.empty() : tensor<4x4xf32>
  %d = tensor.empty() : tensor<4x4xf64>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi1>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %c1, %s1 = rope.table ins(%q, %f : tensor<4xi17>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %c2, %s2 = rope.table ins(%r, %f : tensor<4xbf16>, tensor<4xf64>) outs(%d, %d : tensor<4x4xf64>, tensor<4x4xf64>)
  %c3, %s3 = rope.table ins(%s, %f : tensor<4xf64>, tensor<4xf64>) outs(%d, %d : tensor<4x4xf64>, tensor<4x4xf64>)
  return %c0, %c1, %c2, %c3 : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf64>, tensor<4x4xf64>
}

// CHECK-LABEL: llvm.func @dynamic_pairs(
func.func @dynamic_pairs(%x: tensor<?x?xf32>, %c: tensor<?x?xf32>, %s: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) outs(%x : tensor<?x?xf32>)
                  {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return %y : tensor<?x?xf32>
}

// CHECK-LABEL: llvm.func @no_pairs(
func.func @no_pairs(%p: tensor<2x4xi64>, %x: tensor<4x8xf16>) -> (tensor<4x0xf64>, tensor<4x8xf16>) {
  %f = rope.frequencies base(1.0e4) : tensor<0xf64>
  %e = tensor.empty() : tensor<4x0xf64>
  %c, %s = rope.table ins(%p, %f : tensor<2x4xi64>, tensor<0xf64>) outs(%e, %e : tensor<4x0xf64>, tensor<4x0xf64>)
             {axes = array<i64>}
  %z = rope.apply ins(%x, %c, %s : tensor<4x8xf16>, tensor<4x0xf64>, tensor<4x0xf64>) outs(%x : tensor<4x8xf16>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %c, %z : tensor<4x0xf64>, tensor<4x8xf16>
}

// CHECK-LABEL: llvm.func @frequencies(
func.func @frequencies(%length: i64) -> (tensor<4xf64>, tensor<1xf64>) {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<4xf64>
  %f1 = rope.frequencies base(1.0e4) : tensor<1xf64>
  return %g, %f1 : tensor<4xf64>, tensor<1xf64>
}

// Operations of other dialects: what LLVM has no instruction for is libm's.

// CHECK-LABEL: llvm.func @mathematics(
// CHECK: llvm.intr.sqrt
// CHECK: llvm.call @erff
func.func @mathematics(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = math.sqrt %x : tensor<?x8xf32>
  %z = math.erf %y : tensor<?x8xf32>
  %w = math.cbrt %z : tensor<?x8xf32>
  return %w : tensor<?x8xf32>
}

// Bits are bytes in memory, whatever vectors make of them.

// CHECK-LABEL: llvm.func @mask(
// CHECK-NOT: llvm.load {{.*}} -> vector<{{[0-9]+}}xi1>
// CHECK: llvm.load {{.*}} -> vector<4xi8>
// CHECK-NOT: llvm.load {{.*}} -> vector<{{[0-9]+}}xi1>
// CHECK: llvm.return
func.func @mask(%x: tensor<?x8xf32>, %z: tensor<?x8xf32>, %m: tensor<?x8xi1>) -> tensor<?x8xf32> {
  %y = arith.select %m, %x, %z : tensor<?x8xi1>, tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

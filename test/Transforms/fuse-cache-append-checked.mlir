// DEFINE: %{fuse} = rope-opt %s --pass-pipeline='builtin.module(func.func(rope-fuse-cache-append),generate-runtime-verification,rope-to-llvm)'
// DEFINE: %{input} = --input=2x1x4xf32=1 --input=2x2xf32=1 --input=2x2xf32=0 --input=3x2x1x4xf32=0
// RUN: %{fuse} -o %t.mlir
// RUN: rope-run %t.mlir --function=pages %{input} --input='2x2xi32=1 1 2 0' | FileCheck %s
// RUN: not --crash rope-run %t.mlir --function=pages %{input} --input='2x2xi32=1 1 3 0' 2>&1 | FileCheck %s --check-prefix=PAGE
// RUN: not --crash rope-run %t.mlir --function=pages %{input} --input='2x2xi32=1 1 -1 0' 2>&1 | FileCheck %s --check-prefix=PAGE
// RUN: not --crash rope-run %t.mlir --function=pages %{input} --input='2x2xi32=1 2 1 0' 2>&1 | FileCheck %s --check-prefix=SLOT
// RUN: rope-run %t.mlir --function=offset --input=2x4xf32=1 --input=2x2xf32=1 --input=2x2xf32=0 --input=5x4xf32=0 --input=3 | FileCheck %s --check-prefix=LAST
// RUN: rope-run %t.mlir --function=offset --input=0x4xf32= --input=0x2xf32= --input=0x2xf32= --input=5x4xf32=0 --input=5 | FileCheck %s --check-prefix=NOTHING
// RUN: not --crash rope-run %t.mlir --function=offset --input=2x4xf32=1 --input=2x2xf32=1 --input=2x2xf32=0 --input=5x4xf32=0 --input=4 2>&1 | FileCheck %s --check-prefix=OFFSET

// A page, a slot or an offset that is not in the cache is reported, before anything
// is written there.

// CHECK: 3x2x1x4xf32
// CHECK: 0, 0, 0, 0
// CHECK: 0, 0, 0, 0
// CHECK: 0, 0, 0, 0
// CHECK: 1, 1, 1, 1
// CHECK: 1, 1, 1, 1
// CHECK: 0, 0, 0, 0
// PAGE: offset 0 is out-of-bounds
// SLOT: offset 1 is out-of-bounds
// OFFSET: expected the slice to lie within dimension 0 of the destination
func.func @pages(%x: tensor<?x1x4xf32>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>, %cache: tensor<?x?x1x4xf32>, %i: tensor<?x2xi32>) -> tensor<?x?x1x4xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<?x1x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%x : tensor<?x1x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0, 1]) unique : (tensor<?x1x4xf32>, tensor<?x?x1x4xf32>, tensor<?x2xi32>) -> tensor<?x?x1x4xf32>
  return %r : tensor<?x?x1x4xf32>
}

// LAST: [0, 0, 0, 0]
// LAST-NEXT: [0, 0, 0, 0]
// LAST-NEXT: [0, 0, 0, 0]
// LAST-NEXT: [1, 1, 1, 1]
// LAST-NEXT: [1, 1, 1, 1]
// NOTHING-COUNT-5: [0, 0, 0, 0]
func.func @offset(%x: tensor<?x4xf32>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>, %cache: tensor<?x4xf32>, %pos: index) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<?x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%x : tensor<?x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %cache[%pos, 0] [%n, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}

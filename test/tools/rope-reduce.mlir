// A test case that fails is made small; it holds the operations of this project.

// RUN: rope-reduce %s --reduction-tree='traversal-mode=0 test=%S/Inputs/has-apply.sh' -o - | FileCheck %s
// CHECK: rope.apply
// CHECK-NOT: @other
func.func @apply(%x: tensor<2x4xf32>, %cos: tensor<2x2xf32>) -> tensor<2x4xf32> {
  %y = rope.apply ins(%x, %cos, %cos : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>)
                  outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<2x4xf32>
}
func.func @other(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  return %x : tensor<2x4xf32>
}

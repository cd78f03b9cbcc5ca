// How results are printed.

// RUN: rope-run %S/Inputs/copy.mlir --function=f32 --input=500x4xf32=0.5 | FileCheck %s --check-prefix=LONG
// LONG: result 0: 500x4xf32
// LONG-NEXT: {{^\[\[}}0.5, 0.5, 0.5, 0.5],
// LONG-NEXT: {{^ \[}}0.5, 0.5, 0.5, 0.5],
// LONG-NEXT: {{^ \[}}0.5, 0.5, 0.5, 0.5],
// LONG-NEXT: {{^}} ...,
// LONG-NEXT: {{^ \[}}0.5, 0.5, 0.5, 0.5],
// LONG-NEXT: {{^ \[}}0.5, 0.5, 0.5, 0.5],
// LONG-NEXT: {{^ \[}}0.5, 0.5, 0.5, 0.5]]

// RUN: rope-run %S/Inputs/copy.mlir --function=f32 --input=1x2000xf32=1 | FileCheck %s --check-prefix=WIDE
// WIDE: {{\[\[}}1, 1, 1, ..., 1, 1, 1]]

// Matrices are apart by an empty line, and columns line up.
// RUN: rope-run %s --input='2x1x2xf32=1 -2.25 3 4' | FileCheck %s --check-prefix=CUBE
// CUBE: result 0: 2x1x2xf32
// CUBE-NEXT: {{^\[\[\[}}    1, -2.25]],
// CUBE-EMPTY:
// CUBE-NEXT: {{^ \[\[}}    3,     4]]]
// CUBE-NEXT: result 1: f32
// CUBE-NEXT: {{^}}2
func.func @f(%x: tensor<2x1x2xf32>) -> (tensor<2x1x2xf32>, tensor<f32>) {
  %two = arith.constant 2.0 : f32
  %init = tensor.empty() : tensor<2x1x2xf32>
  %y = linalg.copy ins(%x : tensor<2x1x2xf32>) outs(%init : tensor<2x1x2xf32>) -> tensor<2x1x2xf32>
  %scalar = tensor.empty() : tensor<f32>
  %z = linalg.fill ins(%two : f32) outs(%scalar : tensor<f32>) -> tensor<f32>
  return %y, %z : tensor<2x1x2xf32>, tensor<f32>
}

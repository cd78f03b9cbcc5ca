// Sizes that are known only at run time are checked before the call.

// RUN: not rope-run %s --function=rotate --input=2x4x8xf32= --input=3xi64= 2>&1 | FileCheck %s --check-prefix=EQUAL
// EQUAL: error: dimension 0 of argument 1 is 3, but dimension 1 of argument 0 is 4: expected one size
// EQUAL-NEXT: note: the signature is rotate: (tensor<?x?x8xf32>, tensor<?xi64>) -> tensor<?x?x8xf32>
func.func @rotate(%x: tensor<?x?x8xf32>, %positions: tensor<?xi64>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %s = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %init = tensor.empty(%s) : tensor<?x4xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<4xf64>)
                          outs(%init, %init : tensor<?x4xf32>, tensor<?x4xf32>)
  %out = tensor.empty(%m, %n) : tensor<?x?x8xf32>
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%out : tensor<?x?x8xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<?x?x8xf32>
}

// A result can be larger than every argument.
// RUN: not rope-run %s --function=outer --input=1000000xi8= --input=1000000000xi8= 2>&1 | FileCheck %s --check-prefix=MEMORY
// MEMORY: error: result 0: 1000000x1000000000xf64 needs 8000000000000000 bytes, more than this machine's memory of
// RUN: not rope-run %s --function=long --input=2x0xi8= 2>&1 | FileCheck %s --check-prefix=OVERFLOW
// OVERFLOW: error: result 0: the size of 2x4611686018427387904xf64 exceeds 2^63 - 1 bytes
func.func @outer(%x: tensor<?xi8>, %y: tensor<?xi8>) -> tensor<?x?xf64> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f64
  %m = tensor.dim %x, %c0 : tensor<?xi8>
  %n = tensor.dim %y, %c0 : tensor<?xi8>
  %init = tensor.empty(%m, %n) : tensor<?x?xf64>
  %z = linalg.fill ins(%zero : f64) outs(%init : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %z : tensor<?x?xf64>
}
func.func @long(%x: tensor<?x?xi8>) -> tensor<?x4611686018427387904xf64> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f64
  %m = tensor.dim %x, %c0 : tensor<?x?xi8>
  %init = tensor.empty(%m) : tensor<?x4611686018427387904xf64>
  %z = linalg.fill ins(%zero : f64) outs(%init : tensor<?x4611686018427387904xf64>) -> tensor<?x4611686018427387904xf64>
  return %z : tensor<?x4611686018427387904xf64>
}

// Arrays are passed with rows without gaps.
// RUN: not rope-run %s --function=strided --input=2x2xf32= 2>&1 | FileCheck %s --check-prefix=STRIDES
// STRIDES: error: argument 0: expected the strides of memref<2x2xf32, strided<[8, 1]>>, but got [2, 1]
func.func @strided(%x: memref<2x2xf32, strided<[8, 1]>>) {
  return
}

// So are those of elementwise operations, whose sizes follow from any operand,
// and of loops.

// RUN: not rope-run %s --function=add --input=3x4xf32=1 --input=2x4xf32=1 2>&1 | FileCheck %s --check-prefix=ADD
// RUN: rope-run %s --function=add --input=3x4xf32=1 --input=3x4xf32=2 | FileCheck %s --check-prefix=SUM
// ADD: error: dimension 0 of argument 1 is 2, but dimension 0 of argument 0 is 3: expected one size
// SUM: result 0: 3x4xf32
// SUM-NEXT: {{\[\[}}5, 5, 5, 5],
func.func @add(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = arith.addf %x, %y : tensor<?x4xf32>
  %w = arith.addf %z, %y : tensor<?x4xf32>
  return %w : tensor<?x4xf32>
}

// RUN: not rope-run %s --function=multiply --input=3x4xf32=1 --input=5x2xf32=1 2>&1 | FileCheck %s --check-prefix=MULTIPLY
// MULTIPLY: error: dimension 0 of argument 1 is 5, but dimension 1 of argument 0 is 4: expected one size
func.func @multiply(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %x, %c0 : tensor<?x?xf32>
  %n = tensor.dim %y, %c1 : tensor<?x?xf32>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %z = linalg.matmul ins(%x, %y : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %z : tensor<?x?xf32>
}

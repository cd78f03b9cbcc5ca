// Functions whose result sizes are not those of arguments return buffers, which
// are freed: once each, and neither arguments nor constants.

// RUN: rope-run %s --function=repeat --input=3 | FileCheck %s --check-prefix=REPEAT
// REPEAT: result 0: 3xf32
// REPEAT-NEXT: [1, 1, 1]
func.func @repeat(%n: index) -> tensor<?xf32> {
  %one = arith.constant 1.0 : f32
  %init = tensor.empty(%n) : tensor<?xf32>
  %y = linalg.fill ins(%one : f32) outs(%init : tensor<?xf32>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// Scalars among the results, alone and with arrays.
// RUN: rope-run %s --function=scalar --input=3 | FileCheck %s --check-prefix=SCALAR
// SCALAR: result 0: i64
// SCALAR-NEXT: {{^}}4
func.func @scalar(%n: i64) -> i64 {
  %one = arith.constant 1 : i64
  %y = arith.addi %n, %one : i64
  return %y : i64
}

// RUN: rope-run %s --function=several --input=2 --output=- --output=- --output=@%t.npy --output=- \
// RUN:   | FileCheck %s --check-prefix=SEVERAL
// RUN: %python -c "import numpy; print(numpy.load('%t.npy'))" | FileCheck %s --check-prefix=NPY
// SEVERAL: result 0: i1
// SEVERAL-NEXT: {{^}}true
// SEVERAL-NEXT: result 1: f64
// SEVERAL-NEXT: {{^}}0.5
// SEVERAL-NEXT: result 3: i8
// SEVERAL-NEXT: {{^}}-7
// NPY: [1. 1.]
func.func @several(%n: index) -> (i1, f64, tensor<?xf32>, i8) {
  %true = arith.constant true
  %half = arith.constant 0.5 : f64
  %y = func.call @repeat(%n) : (index) -> tensor<?xf32>
  %seven = arith.constant -7 : i8
  return %true, %half, %y, %seven : i1, f64, tensor<?xf32>, i8
}

// RUN: rope-run %s --function=constant --input=1 --output=- --output=- --benchmark=3 | FileCheck %s --check-prefix=CONSTANT
// CONSTANT: result 0: 2xf32
// CONSTANT-NEXT: [1.5, 2.5]
// CONSTANT-NEXT: result 1: 1xf32
// CONSTANT-NEXT: [1]
func.func @constant(%n: index) -> (tensor<2xf32>, tensor<?xf32>) {
  %c = arith.constant dense<[1.5, 2.5]> : tensor<2xf32>
  %y = func.call @repeat(%n) : (index) -> tensor<?xf32>
  return %c, %y : tensor<2xf32>, tensor<?xf32>
}

// One buffer twice, an argument, and a view with strides.
// RUN: rope-opt %s --symbol-privatize=exclude=shared --symbol-dce --convert-linalg-to-loops --convert-scf-to-cf \
// RUN:     --expand-strided-metadata --convert-to-llvm --reconcile-unrealized-casts \
// RUN:   | rope-run --input='2x3xf32=1 2 3 4 5 6' --output=- --output=- --output=- --output=- --benchmark=3 | FileCheck %s --check-prefix=SHARED
// SHARED: result 0: 2xf32
// SHARED-NEXT: [2, 2]
// SHARED-NEXT: result 1: 2xf32
// SHARED-NEXT: [2, 2]
// SHARED-NEXT: result 2: 2x3xf32
// SHARED-NEXT: {{\[\[}}1, 2, 3],
// SHARED-NEXT: [4, 5, 6]]
// SHARED-NEXT: result 3: 2xf32
// SHARED-NEXT: [2, 5]
func.func @shared(%x: memref<2x3xf32>)
    -> (memref<2xf32>, memref<2xf32>, memref<2x3xf32>, memref<2xf32, strided<[3], offset: 1>>)
    attributes {llvm.emit_c_interface,
                c_signature = (memref<2x3xf32>)
                  -> (memref<2xf32>, memref<2xf32>, memref<2x3xf32>, memref<2xf32, strided<[3], offset: 1>>)} {
  %two = arith.constant 2.0 : f32
  %y = memref.alloc() : memref<2xf32>
  linalg.fill ins(%two : f32) outs(%y : memref<2xf32>)
  %column = memref.subview %x[0, 1] [2, 1] [1, 1] : memref<2x3xf32> to memref<2xf32, strided<[3], offset: 1>>
  return %y, %y, %x, %column
    : memref<2xf32>, memref<2xf32>, memref<2x3xf32>, memref<2xf32, strided<[3], offset: 1>>
}

// Dialects of exporters that are lowered with the rest, in all pipelines.

// RUN: rope-opt %s --rope-to-llvm | FileCheck %s --implicit-check-not=tosa. --implicit-check-not=complex. --implicit-check-not=unrealized
// RUN: rope-opt %s --rope-to-gpu | FileCheck %s --check-prefix=GPU --implicit-check-not=tosa. --implicit-check-not=complex.conj
// RUN: rope-run %s --function=tosa --input='2x3xf32=1 2 3 4 5 6' --input=1x3xf32=2 | FileCheck %s --check-prefix=TOSA
// RUN: rope-run %s --function=complex --input='2xf32=1 2' --input='2xf32=3 4' | FileCheck %s --check-prefix=COMPLEX

// Constants, and operands that are broadcast.
// CHECK-LABEL: llvm.func @tosa(
// GPU-LABEL: func.func @tosa(
// TOSA: {{\[\[}}12, 15],
// TOSA-NEXT: [14, 16]]
func.func @tosa(%x: tensor<2x3xf32>, %y: tensor<1x3xf32>) -> tensor<2x2xf32> {
  %sum = tosa.add %x, %y : (tensor<2x3xf32>, tensor<1x3xf32>) -> tensor<2x3xf32>
  %start = tosa.const_shape {values = dense<[0, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<2> : tensor<2xindex>} : () -> !tosa.shape<2>
  %part = tosa.slice %sum, %start, %size : (tensor<2x3xf32>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x2xf32>
  %c = "tosa.const"() <{values = dense<[[3.0], [2.0]]> : tensor<2x1xf32>}> : () -> tensor<2x1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %product = tosa.mul %part, %c, %shift : (tensor<2x2xf32>, tensor<2x1xf32>, tensor<1xi8>) -> tensor<2x2xf32>
  return %product : tensor<2x2xf32>
}

// The imaginary part of the square of the conjugate.
// CHECK-LABEL: llvm.func @complex(
// GPU-LABEL: func.func @complex(
// COMPLEX: [ -6, -16]
func.func @complex(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
  %init = tensor.empty() : tensor<2xf32>
  %squares = linalg.map ins(%x, %y : tensor<2xf32>, tensor<2xf32>) outs(%init : tensor<2xf32>)
    (%a: f32, %b: f32, %out: f32) {
      %z = complex.create %a, %b : complex<f32>
      %w = complex.conj %z : complex<f32>
      %square = complex.mul %w, %w : complex<f32>
      %im = complex.im %square : complex<f32>
      linalg.yield %im : f32
    }
  return %squares : tensor<2xf32>
}

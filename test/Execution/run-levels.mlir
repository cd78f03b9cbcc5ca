// rope-run takes every level of IR, as text and as bytecode, from a file and from
// standard input, and lowers what is needed.

// DEFINE: %{call} = --function=rope_table --input='2xi64=0 131071'

// RUN: rope-run %s %{call} | FileCheck %s
// RUN: cat %s | rope-run %{call} | FileCheck %s
// RUN: rope-opt %s --emit-bytecode -o %t.mlirbc
// RUN: rope-run %t.mlirbc %{call} | FileCheck %s
// RUN: rope-opt %s --rope-to-llvm -o %t.mlir
// RUN: rope-run %t.mlir %{call} | FileCheck %s
// RUN: rope-opt %s --rope-to-llvm='target-cpu=host' --emit-bytecode | rope-run %{call} | FileCheck %s
// RUN: rope-opt %s --canonicalize --cse | rope-run %{call} | FileCheck %s

// At every level of optimisation.
// RUN: rope-run %s -O0 %{call} | FileCheck %s
// RUN: rope-run %s -O1 %{call} | FileCheck %s
// RUN: rope-run %s --target-cpu=host --target=cpu %{call} | FileCheck %s

// CHECK: result 0: 2x2xf32
// CHECK-NEXT: {{\[\[}}{{ *}}1,{{ *}}1],
// CHECK-NEXT: [-0.81798{{[0-9]+}},{{ *}}-0.78638{{[0-9]+}}]]
// CHECK-NEXT: result 1: 2x2xf32
// CHECK-NEXT: {{\[\[}}{{ *}}0,{{ *}}0],
// CHECK-NEXT: [{{ *}}-0.57524{{[0-9]+}},{{ *}}-0.61773{{[0-9]+}}]]
func.func @rope_table(%positions: tensor<?xi64>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %s = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(1.0e+04) : tensor<2xf64>
  %init = tensor.empty(%s) : tensor<?x2xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<2xf64>)
                          outs(%init, %init : tensor<?x2xf32>, tensor<?x2xf32>)
  return %cos, %sin : tensor<?x2xf32>, tensor<?x2xf32>
}

// Functions that are not called are not compiled: this one calls nobody's code.
func.func private @nobody()
func.func @other() {
  call @nobody() : () -> ()
  return
}

// A function on memrefs gives its arguments as the call leaves them.
// RUN: rope-run %s --function=double --input='2xf32=1 2' | FileCheck %s --check-prefix=MEMREF
// MEMREF: argument 0: 2xf32
// MEMREF-NEXT: [2, 4]
func.func @double(%x: memref<2xf32>) {
  linalg.map { arith.addf } ins(%x, %x : memref<2xf32>, memref<2xf32>) outs(%x : memref<2xf32>)
  return
}

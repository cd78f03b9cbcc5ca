// Only operations of the llvm dialect are left, and the module's attributes.
// RUN: rope-opt %s --rope-to-llvm -o %t.llvm.mlir
// RUN: rope-opt %t.llvm.mlir --mlir-print-op-generic -o %t.generic.mlir
// RUN: not grep -E '"(rope|func|linalg|tensor|bufferization|memref|affine|scf|cf|arith|math|vector|ub)\.|"builtin\.unrealized' %t.generic.mlir
// RUN: FileCheck %s --input-file=%t.llvm.mlir
// RUN: mlir-translate --mlir-to-llvmir %t.llvm.mlir | opt --passes=verify --disable-output
// The result is a valid input.
// RUN: rope-opt %t.llvm.mlir --rope-to-llvm -o %t.again.mlir
// Every target is.
// RUN: rope-opt %s --rope-to-llvm='target-triple=x86_64-linux-gnu target-cpu=sapphirerapids' | FileCheck %s
// RUN: rope-opt %s --rope-to-llvm='target-triple=aarch64-linux-gnu' | FileCheck %s
// Each stage can be printed and read again.
// RUN: %python %S/Inputs/stages.py %s %t.stages
// REQUIRES: x86-registered-target, aarch64-registered-target

// CHECK: module attributes {
// CHECK-SAME: llvm.target_triple =
// CHECK-DAG: llvm.func @_mlir_ciface_rope_table(
// CHECK-DAG: llvm.func @_mlir_ciface_rope_apply(
// CHECK-DAG: llvm.func @_mlir_ciface_everything(
// CHECK-NOT: builtin.unrealized_conversion_cast

func.func @rope_table(%p: tensor<?xi64>, %length: i64) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %p, %c0 : tensor<?xi64>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<4xf64>
  %c, %s = rope.table ins(%p, %g : tensor<?xi64>, tensor<4xf64>) outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>)
  return %c, %s : tensor<?x4xf32>, tensor<?x4xf32>
}

func.func @rope_apply(%x: tensor<?x?x2x8xbf16>, %p: tensor<?x?xi64>) -> tensor<?x?x2x8xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x2x8xbf16>
  %n = tensor.dim %x, %c1 : tensor<?x?x2x8xbf16>
  %e = tensor.empty(%b, %n) : tensor<?x?x4xf32>
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %c, %s = rope.table ins(%p, %f : tensor<?x?xi64>, tensor<4xf64>) outs(%e, %e : tensor<?x?x4xf32>, tensor<?x?x4xf32>)
  %i = tensor.empty(%b, %n) : tensor<?x?x2x8xbf16>
  %y = rope.apply ins(%x, %c, %s : tensor<?x?x2x8xbf16>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) outs(%i : tensor<?x?x2x8xbf16>)
                  {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0, 1>}
  return %y : tensor<?x?x2x8xbf16>
}

// One of each kind beside the models' own: a scalar position, float positions
// in f32, several axes, memrefs, another pairing, operations of other dialects.

func.func @everything(%p: tensor<i64>, %q: tensor<4xf32>, %r: tensor<2x4xi32>, %x: tensor<4x16xf32>, %d: tensor<?x16xf16>)
    -> (tensor<2xf64>, tensor<4x4xf32>, tensor<4x8xf16>, tensor<4x16xf32>, tensor<?x16xf16>, f32) {
  %f2 = rope.frequencies base(1.0e4) : tensor<2xf64>
  %f4 = rope.frequencies base(1.0e4) dimension(64) : tensor<4xf64>
  %f8 = rope.frequencies base(1.0e4) : tensor<8xf64>
  %e2 = tensor.empty() : tensor<2xf64>
  %e4 = tensor.empty() : tensor<4x4xf32>
  %e8 = tensor.empty() : tensor<4x8xf16>
  %c2, %s2 = rope.table ins(%p, %f2 : tensor<i64>, tensor<2xf64>) outs(%e2, %e2 : tensor<2xf64>, tensor<2xf64>)
  %c4, %s4 = rope.table ins(%q, %f4 : tensor<4xf32>, tensor<4xf64>) outs(%e4, %e4 : tensor<4x4xf32>, tensor<4x4xf32>)
               {precision = #rope.precision<f32>}
  %c8, %s8 = rope.table ins(%r, %f8 : tensor<2x4xi32>, tensor<8xf64>) outs(%e8, %e8 : tensor<4x8xf16>, tensor<4x8xf16>)
               {axes = array<i64: 0, 1, 0, 1, 0, 1, 0, 1>, magnitude = 1.5 : f64}
  %i = tensor.empty() : tensor<4x16xf32>
  %y = rope.apply ins(%x, %c8, %s8 : tensor<4x16xf32>, tensor<4x8xf16>, tensor<4x8xf16>) outs(%i : tensor<4x16xf32>)
         {pairing = #rope.pairing<half>, result_pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %z = rope.apply ins(%y, %c4, %s4 : tensor<4x16xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%y : tensor<4x16xf32>)
         {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 2, pair_stride = 7, transpose}
  %w = rope.apply ins(%d, %c2, %c2 : tensor<?x16xf16>, tensor<2xf64>, tensor<2xf64>) outs(%d : tensor<?x16xf16>)
         {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %t = math.tanh %z : tensor<4x16xf32>
  %u = arith.addf %t, %z : tensor<4x16xf32>
  %c0 = arith.constant 0 : index
  %one = tensor.extract %u[%c0, %c0] : tensor<4x16xf32>
  return %c2, %c4, %c8, %u, %w, %one : tensor<2xf64>, tensor<4x4xf32>, tensor<4x8xf16>, tensor<4x16xf32>, tensor<?x16xf16>, f32
}

func.func @memrefs(%x: memref<4x16xf32>, %c: memref<4x4xf32>, %s: memref<4x4xf32>) {
  rope.apply ins(%x, %c, %s : memref<4x16xf32>, memref<4x4xf32>, memref<4x4xf32>) outs(%x : memref<4x16xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// RUN: rope-opt %s --rope-fuse-matmul=tile-rows=32 --rope-to-llvm --mlir-print-ir-after=convert-bufferization-to-memref 2>&1 | FileCheck %s
// RUN: rope-opt %s --rope-fuse-matmul=tile-rows=32 --rope-to-llvm | FileCheck %s --check-prefix=LLVM

// What a rotated tile is written to is made once, in front of the loops: the
// keys of one head, and a tile of queries, on the stack.

// CHECK-LABEL: func @qk(
// CHECK: memref.alloc({{.*}} : memref<1x?x128xf32>
// CHECK: memref.alloca() {{.*}} : memref<1x32x128xf32>
// CHECK: scf.for
// CHECK-NOT: memref.{{alloc|copy|dealloc}}
// CHECK: rope.apply
// CHECK-NOT: memref.{{alloc|copy|dealloc}}
// CHECK: scf.for
// CHECK-NOT: memref.{{alloc|copy|dealloc}}
// CHECK: rope.apply
// CHECK-NOT: memref.{{alloc|copy}}
// CHECK: memref.dealloc
// CHECK-NOT: memref.{{alloc|copy|dealloc}}
// CHECK: return

// LLVM: llvm.func @qk(
// LLVM-NOT: rope.

func.func @qk(%q: tensor<2x?x128xf32>, %k: tensor<2x?x128xf32>, %c: tensor<?x64xf32>, %ck: tensor<?x64xf32>) -> tensor<2x?x?xf32> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c1 : tensor<2x?x128xf32>
  %m = tensor.dim %k, %c1 : tensor<2x?x128xf32>
  %eq = tensor.empty(%n) : tensor<2x?x128xf32>
  %y = rope.apply ins(%q, %c, %c : tensor<2x?x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%eq : tensor<2x?x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %ek = tensor.empty(%m) : tensor<2x?x128xf32>
  %z = rope.apply ins(%k, %ck, %ck : tensor<2x?x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%ek : tensor<2x?x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n, %m) : tensor<2x?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %r = linalg.batch_matmul indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>]
     ins(%y, %z : tensor<2x?x128xf32>, tensor<2x?x128xf32>) outs(%f : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  return %r : tensor<2x?x?xf32>
}

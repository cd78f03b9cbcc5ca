// RUN: rope-opt %s --rope-fuse-projection=tile-tokens=32 --rope-to-llvm --mlir-print-ir-after=rope-pack-matmul 2>&1 | FileCheck %s
// RUN: rope-opt %s --rope-fuse-projection=tile-tokens=32 --rope-to-llvm | FileCheck %s --check-prefix=LLVM

// All that is left of the projection is two tiles and what is packed, in the
// workspace of a task. The rotation writes to the result, which nothing else
// does.

// CHECK-LABEL: func @projection(
// CHECK-NOT: memref.alloc(
// CHECK: scf.forall {{.*}} to (8, %{{.*}}) step (4, 32)
// CHECK-DAG: memref.alloc() {{.*}} : memref<32x4x64xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<32x256xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<32x256x8xf32>
// CHECK: memref.alloca() {{.*}} : memref<32x4x64xbf16>
// CHECK-NOT: memref.{{alloc|copy}}
// CHECK: rope.apply
// CHECK-NOT: memref.{{alloc|copy}}
// CHECK: return

// LLVM-NOT: @malloc
// LLVM: llvm.func @projection(
// LLVM-NOT: rope.

func.func @projection(%x: tensor<?x256xbf16>, %w: tensor<256x512xbf16>, %c: tensor<?x32xf32>) -> tensor<?x8x64xbf16> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x256xbf16>
  %e = tensor.empty(%n) : tensor<?x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x512xf32>) -> tensor<?x512xf32>
  %m = linalg.matmul ins(%x, %w : tensor<?x256xbf16>, tensor<256x512xbf16>) outs(%f : tensor<?x512xf32>) -> tensor<?x512xf32>
  %eb = tensor.empty(%n) : tensor<?x512xbf16>
  %mb = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%m : tensor<?x512xf32>) outs(%eb : tensor<?x512xbf16>) {
  ^bb0(%u: f32, %o: bf16):
    %t = arith.truncf %u : f32 to bf16
    linalg.yield %t : bf16
  } -> tensor<?x512xbf16>
  %h = tensor.expand_shape %mb [[0], [1, 2]] output_shape [%n, 8, 64] : tensor<?x512xbf16> into tensor<?x8x64xbf16>
  %i = tensor.empty(%n) : tensor<?x8x64xbf16>
  %y = rope.apply ins(%h, %c, %c : tensor<?x8x64xbf16>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%i : tensor<?x8x64xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x8x64xbf16>
}

// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-tile-matmul),canonicalize)' | FileCheck %s

// Blocks of columns outside, and in them of rows. What the product starts from
// and what is made of it go along; the product has a buffer in the block.

// CHECK-LABEL: @linear(
// CHECK-SAME: %[[X:.*]]: tensor<?x128xbf16>, %[[W:.*]]: tensor<128x1024xbf16>, %[[B:.*]]: tensor<1024xf32>
// CHECK-NOT: linalg.
// CHECK: scf.forall (%[[J:.*]], %[[I:.*]]) = (0, 0) to (1024, %{{.*}}) step (256, 512) shared_outs
// CHECK-DAG: tensor.extract_slice %[[X]][%[[I]], 0] [%{{.*}}, 128]
// CHECK-DAG: tensor.extract_slice %[[W]][0, %[[J]]] [128, 256]
// CHECK-DAG: bufferization.alloc_tensor() : tensor<512x256xf32>
// CHECK: %[[F:.*]] = linalg.fill
// CHECK: %[[M:.*]] = linalg.matmul {{.*}} outs(%[[F]] : tensor<?x256xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[M]], %{{.*}} : tensor<?x256xf32>, tensor<256xf32>)
// CHECK: arith.truncf
// CHECK-NOT: linalg.{{[^y]}}
// CHECK: return
func.func @linear(%x: tensor<?x128xbf16>, %w: tensor<128x1024xbf16>, %b: tensor<1024xf32>, %n: index) -> tensor<?x1024xbf16> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<?x1024xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x1024xf32>) -> tensor<?x1024xf32>
  %m = linalg.matmul ins(%x, %w : tensor<?x128xbf16>, tensor<128x1024xbf16>) outs(%f : tensor<?x1024xf32>) -> tensor<?x1024xf32>
  %o = tensor.empty(%n) : tensor<?x1024xbf16>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
       ins(%m, %b : tensor<?x1024xf32>, tensor<1024xf32>) outs(%o : tensor<?x1024xbf16>) {
  ^bb0(%u: f32, %v: f32, %z: bf16):
    %s = arith.addf %u, %v : f32
    %t = arith.truncf %s : f32 to bf16
    linalg.yield %t : bf16
  } -> tensor<?x1024xbf16>
  return %y : tensor<?x1024xbf16>
}

// -----

// A batch at a time, of weights that are transposed; a product that is used
// twice is stored.

// CHECK-LABEL: @batch(
// CHECK: scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (3, 512) step (1, 256)
// CHECK: linalg.contract
// CHECK: tensor.parallel_insert_slice
// CHECK: math.absf
// CHECK: math.exp
func.func @batch(%x: tensor<3x100x64xf32>, %w: tensor<3x512x64xf32>, %y: tensor<3x100x512xf32>) -> (tensor<3x100x512xf32>, tensor<3x100x512xf32>) {
  %m = linalg.contract indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>]
         ins(%x, %w : tensor<3x100x64xf32>, tensor<3x512x64xf32>) outs(%y : tensor<3x100x512xf32>) -> tensor<3x100x512xf32>
  %a = math.absf %m : tensor<3x100x512xf32>
  %e = math.exp %m : tensor<3x100x512xf32>
  return %a, %e : tensor<3x100x512xf32>, tensor<3x100x512xf32>
}

// -----

// Single blocks, products in parallel loops, and products of integers are left.

// CHECK-LABEL: @left(
// CHECK: scf.forall (
// CHECK-NOT: scf.forall (
func.func @left(%x: tensor<8x64xf32>, %w: tensor<64x256xf32>, %y: tensor<8x256xf32>, %v: tensor<64x1024xf32>, %z: tensor<8x1024xf32>,
                %i: tensor<8x64xi32>, %j: tensor<64x1024xi32>, %k: tensor<8x1024xi32>)
    -> (tensor<8x256xf32>, tensor<8x1024xf32>, tensor<8x1024xi32>) {
  %0 = linalg.matmul ins(%x, %w : tensor<8x64xf32>, tensor<64x256xf32>) outs(%y : tensor<8x256xf32>) -> tensor<8x256xf32>
  %1 = scf.forall (%t) = (0) to (8) step (1) shared_outs(%o = %z) -> tensor<8x1024xf32> {
    %s = tensor.extract_slice %x[%t, 0] [1, 64] [1, 1] : tensor<8x64xf32> to tensor<1x64xf32>
    %d = tensor.extract_slice %o[%t, 0] [1, 1024] [1, 1] : tensor<8x1024xf32> to tensor<1x1024xf32>
    %m = linalg.matmul ins(%s, %v : tensor<1x64xf32>, tensor<64x1024xf32>) outs(%d : tensor<1x1024xf32>) -> tensor<1x1024xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %m into %o[%t, 0] [1, 1024] [1, 1] : tensor<1x1024xf32> into tensor<8x1024xf32>
    }
  }
  %2 = linalg.matmul ins(%i, %j : tensor<8x64xi32>, tensor<64x1024xi32>) outs(%k : tensor<8x1024xi32>) -> tensor<8x1024xi32>
  return %0, %1, %2 : tensor<8x256xf32>, tensor<8x1024xf32>, tensor<8x1024xi32>
}

// -----

// Nothing is made of what is empty, nor where rows are columns.

// CHECK-LABEL: @empty(
// CHECK-NOT: scf.forall
func.func @empty(%x: tensor<8x0xf32>, %w: tensor<0x1024xf32>, %y: tensor<8x1024xf32>, %z: tensor<0x64xf32>, %v: tensor<64x1024xf32>, %u: tensor<0x1024xf32>)
    -> (tensor<8x1024xf32>, tensor<0x1024xf32>) {
  %0 = linalg.matmul ins(%x, %w : tensor<8x0xf32>, tensor<0x1024xf32>) outs(%y : tensor<8x1024xf32>) -> tensor<8x1024xf32>
  %1 = linalg.matmul ins(%z, %v : tensor<0x64xf32>, tensor<64x1024xf32>) outs(%u : tensor<0x1024xf32>) -> tensor<0x1024xf32>
  return %0, %1 : tensor<8x1024xf32>, tensor<0x1024xf32>
}

// RUN: rope-opt %s --rope-to-gpu='api=cuda chip=sm_90' | FileCheck %s --check-prefixes=CHECK,WIDE
// RUN: rope-opt %s --rope-to-gpu='api=rocm chip=gfx1100' | FileCheck %s --check-prefixes=CHECK,WIDE
// RUN: rope-opt %s --rope-to-gpu='api=vulkan' | FileCheck %s --check-prefixes=CHECK,SINGLE
// RUN: not rope-opt %s --rope-to-gpu='api=cuda chip=sm_61' 2>&1 | FileCheck %s --check-prefix=CHIP
// CHIP: error: no kernels can be made for 'sm_61': expected sm_80 or later

// From tensors: the results are arguments, the paged cache is written in place, and
// what is rotated and what is found in the cache's index is one kernel's business.

// CHECK-LABEL: func.func @append(
// CHECK-NOT: scf.for
// CHECK-NOT: rope.
// WIDE: scf.if
// CHECK: gpu.launch_func @rope_kernels::@append_kernel{{.*}} blocks
// CHECK: gpu.module @rope_kernels
// WIDE: vector.store {{.*}} : memref<?xbf16, strided<[1], offset: ?>>, vector<8xbf16>
// SINGLE-NOT: bf16, strided
// SINGLE: memref.store {{.*}} : memref<?xi16, strided<[1], offset: ?>>
func.func @append(%k: tensor<?x8x128xbf16>, %positions: tensor<?xi64>, %places: tensor<?x2xi64>, %cache: tensor<?x16x8x128xbf16>) -> tensor<?x16x8x128xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(5.0e+05) : tensor<64xf64>
  %row = tensor.empty() : tensor<1x64xf32>
  %to = tensor.empty() : tensor<1x8x128xbf16>
  %r = scf.for %t = %c0 to %n step %c1 iter_args(%c = %cache) -> (tensor<?x16x8x128xbf16>) {
    %page = tensor.extract %places[%t, %c0] : tensor<?x2xi64>
    %slot = tensor.extract %places[%t, %c1] : tensor<?x2xi64>
    %i = arith.index_cast %page : i64 to index
    %j = arith.index_cast %slot : i64 to index
    %x = tensor.extract_slice %k[%t, 0, 0] [1, 8, 128] [1, 1, 1] : tensor<?x8x128xbf16> to tensor<1x8x128xbf16>
    %p = tensor.extract_slice %positions[%t] [1] [1] : tensor<?xi64> to tensor<1xi64>
    %cos, %sin = rope.table ins(%p, %f : tensor<1xi64>, tensor<64xf64>) outs(%row, %row : tensor<1x64xf32>, tensor<1x64xf32>)
    %y = rope.apply ins(%x, %cos, %sin : tensor<1x8x128xbf16>, tensor<1x64xf32>, tensor<1x64xf32>)
                    outs(%to : tensor<1x8x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    %w = tensor.insert_slice %y into %c[%i, %j, 0, 0] [1, 1, 8, 128] [1, 1, 1, 1] : tensor<1x8x128xbf16> into tensor<?x16x8x128xbf16>
    scf.yield %w : tensor<?x16x8x128xbf16>
  } {rope.parallel}
  return %r : tensor<?x16x8x128xbf16>
}

// Attention of 16-bit types on the matrix units of CUDA: which operations, how
// many kernels, and what they are made of. What they compute is tested in
// Integration/GPU/test_attention_mma.py.

// RUN: rope-opt %s -split-input-file -convert-rope-to-gpu="api=cuda chip=sm_80" \
// RUN:   -canonicalize -cse | FileCheck %s
// RUN: rope-opt %s -split-input-file -convert-rope-to-gpu="api=rocm" \
// RUN:   -canonicalize -cse | FileCheck %s --check-prefix=OTHER
// RUN: rope-opt %s -split-input-file -convert-rope-to-gpu="api=vulkan" \
// RUN:   -canonicalize -cse | FileCheck %s --check-prefix=OTHER
// OTHER: gpu.launch_func @rope_kernels::@few_attention blocks
// OTHER-NOT: _attention_mma

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// Few queries: blocks of 64, which stay in registers. All addresses and
// distances are multiples of 16 bytes, or the portable kernel runs.

// CHECK-LABEL: func @few
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[LOW:.*]] = arith.constant 15 : index
// CHECK: memref.extract_aligned_pointer_as_index %arg0
// CHECK: memref.extract_aligned_pointer_as_index %arg1
// CHECK: memref.extract_aligned_pointer_as_index %arg2
// CHECK: memref.extract_aligned_pointer_as_index %arg3
// CHECK: %[[BITS:.*]] = arith.andi %{{.*}}, %[[LOW]]
// CHECK: %[[ALIGNED:.*]] = arith.cmpi eq, %[[BITS]], %[[ZERO]]
// CHECK: scf.if %[[ALIGNED]] {
// CHECK-NOT: scf.if
// CHECK: gpu.launch_func @rope_kernels::@few_attention_mma blocks in (%c4,
// CHECK-SAME: threads in (%c128,
// CHECK-NOT: dynamic_shared_memory_size
// CHECK: } else {
// CHECK: gpu.launch_func @rope_kernels::@few_attention blocks

// Keys and values of 64 rows of 16 channels and a pad of 8. Keys first, then
// queries, then both products in a loop, values transposed.

// CHECK: gpu.func @few_attention_mma(
// CHECK-SAME: workgroup(%[[TILES:.*]] : memref<3072xf16, #gpu.address_space<workgroup>> {llvm.align = 16 : i64}
// CHECK: nvgpu.device_async_copy {{.*}}, %[[TILES]][{{.*}}], 8 {bypassL1}
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvgpu.device_async_copy {{.*}}, %[[TILES]][{{.*}}], 8 {bypassL1}
// CHECK: nvvm.cp.async.wait.group 0
// CHECK: gpu.barrier
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>, num = 4
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 0
// CHECK: gpu.barrier
// CHECK-COUNT-2: nvgpu.device_async_copy
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>, num = 4
// CHECK: nvvm.mma.sync {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (vector<2xf16>, vector<2xf16>, f32)
// CHECK: nvvm.cp.async.wait.group 0
// CHECK: gpu.barrier
// CHECK: nvgpu.device_async_copy
// CHECK: gpu.shuffle xor
// CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz"
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>, num = 4
// CHECK: nvvm.mma.sync
// CHECK: scf.yield
// What is not finite is seen after the loop.
// CHECK: nvvm.vote.sync any
// CHECK: scf.if
// CHECK: nvvm.mma.sync
// CHECK: } else {
// CHECK-NOT: nvvm.mma.sync
// CHECK: vector.store {{.*}} {alignment = 16 : i64} : memref<?xf16, strided<[1], offset: ?>>, vector<8xf16>

func.func @few(%q: memref<2x64x2x16xf16>, %k: memref<2x130x2x16xf16>, %v: memref<2x130x2x16xf16>,
               %o: memref<2x64x2x16xf16>) {
  rope.attention {scale = 0.25 : f64, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<2x64x2x16xf16>, memref<2x130x2x16xf16>, memref<2x130x2x16xf16>)
    outs(%o : memref<2x64x2x16xf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// Many queries: blocks of 128, which stay in workgroup memory: 256 rows of 136.

// CHECK-LABEL: func @many
// CHECK: scf.if
// CHECK-NOT: scf.if
// CHECK: gpu.launch_func @rope_kernels::@many_attention_mma blocks in (%c256,
// CHECK-SAME: dynamic_shared_memory_size %c69632_i32
// CHECK: gpu.func @many_attention_mma(
// CHECK: gpu.dynamic_shared_memory
// CHECK: nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<bf16>

func.func @many(%q: memref<1x1024x32x128xbf16>, %k: memref<1x1024x8x128xbf16>, %v: memref<1x1024x8x128xbf16>,
                %o: memref<1x1024x32x128xbf16>) {
  rope.attention {scale = 0.25 : f64, causal, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<1x1024x32x128xbf16>, memref<1x1024x8x128xbf16>, memref<1x1024x8x128xbf16>)
    outs(%o : memref<1x1024x32x128xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, h, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, h, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, h, i, e)>

// The host chooses where it depends on sizes.

// CHECK-LABEL: func @unknown
// CHECK: scf.if
// CHECK: %[[BLOCKS:.*]] = arith.cmpi ugt, %{{.*}}, %c107
// CHECK: %[[ROWS:.*]] = arith.cmpi ugt, %{{.*}}, %c64
// CHECK: %[[TALL:.*]] = arith.andi %[[BLOCKS]], %[[ROWS]]
// CHECK: scf.if %[[TALL]] {
// CHECK: gpu.launch_func @rope_kernels::@unknown_attention_mma blocks
// CHECK: } else {
// CHECK: gpu.launch_func @rope_kernels::@unknown_attention_mma_0 blocks

func.func @unknown(%q: memref<?x?x?x64xbf16>, %k: memref<?x?x?x64xbf16>, %v: memref<?x?x?x64xbf16>,
                   %o: memref<?x?x?x64xbf16>) {
  rope.attention {scale = 0.25 : f64, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x?x?x64xbf16>, memref<?x?x?x64xbf16>, memref<?x?x?x64xbf16>)
    outs(%o : memref<?x?x?x64xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, h, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, h, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, h, i, e)>

// Wide heads: tiles of 32 keys, blocks of 64 queries alone.

// CHECK-LABEL: func @wide
// CHECK: gpu.launch_func @rope_kernels::@wide_attention_mma blocks
// CHECK-NOT: @wide_attention_mma_0
// CHECK: workgroup(%{{.*}} : memref<16896xbf16, #gpu.address_space<workgroup>>
// CHECK: gpu.func @wide_attention(

func.func @wide(%q: memref<?x?x?x256xbf16>, %k: memref<?x?x?x256xbf16>, %v: memref<?x?x?x256xbf16>,
                %o: memref<?x?x?x256xbf16>) {
  rope.attention {scale = 0.25 : f64, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x?x?x256xbf16>, memref<?x?x?x256xbf16>, memref<?x?x?x256xbf16>)
    outs(%o : memref<?x?x?x256xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

// What the matrix units do not take: other types, channels that are no multiple
// of 16, too many or unknown, and channels that do not lie side by side.

// CHECK-LABEL: func @others
// CHECK-NOT: _attention_mma

func.func @others(%single: memref<32x32xf32>, %single_out: memref<32x32xf32>,
                  %odd: memref<32x24xf16>, %odd_out: memref<32x24xf16>,
                  %many: memref<32x272xf16>, %many_out: memref<32x272xf16>,
                  %unknown: memref<32x?xf16>, %unknown_out: memref<32x?xf16>,
                  %strided: memref<32x32xf16, strided<[1, 32]>>, %strided_out: memref<32x32xf16, strided<[1, 32]>>,
                  %half: memref<32x32xf16>, %brain: memref<32x32xbf16>, %half_out: memref<32x32xf16>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%single, %single, %single : memref<32x32xf32>, memref<32x32xf32>, memref<32x32xf32>) outs(%single_out : memref<32x32xf32>)
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%odd, %odd, %odd : memref<32x24xf16>, memref<32x24xf16>, memref<32x24xf16>) outs(%odd_out : memref<32x24xf16>)
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%many, %many, %many : memref<32x272xf16>, memref<32x272xf16>, memref<32x272xf16>) outs(%many_out : memref<32x272xf16>)
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%unknown, %unknown, %unknown : memref<32x?xf16>, memref<32x?xf16>, memref<32x?xf16>) outs(%unknown_out : memref<32x?xf16>)
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%strided, %strided, %strided : memref<32x32xf16, strided<[1, 32]>>, memref<32x32xf16, strided<[1, 32]>>, memref<32x32xf16, strided<[1, 32]>>) outs(%strided_out : memref<32x32xf16, strided<[1, 32]>>)
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%half, %brain, %half : memref<32x32xf16>, memref<32x32xbf16>, memref<32x32xf16>) outs(%half_out : memref<32x32xf16>)
  return
}

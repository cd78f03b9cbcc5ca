// RUN: rope-opt %s --split-input-file --convert-rope-to-gpu=api=vulkan --canonicalize --cse | FileCheck %s
// RUN: rope-opt %s --split-input-file --convert-rope-to-gpu=api=rocm --canonicalize --cse | FileCheck %s --check-prefix=ROCM

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 2, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 2, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// One kernel for all, which keeps no scores but those of a tile: two heads of
// eight queries each are a block. Keys that no query of a block sees are not
// visited.
// CHECK-LABEL: func @causal
// CHECK: %[[TILES:.*]] = arith.ceildivui %{{.*}}, %c8
// CHECK: %[[BLOCKS:.*]] = arith.muli %{{.*}}, %[[TILES]]
// CHECK-NOT: alloc
// CHECK: gpu.launch_func @rope_kernels::@causal_attention blocks in (%[[BLOCKS]], %c1, %c1) threads in (%c128, %c1, %c1)
// CHECK-NOT: gpu.launch_func
// CHECK: gpu.func @causal_attention
// CHECK-SAME: workgroup(%{{.*}} : memref<512xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64}, %{{.*}} : memref<1056xf32, {{.*}}, %{{.*}} : memref<640xf32, {{.*}}, %{{.*}} : memref<128xf32, {{.*}}) kernel
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK: %[[LAST:.*]] = arith.addi %{{.*}}, %c1_i32 : i32
// CHECK: %[[END:.*]] = arith.minsi %{{.*}}, %[[LAST]] : i32
// CHECK: %[[BOUND:.*]] = arith.maxsi %[[END]], %c0_i32 : i32
// CHECK: %[[TO:.*]] = arith.index_cast %[[BOUND]] : i32 to index
// CHECK: scf.for %{{.*}} = %c0 to %[[TO]] step %c32 iter_args
// CHECK: gpu.barrier
// CHECK: math.fma
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: arith.cmpi sle
// CHECK: arith.select %{{.*}}, %{{.*}}, %{{.*}} : f32
// CHECK: gpu.barrier
// CHECK: gpu.barrier
// CHECK: math.exp
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: math.fma
// CHECK: arith.cmpf oeq
// CHECK: gpu.return
// CHECK-NOT: gpu.func
func.func @causal(%q: memref<?x?x4x32xf32>, %k: memref<?x?x2x32xf32>, %v: memref<?x?x2x32xf32>, %o: memref<?x?x4x32xf32>) {
  rope.attention {causal, scale = 0.25 : f64, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x?x4x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>) outs(%o : memref<?x?x4x32xf32>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, h, e)>

// Channels come in chunks, so that workgroup memory is 16 KiB at most; where
// there is more of it, all channels of the queries stay there.
// CHECK-LABEL: func @wide
// CHECK: gpu.func @wide_attention
// CHECK-SAME: workgroup(%{{.*}} : memref<1024xf32, {{.*}}, %{{.*}} : memref<2112xf32, {{.*}}, %{{.*}} : memref<640xf32, {{.*}}, %{{.*}} : memref<128xf32, {{.*}}) kernel
// ROCM-LABEL: func @wide
// ROCM: gpu.func @wide_attention
// ROCM-SAME: workgroup(%{{.*}} : memref<3072xf32, {{.*}}, %{{.*}} : memref<2112xf32, {{.*}}, %{{.*}} : memref<640xf32, {{.*}}, %{{.*}} : memref<128xf32, {{.*}}) kernel
func.func @wide(%q: memref<?x4x192xbf16>, %k: memref<?x4x192xbf16>, %v: memref<?x4x128xbf16>, %o: memref<?x4x128xbf16>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x4x192xbf16>, memref<?x4x192xbf16>, memref<?x4x128xbf16>) outs(%o : memref<?x4x128xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, h, e)>

// CHECK-LABEL: func @wide_f64
// CHECK: gpu.func @wide_f64_attention
// CHECK-SAME: workgroup(%{{.*}} : memref<256xf64, {{.*}}, %{{.*}} : memref<1024xf64, {{.*}}, %{{.*}} : memref<512xf64, {{.*}}, %{{.*}} : memref<128xf64, {{.*}}) kernel
// CHECK-NOT: math.exp
// CHECK: gpu.return
func.func @wide_f64(%q: memref<?x4x192xf64>, %k: memref<?x4x192xf64>, %v: memref<?x4x128xf64>, %o: memref<?x4x128xf64>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x4x192xf64>, memref<?x4x192xf64>, memref<?x4x128xf64>) outs(%o : memref<?x4x128xf64>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

// Keys are rotated on their way to workgroup memory. Angles of whole positions
// and turns are made there, by integers of 32 bits.
// CHECK-LABEL: func @angles
// CHECK-NOT: alloc
// CHECK: gpu.launch_func
// CHECK: gpu.func @angles_attention
// CHECK: scf.for
// CHECK-NOT: gpu.barrier
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: arith.mului_extended %{{.*}}, %{{.*}} : i32
// CHECK: memref.store
// CHECK: memref.store
// CHECK: gpu.barrier
// CHECK-NOT: arith.mului_extended
// CHECK: gpu.return
func.func @angles(%q: memref<?x64xf32>, %k: memref<?x64xf32>, %v: memref<?x64xf32>, %p: memref<?xi64>, %f: memref<32xi64>, %o: memref<?x64xf32>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x64xf32>, memref<?x64xf32>, memref<?x64xf32>)
    rotate_key(%p, %f : memref<?xi64>, memref<32xi64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>>
    outs(%o : memref<?x64xf32>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

// Other angles are tables, in the device's memory for as long as they are read.
// CHECK-LABEL: func @float_angles
// CHECK: %[[COS:.*]] = gpu.alloc (%{{.*}}) : memref<?x32xf32>
// CHECK: %[[SIN:.*]] = gpu.alloc (%{{.*}}) : memref<?x32xf32>
// CHECK: gpu.launch_func @rope_kernels::@float_angles_kernel
// CHECK: gpu.launch_func @rope_kernels::@float_angles_attention
// CHECK: gpu.dealloc %[[COS]]
// CHECK: gpu.dealloc %[[SIN]]
// CHECK: return
func.func @float_angles(%q: memref<?x64xf32>, %k: memref<?x64xf32>, %v: memref<?x64xf32>, %p: memref<?xf32>, %f: memref<32xf64>, %o: memref<?x64xf32>) {
  rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : memref<?x64xf32>, memref<?x64xf32>, memref<?x64xf32>)
    rotate_key(%p, %f : memref<?xf32>, memref<32xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>>
    outs(%o : memref<?x64xf32>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, h, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, h, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, h, i, e)>
#m = affine_map<(b, h, i, j, d, e) -> (b, j)>

// The region stands in the kernel, with numbers from outside as parameters.
// CHECK-LABEL: func @region
// CHECK-SAME: %[[CAP:[^ ]*]]: f32)
// CHECK: %[[BITS:.*]] = arith.bitcast %[[CAP]] : f32 to i32
// CHECK: gpu.launch_func @rope_kernels::@region_attention
// CHECK: gpu.func @region_attention
// CHECK-SAME: memref<?xi8, strided<[1], offset: ?>>
// CHECK: %[[SEEN:.*]] = arith.cmpi ne, %{{.*}}, %{{.*}} : i8
// CHECK: arith.bitcast %{{.*}} : i32 to f32
// CHECK: math.tanh
// CHECK: arith.select %[[SEEN]], %{{.*}}, %{{.*}} : f32
func.func @region(%q: memref<?x2x?x8xf32>, %k: memref<?x2x?x8xf32>, %v: memref<?x2x?x8xf32>, %m: memref<?x?xi1>, %o: memref<?x2x?x8xf32>, %cap: f32) {
  rope.attention {indexing_maps = [#q, #k, #v, #m, #o]}
    ins(%q, %k, %v : memref<?x2x?x8xf32>, memref<?x2x?x8xf32>, memref<?x2x?x8xf32>)
    score_operands(%m : memref<?x?xi1>) outs(%o : memref<?x2x?x8xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %seen: i1):
    %inf = arith.constant 0xFF800000 : f32
    %x = arith.divf %score, %cap : f32
    %y = math.tanh %x : f32
    %z = arith.mulf %y, %cap : f32
    %r = arith.select %seen, %z, %inf : f32
    rope.yield %r : f32
  }
  return
}

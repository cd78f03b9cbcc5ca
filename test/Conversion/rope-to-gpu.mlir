// RUN: rope-opt %s --split-input-file --convert-rope-to-gpu='api=cuda chip=sm_90' --canonicalize --cse | FileCheck %s
// RUN: rope-opt %s --split-input-file --convert-rope-to-gpu='api=vulkan' --canonicalize --cse | FileCheck %s --check-prefix=VULKAN

// Query and key in one launch. The table is not made: its memory goes, and both
// make angles from the halves of positions and frequencies. The host sees whether
// rows are aligned. A Vulkan buffer has one type of elements, so accesses are of one.

// CHECK-LABEL: func @query_and_key(
// CHECK-NOT: gpu.alloc
// CHECK: %[[ALIGNED:.*]] = arith.andi {{.*}} : i1
// CHECK: scf.if %[[ALIGNED]]
// CHECK: gpu.launch_func @rope_kernels::@query_and_key_kernel blocks
// CHECK: else
// CHECK: gpu.launch_func @rope_kernels::@query_and_key_kernel_unaligned blocks
// CHECK-NOT: gpu.launch_func
// CHECK: gpu.func @query_and_key_kernel(
// CHECK-SAME: memref<?xbf16, strided<[1], offset: ?>>
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?xbf16, strided<[1], offset: ?>>, vector<8xbf16>
// CHECK: arith.mului_extended
// CHECK: scf.for
// CHECK-COUNT-2: vector.store {{.*}} {alignment = 16 : i64}
// CHECK: else
// CHECK: arith.mului_extended
// CHECK: gpu.func @query_and_key_kernel_unaligned(
// CHECK-NOT: vector.load {{.*}}bf16
// CHECK: gpu.return

// VULKAN-LABEL: func @query_and_key(
// VULKAN-NOT: scf.if
// VULKAN: gpu.launch_func
// VULKAN-NOT: gpu.launch_func
// VULKAN: gpu.func @query_and_key_kernel(
// VULKAN-SAME: memref<?xi16, strided<[1], offset: ?>>
// VULKAN-SAME: memref<?xi32, strided<[1], offset: ?>>
// VULKAN-SAME: known_block_size = array<i32: 128, 1, 1>
// VULKAN-NOT: i64
// VULKAN-NOT: vector.load
// VULKAN: gpu.return
memref.global "private" constant @turns : memref<64xi64> = dense<7>
func.func @query_and_key(%q: memref<?x32x128xbf16, strided<[?, ?, 1], offset: ?>>, %k: memref<?x8x128xbf16>, %p: memref<?xi64>,
                         %qr: memref<?x32x128xbf16>, %kr: memref<?x8x128xbf16>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %p, %c0 : memref<?xi64>
  %w = memref.get_global @turns : memref<64xi64>
  %cos = memref.alloc(%n) : memref<?x64xf32>
  %sin = memref.alloc(%n) : memref<?x64xf32>
  rope.table ins(%p, %w : memref<?xi64>, memref<64xi64>) outs(%cos, %sin : memref<?x64xf32>, memref<?x64xf32>)
  rope.apply ins(%q, %cos, %sin : memref<?x32x128xbf16, strided<[?, ?, 1], offset: ?>>, memref<?x64xf32>, memref<?x64xf32>)
             outs(%qr : memref<?x32x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  rope.apply ins(%k, %cos, %sin : memref<?x8x128xbf16>, memref<?x64xf32>, memref<?x64xf32>)
             outs(%kr : memref<?x8x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  memref.dealloc %cos : memref<?x64xf32>
  memref.dealloc %sin : memref<?x64xf32>
  return
}

// -----

// A rotation and a copy into a cache share a launch. Channels that do not rotate
// are copied by threads of their own: three parts in all.

// CHECK-LABEL: func @append(
// CHECK-COUNT-2: gpu.launch_func
// CHECK-NOT: gpu.launch_func
// CHECK: gpu.func @append_kernel(
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: arith.cmpi slt, %[[BLOCK]]
// CHECK: arith.cmpi slt, %[[BLOCK]]
// CHECK-NOT: arith.cmpi slt, %[[BLOCK]]
// CHECK: gpu.return
func.func @append(%k: memref<?x8x96xf16>, %v: memref<?x8x96xf16>, %c: memref<?x32xf32>, %s: memref<?x32xf32>, %at: index,
                  %kc: memref<4096x8x96xf16>, %vc: memref<4096x8x96xf16>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %k, %c0 : memref<?x8x96xf16>
  %ks = memref.subview %kc[%at, 0, 0] [%n, 8, 96] [1, 1, 1] : memref<4096x8x96xf16> to memref<?x8x96xf16, strided<[768, 96, 1], offset: ?>>
  %vs = memref.subview %vc[%at, 0, 0] [%n, 8, 96] [1, 1, 1] : memref<4096x8x96xf16> to memref<?x8x96xf16, strided<[768, 96, 1], offset: ?>>
  rope.apply ins(%k, %c, %s : memref<?x8x96xf16>, memref<?x32xf32>, memref<?x32xf32>)
             outs(%ks : memref<?x8x96xf16, strided<[768, 96, 1], offset: ?>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  memref.copy %v, %vs : memref<?x8x96xf16> to memref<?x8x96xf16, strided<[768, 96, 1], offset: ?>>
  return
}

// -----

// In place nothing is copied: one part, which compares no blocks.

// CHECK-LABEL: func @in_place(
// CHECK: gpu.func @in_place_kernel(
// CHECK-NOT: arith.cmpi slt, %block_id_x
// CHECK: gpu.return
func.func @in_place(%x: memref<?x8x96xf32>, %c: memref<?x32xf32>, %s: memref<?x32xf32>) {
  rope.apply ins(%x, %c, %s : memref<?x8x96xf32>, memref<?x32xf32>, memref<?x32xf32>)
             outs(%x : memref<?x8x96xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return
}

// -----

// One that reads what another one writes is launched after it.

// CHECK-LABEL: func @one_after_another(
// CHECK: gpu.launch_func @rope_kernels::@one_after_another_kernel blocks
// CHECK: gpu.launch_func @rope_kernels::@one_after_another_kernel_0 blocks
func.func @one_after_another(%x: memref<?x8xf64>, %y: memref<?x8xf64>, %z: memref<?x8xf64>, %c: memref<?x4xf64>, %s: memref<?x4xf64>) {
  rope.apply ins(%x, %c, %s : memref<?x8xf64>, memref<?x4xf64>, memref<?x4xf64>)
             outs(%y : memref<?x8xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  rope.apply ins(%y, %c, %s : memref<?x8xf64>, memref<?x4xf64>, memref<?x4xf64>)
             outs(%z : memref<?x8xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  return
}

// -----

// Frequencies that the host computes are copied once for both tables, and freed
// behind the launch. Axes are a constant.

// CHECK-LABEL: memref.global "private" constant @axes : memref<2xi32> = dense<[0, 1]>
// CHECK-LABEL: func @copied(
// CHECK: linalg.generic
// CHECK: %[[COPY:.*]] = gpu.alloc () : memref<2xi64>
// CHECK: gpu.memcpy %[[COPY]],
// CHECK-NOT: gpu.alloc
// CHECK: gpu.launch_func @rope_kernels::@copied_kernel
// CHECK: gpu.dealloc %[[COPY]]
func.func @copied(%p: memref<2x?xi32>, %n: i64, %c0: memref<?x2xf32>, %s0: memref<?x2xf32>, %c1: memref<?x2xf32>, %s1: memref<?x2xf32>) {
  %w = memref.alloca() : memref<2xi64>
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%w : memref<2xi64>) {
  ^bb0(%o: i64):
    linalg.yield %n : i64
  }
  rope.table ins(%p, %w : memref<2x?xi32>, memref<2xi64>) outs(%c0, %s0 : memref<?x2xf32>, memref<?x2xf32>) {axes = array<i64: 0, 1>}
  rope.table ins(%p, %w : memref<2x?xi32>, memref<2xi64>) outs(%c1, %s1 : memref<?x2xf32>, memref<?x2xf32>) {axes = array<i64: 0, 1>}
  return
}

// -----

// What the host changes after that is copied again, for another launch.

// CHECK-LABEL: func @changed(
// CHECK: gpu.memcpy
// CHECK: gpu.launch_func @rope_kernels::@changed_kernel
// CHECK: gpu.dealloc
// CHECK: memref.store
// CHECK: gpu.memcpy
// CHECK: gpu.launch_func @rope_kernels::@changed_kernel
func.func @changed(%p: memref<?xi32>, %n: i64, %c0: memref<?x2xf32>, %s0: memref<?x2xf32>, %c1: memref<?x2xf32>, %s1: memref<?x2xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %w = memref.alloca() : memref<2xi64>
  memref.store %n, %w[%zero] : memref<2xi64>
  rope.table ins(%p, %w : memref<?xi32>, memref<2xi64>) outs(%c0, %s0 : memref<?x2xf32>, memref<?x2xf32>)
  memref.store %n, %w[%one] : memref<2xi64>
  rope.table ins(%p, %w : memref<?xi32>, memref<2xi64>) outs(%c1, %s1 : memref<?x2xf32>, memref<?x2xf32>)
  return
}

// -----

// Linalg operations around rotations: a thread for each parallel iteration, which
// runs the reductions, and memory for what lies between.

// CHECK-LABEL: func @scaled(
// CHECK: %[[SUM:.*]] = gpu.alloc (%{{.*}}) : memref<?xf32>
// CHECK: gpu.launch_func @rope_kernels::@scaled_kernel blocks
// CHECK: gpu.launch_func @rope_kernels::@scaled_kernel_0 blocks
// CHECK: gpu.dealloc %[[SUM]]
// CHECK: gpu.func @scaled_kernel_0(
// CHECK: scf.for
// CHECK: memref.load
// CHECK: arith.addf
// CHECK: memref.store
// CHECK: gpu.return
func.func @scaled(%x: memref<?x8xf32>, %y: memref<?xf32>, %scale: f32) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %sum = memref.alloc(%n) : memref<?xf32>
  linalg.fill ins(%zero : f32) outs(%sum : memref<?xf32>)
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
                  iterator_types = ["parallel", "reduction"]} ins(%x : memref<?x8xf32>) outs(%sum : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %t = arith.mulf %a, %scale : f32
    %u = arith.addf %t, %b : f32
    linalg.yield %u : f32
  }
  memref.copy %sum, %y : memref<?xf32> to memref<?xf32>
  memref.dealloc %sum : memref<?xf32>
  return
}

// -----

// Iterations of parallel loops are threads of one kernel, in which the places of
// rows are loaded. The table's row, which the loop makes, is not made.

// CHECK-LABEL: func @paged(
// CHECK-NOT: scf.for
// CHECK-NOT: memref.load
// CHECK-NOT: gpu.alloc
// CHECK: gpu.launch_func @rope_kernels::@paged_kernel blocks
// CHECK: gpu.func @paged_kernel(
// CHECK: memref.load {{.*}} : memref<?xi64
// CHECK: vector.store {{.*}} vector<8xbf16>
// CHECK: gpu.return
memref.global "private" constant @turns : memref<64xi64> = dense<7>
func.func @paged(%k: memref<?x8x128xbf16>, %p: memref<?xi64>, %place: memref<?x2xi64>, %cache: memref<?x16x8x128xbf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %p, %c0 : memref<?xi64>
  %w = memref.get_global @turns : memref<64xi64>
  scf.forall (%t) in (%n) {
    %cos = memref.alloca() : memref<1x64xf32>
    %sin = memref.alloca() : memref<1x64xf32>
    %page = memref.load %place[%t, %c0] : memref<?x2xi64>
    %slot = memref.load %place[%t, %c1] : memref<?x2xi64>
    %i = arith.index_cast %page : i64 to index
    %j = arith.index_cast %slot : i64 to index
    %x = memref.subview %k[%t, 0, 0] [1, 8, 128] [1, 1, 1] : memref<?x8x128xbf16> to memref<1x8x128xbf16, strided<[1024, 128, 1], offset: ?>>
    %y = memref.subview %cache[%i, %j, 0, 0] [1, 1, 8, 128] [1, 1, 1, 1] : memref<?x16x8x128xbf16> to memref<1x8x128xbf16, strided<[1024, 128, 1], offset: ?>>
    %q = memref.subview %p[%t] [1] [1] : memref<?xi64> to memref<1xi64, strided<[1], offset: ?>>
    rope.table ins(%q, %w : memref<1xi64, strided<[1], offset: ?>>, memref<64xi64>) outs(%cos, %sin : memref<1x64xf32>, memref<1x64xf32>)
    rope.apply ins(%x, %cos, %sin : memref<1x8x128xbf16, strided<[1024, 128, 1], offset: ?>>, memref<1x64xf32>, memref<1x64xf32>)
               outs(%y : memref<1x8x128xbf16, strided<[1024, 128, 1], offset: ?>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
  return
}

// -----

// Nothing to do makes no kernel, and no module of them.

// CHECK-LABEL: func @empty(
// CHECK-NOT: gpu.
// CHECK: return
func.func @empty(%x: memref<0x8xf32>, %y: memref<0x8xf32>, %c: memref<4xf32>, %s: memref<4xf32>) {
  rope.apply ins(%x, %c, %s : memref<0x8xf32>, memref<4xf32>, memref<4xf32>)
             outs(%y : memref<0x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

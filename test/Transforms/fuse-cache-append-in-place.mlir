// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-fuse-cache-append),rope-to-llvm)' \
// RUN:   --mlir-print-ir-after=convert-bufferization-to-memref -o %t.mlir 2>&1 \
// RUN:   | FileCheck %s --implicit-check-not='memref.alloc(' --implicit-check-not=memref.copy

// Rows are made in the cache: no buffer is as large as what is rotated, the
// cache is not copied. Small buffers of one row are on the stack.

// CHECK-LABEL: @pages(
// CHECK-SAME: %{{.*}}: memref<2x?x8x64xf32>, %{{.*}}: memref<?xi64>, %[[CACHE:[a-z0-9]+]]: memref<?x16x8x64xf32>
// CHECK-COUNT-2: memref.alloca() {alignment = 64 : i64} : memref<1x32xf32>
// CHECK-NOT: memref.alloca
// CHECK: scf.for
// CHECK: rope.table
// CHECK: scf.for
// CHECK: %[[PLACE:.*]] = memref.subview %[[CACHE]]
// CHECK: rope.apply {{.*}} outs(%[[PLACE]]
func.func @pages(%x_m: memref<2x?x8x64xf32>, %p_m: memref<?xi64>, %cache_m: memref<?x16x8x64xf32>, %i_m: memref<2x?x2xi32>) {
  %x = bufferization.to_tensor %x_m restrict : memref<2x?x8x64xf32> to tensor<2x?x8x64xf32>
  %p = bufferization.to_tensor %p_m restrict : memref<?xi64> to tensor<?xi64>
  %i = bufferization.to_tensor %i_m restrict : memref<2x?x2xi32> to tensor<2x?x2xi32>
  %cache = bufferization.to_tensor %cache_m restrict writable : memref<?x16x8x64xf32> to tensor<?x16x8x64xf32>
  %f = arith.constant dense<12345> : tensor<32xi64>
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c1 : tensor<2x?x8x64xf32>
  %e = tensor.empty(%n) : tensor<2x?x8x64xf32>
  %te = tensor.empty(%n) : tensor<?x32xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<32xi64>) outs(%te, %te : tensor<?x32xf32>, tensor<?x32xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%e : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0, 1]) unique : (tensor<2x?x8x64xf32>, tensor<?x16x8x64xf32>, tensor<2x?x2xi32>) -> tensor<?x16x8x64xf32>
  bufferization.materialize_in_destination %r in restrict writable %cache_m : (tensor<?x16x8x64xf32>, memref<?x16x8x64xf32>) -> ()
  return
}

// CHECK-LABEL: @loop(
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: memref<?x16x8x64xf32>
// CHECK-NOT: memref.alloca
// CHECK: scf.for
// CHECK: %[[PLACE:.*]] = memref.subview %[[CACHE]]
// CHECK: rope.apply {{.*}} outs(%[[PLACE]]
func.func @loop(%x_m: memref<?x8x64xf32>, %t_m: memref<?x32xf32>, %blocks_m: memref<?xindex>, %cache_m: memref<?x16x8x64xf32>) {
  %x = bufferization.to_tensor %x_m restrict : memref<?x8x64xf32> to tensor<?x8x64xf32>
  %s = bufferization.to_tensor %t_m restrict : memref<?x32xf32> to tensor<?x32xf32>
  %blocks = bufferization.to_tensor %blocks_m restrict : memref<?xindex> to tensor<?xindex>
  %cache = bufferization.to_tensor %cache_m restrict writable : memref<?x16x8x64xf32> to tensor<?x16x8x64xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %n = tensor.dim %x, %c0 : tensor<?x8x64xf32>
  %e = tensor.empty(%n) : tensor<?x8x64xf32>
  %y = rope.apply ins(%x, %s, %s : tensor<?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%e : tensor<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.for %t = %c0 to %n step %c1 iter_args(%it = %cache) -> tensor<?x16x8x64xf32> {
    %block = arith.divui %t, %c16 : index
    %slot = arith.remui %t, %c16 : index
    %page = tensor.extract %blocks[%block] : tensor<?xindex>
    %row = tensor.extract_slice %y[%t, 0, 0] [1, 8, 64] [1, 1, 1] : tensor<?x8x64xf32> to tensor<8x64xf32>
    %i = tensor.insert_slice %row into %it[%page, %slot, 0, 0] [1, 1, 8, 64] [1, 1, 1, 1] : tensor<8x64xf32> into tensor<?x16x8x64xf32>
    scf.yield %i : tensor<?x16x8x64xf32>
  }
  bufferization.materialize_in_destination %r in restrict writable %cache_m : (tensor<?x16x8x64xf32>, memref<?x16x8x64xf32>) -> ()
  return
}

// Numbers and scales: the rotated row alone, and what its maximum is found in,
// are buffers.

#row = affine_map<(t, h, d) -> (t, h, d)>
#head = affine_map<(t, h, d) -> (t, h)>

// CHECK-LABEL: @quantised(
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: memref<?x8x64xi8>, %[[SCALES:[a-z0-9]+]]: memref<?x8xf32>
// CHECK-NOT: memref.alloca
// CHECK: %[[Y:.*]] = memref.alloca() {{.*}} : memref<1x8x64xf32>
// CHECK: memref.alloca() {{.*}} : memref<1x8xf32>
// CHECK-NOT: memref.alloca
// CHECK: scf.for
// CHECK: rope.apply {{.*}} outs(%[[Y]]
// CHECK-DAG: memref.subview %[[CACHE]]
// CHECK-DAG: memref.subview %[[SCALES]]
// CHECK: return
func.func @quantised(%x_m: memref<?x8x64xf32>, %t_m: memref<?x32xf32>, %cache_m: memref<?x8x64xi8>, %scales_m: memref<?x8xf32>, %pos: index) {
  %x = bufferization.to_tensor %x_m restrict : memref<?x8x64xf32> to tensor<?x8x64xf32>
  %s = bufferization.to_tensor %t_m restrict : memref<?x32xf32> to tensor<?x32xf32>
  %cache = bufferization.to_tensor %cache_m restrict writable : memref<?x8x64xi8> to tensor<?x8x64xi8>
  %scales = bufferization.to_tensor %scales_m restrict writable : memref<?x8xf32> to tensor<?x8xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x8x64xf32>
  %e = tensor.empty(%n) : tensor<?x8x64xf32>
  %y = rope.apply ins(%x, %s, %s : tensor<?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%e : tensor<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %es = tensor.empty(%n) : tensor<?x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%es : tensor<?x8xf32>) -> tensor<?x8xf32>
  %amax = linalg.generic {indexing_maps = [#row, #head], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y : tensor<?x8x64xf32>) outs(%z : tensor<?x8xf32>) {
  ^bb0(%a: f32, %m: f32):
    %0 = math.absf %a : f32
    %1 = arith.maximumf %0, %m : f32
    linalg.yield %1 : f32
  } -> tensor<?x8xf32>
  %scale = linalg.map { math.sqrt } ins(%amax : tensor<?x8xf32>) outs(%es : tensor<?x8xf32>)
  %eq = tensor.empty(%n) : tensor<?x8x64xi8>
  %q = linalg.generic {indexing_maps = [#row, #head, #row], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%y, %scale : tensor<?x8x64xf32>, tensor<?x8xf32>) outs(%eq : tensor<?x8x64xi8>) {
  ^bb0(%a: f32, %m: f32, %o: i8):
    %0 = arith.divf %a, %m : f32
    %1 = arith.fptosi %0 : f32 to i8
    linalg.yield %1 : i8
  } -> tensor<?x8x64xi8>
  %scales1 = tensor.insert_slice %scale into %scales[%pos, 0] [%n, 8] [1, 1] : tensor<?x8xf32> into tensor<?x8xf32>
  %cache1 = tensor.insert_slice %q into %cache[%pos, 0, 0] [%n, 8, 64] [1, 1, 1] : tensor<?x8x64xi8> into tensor<?x8x64xi8>
  bufferization.materialize_in_destination %cache1 in restrict writable %cache_m : (tensor<?x8x64xi8>, memref<?x8x64xi8>) -> ()
  bufferization.materialize_in_destination %scales1 in restrict writable %scales_m : (tensor<?x8xf32>, memref<?x8xf32>) -> ()
  return
}

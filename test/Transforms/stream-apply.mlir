// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-stream-apply{min-bytes=1048576}),cse,canonicalize)' | FileCheck %s
// RUN: rope-opt %s --mlir-disable-threading --pass-pipeline='builtin.module(func.func(rope-stream-apply{min-bytes=1048576}))' --remark-format=emitRemark --remarks-filter='rope-stream-apply' -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: rope-opt %s --pass-pipeline='builtin.module(rope-set-target{target-triple=aarch64-linux-gnu},func.func(rope-stream-apply{min-bytes=1048576}))' | FileCheck %s --check-prefix=OTHER

// OTHER-NOT: rope.streaming
module attributes {llvm.target_triple = "x86_64-unknown-linux-gnu"} {

// The condition is computed in front of the loop, of whole arrays.

// REMARK: stores go past the caches where the loop reads and writes 1048576 bytes or more, rows of the result start at multiples of 64 bytes, and x is not written over
// CHECK-LABEL: @large(
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 1048576 : index
// CHECK-DAG: %[[MASK:.*]] = arith.constant 63 : index
// CHECK: memref.extract_aligned_pointer_as_index
// CHECK: memref.extract_aligned_pointer_as_index
// CHECK-DAG: arith.cmpi uge, %{{.*}}, %[[LIMIT]]
// CHECK-DAG: arith.andi %{{.*}}, %[[MASK]]
// CHECK-DAG: arith.cmpi ne
// CHECK: scf.forall
// CHECK: scf.if
// CHECK-NEXT: rope.apply {{.*}} rope.streaming = 64 : i64}
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.sse.sfence"
// CHECK-NEXT: } else {
// CHECK-NEXT: rope.apply
// CHECK-NOT: rope.streaming
// CHECK: return
func.func @large(%x: memref<?x8x32xf32>, %c: memref<?x16xf32>, %s: memref<?x16xf32>, %y: memref<?x8x32xf32, strided<[?, ?, 1], offset: ?>>, %n: index) {
  scf.forall (%i) = (0) to (%n) step (4) {
    %xs = memref.subview %x[%i, 0, 0] [4, 8, 32] [1, 1, 1] : memref<?x8x32xf32> to memref<4x8x32xf32, strided<[256, 32, 1], offset: ?>>
    %cs = memref.subview %c[%i, 0] [4, 16] [1, 1] : memref<?x16xf32> to memref<4x16xf32, strided<[16, 1], offset: ?>>
    %ss = memref.subview %s[%i, 0] [4, 16] [1, 1] : memref<?x16xf32> to memref<4x16xf32, strided<[16, 1], offset: ?>>
    %ys = memref.subview %y[%i, 0, 0] [4, 8, 32] [1, 1, 1] : memref<?x8x32xf32, strided<[?, ?, 1], offset: ?>> to memref<4x8x32xf32, strided<[?, ?, 1], offset: ?>>
    rope.apply ins(%xs, %cs, %ss : memref<4x8x32xf32, strided<[256, 32, 1], offset: ?>>, memref<4x16xf32, strided<[16, 1], offset: ?>>, memref<4x16xf32, strided<[16, 1], offset: ?>>)
               outs(%ys : memref<4x8x32xf32, strided<[?, ?, 1], offset: ?>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
  return
}

// Rows of 160 bytes are aligned to 32.

// REMARK: rows of the result start at multiples of 32 bytes
// CHECK-LABEL: @halves_of_lines(
// CHECK: rope.streaming = 32 : i64
func.func @halves_of_lines(%x: memref<?x80xbf16>, %c: memref<?x16xf32>, %y: memref<?x80xbf16>) {
  rope.apply ins(%x, %c, %c : memref<?x80xbf16>, memref<?x16xf32>, memref<?x16xf32>)
             outs(%y : memref<?x80xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// Read ahead only: in place, and rows that would be written in small pieces.

// REMARK: x is read ahead where the loop reads and writes 1048576 bytes or more; stores go through the caches: it is in place
// REMARK: x is read ahead where the loop reads and writes 1048576 bytes or more; stores go through the caches: heads of 24 bytes are no multiple of 32
// CHECK-LABEL: @ahead(
// CHECK: scf.if
// CHECK-NEXT: rope.apply {{.*}} rope.streaming = 0 : i64}
// CHECK-NEXT: } else {
// CHECK-NEXT: rope.apply
// CHECK: scf.if
// CHECK-NEXT: rope.apply {{.*}} rope.streaming = 0 : i64}
// CHECK-NEXT: } else {
// CHECK-NEXT: rope.apply
// CHECK-NOT: sfence
// CHECK: return
func.func @ahead(%x: memref<?x32xf32>, %c: memref<?x16xf32>, %odd: memref<?x6xf32>, %odds: memref<?x6xf32>, %t: memref<?x3xf32>) {
  rope.apply ins(%x, %c, %c : memref<?x32xf32>, memref<?x16xf32>, memref<?x16xf32>)
             outs(%x : memref<?x32xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  rope.apply ins(%odd, %t, %t : memref<?x6xf32>, memref<?x3xf32>, memref<?x3xf32>)
             outs(%odds : memref<?x6xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// Of a cache that is large and a part of it that is small the part counts.

// CHECK-LABEL: @into_cache(
// CHECK: %[[X:.*]] = arith.muli
// CHECK: arith.minui
// CHECK: scf.if
func.func @into_cache(%x: memref<?x32xf32>, %c: memref<?x16xf32>, %cache: memref<1048576x32xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %xs = memref.subview %x[%i, 0] [1, 32] [1, 1] : memref<?x32xf32> to memref<1x32xf32, strided<[32, 1], offset: ?>>
    %cs = memref.subview %c[%i, 0] [1, 16] [1, 1] : memref<?x16xf32> to memref<1x16xf32, strided<[16, 1], offset: ?>>
    %ys = memref.subview %cache[%i, 0] [1, 32] [1, 1] : memref<1048576x32xf32> to memref<1x32xf32, strided<[32, 1], offset: ?>>
    rope.apply ins(%xs, %cs, %cs : memref<1x32xf32, strided<[32, 1], offset: ?>>, memref<1x16xf32, strided<[16, 1], offset: ?>>, memref<1x16xf32, strided<[16, 1], offset: ?>>)
               outs(%ys : memref<1x32xf32, strided<[32, 1], offset: ?>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
  return
}

// A loop over layers around the tasks: the fence belongs to the thread that
// stores, so to the end of the task.

// CHECK-LABEL: @layers(
// CHECK: scf.for
// CHECK: scf.forall
// CHECK: scf.if
// CHECK-NEXT: rope.apply {{.*}} rope.streaming = 64 : i64}
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.sse.sfence"
// CHECK-NEXT: } else {
// CHECK-NOT: sfence
// CHECK: return
func.func @layers(%x: memref<?x32xf32>, %c: memref<?x16xf32>, %y: memref<?x32xf32>, %n: index, %layers: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %layer = %c0 to %layers step %c1 {
    scf.forall (%i) in (%n) {
      %xs = memref.subview %x[%i, 0] [1, 32] [1, 1] : memref<?x32xf32> to memref<1x32xf32, strided<[32, 1], offset: ?>>
      %cs = memref.subview %c[%i, 0] [1, 16] [1, 1] : memref<?x16xf32> to memref<1x16xf32, strided<[16, 1], offset: ?>>
      %ys = memref.subview %y[%i, 0] [1, 32] [1, 1] : memref<?x32xf32> to memref<1x32xf32, strided<[32, 1], offset: ?>>
      rope.apply ins(%xs, %cs, %cs : memref<1x32xf32, strided<[32, 1], offset: ?>>, memref<1x16xf32, strided<[16, 1], offset: ?>>, memref<1x16xf32, strided<[16, 1], offset: ?>>)
                 outs(%ys : memref<1x32xf32, strided<[32, 1], offset: ?>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    }
  }
  return
}

// REMARK: stores go through the caches: the arrays fit in a cache
// REMARK: stores go through the caches: the size of a head is not known
// REMARK: stores go through the caches: rows are not contiguous
// REMARK: stores go through the caches: the arrays that it reads and writes are not known
// CHECK-LABEL: @left(
// CHECK-NOT: scf.if
// CHECK: return
func.func @left(%c: memref<?x16xf32>, %small: memref<4096x16xf32>, %y: memref<?x?xf32>, %z: memref<?x?xf32>,
                %apart: memref<?x32xf32, strided<[?, 2]>>, %n: index) {
  %e = memref.alloc() : memref<4096x16xf32>
  %t8 = memref.alloc() : memref<4096x8xf32>
  rope.apply ins(%small, %t8, %t8 : memref<4096x16xf32>, memref<4096x8xf32>, memref<4096x8xf32>)
             outs(%e : memref<4096x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  rope.apply ins(%y, %c, %c : memref<?x?xf32>, memref<?x16xf32>, memref<?x16xf32>)
             outs(%z : memref<?x?xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  rope.apply ins(%apart, %c, %c : memref<?x32xf32, strided<[?, 2]>>, memref<?x16xf32>, memref<?x16xf32>)
             outs(%apart : memref<?x32xf32, strided<[?, 2]>>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %own = memref.alloc(%n) : memref<?x32xf32>
    rope.apply ins(%own, %c, %c : memref<?x32xf32>, memref<?x16xf32>, memref<?x16xf32>)
               outs(%own : memref<?x32xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
  return
}
}

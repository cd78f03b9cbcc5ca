// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg,linalg-generalize-named-ops,rope-vectorize{vector-bits=512 registers=32}),canonicalize,cse)' | FileCheck %s
// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg,linalg-generalize-named-ops,rope-vectorize{vector-bits=512 registers=32 avx512-bf16}),canonicalize,cse)' | FileCheck %s --check-prefix=BF16

//===----------------------------------------------------------------------===//
// What is written around the cache
//===----------------------------------------------------------------------===//

module attributes {llvm.target_triple = "x86_64-unknown-linux-gnu"} {

// Stores take turns with loads. What is read is asked for 8 KB ahead, the table
// is not.

// CHECK-LABEL: @half(
// CHECK-SAME: %{{.*}}, %[[T:[a-z0-9]+]]: memref<?x32xf32>
// CHECK-DAG: %[[LINE0:.*]] = arith.constant 2048 : index
// CHECK-DAG: %[[LINE1:.*]] = arith.constant 2064 : index
// CHECK: scf.for
// CHECK-COUNT-2: vector.load %[[T]]
// CHECK: scf.for
// CHECK: memref.prefetch %{{.*}}[%{{.*}}, %{{.*}}, %[[LINE0]]], read, locality<3>, data : memref<?x8x32xf32, {{.*}}>
// CHECK: vector.load %{{.*}} : memref<?x8x32xf32, {{.*}}>, vector<16xf32>
// CHECK: memref.prefetch
// CHECK: vector.load
// CHECK-NOT: vector.load
// CHECK-COUNT-2: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true} : {{.*}}, vector<16xf32>
// CHECK: memref.prefetch %{{.*}}[%{{.*}}, %{{.*}}, %[[LINE1]]]
// CHECK: vector.load
// CHECK: memref.prefetch
// CHECK: vector.load
// CHECK-COUNT-2: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true} : {{.*}}, vector<16xf32>
// CHECK-NEXT: }
// CHECK-NEXT: }
// CHECK-NEXT: return
func.func @half(%x: memref<?x8x64xf32>, %t: memref<?x32xf32>, %y: memref<?x8x64xf32>) {
  rope.apply ins(%x, %t, %t : memref<?x8x64xf32>, memref<?x32xf32>, memref<?x32xf32>) outs(%y : memref<?x8x64xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// Vectors of two registers are two stores.

// CHECK-LABEL: @interleaved(
// CHECK: %[[LEFT:.*]] = vector.shuffle %[[Y:.*]], %[[Y]] [0, 1, 2,
// CHECK: vector.store %[[LEFT]], %[[TO:.*]][%[[S:.*]], %[[H:.*]], %c0] {alignment = 64 : i64, nontemporal = true} : {{.*}}, vector<16xf32>
// CHECK: %[[RIGHT:.*]] = vector.shuffle %[[Y]], %[[Y]] [16, 17, 18,
// CHECK: vector.store %[[RIGHT]], %[[TO]][%[[S]], %[[H]], %c16] {alignment = 64 : i64, nontemporal = true} : {{.*}}, vector<16xf32>
func.func @interleaved(%x: memref<?x8x32xf32>, %t: memref<?x16xf32>, %y: memref<?x8x32xf32>) {
  rope.apply ins(%x, %t, %t : memref<?x8x32xf32>, memref<?x16xf32>, memref<?x16xf32>) outs(%y : memref<?x8x32xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// 16-bit floats are written as integers, whole lines of them. Where the
// instruction for bf16 gives a zero, the row is rounded without it.

// CHECK-LABEL: @bf16(
// CHECK: %[[VIEW:.*]] = builtin.unrealized_conversion_cast %{{.*}} : memref<4x32xbf16, {{.*}}> to memref<4x32xi16, {{.*}}>
// CHECK-NOT: scf.if
// CHECK: vector.store %{{.*}}, %[[VIEW]]{{.*}} {alignment = 64 : i64, nontemporal = true} : memref<4x32xi16, {{.*}}>, vector<32xi16>
// BF16-LABEL: @bf16(
// BF16-DAG: %[[FALSE:.*]] = arith.constant false
// BF16-DAG: %[[MAGNITUDE:.*]] = arith.constant dense<32767> : vector<32xi16>
// BF16-DAG: %[[ZERO:.*]] = arith.constant dense<0> : vector<32xi16>
// BF16: %[[BOTH:.*]] = llvm.call_intrinsic "llvm.x86.avx512bf16.cvtne2ps2bf16.512"(%[[ODD:.*]], %[[EVEN:.*]]) : (vector<16xf32>, vector<16xf32>) -> vector<32xbf16>
// BF16: %[[BITS:.*]] = vector.bitcast %[[BOTH]]
// BF16: %[[U:[0-9]+]] = vector.shuffle %[[BITS]], %[[BITS]] [0, 16, 1, 17, 2, 18,
// BF16: %[[LEFT:.*]] = arith.andi %[[U]], %[[MAGNITUDE]]
// BF16: %[[NONE:.*]] = arith.cmpi eq, %[[LEFT]], %[[ZERO]]
// BF16: %[[V:.*]] = vector.shuffle %{{.*}} [0, 16, 1, 17,
// BF16: %[[ANY:.*]] = arith.ori %[[NONE]], %{{.*}} : vector<32xi1>
// BF16: %[[REDUCED:.*]] = vector.reduction <or>, %[[ANY]]
// BF16: %[[RARE:.*]] = llvm.intr.expect %[[REDUCED]], %[[FALSE]] : i1
// BF16: scf.if %[[RARE]] {
// BF16: arith.cmpf uno
// BF16-COUNT-2: vector.store
// BF16: } else {
// BF16-NEXT: vector.store %[[U]]
// BF16-NEXT: vector.store %[[V]]
func.func @bf16(%x: memref<4x64xbf16>, %t: memref<4x32xf32>, %y: memref<4x64xbf16>) {
  rope.apply ins(%x, %t, %t : memref<4x64xbf16>, memref<4x32xf32>, memref<4x32xf32>) outs(%y : memref<4x64xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// CHECK-LABEL: @f16(
// CHECK: %[[LOW:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.vcvtps2ph.512"(%{{.*}}) : (vector<16xf32>, i32, vector<16xi16>, i16) -> vector<16xi16>
// CHECK: %[[HIGH:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.vcvtps2ph.512"(
// CHECK: %[[BOTH:.*]] = vector.shuffle %[[LOW]], %[[HIGH]]
// CHECK: vector.store %[[BOTH]], %{{.*}} {alignment = 64 : i64, nontemporal = true} : memref<4x32xi16, {{.*}}>, vector<32xi16>
func.func @f16(%x: memref<4x64xf16>, %t: memref<4x32xf32>, %y: memref<4x64xf16>) {
  rope.apply ins(%x, %t, %t : memref<4x64xf16>, memref<4x32xf32>, memref<4x32xf32>) outs(%y : memref<4x64xf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// Stores are as wide as rows are aligned, or less.

// CHECK-LABEL: @aligned_to_16(
// CHECK-NOT: vector.store {{.*}} vector<{{8|16|32}}xf32>
// CHECK-COUNT-20: vector.store {{.*}} {alignment = 16 : i64, nontemporal = true} : {{.*}}, vector<4xf32>
// CHECK-NOT: vector.store
// CHECK: return
func.func @aligned_to_16(%x: memref<4x80xf32>, %t: memref<4x40xf32>, %y: memref<4x80xf32>) {
  rope.apply ins(%x, %t, %t : memref<4x80xf32>, memref<4x40xf32>, memref<4x40xf32>) outs(%y : memref<4x80xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 16 : i64}
  return
}

// All parts of a row at once, whose lines are written in full then.

// CHECK-LABEL: @partial(
// CHECK: scf.for
// CHECK: vector.load %{{.*}} : memref<4x48xi16, {{.*}}>, vector<32xi16>
// CHECK: vector.load %{{.*}} : memref<4x48xi16, {{.*}}>, vector<16xi16>
// CHECK: vector.store %{{.*}} {alignment = 32 : i64, nontemporal = true} : memref<4x48xi16, {{.*}}>, vector<16xi16>
// CHECK-NOT: scf.for
// CHECK: arith.mulf
// CHECK: vector.store %{{.*}} {alignment = 32 : i64, nontemporal = true}
// CHECK: return
func.func @partial(%x: memref<4x80xf16>, %t: memref<4x16xf32>, %y: memref<4x80xf16>) {
  rope.apply ins(%x, %t, %t : memref<4x80xf16>, memref<4x16xf32>, memref<4x16xf32>) outs(%y : memref<4x80xf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 32 : i64}
  return
}

//===----------------------------------------------------------------------===//
// What is not
//===----------------------------------------------------------------------===//

// Zero, rows that are not aligned, or of a part that is not whole in 16 bytes:
// read ahead and written as others are.

// CHECK-LABEL: @ahead(
// CHECK-NOT: nontemporal
// CHECK-COUNT-11: memref.prefetch
// CHECK-NOT: nontemporal
// CHECK: return
func.func @ahead(%a: memref<4x64xf32>, %b: memref<4x38xf32>, %t: memref<4x32xf32>, %u: memref<4x16xf32>, %y: memref<4x64xf32>, %z: memref<4x38xf32>) {
  rope.apply ins(%a, %t, %t : memref<4x64xf32>, memref<4x32xf32>, memref<4x32xf32>) outs(%a : memref<4x64xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 0 : i64}
  rope.apply ins(%a, %t, %t : memref<4x64xf32>, memref<4x32xf32>, memref<4x32xf32>) outs(%y : memref<4x64xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 8 : i64}
  rope.apply ins(%b, %u, %u : memref<4x38xf32>, memref<4x16xf32>, memref<4x16xf32>) outs(%z : memref<4x38xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// Rows of a size that is not known; alignments that are none.

// CHECK-LABEL: @plain(
// CHECK-NOT: nontemporal
// CHECK-NOT: prefetch
// CHECK: return
func.func @plain(%a: memref<4x64xf32>, %c: memref<4x?xf32>, %v: memref<4x?xf32>, %y: memref<4x64xf32>, %w: memref<4x?xf32>) {
  rope.apply ins(%c, %v, %v : memref<4x?xf32>, memref<4x?xf32>, memref<4x?xf32>) outs(%w : memref<4x?xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%a : memref<4x64xf32>) outs(%y : memref<4x64xf32>) attrs = {rope.streaming = 170141183460469231731687303715884105727 : i128} {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  }
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%a : memref<4x64xf32>) outs(%y : memref<4x64xf32>) attrs = {rope.streaming = -64 : i64} {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  }
  return
}
}

// -----

// Another processor.

module attributes {llvm.target_triple = "aarch64-unknown-linux-gnu"} {
// CHECK-LABEL: @aarch64(
// CHECK-NOT: nontemporal
// CHECK-NOT: prefetch
// CHECK: return
func.func @aarch64(%x: memref<4x64xf32>, %t: memref<4x32xf32>, %y: memref<4x64xf32>) {
  rope.apply ins(%x, %t, %t : memref<4x64xf32>, memref<4x32xf32>, memref<4x32xf32>) outs(%y : memref<4x64xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}
}

// -----

// Words of big-endian processors have the even element on top.

module attributes {llvm.target_triple = "powerpc64-unknown-linux-gnu"} {
// CHECK-LABEL: @big_endian(
// CHECK-NOT: vector.bitcast
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK: return
func.func @big_endian(%x: memref<4x64xbf16>, %t: memref<4x32xf32>, %y: memref<4x64xbf16>) {
  rope.apply ins(%x, %t, %t : memref<4x64xbf16>, memref<4x32xf32>, memref<4x32xf32>) outs(%y : memref<4x64xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}
}

// -----

// Parts whose rows are not the same, or that something stands between, are left
// apart, as are those without the mark.

#id = affine_map<(d0, d1) -> (d0, d1)>
module {
// CHECK-LABEL: @apart(
// CHECK-COUNT-5: scf.for
// CHECK-NOT: scf.for
// CHECK: return
func.func @apart(%x: memref<4x64xf32>, %y: memref<4x64xf32>, %z: memref<4x64xf32>, %n: memref<index>) {
  %a = memref.subview %x[0, 0] [4, 16] [1, 1] : memref<4x64xf32> to memref<4x16xf32, strided<[64, 1]>>
  %b = memref.subview %y[0, 0] [4, 16] [1, 1] : memref<4x64xf32> to memref<4x16xf32, strided<[64, 1]>>
  %c = memref.subview %x[0, 16] [4, 16] [1, 1] : memref<4x64xf32> to memref<4x16xf32, strided<[64, 1], offset: 16>>
  %d = memref.subview %y[0, 16] [4, 16] [1, 1] : memref<4x64xf32> to memref<4x16xf32, strided<[64, 1], offset: 16>>
  %e = memref.subview %z[0, 16] [4, 16] [1, 1] : memref<4x64xf32> to memref<4x16xf32, strided<[64, 1], offset: 16>>
  // These two are one loop.
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : memref<4x16xf32, strided<[64, 1]>>) outs(%b : memref<4x16xf32, strided<[64, 1]>>) attrs = {rope.rows} {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c : memref<4x16xf32, strided<[64, 1], offset: 16>>) outs(%d : memref<4x16xf32, strided<[64, 1], offset: 16>>) attrs = {rope.rows} {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  // Another destination.
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c : memref<4x16xf32, strided<[64, 1], offset: 16>>) outs(%e : memref<4x16xf32, strided<[64, 1], offset: 16>>) attrs = {rope.rows} {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  // Something between.
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : memref<4x16xf32, strided<[64, 1]>>) outs(%b : memref<4x16xf32, strided<[64, 1]>>) attrs = {rope.rows} {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  %0 = arith.constant 0 : index
  memref.store %0, %n[] : memref<index>
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c : memref<4x16xf32, strided<[64, 1], offset: 16>>) outs(%d : memref<4x16xf32, strided<[64, 1], offset: 16>>) attrs = {rope.rows} {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  // No mark.
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c : memref<4x16xf32, strided<[64, 1], offset: 16>>) outs(%d : memref<4x16xf32, strided<[64, 1], offset: 16>>) {
  ^bb0(%i: f32, %o: f32):
    linalg.yield %i : f32
  }
  return
}
}

// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg,rope-vectorize{vector-bits=512 registers=32}),canonicalize,cse)' | FileCheck %s
// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg,rope-vectorize{vector-bits=128}),canonicalize,cse)' | FileCheck %s --check-prefix=NARROW

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
#col = affine_map<(d0, d1) -> (d0)>
#none = affine_map<(d0, d1) -> ()>

//===----------------------------------------------------------------------===//
// Rotations
//===----------------------------------------------------------------------===//

// The tables' rows are read once for all heads. All of a row is read before
// anything is written: x may be the destination.

// CHECK-LABEL: @half(
// CHECK: scf.for %[[S:[a-z0-9]+]] =
// CHECK-COUNT-4: vector.load %{{.*}}[%[[S]], %{{.*}}] : memref<?x32xf32>, vector<16xf32>
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK-COUNT-4: vector.load %{{.*}}[%[[S]], %[[H]], %{{.*}}] : {{.*}}, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-4: vector.store %{{.*}}[%[[S]], %[[H]], %{{.*}}] : {{.*}}, vector<16xf32>
// CHECK-NOT: linalg
// CHECK: return
// NARROW-LABEL: @half(
// NARROW-COUNT-16: vector.load %{{.*}} : memref<?x32xf32>, vector<4xf32>
func.func @half(%x: memref<?x8x64xf32, strided<[?, ?, 1], offset: ?>>, %cos: memref<?x32xf32>, %sin: memref<?x32xf32>,
                %y: memref<?x8x64xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<?x8x64xf32, strided<[?, ?, 1], offset: ?>>, memref<?x32xf32>, memref<?x32xf32>)
             outs(%y : memref<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// Interleaved pairs are turned side by side where every number of the table fits
// the registers twice: a product with the cosines, and one of the swapped pairs
// with the sines, whose sign alternates.

// CHECK-LABEL: @interleaved(
// CHECK: %[[COS:.*]] = vector.load %{{.*}} : memref<?x16xf32>, vector<16xf32>
// CHECK: vector.interleave %[[COS]], %[[COS]] : vector<16xf32> -> vector<32xf32>
// CHECK: %[[SIN:.*]] = vector.load %{{.*}} : memref<?x16xf32>, vector<16xf32>
// CHECK: %[[MINUS:.*]] = arith.negf %[[SIN]]
// CHECK: vector.interleave %[[MINUS]], %[[SIN]] : vector<16xf32> -> vector<32xf32>
// CHECK: scf.for
// CHECK: %[[X:.*]] = vector.load %{{.*}} : memref<?x?x32xf32, {{.*}}>, vector<32xf32>
// CHECK: vector.shuffle %[[X]], %[[X]] [1, 0, 3, 2, 5, 4,
// CHECK-NOT: vector.load
// CHECK: vector.store %{{.*}} : memref<?x?x32xf32, {{.*}}>, vector<32xf32>
// CHECK-NOT: linalg
// CHECK: return
func.func @interleaved(%x: memref<?x?x64xf32, strided<[?, ?, 1], offset: ?>>, %cos: memref<?x16xf32>, %sin: memref<?x16xf32>,
                       %y: memref<?x?x64xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<?x?x64xf32, strided<[?, ?, 1], offset: ?>>, memref<?x16xf32>, memref<?x16xf32>)
             outs(%y : memref<?x?x64xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, offset = 32}
  return
}

// The inverse takes the sine from the odd ones.

// CHECK-LABEL: @interleaved_inverse(
// CHECK: %[[MINUS:.*]] = arith.negf %[[SIN:.*]] :
// CHECK: vector.interleave %[[SIN]], %[[MINUS]]
func.func @interleaved_inverse(%x: memref<4x8x32xf32>, %t: memref<4x16xf32>, %y: memref<4x8x32xf32>) {
  rope.apply ins(%x, %t, %t : memref<4x8x32xf32>, memref<4x16xf32>, memref<4x16xf32>) outs(%y : memref<4x8x32xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, transpose}
  return
}

// Where the table changes with every row, pairs are taken apart and put together
// in registers: by shuffles within 128 bits, which give them in an order that the
// table is brought into. In vectors of 128 bits this is the order in memory.

// CHECK-LABEL: @interleaved_rows(
// CHECK: %[[X:.*]] = vector.load %{{.*}} : memref<4x32xf32>, vector<32xf32>
// CHECK: %[[BITS:.*]] = vector.bitcast %[[X]] : vector<32xf32> to vector<32xi32>
// CHECK: vector.shuffle %[[BITS]], %[[BITS]] [0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30]
// CHECK: vector.shuffle %[[BITS]], %[[BITS]] [1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31]
// CHECK: vector.load %{{.*}} : memref<4x16xf32>, vector<16xf32>
// CHECK: vector.shuffle %{{.*}} [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15]
// CHECK: vector.shuffle %{{.*}} [0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29, 2, 18, 3, 19,
// CHECK: vector.store %{{.*}} : memref<4x32xf32>, vector<32xf32>
// NARROW-LABEL: @interleaved_rows(
// NARROW: vector.deinterleave
// NARROW: vector.interleave
func.func @interleaved_rows(%x: memref<4x32xf32>, %cos: memref<4x16xf32>, %sin: memref<4x16xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<4x32xf32>, memref<4x16xf32>, memref<4x16xf32>) outs(%x : memref<4x32xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return
}

// Channels that are kept are copied in the same loop, and those of 16 bits by
// vectors of as many as fill a register.

// CHECK-LABEL: @partial(
// CHECK: scf.for
// CHECK: vector.load %{{.*}} : memref<4x32xf16, {{.*}}>, vector<32xf16>
// CHECK: vector.store %{{.*}} : memref<4x32xf16, {{.*}}>, vector<32xf16>
// CHECK: arith.mulf
// CHECK-NOT: scf.for
// CHECK: return
func.func @partial(%x: memref<4x64xf16>, %t: memref<4x16xf32>, %y: memref<4x64xf16>) {
  rope.apply ins(%x, %t, %t : memref<4x64xf16>, memref<4x16xf32>, memref<4x16xf32>) outs(%y : memref<4x64xf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// As many lanes as the numbers of the result fill a register, 16-bit ones being
// computed in 32 bits. bf16 are taken from words: the even ones are the lower
// halves, the odd ones the upper halves, and the table is taken apart alike.

// CHECK-LABEL: @narrow_elements(
// CHECK: %[[X:.*]] = vector.load %{{.*}} : memref<4x32xbf16, {{.*}}>, vector<32xbf16>
// CHECK: %[[WORDS:.*]] = vector.bitcast %[[X]] : vector<32xbf16> to vector<16xi32>
// CHECK: %[[EVEN:.*]] = arith.shli %[[WORDS]], %{{.*}} : vector<16xi32>
// CHECK: %[[ODD:.*]] = arith.andi %[[WORDS]], %{{.*}} : vector<16xi32>
// CHECK: arith.bitcast %[[EVEN]] : vector<16xi32> to vector<16xf32>
// CHECK: arith.bitcast %[[ODD]] : vector<16xi32> to vector<16xf32>
// CHECK: vector.deinterleave %{{.*}} : vector<32xi32> -> vector<16xi32>
// CHECK-NOT: linalg
// CHECK: arith.cmpf uno
// CHECK: %[[LOW:.*]] = arith.shrui
// CHECK: arith.cmpf uno
// CHECK: %[[HIGH:.*]] = arith.andi
// CHECK: %[[BOTH:.*]] = arith.ori %[[LOW]], %[[HIGH]]
// CHECK: %[[Y:.*]] = vector.bitcast %[[BOTH]] : vector<16xi32> to vector<32xbf16>
// CHECK: vector.store %[[Y]]
// CHECK: return
func.func @narrow_elements(%x: memref<4x64xbf16>, %t: memref<4x32xf32>) {
  rope.apply ins(%x, %t, %t : memref<4x64xbf16>, memref<4x32xf32>, memref<4x32xf32>) outs(%x : memref<4x64xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// What a row has left is split as well, down to one element.

// CHECK-LABEL: @narrow_rest(
// CHECK: vector.load %{{.*}}, vector<16xbf16>
// CHECK: vector.load %{{.*}}, vector<2xbf16>
// CHECK: vector.load %{{.*}}, vector<1xbf16>
// CHECK: arith.extf %{{.*}} : vector<1xbf16> to vector<1xf32>
// CHECK: arith.truncf %{{.*}} : vector<1xf32> to vector<1xbf16>
// CHECK: return
func.func @narrow_rest(%x: memref<4x19xbf16>, %y: memref<4x19xbf16>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<4x19xbf16>) outs(%y : memref<4x19xbf16>) {
  ^bb0(%a: bf16, %o: bf16):
    %0 = arith.extf %a : bf16 to f32
    %1 = arith.addf %0, %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    linalg.yield %2 : bf16
  }
  return
}

// Not where the row is counted, or the body does more with bf16.

// CHECK-LABEL: @narrow_counted(
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK: arith.select {{.*}} : vector<16x{{.*}}bf16>
func.func @narrow_counted(%x: memref<4x32xbf16>, %y: memref<4x32xbf16>, %c: i1) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<4x32xbf16>) outs(%y : memref<4x32xbf16>) {
  ^bb0(%a: bf16, %o: bf16):
    %i = linalg.index 1 : index
    %ii = arith.index_cast %i : index to i32
    %f = arith.sitofp %ii : i32 to f32
    %0 = arith.extf %a : bf16 to f32
    %1 = arith.addf %0, %f : f32
    %2 = arith.truncf %1 : f32 to bf16
    linalg.yield %2 : bf16
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<4x32xbf16>) outs(%y : memref<4x32xbf16>) {
  ^bb0(%a: bf16, %o: bf16):
    %0 = arith.extf %a : bf16 to f32
    %1 = arith.addf %0, %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    %3 = arith.select %c, %2, %a : bf16
    linalg.yield %3 : bf16
  }
  return
}

// CHECK-LABEL: @wide_elements(
// CHECK: vector.load %{{.*}} : memref<4x32xf64, {{.*}}>, vector<8xf64>
func.func @wide_elements(%x: memref<4x64xf64>, %t: memref<4x32xf64>) {
  rope.apply ins(%x, %t, %t : memref<4x64xf64>, memref<4x32xf64>, memref<4x32xf64>) outs(%x : memref<4x64xf64>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// Which axis a pair follows is known for each lane: selected by a constant.

// CHECK-LABEL: @axes(
// CHECK: arith.constant dense<[false, true, false, true]> : vector<4xi1>
// CHECK-NOT: linalg
// CHECK: return
func.func @axes(%p: memref<2x?xi64>, %f: memref<4xi64>, %c: memref<?x4xf32>, %s: memref<?x4xf32>) {
  rope.table ins(%p, %f : memref<2x?xi64>, memref<4xi64>) outs(%c, %s : memref<?x4xf32>, memref<?x4xf32>)
             {axes = array<i64: 0, 1, 0, 1>}
  return
}

//===----------------------------------------------------------------------===//
// Rows that are no multiple of a vector end in shorter vectors
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @n3(
// CHECK: vector.load %{{.*}}, vector<2xf32>
// CHECK: vector.load %{{.*}}, vector<1xf32>
// CHECK-NOT: vector.load
// CHECK: return
func.func @n3(%a: memref<4x3xf32>, %b: memref<4x3xf32>) {
  linalg.exp ins(%a : memref<4x3xf32>) outs(%b : memref<4x3xf32>)
  return
}

// CHECK-LABEL: @n20(
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: vector.load %{{.*}}, vector<4xf32>
// CHECK-NOT: vector.load
// CHECK: return
func.func @n20(%a: memref<4x20xf32>, %b: memref<4x20xf32>) {
  linalg.exp ins(%a : memref<4x20xf32>) outs(%b : memref<4x20xf32>)
  return
}

// CHECK-LABEL: @n36(
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: vector.load %{{.*}}, vector<4xf32>
// CHECK-NOT: vector.load
// CHECK: return
func.func @n36(%a: memref<4x36xf32>, %b: memref<4x36xf32>) {
  linalg.exp ins(%a : memref<4x36xf32>) outs(%b : memref<4x36xf32>)
  return
}

// CHECK-LABEL: @n40(
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: vector.load %{{.*}}, vector<8xf32>
// CHECK-NOT: vector.load
// CHECK: return
func.func @n40(%a: memref<4x40xf32>, %b: memref<4x40xf32>) {
  linalg.exp ins(%a : memref<4x40xf32>) outs(%b : memref<4x40xf32>)
  return
}

// Long ones are a loop and a tail.

// CHECK-LABEL: @long(
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %{{.*}} to %c288 step %c16
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: }
// CHECK: vector.load %{{.*}}[%{{.*}}, %c288] : {{.*}}, vector<8xf32>
// CHECK: vector.load %{{.*}}[%{{.*}}, %c296] : {{.*}}, vector<4xf32>
func.func @long(%a: memref<4x300xf32>, %b: memref<4x300xf32>) {
  linalg.exp ins(%a : memref<4x300xf32>) outs(%b : memref<4x300xf32>)
  return
}

// So are those of unknown length; the tail goes by ones.

// CHECK-LABEL: @dyn(
// CHECK: %[[FULL:.*]] = affine.apply #{{.*}}()[%[[SIZE:.*]]]
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[FULL]] step %c16
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK: scf.for %{{.*}} = %[[FULL]] to %[[SIZE]] step %c1
// CHECK: vector.load %{{.*}}, vector<1xf32>
func.func @dyn(%a: memref<?x?xf32>, %b: memref<?x?xf32>) {
  linalg.exp ins(%a : memref<?x?xf32>) outs(%b : memref<?x?xf32>)
  return
}

// Nothing is left of a multiple of the vector.

// CHECK-LABEL: @multiple(
// CHECK: scf.for {{.*}} step %c16
// CHECK: vector.load %{{.*}}, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK: return
func.func @multiple(%A: memref<?xf32>, %B: memref<?xf32>, %n: index) {
  %c32 = arith.constant 32 : index
  %size = arith.muli %n, %c32 : index
  %a = memref.subview %A[0][%size][1] : memref<?xf32> to memref<?xf32, strided<[1]>>
  linalg.exp ins(%a : memref<?xf32, strided<[1]>>) outs(%B : memref<?xf32>)
  return
}

// CHECK-LABEL: @empty(
// CHECK-NEXT: return
func.func @empty(%a: memref<4x0xf32>, %b: memref<4x0xf32>) {
  linalg.copy ins(%a : memref<4x0xf32>) outs(%b : memref<4x0xf32>)
  return
}

//===----------------------------------------------------------------------===//
// Other operations
//===----------------------------------------------------------------------===//

// Broadcast operands are read outside the loops they do not change with, as
// scalars where they do not change along the row; indices count up.

// CHECK-LABEL: @bcast(
// CHECK-SAME: %[[A:[a-z0-9]+]]: memref<4x32xf32>, %[[R:[a-z0-9]+]]: memref<32xf32>, %[[C:[a-z0-9]+]]: memref<4xf32>, %[[N:[a-z0-9]+]]: memref<f32>
// CHECK-DAG: arith.constant dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]> : vector<16xindex>
// CHECK-DAG: arith.constant dense<[16, 17, {{.*}}, 31]> : vector<16xindex>
// CHECK: vector.load %[[R]]
// CHECK: memref.load %[[N]][]
// CHECK: scf.for
// CHECK-NOT: %[[R]]
// CHECK: memref.load %[[C]]
// CHECK: arith.mulf {{.*}} : f32
// CHECK: arith.mulf {{.*}} : vector<16xf32>
func.func @bcast(%a: memref<4x32xf32>, %r: memref<32xf32>, %c: memref<4xf32>, %s: memref<f32>, %k: f32) {
  linalg.generic {indexing_maps = [#id, #row, #col, #none, #id], iterator_types = ["parallel", "parallel"]} ins(%a, %r, %c, %s : memref<4x32xf32>, memref<32xf32>, memref<4xf32>, memref<f32>) outs(%a : memref<4x32xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32, %w: f32, %o: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 0 : index
    %ij = arith.addi %i, %j : index
    %ii = arith.index_cast %ij : index to i32
    %f = arith.sitofp %ii : i32 to f32
    %zw = arith.mulf %z, %w : f32
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %1, %zw : f32
    %3 = arith.addf %2, %f : f32
    %4 = arith.addf %3, %k : f32
    linalg.yield %4 : f32
  }
  return
}

// Operands may be scalars.

// CHECK-LABEL: @fill(
// CHECK-SAME: %[[K:[a-z0-9]+]]: f32
// CHECK: %[[V:.*]] = vector.broadcast %[[K]] : f32 to vector<16xf32>
// CHECK-COUNT-2: vector.store %[[V]]
// CHECK-NOT: linalg
// CHECK: return
func.func @fill(%a: memref<4x32xf32>, %k: f32) {
  linalg.fill ins(%k : f32) outs(%a : memref<4x32xf32>)
  return
}

// What the destination held is read where the body asks for it.

// CHECK-LABEL: @cmp(
// CHECK: vector.load %{{.*}} : memref<4x32xf16>, vector<16xf16>
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xf16>
func.func @cmp(%a: memref<4x32xf32>, %b: memref<4x32xf16>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : memref<4x32xf32>) outs(%b : memref<4x32xf16>) {
  ^bb0(%x: f32, %o: f16):
    %c0 = arith.constant 0.0 : f32
    %c = arith.cmpf ogt, %x, %c0 : f32
    %t = arith.truncf %x : f32 to f16
    %s = arith.select %c, %t, %o : f16
    linalg.yield %s : f16
  }
  return
}

// Bits are read as the bytes that they are in memory.

// CHECK-LABEL: @mask(
// CHECK-SAME: %[[M:[a-z0-9]+]]: memref<4x32xi1>
// CHECK: %[[BYTES:.*]] = builtin.unrealized_conversion_cast %[[M]] : memref<4x32xi1> to memref<4x32xi8>
// CHECK: %[[V:.*]] = vector.load %[[BYTES]]{{.*}} : memref<4x32xi8>, vector<16xi8>
// CHECK: %[[C:.*]] = arith.cmpi ne, %[[V]],
// CHECK: arith.select %[[C]], {{.*}} : vector<16xi1>, vector<16xf32>
// CHECK-NOT: linalg
// CHECK: return
func.func @mask(%m: memref<4x32xi1>, %a: memref<4x32xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%m : memref<4x32xi1>) outs(%a : memref<4x32xf32>) {
  ^bb0(%x: i1, %o: f32):
    %c0 = arith.constant 0.0 : f32
    %s = arith.select %x, %o, %c0 : f32
    linalg.yield %s : f32
  }
  return
}

//===----------------------------------------------------------------------===//
// Reductions in outer loops
//===----------------------------------------------------------------------===//

// Of two results one is accumulated in memory: read after what the iteration
// before it wrote.

// CHECK-LABEL: @column_maxima(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<?x32xf32>, %[[S:[a-z0-9]+]]: memref<32xf32>, %[[Y:[a-z0-9]+]]: memref<?x32xf32>, %[[M:[a-z0-9]+]]: memref<32xf32>
// CHECK-COUNT-2: vector.load %[[S]]
// CHECK-NOT: vector.load
// CHECK: scf.for
// CHECK: vector.load %[[X]]
// CHECK: vector.load %[[M]]{{.*}} : memref<32xf32>, vector<16xf32>
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: vector.store {{.*}}, %[[Y]]
// CHECK: vector.store {{.*}}, %[[M]]
// CHECK-NOT: linalg
// CHECK: return
func.func @column_maxima(%x: memref<?x32xf32>, %scale: memref<32xf32>, %y: memref<?x32xf32>, %max: memref<32xf32>) {
  linalg.generic {indexing_maps = [#id, #row, #id, #row], iterator_types = ["reduction", "parallel"]}
      ins(%x, %scale : memref<?x32xf32>, memref<32xf32>) outs(%y, %max : memref<?x32xf32>, memref<32xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32, %m: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.maximumf %0, %m : f32
    linalg.yield %0, %1 : f32, f32
  }
  return
}

//===----------------------------------------------------------------------===//
// Left as they are
//===----------------------------------------------------------------------===//

// Bits that are written: packed in vectors, not in memory.
// CHECK-LABEL: @bits(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @bits(%a: memref<4x32xi1>, %b: memref<4x32xi1>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : memref<4x32xi1>) outs(%b : memref<4x32xi1>) {
  ^bb0(%x: i1, %o: i1):
    linalg.yield %x : i1
  }
  return
}

// A reduction.
// CHECK-LABEL: @sum(
// CHECK-NOT: vector
// CHECK: linalg.reduce
func.func @sum(%a: memref<4x32xf32>, %b: memref<4xf32>) {
  linalg.reduce ins(%a : memref<4x32xf32>) outs(%b : memref<4xf32>) dimensions = [1] (%x: f32, %y: f32) { %0 = arith.addf %x, %y : f32 linalg.yield %0 : f32 }
  return
}

// Not contiguous at all.
// CHECK-LABEL: @transpose(
// CHECK-NOT: vector
// CHECK: linalg.transpose
func.func @transpose(%a: memref<4x32xf32, strided<[64, 2]>>, %b: memref<32x4xf32>) {
  linalg.transpose ins(%a : memref<4x32xf32, strided<[64, 2]>>) outs(%b : memref<32x4xf32>) permutation = [1, 0]
  return
}

// No loop.
// CHECK-LABEL: @rank0(
// CHECK-NOT: vector
// CHECK: linalg.exp
func.func @rank0(%a: memref<f32>, %b: memref<f32>) {
  linalg.exp ins(%a : memref<f32>) outs(%b : memref<f32>)
  return
}

// No element of a vector.
// CHECK-LABEL: @cplx(
// CHECK-NOT: vector
// CHECK: linalg.copy
func.func @cplx(%a: memref<4xcomplex<f32>>, %b: memref<4xcomplex<f32>>) {
  linalg.copy ins(%a : memref<4xcomplex<f32>>) outs(%b : memref<4xcomplex<f32>>)
  return
}

// Every other element without the rest.
// CHECK-LABEL: @strided(
// CHECK-NOT: vector
// CHECK: linalg.copy
func.func @strided(%a: memref<4x32xf32, strided<[64, 2]>>, %b: memref<4x32xf32>) {
  linalg.copy ins(%a : memref<4x32xf32, strided<[64, 2]>>) outs(%b : memref<4x32xf32>)
  return
}

// One number written many times.
// CHECK-LABEL: @mixed_out(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @mixed_out(%a: memref<4x32xf32>, %b: memref<4x32xf32>, %c: memref<4xf32>) {
  linalg.generic {indexing_maps = [#id, #id, #col], iterator_types = ["parallel", "parallel"]} ins(%a : memref<4x32xf32>) outs(%b, %c : memref<4x32xf32>, memref<4xf32>) {
  ^bb0(%x: f32, %o: f32, %p: f32):
    linalg.yield %x, %x : f32, f32
  }
  return
}

// A region in the body.
// CHECK-LABEL: @region(
// CHECK-NOT: vector
// CHECK: linalg.generic
func.func @region(%a: memref<4x32xf32>, %b: memref<4x32xf32>, %c: i1) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : memref<4x32xf32>) outs(%b : memref<4x32xf32>) {
  ^bb0(%x: f32, %o: f32):
    %s = scf.if %c -> f32 { scf.yield %x : f32 } else { scf.yield %o : f32 }
    linalg.yield %s : f32
  }
  return
}

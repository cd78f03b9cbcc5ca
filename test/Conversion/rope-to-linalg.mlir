// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg))' | FileCheck %s
// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg))' | FileCheck %s --check-prefix=NONE

// Nothing of the two operations, nothing that indexes elements, no sine.
// NONE-NOT: rope.table
// NONE-NOT: rope.apply
// NONE-NOT: tensor.extract %
// NONE-NOT: memref.load
// NONE-NOT: math.sin
// NONE-NOT: math.cos

// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[PAIR:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-DAG: #[[POSITION:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-DAG: #[[TABLE:.*]] = affine_map<(d0, d1, d2, d3) -> (d2, d0, d3)>

// The halves are two subviews each, all four channels in one generic.

// CHECK-LABEL: @half_memref(
// CHECK-SAME: %[[X:arg[0-9]+]]: memref<8x128xf32>, %[[C:arg[0-9]+]]: memref<8x64xf32>, %[[S:arg[0-9]+]]: memref<8x64xf32>, %[[Y:arg[0-9]+]]: memref<8x128xf32>
// CHECK-NOT: alloc
// CHECK-NOT: copy
// CHECK: %[[U:.*]] = memref.subview %[[X]][0, 0] [8, 64] [1, 1]
// CHECK: %[[V:.*]] = memref.subview %[[X]][0, 64] [8, 64] [1, 1]
// CHECK: %[[UY:.*]] = memref.subview %[[Y]][0, 0] [8, 64] [1, 1]
// CHECK: %[[VY:.*]] = memref.subview %[[Y]][0, 64] [8, 64] [1, 1]
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel"]
// CHECK-SAME: ins(%[[U]], %[[V]], %[[C]], %[[S]]
// CHECK-SAME: outs(%[[UY]], %[[VY]]
// CHECK: ^bb0(%[[u:.*]]: f32, %[[v:.*]]: f32, %[[c:.*]]: f32, %[[s:.*]]: f32, %{{.*}}: f32, %{{.*}}: f32):
// CHECK: %[[UC:.*]] = arith.mulf %[[u]], %[[c]] fastmath<contract>
// CHECK: %[[VS:.*]] = arith.mulf %[[v]], %[[s]] fastmath<contract>
// CHECK: %[[U2:.*]] = arith.subf %[[UC]], %[[VS]] fastmath<contract>
// CHECK: %[[VC:.*]] = arith.mulf %[[v]], %[[c]] fastmath<contract>
// CHECK: %[[US:.*]] = arith.mulf %[[u]], %[[s]] fastmath<contract>
// CHECK: %[[V2:.*]] = arith.addf %[[VC]], %[[US]] fastmath<contract>
// CHECK: linalg.yield %[[U2]], %[[V2]]
func.func @half_memref(%x: memref<8x128xf32>, %cos: memref<8x64xf32>, %sin: memref<8x64xf32>, %y: memref<8x128xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x128xf32>, memref<8x64xf32>, memref<8x64xf32>)
             outs(%y : memref<8x128xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// `transpose` negates the sine: plus where there was minus, and the other way.

// CHECK-LABEL: @transpose(
// CHECK: ^bb0(%[[u:.*]]: f32, %[[v:.*]]: f32, %[[c:.*]]: f32, %[[s:.*]]: f32, %{{.*}}: f32, %{{.*}}: f32):
// CHECK: %[[UC:.*]] = arith.mulf %[[u]], %[[c]]
// CHECK: %[[VS:.*]] = arith.mulf %[[v]], %[[s]]
// CHECK: %[[U2:.*]] = arith.addf %[[UC]], %[[VS]]
// CHECK: %[[VC:.*]] = arith.mulf %[[v]], %[[c]]
// CHECK: %[[US:.*]] = arith.mulf %[[u]], %[[s]]
// CHECK: %[[V2:.*]] = arith.subf %[[VC]], %[[US]]
// CHECK: linalg.yield %[[U2]], %[[V2]]
func.func @transpose(%x: memref<8x128xf32>, %cos: memref<8x64xf32>, %sin: memref<8x64xf32>, %y: memref<8x128xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x128xf32>, memref<8x64xf32>, memref<8x64xf32>)
             outs(%y : memref<8x128xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  return
}

// In place there is nothing to copy.

// CHECK-LABEL: @partial_in_place(
// CHECK-NOT: copy
// CHECK: return
func.func @partial_in_place(%x: memref<8x128xf32>, %cos: memref<8x16xf32>, %sin: memref<8x16xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x128xf32>, memref<8x16xf32>, memref<8x16xf32>)
             outs(%x : memref<8x128xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// Interleaved pairs are slices with a step of two; channels in front of them
// and behind are copied.

// CHECK-LABEL: @trailing_interleaved(
// CHECK-SAME: %[[X:arg[0-9]+]]: memref<8x12xf32>, %{{.*}}, %{{.*}}, %[[Y:arg[0-9]+]]: memref<8x12xf32>
// CHECK: %[[A:.*]] = memref.subview %[[X]][0, 0] [8, 4] [1, 1]
// CHECK: %[[B:.*]] = memref.subview %[[Y]][0, 0] [8, 4] [1, 1]
// CHECK: linalg.generic {{.*}} ins(%[[A]] {{.*}} outs(%[[B]] {{.*}} attrs = {rope.rows} {
// CHECK: memref.subview %[[X]][0, 10] [8, 2] [1, 1]
// CHECK: linalg.generic {{.*}} attrs = {rope.rows} {
// CHECK-NOT: linalg.generic
// CHECK: %[[U:.*]] = memref.subview %[[X]][0, 4] [8, 3] [1, 2]
// CHECK: %[[V:.*]] = memref.subview %[[X]][0, 5] [8, 3] [1, 2]
// CHECK: linalg.generic {{.*}} ins(%[[U]], %[[V]]{{.*}} attrs = {rope.rows} {
func.func @trailing_interleaved(%x: memref<8x12xf32>, %cos: memref<8x3xf32>, %sin: memref<8x3xf32>, %y: memref<8x12xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x12xf32>, memref<8x3xf32>, memref<8x3xf32>)
             outs(%y : memref<8x12xf32>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, offset = 4}
  return
}

// Proportional: pairs at a distance, the identity pairs between are copies.

// CHECK-LABEL: @proportional(
// CHECK-SAME: %[[X:arg[0-9]+]]: memref<8x16xf32>
// CHECK: memref.subview %[[X]][0, 2] [8, 6] [1, 1]
// CHECK: linalg.generic
// CHECK-NEXT: ^bb0(%[[KEPT:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT: linalg.yield %[[KEPT]] : f32
// CHECK: memref.subview %[[X]][0, 10] [8, 6] [1, 1]
// CHECK: linalg.generic
// CHECK: memref.subview %[[X]][0, 0] [8, 2] [1, 1]
// CHECK: memref.subview %[[X]][0, 8] [8, 2] [1, 1]
// CHECK: linalg.generic
func.func @proportional(%x: memref<8x16xf32>, %cos: memref<8x2xf32>, %sin: memref<8x2xf32>, %y: memref<8x16xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x16xf32>, memref<8x2xf32>, memref<8x2xf32>)
             outs(%y : memref<8x16xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 8}
  return
}

// Read in one pairing, written in the other.

// CHECK-LABEL: @to_half(
// CHECK-SAME: %[[X:arg[0-9]+]]: memref<8x8xf32>, %{{.*}}, %{{.*}}, %[[Y:arg[0-9]+]]: memref<8x8xf32>
// CHECK: memref.subview %[[X]][0, 0] [8, 4] [1, 2]
// CHECK: memref.subview %[[X]][0, 1] [8, 4] [1, 2]
// CHECK: memref.subview %[[Y]][0, 0] [8, 4] [1, 1]
// CHECK: memref.subview %[[Y]][0, 4] [8, 4] [1, 1]
func.func @to_half(%x: memref<8x8xf32>, %cos: memref<8x4xf32>, %sin: memref<8x4xf32>, %y: memref<8x8xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>)
             outs(%y : memref<8x8xf32>)
             {pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// The tables follow dimensions 2 and 0 of x and are broadcast along the other.
// 16-bit elements are widened, rotated in f32, rounded once.

// CHECK-LABEL: @broadcast(
// CHECK: linalg.generic {indexing_maps = [#[[ALL]], #[[ALL]], #[[TABLE]], #[[TABLE]], #[[ALL]], #[[ALL]]]
// CHECK: ^bb0(%[[u:.*]]: bf16, %[[v:.*]]: bf16, %[[c:.*]]: f16, %[[s:.*]]: f16
// CHECK-COUNT-4: arith.extf %{{.*}} to f32
// CHECK-NOT: arith.extf
// CHECK-COUNT-2: arith.truncf %{{.*}} : f32 to bf16
// CHECK-NOT: arith.truncf
func.func @broadcast(%x: memref<3x?x5x8xbf16>, %cos: memref<5x3x4xf16>, %sin: memref<5x3x4xf16>, %y: memref<3x?x5x8xbf16>) {
  rope.apply ins(%x, %cos, %sin : memref<3x?x5x8xbf16>, memref<5x3x4xf16>, memref<5x3x4xf16>)
             outs(%y : memref<3x?x5x8xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 2, 0>}
  return
}

// A table in f64 is used in f64.

// CHECK-LABEL: @wide_tables(
// CHECK: arith.extf %{{.*}} : f32 to f64
// CHECK: arith.truncf %{{.*}} : f64 to f32
func.func @wide_tables(%x: memref<8xf32>, %cos: memref<4xf64>, %sin: memref<4xf64>) {
  rope.apply ins(%x, %cos, %sin : memref<8xf32>, memref<4xf64>, memref<4xf64>)
             outs(%x : memref<8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// On tensors: the copied channels come with the destination.

// CHECK-LABEL: @tensor(
// CHECK-SAME: %[[X:arg[0-9]+]]: tensor<?x6xf32>, %{{.*}}, %{{.*}}, %[[INIT:arg[0-9]+]]: tensor<?x6xf32>
// CHECK: %[[COPY:.*]] = linalg.copy ins(%[[X]] {{.*}} outs(%[[INIT]]
// CHECK: %[[R:.*]]:2 = linalg.generic
// CHECK: %[[ONE:.*]] = tensor.insert_slice %[[R]]#0 into %[[COPY]]
// CHECK: %[[TWO:.*]] = tensor.insert_slice %[[R]]#1 into %[[ONE]]
// CHECK: return %[[TWO]]
func.func @tensor(%x: tensor<?x6xf32>, %cos: tensor<?x2xf32>, %sin: tensor<?x2xf32>, %init: tensor<?x6xf32>) -> tensor<?x6xf32> {
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x6xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%init : tensor<?x6xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x6xf32>
}

// CHECK-LABEL: @tensor_whole(
// CHECK-NOT: linalg.copy
// CHECK: return
func.func @tensor_whole(%x: tensor<?x4xf32>, %cos: tensor<?x2xf32>, %sin: tensor<?x2xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
                  outs(%init : tensor<?x4xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x4xf32>
}

// Frequencies in turns: one product, which wraps at whole turns.

// CHECK-LABEL: @table_turns(
// CHECK: linalg.generic {indexing_maps = [#[[POSITION]], #[[PAIR]], #{{.*}}, #{{.*}}]
// CHECK: ^bb0(%[[P:.*]]: i32, %[[T:.*]]: i64
// CHECK: %[[WIDE:.*]] = arith.extsi %[[P]] : i32 to i64
// CHECK: arith.muli %[[WIDE]], %[[T]] : i64
// CHECK-NOT: f64
// CHECK: return
func.func @table_turns(%p: memref<?xi32>, %t: memref<4xi64>, %c: memref<?x4xf32>, %s: memref<?x4xf32>) {
  rope.table ins(%p, %t : memref<?xi32>, memref<4xi64>) outs(%c, %s : memref<?x4xf32>, memref<?x4xf32>)
  return
}

// The product of f32 numbers, as model code computes it; index positions go
// through i64.

// CHECK-LABEL: @table_f32(
// CHECK: ^bb0(%[[P:.*]]: index, %[[W:.*]]: f64
// CHECK: %[[I:.*]] = arith.index_cast %[[P]] : index to i64
// CHECK: %[[F:.*]] = arith.sitofp %[[I]] : i64 to f32
// CHECK: %[[W32:.*]] = arith.truncf %[[W]] : f64 to f32
// CHECK: arith.mulf %[[F]], %[[W32]] : f32
func.func @table_f32(%p: memref<?xindex>, %w: memref<4xf64>, %c: memref<?x4xf32>, %s: memref<?x4xf32>) {
  rope.table ins(%p, %w : memref<?xindex>, memref<4xf64>) outs(%c, %s : memref<?x4xf32>, memref<?x4xf32>)
             {precision = #rope.precision<f32>}
  return
}

// The magnitude multiplies before the one rounding to f16.

// CHECK-LABEL: @table_magnitude(
// CHECK: %[[M:.*]] = arith.constant 1.250000e+00 : f32
// CHECK: arith.mulf %{{.*}}, %[[M]] : f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
func.func @table_magnitude(%p: memref<?xi64>, %t: memref<4xi64>, %c: memref<?x4xf16>, %s: memref<?x4xf16>) {
  rope.table ins(%p, %t : memref<?xi64>, memref<4xi64>) outs(%c, %s : memref<?x4xf16>, memref<?x4xf16>)
             {magnitude = 1.25 : f64}
  return
}

// f64 tables get the f64 polynomial.

// CHECK-LABEL: @table_f64(
// CHECK: arith.sitofp %{{.*}} : i64 to f64
// CHECK-NOT: f32
// CHECK: return
func.func @table_f64(%p: memref<?xi64>, %t: memref<4xi64>, %c: memref<?x4xf64>, %s: memref<?x4xf64>) {
  rope.table ins(%p, %t : memref<?xi64>, memref<4xi64>) outs(%c, %s : memref<?x4xf64>, memref<?x4xf64>)
  return
}

// Only the axes in use are read; which pair takes which is in constant words.
// Pair 1 follows axis 2: bit 1.

// CHECK-LABEL: @table_axes(
// CHECK-SAME: %[[P:arg[0-9]+]]: memref<4x?xi64>
// CHECK: %[[A:.*]] = memref.subview %[[P]][0, 0] [1, %{{.*}}] [1, 1]
// CHECK: %[[B:.*]] = memref.subview %[[P]][2, 0] [1, %{{.*}}] [1, 1]
// CHECK-NOT: memref.subview
// CHECK: linalg.generic {{.*}} ins(%[[A]], %[[B]], %{{.*}}
// CHECK: %[[WORD:.*]] = arith.constant 2 : i64
// CHECK: arith.shrui %[[WORD]]
// CHECK: arith.select
func.func @table_axes(%p: memref<4x?xi64>, %t: memref<4xi64>, %c: memref<?x4xf32>, %s: memref<?x4xf32>) {
  rope.table ins(%p, %t : memref<4x?xi64>, memref<4xi64>) outs(%c, %s : memref<?x4xf32>, memref<?x4xf32>)
             {axes = array<i64: 0, 2, 0, 0>}
  return
}

// CHECK-LABEL: @scalar_position(
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel"]
func.func @scalar_position(%p: tensor<i64>, %t: tensor<4xi64>, %c: tensor<4xf32>, %s: tensor<4xf32>) -> tensor<4xf32> {
  %cos, %sin = rope.table ins(%p, %t : tensor<i64>, tensor<4xi64>) outs(%c, %s : tensor<4xf32>, tensor<4xf32>)
  return %cos : tensor<4xf32>
}

// Frequencies stay what they are.

// CHECK-LABEL: @frequencies(
// CHECK: rope.frequencies
func.func @frequencies() -> tensor<4xf64> {
  %f = rope.frequencies base(2.0) : tensor<4xf64>
  return %f : tensor<4xf64>
}

// What the types of x and of the destination know of their sizes, or those of
// the tables, holds for both: no channels are behind the head.

// CHECK-LABEL: @head_known_by_destination(
// CHECK-NOT: linalg.generic
// CHECK-DAG: memref.subview %{{.*}}[0, 0] [8, 4] [1, 1] : memref<?x?xf32>
// CHECK-DAG: memref.subview %{{.*}}[0, 4] [8, 4] [1, 1] : memref<?x?xf32>
// CHECK-DAG: memref.subview %{{.*}}[0, 4] [8, 4] [1, 1] : memref<8x8xf32>
// CHECK: linalg.generic
func.func @head_known_by_destination(%x: memref<?x?xf32>, %cos: memref<?x?xf32>, %sin: memref<8x4xf32>, %y: memref<8x8xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<?x?xf32>, memref<?x?xf32>, memref<8x4xf32>) outs(%y : memref<8x8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// CHECK-LABEL: @head_known_by_x(
// CHECK-NOT: linalg.copy
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, 4] [8, 4] [1, 1] : tensor<8x4xf32> into tensor<?x?xf32>
func.func @head_known_by_x(%x: tensor<8x8xf32>, %t: tensor<?x4xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %r = rope.apply ins(%x, %t, %t : tensor<8x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%y : tensor<?x?xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %r : tensor<?x?xf32>
}

// No pairs at all, which the sine knows.

// CHECK-LABEL: @no_pairs_by_sine(
// CHECK-NEXT: linalg.generic {{.*}} ins(%{{.*}} : memref<8x8xf32>) outs(%{{.*}} : memref<8x8xf32>) {
// CHECK-NEXT: ^bb0(%[[KEPT:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT: linalg.yield %[[KEPT]] : f32
// CHECK-NEXT: }
// CHECK-NEXT: return
func.func @no_pairs_by_sine(%x: memref<8x8xf32>, %cos: memref<?x?xf32>, %sin: memref<8x0xf32>, %y: memref<8x8xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8x8xf32>, memref<?x?xf32>, memref<8x0xf32>) outs(%y : memref<8x8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// A table of no positions, which they know.

// CHECK-LABEL: @no_positions(
// CHECK-NEXT: return
func.func @no_positions(%p: memref<2x0xi64>, %f: memref<2xf64>, %cos: memref<?x2xf32>, %sin: memref<?x2xf32>) {
  rope.table ins(%p, %f : memref<2x0xi64>, memref<2xf64>) outs(%cos, %sin : memref<?x2xf32>, memref<?x2xf32>)
             {axes = array<i64: 0, 1>}
  return
}

//===----------------------------------------------------------------------===//
// Written around the cache
//===----------------------------------------------------------------------===//

// All parts know how what they write is aligned: 64 and 32 channels of bf16 from
// the rows' starts, which are aligned to 64 bytes.

// CHECK-LABEL: @streaming(
// CHECK-COUNT-2: linalg.generic {{.*}} attrs = {rope.rows, rope.streaming = 64 : i64}
func.func @streaming(%x: memref<8x128xbf16>, %t: memref<8x32xf32>, %y: memref<8x128xbf16>) {
  rope.apply ins(%x, %t, %t : memref<8x128xbf16>, memref<8x32xf32>, memref<8x32xf32>) outs(%y : memref<8x128xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  return
}

// The second half starts at 80 bytes.

// CHECK-LABEL: @streaming_40(
// CHECK: linalg.generic {{.*}} attrs = {rope.streaming = 16 : i64}
func.func @streaming_40(%x: memref<8x80xbf16>, %t: memref<8x40xf32>, %y: memref<8x80xbf16>) {
  rope.apply ins(%x, %t, %t : memref<8x80xbf16>, memref<8x40xf32>, memref<8x40xf32>) outs(%y : memref<8x80xbf16>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 32 : i64}
  return
}

// Interleaved pairs are written as one row, from its start.

// CHECK-LABEL: @streaming_interleaved(
// CHECK: linalg.generic {{.*}} attrs = {rope.streaming = 32 : i64}
func.func @streaming_interleaved(%x: memref<8x80xbf16>, %t: memref<8x40xf32>, %y: memref<8x80xbf16>) {
  rope.apply ins(%x, %t, %t : memref<8x80xbf16>, memref<8x40xf32>, memref<8x40xf32>) outs(%y : memref<8x80xbf16>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, rope.streaming = 32 : i64}
  return
}

// Nothing is known of where the second half starts, nor of an alignment that is
// none.

// CHECK-LABEL: @not_streaming(
// CHECK-NOT: rope.streaming
// CHECK: return
func.func @not_streaming(%x: memref<8x?xf32>, %t: memref<8x?xf32>, %y: memref<8x?xf32>, %z: memref<8x8xf32>, %u: memref<8x4xf32>) {
  rope.apply ins(%x, %t, %t : memref<8x?xf32>, memref<8x?xf32>, memref<8x?xf32>) outs(%y : memref<8x?xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}
  rope.apply ins(%z, %u, %u : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>) outs(%z : memref<8x8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming = -64 : i64}
  rope.apply ins(%z, %u, %u : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>) outs(%z : memref<8x8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.streaming}
  return
}

// A value without weight stays out of the sum, unless no score is hidden.

// CHECK-LABEL: @online_masked(
// CHECK: arith.cmpf oeq
// CHECK-NEXT: arith.select
// CHECK-NEXT: linalg.yield
// CHECK: return
func.func @online_masked(%q: memref<16x8xf32>, %k: memref<32x8xf32>, %v: memref<32x8xf32>, %acc: memref<8x16xf32>, %max: memref<16xf32>,
                  %sum: memref<16xf32>, %scores: memref<32x16xf32>, %correction: memref<16xf32>) {
  rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (e, i)>,
                                           affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, i)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : memref<16x8xf32>, memref<32x8xf32>, memref<32x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : memref<8x16xf32>, memref<16xf32>, memref<16xf32>, memref<32x16xf32>, memref<16xf32>)
  return
}

// CHECK-LABEL: @online_unmasked(
// CHECK: math.exp
// CHECK: math.exp
// CHECK-NOT: arith.cmpf oeq
// CHECK: return
func.func @online_unmasked(%q: memref<16x8xf32>, %k: memref<32x8xf32>, %v: memref<32x8xf32>, %acc: memref<8x16xf32>, %max: memref<16xf32>,
                  %sum: memref<16xf32>, %scores: memref<32x16xf32>, %correction: memref<16xf32>) {
  rope.online_attention {unmasked, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (e, i)>,
                                           affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, i)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : memref<16x8xf32>, memref<32x8xf32>, memref<32x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : memref<8x16xf32>, memref<16xf32>, memref<16xf32>, memref<32x16xf32>, memref<16xf32>)
  return
}

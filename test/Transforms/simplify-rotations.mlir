// RUN: rope-opt %s --split-input-file --rope-simplify | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-simplify --remark-format=emitRemark --remarks-filter=rope-simplify -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// (simplify_1) Two rotations: positions are added, magnitudes multiplied.

// CHECK-LABEL: @sum(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x4x8xbf16>, %[[P:[a-z0-9]+]]: tensor<?xi64>, %[[Q:[a-z0-9]+]]: tensor<?xi64>
// CHECK: %[[S:.*]] = arith.addi %[[P]], %[[Q]] : tensor<?xi64>
// CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[S]], {{.*}} {magnitude = 3.000000e+00 : f64}
// CHECK: rope.apply ins(%[[X]], %[[COS]], %[[SIN]] : {{.*}} {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
// CHECK-NOT: rope.apply
// REMARK-DAG: [Passed] fused | Category:rope-simplify | Function=sum | {{.*}}two rotations became one
func.func @sum(%x: tensor<?x4x8xbf16>, %p: tensor<?xi64>, %q: tensor<?xi64>, %n: index) -> tensor<?x4x8xbf16> {
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %i = tensor.empty(%n) : tensor<?x4x8xbf16>
  %c0, %s0 = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xf64>) outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>) {magnitude = 2.0 : f64}
  %c1, %s1 = rope.table ins(%q, %f : tensor<?xi64>, tensor<4xf64>) outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>) {magnitude = 1.5 : f64}
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<?x4x8xbf16>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<?x4x8xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%0, %c1, %s1 : tensor<?x4x8xbf16>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<?x4x8xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
  return %1 : tensor<?x4x8xbf16>
}

// One that is transposed subtracts, two are transposed; narrow integers are
// added in 64 bits.

// CHECK-LABEL: @difference(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x8xf32>, %[[P:[a-z0-9]+]]: tensor<4xi32>, %[[Q:[a-z0-9]+]]: tensor<4xi32>
// CHECK-DAG: %[[P64:.*]] = arith.extsi %[[P]] : tensor<4xi32> to tensor<4xi64>
// CHECK-DAG: %[[Q64:.*]] = arith.extsi %[[Q]] : tensor<4xi32> to tensor<4xi64>
// CHECK: %[[D:.*]] = arith.subi %[[Q64]], %[[P64]]
// CHECK: rope.table ins(%[[D]],
// CHECK: rope.apply ins(%[[X]], {{.*}} {offset = 1 : i64, pair_stride = 4 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
func.func @difference(%x: tensor<4x8xf32>, %p: tensor<4xi32>, %q: tensor<4xi32>, %f: tensor<3xf64>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x3xf32>
  %i = tensor.empty() : tensor<4x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %c1, %s1 = rope.table ins(%q, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64, pair_stride = 4 : i64, transpose}
  %1 = rope.apply ins(%0, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64, pair_stride = 4 : i64}
  return %1 : tensor<4x8xf32>
}

// CHECK-LABEL: @backwards(
// CHECK: arith.addi
// CHECK: rope.apply {{.*}} transpose}
// CHECK-NOT: rope.apply
func.func @backwards(%x: tensor<4x8xf32>, %p: tensor<4xi64>, %q: tensor<4xi64>, %f: tensor<4xf64>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<4x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %c1, %s1 = rope.table ins(%q, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %1 = rope.apply ins(%0, %c1, %s1 : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  return %1 : tensor<4x8xf32>
}

// Known positions become known ones; one table twice is twice the positions.
// The tables stay in use, but several heads share a row of the new one.

// CHECK-LABEL: @constants(
// CHECK: arith.constant dense<[11, 22]> : tensor<2xi64>
// CHECK-COUNT-3: rope.table
// CHECK: rope.apply
// CHECK-NOT: rope.apply ins(%rotated
func.func @constants(%x: tensor<2x3x8xf32>, %y: tensor<2x3x8xf32>, %f: tensor<4xf64>) -> (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>) {
  %p = arith.constant dense<[1, 2]> : tensor<2xi64>
  %q = arith.constant dense<[10, 20]> : tensor<2xi64>
  %e = tensor.empty() : tensor<2x4xf32>
  %i = tensor.empty() : tensor<2x3x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<2xi64>, tensor<4xf64>) outs(%e, %e : tensor<2x4xf32>, tensor<2x4xf32>)
  %c1, %s1 = rope.table ins(%q, %f : tensor<2xi64>, tensor<4xf64>) outs(%e, %e : tensor<2x4xf32>, tensor<2x4xf32>)
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<2x3x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%i : tensor<2x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%0, %c1, %s1 : tensor<2x3x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%i : tensor<2x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %2 = rope.apply ins(%y, %c0, %s0 : tensor<2x3x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%i : tensor<2x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %3 = rope.apply ins(%y, %c1, %s1 : tensor<2x3x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%i : tensor<2x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %1, %2, %3 : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>
}

// -----

// Angles in f32, float positions, other frequencies or axes, other channels, a
// use of the first, tables in use and one head: left.

// CHECK-LABEL: @not_added(
// CHECK-COUNT-12: rope.apply
func.func @not_added(%x: tensor<4x8xf32>, %p: tensor<4xi64>, %q: tensor<4xi64>, %r: tensor<4xf32>, %m: tensor<2x4xi64>, %f: tensor<3xf64>, %g: tensor<3xf64>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x3xf32>
  %i = tensor.empty() : tensor<4x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %c1, %s1 = rope.table ins(%q, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %cf, %sf = rope.table ins(%q, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>) {precision = #rope.precision<f32>}
  %cr, %sr = rope.table ins(%r, %f : tensor<4xf32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %cg, %sg = rope.table ins(%q, %g : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %ca, %sa = rope.table ins(%m, %f : tensor<2x4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>) {axes = array<i64: 0, 1, 0>}
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%0, %cf, %sf : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %2 = rope.apply ins(%1, %cr, %sr : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %3 = rope.apply ins(%2, %cr, %sr : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %4 = rope.apply ins(%3, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %5 = rope.apply ins(%4, %cg, %sg : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %6 = rope.apply ins(%5, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %7 = rope.apply ins(%6, %ca, %sa : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %8 = rope.apply ins(%7, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %9 = rope.apply ins(%8, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64}
  %10 = rope.apply ins(%9, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64}
  %11 = rope.apply ins(%9, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64}
  return %3, %5, %7, %8, %9, %10, %11 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// (simplify_2) A transposition and a reshape between a rotation and its inverse.

// CHECK-LABEL: @meet(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<1x4x2x8xf32>
// CHECK-NOT: rope.apply
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[X]]
// CHECK-NEXT: %[[C:.*]] = tensor.collapse_shape %[[T]]
// CHECK-NEXT: return %[[C]]
// REMARK-DAG: Function=meet | {{.*}}a rotation moved in front of a transposition or reshape
// REMARK-DAG: Function=meet | {{.*}}a rotation moved in front of a transposition or reshape
func.func @meet(%x: tensor<1x4x2x8xf32>, %p: tensor<4xi64>, %f: tensor<4xf64>) -> tensor<2x4x8xf32> {
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<1x4x2x8xf32>
  %j = tensor.empty() : tensor<1x2x4x8xf32>
  %k = tensor.empty() : tensor<2x4x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %0 = rope.apply ins(%x, %c, %s : tensor<1x4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<1x4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %t = linalg.transpose ins(%0 : tensor<1x4x2x8xf32>) outs(%j : tensor<1x2x4x8xf32>) permutation = [0, 2, 1, 3]
  %g = tensor.collapse_shape %t [[0, 1], [2], [3]] : tensor<1x2x4x8xf32> into tensor<2x4x8xf32>
  %1 = rope.apply ins(%g, %c, %s : tensor<2x4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%k : tensor<2x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>, transpose}
  return %1 : tensor<2x4x8xf32>
}

// The head dimension moves, positions are merged, another rotation, or what is
// moved is used: left.

// CHECK-LABEL: @not_met(
// CHECK: rope.apply
// CHECK: linalg.transpose
// CHECK: rope.apply
// CHECK: rope.apply
// CHECK: tensor.collapse_shape
// CHECK: rope.apply
// CHECK: rope.apply
// CHECK: linalg.transpose
// CHECK: rope.apply
// CHECK: rope.apply
// CHECK: linalg.transpose
// CHECK: rope.apply
func.func @not_met(%x: tensor<4x8x8xf32>, %p: tensor<4xi64>, %p32: tensor<32xi64>, %p8: tensor<8xi64>, %f: tensor<4xf64>, %g: tensor<4xf64>)
    -> (tensor<4x8x8xf32>, tensor<32x8xf32>, tensor<8x4x8xf32>, tensor<8x4x8xf32>, tensor<8x4x8xf32>) {
  %e = tensor.empty() : tensor<4x4xf32>
  %e32 = tensor.empty() : tensor<32x4xf32>
  %i = tensor.empty() : tensor<4x8x8xf32>
  %j = tensor.empty() : tensor<8x4x8xf32>
  %k = tensor.empty() : tensor<32x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %c32, %s32 = rope.table ins(%p32, %f : tensor<32xi64>, tensor<4xf64>) outs(%e32, %e32 : tensor<32x4xf32>, tensor<32x4xf32>)
  %cg, %sg = rope.table ins(%p, %g : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %0 = rope.apply ins(%x, %c, %s : tensor<4x8x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %t0 = linalg.transpose ins(%0 : tensor<4x8x8xf32>) outs(%i : tensor<4x8x8xf32>) permutation = [0, 2, 1]
  %r0 = rope.apply ins(%t0, %c, %s : tensor<4x8x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %1 = rope.apply ins(%x, %c, %s : tensor<4x8x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %t1 = tensor.collapse_shape %1 [[0, 1], [2]] : tensor<4x8x8xf32> into tensor<32x8xf32>
  %r1 = rope.apply ins(%t1, %c32, %s32 : tensor<32x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>) outs(%k : tensor<32x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %2 = rope.apply ins(%x, %c, %s : tensor<4x8x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, transpose}
  %t2 = linalg.transpose ins(%2 : tensor<4x8x8xf32>) outs(%j : tensor<8x4x8xf32>) permutation = [1, 0, 2]
  %r2 = rope.apply ins(%t2, %cg, %sg : tensor<8x4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%j : tensor<8x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %3 = rope.apply ins(%x, %c, %s : tensor<4x8x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x8x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %t3 = linalg.transpose ins(%3 : tensor<4x8x8xf32>) outs(%j : tensor<8x4x8xf32>) permutation = [1, 0, 2]
  %r3 = rope.apply ins(%t3, %c, %s : tensor<8x4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%j : tensor<8x4x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 1>, transpose}
  return %r0, %r1, %r2, %r3, %t3 : tensor<4x8x8xf32>, tensor<32x8xf32>, tensor<8x4x8xf32>, tensor<8x4x8xf32>, tensor<8x4x8xf32>
}

// Moved, rotated, and moved back: by linalg.transpose, linalg.generic, reshapes
// of dynamic sizes.

// CHECK-LABEL: @unmoved(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<2x5x3x8xf32>
// CHECK-NOT: linalg.transpose
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], {{.*}} {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
// CHECK-NEXT: return %[[Y]]
// REMARK-DAG: Function=unmoved | {{.*}}rotation made where a transposition or reshape came from
func.func @unmoved(%x: tensor<2x5x3x8xf32>, %c: tensor<5x4xf32>, %s: tensor<5x4xf32>) -> tensor<2x5x3x8xf32> {
  %i = tensor.empty() : tensor<2x5x3x8xf32>
  %j = tensor.empty() : tensor<5x3x2x8xf32>
  %t = linalg.transpose ins(%x : tensor<2x5x3x8xf32>) outs(%j : tensor<5x3x2x8xf32>) permutation = [1, 2, 0, 3]
  %y = rope.apply ins(%t, %c, %s : tensor<5x3x2x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%j : tensor<5x3x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %u = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d1, d2, d0, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%y : tensor<5x3x2x8xf32>) outs(%i : tensor<2x5x3x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x5x3x8xf32>
  return %u : tensor<2x5x3x8xf32>
}

// CHECK-LABEL: @unreshaped(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x5x3x8xf32>
// CHECK-NOT: tensor.collapse_shape
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], {{.*}} {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
// CHECK-NEXT: return %[[Y]]
func.func @unreshaped(%x: tensor<?x5x3x8xf32>, %c: tensor<5x4xf32>, %s: tensor<5x4xf32>) -> tensor<?x5x3x8xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x5x3x8xf32>
  %t = tensor.expand_shape %x [[0, 1], [2], [3], [4]] output_shape [%n, 1, 5, 3, 8] : tensor<?x5x3x8xf32> into tensor<?x1x5x3x8xf32>
  %j = tensor.empty(%n) : tensor<?x1x5x3x8xf32>
  %y = rope.apply ins(%t, %c, %s : tensor<?x1x5x3x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%j : tensor<?x1x5x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 2>}
  %u = tensor.collapse_shape %y [[0, 1], [2], [3], [4]] : tensor<?x1x5x3x8xf32> into tensor<?x5x3x8xf32>
  return %u : tensor<?x5x3x8xf32>
}

// Another permutation, one that takes the head dimension away and back, another
// grouping: left.

// CHECK-LABEL: @moved_on(
// CHECK-COUNT-4: linalg.transpose
// CHECK: tensor.collapse_shape
// CHECK: tensor.expand_shape
func.func @moved_on(%x: tensor<2x2x2x8xf32>, %y: tensor<8x2xf32>, %c: tensor<2x4xf32>, %c4: tensor<4x4xf32>) -> (tensor<2x2x2x8xf32>, tensor<8x2xf32>, tensor<2x2x2x8xf32>) {
  %i = tensor.empty() : tensor<2x2x2x8xf32>
  %j = tensor.empty() : tensor<2x8xf32>
  %k = tensor.empty() : tensor<8x2xf32>
  %t = linalg.transpose ins(%x : tensor<2x2x2x8xf32>) outs(%i : tensor<2x2x2x8xf32>) permutation = [1, 2, 0, 3]
  %0 = rope.apply ins(%t, %c, %c : tensor<2x2x2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%i : tensor<2x2x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %u = linalg.transpose ins(%0 : tensor<2x2x2x8xf32>) outs(%i : tensor<2x2x2x8xf32>) permutation = [1, 2, 0, 3]
  %t1 = linalg.transpose ins(%y : tensor<8x2xf32>) outs(%j : tensor<2x8xf32>) permutation = [1, 0]
  %1 = rope.apply ins(%t1, %c, %c : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%j : tensor<2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %u1 = linalg.transpose ins(%1 : tensor<2x8xf32>) outs(%k : tensor<8x2xf32>) permutation = [1, 0]
  %t2 = tensor.collapse_shape %x [[0, 1], [2], [3]] : tensor<2x2x2x8xf32> into tensor<4x2x8xf32>
  %l = tensor.empty() : tensor<4x2x8xf32>
  %2 = rope.apply ins(%t2, %c4, %c4 : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%l : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %u2 = tensor.expand_shape %2 [[0, 1], [2], [3]] output_shape [2, 2, 2, 8] : tensor<4x2x8xf32> into tensor<2x2x2x8xf32>
  return %u, %u1, %u2 : tensor<2x2x2x8xf32>, tensor<8x2xf32>, tensor<2x2x2x8xf32>
}

// -----

// (simplify_3) Heads of queries and keys that are joined.

// CHECK-LABEL: @joined(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<5x4x8xf16>, %[[K:[a-z0-9]+]]: tensor<5x2x8xf16>
// CHECK: %[[X:.*]] = tensor.concat dim(1) %[[Q]], %[[K]]
// CHECK: rope.apply ins(%[[X]], {{.*}} outs(%{{.*}} : tensor<5x6x8xf16>)
// CHECK-NOT: rope.apply
// REMARK-DAG: Function=joined | {{.*}}joined rotations became one
func.func @joined(%q: tensor<5x4x8xf16>, %k: tensor<5x2x8xf16>, %c: tensor<5x4xf32>, %s: tensor<5x4xf32>) -> tensor<5x6x8xf16> {
  %i = tensor.empty() : tensor<5x4x8xf16>
  %j = tensor.empty() : tensor<5x2x8xf16>
  %0 = rope.apply ins(%q, %c, %s : tensor<5x4x8xf16>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x4x8xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%k, %c, %s : tensor<5x2x8xf16>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%j : tensor<5x2x8xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.concat dim(1) %0, %1 : (tensor<5x4x8xf16>, tensor<5x2x8xf16>) -> tensor<5x6x8xf16>
  return %r : tensor<5x6x8xf16>
}

// Joined positions or channels, rotated by other tables or in another
// direction: left.

// CHECK-LABEL: @not_joined(
// CHECK-COUNT-8: rope.apply
func.func @not_joined(%x: tensor<5x5x8xf32>, %c: tensor<5x4xf32>, %s: tensor<5x4xf32>)
    -> (tensor<10x5x8xf32>, tensor<5x5x16xf32>, tensor<5x10x8xf32>, tensor<5x10x8xf32>) {
  %i = tensor.empty() : tensor<5x5x8xf32>
  %0 = rope.apply ins(%x, %c, %s : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%i, %c, %s : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r1 = tensor.concat dim(0) %0, %1 : (tensor<5x5x8xf32>, tensor<5x5x8xf32>) -> tensor<10x5x8xf32>
  %2 = rope.apply ins(%x, %s, %c : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %3 = rope.apply ins(%i, %s, %c : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r3 = tensor.concat dim(2) %2, %3 : (tensor<5x5x8xf32>, tensor<5x5x8xf32>) -> tensor<5x5x16xf32>
  %4 = rope.apply ins(%x, %s, %s : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %5 = rope.apply ins(%i, %c, %s : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r5 = tensor.concat dim(1) %4, %5 : (tensor<5x5x8xf32>, tensor<5x5x8xf32>) -> tensor<5x10x8xf32>
  %6 = rope.apply ins(%x, %c, %c : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %7 = rope.apply ins(%i, %c, %c : tensor<5x5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%i : tensor<5x5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %r7 = tensor.concat dim(1) %6, %7 : (tensor<5x5x8xf32>, tensor<5x5x8xf32>) -> tensor<5x10x8xf32>
  return %r1, %r3, %r5, %r7 : tensor<10x5x8xf32>, tensor<5x5x16xf32>, tensor<5x10x8xf32>, tensor<5x10x8xf32>
}

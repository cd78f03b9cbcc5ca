// RUN: rope-opt %s --split-input-file --canonicalize | FileCheck %s

// Each rule, then what violates its conditions.

// (apply_f1) No pairs.

// CHECK-LABEL: @no_pairs(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x8xf32>
// CHECK-NEXT: return %[[X]]
func.func @no_pairs(%x: tensor<4x8xf32>, %t: tensor<4x0xf32>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %y = rope.apply ins(%x, %t, %t : tensor<4x8xf32>, tensor<4x0xf32>, tensor<4x0xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x8xf32>
}

// Widened, it is no copy.

// CHECK-LABEL: @no_pairs_widened(
// CHECK: rope.apply
func.func @no_pairs_widened(%x: tensor<4x8xbf16>, %t: tensor<4x0xf32>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %y = rope.apply ins(%x, %t, %t : tensor<4x8xbf16>, tensor<4x0xf32>, tensor<4x0xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x8xf32>
}

// On memrefs nothing changes.

// CHECK-LABEL: @no_pairs_memref(
// CHECK: rope.apply
func.func @no_pairs_memref(%x: memref<4x8xf32>, %t: memref<4x0xf32>, %y: memref<4x8xf32>) {
  rope.apply ins(%x, %t, %t : memref<4x8xf32>, memref<4x0xf32>, memref<4x0xf32>) outs(%y : memref<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

// (apply_f2) Positions that are all zero, of tensors whose sizes are known of
// one alone.

// CHECK-LABEL: @zero_positions(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x8xbf16>
// CHECK-NEXT: %[[Y:.*]] = tensor.cast %[[X]] : tensor<?x8xbf16> to tensor<4x8xbf16>
// CHECK-NEXT: return %[[Y]]
func.func @zero_positions(%x: tensor<?x8xbf16>, %i: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %p = arith.constant dense<0> : tensor<4xi32>
  %f = rope.frequencies base(1.0e+04) : tensor<3xf64>
  %e = tensor.empty() : tensor<4x3xf16>
  %c, %s = rope.table ins(%p, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf16>, tensor<4x3xf16>)
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xbf16>, tensor<4x3xf16>, tensor<4x3xf16>) outs(%i : tensor<4x8xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x8xbf16>
}

// CHECK-LABEL: @zero_float_positions(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x8xf32>
// CHECK-NEXT: return %[[X]]
func.func @zero_float_positions(%x: tensor<4x8xf32>, %f: tensor<3xf64>) -> tensor<4x8xf32> {
  %p = arith.constant dense<-0.0> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x3xf32>
  %c, %s = rope.table ins(%p, %f : tensor<4xf32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %i = tensor.empty() : tensor<4x8xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  return %y : tensor<4x8xf32>
}

// Another magnitude scales, another pairing permutes, one position rotates, and
// sine and cosine in each other's place do something else.

// CHECK-LABEL: @not_zero_positions(
// CHECK-COUNT-4: rope.apply
func.func @not_zero_positions(%x: tensor<4x8xf32>, %f: tensor<3xf64>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %p = arith.constant dense<0> : tensor<4xi32>
  %q = arith.constant dense<[0, 0, 0, 1]> : tensor<4xi32>
  %e = tensor.empty() : tensor<4x3xf32>
  %i = tensor.empty() : tensor<4x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>) {magnitude = 1.5 : f64}
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %c1, %s1 = rope.table ins(%p, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %1 = rope.apply ins(%x, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
  %c2, %s2 = rope.table ins(%q, %f : tensor<4xi32>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %2 = rope.apply ins(%x, %c2, %s2 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %3 = rope.apply ins(%x, %s1, %c1 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %0, %1, %2, %3 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// (apply_f3) A rotation and its inverse, in either order, between pairings.

// CHECK-LABEL: @inverse(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x8xbf16>
// CHECK-NEXT: return %[[X]], %[[X]]
func.func @inverse(%x: tensor<4x8xbf16>, %p: tensor<4xi64>, %f: tensor<3xf64>) -> (tensor<4x8xbf16>, tensor<4x8xbf16>) {
  %e = tensor.empty() : tensor<4x3xf32>
  %i = tensor.empty() : tensor<4x8xbf16>
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %0 = rope.apply ins(%x, %c, %s : tensor<4x8xbf16>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64, pair_stride = 4 : i64}
  %1 = rope.apply ins(%0, %c, %s : tensor<4x8xbf16>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64, pair_stride = 4 : i64, transpose}
  %2 = rope.apply ins(%x, %c, %s : tensor<4x8xbf16>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>, transpose}
  %3 = rope.apply ins(%2, %c, %s : tensor<4x8xbf16>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 3 : i64, result_pairing = #rope.pairing<interleaved>}
  return %1, %3 : tensor<4x8xbf16>, tensor<4x8xbf16>
}

// A magnitude, tables of 16 bits, f32 tables of f64 numbers, the same direction
// twice, another offset, stride, pairing, table.

// CHECK-LABEL: @not_inverse(
// CHECK-COUNT-15: rope.apply
func.func @not_inverse(%x: tensor<4x8xf32>, %d: tensor<4x8xf64>, %p: tensor<4xi64>, %q: tensor<4xi64>, %f: tensor<3xf64>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf64>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x3xf32>
  %h = tensor.empty() : tensor<4x3xf16>
  %i = tensor.empty() : tensor<4x8xf32>
  %j = tensor.empty() : tensor<4x8xf64>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>) {magnitude = 2.0 : f64}
  %c1, %s1 = rope.table ins(%p, %f : tensor<4xi64>, tensor<3xf64>) outs(%h, %h : tensor<4x3xf16>, tensor<4x3xf16>)
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %c2, %s2 = rope.table ins(%q, %f : tensor<4xi64>, tensor<3xf64>) outs(%e, %e : tensor<4x3xf32>, tensor<4x3xf32>)
  %0 = rope.apply ins(%x, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%0, %c0, %s0 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %2 = rope.apply ins(%x, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf16>, tensor<4x3xf16>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %3 = rope.apply ins(%2, %c1, %s1 : tensor<4x8xf32>, tensor<4x3xf16>, tensor<4x3xf16>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %4 = rope.apply ins(%d, %c, %s : tensor<4x8xf64>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%j : tensor<4x8xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %5 = rope.apply ins(%4, %c, %s : tensor<4x8xf64>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%j : tensor<4x8xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %6 = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %7 = rope.apply ins(%6, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %8 = rope.apply ins(%6, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64}
  %9 = rope.apply ins(%8, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64, pair_stride = 4 : i64, transpose}
  %10 = rope.apply ins(%6, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<interleaved>}
  %11 = rope.apply ins(%10, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %12 = rope.apply ins(%6, %c2, %s2 : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // The pairing that is read first is not the one that is written last.
  %13 = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>, transpose}
  %14 = rope.apply ins(%13, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%i : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %1, %3, %5, %7, %9, %11, %12, %14 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf64>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// (apply_f4) and (apply_f5) Casts of tensors, and linalg that only casts.

// CHECK-LABEL: @casts(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x8xbf16>, %[[C:[a-z0-9]+]]: tensor<?x4xf32>, %[[S:[a-z0-9]+]]: tensor<?x4xf32>
// CHECK-NOT: arith.extf
// CHECK-NOT: arith.truncf
// CHECK: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x8xbf16>
// CHECK-NEXT: %[[Y:.*]] = rope.apply ins(%[[X]], %[[C]], %[[S]] : tensor<?x8xbf16>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%[[E]] : tensor<?x8xbf16>)
// CHECK-NEXT: return %[[Y]]
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @casts(%x: tensor<?x8xbf16>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>) -> tensor<?x8xbf16> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xbf16>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %w = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x8xbf16>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %0 = arith.extf %in : bf16 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8xf32>
  %y = rope.apply ins(%w, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%e : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = arith.truncf %y : tensor<?x8xf32> to tensor<?x8xbf16>
  return %r : tensor<?x8xbf16>
}

// CHECK-LABEL: @generic_truncation(
// CHECK-NOT: linalg.generic
// CHECK: rope.apply ins(%{{.*}} : tensor<4x8xf16>, tensor<4x4xf16>, tensor<4x4xf16>) outs(%{{.*}} : tensor<4x8xf16>)
// CHECK-NOT: linalg.generic
func.func @generic_truncation(%x: tensor<4x8xf16>, %c: tensor<4x4xf16>, %s: tensor<4x4xf16>) -> tensor<4x8xf16> {
  %e = tensor.empty() : tensor<4x8xf32>
  %h = tensor.empty() : tensor<4x8xf16>
  %y = rope.apply ins(%x, %c, %s : tensor<4x8xf16>, tensor<4x4xf16>, tensor<4x4xf16>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<4x8xf32>) outs(%h : tensor<4x8xf16>) {
  ^bb0(%in: f32, %out: f16):
    %0 = arith.truncf %in : f32 to f16
    linalg.yield %0 : f16
  } -> tensor<4x8xf16>
  return %r : tensor<4x8xf16>
}

// An extension stays where it transposes; a truncation where it goes to another
// type, from f64, from f32 that is computed in f64, from f32 to what was
// narrower no more, towards zero, and where f32 is used as well.

// CHECK-LABEL: @casts_left(
// CHECK: arith.extf
// CHECK-COUNT-6: arith.truncf
#t = affine_map<(d0, d1) -> (d1, d0)>
func.func @casts_left(%x: tensor<8x8xbf16>, %f: tensor<8x8xf32>, %c: tensor<8x4xf32>, %cd: tensor<8x4xf64>)
    -> (tensor<8x8xf32>, tensor<8x8xf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>) {
  %e = tensor.empty() : tensor<8x8xf32>
  %d = tensor.empty() : tensor<8x8xf64>
  %t = linalg.generic {indexing_maps = [#t, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<8x8xbf16>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %0 = arith.extf %in : bf16 to f32
    linalg.yield %0 : f32
  } -> tensor<8x8xf32>
  %0 = rope.apply ins(%t, %c, %c : tensor<8x8xf32>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%x, %c, %c : tensor<8x8xbf16>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r1 = arith.truncf %1 : tensor<8x8xf32> to tensor<8x8xf16>
  %2 = rope.apply ins(%x, %c, %c : tensor<8x8xbf16>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%d : tensor<8x8xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r2 = arith.truncf %2 : tensor<8x8xf64> to tensor<8x8xbf16>
  %3 = rope.apply ins(%x, %cd, %cd : tensor<8x8xbf16>, tensor<8x4xf64>, tensor<8x4xf64>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r3 = arith.truncf %3 : tensor<8x8xf32> to tensor<8x8xbf16>
  %4 = rope.apply ins(%f, %c, %c : tensor<8x8xf32>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r4 = arith.truncf %4 : tensor<8x8xf32> to tensor<8x8xbf16>
  %5 = rope.apply ins(%x, %c, %c : tensor<8x8xbf16>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r5 = arith.truncf %5 toward_zero : tensor<8x8xf32> to tensor<8x8xbf16>
  %6 = rope.apply ins(%x, %c, %c : tensor<8x8xbf16>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<8x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %r6 = arith.truncf %6 : tensor<8x8xf32> to tensor<8x8xbf16>
  %sum = arith.addf %0, %6 : tensor<8x8xf32>
  return %sum, %r1, %r2, %r3, %r4, %r5, %r6 : tensor<8x8xf32>, tensor<8x8xf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>, tensor<8x8xbf16>
}

// -----

// (apply_f6) Keys that are repeated for groups of heads and reshaped.

// CHECK-LABEL: @repeated(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<1x2x?x8xf16>
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], %{{.*}}, %{{.*}} : tensor<1x2x?x8xf16>, {{.*}}) outs(%{{.*}} : tensor<1x2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 2>}
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[Y]] : tensor<1x2x?x8xf32>)
// CHECK: %[[C:.*]] = tensor.collapse_shape %[[R]]
// CHECK: return %[[C]]
#g0 = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#g1 = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
func.func @repeated(%x: tensor<1x2x?x8xf16>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>, %n: index) -> tensor<1x6x?x8xf32> {
  %e = tensor.empty(%n) : tensor<1x2x3x?x8xf16>
  %r = linalg.generic {indexing_maps = [#g0, #g1], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x2x?x8xf16>) outs(%e : tensor<1x2x3x?x8xf16>) {
  ^bb0(%in: f16, %out: f16):
    linalg.yield %in : f16
  } -> tensor<1x2x3x?x8xf16>
  %f = tensor.collapse_shape %r [[0], [1, 2], [3], [4]] : tensor<1x2x3x?x8xf16> into tensor<1x6x?x8xf16>
  %i = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %y = rope.apply ins(%f, %c, %s : tensor<1x6x?x8xf16>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<1x6x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 2>}
  return %y : tensor<1x6x?x8xf32>
}

// CHECK-LABEL: @broadcast(
// CHECK: rope.apply {{.*}} outs(%{{.*}} : tensor<4x8xf32>) {{.*}}position_dims = array<i64: 0>
// CHECK: linalg.broadcast {{.*}} dimensions = [1]
func.func @broadcast(%x: tensor<4x8xf32>, %c: tensor<4x4xf32>, %s: tensor<4x4xf32>) -> tensor<4x3x8xf32> {
  %e = tensor.empty() : tensor<4x3x8xf32>
  %r = linalg.broadcast ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x3x8xf32>) dimensions = [1]
  %y = rope.apply ins(%r, %c, %s : tensor<4x3x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x3x8xf32>
}

// Repeated over positions, or along the head dimension; positions that are
// collapsed with heads.

// CHECK-LABEL: @repeated_left(
// CHECK: linalg.broadcast
// CHECK: linalg.broadcast
// CHECK: linalg.broadcast
// CHECK-COUNT-3: rope.apply
func.func @repeated_left(%x: tensor<4x8xf32>, %z: tensor<4x3xf32>, %c: tensor<3x4xf32>, %c2: tensor<12x4xf32>) -> (tensor<4x3x8xf32>, tensor<4x3x8xf32>, tensor<12x8xf32>) {
  %e = tensor.empty() : tensor<4x3x8xf32>
  %r = linalg.broadcast ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x3x8xf32>) dimensions = [1]
  %r1 = linalg.broadcast ins(%z : tensor<4x3xf32>) outs(%e : tensor<4x3x8xf32>) dimensions = [2]
  %e2 = tensor.empty() : tensor<12x8xf32>
  %t = tensor.empty() : tensor<4x3x8xf32>
  %r2 = linalg.broadcast ins(%x : tensor<4x8xf32>) outs(%t : tensor<4x3x8xf32>) dimensions = [1]
  %f2 = tensor.collapse_shape %r2 [[0, 1], [2]] : tensor<4x3x8xf32> into tensor<12x8xf32>
  %0 = rope.apply ins(%r, %c, %c : tensor<4x3x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<4x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %1 = rope.apply ins(%r1, %c, %c : tensor<4x3x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<4x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %2 = rope.apply ins(%f2, %c2, %c2 : tensor<12x8xf32>, tensor<12x4xf32>, tensor<12x4xf32>) outs(%e2 : tensor<12x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %0, %1, %2 : tensor<4x3x8xf32>, tensor<4x3x8xf32>, tensor<12x8xf32>
}

// -----

// (apply_f7) The last token of all, as one row; heads.

// CHECK-LABEL: @sliced(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x?x4x8xf32>, %[[C:[a-z0-9]+]]: tensor<?x?x4xf32>, %[[S:[a-z0-9]+]]: tensor<?x?x4xf32>, %[[B:[a-z0-9]+]]: index, %[[P:[a-z0-9]+]]: index
// CHECK: %[[XS:.*]] = tensor.extract_slice %[[X]][0, %[[P]], 1, 0] [%[[B]], 1, 2, 8] [1, 1, 1, 1] : tensor<?x?x4x8xf32> to tensor<?x2x8xf32>
// CHECK: %[[CS:.*]] = tensor.extract_slice %[[C]][%[[P]], 0, 0] [1, %[[B]], 4] [1, 1, 1] : tensor<?x?x4xf32> to tensor<?x4xf32>
// CHECK: %[[SS:.*]] = tensor.extract_slice %[[S]][%[[P]], 0, 0] [1, %[[B]], 4] [1, 1, 1] : tensor<?x?x4xf32> to tensor<?x4xf32>
// CHECK: rope.apply ins(%[[XS]], %[[CS]], %[[SS]] : {{.*}}) outs(%{{.*}} : tensor<?x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
func.func @sliced(%x: tensor<?x?x4x8xf32>, %c: tensor<?x?x4xf32>, %s: tensor<?x?x4xf32>, %b: index, %p: index, %e: tensor<?x?x4x8xf32>) -> tensor<?x2x8xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<?x?x4x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) outs(%e : tensor<?x?x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1, 0>}
  %r = tensor.extract_slice %y[0, %p, 1, 0] [%b, 1, 2, 8] [1, 1, 1, 1] : tensor<?x?x4x8xf32> to tensor<?x2x8xf32>
  return %r : tensor<?x2x8xf32>
}

// CHECK-LABEL: @sliced_heads(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<5x4x8xf32>, %[[C:[a-z0-9]+]]: tensor<5x4xf32>
// CHECK: %[[XS:.*]] = tensor.extract_slice %[[X]][0, 0, 0] [5, 2, 8] [1, 2, 1]
// CHECK: rope.apply ins(%[[XS]], %[[C]], %[[C]] :
func.func @sliced_heads(%x: tensor<5x4x8xf32>, %c: tensor<5x4xf32>) -> tensor<5x2x8xf32> {
  %e = tensor.empty() : tensor<5x4x8xf32>
  %y = rope.apply ins(%x, %c, %c : tensor<5x4x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%e : tensor<5x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.extract_slice %y[0, 0, 0] [5, 2, 8] [1, 2, 1] : tensor<5x4x8xf32> to tensor<5x2x8xf32>
  return %r : tensor<5x2x8xf32>
}

// Some channels; a rotation that is used otherwise; one in front of a loop; a
// slice that only drops a dimension.

// CHECK-LABEL: @sliced_left(
// CHECK: rope.apply
// CHECK-NEXT: tensor.extract_slice
// CHECK: rope.apply
// CHECK-NEXT: tensor.extract_slice
// CHECK: rope.apply
// CHECK: scf.for
// CHECK-NEXT: tensor.extract_slice
// CHECK: rope.apply
// CHECK-NEXT: tensor.extract_slice
func.func @sliced_left(%x: tensor<4x8xf32>, %c: tensor<4x4xf32>, %n: index, %u: tensor<1x4x8xf32>) -> (tensor<4x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>, tensor<1x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = rope.apply ins(%x, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r0 = tensor.extract_slice %0[0, 0] [4, 4] [1, 1] : tensor<4x8xf32> to tensor<4x4xf32>
  %1 = rope.apply ins(%x, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r1 = tensor.extract_slice %1[0, 0] [2, 8] [1, 1] : tensor<4x8xf32> to tensor<2x8xf32>
  %2 = rope.apply ins(%x, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = tensor.empty() : tensor<1x8xf32>
  %r2 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z) -> tensor<1x8xf32> {
    %row = tensor.extract_slice %2[%i, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<1x8xf32>
    %sum = arith.addf %a, %row : tensor<1x8xf32>
    scf.yield %sum : tensor<1x8xf32>
  }
  %eu = tensor.empty() : tensor<1x4x8xf32>
  %3 = rope.apply ins(%u, %c, %c : tensor<1x4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%eu : tensor<1x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r3 = tensor.extract_slice %3[0, 0, 0] [1, 4, 8] [1, 1, 1] : tensor<1x4x8xf32> to tensor<4x8xf32>
  return %r0, %r1, %1, %r2, %r3 : tensor<4x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>, tensor<1x8xf32>, tensor<4x8xf32>
}

// -----

// (apply_f8) Leading, trailing and middle channels; dynamic sizes; of a larger
// tensor; in any order of tensor.insert_slice.

// CHECK-LABEL: @leading(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x?x20xf32>
// CHECK-NOT: tensor.extract_slice
// CHECK-NOT: tensor.concat
// CHECK: rope.apply ins(%[[X]], {{.*}} outs(%{{.*}} : tensor<?x?x20xf32>) {offset = 1 : i64, pairing = #rope.pairing<interleaved>, position_dims = array<i64: 1>}
func.func @leading(%x: tensor<?x?x20xf32>, %c: tensor<?x3xf32>, %s: tensor<?x3xf32>) -> tensor<?x?x20xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x20xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x20xf32>
  %0 = tensor.extract_slice %x[0, 0, 0] [%b, %n, 8] [1, 1, 1] : tensor<?x?x20xf32> to tensor<?x?x8xf32>
  %1 = tensor.extract_slice %x[0, 0, 8] [%b, %n, 12] [1, 1, 1] : tensor<?x?x20xf32> to tensor<?x?x12xf32>
  %e = tensor.empty(%b, %n) : tensor<?x?x8xf32>
  %y = rope.apply ins(%0, %c, %s : tensor<?x?x8xf32>, tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x?x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 1>, offset = 1 : i64}
  %r = tensor.concat dim(2) %y, %1 : (tensor<?x?x8xf32>, tensor<?x?x12xf32>) -> tensor<?x?x20xf32>
  return %r : tensor<?x?x20xf32>
}

// CHECK-LABEL: @middle(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<6x40xf32>
// CHECK: %[[S:.*]] = tensor.extract_slice %[[X]][2, 4] [4, 24] [1, 1] : tensor<6x40xf32> to tensor<4x24xf32>
// CHECK: rope.apply ins(%[[S]], {{.*}}) outs(%{{.*}} : tensor<4x24xf32>) {offset = 10 : i64, pair_stride = 5 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
func.func @middle(%x: tensor<6x40xf32>, %c: tensor<4x3xf32>, %s: tensor<4x3xf32>) -> tensor<4x24xf32> {
  %0 = tensor.extract_slice %x[2, 4] [4, 10] [1, 1] : tensor<6x40xf32> to tensor<4x10xf32>
  %1 = tensor.extract_slice %x[2, 14] [4, 8] [1, 1] : tensor<6x40xf32> to tensor<4x8xf32>
  %2 = tensor.extract_slice %x[2, 22] [4, 6] [1, 1] : tensor<6x40xf32> to tensor<4x6xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %y = rope.apply ins(%1, %c, %s : tensor<4x8xf32>, tensor<4x3xf32>, tensor<4x3xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 5 : i64}
  %r = tensor.concat dim(1) %0, %y, %2 : (tensor<4x10xf32>, tensor<4x8xf32>, tensor<4x6xf32>) -> tensor<4x24xf32>
  return %r : tensor<4x24xf32>
}

// CHECK-LABEL: @inserted(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x20xf32>
// CHECK: %[[E:.*]] = tensor.empty() : tensor<4x20xf32>
// CHECK-NEXT: %[[Y:.*]] = rope.apply ins(%[[X]], {{.*}} outs(%[[E]] : tensor<4x20xf32>) {offset = 12 : i64
// CHECK-NEXT: %[[E1:.*]] = tensor.empty() : tensor<4x20xf32>
// CHECK-NEXT: %[[Y1:.*]] = rope.apply ins(%[[X]], {{.*}} outs(%[[E1]] : tensor<4x20xf32>) {offset = 12 : i64
// CHECK-NEXT: return %[[Y]], %[[Y1]]
func.func @inserted(%x: tensor<4x20xf32>, %c: tensor<4x4xf32>, %s: tensor<4x4xf32>) -> (tensor<4x20xf32>, tensor<4x20xf32>) {
  %0 = tensor.extract_slice %x[0, 12] [4, 8] [1, 1] : tensor<4x20xf32> to tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %y = rope.apply ins(%0, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %x[0, 12] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x20xf32>
  %y1 = rope.apply ins(%0, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %1 = tensor.extract_slice %x[0, 0] [4, 12] [1, 1] : tensor<4x20xf32> to tensor<4x12xf32>
  %f = tensor.empty() : tensor<4x20xf32>
  %r1 = tensor.insert_slice %y1 into %f[0, 12] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x20xf32>
  %r2 = tensor.insert_slice %1 into %r1[0, 0] [4, 12] [1, 1] : tensor<4x12xf32> into tensor<4x20xf32>
  return %r, %r2 : tensor<4x20xf32>, tensor<4x20xf32>
}

// The other part of another tensor, other tokens, out of order, twice the same;
// two rotations; one that is used otherwise; a tensor that is not all covered;
// another place; joined along another dimension.

// CHECK-LABEL: @joined_left(
// CHECK-COUNT-6: tensor.concat
// CHECK-COUNT-2: tensor.insert_slice
func.func @joined_left(%x: tensor<8x16xf32>, %z: tensor<8x16xf32>, %c: tensor<4x4xf32>)
    -> (tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x8xf32>, tensor<8x8xf32>, tensor<4x16xf32>, tensor<4x16xf32>) {
  %x0 = tensor.extract_slice %x[0, 0] [4, 8] [1, 1] : tensor<8x16xf32> to tensor<4x8xf32>
  %x1 = tensor.extract_slice %x[0, 8] [4, 8] [1, 1] : tensor<8x16xf32> to tensor<4x8xf32>
  %x2 = tensor.extract_slice %x[4, 8] [4, 8] [1, 1] : tensor<8x16xf32> to tensor<4x8xf32>
  %z1 = tensor.extract_slice %z[0, 8] [4, 8] [1, 1] : tensor<8x16xf32> to tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r0 = tensor.concat dim(1) %0, %z1 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %1 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r1 = tensor.concat dim(1) %1, %x2 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %2 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r2 = tensor.concat dim(1) %x1, %2 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %3 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %4 = rope.apply ins(%x1, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r3 = tensor.concat dim(1) %3, %4 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %5 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r5 = tensor.concat dim(1) %5, %x1 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %6 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r6 = tensor.concat dim(0) %6, %x1 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
  %f = tensor.empty() : tensor<4x16xf32>
  %7 = rope.apply ins(%x0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r7 = tensor.insert_slice %7 into %f[0, 0] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
  %w = tensor.extract_slice %z[0, 0] [4, 16] [1, 1] : tensor<8x16xf32> to tensor<4x16xf32>
  %w0 = tensor.extract_slice %w[0, 0] [4, 8] [1, 1] : tensor<4x16xf32> to tensor<4x8xf32>
  %8 = rope.apply ins(%w0, %c, %c : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r8 = tensor.insert_slice %8 into %w[0, 8] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
  return %r0, %r1, %r2, %r3, %r5, %5, %r6, %r7, %r8 : tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x8xf32>, tensor<8x8xf32>, tensor<4x16xf32>, tensor<4x16xf32>
}

// -----

// Attention forgets casts that forget sizes, with a region or without.

#q = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

// CHECK-LABEL: @attention_casts(
// CHECK-NOT: tensor.cast
// CHECK: rope.attention {{.*}} ins(%arg0, %arg1, %arg1 : tensor<4x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>) outs(%{{.*}} : tensor<4x8xf32>)
// CHECK: rope.attention {{.*}} ins(%arg0, %arg1, %arg1 : tensor<4x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>) outs(%{{.*}} : tensor<4x8xf32>) {
// CHECK: rope.yield
func.func @attention_casts(%x: tensor<4x8xf32>, %y: tensor<5x8xf32>) -> (tensor<4x8xf32>, tensor<?x8xf32>) {
  %e = tensor.empty() : tensor<4x8xf32>
  %q = tensor.cast %x : tensor<4x8xf32> to tensor<?x8xf32>
  %i = tensor.cast %e : tensor<4x8xf32> to tensor<?x8xf32>
  %k = tensor.cast %y : tensor<5x8xf32> to tensor<?x8xf32>
  %0 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%q, %k, %k : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<4x8xf32>)
  %1 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%q, %k, %k : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) outs(%i : tensor<?x8xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %a: index, %j: index):
    %2 = math.tanh %score : f32
    rope.yield %2 : f32
  }
  return %0, %1 : tensor<4x8xf32>, tensor<?x8xf32>
}

// -----

// Sizes that contradict each other, which linalg does not check where one is
// not known: left.

// CHECK-LABEL: @contradiction(
// CHECK: linalg.generic
// CHECK: rope.apply {{.*}} outs(%{{.*}} : tensor<3x?x12xf32>)
#from = affine_map<(h, s, d) -> (s, d)>
#to = affine_map<(h, s, d) -> (h, s, d)>
func.func @contradiction(%x: tensor<?x1xf32>, %c: tensor<?x6xf32>, %n: index) -> tensor<3x?x12xf32> {
  %e = tensor.empty(%n) : tensor<3x?x12xf32>
  %r = linalg.generic {indexing_maps = [#from, #to], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<?x1xf32>) outs(%e : tensor<3x?x12xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<3x?x12xf32>
  %y = rope.apply ins(%r, %c, %c : tensor<3x?x12xf32>, tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<3x?x12xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<3x?x12xf32>
}

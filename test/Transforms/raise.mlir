// RUN: rope-opt %s --split-input-file --rope-raise --canonicalize --remark-format=emitRemark --remarks-filter=rope-raise --verify-diagnostics | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-raise=exact | FileCheck %s --check-prefix=EXACT

// Halves that are swapped, one negated, and tables of doubled angles: the
// frequencies keep their values, and angles are made in f32.

// CHECK-LABEL: @rotate_half(
// CHECK-SAME: %[[X:.*]]: tensor<2x5x8xf32>, %[[POSITIONS:.*]]: tensor<5xi64>
// CHECK: %[[F:.*]] = rope.frequencies values(dense<[1.000000e+00, 0.10000000149011612, 0.0099999997764825821, 0.0010000000474974513]>
// CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[POSITIONS]], %[[F]] : tensor<5xi64>, tensor<4xf64>)
// CHECK-SAME: precision = #rope.precision<f32>
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], %[[COS]], %[[SIN]]
// CHECK-SAME: {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
// CHECK-NEXT: return %[[Y]]

// EXACT-LABEL: @rotate_half(
// EXACT: rope.frequencies base(1.000000e+04) : tensor<4xf64>
// EXACT-NOT: precision
#cos = affine_map<(b, s, d) -> (s, d)>
#id = affine_map<(b, s, d) -> (b, s, d)>
func.func @rotate_half(%x: tensor<2x5x8xf32>, %positions: tensor<5xi64>) -> tensor<2x5x8xf32> {
  %f = arith.constant dense<[1.0, 0.1, 0.01, 0.001]> : tensor<4xf32>
  %p = arith.sitofp %positions : tensor<5xi64> to tensor<5xf32>
  %e = tensor.empty() : tensor<5x4xf32>
  %pb = linalg.broadcast ins(%p : tensor<5xf32>) outs(%e : tensor<5x4xf32>) dimensions = [1]
  %fb = linalg.broadcast ins(%f : tensor<4xf32>) outs(%e : tensor<5x4xf32>) dimensions = [0]
  %a = arith.mulf %pb, %fb : tensor<5x4xf32>
  %aa = tensor.concat dim(1) %a, %a : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x8xf32>
  %c = math.cos %aa : tensor<5x8xf32>
  %s = math.sin %aa : tensor<5x8xf32>
  %u = tensor.extract_slice %x[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %v = tensor.extract_slice %x[0, 0, 4] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %n = arith.negf %v : tensor<2x5x4xf32>
  %h = tensor.concat dim(2) %n, %u : (tensor<2x5x4xf32>, tensor<2x5x4xf32>) -> tensor<2x5x8xf32>
  %i = tensor.empty() : tensor<2x5x8xf32>
  // expected-remark @below {{rotation raised: 4 pairs, half, of 8 channels; table of known frequencies, those of base 10000}}
  %y = linalg.generic {indexing_maps = [#id, #id, #cos, #cos, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %h, %c, %s : tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>) outs(%i : tensor<2x5x8xf32>) {
  ^bb0(%x0: f32, %h0: f32, %c0: f32, %s0: f32, %o: f32):
    %xc = arith.mulf %x0, %c0 : f32
    %hs = arith.mulf %h0, %s0 : f32
    %sum = arith.addf %xc, %hs : f32
    linalg.yield %sum : f32
  } -> tensor<2x5x8xf32>
  return %y : tensor<2x5x8xf32>
}

// -----

// The inverse: the other half is negated. Given tables of one column a pair.

// CHECK-LABEL: @inverse(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[C:.*]]: tensor<?x4xf32>, %[[S:.*]]: tensor<?x4xf32>
// CHECK: rope.apply ins(%[[X]], %[[C]], %[[S]]
// CHECK-SAME: position_dims = array<i64: 0>, transpose}
func.func @inverse(%x: tensor<?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %zero = arith.constant 0 : index
  %n = tensor.dim %x, %zero : tensor<?x8xf32>
  %u = tensor.extract_slice %x[0, 0] [%n, 4] [1, 1] : tensor<?x8xf32> to tensor<?x4xf32>
  %v = tensor.extract_slice %x[0, 4] [%n, 4] [1, 1] : tensor<?x8xf32> to tensor<?x4xf32>
  %uc = arith.mulf %u, %c : tensor<?x4xf32>
  %vs = arith.mulf %s, %v : tensor<?x4xf32>
  %a = arith.addf %vs, %uc : tensor<?x4xf32>
  %vc = arith.mulf %v, %c : tensor<?x4xf32>
  %us = arith.mulf %u, %s : tensor<?x4xf32>
  %b = arith.subf %vc, %us : tensor<?x4xf32>
  // expected-remark @below {{4 pairs, half, of 8 channels, transposed; given cosines and sines}}
  %y = tensor.concat dim(1) %a, %b : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Complex numbers, read in pairs; the last two channels are copied.

// CHECK-LABEL: @complex(
// CHECK-SAME: %[[X:.*]]: tensor<3x6xf32>, %[[C:.*]]: tensor<3x2xf32>, %[[S:.*]]: tensor<3x2xf32>
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], %[[C]], %[[S]]
// CHECK-SAME: {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
// CHECK: return %[[Y]]
#i2 = affine_map<(s, i) -> (s, i)>
#i3 = affine_map<(s, i, j) -> (s, i, j)>
#i3to2 = affine_map<(s, i, j) -> (s, i)>
func.func @complex(%x: tensor<3x6xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x6xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %r = tensor.extract_slice %x[0, 0] [3, 4] [1, 1] : tensor<3x6xf32> to tensor<3x4xf32>
  %p = tensor.expand_shape %r [[0], [1, 2]] output_shape [3, 2, 2] : tensor<3x4xf32> into tensor<3x2x2xf32>
  %e = tensor.empty() : tensor<3x2xcomplex<f32>>
  %z = linalg.generic {indexing_maps = [#i2, #i2, #i2], iterator_types = ["parallel", "parallel"]}
      ins(%c, %s : tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x2xcomplex<f32>>) {
  ^bb0(%c0: f32, %s0: f32, %o: complex<f32>):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %re = tensor.extract %p[%i, %j, %zero] : tensor<3x2x2xf32>
    %im = tensor.extract %p[%i, %j, %one] : tensor<3x2x2xf32>
    %a = complex.create %re, %im : complex<f32>
    %t = complex.create %c0, %s0 : complex<f32>
    %m = complex.mul %t, %a : complex<f32>
    linalg.yield %m : complex<f32>
  } -> tensor<3x2xcomplex<f32>>
  %e2 = tensor.empty() : tensor<3x2x2xf32>
  %w = linalg.generic {indexing_maps = [#i3to2, #i3], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<3x2xcomplex<f32>>) outs(%e2 : tensor<3x2x2xf32>) {
  ^bb0(%z0: complex<f32>, %o: f32):
    %j = linalg.index 2 : index
    %re = complex.re %z0 : complex<f32>
    %im = complex.im %z0 : complex<f32>
    %is = arith.cmpi eq, %j, %zero : index
    %q = arith.select %is, %re, %im : f32
    linalg.yield %q : f32
  } -> tensor<3x2x2xf32>
  %k = tensor.collapse_shape %w [[0], [1, 2]] : tensor<3x2x2xf32> into tensor<3x4xf32>
  %rest = tensor.extract_slice %x[0, 4] [3, 2] [1, 1] : tensor<3x6xf32> to tensor<3x2xf32>
  // expected-remark @below {{2 pairs, interleaved, of 6 channels}}
  %y = tensor.concat dim(1) %k, %rest : (tensor<3x4xf32>, tensor<3x2xf32>) -> tensor<3x6xf32>
  return %y : tensor<3x6xf32>
}

// -----

// Read interleaved and written half-split, behind channels that are copied. The
// channels are not innermost.

// CHECK-LABEL: @permuted(
// CHECK-SAME: %[[X:.*]]: tensor<6x3xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[X]]
// CHECK: %[[R:.*]] = rope.apply ins(%[[T]]
// CHECK-SAME: {offset = 2 : i64, pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
// CHECK: linalg.transpose ins(%[[R]]
func.func @permuted(%x: tensor<6x3xf32>, %c: tensor<2x3xf32>, %s: tensor<2x3xf32>) -> tensor<6x3xf32> {
  %u = tensor.extract_slice %x[2, 0] [2, 3] [2, 1] : tensor<6x3xf32> to tensor<2x3xf32>
  %v = tensor.extract_slice %x[3, 0] [2, 3] [2, 1] : tensor<6x3xf32> to tensor<2x3xf32>
  %uc = arith.mulf %u, %c : tensor<2x3xf32>
  %vs = arith.mulf %v, %s : tensor<2x3xf32>
  %a = arith.subf %uc, %vs : tensor<2x3xf32>
  %vc = arith.mulf %v, %c : tensor<2x3xf32>
  %b = math.fma %u, %s, %vc : tensor<2x3xf32>
  %i = tensor.insert_slice %a into %x[2, 0] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<6x3xf32>
  // expected-remark @below {{2 pairs, interleaved to half, of 6 channels from channel 2 on}}
  %y = tensor.insert_slice %b into %i[4, 0] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<6x3xf32>
  return %y : tensor<6x3xf32>
}

// -----

// A partner by a constant matrix, in f32 from bf16: rounded once. Two axes of
// positions, and a magnitude.

// CHECK-LABEL: @matrix(
// CHECK-SAME: %[[X:.*]]: tensor<5x4xbf16>, %[[P:.*]]: tensor<2x5xi32>
// CHECK: rope.table ins(%[[P]],
// CHECK-SAME: {axes = array<i64: 1, 0>, magnitude = 2.000000e+00 : f64, precision = #rope.precision<f32>}
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]],
// CHECK-SAME: outs(%{{.*}} : tensor<5x4xbf16>)
#m0 = affine_map<(a, s, i) -> (a, s)>
#m1 = affine_map<(a, s, i) -> (i)>
#m2 = affine_map<(a, s, i) -> (a, s, i)>
func.func @matrix(%x: tensor<5x4xbf16>, %positions: tensor<2x5xi32>) -> tensor<5x4xbf16> {
  %two = arith.constant dense<2.0> : tensor<5x4xf32>
  %zero = arith.constant 0.0 : f32
  %f = arith.constant dense<[0.5, 0.25]> : tensor<2xf32>
  %m = arith.constant dense<[[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]]> : tensor<4x4xf32>
  %e = tensor.empty() : tensor<2x5x2xf32>
  %angles = linalg.generic {indexing_maps = [#m0, #m1, #m2], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%positions, %f : tensor<2x5xi32>, tensor<2xf32>) outs(%e : tensor<2x5x2xf32>) {
  ^bb0(%p: i32, %w: f32, %o: f32):
    %q = arith.sitofp %p : i32 to f32
    %a = arith.mulf %q, %w : f32
    linalg.yield %a : f32
  } -> tensor<2x5x2xf32>
  %a0 = tensor.extract_slice %angles[1, 0, 0] [1, 5, 1] [1, 1, 1] : tensor<2x5x2xf32> to tensor<5x1xf32>
  %a1 = tensor.extract_slice %angles[0, 0, 1] [1, 5, 1] [1, 1, 1] : tensor<2x5x2xf32> to tensor<5x1xf32>
  %aa = tensor.concat dim(1) %a0, %a1, %a0, %a1 : (tensor<5x1xf32>, tensor<5x1xf32>, tensor<5x1xf32>, tensor<5x1xf32>) -> tensor<5x4xf32>
  %c1 = math.cos %aa : tensor<5x4xf32>
  %s1 = math.sin %aa : tensor<5x4xf32>
  %c = arith.mulf %c1, %two : tensor<5x4xf32>
  %s = arith.mulf %s1, %two : tensor<5x4xf32>
  %w = arith.extf %x : tensor<5x4xbf16> to tensor<5x4xf32>
  %i = tensor.empty() : tensor<5x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%i : tensor<5x4xf32>) -> tensor<5x4xf32>
  %h = linalg.matmul ins(%w, %m : tensor<5x4xf32>, tensor<4x4xf32>) outs(%z : tensor<5x4xf32>) -> tensor<5x4xf32>
  %xc = arith.mulf %w, %c : tensor<5x4xf32>
  %hs = arith.mulf %h, %s : tensor<5x4xf32>
  // expected-remark @below {{2 pairs, half, of 4 channels; table of known frequencies}}
  %y = arith.addf %xc, %hs : tensor<5x4xf32>
  %t = arith.truncf %y : tensor<5x4xf32> to tensor<5x4xbf16>
  return %t : tensor<5x4xbf16>
}

// -----

// Rows of a constant, by position: cos(p) and sin(p), cos(p / 2) and sin(p / 2).
// The assertion goes with the look-up.

// CHECK-LABEL: @lookup(
// CHECK-SAME: %{{.*}}: tensor<2x4xf32>, %[[P:.*]]: tensor<2xi64>
// CHECK-NOT: cf.assert
// CHECK: %[[F:.*]] = rope.frequencies values(dense<[1.000000e+00, 5.000000e-01]>
// CHECK: rope.table ins(%[[P]], %[[F]]
// CHECK: rope.apply
// CHECK-NOT: linalg
#l1 = affine_map<(s, i) -> (s)>
#l2 = affine_map<(s, i) -> (s, i)>
func.func @lookup(%x: tensor<2x4xf32>, %positions: tensor<2xi64>) -> tensor<2x4xf32> {
  %rows = arith.constant dense<[[1.0, 1.0, 0.0, 0.0], [0.540302277, 0.87758255, 0.841470957, 0.47942555],
      [-0.416146845, 0.540302277, 0.909297407, 0.841470957], [-0.989992499, 0.070737198, 0.141120002, 0.997494996]]> : tensor<4x4xf32>
  %four = arith.constant 4 : index
  %e = tensor.empty() : tensor<2x4xf32>
  %g = linalg.generic {indexing_maps = [#l1, #l2], iterator_types = ["parallel", "parallel"]}
      ins(%positions : tensor<2xi64>) outs(%e : tensor<2x4xf32>) {
  ^bb0(%p: i64, %o: f32):
    %i = arith.index_cast %p : i64 to index
    %j = linalg.index 1 : index
    %ok = arith.cmpi slt, %i, %four : index
    cf.assert %ok, "the table has no row"
    %v = tensor.extract %rows[%i, %j] : tensor<4x4xf32>
    linalg.yield %v : f32
  } -> tensor<2x4xf32>
  %c = tensor.extract_slice %g[0, 0] [2, 2] [1, 1] : tensor<2x4xf32> to tensor<2x2xf32>
  %s = tensor.extract_slice %g[0, 2] [2, 2] [1, 1] : tensor<2x4xf32> to tensor<2x2xf32>
  %u = tensor.extract_slice %x[0, 0] [2, 2] [1, 1] : tensor<2x4xf32> to tensor<2x2xf32>
  %v = tensor.extract_slice %x[0, 2] [2, 2] [1, 1] : tensor<2x4xf32> to tensor<2x2xf32>
  %uc = arith.mulf %u, %c : tensor<2x2xf32>
  %vs = arith.mulf %v, %s : tensor<2x2xf32>
  %a = arith.subf %uc, %vs : tensor<2x2xf32>
  %vc = arith.mulf %v, %c : tensor<2x2xf32>
  %us = arith.mulf %u, %s : tensor<2x2xf32>
  %b = arith.addf %vc, %us : tensor<2x2xf32>
  // expected-remark @below {{2 pairs, half, of 4 channels; table of known frequencies}}
  %y = tensor.concat dim(1) %a, %b : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// -----

// Fused into a contraction: what the body rotates becomes an operand of it,
// over the loops that it depends on.

// CHECK-LABEL: @body(
// CHECK-SAME: %[[Q:.*]]: tensor<3x4xf32>, %[[K:.*]]: tensor<5x4xf32>, %[[C:[^:]*]]: tensor<3x2xf32>
// CHECK: %[[R:.*]] = rope.apply ins(%[[Q]], %[[C]]
// CHECK: linalg.generic {{.*}} ins(%[[K]], %[[R]] : tensor<5x4xf32>, tensor<3x4xf32>)
// CHECK-NEXT: ^bb0(%[[K0:.*]]: f32, %[[R0:.*]]: f32, %[[O:.*]]: f32):
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[R0]], %[[K0]]
// CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[O]], %[[M]]
// CHECK-NEXT: linalg.yield %[[SUM]]
#q = affine_map<(s, t, d) -> (s, d)>
#k = affine_map<(s, t, d) -> (t, d)>
#o = affine_map<(s, t, d) -> (s, t)>
func.func @body(%q: tensor<3x4xf32>, %k: tensor<5x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>, %i: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %cc = tensor.concat dim(1) %c, %c : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  %ss = tensor.concat dim(1) %s, %s : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  %u = tensor.extract_slice %q[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %q[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %n = arith.negf %v : tensor<3x2xf32>
  %h = tensor.concat dim(1) %n, %u : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  // expected-remark @below {{2 pairs, half, of 4 channels}}
  %r = linalg.generic {indexing_maps = [#q, #q, #q, #q, #k, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%q, %h, %cc, %ss, %k : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>, tensor<5x4xf32>) outs(%i : tensor<3x5xf32>) {
  ^bb0(%q0: f32, %h0: f32, %c0: f32, %s0: f32, %k0: f32, %o: f32):
    %qc = arith.mulf %q0, %c0 : f32
    %hs = arith.mulf %h0, %s0 : f32
    %y = arith.addf %qc, %hs : f32
    %m = arith.mulf %y, %k0 : f32
    %sum = arith.addf %o, %m : f32
    linalg.yield %sum : f32
  } -> tensor<3x5xf32>
  return %r : tensor<3x5xf32>
}

// -----

// One token of a loop, at the position that the loop counts.

// CHECK-LABEL: @token(
// CHECK: scf.for %[[I:[^ ]+]] =
// CHECK: %[[ROW:.*]] = tensor.extract_slice
// CHECK: %[[P:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<i64>)
// CHECK: rope.table ins(%[[P]], %{{.*}} : tensor<i64>, tensor<1xf64>)
// CHECK: rope.apply ins(%[[ROW]],
// CHECK-SAME: position_dims = array<i64>
func.func @token(%x: tensor<7x2xf32>) -> tensor<7x2xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %seven = arith.constant 7 : index
  %w = arith.constant 0.5 : f32
  %r = scf.for %i = %zero to %seven step %one iter_args(%t = %x) -> tensor<7x2xf32> {
    %n = arith.index_cast %i : index to i64
    %p = arith.sitofp %n : i64 to f32
    %a = arith.mulf %p, %w : f32
    %c = math.cos %a : f32
    %s = math.sin %a : f32
    %cb = tensor.splat %c : tensor<1x1xf32>
    %sb = tensor.splat %s : tensor<1x1xf32>
    %u = tensor.extract_slice %t[%i, 0] [1, 1] [1, 1] : tensor<7x2xf32> to tensor<1x1xf32>
    %v = tensor.extract_slice %t[%i, 1] [1, 1] [1, 1] : tensor<7x2xf32> to tensor<1x1xf32>
    %uc = arith.mulf %u, %cb : tensor<1x1xf32>
    %vs = arith.mulf %v, %sb : tensor<1x1xf32>
    %d = arith.subf %uc, %vs : tensor<1x1xf32>
    %vc = arith.mulf %v, %cb : tensor<1x1xf32>
    %us = arith.mulf %u, %sb : tensor<1x1xf32>
    %e = arith.addf %us, %vc : tensor<1x1xf32>
    // expected-remark @below {{1 pairs, half, of 2 channels; table of known frequencies}}
    %y = tensor.concat dim(1) %d, %e : (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<1x2xf32>
    %z = tensor.insert_slice %y into %t[%i, 0] [1, 2] [1, 1] : tensor<1x2xf32> into tensor<7x2xf32>
    scf.yield %z : tensor<7x2xf32>
  }
  return %r : tensor<7x2xf32>
}

// -----

// All in the body of a generated tensor: the partner and its sign by arithmetic
// on indices.

// CHECK-LABEL: @generated(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>, %[[C:[^:]*]]: tensor<4x4xf32>, %[[S:[^:]*]]: tensor<4x4xf32>
// CHECK: %[[Y:.*]] = rope.apply ins(%[[X]], %[[C]], %[[S]]
// CHECK: return %[[Y]]
func.func @generated(%x: tensor<4x8xf32>, %c: tensor<4x4xf32>, %s: tensor<4x4xf32>) -> tensor<4x8xf32> {
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  // expected-remark @below {{4 pairs, half, of 8 channels}}
  %r = tensor.generate {
  ^bb0(%i: index, %j: index):
    %first = arith.cmpi ult, %j, %c4 : index
    %next = arith.addi %j, %c4 : index
    %partner = arith.remui %next, %c8 : index
    %column = arith.remui %j, %c4 : index
    %a = tensor.extract %x[%i, %j] : tensor<4x8xf32>
    %b = tensor.extract %x[%i, %partner] : tensor<4x8xf32>
    %n = arith.negf %b : f32
    %signed = arith.select %first, %n, %b : f32
    %cc = tensor.extract %c[%i, %column] : tensor<4x4xf32>
    %ss = tensor.extract %s[%i, %column] : tensor<4x4xf32>
    %p = arith.mulf %a, %cc : f32
    %q = arith.mulf %signed, %ss : f32
    %t = arith.addf %p, %q : f32
    tensor.yield %t : f32
  } : tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

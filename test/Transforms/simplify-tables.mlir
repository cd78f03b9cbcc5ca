// RUN: rope-opt %s --split-input-file --rope-simplify | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-simplify=share-tables=false | FileCheck %s --check-prefix=KEEP
// RUN: rope-opt %s --split-input-file --rope-simplify --remark-format=emitRemark --remarks-filter=rope-simplify -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// (simplify_4) The last tokens of all.

// CHECK-LABEL: @sliced(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<2x?x8xf32>, %[[P:[a-z0-9]+]]: tensor<2x?xi32>, %[[N:[a-z0-9]+]]: index, %[[O:[a-z0-9]+]]: index
// CHECK-DAG: %[[XS:.*]] = tensor.extract_slice %[[X]][1, %[[O]], 0] [1, %[[N]], 8] [1, 1, 1] : tensor<2x?x8xf32> to tensor<?x8xf32>
// CHECK-DAG: %[[PS:.*]] = tensor.extract_slice %[[P]][1, %[[O]]] [1, %[[N]]] [1, 1] : tensor<2x?xi32> to tensor<?xi32>
// CHECK-DAG: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[PS]], {{.*}} outs({{.*}} : tensor<?x4xf32>, tensor<?x4xf32>) {precision = #rope.precision<f32>}
// CHECK: rope.apply ins(%[[XS]], %[[COS]], %[[SIN]] :
// CHECK-NOT: rope.table
// REMARK-DAG: Function=sliced | {{.*}}table made for fewer positions
func.func @sliced(%x: tensor<2x?x8xf32>, %p: tensor<2x?xi32>, %n: index, %o: index) -> tensor<?x8xf32> {
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c1 : tensor<2x?x8xf32>
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %e = tensor.empty(%m) : tensor<2x?x4xf32>
  %i = tensor.empty(%m) : tensor<2x?x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<2x?xi32>, tensor<4xf64>) outs(%e, %e : tensor<2x?x4xf32>, tensor<2x?x4xf32>) {precision = #rope.precision<f32>}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>) outs(%i : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}
  %r = tensor.extract_slice %y[1, %o, 0] [1, %n, 8] [1, 1, 1] : tensor<2x?x8xf32> to tensor<?x8xf32>
  return %r : tensor<?x8xf32>
}

// Slices of frequencies, with axes, at other places, of a table that is used
// as a whole as well: left.

// CHECK-LABEL: @sliced_left(
// CHECK-NOT: tensor.extract_slice {{.*}}xi64
// CHECK-COUNT-4: rope.table
func.func @sliced_left(%p: tensor<4xi64>, %q: tensor<2x4xi64>, %f: tensor<4xf64>)
    -> (tensor<4x2xf32>, tensor<4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<4x4xf32>) {
  %e = tensor.empty() : tensor<4x4xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %0 = tensor.extract_slice %c0[0, 0] [4, 2] [1, 1] : tensor<4x4xf32> to tensor<4x2xf32>
  %1 = tensor.extract_slice %s0[0, 0] [4, 2] [1, 1] : tensor<4x4xf32> to tensor<4x2xf32>
  %c1, %s1 = rope.table ins(%q, %f : tensor<2x4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {axes = array<i64: 0, 1, 0, 1>}
  %2 = tensor.extract_slice %c1[0, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %3 = tensor.extract_slice %s1[0, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %c2, %s2 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 2.0 : f64}
  %4 = tensor.extract_slice %c2[0, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %5 = tensor.extract_slice %s2[2, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %c3, %s3 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 3.0 : f64}
  %6 = tensor.extract_slice %c3[0, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  return %0, %1, %2, %3, %4, %5, %6, %s3 : tensor<4x2xf32>, tensor<4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<4x4xf32>
}

// -----

// (simplify_5) Equal tables into other destinations, by frequencies that are
// written twice, in a loop, and in a branch.

// CHECK-LABEL: @shared(
// CHECK: rope.frequencies
// CHECK-NOT: rope.frequencies
// CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table
// CHECK-NOT: rope.table
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]]
// CHECK: scf.for
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]]
// CHECK: scf.if
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]]
// KEEP-LABEL: @shared(
// KEEP-COUNT-3: rope.table
// REMARK-DAG: Function=shared | {{.*}}table shared with an equal one
// REMARK-DAG: Function=shared | {{.*}}table shared with an equal one
func.func @shared(%x: tensor<?x8xf32>, %p: tensor<1x?xi64>, %c0: tensor<?x4xf32>, %n: index, %b: i1) -> tensor<?x8xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %m = tensor.dim %x, %zero : tensor<?x8xf32>
  %i = tensor.empty(%m) : tensor<?x8xf32>
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<4xf64>
  %p0 = tensor.collapse_shape %p [[0, 1]] : tensor<1x?xi64> into tensor<?xi64>
  %c, %s = rope.table ins(%p0, %g : tensor<?xi64>, tensor<4xf64>) outs(%c0, %c0 : tensor<?x4xf32>, tensor<?x4xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.for %k = %zero to %n step %one iter_args(%a = %y) -> tensor<?x8xf32> {
    %f1 = rope.frequencies base(1.0e+04) : tensor<4xf64>
    %g1 = rope.scale_frequencies %f1 by(#rope.linear<factor = 8.0>) : tensor<4xf64>
    %p1 = tensor.collapse_shape %p [[0, 1]] : tensor<1x?xi64> into tensor<?xi64>
    %e1 = tensor.empty(%m) : tensor<?x4xf32>
    %c1, %s1 = rope.table ins(%p1, %g1 : tensor<?xi64>, tensor<4xf64>) outs(%e1, %e1 : tensor<?x4xf32>, tensor<?x4xf32>)
    %y1 = rope.apply ins(%a, %c1, %s1 : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<?x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
    scf.yield %y1 : tensor<?x8xf32>
  }
  %q = scf.if %b -> tensor<?x8xf32> {
    %e2 = tensor.empty(%m) : tensor<?x4xf32>
    %c2, %s2 = rope.table ins(%p0, %g : tensor<?xi64>, tensor<4xf64>) outs(%e2, %e2 : tensor<?x4xf32>, tensor<?x4xf32>)
    %y2 = rope.apply ins(%r, %c2, %s2 : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%i : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %y2 : tensor<?x8xf32>
  } else {
    scf.yield %r : tensor<?x8xf32>
  }
  return %q : tensor<?x8xf32>
}

// Another magnitude, precision, element type, positions: not shared. Positions
// of a round stay in the loop, a table that one branch alone makes in the
// branch, one whose positions may fault behind what makes them.

// CHECK-LABEL: @not_shared(
// CHECK-COUNT-5: rope.table
// CHECK: scf.for
// CHECK: rope.table
// CHECK: scf.if
// CHECK: rope.table
// CHECK: else
func.func @not_shared(%p: tensor<4xi64>, %q: tensor<4xi64>, %f: tensor<4xf64>, %n: index, %b: i1, %use: tensor<4x4xf32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf16>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %e = tensor.empty() : tensor<4x4xf32>
  %h = tensor.empty() : tensor<4x4xf16>
  %c0, %s0 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %c1, %s1 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 2.0 : f64}
  %c2, %s2 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {precision = #rope.precision<f32>}
  %c3, %s3 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%h, %h : tensor<4x4xf16>, tensor<4x4xf16>)
  %c4, %s4 = rope.table ins(%q, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %r = scf.for %k = %zero to %n step %one iter_args(%a = %use) -> tensor<4x4xf32> {
    %k64 = arith.index_cast %k : index to i64
    %ks = tensor.splat %k64 : tensor<4xi64>
    %c5, %s5 = rope.table ins(%ks, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
    %sum = arith.addf %a, %c5 : tensor<4x4xf32>
    scf.yield %sum : tensor<4x4xf32>
  }
  %t = scf.if %b -> tensor<4x4xf32> {
    %c6, %s6 = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 7.0 : f64}
    scf.yield %c6 : tensor<4x4xf32>
  } else {
    scf.yield %r : tensor<4x4xf32>
  }
  return %c0, %c1, %c2, %c3, %c4, %r, %t : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf16>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// (simplify_6) A shift of queries and keys: of one table, of two, of positions
// that attention rotates by itself.

#q = affine_map<(b, h, i, j, d, e) -> (i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, h, e)>

// CHECK-LABEL: @one_table(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x2x8xf32>, %[[P:[a-z0-9]+]]: tensor<4xi64>
// CHECK-NOT: arith.addi
// CHECK: rope.table ins(%[[P]],
// REMARK-DAG: Function=one_table | {{.*}}shift of all positions dropped
func.func @one_table(%x: tensor<4x2x8xf32>, %p: tensor<4xi64>, %n: i64, %f: tensor<4xf64>) -> tensor<4x2x8xf32> {
  %s = tensor.splat %n : tensor<4xi64>
  %ps = arith.addi %s, %p : tensor<4xi64>
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<4x2x8xf32>
  %c, %t = rope.table ins(%ps, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 1.5 : f64}
  %a = rope.apply ins(%x, %c, %t : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%a, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_key(%c, %t : tensor<4x4xf32>, tensor<4x4xf32>) by <pairing = half, position_dims = [0], pair_stride = 4> outs(%i : tensor<4x2x8xf32>)
  return %r : tensor<4x2x8xf32>
}

// CHECK-LABEL: @two_tables(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x2x8xf32>, %[[P:[a-z0-9]+]]: tensor<4xi64>, %[[Q:[a-z0-9]+]]: tensor<4xi64>
// CHECK-NOT: arith.addi
// CHECK-DAG: rope.table ins(%[[P]], {{.*}} {magnitude = 2.000000e+00 : f64}
// CHECK-DAG: rope.table ins(%[[Q]], {{.*}} tensor<4x4xf32>)
// REMARK-DAG: Function=two_tables | {{.*}}shift of all positions dropped
#id = affine_map<(d0) -> (d0)>
func.func @two_tables(%x: tensor<4x2x8xf32>, %p: tensor<4xi64>, %q: tensor<4xi64>, %f: tensor<4xf64>) -> tensor<4x2x8xf32> {
  %c7 = arith.constant 7 : i64
  %s = arith.constant dense<7> : tensor<4xi64>
  %ps = arith.addi %p, %s : tensor<4xi64>
  %pe = tensor.empty() : tensor<4xi64>
  %qs = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%q : tensor<4xi64>) outs(%pe : tensor<4xi64>) {
  ^bb0(%in: i64, %out: i64):
    %0 = arith.addi %in, %c7 : i64
    linalg.yield %0 : i64
  } -> tensor<4xi64>
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<4x2x8xf32>
  %c0, %s0 = rope.table ins(%ps, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>) {magnitude = 2.0 : f64}
  %c1, %s1 = rope.table ins(%qs, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %a = rope.apply ins(%x, %c0, %s0 : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %b = rope.apply ins(%x, %c1, %s1 : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%a, %b, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) outs(%i : tensor<4x2x8xf32>)
  return %r : tensor<4x2x8xf32>
}

// CHECK-LABEL: @angles(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<4x2x8xf32>, %[[P:[a-z0-9]+]]: tensor<4xi64>
// CHECK-NOT: linalg.generic
// CHECK: rotate_query(%[[P]],
// CHECK-SAME: rotate_key(%[[P]],
// REMARK-DAG: Function=angles | {{.*}}shift of all positions dropped
#scalar = affine_map<(d0) -> ()>
func.func @angles(%x: tensor<4x2x8xf32>, %p: tensor<4xi64>, %n: tensor<i64>, %f: tensor<4xf64>) -> tensor<4x2x8xf32> {
  %pe = tensor.empty() : tensor<4xi64>
  %ps = linalg.generic {indexing_maps = [#scalar, #id, #id], iterator_types = ["parallel"]} ins(%n, %p : tensor<i64>, tensor<4xi64>) outs(%pe : tensor<4xi64>) {
  ^bb0(%shift: i64, %in: i64, %out: i64):
    %0 = arith.addi %in, %shift : i64
    linalg.yield %0 : i64
  } -> tensor<4xi64>
  %i = tensor.empty() : tensor<4x2x8xf32>
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%ps, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> rotate_key(%ps, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  return %r : tensor<4x2x8xf32>
}

// Another shift, only queries, f32 angles, other channels, 32 bits, a shift for
// each token: left.

// CHECK-LABEL: @shift_left(
// CHECK: %[[S7:.*]] = arith.addi
// CHECK: rope.table ins(%[[S7]],
// CHECK: %[[S8:.*]] = arith.addi
// CHECK: %[[SE:.*]] = arith.addi
// CHECK: %[[S32:.*]] = arith.addi
// CHECK: rotate_query(%[[S7]], {{.*}} rotate_key(%[[S8]],
// CHECK: rotate_query(%cos, {{.*}} rotate_key(%arg1,
// CHECK: rotate_query(%[[S7]], {{.*}} rotate_key(%[[S7]], {{.*}}precision = f32
// CHECK: rotate_query(%[[S7]], {{.*}} rotate_key(%[[S7]], {{.*}}interleaved
// CHECK: rotate_query(%[[S32]], {{.*}} rotate_key(%[[S32]],
// CHECK: rotate_query(%[[SE]], {{.*}} rotate_key(%[[SE]],
func.func @shift_left(%x: tensor<4x2x8xf32>, %p: tensor<4xi64>, %p32: tensor<4xi32>, %each: tensor<4xi64>, %f: tensor<4xf64>)
    -> (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) {
  %seven = arith.constant dense<7> : tensor<4xi64>
  %eight = arith.constant dense<8> : tensor<4xi64>
  %narrow = arith.constant dense<7> : tensor<4xi32>
  %s7 = arith.addi %p, %seven : tensor<4xi64>
  %s8 = arith.addi %p, %eight : tensor<4xi64>
  %se = arith.addi %p, %each : tensor<4xi64>
  %s32 = arith.addi %p32, %narrow : tensor<4xi32>
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<4x2x8xf32>
  %c7, %t7 = rope.table ins(%s7, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %0 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%s7, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> rotate_key(%s8, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  %1 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%c7, %t7 : tensor<4x4xf32>, tensor<4x4xf32>) by <pairing = half, position_dims = [0]> rotate_key(%p, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  %2 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%s7, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0, precision = f32>> rotate_key(%s7, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0, precision = f32>> outs(%i : tensor<4x2x8xf32>)
  %3 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%s7, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> rotate_key(%s7, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = interleaved, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  %4 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%s32, %f : tensor<4xi32>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> rotate_key(%s32, %f : tensor<4xi32>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  %5 = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%x, %x, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) rotate_query(%se, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> rotate_key(%se, %f : tensor<4xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>> outs(%i : tensor<4x2x8xf32>)
  return %0, %1, %2, %3, %4, %5 : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>
}

// Keys that are stored as well, as in a cache, keep their shift, and with them
// everything that meets them.

// CHECK-LABEL: @stored(
// CHECK: %[[S:.*]] = arith.addi
// CHECK: rope.table ins(%[[S]],
// CHECK-NOT: rope.table
func.func @stored(%x: tensor<4x2x8xf32>, %p: tensor<4xi64>, %f: tensor<4xf64>) -> (tensor<4x2x8xf32>, tensor<4x2x8xf32>) {
  %s = arith.constant dense<7> : tensor<4xi64>
  %ps = arith.addi %p, %s : tensor<4xi64>
  %e = tensor.empty() : tensor<4x4xf32>
  %i = tensor.empty() : tensor<4x2x8xf32>
  %c, %t = rope.table ins(%ps, %f : tensor<4xi64>, tensor<4xf64>) outs(%e, %e : tensor<4x4xf32>, tensor<4x4xf32>)
  %a = rope.apply ins(%x, %c, %t : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %b = rope.apply ins(%x, %c, %t : tensor<4x2x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%x : tensor<4x2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%a, %b, %x : tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>) outs(%i : tensor<4x2x8xf32>)
  return %r, %b : tensor<4x2x8xf32>, tensor<4x2x8xf32>
}

// -----

// (simplify_8) Positions that are reshaped, extended, repeated and transposed,
// in a branch as well: one table in front of everything. One that is returned
// stays.

// CHECK-LABEL: @spelled(
// CHECK-SAME: %[[P:[a-z0-9]+]]: tensor<1x?xi32>
// CHECK: %[[F:.*]] = rope.frequencies
// CHECK: %[[PS:.*]] = tensor.collapse_shape %[[P]] {{\[}}[0, 1]] : tensor<1x?xi32> into tensor<?xi32>
// CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[PS]], %[[F]] : {{.*}} outs({{.*}} : tensor<?x4xf32>, tensor<?x4xf32>)
// CHECK: call @effect
// CHECK-NOT: rope.table
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<3x?x8xf32>, {{.*}} position_dims = array<i64: 1>
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<1x2x?x8xf32>, {{.*}} position_dims = array<i64: 2>
// CHECK: scf.if
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<?x3x8xf32>, {{.*}} position_dims = array<i64: 0>
// CHECK: return
// REMARK-DAG: Function=spelled | {{.*}}table made for positions that another has
func.func private @effect()
func.func @spelled(%x: tensor<3x?x8xf32>, %x1: tensor<1x2x?x8xf32>, %xt: tensor<?x3x8xf32>, %p: tensor<1x?xi32>, %n: index, %b: i1)
    -> (tensor<3x?x8xf32>, tensor<1x2x?x8xf32>, tensor<?x3x8xf32>) {
  func.call @effect() : () -> ()
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %e = tensor.empty(%n) : tensor<3x?x4xf32>
  %e1 = tensor.empty(%n) : tensor<1x?x4xf32>
  %et = tensor.empty(%n) : tensor<?x3x4xf32>
  %i = tensor.empty(%n) : tensor<3x?x8xf32>
  %i1 = tensor.empty(%n) : tensor<1x2x?x8xf32>
  %it = tensor.empty(%n) : tensor<?x3x8xf32>
  %p0 = tensor.collapse_shape %p [[0, 1]] : tensor<1x?xi32> into tensor<?xi32>
  %w = arith.extsi %p0 : tensor<?xi32> to tensor<?xi64>
  %eb = tensor.empty(%n) : tensor<3x?xi64>
  %pb = linalg.broadcast ins(%w : tensor<?xi64>) outs(%eb : tensor<3x?xi64>) dimensions = [0]
  %c0, %s0 = rope.table ins(%pb, %f : tensor<3x?xi64>, tensor<4xf64>) outs(%e, %e : tensor<3x?x4xf32>, tensor<3x?x4xf32>)
  %y0 = rope.apply ins(%x, %c0, %s0 : tensor<3x?x8xf32>, tensor<3x?x4xf32>, tensor<3x?x4xf32>) outs(%i : tensor<3x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}
  %c1, %s1 = rope.table ins(%p, %f : tensor<1x?xi32>, tensor<4xf64>) outs(%e1, %e1 : tensor<1x?x4xf32>, tensor<1x?x4xf32>)
  %y1 = rope.apply ins(%x1, %c1, %s1 : tensor<1x2x?x8xf32>, tensor<1x?x4xf32>, tensor<1x?x4xf32>) outs(%i1 : tensor<1x2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 2>}
  %y2 = scf.if %b -> tensor<?x3x8xf32> {
    %ept = tensor.empty(%n) : tensor<?x3xi64>
    %pt = linalg.transpose ins(%pb : tensor<3x?xi64>) outs(%ept : tensor<?x3xi64>) permutation = [1, 0]
    %c2, %s2 = rope.table ins(%pt, %f : tensor<?x3xi64>, tensor<4xf64>) outs(%et, %et : tensor<?x3x4xf32>, tensor<?x3x4xf32>)
    %y = rope.apply ins(%xt, %c2, %s2 : tensor<?x3x8xf32>, tensor<?x3x4xf32>, tensor<?x3x4xf32>) outs(%it : tensor<?x3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}
    scf.yield %y : tensor<?x3x8xf32>
  } else {
    scf.yield %xt : tensor<?x3x8xf32>
  }
  return %y0, %y1, %y2 : tensor<3x?x8xf32>, tensor<1x2x?x8xf32>, tensor<?x3x8xf32>
}

// A table that is returned; positions that are truncated, extended without sign,
// or merged; of axes: left.

// CHECK-LABEL: @spelled_left(
// CHECK-COUNT-6: rope.table
// CHECK: return
func.func @spelled_left(%x: tensor<6x8xf32>, %p: tensor<2x3xi32>, %q: tensor<3x1xi32>)
    -> (tensor<2x3x4xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<3x8xf32>, tensor<3x8xf32>) {
  %f = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %e = tensor.empty() : tensor<6x4xf32>
  %e2 = tensor.empty() : tensor<2x3x4xf32>
  %e3 = tensor.empty() : tensor<3x4xf32>
  %i = tensor.empty() : tensor<6x8xf32>
  %i3 = tensor.empty() : tensor<3x8xf32>
  %c0, %s0 = rope.table ins(%p, %f : tensor<2x3xi32>, tensor<4xf64>) outs(%e2, %e2 : tensor<2x3x4xf32>, tensor<2x3x4xf32>)
  %m = tensor.collapse_shape %p [[0, 1]] : tensor<2x3xi32> into tensor<6xi32>
  %c1, %s1 = rope.table ins(%m, %f : tensor<6xi32>, tensor<4xf64>) outs(%e, %e : tensor<6x4xf32>, tensor<6x4xf32>)
  %y1 = rope.apply ins(%x, %c1, %s1 : tensor<6x8xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%i : tensor<6x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %t = arith.trunci %m : tensor<6xi32> to tensor<6xi8>
  %c2, %s2 = rope.table ins(%t, %f : tensor<6xi8>, tensor<4xf64>) outs(%e, %e : tensor<6x4xf32>, tensor<6x4xf32>)
  %y2 = rope.apply ins(%x, %c2, %s2 : tensor<6x8xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%i : tensor<6x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %u = arith.extui %m : tensor<6xi32> to tensor<6xi64>
  %c3, %s3 = rope.table ins(%u, %f : tensor<6xi64>, tensor<4xf64>) outs(%e, %e : tensor<6x4xf32>, tensor<6x4xf32>)
  %y3 = rope.apply ins(%x, %c3, %s3 : tensor<6x8xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%i : tensor<6x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %x3 = tensor.extract_slice %x[0, 0] [3, 8] [1, 1] : tensor<6x8xf32> to tensor<3x8xf32>
  %r = tensor.collapse_shape %q [[0, 1]] : tensor<3x1xi32> into tensor<3xi32>
  %c4, %s4 = rope.table ins(%r, %f : tensor<3xi32>, tensor<4xf64>) outs(%e3, %e3 : tensor<3x4xf32>, tensor<3x4xf32>)
  %y4 = rope.apply ins(%x3, %c4, %s4 : tensor<3x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%i3 : tensor<3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = tensor.expand_shape %r [[0, 1]] output_shape [1, 3] : tensor<3xi32> into tensor<1x3xi32>
  %c5, %s5 = rope.table ins(%a, %f : tensor<1x3xi32>, tensor<4xf64>) outs(%e3, %e3 : tensor<3x4xf32>, tensor<3x4xf32>) {axes = array<i64: 0, 0, 0, 0>}
  %y5 = rope.apply ins(%x3, %c5, %s5 : tensor<3x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%i3 : tensor<3x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %c0, %y1, %y2, %y3, %y4, %y5 : tensor<2x3x4xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<3x8xf32>, tensor<3x8xf32>
}

// -----

// Frequencies of more pairs than x has, which the table's type does not say:
// left.

// CHECK-LABEL: @contradiction(
// CHECK: rope.table {{.*}} outs(%{{.*}} : tensor<8x?xf64>, tensor<8x?xf64>)
// CHECK: rope.apply
func.func @contradiction(%x: tensor<8x1xf64>, %f: tensor<3xf64>, %p: tensor<?xi64>, %t: tensor<8x?xf64>, %o: tensor<8x1xf64>) -> tensor<8x1xf64> {
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<3xf64>) outs(%t, %t : tensor<8x?xf64>, tensor<8x?xf64>)
  %y = rope.apply ins(%x, %c, %s : tensor<8x1xf64>, tensor<8x?xf64>, tensor<8x?xf64>) outs(%o : tensor<8x1xf64>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1 : i64}
  return %y : tensor<8x1xf64>
}

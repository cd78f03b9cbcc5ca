// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=load | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=load --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Rotations into a given attention first, then attention that is written in
// linalg.

// Both rotations, all attributes.

// CHECK-LABEL: @both(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<1x8x4x16xf32>, %[[K:[a-z0-9]+]]: tensor<1x8x4x16xf32>
// CHECK-NOT: rope.apply
// CHECK: rope.attention
// CHECK-SAME: ins(%[[Q]], %[[K]],
// CHECK-SAME: rotate_query(%arg3, %arg4 : tensor<8x6xf32>, tensor<8x6xf32>) by <pairing = half, position_dims = [1], offset = 1, pair_stride = 7, transpose = true>
// CHECK-SAME: rotate_key(%arg3, %arg4 : tensor<8x6xf32>, tensor<8x6xf32>) by <pairing = half, position_dims = [1], result_pairing = interleaved>
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=both | {{.*}}rope.attention, bytesSaved=4096
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=both | {{.*}}rope.attention, bytesSaved=4096
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @both(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x6xf32>, %s: tensor<8x6xf32>, %init: tensor<1x8x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x4x16xf32>, tensor<8x6xf32>, tensor<8x6xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>, offset = 1 : i64, pair_stride = 7 : i64, transpose}
  %rk = rope.apply ins(%k, %c, %s : tensor<1x8x4x16xf32>, tensor<8x6xf32>, tensor<8x6xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>, result_pairing = #rope.pairing<interleaved>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %rk, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// A transposition becomes a map, a cast goes.

// CHECK: #[[MAP:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d2, d1, d4)>
// CHECK-LABEL: @transposed(
// CHECK-NOT: linalg.transpose
// CHECK-NOT: rope.apply
// CHECK: rope.attention
// CHECK-SAME: indexing_maps = [#[[MAP]],
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=transposed
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
#qt = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
func.func @transposed(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %init: tensor<1x8x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x4x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %et = tensor.empty() : tensor<1x4x8x16xf32>
  %t = linalg.transpose ins(%rq : tensor<1x8x4x16xf32>) outs(%et : tensor<1x4x8x16xf32>) permutation = [0, 2, 1, 3]
  %cast = tensor.cast %t : tensor<1x4x8x16xf32> to tensor<1x4x?x16xf32>
  %a = rope.attention {indexing_maps = [#qt, #k, #v, #o]} ins(%cast, %k, %v : tensor<1x4x?x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// A transposition of another operation, and one that leaves the head dimension
// elsewhere.

// CHECK-LABEL: @head_not_last(
// CHECK: rope.apply
// CHECK: rope.attention
// CHECK-NOT: rotate_key
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=head_not_last | {{.*}}the head dimension of the operand is not its last
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
#kt = affine_map<(b, h, i, j, d, e) -> (b, d, h, j)>
func.func @head_not_last(%q: tensor<1x8x4x16xf32>, %k: tensor<1x16x4x8xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<16x4xf32>, %s: tensor<16x4xf32>, %init: tensor<1x8x4x16xf32>, %ik: tensor<1x16x4x8xf32>) -> tensor<1x8x4x16xf32> {
  %rk = rope.apply ins(%k, %c, %s : tensor<1x16x4x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>) outs(%ik : tensor<1x16x4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #kt, #v, #o]} ins(%q, %rk, %v : tensor<1x8x4x16xf32>, tensor<1x16x4x8xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// What is rotated has other users.

// CHECK-LABEL: @other_users(
// CHECK: rope.apply
// CHECK: rope.attention
// CHECK-NOT: rotate_key
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=other_users | {{.*}}others use the rotated tensor, so it is made in any case
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @other_users(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %init: tensor<1x8x4x16xf32>) -> (tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) {
  %rk = rope.apply ins(%k, %c, %s : tensor<1x8x4x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%q, %rk, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a, %rk : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>
}

// -----

// The operand is rotated already.

// CHECK-LABEL: @rotated(
// CHECK: rope.apply
// CHECK: rope.attention
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=rotated | {{.*}}the attention rotates the operand already
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @rotated(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %init: tensor<1x8x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x4x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) rotate_query(%c, %s : tensor<8x8xf32>, tensor<8x8xf32>) by <pairing = half, position_dims = [1]> outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// A reshape stands between.

// CHECK-LABEL: @reshaped(
// CHECK: rope.apply
// CHECK: tensor.collapse_shape
// CHECK: rope.attention
// CHECK-NOT: rotate_query
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=reshaped | {{.*}}'tensor.collapse_shape' stands between it and the attention
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @reshaped(%q: tensor<1x8x2x2x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %init: tensor<1x8x4x16xf32>, %iq: tensor<1x8x2x2x16xf32>) -> tensor<1x8x4x16xf32> {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x2x2x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%iq : tensor<1x8x2x2x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %f = tensor.collapse_shape %rq [[0], [1], [2, 3], [4]] : tensor<1x8x2x2x16xf32> into tensor<1x8x4x16xf32>
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%f, %k, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// In front of a loop, it is made once for all rounds.

// CHECK-LABEL: @before_loop(
// CHECK: rope.apply
// CHECK: scf.for
// CHECK: rope.attention
// CHECK-NOT: rotate_query
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=before_loop | {{.*}}it stands before the loop or branch of the attention
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @before_loop(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %init: tensor<1x8x4x16xf32>, %n: index) -> tensor<1x8x4x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x4x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = scf.for %x = %c0 to %n step %c1 iter_args(%y = %init) -> tensor<1x8x4x16xf32> {
    %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%y : tensor<1x8x4x16xf32>)
    scf.yield %a : tensor<1x8x4x16xf32>
  }
  return %r : tensor<1x8x4x16xf32>
}

// -----

// Sizes that contradict each other, which nothing runs.

// CHECK-LABEL: @contradiction(
// CHECK: rope.apply
// CHECK: rope.attention
// CHECK-NOT: rotate_query
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=contradiction | {{.*}}its sizes are not those of the attention
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @contradiction(%q: tensor<1x9x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %c: tensor<9x8xf32>, %s: tensor<9x8xf32>, %init: tensor<1x8x4x16xf32>, %iq: tensor<1x9x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x9x4x16xf32>, tensor<9x8xf32>, tensor<9x8xf32>) outs(%iq : tensor<1x9x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %x = tensor.cast %rq : tensor<1x9x4x16xf32> to tensor<1x?x4x16xf32>
  %y = tensor.cast %x : tensor<1x?x4x16xf32> to tensor<1x8x4x16xf32>
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%y, %k, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// A table that rotates nothing else, of one head: its rows are made as they are
// used.

// CHECK-LABEL: @own_table(
// CHECK-NOT: rope.table
// CHECK: rope.attention
// CHECK-SAME: rotate_query(%arg3, %arg4 : tensor<8xi64>, tensor<8xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.500000e+00 : f64>>
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=own_table | {{.*}}rope.attention
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=own_table | Remark="table folded into rope.attention"
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @own_table(%q: tensor<1x8x1x16xf32>, %k: tensor<1x8x1x16xf32>, %v: tensor<1x8x1x16xf32>, %p: tensor<8xi64>, %f: tensor<8xf64>, %init: tensor<1x8x1x16xf32>) -> tensor<1x8x1x16xf32> {
  %e = tensor.empty() : tensor<8x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<8xi64>, tensor<8xf64>) outs(%e, %e : tensor<8x8xf32>, tensor<8x8xf32>) {magnitude = 1.5 : f64}
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x1x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x1x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>) outs(%init : tensor<1x8x1x16xf32>)
  return %a : tensor<1x8x1x16xf32>
}

// -----

// Used by something else as well.

// CHECK-LABEL: @shared_table(
// CHECK: rope.table
// CHECK: rope.attention
// CHECK-NOT: angles
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=shared_table | Remark="table left: others use it as well"
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @shared_table(%q: tensor<1x8x1x16xf32>, %k: tensor<1x8x1x16xf32>, %v: tensor<1x8x1x16xf32>, %p: tensor<8xi64>, %f: tensor<8xf64>, %init: tensor<1x8x1x16xf32>) -> (tensor<1x8x1x16xf32>, tensor<8x8xf32>) {
  %e = tensor.empty() : tensor<8x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<8xi64>, tensor<8xf64>) outs(%e, %e : tensor<8x8xf32>, tensor<8x8xf32>) {magnitude = 1.5 : f64}
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x1x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x1x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>) outs(%init : tensor<1x8x1x16xf32>)
  return %a, %c : tensor<1x8x1x16xf32>, tensor<8x8xf32>
}

// -----

// Each of four heads would make the rows of its own.

// CHECK-LABEL: @table_of_heads(
// CHECK: rope.table
// CHECK: rope.attention
// CHECK-NOT: angles
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=table_of_heads | Remark="table left: each row would be made 4.0 times: {{.*}} cycles for each pair, against {{.*}} to make, store and load it"
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @table_of_heads(%q: tensor<1x8x4x16xf32>, %k: tensor<1x8x4x16xf32>, %v: tensor<1x8x4x16xf32>, %p: tensor<8xi64>, %f: tensor<8xf64>, %init: tensor<1x8x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %e = tensor.empty() : tensor<8x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<8xi64>, tensor<8xf64>) outs(%e, %e : tensor<8x8xf32>, tensor<8x8xf32>) {magnitude = 1.5 : f64}
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x4x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// -----

// A table of another type than the one that attention makes.

// CHECK-LABEL: @narrow_table(
// CHECK: rope.table
// CHECK: rope.attention
// CHECK-NOT: angles
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=narrow_table | Remark="table left: its elements are of another type than those made as they are used"
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @narrow_table(%q: tensor<1x8x1x16xf32>, %k: tensor<1x8x1x16xf32>, %v: tensor<1x8x1x16xf32>, %p: tensor<8xi64>, %f: tensor<8xf64>, %init: tensor<1x8x1x16xf32>) -> tensor<1x8x1x16xf32> {
  %e = tensor.empty() : tensor<8x8xbf16>
  %c, %s = rope.table ins(%p, %f : tensor<8xi64>, tensor<8xf64>) outs(%e, %e : tensor<8x8xbf16>, tensor<8x8xbf16>) {magnitude = 1.5 : f64}
  %rq = rope.apply ins(%q, %c, %s : tensor<1x8x1x16xf32>, tensor<8x8xbf16>, tensor<8x8xbf16>) outs(%init : tensor<1x8x1x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>) outs(%init : tensor<1x8x1x16xf32>)
  return %a : tensor<1x8x1x16xf32>
}

// -----

// Swapped, they are no cosine and sine.

// CHECK-LABEL: @swapped(
// CHECK: rope.table
// CHECK: rope.attention
// CHECK-NOT: angles
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=swapped
// REMARK-NOT: Function=swapped
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @swapped(%q: tensor<1x8x1x16xf32>, %k: tensor<1x8x1x16xf32>, %v: tensor<1x8x1x16xf32>, %p: tensor<8xi64>, %f: tensor<8xf64>, %init: tensor<1x8x1x16xf32>) -> tensor<1x8x1x16xf32> {
  %e = tensor.empty() : tensor<8x8xf32>
  %c, %s = rope.table ins(%p, %f : tensor<8xi64>, tensor<8xf64>) outs(%e, %e : tensor<8x8xf32>, tensor<8x8xf32>) {magnitude = 1.5 : f64}
  %rq = rope.apply ins(%q, %s, %c : tensor<1x8x1x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%init : tensor<1x8x1x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #o]} ins(%rq, %k, %v : tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>, tensor<1x8x1x16xf32>) outs(%init : tensor<1x8x1x16xf32>)
  return %a : tensor<1x8x1x16xf32>
}

// -----

// Named operations and a scale. The values keep their order, the transposed key
// its map.

// CHECK: #[[QUERY:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1, d2, d4)>
// CHECK: #[[KEY:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1, d4, d3)>
// CHECK-LABEL: @named(
// CHECK-NOT: linalg.batch_matmul
// CHECK-NOT: rope.apply
// CHECK: rope.attention {indexing_maps = [#[[QUERY]], #[[KEY]],
// CHECK-SAME: scale = 2.500000e-01 : f64}
// CHECK-SAME: ins(%arg0, %arg1, %arg2
// CHECK-SAME: rotate_query
// CHECK-NOT: rope.yield
// CHECK: return
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=named | Remark="raised to rope.attention"
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=named | {{.*}}rotation folded
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @named(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// A softmax of five operations, a soft-cap, an additive and a boolean mask, in
// their order.

// CHECK-LABEL: @decomposed(
// CHECK-NOT: linalg.generic
// CHECK: rope.attention
// CHECK-NOT: scale
// CHECK-SAME: score_operands(%arg5, %arg6 : tensor<8x8xf32>, tensor<8x8xi1>)
// CHECK: ^bb0(%[[S:.*]]: f32, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %[[M:.*]]: f32, %[[K:.*]]: i1):
// CHECK: %[[TANH:.*]] = math.tanh %[[S]] : f32
// CHECK: %[[CAP:.*]] = arith.mulf %[[TANH]],
// CHECK: %[[SUM:.*]] = arith.addf %[[CAP]], %[[M]]
// CHECK: %[[KEEP:.*]] = arith.select %[[K]], %[[SUM]],
// CHECK: rope.yield %[[KEEP]] : f32
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=decomposed | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @decomposed(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #ij, #ij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p, %mask, %keep : tensor<4x8x8xf32>, tensor<8x8xf32>, tensor<8x8xi1>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %x1: f32, %x2: i1, %o: f32):
    %t = math.tanh %x0 : f32
    %u = arith.mulf %t, %scale : f32
    %l = arith.addf %u, %x1 : f32
    %y = arith.select %x2, %l, %inf : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %fm = linalg.fill ins(%inf : f32) outs(%ir : tensor<4x8xf32>) -> tensor<4x8xf32>
  %fr = linalg.fill ins(%zero : f32) outs(%ir : tensor<4x8xf32>) -> tensor<4x8xf32>
  %max = linalg.generic {indexing_maps = [#bij, #bi], iterator_types = ["parallel", "parallel", "reduction"]} ins(%z : tensor<4x8x8xf32>) outs(%fm : tensor<4x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.maximumf %x0, %o : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %d = linalg.generic {indexing_maps = [#bij, #bi, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%z, %max : tensor<4x8x8xf32>, tensor<4x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.subf %x0, %x1 : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %x = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%d : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = math.exp %x0 : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %sum = linalg.generic {indexing_maps = [#bij, #bi], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x : tensor<4x8x8xf32>) outs(%fr : tensor<4x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.addf %x0, %o : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %w = linalg.generic {indexing_maps = [#bij, #bi, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x, %sum : tensor<4x8x8xf32>, tensor<4x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.divf %x0, %x1 : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// Comparisons of indices are attributes.

// CHECK-LABEL: @causal(
// CHECK: rope.attention {causal,
// CHECK-SAME: scale = 2.500000e-01
// CHECK-SAME: window = 4
// CHECK-SAME: query_offset(%arg10 : index)
// CHECK-NOT: rope.yield
// CHECK: return
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=causal | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @causal(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>, %n: index) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %four = arith.constant 4 : index
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 2 : index
    %m = arith.mulf %x0, %scale : f32
    %pos = arith.addi %i, %n : index
    %h = arith.cmpi sgt, %j, %pos : index
    %far = arith.subi %pos, %j : index
    %g = arith.cmpi sge, %far, %four : index
    %hg = arith.ori %h, %g : i1
    %y = arith.select %hg, %inf, %m : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// So is a mask that is made of them, as it hides the same keys.

// CHECK-LABEL: @causal_mask(
// CHECK: rope.attention {causal,
// CHECK-NOT: score_operands
// CHECK: return
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=causal_mask | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @causal_mask(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %em = tensor.empty() : tensor<8x8xf32>
  %cm = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%em : tensor<8x8xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %h = arith.cmpi ule, %j, %i : index
    %y = arith.select %h, %zero, %inf : f32
    linalg.yield %y : f32
  } -> tensor<8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #ij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p, %cm : tensor<4x8x8xf32>, tensor<8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.addf %x0, %x1 : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// A finite number hides nothing for certain: it stays in the region.

// CHECK-LABEL: @finite(
// CHECK: rope.attention {indexing_maps
// CHECK: ^bb0(%{{.*}}: f32, %{{.*}}: index, %{{.*}}: index, %[[I:.*]]: index, %[[J:.*]]: index):
// CHECK: arith.cmpi sle, %[[J]], %[[I]]
// CHECK: rope.yield
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=finite | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @finite(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %low = arith.constant -1.0e+09 : f32
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 2 : index
    %h = arith.cmpi sle, %j, %i : index
    %y = arith.select %h, %x0, %low : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// Two heads of keys and values, each repeated for two of queries.

// CHECK: #[[KEY:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2, d3, d4)>
// CHECK: #[[VALUE:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2, d3, d5)>
// CHECK-LABEL: @grouped(
// CHECK-NOT: linalg.broadcast
// CHECK-NOT: rope.apply
// CHECK: rope.attention {indexing_maps = [#{{[a-z0-9]+}}, #[[KEY]], #[[VALUE]], #{{[a-z0-9]+}}]
// CHECK-SAME: ins(%arg0, %arg10, %arg11 :
// CHECK-SAME: rotate_key
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=grouped | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @grouped(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>, %k: tensor<2x8x16xf32>, %gv: tensor<2x8x16xf32>, %ik: tensor<2x8x16xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  
  %rk = rope.apply ins(%k, %c, %s : tensor<2x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ik : tensor<2x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %e4 = tensor.empty() : tensor<2x2x8x16xf32>
  %et = tensor.empty() : tensor<4x16x8xf32>
  %bk = linalg.broadcast ins(%rk : tensor<2x8x16xf32>) outs(%e4 : tensor<2x2x8x16xf32>) dimensions = [1]
  %bv = linalg.broadcast ins(%gv : tensor<2x8x16xf32>) outs(%e4 : tensor<2x2x8x16xf32>) dimensions = [1]
  %hk = tensor.collapse_shape %bk [[0, 1], [2], [3]] : tensor<2x2x8x16xf32> into tensor<4x8x16xf32>
  %hv = tensor.collapse_shape %bv [[0, 1], [2], [3]] : tensor<2x2x8x16xf32> into tensor<4x8x16xf32>
  %t = linalg.transpose ins(%hk : tensor<4x8x16xf32>) outs(%et : tensor<4x16x8xf32>) permutation = [0, 2, 1]
  %p = linalg.batch_matmul ins(%rq, %t : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %hv : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// The softmax is over queries.

// CHECK-LABEL: @other_dimension(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=other_dimension | Remark="product not raised: the softmax is not over the keys"
// REMARK-NOT: Function=other_dimension 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @other_dimension(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(1) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// The weights are a result as well.

// CHECK-LABEL: @other_user(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=other_user | Remark="product not raised: 'linalg.softmax' between the products has other users"
// REMARK-NOT: Function=other_user 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @other_user(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> (tensor<4x8x16xf32>, tensor<4x8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a, %w : tensor<4x8x16xf32>, tensor<4x8x8xf32>
}

// -----

// Nothing reads the weights but the caller.

// CHECK-LABEL: @no_second_product(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=no_second_product | Remark="product not raised: no second product reads its scores"
// REMARK-NOT: Function=no_second_product 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @no_second_product(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  return %w : tensor<4x8x8xf32>
}

// -----

// A product of products.

// CHECK-LABEL: @no_softmax(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=no_softmax | Remark="product not raised: the second product does not read a softmax of its scores"
// REMARK-NOT: Function=no_softmax 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @no_softmax(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%z, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// The product adds to something.

// CHECK-LABEL: @not_zero(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=not_zero | Remark="product not raised: the product of queries and keys adds to a tensor that is not zero"
// REMARK-NOT: Function=not_zero 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @not_zero(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// The second product does.

// CHECK-LABEL: @values_not_zero(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=values_not_zero | Remark="product not raised: the product with values adds to a tensor that is not zero"
// REMARK-NOT: Function=values_not_zero 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @values_not_zero(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// A score depends on another one.

// CHECK-LABEL: @not_scalar(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=not_scalar | Remark="product not raised: its scores are not made by scalar operations alone"
// REMARK-NOT: Function=not_scalar 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @not_scalar(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, affine_map<(b, i, j) -> (b, j, i)>, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p, %p : tensor<4x8x8xf32>, tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.addf %x0, %x1 : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// What the destination held enters a score.

// CHECK-LABEL: @destination(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=destination | Remark="product not raised: its scores are not made by scalar operations alone"
// REMARK-NOT: Function=destination 
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi = affine_map<(b, i, j) -> (b, i)>
#ij = affine_map<(b, i, j) -> (i, j)>
func.func @destination(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %c: tensor<8x8xf32>, %s: tensor<8x8xf32>, %mask: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %ix: tensor<4x8x16xf32>, %is: tensor<4x8x8xf32>, %ir: tensor<4x8xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %rq = rope.apply ins(%q, %c, %s : tensor<4x8x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) outs(%ix : tensor<4x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %fs = linalg.fill ins(%zero : f32) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %fx = linalg.fill ins(%zero : f32) outs(%ix : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%rq, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%fs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %z = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.addf %x0, %o : f32
    linalg.yield %y : f32
  } -> tensor<4x8x8xf32>
  %w = linalg.softmax dimension(2) ins(%z : tensor<4x8x8xf32>) outs(%is : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%fx : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// What lies in pages is rotated for other positions than keys are.

// CHECK-LABEL: @pages(
// CHECK: rope.apply
// CHECK: rope.attention
// CHECK-NOT: rotate_key
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=pages | {{.*}}it rotates places in pages, where the attention rotates keys
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j floordiv 4, j mod 4, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j floordiv 4, j mod 4, h, e)>
#p = affine_map<(b, h, i, j, d, e) -> (b, j floordiv 4)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @pages(%q: tensor<1x8x4x16xf32>, %k: tensor<8x4x4x16xf32>, %c: tensor<4x8xf32>, %s: tensor<4x8xf32>, %p: tensor<1x4xi32>, %init: tensor<1x8x4x16xf32>) -> tensor<1x8x4x16xf32> {
  %rk = rope.apply ins(%k, %c, %s : tensor<8x4x4x16xf32>, tensor<4x8xf32>, tensor<4x8xf32>) outs(%k : tensor<8x4x4x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [#q, #k, #v, #p, #o]} ins(%q, %rk, %k : tensor<1x8x4x16xf32>, tensor<8x4x4x16xf32>, tensor<8x4x4x16xf32>) pages(%p : tensor<1x4xi32>) outs(%init : tensor<1x8x4x16xf32>)
  return %a : tensor<1x8x4x16xf32>
}

// RUN: rope-opt %s --split-input-file --rope-fuse-matmul=tile-rows=32 --cse --remark-format=emitRemark --remarks-filter='rope-fuse.*' --verify-diagnostics | FileCheck %s

// Both operands: the keys of a batch whole, the queries in tiles of rows between
// their loops. The rotated tensors are gone.

#q = affine_map<(b, s, t, d) -> (b, s, d)>
#k = affine_map<(b, s, t, d) -> (b, t, d)>
#r = affine_map<(b, s, t, d) -> (b, s, t)>

// CHECK-LABEL: @batch(
// CHECK-SAME: %[[Q:.*]]: tensor<?x?x128xf32>, %[[K:.*]]: tensor<?x?x128xf32>, %[[QC:.*]]: tensor<?x64xf32>, %[[KC:.*]]: tensor<?x64xf32>
// CHECK-NOT: rope.apply
// CHECK: scf.for %[[B:[^ ]+]] =
// CHECK: %[[QB:.*]] = tensor.extract_slice %[[Q]][%[[B]], 0, 0]
// CHECK: %[[KB:.*]] = tensor.extract_slice %[[K]][%[[B]], 0, 0]
// CHECK: %[[ROTATED:.*]] = rope.apply ins(%[[KB]],
// CHECK: scf.for %[[S:[^ ]+]] = {{.*}} step %c32
// CHECK: %[[QS:.*]] = tensor.extract_slice %[[QB]][0, %[[S]], 0]
// CHECK: %[[TILE:.*]] = bufferization.alloc_tensor() : tensor<1x32x128xf32>
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[TILE]][0, 0, 0]
// CHECK: rope.apply ins(%[[QS]], {{.*}}outs(%[[PART]]
// CHECK: linalg.fill
// CHECK: linalg.batch_matmul
// CHECK-NOT: rope.apply
func.func @batch(%q: tensor<?x?x128xf32>, %k: tensor<?x?x128xf32>, %cq: tensor<?x64xf32>, %ck: tensor<?x64xf32>, %b: index, %n: index, %m: index) -> tensor<?x?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %eq = tensor.empty(%b, %n) : tensor<?x?x128xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.batch_matmul}}
  %y = rope.apply ins(%q, %cq, %cq : tensor<?x?x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%eq : tensor<?x?x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %ek = tensor.empty(%b, %m) : tensor<?x?x128xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.batch_matmul}}
  %z = rope.apply ins(%k, %ck, %ck : tensor<?x?x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%ek : tensor<?x?x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %e = tensor.empty(%b, %n, %m) : tensor<?x?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %r = linalg.batch_matmul indexing_maps = [#q, #k, #r] ins(%y, %z : tensor<?x?x128xf32>, tensor<?x?x128xf32>)
         outs(%f : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  return %r : tensor<?x?x?xf32>
}

// -----

// Nothing is shared by the operands: the one of more rows is folded, the other
// one made once, in front.

#q = affine_map<(s, t, d) -> (s, d)>
#k = affine_map<(s, t, d) -> (t, d)>
#r = affine_map<(s, t, d) -> (s, t)>

// CHECK-LABEL: @larger(
// CHECK: rope.apply {{.*}} tensor<64x8xf32>
// CHECK: scf.for
// CHECK: rope.apply {{.*}} tensor<32x8xf32>
// CHECK: linalg.contract
// CHECK-NOT: rope.apply
func.func @larger(%q: tensor<64x8xf32>, %k: tensor<128x8xf32>, %cq: tensor<64x4xf32>, %ck: tensor<128x4xf32>, %e: tensor<64x128xf32>) -> tensor<64x128xf32> {
  // expected-remark @below {{rotation left: ", Remark="it would be repeated for each tile of the other operand"}}
  %y = rope.apply ins(%q, %cq, %cq : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%q : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // expected-remark @below {{rotation folded into ", Remark=linalg.contract, bytesSaved=4096}}
  %z = rope.apply ins(%k, %ck, %ck : tensor<128x8xf32>, tensor<128x4xf32>, tensor<128x4xf32>)
                  outs(%k : tensor<128x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.contract indexing_maps = [#q, #k, #r] ins(%y, %z : tensor<64x8xf32>, tensor<128x8xf32>)
         outs(%e : tensor<64x128xf32>) -> tensor<64x128xf32>
  return %r : tensor<64x128xf32>
}

// -----

// Grouped heads: loops over groups outside, over the heads of a group inside.
// Rows are innermost, whatever the order of dimensions.

#q = affine_map<(b, h, g, s, t, d) -> (b, s, h, g, d)>
#k = affine_map<(b, h, g, s, t, d) -> (b, t, h, d)>
#r = affine_map<(b, h, g, s, t, d) -> (b, h, g, s, t)>

// CHECK-LABEL: @grouped(
// CHECK: scf.for {{.*}} to %c2
// CHECK: scf.for {{.*}} to %c4
// CHECK: rope.apply {{.*}} tensor<1x?x1x8xf16>
// CHECK: scf.for {{.*}} to %c3
// CHECK: scf.for {{.*}} step %c32
// CHECK: rope.apply {{.*}} tensor<1x?x1x1x8xf16>
// CHECK: linalg.generic
func.func @grouped(%q: tensor<2x?x4x3x8xf16>, %k: tensor<2x?x4x8xf16>, %c: tensor<?x4xf32>, %e: tensor<2x4x3x?x?xf32>) -> tensor<2x4x3x?x?xf32> {
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%q, %c, %c : tensor<2x?x4x3x8xf16>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%q : tensor<2x?x4x3x8xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  // expected-remark @below {{rotation folded}}
  %z = rope.apply ins(%k, %c, %c : tensor<2x?x4x8xf16>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%k : tensor<2x?x4x8xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = linalg.generic {indexing_maps = [#q, #k, #r], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]}
         ins(%y, %z : tensor<2x?x4x3x8xf16>, tensor<2x?x4x8xf16>) outs(%e : tensor<2x4x3x?x?xf32>) {
  ^bb0(%u: f16, %v: f16, %o: f32):
    %uu = arith.extf %u : f16 to f32
    %vv = arith.extf %v : f16 to f32
    %p = arith.mulf %uu, %vv : f32
    %a = arith.addf %o, %p : f32
    linalg.yield %a : f32
  } -> tensor<2x4x3x?x?xf32>
  return %r : tensor<2x4x3x?x?xf32>
}

// -----

// Transposed, and heads and batch made one dimension: the product takes them
// apart again, the transpose goes with the tile.

// CHECK-LABEL: @collapsed(
// CHECK-NOT: rope.apply
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[Y:.*]] = rope.apply {{.*}} tensor<1x?x1x64xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[Y]] : tensor<1x?x1x64xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[T]],
// CHECK: tensor.collapse_shape {{.*}} into tensor<8x?x?xf32>
func.func @collapsed(%q: tensor<2x?x4x64xf32>, %k: tensor<8x64x?xf32>, %c: tensor<?x32xf32>, %e: tensor<8x?x?xf32>, %n: index) -> tensor<8x?x?xf32> {
  // expected-remark @below {{rotation folded into ", Remark=linalg.generic}}
  %y = rope.apply ins(%q, %c, %c : tensor<2x?x4x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%q : tensor<2x?x4x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %et = tensor.empty(%n) : tensor<2x4x?x64xf32>
  %yt = linalg.transpose ins(%y : tensor<2x?x4x64xf32>) outs(%et : tensor<2x4x?x64xf32>) permutation = [0, 2, 1, 3]
  %yc = tensor.collapse_shape %yt [[0, 1], [2], [3]] : tensor<2x4x?x64xf32> into tensor<8x?x64xf32>
  %r = linalg.batch_matmul ins(%yc, %k : tensor<8x?x64xf32>, tensor<8x64x?xf32>) outs(%e : tensor<8x?x?xf32>) -> tensor<8x?x?xf32>
  return %r : tensor<8x?x?xf32>
}

// -----

// A cast of the shape, and a conversion of the elements.

// CHECK-LABEL: @converted(
// CHECK: scf.for
// CHECK: %[[Y:.*]] = rope.apply {{.*}} tensor<?x8xf32>
// CHECK: %[[N:.*]] = linalg.generic {{.*}} ins(%[[Y]] :
// CHECK: arith.truncf
// CHECK: linalg.matmul ins(%[[N]],
func.func @converted(%x: tensor<100x8xf32>, %w: tensor<8x16xbf16>, %c: tensor<100x4xf32>, %n: index, %e: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // expected-remark @below {{rotation folded into ", Remark=linalg.matmul, bytesSaved=3200}}
  %y = rope.apply ins(%x, %c, %c : tensor<100x8xf32>, tensor<100x4xf32>, tensor<100x4xf32>)
                  outs(%x : tensor<100x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %i = tensor.empty() : tensor<100x8xbf16>
  %h = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
         ins(%y : tensor<100x8xf32>) outs(%i : tensor<100x8xbf16>) {
  ^bb0(%u: f32, %o: bf16):
    %v = arith.truncf %u : f32 to bf16
    linalg.yield %v : bf16
  } -> tensor<100x8xbf16>
  %d = tensor.cast %h : tensor<100x8xbf16> to tensor<?x8xbf16>
  %r = linalg.matmul ins(%d, %w : tensor<?x8xbf16>, tensor<8x16xbf16>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %r : tensor<?x16xf32>
}

// -----

// One step: a row of queries for each head, and the keys of a cache.

// CHECK-LABEL: @step(
// CHECK: scf.for
// CHECK: rope.apply {{.*}} tensor<1x8xf32>
// CHECK: scf.for {{.*}} step %c32
// CHECK: rope.apply {{.*}} tensor<1x?x8xf32>
// CHECK: linalg.batch_vecmat
func.func @step(%q: tensor<4x8xf32>, %k: tensor<4x?x8xf32>, %cq: tensor<4xf32>, %ck: tensor<?x4xf32>, %n: index, %e: tensor<4x?xf32>) -> tensor<4x?xf32> {
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%q, %cq, %cq : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
                  outs(%q : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  // expected-remark @below {{rotation folded}}
  %z = rope.apply ins(%k, %ck, %ck : tensor<4x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%k : tensor<4x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %i = tensor.empty(%n) : tensor<4x8x?xf32>
  %t = linalg.transpose ins(%z : tensor<4x?x8xf32>) outs(%i : tensor<4x8x?xf32>) permutation = [0, 2, 1]
  %r = linalg.batch_vecmat ins(%y, %t : tensor<4x8xf32>, tensor<4x8x?xf32>) outs(%e : tensor<4x?xf32>) -> tensor<4x?xf32>
  return %r : tensor<4x?xf32>
}

// -----

// The head dimension may be dynamic.

// CHECK-LABEL: @dynamic_head(
// CHECK: scf.for
// CHECK: rope.apply {{.*}} tensor<?x?xf32>
func.func @dynamic_head(%x: tensor<?x?xf32>, %c: tensor<?x4xf32>, %w: tensor<?x16xf32>, %e: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%x, %c, %c : tensor<?x?xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%x : tensor<?x?xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%y, %w : tensor<?x?xf32>, tensor<?x16xf32>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %r : tensor<?x16xf32>
}

// -----

// Values are contracted over rows: the rotated dimension is one of the result.

// CHECK-LABEL: @not_contracted(
// CHECK-NOT: scf.for
func.func @not_contracted(%p: tensor<64x64xf32>, %v: tensor<64x8xf32>, %c: tensor<64x4xf32>, %e: tensor<64x8xf32>) -> tensor<64x8xf32> {
  // expected-remark @below {{rotation left: ", Remark="the head dimension is not contracted"}}
  %y = rope.apply ins(%v, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%v : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%p, %y : tensor<64x64xf32>, tensor<64x8xf32>) outs(%e : tensor<64x8xf32>) -> tensor<64x8xf32>
  return %r : tensor<64x8xf32>
}

// -----

// Used elsewhere, by both operands, or not at all.

// CHECK-LABEL: @uses(
// CHECK-NOT: scf.for
func.func @uses(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %w: tensor<8x16xf32>, %e: tensor<64x16xf32>) -> (tensor<64x8xf32>, tensor<64x16xf32>) {
  // expected-remark @below {{rotation left: ", Remark="its result has several uses"}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // expected-remark @below {{rotation left: ", Remark="its result is not used"}}
  %z = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%y, %w : tensor<64x8xf32>, tensor<8x16xf32>) outs(%e : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %y, %r : tensor<64x8xf32>, tensor<64x16xf32>
}

// -----

// CHECK-LABEL: @no_contraction(
// CHECK-NOT: scf.for
func.func @no_contraction(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %m: memref<64x8xf32>, %t: memref<64x4xf32>) -> tensor<64x8xf32> {
  // expected-remark @below {{rotation left: ", Remark="its result goes to func.return, which is no contraction"}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // expected-remark @below {{rotation left: ", Remark="it is on memrefs"}}
  rope.apply ins(%m, %t, %t : memref<64x8xf32>, memref<64x4xf32>, memref<64x4xf32>)
             outs(%m : memref<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<64x8xf32>
}

// -----

// A sum over the head, which no second operand takes part in.

// CHECK-LABEL: @reduction(
// CHECK-NOT: scf.for
func.func @reduction(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %e: tensor<64xf32>) -> tensor<64xf32> {
  // expected-remark @below {{its result goes to linalg.reduce, which is no contraction}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.reduce { arith.addf } ins(%y : tensor<64x8xf32>) outs(%e : tensor<64xf32>) dimensions = [1]
  return %r : tensor<64xf32>
}

// -----

// What the product is added to.

// CHECK-LABEL: @destination(
// CHECK-NOT: scf.for
func.func @destination(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %v: tensor<64x8xf32>, %w: tensor<8x8xf32>) -> tensor<64x8xf32> {
  // expected-remark @below {{rotation left: ", Remark="its result is the destination of the contraction"}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%v, %w : tensor<64x8xf32>, tensor<8x8xf32>) outs(%y : tensor<64x8xf32>) -> tensor<64x8xf32>
  return %r : tensor<64x8xf32>
}

// -----

// In front of a loop, it is rotated once for all of its rounds.

// CHECK-LABEL: @before_loop(
// CHECK: rope.apply
// CHECK: scf.for
// CHECK-NOT: scf.for
func.func @before_loop(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %w: tensor<8x16xf32>, %e: tensor<64x16xf32>, %n: index) -> tensor<64x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-remark @below {{rotation left: ", Remark="its result is used in another block}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %e) -> tensor<64x16xf32> {
    %s = linalg.matmul ins(%y, %w : tensor<64x8xf32>, tensor<8x16xf32>) outs(%a : tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %s : tensor<64x16xf32>
  }
  return %r : tensor<64x16xf32>
}

// -----

// As many rows as one tile holds, one row, and none.

// CHECK-LABEL: @small(
// CHECK-NOT: scf.for
func.func @small(%x: tensor<32x8xf32>, %c: tensor<32x4xf32>, %w: tensor<8x16xf32>, %e: tensor<32x16xf32>, %o: tensor<8xf32>, %d: tensor<4xf32>, %g: tensor<16xf32>,
                 %n: tensor<0x8xf32>, %p: tensor<0x4xf32>, %f: tensor<0x16xf32>) -> (tensor<32x16xf32>, tensor<16xf32>, tensor<0x16xf32>) {
  // expected-remark @below {{rotation left: ", Remark="it is one tile already"}}
  %y = rope.apply ins(%x, %c, %c : tensor<32x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>)
                  outs(%x : tensor<32x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%y, %w : tensor<32x8xf32>, tensor<8x16xf32>) outs(%e : tensor<32x16xf32>) -> tensor<32x16xf32>
  // expected-remark @below {{rotation left: ", Remark="it is one tile already"}}
  %z = rope.apply ins(%o, %d, %d : tensor<8xf32>, tensor<4xf32>, tensor<4xf32>)
                  outs(%o : tensor<8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %s = linalg.vecmat ins(%z, %w : tensor<8xf32>, tensor<8x16xf32>) outs(%g : tensor<16xf32>) -> tensor<16xf32>
  // expected-remark @below {{rotation left: ", Remark="the contraction is empty"}}
  %u = rope.apply ins(%n, %p, %p : tensor<0x8xf32>, tensor<0x4xf32>, tensor<0x4xf32>)
                  outs(%n : tensor<0x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %t = linalg.matmul ins(%u, %w : tensor<0x8xf32>, tensor<8x16xf32>) outs(%f : tensor<0x16xf32>) -> tensor<0x16xf32>
  return %r, %s, %t : tensor<32x16xf32>, tensor<16xf32>, tensor<0x16xf32>
}

// -----

// CHECK-LABEL: @no_pairs(
// CHECK-NOT: scf.for
func.func @no_pairs(%x: tensor<64x8xf32>, %c: tensor<64x0xf32>, %w: tensor<8x16xf32>, %e: tensor<64x16xf32>) -> tensor<64x16xf32> {
  // expected-remark @below {{rotation left: ", Remark="nothing is rotated"}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x0xf32>, tensor<64x0xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = linalg.matmul ins(%y, %w : tensor<64x8xf32>, tensor<8x16xf32>) outs(%e : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %r : tensor<64x16xf32>
}

// -----

// Static where it was dynamic: nothing folds that.

// CHECK-LABEL: @cast(
// CHECK-NOT: scf.for
func.func @cast(%x: tensor<?x8xf32>, %c: tensor<?x4xf32>, %w: tensor<8x16xf32>, %e: tensor<64x16xf32>) -> tensor<64x16xf32> {
  // expected-remark @below {{rotation left: ", Remark="the tensor.cast behind it does not fold into the contraction"}}
  %y = rope.apply ins(%x, %c, %c : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%x : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %d = tensor.cast %y : tensor<?x8xf32> to tensor<64x8xf32>
  %r = linalg.matmul ins(%d, %w : tensor<64x8xf32>, tensor<8x16xf32>) outs(%e : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %r : tensor<64x16xf32>
}

// -----

// Two rotations meet in one operand.

// CHECK-LABEL: @sum(
// CHECK-COUNT-1: rope.apply {{.*}} tensor<64x8xf32>
// CHECK: scf.for
// CHECK-COUNT-1: rope.apply {{.*}} tensor<32x8xf32>
// CHECK-NOT: rope.apply
func.func @sum(%x: tensor<64x8xf32>, %c: tensor<64x4xf32>, %w: tensor<8x16xf32>, %e: tensor<64x16xf32>) -> tensor<64x16xf32> {
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // expected-remark @below {{rotation left: ", Remark="another rotation of the same operand is folded"}}
  %z = rope.apply ins(%x, %c, %c : tensor<64x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>)
                  outs(%x : tensor<64x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %i = tensor.empty() : tensor<64x8xf32>
  %a = linalg.add ins(%y, %z : tensor<64x8xf32>, tensor<64x8xf32>) outs(%i : tensor<64x8xf32>) -> tensor<64x8xf32>
  %r = linalg.matmul ins(%a, %w : tensor<64x8xf32>, tensor<8x16xf32>) outs(%e : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %r : tensor<64x16xf32>
}

// RUN: rope-opt %s --split-input-file --rope-fuse-projection="tile-tokens=32 tile-heads=1" --cse --remark-format=emitRemark --remarks-filter='rope-fuse.*' --verify-diagnostics | FileCheck %s

// The heads come out of the projected channels: the weights are reshaped, and a
// tile of tokens is projected to one head and rotated. Nothing of the size of
// the projection is left but the result.

// CHECK-LABEL: @plain(
// CHECK-SAME: %[[X:.*]]: tensor<?x256xf32>, %[[W:.*]]: tensor<256x512xf32>
// CHECK: %[[HEADS:.*]] = tensor.expand_shape %[[W]]
// CHECK: scf.for %[[H:[^ ]+]] = %c0 to %c8 step %c1
// CHECK: scf.for %[[S:[^ ]+]] = %c0 to %{{.*}} step %c32
// CHECK: tensor.extract_slice %[[X]][%[[S]], 0]
// CHECK: tensor.extract_slice %[[HEADS]][0, %[[H]], 0]
// CHECK: bufferization.alloc_tensor() : tensor<32x1x64xf32>
// CHECK: %[[ZERO:.*]] = linalg.fill
// CHECK: %[[TILE:.*]] = linalg.generic {{.*}} outs(%[[ZERO]]
// CHECK: rope.apply ins(%[[TILE]]
// CHECK-NOT: rope.apply
// CHECK-NOT: linalg.
// CHECK: return
func.func @plain(%x: tensor<?x256xf32>, %w: tensor<256x512xf32>, %c: tensor<?x32xf32>, %n: index) -> tensor<?x8x64xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<?x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x512xf32>) -> tensor<?x512xf32>
  %m = linalg.matmul ins(%x, %w : tensor<?x256xf32>, tensor<256x512xf32>) outs(%f : tensor<?x512xf32>) -> tensor<?x512xf32>
  %h = tensor.expand_shape %m [[0], [1, 2]] output_shape [%n, 8, 64] : tensor<?x512xf32> into tensor<?x8x64xf32>
  %i = tensor.empty(%n) : tensor<?x8x64xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.generic}}
  %y = rope.apply ins(%h, %c, %c : tensor<?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%i : tensor<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x8x64xf32>
}

// -----

// Bias and conversion before the heads, a transpose behind them, a batch that is
// one dimension with the tokens, and a rotation in place of its operand.

// CHECK-LABEL: @biased(
// CHECK: scf.for {{.*}} to %c8
// CHECK: scf.for {{.*}} to %c2
// CHECK: scf.for {{.*}} step %c32
// CHECK: linalg.generic
// CHECK: arith.mulf
// CHECK: linalg.generic
// CHECK: arith.truncf
// CHECK: linalg.transpose
// CHECK: rope.apply {{.*}} tensor<1x1x?x64xbf16>
// CHECK-NOT: linalg.
func.func @biased(%x: tensor<2x?x256xbf16>, %w: tensor<256x512xbf16>, %b: tensor<512xf32>, %c: tensor<?x32xf32>, %n: index, %n2: index) -> tensor<2x8x?x64xbf16> {
  %zero = arith.constant 0.0 : f32
  %xc = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x?x256xbf16> into tensor<?x256xbf16>
  %e = tensor.empty(%n2) : tensor<?x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x512xf32>) -> tensor<?x512xf32>
  %m = linalg.matmul ins(%xc, %w : tensor<?x256xbf16>, tensor<256x512xbf16>) outs(%f : tensor<?x512xf32>) -> tensor<?x512xf32>
  %eb = tensor.empty(%n2) : tensor<?x512xbf16>
  %mb = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%m, %b : tensor<?x512xf32>, tensor<512xf32>) outs(%eb : tensor<?x512xbf16>) {
  ^bb0(%u: f32, %v: f32, %o: bf16):
    %s = arith.addf %u, %v : f32
    %t = arith.truncf %s : f32 to bf16
    linalg.yield %t : bf16
  } -> tensor<?x512xbf16>
  %h = tensor.expand_shape %mb [[0, 1], [2, 3]] output_shape [2, %n, 8, 64] : tensor<?x512xbf16> into tensor<2x?x8x64xbf16>
  %et = tensor.empty(%n) : tensor<2x8x?x64xbf16>
  %ht = linalg.transpose ins(%h : tensor<2x?x8x64xbf16>) outs(%et : tensor<2x8x?x64xbf16>) permutation = [0, 2, 1, 3]
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%ht, %c, %c : tensor<2x8x?x64xbf16>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%ht : tensor<2x8x?x64xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 2>}
  return %y : tensor<2x8x?x64xbf16>
}

// -----

// The bias is what the product is added to: broadcast in the tile.

// CHECK-LABEL: @bias_first(
// CHECK-NOT: linalg.
// CHECK: scf.for
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK: rope.apply
func.func @bias_first(%x: tensor<100x256xf32>, %w: tensor<256x512xf32>, %b: tensor<512xf32>, %c: tensor<100x32xf32>) -> tensor<100x8x64xf32> {
  %e = tensor.empty() : tensor<100x512xf32>
  %f = linalg.broadcast ins(%b : tensor<512xf32>) outs(%e : tensor<100x512xf32>) dimensions = [0]
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x512xf32>) outs(%f : tensor<100x512xf32>) -> tensor<100x512xf32>
  %h = tensor.expand_shape %m [[0], [1, 2]] output_shape [100, 8, 64] : tensor<100x512xf32> into tensor<100x8x64xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.generic, bytesSaved=204800}}
  %y = rope.apply ins(%h, %c, %c : tensor<100x8x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%h : tensor<100x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x8x64xf32>
}

// -----

// What goes to a cache is rotated into it.

// CHECK-LABEL: @appended(
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: tensor<4096x8x64xf32>, %[[AT:[a-z0-9]+]]: index
// CHECK: %[[PLACE:.*]] = tensor.extract_slice %[[CACHE]][%[[AT]], 0, 0] [100, 8, 64]
// CHECK: %[[ROWS:.*]] = scf.for {{.*}} iter_args(%{{.*}} = %[[PLACE]])
// CHECK: rope.apply
// CHECK: {rope.tasks}
// CHECK: {rope.tasks}
// CHECK: tensor.insert_slice %[[ROWS]] into %[[CACHE]][%[[AT]], 0, 0]
func.func @appended(%x: tensor<100x256xf32>, %w: tensor<256x8x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x8x64xf32>, %cache: tensor<4096x8x64xf32>, %at: index) -> tensor<4096x8x64xf32> {
  %m = linalg.contract indexing_maps = [affine_map<(s, h, d, k) -> (s, k)>, affine_map<(s, h, d, k) -> (k, h, d)>, affine_map<(s, h, d, k) -> (s, h, d)>]
         ins(%x, %w : tensor<100x256xf32>, tensor<256x8x64xf32>) outs(%e : tensor<100x8x64xf32>) -> tensor<100x8x64xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.contract}}
  %y = rope.apply ins(%m, %c, %c : tensor<100x8x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %cache[%at, 0, 0] [100, 8, 64] [1, 1, 1] : tensor<100x8x64xf32> into tensor<4096x8x64xf32>
  return %r : tensor<4096x8x64xf32>
}

// -----

// No reshape: the product has heads already.

// CHECK-LABEL: @contract(
// CHECK: scf.for
// CHECK: scf.for
// CHECK: linalg.contract
// CHECK: rope.apply
func.func @contract(%x: tensor<100x256xf32>, %w: tensor<256x8x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x8x64xf32>) -> tensor<100x8x64xf32> {
  %m = linalg.contract indexing_maps = [affine_map<(s, h, d, k) -> (s, k)>, affine_map<(s, h, d, k) -> (k, h, d)>, affine_map<(s, h, d, k) -> (s, h, d)>]
         ins(%x, %w : tensor<100x256xf32>, tensor<256x8x64xf32>) outs(%e : tensor<100x8x64xf32>) -> tensor<100x8x64xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.contract}}
  %y = rope.apply ins(%m, %c, %c : tensor<100x8x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x8x64xf32>
}

// -----

// Queries, keys and values of one product: each has its own. The tile that the
// norm reads twice is made once.

#x = affine_map<(s, h, d) -> (s, h, d)>
#s = affine_map<(s, h, d) -> (s, h)>
#g = affine_map<(s, h, d) -> (d)>

// CHECK-LABEL: @slices(
// CHECK: scf.for {{.*}} to %c4
// CHECK: scf.for {{.*}} step %c32
// CHECK: %[[P:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<?x1x64xf32>)
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[P]] : tensor<?x1x64xf32>) outs(%{{.*}} : tensor<?x1xf32>)
// CHECK: %[[N:.*]] = linalg.generic {{.*}} ins(%[[P]], %[[SUM]],
// CHECK: rope.apply ins(%[[N]]
// CHECK: scf.for {{.*}} to %c2
// CHECK: scf.for {{.*}} step %c32
// CHECK: linalg.generic
// CHECK: rope.apply
// CHECK: return
func.func @slices(%x: tensor<?x256xf32>, %w: tensor<256x512xf32>, %gain: tensor<64xf32>, %c: tensor<?x32xf32>, %n: index) -> (tensor<?x4x64xf32>, tensor<?x2x64xf32>, tensor<?x128xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<?x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x512xf32>) -> tensor<?x512xf32>
  %m = linalg.matmul ins(%x, %w : tensor<?x256xf32>, tensor<256x512xf32>) outs(%f : tensor<?x512xf32>) -> tensor<?x512xf32>
  %q = tensor.extract_slice %m [0, 0] [%n, 256] [1, 1] : tensor<?x512xf32> to tensor<?x256xf32>
  %k = tensor.extract_slice %m [0, 256] [%n, 128] [1, 1] : tensor<?x512xf32> to tensor<?x128xf32>
  %v = tensor.extract_slice %m [0, 384] [%n, 128] [1, 1] : tensor<?x512xf32> to tensor<?x128xf32>
  %h = tensor.expand_shape %q [[0], [1, 2]] output_shape [%n, 4, 64] : tensor<?x256xf32> into tensor<?x4x64xf32>
  %es = tensor.empty(%n) : tensor<?x4xf32>
  %fs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x4xf32>) -> tensor<?x4xf32>
  %sum = linalg.generic {indexing_maps = [#x, #s], iterator_types = ["parallel", "parallel", "reduction"]} ins(%h : tensor<?x4x64xf32>) outs(%fs : tensor<?x4xf32>) {
  ^bb0(%u: f32, %o: f32):
    %p = arith.mulf %u, %u : f32
    %a = arith.addf %o, %p : f32
    linalg.yield %a : f32
  } -> tensor<?x4xf32>
  %i = tensor.empty(%n) : tensor<?x4x64xf32>
  %hn = linalg.generic {indexing_maps = [#x, #s, #g, #x], iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%h, %sum, %gain : tensor<?x4x64xf32>, tensor<?x4xf32>, tensor<64xf32>) outs(%i : tensor<?x4x64xf32>) {
  ^bb0(%u: f32, %t: f32, %l: f32, %o: f32):
    %r = math.rsqrt %t : f32
    %a = arith.mulf %u, %r : f32
    %b = arith.mulf %a, %l : f32
    linalg.yield %b : f32
  } -> tensor<?x4x64xf32>
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%hn, %c, %c : tensor<?x4x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%i : tensor<?x4x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %kh = tensor.expand_shape %k [[0], [1, 2]] output_shape [%n, 2, 64] : tensor<?x128xf32> into tensor<?x2x64xf32>
  // expected-remark @below {{rotation folded}}
  %z = rope.apply ins(%kh, %c, %c : tensor<?x2x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%kh : tensor<?x2x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %z, %v : tensor<?x4x64xf32>, tensor<?x2x64xf32>, tensor<?x128xf32>
}

// -----

// A norm over all heads keeps them together: loops over tokens alone.

#x = affine_map<(s, h, d) -> (s, h, d)>
#s = affine_map<(s, h, d) -> (s)>

// CHECK-LABEL: @norm_of_all(
// CHECK: scf.for {{.*}} step %c32
// CHECK-NOT: scf.for
// CHECK: linalg.contract {{.*}} outs(%{{.*}} : tensor<?x8x64xf32>)
// CHECK: rope.apply {{.*}} tensor<?x8x64xf32>
func.func @norm_of_all(%x: tensor<100x256xf32>, %w: tensor<256x8x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x8x64xf32>, %f: tensor<100xf32>) -> tensor<100x8x64xf32> {
  %m = linalg.contract indexing_maps = [affine_map<(s, h, d, k) -> (s, k)>, affine_map<(s, h, d, k) -> (k, h, d)>, affine_map<(s, h, d, k) -> (s, h, d)>]
         ins(%x, %w : tensor<100x256xf32>, tensor<256x8x64xf32>) outs(%e : tensor<100x8x64xf32>) -> tensor<100x8x64xf32>
  %sum = linalg.reduce { arith.addf } ins(%m : tensor<100x8x64xf32>) outs(%f : tensor<100xf32>) dimensions = [1, 2]
  %n = linalg.generic {indexing_maps = [#x, #s, #x], iterator_types = ["parallel", "parallel", "parallel"]}
         ins(%m, %sum : tensor<100x8x64xf32>, tensor<100xf32>) outs(%e : tensor<100x8x64xf32>) {
  ^bb0(%u: f32, %t: f32, %o: f32):
    %a = arith.divf %u, %t : f32
    linalg.yield %a : f32
  } -> tensor<100x8x64xf32>
  // expected-remark @below {{rotation folded}}
  %y = rope.apply ins(%n, %c, %c : tensor<100x8x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x8x64xf32>
}

// -----

// Divided by a sum over everything: no tile can be made alone.

#x = affine_map<(s, d) -> (s, d)>
#s = affine_map<(s, d) -> ()>

// CHECK-LABEL: @sum_of_all(
// CHECK-NOT: scf.for
func.func @sum_of_all(%x: tensor<100x256xf32>, %w: tensor<256x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x64xf32>, %f: tensor<f32>) -> tensor<100x64xf32> {
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x64xf32>) outs(%e : tensor<100x64xf32>) -> tensor<100x64xf32>
  %sum = linalg.reduce { arith.addf } ins(%m : tensor<100x64xf32>) outs(%f : tensor<f32>) dimensions = [0, 1]
  %n = linalg.generic {indexing_maps = [#x, #s, #x], iterator_types = ["parallel", "parallel"]}
         ins(%m, %sum : tensor<100x64xf32>, tensor<f32>) outs(%e : tensor<100x64xf32>) {
  ^bb0(%u: f32, %t: f32, %o: f32):
    %a = arith.divf %u, %t : f32
    linalg.yield %a : f32
  } -> tensor<100x64xf32>
  // expected-remark @below {{rotation left: ", Remark="its rows are not made one by one"}}
  %y = rope.apply ins(%n, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x64xf32>
}

// -----

// Not made by a contraction, or by one in front of the loop.

// CHECK-LABEL: @no_contraction(
// CHECK-COUNT-1: scf.for
// CHECK-NOT: scf.for
func.func @no_contraction(%x: tensor<100x256xf32>, %w: tensor<256x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x64xf32>, %n: index,
                          %o: memref<100x64xf32>, %t: memref<100x32xf32>) -> (tensor<100x64xf32>, tensor<100x64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = linalg.exp ins(%e : tensor<100x64xf32>) outs(%e : tensor<100x64xf32>) -> tensor<100x64xf32>
  // expected-remark @below {{rotation left: ", Remark="no contraction makes what it rotates"}}
  %y = rope.apply ins(%a, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // expected-remark @below {{rotation left: ", Remark="it is on memrefs"}}
  rope.apply ins(%o, %t, %t : memref<100x64xf32>, memref<100x32xf32>, memref<100x32xf32>)
             outs(%o : memref<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x64xf32>) outs(%e : tensor<100x64xf32>) -> tensor<100x64xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%z = %e) -> tensor<100x64xf32> {
    // expected-remark @below {{rotation left: ", Remark="no contraction makes what it rotates"}}
    %s = rope.apply ins(%m, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                    outs(%z : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %s : tensor<100x64xf32>
  }
  return %y, %r : tensor<100x64xf32>, tensor<100x64xf32>
}

// -----

// CHECK-LABEL: @other_uses(
// CHECK-NOT: scf.for
func.func @other_uses(%x: tensor<100x256xf32>, %w: tensor<256x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x64xf32>) -> (tensor<100x64xf32>, tensor<100x64xf32>) {
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x64xf32>) outs(%e : tensor<100x64xf32>) -> tensor<100x64xf32>
  // expected-remark @below {{rotation left: ", Remark="the result of linalg.matmul has other uses"}}
  %y = rope.apply ins(%m, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %m : tensor<100x64xf32>, tensor<100x64xf32>
}

// -----

// As many tokens as a tile holds, none, and none that turn.

// CHECK-LABEL: @small(
// CHECK-NOT: scf.for
func.func @small(%x: tensor<32x256xf32>, %w: tensor<256x64xf32>, %c: tensor<32x32xf32>, %e: tensor<32x64xf32>,
                 %x0: tensor<0x256xf32>, %c0: tensor<0x32xf32>, %e0: tensor<0x64xf32>, %t: tensor<32x0xf32>) -> (tensor<32x64xf32>, tensor<0x64xf32>, tensor<32x64xf32>) {
  %m = linalg.matmul ins(%x, %w : tensor<32x256xf32>, tensor<256x64xf32>) outs(%e : tensor<32x64xf32>) -> tensor<32x64xf32>
  // expected-remark @below {{rotation left: ", Remark="it is one tile already"}}
  %y = rope.apply ins(%m, %c, %c : tensor<32x64xf32>, tensor<32x32xf32>, tensor<32x32xf32>)
                  outs(%e : tensor<32x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %m0 = linalg.matmul ins(%x0, %w : tensor<0x256xf32>, tensor<256x64xf32>) outs(%e0 : tensor<0x64xf32>) -> tensor<0x64xf32>
  // expected-remark @below {{rotation left: ", Remark="nothing is rotated"}}
  %y0 = rope.apply ins(%m0, %c0, %c0 : tensor<0x64xf32>, tensor<0x32xf32>, tensor<0x32xf32>)
                   outs(%e0 : tensor<0x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %m1 = linalg.matmul ins(%x, %w : tensor<32x256xf32>, tensor<256x64xf32>) outs(%e : tensor<32x64xf32>) -> tensor<32x64xf32>
  // expected-remark @below {{rotation left: ", Remark="nothing is rotated"}}
  %y1 = rope.apply ins(%m1, %t, %t : tensor<32x64xf32>, tensor<32x0xf32>, tensor<32x0xf32>)
                   outs(%e : tensor<32x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %y0, %y1 : tensor<32x64xf32>, tensor<0x64xf32>, tensor<32x64xf32>
}

// -----

// Slices that overlap would be projected twice.

// CHECK-LABEL: @overlap(
// CHECK-NOT: scf.for
func.func @overlap(%x: tensor<100x256xf32>, %w: tensor<256x128xf32>, %c: tensor<100x32xf32>, %e: tensor<100x128xf32>) -> (tensor<100x64xf32>, tensor<100x65xf32>) {
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x128xf32>) outs(%e : tensor<100x128xf32>) -> tensor<100x128xf32>
  %q = tensor.extract_slice %m [0, 0] [100, 64] [1, 1] : tensor<100x128xf32> to tensor<100x64xf32>
  %k = tensor.extract_slice %m [0, 63] [100, 65] [1, 1] : tensor<100x128xf32> to tensor<100x65xf32>
  // expected-remark @below {{rotation left: ", Remark="the tensor.extract_slice in front of it does not fold into the contraction"}}
  %y = rope.apply ins(%q, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%q : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %k : tensor<100x64xf32>, tensor<100x65xf32>
}

// -----

// Tokens that were apart are one dimension: the rotation cannot take them apart.

// CHECK-LABEL: @collapsed(
// CHECK-NOT: scf.for
func.func @collapsed(%x: tensor<2x50x256xf32>, %w: tensor<2x256x64xf32>, %c: tensor<100x32xf32>, %e: tensor<2x50x64xf32>, %i: tensor<100x64xf32>) -> tensor<100x64xf32> {
  %m = linalg.batch_matmul ins(%x, %w : tensor<2x50x256xf32>, tensor<2x256x64xf32>) outs(%e : tensor<2x50x64xf32>) -> tensor<2x50x64xf32>
  %q = tensor.collapse_shape %m [[0, 1], [2]] : tensor<2x50x64xf32> into tensor<100x64xf32>
  // expected-remark @below {{rotation left: ", Remark="the tensor.collapse_shape in front of it does not fold into the contraction"}}
  %y = rope.apply ins(%q, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%i : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x64xf32>
}

// -----

// A sum that keeps its dimension.

#x = affine_map<(s, d) -> (s, d)>
#s = affine_map<(s, d) -> (s, 0)>

// CHECK-LABEL: @kept_dimension(
// CHECK: scf.for
// CHECK: linalg.matmul
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<?x1xf32>)
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<?x64xf32>)
// CHECK: rope.apply {{.*}} tensor<?x64xf32>
// CHECK-NOT: linalg
func.func @kept_dimension(%x: tensor<100x256xf32>, %w: tensor<256x64xf32>, %c: tensor<100x32xf32>, %e: tensor<100x64xf32>, %f: tensor<100x1xf32>) -> tensor<100x64xf32> {
  %m = linalg.matmul ins(%x, %w : tensor<100x256xf32>, tensor<256x64xf32>) outs(%e : tensor<100x64xf32>) -> tensor<100x64xf32>
  %sum = linalg.generic {indexing_maps = [#x, #s], iterator_types = ["parallel", "reduction"]} ins(%m : tensor<100x64xf32>) outs(%f : tensor<100x1xf32>) {
  ^bb0(%u: f32, %o: f32):
    %a = arith.addf %o, %u : f32
    linalg.yield %a : f32
  } -> tensor<100x1xf32>
  %n = linalg.generic {indexing_maps = [#x, #s, #x], iterator_types = ["parallel", "parallel"]}
         ins(%m, %sum : tensor<100x64xf32>, tensor<100x1xf32>) outs(%e : tensor<100x64xf32>) {
  ^bb0(%u: f32, %t: f32, %o: f32):
    %a = arith.divf %u, %t : f32
    linalg.yield %a : f32
  } -> tensor<100x64xf32>
  // expected-remark @below {{rotation folded into ", Remark=linalg.matmul}}
  %y = rope.apply ins(%n, %c, %c : tensor<100x64xf32>, tensor<100x32xf32>, tensor<100x32xf32>)
                  outs(%e : tensor<100x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<100x64xf32>
}

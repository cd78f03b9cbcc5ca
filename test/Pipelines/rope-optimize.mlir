// RUN: rope-opt %s --rope-optimize | FileCheck %s
// RUN: rope-opt %s --rope-optimize=key-rotation=once | FileCheck %s --check-prefix=ONCE
// RUN: rope-opt %s --rope-optimize="l2-bytes=1073741824 vector-bits=128 threads=1" | FileCheck %s --check-prefix=ONCE
// RUN: rope-opt %s --rope-optimize --rope-to-llvm | FileCheck %s --check-prefix=LLVM
// RUN: rope-opt %s --mlir-disable-threading --rope-optimize --remark-format=emitRemark --remarks-filter=rope-fuse.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=Remark=

// A block of attention as a model has it, keys and queries with tables of their
// own, equal ones: one table, one rope.attention, no rotation outside of it.

// CHECK-LABEL: @block(
// CHECK-COUNT-1: rope.table
// CHECK-NOT: rope.table
// CHECK-NOT: rope.apply
// CHECK-NOT: linalg.transpose
// CHECK: rope.attention {causal,
// CHECK-SAME: scale = 1.250000e-01
// CHECK-SAME: rotate_query(%[[COS:[a-z_0-9]+]], %[[SIN:[a-z_0-9]+]] : tensor<512x32xf32>, tensor<512x32xf32>) by <pairing = half, position_dims = [1]>
// CHECK-SAME: rotate_key(%[[COS]], %[[SIN]] : tensor<512x32xf32>, tensor<512x32xf32>) by <pairing = half, position_dims = [1]>
// CHECK-NOT: linalg.softmax

// ONCE-LABEL: @block(
// ONCE-COUNT-1: rope.apply
// ONCE-NOT: rope.apply
// ONCE: rope.attention {causal,
// ONCE-SAME: rotate_query
// ONCE-NOT: rotate_key
// ONCE: return

// LLVM-LABEL: llvm.func @block(

// REMARK: Function=block | Remark="raised to rope.attention"
// REMARK-COUNT-2: Function=block | Remark="rotation folded into ", Remark=rope.attention, bytesSaved=2097152
// REMARK: Function=block | Remark="table left: each row would be made

#map = affine_map<(b, h, i, j) -> (b, h, i, j)>
func.func @block(%q: tensor<1x512x8x64xf32>, %k: tensor<1x512x8x64xf32>, %v: tensor<1x512x8x64xf32>, %p: tensor<512xi64>) -> tensor<1x8x512x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %wide = arith.constant 1.25e-1 : f64
  %f = rope.frequencies base(1.0e+04) : tensor<32xf64>
  %et = tensor.empty() : tensor<512x32xf32>
  %cq, %sq = rope.table ins(%p, %f : tensor<512xi64>, tensor<32xf64>) outs(%et, %et : tensor<512x32xf32>, tensor<512x32xf32>)
  %ck, %sk = rope.table ins(%p, %f : tensor<512xi64>, tensor<32xf64>) outs(%et, %et : tensor<512x32xf32>, tensor<512x32xf32>)
  %e = tensor.empty() : tensor<1x512x8x64xf32>
  %rq = rope.apply ins(%q, %cq, %sq : tensor<1x512x8x64xf32>, tensor<512x32xf32>, tensor<512x32xf32>) outs(%e : tensor<1x512x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %rk = rope.apply ins(%k, %ck, %sk : tensor<1x512x8x64xf32>, tensor<512x32xf32>, tensor<512x32xf32>) outs(%e : tensor<1x512x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %eh = tensor.empty() : tensor<1x8x512x64xf32>
  %ek = tensor.empty() : tensor<1x8x64x512xf32>
  %hq = linalg.transpose ins(%rq : tensor<1x512x8x64xf32>) outs(%eh : tensor<1x8x512x64xf32>) permutation = [0, 2, 1, 3]
  %hk = linalg.transpose ins(%rk : tensor<1x512x8x64xf32>) outs(%ek : tensor<1x8x64x512xf32>) permutation = [0, 2, 3, 1]
  %hv = linalg.transpose ins(%v : tensor<1x512x8x64xf32>) outs(%eh : tensor<1x8x512x64xf32>) permutation = [0, 2, 1, 3]
  %fq = tensor.collapse_shape %hq [[0, 1], [2], [3]] : tensor<1x8x512x64xf32> into tensor<8x512x64xf32>
  %fk = tensor.collapse_shape %hk [[0, 1], [2], [3]] : tensor<1x8x64x512xf32> into tensor<8x64x512xf32>
  %fv = tensor.collapse_shape %hv [[0, 1], [2], [3]] : tensor<1x8x512x64xf32> into tensor<8x512x64xf32>
  %es = tensor.empty() : tensor<8x512x512xf32>
  %fs = linalg.fill ins(%zero : f32) outs(%es : tensor<8x512x512xf32>) -> tensor<8x512x512xf32>
  %product = linalg.batch_matmul ins(%fq, %fk : tensor<8x512x64xf32>, tensor<8x64x512xf32>) outs(%fs : tensor<8x512x512xf32>) -> tensor<8x512x512xf32>
  %scores = tensor.expand_shape %product [[0, 1], [2], [3]] output_shape [1, 8, 512, 512] : tensor<8x512x512xf32> into tensor<1x8x512x512xf32>
  %e4 = tensor.empty() : tensor<1x8x512x512xf32>
  %masked = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%scores : tensor<1x8x512x512xf32>) outs(%e4 : tensor<1x8x512x512xf32>) {
  ^bb0(%x: f32, %o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %scale = arith.truncf %wide : f64 to f32
    %y = arith.mulf %x, %scale : f32
    %later = arith.cmpi ugt, %j, %i : index
    %z = arith.select %later, %inf, %y : f32
    linalg.yield %z : f32
  } -> tensor<1x8x512x512xf32>
  %weights = linalg.softmax dimension(3) ins(%masked : tensor<1x8x512x512xf32>) outs(%e4 : tensor<1x8x512x512xf32>) -> tensor<1x8x512x512xf32>
  %fw = tensor.collapse_shape %weights [[0, 1], [2], [3]] : tensor<1x8x512x512xf32> into tensor<8x512x512xf32>
  %eo = tensor.empty() : tensor<8x512x64xf32>
  %fo = linalg.fill ins(%zero : f32) outs(%eo : tensor<8x512x64xf32>) -> tensor<8x512x64xf32>
  %o = linalg.batch_matmul ins(%fw, %fv : tensor<8x512x512xf32>, tensor<8x512x64xf32>) outs(%fo : tensor<8x512x64xf32>) -> tensor<8x512x64xf32>
  %r = tensor.expand_shape %o [[0, 1], [2], [3]] output_shape [1, 8, 512, 64] : tensor<8x512x64xf32> into tensor<1x8x512x64xf32>
  return %r : tensor<1x8x512x64xf32>
}

// Passes that come after a fusion say no more of its rotation.

// REMARK: Category:rope-fuse-cache-append | Function=projected | Remark="rotation left: ", Remark="it is also returned by 'func.return'"
// REMARK: Category:rope-fuse-projection | Function=projected | Remark="rotation folded into ", Remark=linalg.generic,
func.func @projected(%x: tensor<512x256xf32>, %w: tensor<256x512xf32>, %c: tensor<512x32xf32>) -> tensor<512x8x64xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<512x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  %m = linalg.matmul ins(%x, %w : tensor<512x256xf32>, tensor<256x512xf32>) outs(%f : tensor<512x512xf32>) -> tensor<512x512xf32>
  %h = tensor.expand_shape %m [[0], [1, 2]] output_shape [512, 8, 64] : tensor<512x512xf32> into tensor<512x8x64xf32>
  %i = tensor.empty() : tensor<512x8x64xf32>
  %y = rope.apply ins(%h, %c, %c : tensor<512x8x64xf32>, tensor<512x32xf32>, tensor<512x32xf32>) outs(%i : tensor<512x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<512x8x64xf32>
}

// REMARK: Category:rope-fuse-cache-append | Function=appended | Remark="rotation folded into ", Remark=tensor.insert_slice,
func.func @appended(%x: tensor<8x8x64xf32>, %c: tensor<8x32xf32>, %cache: tensor<4096x8x64xf32>, %n: index) -> tensor<4096x8x64xf32> {
  %i = tensor.empty() : tensor<8x8x64xf32>
  %y = rope.apply ins(%x, %c, %c : tensor<8x8x64xf32>, tensor<8x32xf32>, tensor<8x32xf32>) outs(%i : tensor<8x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %cache[%n, 0, 0] [8, 8, 64] [1, 1, 1] : tensor<8x8x64xf32> into tensor<4096x8x64xf32>
  return %r : tensor<4096x8x64xf32>
}

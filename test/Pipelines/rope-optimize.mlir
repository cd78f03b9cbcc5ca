// RUN: rope-opt %s --rope-optimize | FileCheck %s
// RUN: rope-opt %s --rope-optimize=key-rotation=once | FileCheck %s --check-prefix=ONCE
// RUN: rope-opt %s --rope-optimize="l2-bytes=1073741824 vector-bits=128 threads=1" | FileCheck %s --check-prefix=ONCE
// RUN: rope-opt %s --rope-optimize --rope-to-llvm | FileCheck %s --check-prefix=LLVM
// RUN: rope-opt %s --rope-optimize --remark-format=emitRemark --remarks-filter=rope-fuse.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

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

// REMARK-DAG: Remark="raised to rope.attention"
// REMARK-DAG: Remark="rotation folded into ", Remark=rope.attention, bytesSaved=2097152
// REMARK-DAG: Remark="rotation folded into ", Remark=rope.attention, bytesSaved=2097152
// REMARK-DAG: Remark="table left: each row would be made

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

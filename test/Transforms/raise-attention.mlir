// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=load | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=load --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Attention as exporters leave it. What it computes is executed in
// Integration/CPU/test_raise_attention.py.

// Dynamic batch and sequence: heads are repeated and reshaped by sizes that are
// known at run time, batches and heads are one dimension of the products, and
// the size of a result between is asked for.

// CHECK: #[[Q:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d4)>
// CHECK: #[[K:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 floordiv 2, d3, d4)>
// CHECK: #[[V:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 floordiv 2, d3, d5)>
// CHECK-LABEL: @dynamic(
// CHECK-SAME: %[[QX:[a-z0-9]+]]: tensor<?x4x?x16xf32>, %[[KX:[a-z0-9]+]]: tensor<?x2x?x16xf32>, %[[VX:[a-z0-9]+]]: tensor<?x2x?x16xf32>
// CHECK-NOT: linalg
// CHECK-NOT: tensor.reshape
// CHECK: rope.attention {indexing_maps = [#[[Q]], #[[K]], #[[V]], {{.*}}], scale = 2.500000e-01 : f64}
// CHECK-SAME: ins(%[[QX]], %[[KX]], %[[VX]] :
// CHECK-SAME: rotate_query(%arg3, %arg4 : tensor<?x?x8xf32>, tensor<?x?x8xf32>) by <pairing = half, position_dims = [0, 2]>
// CHECK-SAME: rotate_key(%arg3, %arg4 : tensor<?x?x8xf32>, tensor<?x?x8xf32>) by <pairing = half, position_dims = [0, 2]>
// CHECK-NOT: linalg
// CHECK: return
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=dynamic | Remark="raised to rope.attention"
#bij = affine_map<(b, i, j) -> (b, i, j)>
#bi1 = affine_map<(b, i, j) -> (b, i, 0)>
#bhjd = affine_map<(b, h, g, j, d) -> (b, h, j, d)>
#bhgjd = affine_map<(b, h, g, j, d) -> (b, h, g, j, d)>
func.func @dynamic(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %c: tensor<?x?x8xf32>, %s: tensor<?x?x8xf32>) -> (tensor<?x?x16xf32>, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %n4 = arith.constant 4 : i64
  %n16 = arith.constant 16 : i64
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %scale = arith.constant 0.25 : f32
  %B = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %S = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %nB = arith.index_cast %B : index to i64
  %nS = arith.index_cast %S : index to i64
  %BH = arith.muli %B, %c4 : index
  %eq = tensor.empty(%B, %S) : tensor<?x4x?x16xf32>
  %ek = tensor.empty(%B, %S) : tensor<?x2x?x16xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<?x4x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%eq : tensor<?x4x?x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 2>}
  %rk = rope.apply ins(%k, %c, %s : tensor<?x2x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%ek : tensor<?x2x?x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 2>}
  %ew = tensor.empty(%B, %S) : tensor<?x2x2x?x16xf32>
  %wk = linalg.generic {indexing_maps = [#bhjd, #bhgjd], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%rk : tensor<?x2x?x16xf32>) outs(%ew : tensor<?x2x2x?x16xf32>) {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  } -> tensor<?x2x2x?x16xf32>
  %wv = linalg.generic {indexing_maps = [#bhjd, #bhgjd], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%v : tensor<?x2x?x16xf32>) outs(%ew : tensor<?x2x2x?x16xf32>) {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  } -> tensor<?x2x2x?x16xf32>
  %shape = tensor.from_elements %nB, %n4, %nS, %n16 : tensor<4xi64>
  %fk = tensor.reshape %wk(%shape) : (tensor<?x2x2x?x16xf32>, tensor<4xi64>) -> tensor<?x4x?x16xf32>
  %fv = tensor.reshape %wv(%shape) : (tensor<?x2x2x?x16xf32>, tensor<4xi64>) -> tensor<?x4x?x16xf32>
  %et = tensor.empty(%B, %S) : tensor<?x4x16x?xf32>
  %kt = linalg.transpose ins(%fk : tensor<?x4x?x16xf32>) outs(%et : tensor<?x4x16x?xf32>) permutation = [0, 1, 3, 2]
  %q3 = tensor.collapse_shape %rq [[0, 1], [2], [3]] : tensor<?x4x?x16xf32> into tensor<?x?x16xf32>
  %k3 = tensor.collapse_shape %kt [[0, 1], [2], [3]] : tensor<?x4x16x?xf32> into tensor<?x16x?xf32>
  %v3 = tensor.collapse_shape %fv [[0, 1], [2], [3]] : tensor<?x4x?x16xf32> into tensor<?x?x16xf32>
  %es = tensor.empty(%BH, %S, %S) : tensor<?x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %p = linalg.batch_matmul ins(%q3, %k3 : tensor<?x?x16xf32>, tensor<?x16x?xf32>) outs(%zs : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %n = tensor.dim %p, %c2 : tensor<?x?x?xf32>
  %x = linalg.generic {indexing_maps = [#bij, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%p : tensor<?x?x?xf32>) outs(%es : tensor<?x?x?xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.mulf %x0, %scale : f32
    linalg.yield %y : f32
  } -> tensor<?x?x?xf32>
  %er = tensor.empty(%BH, %S) : tensor<?x?x1xf32>
  %zr = linalg.fill ins(%zero : f32) outs(%er : tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %lr = linalg.fill ins(%low : f32) outs(%er : tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %m = linalg.generic {indexing_maps = [#bij, #bi1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x : tensor<?x?x?xf32>) outs(%lr : tensor<?x?x1xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.maximumf %x0, %o : f32
    linalg.yield %y : f32
  } -> tensor<?x?x1xf32>
  %e = linalg.generic {indexing_maps = [#bij, #bi1, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x, %m : tensor<?x?x?xf32>, tensor<?x?x1xf32>) outs(%es : tensor<?x?x?xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.subf %x0, %x1 : f32
    %z = math.exp %y : f32
    linalg.yield %z : f32
  } -> tensor<?x?x?xf32>
  %t = linalg.generic {indexing_maps = [#bij, #bi1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%e : tensor<?x?x?xf32>) outs(%zr : tensor<?x?x1xf32>) {
  ^bb0(%x0: f32, %o: f32):
    %y = arith.addf %x0, %o : f32
    linalg.yield %y : f32
  } -> tensor<?x?x1xf32>
  %w = linalg.generic {indexing_maps = [#bij, #bi1, #bij], iterator_types = ["parallel", "parallel", "parallel"]} ins(%e, %t : tensor<?x?x?xf32>, tensor<?x?x1xf32>) outs(%es : tensor<?x?x?xf32>) {
  ^bb0(%x0: f32, %x1: f32, %o: f32):
    %y = arith.divf %one, %x1 : f32
    %z = arith.mulf %x0, %y : f32
    linalg.yield %z : f32
  } -> tensor<?x?x?xf32>
  %ea = tensor.empty(%BH, %S) : tensor<?x?x16xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %a = linalg.batch_matmul ins(%w, %v3 : tensor<?x?x?xf32>, tensor<?x?x16xf32>) outs(%za : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %a, %n : tensor<?x?x16xf32>, index
}

// -----

// No rotation, and a logit for each head that takes part in the
// softmax and is dropped.

// CHECK-LABEL: @sinks(
// CHECK-NOT: linalg
// CHECK: rope.attention
// CHECK-SAME: sinks(%{{.*}} : tensor<4xf32>)
// CHECK-NOT: linalg
// CHECK: return
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=sinks | Remark="raised to rope.attention"
func.func @sinks(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %sinks: tensor<4xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %es = tensor.empty() : tensor<4x8x8xf32>
  %ex = tensor.empty() : tensor<4x8x9xf32>
  %ea = tensor.empty() : tensor<4x8x16xf32>
  %el = tensor.empty() : tensor<4x8x1xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%q, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%zs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %l = linalg.generic {indexing_maps = [affine_map<(h, i, j) -> (h)>, affine_map<(h, i, j) -> (h, i, j)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%sinks : tensor<4xf32>) outs(%el : tensor<4x8x1xf32>) {
  ^bb0(%x0: f32, %o: f32):
    linalg.yield %x0 : f32
  } -> tensor<4x8x1xf32>
  %x = tensor.concat dim(2) %p, %l : (tensor<4x8x8xf32>, tensor<4x8x1xf32>) -> tensor<4x8x9xf32>
  %w = linalg.softmax dimension(2) ins(%x : tensor<4x8x9xf32>) outs(%ex : tensor<4x8x9xf32>) -> tensor<4x8x9xf32>
  %d = tensor.extract_slice %w[0, 0, 0] [4, 8, 8] [1, 1, 1] : tensor<4x8x9xf32> to tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%d, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%za : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// Sinks of two keys each are none that attention has.

// CHECK-LABEL: @two_sinks(
// CHECK-NOT: rope.attention
// CHECK: return
// REMARK-NOT: Function=two_sinks | Remark="raised
func.func @two_sinks(%q: tensor<4x8x16xf32>, %kt: tensor<4x16x8xf32>, %v: tensor<4x8x16xf32>, %l: tensor<4x8x2xf32>) -> tensor<4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %es = tensor.empty() : tensor<4x8x8xf32>
  %ex = tensor.empty() : tensor<4x8x10xf32>
  %ea = tensor.empty() : tensor<4x8x16xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %p = linalg.batch_matmul ins(%q, %kt : tensor<4x8x16xf32>, tensor<4x16x8xf32>) outs(%zs : tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %x = tensor.concat dim(2) %p, %l : (tensor<4x8x8xf32>, tensor<4x8x2xf32>) -> tensor<4x8x10xf32>
  %w = linalg.softmax dimension(2) ins(%x : tensor<4x8x10xf32>) outs(%ex : tensor<4x8x10xf32>) -> tensor<4x8x10xf32>
  %d = tensor.extract_slice %w[0, 0, 0] [4, 8, 8] [1, 1, 1] : tensor<4x8x10xf32> to tensor<4x8x8xf32>
  %a = linalg.batch_matmul ins(%d, %v : tensor<4x8x8xf32>, tensor<4x8x16xf32>) outs(%za : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %a : tensor<4x8x16xf32>
}

// -----

// Keys behind those of a cache: the rotation stays where it is.

// CHECK-LABEL: @cache(
// CHECK: rope.apply
// CHECK: tensor.concat
// CHECK: rope.attention
// REMARK: [Passed] fused | Category:rope-fuse-attention | Function=cache | Remark="raised to rope.attention"
// REMARK: [Missed] left | Category:rope-fuse-attention | Function=cache | {{.*}}'tensor.concat' stands between it and the attention
func.func @cache(%q: tensor<4x1x16xf32>, %k: tensor<4x1x16xf32>, %cache: tensor<4x?x16xf32>, %v: tensor<4x?x16xf32>, %c: tensor<1x8xf32>, %s: tensor<1x8xf32>) -> tensor<4x1x16xf32> {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %ek = tensor.empty() : tensor<4x1x16xf32>
  %rk = rope.apply ins(%k, %c, %s : tensor<4x1x16xf32>, tensor<1x8xf32>, tensor<1x8xf32>) outs(%ek : tensor<4x1x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %keys = tensor.concat dim(1) %cache, %rk : (tensor<4x?x16xf32>, tensor<4x1x16xf32>) -> tensor<4x?x16xf32>
  %n = tensor.dim %cache, %c1 : tensor<4x?x16xf32>
  %T = affine.apply affine_map<()[s0] -> (s0 + 1)>()[%n]
  %es = tensor.empty(%T) : tensor<4x1x?xf32>
  %et = tensor.empty(%T) : tensor<4x16x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<4x1x?xf32>) -> tensor<4x1x?xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ek : tensor<4x1x16xf32>) -> tensor<4x1x16xf32>
  %kt = linalg.transpose ins(%keys : tensor<4x?x16xf32>) outs(%et : tensor<4x16x?xf32>) permutation = [0, 2, 1]
  %p = linalg.batch_matmul ins(%q, %kt : tensor<4x1x16xf32>, tensor<4x16x?xf32>) outs(%zs : tensor<4x1x?xf32>) -> tensor<4x1x?xf32>
  %w = linalg.softmax dimension(2) ins(%p : tensor<4x1x?xf32>) outs(%es : tensor<4x1x?xf32>) -> tensor<4x1x?xf32>
  %a = linalg.batch_matmul ins(%w, %v : tensor<4x1x?xf32>, tensor<4x?x16xf32>) outs(%za : tensor<4x1x16xf32>) -> tensor<4x1x16xf32>
  return %a : tensor<4x1x16xf32>
}

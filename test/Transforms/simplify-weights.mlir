// RUN: rope-opt %s --split-input-file --rope-simplify | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-simplify=permute-weights=false | FileCheck %s --check-prefix=KEEP
// RUN: rope-opt %s --split-input-file --rope-simplify --remark-format=emitRemark --remarks-filter=rope-simplify -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// (simplify_7) Two heads of queries by dense weights and a bias, keys by a
// resource that is transposed.

// CHECK-LABEL: @product(
// CHECK-DAG: arith.constant dense<{{\[\[}}0.000000e+00, 2.000000e+00, 1.000000e+00, 3.000000e+00, 4.000000e+00, 6.000000e+00, 5.000000e+00, 7.000000e+00], [8.000000e+00, 1.000000e+01, 9.000000e+00, 1.100000e+01, 1.200000e+01, 1.400000e+01, 1.300000e+01, 1.500000e+01]]> : tensor<2x8xf32>
// CHECK-DAG: arith.constant dense<[1.000000e+00, 3.000000e+00, 2.000000e+00, 4.000000e+00, 5.000000e+00, 7.000000e+00, 6.000000e+00, 8.000000e+00]> : tensor<8xf32>
// CHECK-DAG: arith.constant dense_resource<[[W:.*]]> : tensor<4x2xf32>
// CHECK-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<half>, position_dims
// CHECK: [[W]]: "0x04000000000000000000004000000040000080400000803F000040400000404000004040"
// KEEP-LABEL: @product(
// KEEP-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=product | {{.*}}interleaved rotation made half-split by its weights
// REMARK-DAG: Function=product | {{.*}}interleaved rotation made half-split by its weights
#b = affine_map<(s, o) -> (o)>
#id = affine_map<(s, o) -> (s, o)>
#q = affine_map<(h, i, j, d) -> (i, h, d)>
#k = affine_map<(h, i, j, d) -> (j, d)>
#o = affine_map<(h, i, j, d) -> (h, i, j)>
func.func @product(%x: tensor<3x2xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<2x3x3xf32> {
  %zero = arith.constant 0.0 : f32
  %wq = arith.constant dense<[[0., 1., 2., 3., 4., 5., 6., 7.], [8., 9., 10., 11., 12., 13., 14., 15.]]> : tensor<2x8xf32>
  %bq = arith.constant dense<[1., 2., 3., 4., 5., 6., 7., 8.]> : tensor<8xf32>
  %wk = arith.constant dense_resource<wk> : tensor<4x2xf32>
  %e8 = tensor.empty() : tensor<3x8xf32>
  %e4 = tensor.empty() : tensor<3x4xf32>
  %i = tensor.empty() : tensor<3x2x4xf32>
  %z8 = linalg.fill ins(%zero : f32) outs(%e8 : tensor<3x8xf32>) -> tensor<3x8xf32>
  %z4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<3x4xf32>) -> tensor<3x4xf32>
  %q0 = linalg.matmul ins(%x, %wq : tensor<3x2xf32>, tensor<2x8xf32>) outs(%z8 : tensor<3x8xf32>) -> tensor<3x8xf32>
  %q1 = linalg.generic {indexing_maps = [#id, #b, #id], iterator_types = ["parallel", "parallel"]} ins(%q0, %bq : tensor<3x8xf32>, tensor<8xf32>) outs(%e8 : tensor<3x8xf32>) {
  ^bb0(%in: f32, %bias: f32, %out: f32):
    %0 = arith.addf %in, %bias : f32
    linalg.yield %0 : f32
  } -> tensor<3x8xf32>
  %q2 = tensor.expand_shape %q1 [[0], [1, 2]] output_shape [3, 2, 4] : tensor<3x8xf32> into tensor<3x2x4xf32>
  %et = tensor.empty() : tensor<2x4xf32>
  %wt = linalg.transpose ins(%wk : tensor<4x2xf32>) outs(%et : tensor<2x4xf32>) permutation = [1, 0]
  %k0 = linalg.matmul ins(%x, %wt : tensor<3x2xf32>, tensor<2x4xf32>) outs(%z4 : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q2, %c, %s : tensor<3x2x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%i : tensor<3x2x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k0, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e4 : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %es = tensor.empty() : tensor<2x3x3xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x3x3xf32>) -> tensor<2x3x3xf32>
  %r = linalg.generic {indexing_maps = [#q, #k, #o], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%rq, %rk : tensor<3x2x4xf32>, tensor<3x4xf32>) outs(%zs : tensor<2x3x3xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x3xf32>
  return %r : tensor<2x3x3xf32>
}

{-#
  dialect_resources: {
    builtin: {
      wk: "0x0400000000000000000000400000803F0000404000000040000080400000404000004040"
    }
  }
#-}

// -----

// What is written in halves needs no partner; an offset stays.

// CHECK-LABEL: @written_half(
// CHECK: arith.constant dense<{{\[\[}}0.000000e+00, 1.000000e+00, 3.000000e+00, 2.000000e+00, 4.000000e+00]]> : tensor<1x5xbf16>
// CHECK: rope.apply {{.*}} {offset = 1 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
func.func @written_half(%x: tensor<3x1xbf16>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x5xbf16> {
  %zero = arith.constant dense<0.0> : tensor<3x5xbf16>
  %w = arith.constant dense<[[0., 1., 2., 3., 4.]]> : tensor<1x5xbf16>
  %e = tensor.empty() : tensor<3x5xbf16>
  %p = linalg.matmul ins(%x, %w : tensor<3x1xbf16>, tensor<1x5xbf16>) outs(%zero : tensor<3x5xbf16>) -> tensor<3x5xbf16>
  %y = rope.apply ins(%p, %c, %s : tensor<3x5xbf16>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x5xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, offset = 1 : i64, result_pairing = #rope.pairing<half>}
  return %y : tensor<3x5xbf16>
}

// -----

// Attention, whose keys are used otherwise in the second one, have other pairs
// in the third, are not made by constants in the fourth, and are not rotated in
// the fifth.

#aq = affine_map<(b, h, i, j, d, e) -> (i, d)>
#ak = affine_map<(b, h, i, j, d, e) -> (j, d)>
#av = affine_map<(b, h, i, j, d, e) -> (j, e)>
#ao = affine_map<(b, h, i, j, d, e) -> (i, e)>

// CHECK-LABEL: @attention(
// CHECK-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<half>
// REMARK-DAG: Function=attention | {{.*}}interleaved rotation made half-split by its weights
func.func @attention(%x: tensor<3x1xf32>, %v: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %z = arith.constant dense<0.0> : tensor<3x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %w = arith.constant dense<[[0., 1., 2., 3.]]> : tensor<1x4xf32>
  %u = arith.constant dense<[[4., 5., 6., 7.]]> : tensor<1x4xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %k = linalg.matmul ins(%x, %u : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#aq, #ak, #av, #ao]} ins(%rq, %rk, %v : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>)
  return %r : tensor<3x4xf32>
}

// CHECK-LABEL: @stored(
// CHECK-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=stored | {{.*}}interleaved, and multiplied by what is not
// REMARK-DAG: Function=stored | {{.*}}interleaved, and used otherwise than by a product of queries and keys
func.func @stored(%x: tensor<3x1xf32>, %v: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  %z = arith.constant dense<0.0> : tensor<3x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %w = arith.constant dense<[[0., 1., 2., 3.]]> : tensor<1x4xf32>
  %u = arith.constant dense<[[4., 5., 6., 7.]]> : tensor<1x4xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %k = linalg.matmul ins(%x, %u : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#aq, #ak, #av, #ao]} ins(%rq, %rk, %v : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>)
  return %r, %rk : tensor<3x4xf32>, tensor<3x4xf32>
}

// CHECK-LABEL: @other_pairs(
// CHECK-COUNT-2: rope.apply {{.*}}pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=other_pairs | {{.*}}interleaved, and queries and keys have different pairs
func.func @other_pairs(%x: tensor<3x1xf32>, %v: tensor<3x5xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x5xf32> {
  %z = arith.constant dense<0.0> : tensor<3x5xf32>
  %e = tensor.empty() : tensor<3x5xf32>
  %w = arith.constant dense<[[0., 1., 2., 3., 4.]]> : tensor<1x5xf32>
  %u = arith.constant dense<[[5., 6., 7., 8., 9.]]> : tensor<1x5xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x5xf32>) outs(%z : tensor<3x5xf32>) -> tensor<3x5xf32>
  %k = linalg.matmul ins(%x, %u : tensor<3x1xf32>, tensor<1x5xf32>) outs(%z : tensor<3x5xf32>) -> tensor<3x5xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x5xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x5xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k, %c, %s : tensor<3x5xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x5xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, offset = 1 : i64}
  %r = rope.attention {indexing_maps = [#aq, #ak, #av, #ao]} ins(%rq, %rk, %v : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) outs(%e : tensor<3x5xf32>)
  return %r : tensor<3x5xf32>
}

// CHECK-LABEL: @arguments(
// CHECK-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=arguments | {{.*}}interleaved, and no constants make it
func.func @arguments(%x: tensor<3x1xf32>, %u: tensor<1x4xf32>, %v: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %z = arith.constant dense<0.0> : tensor<3x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %w = arith.constant dense<[[0., 1., 2., 3.]]> : tensor<1x4xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %k = linalg.matmul ins(%x, %u : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#aq, #ak, #av, #ao]} ins(%rq, %rk, %v : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>)
  return %r : tensor<3x4xf32>
}

// CHECK-LABEL: @one_alone(
// CHECK: rope.apply {{.*}} {pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=one_alone | {{.*}}interleaved, and multiplied by what is not
func.func @one_alone(%x: tensor<3x1xf32>, %v: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %z = arith.constant dense<0.0> : tensor<3x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %w = arith.constant dense<[[0., 1., 2., 3.]]> : tensor<1x4xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r = rope.attention {indexing_maps = [#aq, #ak, #av, #ao]} ins(%rq, %v, %v : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>)
  return %r : tensor<3x4xf32>
}

// A sum whose order matters.

#xq = affine_map<(i, j, d) -> (i, d)>
#xk = affine_map<(i, j, d) -> (j, d)>
#xs = affine_map<(i, j, d) -> (i, j)>

// CHECK-LABEL: @ordered(
// CHECK-COUNT-2: rope.apply {{.*}} {pairing = #rope.pairing<interleaved>
// REMARK-DAG: Function=ordered | {{.*}}interleaved, and used otherwise than by a product of queries and keys
func.func @ordered(%x: tensor<3x1xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x3xf32> {
  %z = arith.constant dense<0.0> : tensor<3x4xf32>
  %zs = arith.constant dense<0.0> : tensor<3x3xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %w = arith.constant dense<[[0., 1., 2., 3.]]> : tensor<1x4xf32>
  %u = arith.constant dense<[[4., 5., 6., 7.]]> : tensor<1x4xf32>
  %q = linalg.matmul ins(%x, %w : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %k = linalg.matmul ins(%x, %u : tensor<3x1xf32>, tensor<1x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %rq = rope.apply ins(%q, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %rk = rope.apply ins(%k, %c, %s : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %r = linalg.generic {indexing_maps = [#xq, #xk, #xs], iterator_types = ["parallel", "parallel", "reduction"]} ins(%rq, %rk : tensor<3x4xf32>, tensor<3x4xf32>) outs(%zs : tensor<3x3xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %p = arith.mulf %a, %b : f32
    %twice = arith.addf %sum, %sum : f32
    %next = arith.addf %twice, %p : f32
    linalg.yield %next : f32
  } -> tensor<3x3xf32>
  return %r : tensor<3x3xf32>
}

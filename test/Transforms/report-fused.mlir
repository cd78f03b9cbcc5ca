// RUN: rope-opt %s --rope-fuse-attention=key-rotation=once --rope-fuse-cache-append --rope-fuse-projection --rope-fuse-matmul --canonicalize --rope-report -o /dev/null 2>&1 | FileCheck %s

// What rotations were folded into is read from the loops that they stand in, and
// the bytes from their rounds: those of the whole array, once.

// CHECK: function line operand pairing channels variant table fused into bytes saved

func.func @append(%x: tensor<8x5x64xf16>, %c: tensor<5x32xf32>, %s: tensor<5x32xf32>, %cache: tensor<2x8x100x64xf16>) -> tensor<2x8x100x64xf16> {
  // CHECK-NEXT: {{^}}append [[#@LINE+1]] x half 64 of 64 given 1 cache append 5120{{$}}
  %y = rope.apply ins(%x, %c, %s : tensor<8x5x64xf16>, tensor<5x32xf32>, tensor<5x32xf32>) outs(%x : tensor<8x5x64xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = tensor.insert_slice %y into %cache[1, 0, 7, 0] [1, 8, 5, 64] [1, 1, 2, 1] : tensor<8x5x64xf16> into tensor<2x8x100x64xf16>
  return %r : tensor<2x8x100x64xf16>
}

// Sizes that are known at run time alone.

func.func @append_dynamic(%x: tensor<2x?x8x64xf32>, %c: tensor<?x32xf32>, %s: tensor<?x32xf32>, %cache: tensor<2x?x8x64xf32>, %pos: index) -> tensor<2x?x8x64xf32> {
  %c1 = arith.constant 1 : index
  // CHECK-NEXT: {{^}}append_dynamic [[#@LINE+1]] x half 64 of 64 given 2 cache append ?{{$}}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) outs(%x : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %n = tensor.dim %y, %c1 : tensor<2x?x8x64xf32>
  %r = tensor.insert_slice %y into %cache[0, %pos, 0, 0] [2, %n, 8, 64] [1, 1, 1, 1] : tensor<2x?x8x64xf32> into tensor<2x?x8x64xf32>
  return %r : tensor<2x?x8x64xf32>
}

func.func @projection(%x: tensor<128x256xf32>, %w: tensor<256x512xf32>, %c: tensor<128x32xf32>, %s: tensor<128x32xf32>) -> tensor<128x8x64xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<128x512xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<128x512xf32>) -> tensor<128x512xf32>
  %m = linalg.matmul ins(%x, %w : tensor<128x256xf32>, tensor<256x512xf32>) outs(%f : tensor<128x512xf32>) -> tensor<128x512xf32>
  %h = tensor.expand_shape %m [[0], [1, 2]] output_shape [128, 8, 64] : tensor<128x512xf32> into tensor<128x8x64xf32>
  %i = tensor.empty() : tensor<128x8x64xf32>
  // CHECK-NEXT: {{^}}projection [[#@LINE+1]] x half 64 of 64 given 3 projection 262144{{$}}
  %y = rope.apply ins(%h, %c, %s : tensor<128x8x64xf32>, tensor<128x32xf32>, tensor<128x32xf32>) outs(%i : tensor<128x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<128x8x64xf32>
}

// The keys are rotated once for all tiles of queries.

#q = affine_map<(b, s, t, d) -> (b, s, d)>
#k = affine_map<(b, s, t, d) -> (b, t, d)>
#r = affine_map<(b, s, t, d) -> (b, s, t)>
func.func @scores(%q: tensor<2x64x128xf32>, %k: tensor<2x32x128xf32>, %cq: tensor<64x64xf32>, %ck: tensor<32x64xf32>) -> tensor<2x64x32xf32> {
  %zero = arith.constant 0.0 : f32
  %eq = tensor.empty() : tensor<2x64x128xf32>
  %y = rope.apply ins(%q, %cq, %cq : tensor<2x64x128xf32>, tensor<64x64xf32>, tensor<64x64xf32>) outs(%eq : tensor<2x64x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %ek = tensor.empty() : tensor<2x32x128xf32>
  // CHECK-DAG: {{^}}scores [[#@LINE-2]] x half 128 of 128 given {{[0-9]}} contraction 65536{{$}}
  // CHECK-DAG: {{^}}scores [[#@LINE+1]] x half 128 of 128 given {{[0-9]}} contraction 32768{{$}}
  %z = rope.apply ins(%k, %ck, %ck : tensor<2x32x128xf32>, tensor<32x64xf32>, tensor<32x64xf32>) outs(%ek : tensor<2x32x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %e = tensor.empty() : tensor<2x64x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x64x32xf32>) -> tensor<2x64x32xf32>
  %r = linalg.batch_matmul indexing_maps = [#q, #k, #r] ins(%y, %z : tensor<2x64x128xf32>, tensor<2x32x128xf32>) outs(%f : tensor<2x64x32xf32>) -> tensor<2x64x32xf32>
  return %r : tensor<2x64x32xf32>
}

// The key, which is left as it is, reads the table of the query.

#aq = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#ak = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#av = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#ao = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @attention(%q: tensor<1x6x8x16xf32>, %k: tensor<1x6x2x16xf32>, %p: tensor<6xi64>) -> tensor<1x6x8x16xf32> {
  %w = rope.frequencies base(1.0e+04) : tensor<8xf64>
  %e = tensor.empty() : tensor<6x8xf32>
  %c, %s = rope.table ins(%p, %w : tensor<6xi64>, tensor<8xf64>) outs(%e, %e : tensor<6x8xf32>, tensor<6x8xf32>)
  %i = tensor.empty() : tensor<1x6x8x16xf32>
  %y = rope.apply ins(%q, %c, %s : tensor<1x6x8x16xf32>, tensor<6x8xf32>, tensor<6x8xf32>) outs(%i : tensor<1x6x8x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %l = tensor.empty() : tensor<1x6x2x16xf32>
  // CHECK: {{^}}attention [[#@LINE+1]] x half 16 of 16 base 10000 [[#TABLE:]] - 0{{$}}
  %z = rope.apply ins(%k, %c, %s : tensor<1x6x2x16xf32>, tensor<6x8xf32>, tensor<6x8xf32>) outs(%l : tensor<1x6x2x16xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  // CHECK-NEXT: {{^}}attention [[#@LINE+1]] query half 16 of 16 base 10000 [[#TABLE]] attention 6144{{$}}
  %o = rope.attention {scale = 0.25 : f64, indexing_maps = [#aq, #ak, #av, #ao]}
    ins(%y, %z, %k : tensor<1x6x8x16xf32>, tensor<1x6x2x16xf32>, tensor<1x6x2x16xf32>)
    outs(%i : tensor<1x6x8x16xf32>)
  return %o : tensor<1x6x8x16xf32>
}

// CHECK-NEXT: {{^}}total 7 rotations 6 tables 6 fused

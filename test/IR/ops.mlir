// RUN: rope-opt %s --verify-roundtrip | FileCheck %s
// RUN: rope-opt %s --mlir-print-op-generic | rope-opt | FileCheck %s
// RUN: rope-opt %s --emit-bytecode | rope-opt | FileCheck %s

// The examples of the operations' documentation, as they stand there.

// CHECK-LABEL: @frequencies
func.func @frequencies() {
  // CHECK: %{{.*}} = rope.frequencies base(5.000000e+05) : tensor<64xf64>
  %f = rope.frequencies base(5.0e+05) : tensor<64xf64>
  // 64 pairs turn, the ladder of frequencies is that of 256 pairs.
  // CHECK: rope.frequencies base(1.000000e+06) dimension(512) : tensor<64xf64>
  %p = rope.frequencies base(1.0e+06) dimension(512) : tensor<64xf64>
  // CHECK: rope.frequencies values(dense<[1.000000e+00, 2.500000e-01]> : tensor<2xf64>) : tensor<2xf64>
  %v = rope.frequencies values(dense<[1.0, 0.25]> : tensor<2xf64>) : tensor<2xf64>
  return
}

// CHECK-LABEL: @scale_frequencies
func.func @scale_frequencies(%length: i64) {
  // CHECK: %[[F:.*]] = rope.frequencies
  %f = rope.frequencies base(1.0e+04) : tensor<64xf64>
  // CHECK: rope.scale_frequencies %[[F]] by(#rope.linear<factor = 8.000000e+00 : f64>) : tensor<64xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<64xf64>
  // CHECK: rope.scale_frequencies %[[F]] by(#rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64>) at %{{.*}} : tensor<64xf64>
  %h = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>)
         at %length : tensor<64xf64>
  return
}

// CHECK-LABEL: @table
func.func @table(%positions: tensor<?xi64>, %f: tensor<64xf64>,
                 %c0: tensor<?x64xf32>, %s0: tensor<?x64xf32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // Default values are not printed.
  // CHECK: %{{.*}}, %{{.*}} = rope.table ins(%{{.*}}, %{{.*}} : tensor<?xi64>, tensor<64xf64>) outs(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x64xf32>){{$}}
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<64xf64>)
                          outs(%c0, %s0 : tensor<?x64xf32>, tensor<?x64xf32>)
                          {magnitude = 1.0 : f64}
  return %cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: @apply
func.func @apply(%x: tensor<1x?x32x128xbf16>, %cos: tensor<?x64xf32>,
                 %sin: tensor<?x64xf32>, %init: tensor<1x?x32x128xbf16>)
    -> tensor<1x?x32x128xbf16> {
  // CHECK: %[[Y:.*]] = rope.apply ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>) outs(%{{.*}} : tensor<1x?x32x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %y = rope.apply ins(%x, %cos, %sin : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%init : tensor<1x?x32x128xbf16>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  // CHECK: return %[[Y]]
  return %y : tensor<1x?x32x128xbf16>
}

// Every attribute with a value of its own.

// CHECK-LABEL: @all_attributes
func.func @all_attributes(%positions: tensor<3x?xi32>, %f: tensor<2xf64>,
                          %c0: tensor<?x2xf16>, %s0: tensor<?x2xf16>,
                          %x: tensor<?x8xf64>, %init: tensor<?x8xf64>)
    -> (tensor<?x8xf64>, tensor<?x8xf64>) {
  // CHECK: rope.table
  // CHECK-SAME: {axes = array<i64: 0, 2>, magnitude = 1.250000e+00 : f64, precision = #rope.precision<f32>}
  %cos, %sin = rope.table ins(%positions, %f : tensor<3x?xi32>, tensor<2xf64>)
                          outs(%c0, %s0 : tensor<?x2xf16>, tensor<?x2xf16>)
                          {axes = array<i64: 0, 2>, magnitude = 1.25 : f64,
                           precision = #rope.precision<f32>}
  // CHECK: rope.apply
  // CHECK-SAME: {offset = 1 : i64, pair_stride = 4 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x8xf64>, tensor<?x2xf16>, tensor<?x2xf16>)
                  outs(%init : tensor<?x8xf64>)
                  {offset = 1, pair_stride = 4, pairing = #rope.pairing<half>,
                   position_dims = array<i64: 0>, transpose}
  // CHECK: rope.apply
  // CHECK-SAME: {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
  %z = rope.apply ins(%x, %cos, %sin : tensor<?x8xf64>, tensor<?x2xf16>, tensor<?x2xf16>)
                  outs(%init : tensor<?x8xf64>)
                  {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>,
                   result_pairing = #rope.pairing<half>}
  return %y, %z : tensor<?x8xf64>, tensor<?x8xf64>
}

// On memrefs there are no results.

// CHECK-LABEL: @memrefs
func.func @memrefs(%positions: memref<?xindex>, %f: memref<?xf64>, %turns: memref<?xi64>,
                   %cos: memref<?x?xf32>, %sin: memref<?x?xf32>,
                   %x: memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>) {
  // CHECK: rope.table ins(%{{.*}}, %{{.*}} : memref<?xindex>, memref<?xf64>) outs(%{{.*}}, %{{.*}} : memref<?x?xf32>, memref<?x?xf32>)
  rope.table ins(%positions, %f : memref<?xindex>, memref<?xf64>)
             outs(%cos, %sin : memref<?x?xf32>, memref<?x?xf32>)
  // CHECK: rope.table ins(%{{.*}}, %{{.*}} : memref<?xindex>, memref<?xi64>)
  rope.table ins(%positions, %turns : memref<?xindex>, memref<?xi64>)
             outs(%cos, %sin : memref<?x?xf32>, memref<?x?xf32>)
  // CHECK: rope.apply ins(%[[X:.*]], %{{.*}}, %{{.*}} : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>, memref<?x?xf32>, memref<?x?xf32>) outs(%[[X]] : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>)
  rope.apply ins(%x, %cos, %sin : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>, memref<?x?xf32>, memref<?x?xf32>)
             outs(%x : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return
}

// Positions of rank zero, tables that no dimension of x follows, no pairs, no
// heads: all are valid.

// CHECK-LABEL: @edges
func.func @edges(%position: tensor<i64>, %f: tensor<2xf64>, %none: tensor<0xf64>,
                 %c: tensor<2xf32>, %c0: tensor<0xf32>, %x: tensor<5xf32>,
                 %y: tensor<0x5xf32>) {
  %cos, %sin = rope.table ins(%position, %f : tensor<i64>, tensor<2xf64>)
                          outs(%c, %c : tensor<2xf32>, tensor<2xf32>)
  %cos0, %sin0 = rope.table ins(%position, %none : tensor<i64>, tensor<0xf64>)
                            outs(%c0, %c0 : tensor<0xf32>, tensor<0xf32>)
  %0 = rope.apply ins(%x, %cos, %sin : tensor<5xf32>, tensor<2xf32>, tensor<2xf32>)
                  outs(%x : tensor<5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %1 = rope.apply ins(%x, %cos0, %sin0 : tensor<5xf32>, tensor<0xf32>, tensor<0xf32>)
                  outs(%x : tensor<5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %2 = rope.apply ins(%y, %cos, %sin : tensor<0x5xf32>, tensor<2xf32>, tensor<2xf32>)
                  outs(%y : tensor<0x5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %3 = rope.frequencies base(1.0e+04) : tensor<0xf64>
  return
}

// CHECK-LABEL: @attention
func.func @attention(%q: tensor<1x?x32x128xbf16>, %k: tensor<1x?x8x128xbf16>, %v: tensor<1x?x8x128xbf16>,
                     %cos: tensor<?x64xf32>, %sin: tensor<?x64xf32>, %init: tensor<1x?x32x128xbf16>) -> tensor<1x?x32x128xbf16> {
  // CHECK: rope.attention {causal, indexing_maps = [{{.*}}], scale = 0.088388350000000004 : f64} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<1x?x32x128xbf16>, tensor<1x?x8x128xbf16>, tensor<1x?x8x128xbf16>) rotate_query(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x64xf32>) by <pairing = half, position_dims = [1]> outs(%{{.*}} : tensor<1x?x32x128xbf16>) {
  // CHECK-NEXT: ^bb0(%{{.*}}: f32, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index):
  // CHECK: rope.yield %{{.*}} : f32
  %o = rope.attention {scale = 8.838835e-02 : f64, causal,
                       indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
         ins(%q, %k, %v : tensor<1x?x32x128xbf16>, tensor<1x?x8x128xbf16>, tensor<1x?x8x128xbf16>)
         rotate_query(%cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>)
           by <pairing = half, position_dims = [1]>
         outs(%init : tensor<1x?x32x128xbf16>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index):
    %cap = arith.constant 5.000000e+01 : f32
    %x = arith.divf %score, %cap : f32
    %y = math.tanh %x : f32
    %z = arith.mulf %y, %cap : f32
    rope.yield %z : f32
  }
  return %o : tensor<1x?x32x128xbf16>
}

// All that attention may have.

// CHECK-LABEL: @attention_of_all
func.func @attention_of_all(%q: memref<2x4x?x16xf16>, %k: memref<2x?x16xf16>, %v: memref<2x?x8xf32>, %mask: memref<2x1x?xi1>,
                            %offset: memref<2xi32>, %lengths: memref<2xindex>, %sinks: memref<4xbf16>,
                            %p: memref<2x?xi64>, %f: memref<8xf64>, %cos: memref<2x?x4xf32>, %sin: memref<2x?x4xf32>,
                            %o: memref<2x?x4x8xf32>, %sums: memref<2x4x?xf32>) {
  // CHECK: rope.attention {causal, chunk = 8 : i64, indexing_maps = [{{.*}}], window = 4 : i64} ins({{.*}}) score_operands(%{{.*}} : memref<2x1x?xi1>) query_offset(%{{.*}} : memref<2xi32>) lengths(%{{.*}} : memref<2xindex>) sinks(%{{.*}} : memref<4xbf16>)
  // CHECK-SAME: rotate_query(%{{.*}}, %{{.*}} : memref<2x?xi64>, memref<8xf64>) by <pairing = interleaved, position_dims = [0, 2], angles = <magnitude = 1.000000e+00 : f64>>
  // CHECK-SAME: rotate_key(%{{.*}}, %{{.*}} : memref<2x?x4xf32>, memref<2x?x4xf32>) by <pairing = half, position_dims = [0, 1], offset = 4, pair_stride = 6, transpose = true>
  // CHECK-SAME: outs(%{{.*}}, %{{.*}} : memref<2x?x4x8xf32>, memref<2x4x?xf32>) {
  rope.attention {causal, window = 4 : i64, chunk = 8 : i64,
                  indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>,
                                   affine_map<(b, h, i, j, d, e) -> (b, j, d)>,
                                   affine_map<(b, h, i, j, d, e) -> (b, j, e)>,
                                   affine_map<(b, h, i, j, d, e) -> (b, 0, j)>,
                                   affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>,
                                   affine_map<(b, h, i, j, d, e) -> (b, h, i)>]}
    ins(%q, %k, %v : memref<2x4x?x16xf16>, memref<2x?x16xf16>, memref<2x?x8xf32>)
    score_operands(%mask : memref<2x1x?xi1>) query_offset(%offset : memref<2xi32>)
    lengths(%lengths : memref<2xindex>) sinks(%sinks : memref<4xbf16>)
    rotate_query(%p, %f : memref<2x?xi64>, memref<8xf64>)
      by <pairing = interleaved, position_dims = [0, 2], angles = <magnitude = 1.0>>
    rotate_key(%cos, %sin : memref<2x?x4xf32>, memref<2x?x4xf32>)
      by <pairing = half, position_dims = [0, 1], offset = 4, pair_stride = 6, transpose = true>
    outs(%o, %sums : memref<2x?x4x8xf32>, memref<2x4x?xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %x: i1):
    rope.yield %score : f32
  }
  return
}

// A cache of pages of integers.

// CHECK-LABEL: @attention_of_pages
func.func @attention_of_pages(%query: tensor<?x1x32x128xf32>, %keys: tensor<?x16x8x128xi8>, %values: tensor<?x16x8x128xi8>,
                              %key_scales: tensor<?x16x8xf16>, %value_scales: tensor<?x16x8xf16>, %pages: tensor<?x?xi32>,
                              %lengths: tensor<?xi32>, %key_cos: tensor<?x64xf32>, %key_sin: tensor<?x64xf32>,
                              %empty: tensor<?x1x32x128xf32>) -> tensor<?x1x32x128xf32> {
  // CHECK: rope.attention {indexing_maps = [{{.*}}], scale = 0.088388350000000004 : f64} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<?x1x32x128xf32>, tensor<?x16x8x128xi8>, tensor<?x16x8x128xi8>) key_scales(%{{.*}} : tensor<?x16x8xf16>) value_scales(%{{.*}} : tensor<?x16x8xf16>) pages(%{{.*}} : tensor<?x?xi32>) lengths(%{{.*}} : tensor<?xi32>)
  // CHECK-SAME: rotate_key(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x64xf32>) by <pairing = half, position_dims = [1]> outs(%{{.*}} : tensor<?x1x32x128xf32>)
  %decoded = rope.attention {scale = 8.838835e-02 : f64,
                             indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                              affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, d)>,
                                              affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, e)>,
                                              affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4)>,
                                              affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4)>,
                                              affine_map<(b, h, i, j, d, e) -> (b, j floordiv 16)>,
                                              affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
               ins(%query, %keys, %values : tensor<?x1x32x128xf32>, tensor<?x16x8x128xi8>, tensor<?x16x8x128xi8>)
               key_scales(%key_scales : tensor<?x16x8xf16>) value_scales(%value_scales : tensor<?x16x8xf16>)
               pages(%pages : tensor<?x?xi32>)
               lengths(%lengths : tensor<?xi32>)
               rotate_key(%key_cos, %key_sin : tensor<?x64xf32>, tensor<?x64xf32>)
                 by <pairing = half, position_dims = [1]>
               outs(%empty : tensor<?x1x32x128xf32>)
  return %decoded : tensor<?x1x32x128xf32>
}

// CHECK-LABEL: @online_attention
func.func @online_attention(%q: tensor<8x16x64xf32>, %k: tensor<8x?x64xf32>, %v: tensor<8x?x64xf32>, %acc: tensor<8x16x64xf32>,
                            %max: tensor<8x16xf32>, %sum: tensor<8x16xf32>, %scores: tensor<8x16x?xf32>,
                            %correction: tensor<8x16xf32>) -> tensor<8x16x64xf32> {
  // CHECK: rope.online_attention {indexing_maps = [{{.*}}], scale = 1.250000e-01 : f64} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<8x?x64xf32>) outs(
  %o:5 = rope.online_attention {scale = 0.125 : f64,
                                indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, i, e)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, i, j)>,
                                                 affine_map<(b, h, i, j, d, e) -> (h, i)>]}
           ins(%q, %k, %v : tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<8x?x64xf32>)
           outs(%acc, %max, %sum, %scores, %correction
                : tensor<8x16x64xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16x?xf32>, tensor<8x16xf32>)
  return %o#0 : tensor<8x16x64xf32>
}

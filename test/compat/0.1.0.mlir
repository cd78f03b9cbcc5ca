// Everything that the dialect of release 0.1.0 has, of other dialects nothing but
// builtin. 0.1.0.mlirbc is what that release wrote of it; it is never written
// again. It loads, is valid, and says the same.
// RUN: rope-opt %s --mlir-print-op-generic -o %t.text
// RUN: rope-opt %S/0.1.0.mlirbc --mlir-print-op-generic -o %t.kept
// RUN: diff %t.text %t.kept

// Frequencies, and each rule.
%length = builtin.unrealized_conversion_cast to i64
%ladder = rope.frequencies base(1.0e+04) : tensor<4xf64>
%long_ladder = rope.frequencies base(5.0e+05) dimension(512) : tensor<4xf64>
%values = rope.frequencies values(dense<[1.0, 0.5, 0.25, 0.1]> : tensor<4xf64>) : tensor<4xf64>
%linear = rope.scale_frequencies %ladder by(#rope.linear<factor = 8.0>) : tensor<4xf64>
%ntk = rope.scale_frequencies %ladder by(#rope.ntk<factor = 4.0>) : tensor<4xf64>
%mixed = rope.scale_frequencies %ladder by(#rope.ntk<factor = 4.0, mixed_exponent = 0.625>) : tensor<4xf64>
%dynamic = rope.scale_frequencies %ladder by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>)
             at %length : tensor<4xf64>
%alpha = rope.scale_frequencies %ladder by(#rope.ntk_alpha<alpha = 1000.0>) : tensor<4xf64>
%yarn = rope.scale_frequencies %ladder by(#rope.yarn<base = 10000.0, factor = 32.0, original_max_position = 4096.0>)
          : tensor<4xf64>
%yarn_all = rope.scale_frequencies %ladder
              by(#rope.yarn<base = 150000.0, factor = 32.0, original_max_position = 4096.0,
                            beta_fast = 16.0, beta_slow = 2.0, truncate = false>) : tensor<4xf64>
%llama3 = rope.scale_frequencies %ladder
            by(#rope.llama3<factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0,
                            original_max_position = 8192.0>) : tensor<4xf64>
%longrope = rope.scale_frequencies %ladder
              by(#rope.longrope<short_factors = [1.0, 1.1, 1.2, 1.3], long_factors = [1.0, 2.0, 4.0, 32.1],
                                original_max_position = 4096.0>) at %length : tensor<4xf64>
%factors = rope.scale_frequencies %ladder by(#rope.factors<divisors = [1.0, 1.5, 4.0, 0.1]>) : tensor<4xf64>

// Tables and rotations, of tensors and of memrefs.
%p, %p_axes, %c = builtin.unrealized_conversion_cast to tensor<?xi64>, tensor<3x?xi32>, tensor<?x4xf32>
%x = builtin.unrealized_conversion_cast to tensor<?x2x16xbf16>
%cos, %sin = rope.table ins(%p, %llama3 : tensor<?xi64>, tensor<4xf64>)
                        outs(%c, %c : tensor<?x4xf32>, tensor<?x4xf32>)
%cos_all, %sin_all = rope.table ins(%p_axes, %yarn : tensor<3x?xi32>, tensor<4xf64>)
                                outs(%c, %c : tensor<?x4xf32>, tensor<?x4xf32>)
                                {magnitude = 1.25 : f64, axes = array<i64: 0, 0, 1, 2>, precision = #rope.precision<f32>}
%y = rope.apply ins(%x, %cos, %sin : tensor<?x2x16xbf16>, tensor<?x4xf32>, tensor<?x4xf32>)
                outs(%x : tensor<?x2x16xbf16>)
                {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
%z = rope.apply ins(%y, %cos, %sin : tensor<?x2x16xbf16>, tensor<?x4xf32>, tensor<?x4xf32>)
                outs(%y : tensor<?x2x16xbf16>)
                {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 2 : i64,
                 pair_stride = 6 : i64, transpose, rope.folded}
%interleaved = rope.apply ins(%z, %cos_all, %sin_all : tensor<?x2x16xbf16>, tensor<?x4xf32>, tensor<?x4xf32>)
                          outs(%z : tensor<?x2x16xbf16>)
                          {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>,
                           result_pairing = #rope.pairing<half>, offset = 8 : i64}
%turns, %p_buffer, %c_buffer, %x_buffer = builtin.unrealized_conversion_cast
  to memref<4xi64>, memref<?xindex>, memref<?x4xf32>, memref<?x16xf16, strided<[?, 1], offset: ?>>
rope.table ins(%p_buffer, %turns : memref<?xindex>, memref<4xi64>)
           outs(%c_buffer, %c_buffer : memref<?x4xf32>, memref<?x4xf32>)
           {precision = #rope.precision<exact>, rope.parallel, rope.tasks, rope.rows}
rope.apply ins(%x_buffer, %c_buffer, %c_buffer
               : memref<?x16xf16, strided<[?, 1], offset: ?>>, memref<?x4xf32>, memref<?x4xf32>)
           outs(%x_buffer : memref<?x16xf16, strided<[?, 1], offset: ?>>)
           {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, rope.streaming = 64 : i64}

// Attention: no more than it must have, everything on memrefs, and a cache of pages.
%q, %k, %v = builtin.unrealized_conversion_cast to tensor<2x?x4x16xf16>, tensor<2x?x2x16xf16>, tensor<2x?x2x8xf16>
%o = builtin.unrealized_conversion_cast to tensor<2x?x4x8xf16>
%least = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 2, d)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 2, e)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
           ins(%q, %k, %v : tensor<2x?x4x16xf16>, tensor<2x?x2x16xf16>, tensor<2x?x2x8xf16>)
           outs(%o : tensor<2x?x4x8xf16>)
%mq, %mk, %mv = builtin.unrealized_conversion_cast to memref<2x4x?x16xf16>, memref<2x?x16xf16>, memref<2x?x8xf32>
%mask, %offsets, %lengths = builtin.unrealized_conversion_cast to memref<2x1x?xi1>, memref<2xi32>, memref<2xindex>
%sinks, %positions, %frequencies = builtin.unrealized_conversion_cast to memref<4xbf16>, memref<3x2x?xi64>, memref<8xf64>
%kc = builtin.unrealized_conversion_cast to memref<2x?x4xf32>
%mo, %sums = builtin.unrealized_conversion_cast to memref<2x?x4x8xf32>, memref<2x4x?xf32>
rope.attention {causal, window = 4, chunk = 8, scale = 0.125 : f64,
                indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>,
                                 affine_map<(b, h, i, j, d, e) -> (b, j, d)>,
                                 affine_map<(b, h, i, j, d, e) -> (b, j, e)>,
                                 affine_map<(b, h, i, j, d, e) -> (b, 0, j)>,
                                 affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>,
                                 affine_map<(b, h, i, j, d, e) -> (b, h, i)>]}
  ins(%mq, %mk, %mv : memref<2x4x?x16xf16>, memref<2x?x16xf16>, memref<2x?x8xf32>)
  score_operands(%mask : memref<2x1x?xi1>)
  query_offset(%offsets : memref<2xi32>)
  lengths(%lengths : memref<2xindex>)
  sinks(%sinks : memref<4xbf16>)
  rotate_query(%positions, %frequencies : memref<3x2x?xi64>, memref<8xf64>)
    by <pairing = interleaved, position_dims = [0, 2], result_pairing = interleaved,
        angles = <magnitude = 1.25, axes = [0, 0, 0, 1, 1, 1, 2, 2], precision = f32>>
  rotate_key(%kc, %kc : memref<2x?x4xf32>, memref<2x?x4xf32>)
    by <pairing = half, position_dims = [0, 1], offset = 4, pair_stride = 6, transpose = true>
  outs(%mo, %sums : memref<2x?x4x8xf32>, memref<2x4x?xf32>) {
^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %element: i1):
  rope.yield %score : f32
}
%query, %keys = builtin.unrealized_conversion_cast to tensor<?x1x4x16xf32>, tensor<?x16x2x16xi8>
%scales, %pages = builtin.unrealized_conversion_cast to tensor<?x16x2xf16>, tensor<?x?xi32>
%key_positions = builtin.unrealized_conversion_cast to tensor<?xi64>
%key_frequencies = builtin.unrealized_conversion_cast to tensor<8xf64>
%decoded = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                            affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 2, d)>,
                                            affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 2, e)>,
                                            affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 2)>,
                                            affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 2)>,
                                            affine_map<(b, h, i, j, d, e) -> (b, j floordiv 16)>,
                                            affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
             ins(%query, %keys, %keys : tensor<?x1x4x16xf32>, tensor<?x16x2x16xi8>, tensor<?x16x2x16xi8>)
             key_scales(%scales : tensor<?x16x2xf16>) value_scales(%scales : tensor<?x16x2xf16>)
             pages(%pages : tensor<?x?xi32>)
             rotate_key(%key_positions, %key_frequencies : tensor<?xi64>, tensor<8xf64>)
               by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
             outs(%query : tensor<?x1x4x16xf32>)

// Steps of it.
%sq, %sk, %bias = builtin.unrealized_conversion_cast to tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<16x?xf32>
%max, %scores = builtin.unrealized_conversion_cast to tensor<8x16xf32>, tensor<8x16x?xf32>
%state:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i, e)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i, j)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>]}
             ins(%sq, %sk, %sk : tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<8x?x64xf32>)
             outs(%sq, %max, %max, %scores, %max
                  : tensor<8x16x64xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16x?xf32>, tensor<8x16xf32>)
%further:5 = rope.online_attention {scale = 0.125 : f64, unmasked,
                                    indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                                     affine_map<(b, h, i, j, d, e) -> (i, j)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, i, e)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, i, j)>,
                                                     affine_map<(b, h, i, j, d, e) -> (h, i)>]}
               ins(%sq, %sk, %sk : tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<8x?x64xf32>)
               score_operands(%bias : tensor<16x?xf32>)
               outs(%state#0, %state#1, %state#2, %state#3, %state#4
                    : tensor<8x16x64xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16x?xf32>, tensor<8x16xf32>) {
^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %element: f32):
  rope.yield %element : f32
}
%sq_buffer, %sk_buffer = builtin.unrealized_conversion_cast to memref<8x16x64xf16>, memref<8x?x64xf16>
%acc_buffer, %max_buffer, %sum_buffer, %scores_buffer, %correction_buffer = builtin.unrealized_conversion_cast
  to memref<8x16x64xf32>, memref<8x16xf32>, memref<8x16xf32>, memref<8x16x?xf32>, memref<8x16xf32>
rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i, j)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i)>]}
  ins(%sq_buffer, %sk_buffer, %sk_buffer : memref<8x16x64xf16>, memref<8x?x64xf16>, memref<8x?x64xf16>)
  outs(%acc_buffer, %max_buffer, %sum_buffer, %scores_buffer, %correction_buffer
       : memref<8x16x64xf32>, memref<8x16xf32>, memref<8x16xf32>, memref<8x16x?xf32>, memref<8x16xf32>)

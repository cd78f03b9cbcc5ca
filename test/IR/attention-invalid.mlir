// RUN: rope-opt %s --split-input-file --verify-diagnostics

func.func @attention_c1_mixed(%q: memref<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c1) expected operands to be all tensors or all memrefs, but got both}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : memref<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_integers(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c2) expected elements of f16, bf16, f32 or f64, but got 'tensor<6x8xi8>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_sinks(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<1xi32>) {
  // expected-error @below {{(attention_c2) expected elements of f16, bf16, f32 or f64, but got 'tensor<1xi32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) sinks(%s : tensor<1xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c3_missing_map(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c3) expected 4 indexing maps, one for each operand that is indexed, but got 3}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c3_rank(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c3) expected a map of six loops to 2 dimensions for 'tensor<6x8xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c3_loops(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c3) expected a map of six loops to 2 dimensions}}
  %r = rope.attention {indexing_maps = [affine_map<(i, d) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_no_channel(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the query to have i, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d2, d1): d is missing}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, h)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_twice(%q: tensor<4x8xf32>, %k: tensor<8x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the key to have j, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d4, d4): d stands twice}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (d, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<8x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_other_loop(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<4x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the value to have j, e, and to have at most b, h besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<4x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_sum(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the key to have j, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d3 + d4, d4): 'd3 + d4' is none of them}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j + d, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_group_of_query(%q: tensor<2x4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the query to have i, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2, d2, d4): 'd1 floordiv 2' is no loop}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h floordiv 2, i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<2x4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_group_of_zero(%q: tensor<4x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the key to have j, d, and to have at most b, h besides, each once}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (h floordiv -1, j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<2x6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_channels_in_mask(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %m: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the score operand to have at most b, h, i, j besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) score_operands(%m : tensor<4x8xf32>)
    outs(%o : tensor<4x8xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index, %x: f32):
    rope.yield %s : f32
  }
  return
}

// -----

func.func @attention_c5_heads_reduced(%q: tensor<3x4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c5) expected the map of the destination to have i, e, h}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<3x4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c5_sums(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %l: tensor<6xf32>) {
  // expected-error @below {{(attention_c5) expected the map of the sums to have i}}
  %r:2 = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (j)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o, %l : tensor<4x8xf32>, tensor<6xf32>)
  return
}

// -----

func.func @attention_c6_keys(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c6) expected size 5 of loop j in dimension 0 of 'tensor<6x8xf32>', but got 6}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<5x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c6_groups(%q: tensor<5x4x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<5x4x8xf32>) {
  // expected-error @below {{(attention_c6) expected size 5 of loop h in dimension 0 of 'tensor<2x6x8xf32>' times groups of 2, but got 2 x 2}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>, affine_map<(b, h, i, j, d, e) -> (h floordiv 2, j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (h, i, e)>]}
    ins(%q, %k, %v : tensor<5x4x8xf32>, tensor<2x6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<5x4x8xf32>)
  return
}

// -----

func.func @attention_c6_broadcast(%q: tensor<4x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c6) expected size 1 of dimension 0 of 'tensor<2x6x8xf32>', whose map has 0 there}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (0, j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<2x6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c6_no_channels(%q: tensor<4x0xf32>, %k: tensor<6x0xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c6) expected loop d to have a size greater than zero, but got 0}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x0xf32>, tensor<6x0xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c7_no_destination(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>) {
  // expected-error @below {{(attention_c7) expected one or two destinations, but got 0}}
  "rope.attention"(%q, %k, %k) <{indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>], operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}> ({}) : (tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) -> ()
  return
}

// -----

func.func @attention_c8_window(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c8) expected 'causal' beside 'window'}}
  %r = rope.attention {window = 4 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c8_no_window(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c8) expected 'window' and 'chunk' to be greater than zero, but got 0}}
  %r = rope.attention {causal, window = 0 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c8_chunk(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c8) expected 'window' and 'chunk' to be greater than zero, but got -1}}
  %r = rope.attention {chunk = -1 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c8_scale(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c8) expected 'scale' to be finite, but got 0x7FF0000000000000}}
  %r = rope.attention {scale = 0x7FF0000000000000 : f64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c9_offsets(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %p: tensor<2xi64>) {
  // expected-error @below {{(attention_c9) expected 'query_offset' of 1 integers, one for each batch, but got 'tensor<2xi64>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) query_offset(%p : tensor<2xi64>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c9_lengths(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %p: tensor<1xf32>) {
  // expected-error @below {{(attention_c9) expected 'lengths' of 1 integers, one for each batch, but got 'tensor<1xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) lengths(%p : tensor<1xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c9_sinks(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %p: tensor<2xf32>) {
  // expected-error @below {{(attention_c9) expected 'sinks' of 1 floats, one for each head, but got 'tensor<2xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) sinks(%p : tensor<2xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c10_arguments(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c10) expected a region with arguments of types ['f32', 'index', 'index', 'index', 'index'], but got ['f64', 'index', 'index', 'index', 'index']}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>) {
  ^bb0(%s: f64, %b: index, %h: index, %i: index, %j: index):
    rope.yield %s : f64
  }
  return
}

// -----

func.func @attention_c10_yield(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c10) expected the region to yield a score of type 'f32'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = arith.extf %s : f32 to f64
    rope.yield %x : f64
  }
  return
}

// -----

func.func @attention_c10_side_effect(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %t: tensor<4xf32>) {
  // expected-error @below {{(attention_c10) expected a region of scalar operations without side effects, but got 'tensor.extract'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = tensor.extract %t[%i] : tensor<4xf32>
    rope.yield %x : f32
  }
  return
}

// -----

func.func @attention_c10_no_region(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %m: tensor<4x6xf32>) {
  // expected-error @below {{(attention_c10) expected a region, which the score operands enter}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) score_operands(%m : tensor<4x6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_head_not_last(%q: tensor<8x4xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %c: tensor<4x4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the query: expected the head dimension last}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (d, i)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<8x4xf32>, tensor<6x8xf32>, tensor<6x8xf32>) rotate_query(%c, %c : tensor<4x4xf32>, tensor<4x4xf32>) by <pairing = half, position_dims = [0]>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_position_dims(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %c: tensor<4x4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the query: (apply_c5) expected 'position_dims' to be distinct dimensions of 'x' before its last, but got [1] for rank 2}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) rotate_query(%c, %c : tensor<4x4xf32>, tensor<4x4xf32>) by <pairing = half, position_dims = [1]>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_one_operand(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %c: tensor<6x4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the key: expected two operands, but got 1}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) rotate_key(%c : tensor<6x4xf32>) by <pairing = half, position_dims = [0]>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_table(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %c: tensor<5x4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the key: (apply_c6) expected size 6 of dimension 0 of 'x' in dimension 0 of the tables, but got 5}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) rotate_key(%c, %c : tensor<5x4xf32>, tensor<5x4xf32>) by <pairing = half, position_dims = [0]>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_angles(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %p: tensor<6xi64>, %f: tensor<4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the key: (table_c3) expected 'frequencies' to be one-dimensional, of f64 or i64, but got 'tensor<4xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) rotate_key(%p, %f : tensor<6xi64>, tensor<4xf32>) by <pairing = half, position_dims = [0], angles = <magnitude = 1.0>>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c12_sizes(%q: tensor<4x8xf32>, %k: tensor<4611686018427387904x8xf32>, %v: tensor<4611686018427387904x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c12) expected at most 2^63 - 1 bytes, but got 'tensor<4611686018427387904x8xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<4611686018427387904x8xf32>, tensor<4611686018427387904x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c13_in_place(%q: memref<4x8xf32>, %k: memref<6x8xf32>) {
  // expected-error @below {{(attention_c13) expected a destination that is no other operand, but operand 3 is operand 0}}
  rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %k : memref<4x8xf32>, memref<6x8xf32>, memref<6x8xf32>) outs(%q : memref<4x8xf32>)
  return
}

// -----

func.func @online_attention_c1_mixed(%q: memref<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c1) expected operands to be all tensors or all memrefs}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : memref<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c2_state(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xbf16>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c2) expected destinations of 'f32', but got 'tensor<4x8xbf16>'}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xbf16>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c2_query(%q: tensor<4x8xi32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c2) expected elements of f16, bf16, f32 or f64, but got 'tensor<4x8xi32>'}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xi32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c3_maps(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c3) expected 8 indexing maps, one for each operand that is indexed, but got 7}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c4_key(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c4) expected the map of the key to have j, d}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c5_scores(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x8xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c5) expected the map of the scores to have i, j}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x8xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c6_rows(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<5xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c6) expected size 4 of loop i in dimension 0 of 'tensor<5xf32>', but got 5}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<5xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c7_scale(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c7) expected 'scale' to be finite}}
  %r:5 = rope.online_attention {scale = 0x7FF8000000000000 : f64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c8_region(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c8) expected a region with arguments of types}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>) {
  ^bb0(%s: f32):
    rope.yield %s : f32
  }
  return
}

// -----

func.func @online_attention_c9_sizes(%q: tensor<4x8xf32>, %k: tensor<4611686018427387904x8xf32>, %v: tensor<4611686018427387904x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<?x?xf32>, %correction: tensor<4xf32>) {
  // expected-error @below {{(online_attention_c9) expected at most 2^63 - 1 bytes}}
  %r:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<4611686018427387904x8xf32>, tensor<4611686018427387904x8xf32>)
    outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<?x?xf32>, tensor<4xf32>)
  return
}

// -----

func.func @online_attention_c10_twice(%q: memref<4x8xf32>, %k: memref<6x8xf32>, %v: memref<6x8xf32>, %acc: memref<4x8xf32>, %max: memref<4xf32>, %scores: memref<4x6xf32>, %correction: memref<4xf32>) {
  // expected-error @below {{(online_attention_c10) expected a destination that is no other operand, but operand 4 is operand 5}}
  rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
    ins(%q, %k, %v : memref<4x8xf32>, memref<6x8xf32>, memref<6x8xf32>)
    outs(%acc, %max, %max, %scores, %correction : memref<4x8xf32>, memref<4xf32>, memref<4xf32>, memref<4x6xf32>, memref<4xf32>)
  return
}

// -----

func.func @attention_c2_floats_with_scales(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<6xf32>) {
  // expected-error @below {{(attention_c2) expected elements of i8, which have scales, but got 'tensor<6x8xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) key_scales(%s : tensor<6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_unsigned(%q: tensor<4x8xf32>, %k: tensor<6x8xui8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<6xf32>) {
  // expected-error @below {{(attention_c2) expected elements of i8, which have scales, but got 'tensor<6x8xui8>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xui8>, tensor<6x8xf32>) key_scales(%s : tensor<6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_value(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xi8>, %o: tensor<4x8xf32>, %s: tensor<6xf32>) {
  // expected-error @below {{(attention_c2) expected elements of f16, bf16, f32 or f64, but got 'tensor<6x8xi8>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xi8>) key_scales(%s : tensor<6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_integer_scales(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<6xi8>) {
  // expected-error @below {{(attention_c2) expected elements of f16, bf16, f32 or f64, but got 'tensor<6xi8>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<6xi8>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_remainder(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the key to have j, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d3, d4 mod 8): 'd4 mod 8' is none of them}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d mod 8)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c4_group_of_keys(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{(attention_c4) expected the map of the key to have j, d, and to have at most b, h besides, each once, but got (d0, d1, d2, d3, d4, d5) -> (d3 floordiv 2, d4): 'd3 floordiv 2' is none of them}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>) 
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c6_scales(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<5xf32>) {
  // expected-error @below {{(attention_c6) expected size 5 of loop j in dimension 0 of 'tensor<6x8xf32>', but got 6}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<5xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c6_groups_of_scales(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<3xf32>) {
  // expected-error @below {{(attention_c6) expected size 12 of loop d in dimension 1 of 'tensor<6x8xi8>', but got 8}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (d floordiv 4)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<3xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c6_places(%q: tensor<4x8xf32>, %k: tensor<5x3x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c6) expected size 2 of dimension 1 of 'tensor<5x3x8xf32>', whose map has j mod 2 there}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x3x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c11_places(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>, %c: tensor<2x4xf32>) {
  // expected-error @below {{(attention_c11) expected a valid rotation of the key: (apply_c6) expected size 6 of dimension 1 of 'x' in dimension 0 of the tables, but got 2}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    rotate_key(%c, %c : tensor<2x4xf32>, tensor<2x4xf32>) by <pairing = half, position_dims = [1]>
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c14_other_loop(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<1x6xf32>) {
  // expected-error @below {{(attention_c14) expected the map of scales to have loops of their key or value, each once, but got (d0, d1, d2, d3, d4, d5) -> (d0, d3) for (d0, d1, d2, d3, d4, d5) -> (d3, d4)}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (b, j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<1x6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c14_twice(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<6x6xf32>) {
  // expected-error @below {{(attention_c14) expected the map of scales to have loops of their key or value, each once, but got (d0, d1, d2, d3, d4, d5) -> (d3, d3) for (d0, d1, d2, d3, d4, d5) -> (d3, d4)}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j, j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<6x6xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c14_query(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{(attention_c14) expected the map of scales to have loops of their key or value, each once, but got (d0, d1, d2, d3, d4, d5) -> (d2) for (d0, d1, d2, d3, d4, d5) -> (d3, d4)}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<4xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c14_remainder(%q: tensor<4x8xf32>, %k: tensor<6x8xi8>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<2xf32>) {
  // expected-error @below {{(attention_c14) expected the map of scales to have loops of their key or value, each once, but got (d0, d1, d2, d3, d4, d5) -> (d3 mod 2) for (d0, d1, d2, d3, d4, d5) -> (d3, d4)}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j mod 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xi8>, tensor<6x8xf32>) key_scales(%s : tensor<2xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c14_heads(%q: tensor<8x4x8xf32>, %k: tensor<2x6x8xi8>, %v: tensor<2x6x8xf32>, %o: tensor<8x4x8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{(attention_c14) expected the map of scales to have loops of their key or value, each once, but got (d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2) for (d0, d1, d2, d3, d4, d5) -> (d1 floordiv 4, d3, d4): heads are in groups of 4}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>, affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, d)>, affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, e)>, affine_map<(b, h, i, j, d, e) -> (h floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (h, i, e)>]}
    ins(%q, %k, %v : tensor<8x4x8xf32>, tensor<2x6x8xi8>, tensor<2x6x8xf32>) key_scales(%s : tensor<4xf32>)
    outs(%o : tensor<8x4x8xf32>)
  return
}

// -----

func.func @attention_c15_floats(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xf32>) {
  // expected-error @below {{(attention_c15) expected 'pages' of integers, but got 'tensor<3xf32>'}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xf32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_no_key(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<1xi32>) {
  // expected-error @below {{(attention_c15) expected the map of 'pages' to have j floordiv P and at most b besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (b)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<1xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_remainder(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<2xi32>) {
  // expected-error @below {{(attention_c15) expected the map of 'pages' to have j floordiv P and at most b besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j mod 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<2xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_head(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<1x3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of 'pages' to have j floordiv P and at most b besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (h, j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<1x3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_batch_twice(%q: tensor<4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<1x1x3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of 'pages' to have j floordiv P and at most b besides}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (b, b, j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<1x1x3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_whole_keys(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of key and value to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_no_places(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of key and value to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_other_pages(%q: tensor<4x8xf32>, %k: tensor<5x3x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of key and value to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 3, j mod 3, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x3x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_places_twice(%q: tensor<4x8xf32>, %k: tensor<5x2x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of key and value to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_of_batch(%q: tensor<4x8xf32>, %k: tensor<1x5x2x8xf32>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>) {
  // expected-error @below {{(attention_c15) expected the map of key and value to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (b, j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<1x5x2x8xf32>, tensor<5x2x8xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_scales(%q: tensor<4x8xf32>, %k: tensor<5x2x8xi8>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>, %s: tensor<6xf32>) {
  // expected-error @below {{(attention_c15) expected the map of scales to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xi8>, tensor<5x2x8xf32>) key_scales(%s : tensor<6xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c15_places_of_scales(%q: tensor<4x8xf32>, %k: tensor<5x2x8xi8>, %v: tensor<5x2x8xf32>, %o: tensor<4x8xf32>, %p: tensor<3xi32>, %s: tensor<2xf32>) {
  // expected-error @below {{(attention_c15) expected the map of scales to have j floordiv 2 and j mod 2 in place of j, and not b, but got}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j mod 2)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %v : tensor<4x8xf32>, tensor<5x2x8xi8>, tensor<5x2x8xf32>) key_scales(%s : tensor<2xf32>) pages(%p : tensor<3xi32>)
    outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c2_score_operands(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<4x8xf32>, %s: tensor<6xcomplex<f32>>) {
  // expected-error @below {{(attention_c2) expected score operands of integers, indices or floats, but got 'tensor<6xcomplex<f32>>'}}
  %0 = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
         ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
         score_operands(%s : tensor<6xcomplex<f32>>)
         outs(%o : tensor<4x8xf32>)
  return
}

// -----

func.func @attention_c9_complex_lengths(%q: tensor<2x4x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>, %o: tensor<2x4x8xf32>, %l: tensor<2xcomplex<f32>>) {
  // expected-error @below {{(attention_c9) expected 'lengths' of 2 integers, one for each batch, but got 'tensor<2xcomplex<f32>>'}}
  %0 = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, e)>]}
         ins(%q, %k, %v : tensor<2x4x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>)
         lengths(%l : tensor<2xcomplex<f32>>)
         outs(%o : tensor<2x4x8xf32>)
  return
}

// -----

func.func @online_attention_c2_score_operands(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %acc: tensor<4x8xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>, %scores: tensor<4x6xf32>, %correction: tensor<4xf32>, %s: tensor<6xcomplex<f32>>) {
  // expected-error @below {{(online_attention_c2) expected score operands of integers, indices or floats, but got 'tensor<6xcomplex<f32>>'}}
  %0:5 = rope.online_attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>, affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (j)>, affine_map<(b, h, i, j, d, e) -> (i, e)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (i)>]}
         ins(%q, %k, %v : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
         score_operands(%s : tensor<6xcomplex<f32>>)
         outs(%acc, %max, %sum, %scores, %correction : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x6xf32>, tensor<4xf32>)
  return
}

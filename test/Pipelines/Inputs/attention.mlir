
func.func @f32(%q: tensor<?x?x8x64xf32>, %k: tensor<?x?x2x64xf32>, %v: tensor<?x?x2x64xf32>, %sinks: tensor<8xf32>, %pq: tensor<?xi64>, %pk: tensor<?xi64>) -> (tensor<?x?x8x64xf32>) {
  %f = rope.frequencies base(1.0e+04) : tensor<32xf64>
  %c00 = arith.constant 0 : index
    %dim00 = tensor.dim %q, %c00 : tensor<?x?x8x64xf32>
    %c01 = arith.constant 1 : index
    %dim01 = tensor.dim %q, %c01 : tensor<?x?x8x64xf32>
    %init0 = tensor.empty(%dim00, %dim01) : tensor<?x?x8x64xf32>
  %r = rope.attention {scale = 0.17677669529663687 : f64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>], causal, window = 100 : i64}
    ins(%q, %k, %v : tensor<?x?x8x64xf32>, tensor<?x?x2x64xf32>, tensor<?x?x2x64xf32>)
    sinks(%sinks : tensor<8xf32>)
    rotate_query(%pq, %f : tensor<?xi64>, tensor<32xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    rotate_key(%pk, %f : tensor<?xi64>, tensor<32xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    outs(%init0 : tensor<?x?x8x64xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index):
    %cap = arith.constant 30.0 : f32
    %t0 = arith.divf %score, %cap : f32
    %t1 = math.tanh %t0 : f32
    %t2 = arith.mulf %t1, %cap : f32
    rope.yield %t2 : f32
  }
  return %r : tensor<?x?x8x64xf32>
}


func.func @bf16(%q: tensor<?x?x8x64xbf16>, %k: tensor<?x?x2x64xbf16>, %v: tensor<?x?x2x64xbf16>, %sinks: tensor<8xf32>, %cq: tensor<?x32xf32>, %sq: tensor<?x32xf32>, %ck: tensor<?x32xf32>, %sk: tensor<?x32xf32>) -> (tensor<?x?x8x64xbf16>) {
  
  %c00 = arith.constant 0 : index
    %dim00 = tensor.dim %q, %c00 : tensor<?x?x8x64xbf16>
    %c01 = arith.constant 1 : index
    %dim01 = tensor.dim %q, %c01 : tensor<?x?x8x64xbf16>
    %init0 = tensor.empty(%dim00, %dim01) : tensor<?x?x8x64xbf16>
  %r = rope.attention {scale = 0.17677669529663687 : f64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>], causal, window = 100 : i64}
    ins(%q, %k, %v : tensor<?x?x8x64xbf16>, tensor<?x?x2x64xbf16>, tensor<?x?x2x64xbf16>)
    sinks(%sinks : tensor<8xf32>)
    rotate_query(%cq, %sq : tensor<?x32xf32>, tensor<?x32xf32>) by <pairing = half, position_dims = [1]>
    rotate_key(%ck, %sk : tensor<?x32xf32>, tensor<?x32xf32>) by <pairing = half, position_dims = [1]>
    outs(%init0 : tensor<?x?x8x64xbf16>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index):
    %cap = arith.constant 30.0 : f32
    %t0 = arith.divf %score, %cap : f32
    %t1 = math.tanh %t0 : f32
    %t2 = arith.mulf %t1, %cap : f32
    rope.yield %t2 : f32
  }
  return %r : tensor<?x?x8x64xbf16>
}


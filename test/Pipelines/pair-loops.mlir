// REQUIRES: x86-registered-target
// RUN: %python %S/Inputs/pair_loops.py %s %t
// RUN: rope-compile %s -O0 --target-triple=x86_64-unknown-linux-gnu --target-cpu=sapphirerapids -o %t.O0.s
// RUN: FileCheck %s < %t.O0.s
// CHECK: tdpbf16ps

func.func @causal(%q: tensor<1x?x32x128xbf16>, %k: tensor<1x?x8x128xbf16>, %v: tensor<1x?x8x128xbf16>,
                  %cos: tensor<?x64xf32>, %sin: tensor<?x64xf32>) -> tensor<1x?x32x128xbf16> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c1 : tensor<1x?x32x128xbf16>
  %e = tensor.empty(%n) : tensor<1x?x32x128xbf16>
  %o = rope.attention {causal, scale = 0.088 : f64,
                       indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
    ins(%q, %k, %v : tensor<1x?x32x128xbf16>, tensor<1x?x8x128xbf16>, tensor<1x?x8x128xbf16>)
    rotate_query(%cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>) by <pairing = half, position_dims = [1]>
    rotate_key(%cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>) by <pairing = half, position_dims = [1]>
    outs(%e : tensor<1x?x32x128xbf16>)
  return %o : tensor<1x?x32x128xbf16>
}

// A table and a rotation, as an imported model has them.

func.func @rope_table(%positions: tensor<?xi64>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %c0 = arith.constant 0 : index
  %s = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(1.0e+04) : tensor<32xf64>
  %init = tensor.empty(%s) : tensor<?x32xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<32xf64>)
                          outs(%init, %init : tensor<?x32xf32>, tensor<?x32xf32>)
  return %cos, %sin : tensor<?x32xf32>, tensor<?x32xf32>
}

func.func @rope_apply(%x: tensor<?x?x2x64xf32>, %positions: tensor<?x?xi64>) -> tensor<?x?x2x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x2x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x2x64xf32>
  %f = rope.frequencies base(1.0e+04) : tensor<32xf64>
  %init = tensor.empty(%b, %s) : tensor<?x?x32xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?x?xi64>, tensor<32xf64>)
                          outs(%init, %init : tensor<?x?x32xf32>, tensor<?x?x32xf32>)
  %out = tensor.empty(%b, %s) : tensor<?x?x2x64xf32>
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x?x2x64xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>)
                  outs(%out : tensor<?x?x2x64xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}
  return %y : tensor<?x?x2x64xf32>
}

// Rotates rows of four heads by their positions.
func.func @rotate(%x: tensor<?x4x8xf32>, %positions: tensor<?xi64>) -> tensor<?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4x8xf32>
  %w = rope.frequencies base(1.0e4) : tensor<4xf64>
  %table = tensor.empty(%n) : tensor<?x4xf32>
  %cos, %sin = rope.table ins(%positions, %w : tensor<?xi64>, tensor<4xf64>)
                          outs(%table, %table : tensor<?x4xf32>, tensor<?x4xf32>)
  %init = tensor.empty(%n) : tensor<?x4x8xf32>
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x4x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<?x4x8xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x4x8xf32>
}

func.func @many(%w: tensor<128xf64>) {
  %g = rope.scale_frequencies %w by(#foreign.golden) : tensor<128xf64>
  return
}

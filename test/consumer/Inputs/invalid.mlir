func.func @stretch(%w: tensor<32xf64>) -> tensor<32xf64> {
  %y = rope.scale_frequencies %w by(#nano.stretch<factor = 4.0, first = 33>) : tensor<32xf64>
  return %y : tensor<32xf64>
}

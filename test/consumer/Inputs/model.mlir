// Keys of eight heads: rotated, rotated into a cache, and looked at first.

func.func @rotate(%x: tensor<?x8x64xf32>, %positions: tensor<?xi64>) -> tensor<?x8x64xf32> {
  %y = nano.rotate %x at %positions base(1.0e4) scaled by(#nano.stretch<factor = 4.0, first = 20>)
       : tensor<?x8x64xf32>, tensor<?xi64>
  return %y : tensor<?x8x64xf32>
}

// CHECK-LABEL: @store(
// CHECK: rope.scale_frequencies %{{.*}} by(#nano.stretch<factor = 4.000000e+00 : f64, first = 20>)
// CHECK: scf.for
// CHECK: rope.apply
// CHECK-SAME: tensor<1x8x64xf32>
// CHECK: tensor.insert_slice
// CHECK: return
func.func @store(%x: tensor<?x8x64xf32>, %positions: tensor<?xi64>, %cache: tensor<?x8x64xf32>, %place: index) -> tensor<?x8x64xf32> {
  %y = nano.rotate %x at %positions base(1.0e4) scaled by(#nano.stretch<factor = 4.0, first = 20>)
       : tensor<?x8x64xf32>, tensor<?xi64>
  %new = nano.store %y in %cache from %place : tensor<?x8x64xf32>, tensor<?x8x64xf32>
  return %new : tensor<?x8x64xf32>
}

// CHECK-LABEL: @store_whole(
// CHECK-NOT: scf.for
// CHECK: rope.apply
// CHECK-SAME: tensor<?x8x64xf32>
// CHECK: tensor.insert_slice
// CHECK: return
func.func @store_whole(%x: tensor<?x8x64xf32>, %positions: tensor<?xi64>, %cache: tensor<?x8x64xf32>, %place: index) -> tensor<?x8x64xf32> {
  %y = nano.rotate %x at %positions base(1.0e4) : tensor<?x8x64xf32>, tensor<?xi64>
  %new = nano.store %y in %cache from %place whole : tensor<?x8x64xf32>, tensor<?x8x64xf32>
  return %new : tensor<?x8x64xf32>
}

// Frequencies that are known only at run time.
func.func @stretch(%w: tensor<32xf64>) -> tensor<32xf64> {
  %y = rope.scale_frequencies %w by(#nano.stretch<factor = 4.0, first = 20>) : tensor<32xf64>
  return %y : tensor<32xf64>
}

// REMARK: [Missed]
// REMARK-SAME: nano.store wants it whole

// RUN: rope-opt %s --split-input-file --verify-diagnostics

// One function for each rule, or way to break it, named after the rule's label.

func.func @frequencies_c1_neither() {
  // expected-error @below {{'rope.frequencies' op (frequencies_c1) expected either 'base' or 'values', but got neither}}
  %f = rope.frequencies : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c1_both() {
  // expected-error @below {{(frequencies_c1) expected either 'base' or 'values', but got both}}
  %f = rope.frequencies base(2.0) values(dense<1.0> : tensor<2xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c2_zero() {
  // expected-error @below {{(frequencies_c2) expected 'base' to be finite and greater than zero, but got 0.000000e+00 : f64}}
  %f = rope.frequencies base(0.0) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c2_negative() {
  // expected-error @below {{(frequencies_c2) expected 'base' to be finite and greater than zero, but got -1.000000e+00 : f64}}
  %f = rope.frequencies base(-1.0) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c2_infinite() {
  // expected-error @below {{(frequencies_c2) expected 'base' to be finite and greater than zero, but got 0x7FF0000000000000 : f64}}
  %f = rope.frequencies base(0x7FF0000000000000) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c2_nan() {
  // expected-error @below {{(frequencies_c2) expected 'base' to be finite and greater than zero, but got 0x7FF8000000000000 : f64}}
  %f = rope.frequencies base(0x7FF8000000000000) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c3_shape() {
  // expected-error @below {{(frequencies_c3) expected 'values' of type 'tensor<2xf64>', but got 'tensor<3xf64>'}}
  %f = rope.frequencies values(dense<1.0> : tensor<3xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c3_element() {
  // expected-error @below {{(frequencies_c3) expected 'values' of type 'tensor<2xf64>', but got 'tensor<2xf32>'}}
  %f = rope.frequencies values(dense<1.0> : tensor<2xf32>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c3_resource() {
  // expected-error @below {{(frequencies_c3) expected 'values' to hold readable f64 numbers}}
  %f = rope.frequencies values(dense_resource<missing> : tensor<2xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c4_infinite() {
  // expected-error @below {{(frequencies_c4) expected 'values' to be finite and less than 2^20 in magnitude, but got }}
  %f = rope.frequencies values(dense<[1.0, 0x7FF0000000000000]> : tensor<2xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c4_large() {
  // expected-error @below {{(frequencies_c4) expected 'values' to be finite and less than 2^20 in magnitude, but got -1.048576e+06}}
  %f = rope.frequencies values(dense<[1.0, -1048576.0]> : tensor<2xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c5_zero() {
  // expected-error @below {{(frequencies_c5) expected 'dimension' to come with 'base' and be greater than zero, but got 0}}
  %f = rope.frequencies base(2.0) dimension(0) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c5_negative() {
  // expected-error @below {{(frequencies_c5) expected 'dimension' to come with 'base' and be greater than zero, but got -4}}
  %f = rope.frequencies base(2.0) dimension(-4) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c5_without_base() {
  // expected-error @below {{(frequencies_c5) expected 'dimension' to come with 'base' and be greater than zero, but got 4}}
  %f = rope.frequencies dimension(4) values(dense<1.0> : tensor<2xf64>) : tensor<2xf64>
  return
}

// -----

func.func @frequencies_c6_many() {
  // expected-error @below {{(frequencies_c6) expected at most 2^20 frequencies, but got 1048577}}
  %f = rope.frequencies base(2.0) : tensor<1048577xf64>
  return
}

// -----

// A splat of so many numbers costs nothing to write, but takes for ever to read.
func.func @frequencies_c6_splat() {
  // expected-error @below {{(frequencies_c6) expected at most 2^20 frequencies, but got 4611686018427387904}}
  %f = rope.frequencies values(dense<1.0> : tensor<4611686018427387904xf64>) : tensor<4611686018427387904xf64>
  return
}

// -----

func.func @scale_frequencies_c1_missing(%w: tensor<2xf64>) {
  // expected-error @below {{'rope.scale_frequencies' op (scale_frequencies_c1) expected a length, on which #rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64> depends}}
  %f = rope.scale_frequencies %w by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) : tensor<2xf64>
  return
}

// -----

func.func @scale_frequencies_c1_superfluous(%w: tensor<2xf64>, %length: i64) {
  // expected-error @below {{(scale_frequencies_c1) expected no length, since #rope.linear<factor = 4.000000e+00 : f64> depends on none}}
  %f = rope.scale_frequencies %w by(#rope.linear<factor = 4.0>) at %length : tensor<2xf64>
  return
}

// -----

// With one pair the exponent d/(d-2) divides by zero.
func.func @scale_frequencies_c2_dynamic_ntk(%w: tensor<1xf64>, %length: i64) {
  // expected-error @below {{(scale_frequencies_c2) expected two or more frequencies for 'dynamic_ntk', but got 1}}
  %f = rope.scale_frequencies %w by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<1xf64>
  return
}

// -----

func.func @scale_frequencies_c2_ntk_alpha(%w: tensor<1xf64>) {
  // expected-error @below {{(scale_frequencies_c2) expected two or more frequencies for 'ntk_alpha', but got 1}}
  %f = rope.scale_frequencies %w by(#rope.ntk_alpha<alpha = 4.0>) : tensor<1xf64>
  return
}

// -----

func.func @scale_frequencies_c2_factors(%w: tensor<2xf64>) {
  // expected-error @below {{(scale_frequencies_c2) expected 'divisors' to have one entry for each of 2 frequencies, but got 3}}
  %f = rope.scale_frequencies %w by(#rope.factors<divisors = [1.0, 2.0, 3.0]>) : tensor<2xf64>
  return
}

// -----

func.func @scale_frequencies_c2_longrope_short(%w: tensor<2xf64>, %length: i64) {
  // expected-error @below {{(scale_frequencies_c2) expected 'short_factors' to have one entry for each of 2 frequencies, but got 1}}
  %f = rope.scale_frequencies %w by(#rope.longrope<short_factors = [1.0], long_factors = [1.0, 2.0], original_max_position = 4.0>) at %length : tensor<2xf64>
  return
}

// -----

func.func @scale_frequencies_c2_longrope_long(%w: tensor<2xf64>, %length: i64) {
  // expected-error @below {{(scale_frequencies_c2) expected 'long_factors' to have one entry for each of 2 frequencies, but got 3}}
  %f = rope.scale_frequencies %w by(#rope.longrope<short_factors = [1.0, 2.0], long_factors = [1.0, 2.0, 3.0], original_max_position = 4.0>) at %length : tensor<2xf64>
  return
}

// -----

func.func @scale_frequencies_c3_many(%w: tensor<4611686018427387904xf64>) {
  // expected-error @below {{(scale_frequencies_c3) expected at most 2^20 frequencies, but got 4611686018427387904}}
  %f = rope.scale_frequencies %w by(#rope.linear<factor = 4.0>) : tensor<4611686018427387904xf64>
  return
}

// -----

// expected-error @below {{(scaling_c1) expected 'factor' to be finite and greater than zero, but got 0.000000e+00 : f64}}
func.func private @scaling_c1_zero() attributes {test.a = #rope.linear<factor = 0.0>}

// -----

// expected-error @below {{(scaling_c1) expected 'alpha' to be finite and greater than zero, but got -1.000000e+00 : f64}}
func.func private @scaling_c1_negative() attributes {test.a = #rope.ntk_alpha<alpha = -1.0>}

// -----

// expected-error @below {{(scaling_c1) expected 'max_position' to be finite and greater than zero, but got 0x7FF0000000000000 : f64}}
func.func private @scaling_c1_infinite() attributes {test.a = #rope.dynamic_ntk<factor = 1.0, max_position = 0x7FF0000000000000 : f64>}

// -----

// expected-error @below {{(scaling_c1) expected 'mixed_exponent' to be finite and greater than zero, but got 0x7FF8000000000000 : f64}}
func.func private @scaling_c1_nan() attributes {test.a = #rope.ntk<factor = 1.0, mixed_exponent = 0x7FF8000000000000 : f64>}

// -----

// expected-error @below {{(scaling_c1) expected 'factor' to be an f64, but got 'f32'}}
func.func private @scaling_c1_type() attributes {test.a = #rope.linear<factor = 8.0 : f32>}

// -----

// expected-error @below {{(scaling_c1) expected 'beta_fast' to be finite and greater than zero, but got 0.000000e+00 : f64}}
func.func private @scaling_c1_beta() attributes {test.a = #rope.yarn<base = 2.0, factor = 2.0, original_max_position = 4.0, beta_fast = 0.0>}

// -----

// expected-error @below {{(scaling_c1) expected 'original_max_position' to be finite and greater than zero, but got -4.000000e+00 : f64}}
func.func private @scaling_c1_longrope() attributes {test.a = #rope.longrope<short_factors = [1.0], long_factors = [1.0], original_max_position = -4.0>}

// -----

// expected-error @below {{(scaling_c2) expected 'divisors[1]' to be finite and greater than zero, but got 0.000000e+00}}
func.func private @scaling_c2_zero() attributes {test.a = #rope.factors<divisors = [1.0, 0.0]>}

// -----

// expected-error @below {{(scaling_c2) expected 'short_factors[0]' to be finite and greater than zero, but got -1.000000e+00}}
func.func private @scaling_c2_short() attributes {test.a = #rope.longrope<short_factors = [-1.0], long_factors = [1.0], original_max_position = 4.0>}

// -----

// expected-error @below {{(scaling_c2) expected 'long_factors[0]' to be finite and greater than zero, but got }}
func.func private @scaling_c2_long() attributes {test.a = #rope.longrope<short_factors = [1.0], long_factors = [0x7FF0000000000000], original_max_position = 4.0>}

// -----

// expected-error @below {{(scaling_c3) expected 'base' to be greater than one, but got 1.000000e+00 : f64}}
func.func private @scaling_c3_one() attributes {test.a = #rope.yarn<base = 1.0, factor = 2.0, original_max_position = 4.0>}

// -----

// expected-error @below {{(scaling_c4) expected 'low_freq_factor' not to exceed 'high_freq_factor', but got 5.000000e+00 : f64 and 4.000000e+00 : f64}}
func.func private @scaling_c4_order() attributes {test.a = #rope.llama3<factor = 8.0, low_freq_factor = 5.0, high_freq_factor = 4.0, original_max_position = 1.0>}

// -----

func.func @table_c1_mixed(%p: memref<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{'rope.table' op (table_c1) expected operands to be all tensors or all memrefs, but got both}}
  %c, %s = rope.table ins(%p, %f : memref<2xi64>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c2_wide(%p: tensor<2xi128>, %f: tensor<2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c2) expected positions to be integers of at most 64 bits, indices or floats of 16 to 64 bits, but got 'i128'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi128>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c2_unsigned(%p: tensor<2xui32>, %f: tensor<2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c2) expected positions to be integers of at most 64 bits, indices or floats of 16 to 64 bits, but got 'ui32'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xui32>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c2_complex(%p: tensor<2xcomplex<f32>>, %f: tensor<2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c2) expected positions to be integers of at most 64 bits, indices or floats of 16 to 64 bits, but got 'complex<f32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xcomplex<f32>>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c3_rank(%p: tensor<2xi64>, %f: tensor<1x2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c3) expected 'frequencies' to be one-dimensional, of f64 or i64, but got 'tensor<1x2xf64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<1x2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c3_element(%p: tensor<2xi64>, %f: tensor<2xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c3) expected 'frequencies' to be one-dimensional, of f64 or i64, but got 'tensor<2xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf32>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c3_turns_of_floats(%p: tensor<2xf32>, %f: tensor<2xi64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c3) expected f64 frequencies for float positions and for f32 precision, but got 'tensor<2xi64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xf32>, tensor<2xi64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @table_c3_turns_in_f32(%p: tensor<2xi32>, %f: tensor<2xi64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c3) expected f64 frequencies for float positions and for f32 precision, but got 'tensor<2xi64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi32>, tensor<2xi64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>) {precision = #rope.precision<f32>}
  return
}

// -----

func.func @table_c4_differ(%p: tensor<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xf32>, %u: tensor<2x2xf64>) {
  // expected-error @below {{(table_c4) expected 'cos' and 'sin' to have one shape and element type, of floats, but got 'tensor<2x2xf32>' and 'tensor<2x2xf64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf64>) outs(%t, %u : tensor<2x2xf32>, tensor<2x2xf64>)
  return
}

// -----

func.func @table_c4_shape(%p: tensor<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xf32>, %u: tensor<2x3xf32>) {
  // expected-error @below {{(table_c4) expected 'cos' and 'sin' to have one shape and element type, of floats, but got 'tensor<2x2xf32>' and 'tensor<2x3xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf64>) outs(%t, %u : tensor<2x2xf32>, tensor<2x3xf32>)
  return
}

// -----

func.func @table_c4_integers(%p: tensor<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xi32>) {
  // expected-error @below {{(table_c4) expected 'cos' and 'sin' to have one shape and element type, of floats, but got 'tensor<2x2xi32>' and 'tensor<2x2xi32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf64>) outs(%t, %t : tensor<2x2xi32>, tensor<2x2xi32>)
  return
}

// -----

func.func @table_c4_small_floats(%p: tensor<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xf8E4M3FN>) {
  // expected-error @below {{(table_c4) expected tables of f16, bf16, f32 or f64, but got 'f8E4M3FN'}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf8E4M3FN>, tensor<2x2xf8E4M3FN>)
  return
}

// -----

func.func @table_c5_pairs(%p: tensor<?xi64>, %f: tensor<2xf64>, %t: tensor<?x3xf32>) {
  // expected-error @below {{(table_c5) expected tables of shape ?x2, but got 'tensor<?x3xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<2xf64>) outs(%t, %t : tensor<?x3xf32>, tensor<?x3xf32>)
  return
}

// -----

func.func @table_c5_sine(%p: tensor<?xi64>, %f: tensor<2xf64>, %t: tensor<?x?xf32>, %u: tensor<?x3xf32>) {
  // expected-error @below {{(table_c5) expected tables of shape ?x2, but got 'tensor<?x?xf32>' and 'tensor<?x3xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<2xf64>) outs(%t, %u : tensor<?x?xf32>, tensor<?x3xf32>)
  return
}

// -----

func.func @table_c5_rank(%p: tensor<1x4xi64>, %f: tensor<2xf64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{(table_c5) expected tables of shape 1x4x2, but got 'tensor<4x2xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<1x4xi64>, tensor<2xf64>) outs(%t, %t : tensor<4x2xf32>, tensor<4x2xf32>)
  return
}

// -----

// The axis dimension of the positions is not one of the tables.
func.func @table_c5_axes(%p: tensor<3x4xi64>, %f: tensor<2xf64>, %t: tensor<3x4x2xf32>) {
  // expected-error @below {{(table_c5) expected tables of shape 4x2, but got 'tensor<3x4x2xf32>'}}
  %c, %s = rope.table ins(%p, %f : tensor<3x4xi64>, tensor<2xf64>) outs(%t, %t : tensor<3x4x2xf32>, tensor<3x4x2xf32>) {axes = array<i64: 0, 1>}
  return
}

// -----

func.func @table_c6_count(%p: tensor<3x4xi64>, %f: tensor<2xf64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{(table_c6) expected one of 'axes' for each of 2 frequencies, but got 3}}
  %c, %s = rope.table ins(%p, %f : tensor<3x4xi64>, tensor<2xf64>) outs(%t, %t : tensor<4x2xf32>, tensor<4x2xf32>) {axes = array<i64: 0, 1, 2>}
  return
}

// -----

func.func @table_c6_range(%p: tensor<3x4xi64>, %f: tensor<2xf64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{(table_c6) expected 'axes' below the 3 axes of the positions, but got 3}}
  %c, %s = rope.table ins(%p, %f : tensor<3x4xi64>, tensor<2xf64>) outs(%t, %t : tensor<4x2xf32>, tensor<4x2xf32>) {axes = array<i64: 0, 3>}
  return
}

// -----

func.func @table_c6_negative(%p: tensor<?x4xi64>, %f: tensor<2xf64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{(table_c6) expected 'axes' below the ? axes of the positions, but got -1}}
  %c, %s = rope.table ins(%p, %f : tensor<?x4xi64>, tensor<2xf64>) outs(%t, %t : tensor<4x2xf32>, tensor<4x2xf32>) {axes = array<i64: 0, -1>}
  return
}

// -----

func.func @table_c6_rank_zero(%p: tensor<i64>, %f: tensor<2xf64>, %t: tensor<2xf32>) {
  // expected-error @below {{(table_c6) expected positions with an axis dimension, but got 'tensor<i64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<i64>, tensor<2xf64>) outs(%t, %t : tensor<2xf32>, tensor<2xf32>) {axes = array<i64: 0, 0>}
  return
}

// -----

func.func @table_c7_infinite(%p: tensor<2xi64>, %f: tensor<2xf64>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(table_c7) expected 'magnitude' to be finite, but got 0x7FF0000000000000 : f64}}
  %c, %s = rope.table ins(%p, %f : tensor<2xi64>, tensor<2xf64>) outs(%t, %t : tensor<2x2xf32>, tensor<2x2xf32>) {magnitude = 0x7FF0000000000000 : f64}
  return
}

// -----

func.func @table_c8_overflow(%p: tensor<4611686018427387904xi64>, %f: tensor<2xf64>, %t: tensor<4611686018427387904x2xf32>) {
  // expected-error @below {{(table_c8) expected at most 2^63 - 1 bytes, but got 'tensor<4611686018427387904xi64>'}}
  %c, %s = rope.table ins(%p, %f : tensor<4611686018427387904xi64>, tensor<2xf64>) outs(%t, %t : tensor<4611686018427387904x2xf32>, tensor<4611686018427387904x2xf32>)
  return
}

// -----

func.func @apply_c1_mixed(%x: memref<2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{'rope.apply' op (apply_c1) expected operands to be all tensors or all memrefs, but got both}}
  rope.apply ins(%x, %t, %t : memref<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : memref<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c2_shape(%x: tensor<2x4xf32>, %y: tensor<2x5xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c2) expected 'x' and the destination to have one shape, and one dimension or more, but got 'tensor<2x4xf32>' and 'tensor<2x5xf32>'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%y : tensor<2x5xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c2_rank(%x: tensor<f32>, %t: tensor<0xf32>) {
  // expected-error @below {{(apply_c2) expected 'x' and the destination to have one shape, and one dimension or more, but got 'tensor<f32>' and 'tensor<f32>'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<f32>, tensor<0xf32>, tensor<0xf32>) outs(%x : tensor<f32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

func.func @apply_c2_elements_differ(%x: tensor<2x4xf32>, %y: tensor<2x4xf16>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c2) expected a destination of 'f32' or wider floats, but got 'tensor<2x4xf16>'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%y : tensor<2x4xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c2_element(%x: tensor<2x4xi32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c2) expected elements of f16, bf16, f32 or f64, but got 'i32'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xi32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x4xi32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c3_differ(%x: tensor<2x4xf32>, %t: tensor<2x2xf32>, %u: tensor<2x2xbf16>) {
  // expected-error @below {{(apply_c3) expected 'cos' and 'sin' to have one shape and element type, of floats, but got 'tensor<2x2xf32>' and 'tensor<2x2xbf16>'}}
  %0 = rope.apply ins(%x, %t, %u : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xbf16>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c3_element(%x: tensor<2x4xf32>, %t: tensor<2x2xf80>) {
  // expected-error @below {{(apply_c3) expected tables of f16, bf16, f32 or f64, but got 'f80'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf80>, tensor<2x2xf80>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c4_rank(%x: tensor<1x2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c4) expected tables of rank 3, one more than 'position_dims', but got shape [2, 2]}}
  %0 = rope.apply ins(%x, %t, %t : tensor<1x2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<1x2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}
  return
}

// -----

func.func @apply_c4_rank_zero(%x: tensor<4xf32>, %t: tensor<f32>) {
  // expected-error @below {{(apply_c4) expected tables of rank 1, one more than 'position_dims', but got shape []}}
  %0 = rope.apply ins(%x, %t, %t : tensor<4xf32>, tensor<f32>, tensor<f32>) outs(%x : tensor<4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

func.func @apply_c5_head(%x: tensor<2x4xf32>, %t: tensor<4x2xf32>) {
  // expected-error @below {{(apply_c5) expected 'position_dims' to be distinct dimensions of 'x' before its last, but got [1] for rank 2}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<4x2xf32>, tensor<4x2xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return
}

// -----

func.func @apply_c5_negative(%x: tensor<2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c5) expected 'position_dims' to be distinct dimensions of 'x' before its last, but got [-1] for rank 2}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: -1>}
  return
}

// -----

func.func @apply_c5_twice(%x: tensor<2x2x4xf32>, %t: tensor<2x2x2xf32>) {
  // expected-error @below {{(apply_c5) expected 'position_dims' to be distinct dimensions of 'x' before its last, but got [0, 0] for rank 3}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x2x4xf32>, tensor<2x2x2xf32>, tensor<2x2x2xf32>) outs(%x : tensor<2x2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0, 0>}
  return
}

// -----

func.func @apply_c6_sequence(%x: tensor<1x5x4xf32>, %t: tensor<6x2xf32>) {
  // expected-error @below {{(apply_c6) expected size 5 of dimension 1 of 'x' in dimension 0 of the tables, but got 6}}
  %0 = rope.apply ins(%x, %t, %t : tensor<1x5x4xf32>, tensor<6x2xf32>, tensor<6x2xf32>) outs(%x : tensor<1x5x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return
}

// -----

// A table of one position is not broadcast: its dimension is left out.
func.func @apply_c6_one(%x: tensor<5x4xf32>, %t: tensor<1x2xf32>) {
  // expected-error @below {{(apply_c6) expected size 5 of dimension 0 of 'x' in dimension 0 of the tables, but got 1}}
  %0 = rope.apply ins(%x, %t, %t : tensor<5x4xf32>, tensor<1x2xf32>, tensor<1x2xf32>) outs(%x : tensor<5x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c7_pairs(%x: tensor<2x4xf32>, %t: tensor<2x3xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 4 channels, but 3 pairs from channel 0 with a stride of 3 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x3xf32>, tensor<2x3xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c7_destination(%x: tensor<2x?xf32>, %y: tensor<2x4xf32>, %t: tensor<2x?xf32>, %s: tensor<2x3xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 4 channels, but 3 pairs from channel 0 with a stride of 3 do not}}
  %r = rope.apply ins(%x, %t, %s : tensor<2x?xf32>, tensor<2x?xf32>, tensor<2x3xf32>) outs(%y : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func @apply_c7_offset(%x: tensor<2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 4 channels, but 2 pairs from channel 1 with a stride of 2 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1}
  return
}

// -----

func.func @apply_c7_negative(%x: tensor<2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c7) expected 'offset' not to be negative, but got -1}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = -1}
  return
}

// -----

func.func @apply_c7_stride(%x: tensor<2x8xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 8 channels, but 2 pairs from channel 0 with a stride of 7 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x8xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 7}
  return
}

// -----

func.func @apply_c7_overflow(%x: tensor<2x8xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 8 channels, but 2 pairs from channel 9223372036854775807 with a stride of 9223372036854775807 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x8xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 9223372036854775807, offset = 9223372036854775807}
  return
}

// -----

// The channels in front of no pairs would be copied from beyond the head.
func.func @apply_c7_no_pairs(%x: tensor<2x4xf32>, %t: tensor<2x0xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 4 channels, but 0 pairs from channel 5 with a stride of 0 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x0xf32>, tensor<2x0xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 5}
  return
}

// -----

func.func @apply_c7_dynamic_pairs(%x: tensor<2x4xf32>, %t: tensor<2x?xf32>) {
  // expected-error @below {{(apply_c7) expected all pairs to lie within 4 channels, but ? pairs from channel 1 with a stride of 4 do not}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x?xf32>, tensor<2x?xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, offset = 1, pair_stride = 4}
  return
}

// -----

func.func @apply_c8_small(%x: tensor<2x4xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c8) expected 'pair_stride' to come with half pairing and be at least 2, but got 1}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = 1}
  return
}

// -----

func.func @apply_c8_negative(%x: tensor<2x4xf32>, %t: tensor<2x?xf32>) {
  // expected-error @below {{(apply_c8) expected 'pair_stride' to come with half pairing and be at least ?, but got -1}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x4xf32>, tensor<2x?xf32>, tensor<2x?xf32>) outs(%x : tensor<2x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, pair_stride = -1}
  return
}

// -----

func.func @apply_c8_interleaved(%x: tensor<2x8xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c8) expected 'pair_stride' to come with half pairing and be at least 2, but got 2}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x8xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x8xf32>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, pair_stride = 2}
  return
}

// -----

func.func @apply_c9_stride(%x: tensor<2x8xf32>, %t: tensor<2x2xf32>) {
  // expected-error @below {{(apply_c9) expected 'pair_stride' to be the number of pairs, 2, where the pairing of the result differs, but got 4}}
  %0 = rope.apply ins(%x, %t, %t : tensor<2x8xf32>, tensor<2x2xf32>, tensor<2x2xf32>) outs(%x : tensor<2x8xf32>) {pairing = #rope.pairing<half>, result_pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, pair_stride = 4}
  return
}

// -----

func.func @apply_c10_overflow(%x: tensor<4611686018427387904x2xf32>, %t: tensor<1xf32>) {
  // expected-error @below {{(apply_c10) expected at most 2^63 - 1 bytes, but got 'tensor<4611686018427387904x2xf32>'}}
  %0 = rope.apply ins(%x, %t, %t : tensor<4611686018427387904x2xf32>, tensor<1xf32>, tensor<1xf32>) outs(%x : tensor<4611686018427387904x2xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

func.func @apply_c11_in_place(%x: memref<2x4xf32>, %t: memref<2x2xf32>) {
  // expected-error @below {{(apply_c11) expected a destination other than 'x', since the pairing of the result differs}}
  rope.apply ins(%x, %t, %t : memref<2x4xf32>, memref<2x2xf32>, memref<2x2xf32>) outs(%x : memref<2x4xf32>) {pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

// What the operations' definitions say about types needs no label.

func.func @not_a_scaling_rule(%w: tensor<2xf64>) {
  // expected-error @below {{Invalid attribute `scaling` in property conversion: 1.000000e+00 : f64}}
  %f = "rope.scale_frequencies"(%w) <{scaling = 1.0 : f64}> : (tensor<2xf64>) -> tensor<2xf64>
  return
}

// -----

func.func @dynamic_frequencies() {
  // expected-error @below {{result #0 must be one-dimensional statically shaped f64 tensor}}
  %f = rope.frequencies base(2.0) : tensor<?xf64>
  return
}

// -----

// The destination says what the results are.
func.func @unranked(%x: tensor<*xf32>, %t: tensor<2xf32>) {
  // expected-error @below {{cannot name an operation with no results}}
  %0 = rope.apply ins(%x, %t, %t : tensor<*xf32>, tensor<2xf32>, tensor<2xf32>) outs(%x : tensor<*xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

func.func @unranked_input(%x: tensor<*xf32>, %y: tensor<4xf32>, %t: tensor<2xf32>) {
  // expected-error @below {{operand #0 must be ranked tensor or memref}}
  %0 = rope.apply ins(%x, %t, %t : tensor<*xf32>, tensor<2xf32>, tensor<2xf32>) outs(%y : tensor<4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

func.func @missing_result(%x: tensor<4xf32>, %t: tensor<2xf32>) {
  // expected-error @below {{'rope.apply' op expected the number of tensor results (0) to be equal to the number of output tensors (1)}}
  "rope.apply"(%x, %t, %t, %x) <{pairing = #rope.pairing<half>, position_dims = array<i64>}> : (tensor<4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<4xf32>) -> ()
  return
}

// -----

// expected-error @below {{unknown attribute `nothing` in dialect `rope`}}
func.func private @unknown_rule() attributes {test.a = #rope.nothing<factor = 1.0>}

// -----

// expected-error @below {{expected one of [half, interleaved] for which two channels form a pair, got: whole}}
// expected-error @+1 {{failed to parse Rope_PairingAttr parameter 'value'}}
func.func private @unknown_pairing() attributes {test.a = #rope.pairing<whole>}

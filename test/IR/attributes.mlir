// RUN: rope-opt %s --verify-roundtrip | FileCheck %s
// RUN: rope-opt %s --emit-bytecode | rope-opt | FileCheck %s

// The examples of the attributes' documentation, as they stand there.

// CHECK-LABEL: @scaling_rules
func.func private @scaling_rules() attributes {
  // CHECK-DAG: #rope.linear<factor = 8.000000e+00 : f64>
  test.linear =
    #rope.linear<factor = 8.0>,
  // CHECK-DAG: #rope.ntk<factor = 4.000000e+00 : f64>
  test.ntk =
    #rope.ntk<factor = 4.0>,
  // CHECK-DAG: #rope.ntk<factor = 4.000000e+00 : f64, mixed_exponent = 6.250000e-01 : f64>
  test.ntk_mixed =
    #rope.ntk<factor = 4.0, mixed_exponent = 0.625>,
  // CHECK-DAG: #rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64>
  test.dynamic_ntk =
    #rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>,
  // CHECK-DAG: #rope.ntk_alpha<alpha = 1.000000e+03 : f64>
  test.ntk_alpha =
    #rope.ntk_alpha<alpha = 1000.0>,
  // CHECK-DAG: #rope.yarn<base = 1.000000e+04 : f64, factor = 3.200000e+01 : f64, original_max_position = 4.096000e+03 : f64>
  test.yarn =
    #rope.yarn<base = 10000.0, factor = 32.0, original_max_position = 4096.0>,
  // CHECK-DAG: #rope.yarn<base = 1.500000e+05 : f64, factor = 3.200000e+01 : f64, original_max_position = 4.096000e+03 : f64, beta_fast = 1.600000e+01 : f64, beta_slow = 2.000000e+00 : f64, truncate = false>
  test.yarn_all =
    #rope.yarn<base = 150000.0, factor = 32.0, original_max_position = 4096.0,
               beta_fast = 16.0, beta_slow = 2.0, truncate = false>,
  // CHECK-DAG: #rope.llama3<factor = 8.000000e+00 : f64, low_freq_factor = 1.000000e+00 : f64, high_freq_factor = 4.000000e+00 : f64, original_max_position = 8.192000e+03 : f64>
  test.llama3 =
    #rope.llama3<factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0,
                 original_max_position = 8192.0>,
  // CHECK-DAG: #rope.longrope<short_factors = [1.000000e+00, 1.500000e+00], long_factors = [1.000000e+00, 3.200000e+01], original_max_position = 4.096000e+03 : f64>
  test.longrope =
    #rope.longrope<short_factors = [1.0, 1.5], long_factors = [1.0, 32.0],
                   original_max_position = 4096.0>,
  // CHECK-DAG: #rope.factors<divisors = [1.000000e+00, 1.000000e+00, 4.000000e+00, 8.000000e+00]>
  test.factors =
    #rope.factors<divisors = [1.0, 1.0, 4.0, 8.0]>
}

// CHECK-LABEL: @enumerations
// CHECK-SAME: [#rope.pairing<half>, #rope.pairing<interleaved>, #rope.precision<exact>, #rope.precision<f32>]
func.func private @enumerations() attributes {
  test.all = [#rope.pairing<half>, #rope.pairing<interleaved>,
              #rope.precision<exact>, #rope.precision<f32>]
}

// CHECK-LABEL: @rotations
func.func private @rotations() attributes {
  // CHECK-DAG: #rope.angles<magnitude = 1.000000e+00 : f64>
  test.angles =
    #rope.angles<magnitude = 1.0>,
  // CHECK-DAG: #rope.angles<magnitude = 1.000000e+00 : f64, axes = [0, 0, 1, 1], precision = f32>
  test.angles_all =
    #rope.angles<magnitude = 1.0, axes = [0, 0, 1, 1], precision = f32>,
  // CHECK-DAG: #rope.rotation<pairing = half, position_dims = [1]>
  test.rotation =
    #rope.rotation<pairing = half, position_dims = [1]>,
  // CHECK-DAG: #rope.rotation<pairing = interleaved, position_dims = [0, 1], offset = 128, angles = <magnitude = 1.000000e+00 : f64>>
  test.rotation_angles =
    #rope.rotation<pairing = interleaved, position_dims = [0, 1], offset = 128,
                   angles = <magnitude = 1.0>>
}

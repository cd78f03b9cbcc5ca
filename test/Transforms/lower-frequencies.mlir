// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-lower-frequencies))' --verify-diagnostics | FileCheck %s

// A chain is rounded once: 1/sqrt(3)/21 as one constant, nothing in between.

// CHECK-LABEL: @chain(
// CHECK-NEXT: %[[W:.*]] = arith.constant dense<[0.047619047619047616, 0.027492869961410749]> : tensor<2xf64>
// CHECK-NEXT: return %[[W]]
func.func @chain() -> tensor<2xf64> {
  %f = rope.frequencies base(3.0) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 3.0>) : tensor<2xf64>
  %h = rope.scale_frequencies %g by(#rope.linear<factor = 7.0>) : tensor<2xf64>
  return %h : tensor<2xf64>
}

// -----

// A length that is a constant is no length to read.

// CHECK-LABEL: @constant_length(
// CHECK: %[[W:.*]] = arith.constant dense<[1.000000e+00, 5.000000e-02]> : tensor<2xf64>
// CHECK: return %[[W]]
func.func @constant_length() -> tensor<2xf64> {
  %length = arith.constant 5 : i64
  %f = rope.frequencies base(1.0e4) dimension(8) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.longrope<short_factors = [1.0, 1.0], long_factors = [1.0, 2.0], original_max_position = 4.0>) at %length : tensor<2xf64>
  return %g : tensor<2xf64>
}

// -----

// One that is not becomes code, in f64, in front of the table: both lists are
// constants of the whole chain, which one is decided once. Strictly greater.

// CHECK-LABEL: @longrope(
// CHECK-SAME: %[[LENGTH:[a-z0-9]+]]: i64
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 4.000000e+00 : f64
// CHECK-DAG: %[[SHORT:.*]] = arith.constant dense<[1.000000e+00, 0.033333333333333333]> : tensor<2xf64>
// CHECK-DAG: %[[LONG:.*]] = arith.constant dense<[1.000000e+00, 5.000000e-02]> : tensor<2xf64>
// CHECK: %[[F:.*]] = arith.sitofp %[[LENGTH]] : i64 to f64
// CHECK: %[[IS:.*]] = arith.cmpf ogt, %[[F]], %[[LIMIT]] : f64
// CHECK: arith.select %[[IS]], %[[LONG]], %[[SHORT]]
// CHECK: linalg.generic
// CHECK: rope.table ins(%{{.*}}, %{{.*}} : tensor<4xi64>, tensor<2xi64>)
func.func @longrope(%length: i64, %p: tensor<4xi64>, %o: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %f = rope.frequencies base(1.0e4) dimension(8) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.longrope<short_factors = [1.0, 3.0], long_factors = [1.0, 2.0], original_max_position = 4.0>) at %length : tensor<2xf64>
  %c, %s = rope.table ins(%p, %g : tensor<4xi64>, tensor<2xf64>) outs(%o, %o : tensor<4x2xf32>, tensor<4x2xf32>)
  return %c, %s : tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

// One power for all pairs, refined, then products of two doubles.

// CHECK-LABEL: @dynamic_ntk(
// CHECK-COUNT-1: math.powf
// CHECK-NOT: math.powf
// CHECK: return
// CHECK-NOT: rope.
func.func @dynamic_ntk(%length: i64) -> tensor<4xf64> {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<4xf64>
  return %g : tensor<4xf64>
}

// -----

// Rules that need no length, of frequencies that are not known.

// CHECK-LABEL: @unknown_frequencies(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<2xf64>
// CHECK: %[[LINEAR:.*]] = arith.mulf %[[W]], %{{.*}} : tensor<2xf64>
// CHECK: math.absf %[[LINEAR]] : tensor<2xf64>
// CHECK-NOT: rope.scale_frequencies
func.func @unknown_frequencies(%w: tensor<2xf64>) -> tensor<2xf64> {
  %f = rope.scale_frequencies %w by(#rope.linear<factor = 4.0>) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.llama3<factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position = 8192.0>) : tensor<2xf64>
  return %g : tensor<2xf64>
}

// -----

// Exact tables of integers take turns: 1 / (2 pi) and half of it, times 2^64.

// CHECK-LABEL: @turns(
// CHECK: %[[T:.*]] = arith.constant dense<[2935890503282001226, 1467945251641000613]> : tensor<2xi64>
// CHECK: rope.table ins(%{{.*}}, %[[T]] : tensor<4xi32>, tensor<2xi64>)
func.func @turns(%p: tensor<4xi32>, %o: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %f = rope.frequencies values(dense<[1.0, 0.5]> : tensor<2xf64>) : tensor<2xf64>
  %c, %s = rope.table ins(%p, %f : tensor<4xi32>, tensor<2xf64>) outs(%o, %o : tensor<4x2xf32>, tensor<4x2xf32>)
  return %c : tensor<4x2xf32>
}

// -----

// Float positions and f32 precision keep radians.

// CHECK-LABEL: @radians(
// CHECK: %[[W:.*]] = arith.constant dense<[1.000000e+00, 5.000000e-01]> : tensor<2xf64>
// CHECK: rope.table ins(%{{.*}}, %[[W]] : tensor<4xf32>, tensor<2xf64>)
// CHECK: rope.table ins(%{{.*}}, %[[W]] : tensor<4xi64>, tensor<2xf64>)
func.func @radians(%p: tensor<4xf32>, %q: tensor<4xi64>, %o: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %f = rope.frequencies values(dense<[1.0, 0.5]> : tensor<2xf64>) : tensor<2xf64>
  %c, %s = rope.table ins(%p, %f : tensor<4xf32>, tensor<2xf64>) outs(%o, %o : tensor<4x2xf32>, tensor<4x2xf32>)
  %d, %t = rope.table ins(%q, %f : tensor<4xi64>, tensor<2xf64>) outs(%o, %o : tensor<4x2xf32>, tensor<4x2xf32>) {precision = #rope.precision<f32>}
  return %c, %d : tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

// Bases and factors below one can make more of a frequency than angles allow.

func.func @too_large(%p: tensor<4xi64>, %o: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %f = rope.frequencies base(1.0e-30) : tensor<4xf64>
  // expected-error @below {{'rope.table' op expected frequencies to be finite and less than 2^20 in magnitude, but pair 1 has 3.162278e+07}}
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<4xf64>) outs(%o, %o : tensor<4x4xf32>, tensor<4x4xf32>)
  return %c : tensor<4x4xf32>
}

// -----

func.func @not_a_number(%p: tensor<4xi64>, %o: tensor<4x1xf32>) -> tensor<4x1xf32> {
  %f = arith.constant dense<0x7FF8000000000000> : tensor<1xf64>
  // expected-error @below {{expected frequencies to be finite and less than 2^20 in magnitude, but pair 0 has}}
  %c, %s = rope.table ins(%p, %f : tensor<4xi64>, tensor<1xf64>) outs(%o, %o : tensor<4x1xf32>, tensor<4x1xf32>)
  return %c : tensor<4x1xf32>
}

// -----

// Code that is not reached may be a circle, which has no numbers.

// CHECK-LABEL: @circle(
func.func @circle(%x: tensor<2xf64>) -> tensor<2xf64> {
  return %x : tensor<2xf64>
^bb1:
  %f = rope.scale_frequencies %g by(#rope.linear<factor = 2.0>) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 2.0>) : tensor<2xf64>
  return %g : tensor<2xf64>
}

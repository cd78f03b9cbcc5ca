// RUN: rope-opt %s --verify-roundtrip | FileCheck %s
// RUN: rope-opt %s --mlir-print-op-generic | rope-opt | FileCheck %s
// RUN: rope-opt %s --emit-bytecode | rope-opt | FileCheck %s

// The examples of the operations' documentation, as they stand there.

// CHECK-LABEL: @frequencies
func.func @frequencies() {
  // CHECK: %{{.*}} = rope.frequencies base(5.000000e+05) : tensor<64xf64>
  %f = rope.frequencies base(5.0e+05) : tensor<64xf64>
  // 64 pairs turn, the ladder of frequencies is that of 256 pairs.
  // CHECK: rope.frequencies base(1.000000e+06) dimension(512) : tensor<64xf64>
  %p = rope.frequencies base(1.0e+06) dimension(512) : tensor<64xf64>
  // CHECK: rope.frequencies values(dense<[1.000000e+00, 2.500000e-01]> : tensor<2xf64>) : tensor<2xf64>
  %v = rope.frequencies values(dense<[1.0, 0.25]> : tensor<2xf64>) : tensor<2xf64>
  return
}

// CHECK-LABEL: @scale_frequencies
func.func @scale_frequencies(%length: i64) {
  // CHECK: %[[F:.*]] = rope.frequencies
  %f = rope.frequencies base(1.0e+04) : tensor<64xf64>
  // CHECK: rope.scale_frequencies %[[F]] by(#rope.linear<factor = 8.000000e+00 : f64>) : tensor<64xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<64xf64>
  // CHECK: rope.scale_frequencies %[[F]] by(#rope.dynamic_ntk<factor = 4.000000e+00 : f64, max_position = 2.048000e+03 : f64>) at %{{.*}} : tensor<64xf64>
  %h = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>)
         at %length : tensor<64xf64>
  return
}

// CHECK-LABEL: @table
func.func @table(%positions: tensor<?xi64>, %f: tensor<64xf64>,
                 %c0: tensor<?x64xf32>, %s0: tensor<?x64xf32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // Default values are not printed.
  // CHECK: %{{.*}}, %{{.*}} = rope.table ins(%{{.*}}, %{{.*}} : tensor<?xi64>, tensor<64xf64>) outs(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x64xf32>){{$}}
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<64xf64>)
                          outs(%c0, %s0 : tensor<?x64xf32>, tensor<?x64xf32>)
                          {magnitude = 1.0 : f64}
  return %cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: @apply
func.func @apply(%x: tensor<1x?x32x128xbf16>, %cos: tensor<?x64xf32>,
                 %sin: tensor<?x64xf32>, %init: tensor<1x?x32x128xbf16>)
    -> tensor<1x?x32x128xbf16> {
  // CHECK: %[[Y:.*]] = rope.apply ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>) outs(%{{.*}} : tensor<1x?x32x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %y = rope.apply ins(%x, %cos, %sin : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%init : tensor<1x?x32x128xbf16>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  // CHECK: return %[[Y]]
  return %y : tensor<1x?x32x128xbf16>
}

// Every attribute with a value of its own.

// CHECK-LABEL: @all_attributes
func.func @all_attributes(%positions: tensor<3x?xi32>, %f: tensor<2xf64>,
                          %c0: tensor<?x2xf16>, %s0: tensor<?x2xf16>,
                          %x: tensor<?x8xf64>, %init: tensor<?x8xf64>)
    -> (tensor<?x8xf64>, tensor<?x8xf64>) {
  // CHECK: rope.table
  // CHECK-SAME: {axes = array<i64: 0, 2>, magnitude = 1.250000e+00 : f64, precision = #rope.precision<f32>}
  %cos, %sin = rope.table ins(%positions, %f : tensor<3x?xi32>, tensor<2xf64>)
                          outs(%c0, %s0 : tensor<?x2xf16>, tensor<?x2xf16>)
                          {axes = array<i64: 0, 2>, magnitude = 1.25 : f64,
                           precision = #rope.precision<f32>}
  // CHECK: rope.apply
  // CHECK-SAME: {offset = 1 : i64, pair_stride = 4 : i64, pairing = #rope.pairing<half>, position_dims = array<i64: 0>, transpose}
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x8xf64>, tensor<?x2xf16>, tensor<?x2xf16>)
                  outs(%init : tensor<?x8xf64>)
                  {offset = 1, pair_stride = 4, pairing = #rope.pairing<half>,
                   position_dims = array<i64: 0>, transpose}
  // CHECK: rope.apply
  // CHECK-SAME: {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, result_pairing = #rope.pairing<half>}
  %z = rope.apply ins(%x, %cos, %sin : tensor<?x8xf64>, tensor<?x2xf16>, tensor<?x2xf16>)
                  outs(%init : tensor<?x8xf64>)
                  {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>,
                   result_pairing = #rope.pairing<half>}
  return %y, %z : tensor<?x8xf64>, tensor<?x8xf64>
}

// On memrefs there are no results.

// CHECK-LABEL: @memrefs
func.func @memrefs(%positions: memref<?xindex>, %f: memref<?xf64>, %turns: memref<?xi64>,
                   %cos: memref<?x?xf32>, %sin: memref<?x?xf32>,
                   %x: memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>) {
  // CHECK: rope.table ins(%{{.*}}, %{{.*}} : memref<?xindex>, memref<?xf64>) outs(%{{.*}}, %{{.*}} : memref<?x?xf32>, memref<?x?xf32>)
  rope.table ins(%positions, %f : memref<?xindex>, memref<?xf64>)
             outs(%cos, %sin : memref<?x?xf32>, memref<?x?xf32>)
  // CHECK: rope.table ins(%{{.*}}, %{{.*}} : memref<?xindex>, memref<?xi64>)
  rope.table ins(%positions, %turns : memref<?xindex>, memref<?xi64>)
             outs(%cos, %sin : memref<?x?xf32>, memref<?x?xf32>)
  // CHECK: rope.apply ins(%[[X:.*]], %{{.*}}, %{{.*}} : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>, memref<?x?xf32>, memref<?x?xf32>) outs(%[[X]] : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>)
  rope.apply ins(%x, %cos, %sin : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>, memref<?x?xf32>, memref<?x?xf32>)
             outs(%x : memref<?x4x?xf16, strided<[?, ?, 1], offset: ?>>)
             {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  return
}

// Positions of rank zero, tables that no dimension of x follows, no pairs, no
// heads: all are valid.

// CHECK-LABEL: @edges
func.func @edges(%position: tensor<i64>, %f: tensor<2xf64>, %none: tensor<0xf64>,
                 %c: tensor<2xf32>, %c0: tensor<0xf32>, %x: tensor<5xf32>,
                 %y: tensor<0x5xf32>) {
  %cos, %sin = rope.table ins(%position, %f : tensor<i64>, tensor<2xf64>)
                          outs(%c, %c : tensor<2xf32>, tensor<2xf32>)
  %cos0, %sin0 = rope.table ins(%position, %none : tensor<i64>, tensor<0xf64>)
                            outs(%c0, %c0 : tensor<0xf32>, tensor<0xf32>)
  %0 = rope.apply ins(%x, %cos, %sin : tensor<5xf32>, tensor<2xf32>, tensor<2xf32>)
                  outs(%x : tensor<5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %1 = rope.apply ins(%x, %cos0, %sin0 : tensor<5xf32>, tensor<0xf32>, tensor<0xf32>)
                  outs(%x : tensor<5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %2 = rope.apply ins(%y, %cos, %sin : tensor<0x5xf32>, tensor<2xf32>, tensor<2xf32>)
                  outs(%y : tensor<0x5xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %3 = rope.frequencies base(1.0e+04) : tensor<0xf64>
  return
}

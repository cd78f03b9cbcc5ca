// RUN: rope-minimal-opt %s --pass-pipeline='builtin.module(func.func(rope-lower-frequencies))' | FileCheck %s --check-prefix=FREQUENCIES
// RUN: rope-minimal-opt %s --pass-pipeline='builtin.module(func.func(rope-tile-apply))' | FileCheck %s --check-prefix=FUSE
// RUN: rope-minimal-opt %s --pass-pipeline='builtin.module(func.func(rope-fuse-attention))' | FileCheck %s --check-prefix=ATTENTION
// RUN: rope-minimal-opt %s --rope-expose-c-interface | FileCheck %s --check-prefix=EXPOSE
// RUN: rope-minimal-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg))' | FileCheck %s --check-prefix=LINALG
// RUN: rope-minimal-opt %s --pass-pipeline='builtin.module(func.func(convert-rope-to-linalg,rope-vectorize))' | FileCheck %s --check-prefix=VECTOR
// RUN: rope-minimal-opt %s --rope-set-target | FileCheck %s --check-prefix=TARGET

// Nothing but this dialect and func is registered: what a pass makes operations
// of, it must have declared.

// FREQUENCIES: linalg.generic
// FUSE: scf.forall
// ATTENTION: rotate_query
// EXPOSE: bufferization.materialize_in_destination
// LINALG: linalg.generic
// VECTOR: vector.load
// TARGET: llvm.target_triple

func.func @tensors(%x: tensor<?x8xf32>, %p: tensor<?xi64>, %q: tensor<?xf32>, %length: i64,
                   %c0: tensor<?x4xf32>, %s0: tensor<?x4xf32>, %init: tensor<?x8xf32>)
    -> (tensor<?x8xf32>, tensor<?x4xf32>) {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<4xf64>
  %h = rope.scale_frequencies %g by(#rope.llama3<factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position = 8192.0>) : tensor<4xf64>
  %c, %s = rope.table ins(%p, %h : tensor<?xi64>, tensor<4xf64>) outs(%c0, %s0 : tensor<?x4xf32>, tensor<?x4xf32>)
  %d, %t = rope.table ins(%q, %h : tensor<?xf32>, tensor<4xf64>) outs(%c0, %s0 : tensor<?x4xf32>, tensor<?x4xf32>)
             {precision = #rope.precision<f32>}
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y, %d : tensor<?x8xf32>, tensor<?x4xf32>
}

func.func @memrefs(%p: memref<2x?xi32>, %f: memref<?xi64>, %w: memref<?xf64>, %q: memref<?xf64>, %c: memref<?x?xf32>, %s: memref<?x?xf32>,
                   %c4: memref<?x4xf32>, %s4: memref<?x4xf32>, %x: memref<?x16xbf16>, %y: memref<?x?xbf16>) {
  rope.table ins(%p, %f : memref<2x?xi32>, memref<?xi64>) outs(%c4, %s4 : memref<?x4xf32>, memref<?x4xf32>)
             {axes = array<i64: 0, 1, 0, 1>}
  rope.table ins(%q, %w : memref<?xf64>, memref<?xf64>) outs(%c, %s : memref<?x?xf32>, memref<?x?xf32>)
  rope.apply ins(%x, %c4, %s4 : memref<?x16xbf16>, memref<?x4xf32>, memref<?x4xf32>)
             outs(%x : memref<?x16xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  rope.apply ins(%y, %c, %s : memref<?x?xbf16>, memref<?x?xf32>, memref<?x?xf32>)
             outs(%y : memref<?x?xbf16>) {pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>, offset = 3}
  return
}

func.func @attention(%q: tensor<2x?x8xf32>, %k: tensor<2x?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>, %init: tensor<2x?x8xf32>) -> tensor<2x?x8xf32> {
  %y = rope.apply ins(%q, %c, %s : tensor<2x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %o = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i, e)>]}
         ins(%y, %k, %k : tensor<2x?x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>)
         outs(%init : tensor<2x?x8xf32>)
  return %o : tensor<2x?x8xf32>
}

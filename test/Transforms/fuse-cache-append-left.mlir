// RUN: rope-opt %s --split-input-file --verify-diagnostics --remark-format=emitRemark --remarks-filter='rope-fuse.*' \
// RUN:   --allow-unregistered-dialect --pass-pipeline='builtin.module(any(rope-fuse-cache-append))' -o %t.mlir
// RUN: rope-opt %s --split-input-file --allow-unregistered-dialect -o %t.expected.mlir
// RUN: diff %t.expected.mlir %t.mlir

// Each reason to leave a rotation as it is, and nothing of it changed.

func.func private @use(tensor<5x64xf32>)
func.func @other_user(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{it is also used by 'func.call'}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  call @use(%y) : (tensor<5x64xf32>) -> ()
  %r = tensor.insert_slice %y into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

func.func @returned(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf16>) -> (tensor<9x64xf16>, tensor<5x64xf16>) {
  // expected-remark @below {{it is also returned by 'func.return'}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %h = arith.truncf %y : tensor<5x64xf32> to tensor<5x64xf16>
  %r = tensor.insert_slice %h into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf16> into tensor<9x64xf16>
  return %r, %h : tensor<9x64xf16>, tensor<5x64xf16>
}

// -----

func.func @reshaped(%x: tensor<5x8x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x512xf32>) -> tensor<9x512xf32> {
  // expected-remark @below {{it is also used by 'tensor.collapse_shape'}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x8x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %z = tensor.collapse_shape %y [[0], [1, 2]] : tensor<5x8x64xf32> into tensor<5x512xf32>
  %r = tensor.insert_slice %z into %cache[2, 0] [5, 512] [1, 1] : tensor<5x512xf32> into tensor<9x512xf32>
  return %r : tensor<9x512xf32>
}

// -----

// The cache itself is what is rotated.

func.func @written_into(%x: tensor<9x64xf32>, %t: tensor<9x32xf32>, %new: tensor<5x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{it is used by 'tensor.insert_slice' other than as what is written}}
  %y = rope.apply ins(%x, %t, %t : tensor<9x64xf32>, tensor<9x32xf32>, tensor<9x32xf32>)
                  outs(%x : tensor<9x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %new into %y[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

func.func @whole_in_region(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>, %is: i1) -> tensor<9x64xf32> {
  // expected-remark @below {{it is used as a whole by 'tensor.insert_slice' in a region}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.if %is -> tensor<9x64xf32> {
    %i = tensor.insert_slice %y into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
    scf.yield %i : tensor<9x64xf32>
  } else {
    scf.yield %cache : tensor<9x64xf32>
  }
  return %r : tensor<9x64xf32>
}

// -----

// Tensors of halves are no rows.

func.func @halves(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x32xf32>) -> tensor<9x32xf32> {
  // expected-remark @below {{a slice of it is used where it is rotated}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %h = tensor.extract_slice %y[0, 0] [5, 32] [1, 1] : tensor<5x64xf32> to tensor<5x32xf32>
  %r = tensor.insert_slice %h into %cache[2, 0] [5, 32] [1, 1] : tensor<5x32xf32> into tensor<9x32xf32>
  return %r : tensor<9x32xf32>
}

// -----

func.func @no_write(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>) {
  // expected-remark @below {{no write into a cache follows}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// -----

func.func private @use(tensor<1x64xf32>)
func.func @no_write_in_loop(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  // expected-remark @below {{no write into a cache follows}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  scf.for %i = %c0 to %c5 step %c1 {
    %row = tensor.extract_slice %y[%i, 0] [1, 64] [1, 1] : tensor<5x64xf32> to tensor<1x64xf32>
    func.call @use(%row) : (tensor<1x64xf32>) -> ()
  }
  return
}

// -----

func.func @inside_and_outside(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> (tensor<9x64xf32>, tensor<9x64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  // expected-remark @below {{it is used inside and outside of a loop}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = tensor.insert_slice %y into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%it = %cache) -> tensor<9x64xf32> {
    %row = tensor.extract_slice %y[%i, 0] [1, 64] [1, 1] : tensor<5x64xf32> to tensor<1x64xf32>
    %w = tensor.insert_slice %row into %it[%i, 0] [1, 64] [1, 1] : tensor<1x64xf32> into tensor<9x64xf32>
    scf.yield %w : tensor<9x64xf32>
  }
  return %a, %b : tensor<9x64xf32>, tensor<9x64xf32>
}

// -----

func.func @several_loops(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> (tensor<9x64xf32>, tensor<9x64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  // expected-remark @below {{it is used in several loops}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = scf.for %i = %c0 to %c5 step %c1 iter_args(%it = %cache) -> tensor<9x64xf32> {
    %row = tensor.extract_slice %y[%i, 0] [1, 64] [1, 1] : tensor<5x64xf32> to tensor<1x64xf32>
    %w = tensor.insert_slice %row into %it[%i, 0] [1, 64] [1, 1] : tensor<1x64xf32> into tensor<9x64xf32>
    scf.yield %w : tensor<9x64xf32>
  }
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%it = %cache) -> tensor<9x64xf32> {
    %row = tensor.extract_slice %y[%i, 0] [1, 64] [1, 1] : tensor<5x64xf32> to tensor<1x64xf32>
    %w = tensor.insert_slice %row into %it[%i, 0] [1, 64] [1, 1] : tensor<1x64xf32> into tensor<9x64xf32>
    scf.yield %w : tensor<9x64xf32>
  }
  return %a, %b : tensor<9x64xf32>, tensor<9x64xf32>
}

// -----

func.func @strided(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  // expected-remark @below {{a slice of it has strides}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %b = scf.for %i = %c0 to %c3 step %c1 iter_args(%it = %cache) -> tensor<9x64xf32> {
    %rows = tensor.extract_slice %y[%i, 0] [2, 64] [2, 1] : tensor<5x64xf32> to tensor<2x64xf32>
    %w = tensor.insert_slice %rows into %it[%i, 0] [2, 64] [1, 1] : tensor<2x64xf32> into tensor<9x64xf32>
    scf.yield %w : tensor<9x64xf32>
  }
  return %b : tensor<9x64xf32>
}

// -----

func.func @split_head(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x32xf32>) -> tensor<9x32xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  // expected-remark @below {{the head dimension is split}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%it = %cache) -> tensor<9x32xf32> {
    %row = tensor.extract_slice %y[%i, 0] [1, 32] [1, 1] : tensor<5x64xf32> to tensor<1x32xf32>
    %w = tensor.insert_slice %row into %it[%i, 0] [1, 32] [1, 1] : tensor<1x32xf32> into tensor<9x32xf32>
    scf.yield %w : tensor<9x32xf32>
  }
  return %b : tensor<9x32xf32>
}

// -----

// One scale for all heads of a token, but a loop over heads.

func.func @split_reduced(%x: tensor<1x8x64xf32>, %t: tensor<1x32xf32>, %scale: tensor<1xf32>, %cache: tensor<8x64xf32>) -> (tensor<8x64xf32>, tensor<1xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  // expected-remark @below {{a reduced dimension is split}}
  %y = rope.apply ins(%x, %t, %t : tensor<1x8x64xf32>, tensor<1x32xf32>, tensor<1x32xf32>)
                  outs(%x : tensor<1x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %sum = linalg.reduce ins(%y : tensor<1x8x64xf32>) outs(%scale : tensor<1xf32>) dimensions = [1, 2]
    (%a: f32, %b: f32) {
      %0 = arith.addf %a, %b : f32
      linalg.yield %0 : f32
    }
  %b = scf.for %i = %c0 to %c8 step %c1 iter_args(%it = %cache) -> tensor<8x64xf32> {
    %row = tensor.extract_slice %y[0, %i, 0] [1, 1, 64] [1, 1, 1] : tensor<1x8x64xf32> to tensor<1x64xf32>
    %w = tensor.insert_slice %row into %it[%i, 0] [1, 64] [1, 1] : tensor<1x64xf32> into tensor<8x64xf32>
    scf.yield %w : tensor<8x64xf32>
  }
  %none = arith.constant dense<0.0> : tensor<1xf32>
  return %b, %none : tensor<8x64xf32>, tensor<1xf32>
}

// -----

// Two caches of the same rows, one after another in a loop around.

func.func @rotated_again(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<2x9x64xf32>) -> tensor<2x9x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c5 = arith.constant 5 : index
  // expected-remark @below {{the loop would rotate a row several times}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.for %b = %c0 to %c2 step %c1 iter_args(%outer = %cache) -> tensor<2x9x64xf32> {
    %i = scf.for %i = %c0 to %c5 step %c1 iter_args(%it = %outer) -> tensor<2x9x64xf32> {
      %row = tensor.extract_slice %y[%i, 0] [1, 64] [1, 1] : tensor<5x64xf32> to tensor<1x64xf32>
      %w = tensor.insert_slice %row into %it[%b, %i, 0] [1, 1, 64] [1, 1, 1] : tensor<1x64xf32> into tensor<2x9x64xf32>
      scf.yield %w : tensor<2x9x64xf32>
    }
    scf.yield %i : tensor<2x9x64xf32>
  }
  return %r : tensor<2x9x64xf32>
}

// -----

func.func @scattered_elements(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<999xf32>, %i: tensor<5x64x1xindex>) -> tensor<999xf32> {
  // expected-remark @below {{'tensor.scatter' splits the head dimension}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0]) unique : (tensor<5x64xf32>, tensor<999xf32>, tensor<5x64x1xindex>) -> tensor<999xf32>
  return %r : tensor<999xf32>
}

// -----

// One scale for all heads of a token, but a place for each head.

func.func @scattered_heads(%x: tensor<5x8x64xf32>, %t: tensor<5x32xf32>, %e: tensor<5xf32>, %scales: tensor<9xf32>, %cache: tensor<99x64xf32>, %i: tensor<5x8x1xindex>) -> (tensor<99x64xf32>, tensor<9xf32>) {
  // expected-remark @below {{'tensor.scatter' splits a reduced dimension}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x8x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %sum = linalg.reduce ins(%y : tensor<5x8x64xf32>) outs(%e : tensor<5xf32>) dimensions = [1, 2]
    (%a: f32, %b: f32) {
      %0 = arith.addf %a, %b : f32
      linalg.yield %0 : f32
    }
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0]) unique : (tensor<5x8x64xf32>, tensor<99x64xf32>, tensor<5x8x1xindex>) -> tensor<99x64xf32>
  %s = tensor.insert_slice %sum into %scales[2] [5] [1] : tensor<5xf32> into tensor<9xf32>
  return %r, %s : tensor<99x64xf32>, tensor<9xf32>
}

// -----

// One scale for all tokens.

func.func @other_tokens(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %e: tensor<f32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{'linalg.reduce' reads other tokens}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %sum = linalg.reduce ins(%y : tensor<5x64xf32>) outs(%e : tensor<f32>) dimensions = [0, 1]
    (%a: f32, %b: f32) {
      %0 = arith.addf %a, %b : f32
      linalg.yield %0 : f32
    }
  %q = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %sum : tensor<5x64xf32>, tensor<f32>) outs(%x : tensor<5x64xf32>) {
  ^bb0(%a: f32, %m: f32, %o: f32):
    %0 = arith.divf %a, %m : f32
    linalg.yield %0 : f32
  } -> tensor<5x64xf32>
  %r = tensor.insert_slice %q into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

func.func @transposed_sum(%x: tensor<64x64xf32>, %t: tensor<64x32xf32>, %cache: tensor<99x64xf32>) -> tensor<99x64xf32> {
  // expected-remark @below {{rows are mixed by 'linalg.generic'}}
  %y = rope.apply ins(%x, %t, %t : tensor<64x64xf32>, tensor<64x32xf32>, tensor<64x32xf32>)
                  outs(%x : tensor<64x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %q = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %y : tensor<64x64xf32>, tensor<64x64xf32>) outs(%x : tensor<64x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<64x64xf32>
  %r = tensor.insert_slice %q into %cache[2, 0] [64, 64] [1, 1] : tensor<64x64xf32> into tensor<99x64xf32>
  return %r : tensor<99x64xf32>
}

// -----

func.func @transposed_arith(%x: tensor<64x64xf32>, %t: tensor<64x32xf32>, %cache: tensor<99x64xf32>) -> tensor<99x64xf32> {
  // expected-remark @below {{rows are mixed by 'arith.addf'}}
  %y = rope.apply ins(%x, %t, %t : tensor<64x64xf32>, tensor<64x32xf32>, tensor<64x32xf32>)
                  outs(%x : tensor<64x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %z = linalg.transpose ins(%y : tensor<64x64xf32>) outs(%x : tensor<64x64xf32>) permutation = [1, 0]
  %q = arith.addf %y, %z : tensor<64x64xf32>
  %r = tensor.insert_slice %q into %cache[2, 0] [64, 64] [1, 1] : tensor<64x64xf32> into tensor<99x64xf32>
  return %r : tensor<99x64xf32>
}

// -----

func.func @reversed(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{rows are mixed by 'linalg.generic'}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %q = linalg.generic {indexing_maps = [affine_map<(i, j) -> (4 - i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%y : tensor<5x64xf32>) outs(%x : tensor<5x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<5x64xf32>
  %r = tensor.insert_slice %q into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

func.func @matmul(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %w: tensor<64x7xf32>, %e: tensor<5x7xf32>, %cache: tensor<9x7xf32>) -> tensor<9x7xf32> {
  // expected-remark @below {{'linalg.matmul' makes several rows of one}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %q = linalg.matmul ins(%y, %w : tensor<5x64xf32>, tensor<64x7xf32>) outs(%e : tensor<5x7xf32>) -> tensor<5x7xf32>
  %r = tensor.insert_slice %q into %cache[2, 0] [5, 7] [1, 1] : tensor<5x7xf32> into tensor<9x7xf32>
  return %r : tensor<9x7xf32>
}

// -----

func.func @used_between(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{a cache is used before the last write}}
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = tensor.insert_slice %y into %cache[2, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  %b = tensor.insert_slice %y into %a[0, 0] [5, 64] [1, 1] : tensor<5x64xf32> into tensor<9x64xf32>
  return %b : tensor<9x64xf32>
}

// -----

// Decoding: what is there is one row already.

func.func @one_row(%x: tensor<1x1x8x64xf32>, %t: tensor<1x32xf32>, %cache: tensor<1x9x8x64xf32>) -> tensor<1x9x8x64xf32> {
  // expected-remark @below {{it is one row alone}}
  %y = rope.apply ins(%x, %t, %t : tensor<1x1x8x64xf32>, tensor<1x32xf32>, tensor<1x32xf32>)
                  outs(%x : tensor<1x1x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = tensor.insert_slice %y into %cache[0, 2, 0, 0] [1, 1, 8, 64] [1, 1, 1, 1] : tensor<1x1x8x64xf32> into tensor<1x9x8x64xf32>
  return %r : tensor<1x9x8x64xf32>
}

// -----

func.func @empty(%x: tensor<0x64xf32>, %t: tensor<0x32xf32>, %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  // expected-remark @below {{it is empty}}
  %y = rope.apply ins(%x, %t, %t : tensor<0x64xf32>, tensor<0x32xf32>, tensor<0x32xf32>)
                  outs(%x : tensor<0x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %cache[2, 0] [0, 64] [1, 1] : tensor<0x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

func.func @unknown_size(%x: tensor<?x64xf32>, %t: tensor<?x32xf32>, %cache: tensor<9x64xf32>, %i: index) -> tensor<9x64xf32> {
  // expected-remark @below {{which of its sizes is used is known only at run time}}
  %y = rope.apply ins(%x, %t, %t : tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<?x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %n = tensor.dim %y, %i : tensor<?x64xf32>
  %r = tensor.insert_slice %y into %cache[2, 0] [%n, 64] [1, 1] : tensor<?x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}

// -----

// Operations that have no order.

module {
  module {
    %x = "test.x"() : () -> tensor<5x64xf32>
    %t = "test.t"() : () -> tensor<5x32xf32>
    // expected-remark @below {{it has no place among other operations}}
    %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>, tensor<5x32xf32>)
                    outs(%x : tensor<5x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
}

// RUN: rope-opt %s --split-input-file --verify-diagnostics --convert-rope-to-gpu=api=vulkan

#x = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#m = affine_map<(b, h, i, j, d, e) -> (j)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

func.func @score_operand(%x: memref<?x8xf32>, %m: memref<?xi4>, %o: memref<?x8xf32>) {
  // expected-error @+1 {{expected elements of f16, bf16, f32, f64, i1, i8, i16, i32, i64 or index in a kernel, but got 'memref<?xi4>'}}
  rope.attention {indexing_maps = [#x, #k, #v, #m, #o]}
    ins(%x, %x, %x : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) score_operands(%m : memref<?xi4>) outs(%o : memref<?x8xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %y: i4):
    rope.yield %score : f32
  }
  return
}

// -----

#x = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

func.func @lengths(%x: memref<?x8xf32>, %l: memref<1xi128>, %o: memref<?x8xf32>) {
  // expected-error @+1 {{but got 'memref<1xi128>'}}
  rope.attention {indexing_maps = [#x, #k, #v, #o]}
    ins(%x, %x, %x : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) lengths(%l : memref<1xi128>) outs(%o : memref<?x8xf32>)
  return
}

// -----

#x = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

func.func @region(%x: memref<?x8xf32>, %n: i128, %o: memref<?x8xf32>) {
  // expected-error @+1 {{but got 'i128'}}
  rope.attention {indexing_maps = [#x, #k, #v, #o]}
    ins(%x, %x, %x : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) outs(%o : memref<?x8xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index):
    %y = arith.sitofp %n : i128 to f32
    %z = arith.addf %score, %y : f32
    rope.yield %z : f32
  }
  return
}

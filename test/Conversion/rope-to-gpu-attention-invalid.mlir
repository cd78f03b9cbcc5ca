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

// -----

#x = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j floordiv 4, j mod 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j floordiv 4, j mod 4, e)>
#p = affine_map<(b, h, i, j, d, e) -> (j floordiv 4)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

func.func @pages(%x: memref<?x8xf32>, %k: memref<?x4x8xf32>, %p: memref<?xi32>, %o: memref<?x8xf32>) {
  // expected-error @+1 {{attention to pages or to integers with scales is not lowered to GPUs}}
  rope.attention {indexing_maps = [#x, #k, #v, #p, #o]}
    ins(%x, %k, %k : memref<?x8xf32>, memref<?x4x8xf32>, memref<?x4x8xf32>) pages(%p : memref<?xi32>) outs(%o : memref<?x8xf32>)
  return
}

// -----

#x = affine_map<(b, h, i, j, d, e) -> (i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j, e)>
#s = affine_map<(b, h, i, j, d, e) -> (j)>
#o = affine_map<(b, h, i, j, d, e) -> (i, e)>

func.func @integers(%x: memref<?x8xf32>, %v: memref<?x8xi8>, %s: memref<?xf32>, %o: memref<?x8xf32>) {
  // expected-error @+1 {{attention to pages or to integers with scales is not lowered to GPUs}}
  rope.attention {indexing_maps = [#x, #k, #v, #s, #o]}
    ins(%x, %x, %v : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xi8>) value_scales(%s : memref<?xf32>) outs(%o : memref<?x8xf32>)
  return
}

// RUN: rope-opt %s --split-input-file --resolve-ranked-shaped-type-result-dims --canonicalize="test-convergence" | FileCheck %s --check-prefix=REIFY
// RUN: rope-opt %s --split-input-file --canonicalize="test-convergence" --cse | FileCheck %s --check-prefix=CSE
// RUN: rope-opt %s --split-input-file --loop-invariant-code-motion | FileCheck %s --check-prefix=LICM
// RUN: rope-opt %s --split-input-file --inline | FileCheck %s --check-prefix=INLINE

// A result has the sizes of its destination.

// REIFY-LABEL: @reify(
// REIFY-SAME: %[[C:[a-z0-9]+]]: tensor<?x64xf32>, %[[S:[a-z0-9]+]]: tensor<?x64xf32>, %{{.*}}: tensor<?x?x32x128xbf16>, %[[INIT:[a-z0-9]+]]: tensor<?x?x32x128xbf16>)
// REIFY-DAG: %[[C0:.*]] = arith.constant 0 : index
// REIFY-DAG: %[[C1:.*]] = arith.constant 1 : index
// REIFY-DAG: %[[C32:.*]] = arith.constant 32 : index
// REIFY-DAG: %[[A:.*]] = tensor.dim %[[C]], %[[C0]]
// REIFY-DAG: %[[B:.*]] = tensor.dim %[[S]], %[[C0]]
// REIFY-DAG: %[[D:.*]] = tensor.dim %[[INIT]], %[[C1]]
// REIFY: return %[[A]], %[[B]], %[[D]], %[[C32]]
func.func @reify(%p: tensor<?xi64>, %f: tensor<64xf64>, %c: tensor<?x64xf32>, %s: tensor<?x64xf32>,
                 %x: tensor<?x?x32x128xbf16>, %init: tensor<?x?x32x128xbf16>) -> (index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<64xf64>) outs(%c, %s : tensor<?x64xf32>, tensor<?x64xf32>)
  %y = rope.apply ins(%x, %cos, %sin : tensor<?x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%init : tensor<?x?x32x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %d0 = tensor.dim %cos, %c0 : tensor<?x64xf32>
  %d1 = tensor.dim %sin, %c0 : tensor<?x64xf32>
  %d2 = tensor.dim %y, %c1 : tensor<?x?x32x128xbf16>
  %d3 = tensor.dim %y, %c2 : tensor<?x?x32x128xbf16>
  return %d0, %d1, %d2, %d3 : index, index, index, index
}

// -----

// Equal chains and equal tables become one; frequencies stay symbolic.

// CSE-LABEL: @equal_tables(
// CSE: rope.frequencies
// CSE-NOT: rope.frequencies
// CSE: rope.scale_frequencies
// CSE-NOT: rope.scale_frequencies
// CSE: %[[C:.*]], %{{.*}} = rope.table
// CSE-NOT: rope.table
// CSE: return %[[C]], %[[C]]
func.func @equal_tables(%p: tensor<?xi64>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %f = rope.frequencies base(1.0e4) : tensor<2xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 2.0>) : tensor<2xf64>
  %cos, %sin = rope.table ins(%p, %g : tensor<?xi64>, tensor<2xf64>) outs(%c, %s : tensor<?x2xf32>, tensor<?x2xf32>)
  %f1 = rope.frequencies base(1.0e4) : tensor<2xf64>
  %g1 = rope.scale_frequencies %f1 by(#rope.linear<factor = 2.0>) : tensor<2xf64>
  %cos1, %sin1 = rope.table ins(%p, %g1 : tensor<?xi64>, tensor<2xf64>) outs(%c, %s : tensor<?x2xf32>, tensor<?x2xf32>)
  return %cos, %cos1 : tensor<?x2xf32>, tensor<?x2xf32>
}

// -----

// What nobody reads goes, on tensors alone.

// CSE-LABEL: @unused(
// CSE-NOT: rope.frequencies
// CSE-NOT: tensor
// CSE: rope.apply ins({{.*}} : memref<4xf32>
// CSE-NEXT: return
func.func @unused(%m: memref<4xf32>, %c: memref<2xf32>, %p: i64) {
  %f = rope.frequencies base(1.0e4) : tensor<2xf64>
  %t = tensor.from_elements %p : tensor<i64>
  %e = tensor.empty() : tensor<2xf32>
  %cos, %sin = rope.table ins(%t, %f : tensor<i64>, tensor<2xf64>) outs(%e, %e : tensor<2xf32>, tensor<2xf32>)
  rope.apply ins(%m, %c, %c : memref<4xf32>, memref<2xf32>, memref<2xf32>) outs(%m : memref<4xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

// A table of static shape may be made before a loop that perhaps never runs; one
// whose sizes may disagree only where it stands; on memrefs effects keep it.

// LICM-LABEL: @speculation(
// LICM: rope.frequencies
// LICM: rope.table ins({{.*}} : tensor<4xi64>
// LICM: scf.for
// LICM-NEXT: rope.table ins({{.*}} : tensor<?xi64>
// LICM: rope.table ins({{.*}} : memref<4xi64>
func.func @speculation(%n: index, %p: tensor<4xi64>, %c: tensor<4x2xf32>, %dp: tensor<?xi64>, %dc: tensor<?x2xf32>,
                       %mp: memref<4xi64>, %mf: memref<2xi64>, %mc: memref<4x2xf32>, %ms: memref<4x2xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %f = rope.frequencies base(1.0e4) : tensor<2xf64>
    %cos, %sin = rope.table ins(%p, %f : tensor<4xi64>, tensor<2xf64>) outs(%c, %c : tensor<4x2xf32>, tensor<4x2xf32>)
    %cos1, %sin1 = rope.table ins(%dp, %f : tensor<?xi64>, tensor<2xf64>) outs(%dc, %dc : tensor<?x2xf32>, tensor<?x2xf32>)
    rope.table ins(%mp, %mf : memref<4xi64>, memref<2xi64>) outs(%mc, %ms : memref<4x2xf32>, memref<4x2xf32>)
  }
  return
}

// -----

// What is known of one table's size alone is kept.

// CSE-LABEL: @cast_of_one_table(
// CSE: %{{.*}}, %{{.*}} = rope.table {{.*}} outs(%{{.*}}, %{{.*}} : tensor<4x2xf32>, tensor<?x2xf32>)
func.func @cast_of_one_table(%p: tensor<?xi64>, %f: tensor<2xf64>, %c: tensor<4x2xf32>, %s: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %d = tensor.cast %c : tensor<4x2xf32> to tensor<?x2xf32>
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<2xf64>) outs(%d, %s : tensor<?x2xf32>, tensor<?x2xf32>)
  return %cos, %sin : tensor<?x2xf32>, tensor<?x2xf32>
}

// -----

// Functions that hold the operations are inlined.

// INLINE-LABEL: @caller(
// INLINE-NOT: call
// INLINE: rope.frequencies
// INLINE: rope.scale_frequencies
// INLINE: rope.table
// INLINE: rope.apply
// INLINE-NOT: call
// INLINE: return
func.func @caller(%x: tensor<4x8xf32>, %p: tensor<4xi64>, %t: tensor<4x4xf32>) -> tensor<4x8xf32> {
  %y = call @callee(%x, %p, %t) : (tensor<4x8xf32>, tensor<4xi64>, tensor<4x4xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
func.func private @callee(%x: tensor<4x8xf32>, %p: tensor<4xi64>, %t: tensor<4x4xf32>) -> tensor<4x8xf32> {
  %f = rope.frequencies base(1.0e4) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<4xf64>
  %c, %s = rope.table ins(%p, %g : tensor<4xi64>, tensor<4xf64>) outs(%t, %t : tensor<4x4xf32>, tensor<4x4xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>) outs(%x : tensor<4x8xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<4x8xf32>
}

// -----

// Results of attention have the sizes of their destinations.

// REIFY-LABEL: @reify_attention(
// REIFY-SAME: %[[O:arg[0-9]+]]: tensor<?x8x?xf32>, %[[S:arg[0-9]+]]: tensor<8x?xf32>)
// REIFY-DAG: %[[C0:.*]] = arith.constant 0 : index
// REIFY-DAG: %[[C1:.*]] = arith.constant 1 : index
// REIFY-DAG: %[[C2:.*]] = arith.constant 2 : index
// REIFY-DAG: %[[C8:.*]] = arith.constant 8 : index
// REIFY-DAG: %[[I:.*]] = tensor.dim %[[O]], %[[C0]]
// REIFY-DAG: %[[E:.*]] = tensor.dim %[[O]], %[[C2]]
// REIFY-DAG: %[[J:.*]] = tensor.dim %[[S]], %[[C1]]
// REIFY: return %[[I]], %[[C8]], %[[E]], %[[J]]
#aq = affine_map<(b, h, i, j, d, e) -> (i, h, d)>
#ak = affine_map<(b, h, i, j, d, e) -> (j, h, d)>
#av = affine_map<(b, h, i, j, d, e) -> (j, h, e)>
#ao = affine_map<(b, h, i, j, d, e) -> (i, h, e)>
#as = affine_map<(b, h, i, j, d, e) -> (h, i)>
func.func @reify_attention(%x: tensor<?x8x16xf32>, %v: tensor<?x8x?xf32>, %o: tensor<?x8x?xf32>, %s: tensor<8x?xf32>) -> (index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %r:2 = rope.attention {indexing_maps = [#aq, #ak, #av, #ao, #as]}
    ins(%x, %x, %v : tensor<?x8x16xf32>, tensor<?x8x16xf32>, tensor<?x8x?xf32>)
    outs(%o, %s : tensor<?x8x?xf32>, tensor<8x?xf32>)
  %i = tensor.dim %r#0, %c0 : tensor<?x8x?xf32>
  %h = tensor.dim %r#0, %c1 : tensor<?x8x?xf32>
  %e = tensor.dim %r#0, %c2 : tensor<?x8x?xf32>
  %j = tensor.dim %r#1, %c1 : tensor<8x?xf32>
  return %i, %h, %e, %j : index, index, index, index
}

// -----

// So have those of a part of it.

// REIFY-LABEL: @reify_online(
// REIFY-SAME: tensor<?x4xf32>, %[[A:arg[0-9]+]]: tensor<?x4xf32>, %{{.*}}: tensor<?xf32>, %[[S:arg[0-9]+]]: tensor<?x?xf32>)
// REIFY-DAG: %[[C0:.*]] = arith.constant 0 : index
// REIFY-DAG: %[[C1:.*]] = arith.constant 1 : index
// REIFY-DAG: %[[I:.*]] = tensor.dim %[[A]], %[[C0]]
// REIFY-DAG: %[[J:.*]] = tensor.dim %[[S]], %[[C1]]
// REIFY: return %[[I]], %[[J]]
#oq = affine_map<(b, h, i, j, d, e) -> (i, d)>
#ok = affine_map<(b, h, i, j, d, e) -> (j, d)>
#ov = affine_map<(b, h, i, j, d, e) -> (j, e)>
#oo = affine_map<(b, h, i, j, d, e) -> (i, e)>
#or = affine_map<(b, h, i, j, d, e) -> (i)>
#os = affine_map<(b, h, i, j, d, e) -> (i, j)>
func.func @reify_online(%x: tensor<?x4xf32>, %a: tensor<?x4xf32>, %row: tensor<?xf32>, %s: tensor<?x?xf32>) -> (index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r:5 = rope.online_attention {indexing_maps = [#oq, #ok, #ov, #oo, #or, #or, #os, #or]}
    ins(%x, %x, %x : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
    outs(%a, %row, %row, %s, %row : tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x?xf32>, tensor<?xf32>)
  %i = tensor.dim %r#0, %c0 : tensor<?x4xf32>
  %j = tensor.dim %r#3, %c1 : tensor<?x?xf32>
  return %i, %j : index, index
}

// -----

// Equal attention is one, and goes where nobody reads it; on memrefs effects
// keep it.

// CSE-LABEL: @equal_attention(
// CSE-NEXT: %[[R:.*]] = rope.attention
// CSE-NEXT: rope.attention {{.*}} ins({{.*}} : memref<2x4xf32>
// CSE-NEXT: return %[[R]], %[[R]]
#eq = affine_map<(b, h, i, j, d, e) -> (i, d)>
#ek = affine_map<(b, h, i, j, d, e) -> (j, d)>
#ev = affine_map<(b, h, i, j, d, e) -> (j, e)>
#eo = affine_map<(b, h, i, j, d, e) -> (i, e)>
func.func @equal_attention(%x: tensor<2x4xf32>, %o: tensor<2x4xf32>, %m: memref<2x4xf32>, %n: memref<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %r = rope.attention {indexing_maps = [#eq, #ek, #ev, #eo]} ins(%x, %x, %x : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%o : tensor<2x4xf32>)
  %s = rope.attention {indexing_maps = [#eq, #ek, #ev, #eo]} ins(%x, %x, %x : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%o : tensor<2x4xf32>)
  %t = rope.attention {scale = 2.0, indexing_maps = [#eq, #ek, #ev, #eo]} ins(%x, %x, %x : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%o : tensor<2x4xf32>)
  rope.attention {indexing_maps = [#eq, #ek, #ev, #eo]} ins(%m, %m, %m : memref<2x4xf32>, memref<2x4xf32>, memref<2x4xf32>) outs(%n : memref<2x4xf32>)
  return %r, %s : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----
// Static shapes alone may be computed where perhaps nobody asks.

// LICM-LABEL: @speculate_attention(
// LICM: rope.attention {{.*}} ins({{.*}} : tensor<2x4xf32>
// LICM: scf.for
// LICM-NEXT: rope.attention {{.*}} ins({{.*}} : tensor<?x4xf32>
// LICM-NEXT: rope.attention {{.*}} ins({{.*}} : memref<2x4xf32>
#sq = affine_map<(b, h, i, j, d, e) -> (i, d)>
#sk = affine_map<(b, h, i, j, d, e) -> (j, d)>
#sv = affine_map<(b, h, i, j, d, e) -> (j, e)>
#so = affine_map<(b, h, i, j, d, e) -> (i, e)>
func.func @speculate_attention(%count: index, %x: tensor<2x4xf32>, %y: tensor<?x4xf32>, %m: memref<2x4xf32>, %n: memref<2x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %count step %c1 {
    %r = rope.attention {indexing_maps = [#sq, #sk, #sv, #so]} ins(%x, %x, %x : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%x : tensor<2x4xf32>)
    %s = rope.attention {indexing_maps = [#sq, #sk, #sv, #so]} ins(%y, %y, %y : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%y : tensor<?x4xf32>)
    rope.attention {indexing_maps = [#sq, #sk, #sv, #so]} ins(%m, %m, %m : memref<2x4xf32>, memref<2x4xf32>, memref<2x4xf32>) outs(%n : memref<2x4xf32>)
  }
  return
}

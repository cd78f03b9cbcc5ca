// RUN: rope-opt %s --split-input-file --verify-diagnostics --transform-interpreter --canonicalize --cse | FileCheck %s

// The loops are batch, query head and query; keys and channels stay whole. A
// dynamic tile follows in all operands, and its first query has a position.

// CHECK-LABEL: @all_loops(
// CHECK-SAME: %[[Q:arg[0-9]+]]: tensor<2x?x8x64xbf16>, %[[K:arg[0-9]+]]: tensor<2x?x8x64xbf16>
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK-DAG: %[[QT:.*]] = tensor.extract_slice %[[Q]][%[[B]], %[[I]], %[[H]], 0] [1, %[[SIZE]], 2, 64] [1, 1, 1, 1]
// CHECK-DAG: %[[KT:.*]] = tensor.extract_slice %[[K]][%[[B]], 0, %[[H]], 0] [1, %{{.*}}, 2, 64] [1, 1, 1, 1]
// CHECK: rope.attention
// CHECK-SAME: ins(%[[QT]], %[[KT]], %{{.*}} : tensor<1x?x2x64xbf16>, tensor<1x?x2x64xbf16>, tensor<1x?x2x32xbf16>)
// CHECK-SAME: query_offset(%[[I]] : index)
// CHECK-SAME: outs(%{{.*}} : tensor<1x?x2x32xbf16>)
// CHECK: tensor.insert_slice %{{.*}}[%[[B]], %[[I]], %[[H]], 0] [1, %[[SIZE]], 2, 32]
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @all_loops(%q: tensor<2x?x8x64xbf16>, %k: tensor<2x?x8x64xbf16>, %v: tensor<2x?x8x32xbf16>, %o: tensor<2x?x8x32xbf16>) -> tensor<2x?x8x32xbf16> {
  %r = rope.attention {causal, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : tensor<2x?x8x64xbf16>, tensor<2x?x8x64xbf16>, tensor<2x?x8x32xbf16>)
    outs(%o : tensor<2x?x8x32xbf16>)
  return %r : tensor<2x?x8x32xbf16>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:3 = transform.structured.tile_using_for %0 tile_sizes [1, 2, 16] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Groups of four heads, in tiles of eight: two of the key's heads each. Values
// have one head for two, masks one for all.

// CHECK-DAG: #[[K:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1 floordiv 4, d3, d4)>
// CHECK-DAG: #[[V:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2, d3, d5)>
// CHECK-DAG: #[[M:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (0, d2)>
// CHECK-DAG: #[[BY4:.*]] = affine_map<()[s0] -> (s0 floordiv 4)>
// CHECK-DAG: #[[BY2:.*]] = affine_map<()[s0] -> (s0 floordiv 2)>
// CHECK-LABEL: @whole_groups(
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK-DAG: %[[H4:.*]] = affine.apply #[[BY4]]()[%[[H]]]
// CHECK-DAG: %[[H2:.*]] = affine.apply #[[BY2]]()[%[[H]]]
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[H4]], 0, 0] [2, 6, 16] [1, 1, 1] : tensor<4x6x16xf32>
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[H2]], 0, 0] [4, 6, 16] [1, 1, 1] : tensor<8x6x16xf32>
// CHECK: rope.attention {{{.*}}indexing_maps = [#{{.*}}, #[[K]], #[[V]], #[[M]], #{{.*}}]
// CHECK-SAME: score_operands(%{{.*}} : tensor<1x5xf32>)
// CHECK-SAME: sinks(%{{.*}} : tensor<8xf32>)

// Unknown numbers of heads are whole groups too.

// CHECK-LABEL: @whole_groups_dynamic(
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK-DAG: %[[H4:.*]] = affine.apply #[[BY4]]()[%[[H]]]
// CHECK-DAG: %[[N4:.*]] = affine.apply #[[BY4]]()[%[[SIZE]]]
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[H4]], 0, 0] [%[[N4]], 6, 16]
// CHECK: rope.attention
#q = affine_map<(b, h, i, j, d, e) -> (h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (h floordiv 2, j, e)>
#m = affine_map<(b, h, i, j, d, e) -> (0, i)>
#o = affine_map<(b, h, i, j, d, e) -> (h, i, e)>
func.func @whole_groups(%q: tensor<16x5x16xf32>, %k: tensor<4x6x16xf32>, %v: tensor<8x6x16xf32>, %m: tensor<1x5xf32>, %sinks: tensor<16xf32>, %o: tensor<16x5x16xf32>) -> tensor<16x5x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #m, #o]}
    ins(%q, %k, %v : tensor<16x5x16xf32>, tensor<4x6x16xf32>, tensor<8x6x16xf32>)
    score_operands(%m : tensor<1x5xf32>)
    sinks(%sinks : tensor<16xf32>)
    outs(%o : tensor<16x5x16xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index, %x: f32):
    %y = arith.addf %s, %x : f32
    rope.yield %y : f32
  }
  return %r : tensor<16x5x16xf32>
}
func.func @whole_groups_dynamic(%q: tensor<?x5x16xf32>, %k: tensor<?x6x16xf32>, %v: tensor<?x6x16xf32>, %o: tensor<?x5x16xf32>) -> tensor<?x5x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : tensor<?x5x16xf32>, tensor<?x6x16xf32>, tensor<?x6x16xf32>)
    outs(%o : tensor<?x5x16xf32>)
  return %r : tensor<?x5x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [0, 8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Two heads of a group of four: they share one of the key's, and their tile
// knows it by a constant. Values of groups of two are whole ones.

// CHECK-DAG: #[[K:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (0, d3, d4)>
// CHECK-DAG: #[[V:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1 floordiv 2, d3, d5)>
// CHECK-LABEL: @within_group(
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK-DAG: %[[H4:.*]] = affine.apply #{{.*}}()[%[[H]]]
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[H4]], 0, 0] [1, 6, 16] [1, 1, 1] : tensor<4x6x16xf32>
// CHECK-DAG: tensor.extract_slice %{{.*}}[%[[H4]], 0] [1, 8] [1, 1] : tensor<4x8xf32>
// CHECK: rope.attention {{{.*}}indexing_maps = [#{{.*}}, #[[K]], #[[V]], #{{[a-z0-9]+}}]
// CHECK-SAME: ins({{.*}} : tensor<2x5x16xf32>, tensor<1x6x16xf32>, tensor<1x6x16xf32>)
// CHECK-SAME: rotate_key({{.*}} : tensor<1x8xf32>, tensor<1x8xf32>) by <pairing = half, position_dims = [0]>
#q = affine_map<(b, h, i, j, d, e) -> (h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (h floordiv 2, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (h, i, e)>
func.func @within_group(%q: tensor<16x5x16xf32>, %k: tensor<4x6x16xf32>, %v: tensor<8x6x16xf32>, %t: tensor<4x8xf32>, %o: tensor<16x5x16xf32>) -> tensor<16x5x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : tensor<16x5x16xf32>, tensor<4x6x16xf32>, tensor<8x6x16xf32>)
    rotate_key(%t, %t : tensor<4x8xf32>, tensor<4x8xf32>) by <pairing = half, position_dims = [0]>
    outs(%o : tensor<16x5x16xf32>)
  return %r : tensor<16x5x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [0, 2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Three heads cut groups of four in ways that no map says.

func.func @cut_groups(%q: tensor<12x5x16xf32>, %k: tensor<3x6x16xf32>, %v: tensor<3x6x16xf32>, %o: tensor<12x5x16xf32>) -> tensor<12x5x16xf32> {
  // expected-error @below {{to tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (h floordiv 4, j, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (h, i, e)>]}
    ins(%q, %k, %v : tensor<12x5x16xf32>, tensor<3x6x16xf32>, tensor<3x6x16xf32>)
    outs(%o : tensor<12x5x16xf32>)
  return %r : tensor<12x5x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [0, 3] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Heads that are not tiled are all there, however many.

// CHECK-LABEL: @untiled_groups(
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: tensor.extract_slice %{{.*}}[%[[B]], 0, 0, 0] [1, %{{.*}}, 6, 16] [1, 1, 1, 1] : tensor<2x?x6x16xf32>
// CHECK: rope.attention
#q = affine_map<(b, h, i, j, d, e) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, h floordiv 4, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, h floordiv 4, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, h, i, e)>
func.func @untiled_groups(%q: tensor<2x?x5x16xf32>, %k: tensor<2x?x6x16xf32>, %o: tensor<2x?x5x16xf32>) -> tensor<2x?x5x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %k : tensor<2x?x5x16xf32>, tensor<2x?x6x16xf32>, tensor<2x?x6x16xf32>)
    outs(%o : tensor<2x?x5x16xf32>)
  return %r : tensor<2x?x5x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [1] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// The first query of a tile has the position of the tile's start, where
// positions matter: after a given offset, after one of each batch, in numbers
// that hold any position.

// CHECK-LABEL: @no_position(
// CHECK: rope.attention
// CHECK-NOT: query_offset
// CHECK: return

// CHECK-LABEL: @scalar_offset(
// CHECK-SAME: %[[OFFSET:arg[0-9]+]]: i8
// CHECK: scf.for
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: %[[INDEX:.*]] = arith.index_cast %[[OFFSET]] : i8 to index
// CHECK: %[[FIRST:.*]] = arith.addi %[[INDEX]], %[[I]] : index
// CHECK: rope.attention {causal, {{.*}}window = 5 : i64} {{.*}} query_offset(%[[FIRST]] : index)

// CHECK-LABEL: @batch_offset(
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK-DAG: %[[OFFSET:.*]] = tensor.extract_slice %{{.*}}[%[[B]]] [1] [1] : tensor<2xi32>
// CHECK-DAG: %[[LENGTH:.*]] = tensor.extract_slice %{{.*}}[%[[B]]] [1] [1] : tensor<2xi64>
// CHECK: %[[FIRST:.*]] = linalg.generic {{.*}} ins(%[[OFFSET]] : tensor<1xi32>) outs(%{{.*}} : tensor<1xindex>)
// CHECK: arith.index_cast
// CHECK: arith.addi %{{.*}}, %[[I]] : index
// CHECK: %[[R:.*]], %[[LSE:.*]] = rope.attention {chunk = 7 : i64, {{.*}} query_offset(%[[FIRST]] : tensor<1xindex>) lengths(%[[LENGTH]] : tensor<1xi64>)
// CHECK-SAME: outs(%{{.*}}, %{{.*}} : tensor<1x4x16xf32>, tensor<4x1xf32>)
// CHECK-DAG: tensor.insert_slice %[[R]] into %{{.*}}[%[[B]], %[[I]], 0]
// CHECK-DAG: tensor.insert_slice %[[LSE]] into %{{.*}}[%[[I]], %[[B]]]
#q = affine_map<(b, h, i, j, d, e) -> (b, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, e)>
#s = affine_map<(b, h, i, j, d, e) -> (i, b)>
func.func @no_position(%x: tensor<2x8x16xf32>, %o: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    outs(%o : tensor<2x8x16xf32>)
  return %r : tensor<2x8x16xf32>
}
func.func @scalar_offset(%x: tensor<2x8x16xf32>, %offset: i8, %o: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  %r = rope.attention {causal, window = 5, indexing_maps = [#q, #k, #v, #o]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    query_offset(%offset : i8)
    outs(%o : tensor<2x8x16xf32>)
  return %r : tensor<2x8x16xf32>
}
func.func @batch_offset(%x: tensor<2x8x16xf32>, %offset: tensor<2xi32>, %lengths: tensor<2xi64>, %o: tensor<2x8x16xf32>, %s: tensor<8x2xf32>) -> (tensor<2x8x16xf32>, tensor<8x2xf32>) {
  %r:2 = rope.attention {chunk = 7, indexing_maps = [#q, #k, #v, #o, #s]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    query_offset(%offset : tensor<2xi32>)
    lengths(%lengths : tensor<2xi64>)
    outs(%o, %s : tensor<2x8x16xf32>, tensor<8x2xf32>)
  return %r#0, %r#1 : tensor<2x8x16xf32>, tensor<8x2xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.tile_using_for %0 tile_sizes [1, 0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Indices of the region count from the start of the whole.

// CHECK-LABEL: @indices(
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: rope.attention
// CHECK: ^bb0(%[[S:.*]]: f32, %[[b:.*]]: index, %{{.*}}: index, %[[i:.*]]: index, %[[j:.*]]: index):
// CHECK-DAG: %[[BATCH:.*]] = arith.addi %[[b]], %[[B]] : index
// CHECK-DAG: %[[QUERY:.*]] = arith.addi %[[i]], %[[I]] : index
// CHECK: %[[SUM:.*]] = arith.addi %[[BATCH]], %[[QUERY]] : index
// CHECK: arith.cmpi sle, %[[j]], %[[SUM]] : index
#q = affine_map<(b, h, i, j, d, e) -> (b, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, e)>
func.func @indices(%x: tensor<2x8x16xf32>, %o: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    outs(%o : tensor<2x8x16xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %sum = arith.addi %b, %i : index
    %near = arith.cmpi sle, %j, %sum : index
    %zero = arith.constant 0.0 : f32
    %y = arith.select %near, %s, %zero : f32
    rope.yield %y : f32
  }
  return %r : tensor<2x8x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.tile_using_for %0 tile_sizes [1, 0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Tables and positions of queries are those of the tile; those of keys are
// whole but for what follows batches. Axes and frequencies stay whole.

// CHECK-LABEL: @tables(
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK-DAG: %[[T:.*]] = tensor.extract_slice %{{.*}}[%[[I]], 0] [4, 8] [1, 1] : tensor<8x8xf32>
// CHECK-DAG: %[[U:.*]] = tensor.extract_slice %{{.*}}[0, %[[B]], 0] [8, 1, 8] [1, 1, 1] : tensor<8x2x8xf32>
// CHECK: rope.attention
// CHECK-SAME: rotate_query(%[[T]], %[[T]] : tensor<4x8xf32>, tensor<4x8xf32>) by <pairing = half, position_dims = [1]>
// CHECK-SAME: rotate_key(%[[U]], %[[U]] : tensor<8x1x8xf32>, tensor<8x1x8xf32>) by <pairing = half, position_dims = [1, 0]>

// CHECK-LABEL: @angles(
// CHECK: scf.for %[[B:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK-DAG: %[[P:.*]] = tensor.extract_slice %{{.*}}[0, %[[B]], %[[I]]] [2, 1, 4] [1, 1, 1] : tensor<2x2x8xi64>
// CHECK: rope.attention
// CHECK-SAME: rotate_query(%[[P]], %{{.*}} : tensor<2x1x4xi64>, tensor<4xf64>)
// CHECK-SAME: rotate_key(%{{.*}}, %{{.*}} : tensor<8xi64>, tensor<4xf64>)
#q = affine_map<(b, h, i, j, d, e) -> (b, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, e)>
func.func @tables(%x: tensor<2x8x16xf32>, %t: tensor<8x8xf32>, %u: tensor<8x2x8xf32>, %o: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    rotate_query(%t, %t : tensor<8x8xf32>, tensor<8x8xf32>) by <pairing = half, position_dims = [1]>
    rotate_key(%u, %u : tensor<8x2x8xf32>, tensor<8x2x8xf32>) by <pairing = half, position_dims = [1, 0]>
    outs(%o : tensor<2x8x16xf32>)
  return %r : tensor<2x8x16xf32>
}
func.func @angles(%x: tensor<2x8x16xf32>, %p: tensor<2x2x8xi64>, %kp: tensor<8xi64>, %f: tensor<4xf64>, %o: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  %r = rope.attention {indexing_maps = [#q, #k, #v, #o]}
    ins(%x, %x, %x : tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>)
    rotate_query(%p, %f : tensor<2x2x8xi64>, tensor<4xf64>) by <pairing = half, position_dims = [0, 1], angles = <magnitude = 1.0, axes = [0, 1, 1, 0]>>
    rotate_key(%kp, %f : tensor<8xi64>, tensor<4xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    outs(%o : tensor<2x8x16xf32>)
  return %r : tensor<2x8x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.tile_using_for %0 tile_sizes [1, 0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Memrefs tile to subviews.

// CHECK-LABEL: @memrefs(
// CHECK: scf.for %[[H:[a-z0-9]+]] =
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: %[[Q:.*]] = memref.subview %{{.*}}[%[[H]], %[[I]], 0] [2, 4, 16] [1, 1, 1] : memref<4x8x16xf32>
// CHECK: %[[O:.*]] = memref.subview %{{.*}}[%[[H]], %[[I]], 0] [2, 4, 16] [1, 1, 1] : memref<4x8x16xf32>
// CHECK: rope.attention {causal, {{.*}}ins(%[[Q]], %{{.*}} query_offset(%[[I]] : index) outs(%[[O]] :
func.func @memrefs(%q: memref<4x8x16xf32>, %k: memref<8x16xf32>, %o: memref<4x8x16xf32>) {
  rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (j, e)>,
                                           affine_map<(b, h, i, j, d, e) -> (h, i, e)>]}
    ins(%q, %k, %k : memref<4x8x16xf32>, memref<8x16xf32>, memref<8x16xf32>)
    outs(%o : memref<4x8x16xf32>)
  return
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.tile_using_for %0 tile_sizes [0, 2, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// On memrefs nothing holds a position for each batch.

func.func @memref_offsets(%x: memref<2x8x16xf32>, %offset: memref<2xi64>, %o: memref<2x8x16xf32>) {
  // expected-error @below {{to tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (b, j, d)>,
                                           affine_map<(b, h, i, j, d, e) -> (b, j, e)>,
                                           affine_map<(b, h, i, j, d, e) -> (b, i, e)>]}
    ins(%x, %x, %x : memref<2x8x16xf32>, memref<2x8x16xf32>, memref<2x8x16xf32>)
    query_offset(%offset : memref<2xi64>)
    outs(%o : memref<2x8x16xf32>)
  return
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [0, 0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Nothing to tile where there are no keys: a slice of them would start behind
// them.

func.func @no_keys(%q: tensor<8x16xf32>, %k: tensor<0x16xf32>, %o: tensor<8x16xf32>) -> tensor<8x16xf32> {
  // expected-error @below {{to tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %k : tensor<8x16xf32>, tensor<0x16xf32>, tensor<0x16xf32>)
    outs(%o : tensor<8x16xf32>)
  return %r : tensor<8x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l = transform.structured.tile_using_for %0 tile_sizes [0, 0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// As the producer of what consumes it, whose channels are known to be whole.

// CHECK-LABEL: @producer(
// CHECK: scf.for
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: %[[R:.*]] = rope.attention {{.*}} query_offset(%[[I]] : index)
// CHECK: linalg.exp ins(%[[R]] : tensor<1x?x2x?xf32>)
// CHECK-NOT: rope.attention
#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>
func.func @producer(%q: tensor<?x?x2x16xf32>, %k: tensor<?x?x2x16xf32>, %v: tensor<?x?x2x?xf32>, %o: tensor<?x?x2x?xf32>) -> tensor<?x?x2x?xf32> {
  %y = rope.attention {causal, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %v : tensor<?x?x2x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x?xf32>)
    outs(%o : tensor<?x?x2x?xf32>)
  %z = linalg.exp ins(%y : tensor<?x?x2x?xf32>) outs(%o : tensor<?x?x2x?xf32>) -> tensor<?x?x2x?xf32>
  return %z : tensor<?x?x2x?xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.fuse %0 tile_sizes [1, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A part of the channels is no tile: attention stays in front.

// CHECK-LABEL: @channels_are_whole(
// CHECK: %[[Y:.*]] = rope.attention {{.*}} ins(%{{.*}} : tensor<8x16xf32>
// CHECK: scf.for
// CHECK-NOT: rope.attention
// CHECK: tensor.extract_slice %[[Y]]
func.func @channels_are_whole(%x: tensor<8x16xf32>, %o: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %y = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%x, %x, %x : tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>)
    outs(%o : tensor<8x16xf32>)
  %z = linalg.exp ins(%y : tensor<8x16xf32>) outs(%o : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %z : tensor<8x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.fuse %0 tile_sizes [2, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// In parallel loops.

// CHECK-LABEL: @parallel(
// CHECK: scf.forall (%[[I:.*]]) in (4)
// CHECK: %[[START:.*]] = affine.apply
// CHECK: rope.attention {causal, {{.*}} query_offset(%[[START]] : index)
// CHECK: linalg.exp ins(%{{.*}} : tensor<2x16xf32>)
func.func @parallel(%x: tensor<8x16xf32>, %o: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %y = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>,
                                                affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                                affine_map<(b, h, i, j, d, e) -> (j, e)>,
                                                affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%x, %x, %x : tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>)
    outs(%o : tensor<8x16xf32>)
  %z = linalg.exp ins(%y : tensor<8x16xf32>) outs(%o : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %z : tensor<8x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["linalg.exp"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop = transform.structured.tile_using_forall %0 tile_sizes [2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %2 = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %3, %4 = transform.structured.fuse_into_containing_op %2 into %loop : (!transform.any_op, !transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// online_attention tiles its keys too: the state is carried from one tile of
// keys to the next.

// CHECK-LABEL: @online(
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: scf.for %[[J:[a-z0-9]+]] = {{.*}} iter_args(%[[ACC:.*]] = %{{.*}}, %[[MAX:.*]] = %{{.*}}, %[[SUM:.*]] = %{{.*}}, %[[SCORES:.*]] = %{{.*}}, %[[CORRECTION:.*]] = %{{[^)]*}})
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK-DAG: %[[K:.*]] = tensor.extract_slice %{{.*}}[0, %[[J]], 0] [4, %[[SIZE]], 16] [1, 1, 1] : tensor<4x?x16xf32>
// CHECK-DAG: %[[M:.*]] = tensor.extract_slice %{{.*}}[%[[I]], %[[J]]] [8, %[[SIZE]]] [1, 1]
// CHECK-DAG: %[[ACCT:.*]] = tensor.extract_slice %[[ACC]][0, %[[I]], 0] [4, 8, 16] [1, 1, 1]
// CHECK-DAG: %[[SCORESTILE:.*]] = tensor.extract_slice %[[SCORES]][0, %[[I]], %[[J]]] [4, 8, %[[SIZE]]] [1, 1, 1]
// CHECK: rope.online_attention
// CHECK-SAME: ins(%{{.*}}, %[[K]], %{{.*}}) score_operands(%[[M]] : tensor<8x?xf32>) outs(%[[ACCT]], %{{.*}}, %{{.*}}, %[[SCORESTILE]], %{{.*}} :
// CHECK: ^bb0(%{{.*}}: f32, %{{.*}}: index, %{{.*}}: index, %[[i:.*]]: index, %[[j:.*]]: index, %{{.*}}: f32):
// CHECK-DAG: arith.addi %[[i]], %[[I]] : index
// CHECK-DAG: arith.addi %[[j]], %[[J]] : index
#q = affine_map<(b, h, i, j, d, e) -> (h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (h, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (h, j, e)>
#m = affine_map<(b, h, i, j, d, e) -> (i, j)>
#o = affine_map<(b, h, i, j, d, e) -> (h, i, e)>
#r = affine_map<(b, h, i, j, d, e) -> (h, i)>
#s = affine_map<(b, h, i, j, d, e) -> (h, i, j)>
func.func @online(%q: tensor<4x16x16xf32>, %k: tensor<4x?x16xf32>, %m: tensor<16x?xf32>, %acc: tensor<4x16x16xf32>, %row: tensor<4x16xf32>, %scores: tensor<4x16x?xf32>) -> (tensor<4x16x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>) {
  %r:5 = rope.online_attention {indexing_maps = [#q, #k, #v, #m, #o, #r, #r, #s, #r]}
    ins(%q, %k, %k : tensor<4x16x16xf32>, tensor<4x?x16xf32>, tensor<4x?x16xf32>)
    score_operands(%m : tensor<16x?xf32>)
    outs(%acc, %row, %row, %scores, %row : tensor<4x16x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16x?xf32>, tensor<4x16xf32>) {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index, %x: f32):
    %near = arith.cmpi sle, %j, %i : index
    %y = arith.addf %s, %x : f32
    %z = arith.select %near, %y, %s : f32
    rope.yield %z : f32
  }
  return %r#0, %r#1, %r#2 : tensor<4x16x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["rope.online_attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %l:2 = transform.structured.tile_using_for %0 tile_sizes [0, 0, 8, 32] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

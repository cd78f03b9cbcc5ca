// RUN: rope-opt %s --split-input-file --verify-diagnostics --remark-format=emitRemark --remarks-filter='rope-fuse.*' \
// RUN:   --pass-pipeline='builtin.module(func.func(rope-fuse-cache-append),canonicalize,cse)' | FileCheck %s

// A row of each token goes to its place; the size of the rotated tensor is that
// of x. All heads of a token are one row where they lie side by side.

// CHECK-LABEL: @contiguous(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<2x?x8x64xf32>
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: tensor<2x?x8x64xf32>, %[[POS:[a-z0-9]+]]: index
// CHECK: scf.for %[[B:[a-z0-9]+]]
// CHECK-SAME: iter_args(%[[C0:[a-z0-9]+]] = %[[CACHE]])
// CHECK: scf.for %[[T:[a-z0-9]+]]
// CHECK-SAME: iter_args(%[[C1:[a-z0-9]+]] = %[[C0]])
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[X]][%[[B]], %[[T]], 0, 0] [1, 1, 8, 64]
// CHECK: %[[Y:.*]] = rope.apply ins(%[[ROW]]
// CHECK: %[[AT:.*]] = affine.apply #{{.*}}()[%[[POS]], %[[T]]]
// CHECK: tensor.insert_slice %[[Y]] into %[[C1]][%[[B]], %[[AT]], 0, 0] [1, 1, 8, 64]
// CHECK-NOT: rope.apply
func.func @contiguous(%x: tensor<2x?x8x64xf32>, %c: tensor<?x32xf32>, %s: tensor<?x32xf32>, %cache: tensor<2x?x8x64xf32>, %pos: index) -> tensor<2x?x8x64xf32> {
  %c1 = arith.constant 1 : index
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %n = tensor.dim %y, %c1 : tensor<2x?x8x64xf32>
  %r = tensor.insert_slice %y into %cache[0, %pos, 0, 0] [2, %n, 8, 64] [1, 1, 1, 1] : tensor<2x?x8x64xf32> into tensor<2x?x8x64xf32>
  return %r : tensor<2x?x8x64xf32>
}

// -----

// Heads first, so that each head of a token is a row; into one sequence of a
// cache, every second place. What is saved is known where sizes are.

// CHECK-LABEL: @rank_reduced(
// CHECK: scf.for %[[H:[a-z0-9]+]]
// CHECK: scf.for %[[T:[a-z0-9]+]]
// CHECK: %[[Y:.*]] = rope.apply
// CHECK-SAME: tensor<1x1x64xf16>
// CHECK: tensor.insert_slice %[[Y]] into %{{.*}}[1, %[[H]], %{{.*}}, 0] [1, 1, 1, 64] [1, 1, 2, 1]
func.func @rank_reduced(%x: tensor<8x5x64xf16>, %c: tensor<5x32xf32>, %s: tensor<5x32xf32>, %cache: tensor<2x8x100x64xf16>) -> tensor<2x8x100x64xf16> {
  // expected-remark @below {{bytesSaved=5120}}
  %y = rope.apply ins(%x, %c, %s : tensor<8x5x64xf16>, tensor<5x32xf32>, tensor<5x32xf32>)
                  outs(%x : tensor<8x5x64xf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = tensor.insert_slice %y into %cache[1, 0, 7, 0] [1, 8, 5, 64] [1, 1, 2, 1] : tensor<8x5x64xf16> into tensor<2x8x100x64xf16>
  return %r : tensor<2x8x100x64xf16>
}

// -----

// A table of its own is made row by row: in the loop over positions, not in that
// over sequences. The cast and the change of layout are done row by row, too.

// CHECK-LABEL: @table_cast_transpose(
// CHECK-NOT: rope.table
// CHECK: scf.for %[[T:[a-z0-9]+]]
// CHECK-NOT: scf.for
// CHECK: rope.table
// CHECK-SAME: outs({{.*}} : tensor<1x32xf32>, tensor<1x32xf32>)
// CHECK-NOT: rope.table
// CHECK: scf.for %[[B:[a-z0-9]+]]
// CHECK: rope.apply
// CHECK: arith.truncf {{.*}} to tensor<1x1x8x64xbf16>
// CHECK: linalg.transpose
// CHECK: tensor.insert_slice {{.*}}[%[[B]], 0, %{{.*}}, 0] [1, 8, 1, 64]
// CHECK-NOT: {{rope[.](apply|table)}}
func.func @table_cast_transpose(%x: tensor<2x?x8x64xf32>, %p: tensor<?xi64>, %f: tensor<32xi64>, %cache: tensor<2x8x?x64xbf16>, %pos: index) -> tensor<2x8x?x64xbf16> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c1 : tensor<2x?x8x64xf32>
  %te = tensor.empty(%n) : tensor<?x32xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<32xi64>) outs(%te, %te : tensor<?x32xf32>, tensor<?x32xf32>)
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %b = arith.truncf %y : tensor<2x?x8x64xf32> to tensor<2x?x8x64xbf16>
  %e = tensor.empty(%n) : tensor<2x8x?x64xbf16>
  %t = linalg.transpose ins(%b : tensor<2x?x8x64xbf16>) outs(%e : tensor<2x8x?x64xbf16>) permutation = [0, 2, 1, 3]
  %r = tensor.insert_slice %t into %cache[0, 0, %pos, 0] [2, 8, %n, 64] [1, 1, 1, 1] : tensor<2x8x?x64xbf16> into tensor<2x8x?x64xbf16>
  return %r : tensor<2x8x?x64xbf16>
}

// -----

// A page and a slot for each token.

// CHECK-LABEL: @pages(
// CHECK: scf.for %[[B:[a-z0-9]+]]
// CHECK: scf.for %[[T:[a-z0-9]+]]
// CHECK: %[[PAGE32:.*]] = tensor.extract %{{.*}}[%[[B]], %[[T]], %c0]
// CHECK: %[[PAGE:.*]] = arith.index_cast %[[PAGE32]] : i32 to index
// CHECK: tensor.extract %{{.*}}[%[[B]], %[[T]], %c1]
// CHECK: %[[SLOT:.*]] = arith.index_cast
// CHECK: %[[Y:.*]] = rope.apply
// CHECK: tensor.insert_slice %[[Y]] into %{{.*}}[%[[PAGE]], %[[SLOT]], 0, 0] [1, 1, 8, 64] {{.*}} : tensor<1x1x8x64xf32>
// CHECK-NOT: tensor.scatter
func.func @pages(%x: tensor<2x?x8x64xf32>, %c: tensor<?x32xf32>, %s: tensor<?x32xf32>, %cache: tensor<?x16x8x64xf32>, %i: tensor<2x?x2xi32>) -> tensor<?x16x8x64xf32> {
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0, 1]) unique : (tensor<2x?x8x64xf32>, tensor<?x16x8x64xf32>, tensor<2x?x2xi32>) -> tensor<?x16x8x64xf32>
  return %r : tensor<?x16x8x64xf32>
}

// -----

// Slots alone, in the middle of the cache's dimensions, for one token: no loop,
// but a lowering of the scatter.

// CHECK-LABEL: @slots(
// CHECK-NOT: scf.for
// CHECK: %[[SLOT:.*]] = tensor.extract %{{.*}}[%c0, %c0]
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, %[[SLOT]], 0] [8, 1, 64]
// CHECK-NOT: tensor.scatter
func.func @slots(%x: tensor<1x8x64xf32>, %c: tensor<1x32xf32>, %s: tensor<1x32xf32>, %cache: tensor<8x?x64xf32>, %i: tensor<1x1xindex>) -> tensor<8x?x64xf32> {
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<1x8x64xf32>, tensor<1x32xf32>, tensor<1x32xf32>)
                  outs(%x : tensor<1x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([1]) unique : (tensor<1x8x64xf32>, tensor<8x?x64xf32>, tensor<1x1xindex>) -> tensor<8x?x64xf32>
  return %r : tensor<8x?x64xf32>
}

// -----

// The cache has fewer dimensions than x; the one that is scattered along has a
// dimension of one in what is scattered.

// CHECK-LABEL: @narrow(
// CHECK-COUNT-3: scf.for
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, %{{.*}}, 0] [1, 1, 64]
func.func @narrow(%x: tensor<2x3x1x8x64xf32>, %h: tensor<3x8x32xf32>, %k: tensor<3x8x32xf32>, %cache: tensor<?x8x64xf32>, %i: tensor<2x3x1xindex>) -> tensor<?x8x64xf32> {
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %h, %k : tensor<2x3x1x8x64xf32>, tensor<3x8x32xf32>, tensor<3x8x32xf32>)
                  outs(%x : tensor<2x3x1x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1, 3>}
  %r = tensor.scatter %y into %cache[%i] scatter_dims([0]) unique : (tensor<2x3x1x8x64xf32>, tensor<?x8x64xf32>, tensor<2x3x1xindex>) -> tensor<?x8x64xf32>
  return %r : tensor<?x8x64xf32>
}

// -----

// Numbers and their scales, which the row itself gives, go to two caches.

#row = affine_map<(t, h, d) -> (t, h, d)>
#head = affine_map<(t, h, d) -> (t, h)>

// CHECK-LABEL: @quantised(
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: tensor<?x8x64xi8>, %[[SCALES:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK-NOT: linalg
// CHECK: scf.for
// CHECK-SAME: iter_args(%[[S:[a-z0-9]+]] = %[[SCALES]], %[[C:[a-z0-9]+]] = %[[CACHE]])
// CHECK: rope.apply
// CHECK-NOT: rope.apply
// CHECK: linalg.fill {{.*}} tensor<1x8xf32>
// CHECK: linalg.generic {{.*}} tensor<1x8xf32>
// CHECK: tensor.insert_slice %{{.*}} into %[[S]]
// CHECK: linalg.generic {{.*}} tensor<1x8x64xi8>
// CHECK: tensor.insert_slice %{{.*}} into %[[C]]
func.func @quantised(%x: tensor<?x8x64xf32>, %c: tensor<?x32xf32>, %s: tensor<?x32xf32>, %cache: tensor<?x8x64xi8>, %scales: tensor<?x8xf32>, %pos: index) -> (tensor<?x8x64xi8>, tensor<?x8xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x8x64xf32>
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %es = tensor.empty(%n) : tensor<?x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%es : tensor<?x8xf32>) -> tensor<?x8xf32>
  %scale = linalg.generic {indexing_maps = [#row, #head], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y : tensor<?x8x64xf32>) outs(%z : tensor<?x8xf32>) {
  ^bb0(%a: f32, %m: f32):
    %0 = math.absf %a : f32
    %1 = arith.maximumf %0, %m : f32
    linalg.yield %1 : f32
  } -> tensor<?x8xf32>
  %eq = tensor.empty(%n) : tensor<?x8x64xi8>
  %q = linalg.generic {indexing_maps = [#row, #head, #row], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%y, %scale : tensor<?x8x64xf32>, tensor<?x8xf32>) outs(%eq : tensor<?x8x64xi8>) {
  ^bb0(%a: f32, %m: f32, %o: i8):
    %0 = arith.divf %a, %m : f32
    %1 = math.roundeven %0 : f32
    %2 = arith.fptosi %1 : f32 to i8
    linalg.yield %2 : i8
  } -> tensor<?x8x64xi8>
  %scales1 = tensor.insert_slice %scale into %scales[%pos, 0] [%n, 8] [1, 1] : tensor<?x8xf32> into tensor<?x8xf32>
  %cache1 = tensor.insert_slice %q into %cache[%pos, 0, 0] [%n, 8, 64] [1, 1, 1] : tensor<?x8x64xi8> into tensor<?x8x64xi8>
  return %cache1, %scales1 : tensor<?x8x64xi8>, tensor<?x8xf32>
}

// -----

// Written by a loop: the slice is rotated there, with its row of the table.

// CHECK-LABEL: @loop(
// CHECK-NOT: rope.
// CHECK: scf.for %[[T:[a-z0-9]+]]
// CHECK: rope.table ins({{.*}}tensor<1xi64>
// CHECK: rope.apply ins({{.*}} : tensor<1x8x64xf32>, tensor<1x32xf32>, tensor<1x32xf32>)
// CHECK: %[[ROW:.*]] = arith.truncf
// CHECK: tensor.insert_slice %[[ROW]]
func.func @loop(%x: tensor<?x8x64xf32>, %p: tensor<?xi64>, %f: tensor<32xi64>, %cache: tensor<?x16x8x64xf16>, %blocks: tensor<?xindex>) -> tensor<?x16x8x64xf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %n = tensor.dim %x, %c0 : tensor<?x8x64xf32>
  %te = tensor.empty(%n) : tensor<?x32xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<32xi64>) outs(%te, %te : tensor<?x32xf32>, tensor<?x32xf32>)
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %h = arith.truncf %y : tensor<?x8x64xf32> to tensor<?x8x64xf16>
  %r = scf.for %t = %c0 to %n step %c1 iter_args(%it = %cache) -> tensor<?x16x8x64xf16> {
    %block = arith.divui %t, %c16 : index
    %slot = arith.remui %t, %c16 : index
    %page = tensor.extract %blocks[%block] : tensor<?xindex>
    %row = tensor.extract_slice %h[%t, 0, 0] [1, 8, 64] [1, 1, 1] : tensor<?x8x64xf16> to tensor<8x64xf16>
    %i = tensor.insert_slice %row into %it[%page, %slot, 0, 0] [1, 1, 8, 64] [1, 1, 1, 1] : tensor<8x64xf16> into tensor<?x16x8x64xf16>
    scf.yield %i : tensor<?x16x8x64xf16>
  }
  return %r : tensor<?x16x8x64xf16>
}

// -----

// In parallel, sequences outside: a table of positions that all sequences share
// is not made again for each. The row, of rank two, goes as what it is made of.

// CHECK-LABEL: @parallel_loops(
// CHECK: rope.table
// CHECK: scf.for
// CHECK: scf.forall
// CHECK-NOT: rope.table
// CHECK: rope.apply
// CHECK: tensor.parallel_insert_slice
func.func @parallel_loops(%x: tensor<2x?x8x64xf32>, %p: tensor<?xi64>, %f: tensor<32xi64>, %cache: tensor<2x?x8x64xf32>, %n: index) -> tensor<2x?x8x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %te = tensor.empty(%n) : tensor<?x32xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<32xi64>) outs(%te, %te : tensor<?x32xf32>, tensor<?x32xf32>)
  // expected-remark @below {{[Passed] fused}}
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%x : tensor<2x?x8x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %r = scf.for %b = %c0 to %c2 step %c1 iter_args(%outer = %cache) -> tensor<2x?x8x64xf32> {
    %i = scf.forall (%t) in (%n) shared_outs(%it = %outer) -> (tensor<2x?x8x64xf32>) {
      %row = tensor.extract_slice %y[%b, %t, 0, 0] [1, 1, 8, 64] [1, 1, 1, 1] : tensor<2x?x8x64xf32> to tensor<8x64xf32>
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %row into %it[%b, %t, 0, 0] [1, 1, 8, 64] [1, 1, 1, 1] : tensor<8x64xf32> into tensor<2x?x8x64xf32>
      }
    }
    scf.yield %i : tensor<2x?x8x64xf32>
  }
  return %r : tensor<2x?x8x64xf32>
}

// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-tile-apply),cse,canonicalize)' | FileCheck %s
// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-tile-apply{task-bytes=65536 one-task-bytes=0}),cse,canonicalize)' | FileCheck %s --check-prefix=SMALL
// RUN: rope-opt %s --mlir-disable-threading --split-input-file --pass-pipeline='builtin.module(func.func(rope-tile-apply))' --remark-format=emitRemark --remarks-filter='rope-tile-apply' -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Query and key share a loop, which makes a row of the table for each position
// and rotates both. A token of both is 64 + 16 KiB read and written: three are a
// task, and all are one up to 2 MiB.

// REMARK: 2 rotations in one parallel loop: tasks of 262144 bytes read and written, one task where all is at most 2097152 bytes; each task makes its rows of the table
// CHECK-LABEL: @query_and_key(
// CHECK-SAME: %[[P:[a-z0-9]+]]: tensor<?xi64>, %{{[a-z0-9]+}}: tensor<64xi64>, %[[Q:[a-z0-9]+]]: tensor<1x?x64x128xf32>
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 2097152 : index
// CHECK-DAG: %[[THREE:.*]] = arith.constant 3 : index
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[TOKENS:.*]] = tensor.dim %[[Q]], %[[ONE]]
// CHECK: %[[IS_SMALL:.*]] = arith.cmpi sle, %{{.*}}, %[[LIMIT]]
// CHECK: %[[MOST:.*]] = arith.minsi %[[TOKENS]], %[[THREE]]
// CHECK: %[[LEAST:.*]] = arith.maxsi %[[MOST]], %[[ONE]]
// CHECK: %[[ALL:.*]] = arith.maxsi %[[TOKENS]], %[[ONE]]
// CHECK: %[[BLOCK:.*]] = arith.select %[[IS_SMALL]], %[[ALL]], %[[LEAST]]
// CHECK: %[[R:.*]]:2 = scf.forall (%[[I:.*]]) = (0) to (%[[TOKENS]]) step (%[[BLOCK]])
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK: %[[ROWS:.*]]:2 = scf.for %[[J:.*]] = %{{.*}} to %[[SIZE]]
// CHECK: %[[POSITION:.*]] = affine.apply #{{.*}}(%[[J]])[%[[I]]]
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[P]][%[[POSITION]]] [1] [1]
// CHECK: %[[ROW:.*]] = tensor.empty() : tensor<1x64xf32>
// CHECK: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%[[PART]], %{{.*}}) outs(%[[ROW]], %[[ROW]]
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<1x1x64x128xf32>
// CHECK: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<1x1x16x128xf32>
// CHECK: tensor.parallel_insert_slice %[[ROWS]]#0 into %{{.*}}[0, %[[I]], 0, 0] [1, %[[SIZE]], 64, 128]
// CHECK: tensor.parallel_insert_slice %[[ROWS]]#1 into %{{.*}}[0, %[[I]], 0, 0] [1, %[[SIZE]], 16, 128]
// CHECK-NOT: rope.
// CHECK: return %[[R]]#0, %[[R]]#1
// SMALL-LABEL: @query_and_key(
// SMALL-NOT: arith.constant 2097152
// SMALL: scf.forall
func.func @query_and_key(%p: tensor<?xi64>, %f: tensor<64xi64>, %q: tensor<1x?x64x128xf32>, %k: tensor<1x?x16x128xf32>,
                         %qr: tensor<1x?x64x128xf32>, %kr: tensor<1x?x16x128xf32>, %n: index)
    -> (tensor<1x?x64x128xf32>, tensor<1x?x16x128xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<64xi64>) outs(%e, %e : tensor<?x64xf32>, tensor<?x64xf32>)
  %y = rope.apply ins(%q, %c, %s : tensor<1x?x64x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%qr : tensor<1x?x64x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %z = rope.apply ins(%k, %c, %s : tensor<1x?x16x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>)
                  outs(%kr : tensor<1x?x16x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y, %z : tensor<1x?x64x128xf32>, tensor<1x?x16x128xf32>
}

// -----

// Heads in front of positions: all heads are in a block, as far as they fit,
// so that the rows of the table, made for the block in a buffer of its size,
// serve them all. Each head is a piece of 128 rows.

// REMARK: 1 rotation in one parallel loop: {{.*}}; each task makes its rows of the table
// SMALL-LABEL: @heads_first(
// SMALL: scf.forall (%[[I:.*]]) = (0) to (1000) step (128)
// SMALL: %[[SIZE:.*]] = affine.min
// SMALL: %[[BUFFER:.*]] = tensor.empty() : tensor<128x64xf32>
// SMALL: %[[ROWS:.*]] = tensor.extract_slice %[[BUFFER]][0, 0] [%[[SIZE]], 64]
// SMALL: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%{{.*}}) outs(%[[ROWS]], %[[ROWS]]
// SMALL: rope.apply ins(%{{.*}}, %[[COS]], %[[SIN]] : tensor<8x?x128xf32>, tensor<?x64xf32>
func.func @heads_first(%x: tensor<8x1000x128xf32>, %p: tensor<1000xi64>, %f: tensor<64xi64>, %init: tensor<8x1000x128xf32>)
    -> tensor<8x1000x128xf32> {
  %e = tensor.empty() : tensor<1000x64xf32>
  %c, %s = rope.table ins(%p, %f : tensor<1000xi64>, tensor<64xi64>) outs(%e, %e : tensor<1000x64xf32>, tensor<1000x64xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<8x1000x128xf32>, tensor<1000x64xf32>, tensor<1000x64xf32>)
                  outs(%init : tensor<8x1000x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y : tensor<8x1000x128xf32>
}

// -----

// Of elements of 16 bits a piece is 32 rows, as those of the table are longer.

// SMALL-LABEL: @narrow(
// SMALL: scf.forall (%{{.*}}) = (0) to (1000) step (32)
func.func @narrow(%x: memref<8x1000x128xbf16>, %c: memref<1000x64xf32>, %s: memref<1000x64xf32>) {
  rope.apply ins(%x, %c, %s : memref<8x1000x128xbf16>, memref<1000x64xf32>, memref<1000x64xf32>)
             outs(%x : memref<8x1000x128xbf16>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return
}

// -----

// One position for all, and many heads: these are cut.

// REMARK: 1 rotation in one parallel loop
// SMALL-LABEL: @one_position(
// SMALL: scf.forall (%[[I:.*]]) = (0) to (4096) step (64)
// SMALL: rope.apply ins(%{{.*}} : memref<64x128xf32, {{.*}}>, memref<64xf32
func.func @one_position(%x: memref<4096x128xf32>, %c: memref<64xf32>, %s: memref<64xf32>) {
  rope.apply ins(%x, %c, %s : memref<4096x128xf32>, memref<64xf32>, memref<64xf32>)
             outs(%x : memref<4096x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  return
}

// -----

// What is made for the rotation alone is rotated in place.

// CHECK-LABEL: @in_place(
// CHECK: %[[X:.*]] = linalg.exp
// CHECK: scf.forall {{.*}} shared_outs(%[[OUT:.*]] = %[[X]])
// CHECK: %[[BLOCK:.*]] = tensor.extract_slice %[[OUT]]
// CHECK: scf.for {{.*}} iter_args(%[[ARG:.*]] = %[[BLOCK]])
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[ARG]]
// CHECK: rope.apply ins(%[[PART]], %{{.*}} outs(%[[PART]]
func.func @in_place(%v: tensor<?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>, %n: index) -> tensor<?x8xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %x = linalg.exp ins(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x8xf32>
}

// -----

// Not where somebody else reads it, where it is the caller's, or where pairs
// move.

// CHECK-LABEL: @elsewhere(
// CHECK: %[[X:.*]] = linalg.exp
// CHECK: %[[Z:.*]] = linalg.tanh
// CHECK-NOT: shared_outs({{.*}} = %[[X]]
// CHECK-NOT: shared_outs({{.*}} = %[[Z]]
// CHECK-NOT: shared_outs({{.*}} = %arg
// CHECK: return
func.func @elsewhere(%v: tensor<?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>, %n: index)
    -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %x = linalg.exp ins(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.tanh ins(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%e : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %1 = rope.apply ins(%z, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%e : tensor<?x8xf32>) {pairing = #rope.pairing<half>, result_pairing = #rope.pairing<interleaved>, position_dims = array<i64: 0>}
  %2 = rope.apply ins(%v, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%e : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %0, %x, %1, %2 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// A table that something else reads, or in front of a loop, is made there. The
// second rotation reads what the first one made: they cannot share a loop.

// REMARK: 1 rotation in one parallel loop: {{.*}}; the table is made before, since something else reads it
// CHECK-LABEL: @shared(
// CHECK: rope.table
// CHECK: scf.forall
// CHECK: rope.apply
// CHECK: scf.for
// CHECK: scf.forall
// CHECK: rope.apply
// CHECK-NOT: rope.table
func.func @shared(%p: tensor<?xi64>, %f: tensor<4xi64>, %x: tensor<?x8xf32>, %init: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<4xi64>) outs(%e, %e : tensor<?x4xf32>, tensor<?x4xf32>)
  %y = rope.apply ins(%x, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%init : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%z = %y) -> tensor<?x8xf32> {
    %w = rope.apply ins(%z, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                    outs(%z : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    scf.yield %w : tensor<?x8xf32>
  }
  return %r : tensor<?x8xf32>
}

// -----

// Left: one row, nothing, what a fusion made, what is in a parallel loop.

// CHECK-LABEL: @left(
// CHECK-COUNT-1: scf.forall
// CHECK-NOT: scf.forall
func.func @left(%x: tensor<8xf32>, %none: tensor<0x8xf32>, %y: tensor<4x8xf32>, %c: tensor<4xf32>, %nc: tensor<0x4xf32>, %t: tensor<4x4xf32>,
                %m: memref<4x8xf32>, %mt: memref<4x4xf32>)
    -> (tensor<8xf32>, tensor<0x8xf32>, tensor<4x8xf32>) {
  %0 = rope.apply ins(%x, %c, %c : tensor<8xf32>, tensor<4xf32>, tensor<4xf32>)
                  outs(%x : tensor<8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64>}
  %1 = rope.apply ins(%none, %nc, %nc : tensor<0x8xf32>, tensor<0x4xf32>, tensor<0x4xf32>)
                  outs(%none : tensor<0x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %2 = rope.apply ins(%y, %t, %t : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
                  outs(%y : tensor<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.folded}
  scf.forall (%i) in (2) {
    rope.apply ins(%m, %mt, %mt : memref<4x8xf32>, memref<4x4xf32>, memref<4x4xf32>)
               outs(%m : memref<4x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  }
  return %0, %1, %2 : tensor<8xf32>, tensor<0x8xf32>, tensor<4x8xf32>
}

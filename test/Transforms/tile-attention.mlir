// RUN: rope-opt %s --rope-tile-attention=vector-bits=512 --split-input-file | FileCheck %s
// RUN: rope-opt %s --rope-tile-attention=vector-bits=128 --convert-rope-to-linalg --split-input-file | FileCheck %s --check-prefix=LINALG
// RUN: rope-opt %s --rope-tile-attention="vector-bits=512 pair-product=dot" --split-input-file | FileCheck %s --check-prefix=DOT
// RUN: rope-opt %s --rope-tile-attention="vector-bits=512 pair-product=amx" --split-input-file | FileCheck %s --check-prefix=AMX

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// All keys and values are rotated and widened once. Sixteen queries of four
// heads are the 64 rows of a block.

// CHECK-LABEL: @causal(
// CHECK: scf.execute_region no_inline
// CHECK: memref.alloc(%{{.*}}, %{{.*}}) {alignment = 64 : i64} : memref<?x8x?x128xf32>
// CHECK: memref.alloc(%{{.*}}, %{{.*}}) {alignment = 64 : i64} : memref<?x8x?x128xf32>
// CHECK: scf.parallel (%{{.*}}, %{{.*}}, %{{.*}}) =
// Keys that no query can see are left out.
// CHECK: scf.if
// CHECK: rope.apply {{.*}} outs(%{{.*}} : memref<1x?x8x128xf32, strided<[?, 128, ?, 1], offset: ?>>)
// CHECK: arith.extf
// CHECK: scf.parallel (%{{.*}}, %{{.*}}, %{{.*}}) =
// What a task needs is allocated in front of its loops.
// CHECK-DAG: memref.alloc() {alignment = 64 : i64} : memref<16x128x64xf32>
// CHECK-DAG: memref.alloc() {alignment = 64 : i64} : memref<128x64xf32>
// CHECK: scf.for
// CHECK-NOT: memref.alloc
// Queries are rotated as a block starts.
// CHECK: rope.apply {{.*}} outs(%{{.*}} : memref<1x?x4x128xf32, strided<[1, 512, 128, 1]>>)
// CHECK: linalg.generic
// The loop over tiles of keys, and in it the loop over blocks, whose rows see
// some of the keys, or all.
// CHECK: scf.for
// CHECK-NOT: rope.apply
// CHECK: scf.for
// CHECK: scf.if
// CHECK: scf.if
// CHECK: rope.online_attention
// CHECK-SAME: score_operands(%{{.*}} : memref<?xi32, strided<[1], offset: ?>>)
// CHECK: arith.cmpi sle
// CHECK: arith.select
// CHECK: else
// CHECK: rope.online_attention {{{.*}}, unmasked}
// CHECK-NOT: score_operands
// The results of a block.
// CHECK: scf.for
// CHECK: arith.divf
// CHECK: linalg.copy
// CHECK: memref.dealloc
// CHECK: memref.dealloc
// CHECK-NOT: rope.attention

// With products of pairs rows are padded, and keys and values in pairs stay
// bf16. A tile with infinities or NaN is taken apart.

// DOT-LABEL: @causal(
// DOT-NOT: llvm.inline_asm
// DOT: scf.execute_region no_inline
// DOT: memref.alloc(%{{.*}}, %{{.*}}) {alignment = 64 : i64} : memref<?x8x?x128xbf16>
// DOT: memref.alloc(%{{.*}}, %{{.*}}) {alignment = 64 : i64} : memref<?x8x?xi32>
// DOT: rope.apply {{.*}} outs(%{{.*}} : memref<1x?x8x128xbf16, strided<[?, 128, ?, 1], offset: ?>>)
// DOT: vector.reduction <or>, %{{.*}} : vector<16xi32> into i32
// DOT: scf.parallel
// Eight keys times three vectors of rows.
// DOT: %{{.*}}:24 = scf.for
// DOT-COUNT-24: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// The mask, where one is needed.
// DOT: scf.if
// DOT: arith.cmpi sle
// DOT: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
// DOT: llvm.call_intrinsic "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// What was summed before is multiplied where a maximum has grown.
// DOT: vector.reduction <or>, %{{.*}} : vector<16xi1> into i1
// DOT: scf.if
// DOT: arith.mulf
// DOT: scf.if
// DOT: %{{.*}}:24 = scf.for
// DOT-COUNT-24: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// DOT: else
// DOT: arith.cmpf oeq
// DOT-NOT: rope.online_attention

// Tiles of AMX are asked for; without them the products are those of f32.

// AMX-LABEL: @causal(
// AMX: %[[STATUS:.*]] = llvm.inline_asm has_side_effects {{.*}}"syscall"
// AMX: %[[MAY:.*]] = llvm.icmp "eq" %[[STATUS]]
// AMX: scf.if %[[MAY]]
// AMX: %{{.*}}:4 = scf.for
// AMX-COUNT-4: amx.tile_load {{.*}} into !amx.tile<16x32xbf16>
// AMX-COUNT-4: amx.tile_mulf
// AMX-NOT: rope.online_attention
// AMX: else
// AMX-NOT: amx
// AMX: rope.online_attention

// LINALG-LABEL: @causal(
// LINALG-NOT: rope.{{attention|online_attention|apply|table}}
func.func @causal(%q: memref<?x?x32x128xbf16>, %k: memref<?x?x8x128xbf16>, %v: memref<?x?x8x128xbf16>,
                  %cos: memref<?x64xf32>, %sin: memref<?x64xf32>, %o: memref<?x?x32x128xbf16>) {
  rope.attention {causal, indexing_maps = [#q, #k, #v, #o], scale = 0.088 : f64}
    ins(%q, %k, %v : memref<?x?x32x128xbf16>, memref<?x?x8x128xbf16>, memref<?x?x8x128xbf16>)
    rotate_query(%cos, %sin : memref<?x64xf32>, memref<?x64xf32>) by <pairing = half, position_dims = [1]>
    rotate_key(%cos, %sin : memref<?x64xf32>, memref<?x64xf32>) by <pairing = half, position_dims = [1]>
    outs(%o : memref<?x?x32x128xbf16>)
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (h, i, d)>
#k = affine_map<(b, h, i, j, d, e) -> (h, j, d)>
#v = affine_map<(b, h, i, j, d, e) -> (h, j, e)>
#m = affine_map<(b, h, i, j, d, e) -> (i, j)>
#o = affine_map<(b, h, i, j, d, e) -> (h, i, e)>

// Keys and values of the type that scores are computed in are read where they
// lie; a mask is transposed for each block, as bytes can not be packed bits.

// Other types have no products of pairs.
// DOT-LABEL: @mask(
// DOT: rope.online_attention
// AMX-LABEL: @mask(
// AMX-NOT: amx
// AMX: rope.online_attention

// CHECK-LABEL: @mask(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: memref<4x?x64xf32>, %[[K:[a-z0-9]+]]: memref<4x?x64xf32>, %[[V:[a-z0-9]+]]: memref<4x?x64xf32>
// CHECK: } else {
// CHECK: scf.parallel
// CHECK-NOT: arith.extf
// CHECK: %[[KEYS:.*]] = memref.subview %[[K]]
// CHECK: %[[VALUES:.*]] = memref.subview %[[V]]
// CHECK: linalg.generic
// CHECK: arith.extui %{{.*}} : i1 to i32
// CHECK: rope.online_attention {{.*}} ins(%{{.*}}, %[[KEYS]], %[[VALUES]] :
// CHECK: arith.trunci %{{.*}} : i32 to i1
func.func @mask(%q: memref<4x?x64xf32>, %k: memref<4x?x64xf32>, %v: memref<4x?x64xf32>, %m: memref<?x?xi1>,
                %o: memref<4x?x64xf32>) {
  rope.attention {indexing_maps = [#q, #k, #v, #m, #o]}
    ins(%q, %k, %v : memref<4x?x64xf32>, memref<4x?x64xf32>, memref<4x?x64xf32>)
    score_operands(%m : memref<?x?xi1>) outs(%o : memref<4x?x64xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %x: i1):
    %c = arith.constant 0xFF800000 : f32
    %y = arith.select %x, %score, %c : f32
    rope.yield %y : f32
  }
  return
}

// -----

// Nothing to write, nothing to do; what is on tensors stays.

// CHECK-LABEL: @empty(
// CHECK-NOT: scf
// CHECK: return
func.func @empty(%q: memref<0x8xf32>, %k: memref<?x8xf32>, %o: memref<0x8xf32>) {
  rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                   affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %k : memref<0x8xf32>, memref<?x8xf32>, memref<?x8xf32>) outs(%o : memref<0x8xf32>)
  return
}

// CHECK-LABEL: @tensors(
// CHECK: rope.attention
func.func @tensors(%q: tensor<2x8xf32>, %k: tensor<?x8xf32>, %o: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %k : tensor<2x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) outs(%o : tensor<2x8xf32>)
  return %r : tensor<2x8xf32>
}

// -----

// A dimension of unknown size that follows no loop is read at 0 alone.

// CHECK-LABEL: @unknown_but_one(
// CHECK-SAME: %[[M:[a-z0-9]+]]: memref<?x?xf32>
// CHECK: memref.subview %[[M]][0, %{{.*}}] [1, %{{.*}}] [1, 1]
func.func @unknown_but_one(%x: memref<?x8xf32>, %m: memref<?x?xf32>, %o: memref<?x8xf32>) {
  rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j, d)>,
                                   affine_map<(b, h, i, j, d, e) -> (j, e)>, affine_map<(b, h, i, j, d, e) -> (0, j)>,
                                   affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%x, %x, %x : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) score_operands(%m : memref<?x?xf32>) outs(%o : memref<?x8xf32>) {
  ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index, %y: f32):
    %z = arith.addf %score, %y : f32
    rope.yield %z : f32
  }
  return
}

// -----

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, e)>
#s = affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4)>
#p = affine_map<(b, h, i, j, d, e) -> (b, j floordiv 16)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// A page is looked up once for all its keys in a tile; these are multiplied with
// their scales and rotated in place.

// CHECK-LABEL: @pages(
// CHECK-SAME: %[[K:[a-z0-9]+]]: memref<?x16x8x64xi8>, %[[V:[a-z0-9]+]]: memref<?x16x8x64xf32>, %{{.*}}: memref<?x16x8xf16>, %[[P:[a-z0-9]+]]: memref<?x?xi32>
// CHECK: scf.parallel
// CHECK: scf.if
// CHECK: scf.for %[[NUMBER:.*]] =
// CHECK: memref.load %[[P]][%{{.*}}, %[[NUMBER]]]
// CHECK: %[[PAGE:.*]] = arith.index_cast
// CHECK: memref.subview %[[K]][%[[PAGE]], %{{.*}}, 0, 0] [1, %{{.*}}, 8, 64] [1, 1, 1, 1]
// CHECK: linalg.generic
// CHECK: arith.sitofp %{{.*}} : i8 to f32
// CHECK: rope.apply ins(%[[KEYS:.*]], %{{.*}}, %{{.*}} : {{.*}}) outs(%[[KEYS]] :
// CHECK: scf.for %[[NUMBER:.*]] =
// CHECK: memref.load %[[P]][%{{.*}}, %[[NUMBER]]]
// CHECK: %[[PAGE:.*]] = arith.index_cast
// CHECK: memref.subview %[[V]][%[[PAGE]], %{{.*}}, 0, 0] [1, %{{.*}}, 8, 64] [1, 1, 1, 1]
// CHECK: linalg.generic
// CHECK: scf.parallel
// CHECK: rope.online_attention

// LINALG-LABEL: @pages(
// LINALG-NOT: rope.
func.func @pages(%q: memref<?x8x32x64xf32>, %k: memref<?x16x8x64xi8>, %v: memref<?x16x8x64xf32>, %s: memref<?x16x8xf16>,
                 %p: memref<?x?xi32>, %l: memref<?xi32>, %c: memref<?x32xf32>, %o: memref<?x8x32x64xf32>) {
  rope.attention {indexing_maps = [#q, #k, #v, #s, #p, #o]}
    ins(%q, %k, %v : memref<?x8x32x64xf32>, memref<?x16x8x64xi8>, memref<?x16x8x64xf32>)
    key_scales(%s : memref<?x16x8xf16>) pages(%p : memref<?x?xi32>) lengths(%l : memref<?xi32>)
    rotate_key(%c, %c : memref<?x32xf32>, memref<?x32xf32>) by <pairing = half, position_dims = [1]>
    outs(%o : memref<?x8x32x64xf32>)
  return
}

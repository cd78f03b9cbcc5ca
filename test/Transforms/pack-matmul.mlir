// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-pack-matmul{vector-bits=512 registers=32}),canonicalize)' --remark-format=emitRemark --remarks-filter='rope-pack-matmul' --verify-diagnostics | FileCheck %s
// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-pack-matmul{vector-bits=512 registers=32 bf16-dot}),canonicalize)' --remarks-filter='rope-pack-matmul' | FileCheck %s --check-prefix=DOT
// RUN: rope-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(rope-pack-matmul{vector-bits=256 registers=16}),canonicalize)' --remarks-filter='rope-pack-matmul' | FileCheck %s --check-prefix=AVX2

// Many rows: blocks of 256 steps and columns are copied to panels of 64, eight
// rows of the weights side by side, and all rows go over each panel.

// CHECK-LABEL: @packed(
// CHECK-SAME: %[[X:.*]]: memref<?x1024xf32>, %[[W:.*]]: memref<1024x512xf32>, %[[Y:.*]]: memref<?x512xf32>
// CHECK: %[[P:.*]] = memref.alloc() {{.*}} : memref<4x256x64xf32>
// CHECK: %[[FEW:.*]] = arith.cmpi sle, %{{.*}}, %c6
// CHECK: scf.if %[[FEW]] {
// CHECK: scf.for %{{.*}} = %c0 to %c1024 step %c8 {
// CHECK: linalg.matmul {{.*}} memref<?x8xf32, {{.*}}, memref<8x512xf32
// CHECK: } else {
// CHECK: scf.for %[[J:.*]] = %c0 to %c512 step %c256 {
// CHECK: scf.for %[[K:.*]] = %c0 to %c1024 step %c256 {
// CHECK: scf.for %{{.*}} = %c0 to %c256 step %c2 {
// CHECK: scf.for %{{.*}} = %c0 to %c256 step %c64 {
// CHECK: memref.subview %[[P]][%{{.*}}, %{{.*}}, 0] [1, 2, 64]
// CHECK: linalg.generic {{.*}}"parallel", "parallel"]} ins(%{{.*}} : memref<2x64xf32
// CHECK: scf.for %{{.*}} = %c0 to %c256 step %c64 {
// CHECK: %[[PANEL:.*]] = memref.subview %[[P]][%{{.*}}, 0, 0] [1, 256, 64]
// CHECK: %[[A:.*]] = memref.subview %[[X]][0, %[[K]]] [%{{.*}}, 256]
// CHECK: linalg.generic {{.*}}"reduction"]} ins(%[[A]], %[[PANEL]]
// CHECK: memref.dealloc %[[P]]
// CHECK: return

// AVX2-LABEL: @packed(
// AVX2: memref<16x256x16xf32>
func.func @packed(%x: memref<?x1024xf32>, %w: memref<1024x512xf32>, %y: memref<?x512xf32>) {
  linalg.matmul ins(%x, %w : memref<?x1024xf32>, memref<1024x512xf32>) outs(%y : memref<?x512xf32>)
  return
}

// -----

// bf16 in pairs of steps, of which even and odd ones are rows of the weights;
// otherwise both operands become f32. What is left of an odd number of steps
// is added in place. Scratch memory is of the task around.

// CHECK-LABEL: @pairs(
// CHECK: scf.forall
// CHECK-DAG: memref.alloc() {{.*}} : memref<2x40x64xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<40x40xf32>
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : memref<?x64xbf16
// CHECK: arith.extf
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : memref<40x39xbf16
// CHECK: arith.extf
// CHECK: linalg.generic {{.*}}"reduction"]} ins(%{{.*}}, %{{.*}} : memref<40x39xf32{{.*}}, memref<39x64xf32
// CHECK-NOT: arith.extf
// CHECK: memref.dealloc

// DOT-LABEL: @pairs(
// DOT: scf.forall
// DOT: %[[P:.*]] = memref.alloc() {{.*}} : memref<2x20x128xbf16>
// DOT: %[[EVEN:.*]] = memref.subview %{{.*}}[0, 0] [1, 64] [1, 2]
// DOT: %[[ODD:.*]] = memref.subview %{{.*}}[0, 1] [1, 64] [1, 2]
// DOT: linalg.generic {{.*}}"parallel", "parallel"]} {{.*}} outs(%[[EVEN]], %[[ODD]]
// DOT: %[[B:.*]] = memref.expand_shape {{.*}} into memref<19x64x2xbf16
// DOT: %[[A:.*]] = memref.expand_shape {{.*}} into memref<40x19x2xbf16
// DOT: linalg.generic {{.*}}"reduction", "reduction"]} ins(%[[A]], %[[B]]
// DOT: linalg.matmul {{.*}} memref<40x1xbf16{{.*}}, memref<1x128xbf16
// DOT: memref.dealloc %[[P]]
func.func @pairs(%x: memref<80x39xbf16>, %w: memref<39x128xbf16>, %y: memref<80x128xf32>) {
  scf.forall (%i) = (0) to (80) step (40) {
    %a = memref.subview %x[%i, 0] [40, 39] [1, 1] : memref<80x39xbf16> to memref<40x39xbf16, strided<[39, 1], offset: ?>>
    %c = memref.subview %y[%i, 0] [40, 128] [1, 1] : memref<80x128xf32> to memref<40x128xf32, strided<[128, 1], offset: ?>>
    linalg.matmul ins(%a, %w : memref<40x39xbf16, strided<[39, 1], offset: ?>>, memref<39x128xbf16>) outs(%c : memref<40x128xf32, strided<[128, 1], offset: ?>>)
  }
  return
}

// -----

// Weights along the steps: dot products for up to two rows, else transposed in
// registers, pairs as words.

// CHECK-LABEL: @transposed(
// CHECK: arith.cmpi sle, %{{.*}}, %c2
// CHECK: scf.if
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: vector.reduction <add>
// CHECK: } else {
// CHECK: linalg.generic {{.*}}"parallel", "parallel"]} ins(%{{.*}} : memref<16x256x

// DOT-LABEL: @transposed(
// DOT: scf.if
// DOT: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// DOT: } else {
// DOT-COUNT-16: vector.load {{.*}} vector<32xbf16>
// DOT-COUNT-64: vector.shuffle {{.*}} : vector<16xi32>, vector<16xi32>
// DOT-COUNT-16: vector.store {{.*}} vector<32xbf16>
func.func @transposed(%x: memref<?x256xbf16>, %w: memref<512x256xbf16>, %y: memref<?x512xf32>) {
  linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
    ins(%x, %w : memref<?x256xbf16>, memref<512x256xbf16>) outs(%y : memref<?x512xf32>)
  return
}

// -----

// Heads of a block share its panels.

// CHECK-LABEL: @heads(
// CHECK: memref.alloc() {{.*}} : memref<4x256x64xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c512 step %c256 {
// CHECK: scf.for %{{.*}} = %c0 to %c256 step %c2 {
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1 {
// CHECK: scf.for %{{.*}} = %c0 to %c128 step %c64 {
func.func @heads(%x: memref<100x512xf32>, %w: memref<512x2x128xf32>, %y: memref<100x2x128xf32>) {
  linalg.contract indexing_maps = [affine_map<(s, h, d, k) -> (s, k)>, affine_map<(s, h, d, k) -> (k, h, d)>, affine_map<(s, h, d, k) -> (s, h, d)>]
    ins(%x, %w : memref<100x512xf32>, memref<512x2x128xf32>) outs(%y : memref<100x2x128xf32>)
  return
}

// -----

// CHECK-LABEL: @left(
// CHECK-NOT: memref.alloc
func.func @left(%x: memref<8x64xbf16>, %w: memref<64x96xbf16>, %y: memref<8x96xbf16>, %z: memref<64x8xbf16>, %u: memref<8x8xf32>,
                %t: memref<8x96xf32, strided<[1, 8]>>, %i: memref<8x64xi32>, %j: memref<64x96xi32>, %k: memref<8x96xi32>,
                %p: memref<8x4x4xf32>, %q: memref<4x4x96xf32>, %r: memref<8x96xf32>) {
  // expected-remark @below {{product left in place: its sums are rounded in each step}}
  linalg.matmul ins(%x, %w : memref<8x64xbf16>, memref<64x96xbf16>) outs(%y : memref<8x96xbf16>)
  // expected-remark @below {{product left in place: its columns do not fill a vector}}
  linalg.matmul ins(%x, %z : memref<8x64xbf16>, memref<64x8xbf16>) outs(%u : memref<8x8xf32>)
  // expected-remark @below {{product left in place: its result is not contiguous}}
  linalg.matmul ins(%x, %w : memref<8x64xbf16>, memref<64x96xbf16>) outs(%t : memref<8x96xf32, strided<[1, 8]>>)
  // expected-remark @below {{product left in place: an operand is no strided memref of floats}}
  linalg.matmul ins(%i, %j : memref<8x64xi32>, memref<64x96xi32>) outs(%k : memref<8x96xi32>)
  // expected-remark @below {{product left in place: it does not sum over one dimension}}
  linalg.contract indexing_maps = [affine_map<(i, j, k, l) -> (i, k, l)>, affine_map<(i, j, k, l) -> (k, l, j)>, affine_map<(i, j, k, l) -> (i, j)>]
    ins(%p, %q : memref<8x4x4xf32>, memref<4x4x96xf32>) outs(%r : memref<8x96xf32>)
  return
}

// RUN: rope-opt %s --generate-runtime-verification | FileCheck %s
// RUN: rope-opt %s --generate-runtime-verification --rope-to-llvm -o %t.mlir
// RUN: rope-run %t.mlir --function=apply --input=2x4xf32=1 --input=2x2xf32=1 --input=2x2xf32=0 --input=2x4xf32=0 \
// RUN:   | FileCheck %s --check-prefix=HOLDS
// Without the bounds that rope-run checks by itself, the assertion is met.
// RUN: sed s/c_size_bounds/other/ %t.mlir > %t.unchecked.mlir
// RUN: not --crash rope-run %t.unchecked.mlir --function=apply --input=2x3xf32=1 --input=2x2xf32=1 --input=2x2xf32=0 \
// RUN:   --input=2x3xf32=0 2>&1 | FileCheck %s --check-prefix=FAILS
// Pages of what is looked up: 1 is none of them, but no key is there.
// RUN: rope-run %t.mlir --function=pages --input=1x4xf32=1 --input=1x2x4xf32=1 --input=2xi32=0,1 --input=1xi32=2 \
// RUN:   --input=1x4xf32=0 | FileCheck %s --check-prefix=PAGES
// RUN: not --crash rope-run %t.mlir --function=pages --input=1x4xf32=1 --input=1x2x4xf32=1 --input=2xi32=0,1 \
// RUN:   --input=1xi32=3 --input=1x4xf32=0 2>&1 | FileCheck %s --check-prefix=NOPAGE

// Sizes that are known only at run time are asserted, by the rule's label.

// CHECK-LABEL: func @apply
// CHECK: cf.assert {{.*}}(apply_c2) expected 'x' and the destination to have one shape
// CHECK: cf.assert {{.*}}(apply_c3)
// CHECK: cf.assert {{.*}}(apply_c6)
// CHECK: cf.assert {{.*}}(apply_c7) expected all pairs to lie within the head
// CHECK: rope.apply
// HOLDS: 2x4xf32
// FAILS: (apply_c7) expected all pairs to lie within the head
func.func @apply(%x: memref<?x?xf32>, %cos: memref<?x?xf32>, %sin: memref<?x?xf32>, %y: memref<?x?xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<?x?xf32>, memref<?x?xf32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// CHECK-LABEL: func @stride
// CHECK: cf.assert {{.*}}(apply_c8) expected 'pair_stride' to be at least the number of pairs
// CHECK: cf.assert {{.*}}(apply_c7)
func.func @stride(%x: memref<8xf32>, %cos: memref<?xf32>, %sin: memref<?xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<8xf32>, memref<?xf32>, memref<?xf32>) outs(%x : memref<8xf32>)
             {pairing = #rope.pairing<half>, pair_stride = 4 : i64, position_dims = array<i64>}
  return
}

// CHECK-LABEL: func @table
// CHECK: cf.assert {{.*}}(table_c5) expected the tables to have the sizes of the positions
// CHECK: cf.assert {{.*}}(table_c5) expected the tables to have one column for each frequency
// CHECK: cf.assert {{.*}}(table_c6) expected one of 'axes' for each frequency
// CHECK: cf.assert {{.*}}(table_c6) expected 'axes' below the axes of the positions
// CHECK: rope.table
func.func @table(%p: memref<?x?xi64>, %w: memref<?xf64>, %cos: memref<?x?xf32>, %sin: memref<?x?xf32>) {
  rope.table ins(%p, %w : memref<?x?xi64>, memref<?xf64>) outs(%cos, %sin : memref<?x?xf32>, memref<?x?xf32>)
             {axes = array<i64: 0, 1>}
  return
}

// What is known is checked by the verifier alone.

// CHECK-LABEL: func @static
// CHECK-NOT: cf.assert
func.func @static(%x: memref<5x8xf32>, %cos: memref<5x4xf32>, %sin: memref<5x4xf32>) {
  rope.apply ins(%x, %cos, %sin : memref<5x8xf32>, memref<5x4xf32>, memref<5x4xf32>) outs(%x : memref<5x8xf32>)
             {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}

// What is written into a tensor lies in it; what is static is verified already.

// CHECK-LABEL: func @insert
// CHECK: cf.assert {{.*}}expected the slice to lie within dimension 1 of the destination
// CHECK-NOT: cf.assert
// CHECK: tensor.insert_slice
func.func @insert(%x: tensor<1x4xf32>, %c: tensor<8x8xf32>, %i: index) -> tensor<8x8xf32> {
  %r = tensor.insert_slice %x into %c[7, %i] [1, 4] [1, 2] : tensor<1x4xf32> into tensor<8x8xf32>
  return %r : tensor<8x8xf32>
}

// CHECK-LABEL: func @rotated_pages
// CHECK: cf.assert {{.*}}(attention_c11) expected a valid rotation of the key: (apply_c6)
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[PAGE:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: %[[ISPAGE:.*]] = arith.cmpi ult, %[[PAGE]], %{{.*}} : index
// CHECK-NEXT: cf.assert %[[ISPAGE]], {{.*}}expected 'pages' to be numbers of pages of all that is looked up
// CHECK: rope.attention
func.func @rotated_pages(%q: tensor<?x4xf32>, %k: tensor<?x2x4xf32>, %p: tensor<?xi32>, %c: tensor<?x2xf32>, %o: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %r = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>,
                                        affine_map<(b, h, i, j, d, e) -> (i, e)>]}
         ins(%q, %k, %k : tensor<?x4xf32>, tensor<?x2x4xf32>, tensor<?x2x4xf32>) pages(%p : tensor<?xi32>)
         rotate_key(%c, %c : tensor<?x2xf32>, tensor<?x2xf32>) by <pairing = half, position_dims = [1]>
         outs(%o : tensor<?x4xf32>)
  return %r : tensor<?x4xf32>
}

// PAGES: 1x4xf32
// NOPAGE: expected 'pages' to be numbers of pages of all that is looked up
func.func @pages(%q: memref<?x4xf32>, %k: memref<?x2x4xf32>, %p: memref<?xi32>, %l: memref<1xi32>, %o: memref<?x4xf32>) {
  rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, d)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, d)>,
                                   affine_map<(b, h, i, j, d, e) -> (j floordiv 2, j mod 2, e)>, affine_map<(b, h, i, j, d, e) -> (j floordiv 2)>,
                                   affine_map<(b, h, i, j, d, e) -> (i, e)>]}
    ins(%q, %k, %k : memref<?x4xf32>, memref<?x2x4xf32>, memref<?x2x4xf32>) pages(%p : memref<?xi32>) lengths(%l : memref<1xi32>)
    outs(%o : memref<?x4xf32>)
  return
}

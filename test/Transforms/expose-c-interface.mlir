// RUN: rope-opt %s --rope-expose-c-interface | FileCheck %s
// What is exposed once stays as it is.
// RUN: rope-opt %s --rope-expose-c-interface --rope-expose-c-interface | FileCheck %s
// The attributes are still there at the end, for tools that see nothing else.
// RUN: rope-opt %s --rope-to-llvm | FileCheck %s --check-prefix=LLVM

// The innermost stride is one, all others and the offset are free. A scalar
// stays a scalar.

// CHECK-LABEL: func.func @documentation(
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<?x4xf32, strided<[?, 1], offset: ?>>, %{{.*}}: i64, %[[Y:[a-z0-9]+]]: memref<?x4xf32, strided<[?, 1], offset: ?>>)
// CHECK-SAME: attributes {c_equal_dims = [], c_result_dims = [array<i64: 0, 0>], c_signature = (tensor<?x4xf32>, i64) -> tensor<?x4xf32>, llvm.emit_c_interface}
// CHECK: %[[T:.*]] = bufferization.to_tensor %[[X]] restrict
// CHECK: bufferization.materialize_in_destination %[[T]] in restrict writable %[[Y]]
// CHECK: return{{$}}
// LLVM: llvm.func @_mlir_ciface_documentation(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: !llvm.ptr)
// LLVM-SAME: c_result_dims = [array<i64: 0, 0>]
// LLVM-SAME: c_signature = (tensor<?x4xf32>, i64) -> tensor<?x4xf32>
func.func @documentation(%x: tensor<?x4xf32>, %n: i64) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}

// Several results, dimensions that operations need to be equal, and a result
// whose size comes by way of a tensor.empty.

// CHECK-LABEL: func.func @two_results(
// CHECK-SAME: c_equal_dims = [array<i64: 1, 0, 2, 0>, array<i64: 0, 1, 1, 0>]
// CHECK-SAME: c_result_dims = [array<i64: 0, 1>, array<i64: 1, 0>]
func.func @two_results(%x: tensor<2x?x8xf32>, %c: tensor<?x4xf32>, %s: tensor<?x4xf32>)
    -> (tensor<2x?x8xf32>, tensor<?x4xf32>) {
  %c1 = arith.constant 1 : index
  %d = tensor.dim %x, %c1 : tensor<2x?x8xf32>
  %e = tensor.empty(%d) : tensor<2x?x8xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<2x?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
                  outs(%e : tensor<2x?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  return %y, %c : tensor<2x?x8xf32>, tensor<?x4xf32>
}

// The positions of a table must be as many as its rows, behind the axis.

// CHECK-LABEL: func.func @table(
// CHECK-SAME: c_equal_dims = [array<i64: 0, 1, 1, 0>]
// CHECK-SAME: c_result_dims = [array<i64: 1, 0>, array<i64: 1, 0>]
func.func @table(%p: tensor<2x?xi64>, %x: tensor<?x4xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %f = rope.frequencies base(10.0) : tensor<2xf64>
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%d) : tensor<?x2xf32>
  %c, %s = rope.table ins(%p, %f : tensor<2x?xi64>, tensor<2xf64>) outs(%e, %e : tensor<?x2xf32>, tensor<?x2xf32>)
             {axes = array<i64: 0, 1>}
  return %c, %s : tensor<?x2xf32>, tensor<?x2xf32>
}

// Sizes through operations of other dialects.

// CHECK-LABEL: func.func @foreign_operations(
// CHECK-SAME: c_result_dims = [array<i64: 0, 0, 0, 1>]
func.func @foreign_operations(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = linalg.add ins(%x, %y : tensor<?x?xf32>, tensor<?x?xf32>) outs(%x : tensor<?x?xf32>) -> tensor<?x?xf32>
  %1 = linalg.exp ins(%0 : tensor<?x?xf32>) outs(%0 : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %1 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @rank_zero(
// CHECK-SAME: memref<f32, strided<[], offset: ?>> {llvm.noundef}, %{{.*}}: memref<f32, strided<[], offset: ?>>)
// CHECK-SAME: c_result_dims = [array<i64>]
func.func @rank_zero(%x: tensor<f32> {llvm.noundef}) -> (tensor<f32> {llvm.noundef}) {
  return %x : tensor<f32>
}

// CHECK-LABEL: func.func @nothing()
// CHECK-SAME: c_result_dims = []
func.func @nothing() {
  return
}

// These keep their results: a size that is no argument's, a scalar, a function
// that others call, more than one way out. They have a signature alone.

// CHECK-LABEL: func.func @unknown_size(
// CHECK-SAME: -> tensor<?xf32> attributes {c_signature = (index) -> tensor<?xf32>, llvm.emit_c_interface}
// LLVM: llvm.func @_mlir_ciface_unknown_size(%{{.*}}: !llvm.ptr, %{{.*}}: i64)
// LLVM-NOT: c_result_dims
// LLVM-SAME: {
func.func @unknown_size(%n: index) -> tensor<?xf32> {
  %e = tensor.empty(%n) : tensor<?xf32>
  return %e : tensor<?xf32>
}

// A dimension that does not exist is undefined, not invalid.

// CHECK-LABEL: func.func @no_such_dimension(
// CHECK-SAME: -> tensor<?xf32> attributes {c_signature = (tensor<?xf32>) -> tensor<?xf32>, llvm.emit_c_interface}
func.func @no_such_dimension(%x: tensor<?xf32>) -> tensor<?xf32> {
  %c3 = arith.constant 3 : index
  %d = tensor.dim %x, %c3 : tensor<?xf32>
  %e = tensor.empty(%d) : tensor<?xf32>
  return %e : tensor<?xf32>
}

// CHECK-LABEL: func.func @scalar_result(
// CHECK-SAME: tensor<4xf32>) -> f32 attributes {c_signature = (tensor<4xf32>) -> f32, llvm.emit_c_interface}
func.func @scalar_result(%x: tensor<4xf32>) -> f32 {
  %c1 = arith.constant 1 : index
  %e = tensor.extract %x[%c1] : tensor<4xf32>
  return %e : f32
}

// CHECK-LABEL: func.func @called(
// CHECK-SAME: tensor<4xf32>) -> tensor<4xf32> attributes {c_signature = (tensor<4xf32>) -> tensor<4xf32>, llvm.emit_c_interface}
func.func @called(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// CHECK-LABEL: func.func @calls(
// CHECK-SAME: c_result_dims = [array<i64>]
// CHECK: call @called(%{{.*}}) : (tensor<4xf32>) -> tensor<4xf32>
func.func @calls(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = call @called(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @two_blocks(
// CHECK-SAME: -> tensor<4xf32> attributes {c_signature
// CHECK-NOT: c_result_dims
// CHECK-SAME: {
func.func @two_blocks(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  cf.cond_br %c, ^a, ^b
^a:
  return %x : tensor<4xf32>
^b:
  return %x : tensor<4xf32>
}

// Private functions and declarations are nobody's interface.

// CHECK: func.func private @hidden(%{{.*}}: tensor<4xf32>) -> tensor<4xf32> {
func.func private @hidden(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// CHECK: func.func private @external(tensor<4xf32>) -> tensor<4xf32>{{$}}
func.func private @external(tensor<4xf32>) -> tensor<4xf32>

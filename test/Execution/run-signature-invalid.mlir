// Modules of the llvm dialect with attributes that are missing or wrong: checked,
// since a call by them would read and write anywhere.

// RUN: split-file %s %t

// RUN: not rope-run %t/none.mlir 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: function 'f' has no 'c_signature' attribute, so its arguments are unknown; give the module as it was before it was lowered to the llvm dialect, or lower it with --rope-to-llvm
//--- none.mlir
llvm.func @f() { llvm.return }

// RUN: not rope-run %t/kind.mlir 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error: function 'f' has a 'c_signature' that is no function type
//--- kind.mlir
llvm.func @f() attributes {c_signature = i32} { llvm.return }

// RUN: not rope-run %t/type.mlir 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: error: function 'f' cannot be called from C: argument 0 has type tensor<2xcomplex<f32>>
//--- type.mlir
llvm.func @f() attributes {c_signature = (tensor<2xcomplex<f32>>) -> ()} { llvm.return }

// RUN: not rope-run %t/unranked.mlir 2>&1 | FileCheck %s --check-prefix=UNRANKED
// UNRANKED: error: function 'f' cannot be called from C: result 0 has type memref<*xf32>
//--- unranked.mlir
llvm.func @f() attributes {c_signature = () -> memref<*xf32>} { llvm.return }

// RUN: not rope-run %t/symbol.mlir 2>&1 | FileCheck %s --check-prefix=SYMBOL
// SYMBOL: error: function 'f' has no C interface: the module does not define '_mlir_ciface_f'
//--- symbol.mlir
llvm.func @f() attributes {c_signature = () -> ()} { llvm.return }

// RUN: not rope-run %t/interface.mlir 2>&1 | FileCheck %s --check-prefix=INTERFACE
// INTERFACE: error: the C interface '_mlir_ciface_f' does not fit its signature: expected !llvm.func<void (ptr, i64, ptr)>, but got !llvm.func<void (ptr, i32, ptr)>
//--- interface.mlir
llvm.func @f() attributes {c_signature = (tensor<2xf32>, i64) -> tensor<2xf32>, c_result_dims = [array<i64>]} { llvm.return }
llvm.func @_mlir_ciface_f(%x: !llvm.ptr, %n: i32, %y: !llvm.ptr) { llvm.return }

// RUN: not rope-run %t/lists.mlir 2>&1 | FileCheck %s --check-prefix=LISTS
// LISTS: error: function 'f' has a 'c_result_dims' that is not one array for each result
//--- lists.mlir
llvm.func @f() attributes {c_signature = () -> tensor<2xf32>, c_result_dims = []} { llvm.return }

// RUN: not rope-run %t/scalar.mlir 2>&1 | FileCheck %s --check-prefix=SCALAR
// SCALAR: error: function 'f' has a 'c_result_dims', but a result that is no array
//--- scalar.mlir
llvm.func @f() attributes {c_signature = () -> f32, c_result_dims = [array<i64>]} { llvm.return }

// RUN: not rope-run %t/pairs.mlir 2>&1 | FileCheck %s --check-prefix=PAIRS
// PAIRS: error: function 'f' has a 'c_result_dims' that is not one pair for each dynamic dimension
//--- pairs.mlir
llvm.func @f() attributes {c_signature = (tensor<?xf32>) -> tensor<?xf32>, c_result_dims = [array<i64: 0>]} { llvm.return }

// RUN: not rope-run %t/dims.mlir 2>&1 | FileCheck %s --check-prefix=DIMS
// DIMS: error: function 'f' has a 'c_result_dims' that names no dimension of an argument
//--- dims.mlir
llvm.func @f() attributes {c_signature = (tensor<?xf32>) -> tensor<?xf32>, c_result_dims = [array<i64: 0, 1>]} { llvm.return }

// RUN: not rope-run %t/equal.mlir 2>&1 | FileCheck %s --check-prefix=EQUAL
// EQUAL: error: function 'f' has a 'c_equal_dims' that is no list of arrays
//--- equal.mlir
llvm.func @f() attributes {c_signature = () -> (), c_equal_dims = 1} { llvm.return }

// RUN: not rope-run %t/equals.mlir 2>&1 | FileCheck %s --check-prefix=EQUALS
// EQUALS: error: function 'f' has a 'c_equal_dims' that does not name two dimensions of arguments
//--- equals.mlir
llvm.func @f() attributes {c_signature = (tensor<?xf32>) -> (), c_equal_dims = [array<i64: 0, 0, -1, 0>]} { llvm.return }

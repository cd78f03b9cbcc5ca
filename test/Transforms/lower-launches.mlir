// RUN: rope-opt %s --rope-lower-launches --split-input-file | FileCheck %s
// RUN: rope-opt %s --rope-lower-launches --split-input-file --convert-scf-to-cf --expand-strided-metadata --convert-to-llvm --reconcile-unrealized-casts | FileCheck %s --check-prefix=LLVM

// The image is the program's, and so is what the runtime knows of it. Text ends
// with a zero, which counts.

// CHECK-NOT: gpu.container_module
// CHECK-DAG: llvm.func @rope_gpu_launch(!llvm.ptr, !llvm.ptr, i64, i64, i64, i64, i64, i64, i64, i64, !llvm.ptr, i64, !llvm.ptr)
// CHECK-DAG: llvm.func @rope_gpu_constant(!llvm.ptr, !llvm.ptr, i64) -> !llvm.ptr
// CHECK-DAG: llvm.mlir.global internal constant @kernels_k("k\00") {addr_space = 0 : i32, alignment = 1 : i64}
// CHECK-DAG: llvm.mlir.global internal constant @kernels_image("ptx\00") {addr_space = 0 : i32, alignment = 16 : i64}
// CHECK-DAG: llvm.mlir.global internal @kernels_module() {addr_space = 0 : i32, alignment = 8 : i64} : !llvm.struct<(i64, ptr, i64, ptr)> {
// CHECK: %[[M0:.*]] = llvm.mlir.zero
// CHECK: %[[API:.*]] = llvm.mlir.constant(0 : i64)
// CHECK: %[[M1:.*]] = llvm.insertvalue %[[API]], %[[M0]][0]
// CHECK: %[[IMAGE:.*]] = llvm.mlir.addressof @kernels_image
// CHECK: %[[M2:.*]] = llvm.insertvalue %[[IMAGE]], %[[M1]][1]
// CHECK: %[[BYTES:.*]] = llvm.mlir.constant(4 : i64)
// CHECK: %[[M3:.*]] = llvm.insertvalue %[[BYTES]], %[[M2]][2]
// CHECK: llvm.return %[[M3]]
// CHECK-NOT: gpu.binary

// Nothing else is left for the conversion to LLVM.
// LLVM-NOT: unrealized_conversion_cast
// LLVM-NOT: memref.{{[a-fh-z]}}
// LLVM-NOT: gpu.
module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  memref.global "private" constant @weights : memref<4x2xf64> = dense<1.0>
  memref.global "private" constant @nothing : memref<0xf32> = dense<>

  // Arrays stand in the entry block, one for all launches of the function. A
  // pointer is to the first element, whatever the elements of the kernel are.

  // CHECK-LABEL: func.func @launches(
  // CHECK-SAME: %[[X:.*]]: memref<?x?xbf16, strided<[?, 1], offset: ?>>, %[[Y:.*]]: memref<8xi1, strided<[2], offset: 3>>, %[[N:.*]]: index, %[[K:.*]]: i32)
  // CHECK-NEXT: %[[THREE:.*]] = llvm.mlir.constant(3 : i64)
  // CHECK-NEXT: %[[BUFFERS:.*]] = llvm.alloca %[[THREE]] x !llvm.ptr
  // CHECK-NEXT: %[[TWO:.*]] = llvm.mlir.constant(2 : i64)
  // CHECK-NEXT: %[[NUMBERS:.*]] = llvm.alloca %[[TWO]] x i64
  // CHECK: scf.for
  // CHECK: %[[MODULE:.*]] = llvm.mlir.addressof @kernels_module
  // CHECK: %[[NAME:.*]] = llvm.mlir.addressof @kernels_k
  // CHECK: %[[XINDEX:.*]] = memref.extract_aligned_pointer_as_index %[[X]]
  // CHECK: %[[XI64:.*]] = arith.index_cast %[[XINDEX]]
  // CHECK: %[[XBASE:.*]] = llvm.inttoptr %[[XI64]]
  // CHECK: %{{.*}}, %[[OFFSET:.*]], %{{.*}}:2, %{{.*}}:2 = memref.extract_strided_metadata %[[X]]
  // CHECK: %[[ELEMENTS:.*]] = arith.index_cast %[[OFFSET]]
  // CHECK: %[[SIZE:.*]] = llvm.mlir.constant(2 : i64)
  // CHECK: %[[DISTANCE:.*]] = llvm.mul %[[ELEMENTS]], %[[SIZE]]
  // CHECK: %[[XPTR:.*]] = llvm.getelementptr %[[XBASE]][%[[DISTANCE]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  // CHECK: llvm.call @rope_gpu_check_address(%[[NAME]], %{{.*}}, %[[XPTR]], %{{.*}})
  // CHECK-NOT: rope_gpu_check_address
  // CHECK: memref.extract_aligned_pointer_as_index %[[Y]]
  // CHECK: llvm.mlir.constant(3 : i64)
  // CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i64)
  // CHECK: llvm.mul %{{.*}}, %[[ONE]]
  // CHECK: %[[YPTR:.*]] = llvm.getelementptr
  // CHECK: llvm.store %[[XPTR]], %{{.*}} : !llvm.ptr, !llvm.ptr
  // CHECK: llvm.store %[[YPTR]], %{{.*}} : !llvm.ptr, !llvm.ptr
  // CHECK: llvm.store %{{.*}}, %{{.*}} : i64, !llvm.ptr
  // CHECK: llvm.store %{{.*}}, %{{.*}} : i64, !llvm.ptr
  // CHECK: %[[SHARED:.*]] = arith.extsi %[[K]] : i32 to i64
  // CHECK: %[[NB:.*]] = llvm.mlir.constant(2 : i64)
  // CHECK: %[[NN:.*]] = llvm.mlir.constant(2 : i64)
  // CHECK: llvm.call @rope_gpu_launch(%[[MODULE]], %[[NAME]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[SHARED]], %[[NB]], %[[BUFFERS]], %[[NN]], %[[NUMBERS]])
  // CHECK: }
  // Three buffers, no number.
  // CHECK: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
  // CHECK: %[[NB:.*]] = llvm.mlir.constant(3 : i64)
  // CHECK: %[[NN:.*]] = llvm.mlir.constant(0 : i64)
  // CHECK: llvm.call @rope_gpu_launch({{.*}}, %[[NB]], %[[BUFFERS]], %[[NN]], %[[NULL]])
  func.func @launches(%x: memref<?x?xbf16, strided<[?, 1], offset: ?>>, %y: memref<8xi1, strided<[2], offset: 3>>, %n: index, %k: i32) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    scf.for %i = %c0 to %n step %c1 {
      %kx = builtin.unrealized_conversion_cast %x
        : memref<?x?xbf16, strided<[?, 1], offset: ?>> to memref<?xi16, strided<[1], offset: ?>>
      gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%c64, %c1, %c1) dynamic_shared_memory_size %k
        args(%kx : memref<?xi16, strided<[1], offset: ?>>, %y : memref<8xi1, strided<[2], offset: 3>>, %i : index, %n : index)
    }
    gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%y : memref<8xi1, strided<[2], offset: 3>>, %y : memref<8xi1, strided<[2], offset: 3>>, %y : memref<8xi1, strided<[2], offset: 3>>)
    return
  }

  // A constant is copied to the device; a view of it is at the same distance
  // there. One without elements needs no memory.

  // CHECK-LABEL: func.func @constants(
  // CHECK: %[[MODULE:.*]] = llvm.mlir.addressof @kernels_module
  // CHECK: %[[VIEW:.*]] = llvm.getelementptr
  // CHECK: %[[INDEX:.*]] = memref.extract_aligned_pointer_as_index %{{.*}} : memref<4x2xf64> -> index
  // CHECK: %[[I64:.*]] = arith.index_cast %[[INDEX]]
  // CHECK: %[[HOST:.*]] = llvm.inttoptr %[[I64]]
  // CHECK: %[[BYTES:.*]] = llvm.mlir.constant(64 : i64)
  // CHECK: %[[DEVICE:.*]] = llvm.call @rope_gpu_constant(%[[MODULE]], %[[HOST]], %[[BYTES]])
  // CHECK: %[[V:.*]] = llvm.ptrtoint %[[VIEW]]
  // CHECK: %[[H:.*]] = llvm.ptrtoint %[[HOST]]
  // CHECK: %[[D:.*]] = llvm.sub %[[V]], %[[H]]
  // CHECK: %[[P:.*]] = llvm.getelementptr %[[DEVICE]][%[[D]]]
  // CHECK-NOT: rope_gpu_constant
  // CHECK: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
  // CHECK: llvm.store %[[P]], %{{.*}}
  // CHECK: llvm.store %[[NULL]], %{{.*}}
  func.func @constants(%n: index) {
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %w = memref.get_global @weights : memref<4x2xf64>
    %v = memref.subview %w[1, 0] [2, 2] [1, 1] : memref<4x2xf64> to memref<2x2xf64, strided<[2, 1], offset: 2>>
    %k = memref.reinterpret_cast %v to offset: [2], sizes: [%c1], strides: [1]
      : memref<2x2xf64, strided<[2, 1], offset: 2>> to memref<?xf64, strided<[1], offset: 2>>
    %e = memref.get_global @nothing : memref<0xf32>
    gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%k : memref<?xf64, strided<[1], offset: 2>>, %e : memref<0xf32>)
    return
  }
}

// -----

// CHECK-DAG: llvm.func @rope_gpu_alloc(!llvm.ptr, i64) -> !llvm.ptr
// CHECK-DAG: llvm.func @rope_gpu_free(!llvm.ptr, !llvm.ptr)
// CHECK-DAG: llvm.func @rope_gpu_upload(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64)
// CHECK-DAG: llvm.func @rope_gpu_fail(!llvm.ptr)
// CHECK-DAG: llvm.mlir.global internal constant @kernels_image("\7FELF")
// CHECK: llvm.mlir.global internal @kernels_module
// CHECK: llvm.mlir.constant(1 : i64)
module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#rocdl.target, bin = "\7FELF">]

  // CHECK-LABEL: func.func @memory(
  // CHECK-SAME: %[[N:.*]]: index, %[[H:.*]]: memref<?x3xi64>)
  // CHECK: %[[MODULE:.*]] = llvm.mlir.addressof @kernels_module
  // CHECK: %[[SIZE:.*]] = arith.index_cast %[[N]]
  // CHECK: %[[THREE:.*]] = llvm.mlir.constant(3 : i64)
  // CHECK: %[[EIGHT:.*]] = llvm.mlir.constant(8 : i64)
  // CHECK: %[[ZERO:.*]] = llvm.mlir.constant(0 : i64)
  // CHECK: %[[L0:.*]], %[[H0:.*]] = arith.mului_extended %[[EIGHT]], %[[SIZE]]
  // CHECK: %[[O0:.*]] = arith.cmpi ne, %[[H0]], %[[ZERO]]
  // CHECK: %[[L1:.*]], %[[H1:.*]] = arith.mului_extended %[[L0]], %[[THREE]]
  // CHECK: %[[O1:.*]] = arith.cmpi ne, %[[H1]], %[[ZERO]]
  // CHECK: %[[O2:.*]] = arith.ori %[[O0]], %[[O1]]
  // CHECK: %[[O3:.*]] = arith.cmpi slt, %[[L1]], %[[ZERO]]
  // CHECK: %[[LARGE:.*]] = arith.ori %[[O2]], %[[O3]]
  // CHECK: %[[P:.*]] = scf.if %[[LARGE]] -> (!llvm.ptr) {
  // CHECK: llvm.call @rope_gpu_fail(
  // CHECK: %[[NULL:.*]] = llvm.mlir.zero
  // CHECK: scf.yield %[[NULL]]
  // CHECK: } else {
  // CHECK: %[[NEW:.*]] = llvm.call @rope_gpu_alloc(%[[MODULE]], %[[L1]])
  // CHECK: scf.yield %[[NEW]]
  // CHECK: builtin.unrealized_conversion_cast %{{.*}} : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)> to memref<?x3xi64>
  // CHECK: memref.dim %[[H]]
  // CHECK: llvm.call @rope_gpu_upload(
  // CHECK: llvm.call @rope_gpu_free(
  func.func @memory(%n: index, %h: memref<?x3xi64>) {
    %m = gpu.alloc (%n) : memref<?x3xi64>
    gpu.memcpy %m, %h : memref<?x3xi64>, memref<?x3xi64>
    gpu.dealloc %m : memref<?x3xi64>
    return
  }

  // CHECK-LABEL: func.func @number(
  // CHECK: builtin.unrealized_conversion_cast %{{.*}} : !llvm.struct<(ptr, ptr, i64)> to memref<f32>
  func.func @number() -> memref<f32> {
    %m = gpu.alloc () : memref<f32>
    return %m : memref<f32>
  }
}

// -----

// Kernels that nothing launches leave nothing.

// CHECK: module {
// CHECK-NEXT: func.func @f()
module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @f() {
    return
  }
}

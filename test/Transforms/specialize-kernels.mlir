// RUN: rope-opt %s --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=cuda}))' | FileCheck %s --check-prefixes=LLVM,CUDA
// RUN: rope-opt %s --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=rocm}))' | FileCheck %s --check-prefixes=LLVM,ROCM
// RUN: rope-opt %s --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=vulkan}))' | FileCheck %s --check-prefix=VULKAN
// RUN: rope-opt %s --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=vulkan opencl}))' | FileCheck %s --check-prefix=OPENCL

// VULKAN: gpu.module @kernels [#spirv.target_env<#spirv.vce<v1.3, [Shader, {{.*}}], [SPV_KHR_storage_buffer_storage_class, SPV_KHR_16bit_storage, SPV_KHR_8bit_storage]>, api=Vulkan, #spirv.resource_limits<>>]
// OPENCL: gpu.module @kernels [#spirv.target_env<#spirv.vce<v1.0, [Kernel, Addresses, Linkage, Int64, {{.*}}], []>, api=OpenCL, #spirv.resource_limits<>>]
gpu.module @kernels {

  // Buffers are pointers to global memory; the memref made of one starts at it.

  // LLVM-LABEL: gpu.func @copy(
  // LLVM-SAME: %[[X:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[N:.*]]: index) kernel attributes {known_block_size = array<i32: 64, 1, 1>}
  // LLVM: %[[P:.*]] = llvm.addrspacecast %[[X]] : !llvm.ptr<1> to !llvm.ptr
  // LLVM: %[[ZERO:.*]] = llvm.mlir.constant(0 : i64)
  // LLVM: %[[ONE:.*]] = llvm.mlir.constant(1 : i64)
  // LLVM: %[[D0:.*]] = llvm.mlir.poison
  // LLVM: %[[D1:.*]] = llvm.insertvalue %[[P]], %[[D0]][0]
  // LLVM: %[[D2:.*]] = llvm.insertvalue %[[P]], %[[D1]][1]
  // LLVM: %[[D3:.*]] = llvm.insertvalue %[[ZERO]], %[[D2]][2]
  // LLVM: %[[D4:.*]] = llvm.insertvalue %[[ONE]], %[[D3]][4, 0]
  // LLVM: %[[M:.*]] = builtin.unrealized_conversion_cast %[[D4]] : {{.*}} to memref<?xf16, strided<[1], offset: ?>>
  // LLVM: memref.load %[[M]]

  // In Vulkan a thread of a block that does not exist does nothing, and every
  // access starts where the view does: bytes behind the binding, by the size of
  // an element.

  // VULKAN-LABEL: gpu.func @copy(
  // VULKAN-SAME: %[[X:.*]]: memref<?xf16, #spirv.storage_class<StorageBuffer>> {spirv.interface_var_abi = #spirv.interface_var_abi<(0, 0)>},
  // VULKAN-SAME: %[[Y:.*]]: memref<?xi32, #spirv.storage_class<StorageBuffer>> {spirv.interface_var_abi = #spirv.interface_var_abi<(0, 1)>},
  // VULKAN-SAME: %[[W:.*]]: memref<4xi32, #spirv.storage_class<PushConstant>> {spirv.interface_var_abi = #spirv.interface_var_abi<(0, 2)>}) kernel
  // VULKAN-SAME: spirv.entry_point_abi = #spirv.entry_point_abi<workgroup_size = [64, 1, 1]>
  // VULKAN: %[[C3:.*]] = arith.constant 3 : index
  // VULKAN: %[[LAST:.*]] = memref.load %[[W]][%[[C3]]]
  // VULKAN: %[[BLOCKS:.*]] = arith.index_cast %[[LAST]] : i32 to index
  // VULKAN: %[[BX:.*]] = gpu.block_id x
  // VULKAN: %[[BY:.*]] = gpu.block_id y
  // VULKAN: %[[GX:.*]] = gpu.grid_dim x
  // VULKAN: %[[ROW:.*]] = arith.muli %[[BY]], %[[GX]]
  // VULKAN: %[[B:.*]] = arith.addi %[[ROW]], %[[BX]]
  // VULKAN: %[[C2:.*]] = arith.constant 2 : index
  // VULKAN: %[[NW:.*]] = memref.load %[[W]][%[[C2]]]
  // VULKAN: %[[N:.*]] = arith.index_cast %[[NW]] : i32 to index
  // VULKAN: %[[C0:.*]] = arith.constant 0 : index
  // VULKAN: %[[XBYTES:.*]] = memref.load %[[W]][%[[C0]]]
  // VULKAN: %[[SHIFT:.*]] = arith.constant 1 : i32
  // VULKAN: %[[XWORD:.*]] = arith.shrui %[[XBYTES]], %[[SHIFT]]
  // VULKAN: %[[XSTART:.*]] = arith.index_cast %[[XWORD]] : i32 to index
  // VULKAN: %[[SHIFT2:.*]] = arith.constant 2 : i32
  // VULKAN: %[[YWORD:.*]] = arith.shrui %{{.*}}, %[[SHIFT2]]
  // VULKAN: %[[YSTART:.*]] = arith.index_cast %[[YWORD]] : i32 to index
  // VULKAN: %[[EXISTS:.*]] = arith.cmpi ult, %[[B]], %[[BLOCKS]]
  // VULKAN: scf.if %[[EXISTS]] {
  // VULKAN: %[[I:.*]] = arith.addi %[[B]], %[[N]]
  // VULKAN: %[[XI:.*]] = arith.addi %[[I]], %[[XSTART]]
  // VULKAN: memref.load %[[X]][%[[XI]]]
  // VULKAN: %[[YI:.*]] = arith.addi %[[I]], %[[YSTART]]
  // VULKAN: memref.store %{{.*}}, %[[Y]][%[[YI]]]
  // VULKAN: }
  // VULKAN-NEXT: gpu.return

  // OPENCL-LABEL: gpu.func @copy(
  // OPENCL-SAME: memref<?xf16, #spirv.storage_class<CrossWorkgroup>>, %{{.*}}: memref<?xi32, #spirv.storage_class<CrossWorkgroup>>, %{{.*}}: index) kernel
  // OPENCL: %[[B:.*]] = gpu.block_id x
  // OPENCL: arith.addi %[[B]], %{{.*}}
  gpu.func @copy(%x: memref<?xf16, strided<[1], offset: ?>>, %y: memref<?xi32, strided<[1], offset: ?>>, %n: index)
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %b = gpu.block_id x
    %i = arith.addi %b, %n : index
    %e = memref.load %x[%i] : memref<?xf16, strided<[1], offset: ?>>
    %r = arith.fptosi %e : f16 to i32
    memref.store %r, %y[%i] : memref<?xi32, strided<[1], offset: ?>>
    gpu.return
  }

  // Loads of what nothing else can write may be cached; noalias alone does not
  // say so.

  // CUDA-LABEL: gpu.func @aliases(
  // CUDA-SAME: %{{.*}}: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1> {llvm.noalias})
  gpu.func @aliases(%x: memref<?xf32, strided<[1], offset: ?>> {llvm.noalias}, %y: memref<?xf32, strided<[1], offset: ?>>,
                    %z: memref<?xf32, strided<[1], offset: ?>> {llvm.noalias})
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %f = memref.load %y[%i] : memref<?xf32, strided<[1], offset: ?>>
    %r = arith.addf %e, %f : f32
    memref.store %r, %z[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }

  // Workgroup memory is kept as it is, or allocated where SPIR-V wants it.

  // LLVM-LABEL: gpu.func @shared(
  // LLVM-SAME: !llvm.ptr<1>) workgroup(%[[S:.*]] : memref<64xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64}) kernel
  // LLVM: memref.store %{{.*}}, %[[S]]
  // VULKAN-LABEL: gpu.func @shared(
  // VULKAN-NOT: workgroup(
  // VULKAN: scf.if
  // VULKAN: %[[S:.*]] = memref.alloc() : memref<64xf32, #spirv.storage_class<Workgroup>>
  // VULKAN: memref.store %{{.*}}, %[[S]]
  // OPENCL-LABEL: gpu.func @shared(
  // OPENCL: memref.alloc() : memref<64xf32, #spirv.storage_class<Workgroup>>
  gpu.func @shared(%x: memref<?xf32, strided<[1], offset: ?>>)
      workgroup(%s : memref<64xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64})
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    memref.store %e, %s[%i] : memref<64xf32, #gpu.address_space<workgroup>>
    gpu.barrier
    gpu.return
  }

  // No function is left that would be a call of a library.

  // LLVM-LABEL: gpu.func @functions(
  // LLVM-NOT: math.
  // LLVM-DAG: llvm.call_intrinsic "llvm.fabs"(%{{.*}}) : (f32) -> f32
  // LLVM-DAG: llvm.call_intrinsic "llvm.ceil"
  // LLVM-DAG: llvm.call_intrinsic "llvm.copysign"
  // LLVM-DAG: llvm.call_intrinsic "llvm.floor"
  // LLVM-DAG: llvm.call_intrinsic "llvm.fma"
  // LLVM-DAG: llvm.call_intrinsic "llvm.maxnum"
  // LLVM-DAG: llvm.call_intrinsic "llvm.minnum"
  // LLVM-DAG: llvm.call_intrinsic "llvm.round"
  // LLVM-DAG: llvm.call_intrinsic "llvm.roundeven"
  // LLVM-DAG: llvm.call_intrinsic "llvm.sqrt"
  // LLVM-DAG: llvm.call_intrinsic "llvm.trunc"
  // LLVM-DAG: arith.divf
  // LLVM-DAG: arith.maximumf
  // LLVM-DAG: arith.constant 64 : index
  // LLVM-DAG: arith.cmpf uno
  // LLVM-DAG: arith.cmpf oeq
  // LLVM-DAG: arith.cmpf one
  // LLVM-NOT: math.
  // LLVM-NOT: block_dim
  // LLVM: gpu.return
  // VULKAN-LABEL: gpu.func @functions(
  // VULKAN-DAG: math.absf
  // VULKAN-DAG: math.fma
  // VULKAN-DAG: arith.maxnumf
  // VULKAN-DAG: arith.constant 64 : index
  // VULKAN-DAG: arith.cmpf uno
  // VULKAN-NOT: math.is
  // VULKAN: gpu.return
  gpu.func @functions(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %n = gpu.block_dim x
    %a = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %b = memref.load %x[%n] : memref<?xf32, strided<[1], offset: ?>>
    %0 = math.absf %a : f32
    %1 = math.ceil %0 : f32
    %2 = math.copysign %1, %b : f32
    %3 = math.floor %2 : f32
    %4 = math.fma %3, %a, %b : f32
    %5 = math.round %4 : f32
    %6 = math.roundeven %5 : f32
    %7 = math.sqrt %6 : f32
    %8 = math.trunc %7 : f32
    %9 = math.rsqrt %8 : f32
    %10 = arith.maxnumf %9, %a : f32
    %11 = arith.minnumf %10, %b : f32
    %12 = arith.maximumf %11, %b : f32
    %13 = math.isnan %12 : f32
    %14 = math.isinf %12 : f32
    %15 = math.isfinite %12 : f32
    %16 = arith.ori %13, %14 : i1
    %17 = arith.xori %16, %15 : i1
    %18 = arith.select %17, %12, %a : f32
    memref.store %18, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }

  // What is stored as f16 is rounded; of what is not stored nothing can be said.

  // VULKAN-LABEL: gpu.func @round(
  // VULKAN: arith.truncf %{{.*}} to_nearest_even : f32 to f16
  // VULKAN: arith.truncf %{{.*}} : f32 to f16
  // LLVM-LABEL: gpu.func @round(
  // LLVM-NOT: to_nearest_even
  // LLVM: gpu.return
  gpu.func @round(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf16, strided<[1], offset: ?>>)
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %a = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %b = arith.truncf %a : f32 to f16
    memref.store %b, %y[%i] : memref<?xf16, strided<[1], offset: ?>>
    %c = arith.truncf %a : f32 to f16
    %d = arith.addf %c, %c : f16
    memref.store %d, %y[%i] : memref<?xf16, strided<[1], offset: ?>>
    gpu.return
  }
}

// A subgroup has as many threads as the chip says.

// CUDA-LABEL: gpu.module @subgroups
// CUDA-COUNT-5: gpu.shuffle xor
// CUDA-NOT: gpu.shuffle
// ROCM-LABEL: gpu.module @subgroups
// ROCM-COUNT-6: gpu.shuffle xor
// ROCM-NOT: gpu.shuffle
// VULKAN: gpu.module @subgroups [#spirv.target_env<#spirv.vce<v1.3, [{{.*}}GroupNonUniformArithmetic
// VULKAN: gpu.subgroup_reduce add
gpu.module @subgroups {
  gpu.func @sum(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %a = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %b = gpu.subgroup_reduce add %a : (f32) -> f32
    memref.store %b, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

// bf16 that are only handed on are integers where memory has none.

// VULKAN-LABEL: gpu.func @hand_on(
// VULKAN: %[[C:.*]] = arith.constant 16256 : i16
// VULKAN: %[[R:.*]] = scf.if %{{.*}} -> (i16) {
// VULKAN: %[[E:.*]] = memref.load
// VULKAN-NEXT: scf.yield %[[E]] : i16
// VULKAN: scf.yield %[[C]] : i16
// VULKAN: memref.store %[[R]]
// VULKAN-NOT: bf16
gpu.module @integers {
  gpu.func @hand_on(%x: memref<?xi16, strided<[1], offset: ?>>, %n: index) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %one = arith.constant 1.0 : bf16
    %i = arith.constant 0 : index
    %t = gpu.thread_id x
    %c = arith.cmpi slt, %t, %n : index
    %r = scf.if %c -> bf16 {
      %e = memref.load %x[%i] : memref<?xi16, strided<[1], offset: ?>>
      %b = arith.bitcast %e : i16 to bf16
      scf.yield %b : bf16
    } else {
      scf.yield %one : bf16
    }
    %s = arith.bitcast %r : bf16 to i16
    memref.store %s, %x[%t] : memref<?xi16, strided<[1], offset: ?>>
    gpu.return
  }
}

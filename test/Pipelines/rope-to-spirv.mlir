// Kernels for Vulkan, from their portable form to SPIR-V.
// RUN: rope-opt %S/Inputs/kernels.mlir --rope-to-spirv='from-launches kernels-only' -o %t.mlir
// RUN: FileCheck %s --check-prefix=BINARY --input-file=%t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.spv
// RUN: spirv-val --target-env vulkan1.1 %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s

// Capabilities follow from the types of the kernels alone.
// RUN: rope-opt %s --rope-to-spirv='from-launches kernels-only' -o %t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.spv
// RUN: spirv-val --target-env vulkan1.1 %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --check-prefix=TYPES

// The same kernels for OpenCL.
// RUN: rope-opt %S/Inputs/kernels.mlir --rope-to-spirv='from-launches kernels-only opencl' -o %t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.spv
// RUN: spirv-val --target-env spv1.0 %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --check-prefix=OPENCL

// The host's code ends in the llvm dialect.
// RUN: rope-opt %S/Inputs/kernels.mlir --rope-to-spirv=from-launches -o %t.llvm.mlir
// RUN: rope-opt %t.llvm.mlir --mlir-print-op-generic -o %t.generic.mlir
// RUN: not grep -E '"(rope|func|gpu|spirv|memref|scf|cf|arith)\.|"builtin\.unrealized' %t.generic.mlir
// RUN: FileCheck %s --check-prefix=HOST --input-file=%t.llvm.mlir
// RUN: mlir-translate --mlir-to-llvmir %t.llvm.mlir | opt --passes=verify --disable-output
// RUN: not rope-opt %S/Inputs/vector-kernels.mlir --rope-to-spirv=from-launches 2>&1 | FileCheck %s --check-prefix=BF16
// RUN: not rope-opt %S/Inputs/kernels.mlir --rope-to-spirv='from-launches chip=vulkan1.3' 2>&1 | FileCheck %s --check-prefix=CHIP
// REQUIRES: spirv-val

// BINARY: gpu.binary @rope_kernels [#gpu.object<#spirv.target_env<#spirv.vce<v1.3, [
// BINARY-SAME: api=Vulkan
// BINARY-SAME: bin = "\03\02#\07

// CHECK-NOT: OpCapability {{.*}}64
// CHECK: OpEntryPoint GLCompute %scale "scale"
// CHECK: OpExecutionMode %scale LocalSize 64 1 1
// CHECK-DAG: OpDecorate %scale_arg_0 Binding 0
// CHECK-DAG: OpDecorate %scale_arg_1 Binding 1
// CHECK-DAG: OpDecorate %scale_arg_2 Binding 2
// CHECK-NOT: OpDecorate %scale_arg_3 Binding
// CHECK-DAG: OpDecorate %[[HALF:.*]] FPRoundingMode RTE
// CHECK-DAG: %_arr_uint_uint_8 = OpTypeArray %uint %uint_8
// CHECK-DAG: %scale_arg_3 = OpVariable %{{.*}} PushConstant
// CHECK-DAG: %{{.*}} = OpVariable %_ptr_Workgroup__struct_{{.*}} Workgroup
// CHECK: %[[HALF]] = OpFConvert %half
// CHECK: OpControlBarrier

// TYPES-DAG: OpCapability Int8
// TYPES-DAG: OpCapability StorageBuffer8BitAccess
// TYPES-DAG: OpCapability Int64
// TYPES-DAG: OpCapability Float64
// TYPES-NOT: OpCapability {{.*}}16
// TYPES: OpEntryPoint
// More words than push constants hold are a buffer of their own.
// TYPES: OpDecorate %types_arg_1 Binding 1
// TYPES: OpDecorate %types_arg_2 Binding 2
// Drivers may change nothing about floats.
// TYPES-NOT: PushConstant
// TYPES: OpDecorate %[[FMA:.*]] NoContraction
// TYPES: OpDecorate %[[SUB:.*]] NoContraction
// TYPES-NOT: PushConstant
// TYPES: %[[FMA]] = OpExtInst %double %{{.*}} Fma
// TYPES: %[[SUB]] = OpFSub

// OPENCL-NOT: OpCapability Shader
// OPENCL: OpCapability Kernel
// OPENCL: OpEntryPoint Kernel %sum "sum"
// OPENCL: OpName %{{.*}} "sum.__workgroup_mem__

// HOST: llvm.mlir.global internal constant @rope_kernels_image("\03\02#\07
// HOST: llvm.func @_mlir_ciface_scale(

// BF16: error: 'gpu.func' op has a type that kernels in SPIR-V do not have: 'bf16'
// CHIP: error: no kernels can be made for 'vulkan1.3': expected vulkan1.1

gpu.module @rope_kernels {
  gpu.func @types(%x: memref<?xi8, strided<[1], offset: ?>>, %y: memref<?xf64, strided<[1], offset: ?>>,
      %n0: index, %n1: index, %n2: index, %n3: index, %n4: index, %n5: index, %n6: index, %n7: index,
      %m0: index, %m1: index, %m2: index, %m3: index, %m4: index, %m5: index, %m6: index, %m7: index,
      %k0: index, %k1: index, %k2: index, %k3: index, %k4: index, %k5: index, %k6: index, %k7: index,
      %j0: index, %j1: index, %j2: index, %j3: index, %j4: index, %j5: index)
      kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
    %i = gpu.block_id x
    %e = memref.load %x[%i] : memref<?xi8, strided<[1], offset: ?>>
    %w = arith.extsi %e : i8 to i64
    %v = arith.muli %w, %w : i64
    %d = arith.sitofp %v : i64 to f64
    %s = math.sqrt %d : f64
    %p = arith.mulf %s, %d fastmath<contract> : f64
    %q = arith.addf %p, %s fastmath<contract> : f64
    %f = arith.subf %q, %d : f64
    memref.store %f, %y[%j5] : memref<?xf64, strided<[1], offset: ?>>
    gpu.return
  }
}

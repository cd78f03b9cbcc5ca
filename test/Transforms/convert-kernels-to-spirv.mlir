// RUN: rope-opt %s --pass-pipeline='builtin.module(gpu.module(rope-convert-kernels-to-spirv))' | FileCheck %s

module attributes {gpu.container_module} {
  gpu.module @kernels [#spirv.target_env<#spirv.vce<v1.3, [Shader], [SPV_KHR_storage_buffer_storage_class]>, api=Vulkan, #spirv.resource_limits<>>] {
    // Drivers must neither fuse nor reorder, and a loop of no iterations gives
    // what it starts from.
    // CHECK-LABEL: spirv.func @sum
    gpu.func @sum(%x: memref<4xf32, #spirv.storage_class<StorageBuffer>>, %n: i32) kernel
        attributes {spirv.entry_point_abi = #spirv.entry_point_abi<workgroup_size = [1, 1, 1]>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %to = arith.index_cast %n : i32 to index
      %zero = arith.constant 0.0 : f32
      %first = memref.load %x[%c0] : memref<4xf32, #spirv.storage_class<StorageBuffer>>
      // CHECK: spirv.mlir.loop
      // CHECK: spirv.FAdd %{{.*}}, %{{.*}} {no_contraction} : f32
      // CHECK: %[[RESULT:.*]] = spirv.Load "Function"
      // CHECK: %[[ANY:.*]] = spirv.S{{Less|Greater}}Than %{{.*}}, %{{.*}} : i32
      // CHECK: %[[SUM:.*]] = spirv.Select %[[ANY]], %[[RESULT]], %{{.*}} : i1, f32
      // CHECK: spirv.Store "StorageBuffer" %{{.*}}, %[[SUM]]
      %sum = scf.for %i = %c0 to %to step %c1 iter_args(%s = %zero) -> f32 {
        %next = arith.addf %s, %first : f32
        scf.yield %next : f32
      }
      memref.store %sum, %x[%c1] : memref<4xf32, #spirv.storage_class<StorageBuffer>>
      gpu.return
    }
  }
}

// RUN: rope-opt %s --rope-lower-launches --split-input-file --verify-diagnostics --mlir-print-op-on-diagnostic=false

module attributes {gpu.container_module} {
  // expected-error @+1 {{expected kernels to be in a gpu.binary, which -rope-serialize-kernels makes}}
  gpu.module @kernels {
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @host(%n: index) {
    // expected-note @+1 {{which is allocated here}}
    %m = memref.alloc() : memref<4xf32>
    %v = memref.subview %m[1] [2] [1] : memref<4xf32> to memref<2xf32, strided<[1], offset: 1>>
    // expected-error @+1 {{expected memory of the device, found an operand in memory of the host}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%v : memref<2xf32, strided<[1], offset: 1>>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  memref.global "private" @state : memref<4xf32>
  func.func @global(%n: index) {
    %m = memref.get_global @state : memref<4xf32>
    // expected-error @+1 {{expected memory of the device, found the global @state, which may change}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%m : memref<4xf32>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @order(%n: index, %m: memref<4xf32>) {
    // expected-error @+1 {{expected operands to be buffers and then numbers, found 'memref<4xf32>' behind a number}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%n : index, %m : memref<4xf32>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @float(%n: index, %x: f32) {
    // expected-error @+1 {{expected operands to be memrefs, index or integers of up to 64 bits, found 'f32'}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%x : f32)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @layout(%n: index, %m: memref<4x4xf32, affine_map<(d0, d1) -> (d0 + d1)>>, %x: memref<4xvector<4xf32>>) {
    // expected-error @+1 {{expected a strided memref of numbers of up to 64 bits, found 'memref<4xvector<4xf32>>'}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%x : memref<4xvector<4xf32>>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @map(%n: index, %m: memref<4x4xf32, affine_map<(d0, d1) -> (d0 floordiv 2, d1)>>) {
    // expected-error @+1 {{expected a strided memref of numbers of up to 64 bits}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
      args(%m : memref<4x4xf32, affine_map<(d0, d1) -> (d0 floordiv 2, d1)>>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @async(%n: index) {
    // expected-error @+1 {{expected gpu.launch_func, alloc, dealloc and memcpy alone in code of the host}}
    %t = gpu.wait async
    %u = gpu.launch_func async [%t] @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @token(%n: index, %t: !gpu.async.token) {
    // expected-error @+1 {{expected no async tokens: what is queued is in the order of the program}}
    %u = gpu.launch_func async [%t] @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @clusters(%n: index) {
    // expected-error @+1 {{expected no clusters of blocks}}
    gpu.launch_func @kernels::@k clusters in (%n, %n, %n) blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  // expected-error @+1 {{expected one object of the kernels, found 2}}
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">, #gpu.object<#nvvm.target, assembly = "ptx2">]
  func.func @two(%n: index) {
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  // expected-error @+1 {{expected linked code, which is what AMD's driver loads, found assembly: choose format=bin}}
  gpu.binary @kernels [#gpu.object<#rocdl.target, assembly = "isa">]
  func.func @assembly(%n: index) {
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  // expected-error @+1 {{expected kernels for CUDA, ROCm or Vulkan, found ones for #xevm.target}}
  gpu.binary @kernels [#gpu.object<#xevm.target, bin = "zebin">]
  func.func @other(%n: index) {
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

// -----

func.func @no_kernels(%n: index) {
  // expected-error @+1 {{expected a gpu.binary in the module, whose device the memory is on}}
  %m = gpu.alloc (%n) : memref<?xf32>
  return
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @host_shared(%n: index) {
    // expected-error @+1 {{expected memory of the device alone with numbers of up to 64 bits, one after the other, found 'memref<?xf32>', shared with the host}}
    %m = gpu.alloc host_shared (%n) : memref<?xf32>
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  func.func @strided(%x: memref<4xf32, strided<[2]>>, %y: memref<4xf32, strided<[2]>>) {
    // expected-error @+1 {{expected memrefs of numbers of up to 64 bits, one after the other, found 'memref<4xf32, strided<[2]>>'}}
    gpu.memcpy %x, %y : memref<4xf32, strided<[2]>>, memref<4xf32, strided<[2]>>
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "ptx">]
  // expected-error @+1 {{redefinition of function 'rope_gpu_launch' of different type}}
  llvm.func @rope_gpu_launch(i32)
  func.func @taken(%n: index) {
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}

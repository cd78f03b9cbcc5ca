// RUN: rope-opt %s --split-input-file --verify-diagnostics --mlir-print-op-on-diagnostic=false --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=vulkan}))'
// RUN: not rope-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=metal}))' 2>&1 | FileCheck %s --check-prefix=API
// RUN: not rope-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=cuda chip=sm_70}))' 2>&1 | FileCheck %s --check-prefix=CHIP
// RUN: not rope-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=cuda}))' 2>&1 | FileCheck %s --check-prefix=CUDA
// RUN: not rope-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=rocm}))' 2>&1 | FileCheck %s --check-prefix=ROCM
// RUN: not rope-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(rope-specialize-kernels{api=cuda opencl}))' 2>&1 | FileCheck %s --check-prefix=OPENCL

// API: error: unknown kind of GPU 'metal': expected cuda, rocm or vulkan
// CHIP: error: no kernels can be made for 'sm_70': expected sm_80 or later
// OPENCL: error: expected OpenCL with kernels for vulkan, found kernels for cuda

gpu.module @kernels {
  // expected-error @+1 {{expected kernels alone in a module of kernels, found a function that is none}}
  gpu.func @helper() attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected 'known_block_size' of a kernel to be a positive number, 1 and 1}}
  gpu.func @size() kernel {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected 'known_block_size' of a kernel to be a positive number, 1 and 1}}
  gpu.func @plane() kernel attributes {known_block_size = array<i32: 8, 8, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected a kernel of one block}}
  gpu.func @blocks() kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    cf.br ^end
  ^end:
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected buffers before numbers, found 'memref<?xf32, strided<[1], offset: ?>>' as parameter 1}}
  gpu.func @order(%n: index, %x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected parameter 0 to be index or memref<?xT, strided<[1], offset: ?>> with T one of f16, bf16, f32, f64, i8, i16, i32 and i64, found 'memref<?x?xf32>'}}
  gpu.func @rank(%x: memref<?x?xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error-re @+1 {{expected parameter 0 to be index or memref<?xT, {{.*}} found 'memref<?xi1>'}}
  gpu.func @bits(%x: memref<?xi1>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error-re @+1 {{expected parameter 0 to be index or memref<?xT, {{.*}} found 'f32'}}
  gpu.func @scalar(%x: f32) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

// Upstream would make it an array of f32.
gpu.module @kernels {
  // expected-error @+1 {{has a type that kernels in SPIR-V do not have: 'bf16'}}
  gpu.func @bf16(%x: memref<?xbf16, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @i4(%x: memref<?xi32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xi32, strided<[1], offset: ?>>
    // expected-error @+1 {{has a type that kernels in SPIR-V do not have: 'i4'}}
    %f = arith.trunci %e : i32 to i4
    %g = arith.extsi %f : i4 to i32
    memref.store %g, %x[%i] : memref<?xi32, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @vector(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = vector.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>, vector<4xf32>
    // expected-error @+1 {{expected memory of a kernel to be used by memref.load and memref.store alone}}
    vector.store %e, %x[%i] : memref<?xf32, strided<[1], offset: ?>>, vector<4xf32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @wide(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    // expected-error @+1 {{expected vectors of at most 4 elements in a kernel, found 'vector<8xf32>'}}
    %e = vector.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>, vector<8xf32>
    vector.store %e, %x[%i] : memref<?xf32, strided<[1], offset: ?>>, vector<8xf32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @workgroup() workgroup(%s : memref<64xf32, #gpu.address_space<workgroup>>)
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    // expected-error @+1 {{expected memory of a kernel to be used by memref.load and memref.store alone}}
    %v = memref.subview %s[0] [32] [1] : memref<64xf32, #gpu.address_space<workgroup>> to memref<32xf32, strided<[1]>, #gpu.address_space<workgroup>>
    %c0 = arith.constant 0 : index
    %f = arith.constant 0.0 : f32
    memref.store %f, %v[%c0] : memref<32xf32, strided<[1]>, #gpu.address_space<workgroup>>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{expected no private memory in a kernel, found 'memref<4xf32, #gpu.address_space<private>>'}}
  gpu.func @private() private(%s : memref<4xf32, #gpu.address_space<private>>)
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    gpu.return
  }
}

// -----

// CUDA: error: 'memref.dim' op expected the sizes of a kernel's buffer to be parameters
gpu.module @kernels {
  gpu.func @dim(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c0 = arith.constant 0 : index
    %e = arith.constant 0.0 : f32
    // expected-error @+1 {{expected memory of a kernel to be used by memref.load and memref.store alone}}
    %n = memref.dim %x, %c0 : memref<?xf32, strided<[1], offset: ?>>
    memref.store %e, %x[%n] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

// CUDA: error: 'math.exp' op expected a function without a device library, one of math.absf, ceil,
gpu.module @kernels {
  gpu.func @exp(%x: memref<?xf64, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf64, strided<[1], offset: ?>>
    // expected-error @+1 {{expected a function that drivers are precise in, one of math.absf, absi,}}
    %f = math.exp %e : f64
    memref.store %f, %x[%i] : memref<?xf64, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

// CUDA: error: 'arith.remf' op expected a function without a device library
gpu.module @kernels {
  gpu.func @rem(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %f = arith.remf %e, %e : f32
    memref.store %f, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

// ROCM: error: 'gpu.grid_dim' op expected the number of blocks to be a parameter: AMD's device library would be needed
gpu.module @kernels {
  gpu.func @grid(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    // expected-error @+1 {{expected kernels to know of their grid gpu.block_id x alone}}
    %i = gpu.grid_dim x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    memref.store %e, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

// CUDA: error: 'vector.broadcast' op expected numbers, floats of 16, 32 and 64 bits, and vectors of one known dimension in a kernel, found 'vector<2x2xf32>'
gpu.module @kernels {
  gpu.func @matrix(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    // expected-error @+1 {{expected vectors of at most 4 elements in a kernel, found 'vector<2x2xf32>'}}
    %v = vector.broadcast %e : f32 to vector<2x2xf32>
    %f = vector.extract %v[0, 1] : f32 from vector<2x2xf32>
    memref.store %f, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

// -----

// ROCM: error: 'arith.extf' op expected numbers, floats of 16, 32 and 64 bits, and vectors of one known dimension in a kernel, found 'f128'
gpu.module @kernels {
  gpu.func @f128(%x: memref<?xf32, strided<[1], offset: ?>>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %i = gpu.thread_id x
    %e = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    // expected-error @+1 {{has a type that kernels in SPIR-V do not have: 'f128'}}
    %v = arith.extf %e : f32 to f128
    %a = arith.addf %v, %v : f128
    %f = arith.truncf %a : f128 to f32
    memref.store %f, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    gpu.return
  }
}

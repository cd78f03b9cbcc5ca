// y[i] = x[i] * factor, by a kernel in the form that all targets take. What is
// run on the host by the fake drivers of test/Runtime is a kernel of this name
// and these parameters.
module attributes {gpu.container_module} {
  func.func @scale(%x: memref<?xi32, strided<[1], offset: ?>>, %factor: index, %y: memref<?xi32, strided<[1], offset: ?>>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %c64 = arith.constant 64 : index
    %n = memref.dim %x, %c0 : memref<?xi32, strided<[1], offset: ?>>
    %n1 = arith.addi %n, %c63 : index
    %blocks = arith.divui %n1, %c64 : index
    gpu.launch_func @rope_kernels::@scale blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%x : memref<?xi32, strided<[1], offset: ?>>, %y : memref<?xi32, strided<[1], offset: ?>>, %n : index, %factor : index)
    return
  }

  // The same twice, with an intermediate result of `room` elements.
  func.func @scale_twice(%x: memref<?xi32, strided<[1], offset: ?>>, %factor: index, %room: index, %y: memref<?xi32, strided<[1], offset: ?>>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %c64 = arith.constant 64 : index
    %n = memref.dim %x, %c0 : memref<?xi32, strided<[1], offset: ?>>
    %n1 = arith.addi %n, %c63 : index
    %blocks = arith.divui %n1, %c64 : index
    %m = gpu.alloc (%room) : memref<?xi32>
    %k = memref.reinterpret_cast %m to offset: [%c0], sizes: [%c1], strides: [1]
      : memref<?xi32> to memref<?xi32, strided<[1], offset: ?>>
    gpu.launch_func @rope_kernels::@scale blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%x : memref<?xi32, strided<[1], offset: ?>>, %k : memref<?xi32, strided<[1], offset: ?>>, %n : index, %factor : index)
    gpu.launch_func @rope_kernels::@scale blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%k : memref<?xi32, strided<[1], offset: ?>>, %y : memref<?xi32, strided<[1], offset: ?>>, %n : index, %factor : index)
    gpu.dealloc %m : memref<?xi32>
    return
  }

  // Works on the host alone.
  func.func @add(%a: i32, %b: i32) -> i32 {
    %c = arith.addi %a, %b : i32
    return %c : i32
  }

  gpu.module @rope_kernels {
    gpu.func @scale(%x: memref<?xi32, strided<[1], offset: ?>>, %y: memref<?xi32, strided<[1], offset: ?>>, %n: index, %factor: index) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c64 = arith.constant 64 : index
      %block = gpu.block_id x
      %thread = gpu.thread_id x
      %first = arith.muli %block, %c64 : index
      %i = arith.addi %first, %thread : index
      %inside = arith.cmpi slt, %i, %n : index
      scf.if %inside {
        %v = memref.load %x[%i] : memref<?xi32, strided<[1], offset: ?>>
        %f = arith.index_cast %factor : index to i32
        %w = arith.muli %v, %f : i32
        memref.store %w, %y[%i] : memref<?xi32, strided<[1], offset: ?>>
      }
      gpu.return
    }
  }
}

// y = x with each block of 64 elements reversed, through workgroup memory.
module attributes {gpu.container_module} {
  func.func @reverse(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf32, strided<[1], offset: ?>>)
      attributes {llvm.emit_c_interface} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %c64 = arith.constant 64 : index
    %n = memref.dim %x, %c0 : memref<?xf32, strided<[1], offset: ?>>
    %padded = arith.addi %n, %c63 : index
    %blocks = arith.divui %padded, %c64 : index
    gpu.launch_func @rope_kernels::@reverse blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%x : memref<?xf32, strided<[1], offset: ?>>, %y : memref<?xf32, strided<[1], offset: ?>>, %n : index)
    return
  }
  gpu.module @rope_kernels {
    gpu.func @reverse(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf32, strided<[1], offset: ?>>, %n: index)
        workgroup(%tile: memref<64xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64})
        kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c63 = arith.constant 63 : index
      %c64 = arith.constant 64 : index
      %zero = arith.constant 0.0 : f32
      %t = gpu.thread_id x
      %b = gpu.block_id x
      %start = arith.muli %b, %c64 : index
      %i = arith.addi %start, %t : index
      %inside = arith.cmpi slt, %i, %n : index
      %value = scf.if %inside -> f32 {
        %v = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
        scf.yield %v : f32
      } else {
        scf.yield %zero : f32
      }
      memref.store %value, %tile[%t] : memref<64xf32, #gpu.address_space<workgroup>>
      gpu.barrier
      %other = arith.subi %c63, %t : index
      %r = memref.load %tile[%other] : memref<64xf32, #gpu.address_space<workgroup>>
      scf.if %inside {
        memref.store %r, %y[%i] : memref<?xf32, strided<[1], offset: ?>>
      }
      gpu.return
    }
  }
}

// Kernels as they are before they are made for a target, and their launches:
// element by element, as all targets take them. The numbers of elements are
// parameters, blocks have 64 threads.
module attributes {gpu.container_module} {
  memref.global "private" constant @weights : memref<64xf32> = dense<2.0>

  // y[i] = x[i] * weights[i % 64] in f32, of f16 elements of strided rows.
  func.func @scale(%x: memref<?x?xf16, strided<[?, 1], offset: ?>>, %y: memref<?x?xf16, strided<[?, 1], offset: ?>>)
      attributes {llvm.emit_c_interface} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %c64 = arith.constant 64 : index
    %rows = memref.dim %x, %c0 : memref<?x?xf16, strided<[?, 1], offset: ?>>
    %columns = memref.dim %x, %c1 : memref<?x?xf16, strided<[?, 1], offset: ?>>
    %bx, %ox, %sx:2, %tx:2 = memref.extract_strided_metadata %x
      : memref<?x?xf16, strided<[?, 1], offset: ?>> -> memref<f16>, index, index, index, index, index
    %by, %oy, %sy:2, %ty:2 = memref.extract_strided_metadata %y
      : memref<?x?xf16, strided<[?, 1], offset: ?>> -> memref<f16>, index, index, index, index, index
    %kx = memref.reinterpret_cast %x to offset: [%ox], sizes: [%c1], strides: [1]
      : memref<?x?xf16, strided<[?, 1], offset: ?>> to memref<?xf16, strided<[1], offset: ?>>
    %ky = memref.reinterpret_cast %y to offset: [%oy], sizes: [%c1], strides: [1]
      : memref<?x?xf16, strided<[?, 1], offset: ?>> to memref<?xf16, strided<[1], offset: ?>>
    %w = memref.get_global @weights : memref<64xf32>
    %kw = memref.reinterpret_cast %w to offset: [%c0], sizes: [%c64], strides: [1]
      : memref<64xf32> to memref<?xf32, strided<[1], offset: ?>>
    %n = arith.muli %rows, %columns : index
    %n1 = arith.addi %n, %c63 : index
    %blocks = arith.divui %n1, %c64 : index
    gpu.launch_func @rope_kernels::@scale blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%kx : memref<?xf16, strided<[1], offset: ?>>, %kw : memref<?xf32, strided<[1], offset: ?>>,
           %ky : memref<?xf16, strided<[1], offset: ?>>, %rows : index, %columns : index, %tx#0 : index, %ty#0 : index)
    return
  }

  // y[r] = sum of x[r, :], one block a row, through workgroup memory; x is made
  // twice as large by a copy to an intermediate buffer first.
  func.func @sum(%x: memref<?x?xf32, strided<[?, 1], offset: ?>>, %y: memref<?xf32, strided<[?], offset: ?>>)
      attributes {llvm.emit_c_interface} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %rows = memref.dim %x, %c0 : memref<?x?xf32, strided<[?, 1], offset: ?>>
    %columns = memref.dim %x, %c1 : memref<?x?xf32, strided<[?, 1], offset: ?>>
    %bx, %ox, %sx:2, %tx:2 = memref.extract_strided_metadata %x
      : memref<?x?xf32, strided<[?, 1], offset: ?>> -> memref<f32>, index, index, index, index, index
    %by, %oy, %sy, %ty = memref.extract_strided_metadata %y
      : memref<?xf32, strided<[?], offset: ?>> -> memref<f32>, index, index, index
    %kx = memref.reinterpret_cast %x to offset: [%ox], sizes: [%c1], strides: [1]
      : memref<?x?xf32, strided<[?, 1], offset: ?>> to memref<?xf32, strided<[1], offset: ?>>
    %ky = memref.reinterpret_cast %y to offset: [%oy], sizes: [%c1], strides: [1]
      : memref<?xf32, strided<[?], offset: ?>> to memref<?xf32, strided<[1], offset: ?>>
    %m = gpu.alloc (%rows, %columns) : memref<?x?xf32>
    %km = memref.reinterpret_cast %m to offset: [%c0], sizes: [%c1], strides: [1]
      : memref<?x?xf32> to memref<?xf32, strided<[1], offset: ?>>
    gpu.launch_func @rope_kernels::@twice blocks in (%rows, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%kx : memref<?xf32, strided<[1], offset: ?>>, %km : memref<?xf32, strided<[1], offset: ?>>,
           %columns : index, %tx#0 : index, %columns : index)
    gpu.launch_func @rope_kernels::@sum blocks in (%rows, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%km : memref<?xf32, strided<[1], offset: ?>>, %ky : memref<?xf32, strided<[1], offset: ?>>,
           %columns : index, %columns : index, %ty : index)
    gpu.dealloc %m : memref<?x?xf32>
    return
  }

  // y[i] = y[i] + max(0, floor(sqrt(|x[i]|)))^2 in bf16, for i64 whose lower half x[i] is.
  func.func @positions(%x: memref<?xi64>, %y: memref<?xbf16>) attributes {llvm.emit_c_interface} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c63 = arith.constant 63 : index
    %c64 = arith.constant 64 : index
    %n = memref.dim %x, %c0 : memref<?xi64>
    %kx64 = memref.reinterpret_cast %x to offset: [%c0], sizes: [%c1], strides: [1]
      : memref<?xi64> to memref<?xi64, strided<[1], offset: ?>>
    %kx = builtin.unrealized_conversion_cast %kx64
      : memref<?xi64, strided<[1], offset: ?>> to memref<?xi32, strided<[1], offset: ?>>
    %ky16 = memref.reinterpret_cast %y to offset: [%c0], sizes: [%c1], strides: [1]
      : memref<?xbf16> to memref<?xbf16, strided<[1], offset: ?>>
    %ky = builtin.unrealized_conversion_cast %ky16
      : memref<?xbf16, strided<[1], offset: ?>> to memref<?xi16, strided<[1], offset: ?>>
    %n1 = arith.addi %n, %c63 : index
    %blocks = arith.divui %n1, %c64 : index
    gpu.launch_func @rope_kernels::@positions blocks in (%blocks, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%kx : memref<?xi32, strided<[1], offset: ?>>, %ky : memref<?xi16, strided<[1], offset: ?>>, %n : index)
    return
  }

  gpu.module @rope_kernels {
    gpu.func @scale(%x: memref<?xf16, strided<[1], offset: ?>>, %w: memref<?xf32, strided<[1], offset: ?>>,
                    %y: memref<?xf16, strided<[1], offset: ?>>, %rows: index, %columns: index,
                    %sx: index, %sy: index) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c64 = arith.constant 64 : index
      %block = gpu.block_id x
      %thread = gpu.thread_id x
      %start = arith.muli %block, %c64 : index
      %i = arith.addi %start, %thread : index
      %n = arith.muli %rows, %columns : index
      %inside = arith.cmpi slt, %i, %n : index
      scf.if %inside {
        %row = arith.divui %i, %columns : index
        %column = arith.remui %i, %columns : index
        %rx = arith.muli %row, %sx : index
        %ax = arith.addi %rx, %column : index
        %ry = arith.muli %row, %sy : index
        %ay = arith.addi %ry, %column : index
        %e = memref.load %x[%ax] : memref<?xf16, strided<[1], offset: ?>>
        %v = memref.load %w[%thread] : memref<?xf32, strided<[1], offset: ?>>
        %f = arith.extf %e : f16 to f32
        %p = arith.mulf %f, %v : f32
        %r = arith.truncf %p : f32 to f16
        memref.store %r, %y[%ay] : memref<?xf16, strided<[1], offset: ?>>
      }
      gpu.return
    }

    gpu.func @twice(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf32, strided<[1], offset: ?>>,
                    %columns: index, %sx: index, %sy: index) kernel
        attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c64 = arith.constant 64 : index
      %row = gpu.block_id x
      %thread = gpu.thread_id x
      %rx = arith.muli %row, %sx : index
      %ry = arith.muli %row, %sy : index
      scf.for %j = %thread to %columns step %c64 {
        %ax = arith.addi %rx, %j : index
        %ay = arith.addi %ry, %j : index
        %e = memref.load %x[%ax] : memref<?xf32, strided<[1], offset: ?>>
        %r = arith.addf %e, %e : f32
        memref.store %r, %y[%ay] : memref<?xf32, strided<[1], offset: ?>>
      }
      gpu.return
    }

    gpu.func @sum(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf32, strided<[1], offset: ?>>,
                  %columns: index, %sx: index, %sy: index)
        workgroup(%s : memref<64xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64}) kernel
        attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c32 = arith.constant 32 : index
      %c64 = arith.constant 64 : index
      %zero = arith.constant 0.0 : f32
      %row = gpu.block_id x
      %thread = gpu.thread_id x
      %rx = arith.muli %row, %sx : index
      %part = scf.for %j = %thread to %columns step %c64 iter_args(%a = %zero) -> f32 {
        %ax = arith.addi %rx, %j : index
        %e = memref.load %x[%ax] : memref<?xf32, strided<[1], offset: ?>>
        %next = arith.addf %a, %e : f32
        scf.yield %next : f32
      }
      memref.store %part, %s[%thread] : memref<64xf32, #gpu.address_space<workgroup>>
      gpu.barrier
      %last = scf.while (%half = %c32) : (index) -> index {
        %more = arith.cmpi sgt, %half, %c0 : index
        scf.condition(%more) %half : index
      } do {
      ^bb0(%half: index):
        %active = arith.cmpi slt, %thread, %half : index
        scf.if %active {
          %other = arith.addi %thread, %half : index
          %p = memref.load %s[%thread] : memref<64xf32, #gpu.address_space<workgroup>>
          %q = memref.load %s[%other] : memref<64xf32, #gpu.address_space<workgroup>>
          %r = arith.addf %p, %q : f32
          memref.store %r, %s[%thread] : memref<64xf32, #gpu.address_space<workgroup>>
        }
        gpu.barrier
        %next = arith.shrui %half, %c1 : index
        scf.yield %next : index
      }
      %first = arith.cmpi eq, %thread, %c0 : index
      scf.if %first {
        %r = memref.load %s[%c0] : memref<64xf32, #gpu.address_space<workgroup>>
        %ay = arith.muli %row, %sy : index
        memref.store %r, %y[%ay] : memref<?xf32, strided<[1], offset: ?>>
      }
      gpu.return
    }

    gpu.func @positions(%x: memref<?xi32, strided<[1], offset: ?>>, %y: memref<?xi16, strided<[1], offset: ?>>,
                        %n: index) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c64 = arith.constant 64 : index
      %zero = arith.constant 0.0 : f32
      %one32 = arith.constant 1 : i32
      %sixteen = arith.constant 16 : i32
      %bias = arith.constant 0x7fff : i32
      %block = gpu.block_id x
      %thread = gpu.thread_id x
      %start = arith.muli %block, %c64 : index
      %i = arith.addi %start, %thread : index
      %inside = arith.cmpi slt, %i, %n : index
      scf.if %inside {
        %i2 = arith.muli %i, %c2 : index
        %low = memref.load %x[%i2] : memref<?xi32, strided<[1], offset: ?>>
        %f = arith.sitofp %low : i32 to f32
        %size = math.absf %f : f32
        %root = math.sqrt %size : f32
        %whole = math.floor %root : f32
        %most = arith.maxnumf %whole, %zero : f32
        %e = memref.load %y[%i] : memref<?xi16, strided<[1], offset: ?>>
        %wide = arith.extui %e : i16 to i32
        %bits = arith.shli %wide, %sixteen : i32
        %old = arith.bitcast %bits : i32 to f32
        %new = math.fma %most, %most, %old : f32
        %u = arith.bitcast %new : f32 to i32
        %high = arith.shrui %u, %sixteen : i32
        %odd = arith.andi %high, %one32 : i32
        %r0 = arith.addi %u, %bias : i32
        %r1 = arith.addi %r0, %odd : i32
        %r2 = arith.shrui %r1, %sixteen : i32
        %r = arith.trunci %r2 : i32 to i16
        memref.store %r, %y[%i] : memref<?xi16, strided<[1], offset: ?>>
      }
      gpu.return
    }
  }
}

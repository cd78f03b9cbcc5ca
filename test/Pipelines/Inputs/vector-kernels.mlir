// Kernels that name a subgroup and accesses of 16 bytes, as those for CUDA and
// ROCm do, and each function that needs no library of the device.
gpu.module @rope_kernels {
  gpu.func @vectors(%x: memref<?xbf16, strided<[1], offset: ?>> {llvm.noalias}, %w: memref<?xf32, strided<[1], offset: ?>>,
                    %y: memref<?xbf16, strided<[1], offset: ?>> {llvm.noalias}, %n: index) 
      workgroup(%s : memref<256xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64}) kernel
      attributes {known_block_size = array<i32: 256, 1, 1>} {
    %c8 = arith.constant 8 : index
    %c4 = arith.constant 4 : index
    %c0 = arith.constant 0 : index
    %size = gpu.block_dim x
    %thread = gpu.thread_id x
    %block = gpu.block_id x
    %start = arith.muli %block, %size : index
    %i = arith.addi %start, %thread : index
    %inside = arith.cmpi slt, %i, %n : index
    scf.if %inside {
      %a = arith.muli %i, %c8 : index
      %a4 = arith.addi %a, %c4 : index
      %v = vector.load %x[%a] {alignment = 16 : i64} : memref<?xbf16, strided<[1], offset: ?>>, vector<8xbf16>
      %w0 = vector.load %w[%a] {alignment = 16 : i64} : memref<?xf32, strided<[1], offset: ?>>, vector<4xf32>
      %w1 = vector.load %w[%a4] {alignment = 16 : i64} : memref<?xf32, strided<[1], offset: ?>>, vector<4xf32>
      %e0 = vector.extract %v[0] : bf16 from vector<8xbf16>
      %e1 = vector.extract %v[1] : bf16 from vector<8xbf16>
      %f0 = arith.extf %e0 : bf16 to f32
      %f1 = arith.extf %e1 : bf16 to f32
      %g0 = vector.extract %w0[0] : f32 from vector<4xf32>
      %g1 = vector.extract %w1[1] : f32 from vector<4xf32>
      %sum = gpu.subgroup_reduce add %f0 : (f32) -> f32
      %m = gpu.subgroup_reduce maxnumf %f1 : (f32) -> f32
      %h0 = math.fma %f0, %g0, %sum : f32
      %h1 = arith.mulf %f1, %g1 : f32
      %h2 = arith.maxnumf %h1, %m : f32
      %b0 = arith.truncf %h0 : f32 to bf16
      %b1 = arith.truncf %h2 : f32 to bf16
      %r = vector.insert %b0, %v[0] : bf16 into vector<8xbf16>
      %r1 = vector.insert %b1, %r[1] : bf16 into vector<8xbf16>
      vector.store %r1, %y[%a] {alignment = 16 : i64} : memref<?xbf16, strided<[1], offset: ?>>, vector<8xbf16>
      memref.store %h0, %s[%thread] : memref<256xf32, #gpu.address_space<workgroup>>
    }
    gpu.barrier
    gpu.return
  }
  gpu.func @math(%x: memref<?xf32, strided<[1], offset: ?>>, %y: memref<?xf64, strided<[1], offset: ?>>, %h: memref<?xf16, strided<[1], offset: ?>>, %z: memref<?xi8, strided<[1], offset: ?>>) kernel
      attributes {known_block_size = array<i32: 256, 1, 1>} {
    %i = gpu.global_id x
    %v = memref.load %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %d = memref.load %y[%i] : memref<?xf64, strided<[1], offset: ?>>
    %a = math.absf %v : f32
    %b = math.ceil %a : f32
    %c = math.copysign %b, %v : f32
    %e = math.floor %c : f32
    %f = math.round %e : f32
    %g = math.roundeven %f : f32
    %j = math.rsqrt %g : f32
    %k = math.trunc %j : f32
    %l = math.sqrt %k : f32
    %m = arith.maximumf %l, %v : f32
    %o = arith.minimumf %m, %a : f32
    %p = math.exp %o : f32
    %q = math.tanh %p : f32
    memref.store %q, %x[%i] : memref<?xf32, strided<[1], offset: ?>>
    %da = math.absf %d : f64
    %db = math.ceil %da : f64
    %dc = math.copysign %db, %d : f64
    %de = math.floor %dc : f64
    %df = math.round %de : f64
    %dg = math.roundeven %df : f64
    %dj = math.rsqrt %dg : f64
    %dk = math.trunc %dj : f64
    %dl = math.sqrt %dk : f64
    %dm = arith.maximumf %dl, %d : f64
    %do = arith.minnumf %dm, %da : f64
    %dp = math.fma %do, %do, %do : f64
    memref.store %dp, %y[%i] : memref<?xf64, strided<[1], offset: ?>>
    %n0 = math.isnan %v : f32
    %n1 = math.isinf %v : f32
    %n2 = math.isfinite %d : f64
    %n3 = arith.ori %n0, %n1 : i1
    %n4 = arith.ori %n3, %n2 : i1
    %n5 = arith.extui %n4 : i1 to i8
    memref.store %n5, %z[%i] : memref<?xi8, strided<[1], offset: ?>>
    %hv = memref.load %h[%i] : memref<?xf16, strided<[1], offset: ?>>
    %hs = math.sqrt %hv : f16
    %hf = math.floor %hs : f16
    %hm = arith.maxnumf %hf, %hv : f16
    memref.store %hm, %h[%i] : memref<?xf16, strided<[1], offset: ?>>
    gpu.return
  }
}

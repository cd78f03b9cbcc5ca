// RUN: rope-opt %s --rope-outline-parallel-loops --split-input-file --allow-unregistered-dialect | FileCheck %s

// Iterations are numbered, the last dimension fastest. What the body uses goes
// through a structure on the caller's stack; constants are made again.

// CHECK: llvm.func @rope_parallel_for(!llvm.ptr, !llvm.ptr, i64, i64)
// CHECK-LABEL: func.func @fill(
// CHECK-SAME: %[[M:.*]]: memref<?x?xf32, strided<[?, 1], offset: ?>>, %[[LB:.*]]: index, %[[UB:.*]]: index, %[[STEP:.*]]: index, %[[X:.*]]: f32
func.func @fill(%m: memref<?x?xf32, strided<[?, 1], offset: ?>>, %lb: index, %ub: index, %step: index, %x: f32) {
  // CHECK: %[[CONTEXT:.*]] = llvm.alloca %{{.*}} x !llvm.struct<([[TYPES:.*]])> : (i64) -> !llvm.ptr
  %c3 = arith.constant 3 : index
  %c10 = arith.constant 10 : index
  %c2 = arith.constant 2 : index
  // (upper - lower + step - 1) / step, at least 0
  // CHECK: %[[LENGTH:.*]] = arith.subi %[[UB]], %[[LB]]
  // CHECK: %[[MORE:.*]] = arith.subi %[[STEP]], %c1
  // CHECK: %[[SUM:.*]] = arith.addi %[[LENGTH]], %[[MORE]]
  // CHECK: %[[COUNT:.*]] = arith.divsi %[[SUM]], %[[STEP]]
  // CHECK: %[[MAX:.*]] = arith.maxsi %[[COUNT]], %c0
  // CHECK: %[[TASKS:.*]] = arith.muli %[[MAX]], %c4
  // CHECK: llvm.store %[[X]], %{{.*}} : f32, !llvm.ptr
  // CHECK: %[[F:.*]] = constant @fill_parallel_0 : (!llvm.ptr, i64, !llvm.ptr) -> ()
  // CHECK: %[[N:.*]] = arith.index_cast %[[TASKS]] : index to i64
  // CHECK: %[[BYTES:.*]] = arith.index_cast %c0{{.*}} : index to i64
  // CHECK: %[[P:.*]] = builtin.unrealized_conversion_cast %[[F]] : (!llvm.ptr, i64, !llvm.ptr) -> () to !llvm.ptr
  // CHECK: llvm.call @rope_parallel_for(%[[P]], %[[CONTEXT]], %[[N]], %[[BYTES]])
  // CHECK-NEXT: return
  scf.parallel (%i, %j) = (%lb, %c3) to (%ub, %c10) step (%step, %c2) {
    memref.store %x, %m[%i, %j] : memref<?x?xf32, strided<[?, 1], offset: ?>>
  }
  return
}
// CHECK: func.func private @fill_parallel_0(%[[CONTEXT:.*]]: !llvm.ptr, %[[TASK:.*]]: i64, %{{.*}}: !llvm.ptr)
// CHECK-SAME: llvm.linkage = #llvm.linkage<internal>
// CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
// CHECK-DAG: %[[C4:.*]] = arith.constant 4 : index
// CHECK-DAG: %[[X:.*]] = llvm.load %{{.*}} : !llvm.ptr -> f32
// CHECK-DAG: %[[D:.*]] = llvm.load %{{.*}} : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
// CHECK-DAG: %[[M:.*]] = builtin.unrealized_conversion_cast %[[D]] : {{.*}} to memref<?x?xf32, strided<[?, 1], offset: ?>>
// CHECK: %[[T:.*]] = arith.index_cast %[[TASK]] : i64 to index
// CHECK: %[[J0:.*]] = arith.remui %[[T]], %[[C4]]
// CHECK: %[[I0:.*]] = arith.divui %[[T]], %[[C4]]
// CHECK: %[[J1:.*]] = arith.muli %[[J0]], %[[C2]]
// CHECK: %[[J:.*]] = arith.addi %[[J1]], %[[C3]]
// CHECK: %[[I1:.*]] = arith.muli %[[I0]], %{{.*}}
// CHECK: %[[I:.*]] = arith.addi %[[I1]], %{{.*}}
// CHECK: memref.store %[[X]], %[[M]][%[[I]], %[[J]]]
// CHECK: return

// -----

// Buffers of sizes known in front of the loop lie in the workspace, each at a
// multiple of 64 bytes; sizes that every task computes alike count as known.

// CHECK-LABEL: func.func @scratch(
// CHECK-SAME: %[[N:.*]]: index
func.func @scratch(%n: index) {
  %c0 = arith.constant 0 : index
  // CHECK: %[[TWICE:.*]] = arith.addi %[[N]], %[[N]]
  // CHECK: %[[B0:.*]] = arith.muli %[[N]], %c12
  // CHECK: %[[B1:.*]] = arith.addi %[[B0]], %c63
  // CHECK: %[[B2:.*]] = arith.andi %[[B1]], %c-64
  // CHECK: %[[O1:.*]] = arith.addi %[[B2]], %c128{{.*}}
  // CHECK: %[[B3:.*]] = arith.muli %[[TWICE]], %c192
  // CHECK: %[[TOTAL:.*]] = arith.addi %[[O1]], %[[B3]]
  // CHECK: %[[BYTES:.*]] = arith.index_cast %[[TOTAL]] : index to i64
  // CHECK: llvm.call @rope_parallel_for(%{{.*}}, %{{.*}}, %{{.*}}, %[[BYTES]])
  scf.forall (%i) in (%n) {
    %a = memref.alloc() : memref<17xf32>
    %b = memref.alloc(%n) {alignment = 64 : i64} : memref<2x?x3xi16>
    %twice = arith.addi %n, %n : index
    %c = memref.alloc(%twice) : memref<?x3xvector<4x4xf32>>
    "test.use"(%a, %b, %c) : (memref<17xf32>, memref<2x?x3xi16>, memref<?x3xvector<4x4xf32>>) -> ()
    memref.dealloc %a : memref<17xf32>
    memref.dealloc %b : memref<2x?x3xi16>
    memref.dealloc %c : memref<?x3xvector<4x4xf32>>
  }
  return
}
// CHECK: func.func private @scratch_parallel_0(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %[[SPACE:.*]]: !llvm.ptr)
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C128:.*]] = arith.constant 128 : index
// CHECK: %[[D:.*]] = llvm.insertvalue %[[SPACE]], %{{.*}}[0]
// CHECK: llvm.insertvalue %[[SPACE]], %[[D]][1]
// CHECK: %[[W:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xi8>
// CHECK: %[[A:.*]] = memref.view %[[W]][%[[C0]]][] : memref<?xi8> to memref<17xf32>
// CHECK: %[[B:.*]] = memref.view %[[W]][%[[C128]]][%{{.*}}] : memref<?xi8> to memref<2x?x3xi16>
// CHECK: %[[C:.*]] = memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<?x3xvector<4x4xf32>>
// CHECK-NEXT: "test.use"(%[[A]], %[[B]], %[[C]])
// CHECK-NEXT: return

// -----

// A size of the task itself counts as the largest that it can be.

// CHECK-LABEL: func.func @blocks(
// CHECK-SAME: %[[N:.*]]: index
func.func @blocks(%n: index) {
  // 16 * 3 * 4 bytes, then n * 16 * 4.
  // CHECK: %[[B:.*]] = arith.muli %[[N]], %c64
  // CHECK: %[[TOTAL:.*]] = arith.addi %{{.*}}, %c192
  // CHECK: %[[BYTES:.*]] = arith.index_cast %[[TOTAL]] : index to i64
  // CHECK: llvm.call @rope_parallel_for(%{{.*}}, %{{.*}}, %{{.*}}, %[[BYTES]])
  // CHECK: func.func private @blocks_parallel_0
  // CHECK: %[[SIZE:.*]] = affine.min
  // CHECK: memref.view %{{.*}}[%{{.*}}][%[[SIZE]]] : memref<?xi8> to memref<?x3xf32>
  // CHECK: memref.view %{{.*}}[%{{.*}}][%{{.*}}, %[[SIZE]]] : memref<?xi8> to memref<?x?xf32>
  scf.forall (%i) = (0) to (%n) step (16) {
    %size = affine.min affine_map<(d0)[s0] -> (16, s0 - d0)>(%i)[%n]
    %a = memref.alloc(%size) : memref<?x3xf32>
    %b = memref.alloc(%n, %size) : memref<?x?xf32>
    "test.use"(%a, %b) : (memref<?x3xf32>, memref<?x?xf32>) -> ()
    memref.dealloc %a : memref<?x3xf32>
    memref.dealloc %b : memref<?x?xf32>
  }
  return
}

// -----

// Allocations that cannot lie in the workspace stay.

// CHECK-LABEL: func.func @stay(
func.func @stay(%n: index, %p: i1) {
  // CHECK: func.func private @stay_parallel_0
  // CHECK-NOT: memref.view
  scf.forall (%i) in (%n) {
    // A size of the task itself, and one that may be large for the last task.
    // CHECK: memref.alloc(%{{.*}}) : memref<?xf32>
    %a = memref.alloc(%i) : memref<?xf32>
    // CHECK: memref.alloc(%{{.*}}) : memref<?xf64>
    %size = affine.min affine_map<(d0)[s0] -> (131073, s0 - d0)>(%i)[%n]
    %z = memref.alloc(%size) : memref<?xf64>
    "test.use"(%z) : (memref<?xf64>) -> ()
    memref.dealloc %z : memref<?xf64>
    // Not freed.
    // CHECK: memref.alloc() : memref<1xf32>
    %b = memref.alloc() : memref<1xf32>
    // Freed in two places.
    // CHECK: memref.alloc() : memref<2xf32>
    %c = memref.alloc() : memref<2xf32>
    // Freed under another name.
    // CHECK: memref.alloc() : memref<3xf32>
    %d = memref.alloc() : memref<3xf32>
    // Freed in some tasks.
    // CHECK: memref.alloc() : memref<4xf32>
    %e = memref.alloc() : memref<4xf32>
    // Alignment and elements of more than 64 bytes.
    // CHECK: memref.alloc() {alignment = 128 : i64} : memref<5xf32>
    %f = memref.alloc() {alignment = 128 : i64} : memref<5xf32>
    // CHECK: memref.alloc() : memref<6xvector<17xf32>>
    %g = memref.alloc() : memref<6xvector<17xf32>>
    // Elements whose size is not known.
    // CHECK: memref.alloc() : memref<7xmemref<f32>>
    %h = memref.alloc() : memref<7xmemref<f32>>
    // CHECK: memref.alloc() : memref<8xvector<[4]xf32>>
    %k = memref.alloc() : memref<8xvector<[4]xf32>>
    // More bytes than there are.
    // CHECK: memref.alloc() : memref<4611686018427387904x2xf32>
    %l = memref.alloc() : memref<4611686018427387904x2xf32>
    // CHECK: memref.alloc() : memref<1099511627776xf32>
    %m = memref.alloc() : memref<1099511627776xf32>
    // A layout, another kind of memory.
    // CHECK: memref.alloc() : memref<9xf32, strided<[2]>>
    %o = memref.alloc() : memref<9xf32, strided<[2]>>
    // CHECK: memref.alloc() : memref<10xf32, 3>
    %q = memref.alloc() : memref<10xf32, 3>
    %cast = memref.cast %d : memref<3xf32> to memref<?xf32>
    // CHECK: "test.use"
    "test.use"(%a, %b, %c, %cast, %e, %f, %g, %h, %k, %l, %m, %o, %q)
      : (memref<?xf32>, memref<1xf32>, memref<2xf32>, memref<?xf32>, memref<4xf32>, memref<5xf32>, memref<6xvector<17xf32>>,
         memref<7xmemref<f32>>, memref<8xvector<[4]xf32>>, memref<4611686018427387904x2xf32>, memref<1099511627776xf32>,
         memref<9xf32, strided<[2]>>, memref<10xf32, 3>) -> ()
    // CHECK-COUNT-13: memref.dealloc
    memref.dealloc %a : memref<?xf32>
    scf.if %p {
      memref.dealloc %c : memref<2xf32>
    } else {
      memref.dealloc %c : memref<2xf32>
      memref.dealloc %e : memref<4xf32>
    }
    memref.dealloc %cast : memref<?xf32>
    memref.dealloc %f : memref<5xf32>
    memref.dealloc %g : memref<6xvector<17xf32>>
    memref.dealloc %h : memref<7xmemref<f32>>
    memref.dealloc %k : memref<8xvector<[4]xf32>>
    memref.dealloc %l : memref<4611686018427387904x2xf32>
    memref.dealloc %m : memref<1099511627776xf32>
    memref.dealloc %o : memref<9xf32, strided<[2]>>
    memref.dealloc %q : memref<10xf32, 3>
    // Made anew by each round of an inner loop.
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    scf.for %j = %c0 to %n step %c1 {
      // CHECK: memref.alloc() : memref<11xf32>
      %r = memref.alloc() : memref<11xf32>
      "test.use"(%r) : (memref<11xf32>) -> ()
      memref.dealloc %r : memref<11xf32>
    }
  }
  return
}

// -----

// Values of every kind that has a form in memory are handed over. The structure
// is made once, not by each round of a loop around the call.

// CHECK-LABEL: func.func @captured(
func.func @captured(%n: index, %i: i1, %b: bf16, %v: vector<2x4xf32>, %z: complex<f32>, %u: memref<*xf32>,
                    %s: memref<f32>, %p: !llvm.ptr, %g: f8E4M3FN) {
  // CHECK-NEXT: %[[ONE:.*]] = llvm.mlir.constant(1 : i64)
  // CHECK-NEXT: llvm.alloca %[[ONE]] x !llvm.struct<(i1, bf16, array<2 x vector<4xf32>>, struct<(f32, f32)>, struct<(i64, ptr)>, struct<(ptr, ptr, i64)>, ptr, i8, i64)>
  // CHECK: scf.for
  // CHECK: llvm.call @rope_parallel_for
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %constant = arith.constant dense<1.0> : tensor<4xf32>
  scf.for %r = %c0 to %n step %c1 {
    scf.forall (%k) in (%n) {
      %global = memref.get_global @table : memref<4xf32>
      "test.use"(%i, %b, %v, %z, %u, %s, %p, %g, %r, %c0, %constant, %global)
        : (i1, bf16, vector<2x4xf32>, complex<f32>, memref<*xf32>, memref<f32>, !llvm.ptr, f8E4M3FN, index, index,
           tensor<4xf32>, memref<4xf32>) -> ()
    }
  }
  return
}
memref.global "private" constant @table : memref<4xf32> = dense<2.0>

// -----

// Functions are numbered, names that are taken are passed over, and nothing is
// handed over where nothing is used. Each mapping is the same here.

// CHECK: llvm.func @rope_parallel_for
// CHECK-LABEL: func.func @names(
func.func @names(%p: i1) {
  // CHECK-NOT: llvm.alloca
  // CHECK: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
  // CHECK: constant @names_parallel_0
  // CHECK: llvm.call @rope_parallel_for(%{{.*}}, %[[NULL]],
  scf.forall (%i, %j) in (3, 4) {
    "test.use"(%i, %j) : (index, index) -> ()
  } {mapping = [#gpu.block<x>, #gpu.block<y>]}
  scf.if %p {
    // CHECK: constant @names_parallel_2
    // CHECK: llvm.call @rope_parallel_for
    scf.forall (%i) = (2) to (9) step (3) {
      "test.use"(%i) : (index) -> ()
    } {mapping = [#gpu.thread<x>]}
  }
  // CHECK: constant @names_parallel_3
  scf.forall () in () {
    "test.use"() : () -> ()
  }
  return
}
// CHECK: func.func private @names_parallel_3(
// CHECK: func.func private @names_parallel_2(
// CHECK: func.func private @names_parallel_0(
func.func @names_parallel_1() {
  return
}

// -----

// Parallel loops inside others are the others' own business.

// CHECK-LABEL: func.func @nested(
// CHECK-NOT: scf.parallel
// CHECK: func.func private @nested_parallel_0(
// CHECK: scf.parallel
// CHECK: scf.forall
// CHECK: return
func.func @nested(%m: memref<?xf32>, %n: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    scf.parallel (%j) = (%c0) to (%n) step (%c1) {
      scf.forall (%k) in (%n) {
        memref.store %x, %m[%k] : memref<?xf32>
      }
    }
  }
  return
}

// -----

// Left alone: reductions, and what is inside of them.

// CHECK-NOT: rope_parallel_for
// CHECK-LABEL: func.func @reduction(
func.func @reduction(%m: memref<?xf32>, %n: index, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: scf.parallel
  %r = scf.parallel (%i) = (%c0) to (%n) step (%c1) init (%x) -> f32 {
    // CHECK: scf.forall
    scf.forall (%k) in (%n) {
      memref.store %x, %m[%k] : memref<?xf32>
    }
    scf.reduce(%x : f32) {
    ^bb0(%a: f32, %b: f32):
      %s = arith.addf %a, %b : f32
      scf.reduce.return %s : f32
    }
  }
  return %r : f32
}

// Results.

// CHECK-LABEL: func.func @result(
func.func @result(%t: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: scf.forall
  %r = scf.forall (%i) in (8) shared_outs(%o = %t) -> tensor<8xf32> {
    %x = tensor.extract_slice %o[%i] [1] [1] : tensor<8xf32> to tensor<1xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %o[%i] [1] [1] : tensor<1xf32> into tensor<8xf32>
    }
  }
  return %r : tensor<8xf32>
}

// Values that have no form in memory, or one of unknown size.

// CHECK-LABEL: func.func @values(
func.func @values(%t: tensor<8xf32>, %v: vector<[4]xf32>, %n: index, %f: !test.type, %m: memref<4xf32, "other">) {
  // CHECK-COUNT-4: scf.forall
  scf.forall (%i) in (%n) {
    "test.use"(%t) : (tensor<8xf32>) -> ()
  }
  scf.forall (%i) in (%n) {
    "test.use"(%v) : (vector<[4]xf32>) -> ()
  }
  scf.forall (%i) in (%n) {
    "test.use"(%f) : (!test.type) -> ()
  }
  scf.forall (%i) in (%n) {
    "test.use"(%m) : (memref<4xf32, "other">) -> ()
  }
  return
}

// What is not directly in a function of the module.

// CHECK: "test.isolated"
"test.isolated"() ({
  %n = arith.constant 4 : index
  // CHECK: scf.forall
  scf.forall (%i) in (%n) {
    "test.use"(%n) : (index) -> ()
  }
}) : () -> ()

// CHECK: module @inner
module @inner {
  // CHECK: scf.forall
  func.func @f(%n: index) {
    scf.forall (%i) in (%n) {
      "test.use"(%n) : (index) -> ()
    }
    return
  }
}

// -----

// The symbol is taken by something else.

// CHECK: func.func private @rope_parallel_for(i32)
func.func private @rope_parallel_for(i32)
// CHECK: scf.forall
func.func @taken(%n: index) {
  scf.forall (%i) in (%n) {
    "test.use"(%n) : (index) -> ()
  }
  return
}

// -----

// CHECK: llvm.func @rope_parallel_for(i32)
llvm.func @rope_parallel_for(i32)
// CHECK: scf.forall
func.func @taken(%n: index) {
  scf.forall (%i) in (%n) {
    "test.use"(%n) : (index) -> ()
  }
  return
}

// -----

// It is declared already.

// CHECK-COUNT-1: llvm.func @rope_parallel_for(!llvm.ptr, !llvm.ptr, i64, i64)
llvm.func @rope_parallel_for(!llvm.ptr, !llvm.ptr, i64, i64)
// CHECK: llvm.call @rope_parallel_for
func.func @declared(%n: index) {
  scf.forall (%i) in (%n) {
    "test.use"(%n) : (index) -> ()
  }
  return
}

// -----

// A region that must not be inlined is one task, whose memory its loops share:
// they are loops of the function that is that task.

// CHECK-LABEL: func.func @region(
// CHECK-NOT: memref.alloc
// CHECK: llvm.call @rope_parallel_for(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}})
// CHECK-NOT: llvm.call
// CHECK: return
// CHECK-LABEL: func.func private @region_parallel_0(
// CHECK-SAME: %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: !llvm.ptr
// CHECK: memref.view
// CHECK-NOT: memref.alloc
// CHECK: llvm.call @rope_parallel_for
// CHECK-NOT: memref.dealloc
// CHECK: return
// CHECK-LABEL: func.func private @region_parallel_0_parallel_0(
// CHECK: "test.use"
func.func @region(%n: index) {
  scf.execute_region no_inline {
    %shared = memref.alloc(%n) : memref<?xf32>
    scf.forall (%i) in (%n) {
      "test.use"(%shared, %i) : (memref<?xf32>, index) -> ()
    }
    memref.dealloc %shared : memref<?xf32>
    scf.yield
  }
  return
}

// One that may be inlined, and one without loops of its own, stay.

// CHECK-LABEL: func.func @regions_that_stay(
// CHECK: scf.execute_region
// CHECK: memref.alloc
// CHECK: llvm.call @rope_parallel_for
// CHECK: scf.execute_region no_inline
// CHECK: memref.alloc
func.func @regions_that_stay(%n: index) {
  scf.execute_region {
    %shared = memref.alloc(%n) : memref<?xf32>
    scf.forall (%i) in (%n) {
      "test.use"(%shared, %i) : (memref<?xf32>, index) -> ()
    }
    memref.dealloc %shared : memref<?xf32>
    scf.yield
  }
  scf.execute_region no_inline {
    %own = memref.alloc(%n) : memref<?xf32>
    "test.use"(%own, %n) : (memref<?xf32>, index) -> ()
    memref.dealloc %own : memref<?xf32>
    scf.yield
  }
  return
}

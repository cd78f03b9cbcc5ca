// RUN: rope-opt %s --rope-to-llvm=single-threaded | FileCheck %s --check-prefix=ALONE
// ALONE-NOT: rope_parallel_for
// RUN: rope-opt %s --rope-to-llvm='target-triple=x86_64-linux-gnu target-cpu=haswell target-features=+avxvnni' | FileCheck %s

// The bodies of parallel loops are vectorized and compiled for the processor as
// everything else. Loops inside them are plain loops, their buffers lie in the
// workspace.

// CHECK-LABEL: llvm.func @rows(
// CHECK: llvm.call @rope_parallel_for(
// CHECK-LABEL: llvm.func internal @rows_parallel_0(
// CHECK-SAME: target_cpu = "haswell", target_features = #llvm.target_features<[{{.*}}"+avxvnni"
// CHECK-NOT: @malloc
// CHECK-NOT: rope_parallel_for
// CHECK: llvm.fmul %{{.*}}, %{{.*}} : vector<8xf32>
// CHECK: llvm.cond_br
// CHECK-NOT: @malloc
// CHECK: llvm.return
func.func @rows(%x: tensor<?x5000xf32>) -> tensor<?x5000xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x5000xf32>
  %init = tensor.empty(%n) : tensor<?x5000xf32>
  %y = scf.forall (%i) in (%n) shared_outs(%out = %init) -> tensor<?x5000xf32> {
    %row = tensor.extract_slice %x[%i, 0] [1, 5000] [1, 1] : tensor<?x5000xf32> to tensor<5000xf32>
    %empty = tensor.empty() : tensor<5000xf32>
    %square = linalg.mul ins(%row, %row : tensor<5000xf32>, tensor<5000xf32>) outs(%empty : tensor<5000xf32>) -> tensor<5000xf32>
    %place = tensor.extract_slice %out[%i, 0] [1, 5000] [1, 1] : tensor<?x5000xf32> to tensor<5000xf32>
    %turned = linalg.generic {indexing_maps = [affine_map<(d0) -> (4999 - d0)>, affine_map<(d0) -> (d0)>],
                              iterator_types = ["parallel"]}
      ins(%square : tensor<5000xf32>) outs(%place : tensor<5000xf32>) {
    ^bb0(%in: f32, %o: f32):
      linalg.yield %in : f32
    } -> tensor<5000xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %turned into %out[%i, 0] [1, 5000] [1, 1] : tensor<5000xf32> into tensor<?x5000xf32>
    }
  }
  return %y : tensor<?x5000xf32>
}

// A parallel loop inside another one runs in its task.

// CHECK-LABEL: llvm.func @nested(
// CHECK-COUNT-1: llvm.call @rope_parallel_for(
// CHECK-LABEL: llvm.func internal @nested_parallel_0(
// CHECK-NOT: rope_parallel_for
// CHECK: llvm.icmp
// CHECK: llvm.return
func.func @nested(%m: memref<?x?xi64>, %n: index, %x: i64) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.forall (%i) in (%n) {
    scf.parallel (%j) = (%c0) to (%n) step (%c1) {
      memref.store %x, %m[%i, %j] : memref<?x?xi64>
    }
  }
  return
}

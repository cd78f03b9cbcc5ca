// RUN: rope-opt %s --rope-approximate-math | FileCheck %s

// CHECK-LABEL: @exponentials(
// CHECK-NOT: math.exp
// CHECK: arith.shli
// CHECK: arith.cmpf olt
// CHECK: arith.select
// CHECK-NOT: math.
// CHECK: return
func.func @exponentials(%x: f32, %v: vector<8xf32>) -> (f32, vector<8xf32>) {
  %0 = math.exp %x : f32
  %1 = math.exp2 %v : vector<8xf32>
  return %0, %1 : f32, vector<8xf32>
}

// No function is called, nor a fused multiply-add where there is no instruction
// for it: one that is asked for stays.

// CHECK-LABEL: @others(
// CHECK-NOT: math.{{tanh|log}}
// CHECK: math.fma %arg0, %arg0, %arg0 : f32
// CHECK-NOT: math.{{tanh|log|fma}}
// CHECK: return
func.func @others(%x: f32) -> (f32, f32, f32) {
  %0 = math.fma %x, %x, %x : f32
  %1 = math.tanh %x : f32
  %2 = math.log %x : f32
  return %0, %1, %2 : f32, f32, f32
}

// Narrow floats are widened.

// CHECK-LABEL: @narrow(
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: arith.extf %{{.*}} : vector<4xbf16> to vector<4xf32>
// CHECK-NOT: math.{{exp|tanh}}
// CHECK: return
func.func @narrow(%x: f16, %v: vector<4xbf16>) -> (f16, vector<4xbf16>) {
  %0 = math.exp2 %x : f16
  %1 = math.tanh %v : vector<4xbf16>
  return %0, %1 : f16, vector<4xbf16>
}

// f64 and tensors are not.

// CHECK-LABEL: @left(
// CHECK: math.exp %{{.*}} : f64
// CHECK: math.exp2 %{{.*}} : f64
// CHECK: math.tanh %{{.*}} : f64
// CHECK: math.log %{{.*}} : f64
// CHECK: math.exp %{{.*}} : tensor<?xf32>
// CHECK: math.tanh %{{.*}} : tensor<?xf32>
func.func @left(%x: f64, %t: tensor<?xf32>) -> (f64, f64, f64, f64, tensor<?xf32>, tensor<?xf32>) {
  %0 = math.exp %x : f64
  %1 = math.exp2 %x : f64
  %2 = math.tanh %x : f64
  %3 = math.log %x : f64
  %4 = math.exp %t : tensor<?xf32>
  %5 = math.tanh %t : tensor<?xf32>
  return %0, %1, %2, %3, %4, %5 : f64, f64, f64, f64, tensor<?xf32>, tensor<?xf32>
}

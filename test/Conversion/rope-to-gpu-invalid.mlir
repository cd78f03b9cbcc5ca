// RUN: rope-opt %s --split-input-file --verify-diagnostics --convert-rope-to-gpu='api=cuda chip=sm_80'
// RUN: not rope-opt %s --split-input-file --convert-rope-to-gpu='api=cuda chip=sm_70' 2>&1 | FileCheck %s --check-prefix=CHIP
// RUN: not rope-opt %s --split-input-file --convert-rope-to-gpu='api=metal' 2>&1 | FileCheck %s --check-prefix=API
// RUN: not rope-opt %s --split-input-file --convert-rope-to-gpu='api=rocm chip=gfx803' 2>&1 | FileCheck %s --check-prefix=AMD
// RUN: not rope-opt %s --split-input-file --convert-rope-to-gpu='api=vulkan chip=vulkan9' 2>&1 | FileCheck %s --check-prefix=VULKAN
// CHIP: error: no kernels can be made for 'sm_70': expected sm_80 or later
// API: error: unknown kind of GPU 'metal': expected cuda, rocm or vulkan
// AMD: error: no kernels can be made for 'gfx803': expected gfx900 or later
// VULKAN: error: no kernels can be made for 'vulkan9': expected vulkan1.1

func.func @reads_on_the_host(%x: memref<4xf32>, %y: memref<4xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  memref.copy %x, %y : memref<4xf32> to memref<4xf32>
  // expected-error @below {{expected rope operations, linalg operations and copies alone to touch the device's memory, but the host would}}
  %z = memref.load %y[%c0] : memref<4xf32>
  return %z : f32
}

// -----

// expected-error @below {{expected the caller to allocate results of code for a GPU, but the sizes of a result of 'returns' do not follow from those of its arguments}}
func.func @returns(%x: memref<4xf32>) -> memref<4xf32> {
  return %x : memref<4xf32>
}

// -----

func.func @side_effects(%x: memref<4xf32>, %y: memref<4xf32>, %m: memref<4xf32>) {
  // expected-error @below {{expected scalar operations without side effects}}
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : memref<4xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %i = linalg.index 0 : index
    memref.store %a, %m[%i] : memref<4xf32>
    linalg.yield %a : f32
  }
  return
}

// -----

func.func @elements(%x: memref<4xcomplex<f32>>, %y: memref<4xcomplex<f32>>) {
  // expected-error @below {{expected elements of f16, bf16, f32, f64, i1, i8, i16, i32, i64 or index in a kernel, but got 'memref<4xcomplex<f32>>'}}
  memref.copy %x, %y : memref<4xcomplex<f32>> to memref<4xcomplex<f32>>
  return
}

// -----

func.func @layout(%x: memref<4x4xf32, affine_map<(i, j) -> (i floordiv 2, j, i mod 2)>>, %y: memref<4x4xf32>) {
  // expected-error @below {{expected a strided layout of what a kernel reads or writes}}
  memref.copy %x, %y : memref<4x4xf32, affine_map<(i, j) -> (i floordiv 2, j, i mod 2)>> to memref<4x4xf32>
  return
}

// -----

func.func @space(%x: memref<4xf32, 3>, %y: memref<4xf32, 3>) {
  // expected-error @below {{expected the default memory space of what a kernel reads or writes}}
  memref.copy %x, %y : memref<4xf32, 3> to memref<4xf32, 3>
  return
}

// -----

// What a loop holds is reported as what stands alone.

func.func @elements_in_loop(%x: memref<4x2xcomplex<f32>>, %y: memref<4x2xcomplex<f32>>) {
  scf.forall (%i) in (4) {
    %a = memref.subview %x[%i, 0] [1, 2] [1, 1] : memref<4x2xcomplex<f32>> to memref<1x2xcomplex<f32>, strided<[2, 1], offset: ?>>
    %b = memref.subview %y[%i, 0] [1, 2] [1, 1] : memref<4x2xcomplex<f32>> to memref<1x2xcomplex<f32>, strided<[2, 1], offset: ?>>
    // expected-error @below {{expected elements of f16, bf16, f32, f64, i1, i8, i16, i32, i64 or index in a kernel}}
    memref.copy %a, %b : memref<1x2xcomplex<f32>, strided<[2, 1], offset: ?>> to memref<1x2xcomplex<f32>, strided<[2, 1], offset: ?>>
  }
  return
}

// -----

// The host would have to find the place, with a loop that does not count in indices.

func.func @counts_in_i32(%x: memref<4x2xf32>, %p: memref<4xindex>, %y: memref<4x2xf32>) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  scf.for %t = %c0 to %c4 step %c1 : i32 {
    %i = arith.index_cast %t : i32 to index
    // expected-error @below {{alone to touch the device's memory, but the host would}}
    %j = memref.load %p[%i] : memref<4xindex>
    %a = memref.subview %x[%i, 0] [1, 2] [1, 1] : memref<4x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %b = memref.subview %y[%j, 0] [1, 2] [1, 1] : memref<4x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    memref.copy %a, %b : memref<1x2xf32, strided<[2, 1], offset: ?>> to memref<1x2xf32, strided<[2, 1], offset: ?>>
  } {rope.parallel}
  return
}

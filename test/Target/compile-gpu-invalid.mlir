// What rope-compile refuses for GPUs. An output that was there stays.

// RUN: rm -rf %t && mkdir %t && echo before > %t/model.ptx

// DEFINE: %{compile} = not rope-compile %S/Inputs/scale-kernels.mlir

// RUN: %{compile} --target=cuda 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: no output file: give one with -o NAME.ll, .ptx, .cubin, .fatbin, .o or .so
// RUN: %{compile} --target=rocm -o %t/model 2>&1 | FileCheck %s --check-prefix=SUFFIX
// SUFFIX: error: the output file '{{.*}}model' has no suffix: expected .ll, .s, .hsaco, .o or .so, or --emit
// RUN: %{compile} --target=vulkan -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=VULKAN
// VULKAN: error: unknown kind of output 'ptx' for vulkan: expected ll, spv, o or so
// RUN: %{compile} --target=cuda -o %t/model.s 2>&1 | FileCheck %s --check-prefix=CUDA
// CUDA: error: unknown kind of output 's' for cuda: expected ll, ptx, cubin, fatbin, o or so
// RUN: %{compile} --target=rocm --emit=spv 2>&1 | FileCheck %s --check-prefix=ROCM
// ROCM: error: unknown kind of output 'spv' for rocm: expected ll, s, hsaco, o or so
// RUN: %{compile} -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=CPU
// CPU: error: unknown kind of output 'ptx': expected ll, s, o or so
// RUN: %{compile} --target=cuda --emit=so 2>&1 | FileCheck %s --check-prefix=STDOUT
// STDOUT: error: a shared library needs an output file: -o NAME.so
// RUN: %{compile} --target=cuda -o %t/model.ptx --emit-header=%t/model.h 2>&1 | FileCheck %s --check-prefix=HEADER
// HEADER: error: kernels have no C header: expected .ll, .o or .so with --emit-header, but got 'ptx'

// RUN: %{compile} --target=cuda --chip=sm_70 -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=OLD
// OLD: error: no kernels can be made for 'sm_70': expected sm_80 or later
// RUN: %{compile} --target=cuda --chip=gfx942 -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: error: no kernels can be made for 'gfx942': expected sm_80 or later
// RUN: %{compile} --target=vulkan --chip=vulkan1.3 -o %t/model.spv 2>&1 | FileCheck %s --check-prefix=VERSION
// VERSION: error: no kernels can be made for 'vulkan1.3': expected vulkan1.1
// RUN: %{compile} --target=cuda --target-triple=riscv64-linux-gnu -o %t/model.so 2>&1 | FileCheck %s --check-prefix=FOREIGN
// FOREIGN: error: a library for 'riscv64-unknown-linux-gnu' cannot hold the runtime, which is for

// RUN: %{compile} --target=cuda -o %t/absent/model.ptx 2>&1 | FileCheck %s --check-prefix=FOLDER
// FOLDER: error: cannot write '{{.*}}model.ptx': No such file or directory

// RUN: not rope-compile %s --target=cuda -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=NOKERNELS
// NOKERNELS: error: cannot compile '{{.*}}compile-gpu-invalid.mlir': the module holds no kernels: nothing in it runs on a GPU
// RUN: rope-opt %s --rope-to-llvm | not rope-compile --target=cuda -o %t/model.ptx 2>&1 | FileCheck %s --check-prefix=LOWERED
// LOWERED: error: '-' was lowered for --target=cpu, which is not cuda
// RUN: rope-opt %S/Inputs/scale-kernels.mlir --rope-to-spirv=from-launches | not rope-compile --target=cuda -o %t/model.so 2>&1 | FileCheck %s --check-prefix=LOWEREDGPU
// LOWEREDGPU: error: '-' was lowered for --target=vulkan, which is not cuda
// RUN: rope-opt %S/Inputs/scale-kernels.mlir --rope-to-spirv=from-launches | not rope-compile --target=vulkan -o %t/model.spv 2>&1 | FileCheck %s --check-prefix=LATE
// LATE: error: cannot compile '-': the module was lowered to the llvm dialect before: expected one whose kernels can still be compiled
// RUN: rope-opt %S/Inputs/scale-kernels.mlir --rope-to-spirv='from-launches kernels-only' | not rope-compile --target=vulkan -o %t/model.spv 2>&1 | FileCheck %s --check-prefix=BINARY
// BINARY: error: 'gpu.binary' op expected kernels that are not compiled yet
// BINARY: error: cannot compile the kernels of '-' for vulkan1.1

// RUN: FileCheck %s --check-prefix=BEFORE < %t/model.ptx
// RUN: ls %t | count 1
// BEFORE: before
func.func @f(%a: i32) -> i32 {
  %b = arith.addi %a, %a : i32
  return %b : i32
}

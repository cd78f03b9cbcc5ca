// RUN: rope-opt %s --rope-serialize-kernels --split-input-file --verify-diagnostics --mlir-print-op-on-diagnostic=false
// RUN: rope-opt %S/../Pipelines/Inputs/kernels.mlir --rope-to-rocdl='from-launches kernels-only' -o %t.1.mlir
// RUN: rope-opt %S/../Pipelines/Inputs/kernels.mlir --rope-to-rocdl='from-launches kernels-only' -o %t.2.mlir
// The result is the same each time.
// RUN: cmp %t.1.mlir %t.2.mlir
// Programs that are missing are named, and what installs them.
// RUN: not %python %S/Inputs/without_path.py %S/../Pipelines/Inputs/kernels.mlir --rope-to-nvvm='from-launches format=bin' 2>&1 | FileCheck %s --check-prefix=PTXAS
// RUN: not %python %S/Inputs/without_path.py %S/../Pipelines/Inputs/kernels.mlir --rope-to-rocdl='from-launches format=bin' 2>&1 | FileCheck %s --check-prefix=LLD
// REQUIRES: nvptx-registered-target, amdgpu-registered-target

// PTXAS: error: expected NVIDIA's ptxas in the folder bin of the toolkit or on the path, found none: install the CUDA toolkit or the Python package nvidia-cuda-nvcc, or choose format=isa
// LLD: error: AMD GPU code: expected the linker ld.lld in the folder llvm/bin of the toolkit or on the path, found none: install the package lld-22, or choose format=isa

// expected-error @+1 {{expected one target of the kernels, found 0}}
gpu.module @none {
}

// -----

// expected-error @+1 {{expected one target of the kernels, found 2}}
gpu.module @two [#nvvm.target<chip = "sm_80">, #nvvm.target<chip = "sm_90">] {
}

// -----

// expected-error @+1 {{expected one spirv.module among the kernels, which -rope-convert-kernels-to-spirv makes}}
gpu.module @unconverted [#spirv.target_env<#spirv.vce<v1.3, [Shader], []>, api=Vulkan, #spirv.resource_limits<>>] {
}

// -----

// expected-error @+1 {{expected kernels of one target, found some of NVIDIA's and AMD's}}
module {
  gpu.module @nvidia [#nvvm.target<chip = "sm_80">] {
  }
  gpu.module @amd [#rocdl.target<chip = "gfx942">] {
  }
}

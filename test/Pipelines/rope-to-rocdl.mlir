// Kernels for AMD's GPUs, from their portable form to code objects.
// RUN: rope-opt %S/Inputs/vector-kernels.mlir --rope-to-rocdl='from-launches kernels-only' -o %t.mlir
// RUN: FileCheck %s --check-prefix=BINARY --input-file=%t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.s
// RUN: FileCheck %s --check-prefixes=ISA,WAVE64 --input-file=%t.s
// RUN: not grep -E 'scratch_|s_swappc|s_setpc|__oc' %t.s
// RUN: rope-opt %S/Inputs/vector-kernels.mlir --rope-to-rocdl='from-launches kernels-only chip=gfx1100' -o %t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.s
// RUN: FileCheck %s --check-prefixes=GFX11,WAVE32 --input-file=%t.s
// RUN: not grep -E 'scratch_|s_swappc|s_setpc|__oc' %t.s

// Linked by LLVM's linker, without ROCm.
// RUN: rope-opt %S/Inputs/kernels.mlir --rope-to-rocdl='from-launches kernels-only format=bin' -o %t.mlir
// RUN: %python %S/Inputs/object.py %t.mlir %t.hsaco
// RUN: llvm-readelf -h --dyn-syms %t.hsaco | FileCheck %s --check-prefix=OBJECT

// The host's code ends in the llvm dialect.
// RUN: rope-opt %S/Inputs/kernels.mlir --rope-to-rocdl='from-launches' -o %t.llvm.mlir
// RUN: rope-opt %t.llvm.mlir --mlir-print-op-generic -o %t.generic.mlir
// RUN: not grep -E '"(rope|func|gpu|rocdl|memref|scf|cf|arith)\.|"builtin\.unrealized' %t.generic.mlir
// RUN: FileCheck %s --check-prefix=HOST --input-file=%t.llvm.mlir
// RUN: mlir-translate --mlir-to-llvmir %t.llvm.mlir | opt --passes=verify --disable-output
// Assembly is nothing that a program can load.
// RUN: not rope-opt %S/Inputs/kernels.mlir --rope-to-rocdl='from-launches format=isa' 2>&1 | FileCheck %s --check-prefix=ASSEMBLY
// RUN: not rope-opt %S/Inputs/kernels.mlir --rope-to-rocdl='from-launches chip=gfx803' 2>&1 | FileCheck %s --check-prefix=CHIP
// REQUIRES: amdgpu-registered-target

// BINARY: gpu.binary @rope_kernels [#gpu.object<#rocdl.target<O = 3, chip = "gfx942", abi = "500">, assembly = "

// ISA-LABEL: {{^}}vectors:
// ISA: global_load_dwordx4
// ISA: global_load_dwordx4
// ISA: ds_bpermute_b32
// ISA: global_store_dwordx4
// ISA: .amdhsa_private_segment_fixed_size 0
// ISA-LABEL: {{^}}math:
// ISA: .amdhsa_private_segment_fixed_size 0
// GFX11-LABEL: {{^}}vectors:
// GFX11: global_load_b128
// GFX11: global_store_b128
// GFX11: .amdhsa_private_segment_fixed_size 0
// Parameters are what the launch passes, and no more.
// ISA: .kernarg_segment_size: 32
// WAVE64: .max_flat_workgroup_size: 256
// WAVE64: .wavefront_size: 64
// WAVE32: .max_flat_workgroup_size: 256
// WAVE32: .wavefront_size: 32

// OBJECT: ABI Version: 3
// OBJECT: Type: DYN
// OBJECT: Machine: EM_AMDGPU
// OBJECT-DAG: FUNC GLOBAL PROTECTED {{.*}} scale
// OBJECT-DAG: OBJECT GLOBAL DEFAULT {{.*}} scale.kd
// OBJECT-DAG: OBJECT GLOBAL DEFAULT {{.*}} sum.kd

// HOST: llvm.mlir.global internal constant @rope_kernels_image("\7FELF

// ASSEMBLY: error: 'gpu.binary' op expected linked code, which is what AMD's driver loads, found assembly: choose format=bin
// CHIP: error: no kernels can be made for 'gfx803': expected gfx900 or later

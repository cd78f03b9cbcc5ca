// Pipelines of passes on modules are refused elsewhere, as such passes are.
// RUN: not rope-opt %s --pass-pipeline='builtin.module(func.func(rope-to-llvm))' 2>&1 | FileCheck %s -DNAME=rope-to-llvm
// RUN: not rope-opt %s --pass-pipeline='builtin.module(func.func(rope-to-gpu))' 2>&1 | FileCheck %s -DNAME=rope-to-gpu
// RUN: not rope-opt %s --pass-pipeline='builtin.module(func.func(rope-to-nvvm))' 2>&1 | FileCheck %s -DNAME=rope-to-nvvm
// RUN: not rope-opt %s --pass-pipeline='builtin.module(func.func(rope-to-rocdl))' 2>&1 | FileCheck %s -DNAME=rope-to-rocdl
// RUN: not rope-opt %s --pass-pipeline='builtin.module(func.func(rope-to-spirv))' 2>&1 | FileCheck %s -DNAME=rope-to-spirv
// RUN: rope-opt %s --pass-pipeline='builtin.module(func.func(rope-optimize))'

// CHECK: error: can't add pipeline '[[NAME]]', which runs on 'builtin.module', to a pass manager on 'func.func', did you intend to nest?
func.func @f() {
  return
}

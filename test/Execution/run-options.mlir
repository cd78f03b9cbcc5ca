// The other options, and what they do not take.

// RUN: not rope-run %s --input=5xf32=3 --target=toaster 2>&1 | FileCheck %s --check-prefix=TARGET
// TARGET: error: unknown target 'toaster': expected cpu, cuda, rocm or vulkan
// RUN: not rope-run %s --input=5xf32=3 --target-cpu=toaster 2>&1 | FileCheck %s --check-prefix=CPU
// CPU: error: unknown processor 'toaster' for
// RUN: rope-run %s --input=5xf32=3 --target-features=host | FileCheck %s --check-prefix=HOST
// HOST: [6, 6, 6, 6, 6]
// RUN: not rope-run %s --input=5xf32=3 --target-features=+toast 2>&1 | FileCheck %s --check-prefix=FEATURE
// FEATURE: error: unknown feature 'toast' for
// RUN: not rope-run %s --input=5xf32=3 -O4 2>&1 | FileCheck %s --check-prefix=LEVEL
// LEVEL: error: unknown optimisation level 4: expected 0 to 3
// RUN: not rope-run %s --input=5xf32=3 --speed 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: error: {{.*}}Unknown command line argument '--speed'

// RUN: rope-opt %s --rope-to-llvm='target-triple=riscv64-linux-gnu' | not rope-run --input=5xf32=3 2>&1 | FileCheck %s --check-prefix=LOWERED
// LOWERED: error: '-' was lowered for 'riscv64-unknown-linux-gnu', which is not this machine

// RUN: rope-run --help | FileCheck %s --check-prefix=HELP
// HELP: EXAMPLES:
// HELP: rope-run model.mlir --function=rope_apply --input=@x.npy
// HELP: --benchmark_repetitions=10
// HELP: --benchmark[=<n>]
// HELP: --function
// HELP: --threads=
// HELP-NOT: --mlir
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}

// RUN: rope-opt %s --rope-set-target='target-triple=x86_64-linux-gnu target-cpu=haswell target-features=-fma,+avx512f' | FileCheck %s
// RUN: rope-opt %s --rope-set-target='target-triple=aarch64-linux-gnu' | FileCheck %s --check-prefix=BASELINE
// RUN: rope-opt %s --rope-set-target='target-cpu=host' | FileCheck %s --check-prefix=HOST
// RUN: not rope-opt %s --rope-set-target='target-triple=nonsense' 2>&1 | FileCheck %s --check-prefix=TRIPLE
// RUN: not rope-opt %s --rope-set-target='target-triple=x86_64-linux-gnu target-cpu=haswel' 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: not rope-opt %s --rope-set-target='target-triple=x86_64-linux-gnu target-features=+avx3' 2>&1 | FileCheck %s --check-prefix=FEATURE
// RUN: not rope-opt %s --rope-set-target='target-triple=riscv64-linux-gnu target-cpu=host' 2>&1 | FileCheck %s --check-prefix=OTHER
// The pipeline reports the same, before it does anything.
// RUN: not rope-opt %s --rope-to-llvm='target-triple=x86_64-linux-gnu target-cpu=haswel' 2>&1 | FileCheck %s --check-prefix=CPU
// REQUIRES: x86-registered-target, aarch64-registered-target, riscv-registered-target

// CHECK: module attributes {llvm.target_triple = "x86_64-unknown-linux-gnu"}
// CHECK: llvm.func @declared(){{$}}
// CHECK: llvm.func @defined() attributes {target_cpu = "haswell", target_features = #llvm.target_features<["-fma", "+avx512f"]>}
// BASELINE: module attributes {llvm.target_triple = "aarch64-unknown-linux-gnu"}
// BASELINE: llvm.func @defined() attributes {target_cpu = "generic"}
// HOST-NOT: "host"
// HOST: llvm.func @defined() attributes {target_cpu = "{{.+}}", target_features =
// TRIPLE: error: unknown target triple 'nonsense
// CPU: error: unknown processor 'haswel' for 'x86_64-unknown-linux-gnu', expected one of: {{.*}}haswell
// FEATURE: error: unknown feature 'avx3' for 'x86_64-unknown-linux-gnu', expected '+' or '-' and one of: {{.*}}avx2
// OTHER: error: expected a processor of 'riscv64-unknown-linux-gnu' by name: 'host' is
llvm.func @declared()
llvm.func @defined() {
  llvm.return
}

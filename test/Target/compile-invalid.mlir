// What rope-compile refuses. An output that was there stays.

// RUN: rm -rf %t && mkdir %t && echo before > %t/model.s

// DEFINE: %{compile} = not rope-compile %s

// RUN: %{compile} 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: no output file: give one with -o NAME.ll, .s, .o or .so
// RUN: %{compile} -o %t/model 2>&1 | FileCheck %s --check-prefix=SUFFIX
// SUFFIX: error: the output file '{{.*}}model' has no suffix: expected .ll, .s, .o or .so, or --emit
// RUN: %{compile} -o %t/model.exe 2>&1 | FileCheck %s --check-prefix=KIND -DKIND=exe
// RUN: %{compile} --emit=cubin -o %t/model.s 2>&1 | FileCheck %s --check-prefix=KIND -DKIND=cubin
// KIND: error: unknown kind of output '[[KIND]]': expected ll, s, o or so
// RUN: %{compile} --emit=so -o - 2>&1 | FileCheck %s --check-prefix=STDOUT
// RUN: %{compile} --emit=so 2>&1 | FileCheck %s --check-prefix=STDOUT
// STDOUT: error: a shared library needs an output file: -o NAME.so

// RUN: %{compile} -o %t/model.s --target=toaster 2>&1 | FileCheck %s --check-prefix=TARGET
// TARGET: error: unknown target 'toaster': expected cpu, cuda, rocm or vulkan
// RUN: %{compile} -o %t/model.s --chip=sm_90 2>&1 | FileCheck %s --check-prefix=CHIP
// CHIP: error: the chip 'sm_90' is for GPUs: expected --target=cuda, rocm or vulkan with it
// RUN: %{compile} -o %t/model.s --target-triple=toaster 2>&1 | FileCheck %s --check-prefix=TRIPLE
// TRIPLE: error: unknown target triple 'toaster'
// RUN: %{compile} -o %t/model.s --target-cpu=toaster 2>&1 | FileCheck %s --check-prefix=CPU
// CPU: error: unknown processor 'toaster' for '{{.*}}', expected one of:
// RUN: %{compile} -o %t/model.s --target-features=+toast 2>&1 | FileCheck %s --check-prefix=FEATURE
// FEATURE: error: unknown feature 'toast' for '{{.*}}', expected '+' or '-' and one of:
// RUN: %{compile} -o %t/model.s --target-triple=amdgcn-amd-amdhsa 2>&1 | FileCheck %s --check-prefix=GPU
// RUN: %{compile} -o %t/model.s --target-triple=i686-linux-gnu 2>&1 | FileCheck %s --check-prefix=GPU
// GPU: error: no code can be made for '{{.*}}': expected a triple of x86_64, aarch64, riscv64, powerpc64le or loongarch64
// RUN: %{compile} -o %t/model.s --target-triple=x86_64-linux-gnu --target-cpu=i386 2>&1 | FileCheck %s --check-prefix=I386
// I386: error: the processor 'i386' has no 64-bit mode, which 'x86_64-unknown-linux-gnu' needs
// RUN: %{compile} -o %t/model.s -O7 2>&1 | FileCheck %s --check-prefix=LEVEL
// LEVEL: error: unknown optimisation level 7: expected 0 to 3
// RUN: %{compile} -o %t/model.s --fast 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: error: {{.*}}Unknown command line argument '--fast'

// RUN: %{compile} -o %t/absent/model.s 2>&1 | FileCheck %s --check-prefix=FOLDER
// FOLDER: error: cannot write '{{.*}}model.s': No such file or directory
// RUN: %{compile} -o /dev/full --emit=s 2>&1 | FileCheck %s --check-prefix=FULL
// FULL: error: cannot write '/dev/full': No space left on device
// RUN: %{compile} -o %t/model.s --emit-header=%t/absent/model.h 2>&1 | FileCheck %s --check-prefix=HEADER
// HEADER: error: cannot write '{{.*}}model.h': No such file or directory
// RUN: not rope-compile %t/absent.mlir -o %t/model.s 2>&1 | FileCheck %s --check-prefix=FILE
// FILE: error: cannot read '{{.*}}absent.mlir'
// RUN: echo 'func.func @f() { "other.op"() : () -> () return }' | not rope-compile -o %t/model.s --emit=s 2>&1 | FileCheck %s --check-prefix=DIALECT
// DIALECT: error: operation being parsed with an unregistered dialect
// RUN: echo 'func.func @f(%%x: !shape.shape) { return }' | not rope-compile -o %t/model.s 2>&1 | FileCheck %s --check-prefix=LOWER
// LOWER: error: cannot be converted to LLVM IR
// LOWER: error: cannot translate '-' to LLVM IR
// RUN: echo 'func.func @f(%%x: tensor<*xf32>) { return }' | not rope-compile -o %t/model.so 2>&1 | FileCheck %s --check-prefix=UNRANKED
// UNRANKED: error: function 'f' cannot be called from C: argument 0 has type tensor<*xf32>

// Without a linker there is no library; what is missing is said.
// RUN: not env PATH=%t %rope_lib_dir/../bin/rope-compile %s -o %t/model.so 2>&1 | FileCheck %s --check-prefix=LINKER
// LINKER: error: no linker was found for '{{.*}}': install a C compiler (cc), or write an object file with -o NAME.o and link it yourself

// RUN: FileCheck %s --check-prefix=BEFORE < %t/model.s
// RUN: ls %t | count 1
// BEFORE: before
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}

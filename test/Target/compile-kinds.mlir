// Each kind of output, by its suffix and by name; and each level of input.

// RUN: rope-compile %s -o %t.ll && FileCheck %s --check-prefix=IR < %t.ll
// RUN: rope-compile %s --emit=ll -o - | FileCheck %s --check-prefix=IR
// RUN: rope-compile %s --emit=ll | FileCheck %s --check-prefix=IR
// IR: target triple = "{{.*}}-linux-gnu"
// IR: define void @_mlir_ciface_f(ptr
// IR-NOT: define

// RUN: rope-compile %s -o %t.s && FileCheck %s --check-prefix=ASM < %t.s
// RUN: rope-opt %s --rope-to-llvm | rope-compile -o %t.s && FileCheck %s --check-prefix=ASM < %t.s
// RUN: rope-opt %s --rope-to-llvm --emit-bytecode | rope-compile --emit=s | FileCheck %s --check-prefix=ASM
// ASM: {{^}}_mlir_ciface_f:

// RUN: rope-compile %s -o %t.o && llvm-nm %t.o | FileCheck %s --check-prefix=OBJ
// RUN: rope-compile %s --emit=o -O0 > %t.o && llvm-nm %t.o | FileCheck %s --check-prefix=OBJ
// OBJ: T _mlir_ciface_f

// RUN: rope-compile %s --emit=so -o %t.library && llvm-nm -D %t.library | FileCheck %s --check-prefix=OBJ

// RUN: rope-compile --help | FileCheck %s --check-prefix=HELP
// HELP: EXAMPLES:
// HELP: rope-compile model.mlir -o model.so --target-cpu=host
// HELP: --emit-header
// HELP-NOT: --mlir
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}

// A function of the llvm dialect without an interface stays as it is.
// RUN: echo 'llvm.func @g() { llvm.return }' | rope-compile --emit=ll | FileCheck %s --check-prefix=PLAIN
// PLAIN: define {{.*}}void @g()

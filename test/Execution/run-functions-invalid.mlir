// Functions that cannot be called.

// RUN: not rope-run %s --function=absent 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: error: there is no function 'absent' in '{{.*}}'; its functions are:
// ABSENT-NEXT: first: (tensor<?xf32>) -> tensor<?xf32>
// ABSENT-NEXT: second: (i64, f32) -> ()
// ABSENT-NOT: hidden

// RUN: not rope-run %s 2>&1 | FileCheck %s --check-prefix=UNNAMED
// UNNAMED: error: no function was named for '{{.*}}': give --function=NAME; its functions are:
// UNNAMED-NEXT: first:

// RUN: not rope-run %s --function=hidden 2>&1 | FileCheck %s --check-prefix=PRIVATE
// PRIVATE: error: function 'hidden' is private in '{{.*}}'; its functions are:
// RUN: not rope-run %s --function=declared 2>&1 | FileCheck %s --check-prefix=DECLARED
// DECLARED: error: function 'declared' is only declared in '{{.*}}'; its functions are:

// RUN: echo 'module {}' | not rope-run --function=f 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: error: there is no function 'f' in '-'; it holds no public function

// RUN: not rope-run %t.absent --function=f 2>&1 | FileCheck %s --check-prefix=FILE
// FILE: error: could not open input file {{.*}}absent
// RUN: echo 'func.func @' | not rope-run --function=f 2>&1 | FileCheck %s --check-prefix=SYNTAX
// SYNTAX: <stdin>:{{.*}} error: @ identifier expected to start with letter or '_'

// RUN: rope-opt %s --rope-to-llvm | not rope-run --function=absent 2>&1 | FileCheck %s --check-prefix=LOWERED
// LOWERED: error: there is no function 'absent' in '-'; its functions are:
// LOWERED-NEXT: first: (tensor<?xf32>) -> tensor<?xf32>
// LOWERED-NEXT: second: (i64, f32) -> ()
// LOWERED-NOT: first

func.func @first(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}
func.func @second(%n: i64, %x: f32) {
  return
}
func.func private @hidden() {
  return
}
func.func private @declared()

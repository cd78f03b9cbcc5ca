// Parallel loops run on as many threads as are asked for.

// RUN: rope-run %s --input=3x5xf64=0 | FileCheck %s
// RUN: rope-run %s --input=3x5xf64=0 --threads=1 | FileCheck %s
// RUN: rope-run %s --input=3x5xf64=0 --num-threads=7 | FileCheck %s
// RUN: env ROPE_NUM_THREADS=3 rope-run %s --input=3x5xf64=0 | FileCheck %s
// RUN: rope-run %s --input=3x5xf64=0 -O0 --output=- --benchmark=3 | FileCheck %s
// CHECK: argument 0: 3x5xf64
// CHECK-NEXT: {{\[\[}}  0,   1,   2,   3,   4],
// CHECK-NEXT: [100, 101, 102, 103, 104],
// CHECK-NEXT: [200, 201, 202, 203, 204]]

// RUN: rope-run %s --input=1x1xf64=7 | FileCheck %s --check-prefix=ONE
// ONE: {{\[\[}}0]]
// RUN: rope-run %s --input=0x5xf64=0 | FileCheck %s --check-prefix=EMPTY
// EMPTY: argument 0: 0x5xf64

// Every level of IR.
// RUN: rope-opt %s --rope-to-llvm | rope-run - --input=3x5xf64=0 | FileCheck %s

// What is wrong with the number is said.
// RUN: env ROPE_NUM_THREADS=four rope-run %s --input=3x5xf64=0 2>&1 | FileCheck %s --check-prefix=VARIABLE
// VARIABLE: rope: expected a number from 1 to 4096 in ROPE_NUM_THREADS, but got 'four': using {{[0-9]+}}
// RUN: not rope-run %s --input=3x5xf64=0 --threads=0 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: error: unknown number of threads '0': expected 1 to 4096
// RUN: not rope-run %s --input=3x5xf64=0 --threads=many 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: error: unknown number of threads 'many': expected 1 to 4096
// RUN: not rope-run %s --input=3x5xf64=0 --threads=4097 2>&1 | FileCheck %s --check-prefix=LARGE
// LARGE: error: unknown number of threads '4097': expected 1 to 4096

func.func @grid(%a: memref<?x?xf64>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = memref.dim %a, %c0 : memref<?x?xf64>
  %n = memref.dim %a, %c1 : memref<?x?xf64>
  scf.parallel (%i, %j) = (%c0, %c0) to (%m, %n) step (%c1, %c1) {
    %scratch = memref.alloc(%n) : memref<3x?xf64>
    %c100 = arith.constant 100 : index
    %0 = arith.muli %i, %c100 : index
    %1 = arith.addi %0, %j : index
    %2 = arith.index_cast %1 : index to i64
    %3 = arith.sitofp %2 : i64 to f64
    memref.store %3, %scratch[%c1, %j] : memref<3x?xf64>
    %4 = memref.load %scratch[%c1, %j] : memref<3x?xf64>
    memref.store %4, %a[%i, %j] : memref<?x?xf64>
  }
  return
}

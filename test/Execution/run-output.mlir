// Outputs: all or none, in their order.

// RUN: rm -rf %t && mkdir %t
// RUN: rope-run %s --function=both --input=5xf32=3 --output=@%t/sum.npy --output=@%t/product.npy
// RUN: %python -c "import numpy; print(numpy.load('%t/sum.npy'), numpy.load('%t/product.npy'))" | FileCheck %s
// CHECK: [6. 6. 6. 6. 6.] [9. 9. 9. 9. 9.]

// A failure leaves what was there, and nothing beside it.
// RUN: echo before > %t/sum.npy
// RUN: not rope-run %s --function=both --input=5xf64=3 --output=@%t/sum.npy --output=@%t/product.npy 2>&1
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@%t/sum.npy --output=@%t/absent/product.npy 2>&1 | FileCheck %s --check-prefix=FOLDER
// RUN: FileCheck %s --check-prefix=BEFORE < %t/sum.npy
// RUN: ls %t | count 2
// FOLDER: error: cannot write '{{.*}}/absent/product.npy': No such file or directory
// BEFORE: before
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@%t --output=- 2>&1 | FileCheck %s --check-prefix=ISFOLDER
// ISFOLDER: error: cannot write '{{.*}}': it is a folder
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@/dev/full --output=@%t/sum.npy 2>&1 | FileCheck %s --check-prefix=FULL
// RUN: FileCheck %s --check-prefix=BEFORE < %t/sum.npy
// FULL: error: cannot write '/dev/full': No space left on device
// RUN: rope-run %s --function=both --input=5xf32=3 --output=@/dev/null --output=@/dev/null

// Each goes to a file of its own, by whichever name.
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@%t/sum.npy --output=@%t/sum.npy 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: ln -s . %t/link
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@%t/new.npy --output=@%t/link/link/new.npy 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: cd %t && not rope-run %s --function=both --input=5xf32=3 --output=@sum.npy --output=@%t/sum.npy 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: FileCheck %s --check-prefix=BEFORE < %t/sum.npy
// RUN: ls %t | count 3
// TWICE: error: expected a file of its own for each output, but got '{{.*}}.npy' twice
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=- 2>&1 | FileCheck %s --check-prefix=COUNT
// COUNT: error: expected 2 of --output, or none, but got 1
// COUNT-NEXT: note: the signature is both: (tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>)
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=a.npy --output=- 2>&1 | FileCheck %s --check-prefix=PLACE
// PLACE: error: unknown place 'a.npy' for an output: expected @file.npy or -
// RUN: not rope-run %s --function=both --input=5xf32=3 --output=@ --output=- 2>&1 | FileCheck %s --check-prefix=NAME
// NAME: error: cannot write to a file without a name
func.func @both(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %sum = arith.addf %x, %x : tensor<?xf32>
  %product = arith.mulf %x, %x : tensor<?xf32>
  return %sum, %product : tensor<?xf32>, tensor<?xf32>
}

// Sizes that are known only at the call are refused before anything is written.
// RUN: not rope-run %s --function=pairs --input=3x4xf32=1 --input=3x3xf32=0 --input=3x3xf32=1 2>&1 | FileCheck %s --check-prefix=PAIRS
// PAIRS: error: expected at most 4, dimension 1 of argument 0, but got 2 times dimension 1 of argument 1, which is 3, plus 0
// RUN: not rope-run %s --function=rows --input=4x4xf32=1 --input=3x2xf32=0 --input=3x2xf32=1 --input=4x4xf32=1 2>&1 | FileCheck %s --check-prefix=ROWS
// ROWS: error: expected at most 3, but got 1 times dimension 0 of argument 0, which is 4, plus 0
// RUN: rope-run %s --function=pairs --input=3x4xf32=1 --input=3x2xf32=0 --input=3x2xf32=1 | FileCheck %s --check-prefix=FITS
// FITS: -1, -1, 1, 1

func.func @pairs(%x: tensor<3x?xf32>, %c: tensor<3x?xf32>, %s: tensor<3x?xf32>) -> tensor<3x?xf32> {
  %one = arith.constant 1 : index
  %head = tensor.dim %x, %one : tensor<3x?xf32>
  %init = tensor.empty(%head) : tensor<3x?xf32>
  %y = rope.apply ins(%x, %c, %s : tensor<3x?xf32>, tensor<3x?xf32>, tensor<3x?xf32>) outs(%init : tensor<3x?xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<3x?xf32>
}

func.func @rows(%x: tensor<?x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>, %o: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %y = rope.apply ins(%x, %c, %s : tensor<?x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>) outs(%o : tensor<?x4xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : tensor<?x4xf32>
}

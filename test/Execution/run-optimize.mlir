// A rotation that is found rounds once: what is left of two products that nearly
// cancel tells whether it was.

// DEFINE: %{arguments} = --input='1x2xbf16=1.0078125 1' --input=1x1xbf16=1.0078125 --input=1x1xbf16=1.015625
// RUN: rope-run %s %{arguments} | FileCheck %s --check-prefix=PLAIN
// PLAIN: {{\[\[}} 0, 2.031]]
// RUN: rope-run %s --optimize %{arguments} | FileCheck %s
// RUN: rope-opt %s --rope-optimize | rope-run %{arguments} | FileCheck %s
// CHECK: {{\[\[}}6.104E-5, 2.031]]

// What was lowered before is left alone.
// RUN: rope-opt %s --rope-to-llvm | rope-run --optimize %{arguments} | FileCheck %s --check-prefix=PLAIN

// The same when code is written to a file.
// RUN: rope-compile %s -o %t.plain.ll
// RUN: rope-compile %s --optimize -o %t.ll
// RUN: rope-opt %s --rope-optimize | rope-compile -o %t.piped.ll
// RUN: diff %t.ll %t.piped.ll
// RUN: not diff %t.ll %t.plain.ll

// RUN: rope-run --help | FileCheck %s --check-prefix=HELP
// RUN: rope-compile --help | FileCheck %s --check-prefix=HELP
// HELP: exported.mlir {{.*}}--optimize
// HELP: --optimize {{.*}}rope-opt --rope-optimize
func.func @rotate(%x: tensor<1x2xbf16>, %c: tensor<1x1xbf16>, %s: tensor<1x1xbf16>) -> tensor<1x2xbf16> {
  %a = tensor.extract_slice %x[0, 0] [1, 1] [1, 1] : tensor<1x2xbf16> to tensor<1x1xbf16>
  %b = tensor.extract_slice %x[0, 1] [1, 1] [1, 1] : tensor<1x2xbf16> to tensor<1x1xbf16>
  %ac = arith.mulf %a, %c : tensor<1x1xbf16>
  %bs = arith.mulf %b, %s : tensor<1x1xbf16>
  %bc = arith.mulf %b, %c : tensor<1x1xbf16>
  %as = arith.mulf %a, %s : tensor<1x1xbf16>
  %first = arith.subf %ac, %bs : tensor<1x1xbf16>
  %second = arith.addf %bc, %as : tensor<1x1xbf16>
  %y = tensor.concat dim(1) %first, %second : (tensor<1x1xbf16>, tensor<1x1xbf16>) -> tensor<1x2xbf16>
  return %y : tensor<1x2xbf16>
}

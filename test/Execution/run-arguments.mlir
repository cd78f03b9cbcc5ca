// The ways to write an argument on the command line.

// DEFINE: %{run} = rope-run %S/Inputs/copy.mlir

// RUN: %{run} --function=f32 --input='2x3xf32=1 2 3 4 5 6' | FileCheck %s --check-prefix=TEXT
// RUN: %{run} --function=f32 --input='2x3xf32=1,2,3,4,5,6' | FileCheck %s --check-prefix=TEXT
// RUN: %{run} --function=f32 --input='2x3xf32=[[1, 2, 3], [4, 5, 6]]' | FileCheck %s --check-prefix=TEXT
// TEXT: result 0: 2x3xf32
// TEXT-NEXT: {{\[\[}}1, 2, 3],
// TEXT-NEXT: {{ \[}}4, 5, 6]]

// One number fills the array, none is zeros.
// RUN: %{run} --function=f32 --input=1x3xf32=2.5 | FileCheck %s --check-prefix=SPLAT
// SPLAT: {{\[\[}}2.5, 2.5, 2.5]]
// RUN: %{run} --function=f32 --input=1x3xf32= | FileCheck %s --check-prefix=ZEROS
// ZEROS: {{\[\[}}0, 0, 0]]
// RUN: %{run} --function=f32 --input=0x3xf32=1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: result 0: 0x3xf32
// EMPTY-NEXT: []

// Numbers are rounded once, to nearest even, from what is written.
// RUN: %{run} --function=f32 --input='1x4xf32=inf -inf nan -0' | FileCheck %s --check-prefix=SPECIAL
// SPECIAL: {{\[\[}} inf, -inf,  nan,   -0]]
// RUN: %{run} --function=f64 --input='1x2xf64=0.1 1e308' | FileCheck %s --check-prefix=F64
// F64: {{\[\[}}   0.1, 1e+308]]
// RUN: %{run} --function=bf16 --input='1x3xbf16=1.00390625 1.01171875 3.140625' | FileCheck %s --check-prefix=BF16
// BF16: {{\[\[}}    1, 1.016, 3.141]]
// RUN: %{run} --function=f16 --input='1x2xf16=65504 0x1p-24' | FileCheck %s --check-prefix=F16
// F16: {{\[\[}}{{ *}}65504, 5.9605E-8]]
// RUN: %{run} --function=i1 --input='1x4xi1=true false 1 0' | FileCheck %s --check-prefix=I1
// I1: {{\[\[}} true, false,  true, false]]
// RUN: %{run} --function=i8 --input='1x3xi8=-128 127 255' | FileCheck %s --check-prefix=I8
// I8: {{\[\[}}-128,  127,   -1]]
// RUN: %{run} --function=ui8 --input='1x2xui8=255 010' | FileCheck %s --check-prefix=UI8
// UI8: {{\[\[}}255,  10]]
// RUN: %{run} --function=i64 --input='1x2xi64=-9223372036854775808 9223372036854775807' | FileCheck %s --check-prefix=I64
// I64: {{\[\[}}-9223372036854775808,  9223372036854775807]]
// RUN: %{run} --function=index --input='1x2xindex=-3 3' | FileCheck %s --check-prefix=INDEX
// INDEX: {{\[\[}}-3,  3]]

// An array of rank 0 needs no shape.
// RUN: %{run} --function=rank0 --input=131072 | FileCheck %s --check-prefix=RANK0
// RUN: %{run} --function=rank0 --input=i64=131072 | FileCheck %s --check-prefix=RANK0
// RANK0: result 0: i64
// RANK0-NEXT: {{^}}131072

// Scalars are passed by value.
// RUN: rope-run %s --input=5 --input=1.5 --input=7 --input=true | FileCheck %s --check-prefix=SCALARS
// SCALARS: result 0: 4xf32
// SCALARS-NEXT: [ 5, 1.5, 7, 1]
func.func @scalars(%i: i64, %f: f32, %n: index, %b: i1) -> tensor<4xf32> {
  %i32 = arith.sitofp %i : i64 to f32
  %n64 = arith.index_cast %n : index to i64
  %n32 = arith.sitofp %n64 : i64 to f32
  %b32 = arith.uitofp %b : i1 to f32
  %result = tensor.from_elements %i32, %f, %n32, %b32 : tensor<4xf32>
  return %result : tensor<4xf32>
}

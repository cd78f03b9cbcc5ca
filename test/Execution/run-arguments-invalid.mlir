// Arguments that do not fit, and texts that are none.

// DEFINE: %{run} = not rope-run %S/Inputs/copy.mlir --function

// RUN: %{run}=f32 2>&1 | FileCheck %s --check-prefix=FEW
// FEW: error: expected 1 of --input, but got 0
// FEW-NEXT: note: the signature is f32: (tensor<?x?xf32>) -> tensor<?x?xf32>
// RUN: %{run}=f32 --input=1x1xf32=1 --input=1x1xf32=1 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: error: expected 1 of --input, but got 2

// RUN: %{run}=f32 --input= 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: argument 0: there is no value
// RUN: %{run}=f32 --input=1 2>&1 | FileCheck %s --check-prefix=SCALAR
// SCALAR: error: argument 0: expected tensor<?x?xf32>, but a number holds f32: the rank is 0, not 2
// RUN: %{run}=f32 --input='2x3xf64=1' 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: error: argument 0: expected tensor<?x?xf32>, but '2x3xf64=..' holds 2x3xf64: the element type is f64, not f32
// RUN: %{run}=f32 --input='3xf32=1' 2>&1 | FileCheck %s --check-prefix=RANK
// RANK: error: argument 0: expected tensor<?x?xf32>, but '3xf32=..' holds 3xf32: the rank is 1, not 2
// RUN: %{run}=static --input='2x2xf32=1' 2>&1 | FileCheck %s --check-prefix=STATIC
// STATIC: error: argument 0: expected tensor<2x3xf32>, but '2x2xf32=..' holds 2x2xf32: dimension 1 is 2, not 3

// RUN: %{run}=f32 --input='2x3xf32=1 2' 2>&1 | FileCheck %s --check-prefix=COUNT
// COUNT: error: argument 0: expected 6 numbers for 2x3xf32, or one for all, but got 2
// RUN: %{run}=f32 --input='2x=1 2' 2>&1 | FileCheck %s --check-prefix=ELEMENT
// ELEMENT: error: argument 0: unknown element type '' in '2x': expected f64, f32, f16, bf16, index, i1, i8, i16, i32, i64, or si and ui of these widths
// RUN: %{run}=f32 --input='2x3=1 2' 2>&1 | FileCheck %s --check-prefix=SHAPE
// RUN: %{run}=f32 --input='99999999999999999999x3xf32=1 2' 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: error: argument 0: expected a shape such as 2x3xf32 before '=', but got '{{.*}}'
// RUN: %{run}=f32 --input='4611686018427387904x4xf32=1' 2>&1 | FileCheck %s --check-prefix=OVERFLOW
// OVERFLOW: error: argument 0: the size of 4611686018427387904x4xf32 exceeds 2^63 - 1 bytes
// RUN: %{run}=f32 --input='1000000000x1000000xf32=1' 2>&1 | FileCheck %s --check-prefix=MEMORY
// MEMORY: error: argument 0: 1000000000x1000000xf32 needs 4000000000000000 bytes, more than this machine's memory of

// RUN: %{run}=f32 --input='1x1xf32=one' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=one -DTYPE=f32
// RUN: %{run}=f32 --input='1x1xf32=1e39' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=1e39 -DTYPE=f32
// RUN: %{run}=i8 --input='1x1xi8=256' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=256 -DTYPE=i8
// RUN: %{run}=i8 --input='1x1xi8=-129' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=-129 -DTYPE=i8
// RUN: %{run}=ui8 --input='1x1xui8=-1' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=-1 -DTYPE=ui8
// RUN: %{run}=i64 --input='1x1xi64=1.5' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=1.5 -DTYPE=i64
// RUN: %{run}=i64 --input='1x1xi64=-' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=- -DTYPE=i64
// RUN: %{run}=i64 --input='1x1xi64=99999999999999999999' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=99999999999999999999 -DTYPE=i64
// RUN: %{run}=i1 --input='1x1xi1=2' 2>&1 | FileCheck %s --check-prefix=NUMBER -DTEXT=2 -DTYPE=i1
// NUMBER: error: argument 0: '[[TEXT]]' is no number of type [[TYPE]]

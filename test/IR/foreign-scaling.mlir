// RUN: rope-opt %s --load-dialect-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext --verify-roundtrip | FileCheck %s
// RUN: rope-opt %s --load-dialect-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext --pass-pipeline='builtin.module(func.func(rope-lower-frequencies))' | FileCheck %s --check-prefix=LOWER
// RUN: rope-opt %s --load-dialect-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext --rope-to-llvm | FileCheck %s --check-prefix=LLVM
// RUN: not rope-opt %S/Inputs/foreign-many.mlir --load-dialect-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: not rope-opt %s 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// A rule from another library is as good as one from here: it is read, printed,
// verified, evaluated and built.

// MANY: error: 'rope.scale_frequencies' op (scale_frequencies_c2) expected fewer than 100 frequencies, but got 128
// UNKNOWN: #"foreign"<"golden"> : 'none' attribute created with unregistered dialect

// CHECK-LABEL: @known(
// CHECK: rope.scale_frequencies %{{.*}} by(#foreign.golden) : tensor<3xf64>
// LOWER-LABEL: @known(
// LOWER: arith.constant dense<[1.000000e+00, 0.30901699437494745, 0.095491502812526288]>
// LLVM-NOT: foreign
func.func @known() -> tensor<3xf64> {
  %f = rope.frequencies values(dense<[1.0, 0.5, 0.25]> : tensor<3xf64>) : tensor<3xf64>
  %g = rope.scale_frequencies %f by(#foreign.golden) : tensor<3xf64>
  return %g : tensor<3xf64>
}

// LOWER-LABEL: @unknown(
// LOWER-SAME: %[[W:[a-z0-9]+]]: tensor<3xf64>
// LOWER: %[[POWERS:.*]] = arith.constant dense<[1.000000e+00, 0.61803398874989
// LOWER: arith.mulf %[[W]], %[[POWERS]] : tensor<3xf64>
func.func @unknown(%w: tensor<3xf64>) -> tensor<3xf64> {
  %g = rope.scale_frequencies %w by(#foreign.golden) : tensor<3xf64>
  return %g : tensor<3xf64>
}

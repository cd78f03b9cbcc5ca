// RUN: rope-opt %s --split-input-file --load-pass-plugin=%rope_lib_dir/libRopeTestPlugin%shlibext --pass-pipeline='builtin.module(rope-test-refuse-fusions,cse)' --remark-format=emitRemark --remarks-filter='rope-fuse.*' --verify-diagnostics | FileCheck %s

// A callback is asked about each operand; the other one is folded by itself.

#q = affine_map<(b, s, t, d) -> (b, s, d)>
#k = affine_map<(b, s, t, d) -> (b, t, d)>
#r = affine_map<(b, s, t, d) -> (b, s, t)>

// CHECK-LABEL: @queries_alone(
// CHECK: rope.apply {{.*}} tensor<2x200x128xf32>
// CHECK: scf.for
// CHECK: scf.for
// CHECK: rope.apply {{.*}} tensor<1x?x128xf32>
// CHECK-NOT: rope.apply
func.func @queries_alone(%q: tensor<2x200x128xf32>, %k: tensor<2x200x128xf32>, %c: tensor<200x64xf32>, %e: tensor<2x200x200xf32>) -> tensor<2x200x200xf32> {
  // expected-remark @below {{rotation folded into ", Remark=linalg.batch_matmul, bytesSaved=204800}}
  %y = rope.apply ins(%q, %c, %c : tensor<2x200x128xf32>, tensor<200x64xf32>, tensor<200x64xf32>)
                  outs(%q : tensor<2x200x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  // expected-remark @below {{rotation left: ", Remark="refused for linalg.batch_matmul, 204800 bytes"}}
  %z = rope.apply ins(%k, %c, %c : tensor<2x200x128xf32>, tensor<200x64xf32>, tensor<200x64xf32>)
                  outs(%k : tensor<2x200x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>, refuse}
  %r = linalg.batch_matmul indexing_maps = [#q, #k, #r] ins(%y, %z : tensor<2x200x128xf32>, tensor<2x200x128xf32>)
         outs(%e : tensor<2x200x200xf32>) -> tensor<2x200x200xf32>
  return %r : tensor<2x200x200xf32>
}

// -----

// CHECK-LABEL: @projection(
// CHECK-NOT: scf.for
func.func @projection(%x: tensor<?x256xf32>, %w: tensor<256x64xf32>, %c: tensor<?x32xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %m = linalg.matmul ins(%x, %w : tensor<?x256xf32>, tensor<256x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-remark @below {{rotation left: ", Remark="refused for linalg.matmul"}}
  %y = rope.apply ins(%m, %c, %c : tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
                  outs(%e : tensor<?x64xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, refuse}
  return %y : tensor<?x64xf32>
}

// RUN: rope-opt %s --split-input-file --rope-raise --remark-format=emitRemark --remarks-filter=rope-raise --verify-diagnostics | FileCheck %s

// What looks like a rotation and is none stays as it is, and is said why.

// CHECK-NOT: rope.table

// Both products are added: it mixes the halves, and turns nothing.

// CHECK-LABEL: @equal_signs(
// CHECK-NOT: rope.apply
func.func @equal_signs(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  // expected-remark @below {{sum of two products not raised: the signs of the sines of channels 0 and 2 are equal}}
  %a = arith.addf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{sum of two products not raised: the signs of the sines of channels 0 and 2 are equal}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// A gate: the partner is of another tensor.

// CHECK-LABEL: @other_tensor(
// CHECK-NOT: rope.apply
func.func @other_tensor(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %w = arith.addf %c, %s : tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %w, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %w, %s : tensor<3x2xf32>
  // expected-remark @below {{its two products are not of elements of one tensor}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{its two products are not of elements of one tensor}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// The partner is that of the other pair.

// CHECK-LABEL: @other_pair(
// CHECK-NOT: rope.apply
func.func @other_pair(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v0 = tensor.extract_slice %v[0, 0] [3, 1] [1, 1] : tensor<3x2xf32> to tensor<3x1xf32>
  %v1 = tensor.extract_slice %v[0, 1] [3, 1] [1, 1] : tensor<3x2xf32> to tensor<3x1xf32>
  %o = tensor.concat dim(1) %v1, %v0 : (tensor<3x1xf32>, tensor<3x1xf32>) -> tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %o, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  // expected-remark @below {{channel 2 is a sum of two products, but not of two channels of the tensor that others are made of}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{channel 2 is a sum of two products, but not of two channels of the tensor that others are made of}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// The second channel of a pair has a cosine of its own.

// CHECK-LABEL: @other_cosine(
// CHECK-NOT: rope.apply
func.func @other_cosine(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %s : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  // expected-remark @below {{the cosines of channels 0 and 2 cannot be proved equal}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{the cosines of channels 0 and 2 cannot be proved equal}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// The sines of a pair differ.

// CHECK-LABEL: @other_sine(
// CHECK-NOT: rope.apply
func.func @other_sine(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %c : tensor<3x2xf32>
  // expected-remark @below {{the sines of channels 0 and 2 cannot be proved equal}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{the sines of channels 0 and 2 cannot be proved equal}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Turned by half a turn more: no table says so.

// CHECK-LABEL: @negated_cosine(
// CHECK-NOT: rope.apply
func.func @negated_cosine(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %n = arith.negf %c : tensor<3x2xf32>
  %uc = arith.mulf %u, %n : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %n : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  // expected-remark @below {{the cosines of channels 0 and 2 are negated}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{the cosines of channels 0 and 2 are negated}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// One pair turns the other way.

// CHECK-LABEL: @one_sign(
// CHECK-NOT: rope.apply
func.func @one_sign(%x: tensor<3x4xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %sign = arith.constant dense<[[1.0, -1.0], [1.0, -1.0], [1.0, -1.0]]> : tensor<3x2xf32>
  %m = arith.mulf %s, %sign : tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %m : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %m : tensor<3x2xf32>
  // expected-remark @below {{the signs of channels 1 and 3 are not those of other pairs}}
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  // expected-remark @below {{the signs of channels 1 and 3 are not those of other pairs}}
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Given tables as wide as the head: nothing says that their halves are equal.

// CHECK-LABEL: @wide_tables(
// CHECK-NOT: rope.apply
func.func @wide_tables(%x: tensor<3x4xf32>, %c: tensor<3x4xf32>, %s: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %n = arith.negf %v : tensor<3x2xf32>
  %h = tensor.concat dim(1) %n, %u : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  %xc = arith.mulf %x, %c : tensor<3x4xf32>
  %hs = arith.mulf %h, %s : tensor<3x4xf32>
  // expected-remark @below {{the cosines of channels 0 and 2 cannot be proved equal}}
  %y = arith.addf %xc, %hs : tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Cosine and sine of other positions: a rotation by given tables, no table.

// CHECK-LABEL: @other_positions(
// CHECK: rope.apply
func.func @other_positions(%x: tensor<3x4xf32>, %p: tensor<3x2xf32>, %q: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %c = math.cos %p : tensor<3x2xf32>
  %s = math.sin %q : tensor<3x2xf32>
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x4xf32> to tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  %a = arith.subf %uc, %vs : tensor<3x2xf32>
  %b = arith.addf %vc, %us : tensor<3x2xf32>
  // expected-remark @below {{given cosines and sines: cosine and sine are not of the same angle}}
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Halves of another size.

// CHECK-LABEL: @unequal(
// CHECK-NOT: rope.apply
func.func @unequal(%x: tensor<3x5xf32>, %c: tensor<3x5xf32>, %s: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x5xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 3] [1, 1] : tensor<3x5xf32> to tensor<3x3xf32>
  %n = arith.negf %v : tensor<3x3xf32>
  %h = tensor.concat dim(1) %n, %u : (tensor<3x3xf32>, tensor<3x2xf32>) -> tensor<3x5xf32>
  %xc = arith.mulf %x, %c : tensor<3x5xf32>
  %hs = arith.mulf %h, %s : tensor<3x5xf32>
  // expected-remark @below {{channel 0 is made of channels 0 and 2, from which no other is made}}
  %y = arith.addf %xc, %hs : tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// Others may write to memrefs.

// CHECK-LABEL: @memrefs(
// CHECK-NOT: rope.apply
#id = affine_map<(i) -> (i)>
func.func @memrefs(%u: memref<4xf32>, %v: memref<4xf32>, %c: memref<4xf32>, %s: memref<4xf32>, %y: memref<4xf32>) {
  // expected-remark @below {{it works on memrefs, which others may write to: raise before bufferization}}
  linalg.generic {indexing_maps = [#id, #id, #id, #id, #id], iterator_types = ["parallel"]}
      ins(%u, %v, %c, %s : memref<4xf32>, memref<4xf32>, memref<4xf32>, memref<4xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%u0: f32, %v0: f32, %c0: f32, %s0: f32, %o: f32):
    %uc = arith.mulf %u0, %c0 : f32
    %vs = arith.mulf %v0, %s0 : f32
    %d = arith.subf %uc, %vs : f32
    linalg.yield %d : f32
  }
  return
}

// -----

// Of a tensor of unknown rank no element can be named.

// CHECK-LABEL: @unranked(
// CHECK-NOT: rope.apply
func.func @unranked(%u: tensor<*xf32>, %v: tensor<*xf32>, %c: tensor<*xf32>, %s: tensor<*xf32>) -> tensor<*xf32> {
  %uc = arith.mulf %u, %c : tensor<*xf32>
  %vs = arith.mulf %v, %s : tensor<*xf32>
  // expected-remark @below {{its rank is not known}}
  %d = arith.subf %uc, %vs : tensor<*xf32>
  return %d : tensor<*xf32>
}

// -----

// Sizes of zero and of run time, and sums of other things, are no rotations and
// worth no remark.

// CHECK-LABEL: @quiet(
// CHECK-NOT: rope.apply
func.func @quiet(%x: tensor<0x4xf32>, %y: tensor<?xf32>, %z: tensor<f32>) -> (tensor<0x4xf32>, tensor<?xf32>, tensor<f32>) {
  %a = arith.mulf %x, %x : tensor<0x4xf32>
  %b = arith.addf %a, %a : tensor<0x4xf32>
  %c = arith.mulf %y, %y : tensor<?xf32>
  %d = arith.addf %c, %c : tensor<?xf32>
  %e = arith.mulf %z, %z : tensor<f32>
  %f = arith.addf %e, %e : tensor<f32>
  return %b, %d, %f : tensor<0x4xf32>, tensor<?xf32>, tensor<f32>
}

// -----

// An operation for its effects alone has no elements.

// CHECK-LABEL: @effects(
// CHECK-NOT: rope.apply
#id = affine_map<(i) -> (i)>
func.func @effects(%x: tensor<8xf32>, %y: tensor<8xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x, %y : tensor<8xf32>, tensor<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    %q = arith.mulf %b, %b : f32
    %s = arith.addf %p, %q : f32
    %c = arith.cmpf olt, %s, %a : f32
    cf.assert %c, "too large"
    linalg.yield
  }
  return
}

// -----

// A factor of the products, which cosines and sines that are given do not hold.
// Of the rotation that was begun nothing stays.

// CHECK-LABEL: @factor(
// CHECK-COUNT-2: tensor.extract_slice
// CHECK-NOT: tensor.extract_slice
// CHECK-NOT: rope.apply
func.func @factor(%x: tensor<3x6xf32>, %c: tensor<3x2xf32>, %s: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %f = arith.constant dense<1.5> : tensor<3x2xf32>
  %u = tensor.extract_slice %x[0, 0] [3, 2] [1, 1] : tensor<3x6xf32> to tensor<3x2xf32>
  %v = tensor.extract_slice %x[0, 2] [3, 2] [1, 1] : tensor<3x6xf32> to tensor<3x2xf32>
  %uc = arith.mulf %u, %c : tensor<3x2xf32>
  %vs = arith.mulf %v, %s : tensor<3x2xf32>
  %vc = arith.mulf %v, %c : tensor<3x2xf32>
  %us = arith.mulf %u, %s : tensor<3x2xf32>
  %ucf = arith.mulf %uc, %f : tensor<3x2xf32>
  %vsf = arith.mulf %vs, %f : tensor<3x2xf32>
  %vcf = arith.mulf %vc, %f : tensor<3x2xf32>
  %usf = arith.mulf %us, %f : tensor<3x2xf32>
  // expected-remark @below {{its products have a factor, which the tables do not hold}}
  %a = arith.subf %ucf, %vsf : tensor<3x2xf32>
  // expected-remark @below {{its products have a factor, which the tables do not hold}}
  %b = arith.addf %vcf, %usf : tensor<3x2xf32>
  %y = tensor.concat dim(1) %a, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

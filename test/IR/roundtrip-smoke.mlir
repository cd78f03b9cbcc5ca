// RUN: rope-opt %s --verify-roundtrip | FileCheck %s

// CHECK: rope.frequencies base(5.000000e+05) : tensor<64xf64>
%f = rope.frequencies base(5.0e+05) : tensor<64xf64>

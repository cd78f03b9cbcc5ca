//===- Passes.td - conversions out of the rope dialect -----*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_CONVERSION_PASSES_TD
#define ROPE_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertRopeToLinalg : Pass<"convert-rope-to-linalg"> {
  let summary = "Lower rope.table, rope.apply and attention to linalg";
  let description = [{
    Turns each `rope.table` and `rope.apply` into `linalg.generic` on slices of
    the paired channels, on tensors or on memrefs, with the angle arithmetic in
    the body. On memrefs this needs no allocation and copies only the channels
    that are not rotated, so bufferize first:

    ```mlir
    rope.apply ins(%x, %cos, %sin : memref<8x128xf32>, memref<8x64xf32>, memref<8x64xf32>)
               outs(%y : memref<8x128xf32>)
               {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
    ```

    becomes one generic that reads `%x[:, 0:64]`, `%x[:, 64:128]` and the tables
    and writes `%y[:, 0:64]` and `%y[:, 64:128]`.

    `rope.online_attention` becomes one generic for each of its formulas, on
    tensors or on memrefs. `rope.attention` on tensors becomes a
    `rope.online_attention` of all keys, with all scores in one tensor; for
    memrefs there is -rope-tile-attention.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"];
}

#endif // ROPE_CONVERSION_PASSES_TD

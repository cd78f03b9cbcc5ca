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

def ConvertRopeToGPU : Pass<"convert-rope-to-gpu", "::mlir::ModuleOp"> {
  let summary = "Make GPU kernels of rope operations on memrefs";
  let description = [{
    Turns `rope.table`, `rope.apply` and `rope.attention` on memrefs, and the
    linalg operations and copies around them, into kernels of one `gpu.module`
    and launches of them. Memrefs that are arguments of a function, and those
    that kernels use, are in the device's memory; frequencies that depend on a
    length are computed on the host and copied.

    - A `rope.table` of f32 that only rotations read is not made: each thread
      makes the angles of its pairs, by 32-bit integer arithmetic, and rotates
      several heads by them.
    - Operations that do not depend on each other, as rotations of query and
      key or a rotation and a copy into a cache, share a launch.
    - Rows are read and written in accesses of 16 bytes where the device has
      them. Where it is not known that all rows are aligned there are two
      kernels, and the host's code chooses.
    - Channels that are not rotated are copied, unless the destination is `x`.
    - Attention of f16 or bf16 goes to the matrix units of CUDA where channels
      are a multiple of 16, at most 256, and lie side by side. Rotated queries
      and keys, and weights, are then rounded to that type, sums are f32. Keys
      are rotated once, by a kernel before, for more than 64 queries, else as
      they are loaded. Keys and values in pages, or of integers with scales, are
      an error.
    - Iterations of `scf.forall` and `scf.parallel` that hold nothing but rows,
      indices and the operations above are threads of a kernel.

    A function must take its results as arguments (`rope-expose-c-interface`).
    It is an error where the host would have to read or write the device's
    memory, as in sequential loops over the rows of an index array.

    Kernels take the memrefs as `memref<?xT, strided<[1], offset: ?>>`, bf16 as
    i16 and i64 as pairs of i32 where memory of the device does not have them,
    and then sizes and strides as `index`. They hold operations that all devices
    have; `rope-specialize-kernels` adapts the others.
  }];
  let options = [
    Option<"api", "api", "std::string", /*default=*/"\"cuda\"",
           "How the device is reached: cuda, rocm or vulkan">,
    Option<"chip", "chip", "std::string", /*default=*/"",
           "Device to make kernels for, as LLVM names it; the API's first one "
           "where empty">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::nvgpu::NVGPUDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif // ROPE_CONVERSION_PASSES_TD

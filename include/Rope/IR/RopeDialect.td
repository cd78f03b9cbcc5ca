//===- RopeDialect.td - the rope dialect -------------------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEDIALECT_TD
#define ROPE_IR_ROPEDIALECT_TD

include "mlir/IR/DialectBase.td"

def Rope_Dialect : Dialect {
  let name = "rope";
  let cppNamespace = "::mlir::rope";
  let summary = "Rotary position embeddings";
  let description = [{
    Rotary position embeddings (RoPE) turn each pair of channels of a query or
    key vector by an angle that is the token's position times the pair's
    frequency. The dialect splits that into four operations that compose:

    | operation                | what it computes                              |
    | ------------------------ | --------------------------------------------- |
    | `rope.frequencies`       | the inverse frequencies of the pairs          |
    | `rope.scale_frequencies` | one rule that stretches them to long contexts |
    | `rope.table`             | cosines and sines of position x frequency     |
    | `rope.apply`             | the rotation                                  |

    and has two for what consumes rotated vectors, which can rotate them as they
    are loaded:

    | operation                | what it computes                              |
    | ------------------------ | --------------------------------------------- |
    | `rope.attention`         | attention                                     |
    | `rope.online_attention`  | its step over some of the keys                |

    The first two are pure operations on small tensors and stay symbolic. The
    others are in destination style, on tensors or on memrefs. The attribute
    `rope.folded` marks a rotation that a fusion has moved into its loops,
    `rope.parallel` an `scf.for` whose iterations do not depend on each other,
    `rope.tasks` one whose iterations are worth a thread of a processor as well.
    `rope.streaming` marks a `rope.apply` on memrefs whose result is not read
    soon: code for it may write around the cache. It is an integer, the alignment
    in bytes that the first channel of every row of the destination is known to
    have. The destination then shares no memory with what is read. Zero says that
    rows are not aligned, or are written over: code only reads ahead. `rope.rows`
    marks the linalg operations that are parts of one `rope.apply`.

    Rules of the scaling attributes:
    - (scaling_c1) numbers are f64, finite and greater than zero;
    - (scaling_c2) the numbers of lists are finite and greater than zero;
    - (scaling_c3) the `base` of `#rope.yarn` is greater than one;
    - (scaling_c4) the `low_freq_factor` of `#rope.llama3` does not exceed its
      `high_freq_factor`.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    /// Marks an scf.for whose iterations do not depend on each other.
    static constexpr ::llvm::StringLiteral getParallelAttrName() {
      return "rope.parallel";
    }
    /// Marks an scf.for whose iterations do not depend on each other and are
    /// each worth a thread of a processor.
    static constexpr ::llvm::StringLiteral getTasksAttrName() {
      return "rope.tasks";
    }
    /// Marks a rope.apply, and the linalg operations that it becomes, that may
    /// write around the cache: the alignment of the rows they write, in bytes.
    static constexpr ::llvm::StringLiteral getStreamingAttrName() {
      return "rope.streaming";
    }
    /// Marks linalg operations that follow each other and are the parts of one
    /// rope.apply: row by row gives the same as one after the other.
    static constexpr ::llvm::StringLiteral getRowsAttrName() {
      return "rope.rows";
    }
  }];
}

#endif // ROPE_IR_ROPEDIALECT_TD

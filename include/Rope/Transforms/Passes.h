//===- Passes.h - passes on the rope dialect --------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_PASSES_H
#define ROPE_TRANSFORMS_PASSES_H

#include "Rope/Transforms/CostModel.h"
#include "Rope/Transforms/Fusion.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class DialectRegistry;
class RewriterBase;
class SymbolTable;
} // namespace mlir

namespace mlir::rope {

/// What multiplies bf16 in pairs and adds in f32: nothing, vdpbf16ps of
/// AVX512-BF16, or the tiles of AMX.
enum class PairProduct { none, dot, amx };

/// How rope-report prints what it found.
enum class ReportFormat { table, json };

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Rope/Transforms/Passes.h.inc"

/// Replaces rotations by one scf.forall over blocks of their positions, and of
/// their other dimensions as far as they have them in common. `group` is one
/// rotation, or several on tensors, in the order of their block, that read the
/// same table and whose results are not used before the last of them. A table
/// that nothing else reads is made block by block. Fails, and changes nothing,
/// where rotations cannot share a loop, are in a parallel loop or one that a
/// fusion made, or are of something that is known to be empty.
LogicalResult tileApply(RewriterBase &rewriter, ArrayRef<ApplyOp> group,
                        const TileApplyOptions &options);

/// Makes two of each rotation on memrefs in `loop`, which stands in no other
/// loop or is itself a rotation: one as it is, and one for arrays that have
/// `minBytes` together, whose stores go past the caches, where rows are aligned
/// and x is not written over, or which in place reads ahead. Fails, and changes
/// nothing, where only the first could be taken.
LogicalResult streamRotations(RewriterBase &rewriter, Operation *loop,
                              int64_t minBytes);

/// Rotates `apply`, and makes what is made of it, row by row where rows are
/// written into a cache, unless `control`, which may be null, says no. Fails,
/// and changes nothing, where that cannot be done. Reports a remark either way.
LogicalResult fuseCacheAppend(RewriterBase &rewriter, ApplyOp apply,
                              const FusionControlFn &control);

/// Patterns that do what `fuseCacheAppend` does; each attempt is reported.
void populateFuseCacheAppendPatterns(RewritePatternSet &patterns,
                                     FusionControlFn control = nullptr);

/// Rotates operands of `contraction` that a `rope.apply` makes by tiles, in
/// loops around it. `control` may refuse each of them. Emits a remark for each.
/// Fails where none is folded; casts and reshapes between may be folded still.
LogicalResult fuseMatmul(RewriterBase &rewriter, linalg::LinalgOp contraction,
                         const FuseMatmulOptions &options,
                         const FusionControlFn &control = nullptr);

/// Makes what `apply` rotates in tiles, from a contraction on, and rotates each
/// while it is in the cache. `control` may refuse. Emits a remark. Fails where
/// nothing is fused; reshapes may have moved into the contraction still.
LogicalResult fuseProjection(RewriterBase &rewriter, ApplyOp apply,
                             const FuseProjectionOptions &options,
                             const FusionControlFn &control = nullptr);

/// Turns each rotation below `root` that other operations on tensors spell into
/// a `rope.apply`, and what makes its cosines and sines into a `rope.table`,
/// exact ones where `exact`. Emits a remark for each, and for what looks like
/// one and is none.
void raiseRotations(RewriterBase &rewriter, Operation *root,
                    bool exact = false);

/// Turns each attention that is written in linalg below `root`, and whose
/// queries or keys are rotated, into a rope.attention.
void raiseAttention(RewriterBase &rewriter, Operation *root);

/// Folds the rotations that make the query and the key of `attention` into it
/// unless `control` has a reason not to, and then the tables that make cosine
/// and sine of nothing else unless `tableControl` has.
void foldRotations(RewriterBase &rewriter, AttentionOp attention,
                   const FusionControlFn &control,
                   const TableControlFn &tableControl);

/// Patterns for rotations that meet others, and for the tables that they leave,
/// with the canonicalizations of rope.apply. All rewrites but those of
/// canonicalizations are reported.
void populateSimplifyPatterns(RewritePatternSet &patterns);

/// Moves tables and frequencies on tensors below `root` out of loops, as far as
/// what they are made of is known outside, and tables out of branches where an
/// equal one is made elsewhere; then makes equal operations one. Each table
/// that goes is reported.
void shareTables(RewriterBase &rewriter, Operation *root);

/// Takes what is added to all positions of queries and keys alike from tables,
/// and from rotations in attention, whose rotations meet each other alone. Each
/// is reported.
void dropCommonShifts(RewriterBase &rewriter, Operation *root);

/// Makes interleaved rotations half-split by permuting the constants that they
/// rotate the product of, where what follows does not see the order of
/// channels. Each is reported, and each that is left.
void permuteWeights(RewriterBase &rewriter, Operation *root);

/// Prints a table of the rotations below `root`.
void reportRotations(Operation *root, ReportFormat format, raw_ostream &os);

/// Patterns that turn frequency chains into constants, or into code where they
/// read a length, and give exact tables their frequencies in turns.
void populateLowerFrequenciesPatterns(RewritePatternSet &patterns);

/// Patterns that convert between f32 and bf16 by integer operations.
void populateExpandBF16Patterns(RewritePatternSet &patterns);

/// Subviews with dimensions of which it is unclear which are dropped to ones
/// that drop none.
void populateExpandSubViewsPatterns(RewritePatternSet &patterns);

/// What vectorizeElementwise knows of the processor.
struct ElementwiseVectorization {
  /// The width of a vector register in bits, and how many there are.
  unsigned vectorBits = 128;
  unsigned registers = 16;
  /// Has the instructions of AVX512-BF16.
  bool avx512BF16 = false;
};

/// Replaces a linalg operation on memrefs with an elementwise body and
/// contiguous rows by loops over vectors: its innermost loop must be parallel,
/// the outer ones may be reductions. Several that are parallel, with the same
/// outer loops, are done row by row. Fails, and changes nothing, where one is
/// none.
LogicalResult vectorizeElementwise(RewriterBase &rewriter,
                                   ArrayRef<linalg::LinalgOp> ops,
                                   const ElementwiseVectorization &options);

/// Replaces `op`, on memrefs, by loops over tiles. Fails, and changes nothing,
/// on tensors.
LogicalResult tileAttention(RewriterBase &rewriter, AttentionOp op,
                            const TileAttentionOptions &options);

/// Replaces a linalg operation on memrefs with one reduction loop and one
/// contiguous result by loops over tiles of the result, which stay in
/// `registers` vector registers while the reduction runs, in chunks where the
/// order of its sums is free. Fails, and changes nothing, where an operand that
/// changes along the rows of the result is not contiguous along them.
LogicalResult vectorizeContraction(RewriterBase &rewriter, linalg::LinalgOp op,
                                   unsigned vectorBits, unsigned registers);

/// Likewise for a contraction of pairs of bf16 with AVX512-BF16: loops m, n, k
/// and p, the last two summed and p of two rounds, A by (m, k, p), B by
/// (k, n, p) and C, of f32, by (m, n). B and the pairs of A are contiguous. m
/// may be absent.
LogicalResult vectorizePairs(RewriterBase &rewriter, linalg::LinalgOp op);

/// Replaces a linalg operation on memrefs with one reduction loop, along which
/// what it reads is contiguous, and one result by loops over tiles of dot
/// products. The order of sums must be free. Fails, and changes nothing, where
/// it is none.
LogicalResult vectorizeDot(RewriterBase &rewriter, linalg::LinalgOp op,
                           unsigned vectorBits, unsigned registers);

/// Replaces an elementwise linalg operation on memrefs with contiguous rows,
/// whose innermost loop is its only reduction, by loops over vectors: sums and
/// maxima of rows. Fails, and changes nothing, where it is none.
LogicalResult vectorizeRows(RewriterBase &rewriter, linalg::LinalgOp op,
                            unsigned vectorBits);

/// Replaces a parallel linalg operation on memrefs whose operands are
/// contiguous in one dimension and whose results are in another by loops over
/// square blocks, transposed in registers. Fails, and changes nothing, where it
/// is none.
LogicalResult vectorizeTranspose(RewriterBase &rewriter, linalg::LinalgOp op,
                                 unsigned vectorBits);

/// Patterns that replace `math.exp`, `math.exp2`, `math.tanh` and `math.log` of
/// f32 and narrower floats, scalars and vectors, by polynomials.
void populateApproximateMathPatterns(RewritePatternSet &patterns);

/// Moves the body of `loop`, an scf.parallel without reductions or an
/// scf.forall without results inside a func.func, into a private function that
/// rope_parallel_for (`Rope/Runtime/Runtime.h`) calls once for each iteration.
/// `symbols` is of the module around the func.func. Buffers that the body
/// allocates and frees, of sizes known in front of the loop, become views of
/// the runtime's workspace. Fails, and changes nothing, where `loop` is none of
/// these, is inside another parallel loop, or uses a value of a type that
/// cannot be stored in memory.
LogicalResult outlineParallelLoop(RewriterBase &rewriter, SymbolTable &symbols,
                                  Operation *loop);

/// Replaces `loop`, on tensors and marked by the attribute `mark`, and those
/// that are all it holds, by an scf.forall. Fails, and changes nothing, where
/// it carries anything but tensors of which each iteration replaces a slice.
LogicalResult parallelizeLoop(RewriterBase &rewriter, scf::ForOp loop,
                              StringRef mark);

/// Makes `contraction`, on tensors, and what is made of its result element by
/// element, in an scf.forall over blocks of rows and columns. Fails, and
/// changes nothing, where it is in a parallel loop or makes a single block.
LogicalResult tileMatmul(RewriterBase &rewriter, linalg::LinalgOp contraction);

/// Replaces `contraction`, on memrefs, by loops over blocks of what is summed,
/// for each of which a part of one operand is packed into scratch memory, and
/// products with that. Reports a remark where it is left, and fails.
LogicalResult packMatmul(RewriterBase &rewriter, linalg::LinalgOp contraction,
                         const PackMatmulOptions &options);

/// Bufferization of rope.table and rope.apply to their own memref forms.
void registerBufferizableOpInterfaceExternalModels(DialectRegistry &registry);

/// Assertions for sizes that are known only at run time, for upstream's
/// -generate-runtime-verification.
void registerRuntimeVerifiableOpInterfaceExternalModels(
    DialectRegistry &registry);

} // namespace mlir::rope

#endif // ROPE_TRANSFORMS_PASSES_H

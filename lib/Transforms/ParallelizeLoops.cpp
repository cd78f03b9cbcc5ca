//===- ParallelizeLoops.cpp - independent iterations to scf.forall --------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::rope {
#define GEN_PASS_DEF_PARALLELIZELOOPS
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// The loop that is all that `loop` does, and that is given and gives what
/// `loop` carries; null where there is none.
static scf::ForOp findInner(scf::ForOp loop, StringRef mark) {
  auto inner = dyn_cast<scf::ForOp>(loop.getBody()->front());
  if (!inner || inner->getNextNode() != loop.getBody()->getTerminator() ||
      !inner->hasAttr(mark) ||
      !llvm::equal(inner.getInits(), loop.getRegionIterArgs()) ||
      !llvm::equal(loop.getYieldedValues(), inner.getResults()))
    return nullptr;
  return inner;
}

LogicalResult rope::parallelizeLoop(RewriterBase &rewriter, scf::ForOp loop,
                                    StringRef mark) {
  if (!loop->hasAttr(mark))
    return rewriter.notifyMatchFailure(loop, "is not marked");
  SmallVector<scf::ForOp> nest = {loop};
  while (scf::ForOp inner = findInner(nest.back(), mark))
    nest.push_back(inner);
  scf::ForOp innermost = nest.back();
  SmallVector<tensor::InsertSliceOp> writes;
  for (auto [yielded, argument] :
       llvm::zip(innermost.getYieldedValues(), innermost.getRegionIterArgs())) {
    auto write = yielded.getDefiningOp<tensor::InsertSliceOp>();
    if (!write || write.getDest() != argument || !write->hasOneUse())
      return rewriter.notifyMatchFailure(loop, "carries more than slices");
    writes.push_back(write);
  }
  SmallVector<OpFoldResult> starts, ends, steps;
  for (scf::ForOp each : nest) {
    if (!each.getInductionVar().getType().isIndex())
      return rewriter.notifyMatchFailure(loop, "does not count in indices");
    starts.push_back(each.getLowerBound());
    ends.push_back(each.getUpperBound());
    steps.push_back(each.getStep());
  }
  for (OpFoldResult bound : llvm::concat<OpFoldResult>(starts, ends, steps))
    if (loop->isAncestor(cast<Value>(bound).getParentBlock()->getParentOp()))
      return rewriter.notifyMatchFailure(loop, "has bounds that change");

  rewriter.setInsertionPoint(loop);
  auto forall =
      scf::ForallOp::create(rewriter, loop.getLoc(), starts, ends, steps,
                            loop.getInits(), /*mapping=*/std::nullopt);
  // The slices are written at the end, to what is shared.
  rewriter.setInsertionPointToEnd(forall.getTerminator().getBody());
  for (auto [write, shared] : llvm::zip(writes, forall.getRegionIterArgs()))
    tensor::ParallelInsertSliceOp::create(
        rewriter, write.getLoc(), write.getSource(), shared,
        write.getMixedOffsets(), write.getMixedSizes(),
        write.getMixedStrides());
  rewriter.eraseOp(innermost.getBody()->getTerminator());
  for (tensor::InsertSliceOp write : writes)
    rewriter.eraseOp(write);
  for (auto [each, variable] : llvm::zip(nest, forall.getInductionVars()))
    rewriter.replaceAllUsesWith(each.getInductionVar(), variable);
  SmallVector<Value> arguments = {forall.getInductionVars().back()};
  llvm::append_range(arguments, forall.getRegionIterArgs());
  rewriter.inlineBlockBefore(innermost.getBody(),
                             forall.getTerminator().getOperation(), arguments);
  rewriter.replaceOp(loop, forall.getResults());
  return success();
}

namespace {
struct ParallelizeLoops : rope::impl::ParallelizeLoopsBase<ParallelizeLoops> {
  using ParallelizeLoopsBase::ParallelizeLoopsBase;

  void runOnOperation() override {
    StringRef mark = tasks ? RopeDialect::getTasksAttrName()
                           : RopeDialect::getParallelAttrName();
    IRRewriter rewriter(&getContext());
    SmallVector<scf::ForOp> loops;
    getOperation()->walk<WalkOrder::PreOrder>([&](scf::ForOp loop) {
      if (!loop->hasAttr(mark))
        return WalkResult::advance();
      loops.push_back(loop);
      return WalkResult::skip();
    });
    for (scf::ForOp loop : loops)
      (void)parallelizeLoop(rewriter, loop, mark);
  }
};
} // namespace

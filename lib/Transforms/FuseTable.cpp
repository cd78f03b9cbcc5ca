//===- FuseTable.cpp - make table rows where they are used ----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::rope {
#define GEN_PASS_DEF_FUSETABLE
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

TableOp rope::findOwnTable(ApplyOp apply) {
  auto table = apply.getCos().getDefiningOp<TableOp>();
  // A table in front of a loop is made once for all of its rounds.
  bool isOwn = table && table->getBlock() == apply->getBlock() &&
               apply.getCos() == table->getResult(0) &&
               apply.getSin() == table->getResult(1) &&
               llvm::all_of(table->getUsers(),
                            [&](Operation *user) { return user == apply; });
  return isOwn ? table : TableOp();
}

LogicalResult rope::fuseTable(RewriterBase &rewriter, ApplyOp apply) {
  if (apply.getResults().empty())
    return rewriter.notifyMatchFailure(apply, "is on memrefs");
  TableOp table = findOwnTable(apply);
  if (!table)
    return rewriter.notifyMatchFailure(apply, "has no table of its own");
  if (apply.getPositionDims().empty())
    return rewriter.notifyMatchFailure(apply, "has one position for all");

  // A slice of nothing would start out of bounds.
  for (Value value : {apply.getX(), apply.getCos()})
    if (llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0))
      return rewriter.notifyMatchFailure(apply, "is empty");

  // One position at a time: its row of the table stays in the first cache.
  int64_t dims = cast<RankedTensorType>(apply.getX().getType()).getRank() - 1;
  SmallVector<OpFoldResult> tileSizes(dims, rewriter.getIndexAttr(0));
  for (int64_t dim : apply.getPositionDims())
    tileSizes[dim] = rewriter.getIndexAttr(1);
  scf::SCFTileAndFuseOptions options;
  options.setTilingOptions(scf::SCFTilingOptions().setTileSizes(tileSizes));
  options.setFusionControlFn(
      [&](tensor::ExtractSliceOp, OpResult producer,
          bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
        if (producer.getOwner() != table)
          return std::nullopt;
        return scf::SCFTileAndFuseOptions::ControlFnResult{};
      });
  rewriter.setInsertionPoint(apply);
  FailureOr<scf::SCFTileAndFuseResult> fused =
      scf::tileConsumerAndFuseProducersUsingSCF(
          rewriter, cast<TilingInterface>(apply.getOperation()), options);
  if (failed(fused))
    return rewriter.notifyMatchFailure(apply, "does not tile");
  rewriter.replaceOp(apply, fused->replacements.lookup(apply->getResult(0)));
  if (table->use_empty())
    rewriter.eraseOp(table);
  return success();
}

namespace {
struct FuseTable : rope::impl::FuseTableBase<FuseTable> {
  void runOnOperation() override {
    SmallVector<ApplyOp> applies;
    getOperation()->walk([&](ApplyOp apply) { applies.push_back(apply); });
    IRRewriter rewriter(&getContext());
    for (ApplyOp apply : applies)
      (void)fuseTable(rewriter, apply);
    // A row is made in a buffer of its own, not in a slice of the whole table.
    RewritePatternSet patterns(&getContext());
    tensor::populateFoldTensorEmptyPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

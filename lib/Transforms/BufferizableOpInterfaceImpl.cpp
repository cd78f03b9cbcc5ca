//===- BufferizableOpInterfaceImpl.cpp - bufferization --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::rope;
using namespace mlir::bufferization;

namespace {
template <typename OpTy>
struct Bufferizable
    : DstBufferizableOpInterfaceExternalModel<Bufferizable<OpTy>, OpTy> {
  /// Only the state of an online attention is read before it is written.
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    if (auto online = dyn_cast<OnlineAttentionOp>(op))
      return operand.get() != online.getScores() &&
             operand.get() != online.getCorrection();
    return cast<DestinationStyleOpInterface>(op).isDpsInput(&operand);
  }

  /// Every lowering of rope.apply reads a pair before it writes it, so x may
  /// share its buffer with the destination while the pairing stays.
  bool bufferizesToElementwiseAccess(Operation *op, const AnalysisState &,
                                     ArrayRef<OpOperand *> operands) const {
    auto apply = dyn_cast<ApplyOp>(op);
    return apply && apply.getPairing() == apply.getWrittenPairing() &&
           llvm::all_of(operands, [&](OpOperand *operand) {
             return operand == &apply.getXMutable() ||
                    operand == &apply.getInitMutable();
           });
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    if (op->getNumResults() == 0)
      return success();
    SmallVector<Value> buffers;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        buffers.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    rewriter.setInsertionPoint(op);
    cloneWith(rewriter, op, TypeRange{}, buffers);
    auto inits = cast<DestinationStyleOpInterface>(op).getDpsInitsMutable();
    SmallVector<Value> results =
        llvm::map_to_vector(inits, [&](OpOperand &init) {
          return buffers[init.getOperandNumber()];
        });
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};
} // namespace

void rope::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, RopeDialect *) {
    ApplyOp::attachInterface<Bufferizable<ApplyOp>>(*context);
    TableOp::attachInterface<Bufferizable<TableOp>>(*context);
    AttentionOp::attachInterface<Bufferizable<AttentionOp>>(*context);
    OnlineAttentionOp::attachInterface<Bufferizable<OnlineAttentionOp>>(
        *context);
  });
}

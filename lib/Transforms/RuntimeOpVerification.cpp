//===- RuntimeOpVerification.cpp - checks of sizes at run time ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rules that verifiers check for static sizes, as assertions for sizes that
// are known only at run time. Inserted by -generate-runtime-verification. So is
// what tensor.insert_slice needs, by which rows go into a cache, and that pages
// of a cache are there.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "Rope/IR/SizeRules.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Interfaces/RuntimeVerifiableOpInterface.h"

using namespace mlir;
using namespace mlir::rope;

static Value evaluate(ImplicitLocOpBuilder &b, const rope::Size &size) {
  Value constant = arith::ConstantIndexOp::create(b, size.constant);
  if (!size.value)
    return constant;
  Value result;
  if (isa<TensorType>(size.value.getType()))
    result = tensor::DimOp::create(b, size.value, size.dim);
  else
    result = memref::DimOp::create(b, size.value, size.dim);
  if (size.factor != 1)
    result = arith::MulIOp::create(
        b, result, arith::ConstantIndexOp::create(b, size.factor));
  if (size.constant != 0)
    result = arith::AddIOp::create(b, result, constant);
  return result;
}

static Value sizeOf(ImplicitLocOpBuilder &b, Value value, int64_t dim) {
  return evaluate(b, {value, dim});
}

static Value load(ImplicitLocOpBuilder &b, Value from, ValueRange indices) {
  Value x = isa<TensorType>(from.getType())
                ? Value(tensor::ExtractOp::create(b, from, indices))
                : Value(memref::LoadOp::create(b, from, indices));
  return b.createOrFold<arith::IndexCastOp>(b.getIndexType(), x);
}

/// Asserts that pages with keys are pages of all that is looked up.
static void verifyPages(ImplicitLocOpBuilder &b, AttentionOp op,
                        StringRef message) {
  OpOperand &pages = op.getPagesMutable()[0];
  AffineMap map = op.getMap(pages);
  std::optional<int64_t> batch = findLoop(map, Loop::batch);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value count = sizeOf(b, pages.get(), *findLoop(map, Loop::key));
  SmallVector<Value> bounds;
  for (OpOperand *operand : op.getMappedOperands())
    if (std::optional<int64_t> dim = findLoop(op.getMap(*operand), Loop::key);
        dim && op.isPaged(*operand))
      bounds.push_back(sizeOf(b, operand->get(), *dim));
  Value batches = op.getLengths() ? sizeOf(b, op.getLengths(), 0)
                  : batch         ? sizeOf(b, pages.get(), *batch)
                                  : one;
  OpBuilder::InsertionGuard guard(b);
  auto ofBatch = scf::ForOp::create(b, zero, batches, one);
  b.setInsertionPointToStart(ofBatch.getBody());
  if (op.getLengths()) {
    Value size = arith::ConstantIndexOp::create(b, op.getPageSize());
    Value length = load(b, op.getLengths(), ofBatch.getInductionVar());
    count = arith::MinSIOp::create(b, count,
                                   arith::CeilDivSIOp::create(b, length, size));
  }
  auto ofPage = scf::ForOp::create(b, zero, count, one);
  b.setInsertionPointToStart(ofPage.getBody());
  SmallVector<Value> indices;
  for (const MapResult &match : followedLoops(map))
    indices.push_back(match.loop == Loop::batch ? ofBatch.getInductionVar()
                                                : ofPage.getInductionVar());
  Value page = load(b, pages.get(), indices);
  // What is negative is large without a sign.
  for (Value bound : bounds)
    cf::AssertOp::create(
        b, arith::CmpIOp::create(b, arith::CmpIPredicate::ult, page, bound),
        message);
}

namespace {
/// Asserts each rule about sizes.
template <typename OpTy>
struct VerifySizes
    : RuntimeVerifiableOpInterface::ExternalModel<VerifySizes<OpTy>, OpTy> {
  void generateRuntimeVerification(
      Operation *op, OpBuilder &builder, Location loc,
      function_ref<std::string(Operation *, StringRef)> generateMessage) const {
    ImplicitLocOpBuilder b(loc, builder);
    for (const SizeRule &rule : getSizeRules(op)) {
      Value holds = arith::CmpIOp::create(
          b,
          rule.isEqual ? arith::CmpIPredicate::eq : arith::CmpIPredicate::sle,
          evaluate(b, rule.lhs), evaluate(b, rule.rhs));
      cf::AssertOp::create(b, holds, generateMessage(op, rule.message));
    }
    if (auto attention = dyn_cast<AttentionOp>(op))
      if (attention.getPages())
        verifyPages(b, attention,
                    generateMessage(op, "expected 'pages' to be numbers of "
                                        "pages of all that is looked up"));
  }
};

/// Upstream asserts what tensor.extract_slice reads, but not what this writes.
struct VerifyInsertSlice
    : RuntimeVerifiableOpInterface::ExternalModel<VerifyInsertSlice,
                                                  tensor::InsertSliceOp> {
  void generateRuntimeVerification(
      Operation *op, OpBuilder &builder, Location loc,
      function_ref<std::string(Operation *, StringRef)> generateMessage) const {
    auto insert = cast<tensor::InsertSliceOp>(op);
    ImplicitLocOpBuilder b(loc, builder);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    auto valueOf = [&](OpFoldResult number) {
      return getValueOrCreateConstantIndexOp(b, loc, number);
    };
    for (int64_t dim : llvm::seq(insert.getDestType().getRank())) {
      if (!insert.isDynamicOffset(dim) && !insert.isDynamicSize(dim) &&
          !insert.isDynamicStride(dim) &&
          !insert.getDestType().isDynamicDim(dim))
        continue;
      Value offset = valueOf(insert.getMixedOffsets()[dim]);
      Value size = valueOf(insert.getMixedSizes()[dim]);
      Value stride = valueOf(insert.getMixedStrides()[dim]);
      Value bound = tensor::DimOp::create(b, insert.getDest(), dim);
      Value steps = arith::SubIOp::create(b, size, constant(1));
      Value last = arith::AddIOp::create(
          b, offset, arith::MulIOp::create(b, steps, stride));
      // What is negative is large without a sign.
      auto isBelow = [&](Value index) {
        return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, index,
                                     bound);
      };
      Value isWithin = arith::AndIOp::create(b, isBelow(offset), isBelow(last));
      Value isEmpty =
          arith::CmpIOp::create(b, arith::CmpIPredicate::eq, size, constant(0));
      Value holds = arith::OrIOp::create(b, isEmpty, isWithin);
      cf::AssertOp::create(
          b, holds,
          generateMessage(op, "expected the slice to lie within dimension " +
                                  std::to_string(dim) + " of the destination"));
    }
  }
};
} // namespace

void rope::registerRuntimeVerifiableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, RopeDialect *) {
    ApplyOp::attachInterface<VerifySizes<ApplyOp>>(*context);
    TableOp::attachInterface<VerifySizes<TableOp>>(*context);
    AttentionOp::attachInterface<VerifySizes<AttentionOp>>(*context);
    OnlineAttentionOp::attachInterface<VerifySizes<OnlineAttentionOp>>(
        *context);
    // What the checks are made of.
    context->loadDialect<cf::ControlFlowDialect, scf::SCFDialect>();
  });
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::InsertSliceOp::attachInterface<VerifyInsertSlice>(*context);
    context->loadDialect<arith::ArithDialect, cf::ControlFlowDialect>();
  });
}

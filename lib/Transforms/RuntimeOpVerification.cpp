//===- RuntimeOpVerification.cpp - checks of sizes at run time ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rules that verifiers check for static sizes, as assertions for sizes that
// are known only at run time. Inserted by -generate-runtime-verification. So is
// what tensor.insert_slice needs, by which rows go into a cache.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Rope/IR/SizeRules.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
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
    context->loadDialect<cf::ControlFlowDialect>();
  });
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::InsertSliceOp::attachInterface<VerifyInsertSlice>(*context);
    context->loadDialect<arith::ArithDialect, cf::ControlFlowDialect>();
  });
}

//===- RuntimeOpVerification.cpp - checks of sizes at run time ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rules that verifiers check for static sizes, as assertions for sizes that
// are known only at run time. Inserted by -generate-runtime-verification.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeOps.h"
#include "Rope/IR/SizeRules.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
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
}

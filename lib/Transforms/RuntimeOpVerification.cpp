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

namespace {
/// Emits the checks of one operation.
class Checker {
public:
  using GenerateMessage = function_ref<std::string(Operation *, StringRef)>;

  Checker(OpBuilder &builder, Location loc, Operation *op,
          GenerateMessage generateMessage)
      : b(loc, builder), op(op), generateMessage(generateMessage) {}

  Value size(Value value, int64_t dim) {
    if (isa<TensorType>(value.getType()))
      return tensor::DimOp::create(b, value, dim);
    return memref::DimOp::create(b, value, dim);
  }

  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }

  static bool isDynamic(Value value, int64_t dim) {
    return cast<ShapedType>(value.getType()).isDynamicDim(dim);
  }

  static int64_t rank(Value value) {
    return cast<ShapedType>(value.getType()).getRank();
  }

  void check(arith::CmpIPredicate predicate, Value x, Value y,
             const Twine &message) {
    Value holds = arith::CmpIOp::create(b, predicate, x, y);
    cf::AssertOp::create(b, holds, generateMessage(op, message.str()));
  }

  /// The two sizes are equal; nothing where both are static.
  void checkEqual(Value x, int64_t xDim, Value y, int64_t yDim,
                  const Twine &message) {
    if (isDynamic(x, xDim) || isDynamic(y, yDim))
      check(arith::CmpIPredicate::eq, size(x, xDim), size(y, yDim), message);
  }

  void checkSameShape(Value x, Value y, const Twine &message) {
    for (int64_t dim : llvm::seq(rank(x)))
      checkEqual(x, dim, y, dim, message);
  }

  ImplicitLocOpBuilder b;

private:
  Operation *op;
  GenerateMessage generateMessage;
};

struct VerifyApply
    : RuntimeVerifiableOpInterface::ExternalModel<VerifyApply, ApplyOp> {
  void
  generateRuntimeVerification(Operation *op, OpBuilder &builder, Location loc,
                              Checker::GenerateMessage generateMessage) const {
    auto apply = cast<ApplyOp>(op);
    Checker checker(builder, loc, op, generateMessage);
    Value x = apply.getX(), cos = apply.getCos();
    checker.checkSameShape(
        x, apply.getInit(),
        "(apply_c2) expected 'x' and the destination to have one shape");
    checker.checkSameShape(
        cos, apply.getSin(),
        "(apply_c3) expected 'cos' and 'sin' to have one shape");
    for (auto [i, dim] : llvm::enumerate(apply.getPositionDims()))
      checker.checkEqual(cos, i, x, dim,
                         "(apply_c6) expected the tables to have the size of "
                         "the dimension of 'x' they follow");
    int64_t pairsDim = Checker::rank(cos) - 1, headDim = Checker::rank(x) - 1;
    if (!Checker::isDynamic(cos, pairsDim) && !Checker::isDynamic(x, headDim))
      return;
    Value pairs = checker.size(cos, pairsDim), stride = pairs;
    if (apply.getPairStride()) {
      stride = checker.constant(*apply.getPairStride());
      checker.check(arith::CmpIPredicate::sge, stride, pairs,
                    "(apply_c8) expected 'pair_stride' to be at least the "
                    "number of pairs");
    }
    Value end = arith::AddIOp::create(
        checker.b, arith::AddIOp::create(checker.b, pairs, stride),
        checker.constant(apply.getOffset()));
    checker.check(arith::CmpIPredicate::sle, end, checker.size(x, headDim),
                  "(apply_c7) expected all pairs to lie within the head");
  }
};

struct VerifyTable
    : RuntimeVerifiableOpInterface::ExternalModel<VerifyTable, TableOp> {
  void
  generateRuntimeVerification(Operation *op, OpBuilder &builder, Location loc,
                              Checker::GenerateMessage generateMessage) const {
    auto table = cast<TableOp>(op);
    Checker checker(builder, loc, op, generateMessage);
    Value positions = table.getPositions(), cos = table.getCos();
    std::optional<ArrayRef<int64_t>> axes = table.getAxes();
    checker.checkSameShape(
        cos, table.getSin(),
        "(table_c4) expected 'cos' and 'sin' to have one shape");
    for (int64_t dim : llvm::seq(table.getPositionRank()))
      checker.checkEqual(cos, dim, positions, dim + axes.has_value(),
                         "(table_c5) expected the tables to have the sizes of "
                         "the positions");
    checker.checkEqual(cos, table.getPositionRank(), table.getFrequencies(), 0,
                       "(table_c5) expected the tables to have one column for "
                       "each frequency");
    if (!axes)
      return;
    Value pairs = checker.size(cos, table.getPositionRank());
    if (Checker::isDynamic(cos, table.getPositionRank()))
      checker.check(arith::CmpIPredicate::eq, pairs,
                    checker.constant(axes->size()),
                    "(table_c6) expected one of 'axes' for each frequency");
    if (!axes->empty() && Checker::isDynamic(positions, 0))
      checker.check(arith::CmpIPredicate::slt,
                    checker.constant(*llvm::max_element(*axes)),
                    checker.size(positions, 0),
                    "(table_c6) expected 'axes' below the axes of the "
                    "positions");
  }
};

/// Upstream asserts what tensor.extract_slice reads, but not what this writes.
struct VerifyInsertSlice
    : RuntimeVerifiableOpInterface::ExternalModel<VerifyInsertSlice,
                                                  tensor::InsertSliceOp> {
  void
  generateRuntimeVerification(Operation *op, OpBuilder &builder, Location loc,
                              Checker::GenerateMessage generateMessage) const {
    auto insert = cast<tensor::InsertSliceOp>(op);
    Checker checker(builder, loc, op, generateMessage);
    ImplicitLocOpBuilder &b = checker.b;
    auto valueOf = [&](OpFoldResult number) {
      return getValueOrCreateConstantIndexOp(b, loc, number);
    };
    for (int64_t dim : llvm::seq(Checker::rank(insert.getDest()))) {
      if (!insert.isDynamicOffset(dim) && !insert.isDynamicSize(dim) &&
          !insert.isDynamicStride(dim) &&
          !Checker::isDynamic(insert.getDest(), dim))
        continue;
      Value offset = valueOf(insert.getMixedOffsets()[dim]);
      Value size = valueOf(insert.getMixedSizes()[dim]);
      Value stride = valueOf(insert.getMixedStrides()[dim]);
      Value bound = checker.size(insert.getDest(), dim);
      Value steps = arith::SubIOp::create(b, size, checker.constant(1));
      Value last = arith::AddIOp::create(
          b, offset, arith::MulIOp::create(b, steps, stride));
      // What is negative is large without a sign.
      auto isBelow = [&](Value index) {
        return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, index,
                                     bound);
      };
      Value isWithin = arith::AndIOp::create(b, isBelow(offset), isBelow(last));
      Value isEmpty = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, size,
                                            checker.constant(0));
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
    ApplyOp::attachInterface<VerifyApply>(*context);
    TableOp::attachInterface<VerifyTable>(*context);
    // What the checks are made of.
    context->loadDialect<cf::ControlFlowDialect>();
  });
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::InsertSliceOp::attachInterface<VerifyInsertSlice>(*context);
    context->loadDialect<arith::ArithDialect, cf::ControlFlowDialect>();
  });
}

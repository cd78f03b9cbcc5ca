//===- StreamApply.cpp - choose stores past the caches --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Fusion.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/TargetParser/Triple.h"

namespace mlir::rope {
#define GEN_PASS_DEF_STREAMAPPLY
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// A line of the caches, and what is too small a part of one.
static constexpr int64_t kLineBytes = 64, kMinBytes = 32;

/// The outermost loop around `op`, or `op`.
static Operation *getOutermostLoop(Operation *op) {
  Operation *outermost = op;
  for (auto loop = op->getParentOfType<LoopLikeOpInterface>(); loop;
       loop = loop->getParentOfType<LoopLikeOpInterface>())
    outermost = loop;
  return outermost;
}

/// The array in front of `loop` that `value` is a part of, or null.
static Value findArray(Value value, Operation *loop) {
  auto isInside = [&] {
    return loop->isAncestor(value.getParentBlock()->getParentOp());
  };
  while (isInside()) {
    Operation *op = value.getDefiningOp();
    if (!isa_and_present<memref::SubViewOp, memref::CastOp,
                         memref::ExpandShapeOp, memref::CollapseShapeOp>(op))
      return Value();
    value = op->getOperand(0);
  }
  return isa<MemRefType>(value.getType()) ? value : Value();
}

static int64_t getElementBytes(Value array) {
  return getElementTypeOrSelf(array.getType()).getIntOrFloatBitWidth() / 8;
}

namespace {
/// An array when the code runs.
struct Array {
  /// Of its first element, and of all of them.
  Value address, bytes;
  /// The bits that the addresses of its rows have.
  Value bits;

  Array(ImplicitLocOpBuilder &b, Value array) {
    auto metadata = memref::ExtractStridedMetadataOp::create(b, array);
    Value element = arith::ConstantIndexOp::create(b, getElementBytes(array));
    auto times = [&](Value x, Value y) {
      return b.createOrFold<arith::MulIOp>(x, y);
    };
    address = b.createOrFold<arith::AddIOp>(
        memref::ExtractAlignedPointerAsIndexOp::create(
            b, metadata.getBaseBuffer()),
        times(metadata.getOffset(), element));
    bytes = element;
    for (Value size : metadata.getSizes())
      bytes = times(bytes, size);
    bits = address;
    for (Value stride : metadata.getStrides().drop_back())
      bits = b.createOrFold<arith::OrIOp>(bits, times(stride, element));
  }
};
} // namespace

/// Calls `visit` with the arrays of each rotation in `loop`.
static void forEachRotation(Operation *loop,
                            function_ref<void(Value x, Value y)> visit) {
  loop->walk([&](ApplyOp apply) {
    Value x = findArray(apply.getX(), loop);
    Value y = findArray(apply.getInit(), loop);
    // Of two that this pass made of one, one counts.
    if (x && y && !apply->hasAttr(RopeDialect::getStreamingAttrName()))
      visit(x, y);
  });
}

/// The bytes that the rotations in `loop` read and write: twice the smaller
/// array of each, as the other may be a cache of which it is a small part.
static Value buildMovedBytes(ImplicitLocOpBuilder &b, Operation *loop) {
  Value total = arith::ConstantIndexOp::create(b, 0);
  forEachRotation(loop, [&](Value x, Value y) {
    Value smaller =
        b.createOrFold<arith::MinUIOp>(Array(b, x).bytes, Array(b, y).bytes);
    for (int i = 0; i < 2; ++i)
      total = b.createOrFold<arith::AddIOp>(total, smaller);
  });
  return total;
}

/// Whether these bytes are known to be less than `bytes`.
static bool isKnownToMoveLess(Operation *loop, uint64_t bytes) {
  uint64_t most = 0;
  forEachRotation(loop, [&](Value x, Value y) {
    for (Value array : {x, y})
      if (std::optional<int64_t> known = getStaticBytes(array))
        return void(most = llvm::SaturatingAdd<uint64_t>(most, *known, *known));
    most = bytes;
  });
  return most < bytes;
}

/// Why there is nothing to choose for `apply`, or nothing.
static std::optional<std::string> whyPlain(ApplyOp apply, Value x, Value y,
                                           int64_t minBytes) {
  if (!x || !y)
    return "the arrays that it reads and writes are not known";
  auto type = cast<MemRefType>(apply.getInit().getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.empty() ||
      strides.back() != 1)
    return "rows are not contiguous";
  if (ShapedType::isDynamic(type.getShape().back()))
    return "the size of a head is not known";
  if (isKnownToMoveLess(getOutermostLoop(apply), minBytes))
    return "the arrays fit in a cache";
  return std::nullopt;
}

LogicalResult rope::streamApply(RewriterBase &rewriter, ApplyOp apply,
                                int64_t minBytes) {
  StringRef attribute = RopeDialect::getStreamingAttrName();
  StringRef name = "rope-stream-apply";
  if (!apply.getResults().empty() || apply->hasAttr(attribute))
    return failure();
  Location loc = apply.getLoc();
  Operation *outermost = getOutermostLoop(apply);
  Value x = findArray(apply.getX(), outermost);
  Value y = findArray(apply.getInit(), outermost);
  if (std::optional<std::string> why = whyPlain(apply, x, y, minBytes)) {
    reportOther(apply, name, /*wasFused=*/false,
                "stores go through the caches: " + *why);
    return rewriter.notifyMatchFailure(apply, *why);
  }
  int64_t row = cast<MemRefType>(apply.getInit().getType()).getShape().back() *
                getElementBytes(y);
  int64_t alignment = std::min<int64_t>(row & -row, kLineBytes);
  std::string large = "where the loop reads and writes " +
                      std::to_string(minBytes) + " bytes or more";
  bool canStream =
      x != y && apply.getX() != apply.getInit() && alignment >= kMinBytes;
  if (canStream)
    reportOther(apply, name, /*wasFused=*/true,
                "stores go past the caches " + large +
                    ", rows of the result start at multiples of " +
                    Twine(alignment) + " bytes, and x is not written over");
  else
    reportOther(apply, name, /*wasFused=*/true,
                "x is read ahead " + large +
                    "; stores go through the caches: " +
                    (alignment < kMinBytes
                         ? "heads of " + Twine(row) +
                               " bytes are no multiple of " + Twine(kMinBytes)
                         : Twine("it is in place")));

  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(outermost);
  ImplicitLocOpBuilder b(loc, rewriter);
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  Value isLarge =
      arith::CmpIOp::create(b, arith::CmpIPredicate::uge,
                            buildMovedBytes(b, outermost), constant(minBytes));
  Value streams;
  if (canStream) {
    Array source(b, x), target(b, y);
    Value isAligned = arith::CmpIOp::create(
        b, arith::CmpIPredicate::eq,
        arith::AndIOp::create(b, target.bits, constant(alignment - 1)),
        constant(0));
    Value isElsewhere = arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                              source.address, target.address);
    streams = arith::AndIOp::create(
        b, isLarge, arith::AndIOp::create(b, isAligned, isElsewhere));
  }

  rewriter.setInsertionPoint(apply);
  auto branch = scf::IfOp::create(rewriter, loc, isLarge,
                                  /*withElseRegion=*/true);
  rewriter.setInsertionPointToStart(branch.thenBlock());
  if (canStream) {
    auto inner = scf::IfOp::create(rewriter, loc, streams,
                                   /*withElseRegion=*/true);
    rewriter.setInsertionPointToStart(inner.thenBlock());
    rewriter.clone(*apply)->setAttr(attribute,
                                    rewriter.getI64IntegerAttr(alignment));
    rewriter.setInsertionPointToStart(inner.elseBlock());
  }
  rewriter.clone(*apply)->setAttr(attribute, rewriter.getI64IntegerAttr(0));
  rewriter.moveOpBefore(apply, branch.elseBlock(), branch.elseBlock()->begin());
  if (!canStream)
    return success();

  // Others see what went past the caches only after a fence: one for each task.
  if (isa<scf::ForallOp, scf::ParallelOp>(outermost))
    rewriter.setInsertionPoint(outermost->getRegion(0).front().getTerminator());
  else
    rewriter.setInsertionPointAfter(outermost == apply ? branch : outermost);
  auto end = scf::IfOp::create(rewriter, loc, streams,
                               /*withElseRegion=*/false);
  rewriter.setInsertionPointToStart(end.thenBlock());
  LLVM::CallIntrinsicOp::create(rewriter, loc,
                                rewriter.getStringAttr("llvm.x86.sse.sfence"),
                                ValueRange{});
  return success();
}

namespace {
struct StreamApply : rope::impl::StreamApplyBase<StreamApply> {
  using StreamApplyBase::StreamApplyBase;

  void runOnOperation() override {
    auto module = getOperation()->getParentOfType<ModuleOp>();
    auto triple = !module ? StringAttr()
                          : module->getAttrOfType<StringAttr>(
                                LLVM::LLVMDialect::getTargetTripleAttrName());
    if (!triple ||
        llvm::Triple(triple.getValue()).getArch() != llvm::Triple::x86_64)
      return;
    IRRewriter rewriter(&getContext());
    SmallVector<ApplyOp> applies;
    getOperation()->walk([&](ApplyOp apply) { applies.push_back(apply); });
    for (ApplyOp apply : applies)
      (void)streamApply(rewriter, apply, minBytes);
  }
};
} // namespace

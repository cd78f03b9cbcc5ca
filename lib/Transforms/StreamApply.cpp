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

/// A rotation in a loop, and the arrays in front of the loop that it reads and
/// writes parts of, null where they are not known.
struct Rotation {
  ApplyOp apply;
  Value x, y;
};
} // namespace

/// The bytes that rotations read and write: twice the smaller array of each, as
/// the other may be a cache of which it is a small part.
static Value buildMovedBytes(ImplicitLocOpBuilder &b,
                             ArrayRef<Rotation> rotations) {
  Value total = arith::ConstantIndexOp::create(b, 0);
  for (const Rotation &rotation : rotations) {
    if (!rotation.x || !rotation.y)
      continue;
    Value smaller = b.createOrFold<arith::MinUIOp>(Array(b, rotation.x).bytes,
                                                   Array(b, rotation.y).bytes);
    total = b.createOrFold<arith::AddIOp>(total, smaller);
  }
  return b.createOrFold<arith::AddIOp>(total, total);
}

/// Whether these bytes are known to be less than `bytes`.
static bool areKnownToMoveLess(ArrayRef<Rotation> rotations, uint64_t bytes) {
  uint64_t most = 0;
  for (const Rotation &rotation : rotations) {
    if (!rotation.x || !rotation.y)
      continue;
    std::optional<int64_t> known = getStaticBytes(rotation.x);
    if (!known)
      known = getStaticBytes(rotation.y);
    most = llvm::SaturatingAdd<uint64_t>(most, known.value_or(bytes),
                                         known.value_or(bytes));
  }
  return most < bytes;
}

/// Why there is nothing to choose for a rotation, or nothing.
static std::optional<std::string> whyPlain(const Rotation &rotation,
                                           bool areSmall) {
  if (!rotation.x || !rotation.y)
    return "the arrays that it reads and writes are not known";
  ApplyOp apply = rotation.apply;
  auto type = cast<MemRefType>(apply.getInit().getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.empty() ||
      strides.back() != 1)
    return "rows are not contiguous";
  if (ShapedType::isDynamic(type.getShape().back()))
    return "the size of a head is not known";
  if (areSmall)
    return "the arrays fit in a cache";
  return std::nullopt;
}

static constexpr llvm::StringLiteral kPassName = "rope-stream-apply";

/// The loop around `op` whose iterations are tasks, or null.
static Operation *getTaskLoop(Operation *op) {
  Operation *tasks = nullptr;
  for (; op; op = op->getParentOp())
    if (isa<scf::ForallOp, scf::ParallelOp>(op))
      tasks = op;
  return tasks;
}

/// Makes two of a rotation in `loop`. `isLarge` is whether arrays are.
static void streamRotation(RewriterBase &rewriter, const Rotation &rotation,
                           Operation *loop, Value isLarge, int64_t minBytes) {
  ApplyOp apply = rotation.apply;
  Location loc = apply.getLoc();
  int64_t row = cast<MemRefType>(apply.getInit().getType()).getShape().back() *
                getElementBytes(rotation.y);
  int64_t alignment = std::min<int64_t>(row & -row, kLineBytes);
  std::string large = "where the loop reads and writes " +
                      std::to_string(minBytes) + " bytes or more";
  bool canStream = rotation.x != rotation.y &&
                   apply.getX() != apply.getInit() && alignment >= kMinBytes;
  if (canStream)
    reportOther(apply, kPassName, /*wasFused=*/true,
                "stores go past the caches " + large +
                    ", rows of the result start at multiples of " +
                    Twine(alignment) + " bytes, and x is not written over");
  else
    reportOther(apply, kPassName, /*wasFused=*/true,
                "x is read ahead " + large +
                    "; stores go through the caches: " +
                    (alignment < kMinBytes
                         ? "heads of " + Twine(row) +
                               " bytes are no multiple of " + Twine(kMinBytes)
                         : Twine("it is in place")));

  OpBuilder::InsertionGuard guard(rewriter);
  Value condition = isLarge;
  if (canStream) {
    rewriter.setInsertionPoint(loop);
    ImplicitLocOpBuilder b(loc, rewriter);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    Array source(b, rotation.x), target(b, rotation.y);
    Value isAligned = arith::CmpIOp::create(
        b, arith::CmpIPredicate::eq,
        arith::AndIOp::create(b, target.bits, constant(alignment - 1)),
        constant(0));
    Value isElsewhere = arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                              source.address, target.address);
    condition = arith::AndIOp::create(
        b, isLarge, arith::AndIOp::create(b, isAligned, isElsewhere));
  }

  rewriter.setInsertionPoint(apply);
  auto branch = scf::IfOp::create(rewriter, loc, condition,
                                  /*withElseRegion=*/true);
  rewriter.setInsertionPointToStart(branch.thenBlock());
  rewriter.clone(*apply)->setAttr(
      RopeDialect::getStreamingAttrName(),
      rewriter.getI64IntegerAttr(canStream ? alignment : 0));
  rewriter.moveOpBefore(apply, branch.elseBlock(), branch.elseBlock()->begin());
  if (!canStream)
    return;

  // Others see what went past the caches only after a fence by the same thread:
  // at the end of the task, or behind all loops.
  if (Operation *tasks = getTaskLoop(branch))
    rewriter.setInsertionPoint(tasks->getRegion(0).front().getTerminator());
  else
    rewriter.setInsertionPointAfter(loop == apply ? branch : loop);
  auto end = scf::IfOp::create(rewriter, loc, condition,
                               /*withElseRegion=*/false);
  rewriter.setInsertionPointToStart(end.thenBlock());
  LLVM::CallIntrinsicOp::create(rewriter, loc,
                                rewriter.getStringAttr("llvm.x86.sse.sfence"),
                                ValueRange{});
}

LogicalResult rope::streamRotations(RewriterBase &rewriter, Operation *loop,
                                    int64_t minBytes) {
  SmallVector<Rotation> rotations;
  loop->walk([&](ApplyOp apply) {
    if (apply.getResults().empty() &&
        !apply->hasAttr(RopeDialect::getStreamingAttrName()))
      rotations.push_back({apply, findArray(apply.getX(), loop),
                           findArray(apply.getInit(), loop)});
  });
  bool areSmall = areKnownToMoveLess(rotations, minBytes);
  Value isLarge;
  for (const Rotation &rotation : rotations) {
    if (std::optional<std::string> why = whyPlain(rotation, areSmall)) {
      reportOther(rotation.apply, kPassName, /*wasFused=*/false,
                  "stores go through the caches: " + *why);
      continue;
    }
    if (!isLarge) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPoint(loop);
      ImplicitLocOpBuilder b(loop->getLoc(), rewriter);
      isLarge = arith::CmpIOp::create(
          b, arith::CmpIPredicate::uge, buildMovedBytes(b, rotations),
          arith::ConstantIndexOp::create(b, minBytes));
    }
    streamRotation(rewriter, rotation, loop, isLarge, minBytes);
  }
  return success(bool(isLarge));
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
    llvm::SetVector<Operation *> loops;
    getOperation()->walk(
        [&](ApplyOp apply) { loops.insert(getOutermostLoop(apply)); });
    for (Operation *loop : loops)
      (void)streamRotations(rewriter, loop, minBytes);
  }
};
} // namespace

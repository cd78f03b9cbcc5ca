//===- Fusion.cpp - what the fusion passes report -------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Fusion.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace mlir::rope;

std::optional<int64_t> rope::getStaticBytes(Value value) {
  auto type = cast<ShapedType>(value.getType());
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return std::nullopt;
  std::optional<int64_t> bytes =
      llvm::divideCeil(type.getElementType().getIntOrFloatBitWidth(), 8);
  for (int64_t size : type.getShape())
    if (bytes)
      bytes = llvm::checkedMul(*bytes, size);
  return bytes;
}

TableOp rope::findOwnTable(ArrayRef<ApplyOp> group) {
  ApplyOp first = group.front();
  auto table = first.getCos().getDefiningOp<TableOp>();
  // A table in front of a loop is made once for all of its rounds.
  bool isOwn = table && !first.getResults().empty() &&
               table->getBlock() == first->getBlock() &&
               first.getCos() == table->getResult(0) &&
               first.getSin() == table->getResult(1) &&
               llvm::all_of(table->getUsers(), [&](Operation *user) {
                 auto apply = dyn_cast<ApplyOp>(user);
                 return apply && llvm::is_contained(group, apply);
               });
  return isOwn ? table : TableOp();
}

static remark::RemarkOpts options(StringRef event, Operation *op,
                                  StringRef name) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  return remark::RemarkOpts::name(event).category(name).function(
      function ? function.getName() : StringRef());
}

static constexpr llvm::StringLiteral kFolded = "rope.folded";

void rope::markFolded(ApplyOp rotation) {
  rotation->setAttr(kFolded, UnitAttr::get(rotation.getContext()));
}

bool rope::isFolded(Operation *rotation) { return rotation->hasAttr(kFolded); }

void rope::reportFused(const FusionCandidate &candidate, StringRef name) {
  ApplyOp rotation = candidate.rotation;
  remark::detail::InFlightRemark remark =
      remark::passed(rotation->getLoc(), options("fused", rotation, name));
  remark << "rotation folded into "
         << candidate.target->getName().getStringRef();
  if (candidate.bytesSaved)
    remark << remark::metric("bytesSaved", *candidate.bytesSaved);
}

void rope::reportLeft(Operation *rotation, StringRef name,
                      const Twine &reason) {
  if (isFolded(rotation))
    return;
  remark::missed(rotation->getLoc(), options("left", rotation, name))
      << "rotation left: " << reason.str();
}

void rope::reportOther(Operation *op, StringRef name, bool wasFused,
                       const Twine &what) {
  remark::detail::InFlightRemark remark =
      wasFused ? remark::passed(op->getLoc(), options("fused", op, name))
               : remark::missed(op->getLoc(), options("left", op, name));
  remark << what.str();
}

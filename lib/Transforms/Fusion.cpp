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
  if (rotation->hasAttr(kFolded))
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

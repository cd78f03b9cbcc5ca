//===- Nano.cpp - the dialect of a small compiler -------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Nano.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "NanoDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "NanoAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "NanoOps.cpp.inc"

void nano::NanoDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "NanoAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "NanoOps.cpp.inc"
      >();
}

SmallVector<long double> nano::StretchAttr::scale(ArrayRef<long double> w,
                                                  std::optional<double>) const {
  SmallVector<long double> scaled(w);
  for (long double &frequency : MutableArrayRef(scaled).drop_front(getFirst()))
    frequency /= getFactor().getValueAsDouble();
  return scaled;
}

Value nano::StretchAttr::buildScale(OpBuilder &b, Location loc, Value w,
                                    Value) const {
  auto type = cast<RankedTensorType>(w.getType());
  SmallVector<double> divisors(type.getNumElements(), 1.0);
  for (double &divisor : MutableArrayRef(divisors).drop_front(getFirst()))
    divisor = getFactor().getValueAsDouble();
  Value constant = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(type, ArrayRef(divisors)));
  return arith::DivFOp::create(b, loc, w, constant);
}

LogicalResult
nano::StretchAttr::verifyScaling(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t n) const {
  if (getFirst() >= 0 && getFirst() <= n)
    return success();
  return emitError() << "expected the first pair to be one of " << n
                     << ", but got " << getFirst();
}

//===- RopeDialect.cpp - dialect registration -----------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Bytecode.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::rope;

#include "Rope/IR/RopeDialect.cpp.inc"
#include "Rope/IR/RopeEnums.cpp.inc"
#include "Rope/IR/RopeInterfaces.cpp.inc"

static FailureOr<DenseF64ArrayAttr> parseNumbers(AsmParser &parser) {
  SmallVector<double> numbers;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parser.parseFloat(numbers.emplace_back());
      }))
    return failure();
  return DenseF64ArrayAttr::get(parser.getContext(), numbers);
}

/// Prints numbers with as many digits as it takes to read them back.
static void printNumbers(AsmPrinter &printer, DenseF64ArrayAttr numbers) {
  printer << "[";
  llvm::interleaveComma(numbers.asArrayRef(), printer, [&](double number) {
    printer.printFloat(APFloat(number));
  });
  printer << "]";
}

#define GET_ATTRDEF_CLASSES
#include "Rope/IR/RopeAttrs.cpp.inc"

namespace {
/// The operations have no regions and depend on nothing around them, so that
/// functions that hold them may be inlined anywhere.
struct RopeInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;

  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const final {
    return true;
  }
};
} // namespace

void RopeDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "Rope/IR/RopeAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "Rope/IR/RopeOps.cpp.inc"
      >();
  addInterfaces<RopeBytecodeInterface, RopeInlinerInterface>();
}

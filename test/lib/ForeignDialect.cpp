//===- ForeignDialect.cpp - a scaling rule of another project -------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The dialect `foreign` has one attribute, `#foreign.golden`, which divides the
// frequency of pair i by the i-th power of the golden ratio. It shares a
// process with libRope.so and nothing else of this project.
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include <cmath>

using namespace mlir;

namespace {
class GoldenAttr
    : public Attribute::AttrBase<GoldenAttr, Attribute, AttributeStorage,
                                 rope::ScalingAttrInterface::Trait> {
public:
  using Base::Base;
  static constexpr StringLiteral name = "foreign.golden";

  SmallVector<long double> scale(ArrayRef<long double> w,
                                 std::optional<double>) const {
    return llvm::map_to_vector(llvm::enumerate(w), [](auto pair) {
      return pair.value() * power(pair.index());
    });
  }

  Value buildScale(OpBuilder &b, Location loc, Value w, Value) const {
    auto type = cast<RankedTensorType>(w.getType());
    SmallVector<double> powers;
    for (int64_t i = 0; i < type.getDimSize(0); ++i)
      powers.push_back(power(i));
    Value factors = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(type, ArrayRef<double>(powers)));
    return arith::MulFOp::create(b, loc, w, factors);
  }

  LogicalResult verifyScaling(function_ref<InFlightDiagnostic()> emitError,
                              int64_t n) const {
    if (n < 100)
      return success();
    return emitError() << "expected fewer than 100 frequencies, but got " << n;
  }

private:
  static long double power(int64_t i) {
    return std::pow((1 + std::sqrt(5.0L)) / 2, -(long double)i);
  }
};

class ForeignDialect : public Dialect {
public:
  static StringRef getDialectNamespace() { return "foreign"; }

  explicit ForeignDialect(MLIRContext *context)
      : Dialect(getDialectNamespace(), context, TypeID::get<ForeignDialect>()) {
    addAttributes<GoldenAttr>();
  }

  Attribute parseAttribute(DialectAsmParser &parser, Type) const override {
    if (parser.parseKeyword("golden"))
      return {};
    return GoldenAttr::get(getContext());
  }

  void printAttribute(Attribute, DialectAsmPrinter &printer) const override {
    printer << "golden";
  }

  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ForeignDialect)
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {
      MLIR_PLUGIN_API_VERSION, "foreign", "0",
      [](DialectRegistry *registry) { registry->insert<ForeignDialect>(); }};
}

//===- HFConfig.cpp - import of Hugging Face configurations ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Import/HFConfig.h"

#include "CheckedJSON.h"
#include "HFRotation.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace mlir::rope;

namespace {
/// Builds the functions of one kind of layer.
class FunctionBuilder {
public:
  FunctionBuilder(ModuleOp module, const HFRotation &rotation,
                  FloatType elementType)
      : b(module.getLoc(), OpBuilder::atBlockEnd(module.getBody())),
        rotation(rotation), elementType(elementType) {}

  void buildTable();
  void buildApply();

private:
  struct Tables {
    Value cos, sin;
    SmallVector<Value> sizes; ///< of the position dimensions
  };

  RankedTensorType tensorOf(ArrayRef<int64_t> sizes, Type element) {
    return RankedTensorType::get(sizes, element);
  }
  /// Positions of `rank` dynamic dimensions, behind that of the axes.
  RankedTensorType positionsType(int64_t rank) {
    SmallVector<int64_t> sizes(rank, ShapedType::kDynamic);
    if (rotation.axisCount)
      sizes.insert(sizes.begin(), rotation.axisCount);
    return tensorOf(sizes, b.getI64Type());
  }

  /// A public function; the builder is left in its body. The length, where
  /// there is one, follows `arguments`.
  func::FuncOp beginFunction(StringRef name, ArrayRef<Type> arguments,
                             ArrayRef<Type> results);
  SmallVector<Value> dynamicSizes(Value tensor, int64_t first, int64_t count);
  Value buildFrequencies(Value length);
  Tables buildTables(Value positions, Value length);
  Value scaleByLength(Value table, Value length);
  Value placeColumns(Value table, double rest, ArrayRef<Value> sizes);

  ImplicitLocOpBuilder b;
  const HFRotation &rotation;
  FloatType elementType;
};
} // namespace

func::FuncOp FunctionBuilder::beginFunction(StringRef name,
                                            ArrayRef<Type> arguments,
                                            ArrayRef<Type> results) {
  SmallVector<Type> inputs(arguments);
  if (rotation.readsLength())
    inputs.push_back(b.getI64Type());
  auto function = func::FuncOp::create(b, (name + rotation.suffix).str(),
                                       b.getFunctionType(inputs, results));
  b.setInsertionPointToStart(function.addEntryBlock());
  return function;
}

SmallVector<Value> FunctionBuilder::dynamicSizes(Value tensor, int64_t first,
                                                 int64_t count) {
  SmallVector<Value> sizes;
  for (int64_t i = first; i < first + count; ++i)
    sizes.push_back(tensor::DimOp::create(b, tensor, i));
  return sizes;
}

Value FunctionBuilder::buildFrequencies(Value length) {
  RankedTensorType type = tensorOf(rotation.pairs, b.getF64Type());
  Value frequencies = FrequenciesOp::create(
      b, type, b.getF64FloatAttr(rotation.base),
      rotation.dimension ? b.getI64IntegerAttr(*rotation.dimension)
                         : IntegerAttr(),
      ElementsAttr());
  if (!rotation.scaling)
    return frequencies;
  return ScaleFrequenciesOp::create(
      b, type, frequencies, rotation.scaling,
      rotation.scaling.isLengthDependent() ? length : Value());
}

/// Tables of the pairs that turn, in f32.
FunctionBuilder::Tables FunctionBuilder::buildTables(Value positions,
                                                     Value length) {
  Value frequencies = buildFrequencies(length);
  int64_t leading = rotation.axisCount ? 1 : 0;
  int64_t rank =
      cast<RankedTensorType>(positions.getType()).getRank() - leading;
  SmallVector<Value> sizes = dynamicSizes(positions, leading, rank);
  SmallVector<int64_t> shape(rank, ShapedType::kDynamic);
  shape.push_back(rotation.pairs);
  Value cos = tensor::EmptyOp::create(b, shape, b.getF32Type(), sizes);
  Value sin = tensor::EmptyOp::create(b, shape, b.getF32Type(), sizes);
  // A factor that depends on the length is not the table's own.
  auto table = TableOp::create(
      b, TypeRange{cos.getType(), sin.getType()}, positions, frequencies, cos,
      sin, b.getF64FloatAttr(rotation.longMagnitude ? 1.0 : rotation.magnitude),
      rotation.axisCount ? b.getDenseI64ArrayAttr(rotation.axes)
                         : DenseI64ArrayAttr(),
      PrecisionAttr::get(b.getContext(), Precision::exact));
  if (!rotation.longMagnitude)
    return {table.getResult(0), table.getResult(1), sizes};
  return {scaleByLength(table.getResult(0), length),
          scaleByLength(table.getResult(1), length), sizes};
}

/// Multiplies a table by the factor for `length`.
Value FunctionBuilder::scaleByLength(Value table, Value length) {
  Value limit =
      arith::ConstantOp::create(b, b.getI64IntegerAttr(rotation.longFrom));
  Value isLong =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, length, limit);
  Value ofLong =
      arith::ConstantOp::create(b, b.getF32FloatAttr(*rotation.longMagnitude));
  Value ofShort =
      arith::ConstantOp::create(b, b.getF32FloatAttr(rotation.magnitude));
  Value factor = arith::SelectOp::create(b, isLong, ofLong, ofShort);
  auto type = cast<RankedTensorType>(table.getType());
  AffineMap map = b.getMultiDimIdentityMap(type.getRank());
  return linalg::GenericOp::create(
             b, TypeRange{type}, ValueRange{}, ValueRange{table},
             ArrayRef<AffineMap>{map},
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               Value product =
                   arith::MulFOp::create(nested, loc, args[0], factor);
               linalg::YieldOp::create(nested, loc, product);
             })
      .getResult(0);
}

/// A table of all columns, `rest` in those of the pairs that do not turn.
Value FunctionBuilder::placeColumns(Value table, double rest,
                                    ArrayRef<Value> sizes) {
  auto type = cast<RankedTensorType>(table.getType());
  Value empty = tensor::EmptyOp::create(
      b, ArrayRef<int64_t>{ShapedType::kDynamic, rotation.columns},
      type.getElementType(), sizes);
  Value value = arith::ConstantOp::create(b, b.getF32FloatAttr(rest));
  Value filled = linalg::FillOp::create(b, ValueRange{value}, ValueRange{empty})
                     .getResult(0);
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  return tensor::InsertSliceOp::create(
      b, table, filled, ArrayRef<OpFoldResult>{zero, zero},
      ArrayRef<OpFoldResult>{sizes[0], b.getIndexAttr(rotation.pairs)},
      ArrayRef<OpFoldResult>{one, one});
}

void FunctionBuilder::buildTable() {
  OpBuilder::InsertionGuard guard(b);
  RankedTensorType result =
      tensorOf({ShapedType::kDynamic, rotation.columns}, b.getF32Type());
  func::FuncOp function =
      beginFunction("rope_table", positionsType(1), {result, result});
  Value positions = function.getArgument(0);
  Value length = rotation.readsLength() ? function.getArgument(1) : Value();
  auto [cos, sin, sizes] = buildTables(positions, length);
  if (rotation.columns != rotation.pairs) {
    cos = placeColumns(cos, rotation.magnitude, sizes);
    sin = placeColumns(sin, 0.0, sizes);
  }
  func::ReturnOp::create(b, ValueRange{cos, sin});
}

void FunctionBuilder::buildApply() {
  OpBuilder::InsertionGuard guard(b);
  RankedTensorType type = tensorOf({ShapedType::kDynamic, ShapedType::kDynamic,
                                    rotation.heads, rotation.headDim},
                                   elementType);
  func::FuncOp function =
      beginFunction("rope_apply", {type, positionsType(2)}, type);
  Value x = function.getArgument(0);
  Value length = rotation.readsLength() ? function.getArgument(2) : Value();
  Tables tables = buildTables(function.getArgument(1), length);
  Value init = tensor::EmptyOp::create(b, type.getShape(), elementType,
                                       dynamicSizes(x, 0, 2));
  auto apply = ApplyOp::create(
      b, TypeRange{type}, x, tables.cos, tables.sin, init,
      PairingAttr::get(b.getContext(), rotation.pairing),
      b.getDenseI64ArrayAttr({0, 1}), b.getI64IntegerAttr(rotation.offset),
      rotation.pairStride ? b.getI64IntegerAttr(*rotation.pairStride)
                          : IntegerAttr(),
      /*result_pairing=*/PairingAttr(),
      rotation.reversed ? b.getUnitAttr() : UnitAttr());
  func::ReturnOp::create(b, apply.getResults());
}

void rope::registerHFConfigDialects(DialectRegistry &registry) {
  registry.insert<RopeDialect, arith::ArithDialect, func::FuncDialect,
                  linalg::LinalgDialect, tensor::TensorDialect>();
}

OwningOpRef<ModuleOp> rope::importHFConfig(MLIRContext *context, StringRef json,
                                           StringRef fileName,
                                           const HFImportOptions &options) {
  DialectRegistry registry;
  registerHFConfigDialects(registry);
  context->appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    context->getOrLoadDialect(name);

  Location loc = FileLineColLoc::get(context, fileName, 0, 0);
  if (json.size() > maxHFConfigBytes) {
    emitError(loc) << "expected at most " << maxHFConfigBytes
                   << " bytes, but got " << json.size();
    return nullptr;
  }
  FailureOr<llvm::json::Value> value =
      parseCheckedJSON(context, json, fileName);
  if (failed(value))
    return nullptr;
  const llvm::json::Object *root = value->getAsObject();
  if (!root) {
    emitError(loc) << "expected a JSON object";
    return nullptr;
  }
  FailureOr<HFRotations> rotations = readHFRotations(loc, *root, options.dtype);
  if (failed(rotations))
    return nullptr;

  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  for (const HFRotation &rotation : rotations->kinds) {
    FunctionBuilder functions(*module, rotation, rotations->elementType);
    functions.buildTable();
    functions.buildApply();
    // A function named `attention` + suffix is to follow these two.
  }
  if (failed(verify(*module)))
    return nullptr;
  return module;
}

void rope::registerHFConfigTranslation() {
  static llvm::cl::opt<std::string> dtype(
      "dtype",
      llvm::cl::desc("Element type of queries and keys, where it is not to be "
                     "the configuration's: f32, bf16 or f16"),
      llvm::cl::value_desc("type"));
  static TranslateToMLIRRegistration registration(
      "import-hf-config", "a Hugging Face config.json to the rope dialect",
      [](llvm::SourceMgr &sourceMgr, MLIRContext *context) {
        const llvm::MemoryBuffer *buffer =
            sourceMgr.getMemoryBuffer(sourceMgr.getMainFileID());
        HFImportOptions options;
        options.dtype = dtype;
        return OwningOpRef<Operation *>(
            importHFConfig(context, buffer->getBuffer(),
                           buffer->getBufferIdentifier(), options)
                .release());
      },
      registerHFConfigDialects);
}

//===- HFConfig.cpp - import of Hugging Face configurations ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Import/HFConfig.h"

#include "CheckedJSON.h"
#include "HFRotation.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/SourceMgr.h"
#include <limits>

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
  void buildAttention();

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
  RankedTensorType headsType(int64_t heads, int64_t channels);
  Value buildRotation(Value x, const Tables &tables, bool inverse = false);
  RotationAttr rotationAttr();
  Value buildTemperature(Value positions);
  void buildScoreRegion(Region &region, bool hasTemperature);

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

RankedTensorType FunctionBuilder::headsType(int64_t heads, int64_t channels) {
  return tensorOf({ShapedType::kDynamic, ShapedType::kDynamic, heads, channels},
                  elementType);
}

/// Rotates `x`, of the type of heads.
Value FunctionBuilder::buildRotation(Value x, const Tables &tables,
                                     bool inverse) {
  auto type = cast<RankedTensorType>(x.getType());
  Value init = tensor::EmptyOp::create(b, type.getShape(), elementType,
                                       dynamicSizes(x, 0, 2));
  return ApplyOp::create(
             b, TypeRange{type}, x, tables.cos, tables.sin, init,
             PairingAttr::get(b.getContext(), rotation.pairing),
             b.getDenseI64ArrayAttr({0, 1}),
             b.getI64IntegerAttr(rotation.offset),
             rotation.pairStride ? b.getI64IntegerAttr(*rotation.pairStride)
                                 : IntegerAttr(),
             /*result_pairing=*/PairingAttr(),
             rotation.reversed != inverse ? b.getUnitAttr() : UnitAttr())
      ->getResult(0);
}

/// The rotation as attention has it, which rounds nothing that it rotates.
RotationAttr FunctionBuilder::rotationAttr() {
  return RotationAttr::get(b.getContext(), rotation.pairing,
                           b.getDenseI64ArrayAttr({0, 1}), rotation.offset,
                           rotation.pairStride,
                           /*result_pairing=*/std::nullopt, rotation.reversed,
                           /*angles=*/AnglesAttr());
}

void FunctionBuilder::buildApply() {
  OpBuilder::InsertionGuard guard(b);
  RankedTensorType type = headsType(rotation.heads, rotation.headDim);
  func::FuncOp function =
      beginFunction("rope_apply", {type, positionsType(2)}, type);
  Value length = rotation.readsLength() ? function.getArgument(2) : Value();
  Tables tables = buildTables(function.getArgument(1), length);
  func::ReturnOp::create(b, buildRotation(function.getArgument(0), tables));
}

/// The factor of the scores at each position, in f32.
Value FunctionBuilder::buildTemperature(Value positions) {
  const HFAttention::Temperature &temperature =
      *rotation.attention->temperature;
  auto type = tensorOf(cast<RankedTensorType>(positions.getType()).getShape(),
                       b.getF32Type());
  Value init = tensor::EmptyOp::create(b, type.getShape(), b.getF32Type(),
                                       dynamicSizes(positions, 0, 2));
  AffineMap map = b.getMultiDimIdentityMap(type.getRank());
  return linalg::GenericOp::create(
             b, TypeRange{type}, ValueRange{positions}, ValueRange{init},
             ArrayRef<AffineMap>{map, map},
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               ImplicitLocOpBuilder b(loc, nested);
               auto integer = [&](int64_t value) -> Value {
                 return arith::ConstantOp::create(b,
                                                  b.getI64IntegerAttr(value));
               };
               auto number = [&](double value) -> Value {
                 return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
               };
               // Below zero as at zero.
               Value position = arith::MaxSIOp::create(b, args[0], integer(0));
               Value shifted = arith::AddIOp::create(
                   b, position, integer(temperature.shift));
               Value periods = arith::DivSIOp::create(
                   b, shifted, integer(temperature.period));
               Value whole =
                   arith::SIToFPOp::create(b, b.getF32Type(), periods);
               Value log = math::LogOp::create(
                   b, arith::AddFOp::create(b, whole, number(1.0)));
               Value factor = arith::AddFOp::create(
                   b, arith::MulFOp::create(b, log, number(temperature.weight)),
                   number(1.0));
               linalg::YieldOp::create(b, factor);
             })
      .getResult(0);
}

/// What happens to a score: nothing, or the temperature, the soft-cap and the
/// mask of keys that are too far away on either side.
void FunctionBuilder::buildScoreRegion(Region &region, bool hasTemperature) {
  const HFAttention &attention = *rotation.attention;
  if (!hasTemperature && !attention.softCap && !attention.radius)
    return;
  OpBuilder::InsertionGuard guard(b);
  Type index = b.getIndexType(), f32 = b.getF32Type();
  SmallVector<Type> types = {f32, index, index, index, index};
  if (hasTemperature)
    types.push_back(f32);
  Block *block = b.createBlock(&region, region.end(), types,
                               SmallVector<Location>(types.size(), b.getLoc()));
  auto number = [&](float value) -> Value {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  };
  Value score = block->getArgument(0);
  if (hasTemperature)
    score = arith::MulFOp::create(b, score, block->getArgument(5));
  if (attention.softCap) {
    Value cap = number(*attention.softCap);
    Value ratio = arith::DivFOp::create(b, score, cap);
    score = arith::MulFOp::create(b, math::TanhOp::create(b, ratio), cap);
  }
  if (attention.radius) {
    Value query = block->getArgument(3), key = block->getArgument(4);
    Value radius = arith::ConstantIndexOp::create(b, *attention.radius);
    Value behind =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                              arith::SubIOp::create(b, query, key), radius);
    Value ahead =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                              arith::SubIOp::create(b, key, query), radius);
    Value isVisible = arith::AndIOp::create(b, behind, ahead);
    score = arith::SelectOp::create(
        b, isVisible, score, number(-std::numeric_limits<float>::infinity()));
  }
  YieldOp::create(b, score);
}

void FunctionBuilder::buildAttention() {
  OpBuilder::InsertionGuard guard(b);
  const HFAttention &attention = *rotation.attention;
  RankedTensorType queryType = headsType(rotation.heads, rotation.headDim);
  RankedTensorType keyType = headsType(attention.keyHeads, rotation.headDim);
  RankedTensorType valueType =
      headsType(attention.keyHeads, attention.valueDim);
  RankedTensorType resultType = headsType(rotation.heads, attention.valueDim);
  SmallVector<Type> arguments = {queryType, keyType, valueType,
                                 positionsType(2)};
  if (attention.sinks)
    arguments.push_back(tensorOf(rotation.heads, elementType));
  func::FuncOp function = beginFunction("attention", arguments, resultType);
  Value value = function.getArgument(2), positions = function.getArgument(3);
  Value sinks = attention.sinks ? function.getArgument(4) : Value();
  Value length =
      rotation.readsLength() ? function.getArguments().back() : Value();

  Tables tables;
  RotationAttr turn;
  SmallVector<Value> cosSin;
  if (rotation.rotates) {
    tables = buildTables(positions, length);
    turn = rotationAttr();
    cosSin = {tables.cos, tables.sin};
    if (attention.valuesTurn)
      value = buildRotation(value, tables);
  }

  auto loop = [&](Loop loop) {
    return b.getAffineDimExpr(static_cast<unsigned>(loop));
  };
  auto map = [&](ArrayRef<AffineExpr> results) {
    return AffineMap::get(kNumLoops, 0, results, b.getContext());
  };
  AffineExpr batch = loop(Loop::batch), head = loop(Loop::head);
  AffineExpr keyHead = head.floorDiv(rotation.heads / attention.keyHeads);
  SmallVector<AffineMap> maps = {
      map({batch, loop(Loop::query), head, loop(Loop::channel)}),
      map({batch, loop(Loop::key), keyHead, loop(Loop::channel)}),
      map({batch, loop(Loop::key), keyHead, loop(Loop::valueChannel)})};
  SmallVector<Value> scoreOperands;
  if (attention.temperature) {
    scoreOperands.push_back(buildTemperature(positions));
    maps.push_back(map({batch, loop(Loop::query)}));
  }
  maps.push_back(
      map({batch, loop(Loop::query), head, loop(Loop::valueChannel)}));

  auto optional = [&](std::optional<int64_t> number) {
    return number ? b.getI64IntegerAttr(*number) : IntegerAttr();
  };
  Value init =
      tensor::EmptyOp::create(b, resultType.getShape(), elementType,
                              dynamicSizes(function.getArgument(0), 0, 2));
  auto op = AttentionOp::create(
      b, TypeRange{resultType}, function.getArgument(0),
      function.getArgument(1), value, /*key_scales=*/Value(),
      /*value_scales=*/Value(), /*pages=*/Value(), scoreOperands,
      /*query_offset=*/Value(), /*lengths=*/Value(), sinks, cosSin, cosSin,
      init, b.getAffineMapArrayAttr(maps), b.getF64FloatAttr(attention.scale),
      attention.causal ? b.getUnitAttr() : UnitAttr(),
      optional(attention.window), optional(attention.chunk), turn, turn);
  buildScoreRegion(op.getRegion(), attention.temperature.has_value());
  Value result = op.getResult(0);
  if (attention.valuesTurn)
    result = buildRotation(result, tables, /*inverse=*/true);
  func::ReturnOp::create(b, result);
}

void rope::registerHFConfigDialects(DialectRegistry &registry) {
  registry.insert<RopeDialect, arith::ArithDialect, func::FuncDialect,
                  linalg::LinalgDialect, math::MathDialect,
                  tensor::TensorDialect>();
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
    if (rotation.rotates) {
      functions.buildTable();
      functions.buildApply();
    }
    if (rotation.attention)
      functions.buildAttention();
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

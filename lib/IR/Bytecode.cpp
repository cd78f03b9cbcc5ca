//===- Bytecode.cpp - versions of the rope dialect in files ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bytecode.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Bytecode/Encoding.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include <tuple>

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// Versions
//===----------------------------------------------------------------------===//

std::string Release::text() const {
  return llvm::join(
      llvm::map_range(numbers,
                      [](uint64_t number) { return std::to_string(number); }),
      ".");
}

void RopeBytecodeInterface::writeVersion(DialectBytecodeWriter &writer) const {
  for (uint64_t number : version.numbers)
    writer.writeVarInt(number);
}

std::unique_ptr<DialectVersion>
RopeBytecodeInterface::readVersion(DialectBytecodeReader &reader) const {
  Release::Numbers numbers;
  for (uint64_t &number : numbers)
    if (failed(reader.readVarInt(number)))
      return nullptr;
  auto written = std::make_unique<Release>(numbers);
  if (numbers <= version.numbers)
    return written;
  reader.emitError() << "this file holds version " << written->text()
                     << " of the rope dialect, but this rope-mlir reads "
                     << "versions up to " << version.text()
                     << ": read it with rope-mlir " << written->text()
                     << " or a later release";
  return nullptr;
}

LogicalResult
RopeBytecodeInterface::upgradeFromVersion(Operation *root,
                                          const DialectVersion &written) const {
  for (const Upgrade &upgrade : upgrades)
    if (static_cast<const Release &>(written).numbers < upgrade.release &&
        upgrade.changeOperations)
      upgrade.changeOperations(root);
  return success();
}

/// Reads the parts of an operation or attribute as this release has them.
static LogicalResult readParts(DialectBytecodeReader &reader, StringRef name,
                               NamedAttrList &parts) {
  FailureOr<const DialectVersion *> written =
      reader.getDialectVersion<RopeDialect>();
  if (failed(written))
    return reader.emitError()
           << "this file holds no version of the rope dialect, so it is from "
              "before release 0.1.0: write it again from its text";
  DictionaryAttr dictionary;
  if (failed(reader.readAttribute(dictionary)))
    return failure();
  parts = dictionary;
  const auto &interface = static_cast<const RopeBytecodeInterface &>(
      *reader.getContext()
           ->getLoadedDialect<RopeDialect>()
           ->getRegisteredInterface<BytecodeDialectInterface>());
  for (const Upgrade &upgrade : interface.upgrades)
    if (static_cast<const Release *>(*written)->numbers < upgrade.release &&
        upgrade.changeParts)
      upgrade.changeParts(name, parts);
  return success();
}

/// A part that this release does not know would be lost.
static LogicalResult refuseOthers(DialectBytecodeReader &reader, StringRef name,
                                  const NamedAttrList &parts,
                                  function_ref<bool(StringRef)> isKnown) {
  for (NamedAttribute part : parts)
    if (!isKnown(part.getName()))
      return reader.emitError() << "'" << name << "' has no part '"
                                << part.getName().getValue() << "'";
  return success();
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

template <typename OpT>
static LogicalResult readOperation(DialectBytecodeReader &reader,
                                   OperationState &state) {
  StringRef name = OpT::getOperationName();
  NamedAttrList parts;
  auto isKnown = [](StringRef part) {
    return llvm::is_contained(OpT::getAttributeNames(), part);
  };
  if (failed(readParts(reader, name, parts)) ||
      failed(refuseOthers(reader, name, parts, isKnown)))
    return failure();
  auto &properties = state.getOrAddProperties<typename OpT::Properties>();
  return OpT::setPropertiesFromAttr(
      properties, parts.getDictionary(reader.getContext()),
      [&] { return reader.emitError() << "'" << name << "' "; });
}

#define ROPE_BYTECODE_BY_NAME(OpT)                                             \
  LogicalResult OpT::readProperties(DialectBytecodeReader &reader,             \
                                    OperationState &state) {                   \
    return readOperation<OpT>(reader, state);                                  \
  }                                                                            \
  void OpT::writeProperties(DialectBytecodeWriter &writer) {                   \
    writer.writeAttribute((*this)->getPropertiesAsAttribute());                \
  }

ROPE_BYTECODE_BY_NAME(FrequenciesOp)
ROPE_BYTECODE_BY_NAME(ScaleFrequenciesOp)
ROPE_BYTECODE_BY_NAME(TableOp)
ROPE_BYTECODE_BY_NAME(ApplyOp)
ROPE_BYTECODE_BY_NAME(AttentionOp)
ROPE_BYTECODE_BY_NAME(OnlineAttentionOp)

//===----------------------------------------------------------------------===//
// Values of parameters
//===----------------------------------------------------------------------===//

// As attributes of the builtin dialect or this one; null is absent.

template <typename T>
static std::enable_if_t<std::is_base_of_v<Attribute, T>, Attribute>
toPart(Builder &, T value) {
  return value;
}
static Attribute toPart(Builder &b, bool value) { return b.getBoolAttr(value); }
static Attribute toPart(Builder &b, int64_t value) {
  return b.getI64IntegerAttr(value);
}
static Attribute toPart(Builder &b, Pairing value) {
  return b.getStringAttr(stringifyPairing(value));
}
static Attribute toPart(Builder &b, Precision value) {
  return b.getStringAttr(stringifyPrecision(value));
}
template <typename T>
static Attribute toPart(Builder &b, std::optional<T> value) {
  return value ? toPart(b, *value) : Attribute();
}

template <typename T>
static std::enable_if_t<std::is_base_of_v<Attribute, T>, bool>
fromPart(Attribute part, T &value) {
  return (value = dyn_cast<T>(part)) != nullptr;
}
static bool fromPart(Attribute part, bool &value) {
  auto attr = dyn_cast<BoolAttr>(part);
  return attr && (value = attr.getValue(), true);
}
static bool fromPart(Attribute part, int64_t &value) {
  auto attr = dyn_cast<IntegerAttr>(part);
  return attr && attr.getType().isSignlessInteger(64) &&
         (value = attr.getInt(), true);
}
template <typename T>
static bool fromSymbol(Attribute part, T &value) {
  auto attr = dyn_cast<StringAttr>(part);
  std::optional<T> known =
      attr ? symbolizeEnum<T>(attr.getValue()) : std::nullopt;
  return known && (value = *known, true);
}
static bool fromPart(Attribute part, Pairing &value) {
  return fromSymbol(part, value);
}
static bool fromPart(Attribute part, Precision &value) {
  return fromSymbol(part, value);
}
template <typename T>
static bool fromPart(Attribute part, std::optional<T> &value) {
  return fromPart(part, value.emplace());
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

namespace {
/// A parameter: its name in files, and what it is where a file does not have
/// it. One without is required.
template <typename AttrT, typename T>
struct Parameter {
  using Value = T;
  StringRef name;
  T (AttrT::*get)() const;
  std::optional<T> absent = std::nullopt;
};
template <typename AttrT, typename T>
Parameter(const char *, T (AttrT::*)() const) -> Parameter<AttrT, T>;
template <typename AttrT, typename T>
Parameter(const char *, T (AttrT::*)() const, T) -> Parameter<AttrT, T>;
} // namespace

/// The parameters of each attribute, in the order in which it is built of them.
template <typename AttrT>
static auto parameters();

template <>
auto parameters<PairingAttr>() {
  return std::tuple(Parameter{"value", &PairingAttr::getValue});
}
template <>
auto parameters<PrecisionAttr>() {
  return std::tuple(Parameter{"value", &PrecisionAttr::getValue});
}
template <>
auto parameters<LinearAttr>() {
  return std::tuple(Parameter{"factor", &LinearAttr::getFactor});
}
template <>
auto parameters<NtkAttr>() {
  return std::tuple(
      Parameter{"factor", &NtkAttr::getFactor},
      Parameter{"mixed_exponent", &NtkAttr::getMixedExponent, FloatAttr()});
}
template <>
auto parameters<DynamicNtkAttr>() {
  return std::tuple(Parameter{"factor", &DynamicNtkAttr::getFactor},
                    Parameter{"max_position", &DynamicNtkAttr::getMaxPosition});
}
template <>
auto parameters<NtkAlphaAttr>() {
  return std::tuple(Parameter{"alpha", &NtkAlphaAttr::getAlpha});
}
template <>
auto parameters<YarnAttr>() {
  return std::tuple(
      Parameter{"base", &YarnAttr::getBase},
      Parameter{"factor", &YarnAttr::getFactor},
      Parameter{"original_max_position", &YarnAttr::getOriginalMaxPosition},
      Parameter{"beta_fast", &YarnAttr::getBetaFast, FloatAttr()},
      Parameter{"beta_slow", &YarnAttr::getBetaSlow, FloatAttr()},
      Parameter{"truncate", &YarnAttr::getTruncate, true});
}
template <>
auto parameters<Llama3Attr>() {
  return std::tuple(
      Parameter{"factor", &Llama3Attr::getFactor},
      Parameter{"low_freq_factor", &Llama3Attr::getLowFreqFactor},
      Parameter{"high_freq_factor", &Llama3Attr::getHighFreqFactor},
      Parameter{"original_max_position", &Llama3Attr::getOriginalMaxPosition});
}
template <>
auto parameters<LongRopeAttr>() {
  return std::tuple(Parameter{"short_factors", &LongRopeAttr::getShortFactors},
                    Parameter{"long_factors", &LongRopeAttr::getLongFactors},
                    Parameter{"original_max_position",
                              &LongRopeAttr::getOriginalMaxPosition});
}
template <>
auto parameters<FactorsAttr>() {
  return std::tuple(Parameter{"divisors", &FactorsAttr::getDivisors});
}
template <>
auto parameters<AnglesAttr>() {
  return std::tuple(
      Parameter{"magnitude", &AnglesAttr::getMagnitude},
      Parameter{"axes", &AnglesAttr::getAxes, DenseI64ArrayAttr()},
      Parameter{"precision", &AnglesAttr::getPrecision, Precision::exact});
}
template <>
auto parameters<RotationAttr>() {
  return std::tuple(
      Parameter{"pairing", &RotationAttr::getPairing},
      Parameter{"position_dims", &RotationAttr::getPositionDims},
      Parameter{"offset", &RotationAttr::getOffset, int64_t(0)},
      Parameter{"pair_stride", &RotationAttr::getPairStride,
                std::optional<int64_t>()},
      Parameter{"result_pairing", &RotationAttr::getResultPairing,
                std::optional<Pairing>()},
      Parameter{"transpose", &RotationAttr::getTranspose, false},
      Parameter{"angles", &RotationAttr::getAngles, AnglesAttr()});
}

template <typename AttrT>
static bool tryWrite(Attribute attr, DialectBytecodeWriter &writer) {
  auto concrete = dyn_cast<AttrT>(attr);
  if (!concrete)
    return false;
  Builder builder(attr.getContext());
  NamedAttrList parts;
  std::apply(
      [&](const auto &...parameter) {
        auto add = [&](StringRef name, Attribute part) {
          if (part)
            parts.append(name, part);
        };
        (add(parameter.name, toPart(builder, (concrete.*parameter.get)())),
         ...);
      },
      parameters<AttrT>());
  writer.writeOwnedString(AttrT::name);
  writer.writeAttribute(parts.getDictionary(attr.getContext()));
  return true;
}

/// The value of a parameter, if it is there and of its kind, or may be absent.
template <typename ParameterT>
static bool take(const ParameterT &parameter, const NamedAttrList &parts,
                 typename ParameterT::Value &value) {
  if (Attribute part = parts.get(parameter.name))
    return fromPart(part, value);
  if (parameter.absent)
    value = *parameter.absent;
  return parameter.absent.has_value();
}

template <typename AttrT>
using VerifyOf = decltype(&AttrT::verify);

template <typename AttrT>
static Attribute readParameters(DialectBytecodeReader &reader) {
  NamedAttrList parts;
  if (failed(readParts(reader, AttrT::name, parts)))
    return {};
  return std::apply(
      [&](const auto &...parameter) -> Attribute {
        auto isKnown = [&](StringRef name) {
          return ((parameter.name == name) || ...);
        };
        if (failed(refuseOthers(reader, AttrT::name, parts, isKnown)))
          return {};
        std::tuple<typename std::decay_t<decltype(parameter)>::Value...> values;
        auto takeAll = [&](auto &...value) {
          return (take(parameter, parts, value) && ...);
        };
        if (!std::apply(takeAll, values)) {
          reader.emitError() << "'" << AttrT::name << "' cannot be made of "
                             << parts.getDictionary(reader.getContext());
          return {};
        }
        auto build = [&](auto... value) -> Attribute {
          MLIRContext *context = reader.getContext();
          if constexpr (llvm::is_detected<VerifyOf, AttrT>::value)
            return AttrT::getChecked([&] { return reader.emitError(); },
                                     context, value...);
          else
            return AttrT::get(context, value...);
        };
        return std::apply(build, values);
      },
      parameters<AttrT>());
}

template <typename AttrT>
static bool tryRead(StringRef name, DialectBytecodeReader &reader,
                    Attribute &result) {
  if (name != AttrT::name)
    return false;
  result = readParameters<AttrT>(reader);
  return true;
}

template <typename... AttrTs>
static bool tryWriteOneOf(Attribute attr, DialectBytecodeWriter &writer) {
  return (tryWrite<AttrTs>(attr, writer) || ...);
}

template <typename... AttrTs>
static bool tryReadOneOf(StringRef name, DialectBytecodeReader &reader,
                         Attribute &result) {
  return (tryRead<AttrTs>(name, reader, result) || ...);
}

LogicalResult
RopeBytecodeInterface::writeAttribute(Attribute attr,
                                      DialectBytecodeWriter &writer) const {
  // MLIR's oldest format does not say of which version what follows is.
  return success(writer.getBytecodeVersion() >= bytecode::kDialectVersioning &&
                 tryWriteOneOf<
#define GET_ATTRDEF_LIST
#include "Rope/IR/RopeAttrs.cpp.inc"
                     >(attr, writer));
}

Attribute
RopeBytecodeInterface::readAttribute(DialectBytecodeReader &reader) const {
  StringRef name;
  if (failed(reader.readString(name)))
    return {};
  Attribute result;
  if (!tryReadOneOf<
#define GET_ATTRDEF_LIST
#include "Rope/IR/RopeAttrs.cpp.inc"
          >(name, reader, result))
    reader.emitError() << "the rope dialect has no attribute '" << name << "'";
  return result;
}

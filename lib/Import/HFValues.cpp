//===- HFValues.cpp - values of a configuration, checked ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HFValues.h"

#include "CheckedJSON.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;
namespace json = llvm::json;

std::string HFValues::describe(double number) {
  std::string result;
  llvm::raw_string_ostream(result) << llvm::format("%g", number);
  return result;
}

std::string HFValues::describe(const json::Value &value) {
  switch (value.kind()) {
  case json::Value::Null:
    return "null";
  case json::Value::Boolean:
    return *value.getAsBoolean() ? "true" : "false";
  case json::Value::Number:
    return describe(*value.getAsNumber());
  case json::Value::String:
    return quoteForMessage(*value.getAsString());
  case json::Value::Array:
    return "a list";
  case json::Value::Object:
    return "an object";
  }
  llvm_unreachable("unknown kind of JSON value");
}

InFlightDiagnostic HFValues::error(const Twine &key) const {
  return emitError(loc) << "'" << key << "': ";
}

LogicalResult HFValues::missing(const HFBlock &block, StringRef name) const {
  return error(block.keyOf(name)) << "missing";
}

bool HFValues::isNull(const HFBlock &block, StringRef name) const {
  const json::Value *value = block ? block.object->get(name) : nullptr;
  return value && value->kind() == json::Value::Null;
}

HFFound HFValues::find(const HFBlock &block, Names names) const {
  for (StringRef name : names) {
    const json::Object *object = block.object;
    SmallVector<StringRef> parts;
    name.split(parts, '.');
    for (StringRef part : ArrayRef(parts).drop_back())
      object = object ? object->getObject(part) : nullptr;
    const json::Value *value = object ? object->get(parts.back()) : nullptr;
    if (value && value->kind() != json::Value::Null)
      return {value, block.keyOf(name)};
  }
  return {};
}

LogicalResult HFValues::toInteger(const HFFound &found, int64_t low,
                                  int64_t high, int64_t &result) const {
  std::optional<int64_t> value = found.value->getAsInteger();
  if (!value || *value < low || *value > high)
    return error(found.key) << "expected an integer from " << low << " to "
                            << high << ", but got " << describe(*found.value);
  result = *value;
  return success();
}

LogicalResult HFValues::toPositive(const HFFound &found, double &result) const {
  std::optional<double> value = found.value->getAsNumber();
  if (!value || !std::isfinite(*value) || *value <= 0)
    return error(found.key) << "expected a finite number greater than 0, "
                            << "but got " << describe(*found.value);
  result = *value;
  return success();
}

LogicalResult HFValues::readInteger(const HFBlock &block, Names names,
                                    int64_t low, int64_t high,
                                    std::optional<int64_t> &result) const {
  HFFound found = find(block, names);
  int64_t value;
  if (!found)
    return success();
  if (failed(toInteger(found, low, high, value)))
    return failure();
  result = value;
  return success();
}

LogicalResult HFValues::readPositive(const HFBlock &block, Names names,
                                     std::optional<double> &result) const {
  HFFound found = find(block, names);
  double value;
  if (!found)
    return success();
  if (failed(toPositive(found, value)))
    return failure();
  result = value;
  return success();
}

LogicalResult
HFValues::readPositiveOrZero(const HFBlock &block, Names names,
                             std::optional<double> &result) const {
  HFFound found = find(block, names);
  if (found && found.value->getAsNumber() == 0.0)
    return success();
  return readPositive(block, names, result);
}

LogicalResult HFValues::requirePositive(const HFBlock &block, StringRef name,
                                        double &result) const {
  HFFound found = find(block, name);
  if (!found)
    return missing(block, name);
  return toPositive(found, result);
}

LogicalResult HFValues::readBool(const HFBlock &block, StringRef name,
                                 bool &result) const {
  HFFound found = find(block, name);
  if (!found)
    return success();
  std::optional<bool> value = found.value->getAsBoolean();
  if (!value)
    return error(found.key)
           << "expected true or false, but got " << describe(*found.value);
  result = *value;
  return success();
}

LogicalResult HFValues::readString(const HFBlock &block, Names names,
                                   std::optional<StringRef> &result) const {
  HFFound found = find(block, names);
  if (!found)
    return success();
  result = found.value->getAsString();
  if (!result)
    return error(found.key)
           << "expected a string, but got " << describe(*found.value);
  return success();
}

LogicalResult HFValues::readObject(const HFBlock &block, Names names,
                                   HFBlock &result) const {
  HFFound found = find(block, names);
  if (!found)
    return success();
  if (!found.value->getAsObject())
    return error(found.key)
           << "expected an object, but got " << describe(*found.value);
  result = {found.value->getAsObject(), found.key + "."};
  return success();
}

LogicalResult
HFValues::requirePositives(const HFBlock &block, StringRef name, int64_t count,
                           SmallVectorImpl<double> &result) const {
  HFFound found = find(block, name);
  if (!found)
    return missing(block, name);
  const json::Array *list = found.value->getAsArray();
  if (!list)
    return error(found.key) << "expected a list of " << count
                            << " numbers, but got " << describe(*found.value);
  if (static_cast<int64_t>(list->size()) != count)
    return error(found.key)
           << "expected " << count
           << " numbers, one for each rotated pair, but got " << list->size();
  for (auto [i, element] : llvm::enumerate(*list))
    if (failed(toPositive({&element, found.key + "[" + std::to_string(i) + "]"},
                          result.emplace_back())))
      return failure();
  return success();
}

LogicalResult
HFValues::readLayerTypes(const HFBlock &text,
                         SmallVectorImpl<StringRef> &result) const {
  HFFound found = find(text, {"layer_types"});
  if (!found)
    return success();
  const json::Array *list = found.value->getAsArray();
  if (!list)
    return error(found.key)
           << "expected a list, but got " << describe(*found.value);
  for (const json::Value &element : *list) {
    std::optional<StringRef> kind = element.getAsString();
    if (!kind)
      return error(found.key)
             << "expected strings, but got " << describe(element);
    result.push_back(*kind);
  }
  return success();
}

LogicalResult HFValues::findOfLayers(const HFBlock &text, StringRef kind,
                                     StringRef name, HFFound &result) const {
  HFBlock layers;
  if (failed(readObject(text, {"per_layer_config"}, layers)))
    return failure();
  if (!layers || kind.empty())
    return success();
  if (!find(text, {"layer_types"}))
    return missing(text, "layer_types");
  SmallVector<StringRef> kinds;
  if (failed(readLayerTypes(text, kinds)))
    return failure();

  for (const auto &[key, value] : *layers.object) {
    StringRef index = key;
    uint64_t layer;
    if (index.getAsInteger(10, layer) || layer >= kinds.size())
      return error(StringRef(layers.prefix).drop_back())
             << "expected layer numbers below " << kinds.size() << ", but got "
             << quoteForMessage(index);
    HFBlock config;
    if (failed(readObject(layers, {index}, config)))
      return failure();
    HFFound found = find(config, {name});
    if (!found || kinds[layer] != kind)
      continue;
    if (result && *result.value != *found.value)
      return error(found.key) << "expected one value for all layers of kind '"
                              << kind << "', but got " << describe(*found.value)
                              << " and " << describe(*result.value);
    result = found;
  }
  return success();
}

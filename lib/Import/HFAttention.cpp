//===- HFAttention.cpp - read the attention of a configuration ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HFAttention.h"

#include "CheckedJSON.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::rope;
namespace json = llvm::json;

static constexpr StringRef full = "full_attention";
static constexpr StringRef sliding = "sliding_attention";
static constexpr StringRef chunked = "chunked_attention";

/// Whether f32 holds `number` in full precision.
static bool isNormalFloat(double number) {
  return number >= std::numeric_limits<float>::min() &&
         number <= std::numeric_limits<float>::max();
}

InFlightDiagnostic HFAttentionReader::tooLarge(const Twine &key,
                                               double number) const {
  return error(key) << "expected a number that f32 holds, but got "
                    << describe(number);
}

double rope::yarnMagnitude(double factor, double weight) {
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

//===----------------------------------------------------------------------===//
// Kinds of layers
//===----------------------------------------------------------------------===//

/// The number of keys in a window; nothing where there is none.
LogicalResult HFAttentionReader::readWindow(StringRef kind,
                                            std::optional<int64_t> &result,
                                            std::string &key) const {
  static constexpr StringRef names[] = {"sliding_window", "sliding_window_size",
                                        "attention_window_size",
                                        "local_attention"};
  bool isUsed = model.windows != HFWindows::asked;
  if (failed(readBool(text, "use_sliding_window", isUsed)))
    return failure();
  HFFound found;
  if (failed(findOfLayers(text, kind, names[0], found)))
    return failure();
  if (!found)
    found = find(text, names);
  key = found ? found.key : text.keyOf(names[0]);
  int64_t window = model.window;
  if (found && failed(toInteger(found, 1, maxHFInteger, window)))
    return failure();
  // Both sides of a query count in this one.
  if (StringRef(key).ends_with(names[3]))
    window = std::max<int64_t>(window / 2, 1);
  bool isNone = !found && (isNull(text, names[0]) || !model.window ||
                           model.windows == HFWindows::chunked);
  if (isUsed && !isNone)
    result = window;
  return success();
}

/// Which layers turn nothing, by their list.
LogicalResult HFAttentionReader::readResting(bool &some, bool &all) const {
  std::optional<int64_t> interval;
  if (failed(readInteger(text, {"no_rope_layer_interval"}, 1, maxHFInteger,
                         interval)))
    return failure();
  some = true;
  all = interval.value_or(4) == 1;
  // A one stands for a layer that turns, whatever the name says.
  HFFound found = find(text, {"no_rope_layers"});
  if (!found)
    return success();
  const json::Array *list = found.value->getAsArray();
  if (!list)
    return error(found.key)
           << "expected a list, but got " << describe(*found.value);
  if (list->empty())
    return success();
  some = false;
  all = true;
  for (auto [i, element] : llvm::enumerate(*list)) {
    int64_t turns;
    if (failed(toInteger({&element, found.key + "[" + std::to_string(i) + "]"},
                         0, 1, turns)))
      return failure();
    some |= turns == 0;
    all &= turns == 0;
  }
  return success();
}

LogicalResult
HFAttentionReader::readKinds(SmallVectorImpl<HFLayerKind> &kinds) const {
  std::optional<int64_t> window, first, layers;
  std::string key;
  SmallVector<StringRef> types;
  HFFound pattern =
      find(text, {"sliding_window_pattern", "_sliding_window_pattern"});
  int64_t period = 2;
  if (failed(readWindow(sliding, window, key)) ||
      failed(readLayerTypes(text, types)) ||
      failed(
          readInteger(text, {"max_window_layers"}, 0, maxHFInteger, first)) ||
      failed(readInteger(text, {"num_hidden_layers"}, 1, maxHFInteger, layers)))
    return failure();
  // One letter for each layer of a period, in older files.
  if (pattern && !pattern.value->getAsString() &&
      failed(toInteger(pattern, 1, maxHFInteger, period)))
    return failure();

  bool someRest = false, allRest = false;
  if (model.listsResting && failed(readResting(someRest, allRest)))
    return failure();
  if (allRest)
    return error(text.keyOf("no_rope_layers"))
           << "expected a layer that has a rotary position embedding";

  SmallVector<StringRef> names;
  if (model.windows == HFWindows::chunked) {
    names.push_back(chunked);
  } else {
    for (StringRef name : {chunked, full, sliding})
      if (llvm::is_contained(types, name))
        names.push_back(name);
  }
  if (names.empty()) {
    bool hasFull = !window, hasSliding = window.has_value();
    if (window && model.windows == HFWindows::asked) {
      hasFull = first.value_or(28) > 0;
      hasSliding = !layers || first.value_or(28) < *layers;
    } else if (window && model.windows == HFWindows::mixed) {
      hasFull = true;
      hasSliding = period > 1;
    }
    if (hasFull)
      names.push_back(full);
    if (hasSliding)
      names.push_back(sliding);
  }
  bool hasBoth = llvm::is_contained(names, sliding);
  for (StringRef name : names)
    kinds.push_back(
        {name.str(), !(model.fullRests && hasBoth && name == full)});
  if (someRest)
    kinds.push_back(
        {model.windows == HFWindows::chunked ? full.str() : "no_rope", false});
  return success();
}

//===----------------------------------------------------------------------===//
// One kind of layer
//===----------------------------------------------------------------------===//

LogicalResult HFAttentionReader::readCausal(bool &result) const {
  bool isDecoder = false;
  if (failed(readBool(text, "is_decoder", isDecoder)))
    return failure();
  result = !model.bidirectional || isDecoder;
  if (failed(readBool(text, "is_causal", result)))
    return failure();
  // With `vision`, it is images alone that see what is behind them.
  HFFound found = find(text, {"use_bidirectional_attention"});
  if (!found)
    return success();
  std::optional<StringRef> part = found.value->getAsString();
  std::optional<bool> isAll = found.value->getAsBoolean();
  if (part && (*part == "all" || *part == "vision"))
    isAll = *part == "all";
  if (!isAll)
    return error(found.key) << "expected true, false, 'all' or 'vision', but "
                            << "got " << describe(*found.value);
  if (*isAll)
    result = false;
  return success();
}

LogicalResult HFAttentionReader::readScale(const HFBlock &rope,
                                           const HFHeads &heads,
                                           double &result) const {
  bool byLayer = false;
  std::optional<double> multiplier, scalar, weight, factor;
  if (failed(readBool(text, "scale_attn_by_inverse_layer_idx", byLayer)))
    return failure();
  if (byLayer)
    return error(text.keyOf("scale_attn_by_inverse_layer_idx"))
           << "expected false: one function stands for all layers of a kind";
  HFFound found = find(text, {"attention_multiplier", "softmax_scale",
                              "attn_config.softmax_scale"});
  if (!found)
    found = find(text, {"query_pre_attn_scalar"});
  if (failed(readPositive(text,
                          {"attention_multiplier", "softmax_scale",
                           "attn_config.softmax_scale"},
                          multiplier)) ||
      failed(readPositive(text, {"query_pre_attn_scalar"}, scalar)))
    return failure();
  if (multiplier)
    result = *multiplier;
  else if (model.scale != 0)
    result = model.scale;
  else if (scalar || model.queryScalar != 0)
    result = 1.0 / std::sqrt(scalar.value_or(model.queryScalar));
  else
    result = 1.0 / std::sqrt(static_cast<double>(heads.dim));

  // Where the channels without position are not scaled with the tables, the
  // magnitude of both sides is in the factor.
  if (heads.latentRest) {
    if (failed(readPositiveOrZero(rope, {"mscale_all_dim"}, weight)) ||
        failed(readPositive(rope, {"factor"}, factor)))
      return failure();
    if (weight && factor) {
      double magnitude = yarnMagnitude(*factor, *weight);
      found = find(rope, {"mscale_all_dim"});
      result *= magnitude * magnitude;
    }
  }
  if (!isNormalFloat(result))
    return error(found ? found.key : text.keyOf("head_dim"))
           << "expected parameters that give a positive factor of scores, but "
           << "got " << describe(result);
  return success();
}

LogicalResult HFAttentionReader::readVisibility(StringRef kind,
                                                HFAttention &result) const {
  if (failed(readCausal(result.causal)))
    return failure();
  if (kind == sliding || kind == "main") {
    std::optional<int64_t> window;
    std::string key;
    if (failed(readWindow(kind, window, key)))
      return failure();
    if (!window)
      return error(key) << "missing";
    if (result.causal)
      result.window = window;
    else // What both sides see together, except in `local_attention`.
      result.radius =
          StringRef(key).ends_with("local_attention") ? *window : *window / 2;
  }
  if (kind == chunked) {
    std::optional<int64_t> chunk;
    if (failed(readInteger(text, {"attention_chunk_size"}, 1, maxHFInteger,
                           chunk)))
      return failure();
    bool isNone = isNull(text, "attention_chunk_size");
    if (!chunk && !isNone && model.windows == HFWindows::chunked)
      chunk = model.window;
    if (!chunk && !isNone)
      return missing(text, "attention_chunk_size");
    result.chunk = chunk;
  }
  return success();
}

LogicalResult HFAttentionReader::readValueDim(StringRef kind,
                                              const HFHeads &heads,
                                              int64_t &result) const {
  SmallVector<StringRef> names = {"v_head_dim"};
  if (kind == sliding)
    names.insert(names.begin(), "swa_v_head_dim");
  std::optional<int64_t> channels, hidden;
  if (failed(readInteger(text, names, 1, maxHFHeadDim, channels)) ||
      failed(readInteger(text, {"hidden_size"}, 1, maxHFInteger, hidden)))
    return failure();
  if (channels)
    result = *channels;
  else if (model.valueDim > 0)
    result = model.valueDim;
  else if (model.valueDim < 0 && hidden)
    result = std::clamp<int64_t>(*hidden / heads.queries, 1, maxHFHeadDim);
  else
    result = heads.latentRest.value_or(0) ? *heads.latentRest : heads.dim;
  if (heads.queries * result > maxHFInteger)
    return error(text.keyOf("v_head_dim"))
           << "expected at most " << maxHFInteger
           << " channels in all heads, but got " << heads.queries << " x "
           << result;
  if (model.valuesTurn && result != heads.dim)
    return error(text.keyOf("v_head_dim"))
           << "expected the " << heads.dim << " channels of a key, but got "
           << result;
  return success();
}

LogicalResult HFAttentionReader::readSinks(StringRef kind, bool &result) const {
  bool isSliding = kind == sliding || kind == "main";
  result = isSliding ? model.slidingSinks : model.fullSinks;
  return readBool(text,
                  isSliding ? "add_swa_attention_sink_bias"
                            : "add_full_attention_sink_bias",
                  result);
}

LogicalResult HFAttentionReader::readTemperature(bool rotates,
                                                 const HFBlock &rope,
                                                 HFAttention &result) const {
  std::optional<double> weight;
  std::optional<int64_t> period;
  if (model.windows == HFWindows::chunked && !rotates) {
    // Some files have a number for the boolean.
    HFFound found = find(text, {"attn_temperature_tuning"});
    bool isTuned = true;
    std::optional<int64_t> number;
    if (found && !found.value->getAsBoolean()) {
      if (failed(readInteger(text, {"attn_temperature_tuning"}, 0, maxHFInteger,
                             number)))
        return failure();
      isTuned = *number != 0;
    } else if (failed(readBool(text, "attn_temperature_tuning", isTuned))) {
      return failure();
    }
    if (failed(readPositive(text, {"attn_scale"}, weight)) ||
        failed(readInteger(text, {"floor_scale"}, 1, maxHFInteger, period)))
      return failure();
    if (weight && !isNormalFloat(*weight))
      return tooLarge(text.keyOf("attn_scale"), *weight);
    if (isTuned)
      result.temperature = {weight.value_or(0.1), 1, period.value_or(8192)};
    return success();
  }
  HFBlock scaling;
  if (failed(readObject(text, {"llama_4_scaling"}, scaling)))
    return failure();
  StringRef name = "beta";
  if (!scaling) {
    scaling = rope;
    name = "llama_4_scaling_beta";
  }
  if (failed(readPositiveOrZero(scaling, {name}, weight)))
    return failure();
  if (!weight)
    return success();
  if (!isNormalFloat(*weight))
    return tooLarge(scaling.keyOf(name), *weight);
  static constexpr StringRef length = "original_max_position_embeddings";
  if (failed(readInteger(scaling, {length}, 1, maxHFInteger, period)))
    return failure();
  if (!period)
    return missing(scaling, length);
  result.temperature = {*weight, 0, *period};
  return success();
}

LogicalResult
HFAttentionReader::read(StringRef kind, bool rotates, const HFBlock &rope,
                        const HFHeads &heads,
                        std::optional<HFAttention> &result) const {
  if (kind == "compress" || model.choosesKeys)
    return success();
  HFAttention attention;
  attention.keyHeads = heads.latentRest ? heads.queries : heads.keys;
  attention.valuesTurn = model.valuesTurn;
  attention.softCap =
      model.softCap != 0 ? std::optional(model.softCap) : std::nullopt;
  static constexpr StringRef caps[] = {"attn_logit_softcapping",
                                       "attn_logit_softcap"};
  for (StringRef cap : caps)
    if (text.object->get(cap))
      attention.softCap.reset();
  if (failed(readScale(rope, heads, attention.scale)) ||
      failed(readPositiveOrZero(text, caps, attention.softCap)))
    return failure();
  if (attention.softCap && !isNormalFloat(*attention.softCap))
    return tooLarge(find(text, caps).key, *attention.softCap);
  if (failed(readVisibility(kind, attention)) ||
      failed(readValueDim(kind, heads, attention.valueDim)) ||
      failed(readSinks(kind, attention.sinks)) ||
      failed(readTemperature(rotates, rope, attention)))
    return failure();
  result = attention;
  return success();
}

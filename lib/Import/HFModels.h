//===- HFModels.h - what each model type implies ----------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of a model's rotary embedding is said by its class alone, not by its
// configuration. This is all that the importer knows of particular models.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IMPORT_HFMODELS_H
#define ROPE_LIB_IMPORT_HFMODELS_H

#include "llvm/ADT/StringRef.h"
#include <array>
#include <cstdint>

namespace mlir::rope {

/// The kinds of layers of a configuration that does not nest them.
enum class HFLayers {
  one,         ///< one kind, or several that share one rotation
  fullSliding, ///< `full_attention`, `sliding_attention` with a base of its own
  mainCompress, ///< `main`, never scaled, `compress` with a base of its own
};

/// How `mrope_section` gives the pairs to the position axes.
enum class HFSections {
  consecutive, ///< the first section's pairs turn with axis 0, and so on
  interleaved, ///< pair i turns with axis i mod 3 while that section lasts
  heightWidth, ///< axes 1 and 2 alternate, then the last section has axis 0
};

/// Which layers see a part of the keys alone, where `layer_types` does not say.
enum class HFWindows {
  all,     ///< all layers, if there is a window
  asked,   ///< those from `max_window_layers` on, if `use_sliding_window`
  mixed,   ///< `sliding_attention`, and `full_attention` once in a period
  chunked, ///< `chunked_attention`, and `full_attention` where nothing turns
};

/// What model types imply. The defaults are the general rules, which hold for
/// model types that are not known too. Each method changes one of them.
struct HFModel {
  constexpr explicit HFModel(const char *types) : types(types) {}

  /// Model types, separated by spaces.
  const char *types;
  /// False where there is nothing to rotate.
  bool rotates = true;
  /// Hidden size of the members that have nothing to rotate; 0: none.
  int64_t hiddenWithout = 0;
  /// Pairs are neighbours (2i, 2i + 1), not half the rotated width apart.
  bool interleaved = false;
  /// The rotation is by minus the angle.
  bool reversed = false;
  /// The rotated channels are the last ones of the head.
  bool trailing = false;
  /// The kind `yarn` stands for `longrope`.
  bool yarnIsLongRope = false;
  HFLayers layers = HFLayers::one;
  /// The sliding layers are scaled as the full ones are.
  bool slidingIsScaled = false;
  /// Base where the configuration has none.
  double base = 10000.0;
  /// The same for sliding or compressed layers; 0: as for the others.
  double otherBase = 0.0;
  /// Rotated part of the head where the configuration has none.
  double partial = 1.0;
  /// The same in channels; 0: `partial` says it.
  int64_t rotaryDim = 0;
  /// Channels of a head where the key is absent; 0: hidden size over heads.
  int64_t headDim = 0;
  /// The same for full attention layers; 0: as for the others.
  int64_t fullHeadDim = 0;
  /// Original length where the configuration has none; 0: the maximum length.
  int64_t originalLength = 0;
  /// Sizes where they are absent from a `text_config`, which is published
  /// without what equals the class's defaults; 0: none.
  int64_t hiddenSize = 0, heads = 0, kvHeads = 0;
  /// Pairs of each position axis where the configuration has no sections.
  std::array<int64_t, 3> sections = {0, 0, 0};
  HFSections sectionOrder = HFSections::consecutive;
  /// The `rope_parameters` of a configuration that has none, as JSON.
  const char *ropeParameters = nullptr;

  HFWindows windows = HFWindows::all;
  /// Keys in a window, or a chunk, where the configuration does not say; 0:
  /// all.
  int64_t window = 0;
  /// The full layers of models that have both kinds turn nothing.
  bool fullRests = false;
  /// `no_rope_layers` says which layers turn nothing: each fourth by default.
  bool listsResting = false;
  /// Queries see keys behind them as well, unless `is_decoder`.
  bool bidirectional = false;
  /// A learned logit for each head enters the softmax: in sliding layers, in
  /// the others.
  bool slidingSinks = false, fullSinks = false;
  /// Keys are values as well: they are rotated, and the result turned back.
  bool valuesTurn = false;
  /// Weights choose the keys of each query.
  bool choosesKeys = false;
  /// Factor of scores where the configuration has no `attention_multiplier`;
  /// 0: the inverse square root of the following number, or of the channels.
  double scale = 0.0;
  /// Default of `query_pre_attn_scalar`; 0: none.
  double queryScalar = 0.0;
  /// Default of `attn_logit_softcapping`; 0: none.
  double softCap = 0.0;
  /// Channels of a value where the configuration does not say; 0: those of a
  /// key, -1: hidden size over heads.
  int64_t valueDim = 0;

  constexpr HFModel without() { return rotates = false, *this; }
  constexpr HFModel withoutAt(int64_t hidden) {
    return hiddenWithout = hidden, *this;
  }
  constexpr HFModel neighbours() { return interleaved = true, *this; }
  constexpr HFModel negated() { return reversed = true, *this; }
  constexpr HFModel atEnd() { return trailing = true, *this; }
  constexpr HFModel yarnMeansLongRope() { return yarnIsLongRope = true, *this; }
  constexpr HFModel scalesSliding() { return slidingIsScaled = true, *this; }
  constexpr HFModel theta(double value) { return base = value, *this; }
  constexpr HFModel part(double factor) { return partial = factor, *this; }
  constexpr HFModel rotary(int64_t channels) {
    return rotaryDim = channels, *this;
  }
  constexpr HFModel original(int64_t length) {
    return originalLength = length, *this;
  }
  constexpr HFModel parameters(const char *json) {
    return ropeParameters = json, *this;
  }
  constexpr HFModel kinds(HFLayers kinds, double base) {
    return layers = kinds, otherBase = base, *this;
  }
  constexpr HFModel head(int64_t channels, int64_t inFullLayers = 0) {
    return headDim = channels, fullHeadDim = inFullLayers, *this;
  }
  constexpr HFModel axes(HFSections order, int64_t a, int64_t b, int64_t c) {
    return sectionOrder = order, sections = {a, b, c}, *this;
  }
  constexpr HFModel sees(HFWindows layers, int64_t keys = 0) {
    return windows = layers, window = keys, *this;
  }
  constexpr HFModel restsInFull() { return fullRests = true, *this; }
  constexpr HFModel restsByList() { return listsResting = true, *this; }
  constexpr HFModel looksAhead() { return bidirectional = true, *this; }
  constexpr HFModel sinks(bool inSliding, bool inFull) {
    return slidingSinks = inSliding, fullSinks = inFull, *this;
  }
  constexpr HFModel turnsValues() { return valuesTurn = true, *this; }
  constexpr HFModel chooses() { return choosesKeys = true, *this; }
  constexpr HFModel scaled(double factor) { return scale = factor, *this; }
  constexpr HFModel scaledBy(double scalar) {
    return queryScalar = scalar, *this;
  }
  constexpr HFModel capped(double cap) { return softCap = cap, *this; }
  constexpr HFModel value(int64_t channels) {
    return valueDim = channels, *this;
  }
  constexpr HFModel sizes(int64_t hidden, int64_t queries, int64_t keys) {
    return hiddenSize = hidden, heads = queries, kvHeads = keys, *this;
  }
};

/// The entry of `modelType`, or the general rules.
const HFModel &lookupHFModel(llvm::StringRef modelType);

} // namespace mlir::rope

#endif // ROPE_LIB_IMPORT_HFMODELS_H

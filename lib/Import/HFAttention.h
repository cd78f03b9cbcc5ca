//===- HFAttention.h - what a configuration says of attention ---*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IMPORT_HFATTENTION_H
#define ROPE_LIB_IMPORT_HFATTENTION_H

#include "HFModels.h"
#include "HFValues.h"
#include <optional>
#include <string>

namespace mlir::rope {

/// `0.1 weight ln(factor) + 1`, as the magnitude of YaRN.
double yarnMagnitude(double factor, double weight);

/// The attention of one kind of layer.
struct HFAttention {
  int64_t keyHeads = 0; ///< heads of keys and values, a divisor of the queries'
  int64_t valueDim = 0; ///< channels of a value

  double scale = 1.0;            ///< of the products
  std::optional<double> softCap; ///< `cap tanh(score / cap)`
  bool causal = true;
  /// Query p sees key j if p - j < window: with `causal`.
  std::optional<int64_t> window;
  /// Query p sees key j if |p - j| <= radius: without `causal`.
  std::optional<int64_t> radius;
  std::optional<int64_t> chunk; ///< positions that see each other
  bool sinks = false;           ///< a logit for each query head
  /// Values are rotated as keys are, and results back.
  bool valuesTurn = false;

  /// Scores of position p are multiplied by
  /// `1 + weight ln(1 + floor((p + shift) / period))`.
  struct Temperature {
    double weight;
    int64_t shift, period;
  };
  std::optional<Temperature> temperature;
};

/// A kind of layer, where all kinds have one rotation, if any.
struct HFLayerKind {
  std::string name;
  bool rotates;
};

/// Heads of a kind of layer, as its rotation has them.
struct HFHeads {
  int64_t queries, keys, dim;
  /// Channels without position in front, where keys and values are expanded
  /// from latent ones for each query head.
  std::optional<int64_t> latentRest;
};

/// Reads what concerns attention. Methods that fail have reported why.
class HFAttentionReader : private HFValues {
public:
  HFAttentionReader(Location loc, const HFBlock &text, const HFModel &model)
      : HFValues(loc), text(text), model(model) {}

  /// The kinds of layers with attention of a configuration that does not tell
  /// their rotations apart; one at least.
  LogicalResult readKinds(SmallVectorImpl<HFLayerKind> &kinds) const;

  /// The attention of layers of `kind`, whose rotation is in the block `rope`.
  /// `result` stays empty where the keys are not those of the queries'
  /// positions.
  LogicalResult read(StringRef kind, bool rotates, const HFBlock &rope,
                     const HFHeads &heads,
                     std::optional<HFAttention> &result) const;

private:
  InFlightDiagnostic tooLarge(const Twine &key, double number) const;
  LogicalResult readWindow(StringRef kind, std::optional<int64_t> &result,
                           std::string &key) const;
  LogicalResult readResting(bool &some, bool &all) const;
  LogicalResult readCausal(bool &result) const;
  LogicalResult readScale(const HFBlock &rope, const HFHeads &heads,
                          double &result) const;
  LogicalResult readVisibility(StringRef kind, HFAttention &result) const;
  LogicalResult readValueDim(StringRef kind, const HFHeads &heads,
                             int64_t &result) const;
  LogicalResult readSinks(StringRef kind, bool &result) const;
  LogicalResult readTemperature(bool rotates, const HFBlock &rope,
                                HFAttention &result) const;

  const HFBlock &text;
  const HFModel &model;
};

} // namespace mlir::rope

#endif // ROPE_LIB_IMPORT_HFATTENTION_H

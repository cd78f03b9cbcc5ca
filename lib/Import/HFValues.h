//===- HFValues.h - values of a configuration, checked ----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IMPORT_HFVALUES_H
#define ROPE_LIB_IMPORT_HFVALUES_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "mlir/Support/LLVM.h"
#include "llvm/Support/JSON.h"
#include <limits>
#include <optional>
#include <string>

namespace mlir::rope {

/// Limits of sizes, far above published models, that keep what is built small.
inline constexpr int64_t maxHFHeads = 1 << 16;
inline constexpr int64_t maxHFHeadDim = 1 << 16;
inline constexpr int64_t maxHFInteger = std::numeric_limits<int32_t>::max();

/// An object of the configuration, or none, and the keys that lead to it.
struct HFBlock {
  const llvm::json::Object *object = nullptr;
  std::string prefix;

  explicit operator bool() const { return object; }
  std::string keyOf(StringRef name) const { return (prefix + name).str(); }
};

/// A value that is not null, and its key from the root of the file on.
struct HFFound {
  const llvm::json::Value *value = nullptr;
  std::string key;

  explicit operator bool() const { return value; }
};

/// Finds and checks values by their keys. Where several names are given, they
/// are spellings of one key, the first one found counts. A null counts as
/// absent. Methods that fail have reported, with the key, why; those with a
/// `result` leave it as it is where the key is absent.
class HFValues {
public:
  using Names = ArrayRef<StringRef>;

  explicit HFValues(Location loc) : loc(loc) {}

  InFlightDiagnostic error(const Twine &key) const;
  LogicalResult missing(const HFBlock &block, StringRef name) const;

  /// A name may lead through objects: `a.b`.
  HFFound find(const HFBlock &block, Names names) const;
  bool isNull(const HFBlock &block, StringRef name) const;

  LogicalResult toInteger(const HFFound &found, int64_t low, int64_t high,
                          int64_t &result) const;
  LogicalResult readInteger(const HFBlock &block, Names names, int64_t low,
                            int64_t high, std::optional<int64_t> &result) const;
  /// Positive numbers are finite and greater than zero.
  LogicalResult toPositive(const HFFound &found, double &result) const;
  LogicalResult readPositive(const HFBlock &block, Names names,
                             std::optional<double> &result) const;
  /// Takes zero for an absent key.
  LogicalResult readPositiveOrZero(const HFBlock &block, Names names,
                                   std::optional<double> &result) const;
  LogicalResult requirePositive(const HFBlock &block, StringRef name,
                                double &result) const;
  LogicalResult requirePositives(const HFBlock &block, StringRef name,
                                 int64_t count,
                                 SmallVectorImpl<double> &result) const;
  LogicalResult readBool(const HFBlock &block, StringRef name,
                         bool &result) const;
  LogicalResult readString(const HFBlock &block, Names names,
                           std::optional<StringRef> &result) const;
  LogicalResult readObject(const HFBlock &block, Names names,
                           HFBlock &result) const;
  /// The strings of `layer_types` in `text`; empty where there is none.
  LogicalResult readLayerTypes(const HFBlock &text,
                               SmallVectorImpl<StringRef> &result) const;
  /// Looks for what `per_layer_config` in `text` says of the layers of `kind`.
  LogicalResult findOfLayers(const HFBlock &text, StringRef kind,
                             StringRef name, HFFound &result) const;

  /// What a value is, to end a message with.
  static std::string describe(const llvm::json::Value &value);
  static std::string describe(double number);

protected:
  Location loc;
};

} // namespace mlir::rope

#endif // ROPE_LIB_IMPORT_HFVALUES_H

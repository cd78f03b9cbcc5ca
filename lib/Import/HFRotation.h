//===- HFRotation.h - what a configuration says of rotations ----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The middle of the import: configurations are read into these structures,
// and modules are built from them.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IMPORT_HFROTATION_H
#define ROPE_LIB_IMPORT_HFROTATION_H

#include "HFAttention.h"
#include "Rope/IR/RopeDialect.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/JSON.h"
#include <optional>
#include <string>

namespace mlir::rope {

/// The rotary embedding and the attention of one kind of layer.
struct HFRotation {
  /// What follows the names of its functions: empty, or `_full_attention`.
  std::string suffix;

  // Heads.
  int64_t heads = 0;   ///< query heads
  int64_t kvHeads = 0; ///< key heads, a divisor of `heads`
  int64_t headDim = 0; ///< channels of a query or key head

  // Which channels turn.
  bool rotates = true; ///< where not, only heads and attention have meaning
  int64_t pairs = 0;   ///< pairs that turn
  int64_t columns = 0; ///< pairs of the model's table, with those at rest
  int64_t offset = 0;  ///< first rotated channel
  Pairing pairing = Pairing::half;
  std::optional<int64_t> pairStride; ///< if not `pairs` (half pairing)
  bool reversed = false;             ///< by minus the angle

  // How fast: `base^(-2i/dimension)`, scaled.
  double base = 10000.0;
  std::optional<int64_t> dimension; ///< if not `2 * pairs`
  ScalingAttrInterface scaling;     ///< null: not scaled
  /// Position axis of each pair, or empty where positions have one axis.
  SmallVector<int64_t> axes;
  int64_t axisCount = 0;

  // Factor of cosines and sines.
  double magnitude = 1.0;
  /// The factor where the length is greater than `longFrom`, if another.
  std::optional<double> longMagnitude;
  int64_t longFrom = 0;

  /// Nothing where the keys are not those of the queries' positions.
  std::optional<HFAttention> attention;

  /// Whether the number of positions in use changes the table.
  bool readsLength() const {
    return longMagnitude || (scaling && scaling.isLengthDependent());
  }
};

/// The rotary embeddings of a model.
struct HFRotations {
  FloatType elementType; ///< of queries and keys
  SmallVector<HFRotation, 2> kinds;
};

/// Reads the configuration `root`. `dtype` is as in `HFImportOptions`. Errors
/// are reported at `loc` and name the key.
FailureOr<HFRotations>
readHFRotations(Location loc, const llvm::json::Object &root, StringRef dtype);

} // namespace mlir::rope

#endif // ROPE_LIB_IMPORT_HFROTATION_H

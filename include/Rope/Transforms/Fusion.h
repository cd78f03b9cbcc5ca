//===- Fusion.h - what the fusion passes ask and report ---------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_FUSION_H
#define ROPE_TRANSFORMS_FUSION_H

#include "Rope/IR/RopeOps.h"
#include <functional>
#include <optional>
#include <string>

namespace mlir::rope {

/// A rotation, and the operation that it can be folded into.
struct FusionCandidate {
  ApplyOp rotation;
  Operation *target = nullptr;
  /// What no longer goes through memory, in bytes; absent where sizes are known
  /// only at run time.
  std::optional<int64_t> bytesSaved;
  /// The operand of `target` that is rotated, where it has several.
  OpOperand *operand = nullptr;
};

/// Decides about a fusion that is possible: nothing to make it, else the reason
/// not to, which the remark states.
using FusionControlFn =
    std::function<std::optional<std::string>(const FusionCandidate &)>;

/// The table in the same block that makes cosine and sine of `group`, rotations
/// of one block that read the same, if nothing else uses it; null else.
TableOp findOwnTable(ArrayRef<ApplyOp> group);

/// Decides about a table whose rows an attention can make itself: nothing to do
/// so, else the reason not to, which the remark states.
using TableControlFn =
    std::function<std::optional<std::string>(TableOp, AttentionOp)>;

/// The bytes of a value of static shape, if they fit 63 bits.
std::optional<int64_t> getStaticBytes(Value value);

/// Marks a rotation in the loops that a fusion has put it into, by the
/// attribute `rope.folded`: it may be folded further, but is not left.
void markFolded(ApplyOp rotation);

/// Whether `markFolded` was called for `rotation`.
bool isFolded(Operation *rotation);

/// Emits the remark, in the category of pass `name`, that a fusion was made.
void reportFused(const FusionCandidate &candidate, StringRef name);

/// Emits the remark, in the category of pass `name`, that `rotation` was left,
/// and why. Emits nothing for one that is marked as folded: its fusion has been
/// reported.
void reportLeft(Operation *rotation, StringRef name, const Twine &reason);

/// Emits the remark, in the category of pass `name`, that something else than a
/// rotation was fused, or left. `what` says what and why.
void reportOther(Operation *op, StringRef name, bool wasFused,
                 const Twine &what);

} // namespace mlir::rope

#endif // ROPE_TRANSFORMS_FUSION_H

//===- Simplify.h - what the rewrites of rotations share --------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_SIMPLIFY_H
#define ROPE_LIB_TRANSFORMS_SIMPLIFY_H

#include "Rope/IR/Algebra.h"

namespace mlir::rope {

/// The category of the remarks of rope-simplify.
inline constexpr llvm::StringLiteral kSimplifyName = "rope-simplify";

/// The table that `like` makes for `positions`, with this magnitude, in new
/// tensors: of the types `cos` and `sin`, which may know more or less of the
/// sizes, or of what `positions` say where these are null.
TableOp tableLike(ImplicitLocOpBuilder &b, TableOp like, Value positions,
                  FloatAttr magnitude, RankedTensorType cos = nullptr,
                  RankedTensorType sin = nullptr);

/// Patterns of the tables that rotations leave.
void populateSimplifyTablePatterns(RewritePatternSet &patterns);

/// Makes tables of the same positions in other spellings from the same tensor,
/// where rotations alone use them (simplify_8).
void unifyPositions(RewriterBase &rewriter, ArrayRef<TableOp> tables);

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_SIMPLIFY_H

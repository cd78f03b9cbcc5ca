//===- Tiles.h - tiles of tensors and memrefs -------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_IR_TILES_H
#define ROPE_LIB_IR_TILES_H

#include "mlir/IR/Builders.h"

namespace mlir::rope {

using OpFoldResults = SmallVector<OpFoldResult>;

/// A box of indices: of a value, or of an iteration domain.
struct Tile {
  OpFoldResults offsets, sizes;
};

/// The size of a dimension of a tensor or a memref.
OpFoldResult sizeOf(OpBuilder &b, Location loc, Value value, int64_t dim);

/// The slice or subview of `value`.
Operation *slice(OpBuilder &b, Location loc, Value value, const Tile &tile);

/// Whether a tile is known to take all of dimension `dim` of `value`.
bool isWhole(Value value, int64_t dim, OpFoldResult offset, OpFoldResult size);

} // namespace mlir::rope

#endif // ROPE_LIB_IR_TILES_H

//===- CostModel.h - where rotations are cheapest ---------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Attention works in tasks: a batch, a head of keys, and some blocks of rows,
// where a row is one query of one of the heads that share the keys. A task
// reads each row of queries once and each visible key once. So
//
// - queries are rotated as they are read: each is rotated once in any case, and
//   one write and one read of memory are saved;
// - a key that is rotated as it is read is rotated by each task that sees it,
//   one that is rotated before goes through memory once more;
// - a table's row that is made as it is read is made by each task that sees it,
//   one that is made before is read by each of them.
//
// Costs are cycles for each element. Sizes that are known at the call alone are
// taken as those that make the safer choice: the one whose cost is bounded.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_COSTMODEL_H
#define ROPE_TRANSFORMS_COSTMODEL_H

#include "Rope/IR/RopeOps.h"
#include <optional>
#include <string>

namespace mlir::rope {

/// What the cost model knows of a machine.
struct TargetDescription {
  int64_t l2Bytes = 1 << 20;
  int64_t vectorBits = 256;
  int64_t threads = 1;
};

/// Reads the description of device "CPU" in the target system specification
/// that holds for `op`: the integers "L2_cache_size_in_bytes",
/// "max_vector_op_width" (in bits) and "num_threads". What is missing there, or
/// is no positive integer, is as in `TargetDescription`.
///
/// ```mlir
/// module attributes {dlti.target_system_spec = #dlti.target_system_spec<
///   "CPU" = #dlti.target_device_spec<"L2_cache_size_in_bytes" = 2097152 : i64,
///                                    "num_threads" = 8 : i64>>} {}
/// ```
TargetDescription readTargetDescription(Operation *op);

/// Where keys are rotated: where the cost model says, or always there.
enum class KeyRotation { automatic, once, load };

/// The numbers of the cost model.
namespace cost {
/// How rope-tile-attention cuts the rows: blocks of so many rows, tasks of at
/// most so many blocks, shorter where there would be fewer tasks than these.
inline constexpr int64_t kBlockRows = 64, kTaskBlocks = 16, kTasks = 32;
/// Vector instructions to rotate a vector of elements: the tables' loads, two
/// multiplications and two fused additions for two vectors, and conversions.
inline constexpr double kRotateInstructions = 4;
/// Vector instructions to make the cosine and sine of a vector of pairs.
inline constexpr double kAngleInstructions = 35;
/// Bytes that one core moves in a cycle from and to its second cache, and all
/// cores together from and to memory.
inline constexpr double kCacheBytesPerCycle = 32;
inline constexpr double kMemoryBytesPerCycle = 4;
} // namespace cost

/// Decides where the keys of `attention`, which are the result of `rotation`,
/// are rotated: nothing for as they are loaded, else the reason to rotate them
/// once before.
std::optional<std::string> whyRotateKeyOnce(AttentionOp attention,
                                            ApplyOp rotation,
                                            const TargetDescription &target);

/// Decides whether `attention`, whose operands alone are rotated by `table`,
/// makes the rows itself: nothing if so, else the reason to keep the table.
std::optional<std::string> whyKeepTable(AttentionOp attention, TableOp table,
                                        const TargetDescription &target);

} // namespace mlir::rope

#endif // ROPE_TRANSFORMS_COSTMODEL_H

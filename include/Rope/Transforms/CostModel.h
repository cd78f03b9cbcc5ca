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
//   one that is rotated before goes through memory once more; where a task has
//   rows enough, either is next to nothing beside the products, and the former
//   needs no buffer for the rotated keys;
// - a table's row that is made as it is read is made by each task that sees it,
//   one that is made before is read by each of them.
//
// Costs are cycles for each element. Where sizes are known at the call alone
// the choice is the one whose cost is bounded.
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
/// How rope-tile-attention cuts the rows: blocks of so many, tasks of at most
/// so many blocks, shorter where there would be fewer tasks than these.
inline constexpr int64_t kBlockRows = 64, kTaskBlocks = 16, kTasks = 32;
/// Cycles to rotate a vector of elements in cache, whatever its width: 1000
/// rotations of 128 x 128 elements to f32 took 0.09 ns for each (5.3 cycles for
/// 16), from f32 and from bf16, on a Zen 4 core.
inline constexpr double kRotateCycles = 5;
/// Vector instructions to make the cosine and sine of a vector of pairs: an
/// estimate, taken as cycles.
inline constexpr double kAngleInstructions = 35;
/// Bytes that one core moves in a cycle from and to its second cache, an
/// estimate; and all cores together from and to memory: 32768 x 128 rotations
/// of f32, 8 bytes each, took 0.33 ns for each on the core above.
inline constexpr double kCacheBytesPerCycle = 32;
inline constexpr double kMemoryBytesPerCycle = 6;
/// From so many rows in a task on, its two products take a hundred times as
/// long as rotating the keys: two multiply-adds a row against kRotateCycles.
/// Rotating on load then saves a buffer as large as the keys for nothing;
/// benchmarks/fusion.py measured it 0.99 to 1.03 times as fast for prompts of
/// 512 to 4096 positions, on one thread.
inline constexpr double kRowsThatHideRotation = 256;
/// How rope-tile-apply cuts rotations: one task up to so many bytes read and
/// written, tasks of so many above. Two threads that are awake take half of the
/// time of one from 1.3 MB on, and as long as one at 2.6 MB where the second
/// has to be woken (f32, Zen 5).
inline constexpr int64_t kTaskBytes = 256 << 10, kOneTaskBytes = 2 << 20;
/// The positions in a block where heads stand in front of them, for elements of
/// 16 bits and for wider ones: each head is a piece of memory of so many rows,
/// in which the same rows of the table are read again. 4096 positions of 32 and
/// 8 heads of 128 channels, of the speed of the fastest copy, one thread, Zen
/// 5: bf16 0.93 with 32, 0.83 with 64, 0.76 with 128, as rows of the table,
/// twice as long as those of x, come from the second cache; f32 0.81, 0.83 and
/// 0.94.
inline constexpr int64_t kNarrowTableRows = 32, kWideTableRows = 128;
/// From how few rows on, the queries of all heads that share a key, attention
/// takes the form whose lanes are channels and keys: with 16 rows of 128
/// channels and 8192 keys it takes 0.73 (f32) and 0.67 (bf16) of the time of
/// the other, with 4 rows 0.57 and 0.48, one thread, Zen 5.
inline constexpr int64_t kDecodeRows = 16;
/// Its keys in a tile: of computing alone, without reading from memory, 4096
/// keys of 8 heads took 0.59, 0.55 and 0.62 ms with 64, 32 and 16 (bf16), 0.76,
/// 0.74 and 0.82 ms (f32), rotated as they are loaded. A tile has all heads
/// where they lie inside of keys: fewer keys are read closer to their order.
inline constexpr int64_t kDecodeTileKeys = 32;
/// The tasks that its keys are split for, and keys of a split: few enough for
/// some tasks of short caches, enough that what a split leaves is little beside
/// what it reads. Estimates; they must not depend on the number of threads.
inline constexpr int64_t kDecodeTasks = 64;
inline constexpr int64_t kMinSplitKeys = 128, kMaxSplitKeys = 1024;
/// Bytes of the queries and accumulators of a task, which stay in the second
/// cache with the keys and values of a tile.
inline constexpr int64_t kDecodeStateBytes = 128 << 10;
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

//===- TargetInfo.h - the processor that code is made for -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_TARGETINFO_H
#define ROPE_TRANSFORMS_TARGETINFO_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir::rope {

/// A processor as LLVM knows it: every field resolved, none is 'host'.
struct TargetInfo {
  std::string triple;
  std::string cpu;
  std::string features;
  /// Width of the widest vector register that code should use, in bits.
  unsigned vectorBits = 128;
  /// The number of vector registers.
  unsigned vectorRegisters = 16;
  /// From so many bytes on that a loop reads and writes, its stores should go
  /// past the caches. A guess where nothing is known of the processor: a Xeon
  /// with 2 MB of second cache for each core rotates f32 of 2.6 MB at 24.5 GB/s
  /// by such stores and at 19 by others, a Zen 5 gains from 32 MB on.
  int64_t streamingBytes = 8 << 20;
  /// Multiplies and adds in one instruction.
  bool hasFMA = false;
  /// Has the instructions of AVX512-BF16.
  bool avx512BF16 = false;
  /// Multiplies bf16 by vdpbf16ps faster than f32 by FMA: twice as fast on a
  /// Zen 5 (525 against 262 Gflop/s), half as fast on a Xeon.
  bool fastBF16Dot = false;
  /// Has tiles of AMX for bf16, and an operating system that lends them.
  bool amxBF16 = false;

  /// The names of all features that it has.
  llvm::StringSet<> getFeatures() const;
};

/// Resolves what a user wrote: an empty triple and 'host' are this machine, an
/// empty cpu is the baseline of the triple. The features of the host follow
/// where both the triple and the cpu are the host's. Fails, with the names LLVM
/// knows, for a triple, processor or feature that it does not know.
llvm::Expected<TargetInfo> resolveTarget(llvm::StringRef triple,
                                         llvm::StringRef cpu,
                                         llvm::StringRef features);

} // namespace mlir::rope

#endif // ROPE_TRANSFORMS_TARGETINFO_H

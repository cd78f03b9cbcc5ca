//===- GPUTarget.h - the device that kernels are made for -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_GPUTARGET_H
#define ROPE_TRANSFORMS_GPUTARGET_H

#include "mlir/Support/LLVM.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir::rope {

/// How kernels reach a device: by NVIDIA's driver, AMD's, or Vulkan.
enum class GPUApi : uint8_t { cuda, rocm, vulkan };

/// What shapes kernels. Sizes are in bytes where they say so, else in threads.
struct GPUTarget {
  GPUApi api = GPUApi::vulkan;
  /// As LLVM names it: sm_90, gfx942; vulkan1.1 for Vulkan.
  std::string chip;
  unsigned subgroupSize = 32;
  /// Of rotations. Smaller blocks spread one token over more processors, larger
  /// ones have fewer starts: for q and k of 32 and 8 heads of 128 channels in
  /// bf16, blocks of 64, 128 and 256 took 2.3, 2.6 and 2.8 us for one token on
  /// an H100 and reached 0.96, 0.99 and 0.99 of the speed of a copy for 65536.
  unsigned blockSize = 128;
  /// Workgroup memory of a block that every device of the kind has.
  unsigned sharedBytes = 48 * 1024;
  /// The widest access of one thread; 0 where each element is one of its own.
  unsigned accessBytes = 16;
  /// Processors of the device, an estimate where chips of one name differ.
  unsigned processors = 64;
  /// Whether bf16 and i64 are types of memory; else i16 and pairs of i32.
  bool hasBF16 = true, hasI64 = true;
  /// mma.sync of bf16, ldmatrix and cp.async.
  bool hasMmaSync = false;
};

/// The name of an API as on command lines: cuda, rocm, vulkan.
StringRef stringify(GPUApi api);

/// The description of `chip`, the API's default where empty (sm_80, gfx942,
/// vulkan1.1). Fails where LLVM makes no code for it, naming what it takes.
llvm::Expected<GPUTarget> resolveGPUTarget(GPUApi api, StringRef chip);

/// The same with the API's name. Fails on names other than cuda, rocm, vulkan.
llvm::Expected<GPUTarget> resolveGPUTarget(StringRef api, StringRef chip);

} // namespace mlir::rope

#endif // ROPE_TRANSFORMS_GPUTARGET_H

//===- GPUTarget.cpp - the device that kernels are made for ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/GPUTarget.h"
#include "Rope/Transforms/TargetInfo.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Expected;

StringRef rope::stringify(GPUApi api) {
  switch (api) {
  case GPUApi::cuda:
    return "cuda";
  case GPUApi::rocm:
    return "rocm";
  case GPUApi::vulkan:
    return "vulkan";
  }
  return "";
}

/// The number behind `prefix`: 90 of sm_90a, 942 of gfx942. Hexadecimal where
/// chips of the kind are numbered so.
static std::optional<unsigned> chipNumber(StringRef chip, StringRef prefix,
                                          unsigned radix) {
  unsigned number = 0;
  if (!chip.consume_front(prefix))
    return std::nullopt;
  StringRef digits = radix == 10 ? chip.take_while(llvm::isDigit) : chip;
  if (digits.getAsInteger(radix, number))
    return std::nullopt;
  return number;
}

static Expected<GPUTarget> resolveCUDA(GPUTarget target) {
  if (target.chip.empty())
    target.chip = "sm_80";
  std::optional<unsigned> number = chipNumber(target.chip, "sm_", 10);
  // Conversions of bf16, mma.sync of it and cp.async came with it.
  if (!number || *number < 80)
    return createStringError("no kernels can be made for '" + target.chip +
                             "': expected sm_80 or later");
  if (auto info = resolveTarget("nvptx64-nvidia-cuda", target.chip, ""); !info)
    return info.takeError();
  target.hasMmaSync = true;
  target.processors = *number >= 90 ? 132 : 108;
  return target;
}

static Expected<GPUTarget> resolveROCm(GPUTarget target) {
  if (target.chip.empty())
    target.chip = "gfx942";
  std::optional<unsigned> number = chipNumber(target.chip, "gfx", 16);
  if (!number || *number < 0x900)
    return createStringError("no kernels can be made for '" + target.chip +
                             "': expected gfx900 or later");
  if (auto info = resolveTarget("amdgcn-amd-amdhsa", target.chip, ""); !info)
    return info.takeError();
  // Those before have waves of 64 threads.
  target.subgroupSize = *number >= 0x1000 ? 32 : 64;
  target.processors = 104;
  return target;
}

static Expected<GPUTarget> resolveVulkan(GPUTarget target) {
  if (target.chip.empty())
    target.chip = "vulkan1.1";
  if (target.chip != "vulkan1.1")
    return createStringError("no kernels can be made for '" + target.chip +
                             "': expected vulkan1.1, whose modules later "
                             "versions take as well");
  // What every driver has; and blocks of 128 threads.
  target.sharedBytes = 16 * 1024;
  // A buffer has one type of elements.
  target.accessBytes = 0;
  target.hasBF16 = target.hasI64 = false;
  return target;
}

Expected<GPUTarget> rope::resolveGPUTarget(GPUApi api, StringRef chip) {
  GPUTarget target;
  target.api = api;
  target.chip = chip.str();
  switch (api) {
  case GPUApi::cuda:
    return resolveCUDA(std::move(target));
  case GPUApi::rocm:
    return resolveROCm(std::move(target));
  case GPUApi::vulkan:
    return resolveVulkan(std::move(target));
  }
  return target;
}

Expected<GPUTarget> rope::resolveGPUTarget(StringRef api, StringRef chip) {
  for (GPUApi known : {GPUApi::cuda, GPUApi::rocm, GPUApi::vulkan})
    if (api == stringify(known))
      return resolveGPUTarget(known, chip);
  return createStringError("unknown kind of GPU '" + api +
                           "': expected cuda, rocm or vulkan");
}

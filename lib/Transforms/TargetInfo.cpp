//===- TargetInfo.cpp - the processor that code is made for ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/TargetInfo.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"
#include "llvm/TargetParser/Triple.h"

using namespace llvm;
using namespace mlir::rope;

static Error makeError(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

static std::unique_ptr<MCSubtargetInfo> subtarget(const TargetInfo &info,
                                                  std::string &error) {
  static bool initialized = [] {
    InitializeAllTargetInfos();
    InitializeAllTargetMCs();
    return true;
  }();
  (void)initialized;
  Triple triple(info.triple);
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  // Unknown names are checked before they reach the processor's tables, which
  // would print a warning for each.
  return std::unique_ptr<MCSubtargetInfo>(
      target->createMCSubtargetInfo(triple, info.cpu, info.features));
}

StringSet<> TargetInfo::getFeatures() const {
  std::string error;
  StringSet<> names;
  if (std::unique_ptr<MCSubtargetInfo> info = subtarget(*this, error))
    for (const SubtargetFeatureKV &feature :
         info->getEnabledProcessorFeatures())
      names.insert(feature.Key);
  return names;
}

Expected<TargetInfo> mlir::rope::resolveTarget(StringRef triple, StringRef cpu,
                                               StringRef features) {
  TargetInfo info;
  std::string host = sys::getDefaultTargetTriple();
  info.triple =
      Triple::normalize(triple.empty() || triple == "host" ? host : triple);
  bool isHost = Triple(info.triple).getArch() == Triple(host).getArch();
  if ((cpu == "host" || features == "host") && !isHost)
    return makeError("expected a processor of '" + info.triple +
                     "' by name: 'host' is '" + host + "'");

  std::string error;
  std::unique_ptr<MCSubtargetInfo> known = subtarget(info, error);
  if (!known)
    return makeError("unknown target triple '" + info.triple + "': " + error);
  auto names = [](auto table) {
    return join(
        map_range(table, [](auto &entry) { return StringRef(entry.Key); }),
        ", ");
  };
  info.cpu = cpu == "host" ? sys::getHostCPUName().str() : cpu.str();
  if (info.cpu.empty() && Triple(info.triple).isX86())
    info.cpu = "x86-64";
  if (info.cpu.empty())
    info.cpu = "generic";
  if (!known->isCPUStringValid(info.cpu))
    return makeError(
        "unknown processor '" + info.cpu + "' for '" + info.triple +
        "', expected one of: " + names(known->getAllProcessorDescriptions()));

  SubtargetFeatures resolved;
  // The processor's name says too much in a virtual machine that hides some of
  // its features; those that are given follow and prevail.
  if (features == "host" || cpu == "host")
    for (auto &[name, isOn] : sys::getHostCPUFeatures())
      resolved.AddFeature(name, isOn);
  if (features != "host") {
    SmallVector<StringRef> parts;
    features.split(parts, ',', -1, /*KeepEmpty=*/false);
    for (StringRef part : parts) {
      StringRef name = part.trim();
      bool isOn = !name.consume_front("-");
      name.consume_front("+");
      if (none_of(known->getAllProcessorFeatures(),
                  [&](auto &feature) { return name == feature.Key; }))
        return makeError("unknown feature '" + name + "' for '" + info.triple +
                         "', expected '+' or '-' and one of: " +
                         names(known->getAllProcessorFeatures()));
      resolved.AddFeature(name, isOn);
    }
  }
  info.features = resolved.getString();
  if (Triple(info.triple).isAArch64()) {
    info.vectorRegisters = 32;
    info.hasFMA = true;
  }
  if (Triple(info.triple).isX86()) {
    StringSet<> enabled = info.getFeatures();
    if (enabled.contains("avx512f") && enabled.contains("avx512vl")) {
      info.vectorBits = 512;
      info.vectorRegisters = 32;
      info.avx512BF16 = enabled.contains("avx512bf16");
    } else if (enabled.contains("avx")) {
      info.vectorBits = 256;
    }
    info.hasFMA = enabled.contains("fma");
    // The third cache of a group of cores, 32 MB, takes what leaves the second:
    // a copy of 21 MB, read and written, by plain stores takes 0.66 of the time
    // of one by stores past the caches, of 42 MB 1.4 times as long (Zen 5).
    if (StringRef(info.cpu).starts_with("znver")) {
      info.streamingBytes = 32 << 20;
      info.fastBF16Dot = info.avx512BF16;
    }
    info.amxBF16 = info.avx512BF16 && enabled.contains("amx-bf16") &&
                   Triple(info.triple).isOSLinux() &&
                   Triple(info.triple).isArch64Bit();
  }
  return info;
}

//===- TargetInfoTest.cpp - processors by name ----------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/TargetInfo.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "gtest/gtest.h"

using namespace mlir::rope;

static TargetInfo resolve(llvm::StringRef triple, llvm::StringRef cpu,
                          llvm::StringRef features) {
  llvm::Expected<TargetInfo> info = resolveTarget(triple, cpu, features);
  if (info)
    return *info;
  ADD_FAILURE() << llvm::toString(info.takeError());
  return TargetInfo();
}

static std::string errorOf(llvm::StringRef triple, llvm::StringRef cpu,
                           llvm::StringRef features) {
  llvm::Expected<TargetInfo> info = resolveTarget(triple, cpu, features);
  if (!info)
    return llvm::toString(info.takeError());
  ADD_FAILURE() << "is accepted";
  return "";
}

TEST(TargetInfo, VectorWidthFollowsTheProcessor) {
  EXPECT_EQ(resolve("x86_64-linux-gnu", "", "").vectorBits, 128u);
  EXPECT_EQ(resolve("x86_64-linux-gnu", "", "").vectorRegisters, 16u);
  EXPECT_EQ(resolve("x86_64-linux-gnu", "", "").cpu, "x86-64");
  EXPECT_EQ(resolve("x86_64-linux-gnu", "haswell", "").vectorBits, 256u);
  EXPECT_EQ(resolve("x86_64-linux-gnu", "haswell", "").vectorRegisters, 16u);
  EXPECT_EQ(resolve("x86_64-linux-gnu", "sapphirerapids", "").vectorBits, 512u);
  EXPECT_EQ(resolve("x86_64-linux-gnu", "sapphirerapids", "").vectorRegisters,
            32u);
  EXPECT_EQ(resolve("aarch64-linux-gnu", "", "").vectorBits, 128u);
  EXPECT_EQ(resolve("aarch64-linux-gnu", "", "").vectorRegisters, 32u);
  EXPECT_EQ(resolve("aarch64-linux-gnu", "", "").cpu, "generic");
}

TEST(TargetInfo, FeaturesAddAndRemove) {
  EXPECT_EQ(resolve("x86_64-linux-gnu", "", "+avx2").vectorBits, 256u);
  TargetInfo info =
      resolve("x86_64-linux-gnu", "sapphirerapids", "-avx512f, +amx-tile");
  EXPECT_EQ(info.vectorBits, 256u);
  EXPECT_FALSE(info.getFeatures().contains("avx512f"));
  EXPECT_TRUE(info.getFeatures().contains("amx-tile"));
  EXPECT_TRUE(info.getFeatures().contains("fma"));
  // A sign may be left out.
  EXPECT_TRUE(
      resolve("x86_64-linux-gnu", "", "avx").getFeatures().contains("avx"));
}

TEST(TargetInfo, Host) {
  TargetInfo info = resolve("", "host", "");
  EXPECT_EQ(info.triple,
            llvm::Triple::normalize(llvm::sys::getDefaultTargetTriple()));
  EXPECT_NE(info.cpu, "host");
  EXPECT_FALSE(info.cpu.empty());
  // Without a processor it is the baseline, not what this machine happens to
  // be.
  llvm::Triple triple(info.triple);
  if (triple.isX86())
    EXPECT_EQ(resolve("", "", "").cpu, "x86-64");
}

TEST(TargetInfo, UnknownNames) {
  EXPECT_NE(errorOf("nonsense-linux-gnu", "", "").find("unknown target triple"),
            std::string::npos);
  std::string error = errorOf("x86_64-linux-gnu", "haswel", "");
  EXPECT_NE(error.find("unknown processor 'haswel'"), std::string::npos);
  EXPECT_NE(error.find("haswell"), std::string::npos) << error;
  error = errorOf("x86_64-linux-gnu", "", "+avx3");
  EXPECT_NE(error.find("unknown feature 'avx3'"), std::string::npos);
  EXPECT_NE(error.find("avx2"), std::string::npos) << error;
  EXPECT_NE(errorOf("aarch64-linux-gnu", "haswell", "").find("haswell"),
            std::string::npos);
}

TEST(TargetInfo, HostOfAnotherMachine) {
  llvm::Triple host(llvm::sys::getDefaultTargetTriple());
  const char *other = host.isX86() ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  EXPECT_NE(errorOf(other, "host", "").find("by name"), std::string::npos);
  EXPECT_NE(errorOf(other, "", "host").find("by name"), std::string::npos);
}

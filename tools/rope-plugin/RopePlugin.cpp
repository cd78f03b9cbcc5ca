//===- RopePlugin.cpp - the dialect and its passes for mlir-opt -----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A program that holds another MLIR than libRope.so uses, or a second copy of
// the same one, would hand over objects of another layout, or of other types:
// it is refused before anything of its is touched.
//
//===----------------------------------------------------------------------===//

#include "Rope/InitAll.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"
#include <cstdio>
#include <dlfcn.h>
#include <string>

using namespace mlir;

// Nothing in front of the callbacks calls MLIR or LLVM: in a program with
// another version such a call could reach that one.

/// A symbol of a library that is loaded; null where it is not. A null name
/// stands for the program and what it was linked with.
static void *findIn(const char *library, const char *symbol) {
  void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
  return handle ? dlsym(handle, symbol) : nullptr;
}

/// The library or program that holds `address`, by its file name; none for one
/// that no file holds.
static std::string findHolder(const void *address) {
  Dl_info info;
  return address && dladdr(address, &info) ? info.dli_fname : "";
}

/// What the program has for an MLIR, if it is not that of libRope.so.
static std::string describeOther() {
  using GetVersion = void (*)(unsigned *, unsigned *, unsigned *);
  auto getVersion =
      reinterpret_cast<GetVersion>(findIn(nullptr, "LLVMGetVersion"));
  auto ours =
      reinterpret_cast<GetVersion>(findIn(ROPE_LLVM_LIBRARY, "LLVMGetVersion"));
  // Where the program has no LLVM to be seen, ours is found.
  if (!getVersion || getVersion == ours)
    return "a copy of its own or none";
  unsigned major = 0, minor = 0, patch = 0;
  getVersion(&major, &minor, &patch);
  return "that of LLVM " + std::to_string(major) + "." + std::to_string(minor) +
         "." + std::to_string(patch);
}

/// Whether `caller`, the code that reads what the plugin says of itself, is of
/// the MLIR that libRope.so uses. Prints why not.
static bool isLoadedByOurs(const void *caller) {
  std::string loader = findHolder(caller);
  // One of the few symbols of MLIR that are not C++'s.
  std::string ours =
      findHolder(findIn(ROPE_MLIR_LIBRARY, "mlirDebuggerSetControl"));
  if (!ours.empty() && loader == ours)
    return true;
  std::fprintf(stderr,
               "error: RopePlugin %s needs the MLIR of LLVM %s (%s), but %s, "
               "which loads it, uses %s\n",
               ROPE_VERSION, LLVM_VERSION_STRING, ROPE_MLIR_LIBRARY,
               loader.c_str(), describeOther().c_str());
  return false;
}

/// No version of the interface: loaders fail.
static constexpr uint32_t refused = 0;

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {isLoadedByOurs(__builtin_return_address(0)) ? MLIR_PLUGIN_API_VERSION
                                                      : refused,
          "Rope", ROPE_VERSION, [](DialectRegistry *registry) {
            rope::registerAllDialects(*registry);
          }};
}

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {isLoadedByOurs(__builtin_return_address(0)) ? MLIR_PLUGIN_API_VERSION
                                                      : refused,
          "Rope", ROPE_VERSION, [] { rope::registerRopePasses(); }};
}

//===- HIPRuntime.cpp - AMD's driver --------------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DriverRuntime.h"
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace rope::gpu;

/// The name of the chip is only in hipDeviceProp_t, whose layout is another one
/// in each version: it is looked for in the structure.
static void describeChip(Driver &driver, void *library, int device, char *chip,
                         size_t bytes) {
  using GetProperties = int (*)(void *, int);
  void *symbol = dlsym(library, "hipGetDevicePropertiesR0600");
  if (!symbol)
    symbol = dlsym(library, "hipGetDeviceProperties");
  if (!symbol)
    return failFunction(driver.name, "hipGetDeviceProperties");
  alignas(16) char properties[16384] = {};
  if (!driver.check(reinterpret_cast<GetProperties>(symbol)(properties, device),
                    "hipGetDeviceProperties", "device %d", device))
    return;
  for (size_t i = 0; i + 64 < sizeof(properties); ++i) {
    if (memcmp(properties + i, "gfx", 3) != 0)
      continue;
    // What follows a colon are features, such as sramecc+.
    size_t length = strcspn(properties + i, ": ");
    snprintf(chip, bytes, "%.*s", static_cast<int>(length), properties + i);
    return;
  }
  fail("the %s driver does not say what kind of chip device %d is", driver.name,
       device);
}

static Driver driver = {
    "HIP",
    "no AMD driver was found",
    "ROPE_HIP_LIBRARY",
    {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", nullptr},
    {"hipInit"},
    {"hipGetDeviceCount"},
    {"hipDeviceGet"},
    {"hipDeviceGetName"},
    {"hipDeviceGetAttribute"},
    {nullptr},
    {nullptr},
    {nullptr},
    {nullptr},
    {"hipGetDevice"},
    {"hipModuleLoadDataEx"},
    {"hipModuleGetFunction"},
    {"hipFuncGetAttribute"},
    {nullptr},
    {"hipModuleLaunchKernel"},
    {"hipMalloc"},
    {"hipFree"},
    {"hipMallocAsync", true},
    {"hipFreeAsync", true},
    {"hipDeviceGetDefaultMemPool", true},
    {"hipMemPoolSetAttribute", true},
    {"hipMemcpyHtoDAsync"},
    {"hipMemcpyDtoHAsync"},
    {"hipStreamCreateWithFlags"},
    {"hipStreamDestroy"},
    {"hipStreamSynchronize"},
    {"hipStreamIsCapturing", true},
    {"hipThreadExchangeStreamCaptureMode", true},
    {"hipDrvGetErrorName", true},
    {"hipDrvGetErrorString", true},
    // Their numbers changed between versions; nothing needs them.
    {-1, -1},
    describeChip,
    PTHREAD_MUTEX_INITIALIZER,
    {false},
    nullptr,
    {nullptr},
    {nullptr},
};

static constexpr Backend backend = makeBackend<driver>("ROCm");

const Backend *rope::gpu::getHIPBackend() { return &backend; }

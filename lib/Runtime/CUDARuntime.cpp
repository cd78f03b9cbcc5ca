//===- CUDARuntime.cpp - NVIDIA's driver ----------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DriverRuntime.h"
#include <cstdio>

using namespace rope::gpu;

static void describeChip(Driver &driver, void *library, int device, char *chip,
                         size_t bytes) {
  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and MINOR.
  int major = 0, minor = 0;
  if (driver.check(driver.getDeviceAttribute(&major, 75, device),
                   driver.getDeviceAttribute.name, "the compute capability") &&
      driver.check(driver.getDeviceAttribute(&minor, 76, device),
                   driver.getDeviceAttribute.name, "the compute capability"))
    snprintf(chip, bytes, "sm_%d%d", major, minor);
}

static Driver driver = {
    "CUDA",
    "no NVIDIA driver was found",
    "ROPE_CUDA_LIBRARY",
    {"libcuda.so.1", "libcuda.so", nullptr},
    {"cuInit"},
    {"cuDeviceGetCount"},
    {"cuDeviceGet"},
    {"cuDeviceGetName"},
    {"cuDeviceGetAttribute"},
    {"cuDevicePrimaryCtxRetain"},
    {"cuCtxGetCurrent"},
    {"cuCtxPushCurrent_v2"},
    {"cuCtxPopCurrent_v2"},
    {"cuCtxGetDevice"},
    {"cuModuleLoadDataEx"},
    {"cuModuleGetFunction"},
    {"cuFuncGetAttribute"},
    {"cuFuncSetAttribute"},
    {"cuLaunchKernel"},
    {"cuMemAlloc_v2"},
    {"cuMemFree_v2"},
    {"cuMemAllocAsync", true},
    {"cuMemFreeAsync", true},
    {"cuDeviceGetDefaultMemPool", true},
    {"cuMemPoolSetAttribute", true},
    {"cuMemcpyHtoDAsync_v2"},
    {"cuMemcpyDtoHAsync_v2"},
    {"cuStreamCreate"},
    {"cuStreamDestroy_v2"},
    {"cuStreamSynchronize"},
    {"cuStreamIsCapturing", true},
    {"cuThreadExchangeStreamCaptureMode", true},
    {"cuGetErrorName"},
    {"cuGetErrorString"},
    // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN and
    // CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED.
    {97, 115},
    describeChip,
    PTHREAD_MUTEX_INITIALIZER,
    {false},
    nullptr,
    {nullptr},
    {nullptr},
};

static constexpr Backend backend = makeBackend<driver>("CUDA");

const Backend *rope::gpu::getCUDABackend() { return &backend; }

//===- DriverRuntime.h - the runtime of CUDA and HIP ------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The two drivers have the same functions but for names: one implementation
// calls either through a table.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_RUNTIME_DRIVERRUNTIME_H
#define ROPE_LIB_RUNTIME_DRIVERRUNTIME_H

#include "GPURuntimeImpl.h"

#pragma GCC visibility push(hidden)

namespace rope::gpu {

/// A function of a driver. Returns 0 or an error.
template <typename... Arguments>
struct Function {
  /// Null where the API has none of the kind.
  const char *name;
  /// Whether drivers without it can be used too.
  bool optional = false;
  int (*pointer)(Arguments...) = nullptr;

  int operator()(Arguments... arguments) const { return pointer(arguments...); }
  explicit operator bool() const { return pointer; }
};

/// The state of one context (CUDA) or device (HIP).
struct Context {
  /// The CUcontext; for HIP what stands for the device.
  void *handle;
  int device;
  bool hasPools;
  /// Dynamic shared memory that a block may ask for.
  int maxSharedBytes;
  /// Bounds of the grid.
  int64_t maxGrid[3];
  Context *next;
};

struct Driver {
  const char *name, *missing, *variable;
  const char *libraries[4];

  Function<unsigned> init;
  Function<int *> getDeviceCount;
  Function<int *, int> getDevice;
  Function<char *, int, int> getDeviceName;
  Function<int *, int, int> getDeviceAttribute;
  /// Contexts: HIP's are devices, of which each thread has a current one.
  Function<void **, int> retainPrimaryContext;
  Function<void **> getCurrentContext;
  Function<void *> pushContext;
  Function<void **> popContext;
  Function<int *> getCurrentDevice;
  Function<void **, const void *, unsigned, int *, void **> loadModule;
  Function<void **, void *, const char *> getFunction;
  Function<int *, int, void *> getFunctionAttribute;
  Function<void *, int, int> setFunctionAttribute;
  Function<void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
           unsigned, void *, void **, void **>
      launchKernel;
  Function<void **, size_t> alloc;
  Function<void *> free;
  Function<void **, size_t, void *> allocAsync;
  Function<void *, void *> freeAsync;
  Function<void **, int> getDefaultPool;
  Function<void *, int, void *> setPoolAttribute;
  Function<void *, const void *, size_t, void *> copyToDevice;
  Function<void *, const void *, size_t, void *> copyFromDevice;
  Function<void **, unsigned> createStream;
  Function<void *> destroyStream;
  Function<void *> synchronizeStream;
  Function<void *, int *> isCapturing;
  Function<int *> exchangeCaptureMode;
  Function<int, const char **> getErrorName;
  Function<int, const char **> getErrorText;

  /// Numbers of the API.
  struct {
    int maxBlockSharedBytes, poolsSupported;
  } deviceAttributes;
  /// Writes the kind of a device as compilers name it.
  void (*describeChip)(Driver &driver, void *library, int device, char *chip,
                       size_t bytes);

  pthread_mutex_t mutex;
  std::atomic<bool> loaded;
  void *library;
  /// The first device's, once it was needed. Kept for good, as CUDA's own
  /// runtime does with it.
  std::atomic<void *> primaryContext;
  std::atomic<Context *> contexts;

  bool begin(Session &session);
  void end(Session &session);
  void launch(Session &session, const Launch &launch);
  void *constant(Session &session, rope_gpu_module *module, const void *data,
                 size_t bytes);
  void *allocInOrder(Session &session, size_t bytes);
  void freeInOrder(Session &session, void *memory);
  void upload(Session &session, void *memory, const void *data, size_t bytes);
  void *allocate(Session &session, size_t bytes);
  void release(Session &session, void *memory);
  void write(Session &session, void *memory, const void *data, size_t bytes);
  void read(Session &session, void *data, const void *memory, size_t bytes);
  void synchronize(Session &session);
  void describe(Session &session, char *name, size_t nameBytes, char *chip,
                size_t chipBytes);

  /// Returns whether the call succeeded, and reports it where it did not:
  /// `format` says what was called for.
  __attribute__((format(printf, 4, 5))) bool
  check(int error, const char *function, const char *format, ...);

private:
  bool load();
  Context *getContext(Session &session);
  Context *addContext(void *handle);
  void *getPrimaryContext();
};

/// The functions of a Backend for a driver.
template <Driver &driver>
constexpr Backend makeBackend(const char *name) {
  return {
      name,
      [](Session &session) { return driver.begin(session); },
      [](Session &session) { driver.end(session); },
      [](Session &session, const Launch &launch) {
        driver.launch(session, launch);
      },
      [](Session &session, rope_gpu_module *module, const void *data,
         size_t bytes) {
        return driver.constant(session, module, data, bytes);
      },
      [](Session &session, size_t bytes) {
        return driver.allocInOrder(session, bytes);
      },
      [](Session &session, void *memory) {
        driver.freeInOrder(session, memory);
      },
      [](Session &session, void *memory, const void *data, size_t bytes) {
        driver.upload(session, memory, data, bytes);
      },
      [](Session &session, size_t bytes) {
        return driver.allocate(session, bytes);
      },
      [](Session &session, void *memory) { driver.release(session, memory); },
      [](Session &session, void *memory, const void *data, size_t bytes) {
        driver.write(session, memory, data, bytes);
      },
      [](Session &session, void *data, const void *memory, size_t bytes) {
        driver.read(session, data, memory, bytes);
      },
      [](Session &session) { driver.synchronize(session); },
      [](Session &session, char *name, size_t nameBytes, char *chip,
         size_t chipBytes) {
        driver.describe(session, name, nameBytes, chip, chipBytes);
      },
  };
}

} // namespace rope::gpu

#pragma GCC visibility pop

#endif // ROPE_LIB_RUNTIME_DRIVERRUNTIME_H

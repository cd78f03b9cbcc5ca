//===- GPURuntime.cpp - kernels, streams and memory of GPUs ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/GPURuntime.h"
#include "GPURuntimeImpl.h"
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace rope::gpu;

//===----------------------------------------------------------------------===//
// The thread's state
//===----------------------------------------------------------------------===//

namespace {
struct Report {
  bool failed;
  char text[4000];
};

/// Plain data: nothing has to run when a thread starts or ends.
struct Thread {
  /// From rope_gpu_begin to rope_gpu_end.
  const Backend *backend;
  Session session;
  Report report;
  /// Of the last call that a program made outside of them.
  Report callReport;
  /// Whether reports go there.
  bool inCall;
  char deviceName[256];
  char chip[64];
};
} // namespace

static __thread Thread thread;

void rope::gpu::fail(const char *format, ...) {
  Report &report = thread.inCall ? thread.callReport : thread.report;
  if (report.failed)
    return;
  report.failed = true;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report.text, sizeof(report.text), format, arguments);
  va_end(arguments);
}

bool rope::gpu::hasFailed() {
  return thread.inCall ? thread.callReport.failed : thread.report.failed;
}

Session *rope::gpu::getOpenSession(const Backend *backend) {
  return thread.backend == backend ? &thread.session : nullptr;
}

void *rope::gpu::openLibrary(const char *variable, const char *const *names,
                             const char *missing) {
  const char *own = getenv(variable);
  const char *ownNames[] = {own, nullptr};
  bool isOwn = own && *own;
  if (isOwn)
    names = ownNames;
  char reason[1000] = "";
  const char *first = *names;
  for (; *names; ++names) {
    if (void *library = dlopen(*names, RTLD_NOW | RTLD_LOCAL))
      return library;
    // The reason that counts is that of the usual name.
    const char *text = dlerror();
    if (!*reason && text)
      snprintf(reason, sizeof(reason), "%s", text);
  }
  if (isOwn)
    fail("%s: %s, which %s names, could not be loaded (%s)", missing, first,
         variable, reason);
  else
    fail("%s: %s could not be loaded (%s)", missing, first, reason);
  return nullptr;
}

void rope::gpu::failFunction(const char *library, const char *function) {
  fail("the %s driver cannot be used: it has no function %s", library,
       function);
}

static const Backend *getBackend(int64_t api) {
  switch (api) {
  case ROPE_GPU_CUDA:
    return getCUDABackend();
  case ROPE_GPU_ROCM:
    return getHIPBackend();
  case ROPE_GPU_VULKAN:
    return getVulkanBackend();
  default:
    fail("unknown API %" PRId64
         ": expected 0 for CUDA, 1 for ROCm or 2 for Vulkan",
         api);
    return nullptr;
  }
}

//===----------------------------------------------------------------------===//
// Called by compiled code
//===----------------------------------------------------------------------===//

/// What work of the module is queued with; null after a report, an earlier one
/// too.
static const Backend *enter(const rope_gpu_module *module) {
  if (thread.report.failed)
    return nullptr;
  const Backend *backend = thread.backend;
  if (!backend) {
    fail("rope_gpu_begin was not called on this thread before code for a GPU");
    return nullptr;
  }
  const Backend *wanted = getBackend(module->api);
  if (wanted && wanted != backend) {
    fail("rope_gpu_begin was called for %s, but the code was compiled for %s",
         backend->name, wanted->name);
    return nullptr;
  }
  return wanted;
}

/// Whether a size in bytes can be one.
static bool checkBytes(int64_t bytes, const char *what) {
  if (bytes >= 0)
    return true;
  fail("%s of %" PRId64 " bytes cannot be made: its sizes are too large", what,
       bytes);
  return false;
}

void rope_gpu_launch(rope_gpu_module *module, const char *kernel, int64_t gridX,
                     int64_t gridY, int64_t gridZ, int64_t blockX,
                     int64_t blockY, int64_t blockZ, int64_t sharedBytes,
                     int64_t numBuffers, void *const *buffers,
                     int64_t numScalars, const int64_t *scalars) {
  const Backend *backend = enter(module);
  if (!backend)
    return;
  Launch launch = {module,
                   kernel,
                   {gridX, gridY, gridZ},
                   {blockX, blockY, blockZ},
                   sharedBytes,
                   numBuffers,
                   buffers,
                   numScalars,
                   scalars};
  for (int i = 0; i < 3; ++i)
    if (launch.grid[i] < 0 || launch.block[i] <= 0)
      return fail("kernel '%s' cannot run on a grid of %" PRId64 " x %" PRId64
                  " x %" PRId64 " blocks of %" PRId64 " x %" PRId64
                  " x %" PRId64 " threads",
                  kernel, gridX, gridY, gridZ, blockX, blockY, blockZ);
  if (!gridX || !gridY || !gridZ)
    return;
  if (gridX > INT32_MAX / blockX)
    return fail("kernel '%s' would run %" PRId64 " blocks of %" PRId64
                " threads, more than 2147483647 threads in all: split the "
                "arrays along their first dimension",
                kernel, gridX, blockX);
  backend->launch(thread.session, launch);
}

void *rope_gpu_constant(rope_gpu_module *module, const void *data,
                        int64_t bytes) {
  const Backend *backend = enter(module);
  if (!backend || !checkBytes(bytes, "a constant"))
    return nullptr;
  return backend->constant(thread.session, module, data,
                           static_cast<size_t>(bytes));
}

void *rope_gpu_alloc(rope_gpu_module *module, int64_t bytes) {
  const Backend *backend = enter(module);
  if (!backend || !checkBytes(bytes, "a buffer"))
    return nullptr;
  return backend->alloc(thread.session, static_cast<size_t>(bytes));
}

void rope_gpu_free(rope_gpu_module *module, void *memory) {
  // What was allocated before an error is freed after it as well.
  if (memory && thread.backend && getBackend(module->api) == thread.backend)
    thread.backend->free(thread.session, memory);
}

void rope_gpu_upload(rope_gpu_module *module, void *memory, const void *data,
                     int64_t bytes) {
  const Backend *backend = enter(module);
  if (backend && bytes > 0)
    backend->upload(thread.session, memory, data, static_cast<size_t>(bytes));
}

void rope_gpu_fail(const char *message) { fail("%s", message); }

//===----------------------------------------------------------------------===//
// Called by programs
//===----------------------------------------------------------------------===//

static void endSession() {
  if (thread.backend)
    thread.backend->end(thread.session);
  thread.backend = nullptr;
}

void rope_gpu_begin(int64_t api, void *stream) {
  endSession();
  thread.report.failed = false;
  thread.session = {stream, nullptr, false};
  const Backend *backend = getBackend(api);
  if (backend && backend->begin(thread.session))
    thread.backend = backend;
}

const char *rope_gpu_end(void) {
  endSession();
  return thread.report.failed ? thread.report.text : nullptr;
}

/// Runs `body(backend, session)` for a program, and returns its report.
template <typename Body>
static const char *call(int64_t api, Body body) {
  thread.inCall = true;
  thread.callReport.failed = false;
  const Backend *backend = getBackend(api);
  Session session = {};
  if (backend && backend->begin(session)) {
    body(*backend, session);
    backend->end(session);
  }
  thread.inCall = false;
  return thread.callReport.failed ? thread.callReport.text : nullptr;
}

const char *rope_gpu_open(int64_t api) {
  return call(api, [](const Backend &, Session &) {});
}

/// Fills in the names of the thread's device.
static bool describe(int64_t api) {
  const char *error = call(api, [](const Backend &backend, Session &session) {
    backend.describe(session, thread.deviceName, sizeof(thread.deviceName),
                     thread.chip, sizeof(thread.chip));
  });
  return !error;
}

const char *rope_gpu_device(int64_t api) {
  return describe(api) ? thread.deviceName : nullptr;
}

const char *rope_gpu_chip(int64_t api) {
  return describe(api) ? thread.chip : nullptr;
}

const char *rope_gpu_malloc(int64_t api, int64_t bytes, void **memory) {
  *memory = nullptr;
  return call(api, [&](const Backend &backend, Session &session) {
    if (checkBytes(bytes, "a buffer"))
      *memory = backend.allocate(session, static_cast<size_t>(bytes));
  });
}

const char *rope_gpu_release(int64_t api, void *memory) {
  return call(api, [&](const Backend &backend, Session &session) {
    if (memory)
      backend.release(session, memory);
  });
}

const char *rope_gpu_write(int64_t api, void *memory, const void *data,
                           int64_t bytes) {
  return call(api, [&](const Backend &backend, Session &session) {
    if (checkBytes(bytes, "a copy") && bytes)
      backend.write(session, memory, data, static_cast<size_t>(bytes));
  });
}

const char *rope_gpu_read(int64_t api, void *data, const void *memory,
                          int64_t bytes) {
  return call(api, [&](const Backend &backend, Session &session) {
    if (checkBytes(bytes, "a copy") && bytes)
      backend.read(session, data, memory, static_cast<size_t>(bytes));
  });
}

const char *rope_gpu_synchronize(int64_t api) {
  return call(api, [](const Backend &backend, Session &session) {
    backend.synchronize(session);
  });
}

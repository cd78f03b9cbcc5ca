//===- GPURuntimeImpl.h - what the runtimes of the APIs share ---*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As Runtime.cpp, all of this is linked into libraries by whatever linker is
// there: nothing but the C library is used, and nothing runs at load time.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_RUNTIME_GPURUNTIMEIMPL_H
#define ROPE_LIB_RUNTIME_GPURUNTIMEIMPL_H

#include "Rope/Runtime/GPURuntime.h"
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <pthread.h>

// Nothing of it is a library's to export.
#pragma GCC visibility push(hidden)

namespace rope::gpu {

/// What a thread works on between two calls: from rope_gpu_begin to
/// rope_gpu_end, or for one call of a program.
struct Session {
  void *stream;
  /// The API's: its context, or what it records.
  void *state;
  /// Whether the context must be taken from the thread in the end.
  bool pushed;
};

struct Launch {
  rope_gpu_module *module;
  const char *kernel;
  int64_t grid[3], block[3];
  int64_t sharedBytes;
  int64_t numBuffers;
  void *const *buffers;
  int64_t numScalars;
  const int64_t *scalars;
};

/// One API. Functions report by `fail`; those that return a bool return whether
/// they succeeded. All but `begin` are called after a `begin` that did.
struct Backend {
  const char *name;
  bool (*begin)(Session &session);
  void (*end)(Session &session);
  void (*launch)(Session &session, const Launch &launch);
  void *(*constant)(Session &session, rope_gpu_module *module, const void *data,
                    size_t bytes);
  /// Memory in the order of the stream.
  void *(*alloc)(Session &session, size_t bytes);
  void (*free)(Session &session, void *memory);
  void (*upload)(Session &session, void *memory, const void *data,
                 size_t bytes);
  /// What programs call; these wait.
  void *(*allocate)(Session &session, size_t bytes);
  void (*release)(Session &session, void *memory);
  void (*write)(Session &session, void *memory, const void *data, size_t bytes);
  void (*read)(Session &session, void *data, const void *memory, size_t bytes);
  void (*synchronize)(Session &session);
  /// Writes the device's name, and that of its kind as compilers call it.
  void (*describe)(Session &session, char *name, size_t nameBytes, char *chip,
                   size_t chipBytes);
};

const Backend *getCUDABackend();
const Backend *getHIPBackend();
const Backend *getVulkanBackend();

/// Reports an error, a sentence; the first one of a session stays.
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);

/// Whether the session has failed.
bool hasFailed();

/// The session that rope_gpu_begin has opened on the thread for the API; null
/// where there is none.
Session *getOpenSession(const Backend *backend);

/// Opens the first library that is there: the one that the environment
/// variable names, or else of `names`, which ends with null. Null after a
/// report that begins with `missing`.
void *openLibrary(const char *variable, const char *const *names,
                  const char *missing);

/// Reports that a library lacks a function.
void failFunction(const char *library, const char *function);

/// Zeroed memory for `T`, kept for good; null after a report.
template <typename T>
T *create() {
  void *memory = calloc(1, sizeof(T));
  if (!memory)
    fail("the host is out of memory");
  return static_cast<T *>(memory);
}

class Lock {
public:
  explicit Lock(pthread_mutex_t &mutex) : mutex(mutex) {
    pthread_mutex_lock(&mutex);
  }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
  ~Lock() { pthread_mutex_unlock(&mutex); }

private:
  pthread_mutex_t &mutex;
};

/// Values that are found by an address and stay: reading takes no lock. Writers
/// hold one.
template <typename T>
class AddressMap {
public:
  T *find(const void *address, size_t extra = 0) const {
    for (Node *node = buckets[bucket(address)].load(std::memory_order_acquire);
         node; node = node->next)
      if (node->address == address && node->extra == extra)
        return &node->value;
    return nullptr;
  }

  /// Null after a report.
  T *insert(const void *address, const T &value, size_t extra = 0) {
    Node *node = create<Node>();
    if (!node)
      return nullptr;
    std::atomic<Node *> &head = buckets[bucket(address)];
    node->address = address;
    node->extra = extra;
    node->value = value;
    node->next = head.load(std::memory_order_relaxed);
    head.store(node, std::memory_order_release);
    return &node->value;
  }

private:
  struct Node {
    const void *address;
    size_t extra;
    T value;
    Node *next;
  };

  static size_t bucket(const void *address) {
    auto bits = reinterpret_cast<uintptr_t>(address);
    return (bits >> 4 ^ bits >> 10 ^ bits) % 64;
  }

  std::atomic<Node *> buckets[64];
};

/// `module->state`, which threads may look at while another one sets it.
template <typename T>
T *getState(rope_gpu_module *module) {
  return static_cast<T *>(__atomic_load_n(&module->state, __ATOMIC_ACQUIRE));
}
inline void setState(rope_gpu_module *module, void *state) {
  __atomic_store_n(&module->state, state, __ATOMIC_RELEASE);
}

} // namespace rope::gpu

#pragma GCC visibility pop

#endif // ROPE_LIB_RUNTIME_GPURUNTIMEIMPL_H

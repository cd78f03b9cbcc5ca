/* NVIDIA's driver as the tests use it, with memory of this process. Part of
 * rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { UNIT = 1 << 16 };

int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
  static int it;
  *context = &it;
  return device;
}
int cuCtxSetCurrent(void *context) { return context ? 0 : 201; }
int cuStreamSynchronize(void *stream) { return stream ? 1 : 0; }

int cuMemAlloc_v2(uint64_t *address, size_t size) {
  *address = (uintptr_t)malloc(size);
  return *address ? 0 : 2;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size,
                         void *stream) {
  memcpy((void *)(uintptr_t)to, from, size);
  return stream ? 1 : 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
  memcpy(to, (void *)(uintptr_t)from, size);
  return stream ? 1 : 0;
}

#ifndef NO_MAPPING
struct properties {
  uint32_t type, handles, location, ordinal;
  void *metadata;
  unsigned char flags[8];
};

static int valid(const struct properties *p) {
  return p->type == 1 && p->location == 1 && !p->ordinal && !p->metadata;
}

int cuMemGetAllocationGranularity(size_t *size, const struct properties *p,
                                  unsigned option) {
  *size = UNIT;
  return valid(p) && !option ? 0 : 1;
}
int cuMemAddressReserve(uint64_t *address, size_t size, size_t alignment,
                        uint64_t hint, unsigned long long flags) {
  void *memory =
      mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *address = (uintptr_t)memory;
  return memory == MAP_FAILED || size % UNIT || alignment || hint || flags;
}
int cuMemCreate(uint64_t *handle, size_t size, const struct properties *p,
                unsigned long long flags) {
  *handle = size;
  return valid(p) && !(size % UNIT) && !flags ? 0 : 1;
}
int cuMemMap(uint64_t address, size_t size, size_t offset, uint64_t handle,
             unsigned long long flags) {
  return !address || offset || handle != size || flags;
}
int cuMemSetAccess(uint64_t address, size_t size, const uint32_t *access,
                   size_t count) {
  if (count != 1 || access[0] != 1 || access[1] != 0 || access[2] != 3)
    return 1;
  return mprotect((void *)(uintptr_t)address, size, PROT_READ | PROT_WRITE);
}
#endif

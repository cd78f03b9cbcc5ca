/*===- GPURuntime.h - what compiled GPU programs call -------------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* Kernels, streams and device memory of CUDA, HIP and Vulkan. The driver's   *|
|* library is loaded when a program first needs it; nothing here depends on   *|
|* an SDK. Host code that is compiled for a GPU calls the first group of      *|
|* functions, programs call the second.                                       *|
|*                                                                            *|
|* Work is queued on the current stream of the calling thread and runs after  *|
|* the functions return. The first error since rope_gpu_begin stays; calls    *|
|* after it do nothing. rope_gpu_end returns it.                              *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_RUNTIME_GPURUNTIME_H
#define ROPE_RUNTIME_GPURUNTIME_H

#include <stdint.h>

/* NOLINTBEGIN(readability-identifier-naming): C names. */

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ROPE_GPU_CUDA = 0,
  ROPE_GPU_ROCM = 1,
  ROPE_GPU_VULKAN = 2,
};

/** The kernels of a program, in its data. */
typedef struct rope_gpu_module {
  /** ROPE_GPU_CUDA, .. */
  int64_t api;
  /** PTX text (zero-terminated), cubin, fatbin, code object or SPIR-V. */
  const void *image;
  int64_t image_bytes;
  /** The runtime's; null at first. */
  void *state;
} rope_gpu_module;

/*===----------------------------------------------------------------------===*\
|* Called by compiled code
\*===----------------------------------------------------------------------===*/

/**
 * Queues a kernel. Its parameters are the `num_buffers` pointers to device
 * memory, null for arrays without elements, and then the `num_scalars` numbers:
 * 64 bits each with CUDA and HIP. Nothing is queued where a size of the grid is
 * zero. Threads along x are numbered in 31 bits; more are an error.
 *
 * With Vulkan buffers are bindings 0, 1, .. of set 0. `num_buffers +
 * num_scalars
 * + 1` words of 32 bits follow: for each buffer how many bytes the pointer lies
 * behind the start of its binding, then the numbers, then grid_x. Up to 32
 * words are push constants, from byte 0; more are a storage buffer, binding
 * `num_buffers`, and there are no push constants. The grid may be folded: block
 * (x, y) is number y * (blocks along x) + x, and does nothing where that is not
 * below grid_x.
 */
void rope_gpu_launch(rope_gpu_module *module, const char *kernel,
                     int64_t grid_x, int64_t grid_y, int64_t grid_z,
                     int64_t block_x, int64_t block_y, int64_t block_z,
                     int64_t shared_bytes, int64_t num_buffers,
                     void *const *buffers, int64_t num_scalars,
                     const int64_t *scalars);

/** A copy on the device of `data`, which never changes: made once. */
void *rope_gpu_constant(rope_gpu_module *module, const void *data,
                        int64_t bytes);

/** Device memory for work queued before the matching rope_gpu_free. */
void *rope_gpu_alloc(rope_gpu_module *module, int64_t bytes);
void rope_gpu_free(rope_gpu_module *module, void *memory);

/** Queues a copy to the device; `data` may change after the call. */
void rope_gpu_upload(rope_gpu_module *module, void *memory, const void *data,
                     int64_t bytes);

/** Reports an address that is no multiple of `element_bytes`, as that of a
 * buffer of a kernel. */
void rope_gpu_check_address(const char *kernel, int64_t buffer,
                            const void *address, int64_t element_bytes);

/** Reports an error that compiled code found, a sentence. */
void rope_gpu_fail(const char *message);

/*===----------------------------------------------------------------------===*\
|* Called by programs
\*===----------------------------------------------------------------------===*/

/**
 * Makes `stream` (a CUstream, a hipStream_t; null, the default stream, with
 * Vulkan) the calling thread's until rope_gpu_end. The device is the one of the
 * thread's current context, or the first one where there is none.
 */
void rope_gpu_begin(int64_t api, void *stream);

/** Null, or a sentence with the first error since rope_gpu_begin on this
 * thread; it stays valid until the next rope_gpu_begin on it. Does not wait for
 * what was queued. */
const char *rope_gpu_end(void);

/** What follows returns null or an error as rope_gpu_end does, and needs no
 * rope_gpu_begin. The default stream is used, and waited for. */
const char *rope_gpu_open(int64_t api);
/** The device's name, and its kind as compilers name it: sm_90, gfx942, or
 * vulkan1.1; null where there is none. Valid until the thread's next call. */
const char *rope_gpu_device(int64_t api);
const char *rope_gpu_chip(int64_t api);
const char *rope_gpu_malloc(int64_t api, int64_t bytes, void **memory);
const char *rope_gpu_release(int64_t api, void *memory);
const char *rope_gpu_write(int64_t api, void *memory, const void *data,
                           int64_t bytes);
const char *rope_gpu_read(int64_t api, void *data, const void *memory,
                          int64_t bytes);
const char *rope_gpu_synchronize(int64_t api);

#ifdef __cplusplus
}
#endif

/* NOLINTEND(readability-identifier-naming) */

#endif /* ROPE_RUNTIME_GPURUNTIME_H */

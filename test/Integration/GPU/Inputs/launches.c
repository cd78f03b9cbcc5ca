/* The runtime of GPU programs, whose memory is the host's and whose kernels a
 * function runs that the program sets: rope_testing/opencl.py sets one that
 * runs them in a checker. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct rope_gpu_module {
  int64_t api;
  const void *image;
  int64_t image_bytes;
  void *state;
} rope_gpu_module;

/* Pointers to memory of the device lie this far from where it is, so that code
 * of the host that uses one faults. */
enum { DISTANCE_BITS = 62 };
static void *to_device(void *host) {
  return (void *)((uintptr_t)host + ((uintptr_t)1 << DISTANCE_BITS));
}
static void *to_host(const void *device) {
  return (void *)((uintptr_t)device - ((uintptr_t)1 << DISTANCE_BITS));
}

static const char *error;
static void **memory;
static int64_t *sizes;
static int64_t count;

/* Of the allocation that holds `start`: bytes from there to its end. */
int64_t launches_bytes_behind(const char *start) {
  for (int64_t i = 0; i < count; ++i) {
    const char *first = memory[i];
    if (start >= first && start < first + sizes[i])
      return first + sizes[i] - start;
  }
  return -1;
}

typedef const char *launch_hook(const char *kernel, const int64_t *grid,
                                const int64_t *block, int64_t num_buffers,
                                void *const *buffers, int64_t num_scalars,
                                const int64_t *scalars);
static launch_hook *hook;
void launches_set_hook(launch_hook *new_hook) { hook = new_hook; }

void rope_gpu_launch(rope_gpu_module *module, const char *kernel,
                     int64_t grid_x, int64_t grid_y, int64_t grid_z,
                     int64_t block_x, int64_t block_y, int64_t block_z,
                     int64_t shared_bytes, int64_t num_buffers,
                     void *const *buffers, int64_t num_scalars,
                     const int64_t *scalars) {
  (void)module, (void)shared_bytes;
  int64_t grid[] = {grid_x, grid_y, grid_z};
  int64_t block[] = {block_x, block_y, block_z};
  void *host[128];
  for (int64_t i = 0; i < num_buffers && i < 128; ++i)
    host[i] = to_host(buffers[i]);
  if (!error && grid_x && grid_y && grid_z)
    error = hook(kernel, grid, block, num_buffers, host, num_scalars, scalars);
}
static void *allocate(int64_t bytes) {
  memory = realloc(memory, (size_t)(count + 1) * sizeof(*memory));
  sizes = realloc(sizes, (size_t)(count + 1) * sizeof(*sizes));
  sizes[count] = bytes;
  memory[count] = malloc((size_t)bytes + 1);
  return to_device(memory[count++]);
}
static void release(void *device) {
  void *freed = to_host(device);
  for (int64_t i = 0; i < count; ++i)
    if (memory[i] == freed) {
      --count;
      memory[i] = memory[count];
      sizes[i] = sizes[count];
      free(freed);
      return;
    }
}
void *rope_gpu_constant(rope_gpu_module *module, const void *data,
                        int64_t bytes) {
  (void)module;
  void *copy = allocate(bytes);
  memcpy(to_host(copy), data, (size_t)bytes);
  return copy;
}
void *rope_gpu_alloc(rope_gpu_module *module, int64_t bytes) {
  (void)module;
  return allocate(bytes);
}
void rope_gpu_free(rope_gpu_module *module, void *freed) {
  (void)module;
  release(freed);
}
void rope_gpu_check_address(const char *kernel, int64_t buffer,
                            const void *address, int64_t bytes) {
  (void)kernel, (void)buffer, (void)address, (void)bytes;
}

void rope_gpu_upload(rope_gpu_module *module, void *to, const void *data,
                     int64_t bytes) {
  (void)module;
  memcpy(to_host(to), data, (size_t)bytes);
}
void rope_gpu_fail(const char *message) {
  if (!error)
    error = strdup(message);
}
void rope_gpu_begin(int64_t api, void *stream) {
  (void)api, (void)stream;
  error = 0;
}
const char *rope_gpu_end(void) { return error; }
const char *rope_gpu_malloc(int64_t api, int64_t bytes, void **result) {
  (void)api;
  *result = allocate(bytes);
  return 0;
}
const char *rope_gpu_release(int64_t api, void *freed) {
  (void)api;
  release(freed);
  return 0;
}
const char *rope_gpu_write(int64_t api, void *to, const void *data,
                           int64_t bytes) {
  (void)api;
  memcpy(to_host(to), data, (size_t)bytes);
  return 0;
}
const char *rope_gpu_read(int64_t api, void *to, const void *from,
                          int64_t bytes) {
  (void)api;
  memcpy(to, to_host(from), (size_t)bytes);
  return 0;
}
const char *rope_gpu_synchronize(int64_t api) {
  (void)api;
  return 0;
}

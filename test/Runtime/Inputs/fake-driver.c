/* A driver of CUDA, or of HIP where FAKE_HIP is defined, that runs one kernel,
 * `scale`, on the host: device memory is the host's.
 *
 * FAKE_LOG=1 prints calls that matter. FAKE_FAIL=cuLaunchKernel:719 lets a
 * function return an error, FAKE_FAIL=cuLaunchKernel:719:2 after two calls.
 * FAKE_CAPTURE=1 lets streams record. FAKE_IMAGE names a file for the text of a
 * module that is loaded.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FAKE_HIP
#define NAME(cuda, hip) hip
#else
#define NAME(cuda, hip) cuda
#endif
#define STRING2(name) #name
#define STRING(name) STRING2(name)
/* int FUNCTION(cuda, hip)(..) begins with ENTER. */
#define ENTER(cuda, hip, ...)                                                  \
  do {                                                                         \
    if (getenv("FAKE_LOG"))                                                    \
      log_call(STRING(NAME(cuda, hip)) __VA_ARGS__);                           \
    int error = get_failure(STRING(NAME(cuda, hip)));                          \
    if (error)                                                                 \
      return error;                                                            \
  } while (0)
#define log_call(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout))

static int get_failure(const char *function) {
  const char *text = getenv("FAKE_FAIL");
  size_t length = strlen(function);
  static int calls;
  char *end;
  if (!text || strncmp(text, function, length) != 0 || text[length] != ':')
    return 0;
  int error = (int)strtol(text + length + 1, &end, 10);
  return *end == ':' && calls++ < atoi(end + 1) ? 0 : error;
}

static char context, other;
static _Thread_local void *current;

/* For tests: a current context that is not the primary one. */
void fake_set_current(int is_other) { current = is_other ? &other : 0; }

/* For tests: copies to the device are kept, and made later. */
static struct {
  void *to;
  const void *from;
  size_t bytes;
} recorded;
static int records;
void fake_record(int on) { records = on; }
void fake_play(void) { memcpy(recorded.to, recorded.from, recorded.bytes); }

int NAME(cuInit, hipInit)(unsigned flags) {
  ENTER(cuInit, hipInit);
  return flags;
}
int NAME(cuDeviceGetCount, hipGetDeviceCount)(int *count) {
  const char *text = getenv("FAKE_DEVICES");
  *count = text ? atoi(text) : 1;
  return 0;
}
int NAME(cuDeviceGet, hipDeviceGet)(int *device, int number) {
  *device = number;
  return 0;
}
int NAME(cuDeviceGetName, hipDeviceGetName)(char *name, int bytes, int device) {
  snprintf(name, (size_t)bytes, "Fake %d", device);
  return 0;
}
int NAME(cuDeviceGetAttribute, hipDeviceGetAttribute)(int *value, int number,
                                                      int device) {
  *value = number == 75 ? 9 : number == 76 ? 0 : number == 97 ? 232448 : 0;
  if (number == 115)
    *value = !getenv("FAKE_NO_POOLS");
  return device < 0;
}
#ifdef FAKE_HIP
int hipGetDevice(int *device) {
  *device = current ? 1 : 0;
  return 0;
}
int hipGetDevicePropertiesR0600(char *properties, int device) {
  strcpy(properties, "AMD Fake");
  strcpy(properties + 1160, "gfx942:sramecc+:xnack-");
  return device < 0;
}
int hipDrvGetErrorName(int error, const char **name) {
  *name = error == 1 ? "hipErrorInvalidValue" : "hipErrorOther";
  return 0;
}
int hipDrvGetErrorString(int error, const char **text) {
  *text = error == 1 ? "invalid argument" : "another error";
  return 0;
}
#else
int cuCtxGetDevice(int *device) {
  *device = current == &other ? 1 : 0;
  return current ? 0 : 201;
}
int cuDevicePrimaryCtxRetain(void **result, int device) {
  ENTER(cuDevicePrimaryCtxRetain, , " of device %d", device);
  *result = &context;
  return 0;
}
int cuCtxGetCurrent(void **result) {
  *result = current;
  return 0;
}
int cuCtxPushCurrent_v2(void *pushed) {
  if (current)
    return 1;
  current = pushed;
  return 0;
}
int cuCtxPopCurrent_v2(void **popped) {
  if (current != &context)
    return 1;
  *popped = current;
  current = 0;
  return 0;
}
int cuGetErrorName(int error, const char **name) {
  *name = error == 1     ? "CUDA_ERROR_INVALID_VALUE"
          : error == 2   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == 218 ? "CUDA_ERROR_INVALID_PTX"
                         : "CUDA_ERROR_UNKNOWN";
  return 0;
}
int cuGetErrorString(int error, const char **text) {
  *text = error == 1     ? "invalid argument"
          : error == 2   ? "out of memory"
          : error == 218 ? "a PTX JIT compilation failed"
                         : "unknown error";
  return 0;
}
int cuFuncSetAttribute(void *function, int number, int value) {
  ENTER(cuFuncSetAttribute, , " %d = %d", number, value);
  return function == 0;
}
#endif

int NAME(cuModuleLoadDataEx,
         hipModuleLoadDataEx)(void **module, const char *image, unsigned count,
                              int *options, void **values) {
  ENTER(cuModuleLoadDataEx, hipModuleLoadDataEx, " of %.9s", image);
  *module = (void *)image;
  if (getenv("FAKE_IMAGE")) {
    FILE *file = fopen(getenv("FAKE_IMAGE"), "w");
    if (!file || fputs(image, file) < 0 || fclose(file) != 0)
      return 1;
  }
  if (memcmp(image, "//\n.broken", 10) != 0)
    return 0;
  for (unsigned i = 0; i < count; ++i)
    if (options[i] == 5)
      strcpy(values[i], "ptxas application ptx input, line 2; fatal   : "
                        "Parsing error near '.broken'\n");
  return 218;
}
int NAME(cuModuleGetFunction, hipModuleGetFunction)(void **function,
                                                    void *module,
                                                    const char *name) {
  ENTER(cuModuleGetFunction, hipModuleGetFunction, " '%s'", name);
  /* Text names its kernels; in other images all are taken to be there. */
  if (memcmp(module, "\177ELF", 4) != 0 && strstr(module, name) == 0)
    return 500;
  *function = strdup(name);
  return 0;
}
int NAME(cuFuncGetAttribute, hipFuncGetAttribute)(int *value, int number,
                                                  void *function) {
  *value = number == 0 ? 512 : 1024;
  return function == 0;
}

/* Scales the numbers from `in` on. */
static void scale(void **parameters) {
  int32_t *in = *(int32_t **)parameters[0], *out = *(int32_t **)parameters[1];
  int64_t n = *(int64_t *)parameters[2], factor = *(int64_t *)parameters[3];
  for (int64_t i = 0; i < n; ++i)
    out[i] = (int32_t)(in[i] * factor);
}
int NAME(cuLaunchKernel,
         hipModuleLaunchKernel)(void *function, unsigned gx, unsigned gy,
                                unsigned gz, unsigned bx, unsigned by,
                                unsigned bz, unsigned shared, void *stream,
                                void **parameters, void **extra) {
  ENTER(cuLaunchKernel, hipModuleLaunchKernel,
        " '%s' grid %u %u %u block %u %u %u shared %u stream %d",
        (char *)function, gx, gy, gz, bx, by, bz, shared,
        (int)(intptr_t)stream);
  if (strcmp(function, "scale") == 0)
    scale(parameters);
  return extra != 0;
}
int NAME(cuMemAlloc_v2, hipMalloc)(void **memory, size_t bytes) {
  ENTER(cuMemAlloc_v2, hipMalloc, " %d", (int)bytes);
  *memory = malloc(bytes);
  return *memory ? 0 : 2;
}
int NAME(cuMemFree_v2, hipFree)(void *memory) {
  ENTER(cuMemFree_v2, hipFree);
  free(memory);
  return 0;
}
int NAME(cuMemAllocAsync, hipMallocAsync)(void **memory, size_t bytes,
                                          void *stream) {
  ENTER(cuMemAllocAsync, hipMallocAsync, " %d stream %d", (int)bytes,
        (int)(intptr_t)stream);
  *memory = malloc(bytes);
  return *memory ? 0 : 2;
}
int NAME(cuMemFreeAsync, hipFreeAsync)(void *memory, void *stream) {
  ENTER(cuMemFreeAsync, hipFreeAsync, " stream %d", (int)(intptr_t)stream);
  free(memory);
  return 0;
}
int NAME(cuDeviceGetDefaultMemPool, hipDeviceGetDefaultMemPool)(void **pool,
                                                                int device) {
  *pool = &context;
  return device < 0;
}
int NAME(cuMemPoolSetAttribute, hipMemPoolSetAttribute)(void *pool, int number,
                                                        uint64_t *value) {
  ENTER(cuMemPoolSetAttribute, hipMemPoolSetAttribute, " %d = %llx", number,
        (unsigned long long)*value);
  return pool != &context;
}
int NAME(cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync)(void *to, const void *from,
                                                   size_t bytes, void *stream) {
  ENTER(cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync, " %d stream %d", (int)bytes,
        (int)(intptr_t)stream);
  if (records) {
    recorded.to = to;
    recorded.from = from;
    recorded.bytes = bytes;
    return 0;
  }
  memcpy(to, from, bytes);
  return 0;
}
int NAME(cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync)(void *to, const void *from,
                                                   size_t bytes, void *stream) {
  ENTER(cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync, " %d stream %d", (int)bytes,
        (int)(intptr_t)stream);
  memcpy(to, from, bytes);
  return 0;
}
int NAME(cuStreamCreate, hipStreamCreateWithFlags)(void **stream,
                                                   unsigned flags) {
  *stream = (void *)77;
  return flags != 1;
}
int NAME(cuStreamDestroy_v2, hipStreamDestroy)(void *stream) {
  return stream != (void *)77;
}
int NAME(cuStreamSynchronize, hipStreamSynchronize)(void *stream) {
  ENTER(cuStreamSynchronize, hipStreamSynchronize, " %d",
        (int)(intptr_t)stream);
  return 0;
}
int NAME(cuStreamIsCapturing, hipStreamIsCapturing)(void *stream, int *status) {
  *status = getenv("FAKE_CAPTURE") != 0;
  return stream == (void *)77;
}
int NAME(cuThreadExchangeStreamCaptureMode,
         hipThreadExchangeStreamCaptureMode)(int *mode) {
  static int now;
  int before = now;
  now = *mode;
  *mode = before;
  return 0;
}

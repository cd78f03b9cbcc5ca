/* A driver of CUDA whose device memory is the host's, and whose kernels are run
 * by a function that the program sets: rope_testing/gpu.py sets one that
 * interprets their PTX.
 *
 * FAKE_CUDA_FAIL=cuMemAlloc_v2:2 lets a function return an error.
 * FAKE_CUDA_CHIP=90 is the compute capability, 80 by default.
 * FAKE_CUDA_LAZY=1 runs what is queued on streams no earlier than something
 * waits for it. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_PTX = 218,
  NOT_FOUND = 500
};

/* One thread at a time is in here, also while kernels run. */
static pthread_mutex_t mutex;
__attribute__((constructor)) static void start(void) {
  pthread_mutexattr_t recursive;
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&mutex, &recursive);
}
static void unlock(int *unused) {
  (void)unused;
  pthread_mutex_unlock(&mutex);
}

/* ------------------------------------------------------------------ log */

static char *text;
static size_t text_used, text_size;

const char *fake_cuda_log(void) { return text ? text : ""; }
void fake_cuda_clear_log(void) {
  text_used = 0;
  if (text)
    *text = 0;
}
__attribute__((format(printf, 1, 2))) static void note(const char *format,
                                                       ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  size_t length = (size_t)vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  if (length >= sizeof(line))
    length = sizeof(line) - 1;
  if (text_used + length + 2 > text_size) {
    text_size = 2 * text_size + sizeof(line) + 2;
    text = realloc(text, text_size);
  }
  memcpy(text + text_used, line, length);
  text_used += length;
  text[text_used++] = '\n';
  text[text_used] = 0;
}

static int get_failure(const char *function) {
  const char *wanted = getenv("FAKE_CUDA_FAIL");
  size_t length = strlen(function);
  if (wanted && strncmp(wanted, function, length) == 0 && wanted[length] == ':')
    return atoi(wanted + length + 1);
  return 0;
}

/* Each function begins with it. */
#define ENTER(...)                                                             \
  __attribute__((cleanup(unlock))) int locked = pthread_mutex_lock(&mutex);    \
  note(__VA_ARGS__);                                                           \
  if (locked || (locked = get_failure(__func__)))                              \
  return locked

/* --------------------------------------------------------------- memory */

/* As aligned as a driver's memory is. Code of the host that touches it faults:
 * it is only there for copies and kernels. A page that always faults lies
 * behind, and memory that was freed faults. */
enum { ALIGNMENT = 256, PAGE = 4096 };

struct allocation {
  char *start;
  size_t bytes;
};
static struct allocation *live;
static size_t live_count, live_size;

size_t fake_cuda_allocations(uint64_t *starts, uint64_t *sizes, size_t max) {
  for (size_t i = 0; i < live_count && i < max; ++i) {
    starts[i] = (uintptr_t)live[i].start;
    sizes[i] = live[i].bytes;
  }
  return live_count;
}

static char *first_page(const struct allocation *allocation) {
  return (char *)((uintptr_t)allocation->start / PAGE * PAGE);
}
/* Lets everything in here touch what is allocated, or nothing any more. */
static void open_memory(int is_open) {
  static int depth;
  if (is_open ? depth++ : --depth)
    return;
  for (size_t i = 0; i < live_count; ++i) {
    char *start = first_page(&live[i]);
    mprotect(start, (size_t)(live[i].start - start) + live[i].bytes,
             is_open ? PROT_READ | PROT_WRITE : PROT_NONE);
  }
}
/* For tests that look at memory themselves. */
void fake_cuda_open_memory(int is_open) { open_memory(is_open); }

static int allocate(void **result, size_t bytes) {
  if (bytes == 0)
    return INVALID_VALUE;
  size_t body = (bytes + PAGE - 1) / PAGE * PAGE;
  char *pages = mmap(0, body + PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return OUT_OF_MEMORY;
  /* No number in any type of floats. */
  memset(pages, 0xff, body);
  mprotect(pages, body + PAGE, PROT_NONE);
  if (live_count == live_size) {
    live_size = 2 * live_size + 16;
    live = realloc(live, live_size * sizeof(*live));
  }
  char *start = pages + body - (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  live[live_count].start = start;
  live[live_count++].bytes = bytes;
  *result = start;
  return 0;
}
static int release(void *memory) {
  for (size_t i = 0; i < live_count; ++i) {
    if (live[i].start != memory)
      continue;
    char *start = first_page(&live[i]);
    mprotect(start, (size_t)(live[i].start - start) + live[i].bytes, PROT_NONE);
    live[i] = live[--live_count];
    return 0;
  }
  return INVALID_VALUE;
}
static int is_inside(const void *memory, size_t bytes) {
  const char *start = memory;
  for (size_t i = 0; i < live_count; ++i)
    if (start >= live[i].start &&
        start + bytes <= live[i].start + live[i].bytes)
      return 1;
  return 0;
}

/* -------------------------------------------------------------- kernels */

struct module {
  char *image;
};
struct function {
  struct module *module;
  char *name;
};

/* Runs a kernel; returns an error of the driver. */
typedef int launch_hook(const char *image, const char *kernel,
                        const unsigned grid[3], const unsigned block[3],
                        unsigned shared, void **parameters, void *stream);
static launch_hook *hook;
void fake_cuda_set_launch(launch_hook *new_hook) { hook = new_hook; }

/* Sizes of the parameters of a kernel, from its PTX. */
static size_t parameters_of(const char *image, const char *kernel,
                            size_t *sizes, size_t max) {
  char head[600];
  snprintf(head, sizeof(head), ".entry %.500s(", kernel);
  const char *at = strstr(image, head),
             *end = at ? strchr(at + strlen(head), ')') : 0;
  size_t count = 0;
  for (at = end ? strstr(at, ".param") : 0; at && at < end && count < max;
       at = strstr(at + 1, ".param")) {
    size_t bits = 0, elements = 1;
    const char *comma = strchr(at, ',');
    if (!comma || comma > end)
      comma = end;
    for (const char *type = at + 6; type < comma; ++type)
      if (*type == '.' && strchr("bufs", type[1]) &&
          sscanf(type + 2, "%zu", &bits) == 1)
        break;
    const char *bracket = memchr(at, '[', (size_t)(comma - at));
    if (bracket)
      sscanf(bracket + 1, "%zu", &elements);
    sizes[count++] = bits / 8 * elements;
  }
  return count;
}
size_t fake_cuda_parameters(const char *image, const char *kernel,
                            size_t *sizes, size_t max) {
  return parameters_of(image, kernel, sizes, max);
}

/* --------------------------------------------------------------- queues */

struct work {
  enum { LAUNCH, COPY, FREE } kind;
  struct function *function;
  unsigned grid[3], block[3], shared;
  void *parameters[128];
  void *stream, *to;
  void *from;
  size_t bytes;
  struct work *next;
};
static struct work *first, **last = &first;
/* What went wrong in a kernel stays, as with a real driver. */
static int broken;

static void run(struct work *work) {
  if (work->kind != FREE)
    open_memory(1);
  if (work->kind == LAUNCH && hook && !broken)
    broken =
        hook(work->function->module->image, work->function->name, work->grid,
             work->block, work->shared, work->parameters, work->stream);
  if (work->kind == COPY)
    memcpy(work->to, work->from, work->bytes);
  if (work->kind != FREE)
    open_memory(0);
  else
    release(work->to);
}
static int flush(void) {
  while (first) {
    struct work *work = first;
    first = work->next;
    if (!first)
      last = &first;
    run(work);
    if (work->kind == COPY)
      free(work->from);
    for (size_t i = 0; i < 128; ++i)
      free(work->parameters[i]);
    free(work);
  }
  return broken;
}
static int queue(struct work work) {
  struct work *copy = malloc(sizeof(work));
  *copy = work;
  copy->next = 0;
  *last = copy;
  last = &copy->next;
  return getenv("FAKE_CUDA_LAZY") ? broken : flush();
}
/* Waits, and forgets what went wrong. */
int fake_cuda_reset(void) {
  int error = flush();
  broken = 0;
  return error;
}

/* ----------------------------------------------------- devices, contexts */

static char context;
static _Thread_local void *current;

int cuInit(unsigned flags) {
  ENTER("cuInit");
  return (int)flags;
}
int cuDeviceGetCount(int *count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int *device, int number) {
  *device = number;
  return 0;
}
int cuDeviceGetName(char *name, int bytes, int device) {
  snprintf(name, (size_t)bytes, "PTX interpreter");
  return device;
}
int cuDeviceGetAttribute(int *value, int number, int device) {
  const char *chip = getenv("FAKE_CUDA_CHIP");
  int capability = chip ? atoi(chip) : 80;
  switch (number) {
  case 1:
    *value = 1024;
    break; /* threads of a block */
  case 8:
    *value = 48 * 1024;
    break; /* shared memory of a block */
  case 10:
    *value = 32;
    break; /* threads of a warp */
  case 16:
    *value = 2;
    break; /* multiprocessors */
  case 75:
    *value = capability / 10;
    break;
  case 76:
    *value = capability % 10;
    break;
  case 97:
    *value = (capability >= 90 ? 227 : 163) * 1024;
    break;
  case 115:
    *value = !getenv("FAKE_CUDA_NO_POOLS");
    break;
  default:
    return INVALID_VALUE;
  }
  return device;
}
int cuDevicePrimaryCtxRetain(void **result, int device) {
  ENTER("cuDevicePrimaryCtxRetain");
  *result = &context;
  return device;
}
int cuCtxGetCurrent(void **result) {
  *result = current;
  return 0;
}
int cuCtxSetCurrent(void *set) {
  current = set;
  return 0;
}
int cuCtxPushCurrent_v2(void *pushed) {
  current = pushed;
  return 0;
}
int cuCtxPopCurrent_v2(void **popped) {
  *popped = current;
  current = 0;
  return 0;
}
int cuCtxGetDevice(int *device) {
  *device = 0;
  return current ? 0 : 201;
}
int cuGetErrorName(int error, const char **name) {
  *name = error == INVALID_VALUE   ? "CUDA_ERROR_INVALID_VALUE"
          : error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == INVALID_PTX   ? "CUDA_ERROR_INVALID_PTX"
          : error == NOT_FOUND     ? "CUDA_ERROR_NOT_FOUND"
          : error == 719           ? "CUDA_ERROR_LAUNCH_FAILED"
                                   : "CUDA_ERROR_UNKNOWN";
  return 0;
}
int cuGetErrorString(int error, const char **sentence) {
  *sentence = error == INVALID_VALUE   ? "invalid argument"
              : error == OUT_OF_MEMORY ? "out of memory"
              : error == INVALID_PTX   ? "a PTX JIT compilation failed"
              : error == NOT_FOUND     ? "named symbol not found"
              : error == 719           ? "unspecified launch failure"
                                       : "unknown error";
  return 0;
}

/* -------------------------------------------------- modules and launches */

int cuModuleLoadDataEx(void **result, const char *image, unsigned count,
                       int *options, void **values) {
  (void)count, (void)options, (void)values;
  ENTER("cuModuleLoadDataEx");
  if (!strstr(image, ".version") || !strstr(image, ".target"))
    return INVALID_PTX;
  struct module *module = malloc(sizeof(*module));
  module->image = strdup(image);
  *result = module;
  return 0;
}
int cuModuleGetFunction(void **result, void *module, const char *name) {
  ENTER("cuModuleGetFunction %s", name);
  char entry[600];
  snprintf(entry, sizeof(entry), ".entry %.500s(", name);
  if (!strstr(((struct module *)module)->image, entry))
    return NOT_FOUND;
  struct function *function = malloc(sizeof(*function));
  function->module = module;
  function->name = strdup(name);
  *result = function;
  return 0;
}
int cuFuncGetAttribute(int *value, int number, void *function) {
  *value = number == 0 ? 1024 : 0;
  return function ? 0 : INVALID_VALUE;
}
int cuFuncSetAttribute(void *function, int number, int value) {
  ENTER("cuFuncSetAttribute %d = %d", number, value);
  return function ? 0 : INVALID_VALUE;
}
int cuLaunchKernel(void *handle, unsigned gx, unsigned gy, unsigned gz,
                   unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **parameters, void **extra) {
  struct function *function = handle;
  ENTER("cuLaunchKernel %s grid %u %u %u block %u %u %u shared %u stream %d",
        function->name, gx, gy, gz, bx, by, bz, shared, (int)(intptr_t)stream);
  if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024 || extra)
    return INVALID_VALUE;
  struct work work = {.kind = LAUNCH,
                      .function = function,
                      .grid = {gx, gy, gz},
                      .block = {bx, by, bz},
                      .shared = shared,
                      .stream = stream};
  size_t sizes[128];
  size_t count =
      parameters_of(function->module->image, function->name, sizes, 128);
  /* The caller may reuse them after this. */
  for (size_t i = 0; i < count; ++i) {
    work.parameters[i] = malloc(sizes[i] ? sizes[i] : 1);
    memcpy(work.parameters[i], parameters[i], sizes[i]);
  }
  return queue(work);
}

/* --------------------------------------------------------------- memory */

int cuMemAlloc_v2(void **memory, size_t bytes) {
  ENTER("cuMemAlloc_v2 %zu", bytes);
  return allocate(memory, bytes);
}
int cuMemFree_v2(void *memory) {
  ENTER("cuMemFree_v2");
  flush();
  return release(memory);
}
int cuMemAllocAsync(void **memory, size_t bytes, void *stream) {
  ENTER("cuMemAllocAsync %zu stream %d", bytes, (int)(intptr_t)stream);
  return allocate(memory, bytes);
}
int cuMemFreeAsync(void *memory, void *stream) {
  ENTER("cuMemFreeAsync stream %d", (int)(intptr_t)stream);
  if (!is_inside(memory, 1))
    return INVALID_VALUE;
  struct work work = {.kind = FREE, .to = memory};
  return queue(work);
}
int cuDeviceGetDefaultMemPool(void **pool, int device) {
  *pool = &context;
  return device;
}
int cuMemPoolSetAttribute(void *pool, int number, uint64_t *value) {
  return pool != &context || number != 4 || !value;
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes,
                         void *stream) {
  ENTER("cuMemcpyHtoDAsync_v2 %zu stream %d", bytes, (int)(intptr_t)stream);
  if (!is_inside(to, bytes))
    return INVALID_VALUE;
  /* Memory of the host that is not pinned is read before the call returns. */
  struct work work = {
      .kind = COPY, .to = to, .from = malloc(bytes + 1), .bytes = bytes};
  memcpy(work.from, from, bytes);
  return queue(work);
}
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes,
                         void *stream) {
  ENTER("cuMemcpyDtoHAsync_v2 %zu stream %d", bytes, (int)(intptr_t)stream);
  if (!is_inside(from, bytes))
    return INVALID_VALUE;
  int error = flush();
  if (error)
    return error;
  open_memory(1);
  memcpy(to, from, bytes);
  open_memory(0);
  return 0;
}

/* -------------------------------------------------------------- streams */

int cuStreamCreate(void **stream, unsigned flags) {
  static intptr_t count = 1000;
  ENTER("cuStreamCreate flags %u", flags);
  *stream = (void *)++count;
  return 0;
}
int cuStreamDestroy_v2(void *stream) {
  ENTER("cuStreamDestroy_v2");
  return stream ? 0 : INVALID_VALUE;
}
int cuStreamSynchronize(void *stream) {
  ENTER("cuStreamSynchronize %d", (int)(intptr_t)stream);
  return flush();
}
int cuStreamIsCapturing(void *stream, int *status) {
  (void)stream;
  *status = 0;
  return 0;
}
int cuThreadExchangeStreamCaptureMode(int *mode) {
  static _Thread_local int now;
  int before = now;
  now = *mode;
  *mode = before;
  return 0;
}

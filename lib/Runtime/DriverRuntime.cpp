//===- DriverRuntime.cpp - the runtime of CUDA and HIP --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DriverRuntime.h"
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace rope::gpu;

// Numbers that both APIs have alike.
static constexpr int functionMaxThreads = 0, functionSharedBytes = 1;
static constexpr int functionMaxDynamicSharedBytes = 8;
static constexpr int poolReleaseThreshold = 4;
static constexpr int jitErrorLog = 5, jitErrorLogBytes = 6;
static constexpr unsigned streamNonBlocking = 1;
static constexpr int captureModeRelaxed = 2;

/// What a block may use without asking.
static constexpr int64_t defaultSharedBytes = 48 * 1024;
static constexpr int64_t maxParameters = 128;

/// A number where a pointer is passed.
static void *asPointer(uintptr_t number) {
  void *pointer;
  memcpy(static_cast<void *>(&pointer), &number, sizeof(pointer));
  return pointer;
}

namespace {
struct Kernel {
  void *function;
  int maxThreads;
  /// What the function was last told that it may use.
  int64_t sharedBytes;
};

/// A module in one context.
struct LoadedModule {
  Context *context;
  void *handle;
  AddressMap<Kernel> kernels;
  AddressMap<void *> constants;
  LoadedModule *next;
};
} // namespace

//===----------------------------------------------------------------------===//
// The driver
//===----------------------------------------------------------------------===//

bool Driver::check(int error, const char *function, const char *format, ...) {
  if (error == 0)
    return true;
  char purpose[1000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(purpose, sizeof(purpose), format, arguments);
  va_end(arguments);
  const char *errorName = nullptr, *text = nullptr;
  if (getErrorName)
    getErrorName(error, &errorName);
  if (getErrorText)
    getErrorText(error, &text);
  fail("%s failed for %s: %s (%s, %d)", function, purpose,
       text ? text : "an unknown error", errorName ? errorName : "no name",
       error);
  return false;
}

namespace {
struct Loader {
  void *library;
  const char *libraryName;
  bool failed;

  template <typename... Arguments>
  void operator()(Function<Arguments...> &function) {
    if (!function.name || failed)
      return;
    // Symbols have no type: this is what the drivers' headers declare.
    void *symbol = dlsym(library, function.name);
    function.pointer = reinterpret_cast<int (*)(Arguments...)>(symbol);
    if (!symbol && !function.optional) {
      failFunction(libraryName, function.name);
      failed = true;
    }
  }
};
} // namespace

bool Driver::load() {
  if (loaded.load(std::memory_order_acquire))
    return true;
  Lock lock(mutex);
  if (loaded.load(std::memory_order_relaxed))
    return true;
  if (!library)
    library = openLibrary(variable, libraries, missing);
  if (!library)
    return false;
  Loader loader = {library, name, false};
  loader(init);
  loader(getDeviceCount);
  loader(getDevice);
  loader(getDeviceName);
  loader(getDeviceAttribute);
  loader(retainPrimaryContext);
  loader(getCurrentContext);
  loader(pushContext);
  loader(popContext);
  loader(getCurrentDevice);
  loader(loadModule);
  loader(getFunction);
  loader(getFunctionAttribute);
  loader(setFunctionAttribute);
  loader(launchKernel);
  loader(alloc);
  loader(free);
  loader(allocAsync);
  loader(freeAsync);
  loader(getDefaultPool);
  loader(setPoolAttribute);
  loader(copyToDevice);
  loader(copyFromDevice);
  loader(createStream);
  loader(destroyStream);
  loader(synchronizeStream);
  loader(isCapturing);
  loader(exchangeCaptureMode);
  loader(getErrorName);
  loader(getErrorText);
  if (loader.failed)
    return false;
  if (!check(init(0), init.name, "the first use of the driver"))
    return false;
  int count = 0;
  if (!check(getDeviceCount(&count), getDeviceCount.name, "the driver"))
    return false;
  if (count < 1) {
    fail("no device was found: the %s driver lists none", name);
    return false;
  }
  loaded.store(true, std::memory_order_release);
  return true;
}

/// The state of the context, made at its first use.
Context *Driver::addContext(void *handle) {
  Lock lock(mutex);
  for (Context *context = contexts.load(); context; context = context->next)
    if (context->handle == handle)
      return context;
  auto *context = create<Context>();
  if (!context)
    return nullptr;
  context->handle = handle;
  if (!check(getCurrentDevice(&context->device), getCurrentDevice.name,
             "the current context")) {
    ::free(context);
    return nullptr;
  }
  auto attribute = [&](int number, int otherwise) {
    int value = 0;
    if (number < 0 || getDeviceAttribute(&value, number, context->device) != 0)
      return otherwise;
    return value;
  };
  context->maxSharedBytes =
      attribute(deviceAttributes.maxBlockSharedBytes, 64 * 1024);
  context->maxGrid[0] = INT32_MAX;
  context->maxGrid[1] = context->maxGrid[2] = 65535;
  // Memory that was freed is kept for later calls, which then wait for nothing.
  context->hasPools = allocAsync && freeAsync && getDefaultPool &&
                      setPoolAttribute &&
                      attribute(deviceAttributes.poolsSupported, 1);
  if (context->hasPools) {
    void *pool = nullptr;
    uint64_t threshold = UINT64_MAX;
    context->hasPools =
        getDefaultPool(&pool, context->device) == 0 &&
        setPoolAttribute(pool, poolReleaseThreshold, &threshold) == 0;
  }
  context->next = contexts.load();
  contexts.store(context, std::memory_order_release);
  return context;
}

/// Null after a report.
void *Driver::getPrimaryContext() {
  if (void *handle = primaryContext.load(std::memory_order_acquire))
    return handle;
  Lock lock(mutex);
  void *handle = primaryContext.load(std::memory_order_relaxed);
  int device = 0;
  if (handle ||
      !check(getDevice(&device, 0), getDevice.name, "the first device") ||
      !check(retainPrimaryContext(&handle, device), retainPrimaryContext.name,
             "the first device"))
    return handle;
  primaryContext.store(handle, std::memory_order_release);
  return handle;
}

Context *Driver::getContext(Session &session) {
  void *handle = nullptr;
  if (retainPrimaryContext) {
    if (!check(getCurrentContext(&handle), getCurrentContext.name,
               "the thread"))
      return nullptr;
    if (!handle) {
      handle = getPrimaryContext();
      if (!handle || !check(pushContext(handle), pushContext.name,
                            "the first device's context"))
        return nullptr;
      session.pushed = true;
    }
  } else {
    int device = 0;
    if (!check(getCurrentDevice(&device), getCurrentDevice.name, "the thread"))
      return nullptr;
    handle = asPointer(static_cast<uintptr_t>(device) + 1);
  }
  for (Context *context = contexts.load(std::memory_order_acquire); context;
       context = context->next)
    if (context->handle == handle)
      return context;
  return addContext(handle);
}

bool Driver::begin(Session &session) {
  if (!load())
    return false;
  session.pushed = false;
  session.state = getContext(session);
  if (!session.state)
    end(session);
  return session.state;
}

void Driver::end(Session &session) {
  void *context = nullptr;
  if (session.pushed)
    popContext(&context);
  session.pushed = false;
}

void Driver::describe(Session &session, char *deviceName, size_t nameBytes,
                      char *chip, size_t chipBytes) {
  auto &context = *static_cast<Context *>(session.state);
  *deviceName = *chip = 0;
  if (check(getDeviceName(deviceName, static_cast<int>(nameBytes),
                          context.device),
            getDeviceName.name, "device %d", context.device))
    describeChip(*this, library, context.device, chip, chipBytes);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {
/// Lets the thread do what is not allowed while a stream records a graph, but
/// does not concern the graph: loading modules and constants.
class RelaxedCapture {
public:
  explicit RelaxedCapture(Driver &driver) : driver(driver) {
    if (driver.exchangeCaptureMode)
      driver.exchangeCaptureMode(&mode);
  }
  RelaxedCapture(const RelaxedCapture &) = delete;
  RelaxedCapture &operator=(const RelaxedCapture &) = delete;
  ~RelaxedCapture() {
    if (driver.exchangeCaptureMode)
      driver.exchangeCaptureMode(&mode);
  }

private:
  Driver &driver;
  int mode = captureModeRelaxed;
};
} // namespace

/// The module in the context, loaded where it is used first.
static LoadedModule *loadModuleOnce(Driver &driver, Context &context,
                                    rope_gpu_module *module) {
  Lock lock(driver.mutex);
  auto *first = getState<LoadedModule>(module);
  for (LoadedModule *loaded = first; loaded; loaded = loaded->next)
    if (loaded->context == &context)
      return loaded;
  RelaxedCapture relaxed(driver);
  char log[2000] = "";
  int options[] = {jitErrorLog, jitErrorLogBytes};
  // A value stands for a pointer here.
  void *values[] = {log, asPointer(sizeof(log) - 1)};
  bool hasLog(driver.retainPrimaryContext);
  void *handle = nullptr;
  int error =
      driver.loadModule(&handle, module->image, hasLog ? 2 : 0,
                        hasLog ? options : nullptr, hasLog ? values : nullptr);
  if (error) {
    char device[256] = "?", chip[64] = "?";
    driver.getDeviceName(device, sizeof(device), context.device);
    driver.describeChip(driver, driver.library, context.device, chip,
                        sizeof(chip));
    for (size_t end = strlen(log); end && strchr("\n ", log[end - 1]);)
      log[--end] = 0;
    driver.check(error, driver.loadModule.name, "kernels on %s (%s)%s%s%s",
                 device, chip, *log ? ", which the driver rejects as '" : "",
                 log, *log ? "'" : "");
    return nullptr;
  }
  auto *loaded = create<LoadedModule>();
  if (!loaded)
    return nullptr;
  loaded->context = &context;
  loaded->handle = handle;
  loaded->next = first;
  setState(module, loaded);
  return loaded;
}

static LoadedModule *getLoadedModule(Driver &driver, Context &context,
                                     rope_gpu_module *module) {
  for (auto *loaded = getState<LoadedModule>(module); loaded;
       loaded = loaded->next)
    if (loaded->context == &context)
      return loaded;
  return loadModuleOnce(driver, context, module);
}

static Kernel *loadKernel(Driver &driver, LoadedModule &module,
                          const char *name) {
  Lock lock(driver.mutex);
  if (Kernel *kernel = module.kernels.find(name))
    return kernel;
  RelaxedCapture relaxed(driver);
  Kernel kernel = {};
  int staticBytes = 0;
  if (!driver.check(driver.getFunction(&kernel.function, module.handle, name),
                    driver.getFunction.name, "kernel '%s'", name) ||
      !driver.check(driver.getFunctionAttribute(&kernel.maxThreads,
                                                functionMaxThreads,
                                                kernel.function),
                    driver.getFunctionAttribute.name, "kernel '%s'", name) ||
      !driver.check(driver.getFunctionAttribute(
                        &staticBytes, functionSharedBytes, kernel.function),
                    driver.getFunctionAttribute.name, "kernel '%s'", name))
    return nullptr;
  kernel.sharedBytes = defaultSharedBytes - staticBytes;
  return module.kernels.insert(name, kernel);
}

/// Asks for more shared memory than every kernel has.
static bool allowSharedBytes(Driver &driver, Context &context, Kernel &kernel,
                             const Launch &launch) {
  if (launch.sharedBytes > context.maxSharedBytes) {
    fail("kernel '%s' needs %" PRId64
         " bytes of shared memory a block, but the device has %d",
         launch.kernel, launch.sharedBytes, context.maxSharedBytes);
    return false;
  }
  Lock lock(driver.mutex);
  if (launch.sharedBytes <= kernel.sharedBytes)
    return true;
  if (driver.setFunctionAttribute.pointer &&
      !driver.check(driver.setFunctionAttribute(
                        kernel.function, functionMaxDynamicSharedBytes,
                        static_cast<int>(launch.sharedBytes)),
                    driver.setFunctionAttribute.name,
                    "%" PRId64 " bytes of shared memory of kernel '%s'",
                    launch.sharedBytes, launch.kernel))
    return false;
  __atomic_store_n(&kernel.sharedBytes, launch.sharedBytes, __ATOMIC_RELEASE);
  return true;
}

static bool checkSizes(Driver &driver, const Context &context,
                       const Kernel &kernel, const Launch &launch) {
  const int64_t *grid = launch.grid, *block = launch.block;
  for (int i = 0; i < 3; ++i)
    if (grid[i] > context.maxGrid[i]) {
      fail("kernel '%s' cannot run on %" PRId64
           " blocks along dimension %d of the grid: the device takes %" PRId64,
           launch.kernel, grid[i], i, context.maxGrid[i]);
      return false;
    }
  // No product of three such numbers overflows once each is bounded.
  int64_t threads = 1;
  for (int i = 0; i < 3 && threads <= kernel.maxThreads; ++i)
    threads = block[i] > kernel.maxThreads ? block[i] : threads * block[i];
  if (threads > kernel.maxThreads) {
    fail("kernel '%s' cannot run in blocks of %" PRId64 " x %" PRId64
         " x %" PRId64 " threads: the device takes %d for it",
         launch.kernel, block[0], block[1], block[2], kernel.maxThreads);
    return false;
  }
  return true;
}

void Driver::launch(Session &session, const Launch &launch) {
  auto &context = *static_cast<Context *>(session.state);
  LoadedModule *module = getLoadedModule(*this, context, launch.module);
  if (!module)
    return;
  Kernel *kernel = module->kernels.find(launch.kernel);
  if (!kernel && !(kernel = loadKernel(*this, *module, launch.kernel)))
    return;
  if (!checkSizes(*this, context, *kernel, launch))
    return;
  if (launch.sharedBytes >
          __atomic_load_n(&kernel->sharedBytes, __ATOMIC_ACQUIRE) &&
      !allowSharedBytes(*this, context, *kernel, launch))
    return;
  if (launch.numBuffers + launch.numScalars > maxParameters)
    return fail("kernel '%s' has %" PRId64
                " parameters: the runtime takes at most %" PRId64,
                launch.kernel, launch.numBuffers + launch.numScalars,
                maxParameters);
  void *parameters[maxParameters];
  void **end = parameters;
  // The driver reads them and changes nothing.
  for (int64_t i = 0; i < launch.numBuffers; ++i)
    *end++ = const_cast<void **>(launch.buffers + i);
  for (int64_t i = 0; i < launch.numScalars; ++i)
    *end++ = const_cast<int64_t *>(launch.scalars + i);
  const int64_t *grid = launch.grid, *block = launch.block;
  int error = launchKernel(
      kernel->function, static_cast<unsigned>(grid[0]),
      static_cast<unsigned>(grid[1]), static_cast<unsigned>(grid[2]),
      static_cast<unsigned>(block[0]), static_cast<unsigned>(block[1]),
      static_cast<unsigned>(block[2]),
      static_cast<unsigned>(launch.sharedBytes), session.stream, parameters,
      nullptr);
  if (error)
    check(error, launchKernel.name,
          "kernel '%s' (%" PRId64 " x %" PRId64 " x %" PRId64
          " blocks of %" PRId64 " x %" PRId64 " x %" PRId64 " threads, %" PRId64
          " bytes of dynamic shared memory)",
          launch.kernel, grid[0], grid[1], grid[2], block[0], block[1],
          block[2], launch.sharedBytes);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Constants are copied on a stream of their own, which waits for nobody's
/// work and is no part of a graph that is being recorded.
static void *copyConstant(Driver &driver, LoadedModule &module,
                          const void *data, size_t bytes) {
  Lock lock(driver.mutex);
  if (void **known = module.constants.find(data, bytes))
    return *known;
  RelaxedCapture relaxed(driver);
  void *memory = nullptr, *stream = nullptr;
  if (!driver.check(driver.alloc(&memory, bytes ? bytes : 1), driver.alloc.name,
                    "a constant of %zu bytes", bytes))
    return nullptr;
  bool copied = driver.check(driver.createStream(&stream, streamNonBlocking),
                             driver.createStream.name, "a constant") &&
                driver.check(driver.copyToDevice(memory, data, bytes, stream),
                             driver.copyToDevice.name,
                             "a constant of %zu bytes", bytes) &&
                driver.check(driver.synchronizeStream(stream),
                             driver.synchronizeStream.name, "a constant");
  if (stream)
    driver.destroyStream(stream);
  if (!copied || !module.constants.insert(data, memory, bytes)) {
    driver.free(memory);
    return nullptr;
  }
  return memory;
}

void *Driver::constant(Session &session, rope_gpu_module *module,
                       const void *data, size_t bytes) {
  auto &context = *static_cast<Context *>(session.state);
  LoadedModule *loaded = getLoadedModule(*this, context, module);
  if (!loaded)
    return nullptr;
  if (void **known = loaded->constants.find(data, bytes))
    return *known;
  return copyConstant(*this, *loaded, data, bytes);
}

void *Driver::allocInOrder(Session &session, size_t bytes) {
  auto &context = *static_cast<Context *>(session.state);
  if (!context.hasPools)
    return allocate(session, bytes);
  void *memory = nullptr;
  if (!check(allocAsync(&memory, bytes ? bytes : 1, session.stream),
             allocAsync.name, "a buffer of %zu bytes", bytes))
    return nullptr;
  return memory;
}

void Driver::freeInOrder(Session &session, void *memory) {
  auto &context = *static_cast<Context *>(session.state);
  if (!context.hasPools)
    return release(session, memory);
  check(freeAsync(memory, session.stream), freeAsync.name, "a buffer");
}

void Driver::upload(Session &session, void *memory, const void *data,
                    size_t bytes) {
  // A graph reads the data each time it runs: it gets a copy that stays.
  int capturing = 0;
  if (isCapturing && isCapturing(session.stream, &capturing) == 0 &&
      capturing == 1) {
    void *copy = malloc(bytes);
    if (!copy)
      return fail("the host is out of memory");
    memcpy(copy, data, bytes);
    data = copy;
  }
  check(copyToDevice(memory, data, bytes, session.stream), copyToDevice.name,
        "%zu bytes", bytes);
}

void *Driver::allocate(Session &session, size_t bytes) {
  void *memory = nullptr;
  if (!check(alloc(&memory, bytes ? bytes : 1), alloc.name,
             "a buffer of %zu bytes", bytes))
    return nullptr;
  return memory;
}

void Driver::release(Session &session, void *memory) {
  check(free(memory), free.name, "a buffer");
}

void Driver::write(Session &session, void *memory, const void *data,
                   size_t bytes) {
  if (check(copyToDevice(memory, data, bytes, session.stream),
            copyToDevice.name, "%zu bytes", bytes))
    synchronize(session);
}

void Driver::read(Session &session, void *data, const void *memory,
                  size_t bytes) {
  if (check(copyFromDevice(data, memory, bytes, session.stream),
            copyFromDevice.name, "%zu bytes", bytes))
    synchronize(session);
}

void Driver::synchronize(Session &session) {
  check(synchronizeStream(session.stream), synchronizeStream.name,
        "the work that was queued");
}

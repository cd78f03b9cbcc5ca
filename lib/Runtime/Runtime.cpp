//===- Runtime.cpp - threads and scratch memory of compiled loops ---------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Linked into every shared library that rope-compile makes, by whatever linker
// is there: nothing but the C library and its threads is used, no C++ library,
// no thread-local storage, no initialisation at load time.
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/Runtime.h"
#include <atomic>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <pthread.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

//===----------------------------------------------------------------------===//
// Processors
//===----------------------------------------------------------------------===//

static constexpr int64_t maxThreads = 4096;

/// Tells the processor that this is a waiting loop.
static inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How floats are rounded and whether denormals are flushed, so that a result
/// does not depend on which thread computes it.
static inline uint64_t getFloatControl() {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr();
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#else
  return 0;
#endif
}

static inline void setFloatControl(uint64_t control) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(static_cast<uint32_t>(control));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(control));
#endif
}

static int64_t getNanoseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

#ifdef __linux__
namespace {
/// The processors that the process may use.
struct Processors {
  cpu_set_t sets[maxThreads / CPU_SETSIZE];

  /// The mask is the process's first thread's: the calling one may be bound to
  /// a single processor by its own runtime.
  bool read() {
    CPU_ZERO_S(sizeof(sets), sets);
    return sched_getaffinity(getpid(), sizeof(sets), sets) == 0 && count();
  }
  int64_t count() const { return CPU_COUNT_S(sizeof(sets), sets); }

  /// The next processor after `processor`, around the end.
  int next(int processor) const {
    do
      processor = (processor + 1) % static_cast<int>(maxThreads);
    while (!CPU_ISSET_S(processor, sizeof(sets), sets));
    return processor;
  }
};
} // namespace

static int64_t countProcessors() {
  Processors processors;
  return processors.read() ? processors.count() : 1;
}
#else
static int64_t countProcessors() {
  int64_t count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : count < maxThreads ? count : maxThreads;
}
#endif

/// The default number of threads. What is wrong with the variable is said once.
static int64_t readNumThreads() {
  const char *text = getenv("ROPE_NUM_THREADS");
  if (!text || !*text)
    return countProcessors();
  char *end;
  long long threads = strtoll(text, &end, 10);
  if (!*end && threads >= 1 && threads <= maxThreads)
    return threads;
  int64_t count = countProcessors();
  fprintf(stderr,
          "rope: expected a number from 1 to %" PRId64
          " in ROPE_NUM_THREADS, but got '%s': using %" PRId64 "\n",
          maxThreads, text, count);
  return count;
}

//===----------------------------------------------------------------------===//
// Workspaces
//===----------------------------------------------------------------------===//

namespace {
/// Memory for one task at a time. Grows and is kept.
struct Workspace {
  void *data;
  int64_t bytes;

  void *get(int64_t wanted) {
    if (wanted == 0)
      return nullptr;
    if (wanted > 0 && wanted <= bytes)
      return data;
    free(data);
    if (wanted < 0 ||
        posix_memalign(&data, 64, static_cast<size_t>(wanted)) != 0) {
      fprintf(stderr,
              "rope: out of memory: a workspace of %" PRId64
              " bytes cannot be allocated\n",
              wanted);
      abort();
    }
    bytes = wanted;
    return data;
  }

  void release() {
    free(data);
    data = nullptr;
    bytes = 0;
  }
};
} // namespace

/// Workspaces for calls that run on the calling thread alone. A call takes one
/// out by marking it, which also works where a signal or a fork comes between.
static struct {
  std::atomic<bool> taken;
  Workspace workspace;
} spares[64];

/// What a thread alone does, and one that joins others: task after task.
static void runInline(rope_task_fn body, void *context, int64_t tasks,
                      int64_t bytes) {
  if (bytes == 0) {
    for (int64_t task = 0; task < tasks; ++task)
      body(context, task, nullptr);
    return;
  }
  for (auto &spare : spares) {
    if (spare.taken.load(std::memory_order_relaxed) ||
        spare.taken.exchange(true, std::memory_order_acquire))
      continue;
    void *data = spare.workspace.get(bytes);
    for (int64_t task = 0; task < tasks; ++task)
      body(context, task, data);
    spare.taken.store(false, std::memory_order_release);
    return;
  }
  // More calls at once than spares.
  Workspace own = {};
  void *data = own.get(bytes);
  for (int64_t task = 0; task < tasks; ++task)
    body(context, task, data);
  own.release();
}

//===----------------------------------------------------------------------===//
// The pool
//===----------------------------------------------------------------------===//

// The gate through which workers come to a job is one word: how many are
// inside, whether it is open, and a number that changes with each job.
static constexpr uint64_t insideMask = 0xffff;
static constexpr uint64_t openBit = 0x10000;
static constexpr uint64_t jobUnit = 0x20000;

/// How long a thread waits actively.
static constexpr int64_t spinNanoseconds = 50000;

namespace {
struct Worker {
  pthread_t thread;
  Workspace workspace;
};

/// Whoever has set `busy` owns the pool and gives it its one job. Those who
/// come meanwhile, tasks of the job too, run alone: nobody ever waits for the
/// pool.
struct Pool {
  std::atomic<bool> busy{false};

  // Guarded by busy.
  Worker *workers = nullptr;
  int64_t numWorkers = 0;
  /// The number of threads for which the workers were started; 0 before.
  int64_t numThreads = 0;
  pid_t process = 0;
  Workspace workspace = {};

  // The job: written while the gate is closed and nobody is inside.
  rope_task_fn body = nullptr;
  void *context = nullptr;
  int64_t tasks = 0, bytes = 0, chunk = 0;
  uint64_t floatControl = 0;
  bool ends = false;

  alignas(64) std::atomic<uint64_t> gate{0};
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<int64_t> sleepers{0};
  std::atomic<bool> ownerSleeps{false};
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
  pthread_cond_t left = PTHREAD_COND_INITIALIZER;
};
} // namespace

static Pool pool;

/// What rope_set_num_threads and rope_set_parallel_for have set.
static std::atomic<int64_t> wantedThreads;
static std::atomic<int64_t> defaultThreads;
static std::atomic<rope_parallel_for_fn> replacement;

/// Takes pieces of the job until there are none.
static void runTasks(Workspace &workspace) {
  int64_t first = pool.next.fetch_add(pool.chunk, std::memory_order_relaxed);
  if (first >= pool.tasks)
    return;
  void *data = workspace.get(pool.bytes);
  while (first < pool.tasks) {
    int64_t rest = pool.tasks - first;
    int64_t end = first + (rest < pool.chunk ? rest : pool.chunk);
    for (int64_t task = first; task < end; ++task)
      pool.body(pool.context, task, data);
    first = pool.next.fetch_add(pool.chunk, std::memory_order_relaxed);
  }
}

/// Waits actively until `isDone`, and returns whether it was in time.
template <typename Condition>
static bool spin(Condition isDone) {
  int64_t end = getNanoseconds() + spinNanoseconds;
  do
    for (int i = 0; i < 32; ++i) {
      if (isDone())
        return true;
      relax();
    }
  while (getNanoseconds() < end);
  return false;
}

static void *runWorker(void *argument) {
  Worker &worker = *static_cast<Worker *>(argument);
  // Workers are started between jobs: the number of the last one does not
  // change before all know it. A worker may miss jobs, but never the end.
  uint64_t seen = 0;
  for (;;) {
    auto isNew = [&] { return pool.gate.load() / jobUnit != seen; };
    if (!spin(isNew)) {
      pthread_mutex_lock(&pool.mutex);
      // Either the owner sees the sleeper or the sleeper sees the new job.
      pool.sleepers.fetch_add(1);
      while (!isNew())
        pthread_cond_wait(&pool.opened, &pool.mutex);
      pool.sleepers.fetch_sub(1);
      pthread_mutex_unlock(&pool.mutex);
    }
    uint64_t gate = pool.gate.load();
    while (gate & openBit && !pool.gate.compare_exchange_weak(gate, gate + 1))
      relax();
    seen = gate / jobUnit;
    if (!(gate & openBit))
      continue;
    bool ends = pool.ends;
    if (!ends) {
      setFloatControl(pool.floatControl);
      runTasks(worker.workspace);
    }
    gate = pool.gate.fetch_sub(1) - 1;
    if (!(gate & (openBit | insideMask)) && pool.ownerSleeps.load()) {
      pthread_mutex_lock(&pool.mutex);
      pthread_cond_signal(&pool.left);
      pthread_mutex_unlock(&pool.mutex);
    }
    if (ends)
      return nullptr;
  }
}

/// Opens the gate to the job and wakes up to `wanted` workers.
static void openGate(int64_t wanted) {
  pool.gate.store((pool.gate.load() / jobUnit + 1) * jobUnit | openBit);
  if (!pool.sleepers.load())
    return;
  pthread_mutex_lock(&pool.mutex);
  if (wanted >= pool.numWorkers)
    pthread_cond_broadcast(&pool.opened);
  else
    for (int64_t i = 0; i < wanted; ++i)
      pthread_cond_signal(&pool.opened);
  pthread_mutex_unlock(&pool.mutex);
}

/// Lets no more workers in, and waits until those inside have left. Those who
/// have not come yet are not waited for.
static void closeGate() {
  pool.gate.fetch_and(~openBit);
  auto isEmpty = [] { return !(pool.gate.load() & insideMask); };
  if (isEmpty() || spin(isEmpty))
    return;
  pthread_mutex_lock(&pool.mutex);
  pool.ownerSleeps.store(true);
  while (!isEmpty())
    pthread_cond_wait(&pool.left, &pool.mutex);
  pool.ownerSleeps.store(false);
  pthread_mutex_unlock(&pool.mutex);
}

/// Ends all workers. The caller owns the pool.
static void stopWorkers() {
  // After a fork the workers, and whoever held the mutex, are the parent's.
  bool isForked = pool.process != getpid();
  if (isForked) {
    pthread_mutex_init(&pool.mutex, nullptr);
    pthread_cond_init(&pool.opened, nullptr);
    pthread_cond_init(&pool.left, nullptr);
    pool.sleepers.store(0);
    pool.ownerSleeps.store(false);
    pool.gate.store(pool.gate.load() / jobUnit * jobUnit);
  } else if (pool.numWorkers) {
    pool.ends = true;
    openGate(pool.numWorkers);
  }
  for (int64_t i = 0; i < pool.numWorkers; ++i) {
    if (!isForked)
      pthread_join(pool.workers[i].thread, nullptr);
    pool.workers[i].workspace.release();
  }
  closeGate();
  free(pool.workers);
  pool.workers = nullptr;
  pool.numWorkers = 0;
  pool.numThreads = 0;
  pool.ends = false;
}

/// Starts as many workers as can be had. The caller owns the pool.
static void startWorkers(int64_t numThreads) {
  pool.process = getpid();
  pool.numThreads = numThreads;
  pool.workers = static_cast<Worker *>(calloc(numThreads - 1, sizeof(Worker)));
  if (!pool.workers)
    return;
  pool.gate.store(0);
  // Signals are for the threads of the program.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#ifdef __linux__
  Processors processors;
  bool isBound = processors.read() && numThreads <= processors.count();
  int processor = sched_getcpu();
#endif
  for (; pool.numWorkers < numThreads - 1; ++pool.numWorkers) {
    Worker &worker = pool.workers[pool.numWorkers];
    if (pthread_create(&worker.thread, nullptr, runWorker, &worker) != 0)
      break;
#ifdef __linux__
    // Left alone, the kernel keeps a worker on the processor that woke it.
    if (!isBound)
      continue;
    processor = processors.next(processor);
    cpu_set_t sets[maxThreads / CPU_SETSIZE];
    CPU_ZERO_S(sizeof(sets), sets);
    CPU_SET_S(processor, sizeof(sets), sets);
    pthread_setaffinity_np(worker.thread, sizeof(sets), sets);
#endif
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// A library that is unloaded takes its code away from under its workers.
__attribute__((destructor)) static void unload() {
  if (pool.busy.exchange(true))
    return;
  if (pool.numThreads)
    stopWorkers();
  pool.workspace.release();
  for (auto &spare : spares)
    if (!spare.taken.exchange(true))
      spare.workspace.release();
}

//===----------------------------------------------------------------------===//
// The interface
//===----------------------------------------------------------------------===//

int64_t rope_get_num_threads(void) {
  if (int64_t wanted = wantedThreads.load(std::memory_order_relaxed))
    return wanted;
  int64_t threads = defaultThreads.load(std::memory_order_relaxed);
  if (!threads) {
    threads = readNumThreads();
    defaultThreads.store(threads, std::memory_order_relaxed);
  }
  return threads;
}

void rope_set_num_threads(int64_t threads) {
  wantedThreads.store(threads < 0            ? 0
                      : threads < maxThreads ? threads
                                             : maxThreads);
}

void rope_set_parallel_for(rope_parallel_for_fn run) { replacement.store(run); }

void rope_parallel_for(rope_task_fn body, void *context, int64_t tasks,
                       int64_t workspaceBytes) {
  if (tasks <= 0)
    return;
  if (rope_parallel_for_fn run = replacement.load())
    return run(body, context, tasks, workspaceBytes);
  int64_t threads = tasks == 1 ? 1 : rope_get_num_threads();
  if (threads == 1 || pool.busy.exchange(true, std::memory_order_acquire))
    return runInline(body, context, tasks, workspaceBytes);

  if (pool.numThreads != threads || pool.process != getpid()) {
    if (pool.numThreads)
      stopWorkers();
    startWorkers(threads);
  }
  pool.body = body;
  pool.context = context;
  pool.tasks = tasks;
  pool.bytes = workspaceBytes;
  // Pieces small enough that nobody waits long for the last one.
  pool.chunk = tasks / (threads * 32) + 1;
  pool.floatControl = getFloatControl();
  pool.next.store(0, std::memory_order_relaxed);
  openGate(tasks - 1);
  runTasks(pool.workspace);
  closeGate();
  pool.busy.store(false, std::memory_order_release);
}

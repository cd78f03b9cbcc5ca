//===- RuntimeTest.cpp - threads and workspaces ---------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/Runtime.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <sched.h>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

// Sanitizers end a program that asks for too much memory, or that starts
// threads after a fork; both are meant here.
extern "C" const char *__asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char *__tsan_default_options() {
  return "allocator_may_return_null=1:die_after_fork=0";
}

using Body = std::function<void(int64_t task, char *workspace)>;

static void parallelFor(int64_t tasks, int64_t bytes, Body body) {
  rope_parallel_for(
      [](void *context, int64_t task, void *workspace) {
        (*static_cast<Body *>(context))(task, static_cast<char *>(workspace));
      },
      &body, tasks, bytes);
}

namespace {
/// Leaves the settings as it found them.
struct Runtime : testing::Test {
  void SetUp() override { rope_set_num_threads(4); }
  void TearDown() override {
    rope_set_num_threads(0);
    rope_set_parallel_for(nullptr);
  }
};
} // namespace

/// Runs `tasks` tasks and expects each to have run once.
static void expectEachOnce(int64_t tasks) {
  std::vector<std::atomic<int>> runs(tasks);
  parallelFor(tasks, 0, [&](int64_t task, char *workspace) {
    ++runs[task];
    EXPECT_EQ(workspace, nullptr);
  });
  for (int64_t task = 0; task < tasks; ++task)
    EXPECT_EQ(runs[task], 1) << task << " of " << tasks;
}

TEST_F(Runtime, RunsEachTaskOnce) {
  for (int64_t tasks : {0, 1, 2, 3, 4, 5, 63, 64, 1000, 12345})
    expectEachOnce(tasks);
  for (int round = 0; round < 2000; ++round)
    expectEachOnce(7);
}

TEST_F(Runtime, RunsNothingForNegativeCounts) {
  parallelFor(-1, 64, [](int64_t, char *) { FAIL(); });
  parallelFor(INT64_MIN, 64, [](int64_t, char *) { FAIL(); });
}

TEST_F(Runtime, RunsAfterAPause) {
  // Longer than workers wait actively.
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    expectEachOnce(9);
  }
}

TEST_F(Runtime, OneTaskRunsOnTheCaller) {
  std::thread::id caller = std::this_thread::get_id();
  parallelFor(1, 8, [&](int64_t, char *workspace) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_NE(workspace, nullptr);
  });
}

TEST_F(Runtime, OneThreadRunsInOrderOnTheCaller) {
  rope_set_num_threads(1);
  std::thread::id caller = std::this_thread::get_id();
  int64_t expected = 0;
  parallelFor(100, 8, [&](int64_t task, char *) {
    EXPECT_EQ(task, expected++);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
  EXPECT_EQ(expected, 100);
}

/// Runs as many tasks as there are threads, each of which waits for all others,
/// and returns how many threads there were.
static size_t meet(int64_t threads) {
  rope_set_num_threads(threads);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  std::atomic<int64_t> arrived(0);
  parallelFor(threads, 0, [&](int64_t, char *) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      ids.insert(std::this_thread::get_id());
    }
    for (++arrived; arrived < threads;)
      std::this_thread::yield();
  });
  return ids.size();
}

TEST_F(Runtime, TasksRunOnAllThreadsAndTheCountMayChange) {
  for (int64_t threads : {2, 4, 1, 3, 8, 2})
    EXPECT_EQ(meet(threads), static_cast<size_t>(threads));
}

TEST_F(Runtime, WorkersStayWithinTheAffinityMask) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(getpid(), sizeof(allowed), &allowed), 0);
  rope_set_num_threads(CPU_COUNT(&allowed));
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> bound(0);
  std::atomic<int64_t> arrived(0);
  parallelFor(CPU_COUNT(&allowed), 0, [&](int64_t, char *) {
    for (++arrived; arrived < CPU_COUNT(&allowed);)
      std::this_thread::yield();
    if (std::this_thread::get_id() == caller)
      return;
    // The owner binds a worker right after it has started it.
    cpu_set_t own, both;
    for (int i = 0; i < 1000; ++i) {
      ASSERT_EQ(sched_getaffinity(0, sizeof(own), &own), 0);
      if (CPU_COUNT(&own) == 1)
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CPU_AND(&both, &own, &allowed);
    EXPECT_TRUE(CPU_EQUAL(&both, &own));
    bound += CPU_COUNT(&own) == 1;
  });
  EXPECT_EQ(bound, CPU_COUNT(&allowed) - 1);
}

TEST_F(Runtime, WorkspacesAreAlignedAndPrivate) {
  for (int64_t bytes : {1, 64, 1000, 100000, 500}) {
    std::mutex mutex;
    std::set<char *> inUse, all;
    parallelFor(200, bytes, [&](int64_t task, char *workspace) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(workspace) % 64, 0u);
      {
        std::lock_guard<std::mutex> lock(mutex);
        auto next = inUse.lower_bound(workspace);
        EXPECT_TRUE(next == inUse.end() || *next >= workspace + bytes);
        EXPECT_TRUE(next == inUse.begin() ||
                    *std::prev(next) + bytes <= workspace);
        inUse.insert(workspace);
        all.insert(workspace);
      }
      auto mark = static_cast<char>(task);
      std::fill_n(workspace, bytes, mark);
      std::this_thread::yield();
      EXPECT_EQ(std::count(workspace, workspace + bytes, mark), bytes);
      std::lock_guard<std::mutex> lock(mutex);
      inUse.erase(workspace);
    });
    EXPECT_LE(all.size(), 4u);
  }
}

TEST_F(Runtime, WorkspacesAreKept) {
  rope_set_num_threads(1);
  char *first = nullptr, *second = nullptr;
  parallelFor(2, 5000, [&](int64_t, char *workspace) { first = workspace; });
  parallelFor(2, 4000, [&](int64_t, char *workspace) { second = workspace; });
  EXPECT_EQ(first, second);
}

TEST_F(Runtime, NestedCallsRunOnTheirThread) {
  std::vector<std::atomic<int>> runs(20 * 10 * 3);
  parallelFor(20, 256, [&](int64_t i, char *outer) {
    std::thread::id thread = std::this_thread::get_id();
    std::fill_n(outer, 256, 'o');
    parallelFor(10, 256, [&](int64_t j, char *inner) {
      std::fill_n(inner, 256, 'i');
      parallelFor(3, 256, [&](int64_t k, char *innermost) {
        std::fill_n(innermost, 256, 'x');
        EXPECT_EQ(std::this_thread::get_id(), thread);
        ++runs[(i * 10 + j) * 3 + k];
      });
      EXPECT_EQ(std::count(inner, inner + 256, 'i'), 256);
    });
    EXPECT_EQ(std::count(outer, outer + 256, 'o'), 256);
  });
  for (auto &run : runs)
    EXPECT_EQ(run, 1);
}

TEST_F(Runtime, DeeperNestingThanThereAreKeptWorkspaces) {
  int64_t sum = 0;
  std::function<void(int64_t)> nest = [&](int64_t depth) {
    rope_set_num_threads(1);
    parallelFor(1, 64, [&](int64_t, char *workspace) {
      *workspace = static_cast<char>(depth);
      if (depth)
        nest(depth - 1);
      sum += *workspace;
    });
  };
  nest(99);
  EXPECT_EQ(sum, 99 * 100 / 2);
}

TEST_F(Runtime, SeveralThreadsMayCall) {
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum(0);
  for (int caller = 0; caller < 6; ++caller)
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 300; ++round) {
        if (round % 50 == 0)
          rope_set_num_threads(1 + (caller + round) % 5);
        parallelFor(11, 128, [&](int64_t task, char *workspace) {
          std::fill_n(workspace, 128, static_cast<char>(caller));
          sum += task;
          EXPECT_EQ(std::count(workspace, workspace + 128, caller), 128);
        });
      }
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(sum, 6 * 300 * 55);
}

TEST_F(Runtime, SeveralThreadsMayNestCalls) {
  // As from inside a parallel region of a program with threads of its own.
  std::vector<std::thread> callers;
  std::atomic<int64_t> runs(0);
  for (int caller = 0; caller < 5; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round)
        parallelFor(3, 64, [&](int64_t, char *outer) {
          std::fill_n(outer, 64, 'o');
          std::thread::id thread = std::this_thread::get_id();
          parallelFor(4, 64, [&](int64_t, char *inner) {
            std::fill_n(inner, 64, 'i');
            EXPECT_EQ(std::this_thread::get_id(), thread);
            ++runs;
          });
          EXPECT_EQ(std::count(outer, outer + 64, 'o'), 64);
        });
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(runs, 5 * 100 * 3 * 4);
}

TEST_F(Runtime, MayBeReplaced) {
  static int64_t seenTasks, seenBytes;
  rope_set_parallel_for(
      [](rope_task_fn body, void *context, int64_t tasks, int64_t bytes) {
        seenTasks = tasks;
        seenBytes = bytes;
        std::vector<char> workspace(bytes);
        for (int64_t task = tasks; task-- > 0;)
          body(context, task, workspace.data());
      });
  std::vector<int64_t> order;
  parallelFor(3, 77, [&](int64_t task, char *) { order.push_back(task); });
  EXPECT_EQ(order, (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(seenTasks, 3);
  EXPECT_EQ(seenBytes, 77);
  rope_set_parallel_for(nullptr);
  expectEachOnce(5);
}

TEST_F(Runtime, CallsNestWithAReplacement) {
  // One with threads of its own, some of which call again.
  rope_set_parallel_for(
      [](rope_task_fn body, void *context, int64_t tasks, int64_t bytes) {
        std::vector<std::thread> threads;
        for (int64_t task = 0; task < tasks; ++task)
          threads.emplace_back([=] {
            std::vector<char> workspace(bytes);
            body(context, task, workspace.data());
          });
        for (std::thread &thread : threads)
          thread.join();
      });
  std::mutex mutex;
  std::set<std::thread::id> ids;
  parallelFor(3, 16, [&](int64_t, char *) {
    parallelFor(2, 16, [&](int64_t, char *workspace) {
      std::fill_n(workspace, 16, 'i');
      std::lock_guard<std::mutex> lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
  });
  // Threads that have ended may leave their names to others.
  EXPECT_GE(ids.size(), 2u);
  // Those who are inside stay with it, whoever comes later does not.
  parallelFor(2, 16, [&](int64_t, char *) {
    rope_set_parallel_for(nullptr);
    expectEachOnce(5);
  });
  expectEachOnce(5);
}

TEST_F(Runtime, NumberOfThreadsIsBounded) {
  rope_set_num_threads(INT64_MAX);
  EXPECT_EQ(rope_get_num_threads(), 4096);
  rope_set_num_threads(3);
  EXPECT_EQ(rope_get_num_threads(), 3);
  rope_set_num_threads(-1);
  EXPECT_GE(rope_get_num_threads(), 1);
  EXPECT_LE(rope_get_num_threads(), 4096);
}

TEST_F(Runtime, ResultsDoNotDependOnTheThreadsRounding) {
#if defined(__x86_64__)
  // Flushes denormals, as programs do that surround compiled code.
  unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  std::atomic<int64_t> arrived(0), nonZero(0);
  parallelFor(4, 0, [&](int64_t, char *) {
    for (++arrived; arrived < 4;)
      std::this_thread::yield();
    volatile float small = 1e-38f;
    volatile float smaller = small * 0.5f;
    nonZero += (__builtin_ia32_stmxcsr() & 0x8040) != 0x8040 || smaller != 0;
  });
  __builtin_ia32_ldmxcsr(before);
  EXPECT_EQ(nonZero, 0);
#else
  expectEachOnce(4);
#endif
}

/// Expects that `child` ends by itself, with 0.
static void expectSuccess(pid_t child) {
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Runtime, WorksInAForkedChild) {
  expectEachOnce(8);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    bool right = meet(4) == 4 && meet(3) == 3;
    _exit(right ? 0 : 1);
  }
  expectSuccess(child);
  expectEachOnce(8);
}

/// In a forked child: whether calls, and calls from their tasks, run.
static bool nestsAlone() {
  alarm(20);
  int64_t runs = 0;
  std::thread::id thread = std::this_thread::get_id();
  for (int round = 0; round < 10; ++round)
    parallelFor(3, 64, [&](int64_t, char *) {
      parallelFor(4, 64, [&](int64_t, char *) {
        runs += std::this_thread::get_id() == thread;
      });
    });
  return runs == 10 * 3 * 4;
}

TEST_F(Runtime, WorksInAChildThatIsForkedDuringACall) {
  expectEachOnce(8);
  // From a task, and beside a call: the pool stays the parent's.
  std::atomic<bool> forked(false);
  pid_t inside = -1, beside = -1;
  std::atomic<bool> began(false);
  std::thread caller([&] {
    parallelFor(4, 64, [&](int64_t task, char *) {
      began = true;
      if (task == 0) {
        inside = fork();
        if (inside == 0)
          _exit(nestsAlone() ? 0 : 1);
      }
      while (!forked)
        std::this_thread::yield();
    });
  });
  while (!began)
    std::this_thread::yield();
  beside = fork();
  if (beside == 0)
    _exit(nestsAlone() ? 0 : 1);
  forked = true;
  caller.join();
  ASSERT_GE(inside, 0);
  ASSERT_GE(beside, 0);
  expectSuccess(inside);
  expectSuccess(beside);
  expectEachOnce(8);
}

TEST_F(Runtime, WorkersTakeNoSignals) {
  static std::atomic<pthread_t> handler;
  auto old = signal(SIGUSR1, [](int) { handler = pthread_self(); });
  expectEachOnce(8);
  // Blocked here, the signal may go to any thread that takes it.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  handler = 0;
  kill(getpid(), SIGUSR1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(handler, pthread_t(0));
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  EXPECT_EQ(handler, pthread_self());
  signal(SIGUSR1, old);
}

using RuntimeDeathTest = Runtime;

TEST_F(RuntimeDeathTest, NamesTheBytesThatCannotBeHad) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(parallelFor(1, INT64_MAX, [](int64_t, char *) {}),
               "rope: out of memory: a workspace of 9223372036854775807 bytes "
               "cannot be allocated");
  EXPECT_DEATH(parallelFor(1, -64, [](int64_t, char *) {}),
               "a workspace of -64 bytes cannot be allocated");
}

TEST_F(RuntimeDeathTest, ReadsTheEnvironment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto count = [](const char *text) {
    setenv("ROPE_NUM_THREADS", text, 1);
    rope_set_num_threads(0);
    fprintf(stderr, "%d threads\n", static_cast<int>(rope_get_num_threads()));
    _exit(0);
  };
  EXPECT_EXIT(count("3"), testing::ExitedWithCode(0), "^3 threads");
  for (const char *bad : {"0", "-2", "four", "3x", "4097", "1e9"})
    EXPECT_EXIT(count(bad), testing::ExitedWithCode(0),
                "expected a number from 1 to 4096 in ROPE_NUM_THREADS, but got "
                "'.*': using [0-9]+");
}

TEST_F(RuntimeDeathTest, OneTaskAsksForNoThreads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto call = [] {
    setenv("ROPE_NUM_THREADS", "four", 1);
    rope_set_num_threads(0);
    parallelFor(1, 64, [](int64_t, char *) { fprintf(stderr, "task\n"); });
    parallelFor(2, 64, [](int64_t, char *) {});
    _exit(0);
  };
  EXPECT_EXIT(call(), testing::ExitedWithCode(0),
              "^task\nrope: expected a number");
}

//===- copies.cpp - what memory and processor can do at best --------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each way to move or read bytes as one function of a job, multiplications
// and additions that wait for nothing, and a loop that calls a function without
// Python in between. The work is split over threads by the runtime that
// compiled code uses. benchmarks/cpu.py compiles this for the machine at hand
// and links it with librope-runtime.a.
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/Runtime.h"

#include <cstdint>
#include <cstring>
#include <ctime>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {
/// Rows of bytes, `stride` bytes apart.
struct Segment {
  const char *from;
  char *to;
  int64_t rows, bytes, fromStride, toStride;
};

struct Job {
  const Segment *segments;
  int64_t numSegments;
};

#if defined(__AVX512F__)
using Vector = __m512i;
inline Vector load(const char *p) { return _mm512_loadu_si512(p); }
inline void store(char *p, Vector v) { _mm512_storeu_si512(p, v); }
inline void stream(char *p, Vector v) {
  _mm512_stream_si512(reinterpret_cast<Vector *>(p), v);
}
#elif defined(__AVX__)
using Vector = __m256i;
inline Vector load(const char *p) {
  return _mm256_loadu_si256(reinterpret_cast<const Vector *>(p));
}
inline void store(char *p, Vector v) {
  _mm256_storeu_si256(reinterpret_cast<Vector *>(p), v);
}
inline void stream(char *p, Vector v) {
  _mm256_stream_si256(reinterpret_cast<Vector *>(p), v);
}
#else
typedef int64_t Vector __attribute__((vector_size(16)));
inline Vector load(const char *p) {
  Vector v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline void store(char *p, Vector v) { memcpy(p, &v, sizeof v); }
inline void stream(char *p, Vector v) {
#if defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i *>(p), (__m128i)v);
#else
  store(p, v);
#endif
}
#endif

// Hides a register from the compiler, which would call memcpy, or leave out a
// store of what was loaded from there.
#if defined(__x86_64__)
#define ROPE_KEEP(vector) asm volatile("" : "+v"(vector))
#else
#define ROPE_KEEP(vector) asm volatile("" : "+w"(vector))
#endif

inline void fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

/// Lines of this size are moved one after the other.
constexpr int64_t line = 64;
/// What one task moves.
constexpr int64_t block = 64 << 10;

using Move = void (*)(const char *from, char *to, int64_t bytes);

void moveByMemcpy(const char *from, char *to, int64_t bytes) {
  memcpy(to, from, bytes);
}

/// Four lines at a time, or with `prefetch` those that far ahead are asked for.
template <bool streams, int64_t prefetch>
void moveByVectors(const char *from, char *to, int64_t bytes) {
  // Streaming stores need aligned lines.
  if (streams && reinterpret_cast<uintptr_t>(to) % line != 0)
    return moveByVectors<false, prefetch>(from, to, bytes);
  constexpr int64_t step = 4 * line, width = sizeof(Vector);
  int64_t i = 0;
  for (; i + step <= bytes; i += step) {
    if (prefetch)
      for (int64_t j = 0; j < step; j += line)
        __builtin_prefetch(from + i + j + prefetch);
    Vector values[step / width];
#pragma GCC unroll 16
    for (int64_t j = 0; j < step / width; ++j) {
      values[j] = load(from + i + j * width);
      ROPE_KEEP(values[j]);
    }
#pragma GCC unroll 16
    for (int64_t j = 0; j < step / width; ++j) {
      if (streams)
        stream(to + i + j * width, values[j]);
      else
        store(to + i + j * width, values[j]);
    }
  }
  if (i < bytes)
    memmove(to + i, from + i, bytes - i);
  if (streams)
    fence();
}

/// Reads four lines at a time into sums that nobody needs.
template <int64_t prefetch>
void readByVectors(const char *from, char *, int64_t bytes) {
  constexpr int64_t step = 4 * line, count = step / sizeof(Vector);
  Vector sums[count] = {};
  for (int64_t i = 0; i + step <= bytes; i += step) {
    if (prefetch)
      for (int64_t j = 0; j < step; j += line)
        __builtin_prefetch(from + i + j + prefetch);
#pragma GCC unroll 16
    for (int64_t j = 0; j < count; ++j) {
      sums[j] ^= load(from + i + j * int64_t(sizeof(Vector)));
      ROPE_KEEP(sums[j]);
    }
  }
}

/// One piece of each segment for each of some tasks.
struct Pieces {
  const Job &job;
  Move move;
  int64_t tasks;

  void run(int64_t task) const {
    for (int64_t s = 0; s < job.numSegments; ++s) {
      const Segment &segment = job.segments[s];
      if (segment.rows > 1) {
        int64_t end = segment.rows * (task + 1) / tasks;
        for (int64_t row = segment.rows * task / tasks; row < end; ++row)
          move(segment.from + row * segment.fromStride,
               segment.to + row * segment.toStride, segment.bytes);
        continue;
      }
      int64_t lines = (segment.bytes + line - 1) / line;
      int64_t begin = lines * task / tasks * line;
      int64_t end = lines * (task + 1) / tasks * line;
      if (end > segment.bytes)
        end = segment.bytes;
      if (begin < end)
        move(segment.from + begin, segment.to + begin, end - begin);
    }
  }
};

void moveAll(const Job &job, Move move, bool inBlocks) {
  int64_t bytes = 0;
  for (int64_t s = 0; s < job.numSegments; ++s)
    bytes += job.segments[s].rows * job.segments[s].bytes;
  int64_t tasks = inBlocks ? bytes / block : rope_get_num_threads();
  // Nothing is split that is too small to gain from it.
  if (tasks < 1 || bytes < 2 * block)
    tasks = 1;
  Pieces pieces = {job, move, tasks};
  if (tasks == 1)
    return pieces.run(0);
  rope_parallel_for([](void *context, int64_t task,
                       void *) { static_cast<Pieces *>(context)->run(task); },
                    &pieces, tasks, 0);
}

/// Calls `work` with a share of the operations for each thread.
void split(int64_t operations, void (*work)(int64_t operations)) {
  struct Shares {
    int64_t operations;
    void (*work)(int64_t);
  } shares = {operations / rope_get_num_threads(), work};
  rope_parallel_for(
      [](void *context, int64_t, void *) {
        auto *shares = static_cast<Shares *>(context);
        shares->work(shares->operations);
      },
      &shares, rope_get_num_threads(), 0);
}

#if defined(__AVX512F__)
using Floats = __m512;
#elif defined(__AVX__)
using Floats = __m256;
#else
typedef float Floats __attribute__((vector_size(16)));
#endif

/// More chains than multiplications and additions are under way at once, and
/// as many as registers hold.
constexpr int64_t chains = sizeof(Floats) == 32 ? 12 : 16;

void multiplyAndAdd(int64_t operations) {
  constexpr int64_t step = chains * 2 * (sizeof(Floats) / sizeof(float));
  Floats sums[chains] = {}, a = sums[0] + 0.5f, b = sums[0] + 1.0f;
  for (int64_t i = 0; i < operations; i += step) {
#pragma GCC unroll 16
    for (int64_t j = 0; j < chains; ++j) {
      sums[j] = sums[j] * a + b;
      ROPE_KEEP(sums[j]);
    }
  }
}

#if defined(__AVX512BF16__)
void multiplyPairs(int64_t operations) {
  __m512 sums[chains] = {};
  __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00), b = a;
  for (int64_t i = 0; i < operations; i += chains * 64) {
#pragma GCC unroll 16
    for (int64_t j = 0; j < chains; ++j) {
      sums[j] = _mm512_dpbf16_ps(sums[j], a, b);
      ROPE_KEEP(sums[j]);
    }
  }
}
#endif

#if defined(__AMX_BF16__) && defined(__linux__)
/// Four sums of two by two tiles, as a kernel has them.
void multiplyTiles(int64_t operations) {
  struct {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t i = 0; i < operations; i += 4 * 2 * 16 * 16 * 32) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

bool mayUseTiles() {
  // ARCH_REQ_XCOMP_PERM of the data of tiles.
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
#endif
} // namespace

extern "C" {

// One share for each thread, so that memcpy sees large sizes; else blocks.
void copy_memcpy(const Job *job) { moveAll(*job, moveByMemcpy, false); }
void copy_memcpy_blocks(const Job *job) { moveAll(*job, moveByMemcpy, true); }
void copy_plain(const Job *job) {
  moveAll(*job, moveByVectors<false, 0>, true);
}
void copy_stream(const Job *job) {
  moveAll(*job, moveByVectors<true, 0>, true);
}
void copy_stream_2k(const Job *job) {
  moveAll(*job, moveByVectors<true, 2 << 10>, true);
}
void copy_stream_4k(const Job *job) {
  moveAll(*job, moveByVectors<true, 4 << 10>, true);
}
void copy_stream_8k(const Job *job) {
  moveAll(*job, moveByVectors<true, 8 << 10>, true);
}
void copy_plain_4k(const Job *job) {
  moveAll(*job, moveByVectors<false, 4 << 10>, true);
}

void read_plain(const Job *job) { moveAll(*job, readByVectors<0>, true); }
void read_2k(const Job *job) { moveAll(*job, readByVectors<2 << 10>, true); }
void read_4k(const Job *job) { moveAll(*job, readByVectors<4 << 10>, true); }

// So many operations in registers. They return whether they can.
int32_t peak_fma(int64_t operations) {
  split(operations, multiplyAndAdd);
  return true;
}
int32_t peak_vdpbf16ps([[maybe_unused]] int64_t operations) {
#if defined(__AVX512BF16__)
  split(operations, multiplyPairs);
  return true;
#else
  return false;
#endif
}
int32_t peak_amx([[maybe_unused]] int64_t operations) {
#if defined(__AMX_BF16__) && defined(__linux__)
  if (!mayUseTiles())
    return false;
  split(operations, multiplyTiles);
  return true;
#else
  return false;
#endif
}

/// Calls `function` with pointers `arguments`, `times` times. Returns the
/// nanoseconds of all calls.
int64_t repeat(void *function, void **a, int64_t count, int64_t times) {
  auto now = [] {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
  };
  int64_t start = now();
#define ROPE_CALLS(number, types, values)                                      \
  case number:                                                                 \
    for (int64_t i = 0; i < times; ++i)                                        \
      reinterpret_cast<void(*) types>(function) values;                        \
    break
  using P = void *;
  switch (count) {
    ROPE_CALLS(1, (P), (a[0]));
    ROPE_CALLS(2, (P, P), (a[0], a[1]));
    ROPE_CALLS(3, (P, P, P), (a[0], a[1], a[2]));
    ROPE_CALLS(4, (P, P, P, P), (a[0], a[1], a[2], a[3]));
    ROPE_CALLS(5, (P, P, P, P, P), (a[0], a[1], a[2], a[3], a[4]));
    ROPE_CALLS(6, (P, P, P, P, P, P), (a[0], a[1], a[2], a[3], a[4], a[5]));
    ROPE_CALLS(7, (P, P, P, P, P, P, P),
               (a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
    ROPE_CALLS(8, (P, P, P, P, P, P, P, P),
               (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]));
  default:
    return -1;
  }
#undef ROPE_CALLS
  return now() - start;
}
}

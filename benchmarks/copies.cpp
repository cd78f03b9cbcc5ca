//===- copies.cpp - the copies that rotations are measured against --------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each way to move bytes as one function of a job, and a loop that calls a
// function without Python in between. The work is split over threads by the
// runtime that compiled code uses. benchmarks/cpu.py compiles this for the
// machine at hand and links it with librope-runtime.a.
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/Runtime.h"

#include <cstdint>
#include <cstring>
#include <ctime>
#if defined(__x86_64__)
#include <immintrin.h>
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

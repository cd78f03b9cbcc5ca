# Parallel loops on threads.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import ctypes
import re
import threading
import time
from _ctypes import dlclose

import numpy as np
from rope_testing.compare import Report
from rope_testing.runner import Module, run

MODULE = """
// a[i, j] = i * 100 + j, for i and j of a range with steps, through a buffer.
func.func @grid(%a: memref<?x?xf64>, %li: index, %ui: index, %si: index, %lj: index, %uj: index, %sj: index) {
  %c1 = arith.constant 1 : index
  %n = memref.dim %a, %c1 : memref<?x?xf64>
  scf.parallel (%i, %j) = (%li, %lj) to (%ui, %uj) step (%si, %sj) {
    %scratch = memref.alloc(%n) : memref<3x?xf64>
    %c100 = arith.constant 100 : index
    %0 = arith.muli %i, %c100 : index
    %1 = arith.addi %0, %j : index
    %2 = arith.index_cast %1 : index to i64
    %3 = arith.sitofp %2 : i64 to f64
    memref.store %3, %scratch[%c1, %j] : memref<3x?xf64>
    %4 = memref.load %scratch[%c1, %j] : memref<3x?xf64>
    memref.store %4, %a[%i, %j] : memref<?x?xf64>
  }
  return
}

// Values of many types: out[i] = sum of them all, each in its own way.
func.func @captured(%out: memref<?xf64>, %rows: memref<?x5xf32, strided<[?, 1], offset: ?>>, %scalar: memref<f32>,
                    %i32: i32, %i64: i64, %f32: f32, %f64: f64) {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %n = memref.dim %out, %c0 : memref<?xf64>
  %zero = arith.constant 0 : i32
  %positive = arith.cmpi sgt, %i32, %zero : i32
  %bf16 = arith.truncf %f32 : f32 to bf16
  %vector = vector.broadcast %f32 : f32 to vector<2x4xf32>
  %local = memref.alloca() : memref<2xf64>
  memref.store %f64, %local[%c0] : memref<2xf64>
  %column = memref.subview %rows[0, 4] [%n, 1] [1, 1]
    : memref<?x5xf32, strided<[?, 1], offset: ?>> to memref<?xf32, strided<[?], offset: ?>>
  scf.forall (%i) in (%n) {
    %a = memref.load %column[%i] : memref<?xf32, strided<[?], offset: ?>>
    %b = memref.load %scalar[] : memref<f32>
    %c = arith.sitofp %i32 : i32 to f64
    %d = arith.sitofp %i64 : i64 to f64
    %e = arith.extf %bf16 : bf16 to f64
    %f = vector.extract %vector[1, 2] : f32 from vector<2x4xf32>
    %g = memref.load %local[%c0] : memref<2xf64>
    %a64 = arith.extf %a : f32 to f64
    %b64 = arith.extf %b : f32 to f64
    %f64_2 = arith.extf %f : f32 to f64
    %s0 = arith.addf %a64, %b64 : f64
    %s1 = arith.addf %s0, %c : f64
    %s2 = arith.addf %s1, %d : f64
    %s3 = arith.addf %s2, %e : f64
    %s4 = arith.addf %s3, %f64_2 : f64
    %s5 = arith.addf %s4, %g : f64
    %minus = arith.negf %s5 : f64
    %s = arith.select %positive, %s5, %minus : f64
    memref.store %s, %out[%i] : memref<?xf64>
  }
  return
}

// Tensors: the loop's buffer comes from bufferization.
func.func @rows(%x: tensor<?x5000xf32>) -> tensor<?x5000xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x5000xf32>
  %init = tensor.empty(%n) : tensor<?x5000xf32>
  %y = scf.forall (%i) in (%n) shared_outs(%out = %init) -> tensor<?x5000xf32> {
    %row = tensor.extract_slice %x[%i, 0] [1, 5000] [1, 1] : tensor<?x5000xf32> to tensor<5000xf32>
    %empty = tensor.empty() : tensor<5000xf32>
    %square = linalg.mul ins(%row, %row : tensor<5000xf32>, tensor<5000xf32>) outs(%empty : tensor<5000xf32>) -> tensor<5000xf32>
    %place = tensor.extract_slice %out[%i, 0] [1, 5000] [1, 1] : tensor<?x5000xf32> to tensor<5000xf32>
    %turned = linalg.generic {indexing_maps = [affine_map<(d0) -> (4999 - d0)>, affine_map<(d0) -> (d0)>],
                              iterator_types = ["parallel"]}
      ins(%square : tensor<5000xf32>) outs(%place : tensor<5000xf32>) {
    ^bb0(%in: f32, %o: f32):
      linalg.yield %in : f32
    } -> tensor<5000xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %turned into %out[%i, 0] [1, 5000] [1, 1] : tensor<5000xf32> into tensor<?x5000xf32>
    }
  }
  return %y : tensor<?x5000xf32>
}

// Loops inside and around: counts[i, j] += 1, %rounds times.
func.func @nested(%counts: memref<?x?xi64>, %rounds: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1 : i64
  %m = memref.dim %counts, %c0 : memref<?x?xi64>
  %n = memref.dim %counts, %c1 : memref<?x?xi64>
  scf.for %round = %c0 to %rounds step %c1 {
    scf.forall (%i) in (%m) {
      scf.parallel (%j) = (%c0) to (%n) step (%c1) {
        %old = memref.load %counts[%i, %j] : memref<?x?xi64>
        %new = arith.addi %old, %one : i64
        memref.store %new, %counts[%i, %j] : memref<?x?xi64>
      }
    }
  }
  return
}
"""

ONE = """
func.func @one(%a: memref<8xi64>) {
  %one = arith.constant 1 : i64
  scf.forall (%i) in (8) {
    memref.store %one, %a[%i] : memref<8xi64>
  }
  return
}
"""


def check_grid(report, module, shape, rows, columns):
    expected, got = np.full(shape, -1.0), np.full(shape, -1.0)
    for i in range(*rows):
        for j in range(*columns):
            expected[i, j] = i * 100 + j
    module.call("grid", got, *rows, *columns)
    report.same_bits(f"grid {shape}, {rows}, {columns}", got, expected)


def check_all(report, module):
    for m in (0, 1, 2, 7, 33):
        for n in (0, 1, 3, 65):
            check_grid(report, module, (m, n), (0, m, 1), (0, n, 1))
    for rows in ((0, 33, 2), (3, 33, 7), (5, 5, 1), (9, 4, 3), (32, 33, 100)):
        for columns in ((0, 65, 3), (64, 65, 1), (10, 2, 5)):
            check_grid(report, module, (33, 65), rows, columns)

    random = np.random.default_rng(1)
    for n in (0, 1, 5, 333):
        for i32 in (3, -4):
            wide = random.integers(-99, 99, (n, 8)).astype(np.float32)
            out = np.full(n, np.nan)
            scalar = np.array(0.25, np.float32)
            numbers = (np.int32(i32), 1 << 40, np.float32(1.5), np.float64(0.125))
            module.call("captured", out, wide[:, 1:6], scalar, *numbers)
            total = wide[:, 5].astype(np.float64) + 0.25 + i32 + float(1 << 40) + 1.5 + 1.5 + 0.125
            report.same_bits(f"captured {n}, {i32}", out, total if i32 > 0 else -total)
        x = random.integers(-99, 99, (n, 5000)).astype(np.float32)
        y = np.full_like(x, np.nan)
        module.call("rows", x, y)
        report.same_bits(f"rows {n}", y, np.square(x)[:, ::-1])

    counts = np.zeros((3, 5), np.int64)
    module.call("nested", counts, 100)
    report.same_bits("nested", counts, np.full_like(counts, 100))


def check_replacement(report, module, library):
    """What replaces the runtime runs all tasks, and provides the workspace."""
    seen = []
    task_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)

    @ctypes.CFUNCTYPE(None, task_type, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    def run_tasks(body, context, tasks, workspace_bytes):
        seen.append((tasks, workspace_bytes))
        workspace = np.zeros(workspace_bytes, np.uint8)
        for task in reversed(range(tasks)):
            body(context, task, workspace.ctypes.data)

    library.rope_set_parallel_for(run_tasks)
    check_grid(report, module, (4, 9), (0, 4, 1), (0, 9, 1))
    # 3 x 9 numbers of 8 bytes, rounded up to 64.
    report.true("replaced", seen == [(36, 256)], f"saw {seen}")
    library.rope_set_parallel_for(None)
    check_grid(report, module, (4, 9), (0, 4, 1), (0, 9, 1))
    report.true("put back", len(seen) == 1, f"saw {seen}")


def count_threads(expected=None):
    """How many threads the process has; waits for `expected` of them, since the
    kernel counts a thread for a moment after it has ended."""
    for _ in range(1000):
        with open("/proc/self/status", encoding="utf-8") as status:
            count = int(re.search(r"Threads:\s*(\d+)", status.read())[1])
        if expected in (None, count):
            break
        time.sleep(0.005)
    return count


def check_unloading(report):
    """A library that is unloaded takes its threads along."""
    before = count_threads()
    for _ in range(3):
        module = Module(ONE)
        library = module._library
        library.rope_set_num_threads(ctypes.c_int64(4))
        ones = np.zeros(8, np.int64)
        module.call("one", ones)
        report.same_bits("one", ones, np.ones_like(ones))
        count = count_threads(before + 3)
        report.true("loaded", count == before + 3, f"{count} threads, and {before} before")
        dlclose(library._handle)
        count = count_threads(before)
        report.true("unloaded", count == before, f"{count} threads, and {before} before")


def main():
    report = Report()
    check_unloading(report)
    module = Module(MODULE)
    library = module._library
    for threads in (1, 2, 5, 0):
        library.rope_set_num_threads(ctypes.c_int64(threads))
        check_all(report, module)

    # More rounds than a stack would hold, were it to grow.
    counts = np.zeros((1, 1), np.int64)
    module.call("nested", counts, 1_000_000)
    report.same_bits("rounds", counts, np.full_like(counts, 1_000_000))

    # Several threads at once.
    callers = [threading.Thread(target=check_all, args=(report, module)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    check_replacement(report, module, library)

    # No task allocates anything.
    lowered = run("rope-opt", "-", "--rope-to-llvm", stdin=MODULE)
    bodies = re.findall(r"llvm\.func internal @\w+_parallel_\d+\(.*?\n  }", lowered, re.DOTALL)
    report.true("outlined", len(bodies) == 4, f"{len(bodies)} loops")
    for body in bodies:
        report.true("allocates", "@malloc" not in body and "@free" not in body, body)
    report.finish()


if __name__ == "__main__":
    main()

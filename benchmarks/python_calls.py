#!/usr/bin/env python3
# What a call of a compiled function costs from Python.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times calls of a compiled addition of two [3, 4] arrays, which takes
nanoseconds itself, with a new result and with out=, beside the library's own
addition, for each of NumPy, PyTorch and JAX that is installed. Also: what it
takes to import the package, to compile, and to take code from the cache.

  benchmarks/python_calls.py [--json=FILE]

Prints the fastest of many loops and exits with 1 where a call on arrays of
NumPy or PyTorch takes 3 microseconds or more. The package has to be importable.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

LIMIT_MICROSECONDS = 3.0
LIMIT_IMPORT_SECONDS = 0.3
ADD = """
func.func @add(%x: tensor<?x4x{0}>, %y: tensor<?x4x{0}>) -> tensor<?x4x{0}> {{
  %0 = arith.addf %x, %y : tensor<?x4x{0}>
  return %0 : tensor<?x4x{0}>
}}
"""


def microseconds(call, seconds=0.3):
    """Of one call, in the fastest of the loops that so many seconds are for."""
    loops = 1
    while True:
        begin = time.perf_counter()
        for _ in range(loops):
            call()
        elapsed = time.perf_counter() - begin
        if elapsed > 0.005:
            break
        loops *= 2
    best, end = elapsed, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(loops):
            call()
        best = min(best, time.perf_counter() - begin)
    return best / loops * 1e6


def cases():
    """Name, argument, array to write to or None, and the library's addition."""
    import numpy as np

    x = np.ones((3, 4), np.float32)
    yield "NumPy f32", "f32", x, np.empty_like(x), lambda: np.add(x, x)
    try:
        import ml_dtypes
    except ImportError:
        print("not measured: NumPy bf16, ml_dtypes is not installed")
    else:
        b = np.ones((3, 4), ml_dtypes.bfloat16)
        yield "NumPy bf16", "bf16", b, np.empty_like(b), lambda: np.add(b, b)
    try:
        import torch
    except ImportError:
        print("not measured: PyTorch, which is not installed")
    else:
        for element, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            t = torch.ones((3, 4), dtype=dtype)
            yield f"PyTorch {element}", element, t, torch.empty_like(t), lambda t=t: torch.add(t, t)
    try:
        import jax
    except ImportError:
        print("not measured: JAX, which is not installed")
    else:
        j = jax.numpy.ones((3, 4), jax.numpy.float32)
        yield "JAX f32", "f32", j, None, lambda: jax.numpy.add(j, j).block_until_ready()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", help="also write the numbers to this file")
    options = parser.parse_args()

    code = "import time; t = time.perf_counter(); import rope_mlir; print(time.perf_counter() - t)"
    seconds = min(
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(10)
    )
    import rope_mlir

    checks = [{"name": "import, seconds", "value": seconds, "limit": LIMIT_IMPORT_SECONDS}]
    print(f"import rope_mlir: {seconds:.3f} s")
    with tempfile.TemporaryDirectory() as cache:
        text = ADD.format("f32")
        compiled = microseconds(lambda: rope_mlir.compile(text, cache=False))
        rope_mlir.compile(text, cache=cache)
        cached = microseconds(lambda: rope_mlir.compile(text, cache=cache))
    print(f"compile: {compiled / 1000:.1f} ms, from the cache {cached / 1000:.1f} ms\n")

    print("| microseconds of a call | new result | out= | the library's add | new result / add |")
    print("| --- | --- | --- | --- | --- |")
    for name, element, x, out, add in cases():
        function = rope_mlir.compile(ADD.format(element), "add", single_threaded=True)
        new = microseconds(lambda: function(x, x))
        into = None if out is None else microseconds(lambda: function(x, x, out=out))
        own = microseconds(add)
        print(
            f"| {name} | {new:.2f} | {'' if into is None else f'{into:.2f}'} | {own:.2f} | {new / own:.1f} |"
        )
        limit = None if name.startswith("JAX") else LIMIT_MICROSECONDS
        checks.append({"name": f"call, {name}, microseconds", "value": new, "limit": limit})
    if options.json:
        machine = {"processor": platform.processor() or platform.machine(), "processors": os.cpu_count()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "results": [], "checks": checks}, file, indent=1)
    missed = [check["name"] for check in checks if check["limit"] and check["value"] >= check["limit"]]
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

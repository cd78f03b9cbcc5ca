# Compiles, calls and drops functions again and again, with memory measured, while threads call others.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Usage: stress.py [--cycles=10000] [--threads=8] [--no-memory]; the package has to be importable.

Memory of the process may grow by 8 MiB and by 64 bytes a cycle after a tenth of the cycles, in which caches
fill.
--no-memory leaves that out, for valgrind and sanitizers, which keep what is freed.
"""

import argparse
import gc
import threading
import time

import numpy as np
import rope_mlir

CONFIG = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2}


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def module(index: int) -> str:
    return f"""
func.func @f{index % 7}(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {{
  %0 = arith.addf %x, %y : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}}"""


def cycle(index: int, x: np.ndarray) -> None:
    function = rope_mlir.compile(module(index), cache=False, opt_level=index % 4)
    out = np.empty_like(x)
    assert np.array_equal(function(x, x), x + x) and function(x, x, out=out) is out
    try:
        function(x, x[:, :4])
    except ValueError:
        pass
    if index % 10 == 0:
        try:
            rope_mlir.compile("func.func @f() { foo }")
        except rope_mlir.MLIRError:
            pass
        rope_mlir.passes.canonicalize(rope_mlir.ir.Module.parse(module(index)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args()

    shared = rope_mlir.compile(rope_mlir.import_hf_config(CONFIG), "rope_apply", cache=False)
    positions = np.arange(64)[None]
    x = np.ones((1, 64, 2, 32), np.float32)
    expected = shared(x, positions)
    stop = threading.Event()
    errors: list[BaseException] = []
    calls = [0] * options.threads

    def call(index: int) -> None:
        try:
            while not stop.is_set():
                assert np.array_equal(shared(x, positions), expected)
                calls[index] += 1
                # Most of the time is the compiler's.
                if calls[index] % 100 == 0:
                    time.sleep(0.05)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(options.threads)]
    for thread in threads:
        thread.start()
    begin = time.perf_counter()
    small = np.arange(24, dtype=np.float32).reshape(3, 8)
    warm = max(1, options.cycles // 10)
    before = 0
    try:
        for index in range(options.cycles):
            if index == warm:
                gc.collect()
                before = resident()
            cycle(index, small)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    gc.collect()
    growth = resident() - before
    seconds = time.perf_counter() - begin
    print(f"{options.cycles} cycles and {sum(calls)} calls by {options.threads} threads in {seconds:.1f} s")
    print(f"memory: {before / 2**20:.1f} MiB after {warm} cycles, {growth / 2**20:+.1f} MiB at the end")
    assert not errors, errors
    assert all(calls)
    if not options.no_memory:
        bound = (8 << 20) + 64 * options.cycles
        assert growth < bound, f"memory grew by {growth} bytes, {bound} are allowed"


if __name__ == "__main__":
    main()

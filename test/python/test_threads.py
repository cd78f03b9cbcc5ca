# Several threads, and arrays that go while they are used.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest %s

import gc
import threading
import time

import numpy as np
import pytest
import rope_mlir
from modules import CONFIG, LONG, binary


def in_threads(count, body):
    """Calls body(index) in threads that start together, and raises what they raise."""
    errors, barrier = [], threading.Barrier(count)

    def run(index):
        try:
            barrier.wait()
            body(index)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_eight_threads_call():
    function = rope_mlir.compile(rope_mlir.import_hf_config(CONFIG), "rope_apply")
    rng = np.random.default_rng(0)
    inputs = [
        (rng.standard_normal((1, 50 + i, 2, 32)).astype(np.float32), np.arange(50 + i)[None])
        for i in range(8)
    ]
    expected = [function(*arguments) for arguments in inputs]

    def body(index):
        out = np.empty_like(inputs[index][0])
        for i in range(200):
            result = function(*inputs[index], out=out if i % 2 else None)
            assert np.array_equal(result, expected[index])
            if i % 50 == 0:
                with pytest.raises(ValueError):
                    function(inputs[index][0], inputs[index - 1][1])

    in_threads(8, body)


def test_eight_threads_compile_and_drop():
    x = np.ones((3, 4), np.float32)

    def body(index):
        for i in range(5):
            function = rope_mlir.compile(binary("f32").replace("@f", f"@f{i}"), cache=False)
            assert np.array_equal(function(x, x), x + x)
            del function
            gc.collect()

    in_threads(8, body)


def test_others_run_meanwhile():
    """A call that takes a while, during which this thread goes on."""
    function = rope_mlir.compile(LONG)
    x = np.ones(1 << 16, np.float32)
    count = 1
    while True:
        begin = time.perf_counter()
        function(x, count)
        if time.perf_counter() - begin > 0.3:
            break
        count *= 2
    thread = threading.Thread(target=function, args=(x, count))
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.005)
        ticks += 1
    assert ticks > 5


def test_arrays_cannot_move_while_used():
    function = rope_mlir.compile(LONG)
    refused = 0
    # The other thread may not have come to the call when the array is resized.
    for _ in range(50):
        x = np.ones(1 << 20, np.float32)
        results = []
        thread = threading.Thread(target=lambda: results.append(function(x, 100)))
        thread.start()
        while thread.is_alive():
            time.sleep(0.001)
            try:
                x.resize(1 << 10, refcheck=False)
            except ValueError:
                refused += 1
        thread.join()
        assert len(results) == 1
        if refused:
            return
    raise AssertionError("the array was never in use")


def test_arrays_that_are_dropped_while_used():
    function = rope_mlir.compile(LONG)
    holder = {"x": np.ones(1 << 20, np.float32), "f": function}
    del function
    results = []

    def body():
        results.append(holder["f"](holder["x"], 50))

    thread = threading.Thread(target=body)
    thread.start()
    while "x" in holder and thread.is_alive():
        time.sleep(0.01)
        holder.clear()
        gc.collect()
    thread.join()
    assert len(results) in (0, 1)


def test_lists_of_results_that_change_while_used():
    function = rope_mlir.compile(rope_mlir.import_hf_config(CONFIG), "rope_table")
    positions = np.arange(20000)

    def arrays():
        return [np.empty((20000, 16), np.float32) for _ in range(2)]

    out = arrays()
    stop = threading.Event()

    def body():
        while not stop.is_set():
            out[:] = arrays()

    thread = threading.Thread(target=body)
    thread.start()
    for _ in range(50):
        assert function(positions, out=out) is out
    stop.set()
    thread.join()

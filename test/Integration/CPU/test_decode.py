# rope.attention of few rows: splits of the keys x type x layout x visibility.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import hashlib
import os
import subprocess
import sys

import numpy as np
from rope_testing.attentions import BOUNDS, SPOILERS, Attention
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module

ONE = (("i", 1),)
TWO = (("i", 2),)
CASES = [
    *(Attention(f"one_{t}", type=t, group=4, lengths_known=ONE, rotate="qk") for t in BOUNDS),
    *(Attention(f"kept_{t}", type=t, group=4, lengths_known=ONE, heads=8, log_sum_exp=True) for t in BOUNDS),
    Attention("angles", group=4, heads=8, lengths_known=ONE, rotate="qk angles", causal=True, offset="number"),
    Attention("outside", query="bhid", key="bhjd", value="bhje", result="bhie", group=2, lengths_known=ONE, rotate="qk",
              heads=8),
    Attention("wide_values", type="f32", value_type="f64", lengths_known=ONE),
    Attention("latent", type="bf16", group=0, key="bjd", value="bje", channels=72, value_channels=56, heads=8,
              lengths_known=ONE),
    Attention("three_rows", heads=6, group=3, lengths_known=ONE, channels=24, value_channels=20),
    Attention("five_rows", heads=5, group=5, lengths_known=ONE, channels=7, value_channels=5),
    Attention("alone", heads=3, lengths_known=ONE, rotate="k", channels=48),
    Attention("two_queries", type="bf16", group=2, lengths_known=TWO, causal=True, offset="batch", rotate="qk"),
    Attention("window", group=4, lengths_known=TWO, causal=True, window=300, offset="number", rotate="k"),
    Attention("chunk", group=2, lengths_known=TWO, chunk=400, offset="number"),
    Attention("lengths", group=4, lengths_known=ONE, lengths=True, causal=True, offset="batch", rotate="k"),
    Attention("sinks", type="bf16", group=4, heads=8, lengths_known=ONE, sinks=True, log_sum_exp=True, lengths=True),
    Attention("scores", group=2, lengths_known=TWO, cap=20.0, masks=("bhij:f32", "ij:i1", "bj:i1", "h:f32", ":f32"),
              sinks=True),
    Attention("mask_of_heads", group=4, lengths_known=ONE, masks=("bhij:i1", "hi:bf16"), rotate="q"),
    Attention("any_number", group=2, causal=True, offset="batch", rotate="qk", lengths=True, masks=("ij:f32",)),
]
# Batches and keys: less than a tile, whole splits, one key more, and many.
SIZES = [(1, 1), (2, 31), (1, 64), (1, 127), (1, 128), (2, 129), (1, 1025), (1, 2053)]


def call(module, report):
    rng = np.random.default_rng(11)
    for case in CASES:
        queries = [dict(case.lengths_known)["i"]] if case.lengths_known else [1, 3, 8, 9]
        for count in queries:
            for batches, keys in [(0, 5), (1, 0), *SIZES]:
                case.run(module, report, batches, count, keys, rng)
        if case.name.startswith(("one", "kept", "lengths", "two")):
            for spoil in SPOILERS[1:]:
                case.run(module, report, 1, queries[0], 300, rng, spoil)


def hidden(module, report):
    """What keys and values hold that no query sees does not matter."""
    rng = np.random.default_rng(12)
    shape = (2, 1200, 1, 32)
    q = rng.standard_normal((2, 1, 4, 32), np.float32)
    k, v = (rng.standard_normal(shape, np.float32) for _ in range(2))
    tables = [rng.standard_normal((1200, 16), np.float32) for _ in range(2)]
    offset = np.array([1199, 300])
    lengths = np.array([700, 1200], np.int32)
    results = []
    for bad in (0.0, np.nan, np.inf):
        k[0, 700:], v[0, 700:] = bad, bad
        k[1, 301:], v[1, 301:] = bad, bad
        results.append(np.zeros_like(q))
        module.call("lengths", q, k, v, offset, lengths, *tables, results[-1])
    for other in results[1:]:
        report.same_bits("hidden keys and values", other, results[0])


def equal(report):
    """Results do not depend on the number of threads."""
    digests = []
    for threads in ("1", "2", "3"):
        done = subprocess.run([sys.executable, __file__, "--digest"], capture_output=True, check=True,
                              env={**os.environ, "ROPE_NUM_THREADS": threads})
        digests.append(np.frombuffer(done.stdout, np.uint8))
    for other in digests[1:]:
        report.same_bits("number of threads", other, digests[0])


def digest(module):
    rng = np.random.default_rng(13)
    hashes = hashlib.sha256()
    for name, heads in (("one_bf16", 1), ("one_f32", 1)):
        stored = (lambda x: x) if name == "one_f32" else (lambda x: (x.view(np.uint32) >> 16).astype(np.uint16))
        q = stored(rng.standard_normal((2, 1, 4, 32), np.float32))
        k, v = (stored(rng.standard_normal((2, 3001, heads, 32), np.float32)) for _ in range(2))
        tables = [rng.standard_normal((n, 16), np.float32) for n in (1, 1, 3001, 3001)]
        result = np.zeros_like(q)
        module.call(name, q, k, v, *tables, result)
        hashes.update(result.tobytes())
    print(hashes.hexdigest())


def main():
    if "--digest" in sys.argv:
        return digest(Module("".join(case.text() for case in CASES if case.name in ("one_bf16", "one_f32"))))
    report = Report()
    module = Module("".join(case.text() for case in CASES))
    call(module, report)
    hidden(module, report)
    equal(report)
    report.finish()


if __name__ == "__main__":
    main() if "--digest" in sys.argv else in_child(main)

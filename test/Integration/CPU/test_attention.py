# rope.attention: layout x heads x type x visibility x scores x size.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import sys

import numpy as np
from rope_testing.attentions import BOUNDS, Attention
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

CASES = [
    *(Attention(f"plain_{t}", type=t) for t in BOUNDS),
    *(Attention(f"grouped_{t}", type=t, group=2, causal=True, rotate="qk") for t in BOUNDS),
    *(Attention(f"angles_{t}", type=t, group=4, causal=True, rotate="qk angles") for t in ("f32", "bf16")),
    Attention("mixed", type="bf16", value_type="f32", causal=True),
    Attention("wide_values", type="f32", value_type="f64"),
    Attention("heads_first", query="bhid", key="bhjd", value="bhje", result="bhie", group=2, causal=True, rotate="qk"),
    Attention("transposed_keys", query="hibd", key="hbdj", value="bhej", result="ebih", group=2, causal=True),
    Attention("one_key_head", group=0, key="bjd", value="bje", causal=True, rotate="qk"),
    Attention("no_batch", query="ihd", key="jhd", value="jhe", result="ihe", group=4, causal=True),
    Attention("no_heads", query="bid", key="bjd", value="bje", result="bie", heads=1, group=0, causal=True),
    Attention("group_of_three", heads=6, group=3, causal=True),
    Attention("group_of_seven", heads=7, group=7, causal=True, rotate="q"),
    Attention("two_groupings", heads=8, group=4, value_group=2, causal=True),
    Attention("narrow_values", channels=48, value_channels=20, causal=True, rotate="qk"),
    Attention("odd_channels", channels=7, value_channels=5, heads=3),
    Attention("one_channel", channels=1, value_channels=1),
    Attention("wide_head", channels=256, value_channels=256, group=2, causal=True, rotate="qk"),
    Attention("many_heads", heads=128, group=128, channels=16, value_channels=16, causal=True),
    Attention("offset", causal=True, offset="number"),
    Attention("offsets", causal=True, offset="batch", group=2),
    Attention("window", causal=True, window=7, group=2),
    Attention("window_offset", causal=True, window=40, offset="batch"),
    Attention("window_of_one", causal=True, window=1),
    Attention("chunk", causal=True, chunk=16, group=2),
    Attention("chunk_offset", chunk=50, offset="number", lengths=True),
    Attention("lengths", lengths=True, group=2),
    Attention("lengths_causal", lengths=True, causal=True, offset="batch", rotate="k"),
    Attention("sinks", sinks=True, causal=True, group=2, log_sum_exp=True),
    Attention("sinks_lengths", sinks=True, lengths=True),
    Attention("sums", log_sum_exp=True, causal=True, group=2, offset="number"),
    Attention("cap", cap=5.0, causal=True, group=2),
    Attention("cap_bf16", type="bf16", cap=50.0, causal=True, window=30, group=2, rotate="qk"),
    Attention("bias", masks=("bhij:f32",), group=2),
    Attention("bias_of_heads", masks=("hij:f32",)),
    Attention("bias_bf16", type="bf16", masks=("11ij:bf16",), group=2, causal=True),
    Attention("mask", masks=("b1ij:i1",), group=2),
    Attention("mask_of_keys", masks=("bj:i1",), group=2, causal=True),
    Attention("mask_and_bias", masks=("ij:i1", "h1j:f32", "hi:f32", ":f32"), group=2),
    Attention("slopes", masks=("h:f32",), heads=8, group=4, causal=True),
    Attention("static", lengths_known=(("b", 2), ("i", 64), ("j", 64)), causal=True, group=2, rotate="qk"),
    Attention("static_one", lengths_known=(("b", 1), ("i", 1), ("j", 333)), group=4),
    Attention("static_odd", lengths_known=(("b", 1), ("i", 5), ("j", 7)), masks=("ij:f32",), group=4),
]
# Batches, queries, keys.
SIZES = [(1, 1, 1), (2, 2, 2), (1, 5, 5), (2, 1, 70), (1, 63, 63), (2, 65, 65), (1, 5, 130),
         (0, 3, 3), (2, 0, 4), (2, 3, 0), (1, 333, 333), (1, 70, 9)]


def not_a_number(case, q, k, v, masks):
    """A query, a key and a value hold numbers that are none."""
    for array, dims, loop, at in ((q, case.query, "i", 3), (k, case.key, "j", 20), (v, case.value, "j", 30)):
        index = [slice(None)] * array.ndim
        index[dims.index(loop)] = at
        index[-1] = 1
        array[tuple(index)] = np.nan if array.dtype != np.uint16 else 0x7FC0


def infinite_values(case, q, k, v, masks):
    index = [slice(None)] * v.ndim
    index[case.value.index("j")] = 30
    v[tuple(index)] = np.inf if v.dtype != np.uint16 else 0x7F80


def large(case, q, k, v, masks):
    """Logits of some 1e5, where all but one weight vanish."""
    for array in (q, k):
        if array.dtype != np.uint16:
            array *= 100


def main():
    rng = np.random.default_rng(4)
    report = Report()
    modules = {}
    only = sys.argv[1:]
    cases = [case for case in CASES if not only or case.name in only]
    for start in range(0, len(cases), 8):
        part = cases[start:start + 8]
        module = Module("".join(case.text() for case in part))
        for case in part:
            static = dict(case.lengths_known)
            sizes = SIZES
            if static:
                sizes = [(static["b"], static["i"], static["j"])]
            for batches, queries, keys in sizes:
                if "b" not in case.query and batches != 1:
                    continue
                case.run(module, report, batches, queries, keys, rng)
            if case.name.startswith(("plain", "grouped", "window", "lengths", "sums", "sinks")):
                for spoil in (not_a_number, infinite_values, large):
                    case.run(module, report, 1, 50, 40, rng, spoil)
    # The same by the decomposition on tensors, which holds all scores at once.
    for start in range(0, len(cases), 8):
        part = cases[start:start + 8 : 2]
        text = "".join(case.text() for case in part)
        module = Module(run("rope-opt", "-", "--convert-rope-to-linalg", stdin=text))
        for case in part:
            static = dict(case.lengths_known)
            sizes = [(static["b"], static["i"], static["j"])] if static else [(1, 5, 7), (1, 1, 33)]
            for batches, queries, keys in sizes:
                case.run(module, report, batches, queries, keys, rng)
    report.finish()


if __name__ == "__main__":
    in_child(main)

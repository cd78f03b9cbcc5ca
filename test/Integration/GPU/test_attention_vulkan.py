# rope.attention on a GPU: layout x heads x type x visibility x scores x size.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: lavapipe
# RUN: %python %s
#
# Names of cases behind that run these alone.

import sys

import numpy as np
from rope_testing import gpu
from rope_testing.attentions import CASES, SPOILED, SPOILERS, Attention
from rope_testing.compare import Report
from rope_testing.memory import in_child, note

MORE = [
    # As MLA has them: more channels than fit into workgroup memory, and values
    # of fewer.
    Attention("mla", heads=2, channels=192, value_channels=128, causal=True, rotate="qk"),
    Attention("mla_absorbed", heads=4, group=0, key="bjd", value="bje", channels=576, value_channels=512, causal=True),
    Attention("more_values", heads=1, channels=8, value_channels=600),
    Attention("wide_f64", type="f64", heads=2, channels=130, value_channels=66, causal=True),
]
# Batches, queries, keys: one row and one key more than blocks and tiles have.
SIZES = [(1, 1, 1), (2, 1, 70), (2, 17, 17), (1, 5, 33)]
# Nothing to compute, or nothing to compute it from.
EMPTY = [(0, 3, 3), (2, 0, 4), (2, 3, 0)]


def main():
    rng = np.random.default_rng(4)
    report = Report()
    only = sys.argv[1:]
    cases = [case for case in [*CASES, *MORE] if not only or case.name in only]
    for start in range(0, len(cases), 12):
        part = cases[start : start + 12]
        module = gpu.load("".join(case.text() for case in part), "vulkan")
        for number, case in enumerate(part):
            static = dict(case.lengths_known)
            sizes = [(static["b"], static["i"], static["j"])] if static else list(SIZES)
            if not static and (number % 4 == 0 or case.sinks or case.log_sum_exp):
                sizes += EMPTY
            for batches, queries, keys in sizes:
                if "b" not in case.query and batches != 1:
                    continue
                note(f"{case.name} {batches} {queries} {keys}")
                case.run(module, report, batches, queries, keys, rng)
            if case.name.startswith(SPOILED):
                for spoil in SPOILERS:
                    note(f"{case.name} {spoil.__name__}")
                    case.run(module, report, 1, 20, 40, rng, spoil)
    report.finish()


if __name__ == "__main__":
    in_child(main)

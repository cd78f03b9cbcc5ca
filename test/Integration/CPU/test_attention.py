# rope.attention: layout x heads x type x visibility x scores x size.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import sys

import numpy as np
from rope_testing.attentions import CASES, SPOILED, SPOILERS
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

# Batches, queries, keys.
SIZES = [(1, 1, 1), (2, 2, 2), (1, 5, 5), (2, 1, 70), (1, 63, 63), (2, 65, 65), (1, 5, 130),
         (0, 3, 3), (2, 0, 4), (2, 3, 0), (1, 333, 333), (1, 70, 9)]


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
            if case.name.startswith(SPOILED):
                for spoil in SPOILERS:
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

# Attention that is compiled for tiles of AMX.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: x86-registered-target, host-avx512bf16
# RUN: %python %s
"""With the tiles, where the process gets them, and by the form of f32 in the same
function where the system refuses them, as on a processor that has none."""

import numpy as np
from rope_testing.attentions import CASES, SPOILED, SPOILERS
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module

# Batches, queries, keys.
SIZES = [(1, 1, 1), (2, 65, 65), (1, 30, 130), (0, 20, 3), (2, 20, 0), (1, 333, 333)]


def main():
    rng = np.random.default_rng(5)
    report = Report()
    cases = [case for case in CASES if case.type == "bf16" and not case.lengths_known][::3]
    module = Module("".join(case.text() for case in cases), features="+amx-tile,+amx-bf16")
    for case in cases:
        for batches, queries, keys in SIZES:
            if "b" in case.query or batches == 1:
                case.run(module, report, batches, queries, keys, rng)
        if case.name.startswith(SPOILED):
            for spoil in SPOILERS:
                case.run(module, report, 1, 50, 40, rng, spoil)
    report.finish()


if __name__ == "__main__":
    in_child(main)

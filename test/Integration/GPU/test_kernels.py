# Rotations, tables and attention compiled for GPUs, against what the CPU's tests
# compare with and within the same bounds: PTX in its interpreter, with all that it
# checks, and SPIR-V on Mesa's software driver.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target
# RUN: env HOST_CC=%host_cc %python %s

import os
import sys

import numpy as np
from rope_testing import gpu, ptx
from rope_testing.attentions import Attention
from rope_testing.compare import Report
from rope_testing.memory import in_child

sys.path.append(os.path.join(os.path.dirname(__file__), "../CPU"))

import test_apply
import test_attention
import test_table

# Target, chip, one case in how many.
TARGETS = [("cuda", "sm_80", 8), ("cuda", "sm_90", 24), ("vulkan", "", 8)]
SIZES = [(1, 1, 1), (2, 2, 2), (1, 5, 5), (2, 1, 70), (1, 65, 65), (0, 3, 3), (2, 0, 4), (2, 3, 0), (1, 40, 9)]


def attempt(report, case, function, *arguments):
    """A check that may raise: other cases go on."""
    try:
        function(*arguments)
    except (gpu.GPUError, ptx.PTXError) as error:
        report.true(f"{case}", False, f"{error}")


def check_rotations(target, chip, step, report):
    for start, cases in enumerate((test_apply.cases(), test_table.cases())):
        chosen = list(cases)[start::step]
        module = gpu.load("".join(case.ir() for case in chosen), target, chip=chip)
        for i, case in enumerate(chosen):
            attempt(report, case, case.check, module, report, np.random.default_rng(i))
        print(f"{target} {chip}: {len(chosen)} of {type(chosen[0]).__name__}")


def check_attention(target, chip, step, report):
    rng = np.random.default_rng(4)
    chosen = test_attention.CASES[1 :: max(1, step // 4)]
    module = gpu.load("".join(case.text() for case in chosen), target, chip=chip)
    for case in chosen:
        static = dict(case.lengths_known)
        sizes = [(static["b"], static["i"], static["j"])] if static else SIZES
        for batches, queries, keys in sizes:
            if "b" in case.query or batches == 1:
                attempt(report, case, case.run, module, report, batches, queries, keys, rng)
    print(f"{target} {chip}: {len(chosen)} of Attention")


MATRICES = [
    Attention("turned", type="bf16", channels=64, value_channels=64, group=2, causal=True, rotate="qk"),
    Attention("angles", type="f16", channels=128, value_channels=128, group=4, causal=True, rotate="qk angles",
              log_sum_exp=True),
    Attention("cap", type="bf16", heads=2, channels=64, value_channels=64, window=20, causal=True, cap=5.0),
    Attention("mask", type="bf16", heads=2, channels=64, value_channels=64, sinks=True, lengths=True,
              masks=("b1ij:i1",)),
]  # fmt: skip


def check_matrix_units(chip, report):
    """Attention by mma.sync."""
    module = gpu.load("".join(case.text() for case in MATRICES), "cuda", chip=chip)
    rng = np.random.default_rng(5)
    for case in MATRICES:
        for sizes in ((1, 5, 5), (2, 70, 70), (1, 1, 100), (1, 9, 130)):
            attempt(report, case, case.run, module, report, *sizes, rng)
            used = sum(launch.result.count("mma.sync") for launch in module.launches)
            report.true(f"{case.name} {chip}", used, f"no mma.sync in {[x.kernel for x in module.launches]}")


def main():
    report = Report()
    for target, chip, step in TARGETS:
        reason = gpu.missing(target)
        if reason:
            print(f"{target} is left out: {reason}")
            continue
        check_rotations(target, chip, step, report)
        check_attention(target, chip, step, report)
        if target == "cuda":
            check_matrix_units(chip, report)
    report.finish()


if __name__ == "__main__":
    in_child(main)

# Portable kernels in oclgrind and in the interpreter of PTX: a missing barrier and
# an access out of bounds are reported, and the project's own kernels have none.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target
# RUN: env HOST_CC=%host_cc %python %s

import os
import sys

import numpy as np
from rope_testing import opencl, ptx
from rope_testing.attentions import Attention
from rope_testing.compare import Report
from rope_testing.runner import run

sys.path.append(os.path.join(os.path.dirname(__file__), "../CPU"))

import test_apply
import test_table

# What is changed in the kernel, and the words of either checker. The interpreter
# may come first to a thread whose neighbour has not even run.
SEEDS = {
    "a missing barrier": (("      gpu.barrier\n", ""), "data race", "a race|never written"),
    "a store behind the end": (
        ("memref.store %r, %y[%i]", "memref.store %r, %y[%n]"), "Invalid write", "out of bounds",
    ),
    "a load behind the end": (
        ("memref.load %x[%i]", "memref.load %x[%n]"), "Invalid read", "out of bounds",
    ),
    "a load behind workgroup memory": (
        ("memref.load %tile[%other]", "memref.load %tile[%c64]"), "Invalid read", "out of bounds",
    ),
    "all blocks store one element": (
        ("memref.store %r, %y[%i]", "memref.store %value, %y[%t]"), "data race", "a race",
    ),
}  # fmt: skip


def ptx_of(text):
    """The kernels of launches, as PTX."""
    module = run("rope-opt", "-", "--rope-to-nvvm=from-launches=1 kernels-only=1", stdin=text)
    return ptx.Module(opencl.binary_of(module, "assembly"))


def reverse(text, size, checker):
    """Runs it; what is got and expected."""
    x, y = np.arange(size, dtype="f4"), np.full(size, -1, "f4")
    if checker == "oclgrind":
        opencl.Module(text, from_launches=True).call("reverse", x, y)
    else:
        ptx_of(text).launch("reverse", -(-size // 64), 64, [x, y, size])
    padded = np.zeros(-(-size // 64) * 64, "f4")
    padded[:size] = x
    return y, padded.reshape(-1, 64)[:, ::-1].ravel()[:size]


def check_seeds(report, checkers):
    with open(os.path.join(os.path.dirname(__file__), "Inputs/reverse.mlir")) as file:
        text = file.read()
    for checker in checkers:
        for size in (64, 100, 200):
            got, expected = reverse(text, size, checker)
            report.same_bits(f"reverse of {size}, {checker}", got, expected)
        for name, (change, *words) in SEEDS.items():
            word = words[0] if checker == "oclgrind" else words[1]
            changed = text.replace(*change)
            report.true(name, changed != text, "nothing was changed")
            try:
                reverse(changed, 200, checker)
                report.true(f"{name}, {checker}", False, "nothing is reported")
            except (opencl.CheckError, ptx.PTXError) as error:
                found = any(part in str(error) for part in word.split("|"))
                report.true(f"{name}, {checker}", found, f"{error}")


def choose(cases, number):
    cases = list(cases)
    return cases[:: max(1, len(cases) // number)]


def attempt(report, case, function, *arguments):
    try:
        function(*arguments)
    except opencl.CheckError as error:
        report.true(f"{case}", False, f"{error}")


def check_kernels(report):
    """Rotations, tables and attention: whatever oclgrind finds is an error. It has
    no f16."""
    rotations = [c for c in test_apply.cases() if {c.dtype, c.table_dtype} <= {"f32", "bf16"}]
    tables = [
        c for c in test_table.cases()
        if c.positions.size < 50 and c.dtype in ("f32", "bf16") and c.position_type != "f16"
    ]  # fmt: skip
    cases = [*choose(rotations, 6), *choose(tables, 6)]
    for i, case in enumerate(cases):
        attempt(report, case, case.check, opencl.Module(case.ir()), report, np.random.default_rng(i))
    for case in (
        Attention("plain", heads=2, channels=16, value_channels=16),
        Attention("turned", heads=2, channels=16, value_channels=16, group=2, causal=True, rotate="qk angles"),
        Attention("sums", type="bf16", heads=2, channels=8, value_channels=4, window=5, causal=True, log_sum_exp=True),
        Attention("decode", heads=4, channels=16, value_channels=16, group=4, lengths=True, offset="batch", causal=True),
    ):  # fmt: skip
        module = opencl.Module(case.text())
        for sizes in ((1, 5, 5), (1, 1, 40)):
            attempt(report, case, case.run, module, report, *sizes, np.random.default_rng(7))


def main():
    report = Report()
    missing = opencl.missing()
    print(f"oclgrind: {missing or 'is used'}")
    check_seeds(report, ["ptx"] if missing else ["ptx", "oclgrind"])
    if not missing:
        check_kernels(report)
    report.finish()


if __name__ == "__main__":
    main()

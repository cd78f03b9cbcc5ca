# Every workload of benchmarks/cpu.py on a few tokens: it compiles, and agrees
# with float64. The benchmark itself is about times, which no test looks at.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %rope_root/benchmarks

import dataclasses
import sys

from rope_testing.compare import Report

sys.path.insert(0, sys.argv[1])
import attention  # noqa: E402
import workloads  # noqa: E402


def small(workload):
    """The same of less, whatever its name and its peers are."""
    w, sizes = workload, {"tokens": min(workload.tokens, 19)}
    if w.kind == "decode":
        sizes["keys"] = 19
    elif w.kind == "attention":
        sizes["keys"] = sizes["tokens"]
    elif w.kind == "projection":
        sizes["model"] = 64
    return dataclasses.replace(w, name="", peers=(), **sizes)


def main():
    report = Report()
    found = [w for quick in (False, True) for w in workloads.workloads(quick) + attention.workloads(quick)]
    for workload, of in {small(w): w for w in found}.items():
        data = workload.data()
        function = data.function()
        function.call()
        every = data.tokens(workload.tokens)
        error = data.error(data.outputs(), every)
        name = f"{of.name}, {of.dtype}"
        report.true(name, error <= workload.limit, f"error {error:.1e}, expected at most {workload.limit:.1e}")
        # The error of a wrong result is seen.
        data.outputs()[0][0, -1, -1, of.offset if of.kind == "rotation" else 0] += 1
        wrong = data.error(data.outputs(), every)
        report.true(name, wrong > workload.limit, "a changed element is not noticed")
        for peer, function in data.others():
            function.call()
    report.finish()


if __name__ == "__main__":
    main()

# Every workload of benchmarks/cpu.py on a few tokens: it compiles, and agrees
# with float64. The benchmark itself is about times, which no test looks at.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %rope_root/benchmarks

import dataclasses
import sys

import numpy as np
from rope_testing.compare import Report

sys.path.insert(0, sys.argv[1])
import workloads  # noqa: E402


def main():
    report = Report()
    found = workloads.workloads() + workloads.workloads(quick=True)
    small = {dataclasses.replace(w, name="", peers=(), tokens=min(w.tokens, 19)): w for w in found}
    for workload, of in small.items():
        data = workloads.Data(workload)
        function = workloads.function(data)
        function.call()
        error = data.error([data.by_token(y) for y in data.results], np.arange(workload.tokens))
        limit = workloads.LIMITS[workload.dtype]
        name = f"{of.name}, {of.dtype}"
        report.true(name, error <= limit, f"error {error:.1e}, expected at most {limit:.1e}")
        # The error of a wrong result is seen.
        data.results[0][0, -1, -1, of.offset] += 1
        wrong = data.error([data.by_token(y) for y in data.results], np.arange(workload.tokens))
        report.true(name, wrong > limit, "a changed element is not noticed")
    report.finish()


if __name__ == "__main__":
    main()

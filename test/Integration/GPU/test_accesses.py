# Memory that rotations move: each element once, 16 bytes at a time.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target
# RUN: env HOST_CC=%host_cc %python %s
"""Results are compared too, in memory that held something else: all elements are
read and written, so where as many bytes are moved as there are, each one is moved
once."""

import itertools
from collections import Counter

import numpy as np
from rope_testing import gpu, ptx
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.model_kernels import CHANNELS, HEADS, KEY_HEADS, PAIRS, Rotation
from rope_testing.reference import NUMPY

# Few tokens, and so many that a thread rotates two heads.
FEW, MANY = 5, 450


def cases():
    for element, pairing, table in itertools.product(("bf16", "f16", "f32"), ("half", "interleaved"), (False, True)):
        options = {"element": element, "pairing": pairing, "table": table}
        name = "_".join([element, pairing, "table" if table else "angles"])
        yield Rotation(f"alone_{name}", rotate_query=False, **options), FEW
        yield Rotation(f"alone_in_place_{name}", rotate_query=False, in_place=True, **options), FEW
        yield Rotation(f"both_{name}", **options), FEW
        yield Rotation(f"append_{name}", in_place=True, append=True, **options), FEW
    yield Rotation("many_half"), MANY
    yield Rotation("many_interleaved", pairing="interleaved", in_place=True, table=True), MANY
    yield Rotation("many_append", in_place=True, append=True), MANY


def check_traffic(case, tokens, launch, report):
    """Arrays are told apart by their sizes."""
    result, size = launch.result, np.dtype(NUMPY[case.element]).itemsize
    rows, key_rows = (tokens * heads * CHANNELS * size for heads in (HEADS, KEY_HEADS))
    cache = key_rows // tokens * (tokens + 9)
    loaded, stored = Counter(), Counter()
    if case.rotate_query:
        loaded[rows] += rows
        stored[rows] += rows
    loaded[key_rows] += key_rows * (2 if case.append else 1)
    stored[cache if case.append else key_rows] += key_rows * (2 if case.append else 1)

    def moved(array, write=False):
        return result.bytes("global", write, f"array of {array} bytes")

    for array in (rows, key_rows, cache):
        for write, wanted in ((False, loaded), (True, stored)):
            found = moved(array, write)
            report.true(
                f"{case.name}, {tokens} tokens", found == wanted[array],
                f"{'stores' if write else 'loads'} {found} bytes, not {wanted[array]}, in an array of {array} bytes",
            )  # fmt: skip
    total = sum(stored.values())
    widths = result.widths(write=True)
    report.true(f"stores of {case.name}", widths == {16: total // 16}, f"{widths} of {total} bytes")
    # Threads that rotate two pairs of f32 load two cosines. A position is an i64.
    narrow = 0 if case.table else moved(8 * tokens)
    if case.table and case.element == "f32" and case.pairing == "interleaved":
        narrow = moved(4 * PAIRS * tokens)
    widths = result.widths()
    found = sum(width * n for width, n in widths.items() if width < 16)
    report.true(f"loads of {case.name}", found == narrow, f"{widths}: {found} bytes in narrow accesses, not {narrow}")


def least_threads(case, tokens):
    """Where each takes one head: 16 bytes of each of two halves, or 16 bytes."""
    elements = 16 // np.dtype(NUMPY[case.element]).itemsize
    pairs = elements if case.pairing == "half" else elements // 2
    heads = KEY_HEADS + HEADS * case.rotate_query
    copied = KEY_HEADS * CHANNELS // elements if case.append else 0
    return tokens * (heads * PAIRS // pairs + copied)


def main():
    report = Report()
    chosen = list(cases())
    for chip, part in (("sm_80", chosen), ("sm_90", chosen[::5])):
        module = gpu.load("".join(case.text() for case, _ in part), "cuda", chip=chip)
        loops = 0
        for i, (case, tokens) in enumerate(part):
            note(case.name)
            try:
                case.check(module, report, np.random.default_rng(i), tokens)
            except (gpu.GPUError, ptx.PTXError) as error:
                report.true(case.name, False, f"{error}")
                continue
            kernels = [launch.kernel for launch in module.launches]
            report.true(case.name, len(kernels) == 1, f"launches {kernels}")
            report.true(case.name, "unaligned" not in "".join(kernels), f"{kernels} for aligned rows")
            for launch in module.launches:
                check_traffic(case, tokens, launch, report)
                loops += launch.result.threads < least_threads(case, tokens)
        print(f"{chip}: {len(part)} rotations, {loops} of them by threads that take two heads")
        report.true(f"loops over heads for {chip}", chip != "sm_80" or loops == 3, f"there are {loops}")
    report.finish()


if __name__ == "__main__":
    in_child(main)

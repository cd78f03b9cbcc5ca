# NaN, infinities, denormal and huge numbers in x.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import ml_dtypes
import numpy as np
from rope_testing import reference
from rope_testing.applies import F32_BOUND, F64_BOUND, Apply
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module

TYPES = ("f16", "bf16", "f32", "f64")
LAYOUTS = (
    ("half", None), ("interleaved", None), ("interleaved", "half"), ("half", "interleaved"),
)  # fmt: skip
PAIRS, HEAD, OFFSET = 20, 45, 3


def cases():
    for layout, dtype in itertools.product(range(len(LAYOUTS)), TYPES):
        pairing, result = LAYOUTS[layout]
        yield Apply(
            f"f{layout}_{dtype}", (8, HEAD), PAIRS, dtype=dtype, position_dims=(0,),
            pairing=pairing, result_pairing=result, offset=OFFSET,
        )  # fmt: skip


def turn(module, case, x, cos, sin):
    note(str(case))
    y = np.zeros_like(x)
    module.call(case.name, x, cos, sin, y)
    return y


def angles(rng):
    a = rng.uniform(0.1, 1.4, (8, PAIRS))
    return np.cos(a).astype("f4"), np.sin(a).astype("f4")


def strange(dtype):
    """Every number of 16 bits; of wider types the remarkable ones."""
    if dtype.itemsize == 2:
        return np.arange(2**16, dtype="u2").view(dtype)
    info = np.finfo(dtype)
    numbers = [
        np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, info.tiny, -info.tiny,
        info.smallest_subnormal, -info.smallest_subnormal, info.tiny / 2,
        info.max / 4, -info.max / 4, 1.0, -1.0,
    ]  # fmt: skip
    return np.array(numbers, dtype)


def wide(x):
    """In f64; NaN of 16-bit types without a warning."""
    with np.errstate(invalid="ignore"):
        return x.astype("f8")


def special_values(module, case, report, rng):
    """One strange number at a time: it changes its own pair alone, and as IEEE
    arithmetic says; kept channels go through bit for bit."""
    dtype = reference.NUMPY[case.dtype]
    numbers = strange(dtype)
    a, b = reference.channels(case.pairing, PAIRS, OFFSET)
    c, d = reference.channels(case.result_pairing or case.pairing, PAIRS, OFFSET)
    kept = np.setdiff1d(np.arange(HEAD), np.concatenate([a, b]))
    cos, sin = angles(rng)
    plain = rng.uniform(0.5, 2, (8, HEAD)).astype(dtype)
    calm = turn(module, case, plain, cos, sin)
    # Numbers by the block of a whole array, each in a pair of its own.
    per_call = 8 * PAIRS // 2
    for start in range(0, len(numbers), per_call):
        block = numbers[start : start + per_call]
        x = plain.copy()
        row, pair = np.divmod(np.arange(len(block)), PAIRS // 2)
        channel = np.where(np.arange(len(block)) % 3 == 0, b[2 * pair], a[2 * pair])
        x[row, channel] = block
        y = turn(module, case, x, cos, sin)
        untouched = np.ones((8, HEAD), bool)
        untouched[row, c[2 * pair]] = untouched[row, d[2 * pair]] = False
        report.same_bits(f"pairs beside, {case}", y[untouched], calm[untouched])
        report.same_bits(f"kept channels, {case}", y[:, kept], x[:, kept])
        expected, size, _ = reference.rotate(
            x, cos, sin, (0,), case.pairing, OFFSET, None, case.result_pairing
        )
        bad = ~np.isfinite(expected)
        # A result that overflows the type, or NaN, or an infinity.
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = expected.astype(dtype).astype("f8")
        same_kind = np.where(bad, expected, np.where(np.isfinite(narrow), 0, narrow))
        large = bad | ~np.isfinite(narrow)
        got = y.astype("f8")
        report.close(
            f"not finite {case.dtype}", f"{case} from {start}", got[large], same_kind[large], 0
        )
        relative = F64_BOUND if case.dtype == "f64" else F32_BOUND
        bound = np.where(np.isfinite(size), size, 0) * relative
        if dtype.itemsize == 2:
            bound = bound + reference.half_ulp(np.where(large, 1, expected), dtype)
        report.close(
            f"finite {case.dtype}",
            f"{case} from {start}",
            got[~large],
            expected[~large],
            bound[~large],
        )


def no_turn(module, case, report):
    """An angle of zero: every number comes back, with 0 * v for its partner v of
    zero; NaN stays NaN."""
    dtype = reference.NUMPY[case.dtype]
    numbers = strange(dtype)
    a, _ = reference.channels(case.pairing, PAIRS, OFFSET)
    c, _ = reference.channels(case.result_pairing or case.pairing, PAIRS, OFFSET)
    cos, sin = np.ones((8, PAIRS), "f4"), np.zeros((8, PAIRS), "f4")
    for start in range(0, len(numbers), 8 * PAIRS):
        block = numbers[start : start + 8 * PAIRS]
        x = np.zeros((8, HEAD), dtype)
        row, pair = np.divmod(np.arange(len(block)), PAIRS)
        x[row, a[pair]] = block
        y = turn(module, case, x, cos, sin)[row, c[pair]]
        nan = np.isnan(wide(block))
        report.true(f"NaN stays, {case}", np.isnan(wide(y[nan])).all(), f"{y[nan]}")
        # -0 * 1 - 0 * 0 is 0 with some roundings of products and -0 with others.
        report.close(
            f"angle zero {case.dtype}", f"{case} from {start}",
            y[~nan].astype("f8"), block[~nan].astype("f8"), 0,
        )  # fmt: skip


def rounding(module, case, report, rng):
    """Results in 16 bits are rounded once, to nearest and even: with cosines
    that place them anywhere between two neighbours, on ties too."""
    dtype = reference.NUMPY[case.dtype]
    if dtype.itemsize != 2:
        return
    a, _ = reference.channels(case.pairing, PAIRS, OFFSET)
    c, _ = reference.channels(case.result_pairing or case.pairing, PAIRS, OFFSET)
    info = ml_dtypes.finfo(dtype)
    ulp = float(info.eps)
    for _ in range(20):
        x = np.zeros((8, HEAD), dtype)
        # Powers of two, down to where the results are denormal.
        lowest = int(np.log2(float(info.smallest_subnormal)))
        exponents = rng.integers(lowest, 10, (8, PAIRS))
        x[:, a] = np.exp2(exponents.astype("f8")).astype(dtype)
        ties = rng.integers(0, 2**8, (8, PAIRS)) * ulp / 2
        cos = (1 + ties + rng.choice([0, 2.0**-23, -(2.0**-24)], ties.shape)).astype("f4")
        y = turn(module, case, x, cos, np.zeros_like(cos))[:, c]
        product = x[:, a].astype("f8") * cos.astype("f8")
        report.same_bits(f"rounding, {case}", y, product.astype("f4").astype(dtype))


def main():
    report = Report()
    everything = list(cases())
    text = "".join(case.ir() for case in everything)
    for cpu in ("host", "x86-64-v3", "x86-64"):
        module = Module(text, cpu)
        rng = np.random.default_rng(9)
        for case in everything:
            if cpu == "host" or "interleaved" != case.pairing:
                special_values(module, case, report, rng)
                no_turn(module, case, report)
                rounding(module, case, report, rng)
    report.finish()


if __name__ == "__main__":
    in_child(main)

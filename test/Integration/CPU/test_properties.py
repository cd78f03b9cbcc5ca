# What the theory of rotary embeddings says must hold.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import numpy as np
from rope_testing import formulas
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.rotations import frequencies, rotation
from rope_testing.runner import Module

HEAD, PAIRS = 48, 24
BASE = f"%w = rope.frequencies base(1.0e4) : tensor<{PAIRS}xf64>"
LAYOUTS = ["#rope.pairing<half>", "#rope.pairing<interleaved>"]
# Errors of one rotation, relative to the length of the vector.
ERROR = {"f32": 1e-6, "f64": 1e-14}


def turn(module, name, x, positions, *length):
    note(name)
    y = np.zeros_like(x)
    module.call(name, x, np.asarray(positions), *length, y)
    return y


def vectors(rng, count, dtype):
    return rng.standard_normal((count, HEAD)).astype({"f32": "f4", "f64": "f8"}[dtype])


def geometry(report):
    """Lengths of pairs, relative positions, the inverse, the gradient."""
    text = ""
    names = list(itertools.product(range(len(LAYOUTS)), ERROR))
    for layout, dtype in names:
        for suffix, more, magnitude in (
            ("", "", 1.0), ("_back", ", transpose", 1.0),
            ("_large", "", 1.25), ("_large_back", ", transpose", 1.25),
        ):  # fmt: skip
            text += rotation(
                f"turn{layout}_{dtype}{suffix}", BASE, PAIRS, HEAD,
                [(f"pairing = {LAYOUTS[layout]}{more}", None)], dtype=dtype,
                magnitude=magnitude,
            )  # fmt: skip
    module = Module(text)
    for layout, dtype in names:
        rng = np.random.default_rng(5)
        f, error = f"turn{layout}_{dtype}", ERROR[dtype]
        count = 200
        q, k = vectors(rng, count, dtype), vectors(rng, count, dtype)
        m, n = rng.integers(-(2**30), 2**30, (2, count))
        qm, kn = turn(module, f, q, m), turn(module, f, k, n)

        def lengths(x):
            x = x.astype("f8").reshape(count, *((2, PAIRS) if layout == 0 else (PAIRS, 2)))
            return np.hypot(*(x[:, 0], x[:, 1]) if layout == 0 else (x[..., 0], x[..., 1]))

        report.close("lengths of pairs", f, lengths(qm), lengths(q), 2 * error * lengths(q) + error)

        def dot(x, y):
            return np.sum(x.astype("f8") * y.astype("f8"), -1)

        scale = np.linalg.norm(q.astype("f8"), axis=-1) * np.linalg.norm(k.astype("f8"), axis=-1)
        shift = rng.integers(-(2**29), 2**29, count)
        moved = dot(turn(module, f, q, m + shift), turn(module, f, k, n + shift))
        report.close("relative positions", f, moved, dot(qm, kn), 4 * error * scale)
        relative = dot(turn(module, f, q, m - n), k)
        report.close("relative positions", f, relative, dot(qm, kn), 4 * error * scale)

        back = turn(module, f + "_back", qm, m)
        report.close("transpose undoes", f, back, q.astype("f8"), 4 * error * 4)
        negative = turn(module, f, q, -m)
        report.close(
            "minus is transpose",
            f,
            negative,
            turn(module, f + "_back", q, m).astype("f8"),
            8 * error,
        )
        # <turn q, k> = <q, transpose k> for any magnitude.
        left = dot(turn(module, f + "_large", q, m), k)
        right = dot(q, turn(module, f + "_large_back", k, m))
        report.close("gradient", f, left, right, 4 * error * scale)
        # Sums of positions.
        both = turn(module, f, turn(module, f, q, m), n)
        report.close("composition", f, both, turn(module, f, q, m + n).astype("f8"), 32 * error)


def linear_scaling(report):
    """Frequencies divided by a factor are positions divided by it."""
    factor = 8.0
    scaled = (
        f"%b = rope.frequencies base(1.0e4) : tensor<{PAIRS}xf64>\n"
        f"%w = rope.scale_frequencies %b by(#rope.linear<factor = {factor}>) : tensor<{PAIRS}xf64>"
    )
    apply = [(f"pairing = {LAYOUTS[0]}", None)]
    module = Module(
        rotation("scaled", scaled, PAIRS, HEAD, apply)
        + rotation("divided", BASE, PAIRS, HEAD, apply, position_type="f64")
    )
    rng = np.random.default_rng(6)
    x = vectors(rng, 200, "f64")
    p = rng.integers(-(2**31) + 1, 2**31, 200)
    got, expected = turn(module, "scaled", x, p), turn(module, "divided", x, p / factor)
    report.close("linear scaling", "positions / factor", got, expected, 1e-14)


def rules(n):
    """Every scaling rule: its attribute, its formula (of n frequencies of base
    1e4 and a length), and whether it reads the length."""
    rng = np.random.default_rng(7)
    short, long = rng.uniform(1, 2, n), rng.uniform(1, 40, n)
    d = 2 * n
    w = formulas.geometric(1e4, d)

    def numbers(values):
        return "[" + ", ".join(f"{v:.17e}" for v in values) + "]"

    def divided(values):
        return [x / formulas.mpf(v) for x, v in zip(w, values)]

    yield "linear<factor = 3.0>", lambda _: formulas.linear(w, 3), False
    yield "ntk<factor = 4.0>", lambda _: formulas.ntk(w, 4), False
    yield (
        "ntk<factor = 4.0, mixed_exponent = 0.625>",
        lambda _: formulas.ntk(w, 4, 0.625), False,
    )  # fmt: skip
    yield (
        "ntk_alpha<alpha = 1000.0>",
        lambda _: formulas.geometric(
            formulas.mpf(1e4) * formulas.mpf(1000) ** (formulas.mpf(d) / (d - 2)), d
        ), False,
    )  # fmt: skip
    for more, arguments in (
        ("", {}),
        (", truncate = false", {"truncate": False}),
        (", beta_fast = 1.0, beta_slow = 1.0", {"beta_fast": 1, "beta_slow": 1}),
        (", beta_fast = 2.5, beta_slow = 2.5, truncate = false",
         {"beta_fast": 2.5, "beta_slow": 2.5, "truncate": False}),
        (", beta_slow = 1.0e-12", {"beta_slow": 1e-12}),
    ):  # fmt: skip
        yield (
            f"yarn<base = 1.0e4, factor = 16.0, original_max_position = 4096.0{more}>",
            lambda _, a=arguments: formulas.yarn(1e4, d, 16, 4096, **a), False,
        )  # fmt: skip
    for low, high in ((1, 4), (1, 1)):
        yield (
            f"llama3<factor = 8.0, low_freq_factor = {low}.0, high_freq_factor = {high}.0, "
            "original_max_position = 8192.0>",
            lambda _, low=low, high=high: formulas.llama3(w, 8, low, high, 8192), False,
        )  # fmt: skip
    yield (
        f"factors<divisors = {numbers(long)}>", lambda _: divided(long), False
    )  # fmt: skip
    yield (
        f"longrope<short_factors = {numbers(short)}, long_factors = {numbers(long)}, "
        "original_max_position = 4096.0>",
        lambda length: divided(long if length > 4096 else short), True,
    )  # fmt: skip
    yield (
        "dynamic_ntk<factor = 4.0, max_position = 2048.0>",
        lambda length: formulas.dynamic(1e4, d, 4, 2048, length), True,
    )  # fmt: skip
    yield (
        "dynamic_ntk<factor = 1.0, max_position = 100.5>",
        lambda length: formulas.dynamic(1e4, d, 1, 100.5, length), True,
    )  # fmt: skip


LENGTHS = [-5, 0, 1, 100, 101, 2047, 2048, 2049, 4096, 4097, 8192, 10**6, 2**31, 2**40]


def chain(n, rule, length, run_time):
    w = f"tensor<{n}xf64>"
    start = "" if run_time else f"%b = rope.frequencies base(1.0e4) : {w}\n"
    at = f" at {length}" if length else ""
    return f"{start}%w = rope.scale_frequencies %b by(#rope.{rule}){at} : {w}"


def scaling(report):
    """Constant chains, lengths known at run time, frequencies known at run time
    and chains of two rules: all give the formula's numbers."""
    cases, text = [], ""
    for n in (2, 3, 24, 64):
        w = f"tensor<{n}xf64>"
        for i, (rule, formula, reads_length) in enumerate(rules(n)):
            name = f"n{n}_r{i}"
            length = "%length" if reads_length else ""
            more = [", %length: i64", "%length: i64"] if reads_length else ["", ""]
            text += frequencies(f"{name}_run", n, chain(n, rule, length, True), f"%b: {w}{more[0]}")
            text += frequencies(f"{name}_known", n, chain(n, rule, length, False), more[1])
            if reads_length:
                for j, value in enumerate(LENGTHS):
                    constant = f"%l = arith.constant {value} : i64\n"
                    text += frequencies(f"{name}_at{j}", n, constant + chain(n, rule, "%l", False))
            cases.append((name, rule, n, formula, reads_length))
    module = Module(text)
    for name, rule, n, formula, reads_length in cases:
        base = np.array([float(x) for x in formulas.geometric(1e4, 2 * n)])
        for j, length in enumerate(LENGTHS if reads_length else [0]):
            expected = np.array([float(x) for x in formula(length)])
            arguments = [length] if reads_length else []
            where = f"{n} frequencies by {rule[:60]} at {length}"
            # One rounding of the result; of each of a few steps where the
            # frequencies come rounded.
            for variant, ulps, first in (("known", 1.01, []), ("run", 4, [base])):
                got = np.zeros(n)
                note(f"{where} {variant}")
                module.call(f"{name}_{variant}", *first, *arguments, got)
                report.close(
                    f"scaling, {variant}",
                    f"{variant}: {where}",
                    got,
                    expected,
                    ulps * 2.0**-53 * 2 * expected,
                )
            if reads_length:
                got = np.zeros(n)
                module.call(f"{name}_at{j}", got)
                report.close(
                    "scaling, constant",
                    f"constant: {where}",
                    got,
                    expected,
                    1.01 * 2.0**-53 * expected,
                )


def two_rules(report):
    """A rule of another's result, with the length between."""
    n = 32
    w = f"tensor<{n}xf64>"
    text = (
        f"func.func @chain(%length: i64) -> {w} {{\n"
        f"%a = rope.frequencies base(1.0e4) : {w}\n"
        f"%b = rope.scale_frequencies %a by(#rope.linear<factor = 3.0>) : {w}\n"
        f"%c = rope.scale_frequencies %b by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : {w}\n"
        f"%d = rope.scale_frequencies %c by(#rope.linear<factor = 7.0>) : {w}\n"
        f"return %d : {w}\n}}\n"
    )
    module = Module(text)
    for length in LENGTHS:
        got = np.zeros(n)
        module.call("chain", length, got)
        correct = formulas.linear(formulas.dynamic(1e4, 2 * n, 4, 2048, length), 21)
        expected = np.array([float(x) for x in correct])
        report.close("scaling, chain", f"chain at {length}", got, expected, 4 * 2.0**-53 * expected)


def run_time_length(report):
    """A whole rotation at a length known at run time is the one compiled for
    that length."""
    apply = [(f"pairing = {LAYOUTS[0]}", None)]
    text, names = "", []
    for i, (rule, _, reads_length) in enumerate(rules(PAIRS)):
        if not reads_length:
            continue
        names.append((i, rule))
        text += rotation(
            f"run{i}",
            chain(PAIRS, rule, "%length", False),
            PAIRS,
            HEAD,
            apply,
            dtype="f32",
            length=True,
        )
        for j, length in enumerate(LENGTHS):
            constant = f"%l = arith.constant {length} : i64\n"
            text += rotation(
                f"at{i}_{j}",
                constant + chain(PAIRS, rule, "%l", False),
                PAIRS,
                HEAD,
                apply,
                dtype="f32",
            )
    module = Module(text)
    rng = np.random.default_rng(8)
    x = vectors(rng, 50, "f32")
    p = rng.integers(-(2**31) + 1, 2**31, 50)
    for i, rule in names:
        for j, length in enumerate(LENGTHS):
            got = turn(module, f"run{i}", x, p, length)
            expected = turn(module, f"at{i}_{j}", x, p).astype("f8")
            # Frequencies that differ in their last bit, at the farthest position.
            report.close("length at run time", f"{rule[:40]} at {length}", got, expected, 4e-6)


def main():
    report = Report()
    geometry(report)
    linear_scaling(report)
    scaling(report)
    two_rules(report)
    run_time_length(report)
    report.finish()


if __name__ == "__main__":
    in_child(main)

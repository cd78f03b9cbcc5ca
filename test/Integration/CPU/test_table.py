# rope.table: types, ranks, axes, far positions, both precisions.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import mpmath
import numpy as np
from rope_testing import reference
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module
from rope_testing.tables import F32_BOUND, F64_BOUND, Table

INTEGERS = {"i8": 7, "i16": 15, "i32": 31, "i64": 31, "index": 31}
FLOATS = ["f16", "bf16", "f32", "f64"]
TYPES = ["f16", "bf16", "f32", "f64"]
SHAPES = [(), (1,), (7,), (2, 5), (2, 1, 3), (0,), (3, 0)]


def ladder(base, n):
    return [float(mpmath.mpf(base) ** (-mpmath.mpf(i) / n)) for i in range(n)]


def integer_positions(rng, shape, bits):
    """Unsorted, of both signs, near and far, with the ends of the range."""
    size = int(np.prod(shape, dtype=int))
    scale = 2.0 ** rng.uniform(0, bits, size)
    values = np.trunc(rng.choice([-1, 1], size) * scale).astype("i8")
    ends = [2**bits - 1, -(2**bits), 0, 1, -1]
    for i in range(min(size, len(ends))):
        if rng.integers(2):
            values[rng.integers(size)] = ends[i]
    return values.clip(-(2**bits), 2**bits - 1).reshape(shape)


def float_positions(rng, shape, dtype):
    size = int(np.prod(shape, dtype=int))
    bits = 15.9 if dtype == "f16" else 30.9
    values = rng.choice([-1, 1], size) * 2.0 ** rng.uniform(-10, bits, size)
    whole = rng.integers(0, 2, size).astype(bool)
    values[whole] = np.trunc(values[whole])
    return values.astype(reference.NUMPY[dtype]).reshape(shape)


def positions_of(rng, shape, kind):
    if kind in INTEGERS:
        values = integer_positions(rng, shape, INTEGERS[kind])
        return values.astype(reference.NUMPY[kind])
    return float_positions(rng, shape, kind)


def dynamic(rng, rank):
    return frozenset(d for d in range(rank) if rng.integers(2))


def cases():
    rng = np.random.default_rng(2)
    number = itertools.count()

    def case(positions, kind, frequencies, **more):
        more.setdefault("dynamic", dynamic(rng, positions.ndim))
        return Table(f"t{next(number)}", positions, kind, frequencies, **more)

    # Every position type, table type and precision; ranks in turn.
    shapes = itertools.cycle(SHAPES)
    for kind in [*INTEGERS, *FLOATS]:
        for dtype, precision in itertools.product(TYPES, ("exact", "f32")):
            n = int(rng.choice([1, 3, 8, 16, 20, 33]))
            yield case(
                positions_of(rng, next(shapes), kind), kind, ladder(1e4, n),
                dtype=dtype, precision=precision, run_time=bool(rng.integers(2)),
                magnitude=float(rng.choice([1.0, 1.1902380714238083, -0.5])),
            )  # fmt: skip

    # Every shape and numbers of pairs around the widths of vectors.
    for shape in SHAPES:
        for n in (0, 1, 2, 7, 15, 16, 17, 64, 65, 130):
            yield case(
                positions_of(rng, shape, "i64"), "i64", ladder(5e5, n),
                run_time=bool(rng.integers(2)),
            )  # fmt: skip

    # Axes.
    for kind in ("i32", "i64", "f32"):
        for axes in (
            [0], [1, 0], [0] * 5 + [1] * 6 + [2] * 5, [0, 1, 2] * 6, [3, 1] * 40,
            [int(a) for a in rng.integers(0, 4, 200)], [2] * 7,
        ):  # fmt: skip
            for shape in ((4, 6), (4, 2, 3), (4,), (4, 0)):
                yield case(
                    positions_of(rng, shape, kind), kind, ladder(1e6, len(axes)),
                    axes=tuple(axes),
                    precision=str(rng.choice(["exact", "f32"])),
                )  # fmt: skip

    # Frequencies that are no ladder: zero, negative, large, tiny, whole turns.
    odd = [
        0.0, -0.0, -1.0, 1.0, 2 * np.pi, -2 * np.pi, np.pi / 2, 6.2831853, 1000.25,
        -(2.0**20) + 0.37, 2.0**19 + 1 / 3, 1e-8, 1e-30, 1e-300, 5e-324, np.pi * 2**-31,
    ]  # fmt: skip
    for kind in ("i64", "i32", "f32", "f64"):
        for dtype in ("f32", "f64"):
            for run_time in (False, True):
                yield case(
                    positions_of(rng, (40,), kind), kind, odd, dtype=dtype,
                    run_time=run_time,
                )  # fmt: skip

    # Angles as close to multiples of a quarter turn as f32 numbers come.
    quarters = np.concatenate([np.arange(1, 400), rng.integers(400, 2**30, 1600)])
    close = (quarters * (np.pi / 2)).astype("f4")
    close = close[np.abs(close) < 2**30]
    for precision in ("exact", "f32"):
        yield case(close, "f32", [1.0, -1.0, 0.5, 2.0], precision=precision)
    # Whole numbers next to multiples of a quarter turn: convergents of pi/2.
    whole = np.array(
        [11, 22, 44, 333, 355, 710, 103993, 104348, 208341, 312689, 833719, 1146408,
         4272943, 5419351, 80143857, 165707065, 245850922, 411557987, 1068966896],
    )  # fmt: skip
    for precision, dtype in itertools.product(("exact", "f32"), ("f32", "f64")):
        yield case(whole, "i64", [1.0, 0.5, 1.5], precision=precision, dtype=dtype)

    # 200 positions of every kind of ladder.
    for base in (1e2, 1e4, 5e5, 1e7, 1e9):
        yield case(positions_of(rng, (200,), "i64"), "i64", ladder(base, 64))


def check_far(report):
    """i64 positions beyond 2^31: the fraction of a turn is held to 2^-63, for f64
    tables to 2^-85, so the bounds grow with the position."""
    rng = np.random.default_rng(3)
    for exponent in (33, 40, 45):
        far = rng.integers(-(2**exponent), 2**exponent, 50)
        bounds = {
            "f32": F32_BOUND + 2.0 ** (exponent - 60),
            "f64": F64_BOUND + 2.0 ** (exponent - 82),
        }
        for dtype, bound in bounds.items():
            table = Table("far", far, "i64", ladder(1e4, 16), dtype=dtype)
            got = table.run(Module(table.ir()), rng)
            for value, expected in zip(got, reference.cos_sin(far, table.frequencies)):
                report.close(f"table beyond 2^31 {dtype}", str(table), value, expected, bound)


def check_not_finite(report):
    """Positions that are no numbers, or too large, give some numbers and no
    crash; those beside them stay right."""
    rng = np.random.default_rng(4)
    bad = [np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0**31, 2.0**63, 1e30]
    for kind, precision in itertools.product(("f32", "f64"), ("exact", "f32")):
        good = np.arange(len(bad)) * 1000.25
        positions = np.stack([bad, good], 1).astype(reference.NUMPY[kind])
        table = Table("bad", positions, kind, ladder(1e4, 20), precision=precision)
        cos, sin = table.run(Module(table.ir()), rng)
        right = positions[:, 1]
        if precision == "exact":
            expected = reference.cos_sin(right, table.frequencies)
        else:
            angles = reference.f32_angles(right, table.frequencies)
            expected = reference.cos_sin_of_angles(angles)
        for value, correct in zip((cos, sin), expected):
            report.close("beside bad positions", str(table), value[:, 1], correct, F32_BOUND)


STARTS = """
func.func @scalar(%x: tensor<?xf32>, %start: i64) -> (tensor<?x20xf32>, tensor<?x20xf32>) {
  %c0 = arith.constant 0 : index
  %s = tensor.dim %x, %c0 : tensor<?xf32>
  %w = rope.frequencies base(1.0e4) : tensor<20xf64>
  %e = tensor.empty(%s) : tensor<?xi64>
  %p = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      outs(%e : tensor<?xi64>) {
    ^bb0(%unused: i64):
      %i = linalg.index 0 : index
      %j = arith.index_cast %i : index to i64
      %k = arith.addi %j, %start : i64
      linalg.yield %k : i64
  } -> tensor<?xi64>
  %t = tensor.empty(%s) : tensor<?x20xf32>
  %c, %n = rope.table ins(%p, %w : tensor<?xi64>, tensor<20xf64>)
                      outs(%t, %t : tensor<?x20xf32>, tensor<?x20xf32>)
  return %c, %n : tensor<?x20xf32>, tensor<?x20xf32>
}
func.func @ragged(%x: tensor<?x?xf32>, %starts: tensor<?xi32>)
    -> (tensor<?x?x20xf32>, tensor<?x?x20xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?xf32>
  %w = rope.frequencies base(1.0e4) : tensor<20xf64>
  %e = tensor.empty(%b, %s) : tensor<?x?xindex>
  %p = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%starts : tensor<?xi32>) outs(%e : tensor<?x?xindex>) {
    ^bb0(%start: i32, %unused: index):
      %i = linalg.index 1 : index
      %j = arith.index_cast %start : i32 to index
      %k = arith.addi %i, %j : index
      linalg.yield %k : index
  } -> tensor<?x?xindex>
  %t = tensor.empty(%b, %s) : tensor<?x?x20xf32>
  %c, %n = rope.table ins(%p, %w : tensor<?x?xindex>, tensor<20xf64>)
                      outs(%t, %t : tensor<?x?x20xf32>, tensor<?x?x20xf32>)
  return %c, %n : tensor<?x?x20xf32>, tensor<?x?x20xf32>
}
"""


def check_starts(report):
    """Positions that the module makes from a start."""
    module = Module(STARTS)
    w = ladder(1e4, 20)
    for start in (0, 5, -3, 131071, 2**31 - 40, -(2**31)):
        for size in (0, 1, 37):
            cos, sin = (np.zeros((size, 20), "f4") for _ in range(2))
            module.call("scalar", np.zeros(size, "f4"), start, cos, sin)
            expected = reference.cos_sin(np.arange(size) + start, w)
            report.close("positions from a start", f"cos from {start}", cos, expected[0], F32_BOUND)
            report.close("positions from a start", f"sin from {start}", sin, expected[1], F32_BOUND)
    starts = np.array([0, -7, 131071, 2**31 - 40], "i4")
    cos, sin = (np.zeros((4, 21, 20), "f4") for _ in range(2))
    module.call("ragged", np.zeros((4, 21), "f4"), starts, cos, sin)
    positions = starts.astype("i8")[:, None] + np.arange(21)
    expected = reference.cos_sin(positions, w)
    report.close("positions from a start", "ragged cos", cos, expected[0], F32_BOUND)
    report.close("positions from a start", "ragged sin", sin, expected[1], F32_BOUND)


def main():
    report = Report()
    everything = list(cases())
    for cpu, chosen in (
        ("host", everything),
        ("x86-64-v3", everything[::5]),
        ("x86-64", everything[::5]),
    ):
        module = Module("".join(case.ir() for case in chosen), cpu)
        for i, case in enumerate(chosen):
            case.check(module, report, np.random.default_rng(i))
    check_far(report)
    check_not_finite(report)
    check_starts(report)
    print(f"{len(everything)} tables")
    report.finish()


if __name__ == "__main__":
    in_child(main)

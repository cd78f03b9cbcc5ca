# rope.table and the rope.apply of it together, which are fused.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools
from dataclasses import dataclass

import numpy as np
from rope_testing import formulas, reference
from rope_testing.applies import Apply, place, shape_text
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module

PAIRINGS = [("half", None), ("interleaved", None), ("interleaved", "half"), ("half", "interleaved")]
TYPES = ["f16", "bf16", "f32", "f64"]
POSITION_DIMS = [
    (2, (0,)), (3, (0,)), (3, (1,)), (3, (0, 1)), (3, (1, 0)), (4, (1,)), (4, (2,)),
    (4, (0, 1)), (4, (0, 2)), (4, (2, 0)), (4, (2, 1, 0)), (4, ()), (1, ()),
]  # fmt: skip
MAGNITUDE = 1.1902380714238083
BASE = 1e4


@dataclass
class Fused(Apply):
    """Positions and x to y. A table of one use is fused with it; the second of
    two uses turns the other way."""

    axes: tuple = None
    position_type: str = "i64"
    uses: int = 1

    @property
    def _position_shape(self):
        outer = self.table_shape[:-1]
        return (max(self.axes) + 1, *outer) if self.axes else outer

    def ir(self):
        x = f"tensor<{shape_text(self.shape, self.dynamic)}{self.dtype}>"
        dims = {d for d in range(len(self.position_dims)) if self.position_dims[d] in self.dynamic}
        first = 1 if self.axes else 0
        p_text = shape_text(self._position_shape, {d + first for d in dims})
        p = f"tensor<{p_text}{self.position_type}>"
        t = f"tensor<{shape_text(self.table_shape, dims)}{self.table_dtype}>"
        w = f"tensor<{self.pairs}xf64>"
        table = f"magnitude = {MAGNITUDE!r} : f64"
        if self.axes:
            table += f", axes = array<i64: {', '.join(map(str, self.axes))}>"
        apply = (
            f"pairing = #rope.pairing<{self.pairing}>, offset = {self.offset} : i64, "
            f"position_dims = array<i64{': ' if self.position_dims else ''}"
            f"{', '.join(map(str, self.position_dims))}>"
        )
        if self.pair_stride is not None:
            apply += f", pair_stride = {self.pair_stride} : i64"
        if self.result_pairing:
            apply += f", result_pairing = #rope.pairing<{self.result_pairing}>"
        turns = ["", ", transpose"]
        if self.transpose:
            turns.reverse()
        results = ", ".join([x] * self.uses)
        lines = [
            f"func.func @{self.name}(%x: {x}, %p: {p}) -> ({results}) {{",
            f"%w = rope.frequencies base({BASE!r}) : {w}",
        ]
        for d in sorted(self.dynamic):
            lines.append(f"%i{d} = arith.constant {d} : index")
            lines.append(f"%d{d} = tensor.dim %x, %i{d} : {x}")
        table_sizes = ", ".join(f"%d{self.position_dims[d]}" for d in sorted(dims))
        lines += [
            f"%t = tensor.empty({table_sizes}) : {t}",
            f"%c, %s = rope.table ins(%p, %w : {p}, {w}) outs(%t, %t : {t}, {t}) {{{table}}}",
        ]
        for i in range(self.uses):
            lines += [
                f"%e{i} = tensor.empty({', '.join(f'%d{d}' for d in sorted(self.dynamic))}) : {x}",
                f"%y{i} = rope.apply ins(%x, %c, %s : {x}, {t}, {t}) outs(%e{i} : {x}) "
                f"{{{apply}{turns[i]}}}",
            ]
        values = ", ".join(f"%y{i}" for i in range(self.uses))
        return "\n".join([*lines, f"return {values} : {results}\n}}\n"])

    def bound(self, expected, size):
        bound = size * MAGNITUDE * (3e-7 + 2.0**-22)
        if self.table_dtype == "f64" and self.dtype == "f64":
            bound = size * 4e-15
        elif self.table_dtype in ("f16", "bf16"):
            table_dtype = reference.NUMPY[self.table_dtype]
            bound = bound + size * reference.half_ulp(MAGNITUDE, table_dtype)
        if self.dtype in ("f16", "bf16"):
            bound = bound + reference.half_ulp(expected, reference.NUMPY[self.dtype])
        return bound

    def check(self, module, report, rng):
        note(str(self))
        dtype = reference.NUMPY[self.dtype]
        x0 = rng.standard_normal(self.shape).astype(dtype)
        p0 = rng.integers(-(2**31) + 1, 2**31, self._position_shape)
        p0 = p0.astype(reference.NUMPY[self.position_type])
        w = [float(v) for v in formulas.geometric(BASE, 2 * self.pairs)]
        if self.axes:
            parts = [reference.cos_sin(p0[a], [v]) for a, v in zip(self.axes, w)]
            cos, sin = (np.concatenate(part, -1) for part in zip(*parts))
        else:
            cos, sin = reference.cos_sin(p0, w)
        x, _ = place(x0, rng)
        p, _ = place(np.asarray(p0), rng)
        results = [place(np.zeros_like(x0), rng)[0] for _ in range(self.uses)]
        module.call(self.name, x, p, *results)
        for use, y in enumerate(results):
            expected, size, rotated = reference.rotate(
                x0, MAGNITUDE * cos, MAGNITUDE * sin, self.position_dims, self.pairing,
                self.offset, self.pair_stride, self.result_pairing,
                self.transpose != bool(use),
            )  # fmt: skip
            got = np.array(y)
            kept = np.setdiff1d(np.arange(self.shape[-1]), rotated)
            report.close(
                f"{self.dtype}, tables {self.table_dtype}", f"use {use}, {self}", got,
                expected, self.bound(expected, size),
            )  # fmt: skip
            report.same_bits(f"kept channels, {self}", got[..., kept], x0[..., kept])
        report.same_bits(f"x, {self}", np.array(x), x0)


def cases():
    rng = np.random.default_rng(10)
    number = itertools.count()
    for pairing, (rank, position_dims), dtype in itertools.product(PAIRINGS, POSITION_DIMS, TYPES):
        pairs = int(rng.choice([1, 3, 8, 20, 33, 64]))
        placements = [(2 * pairs, 0, None), (2 * pairs + 5, 5, None), (2 * pairs + 7, 2, None)]
        if pairing == ("half", None):
            placements.append((2 * pairs + 8, 0, pairs + 4))
        head, offset, stride = placements[rng.integers(len(placements))]
        axes = tuple(int(a) for a in rng.integers(0, 3, pairs)) if not rng.integers(3) else None
        yield Fused(
            f"f{next(number)}",
            (*(int(n) for n in rng.integers(0 if not rng.integers(5) else 1, 5, rank - 1)), head),
            pairs, dtype=dtype, table_dtype=str(rng.choice(["f32", "f32", *TYPES])),
            position_dims=position_dims, pairing=pairing[0], result_pairing=pairing[1],
            offset=offset, pair_stride=stride, transpose=bool(rng.integers(2)), axes=axes,
            dynamic=frozenset(d for d in range(rank - 1) if rng.integers(2)),
            position_type=str(rng.choice(["i32", "i64", "index", "f32", "f64"])),
            uses=1 if rng.integers(3) else 2,
        )  # fmt: skip


def main():
    report = Report()
    everything = list(cases())
    for cpu, chosen in (("host", everything), ("x86-64-v3", everything[::7])):
        module = Module("".join(case.ir() for case in chosen), cpu)
        for i, case in enumerate(chosen):
            case.check(module, report, np.random.default_rng(i))
    print(f"{len(everything)} functions")
    report.finish()


if __name__ == "__main__":
    in_child(main)

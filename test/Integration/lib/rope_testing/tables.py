# Cases of rope.table: their IR, their data, their check.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

from dataclasses import dataclass, field

import numpy as np

from rope_testing import reference
from rope_testing.applies import place, shape_text
from rope_testing.memory import note

# Bounds on the error of exact tables of magnitude one.
F32_BOUND = 3e-7
F64_BOUND = 2e-15


def values_text(frequencies):
    """f64 numbers as an MLIR dense attribute, bit for bit."""
    words = ", ".join(f"0x{w:016X}" for w in np.asarray(frequencies, "f8").view("u8"))
    return f"values(dense<[{words}]> : tensor<{len(frequencies)}xf64>)"


def bound_of(expected, magnitude, dtype, exact=None):
    """The bound of an exact table of `dtype` around `expected`."""
    if dtype == "f64":
        return F64_BOUND * abs(magnitude)
    bound = F32_BOUND * abs(magnitude)
    if dtype != "f32":
        bound = bound + reference.half_ulp(expected, reference.NUMPY[dtype])
    return bound


def single_bound(correct, magnitude, dtype):
    """The bound of a table of precision f32, where `correct` is the cosine or
    sine: one unit in the last place, then the rounding of the product with the
    magnitude, of the magnitude itself, and to 16 bits."""
    bound = 2 * reference.half_ulp(correct, "f4")
    if magnitude != 1:
        rounded = abs(float(np.float32(magnitude)) - magnitude)
        bound = bound * abs(magnitude) + np.abs(correct) * rounded
        bound = bound + reference.half_ulp(correct * magnitude, "f4")
    if dtype in ("f16", "bf16"):
        bound = bound + reference.half_ulp(correct * magnitude, reference.NUMPY[dtype])
    return bound


@dataclass
class Table:
    """One rope.table. `positions` hold the data; frequencies are constants, or
    an argument of the function where `run_time` is set."""

    name: str
    positions: np.ndarray
    position_type: str
    frequencies: list
    dtype: str = "f32"
    magnitude: float = 1.0
    axes: tuple = None
    precision: str = "exact"
    run_time: bool = False
    dynamic: frozenset = field(default_factory=frozenset)

    @property
    def _outer(self):
        """The dimensions of positions that the tables have."""
        return self.positions.shape[1:] if self.axes else self.positions.shape

    def ir(self):
        rank, n = self.positions.ndim, len(self.frequencies)
        p = f"tensor<{shape_text(self.positions.shape, self.dynamic)}{self.position_type}>"
        first = 1 if self.axes else 0
        outer = shape_text(self._outer, {d - first for d in self.dynamic})
        t = f"tensor<{outer}{n}x{self.dtype}>"
        w = f"tensor<{n}xf64>"
        lines = [
            f"func.func @{self.name}(%p: {p}"
            + (f", %w: {w}" if self.run_time else "")
            + f") -> ({t}, {t}) {{"
        ]
        if not self.run_time:
            lines.append(f"  %w = rope.frequencies {values_text(self.frequencies)} : {w}")
        sizes = []
        for d in range(first, rank):
            if d in self.dynamic:
                lines.append(f"  %i{d} = arith.constant {d} : index")
                lines.append(f"  %d{d} = tensor.dim %p, %i{d} : {p}")
                sizes.append(f"%d{d}")
        lines.append(f"  %e = tensor.empty({', '.join(sizes)}) : {t}")
        attributes = [f"magnitude = {self.magnitude:.17e} : f64"]
        if self.axes:
            attributes.append(f"axes = array<i64: {', '.join(map(str, self.axes))}>")
        if self.precision != "exact":
            attributes.append(f"precision = #rope.precision<{self.precision}>")
        lines.append(
            f"  %c, %s = rope.table ins(%p, %w : {p}, {w}) outs(%e, %e : {t}, {t}) "
            f"{{{', '.join(attributes)}}}\n  return %c, %s : {t}, {t}\n}}\n"
        )
        return "\n".join(lines)

    def __str__(self):
        return (
            f"{self.name}: {self.position_type}{list(self.positions.shape)} -> "
            f"{self.dtype}, {len(self.frequencies)} pairs, axes {self.axes}, "
            f"magnitude {self.magnitude}, {self.precision}, "
            f"{'run-time' if self.run_time else 'constant'} frequencies, "
            f"dynamic {sorted(self.dynamic)}"
        )

    def run(self, module, rng):
        """Calls the function; returns cosines and sines."""
        note(str(self))
        shape = self._outer + (len(self.frequencies),)
        dtype = reference.NUMPY[self.dtype]
        positions, _ = place(self.positions, rng)
        cos, _ = place(np.zeros(shape, dtype), rng)
        sin, _ = place(np.zeros(shape, dtype), rng)
        arguments = [positions]
        if self.run_time:
            arguments.append(place(np.array(self.frequencies, "f8"), rng)[0])
        module.call(self.name, *arguments, cos, sin)
        return np.array(cos), np.array(sin)

    def _by_pair(self, function):
        """`function(positions, frequencies)`, each pair with its axis."""
        if not self.axes:
            return function(self.positions, self.frequencies)
        columns = [
            function(self.positions[axis], [w]) for axis, w in zip(self.axes, self.frequencies)
        ]
        return tuple(np.concatenate(part, -1) for part in zip(*columns))

    def check(self, module, report, rng):
        got = self.run(module, rng)
        if self.precision == "exact":
            expected = self._by_pair(reference.cos_sin)
        else:
            expected = self._by_pair(
                lambda p, w: reference.cos_sin_of_angles(reference.f32_angles(p, w))
            )
        for what, value, correct in zip(("cos", "sin"), got, expected):
            if self.precision == "exact":
                bound = bound_of(correct * self.magnitude, self.magnitude, self.dtype)
            else:
                bound = single_bound(correct, self.magnitude, self.dtype)
            report.close(
                f"table {self.precision} {self.dtype}", f"{what} of {self}", value,
                correct * self.magnitude, bound,
            )  # fmt: skip

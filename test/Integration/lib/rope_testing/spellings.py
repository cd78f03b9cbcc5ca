# Random spellings of rotations in upstream dialects, and what is nearly one.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`rotation(seed)` and `near_miss(seed)` write a function on tensors, with its
arguments and what it computes in float64. To look at some:

    python -m rope_testing.spellings --seed 1 --count 20 -o folder
"""

import argparse
import json
import os
from dataclasses import dataclass, field, replace

import numpy as np
from rope_testing.graphs import Dim, Graph, Tensor, literal
from rope_testing.reference import NUMPY, channels, cos_sin_of_angles

# Dimensions of x: batch, groups of heads, heads, tokens, channels.
LAYOUTS = ["SD", "DS", "BSD", "HSD", "SHD", "BDS", "BSHD", "BHSD", "SBHD", "BHDS", "BSDH", "BGHSD", "BSGHD", "BGSHD"]
SIZES = {"B": 2, "G": 2, "H": 3}
LENGTH = 16  # of tables that rows are gathered from

# How cores that need x and the tables as wide as the rotated channels, and those
# that need each half, are spelled.
WIDE = ["rotate half", "roll", "sign vector", "matrix", "gather", "index", "index generic"]
PAIRED = ["four products", "fused", "fma", "complex", "complex generic", "complex tensors", "two by two", "contraction"]
TABLES = ["opaque", "computed", "computed", "gathered", "gathered computed", "axes"]

# What may be wrong, in which cores. Such a thing is no rotation.
_PARTNERED = ["rotate half", "roll", "sign vector"]
_INDEXED = ["index", "index generic"]
_PRODUCTS = ["four products", "fused", "fma"]
_COMPLEX = ["complex", "complex generic", "complex tensors"]
FAULTS = {
    "equal signs": [*WIDE, *_PRODUCTS, "two by two", "contraction"],
    "conjugated": _COMPLEX,
    "one sign": ["sign vector", "matrix", "gather", *_INDEXED],
    "another pair": [*WIDE, *_PRODUCTS],
    "unequal halves": _PARTNERED,
    "scaled partner": [*_PARTNERED, "matrix", *_INDEXED, *_PRODUCTS],
    "rounded": [*_PARTNERED, *_INDEXED, *_PRODUCTS],
    "different x": [*_PARTNERED, *_INDEXED, *_PRODUCTS],
    "off by one": _PRODUCTS,
    "sine of another pair": _PRODUCTS,
    "index argument": ["gather"],
    "wide tables": WIDE,
}
# Faults of the tables alone: an apply on what is given is right, a table of one
# angle is not.
TABLE_FAULTS = ["different positions", "different frequencies", "another magnitude", "sine squared",
                "swapped tables", "another function", "columns of other pairs"]  # fmt: skip
# Whole functions of another form.
FORMS = ["gated", "gated sums", "memref", "unranked", "contraction"]


@dataclass
class Sample:
    name: str
    text: str
    resources: dict
    arguments: list
    expected: np.ndarray
    dtype: np.dtype
    # Error bound, absolute.
    bound: float
    # What to find: pairs, table ("traced", "opaque" or "either"), rotations, ...
    parameters: dict
    # How it is spelled, which is what makes it distinct.
    tags: dict = field(default_factory=dict)

    def call(self, module):
        out = np.zeros(self.expected.shape, self.dtype)
        # Functions may write to their arguments.
        module.call(self.name, *[a.copy() if isinstance(a, np.ndarray) else a for a in self.arguments], out)
        return out


def module(samples):
    """The text of a module of all."""
    text = "\n".join(s.text for s in samples)
    blobs = {key: blob for s in samples for key, blob in s.resources.items()}
    if blobs:
        entries = ",\n".join(f'      {key}: "{blob}"' for key, blob in blobs.items())
        text += "\n{-#\n  dialect_resources: {\n    builtin: {\n" + entries + "\n    }\n  }\n#-}\n"
    return text


class _Writer:
    """One function, as it is drawn."""

    def __init__(self, seed, name, fault=None):
        self.rng = np.random.default_rng(seed)
        self.name = name
        self.fault = fault
        self.arguments = []
        self.signature = []
        self.parameters = {}
        self.tags = {}

    def draw(self, key, *choices):
        choice = choices[self.rng.integers(len(choices))]
        self.tags[key] = choice
        return choice

    def chance(self, p):
        return bool(self.rng.random() < p)

    def argument(self, array, dims, element):
        name = f"%x{len(self.arguments)}"
        tensor = Tensor(name, tuple(dims), element)
        self.arguments.append(np.ascontiguousarray(array).astype(NUMPY[element]))
        self.signature.append(f"{name}: {tensor.type}")
        return tensor

    # The whole.

    def write(self, tables=None, core=None):
        rng = self.rng
        self.draw_shape()
        self.core = core or self.draw("core", *WIDE, *PAIRED)
        is_tosa = self.core in ("rotate half", "roll", "sign vector", "four products", "two by two") and self.chance(0.2)
        self.tags["tosa"] = is_tosa
        if is_tosa:
            self.dynamic = {}
        if self.fault == "rounded" and is_tosa:
            is_tosa = self.tags["tosa"] = False
        self.draw_dtype(is_tosa)
        self.g = g = Graph(rng, is_tosa)
        x = self.draw_x()
        self.table_kind = tables or self.draw("table", *TABLES)
        if is_tosa and self.table_kind not in ("opaque", "computed"):
            self.table_kind = self.tags["table"] = "computed"
        self.draw_tables()
        loop = self.draw("loop", "", "", "", "steps", "batch")
        if loop == "batch" and (self.layout[0] != "B" or self.positions[0] == "B" or is_tosa):
            loop = self.tags["loop"] = ""
        if is_tosa or self.skipped:
            loop = self.tags["loop"] = ""
        inside = loop and self.chance(0.5)
        if not inside:
            self.make_tables()
        if not loop:
            y = self.some_tokens(x) if self.skipped else self.rotate(x)
        else:
            y = self.in_loop(x, loop, inside)
        return self.finish(x, y)

    def draw_shape(self):
        self.layout = self.draw("layout", *LAYOUTS)
        self.axis = self.layout.index("D")
        self.n = n = self.draw("pairs", 2, 3, 4)
        self.read = self.draw("pairing", "half", "half", "interleaved")
        mixed = self.chance(0.25)
        self.write_pairing = {"half": "interleaved", "interleaved": "half"}[self.read] if mixed else self.read
        self.is_mixed = mixed
        self.tags["result"] = self.write_pairing
        places = ["whole", "whole", "leading", "trailing", "middle"]
        if self.read == "half" and not mixed:
            places += ["separated", "separated middle"]
        place = self.draw("placement", *places)
        before = {"trailing": 3, "middle": 2, "separated middle": 1}.get(place, 0)
        after = {"leading": 2, "middle": 3, "separated middle": 2}.get(place, 0)
        self.gap = 2 if place.startswith("separated") else 0
        self.offset = before
        self.head = before + 2 * (n + self.gap) + after
        if place == "separated":
            # Both halves have channels that stay.
            self.head = before + 2 * (n + self.gap)
        if self.fault == "off by one":
            self.read = self.write_pairing = self.tags["pairing"] = self.tags["result"] = "half"
            self.is_mixed = False
            self.head += 1
        if self.fault == "unequal halves":
            self.read = self.write_pairing = self.tags["pairing"] = self.tags["result"] = "half"
            self.is_mixed = False
        self.inverse = self.draw("inverse", False, False, True)
        self.tokens = self.draw("tokens", 4, 5)
        dynamic = self.draw("dynamic", "", "", "S", "BS")
        self.dynamic = {r for r in dynamic if r in self.layout}
        # Tokens at the start that are left as they are.
        self.skipped = 0 if "S" in self.dynamic else self.draw("skipped", 0, 0, 0, 1)

    def draw_dtype(self, is_tosa):
        if is_tosa or (self.core.startswith("complex") and self.chance(0.5)):
            self.x_element = self.element = self.draw("dtype", "f32")
        elif self.core.startswith("complex"):
            kind = self.draw("dtype", "f64", "bf16 in f32", "f16 in f32")
            self.x_element, self.element = ("f64",) * 2 if kind == "f64" else (kind[:-7], "f32")
        else:
            kind = self.draw("dtype", "f32", "f32", "f32", "f64", "bf16", "f16", "bf16 in f32", "f16 in f32")
            self.x_element = kind.split()[0]
            self.element = kind.split()[-1]

    def dim(self, role, tensor=None):
        """The size of a dimension of x, or of the tables."""
        return self.sizes[role]

    def draw_x(self):
        sizes = {**SIZES, "S": self.tokens, "D": self.head}
        # A fused product holds it beside others.
        fused = self.draw("fused", "", "", "", "D", "H")
        if fused not in self.layout:
            fused = self.tags["fused"] = ""
        self.sizes = {r: Dim(sizes[r], f"%size{r}" if r in self.dynamic else "") for r in self.layout}
        shape = dict(self.sizes)
        at = 0
        if fused:
            at = int(self.rng.integers(1, 4))
            shape[fused] = Dim(sizes[fused] + at + 1)
        dims = [shape[r] for r in self.layout]
        array = self.rng.standard_normal([d.size for d in dims])
        x = self.argument(array, dims, self.x_element)
        for role in sorted(self.dynamic):
            axis = self.g.scalar(self.layout.index(role), "index")
            self.g.emit(f"%size{role} = tensor.dim {x.name}, {axis} : {x.type}")
        self.x = self.arguments[0].astype(np.float64)
        if fused:
            axis = self.layout.index(fused)
            x = self.g.slice(x, axis, at, self.sizes[fused])
            self.x = np.take(self.x, range(at, at + sizes[fused]), axis)
        self.tokens -= self.skipped
        if self.skipped:
            self.sizes["S"] = Dim(self.tokens)
        return x

    # Tables.

    def draw_tables(self):
        """Arguments, and what the tables hold."""
        kinds = ["S", "1S"] + (["BS"] if "B" in self.layout else [])
        if self.g.tosa:
            kinds = [k for k in kinds if k != "1S" or self.layout.index("S") > 0]
        if self.table_kind == "axes":
            kinds = [k for k in kinds if k != "1S"]
        self.positions = self.draw("positions", *kinds)
        kind = self.table_kind
        if kind == "computed" and self.positions == "S" and not self.g.tosa and self.fault != "different positions":
            if self.chance(0.3):
                self.tags["positions"] = "counted"
        counted = self.tags.get("positions") == "counted"
        self.position_dims = [Dim(1) if r == "1" else self.sizes[r] for r in self.positions]
        shape = [d.size for d in self.position_dims]
        self.magnitude = self.draw("magnitude", 1.0, 1.0, 1.25)
        if kind in ("opaque", "gathered"):
            self.magnitude = self.tags["magnitude"] = 1.0
        self.axes = None
        rng = self.rng
        n = self.n
        if kind == "opaque":
            angles = rng.uniform(-3, 3, (*shape, n))
            self.cos_columns, self.sin_columns = np.cos(angles), np.sin(angles)
            if self.fault == "wide tables":
                angles = rng.uniform(-3, 3, (*shape, 2 * n))
                self.cos_columns, self.sin_columns = np.cos(angles), np.sin(angles)
            columns = [*self.position_dims, Dim(angles.shape[-1])]
            element = self.element
            given = [self.argument(t, columns, element) for t in (self.cos_columns, self.sin_columns)]
            self.given = given
            cos, sin = (a.astype(np.float64) for a in self.arguments[-2:])
        else:
            self.frequency_kind = self.draw("frequencies", "dense", "dense_resource", "powf", "exp", "reciprocal of powf")
            if self.g.tosa or kind == "gathered":
                self.frequency_kind = self.tags["frequencies"] = "dense"
            self.base = 100.0
            exponents = np.arange(n, dtype=np.float32) * np.float32(2) / np.float32(2 * n)
            self.frequencies = (np.float32(self.base) ** -exponents).astype(np.float32)
            if self.frequency_kind.startswith("dense"):
                self.frequencies = rng.uniform(0.01, 1, n).astype(np.float32)
                # Pairs that do not turn, as proportional models have them.
                if self.fault is None and kind != "gathered" and self.draw("still", False, False, True):
                    self.frequencies[n - 1] = 0
                    self.parameters["still"] = 1
            length = LENGTH if kind.startswith("gathered") else 50
            lead = [3] if kind == "axes" else []
            p = rng.integers(0, length, [*lead, *shape])
            if counted:
                start = int(rng.integers(0, 40))
                p = start + np.arange(self.tokens)
            self.p = p
            gathers = kind.startswith("gathered")
            self.position_type = "i64" if gathers else self.draw("position type", "i32", "i64", "f32")
            if self.g.tosa and self.position_type == "i64":
                self.position_type = self.tags["position type"] = "i32"
            if counted:
                if self.draw("start", "number", "tensor") == "number":
                    self.start = f"%x{len(self.arguments)}"
                    self.arguments.append(start)
                    self.signature.append(f"{self.start}: i64")
                else:
                    self.start = self.argument(np.array([start]), [Dim(1)], "i64")
            else:
                dims = [*map(Dim, lead), *self.position_dims]
                self.given_positions = self.argument(p, dims, self.position_type)
                if self.fault == "different positions":
                    others = (p + rng.integers(1, 4, p.shape)) % length
                    self.other_positions = self.argument(others, dims, self.position_type)
            if kind == "axes":
                self.axes = np.sort(rng.integers(0, 3, n)) if self.chance(0.5) else np.arange(n) % 3
                p = np.moveaxis(p[self.axes], 0, -1)
            else:
                p = p[..., None]
            angles = p.astype(np.float32) * self.frequencies
            cos, sin = (self.magnitude * t for t in cos_sin_of_angles(angles))
            # Made in f32, then narrowed.
            if self.element in ("bf16", "f16"):
                cos, sin = (t.astype(np.float32).astype(NUMPY[self.element]).astype(np.float64) for t in (cos, sin))
        self.cos, self.sin = cos, sin
        self.parameters["table"] = {"opaque": "opaque", "gathered": "either"}.get(kind, "traced")
        self.parameters["magnitude"] = self.magnitude

    def make_tables(self):
        """Cosine and sine along the positions, with as many columns as pairs or,
        for cores that need it, channels: `self.tables`."""
        wide = self.core in WIDE
        if self.core in _INDEXED and self.fault != "wide tables":
            wide = self.chance(0.3)
        self.is_wide = wide
        kind = self.table_kind
        make = {"opaque": self.opaque, "computed": self.computed, "gathered": self.gathered,
                "gathered computed": self.gathered_computed, "axes": self.with_axes}[kind]  # fmt: skip
        cos, sin = make(wide)
        if self.fault in ("different positions", "different frequencies"):
            if self.fault == "different positions":
                self.given_positions = self.other_positions
            else:
                self.frequencies = (self.frequencies * np.float32(1.5)).astype(np.float32)
                self.base *= 2
            sin = make(wide)[1]
        if self.fault == "swapped tables":
            cos, sin = sin, cos
        if self.fault == "columns of other pairs":
            sin = self.columns_reversed(sin)
        if self.fault == "sine squared":
            sin = self.g.apply("mul", sin, sin)
        if self.element in ("bf16", "f16", "f64"):
            cos, sin = (self.g.cast(t, self.element) for t in (cos, sin))
        self.tables = cos, sin

    def doubled(self, t):
        """Each column twice, as the pairing has its channels."""
        g, axis = self.g, t.rank - 1
        if self.order == "half":
            if not g.tosa and g.pick("doubled by concat", "doubled by broadcast") == "doubled by broadcast":
                lead = tuple(range(axis))
                two = g.generic(
                    [t.along(*lead, axis + 1)], [*t.dims[:-1], Dim(2), t.dims[-1]], [t.element], lambda v, _: v[0]
                )
                return g.collapse(two, axis)
            return g.concat([t, t], axis)
        if not g.tosa and g.pick("repeat by stack", "repeat by broadcast") == "repeat by broadcast":
            two = g.generic([t.along(*range(t.rank))], [*t.dims, Dim(2)], [t.element], lambda v, _: v[0])
            return g.collapse(two, axis)
        return g.collapse(g.stack(t, t, t.rank), axis)

    @property
    def order(self):
        """The pairing of wide operands."""
        return self.read if self.core not in WIDE or not self.is_mixed else self.wide_order

    def opaque(self, wide):
        cos, sin = self.given
        if self.fault == "wide tables":
            return cos, sin
        return (self.doubled(cos), self.doubled(sin)) if wide else (cos, sin)

    def frequencies_value(self):
        g, kind, n = self.g, self.frequency_kind, self.n
        self.divides = False
        if kind.startswith("dense"):
            values = self.frequencies
            if self.chance(0.2) and values.all():
                self.divides = True
                self.tags["divides"] = True
                values = (np.float32(1) / values).astype(np.float32)
                # What positions are divided by.
                self.divisors = values
            return g.constant(values, "f32", kind == "dense_resource")

        def exponent(index):
            i = g.value(f"arith.index_cast {index(0)} : index to i64")
            two = g.scalar(2, "i64")
            i = g.value(f"arith.muli {i}, {two} : i64")
            f = g.value(f"arith.sitofp {i} : i64 to f32")
            return g.scalars("div", f, g.scalar(2 * n, "f32"), element="f32")

        def body(_, index):
            e = exponent(index)
            if kind == "exp":
                return g.scalars("exp", g.scalars("mul", e, g.scalar(-np.log(self.base), "f32"), element="f32"), element="f32")
            if kind == "reciprocal of powf":
                power = g.scalars("powf", g.scalar(self.base, "f32"), e, element="f32")
                return g.scalars("div", g.scalar(1, "f32"), power, element="f32")
            return g.scalars("powf", g.scalar(self.base, "f32"), g.scalars("negf", e, element="f32"), element="f32")

        return g.generic([], [Dim(n)], ["f32"], body)

    def angles(self, positions):
        """positions times frequencies, along a last dimension."""
        g = self.g
        rank = positions.rank
        w = self.frequencies_value()
        if positions.element != "f32":
            positions = g.cast(positions, "f32")
        dims = [*positions.dims, Dim(self.n)]
        p, w = positions.along(*range(rank)), w.along(rank)
        if self.divides:
            if g.tosa:
                one = g.apply("reciprocal", replace(w, axes=None))
                return g.apply("mul", p, one.along(rank), dims=dims)
            return g.apply("div", p, w, dims=dims)
        if not g.tosa and rank == 2 and self.chance(0.15):
            return self.angles_by_matmul(positions, w, dims)
        pair = (p, w) if self.chance(0.5) else (w, p)
        return g.apply("mul", *pair, dims=dims)

    def angles_by_matmul(self, positions, w, dims):
        """[B, n, 1] times [B, 1, S], transposed."""
        g = self.g
        self.tags["matmul"] = True
        batch, length = positions.dims
        column = g.full(w.along(1), (batch, Dim(self.n)))
        column = g.expand(column, 1, (self.n, 1))
        row = g.expand(replace(positions, axes=None), 1, (1, length))
        init = g.filled([batch, Dim(self.n), length], "f32")
        product = g.tensor(
            f"linalg.batch_matmul ins({column.name}, {row.name} : {column.type}, {row.type}) "
            f"outs({init.name} : {init.type}) -> {init.type}", init.dims, "f32",
        )  # fmt: skip
        return g.swap(product, 1)

    def cos_sin(self, angles, wide, columns=None):
        """Of f32 angles: cosine and sine, doubled before or after, times the
        magnitude."""
        g = self.g
        before = wide and g.pick("doubled angles", "doubled tables") == "doubled angles"
        if before:
            angles = self.doubled(angles)
        kinds = ("tanh", "sin") if self.fault == "another function" else ("cos", "sin")
        if not g.tosa and self.chance(0.15):
            self.tags["two results"] = True
            two = g.generic(
                [angles], angles.dims, ["f32"] * 2, lambda v, _: [g.scalars(k, v[0], element="f32") for k in kinds]
            )
        else:
            two = [g.apply(k, angles) for k in kinds]
        made = []
        for i, t in enumerate(two):
            if self.magnitude != 1.0 or (self.fault == "another magnitude" and i):
                t = self.times(t, 1.5 if self.fault == "another magnitude" and i else self.magnitude)
            made.append(self.doubled(t) if wide and not before else t)
        return made

    def times(self, t, factor):
        g = self.g
        if g.tosa:
            return g.apply("mul", t, g.constant(np.full([1] * t.rank, factor), t.element), dims=t.dims)
        from_f64 = self.chance(0.5)

        def body(values, _):
            if from_f64:
                number = g.scalar(factor, "f64")
                number = g.value(f"arith.truncf {number} : f64 to {t.element}") if t.element != "f64" else number
            else:
                number = g.scalar(factor, t.element)
            return g.scalars("mul", values[0], number, element=t.element)

        return g.generic([t], t.dims, [t.element], body)

    def computed(self, wide):
        g = self.g
        if self.tags.get("positions") != "counted":
            return self.cos_sin(self.angles(self.given_positions), wide)
        kind = self.position_type
        start = self.start
        if isinstance(start, Tensor):
            start = g.value(f"tensor.extract {start.name}[{g.scalar(0, 'index')}] : {start.type}")

        def body(_, index):
            i = g.value(f"arith.index_cast {index(0)} : index to i64")
            i = g.value(f"arith.addi {i}, {start} : i64")
            if kind == "i64":
                return i
            return g.value(f"arith.{'trunci' if kind == 'i32' else 'sitofp'} {i} : i64 to {kind}")

        return self.cos_sin(self.angles(g.generic([], self.position_dims, [kind], body)), wide)

    def rows(self, table, at=0, columns=None):
        """The rows of `table` that the positions name, columns from `at` on."""
        g = self.g
        columns = columns or table.dims[1].size
        dims = [*self.position_dims, Dim(columns)]
        positions = self.given_positions.along(*range(len(dims) - 1))

        def body(values, index):
            row = g.value(f"arith.index_cast {values[0]} : i64 to index")
            column = index(len(dims) - 1)
            if at:
                column = self.g.integer("addi", column, g.scalar(at, "index"))
            return g.value(f"tensor.extract {table.name}[{row}, {column}] : {table.type}")

        return g.generic([positions], dims, [table.element], body)

    def gathered(self, wide):
        """Rows of a constant table."""
        g, n = self.g, self.n
        angles = np.arange(LENGTH, dtype=np.float32)[:, None] * self.frequencies
        cos, sin = np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))
        resource = self.chance(0.5)
        how = self.draw("rows", "separate", "doubled", "sin|cos", "cos|sin")
        if how == "doubled" and not wide:
            how = self.tags["rows"] = "separate"
        if how in ("separate", "doubled"):
            if how == "doubled":
                double = (lambda t: np.concatenate([t, t], 1)) if self.order == "half" else (lambda t: np.repeat(t, 2, 1))
                cos, sin = double(cos), double(sin)
            made = [self.rows(g.constant(t, "f32", resource)) for t in (cos, sin)]
        else:
            both = [cos, sin] if how == "cos|sin" else [sin, cos]
            table = g.constant(np.concatenate(both, 1), "f32", resource)
            if self.chance(0.5):
                rows = self.rows(table)
                made = [g.slice(rows, rows.rank - 1, at, n) for at in (0, n)]
            else:
                made = [self.rows(table, at, n) for at in (0, n)]
            if how == "sin|cos":
                made.reverse()
        return [self.doubled(t) if wide and how != "doubled" else t for t in made]

    def gathered_computed(self, wide):
        """Rows of a table of all positions, made in the function."""
        g = self.g

        def body(_, index):
            i = g.value(f"arith.index_cast {index(0)} : index to i64")
            return g.value(f"arith.sitofp {i} : i64 to f32")

        counted = g.generic([], [Dim(LENGTH)], ["f32"], body)
        if self.chance(0.3):
            counted = g.constant(np.arange(LENGTH), "f32", self.chance(0.5))
        tables = self.cos_sin(self.angles(counted), wide)
        return [self.rows(t) for t in tables]

    def with_axes(self, wide):
        """Each pair turns with one of three positions."""
        g = self.g
        angles = self.angles(self.given_positions)
        made = []
        early = self.chance(0.5)
        axis = angles.rank - 1

        def sections(t):
            """Runs of columns that have one axis."""
            columns = t.dims[-1].size
            axes = self.axes if columns == self.n else (
                np.tile(self.axes, 2) if self.order == "half" else np.repeat(self.axes, 2)
            )  # fmt: skip
            starts = [0] + [i for i in range(1, columns) if axes[i] != axes[i - 1]] + [columns]
            parts = []
            for low, high in zip(starts, starts[1:]):
                part = g.slice(t, axis, low, high - low)
                parts.append(g.pick_row(part, 0, axes[low]))
            return g.concat(parts, axis - 1)

        if early:
            return self.cos_sin(sections(angles), wide)
        made = self.cos_sin(angles, wide)
        return [sections(t) for t in made]

    # Rotation.

    def target(self, columns):
        """The dimensions of x with `columns` channels."""
        return tuple(Dim(columns) if r == "D" else self.dims_of(r) for r in self.roles)

    def dims_of(self, role):
        return self.sizes[role]

    def table(self, t):
        """A table, along the dimensions of x."""
        axes = [None if r == "1" else self.roles.index(r) for r in self.positions]
        return replace(t, axes=(*axes, self.roles.index("D")))

    def rotate(self, x, roles=None):
        """x with its pairs rotated."""
        g = self.g
        self.roles = roles or self.layout
        axis = self.axis = self.roles.index("D")
        if self.x_element != self.element:
            x = g.cast(x, self.element)
        if self.chance(0.15):
            x = g.same(x)
        y = self.wide(x) if self.core in WIDE else self.paired(x)
        if self.chance(0.1):
            y = g.same(y)
        if self.x_element != self.element:
            y = g.cast(y, self.x_element)
        return y

    def some_tokens(self, x):
        """x with all but its first tokens rotated."""
        g, axis = self.g, self.layout.index("S")
        y = self.rotate(g.slice(x, axis, self.skipped, self.tokens))
        if not g.tosa and self.chance(0.5):
            return g.insert(y, x, axis, self.skipped)
        return g.concat([g.slice(x, axis, 0, self.skipped), y], axis)

    def pieces(self, x):
        """Channels that stay, and the rotated ones: before, between, after, and a
        function that gives the rotated ones."""
        g, n, axis = self.g, self.n, self.axis
        end = self.offset + 2 * n + self.gap

        def part(low, high):
            return g.slice(x, axis, low, high - low) if high > low else None

        between = part(self.offset + n, self.offset + n + self.gap)
        return part(0, self.offset), between, part(end, self.head)

    def whole(self, x):
        """The rotated channels, one after the other."""
        g, n, axis = self.g, self.n, self.axis
        if self.gap:
            second = self.offset + n + self.gap
            return g.concat([g.slice(x, axis, self.offset, n), g.slice(x, axis, second, n)], axis)
        if self.head == 2 * n:
            return x
        return g.slice(x, axis, self.offset, 2 * n)

    def halves(self, x):
        """The first and the second channels of all pairs."""
        g, n, axis = self.g, self.n, self.axis
        if self.read == "half":
            return self.two_halves(x, self.offset, n + self.gap)
        if g.tosa or g.pick("strided", "expanded") == "expanded":
            two = g.expand(self.whole(x), axis, (n, 2))
            return [g.collapse(g.slice(two, axis + 1, i, 1), axis) if g.tosa else g.pick_row(two, axis + 1, i) for i in (0, 1)]
        return [g.slice(x, axis, self.offset + i, n, 2) for i in (0, 1)]

    def two_halves(self, x, offset, distance):
        g, n, axis = self.g, self.n, self.axis
        how = "sliced"
        if not self.gap and not g.tosa:
            how = g.pick("sliced", "sliced", "split")
        if how == "split":
            part = x if x.dims[axis].size == 2 * n else g.slice(x, axis, offset, 2 * n)
            two = g.expand(part, axis, (2, n))
            return [g.pick_row(two, axis, i) for i in (0, 1)]
        return [g.slice(x, axis, offset, n), g.slice(x, axis, offset + distance, n)]

    def assembled(self, x, first, second):
        """Halves of the result, in its pairing, between what stays."""
        g, n, axis = self.g, self.n, self.axis
        before, between, after = self.pieces(x)
        if self.write_pairing == "interleaved":
            how = "stack" if g.tosa else g.pick("stack", "strided insert")
            if how == "strided insert":
                whole = x if self.chance(0.5) else g.empty(x.dims, x.element)
                if whole is not x:
                    for part, at in ((before, 0), (after, self.offset + 2 * n)):
                        whole = g.insert(part, whole, axis, at) if part else whole
                whole = g.insert(first, whole, axis, self.offset, 2)
                return g.insert(second, whole, axis, self.offset + 1, 2)
            middle = g.collapse(g.stack(first, second, axis + 1), axis)
            return g.concat([before, middle, after], axis)
        if not g.tosa and g.pick("concat", "into x") == "into x":
            whole = g.insert(first, x, axis, self.offset)
            return g.insert(second, whole, axis, self.offset + n + self.gap)
        if not self.gap and self.chance(0.3):
            middle = g.collapse(g.stack(first, second, axis), axis)
            return g.concat([before, middle, after], axis)
        return g.concat([before, first, between, second, after], axis)

    def reassembled(self, x, y):
        """The rotated channels at their places."""
        g, n, axis = self.g, self.n, self.axis
        if y.dims[axis].size == self.head:
            return y
        before, between, after = self.pieces(x)
        if self.gap:
            first, second = g.slice(y, axis, 0, n), g.slice(y, axis, n, n)
            return g.concat([before, first, between, second, after], axis)
        if not g.tosa and self.chance(0.3):
            return g.insert(y, x, axis, self.offset)
        return g.concat([before, y, after], axis)

    def permuted(self, x, target):
        """The rotated channels from one pairing to the other."""
        g, n, axis = self.g, self.n, self.axis
        sizes = (n, 2) if target == "half" else (2, n)
        return g.collapse(g.swap(g.expand(x, axis, sizes), axis), axis)

    @property
    def wide_order(self):
        return self.write_pairing if self.permutes_first else self.read

    @property
    def permutes_first(self):
        if not hasattr(self, "_first"):
            self._first = self.chance(0.5)
        return self._first

    def partner(self, x, order, first_sign, second_sign):
        """At each channel the other of its pair, times the sign given for the
        first and the second channels."""
        g, n, axis = self.g, self.n, self.axis
        if order == "half":
            low, high = self._split(x)
        elif g.tosa or self.chance(0.5):
            two = g.expand(x, axis, (n, 2))
            low, high = (g.slice(two, axis + 1, i, 1) for i in (0, 1))
        else:
            low, high = (g.slice(x, axis, i, n, 2) for i in (0, 1))
        if self.fault == "another pair":
            low, high = (self.rolled(t) for t in (low, high))
        if self.fault == "scaled partner":
            high = self.scaled(high, 0.5)
        if self.fault == "rounded":
            high = self.quantized(high)
        first = g.negated(high) if first_sign < 0 else high
        second = g.negated(low) if second_sign < 0 else low
        if order == "half":
            return g.concat([first, second], axis)
        if first.rank > x.rank:
            return g.collapse(g.concat([first, second], axis + 1), axis)
        return g.collapse(g.stack(first, second, axis + 1), axis)

    def _split(self, x):
        g, n, axis = self.g, self.n, self.axis
        if self.fault == "unequal halves":
            return g.slice(x, axis, 0, n - 1), g.slice(x, axis, n - 1, n + 1)
        return g.slice(x, axis, 0, n), g.slice(x, axis, n, n)

    def signs(self):
        """Of the sine's product in the first and the second result."""
        signs = [1, -1] if self.inverse else [-1, 1]
        if self.fault == "equal signs":
            signs = [1, 1] if self.chance(0.5) else [-1, -1]
        return signs

    def wide(self, x):
        g, n, axis = self.g, self.n, self.axis
        part = self.whole(x)
        order = self.read
        if self.is_mixed and self.permutes_first:
            part = self.permuted(part, self.write_pairing)
            order = self.write_pairing
        cos, sin = map(self.table, self.tables)
        if self.core in ("index", "index generic"):
            y = self.by_index(part, cos, sin, order)
        else:
            y = self.by_partner(part, cos, sin, order)
        if self.is_mixed and not self.permutes_first:
            y = self.permuted(y, self.write_pairing)
        return self.reassembled(x, y)

    def by_partner(self, x, cos, sin, order):
        """x cos + partner sin."""
        g, n, axis, core = self.g, self.n, self.axis, self.core
        signs = self.signs()
        vector = np.repeat(signs, n) if order == "half" else np.tile(signs, n)
        if self.fault == "one sign":
            # One channel of one pair.
            vector = vector.copy()
            vector[self.rng.integers(2 * n)] *= -1
        dims = x.dims
        source = x if self.fault != "different x" else self.other(x)
        subtract = False
        if core == "rotate half":
            where = g.pick("negated before", "negated after", "subtracted")
            if where == "negated before" or self.fault in ("equal signs",):
                partner = self.partner(source, order, *signs)
            else:
                partner = self.partner(source, order, *(-s for s in signs))
                subtract = where == "subtracted"
                if not subtract:
                    product = g.apply("mul", *self.shuffled(partner, sin), dims=dims)
                    return self.sum(g.apply("mul", *self.shuffled(x, cos), dims=dims), g.negated(product))
        elif core == "roll":
            # The sine has the sign.
            partner = self.partner(source, order, 1, 1)
            sin = self.signed_sine(sin, order, signs)
        elif core == "sign vector":
            partner = self.partner(source, order, 1, 1)
            sign = g.constant(vector, self.element, self.chance(0.3)).along(axis)
            if self.chance(0.5):
                partner = g.apply("mul", *self.shuffled(partner, sign), dims=dims)
            else:
                axes = sin.axes
                sin = replace(sin, axes=None)
                sin = replace(g.apply("mul", *self.shuffled(sin, sign.along(sin.rank - 1))), axes=axes)
        elif core == "matrix":
            partner = self.by_matrix(source, order, vector)
        else:
            partner = self.by_gather(source, order, vector)
        first = g.apply("mul", *self.shuffled(x, cos), dims=dims)
        second = g.apply("mul", *self.shuffled(partner, sin), dims=dims)
        if subtract:
            return g.apply("sub", first, second)
        return self.sum(first, second)

    def shuffled(self, *values):
        return values if self.chance(0.5) else values[::-1]

    def sum(self, a, b):
        g = self.g
        if self.chance(0.15):
            return g.apply("sub", a, g.negated(b))
        return g.apply("add", *self.shuffled(a, b))

    def signed_sine(self, sin, order, signs):
        """The sine with the sign of each channel; it is wide already."""
        g, n = self.g, self.n
        axes, t = sin.axes, replace(sin, axes=None)
        last = t.rank - 1
        if order == "half":
            parts = [g.slice(t, last, i * n, n) for i in (0, 1)]
        else:
            two = g.expand(t, last, (n, 2))
            parts = [g.slice(two, last + 1, i, 1) for i in (0, 1)]
        parts = [g.negated(p) if s < 0 else p for p, s in zip(parts, signs)]
        if order == "half":
            made = g.concat(parts, last)
        else:
            made = g.collapse(g.concat(parts, last + 1), last)
        return replace(made, axes=axes)

    def partners(self, order):
        """The partner of each channel."""
        n = self.n
        first, second = channels(order, n)
        index = np.zeros(2 * n, np.int64)
        index[first], index[second] = second, first
        if self.fault == "another pair":
            index = np.roll(index, 1)
        return index

    def by_matrix(self, x, order, signs):
        g, n, axis = self.g, self.n, self.axis
        matrix = np.zeros((2 * n, 2 * n))
        matrix[self.partners(order), np.arange(2 * n)] = signs
        if self.fault == "scaled partner":
            matrix[self.rng.integers(2 * n)] *= 0.5
        matrix = g.constant(matrix, self.element, self.chance(0.3))
        if x.rank == 2 and axis == 1 and self.chance(0.5):
            init = g.filled(x.dims, x.element)
            return g.tensor(
                f"linalg.matmul ins({x.name}, {matrix.name} : {x.type}, {matrix.type}) "
                f"outs({init.name} : {init.type}) -> {init.type}", x.dims, x.element,
            )  # fmt: skip
        rank = x.rank
        axes = list(range(rank))
        axes[axis] = rank

        def body(values, _):
            product = g.scalars("mul", values[0], values[1], element=x.element)
            return g.scalars("add", *self.shuffled(values[2], product), element=x.element)

        return g.generic([x.along(*axes), matrix.along(rank, axis)], x.dims, [x.element], body, reduced=[2 * n])

    def by_gather(self, x, order, signs):
        """The partner's index is a constant, the sign another."""
        g, n, axis = self.g, self.n, self.axis
        if self.fault == "index argument":
            index = self.argument(np.roll(self.partners(order), 1), [Dim(2 * n)], "i64").along(axis)
        else:
            index = g.constant(self.partners(order), "i64", self.chance(0.3)).along(axis)
        sign = g.constant(signs, self.element).along(axis)

        def body(values, at):
            where = [at(j) for j in range(x.rank)]
            where[axis] = g.value(f"arith.index_cast {values[0]} : i64 to index")
            value = g.value(f"tensor.extract {x.name}[{', '.join(where)}] : {x.type}")
            return g.scalars("mul", *self.shuffled(value, values[1]), element=x.element)

        return g.generic([index, sign], x.dims, [x.element], body)

    def by_index(self, x, cos, sin, order):
        """One generic, with arithmetic on the channel's index."""
        g, n, axis = self.g, self.n, self.axis
        signs = self.signs()
        extracts = self.core == "index generic"
        source = x if self.fault != "different x" else self.other(x)
        e = self.element

        def body(values, index):
            at = [index(j) for j in range(x.rank)]
            d = at[axis]
            c = {k: g.scalar(k, "index") for k in {0, 1, 2, n, n - 1, 2 * n}}
            if order == "half":
                partner = g.integer("remui", g.integer("addi", d, c[n]), c[2 * n])
                test = g.value(f"arith.cmpi slt, {d}, {c[n]} : index")
                column = g.integer("remui", d, c[n])
            else:
                odd = g.integer("remui", d, c[2])
                turn = g.pick("xor", "one less")
                if turn == "xor":
                    partner = self.g.value(f"arith.xori {d}, {c[1]} : index")
                else:
                    up = g.integer("addi", d, c[1])
                    partner = g.integer("subi", up, g.integer("muli", odd, c[2]))
                test = g.value(f"arith.cmpi eq, {odd}, {c[0]} : index")
                column = g.integer("divui", d, c[2])
            if self.fault == "another pair":
                partner = g.integer("remui", g.integer("addi", partner, c[1]), c[2 * n])
            if self.fault == "one sign":
                other = g.scalar(int(self.rng.integers(2 * n)), "index")
                this = g.value(f"arith.cmpi eq, {d}, {other} : index")
                test = g.value(f"arith.xori {test}, {this} : i1")
            where = list(at)
            where[axis] = partner
            v = g.value(f"tensor.extract {source.name}[{', '.join(where)}] : {source.type}")
            if self.fault == "rounded":
                v = g.scalars("round", v, element=e)
            if self.fault == "scaled partner":
                v = g.scalars("mul", v, g.scalar(0.5, e), element=e)
            if extracts:
                u = g.value(f"tensor.extract {x.name}[{', '.join(at)}] : {x.type}")
                tables = []
                for t in (cos, sin):
                    spot = [g.scalar(0, "index") if a is None else at[a] for a in t.axes]
                    if not self.is_wide:
                        spot[-1] = column
                    tables.append(g.value(f"tensor.extract {t.name}[{', '.join(spot)}] : {t.type}"))
                c_value, s_value = tables
            else:
                u, c_value, s_value = values
            if g.pick("sign of partner", "two sums") == "sign of partner":
                minus = g.scalars("negf", v, element=e)
                one, two = (minus if s < 0 else v for s in signs)
                if one != two:
                    v = g.value(f"arith.select {test}, {one}, {two} : {e}")
                else:
                    v = one
                a = g.scalars("mul", *self.shuffled(u, c_value), element=e)
                b = g.scalars("mul", *self.shuffled(v, s_value), element=e)
                return g.scalars("add", *self.shuffled(a, b), element=e)
            a = g.scalars("mul", *self.shuffled(u, c_value), element=e)
            b = g.scalars("mul", *self.shuffled(v, s_value), element=e)
            plus, minus = (g.scalars(k, a, b, element=e) for k in ("add", "sub"))
            one, two = (minus if s < 0 else plus for s in signs)
            return g.value(f"arith.select {test}, {one}, {two} : {e}") if one != two else one

        operands = []
        if not extracts:
            if not self.is_wide:
                cos, sin = (replace(self.doubled_as(replace(t, axes=None), order), axes=t.axes) for t in (cos, sin))
            operands = [x, cos, sin]
        return g.generic(operands, x.dims, [x.element], body)

    def doubled_as(self, t, order):
        g = self.g
        if order == "half":
            return g.concat([t, t], t.rank - 1)
        return g.collapse(g.stack(t, t, t.rank), t.rank - 1)

    # On halves.

    def paired(self, x):
        g, n, axis, core, e = self.g, self.n, self.axis, self.core, self.element
        dims = tuple(Dim(n) if i == axis else d for i, d in enumerate(x.dims))
        cos, sin = map(self.table, self.tables)
        if core == "complex" and self.write_pairing == self.read == "interleaved":
            return self.reassembled(x, self.by_complex(self.whole(x), cos, sin))
        u, v = self.halves(x)
        if self.fault == "off by one":
            self.next_channels = g.slice(x, axis, self.offset + n + self.gap + 1, n)
        if core == "complex generic" or core == "complex":
            first, second = self.by_complex_generic(u, v, cos, sin, dims)
        elif core == "complex tensors":
            first, second = self.by_complex_tensors(u, v, cos, sin, dims)
        elif core == "fused":
            first, second = self.by_fused(u, v, cos, sin, dims)
        elif core == "fma":
            first, second = self.by_fma(u, v, cos, sin, dims)
        elif core in ("two by two", "contraction"):
            two = self.by_two(u, v, cos, sin, dims)
            parts = [
                g.collapse(g.slice(two, axis + 1, i, 1), axis) if g.tosa else g.pick_row(two, axis + 1, i)
                for i in (0, 1)
            ]
            if self.write_pairing == "interleaved":
                return self.reassembled(x, g.collapse(two, axis))
            first, second = parts
        else:
            first, second = self.by_products(u, v, cos, sin, dims)
        return self.assembled(x, first, second)

    def faulted(self, u, v, sin):
        """The partners of both products, and the sine of the second, with a fault."""
        g, fault = self.g, self.fault
        partner_v, partner_u, second_sin = v, u, sin
        if fault == "another pair":
            partner_v, partner_u = self.rolled(v), self.rolled(u)
        if fault == "scaled partner":
            partner_v = self.scaled(v, 0.5)
        if fault == "rounded":
            partner_v = self.quantized(v)
        if fault == "different x":
            partner_v = self.other(v)
        if fault == "off by one":
            partner_v = self.next_channels
        if fault == "sine of another pair":
            axes = sin.axes
            t = replace(sin, axes=None)
            last = t.rank - 1
            t = g.concat([g.slice(t, last, 1, self.n - 1), g.slice(t, last, 0, 1)], last)
            second_sin = replace(t, axes=axes)
        return partner_v, partner_u, second_sin

    def by_products(self, u, v, cos, sin, dims):
        g = self.g
        pv, pu, second_sin = self.faulted(u, v, sin)
        signs = self.signs()

        def product(a, b):
            return g.apply("mul", *self.shuffled(a, b), dims=dims)

        made = []
        for own, partner, s, sign in ((u, pv, sin, signs[0]), (v, pu, second_sin, signs[1])):
            a, b = product(own, cos), product(partner, s)
            if sign > 0:
                made.append(self.sum(a, b))
            elif self.chance(0.3):
                made.append(g.apply("add", *self.shuffled(a, g.negated(b))))
            else:
                made.append(g.apply("sub", a, b))
        return made

    def by_fused(self, u, v, cos, sin, dims):
        g, e = self.g, self.element
        pv, pu, second_sin = self.faulted(u, v, sin)
        signs = self.signs()

        def one(own, partner, c, s, sign):
            a = g.scalars("mul", *self.shuffled(own, c), element=e)
            b = g.scalars("mul", *self.shuffled(partner, s), element=e)
            if sign > 0:
                return g.scalars("add", *self.shuffled(a, b), element=e)
            if self.chance(0.3):
                return g.scalars("add", a, g.scalars("negf", b, element=e), element=e)
            return g.scalars("sub", a, b, element=e)

        if self.chance(0.5):
            return g.generic(
                [u, v, pv, pu, cos, sin, second_sin], dims, [e, e],
                lambda w, _: [one(w[0], w[2], w[4], w[5], signs[0]), one(w[1], w[3], w[4], w[6], signs[1])],
            )  # fmt: skip
        return [
            g.generic([a, b, cos, s], dims, [e], lambda w, _, sign=sign: one(*w, sign))
            for a, b, s, sign in ((u, pv, sin, signs[0]), (v, pu, second_sin, signs[1]))
        ]

    def by_fma(self, u, v, cos, sin, dims):
        g, e = self.g, self.element
        pv, pu, second_sin = self.faulted(u, v, sin)
        signs = self.signs()

        def one(own, partner, c, s, sign):
            a = g.scalars("mul", *self.shuffled(own, c), element=e)
            if sign < 0:
                partner = g.scalars("negf", partner, element=e)
            return g.value(f"math.fma {partner}, {s}, {a} : {e}")

        if self.chance(0.5):
            return [
                g.generic([a, b, cos, s], dims, [e], lambda w, _, sign=sign: one(*w, sign))
                for a, b, s, sign in ((u, pv, sin, signs[0]), (v, pu, second_sin, signs[1]))
            ]
        c, s, t = (g.full(w, dims) for w in (cos, sin, second_sin))
        made = []
        for own, partner, turn, sign in ((u, pv, s, signs[0]), (v, pu, t, signs[1])):
            a = g.apply("mul", own, c)
            if sign < 0:
                partner = g.negated(partner)
            made.append(g.tensor(f"math.fma {partner.name}, {turn.name}, {a.name} : {a.type}", dims, e))
        return made

    def by_complex(self, x, cos, sin):
        """As torch-mlir has it: complex numbers from and to pairs of floats."""
        g, n, axis, e = self.g, self.n, self.axis, self.element
        z = f"complex<{e}>"
        two = g.expand(x, axis, (n, 2))
        dims = tuple(Dim(n) if i == axis else d for i, d in enumerate(x.dims))

        def load(_, index):
            at = [index(j) for j in range(len(dims))]
            parts = []
            for i in (0, 1):
                where = at[: axis + 1] + [g.scalar(i, "index")] + at[axis + 1 :]
                parts.append(g.value(f"tensor.extract {two.name}[{', '.join(where)}] : {two.type}"))
            return self.number(*parts)

        numbers = g.generic([], dims, [z], load)
        turns = self.complex_table(cos, sin)
        product = g.generic(
            [numbers, turns], dims, [z], lambda w, _: g.value(f"complex.mul {', '.join(self.shuffled(*w))} : {z}")
        )

        def store(values, index):
            test = g.value(f"arith.cmpi eq, {index(axis + 1)}, {g.scalar(0, 'index')} : index")
            re, im = (g.value(f"complex.{p} {values[0]} : {z}") for p in ("re", "im"))
            return g.value(f"arith.select {test}, {re}, {im} : {e}")

        axes = [j for j in range(len(dims) + 1) if j != axis + 1]
        back = g.generic([product.along(*axes)], (*dims[: axis + 1], Dim(2), *dims[axis + 1 :]), [e], store)
        return g.collapse(back, axis)

    def number(self, real, imaginary):
        """A complex number of two channels."""
        g, z = self.g, f"complex<{self.element}>"
        made = g.value(f"complex.create {real}, {imaginary} : {z}")
        return g.value(f"complex.conj {made} : {z}") if self.fault == "conjugated" else made

    def complex_table(self, cos, sin):
        g, z = self.g, f"complex<{self.element}>"
        t, s = replace(cos, axes=None), replace(sin, axes=None)
        conjugate = self.inverse and self.chance(0.5)
        if self.inverse and not conjugate:
            s = g.negated(s)

        def body(values, _):
            made = g.value(f"complex.create {values[0]}, {values[1]} : {z}")
            return g.value(f"complex.conj {made} : {z}") if conjugate else made

        return replace(g.generic([t, s], t.dims, [z], body), axes=cos.axes)

    def by_complex_generic(self, u, v, cos, sin, dims):
        """Complex within one body."""
        g, e = self.g, self.element
        z = f"complex<{e}>"

        def body(w, _):
            a = self.number(w[0], w[1])
            s = g.scalars("negf", w[3], element=e) if self.inverse else w[3]
            b = g.value(f"complex.create {w[2]}, {s} : {z}")
            c = g.value(f"complex.mul {', '.join(self.shuffled(a, b))} : {z}")
            return [g.value(f"complex.{p} {c} : {z}") for p in ("re", "im")]

        return g.generic([u, v, cos, sin], dims, [e, e], body)

    def by_complex_tensors(self, u, v, cos, sin, dims):
        """Operations of the complex dialect, each in a generic of its own."""
        g, e = self.g, self.element
        z = f"complex<{e}>"
        numbers = g.generic([u, v], dims, [z], lambda w, _: self.number(*w))
        turns = self.complex_table(cos, sin)
        turns = g.full(turns, dims) if self.chance(0.5) else turns
        product = g.generic(
            [numbers, turns], dims, [z], lambda w, _: g.value(f"complex.mul {', '.join(self.shuffled(*w))} : {z}")
        )
        return [
            g.generic([product], dims, [e], lambda w, _, p=p: g.value(f"complex.{p} {w[0]} : {z}")) for p in ("re", "im")
        ]

    def by_two(self, u, v, cos, sin, dims):
        """Matrices [n, 2, 2] times pairs [n, 2]: the sum of the columns times each
        number, or a contraction. The result has pairs behind the channels."""
        g, axis, e = self.g, self.axis, self.element
        c, s = replace(cos, axes=None), replace(sin, axes=None)
        last = c.rank - 1
        minus = g.negated(s)
        low, high = (s, minus) if self.inverse else (minus, s)
        if self.fault == "equal signs":
            low = high = s if self.chance(0.5) else minus
        # Rows of the matrix are along the next to last dimension.
        columns = [g.stack(c, high, last + 1), g.stack(low, c, last + 1)]
        pairs = (*dims[: axis + 1], Dim(2), *dims[axis + 1 :])
        table_axes = [a if a is None or a <= axis else a + 1 for a in cos.axes]
        if self.core == "contraction" and not g.tosa:
            two = g.stack(u, v, axis + 1)
            matrix = g.stack(*columns, last + 2)
            rank = len(pairs)

            def body(w, _):
                product = g.scalars("mul", w[0], w[1], element=e)
                return g.scalars("add", *self.shuffled(w[2], product), element=e)

            axes = list(range(rank))
            axes[axis + 1] = rank
            return g.generic(
                [two.along(*axes), matrix.along(*table_axes, axis + 1, rank)], pairs, [e], body, reduced=[2]
            )
        if not g.tosa and self.chance(0.5):
            matrix = g.stack(*columns, last + 2)
            columns = [g.pick_row(matrix, last + 2, i) for i in (0, 1)]
        others = [j for j in range(len(pairs)) if j != axis + 1]
        products = [
            g.apply("mul", *self.shuffled(column.along(*table_axes, axis + 1), part.along(*others)), dims=pairs)
            for column, part in zip(columns, (u, v))
        ]
        return self.sum(*products)

    # Faults.

    def columns_reversed(self, t):
        """The columns of each pair's table in another order, the same for both of
        its channels."""
        g, n, last = self.g, self.n, t.rank - 1
        if t.dims[last].size == n:
            return g.concat([g.slice(t, last, i, 1) for i in reversed(range(n))], last)
        first, second = channels(self.order, n)
        index = np.zeros(2 * n, int)
        index[first], index[second] = first[::-1], second[::-1]
        return g.concat([g.slice(t, last, int(i), 1) for i in index], last)

    def rolled(self, t):
        g, axis = self.g, self.axis
        count = t.dims[axis].size
        return g.concat([g.slice(t, axis, 1, count - 1), g.slice(t, axis, 0, 1)], axis)

    def scaled(self, t, factor):
        g = self.g
        return g.generic(
            [t], t.dims, [t.element], lambda v, _: g.scalars("mul", v[0], g.scalar(factor, t.element), element=t.element)
        )

    def quantized(self, t):
        g = self.g
        if self.chance(0.5):
            return g.apply("round", t)

        def body(v, _):
            i = g.value(f"arith.fptosi {v[0]} : {t.element} to i32")
            return g.value(f"arith.sitofp {i} : i32 to {t.element}")

        return g.generic([t], t.dims, [t.element], body)

    def other(self, x):
        """Another argument of the shape of x."""
        array = self.rng.standard_normal([d.size for d in x.dims])
        return self.argument(array, x.dims, x.element)

    # Loops.

    def in_loop(self, x, loop, inside):
        g = self.g
        zero, one = g.scalar(0, "index"), g.scalar(1, "index")
        if loop == "steps":
            end = g.scalar(2, "index")
            name = g.name()
            g.emit(f"{name} = scf.for %step = {zero} to {end} step {one} iter_args(%turned = {x.name}) -> ({x.type}) {{")
            current = replace(x, name="%turned")
        else:
            end = g.value(f"tensor.dim {x.name}, {zero} : {x.type}")
            init = g.empty(x.dims, x.element)
            name = g.name()
            g.emit(f"{name} = scf.for %step = {zero} to {end} step {one} iter_args(%done = {init.name}) -> ({x.type}) {{")
            current = x
        g.indent += 1
        if inside:
            self.make_tables()
        if loop == "steps":
            y = self.rotate(current)
        else:
            row = self.row(current)
            y = self.rotate(row, self.layout[1:])
            sizes = ", ".join(["1"] + [d.mixed for d in y.dims])
            offsets = ", ".join(["%step"] + ["0"] * y.rank)
            strides = ", ".join(["1"] * x.rank)
            y = g.tensor(
                f"tensor.insert_slice {y.name} into %done[{offsets}] [{sizes}] [{strides}] : {y.type} into {x.type}",
                x.dims, x.element,
            )  # fmt: skip
        g.emit(f"scf.yield {y.name} : {y.type}")
        g.indent -= 1
        g.emit("}")
        return Tensor(name, x.dims, x.element)

    def row(self, x):
        offsets = ", ".join(["%step"] + ["0"] * (x.rank - 1))
        sizes = ", ".join(["1"] + [d.mixed for d in x.dims[1:]])
        strides = ", ".join(["1"] * x.rank)
        made = Tensor("", x.dims[1:], x.element)
        return self.g.tensor(
            f"tensor.extract_slice {x.name}[{offsets}] [{sizes}] [{strides}] : {x.type} to {made.type}",
            made.dims, made.element,
        )  # fmt: skip

    # What it computes.

    def turn(self, x):
        """One rotation in float64, the channels anywhere."""
        axis = self.layout.index("D")
        x = np.moveaxis(x, axis, -1)
        roles = self.layout.replace("D", "")
        shape = [1] * (x.ndim - 1) + [self.n]
        kept = [(i, r) for i, r in enumerate(self.positions) if r != "1"]
        tables = []
        for t in (self.cos, self.sin):
            t = t.reshape([t.shape[i] for i, _ in kept] + [self.n])
            order = sorted(range(len(kept)), key=lambda k: roles.index(kept[k][1]))
            t = t.transpose(*order, len(kept))
            for k in order:
                shape[roles.index(kept[k][1])] = self.sizes[kept[k][1]].size
            tables.append(t.reshape(shape))
        cos, sin = tables
        if self.inverse:
            sin = -sin
        a, b = channels(self.read, self.n, self.offset, self.n + self.gap if self.gap else None)
        c, d = channels(self.write_pairing, self.n, self.offset, self.n + self.gap if self.gap else None)
        y = x.copy()
        y[..., c] = x[..., a] * cos - x[..., b] * sin
        y[..., d] = x[..., a] * sin + x[..., b] * cos
        return np.moveaxis(y, -1, axis)

    def finish(self, x, y):
        g = self.g
        if self.fault == "wide tables":
            self.cos, self.sin = self.cos[..., : self.n], self.sin[..., : self.n]
        expected = self.x.copy()
        rotated = [slice(None)] * expected.ndim
        rotated[self.layout.index("S")] = slice(self.skipped, None)
        for _ in range(2 if self.tags["loop"] == "steps" else 1):
            expected[tuple(rotated)] = self.turn(expected[tuple(rotated)])
        self.tags["spelling"] = sorted(g.used)
        self.parameters.update(
            pairing=self.read, result_pairing=self.write_pairing, offset=self.offset, pairs=self.n,
            pair_stride=self.n + self.gap if self.read == "half" else None, transpose=self.inverse,
            rotations=1, position_dims=[self.layout.index(r) for r in self.positions if r != "1"],
        )  # fmt: skip
        # Results of static shape are the caller's whatever makes them.
        result = Tensor("", tuple(Dim(d.size) for d in x.dims), self.x_element).type
        if y.type != result:
            y = Tensor(g.value(f"tensor.cast {y.name} : {y.type} to {result}"), (), self.x_element)
        text = f"func.func @{self.name}({', '.join(self.signature)}) -> {result} {{\n"
        text += "\n".join(g.lines) + f"\n  return {y.name} : {result}\n}}\n"
        return Sample(
            self.name, text, g.resources, self.arguments, expected, NUMPY[self.x_element], self.bound(expected),
            self.parameters, self.tags,
        )  # fmt: skip

    def bound(self, expected):
        # Angles in f32 are the worst of f32 and f64; of 16 bits, each step rounds.
        size = max(1.0, float(np.abs(expected).max()))
        eps = {"f32": 2e-6, "f64": 2e-6, "bf16": 2.0**-8, "f16": 2.0**-11}
        steps = 2 if self.tags["loop"] == "steps" else 1
        return size * steps * (4 * eps[self.element] if self.x_element == self.element else 2 * eps[self.x_element])


def rotation(seed):
    return _Writer([seed, 0], f"rotation_{seed}").write()


def near_miss(seed):
    """What is no rotation. `expected` is what the rotation it resembles gives.
    Of the parameters, `applies` says whether an apply on the given tables is right,
    `remark` whether it has a sum of two products, so that a remark is due, and
    `runs` whether it can be executed."""
    kinds = [*FAULTS, *TABLE_FAULTS, *FORMS]
    fault = kinds[seed % len(kinds)]
    name = f"near_miss_{seed}"
    if fault in FORMS:
        return _form(fault, [seed, 1], name)
    writer = _Writer([seed, 1], name, fault)
    cores = FAULTS.get(fault, [*WIDE, *PAIRED])
    core = cores[writer.rng.integers(len(cores))]
    tables = None
    if fault in ("different positions", "different frequencies", "another magnitude", "another function"):
        tables = ["computed", "gathered computed"][writer.rng.integers(2)]
    if fault == "wide tables":
        tables = "opaque"
    sample = writer.write(tables, core)
    sample.tags["core"], sample.tags["fault"] = core, fault
    sample.parameters = {"applies": fault in TABLE_FAULTS, "remark": fault not in TABLE_FAULTS, "runs": True}
    return sample


def _form(form, seed, name):
    """A function that is written as a whole."""
    rng = np.random.default_rng(seed)
    g = Graph(rng)
    n, length = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    e = ["f32", "f64"][rng.integers(2)]
    tags = {"fault": form, "pairs": n, "length": length, "dtype": e}
    parameters = {"applies": False, "remark": form != "gated", "runs": form != "unranked"}
    x = Tensor("%x0", (Dim(length), Dim(2 * n)), e)
    half = (Dim(length), Dim(n))
    tables = [Tensor(f"%x{i}", half, e) for i in (1, 2)]
    arguments = [rng.standard_normal([d.size for d in t.dims]).astype(NUMPY[e]) for t in (x, *tables)]
    inputs = ", ".join(f"{t.name}: {t.type}" for t in (x, *tables))
    result = x

    def halves():
        return [g.slice(x, 1, at, n) for at in (0, n)]

    if form == "gated":
        u, v = halves()
        gate = g.apply("mul", u, g.apply(["tanh", "exp"][rng.integers(2)], g.negated(v)))
        y = g.concat([gate, g.negated(u if rng.random() < 0.5 else v)][:: 1 if rng.random() < 0.5 else -1], 1)
    elif form == "gated sums":
        u, v = halves()
        a, b = (g.apply(["tanh", "exp"][rng.integers(2)], t) for t in (u, v))
        first = g.apply("add", g.apply("mul", u, b), g.apply("mul", v, a))
        second = g.negated(g.apply("add", g.apply("mul", v, b), g.apply("mul", u, a)))
        y = g.concat([first, second], 1)
    elif form == "contraction":
        # Scores with the rotation of one side in the body of the sum.
        u, v = halves()
        keys = [g.constant(rng.standard_normal((length, n)), e) for _ in range(2)]
        tags["signs"] = str(order := rng.permutation(2))
        result = Tensor("", (Dim(length), Dim(length)), e)

        def body(w, _):
            products = [[g.scalars("mul", a, b, element=e) for b in w[2:4]] for a in w[:2]]
            first = g.scalars("sub", products[0][0], products[1][1], element=e)
            second = g.scalars("add", *(products[1][0], products[0][1])[:: 1 if order[0] else -1], element=e)
            total = w[6]
            for turned, key in ((first, w[4]), (second, w[5])):
                total = g.scalars("add", total, g.scalars("mul", turned, key, element=e), element=e)
            return total

        operands = [t.along(0, 2) for t in (u, v, *tables)] + [t.along(1, 2) for t in keys]
        y = g.generic(operands, result.dims, [e], body, reduced=[n])
    elif form == "unranked":
        kind = f"tensor<*x{e}>"
        cast = [g.value(f"tensor.cast {t.name} : {t.type} to {kind}") for t in (*halves(), *tables)]
        a, b, c, d = (g.value(f"arith.mulf {cast[i]}, {cast[j]} : {kind}") for i, j in ((0, 2), (1, 3), (1, 2), (0, 3)))
        two = [g.value(f"arith.{op} {i}, {j} : {kind}") for op, i, j in (("subf", a, b), ("addf", c, d))]
        back = [Tensor(g.value(f"tensor.cast {t} : {kind} to {tables[0].type}"), half, e) for t in two]
        y = g.concat(back, 1)
    else:
        return _in_place(g, rng, name, x, tables, arguments, tags, parameters)
    text = f"func.func @{name}({inputs}) -> {result.type} {{\n" + "\n".join(g.lines)
    text += f"\n  return {y.name} : {y.type}\n}}\n"
    tags["spelling"] = sorted(g.used)
    shape = [d.size for d in result.dims]
    bound = {"f32": 1e-5, "f64": 1e-12}[e]
    return Sample(name, text, g.resources, arguments, np.zeros(shape), NUMPY[e], bound, parameters, tags)


def _in_place(g, rng, name, x, tables, arguments, tags, parameters):
    """On memrefs: the second half is turned after the first is overwritten."""
    e, (length, width) = x.element, (d.size for d in x.dims)
    n = width // 2
    kinds = [t.type.replace("tensor", "memref") for t in (x, *tables)]
    part = [f"memref<{length}x{n}x{e}, strided<[{width}, 1], offset: {at}>>" for at in (0, n)]
    views = [
        g.value(f"memref.subview %out[0, {at}] [{length}, {n}] [1, 1] : {kinds[0]} to {p}") for at, p in zip((0, n), part)
    ]
    g.lines.insert(0, f"  memref.copy %x0, %out : {kinds[0]} to {kinds[0]}")
    same = "affine_map<(d0, d1) -> (d0, d1)>"
    tags["in loops"] = in_loops = bool(rng.random() < 0.5)
    for own, op in ((0, "subf"), (1, "addf")):
        ins = [views[own], views[1 - own], "%x1", "%x2"]
        types = [part[own], part[1 - own], *kinds[1:]]

        def body(w, op=op):
            a, b = g.value(f"arith.mulf {w[0]}, {w[2]} : {e}"), g.value(f"arith.mulf {w[1]}, {w[3]} : {e}")
            return g.value(f"arith.{op} {a}, {b} : {e}")

        if in_loops:
            low, step = g.scalar(0, "index"), g.scalar(1, "index")
            rows, columns = g.scalar(length, "index"), g.scalar(n, "index")
            g.emit(f"scf.for %i{own} = {low} to {rows} step {step} {{")
            g.emit(f"scf.for %j{own} = {low} to {columns} step {step} {{")
            at = f"[%i{own}, %j{own}]"
            y = body([g.value(f"memref.load {t}{at} : {k}") for t, k in zip(ins, types)])
            g.emit(f"memref.store {y}, {views[own]}{at} : {part[own]}")
            g.emit("}\n  }")
        else:
            g.emit(
                f"linalg.generic {{indexing_maps = [{', '.join([same] * 5)}], iterator_types = "
                f'["parallel", "parallel"]}} ins({", ".join(ins)} : {", ".join(types)}) '
                f"outs({views[own]} : {part[own]}) {{"
            )
            w = [f"%w{own}_{i}" for i in range(5)]
            g.emit("^bb0(" + ", ".join(f"{a}: {e}" for a in w) + "):")
            g.emit(f"linalg.yield {body(w)} : {e}")
            g.emit("}")
    inputs = ", ".join(f"{v}: {k}" for v, k in zip(("%x0", "%x1", "%x2", "%out"), (*kinds, kinds[0])))
    text = f"func.func @{name}({inputs}) {{\n" + "\n".join(g.lines) + "\n  return\n}\n"
    bound = {"f32": 1e-5, "f64": 1e-12}[e]
    return Sample(name, text, {}, arguments, np.zeros((length, width)), NUMPY[e], bound, parameters, tags)


def main():
    parser = argparse.ArgumentParser(description="Write random spellings of rotations.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--near-misses", action="store_true", help="what is none instead")
    parser.add_argument("-o", "--output", default="spellings")
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        sample = (near_miss if options.near_misses else rotation)(seed)
        path = os.path.join(options.output, sample.name)
        with open(path + ".mlir", "w", encoding="utf-8") as file:
            file.write(module([sample]))
        about = {"parameters": sample.parameters, "tags": sample.tags, "bound": sample.bound}
        with open(path + ".json", "w", encoding="utf-8") as file:
            json.dump(about, file, indent=1, default=str)
        arrays = {f"in{i}": a for i, a in enumerate(sample.arguments)}
        np.savez(path + ".npz", out0=sample.expected, **arrays)


if __name__ == "__main__":
    main()

# Cases of rope.apply: their IR, their data, their check.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

from dataclasses import dataclass, field

import numpy as np

from rope_testing import reference
from rope_testing.memory import guarded, note

SENTINEL = 0x5A

# Bounds on |error| / (|u| + |v|), before the rounding of a 16-bit result: two
# products and their sum, in f32 and in f64, of factors below 1.3 in magnitude.
F32_BOUND = 2.0**-22
F64_BOUND = 2.0**-51


def shape_text(shape, dynamic):
    """`2x?x` for the shape (2, 3) with dimension 1 dynamic."""
    return "".join("?x" if i in dynamic else f"{n}x" for i, n in enumerate(shape))


def place(values, rng, plain=False):
    """`values` somewhere in guarded memory. Returns the array, whose outer
    strides may be anything, and the memory around it."""
    at_end = bool(rng.integers(2))
    if plain or values.ndim == 0 or rng.integers(3):
        array = guarded(values.shape, values.dtype, at_end)
        array[...] = values
        return array, array
    # Rows further apart than they are long, dimensions in another order.
    order = rng.permutation(values.ndim - 1)
    pads = rng.integers(0, 3, values.ndim)
    sizes = [values.shape[i] for i in order] + [values.shape[-1]]
    memory = guarded([n + p for n, p in zip(sizes, pads)], values.dtype, at_end)
    memory.view(np.uint8)[...] = SENTINEL
    skip = pads if at_end else 0 * pads
    view = memory[tuple(slice(s, s + n) for s, n in zip(skip, sizes))]
    view = view.transpose([*np.argsort(order), values.ndim - 1])
    view[...] = values
    return view, memory


@dataclass
class Apply:
    """One rope.apply. `form` is tensor, memref, in_place (memref) or
    tensor_in_place; `dynamic` and `dynamic_table` are dimension numbers."""

    name: str
    shape: tuple
    pairs: int
    dtype: str = "f32"
    table_dtype: str = "f32"
    position_dims: tuple = (0,)
    pairing: str = "half"
    result_pairing: str = None
    offset: int = 0
    pair_stride: int = None
    transpose: bool = False
    form: str = "tensor"
    dynamic: frozenset = field(default_factory=frozenset)
    dynamic_table: frozenset = field(default_factory=frozenset)
    plain: bool = False

    @property
    def table_shape(self):
        return tuple(self.shape[d] for d in self.position_dims) + (self.pairs,)

    def _types(self):
        x = shape_text(self.shape, self.dynamic) + self.dtype
        t = shape_text(self.table_shape, self.dynamic_table) + self.table_dtype
        if "tensor" in self.form:
            return f"tensor<{x}>", f"tensor<{t}>"

        def strided(text, rank):
            strides = ", ".join(["?"] * (rank - 1) + ["1"])
            return f"memref<{text}, strided<[{strides}], offset: ?>>"

        return strided(x, len(self.shape)), strided(t, len(self.table_shape))

    def ir(self):
        x, t = self._types()
        attributes = [
            f"pairing = #rope.pairing<{self.pairing}>",
            f"position_dims = array<i64{':' if self.position_dims else ''} "
            f"{', '.join(map(str, self.position_dims))}>",
        ]
        if self.offset:
            attributes.append(f"offset = {self.offset} : i64")
        if self.pair_stride is not None:
            attributes.append(f"pair_stride = {self.pair_stride} : i64")
        if self.result_pairing:
            attributes.append(f"result_pairing = #rope.pairing<{self.result_pairing}>")
        if self.transpose:
            attributes.append("transpose")

        def apply(destination):
            return (
                f"rope.apply ins(%x, %c, %s : {x}, {t}, {t}) "
                f"outs({destination} : {x}) {{{', '.join(attributes)}}}\n"
            )

        start = f"func.func @{self.name}(%x: {x}, %c: {t}, %s: {t}"
        if self.form == "memref":
            return f"{start}, %y: {x}) {{\n  {apply('%y')}  return\n}}\n"
        if self.form == "in_place":
            return f"{start}) {{\n  {apply('%x')}  return\n}}\n"
        lines = [f"{start}) -> {x} {{"]
        if self.form == "tensor_in_place":
            destination = "%x"
        else:
            sizes = []
            for d in sorted(self.dynamic):
                lines.append(f"  %i{d} = arith.constant {d} : index")
                lines.append(f"  %d{d} = tensor.dim %x, %i{d} : {x}")
                sizes.append(f"%d{d}")
            lines.append(f"  %e = tensor.empty({', '.join(sizes)}) : {x}")
            destination = "%e"
        lines.append(f"  %y = {apply(destination)}  return %y : {x}\n}}\n")
        return "\n".join(lines)

    def check(self, module, report, rng):
        note(self.name)
        dtype = reference.NUMPY[self.dtype]
        table_dtype = reference.NUMPY[self.table_dtype]
        x0 = rng.standard_normal(self.shape).astype(dtype)
        tables = [rng.uniform(-1.3, 1.3, self.table_shape).astype(table_dtype) for _ in range(2)]
        x, x_memory = place(x0, rng, self.plain)
        cos, cos_memory = place(tables[0], rng, self.plain)
        sin, sin_memory = place(tables[1], rng, self.plain)
        if self.form == "in_place":
            y, memory = x, x_memory
        else:
            y, memory = place(np.zeros_like(x0), rng, self.plain)
        before = memory.copy()
        inputs = [m for m in (x_memory, cos_memory, sin_memory) if m is not memory]
        inputs_before = [m.copy() for m in inputs]
        if self.form == "in_place":
            module.call(self.name, x, cos, sin)
        else:
            module.call(self.name, x, cos, sin, y)

        got = np.array(y)
        expected, size, rotated = reference.rotate(
            x0, *tables, self.position_dims, self.pairing, self.offset,
            self.pair_stride, self.result_pairing, self.transpose,
        )  # fmt: skip
        bound = size * (F64_BOUND if self.dtype == "f64" else F32_BOUND)
        if self.dtype in ("f16", "bf16"):
            bound = bound + reference.half_ulp(expected, dtype)
        description = f"{self}"
        report.close(f"apply {self.dtype}", description, got, expected, bound)
        kept = np.setdiff1d(np.arange(self.shape[-1]), rotated)
        report.same_bits(f"kept channels, {description}", got[..., kept], x0[..., kept])
        # Nothing around the result changed, nor any input.
        y[...] = 0
        after = np.array(memory)
        if memory is not y:
            view_before = _same_view(before, y, memory)
            view_before[...] = 0
            report.same_bits(f"memory around y, {description}", after, before)
        for now, then in zip(inputs, inputs_before):
            report.same_bits(f"inputs, {description}", np.array(now), np.array(then))


def _same_view(copy, view, memory):
    """The part of `copy`, a copy of `memory`, that `view` is of `memory`."""
    start = view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    flat = np.ascontiguousarray(copy).view(np.ndarray)
    base = flat.reshape(-1)[start // copy.itemsize :]
    return np.lib.stride_tricks.as_strided(base, view.shape, view.strides)

# What benchmarks/cpu.py measures: shapes, data, the functions that are compiled.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A workload is one call of a function. It knows its module as text, who is
compared with it, and what ratios are goals; its data are its arrays and the
results in float64. Those of this file rotate arrays; attention.py has others
with the same members."""

import ctypes
import functools
import os
import tempfile
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
from rope_testing.runner import descriptor, run

DTYPES = {"f32": np.dtype(np.float32), "f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
# Of |error| / (|u| + |v|): a few roundings of f32, one of the type.
LIMITS = {"f32": 1e-6, "f16": 1.01 * 2**-11, "bf16": 1.01 * 2**-8}
# Of peers, which round tables to the type, and angles to f32.
AGREEMENT = {"f32": 2e-6, "f16": 4e-3, "bf16": 3e-2}
ANGLES = 1e-3
BASE = 5.0e5
FAR = 1 << 20
# Of M-RoPE: so many pairs follow each axis.
SECTIONS = (16, 24, 24)


@dataclass(frozen=True)
class Workload:
    name: str
    dtype: str
    tokens: int = 4096
    heads: tuple = (32, 8)
    channels: int = 128
    # Channels that rotate, from channel `offset` on; the others are copied.
    rotary: int = 128
    offset: int = 0
    pairing: str = "half"
    # given: cosines and sines are arguments; exact: positions are.
    tables: str = "given"
    in_place: bool = False
    # bshd, bhsd, or packed: slices of rows that hold queries, keys and values.
    layout: str = "bshd"
    axes: bool = False
    # dense, random, or the last of consecutive ones.
    positions: object = "dense"
    # Small: called again and again from C, on arrays that stay in the cache.
    cached: bool = False
    # Who is compared: copies always.
    peers: tuple = ()

    kind = "rotation"
    peaks = ()

    @property
    def pairs(self):
        return self.rotary // 2

    @property
    def work(self):
        """Bytes read and written."""
        return 2 * self.tokens * sum(self.heads) * self.channels * DTYPES[self.dtype].itemsize, "GB/s"

    @property
    def limit(self):
        return LIMITS[self.dtype]

    @property
    def agreement(self):
        return AGREEMENT[self.dtype] + (ANGLES if self.tables == "exact" else 0)

    @property
    def against(self):
        return ("in-place touch" if self.in_place else "best copy", *self.peers)

    @property
    def contest(self):
        """The peers of which the fastest gets a row."""
        return self.peers if self.name == "half, exact angles" else ()

    @property
    def alone(self):
        """Whether it is measured with one thread only."""
        return self.cached and not self.peers

    def data(self):
        return Data(self)

    def goal(self, peer, threads):
        """How many times as fast a row has to be, or None."""
        wide, plain = self.dtype == "f32", self.name in ("half", "interleaved")
        if self.cached:
            return {"f32": 0.6, "bf16": 0.4}[self.dtype] if peer == "best copy" and self.tokens <= 16 else None
        if peer == "best copy":
            # With exact angles the goal is the speed of those with tables.
            return None if self.tables == "exact" and not self.axes else 0.92 if wide and plain else 0.85
        if peer == "in-place touch":
            return 0.85
        if peer == "tables given":
            return 0.97
        if peer == "near positions":
            return 1.0
        if self.name == "half, exact angles":
            return 1.7 if peer == "best peer" else None
        if not plain:
            return None
        if peer == "torch.compile chunk form":
            return 1.28 if wide else {"half": 1.8, "interleaved": 6.0}[self.pairing] if self.dtype == "bf16" else None
        if peer == "onnxruntime":
            return {"half": 1.5, "interleaved": 1.4}[self.pairing] if wide else {"f16": 2.2}.get(self.dtype)
        if peer == "PyTorch eager":
            return {"f32": 7.2, "bf16": 10.0}.get(self.dtype)
        return {"torch.compile Hugging Face form": 3.6, "OpenVINO": 4.0, "IREE": 3.1, "JAX": 5.0}.get(peer)

    def text(self):
        """The function f: arrays, then tables or positions."""
        if self.in_place:
            return self._in_place_text()
        table, n = f"tensor<?x{self.pairs}xf32>", len(self.heads)
        kinds = [self._kind(heads) for heads in self.heads]
        token_dim = 2 if self.layout == "bhsd" else 1
        lines = [f"%d = arith.constant {token_dim} : index", f"%n = tensor.dim %x0, %d : {kinds[0]}"]
        if self.tables == "given":
            arguments = [f"%cos: {table}", f"%sin: {table}"]
        else:
            positions = "tensor<3x?xi64>" if self.axes else "tensor<?xi64>"
            arguments = [f"%p: {positions}"]
            axes = [axis for axis, size in enumerate(SECTIONS) for _ in range(size)]
            attributes = f" {{axes = array<i64: {', '.join(map(str, axes))}>}}" if self.axes else ""
            frequencies = f"tensor<{self.pairs}xf64>"
            lines += [f"%f = rope.frequencies base({BASE:e}) : {frequencies}",
                      f"%t = tensor.empty(%n) : {table}",
                      f"%cos, %sin = rope.table ins(%p, %f : {positions}, {frequencies}) "
                      f"outs(%t, %t : {table}, {table}){attributes}"]  # fmt: skip
        for i, kind in enumerate(kinds):
            lines += [f"%e{i} = tensor.empty(%n) : {kind}",
                      f"%y{i} = rope.apply ins(%x{i}, %cos, %sin : {kind}, {table}, {table}) outs(%e{i} : {kind}) "
                      f"{{{self._attributes(token_dim)}}}"]  # fmt: skip
        inputs = ", ".join([f"%x{i}: {kind}" for i, kind in enumerate(kinds)] + arguments)
        results = ", ".join(f"%y{i}" for i in range(n))
        types = ", ".join(kinds)
        return (f"func.func @f({inputs}) -> ({types}) {{\n  " + "\n  ".join(lines) +
                f"\n  return {results} : {types}\n}}\n")  # fmt: skip

    def _in_place_text(self):
        table = f"memref<?x{self.pairs}xf32, strided<[?, 1], offset: ?>>"
        kinds = [f"memref<1x?x{heads}x{self.channels}x{self.dtype}, strided<[?, ?, ?, 1], offset: ?>>"
                 for heads in self.heads]  # fmt: skip
        inputs = ", ".join([f"%x{i}: {kind}" for i, kind in enumerate(kinds)] + [f"%cos: {table}", f"%sin: {table}"])
        lines = [f"rope.apply ins(%x{i}, %cos, %sin : {kind}, {table}, {table}) outs(%x{i} : {kind}) "
                 f"{{{self._attributes(1)}}}" for i, kind in enumerate(kinds)]  # fmt: skip
        return f"func.func @f({inputs}) {{\n  " + "\n  ".join(lines) + "\n  return\n}\n"

    def _kind(self, heads):
        sizes = f"{heads}x?" if self.layout == "bhsd" else f"?x{heads}"
        return f"tensor<1x{sizes}x{self.channels}x{self.dtype}>"

    def _attributes(self, token_dim):
        offset = f"offset = {self.offset} : i64, " if self.offset else ""
        return f"{offset}pairing = #rope.pairing<{self.pairing}>, position_dims = array<i64: {token_dim}>"


def aligned(shape, dtype):
    """An array whose first element begins a line of the cache."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


@functools.lru_cache(maxsize=2)
def random_array(shape, dtype, seed):
    array = aligned(shape, DTYPES[dtype])
    array[...] = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return array


class Data:
    """Arrays of a workload: inputs `xs` and positions or tables, and `results`."""

    def __init__(self, workload):
        self.workload = w = workload
        dtype = DTYPES[w.dtype]
        if w.layout == "packed":
            # Queries, keys and values of a token stand in one row.
            heads = sum(w.heads) + w.heads[-1]
            rows = random_array((1, w.tokens, heads, w.channels), w.dtype, 0)
            starts = np.cumsum((0, *w.heads))
            self.xs = [rows[:, :, a:b] for a, b in zip(starts, starts[1:])]
        else:
            order = (lambda h: (1, h, w.tokens, w.channels)) if w.layout == "bhsd" else (
                     lambda h: (1, w.tokens, h, w.channels))  # fmt: skip
            self.xs = [random_array(order(h), w.dtype, i) for i, h in enumerate(w.heads)]
        if w.in_place:
            self.results = []
            for x in self.xs:
                self.results.append(aligned(x.shape, dtype))
                self.results[-1][...] = x
        else:
            self.results = [aligned(x.shape, dtype) for x in self.xs]
        self.positions = self._positions()
        self.frequencies = BASE ** (-np.arange(w.pairs) / w.pairs)
        rows = np.repeat(np.arange(3), SECTIONS) if w.axes else None
        angles = (self.positions[rows].T if w.axes else self.positions[:, None]) * self.frequencies
        self._cos, self._sin = np.cos(angles), np.sin(angles)
        self.cos, self.sin = self._cos.astype(np.float32), self._sin.astype(np.float32)

    def _positions(self):
        w, random = self.workload, np.random.default_rng(0)
        if w.positions == "random":
            return random.integers(0, FAR, w.tokens)
        # The first tokens hardly turn: a decode step comes later.
        start = (4096 if w.cached else 0) if w.positions == "dense" else w.positions + 1 - w.tokens
        dense = np.arange(start, start + w.tokens)
        return np.stack([dense, dense // 7, dense % 32]) if w.axes else dense

    def function(self):
        """The workload's function on its arrays."""
        w = self.workload
        last = [self.cos, self.sin] if w.tables == "given" else [self.positions]
        return Function(w.text(), [*self.results, *last] if w.in_place else [*self.xs, *last, *self.results])

    def others(self):
        """The same function in other settings, to compare ours with."""
        w = self.workload
        if w.tables == "exact" and not w.axes:
            if w.positions == "dense":
                yield "tables given", Data(replace(w, tables="given")).function()
            else:
                yield "near positions", Data(replace(w, positions="dense")).function()

    def outputs(self):
        return [self.by_token(y) for y in self.results]

    def by_token(self, array):
        """[1, tokens, heads, channels]."""
        return array.transpose(0, 2, 1, 3) if self.workload.layout == "bhsd" else array

    def tokens(self, count=129):
        """Some of them, the first and last as well."""
        return np.unique(np.linspace(0, self.workload.tokens - 1, min(count, self.workload.tokens)).astype(int))

    def error(self, results, tokens):
        """The largest |error| / (|u| + |v|) of [1, tokens, heads, channels], and
        infinite where a channel that does not rotate changed."""
        w, worst = self.workload, 0.0
        middle = slice(w.offset, w.offset + w.rotary)
        for x, y in zip(self.xs, results):
            # Not all at once, as they are widened.
            for part in np.array_split(tokens, max(1, len(tokens) // 512)):
                u = self.by_token(x)[0, part]
                v = np.asarray(y)[0, part]
                if not (np.array_equal(u[..., : w.offset], v[..., : w.offset])
                        and np.array_equal(u[..., middle.stop :], v[..., middle.stop :])):  # fmt: skip
                    return float("inf")
                u, v = (split(z[..., middle].astype(np.float64), w.pairing) for z in (u, v))
                cos, sin = self._cos[part, None], self._sin[part, None]
                bound = np.abs(u[0]) + np.abs(u[1]) + 1e-30
                errors = (v[0] - (u[0] * cos - u[1] * sin), v[1] - (u[0] * sin + u[1] * cos))
                found = max(float((np.abs(e) / bound).max()) for e in errors)
                # Not a number is no agreement.
                worst = max(worst, found) if found == found else float("inf")
        return worst

    def segments(self):
        """What copies move: (from, to, rows, bytes, strides of rows)."""
        out = []
        for x, y in zip(self.xs, self.results):
            if self.workload.layout == "packed":
                row = x[0, 0].nbytes
                out.append((x.ctypes.data, y.ctypes.data, len(x[0]), row, x.strides[1], y.strides[1]))
            else:
                out.append((x.ctypes.data, y.ctypes.data, 1, x.nbytes, 0, 0))
        return out


def split(x, pairing):
    """The two channels of each pair."""
    return np.split(x, 2, axis=-1) if pairing == "half" else (x[..., ::2], x[..., 1::2])


@functools.cache
def compiled(text, *passes):
    """The function f of a module, after passes of rope-opt."""
    if passes:
        text = run("rope-opt", "-", *passes, stdin=text)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.so")
        run("rope-compile", "-", "-O3", "--target-cpu=host", "-o", path, stdin=text)
        function = ctypes.CDLL(path)._mlir_ciface_f
    function.restype = None
    return function


class Function:
    """A compiled function on arrays whose descriptors are made now."""

    def __init__(self, text, arrays, *passes):
        function = compiled(text, *passes)
        self._keep = [descriptor(array) for array in arrays]
        references = [ctypes.byref(d) for d in self._keep]
        self.call = lambda keep=arrays: function(*references)
        self.address = ctypes.cast(function, ctypes.c_void_p)
        self.pointers = (ctypes.c_void_p * len(arrays))(*[ctypes.addressof(d) for d in self._keep])


# The list ---------------------------------------------------------------------

EVERYONE = ("torch.compile chunk form", "torch.compile Hugging Face form", "PyTorch eager", "PyTorch eager complex",
            "onnxruntime", "OpenVINO", "JAX", "IREE")  # fmt: skip
COMPILED = ("torch.compile chunk form",)


def workloads(quick=False):
    """All of them; with `quick` a few of each kind."""
    out = []

    def add(name, dtypes, in_quick=(), **rest):
        for dtype in in_quick if quick else dtypes:
            out.append(Workload(name, dtype, **rest))

    all_types = ("f32", "bf16", "f16")
    add("half", all_types, ("f32", "bf16"), peers=EVERYONE)
    add("interleaved", all_types, ("f32",), pairing="interleaved", peers=EVERYONE)
    add("half, in place", all_types, ("f32",), in_place=True)
    add("interleaved, in place", all_types, pairing="interleaved", in_place=True)
    add("half, exact angles", all_types, ("f32",), tables="exact", peers=EVERYONE)
    add("interleaved, exact angles", all_types, pairing="interleaved", tables="exact", peers=COMPILED)
    for name, positions in (("random", "random"), ("far", FAR - 1)):
        add(f"half, exact angles, {name} positions", ("f32", "bf16"), tables="exact", positions=positions)
    add("Gemma, 256 channels", ("f32", "bf16"), heads=(16, 8), channels=256, rotary=256, peers=COMPILED)
    add("GPT-J, 64 of 256 channels", ("f32", "f16"), heads=(16, 16), channels=256, rotary=64, pairing="interleaved",
        tokens=2048, peers=COMPILED)  # fmt: skip
    add("Phi-2, 32 of 80 channels", ("f32", "f16"), ("f16",), heads=(32, 32), channels=80, rotary=32, peers=COMPILED)
    add("MLA, last 64 of 192 channels", ("f32", "bf16"), heads=(128,), channels=192, rotary=64, offset=128, tokens=1024,
        pairing="interleaved", peers=COMPILED)  # fmt: skip
    add("M-RoPE, exact angles", ("f32", "bf16"), axes=True, tables="exact")
    add("heads before tokens", ("f32", "bf16"), layout="bhsd", peers=COMPILED)
    add("slices of packed rows", ("f32", "bf16"), layout="packed")
    # From 1024 tokens on they do not fit the cache; they are called the same way, for the plot by size.
    for tokens in (1, 4, 16, 64, 256, 1024, 4096, 8192):
        add(f"{tokens} tokens" if tokens > 1 else "1 token", ("f32", "bf16"), ("f32", "bf16") if tokens == 1 else (),
            tokens=tokens, cached=True, peers=EVERYONE if tokens in (1, 16, 64) else ())  # fmt: skip
    return out


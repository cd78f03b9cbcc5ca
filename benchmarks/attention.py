# Attention, decode steps and projections that benchmarks/cpu.py measures.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Workloads as those of workloads.py. Errors are shares of the largest result
in float64, of some of the rows."""

import functools
from dataclasses import dataclass

import numpy as np
from workloads import BASE, DTYPES, Function, aligned, random_array, split

# Of the largest result.
LIMITS = {"f32": 2e-6, "f16": 2e-3, "bf16": 1e-2}
# Of peers, which round tables and rotated keys to the type.
AGREEMENT = {"f32": 1e-5, "f16": 1e-2, "bf16": 5e-2}
ATTENTION = ("PyTorch eager", "PyTorch compiled", "flex_attention", "onnxruntime", "OpenVINO", "attention alone")
DECODE = ("PyTorch eager", "PyTorch compiled", "PyTorch, rotated keys", "onnxruntime, rotated keys")
PROJECTION = ("PyTorch linear", "PyTorch eager", "PyTorch compiled")
# Peers that rotate, of which the fastest is "best peer".
CONTEST = ("PyTorch compiled", "flex_attention", "onnxruntime", "OpenVINO")
# By number of tokens.
GOALS = {
    ("PyTorch eager", "f32"): {128: 3, 512: 2.8, 1024: 2.1, 4096: 1.6},
    ("PyTorch eager", "bf16"): {128: 3, 512: 3.7, 1024: 3, 4096: 2.5},
    ("best peer", "f32"): {128: 2.2, 512: 2, 1024: 1.6, 4096: 1.35},
    ("best peer", "bf16"): {128: 2, 512: 2.7, 1024: 2.2, 4096: 2},
}


def sampled(size, count=129):
    """Some rows, the first and last as well."""
    return np.unique(np.linspace(0, size - 1, min(count, size)).astype(int))


def rotated(x, cos, sin, workload):
    """Of [..., rows, channels] in float64, by tables of rows and pairs."""
    w, y = workload, x.astype(np.float64)
    part = y[..., w.offset : w.offset + w.rotary]
    u, v = (z.copy() for z in split(part, w.pairing))
    for z, turned in zip(split(part, w.pairing), (u * cos - v * sin, u * sin + v * cos)):
        z[...] = turned
    return y


class Bounded:
    """The errors that a workload of some type may have."""

    @property
    def limit(self):
        return LIMITS[self.dtype]

    @property
    def agreement(self):
        return AGREEMENT[self.dtype]


class Checked:
    """What is computed in float64 for the rows `sampled`, and results beside it."""

    def error(self, results, tokens, **which):
        """The largest error as a share of the largest element, infinite where one is no number."""
        reference = self.reference(**which)
        error = float(np.abs(self._errors(results, reference)).max() / np.abs(reference).max())
        return error if error == error else float("inf")

    def mean_error(self, results):
        """The root mean square of errors."""
        return float(np.sqrt(np.square(self._errors(results, self.reference())).mean()))

    def _errors(self, results, reference):
        return results[0][0, self.tokens()].astype(np.float64) - reference

    def tokens(self, count=129):
        return sampled(self.workload.tokens)


def table_text(workload, name, tokens):
    """Cosines and sines as arguments, or positions, and the operands of a rotation by them."""
    w = workload
    attributes = f"pairing = {w.pairing}, position_dims = [1]" + (f", offset = {w.offset}" if w.offset else "")
    if w.tables == "exact":
        positions = f"tensor<{tokens}xi64>"
        return (f"%p{name}: {positions}", f"(%p{name}, %f : {positions}, tensor<{w.pairs}xf64>) "
                f"by <{attributes}, angles = <magnitude = 1.0>>")  # fmt: skip
    table = f"tensor<{tokens}x{w.pairs}xf32>"
    return f"%c{name}: {table}, %s{name}: {table}", f"(%c{name}, %s{name} : {table}, {table}) by <{attributes}>"


@dataclass(frozen=True)
class Attention(Bounded):
    """Causal attention of [1, tokens, heads, channels], or one query that sees all
    keys of a cache. Queries and keys are rotated as they are loaded."""

    name: str
    dtype: str
    tokens: int
    keys: int
    heads: tuple = (32, 8)
    channels: int = 128
    # Those of values.
    width: int = 128
    rotary: int = 128
    offset: int = 0
    pairing: str = "half"
    tables: str = "given"
    # Where a decode step finds keys and values: contiguous is [1, keys, heads, channels].
    cache: str = ""
    # A shape beside those of which goals are: they are lower by 15 %.
    other: bool = False
    peers: tuple = ATTENTION

    cached = in_place = False
    layout = "bshd"
    axes = False

    @property
    def kind(self):
        return "decode" if self.cache else "attention"

    @property
    def pairs(self):
        return self.rotary // 2

    @property
    def group(self):
        """Query heads of a key head."""
        return self.heads[0] // self.heads[1]

    @property
    def scale(self):
        return self.channels**-0.5

    @property
    def work(self):
        """Useful operations, or bytes of the cache."""
        if self.cache:
            return self.keys * self.heads[1] * (self.channels + self.width) * DTYPES[self.dtype].itemsize, "GB/s"
        return self.tokens * (self.tokens + 1) * (self.channels + self.width) * self.heads[0], "Gflop/s"

    @property
    def packed(self):
        """Bytes of keys and values in f32."""
        return self.keys * self.heads[1] * (self.channels + self.width) * 4

    @property
    def peaks(self):
        if self.cache or self.other or self.tokens < 4096:
            return ()
        return ("FMA peak",) if self.dtype == "f32" else ("AMX peak", "vdpbf16ps peak")

    @property
    def own(self):
        """Our own code on arrays that were rotated before."""
        return "rotated keys" if self.cache else "no rope"

    @property
    def against(self):
        best = ("best peer",) if self.contest else ()
        memory = ("best copy", "read") if self.cache else ()
        return (self.own, *self.peers, *best, *memory, *self.peaks)

    @property
    def contest(self):
        return () if self.cache else tuple(peer for peer in self.peers if peer in CONTEST)

    @property
    def alone(self):
        return self.other

    def data(self):
        return AttentionData(self)

    def goal(self, peer, threads):
        if self.cache:
            if self.keys < 32768:
                return None
            goals = {"f32": (6, 4), "bf16": (5, 2.8)}.get(self.dtype, (None, None))
            return {"PyTorch eager": goals[0], "PyTorch compiled": goals[1], "rotated keys": 0.909}.get(peer)
        size = min(GOALS["best peer", "f32"], key=lambda size: abs(size - self.tokens))
        if (peer, self.dtype) in GOALS:
            goal = GOALS[peer, self.dtype][size]
            if threads > 1:
                goal = 0.95 * goal if size > 128 else 2.3 if peer == "PyTorch eager" else None
        elif peer == "no rope":
            goal = None if size == 128 else 0.97 if (self.dtype, size) == ("bf16", 512) else 0.98
        else:
            goal = {"attention alone": 1.0, "FMA peak": 0.75, "AMX peak": 0.3}.get(peer)
        return goal and round(goal * (0.85 if self.other else 1), 3)

    def text(self, rotates="qk"):
        """The function f: query, key, value, then tables or positions of keys, and of
        queries where they are others."""
        (hq, hk), count = self.heads, 1 if self.cache else "?"
        q, k, v, o = (f"tensor<1x{n}x{heads}x{channels}x{self.dtype}>" for n, heads, channels in (
            (count, hq, self.channels), ("?", hk, self.channels), ("?", hk, self.width), (count, hq, self.width)))
        group = f"h floordiv {self.group}" if self.group > 1 else "h"
        maps = ", ".join(f"affine_map<(b, h, i, j, d, e) -> ({m})>" for m in (
            "b, i, h, d", f"b, j, {group}, d", f"b, j, {group}, e", "b, i, h, e"))  # fmt: skip
        inputs, rotations = [f"%q: {q}", f"%k: {k}", f"%v: {v}"], ""
        query = "q" if self.cache else "k"
        if "k" in rotates:
            argument, operands = table_text(self, "k", "?")
            inputs.append(argument)
            rotations += f" rotate_key{operands}"
        if "q" in rotates:
            argument, operands = table_text(self, query, count)
            inputs += [argument] if argument not in inputs else []
            rotations = f"rotate_query{operands}" + rotations
        lines = ["%c1 = arith.constant 1 : index"]
        if self.tables == "exact":
            lines.append(f"%f = rope.frequencies base({BASE:e}) : tensor<{self.pairs}xf64>")
        if not self.cache:
            lines.append(f"%n = tensor.dim %q, %c1 : {q}")
        lines += [f"%e = tensor.empty({'' if self.cache else '%n'}) : {o}",
                  f"%o = rope.attention {{{'' if self.cache else 'causal, '}scale = {self.scale:e} : f64, "
                  f"indexing_maps = [{maps}]}} ins(%q, %k, %v : {q}, {k}, {v}) {rotations} outs(%e : {o})",
                  f"return %o : {o}"]  # fmt: skip
        return f"func.func @f({', '.join(inputs)}) -> {o} {{\n  " + "\n  ".join(lines) + "\n}\n"


class AttentionData(Checked):
    """Queries at the end of the keys."""

    def __init__(self, workload):
        self.workload = w = workload
        hq, hk = w.heads
        self.q = random_array((1, w.tokens, hq, w.channels), w.dtype, 0)
        self.k = random_array((1, w.keys, hk, w.channels), w.dtype, 1)
        self.v = random_array((1, w.keys, hk, w.width), w.dtype, 2)
        self.results = [aligned((1, w.tokens, hq, w.width), DTYPES[w.dtype])]
        self.positions = np.arange(w.keys)
        angles = self.positions[:, None] * BASE ** (-np.arange(w.pairs) / w.pairs)
        self._cos, self._sin = np.cos(angles), np.sin(angles)
        # Of keys; the last rows are those of the queries.
        self.cos, self.sin = self._cos.astype(np.float32), self._sin.astype(np.float32)

    @functools.cached_property
    def turned(self):
        """Queries and keys that were rotated before, in their type."""
        out = []
        for x in (self.q, self.k):
            out.append(aligned(x.shape, x.dtype))
            cos, sin = (table[-x.shape[1] :, None] for table in (self._cos, self._sin))
            # Not all at once, as they are widened.
            for part in np.array_split(np.arange(x.shape[1]), max(1, x.shape[1] // 512)):
                out[-1][:, part] = rotated(x[:, part], cos[part], sin[part], self.workload)
        return out

    def function(self):
        w = self.workload
        tables = [*self._tables(w.keys), *self._query_tables()]
        return Function(w.text(), [self.q, self.k, self.v, *tables, *self.results])

    def others(self):
        w, result = self.workload, aligned(self.results[0].shape, self.results[0].dtype)
        if w.cache:
            arrays = [self.q, self.turned[1], self.v, *self._query_tables(), result]
            yield w.own, Function(w.text("q"), arrays)
        else:
            yield w.own, Function(w.text(""), [*self.turned, self.v, result])

    def _tables(self, rows):
        """Of the last rows."""
        tables = [self.cos, self.sin] if self.workload.tables == "given" else [self.positions]
        return [np.ascontiguousarray(table[-rows:]) for table in tables]

    def _query_tables(self):
        return self._tables(1) if self.workload.cache else []

    def outputs(self):
        return self.results

    def reference(self):
        return self._attended

    @functools.cached_property
    def _attended(self):
        w, rows = self.workload, self.tokens()
        first = w.keys - w.tokens
        q = rotated(self.q[0, rows].swapaxes(0, 1), self._cos[first + rows], self._sin[first + rows], w)
        out = np.empty((len(rows), w.heads[0], w.width))
        hidden = np.arange(w.keys) > first + rows[:, None]
        for h in range(w.heads[1]):
            k = rotated(self.k[0, :, h], self._cos, self._sin, w)
            for head in range(h * w.group, (h + 1) * w.group):
                scores = q[head] @ k.T * w.scale
                scores[hidden] = -np.inf
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                out[:, head] = scores @ self.v[0, :, h].astype(np.float64) / scores.sum(-1, keepdims=True)
        return out

    def segments(self):
        """What copies move and reads read: keys and values."""
        if not hasattr(self, "_copies"):
            self._copies = [aligned(x.shape, x.dtype) for x in (self.k, self.v)]
        return [(x.ctypes.data, y.ctypes.data, 1, x.nbytes, 0, 0) for x, y in zip((self.k, self.v), self._copies)]


@dataclass(frozen=True)
class Projection(Bounded):
    """x W as heads, all of them rotated, in its loops."""

    name: str
    dtype: str
    tokens: int = 512
    model: int = 4096
    heads: int = 40
    channels: int = 128
    # Whether rows go into a cache of CACHE rows, from row START on.
    append: bool = False
    peers: tuple = PROJECTION

    kind, tables, pairing, offset, cached, in_place = "projection", "given", "half", 0, False, False
    peaks = contest = ()
    alone = False
    CACHE, START = 4096, 17

    @property
    def rotary(self):
        return self.channels

    @property
    def pairs(self):
        return self.channels // 2

    @property
    def work(self):
        return 2 * self.tokens * self.model * self.heads * self.channels, "Gflop/s"

    @property
    def against(self):
        return "projection alone", *self.peers

    def data(self):
        return ProjectionData(self)

    def goal(self, peer, threads):
        return {"projection alone": 0.99, "PyTorch linear": 1.0}.get(peer)

    def text(self, rotates=True):
        """The function f: x, W, tables, and the cache, if there is one."""
        width, el = self.heads * self.channels, self.dtype
        x, w, y = f"tensor<?x{self.model}x{el}>", f"tensor<{self.model}x{width}x{el}>", f"tensor<?x{width}x{el}>"
        wide, table = f"tensor<?x{width}xf32>", f"tensor<?x{self.pairs}xf32>"
        heads = f"1x?x{self.heads}x{self.channels}x{el}"
        inputs = [f"%x: {x}", f"%w: {w}"]
        product = "%y" if el == "f32" else "%wide"
        lines = ["%c0 = arith.constant 0 : index", "%zero = arith.constant 0.0 : f32", f"%n = tensor.dim %x, %c0 : {x}",
                 f"%e = tensor.empty(%n) : {wide}", f"%i = linalg.fill ins(%zero : f32) outs(%e : {wide}) -> {wide}",
                 f"{product} = linalg.matmul ins(%x, %w : {x}, {w}) outs(%i : {wide}) -> {wide}"]  # fmt: skip
        if el != "f32":
            lines.append(f"%y = arith.truncf %wide : {wide} to {y}")
        sizes = f"[1, %n, {self.heads}, {self.channels}]"
        lines.append(f"%h = tensor.expand_shape %y [[0, 1], [2, 3]] output_shape {sizes} : {y} into tensor<{heads}>")
        result = "%h"
        if rotates:
            inputs += [f"%c: {table}", f"%s: {table}"]
            attributes = "{pairing = #rope.pairing<half>, position_dims = array<i64: 1>}"
            lines += [f"%eh = tensor.empty(%n) : tensor<{heads}>",
                      f"%r = rope.apply ins(%h, %c, %s : tensor<{heads}>, {table}, {table}) "
                      f"outs(%eh : tensor<{heads}>) {attributes}"]  # fmt: skip
            result = "%r"
        if not (rotates and self.append):
            return (f"func.func @f({', '.join(inputs)}) -> tensor<{heads}> {{\n  " + "\n  ".join(lines) +
                    f"\n  return {result} : tensor<{heads}>\n}}\n")  # fmt: skip
        cache = f"1x{self.CACHE}x{self.heads}x{self.channels}x{el}"
        inputs.append(f"%cache: memref<{cache}>")
        lines += [f"%t = bufferization.to_tensor %cache restrict writable : memref<{cache}> to tensor<{cache}>",
                  f"%u = tensor.insert_slice {result} into %t[0, {self.START}, 0, 0] {sizes} [1, 1, 1, 1] "
                  f": tensor<{heads}> into tensor<{cache}>",
                  "bufferization.materialize_in_destination %u in restrict writable %cache : "
                  f"(tensor<{cache}>, memref<{cache}>) -> ()", "return"]  # fmt: skip
        return f"func.func @f({', '.join(inputs)}) {{\n  " + "\n  ".join(lines) + "\n}\n"


class ProjectionData(Checked):
    def __init__(self, workload):
        self.workload = w = workload
        self.x = random_array((w.tokens, w.model), w.dtype, 0)
        self.w = random_array((w.model, w.heads * w.channels), w.dtype, 1)
        self.results = [aligned((1, w.CACHE if w.append else w.tokens, w.heads, w.channels), DTYPES[w.dtype])]
        angles = np.arange(w.tokens)[:, None] * BASE ** (-np.arange(w.pairs) / w.pairs)
        self._cos, self._sin = np.cos(angles), np.sin(angles)
        self.cos, self.sin = self._cos.astype(np.float32), self._sin.astype(np.float32)

    def function(self):
        passes = ["--rope-fuse-projection"] + ["--rope-fuse-cache-append"] * self.workload.append
        return Function(self.workload.text(), [self.x, self.w, self.cos, self.sin, *self.results], *passes)

    def others(self):
        w = self.workload
        result = aligned((1, w.tokens, w.heads, w.channels), DTYPES[w.dtype])
        yield "projection alone", Function(w.text(False), [self.x, self.w, result])

    def outputs(self):
        w = self.workload
        return [self.results[0][:, w.START : w.START + w.tokens] if w.append else self.results[0]]

    @functools.cached_property
    def _projected(self):
        w, rows = self.workload, self.tokens()
        return (self.x[rows].astype(np.float64) @ self.w.astype(np.float64)).reshape(len(rows), w.heads, w.channels)

    def reference(self, rotates=True):
        rows = self.tokens()
        if not rotates:
            return self._projected
        return rotated(self._projected, self._cos[rows, None], self._sin[rows, None], self.workload)

    def segments(self):
        return []


# The list ---------------------------------------------------------------------


def prefill(tokens, dtype, channels=128, note="", **rest):
    width = rest.get("width", channels)
    size = f"{channels}" if width == channels else f"{channels}/{width}"
    shape = {"width": channels, "rotary": channels, **rest}
    return Attention(f"attention, S={tokens}, D={size}{note}", dtype, tokens, tokens, channels=channels, **shape)


def decode(keys, dtype, note="", **rest):
    return Attention(f"decode, {keys} keys{note}", dtype, 1, keys, cache="contiguous", **{"peers": DECODE, **rest})


def workloads(quick=False):
    """All of them; with `quick` one or two of each kind."""
    if quick:
        return [prefill(512, "f32"), decode(32768, "f32"), Projection("projection", "f32")]
    out = []
    for channels in (128, 64):
        for tokens in (128, 512, 1024, 4096):
            out += [prefill(tokens, dtype, channels) for dtype in ("f32", "bf16")]
    for dtype in ("f32", "bf16"):
        other = {"other": True, "peers": ("PyTorch eager", "PyTorch compiled")}
        # As DeepSeek-V2-Lite has it: a head of keys for each of queries, their last channels rotate.
        latent = {"heads": (16, 16), "width": 128, "rotary": 64, "offset": 128, "pairing": "interleaved"}
        out += [*(prefill(1024, dtype, channels, **other) for channels in (80, 96, 256)),
                prefill(1024, dtype, 192, **latent, **other), prefill(1000, dtype, **other),
                prefill(1024, dtype, note=", interleaved", pairing="interleaved", **other)]  # fmt: skip
    for dtype in ("f32", "bf16", "f16"):
        out += [decode(32768, dtype), decode(32768, dtype, ", exact angles", tables="exact", peers=()),
                decode(4096, dtype)]  # fmt: skip
    for dtype in ("f32", "bf16"):
        out += [Projection("projection", dtype), Projection("projection into a cache", dtype, append=True)]
    return out

# Rotations and what surrounds them, as written, canonicalized and simplified:
# each against float64, which rotations are left, and where no rounding may
# differ, bit for bit.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import dataclasses
import re

import numpy as np
from rope_testing import reference
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

EPSILON = {"f16": 2.0**-11, "bf16": 2.0**-8, "f32": 2.0**-24, "f64": 2.0**-53}
SIZES = {"S": 5}  # of dimensions that are dynamic


def tensor(shape, element):
    sizes = ["?" if isinstance(n, str) else str(n) for n in shape]
    return f"tensor<{'x'.join([*sizes, element])}>"


def mixed(sizes):
    return str(sizes).replace("'S'", "%S")


def numbers(shape):
    return [SIZES.get(n, n) for n in shape]


@dataclasses.dataclass
class Tensor:
    """A value of the program, what it is in f64, and how far it may be off."""

    name: str
    shape: list
    element: str
    value: np.ndarray
    error: float = 0.0

    @property
    def type(self):
        return tensor(self.shape, self.element)


class Program:
    """One function of tensors. Every operation is written and computed."""

    def __init__(self, name, rng):
        self.name, self.rng = name, rng
        self.lines, self.arguments, self.arrays, self.count = [], [], [], 0

    def add(self, text, results=1):
        name = f"%t{self.count}"
        self.count += 1
        self.lines.append(f"{name}{f':{results}' if results > 1 else ''} = {text}")
        return name

    def argument(self, shape, element, array):
        name = f"%a{len(self.arguments)}"
        self.arguments.append(f"{name}: {tensor(shape, element)}")
        self.arrays.append(array)
        for dim, size in enumerate(shape):
            if isinstance(size, str) and not any(line.startswith(f"%{size} =") for line in self.lines):
                self.lines += [f"%d{size} = arith.constant {dim} : index",
                               f"%{size} = tensor.dim {name}, %d{size} : {tensor(shape, element)}"]  # fmt: skip
        return Tensor(name, shape, element, array)

    def input(self, shape, element):
        array = self.rng.standard_normal(numbers(shape)).astype(reference.NUMPY[element])
        return dataclasses.replace(self.argument(shape, element, array), value=array.astype(np.float64))

    def positions(self, shape, element="i64", far=100000):
        array = self.rng.integers(-far, far, numbers(shape)).astype(reference.NUMPY[element])
        return self.argument(shape, element, array)

    def empty(self, shape, element):
        sizes = ", ".join(f"%{n}" for n in shape if isinstance(n, str))
        return self.add(f"tensor.empty({sizes}) : {tensor(shape, element)}")

    def frequencies(self, pairs, base="1.0e+04"):
        name = self.add(f"rope.frequencies base({base}) : tensor<{pairs}xf64>")
        return name, [float(base) ** (-i / pairs) for i in range(pairs)]

    def table(self, positions, frequencies, element="f32", magnitude=1.0, precision="exact"):
        name, w = frequencies
        shape = [*positions.shape, len(w)]
        init = self.empty(shape, element)
        type = tensor(shape, element)
        table = self.add(
            f"rope.table ins({positions.name}, {name} : {positions.type}, tensor<{len(w)}xf64>) outs({init}, {init} : "
            f"{type}, {type}) {{magnitude = {magnitude:e} : f64, precision = #rope.precision<{precision}>}}", 2)  # fmt: skip
        if precision == "f32":
            cos, sin = (magnitude * t for t in reference.cos_sin_of_angles(reference.f32_angles(positions.value, w)))
        else:
            cos, sin = reference.cos_sin(positions.value, w, magnitude)
        error = magnitude * max(3e-7 if element != "f64" else 1e-15, EPSILON[element])
        return tuple(Tensor(f"{table}#{i}", shape, element, t, error) for i, t in enumerate((cos, sin)))

    def apply(self, x, table, dims, element=None, **attributes):
        cos, sin = table
        element = element or x.element
        init = self.empty(x.shape, element)
        texts = [f"position_dims = array<i64{':' if dims else ''} {', '.join(map(str, dims))}>"]
        for key, value in {"pairing": "half", **attributes}.items():
            if key in ("pairing", "result_pairing"):
                value and texts.append(f"{key} = #rope.pairing<{value}>")
            elif key == "transpose":
                value and texts.append(key)
            elif value is not None:
                texts.append(f"{key} = {value} : i64")
        name = self.add(
            f"rope.apply ins({x.name}, {cos.name}, {sin.name} : {x.type}, {cos.type}, {sin.type}) outs({init} : "
            f"{tensor(x.shape, element)}) {{{', '.join(texts)}}}")  # fmt: skip
        value, _, _ = reference.rotate(x.value, cos.value, sin.value, dims, **attributes)
        largest = np.abs(x.value).max(initial=0) + x.error
        scale = max(1.0, np.abs(cos.value).max(initial=0) + np.abs(sin.value).max(initial=0))
        computed = EPSILON["f64" if element == "f64" else "f32"]
        error = scale * (x.error + 4 * computed * largest) + 2 * largest * cos.error
        return Tensor(name, x.shape, element, value, error + EPSILON[element] * scale * largest)

    def moved(self, x, text, shape, value):
        return Tensor(self.add(f"{text} : {x.type} {'to' if 'slice' in text else 'into'} {tensor(shape, x.element)}"),
                      shape, x.element, value, x.error)  # fmt: skip

    def slice(self, x, offsets, sizes, dropped=()):
        text = f"tensor.extract_slice {x.name}{offsets} {mixed(sizes)} {[1] * len(sizes)}"
        value = x.value[tuple(np.s_[o : o + n] for o, n in zip(offsets, numbers(sizes)))]
        return self.moved(x, text, [n for d, n in enumerate(sizes) if d not in dropped], value.squeeze(tuple(dropped)))

    def collapse(self, x, groups):
        sizes = [[x.shape[d] for d in g if x.shape[d] != 1] for g in groups]
        shape = [s[0] if len(s) == 1 else int(np.prod(s)) for s in sizes]
        return self.moved(x, f"tensor.collapse_shape {x.name} {groups}", shape, x.value.reshape(numbers(shape)))

    def expand(self, x, groups, shape):
        text = f"tensor.expand_shape {x.name} {groups} output_shape {mixed(shape)}"
        return self.moved(x, text, shape, x.value.reshape(numbers(shape)))

    def generic(self, x, in_map, out_map, shape, element, body, value, error=0.0):
        loops = ", ".join(f"d{i}" for i in range(len(shape)))
        kinds = ", ".join(['"parallel"'] * len(shape))
        out = self.empty(shape, element)
        name = self.add(
            f"linalg.generic {{indexing_maps = [affine_map<({loops}) -> ({in_map})>, affine_map<({loops}) -> ({out_map})>], "
            f"iterator_types = [{kinds}]}} ins({x.name} : {x.type}) outs({out} : {tensor(shape, element)}) {{\n"
            f"^bb0(%in: {x.element}, %out: {element}):\n{body}}} -> {tensor(shape, element)}")  # fmt: skip
        return Tensor(name, shape, element, value, x.error + error)

    def transpose(self, x, permutation, named):
        shape = [x.shape[d] for d in permutation]
        value = x.value.transpose(permutation)
        if not named:
            loops = [f"d{i}" for i in range(len(shape))]
            source = ", ".join(loops[permutation.index(d)] for d in range(len(shape)))
            return self.generic(x, source, ", ".join(loops), shape, x.element, f"linalg.yield %in : {x.element}\n", value)
        out = self.empty(shape, x.element)
        name = self.add(
            f"linalg.transpose ins({x.name} : {x.type}) outs({out} : {tensor(shape, x.element)}) permutation = {permutation}")
        return Tensor(name, shape, x.element, value, x.error)

    def repeat(self, x, at, times):
        shape = [*x.shape[:at], times, *x.shape[at:]]
        loops = [f"d{i}" for i in range(len(shape))]
        value = np.broadcast_to(np.expand_dims(x.value, at), numbers(shape))
        source = ", ".join(loops[:at] + loops[at + 1 :])
        return self.generic(x, source, ", ".join(loops), shape, x.element, f"linalg.yield %in : {x.element}\n", value)

    def cast(self, x, element, named):
        op = "extf" if EPSILON[element] < EPSILON[x.element] else "truncf"
        error = 0 if op == "extf" else EPSILON[element] * np.abs(x.value).max(initial=0)
        if named:
            name = self.add(f"arith.{op} {x.name} : {x.type} to {tensor(x.shape, element)}")
            return Tensor(name, x.shape, element, x.value, x.error + error)
        loops = ", ".join(f"d{i}" for i in range(len(x.shape)))
        body = f"%w = arith.{op} %in : {x.element} to {element}\nlinalg.yield %w : {element}\n"
        return self.generic(x, loops, loops, x.shape, element, body, x.value, error)

    def concat(self, dim, parts):
        value = np.concatenate([p.value for p in parts], dim)
        shape = [*parts[0].shape]
        shape[dim] = value.shape[dim]
        types = ", ".join(p.type for p in parts)
        names = ", ".join(p.name for p in parts)
        name = self.add(f"tensor.concat dim({dim}) {names} : ({types}) -> {tensor(shape, parts[0].element)}")
        return Tensor(name, shape, parts[0].element, value, max(p.error for p in parts))

    def insert(self, part, into, offset):
        offsets = [0] * (len(into.shape) - 1) + [offset]
        name = self.add(f"tensor.insert_slice {part.name} into {into.name}{offsets} {mixed(part.shape)} {[1] * len(offsets)} : "
                        f"{part.type} into {into.type}")  # fmt: skip
        value = into.value.copy()
        value[..., offset : offset + part.shape[-1]] = part.value
        return Tensor(name, into.shape, into.element, value, max(part.error, into.error))

    def sum(self, x, y):
        value = x.value + y.value
        error = x.error + y.error + 2 * EPSILON[x.element] * np.abs(value).max(initial=0)
        return Tensor(self.add(f"arith.addf {x.name}, {y.name} : {x.type}"), x.shape, x.element, value, error)

    def shifted(self, x, shift):
        splat = self.add(f"arith.constant dense<{shift}> : {x.type}")
        return Tensor(self.add(f"arith.addi {x.name}, {splat} : {x.type}"), x.shape, x.element, x.value + shift)

    def constant(self, shape, element):
        array = self.rng.standard_normal(shape).astype(reference.NUMPY[element]).astype(np.float64)
        text = np.array2string(array, separator=", ", threshold=array.size, formatter={"all": lambda x: f"{x:.12e}"})
        name = self.add(f"arith.constant dense<{' '.join(text.split())}> : {tensor(shape, element)}")
        return Tensor(name, shape, element, array)

    def project(self, x, weights, bias, heads):
        """[tokens, heads, channels]"""
        shape = [x.shape[0], weights.shape[1]]
        type = tensor(shape, x.element)
        zero = self.add(f"arith.constant dense<0.0> : {type}")
        name = self.add(f"linalg.matmul ins({x.name}, {weights.name} : {x.type}, {weights.type}) outs({zero} : {type}) -> {type}")
        name = self.add(f"arith.addf {name}, {bias.name} : {type}")
        largest = np.abs(x.value).max() * np.abs(weights.value).max()
        y = Tensor(name, shape, x.element, x.value @ weights.value + bias.value, 2 * EPSILON["f32"] * x.shape[1] * (4 + largest))
        return self.expand(y, [[0], [1, 2]], [shape[0], heads, shape[1] // heads])

    def attention(self, q, k, v, rotation=""):
        """Of what is in f64, each [tokens, heads, channels]."""
        maps = ["i, h, d", "j, h, d", "j, h, e", "i, h, e"]
        texts = ", ".join(f"affine_map<(b, h, i, j, d, e) -> ({m})>" for m in maps)
        shape = [*q.shape[:2], v.shape[2]]
        init = self.empty(shape, v.element)
        name = self.add(f"rope.attention {{scale = 0.25 : f64, indexing_maps = [{texts}]}} ins({q.name}, {k.name}, {v.name} : "
                        f"{q.type}, {k.type}, {v.type}) {rotation} outs({init} : {tensor(shape, v.element)})")  # fmt: skip
        scores = 0.25 * np.einsum("ihd,jhd->hij", q.value, k.value)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        value = np.einsum("hij,jhe->ihe", weights / weights.sum(-1, keepdims=True), v.value)
        largest = [np.abs(x.value).max() for x in (q, k, v)]
        error = 0.25 * q.shape[-1] * (largest[0] * k.error + largest[1] * q.error + 1e-6 * largest[0] * largest[1])
        return Tensor(name, shape, v.element, value, 2 * error * largest[2])

    def text(self, result):
        body = "\n".join(self.lines)
        return (f"func.func @{self.name}({', '.join(self.arguments)}) -> {result.type} {{\n{body}\n"
                f"return {result.name} : {result.type}\n}}\n")  # fmt: skip


@dataclasses.dataclass
class Case:
    kind: str
    program: Program
    result: Tensor
    left: dict  # text, as of operations, and how often it is left
    exact: bool  # no rounding may differ


def pick(rng, *values):
    return values[rng.integers(len(values))]


def channels(rng):
    """Head size, pairs and attributes of a rotation."""
    pairs, offset = int(rng.integers(1, 6)), int(rng.integers(0, 4))
    pairing = pick(rng, "half", "interleaved")
    stride = pairs + int(rng.integers(0, 3)) if pairing == "half" and rng.integers(2) else None
    head = offset + pairs + (stride or pairs) + int(rng.integers(0, 3))
    return head, pairs, {"pairing": pairing, "offset": offset, "pair_stride": stride}


def zero_positions(p, rng):
    head, pairs, attributes = channels(rng)
    element = pick(rng, "f16", "bf16", "f32", "f64")
    x = p.input([4, 3, head], element)
    magnitude, position = pick(rng, (1.0, 0), (1.0, 0), (1.5, 0), (1.0, 3))
    name = p.add(f"arith.constant dense<{position}> : tensor<4xi32>")
    table = p.table(Tensor(name, [4], "i32", np.full(4, position)), p.frequencies(pairs), magnitude=magnitude)
    y = p.apply(x, table, [0], **attributes, transpose=bool(rng.integers(2)))
    return y, int((magnitude, position) != (1.0, 0)), False


def inverse(p, rng):
    """A rotation and its inverse, or nearly."""
    head, pairs, attributes = channels(rng)
    element = pick(rng, "f16", "bf16", "f32")
    wrong = pick(rng, *[""] * 4, "magnitude", "table", "direction", "offset", "position")
    x = p.input(["S", 2, head + 1], element)
    f = p.frequencies(pairs)
    table = p.table(p.positions(["S"]), f, "f16" if wrong == "table" else "f32", 2.0 if wrong == "magnitude" else 1.0, "f32")
    other = p.table(p.positions(["S"]), f, precision="f32") if wrong == "position" else table
    backwards = bool(rng.integers(2))
    y = p.apply(x, table, [0], **attributes, transpose=backwards)
    if wrong == "offset":
        attributes["offset"] += 1
    z = p.apply(y, other, [0], **attributes, transpose=backwards if wrong == "direction" else not backwards)
    return z, 2 if wrong else 0, False


def converted_inverse(p, rng):
    """Between pairings, both ways, or with the first one not reached again."""
    pairs = int(rng.integers(1, 5))
    x = p.input([4, 2 * pairs + 1], "f32")
    table = p.table(p.positions([4]), p.frequencies(pairs))
    first, second = pick(rng, ("half", "interleaved"), ("interleaved", "half"))
    y = p.apply(x, table, [0], pairing=first, result_pairing=second)
    back = rng.integers(2)
    return p.apply(y, table, [0], pairing=second, result_pairing=first if back else None, transpose=True), 0 if back else 1, False


def two_positions(p, rng):
    head, pairs, attributes = channels(rng)
    element = pick(rng, "f16", "bf16", "f32")
    wrong = pick(rng, *[""] * 5, "f32", "frequencies", "offset")
    integer = pick(rng, "i32", "i64")
    x = p.input(["S", 2, head + 1], element)
    f = p.frequencies(pairs)
    g = p.frequencies(pairs, "2.0e+04") if wrong == "frequencies" and pairs > 1 else f
    precision = "f32" if wrong == "f32" else "exact"
    far = 2**30
    tables = [p.table(p.positions(["S"], integer, far), w, magnitude=m, precision=precision)
              for w, m in ((f, pick(rng, 1.0, 1.25)), (g, pick(rng, 1.0, 0.75)))]  # fmt: skip
    y = p.apply(x, tables[0], [0], **attributes, transpose=bool(rng.integers(2)))
    if wrong == "offset":
        attributes["offset"] += 1
    z = p.apply(y, tables[1], [0], **attributes, transpose=bool(rng.integers(2)))
    return z, 2 if wrong == "f32" or wrong == "offset" or g is not f else 1, False


def casts(p, rng):
    head, pairs, attributes = channels(rng)
    element = pick(rng, "f16", "bf16")
    x = p.input(["S", head], element)
    table = p.table(p.positions(["S"]), p.frequencies(pairs), pick(rng, "f16", "f32", "f64"))
    wide = p.cast(x, "f32", bool(rng.integers(2)))
    y = p.apply(wide, table, [0], **attributes)
    return p.cast(y, element, bool(rng.integers(2))), 1, True


def rotated_type(shape, element):
    """How the destination of a rotation ends."""
    return f": {tensor(shape, element)}) {{"


def repeated(p, rng):
    head, pairs, attributes = channels(rng)
    x = p.input([2, "S", head], pick(rng, "bf16", "f32"))
    table = p.table(p.positions(["S"]), p.frequencies(pairs))
    y = p.repeat(x, 1, 3)
    if rng.integers(2):
        y = p.collapse(y, [[0, 1], [2], [3]])
    y = p.apply(y, table, [len(y.shape) - 2], pick(rng, None, "f32"), **attributes)
    return y, {"rope.apply ": 1, rotated_type(x.shape, y.element): 1}, True


def sliced(p, rng):
    head, pairs, attributes = channels(rng)
    x = p.input([3, 6, 4, head], pick(rng, "f16", "f32"))
    dims = pick(rng, [0, 1], [1, 0], [1], [0], [])
    table = p.table(p.positions([x.shape[d] for d in dims]), p.frequencies(pairs))
    y = p.apply(x, table, dims, **attributes)
    dropped = pick(rng, [], [0], [1], [0, 2])
    y = p.slice(y, [1, 2, 1, 0], [1, 1 if 1 in dropped else 3, 1 if 2 in dropped else 2, head], dropped)
    return y, {"rope.apply ": 1, rotated_type(y.shape, y.element): 1}, True


def joined_channels(p, rng):
    """Leading, middle or trailing channels, rotated in place."""
    head, pairs, attributes = channels(rng)
    sizes = [int(rng.integers(1, 6)) for _ in range(int(rng.integers(1, 3)))]
    at = int(rng.integers(0, len(sizes) + 1))
    sizes.insert(at, head)
    before, after = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    form = pick(rng, "concat", "insert", "insert into x")
    # The C interface allocates no results of tensor.concat of dynamic sizes.
    tokens = 5 if form == "concat" else "S"
    x = p.input([tokens, 2, before + sum(sizes) + after], pick(rng, "f16", "bf16", "f32"))
    starts = before + np.cumsum([0, *sizes[:-1]])
    parts = [p.slice(x, [0, 0, int(start)], [tokens, 2, size]) for start, size in zip(starts, sizes)]
    table = p.table(p.positions([tokens]), p.frequencies(pairs))
    parts[at] = p.apply(parts[at], table, [0], **attributes)
    if form == "concat":
        return p.concat(2, parts), 1, True
    if form == "insert into x":
        return p.insert(parts[at], x, int(starts[at])), 1, True
    shape = [tokens, 2, sum(sizes)]
    whole = Tensor(p.empty(shape, x.element), shape, x.element, np.zeros(numbers(shape)))
    places = dict(enumerate(np.cumsum([0, *[part.shape[-1] for part in parts[:-1]]])))
    for i in rng.permutation(len(parts)):
        whole = p.insert(parts[i], whole, int(places[i]))
    return whole, 1, True


def met(p, rng):
    """Transpositions and reshapes between two rotations."""
    head, pairs, attributes = channels(rng)
    x = p.input([2, 5, 3, head], "f32")
    f = p.frequencies(pairs)
    y = p.apply(x, p.table(p.positions([5]), f), [1], **attributes)
    y = p.transpose(y, pick(rng, [0, 2, 1, 3], [2, 0, 1, 3]), bool(rng.integers(2)))
    if rng.integers(2):
        y = p.collapse(y, [[0, 1], [2], [3]])
    return p.apply(y, p.table(p.positions([5]), f), [len(y.shape) - 2], **attributes), 1, False


def unmoved(p, rng):
    head, pairs, attributes = channels(rng)
    x = p.input([2, "S", 3, head], "f32")
    table = p.table(p.positions(["S"]), p.frequencies(pairs))
    form = rng.integers(2)
    if form:
        permutation = pick(rng, [1, 0, 2, 3], [1, 2, 0, 3], [0, 2, 1, 3])
        y = p.transpose(x, permutation, bool(rng.integers(2)))
        y = p.apply(y, table, [permutation.index(1)], **attributes)
        return p.transpose(y, [int(d) for d in np.argsort(permutation)], bool(rng.integers(2))), 1, True
    groups = [[0, 1], [2], [3], [4]]
    y = p.expand(x, groups, [2, 1, "S", 3, head])
    return p.collapse(p.apply(y, table, [2], **attributes), groups), 1, True


def joined_heads(p, rng):
    head, pairs, attributes = channels(rng)
    table = p.table(p.positions([5]), p.frequencies(pairs))
    wrong = bool(rng.integers(2))
    parts = [p.apply(p.input([5, n, head], "bf16"), table, [0], **attributes, transpose=wrong and n == 1) for n in (4, 2, 1)]
    return p.concat(1, parts), 3 if wrong else 1, True


def layers(p, rng):
    """One rotation in front of a loop, one in it and one in a branch, each with
    its own table of the same positions, or of the round."""
    head, pairs, attributes = channels(rng)
    wrong = bool(rng.integers(2))
    x = p.input([5, head], "f32")
    positions = p.positions([5])

    def rotated(x, positions):
        return p.apply(x, p.table(positions, p.frequencies(pairs)), [0], **attributes)

    y = rotated(x, positions)
    p.lines += [f"%c{n} = arith.constant {n} : index" for n in (0, 1, 3)]
    loop = p.add(f"scf.for %k = %c0 to %c3 step %c1 iter_args(%x = {y.name}) -> ({y.type}) {{")
    own = positions
    if wrong:
        own = Tensor(p.add("tensor.splat %k : tensor<5xindex>"), [5], "index", np.zeros(5, int))
    z = rotated(dataclasses.replace(y, name="%x"), own)
    p.lines.append(f"scf.yield {z.name} : {z.type}\n}}")
    for k in (1, 2):  # what the other rounds do
        table = reference.cos_sin(own.value + k * wrong, p.frequencies(pairs)[1])
        value, _, _ = reference.rotate(z.value, *table, [0], **attributes)
        z = dataclasses.replace(z, name=loop, value=value, error=2 * z.error)
    p.lines.append("%less = arith.cmpi ult, %c0, %c1 : index")
    branch = p.add(f"scf.if %less -> ({z.type}) {{")
    r = rotated(z, positions)
    p.lines.append(f"scf.yield {r.name} : {r.type}\n}} else {{\nscf.yield {z.name} : {z.type}\n}}")
    return dataclasses.replace(r, name=branch), {"rope.table ": 2 if wrong else 1, "rope.frequencies ": 1}, True


def spelled_positions(p, rng):
    """One table's positions, and the same in another spelling, or others."""
    head, pairs, attributes = channels(rng)
    n, element = pick(rng, 5, "S"), pick(rng, "i8", "i32")
    wrong = pick(rng, "", "", "", "truncated", "magnitude", "added")
    positions, f = p.positions([1, n], element, far=60), p.frequencies(pairs)
    precision = pick(rng, "exact", "f32")
    x = p.input([2, n, 3, head], pick(rng, "bf16", "f32"))
    y = p.collapse(positions, [[0, 1]])
    if wrong == "truncated":
        value = (y.value.astype(np.int64) + 8) % 16 - 8
        y = Tensor(p.add(f"arith.trunci {y.name} : {y.type} to {tensor(y.shape, 'i4')}"), y.shape, "i4", value)
    if wrong == "added":
        y = Tensor(p.add(f"arith.addi {y.name}, {y.name} : {y.type}"), y.shape, element, y.value + y.value)
    if wrong == "truncated" or rng.integers(2):
        wide = pick(rng, "i64", "index")
        op = "index_cast" if wide == "index" else "extsi"
        y = Tensor(p.add(f"arith.{op} {y.name} : {y.type} to {tensor(y.shape, wide)}"), y.shape, wide, y.value)
    dims = [1]
    if rng.integers(2):
        y, dims = p.repeat(y, 0, 2), [0, 1]
        if rng.integers(2):
            y, dims = p.transpose(y, [1, 0], bool(rng.integers(2))), [1, 0]
    first = p.apply(p.expand(x, [[0, 1], [2], [3], [4]], [1, 2, n, 3, head]), p.table(positions, f, precision=precision), [0, 2],
                    **attributes)  # fmt: skip
    table = p.table(y, f, magnitude=2.0 if wrong == "magnitude" else 1.0, precision=precision)
    second = p.apply(x, table, dims, **attributes)
    return p.sum(p.collapse(first, [[0, 1], [2], [3], [4]]), second), {"rope.table ": 2 if wrong else 1}, True


def common_shift(p, rng):
    """Positions of queries and keys that are all shifted, in one or two tables,
    in rotations or in attention, or not alike."""
    head = 2 * int(rng.integers(1, 6))
    wrong = pick(rng, *[""] * 4, "shift", "f32", "direction", "value")
    attributes = {"pairing": pick(rng, "half", "interleaved"), "transpose": bool(rng.integers(2))}
    q, k, v = (p.input([n, 2, head], "f32") for n in (3, 4, 4))
    f = p.frequencies(head // 2)
    shift, far = int(rng.integers(1, 10**6)), 10**6
    positions = [p.shifted(p.positions([n], far=far), shift + 77 * (wrong == "shift") * (n == 4)) for n in (3, 4)]
    precision = "f32" if wrong == "f32" else "exact"
    tables = [p.table(x, f, magnitude=pick(rng, 1.0, 0.5), precision=precision) for x in positions]
    other = {**attributes, "transpose": attributes["transpose"] != (wrong == "direction")}
    inside = [bool(rng.integers(2)) for _ in range(2)]
    texts = []
    sides = []
    for i, (x, side, table, kind) in enumerate(((q, "query", tables[0], attributes), (k, "key", tables[1], other))):
        before = len(p.lines)
        sides.append(p.apply(x, table, [0], **kind))
        if inside[i]:
            del p.lines[before:]
            sides[i].name = x.name
            texts.append(f"rotate_{side}({table[0].name}, {table[1].name} : {table[0].type}, {table[1].type}) by <pairing = "
                         f"{kind['pairing']}, position_dims = [0], transpose = {str(kind['transpose']).lower()}>")  # fmt: skip
    if wrong == "value":
        v = p.apply(v, tables[1], [0], **attributes)
    result = p.attention(*sides, v, " ".join(texts))
    return result, {"arith.addi ": 2 if wrong else 0, "rope.apply ": 2 - sum(inside) + (wrong == "value")}, bool(wrong)


def weights(p, rng):
    """Interleaved rotations of what constant weights project, for attention or
    written in halves; or only one of two, in other channels, by arguments."""
    head, pairs, attributes = channels(rng)
    attributes = {"offset": attributes["offset"], "pairing": "interleaved"}
    pairs, head = pairs + 1, head + 3
    wrong = pick(rng, "", "", "offset", "argument", "plain")
    halves = bool(rng.integers(2))
    x = p.input([5, 3], "f32")
    table = p.table(p.positions([5]), p.frequencies(pairs))
    sides = []
    for side in "qk":
        shape = [3, 2 * head]
        make = p.input if side == "k" and wrong == "argument" else p.constant
        y = p.project(x, make(shape, "f32"), p.constant([5, 2 * head], "f32"), 2)
        if side == "k" and wrong == "plain":
            sides.append(y)
            continue
        if side == "k" and wrong == "offset":
            attributes["offset"] += 1
        sides.append(p.apply(y, table, [0], **attributes, result_pairing="half" if halves else None))
    # Those written in halves need no other; the product needs two that agree.
    left = {"": 0, "plain": 0, "offset": 0, "argument": 1} if halves else {"": 0, "plain": 1, "offset": 2, "argument": 2}
    result = p.attention(*sides, p.input([5, 2, 4], "f32"))
    return result, {"#rope.pairing<interleaved>,": left[wrong]}, halves


RULES = [
    zero_positions, inverse, converted_inverse, two_positions, casts, repeated, sliced, joined_channels, met, unmoved,
    joined_heads, layers, spelled_positions, common_shift, weights,
]  # fmt: skip


def make_cases(count):
    for rule in RULES:
        for i in range(count):
            rng = np.random.default_rng([i, *rule.__name__.encode()])
            program = Program(f"{rule.__name__}_{i}", rng)
            result, rotations, exact = rule(program, rng)
            left = {"rope.apply ": rotations} if isinstance(rotations, int) else rotations
            yield Case(rule.__name__, program, result, left, exact)


def functions(text):
    """The text of each function."""
    return {part.split("(")[0]: part for part in re.split(r"func\.func @", text)[1:]}


def main():
    report = Report()
    cases = list(make_cases(12))
    text = "".join(case.program.text(case.result) for case in cases)
    texts = {
        "written": text,
        "canonicalized": run("rope-opt", "-", "--canonicalize", "--cse", stdin=text),
        "simplified": run("rope-opt", "-", "--rope-simplify", "--canonicalize", "--cse", stdin=text),
    }
    left = functions(texts["simplified"])
    # What is done is done: nothing is found the second time.
    again = run("rope-opt", "-", "--rope-simplify", "--canonicalize", "--cse", stdin=texts["simplified"])
    report.true("twice", again == texts["simplified"], "rope-simplify changes what it made")
    modules = {form: Module(t) for form, t in texts.items()}
    for case in cases:
        name = case.program.name
        found = {text: left[name].count(text) for text in case.left}
        report.true(name, found == case.left, f"{found} left, expected {case.left}")
        results = {}
        for form, module in modules.items():
            shape = numbers(case.result.shape)
            y = np.full(shape, 7, reference.NUMPY[case.result.element])
            module.call(name, *case.program.arrays, y)
            results[form] = y
            report.close(f"{case.kind} {form}", name, y, case.result.value, case.result.error)
        if case.exact:
            for form in ("canonicalized", "simplified"):
                report.same_bits(f"{name} {form}", results[form], results["written"])
    report.finish()


if __name__ == "__main__":
    in_child(main)

#!/usr/bin/env python3
# Time to find the rotations of an exported model.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs `rope-opt --rope-raise` and `--rope-optimize` on Llama decoders of 1, 10
and 80 layers, spelled in linalg as PyTorch's exporters do, and prints the time
of the passes alone, without parsing and printing, and how it grows: the time for
each layer beside that of one.

  benchmarks/raise.py [rope-opt] [--print=LAYERS] [MODEL ...]

MODELs are static and dynamic sizes, and static-cached and dynamic-cached, whose
tables are rows of a constant of 8192 positions. Exits with 1 where a rotation
is not raised, where 80 layers take more than 5 s to raise, or where they take
more than twice as long for each layer as one does. With --print it prints a
module.
"""

import json
import subprocess
import sys
from array import array
from math import cos, sin

COUNTS = [1, 10, 80]
LIMIT_SECONDS = 5.0
# Quadratic growth would be 80.
LIMIT_GROWTH = 2.0
REPEATS = 3

HIDDEN, MLP, HEADS, KEY_HEADS, CHANNELS = 4096, 14336, 32, 8, 128
VOCABULARY, POSITIONS, BASE = 128256, 8192, 5.0e5
# Static sizes: sequences and tokens.
STATIC = {"B": 2, "S": 512, "H": 2 * HEADS}


class Function:
    """A function on tensors, of f32 where nothing else is said. Shapes are
    numbers and the names B, S and H: sequences, tokens, heads of all sequences."""

    def __init__(self, dynamic):
        self.dynamic = dynamic
        self.lines, self.arguments, self.resources = [], [], {}
        self.types, self.shared, self.names = {}, {}, 0
        if dynamic:
            self.lines += ["%H = arith.muli %B, %heads : index"]

    def type(self, shape, element="f32"):
        known = {} if self.dynamic else STATIC
        sizes = [n if isinstance(n, int) else known.get(n, "?") for n in shape]
        return f"tensor<{''.join(f'{n}x' for n in sizes)}{element}>"

    def sizes(self, shape):
        return ", ".join(f"%{n}" if n in STATIC and self.dynamic else str(STATIC.get(n, n)) for n in shape)

    def name(self, shape, element):
        self.names += 1
        name = f"%v{self.names}"
        self.types[name] = shape, element
        return name

    def add(self, text, shape, element="f32"):
        """Appends an operation, where $ stands for the type of the result."""
        name = self.name(shape, element)
        self.lines.append(f"{name} = {text.replace('$', self.type(shape, element))}")
        return name

    def typed(self, *values):
        return f"{', '.join(values)} : {', '.join(self.type(*self.types[x]) for x in values)}"

    def argument(self, *shape, element="f32"):
        name = self.name(shape, element)
        self.arguments.append(f"{name}: {self.type(shape, element)}")
        return name

    def constant(self, label, numbers, *shape):
        self.resources[label] = "0x04000000" + array("f", numbers).tobytes().hex().upper()
        return self.add(f"arith.constant dense_resource<{label}> : $", shape)

    def once(self, text, shape, element):
        """Destinations are shared by all that can use them."""
        key = text, shape, element
        if key not in self.shared:
            self.shared[key] = self.add(text, shape, element)
        return self.shared[key]

    def empty(self, shape, element="f32"):
        dynamic = [n for n in shape if n in STATIC] if self.dynamic else []
        return self.once(f"tensor.empty({self.sizes(dynamic)}) : $", shape, element)

    def fill(self, shape, value="%zero", element="f32"):
        return self.once(f"linalg.fill ins({value} : {element}) outs({self.typed(self.empty(shape, element))}) -> $", shape, element)

    def generic(self, body, shape, *inputs, element="f32", init=None, reduced=None):
        """`inputs` are values or pairs of them and their map, if that is not the
        identity. `body`, operations with ; between them, reads elements %a, %b
        and %out; it copies %a if it is empty. Sums go over loop `reduced`."""
        inputs = [x if isinstance(x, tuple) else (x, None) for x in inputs]
        rank = len(shape)
        loops = ", ".join(f"d{i}" for i in range(rank))
        to = ", ".join("0" if i == reduced else f"d{i}" for i in range(rank))
        maps = ", ".join(f"affine_map<({loops}) -> ({m})>" for m in [*(m or loops for _, m in inputs), to])
        kinds = ", ".join('"reduction"' if i == reduced else '"parallel"' for i in range(rank))
        shape = tuple(1 if i == reduced else n for i, n in enumerate(shape))
        elements = [f"%{x}: {self.types[value][1]}" for x, (value, _) in zip("ab", inputs)]
        *before, result = body.split("; ")
        lines = [*before, f"%r = {result}", f"linalg.yield %r : {element}"] if body else [f"linalg.yield %a : {element}"]
        return self.add("\n".join([
            f"linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} "
            f"ins({self.typed(*(value for value, _ in inputs))}) outs({self.typed(init or self.empty(shape, element))}) {{",
            f"^bb0({', '.join([*elements, f'%out: {element}'])}):", *lines, "} -> $"]), shape, element)  # fmt: skip

    def transpose(self, x, *order):
        shape = tuple(self.types[x][0][i] for i in order)
        return self.add(f"linalg.transpose ins({self.typed(x)}) outs({self.typed(self.empty(shape))}) permutation = {list(order)}\n", shape)

    def expand(self, x, groups, *shape):
        element = self.types[x][1]
        return self.add(f"tensor.expand_shape {x} {groups} output_shape [{self.sizes(shape)}] : {self.type(*self.types[x])} into $", shape, element)

    def collapse(self, x, groups, *shape):
        return self.add(f"tensor.collapse_shape {x} {groups} : {self.type(*self.types[x])} into $", shape)

    def reshape(self, x, groups, *shape):
        """A reshape that exporters spell by a shape tensor if sizes are dynamic."""
        expands = len(shape) > len(self.types[x][0])
        if not self.dynamic:
            return (self.expand if expands else self.collapse)(x, groups, *shape)
        sizes = ", ".join(f"%{n}_i64" if n in STATIC else f"%c{n}" for n in shape)
        to = self.add(f"tensor.from_elements {sizes} : $", (len(shape),), "i64")
        return self.add(f"tensor.reshape {x}({to}) : ({self.type(*self.types[x])}, {self.type(*self.types[to])}) -> $", shape)

    def concat(self, dim, shape, *values):
        return self.add(f"tensor.concat dim({dim}) {', '.join(values)} : ({', '.join(self.type(*self.types[x]) for x in values)}) -> $", shape)

    def batch_matmul(self, x, y):
        shape = (*self.types[x][0][:2], self.types[y][0][2])
        return self.add(f"linalg.batch_matmul ins({self.typed(x, y)}) outs({self.typed(self.fill(shape))}) -> $", shape)

    # What models are made of.

    def project(self, x, outputs):
        """x W^T, with W broadcast to each sequence."""
        inputs = self.types[x][0][2]
        weight = self.transpose(self.argument(outputs, inputs), 1, 0)
        return self.batch_matmul(x, self.generic("", ("B", inputs, outputs), (weight, "d1, d2")))

    def normalize(self, x):
        shape, row = ("B", "S", HIDDEN), ("B", "S", 1)
        weight = self.argument(HIDDEN)
        squares = self.generic("math.fpowi %a, %two : f32, i64", shape, x)
        sums = self.generic("arith.addf %a, %out : f32", shape, squares, init=self.fill(row), reduced=2)
        mean = self.generic("arith.divf %a, %width : f32", row, sums)
        mean = self.generic("%e = arith.truncf %epsilon : f64 to f32; arith.addf %a, %e : f32", row, mean)
        root = self.generic("math.rsqrt %a : f32", row, mean)
        y = self.generic("arith.mulf %a, %b : f32", shape, x, (root, "d0, d1, 0"))
        return self.generic("arith.mulf %a, %b : f32", shape, (weight, "d2"), y)

    def heads(self, x, heads):
        x = self.reshape(x, [[0], [1], [2, 3]], "B", "S", heads, CHANNELS)
        return self.transpose(x, 0, 2, 1, 3)

    def rotate(self, x, cosine, sine):
        heads, half = self.types[x][0][1], CHANNELS // 2
        shape, part = ("B", heads, "S", CHANNELS), ("B", heads, "S", half)
        cosines = self.generic("arith.mulf %a, %b : f32", shape, x, (cosine, "d0, 0, d2, d3"))
        first, second = (
            self.add(f"tensor.extract_slice {x}[0, 0, 0, {start}] [{self.sizes(part)}] [1, 1, 1, 1] : {self.type(shape)} to $", part)
            for start in (0, half))  # fmt: skip
        negated = self.generic("arith.negf %a : f32", part, second)
        turned = self.concat(3, shape, negated, first)
        init = None
        if self.dynamic:
            # Sizes that are those of what goes away.
            b, s = (self.add(f"tensor.dim {negated}, %{i} : {self.type(part)}", (), "index") for i in ("i0", "i2"))
            init = self.add(f"tensor.empty({b}, {s}) : $", shape)
        sines = self.generic("arith.mulf %a, %b : f32", shape, turned, (sine, "d0, 0, d2, d3"), init=init)
        return self.generic("arith.addf %a, %b : f32", shape, cosines, sines)

    def repeat(self, x):
        group = HEADS // KEY_HEADS
        x = self.generic("", ("B", KEY_HEADS, group, "S", CHANNELS), (x, "d0, d1, d3, d4"))
        return self.reshape(x, [[0], [1, 2], [3], [4]], "B", HEADS, "S", CHANNELS)

    def attend(self, q, k, v, mask):
        k, v = self.transpose(self.repeat(k), 0, 1, 3, 2), self.repeat(v)
        groups, shape, row = [[0, 1], [2], [3]], ("B", HEADS, "S", "S"), ("B", HEADS, "S", 1)
        scores = self.batch_matmul(self.collapse(q, groups, "H", "S", CHANNELS), self.collapse(k, groups, "H", CHANNELS, "S"))
        scores = self.expand(scores, groups, *shape)
        scores = self.generic("arith.mulf %a, %scale : f32", shape, scores)
        scores = self.generic("arith.addf %a, %b : f32", shape, scores, (mask, "d0, 0, d2, d3"))
        top = self.generic("arith.maximumf %a, %out : f32", shape, scores, init=self.fill(row, "%lowest"), reduced=3)
        weights = self.generic("arith.subf %a, %b : f32", shape, scores, (top, "d0, d1, d2, 0"))
        weights = self.generic("math.exp %a : f32", shape, weights)
        sums = self.generic("arith.addf %a, %out : f32", shape, weights, init=self.fill(row), reduced=3)
        weights = self.generic("arith.divf %a, %b : f32", shape, weights, (sums, "d0, d1, d2, 0"))
        y = self.batch_matmul(self.collapse(weights, groups, "H", "S", "S"), self.collapse(v, groups, "H", "S", CHANNELS))
        y = self.transpose(self.expand(y, groups, "B", HEADS, "S", CHANNELS), 0, 2, 1, 3)
        return self.reshape(y, [[0], [1], [2, 3]], "B", "S", HIDDEN)

    def layer(self, x, cosine, sine, mask):
        shape, wide = ("B", "S", HIDDEN), ("B", "S", MLP)
        y = self.normalize(x)
        q, k, v = (self.heads(self.project(y, heads * CHANNELS), heads) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
        y = self.attend(self.rotate(q, cosine, sine), self.rotate(k, cosine, sine), v, mask)
        x = self.generic("arith.addf %a, %b : f32", shape, x, self.project(y, HIDDEN))
        y = self.normalize(x)
        gate = self.project(y, MLP)
        sigmoid = self.generic("%n = arith.negf %a : f32; %e = math.exp %n : f32; %s = arith.addf %e, %one : f32; arith.divf %one, %s : f32", wide, gate)
        gate = self.generic("arith.mulf %a, %b : f32", wide, sigmoid, gate)
        y = self.generic("arith.mulf %a, %b : f32", wide, gate, self.project(y, MLP))
        return self.generic("arith.addf %a, %b : f32", shape, x, self.project(y, HIDDEN))

    def look_up(self, table, rows, indices):
        width = self.types[table][0][1]
        return self.generic(
            f"%i = arith.index_cast %a : i64 to index; %j = linalg.index 2 : index; "
            f"%below = arith.cmpi slt, %i, %n{rows} : index; cf.assert %below, \"index must be smaller than dim size\"; "
            f"%above = arith.cmpi sge, %a, %c0 : i64; cf.assert %above, \"index must be larger or equal to 0\"; "
            f"tensor.extract {table}[%i, %j] : {self.type(*self.types[table])}", ("B", "S", width), (indices, "d0, d1"))  # fmt: skip

    def tables(self, positions, cached):
        half = CHANNELS // 2
        frequencies = array("f", (BASE ** (-i / half) for i in range(half)))
        shape = ("B", "S", CHANNELS)
        if cached:
            angles = [array("f", (p * w for w in frequencies)) * 2 for p in range(POSITIONS)]
            made = [
                self.look_up(self.constant(f.__name__, (f(a) for row in angles for a in row), POSITIONS, CHANNELS), POSITIONS, positions)
                for f in (cos, sin)]  # fmt: skip
        else:
            column = self.expand(positions, [[0], [1, 2]], "B", "S", 1)
            column = self.generic("arith.sitofp %a : i64 to f32", ("B", "S", 1), column)
            row = self.constant("frequencies", frequencies, half)
            angles = self.generic("arith.mulf %a, %b : f32", ("B", "S", half), (column, "d0, d1, 0"), (row, "d2"))
            angles = self.concat(2, shape, angles, angles)
            made = [self.generic(f"math.{f} %a : f32", shape, angles) for f in ("cos", "sin")]
        return [self.expand(x, [[0], [1, 2], [3]], "B", 1, "S", CHANNELS) for x in made]


def module(model, layers):
    f = Function(dynamic="dynamic" in model)
    tokens = f.argument("B", "S", element="i64")
    positions = f.argument("B", "S", element="i64")
    x = f.look_up(f.argument(VOCABULARY, HIDDEN), VOCABULARY, tokens)
    square = ("B", 1, "S", "S")
    row, column = f.expand(positions, [[0], [1, 2, 3]], "B", 1, "S", 1), f.expand(positions, [[0], [1, 2, 3]], "B", 1, 1, "S")
    visible = f.generic("arith.cmpi sge, %a, %b : i64", square, (row, "d0, d1, d2, 0"), (column, "d0, d1, 0, d3"), element="i1")
    mask = f.generic("arith.select %a, %zero, %hidden : f32", square, visible)
    cosine, sine = f.tables(positions, "cached" in model)
    for _ in range(layers):
        x = f.layer(x, cosine, sine, mask)
    x = f.normalize(x)
    sizes = [n for n in ("B", "S") if f.dynamic]
    constants = [
        *(f"%n{n} = arith.constant {n} : index" for n in (VOCABULARY, POSITIONS)),
        *(f"%i{n} = arith.constant {n} : index" for n in range(3)),
        *(f"%c{n} = arith.constant {n} : i64" for n in (0, HEADS, KEY_HEADS, HEADS // KEY_HEADS, CHANNELS, HIDDEN)),
        f"%heads = arith.constant {HEADS} : index",
        "%two = arith.constant 2 : i64",
        "%zero = arith.constant 0.0 : f32",
        "%one = arith.constant 1.0 : f32",
        "%lowest = arith.constant 0xFF800000 : f32",
        "%hidden = arith.constant -1.0e9 : f32",
        "%epsilon = arith.constant 1.0e-6 : f64",
        f"%width = arith.constant {HIDDEN}.0 : f32",
        f"%scale = arith.constant {CHANNELS ** -0.5} : f32",
        *(f"%{n} = tensor.dim {positions}, %i{i} : {f.type(('B', 'S'), 'i64')}" for i, n in enumerate(sizes)),
        *(f"%{n}_i64 = arith.index_cast %{n} : index to i64" for n in sizes),
    ]
    result = f.type(*f.types[x])
    resources = ", ".join(f'{label}: "{blob}"' for label, blob in f.resources.items())
    return "\n".join([
        f"func.func @main({', '.join(f.arguments)}) -> {result} {{", *constants, *f.lines, f"return {x} : {result}", "}",
        f"{{-# dialect_resources: {{builtin: {{{resources}}}}} #-}}"])  # fmt: skip


def seconds(rope_opt, text, passes):
    """Of the passes, the shortest of a few runs."""
    times = []
    for _ in range(REPEATS):
        done = subprocess.run(
            [rope_opt, passes, "--mlir-disable-threading", "--mlir-timing", "--mlir-output-format=json", "-o", "/dev/null"],
            input=text, capture_output=True, check=True, text=True)  # fmt: skip
        others = "Parser", "Output", "Rest", "Total"
        times.append(sum(x["wall"]["duration"] for x in json.loads(done.stderr) if x["name"] not in others))
    return min(times)


def main():
    options = [x for x in sys.argv[1:] if x.startswith("--print=")]
    names = [x for x in sys.argv[1:] if x not in options]
    models = ["static", "dynamic", "static-cached", "dynamic-cached"]
    chosen = [x for x in names if x in models] or models
    rope_opt = next((x for x in names if x not in models), "rope-opt")
    if options:
        return print(module(chosen[0], int(options[0].split("=")[1])))
    print(f"{'':15} {'':6} {'--rope-raise':>28}   {'--rope-optimize':>28}")
    print(f"{'model':15} {'layers':>6}" + 2 * f" {'seconds':>8} {'ms each':>9} {'growth':>9}  ")
    failed = False
    for model in chosen:
        first = {}
        for count in COUNTS:
            text = module(model, count)
            raised = subprocess.run([rope_opt, "--rope-raise"], input=text, capture_output=True, check=True, text=True).stdout
            found = raised.count("rope.apply"), raised.count("rope.table")
            if found != (2 * count, 1):
                print(f"{model} of {count} layers: {found[0]} rotations, {found[1]} tables")
                failed = True
            row = f"{model:15} {count:6}"
            for passes in ("--rope-raise", "--rope-optimize"):
                total = seconds(rope_opt, text, passes)
                each = total / count
                growth = each / first.setdefault(passes, each)
                row += f" {total:8.3f} {1000 * each:9.2f} {growth:9.2f}  "
                if passes == "--rope-raise":
                    failed |= total > LIMIT_SECONDS or growth > LIMIT_GROWTH
            print(row, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

# rope.apply, a cast or a quantisation, and the write into a cache, before and
# after rope-fuse-cache-append.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import functools
import itertools
import re
from dataclasses import dataclass

import numpy as np
from rope_testing import formulas, reference
from rope_testing.compare import Report
from rope_testing.memory import guarded_copy, in_child, note
from rope_testing.runner import Module, run

CAPACITY = 400
PAGE = 16
SIZES = [0, 1, 2, 5, 63, 64, 65, 333]
STATIC_SCALE = 0.03125
FUSE = "--pass-pipeline=builtin.module(func.func(rope-fuse-cache-append))"


@functools.lru_cache
def tables(pairs):
    """Cosine and sine of each position in the cache."""
    frequencies = [float(w) for w in formulas.geometric(1e4, 2 * pairs)]
    return reference.cos_sin(np.arange(CAPACITY), frequencies)


@dataclass
class Case:
    """`form` is insert, pages or slots (scatters), or loop. `stored` is a float
    type, or i8 with how its scales are made: of all (tensor), given for each
    head (head), or found from each head of each token (row)."""

    name: str
    form: str
    heads: int
    size: int
    dtype: str = "f32"
    stored: str = "f32"
    scales: str = None
    heads_first: bool = False
    own_table: bool = False

    @property
    def runs_unfused(self):
        return self.form in ("insert", "loop")

    def ir(self):
        h, d, n = self.heads, self.size, self.size // 2
        order = ["?", h, "?"] if self.heads_first else ["?", "?", h]
        token, head = (2, 1) if self.heads_first else (1, 2)

        def tensor(sizes, element):
            return f"tensor<{''.join(f'{s}x' for s in sizes)}{element}>"

        x, y = tensor([*order, d], self.dtype), tensor([*order, d], self.stored)
        w = tensor(order, "f32")
        outer = {"insert": order, "slots": ["?", h]}.get(self.form, ["?", PAGE, h])
        cache, cache_scales = tensor([*outer, d], self.stored), tensor(outer, "f32")
        arguments = {"x": x}
        if self.own_table:
            arguments["p"] = "tensor<?xi64>"
        else:
            arguments |= {"c": f"tensor<?x{n}xf32>", "s": f"tensor<?x{n}xf32>"}
        if self.scales == "head":
            arguments["scales"] = f"tensor<{h}xf32>"
        if self.form != "insert":
            index = {"pages": "?x?x2xi32", "slots": "?x?x1xi64", "loop": "?x?xindex"}
            arguments["index"] = f"tensor<{index[self.form]}>"
        written = {"cache": cache}
        if self.scales == "row":
            written["kept"] = cache_scales
        arguments |= written

        def memref(type):
            return type.replace("tensor", "memref")

        text = ", ".join(f"%{name}_m: {memref(type)}" for name, type in arguments.items())
        lines = [f"func.func @{self.name}({text}, %pos: index) {{"]
        for name, type in arguments.items():
            how = "restrict writable" if name in written else "restrict"
            lines.append(
                f"%{name} = bufferization.to_tensor %{name}_m {how} : {memref(type)} to {type}"
            )
        lines += [
            *(f"%i{i} = arith.constant {i} : index" for i in (0, 1, 2, PAGE)),
            f"%b = tensor.dim %x, %i0 : {x}",
            f"%n = tensor.dim %x, %i{token} : {x}",
        ]
        if self.own_table:
            t = f"tensor<?x{n}xf32>"
            lines += [
                f"%f = rope.frequencies base(1.0e+04) : tensor<{n}xf64>",
                f"%te = tensor.empty(%n) : {t}",
                f"%c, %s = rope.table ins(%p, %f : tensor<?xi64>, tensor<{n}xf64>) "
                f"outs(%te, %te : {t}, {t})",
            ]
        lines += [
            f"%xe = tensor.empty(%b, %n) : {x}",
            f"%y = rope.apply ins(%x, %c, %s : {x}, tensor<?x{n}xf32>, tensor<?x{n}xf32>) "
            f"outs(%xe : {x}) "
            f"{{pairing = #rope.pairing<half>, position_dims = array<i64: {token}>}}",
            *self._convert(x, y, w, head),
        ]
        rows = [("q", y, cache, "cache", [d])]
        if self.scales == "row":
            rows.append(("scale", w, cache_scales, "kept", []))
        lines += self._loop(rows) if self.form == "loop" else self._write(rows)
        for name, type in written.items():
            lines.append(
                f"bufferization.materialize_in_destination %{name}_r in restrict writable "
                f"%{name}_m : ({type}, {memref(type)}) -> ()"
            )
        return "\n".join([*lines, "return\n}\n"])

    def _convert(self, x, y, w, head):
        """%q of type `y`, and %scale of type `w`, from %y of type `x`."""
        if self.stored == self.dtype:
            return []
        if not self.scales:
            op = "extf" if self.stored == "f32" else "truncf"
            return [f"%q = arith.{op} %y : {x} to {y}"]
        row = "affine_map<(i, j, k, l) -> (i, j, k, l)>"
        of_head = "affine_map<(i, j, k, l) -> (i, j, k)>"
        scale_map, scale_type = of_head, w
        parallel = '"parallel", "parallel", "parallel"'
        lines = [
            "%max = arith.constant 127.0 : f32\n%min = arith.constant -127.0 : f32",
            "%zero = arith.constant 0.0 : f32\n%tiny = arith.constant 1.0e-30 : f32",
        ]
        if self.scales == "row":
            lines += [
                f"%we = tensor.empty(%b, %n) : {w}",
                f"%wz = linalg.fill ins(%zero : f32) outs(%we : {w}) -> {w}",
                f"%amax = linalg.generic {{indexing_maps = [{row}, {of_head}], "
                f'iterator_types = [{parallel}, "reduction"]}} ins(%y : {x}) outs(%wz : {w}) {{',
                "^bb0(%v: f32, %m: f32):",
                "%a = math.absf %v : f32",
                "%r = arith.maximumf %a, %m : f32",
                f"linalg.yield %r : f32\n}} -> {w}",
                f"%scale = linalg.map ins(%amax : {w}) outs(%we : {w}) (%m: f32, %o: f32) {{",
                "%a = arith.divf %m, %max : f32",
                "%r = arith.maximumf %a, %tiny : f32",
                "linalg.yield %r : f32\n}",
            ]
        elif self.scales == "head":
            scale_map = f"affine_map<(i, j, k, l) -> ({'ijk'[head]})>"
            scale_type = f"tensor<{self.heads}xf32>"
            lines.append(f"%scale = tensor.cast %scales : {scale_type} to {scale_type}")
        else:
            scale_map, scale_type = "affine_map<(i, j, k, l) -> ()>", "f32"
            lines.append(f"%scale = arith.constant {STATIC_SCALE} : f32")
        return [
            *lines,
            f"%qe = tensor.empty(%b, %n) : {y}",
            f"%q = linalg.generic {{indexing_maps = [{row}, {scale_map}, {row}], "
            f'iterator_types = [{parallel}, "parallel"]}} '
            f"ins(%y, %scale : {x}, {scale_type}) outs(%qe : {y}) {{",
            "^bb0(%v: f32, %m: f32, %o: i8):",
            "%a = arith.divf %v, %m : f32",
            "%r = math.roundeven %a : f32",
            "%l = arith.minimumf %r, %max : f32",
            "%k = arith.maximumf %l, %min : f32",
            "%i = arith.fptosi %k : f32 to i8",
            f"linalg.yield %i : i8\n}} -> {y}",
        ]

    def _value(self, value):
        return "y" if value == "q" and self.stored == self.dtype else value

    def _write(self, rows):
        lines = []
        for value, type, cache_type, cache, inner in rows:
            source = self._value(value)
            if self.form == "insert":
                zeros = ["0"] * len(inner)
                sizes, starts = ["%b", "%n", self.heads], ["0", "%pos", "0"]
                if self.heads_first:
                    sizes, starts = ["%b", self.heads, "%n"], ["0", "0", "%pos"]
                lines.append(
                    f"%{cache}_r = tensor.insert_slice %{source} into %{cache}"
                    f"[{', '.join(starts + zeros)}] [{', '.join(map(str, sizes + inner))}] "
                    f"[{', '.join(['1'] * (3 + len(inner)))}] : {type} into {cache_type}"
                )
                continue
            dims, index = ("[0, 1]", "?x?x2xi32") if self.form == "pages" else ("[0]", "?x?x1xi64")
            lines.append(
                f"%{cache}_r = tensor.scatter %{source} into %{cache}[%index] "
                f"scatter_dims({dims}) unique : "
                f"({type}, {cache_type}, tensor<{index}>) -> {cache_type}"
            )
        return lines

    def _loop(self, rows):
        types = ", ".join(row[2] for row in rows)
        lines = []
        for level, (end, variable) in enumerate((("%b", "i"), ("%n", "t"))):
            outer = [f"%{row[3]}{level - 1 if level else ''}" for row in rows]
            begin = ", ".join(f"%{row[3]}{level} = {o}" for row, o in zip(rows, outer))
            count = f":{len(rows)}" if len(rows) > 1 else ""
            lines.append(
                f"%l{level}{count} = scf.for %{variable} = %i0 to {end} step %i1 "
                f"iter_args({begin}) -> ({types}) {{"
            )
        lines += [
            "%at = arith.addi %t, %pos : index",
            f"%block = arith.divui %at, %i{PAGE} : index",
            f"%slot = arith.remui %at, %i{PAGE} : index",
            "%page = tensor.extract %index[%i, %block] : tensor<?x?xindex>",
        ]
        for value, type, cache_type, cache, inner in rows:
            element = type[type.rindex("x") + 1 : -1]
            row = f"tensor<{''.join(f'{n}x' for n in [self.heads, *inner])}{element}>"
            zeros, ones = "".join(", 0" for _ in inner), "".join(", 1" for _ in inner)
            sizes = "".join(f", {n}" for n in [self.heads, *inner])
            lines += [
                f"%{value}_row = tensor.extract_slice %{self._value(value)}[%i, %t, 0{zeros}] "
                f"[1, 1{sizes}] [1, 1, 1{ones}] : {type} to {row}",
                f"%{cache}_w = tensor.insert_slice %{value}_row into "
                f"%{cache}1[%page, %slot, 0{zeros}] [1, 1{sizes}] [1, 1, 1{ones}] : "
                f"{row} into {cache_type}",
            ]
        lines.append(f"scf.yield {', '.join(f'%{row[3]}_w' for row in rows)} : {types}\n}}")
        results = [f"%l1#{i}" if len(rows) > 1 else "%l1" for i in range(len(rows))]
        lines.append(f"scf.yield {', '.join(results)} : {types}\n}}")
        for i, row in enumerate(rows):
            result = f"%l0#{i}" if len(rows) > 1 else "%l0"
            lines.append(f"%{row[3]}_r = tensor.cast {result} : {row[2]} to {row[2]}")
        return lines

    def _places(self, batch, tokens, pos, rng):
        """The index argument, and where in the caches each row goes."""
        b, t = np.indices((batch, tokens))
        if self.form == "insert":
            if self.heads_first:
                return None, (b[..., None], np.arange(self.heads), (t + pos)[..., None])
            return None, (b, t + pos)
        if self.form == "slots":
            slots = rng.permutation(batch * CAPACITY)[: batch * tokens].reshape(batch, tokens)
            return slots[..., None].astype("i8"), (slots,)
        blocks = rng.permutation(batch * CAPACITY // PAGE).reshape(batch, CAPACITY // PAGE)
        page, slot = blocks[b, (t + pos) // PAGE], (t + pos) % PAGE
        if self.form == "loop":
            return blocks.astype("i8"), (page, slot)
        return np.stack([page, slot], -1).astype("i4"), (page, slot)

    def check(self, modules, report, batch, tokens, pos, rng):
        name = f"{self}, batch {batch}, {tokens} tokens at {pos}"
        note(name)
        h, d = self.heads, self.size
        shape = (batch, h, tokens, d) if self.heads_first else (batch, tokens, h, d)
        x = rng.standard_normal(shape).astype(reference.NUMPY[self.dtype])
        cos, sin = (table[pos : pos + tokens] for table in tables(d // 2))
        arguments = [x]
        if self.own_table:
            arguments.append(np.arange(pos, pos + tokens, dtype="i8"))
        else:
            cos, sin = cos.astype("f4"), sin.astype("f4")
            arguments += [cos, sin]
        given = rng.uniform(0.01, 0.05, h).astype("f4")
        if self.scales == "head":
            arguments.append(given)
        index, places = self._places(batch, tokens, pos, rng)
        if index is not None:
            arguments.append(index)
        outer = {
            "insert": (batch, h, CAPACITY) if self.heads_first else (batch, CAPACITY, h),
            "slots": (batch * CAPACITY, h),
        }.get(self.form, (batch * CAPACITY // PAGE, PAGE, h))
        dtype = reference.NUMPY[self.stored]
        bits = np.dtype(f"u{dtype.itemsize}")
        caches = [rng.integers(1, 100, (*outer, d)).astype(bits).view(dtype)]
        if self.scales == "row":
            caches.append(rng.standard_normal(outer).astype("f4"))

        y, size, _ = reference.rotate(x, cos, sin, (2 if self.heads_first else 1,))
        bound = size * (2.0**-22 + (3e-7 if self.own_table else 0))
        if self.heads_first:
            y, bound = y.transpose(0, 2, 1, 3), bound.transpose(0, 2, 1, 3)
        results = []
        for module in modules:
            placed = [guarded_copy(a) for a in (*arguments, *caches)]
            module.call(self.name, *placed, pos)
            for now, then in zip(placed, arguments):
                report.same_bits(f"inputs, {name}", np.array(now), np.ascontiguousarray(then))
            got = [np.array(cache) for cache in placed[len(arguments) :]]
            results.append(got)
            rows = [cache[places] for cache in got]
            self._check_rows(report, name, rows, y, bound, given)
            # Nothing else in the caches changed.
            for cache, before in zip(got, caches):
                rest = cache.copy()
                rest[places] = before[places]
                report.same_bits(f"rest of the cache, {name}", rest, before)
        for fused, unfused in zip(*results) if len(results) == 2 else ():
            report.same_bits(f"fused and unfused, {name}", fused, unfused)

    def _check_rows(self, report, name, rows, y, bound, given):
        kind = f"{self.stored} {self.scales or ''}"
        if not self.scales:
            if self.dtype == "bf16":
                bound = bound + reference.half_ulp(y, reference.BF16)
            if self.stored in ("f16", "bf16") and self.dtype == "f32":
                bound = bound + reference.half_ulp(y, reference.NUMPY[self.stored])
            return report.close(kind, name, rows[0], y, bound)
        scale = STATIC_SCALE
        if self.scales == "head":
            scale = given.astype("f8")[:, None]
        elif self.scales == "row":
            expected = np.abs(y).max(-1, initial=0) / 127
            limit = bound.max(-1, initial=0) / 127 + expected * 2.0**-23
            report.close(f"scale {kind}", name, rows[1], expected, limit)
            scale = rows[1].astype("f8")[..., None]
        # The nearest integer, where no rounding before it crosses a tie.
        exact = np.clip(y / scale, -127, 127)
        limit = 0.5 + bound / scale + np.abs(exact) * 2.0**-23
        return report.close(kind, name, rows[0].astype("f8"), exact, limit)


def cases():
    kinds = [
        ("f32", "f32", None), ("f32", "bf16", None), ("f32", "f16", None), ("bf16", "f32", None),
        ("bf16", "bf16", None), ("f32", "i8", "tensor"), ("f32", "i8", "head"), ("f32", "i8", "row"),
    ]  # fmt: skip
    shapes = [(1, 128), (4, 64), (3, 80), (2, 256), (5, 32)]
    forms = ["insert", "first", "pages", "slots", "loop"]
    for i, (form, (dtype, stored, scales)) in enumerate(itertools.product(forms, kinds)):
        heads, size = shapes[i % len(shapes)]
        yield Case(
            f"f{i}", "insert" if form == "first" else form, heads, size, dtype,
            stored, scales, heads_first=form == "first", own_table=i % 3 == 0,
        )  # fmt: skip


def main():
    report = Report()
    everything = list(cases())
    text = "".join(case.ir() for case in everything)
    fused_text = run("rope-opt", "-", FUSE, stdin=text)
    # Only rows are left, and nothing that has no lowering.
    report.true("fused", not re.search(r"rope\.apply[^:]*: tensor<\S*\?", fused_text), fused_text)
    report.true("scatters", "tensor.scatter" not in fused_text, fused_text)
    fused = Module(fused_text)
    unfused = Module("".join(case.ir() for case in everything if case.runs_unfused))
    for i, case in enumerate(everything):
        modules = [fused, unfused] if case.runs_unfused else [fused]
        for tokens in SIZES:
            rng = np.random.default_rng([i, tokens])
            batch = int(rng.integers(1, 4))
            places = {0, (CAPACITY - tokens) // 2, CAPACITY - tokens}
            for pos in places if tokens < 10 else [rng.choice(sorted(places))]:
                case.check(modules, report, batch, tokens, int(pos), rng)
    report.finish()


if __name__ == "__main__":
    in_child(main)

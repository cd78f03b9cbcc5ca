# Projections that are rotated, before and after rope-fuse-projection.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import re

import numpy as np
from rope_testing import formulas, reference
from rope_testing.applies import place
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module, run

ROWS = [0, 1, 2, 5, 63, 64, 65, 333]
MODEL = 40
BASE = 1e4
EPSILON = 1.0e-5


def generic(maps, reductions, inputs, init, types, result, body):
    """linalg.generic of values and their types; `body` names them %i0 .. %o."""
    loops = max(maps, key=len)
    kinds = ", ".join(f'"{"reduction" if c in reductions else "parallel"}"' for c in loops)
    text = ", ".join(f"affine_map<({', '.join(loops)}) -> ({', '.join(m)})>" for m in maps)
    arguments = ", ".join(
        f"%{'o' if i == len(inputs) else f'i{i}'}: {re.split('[<x>]', t)[-2]}"
        for i, t in enumerate([*types, result])
    )
    return (
        f"linalg.generic {{indexing_maps = [{text}], iterator_types = [{kinds}]}} "
        f"ins({', '.join(inputs)} : {', '.join(types)}) outs({init} : {result}) {{\n"
        f"^bb0({arguments}):\n{body}\n}} -> {result}\n"
    )


def element(line, kind):
    return f"%t = {line}\nlinalg.yield %t : {kind}"


def apply(result, operand, x, t, dim):
    return (
        f"%{result} = rope.apply ins(%{operand}, %c, %s : {x}, {t}, {t}) outs(%e{result} : {x}) "
        f"{{pairing = #rope.pairing<half>, position_dims = array<i64: {dim}>}}\n"
    )


class Plain:
    """Tokens x weights, then heads."""

    heads, head = 3, 64
    batch = None

    def __init__(self, name, dtype, table=False):
        self.name, self.dtype, self.table = name, dtype, table

    def weights(self):
        return {"w": (MODEL, self.heads * self.head)}

    @property
    def outer(self):
        return () if self.batch is None else (self.batch,)

    def tensor(self, *shape, dtype=None):
        return f"tensor<{''.join(f'{n}x' for n in shape)}{dtype or self.dtype}>"

    def start(self, results):
        """The head of the function, the product %m in f32 of all tokens, and the
        tables."""
        channels = self.weights()["w"][1]
        arguments = [f"%x: {self.tensor(*self.outer, '?', MODEL)}"]
        for name, shape in self.weights().items():
            arguments.append(f"%{name}: {self.tensor(*shape)}")
        t = self.tensor("?", self.head // 2, dtype="f32")
        arguments += ["%p: tensor<?xi64>"] if self.table else [f"%c: {t}", f"%s: {t}"]
        text = (
            f"func.func @{self.name}({', '.join(arguments)}) -> ({', '.join(results)}) {{\n"
            "%zero = arith.constant 0.0 : f32\n"
            f"%axis = arith.constant {len(self.outer)} : index\n"
            f"%n = tensor.dim %x, %axis : {self.tensor(*self.outer, '?', MODEL)}\n"
        )
        if self.table:
            w = self.tensor(self.head // 2, dtype="f64")
            text += (
                f"%f = rope.frequencies base({BASE!r}) : {w}\n%et = tensor.empty(%n) : {t}\n"
                f"%c, %s = rope.table ins(%p, %f : tensor<?xi64>, {w}) outs(%et, %et : {t}, {t})\n"
            )
        flat, rows = "%x", "%n"
        if self.outer:
            text += (
                f"%xc = tensor.collapse_shape %x [[0, 1], [2]] : "
                f"{self.tensor(*self.outer, '?', MODEL)} into {self.tensor('?', MODEL)}\n"
                f"%batch = arith.constant {self.batch} : index\n"
                "%rows = arith.muli %n, %batch : index\n"
            )
            flat, rows = "%xc", "%rows"
        m = self.tensor("?", channels, dtype="f32")
        return text + (
            f"%em = tensor.empty({rows}) : {m}\n"
            f"%fm = linalg.fill ins(%zero : f32) outs(%em : {m}) -> {m}\n"
            f"%m = linalg.matmul ins({flat}, %w : {self.tensor('?', MODEL)}, "
            f"{self.tensor(MODEL, channels)}) outs(%fm : {m}) -> {m}\n"
        )

    def ir(self):
        h = self.tensor("?", self.heads, self.head, dtype="f32")
        t = self.tensor("?", self.head // 2, dtype="f32")
        return self.start([h]) + (
            "%h = tensor.expand_shape %m [[0], [1, 2]] "
            f"output_shape [%n, {self.heads}, {self.head}] : "
            f"{self.tensor('?', self.heads * self.head, dtype='f32')} into {h}\n"
            f"%ey = tensor.empty(%n) : {h}\n{apply('y', 'h', h, t, 0)}return %y : {h}\n}}\n"
        )

    rotations = 1

    def results(self, values, rotate):
        m = values["x"] @ values["w"]
        return [rotate(m.reshape(*m.shape[:-1], self.heads, self.head), -3)]

    def rounding(self):
        return 0.0

    def check(self, modules, report, rng, rows):
        note(f"{self.name} {rows}")
        dtype = reference.NUMPY[self.dtype]
        shapes = {"x": (*self.outer, rows, MODEL), **self.weights()}
        data = {k: rng.standard_normal(shape).astype(dtype) for k, shape in shapes.items()}
        arguments = [place(v, rng)[0] for v in data.values()]
        if self.table:
            positions = rng.integers(0, 100000, rows)
            w = [float(v) for v in formulas.geometric(BASE, self.head)]
            cos, sin = reference.cos_sin(positions, w)
            arguments.append(place(positions, rng)[0])
        else:
            cos, sin = (
                rng.uniform(-1, 1, (rows, self.head // 2)).astype("f4") for _ in range(2)
            )
            arguments += [place(t, rng)[0] for t in (cos, sin)]
        sizes = []

        def rotate(x, dim):
            result, size, _ = reference.rotate(x, cos, sin, (x.ndim + dim,))
            sizes.append(size)
            return result

        expected = self.results({k: v.astype("f8") for k, v in data.items()}, rotate)
        sizes += [np.abs(r) for r in expected[len(sizes) :]]
        sizes = [s if s.shape == r.shape else np.abs(r) for s, r in zip(sizes, expected)]
        # Products of numbers of about one; what is rounded is so relative to
        # the pair.
        got = {}
        for kind, module in modules.items():
            outs = [place(np.zeros(r.shape, self.result_dtype()), rng)[0] for r in expected]
            module.call(self.name, *arguments, *outs)
            got[kind] = [np.array(o) for o in outs]
        for i, (r, size) in enumerate(zip(expected, sizes)):
            bound = 4e-5 + size * (3 * self.rounding() + 2.0**-21)
            for kind, outs in got.items():
                report.close(f"{kind}, {self.dtype}", f"{self.name} {rows} {i}", outs[i], r, bound)
            report.close("both", f"{self.name} {rows} {i}", got["fused"][i], got["apart"][i].astype("f8"), bound)

    def result_dtype(self):
        return "f4"


class Biased(Plain):
    """A batch, whose product is of all tokens; a bias, in the type of the model
    after it; heads in front of tokens."""

    heads, head, batch = 2, 32, 2

    def weights(self):
        return {**super().weights(), "a": (self.heads * self.head,)}

    def ir(self):
        n = self.heads * self.head
        m, k = self.tensor("?", n, dtype="f32"), self.tensor("?", n)
        wide = self.tensor(2, "?", self.heads, self.head)
        y = self.tensor(2, self.heads, "?", self.head)
        t = self.tensor("?", self.head // 2, dtype="f32")
        if self.dtype == "f32":
            body = element("arith.addf %i0, %i1 : f32", "f32")
        else:
            body = (
                f"%bias = arith.extf %i1 : {self.dtype} to f32\n"
                "%sum = arith.addf %i0, %bias : f32\n"
                + element(f"arith.truncf %sum : f32 to {self.dtype}", self.dtype)
            )
        return self.start([y]) + (
            f"%ek = tensor.empty(%rows) : {k}\n%k = "
            + generic(["rj", "j", "rj"], "", ["%m", "%a"], "%ek", [m, self.tensor(n)], k, body)
            + "%h = tensor.expand_shape %k [[0, 1], [2, 3]] "
            f"output_shape [2, %n, {self.heads}, {self.head}] : {k} into {wide}\n"
            f"%ey = tensor.empty(%n) : {y}\n"
            f"%g = linalg.transpose ins(%h : {wide}) outs(%ey : {y}) permutation = [0, 2, 1, 3]\n"
            f"{apply('y', 'g', y, t, 2)}return %y : {y}\n}}\n"
        )

    def results(self, values, rotate):
        m = values["x"] @ values["w"] + values["a"]
        m = m.reshape(*m.shape[:-1], self.heads, self.head).swapaxes(1, 2)
        return [rotate(m, -2)]

    def rounding(self):
        return {"f32": 0.0, "bf16": 2.0**-8, "f16": 2.0**-11}[self.dtype]

    def result_dtype(self):
        return reference.NUMPY[self.dtype]


class Appended(Plain):
    """Put into a cache, of which other rows stay."""

    rows = 2 + max(ROWS) + 1

    def ir(self):
        h = self.tensor("?", self.heads, self.head, dtype="f32")
        t = self.tensor("?", self.head // 2, dtype="f32")
        cache = self.tensor(self.rows, self.heads, self.head, dtype="f32")
        return self.start([cache]) + (
            "%h = tensor.expand_shape %m [[0], [1, 2]] "
            f"output_shape [%n, {self.heads}, {self.head}] : "
            f"{self.tensor('?', self.heads * self.head, dtype='f32')} into {h}\n"
            f"%ey = tensor.empty(%n) : {h}\n{apply('y', 'h', h, t, 0)}"
            f"%seven = arith.constant 7.0 : f32\n%ec = tensor.empty() : {cache}\n"
            f"%cache = linalg.fill ins(%seven : f32) outs(%ec : {cache}) -> {cache}\n"
            f"%r = tensor.insert_slice %y into %cache[2, 0, 0] [%n, {self.heads}, {self.head}] "
            f"[1, 1, 1] : {h} into {cache}\nreturn %r : {cache}\n}}\n"
        )

    def results(self, values, rotate):
        (y,) = super().results(values, rotate)
        cache = np.full((self.rows, *y.shape[1:]), 7.0)
        cache[2 : 2 + len(y)] = y
        return [cache]


class Normed(Plain):
    """Queries, keys and values at once; a norm of each query head."""

    heads, keys, head, batch = 4, 2, 32, 2
    rotations = 2

    def weights(self):
        return {"w": (MODEL, (self.heads + 2 * self.keys) * self.head), "g": (self.head,)}

    def norm(self, sums):
        """The text that makes %z of %h and the sums of squares %u."""
        wide = self.tensor(2, "?", self.heads, self.head, dtype="f32")
        divisor = self.head * (self.heads if sums == "bs" else 1)
        widen = "" if self.dtype == "f32" else f"%gain = arith.extf %i2 : {self.dtype} to f32\n"
        body = (
            f"%count = arith.constant {divisor}.0 : f32\n"
            f"%epsilon = arith.constant {EPSILON:.1e} : f32\n"
            "%mean = arith.divf %i1, %count : f32\n%more = arith.addf %mean, %epsilon : f32\n"
            f"%root = math.rsqrt %more : f32\n%even = arith.mulf %i0, %root : f32\n{widen}"
            + element(f"arith.mulf %even, {'%gain' if widen else '%i2'} : f32", "f32")
        )
        shape = (2, "?", self.heads) if sums == "bsh" else (2, "?")
        u = self.tensor(*shape, dtype="f32")
        return (
            f"%eu = tensor.empty(%n) : {u}\n%fu = linalg.fill ins(%zero : f32) outs(%eu : {u}) -> {u}\n%u = "
            + generic(
                ["bshd", sums], set("bshd") - set(sums), ["%h"], "%fu", [wide], u,
                "%square = arith.mulf %i0, %i0 : f32\n"
                + element("arith.addf %o, %square : f32", "f32"),
            )  # fmt: skip
            + f"%ez = tensor.empty(%n) : {wide}\n%z = "
            + generic(
                ["bshd", sums, "d", "bshd"], "", ["%h", "%u", "%g"], "%ez",
                [wide, u, self.tensor(self.head)], wide, body,
            )  # fmt: skip
        )  # fmt: skip

    sums = "bsh"

    def ir(self):
        a, b, d = self.heads * self.head, self.keys * self.head, self.head
        q, k = (self.tensor(2, "?", n, d, dtype="f32") for n in (self.heads, self.keys))
        v = self.tensor(2, "?", b, dtype="f32")
        all_of = self.tensor(2, "?", a + 2 * b, dtype="f32")
        flat = self.tensor("?", a + 2 * b, dtype="f32")
        t = self.tensor("?", d // 2, dtype="f32")
        slices = "".join(
            f"%{name}0 = tensor.extract_slice %r [0, 0, {at}] [2, %n, {size}] [1, 1, 1] : "
            f"{all_of} to {self.tensor(2, '?', size, dtype='f32')}\n"
            for name, at, size in (("q", 0, a), ("k", a, b), ("v", a + b, b))
        )
        return self.start([q, k, v]) + (
            f"%r = tensor.expand_shape %m [[0, 1], [2]] output_shape [2, %n, {a + 2 * b}] : "
            f"{flat} into {all_of}\n{slices}"
            f"%h = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [2, %n, {self.heads}, {d}] "
            f": {self.tensor(2, '?', a, dtype='f32')} into {q}\n{self.norm(self.sums)}"
            f"%ey = tensor.empty(%n) : {q}\n{apply('y', 'z', q, t, 1)}"
            f"%j = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [2, %n, {self.keys}, {d}] "
            f": {v} into {k}\n%ei = tensor.empty(%n) : {k}\n{apply('i', 'j', k, t, 1)}"
            f"return %y, %i, %v0 : {q}, {k}, {v}\n}}\n"
        )

    def results(self, values, rotate):
        m = values["x"] @ values["w"]
        a, b = self.heads * self.head, self.keys * self.head
        q = m[..., :a].reshape(*m.shape[:-1], self.heads, self.head)
        k = m[..., a : a + b].reshape(*m.shape[:-1], self.keys, self.head)
        over = -1 if self.sums == "bsh" else (-2, -1)
        q = q / np.sqrt(np.mean(q * q, over, keepdims=True) + EPSILON) * values["g"]
        return [rotate(q, -3), rotate(k, -3), m[..., a + b :]]


class NormedTogether(Normed):
    """One norm for all heads."""

    sums = "bs"


def cases():
    for dtype in ("f32", "bf16", "f16"):
        yield Plain(f"plain_{dtype}", dtype)
        yield Plain(f"table_{dtype}", dtype, table=True)
        yield Biased(f"biased_{dtype}", dtype)
        yield Appended(f"appended_{dtype}", dtype, table=True)
        yield Normed(f"normed_{dtype}", dtype, table=dtype == "f32")
        yield NormedTogether(f"together_{dtype}", dtype)
    wide = Plain("wide", "f32")
    wide.heads, wide.head = 1, 256
    yield wide


def main():
    report = Report()
    everything = list(cases())
    text = "".join(case.ir() for case in everything)
    fused = run("rope-opt", "-", "--rope-fuse-projection=tile-tokens=64", "--cse", stdin=text)
    for case, body in zip(everything, fused.split("func.func @")[1:]):
        inside = len(re.findall(r"^ {6,}%\S+ = rope\.apply", body, re.MULTILINE))
        total = body.count("rope.apply")
        report.true(
            case.name, inside == total == case.rotations, f"{inside} of {total} in loops:\n{body}"
        )
    modules = {"apart": Module(text), "fused": Module(fused)}
    for number, case in enumerate(everything):
        for rows in ROWS:
            case.check(modules, report, np.random.default_rng(number), rows)
    print(f"{len(everything)} functions")
    report.finish()


if __name__ == "__main__":
    in_child(main)

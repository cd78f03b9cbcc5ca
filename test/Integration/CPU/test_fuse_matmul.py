# Contractions of rotated operands, before and after rope-fuse-matmul.
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
BASE = 1e4


class Rotation:
    """A rotated operand: `order` names its dimensions, s or t its rows, d the
    head."""

    def __init__(self, name, order, pairing="half"):
        self.name, self.order, self.pairing = name, order, pairing
        self.rows = next(c for c in order if c in "st")

    @property
    def position_dims(self):
        return (self.order.index(self.rows),)


class Case:
    """A product of q and k; `product` is the text that makes %r of the rotated
    %y and %z and the filled %f, `einsum` what it computes. Sizes that are not
    in `sizes` are dynamic."""

    def __init__(self, name, q, k, result, product, fused, sizes, dtype, table=False, scale=1.0):
        self.name, self.q, self.k, self.result, self.product = name, q, k, result, product
        self.fused, self.sizes, self.dtype, self.table = fused, sizes, dtype, table
        self.scale = scale

    def type(self, order, dtype):
        return f"tensor<{''.join(f'{self.sizes.get(c, chr(63))}x' for c in order)}{dtype}>"

    def rotate(self, operand, result):
        """The text that makes %`result` of %`operand.name`."""
        if not isinstance(operand, Rotation):
            return []
        n, x = operand.name, self.type(operand.order, self.dtype)
        t = self.type(operand.rows + "p", "f32")
        lines = []
        if self.table:
            w, p = self.type("p", "f64"), self.type(operand.rows, "i64")
            lines += [
                f"%w{n} = rope.frequencies base({BASE!r}) : {w}",
                f"%e{n} = tensor.empty(%{operand.rows}) : {t}",
                f"%c{n}, %s{n} = rope.table ins(%p{n}, %w{n} : {p}, {w}) "
                f"outs(%e{n}, %e{n} : {t}, {t})",
            ]
        dims = ", ".join(f"%{c}" for c in operand.order if c not in self.sizes)
        return [
            *lines,
            f"%i{n} = tensor.empty({dims}) : {x}",
            f"%{result} = rope.apply ins(%{n}, %c{n}, %s{n} : {x}, {t}, {t}) outs(%i{n} : {x}) "
            f"{{pairing = #rope.pairing<{operand.pairing}>, "
            f"position_dims = array<i64: {operand.position_dims[0]}>}}",
        ]

    def ir(self):
        arguments = []
        for operand in (self.q, self.k):
            order = getattr(operand, "order", operand)
            name = "q" if operand is self.q else "k"
            arguments.append(f"%{name}: {self.type(order, self.dtype)}")
            if isinstance(operand, Rotation):
                t = self.type(operand.rows + "p", "f32")
                p = self.type(operand.rows, "i64")
                arguments += [f"%p{name}: {p}"] if self.table else [f"%c{name}: {t}", f"%s{name}: {t}"]
        r = self.type(self.result, "f32")
        lines = [f"func.func @{self.name}({', '.join(arguments)}) -> {r} {{"]
        for c in "bst":
            for name, operand in (("q", self.q), ("k", self.k)):
                order = getattr(operand, "order", operand)
                if c in order and c not in self.sizes and f"  %{c} = " not in "\n".join(lines):
                    lines += [
                        f"  %{c}_i = arith.constant {order.index(c)} : index",
                        f"  %{c} = tensor.dim %{name}, %{c}_i : {self.type(order, self.dtype)}",
                    ]
        lines += self.rotate(self.q, "y") + self.rotate(self.k, "z")
        dims = ", ".join(f"%{c}" for c in self.result if c not in self.sizes)
        lines += [
            "%zero = arith.constant 0.0 : f32",
            f"%e = tensor.empty({dims}) : {r}",
            f"%f = linalg.fill ins(%zero : f32) outs(%e : {r}) -> {r}",
            self.text(self.product),
            f"return %r : {r}\n}}\n",
        ]
        return "\n".join(lines)

    def text(self, product):
        """`product` with the types of dimension orders in angle brackets."""
        names = {"y": "q" if not isinstance(self.q, Rotation) else "y",
                 "z": "k" if not isinstance(self.k, Rotation) else "z"}  # fmt: skip
        product = re.sub(r"%([yz])\b", lambda m: "%" + names[m[1]], product)
        return re.sub(
            r"<(\w+):(\w+)>",
            lambda m: self.type(m[1], self.dtype if m[2] == "x" else m[2]), product,
        )  # fmt: skip

    def check(self, modules, report, rng, rows):
        note(f"{self.name} {rows}")
        sizes = {"b": 2, **dict(zip("st", rows)), **self.sizes}
        dtype = reference.NUMPY[self.dtype]
        arguments, wide, spread = [], [], []
        for operand in (self.q, self.k):
            order = getattr(operand, "order", operand)
            x = rng.standard_normal([sizes[c] for c in order]).astype(dtype)
            arguments.append(place(x, rng)[0])
            wide.append(x.astype(np.float64))
            spread.append(np.abs(wide[-1]))
            if not isinstance(operand, Rotation):
                continue
            n = sizes[operand.rows]
            if self.table:
                positions = rng.integers(0, 100000, n)
                w = [float(v) for v in formulas.geometric(BASE, 2 * sizes["p"])]
                tables = reference.cos_sin(positions, w)
                arguments.append(place(positions, rng)[0])
            else:
                tables = [rng.uniform(-1, 1, (n, sizes["p"])).astype("f4") for _ in range(2)]
                arguments += [place(t, rng)[0] for t in tables]
            wide[-1], size, _ = reference.rotate(
                x, *tables, operand.position_dims, operand.pairing
            )
            spread[-1] = np.maximum(size, np.abs(wide[-1]))
        spelling = "{},{}->{}".format(
            *(getattr(o, "order", o) for o in (self.q, self.k)), self.result
        )
        expected = self.scale * np.einsum(spelling, *wide)
        # Each rotated number is rounded to the type, products and sums to f32.
        rounding = {"f32": 2.0**-22, "f16": 2.0**-11, "bf16": 2.0**-8}[self.dtype]
        bound = np.einsum(spelling, *spread) * (2.5 * rounding + sizes["d"] * 2.0**-24)
        results = []
        for kind, module in modules.items():
            r, _ = place(np.zeros(expected.shape, "f4"), rng)
            module.call(self.name, *arguments, r)
            results.append(np.array(r))
            report.close(f"{kind}, {self.dtype}", f"{self.name} {rows}", results[-1], expected, bound)
        report.close(f"both, {self.dtype}", f"{self.name} {rows}", results[1], results[0], bound)


def generic(y, z, r, loops, reduction, x):
    maps = ", ".join(
        f"affine_map<({', '.join(loops)}) -> ({', '.join(order)})>" for order in (y, z, r)
    )
    kinds = ", ".join(f'"{"reduction" if c in reduction else "parallel"}"' for c in loops)
    widen = "" if x == "f32" else f"%v = arith.extf %u0 : {x} to f32\n%w = arith.extf %u1 : {x} to f32\n"
    v, w = ("%u0", "%u1") if x == "f32" else ("%v", "%w")
    return (
        f"%r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} "
        f"ins(%y, %z : <{y}:x>, <{z}:x>) outs(%f : <{r}:f32>) {{\n"
        f"^bb0(%u0: {x}, %u1: {x}, %u2: f32):\n{widen}%a = arith.mulf {v}, {w} : f32\n"
        f"%g = arith.addf %u2, %a : f32\nlinalg.yield %g : f32\n}} -> <{r}:f32>"
    )


def contract(op, y, z, r, loops):
    maps = ", ".join(
        f"affine_map<({', '.join(loops)}) -> ({', '.join(order)})>" for order in (y, z, r)
    )
    return (
        f"%r = {op} indexing_maps = [{maps}] ins(%y, %z : <{y}:x>, <{z}:x>) "
        f"outs(%f : <{r}:f32>) -> <{r}:f32>"
    )


def cases():
    head, narrow = {"d": 64, "p": 32}, {"d": 32, "p": 16}
    both = lambda q, k, **more: (Rotation("q", q, **more), Rotation("k", k, **more))  # noqa: E731
    for x in ("f32", "bf16", "f16"):
        for table in (False, True):
            end = f"{x}{'_table' if table else ''}"
            yield Case(
                f"batch_{end}", *both("bsd", "btd"), "bst",
                contract("linalg.batch_matmul", "bsd", "btd", "bst", "bstd"), 2, head, x, table,
            )  # fmt: skip
            # Grouped heads: a key head for each three query heads.
            yield Case(
                f"grouped_{end}", *both("bshgd", "bthd", pairing="interleaved"), "bhgst",
                generic("bshgd", "bthd", "bhgst", "bhgstd", "d", x), 2,
                {"h": 2, "g": 3, **narrow}, x, table,
            )  # fmt: skip
        # As exported: heads moved in front, then one with the batch.
        yield Case(
            f"collapsed_{x}", *both("bshd", "bthd"), "bhst",
            """%et = tensor.empty(%s) : <bhsd:x>
            %yt = linalg.transpose ins(%y : <bshd:x>) outs(%et : <bhsd:x>) permutation = [0, 2, 1, 3]
            %ez = tensor.empty(%t) : <bhdt:x>
            %zt = linalg.transpose ins(%z : <bthd:x>) outs(%ez : <bhdt:x>) permutation = [0, 2, 3, 1]
            %yc = tensor.collapse_shape %yt [[0, 1], [2], [3]] : <bhsd:x> into <csd:x>
            %zc = tensor.collapse_shape %zt [[0, 1], [2], [3]] : <bhdt:x> into <cdt:x>
            %fc = tensor.collapse_shape %f [[0, 1], [2], [3]] : <bhst:f32> into <cst:f32>
            %rc = linalg.batch_matmul ins(%yc, %zc : <csd:x>, <cdt:x>) outs(%fc : <cst:f32>) -> <cst:f32>
            %r = tensor.expand_shape %rc [[0, 1], [2], [3]] output_shape [2, 3, %s, %t] : <cst:f32> into <bhst:f32>""",
            2, {"b": 2, "h": 3, "c": 6, **narrow}, x,
        )  # fmt: skip
        # Keys repeated for their group of heads before the product.
        yield Case(
            f"repeated_{x}", *both("bhgsd", "bhtd"), "bhgst",
            """%ez = tensor.empty(%t) : <bhgtd:x>
            %zr = linalg.broadcast ins(%z : <bhtd:x>) outs(%ez : <bhgtd:x>) dimensions = [2]
            """ + generic("bhgsd", "bhgtd", "bhgst", "bhgstd", "d", x).replace("%z", "%zr"),
            2, {"b": 2, "h": 2, "g": 2, **narrow}, x,
        )  # fmt: skip
        yield Case(
            f"matrix_{x}", *both("sd", "td"), "st",
            contract("linalg.matmul", "sd", "td", "st", "std"), 1, {"d": 256, "p": 100}, x,
        )  # fmt: skip
        yield Case(
            f"keys_{x}", "shd", Rotation("k", "thd"), "hst",
            contract("linalg.contract", "shd", "thd", "hst", "hstd"), 1, {"h": 3, **head}, x, True,
        )  # fmt: skip
        yield Case(
            f"step_{x}", "bhd", Rotation("k", "bhtd"), "bht",
            contract("linalg.contract", "bhd", "bhtd", "bht", "bhtd"), 1, {"h": 2, **head}, x,
        )  # fmt: skip
    # Something else is done to the rotated rows.
    yield Case(
        "scaled", Rotation("q", "sd"), "td", "st",
        """%half = arith.constant 0.5 : f32
        %ew = tensor.empty(%s) : <sd:x>
        %yw = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                              iterator_types = ["parallel", "parallel"]}
              ins(%y : <sd:x>) outs(%ew : <sd:x>) {
        ^bb0(%i: f32, %o: f32):
          %n = arith.mulf %i, %half : f32
          linalg.yield %n : f32
        } -> <sd:x>
        """ + contract("linalg.matmul", "sd", "td", "st", "std").replace("%y", "%yw"),
        1, {"d": 128, "p": 64}, "f32", scale=0.5,
    )  # fmt: skip


def main():
    report = Report()
    everything = list(cases())
    text = "".join(case.ir() for case in everything)
    fused = run("rope-opt", "-", "--rope-fuse-matmul=tile-rows=64", "--cse", stdin=text)
    bodies = fused.split("func.func @")[1:]
    for case, body in zip(everything, bodies):
        inside = len(re.findall(r"^ {6,}%\S+ = rope\.apply", body, re.MULTILINE))
        report.true(case.name, inside == case.fused, f"{inside} rotations in loops:\n{body}")
    modules = {"apart": Module(text), "fused": Module(fused)}
    for number, case in enumerate(everything):
        rng = np.random.default_rng(number)
        pairs = [(ROWS[i], int(rng.choice(ROWS))) for i in range(len(ROWS))]
        for rows in pairs:
            case.check(modules, report, rng, rows)
    print(f"{len(everything)} functions")
    report.finish()


if __name__ == "__main__":
    in_child(main)

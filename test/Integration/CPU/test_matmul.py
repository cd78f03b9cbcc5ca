# Products of matrices, in tasks and from packed blocks, against float64.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import ctypes
import platform

import numpy as np
from rope_testing import reference
from rope_testing.applies import place
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module

# m, n, k: few rows and many, whole blocks and their rest, empty ones.
SIZES = [
    (1, 64, 256), (1, 70, 33), (6, 256, 512), (7, 256, 258), (2, 17, 1), (13, 65, 257),
    (0, 64, 8), (5, 0, 8), (5, 64, 0), (600, 130, 40), (31, 300, 515), (8, 16, 16), (64, 15, 9),
]  # fmt: skip
KINDS = {"f32": "f32", "bf16": "f32", "f16": "f32", "f64": "f64"}


def maps(*orders, loops="mnk"):
    texts = (f"affine_map<({', '.join(loops)}) -> ({', '.join(o)})>" for o in orders)
    return f"[{', '.join(texts)}]"


class Product:
    """x times w into c, each with an order of dimensions; `static` sizes are in
    the types. `start` is zero or c, `after` what is made of the product."""

    def __init__(self, name, dtype, x="mk", w="kn", y="mn", static="", sizes=SIZES, start="zero", after="", form="generic"):
        self.name, self.dtype, self.x, self.w, self.y = name, dtype, x, w, y
        self.static, self.sizes, self.start, self.after, self.form = static, sizes, start, after, form
        self.sum = KINDS[dtype]
        self.loops = "".join(sorted(set(x + w), key=lambda c: ("bmhn".find(c), c) if c != "k" else (9, c)))

    def type(self, order, dtype, sizes):
        return f"tensor<{''.join(f'{sizes[c]}x' if c in self.static else '?x' for c in order)}{dtype}>"

    def ir(self, name, sizes):
        x, w = (self.type(o, self.dtype, sizes) for o in (self.x, self.w))
        y = self.type(self.y, self.sum, sizes)
        lines = [f"func.func @{name}(%x: {x}, %w: {w}, %c: {y}) -> {y} {{"]
        start = "%c"
        if self.start == "zero":
            dims = []
            for i, c in enumerate(self.y):
                if c not in self.static:
                    lines += [f"%i{i} = arith.constant {i} : index", f"%d{i} = tensor.dim %c, %i{i} : {y}"]
                    dims.append(f"%d{i}")
            lines += [
                f"%zero = arith.constant 0.0 : {self.sum}", f"%e = tensor.empty({', '.join(dims)}) : {y}",
                f"%f = linalg.fill ins(%zero : {self.sum}) outs(%e : {y}) -> {y}",
            ]  # fmt: skip
            start = "%f"
        text = maps(self.x, self.w, self.y, loops=self.loops)
        if self.form != "generic":
            order = "" if self.form == "plain" else f"indexing_maps = {text} "
            op = "linalg.contract" if self.form == "contract" else "linalg.matmul"
            lines.append(f"%r = {op} {order}ins(%x, %w : {x}, {w}) outs({start} : {y}) -> {y}")
        else:
            kinds = ", ".join('"reduction"' if c == "k" else '"parallel"' for c in self.loops)
            wide = self.dtype != self.sum
            lines += [
                f"%r = linalg.generic {{indexing_maps = {text}, iterator_types = [{kinds}]}} "
                f"ins(%x, %w : {x}, {w}) outs({start} : {y}) {{",
                f"^bb0(%a: {self.dtype}, %b: {self.dtype}, %s: {self.sum}):",
                *([f"%u = arith.extf %a : {self.dtype} to f32", f"%v = arith.extf %b : {self.dtype} to f32"] if wide else []),
                f"%p = arith.mulf {'%v, %u' if wide else '%b, %a'} : {self.sum}",
                f"%q = arith.addf %p, %s : {self.sum}",
                f"linalg.yield %q : {self.sum}", f"}} -> {y}",
            ]  # fmt: skip
        result = "%r"
        if self.after:
            identity = maps("mn", "mn", "mn", loops="mn")
            lines += [
                f"%z = linalg.generic {{indexing_maps = {identity}, iterator_types = [\"parallel\", \"parallel\"]}} "
                f"ins(%r, %c : {y}, {y}) outs(%c : {y}) {{",
                f"^bb0(%a: {self.sum}, %b: {self.sum}, %o: {self.sum}):",
                f"%t = arith.subf %a, %b : {self.sum}", f"linalg.yield %t : {self.sum}", f"}} -> {y}",
            ]  # fmt: skip
            result = "%z"
        return "\n".join([*lines, f"return {result} : {y}", "}", ""])

    def functions(self):
        """Each size, and the function that computes it."""
        if not self.static:
            return [(self.name, s) for s in self.sizes]
        return [(f"{self.name}_{'_'.join(map(str, s))}", s) for s in self.sizes]

    def named(self, sizes):
        return {"b": 2, "h": 3, **dict(zip("mnk", sizes))}


def cases():
    for dtype in KINDS:
        yield Product(f"plain_{dtype}", dtype, form="plain")
        yield Product(f"transposed_{dtype}", dtype, w="nk", form="matmul")
        yield Product(f"static_{dtype}", dtype, static="nk", form="plain", sizes=[s for s in SIZES if 0 not in s][:8])
        yield Product(f"all_static_{dtype}", dtype, w="nk", static="mnk", sizes=[s for s in SIZES if 0 not in s][2:9])
        yield Product(f"left_{dtype}", dtype, x="km", start="c", sizes=SIZES[:8])
        yield Product(f"heads_{dtype}", dtype, w="khn", y="mhn", static="hnk", sizes=[(9, 64, 40), (5, 80, 31)])
        yield Product(f"batch_{dtype}", dtype, x="bmk", w="bnk", y="bmn", form="contract", sizes=SIZES[:6])
        yield Product(f"flipped_{dtype}", dtype, y="nm", sizes=SIZES[2:8])
    yield Product("several_rows_f32", "f32", x="bmk", y="bmn", sizes=SIZES[:6])
    yield Product("vector_f32", "f32", x="k", y="n", sizes=[(1, 70, 33), (1, 300, 515)])
    yield Product("into_f32", "f32", start="c")
    yield Product("after_bf16", "bf16", after="sub", w="nk")


def processors():
    yield "host"
    if platform.machine() == "x86_64":
        yield "x86-64"
        with open("/proc/cpuinfo") as file:
            flags = set(next(line for line in file if line.startswith("flags")).split())
        if {"avx2", "fma", "f16c", "bmi2", "movbe", "abm"} <= flags:
            yield "x86-64-v3"
        if {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd", "fma"} <= flags:
            yield "x86-64-v4"


def spread(x, w, case):
    """The product and the sum of its terms' magnitudes, in float64."""
    spelling = f"{case.x},{case.w}->{case.y}"
    with np.errstate(invalid="ignore"):
        return [np.einsum(spelling, *(f(a.astype("f8")) for a in (x, w))) for f in (np.asarray, np.abs)]


def check(case, name, sizes, modules, report, rng):
    dtype = reference.NUMPY[case.dtype]
    named = case.named(sizes)
    x, w, c = (
        rng.standard_normal([named[d] for d in order]).astype(kind)
        for order, kind in ((case.x, dtype), (case.w, dtype), (case.y, reference.NUMPY[case.sum]))
    )
    special = rng.integers(4) == 0 and x.size and w.size
    if special:
        x.flat[rng.integers(x.size)] = np.inf
        w.flat[rng.integers(w.size)] = np.nan
    expected, size = spread(x, w, case)
    if case.start == "c":
        expected, size = expected + c, size + np.abs(c)
    if case.after:
        expected, size = expected - c, size + np.abs(c)
    bound = size * (named["k"] + 3) * (2.0**-53 if case.sum == "f64" else 2.0**-24)
    arrays = [place(a, rng)[0] for a in (x, w, c)]
    for cpu, module in modules.items():
        note(f"{name} {sizes} {cpu}")
        results = []
        for threads in (1, 3):
            module._library.rope_set_num_threads(ctypes.c_int64(threads))
            out = place(np.full_like(c, 7), rng)[0]
            module.call(name, *arrays, out)
            results.append(np.array(out))
        report.close(f"{cpu}, {case.dtype}", f"{name} {sizes} {cpu}", results[0], expected, bound)
        report.same_bits(f"{name} {sizes} {cpu}, threads", results[1], results[0])


def main():
    report = Report()
    everything = list(cases())
    texts = {}
    for case in everything:
        for name, sizes in case.functions():
            texts.setdefault(name, case.ir(name, case.named(sizes)))
    # Compiling is what takes the time: a part of them for other processors.
    chosen = {cpu: list(texts)[:: 1 if cpu == "host" else 5] for cpu in processors()}
    modules = {
        cpu: Module("".join(texts[name] for name in names), cpu=cpu)
        for cpu, names in chosen.items()
    }
    for number, case in enumerate(everything):
        rng = np.random.default_rng(number)
        for name, sizes in case.functions():
            some = {cpu: m for cpu, m in modules.items() if name in chosen[cpu]}
            check(case, name, sizes, some, report, rng)
    print(f"{len(texts)} functions")
    report.finish()


if __name__ == "__main__":
    in_child(main)

# What linalg operations on memrefs become: contractions in register tiles,
# reductions over rows, transposing copies, masks of bits.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import guarded_copy, in_child, note
from rope_testing.reference import NUMPY
from rope_testing.runner import Module

SIZES = [0, 1, 2, 5, 7, 16, 33, 64, 101]


def memref(shape, element, dynamic):
    sizes = "".join(f"{'?' if dynamic else size}x" for size in shape)
    return f"memref<{sizes}{element}>"


def generic(name, loops, operands, inits, body, shapes, dynamic, kinds):
    """A function of one linalg.generic. `operands` and `inits` are pairs of
    (loops, element type), `shapes` the size of each loop."""
    arguments, types, maps, block = [], [], [], []
    for i, (dims, element) in enumerate(operands + inits):
        types.append(memref([shapes[d] for d in dims], element, dynamic))
        arguments.append(f"%m{i}: {types[-1]}")
        maps.append(f"affine_map<({', '.join(loops)}) -> ({', '.join(dims)})>")
        block.append(f"%{'xyzw'[i]}: {element}")
    split = len(operands)
    kinds = ", ".join(f'"{"reduction" if d in kinds else "parallel"}"' for d in loops)
    names = [f"%m{i}" for i in range(len(types))]
    return f"""
func.func @{name}({", ".join(arguments)}) {{
  linalg.generic {{indexing_maps = [{", ".join(maps)}], iterator_types = [{kinds}]}}
    ins({", ".join(names[:split])} : {", ".join(types[:split])})
    outs({", ".join(names[split:])} : {", ".join(types[split:])}) {{
  ^bb0({", ".join(block)}):
    {body}
  }}
  return
}}"""


class Case:
    """A function, its operands and what its results must be. One function of
    dynamic sizes serves all `shapes`."""

    def __init__(self, name, loops, operands, inits, body, shapes, dynamic, reference,
                 reductions="", bound=1e-6):  # fmt: skip
        self.name = f"{name}_{'dynamic' if dynamic else '_'.join(map(str, shapes[0].values()))}"
        self.operands, self.inits = operands, inits
        self.shapes, self.reference, self.bound = shapes, reference, bound
        self.ir = generic(self.name, loops, operands, inits, body, shapes[0], dynamic, reductions)

    def check(self, module, report, random):
        for i, sizes in enumerate(self.shapes):
            name = f"{self.name} {sizes}"
            note(name)
            self._check_one(module, report, random, name, sizes, i % 2 == 0)

    def _check_one(self, module, report, random, name, sizes, at_end):
        values = []
        for dims, element in self.operands + self.inits:
            shape = tuple(sizes[d] for d in dims)
            if element == "i1":
                value = random.integers(0, 2, shape).astype(bool)
            else:
                value = random.standard_normal(shape).astype(NUMPY[element])
            values.append(guarded_copy(value, at_end))
        wide = [v if v.dtype == bool else np.array(v, np.float64) for v in values]
        expected = self.reference(*wide)
        module.call(self.name, *values)
        for (_, element), got, want in zip(
            self.inits, values[len(self.operands):], expected, strict=True):  # fmt: skip
            scale = 1 + np.abs(want).max(initial=0)
            rounding = {"f32": 0, "f64": 0, "bf16": 2**-8, "f16": 2**-11}[element]
            report.close(self.name.split("_")[0], name, got, want,
                         (self.bound + rounding) * scale)  # fmt: skip


def both(name, loops, operands, inits, body, dims, sizes, reference, reductions="", bound=1e-6):
    """One function of dynamic sizes for all `sizes` of the loops `dims`, and one
    of static sizes for every seventh."""
    shapes = [dict(zip(dims, size, strict=True)) for size in sizes]
    yield Case(name, loops, operands, inits, body, shapes, True, reference, reductions, bound)
    for shape in shapes[::7]:
        yield Case(name, loops, operands, inits, body, [shape], False, reference, reductions, bound)


FMA = "%r = math.fma %x, %y, %z : f32\n linalg.yield %r : f32"
CONTRACTED = """%m = arith.mulf %x, %y fastmath<contract> : f32
    %r = arith.addf %m, %z fastmath<contract> : f32
    linalg.yield %r : f32"""
SELECTED = """%c0 = arith.constant 0.0 : f32
    %m = math.fma %x, %y, %z : f32
    %c = arith.cmpf une, %y, %c0 : f32
    %r = arith.select %c, %m, %z : f32
    linalg.yield %r : f32"""
SUMMED = CONTRACTED.replace("%m, %z fastmath<contract>", "%m, %z fastmath<reassoc,contract>")
SKIPPED = """%c0 = arith.constant 0.0 : f32
    %m = arith.mulf %x, %y fastmath<contract> : f32
    %s = arith.addf %m, %z fastmath<reassoc,contract> : f32
    %c = arith.cmpf oeq, %y, %c0 : f32
    %r = arith.select %c, %z, %s : f32
    linalg.yield %r : f32"""
WIDENED = """%a = arith.extf %x : bf16 to f32
    %b = arith.extf %y : bf16 to f32
    %r = math.fma %a, %b, %z : f32
    linalg.yield %r : f32"""


def multiply(a, b, c):
    return [c + np.einsum("mk,kn->mn", a, b)]


def contractions():
    f, product = "f32", itertools.product
    sizes = list(product([0, 1, 6, 13], SIZES, [0, 1, 9]))
    for body, name, loops in ((FMA, "fma", "mnk"), (CONTRACTED, "contracted", "mkn"), (SELECTED, "selected", "kmn")):
        yield from both(name, loops, [("mk", f), ("kn", f)], [("mn", f)], body, "mnk", sizes, multiply, "k")
    # Sums in any order: no chunk, one, a full one, more, and a rest. An error of
    # 384 additions is 5e-6 or so (see check_accuracy), wherever the sum ends.
    sizes = list(product([1, 13], [1, 33, 64], [0, 1, 127, 128, 129, 300, 384]))
    for body, name in ((SUMMED, "summed"), (SKIPPED, "skipped")):
        yield from both(name, "mnk", [("mk", f), ("kn", f)], [("mn", f)], body, "mnk", sizes, multiply, "k", 3e-5)
    # The other factor transposed, panels of one vector, a batch, bf16, f64.
    a, b, c = [("mw", f)], [("mnw", f)], [("bmw", f)]
    sizes = [(2, 23, 5, 16, 11), (1, 6, 4, 16, 3), (0, 1, 1, 16, 0), (3, 12, 1, 8, 2), (1, 1, 2, 4, 5)]
    for name, loops, operands, init in (
        ("rows", "mwk", [("km", f), ("kw", f)], a), ("panels", "mnwk", [("mk", f), ("nkw", f)], b),
        ("columns", "nmkw", [("mk", f), ("knw", f)], b), ("batch", "bmwk", [("bmk", f), ("bkw", f)], c),
        ("inner", "mbwk", [("bmk", f), ("bkw", f)], [("mbw", f)]), ("vector", "wk", [("k", f), ("kw", f)], [("w", f)]),
    ):  # fmt: skip
        spec = f"{operands[0][0]},{operands[1][0]}->{init[0][0]}"
        for shape in sizes:
            shape = dict(zip("bmnwk", shape, strict=True))
            shape = {d: shape[d] for d in loops}
            for dynamic in (False, True):
                # The panels' width is what makes them panels: static, or not.
                yield Case(f"{name}_{'_'.join(map(str, shape.values()))}", loops, operands, init, FMA, [shape], dynamic,
                           lambda x, y, z, spec=spec: [z + np.einsum(spec, x, y)], "k")  # fmt: skip
    sizes = [(23, 37, 11), (1, 3, 0), (6, 64, 5)]
    yield from both("bf16", "mnk", [("mk", "bf16"), ("kn", "bf16")], [("mn", f)], WIDENED, "mnk", sizes, multiply, "k")
    yield from both("f64", "mnk", [("mk", "f64"), ("kn", "f64")], [("mn", "f64")], FMA.replace("f32", "f64"),
                    "mnk", sizes, multiply, "k", 1e-14)  # fmt: skip
    # An operand without the loop over what is summed, and indices.
    body = """%k = linalg.index 2 : index
    %n = linalg.index 1 : index
    %s = arith.addi %k, %n : index
    %i = arith.index_cast %s : index to i32
    %g = arith.sitofp %i : i32 to f32
    %p = arith.mulf %x, %y : f32
    %q = arith.mulf %p, %g : f32
    %r = arith.addf %q, %z : f32
    linalg.yield %r : f32"""

    def indexed(x, y, z):
        return [z + np.einsum("mk,n,kn->mn", x, y, np.add.outer(np.arange(x.shape[1]), np.arange(y.size)))]

    yield from both("index", "mnk", [("mk", f), ("n", f)], [("mn", f)], body, "mnk", sizes, indexed, "k")


def reductions():
    """Sums and maxima of columns, alone and beside results of all loops."""
    scale = """%s = arith.mulf %x, %y : f32
    %m = arith.maximumf %s, %w : f32
    linalg.yield %s, %m : f32, f32"""
    add = "%r = arith.addf %x, %y : f32\n linalg.yield %r : f32"
    twice = """%r = arith.addf %x, %y : f32
    %m = arith.maximumf %x, %z : f32
    linalg.yield %r, %m : f32, f32"""
    f, sizes = "f32", list(itertools.product([0, 1, 5], [*SIZES, 300]))
    yield from both("sum", "jr", [("jr", f)], [("r", f)], add, "jr", sizes,
                    lambda x, s: [s + x.sum(0)], "j")  # fmt: skip
    yield from both("two", "ijr", [("ijr", f)], [("r", f), ("r", f)], twice, "ijr",
                    [(3, *size) for size in sizes],
                    lambda x, s, m: [s + x.sum((0, 1)), np.maximum(m, x.max((0, 1), initial=-np.inf))],
                    "ij")  # fmt: skip
    yield from both("scaled", "jr", [("jr", f), ("r", f)], [("jr", f), ("r", f)], scale, "jr", sizes,
                    lambda x, y, _, m: [x * y, np.maximum(m, (x * y).max(0, initial=-np.inf))],
                    "j")  # fmt: skip


def transposes():
    copy = "linalg.yield %x : {0}"
    scaled = """%a = arith.extf %x : {0} to f32
    %b = arith.mulf %a, %y : f32
    %c = arith.addf %b, %z : f32
    linalg.yield %c : f32"""
    sizes = list(itertools.product(SIZES, SIZES))
    for element in ("f32", "bf16", "f16", "f64"):
        yield from both(f"copy_{element}", "ij", [("ij", element)], [("ji", element)], copy.format(element),
                        "ij", sizes, lambda x, y: [x.T])  # fmt: skip
    for element in ("bf16", "f16"):
        yield from both(f"wide_{element}", "bji", [("bij", element), ("i", "f32"), ("j", "f32")], [("bji", "f32")],
                        scaled.format(element), "bij", [(2, *size) for size in sizes],
                        lambda x, y, z, _: [(x * y[:, None] + z).transpose(0, 2, 1)])  # fmt: skip


def masks():
    choose = "%r = arith.select %x, %y, %z : f32\n linalg.yield %r : f32"
    bias = """%c0 = arith.constant 0.0 : f32
    %c1 = arith.constant -1.0 : f32
    %r = arith.select %x, %c0, %c1 : f32
    linalg.yield %r : f32"""
    sizes = list(itertools.product([0, 1, 17], SIZES))
    yield from both("mask", "ij", [("ij", "i1"), ("ij", "f32")], [("ij", "f32")], choose, "ij", sizes,
                    lambda c, x, y: [np.where(c, x, y)], bound=0)  # fmt: skip
    yield from both("mask_row", "ij", [("j", "i1"), ("i", "f32")], [("ij", "f32")], choose, "ij", sizes,
                    lambda c, x, y: [np.where(c, x[:, None], y)], bound=0)  # fmt: skip
    yield from both("mask_transposed", "ij", [("ij", "i1")], [("ji", "f32")], bias, "ij", sizes,
                    lambda c, _: [np.where(c.T, 0.0, -1.0)], bound=0)  # fmt: skip


def check_views(report):
    """Multiples of a block that are known from the size of a view, and rows with
    strides."""
    v = "memref<?x?xf32, strided<[?, 1], offset: ?>>"
    w = v.replace("offset: ?", "offset: 1")
    text = f"""
func.func @blocks(%A: memref<?x?xf32>, %B: memref<?x?xf32>, %C: memref<?x?xf32>, %m: index, %n: index) {{
  %c12 = arith.constant 12 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.muli %m, %c12 : index
  %some = arith.muli %n, %c32 : index
  %columns = arith.minui %some, %c64 : index
  %k = memref.dim %A, %c1 : memref<?x?xf32>
  %a = memref.subview %A[1, 0][%rows, %k][1, 1] : memref<?x?xf32> to {v}
  %b = memref.subview %B[0, 1][%k, %columns][1, 1] : memref<?x?xf32> to {w}
  %c = memref.subview %C[1, 1][%rows, %columns][1, 1] : memref<?x?xf32> to {v}
  linalg.matmul ins(%a, %b : {v}, {w}) outs(%c : {v})
  return
}}"""
    for cpu in ("host", "x86-64-v3", "x86-64"):
        module = Module(text, cpu)
        for m, n, k in itertools.product([0, 1, 3], [0, 1, 2, 5], [0, 3, 8]):
            random = np.random.default_rng(m + n)
            columns = min(32 * n, 64)
            a = guarded_copy(random.standard_normal((12 * m + 1, k)).astype(np.float32))
            b = guarded_copy(random.standard_normal((k, columns + 1)).astype(np.float32))
            c = guarded_copy(random.standard_normal((12 * m + 1, columns + 1)).astype(np.float32))
            expected = c.astype(np.float64)
            expected[1:, 1:] += a[1:].astype(np.float64) @ b[:, 1:].astype(np.float64)
            note(f"blocks_{m}_{n}_{k}")
            module.call("blocks", a, b, c, m, n)
            report.close("views", f"{cpu} blocks_{m}_{n}_{k}", c, expected, 1e-5)


def add_up(products, c, chunk):
    """c and the sums over the first loop in chunks from zero, every addition
    rounded."""
    for start in range(0, len(products), chunk):
        part = np.zeros_like(c)
        for product in products[start : start + chunk]:
            part += product
        c = c + part
    return c


def root_mean_square(x):
    return np.sqrt(np.mean(np.square(x)))


def check_accuracy(report):
    """Sums of n numbers are as exact as those of chunks of 128, in NumPy, and those
    as exact as they should be beside one chain.

    An addition's error grows with the sum so far, for numbers of both signs as
    the root of how many there were. The errors of one chain add up to the root of
    1 + 2 + ... + n, about n^2 / 2. Those of n / b chunks of b have b^2 / 2 each,
    and adding them up gives b (1 + 2 + ... + n / b), about n^2 / 2b: the ratio of
    both errors is the root of b / n + 1 / b. Factors of 11 bits have products
    that are numbers, so multiply-adds and additions round alike.

    A factor that is zero hides what it would multiply."""
    bodies = {"summed": SUMMED, "skipped": SKIPPED, "contracted": CONTRACTED}
    m, n, chunk = 13, 85, 128
    cases = list(itertools.product(bodies, (512, 4096), ("static", "dynamic")))
    text = "".join(
        generic(f"{name}_{k}_{kind}", "mnk", [("mk", "f32"), ("kn", "f32")], [("mn", "f32")], bodies[name],
                {"m": m, "n": n, "k": k}, kind == "dynamic", "k")
        for name, k, kind in cases)  # fmt: skip
    sums = {}
    for k in (512, 4096):
        random = np.random.default_rng(k)
        a, b, c = (random.standard_normal(s).astype(np.float16).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
        b[5::64] = 0
        exact = c.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
        products = a.T[:, :, None] * b[:, None, :]
        chunks, chain = (root_mean_square(add_up(products, c, size) - exact) for size in (chunk, k))
        bound = 1.1 * np.sqrt(chunk / k + 1 / chunk) * chain
        report.true(f"{k} in chunks", chunks < bound, f"{chunks}, bound {bound}")
        sums[k] = a, b, c, exact, chunks, chain
    for cpu in ("host", "x86-64-v3", "x86-64"):
        module = Module(text, cpu)
        for name, k, kind in cases:
            a, b, c, exact, chunks, chain = sums[k]
            function = f"{name}_{k}_{kind}"
            note(function)
            if name == "skipped":
                a = a.copy()
                a[:, 5::64] = np.nan
            got = guarded_copy(c)
            module.call(function, guarded_copy(a), guarded_copy(b), got)
            error = root_mean_square(got - exact)
            want = chain if name == "contracted" else chunks
            report.true(f"{cpu} {function}", abs(error - want) <= 0.02 * want, f"error {error}, expected {want}")


def main():
    report = Report()
    cases = [*contractions(), *reductions(), *transposes(), *masks()]
    for cpu, step in (("host", 1), ("x86-64-v3", 2), ("x86-64", 3)):
        chosen = cases[::step]
        module = Module("".join(case.ir for case in chosen), cpu)
        for i, case in enumerate(chosen):
            case.check(module, report, np.random.default_rng(i))
    check_views(report)
    check_accuracy(report)
    print(f"{len(cases)} functions")
    report.finish()


if __name__ == "__main__":
    in_child(main)

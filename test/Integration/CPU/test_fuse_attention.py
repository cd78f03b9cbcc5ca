# Attention written in linalg or in rope operations, as it is and fused.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import dataclasses
import sys

import numpy as np
from rope_testing import reference
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

BOUNDS = {"f16": 1e-2, "bf16": 2e-2, "f32": 2e-5, "f64": 1e-13}
INFINITY = {"f16": "0xFC00", "bf16": "0xFF80", "f32": "0xFF800000", "f64": "0xFFF0000000000000"}
# What happens to a score %x0 of type T between the products. The mask's element
# is %x1, %i and %j are the indices, %n the number of keys before the queries.
SCORES = {
    "bare": "%y = arith.addf %x0, %zero : T",
    "scale": "%y = arith.mulf %x0, %scale : T",
    "cap": "%a = arith.divf %x0, %five : T\n%b = math.tanh %a : T\n%y = arith.mulf %b, %five : T",
    "bias": "%a = arith.mulf %x0, %scale : T\n%y = arith.addf %a, %x1 : T",
    "mask": "%y = arith.select %x1, %x0, %inf : T",
    "causal": "%p = arith.addi %i, %n : index\n%s = arith.cmpi sle, %j, %p : index\n"
    "%y = arith.select %s, %x0, %inf : T",
    "window": "%p = arith.addi %i, %n : index\n%u = arith.cmpi sgt, %j, %p : index\n"
    "%l = arith.subi %p, %j : index\n%w = arith.cmpi sge, %l, %six : index\n"
    "%s = arith.ori %u, %w : i1\n%y = arith.select %s, %inf, %x0 : T",
}


def tensor(shape, element):
    return f"tensor<{''.join(f'{n}x' for n in shape)}{element}>"


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of q, k, v, cosine and sine for each, and perhaps a mask."""

    name: str
    form: str = "flat"  # flat: [BH,S,D] with repeated heads; deep: [B,H,S,D]; rope: rope.attention
    type: str = "f32"
    heads: int = 4
    group: int = 1
    channels: int = 32
    value_channels: int = 32
    scores: str = "scale"
    mask: str = ""  # its loops
    softmax: str = "generic"  # or named
    pairing: str = "half"

    @property
    def wide(self):
        return "f64" if self.type == "f64" else "f32"

    def text(self):
        """Scores and weights are of the wide type, as exporters leave them."""
        lines, wide, narrow = [], self.wide, self.type
        counter = iter(range(10**6))

        def add(text):
            name = f"%t{next(counter)}"
            lines.append(f"{name} = {text}")
            return name

        def dim(value, at):
            return add(f"tensor.dim {value[0]}, %c{at} : {tensor(*value[1:])}")

        def empty(shape, element):
            sizes = ", ".join({"B": "%B", "S": "%S", "T": "%T", "BH": "%BH"}[n] for n in shape if isinstance(n, str))
            shape = ["?" if isinstance(n, str) else n for n in shape]
            return add(f"tensor.empty({sizes}) : {tensor(shape, element)}"), shape, element

        def filled(shape, element, number):
            out = empty(shape, element)
            constant = add(f"arith.constant {number} : {element}")
            type = tensor(*out[1:])
            return add(f"linalg.fill ins({constant} : {element}) outs({out[0]} : {type}) -> {type}"), *out[1:]

        def generic(inputs, maps, out, body, reduced=""):
            loops = sorted({d for m in maps for d in m if d != "0"})
            texts = ", ".join(f"affine_map<({', '.join(loops)}) -> ({', '.join(m)})>" for m in maps)
            kinds = ", ".join('"reduction"' if d in reduced.split() else '"parallel"' for d in loops)
            for letter in "ij":
                if f"%{letter}" in body and letter in loops:
                    body = f"%{letter} = linalg.index {loops.index(letter)} : index\n{body}"
            arguments = "".join(f"%x{n}: {value[2]}, " for n, value in enumerate(inputs))
            ins = ", ".join(value[0] for value in inputs) + " : " + ", ".join(tensor(*v[1:]) for v in inputs)
            type = tensor(*out[1:])
            return add(
                f"linalg.generic {{indexing_maps = [{texts}], iterator_types = [{kinds}]}} ins({ins}) "
                f"outs({out[0]} : {type}) {{\n^bb0({arguments}%o: {out[2]}):\n{body}\n"
                f"linalg.yield %y : {out[2]}\n}} -> {type}"), *out[1:]  # fmt: skip

        def transposed(value, shape, permutation):
            out = empty(shape, value[2])
            return add(
                f"linalg.transpose ins({value[0]} : {tensor(*value[1:])}) outs({out[0]} : {tensor(*out[1:])}) "
                f"permutation = {permutation}"), *out[1:]  # fmt: skip

        def collapsed(value, groups, shape):
            return add(
                f"tensor.collapse_shape {value[0]} {groups} : {tensor(*value[1:])} into {tensor(shape, value[2])}"
            ), shape, value[2]

        heads, group, head_keys = self.heads, self.group, self.heads // self.group
        d, e = self.channels, self.value_channels
        shapes = {"q": ["?", "?", heads, d], "k": ["?", "?", head_keys, d], "v": ["?", "?", head_keys, e]}
        table = tensor(["?", d // 2], wide)
        arguments = [f"%{n}: {tensor(shapes[n], narrow)}" for n in "qkv"]
        arguments += [f"%{n}: {table}" for n in ("cq", "sq", "ck", "sk")]
        mask_type = "i1" if self.scores == "mask" else wide
        mask_shape = [{"b": "?", "h": heads, "i": "?", "j": "?"}[x] for x in self.mask]
        if self.mask:
            arguments.append(f"%mask: {tensor(mask_shape, mask_type)}")
        result = tensor(["?", "?", heads, e], narrow)
        lines += [f"%c{n} = arith.constant {n} : index" for n in range(4)]
        lines += [f"%heads = arith.constant {heads} : index", "%six = arith.constant 6 : index",
                  f"%zero = arith.constant 0.0 : {wide}", f"%five = arith.constant 5.0 : {wide}",
                  f"%scale = arith.constant 0.25 : {wide}", f"%inf = arith.constant {INFINITY[wide]} : {wide}",
                  f"%B = tensor.dim %q, %c0 : {tensor(shapes['q'], narrow)}",
                  f"%S = tensor.dim %q, %c1 : {tensor(shapes['q'], narrow)}",
                  f"%T = tensor.dim %k, %c1 : {tensor(shapes['k'], narrow)}",
                  "%BH = arith.muli %B, %heads : index", "%n = arith.subi %T, %S : index"]  # fmt: skip

        # [B,S,H,D], rotated, then [B,H,S,D].
        rotated = {}
        for n, size in (("q", "S"), ("k", "T")):
            out = empty(["B", size, *shapes[n][2:]], narrow)
            type = tensor(*out[1:])
            rotated[n] = add(
                f"rope.apply ins(%{n}, %c{n}, %s{n} : {type}, {table}, {table}) outs({out[0]} : {type}) "
                f"{{pairing = #rope.pairing<{self.pairing}>, position_dims = array<i64: 1>}}"), *out[1:]  # fmt: skip
        if self.form == "rope":
            maps = ["b, i, h, d", f"b, j, h floordiv {group}, d", f"b, j, h floordiv {group}, e", "b, i, h, e"]
            if group == 1:
                maps = [m.replace(" floordiv 1", "") for m in maps]
            texts = ", ".join(f"affine_map<(b, h, i, j, d, e) -> ({m})>" for m in maps)
            out = empty(["B", "S", heads, e], narrow)
            types = ", ".join(tensor(*v[1:]) for v in rotated.values())
            value = add(
                f"rope.attention {{scale = 0.25 : f64, causal, indexing_maps = [{texts}]}} ins({rotated['q'][0]}, "
                f"{rotated['k'][0]}, %v : {types}, {tensor(shapes['v'], narrow)}) query_offset(%n : index) "
                f"outs({out[0]} : {result})")  # fmt: skip
            return self.function(arguments, result, lines, value)

        q = transposed(rotated["q"], ["B", heads, "S", d], [0, 2, 1, 3])
        k = transposed(rotated["k"], ["B", head_keys, "T", d], [0, 2, 1, 3])
        v = transposed(("%v", shapes["v"], narrow), ["B", head_keys, "T", e], [0, 2, 1, 3])
        if group > 1:
            for n, last in (("k", d), ("v", e)):
                given = k if n == "k" else v
                out = empty(["B", head_keys, group, "T", last], narrow)
                spread = add(
                    f"linalg.broadcast ins({given[0]} : {tensor(*given[1:])}) outs({out[0]} : {tensor(*out[1:])}) "
                    f"dimensions = [2]"), *out[1:]  # fmt: skip
                flat = collapsed(spread, "[[0], [1, 2], [3], [4]]", ["?", heads, "?", last])
                k, v = (flat, v) if n == "k" else (k, flat)
        bhij, bhi = ["b", "h", "i", "j"], ["b", "h", "i"]
        product = f"%m = arith.mulf %x0, %x1 : {wide}\n%y = arith.addf %o, %m : {wide}"
        if narrow != wide:
            product = product.replace("%x0, %x1", "%p, %r")
            for n, x in enumerate("rp"):
                product = f"%{x} = arith.extf %x{1 - n} : {narrow} to {wide}\n{product}"
        if self.form == "flat":
            kt = transposed(k, ["B", heads, d, "T"], [0, 1, 3, 2])
            groups = "[[0, 1], [2], [3]]"
            fq, fk = collapsed(q, groups, ["?", "?", d]), collapsed(kt, groups, ["?", d, "?"])
            score = self.matmul(add, fq, fk, filled(["BH", "S", "T"], wide, "0.0"))
            score = add(
                f"tensor.expand_shape {score[0]} [[0, 1], [2], [3]] output_shape [%B, {heads}, %S, %T] : "
                f"{tensor(*score[1:])} into {tensor(['?', heads, '?', '?'], wide)}"
            ), ["?", heads, "?", "?"], wide  # fmt: skip
        else:
            score = generic([q, k], [["b", "h", "i", "d"], ["b", "h", "j", "d"], bhij],
                            filled(["B", heads, "S", "T"], wide, "0.0"), product, "d")  # fmt: skip

        def scores():
            return empty(["B", heads, "S", "T"], wide)

        inputs, maps = [score], [bhij, bhij]
        if self.mask:
            inputs.append(("%mask", mask_shape, mask_type))
            maps.insert(1, list(self.mask))
        score = generic(inputs, maps, scores(), SCORES[self.scores].replace(": T", f": {wide}"))
        if self.softmax == "named":
            type, out = tensor(*score[1:]), scores()
            weights = add(f"linalg.softmax dimension(3) ins({score[0]} : {type}) outs({out[0]} : {type}) -> {type}")
            weights = weights, *score[1:]
        else:
            top = generic([score], [bhij, bhi], filled(["B", heads, "S"], wide, INFINITY[wide]),
                          f"%y = arith.maximumf %x0, %o : {wide}", "j")  # fmt: skip
            less = generic([score, top], [bhij, bhi, bhij], scores(), f"%y = arith.subf %x0, %x1 : {wide}")
            power = generic([less], [bhij, bhij], scores(), f"%y = math.exp %x0 : {wide}")
            total = generic([power], [bhij, bhi], filled(["B", heads, "S"], wide, "0.0"),
                            f"%y = arith.addf %o, %x0 : {wide}", "j")  # fmt: skip
            weights = generic([power, total], [bhij, bhi, bhij], scores(), f"%y = arith.divf %x0, %x1 : {wide}")
        if narrow != wide:
            weights = generic([weights], [bhij, bhij], empty(["B", heads, "S", "T"], narrow),
                              f"%y = arith.truncf %x0 : {wide} to {narrow}")  # fmt: skip
        if self.form == "flat":
            fw, fv = collapsed(weights, groups, ["?", "?", "?"]), collapsed(v, groups, ["?", "?", e])
            out = self.matmul(add, fw, fv, filled(["BH", "S", e], wide, "0.0"))
            out = add(
                f"tensor.expand_shape {out[0]} [[0, 1], [2], [3]] output_shape [%B, {heads}, %S, {e}] : "
                f"{tensor(*out[1:])} into {tensor(['?', heads, '?', e], wide)}"
            ), ["?", heads, "?", e], wide  # fmt: skip
        else:
            out = generic([weights, v], [bhij, ["b", "h", "j", "e"], ["b", "h", "i", "e"]],
                          filled(["B", heads, "S", e], wide, "0.0"), product, "j")  # fmt: skip
        out = transposed(out, ["B", "S", heads, e], [0, 2, 1, 3])
        if narrow != wide:
            bihe = ["b", "i", "h", "e"]
            out = generic([out], [bihe, bihe], empty(["B", "S", heads, e], narrow),
                          f"%y = arith.truncf %x0 : {wide} to {narrow}")  # fmt: skip
        return self.function(arguments, result, lines, out[0])

    def matmul(self, add, a, b, out):
        type = tensor(*out[1:])
        return add(
            f"linalg.batch_matmul ins({a[0]}, {b[0]} : {tensor(*a[1:])}, {tensor(*b[1:])}) outs({out[0]} : {type}) "
            f"-> {type}"), *out[1:]  # fmt: skip

    def function(self, arguments, result, lines, value):
        body = "\n".join(lines)
        return f"func.func @{self.name}({', '.join(arguments)}) -> {result} {{\n{body}\nreturn {value} : {result}\n}}\n"

    def expected(self, q, k, v, tables, mask):
        """By the definition, in float64. Also the largest score."""
        rotated = [reference.rotate(x, c, s, (1,), self.pairing)[0] for x, (c, s) in zip((q, k), tables)]
        q, k, v = (x.astype(np.float64).transpose(0, 2, 1, 3) for x in (*rotated, v))
        k, v = np.repeat(k, self.group, 1), np.repeat(v, self.group, 1)
        queries, keys = q.shape[2], k.shape[2]
        score = q @ k.transpose(0, 1, 3, 2)
        distance = np.arange(queries)[:, None] + keys - queries - np.arange(keys)
        if self.form == "rope" or self.scores in ("scale", "bias"):
            score = score * 0.25
        if self.scores == "cap":
            score = 5 * np.tanh(score / 5)
        with np.errstate(invalid="ignore"):
            largest = np.abs(score).max(initial=1)
            if self.mask:
                shape = [n if x in self.mask else 1 for n, x in zip(score.shape, "bhij")]
                mask = mask.reshape(shape)
                score = np.where(mask, score, -np.inf) if self.scores == "mask" else score + mask
            if self.form == "rope" or self.scores in ("causal", "window"):
                score = np.where(distance >= 0, score, -np.inf)
            if self.scores == "window":
                score = np.where(distance < 6, score, -np.inf)
            top = score.max(-1, keepdims=True, initial=-np.inf)
            weights = np.exp(score - np.where(top == -np.inf, 0, top))
            total = weights.sum(-1, keepdims=True)
            weights = weights / np.where(total == 0, 1, total)
        seen = np.broadcast_to(total != 0, weights.shape[:3] + (v.shape[3],))
        return (weights @ v).transpose(0, 2, 1, 3), seen.transpose(0, 2, 1, 3), largest

    def check(self, modules, report, sizes, rng, factor=1.0):
        batches, queries, keys = sizes
        dtype, wide = reference.NUMPY[self.type], reference.NUMPY[self.wide]
        head_keys = self.heads // self.group
        q = (factor * rng.standard_normal((batches, queries, self.heads, self.channels))).astype(dtype)
        k = rng.standard_normal((batches, keys, head_keys, self.channels)).astype(dtype)
        v = rng.standard_normal((batches, keys, head_keys, self.value_channels)).astype(dtype)
        tables = []
        for first, count in ((max(keys - queries, 0), queries), (0, keys)):
            angles = (first + np.arange(count))[:, None] * 1e4 ** (-np.arange(self.channels // 2) * 2 / self.channels)
            tables.append((np.cos(angles).astype(wide), np.sin(angles).astype(wide)))
        mask = None
        if self.mask:
            shape = [{"b": batches, "h": self.heads, "i": queries, "j": keys}[x] for x in self.mask]
            hidden = rng.random(shape) < 0.3
            if "i" in self.mask and queries > 1:
                hidden[..., 1, :] = True  # a row that sees nothing
            mask = ~hidden if self.scores == "mask" else np.where(hidden, -np.inf, rng.standard_normal(shape)).astype(wide)
        expected, seen, largest = self.expected(q, k, v, tables, mask)
        results = {}
        for name, module in modules.items():
            out = np.full(expected.shape, 7, dtype)
            arguments = [q, k, v, *tables[0], *tables[1]] + [mask] * bool(self.mask)
            module.call(self.name, *arguments, out)
            results[name] = out.astype(np.float64)
        # A score is off by some roundings of its size, and so is its weight.
        bound = BOUNDS[self.type] * max(np.abs(expected).max(initial=0), 1e-30) * max(1.0, largest / 20)
        for name, got in results.items():
            label = f"{name} {self.name} {sizes}"
            if name == "unfused":  # not a number where nothing is seen
                got, want = np.where(seen, got, 0), np.where(seen, expected, 0)
                report.close(f"unfused {self.type}", label, got, want, bound)
            else:
                report.close(f"fused {self.type}", label, got, expected, bound)
                if "unfused" in results:
                    other = np.where(seen, results["unfused"], 0)
                    report.close(f"both {self.type}", label, got, other, 2 * bound)


# A table of its own, of one head, which attention makes itself.
X, TABLE = "tensor<1x63x1x32xf32>", "tensor<63x16xf32>"
OWN_TABLE = f"""
func.func @own_table(%q: {X}, %k: {X}, %v: {X}, %p: tensor<63xi64>) -> {X} {{
  %f = rope.frequencies base(1.0e+04) : tensor<16xf64>
  %e = tensor.empty() : {TABLE}
  %c, %s = rope.table ins(%p, %f : tensor<63xi64>, tensor<16xf64>) outs(%e, %e : {TABLE}, {TABLE})
             {{magnitude = 1.25 : f64}}
  %o = tensor.empty() : {X}
  %r = rope.apply ins(%q, %c, %s : {X}, {TABLE}, {TABLE}) outs(%o : {X})
         {{pairing = #rope.pairing<half>, position_dims = array<i64: 1>}}
  %a = rope.attention {{scale = 0.25 : f64, indexing_maps = [
           affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h, d)>,
           affine_map<(b, h, i, j, d, e) -> (b, j, h, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}}
         ins(%r, %k, %v : {X}, {X}, {X}) outs(%o : {X})
  return %a : {X}
}}
"""


def check_own_table(report):
    fused = run("rope-opt", "-", "--rope-optimize", stdin=OWN_TABLE)
    report.true("own_table", "angles" in fused and "rope.table" not in fused, f"the table is left:\n{fused}")
    rng = np.random.default_rng(11)
    q, k, v = (rng.standard_normal((1, 63, 1, 32)).astype(np.float32) for _ in range(3))
    positions = rng.integers(0, 1 << 20, 63)
    tables = reference.cos_sin(positions, [1e4 ** (-n / 16) for n in range(16)], 1.25)
    rotated = reference.rotate(q, *tables, (1,))[0][0, :, 0]
    score = 0.25 * rotated @ k[0, :, 0].astype(float).T
    weights = np.exp(score - score.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v[0, :, 0].astype(float)
    for name, text in (("unfused", OWN_TABLE), ("fused", fused)):
        out = np.full(q.shape, 7, np.float32)
        Module(text).call("own_table", q, k, v, positions, out)
        report.close("own table", f"{name} own_table", out[0, :, 0], expected, 2e-5 * np.abs(expected).max())


TYPES = list(BOUNDS)
CASES = [
    *(Case(f"rope_{t}", "rope", t, group=2) for t in TYPES),
    *(Case(f"flat_{t}", "flat", t, group=2) for t in TYPES),
    *(Case(f"deep_{t}", "deep", t, scores="causal") for t in ("bf16", "f32")),
    Case("rope_wide", "rope", heads=2, channels=256, value_channels=256),
    Case("rope_interleaved", "rope", heads=6, group=3, channels=64, pairing="interleaved"),
    Case("flat_bare", scores="bare"),
    Case("flat_cap", scores="cap", group=4),
    Case("flat_causal", scores="causal", group=2),
    Case("flat_window", scores="window", group=4, value_channels=48),
    Case("flat_bias_of_batch", scores="bias", mask="bij", group=2),
    Case("flat_mask", scores="mask", mask="bij"),
    Case("flat_mask_bf16", type="bf16", scores="mask", mask="ij", group=2),
    Case("deep_bias", "deep", scores="bias", mask="hij"),
    Case("deep_window", "deep", scores="window"),
    Case("deep_mask", "deep", scores="mask", mask="bj", heads=3, channels=128),
    Case("deep_interleaved", "deep", pairing="interleaved", channels=64),
    Case("named_flat", softmax="named", group=2),
    Case("named_deep", "deep", softmax="named", scores="causal"),
]
UNFUSED = {f"{form}_{t}" for form in ("rope", "flat") for t in TYPES} | {"flat_window", "flat_mask", "deep_bias"}
SIZES = [(1, 1, 1), (2, 2, 2), (1, 5, 5), (2, 1, 70), (1, 63, 63), (1, 64, 64), (2, 65, 65), (1, 5, 130), (0, 3, 3)]


def main():
    report = Report()
    only = sys.argv[1:]
    cases = [case for case in CASES if not only or case.name in only]
    # Scalar code for what is not fused takes longest to compile: not of all.
    chosen = {
        "unfused": [case for case in cases if case.name in UNFUSED or (only and case.softmax == "generic")],
        "load": cases,
        "once": cases[:: 1 if only else 6],
    }
    modules = {}
    for name, part in chosen.items():
        text = "".join(case.text() for case in part)
        if name != "unfused":
            text = run("rope-opt", "-", f"--rope-optimize=key-rotation={name}", stdin=text)
            report.true(name, text.count("rope.attention") == len(part), f"not all were raised:\n{text}")
            left = text.count("rope.apply")
            report.true(name, left == (0 if name == "load" else len(part)), f"{left} rotations are left")
            report.true(name, "softmax" not in text and "math.exp" not in text, "a softmax is left")
        modules[name] = Module(text)
    for n, case in enumerate(cases):
        mine = {name: module for name, module in modules.items() if case in chosen[name]}
        for sizes in SIZES:
            case.check(mine, report, sizes, np.random.default_rng(n))
        case.check(mine, report, (1, 9, 9), np.random.default_rng(n), factor=100.0)
        if case.name in ("rope_f32", "flat_causal", "rope_bf16"):
            case.check(mine, report, (1, 333, 333), np.random.default_rng(5))
    if not only:
        check_own_table(report)
    report.finish()


if __name__ == "__main__":
    in_child(main)

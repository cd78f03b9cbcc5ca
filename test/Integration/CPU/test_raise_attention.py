# Attention as exporters spell it, as it is and raised.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import dataclasses

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

LOWEST = "0xFF800000"
SIZES = {"B": 2, "S": 5, "T": 7}
HEADS, KEY_HEADS, CHANNELS = 4, 2, 16


@dataclasses.dataclass(frozen=True)
class Spelling:
    """A function of q [B,4,S,16], k and v [B,2,T,16], a mask [B,1,S,T] and sinks
    [4]; of the same heads everywhere with `heads` none."""

    name: str
    dynamic: bool = False
    heads: str = "collapse"  # collapse, reshape, none
    product: str = "batch"  # batch: [BH,S,D]; deep: [B,H,S,D]
    scale: str = "after"  # after, divided, query, both
    scores: str = "add"  # add, keep, cap, none
    softmax: str = "argmax"  # how it is computed
    wrong: str = ""  # what makes it no attention, or one with other users

    def text(self):
        lines, count = [], iter(range(10**6))

        def shape(dims):
            return "".join(f"{'?' if self.dynamic and d in SIZES else SIZES.get(d, d)}x" for d in dims)

        def product(d):
            return f"{SIZES['B'] * HEADS}" if d == "BH" and not self.dynamic else "?" if d == "BH" else d

        def type(dims, element="f32"):
            return f"tensor<{shape([product(d) for d in dims])}{element}>"

        def add(text):
            name = f"%t{next(count)}"
            lines.append(f"{name} = {text}")
            return name

        def empty(dims, element="f32"):
            sizes = [f"%{d}" for d in dims if self.dynamic and d in (*SIZES, "BH")]
            return add(f"tensor.empty({', '.join(sizes)}) : {type(dims, element)}")

        def fill(dims, number, element="f32"):
            out = empty(dims, element)
            return add(f"linalg.fill ins(%{number} : {element}) outs({out} : {type(dims, element)}) -> {type(dims, element)}")

        def generic(values, out, body, reduced=(), init=None, element="f32"):
            """`values` are (value, map, dims, element); `out` is (map, dims)."""
            loops = sorted({d for m in [*(v[1] for v in values), out[0]] for d in m if d != "0"})
            maps = ", ".join(
                f"affine_map<({', '.join(loops)}) -> ({', '.join(m)})>" for m in [*(v[1] for v in values), out[0]]
            )
            kinds = ", ".join('"reduction"' if d in reduced else '"parallel"' for d in loops)
            init = init or empty(out[1], element)
            arguments = "".join(f"%x{n}: {v[3]}, " for n, v in enumerate(values))
            ins = ", ".join(v[0] for v in values) + " : " + ", ".join(type(v[2], v[3]) for v in values)
            return add(
                f"linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} ins({ins}) "
                f"outs({init} : {type(out[1], element)}) {{\n^bb0({arguments}%o: {element}):\n{body}\n"
                f"linalg.yield %y : {element}\n}} -> {type(out[1], element)}"
            )

        def each(body, *values, dims="BHST", element="f32"):
            """Scalar operations on [B,H,S,T] and what is broadcast to it."""
            dims = ["B", HEADS, "S", "T"] if dims == "BHST" else dims
            letters = "bhij"[: len(dims)] if len(dims) < 5 else "bhgij"
            full = [
                (v[0], [x if d != 1 else "0" for x, d in zip(letters, v[1])], v[1], v[2] if len(v) > 2 else "f32")
                for v in values
            ]
            return generic(full, (list(letters), dims), body, element=element)

        def collapsed(value, groups, before, after):
            return add(f"tensor.collapse_shape {value} {groups} : {type(before)} into {type(after)}")

        heads = HEADS if self.heads == "none" else KEY_HEADS
        scores, row = ["B", HEADS, "S", "T"], ["B", HEADS, "S", 1]
        q_dims, k_dims = ["B", HEADS, "S", CHANNELS], ["B", heads, "T", CHANNELS]
        lines += [f"%c{n} = arith.constant {n} : index" for n in range(4)]
        lines += ["%heads = arith.constant 4 : index", "%channels = arith.constant 16 : index"]
        lines += [f"%{n} = arith.constant {v} : f32" for n, v in
                  {"zero": "0.0", "one": "1.0", "low": LOWEST, "half": "0.5", "quarter": "0.25", "four": "4.0",
                   "log2e": "1.44269502", "five": "5.0", "hidden": "-1.0e+09"}.items()]  # fmt: skip
        lines += ["%none = arith.constant 0 : i64"]
        lines += [f"%B = tensor.dim %q, %c0 : {type(q_dims)}", f"%S = tensor.dim %q, %c2 : {type(q_dims)}",
                  f"%T = tensor.dim %k, %c2 : {type(k_dims)}", "%BH = arith.muli %B, %heads : index"]  # fmt: skip

        q, k, v = "%q", "%k", "%v"
        before = {"query": "quarter", "both": "half"}.get(self.scale)
        if before:
            q = each(f"%y = arith.mulf %x0, %{before} : f32", (q, q_dims), dims=q_dims)
        if self.heads != "none":
            wide, full = ["B", KEY_HEADS, 2, "T", CHANNELS], ["B", HEADS, "T", CHANNELS]

            def repeated(value):
                out = empty(wide)
                deep = add(
                    "linalg.generic {indexing_maps = [affine_map<(b, h, g, j, d) -> (b, h, j, d)>, "
                    "affine_map<(b, h, g, j, d) -> (b, h, g, j, d)>], iterator_types = ["
                    + ", ".join(['"parallel"'] * 5)
                    + f"]}} ins({value} : {type(k_dims)}) outs({out} : {type(wide)}) {{\n^bb0(%x: f32, %o: f32):\n"
                    f"linalg.yield %x : f32\n}} -> {type(wide)}"
                )
                if self.heads == "collapse":
                    return collapsed(deep, "[[0], [1, 2], [3], [4]]", wide, full)
                sizes = [add(f"arith.index_cast %{n} : index to i64") for n in ("B", "heads", "T", "channels")]
                sizes = add(f"tensor.from_elements {', '.join(sizes)} : tensor<4xi64>")
                return add(f"tensor.reshape {deep}({sizes}) : ({type(wide)}, tensor<4xi64>) -> {type(full)}")

            k, v, k_dims = repeated(k), repeated(v), full
        if self.scale == "both":
            k = each("%y = arith.mulf %x0, %half : f32", (k, k_dims), dims=k_dims)

        flat = "[[0, 1], [2], [3]]"
        if self.product == "batch":
            out = empty(["B", HEADS, CHANNELS, "T"])
            k_t = ["B", HEADS, CHANNELS, "T"]
            k = add(f"linalg.transpose ins({k} : {type(k_dims)}) outs({out} : {type(k_t)}) permutation = [0, 1, 3, 2]")
            q = collapsed(q, flat, q_dims, ["BH", "S", CHANNELS])
            k = collapsed(k, flat, k_t, ["BH", CHANNELS, "T"])
            zero = fill(["BH", "S", "T"], "zero")
            x = add(f"linalg.batch_matmul ins({q}, {k} : {type(['BH', 'S', CHANNELS])}, {type(['BH', CHANNELS, 'T'])}) "
                    f"outs({zero} : {type(['BH', 'S', 'T'])}) -> {type(['BH', 'S', 'T'])}")  # fmt: skip
            sizes = ", ".join(f"%{d}" if self.dynamic and d in SIZES else str(SIZES.get(d, d)) for d in scores)
            if self.dynamic:
                batches = add("arith.divsi %BH, %heads : index")
                sizes = sizes.replace("%B", batches)
            x = add(f"tensor.expand_shape {x} {flat} output_shape [{sizes}] : {type(['BH', 'S', 'T'])} into {type(scores)}")
        else:
            x = generic([(q, list("bhid"), q_dims, "f32"), (k, list("bhjd"), k_dims, "f32")], (list("bhij"), scores),
                        "%z = arith.mulf %x0, %x1 : f32\n%y = arith.addf %o, %z : f32", "d", fill(scores, "zero"))  # fmt: skip
        if self.scale in ("after", "divided"):
            op = "mulf %x0, %quarter" if self.scale == "after" else "divf %x0, %four"
            x = each(f"%y = arith.{op} : f32", (x, scores))
        mask = ("%mask", ["B", 1, "S", "T"])
        if self.scores == "cap":
            x = each("%a = arith.divf %x0, %five : f32\n%b = math.tanh %a : f32\n%y = arith.mulf %b, %five : f32", (x, scores))
        elif self.scores == "add":
            x = each("%y = arith.addf %x0, %x1 : f32", (x, scores), mask)
        elif self.scores == "keep":
            keep = each("%y = arith.cmpf oge, %x0, %zero : f32", mask, dims=mask[1], element="i1")
            x = each("%y = arith.select %x1, %x0, %hidden : f32", (x, scores), (keep, mask[1], "i1"))

        def reduce(value, body, number, over="j", element="f32", dims=scores):
            out = [1 if d == over else n for d, n in zip("bhij", dims)]
            return generic([(value, list("bhij"), dims, element)],
                           (["0" if d == over else d for d in "bhij"], out), body, over,
                           fill(out, number, element), element), out  # fmt: skip

        over = "i" if self.wrong == "dimension" else "j"
        if self.softmax == "sinks":
            out, one = empty(row), ["B", HEADS, "S", 1]
            sinks = add("linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (h)>, affine_map<(b, h, i, j) -> (b, h, i, j)>], "
                        'iterator_types = ["parallel", "parallel", "parallel", "parallel"]} '
                        f"ins(%sinks : tensor<4xf32>) outs({out} : {type(one)}) {{\n^bb0(%x: f32, %o: f32):\n"
                        f"linalg.yield %x : f32\n}} -> {type(one)}")  # fmt: skip
            longer = f"tensor<{shape(['B', HEADS, 'S'])}{'?' if self.dynamic else SIZES['T'] + 1}xf32>"
            x = add(f"tensor.concat dim(3) {x}, {sinks} : ({type(scores)}, {type(one)}) -> {longer}")
            sizes = ", ".join(f"%{d}" if self.dynamic and d in SIZES else str(SIZES.get(d, d)) for d in scores)
            more = add("arith.addi %T, %c1 : index")
            out = add(f"tensor.empty({'%B, %S, ' + more if self.dynamic else ''}) : {longer}")
            w = add(f"linalg.softmax dimension(3) ins({x} : {longer}) outs({out} : {longer}) -> {longer}")
            w = add(f"tensor.extract_slice {w}[0, 0, 0, 0] [{sizes}] [1, 1, 1, 1] : {longer} to {type(scores)}")
        elif self.softmax == "named":
            w = add(f"linalg.softmax dimension(3) ins({x} : {type(scores)}) outs({empty(scores)} : {type(scores)}) -> {type(scores)}")
        else:
            if self.softmax == "exp2":
                x = each("%y = arith.mulf %x0, %log2e : f32", (x, scores))
            if self.softmax == "no_maximum":
                top = None
            elif self.softmax == "argmax":
                three = ["B", HEADS, "S"]
                low, zero = fill(three, "low"), fill(three, "none", "i64")
                both = add("linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>, affine_map<(b, h, i, j) -> (b, h, i)>, "
                           'affine_map<(b, h, i, j) -> (b, h, i)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} '
                           f"ins({x} : {type(scores)}) outs({low}, {zero} : {type(three)}, {type(three, 'i64')}) {{\n"
                           "^bb0(%x: f32, %o: f32, %p: i64):\n%i = linalg.index 3 : index\n%n = arith.index_cast %i : index to i64\n"
                           "%m = arith.maximumf %x, %o : f32\n%c = arith.cmpf ogt, %x, %o : f32\n"
                           "%s = arith.select %c, %n, %p : i64\nlinalg.yield %m, %s : f32, i64\n} -> "
                           f"({type(three)}, {type(three, 'i64')})")  # fmt: skip
                sizes = ", ".join(f"%{d}" if self.dynamic and d in SIZES else str(SIZES.get(d, d)) for d in row)
                top = add(f"tensor.expand_shape {both}#0 [[0], [1], [2, 3]] output_shape [{sizes}] : {type(three)} into {type(row)}")
                lines[-2] = lines[-2].replace(f"{both} =", f"{both}:2 =")
                top = (top, row)
            elif self.softmax == "select":
                top = reduce(x, "%c = arith.cmpf ogt, %x0, %o : f32\n%y = arith.select %c, %x0, %o : f32", "low", over)
            else:
                top = reduce(x, "%y = arith.maxnumf %o, %x0 : f32", "low", over)
            if self.softmax == "guarded":
                top = each("%y = arith.maximumf %x0, %low : f32", top, dims=top[1]), top[1]
            if self.softmax == "twice":
                x = each("%y = arith.subf %x0, %x1 : f32", (x, scores), top)
                top = reduce(x, "%y = arith.maximumf %x0, %o : f32", "low", over)
            exp = "exp2" if self.softmax == "exp2" else "exp"
            if self.softmax == "no_maximum":
                e = each("%y = math.exp %x0 : f32", (x, scores))
            elif self.softmax == "fused":
                e = each(f"%a = arith.subf %x0, %x1 : f32\n%y = math.{exp} %a : f32", (x, scores), top)
            else:
                e = each("%y = arith.subf %x0, %x1 : f32", (x, scores), top)
                e = each(f"%y = math.{exp} %x0 : f32", (e, scores))
            body = "%y = arith.addf %x0, %o : f32"
            if self.wrong == "squares":
                body = "%z = arith.mulf %x0, %x0 : f32\n%y = arith.addf %z, %o : f32"
            total = reduce(e, body, "one" if self.wrong == "sum" else "zero", over)
            if self.softmax == "reciprocal":
                total = each("%y = arith.divf %one, %x0 : f32", total, dims=total[1]), total[1]
                w = each("%y = arith.mulf %x0, %x1 : f32", (e, scores), total)
            elif self.softmax == "reciprocal_inside":
                w = each("%a = arith.divf %one, %x1 : f32\n%y = arith.mulf %a, %x0 : f32", (e, scores), total)
            else:
                w = each("%y = arith.divf %x0, %x1 : f32", (e, scores), total)
        if self.wrong == "dropout":
            w = each("%y = arith.mulf %x0, %x1 : f32", (w, scores), mask)
        if self.softmax == "narrowed":
            w = each("%y = arith.truncf %x0 : f32 to bf16", (w, scores), element="bf16")
            w = each("%y = arith.extf %x0 : bf16 to f32", (w, scores, "bf16"))

        results, types = [], []
        if self.product == "batch":
            result = ["B", HEADS, "S", CHANNELS]
            zero = fill(["BH", "S", CHANNELS], "zero")
            left = collapsed(w, flat, scores, ["BH", "S", "T"])
            right = collapsed(v, flat, k_dims, ["BH", "T", CHANNELS])
            y = add(f"linalg.batch_matmul ins({left}, {right} : {type(['BH', 'S', 'T'])}, {type(['BH', 'T', CHANNELS])}) "
                    f"outs({zero} : {type(['BH', 'S', CHANNELS])}) -> {type(['BH', 'S', CHANNELS])}")  # fmt: skip
            sizes = ", ".join(f"%{d}" if self.dynamic and d in SIZES else str(SIZES.get(d, d)) for d in result)
            y = add(f"tensor.expand_shape {y} {flat} output_shape [{sizes}] : {type(['BH', 'S', CHANNELS])} into {type(result)}")
        else:
            result = ["B", HEADS, "S", CHANNELS]
            y = generic([(w, list("bhij"), scores, "f32"), (v, list("bhje"), k_dims, "f32")], (list("bhie"), result),
                        "%z = arith.mulf %x0, %x1 : f32\n%y = arith.addf %o, %z : f32", "j", fill(result, "zero"))  # fmt: skip
        results, types = [y], [type(result)]
        if self.wrong == "user":
            results.append(w)
            types.append(type(scores))
        given = ["B", heads, "T", CHANNELS]
        return (
            f"func.func @{self.name}(%q: {type(q_dims)}, %k: {type(given)}, %v: {type(given)}, "
            f"%mask: {type(mask[1])}, %sinks: tensor<4xf32>) -> ({', '.join(types)}) {{\n"
            + "\n".join(lines)
            + f"\nreturn {', '.join(results)} : {', '.join(types)}\n}}\n"
        )

    def inputs(self, rng):
        b, s, t = SIZES.values()
        heads = HEADS if self.heads == "none" else KEY_HEADS
        shapes = [(b, HEADS, s, CHANNELS), (b, heads, t, CHANNELS), (b, heads, t, CHANNELS), (b, 1, s, t), (HEADS,)]
        return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def reference(self, q, k, v, mask, sinks):
        q, k, v, mask, sinks = (x.astype(np.float64) for x in (q, k, v, mask, sinks))
        repeats = HEADS // k.shape[1]
        k, v = np.repeat(k, repeats, 1), np.repeat(v, repeats, 1)
        x = q @ k.swapaxes(2, 3) / 4
        if self.scores == "cap":
            x = 5 * np.tanh(x / 5)
        elif self.scores == "add":
            x = x + mask
        elif self.scores == "keep":
            x = np.where(mask >= 0, x, -1e9)
        if self.softmax == "sinks":
            x = np.concatenate([x, np.broadcast_to(sinks[:, None, None], (*x.shape[:3], 1))], 3)
        axis = 2 if self.wrong == "dimension" else 3
        top = x.max(axis, keepdims=True)
        e = np.exp(x - top)
        total = (e**2 if self.wrong == "squares" else e).sum(axis, keepdims=True) + (self.wrong == "sum")
        w = (e / total)[..., : k.shape[2]]
        if self.wrong == "dropout":
            w = w * mask
        return [w @ v, *([w] if self.wrong == "user" else [])]


# Heads and groups of them are two dimensions, as products over many leave them.
Q, K, X = "tensor<2x5x2x2x16xf32>", "tensor<2x7x2x16xf32>", "tensor<2x2x2x5x7xf32>"
GROUPED = f"""
#bhgij = affine_map<(b, h, g, i, j, d) -> (b, h, g, i, j)>
#mask = affine_map<(b, h, g, i, j) -> (b, h, g, i, j)>
func.func @grouped(%q: {Q}, %k: {K}, %v: {K}, %mask: tensor<2x2x2x5x7xf32>) -> {Q} {{
  %zero = arith.constant 0.0 : f32
  %ex = tensor.empty() : {X}
  %ea = tensor.empty() : {Q}
  %zx = linalg.fill ins(%zero : f32) outs(%ex : {X}) -> {X}
  %za = linalg.fill ins(%zero : f32) outs(%ea : {Q}) -> {Q}
  %p = linalg.generic {{indexing_maps = [
           affine_map<(b, h, g, i, j, d) -> (b, i, h, g, d)>, affine_map<(b, h, g, i, j, d) -> (b, j, h, d)>, #bhgij],
         iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]}}
         ins(%q, %k : {Q}, {K}) outs(%zx : {X}) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %c = arith.mulf %a, %b : f32
    %d = arith.addf %o, %c : f32
    linalg.yield %d : f32
  }} -> {X}
  %x = linalg.generic {{indexing_maps = [#mask, #mask, #mask],
         iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}}
         ins(%p, %mask : {X}, {X}) outs(%ex : {X}) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %c = arith.addf %a, %b : f32
    linalg.yield %c : f32
  }} -> {X}
  %w = linalg.softmax dimension(4) ins(%x : {X}) outs(%ex : {X}) -> {X}
  %y = linalg.generic {{indexing_maps = [
           #bhgij, affine_map<(b, h, g, i, j, e) -> (b, j, h, e)>, affine_map<(b, h, g, i, j, e) -> (b, i, h, g, e)>],
         iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "parallel"]}}
         ins(%w, %v : {X}, {K}) outs(%za : {Q}) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %c = arith.mulf %a, %b : f32
    %d = arith.addf %o, %c : f32
    linalg.yield %d : f32
  }} -> {Q}
  return %y : {Q}
}}
"""


def check_grouped(report):
    raised = run("rope-opt", "-", "--pass-pipeline=builtin.module(func.func(rope-fuse-attention))", stdin=GROUPED)
    report.true("grouped", "rope.attention" in raised and "linalg" not in raised, f"not raised:\n{raised}")
    rng = np.random.default_rng(3)
    shapes = [(2, 5, 2, 2, 16), (2, 7, 2, 16), (2, 7, 2, 16), (2, 2, 2, 5, 7)]
    q, k, v, mask = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    score = np.einsum("bihgd,bjhd->bhgij", q.astype(float), k.astype(float)) + mask
    weights = np.exp(score - score.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    expected = np.einsum("bhgij,bjhe->bihge", weights, v.astype(float))
    out = np.full(q.shape, 7, np.float32)
    Module(raised).call("grouped", q, k, v, mask, out)
    report.close("grouped", "grouped", out, expected, 2e-5 * np.abs(expected).max())


RIGHT = [
    Spelling("argmax"),
    Spelling("argmax_dynamic", dynamic=True),
    Spelling("reshape_dynamic", dynamic=True, heads="reshape"),
    Spelling("no_groups", heads="none", scale="divided"),
    Spelling("deep", product="deep", scale="query", scores="keep"),
    Spelling("deep_dynamic", dynamic=True, product="deep", scale="both", softmax="fused"),
    Spelling("cap", scores="cap", softmax="maxnum"),
    Spelling("bare", scores="none", softmax="named"),
    Spelling("select", softmax="select"),
    Spelling("guarded", softmax="guarded"),
    Spelling("exp2", softmax="exp2"),
    Spelling("exp2_dynamic", dynamic=True, heads="reshape", softmax="exp2", scale="query"),
    Spelling("twice", softmax="twice"),
    Spelling("no_maximum", softmax="no_maximum"),
    Spelling("reciprocal", softmax="reciprocal"),
    Spelling("reciprocal_inside", softmax="reciprocal_inside", product="deep"),
    Spelling("narrowed", softmax="narrowed"),
    Spelling("sinks", softmax="sinks"),
    Spelling("sinks_dynamic", dynamic=True, softmax="sinks", scores="keep"),
]
WRONG = [
    Spelling("over_queries", wrong="dimension", softmax="maxnum"),
    Spelling("sum_from_one", wrong="sum", softmax="maxnum"),
    Spelling("sum_of_squares", wrong="squares", softmax="maxnum"),
    Spelling("dropout", wrong="dropout"),
    Spelling("other_user", wrong="user"),
]


def main():
    report = Report()
    modules = {}
    for name, spellings in (("right", RIGHT), ("wrong", WRONG)):
        text = "".join(spelling.text() for spelling in spellings)
        raised = run("rope-opt", "-", "--pass-pipeline=builtin.module(func.func(rope-fuse-attention))", stdin=text)
        for part, spelling in zip(raised.split("func.func ")[1:], spellings):
            found = part.count("rope.attention")
            report.true(name, found == (name == "right"), f"{spelling.name} has {found} attentions")
            left = part.count("math.exp") + part.count("linalg.softmax")
            report.true(name, name == "wrong" or left == 0, f"{spelling.name} has a softmax left")
        # What nothing lowers is compared raised alone.
        plain = "".join(spelling.text() for spelling in spellings if "linalg.softmax" not in spelling.text())
        modules[name] = Module(plain), Module(raised)
    for n, spelling in enumerate([*RIGHT, *WRONG]):
        inputs = spelling.inputs(np.random.default_rng(n))
        expected = spelling.reference(*inputs)
        bound = 1e-2 if spelling.softmax == "narrowed" else 2e-5
        kinds = zip(("as it is", "raised"), modules["wrong" if spelling.wrong else "right"])
        for kind, module in list(kinds)["linalg.softmax" in spelling.text() :]:
            results = [np.full(x.shape, 7, np.float32) for x in expected]
            module.call(spelling.name, *inputs, *results)
            for got, want in zip(results, expected):
                report.close(kind, f"{spelling.name} {kind}", got, want, bound * max(1, np.abs(want).max()))
    check_grouped(report)
    report.finish()


if __name__ == "__main__":
    in_child(main)

# Functions of rope.attention and their definition.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The text of one function of rope.attention for each choice of layout, heads,
types, visibility and scores, and what it computes in float64 by the definition.
"""

import dataclasses

import numpy as np

BOUNDS = {"f16": 1e-2, "bf16": 1e-2, "f32": 2e-5, "f64": 1e-13}
LOOPS = "b, h, i, j, d, e"


@dataclasses.dataclass(frozen=True)
class Attention:
    """One function, and what it computes in float64 by the definition."""

    name: str
    type: str = "f32"
    value_type: str = ""  # of values and results, if it differs
    query: str = "bihd"  # order of dimensions
    key: str = "bjhd"
    value: str = "bjhe"
    result: str = "bihe"
    heads: int = 4
    group: int = 1  # query heads that share a key; 0: keys have no heads
    value_group: int = -1
    channels: int = 32
    value_channels: int = 32
    lengths_known: tuple = ()  # static sizes: ("i", 7)
    scale: float = 0.17677669529663687
    causal: bool = False
    window: int = 0
    chunk: int = 0
    offset: str = ""  # "number", "batch"
    lengths: bool = False
    sinks: bool = False
    log_sum_exp: bool = False
    cap: float = 0.0
    masks: tuple = ()  # "bij:f32", "1j:i1", ...
    rotate: str = ""  # "q", "k", "qk" by tables; "qk angles"
    base: float = 1e4  # of the rotations

    def groups(self):
        value_group = self.group if self.value_group < 0 else self.value_group
        return self.group, value_group

    def operand(self, dims, group=1):
        """The map and the shape of an operand with dimensions `dims`."""
        static = dict(self.lengths_known)
        sizes = {"h": self.heads, "d": self.channels, "e": self.value_channels, **static}
        expressions, shape = [], []
        for dim in dims:
            if dim == "1":
                expressions.append("0")
                shape.append("1")
            elif dim == "h" and group > 1:
                expressions.append(f"h floordiv {group}")
                shape.append(str(self.heads // group))
            else:
                expressions.append(dim)
                shape.append(str(sizes.get(dim, "?")))
        return f"affine_map<({LOOPS}) -> ({', '.join(expressions)})>", "x".join(shape)

    def text(self):
        group, value_group = self.groups()
        value_type = self.value_type or self.type
        accumulate = "f64" if "f64" in (self.type, value_type) else "f32"
        q_map, q_shape = self.operand(self.query)
        k_map, k_shape = self.operand(self.key, group)
        v_map, v_shape = self.operand(self.value, value_group)
        o_map, o_shape = self.operand(self.result)
        q, k = (f"tensor<{shape}x{self.type}>" for shape in (q_shape, k_shape))
        v, o = (f"tensor<{shape}x{value_type}>" for shape in (v_shape, o_shape))
        arguments = [f"%q: {q}", f"%k: {k}", f"%v: {v}"]
        maps, mask_types, clauses = [q_map, k_map, v_map], [], []
        for i, mask in enumerate(self.masks):
            dims, element = mask.split(":")
            mask_map, shape = self.operand(dims)
            maps.append(mask_map)
            mask_types.append((f"tensor<{shape + 'x' if shape else ''}{element}>", element))
            arguments.append(f"%m{i}: {mask_types[-1][0]}")
        if self.masks:
            names = ", ".join(f"%m{i}" for i in range(len(self.masks)))
            types = ", ".join(type for type, _ in mask_types)
            clauses.append(f"score_operands({names} : {types})")
        if self.offset:
            type = "i64" if self.offset == "number" else "tensor<?xi64>"
            arguments.append(f"%offset: {type}")
            clauses.append(f"query_offset(%offset : {type})")
        if self.lengths:
            arguments.append("%lengths: tensor<?xi32>")
            clauses.append("lengths(%lengths : tensor<?xi32>)")
        if self.sinks:
            arguments.append(f"%sinks: tensor<{self.heads}xf32>")
            clauses.append(f"sinks(%sinks : tensor<{self.heads}xf32>)")
        pairs, frequencies = self.channels // 2, ""
        if "angles" in self.rotate:
            frequencies = f"%f = rope.frequencies base({self.base:.6e}) : tensor<{pairs}xf64>"
        for letter, name, dims, loop in (("q", "query", self.query, "i"), ("k", "key", self.key, "j")):
            if letter not in self.rotate.split(" ")[0]:
                continue
            position = dims.index(loop)
            if "angles" in self.rotate:
                arguments.append(f"%p{letter}: tensor<?xi64>")
                clauses.append(
                    f"rotate_{name}(%p{letter}, %f : tensor<?xi64>, tensor<{pairs}xf64>) by <pairing = half, "
                    f"position_dims = [{position}], angles = <magnitude = 1.0>>")
            else:
                table = f"tensor<?x{pairs}xf32>"
                arguments += [f"%c{letter}: {table}", f"%s{letter}: {table}"]
                clauses.append(
                    f"rotate_{name}(%c{letter}, %s{letter} : {table}, {table}) by "
                    f"<pairing = half, position_dims = [{position}]>")
        maps.append(o_map)
        results = [o]
        if self.log_sum_exp:
            sum_map, sum_shape = self.operand(self.result.replace("e", ""))
            maps.append(sum_map)
            results.append(f"tensor<{sum_shape}xf32>")
        inits, types = [], []
        body = []
        for n, type in enumerate(results):
            dims = self.result if n == 0 else self.result.replace("e", "")
            names = []
            for at, dim in enumerate(dims):
                if type.split("<")[1].split("x")[at] == "?":
                    source, source_dims = ("%q", self.query)
                    names.append(f"%dim{n}{at}")
                    body.append(f"%c{n}{at} = arith.constant {source_dims.index(dim)} : index")
                    body.append(f"%dim{n}{at} = tensor.dim {source}, %c{n}{at} : {q}")
            body.append(f"%init{n} = tensor.empty({', '.join(names)}) : {type}")
            inits.append(f"%init{n}")
        attributes = [f"scale = {self.scale!r} : f64", f"indexing_maps = [{', '.join(maps)}]"]
        attributes += ["causal"] * self.causal
        attributes += [f"window = {self.window} : i64"] * bool(self.window)
        attributes += [f"chunk = {self.chunk} : i64"] * bool(self.chunk)
        region = ""
        if self.cap or self.masks:
            elements = "".join(f", %x{i}: {element}" for i, (_, element) in enumerate(mask_types))
            lines, score = [], "%score"
            if self.cap:
                lines += [f"%cap = arith.constant {self.cap!r} : {accumulate}",
                          f"%t0 = arith.divf {score}, %cap : {accumulate}",
                          f"%t1 = math.tanh %t0 : {accumulate}",
                          f"%t2 = arith.mulf %t1, %cap : {accumulate}"]
                score = "%t2"
            for i, (_, element) in enumerate(mask_types):
                if element == "i1":
                    lines.append(f"%inf{i} = arith.constant {'0xFFF0000000000000' if accumulate == 'f64' else '0xFF800000'} : {accumulate}")
                    lines.append(f"%y{i} = arith.select %x{i}, {score}, %inf{i} : {accumulate}")
                else:
                    wide = f"%x{i}"
                    if element != accumulate:
                        lines.append(f"%w{i} = arith.extf %x{i} : {element} to {accumulate}")
                        wide = f"%w{i}"
                    lines.append(f"%y{i} = arith.addf {score}, {wide} : {accumulate}")
                score = f"%y{i}"
            region = (f" {{\n  ^bb0(%score: {accumulate}, %b: index, %h: index, %i: index, %j: index{elements}):\n    "
                      + "\n    ".join(lines) + f"\n    rope.yield {score} : {accumulate}\n  }}")
        names = ", ".join(f"%r#{n}" for n in range(len(results))) if len(results) > 1 else "%r"
        binding = f"%r:{len(results)}" if len(results) > 1 else "%r"
        newline = "\n    "
        return f"""
func.func @{self.name}({', '.join(arguments)}) -> ({', '.join(results)}) {{
  {frequencies}
  {newline.join(body)}
  {binding} = rope.attention {{{', '.join(attributes)}}}
    ins(%q, %k, %v : {q}, {k}, {v})
    {newline.join(clauses)}
    outs({', '.join(inits)} : {', '.join(results)}){region}
  return {names} : {', '.join(results)}
}}
"""

    def run(self, module, report, batches, queries, keys, rng, spoil=None):
        """One call against the definition."""
        group, value_group = self.groups()
        value_type = self.value_type or self.type
        sizes = {"b": batches, "h": self.heads, "i": queries, "j": keys,
                 "d": self.channels, "e": self.value_channels, "1": 1}

        def random(dims, type, group=1):
            shape = [sizes[dim] // (group if dim == "h" else 1) for dim in dims]
            return stored(rng.standard_normal(shape), type)

        q = random(self.query, self.type)
        k = random(self.key, self.type, group)
        v = random(self.value, value_type, value_group)
        arguments, masks = [], []
        for mask in self.masks:
            dims, element = mask.split(":")
            if element == "i1":
                array = rng.random([sizes[dim] for dim in dims]) < 0.7
                if array.ndim > 1:
                    array[..., :1, :] = False  # a row that sees nothing
            else:
                array = rng.standard_normal([sizes[dim] for dim in dims])
                array = np.where(rng.random(array.shape) < 0.2, -np.inf, array)
                array = stored(array, element)
            masks.append((dims, element, array))
        if spoil:
            spoil(self, q, k, v, masks)
        arguments += [q, k, v] + [array for _, _, array in masks]
        offset = np.zeros(batches, np.int64)
        if self.offset == "number":
            offset[:] = rng.integers(-3, keys + 3)
            arguments.append(int(offset[0]) if batches else 0)
        elif self.offset == "batch":
            offset = rng.integers(-3, keys + 3, batches)
            arguments.append(offset)
        lengths = np.full(batches, keys, np.int32)
        if self.lengths:
            lengths = rng.integers(0, keys + 1, batches).astype(np.int32)
            arguments.append(lengths)
        sinks = None
        if self.sinks:
            sinks = rng.standard_normal(self.heads).astype(np.float32)
            arguments.append(sinks)
        wide_q, wide_k = loaded(q, self.type), loaded(k, self.type)
        for letter, dims, loop in (("q", self.query, "i"), ("k", self.key, "j")):
            if letter not in self.rotate.split(" ")[0]:
                continue
            positions = rng.integers(0, 1 << 17, sizes[loop])
            angles = positions[:, None] * self.base ** (-np.arange(self.channels // 2) / (self.channels // 2))
            cos, sin = np.cos(angles), np.sin(angles)
            if "angles" in self.rotate:
                arguments.append(positions)
            else:
                cos, sin = cos.astype(np.float32), sin.astype(np.float32)
                arguments += [cos, sin]
            if letter == "q":
                wide_q = rotated(wide_q, dims, loop, cos, sin)
            else:
                wide_k = rotated(wide_k, dims, loop, cos, sin)

        # The definition, in float64.
        wide_k = spread(wide_k, self.key, group)
        wide_v = spread(loaded(v, value_type), self.value, value_group)
        with np.errstate(all="ignore"):
            scores = arrange(wide_q, self.query, "bhid") @ arrange(wide_k, self.key, "bhdj")
            scores = np.broadcast_to(scores, (batches, self.heads, queries, keys)) * self.scale
            if self.cap:
                scores = self.cap * np.tanh(scores / self.cap)
            for dims, element, array in masks:
                if element == "i1":
                    scores = np.where(arrange(array, dims, "bhij"), scores, -np.inf)
                else:
                    scores = scores + arrange(loaded(array, element), dims, "bhij")
            position = (np.arange(queries) + offset[:, None])[:, None, :, None]
            key = np.arange(keys)
            visible = key < lengths[:, None, None, None]
            if self.causal:
                visible = visible & (key <= position)
            if self.window:
                visible = visible & (position - key < self.window)
            if self.chunk:
                visible = visible & (position // self.chunk == key // self.chunk)
            scores = np.where(visible, scores, -np.inf)
            top = scores.max(-1, keepdims=True, initial=-np.inf)
            if self.sinks:
                top = np.maximum(top, sinks[:, None, None].astype(float))
            top = np.where(top == -np.inf, 0, top)
            weights = np.exp(scores - top)
            total = weights.sum(-1, keepdims=True)
            if self.sinks:
                total = total + np.exp(sinks[:, None, None] - top)
            weights = np.where(total == 0, 0, weights / total)
            # Keys without weight do not enter, whatever they hold.
            value = np.broadcast_to(
                arrange(wide_v, self.value, "bhje"),
                (batches, self.heads, keys, self.value_channels))
            expected = weights @ np.where(np.isfinite(value), value, 0)
            for b, h, j, e in np.argwhere(~np.isfinite(value)):
                expected[b, h, weights[b, h, :, j] != 0, e] += value[b, h, j, e]
            log_sum_exp = (np.log(total) + top)[..., 0]
        if "b" not in self.result:
            expected, log_sum_exp = expected[0], log_sum_exp[0]
        if "h" not in self.result:
            expected, log_sum_exp = expected.take(0, -3), log_sum_exp.take(0, -2)
        rows = self.result.replace("e", "")
        expected = arrange(expected, [d for d in "bhie" if d in self.result], self.result)
        log_sum_exp = arrange(log_sum_exp, [d for d in "bhi" if d in rows], rows)

        results = [stored(np.full(expected.shape, 7.0), value_type)]
        if self.log_sum_exp:
            results.append(np.full(log_sum_exp.shape, 7.0, np.float32))
        module.call(self.name, *arguments, *results)
        name = f"{self.name} B={batches} Sq={queries} Sk={keys}"
        accuracy = max((self.type, value_type), key=BOUNDS.get)
        finite = np.abs(expected[np.isfinite(expected)])
        # Rounded logits are as good as their size allows.
        digits = 51 if accuracy == "f64" else 22
        logits = np.abs(scores[np.isfinite(scores)]).max(initial=0) * 2.0 ** -digits
        if self.type == "bf16" and self.rotate:
            logits += rounding_of_logits(wide_q, wide_k, self.scale)
        bound = (BOUNDS[accuracy] + logits) * max(finite.max(initial=0), 1e-30)
        report.close(f"attention {accuracy}", name, loaded(results[0], value_type), expected, bound)
        if self.log_sum_exp:
            bound = 1e-4 if accuracy in ("f32", "f64") else 1e-2
            report.close("log_sum_exp", name, results[1], log_sum_exp,
                         bound * np.maximum(1, np.abs(np.nan_to_num(log_sum_exp, posinf=0, neginf=0))))


def rounding_of_logits(q, k, scale):
    """What rounding rotated queries and keys to bf16 changes in a logit: five
    standard deviations of the sum over channels of their size."""
    sizes = [np.sqrt(np.mean(np.where(np.isfinite(x), x, 0) ** 2)) if x.size else 0.0 for x in (q, k)]
    return 5 * abs(scale) * np.sqrt(2 / 3 * q.shape[-1]) * 2.0**-9 * sizes[0] * sizes[1]


def not_a_number(case, q, k, v, masks):
    """A query, a key and a value hold numbers that are none."""
    for array, dims, loop, at in ((q, case.query, "i", 3), (k, case.key, "j", 20), (v, case.value, "j", 30)):
        index = [slice(None)] * array.ndim
        index[dims.index(loop)] = at
        index[-1] = 1
        array[tuple(index)] = np.nan if array.dtype != np.uint16 else 0x7FC0


def infinite_values(case, q, k, v, masks):
    index = [slice(None)] * v.ndim
    index[case.value.index("j")] = 30
    v[tuple(index)] = np.inf if v.dtype != np.uint16 else 0x7F80


def large(case, q, k, v, masks):
    """Logits of some 1e5, where all but one weight vanish."""
    for array in (q, k):
        if array.dtype != np.uint16:
            array *= 100


def stored(array, type):
    """As the type holds it; bf16 as 16-bit words, rounded to nearest even."""
    if type == "bf16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.ascontiguousarray(array, {"f16": np.float16, "f32": np.float32, "f64": np.float64}[type])


def loaded(array, type):
    if type == "bf16":
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def arrange(array, dims, order):
    """Dimensions `dims` in another order; those that it lacks are of size one."""
    array = array.reshape([n for n, dim in zip(array.shape, dims) if dim != "1"])
    dims = [dim for dim in dims if dim != "1"]
    array = array.transpose([dims.index(dim) for dim in order if dim in dims])
    return array[tuple(slice(None) if dim in dims else None for dim in order)]


def spread(array, dims, group):
    """Keys or values for each head."""
    return np.repeat(array, group, dims.index("h")) if group > 1 else array


def rotated(x, dims, loop, cos, sin):
    n = cos.shape[1]
    shape = [1] * x.ndim
    shape[dims.index(loop)], shape[-1] = cos.shape
    cos, sin = cos.astype(np.float64).reshape(shape), sin.astype(np.float64).reshape(shape)
    u, v = x[..., :n], x[..., n:2 * n]
    return np.concatenate([u * cos - v * sin, u * sin + v * cos, x[..., 2 * n:]], -1)


CASES = [
    *(Attention(f"plain_{t}", type=t) for t in BOUNDS),
    *(Attention(f"grouped_{t}", type=t, group=2, causal=True, rotate="qk") for t in BOUNDS),
    *(Attention(f"angles_{t}", type=t, group=4, causal=True, rotate="qk angles") for t in ("f32", "bf16")),
    Attention("mixed", type="bf16", value_type="f32", causal=True),
    Attention("wide_values", type="f32", value_type="f64"),
    Attention("heads_first", query="bhid", key="bhjd", value="bhje", result="bhie", group=2, causal=True, rotate="qk"),
    Attention("transposed_keys", query="hibd", key="hbdj", value="bhej", result="ebih", group=2, causal=True),
    Attention("one_key_head", group=0, key="bjd", value="bje", causal=True, rotate="qk"),
    Attention("no_batch", query="ihd", key="jhd", value="jhe", result="ihe", group=4, causal=True),
    Attention("no_heads", query="bid", key="bjd", value="bje", result="bie", heads=1, group=0, causal=True),
    Attention("group_of_three", heads=6, group=3, causal=True),
    Attention("group_of_seven", heads=7, group=7, causal=True, rotate="q"),
    Attention("two_groupings", heads=8, group=4, value_group=2, causal=True),
    Attention("narrow_values", channels=48, value_channels=20, causal=True, rotate="qk"),
    Attention("odd_channels", channels=7, value_channels=5, heads=3),
    Attention("one_channel", channels=1, value_channels=1),
    Attention("wide_head", channels=256, value_channels=256, group=2, causal=True, rotate="qk"),
    Attention("many_heads", heads=128, group=128, channels=16, value_channels=16, causal=True),
    Attention("offset", causal=True, offset="number"),
    Attention("offsets", causal=True, offset="batch", group=2),
    Attention("window", causal=True, window=7, group=2),
    Attention("window_offset", causal=True, window=40, offset="batch"),
    Attention("window_of_one", causal=True, window=1),
    Attention("chunk", causal=True, chunk=16, group=2),
    Attention("chunk_offset", chunk=50, offset="number", lengths=True),
    Attention("lengths", lengths=True, group=2),
    Attention("lengths_causal", lengths=True, causal=True, offset="batch", rotate="k"),
    Attention("sinks", sinks=True, causal=True, group=2, log_sum_exp=True),
    Attention("sinks_lengths", sinks=True, lengths=True),
    Attention("sums", log_sum_exp=True, causal=True, group=2, offset="number"),
    Attention("cap", cap=5.0, causal=True, group=2),
    Attention("cap_bf16", type="bf16", cap=50.0, causal=True, window=30, group=2, rotate="qk"),
    Attention("bias", masks=("bhij:f32",), group=2),
    Attention("bias_of_heads", masks=("hij:f32",)),
    Attention("bias_bf16", type="bf16", masks=("11ij:bf16",), group=2, causal=True),
    Attention("mask", masks=("b1ij:i1",), group=2),
    Attention("mask_of_keys", masks=("bj:i1",), group=2, causal=True),
    Attention("mask_and_bias", masks=("ij:i1", "h1j:f32", "hi:f32", ":f32"), group=2),
    Attention("slopes", masks=("h:f32",), heads=8, group=4, causal=True),
    Attention("static", lengths_known=(("b", 2), ("i", 64), ("j", 64)), causal=True, group=2, rotate="qk"),
    Attention("static_one", lengths_known=(("b", 1), ("i", 1), ("j", 333)), group=4),
    Attention("static_odd", lengths_known=(("b", 1), ("i", 5), ("j", 7)), masks=("ij:f32",), group=4),
]
# The same in bf16, whose products have instructions of their own.
CASES += [dataclasses.replace(case, name=f"{case.name}_in_bf16", type="bf16")
          for case in CASES if case.type == "f32" and not case.value_type and not case.name.endswith("_f32")]
SPOILERS = (not_a_number, infinite_values, large)
# Cases, by how their names start, that are called with spoiled numbers as well.
SPOILED = ("plain", "grouped", "window", "lengths", "sums", "sinks")

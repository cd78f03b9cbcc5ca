# rope.attention of caches: pages x integers with scales x rotation x size.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import dataclasses
import re
import sys

import numpy as np
from rope_testing.attentions import BOUNDS, LOOPS, loaded, stored
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

HEADS, GROUP = 4, 2


@dataclasses.dataclass(frozen=True)
class Cache:
    """One function of rope.attention. Maps are as they stand in its text, and the
    definition below evaluates them element by element."""

    name: str
    key: str
    value: str
    type: str = "f32"  # of keys and values
    query_type: str = "f32"  # and of results
    key_scales: str = None
    value_scales: str = None
    scale_type: str = "f32"
    pages: str = ""
    page_type: str = "i32"
    channels: int = 32
    value_channels: int = 32
    lengths: bool = False
    causal: bool = False
    window: int = 0
    mask: bool = False
    rotate: str = ""  # "tables", "angles"
    rotation: str = "pairing = half"
    follows: str = "j"  # the positions
    position_dims: tuple = (1,)
    static: tuple = ()  # batches, queries, keys

    @property
    def page(self):
        """Keys of a page."""
        found = re.search(r"j floordiv (\d+)", self.pages)
        return int(found[1]) if found else 1

    @property
    def accumulate(self):
        return "f64" if "f64" in (self.type, self.query_type, self.scale_type) else "f32"

    def scales(self):
        return self.type == "i8"

    def is_page(self, expression):
        return bool(self.pages) and expression in (f"j floordiv {self.page}", "j" if self.page == 1 else "")

    def operands(self):
        """Name, map and type of elements of what holds keys and values."""
        yield "key", self.key, self.type
        yield "value", self.value, self.type
        if self.scales():
            yield "key_scales", self.key_scales, self.scale_type
            yield "value_scales", self.value_scales, self.scale_type

    def shape(self, map, sizes, pool):
        """The shape of an operand; `pool` pages."""
        shape = []
        for expression in filter(None, map.split(", ")):
            loop, *group = re.split(r" floordiv | mod ", expression)
            if self.is_page(expression):
                shape.append(pool)
            elif "mod" in expression:
                shape.append(int(group[0]))
            elif loop == "0":
                shape.append(1)
            else:
                shape.append(sizes[loop] // int(group[0]) if group else sizes[loop])
        return shape

    def text(self):
        unknown = -(1 << 20)
        sizes = {"b": unknown, "i": unknown, "j": unknown, "h": HEADS, "d": self.channels, "e": self.value_channels}
        if self.static:
            sizes.update(zip("bij", self.static))

        def tensor(map, element):
            shape = self.shape(map, sizes, unknown)
            return f"tensor<{''.join(f'{n}x' if n >= 0 else '?x' for n in shape)}{element}>"

        maps = ["b, i, h, d"]
        q, o = (tensor(map, self.query_type) for map in ("b, i, h, d", "b, i, h, e"))
        arguments, clauses, types = [f"%query: {q}"], [], {}
        for name, map, element in self.operands():
            maps.append(map)
            types[name] = tensor(map, element)
            arguments.append(f"%{name}: {types[name]}")
            if "scales" in name:
                clauses.append(f"{name}(%{name} : {types[name]})")
        if self.pages:
            maps.append(self.pages)
            counts = [sizes[loop[0]] // (self.page if loop[0] == "j" else 1) for loop in self.pages.split(", ")]
            type = f"tensor<{''.join(f'{n}x' if n >= 0 else '?x' for n in counts)}{self.page_type}>"
            arguments.append(f"%pages: {type}")
            clauses.append(f"pages(%pages : {type})")
        if self.mask:
            maps.append("b, j")
            type = tensor("b, j", "f32")
            arguments.append(f"%mask: {type}")
            clauses.append(f"score_operands(%mask : {type})")
        if self.causal:
            type = tensor("b", "i64")
            arguments.append(f"%offset: {type}")
            clauses.append(f"query_offset(%offset : {type})")
        if self.lengths:
            type = tensor("b", "i32")
            arguments.append(f"%lengths: {type}")
            clauses.append(f"lengths(%lengths : {type})")
        pairs, first = self.channels // 2, ""
        if self.rotate:
            where = f"{self.rotation}, position_dims = {list(self.position_dims)}"
            if self.rotate == "angles":
                first = f"%f = rope.frequencies base(1.0e+04) : tensor<{pairs}xf64>"
                type = tensor(self.follows, "i64")
                arguments.append(f"%positions: {type}")
                clauses.append(f"rotate_key(%positions, %f : {type}, tensor<{pairs}xf64>) by <{where}, angles = <magnitude = 1.0>>")
            else:
                type = tensor(self.follows + ", d", "f32").replace(f"x{self.channels}x", f"x{pairs}x")
                arguments += [f"%cos: {type}", f"%sin: {type}"]
                clauses.append(f"rotate_key(%cos, %sin : {type}, {type}) by <{where}>")
        maps.append("b, i, h, e")
        attributes = ["scale = 0.17 : f64", "indexing_maps = [" + ", ".join(f"affine_map<({LOOPS}) -> ({map})>" for map in maps) + "]"]
        attributes += ["causal"] * self.causal
        attributes += [f"window = {self.window} : i64"] * bool(self.window)
        region = ""
        if self.mask:
            wide = self.accumulate
            region = f""" {{
  ^bb0(%s: {wide}, %b: index, %h: index, %i: index, %j: index, %m: f32):
    {f"%w = arith.extf %m : f32 to {wide}" if wide == "f64" else ""}
    %t = arith.addf %s, {"%w" if wide == "f64" else "%m"} : {wide}
    rope.yield %t : {wide}
  }}"""
        dynamic = "" if self.static else "%batches, %queries"
        newline = "\n    "
        return f"""
func.func @{self.name}({', '.join(arguments)}) -> {o} {{
  {first}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batches = tensor.dim %query, %c0 : {q}
  %queries = tensor.dim %query, %c1 : {q}
  %init = tensor.empty({dynamic}) : {o}
  %r = rope.attention {{{', '.join(attributes)}}}
    ins(%query, %key, %value : {q}, {types["key"]}, {types["value"]})
    {newline.join(clauses)}
    outs(%init : {o}){region}
  return %r : {o}
}}
"""

    def run(self, module, report, batches, queries, keys, rng):
        if self.pages:
            keys = keys if keys % self.page == 0 else (keys // self.page + 1) * self.page
        for map in (self.key_scales, self.value_scales):
            # Groups of keys are whole.
            found = re.search(r"j floordiv (\d+)", map or "")
            if found:
                keys = -(-keys // int(found[1])) * int(found[1])
        sizes = {"b": batches, "i": queries, "j": keys, "h": HEADS, "d": self.channels, "e": self.value_channels}
        lengths = np.full(batches, keys, np.int32)
        if self.lengths:
            lengths = rng.integers(0, keys + 1, batches).astype(np.int32)
        pages, pool = None, 1
        if self.pages:
            count = keys // self.page
            # Shared by batches, and in no order.
            pool = count + 3
            shape = [batches] * ("b" in self.pages) + [count]
            pages = rng.integers(0, pool, shape).astype({"i32": np.int32, "i64": np.int64}[self.page_type])

        def indices(dims, loops):
            """The indices of an operand for all of the loops b, h, j, c."""
            b, h, j, c = np.meshgrid(*[np.arange(n) for n in loops], indexing="ij", sparse=True)
            names = {"b": b, "h": h, "j": j, "d": c, "e": c}
            result = []
            for expression in filter(None, dims.split(", ")):
                if self.is_page(expression):
                    at = [b] * ("b" in self.pages) + [j // self.page]
                    result.append(pages[tuple(at)])
                else:
                    result.append(eval(expression.replace("floordiv", "//").replace("mod", "%"), {}, names))
            return tuple(result)

        arguments, wide = [], {}
        query = stored(rng.standard_normal([batches, queries, HEADS, self.channels]), self.query_type)
        arguments.append(query)
        for name, map, element in self.operands():
            shape = self.shape(map, sizes, pool)
            if element == "i8":
                array = rng.integers(-128, 128, shape).astype(np.int8)
            else:
                array = rng.standard_normal(shape)
                if "scales" in name:
                    array /= 64
                array = stored(array, element)
            loops = (batches, HEADS, keys, self.channels if "key" in name else self.value_channels)
            x = loaded(array, element)[indices(map, loops)]
            wide[name] = np.broadcast_to(x, loops)
            if self.pages and element != "i8":
                # What no batch sees may be anything.
                seen = np.zeros(shape, bool)
                for b in range(batches):
                    at = indices(map, loops)
                    at = np.broadcast_arrays(*at, np.zeros(loops))[:-1]
                    seen[tuple(x[b, :, :lengths[b]] for x in at)] = True
                array[~seen] = np.nan if array.dtype != np.uint16 else 0x7FC0
            arguments.append(array)
        if self.pages:
            # Nor are pages looked up that hold nothing.
            passed = pages.copy()
            if self.lengths and "b" in self.pages:
                for b in range(batches):
                    passed[b, -(-lengths[b] // self.page):] = rng.choice([-1, 1 << 30])
            arguments.append(passed)
        key, value = wide["key"], wide["value"]
        if self.scales():
            key, value = key * wide["key_scales"], value * wide["value_scales"]
        mask = np.zeros((batches, keys), np.float32)
        if self.mask:
            mask = np.where(rng.random(mask.shape) < 0.2, -np.inf, rng.standard_normal(mask.shape)).astype(np.float32)
            arguments.append(mask)
        offset = np.full(batches, 1 << 20)
        if self.causal:
            offset = rng.integers(-3, keys + 3, batches)
            arguments.append(offset)
        if self.lengths:
            arguments.append(lengths)
        if self.rotate:
            shape = [sizes[loop] for loop in self.follows.split(", ")]
            # Frequencies are rounded to f64 here.
            positions = rng.integers(0, 1 << (6 if self.accumulate == "f64" else 17), shape)
            pairs = self.channels // 2
            angles = positions[..., None] * 1e4 ** (-np.arange(pairs) / pairs)
            cos, sin = np.cos(angles), np.sin(angles)
            if self.rotate == "angles":
                arguments.append(positions)
            else:
                cos, sin = cos.astype(np.float32), sin.astype(np.float32)
                arguments += [cos, sin]
            order = self.follows.split(", ")
            if order == ["j", "b"]:
                cos, sin = cos.swapaxes(0, 1), sin.swapaxes(0, 1)
            elif order == ["j"]:
                cos, sin = cos[None], sin[None]
            cos, sin = cos[:, None].astype(float), sin[:, None].astype(float)
            interleaved = "pairing = interleaved" in self.rotation.split(", ")[0]
            u, v = (key[..., 0::2], key[..., 1::2]) if interleaved else (key[..., :pairs], key[..., pairs:])
            both = [u * cos - v * sin, u * sin + v * cos]
            if interleaved or "result_pairing = interleaved" in self.rotation:
                key = np.stack(both, -1).reshape(key.shape)
            else:
                key = np.concatenate(both, -1)

        # The definition, in float64.
        scores = loaded(query, self.query_type).transpose(0, 2, 1, 3) @ key.swapaxes(-1, -2) * 0.17
        scores = scores + mask[:, None, None, :]
        position = (np.arange(queries) + offset[:, None])[:, None, :, None]
        at = np.arange(keys)
        visible = at < lengths[:, None, None, None]
        if self.causal:
            visible = visible & (at <= position)
        if self.window:
            visible = visible & (position - at < self.window)
        scores = np.where(visible, scores, -np.inf)
        top = scores.max(-1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(top == -np.inf, 0, top))
        total = weights.sum(-1, keepdims=True)
        expected = np.where(total == 0, 0, weights / np.where(total == 0, 1, total)) @ value
        expected = expected.transpose(0, 2, 1, 3)

        result = stored(np.full(expected.shape, 7.0), self.query_type)
        module.call(self.name, *arguments, result)
        accuracy = max((self.query_type, self.type), key=lambda type: BOUNDS.get(type, 0))
        bound = BOUNDS[accuracy] * max(np.abs(expected).max(initial=0), 1e-30)
        report.close(f"cache {accuracy}", f"{self.name} B={batches} Sq={queries} Sk={keys}",
                     loaded(result, self.query_type), expected, bound)


def paged(page, heads="h floordiv 2", **options):
    """A cache of pages [page][place][head][channel]."""
    places = f"j floordiv {page}, j mod {page}" if page > 1 else "j"
    return dict(key=f"{places}, {heads}, d", value=f"{places}, {heads}, e", pages=f"b, j floordiv {page}" if page > 1 else "b, j",
                **options)


def plain(**options):
    return dict(key="b, j, h floordiv 2, d", value="b, j, h floordiv 2, e", **options)


def integers(key_scales, value_scales, **options):
    return dict(type="i8", key_scales=key_scales, value_scales=value_scales, **options)


TOKEN = "b, j, h floordiv 2"
PLACE = "j floordiv 16, j mod 16, h floordiv 2"
CASES = [
    *(Cache(f"pages_{type}", **paged(16, type=type, query_type=type, lengths=True)) for type in BOUNDS),
    *(Cache(f"pages_of_{page}", **paged(page, lengths=page % 2 == 0, causal=page > 3)) for page in (1, 2, 3, 5, 128, 200)),
    Cache("pages_rotated", **paged(16, rotate="tables", lengths=True)),
    Cache("pages_angles", **paged(16, rotate="angles", lengths=True, causal=True, type="bf16", query_type="bf16")),
    Cache("pages_of_one_rotated", **paged(1, rotate="tables", position_dims=(0,), lengths=True)),
    Cache("pages_of_batches", **paged(8, rotate="tables", follows="b, j", position_dims=(0, 1), lengths=True)),
    Cache("pages_of_batches_swapped", **paged(8, rotate="angles", follows="j, b", position_dims=(1, 0))),
    Cache("pages_window", **paged(6, causal=True, window=20, rotate="tables")),
    Cache("pages_mask", **paged(4, mask=True, page_type="i64")),
    Cache("pages_shared", **(paged(16) | dict(pages="j floordiv 16"))),
    Cache("pages_static", **paged(16, static=(2, 3, 160), rotate="tables")),
    Cache("pages_heads_first", key="h floordiv 2, j floordiv 8, j mod 8, d", value="j floordiv 8, h floordiv 2, e, j mod 8",
          pages="b, j floordiv 8", rotate="tables", position_dims=(2,), lengths=True),
    Cache("pages_of_all_heads", **paged(16, heads="h", rotate="tables")),
    Cache("pages_one_head", key="j floordiv 16, j mod 16, d", value="j floordiv 16, j mod 16, e", pages="b, j floordiv 16",
          rotate="angles"),
    Cache("integers", **plain(**integers(TOKEN, TOKEN, lengths=True))),
    *(Cache(f"integers_scales_{scale}", **plain(**integers(TOKEN, TOKEN, scale_type=scale))) for scale in ("f16", "bf16", "f64")),
    Cache("integers_bf16", **plain(**integers(TOKEN, TOKEN, query_type="bf16", causal=True))),
    Cache("integers_heads", **plain(**integers("h floordiv 2", "h floordiv 4"))),
    Cache("integers_channels", **plain(**integers("h floordiv 2, d", "b, e"))),
    Cache("integers_all", **plain(**integers("", "0"))),
    Cache("integers_of_group", **plain(**integers("j floordiv 32, h floordiv 2, d", "b, j, h floordiv 2, e floordiv 8"))),
    Cache("integers_of_channels", **plain(**integers("b, j, h floordiv 4, d floordiv 16", "j floordiv 3, e", rotate="tables"))),
    Cache("integers_rotated", **plain(**integers(TOKEN, TOKEN, rotate="tables", lengths=True, causal=True))),
    Cache("integers_angles", **plain(**integers(TOKEN, TOKEN, rotate="angles", follows="b, j", position_dims=(0, 1)))),
    Cache("integers_f64", **plain(**integers(TOKEN, TOKEN, query_type="f64", rotate="angles"))),
    Cache("integers_pairs", **plain(**integers(TOKEN, TOKEN, rotate="tables", rotation="pairing = interleaved"))),
    Cache("integers_repaired", **plain(**integers(TOKEN, TOKEN, rotate="tables", causal=True,
                                                  rotation="pairing = half, result_pairing = interleaved"))),
    Cache("integers_odd", **plain(**integers(TOKEN, TOKEN, channels=7, value_channels=5))),
    Cache("paged_integers", **paged(16, **integers(PLACE, PLACE, lengths=True, scale_type="f16"))),
    Cache("paged_integers_rotated", **paged(16, **integers(PLACE, PLACE, lengths=True, causal=True, rotate="tables"))),
    Cache("paged_integers_angles", **paged(16, **integers(PLACE, "j floordiv 16, h floordiv 2", lengths=True, rotate="angles"))),
    Cache("paged_integers_channels", **paged(16, **integers("d", "h floordiv 2, e floordiv 4", rotate="tables"))),
    Cache("paged_integers_of_one", **paged(1, **integers("j, h floordiv 2", "h floordiv 2", position_dims=(0,), rotate="tables"))),
]
# Of each batch, two heads and two queries.
TILE = """
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %all = transform.structured.match ops{["rope.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:3 = transform.structured.tile_using_for %all tile_sizes [1, 2, 2]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}
"""
# Batches, queries, keys.
SIZES = [(1, 1, 1), (2, 1, 64), (2, 3, 133), (1, 40, 300), (0, 1, 16), (2, 0, 16), (1, 2, 0)]
FEW = [(2, 3, 37), (1, 2, 0), (0, 1, 16)]


def main():
    rng = np.random.default_rng(11)
    report = Report()
    only = sys.argv[1:]
    cases = [case for case in CASES if not only or case.name in only]
    for start in range(0, len(cases), 8):
        part = cases[start:start + 8]
        text = "".join(case.text() for case in part)
        whole = Module(text)
        # By the decomposition on tensors.
        decomposed = Module(run("rope-opt", "-", "--convert-rope-to-linalg", stdin=text))
        # Tiled on tensors before.
        tiles = run("rope-opt", "-", "--transform-interpreter", "--canonicalize", "--cse", stdin=text + TILE)
        tiles = tiles[:tiles.index("module attributes {transform")] + "}\n"
        if tiles.count("scf.for") < 3 * len(part):
            raise RuntimeError(f"not all are tiled:\n{tiles}")
        tiled = Module(tiles)
        for case in part:
            for module, sizes in ((whole, SIZES), (decomposed, FEW), (tiled, FEW)):
                for size in [case.static] if case.static else sizes:
                    case.run(module, report, *size, rng)
    report.finish()


if __name__ == "__main__":
    in_child(main)

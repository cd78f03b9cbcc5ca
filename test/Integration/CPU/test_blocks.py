# Rotations in blocks, on threads, and written past the caches.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s
"""Each function is compiled in four ways: as it is, in tasks of a few rows, with
stores past the caches, and with both. All are compared with float64, and with
one another bit for bit, on one to three threads.
"""

import ctypes
import itertools
import platform

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import guarded, in_child, note
from rope_testing.reference import rotate
from rope_testing.runner import Module, run

NUMPY = {"bf16": np.uint16, "f16": np.float16, "f32": np.float32, "f64": np.float64}
BITS = {"bf16": 8, "f16": 11, "f32": 22, "f64": 22}
# name: (dimensions of query and key, position dimensions of both, attributes), where s is the number of
# positions, b of batches, q and k of heads.
LAYOUTS = {
    "tokens": ("b s q", "b s k", (1,), "b s"),
    "own_positions": ("b s q", "b s k", (0, 1), "b s"),
    "heads_first": ("b q s", "b k s", (2,), "b s"),
    "no_batch": ("s q", "s k", (0,), "s"),
    "one_head": ("b s", "b s", (1,), "b s"),
}
# name: (head, pairs, attributes)
HEADS = {
    "half": (64, 32, "pairing = #rope.pairing<half>"),
    "interleaved": (128, 64, "pairing = #rope.pairing<interleaved>"),
    "partial": (80, 16, "pairing = #rope.pairing<half>"),
    "trailing": (192, 32, "pairing = #rope.pairing<interleaved>, offset = 128"),
    "odd": (20, 7, "pairing = #rope.pairing<half>, offset = 3"),
    "apart": (96, 8, "pairing = #rope.pairing<half>, pair_stride = 48"),
    "to_half": (64, 32, "pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>"),
}
BATCHES, HEADS_OF_QUERY, HEADS_OF_KEY = 2, 6, 2


def function(name, layout, head, element, own_table):
    query, key, position_dims, _ = LAYOUTS[layout]
    size, pairs, attributes = HEADS[head]
    sizes = {"b": "?", "s": "?", "q": HEADS_OF_QUERY, "k": HEADS_OF_KEY}
    x, y = (f"tensor<{'x'.join(str(sizes[d]) for d in dims.split())}x{size}x{element}>" for dims in (query, key))
    lead = "x".join("?" for _ in position_dims)
    table = f"tensor<{lead}x{pairs}xf32>"
    positions = f"tensor<{lead}xi64>"
    given = f"%p: {positions}" if own_table else f"%cos: {table}, %sin: {table}"
    lines, dims = [], {"q": [], "k": [], "t": []}
    for i in range(3):
        lines.append(f"%c{i} = arith.constant {i} : index")
    for which, kind, names in (("q", x, query), ("k", y, key)):
        for i, d in enumerate(names.split()):
            if sizes[d] == "?":
                lines.append(f"%{which}{i} = tensor.dim %{which}, %c{i} : {kind}")
                dims[which].append(f"%{which}{i}")
    if own_table:
        for i in range(len(position_dims)):
            lines.append(f"%t{i} = tensor.dim %p, %c{i} : {positions}")
            dims["t"].append(f"%t{i}")
        lines += [
            f"%f = rope.frequencies base(1.0e+04) : tensor<{pairs}xf64>",
            f"%te = tensor.empty({', '.join(dims['t'])}) : {table}",
            f"%cos, %sin = rope.table ins(%p, %f : {positions}, tensor<{pairs}xf64>) outs(%te, %te : {table}, {table})",
        ]
    for which, kind in (("q", x), ("k", y)):
        lines += [
            f"%e{which} = tensor.empty({', '.join(dims[which])}) : {kind}",
            f"%r{which} = rope.apply ins(%{which}, %cos, %sin : {kind}, {table}, {table}) outs(%e{which} : {kind})"
            f" {{{attributes}, position_dims = array<i64: {', '.join(map(str, position_dims))}>}}",
        ]
    body = "\n  ".join(lines)
    return f"func.func @{name}(%q: {x}, %k: {y}, {given}) -> ({x}, {y}) {{\n  {body}\n  return %rq, %rk : {x}, {y}\n}}\n"


def modules(text):
    """The text, compiled in each way."""
    tiled = run("rope-opt", "-", "--pass-pipeline=builtin.module(func.func(rope-tile-apply{task-bytes=3000 one-task-bytes=0}))",
                stdin=text)
    assert tiled.count("scf.forall ") == text.count("func.func"), "each pair of rotations shares a loop"
    yield "whole", Module(text)
    yield "blocks", Module(tiled)
    for name, source in (("streaming", text), ("streaming blocks", tiled)):
        lowered = run("rope-opt", "-", "--rope-to-llvm=target-cpu=host streaming-bytes=0", stdin=source)
        # Other processors' stores stay as they are.
        writes_past = "nontemporal" in lowered and "sfence" in lowered
        assert writes_past == (platform.machine() == "x86_64"), "something is written past the caches"
        yield name, Module(lowered)


def element_array(rng, shape, element, at_end):
    wide = rng.standard_normal(shape).astype(np.float32)
    x = guarded(shape, NUMPY[element], at_end)
    x[...] = (wide.view(np.uint32) >> 16).astype(np.uint16) if element == "bf16" else wide
    return x


def as_f64(x, element):
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64) if element == "bf16" else x.astype(np.float64)


IN_PLACE = """
func.func @turn(%x: memref<?x4x64xf32>, %c: memref<?x32xf32>, %s: memref<?x32xf32>, %y: memref<?x4x64xf32>) {
  rope.apply ins(%x, %c, %s : memref<?x4x64xf32>, memref<?x32xf32>, memref<?x32xf32>) outs(%y : memref<?x4x64xf32>)
    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return
}
"""


def in_place_when_called(report, rng):
    """The caller gives the same array for x and for the result."""
    module = Module(run("rope-opt", "-", "--rope-to-llvm=target-cpu=host streaming-bytes=0", stdin=IN_PLACE))
    x = element_array(rng, (33, 4, 64), "f32", at_end=False)
    c, s = (rng.standard_normal((33, 32)).astype(np.float32) for _ in range(2))
    y = guarded(x.shape, np.float32, at_end=False)
    module.call("turn", x, c, s, y)
    module.call("turn", x, c, s, x)
    report.same_bits("in place when called", x, y)


def main():
    report = Report()
    rng = np.random.default_rng(0)
    cases = [case for case in itertools.product(LAYOUTS, HEADS, NUMPY, (False, True))
             # Each layout with one head, each head with one layout.
             if case[0] == "tokens" or (case[1] == "half" and case[2] in ("f32", "bf16"))]
    in_place_when_called(report, rng)
    text = "".join(function(f"f{i}", *case) for i, case in enumerate(cases))
    ways = dict(modules(text))
    for i, (layout, head, element, own_table) in enumerate(cases):
        query, key, position_dims, names = LAYOUTS[layout]
        size, pairs, attributes = HEADS[head]
        for positions, at_end in ((0, False), (1, False), (13, False), (13, True)):
            sizes = {"b": BATCHES, "s": positions, "q": HEADS_OF_QUERY, "k": HEADS_OF_KEY}
            shapes = [(*(sizes[d] for d in dims.split()), size) for dims in (query, key)]
            x, y = (element_array(rng, shape, element, at_end) for shape in shapes)
            lead = tuple(shapes[0][d] for d in position_dims)
            p = rng.integers(0, 1 << 20, lead)
            angle = p[..., None] * 1e4 ** (-np.arange(pairs) / pairs)
            cos, sin = np.cos(angle), np.sin(angle)
            given = [p] if own_table else [cos.astype(np.float32), sin.astype(np.float32)]
            fields = dict(part.strip().split(" = ") for part in attributes.split(","))
            options = {"pairing": fields["pairing"][14:-1], "offset": int(fields.get("offset", 0))}
            if "pair_stride" in fields:
                options["pair_stride"] = int(fields["pair_stride"])
            if "result_pairing" in fields:
                options["result_pairing"] = fields["result_pairing"][14:-1]
            first = None
            for way, threads in itertools.product(ways, (1, 2, 3)):
                name = f"{layout} {head} {element} {'positions' if own_table else 'table'} {positions} {way} {threads}"
                note(name)
                ways[way]._library.rope_set_num_threads(ctypes.c_int64(threads))
                results = [guarded(shape, NUMPY[element], at_end) for shape in shapes]
                ways[way].call(f"f{i}", x, y, *given, *results)
                if first is None:
                    first = results
                    for source, result, dims in ((x, results[0], query), (y, results[1], key)):
                        if own_table or element == "f64":
                            c, s = (cos, sin) if own_table else given
                        else:
                            c, s = given
                        expected, moved, _ = rotate(as_f64(source, element), c, s, position_dims, **options)
                        report.close(element, name, as_f64(result, element), expected,
                                     2.0 ** -BITS[element] * (np.abs(expected) + moved) + 4e-7 * moved)
                for result, same in zip(results, first):
                    report.same_bits(name, result, same)
    report.finish()


if __name__ == "__main__":
    in_child(main)

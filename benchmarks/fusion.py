#!/usr/bin/env python3
# Fused against unfused, for each fusion and regime.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles each module as it is and after its fusion pass, calls both in turn in
one process, and prints how many times as fast the fused one is.

  benchmarks/fusion.py [--json=FILE] [--rounds=N] [--key-rotation=auto|once|load] [NAME ...]

Needs NumPy and the built tools: run it by `make bench`, or with
PATH=build/bin:$PATH PYTHONPATH=test/Integration/lib. Threads are those of
ROPE_NUM_THREADS. NAMEs choose the rows that contain one of them. Where the cost
model leaves the keys, the row says so. A ratio below one means that a fusion
was made that does not pay.
"""

import json
import os
import platform
import random
import subprocess
import sys
import time

import numpy as np
from rope_testing.runner import Module

HEADS, KEY_HEADS, CHANNELS, MODEL = 16, 4, 128, 1024
PAIRS = CHANNELS // 2
# Fused is never slower, up to the noise of a ratio.
GOAL = 1.0


def run(*command, stdin):
    done = subprocess.run(command, input=stdin.encode(), capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    return done.stdout.decode(), done.stderr.decode()


def apply(name, x, shape, element, cos, sin, tokens="?"):
    """The lines that rotate [1, tokens, heads, channels]."""
    kind = f"tensor<{shape}x{element}>"
    table = f"tensor<{tokens}x{PAIRS}xf32>"
    return f"""
  %n{name} = tensor.dim {x}, %c1 : {kind}
  %e{name} = tensor.empty({f'%n{name}' if tokens == '?' else ''}) : {kind}
  %{name} = rope.apply ins({x}, {cos}, {sin} : {kind}, {table}, {table}) outs(%e{name} : {kind})
              {{pairing = #rope.pairing<half>, position_dims = array<i64: 1>}}"""


def tables(name, positions, tokens="?"):
    table = f"tensor<{tokens}x{PAIRS}xf32>"
    return f"""
  %t{name} = tensor.dim {positions}, %c0 : tensor<{tokens}xi64>
  %w{name} = tensor.empty({f'%t{name}' if tokens == '?' else ''}) : {table}
  %cos{name}, %sin{name} = rope.table ins({positions}, %f : tensor<{tokens}xi64>, tensor<{PAIRS}xf64>) outs(%w{name}, %w{name} : {table}, {table})"""


START = f"""
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %f = rope.frequencies base(1.0e+04) : tensor<{PAIRS}xf64>"""


def attention(element, queries, keys, window=0, rotate_keys=True):
    """Queries at the end of the keys. Keys as they were projected, or rotated."""
    # Sizes are known, as the cost model decides by them.
    shapes = f"1x{queries}x{HEADS}x{CHANNELS}", f"1x{keys}x{KEY_HEADS}x{CHANNELS}"
    q, k = (f"tensor<{shape}x{element}>" for shape in shapes)
    group = HEADS // KEY_HEADS
    maps = ", ".join(f"affine_map<(b, h, i, j, d, e) -> ({m})>" for m in (
        "b, i, h, d", f"b, j, h floordiv {group}, d", f"b, j, h floordiv {group}, e", "b, i, h, e"))
    body = START + tables("q", "%p", queries)
    body += apply("rq", "%q", shapes[0], element, "%cosq", "%sinq", queries)
    key = "%k"
    if rotate_keys:
        body += tables("k", "%r", keys) + apply("rk", "%k", shapes[1], element, "%cosk", "%sink", keys)
        key = "%rk"
    text = f"""
func.func @f(%q: {q}, %k: {k}, %v: {k}, %p: tensor<{queries}xi64>, %r: tensor<{keys}xi64>, %offset: i64) -> {q} {{{body}
  %eo = tensor.empty() : {q}
  %o = rope.attention {{causal, scale = 0.088 : f64, {f'window = {window} : i64, ' if window else ''}indexing_maps = [{maps}]}}
    ins(%rq, {key}, %v : {q}, {k}, {k}) query_offset(%offset : i64) outs(%eo : {q})
  return %o : {q}
}}"""

    def arguments(random_array):
        x = random_array((1, queries, HEADS, CHANNELS), element)
        return [x, random_array((1, keys, KEY_HEADS, CHANNELS), element),
                random_array((1, keys, KEY_HEADS, CHANNELS), element),
                np.arange(keys - queries, keys), np.arange(keys), keys - queries, np.zeros_like(x)]

    return text, arguments


def product(element, queries, keys):
    """Scores alone: [1, heads, queries, keys]."""
    q, k = (f"tensor<1x?x{HEADS}x{CHANNELS}x{element}>",) * 2
    s = f"tensor<1x{HEADS}x?x?xf32>"
    maps = ", ".join(f"affine_map<(b, h, i, j, d) -> ({m})>" for m in ("b, i, h, d", "b, j, h, d", "b, h, i, j"))
    widen = "" if element == "f32" else f"%x = arith.extf %a : {element} to f32\n    %y = arith.extf %b : {element} to f32\n    "
    x, y = ("%a", "%b") if element == "f32" else ("%x", "%y")
    text = f"""
func.func @f(%q: {q}, %k: {k}, %p: tensor<?xi64>) -> {s} {{{START}{tables('q', '%p')}{apply('rq', '%q', f'1x?x{HEADS}x{CHANNELS}', element, '%cosq', '%sinq')}
  %nk = tensor.dim %k, %c1 : {k}
  %zero = arith.constant 0.0 : f32
  %es = tensor.empty(%nrq, %nk) : {s}
  %init = linalg.fill ins(%zero : f32) outs(%es : {s}) -> {s}
  %s = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}}
    ins(%rq, %k : {q}, {k}) outs(%init : {s}) {{
  ^bb0(%a: {element}, %b: {element}, %c: f32):
    {widen}%m = arith.mulf {x}, {y} : f32
    %d = arith.addf %c, %m : f32
    linalg.yield %d : f32
  }} -> {s}
  return %s : {s}
}}"""

    def arguments(random_array):
        return [random_array((1, queries, HEADS, CHANNELS), element), random_array((1, keys, HEADS, CHANNELS), element),
                np.arange(queries), np.zeros((1, HEADS, queries, keys), np.float32)]

    return text, arguments


def projection(element, tokens):
    """x W, as heads, rotated."""
    width = KEY_HEADS * CHANNELS
    x, w, y, r = (f"tensor<{s}x{element}>" for s in (f"?x{MODEL}", f"{MODEL}x{width}", f"?x{width}", f"1x?x{KEY_HEADS}x{CHANNELS}"))
    narrow, product = "", y
    if element != "f32":
        product = f"tensor<?x{width}xf32>"
        identity = "affine_map<(i, j) -> (i, j)>"
        narrow = f"""
  %en = tensor.empty(%n) : {y}
  %y = linalg.generic {{indexing_maps = [{identity}, {identity}], iterator_types = ["parallel", "parallel"]}}
    ins(%wide : {product}) outs(%en : {y}) {{
  ^bb0(%a: f32, %b: {element}):
    %t = arith.truncf %a : f32 to {element}
    linalg.yield %t : {element}
  }} -> {y}"""
    name = "%y" if not narrow else "%wide"
    text = f"""
func.func @f(%x: {x}, %w: {w}, %p: tensor<?xi64>) -> {r} {{{START}{tables('q', '%p')}
  %n = tensor.dim %x, %c0 : {x}
  %zero = arith.constant 0.0 : f32
  %ey = tensor.empty(%n) : {product}
  %init = linalg.fill ins(%zero : f32) outs(%ey : {product}) -> {product}
  {name} = linalg.matmul ins(%x, %w : {x}, {w}) outs(%init : {product}) -> {product}{narrow}
  %h = tensor.expand_shape %y [[0, 1], [2, 3]] output_shape [1, %n, {KEY_HEADS}, {CHANNELS}] : {y} into {r}{apply('rq', '%h', f'1x?x{KEY_HEADS}x{CHANNELS}', element, '%cosq', '%sinq')}
  return %rq : {r}
}}"""

    def arguments(random_array):
        return [random_array((tokens, MODEL), element), random_array((MODEL, width), element),
                np.arange(tokens), random_array((1, tokens, KEY_HEADS, CHANNELS), element)]

    return text, arguments


def append(element, tokens):
    """Rows in f32, rotated, narrowed and put into a cache of 4096 rows."""
    x = f"1x?x{KEY_HEADS}x{CHANNELS}"
    cache = f"memref<1x4096x{KEY_HEADS}x{CHANNELS}x{element}>"
    tensor = cache.replace("memref", "tensor")
    narrow, row = "", "%rq"
    if element != "f32":
        row = "%narrow"
        narrow = f"\n  %narrow = arith.truncf %rq : tensor<{x}xf32> to tensor<{x}x{element}>"
    text = f"""
func.func @f(%x: tensor<{x}xf32>, %p: tensor<?xi64>, %cache: {cache}, %start: index) {{{START}{tables('q', '%p')}{apply('rq', '%x', x, 'f32', '%cosq', '%sinq')}{narrow}
  %t = bufferization.to_tensor %cache restrict writable : {cache} to {tensor}
  %u = tensor.insert_slice {row} into %t[0, %start, 0, 0] [1, %nrq, {KEY_HEADS}, {CHANNELS}] [1, 1, 1, 1]
         : tensor<{x}x{element}> into {tensor}
  bufferization.materialize_in_destination %u in restrict writable %cache : ({tensor}, {cache}) -> ()
  return
}}"""

    def arguments(random_array):
        return [random_array((1, tokens, KEY_HEADS, CHANNELS), "f32"), np.arange(tokens),
                random_array((1, 4096, KEY_HEADS, CHANNELS), element), 17]

    return text, arguments


def cases(key_rotation):
    attend = f"--rope-fuse-attention=key-rotation={key_rotation}"
    for element in ("f32", "bf16"):
        for length in (128, 512, 1024, 2048, 4096):
            yield f"prefill {length}", element, attend, attention(element, length, length)
        yield "chunked prefill 256 of 4096", element, attend, attention(element, 256, 4096)
        yield "decode 4096, rotated keys", element, attend, attention(element, 1, 4096, rotate_keys=False)
        for length in (4096, 16384):
            yield f"decode {length}, keys as projected", element, attend, attention(element, 1, length)
        yield "window 512 of 4096", element, attend, attention(element, 4096, 4096, window=512)
        yield "decode, window 512 of 4096", element, attend, attention(element, 1, 4096, window=512)
        for length in (128, 1024):
            yield f"scores {length}", element, "--rope-fuse-matmul", product(element, length, length)
        for tokens in (1, 128, 1024):
            yield f"projection of {tokens}", element, "--rope-fuse-projection", projection(element, tokens)
        for tokens in (1, 16, 128, 2048):
            yield f"cache append of {tokens}", element, "--rope-fuse-cache-append", append(element, tokens)


def random_array(shape, element):
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    return x if element == "f32" else (x.view(np.uint32) >> 16).astype(np.uint16)


def calls(module, arguments, seconds=0.02):
    """How many calls make a round, and one of them timed."""
    start = time.perf_counter()
    module.call("f", *arguments)
    return max(1, int(seconds / max(time.perf_counter() - start, 1e-9)))


def compare(text, fusion, make, rounds):
    """Seconds of the unfused and the fused one, and each round's ratio."""
    fused, remarks = run("rope-opt", "-", fusion, "--remark-format=emitRemark", "--remarks-filter=rope-fuse.*", stdin=text)
    modules = [Module(text, optimize="-O3"), Module(fused, optimize="-O3")]
    arguments = make(random_array)
    for module in modules:
        module.call("f", *arguments)
    count = calls(modules[0], arguments)
    times = [[], []]
    for _ in range(rounds):
        for which in random.sample((0, 1), 2):
            start = time.perf_counter()
            for _ in range(count):
                modules[which].call("f", *arguments)
            times[which].append((time.perf_counter() - start) / count)
    made, left = remarks.count("folded into"), remarks.count("rotation left")
    return [min(t) for t in times], sorted(a / b for a, b in zip(*times)), f"{made} folded, {left} left"


def main():
    options = dict(x[2:].split("=", 1) for x in sys.argv[1:] if x.startswith("--"))
    names = [x for x in sys.argv[1:] if not x.startswith("--")]
    rounds = int(options.get("rounds", 15))
    threads = os.environ.get("ROPE_NUM_THREADS", "all")
    print(f"{'':36} {'type':5} {'unfused ms':>10} {'fused ms':>10} {'ratio':>6} {'spread':>13}  rotations")
    results = []
    for name, element, fusion, (text, make) in cases(options.get("key-rotation", "auto")):
        if names and not any(part in name for part in names):
            continue
        (unfused, fused), ratios, decision = compare(text, fusion, make, rounds)
        quarter = len(ratios) // 4
        # The ratio of the best times: what else runs only ever adds.
        ratio, spread = unfused / fused, (ratios[quarter], ratios[-1 - quarter])
        print(f"{name:36} {element:5} {unfused * 1e3:10.3f} {fused * 1e3:10.3f} {ratio:6.2f} "
              f"{spread[0]:6.2f}-{spread[1]:5.2f}  {decision}", flush=True)
        results.append({"name": f"{fusion[7:].split('=')[0]}: {name}", "dtype": element, "threads": threads, "peer": "unfused",
                        "ratio": round(ratio, 3), "goal": GOAL, "spread": [round(x, 3) for x in spread]})
    if "json" in options:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        with open(options["json"], "w") as file:
            json.dump({"machine": machine, "results": results, "checks": []}, file, indent=1)


if __name__ == "__main__":
    main()

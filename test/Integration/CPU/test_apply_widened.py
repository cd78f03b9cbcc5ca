# rope.apply into a destination of wider elements: nothing is rounded to the
# narrow type, and channels that are not rotated are widened exactly.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module

TYPES = [("bf16", "f32"), ("f16", "f32"), ("f16", "f64"), ("f32", "f64")]
NUMPY = {"bf16": np.uint16, "f16": np.float16, "f32": np.float32, "f64": np.float64}
# Head size, pairs, offset.
HEADS = [(8, 4, 0), (20, 5, 3), (128, 64, 0), (7, 0, 2)]
PAIRINGS = ["half", "interleaved"]


def text(form, name, source, target, head, pairs, offset, pairing):
    x, y = (f"{form}<?x3x{head}x{element}>" for element in (source, target))
    t = f"{form}<?x{pairs}x{target}>"
    attributes = f"{{pairing = #rope.pairing<{pairing}>, position_dims = array<i64: 0>, offset = {offset} : i64}}"
    apply = f"rope.apply ins(%x, %c, %s : {x}, {t}, {t})"
    if form == "memref":
        return f"func.func @{name}(%x: {x}, %c: {t}, %s: {t}, %y: {y}) {{ {apply} outs(%y : {y}) {attributes}\n return }}\n"
    return f"""func.func @{name}(%x: {x}, %c: {t}, %s: {t}) -> {y} {{
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : {x}
  %e = tensor.empty(%n) : {y}
  %y = {apply} outs(%e : {y}) {attributes}
  return %y : {y}
}}
"""


def main():
    report = Report()
    rng = np.random.default_rng(0)
    cases = list(itertools.product(("tensor", "memref"), TYPES, HEADS, PAIRINGS))
    functions = [text(form, f"f{i}", *types, *head, pairing) for i, (form, types, head, pairing) in enumerate(cases)]
    for cpu in ("host", "x86-64"):
        module = Module("".join(functions), cpu)
        for i, (form, (source, target), (head, pairs, offset), pairing) in enumerate(cases):
            for size in (0, 1, 5):
                wide = rng.standard_normal((size, 3, head)).astype(np.float32)
                x = (wide.view(np.uint32) >> 16).astype(np.uint16) if source == "bf16" else wide.astype(NUMPY[source])
                exact = (x.astype(np.uint32) << 16).view(np.float32) if source == "bf16" else x
                exact = exact.astype(np.float64)
                angle = rng.uniform(-3, 3, (size, pairs))
                c, s = np.cos(angle).astype(NUMPY[target]), np.sin(angle).astype(NUMPY[target])
                y = np.full(x.shape, 7, NUMPY[target])
                module.call(f"f{i}", x, c, s, y)
                channel = np.arange(pairs)
                first = offset + (channel if pairing == "half" else 2 * channel)
                second = first + (pairs if pairing == "half" else 1)
                expected = exact.copy()
                u, v = exact[..., first], exact[..., second]
                cos, sin = (t.astype(np.float64)[:, None] for t in (c, s))
                expected[..., first], expected[..., second] = u * cos - v * sin, u * sin + v * cos
                bound = np.zeros(x.shape)
                rounding = 2.0 ** (-22 if target == "f32" else -51)
                bound[..., first] = bound[..., second] = rounding * (np.abs(u) + np.abs(v))
                report.close(f"{source} to {target}", f"{form} {cpu} {head} {pairs} {offset} {pairing} {size}", y, expected, bound)
    report.finish()


if __name__ == "__main__":
    in_child(main)

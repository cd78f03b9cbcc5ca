# rope.apply that writes around the cache gives the bits that it gives otherwise,
# and bf16 is rounded to nearest and even, whatever the number.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import math

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import guarded, guarded_copy, in_child, note
from rope_testing.reference import NUMPY
from rope_testing.runner import Module

TOKENS, HEADS = 8, 6

# (channels of a head, pairs, attributes)
LAYOUTS = {
    "d64": (64, 32, ""),
    "d80": (80, 40, ""),
    "d128": (128, 64, ""),
    "d256": (256, 128, ""),
    "d640": (640, 320, ""),
    "partial": (80, 16, ""),
    "leading": (256, 32, ""),
    "trailing": (192, 32, "offset = 128,"),
    "apart": (128, 32, "pair_stride = 64,"),
    # Rows that are written as ever: they are no multiple of 16 bytes.
    "odd": (38, 16, "offset = 3,"),
}  # fmt: skip
PAIRINGS = {
    "half": "pairing = #rope.pairing<half>",
    "interleaved": "pairing = #rope.pairing<interleaved>",
    "to_half": "pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>",
    "to_interleaved": "pairing = #rope.pairing<half>, result_pairing = #rope.pairing<interleaved>",
}
TYPES = ["f32", "bf16", "f16", "f64"]
# The dimensions of tokens and heads: the table is the same for the inner loop, or
# changes with it.
ORDERS = {"heads_inside": 0, "tokens_inside": 1}


def cases():
    for layout, (_, _, extra) in LAYOUTS.items():
        for pairing in PAIRINGS:
            if "pair_stride" in extra and pairing != "half":
                continue
            for dtype in TYPES:
                for order in ORDERS:
                    yield layout, pairing, dtype, order


def function(name, layout, pairing, dtype, order, streaming):
    head, pairs, extra = LAYOUTS[layout]
    table = "f64" if dtype == "f64" else "f32"
    x, t = f"memref<?x?x{head}x{dtype}>", f"memref<?x{pairs}x{table}>"
    return f"""
func.func @{name}(%x: {x}, %c: {t}, %s: {t}, %y: {x}) {{
  rope.apply ins(%x, %c, %s : {x}, {t}, {t}) outs(%y : {x})
    {{{extra} {PAIRINGS[pairing]}, position_dims = array<i64: {ORDERS[order]}>{streaming}}}
  return
}}"""


def fill(shape, dtype, kind, rng):
    """Numbers of one kind: usual ones, ones at the lower end of the type's range
    with zeros among them, or any bits."""
    if kind == "bits":
        return rng.integers(0, 256, np.prod(shape) * dtype.itemsize, np.uint8).view(dtype).reshape(shape)
    values = rng.standard_normal(shape)
    if kind == "small":
        smallest = {8: 2.0**-1022}.get(dtype.itemsize, 2.0**-14 if dtype == np.float16 else 2.0**-126)
        values = values * smallest * rng.choice([0, 0.01, 1, 3], shape)
    return values.astype(dtype)


def same_but_nan(report, name, got, expected):
    """The same bits, but those of NaN: no operation promises its payload."""
    with np.errstate(invalid="ignore"):
        nan, found = (np.isnan(values.astype(np.float64)) for values in (expected, got))
    report.same_bits(f"NaN of {name}", found, nan)
    report.same_bits(name, np.where(nan, np.zeros_like(got), got), np.where(nan, np.zeros_like(got), expected))


def check(module, report, rng, case):
    layout, pairing, dtype, order = case
    head, pairs, _ = LAYOUTS[layout]
    element = np.dtype(NUMPY[dtype])
    outer = (TOKENS, HEADS) if ORDERS[order] == 0 else (HEADS, TOKENS)
    for kind in ["usual", "small", "bits"]:
        name = f"{'_'.join(case)} {kind}"
        note(name)
        # What is asked for ahead lies behind the end of x, in no memory.
        x = guarded_copy(fill((*outer, head), element, kind, rng))
        angle = rng.uniform(-4, 4, (TOKENS, pairs))
        table = np.float64 if dtype == "f64" else np.float32
        cos, sin = (guarded_copy(f(angle).astype(table)) for f in (np.cos, np.sin))
        results = []
        for form in ["plain", "streaming"]:
            # A page's end is aligned, and so is an array of whole lines in front.
            y = guarded(x.shape, element)
            assert y.ctypes.data % alignment_of(layout, dtype) == 0
            y.view(np.uint8)[...] = 0x5A
            module.call("_".join([*case, form]), x, cos, sin, y)
            results.append(np.array(y))
        same_but_nan(report, name, results[1], results[0])


def round_to_bf16(bits):
    """The bits of f32, as those of bf16: to nearest and even, NaN made quiet."""
    rounded = (bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)) >> 16
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, (bits | 0x400000) >> 16, rounded).astype(np.uint16)


def check_rounding(module, report, rng, form):
    """1 * t - 0 * 0 and 0 * -0 + 1 * t round every t: each sign, exponent and kept
    part, with what is rounded away below, at and above the half."""
    high = np.arange(1 << 16, dtype=np.uint32)[:, None] << 16
    bits = (high | np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)).reshape(-1, 64)
    # Row by row all of a kind, and any in every row.
    for order, bits in {"sorted": bits, "mixed": rng.permutation(bits.reshape(-1)).reshape(bits.shape)}.items():
        for pairing, first in {"half": slice(0, 64), "interleaved": slice(0, 128, 2)}.items():
            second = slice(64, 128) if pairing == "half" else slice(1, 128, 2)
            x = guarded((len(bits), 1, 128), NUMPY["bf16"])
            x[..., first], x[..., second] = 1, 0
            zero, table = np.zeros(bits.shape, np.float32), bits.view(np.float32)
            for cos, sin, result in [(table, zero, first), (-zero, table, second)]:
                name = f"rounding, {form}, {order}, {pairing}, {result}"
                note(name)
                y = guarded(x.shape, x.dtype)
                module.call(f"d128_{pairing}_bf16_heads_inside_{form}", x, cos, sin, y)
                report.same_bits(name, np.array(y)[:, 0, result].view(np.uint16), round_to_bf16(bits))


def alignment_of(layout, dtype):
    """Of rows that follow each other from an aligned one on, in bytes."""
    return math.gcd(64, LAYOUTS[layout][0] * np.dtype(NUMPY[dtype]).itemsize)


def main():
    rng = np.random.default_rng(7)
    report = Report()
    text = []
    for layout, pairing, dtype, order in cases():
        name = f"{layout}_{pairing}_{dtype}_{order}"
        attribute = f", rope.streaming = {alignment_of(layout, dtype)} : i64"
        text.append(function(f"{name}_plain", layout, pairing, dtype, order, ""))
        text.append(function(f"{name}_streaming", layout, pairing, dtype, order, attribute))
    module = Module("\n".join(text))
    for case in cases():
        check(module, report, rng, case)
    for form in ["plain", "streaming"]:
        check_rounding(module, report, rng, form)
    report.finish()


in_child(main)

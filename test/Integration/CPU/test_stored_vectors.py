# Stored vectors: layouts, placements, several axes, images.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %test_root

import json
import os
import sys

import numpy as np
from rope_testing import formulas
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.rotations import rotation
from rope_testing.runner import Module
from rope_testing.tables import values_text

HALF, INTERLEAVED = ("pairing = #rope.pairing<half>", "pairing = #rope.pairing<interleaved>")


def base(value, n):
    return f"%w = rope.frequencies base({float(value)!r}) : tensor<{n}xf64>"


def values(w):
    w = [float(x) for x in w]
    return f"%w = rope.frequencies {values_text(w)} : tensor<{len(w)}xf64>"


def ladder(theta, d, count):
    """theta^(-2i/d), i below count."""
    return formulas.geometric(theta, d, count)


def sectioned(*counts):
    return [axis for axis, count in enumerate(counts) for _ in range(count)]


# What each stored case is in this dialect: frequencies, pairs, applications,
# axes, positions, and what else the function needs.
def one(frequencies, pairs, attributes, position=3, **more):
    return dict(
        frequencies=frequencies,
        pairs=pairs,
        applies=[(attributes, None)],
        position=position,
        **more,
    )


def by_axes(frequencies, axes, attributes, positions, **more):
    return one(frequencies, len(axes), attributes, positions, axes=axes, **more)


THREE = [5, 17, 29]
APPLY_CASES = {
    "neox full d=16 pos=3": one(base(1e4, 8), 8, HALF),
    "gptj full d=16 pos=3": one(base(1e4, 8), 8, INTERLEAVED),
    "neox partial leading 8 of 16 pos=3": one(base(1e4, 4), 4, HALF),
    "gptj partial leading 8 of 16 pos=3": one(base(1e4, 4), 4, INTERLEAVED),
    "neox trailing 8 of 16 pos=3": one(base(1e4, 4), 4, HALF + ", offset = 8 : i64"),
    "gptj trailing 8 of 16 (MLA) pos=3": one(base(1e4, 4), 4, INTERLEAVED + ", offset = 8 : i64"),
    "p-RoPE 0.5 of 16 pos=3": one(
        "%w = rope.frequencies base(1.0e4) dimension(16) : tensor<4xf64>", 4,
        HALF + ", pair_stride = 8 : i64",
    ),
    "HF de-interleaving gptj-in neox-out d=16 pos=3": one(
        base(1e4, 8), 8, INTERLEAVED + ", result_pairing = #rope.pairing<half>"
    ),
    "gradient map neox d=16 pos=3 af=1.25": one(
        base(1e4, 8), 8, HALF + ", transpose", magnitude=1.25
    ),
    "negative position neox d=16 pos=-3": one(base(1e4, 8), 8, HALF, -3),
    "nanochat direction d=16 pos=3": one(base(1e4, 8), 8, HALF + ", transpose"),
    "mrope sectioned [6,5,5] neox d=32": by_axes(base(1e6, 16), sectioned(6, 5, 5), HALF, THREE),
    "mrope interleaved [6,5,5] neox d=32": by_axes(
        base(1e6, 16), [0, 1, 2] * 5 + [0], HALF, THREE
    ),
    "mrope sectioned [6,5,5] gptj d=32 (GLM-4.1V style)": by_axes(
        base(1e6, 16), sectioned(6, 5, 5), INTERLEAVED, THREE
    ),
    "ernie hw_t [5,5,6] gptj d=32": by_axes(
        base(1e6, 16), [1, 2] * 5 + [0] * 6, INTERLEAVED, THREE
    ),
}  # fmt: skip


def blocks(n):
    """Two blocks of the head, each in halves, with their own columns."""
    return [(HALF, (0, n)), (f"{HALF}, offset = {2 * n} : i64", (n, 2 * n))]


def dinov3():
    """Centres of patches from -1 to 1, a whole turn for each unit."""
    w = [2 * formulas.pi * x for x in ladder(100, 32, 16)]
    centres = [2 * (3 + 0.5) / 14 - 1, 2 * (5 + 0.5) / 14 - 1]
    return by_axes(values(w + w), sectioned(16, 16), HALF, centres, position_type="f64")


def pixtral():
    """Even frequencies for the row, odd ones for the column."""
    w = ladder(1e4, 64, 32)
    return by_axes(values(w[0::2] + w[1::2]), sectioned(16, 16), HALF, [3, 5])


def gemma4(head):
    n = head // 4
    w = ladder(100, head // 2, n)
    return dict(
        frequencies=values(w + w), pairs=2 * n, applies=blocks(n),
        axes=sectioned(n, n), position=[3, 5],
    )  # fmt: skip


def llama4(x, y):
    w = ladder(1e4, 44, 22)
    return by_axes(values(w + w), sectioned(22, 22), INTERLEAVED, [x, y])


VISION_CASES = {
    "Qwen2-VL ViT head 80, h=3 w=5": by_axes(
        values(2 * ladder(1e4, 40, 20)), sectioned(20, 20), HALF, [3, 5]
    ),
    "Gemma 4 ViT head 64 theta 100, x=3 y=5": gemma4(64),
    "Gemma 4 ViT head 72 theta 100, x=3 y=5": gemma4(72),
    "Llama 4 ViT head 88, grid 24, patch 53": llama4(53 % 24 + 1, 53 // 24 + 1),
    "Llama 4 ViT head 88, CLS": llama4(0, 0),
    "Pixtral head 64, row=3 col=5": pixtral(),
    "DINOv3 head 64 theta 100, row=3 col=5 of 14x14": dinov3(),
    "Flux axes (16,56,56), pos (1,7,9)": by_axes(
        values([w for d in (16, 56, 56) for w in ladder(1e4, d, d // 2)]),
        sectioned(8, 28, 28), INTERLEAVED, [1, 7, 9],
    ),
}  # fmt: skip


def main():
    def load(name):
        with open(os.path.join(sys.argv[1], "oracle", name), encoding="utf-8") as file:
            return json.load(file)

    stored = load("oracle_tables.json")
    cases = stored["apply_cases"] + stored["vision_cases"] + load("more_vectors.json")
    known = {**APPLY_CASES, **VISION_CASES}
    report = Report()
    names = [case["name"] for case in cases]
    report.true("cases", set(names) == set(known), f"{set(names) ^ set(known)} in one alone")

    functions = [
        (f"case{i}_{dtype}", case, dtype)
        for i, case in enumerate(cases) for dtype in ("f32", "f64")
    ]  # fmt: skip
    text = ""
    for name, case, dtype in functions:
        arguments = {k: v for k, v in known[case["name"]].items() if k != "position"}
        axis_count = len(np.atleast_1d(known[case["name"]]["position"]))
        text += rotation(name, head=len(case["x"]), dtype=dtype, axis_count=axis_count, **arguments)
    module = Module(text)
    for name, case, dtype in functions:
        note(case["name"])
        what = known[case["name"]]
        # Two rows, so that a row of positions is not taken for a column.
        x = np.array([case["x"]] * 2, {"f32": "f4", "f64": "f8"}[dtype])
        kind = {"f64": "f8", "i64": "i8"}[what.get("position_type", "i64")]
        positions = np.array(what["position"], kind)
        positions = np.stack([positions] * 2, -1)
        y = np.zeros_like(x)
        module.call(name, x, positions, y)
        expected = np.array([case["y"]] * 2)
        bound = 1.4e-6 if dtype == "f32" else 4e-15
        report.close(f"stored vectors {dtype}", f"{case['name']} in {dtype}", y, expected, bound)
    print(f"{len(cases)} cases")
    report.finish()


if __name__ == "__main__":
    in_child(main)

# Functions of f32 and narrower floats as polynomials, over all of their range.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.reference import NUMPY
from rope_testing.runner import Module

FUNCTIONS = ["exp", "exp2", "tanh", "log"]
TINY = 2.0**-126
SPECIAL = [
    0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e30, -1e30, 127.99999, 128, -125.99999, -126, -126.00001,
    -127, -149, -150, 88.72283, 88.72284, 88.7229, -87.33654, -87.33655, -103.9, -104, TINY, -TINY,
    1e-45, 3.4028235e38, -3.4028235e38,
]  # fmt: skip


def ir(function, element):
    t = f"memref<?x{element}>"
    return f"""
func.func @{function}_{element}(%x: {t}, %y: {t}) {{
  linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}
    ins(%x : {t}) outs(%y : {t}) {{
  ^bb0(%a: {element}, %o: {element}):
    %r = math.{function} %a : {element}
    linalg.yield %r : {element}
  }}
  return
}}"""


def check(module, report, cpu, function, element, x):
    name = f"{cpu} {function} {element}"
    note(name)
    y = np.empty_like(x)
    module.call(f"{function}_{element}", x, y)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        if function == "log":
            # Positive denormals count as the smallest normal number.
            wide = np.where((wide > 0) & (wide < TINY), TINY, wide)
        expected = getattr(np, function)(wide)
        size = np.abs(expected)
        relative = {"exp": 2e-7, "exp2": 2e-7, "tanh": 0, "log": 2e-7}[function]
        bound = relative * size + {"exp": 0, "exp2": 0, "tanh": 1e-6, "log": 1e-7}[function]
        if function.startswith("exp"):
            # Zero below the smallest normal number, or that number right there.
            bound = np.where(size < TINY * (1 + 1e-6), TINY * (1 + 1e-6), bound)
            far = size < TINY * (1 - 1e-4)
            report.true(name, not np.any(y[far]), "is not zero below the smallest normal number")
        # What is rounded to an infinity is one.
        narrow = expected.astype(x.dtype)
        expected = np.where(np.isinf(narrow), narrow.astype(np.float64), expected)
        if element != "f32":
            bound = bound + size * float(np.spacing(np.ones((), x.dtype))) / 2 + 2.0**-25
        # An infinity may come one step early.
        largest = float(np.finfo(np.float32).max) * (1 - 1e-6)
        early = np.isinf(y) & (expected > largest) if element == "f32" else np.zeros(x.shape, bool)
    report.close(function, name, np.where(early, expected, y), expected, bound)


def main():
    report = Report()
    module_text = "".join(ir(f, t) for f in FUNCTIONS for t in ("f32", "bf16", "f16"))
    # Of all bit patterns each 997th, so that all exponents and signs are there.
    x = np.arange(0, 2**32, 997, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = np.linspace(-130, 130, 1000003, dtype=np.float32)
    values = np.concatenate([x, near, np.float32(SPECIAL)])
    halves = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    for cpu in ("host", "x86-64-v3", "x86-64"):
        module = Module(module_text, cpu)
        for function in FUNCTIONS:
            check(module, report, cpu, function, "f32", values)
            for element in ("bf16", "f16"):
                check(module, report, cpu, function, element, halves.view(NUMPY[element]))
    report.finish()


if __name__ == "__main__":
    in_child(main)

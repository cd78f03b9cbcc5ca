# Attention over 8192 positions needs no memory for its scores.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import pathlib

import numpy as np
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module

LENGTH, HEADS, CHANNELS = 8192, 4, 64
LIMIT = 64 << 20
# What a matrix of all scores of one head would take.
SCORES = 4 * LENGTH * LENGTH

MAP = "affine_map<(b, h, i, j, d, e) -> ({})>"
TEXT = """
func.func @attention(%q: tensor<1x?x{h}x{d}xELEMENT>, %k: tensor<1x?x1x{d}xELEMENT>, %v: tensor<1x?x1x{d}xELEMENT>,
                     %p: tensor<?xi64>) -> tensor<1x?x{h}x{d}xELEMENT> {{
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c1 : tensor<1x?x{h}x{d}xELEMENT>
  %init = tensor.empty(%n) : tensor<1x?x{h}x{d}xELEMENT>
  %f = rope.frequencies base(1.0e+04) : tensor<{pairs}xf64>
  %o = rope.attention {{causal, scale = 0.125 : f64, indexing_maps = [{maps}]}}
    ins(%q, %k, %v : tensor<1x?x{h}x{d}xELEMENT>, tensor<1x?x1x{d}xELEMENT>, tensor<1x?x1x{d}xELEMENT>)
    rotate_query(%p, %f : tensor<?xi64>, tensor<{pairs}xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    rotate_key(%p, %f : tensor<?xi64>, tensor<{pairs}xf64>) by <pairing = half, position_dims = [1], angles = <magnitude = 1.0>>
    outs(%init : tensor<1x?x{h}x{d}xELEMENT>)
  return %o : tensor<1x?x{h}x{d}xELEMENT>
}}
""".format(h=HEADS, d=CHANNELS, pairs=CHANNELS // 2, maps=", ".join(map(MAP.format, (
    "b, i, h, d", "b, j, 0, d", "b, j, 0, e", "b, i, h, e"))))


def resident(key):
    """VmRSS, or its peak VmHWM, of this process in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"no {key}")


def main():
    report = Report()
    for element, dtype in (("f32", np.float32), ("bf16", np.uint16)):
        module = Module(TEXT.replace("ELEMENT", element))
        # Ones in either type: each result is one.
        one = np.float32(1) if dtype == np.float32 else np.uint16(0x3F80)
        q = np.full((1, LENGTH, HEADS, CHANNELS), one, dtype)
        k = np.full((1, LENGTH, 1, CHANNELS), one, dtype)
        result = np.full(q.shape, 7, dtype)
        positions = np.arange(LENGTH)
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak restarts here
        before = resident("VmRSS")
        module.call("attention", q, k, k, positions, result)
        grown = resident("VmHWM") - before
        print(f"{element}: {grown / 2**20:.1f} MiB beside inputs and results, "
              f"{SCORES / 2**20:.0f} MiB would hold the scores of one head")
        report.true(f"memory in {element}", grown <= LIMIT, f"{grown} bytes, expected at most {LIMIT}")
        wide = result if dtype == np.float32 else (result.astype(np.uint32) << 16).view(np.float32)
        report.close(f"results in {element}", element, wide, np.ones(q.shape), 1e-5 if dtype == np.float32 else 1e-2)
    report.finish()


if __name__ == "__main__":
    in_child(main)

# Rows of keys rotated into the pages of a cache, whose places kernels look up.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target
# RUN: env HOST_CC=%host_cc %python %s

import numpy as np
from rope_testing import gpu
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import run

HEADS, CHANNELS, SLOTS = 3, 16, 4
TEXT = f"""
func.func @append(%k: tensor<?x{HEADS}x{CHANNELS}xf32>, %positions: tensor<?xi64>, %places: tensor<?x2xi64>,
                  %cache: tensor<?x{SLOTS}x{HEADS}x{CHANNELS}xf32>) -> tensor<?x{SLOTS}x{HEADS}x{CHANNELS}xf32> {{
  %c0 = arith.constant 0 : index
  %n = tensor.dim %positions, %c0 : tensor<?xi64>
  %f = rope.frequencies base(1.0e+04) : tensor<{CHANNELS // 2}xf64>
  %e = tensor.empty(%n) : tensor<?x{CHANNELS // 2}xf32>
  %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<{CHANNELS // 2}xf64>)
                          outs(%e, %e : tensor<?x{CHANNELS // 2}xf32>, tensor<?x{CHANNELS // 2}xf32>)
  %r = tensor.empty(%n) : tensor<?x{HEADS}x{CHANNELS}xf32>
  %y = rope.apply ins(%k, %cos, %sin : tensor<?x{HEADS}x{CHANNELS}xf32>, tensor<?x{CHANNELS // 2}xf32>, tensor<?x{CHANNELS // 2}xf32>)
                  outs(%r : tensor<?x{HEADS}x{CHANNELS}xf32>) {{pairing = #rope.pairing<half>, position_dims = array<i64: 0>}}
  %w = tensor.scatter %y into %cache[%places] scatter_dims([0, 1]) unique
    : (tensor<?x{HEADS}x{CHANNELS}xf32>, tensor<?x{SLOTS}x{HEADS}x{CHANNELS}xf32>, tensor<?x2xi64>) -> tensor<?x{SLOTS}x{HEADS}x{CHANNELS}xf32>
  return %w : tensor<?x{SLOTS}x{HEADS}x{CHANNELS}xf32>
}}
"""


def main():
    report = Report()
    # The scatter becomes the loop that kernels take.
    text = run("rope-opt", "-", "--rope-optimize", stdin=TEXT)
    rng = np.random.default_rng(8)
    for target, chip in (("cuda", "sm_80"), ("vulkan", "")):
        reason = gpu.missing(target)
        if reason:
            print(f"{target} is left out: {reason}")
            continue
        module = gpu.load(text, target, chip=chip)
        for tokens in (0, 1, 5, 40):
            pages = 12
            k = rng.standard_normal((tokens, HEADS, CHANNELS)).astype(np.float32)
            cache = rng.standard_normal((pages, SLOTS, HEADS, CHANNELS)).astype(np.float32)
            positions = rng.integers(-(2**31) + 1, 2**31, tokens)
            chosen = rng.permutation(pages * SLOTS)[:tokens]
            places = np.stack([chosen // SLOTS, chosen % SLOTS], 1).astype(np.int64)
            w = 1e4 ** (-np.arange(CHANNELS // 2, dtype=np.longdouble) * 2 / CHANNELS)
            angle = positions.astype(np.longdouble)[:, None, None] * w
            cos, sin = np.cos(angle), np.sin(angle)
            u, v = k[..., : CHANNELS // 2], k[..., CHANNELS // 2 :]
            expected = cache.astype(np.float64)
            expected[places[:, 0], places[:, 1]] = np.concatenate([u * cos - v * sin, u * sin + v * cos], -1)
            result = np.full(expected.shape, np.nan, np.float32)
            module.call("append", k, positions, places, cache, result)
            bound = np.full(expected.shape, 0.0)
            bound[places[:, 0], places[:, 1]] = 4e-6
            report.close("paged append", f"{target}, {tokens} tokens", result, expected, bound)
    report.finish()


if __name__ == "__main__":
    in_child(main)

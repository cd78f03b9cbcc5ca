# Comparison within bounds, which names the worst element.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

import sys
from collections import defaultdict

import numpy as np


class Report:
    """Counts comparisons, keeps the worst of each class, prints failures."""

    def __init__(self):
        self.failures = 0
        self.count = 0
        self.worst = defaultdict(float)
        # The error and the bound behind each of the worst.
        self.errors = {}

    def _fail(self, name, message):
        self.failures += 1
        if self.failures <= 20:
            print(f"FAILED {name}: {message}")

    def close(self, kind, name, got, expected, bound):
        """|got - expected| <= bound, element by element, computed in f64 or
        wider. Where `expected` is not finite, `got` must be the same."""
        self.count += 1
        wide = np.longdouble if _is_wide(expected) else np.float64
        got = np.asarray(got).astype(wide)
        expected = np.asarray(expected, wide)
        if got.shape != expected.shape:
            return self._fail(name, f"shape {got.shape}, expected {expected.shape}")
        if got.size == 0:
            return None
        bound = np.broadcast_to(np.asarray(bound, np.float64), got.shape)
        with np.errstate(invalid="ignore"):
            error = np.abs(got - expected)
            same = (got == expected) | (np.isnan(got) & np.isnan(expected))
            # NaN, an infinity or a number in place of another.
            error = np.where(same, 0, np.where(np.isnan(error), np.inf, error))
            ratio = np.where(same, 0, error / np.maximum(bound, 1e-300))
        worst = np.unravel_index(np.argmax(ratio), ratio.shape)
        if kind not in self.errors or ratio[worst] > self.worst[kind]:
            self.errors[kind] = float(error[worst]), float(bound[worst])
        self.worst[kind] = max(self.worst[kind], float(ratio[worst]))
        if ratio[worst] > 1:
            index = [int(i) for i in worst]
            self._fail(
                name,
                f"worst at {index}: got {got[worst]!r}, expected "
                f"{expected[worst]!r}, error {float(error[worst]):.3e}, "
                f"bound {bound[worst]:.3e} ({np.sum(ratio > 1)} of "
                f"{got.size} elements are out of bounds)",
            )
        return None

    def same_bits(self, name, got, expected):
        """Equal bit for bit."""
        self.count += 1
        got, expected = np.ascontiguousarray(got), np.ascontiguousarray(expected)
        if got.shape != expected.shape or got.dtype != expected.dtype:
            return self._fail(
                name,
                f"{got.dtype}{got.shape}, expected {expected.dtype}{expected.shape}",
            )
        if got.size == 0:
            return None
        word = np.dtype(f"u{got.itemsize}")
        different = got.view(word) != expected.view(word)
        if different.any():
            worst = tuple(np.argwhere(different)[0])
            self._fail(
                name,
                f"first at {[int(i) for i in worst]}: got bits "
                f"{got.view(word)[worst]:#x}, expected "
                f"{expected.view(word)[worst]:#x} ({different.sum()} of "
                f"{got.size} elements differ)",
            )
        return None

    def true(self, name, condition, message):
        """`condition` holds; `message` says what was found."""
        self.count += 1
        if not condition:
            self._fail(name, message)

    def finish(self):
        """Prints a summary; exits with 1 where anything failed or nothing ran."""
        for kind, ratio in sorted(self.worst.items()):
            print(f"{kind:40} worst error {ratio:.3f} of its bound")
        print(f"{self.count} comparisons, {self.failures} failed")
        sys.exit(1 if self.failures or not self.count else 0)


def _is_wide(expected):
    return np.asarray(expected).dtype == np.longdouble

# The formulas of the models' frequencies, with 400 bits.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Frequencies, magnitudes and axes of a model as test/oracle/models.json
describes it. `d` is the number of rotated channels, 2n."""

import math

from mpmath import exp, log, mpf, pi, sqrt


def geometric(base, d, count=None):
    """base^(-2i/d)."""
    n = d // 2 if count is None else count
    return [mpf(base) ** (mpf(-2 * i) / d) for i in range(n)]


def linear(w, factor):
    return [x / mpf(factor) for x in w]


def dynamic(base, d, factor, trained, length):
    """The base grows with the length beyond `trained`."""
    used = max(length, trained)
    stretch = mpf(factor) * used / trained - (mpf(factor) - 1)
    return geometric(mpf(base) * stretch ** (mpf(d) / (d - 2)), d)


def ntk(w, factor, mixed_exponent=None):
    n = len(w)
    if mixed_exponent is None:
        return [x * mpf(factor) ** (-mpf(i + 1) / n) for i, x in enumerate(w)]
    a = log(mpf(factor)) / mpf(n) ** mpf(mixed_exponent)
    return [x / exp(a * mpf(i + 1) ** mpf(mixed_exponent)) for i, x in enumerate(w)]


def yarn(base, d, factor, original, beta_fast=32, beta_slow=1, truncate=True):
    def index(beta):
        return d * log(mpf(original) / (2 * pi * mpf(beta))) / (2 * log(mpf(base)))

    low, high = index(beta_fast), index(beta_slow)
    if truncate:
        low, high = mpf(math.floor(low)), mpf(math.ceil(high))
    low, high = max(low, mpf(0)), min(high, mpf(d - 1))
    if low == high:
        high += mpf("0.001")
    result = []
    for i, w in enumerate(geometric(base, d)):
        ramp = min(max((i - low) / (high - low), mpf(0)), mpf(1))
        result.append(w * (1 - ramp) + w / mpf(factor) * ramp)
    return result


def llama3(w, factor, low, high, original):
    def scale(x):
        wavelength = 2 * pi / x
        if wavelength < mpf(original) / high:
            return x
        if wavelength > mpf(original) / low or low == high:
            return x / mpf(factor)
        keep = (mpf(original) / wavelength - low) / (mpf(high) - low)
        return (1 - keep) * x / mpf(factor) + keep * x

    return [scale(x) for x in w]


def _yarn_magnitude(factor, mscale=1):
    return mpf(1) if factor <= 1 else mpf(mscale) * log(mpf(factor)) / 10 + 1


def model(config, length):
    """Frequencies, one for each pair of the table with zero for pairs that do
    not turn, and the magnitude."""
    rule, d, base = config["scaling"], config["rotary_dim"], config["theta"]
    kind = rule["type"]
    w = geometric(base, d)
    if kind == "default":
        return w, mpf(1)
    if kind == "linear":
        return linear(w, rule["factor"]), mpf(1)
    if kind == "dynamic_alpha":
        grown = mpf(base) * mpf(rule["alpha"]) ** (mpf(d) / (d - 2))
        return geometric(grown, d), mpf(1)
    if kind == "yarn":
        factor = rule["factor"]
        magnitude = _yarn_magnitude(factor)
        if rule.get("mscale") and rule.get("mscale_all_dim"):
            magnitude = _yarn_magnitude(factor, rule["mscale"]) / _yarn_magnitude(
                factor, rule["mscale_all_dim"]
            )
        w = yarn(
            base, d, factor, rule["original_max_position_embeddings"],
            rule["beta_fast"], rule["beta_slow"], rule.get("truncate", True),
        )  # fmt: skip
        return w, magnitude
    if kind == "longrope":
        original = rule["original_max_position_embeddings"]
        name = "long_factor" if length > original else "short_factor"
        stretch = mpf(config["max_position"]) / original
        magnitude = mpf(1)
        if stretch > 1:
            magnitude = sqrt(1 + log(stretch) / log(mpf(original)))
        return [x / mpf(f) for x, f in zip(w, rule[name])], magnitude
    if kind == "llama3":
        return llama3(
            w, rule["factor"], rule["low_freq_factor"], rule["high_freq_factor"],
            rule["original_max_position_embeddings"],
        ), mpf(1)  # fmt: skip
    if kind == "proportional":
        head = config["head_dim"]
        turning = int(rule["partial_rotary_factor"] * head // 2)
        w = linear(geometric(base, head, turning), rule["factor"])
        return w + [mpf(0)] * (head // 2 - turning), mpf(1)
    raise ValueError(kind)


def axes(config):
    """The axis of positions that each pair follows; None where there is one."""
    position = config["position"]
    if position["mode"] == "1d":
        return None
    section = position["section"]
    if position["mode"] == "sectioned":
        return [axis for axis, count in enumerate(section) for _ in range(count)]
    # Interleaved: t h w t h w ..., as long as h and w have pairs left.
    result = [0] * sum(section)
    for axis in (1, 2):
        for i in range(axis, 3 * section[axis], 3):
            if i < len(result):
                result[i] = axis
    return result

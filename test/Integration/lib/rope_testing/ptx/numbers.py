# Arithmetic of PTX that NumPy does not have: one rounding, 16-bit floats, wide
# products.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

from fractions import Fraction

import numpy as np

U1, U2, U4, U8 = (np.dtype(f"u{n}") for n in (1, 2, 4, 8))
I1, I2, I4, I8 = (np.dtype(f"i{n}") for n in (1, 2, 4, 8))
F2, F4, F8 = (np.dtype(f"f{n}") for n in (2, 4, 8))
UNSIGNED = {1: U1, 2: U2, 4: U4, 8: U8}
SIGNED = {1: I1, 2: I2, 4: I4, 8: I8}


def two_sum(a, b):
    """The rounded sum and its error."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def odd(s, error):
    """`s`, an f64 result with the error `error`, rounded to odd instead: a
    narrower rounding of it is then that of the exact number."""
    bits = np.asarray(s).view(I8)
    fix = (error != 0) & np.isfinite(s) & ((bits & 1) == 0)
    step = np.where((error > 0) == (s > 0), 1, -1)
    return (bits + np.where(fix, step, 0)).view(F8)


def fma_f32(a, b, c):
    product, c = a.astype(F8) * b.astype(F8), c.astype(F8)  # an exact product
    s = np.asarray(product + c)
    # Two roundings differ from one only next to the middle of two f32 numbers.
    middle = (s.view(U8) & np.uint64(0x1FFFFFFF)) == 0x10000000
    if middle.any() or ((np.abs(s) < 2.0**-126) & (s != 0)).any():
        s = odd(*two_sum(product, c))
    return s.astype(F4)


def _fma_exact(a, b, c):
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    try:
        return float(exact)
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


def fma_f64(a, b, c):
    """After Boldo and Melquiond; numbers near the ends of the range by
    fractions."""
    a, b, c = np.broadcast_arrays(a, b, c)
    plain = a * b + c

    def split(x):
        t = x * (2.0**27 + 1)
        high = t - (t - x)
        return high, x - high

    product = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    low = ((ah * bh - product) + ah * bl + al * bh) + al * bl
    th, tl = two_sum(c, low)
    vh, vl = two_sum(product, th)
    z = vh + odd(*two_sum(tl, vl))
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    zero = (a == 0) | (b == 0)

    def inside(x):
        return (x == 0) | ((np.abs(x) > 2.0**-400) & (np.abs(x) < 2.0**400))

    z = np.where(finite & ~zero, z, plain)
    for i in np.flatnonzero(finite & ~zero & ~(inside(a) & inside(b) & inside(c))):
        z[i] = _fma_exact(a[i], b[i], c[i])
    return z


def bf16_to_f32(bits):
    return (bits.astype(U4) << np.uint32(16)).view(F4)


def f32_to_bf16(value):
    """The bits, rounded to nearest even; NaN is 0x7fff as on the device."""
    bits = np.asarray(value).view(U4)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(value), np.uint32(0x7FFF), rounded).astype(U2)


def f64_to_bf16(value):
    """The same of an f64 number, rounded once."""
    single = np.asarray(value, F8).astype(F4)
    rest = value - single.astype(F8)
    bits = single.view(I4)
    fix = (rest != 0) & np.isfinite(single) & ((bits & 1) == 0)
    step = np.where((rest > 0) == (value > 0), 1, -1)
    return f32_to_bf16((bits + np.where(fix, step, 0)).astype(I4).view(F4))


def directed(value, dtype, mode):
    """f64 `value` to `dtype` in rounding mode rn, rz, rm or rp."""
    near = np.asarray(value.astype(dtype))
    if mode == "rn":
        return near
    wide = near.astype(F8)
    up = np.nextafter(near, dtype.type(np.inf))
    down = np.nextafter(near, dtype.type(-np.inf))
    too_high, too_low = wide > value, wide < value
    if mode == "rz":
        too_high, too_low = too_high & (value > 0), too_low & (value < 0)
    elif mode == "rm":
        too_low = np.zeros_like(too_low)
    else:
        too_high = np.zeros_like(too_high)
    return np.where(too_high, down, np.where(too_low, up, near))


def to_whole(value, mode):
    """Rounds a float to a whole one: rzi, rni, rmi, rpi."""
    return {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}[mode](value)


def to_integer(value, dtype):
    """A whole float as an integer of `dtype`, clamped; NaN is 0."""
    info = np.iinfo(dtype)
    wide = np.nan_to_num(value.astype(F8), nan=0.0)
    above, below = wide >= float(info.max), wide <= float(info.min)
    safe = np.where(above | below, 0.0, wide).astype(dtype)
    return np.where(above, dtype.type(info.max), np.where(below, dtype.type(info.min), safe))


def flush(value):
    """Subnormal f32 numbers become zeros of their sign."""
    return np.where(np.abs(value) < np.float32(2.0**-126), np.copysign(np.float32(0), value), value)


def multiply_high(a, b):
    """The high half of a product; both of one integer type."""
    size = a.dtype.itemsize
    if size < 8:
        wide = (SIGNED if a.dtype.kind == "i" else UNSIGNED)[2 * size]
        return (a.astype(wide) * b.astype(wide) >> wide.type(8 * size)).astype(a.dtype)
    x, y = a.astype(U8), b.astype(U8)
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    xl, xh, yl, yh = x & mask, x >> half, y & mask, y >> half
    middle = xh * yl + (xl * yl >> half)
    high = xh * yh + (middle >> half) + ((xl * yh + (middle & mask)) >> half)
    if a.dtype.kind == "i":
        high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.astype(a.dtype)


def truncated_divide(a, b):
    """Quotient and remainder, the quotient rounded to zero."""
    if a.dtype.kind == "u":
        return a // b, a % b
    unsigned = UNSIGNED[a.dtype.itemsize]
    x, y = (np.where(v < 0, -v, v).astype(unsigned) for v in (a, b))
    q, r = (x // y).astype(a.dtype), (x % y).astype(a.dtype)
    return np.where((a < 0) != (b < 0), -q, q), np.where(a < 0, -r, r)


def shift_left(a, count):
    bits = 8 * a.dtype.itemsize
    return np.where(count >= bits, a.dtype.type(0), a << np.minimum(count, bits - 1).astype(a.dtype))


def shift_right(a, count):
    """By the sign where `a` is signed."""
    bits = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(count, bits - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(count >= bits, a.dtype.type(0), shifted)


def minimum(a, b, nan, largest=False):
    """min of floats (max with `largest`): NaN if `nan` and one is, and -0 < +0."""
    if largest:
        result = np.maximum(a, b) if nan else np.fmax(a, b)
    else:
        result = np.minimum(a, b) if nan else np.fmin(a, b)
    zeros = (a == 0) & (b == 0)
    if np.any(zeros):
        word = UNSIGNED[result.dtype.itemsize]
        x, y = np.asarray(a).view(word), np.asarray(b).view(word)
        result = np.where(zeros, (x & y if largest else x | y).view(result.dtype), result)
    return result


def spread(result, inputs, relative=0.0, absolute=0.0):
    """An approximation of the f64 `result` within the error that PTX documents,
    where it lies there chosen by the bits of the f32 `inputs`: what passes here
    does not lean on results that are better than promised."""
    bits = np.asarray(inputs).view(U4).astype(U8) * np.uint64(0x9E3779B97F4A7C15)
    # The rounding of the result takes a part.
    place = 0.7 * ((bits >> np.uint64(40)).astype(F8) / 2.0**23 - 1)
    return (result * (1 + relative * place) + absolute * np.maximum(1, np.abs(result)) * place).astype(F4)

# What the operations are to compute, from their definition.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Angles are reduced with integers and a 2 pi of 400 bits, so they are right for
positions below 2^150; nothing here shares code or method with the compiler."""

import ml_dtypes
import mpmath
import numpy as np

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = (np.dtype(name) for name in ("f2", "f4", "f8"))
NUMPY = {
    "f16": F16, "bf16": BF16, "f32": F32, "f64": F64,
    "i8": np.dtype("i1"), "i16": np.dtype("i2"), "i32": np.dtype("i4"),
    "i64": np.dtype("i8"), "index": np.dtype("i8"),
}  # fmt: skip

# Fractions of a turn are kept as integers in units of 2^-_BITS turns.
_BITS = 256


def half_ulp(value, dtype):
    """Half the distance of neighbours in `dtype` around `value`."""
    info = ml_dtypes.finfo(dtype)
    exponent = np.floor(np.log2(np.maximum(np.abs(value), float(info.tiny))))
    return np.exp2(exponent) * float(info.eps) / 2


def _ratio(number):
    """A finite Python or mpmath number as an integer and a power of two."""
    number = mpmath.mpf(number)
    sign, mantissa, exponent, _ = number._mpf_
    return (-int(mantissa) if sign else int(mantissa)), int(exponent)


def _turns(w):
    """w radians in units of 2^-_BITS turns, modulo one turn."""
    with mpmath.workprec(_BITS + 200):
        return int(mpmath.nint(mpmath.mpf(w) / (2 * mpmath.pi) * 2**_BITS))


def phases(positions, frequencies):
    """The fraction of a turn, within half a turn of zero, of each position times
    each frequency: an f64 array with a last dimension of frequencies, right to
    its last bits. `frequencies` are floats or mpmath numbers, positions of any
    type."""
    positions = np.asarray(positions)
    turns = [_turns(w) for w in frequencies]
    result = np.empty(positions.shape + (len(turns),))
    for index in np.ndindex(positions.shape):
        mantissa, exponent = _ratio_of_position(positions[index])
        for i, turn in enumerate(turns):
            result[index + (i,)] = _fraction(mantissa * turn, exponent)
    return result


def _ratio_of_position(position):
    if isinstance(position, (int, np.integer)):
        return int(position), 0
    return _ratio(float(position))


def _fraction(product, exponent):
    bits = _BITS - exponent
    if bits <= 0:
        return 0.0
    rest = product & ((1 << bits) - 1)
    if rest >> (bits - 1):
        rest -= 1 << bits
    # Rounded once, from an integer.
    return _scaled(rest, -bits)


def _scaled(mantissa, exponent):
    excess = max(0, abs(mantissa).bit_length() - 1000)
    return float(np.ldexp(float(mantissa >> excess), exponent + excess))


def cos_sin(positions, frequencies, magnitude=1.0):
    """Cosine and sine of position x frequency times the magnitude, in f64, each
    within about 1e-15 of the magnitude."""
    angles = 2 * np.pi * phases(positions, frequencies)
    return magnitude * np.cos(angles), magnitude * np.sin(angles)


def cos_sin_mp(position, frequency):
    """The same for one number with mpmath alone."""
    if isinstance(position, (int, np.integer)):
        angle = mpmath.mpf(int(position)) * mpmath.mpf(frequency)
    else:
        angle = mpmath.mpf(float(position)) * mpmath.mpf(frequency)
    return mpmath.cos(angle), mpmath.sin(angle)


def f32_angles(positions, frequencies):
    """The angles of precision f32: both factors rounded to f32, then their
    product. Exact in the f64 array that is returned."""
    w = np.asarray([float(w) for w in frequencies], F64).astype(F32)
    p = np.asarray(positions).astype(F32)
    with np.errstate(invalid="ignore", over="ignore"):
        return (p[..., None] * w).astype(F64)


def cos_sin_of_angles(angles):
    """Cosine and sine of f64 angles, within about 1e-15."""
    flat = np.asarray(angles, F64).ravel()
    turn = _turns(mpmath.mpf(1))
    phase = np.array([_fraction(m * turn, e) for m, e in map(_ratio, map(float, flat))])
    phase = phase.reshape(np.shape(angles)) * (2 * np.pi)
    return np.cos(phase), np.sin(phase)


def channels(pairing, pairs, offset=0, pair_stride=None):
    """The two channels of each pair, as two index arrays."""
    i = np.arange(pairs)
    if pairing == "interleaved":
        return offset + 2 * i, offset + 2 * i + 1
    stride = pairs if pair_stride is None else pair_stride
    return offset + i, offset + i + stride


def rotate(
    x, cos, sin, position_dims, pairing="half", offset=0, pair_stride=None,
    result_pairing=None, transpose=False,
):  # fmt: skip
    """rope.apply in f64. Returns the result, the size of each element's pair
    |u| + |v| there (zero where nothing is rotated), and which channels are
    rotated."""
    cos, sin = np.asarray(cos, F64), np.asarray(sin, F64)
    pairs = cos.shape[-1]
    # The tables, with a dimension for each of x.
    order = np.argsort(position_dims)
    shape = [1] * (x.ndim - 1) + [pairs]
    for i, dim in enumerate(position_dims):
        shape[dim] = cos.shape[i]
    axes = [*order, len(position_dims)]
    cos = cos.transpose(axes).reshape(shape)
    sin = sin.transpose(axes).reshape(shape)
    if transpose:
        sin = -sin
    with np.errstate(invalid="ignore"):
        wide = x.astype(F64)
    a, b = channels(pairing, pairs, offset, pair_stride)
    stride = pair_stride if result_pairing in (None, pairing) else None
    c, d = channels(result_pairing or pairing, pairs, offset, stride)
    u, v = wide[..., a], wide[..., b]
    result, size = wide.copy(), np.zeros_like(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        result[..., c] = u * cos - v * sin
        result[..., d] = u * sin + v * cos
        size[..., c] = size[..., d] = np.abs(u) + np.abs(v)
    return result, size, np.concatenate([c, d])

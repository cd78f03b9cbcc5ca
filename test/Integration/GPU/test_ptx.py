# The interpreter of PTX: each class of instructions against NumPy or exact
# arithmetic, and the faults that it has to report.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
from rope_testing import ptx
from rope_testing.compare import Report

BF16 = np.dtype(ml_dtypes.bfloat16)
HEADER = ".version 8.0\n.target sm_90\n.address_size 64\n"
REGISTERS = """
  .reg .pred %p<8>;
  .reg .b16 %h<20>;
  .reg .b32 %r<40>;
  .reg .b64 %d<40>;
  .reg .b64 %a<8>;
"""
# A register for each size.
LETTER = {2: "h", 4: "r", 8: "d"}


def kernel(body, params=1, before="", inside=""):
    """A kernel `k` of `params` pointers, %a0, %a1, .. in its body; %r30 is the
    number of the thread, %d30 too."""
    names = ", ".join(f".param .u64 p{i}" for i in range(params))
    loads = "".join(f"ld.param.u64 %a{i}, [p{i}];\n" for i in range(params))
    return (
        f"{HEADER}{before}\n.visible .entry k({names}) {{ {REGISTERS} {inside}\n{loads}"
        "mov.u32 %r30, %tid.x; mov.u32 %r31, %ctaid.x; mov.u32 %r32, %ntid.x;\n"
        "mad.lo.s32 %r30, %r31, %r32, %r30; cvt.u64.u32 %d30, %r30;\n"
        f"{body}\nret;\n}}\n"
    )


def compute(body, inputs, dtypes):
    """Runs `body` for each element: inputs are registers 1, 2, .. of their size
    (%r1, %d2, ..), results registers 11, 12, .."""
    inputs = [np.ascontiguousarray(x) for x in inputs]
    n = inputs[0].size
    results = [np.zeros(n, d) for d in dtypes]
    text = ""
    for i, x in enumerate(inputs):
        size = x.itemsize
        text += f"mad.lo.u64 %d31, %d30, {size}, %a{i};\n"
        text += f"ld.global.b{8 * size} %{LETTER.get(size, 'h')}{i + 1}, [%d31];\n"
    text += body + "\n"
    for i, y in enumerate(results):
        size = y.itemsize
        text += f"mad.lo.u64 %d31, %d30, {size}, %a{len(inputs) + i};\n"
        text += f"st.global.b{8 * size} [%d31], %{LETTER.get(size, 'h')}{i + 11};\n"
    module = ptx.Module(kernel(text, len(inputs) + len(results)))
    module.launch("k", 1, n, [*inputs, *results])
    return results


# Numbers --------------------------------------------------------------------

EDGES = {
    np.dtype("f4"): [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-40, -3e38, 3.4e38, 2.5, 0.5,
                     1.1754944e-38, 16777217.0, 65519.0, 65520.0],
    np.dtype("f8"): [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-310, -1e308, 1.7e308, 2.5, 0.5],
    np.dtype("f2"): [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 6e-8, 65504, -2.5],
    BF16: [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-40, 3e38, -2.5],
}  # fmt: skip


def values(rng, dtype, n=480):
    """Random numbers with the special ones among them."""
    dtype = np.dtype(dtype)
    if dtype in EDGES:
        x = rng.standard_normal(n) * 2.0 ** rng.integers(-12, 13, n)
        x[: n // 4] = rng.choice(EDGES[dtype], n // 4)
        with np.errstate(over="ignore"):
            return rng.permutation(x).astype(dtype)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    x[::3] >>= rng.integers(0, 8 * dtype.itemsize, len(x[::3])).astype(dtype)
    x[:8] = [0, 1, info.max, info.min, info.max - 1, 2, 3, info.min + 1]
    return rng.permutation(x)


def same(report, name, got, expected):
    """Equal bits, but any NaN for a NaN."""
    got = np.array(got)
    expected = np.asarray(expected, got.dtype)
    if got.dtype.kind not in "iu":
        both = np.isnan(got.astype("f8")) & np.isnan(expected.astype("f8"))
        got[both] = expected[both]
    report.same_bits(name, got, expected)


def check_integers(report, rng):
    for bits in (16, 32, 64):
        letter = LETTER[bits // 8]
        for sign in "us":
            t, dtype = f"{sign}{bits}", np.dtype(f"{'i' if sign == 's' else 'u'}{bits // 8}")
            a, b, c = (values(rng, dtype) for _ in range(3))
            b[b == 0] = 7
            A, B, C = (x.astype(object) for x in (a, b, c))

            def wrap(x, dtype=dtype):
                size = 8 * dtype.itemsize
                x = np.array([int(v) % (1 << size) for v in x], object)
                return x.astype(f"u{dtype.itemsize}").view(dtype)

            quotient = [int(math.copysign(1, x * y)) * (abs(x) // abs(y)) for x, y in zip(A, B)]
            shifts = values(rng, "u4") % 80
            cases = [
                (f"add.{t}", A + B), (f"sub.{t}", A - B), (f"mul.lo.{t}", A * B),
                (f"mul.hi.{t}", (A * B) >> bits), (f"div.{t}", quotient),
                (f"rem.{t}", A - B * np.array(quotient, object)),
                (f"min.{t}", np.minimum(a, b)), (f"max.{t}", np.maximum(a, b)),
                (f"and.b{bits}", a & b), (f"or.b{bits}", a | b), (f"xor.b{bits}", a ^ b),
            ]  # fmt: skip
            for op, expected in cases:
                (got,) = compute(f"{op} %{letter}11, %{letter}1, %{letter}2;", [a, b], [dtype])
                same(report, op, got, wrap(expected))
            for op, expected in (
                (f"mad.lo.{t}", A * B + C), (f"mad.hi.{t}", ((A * B) >> bits) + C),
            ):  # fmt: skip
                body = f"{op} %{letter}11, %{letter}1, %{letter}2, %{letter}3;"
                same(report, op, compute(body, [a, b, c], [dtype])[0], wrap(expected))
            left = [x << int(s) if s < bits else 0 for x, s in zip(A, shifts)]
            right = [x >> int(s) for x, s in zip(A, shifts)]
            for op, expected in ((f"shl.b{bits}", left), (f"shr.{t}", right)):
                body = f"{op} %{letter}11, %{letter}1, %r2;"
                same(report, op, compute(body, [a, shifts], [dtype])[0], wrap(expected))
            if bits < 64:
                wide = np.dtype(f"{dtype.kind}{bits // 4}")
                to, d = LETTER[bits // 4], values(rng, wide)
                got = compute(f"mul.wide.{t} %{to}11, %{letter}1, %{letter}2;", [a, b], [wide])[0]
                same(report, f"mul.wide.{t}", got, wrap(A * B, wide))
                body = f"mad.wide.{t} %{to}11, %{letter}1, %{letter}2, %{to}3;"
                got = compute(body, [a, b, d], [wide])[0]
                same(report, f"mad.wide.{t}", got, wrap(A * B + d.astype(object), wide))
            # Comparison, choice and predicates.
            for op in ("eq", "ne", "lt", "le", "gt", "ge"):
                body = (
                    f"setp.{op}.{t} %p1|%p2, %{letter}1, %{letter}2; setp.{op}.and.{t} %p3, %{letter}1, "
                    f"%{letter}2, %p2; not.pred %p2, %p2; xor.pred %p1, %p1, %p2; or.pred %p1, %p1, %p3;\n"
                    f"selp.u32 %r11, 1, 0, %p1; @%p2 mov.b32 %r12, 5; @!%p2 mov.b32 %r12, 6;"
                )
                got = compute(body, [a, b], ["u4", "u4"])
                holds = getattr(np, {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
                                     "gt": "greater", "ge": "greater_equal"}[op])(a, b)  # fmt: skip
                same(report, f"setp.{op}.{t}", got[0], np.zeros(len(a)))
                same(report, f"guard {op} {t}", got[1], np.where(holds, 5, 6))


def check_wide_integers(report, rng):
    """Carries, fields, permutations."""
    x, y, z = (rng.integers(0, 2**64, 256, "u8") for _ in range(3))
    x[:40] = 2**64 - 1
    y[20:60] = [0, 1] * 20
    low, high = (v.astype("u4") for v in (x, x >> np.uint64(32)))
    low2, high2 = (v.astype("u4") for v in (y, y >> np.uint64(32)))
    inputs = [low, high, low2, high2]
    for name, sign in (("add", 1), ("sub", -1)):
        body = f"{name}.cc.u32 %r11, %r1, %r3; {name}c.u32 %r12, %r2, %r4;"
        got = compute(body, inputs, ["u4", "u4"])
        expected = x + y if sign == 1 else x - y
        total = got[0] | got[1].astype("u8") << np.uint64(32)
        same(report, f"{name}.cc", total, expected)
    body = (
        "mul.lo.u32 %r11, %r1, %r3; mul.hi.u32 %r12, %r1, %r3;"
        "mad.lo.cc.u32 %r12, %r1, %r4, %r12; madc.hi.u32 %r13, %r1, %r4, 0;"
        "mad.lo.cc.u32 %r12, %r2, %r3, %r12; madc.hi.cc.u32 %r13, %r2, %r3, %r13; addc.u32 %r14, 0, 0;"
        "mad.lo.cc.u32 %r13, %r2, %r4, %r13; madc.hi.u32 %r14, %r2, %r4, %r14;"
    )
    got = compute(body, inputs, ["u4"] * 4)
    total = sum(v.astype(object) << (32 * i) for i, v in enumerate(got))
    report.true("mad.cc", (total == x.astype(object) * y.astype(object)).all(), "128-bit products")
    a, b, c = (v.astype("u4") for v in (x, y, z))
    A, B, C = (v.astype(object) for v in (a, b, c))
    both = B << 32 | A
    cases = {
        "shf.l.wrap.b32": (both << (C & 31)) >> 32,
        "shf.r.wrap.b32": both >> (C & 31),
        "shf.r.clamp.b32": both >> np.minimum(C, 32),
        "prmt.b32": [
            sum(
                ((255 if w >> (8 * (s & 7) + 7) & 1 else 0) if s & 8 else w >> 8 * (s & 7) & 255) << 8 * i
                for i, s in enumerate(sel >> 4 * i & 15 for i in range(4))
            )
            for w, sel in zip(both, C)
        ],
    }
    for op, expected in cases.items():
        got = compute(f"{op} %r11, %r1, %r2, %r3;", [a, b, c], ["u4"])[0]
        same(report, op, got, [int(v) % 2**32 for v in expected])
    got = compute("lop3.b32 %r11, %r1, %r2, %r3, 0xCA;", [a, b, c], ["u4"])[0]
    same(report, "lop3", got, (a & b) | (~a & c))
    at, length = rng.integers(0, 40, 256, "u4"), rng.integers(0, 40, 256, "u4")

    def field(value, p, n, bits, signed):
        """From the words of the manual."""
        last = min(p + n - 1, bits - 1)
        sign = signed and n and value >> last & 1
        return sum((value >> (p + i) & 1 if i < n and p + i < bits else int(sign)) << i for i in range(bits))

    for sign in "us":
        got = compute(f"bfe.{sign}32 %r11, %r1, %r2, %r3;", [a, at, length], ["u4"])[0]
        expected = [field(int(v), int(p), int(n), 32, sign == "s") for v, p, n in zip(a, at, length)]
        same(report, f"bfe.{sign}32", got, expected)
    got = compute("bfi.b32 %r11, %r1, %r2, %r3, %r4;", [a, b, at, length], ["u4"])[0]
    expected = []
    for v, w, p, n in zip(A, B, at.astype(object), length.astype(object)):
        mask = ((1 << n) - 1 << p) & (2**32 - 1)
        expected.append(w & ~mask | v << p & mask)
    same(report, "bfi.b32", got, expected)
    got = compute("popc.b64 %r11, %d1; clz.b64 %r12, %d1; brev.b64 %d13, %d1; bfind.u64 %r14, %d1;",
                  [z >> (z & np.uint64(63))], ["u4", "u4", "u8", "u4"])  # fmt: skip
    text = [f"{int(v):064b}" for v in z >> (z & np.uint64(63))]
    same(report, "popc", got[0], [t.count("1") for t in text])
    same(report, "clz", got[1], [len(t) - len(t.lstrip("0")) for t in text])
    same(report, "brev", got[2], [int(t[::-1], 2) for t in text])
    same(report, "bfind", got[3], [(63 - (len(t) - len(t.lstrip("0")))) % 2**32 for t in text])
    # Parts of registers.
    body = "mov.b64 {%r11, %r12}, %d1; mov.b32 {%h11, _}, %r11; mov.b32 %r13, {%h11, %h11}; mov.b64 %d14, {%r13, %r12};"
    got = compute(body, [x], ["u2", "u4", "u4", "u8"])
    half = x.astype("u2")
    same(report, "mov parts", got[0], half)
    same(report, "mov join", got[3], (x >> np.uint64(32) << np.uint64(32)) | half * np.uint64(0x10001))


def rounded(number, dtype):
    """A Fraction rounded to nearest even; exact."""
    info = ml_dtypes.finfo(dtype)
    if number == 0:
        return 0.0
    exponent = max(_exponent(abs(number)), int(info.minexp))
    unit = Fraction(2) ** (exponent - int(info.nmant))
    count = number / unit
    floor = count.numerator // count.denominator
    rest = count - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2):
        floor += 1
    value = floor * unit
    if abs(value) > Fraction(float(info.max)):
        return math.inf if number > 0 else -math.inf
    return float(value) if value else math.copysign(0.0, -1 if number < 0 else 1)


def _exponent(x):
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def exact(function, arrays, dtype):
    """`function` of fractions, rounded once; where something is not finite, that
    of NumPy in f64."""
    out = []
    for row in zip(*[np.asarray(x).astype("f8") for x in arrays]):
        if all(map(math.isfinite, row)):
            out.append(rounded(function(*map(Fraction, map(float, row))), dtype))
        else:
            out.append(function(*row))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.array(out).astype(dtype)


FLOATS = {"f32": np.dtype("f4"), "f64": np.dtype("f8"), "f16": np.dtype("f2"), "bf16": BF16}


def signless_zero(x):
    """Zeros are +0: their signs are looked at elsewhere."""
    x = np.array(x)
    x[x == 0] = 0
    return x


def check_floats(report, rng):
    with np.errstate(all="ignore"):
        for t, dtype in FLOATS.items():
            a, b, c = (values(rng, dtype) for _ in range(3))
            # Sums next to the middle of two results, and cancellation.
            c[::5] = (-(a[::5].astype("f8") * b[::5].astype("f8"))).astype(dtype)
            one = np.dtype(dtype).type(1)
            a[1::7], b[1::7] = one, (rng.integers(1, 99, len(b[1::7])) * 2.0**-3).astype(dtype)
            c[1::7] = (ml_dtypes.finfo(dtype).eps * rng.integers(-9, 9, len(c[1::7])) / 2).astype(dtype)
            letter, word = LETTER[dtype.itemsize], f"u{dtype.itemsize}"
            for op, count, function in (
                ("add", 2, lambda x, y: x + y), ("sub", 2, lambda x, y: x - y),
                ("mul", 2, lambda x, y: x * y), ("fma.rn", 3, lambda x, y, z: x * y + z),
            ):  # fmt: skip
                arguments = ", ".join(f"%{letter}{i + 1}" for i in range(count))
                inputs = [a, b, c][:count]
                (got,) = compute(f"{op}.{t} %{letter}11, {arguments};", [x.view(word) for x in inputs], [word])
                expected = exact(function, inputs, dtype)
                same(report, f"{op}.{t}", signless_zero(got.view(dtype)), signless_zero(expected))
                if t in ("f16", "bf16"):
                    pairs = [x.view("u4") for x in inputs]
                    arguments = ", ".join(f"%r{i + 1}" for i in range(count))
                    (got,) = compute(f"{op}.{t}x2 %r11, {arguments};", pairs, ["u4"])
                    same(report, f"{op}.{t}x2", signless_zero(got.view(dtype)), signless_zero(expected))
            for op, function in (
                ("neg", np.negative), ("abs", np.abs), ("min", np.fmin), ("max", np.fmax),
                ("min.NaN", np.minimum), ("max.NaN", np.maximum), ("copysign", None), ("div.rn", None),
                ("sqrt.rn", None),
            ):  # fmt: skip
                if function is None and t in ("f16", "bf16"):
                    continue
                wide_a, wide_b = a.astype("f8"), b.astype("f8")
                if op == "copysign":
                    expected = np.copysign(b, a)
                elif op == "div.rn":
                    expected = exact(lambda x, y: x / y if y else Fraction(0), [a, b], dtype)
                    expected = np.where((b == 0) | (a == 0), a / b, expected)
                elif op == "sqrt.rn":
                    expected = np.sqrt(a)
                elif op in ("neg", "abs"):
                    expected = function(wide_a).astype(dtype)
                else:
                    expected = function(wide_a, wide_b).astype(dtype)
                    zeros = (wide_a == 0) & (wide_b == 0)
                    negative = np.signbit(wide_a), np.signbit(wide_b)
                    sign = negative[0] & negative[1] if op[:3] == "max" else negative[0] | negative[1]
                    expected = np.where(zeros, np.where(sign, -0.0, 0.0).astype(dtype), expected)
                arguments = f"%{letter}1" + ("" if op in ("neg", "abs", "sqrt.rn") else f", %{letter}2")
                inputs = [a.view(word), b.view(word)]
                (got,) = compute(f"{op}.{t} %{letter}11, {arguments};", inputs, [word])
                same(report, f"{op}.{t}", got.view(dtype), expected)
            for op in ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"):
                body = f"setp.{op}.{t} %p1, %{letter}1, %{letter}2; selp.b32 %r11, 1, 0, %p1;"
                (got,) = compute(body, [a.view(word), b.view(word)], ["u4"])
                nan = np.isnan(a.astype("f8")) | np.isnan(b.astype("f8"))
                if op in ("num", "nan"):
                    expected = nan == (op == "nan")
                else:
                    plain = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
                             "gt": "greater", "ge": "greater_equal"}[op[:2]]  # fmt: skip
                    expected = getattr(np, plain)(a.astype("f8"), b.astype("f8"))
                    expected = expected | nan if op.endswith("u") else expected & ~nan
                same(report, f"setp.{op}.{t}", got, expected)
        # Subnormal operands and results are zeros.
        a = np.array([1e-40, -1e-40, 2e-38, 1.0], "f4")
        b = np.array([1.0, 1.0, -1.5e-38, -1e-40], "f4")
        (got,) = compute("add.ftz.f32 %r11, %r1, %r2;", [a, b], ["f4"])
        same(report, "add.ftz", got, np.array([1, 1, 0, 1], "f4"))
        (got,) = compute("add.sat.f32 %r11, %r1, %r2;", [np.array([3, -3, 0.25], "f4"), np.array([1, 1, 0.5], "f4")], ["f4"])
        same(report, "add.sat", got, np.array([1, 0, 0.75], "f4"))


def check_fma_bits(report, rng):
    """f32 results that two roundings get wrong; f64 at the ends of its range."""
    a = np.full(64, 1 + 2.0**-12, "f4")
    b = np.full(64, 1 + 2.0**-12, "f4")
    # 1 + 2^-11 + 2^-24: a middle; a little more or less decides.
    c = np.array([2.0**-60, -(2.0**-60), 0, 2.0**-70] * 16, "f4")
    (got,) = compute("fma.rn.f32 %r11, %r1, %r2, %r3;", [a, b, c], ["f4"])
    expected = exact(lambda x, y, z: x * y + z, [a, b, c], np.dtype("f4"))
    report.true("fma needs one rounding", len(set(expected[:4])) == 2, f"{expected[:4]}")
    same(report, "fma.rn.f32 middle", got, expected)
    tiny = rng.standard_normal((3, 512)) * 2.0 ** rng.integers(-540, -500, (3, 512))
    tiny[2] *= 2.0**-540
    huge = rng.standard_normal((3, 256)) * 2.0 ** rng.integers(500, 512, (3, 256))
    huge[2] *= 2.0**511
    for name, (x, y, z) in (("tiny", tiny), ("huge", huge)):
        (got,) = compute("fma.rn.f64 %d11, %d1, %d2, %d3;", [x, y, z], ["f8"])
        same(report, f"fma.rn.f64 {name}", got, exact(lambda x, y, z: x * y + z, [x, y, z], np.dtype("f8")))


def check_approximations(report, rng):
    """Within what PTX documents, and not better: a test must not depend on it."""
    x = np.concatenate([rng.uniform(-6.28, 6.28, 500), [0.0]]).astype("f4")
    positive = np.abs(x) + np.float32(1e-3)
    w = x.astype("f8")
    cases = {
        "sin.approx.f32": (x, np.sin(w), 2.0**-20.5), "cos.approx.f32": (x, np.cos(w), 2.0**-20.5),
        "ex2.approx.f32": (x, np.exp2(w), 2.0**-22 * np.exp2(w)),
        "ex2.approx.ftz.f32": (x, np.exp2(w), 2.0**-22 * np.exp2(w)),
        "lg2.approx.f32": (positive, np.log2(positive.astype("f8")), 2.0**-22 * np.maximum(1, np.abs(np.log2(positive)))),
        "rcp.approx.f32": (positive, 1 / positive.astype("f8"), 2.0**-22.5 / positive),
        "rsqrt.approx.f32": (positive, positive.astype("f8") ** -0.5, 2.0**-22 * positive**-0.5),
        "sqrt.approx.f32": (positive, positive.astype("f8") ** 0.5, 2.0**-22.5 * positive**0.5),
        "tanh.approx.f32": (x, np.tanh(w), 2.0**-10.9 * np.abs(np.tanh(w))),
    }  # fmt: skip
    for op, (argument, expected, bound) in cases.items():
        (got,) = compute(f"{op} %r11, %r1;", [argument], ["f4"])
        report.close(op, op, got, expected, bound)
        error = np.abs(got - expected) / np.maximum(bound, 1e-30)
        report.true(op, error.max() > 0.3, "it is better than documented")
    for op in ("div.approx.f32", "div.full.f32"):
        (got,) = compute(f"{op} %r11, %r1, %r2;", [x, positive], ["f4"])
        expected = w / positive.astype("f8")
        report.close(op, op, got, expected, 2.0**-22 * np.abs(expected))


def check_conversions(report, rng):
    with np.errstate(all="ignore"):
        for t, dtype in FLOATS.items():
            a = values(rng, dtype)
            a[:8] = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, 3.7]).astype(dtype)
            letter, word = LETTER[dtype.itemsize], f"u{dtype.itemsize}"
            wide = a.astype("f8")
            # To integers.
            for mode, function in (("rzi", np.trunc), ("rni", np.rint), ("rmi", np.floor), ("rpi", np.ceil)):
                for to in ("s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"):
                    integer = np.dtype(f"{'i' if to[0] == 's' else 'u'}{int(to[1:]) // 8}")
                    info = np.iinfo(integer)
                    expected = [
                        0 if math.isnan(v) else int(min(max(v, info.min), info.max)) if math.isfinite(v)
                        else info.max if v > 0 else info.min
                        for v in function(wide)
                    ]  # fmt: skip
                    expected = [min(max(v, info.min), info.max) for v in expected]
                    store = max(integer.itemsize, 2)
                    body = f"cvt.{mode}.{to}.{t} %{LETTER[store]}11, %{letter}1;"
                    (got,) = compute(body, [a.view(word)], [f"{integer.kind}{store}"])
                    same(report, f"cvt.{mode}.{to}.{t}", got, np.array(expected, got.dtype))
                if t in ("f32", "f64"):
                    (got,) = compute(f"cvt.{mode}.{t}.{t} %{letter}11, %{letter}1;", [a], [dtype])
                    same(report, f"cvt.{mode}.{t}.{t}", got, function(a))
            # To other floats.
            for to, to_dtype in FLOATS.items():
                if to == t:
                    continue
                mode = ".rn" if to_dtype.itemsize < dtype.itemsize else ""
                if to_dtype.itemsize == dtype.itemsize:
                    continue
                body = f"cvt{mode}.{to}.{t} %{LETTER[to_dtype.itemsize]}11, %{letter}1;"
                (got,) = compute(body, [a.view(word)], [f"u{to_dtype.itemsize}"])
                expected = exact(lambda x: x, [a], to_dtype)
                got = got.view(to_dtype)
                same(report, f"cvt.{to}.{t}", signless_zero(got), signless_zero(expected))
        # Directed rounding: one neighbour or the other.
        a = values(rng, "f8")
        a = a[np.isfinite(a) & (np.abs(a) < 1e38) & (np.abs(a) > 1e-30)]
        below, above = compute("cvt.rm.f32.f64 %r11, %d1; cvt.rp.f32.f64 %r12, %d1;", [a], ["f4", "f4"])
        report.true("cvt.rm", (below <= a).all() and (np.nextafter(below, np.float32(np.inf)) > a).all(), "")
        report.true("cvt.rp", (above >= a).all() and (np.nextafter(above, np.float32(-np.inf)) < a).all(), "")
        (got,) = compute("cvt.rz.f32.f64 %r11, %d1;", [a], ["f4"])
        same(report, "cvt.rz", got, np.where(a > 0, below, above))
        # Pairs of 16-bit floats; the first is the high one.
        a, b = values(rng, "f4"), values(rng, "f4")
        for t in ("f16", "bf16"):
            (got,) = compute(f"cvt.rn.{t}x2.f32 %r11, %r1, %r2;", [a, b], ["u4"])
            got = got.view(FLOATS[t]).reshape(-1, 2)
            same(report, f"cvt.rn.{t}x2.f32 low", got[:, 0], b.astype(FLOATS[t]))
            same(report, f"cvt.rn.{t}x2.f32 high", got[:, 1], a.astype(FLOATS[t]))
    # From integers, to floats and to integers.
    for source in ("s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"):
        integer = np.dtype(f"{'i' if source[0] == 's' else 'u'}{int(source[1:]) // 8}")
        a = values(rng, integer)
        store = max(2, integer.itemsize)
        held = a.astype(f"{integer.kind}{store}")
        if integer.itemsize == 1:
            held |= np.dtype(held.dtype).type(0x5A00)  # Only the low part counts.
        letter = LETTER[store]
        for to in ("f32", "f64"):
            (got,) = compute(f"cvt.rn.{to}.{source} %{LETTER[FLOATS[to].itemsize]}11, %{letter}1;", [held], [FLOATS[to]])
            same(report, f"cvt.rn.{to}.{source}", got, exact_of_integers(a, FLOATS[to]))
        for to in ("u16", "s32", "u32", "s64", "u64"):
            to_dtype = np.dtype(f"{'i' if to[0] == 's' else 'u'}{int(to[1:]) // 8}")
            (got,) = compute(f"cvt.{to}.{source} %{LETTER[to_dtype.itemsize]}11, %{letter}1;", [held], [to_dtype])
            same(report, f"cvt.{to}.{source}", got, a.astype(to_dtype))
    a = values(rng, "i4")
    (got,) = compute("cvt.sat.s8.s32 %h11, %r1;", [a], ["i2"])
    same(report, "cvt.sat.s8.s32", got, np.clip(a, -128, 127))


def exact_of_integers(a, dtype):
    return np.array([rounded(Fraction(int(v)), dtype) for v in a], dtype)


# Memory, threads --------------------------------------------------------------


def check_memory(report, rng):
    n = 3000
    x, y = rng.integers(0, 2**32, (2, 4 * n), "u4")
    before, expected = y.copy(), x.reshape(n, 4)[:, [3, 0, 1, 2]].ravel()
    text = kernel(
        """setp.ge.u32 %p1, %r30, 3000; @%p1 bra DONE;
        shl.b64 %d1, %d30, 4; add.s64 %d2, %a0, %d1; add.s64 %d3, %a1, %d1;
        ld.global.nc.v4.b32 {%r1, %r2, %r3, %r4}, [%d2];
        st.global.cs.v2.b32 [%d3+8], {%r2, %r3}; st.global.v2.b32 [%d3], {%r4, %r1};
        DONE:""", 2)
    result = ptx.Module(text).launch("k", 100, 32, [x, y])
    report.same_bits("vector accesses", y, expected)
    report.true("widths", result.widths() == {16: n} and result.widths(write=True) == {8: 2 * n}, f"{result.accesses}")
    report.true("bytes", result.bytes() == x.nbytes and result.bytes(write=True, name="argument 1") == y.nbytes, "")
    report.true("counts", result.count("ld.global.nc") == n and result.count("setp") == 3200, f"{result.instructions()}")
    # Narrow loads extend by their type, constants and initial values are there.
    before = """
    .const .align 4 .b8 table[16] = {1, 0, 0, 0, 0xFE, 0xFF, 255, 255, 3};
    .visible .global .align 8 .u64 wide[2] = {0x1122334455667788, 7};
    """
    text = kernel(
        """mov.u64 %d1, table; cvta.const.u64 %d1, %d1; ld.const.s8 %h1, [table+4]; cvt.s32.s16 %r1, %h1;
        ld.const.u8 %r2, [%d1+4]; ld.global.s16 %r3, [wide]; ld.u64 %d2, [wide+8]; cvt.u32.u64 %r4, %d2;
        ld.const.b32 %r5, [table+8];
        st.global.v4.b32 [%a0], {%r1, %r2, %r3, %r4}; st.global.b32 [%a0+16], %r5;""", 1, before)
    out = np.zeros(8, "i4")
    ptx.Module(text).launch("k", 1, 1, [out])
    report.same_bits("narrow loads", out[:5], np.array([-2, 254, 0x7788, 7, 3], "i4"))
    # Static and dynamic shared memory, by its own and by generic addresses.
    text = kernel(
        """mov.u64 %d1, fixed; shl.b64 %d2, %d30, 2; add.s64 %d3, %d1, %d2; st.shared.b32 [%d3], %r30;
        mov.u64 %d4, dynamic; cvta.shared.u64 %d4, %d4; add.s64 %d5, %d4, %d2; st.b32 [%d5+4], %r30;
        bar.sync 0;
        xor.b64 %d6, %d2, 124; add.s64 %d3, %d1, %d6; ld.shared.b32 %r1, [%d3];
        add.s64 %d5, %d4, %d6; ld.u32 %r2, [%d5+4]; add.s32 %r1, %r1, %r2;
        add.s64 %d7, %a0, %d2; st.global.b32 [%d7], %r1;""",
        1, ".extern .shared .align 16 .b8 dynamic[];", ".shared .align 4 .b8 fixed[128];")
    out = np.zeros(32, "u4")
    result = ptx.Module(text).launch("k", 1, 32, [out], shared_bytes=132)
    report.same_bits("shared memory", out, 2 * (31 - np.arange(32, dtype="u4")))
    report.true("shared traffic", result.bytes("shared", name="fixed") == 128, f"{result.regions}")
    # Parameters of all sizes.
    text = f"""{HEADER}.entry k(.param .u8 a, .param .align 8 .b8 b[16], .param .u16 c, .param .f32 d,
        .param .u64 .ptr .global .align 16 e) {{ {REGISTERS}
        ld.param.u8 %h1, [a]; ld.param.v2.b32 {{%r1, %r2}}, [b+8]; ld.param.u16 %h2, [c]; ld.param.f32 %r3, [d];
        ld.param.u64 %d1, [e]; cvta.to.global.u64 %d1, %d1; cvt.u32.u16 %r4, %h1; cvt.u32.u16 %r5, %h2;
        st.global.v2.b32 [%d1], {{%r1, %r2}}; st.global.b32 [%d1+8], %r3; st.global.v2.b32 [%d1+16], {{%r4, %r5}}; ret; }}"""
    out = np.zeros(6, "u4")
    module = ptx.Module(text)
    params = np.zeros(40, "u1")
    params[0], params[16:24], params[24:26] = 9, np.array([5, 6], "u4").view("u1"), np.array([300], "u2").view("u1")
    params[28:32], params[32:40] = np.array([1.5], "f4").view("u1"), np.array([out.ctypes.data], "u8").view("u1")
    module.launch("k", 1, 1, [params.tobytes()], memory=[out])
    report.same_bits("parameters", out, np.array([5, 6, 0x3FC00000, 0, 9, 300], "u4"))
    # Atomics.
    total, top = np.zeros(1, "f4"), np.zeros(2, "i4")
    text = kernel(
        """cvt.rn.f32.u32 %r1, %r30; red.global.add.f32 [%a0], %r1; atom.global.max.s32 %r2, [%a1], %r30;
        atom.global.add.u32 %r3, [%a1+4], 2;""", 2)
    ptx.Module(text).launch("k", 10, 40, [total, top])
    report.true("atomics", total[0] == 399 * 200 and list(top) == [399, 800], f"{total} {top}")


def check_measures(report, rng):
    """Sectors of global memory and banks of shared memory."""
    x = np.zeros(32 * 64 + 32, "u4")
    x = x[-(x.ctypes.data // 4) % 32 :][: 32 * 64]  # at a multiple of 128 bytes

    def launch(body, arrays=(x,)):
        text = kernel(body, 1, inside=".shared .align 16 .b8 s[16384];")
        return ptx.Module(text).launch("k", 1, 64, list(arrays), measure=True, unwritten_shared=False)

    for stride, sectors in ((4, 8), (8, 16), (32, 64), (64, 64)):
        result = launch(f"mad.lo.u64 %d1, %d30, {stride}, %a0; ld.global.b32 %r1, [%d1];")
        report.true(f"stride {stride}", result.sectors[False] == sectors, f"{result.sectors}")
        used = 256 / (32 * sectors)
        report.true(f"stride {stride}", result.efficiency() == used, f"{result.efficiency()}, not {used}")
    shared = "mov.u64 %d1, s; mad.lo.u64 %d1, %d30, STRIDE, %d1; st.shared.TYPE [%d1], VALUE;"
    for stride, kind, value, rounds in (
        (4, "b32", "%r30", 2), (8, "b32", "%r30", 4), (128, "b32", "%r30", 64), (132, "b32", "%r30", 2),
        (16, "v4.b32", "{%r30, %r30, %r30, %r30}", 8), (144, "v4.b32", "{%r30, %r30, %r30, %r30}", 8),
        (128, "v4.b32", "{%r30, %r30, %r30, %r30}", 64), (8, "v2.b32", "{%r30, %r30}", 4), (2, "b16", "%h1", 2),
    ):  # fmt: skip
        body = "mov.b16 %h1, 1;" + shared.replace("STRIDE", str(stride)).replace("TYPE", kind).replace("VALUE", value)
        result = launch(body)
        report.true(f"{kind} at {stride}", result.rounds[True] == rounds, f"{result.rounds}, not {rounds}")
    result = launch("mov.u64 %d1, s; ld.shared.b32 %r1, [%d1];")
    report.true("one word for all", result.rounds[False] == 2 and result.conflicts() == 0, f"{result.rounds}")


def check_control(report, rng):
    """Loops of different lengths, nested branches, blocks that are no whole warps,
    a switch."""
    n = 700
    limit = rng.integers(0, 40, n).astype("u4")
    out = np.zeros(n, "u4")
    text = kernel(
        """setp.ge.u32 %p1, %r30, 700; @%p1 bra $END;
        mad.lo.u64 %d1, %d30, 4, %a0; ld.global.b32 %r1, [%d1]; mov.b32 %r2, 0; mov.b32 %r3, 0;
        setp.eq.s32 %p2, %r1, 0; @%p2 bra $OUT;
        $LOOP: and.b32 %r4, %r3, 1; setp.ne.s32 %p3, %r4, 0; @!%p3 bra $EVEN;
        add.s32 %r2, %r2, 100; bra.uni $NEXT;
        $EVEN: add.s32 %r2, %r2, 1;
        $NEXT: add.s32 %r3, %r3, 1; setp.lt.u32 %p4, %r3, %r1; @%p4 bra $LOOP;
        $OUT: mad.lo.u64 %d1, %d30, 4, %a1; st.global.b32 [%d1], %r2;
        $END:""", 2)
    ptx.Module(text).launch("k", (8, 1, 1), 90, [limit, out])
    report.same_bits("loops", out, limit // 2 * 100 + (limit + 1) // 2)
    text = kernel(
        """rem.u32 %r1, %r30, 3;
        $T: .branchtargets $A, $B, $C;
        brx.idx %r1, $T;
        $A: mov.b32 %r2, 10; bra $E; $B: mov.b32 %r2, 20; bra $E; $C: mov.b32 %r2, 30;
        $E: { .reg .b32 %r2<3>; mov.b32 %r21, 5; } mad.lo.u64 %d1, %d30, 4, %a0; st.global.b32 [%d1], %r2;""")
    out = np.zeros(64, "u4")
    ptx.Module(text).launch("k", 2, 32, [out])
    report.same_bits("switch", out, 10 + 10 * (np.arange(64, dtype="u4") % 3))
    # Numbers of threads and blocks in three dimensions.
    text = kernel(
        """mov.u32 %r1, %tid.y; mov.u32 %r2, %ctaid.y; mov.u32 %r3, %nctaid.x; mov.u32 %r4, %ctaid.x; mov.u32 %r5, %tid.x;
        mad.lo.s32 %r6, %r2, %r3, %r4; mov.u32 %r7, %ntid.y; mad.lo.s32 %r6, %r6, %r7, %r1; mov.u32 %r7, %ntid.x;
        mad.lo.s32 %r6, %r6, %r7, %r5; cvt.u64.u32 %d1, %r6; mad.lo.u64 %d1, %d1, 4, %a0;
        mov.u32 %r8, %laneid; mov.u32 %r9, %warpid; mad.lo.s32 %r8, %r9, 32, %r8; st.global.b32 [%d1], %r8;""")
    out = np.zeros(3 * 2 * 40, "u4")
    ptx.Module(text).launch("k", (3, 2), (8, 5), [out])
    report.same_bits("dimensions", out, np.tile(np.arange(40, dtype="u4"), 6))


def check_warps(report, rng):
    a = rng.integers(0, 2**32, 256, "u4")
    lane, rows = np.arange(256) % 32, a.reshape(8, 32)
    everywhere = "0xffffffff"
    for op, expected in (
        ("bfly", rows[:, np.arange(32) ^ 5]), ("idx", np.repeat(rows[:, 5:6], 32, 1)),
        ("down", np.where(np.arange(32) < 27, np.roll(rows, -5, 1), rows)),
        ("up", np.where(np.arange(32) >= 5, np.roll(rows, 5, 1), rows)),
    ):  # fmt: skip
        control = 0 if op == "up" else 31
        body = f"shfl.sync.{op}.b32 %r11|%p1, %r1, 5, {control}, {everywhere}; selp.b32 %r12, 1, 0, %p1;"
        got = compute(body, [a], ["u4", "u4"])
        same(report, f"shfl.{op}", got[0], expected.ravel())
        inside = {"down": lane < 27, "up": lane >= 5}.get(op, lane >= 0)
        same(report, f"shfl.{op} flag", got[1], inside)
    # Segments of 8 lanes.
    (got,) = compute(f"shfl.sync.bfly.b32 %r11, %r1, 3, 0x181f, {everywhere};", [a], ["u4"])
    same(report, "shfl of segments", got, a.reshape(-1, 8)[:, np.arange(8) ^ 3].ravel())
    (got,) = compute(f"shfl.sync.bfly.b32 %r11, %r1, 8, 0x181f, {everywhere};", [a], ["u4"])
    # As PTX has it: only going up ends at the segment.
    same(report, "shfl between segments", got, np.where(lane & 8, np.roll(a, 8), a))
    for op, function in (("add", np.add), ("min", np.minimum), ("max", np.maximum), ("xor", np.bitwise_xor)):
        (got,) = compute(f"redux.sync.{op}.u32 %r11, %r1, {everywhere};", [a], ["u4"])
        same(report, f"redux.{op}", got, np.repeat(function.reduce(rows, 1, dtype="u4"), 32))
    body = (
        f"setp.lt.s32 %p1, %r1, 0; vote.sync.ballot.b32 %r11, %p1, {everywhere}; vote.sync.any.pred %p2, %p1, "
        f"{everywhere}; vote.sync.all.pred %p3, %p1, {everywhere}; selp.b32 %r12, 1, 0, %p2; selp.b32 %r13, 1, 0, %p3;"
        "activemask.b32 %r14;"
    )
    a[32:64] |= np.uint32(2**31)
    a[64:96] &= np.uint32(2**31 - 1)
    rows = a.reshape(8, 32) >> 31
    got = compute(body, [a], ["u4"] * 4)
    same(report, "ballot", got[0], np.repeat((rows.astype("u8") << np.arange(32, dtype="u8")).sum(1), 32))
    same(report, "any", got[1], np.repeat(rows.any(1), 32))
    same(report, "all", got[2], np.repeat(rows.all(1), 32))
    same(report, "activemask", got[3], np.full(256, 2**32 - 1))
    # Only some lanes, which the mask names.
    body = (
        "mov.b32 %r11, 0; and.b32 %r2, %r30, 16; setp.ne.s32 %p1, %r2, 0; @%p1 bra $E;"
        "activemask.b32 %r12; shfl.sync.bfly.b32 %r11, %r1, 1, 31, 0xffff; $E:"
    )
    (got,) = compute(body, [a], ["u4"])
    expected = np.where(lane < 16, a.reshape(-1, 2)[:, ::-1].ravel(), 0)
    same(report, "half a warp", got, expected)


MATRICES = """
  ld.param.u64 %a0, [p0]; ld.param.u64 %a1, [p1]; ld.param.u64 %a2, [p2];
  mov.u32 %r30, %tid.x; cvt.u64.u32 %d30, %r30;
  mov.u32 %r20, sa; mov.u32 %r21, sb;
  // A is 16 x 16 and each row of it 32 bytes: a thread copies 16 bytes of A and 8 of B.
  shl.b64 %d1, %d30, 4; add.s64 %d2, %a0, %d1; shl.b32 %r1, %r30, 4; add.s32 %r1, %r20, %r1;
  cp.async.cg.shared.global [%r1], [%d2], 16;
  cp.async.commit_group;
  shl.b64 %d1, %d30, 3; add.s64 %d2, %a1, %d1; shl.b32 %r1, %r30, 3; add.s32 %r1, %r21, %r1;
  cp.async.ca.shared.global [%r1], [%d2], 8;
  cp.async.commit_group;
  cp.async.wait_group 1;
  WAIT
  BARRIER
  // Rows 0-15 at columns 0 and 8.
  and.b32 %r2, %r30, 15; shl.b32 %r2, %r2, 5; shr.u32 %r3, %r30, 4; shl.b32 %r3, %r3, 4;
  add.s32 %r2, %r2, %r3; add.s32 %r2, %r20, %r2;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r2];
  and.b32 %r2, %r30, 15; shl.b32 %r2, %r2, 4; add.s32 %r2, %r21, %r2;
  ldmatrix.sync.aligned.m8n8.x2TRANS.shared.b16 {%r8, %r9}, [%r2];
  mov.f32 %r10, 0f3F800000;
  mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%r11, %r12, %r13, %r14}, {%r4, %r5, %r6, %r7}, {%r8, %r9},
      {%r10, %r10, %r10, %r10};
  // Thread 4 g + t holds columns 2 t, 2 t + 1 of rows g and g + 8.
  shr.u32 %r2, %r30, 2; shl.b32 %r2, %r2, 5; and.b32 %r3, %r30, 3; shl.b32 %r3, %r3, 3; add.s32 %r2, %r2, %r3;
  cvt.u64.u32 %d1, %r2; add.s64 %d1, %a2, %d1;
  st.global.v2.b32 [%d1], {%r11, %r12}; st.global.v2.b32 [%d1+256], {%r13, %r14};
  ret;
"""


def matrices(rng, kind, trans=".trans", wait="cp.async.wait_group 0;", barrier="bar.warp.sync 0xffffffff;"):
    """Products through cp.async, ldmatrix and mma.sync: got and expected."""
    text = MATRICES.replace("WAIT", wait).replace("BARRIER", barrier).replace("TRANS", trans).replace("TYPE", kind)
    text = (
        f"{HEADER}.entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2) {{ {REGISTERS}"
        f".shared .align 16 .b8 sa[512]; .shared .align 16 .b8 sb[256];\n{text} }}"
    )
    a = rng.standard_normal((16, 16)).astype(FLOATS[kind])
    b = rng.standard_normal((16, 8)).astype(FLOATS[kind])
    c = np.zeros((16, 8), "f4")
    ptx.Module(text).launch("k", 1, 32, [a.view("u2"), b.view("u2"), c])
    return c, a.astype("f8") @ b.astype("f8") + 1


def check_matrices(report, rng):
    for kind in ("bf16", "f16"):
        got, expected = matrices(rng, kind)
        report.close("mma", f"mma {kind}", got, expected, 1e-5)
    got, expected = matrices(rng, "bf16", trans="")
    wrong = np.abs(got - expected).max()
    report.true("mma without .trans", wrong > 0.5, f"the error is only {wrong}")
    # m16n8k8, registers written by hand.
    a = rng.standard_normal((16, 8)).astype("f2")
    b = rng.standard_normal((8, 8)).astype("f2")
    lane = np.arange(32)
    g, t = lane // 4, 2 * (lane % 4)
    a0, a1 = (np.stack([a[g + r, t], a[g + r, t + 1]], 1).copy().view("u4").ravel() for r in (0, 8))
    b0 = np.stack([b[t, g], b[t + 1, g]], 1).copy().view("u4").ravel()
    body = (
        "mov.b32 %r9, 0; mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r11, %r12, %r13, %r14}, {%r1, %r2}, {%r3},"
        "{%r9, %r9, %r9, %r9};"
    )
    got = compute(body, [a0, a1, b0], ["f4"] * 4)
    product = a.astype("f8") @ b.astype("f8")
    for i in range(4):
        report.close("mma", "mma m16n8k8", got[i], product[g + 8 * (i // 2), t + i % 2], 1e-6)
    # stmatrix writes what ldmatrix reads.
    words = rng.integers(0, 2**32, (2, 32), "u4")
    text = kernel(
        """mad.lo.u64 %d1, %d30, 4, %a0; ld.global.b32 %r1, [%d1]; ld.global.b32 %r2, [%d1+128]; and.b32 %r3, %r30, 15;
        mad.lo.u32 %r3, %r3, 16, 0; mov.u32 %r4, s; add.s32 %r3, %r3, %r4;
        stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r3], {%r1, %r2}; bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r5, %r6}, [%r3];
        mad.lo.u64 %d1, %d30, 4, %a1; st.global.b32 [%d1], %r5; st.global.b32 [%d1+128], %r6;""",
        2, inside=".shared .align 16 .b8 s[256];")
    out = np.zeros_like(words)
    ptx.Module(text).launch("k", 1, 32, [words, out])
    report.same_bits("stmatrix", out, words)
    # cp.async that copies less, or nothing, and fills with zeros.
    data, out = rng.integers(1, 99, 32 * 16, "u1"), np.full(32 * 16, 7, "u1")
    text = kernel(
        """mad.lo.u64 %d1, %d30, 16, %a0; mad.lo.u32 %r1, %r30, 16, 0; mov.u32 %r2, s; add.s32 %r1, %r1, %r2;
        setp.lt.u32 %p1, %r30, 20; selp.b32 %r3, 16, 0, %p1; setp.eq.s32 %p2, %r30, 3; selp.b32 %r3, 5, %r3, %p2;
        @!%p1 mov.b64 %d1, 0;
        cp.async.cg.shared.global.L2::128B [%r1], [%d1], 16, %r3; cp.async.wait_all;
        ld.shared.v2.b64 {%d2, %d3}, [%r1]; mad.lo.u64 %d1, %d30, 16, %a1; st.global.v2.b64 [%d1], {%d2, %d3};""",
        2, inside=".shared .align 16 .b8 s[512];")
    ptx.Module(text).launch("k", 1, 32, [data, out])
    expected = data.copy()
    expected[20 * 16 :] = 0
    expected[3 * 16 + 5 : 4 * 16] = 0
    report.same_bits("cp.async of less", out, expected)


# Faults -----------------------------------------------------------------------


def refused(report, name, expected, run):
    """`run` raises an error with all words of `expected`."""
    try:
        run()
    except ptx.PTXError as error:
        missing = [word for word in expected.split("|") if word not in str(error)]
        report.true(name, not missing, f"'{missing}' is not in: {error}")
    else:
        report.true(name, False, "no error")


SHARED = "mov.u64 %d1, s; shl.b64 %d2, %d30, 2; add.s64 %d3, %d1, %d2;"
NEIGHBOUR = "xor.b64 %d4, %d2, DISTANCE; add.s64 %d4, %d1, %d4; ld.shared.b32 %r1, [%d4];"


def check_faults(report, rng):
    def launch(body, arrays, grid=1, block=64, before="", inside=".shared .align 4 .b8 s[256];", **more):
        text = kernel(body, len(arrays), before, inside)
        return ptx.Module(text).launch("k", grid, block, arrays, **more)

    x = np.zeros(64, "u4")
    at = "shl.b64 %d2, %d30, 2; add.s64 %d3, %a0, %d2;"
    cases = [
        ("aligned", "not aligned|thread 1 of block 0", f"{at} ld.global.v2.b32 {{%r1, %r2}}, [%d3];"),
        ("behind the end", "out of bounds|4 bytes|argument 0 of 256 bytes begins 256 bytes before|thread 63 of block 0",
         f"{at} ld.global.b32 %r1, [%d3+4];"),
        ("before the start", "out of bounds|thread 0 of block 0", f"{at} st.global.b32 [%d3+-4], %r30;"),
        ("null", "out of bounds|st.global.b32", "mov.b64 %d3, 0; st.global.b32 [%d3], %r30;"),
        ("over the end", "out of bounds|8 bytes",
         "shl.b64 %d2, %d30, 2; add.s64 %d3, %a0, %d2; and.b64 %d3, %d3, -8; add.s64 %d3, %d3, 8;"
         "ld.global.b64 %d4, [%d3];"),
        ("shared bounds", "shared|out of bounds|s of 256 bytes", f"{SHARED} st.shared.b32 [%d3+4], %r30;"),
        ("shared unwritten", "never written", f"{SHARED} ld.shared.b32 %r1, [%d3];"),
        ("register", "register %r5 is read, but was never written", "add.s32 %r1, %r5, %r30;"),
        ("register on one path", "register %r6 is read, but was never written|thread 10 of block 0",
         "setp.ge.u32 %p1, %r30, 10; @%p1 bra $E; mov.b32 %r5, 1; $E: mov.b32 %r6, %r5; add.s32 %r1, %r6, %r30;"),
        ("all write", "a race|is written by thread|writes it", "st.global.b32 [%a0], %r30;"),
        ("barrier not reached", "a barrier that not all threads of block 0 reach|54 have exited",
         "setp.ge.u32 %p1, %r30, 10; @%p1 bra $E; bar.sync 0; $E: ret;"),
        ("two barriers", "a barrier that not all threads of block 0 reach|wait at PTX line",
         "setp.ge.u32 %p1, %r30, 10; @%p1 bra $E; bar.sync 0; bra $F; $E: bar.sync 0; $F: ret;"),
        ("mask", "is named in the mask but does not run this",
         "setp.ge.u32 %p1, %r30, 10; @%p1 bra $E; shfl.sync.bfly.b32 %r1, %r30, 1, 31, -1; $E: ret;"),
        ("half a warp", "does not run this",
         "mov.b32 %r1, 0; setp.ge.u32 %p1, %r30, 10; @%p1 bra $E; mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
         "{%r1, %r2, %r3, %r4}, {%r1, %r1}, {%r1}, {%r1, %r1, %r1, %r1}; $E: ret;"),
        ("division", "division by zero|thread 5", "sub.s32 %r1, %r30, 5; div.s32 %r1, %r30, %r1;"),
        ("trap", "trap is reached", "trap;"),
        ("unknown", "PTX line|wgmma.fence.sync.aligned", "wgmma.fence.sync.aligned;"),
        ("unknown form", "PTX line|.rz is not known", "add.rz.f32 %r1, %r30, %r30;"),
        ("call", "it is not known", "call.uni vprintf, (%a0, %a0);"),
        ("local memory", "local memory", ".local .align 8 .b8 depot[16]; ret;"),
        ("local load", "local memory", "ld.local.b32 %r1, [%d30];"),
        ("label", "there is no label '$X'", "bra $X;"),
        ("no end", "the end is reached without ret", "bra $E; ret; $E: add.s32 %r1, %r30, 1; } .entry k2() { "),
    ]  # fmt: skip
    for name, words, body in cases:
        refused(report, name, words, lambda body=body: launch(body, [x]))
    odd = np.zeros(260, "u1")[2:258]
    refused(report, "array at an odd place", "not aligned", lambda: launch(f"{at} ld.global.b32 %r1, [%d3];", [odd]))
    fixed = np.zeros(64, "u4")
    fixed.flags.writeable = False
    refused(report, "constant", "which is constant", lambda: launch(f"{at} st.global.b32 [%d3], %r30;", [fixed]))
    refused(report, "threads", "made for .reqntid", lambda: ptx.Module(
        f"{HEADER}.entry k() .reqntid 128, 1, 1 {{ ret; }}").launch("k", 1, 64))  # fmt: skip
    refused(report, "arguments", "takes 1 arguments, not 2", lambda: launch("ret;", [x]) and ptx.Module(
        kernel("ret;")).launch("k", 1, 1, [1, 2]))  # fmt: skip
    # Barriers: each one is needed, and enough.
    for distance, barrier, good in (
        (4, "", False), (4, "bar.warp.sync -1;", True), (4, "bar.sync 0;", True), (128, "", False),
        (128, "bar.warp.sync -1;", False), (128, "barrier.sync.aligned 0;", True), (0, "", True),
    ):  # fmt: skip
        for order in ("write, read", "read, write"):
            write, read = "st.shared.b32 [%d3], %r30;", NEIGHBOUR.replace("DISTANCE", str(distance))
            if order == "write, read":
                body = f"{SHARED} {write} {barrier} {read}"
            else:
                body = f"{SHARED} {write} bar.sync 0; {read} {barrier} {write}"
            name = f"{order} of a neighbour {distance} bytes away, '{barrier}'"
            if good:
                launch(body, [x])
                report.true(name, True, "")
            else:
                verb = "is written" if order == "write, read" else "is read"
                refused(report, name, f"a race|{verb}", lambda body=body: launch(body, [x]))
    # Rounds of one memory: the second barrier of a loop is missing.
    loop = f"""{SHARED} mov.b32 %r5, 0; $L: st.shared.b32 [%d3], %r5; bar.sync 0;
        {NEIGHBOUR.replace("DISTANCE", "128")} SECOND
        add.s32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 3; @%p1 bra $L;"""
    launch(loop.replace("SECOND", "bar.sync 0;"), [x])
    refused(report, "a loop with one barrier", "a race", lambda: launch(loop.replace("SECOND", ""), [x]))
    # All read one place, then one writes it.
    body = "mov.u64 %d1, s; setp.eq.s32 %p1, %r30, 0; @%p1 st.shared.b32 [%d1], %r30; bar.sync 0; ld.shared.b32 %r1, [%d1];"
    refused(report, "write what all read", "a race|is read", lambda: launch(f"{body} @%p1 st.shared.b32 [%d1], %r1;", [x]))
    launch(f"{body} bar.sync 0; @%p1 st.shared.b32 [%d1], %r1;", [x])
    # Blocks: whatever they share, one of them may not write; barriers do not help.
    body = "shl.b64 %d2, %d30, 2; and.b64 %d2, %d2, 255; add.s64 %d3, %a0, %d2;"
    refused(report, "blocks", "a race|of block 0|of block 1", lambda: launch(f"{body} st.global.b32 [%d3], %r30;", [x], 2))
    refused(report, "blocks that read", "a race|of block", lambda: launch(
        f"{body} ld.global.b32 %r1, [%d3]; bar.sync 0; setp.lt.u32 %p1, %r30, 64; @%p1 bra $E;"
        "st.global.b32 [%d3], %r30; $E:", [x], 3))  # fmt: skip
    # Copies: not waited for, by others without a barrier.
    for name, words, change in (
        ("a copy is not waited for", "cp.async still writes", dict(wait="")),
        ("a copy without a barrier", "a race|is written", dict(barrier="")),
    ):
        refused(report, name, words, lambda change=change: matrices(rng, "bf16", **change))


def main():
    report = Report()
    for check in (
        check_integers, check_wide_integers, check_floats, check_fma_bits, check_approximations,
        check_conversions, check_memory, check_measures, check_control, check_warps, check_matrices, check_faults,
    ):  # fmt: skip
        check(report, np.random.default_rng(1))
    report.finish()


if __name__ == "__main__":
    main()

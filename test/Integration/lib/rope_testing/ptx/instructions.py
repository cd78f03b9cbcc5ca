# What each PTX instruction does.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`compile_instruction` turns an instruction into a function of the machine and
of the threads that run it: an array of their numbers, or None for all. Values
are arrays with one element for each of these threads."""

import operator

import numpy as np

from rope_testing.ptx import numbers
from rope_testing.ptx.memory import PTXError
from rope_testing.ptx.numbers import F2, F4, F8, I8, SIGNED, U2, U4, U8, UNSIGNED
from rope_testing.ptx.text import SIZES, Imm, Memory, Not, Reg, Symbol

# What is kept in registers of 16-bit floats is computed on as f32.
DTYPES = {
    name: np.dtype(bool) if name == "pred" else (SIGNED if name[0] == "s" else UNSIGNED)[size]
    for name, size in SIZES.items()
}
DTYPES.update(f16=F2, f32=F4, f64=F8)
SHARED_WINDOW = 1 << 62
SPECIAL = {
    "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y",
    "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%nwarpid",
}  # fmt: skip
HANDLERS = {}


def handles(*names):
    def register(function):
        for name in names:
            HANDLERS[name] = function
        return function

    return register


class Unknown(Exception):
    """An instruction, or a form of it, that is not known here."""


def compile_instruction(ins, kernel):
    """The function of `ins`."""
    name = ins.parts()[0]
    try:
        if name not in HANDLERS:
            raise Unknown("it is not known")
        return HANDLERS[name](Form(ins, kernel))
    except Unknown as problem:
        raise PTXError(
            f"PTX line {ins.line}: the interpreter does not take '{ins.text}': {problem}"
        ) from None


class Form:
    """An instruction with its name taken apart."""

    def __init__(self, ins, kernel):
        self.ins, self.kernel, self.operands = ins, kernel, ins.operands
        parts = ins.parts()
        self.types = [p for p in parts[1:] if p in SIZES]
        self.mods = [p for p in parts[1:] if p not in SIZES]

    def only(self, *allowed):
        """Refuses modifiers that are not named."""
        for mod in self.mods:
            if mod not in allowed:
                raise Unknown(f".{mod} is not known")

    def count(self, *counts):
        if len(self.operands) not in counts:
            raise Unknown(f"{len(self.operands)} operands")

    @property
    def type(self):
        if not self.types:
            raise Unknown("it has no type")
        return self.types[-1]

    # Operands ---------------------------------------------------------------

    def read(self, i, kind):
        operand = self.operands[i] if isinstance(i, int) else i
        return reader(operand, DTYPES[kind], self.kernel)

    def write(self, operand=None):
        return writer(self.operands[0] if operand is None else operand, self.kernel)

    def pure(self, function, *sources, result=None):
        """`function` of the operands behind the first, of these types."""
        self.count(1 + len(sources))
        write = self.write(result)
        if len(sources) == 2:
            a, b = self.read(1, sources[0]), self.read(2, sources[1])
            return lambda m, idx: write(m, idx, function(a(m, idx), b(m, idx)))
        reads = [self.read(i + 1, kind) for i, kind in enumerate(sources)]
        return lambda m, idx: write(m, idx, function(*[read(m, idx) for read in reads]))

    def floats(self, function, fma=False):
        """An operation on floats of the instruction's type."""
        kind, flush, sat = self.type, "ftz" in self.mods, "sat" in self.mods
        n = len(self.operands) - 1
        if kind == "f64":
            one = numbers.fma_f64 if fma else function
        elif kind == "f32":
            one = numbers.fma_f32 if fma else function
            if flush:
                plain = one

                def one(*values):
                    return numbers.flush(plain(*[numbers.flush(v) for v in values]))

        elif kind in ("f16", "f16x2", "bf16", "bf16x2"):
            one = _narrow(function, kind[:-2] if kind.endswith("x2") else kind, fma)
        else:
            raise Unknown(f".{kind} is no type of floats")
        if kind.endswith("x2"):
            return self.pure(_halves(one), *["b32"] * n)
        if sat:
            exact = one

            def one(*values):
                return np.fmin(np.fmax(exact(*values), F4.type(0)), F4.type(1))

        return self.pure(one, *[{"bf16": "b16", "f16": "b16"}.get(kind, kind)] * n)


def _narrow(function, kind, fma):
    """An operation on the bits of 16-bit floats, rounded once."""
    if fma:

        def exact(a, b, c):
            product = a.astype(F8) * b.astype(F8)
            return numbers.odd(*numbers.two_sum(product, c.astype(F8)))

    else:
        exact = function

    def apply(*bits):
        if kind == "f16":
            values = [np.asarray(x).view(F2).astype(F4) for x in bits]
            return exact(*values).astype(F2).view(U2)
        values = [numbers.bf16_to_f32(np.asarray(x)) for x in bits]
        result = exact(*values)
        return numbers.f64_to_bf16(result) if fma else numbers.f32_to_bf16(result)

    return apply


def _halves(one):
    def apply(*words):
        low = one(*[np.asarray(w).astype(U2) for w in words]).astype(U4)
        high = one(*[(np.asarray(w) >> U4.type(16)).astype(U2) for w in words]).astype(U4)
        return low | high << U4.type(16)

    return apply


# Operands -------------------------------------------------------------------


def constant(value, dtype):
    """An immediate as a number of `dtype`."""
    if value.float_size:
        bits = UNSIGNED[value.float_size].type(value.value)
        if dtype.itemsize == value.float_size:
            return bits.view(dtype)
        number = bits.view({4: F4, 8: F8}[value.float_size])
        if dtype.kind != "f":
            raise Unknown("a float of another size")
        return number.astype(dtype)
    if dtype == bool:
        return np.bool_(value.value != 0)
    if dtype.kind == "f":
        return UNSIGNED[dtype.itemsize].type(value.value).view(dtype)
    bits = value.value % (1 << 8 * dtype.itemsize)
    return UNSIGNED[dtype.itemsize].type(bits).view(dtype)


def reader(operand, dtype, kernel):
    if isinstance(operand, Imm):
        value = constant(operand, dtype)
        return lambda m, idx: value
    if isinstance(operand, Symbol):
        return lambda m, idx: dtype.type(m.address_of(operand.name) + operand.offset)
    if isinstance(operand, Not):
        read = reader(Reg(operand.name), dtype, kernel)
        return lambda m, idx: ~read(m, idx)
    if not isinstance(operand, Reg):
        raise Unknown(f"operand {operand}")
    name = operand.name
    if name in SPECIAL:

        def read_special(m, idx):
            value = m.special[name]
            if isinstance(value, np.ndarray) and idx is not None:
                value = value[idx]
            return value.astype(dtype)

        return read_special
    if name not in kernel.registers:
        raise Unknown(f"register {name} is not declared")
    declared = kernel.registers[name]
    if (declared == bool) != (dtype == bool):
        raise Unknown(f"{name} is a predicate in place of a number, or the other way round")
    if declared.itemsize < dtype.itemsize:
        raise Unknown(f"{name} is narrower than its use")
    narrow = declared.itemsize > dtype.itemsize
    raw = dtype if dtype.kind != "f" else UNSIGNED[dtype.itemsize]
    same = declared == dtype

    def read(m, idx):
        value = m.get(name, idx)
        if same:
            return value
        if narrow:
            value = value.astype(raw)
        return value.view(dtype)

    return read


def writer(operand, kernel):
    if not isinstance(operand, Reg):
        raise Unknown(f"the result {operand}")
    name = operand.name
    if name == "_":
        return lambda m, idx, value: None
    if name not in kernel.registers:
        raise Unknown(f"register {name} is not declared")
    declared = kernel.registers[name]
    wider = {"i": SIGNED, "b": UNSIGNED}

    def write(m, idx, value):
        if value.dtype != declared:
            if value.dtype.itemsize < declared.itemsize:
                value = value.astype(wider.get(value.dtype.kind, UNSIGNED)[declared.itemsize])
            elif value.dtype.itemsize > declared.itemsize:
                m.fail(None, f"{name} is narrower than what is written to it")
            value = value.view(declared)
        m.set(name, idx, value)

    return write


# Integers -------------------------------------------------------------------

ROUND_NEAREST = ("rn", "ftz", "sat")


def _integer(form):
    if not form.types or form.type[0] not in "usb" or form.type == "bf16" or form.type == "bf16x2":
        raise Unknown("its type")
    return form.type


def is_float(form):
    return form.types and (form.type[0] == "f" or form.type.startswith("bf"))


def _with_carry(form, function):
    """`function(a, b, [c,] carry)` -> result, carry."""
    form.only("cc", "lo", "hi")
    kind = "u" + _integer(form)[1:]
    sets, takes = "cc" in form.mods, form.ins.parts()[0] in ("addc", "subc", "madc")
    reads = [form.read(i, kind) for i in range(1, len(form.operands))]
    write = form.write()

    def run(m, idx):
        carry = m.get_carry(idx) if takes else np.bool_(False)
        result, carry = function(*[read(m, idx) for read in reads], carry)
        write(m, idx, np.asarray(result))
        if sets:
            m.set_carry(idx, carry)

    return run


def _add_carry(a, b, carry):
    s = a + b
    t = s + carry.astype(s.dtype)
    return t, (s < a) | (t < s)


def _sub_carry(a, b, borrow):
    d = a - b
    t = d - borrow.astype(d.dtype)
    return t, (a < b) | (d < t)


@handles("add", "addc")
def add(form):
    if is_float(form):
        form.only(*ROUND_NEAREST)
        return form.floats(operator.add)
    if "cc" in form.mods or form.ins.op.startswith("addc"):
        return _with_carry(form, _add_carry)
    form.only()
    if form.type in ("u16x2", "s16x2"):
        raise Unknown("its type")
    kind = "u" + _integer(form)[1:]
    return form.pure(operator.add, kind, kind)


@handles("sub", "subc")
def sub(form):
    if is_float(form):
        form.only(*ROUND_NEAREST)
        return form.floats(operator.sub)
    if "cc" in form.mods or form.ins.op.startswith("subc"):
        return _with_carry(form, _sub_carry)
    form.only()
    kind = "u" + _integer(form)[1:]
    return form.pure(operator.sub, kind, kind)


def _wide(kind):
    return {"u16": U4, "s16": SIGNED[4], "u32": U8, "s32": I8}[kind]


@handles("mul")
def mul(form):
    if is_float(form):
        form.only(*ROUND_NEAREST)
        return form.floats(operator.mul)
    kind = _integer(form)
    form.only("lo", "hi", "wide")
    if form.mods == ["lo"]:
        return form.pure(operator.mul, kind, kind)
    if form.mods == ["hi"]:
        return form.pure(numbers.multiply_high, kind, kind)
    if form.mods == ["wide"] and kind[1:] in ("16", "32"):
        wide = _wide(kind)
        return form.pure(lambda a, b: a.astype(wide) * b.astype(wide), kind, kind)
    raise Unknown("its form")


@handles("mad", "madc")
def mad(form):
    if is_float(form):
        return fma(form)
    kind = _integer(form)
    high = "hi" in form.mods
    if "cc" in form.mods or form.ins.op.startswith("madc"):
        signed = DTYPES[kind]

        def product(a, b, c, carry):
            x, y = a.view(signed), b.view(signed)
            p = numbers.multiply_high(x, y) if high else x * y
            return _add_carry(p.view(a.dtype), c, carry)

        return _with_carry(form, product)
    form.only("lo", "hi", "wide")
    if "wide" in form.mods:
        wide = _wide(kind)
        to = kind[0] + str(2 * int(kind[1:]))
        return form.pure(lambda a, b, c: a.astype(wide) * b.astype(wide) + c, kind, kind, to)
    if high:
        return form.pure(lambda a, b, c: numbers.multiply_high(a, b) + c, kind, kind, kind)
    return form.pure(lambda a, b, c: a * b + c, kind, kind, kind)


@handles("div", "rem")
def div(form):
    name = form.ins.parts()[0]
    if is_float(form):
        form.only("rn", "approx", "full", "ftz")
        if form.type == "f32" and ("approx" in form.mods or "full" in form.mods):

            def approximate(a, b):
                return numbers.spread(a.astype(F8) / b.astype(F8), a, relative=2.0**-23)

            return form.floats(approximate)
        if "rn" not in form.mods:
            raise Unknown("its rounding")
        return form.floats(operator.truediv)
    form.only()
    kind, which = _integer(form), int(name == "rem")
    a, b, write = form.read(1, kind), form.read(2, kind), form.write()

    def run(m, idx):
        divisor = b(m, idx)
        if np.any(divisor == 0):
            m.fail(int(np.flatnonzero(np.broadcast_to(divisor == 0, m.count(idx)))[0]), "division by zero")
        write(m, idx, numbers.truncated_divide(a(m, idx), divisor)[which])

    return run


@handles("min", "max")
def extreme(form):
    largest = form.ins.op.startswith("max")
    if is_float(form):
        form.only("NaN", "ftz")
        nan = "NaN" in form.mods

        def choose(*values):
            result = values[0]
            for value in values[1:]:
                result = numbers.minimum(result, value, nan, largest)
            return result

        return form.floats(choose)
    form.only()
    kind = _integer(form)
    return form.pure(np.maximum if largest else np.minimum, kind, kind)


@handles("abs")
def absolute(form):
    if is_float(form):
        form.only("ftz")
        return form.floats(np.abs)
    return form.pure(np.abs, _integer(form))


@handles("neg")
def negate(form):
    if is_float(form):
        form.only("ftz")
        return form.floats(operator.neg)
    return form.pure(operator.neg, _integer(form))


@handles("and", "or", "xor")
def bitwise(form):
    function = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
    form.only()
    return form.pure(function[form.ins.parts()[0]], form.type, form.type)


@handles("not")
def invert(form):
    form.only()
    return form.pure(operator.invert, form.type)


@handles("cnot")
def logical_not(form):
    return form.pure(lambda a: (a == 0).astype(a.dtype), form.type)


@handles("shl", "shr")
def shift(form):
    form.only()
    left = form.ins.op.startswith("shl")
    return form.pure(numbers.shift_left if left else numbers.shift_right, form.type, "u32")


@handles("shf")
def funnel(form):
    form.only("l", "r", "wrap", "clamp")
    left, wrap = "l" in form.mods, "wrap" in form.mods

    def apply(a, b, c):
        n = (c & U4.type(31) if wrap else np.minimum(c, U4.type(32))).astype(U8)
        value = b.astype(U8) << U8.type(32) | a.astype(U8)
        if left:
            return ((value << n) >> U8.type(32)).astype(U4)
        return (value >> n).astype(U4)

    return form.pure(apply, "b32", "b32", "u32")


@handles("prmt")
def permute(form):
    form.only()

    def apply(a, b, c):
        value = b.astype(U8) << U8.type(32) | a.astype(U8)
        result = U4.type(0)
        for i in range(4):
            selector = (c >> U4.type(4 * i)) & U4.type(15)
            byte = (value >> ((selector & U4.type(7)) * U4.type(8)).astype(U8)).astype(U4) & U4.type(255)
            sign = U4.type(255) * (byte >> U4.type(7))
            byte = np.where((selector & U4.type(8)) != 0, sign, byte)
            result = result | byte << U4.type(8 * i)
        return result

    return form.pure(apply, "b32", "b32", "b32")


@handles("lop3")
def lop3(form):
    form.only()
    table = form.operands[4].value

    def apply(a, b, c):
        result = np.zeros_like(a)
        for i in range(8):
            if table >> i & 1:
                result |= (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
        return result

    form.operands = form.operands[:4]
    return form.pure(apply, "b32", "b32", "b32")


@handles("bfe")
def bit_field(form):
    form.only()
    kind = _integer(form)
    bits = int(kind[1:])

    def apply(a, position, length):
        position, length = (np.minimum(x & U4.type(255), U4.type(bits)) for x in (position, length))
        if kind[0] == "u":
            field = numbers.shift_right(a, position)
            return field & ~numbers.shift_left(np.full_like(field, -1 % (1 << bits)), length)
        # The sign is that of the field's last bit, or of `a` where it ends before.
        over = np.maximum(position.astype(I8) + length.astype(I8), 0)
        up = np.maximum(bits - over, 0).astype(U4)
        down = np.where(over > bits, position, U4.type(bits) - length)
        field = numbers.shift_right(numbers.shift_left(a, up), down)
        return np.where(length == 0, a.dtype.type(0), field)

    return form.pure(apply, kind, "u32", "u32")


@handles("bfi")
def insert_field(form):
    form.only()
    bits = int(form.type[1:])

    def apply(a, b, position, length):
        position, length = (np.minimum(x & U4.type(255), U4.type(bits)) for x in (position, length))
        ones = np.full_like(b, -1 % (1 << bits))
        mask = numbers.shift_left(~numbers.shift_left(ones, length), position)
        return (b & ~mask) | (numbers.shift_left(a, position) & mask)

    return form.pure(apply, form.type, form.type, "u32", "u32")


@handles("popc")
def population(form):
    return form.pure(lambda a: np.bitwise_count(a).astype(U4), form.type)


def _leading_zeros(a):
    bits = 8 * a.dtype.itemsize
    result = np.full(a.shape, bits, U4)
    for i in range(bits):
        result = np.where(a >> a.dtype.type(i) & a.dtype.type(1) != 0, U4.type(bits - 1 - i), result)
    return result


@handles("clz")
def leading_zeros(form):
    return form.pure(_leading_zeros, form.type)


@handles("bfind")
def find_bit(form):
    form.only()
    if form.type[0] != "u":
        raise Unknown("its type")
    bits = int(form.type[1:])

    def apply(a):
        zeros = _leading_zeros(a)
        return np.where(zeros == bits, U4.type(0xFFFFFFFF), U4.type(bits - 1) - zeros)

    return form.pure(apply, form.type)


@handles("brev")
def reverse(form):
    bits = int(form.type[1:])

    def apply(a):
        result = np.zeros_like(a)
        for i in range(bits):
            result |= (a >> a.dtype.type(i) & a.dtype.type(1)) << a.dtype.type(bits - 1 - i)
        return result

    return form.pure(apply, form.type)


# Floats ---------------------------------------------------------------------


@handles("fma")
def fma(form):
    form.only(*ROUND_NEAREST)
    form.count(4)
    return form.floats(None, fma=True)


# The errors that PTX documents: of the result, and absolute.
APPROXIMATE = {
    "rcp": (lambda x: 1 / x, 2.0**-23, 0),
    "sqrt": (np.sqrt, 2.0**-23, 0),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2.0**-22.9, 0),
    "ex2": (np.exp2, 2.0**-22.5, 0),
    "lg2": (np.log2, 0, 2.0**-22),
    # Up to 2 pi; PTX says nothing beyond.
    "sin": (lambda x: np.where(np.abs(x) < 6.29, np.sin(x), np.nan), 0, 2.0**-20.5),
    "cos": (lambda x: np.where(np.abs(x) < 6.29, np.cos(x), np.nan), 0, 2.0**-20.5),
    "tanh": (np.tanh, 2.0**-11, 0),
}


@handles(*APPROXIMATE)
def approximate(form):
    name = form.ins.parts()[0]
    form.only("approx", "rn", "ftz")
    function, relative, absolute = APPROXIMATE[name]
    if "rn" in form.mods:
        return form.floats(function)
    if form.type == "f32":
        return form.floats(
            lambda x: numbers.spread(function(x.astype(F8)), x, relative, absolute)
        )
    if form.type in ("f16", "f16x2", "bf16", "bf16x2"):
        return form.floats(lambda x: function(x.astype(F8)).astype(F4))
    raise Unknown("its type")


@handles("copysign")
def copysign(form):
    return form.pure(lambda a, b: np.copysign(b, a), form.type, form.type)


@handles("testp")
def testp(form):
    tests = {
        "finite": np.isfinite, "infinite": np.isinf, "notanumber": np.isnan,
        "number": lambda x: ~np.isnan(x),
        "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny),
        "subnormal": lambda x: (x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny),
    }  # fmt: skip
    if len(form.mods) != 1 or form.mods[0] not in tests:
        raise Unknown("its test")
    return form.pure(tests[form.mods[0]], form.type)


# Comparison and choice ------------------------------------------------------

COMPARE = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "lo": operator.lt, "ls": operator.le,
    "hi": operator.gt, "hs": operator.ge,
}  # fmt: skip


def _comparison(form):
    """The function and the type that it compares."""
    name, kind = form.mods[0], form.type
    floating = is_float(form)
    if name in COMPARE:
        compare = COMPARE[name]
        if name == "ne" and floating:
            # Unlike Python's, it is false for NaN.
            def compare(a, b):
                return (a != b) & ~np.isnan(a) & ~np.isnan(b)

    elif floating and name == "num":

        def compare(a, b):
            return ~np.isnan(a) & ~np.isnan(b)

    elif floating and name == "nan":

        def compare(a, b):
            return np.isnan(a) | np.isnan(b)

    elif floating and name.endswith("u") and name[:-1] in COMPARE:
        plain = COMPARE[name[:-1]]

        def compare(a, b):
            return plain(a, b) | np.isnan(a) | np.isnan(b)

    else:
        raise Unknown(f".{name} is not known")
    if kind == "bf16":
        plain_bits = compare

        def compare(a, b):
            return plain_bits(numbers.bf16_to_f32(np.asarray(a)), numbers.bf16_to_f32(np.asarray(b)))

        kind = "b16"
    elif kind.endswith("x2"):
        raise Unknown("its type")
    elif "ftz" in form.mods:
        exact = compare

        def compare(a, b):
            return exact(numbers.flush(a), numbers.flush(b))

    return compare, kind


@handles("setp")
def setp(form):
    compare, kind = _comparison(form)
    combine = next((m for m in form.mods[1:] if m in ("and", "or", "xor")), None)
    for mod in form.mods[1:]:
        if mod not in ("and", "or", "xor", "ftz"):
            raise Unknown(f".{mod} is not known")
    form.count(4 if combine else 3)
    results = form.operands[0]
    results = results if isinstance(results, list) else [results]
    writes = [form.write(r) for r in results]
    a, b = form.read(1, kind), form.read(2, kind)
    c = form.read(3, "pred") if combine else None
    join = {"and": operator.and_, "or": operator.or_, "xor": operator.xor, None: None}[combine]

    def run(m, idx):
        value = compare(a(m, idx), b(m, idx))
        other = ~value
        if join:
            also = c(m, idx)
            value, other = join(value, also), join(other, also)
        writes[0](m, idx, value)
        if len(writes) > 1:
            writes[1](m, idx, other)

    return run


@handles("set")
def set_(form):
    compare, kind = _comparison(form)
    to = form.types[0]
    one = F4.type(1).view(U4) if to == "f32" else U4.type(0xFFFFFFFF)
    form.types = form.types[1:] if len(form.types) > 1 else form.types
    return form.pure(lambda a, b: np.where(compare(a, b), one, U4.type(0)), kind, kind)


@handles("selp")
def selp(form):
    form.only()
    form.count(4)
    return form.pure(lambda a, b, p: np.where(p, a, b), form.type, form.type, "pred")


@handles("slct")
def slct(form):
    to, by = form.types
    return form.pure(lambda a, b, c: np.where(c >= 0, a, b), to, to, by)


# Moves and conversions ------------------------------------------------------


@handles("mov")
def mov(form):
    form.only()
    form.count(2)
    to, source = form.operands
    kind = form.type
    if isinstance(to, list):
        # Into parts, the low ones first.
        bits = 8 * SIZES[kind] // len(to)
        read = form.read(1, kind)
        writes = [form.write(part) for part in to]
        part_type, word = UNSIGNED[bits // 8], UNSIGNED[SIZES[kind]]

        def unpack(m, idx):
            value = np.asarray(read(m, idx)).view(word)
            for i, write in enumerate(writes):
                write(m, idx, (value >> word.type(i * bits)).astype(part_type))

        return unpack
    write = form.write()
    if isinstance(source, list):
        bits = 8 * SIZES[kind] // len(source)
        reads = [(form.read(part, f"b{bits}"), part) for part in source]
        word = UNSIGNED[SIZES[kind]]

        def pack(m, idx):
            # A part that was never written has some bits.
            value = np.zeros(m.count(idx), word)
            known = [not isinstance(p, Reg) or m.is_defined(p.name, idx) for _, p in reads]
            for i, (read, _) in enumerate(reads):
                part = read(m, idx) if known[i] else UNSIGNED[bits // 8].type(0xAB)
                value |= part.astype(word) << word.type(i * bits)
            if any(known):
                write(m, idx, value)

        return pack
    if isinstance(source, Reg) and source.name in form.kernel.registers:
        read = form.read(1, kind)

        def move(m, idx):
            if m.is_defined(source.name, idx):
                write(m, idx, np.array(read(m, idx)))
            else:
                m.move_undefined(form.operands[0].name, source.name, idx)

        return move
    read = form.read(1, kind)
    return lambda m, idx: write(m, idx, np.array(read(m, idx)))


@handles("cvta")
def cvta(form):
    form.only("to", "global", "shared", "const", "param", "shared::cta")
    window = U8.type(SHARED_WINDOW if "shared" in form.mods or "shared::cta" in form.mods else 0)
    if "to" in form.mods:
        return form.pure(lambda a: a - window, "u64")
    return form.pure(lambda a: a + window, "u64")


@handles("cvt")
def cvt(form):
    if len(form.types) != 2:
        raise Unknown("its types")
    form.only("rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "ftz", "sat")
    to, source = form.types
    mode = next((m for m in form.mods if m[0] == "r"), None)
    sat, ftz = "sat" in form.mods, "ftz" in form.mods
    if to in ("f16x2", "bf16x2"):
        if source != "f32" or mode not in ("rn", "rz") or sat:
            raise Unknown("its form")
        narrow = _from_f64(to[:-2], mode)

        def half(x):
            return narrow(x.astype(F8)).view(U2).astype(U4)

        def pack(a, b):
            return half(a) << U4.type(16) | half(b)

        return form.pure(pack, "f32", "f32")
    floats = ("f16", "bf16", "f32", "f64")
    if source in floats:
        widen = {
            "f16": lambda x: x.view(F2).astype(F4),
            "bf16": lambda x: numbers.bf16_to_f32(x),
            "f32": numbers.flush if ftz else (lambda x: x),
            "f64": lambda x: x,
        }[source]
        read_as = {"f16": "b16", "bf16": "b16"}.get(source, source)
        if to in floats:
            if mode and mode.endswith("i"):
                back = _from_f64(to, "rn")

                def change(x):
                    return back(numbers.to_whole(widen(x), mode).astype(F8))

            elif SIZES[to] > SIZES[source] or to == source:
                back = _from_f64(to, "rn")

                def change(x):
                    value = widen(x)
                    return np.array(value) if to == "f32" else back(value.astype(F8))

            else:
                back = _from_f64(to, mode or "rn")

                def change(x):
                    return back(widen(x).astype(F8))

            if sat:
                plain = change

                def change(x):
                    return np.fmin(np.fmax(plain(x), F4.type(0)), F4.type(1))

            return form.pure(lambda x: change(np.asarray(x)), read_as)
        if not mode or not mode.endswith("i"):
            raise Unknown("its rounding")
        dtype = DTYPES[to]
        return form.pure(
            lambda x: numbers.to_integer(numbers.to_whole(widen(np.asarray(x)), mode), dtype), read_as
        )
    if to in floats:
        if mode not in ("rn", "rz", "rm", "rp"):
            raise Unknown("its rounding")
        if SIZES[source] == 8 and to != "f64":
            if mode != "rn" or to != "f32":
                raise Unknown("its form")
            return form.pure(lambda x: np.asarray(x).astype(F4), source)
        if SIZES[source] == 8 and mode != "rn":
            raise Unknown("its form")
        back = _from_f64(to, mode)
        return form.pure(lambda x: back(np.asarray(x).astype(F8)), source)
    dtype, from_dtype = DTYPES[to], DTYPES[source]
    if sat:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        info = np.iinfo(from_dtype)
        low, high = max(low, info.min), min(high, info.max)
        return form.pure(
            lambda x: np.clip(x, from_dtype.type(low), from_dtype.type(high)).astype(dtype), source
        )
    return form.pure(lambda x: np.array(x).astype(dtype), source)


def _from_f64(to, mode):
    if to == "bf16":
        if mode == "rn":
            return numbers.f64_to_bf16
        if mode == "rz":

            def cut(x):
                bits = numbers.directed(x, F4, "rz").view(U4) >> U4.type(16)
                return np.where(np.isnan(x), U4.type(0x7FFF), bits).astype(U2)

            return cut
        raise Unknown("its rounding")
    dtype = DTYPES[to]
    return lambda x: numbers.directed(np.asarray(x), dtype, mode)


# Memory ---------------------------------------------------------------------


def _space(form):
    for mod in form.mods:
        if mod.split("::")[0] in ("global", "shared", "const", "param", "local"):
            return mod.split("::")[0]
    return "generic"


def _address(memory, kernel):
    if not isinstance(memory, Memory):
        raise Unknown("its address")
    base, offset = memory.base, memory.offset
    if isinstance(base, Reg):
        if base.name not in kernel.registers:
            raise Unknown(f"register {base.name} is not declared")
        wide = kernel.registers[base.name].itemsize == 8
        read = reader(base, U8 if wide else U4, kernel)
        add = U8.type(offset % (1 << 64)) if wide else U4.type(offset % (1 << 32))
        return lambda m, idx: (read(m, idx) + add).astype(U8)
    if isinstance(base, Symbol):
        return lambda m, idx: np.full(m.count(idx), m.address_of(base.name) + base.offset + offset, U8)
    return lambda m, idx: np.full(m.count(idx), base.value + offset, U8)


_MEMORY_MODS = {
    "volatile", "relaxed", "acquire", "release", "weak", "gpu", "sys", "cta", "ca", "cg", "cs",
    "lu", "cv", "wb", "wt", "nc", "v2", "v4", "v8", "global", "shared", "const", "param",
    "generic", "b32",
}  # fmt: skip


def _check_memory_mods(form):
    if _space(form) == "local":
        raise Unknown("local memory (a stack) is not to be used")
    for mod in form.mods:
        plain = mod.startswith(("L1::", "L2::", "param::", "shared::cta"))
        if mod not in _MEMORY_MODS and not plain:
            raise Unknown(f".{mod} is not known")


def access(form):
    """Space, parts of the vector, bytes of the whole."""
    _check_memory_mods(form)
    n = next((int(m[1:]) for m in form.mods if m in ("v2", "v4", "v8")), 1)
    return _space(form), n, n * SIZES[form.type]


@handles("ld", "ldu")
def load(form):
    space, n, size = access(form)
    form.count(2)
    kind, memory = form.type, form.operands[1]
    dtype = DTYPES[kind]
    results = form.operands[0] if isinstance(form.operands[0], list) else [form.operands[0]]
    if len(results) != n:
        raise Unknown("its number of results")
    writes = [form.write(r) for r in results]
    if space == "param":
        base = memory.base
        if not isinstance(base, Symbol) or base.name not in form.kernel.params:
            raise Unknown("its parameter")
        start, whole = form.kernel.params[base.name]
        start, end = start + base.offset + memory.offset, start + whole
        if start + size > end or start % size:
            raise Unknown(f"it reads {size} bytes at {start} of a parameter that ends at {end}")

        def load_param(m, idx):
            values = m.params[start : start + size].view(dtype)
            for write, value in zip(writes, values):
                write(m, idx, np.full(m.count(idx), value))

        return load_param
    address = _address(memory, form.kernel)
    width = dtype.itemsize

    def run(m, idx):
        for some, at in m.by_space(space, idx, address(m, idx)):
            where, offset = m.access(at[0], some, at[1], size, False)
            view = where.views[width]
            first = offset >> (width.bit_length() - 1)
            for i, write in enumerate(writes):
                write(m, some, view[first + i if i else first].view(dtype))

    return run


@handles("st")
def store(form):
    space, n, size = access(form)
    form.count(2)
    if space in ("param", "const"):
        raise Unknown("calls are not known")
    values = form.operands[1] if isinstance(form.operands[1], list) else [form.operands[1]]
    if len(values) != n:
        raise Unknown("its number of values")
    width = SIZES[form.type]
    reads = [form.read(v, f"b{8 * width}") for v in values]
    address = _address(form.operands[0], form.kernel)

    def run(m, idx):
        for some, at in m.by_space(space, idx, address(m, idx)):
            where, offset = m.access(at[0], some, at[1], size, True)
            view = where.views[width]
            first = offset >> (width.bit_length() - 1)
            for i, read in enumerate(reads):
                view[first + i] = read(m, some)

    return run


@handles("atom", "red")
def atom(form):
    space = _space(form)
    combine = {
        "add": operator.add, "min": min, "max": max, "exch": lambda a, b: b,
        "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    }  # fmt: skip
    name = next((m for m in form.mods if m in (*combine, "cas")), None)
    kind = form.type
    if not name or kind in ("bf16", "f16", "bf16x2", "f16x2"):
        raise Unknown("its operation")
    returns = form.ins.op.startswith("atom")
    first = 1 if returns else 0
    address = _address(form.operands[first], form.kernel)
    reads = [form.read(i, kind) for i in range(first + 1, len(form.operands))]
    write = form.write() if returns else None
    width, dtype = SIZES[kind], DTYPES[kind]

    def run(m, idx):
        for some, at in m.by_space(space, idx, address(m, idx)):
            where, offset = m.access(at[0], some, at[1], width, True, atomic=True)
            view = where.views[width].view(dtype)
            values = [np.broadcast_to(read(m, some), m.count(some)) for read in reads]
            before = np.empty(m.count(some), dtype)
            for lane, place in enumerate(offset // width):
                before[lane] = view[place]
                if name == "cas":
                    if before[lane] == values[0][lane]:
                        view[place] = values[1][lane]
                else:
                    view[place] = combine[name](before[lane], values[0][lane])
            if write:
                write(m, some, before)

    return run


@handles("prefetch", "prefetchu", "membar", "fence", "nanosleep", "griddepcontrol", "applypriority")
def nothing(form):
    return lambda m, idx: None


@handles("cp")
def copy_async(form):
    parts = form.ins.parts()
    if parts[1:3] == ["async", "commit_group"]:
        return lambda m, idx: m.commit_copies(idx)
    if parts[1:3] == ["async", "wait_all"]:
        return lambda m, idx: (m.commit_copies(idx), m.wait_copies(idx, 0))
    if parts[1:3] == ["async", "wait_group"]:
        n = form.operands[0].value
        return lambda m, idx: m.wait_copies(idx, n)
    spaces = [m.split("::")[0] for m in form.mods if m.split("::")[0] in ("shared", "global")]
    if parts[1] != "async" or spaces != ["shared", "global"] or not {"ca", "cg"} & set(parts):
        raise Unknown("its form")
    form.count(3, 4)
    size = form.operands[2].value
    if size not in ((16,) if "cg" in parts else (4, 8, 16)):
        raise Unknown(f"its size {size}")
    to, source = (_address(form.operands[i], form.kernel) for i in (0, 1))
    used = form.read(3, "u32") if len(form.operands) == 4 else None

    def run(m, idx):
        count = np.broadcast_to(used(m, idx), m.count(idx)) if used else None
        m.start_copies(idx, to(m, idx), source(m, idx), size, count)

    return run


# Threads of a warp together -------------------------------------------------


def _warp_values(m, idx, value, fill=0):
    """The value of each lane of the batch; `fill` where it does not run."""
    if idx is None:
        return np.broadcast_to(value, m.threads)
    every = np.full(m.threads, fill, np.asarray(value).dtype)
    every[idx] = value
    return every


@handles("shfl")
def shuffle(form):
    mode = next((m for m in form.mods if m in ("bfly", "idx", "up", "down")), None)
    if "sync" not in form.mods or not mode:
        raise Unknown("its form")
    form.count(5)
    result = form.operands[0]
    result, flag = result if isinstance(result, list) else (result, None)
    write = form.write(result)
    write_flag = form.write(flag) if flag else None
    a, b, c, mask = (form.read(i, "u32") for i in range(1, 5))

    def run(m, idx):
        members = m.members(idx, mask(m, idx))
        lane = m.lanes(idx)
        bits = np.broadcast_to(b(m, idx), lane.shape).astype(I8) & 31
        control = np.broadcast_to(c(m, idx), lane.shape).astype(I8)
        clamp, segment = control & 31, control >> 8 & 31
        highest = (lane & segment) | (clamp & ~segment)
        lowest = lane & segment
        if mode == "up":
            source = lane - bits
            inside = source >= highest
        elif mode == "down":
            source = lane + bits
            inside = source <= highest
        elif mode == "bfly":
            source = lane ^ bits
            inside = source <= highest
        else:
            source = lowest | (bits & ~segment)
            inside = source <= highest
        source = np.where(inside, source, lane)
        thread = m.numbers(idx) - lane + source
        if not members[thread].all():
            m.fail(int(np.flatnonzero(~members[thread])[0]), "shfl reads a lane that is not in its mask")
        write(m, idx, _warp_values(m, idx, a(m, idx))[thread])
        if write_flag:
            write_flag(m, idx, inside)

    return run


def _by_warp(m, idx, value):
    """[warps, 32] and, for each running thread, its warp."""
    return _warp_values(m, idx, value).reshape(-1, 32), m.numbers(idx) >> 5


@handles("vote")
def vote(form):
    mode = next((x for x in form.mods if x in ("all", "any", "uni", "ballot")), None)
    if "sync" not in form.mods or not mode:
        raise Unknown("its form")
    write, p, mask = form.write(), form.read(1, "pred"), form.read(2, "u32")

    def run(m, idx):
        inside = m.members(idx, mask(m, idx)).reshape(-1, 32)
        value = np.broadcast_to(p(m, idx), m.count(idx))
        rows, warp = _by_warp(m, idx, value)
        every, some = (rows | ~inside).all(1), (rows & inside).any(1)
        if mode == "ballot":
            bits = ((rows & inside).astype(U8) << np.arange(32, dtype=U8)).sum(1).astype(U4)
            write(m, idx, bits[warp])
        else:
            write(m, idx, {"all": every, "any": some, "uni": every | ~some}[mode][warp])

    return run


@handles("activemask")
def activemask(form):
    write = form.write()

    def run(m, idx):
        rows, warp = _by_warp(m, idx, np.ones(m.count(idx), bool))
        write(m, idx, (rows.astype(U8) << np.arange(32, dtype=U8)).sum(1).astype(U4)[warp])

    return run


@handles("elect")
def elect(form):
    result, flag = form.operands[0]
    write, write_flag, mask = form.write(result), form.write(flag), form.read(1, "u32")

    def run(m, idx):
        leader = m.members(idx, mask(m, idx)).reshape(-1, 32).argmax(1)[m.numbers(idx) >> 5]
        write(m, idx, leader.astype(U4))
        write_flag(m, idx, leader == m.lanes(idx))

    return run


@handles("redux")
def redux(form):
    ufunc = {
        "add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and,
        "or": np.bitwise_or, "xor": np.bitwise_xor,
    }  # fmt: skip
    name = next((m for m in form.mods if m in ufunc), None)
    if "sync" not in form.mods or not name or form.type not in ("u32", "s32", "b32"):
        raise Unknown("its form")
    write, a, mask = form.write(), form.read(1, form.type), form.read(2, "u32")
    dtype = DTYPES[form.type]
    neutral = {
        "add": 0, "or": 0, "xor": 0, "and": -1 % (1 << 32) if dtype == U4 else -1,
        "min": np.iinfo(dtype).max, "max": np.iinfo(dtype).min,
    }[name]  # fmt: skip

    def run(m, idx):
        inside = m.members(idx, mask(m, idx)).reshape(-1, 32)
        rows, warp = _by_warp(m, idx, np.broadcast_to(a(m, idx), m.count(idx)))
        rows = np.where(inside, rows, dtype.type(neutral))
        write(m, idx, ufunc[name].reduce(rows, 1, dtype=dtype)[warp])

    return run


LANE = np.arange(32)


def _matrices(form):
    """How many matrices, whether they are transposed."""
    n = next((int(m[1:]) for m in form.mods if m in ("x1", "x2", "x4")), None)
    if not n or "m8n8" not in form.mods or form.type != "b16" or "sync" not in form.mods:
        raise Unknown("its form")
    for mod in form.mods:
        if mod not in ("sync", "aligned", "m8n8", f"x{n}", "trans", "shared", "shared::cta"):
            raise Unknown(f".{mod} is not known")
    return n, "trans" in form.mods


@handles("ldmatrix")
def ldmatrix(form):
    n, transposed = _matrices(form)
    results = form.operands[0] if isinstance(form.operands[0], list) else [form.operands[0]]
    if len(results) != n:
        raise Unknown("its number of results")
    writes = [form.write(r) for r in results]
    address = _address(form.operands[1], form.kernel)

    def run(m, idx):
        m.whole_warps(idx)
        threads = m.numbers(idx)
        used = threads[m.lanes(idx) < 8 * n]
        at = address(m, idx)[m.lanes(idx) < 8 * n]
        space, offset = m.access("shared", used, at, 16, False)
        rows = space.views[2][(offset >> 1)[:, None] + np.arange(8)].reshape(-1, n, 8, 8)
        if transposed:
            rows = rows.transpose(0, 1, 3, 2)
        pairs = np.ascontiguousarray(rows).view(U4).reshape(-1, n, 32)
        for i, write in enumerate(writes):
            write(m, idx, pairs[:, i].reshape(-1))

    return run


@handles("stmatrix")
def stmatrix(form):
    n, transposed = _matrices(form)
    values = form.operands[1] if isinstance(form.operands[1], list) else [form.operands[1]]
    reads = [form.read(v, "b32") for v in values]
    if len(reads) != n:
        raise Unknown("its number of values")
    address = _address(form.operands[0], form.kernel)

    def run(m, idx):
        m.whole_warps(idx)
        threads = m.numbers(idx)
        pairs = np.stack([read(m, idx).reshape(-1, 32) for read in reads], 1)
        rows = pairs.view(U2).reshape(-1, n, 8, 8)
        if transposed:
            rows = rows.transpose(0, 1, 3, 2)
        used = threads[m.lanes(idx) < 8 * n]
        at = address(m, idx)[m.lanes(idx) < 8 * n]
        space, offset = m.access("shared", used, at, 16, True)
        space.views[2][(offset >> 1)[:, None] + np.arange(8)] = rows.reshape(-1, 8)

    return run


@handles("mma")
def mma(form):
    """Products are summed in f64 and rounded once; the device's sums differ in
    the last bits."""
    shapes = {"m16n8k16": 16, "m16n8k8": 8}
    k = next((shapes[m] for m in form.mods if m in shapes), None)
    form.only("sync", "aligned", "row", "col", *shapes)
    if not k or [m for m in form.mods if m in ("row", "col")] != ["row", "col"]:
        raise Unknown("its form")
    if form.types not in (["f32", "bf16", "bf16", "f32"], ["f32", "f16", "f16", "f32"]):
        raise Unknown("its types")
    d, a, b, c = form.operands
    if [len(x) for x in (d, a, b, c)] != [4, k // 4, k // 8, 4]:
        raise Unknown("its number of registers")
    widen = numbers.bf16_to_f32 if form.types[1] == "bf16" else (lambda x: x.view(F2).astype(F4))
    writes = [form.write(r) for r in d]
    reads_a = [form.read(r, "b32") for r in a]
    reads_b = [form.read(r, "b32") for r in b]
    reads_c = [form.read(r, "f32") for r in c]
    group, place = LANE >> 2, 2 * (LANE & 3)
    rows = np.array([group + 8 * (r & 1) for r in range(k // 4)])  # [register, lane]
    columns = np.array([place + 8 * (r >> 1) for r in range(k // 4)])
    depth = np.array([place + 8 * r for r in range(k // 8)])
    c_rows = np.array([group + 8 * (i >> 1) for i in range(4)])
    c_columns = np.array([place + (i & 1) for i in range(4)])

    def run(m, idx):
        m.whole_warps(idx)
        warps = m.count(idx) // 32

        def all_of(reads):
            values = [np.broadcast_to(read(m, idx), warps * 32) for read in reads]
            return np.stack(values).reshape(len(reads), warps, 32).transpose(1, 0, 2)

        words_a, words_b = all_of(reads_a), all_of(reads_b)
        left, right = np.empty((warps, 16, k)), np.empty((warps, k, 8))
        for i in range(2):
            shift = U4.type(16 * i)
            left[:, rows, columns + i] = widen((words_a >> shift).astype(U2))
            right[:, depth + i, group] = widen((words_b >> shift).astype(U2))
        total = np.matmul(left, right)
        sums = all_of(reads_c).astype(F8) + total[:, c_rows, c_columns]
        sums = sums.astype(F4)
        for i, write in enumerate(writes):
            write(m, idx, np.ascontiguousarray(sums[:, i]).reshape(-1))

    return run


# Control --------------------------------------------------------------------


@handles("trap", "brkpt")
def trap(form):
    return lambda m, idx: m.fail(0, f"{form.ins.parts()[0]} is reached")


@handles("bra", "brx", "ret", "exit")
def control(form):
    return None  # The machine sees to these.


@handles("bar", "barrier")
def barrier(form):
    parts = [p for p in form.ins.parts() if p not in ("cta", "aligned")]
    if parts == ["bar", "warp", "sync"]:
        mask = form.read(0, "u32")
        return lambda m, idx: m.warp_barrier(idx, mask(m, idx))
    if parts not in (["bar", "sync"], ["barrier", "sync"]):
        raise Unknown("its form")
    form.count(1, 2)
    if not isinstance(form.operands[0], Imm):
        raise Unknown("its number is not constant")
    if len(form.operands) == 2:
        form.ins.barrier_threads = form.operands[1]
    return None

# Reads the text of a PTX module.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

import bisect
import re
from dataclasses import dataclass, field

import numpy as np

from rope_testing.ptx.memory import PTXError
from rope_testing.ptx.numbers import U1, UNSIGNED

SIZES = {
    "pred": 1, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2,
    "b32": 4, "u32": 4, "s32": 4, "f32": 4, "f16x2": 4, "bf16x2": 4, "b64": 8, "u64": 8,
    "s64": 8, "f64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Reg:
    name: str


@dataclass(frozen=True)
class Not:
    name: str


@dataclass(frozen=True)
class Imm:
    """An integer, or the bits of a float with its size."""

    value: int
    float_size: int = 0


@dataclass(frozen=True)
class Symbol:
    """The address of a variable."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Memory:
    """[base + offset]; the base is a Reg, a Symbol or an Imm."""

    base: object
    offset: int = 0


@dataclass
class Instruction:
    line: int
    text: str
    op: str = ""
    operands: list = field(default_factory=list)
    guard: str = None
    negated: bool = False
    run: object = None
    target: int = None

    def parts(self):
        return self.op.split(".")


@dataclass
class Variable:
    name: str
    space: str
    align: int
    size: int  # None: as the launch says
    data: np.ndarray = None


@dataclass
class Kernel:
    name: str
    params: dict = field(default_factory=dict)  # name -> (offset, size)
    registers: dict = field(default_factory=dict)
    shared: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)
    targets: dict = field(default_factory=dict)  # of brx.idx
    code: list = field(default_factory=list)
    required_threads: tuple = None
    max_threads: tuple = None

    @property
    def param_bytes(self):
        return max((offset + size for offset, size in self.params.values()), default=0)


_VARIABLE = re.compile(
    r"\.(shared|global|const|local)\b(?:\s+\.attribute\([^)]*\))?(?:\s+\.align\s+(\d+))?\s+"
    r"\.(\w+)\s+([\w$%.]+)\s*((?:\[\s*\d*\s*\])*)\s*(?:=\s*(.*))?$",
    re.S,
)
_PARAM = re.compile(
    r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr\b\s*(?:\.\w+\s+)?(?:\.align\s+\d+\s+)?)?"
    r"([\w$%.]+)\s*(?:\[(\d+)\])?"
)
_STOP = re.compile(r'["(){};,]')
_NAME = re.compile(r"[\w$%.]+")
_SPACE = re.compile(r"\s*")
_LABEL = re.compile(r"([\w$%.]+)\s*:(?!:)")
_LINE = re.compile(r"\.(file|loc)\b")
_SKIPPED = ("version", "target", "address_size", "file", "loc", "pragma", "section", "noreturn")


def parse_number(text):
    """An Imm, or None."""
    if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", text):
        return Imm(int(text[2:], 16), 4)
    if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", text):
        return Imm(int(text[2:], 16), 8)
    if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", text):
        return Imm(int(text.rstrip("U"), 0))
    return None


class Parser:
    def __init__(self, text):
        self.kernels, self.variables = {}, {}
        # Comments go, lines stay.
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
        self.text = re.sub(r"//[^\n]*", "", text).rstrip("\0")
        self.newlines = [m.start() for m in re.finditer("\n", self.text)]
        self.at = 0
        self.module()

    def fail(self, message, at=None):
        raise PTXError(f"PTX line {self.line(self.at if at is None else at)}: {message}")

    def line(self, at):
        return bisect.bisect_left(self.newlines, at) + 1

    def skip_space(self):
        self.at = _SPACE.match(self.text, self.at).end()
        return self.at < len(self.text)

    def until(self, ends):
        """The text before one of `ends`; braces and strings are jumped over."""
        start, depth = self.at, 0
        while True:
            found = _STOP.search(self.text, self.at)
            if not found:
                return self.fail(f"'{self.text[start : start + 40].strip()}' does not end", start)
            self.at, c = found.start(), found[0]
            if c == '"':
                self.at = self.text.index('"', self.at + 1)
            elif depth == 0 and c in ends:
                result = self.text[start : self.at].strip()
                self.at += 1
                return result, c
            elif c in "{(":
                depth += 1
            elif c in "})":
                depth -= 1
            self.at += 1

    def module(self):
        while self.skip_space():
            rest = self.text[self.at :]
            word = re.match(r"\.(\w+)", rest)
            if word and word[1] in _SKIPPED:
                if word[1] == "section":  # debug information
                    self.at = self.text.index("}", self.at) + 1
                else:
                    self.at = self.text.find("\n", self.at) % (len(self.text) + 1)
                continue
            head = re.match(r"((?:\.(?:visible|extern|weak|common)\s+)*)\.(entry|func)\b", rest)
            if head and head[2] == "entry":
                self.at += head.end()
                self.entry()
            elif head:
                self.function()
            else:
                statement, _ = self.until(";")
                self.variable(statement, self.variables)

    def function(self):
        """Functions are left out: kernels that call one are refused."""
        start = self.at
        while self.text[self.at] not in "{;":
            self.at = self.text.index(")", self.at) + 1 if self.text[self.at] == "(" else self.at + 1
        if self.text[self.at] == "{":
            depth = 0
            while True:
                depth += {"{": 1, "}": -1}.get(self.text[self.at], 0)
                self.at += 1
                if depth == 0:
                    return
                if self.at >= len(self.text):
                    self.fail("a function does not end", start)
        self.at += 1

    def variable(self, statement, into):
        plain = re.sub(r"^(\.(visible|extern|weak|common)\s+)+", "", statement)
        found = _VARIABLE.match(plain)
        if not found:
            self.fail(f"'{statement[:60]}' is not known", self.at - 1)
        space, align, kind, name, dims, value = found.groups()
        if kind not in SIZES:
            self.fail(f"type .{kind} of '{name}' is not known", self.at - 1)
        counts = [int(n) if n else None for n in re.findall(r"\[\s*(\d*)\s*\]", dims)]
        size = None if None in counts else SIZES[kind] * int(np.prod(counts, dtype=np.int64))
        data = None
        if space in ("global", "const"):
            data = np.zeros(size + 64, U1)
            start = -data.ctypes.data % 64
            data = data[start : start + size]
            if value:
                items = [parse_number(item.strip()) for item in value.strip("{} \n\t").split(",")]
                if None in items:
                    self.fail(f"the value of '{name}' holds more than numbers", self.at - 1)
                width = SIZES[kind]
                words = [item.value % (1 << 8 * width) for item in items]
                data[: len(words) * width] = np.array(words, UNSIGNED[width]).view(U1)
        into[name] = Variable(name, space, int(align or SIZES[kind]), size, data)

    def entry(self):
        start = self.at
        self.skip_space()
        name = _NAME.match(self.text, self.at)
        kernel = Kernel(name[0])
        self.at = name.end()
        self.skip_space()
        if self.text[self.at] == "(":
            self.at += 1
            params, _ = self.until(")")
            self.parameters(kernel, params)
        brace = self.text.index("{", self.at)
        head, self.at = self.text[self.at : brace], brace + 1
        for directive, target in (("reqntid", "required_threads"), ("maxntid", "max_threads")):
            sizes = re.search(rf"\.{directive}\s+([\d,\s]+)", head)
            if sizes:
                numbers = [int(n) for n in sizes[1].replace(",", " ").split()]
                setattr(kernel, target, tuple((numbers + [1, 1])[:3]))
        self.body(kernel)
        if kernel.name in self.kernels:
            self.fail(f"kernel '{kernel.name}' is defined twice", start)
        self.kernels[kernel.name] = kernel

    def parameters(self, kernel, text):
        offset = 0
        for part in filter(None, (p.strip() for p in text.split(","))):
            found = _PARAM.fullmatch(part)
            if not found or found[2] not in SIZES:
                self.fail(f"parameter '{part}' is not known")
            size = SIZES[found[2]] * int(found[4] or 1)
            align = int(found[1] or SIZES[found[2]])
            offset = -(-offset // align) * align
            kernel.params[found[3]] = (offset, size)
            offset += size

    def body(self, kernel):
        scopes = [{}]  # what names in braces are called outside
        count = 0
        while True:
            if not self.skip_space():
                self.fail(f"kernel '{kernel.name}' does not end")
            c = self.text[self.at]
            if c == "{":
                count += 1
                scopes.append({})
                self.at += 1
                continue
            if c == "}":
                self.at += 1
                scopes.pop()
                if not scopes:
                    break
                continue
            if c == ";":
                self.at += 1
                continue
            start = self.at
            label = _LABEL.match(self.text, self.at)
            if label:
                self.at = label.end()
                self.skip_space()
                if self.text.startswith(".branchtargets", self.at):
                    targets, _ = self.until(";")
                    kernel.targets[label[1]] = [
                        t.strip() for t in targets[len(".branchtargets") :].split(",")
                    ]
                else:
                    kernel.labels[label[1]] = len(kernel.code)
                continue
            line_word = _LINE.match(self.text, self.at)
            if line_word:
                self.at = self.text.index("\n", self.at)
                continue
            line = self.line(start)
            statement, _ = self.until(";")
            if statement.startswith(".pragma"):
                continue
            if statement.startswith(".reg"):
                self.registers(kernel, statement, scopes[-1], count if len(scopes) > 1 else 0)
            elif statement.startswith(".local"):
                raise PTXError(
                    f"PTX line {line}: kernel '{kernel.name}' keeps values in local memory (a stack): {statement}"
                )
            elif statement.startswith("."):
                found = {}
                self.variable(statement, found)
                for variable in found.values():
                    if variable.space == "shared":
                        kernel.shared.append(variable)
                    else:
                        self.variables[variable.name] = variable
            else:
                self.instruction(kernel, statement, line, scopes)
        for ins in kernel.code:
            if ins.parts()[0] == "bra":
                name = ins.operands[0].name
                if name not in kernel.labels:
                    raise PTXError(f"PTX line {ins.line}: there is no label '{name}'")
                ins.target = kernel.labels[name]
            elif ins.op.startswith("brx.idx"):
                names = kernel.targets[ins.operands[1].name]
                ins.target = [kernel.labels[name] for name in names]

    def registers(self, kernel, statement, scope, number):
        kind, names = re.match(r"\.reg\s+(?:\.v\d\s+)?\.(\w+)\s+(.*)", statement, re.S).groups()
        if kind not in SIZES:
            self.fail(f"registers of type .{kind} are not known", self.at - 1)
        dtype = np.dtype(bool) if kind == "pred" else UNSIGNED[SIZES[kind]]
        for name in names.split(","):
            several = re.fullmatch(r"([\w$%]+)<(\d+)>", name.strip())
            listed = (
                [f"{several[1]}{i}" for i in range(int(several[2]))] if several else [name.strip()]
            )
            for register in listed:
                unique = f"{register}@{number}" if number else register
                scope[register] = unique
                kernel.registers[unique] = dtype

    def instruction(self, kernel, statement, line, scopes):
        ins = Instruction(line, " ".join(statement.split()))
        rest = statement
        guard = re.match(r"@(!?)([\w$%]+)\s+", rest)
        if guard:
            ins.negated, ins.guard = bool(guard[1]), self.rename(guard[2], scopes)
            rest = rest[guard.end() :]
        ins.op, _, rest = rest.replace("\t", " ").replace("\n", " ").partition(" ")
        for part in _split(rest):
            ins.operands.append(self.operand(part, scopes, kernel, ins))
        kernel.code.append(ins)

    @staticmethod
    def rename(name, scopes):
        for scope in reversed(scopes):
            if name in scope:
                return scope[name]
        return name

    def operand(self, text, scopes, kernel, ins):
        text = text.strip()
        if text.startswith(("{", "(")):
            return [self.operand(p, scopes, kernel, ins) for p in _split(text[1:-1])]
        if text.startswith("["):
            base, sign, offset = re.fullmatch(
                r"\[\s*([^\s+-]+|-?\d+)\s*([+-]?)\s*(-?[\w]*)\s*\]", text
            ).groups()
            number = int(offset, 0) if offset else 0
            return Memory(self.operand(base, scopes, kernel, ins), -number if sign == "-" else number)
        if text.startswith("!"):
            return Not(self.rename(text[1:].strip(), scopes))
        if "|" in text:
            return [self.operand(p, scopes, kernel, ins) for p in text.split("|")]
        number = parse_number(text)
        if number:
            return number
        if text == "_":
            return Reg("_")
        name = self.rename(text, scopes)
        if name in kernel.registers or text.startswith("%"):
            return Reg(name)
        found = re.fullmatch(r"([\w$.]+)\s*([+-]\s*\d+)?", text)
        if not found:
            raise PTXError(f"PTX line {ins.line}: operand '{text}' is not known: {ins.text}")
        return Symbol(found[1], int(found[2].replace(" ", "")) if found[2] else 0)


def _split(text):
    """Parts between commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "{[(":
            depth += 1
        elif c in "}])":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [p for p in parts if p.strip()]

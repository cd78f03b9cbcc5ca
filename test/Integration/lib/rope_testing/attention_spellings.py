# Attention as exporters spell it, in upstream dialects, and what is nearly
# attention.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A dimension has the letters of the loops that it runs over: b, k and g (heads
of keys, and those of queries for each), i, j, d and e. `kg` is all heads. The
letters of its operands are the indexing maps of an operation, "1" is a
dimension of size one."""

import dataclasses
import math

import numpy as np

from . import reference

LOWEST = {
    "f16": "0xFBFF", "bf16": "0xFF7F", "f32": "0xFF7FFFFF", "f64": "0xFFEFFFFFFFFFFFFF",
}  # fmt: skip
INFINITY = {"f16": "0xFC00", "bf16": "0xFF80", "f32": "0xFF800000", "f64": "0xFFF0000000000000"}


@dataclasses.dataclass(frozen=True)
class Value:
    name: str
    dims: tuple
    element: str


class Graph:
    """Operations on values whose dimensions have names."""

    def __init__(self, sizes, dynamic):
        self.sizes, self.dynamic = sizes, dynamic
        self.lines, self.names, self.arguments, self.known = [], 0, [], {}
        # Where sizes are read.
        self.sources = []

    def fresh(self):
        self.names += 1
        return f"%v{self.names}"

    def add(self, text, dims=(), element="index"):
        name = self.fresh()
        self.lines.append(f"{name} = {text}")
        return Value(name, tuple(dims), element)

    def count(self, dim):
        if dim == "j+1":
            return self.sizes["j"] + 1
        return math.prod(self.sizes[letter] for letter in dim if letter != "1")

    def is_dynamic(self, dim):
        return any(letter in self.dynamic for letter in dim)

    def type(self, dims, element):
        return f"tensor<{''.join('?x' if self.is_dynamic(d) else f'{self.count(d)}x' for d in dims)}{element}>"

    def type_of(self, value):
        return self.type(value.dims, value.element)

    def constant(self, number, element):
        type = "" if element == "i1" else f" : {element}"
        return self.add(f"arith.constant {number}{type}", (), element).name

    def index(self, number):
        if number not in self.known:
            self.known[number] = self.constant(number, "index")
        return self.known[number]

    def size(self, dim):
        """The size of a dimension as a value."""
        if not self.is_dynamic(dim):
            return self.index(self.count(dim))
        if dim not in self.known:
            if dim == "j+1":
                self.known[dim] = self.add(f"arith.addi {self.size('j')}, {self.index(1)} : index").name
            elif len(dim) == 1:
                source = next(a for a in self.sources if dim in a.dims)
                at = self.index(source.dims.index(dim))
                self.known[dim] = self.add(f"tensor.dim {source.name}, {at} : {self.type_of(source)}").name
            else:
                product = self.size(dim[0])
                for letter in dim[1:]:
                    product = self.add(f"arith.muli {product}, {self.size(letter)} : index").name
                self.known[dim] = product
        return self.known[dim]

    def argument(self, name, dims, element):
        value = Value(f"%{name}", tuple(dims), element)
        self.arguments.append(value)
        self.sources.append(value)
        return value

    def empty(self, dims, element):
        sizes = ", ".join(self.size(d) for d in dims if self.is_dynamic(d))
        return self.add(f"tensor.empty({sizes}) : {self.type(dims, element)}", dims, element)

    def filled(self, dims, element, number):
        out, scalar = self.empty(dims, element), self.constant(number, element)
        type = self.type(dims, element)
        return self.add(f"linalg.fill ins({scalar} : {element}) outs({out.name} : {type}) -> {type}", dims, element)

    def loops(self, dims):
        return [d if d != "1" else f"u{n}" for n, d in enumerate(dims)]

    def generic(self, body, inputs, dims, element, reduced=(), init=None, second=None):
        """`body` computes %y of type T from %x0, %x1 ... and %o; %LETTER_ is an
        index; none passes %x0 on. A dimension of the result that is reduced is one of size one."""
        loops = self.loops(dims) + list(reduced)
        names = {loop: f"l{n}" for n, loop in enumerate(loops)}
        maps = []
        for value in inputs:
            maps.append(", ".join("0" if d == "1" else names[d] for d in value.dims))
        outs = [init or self.empty(dims, element)] + ([second] if second else [])
        maps += [", ".join(names[d] for d in self.loops(dims))] * len(outs)
        texts = ", ".join(f"affine_map<({', '.join(names.values())}) -> ({m})>" for m in maps)
        kinds = ", ".join(['"parallel"'] * len(dims) + ['"reduction"'] * len(reduced))
        body = body.replace(": T", f": {element}")
        result = "%y" if body else "%x0"
        for loop in loops:
            if f"%{loop}_" in body:
                body = f"%{loop}_ = linalg.index {loops.index(loop)} : index\n{body}"
        parameters = [f"%x{n}: {value.element}" for n, value in enumerate(inputs)]
        parameters += [f"%o{'' if n == 0 else n}: {value.element}" for n, value in enumerate(outs)]
        ins = ""
        if inputs:
            ins = f"ins({', '.join(v.name for v in inputs)} : {', '.join(map(self.type_of, inputs))}) "
        types = ", ".join(map(self.type_of, outs))
        yielded = f"{result} : {element}" if not second else f"%y, %z : {element}, {second.element}"
        results = types if not second else f"({types})"
        name = self.fresh()
        self.lines.append(
            f"{name}{':2' if second else ''} = linalg.generic {{indexing_maps = [{texts}], iterator_types = [{kinds}]}} "
            f"{ins}outs({', '.join(o.name for o in outs)} : {types}) {{\n^bb0({', '.join(parameters)}):\n{body}\n"
            f"linalg.yield {yielded}\n}} -> {results}"
        )
        return Value(name + ("#0" if second else ""), tuple(dims), element)

    def each(self, body, *inputs, element=None):
        """Of the shape of the first input."""
        return self.generic(body, list(inputs), inputs[0].dims, element or inputs[0].element)

    def cast(self, value, element):
        if value.element == element:
            return value
        bits = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}
        name = "extf" if bits[element] > bits[value.element] else "truncf"
        return self.each(f"%y = arith.{name} %x0 : {value.element} to {element}", value, element=element)

    def transposed(self, value, dims):
        if tuple(dims) == value.dims:
            return value
        out = self.empty(dims, value.element)
        order = [value.dims.index(d) for d in dims]
        return self.add(
            f"linalg.transpose ins({value.name} : {self.type_of(value)}) outs({out.name} : {self.type_of(out)}) "
            f"permutation = {order}", dims, value.element)  # fmt: skip

    def reshaped(self, value, dims, dynamic_op=False):
        """By expand_shape or collapse_shape, or tensor.reshape."""
        dims = tuple(dims)
        if dims == value.dims:
            return value
        to = Value("", dims, value.element)
        if dynamic_op:
            sizes = [self.add(f"arith.index_cast {self.size(d)} : index to i64").name for d in dims]
            shape = self.add(f"tensor.from_elements {', '.join(sizes)} : tensor<{len(dims)}xi64>").name
            return self.add(
                f"tensor.reshape {value.name}({shape}) : ({self.type_of(value)}, tensor<{len(dims)}xi64>) -> "
                f"{self.type_of(to)}", dims, value.element)  # fmt: skip
        wide, narrow = (value.dims, dims) if len(value.dims) > len(dims) else (dims, value.dims)
        groups, at = [], 0
        for n, d in enumerate(narrow):
            group, seen = [], ""
            while at < len(wide) and (seen != d or wide[at] == "1" or n + 1 == len(narrow)):
                if d == "1" and group:
                    break
                seen += wide[at] if wide[at] != "1" or d == "1" else ""
                group.append(at)
                at += 1
            groups.append(group)
        assert at == len(wide) and all(groups), (value.dims, dims, groups)
        if narrow is dims:
            return self.add(f"tensor.collapse_shape {value.name} {groups} : {self.type_of(value)} into {self.type_of(to)}",
                            dims, value.element)  # fmt: skip
        sizes = ", ".join(self.size(d) if self.is_dynamic(d) else str(self.count(d)) for d in dims)
        return self.add(
            f"tensor.expand_shape {value.name} {groups} output_shape [{sizes}] : {self.type_of(value)} into "
            f"{self.type_of(to)}", dims, value.element)  # fmt: skip

    def function(self, name, results):
        arguments = ", ".join(f"{a.name}: {self.type_of(a)}" for a in self.arguments)
        types = ", ".join(map(self.type_of, results))
        body = "\n".join(self.lines)
        values = ", ".join(r.name for r in results)
        return f"func.func @{name}({arguments}) -> ({types}) {{\n{body}\nreturn {values} : {types}\n}}\n"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    type: str = "f32"
    dynamic: bool = False
    heads: int = 2  # of keys; 0: none at all
    group: int = 1
    rotated: bool = True
    flat: bool = False  # batch and heads collapsed
    groups: str = "broadcast"  # named, reshape, query
    product: str = "transpose"  # generic, maps, contract, swapped
    scale: str = "score"  # none, divide, query, key, both, f64
    mask: str = ""  # see MASKS
    cap: bool = False
    sinks: bool = False
    softmax: str = "generic"  # see `softmax`
    cache: bool = False  # keys and values grow by concatenation
    wide: str = ""  # type of scores; that of the arrays where it is empty
    miss: str = ""  # what makes it no attention
    reason: str = ""  # part of the remark
    channels: int = 16
    value_channels: int = 16

    @property
    def scores(self):
        return self.wide or self.type


# Scores of x0 with a mask x1, and the dimensions of its argument.
MASKS = {
    "add ij": ("ij", None, "%y = arith.addf %x0, %x1 : T"),
    "add bij": ("b1ij", None, "%y = arith.addf %x1, %x0 : T"),
    "add j": ("b11j", None, "%y = arith.addf %x0, %x1 : T"),
    "add hij": ("hij", None, "%y = arith.addf %x0, %x1 : T"),
    "add ji": ("ji", None, "%y = arith.addf %x0, %x1 : T"),
    "keep ij": ("ij", "i1", "%y = arith.select %x1, %x0, %inf : T"),
    "keep bij": ("b1ij", "i1", "%y = arith.select %x1, %x0, %low : T"),
    "hide j": ("b11j", "i1", "%y = arith.select %x1, %inf, %x0 : T"),
}
CAUSAL = {
    "causal": "%c = arith.cmpi sle, %j_, %i_ : index\n%y = arith.select %c, %x0, %inf : T",
    "causal low": "%c = arith.cmpi ugt, %j_, %i_ : index\n%y = arith.select %c, %low, %x0 : T",
    "window": "%a = arith.index_cast %i_ : index to i64\n%b = arith.index_cast %j_ : index to i64\n"
    "%c = arith.cmpi sgt, %b, %a : i64\n%f = arith.subi %a, %b : i64\n%g = arith.cmpi sge, %f, %three : i64\n"
    "%h = arith.ori %c, %g : i1\n%y = arith.select %h, %inf, %x0 : T",
}


def softmax(g, score, case):
    """The weights of `score`, whose last dimension is j or j+1."""
    kind, wide, dims = case.softmax, score.element, score.dims
    j = dims[-1]
    rows = dims[:-1]
    inf, one = g.constant(INFINITY[wide], wide), g.constant("1.0", wide)
    if kind == "named":
        out, type = g.empty(dims, wide), g.type_of(score)
        return g.add(f"linalg.softmax dimension({len(dims) - 1}) ins({score.name} : {type}) outs({out.name} : {type}) "
                     f"-> {type}", dims, wide)  # fmt: skip
    log2e = g.constant(repr(math.log2(math.e)), wide)
    if kind == "exp2":
        score = g.each(f"%y = arith.mulf %x0, {log2e} : T", score)
    if case.miss == "softmax over queries":
        rows, j = tuple(d for d in dims if d != "i"), "i"

    def reduced(body, value, init, miss=False):
        over = rows, j
        if miss:
            over = tuple(d for d in dims if d != "i"), "i"
        return g.generic(body, [value], over[0], wide, [over[1]], g.filled(over[0], wide, init))

    maximum = "%y = arith.maximumf %x0, %o : T"
    if kind == "select":
        maximum = "%c = arith.cmpf ugt, %x0, %o : T\n%y = arith.select %c, %x0, %o : T"
    elif kind == "maxnum":
        maximum = "%y = arith.maxnumf %o, %x0 : T"
    start = LOWEST[wide] if kind == "lowest" else INFINITY[wide]
    if kind == "two results":
        second = g.filled(rows, "i64", "0")
        body = (
            f"%n = arith.index_cast %{j}_ : index to i64\n%y = arith.maximumf %x0, %o : T\n"
            "%c = arith.cmpf ogt, %x0, %o : T\n%z = arith.select %c, %n, %o1 : i64"
        )
        top = g.generic(body, [score], rows, wide, [j], g.filled(rows, wide, start), second)
    elif kind == "reduce":
        out = g.filled(rows, wide, start)
        top = g.add(f"linalg.reduce {{ arith.maximumf }} ins({score.name} : {g.type_of(score)}) outs({out.name} : "
                    f"{g.type_of(out)}) dimensions = [{len(dims) - 1}]", rows, wide)  # fmt: skip
    elif kind != "no maximum":
        top = reduced(maximum, score, start, case.miss == "maximum over queries")
    if case.miss == "maximum of others":
        top = reduced(maximum, g.each("%y = arith.mulf %x0, %x0 : T", score), start)
        score = g.each("%y = arith.mulf %x0, %x0 : T", g.each("%y = math.sin %x0 : T", score))
    if kind == "guard":
        zero = g.constant("0.0", wide)
        top = g.each(f"%a = math.absf %x0 : T\n%p = arith.negf {inf} : T\n%c = arith.cmpf oeq, %a, %p : T\n"
                     f"%y = arith.select %c, {zero}, %x0 : T", top)  # fmt: skip
    if kind == "jax":
        top = g.each(f"%y = arith.maximumf {inf}, %x0 : T", top)
    if kind in ("keepdim", "jax"):
        top = g.reshaped(top, (*rows, "1"))
    if kind == "spread":
        top = g.generic("", [top], dims, wide)
    if case.miss == "guard by key":
        zero = g.constant("0.0", wide)
        body = f"%c = arith.cmpi ult, %j_, %i_ : index\n%y = arith.select %c, %x0, {zero} : T"
        top = g.generic(body, [top], dims, wide)
    exp = "exp2" if kind == "exp2" else "exp"
    if kind == "no maximum":
        power = g.each("%y = math.exp %x0 : T", score)
    elif kind == "fused":
        power = g.each("%a = arith.subf %x0, %x1 : T\n%y = math.exp %a : T", score, top)
    elif kind == "exp2 late":
        less = g.each("%y = arith.subf %x0, %x1 : T", score, top)
        power = g.each(f"%a = arith.mulf %x0, {log2e} : T\n%y = math.exp2 %a : T", less)
    else:
        less = g.each("%y = arith.subf %x0, %x1 : T", score, top)
        power = g.each(f"%y = math.{exp} %x0 : T", less)
    start = "1.0" if case.miss == "sum from one" else "0.0"
    summed = power
    if case.miss == "sum of others":
        summed = g.each("%y = arith.mulf %x0, %x0 : T", power)
    if kind == "reduce":
        out = g.filled(rows, wide, start)
        total = g.add(f"linalg.reduce {{ arith.addf }} ins({summed.name} : {g.type_of(summed)}) outs({out.name} : "
                      f"{g.type_of(out)}) dimensions = [{len(dims) - 1}]", rows, wide)  # fmt: skip
    else:
        total = reduced("%y = arith.addf %x0, %o : T", summed, start, case.miss == "sum over queries")
    if kind in ("keepdim", "jax"):
        total = g.reshaped(total, (*rows, "1"))
    if kind == "reciprocal":
        total = g.each(f"%y = arith.divf {one}, %x0 : T", total)
        weights = g.each("%y = arith.mulf %x0, %x1 : T", power, total)
    elif kind == "multiplied":
        weights = g.each(f"%a = arith.divf {one}, %x1 : T\n%y = arith.mulf %a, %x0 : T", power, total)
    else:
        weights = g.each("%y = arith.divf %x0, %x1 : T", power, total)
    if kind == "safe":
        # Rows that see nothing, as torch has them.
        hidden = g.each(f"%y = arith.cmpf oeq, %x0, {inf} : {wide}", score, element="i1")
        true = g.constant("true", "i1")
        seen = g.each(f"%y = arith.xori %x0, {true} : i1", hidden, element="i1")
        start = g.filled(rows, "i1", "false")
        some = g.generic("%y = arith.ori %x0, %o : i1", [seen], rows, "i1", [j], start)
        none = g.each(f"%y = arith.xori %x0, {true} : i1", some, element="i1")
        zero = g.constant("0.0", wide)
        weights = g.generic(f"%y = arith.select %x1, {zero}, %x0 : T", [weights, none], dims, wide)
    return weights


def spell(case):
    """The text of a function, and the names of its arguments in order."""
    k, h = ("k", "kg") if case.heads else ("", "")
    sizes = {"b": 2, "i": 5, "j": 5 if case.mask == "add ji" or "values" in case.miss else 7, "k": max(case.heads, 1), "g": case.group,
             "d": case.channels, "e": case.value_channels, "n": case.channels // 2, "p": 2}  # fmt: skip
    g = Graph(sizes, "bijp" if case.dynamic else "")
    type, wide = case.type, case.scores
    heads_q, heads_k = ((h,), (k,)) if case.heads else ((), ())
    q = g.argument("q", ("b", "i", *heads_q, "d"), type)
    if case.cache:
        # p keys before those of the call, which are as many as queries.
        past = [g.argument(n, ("b", "p", *heads_k, last), type) for n, last in (("pk", "d"), ("pv", "e"))]
    kv_dim = "i" if case.cache else "j"
    key = g.argument("k", ("b", kv_dim, *heads_k, "d"), type)
    value = g.argument("v", ("b", kv_dim, *heads_k, "e"), type)
    tables = {}
    if case.rotated:
        for name, dim in (("q", "i"), ("k", kv_dim)):
            tables[name] = [g.argument(f"{x}{name}", (dim, "n"), wide if wide == "f64" else "f32") for x in "cs"]
    mask = sink = None
    if case.mask in MASKS:
        dims, element, _ = MASKS[case.mask]
        dims = tuple(h if d == "h" else d for d in dims)
        if not case.heads:
            dims = tuple(d for d in dims if d not in ("1", ""))
        mask = g.argument("mask", dims, element or wide)
    if case.mask == "positions":
        pi, pj = (g.argument(f"p{x}", ("b", x), "i64") for x in "ij")
    if case.sinks:
        sink = g.argument("sinks", (h,), wide)
    if case.miss == "dropout":
        keep = g.argument("keep", ("i", "j"), wide)
    inf, low = g.constant(INFINITY[wide], wide), g.constant(LOWEST[wide], wide)
    three, zero = g.constant(3, "i64"), g.constant("0.0", wide)
    factor = case.channels**-0.5

    for name, x in (("q", q), ("k", key)):
        if case.rotated:
            cos, sin = tables[name]
            out = g.empty(x.dims, x.element)
            types = ", ".join(map(g.type_of, (x, cos, sin)))
            x = g.add(
                f"rope.apply ins({x.name}, {cos.name}, {sin.name} : {types}) outs({out.name} : {g.type_of(out)}) "
                "{pairing = #rope.pairing<half>, position_dims = array<i64: 1>}", x.dims, x.element)  # fmt: skip
        q, key = (x, key) if name == "q" else (q, x)
    if case.cache:
        joined = []
        for before, new, last in ((past[0], key, "d"), (past[1], value, "e")):
            to = Value("", ("b", "j", *heads_k, last), type)
            joined.append(g.add(f"tensor.concat dim(1) {before.name}, {new.name} : ({g.type_of(before)}, {g.type_of(new)}) "
                                f"-> {g.type_of(to)}", to.dims, type))  # fmt: skip
        g.sources += joined
        key, value = joined

    def scaled(x, number):
        scale = g.constant(repr(number), x.element)
        return g.each(f"%y = arith.mulf %x0, {scale} : T", x)

    if case.scale in ("query", "both"):
        q = scaled(q, factor if case.scale == "query" else 0.5)
    if case.scale in ("key", "both"):
        key = scaled(key, factor if case.scale == "key" else factor / 0.5)
    q, key, value = (g.cast(x, wide) for x in (q, key, value))
    q = g.transposed(q, ("b", *heads_q, "i", "d"))
    key = g.transposed(key, ("b", *heads_k, "j", "d"))
    value = g.transposed(value, ("b", *heads_k, "j", "e"))
    by_query = case.groups == "query" and case.group > 1
    if by_query:
        q = g.reshaped(q, ("b", "k", "g", "i", "d"))
    elif case.heads:
        repeated = []
        for x in (key, value):
            last = x.dims[-1]
            if case.group > 1:
                spread = ("b", "k", "g", "j", last)
                if case.groups == "named":
                    out = g.empty(spread, wide)
                    x = g.add(f"linalg.broadcast ins({x.name} : {g.type_of(x)}) outs({out.name} : {g.type_of(out)}) "
                              "dimensions = [2]", spread, wide)  # fmt: skip
                else:
                    if case.groups == "reshape":
                        x = g.reshaped(x, ("b", "k", "1", "j", last))
                    x = g.generic("", [x], spread, wide)
                x = g.reshaped(x, ("b", "kg", "j", last), case.groups == "reshape")
            else:
                x = Value(x.name, ("b", "kg", "j", last), wide)
            repeated.append(x)
        key, value = repeated
    outer = q.dims[:-2]
    if case.flat:
        q, key, value = (g.reshaped(x, ("bkg", *x.dims[-2:]), case.groups == "reshape") for x in (q, key, value))
    batches = q.dims[:-2]
    product = "%m = arith.mulf %x0, %x1 : T\n%y = arith.addf %o, %m : T"
    dims = (*batches, "i", "j")
    init = g.filled(dims, wide, "0.0")
    if case.product == "transpose":
        key = g.transposed(key, (*key.dims[:-2], "d", "j"))
    if case.product == "transpose" and len(batches) == 1:
        score = g.add(f"linalg.batch_matmul ins({q.name}, {key.name} : {g.type_of(q)}, {g.type_of(key)}) outs({init.name} "
                      f": {g.type_of(init)}) -> {g.type_of(init)}", dims, wide)  # fmt: skip
    elif case.product == "maps" and len(batches) == 1:
        maps = ("b, i, d", "b, j, d", "b, i, j")
        texts = ", ".join(f"affine_map<(b, i, j, d) -> ({m})>" for m in maps)
        score = g.add(f"linalg.batch_matmul indexing_maps = [{texts}] ins({q.name}, {key.name} : {g.type_of(q)}, "
                      f"{g.type_of(key)}) outs({init.name} : {g.type_of(init)}) -> {g.type_of(init)}", dims, wide)  # fmt: skip
    elif case.product == "contract":
        names = {n: f"l{at}" for at, n in enumerate((*dims, "d"))}
        texts = ", ".join(
            f"affine_map<({', '.join(names.values())}) -> ({', '.join(names[d] for d in x.dims)})>" for x in (q, key, init)
        )
        score = g.add(f"linalg.contract indexing_maps = [{texts}] ins({q.name}, {key.name} : {g.type_of(q)}, "
                      f"{g.type_of(key)}) outs({init.name} : {g.type_of(init)}) -> {g.type_of(init)}", dims, wide)  # fmt: skip
    elif case.product == "swapped":
        # Keys before queries, and the scores transposed.
        turned = (*batches, "j", "i")
        score = g.generic(product, [key, q], turned, wide, ["d"], g.filled(turned, wide, "0.0"))
        score = g.transposed(score, dims)
    else:
        score = g.generic(product, [q, key], dims, wide, ["d"], init)
    if case.miss == "starts from something":
        other = g.generic("%y = arith.sitofp %v : i64 to T".replace("T", wide).replace("%v", three), [], dims, wide)
        score = g.generic(product, [q, key], dims, wide, ["d"], other)
    if case.flat:
        score = g.reshaped(score, (*outer, "i", "j"))
    dims = score.dims
    if case.scale == "score":
        score = scaled(score, factor)
    elif case.scale == "divide":
        root = g.constant(repr(1 / factor), wide)
        score = g.each(f"%y = arith.divf %x0, {root} : T", score)
    elif case.scale == "f64":
        scale = g.constant(repr(factor), "f64")
        cast = f"arith.truncf {scale} : f64 to {wide}" if wide != "f64" else f"arith.addf {scale}, {zero} : f64"
        score = g.each(f"%s = {cast}\n%y = arith.mulf %x0, %s : T", score)
    if case.cap:
        five = g.constant("5.0", wide)
        score = g.each(f"%y = arith.divf %x0, {five} : T", score)
        score = g.each("%y = math.tanh %x0 : T", score)
        score = g.each(f"%y = arith.mulf %x0, {five} : T", score)

    def named(body):
        return body.replace("%inf", inf).replace("%low", low).replace("%three", three)

    if mask:
        body = named(MASKS[case.mask][2])
        if by_query and h in mask.dims:
            mask = g.reshaped(mask, ("k", "g", *mask.dims[1:]))
        if len(mask.dims) == 4 and by_query:
            mask = g.reshaped(mask, tuple(d for d in mask.dims if d != "1"))
        score = g.generic(body, [score, mask], dims, wide)
    elif case.mask in CAUSAL:
        score = g.generic(named(CAUSAL[case.mask]), [score], dims, wide)
    elif case.mask == "positions":
        bias = g.generic(f"%c = arith.cmpi sge, %x0, %x1 : i64\n%y = arith.select %c, {zero}, "
                         f"{g.constant('-1.0e9', wide)} : T", [pi, pj], ("b", "i", "j"), wide)  # fmt: skip
        score = g.generic("%y = arith.addf %x0, %x1 : T", [score, bias], dims, wide)
    if case.miss == "halved mask":
        half = g.argument("half", ("i", "j"), wide)
        score = g.generic("%y = arith.addf %x0, %x1 : T", [score, half], dims, wide)
        i = g.loops(dims).index("i")
        before, line = f"-> (l{i}, l{i + 1})>", g.lines[-1]
        g.lines[-1] = line.replace(before, f"-> (l{i} floordiv 2, l{i + 1})>", 1)
    if case.sinks:
        column = g.reshaped(sink, ("1", h, "1", "1"))
        column = g.generic("", [column], ("b", h, "i", "1"), wide)
        to = Value("", (*dims[:-1], "j+1"), wide)
        parts = (column, score) if case.miss == "sinks first" else (score, column)
        score = g.add(f"tensor.concat dim(3) {parts[0].name}, {parts[1].name} : ({g.type_of(parts[0])}, "
                      f"{g.type_of(parts[1])}) -> {g.type_of(to)}", to.dims, wide)  # fmt: skip
        # As gpt-oss does, besides that of the softmax.
        top = g.generic("%y = arith.maximumf %x0, %o : T", [score], dims[:-1], wide, ["j+1"],
                        g.filled(dims[:-1], wide, INFINITY[wide]))  # fmt: skip
        score = g.each("%y = arith.subf %x0, %x1 : T", score, top)
    weights = softmax(g, score, case)
    if case.sinks:
        to = Value("", dims, wide)
        sizes_ = ", ".join(g.size(d) if g.is_dynamic(d) else str(g.count(d)) for d in dims)
        weights = g.add(f"tensor.extract_slice {weights.name}[0, 0, 0, 0] [{sizes_}] [1, 1, 1, 1] : {g.type_of(weights)} to "
                        f"{g.type_of(to)}", dims, wide)  # fmt: skip
    if case.miss == "dropout":
        weights = g.generic("%y = arith.mulf %x0, %x1 : T", [weights, keep], dims, wide)
    if case.wide:
        # Rounded as eager models do, then widened for the product.
        weights = g.cast(g.cast(weights, type), wide)
    results = []
    if case.miss == "weights returned":
        results.append(weights)
    if case.miss == "scores returned":
        results.append(score)
    if case.flat:
        weights = g.reshaped(weights, ("bkg", "i", "j"))
    over = "j"
    dims = (*batches, "i", "e")
    if case.miss == "values of queries":
        # The product sums over what is a query: as many keys as queries.
        weights = Value(weights.name, (*weights.dims[:-2], "j", "i"), wide)
    init = g.filled(dims, wide, "0.0")
    if case.product in ("transpose", "maps") and len(batches) == 1 and not case.miss:
        out = g.add(f"linalg.batch_matmul ins({weights.name}, {value.name} : {g.type_of(weights)}, {g.type_of(value)}) outs("
                    f"{init.name} : {g.type_of(init)}) -> {g.type_of(init)}", dims, wide)  # fmt: skip
    else:
        out = g.generic(product, [weights, value], dims, wide, [over], init)
    if case.flat:
        out = g.reshaped(out, (*outer, "i", "e"))
    if by_query:
        out = g.reshaped(out, ("b", "kg", "i", "e"))
    out = g.transposed(out, ("b", "i", *heads_q, "e"))
    out = g.cast(out, type)
    results.insert(0, out)
    return g, g.function(case.name, results), results


def inputs(case, graph, sizes, rng):
    """Arrays for the arguments of a function."""
    graph = Graph({**graph.sizes, **sizes}, graph.dynamic) if case.dynamic else graph
    found = {}
    for argument in spell(case)[0].arguments:
        shape = [graph.count(d) for d in argument.dims]
        name = argument.name[1:]
        if name in ("cq", "sq", "ck", "sk"):
            first = graph.sizes["p"] if case.cache else 0
            angles = (first + np.arange(shape[0]))[:, None] * 1e4 ** (-np.arange(shape[1]) / shape[1])
            array = np.cos(angles) if name[0] == "c" else np.sin(angles)
        elif name in ("pi", "pj"):
            array = np.broadcast_to(np.arange(shape[1]) + (1 if name == "pi" else 0), shape).copy()
            array[-1] -= 2
        elif argument.element == "i1":
            array = rng.random(shape) < 0.6
            # Every query sees something, where that is asked for.
            array[..., 0] = "hide" not in case.mask
        elif name == "keep":
            array = (rng.random(shape) < 0.7) / 0.7
        elif name == "mask":
            array = np.where(rng.random(shape) < 0.2, -1e4, rng.standard_normal(shape))
        else:
            array = rng.standard_normal(shape)
        dtype = reference.NUMPY.get(argument.element, {"i64": np.int64, "i1": np.bool_}.get(argument.element))
        found[name] = np.ascontiguousarray(array.astype(dtype))
    return found


def expected(case, arrays):
    """By the definition, in float64."""
    x = {n: a.astype(np.float64) for n, a in arrays.items()}
    q, k, v = x["q"], x["k"], x["v"]
    if case.rotated:
        q, k = (
            reference.rotate(arrays[n], arrays["c" + n], arrays["s" + n], (1,), "half")[0].astype(np.float64) for n in "qk"
        )
    if case.cache:
        k, v = np.concatenate([x["pk"], k], 1), np.concatenate([x["pv"], v], 1)
    if not case.heads:
        q, k, v = (a[:, :, None] for a in (q, k, v))
    q, k, v = (a.transpose(0, 2, 1, 3) for a in (q, k, v))
    k, v = np.repeat(k, case.group, 1), np.repeat(v, case.group, 1)
    score = q @ k.transpose(0, 1, 3, 2)
    if case.scale != "none":
        score = score * case.channels**-0.5
    if case.cap:
        score = 5 * np.tanh(score / 5)
    if case.mask in MASKS:
        dims = MASKS[case.mask][0]
        mask = arrays["mask"]
        if dims == "ji":
            mask = mask.T
        elif not case.heads and mask.ndim == 3:
            mask = mask[:, None]
        elif not case.heads and dims == "b11j":
            mask = mask[:, None, None]
        if case.mask.startswith("add"):
            score = score + mask.astype(np.float64)
        else:
            score = np.where(mask ^ case.mask.startswith("hide"), score, -np.inf)
    distance = np.arange(score.shape[2])[:, None] - np.arange(score.shape[3])
    if case.mask in CAUSAL:
        score = np.where(distance >= 0, score, -np.inf)
    if case.mask == "window":
        score = np.where(distance < 3, score, -np.inf)
    if case.mask == "positions":
        score = score + np.where(arrays["pi"][:, None, :, None] >= arrays["pj"][:, None, None, :], 0, -1e9)
    if case.miss == "halved mask":
        half = g.argument("half", ("i", "j"), wide)
        score = g.generic("%y = arith.addf %x0, %x1 : T", [score, half], dims, wide)
        i = g.loops(dims).index("i")
        before, line = f"-> (l{i}, l{i + 1})>", g.lines[-1]
        g.lines[-1] = line.replace(before, f"-> (l{i} floordiv 2, l{i + 1})>", 1)
    if case.sinks:
        column = np.broadcast_to(x["sinks"][None, :, None, None], (*score.shape[:3], 1))
        score = np.concatenate([score, column], -1)
    with np.errstate(invalid="ignore"):
        top = score.max(-1, keepdims=True, initial=-np.inf)
        weights = np.exp(score - np.where(top == -np.inf, 0, top))
        total = weights.sum(-1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
    if case.sinks:
        weights = weights[..., :-1]
    out = (weights @ v).transpose(0, 2, 1, 3)
    seen = np.broadcast_to((total != 0).transpose(0, 2, 1, 3), out.shape)
    return (out, seen) if case.heads else (out[:, :, 0], seen[:, :, 0])

# Tensor programs in upstream dialects, each step in one of many spellings.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A Graph writes the text of one function. What a step computes is fixed, how it
is said is drawn: as an operation on tensors, a named linalg operation, a
generic, a loop nest that reads single elements, or in tosa."""

from dataclasses import dataclass, replace

import numpy as np
from rope_testing.reference import NUMPY

# Operations on floats, by the name of their named linalg form.
_ARITH = {"mul": "arith.mulf", "add": "arith.addf", "sub": "arith.subf", "negf": "arith.negf",
          "cos": "math.cos", "sin": "math.sin", "exp": "math.exp", "powf": "math.powf",
          "div": "arith.divf", "tanh": "math.tanh", "round": "math.roundeven"}  # fmt: skip
_TOSA = {"div": None, "powf": "pow", "negf": None, "sub": "sub", "add": "add", "mul": None,
         "round": None}  # fmt: skip
_NAMED = ("mul", "add", "sub", "negf", "exp", "div")


@dataclass(frozen=True)
class Dim:
    """A size; with the value that holds it where the type does not say it."""

    size: int
    value: str = ""

    def __str__(self):
        return "?" if self.value else str(self.size)

    @property
    def mixed(self):
        return self.value or str(self.size)


@dataclass(frozen=True)
class Tensor:
    """A value. `axes` are the dimensions that it follows of what it is combined
    with (None where it has one element), all of them where absent."""

    name: str
    dims: tuple
    element: str
    axes: tuple = None

    @property
    def type(self):
        return f"tensor<{''.join(f'{d}x' for d in self.dims)}{self.element}>"

    @property
    def rank(self):
        return len(self.dims)

    def along(self, *axes):
        return replace(self, axes=axes)


def literal(value):
    return f"{float(value):.17e}"


def _mixed(sizes):
    return "[" + ", ".join(d.mixed if isinstance(d, Dim) else str(d) for d in sizes) + "]"


def _list(values):
    return "[" + ", ".join(str(v) for v in values) + "]"


class Graph:
    def __init__(self, rng, tosa=False):
        self.rng = rng
        self.tosa = tosa
        self.lines = []
        self.resources = {}
        self.count = 0
        self.indent = 1
        # Kinds of spelling that were drawn.
        self.used = set()

    # Text.

    def emit(self, line):
        self.lines.append("  " * self.indent + line)

    def name(self):
        self.count += 1
        return f"%{self.count - 1}"

    def value(self, text):
        name = self.name()
        self.emit(f"{name} = {text}")
        return name

    def tensor(self, text, dims, element):
        return Tensor(self.value(text), tuple(dims), element)

    def pick(self, *choices):
        choice = choices[self.rng.integers(len(choices))]
        if isinstance(choice, str):
            self.used.add(choice)
        return choice

    def chance(self, p):
        return self.rng.random() < p

    # Constants.

    def scalar(self, value, element):
        text = str(int(value)) if element[0] == "i" else literal(value)
        return self.value(f"arith.constant {text} : {element}" if element != "index" else f"arith.constant {text} : index")

    def constant(self, array, element, resource=False):
        array = np.asarray(array)
        dims = tuple(Dim(n) for n in array.shape)
        kind = Tensor("", dims, element).type
        if resource and not self.tosa:
            key = f"blob{len(self.resources)}_{self.rng.integers(2**32)}"
            stored = array.astype(NUMPY[element])
            self.resources[key] = "0x" + (np.uint32(8).tobytes() + stored.tobytes()).hex().upper()
            return self.tensor(f"arith.constant dense_resource<{key}> : {kind}", dims, element)

        def nested(a):
            if a.ndim:
                return "[" + ", ".join(nested(row) for row in a) + "]"
            return str(int(a)) if element[0] == "i" else literal(a)

        text = f"dense<{nested(array)}> : {kind}"
        if self.tosa:
            return self.tensor(f'"tosa.const"() <{{values = {text}}}> : () -> {kind}', dims, element)
        return self.tensor(f"arith.constant {text}", dims, element)

    def empty(self, dims, element):
        sizes = ", ".join(d.value for d in dims if d.value)
        kind = Tensor("", tuple(dims), element).type
        return self.tensor(f"tensor.empty({sizes}) : {kind}", dims, element)

    def filled(self, dims, element, value=0.0):
        init, zero = self.empty(dims, element), self.scalar(value, element)
        return self.tensor(
            f"linalg.fill ins({zero} : {element}) outs({init.name} : {init.type}) -> {init.type}",
            dims, element,
        )  # fmt: skip

    # Loop nests.

    def generic(self, operands, dims, elements, body, reduced=()):
        """One linalg.generic over `dims` and then the sizes `reduced`, its loops in
        any order. `body(values, index)` gets the elements of the operands and a
        function from dimensions to indices; it returns what to yield. Sums start
        at zero; their accumulators are the last of `values`."""
        count = len(dims) + len(reduced)
        order = list(range(count))
        if self.chance(0.25) and not reduced:
            self.rng.shuffle(order)
        loops = ", ".join(f"d{i}" for i in range(count))

        def indexing(axes):
            return f"affine_map<({loops}) -> ({', '.join('0' if a is None else f'd{order[a]}' for a in axes)})>"

        maps = [indexing(range(o.rank) if o.axes is None else o.axes) for o in operands]
        maps += [indexing(range(len(dims)))] * len(elements)
        kinds = ["parallel"] * len(dims) + ["reduction"] * len(reduced)
        kinds = ", ".join(f'"{k}"' for k in kinds)
        inits = [(self.filled if reduced else self.empty)(dims, e) for e in elements]
        start = self.count
        arguments = [f"%a{start}_{i}" for i in range(len(operands) + len(inits))]
        types = [o.element for o in operands] + list(elements)
        results = [self.name() for _ in elements]
        ins = ""
        if operands:
            ins = f"ins({', '.join(o.name for o in operands)} : {', '.join(o.type for o in operands)}) "
        outs = f"outs({', '.join(i.name for i in inits)} : {', '.join(i.type for i in inits)})"
        self.emit(
            f"{', '.join(results)} = linalg.generic {{indexing_maps = [{', '.join(maps)}], "
            f"iterator_types = [{kinds}]}} {ins}{outs} {{"
        )
        self.emit("^bb0(" + ", ".join(f"{a}: {t}" for a, t in zip(arguments, types)) + "):")
        self.indent += 1
        given = arguments if reduced else arguments[: len(operands)]
        yielded = body(given, lambda j: self.value(f"linalg.index {order[j]} : index"))
        yielded = [yielded] if isinstance(yielded, str) else yielded
        self.emit(f"linalg.yield {', '.join(yielded)} : {', '.join(elements)}")
        self.indent -= 1
        results_types = ", ".join(i.type for i in inits)
        self.emit(f"}} -> {results_types if len(inits) == 1 else f'({results_types})'}")
        made = [Tensor(r, tuple(dims), e) for r, e in zip(results, elements)]
        return made[0] if len(made) == 1 else made

    def scalars(self, kind, *values, element):
        """Arithmetic on scalars."""
        return self.value(f"{_ARITH[kind]} {', '.join(values)} : {element}")

    def integer(self, kind, a, b):
        return self.value(f"arith.{kind} {a}, {b} : index")

    # Element by element.

    def full(self, tensor, dims):
        """`tensor`, which follows some of `dims`, with all of them."""
        if tensor.axes in (None, tuple(range(len(dims)))):
            return tensor
        increasing = [a for a in tensor.axes if a is not None]
        ordered = increasing == sorted(increasing)
        if self.tosa:
            return self._tosa_ones(tensor, len(dims))
        how = self.pick("broadcast", "broadcast generic", "broadcast 1s") if ordered else "broadcast generic"
        if how == "broadcast 1s":
            tensor = self.ones(tensor, dims)
        if how != "broadcast":
            return self.generic([tensor], dims, [tensor.element], lambda v, _: v[0])
        for i in reversed(range(tensor.rank)):
            if tensor.axes[i] is None:
                tensor = self.drop(tensor, i)
        init = self.empty(dims, tensor.element)
        added = [i for i in range(len(dims)) if i not in tensor.axes]
        return self.tensor(
            f"linalg.broadcast ins({tensor.name} : {tensor.type}) outs({init.name} : {init.type}) "
            f"dimensions = {_list(added)}", dims, tensor.element,
        )  # fmt: skip

    def ones(self, tensor, dims):
        """The rank of `dims`, with sizes of one where `tensor` does not follow."""
        groups, shape, axes, pending = [], [], [], []
        for i, a in enumerate(tensor.axes):
            group = list(pending)
            pending = []
            while a is not None and len(shape) < a:
                group.append(len(shape))
                shape.append(Dim(1))
                axes.append(None)
            if a is None and len(shape) + len([x for x in tensor.axes[i:] if x is not None]) >= len(dims):
                # Too many for the rank: dropped.
                return self.ones(self.drop(tensor, i), dims)
            group.append(len(shape))
            shape.append(tensor.dims[i])
            axes.append(a)
            groups.append(group)
        if not groups:
            return tensor
        while len(shape) < len(dims):
            groups[-1].append(len(shape))
            shape.append(Dim(1))
            axes.append(None)
        made = self._reshaped("expand_shape", tensor, groups, shape)
        return replace(made, axes=tuple(axes))

    def drop(self, tensor, axis):
        """Without a dimension of size one."""
        axes = tensor.axes or tuple(range(tensor.rank))
        dims = tensor.dims[:axis] + tensor.dims[axis + 1 :]
        left = axes[:axis] + axes[axis + 1 :]
        if self.chance(0.5) or tensor.rank == 1:
            offsets = _list([0] * tensor.rank)
            made = self.tensor(
                f"tensor.extract_slice {tensor.name}{offsets} {_mixed(tensor.dims)} "
                f"{_list([1] * tensor.rank)} : {tensor.type} to {Tensor('', dims, tensor.element).type}",
                dims, tensor.element,
            )  # fmt: skip
        else:
            groups = [[i] for i in range(tensor.rank)]
            if axis:
                groups[axis - 1 : axis + 1] = [[axis - 1, axis]]
            else:
                groups[0:2] = [[0, 1]]
            made = self._reshaped("collapse_shape", tensor, groups, dims)
        return replace(made, axes=left)

    def _reshaped(self, op, tensor, groups, dims):
        dims = tuple(dims)
        kind = Tensor("", dims, tensor.element).type
        shape = f" output_shape {_mixed(dims)}" if op == "expand_shape" else ""
        return self.tensor(
            f"tensor.{op} {tensor.name} {_list(groups)}{shape} : {tensor.type} into {kind}", dims, tensor.element
        )

    def apply(self, kind, *operands, dims=None):
        """`kind` of _ARITH on tensors that follow `dims`, those of the first
        operand that has all where absent."""
        if dims is None:
            dims = next(o.dims for o in operands if o.axes is None)
        if self.tosa:
            return self._tosa_apply(kind, operands, dims)
        element = operands[0].element
        how = self.pick("tensors", "generic", "generic", "named", "map", "elementwise")
        if how in ("named", "elementwise") and kind not in _NAMED:
            how = "generic"
        if how != "generic":
            operands = [self.full(o, dims) for o in operands]
        if how == "generic":
            return self.generic(operands, dims, [element], lambda v, _: self.scalars(kind, *v, element=element))
        names = ", ".join(o.name for o in operands)
        kinds = ", ".join(o.type for o in operands)
        if how == "tensors":
            return self.tensor(f"{_ARITH[kind]} {names} : {operands[0].type}", dims, element)
        init = self.empty(dims, element)
        ends = f"ins({names} : {kinds}) outs({init.name} : {init.type})"
        if how == "named":
            return self.tensor(f"linalg.{kind} {ends} -> {init.type}", dims, element)
        if how == "elementwise":
            return self.tensor(
                f"linalg.elementwise kind=#linalg.elementwise_kind<{kind}> {ends} -> {init.type}", dims, element
            )
        return self.tensor(f"linalg.map {{ {_ARITH[kind]} }} {ends}", dims, element)

    def negated(self, tensor):
        how = "negf" if self.tosa else self.pick("negf", "negf", "negf", "times -1", "0 - x")
        if how == "negf":
            return self.apply("negf", tensor, dims=tensor.dims)
        element = tensor.element
        plain = replace(tensor, axes=None)

        def body(values, _):
            number = self.scalar(-1.0 if how == "times -1" else 0.0, element)
            if how == "times -1":
                return self.scalars("mul", values[0], number, element=element)
            return self.scalars("sub", number, values[0], element=element)

        return replace(self.generic([plain], tensor.dims, [element], body), axes=tensor.axes)

    def cast(self, tensor, element):
        if tensor.element == element:
            return tensor
        if self.tosa:
            kind = replace(tensor, element=element).type
            return self.tensor(f"tosa.cast {tensor.name} : ({tensor.type}) -> {kind}", tensor.dims, element)
        op = _cast(tensor.element, element)
        plain = replace(tensor, axes=None)
        if self.chance(0.5):
            made = self.tensor(
                f"{op} {tensor.name} : {tensor.type} to {replace(tensor, element=element).type}", tensor.dims, element
            )
        else:
            made = self.generic(
                [plain], tensor.dims, [element],
                lambda v, _: self.value(f"{op} {v[0]} : {tensor.element} to {element}"),
            )  # fmt: skip
        return replace(made, axes=tensor.axes)

    # Shapes.

    def slice(self, tensor, axis, offset, size, stride=1):
        """`size` elements of dimension `axis`, a number or a Dim."""
        size = size if isinstance(size, Dim) else Dim(size)
        dims = tensor.dims[:axis] + (size,) + tensor.dims[axis + 1 :]
        offsets = [0] * tensor.rank
        offsets[axis] = offset
        if self.tosa:
            assert stride == 1
            start, extent = self._shape(offsets), self._shape([d.size for d in dims])
            rank = tensor.rank
            return self.tensor(
                f"tosa.slice {tensor.name}, {start}, {extent} : ({tensor.type}, !tosa.shape<{rank}>, "
                f"!tosa.shape<{rank}>) -> {Tensor('', dims, tensor.element).type}", dims, tensor.element,
            )  # fmt: skip
        if self.chance(0.1) and not str(offset).startswith("%"):
            self.used.add("slice by extract")

            def body(_, index):
                at = [index(j) for j in range(tensor.rank)]
                if stride != 1:
                    at[axis] = self.integer("muli", at[axis], self.scalar(stride, "index"))
                at[axis] = self.integer("addi", at[axis], self.scalar(offset, "index"))
                return self.value(f"tensor.extract {tensor.name}[{', '.join(at)}] : {tensor.type}")

            return self.generic([], dims, [tensor.element], body)
        strides = [1] * tensor.rank
        strides[axis] = stride
        return self.tensor(
            f"tensor.extract_slice {tensor.name}{_list(offsets)} {_mixed(dims)} {_list(strides)} : "
            f"{tensor.type} to {Tensor('', dims, tensor.element).type}", dims, tensor.element,
        )  # fmt: skip

    def pick_row(self, tensor, axis, offset):
        """One element of dimension `axis`, which is dropped."""
        dims = tensor.dims[:axis] + tensor.dims[axis + 1 :]
        sizes = list(tensor.dims)
        sizes[axis] = 1
        offsets = [0] * tensor.rank
        offsets[axis] = offset
        if self.chance(0.3):
            one = self.slice(tensor, axis, offset, 1)
            groups = [[i] for i in range(tensor.rank)]
            at = max(axis - 1, 0)
            groups[at : at + 2] = [[at, at + 1]]
            return self._reshaped("collapse_shape", one, groups, dims)
        return self.tensor(
            f"tensor.extract_slice {tensor.name}{_list(offsets)} {_mixed(sizes)} {_list([1] * tensor.rank)} : "
            f"{tensor.type} to {Tensor('', dims, tensor.element).type}", dims, tensor.element,
        )  # fmt: skip

    def insert(self, part, whole, axis, offset, stride=1):
        """`whole` with `part` at `offset`."""
        offsets, strides = [0] * whole.rank, [1] * whole.rank
        offsets[axis], strides[axis] = offset, stride
        return self.tensor(
            f"tensor.insert_slice {part.name} into {whole.name}{_list(offsets)} {_mixed(part.dims)} "
            f"{_list(strides)} : {part.type} into {whole.type}", whole.dims, whole.element,
        )  # fmt: skip

    def concat(self, parts, axis, into=None):
        """The parts one after the other. `into` is a tensor of the result's shape
        that may be overwritten."""
        parts = [p for p in parts if p is not None and p.dims[axis].size]
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        size = Dim(sum(p.dims[axis].size for p in parts))
        dims = first.dims[:axis] + (size,) + first.dims[axis + 1 :]
        names = ", ".join(p.name for p in parts)
        kinds = ", ".join(p.type for p in parts)
        kind = Tensor("", dims, first.element).type
        if self.tosa:
            return self.tensor(
                f"tosa.concat {names} {{axis = {axis} : i32}} : ({kinds}) -> {kind}", dims, first.element
            )
        how = self.pick("concat", "concat", "insert", "pad", "select")
        offsets = np.cumsum([0] + [p.dims[axis].size for p in parts])
        if how == "concat":
            return self.tensor(f"tensor.concat dim({axis}) {names} : ({kinds}) -> {kind}", dims, first.element)
        if how == "insert":
            whole = into or self.empty(dims, first.element)
            for part, offset in zip(parts, offsets):
                whole = self.insert(part, whole, axis, offset)
            return whole
        if how == "pad":
            padded = []
            for part, offset in zip(parts, offsets):
                low, high = [0] * part.rank, [0] * part.rank
                low[axis] = offset
                high[axis] = size.size - offset - part.dims[axis].size
                zero = self.scalar(0.0, part.element)
                name = self.name()
                arguments = ", ".join(f"%p{self.count}_{i}: index" for i in range(part.rank))
                self.emit(f"{name} = tensor.pad {part.name} low{_list(low)} high{_list(high)} {{")
                self.emit(f"^bb0({arguments}):")
                self.emit(f"  tensor.yield {zero} : {part.element}")
                self.emit(f"}} : {part.type} to {kind}")
                padded.append(Tensor(name, dims, part.element))
            total = padded[0]
            for part in padded[1:]:
                total = self.apply("add", total, part)
            return total

        def body(_, index):
            at = [index(j) for j in range(len(dims))]
            channel, found = at[axis], None
            for part, offset in reversed(list(zip(parts, offsets))):
                low = self.integer("subi", channel, self.scalar(offset, "index"))
                zero, top = self.scalar(0, "index"), self.scalar(part.dims[axis].size - 1, "index")
                at[axis] = self.integer("minsi", self.integer("maxsi", low, zero), top)
                here = self.value(f"tensor.extract {part.name}[{', '.join(at)}] : {part.type}")
                if found is None:
                    found = here
                else:
                    end = self.scalar(offset + part.dims[axis].size, "index")
                    test = self.value(f"arith.cmpi slt, {channel}, {end} : index")
                    found = self.value(f"arith.select {test}, {here}, {found} : {part.element}")
            return found

        return self.generic([], dims, [first.element], body)

    def expand(self, tensor, axis, sizes):
        """Dimension `axis` as two."""
        sizes = tuple(Dim(s) if isinstance(s, int) else s for s in sizes)
        dims = tensor.dims[:axis] + sizes + tensor.dims[axis + 1 :]
        if self.tosa:
            return self._tosa_reshape(tensor, dims)
        groups = [[i] for i in range(axis)] + [[axis, axis + 1]] + [[i + 1] for i in range(axis + 1, tensor.rank)]
        return self._reshaped("expand_shape", tensor, groups, dims)

    def collapse(self, tensor, axis):
        """Dimensions `axis` and `axis` + 1 as one."""
        sizes = tensor.dims[axis : axis + 2]
        one = sizes[0] if sizes[1].size == 1 else sizes[1] if sizes[0].size == 1 else Dim(sizes[0].size * sizes[1].size)
        dims = tensor.dims[:axis] + (one,) + tensor.dims[axis + 2 :]
        if self.tosa:
            return self._tosa_reshape(tensor, dims)
        groups = [[i] for i in range(axis)] + [[axis, axis + 1]] + [[i] for i in range(axis + 2, tensor.rank)]
        return self._reshaped("collapse_shape", tensor, groups, dims)

    def transpose(self, tensor, order):
        dims = tuple(tensor.dims[i] for i in order)
        if self.tosa:
            kind = Tensor("", dims, tensor.element).type
            return self.tensor(
                f"tosa.transpose {tensor.name} {{perms = array<i32: {', '.join(map(str, order))}>}} : "
                f"({tensor.type}) -> {kind}", dims, tensor.element,
            )  # fmt: skip
        if self.pick("transpose", "transpose generic") == "transpose":
            init = self.empty(dims, tensor.element)
            return self.tensor(
                f"linalg.transpose ins({tensor.name} : {tensor.type}) outs({init.name} : {init.type}) "
                f"permutation = {_list(order)}", dims, tensor.element,
            )  # fmt: skip
        axes = [order.index(i) for i in range(tensor.rank)]
        return self.generic([tensor.along(*axes)], dims, [tensor.element], lambda v, _: v[0])

    def swap(self, tensor, axis):
        """Dimensions `axis` and `axis` + 1 exchanged."""
        order = list(range(tensor.rank))
        order[axis : axis + 2] = [axis + 1, axis]
        return self.transpose(tensor, order)

    def stack(self, a, b, axis):
        """a and b along a dimension of two before `axis`."""
        dims = a.dims[:axis] + (Dim(2),) + a.dims[axis:]
        how = "concat" if self.tosa or axis > a.rank else self.pick("concat", "stack by insert", "stack by select")
        if how == "concat":
            if axis == a.rank:
                parts = [self.expand(p, axis - 1, (p.dims[axis - 1], 1)) for p in (a, b)]
            else:
                parts = [self.expand(p, axis, (1, p.dims[axis])) for p in (a, b)]
            return self.concat(parts, axis)
        if how == "stack by insert":
            whole = self.empty(dims, a.element)
            sizes = list(dims)
            sizes[axis] = 1
            for i, part in enumerate((a, b)):
                offsets = [0] * len(dims)
                offsets[axis] = i
                whole = self.tensor(
                    f"tensor.insert_slice {part.name} into {whole.name}{_list(offsets)} {_mixed(sizes)} "
                    f"{_list([1] * len(dims))} : {part.type} into {whole.type}", dims, a.element,
                )  # fmt: skip
            return whole
        others = [i for i in range(len(dims)) if i != axis]

        def body(values, index):
            zero = self.scalar(0, "index")
            test = self.value(f"arith.cmpi eq, {index(axis)}, {zero} : index")
            return self.value(f"arith.select {test}, {values[0]}, {values[1]} : {a.element}")

        return self.generic([a.along(*others), b.along(*others)], dims, [a.element], body)

    def same(self, tensor):
        """`tensor`, by operations that change nothing."""
        if self.tosa:
            return tensor
        rank = tensor.rank
        how = self.pick("slice of all", "copy", "copy generic", "twice transposed")
        if how == "slice of all":
            return self.tensor(
                f"tensor.extract_slice {tensor.name}{_list([0] * rank)} {_mixed(tensor.dims)} "
                f"{_list([1] * rank)} : {tensor.type} to {tensor.type}", tensor.dims, tensor.element,
            )  # fmt: skip
        if how == "copy":
            init = self.empty(tensor.dims, tensor.element)
            return self.tensor(
                f"linalg.copy ins({tensor.name} : {tensor.type}) outs({init.name} : {init.type}) -> {init.type}",
                tensor.dims, tensor.element,
            )  # fmt: skip
        if how == "twice transposed" and rank > 1:
            axis = int(self.rng.integers(rank - 1))
            return self.swap(self.swap(tensor, axis), axis)
        return self.generic([tensor], tensor.dims, [tensor.element], lambda v, _: v[0])

    # The tosa dialect.

    def _shape(self, values):
        rank = len(values)
        return self.value(
            f"tosa.const_shape {{values = dense<{_list(values)}> : tensor<{rank}xindex>}} : () -> !tosa.shape<{rank}>"
        )

    def _tosa_reshape(self, tensor, dims):
        shape = self._shape([d.size for d in dims])
        kind = Tensor("", tuple(dims), tensor.element).type
        return self.tensor(
            f"tosa.reshape {tensor.name}, {shape} : ({tensor.type}, !tosa.shape<{len(dims)}>) -> {kind}",
            dims, tensor.element,
        )  # fmt: skip

    def _tosa_ones(self, tensor, rank):
        """The rank of what it is combined with; operations broadcast ones."""
        if tensor.axes in (None, tuple(range(rank))):
            return tensor
        kept = [i for i, a in enumerate(tensor.axes) if a is not None]
        order = sorted(kept, key=lambda i: tensor.axes[i])
        if order != kept:
            left = [i for i in range(tensor.rank) if i not in kept]
            tensor = replace(self.transpose(tensor, left + order), axes=tuple(tensor.axes[i] for i in left + order))
        shape = [Dim(1)] * rank
        for i, a in enumerate(tensor.axes):
            if a is not None:
                shape[a] = tensor.dims[i]
        return self._tosa_reshape(tensor, shape)

    def _tosa_apply(self, kind, operands, dims):
        operands = [self._tosa_ones(o, len(dims)) for o in operands]
        element = operands[0].element
        types = [o.type for o in operands]
        names = [o.name for o in operands]
        if kind == "negf":
            zero = self.constant(np.zeros(1), element)
            names += [zero.name] * 2
            types += [zero.type] * 2
            op = "negate"
        elif kind == "mul":
            shift = self.value('"tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>')
            names.append(shift)
            types.append("tensor<1xi8>")
            op = "mul"
        else:
            op = _TOSA.get(kind, kind)
        kind = Tensor("", tuple(dims), element).type
        return self.tensor(f"tosa.{op} {', '.join(names)} : ({', '.join(types)}) -> {kind}", dims, element)


def _cast(source, target):
    if source[0] == "i" and target[0] == "i":
        return "arith.index_cast" if "index" in (source, target) else "arith.extsi"
    if source[0] == "i":
        return "arith.sitofp"
    if target[0] == "i":
        return "arith.fptosi"
    widths = {"bf16": 16, "f16": 16, "f32": 32, "f64": 64}
    return "arith.extf" if widths[source] < widths[target] else "arith.truncf"

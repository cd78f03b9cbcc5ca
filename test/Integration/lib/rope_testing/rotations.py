# Functions from positions and x to rotated x, and to frequencies.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception


def rotation(
    name, frequencies, pairs, head, applies, position_type="i64", dtype="f64",
    axes=None, axis_count=0, magnitude=1.0, length=False,
):  # fmt: skip
    """A function of x[S, head], positions[S] (or [axis_count, S]) and, with
    `length`, an i64 %length. `frequencies` is IR that defines %w; `applies` are
    the attributes of one rope.apply after the other, each with the first and
    last of the columns of the tables that it takes, or None for all."""
    x = f"tensor<?x{head}x{dtype}>"
    p = f"tensor<{f'{axis_count}x' if axes else ''}?x{position_type}>"
    t, w = f"tensor<?x{pairs}x{dtype}>", f"tensor<{pairs}xf64>"
    lines = [
        f"func.func @{name}(%x: {x}, %p: {p}{', %length: i64' if length else ''}) -> {x} {{",
        "%c0 = arith.constant 0 : index",
        f"%size = tensor.dim %x, %c0 : {x}",
        frequencies,
        f"%t = tensor.empty(%size) : {t}",
    ]
    table = f"magnitude = {magnitude!r} : f64"
    if axes:
        table += f", axes = array<i64: {', '.join(map(str, axes))}>"
    lines += [
        f"%c, %s = rope.table ins(%p, %w : {p}, {w}) outs(%t, %t : {t}, {t}) {{{table}}}",
    ]
    value = "%x"
    for i, (attributes, columns) in enumerate(applies):
        cos, sin, part = "%c", "%s", t
        if columns:
            first, last = columns
            part = f"tensor<?x{last - first}x{dtype}>"
            cos, sin = f"%c_{i}", f"%s_{i}"
            for whole, name_of_part in (("%c", cos), ("%s", sin)):
                lines.append(
                    f"{name_of_part} = tensor.extract_slice {whole}[0, {first}] "
                    f"[%size, {last - first}] [1, 1] : {t} to {part}"
                )
        lines += [
            f"%e_{i} = tensor.empty(%size) : {x}",
            f"%y_{i} = rope.apply ins({value}, {cos}, {sin} : {x}, {part}, {part}) "
            f"outs(%e_{i} : {x}) {{position_dims = array<i64: 0>, {attributes}}}",
        ]
        value = f"%y_{i}"
    lines.append(f"return {value} : {x}\n}}\n")
    return "\n".join(lines)


def frequencies(name, n, chain, arguments=""):
    """A function of `arguments` that returns %w, which `chain` defines."""
    w = f"tensor<{n}xf64>"
    return f"func.func @{name}({arguments}) -> {w} {{\n{chain}\nreturn %w : {w}\n}}\n"

"""Rotations of configurations as IR, and the functions that operators call.

How a model rotates and attends is said by the importer alone. From the module that it
makes come the operations between positions and tables, word for word, and the
attributes of `rope.apply` and `rope.attention`. Around these stand functions for any
number of heads and for keys that come out of a cache.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

import rope_mlir

ELEMENT_TYPES = {
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float32: "f32",
    torch.float64: "f64",
}

LAYOUTS = ("bhsd", "bshd")


@dataclasses.dataclass(frozen=True)
class Tables:
    """What leads from positions to the tables of a rotation."""

    setup: str
    """Operations that read `%positions` and `%length`."""
    cos: str
    sin: str
    type: str
    """Names of the tables, and their type."""
    axes: int
    """Number of position axes; 0 where positions have no such dimension."""
    reads_length: bool
    pairing: str
    offset: int
    pair_stride: int | None
    transpose: bool
    """Attributes of `rope.apply`."""


@dataclasses.dataclass(frozen=True)
class Attention:
    """What attention does to scores, and what it rotates."""

    tables: Tables | None
    """Tables of the queries; None where neither a rotation nor an operand reads positions."""
    rotates_query: bool
    rotates_keys: bool
    scale: float
    causal: bool
    window: int | None = None
    chunk: int | None = None
    softcap: float | None = None
    """Scores become `softcap tanh(score / softcap)`."""
    radius: int | None = None
    """Keys further away on either side are not seen."""
    operand: str = ""
    """Factors of the scores at each query, which the setup of the tables makes from positions."""


@dataclasses.dataclass(frozen=True)
class Rotation:
    """How one kind of layer of a model rotates queries and keys, and attends; see `rotation`.

    Operators take the texts, which hold all there is to know, so that a program that
    PyTorch has written to a file stays valid in another process.
    """

    layer: str
    """The kind of layer; empty where a model has one kind alone."""
    axes: int
    """Number of position axes; 0 where positions have no such dimension."""
    channels: int
    """Channels that a vector has at least."""
    reads_length: bool
    """Whether the number of positions in use changes the frequencies."""
    has_sinks: bool
    """Whether a logit for each query head enters the softmax."""
    tables: str
    """`Tables` as text; empty where this kind of layer rotates nothing."""
    attention: str
    """`Attention` as text; empty where the importer has none."""
    attention_to_rotated: str
    """The same, for keys that are rotated before."""
    attends_by_position: bool
    """Whether attention reads positions: it rotates, or scales scores by them."""


def to_text(value: Tables | Attention) -> str:
    return json.dumps(dataclasses.asdict(value), separators=(",", ":"))


def tables_from_text(text: str) -> Tables:
    return Tables(**json.loads(text))


def attention_from_text(text: str) -> Attention:
    fields = json.loads(text)
    tables = fields.pop("tables")
    return Attention(tables=Tables(**tables) if tables else None, **fields)


# ---- from the importer's module ----

_FUNCTION = re.compile(
    r"^  func\.func @(rope_apply|attention)(?:_(\w+))?\((.*?)\) -> .*? \{\n(.*?)^  \}$", re.M | re.S
)
_APPLY = re.compile(
    r"rope\.apply ins\(%arg0, (%\w+), (%\w+) : tensor<\S+>, (tensor<\S+>), .*?\) outs\(.*?\) \{(.*)\}"
)
_ATTENTION = re.compile(r"rope\.attention \{(.*?)\} ins\(%arg0, %arg1, (%\w+) : (.*?)\n    return", re.S)


def _search(pattern: re.Pattern[str] | str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if not match:
        raise RuntimeError(f"rope_mlir.torch expected {pattern} in what the importer has made:\n{text}")
    return match


def _read_kinds(text: str) -> dict[str, Rotation]:
    """The rotations of a module of the importer, by kind of layer."""
    aliases = [line for line in text.splitlines() if line.startswith("#")]
    functions: dict[str, dict[str, tuple[list[str], str]]] = {}
    for name, layer, arguments, body in _FUNCTION.findall(text):
        types = re.findall(r"%arg\d+: ([^%]+?)(?:, |$)", arguments)
        functions.setdefault(layer, {})[name] = (types, body)

    def setup(body: str, positions: int, length: int) -> str:
        # Operations on the vectors follow those on positions.
        front = re.split(r"^.*%arg0\b", body, maxsplit=1, flags=re.M)[0]
        front = re.sub(rf"%arg{positions}\b", "%positions", front)
        front = re.sub(rf"%arg{length}\b", "%length", front)
        used = [line for line in aliases if re.search(rf"{line.split()[0]}\b", front)]
        return "".join(f"{line.strip()}\n" for line in [*used, *front.splitlines()] if line)

    kinds = {}
    for layer, both in functions.items():
        tables = attention = None
        axes, channels, reads_length, has_sinks = 0, 0, False, False
        if "rope_apply" in both:
            types, body = both["rope_apply"]
            sizes = _search(r"tensor<(.*)>", types[1])[1].split("x")
            axes = int(sizes[0]) if len(sizes) == 4 else 0
            reads_length = len(types) == 3
            cos, sin, type, attributes = _search(_APPLY, body).groups()
            pairs = int(_search(r"x(\d+)xf32", type)[1])
            pairing = _search(r"#rope\.pairing<(\w+)>", attributes)[1]
            offset, pair_stride = (
                int(match[1]) if (match := re.search(rf"\b{name} = (\d+)", attributes)) else default
                for name, default in (("offset", 0), ("pair_stride", None))
            )
            channels = offset + pairs + (pairs if pairing == "interleaved" else pair_stride or pairs)
            tables = Tables(
                setup=setup(body, 1, 2),
                cos=cos,
                sin=sin,
                type=type,
                axes=axes,
                reads_length=reads_length,
                pairing=pairing,
                offset=offset,
                pair_stride=pair_stride,
                transpose=attributes.endswith("transpose"),
            )
        if "attention" in both:
            types, body = both["attention"]
            attributes, value, rest = _search(_ATTENTION, body).groups()
            has_sinks = " sinks(" in rest
            # Values that are rotated, too, are more than this operator computes.
            if value == "%arg2":
                numbers = dict(re.findall(r"(scale|window|chunk) = (\S+) :", attributes))
                operand = re.search(r"score_operands\((%\w+) : tensor<\?x\?xf32>\)", rest)
                cap = re.search(r"constant (\S+) : f32(?=.*math\.tanh)", rest, re.S)
                radius = re.search(r"constant (\d+) : index(?=.*arith\.select)", rest, re.S)
                own = tables or Tables("", "", "", "", 0, False, "", 0, None, False)
                own = dataclasses.replace(own, setup=setup(body, 3, len(types) - 1))
                attention = Attention(
                    tables=own if tables or operand else None,
                    rotates_query=tables is not None,
                    rotates_keys=tables is not None,
                    scale=float(numbers.get("scale", 1.0)),
                    causal="causal" in attributes.split(","),
                    window=int(numbers["window"]) if "window" in numbers else None,
                    chunk=int(numbers["chunk"]) if "chunk" in numbers else None,
                    softcap=float(cap[1]) if cap else None,
                    radius=int(radius[1]) if radius else None,
                    operand=operand[1] if operand else "",
                )
        kinds[layer] = Rotation(
            layer,
            axes,
            channels,
            reads_length,
            has_sinks,
            to_text(tables) if tables else "",
            to_text(attention) if attention else "",
            to_text(dataclasses.replace(attention, rotates_keys=False)) if attention else "",
            attention is not None and attention.tables is not None,
        )
    return kinds


@functools.lru_cache(maxsize=256)
def _import(text: str) -> dict[str, Rotation]:
    return _read_kinds(str(rope_mlir.import_hf_config(json.loads(text), dtype="f32")))


def import_config(config: Any) -> dict[str, Rotation]:
    if isinstance(config, (str, os.PathLike)):
        with open(config, encoding="utf-8") as file:
            return _import(file.read())
    if isinstance(config, Mapping):
        return _import(json.dumps(config))
    if hasattr(config, "to_json_string"):
        return _import(config.to_json_string(use_diff=False))
    raise TypeError(
        "rope_mlir.torch expected a configuration of transformers, a dict or the path of a config.json, "
        f"but got {type(config).__name__}"
    )


# The state of a configuration when it was read, and what was read.
_known: dict[int, tuple[Any, dict[str, Rotation]]] = {}


def _state(config: Any) -> Any:
    if isinstance(config, (str, os.PathLike)):
        status = os.stat(config)
        return (os.fspath(config), status.st_mtime_ns, status.st_size)
    return config if isinstance(config, Mapping) else getattr(config, "__dict__", None)


def rotation(config: Any, layer: str | None = None) -> Rotation:
    """Reads how a model's layers rotate queries and keys, and attend.

    Args:
        config: a configuration of Hugging Face transformers, the same as a dict, or the path of a
            `config.json`. A `Rotation` is returned as it is.
        layer: the kind of layer where the model has several, as in `config.layer_types`
            ("sliding_attention"); may be left out for the only one.

    Returns:
        What `apply_rotary` and `attention` take in place of a configuration, without looking at it
        again in each call.

    Raises:
        TypeError: `config` is something else.
        ValueError: the model has no such kind of layer, or several and `layer` is None.
        OSError: the file cannot be read.
        rope_mlir.MLIRError: the importer refuses the configuration, and names the key.

    Source of the numbers: `Rope/Import/HFConfig.h`, which computes what transformers'
    `modeling_rope_utils.py` does.
    """
    if isinstance(config, Rotation):
        return config
    state, known = _state(config), _known.get(id(config))
    if known is None or known[0] != state:
        kinds = import_config(config)
        if len(_known) >= 256:
            _known.clear()
        known = _known[id(config)] = (copy.deepcopy(state), kinds)
    kinds = known[1]
    if layer is None and len(kinds) == 1:
        return next(iter(kinds.values()))
    if layer in kinds:
        return kinds[layer]
    expected = " or ".join(repr(kind) for kind in kinds) or "a model that has attention with rotations"
    raise ValueError(f"rope_mlir.torch expected layer to be {expected}, but got {layer!r}")


# ---- functions ----


def _split(setup: str) -> tuple[str, str]:
    """The aliases in front of a setup, and its operations."""
    lines = setup.splitlines(keepends=True)
    count = sum(line.startswith("#") for line in lines)
    return "".join(lines[:count]), "".join(lines[count:])


def _positions(tables: Tables) -> str:
    return f"tensor<{tables.axes}x?x?xi64>" if tables.axes else "tensor<?x?xi64>"


_CONSTANTS = "".join(f"    %d{i} = arith.constant {i} : index\n" for i in range(3))


def rotate_text(tables: Tables, layout: str, element: str, channels: tuple[int, ...], transpose: bool) -> str:
    """A function `rotate(vectors.., positions[, length])` of vectors with these numbers of channels."""
    aliases, setup = _split(tables.setup)
    attributes = f"{{pairing = #rope.pairing<{tables.pairing}>, offset = {tables.offset} : i64"
    attributes += f", position_dims = array<i64: 0, {layout.index('s')}>"
    if tables.pair_stride is not None:
        attributes += f", pair_stride = {tables.pair_stride} : i64"
    attributes += ", transpose}" if tables.transpose != transpose else "}"
    types = [f"tensor<?x?x?x{count}x{element}>" for count in channels]
    arguments = [f"%x{i}: {type}" for i, type in enumerate(types)] + [f"%positions: {_positions(tables)}"]
    arguments += ["%length: i64"] * tables.reads_length
    body = ""
    for i, type in enumerate(types):
        body += "".join(f"    %s{i}_{d} = tensor.dim %x{i}, %d{d} : {type}\n" for d in range(3))
        body += (
            f"    %e{i} = tensor.empty(%s{i}_0, %s{i}_1, %s{i}_2) : {type}\n"
            f"    %y{i} = rope.apply ins(%x{i}, {tables.cos}, {tables.sin} : {type}, {tables.type}, "
            f"{tables.type}) outs(%e{i} : {type}) {attributes}\n"
        )
    results = ", ".join(types)
    values = ", ".join(f"%y{i}" for i in range(len(types)))
    return (
        f"{aliases}func.func @rotate({', '.join(arguments)}) -> ({results}) {{\n"
        f"{setup}{_CONSTANTS}{body}    return {values} : {results}\n}}\n"
    )


@dataclasses.dataclass(frozen=True)
class AttentionShape:
    """What a function of attention is made for, beside what it computes."""

    layout: str
    element: str
    channels: int
    value_channels: int
    group: int
    """Query heads that share a key head."""
    key_positions: bool
    """Keys have positions of their own."""
    mask: tuple[str, str] | None
    """Letters of the loops of a mask, and its type of elements: i1 for what is seen, floats are added."""
    sinks: bool


def attention_text(attention: Attention, shape: AttentionShape) -> str:
    """A function `attention(q, k, v[, positions][, key positions][, mask][, sinks][, length])`.

    Results are [b, s, h, d]. The last query stands beside the last key.
    """
    tables, element, sequence = attention.tables, shape.element, shape.layout.index("s")
    score = "f64" if element == "f64" else "f32"
    query = f"tensor<?x?x?x{shape.channels}x{element}>"
    value = f"tensor<?x?x?x{shape.value_channels}x{element}>"

    def loops(head: str, position: str, channel: str, order: str = shape.layout) -> str:
        names = {"b": "b", "h": head, "s": position, "d": channel}
        return f"affine_map<(b, h, i, j, d, e) -> ({', '.join(names[letter] for letter in order)})>"

    key_head = f"h floordiv {shape.group}"
    maps = [loops("h", "i", "d"), loops(key_head, "j", "d"), loops(key_head, "j", "e")]
    arguments = [f"%q: {query}", f"%k: {query}", f"%v: {value}"]
    aliases = setup = rotations = ""
    if tables:
        arguments.append(f"%positions: {_positions(tables)}")
        aliases, setup = _split(tables.setup)
        kind = f"<pairing = {tables.pairing}, position_dims = [0, {sequence}], offset = {tables.offset}"
        kind += f", pair_stride = {tables.pair_stride}" if tables.pair_stride is not None else ""
        kind += ", transpose = true>" if tables.transpose else ">"
        types = f"{tables.type}, {tables.type}"
        cos, sin = tables.cos, tables.sin
        if attention.rotates_query:
            rotations += f" rotate_query({cos}, {sin} : {types}) by {kind}"
        if shape.key_positions:
            # The same operations, on values of other names.
            arguments.append(f"%key_positions: {_positions(tables)}")
            own = re.sub(r"%(?!positions\b|length\b)", "%key_", setup)
            setup += own.replace("%positions", "%key_positions")
            cos, sin = (f"%key_{name[1:]}" for name in (cos, sin))
        if attention.rotates_keys:
            rotations += f" rotate_key({cos}, {sin} : {types}) by {kind}"

    # What happens to a score, in the wider type.
    operands: list[tuple[str, str]] = []
    inputs = f"%score: {score}, %b: index, %h: index, %i: index, %j: index"
    body, result = "", "%score"
    if attention.operand:
        maps.append("affine_map<(b, h, i, j, d, e) -> (b, i)>")
        operands.append((attention.operand, "tensor<?x?xf32>"))
        inputs += ", %factor: f32"
        factor = "%factor"
        if score == "f64":
            body, factor = "%wide = arith.extf %factor : f32 to f64\n", "%wide"
        body += f"%scaled = arith.mulf {result}, {factor} : {score}\n"
        result = "%scaled"
    if attention.softcap is not None:
        body += (
            f"%cap = arith.constant {attention.softcap!r} : {score}\n"
            f"%ratio = arith.divf {result}, %cap : {score}\n%tanh = math.tanh %ratio : {score}\n"
            f"%capped = arith.mulf %tanh, %cap : {score}\n"
        )
        result = "%capped"
    if attention.radius is not None or shape.mask:
        body += (
            f"%never = arith.constant {'0xFFF0000000000000' if score == 'f64' else '0xFF800000'} : {score}\n"
        )
    if attention.radius is not None:
        body += (
            f"%radius = arith.constant {attention.radius} : index\n%behind = arith.subi %i, %j : index\n"
            "%before = arith.subi %j, %i : index\n%distance = arith.maxsi %behind, %before : index\n"
            "%near = arith.cmpi sle, %distance, %radius : index\n"
            f"%close = arith.select %near, {result}, %never : {score}\n"
        )
        result = "%close"
    if shape.mask:
        letters, mask_element = shape.mask
        type = f"tensor<{'?x' * len(letters)}{mask_element}>"
        arguments.append(f"%mask: {type}")
        maps.append(f"affine_map<(b, h, i, j, d, e) -> ({', '.join(letters)})>")
        operands.append(("%mask", type))
        inputs += f", %masked: {mask_element}"
        bias = "%masked"
        if mask_element in ("f16", "bf16"):
            body, bias = body + f"%bias = arith.extf %masked : {mask_element} to f32\n", "%bias"
        if mask_element == "i1":
            body += f"%seen = arith.select %masked, {result}, %never : {score}\n"
        else:
            body += f"%seen = arith.addf {result}, {bias} : {score}\n"
        result = "%seen"
    names, types = (", ".join(column) for column in zip(*operands)) if operands else ("", "")
    shown = f" score_operands({names} : {types})" if operands else ""
    region = f" {{\n^bb0({inputs}):\n{body}rope.yield {result} : {score}\n}}" if body else ""
    if shape.sinks:
        arguments.append(f"%sinks: tensor<?x{element}>")
    maps.append(loops("h", "i", "e", "bshd"))
    arguments += ["%length: i64"] * (tables is not None and tables.reads_length)

    attributes = f"scale = {attention.scale!r} : f64, indexing_maps = [{', '.join(maps)}]"
    attributes += ", causal" * attention.causal
    for name in ("window", "chunk"):
        number = getattr(attention, name)
        attributes += f", {name} = {number} : i64" if number is not None else ""
    head = shape.layout.index("h")
    out = f"tensor<?x?x?x{shape.value_channels}x{element}>"
    sinks = f" sinks(%sinks : tensor<?x{element}>)" if shape.sinks else ""
    return (
        f"{aliases}func.func @attention({', '.join(arguments)}) -> {out} {{\n{setup}{_CONSTANTS}"
        f"    %batches = tensor.dim %q, %d0 : {query}\n    %heads = tensor.dim %q, %d{head} : {query}\n"
        f"    %queries = tensor.dim %q, %d{sequence} : {query}\n"
        f"    %keys = tensor.dim %k, %d{sequence} : {query}\n"
        f"    %ahead = arith.subi %keys, %queries : index\n"
        f"    %init = tensor.empty(%batches, %queries, %heads) : {out}\n"
        f"    %o = rope.attention {{{attributes}}} ins(%q, %k, %v : {query}, {query}, {value}){shown}"
        f" query_offset(%ahead : index){sinks}{rotations} outs(%init : {out}){region}\n"
        f"    return %o : {out}\n}}\n"
    )


@functools.cache
def rotate_function(
    text: str, layout: str, dtype: torch.dtype, channels: tuple[int, ...], transpose: bool
) -> Callable[..., Any]:
    """The compiled form of `rotate_text`."""
    ir = rotate_text(tables_from_text(text), layout, ELEMENT_TYPES[dtype], channels, transpose)
    return rope_mlir.compile(ir, "rotate")


# Loops of a mask, by its number of dimensions.
_MASK_LOOPS = {2: "bj", 3: "bij", 4: "bhij"}


@functools.cache
def attention_function(
    text: str,
    layout: str,
    dtype: torch.dtype,
    channels: int,
    value_channels: int,
    group: int,
    key_positions: bool,
    mask: tuple[int, torch.dtype] | None,
    sinks: bool,
) -> Callable[..., Any]:
    """The compiled form of `attention_text`; of a mask, its number of dimensions and its type."""
    of_mask = None
    if mask:
        of_mask = (_MASK_LOOPS[mask[0]], "i1" if mask[1] == torch.bool else ELEMENT_TYPES[mask[1]])
    shape = AttentionShape(
        layout, ELEMENT_TYPES[dtype], channels, value_channels, group, key_positions, of_mask, sinks
    )
    return rope_mlir.compile(attention_text(attention_from_text(text), shape), "attention")

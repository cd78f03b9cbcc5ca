"""The operators `rope_mlir::apply_rotary` and `rope_mlir::attention` of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._programs import (
    ELEMENT_TYPES,
    LAYOUTS,
    Rotation,
    attention_from_text,
    attention_function,
    rotate_function,
    rotation,
    to_text,
)

_library = torch.library.Library("rope_mlir", "DEF")
_library.define(
    "apply_rotary(Tensor[] vectors, Tensor positions, Tensor? length, str rotation, str layout,"
    " bool transpose) -> Tensor[]"
)
_library.define(
    "attention(Tensor query, Tensor key, Tensor value, Tensor? positions, Tensor? key_positions,"
    " Tensor? mask, Tensor? sinks, Tensor? length, str attention, str layout) -> Tensor"
)


# ---- rotations ----


def _empty_like(x: Tensor) -> Tensor:
    """Memory for the rotated `x`, its dimensions in the same order, channels side by side."""
    result = torch.empty_like(x)
    return result if result.stride(-1) == 1 else torch.empty_like(x, memory_format=torch.contiguous_format)


def _readable(x: Tensor) -> Tensor:
    if x.requires_grad:
        x = x.detach()
    return x if x.stride(-1) == 1 else x.contiguous()


def _apply_rotary(
    vectors: list[Tensor], positions: Tensor, length: Tensor | None, text: str, layout: str, transpose: bool
) -> list[Tensor]:
    inputs, results, channels = [], [], []
    by_heads = layout == "bhsd"
    for x in vectors:
        x = _readable(x)
        inputs.append(x)
        results.append(_empty_like(x))
        channels.append(x.shape[3])
        strides = x.stride()
        by_heads = by_heads and strides[1] < strides[2]
    outputs = results
    # Rows are gone through in the order in which they lie in memory.
    if by_heads and positions.shape[-1] > 1:
        layout = "bshd"
        inputs = [x.transpose(1, 2) for x in inputs]
        outputs = [x.transpose(1, 2) for x in results]
    function = rotate_function(text, layout, inputs[0].dtype, tuple(channels), transpose)
    inputs.append(positions)
    if length is not None:
        inputs.append(length)
    function(*inputs, out=tuple(outputs) if len(outputs) > 1 else outputs[0])
    return results


_library.impl("apply_rotary", _apply_rotary, "CPU")


@torch.library.register_fake("rope_mlir::apply_rotary", lib=_library)
def _(vectors, positions, length, text, layout, transpose):
    return [_empty_like(x) for x in vectors]


def _apply_rotary_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, positions, length, ctx.text, ctx.layout, ctx.transpose = inputs
    ctx.save_for_backward(positions, length)


def _apply_rotary_backward(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    positions, length = ctx.saved_tensors
    turned = torch.ops.rope_mlir.apply_rotary(
        gradients, positions, length, ctx.text, ctx.layout, not ctx.transpose
    )
    return turned, None, None, None, None, None


torch.library.register_autograd(
    "rope_mlir::apply_rotary", _apply_rotary_backward, setup_context=_apply_rotary_setup, lib=_library
)


# ---- attention ----


def _attention_result(query: Tensor, value: Tensor, layout: str) -> Tensor:
    sizes = [query.shape[layout.index(letter)] for letter in "bsh"]
    return query.new_empty(*sizes, value.shape[3])


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    positions: Tensor | None,
    key_positions: Tensor | None,
    mask: Tensor | None,
    sinks: Tensor | None,
    length: Tensor | None,
    text: str,
    layout: str,
) -> Tensor:
    result = _attention_result(query, value, layout)
    query, key, value = _readable(query), _readable(key), _readable(value)
    heads = layout.index("h")
    function = attention_function(
        text,
        layout,
        query.dtype,
        query.shape[3],
        value.shape[3],
        query.shape[heads] // key.shape[heads],
        key_positions is not None,
        None if mask is None else (mask.dim(), mask.dtype),
        sinks is not None,
    )
    rest = [x for x in (positions, key_positions, mask, sinks, length) if x is not None]
    function(query, key, value, *rest, out=result)
    return result


_library.impl("attention", _attention, "CPU")


@torch.library.register_fake("rope_mlir::attention", lib=_library)
def _(query, key, value, positions, key_positions, mask, sinks, length, text, layout):
    return _attention_result(query, value, layout)


def _attention_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.text, ctx.layout = inputs
    ctx.save_for_backward(*tensors)


def _attention_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    """The gradients by their formulas: memory for all scores, which the operator itself never has."""
    query, key, value, positions, key_positions, mask, sinks, length = ctx.saved_tensors
    attention, layout = attention_from_text(ctx.text), ctx.layout
    if attention.operand:
        raise NotImplementedError(
            "rope_mlir::attention has no gradient where scores are multiplied by factors of their positions"
        )
    tables = to_text(attention.tables) if attention.tables else ""

    def turn(x: Tensor, at: Tensor | None, transpose: bool) -> Tensor:
        return torch.ops.rope_mlir.apply_rotary([x], at, length, tables, layout, transpose)[0]

    of_keys = positions if key_positions is None else key_positions
    q = turn(query, positions, False) if attention.rotates_query else query
    k = turn(key, of_keys, False) if attention.rotates_keys else key
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    if layout == "bshd":
        q, k, v = (x.transpose(1, 2).to(wide) for x in (q, k, value))
    else:
        q, k, v = (x.to(wide) for x in (q, k, value))
    gradient = gradient.transpose(1, 2).to(wide)
    # Query heads in groups that share a key head: [b, key head, query head in the group, s, d].
    q, gradient = (x.unflatten(1, (k.shape[1], -1)) for x in (q, gradient))
    k, v = k.unsqueeze(2), v.unsqueeze(2)

    scores = attention.scale * (q @ k.transpose(-1, -2))
    slope = 1.0
    if attention.softcap is not None:
        ratio = torch.tanh(scores / attention.softcap)
        scores, slope = attention.softcap * ratio, 1 - ratio * ratio
    seen = visible(
        q.shape[-2],
        k.shape[-2],
        q.device,
        causal=attention.causal,
        window=attention.window,
        chunk=attention.chunk,
        radius=attention.radius,
    )
    if mask is not None:
        mask = mask[:, None, None] if mask.dim() == 2 else mask
        mask = mask.unsqueeze(1) if mask.dim() == 3 else mask
        mask = mask.unflatten(1, (k.shape[1], -1)) if mask.shape[1] > 1 else mask.unsqueeze(1)
        if mask.dtype == torch.bool:
            seen = seen & mask
        else:
            scores = scores + mask
    scores = scores.masked_fill(~seen, float("-inf"))
    if sinks is not None:
        sink = sinks.to(wide).view(k.shape[1], -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sink], -1)
    weights = torch.nan_to_num(torch.softmax(scores, -1))
    of_sinks = None
    slopes = gradient @ v.transpose(-1, -2)
    change = (weights[..., : k.shape[-2]] * slopes).sum(-1, keepdim=True)
    if sinks is not None:
        of_sinks = -(weights[..., -1:] * change).sum((0, -1, -2)).flatten().to(sinks.dtype)
        weights = weights[..., :-1]
    of_scores = attention.scale * slope * weights * (slopes - change)
    of_value = (weights.transpose(-1, -2) @ gradient).sum(2)
    of_query = (of_scores @ k).flatten(1, 2)
    of_key = (of_scores.transpose(-1, -2) @ q).sum(2)
    if layout == "bshd":
        of_query, of_key, of_value = (x.transpose(1, 2) for x in (of_query, of_key, of_value))
    of_query, of_key, of_value = (x.to(query.dtype) for x in (of_query, of_key, of_value))
    if attention.rotates_query:
        of_query = turn(of_query, positions, True)
    if attention.rotates_keys:
        of_key = turn(of_key, of_keys, True)
    return of_query, of_key, of_value, None, None, None, of_sinks, None, None, None


def visible(
    queries: int,
    keys: int,
    device: torch.device,
    *,
    causal: bool = True,
    window: int | None = None,
    chunk: int | None = None,
    radius: int | None = None,
) -> Tensor:
    """Which keys a query sees, [s, k]; the last query stands beside the last key."""
    i = torch.arange(queries, device=device)[:, None] + (keys - queries)
    j = torch.arange(keys, device=device)[None]
    seen = (j <= i) if causal else torch.ones(queries, keys, dtype=torch.bool, device=device)
    if window is not None:
        seen = seen & (i - j < window)
    if chunk is not None:
        seen = seen & (torch.div(i, chunk, rounding_mode="floor") == j // chunk)
    if radius is not None:
        seen = seen & ((i - j).abs() <= radius)
    return seen


torch.library.register_autograd(
    "rope_mlir::attention", _attention_backward, setup_context=_attention_setup, lib=_library
)


# ---- functions ----


def call(operator: Any, *arguments: Any) -> Any:
    """Calls an operator, past what records gradients where none are."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return operator(*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return operator(*arguments)


# What a configuration says does not change while a program is traced.
_constant_rotation = torch.compiler.assume_constant_result(rotation)


def _rotation(config: Any, layer: str | None) -> Rotation:
    return config if isinstance(config, Rotation) else _constant_rotation(config, layer)


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"rope_mlir.torch expected layout to be 'bhsd' or 'bshd', but got {layout!r}")


def _check_vectors(function: str, layout: str, **vectors: Tensor) -> None:
    """Names of vectors, all of one type; heads, channels and sizes are checked against the first."""
    _check_layout(layout)
    (first_name, first), *_ = vectors.items()
    for name, x in vectors.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{function} expected {name} to be a tensor, but got {type(x).__name__}")
        if x.dtype not in ELEMENT_TYPES or x.dtype != first.dtype:
            kind = "float16, bfloat16, float32 or float64" if x is first else f"{first.dtype} as {first_name}"
            raise TypeError(f"{function} expected {name} of {kind}, but got {x.dtype}")
        if x.dim() != 4:
            raise ValueError(
                f"{function} expected {name} of the four dimensions {layout!r}, but got {list(x.shape)}"
            )
        if x.device.type != "cpu" and x.device.type != "meta":
            raise ValueError(f"{function} expected {name} in the memory of the processor, but got {x.device}")
        if x.shape[0] != first.shape[0]:
            raise ValueError(
                f"{function} expected {name} of the batch size of {first_name}, {first.shape[0]}, "
                f"but got {x.shape[0]}"
            )


def _check_channels(function: str, of: Rotation, **vectors: Tensor) -> None:
    for name, x in vectors.items():
        if x.shape[3] < of.channels:
            raise ValueError(
                f"{function} expected {name} of the {of.channels} channels that are rotated, "
                f"but got {x.shape[3]}"
            )


def shaped_positions(
    function: str, positions: Tensor, axes: int, batch: int, length: int, name: str
) -> Tensor:
    """Positions of i64 for each batch."""
    if not isinstance(positions, Tensor):
        raise TypeError(f"{function} expected {name} to be a tensor, but got {type(positions).__name__}")
    if positions.is_floating_point() or positions.is_complex() or positions.dtype == torch.bool:
        raise TypeError(f"{function} expected {name} of integers, but got {positions.dtype}")
    leading = 1 if axes else 0
    sizes = list(positions.shape)
    is_right = (
        len(sizes) in (leading + 1, leading + 2)
        and sizes[-1] == length
        and sizes[:leading] == [axes][:leading]
    )
    if not is_right or (len(sizes) == leading + 2 and sizes[-2] not in (1, batch)):
        front = f"{axes}, " if axes else ""
        raise ValueError(
            f"{function} expected {name} of sizes [{front}{length}] or [{front}{batch}, {length}], "
            f"but got {sizes}"
        )
    if len(sizes) == leading + 1:
        positions = positions.unsqueeze(leading)
    if positions.shape[-2] != batch:
        positions = positions.expand(*sizes[:leading], batch, length)
    return positions if positions.dtype == torch.int64 else positions.to(torch.int64)


def shaped_length(reads_length: bool, length: Tensor | int | None, positions: Tensor) -> Tensor | None:
    if not reads_length:
        return None
    if length is None:
        return positions.amax() + 1
    return length if isinstance(length, Tensor) else torch.tensor(length)


def apply_rotary(
    q: Tensor,
    k: Tensor | None,
    positions: Tensor,
    config: Any,
    *,
    layer: str | None = None,
    layout: str = "bhsd",
    length: Tensor | int | None = None,
    transpose: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Rotates queries and keys by their positions, as the model of a configuration does.

    The operator `rope_mlir::apply_rotary`: one pass over both, angles made on the way, 16-bit elements
    rotated in f32 and rounded once. Differentiable in q and k; its gradient is the rotation with
    `transpose`. Works under `torch.compile`.

    Args:
        q: queries [batch, heads, sequence, channels] for the layout "bhsd", as transformers has them, or
            [batch, sequence, heads, channels] for "bshd"; float16, bfloat16, float32 or float64, in the
            memory of the processor, any strides. The model's rotated channels lie among these.
        k: keys of any number of heads, else as q; None for none.
        positions: integers [sequence] or [batch, sequence], in tokens; for models with several position
            axes (M-RoPE) [axes, sequence] or [axes, batch, sequence].
        config: a configuration of transformers, a dict, the path of a `config.json`, or a `Rotation`,
            which costs nothing to look at.
        layer: the kind of layer, where the model has several.
        layout: the order of dimensions.
        length: the number of positions in use, where frequencies depend on it (dynamic NTK, LongRoPE);
            the largest position plus one where it is None. Ignored for other kinds.
        transpose: rotates by the negative angle: the inverse for tables of magnitude one, the gradient
            for all.

    Returns:
        Rotated queries and keys (None for None), dimensions in the order of memory of what they come from.

    Raises:
        TypeError: elements or positions of another type.
        ValueError: a number of dimensions or a size does not fit, another device, an unknown layout
            or layer, or a layer that rotates nothing.
        rope_mlir.MLIRError: the importer refuses the configuration.

    Source: (u, v) -> (u cos - v sin, u sin + v cos) for each pair of channels, `rope.apply`; the pairs
    and angles of each kind of model in `Rope/Import/HFConfig.h`.
    """
    vectors = {"q": q} if k is None else {"q": q, "k": k}
    _check_vectors("apply_rotary", layout, **vectors)
    of = _rotation(config, layer)
    if not of.tables:
        raise ValueError(f"apply_rotary expected a layer that rotates, but {of.layer!r} does not")
    _check_channels("apply_rotary", of, **vectors)
    sequence = layout.index("s")
    if k is not None and k.shape[sequence] != q.shape[sequence]:
        raise ValueError(
            f"apply_rotary expected k of the length of q, {q.shape[sequence]}, but got {k.shape[sequence]}"
        )
    positions = shaped_positions(
        "apply_rotary", positions, of.axes, q.shape[0], q.shape[sequence], "positions"
    )
    rotated = call(
        torch.ops.rope_mlir.apply_rotary.default,
        list(vectors.values()),
        positions,
        shaped_length(of.reads_length, length, positions),
        of.tables,
        layout,
        transpose,
    )
    return rotated[0], None if k is None else rotated[1]


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor | None,
    config: Any,
    *,
    layer: str | None = None,
    layout: str = "bhsd",
    key_positions: Tensor | None = None,
    rotated_keys: bool = False,
    mask: Tensor | None = None,
    sinks: Tensor | None = None,
    length: Tensor | int | None = None,
) -> Tensor:
    """Attention of a model's layer, queries and keys rotated as they are loaded.

    The operator `rope_mlir::attention`. Scale, soft-cap, window, chunks and causality are those of the
    configuration. Where there are more keys than queries, as in decoding with a cache, the last query
    stands beside the last key. Scores are never in memory; the gradient, computed by its formulas,
    takes memory for all of them.

    Args:
        q: queries [batch, heads, queries, channels] for the layout "bhsd", [batch, queries, heads,
            channels] for "bshd"; float16, bfloat16, float32 or float64, in the memory of the processor,
            any strides.
        k: keys in the same layout; the number of their heads divides that of the queries.
        v: values, as many as keys; their channels may differ in number.
        positions: of the queries, as for `apply_rotary`; None where nothing is rotated.
        config: as for `apply_rotary`.
        layer: the kind of layer, where the model has several.
        layout: the order of dimensions.
        key_positions: of the keys, where they are not those of the queries.
        rotated_keys: the keys come from a cache of rotated ones.
        mask: beside what the configuration hides: booleans [batch, keys], or such that broadcast to
            [batch, heads, queries, keys], true for what is seen; or floats of four dimensions, added to
            the scores.
        sinks: logits [heads] that enter the softmax, for models that have them.
        length: as for `apply_rotary`.

    Returns:
        Results in the layout of q, with the channels of v. A query that sees nothing gets zeros.

    Raises:
        TypeError, ValueError, rope_mlir.MLIRError: as for `apply_rotary`; also for layers whose
            attention the importer does not describe (keys that are compressed or chosen by weights).

    Source: softmax(scale q k^T) v as `rope.attention` specifies it.
    """
    name = "attention"
    _check_vectors(name, layout, q=q, k=k, v=v)
    of = _rotation(config, layer)
    if not of.attention:
        raise ValueError(f"{name} is not defined for layer {of.layer!r} of this configuration")
    heads, sequence = layout.index("h"), layout.index("s")
    queries, keys = q.shape[sequence], k.shape[sequence]
    if k.shape[3] != q.shape[3]:
        raise ValueError(f"{name} expected k of the channels of q, {q.shape[3]}, but got {k.shape[3]}")
    _check_channels(name, of, q=q)
    if v.shape[sequence] != keys or v.shape[heads] != k.shape[heads]:
        raise ValueError(
            f"{name} expected v of the heads and length of k, {list(k.shape)}, but got {list(v.shape)}"
        )
    if k.shape[heads] == 0 or q.shape[heads] % k.shape[heads]:
        raise ValueError(
            f"{name} expected heads of k that divide those of q, {q.shape[heads]}, but got {k.shape[heads]}"
        )
    if of.has_sinks != (sinks is not None):
        raise ValueError(f"{name} expected {'sinks' if of.has_sinks else 'no sinks'} for this layer")
    if sinks is not None and (sinks.dtype != q.dtype or list(sinks.shape) != [q.shape[heads]]):
        raise ValueError(
            f"{name} expected sinks [{q.shape[heads]}] of {q.dtype}, "
            f"but got {list(sinks.shape)} of {sinks.dtype}"
        )
    length_of_all = None
    if of.attends_by_position:
        if positions is None:
            raise ValueError(f"{name} expected positions, but got None")
        positions = shaped_positions(name, positions, of.axes, q.shape[0], queries, "positions")
        length_of_all = shaped_length(of.reads_length, length, positions)
    else:
        positions = None
    if rotated_keys or not of.tables:
        key_positions = None
    elif key_positions is not None:
        key_positions = shaped_positions(name, key_positions, of.axes, q.shape[0], keys, "key_positions")
    elif keys != queries:
        raise ValueError(
            f"{name} expected key_positions or rotated_keys for {keys} keys and {queries} queries"
        )
    if mask is not None:
        mask = shaped_mask(name, mask, q.shape[0], q.shape[heads], queries, keys, q.dtype)
    result = call(
        torch.ops.rope_mlir.attention.default,
        q,
        k,
        v,
        positions,
        key_positions,
        mask,
        sinks,
        length_of_all,
        of.attention_to_rotated if rotated_keys else of.attention,
        layout,
    )
    return result.transpose(1, 2) if layout == "bhsd" else result


def shaped_mask(
    function: str, mask: Tensor, batch: int, heads: int, queries: int, keys: int, dtype: torch.dtype
) -> Tensor:
    """A mask as the operator takes it: [b, k], [b, s, k] or [b, h, s, k]."""
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"{function} expected a mask of booleans or floats, but got {mask.dtype}")
    sizes, full = list(mask.shape), [batch, heads, queries, keys]
    if sizes == [batch, keys] and mask.dtype == torch.bool:
        return mask if mask.stride(-1) == 1 else mask.contiguous()
    if len(sizes) != 4 or any(size not in (1, whole) for size, whole in zip(sizes, full)):
        raise ValueError(f"{function} expected a mask [{batch}, {keys}] or one like {full}, but got {sizes}")
    if sizes[1] == 1:
        mask, full = mask.squeeze(1), [batch, queries, keys]
    if mask.is_floating_point() and (dtype == torch.float64) != (mask.dtype == torch.float64):
        mask = mask.to(dtype)
    mask = mask.detach().expand(*full)
    return mask if mask.stride(-1) == 1 else mask.contiguous()

"""Models of Hugging Face transformers whose attention uses the operators.

A module of a model is patched by a forward of its own: that of its class, but with
other functions behind some of the names that it looks up. Nothing outside the model
changes.

- The rotary embedding hands on positions in place of cosines and sines.
- `apply_rotary_pos_emb` rotates by them. Without gradients it rotates the keys alone,
  which enter the cache then, and hands on the queries with their positions.
- The attention function is `rope_mlir::attention`, which rotates queries as it loads
  them; where gradients, dropout, or weights are asked for, it is the model's own.
- Masks that say no more than causality, a window and padding are not made.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ._operators import call, shaped_mask, visible
from ._programs import (
    ELEMENT_TYPES,
    Attention,
    Rotation,
    import_config,
    tables_from_text,
    to_text,
)

# Their forward passes rotated queries to the attention function and to nothing else.
_FUSED = (
    "LlamaAttention",
    "Qwen2Attention",
    "Qwen3Attention",
    "Gemma2Attention",
    "Gemma3Attention",
    "MistralAttention",
    "Phi3Attention",
    "GPTNeoXAttention",
)
# Attention functions that `rope_mlir::attention` stands in for.
_REPLACED = ("sdpa", "eager")
_ATTRIBUTE = "_rope_mlir_patch"

_Function = Callable[..., Any]
# Queries that are to be rotated, their positions, the length in use.
_Query = tuple[Tensor, Tensor, Tensor | None]


@dataclasses.dataclass
class Patch:
    """What `patch` has changed in a model: names of modules, as in `model.named_modules()`."""

    rotations: list[str] = dataclasses.field(default_factory=list)
    """Attention modules whose queries and keys are rotated by `rope_mlir::apply_rotary`."""
    attention: list[str] = dataclasses.field(default_factory=list)
    """Those among them whose queries `rope_mlir::attention` rotates as it loads them."""
    modules: list[nn.Module] = dataclasses.field(default_factory=list, repr=False)
    """All modules that have a forward of their own."""

    def __str__(self) -> str:
        return (
            f"{len(self.rotations)} attention modules rotate by rope_mlir, "
            f"{len(self.attention)} of them as queries are loaded"
        )


def _rebind(function: types.FunctionType, names: dict[str, Any]) -> types.FunctionType:
    """The same function, and the same decorators around it, where `names` mean something else."""
    inner = getattr(function, "__wrapped__", None)
    if inner is None:
        scope = {**function.__globals__, **names}
        # A compiler that follows calls would look names up in the module of that name.
        del scope["__name__"]
        closure = function.__closure__
    else:
        scope, rebound = function.__globals__, _rebind(inner, names)
        cells = function.__closure__ or ()
        if not any(cell.cell_contents is inner for cell in cells):
            raise ValueError(f"patch cannot see through the decorators of {function.__qualname__}")
        closure = tuple(types.CellType(rebound) if cell.cell_contents is inner else cell for cell in cells)
    result = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, closure)
    functools.update_wrapper(result, function)
    result.__kwdefaults__ = function.__kwdefaults__
    del result.__wrapped__
    if inner is not None:
        result.__wrapped__ = rebound
    return result


def _names(module: nn.Module) -> tuple[str, ...]:
    """The names that the forward of a module's class looks up."""
    function = inspect.unwrap(type(module).forward)
    return function.__code__.co_names if isinstance(function, types.FunctionType) else ()


# ---- rotations ----


def _rotary_forward(rotary: nn.Module, kinds: dict[str, Rotation]) -> _Function:
    """The forward of a rotary embedding that hands on positions and the length in use."""
    original = type(rotary).forward
    # transformers keeps the frequencies of the longest sequence until a short one comes.
    limit = rotary.original_max_seq_len
    longest = {
        kind: torch.tensor(int(getattr(rotary, f"{kind}_max_seq_len_cached", rotary.max_seq_len_cached)))
        for kind in kinds
    }

    def forward(
        self: nn.Module, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if x.device.type != "cpu" or x.dtype not in ELEMENT_TYPES:
            return original(
                self, x, position_ids, **({} if layer_type is None else {"layer_type": layer_type})
            )
        kind = layer_type if layer_type in kinds else next(iter(kinds))
        positions = position_ids.to(torch.int64)
        if positions.shape[0] != x.shape[0]:
            positions = positions.expand(x.shape[0], -1)
        if not kinds[kind].reads_length:
            return positions, None
        length = positions.max() + 1
        rope_type = self.rope_type if layer_type is None else self.rope_type[layer_type]
        if "dynamic" in rope_type:
            known = longest[kind]
            known.copy_(torch.where(length < limit, limit, torch.maximum(known, length)))
            length = known.clone()
        return positions, length

    return forward


def _apply_function(of: Rotation, fuses: bool, original: _Function) -> _Function:
    """What stands for `apply_rotary_pos_emb`, called with what `_rotary_forward` returns."""
    rotate, text = torch.ops.rope_mlir.apply_rotary.default, of.tables

    def apply_rotary_pos_emb(
        q: Tensor, k: Tensor, cos: Tensor, sin: Tensor | None, unsqueeze_dim: int = 1
    ) -> tuple[Tensor | _Query, Tensor]:
        if cos.is_floating_point():
            return original(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim)
        layout = "bhsd" if unsqueeze_dim == 1 else "bshd"
        if fuses and not torch.is_grad_enabled():
            return (q, cos, sin), call(rotate, [k], cos, sin, text, layout, False)[0]
        q, k = call(rotate, [q, k], cos, sin, text, layout, False)
        return q, k

    return apply_rotary_pos_emb


# ---- attention ----


@functools.lru_cache(maxsize=256)
def _text(tables: str, scale: float, softcap: float | None, window: int | None, causal: bool) -> str:
    return to_text(
        Attention(
            tables=tables_from_text(tables) if tables else None,
            rotates_query=bool(tables),
            rotates_keys=False,
            scale=scale,
            causal=causal,
            window=window,
            softcap=softcap,
        )
    )


@torch.compiler.assume_constant_result
def _attention_text(
    tables: str, scale: float, softcap: float | None, window: int | None, causal: bool
) -> str:
    return _text(tables, scale, softcap, window, causal)


def _full_mask(
    mask: Tensor | None, implementation: str, query: Tensor, key: Tensor, window: int | None
) -> Tensor | None:
    """The mask that the model's own attention function takes for one that `_mask` has made."""
    queries, keys = query.shape[2], key.shape[2]
    if mask is None or mask.dim() == 2:
        if (
            mask is None
            and implementation == "sdpa"
            and queries in (1, keys)
            and (window is None or keys <= window)
        ):
            return None
        seen = visible(queries, keys, query.device, window=window)[None, None]
        mask = seen if mask is None else seen & mask[:, None, None]
    if implementation == "eager" and mask.dtype == torch.bool:
        zero = torch.zeros((), dtype=query.dtype, device=query.device)
        mask = torch.where(mask, zero, torch.finfo(query.dtype).min)
    return mask


class _Attention:
    """What stands for `ALL_ATTENTION_FUNCTIONS`."""

    def __init__(self, of: Rotation, original: Any):
        self.of, self.original = of, original

    def get_interface(self, implementation: str, default: _Function) -> _Function:
        function = self.original.get_interface(implementation, default)
        return functools.partial(self.attend, function, implementation)

    def attend(
        self,
        original: _Function,
        implementation: str,
        module: nn.Module,
        query: Tensor | _Query,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        rotates = isinstance(query, tuple)
        query, positions, length = query if rotates else (query, None, None)
        window = kwargs.get("sliding_window")
        is_own = (
            not torch.is_grad_enabled()
            and implementation in _REPLACED
            and dropout == 0.0
            and scaling is not None
            and getattr(module, "is_causal", False)
            and kwargs.get("is_causal") is not False
            and kwargs.get("position_bias") is None
            and kwargs.get("s_aux") is None
            and not kwargs.get("output_attentions")
            # Weights are had from "eager" alone.
            and not (implementation == "eager" and getattr(module.config, "output_attentions", False))
            and query.device.type == "cpu"
            and query.dtype in ELEMENT_TYPES
            and key.dtype == query.dtype == value.dtype
        )
        if is_own:
            mask, is_bare = attention_mask, attention_mask is None or attention_mask.dim() == 2
            if mask is not None:
                mask = shaped_mask(
                    "attention",
                    mask,
                    query.shape[0],
                    query.shape[1],
                    query.shape[2],
                    key.shape[2],
                    query.dtype,
                )
            text = _attention_text(
                self.of.tables if rotates else "",
                scaling,
                kwargs.get("softcap"),
                window if is_bare else None,
                is_bare,
            )
            operator = torch.ops.rope_mlir.attention.default
            return call(operator, query, key, value, positions, None, mask, None, length, text, "bhsd"), None
        if rotates:
            rotate = torch.ops.rope_mlir.apply_rotary.default
            query = call(rotate, [query], positions, length, self.of.tables, "bhsd", False)[0]
        if implementation in _REPLACED and not torch.is_grad_enabled():
            attention_mask = _full_mask(attention_mask, implementation, query, key, window)
        return original(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)


# ---- masks ----


def _mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    attention_mask: Tensor | None = None,
    allow_is_causal_skip: bool = True,
    allow_is_bidirectional_skip: bool = False,
    **kwargs: Any,
) -> Tensor | None:
    """None for causality and the layer's window alone, [batch, keys] for padding besides, or all of it."""
    from transformers.masking_utils import prepare_padding_mask, sdpa_mask

    is_aligned = not isinstance(q_offset, Tensor) and q_offset + q_length == kv_offset + kv_length
    if not allow_is_causal_skip or allow_is_bidirectional_skip or not is_aligned:
        return sdpa_mask(
            batch_size,
            q_length,
            kv_length,
            q_offset,
            kv_offset,
            attention_mask=attention_mask,
            allow_is_causal_skip=False,
            allow_is_bidirectional_skip=False,
            **kwargs,
        )
    if attention_mask is None:
        return None
    padding = prepare_padding_mask(attention_mask, kv_length, kv_offset)[:, kv_offset : kv_offset + kv_length]
    return None if not torch.compiler.is_compiling() and bool(padding.all()) else padding


def _mask_function(original: types.FunctionType) -> _Function:
    """What stands for a function of `transformers.masking_utils`."""
    own = _rebind(original, {"ALL_MASK_ATTENTION_FUNCTIONS": dict.fromkeys(_REPLACED, _mask)})

    def create(config: Any, *args: Any, **kwargs: Any) -> Tensor | None:
        is_own = not torch.is_grad_enabled() and config._attn_implementation in _REPLACED
        return (own if is_own else original)(config, *args, **kwargs)

    return create


# ---- models ----


def _check(
    name: str, rotary: nn.Module, attention: nn.Module, of: Rotation, forward: _Function, layer: str
) -> None:
    """Compares the rotation with that of the classes of the model, for its configuration."""
    fresh = type(rotary)(rotary.config)
    takes_layer = "layer_type" in inspect.signature(inspect.unwrap(type(rotary).forward)).parameters
    kwargs = {"layer_type": layer} if takes_layer else {}
    positions, x = torch.tensor([[0, 1, 7, 100]]), torch.zeros(1)
    with torch.no_grad():
        cos, sin = type(rotary).forward(fresh, x, positions, **kwargs)
        vectors = torch.linspace(-1, 1, cos.shape[-1]).expand(1, 1, 4, -1).contiguous()
        original = inspect.unwrap(type(attention).forward).__globals__["apply_rotary_pos_emb"]
        expected = original(vectors, vectors, cos, sin)[0]
        own = torch.ops.rope_mlir.apply_rotary(
            [vectors], *forward(fresh, x, positions, **kwargs), of.tables, "bhsd", False
        )
        error = (own[0] - expected).abs().max().item()
    if not error < 1e-4:
        raise ValueError(
            f"patch expected the rotations of {name} to be what its configuration says, "
            f"but they differ by {error:.1e}"
        )


def _check_version() -> None:
    import transformers
    from transformers.masking_utils import sdpa_mask

    if not {"q_length", "q_offset", "kv_offset"} <= set(inspect.signature(sdpa_mask).parameters):
        raise ValueError(
            f"patch expected a version of transformers that makes masks as 5.24 does, "
            f"but got {transformers.__version__}"
        )


def _layer(module: nn.Module, kinds: dict[str, Rotation]) -> str | None:
    """The kind of an attention module."""
    if len(kinds) == 1:
        return next(iter(kinds))
    layer = getattr(module, "layer_type", None)
    types_ = getattr(module.config, "layer_types", None)
    if layer is None and types_:
        layer = types_[module.layer_idx]
    return layer if layer in kinds else None


def patch(model: nn.Module) -> Patch:
    """Makes a model of Hugging Face transformers rotate and attend by the operators of this module.

    Covers Llama, Qwen2 and Qwen3, Gemma 2 and 3, Mistral, Phi and Phi-3, GPT-NeoX, and models whose
    attention is written alike. Rotations are replaced always and have gradients. Under
    `torch.no_grad()` (as in `generate`) attention is replaced as well where it is "sdpa" or "eager",
    without dropout, and its weights are not asked for; in all other cases it is what it was, as is
    the whole model on other devices. Works with all caches, padding, and `torch.compile`.

    The model alone changes: other models of its class, and its configuration, stay. Unpatch it
    before it is pickled; `state_dict` and `save_pretrained` are not affected.

    Args:
        model: the model, or a module that has it inside. Shapes, types and devices may change later.

    Returns:
        What was patched, by name.

    Raises:
        TypeError: `model` is not a module.
        ValueError: there is nothing to patch; it is patched already; a forward was replaced by
            somebody else; or the rotation of the model is not that of its configuration.
        rope_mlir.MLIRError: the importer refuses the configuration.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"patch expected a module of PyTorch, but got {type(model).__name__}")
    if any(_ATTRIBUTE in module.__dict__ for module in model.modules()):
        raise ValueError("patch expected a model that is not patched, but this one is: unpatch it first")
    done, forwards = Patch(), []
    for base_name, base in model.named_modules():
        rotary = getattr(base, "rotary_emb", None)
        if not isinstance(rotary, nn.Module) or "rotary_emb" not in _names(base):
            continue
        found = [
            (f"{base_name}.{name}".lstrip("."), module)
            for name, module in base.named_modules()
            if {"apply_rotary_pos_emb", "ALL_ATTENTION_FUNCTIONS", "get_interface"} <= set(_names(module))
        ]
        kinds = (
            {kind: of for kind, of in import_config(base.config).items() if of.tables and not of.axes}
            if found
            else {}
        )
        rotary_forward = _rotary_forward(rotary, kinds) if kinds else None
        layers = [_layer(module, kinds) for _, module in found]
        if not found or not kinds or None in layers:
            continue
        checked = set()
        for (name, module), layer in zip(found, layers):
            of, function = kinds[layer], type(module).forward
            if layer not in checked:
                _check(name, rotary, module, of, rotary_forward, layer)
                checked.add(layer)
            scope = inspect.unwrap(function).__globals__
            fuses = type(module).__name__ in _FUSED
            names = {
                "apply_rotary_pos_emb": _apply_function(of, fuses, scope["apply_rotary_pos_emb"]),
                "ALL_ATTENTION_FUNCTIONS": _Attention(of, scope["ALL_ATTENTION_FUNCTIONS"]),
            }
            forwards.append((name, module, _rebind(function, names)))
            done.rotations.append(name)
            if fuses:
                done.attention.append(name)
        forwards.append((f"{base_name}.rotary_emb".lstrip("."), rotary, rotary_forward))
        scope = inspect.unwrap(type(base).forward).__globals__
        masks = {
            name: _mask_function(scope[name])
            for name in ("create_causal_mask", "create_sliding_window_causal_mask")
            if name in _names(base)
        }
        forwards.append((base_name, base, _rebind(type(base).forward, masks)))
    if forwards:
        _check_version()
    else:
        raise ValueError(
            "patch expected a model of transformers with rotary embeddings that it knows "
            "(Llama, Qwen2, Qwen3, Gemma 2 and 3, Mistral, Phi, Phi-3, GPT-NeoX), "
            f"but found nothing to patch in {type(model).__name__}"
        )
    for name, module, _ in forwards:
        if "forward" in module.__dict__:
            raise ValueError(f"patch expected the forward of its class in {name!r}, but it was replaced")
    for _, module, function in forwards:
        module.forward = types.MethodType(function, module)
        done.modules.append(module)
    model.__dict__[_ATTRIBUTE] = done
    return done


def unpatch(model: nn.Module) -> None:
    """Takes back what `patch` did: the model computes, bit for bit, what it did before.

    Args:
        model: the module that was patched.

    Raises:
        ValueError: it is not patched.
    """
    done = model.__dict__.pop(_ATTRIBUTE, None) if isinstance(model, nn.Module) else None
    if done is None:
        raise ValueError("unpatch expected a model that patch has changed")
    for module in done.modules:
        del module.forward

# What the attention of a model computes, from its config.json.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The rules are those of the published classes, written from their formulas for
the models in test/configs; rotations are those of test/oracle/models.json.
Nothing here looks at what the compiler makes of a configuration."""

import math
from dataclasses import dataclass

import numpy as np

from rope_testing import formulas, reference


@dataclass
class Attention:
    """The attention of one kind of layer."""

    suffix: str
    heads: int
    key_heads: int
    head_dim: int
    value_dim: int
    scale: float
    cap: float = None
    causal: bool = True
    window: int = None  # keys j with p - j < window
    radius: int = None  # keys j with |p - j| <= radius
    chunk: int = None
    sinks: bool = False
    temperature: tuple = None  # weight, shift, period
    values_turn: bool = False
    rotation: dict = None  # as in models.json; None: none

    @property
    def axes(self):
        return self.rotation["position"]["axes"] if self.rotation else 1

    def length_switch(self):
        """The length beyond which the tables are others, if there is one."""
        if self.rotation and self.rotation["scaling"]["type"] == "longrope":
            return self.rotation["scaling"]["original_max_position_embeddings"]
        return None

    def tables(self, positions, length):
        """Cosines and sines with the magnitude; positions [axes, B, S]."""
        w, magnitude = formulas.model(self.rotation, length or 0)
        axes = formulas.axes(self.rotation) or [0] * len(w)
        # f64 is wide enough below 2^20.
        angles = positions[axes].astype("f8") * np.array([float(x) for x in w])[:, None, None]
        angles = np.moveaxis(angles, 0, -1)
        return np.cos(angles) * float(magnitude), np.sin(angles) * float(magnitude)

    def rotate(self, x, cos, sin, inverse=False):
        trailing = self.rotation["rope_placement"] == "trailing"
        offset = self.rotation["head_dim"] - self.rotation["rotary_dim"] if trailing else 0
        pairing = "interleaved" if self.rotation["layout"] == "gptj" else "half"
        return reference.rotate(x, cos, sin, (0, 1), pairing, offset, transpose=inverse)[0]

    def visible(self, size):
        """Which keys (columns) each query (row) sees."""
        i, j = np.arange(size)[:, None], np.arange(size)[None, :]
        seen = np.ones((size, size), bool)
        if self.causal:
            seen &= j <= i
        if self.window is not None:
            seen &= i - j < self.window
        if self.radius is not None:
            seen &= abs(i - j) <= self.radius
        if self.chunk is not None:
            seen &= i // self.chunk == j // self.chunk
        return seen

    def __call__(self, q, k, v, positions, sinks=None, length=None):
        """The result in f64. q [B,S,heads,head_dim], k [B,S,key_heads,head_dim],
        v [B,S,key_heads,value_dim], positions [axes,B,S]."""
        q, k, v = (np.asarray(x).astype("f8") for x in (q, k, v))
        if self.rotation:
            cos, sin = self.tables(positions, length)
            q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)
            if self.values_turn:
                v = self.rotate(v, cos, sin)
        batch, size = q.shape[:2]
        seen = self.visible(size)
        group = self.heads // self.key_heads
        result = np.zeros((batch, size, self.heads, self.value_dim))
        for b in range(batch):
            for h in range(self.heads):
                scores = self.scale * (q[b, :, h] @ k[b, :, h // group].T)
                if self.temperature:
                    weight, shift, period = self.temperature
                    whole = np.floor((positions[0, b] + shift) / period)
                    scores = scores * (1 + weight * np.log1p(whole))[:, None]
                if self.cap:
                    scores = self.cap * np.tanh(scores / self.cap)
                scores = np.where(seen, scores, -np.inf)
                top = scores.max(-1, keepdims=True)
                extra = 0.0
                if self.sinks:
                    sink = float(sinks[h])
                    top = np.maximum(top, sink)
                    extra = np.exp(sink - top)
                weights = np.exp(scores - top)
                weights = weights / (weights.sum(-1, keepdims=True) + extra)
                result[b, :, h] = weights @ v[b, :, h // group]
        if self.values_turn:
            result = self.rotate(result, cos, sin, inverse=True)
        return result


def _heads(text):
    """Query heads, key heads, channels."""
    heads = text.get("num_attention_heads", text.get("n_head"))
    key_heads = text.get("num_key_value_heads") or heads
    if text.get("multi_query"):
        key_heads = 1
    if text.get("multi_query_attention"):
        key_heads = text["multi_query_group_num"]
    dim = text.get("head_dim") or text.get("kv_channels")
    if not dim:
        dim = text.get("hidden_size", text.get("n_embd")) // heads
    return heads, key_heads, dim


# What the classes fill in where a file leaves it out.
_DEFAULTS = {
    "gemma3_text": {
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "query_pre_attn_scalar": 256,
    },
}  # fmt: skip


def attentions(config, row_rotations):
    """The attention of each kind of layer of the configuration `config`, a
    parsed config.json. `row_rotations` maps suffixes to rotations as in
    models.json, as far as they are known."""
    text = config.get("text_config", config)
    kind = text["model_type"]
    text = {**_DEFAULTS.get(kind, {}), **text}
    heads, key_heads, dim = _heads(text)

    def make(suffix, **changes):
        fields = {
            "heads": heads, "key_heads": key_heads, "head_dim": dim, "value_dim": dim,
            "scale": 1 / math.sqrt(dim), "rotation": row_rotations.get(suffix),
        }  # fmt: skip
        return Attention(suffix, **{**fields, **changes})

    if kind == "gemma2":
        common = {
            "scale": text["query_pre_attn_scalar"] ** -0.5,
            "cap": text["attn_logit_softcapping"],
        }
        return [
            make("_full_attention", **common),
            make("_sliding_attention", window=text["sliding_window"], **common),
        ]
    if kind == "gemma3_text":
        scale = text["query_pre_attn_scalar"] ** -0.5
        return [
            make("_full_attention", scale=scale),
            make("_sliding_attention", scale=scale, window=text["sliding_window"]),
        ]
    if kind == "gemma4_text":
        # Queries and keys are normalized instead; full layers have wider heads.
        layers = text.get("per_layer_config")
        wide = text["global_head_dim"] if not layers else layers["04"]["head_dim"]
        return [
            make("_full_attention", scale=1.0, head_dim=wide, value_dim=wide),
            make("_sliding_attention", scale=1.0, window=text["sliding_window"]),
        ]
    if kind == "gpt_oss":
        return [
            make("_full_attention", sinks=True),
            make("_sliding_attention", sinks=True, window=text["sliding_window"]),
        ]
    if kind == "olmo3":
        return [
            make("_full_attention"),
            make("_sliding_attention", window=text["sliding_window"]),
        ]
    if kind == "modernbert":
        # An encoder: half of the window is on either side.
        return [
            make("_full_attention", causal=False),
            make("_sliding_attention", causal=False, radius=text["local_attention"] // 2),
        ]
    if kind == "llama4_text":
        tuning = (text["attn_scale"], 1, text["floor_scale"])
        return [
            make("_chunked_attention", chunk=text["attention_chunk_size"]),
            make("_full_attention", rotation=None, temperature=tuning),
        ]
    if kind in ("deepseek_v3", "kimi_k2", "longcat_flash", "minicpm3"):
        dim = text["qk_nope_head_dim"] + text["qk_rope_head_dim"]
        scale = 1 / math.sqrt(dim)
        rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
        if rope.get("mscale_all_dim"):
            scale *= (0.1 * rope["mscale_all_dim"] * math.log(rope["factor"]) + 1) ** 2
        value = text.get("v_head_dim") or text["hidden_size"] // heads
        return [make("", key_heads=heads, head_dim=dim, value_dim=value, scale=scale)]
    if kind == "deepseek_v4":
        # The layers that look at compressed keys are another operation.
        return [make("_main", sinks=True, window=text["sliding_window"], values_turn=True)]
    if kind in ("mistral", "mixtral", "phi3"):
        return [make("", window=text["sliding_window"])]
    if text.get("use_sliding_window") or "sliding_window" in text and "max_window_layers" not in text:
        raise ValueError(f"{kind}: no rule for its window")
    return [make("")]

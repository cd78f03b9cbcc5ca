"""Modules from the configurations of published models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from ._core import _import_hf_config
from .ir import Module


def import_hf_config(
    config: str | os.PathLike[str] | Mapping[str, Any], *, dtype: Literal["f32", "bf16", "f16"] | None = None
) -> Module:
    """Imports the configuration of a model on the Hugging Face hub.

    Args:
        config: a `config.json`, the folder that holds it, or what it says as a dictionary.
        dtype: element type of queries, keys and values; that of the configuration where None.

    Returns:
        A module with functions of any batch size B and length S, for h heads (of queries; keys may have
        fewer) of d channels, n frequencies, and int64 positions:

        - `rope_table(positions [S]) -> (cos [S, n], sin [S, n])`, in float32
        - `rope_apply(x [B, S, h, d], positions [B, S]) -> [B, S, h, d]`
        - `attention(q [B, S, h, d], k, v, positions [B, S]) -> [B, S, h, d]`

        Models with several kinds of layers have one set for each, with the kind in the names. Those whose
        frequencies depend on the length take it as a last argument, an int64 scalar.

    Raises:
        MLIRError: a key that is missing or has a value that is not known; the text names it.
        OSError: the file cannot be read.
        TypeError: the dictionary holds what JSON has no form for.
    """
    if isinstance(config, Mapping):
        import json

        text, name = json.dumps(dict(config)), "config.json"
    else:
        name = os.fsdecode(config)
        if os.path.isdir(name):
            name = os.path.join(name, "config.json")
        with open(name, encoding="utf-8") as file:
            text = file.read()
    return _import_hf_config(text, name, dtype or "")

# What a layer of a model asks of a GPU, as functions of their own.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rotations of queries and keys, and writes into caches, in the shapes of
Llama 3.1 8B. Each function is one launch where the compiler makes one of it."""

import dataclasses

import numpy as np

from rope_testing import reference
from rope_testing.attentions import Attention

HEADS, KEY_HEADS, CHANNELS = 32, 8, 128
PAIRS = CHANNELS // 2
BASE = 500000.0


def frequencies():
    return BASE ** (-np.arange(PAIRS) / PAIRS)


@dataclasses.dataclass(frozen=True)
class Rotation:
    """Queries [n, 32, 128] and keys [n, 8, 128] rotated, and keys and values
    put into caches from row `start` on where `append` says so."""

    name: str
    element: str = "bf16"
    pairing: str = "half"
    in_place: bool = False  # results in %q and %k
    table: bool = False  # cosines and sines are arguments, else positions are
    rotate_query: bool = True
    rotate_key: bool = True
    append: bool = False

    def arguments(self):
        """Names and types as in the function's signature, results included."""
        q, k = (f"?x{heads}x{CHANNELS}x{self.element}" for heads in (HEADS, KEY_HEADS))
        own = "memref" if self.in_place else "tensor"
        found = {}
        if self.rotate_query:
            found["q"] = f"{own}<{q}>"
        # A key that goes into the cache is only read.
        found["k"] = f"{'tensor' if self.append else own}<{k}>"
        if self.append:
            found["v"] = f"tensor<{k}>"
        if self.table:
            found |= {"cos": f"tensor<?x{PAIRS}xf32>", "sin": f"tensor<?x{PAIRS}xf32>"}
        elif self.rotate_query or self.rotate_key:
            found["positions"] = "tensor<?xi64>"
        if self.append:
            found |= {"k_cache": f"memref<{k}>", "v_cache": f"memref<{k}>", "start": "index"}
        return found

    def text(self):
        q, k = (f"tensor<?x{heads}x{CHANNELS}x{self.element}>" for heads in (HEADS, KEY_HEADS))
        table = f"tensor<?x{PAIRS}xf32>"
        arguments = self.arguments()
        lines = ["%c0 = arith.constant 0 : index"]
        for name, type in arguments.items():
            if type.startswith("memref"):
                lines.append(
                    f"%{name} = bufferization.to_tensor %{name}_m restrict writable : "
                    f"{type} to {type.replace('memref', 'tensor')}"
                )
        lines.append(f"%n = tensor.dim %k, %c0 : {k}")
        if "positions" in arguments:
            w = f"tensor<{PAIRS}xf64>"
            lines += [
                f"%f = rope.frequencies base({BASE:.6e}) : {w}",
                f"%te = tensor.empty(%n) : {table}",
                f"%cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, {w}) "
                f"outs(%te, %te : {table}, {table})",
            ]
        results = []

        def apply(name, type, in_place):
            into = f"%{name}"
            if not in_place:
                into = f"%{name}_e"
                lines.append(f"{into} = tensor.empty(%n) : {type}")
            lines.append(
                f"%{name}_y = rope.apply ins(%{name}, %cos, %sin : {type}, {table}, {table}) "
                f"outs({into} : {type}) "
                f"{{pairing = #rope.pairing<{self.pairing}>, position_dims = array<i64: 0>}}"
            )

        def write(name, type, value):
            lines.append(
                f"bufferization.materialize_in_destination {value} in restrict writable "
                f"%{name}_m : ({type}, {arguments[name]}) -> ()"
            )

        if self.rotate_query:
            apply("q", q, self.in_place)
            if self.in_place:
                write("q", q, "%q_y")
            else:
                results.append(("%q_y", q))
        key = "%k"
        if self.rotate_key:
            apply("k", k, self.in_place and not self.append)
            key = "%k_y"
        if self.append:
            for cache, value in (("k_cache", key), ("v_cache", "%v")):
                lines.append(
                    f"%{cache}_u = tensor.insert_slice {value} into %{cache}[%start, 0, 0] "
                    f"[%n, {KEY_HEADS}, {CHANNELS}] [1, 1, 1] : {k} into {k}"
                )
                write(cache, k, f"%{cache}_u")
        elif self.in_place:
            write("k", k, "%k_y")
        else:
            results.append(("%k_y", k))
        signature = ", ".join(
            f"%{name}{'_m' if type.startswith('memref') else ''}: {type}"
            for name, type in arguments.items()
        )
        types = ", ".join(type for _, type in results)
        values = ", ".join(value for value, _ in results)
        body = "\n  ".join([*lines, f"return {values} : {types}" if results else "return"])
        arrow = f" -> ({types})" if results else ""
        return f"func.func @{self.name}({signature}){arrow} {{\n  {body}\n}}\n"

    ir = text

    def check(self, module, report, rng, tokens=37, far=1 << 31):
        """One call against float64."""
        dtype = reference.NUMPY[self.element]
        arguments = self.arguments()
        positions = rng.integers(-far, far, tokens)
        cos, sin = reference.cos_sin(positions, frequencies())
        if self.table:
            cos, sin = cos.astype("f4"), sin.astype("f4")
        room, start = tokens + 9, 5
        given = {"positions": positions, "cos": cos, "sin": sin, "start": start}
        for name, heads in (("q", HEADS), ("k", KEY_HEADS), ("v", KEY_HEADS)):
            given[name] = rng.standard_normal((tokens, heads, CHANNELS)).astype(dtype)
        for name in ("k_cache", "v_cache"):
            given[name] = rng.standard_normal((room, KEY_HEADS, CHANNELS)).astype(dtype)
        placed = {name: np.array(given[name]) for name in arguments}
        placed["start"] = start
        results = []
        if not self.in_place:
            results = [("q", HEADS)] * self.rotate_query + [("k", KEY_HEADS)] * (not self.append)
        results = {name: np.full((tokens, heads, CHANNELS), 7).astype(dtype) for name, heads in results}
        module.call(self.name, *(placed[name] for name in arguments), *results.values())
        where = f"{self.name}, {tokens} tokens"
        if self.append:
            rows = slice(start, start + tokens)
            for name in ("k_cache", "v_cache"):
                rest, before = np.array(placed[name]), np.array(given[name])
                if name == "k_cache" and self.rotate_key:
                    results["k"] = rest[rows].copy()
                else:
                    report.same_bits(f"{name}, {where}", rest[rows], given[name[0]])
                rest[rows] = before[rows]
                report.same_bits(f"rest of {name}, {where}", rest, before)
        elif self.in_place:
            results["k"] = placed["k"]
        if self.in_place and self.rotate_query:
            results["q"] = placed["q"]
        for name, got in results.items():
            expected, size, _ = reference.rotate(given[name], cos, sin, (0,), self.pairing)
            bound = size * (2.0**-22 + (0 if self.table else 3e-7))
            if self.element in ("f16", "bf16"):
                bound = bound + reference.half_ulp(expected, dtype)
            report.close(f"fused {self.element}", f"{name} of {where}", got, expected, bound)
        # What is only read stays.
        for name in arguments:
            if isinstance(placed[name], np.ndarray) and placed[name] is not results.get(name):
                if not name.endswith("cache"):
                    report.same_bits(f"{name} of {where}", placed[name], given[name])


def rotations():
    """By name."""
    every = []
    for pairing in ("half", "interleaved"):
        for element in ("bf16", "f16", "f32"):
            for in_place in (False, True):
                for table in (False, True):
                    words = ["rotate", pairing, element, *["in_place"] * in_place, *["table"] * table]
                    every.append(Rotation("_".join(words), element, pairing, in_place, table))
    every += [
        Rotation("rotate_append", in_place=True, append=True),
        Rotation("rotate_append_table", in_place=True, append=True, table=True),
        Rotation("rotate_keys", rotate_query=False),
        Rotation("key_append", rotate_query=False, append=True),
        Rotation("copy_append", rotate_query=False, rotate_key=False, append=True),
    ]
    return {case.name: case for case in every}


def attentions():
    """Of bf16, 32 heads that share 8 keys, by name."""
    shape = {"type": "bf16", "heads": HEADS, "group": HEADS // KEY_HEADS,
             "channels": CHANNELS, "value_channels": CHANNELS, "scale": CHANNELS**-0.5,
             "base": BASE}  # fmt: skip
    every = [
        Attention("prefill", causal=True, **shape),
        Attention("prefill_rotated", causal=True, rotate="qk angles", **shape),
        Attention("decode", **shape),
        Attention("decode_rotated", rotate="qk angles", **shape),
        Attention("decode_query_rotated", rotate="q angles", **shape),
    ]
    return {case.name: case for case in every}

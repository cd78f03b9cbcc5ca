# rope.attention on the matrix units of CUDA, in the interpreter of PTX.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import sys

import numpy as np
from rope_testing import gpu
from rope_testing.attentions import Attention, loaded, stored
from rope_testing.compare import Report
from rope_testing.memory import in_child

TALL_ROWS = 128
PROCESSORS = 108


def attention(name, channels=16, value_channels=0, **options):
    options = {"type": "bf16", "heads": 2, **options}
    return Attention(name, channels=channels, value_channels=value_channels or channels, **options)


# Attentions and their batches, queries and keys.
CASES = [
    # Tiles cut off, of each shape.
    (attention("narrow"), [(2, 1, 1), (1, 17, 64), (1, 65, 130), (0, 3, 3), (1, 0, 4), (1, 5, 0)]),
    (attention("causal", 64, causal=True), [(1, 64, 64), (1, 65, 65), (1, 130, 130), (1, 1, 65), (1, 70, 9)]),
    (attention("grouped", 128, causal=True, heads=4, group=2), [(1, 65, 130), (2, 17, 17)]),
    (attention("latent", 192, 128, causal=True), [(1, 65, 130)]),
    (attention("wide", 256, causal=True), [(1, 65, 130)]),
    (attention("uneven", 48, 80), [(1, 65, 130)]),
    (attention("wide_keys", 256, 144), [(1, 17, 40)]),
    # 32 rows of each warp.
    (attention("tall", heads=27, causal=True), [(4, 65, 65), (2, 130, 130)]),
    (attention("tall_sinks", 64, heads=54, group=2, sinks=True, log_sum_exp=True, lengths=True, rotate="q"),
     [(2, 70, 70)]),
    # Types, layouts, heads.
    (attention("half", 64, type="f16", causal=True, offset="number", rotate="q"), [(1, 17, 130)]),
    (attention("heads_first", 32, query="bhid", key="bhjd", value="bhje", result="bhie", heads=4, group=2,
               causal=True, rotate="qk"), [(1, 17, 65), (1, 65, 17)]),
    (attention("one_key_head", group=0, key="bjd", value="bje", causal=True, rotate="q"), [(2, 17, 65)]),
    (attention("no_batch", query="ihd", key="jhd", value="jhe", result="ihe"), [(1, 17, 65)]),
    (attention("transposed_result", result="ebih"), [(1, 17, 65)]),
    # Visible keys.
    (attention("offsets", causal=True, offset="batch"), [(2, 65, 130), (2, 65, 40)]),
    (attention("window", causal=True, window=40, offset="batch"), [(2, 65, 200)]),
    (attention("window_of_one", causal=True, window=1), [(1, 65, 65)]),
    (attention("chunk", chunk=50, offset="number", lengths=True), [(2, 65, 130)]),
    (attention("lengths", lengths=True, causal=True, log_sum_exp=True), [(3, 65, 130)]),
    # Scores.
    (attention("sinks", sinks=True, causal=True, log_sum_exp=True), [(1, 65, 65), (1, 3, 65)]),
    (attention("cap", cap=5.0, causal=True, rotate="qk"), [(1, 17, 65)]),
    (attention("bias", masks=("bhij:f32",)), [(1, 17, 65)]),
    (attention("bias_bf16", masks=("11ij:bf16",), causal=True), [(1, 17, 65)]),
    (attention("masks", masks=("ij:i1", "h1j:f32", "hi:f32", ":f32")), [(1, 17, 65)]),
    (attention("negative", scale=-0.2, log_sum_exp=True), [(1, 17, 65)]),
    (attention("vanishing", scale=1.5e-50), [(1, 17, 65)]),
    # Rotations: in workgroup memory, and channel by channel.
    (attention("table", 64, rotate="qk"), [(1, 17, 65)]),
    (attention("few_pairs", 16, 48, rotate="qk"), [(1, 17, 65)]),
    (attention("angles", 64, rotate="qk angles", causal=True), [(1, 17, 65)]),
]  # fmt: skip


def one(case, array, dims, loop, at, bits):
    """Puts a number at a channel of a query, key or value."""
    index = [slice(None)] * array.ndim
    index[dims.index(loop)] = at
    index[-1] = 1
    array.view(np.uint16)[tuple(index)] = bits


def not_a_number(case, q, k, v, masks):
    for array, dims, loop, at in ((q, case.query, "i", 3), (k, case.key, "j", 80), (v, case.value, "j", 30)):
        one(case, array, dims, loop, at, 0x7FC0 if case.type == "bf16" else 0x7E00)


def infinities(case, q, k, v, masks):
    """Both signs, which meet in some queries."""
    infinity = 0x7F80 if case.type == "bf16" else 0x7C00
    one(case, v, case.value, "j", 30, infinity)
    one(case, v, case.value, "j", 50, infinity | 0x8000)
    one(case, v, case.value, "j", 90, infinity)


SPOILT = [
    attention("all_visible"),
    attention("spoilt", heads=4, group=2, causal=True, log_sum_exp=True),
    attention("spoilt_half", type="f16", causal=True, value_channels=48),
    attention("spoilt_window", causal=True, window=10, rotate="q"),
    attention("spoilt_tall", heads=54, causal=True),
]
ROTATIONS = {
    "interleaved": (64, 64, "<pairing = interleaved, position_dims = [1]>", 32),
    "partial": (64, 64, "<pairing = interleaved, position_dims = [1], offset = 16>", 8),
    "apart": (64, 64, "<pairing = half, position_dims = [1], offset = 8, pair_stride = 32>", 16),
    "odd": (32, 32, "<pairing = half, position_dims = [1], offset = 3>", 9),
    "regrouped": (32, 32, "<pairing = interleaved, position_dims = [1], result_pairing = half>", 16),
    "backwards": (32, 32, "<pairing = half, position_dims = [1], transpose = true>", 16),
}


def rotation_text(name):
    """Queries and keys rotated by tables, in any pairing."""
    channels, _, rotation, pairs = ROTATIONS[name]
    maps = ", ".join(f"affine_map<(b, h, i, j, d, e) -> ({m})>" for m in ("h, i, d", "h, j, d", "h, j, e", "h, i, e"))
    x, table = f"tensor<2x?x{channels}xbf16>", f"tensor<?x{pairs}xf32>"
    return f"""
func.func @{name}(%q: {x}, %k: {x}, %v: {x}, %cq: {table}, %sq: {table}, %ck: {table}, %sk: {table}) -> {x} {{
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c1 : {x}
  %init = tensor.empty(%n) : {x}
  %r = rope.attention {{scale = 0.2 : f64, indexing_maps = [{maps}]}}
    ins(%q, %k, %v : {x}, {x}, {x})
    rotate_query(%cq, %sq : {table}, {table}) by {rotation}
    rotate_key(%ck, %sk : {table}, {table}) by {rotation}
    outs(%init : {x})
  return %r : {x}
}}
"""


def rotated(x, cos, sin, name):
    rotation = ROTATIONS[name][2]
    pairs = cos.shape[1]
    offset = int(rotation.split("offset = ")[1].rstrip(">").split(",")[0]) if "offset" in rotation else 0
    stride = int(rotation.split("pair_stride = ")[1].rstrip(">")) if "pair_stride" in rotation else pairs
    half = offset + np.arange(pairs), offset + stride + np.arange(pairs)
    interleaved = offset + 2 * np.arange(pairs), offset + 2 * np.arange(pairs) + 1
    read = half if "pairing = half, pos" in rotation else interleaved
    written = half if "result_pairing = half" in rotation else read
    if "transpose" in rotation:
        sin = -sin
    result = x.copy()
    u, v = x[..., read[0]], x[..., read[1]]
    result[..., written[0]] = u * cos - v * sin
    result[..., written[1]] = u * sin + v * cos
    return result


def check_rotation(module, name, queries, keys, rng, report):
    channels, _, _, pairs = ROTATIONS[name]
    q, k, v = (stored(rng.standard_normal((2, n, channels)), "bf16") for n in (queries, keys, keys))
    tables, wide = [], []
    for x, n in ((q, queries), (k, keys)):
        angle = rng.uniform(-3, 3, (n, pairs))
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        tables += [cos, sin]
        wide.append(rotated(loaded(x, "bf16"), cos.astype(float), sin.astype(float), name))
    scores = wide[0] @ wide[1].transpose(0, 2, 1) * 0.2
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ loaded(v, "bf16")
    result = np.zeros_like(q)
    module.call(name, q, k, v, *tables, result)
    report.close("rotations", f"{name} {queries} {keys}", loaded(result, "bf16"), expected, 1e-2 * np.abs(expected).max())


def check_unaligned(module, report, rng):
    """Rows that are not aligned go another way."""
    memory = [stored(rng.standard_normal((2, n, 2, 20)), "bf16") for n in (9, 30, 30)]
    q, k, v = (x[..., 1:17] for x in memory)
    result = np.zeros((2, 9, 2, 16), np.uint16)
    module.call("narrow", q, k, v, result)
    names = [launch.kernel for launch in module.launches]
    report.true("unaligned", names and not any("mma" in name for name in names), f"{names}")
    wide = [loaded(x, "bf16").transpose(0, 2, 1, 3) for x in (q, k, v)]
    scores = wide[0] @ wide[1].swapaxes(-1, -2) * CASES[0][0].scale
    weights = np.exp(scores)
    expected = (weights / weights.sum(-1, keepdims=True) @ wide[2]).transpose(0, 2, 1, 3)
    report.close("unaligned", "unaligned", loaded(result, "bf16"), expected, 1e-2 * np.abs(expected).max())


def used_matrix_units(module, report, name):
    names = [x.kernel for x in module.launches if "_attention" in x.kernel]
    report.true(name, names and all("mma" in name for name in names), f"{names}")


def main():
    rng = np.random.default_rng(6)
    report = Report()
    only = sys.argv[1:]
    cases = [(case, sizes) for case, sizes in CASES if not only or case.name in only]
    for start in range(0, len(cases), 6):
        part = cases[start:start + 6]
        module = gpu.load("".join(case.text() for case, _ in part), "cuda", chip="sm_80")
        for case, sizes in part:
            for batches, queries, keys in sizes:
                case.run(module, report, batches, queries, keys, rng)
                if batches and queries:
                    used_matrix_units(module, report, case.name)
                blocks = batches * case.heads * -(-queries // TALL_ROWS)
                if case.name.startswith("tall"):
                    grid = [x.grid[0] for x in module.launches if "_attention" in x.kernel]
                    report.true(case.name, blocks >= PROCESSORS and grid == [blocks], f"blocks: {grid}")
        if not only and start == 0:
            check_unaligned(module, report, rng)
    spoilt = [case for case in SPOILT if not only or case.name in only]
    if spoilt:
        module = gpu.load("".join(case.text() for case in spoilt), "cuda", chip="sm_80")
        for case in spoilt:
            for spoil in (not_a_number, infinities):
                case.run(module, report, 2 if "tall" in case.name else 1, 100, 100, rng, spoil)
                used_matrix_units(module, report, case.name)
    names = [name for name in ROTATIONS if not only or name in only]
    if names:
        module = gpu.load("".join(rotation_text(name) for name in names), "cuda", chip="sm_80")
        for name in names:
            # Keys are rotated as they are loaded, and before.
            for queries, keys in ((9, 70), (70, 30)):
                check_rotation(module, name, queries, keys, rng, report)
    report.finish()


if __name__ == "__main__":
    in_child(main)

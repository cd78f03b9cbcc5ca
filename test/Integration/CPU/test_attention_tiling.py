# Tiles of rope.attention and rope.online_attention compute what the whole does.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import numpy as np
from rope_testing.attentions import Attention
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module, run

# By the loops b, h, i.
TILED = [
    (Attention("queries", causal=True, group=2, rotate="qk"), [0, 0, 16]),
    (Attention("batches", causal=True, lengths=True, offset="batch", group=2), [1, 0, 0]),
    (Attention("all_loops", type="bf16", causal=True, group=2, rotate="qk angles"), [1, 2, 5]),
    (Attention("whole_groups", heads=8, group=2, value_group=4, causal=True), [0, 4, 0]),
    (Attention("within_group", heads=8, group=4, causal=True, rotate="qk", query="bhid", key="bhjd", value="bhje",
               result="bhie"), [0, 2, 16]),
    (Attention("one_head", heads=6, group=3, causal=True, sinks=True, log_sum_exp=True), [1, 1, 7]),
    (Attention("mixed_groups", heads=8, group=4, value_group=2, sinks=True), [0, 2, 0]),
    (Attention("number", causal=True, offset="number", window=9), [0, 0, 4]),
    (Attention("numbers", causal=True, offset="batch", window=40, lengths=True), [2, 0, 16]),
    (Attention("chunk", chunk=16, offset="batch"), [0, 0, 7]),
    (Attention("sums", causal=True, log_sum_exp=True, result="hibe", cap=5.0), [1, 3, 8]),
    (Attention("masks", masks=("b1ij:i1", "h1j:f32", ":f32"), group=2, causal=True), [1, 2, 16]),
    (Attention("transposed", query="hibd", key="hbdj", value="bhej", result="ebih", group=2, causal=True), [1, 4, 16]),
    (Attention("no_batch", query="ihd", key="jhd", value="jhe", result="ihe", group=4, causal=True), [1, 4, 16]),
    (Attention("static", lengths_known=(("b", 2), ("i", 65), ("j", 64)), causal=True, group=2, rotate="q"), [1, 2, 16]),
]
# By the loops of what consumes the result, the dimensions of the result.
FUSED = [
    (Attention("fused", causal=True, group=2, rotate="qk", offset="batch"), [1, 16]),
    (Attention("fused_heads", causal=True, group=2, query="bhid", key="bhjd", value="bhje", result="bhie"), [1, 2, 7]),
    (Attention("fused_last", causal=True, result="hieb", masks=("bj:f32",)), [2, 16]),
]
# By the loops b, h, i, j.
ONLINE = [
    (Attention("online", causal=True, group=2, rotate="qk"), [1, 2, 16, 32]),
    (Attention("online_keys", type="f64", masks=("b1ij:i1",), group=2), [0, 0, 0, 5]),
    (Attention("online_offset", causal=True, window=20, offset="batch", lengths=True, sinks=True),
     [1, 1, 7, 16]),
    (Attention("online_group", type="bf16", heads=8, group=4, value_group=2, cap=5.0), [0, 2, 0, 33]),
]
SIZES = [(1, 1, 1), (2, 5, 7), (2, 65, 70), (0, 3, 3), (2, 0, 4), (2, 3, 0), (1, 70, 9)]


class Consumed(Attention):
    """Attention whose result is copied."""

    def text(self):
        text = super().text()
        type = text[text.rindex(":") + 1:].split("\n")[0]
        copy = f"%copy = linalg.copy ins(%r :{type}) outs(%init0 :{type}) ->{type}\n  return %copy"
        return text.replace("return %r", copy)


def schedule(case, number, operation, steps):
    """What happens to the one function of `case`."""
    return f"""
    %func{number} = transform.structured.match ops{{["func.func"]}} attributes {{sym_name = "{case.name}"}} in %root
      : (!transform.any_op) -> !transform.any_op
    %op{number} = transform.structured.match ops{{["{operation}"]}} in %func{number} : (!transform.any_op) -> !transform.any_op
    {steps}"""


def loops(tiles):
    count = sum(tile != 0 for tile in tiles)
    return count, ", ".join(["!transform.any_op"] * (count + 1))


def tile(case, number, tiles, operation="rope.attention"):
    count, types = loops(tiles)
    return schedule(case, number, operation, f"""
    %tiled{number}, %loops{number}:{count} = transform.structured.tile_using_for %op{number} tile_sizes {tiles}
      : (!transform.any_op) -> ({types})""")


def fuse(case, number, tiles):
    count, types = loops(tiles)
    return schedule(case, number, "linalg.copy", f"""
    %tiled{number}, %loops{number}:{count} = transform.structured.fuse %op{number} tile_sizes {tiles}
      : (!transform.any_op) -> ({types})""")


def tile_online(case, number, tiles):
    whole = schedule(case, f"{number}w", "rope.attention", f"""
    %parts{number} = transform.structured.decompose_interface %op{number}w
      : (!transform.any_op) -> !transform.any_op""")
    return whole + tile(case, number, tiles, "rope.online_attention")


def transformed(cases, transform):
    """The functions of `cases` after `transform` of each."""
    steps = "".join(transform(case, number, tiles) for number, (case, tiles) in enumerate(cases))
    text = "".join(case.text() for case, _ in cases) + f"""
module attributes {{transform.with_named_sequence}} {{
  transform.named_sequence @__transform_main(%root: !transform.any_op {{transform.readonly}}) {{{steps}
    transform.yield
  }}
}}
"""
    text = run("rope-opt", "-", "--transform-interpreter", "--canonicalize", "--cse", stdin=text)
    # The schedule stands last.
    return text[:text.index("module attributes {transform")] + "}\n"


def count_outside_of_loops(text, operation):
    """How often `operation` stands in no loop: four spaces in."""
    return sum(operation in line and line[:5].strip() != "" for line in text.split("\n"))


def main():
    rng = np.random.default_rng(8)
    report = Report()
    fused = [(Consumed(**vars(case)), tiles) for case, tiles in FUSED]
    for cases, transform in ((TILED, tile), (fused, fuse), (ONLINE, tile_online)):
        text = transformed(cases, transform)
        for operation in ("rope.attention", "rope.online_attention"):
            if count_outside_of_loops(text, operation):
                raise RuntimeError(f"{operation} is not tiled:\n{text}")
        module = Module(text)
        for case, _ in cases:
            static = dict(case.lengths_known)
            for sizes in [(static["b"], static["i"], static["j"])] if static else SIZES:
                if "b" not in case.query and sizes[0] != 1:
                    continue
                case.run(module, report, *sizes, rng)
    report.finish()


if __name__ == "__main__":
    in_child(main)

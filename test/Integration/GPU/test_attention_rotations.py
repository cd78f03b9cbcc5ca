# Rotations inside of rope.attention on a GPU: what the processor computes.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: lavapipe
# RUN: %python %s

import dataclasses

import numpy as np
from rope_testing import gpu
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.reference import NUMPY

SIZES = {"b": 2, "i": 5, "j": 37, "h": 4}
# A multiply-add of f64 may round twice with Vulkan, which angles of f64 tables
# would need as one.
BOUNDS = {"f16": 4e-3, "bf16": 3e-2, "f32": 1e-5, "f64": 1e-11}


@dataclasses.dataclass(frozen=True)
class Rotation:
    """As in #rope.rotation. Dimensions are (batch, position, head, channel)."""

    pairs: int
    pairing: str = "half"
    dims: tuple = (1,)
    offset: int = 0
    stride: int = 0
    result: str = ""
    transpose: bool = False
    angles: str = ""  # of which numbers positions are
    magnitude: float = 1.0
    axes: tuple = ()
    precision: str = ""
    table: str = "f32"
    dynamic: bool = False  # the number of pairs is not known

    def attribute(self):
        parts = [f"pairing = {self.pairing}", f"position_dims = [{', '.join(map(str, self.dims))}]"]
        parts += [f"offset = {self.offset}"] * bool(self.offset)
        parts += [f"pair_stride = {self.stride}"] * bool(self.stride)
        parts += [f"result_pairing = {self.result}"] * bool(self.result)
        parts += ["transpose = true"] * self.transpose
        if self.angles:
            axes = f", axes = [{', '.join(map(str, self.axes))}]" if self.axes else ""
            precision = f", precision = {self.precision}" if self.precision else ""
            parts.append(f"angles = <magnitude = {self.magnitude}{axes}{precision}>")
        return f"<{', '.join(parts)}>"

    def operands(self, shape, rng):
        """Types and arrays. `shape` is that of what is rotated."""
        leading = [shape[dim] for dim in self.dims]
        known = "?x" * len(leading)
        pairs = "?" if self.dynamic else self.pairs
        if not self.angles:
            turns = rng.random([*leading, self.pairs]) * 2 * np.pi
            dtype = {"f32": np.float32, "f64": np.float64}[self.table]
            type = f"tensor<{known}{pairs}x{self.table}>"
            return [(type, np.cos(turns).astype(dtype)), (type, np.sin(turns).astype(dtype))]
        if self.axes:
            leading.insert(0, max(self.axes) + 1)
            known = f"{leading[0]}x" + known
        if self.angles.startswith("f"):
            positions = rng.random(leading) * 1000
        else:
            positions = rng.integers(-100000, 100000, leading)
        dtype = {"f32": np.float32, "i32": np.int32, "i64": np.int64, "index": np.int64}[self.angles]
        # Made from a base: constants of turns where that is enough.
        return [(f"tensor<{known}{self.angles}>", positions.astype(dtype)), (f"tensor<{self.pairs}xf64>", None)]


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    channels: int
    query: Rotation = None
    key: Rotation = None
    type: str = "f32"

    def function(self, rng):
        """Its text, and what to call it with."""
        maps = {"q": "(b, i, h, d)", "k": "(b, j, h floordiv 2, d)", "v": "(b, j, h floordiv 2, e)", "o": "(b, i, h, e)"}
        types = {
            "q": f"tensor<?x?x4x{self.channels}x{self.type}>", "k": f"tensor<?x?x2x{self.channels}x{self.type}>",
            "v": f"tensor<?x?x2x8x{self.type}>", "o": f"tensor<?x?x4x8x{self.type}>",
        }  # fmt: skip
        shapes = {
            "q": (SIZES["b"], SIZES["i"], 4, self.channels), "k": (SIZES["b"], SIZES["j"], 2, self.channels),
            "v": (SIZES["b"], SIZES["j"], 2, 8), "o": (SIZES["b"], SIZES["i"], 4, 8),
        }  # fmt: skip
        dtype = NUMPY[self.type]
        arguments = {name: (types[name], rng.standard_normal(shapes[name]).astype(dtype)) for name in "qkvo"}
        clauses, body = [], ""
        for name, word, rotation in (("q", "query", self.query), ("k", "key", self.key)):
            if not rotation:
                continue
            names, kinds = [], []
            for number, (type, array) in enumerate(rotation.operands(shapes[name], rng)):
                names.append(f"%{name}{number}")
                kinds.append(type)
                if array is None:
                    body += f"  {names[-1]} = rope.frequencies base(1.0e+04) : {type}\n"
                else:
                    arguments[f"{name}{number}"] = (type, array)
            clauses.append(f"rotate_{word}({', '.join(names)} : {', '.join(kinds)}) by {rotation.attribute()}")
        # The destination comes last, as a result does.
        arguments["o"] = arguments.pop("o")
        signature = ", ".join(f"%{name}: {type}" for name, (type, _) in arguments.items())
        indexing = ", ".join(f"affine_map<(b, h, i, j, d, e) -> {maps[name]}>" for name in "qkvo")
        text = f"""
func.func @{self.name}({signature}) -> {types["o"]} {{
{body}  %r = rope.attention {{scale = 0.25 : f64, indexing_maps = [{indexing}]}}
    ins(%q, %k, %v : {types["q"]}, {types["k"]}, {types["v"]}) {" ".join(clauses)} outs(%o : {types["o"]})
  return %r : {types["o"]}
}}
"""
        return text, [array for _, array in arguments.values()]


def both(name, channels, rotation, **options):
    return Case(name, channels, rotation, rotation, **options)


CASES = [
    both("half", 16, Rotation(8)),
    both("interleaved", 16, Rotation(8, "interleaved")),
    both("half_part", 24, Rotation(5, offset=3)),
    both("interleaved_part", 24, Rotation(5, "interleaved", offset=3)),
    both("odd", 17, Rotation(8)),
    both("strided", 24, Rotation(5, offset=2, stride=11)),
    both("many", 160, Rotation(40, offset=64)),
    both("to_half", 24, Rotation(6, "interleaved", result="half", offset=4)),
    both("to_interleaved", 24, Rotation(6, result="interleaved", offset=4)),
    both("transposed", 16, Rotation(8, transpose=True)),
    both("no_pairs", 16, Rotation(0)),
    both("dynamic", 20, Rotation(7, dynamic=True)),
    both("dynamic_interleaved", 21, Rotation(7, "interleaved", offset=5, dynamic=True)),
    both("per_batch", 16, Rotation(8, dims=(0, 1))),
    both("swapped", 16, Rotation(8, dims=(1, 0))),
    both("per_head", 16, Rotation(8, dims=(2,))),
    both("everywhere", 16, Rotation(8, dims=(0, 1, 2))),
    both("one_for_all", 16, Rotation(8, dims=())),
    both("wide_tables", 16, Rotation(8, table="f64")),
    both("f64_tables", 16, Rotation(8, table="f64"), type="f64"),
    both("angles", 16, Rotation(8, angles="i64")),
    both("angles_i32", 24, Rotation(8, "interleaved", angles="i32", offset=4, magnitude=1.25)),
    both("angles_index", 16, Rotation(8, dims=(0, 1), angles="index", transpose=True), type="f16"),
    both("angles_axes", 16, Rotation(8, angles="i64", axes=(0, 2, 1, 1, 0, 2, 2, 0))),
    both("angles_many_axes", 80, Rotation(40, dims=(0, 1), angles="i32", axes=(0,) * 20 + (1,) * 15 + (0,) * 5)),
    both("angles_float", 16, Rotation(8, angles="f32")),
    both("angles_float_axes", 16, Rotation(8, angles="f32", axes=(0, 1) * 4), type="bf16"),
    both("angles_single", 16, Rotation(8, angles="i64", precision="f32")),
    both("angles_f64", 16, Rotation(8, angles="i64"), type="f64"),
    # One of the two, or both in other ways.
    Case("query", 16, Rotation(8, "interleaved")),
    Case("key", 16, None, Rotation(6, offset=2)),
    Case("otherwise", 24, Rotation(8, "interleaved", offset=2), Rotation(9, offset=1, stride=12)),
    Case("otherwise_part", 70, Rotation(8, "interleaved", offset=2), Rotation(20, transpose=True), type="bf16"),
    Case("more_pairs", 24, Rotation(12), Rotation(4, "interleaved")),
    Case("other_tables", 16, Rotation(8, angles="i64"), Rotation(8, dims=(0, 1))),
]


def main():
    rng = np.random.default_rng(11)
    report = Report()
    functions = [case.function(rng) for case in CASES]
    text = "".join(text for text, _ in functions)
    modules = {target: gpu.load(text, target) for target in ("cpu", "vulkan")}
    for case, (_, arguments) in zip(CASES, functions):
        note(case.name)
        results = {}
        for target, module in modules.items():
            results[target] = np.full(arguments[-1].shape, 7, arguments[-1].dtype)
            module.call(case.name, *arguments, results[target])
        expected = results["cpu"].astype(np.float64)
        report.close(f"rotations {case.type}", case.name, results["vulkan"], expected,
                     BOUNDS[case.type] * np.abs(expected).max())
    report.finish()


if __name__ == "__main__":
    in_child(main)

# Every configuration: imported, compiled, run, against its formula.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %test_root

import json
import os
import re
import sys

import numpy as np
from rope_testing import formulas, reference
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module, run
from rope_testing.tables import single_bound

APPLY_TYPES = ("f32", "bf16", "f16")


class Function:
    """A function of an imported module: its name and its text."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.takes_length = ": i64" in text.split("\n")[0]

    def renamed(self, name):
        return Function(name, self.text.replace(f"@{self.name}(", f"@{name}("))

    def with_f32_precision(self):
        lines = []
        for line in self.text.split("\n"):
            if "rope.table " in line:
                precision = "precision = #rope.precision<f32>"
                if line.endswith("}"):
                    line = f"{line[:-1]}, {precision}}}"
                else:
                    line = f"{line} {{{precision}}}"
            lines.append(line)
        return Function(self.name, "\n".join(lines))

    def frequencies(self, name):
        """A function that returns the frequencies of this one's table."""
        chain = [
            line for line in self.text.split("\n")
            if "rope.frequencies" in line or "rope.scale_frequencies" in line
        ]  # fmt: skip
        value = re.match(r" *(%\w+) = ", chain[-1]).group(1)
        kind = re.search(r": (tensor<\d+xf64>)", chain[-1]).group(1)
        length = re.search(r"(%\w+): i64", self.text.split("\n")[0])
        arguments = length.group(0) if length else ""
        text = "\n".join(
            [f"func.func @{name}({arguments}) -> {kind} {{", *chain,
             f"return {value} : {kind}", "}"]
        )  # fmt: skip
        return Function(name, text)


def functions(text):
    """The functions of an imported module, by name."""
    found = re.findall(r"  func\.func @(\w+)(.*?\n  \})", text, re.DOTALL)
    return {name: Function(name, f"func.func @{name}{rest}") for name, rest in found}


def import_configuration(path, dtype):
    return functions(run("rope-translate", "--import-hf-config", f"--dtype={dtype}", path))


class Case:
    """One kind of layer of one configuration file."""

    def __init__(self, number, file, row, config, modules):
        self.config = config
        self.label = f"{file}{row['suffix']} {row['case'] or ''}".strip()
        self.length = row["length"]
        suffixes = [row["suffix"], *row.get("or", [])]
        suffix = next(s for s in suffixes if "rope_table" + s in modules["f32"])
        table = modules["f32"]["rope_table" + suffix]
        name = f"case{number}"
        self.table = table.renamed(f"{name}_table")
        self.single = table.with_f32_precision().renamed(f"{name}_single")
        self.frequencies = table.frequencies(f"{name}_frequencies")
        self.apply = {
            dtype: module["rope_apply" + suffix].renamed(f"{name}_apply_{dtype}")
            for dtype, module in modules.items()
        }

    def all_functions(self):
        return [self.table, self.single, self.frequencies, *self.apply.values()]

    def lengths(self):
        """Below, at and above the switch of rules that have one."""
        if not self.table.takes_length:
            return [None]
        switch = self.config["scaling"]["original_max_position_embeddings"]
        return sorted({self.length, 1, switch - 1, switch, switch + 1, 4 * switch})

    def call(self, module, function, *arguments, length, results):
        note(f"{self.label} {function.name}")
        if function.takes_length:
            arguments = (*arguments, length)
        module.call(function.name, *arguments, *results)

    def check(self, module, report, rng, rows):
        axes = formulas.axes(self.config)
        axis_count = self.config["position"]["axes"]
        for length in self.lengths():
            w, magnitude = formulas.model(self.config, length or 0)
            self.check_frequencies(module, report, length, w)
            self.check_tables(module, report, rng, length, w, magnitude, axes, axis_count)
            for dtype in self.apply:
                self.check_apply(module, report, rng, length, w, magnitude, axes, axis_count, dtype)
        for row in rows:
            self.check_rows(module, report, row, axes, axis_count)

    def check_frequencies(self, module, report, length, w):
        kind = re.search(r"tensor<(\d+)xf64>", self.frequencies.text)
        got = np.zeros(int(kind.group(1)))
        self.call(module, self.frequencies, length=length, results=[got])
        name = f"{self.label}: frequencies at length {length}"
        turning = [x for x in w if x]
        report.true(name, len(turning) == len(got), f"{len(got)} of {len(turning)}")
        expected = np.array([float(x) for x in turning])
        report.close("frequencies", name, got, expected, 1e-12 * expected)

    def run_table(self, module, function, positions, length, n):
        shape = (positions.shape[-1], n)
        cos, sin = np.zeros(shape, "f4"), np.zeros(shape, "f4")
        self.call(module, function, positions, length=length, results=[cos, sin])
        return cos, sin

    def check_tables(
        self, module, report, rng, length, w, magnitude, axes, axis_count
    ):  # fmt: skip
        magnitude = float(magnitude)
        for order in ("unsorted", "sorted"):
            positions = far_positions(rng, (axis_count, 200))
            if order == "sorted":
                positions.sort(axis=-1)
            argument = positions if axes else positions[0]
            name = f"{self.label}: {order} positions at length {length}"
            got = self.run_table(module, self.table, argument, length, len(w))
            expected = by_axis(reference.cos_sin, positions, w, axes)
            for what, value, correct in zip(("cos", "sin"), got, expected):
                report.close(
                    "exact table", f"{what} of {name}", value, correct * magnitude,
                    3e-7 * magnitude,
                )  # fmt: skip
        got = self.run_table(module, self.single, argument, length, len(w))
        expected = by_axis(single_cos_sin, positions, w, axes)
        for what, value, correct in zip(("cos", "sin"), got, expected):
            report.close(
                "f32 table", f"f32 {what} of {name}", value, correct * magnitude,
                single_bound(correct, magnitude, "f32"),
            )  # fmt: skip

    def check_apply(
        self, module, report, rng, length, w, magnitude, axes, axis_count, dtype
    ):  # fmt: skip
        function, config = self.apply[dtype], self.config
        heads, head = re.search(r"x(\d+)x(\d+)x" + dtype, function.text).groups()
        name = f"{self.label}: {dtype} apply at length {length}"
        report.true(name, int(head) == config["head_dim"], f"a head of {head}")
        batch, size = 2, 3
        positions = far_positions(rng, (axis_count, batch, size))
        x = rng.standard_normal((batch, size, int(heads), int(head)))
        x = x.astype(reference.NUMPY[dtype])
        y = np.zeros_like(x)
        argument = positions if axes else positions[0]
        self.call(module, function, x, argument, length=length, results=[y])
        cos, sin = by_axis(reference.cos_sin, positions, w, axes)
        magnitude = float(magnitude)
        trailing = config["rope_placement"] == "trailing"
        offset = config["head_dim"] - config["rotary_dim"] if trailing else 0
        pairing = "interleaved" if config["layout"] == "gptj" else "half"
        expected, pair_size, rotated = reference.rotate(
            x, cos * magnitude, sin * magnitude, (0, 1), pairing, offset
        )
        bound = pair_size * magnitude * (3e-7 + 2.0**-22)
        if dtype != "f32":
            bound = bound + reference.half_ulp(expected, reference.NUMPY[dtype])
        report.close(f"apply {dtype}", name, y, expected, bound)
        still = np.tile([not x for x in w], 2)
        if pairing == "interleaved":
            still = np.repeat([not x for x in w], 2)
        kept = np.ones(int(head), bool)
        kept[np.sort(rotated)] = still
        report.same_bits(f"kept channels of {name}", y[..., kept], x[..., kept])

    def check_rows(self, module, report, row, axes, axis_count):
        """The stored rows: cosine and sine with the magnitude, of some pairs."""
        data, stored = row
        positions = np.array(stored)
        argument = np.tile(positions, (axis_count, 1)) if axes else positions
        pairs, pick = data["pairs"], data["pair_index"]
        got = self.run_table(module, self.table, argument, self.length, pairs)
        bound = 3e-7 * data["attention_factor"]
        for what, value in zip(("cos", "sin"), got):
            name = f"{what} of {self.label}: stored positions"
            report.close("stored positions", name, value[:, pick], data[what], bound)
        if "multi_axis_sample" in data:
            sample = data["multi_axis_sample"]
            argument = np.array(sample["position"])[:, None]
            got = self.run_table(module, self.table, argument, self.length, pairs)
            for what, value in zip(("cos", "sin"), got):
                name = f"{what} of {self.label}: stored sample of axes"
                report.close("stored positions", name, value[0], sample[what], bound)


def far_positions(rng, shape):
    """Of both signs, below 2^31 in magnitude, one of them as far as that goes."""
    positions = rng.integers(-(2**31) + 1, 2**31, shape)
    positions.reshape(-1)[0] = 2**31 - 1
    return positions


def single_cos_sin(positions, w):
    return reference.cos_sin_of_angles(reference.f32_angles(positions, w))


def by_axis(function, positions, w, axes):
    """`function` of each pair's frequency and the positions of its axis."""
    if axes is None:
        return function(positions[0], w)
    parts = [function(positions[axis], [x]) for axis, x in zip(axes, w)]
    return tuple(np.concatenate(part, -1) for part in zip(*parts))


def check_formulas(report, models, tables):
    """The formulas here agree with the stored frequencies."""
    for row in tables:
        length = 0
        if row["seq_len_case"]:
            length = int(re.search(r"\d+", row["seq_len_case"]).group())
            length += row["seq_len_case"].startswith("long")
        w, magnitude = formulas.model(models[row["id"]], length)
        stored = np.array(row["inv_freq"])
        report.close("formulas", row["id"], [float(x) for x in w], stored, 1e-13 * stored + 1e-300)
        report.close("formulas", row["id"], float(magnitude), row["attention_factor"], 1e-14)


def main():
    root = sys.argv[1]
    report = Report()

    def load(*path):
        with open(os.path.join(root, *path), encoding="utf-8") as file:
            return json.load(file)

    models = {config["id"]: config for config in load("oracle", "models.json")}
    stored = load("oracle", "oracle_tables.json")
    check_formulas(report, models, stored["tables"])

    cases, used = [], set()
    for file, rows in load("configs", "index.json").items():
        path = os.path.join(root, "configs", file)
        # Files saved in another spelling give the same: once is enough for them.
        types = ("f32",) if ".v5." in file else APPLY_TYPES
        modules = {dtype: import_configuration(path, dtype) for dtype in types}
        for row in rows:
            for model in row["oracle"]:
                cases.append(
                    (Case(len(cases), file, row, models[model], modules), model, row["case"])
                )
                used.add(model)
    report.true("configurations", used == set(models), f"{sorted(set(models) - used)} unused")

    text = "\n".join(f.text for case, _, _ in cases for f in case.all_functions())
    module = Module(text)
    for i, (case, model, which) in enumerate(cases):
        rows = [
            (data, stored["positions"]) for data in stored["tables"]
            if data["id"] == model and data["seq_len_case"] == which
        ]  # fmt: skip
        report.true(case.label, len(rows) == 1, f"{len(rows)} stored rows")
        case.check(module, report, np.random.default_rng(i), rows)
    print(f"{len(used)} models, {len(cases)} kinds of layers")
    report.finish()


if __name__ == "__main__":
    in_child(main)

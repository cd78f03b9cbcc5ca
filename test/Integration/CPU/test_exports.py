# Models that exporters wrote compute what the framework did: as they are, raised
# and optimized, before and after upstream's fusion; and all of their rotations
# are found.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %test_root/exports

import glob
import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
from rope_testing.compare import Report
from rope_testing.runner import run

FUSION = ("--canonicalize", "--cse", "--linalg-fuse-elementwise-ops")


class Export:
    """A module with the arguments and results of the framework."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.about = json.load(file)
        self.module = path.removesuffix(".json") + ".mlir"
        self.arrays = dict(np.load(path.removesuffix(".json") + ".npz"))
        self.name = self.about["name"]

    def array(self, entry, prefix):
        """That of an input or output, at the sizes of `prefix`."""
        key = entry["key"]
        return np.ascontiguousarray(self.arrays.get(prefix + key, self.arrays[key]))

    def sizes(self):
        """The recorded ones and the others."""
        return ["", *(f"alt{i}_" for i in range(self.about["alternatives"]))]

    def check(self, report, kind, module, *options):
        """Runs `module`, a form of the export, at all sizes."""
        for prefix in self.sizes():
            with tempfile.TemporaryDirectory() as folder:
                places = []
                for i, entry in enumerate(self.about["inputs"]):
                    np.save(f"{folder}/in{i}.npy", self.array(entry, prefix))
                    places.append(f"--input=@{folder}/in{i}.npy")
                places += [f"--output=@{folder}/out{i}.npy" for i in range(len(self.about["outputs"]))]
                run("rope-run", module, f"--function={self.about['function']}", "-O0", *options, *places)
                for i, entry in enumerate(self.about["outputs"]):
                    got, expected = np.load(f"{folder}/out{i}.npy"), self.array(entry, prefix)
                    if "bf16" in entry["type"]:
                        got, expected = (values.view(ml_dtypes.bfloat16) for values in (got, expected))
                    name = f"{self.name} {kind}, {prefix or 'recorded sizes'}, result {i}"
                    report.close(kind, name, got, expected.astype("f8"), self.about["tolerance"])

    def check_raised(self, report, kind, path):
        """The module after rope-raise has the rotations and tables that there are."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        applies, tables = (len(re.findall(rf"\brope\.{op} ", text)) for op in ("apply", "table"))
        wanted = self.about["rotations"], self.about["tables"]
        # Some others rotate by cosines and sines that are no table.
        others = "may_raise" in self.about
        report.true(f"{self.name} {kind}", applies == wanted[0] or others, f"{applies} rope.apply, expected {wanted[0]}")
        report.true(f"{self.name} {kind}", tables == wanted[1], f"{tables} rope.table, expected {wanted[1]}")

    def check_all(self, report):
        with tempfile.TemporaryDirectory() as folder:

            def rewritten(form, module, *passes):
                run("rope-opt", module, *passes, "-o", f"{folder}/{form}.mlir")
                return f"{folder}/{form}.mlir"

            fused = rewritten("fused", self.module, *FUSION)
            self.check(report, "as it is", self.module)
            for when, start in {"": self.module, " after fusion": fused}.items():
                raised = rewritten("raised", start, "--rope-raise")
                self.check_raised(report, "raised" + when, raised)
                self.check(report, "raised" + when, raised)
                # The same as rope-opt --rope-optimize.
                self.check(report, "optimized" + when, start, "--optimize")


def main(folder):
    paths = sorted(glob.glob(os.path.join(folder, "*.json")))
    report = Report()

    def check(path):
        try:
            Export(path).check_all(report)
        except RuntimeError as error:
            report.true(os.path.basename(path), False, str(error))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(check, paths))
    report.finish()


if __name__ == "__main__":
    main(sys.argv[1])

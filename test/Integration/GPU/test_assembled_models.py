# Every configuration compiled for GPUs: what assemblers and validators say of its
# kernels, and what these hold.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target, amdgpu-registered-target
# RUN: %python %s %test_root
#
# With --all behind that, the whole module of every configuration for every chip;
# without, the rotations of all of them, and whole modules that take turns.

import concurrent.futures
import itertools
import math
import os
import re
import resource
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass

from rope_testing import assembly, model_kernels
from rope_testing.applies import Apply
from rope_testing.compare import Report
from rope_testing.imported import functions, renamed
from rope_testing.runner import run

CHIPS = {"sm_80": ("cuda", "ptx"), "sm_90": ("cuda", "ptx"), "gfx942": ("rocm", "s"), "vulkan1.1": ("vulkan", "spv")}
# Registers of a thread that makes its angles, and of one that loads them.
ANGLES, TABLE = 48, 40
# Of the whole modules, one in how many.
STEP = 4
ENTRY = re.compile(r"^(?=(?:\.visible )?\.entry )", re.M)


def rotates(kernel):
    return kernel.startswith(("rope_apply", "rope_table"))


@dataclass
class Function:
    """What the text of a function says of its kernels."""

    name: str
    text: str

    def widest(self):
        """Bytes of the widest access of rows: 16, or what the number of channels
        divides into that are rotated, or copied."""
        apply = next((line for line in self.text.splitlines() if "rope.apply" in line), None)
        if not apply:
            return 16
        channels, element, pairs = re.search(
            r" : tensor<\S*?x(\d+)x([a-z]+\d+)>, tensor<\S*?x(\d+)xf32>, tensor<\S*xf32>\) outs", apply
        ).groups()
        size = {"f32": 4, "bf16": 2, "f16": 2}[element]
        start = re.search(r"offset = (\d+)", apply)
        start = int(start[1]) if start else 0
        rotated = 2 * int(pairs)
        row = math.gcd(rotated if "interleaved" in apply else int(pairs), start)
        copied = [start, int(channels) - start - rotated]
        return min(16, size * max(n & -n for n in (row, *copied)))

    def uses_matrix_units(self):
        """For attention: where the matrix units compute what it asks for."""
        shapes = re.findall(r"tensor<\?x\?x\d+x(\d+)x(\w+)>", self.text.split("\n")[0])
        return all(int(n) % 16 == 0 and int(n) <= 256 and element in ("bf16", "f16") for n, element in shapes)


class Checks:
    def __init__(self, report, folder):
        self.report, self.folder = report, folder
        self.ptxas, self.validator = assembly.find_ptxas(), shutil.which("spirv-val")
        self.modules, self.kernels, self.matrices = Counter(), Counter(), Counter()
        self.worst = defaultdict(int)
        self.attention = defaultdict(lambda: (0, 0, ""))
        self.numbers = itertools.count()

    def check(self, label, parts, chip, limit=ANGLES):
        """Compiles functions; an error of the compiler is a failure of the test."""
        target, kind = CHIPS[chip]
        text = "\n".join(parts.values())
        found = {name: Function(name, body) for name, body in parts.items()}
        output = os.path.join(self.folder, f"{next(self.numbers)}.{kind}")
        try:
            run("rope-compile", "-", f"--target={target}", f"--chip={chip}", "-o", output, stdin=text)
        except RuntimeError as error:
            return self.report.true(f"{label} for {chip}", False, str(error))
        self.modules[chip] += 1
        if kind == "spv":
            return self.check_spirv(label, output)
        with open(output, encoding="utf-8") as file:
            code = file.read()
        if kind == "ptx":
            self.check_ptx(f"{label} for {chip}", found, code, chip, limit)
        else:
            self.check_amd(f"{label} for {chip}", found, code, chip)
        return None

    def check_spirv(self, label, output):
        report = self.report
        with open(output, "rb") as file:
            report.true(label, file.read(4) == b"\x03\x02\x23\x07", "what was written is not SPIR-V")
        if self.validator:
            try:
                run(self.validator, "--target-env", "vulkan1.1", output)
                report.true(label, True, "")
            except RuntimeError as error:
                report.true(f"{label} for Vulkan", False, str(error))

    def check_ptx(self, label, found, code, chip, limit):
        report = self.report
        bodies = entries(code)
        report.true(label, len(bodies) == code.count(".entry"), f"{len(bodies)} kernels")
        for name, body in bodies.items():
            if rotates(name):
                words = re.findall(r"\.local\b|\bcall\b|%SP\b|__local_depot\w*", body)
                report.true(label, not words, f"{name} holds {set(words)}")
        for function in found.values():
            if function.name.startswith("attention"):
                names = [name for name in bodies if re.fullmatch(rf"{function.name}_attention_mma(_\d+)?", name)]
                wanted = function.uses_matrix_units()
                report.true(label, bool(names) == wanted, f"{function.name} has {names} for matrix units, wanted: {wanted}")
                report.true(label, all("mma.sync" in bodies[name] for name in names), f"no mma.sync in {names}")
                self.matrices[chip] += wanted
        self.check_widths(label, found, assembly.summarize_ptx(only(code, rotates)))
        self.kernels[chip] += len(bodies)
        if not self.ptxas:
            return
        try:
            usages = assembly.assemble(code, chip, self.ptxas)
        except RuntimeError as error:
            report.true(label, False, str(error))
            return
        report.true(label, set(usages) == set(bodies), f"ptxas made {sorted(usages)}")
        for name, usage in usages.items():
            if not rotates(name):
                self.attention[chip] = max(self.attention[chip], (usage.spills, usage.registers, f"{name}: {label}"))
                continue
            report.true(label, usage.stack == usage.spills == 0, f"{name}: {usage}")
            report.true(label, usage.registers <= limit, f"{name} takes {usage.registers} registers, over {limit}")
            self.note(chip, name, usage.registers)

    def check_amd(self, label, found, code, chip):
        summaries = assembly.summarize_amd(code)
        self.report.true(label, len(summaries) == code.count(".amdhsa_kernel "), f"{len(summaries)} kernels")
        self.kernels[chip] += len(summaries)
        chosen = {name: summary for name, summary in summaries.items() if rotates(name)}
        for name, summary in chosen.items():
            usage = summary.usage
            good = usage.stack == usage.spills == 0 and not summary.count("scratch_", "buffer_")
            self.report.true(label, good, f"{name}: {usage}")
            calls = summary.count("s_swappc", "s_call")
            self.report.true(label, not calls, f"{name} holds {calls} calls")
            self.note(chip, name, usage.registers)
        self.check_widths(label, found, chosen)

    def check_widths(self, label, found, summaries):
        """Of the kernels for aligned rows, loads and stores as wide as rows allow;
        of both tables of cosines, stores."""
        for name, summary in summaries.items():
            function = found.get(name.removesuffix("_kernel"))
            if not name.endswith("_kernel") or not function:
                continue
            widths = (max(summary.loads, default=0), max(summary.stores, default=0))
            if name.startswith("rope_apply"):
                wanted = function.widest()
                self.report.true(label, widths[1] == wanted and widths[0] >= wanted, f"{name} moves {widths} bytes, not {wanted}")

    def note(self, chip, name, registers):
        kind = "rope_apply" if name.startswith("rope_apply") else "rope_table"
        self.worst[chip, kind] = max(self.worst[chip, kind], registers)

    def print(self):
        for chip in CHIPS:
            parts = [f"{chip}: {self.modules[chip]} modules"]
            if chip != "vulkan1.1":
                parts.append(f"{self.kernels[chip]} kernels")
            if chip in self.matrices:
                parts.append(f"{self.matrices[chip]} attentions by matrix units")
            for kind in ("rope_apply", "rope_table"):
                if (chip, kind) in self.worst:
                    parts.append(f"{kind} at most {self.worst[chip, kind]} registers")
            if chip in self.attention:
                spills, registers, name = self.attention[chip]
                parts.append(f"worst attention {registers} registers, {spills} bytes spilled ({name})")
            print(", ".join(parts))


def entries(code):
    """{kernel: its text}."""
    return {re.search(r"\.entry ([\w$]+)", part)[1]: part for part in ENTRY.split(code)[1:]}


def only(code, chosen):
    """PTX with some of its kernels, and its variables."""
    return ENTRY.split(code)[0] + "".join(body for name, body in entries(code).items() if chosen(name))


def with_tables():
    """Rotations by tables, of 16 bytes a thread."""
    cases = []
    for dtype, pairing in itertools.product(("bf16", "f16", "f32"), ("half", "interleaved")):
        cases.append(
            Apply(f"rope_apply_{dtype}_{pairing}", (2, 100, 8, 128), 64, dtype=dtype, position_dims=(0, 1),
                  pairing=pairing, dynamic=frozenset({0, 1}), dynamic_table=frozenset({0, 1}))
        )  # fmt: skip
    return {case.name: case.ir() for case in cases}


def fused():
    """Queries and keys in one launch, and what is written to a cache with them."""
    cases = model_kernels.rotations().values()
    return {f"rope_apply_{case.name}": renamed(case.text().strip(), f"rope_apply_{case.name}") for case in cases}


def rotations_of(texts):
    """The different rotations and tables of modules, under names of their own."""
    found = {}
    for text in texts:
        for name, function in functions(text).items():
            if rotates(name):
                found.setdefault(renamed(function, "f"), name[: len("rope_apply")])
    return {f"{kind}_{i}": renamed(text, f"{kind}_{i}") for i, (text, kind) in enumerate(found.items())}


def main():
    root, *options = sys.argv[1:]
    folder = os.path.join(root, "configs")
    files = sorted(file for file in os.listdir(folder) if file.endswith(".json") and file != "index.json")
    report = Report()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = Checks(report, scratch)
        for tool, path in (("ptxas", checks.ptxas), ("spirv-val", checks.validator)):
            print(f"{tool}: {path or 'is not here; what it says is left out'}")
        imported = pool.map(lambda file: run("rope-translate", "--import-hf-config", os.path.join(folder, file)), files)
        texts = dict(zip(files, imported))
        if options == ["--all"]:
            jobs = [(file, functions(texts[file]), chip) for file in files for chip in CHIPS]
        else:
            # Files in another spelling give the same modules. Where one is
            # compiled for one chip, the next is for another.
            different = list({text: file for file, text in reversed(texts.items())}.values())[::-1]
            chosen = different[::STEP]
            jobs = [(file, functions(texts[file]), chip) for file, chip in zip(chosen, itertools.cycle(CHIPS))]
            parts = rotations_of(texts.values())
            jobs += [(f"{len(parts)} rotations of all", parts, chip) for chip in CHIPS]
            print(
                f"{len(files)} files, {len(different)} different modules: {len(parts)} different functions of "
                f"rotations and tables for {', '.join(CHIPS)}; {len(chosen)} whole modules, one chip each; "
                f"the other {len(different) - len(chosen)} and other chips are left out without --all"
            )
        jobs += [("fused", fused(), chip) for chip in CHIPS]
        tasks = [pool.submit(checks.check, *job) for job in jobs]
        tasks += [pool.submit(checks.check, "tables", with_tables(), chip, TABLE) for chip in CHIPS]
        for task in tasks:
            task.result()
    checks.print()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of CPU in compilers and assemblers")
    report.finish()


if __name__ == "__main__":
    main()

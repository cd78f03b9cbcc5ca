# What code for GPUs looks like: registers, spills, widths of accesses.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field

from rope_testing.ptx.text import SIZES, Parser


def find_ptxas():
    """NVIDIA's assembler: in this Python's environment (nvidia-cuda-nvcc-cu12 of
    test/requirements.txt), in a toolkit, or on the path; None where there is
    none."""
    candidates = glob.glob(os.path.join(sys.prefix, "lib/python*/site-packages/nvidia/*/bin/ptxas"))
    places = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT")]
    candidates += [os.path.join(place, "bin/ptxas") for place in places if place]
    return next((c for c in candidates if os.access(c, os.X_OK)), shutil.which("ptxas"))


def ptxas_version(ptxas):
    text = subprocess.run([ptxas, "--version"], capture_output=True, check=True).stdout.decode()
    return re.search(r"release ([\d.]+)", text)[1]


@dataclass
class Usage:
    """What a kernel takes, in bytes, but registers."""

    registers: int = 0
    stack: int = 0
    spills: int = 0  # stored and loaded
    shared: int = 0


def assemble(ptx, chip, ptxas=None):
    """{kernel: Usage} by ptxas; raises with its errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [ptxas or find_ptxas(), "-v", f"-arch={chip}", file.name, "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True)
    text = (done.stderr + done.stdout).decode()
    if done.returncode:
        raise RuntimeError(f"ptxas -arch={chip} failed:\n{text}")
    result, kernel = {}, None
    for line in text.splitlines():
        entry = re.search(r"Compiling entry function '([^']+)'", line)
        if entry:
            kernel = result[entry[1]] = Usage()
        stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
        if stack and kernel:
            kernel.stack, kernel.spills = int(stack[1]), int(stack[2]) + int(stack[3])
        registers = re.search(r"Used (\d+) registers", line)
        if registers and kernel:
            kernel.registers = int(registers[1])
            shared = re.search(r"(\d+) bytes smem", line)
            kernel.shared = int(shared[1]) if shared else 0
    return result


@dataclass
class Summary:
    """The instructions of a kernel."""

    loads: Counter = field(default_factory=Counter)  # bytes -> global loads
    stores: Counter = field(default_factory=Counter)
    names: Counter = field(default_factory=Counter)
    usage: Usage = None  # as far as the text tells it

    def count(self, *prefixes):
        return sum(n for name, n in self.names.items() if name.startswith(prefixes))


def summarize_ptx(text):
    """{kernel: Summary}; kernels with a stack are refused by name."""
    result = {}
    for name, kernel in Parser(text).kernels.items():
        summary = result[name] = Summary()
        summary.usage = Usage(shared=sum(v.size or 0 for v in kernel.shared))
        for ins in kernel.code:
            summary.names[ins.op] += 1
            parts = ins.parts()
            if parts[0] in ("ld", "st") and "global" in parts:
                count = next((int(p[1:]) for p in parts if p in ("v2", "v4", "v8")), 1)
                counter = summary.loads if parts[0] == "ld" else summary.stores
                counter[count * SIZES[parts[-1]]] += 1
    return result


_AMD_BYTES = {
    "ubyte": 1, "sbyte": 1, "byte": 1, "ushort": 2, "sshort": 2, "short": 2, "dword": 4, "dwordx2": 8,
    "dwordx3": 12, "dwordx4": 16, "u8": 1, "i8": 1, "b8": 1, "u16": 2, "i16": 2, "b16": 2, "b32": 4,
    "b64": 8, "b96": 12, "b128": 16,
}  # fmt: skip


def summarize_amd(text):
    """{kernel: Summary} of the assembly of AMD's GPUs."""
    result = {}
    for metadata in re.findall(r"^ {2}- \.?(?:.|\n)*?(?=^ {2}- |^\S|\Z)", _metadata(text), re.M):
        values = dict(re.findall(r"^ {4}\.(\w+):\s+'?([^\n']+)'?$", metadata, re.M))
        if "name" not in values:
            continue
        summary = result[values["name"]] = Summary()
        spills = int(values.get("vgpr_spill_count", 0)) + int(values.get("sgpr_spill_count", 0))
        summary.usage = Usage(
            int(values["vgpr_count"]), int(values["private_segment_fixed_size"]), 4 * spills,
            int(values["group_segment_fixed_size"]),
        )  # fmt: skip
        body = re.search(rf"^{re.escape(values['name'])}:.*?^\.Lfunc_end", text, re.M | re.S)
        for line in body[0].splitlines():
            found = re.match(r"\s+([a-z]\w+)(?:\s|$)", line)
            if not found:
                continue
            op = found[1]
            summary.names[op] += 1
            access = re.match(r"(?:global|flat|buffer)_(load|store)_(?:d16_(?:hi_)?)?(\w+?)(?:_d16(?:_hi)?)?$", op)
            if access and access[2] in _AMD_BYTES:
                counter = summary.loads if access[1] == "load" else summary.stores
                counter[_AMD_BYTES[access[2]]] += 1
    return result


def _metadata(text):
    found = re.search(r"\.amdgpu_metadata\n(.*?)\.end_amdgpu_metadata", text, re.S)
    if not found:
        raise ValueError("no metadata of AMD's kernels")
    kernels = re.search(r"^amdhsa\.kernels:\n((?: .*\n)*)", found[1], re.M)
    return kernels[1] if kernels else ""

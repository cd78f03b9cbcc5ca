# Runs portable kernels in oclgrind, which finds races and bad accesses.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels go through the SPIR-V of OpenCL and llvm-spirv to oclgrind. Where two
arguments of a kernel are the same memory it sees two: races between them are
found by the interpreter of PTX only."""

import ctypes
import os
import re
import shlex
import shutil
import struct
import subprocess
import tempfile

import numpy as np

from rope_testing import gpu
from rope_testing.runner import run

LAUNCHES = os.path.join(os.path.dirname(__file__), "../../GPU/Inputs/launches.c")
TOOLS = ("oclgrind-kernel", "llvm-spirv-14", "clang-22", "mlir-translate-22")


def missing():
    """Which tools are not here, or None."""
    names = [name for name in TOOLS if not shutil.which(name)]
    return f"{', '.join(names)} not installed" if names else None


class CheckError(Exception):
    """What oclgrind reports."""


# SPIR-V -----------------------------------------------------------------------


def binary_of(text, kind="bin"):
    """The first binary (or `assembly`) in the text of a module, or None."""
    found = re.search(rf'{kind} = "((?:[^"\\]|\\.)*)"', text)
    if not found:
        return None
    simple = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b'"': b'"', b"\\": b"\\"}

    def character(match):
        code = match[1]
        return bytes([int(code, 16)]) if len(code) == 2 else simple[code]

    return re.sub(rb"\\([0-9A-Fa-f]{2}|.)", character, found[1].encode("latin1"))


def expand_products(binary):
    """Replaces OpUMulExtended, which llvm-spirv does not take, by a 64-bit
    product."""
    words = struct.unpack(f"<{len(binary) // 4}I", binary)
    header, at, body = list(words[:5]), 5, []
    while at < len(words):
        size = words[at] >> 16
        body.append((words[at] & 0xFFFF, list(words[at + 1 : at + size])))
        at += size
    if not any(code == 151 for code, _ in body):
        return binary
    bound = header[3]

    def new():
        nonlocal bound
        bound += 1
        return bound - 1

    wide = next((a[0] for code, a in body if code == 21 and a[1] == 64), None)
    if wide is None:
        raise ValueError("a module without 64-bit integers")
    shift, result, products = new(), [], {}
    for code, a in body:
        if code == 54 and shift:  # OpFunction: constants come before the first.
            result.append((43, [wide, shift, 32, 0]))
            thirty_two, shift = shift, 0
        if code == 81 and a[2] in products:  # OpCompositeExtract
            result.append((113, [a[0], a[1], products[a[2]][a[3]]]))
        elif code == 151:
            _, value, x, y = a
            x64, y64, product, high = (new() for _ in range(4))
            products[value] = (product, high)
            result += [
                (113, [wide, x64, x]), (113, [wide, y64, y]),  # OpUConvert
                (132, [wide, product, x64, y64]),  # OpIMul
                (194, [wide, high, product, thirty_two]),  # OpShiftRightLogical
            ]  # fmt: skip
        else:
            result.append((code, a))
    header[3] = bound
    out = list(header)
    for code, a in result:
        out += [(len(a) + 1) << 16 | code, *a]
    return struct.pack(f"<{len(out)}I", *out)


def write_bitcode(text, path, options=""):
    """Of the kernels of a module, where it has any."""
    module = run("rope-opt", "-", f"--rope-to-spirv=opencl=1 kernels-only=1 {options}", stdin=text)
    binary = binary_of(module)
    if binary is None:
        return
    with tempfile.NamedTemporaryFile(suffix=".spv") as file:
        file.write(expand_products(binary))
        file.flush()
        run("llvm-spirv-14", "-r", file.name, "-o", path)


def link_host(text, path, options=""):
    """The library of the host's code of a module, on the runtime of the tests."""
    module = run("rope-opt", "-", f"--rope-to-spirv={options}", stdin=text)
    llvm = run("mlir-translate-22", "--mlir-to-llvmir", stdin=module)
    with tempfile.TemporaryDirectory() as folder:
        source, launches = os.path.join(folder, "host.ll"), os.path.join(folder, "launches.o")
        with open(source, "w") as file:
            file.write(llvm)
        host_cc = shlex.split(os.environ.get("HOST_CC", "cc"))
        subprocess.run([*host_cc, "-std=c11", "-D_GNU_SOURCE", "-fPIC", "-c", LAUNCHES, "-o", launches], check=True)
        run("clang-22", "-Wno-override-module", "-O1", "-shared", "-fPIC", source, launches, "-lm", "-o", path)


# oclgrind ---------------------------------------------------------------------


def check_kernel(bitcode, kernel, blocks, block, buffers, scalars, uninitialized=False):
    """Runs a kernel; buffers are arrays of bytes. Returns them as they are after
    it; raises CheckError."""
    lines = [bitcode, kernel, f"{blocks * block} 1 1", f"{block} 1 1"]
    kinds = []
    for data in buffers:
        width, kind = next((w, k) for w, k in ((4, "uint"), (2, "ushort"), (1, "uchar")) if len(data) % w == 0)
        kinds.append(width)
        lines.append(f"<size={len(data)} {kind} dump>")
        lines.append(" ".join(map(str, data.view(f"u{width}"))))
    lines += [f"<size=8 ulong> {int(value) % 2**64}" for value in scalars]
    with tempfile.NamedTemporaryFile("w", suffix=".sim") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        options = ["--data-races", "--num-threads", "1", "--max-errors", "2"]
        if uninitialized:
            options.append("--uninitialized")
        done = subprocess.run(["oclgrind-kernel", *options, file.name], capture_output=True)
    output = done.stdout.decode("latin1")
    problems = done.stderr.decode("latin1").strip()
    reported = re.findall(r"^(?:Invalid|Uninitialized|\S+ data race|\S.*divergence|Error).*$", output + problems, re.M)
    if done.returncode or problems or reported:
        raise CheckError(f"{kernel}: {problems or output[:2000]}")
    results = re.split(r"^Argument .*$", output, flags=re.M)[1:]
    if len(results) != len(buffers):
        raise CheckError(f"{kernel}: {len(results)} results of {len(buffers)}: {output[:300]}")
    after = []
    for text, width, data in zip(results, kinds, buffers):
        values = np.array(re.findall(r"\] = (\d+)", text), np.uint64).astype(f"u{width}")
        if values.nbytes != len(data):
            raise CheckError(f"{kernel}: {values.nbytes} bytes of {len(data)} came back")
        after.append(values.view(np.uint8))
    return after


class Module(gpu.Module):
    """Compiled functions whose kernels are checked, called by name."""

    def __init__(self, text, uninitialized=False, from_launches=False):
        self.target, self.api, self.cuda = "opencl", gpu.APIS["vulkan"], None
        self._folder = tempfile.TemporaryDirectory()
        self.bitcode = os.path.join(self._folder.name, "kernels.bc")
        self.uninitialized = uninitialized
        library = os.path.join(self._folder.name, "host.so")
        options = "from-launches=1" if from_launches else ""
        write_bitcode(text, self.bitcode, options)
        link_host(text, library, options)
        self._open(library)
        numbers = ctypes.POINTER(ctypes.c_int64)
        kind = ctypes.CFUNCTYPE(
            ctypes.c_void_p, ctypes.c_char_p, numbers, numbers, ctypes.c_int64,
            ctypes.POINTER(ctypes.c_void_p), ctypes.c_int64, numbers,
        )  # fmt: skip
        self._hook = kind(self._launch)
        self._library.launches_set_hook(self._hook)
        self._library.launches_bytes_behind.restype = ctypes.c_int64

    def _launch(self, kernel, grid, block, num_buffers, buffers, num_scalars, scalars):
        try:
            name = kernel.decode()
            pointers = [buffers[i] for i in range(num_buffers)]
            sizes = [self._library.launches_bytes_behind(ctypes.c_void_p(p)) for p in pointers]
            before = [np.frombuffer(ctypes.string_at(p, max(n, 0)), np.uint8) for p, n in zip(pointers, sizes)]
            # A buffer that nothing is in is as small as oclgrind has them.
            before = [data if len(data) else np.zeros(1, np.uint8) for data in before]
            after = check_kernel(
                self.bitcode, name, grid[0], block[0], before,
                [scalars[i] for i in range(num_scalars)], self.uninitialized,
            )  # fmt: skip
            for pointer, old, new in zip(pointers, before, after):
                for i in np.flatnonzero(old != new):
                    ctypes.memset(pointer + int(i), int(new[i]), 1)
            self.launches.append((name, grid[0], block[0]))
        except BaseException as error:
            self.error = error
            self._message = ctypes.create_string_buffer(b"a kernel failed")
            return ctypes.addressof(self._message)
        return None

    def call(self, name, *arguments, stream=0):
        self.launches, self.error = [], None
        try:
            super().call(name, *arguments, stream=stream)
        except gpu.GPUError:
            if self.error:
                raise self.error from None
            raise

# Compile MLIR for GPUs and call its functions on NumPy arrays.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`load` gives what runner.Module is, for cpu, cuda and vulkan. With cuda the
library runs on a driver of the tests, whose kernels the interpreter of PTX runs;
with vulkan on Mesa's software driver. Arrays are copied to memory of the device
before a call and from it after: each to memory of its own size, as aligned as
the array is."""

import ctypes
import glob
import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass

import numpy as np

from rope_testing import ptx, runner

APIS = {"cuda": 0, "rocm": 1, "vulkan": 2}
FAKE_CUDA = os.path.join(os.path.dirname(__file__), "../../GPU/Inputs/fake-cuda.c")
LAUNCH_FAILED = 719
# What a library with kernels holds.
KERNELS = {"cuda": b".visible .entry", "vulkan": b"\x03\x02\x23\x07"}


class GPUError(Exception):
    """What the runtime reports."""


def missing(target):
    """Why a target cannot run here, or None."""
    if target == "vulkan" and not _lavapipe():
        return "Mesa's software Vulkan driver is not installed"
    return None


def load(text, target="cuda", **options):
    """The functions of a module for a target: cpu, cuda or vulkan."""
    if target == "cpu":
        return runner.Module(text, **options)
    return Module(text, target, **options)


def compile_library(text, library, target, chip):
    """A shared library, by rope-compile."""
    options = [f"--target={target}", *([f"--chip={chip}"] if chip else [])]
    runner.run("rope-compile", "-", *options, "-o", library, stdin=text)


def _lavapipe():
    return glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json")


# The driver of CUDA ----------------------------------------------------------


@dataclass
class Launch:
    """A launch of a kernel, and what it did."""

    kernel: str
    grid: tuple
    block: tuple
    shared_bytes: int
    stream: int
    result: ptx.Result


class FakeCUDA:
    """A driver whose kernels are interpreted. There is one in a process."""

    _instance = None

    @classmethod
    def get(cls):
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, "libcuda.so.1")
        command = shlex.split(os.environ.get("HOST_CC", "cc"))
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-pthread"]
        subprocess.run([*command, *flags, FAKE_CUDA, "-o", path], check=True)
        os.environ["ROPE_CUDA_LIBRARY"] = path
        self.library = ctypes.CDLL(path)
        self.library.fake_cuda_log.restype = ctypes.c_char_p
        self.library.fake_cuda_allocations.restype = ctypes.c_size_t
        self.modules = {}
        self.launches = []
        self.error = None
        # Allocations of which only a part is to be used: start -> Region.
        self.parts = {}
        self.options = {}
        unsigned3 = ctypes.POINTER(ctypes.c_uint)
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, unsigned3, unsigned3, ctypes.c_uint,
            ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p,
        )  # fmt: skip
        self._hook = kind(self._launch)
        self.library.fake_cuda_set_launch(self._hook)

    def log(self):
        """The calls of the driver since the last time."""
        text = self.library.fake_cuda_log().decode()
        self.library.fake_cuda_clear_log()
        return text.splitlines()

    def regions(self):
        """What is allocated."""
        size = ctypes.c_uint64 * (self.library.fake_cuda_allocations(None, None, ctypes.c_size_t(0)) or 1)
        starts, sizes = size(), size()
        count = self.library.fake_cuda_allocations(starts, sizes, ctypes.c_size_t(len(starts)))
        return [
            self.parts.get(starts[i], ptx.Region(starts[i], sizes[i], f"allocation of {sizes[i]} bytes"))
            for i in range(count)
        ]

    def _launch(self, image, kernel, grid, block, shared, parameters, stream):
        """Called by the driver: no exception may leave it."""
        try:
            if image not in self.modules:
                self.modules[image] = ptx.Module(image)
            module = self.modules[image]
            kernel = kernel.decode()
            sizes = [size for _, size in module.kernel(kernel).params.values()]
            data = np.zeros(module.kernel(kernel).param_bytes, np.uint8)
            for i, (offset, size) in enumerate(module.kernel(kernel).params.values()):
                data[offset : offset + size] = np.frombuffer(
                    ctypes.string_at(parameters[i], size), np.uint8
                )
            grid, block = tuple(grid[:3]), tuple(block[:3])
            result = module.launch(
                kernel, grid, block, [data.tobytes()] if sizes else [], shared, self.regions(),
                **self.options,
            )  # fmt: skip
            self.launches.append(Launch(kernel, grid, block, shared, stream or 0, result))
        except BaseException as error:
            self.error = self.error or error
            return LAUNCH_FAILED
        return 0

    def check(self):
        """Raises what happened in a kernel."""
        error, self.error = self.error, None
        self.library.fake_cuda_reset()
        if error:
            raise error


# Compiled modules --------------------------------------------------------------


class Module:
    """Compiled functions, called by name."""

    def __init__(self, text, target="cuda", chip=""):
        self.target, self.api = target, APIS[target]
        self.cuda = FakeCUDA.get() if target == "cuda" else None
        if target == "vulkan":
            # No device that is here by chance. The second name is older.
            for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
                os.environ[name] = _lavapipe()[0]
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "module.so")
            compile_library(text, library, target, chip)
            with open(library, "rb") as file:
                if KERNELS[target] not in file.read():
                    raise GPUError("the library holds no kernel")
            self._open(library)

    def _open(self, library):
        self._library = ctypes.CDLL(library)
        for name in ("malloc", "release", "write", "read", "synchronize", "end"):
            getattr(self._library, f"rope_gpu_{name}").restype = ctypes.c_char_p
        # What the last call launched (cuda).
        self.launches = []

    def _run(self, name, *arguments):
        """A function of the runtime that returns an error."""
        error = getattr(self._library, f"rope_gpu_{name}")(*arguments)
        if error:
            if self.cuda:
                self.cuda.check()
            raise GPUError(error.decode())

    def _program(self, name, *arguments):
        self._run(name, ctypes.c_int64(self.api), *arguments)

    def call(self, name, *arguments, stream=0):
        """As runner.Module.call."""
        buffers = self._buffers([a for a in arguments if isinstance(a, np.ndarray)])
        try:
            for buffer in buffers:
                buffer.upload(self)
            if self.cuda:
                self.cuda.launches = []
                self.cuda.parts = {b.memory: b.region() for b in buffers}
            values = []
            for a in arguments:
                address = None
                if isinstance(a, np.ndarray):
                    address = next(b.address_of(a) for b in buffers if b.holds(a))
                values.append(runner.argument(a, address))
            function = getattr(self._library, "_mlir_ciface_" + name)
            function.restype = None
            self._library.rope_gpu_begin(ctypes.c_int64(self.api), ctypes.c_void_p(stream))
            function(*values)
            self._run("end")
            self._program("synchronize")
            if self.cuda:
                self.cuda.check()
                self.launches = self.cuda.launches
            for buffer in buffers:
                buffer.download(self)
        finally:
            for buffer in buffers:
                buffer.release(self)
            if self.cuda:
                self.cuda.parts = {}

    @staticmethod
    def _buffers(arrays):
        """Memory for the arrays; those that overlap share it."""
        spans = sorted({np.lib.array_utils.byte_bounds(a) for a in arrays})
        merged = []
        for low, high in spans:
            if merged and low < merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        return [Buffer(low, high) for low, high in merged]


class Buffer:
    """Device memory in place of bytes of the host."""

    SENTINEL = 0x5A

    def __init__(self, low, high):
        self.low, self.high, self.memory = low, high, None
        # As far from a multiple of 64 as the array is.
        self.skip = low % 64

    def holds(self, array):
        low, high = np.lib.array_utils.byte_bounds(array)
        return self.low <= low and high <= self.high and (low < high or self.low == low)

    def address_of(self, array):
        return self.memory + self.skip + array.ctypes.data - self.low

    def region(self):
        """For arrays behind each other in memory of the host, the first is meant."""
        return ptx.Region(self.memory + self.skip, self.high - self.low, f"array of {self.high - self.low} bytes")

    def upload(self, module):
        memory = ctypes.c_void_p()
        size = self.skip + self.high - self.low
        module._program("malloc", ctypes.c_int64(size), ctypes.byref(memory))
        self.memory = memory.value
        data = bytes([self.SENTINEL]) * self.skip + ctypes.string_at(self.low, self.high - self.low)
        module._program("write", memory, data, ctypes.c_int64(size))

    def download(self, module):
        size = self.skip + self.high - self.low
        data = ctypes.create_string_buffer(max(size, 1))
        module._program("read", data, ctypes.c_void_p(self.memory), ctypes.c_int64(size))
        if data.raw[: self.skip] != bytes([self.SENTINEL]) * self.skip:
            raise GPUError("memory before an array was written")
        before = ctypes.string_at(self.low, self.high - self.low)
        if data.raw[self.skip : size] != before:
            # Only where something changed: arrays may be constant.
            ctypes.memmove(self.low, data.raw[self.skip : size], self.high - self.low)

    def release(self, module):
        if self.memory is not None:
            module._program("release", ctypes.c_void_p(self.memory))
            self.memory = None

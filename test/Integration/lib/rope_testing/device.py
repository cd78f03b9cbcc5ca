# Compiled functions on the memory of a device.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A Module as runner.py's whose functions were compiled elsewhere and work on
device memory: arrays go there before a call and come back after it, with all
that lies between their rows. NVIDIA's driver alone is needed."""

import ctypes
import mmap

import numpy as np

from rope_testing.runner import argument as passed_argument

API_CUDA = 0
SENTINEL = 0xA5
# Bytes beside an array that are compared after a call.
MARGIN = 4096
_SUCCESS = 0


class DeviceError(RuntimeError):
    """The driver, or a compiled function, reports an error."""


def extent(array):
    """The first byte of `array` and the number of bytes to its last."""
    first = array.__array_interface__["data"][0]
    if array.size == 0:
        return first, 0
    steps = [stride * (size - 1) for size, stride in zip(array.shape, array.strides)]
    first += sum(step for step in steps if step < 0)
    return first, sum(abs(step) for step in steps) + array.itemsize


class HostModule:
    """A library for the processor, with the same calls: to test the tests."""

    def __init__(self, path, _device):
        self._library = ctypes.CDLL(path)

    def call(self, name, *arguments):
        function = getattr(self._library, "_mlir_ciface_" + name)
        function.restype = None
        function(*map(passed_argument, arguments))


class CudaModule:
    """A library whose functions launch kernels."""

    def __init__(self, path, device):
        self._device = device
        self._library = ctypes.CDLL(path)
        self._begin, self._end = self._library.rope_gpu_begin, self._library.rope_gpu_end
        self._begin.argtypes, self._begin.restype = [ctypes.c_int64, ctypes.c_void_p], None
        self._end.argtypes, self._end.restype = [], ctypes.c_char_p

    def call(self, name, *arguments):
        function = getattr(self._library, "_mlir_ciface_" + name)
        function.restype = None
        copies, passed = [], []
        for argument in arguments:
            if not isinstance(argument, np.ndarray):
                passed.append(passed_argument(argument))
                continue
            first, size = extent(argument)
            copy = self._device.place(first, size)
            copies.append(copy)
            start = argument.__array_interface__["data"][0] - first
            passed.append(passed_argument(argument, copy.address + start))
        try:
            self._begin(API_CUDA, None)
            function(*passed)
            error = self._end()
            if error:
                raise DeviceError(f"{name}: {error.decode()}")
            self._device.synchronize()
            for copy in copies:
                copy.take_back(name)
        finally:
            for copy in copies:
                copy.free()


class _Slot:
    """Device memory from `start` to `end`, with nothing mapped on either side
    where the driver can do that."""

    def __init__(self, device, start, size):
        self.device, self.start, self.end = device, start, start + size


class _Copy:
    """Bytes of the host on the device."""

    def __init__(self, slot, address, host, size):
        self.slot, self.address, self.host, self.size = slot, address, host, size
        self.first = max(slot.start, address - MARGIN)
        self.last = min(slot.end, address + size + MARGIN)
        self._staged = np.full(self.last - self.first, SENTINEL, np.uint8)
        before = address - self.first
        if size:
            ctypes.memmove(self._staged.ctypes.data + before, host, size)
        self._transfer("cuMemcpyHtoDAsync_v2", "QPQP", self.first, self._staged.ctypes.data)

    def _transfer(self, function, types, to, source):
        self.slot.device.check(function, to, source, self.last - self.first, None, types=types)
        self.slot.device.synchronize()

    def take_back(self, name):
        memory = self._staged
        self._transfer("cuMemcpyDtoHAsync_v2", "PQQP", memory.ctypes.data, self.first)
        before = self.address - self.first
        if self.size:
            ctypes.memmove(self.host, memory.ctypes.data + before, self.size)
        for where, part in (("before", memory[:before]), ("behind", memory[before + self.size :])):
            if (part != SENTINEL).any():
                raise DeviceError(f"{name} wrote {where} an array of {self.size} bytes")

    def free(self):
        self.slot.device.slots.append(self.slot)


class Cuda:
    """The first device."""

    def __init__(self, library="libcuda.so.1"):
        self._cuda = ctypes.CDLL(library)
        self.check("cuInit", 0, types="U")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.check("cuDeviceGet", ctypes.byref(device), 0, types="OU")
        self.check("cuDevicePrimaryCtxRetain", ctypes.byref(context), device.value, types="OU")
        self.check("cuCtxSetCurrent", context.value, types="P")
        self._ordinal = device.value
        self.slots = []
        self._count = 0
        self._granularity = self._find_granularity()

    def check(self, function, *arguments, types=""):
        """Calls the driver. `types`: U 32 bits, Q 64 bits, B a byte, P a pointer,
        O a reference."""
        kinds = {"U": ctypes.c_uint, "Q": ctypes.c_uint64, "B": ctypes.c_ubyte, "P": ctypes.c_void_p}
        passed = [a if t == "O" else kinds[t](a) for a, t in zip(arguments, types)]
        status = getattr(self._cuda, function)(*passed)
        if status != _SUCCESS:
            text = ctypes.c_char_p()
            try:
                self._cuda.cuGetErrorString(status, ctypes.byref(text))
            except AttributeError:
                pass
            raise DeviceError(f"{function}: {(text.value or b'').decode() or status}")

    def module(self, path):
        return CudaModule(path, self)

    def synchronize(self):
        self.check("cuStreamSynchronize", None, types="P")

    def _properties(self):
        """CUmemAllocationProp: pinned memory of the device."""
        return (ctypes.c_uint32 * 8)(1, 0, 1, self._ordinal, 0, 0, 0, 0)

    def _find_granularity(self):
        """Bytes that memory is mapped by; 0 where the driver cannot map."""
        size = ctypes.c_size_t()
        try:
            self.check("cuMemGetAllocationGranularity", ctypes.byref(size), self._properties(), 0, types="OOU")
            return size.value
        except (AttributeError, DeviceError):
            return 0

    def _new_slot(self, size):
        if not self._granularity:
            size += 2 * MARGIN
            address = ctypes.c_uint64()
            self.check("cuMemAlloc_v2", ctypes.byref(address), size, types="OQ")
            return _Slot(self, address.value, size)
        # Only the middle of what is reserved is mapped: an access beside it fails.
        unit = self._granularity
        size = max(1, -(-size // unit)) * unit
        address, memory = ctypes.c_uint64(), ctypes.c_uint64()
        self.check("cuMemAddressReserve", ctypes.byref(address), size + 2 * unit, 0, 0, 0, types="OQQQQ")
        start = address.value + unit
        self.check("cuMemCreate", ctypes.byref(memory), size, self._properties(), 0, types="OQOQ")
        self.check("cuMemMap", start, size, 0, memory.value, 0, types="QQQQQ")
        access = (ctypes.c_uint32 * 3)(1, self._ordinal, 3)
        self.check("cuMemSetAccess", start, size, access, 1, types="QQOQ")
        return _Slot(self, start, size)

    def place(self, host, size):
        """Copies bytes of the host to the device: to the end of mapped memory
        where they end at a page's end there, to its start where they start at
        one, else to either in turn."""
        fitting = [s for s in self.slots if s.end - s.start >= size + (0 if self._granularity else 2 * MARGIN)]
        slot = min(fitting, key=lambda s: s.end - s.start, default=None)
        if slot:
            self.slots.remove(slot)
        else:
            slot = self._new_slot(size)
        self._count += 1
        at_end, at_start = (host + size) % mmap.PAGESIZE == 0, host % mmap.PAGESIZE == 0
        inner = 0 if self._granularity else MARGIN
        if at_end or (not at_start and self._count % 2):
            address = slot.end - inner - size
        else:
            address = slot.start + inner
        return _Copy(slot, address, host, size)


class Host:
    """The processor in place of a device."""

    def module(self, path):
        return HostModule(path, self)


def interpreted():
    """The driver of the tests, whose kernels the interpreter of PTX runs."""
    from rope_testing.gpu import FakeCUDA

    return Cuda(FakeCUDA.get().library._name)


DEVICES = {"cuda": Cuda, "host": Host, "ptx": interpreted}

# The driver of the tests: memory, copies, launches with their arguments, errors.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: env HOST_CC=%host_cc %python %s

import ctypes
import os
import signal

import numpy as np
from rope_testing import ptx
from rope_testing.compare import Report
from rope_testing.gpu import LAUNCH_FAILED, FakeCUDA

SCALE = b"""
.version 7.0
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 .ptr .align 1 scale_param_0, .param .u64 scale_param_1, .param .f32 scale_param_2)
{
  .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %d<8>;
  ld.param.u64 %d1, [scale_param_0]; ld.param.u64 %d2, [scale_param_1]; ld.param.f32 %r5, [scale_param_2];
  mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.s32 %r1, %r2, %r3, %r1;
  cvt.u64.u32 %d3, %r1; setp.ge.u64 %p1, %d3, %d2; @%p1 bra $END;
  shl.b64 %d3, %d3, 2; add.s64 %d1, %d1, %d3;
  ld.global.f32 %r4, [%d1]; mul.rn.f32 %r4, %r4, %r5; st.global.f32 [%d1], %r4;
$END: ret;
}
"""


class Driver:
    """Calls of the driver as a program makes them."""

    def __init__(self):
        self.fake = FakeCUDA.get()
        self.library = self.fake.library

    def __call__(self, name, *arguments):
        values = [ctypes.c_uint64(a) if isinstance(a, int) else a for a in arguments]
        return getattr(self.library, name)(*values)

    def alloc(self, size):
        memory = ctypes.c_uint64()
        assert self("cuMemAlloc_v2", ctypes.byref(memory), size) == 0
        return memory.value

    def load(self, image=SCALE, kernel=b"scale"):
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        assert self("cuModuleLoadDataEx", ctypes.byref(module), image, 0, None, None) == 0
        assert self("cuModuleGetFunction", ctypes.byref(function), module, kernel) == 0
        return function

    def launch(self, function, memory, count, factor, grid=4, block=64, stream=0):
        values = [ctypes.c_uint64(memory), ctypes.c_uint64(count), ctypes.c_float(factor)]
        pointers = (ctypes.c_void_p * 3)(*[ctypes.addressof(v) for v in values])
        sizes = [ctypes.c_uint(n) for n in (grid, 1, 1, block, 1, 1, 0)]
        error = self.library.cuLaunchKernel(function, *sizes, ctypes.c_void_p(stream), pointers, None)
        # What the program does with them after the call is its own affair.
        values[0].value = 0
        return error


def check_launch(report, driver):
    function = driver.load()
    x = np.arange(200, dtype="f4")
    memory = driver.alloc(x.nbytes)
    report.true("alignment", memory % 256 == 0, hex(memory))
    driver("cuMemcpyHtoDAsync_v2", memory, ctypes.c_void_p(x.ctypes.data), x.nbytes, 5)
    driver.fake.log()
    report.true("launch", driver.launch(function, memory, 200, 3.0, stream=7) == 0, f"{driver.fake.error}")
    y = np.zeros_like(x)
    driver("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(y.ctypes.data), memory, x.nbytes, 5)
    report.same_bits("scaled", y, 3 * x)
    report.true("log", driver.fake.log() == [
        "cuLaunchKernel scale grid 4 1 1 block 64 1 1 shared 0 stream 7", "cuMemcpyDtoHAsync_v2 800 stream 5",
    ], "the log")  # fmt: skip
    launch = driver.fake.launches[-1]
    report.true("what the launch did", (
        launch.kernel, launch.grid, launch.block, launch.stream, launch.result.bytes(), launch.result.bytes(write=True),
    ) == ("scale", (4, 1, 1), (64, 1, 1), 7, 800, 800), f"{launch}")  # fmt: skip
    # One element too many: the memory ends where the allocation does.
    report.true("out of bounds", driver.launch(function, memory, 201, 3.0) == LAUNCH_FAILED, "no error")
    error, driver.fake.error = driver.fake.error, None
    report.true("why", "out of bounds" in str(error) and "begins 800 bytes before" in str(error), f"{error}")
    report.true("the error stays", driver("cuStreamSynchronize", 0) == LAUNCH_FAILED, "it is forgotten")
    driver("fake_cuda_reset")
    report.true("after reset", driver("cuStreamSynchronize", 0) == 0, "it stays")
    driver("cuMemFree_v2", memory)
    # Freed memory is no memory.
    report.true("freed", driver.launch(function, memory, 200, 3.0) == LAUNCH_FAILED, "no error")
    driver.fake.error = None
    driver("fake_cuda_reset")
    report.true("freed twice", driver("cuMemFree_v2", memory) == 1, "no error")


def check_errors(report, driver):
    function = driver.load()
    memory = driver.alloc(64)
    report.true("kernel", driver("cuModuleGetFunction", ctypes.byref(ctypes.c_void_p()), ctypes.cast(
        function, ctypes.POINTER(ctypes.c_void_p))[0], b"no") == 500, "no error")  # fmt: skip
    report.true("image", driver("cuModuleLoadDataEx", ctypes.byref(ctypes.c_void_p()), b"nothing", 0, None, None) == 218, "")
    for name, arguments in (
        ("behind", (memory, 65)), ("before", (memory - 4, 8)), ("null", (0, 4)),
    ):  # fmt: skip
        data = (ctypes.c_char * 100)()
        report.true(f"copy {name}", driver("cuMemcpyHtoDAsync_v2", arguments[0], data, arguments[1], 0) == 1, "no error")
        report.true(f"copy {name}", driver("cuMemcpyDtoHAsync_v2", data, arguments[0], arguments[1], 0) == 1, "no error")
    for name, more in (("empty", dict(grid=0)), ("large", dict(block=1025))):
        report.true(f"{name} launch", driver.launch(function, memory, 1, 1.0, **more) == 1, "no error")
    os.environ["FAKE_CUDA_FAIL"] = "cuMemAlloc_v2:2"
    report.true("failure", driver("cuMemAlloc_v2", ctypes.byref(ctypes.c_uint64()), 4) == 2, "no error")
    os.environ["FAKE_CUDA_FAIL"] = "cuLaunchKernel:700"
    report.true("failure of a launch", driver.launch(function, memory, 1, 1.0) == 700, "no error")
    del os.environ["FAKE_CUDA_FAIL"]
    os.environ["FAKE_CUDA_CHIP"] = "90"
    value = ctypes.c_int()
    driver.library.cuDeviceGetAttribute(ctypes.byref(value), 75, 0)
    report.true("chip", value.value == 9, f"{value}")
    del os.environ["FAKE_CUDA_CHIP"]
    driver("cuMemFree_v2", memory)
    report.true("all is freed", not driver.fake.regions(), f"{driver.fake.regions()}")


def check_lazy(report, driver):
    """Work that is queued runs when something waits, in order."""
    os.environ["FAKE_CUDA_LAZY"] = "1"
    function = driver.load()
    x = np.ones(64, "f4")
    memory = driver.alloc(256)
    driver("cuMemcpyHtoDAsync_v2", memory, ctypes.c_void_p(x.ctypes.data), 256, 3)
    x[:] = 2  # It was read before the copy returned.
    driver.fake.launches = []
    driver.launch(function, memory, 64, 5.0, stream=3)
    driver.launch(function, memory, 64, 7.0, stream=3)
    report.true("nothing ran", not driver.fake.launches, f"{driver.fake.launches}")
    driver("cuStreamSynchronize", 3)
    driver.library.fake_cuda_open_memory(1)
    got = np.frombuffer(ctypes.string_at(memory, 256), "f4")
    driver.library.fake_cuda_open_memory(0)
    report.same_bits("both ran", got, np.full(64, 35, "f4"))
    # Memory that is freed in order is there for what was queued before.
    driver.launch(function, memory, 64, 2.0, stream=3)
    report.true("free", driver("cuMemFreeAsync", memory, 3) == 0, "an error")
    driver("cuStreamSynchronize", 3)
    report.true("it ran", driver.fake.error is None and len(driver.fake.launches) == 3, f"{driver.fake.error}")
    report.true("it is freed", not driver.fake.regions(), "")
    del os.environ["FAKE_CUDA_LAZY"]


def check_guards(report, driver):
    """The host runs into a page that faults behind memory, and after its end."""
    memory = driver.alloc(5000)
    page_end = -(-(memory + 5000) // 256) * 256

    def signal_of(action):
        child = os.fork()
        if child == 0:
            action()
            os._exit(0)
        return os.WTERMSIG(os.waitpid(child, 0)[1])

    report.true("the device's", signal_of(lambda: ctypes.string_at(memory, 1)) == signal.SIGSEGV, "nothing faults")
    driver.library.fake_cuda_open_memory(1)
    report.true("inside", signal_of(lambda: ctypes.memset(memory, 0, 5000)) == 0, "it faults")
    report.true("behind", signal_of(lambda: ctypes.memset(page_end, 0, 1)) == signal.SIGSEGV, "nothing faults")
    fresh = np.frombuffer(ctypes.string_at(memory, 5000), "f4")
    driver.library.fake_cuda_open_memory(0)
    report.true("fresh memory", np.isnan(fresh).all(), "it holds numbers")
    driver("cuMemFree_v2", memory)
    report.true("freed", signal_of(lambda: ctypes.string_at(memory, 1)) == signal.SIGSEGV, "nothing faults")


def check_exception(report, driver):
    """Whatever is wrong with a kernel reaches the test."""
    function = driver.load(SCALE.replace(b"mul.rn.f32", b"mul.odd.f32"))
    memory = driver.alloc(4)
    driver.launch(function, memory, 1, 1.0)
    try:
        driver.fake.check()
        report.true("an unknown instruction", False, "no error")
    except ptx.PTXError as error:
        report.true("an unknown instruction", "mul.odd.f32" in str(error), f"{error}")
    driver("cuMemFree_v2", memory)


def main():
    report = Report()
    driver = Driver()
    for check in (check_launch, check_errors, check_lazy, check_guards, check_exception):
        check(report, driver)
    report.finish()


if __name__ == "__main__":
    main()

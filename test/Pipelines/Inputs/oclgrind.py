"""Runs kernels of OpenCL under a checker: what it finds is in its output.

As a module: Device().run(kernel, arrays, numbers, blocks, block_size), in a
process that oclgrind started. As a script, oclgrind.py KERNELS.mlir OUT:
compiles the kernels, sums rows with the kernel `sum`, and runs it once more
without its barriers, which must be found.
"""

import ctypes
import os
import pathlib
import subprocess
import sys

import numpy

WRITABLE, COPY_HOST = 1, 32
ALL_DEVICES = 0xFFFFFFFF


class Device:
    """The checker's device, with one program."""

    def __init__(self, program):
        # The checker comes before the system's library, so it is looked up here.
        self.library = ctypes.CDLL(None)
        self.error = ctypes.c_int()
        platform, device = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("clGetPlatformIDs", 1, ctypes.byref(platform), None)
        self.call("clGetDeviceIDs", platform, ctypes.c_uint64(ALL_DEVICES), 1,
                  ctypes.byref(device), None)
        devices = ctypes.byref(device)
        self.context = self.create("clCreateContext", None, 1, devices, None, None)
        self.queue = self.create("clCreateCommandQueue", self.context, device, ctypes.c_uint64(0))
        binary = pathlib.Path(program).read_bytes()
        size = ctypes.c_size_t(len(binary))
        pointer = ctypes.cast(ctypes.c_char_p(binary), ctypes.c_void_p)
        self.program = self.create("clCreateProgramWithBinary", self.context, 1, devices,
                                   ctypes.byref(size), ctypes.byref(pointer), None)
        self.call("clBuildProgram", self.program, 1, devices, b"-x spir -spir-std=1.2", None, None)

    def call(self, name, *arguments):
        code = getattr(self.library, name)(*arguments)
        assert code == 0, f"{name}: {code}"

    def create(self, name, *arguments):
        function = getattr(self.library, name)
        function.restype = ctypes.c_void_p
        made = ctypes.c_void_p(function(*arguments, ctypes.byref(self.error)))
        assert self.error.value == 0, f"{name}: {self.error.value}"
        return made

    def run(self, name, arrays, numbers, blocks, block_size):
        """Runs `blocks` blocks; arrays are NumPy's and hold the result after it."""
        kernel = self.create("clCreateKernel", self.program, name.encode())
        buffers = [self.create("clCreateBuffer", self.context, ctypes.c_uint64(WRITABLE | COPY_HOST),
                               ctypes.c_size_t(array.nbytes), array.ctypes.data_as(ctypes.c_void_p))
                   for array in arrays]
        for i, value in enumerate([*buffers, *map(ctypes.c_int64, numbers)]):
            self.call("clSetKernelArg", kernel, i, ctypes.c_size_t(8), ctypes.byref(value))
        self.call("clEnqueueNDRangeKernel", self.queue, kernel, 1, None,
                  ctypes.byref(ctypes.c_size_t(blocks * block_size)),
                  ctypes.byref(ctypes.c_size_t(block_size)), 0, None, None)
        for array, buffer in zip(arrays, buffers):
            self.call("clEnqueueReadBuffer", self.queue, buffer, 1, ctypes.c_size_t(0),
                      ctypes.c_size_t(array.nbytes), array.ctypes.data_as(ctypes.c_void_p),
                      0, None, None)


def compile_kernels(text, out):
    """Kernels of the portable form to what the checker reads."""
    pathlib.Path(f"{out}.mlir").write_text(text, encoding="utf-8")
    subprocess.run(["rope-opt", f"{out}.mlir", "-o", f"{out}.binary.mlir",
                    "--rope-to-spirv=from-launches kernels-only opencl"], check=True)
    subprocess.run([sys.executable, pathlib.Path(__file__).with_name("object.py"),
                    f"{out}.binary.mlir", f"{out}.spv"], check=True)
    subprocess.run(["llvm-spirv-14", "-r", f"{out}.spv", "-o", f"{out}.bc"], check=True)


def check(program):
    """What the checker says of the sums of five rows."""
    script = f"import oclgrind; oclgrind.sum_rows({program!r})"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)}
    result = subprocess.run(["oclgrind", "--data-races", "--num-threads", "1", sys.executable,
                             "-c", script], env=environment, capture_output=True, text=True,
                            check=False)
    return result.stdout + result.stderr


def sum_rows(program):
    rows = (numpy.arange(5 * 201, dtype=numpy.float32) % 31).reshape(5, 201)
    sums = numpy.zeros(5, numpy.float32)
    Device(program).run("sum", [rows, sums], [201, 201, 1], blocks=5, block_size=64)
    print("sums are", "right" if (sums == rows.sum(1)).all() else "wrong")


def main(source, out):
    text = pathlib.Path(source).read_text(encoding="utf-8")
    compile_kernels(text, f"{out}.whole")
    report = check(f"{out}.whole.bc")
    assert report == "sums are right\n", report
    assert "gpu.barrier" in text
    compile_kernels(text.replace("gpu.barrier", ""), f"{out}.racy")
    report = check(f"{out}.racy.bc")
    assert "Data race" in report or "data race" in report, report
    print("found the races of missing barriers, and none else")


if __name__ == "__main__":
    main(*sys.argv[1:])

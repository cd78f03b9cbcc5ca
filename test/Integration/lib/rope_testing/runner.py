# Compile MLIR to machine code and call its functions on NumPy arrays.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The smallest way from text to numbers: rope-compile as a program, ctypes for
the call. A module holds as many functions as its text does; compile many at a
time.
"""

import ctypes
import os
import subprocess
import tempfile

import numpy as np


def run(*command, stdin=""):
    """What the program `command` prints; raises with its errors."""
    done = subprocess.run(command, input=stdin.encode(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    return done.stdout.decode()


class Module:
    """Compiled functions, called by name."""

    def __init__(self, text, cpu="host", optimize="-O1", features=""):
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "module.so")
            options = [f"--target-cpu={cpu}", f"--target-features={features}", optimize, "-o", library]
            run("rope-compile", "-", *options, stdin=text)
            self._library = ctypes.CDLL(library)

    def call(self, name, *arguments):
        """Calls function `name`. Arguments are in the order of the C interface:
        those of the function, then one array for each result. Arrays go as
        strided memrefs, Python integers as i64, NumPy scalars as themselves."""
        function = getattr(self._library, "_mlir_ciface_" + name)
        function.restype = None
        function(*[argument(value) for value in arguments])


def argument(value, address=None):
    """A value as ctypes passes it; an array as if it were at `address`."""
    if isinstance(value, np.ndarray):
        return ctypes.byref(descriptor(value, address))
    if isinstance(value, np.float32):
        return ctypes.c_float(value)
    if isinstance(value, np.float64):
        return ctypes.c_double(value)
    if isinstance(value, np.int32):
        return ctypes.c_int32(value)
    return ctypes.c_int64(value)


def descriptor(array, address=None):
    """The strided memref descriptor of `array`, whose innermost stride is one:
    allocated pointer, aligned pointer, offset, sizes, strides."""
    if address is None:
        address = array.ctypes.data
    strides = [stride // array.itemsize for stride in array.strides]
    if strides:
        # NumPy may say anything where there is nothing to step to.
        if array.shape[-1] > 1 and array.size and strides[-1] != 1:
            raise ValueError(f"innermost stride is {strides[-1]}, not 1")
        strides[-1] = 1
    words = [address, address, 0, *array.shape, *strides]
    return (ctypes.c_int64 * len(words))(*words)

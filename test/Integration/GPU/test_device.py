# Calls on the memory of a device copy arrays there and back, and find what is
# written beside them.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: rm -rf %t && mkdir -p %t
# RUN: %host_cc -shared -fPIC %S/Inputs/driver.c -o %t/driver.so
# RUN: %host_cc -shared -fPIC -DNO_MAPPING %S/Inputs/driver.c -o %t/plain-driver.so
# RUN: %host_cc -shared -fPIC %S/Inputs/functions.c -o %t/functions.so
# RUN: %python %s %t/functions.so %t/driver.so %t/plain-driver.so

import os
import signal
import sys

import numpy as np
from rope_testing.device import Cuda, DeviceError
from rope_testing.memory import guarded


def fails(text, function):
    """`function` raises a DeviceError that says `text`."""
    try:
        function()
    except DeviceError as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no error that says: {text}")


def check_calls(module):
    for at_end in (False, True):
        x = guarded((3, 5), "f4", at_end)
        x[...] = np.arange(15).reshape(3, 5)
        y = np.zeros((3, 5), "f4")
        module.call("twice", x, y)
        assert (y == 2 * x).all() and (x.ravel() == np.arange(15)).all()
        # In place, and between other columns, which stay.
        memory = np.arange(24, dtype="f4").reshape(3, 8)
        view = memory[:, 2:7]
        module.call("twice", view, view.copy())
        module.call("twice", x, view)
        assert (view == 2 * x).all() and (memory[:, [0, 1, 7]].ravel() == [0, 1, 7, 8, 9, 15, 16, 17, 23]).all()
    empty = np.zeros((0, 5), "f4")
    module.call("twice", empty, empty.copy())
    large = np.random.default_rng(0).standard_normal((700, 1000)).astype("f4")
    result = np.zeros_like(large)
    module.call("twice", large, result)
    assert (result == 2 * large).all()
    fails("all went wrong", lambda: module.call("report"))
    # The error is gone with the call.
    module.call("twice", empty, empty.copy())
    arrays = np.ones((3, 5), "f4"), np.zeros((3, 5), "f4")
    # Placed to either side of mapped memory in turn.
    for _ in range(2):
        x, y = (guarded((3, 5), "f4", False) for _ in range(2))
        x[...], y[...] = arrays
        fails("wrote behind", lambda x=x, y=y: module.call("beyond", x, y))


def faults(module):
    """An access behind mapped memory ends the process."""
    child = os.fork()
    if child == 0:
        x, y = (guarded((3, 5), "f4", True) for _ in range(2))
        module.call("beyond", x, y)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV, status


def main():
    functions, driver, plain = sys.argv[1:]
    for library in (driver, plain):
        check_calls(Cuda(library).module(functions))
    faults(Cuda(driver).module(functions))


if __name__ == "__main__":
    main()

# The helpers of the execution tests find what they are there to find.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import contextlib
import io
import os
import sys

import mpmath
import numpy as np
from rope_testing import memory, reference
from rope_testing.compare import Report
from rope_testing.runner import Module, descriptor


def silent(function, *arguments):
    """What `function` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        function(*arguments)
    return out.getvalue()


def check_report():
    report = Report()
    report.close("k", "n", [1.0, np.nan, -np.inf], [1.5, np.nan, -np.inf], 0.5)
    report.same_bits("n", np.float32([0.0]), np.float32([0.0]))
    assert report.failures == 0
    for got, expected in (
        ([1.0, 2.0], [1.0, 2.1]), ([np.nan], [1.0]), ([1.0], [np.nan]),
        ([np.inf], [-np.inf]), ([1e300], [np.inf]), ([1.0], [1.0, 2.0]),
    ):  # fmt: skip
        before = report.failures
        text = silent(report.close, "k", "n", got, expected, 0.01)
        assert report.failures == before + 1, (got, expected)
    text = silent(report.close, "k", "name", [[1.0, 2.0]], [[1.0, 2.5]], 0.1)
    for part in ("name", "[0, 1]", "2.0", "2.5", "5.000e-01", "1.000e-01"):
        assert part in text, text
    text = silent(report.same_bits, "n", np.float32([0.0]), np.float32([-0.0]))
    assert "0x80000000" in text, text


def check_memory():
    """A touch of either guard ends the child, and the case is named."""
    for at_end, index in ((True, 3), (False, -1)):
        array = memory.guarded((3,), "f4", at_end)
        array[...] = 1
        beyond = np.lib.stride_tricks.as_strided(array[:1], (1,), (0,))
        pointer = array.ctypes.data + index * 4
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 2)
            memory.note("a case")
            memory.in_child(lambda: bytes((np.ctypeslib.ctypes.c_char * 4).from_address(pointer)))
        os.close(write)
        _, status = os.waitpid(child, 0)
        text = os.read(read, 1000).decode()
        assert os.WEXITSTATUS(status) == 1 and "SIGSEGV in: a case" in text, text
        assert beyond[0] == 1


def check_reference():
    rng = np.random.default_rng(0)
    for position in (0, 1, -1, 2**31 - 1, 10**15, 0.25, -1234567.875, 1e30):
        for w in (1.0, 0.1, 1e-9, 1000.1, float(rng.uniform())):
            cos, sin = reference.cos_sin(np.array(position), [w])
            with mpmath.workprec(2000):
                exact = reference.cos_sin_mp(position, w)
            assert abs(cos[0] - float(exact[0])) < 1e-15, (position, w)
            assert abs(sin[0] - float(exact[1])) < 1e-15, (position, w)
            if not isinstance(position, int):
                angle = np.array([position * 0.5])
                exact = mpmath.cos(mpmath.mpf(float(angle[0])))
                got = reference.cos_sin_of_angles(angle)[0][0]
                assert abs(got - float(exact)) < 1e-15
    assert reference.half_ulp(1.0, "f4") == 2.0**-24
    assert reference.half_ulp(1.0, reference.BF16) == 2.0**-8
    assert reference.half_ulp(0.0, "f2") == 2.0**-25
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]], "f4")
    cos, sin = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    y, _, rotated = reference.rotate(x, cos, sin, (), "half", 1)
    assert y.tolist() == [[1, -4, 3, 2, 5]] and sorted(rotated) == [1, 2, 3, 4]
    y, _, _ = reference.rotate(x, cos, sin, (), "interleaved", 0, None, "half")
    assert y.tolist() == [[-2, 3, 1, 4, 5]]


def check_runner():
    assert list(descriptor(np.zeros((2, 3, 4), "f4")[:, 1:]))[2:] == [0, 2, 2, 4, 12, 4, 1]
    try:
        descriptor(np.zeros((4, 4), "f4")[:, ::2])
        raise AssertionError("an innermost stride of two was taken")
    except ValueError:
        pass
    try:
        Module("func.func @f(")
        raise AssertionError("a module that does not parse was taken")
    except RuntimeError as error:
        assert "error:" in str(error), error


if __name__ == "__main__":
    check_report()
    check_memory()
    check_reference()
    check_runner()
    print("helpers find what they should")
    sys.exit(0)

# Arrays in memory that faults right behind, or right before, them.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A read or write out of bounds ends the process. `in_child` runs a test in a
child process and reports which case ended it."""

import ctypes
import mmap
import os
import signal
import sys
import traceback

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PROT_NONE = 0


class GuardedArray(np.ndarray):
    """An array that keeps its mapping alive."""


def guarded(shape, dtype, at_end=True):
    """A contiguous array whose last element is followed by a page that faults;
    with `at_end` false, whose first element is preceded by one."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    page = mmap.PAGESIZE
    pages = max(1, -(-size // page))
    mapping = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    for guard in (start, start + (pages + 1) * page):
        if _libc.mprotect(guard, page, _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect failed")
    offset = page + (pages * page - size if at_end else 0)
    flat = np.frombuffer(mapping, np.uint8, size, offset).view(dtype)
    array = flat.reshape(shape).view(GuardedArray)
    array.mapping = mapping
    return array


def guarded_copy(source, at_end=True):
    """`source` in guarded memory."""
    array = guarded(source.shape, source.dtype, at_end)
    array[...] = source
    return array


_current = mmap.mmap(-1, mmap.PAGESIZE)


def note(name):
    """Says which case is about to run."""
    text = name.encode()[: mmap.PAGESIZE - 1] + b"\0"
    _current[: len(text)] = text


def in_child(main):
    """Runs `main` in a child process and exits as it did; names the case where
    the child was killed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = 0 if stop.code is None else int(stop.code)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = _current[: _current.find(b"\0")].decode()
        sys.exit(f"killed by {signal.Signals(os.WTERMSIG(status)).name} in: {name}")
    sys.exit(os.WEXITSTATUS(status))

# An interpreter of PTX, for tests of kernels where there is no GPU.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels run on NumPy arrays in the memory of this process:

    module = ptx.Module(text)
    result = module.launch("kernel", grid=4, block=256, arguments=[x, y, 100])
    result.bytes("global", write=True)

All threads of several blocks run together, an instruction at a time, those that
are furthest behind first. An error is raised for what a device would pass over
or be undefined on:
  - accesses that are not aligned or lie outside of the arrays and variables;
  - registers and shared memory that are read before they are written;
  - two threads that touch the same memory with no barrier in between, one of
    them writing. Threads of a warp are no exception, blocks have no order;
  - shared memory that is touched while cp.async still writes it;
  - barriers that not all threads of a block reach;
  - shuffles and matrix instructions with lanes missing.
Numbers are those of IEEE arithmetic; .approx instructions are off by as much as
PTX allows. Instructions that are not known are refused by name.

What it does not see: how a device orders threads between barriers, and how
ptxas fuses mul.f32 and add.f32 that leave it the choice."""

from rope_testing.ptx.machine import Module, Result
from rope_testing.ptx.memory import PTXError, Region

__all__ = ["Module", "PTXError", "Region", "Result"]

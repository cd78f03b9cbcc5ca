# Memory as the interpreter sees it: which addresses exist, who touched them.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

import ctypes
from dataclasses import dataclass

import numpy as np

from rope_testing.ptx.numbers import U8, UNSIGNED


class PTXError(Exception):
    """What is wrong with a program, and where."""


@dataclass
class Region:
    """Addresses that exist."""

    start: int
    size: int
    name: str
    writable: bool = True

    @property
    def end(self):
        return self.start + self.size


_MANY = -(2**31)


class Tracker:
    """Who touched each granule last, to find threads that touch the same one
    with no barrier in between. Threads are counted from 1. A stamp is how many
    barriers the thread's block has passed, and below that its warp."""

    def __init__(self, granules, warp_syncs):
        def zeros(dtype):
            return np.zeros(granules, dtype)  # Untouched pages cost nothing.

        self.writer, self.write_stamp = zeros("i4"), zeros("i8")
        self.reader, self.read_stamp = zeros("i4"), zeros("i8")
        self.reader_block = zeros("i4")
        self.warp_syncs = warp_syncs

    def _ordered(self, warp, other_warp, stamp, other_stamp):
        """Whether barriers lie between two accesses of one block."""
        passed = (stamp ^ other_stamp) >> 32 != 0
        if self.warp_syncs:
            passed |= (warp == other_warp) & (stamp != other_stamp)
        return passed

    def conflict_of_read(self, g, who):
        writer = self.writer[g]
        found = (writer != 0) & (writer != who.thread)
        if not found.any():
            return None
        warp = (writer - 1) >> 5
        same_block = warp // who.warps == who.block
        ordered = self._ordered(who.warp, warp, who.stamp, self.write_stamp[g])
        found &= ~(same_block & ordered)
        return ("written", found, writer) if found.any() else None

    def conflict_of_write(self, g, who):
        found = self.conflict_of_read(g, who)
        if found:
            return found
        reader = self.reader[g]
        found = (reader != 0) & (reader != who.thread)
        if not found.any():
            return None
        same_block = self.reader_block[g] == who.block + 1
        ordered = self._ordered(who.warp, _warp_of(reader), who.stamp, self.read_stamp[g])
        found &= ~(same_block & ordered)
        return ("read", found, reader) if found.any() else None

    def read(self, g, who):
        before, stamp = self.reader[g], self.read_stamp[g]
        warp = _warp_of(before)
        shared = (before != 0) & (before != who.thread)
        shared &= ~self._ordered(who.warp, warp, who.stamp, stamp)
        value = np.where(shared, np.where(warp == who.warp, -who.warp - 1, _MANY), who.thread)
        self.reader[g] = value
        self.read_stamp[g] = who.stamp
        now = self.reader[g]
        # Several threads of this very access.
        other = now != value
        if other.any():
            g1, warp = g[other], who.warp[other]
            value = np.where(_warp_of(now[other]) == warp, -warp - 1, _MANY)
            self.reader[g1] = value
            self.reader[g1[self.reader[g1] != value]] = _MANY
        block = who.block + 1
        before = self.reader_block[g]
        value = np.where((before == 0) | (before == block), block, _MANY)
        self.reader_block[g] = value
        other = self.reader_block[g] != value
        if other.any():
            self.reader_block[g[other]] = _MANY

    def write(self, g, who):
        """Returns the lanes that write what another one writes at this time."""
        self.writer[g] = who.thread
        self.write_stamp[g] = who.stamp
        return self.writer[g] != who.thread


def _warp_of(reader):
    """The warp of a reader; -1 where they are of several."""
    return np.where(reader > 0, (reader - 1) >> 5, np.where(reader == _MANY, -1, -reader - 1))


@dataclass
class Who:
    """The threads of an access: numbers within the grid, in arrays."""

    thread: np.ndarray
    warp: np.ndarray
    block: np.ndarray
    stamp: np.ndarray
    warps: int  # of a block

    def repeated(self, n):
        parts = (np.repeat(x, n) for x in (self.thread, self.warp, self.block, self.stamp))
        return Who(*parts, self.warps)


def base(regions):
    """Where the offsets of a Space count from."""
    return min((r.start for r in regions if r.size), default=0) // 64 * 64


def stride(regions):
    """The bytes of one copy of a Space."""
    end = max((r.end for r in regions if r.size), default=0)
    return max(64, -(-(end - base(regions)) // 64) * 64)


class Space:
    """A memory: bytes at addresses, in regions. There are `copies` of it, one
    behind the other."""

    def __init__(self, name, regions, granule, data=None, copies=1, warp_syncs=False, races=True):
        self.name, self.granule, self.copies = name, granule, copies
        self.regions = sorted((r for r in regions if r.size), key=lambda r: r.start)
        self.base, self.stride = base(regions), stride(regions)
        self.starts = np.array([r.start for r in self.regions], U8)
        self.ends = np.array([r.end for r in self.regions], U8)
        if data is None:
            # Memory of the process, where it is.
            data = (ctypes.c_uint8 * self.stride).from_address(max(self.base, 64))
            data = np.ctypeslib.as_array(data)
        self.data = data
        self.views = {n: data.view(UNSIGNED[n]) for n in UNSIGNED}
        # Where the granules of each region are.
        counts = [r.size // granule + 2 for r in self.regions]
        firsts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.granules = int(firsts[-1])
        self.shift = np.array(
            [int(f) - r.start // granule for f, r in zip(firsts, self.regions)], np.int64
        )
        self.tracker = Tracker(self.granules * copies, warp_syncs) if races else None
        # Granules that a copy in flight will write.
        self.pending = np.zeros(self.granules * copies, bool)
        self.any_pending = False
        # [region, store] -> bytes
        self.traffic = np.zeros((len(self.regions), 2), np.int64)

    def locate(self, address, size, write, fail):
        """The region of each address, one number where it is the same; checks
        alignment and bounds. `fail(lane, message)` raises."""
        wrong = address & np.uint64(size - 1)
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            fail(i, f"address {int(address[i]):#x} of {size} bytes in {self.name} memory is not aligned")
        low, high = int(address.min()), int(address.max()) + size
        for i in range(min(len(self.regions), 8)):
            if self.regions[i].start <= low and high <= self.regions[i].end:
                region = i
                break
        else:
            region = np.searchsorted(self.starts, address, "right").astype(np.int64) - 1
            outside = region < 0
            region[outside] = 0
            if self.regions:
                outside |= address + np.uint64(size) > self.ends[region]
            else:
                outside[:] = True
            if outside.any():
                i = int(np.flatnonzero(outside)[0])
                fail(i, f"{size} bytes at {int(address[i]):#x} are out of bounds: " + self._near(int(address[i])))
        if write and not all(r.writable for r in self.regions):
            for r in np.unique(region):
                if not self.regions[r].writable:
                    fail(0, f"{self.regions[r].name} is written, which is constant")
        return region

    def _near(self, address):
        if not self.regions:
            return f"there is no {self.name} memory"
        i = max(int(np.searchsorted(self.starts, U8.type(address), "right")) - 1, 0)
        r = self.regions[i]
        if address < r.start:
            return f"{r.name} begins {r.start - address} bytes behind"
        return f"{r.name} of {r.size} bytes begins {address - r.start} bytes before"

    def granules_of(self, address, size, region, copy):
        """Numbers of granules, [lane * granules of one access]."""
        g = (address // np.uint64(self.granule)).astype(np.int64) + self.shift[region]
        if self.copies > 1:
            g = g + copy * self.granules
        n = max(1, size // self.granule)
        if n > 1:
            g = (g[:, None] + np.arange(n)).ravel()
        return g, n

    def offsets(self, address, copy):
        offset = (address - np.uint64(self.base)).astype(np.int64)
        return offset + copy * self.stride if self.copies > 1 else offset

    def count(self, region, size, n, write):
        if np.ndim(region):
            self.traffic[:, int(write)] += np.bincount(region, minlength=len(self.regions)) * size
        else:
            self.traffic[region, int(write)] += size * n


def region_of(array, name):
    """The region of a NumPy array, which must be contiguous in all its extent."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return Region(low, high - low, name, array.flags.writeable)

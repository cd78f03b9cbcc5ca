# Runs kernels.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

from collections import Counter

import numpy as np

from rope_testing.ptx.instructions import SHARED_WINDOW, Form, access, compile_instruction
from rope_testing.ptx.memory import PTXError, Region, Space, Who, region_of, stride
from rope_testing.ptx.numbers import U4, U8
from rope_testing.ptx.text import SIZES, Imm, Parser

# Threads that run together, about.
BATCH = 8192
# Behind each variable of shared memory.
SHARED_GAP = 64
SHARED_BASE = 1024


class Result:
    """What a launch did."""

    def __init__(self, kernel, threads):
        self.kernel, self.threads = kernel, threads
        self.executed = [0] * len(kernel.code)  # threads that ran each instruction
        self.accesses = Counter()  # (space, write, bytes) -> accesses of one thread
        self.regions = Counter()  # (space, name, write) -> bytes
        # With `measure`: the parts of 32 bytes that warps touch in global memory,
        # and the rounds that their accesses of shared memory take: write -> number.
        self.sectors, self.rounds, self.needed_rounds = Counter(), Counter(), Counter()

    def instructions(self):
        """How often each instruction ran, by its name; threads are counted."""
        counts = Counter()
        for ins, n in zip(self.kernel.code, self.executed):
            counts[ins.op] += n
        return +counts

    def count(self, prefix):
        return sum(n for op, n in self.instructions().items() if op.startswith(prefix))

    def widths(self, space="global", write=False):
        """{bytes of one access: accesses}."""
        return {
            size: n for (s, w, size), n in sorted(self.accesses.items()) if (s, w) == (space, write)
        }

    def efficiency(self, write=False):
        """The part that is used of what global memory moves."""
        return self.bytes("global", write) / max(1, 32 * self.sectors[write])

    def conflicts(self, write=False):
        """Rounds that banks of shared memory add, for each one that is needed."""
        return (self.rounds[write] - self.needed_rounds[write]) / max(1, self.needed_rounds[write])

    def bytes(self, space="global", write=False, name=None):
        """Bytes moved; those of one array or variable with `name`."""
        return sum(
            n for (s, r, w), n in self.regions.items()
            if (s, w) == (space, write) and name in (None, r)
        )  # fmt: skip


class Module:
    """The kernels and variables of a text."""

    def __init__(self, text):
        if isinstance(text, bytes):
            text = text.decode()
        parser = Parser(text)
        self.kernels, self.variables = parser.kernels, parser.variables
        self._ready = set()

    def kernel(self, name):
        if name not in self.kernels:
            raise PTXError(f"there is no kernel '{name}', but {', '.join(self.kernels) or 'none'}")
        kernel = self.kernels[name]
        if name not in self._ready:
            for ins in kernel.code:
                ins.run = compile_instruction(ins, kernel)
            self._ready.add(name)
        return kernel

    def launch(self, name, grid, block, arguments=(), shared_bytes=0, memory=(), **options):
        """Runs a kernel. Arguments are arrays, as pointers, numbers and NumPy
        scalars, or bytes: all parameters as they lie in memory. `memory` holds
        Regions and arrays that exist besides. Options: `races`,
        `unwritten_shared`: false to allow them; `measure`: true to count sectors
        of global memory and conflicts of banks."""
        kernel = self.kernel(name)
        regions = []
        for i, item in enumerate([*arguments, *memory]):
            if isinstance(item, np.ndarray):
                regions.append(region_of(item, f"argument {i}" if i < len(arguments) else f"memory {i}"))
            elif isinstance(item, Region):
                regions.append(item)
        params = pack(kernel, arguments)
        return launch(self, kernel, _three(grid), _three(block), params, shared_bytes, regions, **options)


def _three(sizes):
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return sizes + (1,) * (3 - len(sizes))


def pack(kernel, arguments):
    """The parameters as they lie in memory."""
    if len(arguments) == 1 and isinstance(arguments[0], (bytes, bytearray)):
        data = np.frombuffer(bytes(arguments[0]), np.uint8)
        if len(data) != kernel.param_bytes:
            raise PTXError(f"{kernel.name} takes {kernel.param_bytes} bytes, not {len(data)}")
        return data
    if len(arguments) != len(kernel.params):
        raise PTXError(f"{kernel.name} takes {len(kernel.params)} arguments, not {len(arguments)}")
    data = np.zeros(kernel.param_bytes, np.uint8)
    for value, (offset, size) in zip(arguments, kernel.params.values()):
        if isinstance(value, np.ndarray):
            value = value.ctypes.data
        if isinstance(value, np.generic):
            raw = value.tobytes()
        else:
            raw = int(value).to_bytes(size, "little", signed=value < 0)
        if len(raw) != size:
            raise PTXError(f"an argument of {kernel.name} has {len(raw)} bytes in place of {size}")
        data[offset : offset + size] = np.frombuffer(raw, np.uint8)
    return data


def _granules(kernel):
    """The narrowest access of each space."""
    sizes = {"global": 16, "shared": 16}
    for ins in kernel.code:
        name = ins.parts()[0]
        if name in ("ld", "ldu", "st", "atom", "red"):
            form = Form(ins, kernel)
            if name in ("atom", "red"):
                space, size = None, SIZES[form.type]
            else:
                space, _, size = access(form)
            for s in [space] if space in sizes else sizes:
                if space not in ("param", "const"):
                    sizes[s] = min(sizes[s], size)
        elif name == "cp" and len(ins.operands) > 2:
            for s in sizes:
                sizes[s] = min(sizes[s], ins.operands[2].value)
    return sizes


def launch(module, kernel, grid, block, params, shared_bytes, regions, races=True, unwritten_shared=True,
           measure=False):
    threads = int(np.prod(block))
    for what, limit in (("reqntid", kernel.required_threads), ("maxntid", kernel.max_threads)):
        total = int(np.prod(limit)) if limit else 1024
        if threads > total or (what == "reqntid" and limit and limit != block):
            raise PTXError(f"{kernel.name} is made for .{what} {limit or 1024}, not for blocks of {block}")
    if min(grid) < 1 or min(block) < 1:
        raise PTXError(f"{kernel.name}: an empty launch, grid {grid}, block {block}")
    granules = _granules(kernel)
    warp_syncs = any(ins.op == "bar.warp.sync" for ins in kernel.code)
    regions = list(regions)
    addresses = {}
    # Variables.
    for variable in module.variables.values():
        if variable.data is not None:
            start = variable.data.ctypes.data
            addresses[variable.name] = start
            regions.append(Region(start, variable.size, variable.name, variable.space == "global"))
    shared, end = [], SHARED_BASE
    dynamic = [v for v in module.variables.values() if v.space == "shared" and v.size is None]
    static = [v for v in module.variables.values() if v.space == "shared" and v.size is not None]
    for variable in [*static, *kernel.shared]:
        # As aligned as it says, and no more.
        end = -(-end // (2 * variable.align)) * 2 * variable.align + variable.align
        addresses[variable.name] = end
        shared.append(Region(end, variable.size, variable.name))
        end += variable.size + SHARED_GAP
    if dynamic:
        align = max(v.align for v in dynamic)
        end = -(-end // (2 * align)) * 2 * align + align
        addresses.update((v.name, end) for v in dynamic)
        shared.append(Region(end, shared_bytes, dynamic[0].name))
    result = Result(kernel, threads * int(np.prod(grid)))
    options = dict(warp_syncs=warp_syncs, races=races)
    memory = Space("global", _distinct(regions), granules["global"], **options)
    blocks = int(np.prod(grid))
    together = max(1, min(blocks, BATCH // threads))
    for first in range(0, blocks, together):
        copies = min(together, blocks - first)
        # What was not written is no number in any type of floats.
        data = np.full(copies * stride(shared), 0xFF, np.uint8)
        local = Space("shared", shared, granules["shared"], data, copies, **options)
        machine = Machine(kernel, grid, block, first, copies, params, addresses, memory, local, result)
        machine.unwritten_shared, machine.measure = unwritten_shared, measure
        with np.errstate(all="ignore"):
            machine.run()
        _count(result, local)
    _count(result, memory)
    return result


def _count(result, space):
    for region, (read, written) in zip(space.regions, space.traffic):
        result.regions[space.name, region.name, False] += int(read)
        result.regions[space.name, region.name, True] += int(written)


def _distinct(regions):
    """Regions that do not overlap: arrays may be passed twice."""
    merged = []
    for r in sorted(regions, key=lambda r: (r.start, -r.size)):
        if merged and r.start < merged[-1].end:
            last = merged[-1]
            size = max(last.end, r.end) - last.start
            merged[-1] = Region(last.start, size, last.name, last.writable and r.writable)
        else:
            merged.append(r)
    return merged


class Machine:
    """Some blocks of a launch."""

    def __init__(self, kernel, grid, block, first, copies, params, addresses, memory, local, result):
        self.kernel, self.result, self.params = kernel, result, params
        self.addresses, self.memory, self.local = addresses, memory, local
        count = int(np.prod(block))
        self.warps = -(-count // 32)
        # Blocks are padded to whole warps with threads that never run.
        padded = 32 * self.warps
        self.threads = copies * padded
        self.numbers_of_all = np.arange(self.threads)
        number = np.arange(padded)
        in_block = np.tile(number, copies)
        self.copy = np.repeat(np.arange(copies), padded)
        block_number = self.copy + first
        self.block = block_number.astype(np.int32)
        self.warp = (block_number * self.warps + in_block // 32).astype(np.int32)
        self.thread = (block_number * padded + in_block + 1).astype(np.int32)
        self.stamp = np.full(self.threads, 1 << 32, np.int64)
        self.lane = in_block % 32
        self.place = in_block
        x, y, z = block
        gx, gy, gz = grid
        self.special = {
            "%tid.x": in_block % x, "%tid.y": in_block // x % y, "%tid.z": in_block // (x * y),
            "%ntid.x": x, "%ntid.y": y, "%ntid.z": z,
            "%ctaid.x": block_number % gx, "%ctaid.y": block_number // gx % gy,
            "%ctaid.z": block_number // (gx * gy),
            "%nctaid.x": gx, "%nctaid.y": gy, "%nctaid.z": gz,
            "%laneid": self.lane, "%warpid": in_block // 32, "%nwarpid": self.warps,
        }  # fmt: skip
        for name, value in self.special.items():
            self.special[name] = U4.type(value) if np.isscalar(value) else value.astype(U4)
        self.exists = in_block < count
        self.exited = ~self.exists
        self.values = {}
        self.undefined = {}
        self.carry = np.zeros(self.threads, bool)
        self.copies = []  # started by cp.async
        self.groups_of_copies = np.zeros(self.threads, np.int64)
        self.current = None
        self.who_all = Who(self.thread, self.warp, self.block, self.stamp, self.warps)

    def fail(self, lane, message):
        """Raises; `lane` is the place of the thread among those that run."""
        ins = self.kernel.code[self.pc]
        where = f"{self.kernel.name}, PTX line {ins.line}, '{ins.text}'"
        if lane is not None:
            where += ", " + self._name(self.numbers(self.current)[lane])
        raise PTXError(f"{message}\n  in {where}")

    def _name(self, number):
        return f"thread {int(self.place[number])} of block {int(self.block[number])}"

    # Threads ------------------------------------------------------------------

    def count(self, idx):
        return self.threads if idx is None else len(idx)

    def numbers(self, idx):
        return self.numbers_of_all if idx is None else idx

    def lanes(self, idx):
        return self.lane if idx is None else self.lane[idx]

    def who(self, idx):
        if idx is None:
            return self.who_all
        return Who(self.thread[idx], self.warp[idx], self.block[idx], self.stamp[idx], self.warps)

    def members(self, idx, mask):
        """Which threads of the batch take part in an instruction of warps; all
        that the mask names have to run it."""
        running = np.zeros(self.threads, bool)
        running[self.numbers(idx)] = True
        masks = np.zeros(self.threads // 32, np.int64)
        masks[self.numbers(idx) >> 5] = mask
        named = (np.repeat(masks, 32) >> self.lane) & 1 != 0
        missing = named & ~running & self.exists
        if missing.any():
            self.fail(0, f"{self._name(np.flatnonzero(missing)[0])} is named in the mask but does not run this")
        unnamed = running & ~named
        if unnamed.any():
            self.fail(0, f"{self._name(np.flatnonzero(unnamed)[0])} runs this but is not named in the mask")
        return running

    def whole_warps(self, idx):
        if idx is None:
            return
        running = np.zeros(self.threads, bool)
        running[idx] = True
        some = running.reshape(-1, 32)
        missing = some.any(1) & ~some.all(1)
        if missing.any():
            lane = int((~some[missing.argmax()]).argmax())
            self.fail(0, f"lane {lane} of the warp does not run this")

    # Registers ------------------------------------------------------------------

    def get(self, name, idx):
        value = self.values.get(name)
        if value is None:
            self.fail(0, f"register {name} is read, but was never written")
        if self.undefined and name in self.undefined:
            bad = self.undefined[name] if idx is None else self.undefined[name][idx]
            if bad.any():
                self.fail(int(np.flatnonzero(bad)[0]), f"register {name} is read, but was never written")
        return value if idx is None else value[idx]

    def set(self, name, idx, value):
        if idx is None:
            if value.ndim == 0 or len(value) != self.threads:
                value = np.full(self.threads, value)
            self.values[name] = value
            self.undefined.pop(name, None)
            return
        if name not in self.values:
            self.values[name] = np.zeros(self.threads, self.kernel.registers[name])
            self.undefined[name] = ~self.exited
        self.values[name][idx] = value
        if name in self.undefined:
            bad = self.undefined[name]
            bad[idx] = False
            if not bad.any():
                del self.undefined[name]

    def is_defined(self, name, idx):
        if name not in self.values:
            return False
        bad = self.undefined.get(name)
        return bad is None or not (bad if idx is None else bad[idx]).any()

    def move_undefined(self, to, source, idx):
        """A copy of a register that some threads never wrote: they still have not
        written the other one."""
        if source not in self.values or to not in self.kernel.registers:
            return
        numbers = self.numbers(idx)
        bad = self.undefined[source][numbers]
        good = numbers[~bad]
        if len(good):
            self.set(to, good, self.values[source][good])
        if to in self.values:
            self.undefined.setdefault(to, np.zeros(self.threads, bool))[numbers[bad]] = True

    def get_carry(self, idx):
        return self.carry if idx is None else self.carry[idx]

    def set_carry(self, idx, value):
        if idx is None:
            self.carry = np.array(np.broadcast_to(value, self.threads))
        else:
            self.carry[idx] = value

    # Memory ---------------------------------------------------------------------

    def address_of(self, name):
        if name not in self.addresses:
            self.fail(None, f"there is no variable '{name}'")
        return self.addresses[name]

    def by_space(self, space, idx, address):
        """[(threads, (space, address))]: generic addresses are sorted out."""
        if space != "generic":
            return [(idx, ("shared" if space == "shared" else "global", address))]
        inside = address >= SHARED_WINDOW
        if not inside.any():
            return [(idx, ("global", address))]
        local = address - U8.type(SHARED_WINDOW)
        if inside.all():
            return [(idx, ("shared", local))]
        numbers = self.numbers(idx)
        return [
            (numbers[~inside], ("global", address[~inside])),
            (numbers[inside], ("shared", local[inside])),
        ]

    def access(self, name, idx, address, size, write, atomic=False):
        """Checks and counts an access; the space and the offset of each thread."""
        space = self.local if name == "shared" else self.memory
        self.current = idx
        copy = self.copy if idx is None else self.copy[idx]
        region = space.locate(address, size, write, self.fail)
        self.result.accesses[name, write, size] += len(address)
        space.count(region, size, len(address), write)
        if self.measure:
            self._measure(name, idx, address, size, write)
        tracker = space.tracker
        if space.any_pending or (tracker and not atomic) or (name == "shared" and self.unwritten_shared):
            g, n = space.granules_of(address, size, region, copy)
            if space.any_pending and space.pending[g].any():
                lane = int(np.flatnonzero(space.pending[g])[0]) // n
                self.fail(lane, "shared memory is touched that cp.async still writes; it was not waited for")
            if tracker and not atomic:
                who = self.who(idx)
                if n > 1:
                    who = who.repeated(n)
                if write:
                    self._check(tracker.conflict_of_write(g, who), "writes", n, address)
                    twice = tracker.write(g, who)
                    if twice.any():
                        lane = int(np.flatnonzero(twice)[0])
                        other = int(tracker.writer[g[lane]])
                        self._race("writes", "written", lane // n, other, address)
                else:
                    if name == "shared" and self.unwritten_shared:
                        unknown = tracker.writer[g] == 0
                        if unknown.any():
                            lane = int(np.flatnonzero(unknown)[0]) // n
                            self.fail(lane, f"shared memory at {int(address[lane]):#x} is read, but was never written")
                    self._check(tracker.conflict_of_read(g, who), "reads", n, address)
                    tracker.read(g, who)
        return space, space.offsets(address, copy)

    def _measure(self, name, idx, address, size, write):
        numbers = self.numbers(idx).astype(np.uint64)
        if name == "global":
            warp = (numbers >> U8.type(5)) << U8.type(48)
            parts = address[:, None] + np.arange(0, size, 32, dtype=U8)
            keys = warp[:, None] | (parts & U8.type((1 << 48) - 1)) >> U8.type(5)
            self.result.sectors[write] += len(np.unique(keys))
            return
        # A round takes one word of each of 32 banks: as many lanes as 128 bytes
        # have room for, together.
        together = min(32, 128 // size) if size >= 4 else 32
        phase = (numbers // U8.type(together)).astype(np.int64)
        words = (address[:, None] + np.arange(0, size, 4, dtype=U8)).astype(np.int64) >> 2
        keys = np.unique((phase[:, None] << 32 | words).ravel())
        banks = np.unique((keys >> 32) * 32 + (keys & 31), return_counts=True)
        most = np.zeros(int(banks[0][-1]) // 32 + 1, np.int64)
        np.maximum.at(most, banks[0] // 32, banks[1])
        self.result.rounds[write] += int(most.sum())
        self.result.needed_rounds[write] += int((most > 0).sum())

    def _check(self, conflict, verb, n, address):
        if conflict:
            what, found, who = conflict
            lane = int(np.flatnonzero(found)[0])
            self._race(verb, what, lane // n, int(who[lane]), address)

    def _race(self, verb, what, lane, other, address):
        padded = 32 * self.warps
        if other > 0:
            name = f"thread {(other - 1) % padded} of block {(other - 1) // padded}"
        elif other > -(2**31):
            name = f"threads of warp {(-other - 1) % self.warps} of block {(-other - 1) // self.warps}"
        else:
            name = "several threads"
        self.fail(lane, f"a race: {int(address[lane]):#x} is {what} by {name}, and this {verb} it with no barrier in between")

    # Asynchronous copies: they happen when they are waited for. ------------------

    def start_copies(self, idx, to, source, size, used):
        space, offset = self.access("shared", idx, to, size, True)
        numbers = np.array(self.numbers(idx))
        # Copies of no bytes read nothing.
        reads = np.ones(len(numbers), bool) if used is None else used > 0
        data = np.zeros((len(numbers), size), np.uint8)
        if reads.any():
            memory, at = self.access("global", numbers[reads], source[reads], size, False)
            data[reads] = memory.data[at[:, None] + np.arange(size)]
        if used is not None:
            if (used > size).any():
                self.fail(0, f"cp.async of {size} bytes is to read more")
            data[np.arange(size) >= used[:, None]] = 0
        self.current = idx
        region = space.locate(to, size, True, self.fail)
        g, n = space.granules_of(to, size, region, self.copy[numbers])
        space.pending[g] = True
        space.any_pending = True
        self.copies.append((numbers, g.reshape(-1, n), offset, data, self.groups_of_copies[numbers].copy()))

    def commit_copies(self, idx):
        self.groups_of_copies[self.numbers(idx)] += 1

    def wait_copies(self, idx, n):
        waits = np.zeros(self.threads, bool)
        waits[self.numbers(idx)] = True
        rest, space = [], self.local
        for numbers, g, offset, data, group in self.copies:
            done = waits[numbers] & (group < self.groups_of_copies[numbers] - n)
            if done.any():
                size = data.shape[1]
                space.data[offset[done, None] + np.arange(size)] = data[done]
                space.pending[g[done].ravel()] = False
                if space.tracker:
                    # Now it is written.
                    space.tracker.write(g[done].ravel(), self.who(numbers[done]).repeated(g.shape[1]))
            if not done.all():
                keep = ~done
                rest.append((numbers[keep], g[keep], offset[keep], data[keep], group[keep]))
        self.copies = rest
        space.any_pending = bool(rest)

    # Control ---------------------------------------------------------------------

    def warp_barrier(self, idx, mask):
        self.members(idx, mask)
        self.stamp[self.numbers(idx)] += 1

    def run(self):
        code, executed = self.kernel.code, self.result.executed
        everyone = None if self.exists.all() else np.flatnonzero(self.exists)
        groups = {0: everyone}
        waiting = {}  # pc of a barrier -> threads
        end = len(code)
        while True:
            if not groups:
                if not waiting:
                    return
                self.release(waiting, groups)
            pc = min(groups)
            idx = groups.pop(pc)
            n = self.count(idx)
            while True:
                if pc == end:
                    raise PTXError(f"{self.kernel.name}: the end is reached without ret")
                ins = code[pc]
                self.pc, self.current = pc, idx
                executed[pc] += n
                if ins.run:
                    if ins.guard is None:
                        ins.run(self, idx)
                    else:
                        some = self.guarded(ins, idx)
                        if len(some):
                            self.current = some
                            ins.run(self, some if len(some) < self.threads else None)
                    pc += 1
                    if pc in groups:
                        self.join(groups, pc, idx)
                        break
                    continue
                # Control.
                chosen = idx
                if ins.guard is not None:
                    chosen = self.guarded(ins, idx)
                    if len(chosen) == n:
                        chosen = idx
                    elif len(chosen) == 0:
                        pc += 1
                        if pc in groups:
                            self.join(groups, pc, idx)
                            break
                        continue
                    else:
                        # Some go on with the next instruction.
                        mask = np.zeros(self.threads, bool)
                        mask[self.numbers(idx)] = True
                        mask[chosen] = False
                        self.join(groups, pc + 1, np.flatnonzero(mask))
                self.control(ins, pc, chosen, groups, waiting)
                break

    def guarded(self, ins, idx):
        """The threads whose predicate holds."""
        value = self.get(ins.guard, idx)
        return self.numbers(idx)[~value if ins.negated else value]

    def join(self, groups, pc, idx):
        other = groups.get(pc, False)
        if other is False:
            groups[pc] = idx
        else:
            both = np.sort(np.concatenate([self.numbers(other), self.numbers(idx)]))
            groups[pc] = both if len(both) < self.threads else None

    def control(self, ins, pc, idx, groups, waiting):
        name = ins.parts()[0]
        if name == "bra":
            self.join(groups, ins.target, idx)
        elif name == "brx":
            index = self.get(ins.operands[0].name, idx)
            for value in np.unique(index):
                if value >= len(ins.target):
                    self.fail(0, f"brx.idx goes to label {value} of {len(ins.target)}")
                self.join(groups, ins.target[value], self.numbers(idx)[index == value])
        elif name in ("ret", "exit"):
            self.exited[self.numbers(idx)] = True
            for name in [n for n in self.undefined]:
                self.undefined[name][self.numbers(idx)] = False
        else:
            limit = getattr(ins, "barrier_threads", None)
            if limit is not None:
                count = limit.value if isinstance(limit, Imm) else None
                if count != int(self.exists.sum()) // (self.threads // (32 * self.warps)):
                    self.fail(0, "a barrier of some threads of the block is not known")
            self.join(waiting, pc, idx)
            self.release_full(waiting, groups, pc)

    def release_full(self, waiting, groups, pc):
        """Lets those blocks go on all of whose threads wait at `pc`."""
        idx = self.numbers(waiting[pc])
        padded = 32 * self.warps
        counts = np.bincount(idx // padded, minlength=self.threads // padded)
        full = counts == self.exists[:padded].sum()
        if not full.any():
            return
        del waiting[pc]
        go = full[idx // padded]
        self.stamp[idx[go]] = (self.stamp[idx[go]] >> 32) + 1 << 32
        if not go.all():
            waiting[pc] = idx[~go]
        free = idx[go]
        self.join(groups, pc + 1, free if len(free) < self.threads else None)

    def release(self, waiting, groups):
        """Nobody runs, some wait: that is an error."""
        pc = min(waiting)
        idx = self.numbers(waiting[pc])
        self.pc, self.current = pc, idx
        block = self.block[idx[0]]
        at = {code: self.numbers(w) for code, w in waiting.items()}
        others = [
            f"{int((self.block[w] == block).sum())} wait at PTX line {self.kernel.code[code].line}"
            for code, w in sorted(at.items())
            if (self.block[w] == block).any()
        ]
        gone = int((self.exited & self.exists & (self.block == block)).sum())
        self.fail(0, f"a barrier that not all threads of block {block} reach: {', '.join(others)}, {gone} have exited")

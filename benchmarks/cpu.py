#!/usr/bin/env python3
# Rotations, attention and projections on the processor against others.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles rotations, attention, decode steps and projections, calls them in turn with
others' ways to compute the same of the same arrays, with copies of the bytes or with the
processor's peak, and prints how many times as fast they are.

  benchmarks/cpu.py [--quick] [--filter=TEXT] [--threads=1,2] [--peers=NAME,...]
                    [--rounds=N] [--json=FILE] [--list]

  --quick          a few workloads and rounds, in less than three minutes
  --filter=TEXT    workloads whose name and type, as --list prints them, contain TEXT
  --threads=1,2    numbers of threads, one process for each; default: 1 and 2
  --peers=A,B      peers whose name contains one of these; `none`: copies alone
  --rounds=N       rounds of each workload that have to be undisturbed
  --json=FILE      where results go, each as soon as it is there
  --list           prints the workloads, the peers and the goals

`make bench` and `make bench-quick` build, install the peers and run it. How times are
taken, and how to read them: docs/benchmarks.md. A process that another program disturbs
says so; for figures worth quoting, run it alone.
"""

import ctypes
import json
import os
import pathlib
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "benchmarks"
# One for all: memory once got is kept, and lies in large pages where the system has them.
MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(64 << 20),
          "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # fmt: skip
COPIES = {"memcpy": "memcpy", "memcpy_blocks": "memcpy of 64 KB",
          "plain": "vectors", "plain_4k": "vectors, prefetch 4 KB",
          "stream": "streaming", "stream_2k": "streaming, prefetch 2 KB",
          "stream_4k": "streaming, prefetch 4 KB", "stream_8k": "streaming, prefetch 8 KB"}  # fmt: skip
# In place nothing is streamed.
TOUCHES = ("plain", "plain_4k")
READS = {"read_plain": "vectors", "read_2k": "vectors, prefetch 2 KB", "read_4k": "vectors, prefetch 4 KB"}
PEAKS = {"FMA peak": "peak_fma", "vdpbf16ps peak": "peak_vdpbf16ps", "AMX peak": "peak_amx"}
RATES = {"GB/s": "gigabytes_per_second", "Gflop/s": "gigaflops_per_second"}
OURS, OURS_C = "rope", "rope from C"
# Seconds: others' threads are asleep after the first, samples of small ones take the second,
# and a call as long as the third needs none before it that is not timed.
PAUSE, SAMPLE, LONG = 4e-3, 2e-3, 0.1
# So much of a processor used by others spoils a round.
FOREIGN = 0.15
LIMIT_SCRATCH = 1 << 20
# What a thread may keep for attention, beyond packed keys and values.
LIMIT_THREAD = 8 << 20
LIMIT_ANGLE = 3e-7
# Of mean errors: the largest of many is 0.6 to 1.7 of PyTorch's for the same code and other numbers.
BESIDE, LIMIT_BESIDE = "PyTorch eager", 1.1
# Attention with rotations in the time of the best attention alone, over all cells.
GOAL_ALONE = 1.3
LIMIT_CALL = 1000


# Results ----------------------------------------------------------------------


class Report:
    """The JSON file, whole after each addition."""

    def __init__(self, path, machine=None):
        self.path = pathlib.Path(path)
        if machine is None:
            self.content = json.loads(self.path.read_text())
        else:
            self.content = {"machine": machine, "results": [], "checks": [], "accuracy": []}
            self.save()

    def add(self, kind, *entries):
        for entry in entries:
            if entry not in self.content[kind]:
                self.content[kind].append(entry)
        self.save()

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        # A line for each row, so that versions compare.
        texts = [f'"{key}": ' + ("[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list)
                                else json.dumps(value)) for key, value in self.content.items()]  # fmt: skip
        part.write_text("{\n" + ",\n".join(texts) + "\n}\n")
        os.replace(part, self.path)


def reached(row):
    if row["goal"] is None or row["ratio"] is None:
        return None
    # Two runs of the same code differ by their noise.
    best = row["spread"][1] if row["peer"] == "near positions" else row["ratio"]
    return max(best, row["ratio"]) >= row["goal"]


def machine(threads):
    import peers

    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {"processor": names[0] if names else platform.machine(), "cores": os.cpu_count(),
            "system": platform.platform(), "threads": threads,
            "versions": peers.versions(), "memory": MEMORY}  # fmt: skip


# Times ------------------------------------------------------------------------


class Case:
    """Something that is called and timed."""

    def __init__(self, peer, form, call, native=None):
        self.peer, self.form, self.call, self.native = peer, form, call, native
        self.calls, self.every, self.estimate = 1, 1, float("inf")
        # By number of the round; those of disturbed times apart.
        self.samples, self.spoilt = {}, {}

    def run(self):
        """Nanoseconds of a call."""
        if self.native:
            return REPEAT(*self.native, self.calls) / self.calls
        start = time.perf_counter_ns()
        for _ in range(self.calls):
            self.call()
        return (time.perf_counter_ns() - start) / self.calls

    def calibrate(self, cached):
        """Finds how many calls make a sample."""
        self.try_out(3)
        if cached:
            self.calls = max(1, int(SAMPLE * 1e9 / self.estimate))
            self.estimate = min(self.run() for _ in range(2))

    def try_out(self, times):
        """Takes the least of some calls, or of one that is long."""
        for _ in range(times):
            if not LONG * 1e9 < self.estimate < float("inf"):
                self.estimate = min(self.estimate, self.run())

    def sample(self, number):
        time.sleep(PAUSE)
        self.calls, calls = max(1, self.calls // 8), self.calls
        # Some are a thousand times slower when threads have to be woken.
        if self.estimate < LONG * 1e9:
            self.calls = min(calls, max(1, int(20 * SAMPLE * 1e9 / self.run())))
        processor, start = time.process_time_ns(), time.perf_counter_ns()
        taken = self.run()
        processor, wall = time.process_time_ns() - processor, time.perf_counter_ns() - start
        self.calls = calls
        # A thread that waits for a processor uses none. It may wait for others of its own.
        good = processor >= 0.97 * wall
        (self.samples if good else self.spoilt)[number] = taken
        return not good

    @property
    def best(self):
        return min(self.samples.values())


def busy():
    """Seconds that all processors together have worked, or were taken away."""
    fields = open("/proc/stat").readline().split()[1:9]
    return (sum(map(int, fields)) - int(fields[3]) - int(fields[4])) / os.sysconf("SC_CLK_TCK")


def measure(cases, cached, rounds, seconds):
    """Fills the samples of all. Returns how many rounds and samples were discarded."""
    for case in cases:
        case.calibrate(cached)
    fastest = min(case.estimate * case.calls for case in cases)
    short = 2e-9 * rounds * sum(case.estimate * case.calls for case in cases) > seconds
    for case in cases:
        # Slow ones need fewer samples, all the more where time is short.
        times = case.estimate * case.calls / fastest
        case.every = min(5, max(1, int(times / 6))) if not short else 5 if times > 1.5 else 1
        # A long call was measured before as well as it will be.
        if case.estimate > LONG * 1e9:
            case.samples[-1] = case.estimate
    good = spoilt_rounds = spoilt_samples = 0
    end, number = time.monotonic() + seconds, 0
    while good < rounds and number < 3 * rounds and (number < 3 or time.monotonic() < end):
        chosen = [case for case in cases if number % case.every == 0]
        random.shuffle(chosen)
        own, all_, start = time.process_time(), busy(), time.perf_counter()
        spoilt_samples += sum(case.sample(number) for case in chosen)
        wall = time.perf_counter() - start
        foreign = (busy() - all_) - (time.process_time() - own)
        number += 1
        # The clock of all processors ticks in hundredths.
        if foreign > FOREIGN * wall + 0.02:
            spoilt_rounds += 1
            for case in chosen:
                if number - 1 in case.samples:
                    case.spoilt[number - 1] = case.samples.pop(number - 1)
        else:
            good += 1
    # Better disturbed times than none: then all of them, so that none is favoured.
    disturbed = good < min(rounds, 3) or any(not case.samples for case in cases)
    if disturbed:
        for case in cases:
            case.samples.update(case.spoilt)
    return {"rounds": number, "discarded": spoilt_rounds, "samples_discarded": int(spoilt_samples),
            "disturbed": disturbed}  # fmt: skip


def compare(workload, threads, peer, ours, theirs, extra):
    """The row of a peer: its fastest form against ours."""
    best = min(theirs, key=lambda case: case.best)
    pairs = sorted(best.samples[i] / ours.samples[i] for i in best.samples.keys() & ours.samples.keys())
    quarter = len(pairs) // 4
    spread = [pairs[quarter], pairs[-1 - quarter]] if pairs else [best.best / ours.best] * 2
    return {"name": workload.name, "dtype": workload.dtype, "threads": threads, "peer": peer, "form": best.form,
           "ratio": round(best.best / ours.best, 3), "goal": workload.goal(peer, threads),
           "spread": [round(x, 3) for x in spread],
           "milliseconds": round(ours.best * 1e-6, 7), "peer_milliseconds": round(best.best * 1e-6, 7),
           RATES[workload.work[1]]: round(workload.work[0] / ours.best, 2), **extra}  # fmt: skip


def missing(name, dtype, threads, peer, goal, reason):
    """The row of what could not be measured."""
    return {"name": name, "dtype": dtype, "threads": threads, "peer": peer, "form": None,
            "ratio": None, "goal": goal, "spread": None, "reason": reason}  # fmt: skip


def counted(threads):
    return f"{threads} thread" + "s" * (threads > 1)


def show(row):
    """A line of the table."""
    if row["ratio"] is None:
        return f"    {row['peer']:28} missing: {row['reason']}"
    mark = {True: "reached", False: "MISSED", None: ""}[reached(row)]
    goal = f"goal {row['goal']:<5}" if row["goal"] is not None else " " * 10
    ms = row["peer_milliseconds"]
    took = f"{ms:9.3f} ms" if ms > 0.1 else f"{ms * 1e3:9.3f} us"
    form = f"  ({row['form']})" if row["form"] else ""
    return (f"    {row['peer']:28} {took}  {row['ratio']:7.2f}x  {row['spread'][0]:6.2f}-{row['spread'][1]:<6.2f} "
            f"{goal} {mark:7}{form}")  # fmt: skip


# Cases of a workload ----------------------------------------------------------


def library():
    """The copies, compiled for this machine."""
    path = FOLDER / "copies.so"
    source = ROOT / "benchmarks" / "copies.cpp"
    runtime = ROOT / "build" / "lib" / "librope-runtime.a"
    if not path.exists() or path.stat().st_mtime < max(source.stat().st_mtime, runtime.stat().st_mtime):
        command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O3", "-march=native", "-fPIC", "-shared",
                   f"-I{ROOT / 'include'}", str(source), str(runtime), "-pthread", "-ldl", "-o", str(path)]  # fmt: skip
        subprocess.run(command, check=True)
    return ctypes.CDLL(str(path))


def start_library():
    global COPY, REPEAT
    COPY = library()
    REPEAT = COPY.repeat
    REPEAT.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    REPEAT.restype = ctypes.c_int64


def copies(data):
    """All ways to copy what the workload moves, or to read or touch what it reads."""
    w = data.workload
    ways = {"in-place touch": ("copy_", {name: COPIES[name] for name in TOUCHES})} if w.in_place else {
            "best copy": ("copy_", COPIES), "read": ("", READS)}  # fmt: skip
    segments = [(to, to, *rest) if w.in_place else (a, to, *rest) for a, to, *rest in data.segments()]
    words = [word for segment in segments for word in segment]
    array = (ctypes.c_int64 * len(words))(*words)
    job = (ctypes.c_int64 * 2)(ctypes.addressof(array), len(segments))
    arguments = (ctypes.c_void_p * 1)(ctypes.addressof(job))
    for peer in [peer for peer in w.against if peer in ways]:
        prefix, forms = ways[peer]
        found = []
        for name, form in forms.items():
            function = getattr(COPY, prefix + name)
            native = (ctypes.cast(function, ctypes.c_void_p), arguments, 1)
            pointer = ctypes.c_void_p(ctypes.addressof(job))
            case = Case(peer, form, lambda f=function, p=pointer: f(p), native if w.cached else None)
            case.keep = array, job
            found.append(case)
        yield from quick_ones(found, 1.15)


def peaks(data, complain):
    """As many operations as the workload needs, all in registers."""
    import peers

    for peer in data.workload.peaks:
        function = getattr(COPY, PEAKS[peer])
        if not function(ctypes.c_int64(0)):
            complain(peer, peers.Unsupported("no such instructions in this processor, or not for this process"))
            continue
        yield Case(peer, "", lambda f=function: f(ctypes.c_int64(data.workload.work[0])))


def ours(data):
    """The workload's function, called from Python, and from C where the call is what takes the time."""
    compiled = data.function()
    yield Case(OURS, "Python", compiled.call)
    if data.workload.cached:
        yield Case(OURS_C, "C", compiled.call, (compiled.address, compiled.pointers, len(compiled.pointers)))


def others(data, name, threads, complain):
    """The peer's forms that agree with ours, the fast ones of them."""
    import attention_peers
    import peers

    w, found = data.workload, []
    try:
        forms = {"rotation": peers.PEERS, **attention_peers.PEERS}[w.kind][name](data, threads)
    except Exception as error:
        complain(name, error)
        return []
    reasons = []
    for form, make in forms.items():
        try:
            made = make()
            if not made.ready:
                made.call()
            case = Case(name, form, made.call)
            start = time.perf_counter_ns()
            results = made.call()
            taken = time.perf_counter_ns() - start
            if taken > LONG * 1e9:
                case.estimate = taken
            outputs = made.outputs(results)
            error = data.error(outputs, data.tokens())
            if not error <= w.agreement:
                raise RuntimeError(f"it disagrees: error {error:.1e}, expected at most {w.agreement:.1e}")
            case.keep = made
            if name == BESIDE and w.kind != "rotation":
                data.beside = min(data.mean_error(outputs), getattr(data, "beside", float("inf")))
            found.append(case)
        except Exception as error:
            reasons.append(error)
    if not found and reasons:
        complain(name, reasons[0])
    return quick_ones(found, 1.3)


def quick_ones(cases, factor):
    """Those that a few calls do not show to be slower than the fastest by `factor`."""
    for _ in range(4):
        for case in cases:
            case.try_out(1)
    return [case for case in cases if case.estimate <= factor * min(c.estimate for c in cases)]


def wanted(name, options):
    return "peers" not in options or any(part and part in name for part in options["peers"].split(","))


def run_workload(workload, threads, options, report):
    import peers

    print(f"\n{workload.name}, {workload.dtype}, {counted(threads)}", flush=True)
    title = f"{workload.name}, {workload.dtype}, {counted(threads)}"
    rows = []

    def complain(peer, error):
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        if isinstance(error, peers.Unsupported):
            reason = "not there: " + reason
        elif options.get("verbose"):
            traceback.print_exception(error)
        goal = None if isinstance(error, peers.Unsupported) else workload.goal(peer, threads)
        rows.append(missing(workload.name, workload.dtype, threads, peer, goal, reason))

    peers.reset()
    data = workload.data()
    cases = list(ours(data))
    own = {case.peer: case for case in cases}
    cases[0].call()
    error = data.error(data.outputs(), data.tokens(129 if options["quick"] else workload.tokens))
    report.add("checks", {"name": f"error, {title}", "value": error, "limit": workload.limit})
    if not error <= workload.limit:
        print(f"    WRONG: error {error:.1e}", flush=True)
    cases += [Case(peer, "", function.call) for peer, function in data.others()]
    for peer in workload.peers:
        if wanted(peer, options):
            cases += others(data, peer, threads, complain)
    if hasattr(data, "beside"):
        mean = data.mean_error(data.outputs()) / max(data.beside, 1e-30)
        report.add("checks", {"name": f"mean error beside PyTorch's, {title}", "value": mean, "limit": LIMIT_BESIDE})
    cases += [*copies(data), *peaks(data, complain)]
    extra = measure(cases, workload.cached, int(options["rounds"]), options["seconds"])

    groups = {}
    for case in cases:
        if case.peer not in own:
            groups.setdefault(case.peer, []).append(case)
    extra["error"] = error
    for peer, theirs in groups.items():
        mine = own[OURS_C if theirs[0].native else OURS]
        rows.append(compare(workload, threads, peer, mine, theirs, extra))
    foreign = [case for case in cases if case.peer in workload.contest]
    if foreign:
        row = compare(workload, threads, "best peer", own[OURS], foreign, extra)
        row["form"] = min(foreign, key=lambda case: case.best).peer
        rows.append(row)
    times = ", ".join(f"{case.peer} {case.best * 1e-6:.3f} ms" if case.best > 1e5 else f"{case.peer} {case.best:.0f} ns"
                      for case in own.values())  # fmt: skip
    amount, rate = workload.work
    print(f"    {times}, {amount / min(c.best for c in own.values()):.1f} {rate}, error {error:.1e}, "
          f"{extra['rounds']} rounds, {extra['discarded']} discarded, "
          f"{extra['samples_discarded']} samples discarded{', DISTURBED' * extra['disturbed']}")  # fmt: skip
    for row in rows:
        print(show(row))
    sys.stdout.flush()
    if workload.name == "1 token" and workload.dtype == "f32":
        report.add("checks", {"name": f"nanoseconds of a call from C, 1 token of 40 heads, f32, {counted(threads)}",
                              "value": round(own[OURS_C].best), "limit": LIMIT_CALL})  # fmt: skip
    report.add("results", *rows)


# Memory and angles ------------------------------------------------------------


def scratch(data):
    """Bytes by which a first call makes the process grow, beyond its arrays."""
    function = data.function()

    def status(key):
        return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(key))

    for array in data.results:
        array[...] = 1
    # What was freed and kept would serve the call unseen.
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    function.call()
    return max(0, status("VmHWM") - before)


def angles():
    """The largest error of cosine and sine of 256 positions, by who computes them."""
    import peers
    import workloads

    for last in (4095, 32767, 131071, workloads.FAR - 1):
        workload = workloads.Workload("", "f32", tokens=256, heads=(1,), tables="exact", positions=last)
        data = workloads.Data(workload)
        # Pairs (1, 0) become (cos, sin), of which errors are found as those of any result.
        data.xs = [workloads.aligned(x.shape, x.dtype) for x in data.xs]
        data.xs[0][..., : workload.pairs] = 1
        every = workloads.np.arange(workload.tokens)
        data.function().call()
        yield {"peer": OURS, "position": last, "error": data.error(data.results, every)}
        for name in ("PyTorch eager", "onnxruntime", "OpenVINO", "JAX", "IREE"):
            try:
                case = next(iter(peers.PEERS[name](data, 1).values()))()
                yield {"peer": name, "position": last, "error": data.error(case.outputs(case.call()), every)}
            except Exception as error:
                print(f"    {last:8}  {name}: {(str(error) or type(error).__name__).splitlines()[0]}")


def run_rest(report):
    """What has no times: memory and angles."""
    import attention
    import workloads

    kept = [(workloads.Workload("half, exact angles", "f32", tables="exact"), LIMIT_SCRATCH)]
    for dtype in ("f32", "bf16"):
        w = attention.prefill(4096, dtype)
        kept.append((w, w.packed + LIMIT_THREAD))
    print("\nscratch memory of a call")
    for w, limit in kept:
        bytes = scratch(w.data())
        print(f"    {w.name}, {w.dtype}: {bytes >> 10} KB, limit {limit >> 10} KB")
        report.add("checks", {"name": f"bytes of scratch memory, {w.name}, {w.dtype}", "value": bytes, "limit": limit})
    print("largest error of cosine and sine, 256 positions ending at")
    for row in angles():
        print(f"    {row['position']:8}  {row['peer']:13} {row['error']:.1e}", flush=True)
        report.add("accuracy", row)
        if row["peer"] == OURS:
            report.add("checks", {"name": f"error of cosine and sine, positions to {row['position']}",
                                  "value": row["error"], "limit": LIMIT_ANGLE})  # fmt: skip


# Processes --------------------------------------------------------------------


def selected(options):
    import attention
    import workloads

    every = workloads.workloads(options["quick"]) + attention.workloads(options["quick"])
    return [w for w in every if options.get("filter", "") in f"{w.name}, {w.dtype}"]


def child(options, threads):
    """Measures with one number of threads. What `done` holds was measured before."""
    report = Report(options["json"])
    if threads == 0:
        return run_rest(report)
    start_library()
    done = set(filter(None, options.get("done", "").split(";")))
    for workload in selected(options):
        key = f"{workload.name}, {workload.dtype}"
        if key in done or (threads > 1 and workload.alone):
            continue
        print(f"@{key}", file=sys.stderr, flush=True)
        try:
            run_workload(workload, threads, options, report)
        except Exception as error:
            traceback.print_exception(error)
            reason = str(error).strip()[:300] or type(error).__name__
            report.add("results", missing(workload.name, workload.dtype, threads, OURS, 1.0, reason))


def run_child(options, threads, report_path):
    """Starts processes until all workloads are done: one that crashes loses its workload alone."""
    import peers

    done = []
    while True:
        command = [sys.executable, __file__, f"--child={threads}", f"--done={';'.join(done)}", f"--json={report_path}"]
        command += [f"--{k}={v}" for k, v in options.items() if k in ("filter", "peers", "rounds", "verbose")]
        command += ["--quick"] if options["quick"] else []
        environment = {**os.environ, **peers.environment(max(threads, 1), str(FOLDER)), **MEMORY}
        processors = sorted(os.sched_getaffinity(0))[: max(threads, 1)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: os.sched_setaffinity(0, processors))  # fmt: skip
        try:
            for line in process.stderr:
                if line.startswith("@"):
                    done.append(line[1:].strip())
                else:
                    sys.stderr.write(line)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code == 0 or not done:
            return code
        print(f"    process ended with {code}", flush=True)
        name, dtype = done[-1].rsplit(", ", 1)
        row = missing(name, dtype, threads, OURS, 1.0, f"process ended with {code}")
        Report(report_path).add("results", row)


def beside_alone(report):
    """Checks the mean over all sizes, types and numbers of threads."""
    ratios = [row["ratio"] for row in report.content["results"] if row["peer"] == "attention alone" and row["ratio"]]
    if ratios:
        report.add("checks", {"name": f"time of attention alone's, geometric mean of {len(ratios)}",
                              "value": 1 / statistics.geometric_mean(ratios), "limit": 1 / GOAL_ALONE})  # fmt: skip


def workload(row):
    return row["name"], row["dtype"], row["threads"]


def summarize(report):
    rows, checks = report["results"], report["checks"]
    missed = [row for row in rows if reached(row) is False]
    unmeasured = [row for row in rows if row["ratio"] is None]
    wrong = [check for check in checks if not check["value"] <= check["limit"]]
    disturbed = {workload(row) for row in rows if row.get("disturbed")}
    goals = sum(row["goal"] is not None and row["ratio"] is not None for row in rows)
    print(f"\n{goals - len(missed)} of {goals} goals reached")
    memory = {}
    for peer in ("best copy", "read"):
        memory |= {workload(row): row for row in rows if row["peer"] == peer and row["ratio"]}
    for row in missed:
        # No code that reads and writes the bytes is faster than their copy, and none that only reads than reading.
        bound = memory.get(workload(row), row)
        limit = f"; the {bound['peer']}: {row['ratio'] / bound['ratio']:.2f}x" if bound["peer"] != row["peer"] else ""
        print(f"    missed: {row['name']}, {row['dtype']}, {counted(row['threads'])}: "
              f"{row['ratio']:.2f}x {row['peer']}, goal {row['goal']}{limit}")  # fmt: skip
    print(f"{len(checks) - len(wrong)} of {len(checks)} checks hold")
    for check in wrong:
        print(f"    {check['name']}: {check['value']:.3g}, limit {check['limit']:.3g}")
    if disturbed:
        print(f"{len(disturbed)} workloads were disturbed by other programs throughout: do not quote their figures")
    reasons = {}
    for row in unmeasured:
        reasons.setdefault((row["peer"], row["reason"]), []).append(f"{row['name']}, {row['dtype']}, {row['threads']}")
    if reasons:
        print("not measured:")
    for (peer, reason), names in reasons.items():
        print(f"    {peer}: {reason} [{'; '.join(names)}]")


def main():
    options = dict((x[2:].split("=", 1) + [""])[:2] for x in sys.argv[1:] if x.startswith("--"))
    known = {"quick", "filter", "rounds", "threads", "peers", "json", "list", "help", "child", "done", "verbose"}
    if len(options) < len(sys.argv) - 1 or options.keys() - known or "help" in options:
        print(__doc__.strip())
        sys.exit(0 if "help" in options else f"error: expected options as above, but got '{' '.join(sys.argv[1:])}'")
    options["quick"] = "quick" in options
    options.setdefault("rounds", "6" if options["quick"] else "15")
    options["seconds"] = 5 if options["quick"] else 20
    options.setdefault("json", str(FOLDER / "cpu.json"))
    if "child" in options:
        try:
            return child(options, int(options["child"]))
        except KeyboardInterrupt:
            sys.exit(130)
    if "list" in options:
        for w in selected(options):
            goals = {peer: w.goal(peer, 1) for peer in w.against}
            print(f"{w.name}, {w.dtype}: " + ", ".join(f"{p} {g or ''}".strip() for p, g in goals.items()))
        return
    threads = [int(n) for n in options.get("threads", "1,2").split(",")]
    available = len(os.sched_getaffinity(0))
    for n in [n for n in threads if n > available]:
        print(f"{n} threads: left out, as there are {available} processors")
    threads = [n for n in threads if 0 < n <= available]
    FOLDER.mkdir(parents=True, exist_ok=True)
    library()
    report = Report(options["json"], machine(threads))
    print(f"{report.content['machine']['processor']}, {report.content['machine']['cores']} processors")
    print("memory of all: " + ", ".join(f"{k}={v}" for k, v in MEMORY.items()))
    start = time.monotonic()
    try:
        for n in [*threads, *([] if "filter" in options else [0])]:
            run_child(options, n, options["json"])
    except KeyboardInterrupt:
        print("\ninterrupted; what was measured is kept")
    beside_alone(report := Report(options["json"]))
    summarize(report.content)
    print(f"{time.monotonic() - start:.0f} s; results are in {options['json']}")


if __name__ == "__main__":
    main()

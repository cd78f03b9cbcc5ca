#!/usr/bin/env python3
# Kernels on a GPU against those of others.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rotates queries and keys, fills caches and attends on a GPU, in turn with
PyTorch, torch.compile, Liger and FlashInfer, on the same arrays in one process,
and prints how many times as fast the compiled functions are.

  benchmarks/gpu.py --build=DIR [--target=cuda] [--chip=sm_90]
      compiles the functions; needs rope-compile in PATH, no GPU
  benchmarks/gpu.py --libraries=DIR [--json=FILE] [--seconds=N] [--flashinfer=DIR]
                    [--device=cuda] [--parts=NAME,...] [NAME ...]
      measures, most telling cases first, until N seconds are over; --parts chooses
      from rotate, in_place, append, host, interleaved, types, attention, autotune, and
      NAMEs choose cases that contain one of them; --flashinfer holds FlashInfer's modules
      flashinfer_rope.so and flashinfer_page.so, built beforehand, else the
      installed package builds them
  benchmarks/gpu.py --libraries=DIR --warm
      compiles what others compile when they are first called, so that a run after
      it has more time to measure

Needs PyTorch and test/Integration/lib in PYTHONPATH; `make bench-gpu` does all.
Peers that are not installed are left out. How times are taken:

- All of a case run in random order in each round, a ratio is that of the medians,
  and its spread the quartiles of the rounds' ratios.
- Before each time that is taken, the second-level cache is overwritten and then
  filled by reads, so that inputs come from memory and no writes are left over.
- From 4096 tokens on a call stands between two events, behind the overwriting, so
  that the time of the host to launch does not show. Below that a graph of 16 calls
  on arrays of their own is replayed; its time is divided by 16.
- Plain calls, without a graph, are measured by the host's clock: `host`.

Each of the others is compared with float64 before it is timed, and is not timed
where it is wrong.
"""

import ctypes
import functools
import importlib.util
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

CALLS_IN_GRAPH = 16
# Tokens from which a call is timed by itself.
LARGE = 4096
TOKENS = (16384, 65536, 4096, 1024, 128, 64, 16, 1)
# Seconds for the rounds of a case, and how many they may be.
BUDGET, ROUNDS = 1.2, (7, 60)
FAR = 131072
API_CUDA = 0


def module_of(name):
    return importlib.util.find_spec(name) is not None


# What is measured -------------------------------------------------------------


def needed():
    """The functions, by name."""
    from rope_testing import model_kernels

    rotations, attentions = model_kernels.rotations(), model_kernels.attentions()
    names = [n for n in rotations if "bf16" in n or not n.startswith("rotate_interleaved")]
    return {**{n: rotations[n] for n in names}, **attentions}


def build(options):
    folder = options["build"]
    os.makedirs(folder, exist_ok=True)
    failed = 0
    for name, case in needed().items():
        command = ["rope-compile", "-", f"--target={options['target']}", "-o", os.path.join(folder, f"bench_{name}.so")]
        if options["target"] != "cpu":
            command.append(f"--chip={options['chip']}")
        done = subprocess.run(command, input=case.text().encode(), capture_output=True)
        if done.returncode:
            failed += 1
            print(f"FAILED to compile {name}: {done.stderr.decode().strip()[:400]}", flush=True)
    print(f"{len(needed()) - failed} functions compiled for the benchmark")
    return 1 if failed else 0


class Functions:
    """The compiled functions, called on tensors."""

    def __init__(self, folder, on_gpu):
        self._folder, self._on_gpu = folder, on_gpu
        self._libraries = {}
        self.missing = set()

    def has(self, name):
        if os.path.exists(self._path(name)):
            return True
        self.missing.add(name)
        return False

    def _path(self, name):
        return os.path.join(self._folder, f"bench_{name}.so")

    def bind(self, name, *arguments):
        """A call of function `name`, with descriptors made now. It returns
        nothing, and raises where the function reports an error."""
        if name not in self._libraries:
            self._libraries[name] = ctypes.CDLL(self._path(name))
        library = self._libraries[name]
        function = getattr(library, f"_mlir_ciface_{name}")
        function.restype = None
        passed = [self._argument(argument) for argument in arguments]
        if not self._on_gpu:
            return lambda: function(*passed)
        import torch

        begin, end = library.rope_gpu_begin, library.rope_gpu_end
        begin.argtypes, begin.restype = [ctypes.c_int64, ctypes.c_void_p], None
        end.argtypes, end.restype = [], ctypes.c_char_p
        stream = torch._C._cuda_getCurrentRawStream

        def call():
            begin(API_CUDA, stream(0))
            function(*passed)
            error = end()
            if error:
                raise RuntimeError(f"{name}: {error.decode()}")

        # Tensors live as long as what points to them.
        call.keep = arguments
        return call

    @staticmethod
    def _argument(value):
        if isinstance(value, int):
            return ctypes.c_int64(value)
        words = [value.data_ptr(), value.data_ptr(), 0, *value.shape, *value.stride()]
        return ctypes.byref((ctypes.c_int64 * len(words))(*words))


# Devices ----------------------------------------------------------------------


class Gpu:
    """Times by events and graphs of CUDA."""

    name = "cuda"

    def __init__(self):
        import torch

        self.torch = torch
        properties = torch.cuda.get_device_properties(0)
        bytes = max(256 << 20, 4 * getattr(properties, "L2_cache_size", 0))
        self._written = torch.empty(bytes // 4, dtype=torch.int32, device="cuda")
        self._read = torch.zeros(bytes // 4, dtype=torch.int32, device="cuda")
        self._sum = torch.empty((), dtype=torch.int64, device="cuda")

    def machine(self):
        return {"gpu": self.torch.cuda.get_device_name(0), "torch": self.torch.__version__,
                "cuda": self.torch.version.cuda, "processor": platform.processor() or platform.machine()}  # fmt: skip

    def flush(self):
        self._written.fill_(1)
        self.torch.sum(self._read, 0, out=self._sum)

    def synchronize(self):
        self.torch.cuda.synchronize()

    def graph(self, calls):
        """One call that makes all of `calls`."""
        torch = self.torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for call in calls[:2]:
                call()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in calls:
                call()
        return graph.replay

    def seconds(self, call):
        """Starts a call; what is returned gives its seconds later."""
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.flush()
        start.record()
        call()
        stop.record()

        def found():
            stop.synchronize()
            return start.elapsed_time(stop) * 1e-3

        return found


class Cpu:
    """The processor in place of a GPU: to test this program."""

    name = "cpu"

    def __init__(self):
        import torch

        self.torch = torch

    def machine(self):
        return {"processor": platform.processor() or platform.machine(), "torch": self.torch.__version__}

    def flush(self):
        pass

    def synchronize(self):
        pass

    def graph(self, calls):
        def all_of_them():
            for call in calls:
                call()

        return all_of_them

    def seconds(self, call):
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        return lambda: taken


# Peers ------------------------------------------------------------------------


def half_formula(q, k, cos, sin):
    """apply_rotary_pos_emb of Hugging Face's models; q, k [1, heads, tokens, channels]."""
    import torch

    def turned(x):
        middle = x.shape[-1] // 2
        return torch.cat((-x[..., middle:], x[..., :middle]), dim=-1)

    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return q * cos + turned(q) * sin, k * cos + turned(k) * sin


def interleaved_formula(q, k, cos, sin):
    """The same for neighbouring channels, as in GPT-J."""
    import torch

    def turned(x):
        return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)

    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return q * cos + turned(q) * sin, k * cos + turned(k) * sin


FORMULAS = {"half": half_formula, "interleaved": interleaved_formula}


class Peers:
    """What is installed."""

    def __init__(self, on_gpu, folder=None):
        self.rope = self.page = self.liger = None
        if not on_gpu:
            return
        try:
            self._load_flashinfer(folder)
        except Exception as error:
            print(f"FlashInfer is left out: {type(error).__name__}: {str(error)[:300]}")
        try:
            from liger_kernel.ops.rope import rope_forward

            self.liger = rope_forward
        except Exception as error:
            print(f"Liger is left out: {type(error).__name__}: {str(error)[:300]}")

    def _load_flashinfer(self, folder):
        if folder:
            import tvm_ffi

            modules = [os.path.join(folder, f"flashinfer_{name}.so") for name in ("rope", "page")]
            self.rope, self.page = map(tvm_ffi.load_module, modules)
        else:
            from flashinfer.page import get_page_module
            from flashinfer.rope import get_rope_module

            self.rope, self.page = get_rope_module(), get_page_module()


class Arrays:
    """One set of arrays of a case."""

    def __init__(self, device, dtype, tokens, pairing, seed):
        import torch
        from rope_testing import model_kernels as model

        self.tokens, self.pairing = tokens, pairing
        generator = torch.Generator(device.name).manual_seed(seed)

        def random_array(*shape):
            return torch.randn(shape, generator=generator, device=device.name).to(dtype)

        self.q = random_array(tokens, model.HEADS, model.CHANNELS)
        self.k = random_array(tokens, model.KEY_HEADS, model.CHANNELS)
        self.first = FAR - tokens
        self.positions = torch.arange(self.first, FAR, device=device.name)
        self.w = torch.tensor(model.frequencies(), dtype=torch.float64, device=device.name)
        angles = self.positions[:, None].double() * self.w
        self.cos, self.sin = angles.cos().float(), angles.sin().float()
        # As models keep them: in their own type, for each channel.
        spread = {"half": lambda x: torch.cat((x, x), -1), "interleaved": lambda x: x.repeat_interleave(2, -1)}
        self.wide = [spread[pairing](x).to(dtype)[None] for x in (self.cos, self.sin)]
        self.q_out, self.k_out = torch.empty_like(self.q), torch.empty_like(self.k)

    def heads_first(self):
        """Views as Hugging Face's models make them."""
        return [x[None].transpose(1, 2) for x in (self.q, self.k)]

    def expected(self, x, rows):
        """Rows of x rotated, in f64, and the sizes of their pairs."""
        import torch

        wide = x[rows].double()
        angles = (self.positions[rows, None].double() * self.w)[:, None]
        cos, sin = angles.cos(), angles.sin()
        middle = x.shape[-1] // 2
        u, v = (wide[..., :middle], wide[..., middle:]) if self.pairing == "half" else (wide[..., ::2], wide[..., 1::2])
        parts = u * cos - v * sin, u * sin + v * cos
        size = u.abs() + v.abs()
        if self.pairing == "half":
            return torch.cat(parts, -1), torch.cat((size, size), -1)
        return torch.stack(parts, -1).flatten(-2), size.repeat_interleave(2, -1)


def some_rows(tokens):
    """The first, the last, and some between."""
    rows = set(range(min(tokens, 64))) | set(range(max(0, tokens - 64), tokens))
    rows |= set(random.Random(0).sample(range(tokens), min(tokens, 256)))
    return sorted(rows)


def relative_error(got, expected, size):
    """The largest error over the size of its pair; infinite where anything is
    no number."""
    if not bool(got.isfinite().all()):
        return float("inf")
    return float(((got.double() - expected).abs() / size.clamp_min(1e-6)).max())


# Of |u| + |v|: a unit in the last place; for f32 also the errors of angles and products.
OWN_BOUND = {"bf16": 2.0**-8, "f16": 2.0**-10, "f32": 2.0**-20}
# Of tables and products in the type of the model.
PEER_BOUND = {"bf16": 0.04, "f16": 0.005, "f32": 5e-6}


class Contender:
    """One of those that are timed: `make(arrays)` gives a call on them,
    `results(arrays)` where it wrote q and k."""

    def __init__(self, name, make, own=False, check=None, bound=None):
        self.name, self.make, self.own, self.check, self.bound = name, make, own, check, bound


def compiled(function, **options):
    import torch

    # Shapes are those of the case; older cases' code stays.
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.cache_size_limit = 64
    return torch.compile(function, dynamic=False, fullgraph=True, **options)


class Case:
    """Contenders on arrays that `make_arrays(seed)` makes."""

    def __init__(self, part, name, dtype, make_arrays, contenders, large, goals, bytes=None):
        self.part, self.name, self.dtype = part, name, dtype
        self.make_arrays, self.contenders, self.large = make_arrays, contenders, large
        # goals(contender) for each pair of an own one and a peer.
        self.goals, self.bytes = goals, bytes


def rotation_cases(bench, part, pairing, dtype, in_place, sizes, autotune=False):
    import torch

    types = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
    prefix = f"rotate_{pairing}_{dtype}{'_in_place' if in_place else ''}"
    peers, functions = bench.peers, bench.functions
    formula = FORMULAS[pairing]

    def own(name, with_table):
        def make(a):
            given = (a.cos, a.sin) if with_table else (a.positions,)
            results = () if in_place else (a.q_out, a.k_out)
            return functions.bind(name, a.q, a.k, *given, *results)

        return make

    def written(a, result):
        return (a.q, a.k) if in_place else (a.q_out, a.k_out)

    def returned(a, result):
        return tuple(x.transpose(1, 2)[0] for x in result)

    def check_of(where, bound):
        """Runs a call on fresh arrays and gives its error over the bound."""

        def check(make):
            a = arrays(99)
            rows = some_rows(a.tokens)
            expected = [a.expected(x, rows) for x in (a.q, a.k)]
            a.q_out.fill_(float("nan"))
            a.k_out.fill_(float("nan"))
            got = where(a, make(a)())
            errors = [relative_error(g[rows], *e) for g, e in zip(got, expected)]
            everything = all(bool(g.isfinite().all()) for g in got)
            return max(errors) / bound if everything else float("inf")

        return check

    def flashinfer(a):
        cache = bench.table()
        results = (a.q, a.k) if in_place else (a.q_out, a.k_out)
        call = peers.rope.apply_rope_pos_ids_cos_sin_cache

        def run():
            call(a.q, a.k, *results, cache, a.positions, pairing == "interleaved")

        return run

    def liger(a):
        views = a.heads_first()
        return lambda: peers.liger(*views, *a.wide)[:2]

    def formula_of(function):
        def make(a):
            views = a.heads_first()
            return lambda: function(*views, *a.wide)

        return make

    def copy(a):
        source, target = (torch.empty(a.q.numel() + a.k.numel(), dtype=a.q.dtype, device=a.q.device) for _ in range(2))
        source.normal_()
        return lambda: target.copy_(source)

    for tokens in sizes:

        def arrays(seed, tokens=tokens):
            return Arrays(bench.device, types[dtype], tokens, pairing, seed)

        contenders = []
        for with_table in (False, True):
            name = prefix + ("_table" if with_table else "")
            if functions.has(name):
                contenders.append(Contender(
                    "ours, table given" if with_table else "ours", own(name, with_table), True,
                    check_of(written, OWN_BOUND[dtype]),
                ))  # fmt: skip
        contenders.append(Contender("device copy", copy))
        bound = PEER_BOUND[dtype]
        if not in_place:
            contenders.append(Contender("PyTorch", formula_of(formula), False, check_of(returned, bound)))
            if bench.device.name == "cuda":
                name, options = "torch.compile", {}
                if autotune:
                    name, options = "torch.compile, autotuned", {"mode": "max-autotune-no-cudagraphs"}
                contenders.append(Contender(name, formula_of(compiled(formula, **options)), False, check_of(returned, bound)))
        if peers.rope and dtype != "f32":
            contenders.append(Contender("FlashInfer", flashinfer, False, check_of(written, 2 * OWN_BOUND[dtype])))
        if peers.liger and in_place and pairing == "half":
            contenders.append(Contender("Liger", liger, False, check_of(returned, bound)))

        def goals(peer, tokens=tokens):
            if peer == "device copy":
                return 0.95 if tokens >= 16384 else None
            if peer == "FlashInfer":
                return 1.03 if tokens >= 16384 else 1.0
            if tokens < LARGE:
                return None
            return {"torch.compile": 1.5, "torch.compile, autotuned": 1.5, "Liger": 1.75, "PyTorch": 9.0}.get(peer)

        width = 4 if dtype == "f32" else 2
        place = "in place" if in_place else "out of place"
        yield Case(part, f"rotate q+k, {pairing}, {place}, {tokens} tokens", dtype, arrays, contenders,
                   tokens >= LARGE, goals, 2 * tokens * 40 * 128 * width)  # fmt: skip


PAGE = 16


class CacheArrays(Arrays):
    """Arrays and the caches that keys and values go to, from row `start` on."""

    def __init__(self, device, tokens, seed):
        import torch

        super().__init__(device, torch.bfloat16, tokens, "half", seed)
        self.start = 48
        pages = -(-(self.start + tokens) // PAGE) + 1
        generator = torch.Generator(device.name).manual_seed(seed + 1000)
        self.v = torch.randn(self.k.shape, generator=generator, device=device.name).to(self.k.dtype)
        self.k_cache = torch.zeros(pages * PAGE, *self.k.shape[1:], dtype=self.k.dtype, device=device.name)
        self.v_cache = torch.zeros_like(self.k_cache)
        self.rows = slice(self.start, self.start + tokens)
        integers = {"dtype": torch.int32, "device": device.name}
        used = -(-(self.start + tokens) // PAGE)
        self.paging = (
            torch.zeros(tokens, **integers),
            torch.arange(self.start, self.start + tokens, **integers),
            *(x.view(pages, PAGE, *self.k.shape[1:]) for x in (self.k_cache, self.v_cache)),
            torch.arange(used, **integers), torch.tensor([0, used], **integers),
            torch.tensor([(self.start + tokens - 1) % PAGE + 1], **integers),
        )  # fmt: skip


def append_cases(bench, sizes):
    import torch

    functions, peers = bench.functions, bench.peers

    def check_of(bound):
        def check(make):
            a = arrays(99)
            rows = some_rows(a.tokens)
            expected = [a.expected(x, rows) for x in (a.q, a.k)]
            make(a)()
            got = [a.q[rows], a.k_cache[a.rows][rows]]
            errors = [relative_error(g, *e) for g, e in zip(got, expected)]
            moved = torch.equal(a.v_cache[a.rows], a.v) and not bool(a.k_cache[: a.start].any())
            return max(errors) / bound if moved else float("inf")

        return check

    def one_launch(a):
        return functions.bind("rotate_append", a.q, a.k, a.v, a.positions, a.k_cache, a.v_cache, a.start)

    def one_launch_table(a):
        return functions.bind("rotate_append_table", a.q, a.k, a.v, a.cos, a.sin, a.k_cache, a.v_cache, a.start)

    def two_launches(a):
        rotate = functions.bind("rotate_half_bf16_in_place", a.q, a.k, a.positions)
        append = functions.bind("copy_append", a.k, a.v, a.k_cache, a.v_cache, a.start)

        def run():
            rotate()
            append()

        return run

    def flashinfer(a):
        cache = bench.table()
        rotate, append = peers.rope.apply_rope_pos_ids_cos_sin_cache, peers.page.append_paged_kv_cache

        def run():
            rotate(a.q, a.k, a.q, a.k, cache, a.positions, False)
            append(a.k, a.v, *a.paging, 0)

        return run

    def torch_two(function):
        def make(a):
            views, k_rows, v_rows = a.heads_first(), a.k_cache[a.rows], a.v_cache[a.rows]

            def run():
                q, k = function(*views, *a.wide)
                k_rows.copy_(k.transpose(1, 2)[0])
                v_rows.copy_(a.v)
                return q

            return run

        return make

    def torch_check(make):
        a = arrays(99)
        rows = some_rows(a.tokens)
        expected = [a.expected(x, rows) for x in (a.q, a.k)]
        q = make(a)().transpose(1, 2)[0]
        got = [q[rows], a.k_cache[a.rows][rows]]
        return max(relative_error(g, *e) for g, e in zip(got, expected)) / PEER_BOUND["bf16"]

    for tokens in sizes:

        def arrays(seed, tokens=tokens):
            return CacheArrays(bench.device, tokens, seed)

        bound = OWN_BOUND["bf16"]
        contenders = []
        if functions.has("rotate_append"):
            contenders.append(Contender("ours", one_launch, True, check_of(bound)))
        if functions.has("rotate_append_table"):
            contenders.append(Contender("ours, table given", one_launch_table, True, check_of(bound)))
        if functions.has("copy_append") and functions.has("rotate_half_bf16_in_place"):
            contenders.append(Contender("ours, two kernels", two_launches, False, check_of(bound)))
        if peers.page:
            contenders.append(Contender("FlashInfer, two kernels", flashinfer, False, check_of(2 * bound)))
        contenders.append(Contender("PyTorch", torch_two(half_formula), False, torch_check))
        if bench.device.name == "cuda" and tokens in (128, 16384):
            contenders.append(Contender("torch.compile and copies", torch_two(compiled(half_formula)), False, torch_check))

        def goals(peer, tokens=tokens):
            if "two kernels" not in peer:
                return None
            return 1.6 if tokens <= 128 else 1.15 if tokens >= 8192 else None

        yield Case("append", f"rotate q+k, append k+v, {tokens} tokens", "bf16", arrays, contenders, tokens >= LARGE,
                   goals, 2 * tokens * 48 * 128 * 2)  # fmt: skip


class AttentionArrays:
    def __init__(self, device, queries, keys, seed):
        import torch
        from rope_testing import model_kernels as model

        generator = torch.Generator(device.name).manual_seed(seed)

        def random_array(tokens, heads):
            shape = 1, tokens, heads, model.CHANNELS
            return torch.randn(shape, generator=generator, device=device.name).to(torch.bfloat16)

        self.q = random_array(queries, model.HEADS)
        self.k, self.v = (random_array(keys, model.KEY_HEADS) for _ in range(2))
        self.k_rotated, self.q_rotated = torch.empty_like(self.k), torch.empty_like(self.q)
        self.out = torch.empty_like(self.q)
        self.key_positions = torch.arange(keys, device=device.name)
        self.query_positions = self.key_positions[keys - queries :].clone()
        self.w = torch.tensor(model.frequencies(), dtype=torch.float64, device=device.name)
        self.wide = {}
        for name, positions in (("q", self.query_positions), ("k", self.key_positions)):
            angles = positions[:, None].double() * self.w
            self.wide[name] = [torch.cat((x, x), -1).to(torch.bfloat16)[None] for x in (angles.cos(), angles.sin())]

    def expected(self, rotated, causal, rows):
        """Rows of the result in f64."""
        import torch

        def rotate(x, positions):
            if not rotated:
                return x
            angles = (positions[:, None].double() * self.w)[:, None]
            u, v = x.chunk(2, -1)
            return torch.cat((u * angles.cos() - v * angles.sin(), u * angles.sin() + v * angles.cos()), -1)

        queries = self.query_positions[rows]
        q = rotate(self.q[0, rows].double(), queries)
        k = rotate(self.k[0].double(), self.key_positions)
        group = q.shape[1] // k.shape[1]
        result = []
        for h in range(q.shape[1]):
            scores = q[:, h] @ k[:, h // group].T * q.shape[-1] ** -0.5
            if causal:
                scores = scores.masked_fill(self.key_positions > queries[:, None], float("-inf"))
            result.append(scores.softmax(-1) @ self.v[0, :, h // group].double())
        return torch.stack(result, 1)


def attention_cases(bench, prefills, decodes):
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    functions = bench.functions

    def attend(q, k, v, causal):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True).transpose(1, 2)

    def turned(x):
        return torch.cat((-x[..., 64:], x[..., :64]), dim=-1)

    def rotated(x, cos, sin):
        return x * cos[:, :, None] + turned(x) * sin[:, :, None]

    def rotate_both(q, k, cos_q, sin_q, cos_k, sin_k):
        return rotated(q, cos_q, sin_q), rotated(k, cos_k, sin_k)

    for kind, queries, keys in [*(("prefill", n, n) for n in prefills), *(("decode", 1, n) for n in decodes)]:
        causal = kind == "prefill"

        def arrays(seed, queries=queries, keys=keys):
            return AttentionArrays(bench.device, queries, keys, seed)

        def own(name, where):
            def make(a):
                positions = {"": (), "q": (a.query_positions,), "qk": (a.query_positions, a.key_positions)}[where]
                return functions.bind(name, a.q, a.k, a.v, *positions, a.out)

            return make

        def rotation_before(kind=kind):
            def make(a):
                if kind == "prefill":
                    rotate = functions.bind("rotate_half_bf16", a.q[0], a.k[0], a.key_positions, a.q_rotated[0], a.k_rotated[0])
                    attention = functions.bind("prefill", a.q_rotated, a.k_rotated, a.v, a.out)
                else:
                    rotate = functions.bind("rotate_keys", a.k[0], a.key_positions, a.k_rotated[0])
                    attention = functions.bind("decode_query_rotated", a.q, a.k_rotated, a.v, a.query_positions, a.out)

                def run():
                    rotate()
                    attention()

                return run

            return make

        def peer(rotate, causal=causal):
            def make(a):
                tables = [*a.wide["q"], *a.wide["k"]]

                def run():
                    q, k = rotate(a.q, a.k, *tables) if rotate else (a.q, a.k)
                    return attend(q, k, a.v, causal)

                return run

            return make

        def check_of(is_rotated, returned, causal=causal, queries=queries):
            def check(make):
                a = arrays(99)
                a.out.fill_(float("nan"))
                rows = sorted({0, queries - 1, queries // 2, queries // 3, *range(max(0, queries - 8), queries)})
                expected = a.expected(is_rotated, causal, rows)
                result = make(a)()
                got = result if returned else a.out
                if not bool(got.isfinite().all()):
                    return float("inf")
                return float((got[0, rows].double() - expected).abs().max() / expected.abs().max()) / 2e-2

            return check

        contenders = []
        if functions.has(f"{kind}_rotated"):
            contenders.append(Contender("ours", own(f"{kind}_rotated", "qk"), True, check_of(True, False)))
        if functions.has(kind):
            contenders.append(Contender("ours without rotation", own(kind, ""), False, check_of(False, False)))
            before = {"prefill": ["rotate_half_bf16"], "decode": ["rotate_keys", "decode_query_rotated"]}[kind]
            if all([functions.has(name) for name in before]):
                contenders.append(Contender("ours, rotation before", rotation_before(), False, check_of(True, False)))
        contenders.append(Contender("SDPA without rotation", peer(None), False, check_of(False, True)))
        rotate = compiled(rotate_both) if bench.device.name == "cuda" else rotate_both
        name = "torch.compile rotation, SDPA" if bench.device.name == "cuda" else "PyTorch rotation, SDPA"
        contenders.append(Contender(name, peer(rotate), False, check_of(True, True)))
        what = f"{kind} {queries}" if causal else f"decode over {keys} keys as projected"
        yield Case("attention", what, "bf16", arrays, contenders, True, lambda peer: None)


def every_case(bench):
    small = bench.device.name == "cpu"
    sizes = [n for n in TOKENS if not small or n <= 1024]
    large = [n for n in (16384,) if not small] or [256]
    yield from rotation_cases(bench, "rotate", "half", "bf16", False, sizes)
    yield from rotation_cases(bench, "in_place", "half", "bf16", True, sizes)
    yield from append_cases(bench, [1, 16, 64, 128, *([] if small else [8192, 16384])])
    yield from attention_cases(bench, *([[64], [300]] if small else [[4096, 512, 2048, 8192], [32768, 4096]]))
    yield from rotation_cases(bench, "interleaved", "interleaved", "bf16", False, sizes[:3] if small else [16384, 65536, 128, 1])
    yield from rotation_cases(bench, "interleaved", "interleaved", "bf16", True, sizes[:3] if small else [16384, 65536, 128, 1])
    for dtype in ("f32", "f16"):
        yield from rotation_cases(bench, "types", "half", dtype, False, large)
        yield from rotation_cases(bench, "types", "half", dtype, True, large)
    if not small:
        yield from rotation_cases(bench, "autotune", "half", "bf16", False, large, autotune=True)


# Measuring --------------------------------------------------------------------


class Bench:
    def __init__(self, options):
        self.options = options
        self.device = {"cuda": Gpu, "cpu": Cpu}[options["device"]]()
        on_gpu = options["device"] == "cuda"
        self.functions = Functions(options["libraries"], on_gpu)
        self.peers = Peers(on_gpu, options.get("flashinfer"))
        self.results, self.checks, self.times = [], [], []
        self.failed = 0
        self.deadline = time.monotonic() + float(options["seconds"])

    @functools.cache
    def table(self):
        """Cosines, then sines, of every position, as FlashInfer takes them."""
        import torch
        from rope_testing import model_kernels

        w = torch.tensor(model_kernels.frequencies(), dtype=torch.float64, device=self.device.name)
        angles = torch.arange(FAR, device=self.device.name)[:, None].double() * w
        return torch.cat((angles.cos(), angles.sin()), -1).float()

    def over(self):
        return time.monotonic() > self.deadline

    def ready(self, case):
        """The contenders that are right, each with a call to time."""
        count = 1 if case.large else CALLS_IN_GRAPH
        sets = [case.make_arrays(seed) for seed in range(count)]
        found = []
        for contender in case.contenders:
            where = f"{case.name}, {case.dtype}: {contender.name}"
            try:
                if contender.check:
                    error = contender.check(contender.make)
                    if contender.own:
                        self.checks.append({"name": f"error over its bound, {where}", "value": round(error, 4), "limit": 1.0})
                    if not error <= 1:
                        self.failed += contender.name.startswith("ours")
                        print(f"WRONG, not timed: {where}, error {error:.3g} of its bound", flush=True)
                        continue
                calls = [contender.make(arrays) for arrays in sets]
                for call in calls:
                    call()
                self.device.synchronize()
                call = calls[0] if case.large else self.device.graph(calls)
                # The arrays stay with the call.
                found.append((contender, call, (calls, sets)))
            except Exception as error:
                self.failed += contender.name.startswith("ours")
                print(f"FAILED, not timed: {where}: {type(error).__name__}: {str(error)[:300]}", flush=True)
        return found, count

    def measure(self, case):
        found, count = self.ready(case)
        if not found:
            return
        for _, call, _ in found:
            self.device.seconds(call)()
        start = time.perf_counter()
        for _, call, _ in found:
            self.device.seconds(call)()
        one = max(time.perf_counter() - start, 1e-6)
        rounds = min(max(int(BUDGET / one), ROUNDS[0]), ROUNDS[1])
        times = {contender.name: [] for contender, _, _ in found}
        for number in range(rounds):
            if number >= ROUNDS[0] and self.over():
                break
            started = [(contender.name, self.device.seconds(call)) for contender, call, _ in random.sample(found, len(found))]
            for name, seconds in started:
                times[name].append(seconds() / count)
        self.report(case, found, times)

    def report(self, case, found, times):
        medians = {name: statistics.median(t) for name, t in times.items()}
        copy = medians.get("device copy")
        print(f"\n{case.name}, {case.dtype}")
        for name, seconds in sorted(medians.items(), key=lambda x: x[1]):
            quarters = statistics.quantiles(times[name], n=4)
            rate = f"{case.bytes / seconds * 1e-12:6.2f} TB/s" if case.bytes else " " * 11
            part = f"{copy / seconds:5.2f} of copy" if copy else ""
            print(f"  {name:30} {seconds * 1e6:9.2f} us ({quarters[0] * 1e6:.2f}-{quarters[2] * 1e6:.2f}) {rate} {part}", flush=True)
            self.times.append({"part": case.part, "name": case.name, "dtype": case.dtype, "contender": name,
                               "us": round(seconds * 1e6, 3), "quartiles": [round(q * 1e6, 3) for q in quarters],
                               "bytes": case.bytes, "rounds": len(times[name])})  # fmt: skip
        owners = [contender.name for contender, _, _ in found if contender.own]
        for own in owners:
            for peer in medians:
                if peer == own or own != "ours" and peer in owners:
                    continue
                ratios = sorted(a / b for a, b in zip(times[peer], times[own]))
                quarter = len(ratios) // 4
                self.results.append({
                    "name": case.name + own[len("ours") :], "dtype": case.dtype, "threads": "gpu", "peer": peer,
                    "ratio": round(medians[peer] / medians[own], 3),
                    "goal": case.goals(peer) if own == "ours" else None,
                    "spread": [round(ratios[quarter], 3), round(ratios[-1 - quarter], 3)],
                })  # fmt: skip
        # The launch of few tokens is to cost no more than the device needs.
        if case.part == "rotate" and " 1 tokens" in case.name and "ours" in medians:
            self.checks.append({"name": f"device us, {case.name}", "value": round(medians["ours"] * 1e6, 3), "limit": 2.0})

    def host(self):
        """Plain calls of one token: how long the host takes for each, while
        the device keeps up."""
        cases = [*rotation_cases(self, "host", "half", "bf16", False, [1]), *rotation_cases(self, "host", "half", "bf16", True, [1])]
        print("\nhost time of a plain call, 1 token")
        if "torch._dynamo" in sys.modules:
            # Code for other sizes would be looked through first.
            sys.modules["torch._dynamo"].reset()
        for case in cases:
            arrays = case.make_arrays(0)
            for contender in case.contenders:
                taken = []
                try:
                    call = contender.make(arrays)
                    for _ in range(30):
                        call()
                    for _ in range(20):
                        self.device.synchronize()
                        start = time.perf_counter()
                        for _ in range(100):
                            call()
                        taken.append((time.perf_counter() - start) / 100)
                except Exception as error:
                    print(f"FAILED, not timed: {contender.name}: {str(error)[:200]}")
                    continue
                us = statistics.median(taken) * 1e6
                place = case.name.split(", ")[2]
                print(f"  {contender.name:30} {us:9.2f} us  {place}", flush=True)
                self.times.append({"part": "host", "name": f"host time, {place}", "dtype": "bf16", "contender": contender.name, "us": round(us, 3)})
                if contender.own:
                    self.checks.append({"name": f"host us of a call, {place}, {contender.name}", "value": round(us, 3), "limit": 5.0})

    def warm(self):
        """Compiles what others compile, into their caches on disk."""
        for case in every_case(self):
            for contender in case.contenders:
                if not contender.name.startswith(("torch.compile", "Liger")) or self.over():
                    continue
                try:
                    contender.make(case.make_arrays(0))()
                except Exception as error:
                    print(f"{case.name}: {contender.name}: {type(error).__name__}: {str(error)[:200]}")
        self.device.synchronize()

    def run(self, names):
        parts = self.options["parts"].split(",") if "parts" in self.options else None
        left_out, host_done = [], False
        for case in every_case(self):
            if parts and case.part not in parts or names and not any(name in case.name for name in names):
                continue
            # Host times stand behind rotations, before what is less telling.
            if case.part not in ("rotate", "in_place", "append") and not host_done and not (parts or names):
                host_done = True
                self.host()
            if self.over():
                left_out.append(case.name)
                continue
            self.measure(case)
            self.write()
        if parts and "host" in parts or not (parts or names or host_done):
            self.host()
        if left_out:
            print(f"\nno time left for: {'; '.join(left_out)}")
        if self.functions.missing:
            self.failed += 1
            print(f"\nnot compiled: {', '.join(sorted(self.functions.missing))}")
        self.write()
        self.summary()

    def summary(self):
        print(f"\n{'':56} {'type':5} {'peer':30} {'ratio':>6} {'spread':>13} {'goal':>5}")
        for r in self.results:
            if r["goal"] is None and not r["name"].startswith(("prefill", "decode")):
                continue
            spread, goal = r["spread"], r["goal"]
            met = "" if goal is None else f"{goal:5.2f} {'met' if r['ratio'] >= goal else 'MISSED'}"
            print(f"{r['name']:56} {r['dtype']:5} {r['peer']:30} {r['ratio']:6.2f} {spread[0]:6.2f}-{spread[1]:6.2f} {met}")
        for check in self.checks:
            if not check["value"] <= check["limit"]:
                print(f"check MISSED: {check['name']}: {check['value']}, limit {check['limit']}")
        with_goal = [r for r in self.results if r["goal"] is not None]
        print(f"{sum(r['ratio'] >= r['goal'] for r in with_goal)} of {len(with_goal)} goals met, "
              f"{sum(c['value'] <= c['limit'] for c in self.checks)} of {len(self.checks)} checks hold", flush=True)  # fmt: skip

    def write(self):
        path = self.options.get("json")
        if not path:
            return
        machine = self.device.machine()
        with open(path, "w") as file:
            json.dump({"machine": machine, "results": self.results, "checks": self.checks}, file, indent=1)
        with open(os.path.splitext(path)[0] + ".times.json", "w") as file:
            json.dump({"machine": machine, "times": self.times}, file, indent=1)


def plot(times, path):
    """The fraction of a copy's speed by tokens, and all side by side at one size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(16, 4.5))
    for axis, part, title in ((axes[0], "rotate", "out of place"), (axes[1], "in_place", "in place")):
        rows = [t for t in times if t["part"] == part]
        copies = {t["name"]: t["us"] for t in rows if t["contender"] == "device copy"}
        lines = {}
        for t in rows:
            if t["contender"] != "device copy" and t["name"] in copies:
                tokens = int(t["name"].split()[-2])
                lines.setdefault(t["contender"], []).append((tokens, copies[t["name"]] / t["us"]))
        for name, points in sorted(lines.items()):
            axis.plot(*zip(*sorted(points)), "o-", label=name, linewidth=2.5 if name.startswith("ours") else 1.2)
        axis.axhline(1, color="gray", linewidth=0.8)
        axis.set(xscale="log", xlabel="tokens", ylabel="speed, copy = 1", title=f"q+k, bf16, {title}")
        if lines:
            axis.legend(fontsize=7)
    largest = max((t["bytes"] or 0 for t in times if t["part"] in ("rotate", "in_place")), default=0)
    rows = [t for t in times if t["part"] in ("rotate", "in_place") and t["bytes"] == largest]
    labels = [f"{t['contender']}{' (in place)' if t['part'] == 'in_place' else ''}" for t in rows]
    axes[2].barh(labels, [t["bytes"] / t["us"] * 1e-6 for t in rows])
    axes[2].set(xlabel="TB/s of useful bytes", title=rows[0]["name"].split(", ")[-1] if rows else "")
    axes[2].tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path)


def main():
    options = dict(x[2:].split("=", 1) for x in sys.argv[1:] if x.startswith("--") and "=" in x)
    names = [x for x in sys.argv[1:] if not x.startswith("--")]
    options = {"target": "cuda", "chip": "sm_90", "device": "cuda", "seconds": "150", **options}
    if "build" in options:
        return build(options)
    if "libraries" not in options:
        sys.exit(__doc__)
    if not module_of("torch"):
        print("error: nothing was measured, as this Python has no PyTorch; on a machine with an NVIDIA GPU: "
              "make bench-gpu GPU_PYTHON=<a Python with PyTorch>")
        return 1
    if options["device"] == "cuda" and not importlib.import_module("torch").cuda.is_available():
        print("error: nothing was measured, as PyTorch finds no NVIDIA GPU here")
        return 1
    bench = Bench(options)
    if "--warm" in sys.argv:
        bench.warm()
        return 0
    bench.run(names)
    if "json" in options and module_of("matplotlib"):
        plot(bench.times, os.path.splitext(options["json"])[0] + ".svg")
    return 1 if bench.failed or not bench.results else 0


if __name__ == "__main__":
    sys.exit(main())

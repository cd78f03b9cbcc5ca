# The others that benchmarks/cpu.py measures against.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Each peer is a function of a workload's data and the number of threads that
gives its forms: names and what makes a call of them. A call returns results;
`Case.outputs` turns them into NumPy arrays [1, tokens, heads, channels].
Packages are imported where they are used, so that a missing one is one row's
failure."""

import functools
import os
import sys
from dataclasses import dataclass
from typing import Callable

import numpy as np
from workloads import BASE, DTYPES


class Unsupported(Exception):
    """What the peer does not have."""


@dataclass
class Case:
    call: Callable
    outputs: Callable
    # Whether the first call is like all others, and does not compile.
    ready: bool = True


# PyTorch ----------------------------------------------------------------------


def torch_start(threads):
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


def torch_tensor(array):
    import torch

    if array.dtype == DTYPES["bf16"]:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def numpy_array(tensor):
    import torch

    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(DTYPES["bf16"])
    return tensor.numpy()


def library(name):
    """cat, stack, cos and sin of torch or of jax.numpy, by one name."""
    if name == "torch":
        import torch

        return torch.cat, torch.stack, torch.cos, torch.sin
    import jax.numpy as jnp

    return jnp.concatenate, jnp.stack, jnp.cos, jnp.sin


@functools.cache
def model_frequencies(pairs):
    """As model code has them: powers in f32."""
    try:
        import torch

        exponents = torch.arange(0, 2 * pairs, 2, dtype=torch.int64).float() / (2 * pairs)
        return (1.0 / (BASE**exponents)).numpy()
    except ImportError:
        return 1 / np.float32(BASE) ** (np.arange(0, 2 * pairs, 2, dtype=np.float32) / np.float32(2 * pairs))


def formula(form, workload, name):
    """The function of arrays, then tables or positions and frequencies. `form`
    is "Hugging Face", whose tables have a column for each channel, or "chunks",
    whose tables have one for each pair."""
    cat, stack, cosine, sine = library(name)
    w = workload
    half, whole = w.pairing == "half", w.rotary == w.channels

    def flat(pair):
        x = stack(pair, -1)
        return x.reshape(*x.shape[:-2], -1)

    def halves(x):
        return (x[..., : w.pairs], x[..., w.pairs :]) if half else (x[..., ::2], x[..., 1::2])

    def join(pair):
        return cat(pair, -1) if half else flat(pair)

    def turn(x, cos, sin):
        u, v = halves(x)
        if form == "chunks":
            return join((u * cos - v * sin, v * cos + u * sin))
        return x * cos + join((-v, u)) * sin

    def apply(x, cos, sin):
        if whole:
            return turn(x, cos, sin)
        end = w.offset + w.rotary
        parts = [x[..., : w.offset], turn(x[..., w.offset : end], cos, sin), x[..., end:]]
        return cat([part for part in parts if part.shape[-1]], -1)

    def widen(table):
        return table if form == "chunks" else cat((table, table), -1) if half else flat((table, table))

    def given(*arguments):
        *xs, cos, sin = arguments
        return tuple(apply(x, cos, sin) for x in xs)

    def computed(*arguments):
        *xs, positions, frequencies = arguments
        angles = widen(positions[..., None] * frequencies)
        if name == "torch":
            return given(*xs, cosine(angles).to(xs[0].dtype), sine(angles).to(xs[0].dtype))
        return given(*xs, cosine(angles).astype(xs[0].dtype), sine(angles).astype(xs[0].dtype))

    return given if w.tables == "given" else computed


def columns(form, workload, table):
    """One for each pair, or for each channel, in the type of x, as model code has it."""
    if form != "chunks":
        table = np.concatenate([table, table], -1) if workload.pairing == "half" else np.repeat(table, 2, -1)
    return table.astype(DTYPES[workload.dtype])


def arguments(form, data):
    """Those of the formula, as NumPy arrays."""
    w = data.workload
    if w.tables == "given":
        tables = [columns(form, w, table) for table in (data.cos, data.sin)]
        # [1, tokens, 1, channels], or [1, 1, tokens, channels].
        last = [np.expand_dims(t, (0, 1 if w.layout == "bhsd" else 2)) for t in tables]
    else:
        last = [data.positions.astype(np.float32).reshape(1, -1, 1), model_frequencies(w.pairs)]
    return [*data.xs, *last]


def torch_case(data, form, compiled):
    import torch

    function = formula(form, data.workload, "torch")
    if compiled:
        function = torch.compile(function, fullgraph=True, dynamic=False)
    tensors = [torch_tensor(a) for a in arguments(form, data)]
    outputs = lambda results: [data.by_token(numpy_array(y)) for y in results]  # noqa: E731
    return Case(lambda: function(*tensors), outputs, ready=not compiled)


def torch_complex(data):
    import torch

    w = data.workload
    if w.pairing == "half":
        raise Unsupported("complex numbers are neighbouring channels")
    tensors = [torch_tensor(x) for x in data.xs]
    exact = torch.complex(torch.from_numpy(data.cos), torch.from_numpy(data.sin))[None, :, None]
    positions = torch.from_numpy(data.positions.astype(np.float32))
    frequencies = torch.from_numpy(model_frequencies(w.pairs))

    def turned(x, turns):
        x = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(x * turns).flatten(-2).to(tensors[0].dtype)

    def call():
        turns = exact
        if w.tables != "given":
            angles = torch.outer(positions, frequencies)
            turns = torch.polar(torch.ones_like(angles), angles)[None, :, None]
        return [turned(x, turns) for x in tensors]

    return Case(call, lambda results: [numpy_array(y) for y in results])


def eager(data, threads):
    torch_start(threads)
    return {"": lambda: torch_case(data, "Hugging Face", False)}


def eager_complex(data, threads):
    torch_start(threads)
    return {"": lambda: torch_complex(data)}


def compiled(form, data, threads):
    torch_start(threads)
    return {"": lambda: torch_case(data, form, True)}


def reset():
    """Forgets compiled functions: those of other shapes would count as the same
    function's, compiled again and again."""
    if "torch" in sys.modules:
        sys.modules["torch"].compiler.reset()


# onnxruntime ------------------------------------------------------------------


def onnx_call(nodes, feeds, results, threads):
    """A call of a graph from arrays to arrays, by their names. Some may be both."""
    import onnxruntime
    from onnx import helper

    def infos(arrays):
        return [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for name, value in arrays.items()]  # fmt: skip

    graph = helper.make_graph(nodes, "rope", infos(feeds), infos(results))
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    feeds = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
    for bind, arrays in ((binding.bind_input, feeds), (binding.bind_output, results)):
        for name, value in arrays.items():
            bind(name, "cpu", 0, value.dtype.type, value.shape, value.ctypes.data)

    def call(keep=(feeds, results)):
        session.run_with_iobinding(binding)

    return call


def onnx_case(data, threads, domain):
    from onnx import TensorProto, helper

    w = data.workload
    if w.dtype == "bf16":
        raise Unsupported("no bf16 on processors")
    kind = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16}[w.dtype]
    dtype = DTYPES[w.dtype]
    shapes = [[1, w.tokens, heads * w.channels] for heads in w.heads]
    # com.microsoft looks rows up by position; the standard one takes rows.
    by_position = domain == "com.microsoft"
    feeds = {f"x{i}": x.reshape(shape) for i, (x, shape) in enumerate(zip(data.xs, shapes))}
    nodes, table = [], [w.tokens, w.pairs] if by_position else [1, w.tokens, w.pairs]
    if w.tables == "given":
        for name, value in (("cos", data.cos), ("sin", data.sin)):
            feeds[name] = value.astype(dtype).reshape(table)
    else:
        feeds["p"] = data.positions.astype(np.float32).reshape(*table[:-1], 1)
        feeds["w"] = model_frequencies(w.pairs)
        nodes += [helper.make_node("Mul", ["p", "w"], ["angles"])]
        for name in ("Cos", "Sin"):
            nodes += [helper.make_node(name, ["angles"], [name]),
                      helper.make_node("Cast", [name], [name.lower()], to=kind)]  # fmt: skip
    if by_position:
        feeds["ids"] = np.arange(w.tokens).reshape(1, -1)
    for i, heads in enumerate(w.heads):
        names = [f"x{i}", "ids", "cos", "sin"] if by_position else [f"x{i}", "cos", "sin"]
        partial = {"rotary_embedding_dim": w.rotary} if w.rotary < w.channels else {}
        nodes.append(helper.make_node("RotaryEmbedding", names, [f"y{i}"], domain=domain, num_heads=heads,
                                      interleaved=int(w.pairing == "interleaved"), **partial))  # fmt: skip
    results = {f"y{i}": np.zeros(shape, dtype) for i, shape in enumerate(shapes)}
    call = onnx_call(nodes, feeds, results, threads)
    return Case(call, lambda _: [y.reshape(1, w.tokens, -1, w.channels) for y in results.values()])


def onnxruntime(data, threads):
    return {"opset 23": lambda: onnx_case(data, threads, ""),
            "com.microsoft": lambda: onnx_case(data, threads, "com.microsoft")}  # fmt: skip


# OpenVINO ---------------------------------------------------------------------


def openvino_kind(dtype):
    import openvino

    return {"f32": openvino.Type.f32, "f16": openvino.Type.f16, "bf16": openvino.Type.bf16}[dtype]


def openvino_rotation(x, cos, sin, workload):
    """As the matcher of its fused node wants it: slices, and a product with -1."""
    from openvino import opset13 as op

    pairs = workload.pairs
    first, second = (op.slice(x, [start], [start + pairs], [1], [3]) for start in (0, pairs))
    turned = op.concat([op.multiply(second, op.constant(-1.0, openvino_kind(workload.dtype))), first], -1)
    return op.add(op.multiply(x, cos), op.multiply(turned, sin))


def openvino_call(results, parameters, arrays, outputs, precision, threads, node):
    """A call of a graph in which `node` has to be made."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False}  # fmt: skip
    program = openvino.Core().compile_model(openvino.Model(results, parameters), "CPU", settings)
    layers = [op.get_rt_info()["layerType"].astype(str) for op in program.get_runtime_model().get_ops()]
    if node and node not in layers:
        raise RuntimeError(f"no {node} node was made: " + " ".join(sorted(set(layers))))
    request = program.create_infer_request()

    def tensor(array):
        if array.dtype == DTYPES["bf16"]:
            return openvino.Tensor(array.view(np.uint16), array.shape, openvino.Type.bf16)
        return openvino.Tensor(array, shared_memory=True)

    for i, value in enumerate(arrays):
        request.set_input_tensor(i, tensor(value))
    for i, value in enumerate(outputs):
        request.set_output_tensor(i, tensor(value))

    def call(keep=(arrays, outputs)):
        request.infer()

    return call


def openvino_case(data, threads, precision):
    import openvino
    from openvino import opset13 as op

    w = data.workload
    if w.pairing != "half":
        raise Unsupported("its fused node was made of half pairing alone")
    kind = openvino_kind(w.dtype)
    # The fused node takes heads before tokens, so it is given them.
    xs = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)) for x in data.xs]
    parameters = [op.parameter(x.shape, kind) for x in xs]
    if w.tables == "given":
        feeds = [columns("Hugging Face", w, t)[None, None] for t in (data.cos, data.sin)]
        tables = [op.parameter(t.shape, kind) for t in feeds]
        cos, sin = tables
    else:
        feeds = [data.positions.astype(np.float32).reshape(1, 1, -1, 1)]
        tables = [op.parameter(feeds[0].shape, openvino.Type.f32)]
        angles = op.multiply(tables[0], op.constant(model_frequencies(w.pairs).reshape(1, 1, 1, -1)))
        angles = op.concat([angles, angles], -1)
        cos, sin = op.convert(op.cos(angles), kind), op.convert(op.sin(angles), kind)
    results, outputs = [openvino_rotation(x, cos, sin, w) for x in parameters], [np.zeros_like(x) for x in xs]
    call = openvino_call(results, [*parameters, *tables], [*xs, *feeds], outputs, precision, threads, "RoPE")
    return Case(call, lambda _: [y.transpose(0, 2, 1, 3) for y in outputs])


def openvino(data, threads):
    # Without f16 in the processor the node is faster in f32.
    hints = ("f16", "f32") if data.workload.dtype == "f16" else (data.workload.dtype,)
    return {f"RoPE node, hint {hint}": functools.partial(openvino_case, data, threads, hint) for hint in hints}


# JAX and IREE -----------------------------------------------------------------


def jax_function(form, data):
    import jax

    # Positions are f32 here; a part of a row that is not rotated is copied.
    return jax.jit(formula(form, data.workload, "jax")), [jax.device_put(a) for a in arguments(form, data)]


def jax_case(form, data):
    import jax

    function, arrays = jax_function(form, data)
    program = function.lower(*arrays).compile()
    return Case(lambda: jax.block_until_ready(program(*arrays)), lambda results: [np.asarray(y) for y in results])


def jax(data, threads):
    return {form: functools.partial(jax_case, form, data) for form in ("chunks", "Hugging Face")}


def iree_case(form, data, threads):
    import iree.compiler
    import iree.runtime

    function, arrays = jax_function(form, data)
    text = function.lower(*arrays).as_text()
    program = iree.compiler.compile_str(text, input_type="stablehlo", target_backends=["llvm-cpu"],
                                        extra_args=["--iree-llvmcpu-target-cpu=host"])  # fmt: skip
    config = iree_config(threads)
    modules = iree.runtime.load_vm_module(iree.runtime.VmModule.copy_buffer(config.vm_instance, program), config)
    inputs = [iree.runtime.asdevicearray(config.device, np.asarray(a)) for a in arrays]
    dtype = DTYPES[data.workload.dtype]

    def outputs(results):
        # One result comes alone. Its memory goes with it.
        results = results if isinstance(results, (tuple, list)) else [results]
        return [np.array(y.to_host()).view(dtype) for y in results]

    return Case(lambda: modules.main(*inputs), outputs)


@functools.cache
def iree_config(threads):
    import iree.runtime

    iree.runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    return iree.runtime.Config("local-sync" if threads == 1 else "local-task")


def iree(data, threads):
    return {form: functools.partial(iree_case, form, data, threads) for form in ("chunks", "Hugging Face")}


PEERS = {
    "torch.compile chunk form": functools.partial(compiled, "chunks"),
    "torch.compile Hugging Face form": functools.partial(compiled, "Hugging Face"),
    "PyTorch eager": eager,
    "PyTorch eager complex": eager_complex,
    "onnxruntime": onnxruntime,
    "OpenVINO": openvino,
    "JAX": jax,
    "IREE": iree,
}


def environment(threads, folder):
    """What has to be set before a process starts."""
    return {"OMP_NUM_THREADS": str(threads), "ROPE_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_CACHE_DIR": os.path.join(folder, f"inductor{threads}"),
            "OPENVINO_TELEMETRY": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}  # fmt: skip


def versions():
    import importlib.metadata as metadata

    found = {}
    for package in ("torch", "onnxruntime", "openvino", "jax", "iree-base-compiler", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found

# The others that compute attention, decode steps and projections.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""As peers.py, for workloads of attention.py. Arrays are laid out as is best for
the form before time is taken: heads before tokens, values repeated for groups.
Outputs are [1, tokens, heads, channels]."""

import functools

import numpy as np
from peers import (Case, Unsupported, columns, formula, numpy_array, onnx_call, openvino_call, openvino_kind,
                   openvino_rotation, torch_start, torch_tensor)  # fmt: skip
from workloads import DTYPES, aligned


def heads_first(data, rotated):
    """Query, key and value as [1, heads, tokens, channels], made once for all forms."""
    made = data.__dict__.setdefault("heads_first", {})

    def first(name, x):
        if name not in made:
            made[name] = aligned((x.shape[0], x.shape[2], x.shape[1], x.shape[3]), x.dtype)
            made[name][...] = x.swapaxes(1, 2)
        return made[name]

    q, k = data.turned if rotated else (data.q, data.k)
    return first(("q", rotated), q), first(("k", rotated), k), first("v", data.v)


def tables(form, data, rows):
    """Of the last rows, for [1, heads, tokens, channels]."""
    w = data.workload
    return [torch_tensor(columns(form, w, table[-rows:]))[None, None] for table in (data.cos, data.sin)]


def torch_call(function, tensors, compiles, outputs):
    import torch

    if compiles:
        function = torch.compile(function, fullgraph=True, dynamic=False)
    return Case(lambda: function(*tensors), outputs, ready=not compiles)


# Attention --------------------------------------------------------------------


def attend(form, workload):
    """Attention of tensors with heads before tokens."""
    import torch

    w, grouped = workload, workload.group > 1
    if form == "flex":
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, w.tokens, w.keys, device="cpu")
        return functools.partial(flex_attention, block_mask=mask, scale=w.scale, enable_gqa=grouped)
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def call(q, k, v):
        if k.shape[1] < v.shape[1]:
            k = k.repeat_interleave(w.group, 1)
        return sdpa(q, k, v, is_causal=True, scale=w.scale, enable_gqa=k.shape[1] < q.shape[1])

    return call


def torch_attention(data, form, rotation, compiles):
    """`rotation` is a form of the formula, or none where arrays were rotated before."""
    import torch

    w = data.workload
    if form == "tokens before heads":
        q, k = (data.q, data.k) if rotation else data.turned
        q, k, v = (torch_tensor(x).transpose(1, 2) for x in (q, k, data.v))
    else:
        q, k, v = map(torch_tensor, heads_first(data, not rotation))
    if form == "repeated heads":
        v = v.repeat_interleave(w.group, 1)
        k = k if rotation else k.repeat_interleave(w.group, 1)
    if form == "padded values":
        v = torch.nn.functional.pad(v, (0, w.channels - w.width))
    attention, turn = attend(form, w), formula(rotation, w, "torch") if rotation else None

    def rotating(q, k, v, cos, sin):
        return attention(*turn(q, k, cos, sin), v)

    def outputs(y):
        return [numpy_array(y.transpose(1, 2))[..., : w.width]]

    tensors = [q, k, v, *(tables(rotation, data, w.keys) if rotation else ())]
    return torch_call(rotating if rotation else attention, tensors, compiles, outputs)


def layouts(workload):
    """Those in which PyTorch may be fastest."""
    forms = ["heads before tokens", "tokens before heads"]
    return forms + ["repeated heads"] * (workload.group > 1) + ["padded values"] * (workload.width < workload.channels)


def eager(data, threads):
    torch_start(threads)
    return {form: functools.partial(torch_attention, data, form, "Hugging Face", False)
            for form in layouts(data.workload)}  # fmt: skip


def compiled(data, threads):
    torch_start(threads)
    forms = [(form, "chunks") for form in layouts(data.workload) if form != "tokens before heads"]
    return {f"{form}, {rotation}": functools.partial(torch_attention, data, form, rotation, True)
            for form, rotation in (*forms, ("heads before tokens", "Hugging Face"))}  # fmt: skip


def flex(data, threads):
    torch_start(threads)
    return {"chunks": functools.partial(torch_attention, data, "flex", "chunks", True)}


def onnx_attention(data, rotates, threads):
    """Grouped query attention of com.microsoft: what it adds to a cache that is empty."""
    from onnx import helper

    w = data.workload
    if w.dtype == "bf16":
        raise Unsupported("no bf16 on processors")
    dtype, rows = DTYPES[w.dtype], w.tokens
    q, k = (data.q, data.k) if rotates else data.turned
    feeds = {"q": q.reshape(1, rows, -1), "k": k.reshape(1, rows, -1), "v": data.v.reshape(1, rows, -1),
             "last": np.array([rows - 1], np.int32), "total": np.array([rows], np.int32)}  # fmt: skip
    if rotates:
        feeds |= {"cos": data.cos.astype(dtype), "sin": data.sin.astype(dtype)}
    results = {"y": np.zeros((1, rows, w.heads[0] * w.width), dtype)}
    results |= {name: np.zeros((1, w.heads[1], rows, w.channels), dtype) for name in ("keys", "values")}
    names = ["q", "k", "v", "", "", "last", "total", *(("cos", "sin") if rotates else ())]
    node = helper.make_node("GroupQueryAttention", names, list(results), domain="com.microsoft", num_heads=w.heads[0],
                            kv_num_heads=w.heads[1], scale=w.scale, do_rotary=int(rotates),
                            rotary_interleaved=int(w.pairing == "interleaved"))  # fmt: skip
    call = onnx_call([node], feeds, results, threads)
    return Case(call, lambda _: [results["y"].reshape(1, rows, w.heads[0], w.width)])


def onnxruntime(data, threads):
    return {"GroupQueryAttention": functools.partial(onnx_attention, data, True, threads)}


def openvino_attention(data, rotates, repeated, threads):
    from openvino import opset13 as op

    w, kind = data.workload, openvino_kind(data.workload.dtype)
    q, k, v = heads_first(data, not rotates)
    if repeated:
        v = np.repeat(v, w.group, 1)
        k = k if rotates else np.repeat(k, w.group, 1)
    arrays = [q, k, v]
    if rotates:
        arrays += [columns("Hugging Face", w, table)[None, None] for table in (data.cos, data.sin)]
    parameters = [op.parameter(x.shape, kind) for x in arrays]

    def grouped(x, heads):
        """Repeats heads for their groups, where they were not before."""
        if heads == w.heads[0]:
            return x
        rows, channels = (w.keys, w.channels)
        x = op.reshape(x, [1, heads, 1, rows, channels], False)
        x = op.broadcast(x, [1, heads, w.group, rows, channels])
        return op.reshape(x, [1, w.heads[0], rows, channels], False)

    query, key, value = parameters[:3]
    if rotates:
        query, key = (openvino_rotation(x, *parameters[3:], w) for x in (query, key))
    result = op.scaled_dot_product_attention(query, grouped(key, k.shape[1]), grouped(value, v.shape[1]), causal=True)
    y = aligned((1, w.heads[0], w.tokens, w.width), q.dtype)
    call = openvino_call([result], parameters, arrays, [y], w.dtype, threads, "RoPE" if rotates else None)
    return Case(call, lambda _: [y.swapaxes(1, 2)])


def openvino(data, threads):
    return {form: functools.partial(openvino_attention, data, True, repeated, threads)
            for form, repeated in (("grouped heads", False), ("repeated heads", True))}  # fmt: skip


def alone(data, threads):
    """Everyone's attention of queries and keys that were rotated before."""
    torch_start(threads)
    forms = {f"PyTorch, {form}": functools.partial(torch_attention, data, form, None, False)
             for form in layouts(data.workload)}  # fmt: skip
    return {**forms, "flex_attention": functools.partial(torch_attention, data, "flex", None, True),
            "onnxruntime": functools.partial(onnx_attention, data, False, threads),
            "OpenVINO": functools.partial(openvino_attention, data, False, True, threads)}  # fmt: skip


# Decode -----------------------------------------------------------------------


def torch_decode(data, form, rotation, compiles):
    import torch

    w = data.workload
    q, k, v = map(torch_tensor, heads_first(data, not rotation))
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def attention(q, k, v):
        if form == "grouped heads":
            return sdpa(q, k, v, scale=w.scale, enable_gqa=True)
        # Heads of a group are rows of one product.
        rows = q.reshape(1, w.heads[1], w.group, w.channels)
        if form == "group as rows":
            y = sdpa(rows, k, v, scale=w.scale)
        else:
            y = torch.softmax(rows @ k.transpose(-1, -2) * w.scale, -1) @ v
        return y.reshape(1, w.heads[0], 1, w.width)

    turn = formula(rotation, w, "torch") if rotation else None

    def rotating(q, k, v, cos, sin, query_cos, query_sin):
        return attention(turn(q, query_cos, query_sin)[0], turn(k, cos, sin)[0], v)

    tensors = [q, k, v]
    if rotation:
        tensors += [*tables(rotation, data, w.keys), *tables(rotation, data, 1)]
    return torch_call(rotating if rotation else attention, tensors, compiles,
                      lambda y: [numpy_array(y.transpose(1, 2))])  # fmt: skip


def decode_forms(data, *forms):
    return {", ".join(filter(None, form)): functools.partial(torch_decode, data, *form, compiles)
            for *form, compiles in forms}  # fmt: skip


def decode_eager(data, threads):
    torch_start(threads)
    forms = ("group as rows", "products", "grouped heads")
    return decode_forms(data, *((form, "Hugging Face", False) for form in forms))


def decode_compiled(data, threads):
    torch_start(threads)
    return decode_forms(data, ("group as rows", "chunks", True), ("products", "chunks", True),
                        ("products", "Hugging Face", True))  # fmt: skip


def decode_rotated(data, threads):
    torch_start(threads)
    return {**decode_forms(data, *((form, None, False) for form in ("group as rows", "grouped heads"))),
            "products, compiled": functools.partial(torch_decode, data, "products", None, True)}  # fmt: skip


def onnx_decode(data, threads):
    """The last key and value are new; they go into the cache, which is its own past."""
    from onnx import helper

    w = data.workload
    if w.dtype == "bf16":
        raise Unsupported("no bf16 on processors")
    dtype, last = DTYPES[w.dtype], w.keys - 1
    q, k = data.turned
    caches = dict(zip(("keys", "values"), (x.copy() for x in heads_first(data, True)[1:])))
    feeds = {"q": q.reshape(1, 1, -1), "k": k[:, last:].reshape(1, 1, -1), "v": data.v[:, last:].reshape(1, 1, -1),
             **caches, "last": np.array([last], np.int32), "total": np.array([w.keys], np.int32)}  # fmt: skip
    results = {"y": np.zeros((1, 1, w.heads[0] * w.width), dtype)}
    results |= {"new " + name: cache for name, cache in caches.items()}
    node = helper.make_node("GroupQueryAttention", list(feeds), list(results), domain="com.microsoft",
                            num_heads=w.heads[0], kv_num_heads=w.heads[1], scale=w.scale)  # fmt: skip
    call = onnx_call([node], feeds, results, threads)
    return Case(call, lambda _: [results["y"].reshape(1, 1, w.heads[0], w.width)])


def onnxruntime_rotated(data, threads):
    return {"GroupQueryAttention": functools.partial(onnx_decode, data, threads)}


# Projections ------------------------------------------------------------------


def torch_projection(data, form, rotation, compiles):
    """`linear` takes weights by output channel, `matmul` as they are."""
    import torch

    w = data.workload
    x, weights = torch_tensor(data.x), torch_tensor(data.w)
    weights = weights.t().contiguous() if form == "linear" else weights
    product = torch.nn.functional.linear if form == "linear" else torch.matmul
    turn = formula(rotation, w, "torch") if rotation else None
    cache = torch_tensor(data.results[0]).clone() if w.append and rotation else None

    def call(x, weights, *tables):
        y = product(x, weights).view(1, w.tokens, w.heads, w.channels)
        if turn:
            (y,) = turn(y, *tables)
        if cache is not None:
            cache[:, w.START : w.START + w.tokens] = y
        return y

    last = [columns(rotation, w, table)[None, :, None] for table in (data.cos, data.sin)] if rotation else []
    return torch_call(call, [x, weights, *map(torch_tensor, last)], compiles, lambda y: [numpy_array(y)])


def projection_forms(rotations, compiles, data, threads):
    torch_start(threads)
    forms = [(form, rotation) for rotation in rotations for form in ("linear", "matmul")]
    return {", ".join(filter(None, form)): functools.partial(torch_projection, data, *form, compiles) for form in forms}


def linear(data, threads):
    """It does not rotate, and is compared with what does not."""
    forms = projection_forms([None], False, data, threads)

    def made(make):
        case = make()
        if not data.error(case.outputs(case.call()), None, rotates=False) <= data.workload.agreement:
            raise RuntimeError("it disagrees")
        return Case(case.call, lambda y: data.outputs())

    return {form: functools.partial(made, make) for form, make in forms.items()}


PEERS = {
    "attention": {
        "PyTorch eager": eager,
        "PyTorch compiled": compiled,
        "flex_attention": flex,
        "onnxruntime": onnxruntime,
        "OpenVINO": openvino,
        "attention alone": alone,
    },
    "decode": {
        "PyTorch eager": decode_eager,
        "PyTorch compiled": decode_compiled,
        "PyTorch, rotated keys": decode_rotated,
        "onnxruntime, rotated keys": onnxruntime_rotated,
    },
    "projection": {
        "PyTorch linear": linear,
        "PyTorch eager": functools.partial(projection_forms, ["Hugging Face"], False),
        "PyTorch compiled": functools.partial(projection_forms, ["chunks", "Hugging Face"], True),
    },
}

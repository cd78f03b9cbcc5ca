# Operators of rope_mlir.torch: numbers, gradients, tracing, refusals.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: torch
# RUN: %torch_pytest %s

import json

import pytest
import torch
from rope_mlir import MLIRError
from rope_mlir.torch import apply_rotary, attention, rotation

LLAMA = {
    "model_type": "llama",
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
}
GEMMA2 = {
    **LLAMA,
    "model_type": "gemma2",
    "head_dim": 32,
    "sliding_window": 3,
    "attn_logit_softcapping": 5.0,
    "query_pre_attn_scalar": 32,
    "num_hidden_layers": 2,
}
GPT_OSS = {
    **LLAMA,
    "model_type": "gpt_oss",
    "head_dim": 32,
    "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention"],
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def frequencies(channels, base=10000.0):
    return base ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)


def turned(x, angles, pairs=None, sign=1.0):
    """x [b, h, s, d] with its pairs (u, v) turned by angles [b, s, n], in float64."""
    n = angles.shape[-1]
    u, v = pairs or (torch.arange(n), torch.arange(n) + n)
    x = x.double()
    cos, sin = angles[:, None].cos(), sign * angles[:, None].sin()
    result = x.clone()
    result[..., u] = x[..., u] * cos - x[..., v] * sin
    result[..., v] = x[..., u] * sin + x[..., v] * cos
    return result


def angles(positions, channels=32, base=10000.0):
    return positions.double()[..., None] * frequencies(channels, base)


def attended(q, k, v, seen, scale, softcap=None, bias=0.0, sinks=None):
    """Attention of [b, h, s, d] in float64, in plain operations."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.double().repeat_interleave(group, 1) for x in (k, v))
    scores = scale * (q.double() @ k.transpose(-1, -2))
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = (scores + bias).masked_fill(~seen, float("-inf"))
    if sinks is not None:
        sink = sinks.double().view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sink], -1)
    weights = torch.softmax(scores, -1).nan_to_num()
    return weights[..., : k.shape[2]] @ v


def causal(queries, keys, window=None):
    i, j = torch.arange(queries)[:, None] + keys - queries, torch.arange(keys)
    return (j <= i) & (i - j < (window or keys + 1))


def error(actual, expected):
    return (actual.double() - expected).abs().max().item()


# ---- rotations ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_rotates_each_type_and_layout(dtype):
    positions = torch.randint(0, 2000, (2, 7))
    storage = torch.randn(2, 7, 9, 32).to(dtype)
    q, k = storage[:, :, 1:5].transpose(1, 2), torch.randn(2, 3, 7, 32).to(dtype)
    expected = [turned(x, angles(positions)) for x in (q, k)]
    # Angles are exact to 3e-7; elements of 16 bits are rounded once, by half a unit in the last place.
    rounding = torch.finfo(dtype).eps / 2 if dtype in (torch.bfloat16, torch.float16) else 0.0
    for layout in ("bhsd", "bshd"):
        vectors = (q, k) if layout == "bhsd" else (q.transpose(1, 2), k.transpose(1, 2))
        results = apply_rotary(*vectors, positions, LLAMA, layout=layout)
        for result, x, want in zip(results, vectors, expected):
            assert result.dtype == dtype and result.shape == x.shape
            want = want if layout == "bhsd" else want.transpose(1, 2)
            assert ((result.double() - want).abs() <= want.abs() * rounding + 2e-6).all()
    # The order of dimensions in memory stays.
    assert apply_rotary(q, None, positions, LLAMA)[0].transpose(1, 2).is_contiguous()
    assert apply_rotary(q, None, positions, LLAMA)[1] is None


def test_positions_of_any_integer_type_and_rank():
    q = torch.randn(2, 4, 5, 32)
    positions = torch.tensor([3, 1, 4, 1, 500])
    expected, _ = apply_rotary(q, None, positions.expand(2, 5), LLAMA)
    for same in (positions, positions[None], positions.int(), positions.to(torch.int16)):
        assert torch.equal(apply_rotary(q, None, same, LLAMA)[0], expected)
    far = torch.full((5,), 1_000_003)
    assert error(apply_rotary(q, None, far, LLAMA)[0], turned(q, angles(far.expand(2, 5)))) < 2e-6
    behind = apply_rotary(q, None, -positions, LLAMA)[0]
    assert torch.allclose(behind, apply_rotary(q, None, positions, LLAMA, transpose=True)[0], atol=1e-6)


def test_transpose_is_the_inverse():
    q, positions = torch.randn(1, 2, 6, 32), torch.randint(0, 1000, (1, 6))
    there, _ = apply_rotary(q, None, positions, LLAMA)
    assert error(apply_rotary(there, None, positions, LLAMA, transpose=True)[0], q.double()) < 2e-6


@pytest.mark.parametrize("sizes", [(0, 4, 5, 32), (2, 0, 5, 32), (2, 4, 0, 32)])
def test_nothing_to_rotate(sizes):
    x = torch.randn(sizes)
    assert apply_rotary(x, None, torch.arange(sizes[2]), LLAMA)[0].shape == x.shape


def test_partial_and_neighbouring_channels():
    q, positions = torch.randn(1, 2, 6, 32), torch.randint(0, 1000, (1, 6))
    phi = {**LLAMA, "model_type": "phi", "partial_rotary_factor": 0.5}
    result, _ = apply_rotary(q, None, positions, phi)
    assert error(result, turned(q, angles(positions, 16))) < 2e-6
    assert torch.equal(result[..., 16:], q[..., 16:])
    cohere = {**LLAMA, "model_type": "cohere"}
    even = torch.arange(0, 32, 2)
    assert (
        error(apply_rotary(q, None, positions, cohere)[0], turned(q, angles(positions), (even, even + 1)))
        < 2e-6
    )


def test_several_position_axes():
    config = {
        **LLAMA,
        "model_type": "qwen2_vl",
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
    }
    q, positions = torch.randn(2, 4, 5, 32), torch.randint(0, 1000, (3, 2, 5))
    axes = torch.tensor([0] * 4 + [1] * 6 + [2] * 6)
    each = positions.double()[axes].permute(1, 2, 0) * frequencies(32)
    assert rotation(config).axes == 3
    assert error(apply_rotary(q, None, positions, config)[0], turned(q, each)) < 2e-6
    shared = apply_rotary(q, None, positions[:, 0], config)[0]
    assert torch.equal(shared, apply_rotary(q, None, positions[:, :1].expand(3, 2, 5), config)[0])


def test_frequencies_that_depend_on_the_length():
    config = {**LLAMA, "max_position_embeddings": 16, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    q, positions = torch.randn(1, 2, 40, 32), torch.arange(40)
    base = 10000.0 * ((2.0 * 40 / 16) - 1.0) ** (32 / 30)
    expected = turned(q, angles(positions[None], 32, base))
    assert rotation(config).reads_length
    for length in (None, 40, torch.tensor(40)):
        assert error(apply_rotary(q, None, positions, config, length=length)[0], expected) < 2e-6
    short = apply_rotary(q, None, positions, config, length=8)[0]
    assert error(short, turned(q, angles(positions[None]))) < 2e-6


def test_kinds_of_layers():
    config = {
        **LLAMA,
        "model_type": "gemma3_text",
        "head_dim": 32,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    q, positions = torch.randn(1, 2, 6, 32), torch.randint(0, 1000, (1, 6))
    local, _ = apply_rotary(q, None, positions, config, layer="sliding_attention")
    whole, _ = apply_rotary(q, None, positions, config, layer="full_attention")
    assert error(local, turned(q, angles(positions))) < 2e-6
    assert error(whole, turned(q, angles(positions, 32, 1e6))) < 2e-6
    with pytest.raises(ValueError, match="layer to be 'full_attention' or 'sliding_attention', but got None"):
        apply_rotary(q, None, positions, config)


def test_each_form_of_a_configuration(tmp_path):
    from transformers import LlamaConfig

    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    theirs = LlamaConfig(hidden_size=128, num_attention_heads=4, num_key_value_heads=2)
    q, positions = torch.randn(1, 4, 6, 32), torch.arange(6)
    expected, _ = apply_rotary(q, None, positions, LLAMA)
    for config in (path, str(path), theirs, rotation(LLAMA)):
        assert torch.equal(apply_rotary(q, None, positions, config)[0], expected)
    # What changes is read again.
    config = dict(LLAMA)
    assert rotation(config) is rotation(config)
    before = rotation(config)
    config["rope_theta"] = 500000.0
    assert rotation(config) != before
    theirs.rope_parameters["rope_theta"] = 500000.0
    assert rotation(theirs).tables == rotation(config).tables


# ---- attention ----


def vectors(queries, keys, dtype=torch.float64, grad=False, batch=2):
    def make(heads, length):
        return torch.randn(batch, heads, length, 32, dtype=dtype, requires_grad=grad)

    return make(4, queries), make(2, keys), make(2, keys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_attends_in_each_layout(dtype):
    q, k, v = vectors(7, 7, dtype)
    positions = torch.randint(0, 2000, (2, 7))
    turn = angles(positions)
    expected = attended(turned(q, turn), turned(k, turn), v, causal(7, 7), 32**-0.5)
    bound = {torch.float32: 2e-6, torch.float64: 2e-6, torch.bfloat16: 2e-2}[dtype]
    result = attention(q, k, v, positions, LLAMA)
    assert result.dtype == dtype and result.shape == q.shape and error(result, expected) < bound
    swapped = [x.transpose(1, 2).contiguous() for x in (q, k, v)]
    other = attention(*swapped, positions, LLAMA, layout="bshd")
    assert error(other.transpose(1, 2), expected) < bound
    views = [x.transpose(1, 2) for x in swapped]
    assert error(attention(*views, positions, LLAMA), expected) < bound


def test_attends_to_a_cache_and_by_masks():
    q, k, v = vectors(3, 8, torch.float32)
    positions, of_keys = torch.arange(5, 8), torch.arange(8)
    turn_q, turn_k = angles(positions.expand(2, 3)), angles(of_keys.expand(2, 8))
    rotated = apply_rotary(k, None, of_keys, LLAMA)[0]
    seen = causal(3, 8)
    expected = attended(turned(q, turn_q), turned(k, turn_k), v, seen, 32**-0.5)
    assert error(attention(q, rotated, v, positions, LLAMA, rotated_keys=True), expected) < 2e-6
    assert error(attention(q, k, v, positions, LLAMA, key_positions=of_keys), expected) < 2e-6

    padding = torch.ones(2, 8, dtype=torch.bool)
    padding[0, :4] = False
    full = torch.rand(2, 1, 3, 8) < 0.7
    full[1, 0, 1] = False
    bias = torch.randn(1, 4, 3, 8)
    for mask, seen_by, added in (
        (padding, seen & padding[:, None, None], 0.0),
        (full, seen & full, 0.0),
        (bias, seen, bias.double()),
    ):
        result = attention(q, rotated, v, positions, LLAMA, rotated_keys=True, mask=mask)
        want = attended(turned(q, turn_q), turned(k, turn_k), v, seen_by, 32**-0.5, bias=added)
        assert error(result, want) < 2e-6
    # A query that sees nothing gets zeros.
    assert not attention(q, rotated, v, positions, LLAMA, rotated_keys=True, mask=full)[1, :, 1].any()


def test_caps_windows_and_sinks():
    q, k, v = vectors(6, 6, torch.float32)
    q = 4 * q
    positions = torch.arange(6)
    turn = angles(positions.expand(2, 6))
    for layer, window in (("sliding_attention", 3), ("full_attention", None)):
        want = attended(turned(q, turn), turned(k, turn), v, causal(6, 6, window), 32**-0.5, softcap=5.0)
        assert error(attention(q, k, v, positions, GEMMA2, layer=layer), want) < 5e-6
    sinks = torch.randn(4)
    turn = angles(positions.expand(2, 6), base=150000.0)
    theirs = {**GPT_OSS, "rope_theta": 150000.0, "rope_scaling": None}
    want = attended(turned(q, turn), turned(k, turn), v, causal(6, 6, 3), 32**-0.5, sinks=sinks)
    result = attention(q, k, v, positions, theirs, layer="sliding_attention", sinks=sinks)
    assert error(result, want) < 5e-6


# ---- gradients and tracing ----


def test_gradients():
    positions = torch.randint(0, 500, (2, 4))
    q, k, v = vectors(4, 4, grad=True)
    q, k, v = (x[..., :8].detach().requires_grad_() for x in (q, k, v))
    small = {**LLAMA, "head_dim": 8}
    assert torch.autograd.gradcheck(lambda q, k: apply_rotary(q, k, positions, small), (q, k))
    assert torch.autograd.gradgradcheck(lambda q: apply_rotary(q, None, positions, small)[0], (q,))
    assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, positions, small), (q, k, v))
    gemma = {**GEMMA2, "head_dim": 8}
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 0] = False
    assert torch.autograd.gradcheck(
        lambda q, k, v: attention(q, k, v, positions, gemma, layer="sliding_attention", mask=mask), (q, k, v)
    )
    oss = {**GPT_OSS, "head_dim": 8}
    sinks = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda q, k, v, s: attention(q, k, v, positions, oss, layer="full_attention", sinks=s),
        (q, k, v, sinks),
    )


@pytest.mark.parametrize("grad", [False, True])
def test_operators_are_registered_as_pytorch_asks(grad):
    q, k, v = vectors(5, 5, grad=grad)
    k = k.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_(grad)
    of, positions = rotation(LLAMA), torch.arange(5).expand(2, 5)
    operators = torch.ops.rope_mlir
    torch.library.opcheck(operators.apply_rotary.default, ([q, k], positions, None, of.tables, "bhsd", False))
    torch.library.opcheck(
        operators.attention.default,
        (q, k, v, positions, None, None, None, None, of.attention, "bhsd"),
    )


def test_compiles_to_one_graph():
    q, k, v = vectors(5, 5, torch.float32, grad=True)
    positions = torch.arange(5)

    def model(q, k, v, positions):
        q, k = apply_rotary(q, k, positions, LLAMA)
        return attention(q, k, v, positions, LLAMA).square().sum()

    expected = torch.autograd.grad(model(q, k, v, positions), (q, k, v))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    result = torch.autograd.grad(compiled(q, k, v, positions), (q, k, v))
    assert all(torch.equal(a, b) for a, b in zip(result, expected))


# ---- refusals ----


def call(**changes):
    arguments = {"q": torch.zeros(2, 4, 5, 32), "k": torch.zeros(2, 2, 5, 32), "positions": torch.arange(5)}
    arguments |= {"config": LLAMA, **changes}
    return apply_rotary(**arguments)


def attend(**changes):
    arguments = {"q": torch.zeros(2, 4, 5, 32), "k": torch.zeros(2, 2, 5, 32), "v": torch.zeros(2, 2, 5, 32)}
    arguments |= {"positions": torch.arange(5), "config": LLAMA, **changes}
    return attention(**arguments)


@pytest.mark.parametrize(
    "function, changes, kind, sentence",
    [
        (call, {"q": [1.0]}, TypeError, "q to be a tensor, but got list"),
        (
            call,
            {"q": torch.zeros(2, 4, 5, 32, dtype=torch.int32)},
            TypeError,
            "q of float16, .* got torch.int32",
        ),
        (
            call,
            {"k": torch.zeros(2, 2, 5, 32).half()},
            TypeError,
            "k of torch.float32 as q, but got torch.float16",
        ),
        (call, {"q": torch.zeros(4, 5, 32)}, ValueError, r"four dimensions 'bhsd', but got \[4, 5, 32\]"),
        (call, {"k": torch.zeros(1, 2, 5, 32)}, ValueError, "k of the batch size of q, 2, but got 1"),
        (call, {"k": torch.zeros(2, 2, 4, 32)}, ValueError, "k of the length of q, 5, but got 4"),
        (call, {"positions": torch.zeros(5)}, TypeError, "positions of integers, but got torch.float32"),
        (call, {"positions": None}, TypeError, "positions to be a tensor, but got NoneType"),
        (call, {"positions": torch.arange(4)}, ValueError, r"\[5\] or \[2, 5\], but got \[4\]"),
        (call, {"positions": torch.zeros(3, 5).int()}, ValueError, r"\[5\] or \[2, 5\], but got \[3, 5\]"),
        (call, {"layout": "sbhd"}, ValueError, "layout to be 'bhsd' or 'bshd', but got 'sbhd'"),
        (call, {"layer": "local"}, ValueError, "layer to be '', but got 'local'"),
        (
            call,
            {"q": torch.zeros(2, 4, 5, 30)},
            ValueError,
            "q of the 32 channels that are rotated, but got 30",
        ),
        (attend, {"q": torch.zeros(2, 4, 5, 8), "k": torch.zeros(2, 2, 5, 8)}, ValueError, "the 32 channels"),
        (call, {"config": 5}, TypeError, "path of a config.json, but got int"),
        (call, {"config": "no/such/config.json"}, OSError, "no/such/config.json"),
        (call, {"config": {**LLAMA, "rope_theta": -1}}, MLIRError, "rope_theta"),
        (attend, {"k": torch.zeros(2, 3, 5, 32)}, ValueError, "v of the heads and length of k"),
        (
            attend,
            {"k": torch.zeros(2, 3, 5, 32), "v": torch.zeros(2, 3, 5, 32)},
            ValueError,
            "heads of k that divide those of q, 4, but got 3",
        ),
        (attend, {"k": torch.zeros(2, 2, 5, 16)}, ValueError, "k of the channels of q, 32, but got 16"),
        (attend, {"positions": None}, ValueError, "positions, but got None"),
        (
            attend,
            {"k": torch.zeros(2, 2, 9, 32), "v": torch.zeros(2, 2, 9, 32)},
            ValueError,
            "key_positions or rotated_keys for 9 keys and 5 queries",
        ),
        (attend, {"mask": torch.zeros(2, 4)}, ValueError, r"a mask \[2, 5\] or one like \[2, 4, 5, 5\]"),
        (attend, {"mask": torch.zeros(2, 5).int()}, TypeError, "a mask of booleans or floats"),
        (attend, {"sinks": torch.zeros(4)}, ValueError, "no sinks"),
        (attend, {"config": GPT_OSS, "layer": "full_attention"}, ValueError, "expected sinks"),
    ],
)
def test_refuses(function, changes, kind, sentence):
    with pytest.raises(kind, match=sentence):
        function(**changes)


def test_layers_without_attention_or_rotation():
    latent = {**LLAMA, "model_type": "llama4_text", "layer_types": ["chunked_attention", "full_attention"]}
    with pytest.raises(ValueError, match="a layer that rotates, but 'full_attention' does not"):
        call(config=latent, layer="full_attention")

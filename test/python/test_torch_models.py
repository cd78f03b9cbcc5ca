# Models of Hugging Face transformers, patched: tiny, with random weights.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: torch
# RUN: %torch_pytest %s

import copy
import threading

import pytest
import torch
import transformers
from rope_mlir.torch import patch, unpatch

SIZES = {
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
BOTH_KINDS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 5}
# Names of classes in front of "ForCausalLM" and "Config", and what makes the model interesting.
FAMILIES = {
    "llama": ("Llama", GROUPED),
    "llama3": ("Llama", {**GROUPED, "rope_parameters": LLAMA3}),
    "qwen2-sliding": ("Qwen2", {**GROUPED, "use_sliding_window": True, **BOTH_KINDS}),
    "qwen3-yarn": ("Qwen3", {**GROUPED, "head_dim": 32, "rope_parameters": YARN}),
    "gemma2": ("Gemma2", {**GROUPED, "head_dim": 32, "query_pre_attn_scalar": 32, **BOTH_KINDS}),
    "gemma3": ("Gemma3", {**GROUPED, "head_dim": 32, "query_pre_attn_scalar": 32, **BOTH_KINDS}),
    "mistral": ("Mistral", {**GROUPED, "head_dim": 32, "sliding_window": 5}),
    "phi": ("Phi", {**GROUPED, "partial_rotary_factor": 0.5}),
    "phi3": ("Phi3", {**GROUPED, "partial_rotary_factor": 0.5, "sliding_window": None}),
    "gpt-neox": ("GPTNeoX", {**SIZES, "rotary_pct": 0.5}),
}


def make(family, **changes):
    name, values = FAMILIES[family]
    config_name = "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config"
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(**{**values, **changes})
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    # Larger than models start with, so that attention is not uniform.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    return model


def tokens(length=13, batch=2):
    torch.manual_seed(1)
    ids = torch.randint(2, 96, (batch, length))
    seen = torch.ones_like(ids)
    seen[0, :4] = 0
    return ids, seen


def generate(model, ids, seen, **keywords):
    result = model.generate(
        ids,
        attention_mask=seen,
        max_new_tokens=3,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        **keywords,
    )
    return torch.stack(result.logits, 1)


def outputs(model, pads=True):
    """What a model says: whole sequences, padded ones, one token at a time, several, by `generate`."""
    ids, seen = tokens()
    with torch.no_grad():
        whole = model(ids).logits
        if pads:
            padded = model(ids, attention_mask=seen).logits[seen.bool()]
        else:
            # The same without a mask: transformers' own gives NaN in float64 where nothing is seen.
            shorter = model(ids[:1, 4:], position_ids=torch.arange(4, 13)[None]).logits
            padded = torch.cat([shorter, whole[1:]], 1)[0]
        result = {
            "whole": whole,
            "padded": padded,
            "positions": model(ids, position_ids=3 * torch.arange(13)[None] + 5).logits,
        }
        cache = model(ids[:, :7], use_cache=True).cache
        several = model(ids[:, 7:10], cache=cache).logits
        single = [model(ids[:, i : i + 1], cache=cache).logits for i in range(10, 13)]
        result["cached"] = torch.cat([several, *single], 1)
        if pads:
            result["generated"] = generate(model, ids, seen)
    return result


def gradients(model):
    ids, seen = tokens()
    model.zero_grad()
    model(ids, attention_mask=seen, labels=ids).loss.backward()
    return torch.cat(
        [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    )


def distance(a, b):
    return (a.double() - b.double()).abs().max().item()


@pytest.mark.parametrize("family", FAMILIES)
def test_patched_model_says_the_same(family):
    model = make(family)
    other = type(model)(model.config).eval()
    other.load_state_dict(model.state_dict())
    before, slopes = outputs(model), gradients(model)
    reference = outputs(copy.deepcopy(model).double(), pads=False)

    report = patch(model)
    assert len(report.rotations) == 2 and len(report.attention) == (0 if family == "phi" else 2)
    patched = outputs(model)
    for name, expected in before.items():
        size = expected.abs().max().item()
        assert distance(patched[name], expected) < 1e-5 * size, name
    for name, truth in reference.items():
        size = truth.abs().max().item()
        # Not further from the same in float64 than the model as it was, but for one more rounding.
        ours, theirs = distance(patched[name], truth), distance(before[name], truth)
        assert ours < 1.5 * theirs + 1e-6 * size, name
    assert distance(gradients(model), slopes) < 1e-5 * slopes.abs().max().item()

    # Another model of the class and even of the same configuration does what it did.
    assert all("forward" not in module.__dict__ for module in other.modules())
    with torch.no_grad():
        assert torch.equal(other(tokens()[0]).logits, before["whole"])
    unpatch(model)
    assert all(not {"forward", "_rope_mlir_patch"} & set(module.__dict__) for module in model.modules())
    after = outputs(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_bfloat16_is_no_further_from_the_truth(family):
    model = make(family)
    reference = outputs(copy.deepcopy(model).double(), pads=False)
    # Buffers of frequencies stay in float32, as they do when a model is loaded in bfloat16.
    frequencies = {name: buffer.clone() for name, buffer in model.named_buffers() if "inv_freq" in name}
    model = model.bfloat16()
    for name, buffer in frequencies.items():
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, buffer)
    before = outputs(model)
    patch(model)
    patched = outputs(model)
    for name in ("whole", "padded", "positions", "cached"):
        ours, theirs = (
            (x[name].double() - reference[name]).square().mean().sqrt().item() for x in (patched, before)
        )
        size = reference[name].square().mean().sqrt().item()
        # 2 layers of some 10 operations, each rounded to 8 bits.
        assert patched[name].dtype == torch.bfloat16 and ours < 20 * 2**-8 * size
        assert ours < 1.1 * theirs, name


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_static_cache(family):
    model = make(family)
    ids, seen = tokens()
    keywords = {"cache_implementation": "static", "disable_compile": True}
    expected = generate(model, ids, seen, **keywords)
    patch(model)
    assert distance(generate(model, ids, seen, **keywords), expected) < 1e-5 * expected.abs().max().item()


def test_frequencies_that_follow_the_length():
    dynamic = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    model = make("llama", max_position_embeddings=16, rope_parameters=dynamic)
    ours = copy.deepcopy(model)
    patch(ours)
    ids, _ = tokens(40)
    # Longer than before, shorter than the longest, short again.
    with torch.no_grad():
        for length in (12, 40, 24, 16, 8, 20):
            expected = model(ids[:, :length]).logits
            size = expected.abs().max().item()
            assert distance(ours(ids[:, :length]).logits, expected) < 2e-5 * size, length
            assert distance(model(ids[:, :8]).logits, ours(ids[:, :8]).logits) < 2e-5 * size
            assert distance(model(ids).logits, ours(ids).logits) < 2e-5 * size


def test_factors_for_long_sequences():
    longrope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + i / 10 for i in range(16)],
        "long_factor": [2.0 + i for i in range(16)],
        "original_max_position_embeddings": 16,
    }
    changes = {"partial_rotary_factor": 1.0, "rope_parameters": longrope, "max_position_embeddings": 64}
    model = make("phi3", **changes, original_max_position_embeddings=16)
    ids, _ = tokens(24)
    with torch.no_grad():
        expected = [model(ids[:, :length]).logits for length in (16, 17, 24)]
        patch(model)
        for length, want in zip((16, 17, 24), expected):
            assert distance(model(ids[:, :length]).logits, want) < 1e-5 * want.abs().max().item()


def test_compiles_to_one_graph():
    model = make("llama")
    ids, seen = tokens()
    patch(model)
    with torch.no_grad():
        expected = model(ids, attention_mask=seen).logits
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        assert distance(compiled(ids, attention_mask=seen).logits, expected) < 1e-5
    assert distance(compiled(ids, attention_mask=seen).logits, model(ids, attention_mask=seen).logits) < 1e-5


def test_what_the_operator_does_not_give_stays_the_models_own():
    ids, seen = tokens()
    model = make("llama", attn_implementation="eager")
    four = torch.ones(2, 1, 13, 13, dtype=torch.bool).tril() & seen.bool()[:, None, None]
    float_mask = torch.where(four, 0.0, torch.finfo(torch.float32).min)
    calls = [
        {"attention_mask": seen, "output_attentions": True},
        {"attention_mask": float_mask},
        {"attention_mask": seen, "output_hidden_states": True},
    ]
    with torch.no_grad():
        expected = [model(ids, **call) for call in calls]
        patch(model)
        for call, want in zip(calls, expected):
            result = model(ids, **call)
            assert distance(result.logits[seen.bool()], want.logits[seen.bool()]) < 1e-5
            for kind in ("attentions", "hidden_states"):
                theirs, ours = getattr(want, kind) or (), getattr(result, kind) or ()
                assert len(ours) == len(theirs)
                for one, other in zip(ours, theirs):
                    if kind == "hidden_states":
                        one, other = one[seen.bool()], other[seen.bool()]
                    assert distance(one, other) < 1e-4
    unpatch(model)
    # Dropout asks for the model's own attention, with the same random numbers.
    dropped = make("llama", attention_dropout=0.5).train()
    torch.manual_seed(3)
    want = dropped(ids).logits
    patch(dropped)
    torch.manual_seed(3)
    assert distance(dropped(ids).logits, want) < 1e-5


def test_threads_and_copies():
    model = make("llama")
    patch(model)
    ids, _ = tokens()
    with torch.no_grad():
        expected = model(ids).logits
        clone = copy.deepcopy(model)
        assert torch.equal(clone(ids).logits, expected)
    unpatch(clone)
    assert "forward" not in clone.model.__dict__ and "forward" in model.model.__dict__
    results = []

    def work():
        with torch.no_grad():
            results.extend(model(ids).logits for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20 and all(torch.equal(result, expected) for result in results)


def test_refuses():
    with pytest.raises(TypeError, match="a module of PyTorch, but got int"):
        patch(5)
    with pytest.raises(ValueError, match="nothing to patch in Linear"):
        patch(torch.nn.Linear(2, 2))
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    bert = transformers.BertModel(config)
    with pytest.raises(ValueError, match="nothing to patch in BertModel"):
        patch(bert)
    model = make("llama")
    with pytest.raises(ValueError, match="a model that patch has changed"):
        unpatch(model)
    patch(model)
    with pytest.raises(ValueError, match="this one is: unpatch it first"):
        patch(model)
    with pytest.raises(ValueError, match="'layers.0.self_attn', but it was replaced"):
        patch(model.model)
    unpatch(model)
    model.model.layers[1].self_attn.forward = lambda *arguments, **keywords: None
    with pytest.raises(ValueError, match="'model.layers.1.self_attn', but it was replaced"):
        patch(model)
    assert "forward" not in model.model.__dict__
    del model.model.layers[1].self_attn.forward
    # A class that computes something else from the configuration than the importer.
    model.model.rotary_emb.config = copy.deepcopy(model.config)
    model.model.rotary_emb.config.rope_parameters["rope_theta"] = 500.0
    with pytest.raises(ValueError, match="what its configuration says, but they differ by"):
        patch(model)
    assert "forward" not in model.model.__dict__

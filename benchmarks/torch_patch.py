#!/usr/bin/env python3
# A model of transformers as it is, and patched.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times prefill and decoding of a small Llama with random weights, as transformers
has it and with rope_mlir.torch.patch, in turn in one process, and prints how many
times as fast the patched one is: by the best times, as what else runs only ever
adds, and the middle half of single rounds.

  benchmarks/torch_patch.py [--json=FILE] [--rounds=N] [--compile]

Needs PyTorch, transformers and rope_mlir: run it by `make bench-torch`. With
--compile also what torch.compile makes of the unpatched and the patched model in prefill,
which takes minutes more. Threads are PyTorch's and ROPE_NUM_THREADS.
"""

import argparse
import json
import os
import platform
import sys
import time

import rope_mlir
import torch
import transformers
from rope_mlir.torch import patch, unpatch

CONFIG = {
    "vocab_size": 512,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
PREFILL = (16, 128, 512, 2048)
DECODE = (16, 512, 2048)
STEPS = 8


def prefill(model, ids):
    return lambda: model(ids)


def decode(model, ids):
    """STEPS tokens behind those that a cache holds, which is cut back."""
    length = ids.shape[1]
    cache = model(ids, use_cache=True).cache
    token = ids[:, :1]

    def run():
        for _ in range(STEPS):
            model(token, cache=cache)
        cache.crop(-STEPS)
        assert cache.get_seq_length() == length

    return run


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(model, make, ids, rounds):
    """Seconds of each round: unpatched, patched; and how far results are apart."""
    logits = [model(ids).logits.float()]
    run = make(model, ids)
    patch(model)
    logits.append(model(ids).logits.float())
    own = make(model, ids)
    times = [[], []]
    for i in range(rounds):
        # Each goes first in every other round.
        for which in ((0, 1), (1, 0))[i % 2]:
            if which == 0:
                unpatch(model)
                run()
                times[0].append(seconds(run))
                patch(model)
            else:
                own()
                times[1].append(seconds(own))
    unpatch(model)
    apart = (logits[0] - logits[1]).abs().max() / logits[0].abs().max()
    return times, apart.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    rope_mlir.set_num_threads(threads)
    print(
        f"Llama of {CONFIG['num_hidden_layers']} layers, width {CONFIG['hidden_size']}, "
        f"{CONFIG['num_attention_heads']} query and {CONFIG['num_key_value_heads']} key heads, batch 1; "
        f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {threads} threads"
    )
    print(f"{'':28}{'unpatched':>12}{'patched':>12}{'times as fast':>16}{'middle half':>16}")
    results, checks = [], []
    for dtype in (torch.float32, torch.bfloat16):
        model = (
            transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG, dtype=dtype)).eval().to(dtype)
        )
        # In float32, as loading a model in bfloat16 leaves them.
        for name in ("inv_freq", "original_inv_freq"):
            fresh = type(model.model.rotary_emb)(model.config)
            setattr(model.model.rotary_emb, name, getattr(fresh, name))
        short = {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype]
        for kind, make, lengths in (("prefill", prefill, PREFILL), ("decode", decode, DECODE)):
            for length in lengths:
                ids = torch.randint(0, CONFIG["vocab_size"], (1, length))
                count = 1 if kind == "prefill" else STEPS
                with torch.no_grad():
                    times, apart = compare(model, make, ids, options.rounds)
                best = [min(each) / count for each in times]
                ratios = sorted(a / b for a, b in zip(*times))
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                name = f"{kind} {'of' if kind == 'prefill' else 'behind'} {length}"
                print(
                    f"{name:22}{short:>6}{1e3 * best[0]:>9.2f} ms{1e3 * best[1]:>9.2f} ms"
                    f"{best[0] / best[1]:>16.2f}{f'{low:.2f}..{high:.2f}':>16}",
                    flush=True,
                )
                row = {"name": f"torch {name}", "dtype": short, "threads": threads, "peer": "transformers"}
                results.append({**row, "ratio": round(best[0] / best[1], 3), "goal": 1.0})
                results[-1]["spread"] = [round(low, 3), round(high, 3)]
                limit = 1e-4 if dtype == torch.float32 else 5e-2
                checks.append({"name": f"torch {name} {short} difference", "value": apart, "limit": limit})
        if options.compile:
            compiled(model, short, options.rounds)
    if options.json:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "results": results, "checks": checks}, file, indent=1)
    failed = [check for check in checks if not check["value"] <= check["limit"]]
    for check in failed:
        print(f"error: {check['name']}: expected at most {check['limit']}, but got {check['value']:.2e}")
    return 1 if failed else 0


def compiled(model, short, rounds):
    """What torch.compile makes of both, in prefill."""
    ids = torch.randint(0, CONFIG["vocab_size"], (1, 512))
    best = []
    for is_patched in (False, True):
        if is_patched:
            patch(model)
        function = torch.compile(model)
        with torch.no_grad():
            function(ids)
            best.append(min(seconds(lambda: function(ids)) for _ in range(rounds)))
        torch.compiler.reset()
    unpatch(model)
    print(
        f"{'prefill of 512, compiled':22}{short:>6}{1e3 * best[0]:>7.2f} ms{1e3 * best[1]:>9.2f} ms"
        f"{best[0] / best[1]:>16.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

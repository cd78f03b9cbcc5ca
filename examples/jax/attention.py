"""A block of attention from JAX: halves rotated as MaxText has them, grouped heads,
a causal mask."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common import compare, iree

import jax
import jax.numpy as jnp
import numpy as np

TOKENS, WIDTH, HEADS, KV_HEADS, HEAD = 256, 512, 8, 2, 64


def rotate(x, positions):
    exponents = 2 * jnp.arange(HEAD // 2) / HEAD
    angles = positions[..., None, None] / 1e4**exponents
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def attention(x, positions, wq, wk, wv, wo):
    q, k, v = (jnp.einsum("bsw,whd->bshd", x, w) for w in (wq, wk, wv))
    q, k = rotate(q, positions), rotate(k, positions)
    k, v = (jnp.repeat(t, HEADS // KV_HEADS, 2) for t in (k, v))
    scores = jnp.einsum("bshd,bthd->bhst", q, k) * HEAD**-0.5
    future = jnp.triu(jnp.ones((TOKENS, TOKENS), bool), 1)
    weights = jax.nn.softmax(jnp.where(future, -jnp.inf, scores), -1)
    return jnp.einsum("bhst,bthd,hdw->bsw", weights, v, wo)


def main():
    rng = np.random.default_rng(0)

    def random(*shape):
        return (rng.standard_normal(shape) / np.sqrt(WIDTH)).astype(np.float32)

    arguments = [rng.standard_normal((1, TOKENS, WIDTH)).astype(np.float32), np.arange(TOKENS, dtype=np.int32)[None],
                 *(random(WIDTH, n, HEAD) for n in (HEADS, KV_HEADS, KV_HEADS)), random(HEADS, HEAD, WIDTH)]
    function = jax.jit(attention)
    text = iree("iree-compile", "--iree-input-type=stablehlo", "--compile-to=input", "-",
                stdin=function.lower(*arguments).as_text())
    # What differs from upstream's dialects is the name of functions.
    text = text.replace("util.func public", "func.func").replace("util.func", "func.func").replace("util.return", "return")
    expected = np.asarray(function(*arguments), np.float64)
    on_device = jax.device_put(arguments)
    compare("jax", "JAX", text, arguments, expected, lambda: function(*on_device).block_until_ready(), 1e-4)


if __name__ == "__main__":
    main()

# Arrays of PyTorch and JAX, where these are installed.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %frameworks_pytest %s

import gc

import numpy as np
import pytest
import rope_mlir
from modules import binary, copy


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


@pytest.fixture(scope="module")
def jax():
    return pytest.importorskip("jax", reason="JAX is not installed", exc_type=ImportError)


@pytest.fixture(scope="module")
def add():
    return rope_mlir.compile(binary("f32"))


def refused(kind, function, *arguments, **keywords):
    with pytest.raises(kind) as error:
        function(*arguments, **keywords)
    assert type(error.value) is kind and str(error.value).endswith("\n  " + function.signature)
    return str(error.value).split("\n")[0]


@pytest.mark.parametrize("element", ["f16", "bf16", "f32", "f64", "i1", "i8", "i16", "i32", "i64", "ui8"])
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (5, 4)])
def test_torch_element_types(torch, element, shape):
    names = {
        "f16": "float16",
        "bf16": "bfloat16",
        "f32": "float32",
        "f64": "float64",
        "i1": "bool",
        "ui8": "uint8",
    }
    dtype = getattr(torch, names.get(element, element.replace("i", "int")))
    function = rope_mlir.compile(copy(element))
    x = (torch.rand(shape) * 3).to(dtype)
    result = function(x)
    assert type(result) is torch.Tensor and result.dtype == dtype and torch.equal(result, x)
    assert result.data_ptr() != x.data_ptr() or not x.numel()
    assert result.data_ptr() % 64 == 0
    out = torch.empty_like(x)
    assert function(x, out=out) is out and torch.equal(out, x)


def test_torch_views_and_mixed_arrays(torch, add):
    x = torch.arange(400, dtype=torch.float32).reshape(5, 10, 8)
    a, b = x[0, :, 2:6], x[3, :, 4:]
    assert torch.equal(add(a, b), a + b)
    row = x[0, :1, :4].expand(7, 4)
    assert torch.equal(add(row, row), row + row)
    # The first array says of which kind results are.
    assert type(add(a, b.numpy())) is torch.Tensor and type(add(a.numpy(), b)) is np.ndarray
    out = np.zeros((10, 4), np.float32)
    assert add(a, b, out=out) is out and np.array_equal(out, (a + b).numpy())
    parameter = torch.nn.Parameter(a.clone(), requires_grad=False)
    assert type(add(parameter, b)) is torch.Tensor


def test_torch_refusals(torch, add):
    x = torch.ones(3, 4)
    needs = torch.ones(3, 4, requires_grad=True)
    assert "detach" in refused(ValueError, add, x, needs)
    with torch.no_grad():
        assert torch.equal(add(x, needs), torch.full((3, 4), 2.0))
    with torch.inference_mode():
        assert torch.equal(add(x, torch.ones(3, 4)), torch.full((3, 4), 2.0))
    assert "their stride is 2" in refused(ValueError, add, x, torch.ones(3, 8)[:, ::2])
    assert "the element type is f64" in refused(TypeError, add, x, x.double())
    assert "complex64" in refused(TypeError, add, x, x.to(torch.complex64))
    assert "resolve_neg" in refused(ValueError, add, x, torch.complex(x, x).conj().imag)
    refused(ValueError, add, x, x.to("meta"))
    refused(ValueError, add, x, x.to_sparse())
    assert "shares some" in refused(ValueError, add, x, x, out=x)
    assert "several may share one" in refused(ValueError, add, x, x, out=torch.ones(1, 4).expand(3, 4))
    assert "dimension 0 is 2" in refused(ValueError, add, x, x, out=torch.ones(2, 4))
    if torch.cuda.is_available():
        assert "copy it to the processor" in refused(ValueError, add, x, x.cuda())


def test_torch_results_live_on_their_own(torch, add):
    x = torch.ones(1 << 14, 4)
    results = [add(x, x) for _ in range(20)]
    del x
    gc.collect()
    assert all(bool((result == 2).all()) for result in results)
    result = results[0]
    del results
    gc.collect()
    result += 1
    assert bool((result == 3).all())


def test_torch_results_may_grow(torch, add):
    result = add(torch.ones(2, 4), torch.ones(2, 4))
    result.resize_(300, 300).fill_(1.0)
    assert result.sum().item() == 90000


def test_torch_results_that_the_function_allocates(torch):
    function = rope_mlir.compile(
        "func.func @f(%n: index, %x: tensor<2xbf16>) -> tensor<?x2xbf16> {\n"
        "  %0 = tensor.generate %n { ^bb0(%i: index, %j: index):\n"
        "    %a = tensor.extract %x[%j] : tensor<2xbf16> tensor.yield %a : bf16 } : tensor<?x2xbf16>\n"
        "  return %0 : tensor<?x2xbf16>\n}"
    )
    x = torch.tensor([1, 2], dtype=torch.bfloat16)
    for n in (0, 3):
        result = function(n, x)
        assert type(result) is torch.Tensor and torch.equal(result, x.expand(n, 2))


def test_jax(jax, add):
    jnp = jax.numpy
    x = jnp.arange(12, dtype=jnp.float32).reshape(3, 4)
    result = add(x, x)
    assert isinstance(result, jax.Array) and (result == x + x).all()
    assert isinstance(add(x, np.ones((3, 4), np.float32)), jax.Array)
    assert isinstance(add(np.ones((3, 4), np.float32), x), np.ndarray)
    assert isinstance(jax.jit(lambda a: a + 1)(result), jax.Array)
    assert add(x[:0], x[:0]).shape == (0, 4)
    bf16 = rope_mlir.compile(binary("bf16"))
    y = x.astype(jnp.bfloat16)
    assert bf16(y, y).dtype == jnp.bfloat16 and (bf16(y, y) == y + y).all()
    assert "read-only" in refused(ValueError, add, x, x, out=x)
    assert "the element type is bf16" in refused(TypeError, add, x, y)
    refused(TypeError, add, x, x.astype(jnp.complex64))
    gone = jnp.ones((3, 4))
    gone.delete()
    refused(ValueError, add, x, gone)
    out = np.empty((3, 4), np.float32)
    assert add(x, x, out=out) is out and (out == x + x).all()


def test_jax_traced_values(jax, add):
    with pytest.raises((TypeError, ValueError)):
        jax.jit(lambda x: add(x, x))(jax.numpy.ones((3, 4)))

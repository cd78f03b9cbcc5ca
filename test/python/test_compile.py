# Compiled functions of the Python package: numbers, and what does not fit.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest %s

import array
import gc
import weakref

import ml_dtypes
import numpy as np
import pytest
import rope_mlir
from modules import CONFIG, IN_PLACE, binary, copy
from rope_mlir import ir

BF16 = np.dtype(ml_dtypes.bfloat16)
ELEMENTS = {
    "f16": np.float16,
    "bf16": BF16,
    "f32": np.float32,
    "f64": np.float64,
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "ui8": np.uint8,
    "ui16": np.uint16,
    "ui32": np.uint32,
    "ui64": np.uint64,
}


def compiled(text, *arguments, **options):
    return rope_mlir.compile(text, *arguments, **options)


@pytest.fixture(scope="module")
def add():
    return compiled(binary("f32"))


def refused(kind, function, *arguments, **keywords):
    """The text of the exception, without the function's signature, in which it has to end."""
    with pytest.raises(kind) as error:
        function(*arguments, **keywords)
    assert type(error.value) is kind
    assert str(error.value).endswith("\n  " + function.signature)
    return str(error.value).split("\n")[0]


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


# What a function says of itself.


def test_attributes(add):
    assert add.name == "f"
    assert add.signature == "f: (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>"
    assert add.argument_types == ["float32[?, 4]"] * 2 and add.result_types == ["float32[?, 4]"]
    assert repr(add) == f"<Function {add.signature}>"
    assert isinstance(add.from_cache, bool) and isinstance(add, rope_mlir.Function)
    scalars = compiled("func.func @g(%x: f64, %y: tensor<index>) { return }")
    assert scalars.argument_types == ["float64", "int64"] and scalars.result_types == []


@pytest.mark.filterwarnings("ignore:nanobind:RuntimeWarning")
def test_no_instances_of_their_own():
    with pytest.raises(TypeError):
        rope_mlir.Function()
    with pytest.raises(TypeError):
        rope_mlir.Function.__new__(rope_mlir.Function)(1)


# Numbers.


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3, 4), (100, 4)])
def test_element_types(element, shape):
    dtype = ELEMENTS[element]
    function = compiled(copy(element))
    x = (
        np.random.default_rng(0).random(shape) * 100 % 2
        if element == "i1"
        else np.random.default_rng(0).random(shape) * 100
    ).astype(dtype)
    result = function(x)
    assert type(result) is np.ndarray and result.dtype == dtype and result.flags.writeable
    assert result.tobytes() == x.tobytes()
    assert not np.shares_memory(result, x)
    out = np.empty_like(x)
    assert function(x, out=out) is out and out.tobytes() == x.tobytes()


@pytest.mark.parametrize("element", ["f16", "bf16", "f32", "f64"])
def test_sums(element):
    dtype = ELEMENTS[element]
    function = compiled(binary(element))
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((33, 4)).astype(dtype) for _ in range(2))
    expected = (x.astype(np.float64) + y.astype(np.float64)).astype(dtype)
    assert np.array_equal(function(x, y), expected)


def angles(positions, channels, base=10000.0):
    return positions[..., None].astype(np.float64) * base ** (-np.arange(0, channels, 2) / channels)


def rotated(x, positions):
    """Half-split rotation of [B, S, H, D] by positions [B, S], in float64."""
    x = x.astype(np.float64)
    angle = angles(positions, x.shape[-1])[:, :, None]
    first, second = np.split(x, 2, -1)
    return np.concatenate(
        [first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle)], -1
    )


@pytest.mark.parametrize("dtype, bound", [("f32", 1e-6), ("f16", 1e-3), ("bf16", 8e-3)])
@pytest.mark.parametrize("batch, length", [(1, 1), (2, 5), (1, 0), (0, 3), (1, 700)])
def test_rotations(dtype, bound, batch, length):
    function = compiled(rope_mlir.import_hf_config(CONFIG, dtype=dtype), "rope_apply")
    rng = np.random.default_rng(2)
    x = rng.standard_normal((batch, length, 2, 32)).astype(ELEMENTS[dtype])
    positions = rng.integers(0, 100000, (batch, length))
    result = function(x, positions)
    assert result.dtype == x.dtype and result.shape == x.shape
    error = np.abs(result.astype(np.float64) - rotated(x, positions))
    assert error.size == 0 or error.max() <= bound * max(1, np.abs(x.astype(np.float64)).max())


def test_tables_and_attention():
    module = rope_mlir.import_hf_config(CONFIG)
    positions = np.array([0, 1, 7, 131071])
    cos, sin = compiled(module, "rope_table")(positions)
    angle = angles(positions, 32)
    assert np.abs(cos - np.cos(angle)).max() < 3e-7 and np.abs(sin - np.sin(angle)).max() < 3e-7

    function = compiled(module, "attention")
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((1, 6, 2, 32)).astype(np.float32) for _ in range(3))
    positions = np.arange(6)[None]
    scores = np.einsum("bqhd,bkhd->bhqk", rotated(q, positions), rotated(k, positions)) / np.sqrt(32)
    scores = np.where(np.tril(np.ones((6, 6), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    expected = np.einsum("bhqk,bkhd->bqhd", weights, v.astype(np.float64))
    assert np.abs(function(q, k, v, positions) - expected).max() < 1e-6


def test_strided_arrays(add):
    big = np.arange(400, dtype=np.float32).reshape(5, 10, 8)
    x, y = big[0, :, 2:6], big[3, ::-1, 4:]
    assert np.array_equal(add(x, y), x + y)
    row = np.broadcast_to(big[0, 0, :4], (7, 4))
    assert np.array_equal(add(row, row), row + row)
    out = np.zeros((6, 12), np.float32)
    assert add(x[:6], y[:6], out=out[:, 4:8]) is not None
    assert np.array_equal(out[:, 4:8], x[:6] + y[:6]) and not out[:, :4].any() and not out[:, 8:].any()
    # A last dimension of one element has no stride.
    one = compiled(binary("f32", shape="?x1x"))
    assert np.array_equal(one(big[0, :, 3:4], big[1, :, 0::8]), big[0, :, 3:4] + big[1, :, 0::8])


def test_large_results_are_aligned():
    function = compiled(copy("bf16"))
    for size in (1 << 17, (1 << 17) + 1, 1 << 22):
        x = np.ones((1, size), BF16)
        result = function(x)
        assert result.ctypes.data % 64 == 0 and result.flags.writeable and np.array_equal(result, x)


def test_scalars():
    text = (
        "func.func @f(%x: {0}) -> tensor<{0}> {{\n"
        "  %0 = tensor.from_elements %x : tensor<{0}>\n  return %0 : tensor<{0}>\n}}"
    )

    def scalar(element):
        return compiled(text.format(element))

    # 1.00390625 lies between two numbers of bfloat16, and the even one is below.
    for element, value, expected in [
        ("f64", 0.1, 0.1),
        ("f32", 0.1, np.float32(0.1)),
        ("f16", 0.1, np.float16(0.1)),
        ("bf16", 0.1, BF16.type(0.1)),
        ("bf16", 1.00390625, 1.0),
        ("bf16", 1.01171875, 1.015625),
        ("bf16", float("nan"), float("nan")),
        ("bf16", float("-inf"), float("-inf")),
        ("f32", 3, 3.0),
        ("f32", True, 1.0),
        ("i8", -128, -128),
        ("i8", 255 - 128, 127),
        ("i64", -(2**63), -(2**63)),
        ("ui8", 255, 255),
        ("index", 7, 7),
        ("i1", True, True),
        ("i32", np.int64(5), 5),
        ("f32", np.float16(0.5), 0.5),
        ("f32", BF16.type(0.5), 0.5),
        ("f32", np.float64(0.25), 0.25),
        ("f32", np.array(0.5, np.float32), 0.5),
        ("i64", np.array(5), 5),
    ]:
        result = scalar(element)(value)
        assert type(result) is np.ndarray and result.shape == ()
        assert np.array_equal(result.astype(np.float64), np.float64(expected), equal_nan=True), (
            element,
            value,
            result,
        )

    i8, f32, i1, f16 = scalar("i8"), scalar("f32"), scalar("i1"), scalar("f16")
    assert "expected a number of type int8, but got 256" in refused(ValueError, i8, 256)
    refused(ValueError, i8, -129)
    refused(ValueError, i1, 2)
    refused(ValueError, f32, 10**400)
    refused(ValueError, f16, 1e6)
    assert "expected a number of type int8, but got float" in refused(TypeError, i8, 1.5)
    refused(TypeError, i8, np.float32(1))
    refused(TypeError, f32, "1")
    refused(TypeError, f32, None)
    refused(TypeError, f32, np.array(1.0))
    refused(ValueError, f32, ones(1))


def test_no_results_and_memrefs():
    function = compiled(IN_PLACE)
    x = np.zeros((3, 4), np.float32)
    assert function(x) is None and x[0, 0] == 1
    y = np.zeros((3, 8), np.float32)
    assert function(y[:, 4:]) is None and y[0, 4] == 1
    x.flags.writeable = False
    assert "read-only" in refused(ValueError, function, x)
    assert "expected out= to be 0 arrays" in refused(TypeError, function, y[:, 4:], out=ones(3, 4))


def test_results_that_the_function_allocates():
    text = """
func.func @f(%n: index, %x: tensor<2xbf16>) -> (tensor<?x2xbf16>, tensor<?xf32>) {
  %0 = tensor.generate %n { ^bb0(%i: index, %j: index):
    %a = tensor.extract %x[%j] : tensor<2xbf16> tensor.yield %a : bf16 } : tensor<?x2xbf16>
  %1 = tensor.generate %n { ^bb0(%i: index): %c = arith.index_cast %i : index to i32
    %f = arith.sitofp %c : i32 to f32 tensor.yield %f : f32 } : tensor<?xf32>
  return %0, %1 : tensor<?x2xbf16>, tensor<?xf32>
}
"""
    function = compiled(text)
    x = np.array([1, 2], BF16)
    for n in (0, 1, 5):
        a, b = function(n, x)
        assert type(a) is type(b) is np.ndarray and a.dtype == BF16
        assert np.array_equal(a, np.broadcast_to(x, (n, 2))) and np.array_equal(b, np.arange(n))
        a[:] = 3  # the caller's own memory
    gc.collect()
    assert np.array_equal(b, np.arange(5))


def test_several_results():
    function = compiled(rope_mlir.import_hf_config(CONFIG), "rope_table")
    positions = np.arange(3)
    cos, sin = np.empty((3, 16), np.float32), np.empty((3, 16), np.float32)
    for out in ((cos, sin), [cos, sin]):
        cos[:] = sin[:] = 9
        assert function(positions, out=out) is out
        assert np.array_equal(function(positions)[0], cos) and np.array_equal(function(positions)[1], sin)
    assert "expected out= to be 2 arrays, but got 1" in refused(TypeError, function, positions, out=cos)
    assert "result 1: expected" in refused(TypeError, function, positions, out=(cos, None))
    assert "shares some with result 0" in refused(ValueError, function, positions, out=(cos, cos))


# What does not fit.


def test_number_of_arguments_and_keywords(add):
    x = ones(3, 4)
    assert refused(TypeError, add) == "expected 2 arguments, but got 0"
    assert refused(TypeError, add, x, x, x) == "expected 2 arguments, but got 3"
    assert "no keyword but 'out', but got 'output'" in refused(TypeError, add, x, x, output=x)
    assert np.array_equal(add(x, x, out=None), x + x)


@pytest.mark.parametrize("value", [None, 1, 1.5, "x", [1.0], (1.0,), {}, object(), np.float32, int, len])
def test_no_arrays(add, value):
    assert "argument 1: expected" in refused(TypeError, add, ones(3, 4), value)
    if value is not None:
        assert "expected" in refused(TypeError, add, ones(3, 4), ones(3, 4), out=value)


@pytest.mark.parametrize(
    "dtype", ["f8", "f2", "i4", "u4", "c8", ">f4", "S4", "U1", "O", "M8[s]", "V4", "?", BF16, "g"]
)
def test_wrong_element_types(add, dtype):
    wrong = np.zeros((3, 4), dtype)
    assert refused(TypeError, add, ones(3, 4), wrong).startswith("argument 1: ")
    assert refused(TypeError, add, ones(3, 4), ones(3, 4), out=wrong).startswith("result 0: ")


def test_integers_without_sign():
    text = "func.func @f(%x: tensor<?xi32>) -> tensor<?xi32> { return %x : tensor<?xi32> }"
    function = compiled(text)
    assert np.array_equal(function(np.array([2**32 - 1], np.uint32)), [-1])
    refused(TypeError, function, np.array([1], np.int64))


def test_ranks_and_sizes(add):
    x = ones(3, 4)
    assert "the rank is 1, not 2" in refused(ValueError, add, x, ones(4))
    assert "the rank is 3, not 2" in refused(ValueError, add, x, ones(3, 4, 1))
    assert "the rank is 0, not 2" in refused(ValueError, add, x, ones())
    assert "the rank is 64, not 2" in refused(ValueError, add, x, ones(*[1] * 64))
    assert "dimension 1 is 5, not 4" in refused(ValueError, add, x, ones(3, 5))
    assert "dimension 0 is 2, not 3" in refused(ValueError, add, x, x, out=ones(2, 4))
    apply = compiled(rope_mlir.import_hf_config(CONFIG), "rope_apply")
    assert "expected one size" in refused(ValueError, apply, ones(1, 3, 2, 32), np.arange(2)[None])


def test_strides(add):
    x = ones(3, 8)[:, ::2]
    assert "their stride is 2: pass a contiguous copy" in refused(ValueError, add, x, ones(3, 4))
    assert "stride" in refused(ValueError, add, ones(3, 4)[:, ::-1], ones(3, 4))
    assert "stride" in refused(ValueError, add, ones(3, 4), ones(3, 4), out=x)
    assert "stride" in refused(ValueError, add, ones(3, 4), np.broadcast_to(ones(3, 1), (3, 4)))
    packed = np.zeros(3, [("a", "u1"), ("b", "f4", 4)])["b"]
    assert "multiples of the element's 4 bytes" in refused(ValueError, add, packed, ones(3, 4))
    shifted = np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4)
    assert "aligned" in refused(ValueError, add, shifted, ones(3, 4))


def test_shared_and_read_only_memory(add):
    x, y = ones(3, 4), ones(3, 4)
    assert "shares some with argument 0" in refused(ValueError, add, x, y, out=x)
    rows = ones(5, 4)
    assert "shares some" in refused(ValueError, add, rows[:3], y, out=rows[2:])
    repeated = np.lib.stride_tricks.as_strided(rows, (3, 4), (0, 4))
    assert "several may share one" in refused(ValueError, add, x, y, out=repeated)
    overlapping = np.lib.stride_tricks.as_strided(rows, (3, 4), (4, 4))
    assert "several may share one" in refused(ValueError, add, x, y, out=overlapping)
    assert "read-only" in refused(ValueError, add, x, y, out=bytes(48))
    x.flags.writeable = False
    assert "read-only" in refused(ValueError, add, y, y, out=x)
    assert np.array_equal(add(x, x), y + y)
    assert "read-only" in refused(
        ValueError, add, y, y, out=np.frombuffer(bytes(48), np.float32).reshape(3, 4)
    )


def test_other_producers(add):
    class Producer:
        def __init__(self, array, device=(1, 0)):
            self.array, self.device = array, device

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.device

    class Old(Producer):
        def __dlpack__(self, stream=None):
            return self.array.__dlpack__()

    class Raising(Producer):
        def __dlpack__(self, **options):
            raise RuntimeError("it is gone")

    class Interrupting(Producer):
        def __dlpack__(self, **options):
            raise KeyboardInterrupt

    class Wrong(Producer):
        def __dlpack__(self, **options):
            return 42

    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for producer in (Producer(x), Old(x), memoryview(x)):
        result = add(producer, x)
        assert type(result) is np.ndarray and np.array_equal(result, x + x)
    out = np.empty_like(x)
    holder = Producer(out)
    assert add(x, x, out=holder) is holder and np.array_equal(out, x + x)
    frozen = x.copy()
    frozen.flags.writeable = False
    assert "read-only" in refused(ValueError, add, x, x, out=memoryview(frozen))
    assert "DLPack device 2" in refused(ValueError, add, Producer(x, (2, 0)), x)
    assert "it is gone" in refused(ValueError, add, Raising(x), x)
    refused(TypeError, add, Wrong(x), x)
    refused(TypeError, add, Producer(x, ("cpu", 0)), x)
    refused(ValueError, add, Producer(x, None), x)
    with pytest.raises(KeyboardInterrupt):
        add(Interrupting(x), x)
    numbers = compiled("func.func @f(%x: tensor<?xf64>) -> tensor<?xf64> { return %x : tensor<?xf64> }")
    assert np.array_equal(numbers(array.array("d", [1, 2])), [1, 2])


def test_subclasses_of_arrays(add):
    class Shouting(np.ndarray):
        @property
        def __array_struct__(self):
            raise AssertionError("not asked")

        @property
        def dtype(self):
            return "nothing"

    x = ones(3, 4)
    assert np.array_equal(add(x.view(Shouting), x), x + x)


# Modules and names.


def test_functions_that_are_not_there():
    module = ir.Module.parse(binary("f32") + "func.func private @g() { return }\nfunc.func private @h()\n")
    for name in ("none", "f ", "g", "h", "\0", "f\0", "\ud7ff"):
        with pytest.raises(rope_mlir.FunctionNotFoundError) as error:
            rope_mlir.compile(module, name)
        assert "f: (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>" in str(error.value)
    assert issubclass(rope_mlir.FunctionNotFoundError, LookupError)
    assert rope_mlir.compile(module).name == rope_mlir.compile(module, "f").name == "f"
    with pytest.raises(rope_mlir.FunctionNotFoundError, match="no function was named"):
        rope_mlir.compile(rope_mlir.import_hf_config(CONFIG))
    with pytest.raises(rope_mlir.FunctionNotFoundError):
        rope_mlir.compile("module {}")


def test_modules_with_errors():
    with pytest.raises(ir.MLIRError) as error:
        rope_mlir.compile("func.func @f(%x: f32) {\n  return %y : f32\n}")
    assert error.value.diagnostics[0].location == ir.Location("-", 2, 10)
    text = """func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = tosa.custom %x {domain_name = "a", implementation_attrs = "", operator_name = "b"}
    : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}"""
    module = ir.Module.parse(text, "model.mlir")
    before = str(module)
    with pytest.raises(ir.MLIRError) as error:
        rope_mlir.compile(module)
    assert "tosa.custom" in str(error.value)
    assert str(module) == before
    with pytest.raises(ir.MLIRError, match="no_such_function"):
        rope_mlir.compile(
            "func.func private @no_such_function()\n"
            "func.func @f() { call @no_such_function() : () -> () return }"
        )


def test_options():
    module = ir.Module.parse(binary("f32"))
    x = ones(3, 4)
    for options in [
        {"optimize": True},
        {"single_threaded": True},
        {"opt_level": 0},
        {"target_cpu": "host"},
        {"cache": False},
        {"target_features": ""},
    ]:
        assert np.array_equal(rope_mlir.compile(module, **options)(x, x), x + x)
    for options in [
        {"opt_level": 4},
        {"opt_level": -1},
        {"target_cpu": "none"},
        {"target_features": "+none"},
    ]:
        with pytest.raises(ValueError):
            rope_mlir.compile(module, **options)
    for options in [
        {"opt_level": "3"},
        {"optimize": None},
        {"target_cpu": 3},
        {"cache": 3},
        {"function": 3},
        {"module": 3},
    ]:
        with pytest.raises(TypeError):
            rope_mlir.compile(**{"module": module, **options})
    with pytest.raises(TypeError):
        rope_mlir.compile(module, nothing=1)


def test_bytecode_and_modules_stay():
    module = ir.Module.parse(binary("f32"))
    op = list(module.walk())[2]
    x = ones(3, 4)
    function = rope_mlir.compile(module)
    assert op.name == "arith.addf"
    assert np.array_equal(rope_mlir.compile(module.bytecode())(x, x), x + x)
    # Code does not need its module.
    del module, op
    gc.collect()
    assert np.array_equal(function(x, x), x + x)


def test_nothing_is_kept(add):
    class Array(np.ndarray):
        pass

    x = ones(3, 4).view(Array)
    reference = weakref.ref(x)
    add(x, x)
    refused(ValueError, add, x, ones(2, 3))
    del x
    gc.collect()
    assert reference() is None
    results = [weakref.ref(add(ones(3, 4), ones(3, 4))) for _ in range(3)]
    gc.collect()
    assert not any(result() is not None for result in results)


def test_number_of_threads():
    before = rope_mlir.get_num_threads()
    assert before >= 1
    rope_mlir.set_num_threads(3)
    assert rope_mlir.get_num_threads() == 3
    rope_mlir.set_num_threads(0)
    assert rope_mlir.get_num_threads() == before
    for value in (-1, 1.5, "2", None):
        with pytest.raises((ValueError, TypeError)):
            rope_mlir.set_num_threads(value)

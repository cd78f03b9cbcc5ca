# Pipelines of the Python package.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest %s

import inspect

import pytest
import rope_mlir
from modules import CONFIG, binary
from rope_mlir import ir, passes


def imported():
    return rope_mlir.import_hf_config(CONFIG)


def test_run_returns_the_module():
    module = ir.Module.parse(binary("f32"))
    assert passes.run(module, "canonicalize, cse") is module
    assert passes.run(module, "builtin.module(func.func(canonicalize))") is module
    assert passes.run(module, "func.func(canonicalize)") is module
    assert passes.run(module, "") is module


@pytest.mark.parametrize(
    "pipeline, message",
    [
        ("foo", "'foo' does not refer to a registered pass or pass pipeline"),
        ("builtin.module(foo)", "'foo' does not refer"),
        ("canonicalize(", "unbalanced parentheses"),
        ("rope-raise{exact=5}", "exact=5"),
        ("rope-optimize{key-rotation=x}", "key-rotation=x"),
        ("rope-optimize{nothing=1}", "nothing=1"),
        ("builtin.module(", "builtin.module(...)"),
        ("\0", ""),
        ("rope-to-llvm{target-cpu=none-such}", "unknown processor 'none-such'"),
    ],
)
def test_pipelines_that_fail(pipeline, message):
    module = imported()
    before = str(module)
    with pytest.raises(ir.MLIRError) as error:
        passes.run(module, pipeline)
    assert message in str(error.value)
    assert str(module) == before


def test_pipelines_of_another_type():
    for pipeline in (None, 3, b"canonicalize"):
        with pytest.raises(TypeError):
            passes.run(imported(), pipeline)
    with pytest.raises((TypeError, AttributeError)):
        passes.run("module {}", "canonicalize")


@pytest.mark.parametrize("function", [getattr(passes, name) for name in passes.__all__ if name != "run"])
def test_every_function_runs(function):
    module = imported()
    assert function(module) is module
    module.verify()


def test_what_functions_do():
    assert "llvm.func @rope_apply" in str(passes.to_llvm(imported(), target_features="+avx2,-avx512f"))
    assert "gpu.binary" in str(passes.to_nvvm(imported(), chip="sm_90", kernels_only=True))
    assert "gpu.binary" in str(passes.to_rocdl(imported(), kernels_only=True))
    assert "llvm.call @rope_gpu_launch" in str(passes.to_spirv(imported()))


def test_optimize_cancels_rotations():
    # Back by the table that it was rotated by.
    rotate = (
        "rope.apply ins({}, %c, %s : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>)"
        " outs(%0 : tensor<2x8xf32>)"
        " {{pairing = #rope.pairing<half>, position_dims = array<i64: 0>{}}}"
    )
    module = ir.Module.parse(
        f"""
func.func @f(%x: tensor<2x8xf32>, %p: tensor<2xi64>) -> tensor<2x8xf32> {{
  %0 = tensor.empty() : tensor<2x8xf32>
  %1 = tensor.empty() : tensor<2x4xf32>
  %w = rope.frequencies base(1.0e+04) : tensor<4xf64>
  %c, %s = rope.table ins(%p, %w : tensor<2xi64>, tensor<4xf64>)
                      outs(%1, %1 : tensor<2x4xf32>, tensor<2x4xf32>)
  %y = {rotate.format("%x", "")}
  %z = {rotate.format("%y", ", transpose")}
  return %z : tensor<2x8xf32>
}}
"""
    )
    assert str(module).count("rope.apply") == 2
    assert "rope.apply" not in str(passes.optimize(module, exact=True, key_rotation="once"))


@pytest.mark.parametrize("option", ['"', "'", "a{b", "}", "\0"])
def test_options_that_would_end_their_text(option):
    with pytest.raises(ValueError, match="without quotes and braces"):
        passes.to_llvm(imported(), target_cpu=option)


def test_options_with_other_values():
    with pytest.raises(ir.MLIRError):
        passes.to_nvvm(imported(), chip="a, b=c")


def test_every_function_is_described():
    for module in (rope_mlir, ir, passes):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            assert inspect.getdoc(value), name
            if inspect.isfunction(value):
                for parameter in inspect.signature(value).parameters:
                    assert parameter in value.__doc__, (name, parameter)
                assert "Returns:" in value.__doc__ and "Raises:" in value.__doc__, name


@pytest.mark.parametrize(
    "kind, options, text",
    [
        (TypeError, {"exact": "rotate"}, "exact: expected bool, but got str"),
        (TypeError, {"threads": 1.0}, "threads: expected int, but got float"),
        (ValueError, {"key_rotation": "never"}, "key_rotation: expected one of 'auto', 'once', 'load', but got 'never'"),
    ],
)
def test_options_of_another_kind(kind, options, text, capfd):
    module = ir.Module.parse("func.func @f() { return }")
    with pytest.raises(kind) as error:
        passes.optimize(module, **options)
    assert str(error.value) == text
    assert capfd.readouterr().err == ""

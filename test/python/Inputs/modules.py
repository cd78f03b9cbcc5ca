# Modules that the tests of the Python package compile.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Texts of small modules."""


def binary(element: str, operation: str = "arith.addf", shape: str = "?x4x") -> str:
    """A function `f(x, y)` of two tensors and their elementwise result."""
    tensor = f"tensor<{shape}{element}>"
    return (
        f"func.func @f(%x: {tensor}, %y: {tensor}) -> {tensor} {{\n"
        f"  %0 = {operation} %x, %y : {tensor}\n"
        f"  return %0 : {tensor}\n"
        "}\n"
    )


def copy(element: str, shape: str = "?x?x") -> str:
    """A function `f(x)` whose result is x."""
    tensor = f"tensor<{shape}{element}>"
    return f"func.func @f(%x: {tensor}) -> {tensor} {{\n  return %x : {tensor}\n}}\n"


# Takes long, so that others can do something meanwhile: a sum over all, n times.
LONG = """
func.func @f(%x: tensor<?xf32>, %n: index) -> tensor<f32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %empty = tensor.empty() : tensor<f32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %init) -> tensor<f32> {
    %next = linalg.reduce ins(%x : tensor<?xf32>) outs(%s : tensor<f32>) dimensions = [0]
      (%a: f32, %b: f32) { %c = arith.addf %a, %b : f32 linalg.yield %c : f32 }
    scf.yield %next : tensor<f32>
  }
  return %sum : tensor<f32>
}
"""

# Writes to its argument.
IN_PLACE = """
func.func @f(%x: memref<?x4xf32, strided<[?, 1], offset: ?>>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  memref.store %one, %x[%c0, %c0] : memref<?x4xf32, strided<[?, 1], offset: ?>>
  return
}
"""

CONFIG = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2, "rope_theta": 10000.0}

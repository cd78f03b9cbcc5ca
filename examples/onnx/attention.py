"""A block of attention from an ONNX model: neighbouring channels rotated, sliced
with steps; grouped heads, a causal mask."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common import ROOT, compare, iree

import numpy as np
import onnx
import onnxruntime

TOKENS, WIDTH, HEADS, KV_HEADS, HEAD = 256, 512, 8, 2, 64
PAIRS, GROUP = HEAD // 2, HEADS // KV_HEADS


def heads(name, count):
    """The heads of a projection of x, [1, count, TOKENS, HEAD]."""
    return f"""
      {name}_flat = MatMul(x, w{name})
      {name}_split = Reshape<allowzero = 0>({name}_flat, {name}_shape)
      {name} = Transpose<perm = [0, 2, 1, 3]>({name}_split)"""


def rotate(name):
    return f"""
      {name}_even = Slice({name}, zero, end, last, two)
      {name}_odd = Slice({name}, one, end, last, two)
      {name}_even_cos = Mul({name}_even, cos)
      {name}_odd_sin = Mul({name}_odd, sin)
      {name}_odd_cos = Mul({name}_odd, cos)
      {name}_even_sin = Mul({name}_even, sin)
      {name}_first = Sub({name}_even_cos, {name}_odd_sin)
      {name}_second = Add({name}_odd_cos, {name}_even_sin)
      {name}_a = Unsqueeze({name}_first, four)
      {name}_b = Unsqueeze({name}_second, four)
      {name}_pairs = Concat<axis = 4>({name}_a, {name}_b)
      {name}_shape_of = Shape({name})
      {name}_turned = Reshape({name}_pairs, {name}_shape_of)"""


def repeat(source, name):
    """Each head GROUP times."""
    return f"""
      {name}_one = Unsqueeze({source}, two)
      {name}_many = Expand({name}_one, repeated)
      {name}_all = Reshape({name}_many, all_heads)"""


MODEL = f"""
  <ir_version: 10, opset_import: ["": 18]>
  attention (float[1, {TOKENS}, {WIDTH}] x, int64[1, {TOKENS}] positions,
             float[{WIDTH}, {HEADS * HEAD}] wq, float[{WIDTH}, {KV_HEADS * HEAD}] wk,
             float[{WIDTH}, {KV_HEADS * HEAD}] wv, float[{HEADS * HEAD}, {WIDTH}] wo)
      => (float[1, {TOKENS}, {WIDTH}] y)
      <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] last = {{3}}, int64[1] four = {{4}},
       int64[1] end = {{{HEAD}}}, int64[2] middle = {{1, 3}},
       int64[4] q_shape = {{1, {TOKENS}, {HEADS}, {HEAD}}}, int64[4] k_shape = {{1, {TOKENS}, {KV_HEADS}, {HEAD}}},
       int64[4] v_shape = {{1, {TOKENS}, {KV_HEADS}, {HEAD}}}, int64[3] flat = {{1, {TOKENS}, {HEADS * HEAD}}},
       int64[5] repeated = {{1, {KV_HEADS}, {GROUP}, {TOKENS}, {HEAD}}},
       int64[4] all_heads = {{1, {HEADS}, {TOKENS}, {HEAD}}}, float scale = {{{HEAD**-0.5}}}> {{
      number = Cast<to = 1>(positions)
      column = Unsqueeze(number, middle)
      angles = Mul(column, frequencies)
      cos = Cos(angles)
      sin = Sin(angles)
      {heads("q", HEADS)}{heads("k", KV_HEADS)}{heads("v", KV_HEADS)}
      {rotate("q")}{rotate("k")}{repeat("k_turned", "k")}{repeat("v", "v")}
      transposed = Transpose<perm = [0, 1, 3, 2]>(k_all)
      products = MatMul(q_turned, transposed)
      scaled = Mul(products, scale)
      masked = Add(scaled, mask)
      weights = Softmax<axis = -1>(masked)
      values = MatMul(weights, v_all)
      back = Transpose<perm = [0, 2, 1, 3]>(values)
      joined = Reshape(back, flat)
      y = MatMul(joined, wo)
  }}"""


def build():
    model = onnx.parser.parse_model(MODEL)
    constants = {"frequencies": (1e4 ** (-np.arange(PAIRS) / PAIRS)).astype(np.float32),
                 "mask": np.triu(np.full((TOKENS, TOKENS), -np.inf, np.float32), 1)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in constants.items())
    onnx.checker.check_model(model)
    return model


def main():
    model = build()
    path = ROOT / "build" / "examples" / "onnx" / "model.onnx"
    onnx.save(model, path)
    imported = iree("iree-import-onnx", path)
    pipeline = (
        "func.func(convert-torch-onnx-to-torch),torch-lower-to-backend-contract{backend-legal-ops=aten.flatten.using_ints,"
        "aten.unflatten.int},torch-backend-to-linalg-on-tensors-backend-pipeline"
    )
    text = iree("iree-opt", f"--pass-pipeline=builtin.module({pipeline})", "-", stdin=imported)
    text = text.replace("@attention(", "@main(")

    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal((1, TOKENS, WIDTH)).astype(np.float32), np.arange(TOKENS)[None]]
    for weight in model.graph.input[2:]:
        shape = [d.dim_value for d in weight.type.tensor_type.shape.dim]
        arguments.append((rng.standard_normal(shape) / np.sqrt(WIDTH)).astype(np.float32))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = dict(zip((i.name for i in model.graph.input), arguments))
    expected = session.run(None, feeds)[0].astype(np.float64)
    compare("onnx", "onnxruntime", text, arguments, expected, lambda: session.run(None, feeds), 1e-4)


if __name__ == "__main__":
    main()

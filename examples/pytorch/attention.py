"""A block of attention from PyTorch: rotate_half as Hugging Face's models have it,
grouped heads, a causal mask."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common import compare, iree

import torch
from iree.turbine import aot

TOKENS, WIDTH, HEADS, KV_HEADS, HEAD = 256, 512, 8, 2, 64


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q = torch.nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.k = torch.nn.Linear(WIDTH, KV_HEADS * HEAD, bias=False)
        self.v = torch.nn.Linear(WIDTH, KV_HEADS * HEAD, bias=False)
        self.o = torch.nn.Linear(HEADS * HEAD, WIDTH, bias=False)
        self.frequencies = 1e4 ** (-torch.arange(0, HEAD, 2).float() / HEAD)

    def forward(self, x, positions):
        def heads(y, count):
            return y.view(*x.shape[:2], count, HEAD).transpose(1, 2)

        def rotate(y):
            first, second = y.chunk(2, -1)
            return y * cos + torch.cat([-second, first], -1) * sin

        angles = positions[..., None].float() * self.frequencies
        angles = torch.cat([angles, angles], -1)[:, None]
        cos, sin = angles.cos(), angles.sin()
        q, k, v = heads(self.q(x), HEADS), heads(self.k(x), KV_HEADS), heads(self.v(x), KV_HEADS)
        q, k = rotate(q), rotate(k)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
        future = torch.full((TOKENS, TOKENS), -torch.inf).triu(1)
        scores = q @ k.transpose(2, 3) * HEAD**-0.5 + future
        y = torch.softmax(scores, -1) @ v
        return self.o(y.transpose(1, 2).reshape(*x.shape[:2], HEADS * HEAD))


class WithWeights(torch.nn.Module):
    """The model with its weights as arguments, so that the module is small."""

    def __init__(self, model):
        super().__init__()
        self.__dict__["model"] = model

    def forward(self, x, positions, *weights):
        names = [name for name, _ in self.model.named_parameters()]
        return torch.func.functional_call(self.model, dict(zip(names, weights)), (x, positions))


def main():
    torch.manual_seed(0)
    model = Attention()
    x, positions = torch.randn(1, TOKENS, WIDTH), torch.arange(TOKENS)[None]
    weights = [weight.detach() for weight in model.parameters()]
    with torch.no_grad():
        program = torch.export.export(WithWeights(model), (x, positions, *weights), strict=False)
        expected = model(x, positions)
    pipeline = "torchdynamo-export-to-torch-backend-pipeline,torch-backend-to-linalg-on-tensors-backend-pipeline"
    text = iree("iree-opt", f"--pass-pipeline=builtin.module({pipeline})", "-",
                stdin=str(aot.export(program).mlir_module))

    def call():
        with torch.no_grad():
            model(x, positions)

    arguments = [t.numpy() for t in (x, positions, *weights)]
    compare("pytorch", "PyTorch", text, arguments, expected.double().numpy(), call, 1e-4)


if __name__ == "__main__":
    main()

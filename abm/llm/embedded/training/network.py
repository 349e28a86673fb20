"""The Llama architecture in PyTorch, laid out so that its weights go to a GGUF unchanged.

llama.cpp rotates neighbouring pairs of dimensions for this architecture (x0 with x1, x2 with x3,
...), and so does this file; the weights therefore need no permutation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Llama", "Shape"]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. `context` is the longest prompt and answer in tokens."""

    vocabulary: int
    width: int = 160
    layers: int = 4
    heads: int = 5
    key_heads: int = 5
    hidden: int = 432
    context: int = 512
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Norm(nn.Module):
    """Root-mean-square normalisation."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on neighbouring pairs; x has shape (batch, heads, time, head_width)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2)


class Layer(nn.Module):
    """Attention and gated feed-forward, each after a norm and with a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        keys = shape.key_heads * shape.head_width
        self.attention_norm = Norm(shape.width, shape.epsilon)
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, keys, bias=False)
        self.value = nn.Linear(shape.width, keys, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.hidden_norm = Norm(shape.width, shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attend(self.attention_norm(x), cos, sin)
        y = self.hidden_norm(x)
        mixed: Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return mixed

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, time, -1, self.shape.head_width).transpose(1, 2)

        q = rotate(split(self.query(x)), cos, sin)
        k = rotate(split(self.key(x)), cos, sin)
        v = split(self.value(x))
        groups = self.shape.heads // self.shape.key_heads
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        attended: Tensor = self.out(y.transpose(1, 2).reshape(batch, time, width))
        return attended


class Llama(nn.Module):
    """Tied embeddings, `layers` blocks, a final norm."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.epsilon)
        powers = torch.arange(0, shape.head_width, 2) / shape.head_width
        angles = torch.outer(torch.arange(shape.context), shape.rope_base**-powers)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._start(seed)

    def _start(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                continue
            spread = 0.02 if name.startswith("embedding") else weight.shape[1] ** -0.5
            if name.endswith(("out.weight", "down.weight")):
                spread /= (2 * self.shape.layers) ** 0.5
            with torch.no_grad():
                weight.normal_(0.0, spread, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """States after the final norm, shape (batch, time, width), from token ids (batch, time)."""
        time = tokens.shape[1]
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos[:time], self.sin[:time])
        states: Tensor = self.norm(x)
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Log-scores over the vocabulary for states of any leading shape."""
        return states @ self.embedding.weight.T

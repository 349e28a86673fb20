"""Muon for the matrices, AdamW for the rest.

Muon (Jordan et al. 2024) replaces the momentum of a matrix by the nearest semi-orthogonal matrix,
found with five Newton-Schulz steps; the scale 0.2 sqrt(max(rows, columns)) makes its updates as
large as those of AdamW (Liu et al. 2025), so that both share one learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "optimisers", "rate"]


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest semi-orthogonal matrix: singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = (x.T if tall else x).float()
    return found


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal. For matrices only."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                held = state.setdefault("held", torch.zeros_like(weight))
                held.mul_(group["momentum"]).add_(weight.grad)
                update = orthogonal(weight.grad + group["momentum"] * held)
                size = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update, alpha=-group["lr"] * size)


def optimisers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and norms."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, weight in model.named_parameters():
        inner = weight.dim() == 2 and not name.startswith("embedding")
        (matrices if inner else rest).append(weight)
    return [
        Muon(matrices, lr),
        torch.optim.AdamW(rest, lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(step: int, steps: int, decay: float = 0.8) -> float:
    """Relative learning rate: linear warm-up over at most 100 steps, flat, then linear to zero.

    The flat part is the first 1 - `decay` of the run; a run may be made longer or shorter when it
    resumes within it.

    Examples
    --------
    >>> rate(99, 1000), rate(500, 1000), rate(1000, 1000)
    (1.0, 0.625, 0.0)
    """
    warm_up = min(100, max(1, steps // 10))
    falling = (steps - step) / (decay * steps)
    return max(0.0, min(1.0, (step + 1) / warm_up, falling))

"""AdamW (Loshchilov & Hutter 2019) for every weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .optimizer import Optimizer, OptimizerChoice, Update, check_numbers, masters_of


class AdamWUpdate(Update):
    """torch's fused AdamW over named masters. Vectors (scales, biases) do not decay."""

    def __init__(
        self, masters: Mapping[str, Tensor], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.parameters = {name: nn.Parameter(master) for name, master in masters.items()}
        groups = [
            {"params": [p for p in self.parameters.values() if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in self.parameters.values() if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.lr = lr
        self.inner = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, fused=True)
        for p in self.parameters.values():
            self.inner.state[p] = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }

    def step(self, grads: Mapping[str, Tensor], lr_scale: float) -> None:
        for name, p in self.parameters.items():
            p.grad = grads.get(name)
        for group in self.inner.param_groups:
            group["lr"] = self.lr * lr_scale
        self.inner.step()

    def state(self) -> dict[str, Tensor]:
        return {
            f"adamw.{kind}.{name}": tensor
            for name, p in self.parameters.items()
            for kind, tensor in self.inner.state[p].items()
        }


@dataclass(frozen=True)
class AdamW(OptimizerChoice):
    """AdamW for every weight, with decoupled weight decay on matrices and tables."""

    lr: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        check_numbers({"lr": self.lr, "weight_decay": self.weight_decay}, {"beta1": self.beta1, "beta2": self.beta2})

    def build(self, model: nn.Module) -> Optimizer:
        masters = masters_of(model)
        return Optimizer(model, masters, [AdamWUpdate(masters, self.lr, (self.beta1, self.beta2), self.weight_decay)])

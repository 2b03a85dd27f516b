"""Muon (Jordan et al. 2024): momentum, orthogonalized, for the hidden matrices; AdamW for everything else."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import UserError
from ..sharding import is_spread
from .adamw import AdamWUpdate
from .optimizer import Optimizer, OptimizerChoice, Update, check_numbers, masters_of

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""The quintic of Jordan et al. (2024): five rounds bring singular values in (0.003, 1] into (0.7, 1.2)."""

NEWTON_SCHULZ_ROUNDS = 5


def orthogonalize(matrices: Float[Tensor, "n rows cols"]) -> Float[Tensor, "n rows cols"]:
    """About U Vᵀ of each matrix U S Vᵀ, in bfloat16: rounds of X ← aX + (bA + cA²)X with A = X Xᵀ, after X /= ‖X‖_F."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    tiny = torch.finfo(x.dtype).tiny  # a zero matrix stays zero
    x = (x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=tiny)).bfloat16()
    for _ in range(NEWTON_SCHULZ_ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


@dataclass(frozen=True)
class Map:
    """One linear map: the rows `start` to `stop` of a named weight."""

    name: str
    start: int
    stop: int


class MuonUpdate(Update):
    """Maps of the same shape are orthogonalized together, in one batched product."""

    def __init__(
        self, masters: Mapping[str, Tensor], maps: Sequence[Map], lr: float, momentum: float, weight_decay: float
    ) -> None:
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.masters = masters
        self.shapes: dict[tuple[int, int], list[Map]] = defaultdict(list)
        for part in maps:
            self.shapes[(part.stop - part.start, masters[part.name].shape[1])].append(part)
        self.moments = {
            shape: torch.zeros(len(parts), *shape, device=masters[parts[0].name].device)
            for shape, parts in self.shapes.items()
        }

    def step(self, grads: Mapping[str, Tensor], lr_scale: float) -> None:
        for shape, parts in self.shapes.items():
            grad = torch.stack([grads[part.name][part.start : part.stop] for part in parts])
            moment = self.moments[shape].mul_(self.momentum).add_(grad)
            direction = orthogonalize(grad.add_(moment, alpha=self.momentum))  # Nesterov's look-ahead
            # a tall map's outputs keep unit size per step: Jordan et al. 2024
            length = self.lr * lr_scale * max(1.0, shape[0] / shape[1]) ** 0.5
            for part, move in zip(parts, direction, strict=True):
                master = self.masters[part.name][part.start : part.stop]
                master.mul_(1 - self.lr * lr_scale * self.weight_decay).add_(move, alpha=-length)

    def state(self) -> dict[str, Tensor]:
        return {f"muon.moment.{rows}x{cols}": moment for (rows, cols), moment in self.moments.items()}


@dataclass(frozen=True)
class Muon(OptimizerChoice):
    """Orthogonalized momentum for the hidden matrices, AdamW for tables, head and vectors."""

    lr: float = 0.03
    momentum: float = 0.95
    weight_decay: float = 0.1
    adamw_lr: float = 3e-3
    adamw_weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.98

    def __post_init__(self) -> None:
        rates = {name: getattr(self, name) for name in ("lr", "adamw_lr", "weight_decay", "adamw_weight_decay")}
        check_numbers(rates, {"momentum": self.momentum, "beta1": self.beta1, "beta2": self.beta2})

    def build(self, model: nn.Module) -> Optimizer:
        """UserError when the model does not name its hidden matrices (an attribute `matrices`)."""
        if not hasattr(model, "matrices"):
            raise UserError(f"optimizer 'muon': {type(model).__name__} does not name its hidden matrices; use 'adamw'")
        masters = masters_of(model)
        if any(is_spread(weight) for weight, _ in model.matrices):
            raise UserError("optimizer 'muon' needs whole matrices, and these are spread over devices; use 'adamw'")
        names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        maps = []
        for weight, heights in model.matrices:
            start = 0
            for height in heights if weight.requires_grad else ():
                maps.append(Map(names[id(weight)], start, start + height))
                start += height
        hidden = {part.name for part in maps}
        rest = {name: master for name, master in masters.items() if name not in hidden}
        updates: list[Update] = []
        if maps:
            updates.append(MuonUpdate(masters, maps, self.lr, self.momentum, self.weight_decay))
        if rest:
            updates.append(AdamWUpdate(rest, self.adamw_lr, (self.beta1, self.beta2), self.adamw_weight_decay))
        return Optimizer(model, masters, updates)

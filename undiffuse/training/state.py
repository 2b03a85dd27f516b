"""Everything that a training step changes, and its form in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective.objective import BUCKETS, Loss, Objective
from .optimizers.optimizer import Optimizer
from .sharding import put


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


@dataclass(eq=False)
class Window:
    """Sums over the steps since the last line of metrics; float64, on the processor."""

    nats: Float[Tensor, ""] = field(default_factory=_zeros)
    weight: Float[Tensor, ""] = field(default_factory=_zeros)
    bucket_nats: Float[Tensor, " buckets"] = field(default_factory=lambda: _zeros(BUCKETS))
    bucket_tokens: Float[Tensor, " buckets"] = field(default_factory=lambda: _zeros(BUCKETS))
    gradient_norm: Float[Tensor, ""] = field(default_factory=_zeros)
    steps: Float[Tensor, ""] = field(default_factory=_zeros)

    def add(self, losses: list[Loss], gradient_norm: Float[Tensor, ""]) -> None:
        """One step, computed in several parts."""
        for loss in losses:
            self.nats += loss.sum.detach().double().cpu()
            self.weight += loss.weight.double().cpu()
            self.bucket_nats += loss.bucket_nats.cpu()
            self.bucket_tokens += loss.bucket_tokens.cpu()
        self.gradient_norm += gradient_norm.double().cpu()
        self.steps += 1

    def clear(self) -> None:
        for f in fields(self):
            getattr(self, f.name).zero_()

    @property
    def nats_per_token(self) -> float:
        return (self.nats / self.weight).item()

    @property
    def buckets(self) -> list[float | None]:
        """Nats per token at each noise level; None where no token had it."""
        pairs = zip(self.bucket_nats.tolist(), self.bucket_tokens.tolist(), strict=True)
        return [nats / tokens if tokens else None for nats, tokens in pairs]

    @property
    def mean_gradient_norm(self) -> float:
        return (self.gradient_norm / self.steps).item()


class TrainingState:
    """Finished steps, their seconds, weights and optimizer, averaged weights, the objective as tuned, open window."""

    def __init__(self, optimizer: Optimizer, average_decay: float, objective: Objective) -> None:
        self.step = 0
        self.seconds = 0.0
        self.optimizer = optimizer
        self.objective = objective
        self.average = {name: master.clone() for name, master in optimizer.masters.items()}
        self.average_decay = average_decay
        self.window = Window()

    @torch.no_grad()
    def average_weights(self) -> None:
        """Moves the averages toward the masters; the decay grows from 1/10, so that early weights are forgotten."""
        decay = min(self.average_decay, (1 + self.step) / (10 + self.step))
        for name, master in self.optimizer.masters.items():
            self.average[name].lerp_(master, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds."""
        return (
            {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state_dict().items()}
            | {f"average.{name}": tensor for name, tensor in self.average.items()}
            | {f"window.{f.name}": getattr(self.window, f.name) for f in fields(Window)}
        )

    @torch.no_grad()
    def load(self, step: int, seconds: float, tensors: Mapping[str, Tensor]) -> None:
        """Copies a checkpoint into place (and keeps the memory's alignment, on which sums may depend).

        ValueError when the tensors are not those of this configuration.
        """
        mine = self.tensors()
        for name in sorted(mine.keys() | tensors.keys()):
            if name not in mine or name not in tensors or mine[name].shape != tensors[name].shape:
                raise ValueError(f"{name} differs from what the configuration of the run makes")
        prefix = "optimizer."
        self.optimizer.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        )
        for name, tensor in mine.items():
            if not name.startswith(prefix):
                put(tensor, tensors[name])
        self.step, self.seconds = step, seconds

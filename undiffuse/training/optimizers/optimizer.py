"""What the training loop asks of an optimizer, and float32 masters of the weights it moves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import UserError
from ..sharding import put


class Update(ABC):
    """One rule applied to some named weights, with its state."""

    @abstractmethod
    def step(self, grads: Mapping[str, Tensor], lr_scale: float) -> None:
        """Move the masters by float32 gradients."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """The tensors that a resumed run needs, by name; live, not copies."""


class Optimizer:
    """Several updates over one model.

    Weights of fewer bits than float32 have float32 masters, which are moved, then rounded. `state_dict` holds tensors
    alone; loading it into an optimizer of the same configuration goes on bit for bit.
    """

    def __init__(self, model: nn.Module, masters: Mapping[str, Tensor], updates: Sequence[Update]) -> None:
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.masters = masters
        self.updates = updates
        self._rounded = [name for name, p in self.weights.items() if p.dtype != torch.float32]

    @torch.no_grad()
    def step(self, lr_scale: float) -> None:
        """One step from the gradients in `.grad`, at `lr_scale` times the configured rates; clears the gradients."""
        grads = {name: p.grad.float() for name, p in self.weights.items() if p.grad is not None}
        for update in self.updates:
            update.step(grads, lr_scale)
        self._round()
        for p in self.weights.values():
            p.grad = None

    @torch.no_grad()
    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Goes on from other weights, exactly, also where the model computes in fewer bits. Others stay."""
        for name in self.masters.keys() & weights.keys():
            put(self.masters[name], weights[name])
        self._round()

    def _round(self) -> None:
        for name in self._rounded:
            self.weights[name].copy_(self.masters[name])

    def state_dict(self) -> dict[str, Tensor]:
        state = {f"master.{name}": master for name, master in self.masters.items()}
        for update in self.updates:
            state |= update.state()
        return state

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copies whole tensors into place; ValueError when the names differ."""
        mine = self.state_dict()
        if mine.keys() != state.keys():
            raise ValueError(f"optimizer state differs in {', '.join(sorted(mine.keys() ^ state.keys())[:5])}")
        for name, tensor in mine.items():
            put(tensor, state[name])
        self._round()


class OptimizerChoice(ABC):
    """The configuration of an optimizer: a kind."""

    @abstractmethod
    def build(self, model: nn.Module) -> Optimizer:
        """The optimizer of a model's trainable parameters, at step 0."""


def check_numbers(rates: Mapping[str, float], shares: Mapping[str, float]) -> None:
    """UserError unless rates are 0 or more and finite, and shares lie in [0, 1)."""
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise UserError(f"optimizer.{name} must lie in [0, 1), not {value}")
    for name, value in rates.items():
        if not 0 <= value < float("inf"):
            raise UserError(f"optimizer.{name} must be 0 or more, not {value}")


def masters_of(model: nn.Module) -> dict[str, Tensor]:
    """float32 copies of the trainable weights; float32 weights are their own masters."""
    named = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
    return {name: data if data.dtype == torch.float32 else data.float() for name, data in named.items()}

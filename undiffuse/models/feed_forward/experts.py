"""Several layers, of which every row runs a few: a mixture of experts (Shazeer et al. 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserError
from .feed_forward import Activation, FeedForward, RowLayer, activated, gates


@dataclass(frozen=True)
class Experts(FeedForward):
    """Every row runs the `chosen` of `experts` dense layers that its router prefers; nothing balances them in training.

    Their outputs are mixed by the router's softmax over the chosen ones.
    """

    experts: int = 8
    chosen: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.chosen <= self.experts:
            raise UserError(
                f"feed-forward layer 'experts': a row runs 1 to {self.experts} of {self.experts} experts, "
                f"not {self.chosen}: set chosen to one of these, or more experts"
            )

    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        return ExpertLayer(self.experts, self.chosen, width, hidden, activation)


class ExpertLayer(RowLayer):
    """Σ_e p_e · down_e(f(up_e(x))) over the chosen experts; their matrices lie one below the other."""

    def __init__(self, experts: int, chosen: int, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.experts, self.chosen, self.activation = experts, chosen, activation
        self.router = nn.Linear(width, experts, bias=False)
        self.up = nn.Linear(width, experts * gates(activation) * hidden, bias=False)
        self.down = nn.Linear(hidden, experts * width, bias=False)

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        (height, hidden), count = self.down.weight.shape, self.experts
        return [
            (self.up.weight, (hidden,) * gates(self.activation) * count),
            (self.down.weight, (height // count,) * count),
        ]

    def initialize(self, std: float) -> None:
        for matrix in (self.router.weight, self.up.weight):
            nn.init.normal_(matrix, std=std)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        rows = x.reshape(-1, x.shape[-1])
        odds, expert = self.router(rows).topk(self.chosen, dim=-1)
        order = expert.flatten().argsort(stable=True)
        sizes = torch.bincount(expert.flatten(), minlength=self.experts).tolist()  # the one wait for the device
        up, down = (matrix.weight.chunk(self.experts) for matrix in (self.up, self.down))
        made = torch.cat(
            [
                F.linear(activated(F.linear(part, up[e]), self.activation), down[e])
                for e, part in enumerate(rows[order // self.chosen].split(sizes))
            ]
        )
        each = made[order.argsort()].view(len(rows), self.chosen, x.shape[-1])
        share = odds.softmax(-1, dtype=torch.promote_types(odds.dtype, torch.float32)).to(each.dtype)
        return (each * share[..., None]).sum(1).view(x.shape)

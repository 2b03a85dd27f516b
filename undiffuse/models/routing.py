"""Which experts a row runs and how much each counts: the routers of mixtures of experts, computed in float32 or wider.

With z = W x the odds of a row's experts:

    softmax    the k largest z; they count softmax(z), over the chosen ones or over all (LLaDA-MoE), where the rest of
               the mass is left out. Over the chosen ones it is the softmax over all, normalized anew (Qwen3's).
    sigmoid    s = σ(z). Experts are chosen by s + b with a learned preference b, among those of the best groups, of
               which each scores the sum of its two best (DeepSeek-V3, Liu et al. 2024, section 2.1.2). They count s,
               without b, normalized over the chosen ones, times a scale.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class Router(nn.Module, ABC):
    """`forward` gives, for every row, the numbers of `chosen` experts and what each counts."""

    def __init__(self, width: int, experts: int, chosen: int) -> None:
        super().__init__()
        self.experts, self.chosen = experts, chosen
        self.weight = nn.Linear(width, experts, bias=False).weight

    def initialize(self, std: float) -> None:
        nn.init.normal_(self.weight, std=std)

    def odds(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N E"]:
        """z: in bfloat16 experts that are nearly equal would be chosen by rounding."""
        wide = torch.promote_types(rows.dtype, torch.float32)
        return F.linear(rows.to(wide), self.weight.to(wide))

    @abstractmethod
    def forward(self, rows: Float[Tensor, "N D"]) -> tuple[Int[Tensor, "N k"], Float[Tensor, "N k"]]: ...


class SoftmaxRouter(Router):
    """The largest odds."""

    def __init__(self, width: int, experts: int, chosen: int, over: str) -> None:
        super().__init__(width, experts, chosen)
        self.over = over

    def forward(self, rows: Float[Tensor, "N D"]) -> tuple[Int[Tensor, "N k"], Float[Tensor, "N k"]]:
        odds = self.odds(rows)
        best, expert = odds.topk(self.chosen, dim=-1)
        if self.over == "all":
            return expert, odds.softmax(-1).gather(-1, expert)
        return expert, best.softmax(-1)


class SigmoidRouter(Router):
    """The best of the best groups, by odds and preference."""

    def __init__(self, width: int, experts: int, chosen: int, groups: int, open_groups: int, scale: float) -> None:
        super().__init__(width, experts, chosen)
        self.groups, self.open_groups, self.scale = groups, open_groups, scale
        self.preference = nn.Parameter(torch.zeros(experts))

    def forward(self, rows: Float[Tensor, "N D"]) -> tuple[Int[Tensor, "N k"], Float[Tensor, "N k"]]:
        score = self.odds(rows).sigmoid()
        liked = score + self.preference.to(score.dtype)
        if self.open_groups < self.groups:
            by_group = liked.unflatten(-1, (self.groups, -1))
            group = by_group.topk(2, dim=-1).values.sum(-1).topk(self.open_groups, dim=-1).indices
            closed = torch.ones_like(by_group[..., 0], dtype=torch.bool).scatter(-1, group, False)
            liked = by_group.masked_fill(closed[..., None], -torch.inf).flatten(-2)
        expert = liked.topk(self.chosen, dim=-1).indices
        share = score.gather(-1, expert)
        return expert, share / (share.sum(-1, keepdim=True) + torch.finfo(share.dtype).tiny) * self.scale

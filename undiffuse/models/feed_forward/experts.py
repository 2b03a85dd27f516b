"""Several layers, of which every row runs a few: a mixture of experts (Shazeer et al. 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserError
from ..routing import Router, SoftmaxRouter
from .dense import DenseLayer
from .feed_forward import Activation, FeedForward, RowLayer, activated, gates


@dataclass(frozen=True)
class Experts(FeedForward):
    """Every row runs the `chosen` of `experts` dense layers that its router prefers; nothing balances them in training.

    Their outputs are mixed by the router's softmax `over` the chosen ones, or over all, where what the others have is
    left out. `inner` is the inner width of one expert (0: that of the model); a layer of `shared` times that is run by
    every row beside them.
    """

    experts: int = 8
    chosen: int = 2
    inner: int = 0
    shared: int = 0
    over: str = "chosen"

    def __post_init__(self) -> None:
        check(self.experts, self.chosen, self.inner, self.shared)
        if self.over not in ("chosen", "all"):
            raise UserError(f"feed-forward layer 'experts': over must be 'chosen' or 'all', not {self.over!r}")

    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        router = SoftmaxRouter(width, self.experts, self.chosen, self.over)
        return ExpertLayer(router, width, self.inner or hidden, activation, self.shared)


def check(experts: int, chosen: int, inner: int, shared: int) -> None:
    """UserError for numbers that no mixture has."""
    if not 1 <= chosen <= experts:
        raise UserError(
            f"feed-forward layer 'experts': a row runs 1 to {experts} of {experts} experts, "
            f"not {chosen}: set chosen to one of these, or more experts"
        )
    if inner < 0 or shared < 0:
        raise UserError("feed-forward layer 'experts': inner and shared must not be negative")


class ExpertLayer(RowLayer):
    """Σ_e p_e · down_e(f(up_e(x))) over the chosen experts; their matrices lie one below the other.

    Rows are sorted by expert, so that each expert runs once, over all of its rows, and those without any do not run.
    """

    def __init__(self, router: Router, width: int, hidden: int, activation: Activation, shared: int = 0) -> None:
        super().__init__()
        self.router, self.activation = router, activation
        self.up = nn.Linear(width, router.experts * gates(activation) * hidden, bias=False)
        self.down = nn.Linear(hidden, router.experts * width, bias=False)
        self.shared = DenseLayer(width, shared * hidden, activation) if shared else None

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        (height, hidden), count = self.down.weight.shape, self.router.experts
        return [
            (self.up.weight, (hidden,) * gates(self.activation) * count),
            (self.down.weight, (height // count,) * count),
            *([] if self.shared is None else self.shared.matrices),
        ]

    def initialize(self, std: float) -> None:
        self.router.initialize(std)
        nn.init.normal_(self.up.weight, std=std)
        nn.init.zeros_(self.down.weight)
        if self.shared is not None:
            self.shared.initialize(std)

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        rows = x.reshape(-1, x.shape[-1])
        expert, share = self.router(rows)
        order = expert.flatten().argsort(stable=True)
        sizes = torch.bincount(expert.flatten(), minlength=self.router.experts).tolist()  # the one wait for the device
        up, down = (matrix.weight.chunk(self.router.experts) for matrix in (self.up, self.down))
        made = torch.cat(
            [
                F.linear(activated(F.linear(part, up[e]), self.activation), down[e])
                for e, part in enumerate(rows[order // self.router.chosen].split(sizes))
                if len(part)
            ]
            or [rows]
        )
        each = made[order.argsort()].view(len(rows), self.router.chosen, x.shape[-1])
        mixed = (each * share.to(each.dtype)[..., None]).sum(1).view(x.shape)
        return mixed if self.shared is None else mixed + self.shared(x)

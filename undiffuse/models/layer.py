"""A block of the trunk: normalization, and the residual branch around each sublayer."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..types import Tags
from .attention import Attention, Bias
from .branches import Branches
from .conditioning import Modulation
from .feed_forward.feed_forward import RowLayer
from .kv import KV
from .rotary import Angles

NormKind = Literal["layernorm", "rmsnorm"]


class Norm(nn.Module):
    """LayerNorm or RMSNorm over the last dimension.

    Without learned scales unless asked: the next matrix can hold them, and their gradients doubled the time of the
    layer. `eps` 0 is torch's own. `bias` is for LayerNorm.
    """

    def __init__(
        self, size: int, kind: NormKind, *, scales: bool = False, eps: float = 0.0, bias: bool = False
    ) -> None:
        super().__init__()
        self.kind, self.eps, self.shape = kind, eps, (size,)
        self.scale = nn.Parameter(torch.ones(size)) if scales else None
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        if self.kind == "layernorm":
            return F.layer_norm(x, self.shape, self.scale, self.bias, eps=self.eps or 1e-5)
        return F.rms_norm(x, self.shape, self.scale, eps=self.eps or None)


@dataclass(frozen=True, eq=False)
class Dropout:
    """Sets a share of the numbers to zero and scales the rest, by draws of a generator; without one it does nothing."""

    share: float = 0.0
    generator: torch.Generator | None = None

    def __call__(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        if self.generator is None or not self.share:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * kept / (1 - self.share)


class Around(nn.Module, ABC):
    """What stands around a branch of a layer."""

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "B L D"],
        condition: Float[Tensor, "B L C"] | None,
        branch: Callable[[Tensor], Tensor],
        drop: Dropout,
    ) -> Float[Tensor, "B L D"]: ...


class Residual(Around):
    """x + gate · branch(norm(x) · scale + shift); the noise level, if there is one, gives shift, scale and gate.

    Without a `norm` the branch reads x as it is. `gate` is where the gate starts.
    """

    def __init__(self, width: int, norm: Norm | None, condition: int | None, gate: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.modulation = None if condition is None else Modulation(condition, width, gate)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        condition: Float[Tensor, "B L C"] | None,
        branch: Callable[[Tensor], Tensor],
        drop: Dropout,
    ) -> Float[Tensor, "B L D"]:
        if self.modulation is None:
            return x + drop(branch(self.norm(x)))
        shift, scale, gate = self.modulation(condition)
        return x + gate * drop(branch(self.norm(x) * scale + shift))


class NormedSum(Around):
    """norm(x + branch(x))."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        condition: Float[Tensor, "B L C"] | None,
        branch: Callable[[Tensor], Tensor],
        drop: Dropout,
    ) -> Float[Tensor, "B L D"]:
        return self.norm(x + drop(branch(x)))


class Layer(nn.Module):
    """Attention, then feed-forward, each with what stands around it."""

    def __init__(
        self, attention: Attention, feed_forward: RowLayer, around_attention: Around, around_feed_forward: Around
    ) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward
        self.around_attention, self.around_feed_forward = around_attention, around_feed_forward

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        return self.attention.matrices + self.feed_forward.matrices

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        condition: Float[Tensor, "B L C"] | None,
        angles: Angles | None,
        bias: Bias | None,
        queries: Tags,
        kv: KV | Branches | None,
        layer: int,
        drop: Dropout = Dropout(),
    ) -> Float[Tensor, "B L D"]:
        x = self.around_attention(x, condition, lambda h: self.attention(h, angles, bias, queries, kv, layer), drop)
        return self.around_feed_forward(x, condition, self.feed_forward, drop)

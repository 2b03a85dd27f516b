"""Attention over heads that share keys in groups, with two backends of the same result."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..types import Tags
from .branches import Branches
from .kv import KV
from .rotary import Angles, rotate

Bias = Float[Tensor, "B 1 #Lq Lk"]


def bias_of(mask: Bool[Tensor, "B Lq Lk"] | None, dtype: torch.dtype) -> Bias | None:
    """What an attention rule allows as numbers to add to the scores, once per forward pass.

    Forbidden keys get the lowest finite number, not −∞: their weight is exactly 0 unless every key of a query is
    forbidden (a padding row), where all weights are equal and the result stays finite.
    """
    if mask is None:
        return None
    zero = torch.zeros((), dtype=dtype, device=mask.device)
    return torch.where(mask, zero, torch.finfo(dtype).min)[:, None]


def attend_by_matmul(
    q: Float[Tensor, "B H Lq d"], k: Float[Tensor, "B G Lk d"], v: Float[Tensor, "B G Lk d"], bias: Bias | None
) -> Float[Tensor, "B H Lq d"]:
    """Softmax attention as two batched products; heads of a group are stacked along the queries: no key is copied."""
    b, h, lq, d = q.shape
    groups, lk = k.shape[1], k.shape[2]
    scores = (q * d**-0.5).reshape(b, groups, -1, d) @ k.transpose(-1, -2)
    if bias is not None:
        scores = (scores.view(b, h, lq, lk) + bias).view(b, groups, -1, lk)
    return (scores.softmax(-1) @ v).view(b, h, lq, d)


def attend_fused(
    q: Float[Tensor, "B H Lq d"], k: Float[Tensor, "B G Lk d"], v: Float[Tensor, "B G Lk d"], bias: Bias | None
) -> Float[Tensor, "B H Lq d"]:
    """torch's fused kernels."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=q.shape[1] != k.shape[1])


def attend(
    q: Float[Tensor, "B H Lq d"], k: Float[Tensor, "B G Lk d"], v: Float[Tensor, "B G Lk d"], bias: Bias | None
) -> Float[Tensor, "B H Lq d"]:
    """The faster backend."""
    return (attend_by_matmul if keeps_scores(q.device, q.dtype) else attend_fused)(q, k, v, bias)


def keeps_scores(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention is by products, which keep all scores for the backward pass.

    In bfloat16 on a CPU torch's own backward pass is two to three times slower.
    """
    return device.type == "cpu" and dtype == torch.bfloat16


class Attention(nn.Module):
    """Self-attention of some rows. One matrix makes queries, keys and values; `matrices` gives its parts by height.

    `q_norm` and `k_norm` normalize every query and key before the rotary turn; None leaves them as they are. Without
    `angles` nothing is turned: positions are in what is read.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        *,
        bias: bool = False,
        out_bias: bool = False,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q_norm, self.k_norm = q_norm, k_norm
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * head_dim, bias=bias)
        self.out = nn.Linear(heads * head_dim, width, bias=out_bias)

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        d = self.head_dim
        return [
            (self.qkv.weight, (self.heads * d, self.kv_heads * d, self.kv_heads * d)),
            (self.out.weight, (self.out.out_features,)),
        ]

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        angles: Angles | None,
        bias: Bias | None,
        queries: Tags,
        kv: KV | Branches | None,
        layer: int,
    ) -> Float[Tensor, "B L D"]:
        q, k, v = self.project(x, angles)
        if kv is not None:
            k, v = kv.write(layer, queries, k, v)
        return self.out(attend(q, k, v, bias).transpose(1, 2).flatten(2))

    def project(
        self, x: Float[Tensor, "B L D"], angles: Angles | None
    ) -> tuple[Float[Tensor, "B H L d"], Float[Tensor, "B G L d"], Float[Tensor, "B G L d"]]:
        """Queries and keys, after the rotary turn, and values of some rows."""
        split = self.qkv(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        qk, v = split.split((self.heads + self.kv_heads, self.kv_heads), dim=1)
        qk = self._normalized(qk)
        q, k = (qk if angles is None else rotate(qk, angles)).split((self.heads, self.kv_heads), dim=1)
        return q, k, v

    def _normalized(self, qk: Float[Tensor, "B heads L d"]) -> Float[Tensor, "B heads L d"]:
        if self.q_norm is None or self.k_norm is None:
            return qk
        if self.q_norm is self.k_norm:  # without scales both are the same map: one pass over both
            return self.q_norm(qk)
        q, k = qk.split((self.heads, self.kv_heads), dim=1)
        return torch.cat((self.q_norm(q), self.k_norm(k)), dim=1)

"""MDLM's network in plain steps, one row of text at a time, from the names of its files: what layouts must agree with.

x ← x + g·attention(m(x)) and x ← x + g·mlp(m(x)) with m(x) = norm(x)(1 + scale) + shift; six vectors per block follow a
vector c of σ, and two at the end. Without a map from σ there is no c: m is the norm, g is 1.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = Mapping[str, Tensor]


def logits(weights: Weights, ids: Tensor, sigma: float, *, heads: int, sees: Tensor | None = None) -> Tensor:
    """float64 logits (L, V) of a text; `sees` (L, L) says which keys a query sees."""
    w = _bare(weights)
    x = w["vocab_embed.embedding"][ids]
    return _rest(w, x, _condition(w, sigma), torch.arange(len(ids)), heads, sees)


def beside_clean(weights: Weights, noisy: Tensor, clean: Tensor, *, heads: int, block: int) -> Tensor:
    """float64 logits of the noisy half of [x_t ; x_0], as BD3-LM is trained: its mask, written out query by query."""
    w, size = _bare(weights), len(noisy)
    sees = torch.zeros(2 * size, 2 * size, dtype=torch.bool)
    for query in range(2 * size):
        for key in range(2 * size):
            own, other = query % size // block, key % size // block
            if query < size:
                sees[query, key] = own == other if key < size else other < own
            else:
                sees[query, key] = key >= size and other <= own
    x = w["vocab_embed.embedding"][torch.cat((noisy, clean))]
    return _rest(w, x, _condition(w, 0.0), torch.arange(2 * size) % size, heads, sees)[:size]


def _bare(weights: Weights) -> dict[str, Tensor]:
    return {name.removeprefix("backbone."): value.double() for name, value in weights.items()}


def _condition(w: Weights, sigma: float) -> Tensor | None:
    if "sigma_map.mlp.0.weight" not in w:
        return None
    frequency = torch.tensor([10_000 ** (-i / 128) for i in range(128)], dtype=torch.float64)
    waves = torch.cat(((sigma * frequency).cos(), (sigma * frequency).sin()))
    first = F.silu(F.linear(waves, w["sigma_map.mlp.0.weight"], w["sigma_map.mlp.0.bias"]))
    return F.silu(F.linear(first, w["sigma_map.mlp.2.weight"], w["sigma_map.mlp.2.bias"]))


def _rest(w: Weights, x: Tensor, c: Tensor | None, place: Tensor, heads: int, sees: Tensor | None) -> Tensor:
    blocks = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    one, zero = torch.ones(()).double(), torch.zeros(()).double()

    def vectors(name: str, count: int) -> list[Tensor]:
        if c is None:
            return [zero, zero, one] * (count // 3) if count > 2 else [zero, zero]
        return list(F.linear(c, w[f"{name}.weight"], w[f"{name}.bias"]).chunk(count))

    for number in range(blocks):
        b = f"blocks.{number}"
        shift, scale, gate, shift2, scale2, gate2 = vectors(f"{b}.adaLN_modulation", 6)
        seen = _norm(x, w[f"{b}.norm1.weight"]) * (1 + scale) + shift
        q, k, v = F.linear(seen, w[f"{b}.attn_qkv.weight"]).chunk(3, dim=-1)
        mixed = torch.cat(
            [_attend(*head, place, sees) for head in zip(*(z.chunk(heads, -1) for z in (q, k, v)), strict=True)], -1
        )
        x = x + gate * F.linear(mixed, w[f"{b}.attn_out.weight"])
        seen = _norm(x, w[f"{b}.norm2.weight"]) * (1 + scale2) + shift2
        inner = F.gelu(F.linear(seen, w[f"{b}.mlp.0.weight"], w[f"{b}.mlp.0.bias"]), approximate="tanh")
        x = x + gate2 * F.linear(inner, w[f"{b}.mlp.2.weight"], w[f"{b}.mlp.2.bias"])
    shift, scale = vectors("output_layer.adaLN_modulation", 2)
    x = _norm(x, w["output_layer.norm_final.weight"]) * (1 + scale) + shift
    return F.linear(x, w["output_layer.linear.weight"], w["output_layer.linear.bias"])


def _norm(x: Tensor, scale: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * scale


def _attend(q: Tensor, k: Tensor, v: Tensor, place: Tensor, sees: Tensor | None) -> Tensor:
    scores = _turned(q, place) @ _turned(k, place).T / math.sqrt(q.shape[-1])
    if sees is not None:
        scores = scores.masked_fill(~sees, -math.inf)
    return scores.softmax(-1) @ v


def _turned(x: Tensor, place: Tensor) -> Tensor:
    """Pairs (i, i + d/2) as complex numbers, turned by position · 10000^(−2i/d)."""
    half = x.shape[-1] // 2
    angle = place[:, None].double() * torch.tensor([10_000 ** (-i / half) for i in range(half)], dtype=torch.float64)
    turned = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((turned.real, turned.imag), dim=-1)

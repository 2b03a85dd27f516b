"""Features of earlier passes, of which a pass recomputes some rows: the mechanism of dLLM-Cache (Liu et al. 2025).

Every layer keeps, per position, its keys and values and what its two branches added to the residual stream. A pass
recomputes the rows that are due. Of the others that may change it looks at the values alone, which are cheap: those
least similar to the kept ones are recomputed too, and the branches of the rest are taken as they were. The first layer
recomputes everything, so that no changed token is missed.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from ..ranking import ranked
from ..types import Tags
from .attention import Bias, attend
from .layer import Layer
from .rotary import Angles

BY_LAYER = ("keys", "values", "attention", "feed_forward")
BY_REQUEST = ("due", "watched", "count", "spent", "stamp")


@dataclass(frozen=True, eq=False)
class Features:
    """`due` rows are recomputed in every layer of the next pass; of the `watched` ones, `count` per layer.

    `spent` are the rows that the last pass recomputed, as an average over layers, rounded. `stamp` is for whoever
    decides what is due. `rows` are the requests that a pass is about (None: all). Written in place.
    """

    keys: Float[Tensor, "layers R G S d"]
    values: Float[Tensor, "layers R G S d"]
    attention: Float[Tensor, "layers R S D"]
    feed_forward: Float[Tensor, "layers R S D"]
    due: Bool[Tensor, "R S"]
    watched: Bool[Tensor, "R S"]
    count: Int[Tensor, " R"]
    spent: Int[Tensor, " R"]
    stamp: Int[Tensor, " R"]
    rows: Int[Tensor, " r"] | None = None

    @classmethod
    def empty(
        cls, layers: int, requests: int, kv_heads: int, slots: int, head_dim: int, like: Float[Tensor, "V D"]
    ) -> "Features":
        """Nothing kept; dtype, device and width of `like` (the token table)."""
        heads = like.new_zeros(layers, requests, kv_heads, slots, head_dim)
        wide = like.new_zeros(layers, requests, slots, like.shape[1])
        flags = torch.zeros(requests, slots, dtype=torch.bool, device=like.device)
        number = torch.zeros(requests, dtype=torch.long, device=like.device)
        return cls(heads, heads.clone(), wide, wide.clone(), flags, flags.clone(), number, number.clone(), number - 1)

    @property
    def filled(self) -> Bool[Tensor, "R S"]:
        return (self.stamp >= 0)[:, None].expand_as(self.due)

    def of(self, rows: Int[Tensor, " r"]) -> "Features":
        """The same memory for a pass over some of the requests."""
        return replace(self, rows=rows)

    def tags(self, queries: Tags) -> Tags:
        """A pass is given every row, so the keys are the rows themselves."""
        return queries

    def cost(self, counts: Int[Tensor, " R"]) -> Int[Tensor, " R"]:
        return torch.where(counts > 0, self.spent, 0)

    def reset(self, requests: Bool[Tensor, " R"]) -> None:
        """Forget all of some requests, in place."""
        self.stamp.masked_fill_(requests, -1)

    def widened(self, slots: int) -> "Features":
        """The same memory with room for more positions."""
        more = (0, slots - self.due.shape[1])
        rows = {name: F.pad(getattr(self, name), (0, 0, *more)) for name in BY_LAYER}
        return replace(self, **rows, due=F.pad(self.due, more), watched=F.pad(self.watched, more))

    def join(self, other: "Features") -> "Features":
        """Requests of both, with the same number of positions."""
        return replace(
            self,
            **{n: torch.cat((getattr(self, n), getattr(other, n)), dim=1) for n in BY_LAYER},
            **{n: torch.cat((getattr(self, n), getattr(other, n))) for n in BY_REQUEST},
        )

    def __getitem__(self, requests: Int[Tensor, " r"] | Bool[Tensor, " R"]) -> "Features":
        """The given requests alone, as a copy."""
        return replace(
            self,
            **{name: getattr(self, name)[:, requests] for name in BY_LAYER},
            **{name: getattr(self, name)[requests] for name in BY_REQUEST},
        )

    def run(
        self,
        blocks: list[Layer],
        x: Float[Tensor, "r L D"],
        angles: Angles,
        live: Bool[Tensor, "r L"],
        bias: Bias | None,
    ) -> Float[Tensor, "r L D"]:
        """All layers over every row of some requests."""
        place: slice | Tensor = slice(None) if self.rows is None else self.rows
        due, watched, count = self.due[place] & live, self.watched[place] & live, self.count[place]
        first = live.sum(-1)
        later = torch.maximum(due.sum(-1), torch.minimum(due.sum(-1) + count, (due | watched).sum(-1)))
        sizes = torch.stack((first.amax(), later.amax())).tolist()
        for layer, block in enumerate(blocks):
            chosen = live if layer == 0 else due | self._changed(layer, place, block, x, watched & ~due, count)
            index = (~chosen).byte().argsort(dim=-1, stable=True)[:, : sizes[min(layer, 1)]]
            x = self._layer(layer, place, block, x, angles, index, chosen.gather(1, index), bias)
        self.spent[place] = (first + (len(blocks) - 1) * later + len(blocks) // 2) // len(blocks)
        self.stamp[place] = self.stamp[place].clamp(min=0)
        return x

    def _changed(
        self,
        layer: int,
        place: slice | Tensor,
        block: Layer,
        x: Float[Tensor, "r L D"],
        watched: Bool[Tensor, "r L"],
        count: Int[Tensor, " r"],
    ) -> Bool[Tensor, "r L"]:
        """The watched rows whose values are least like the kept ones; all watched values are renewed."""
        attention = block.attention
        first = (attention.heads + attention.kv_heads) * attention.head_dim
        bias = None if attention.qkv.bias is None else attention.qkv.bias[first:]
        normed = block.around_attention.norm(x)
        values = F.linear(normed, attention.qkv.weight[first:], bias)
        kept = self.values[layer, place].transpose(1, 2).flatten(2)
        likeness = F.cosine_similarity(values.float(), kept.float(), dim=-1).masked_fill(~watched, torch.inf)
        renewed = torch.where(watched[..., None], values, kept)
        self.values[layer, place] = renewed.unflatten(2, (attention.kv_heads, -1)).transpose(1, 2)
        return watched & (ranked(-likeness) < count[:, None])

    def _layer(
        self,
        layer: int,
        place: slice | Tensor,
        block: Layer,
        x: Float[Tensor, "r L D"],
        angles: Angles,
        index: Int[Tensor, "r n"],
        kept: Bool[Tensor, "r n"],
        bias: Bias | None,
    ) -> Float[Tensor, "r L D"]:
        """One layer with its branches recomputed at the given rows."""
        if index.shape[1]:
            wide = index[..., None].expand(-1, -1, x.shape[-1])
            turn = index[:, None, :, None].expand(-1, -1, -1, angles.cos.shape[-1])
            there = Angles(angles.cos.gather(2, turn), angles.sin.gather(2, turn))
            q, k, v = block.attention.project(block.around_attention.norm(x.gather(1, wide)), there)
            self._put(self.keys[layer], place, index, kept, k.transpose(1, 2))
            self._put(self.values[layer], place, index, kept, v.transpose(1, 2))
            mixed = block.attention.out(
                attend(q, self.keys[layer, place], self.values[layer, place], bias).transpose(1, 2).flatten(2)
            )
            self._put(self.attention[layer], place, index, kept, mixed)
        x = x + self.attention[layer, place]
        if index.shape[1]:
            added = block.feed_forward(block.around_feed_forward.norm(x.gather(1, wide)))
            self._put(self.feed_forward[layer], place, index, kept, added)
        return x + self.feed_forward[layer, place]

    @staticmethod
    def _put(
        memory: Tensor, place: slice | Tensor, index: Int[Tensor, "r n"], kept: Bool[Tensor, "r n"], new: Tensor
    ) -> None:
        """Write rows (r, n, …) at their positions; heads, where there are any, come before positions in memory."""
        rows = torch.arange(memory.shape[0], device=index.device)[place][:, None].expand_as(index)[kept]
        if memory.ndim == 4:
            memory[rows, :, index[kept]] = new[kept]
        else:
            memory[rows, index[kept]] = new[kept]

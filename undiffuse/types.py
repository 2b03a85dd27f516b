"""Records that cross folders.

Symbols, everywhere the same: R requests (rows of a batch), B training rows, L positions of a canvas, M sites (positions
that a step touches), K real tokens, V rows of the network's vocabulary, D width, H heads, N function evaluations.
t ∈ [0, 1]: t = 0 is clean, t = 1 is noise, s < t. Likelihoods are in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

HeadKind = Literal["leave_one_out", "posterior", "score"]
"""What a network's output means: p(x_i | z without z_i), p(x_i | all of z), or ln of the ratios p_t(v)/p_t(z_i).

It travels in checkpoints.
"""


def columns(values: Shaped[Tensor, "B L ..."], at: Int[Tensor, "B n"]) -> Shaped[Tensor, "B n ..."]:
    """Values at some positions of each text."""
    index = at.view(*at.shape, *[1] * (values.ndim - 2))
    return values.gather(1, index.expand(-1, -1, *values.shape[2:]))


@dataclass(frozen=True, eq=False)
class State:
    """The noisy state of some positions, of any leading shape.

    `ids` are the tokens, or what a continuous state reads as. `latent` is the vector of each position under Gaussian
    noise. `soft` is a mixture of tokens, as ids and weights that sum to one, which only a network's input may be.
    """

    ids: Int[Tensor, "*lead"]
    latent: Float[Tensor, "*lead d"] | None = None
    soft: tuple[Int[Tensor, "*lead k"], Float[Tensor, "*lead k"]] | None = None

    def __getitem__(self, index: object) -> "State":
        return self._each(lambda value: value[index])

    def columns(self, at: Int[Tensor, "B n"]) -> "State":
        """That of some positions of each text."""
        return self._each(lambda value: columns(value, at))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "State":
        latent = None if self.latent is None else change(self.latent)
        soft = None if self.soft is None else (change(self.soft[0]), change(self.soft[1]))
        return State(change(self.ids), latent, soft)


@dataclass(frozen=True, eq=False)
class Noised:
    """Clean tokens, their noisy state and the time of each position. Positions that are not editable have t = 0.

    `view` is what the network sees where that is not the state itself (Duo's soft tokens).
    """

    x0: Int[Tensor, "*lead"]
    state: State
    t: Float[Tensor, "*lead"]
    editable: Bool[Tensor, "*lead"]
    view: State | None = None

    def __getitem__(self, index: object) -> "Noised":
        view = None if self.view is None else self.view[index]
        return Noised(self.x0[index], self.state[index], self.t[index], self.editable[index], view)


@dataclass(frozen=True, eq=False)
class Tags:
    """What attention rules may read about queries or keys, each (B, L).

    `position` is absolute; `live` is false for padding and absent slots; `document` separates packed documents. `span`
    (B,) and `clean` serve block diffusion: how many positions an attention block has, counted from position 0, or from
    `origin` (B,), and whether the row belongs to a finished, clean block. `shadow` rows stand for a position beside its
    real row and see every row but that one. Absent tags do not restrict.
    """

    position: Int[Tensor, "B L"]
    live: Bool[Tensor, "B L"] | None = None
    document: Int[Tensor, "B L"] | None = None
    span: Int[Tensor, " B"] | None = None
    clean: Bool[Tensor, "B L"] | None = None
    origin: Int[Tensor, " B"] | None = None
    shadow: Bool[Tensor, "B L"] | None = None

    def columns(self, at: Int[Tensor, "B n"]) -> "Tags":
        """Those of some positions of each text."""
        each = ("position", "live", "document", "clean", "shadow")
        values = {name: getattr(self, name) for name in each}
        return replace(self, **{name: columns(value, at) for name, value in values.items() if value is not None})

    def on(self, device: torch.device) -> "Tags":
        """The same tags on a device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if value is not None})


Rule = Callable[[Tags, Tags], "Tensor | None"]
"""(query tags, key tags) → bool (B, Lq, Lk), true where a query may see a key; None where everything is allowed."""


@dataclass(frozen=True, eq=False)
class Given:
    """Vectors that stand where `mask` says in place of the embeddings of tokens: an image prefix, a soft prompt."""

    vectors: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]

    def columns(self, at: Int[Tensor, "B n"]) -> "Given":
        """Those of some positions of each text."""
        return Given(columns(self.vectors, at), columns(self.mask, at))


@dataclass(frozen=True, eq=False)
class Rows:
    """What a network is given: rows of some texts, which may be all of a text or a part of it.

    `tags.position` are absolute (they set rotary angles and KV slots). `level` is the noise level 1 − α in [0, 1], the
    same under every schedule; `editable` is true where the token may change; `feedback` is an earlier estimate of the
    clean latents, or what a network over tokens made of its own last prediction (self-conditioning; d numbers), None is
    read as zero; `given` are vectors in place of tokens. Each is there only
    for networks whose traits take it.
    `dropout` draws what is dropped in training. `speaker` (B, M) says which of the rows speaks of each position that is
    asked for; None: each of its own. The network does not read it.
    """

    state: State
    tags: Tags
    level: Float[Tensor, "B L"] | None = None
    editable: Bool[Tensor, "B L"] | None = None
    feedback: Float[Tensor, "B L d"] | None = None
    given: Given | None = None
    dropout: torch.Generator | None = None
    speaker: Int[Tensor, "B M"] | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of training or evaluation tokens, each field (B, L) unless said otherwise.

    `editable` marks the tokens that are noised and scored (false: prompt, padding); `valid` the tokens that exist.
    `document` is None when no row holds more than one document. `index` (B,) names the sample within the data and
    `epoch` (B,) how often it was visited before: together they key its randomness. `slot` (B,) is the row's
    place in the global batch of its step. `weight` multiplies what a token adds to the loss, (B, 1) for whole rows;
    None is 1 everywhere.
    """

    ids: Int[Tensor, "B L"]
    editable: Bool[Tensor, "B L"]
    valid: Bool[Tensor, "B L"]
    positions: Int[Tensor, "B L"]
    index: Int[Tensor, " B"]
    epoch: Int[Tensor, " B"]
    slot: Int[Tensor, " B"]
    document: Int[Tensor, "B L"] | None = None
    weight: Float[Tensor, " B #L"] | None = None

    def rows(self, index: object) -> "Batch":
        """Some of the rows, which keep their place."""
        return self._each(lambda value: value[index])

    def at(self, **changes: Tensor) -> "Batch":
        """With another place: `slot`, `epoch`, …"""
        return replace(self, **changes)

    def to(self, device: torch.device | str) -> "Batch":
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(value) for name, value in values.items() if value is not None})

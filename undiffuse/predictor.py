"""Denoiser plus process: the one place where a network's output gets its meaning."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .errors import UserError
from .models.base import Denoiser
from .models.kept import Kept
from .models.traits import Traits
from .process.needs import on_vectors
from .process.prediction import Prediction
from .process.process import Process
from .types import Attend, Batch, HeadKind, Inputs, Noised, State, Tags


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network, the process it denoises, and what its head gives. `dropout` is set while training with dropout."""

    denoiser: Denoiser
    process: Process
    head: HeadKind
    dropout: torch.Generator | None = None

    def __post_init__(self) -> None:
        # the tables belong to the network, which may have been exchanged
        object.__setattr__(self, "process", self.process.bind(self.denoiser.tables))
        if self.traits.gives == "embedding" and (self.head != "posterior" or not self.process.moves_vectors):
            raise UserError(
                "a network that predicts embeddings needs noise on vectors and an objective for it: use objective "
                '"diffusion-lm" and process.kind="gaussian", or leave out model.output'
            )

    @property
    def traits(self) -> Traits:
        """Those of the network."""
        return self.denoiser.traits

    @cached_property
    def excluded(self) -> Float[Tensor, " V"]:
        """What is added to the logits before normalization: −∞ at unpredictable rows, 0 elsewhere."""
        vocabulary = self.process.vocabulary
        return torch.zeros(vocabulary.rows).index_fill(0, torch.tensor(vocabulary.unpredictable).long(), -torch.inf)

    def trunk(
        self,
        state: State,
        t: Float[Tensor, "B L"],
        rows: Tags,
        editable: Bool[Tensor, "B L"],
        kv: Kept | None = None,
        feedback: Float[Tensor, "B L d"] | None = None,
        level: Float[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Hidden states of the given rows, as the network has them: under a shifted one, row i speaks of `source`.

        `level` is what `told` says of the whole canvas, at these rows.
        """
        state, t, feedback = self.process.shown(state, t, feedback)
        inputs = Inputs(
            state,
            rows.position,
            level=(self.process.level(t) if level is None else level) if "level" in self.traits.takes else None,
            editable=editable if "editable" in self.traits.takes else None,
            feedback=feedback,
            dropout=self.dropout,
        )
        keys = rows if kv is None else kv.tags(rows)
        return self.denoiser.trunk(inputs, Attend(self.traits.rule, rows, keys), kv)

    def told(self, t: Float[Tensor, "B L"], live: Bool[Tensor, "B L"] | None) -> Float[Tensor, "B L"] | None:
        """The noise level that a network is told at every position of a canvas; None: that of the position's own t.

        A network that was trained on rows of one level knows no clean text beside noise, as prompts and blanks have it:
        where it does not look at a position's own token, it is told the mean over the row. All positions of one level
        are told that.
        """
        shares = self.traits.row_level and self.head == "leave_one_out"
        if not (shares and "level" in self.traits.takes and self.process.law is not None):
            return None
        level = self.process.level(t)
        weight = torch.ones_like(level) if live is None else live.to(level.dtype)
        mean = (level * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True).clamp(min=1)
        return mean.expand_as(level)

    def seen(self, ids: Int[Tensor, "B L"], document: Int[Tensor, "B L"] | None = None) -> Int[Tensor, "B L"]:
        """The tokens that the rows are given: their own, or for the autoregressive twin the one before each.

        The first token of a row or document has the start symbol before it.
        """
        if not self.traits.reads_previous:
            return ids
        vocabulary = self.process.vocabulary
        start = vocabulary.mask if vocabulary.bos is None else vocabulary.bos
        shifted = torch.nn.functional.pad(ids, (1, 0), value=start)[:, :-1]
        if document is None:
            return shifted
        first = torch.nn.functional.pad(document[:, 1:] != document[:, :-1], (1, 0))
        return shifted.masked_fill(first, start)

    def source(self, position: Int[Tensor, "*lead"]) -> Int[Tensor, "*lead"]:
        """The position whose row speaks of each position: itself, or the one before; the first keeps its own row."""
        return (position + self.traits.logit_row).clamp(min=0)

    def span(self, rows: int, device: torch.device) -> Int[Tensor, " B"] | None:
        """The length of the network's attention blocks, once per row; None where it has none."""
        length = self.traits.block_length
        return None if length is None else torch.full((rows,), length, device=device)

    def hidden(
        self,
        state: State,
        t: Float[Tensor, "B L"],
        positions: Int[Tensor, "B L"],
        editable: Bool[Tensor, "B L"],
        valid: Bool[Tensor, "B L"] | None = None,
        document: Int[Tensor, "B L"] | None = None,
        feedback: Float[Tensor, "B L d"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """The trunk over whole rows, under the network's attention rule; row i speaks of position i.

        A network with attention blocks sees every block as finished (`predict` is for noisy ones).
        """
        tags = Tags(positions, live=valid, document=document, span=self.span(len(positions), positions.device))
        state = replace(state, ids=self.seen(state.ids, document))
        found = self.trunk(state, t, tags, editable, feedback=feedback, level=self.told(t, valid))
        return self._aligned(found, positions)

    def _aligned(self, hidden: Float[Tensor, "B L D"], positions: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """The row that speaks of each position, where texts may begin anywhere in a row (padding, documents)."""
        if not self.traits.logit_row:
            return hidden
        row = torch.arange(hidden.shape[1], device=hidden.device) + self.source(positions) - positions
        return hidden.gather(1, row.clamp(min=0)[..., None].expand(hidden.shape))

    def read(self, hidden: Float[Tensor, "*lead D"], state: State, t: Float[Tensor, "*lead"]) -> Prediction:
        """The head at some positions: float32 logits (or wider), unpredictable rows at −inf, with their meaning."""
        logits, vectors = self.outputs(hidden)
        if self.head == "score":  # the ratio of the present token to itself
            logits = logits.scatter(-1, state.ids[..., None], 0.0)
        excluded = self.excluded.to(logits.device)
        # in place where the cast made a copy: at 8192 rows a pass over the logits is a tenth of a training step
        narrow = logits.dtype in (torch.bfloat16, torch.float16)
        logits = logits.float().add_(excluded) if narrow else logits + excluded
        return Prediction(logits, self.head, lambda: self.process.log_likelihood(state, t), vectors=vectors)

    def outputs(self, hidden: Float[Tensor, "*lead D"]) -> tuple[Float[Tensor, "*lead V"], Tensor | None]:
        """Logits of the head over all rows, and the embeddings that it predicts where it gives those."""
        found = self.denoiser.head(hidden)
        if self.traits.gives == "logits":
            return found, None
        vectors = found if found.dtype == torch.float64 else found.float()
        return on_vectors(self.process).rounding(vectors), vectors

    def predict(
        self,
        noised: Noised,
        batch: Batch,
        sites: Bool[Tensor, "B L"],
        feedback: Float[Tensor, "B L d"] | None = None,
    ) -> Prediction:
        """Trunk over the whole batch, head at the sites alone: a prediction over the M selected positions.

        A network with attention blocks sees [z ; x]: each block of z, and the clean text x of the blocks before it
        (BD3-LM, Arriola et al. 2025, section 3.2).
        """
        if self.traits.block_length is None:
            state = noised.view or noised.state
            hidden = self.hidden(
                state, noised.t, batch.positions, batch.editable, batch.valid, batch.document, feedback
            )
        else:
            hidden = self._aligned(self._beside_clean(noised, batch), batch.positions)
        return self.read(hidden[sites], noised.state[sites], noised.t[sites])

    def _beside_clean(self, noised: Noised, batch: Batch) -> Float[Tensor, "B L D"]:
        """Rows of z, then those of x but for the last block, which nobody sees; positions count from 0."""
        assert self.traits.block_length is not None
        length = batch.ids.shape[1]
        seen = (length - 1) // self.traits.block_length * self.traits.block_length

        def both(noisy: Tensor, clean: Tensor) -> Tensor:
            return torch.cat((noisy, clean[:, :seen]), dim=1)

        no = torch.zeros_like(batch.editable)
        tags = Tags(
            both(batch.positions, batch.positions),
            live=both(batch.valid, batch.valid),
            document=None if batch.document is None else both(batch.document, batch.document),
            span=self.span(len(batch.ids), batch.ids.device),
            clean=both(no, ~no),
        )
        ids = both(noised.state.ids, noised.x0)
        t = both(noised.t, noised.t.where(~batch.editable, 0.0))  # of the fixed text, a dropped prompt is noise
        return self.trunk(State(ids), t, tags, both(batch.editable, batch.editable))[:, :length]

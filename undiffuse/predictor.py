"""Denoiser plus process: the one forward path, and the one place where a network's output gets its meaning.

`rows` assembles what the network is given, `run` is the trunk, `read` the head with its meaning. `predict` is the three
for rows of training and evaluation; decoding chooses the rows itself.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .errors import UserError
from .models.base import Denoiser
from .models.kept import Seen
from .models.traits import Traits
from .process.needs import on_vectors
from .process.prediction import Prediction
from .process.process import Process
from .types import Batch, Given, HeadKind, Noised, Rows, State, Tags, columns


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

    def rows(
        self,
        state: State,
        t: Float[Tensor, "B L"],
        tags: Tags,
        editable: Bool[Tensor, "B L"],
        *,
        feedback: Float[Tensor, "B L d"] | None = None,
        given: Given | None = None,
        at: Int[Tensor, "B n"] | None = None,
        live: Bool[Tensor, "B n"] | None = None,
        of: Int[Tensor, "B M"] | None = None,
    ) -> Rows:
        """What the network is given of whole texts (B, L), of which the columns `at` are run (None: all).

        `live` is false for rows that pad (None: what the tags say); `of` are the columns that will be read (None: all).
        A network with attention blocks sees every block as finished where no tag says otherwise. UserError where
        vectors are `given` to a network that takes none.
        """
        takes = self.traits.takes
        if given is not None and "given" not in takes:
            raise UserError("this network reads tokens alone: leave out the vectors that are given in their place")
        level = self._shared_level(t, tags.live)
        if self.traits.reads_previous:
            state, given = self._previous(state, given, tags)
        speaker = self._speaker(tags, at, of)
        if at is not None:
            state, tags, t, editable = state.columns(at), tags.columns(at), columns(t, at), columns(editable, at)
            level, feedback = (None if value is None else columns(value, at) for value in (level, feedback))
            given = None if given is None else given.columns(at)
        state, t, feedback = self.process.shown(state, t, feedback)
        if level is None and "level" in takes:
            level = self.process.level(t)
        if tags.span is None and self.traits.block_length is not None:
            span = torch.full((len(t),), self.traits.block_length, device=t.device)
            tags = replace(tags, span=span)
        return Rows(
            state,
            tags if live is None else replace(tags, live=live),
            level=level,
            editable=editable if "editable" in takes else None,
            feedback=feedback if "feedback" in takes else None,
            given=given,
            dropout=self.dropout,
            speaker=speaker,
        )

    def _shared_level(self, t: Float[Tensor, "B L"], live: Bool[Tensor, "B L"] | None) -> Float[Tensor, "B L"] | None:
        """The noise level that a network is told at every position of a text; None: that of the position's own t.

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

    def _previous(self, state: State, given: Given | None, tags: Tags) -> tuple[State, Given | None]:
        """What stands before each position; before the first of a row, text or document that is the start symbol."""
        vocabulary = self.process.vocabulary
        start = vocabulary.mask if vocabulary.bos is None else vocabulary.bos
        pad = torch.nn.functional.pad
        ids = pad(state.ids, (1, 0), value=start)[:, :-1]
        begins = [
            before[:, 1:] != before[:, :-1] for before in (tags.document, tags.live) if before is not None
        ]  # padding is no part of a text
        first = pad(torch.stack(begins).any(0), (1, 0)) if begins else None
        if first is not None:
            ids = ids.masked_fill(first, start)
        if given is not None:
            mask = pad(given.mask, (1, 0))[:, :-1]
            given = Given(pad(given.vectors, (0, 0, 1, 0))[:, :-1], mask if first is None else mask & ~first)
        return replace(state, ids=ids), given

    def speaks(self, column: Int[Tensor, "B M"], position: Int[Tensor, "B M"]) -> Int[Tensor, "B M"]:
        """The column whose row speaks of each column: itself, or the one before; a first position keeps its own."""
        if not self.traits.logit_row:
            return column
        return (column + self.traits.logit_row * (position > 0)).clamp(min=0)

    def told(self, batch: Batch) -> Bool[Tensor, "B L"]:
        """Editable positions of which a row speaks that has not seen them; a first one may be a condition."""
        return batch.editable & (batch.positions > 0) if self.traits.first_given else batch.editable

    def _speaker(
        self, tags: Tags, at: Int[Tensor, "B n"] | None, of: Int[Tensor, "B M"] | None
    ) -> Int[Tensor, "B M"] | None:
        """Which of the rows that are run speaks of each column that is asked for; None: they are the same."""
        if self.traits.logit_row:
            every = torch.arange(tags.position.shape[1], device=tags.position.device).expand_as(tags.position)
            of = self.speaks(every, tags.position) if of is None else self.speaks(of, columns(tags.position, of))
        if at is None or of is None:
            return of
        place = torch.zeros_like(tags.position)
        return place.scatter(1, at, torch.arange(at.shape[1], device=at.device).expand_as(at)).gather(1, of)

    def run(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B M D"]:
        """Hidden states that speak of the columns asked for: the one place where the trunk is run."""
        hidden = self.denoiser.trunk(rows, kv)
        return hidden if rows.speaker is None else columns(hidden, rows.speaker)

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

    def fed_back(self, prediction: Prediction) -> Float[Tensor, "*lead d"]:
        """What the network is shown of a prediction in its next evaluation, if it takes feedback."""
        if self.process.moves_vectors:
            return on_vectors(self.process).estimate(prediction)
        return self.denoiser.fed_back(prediction.posterior())

    @property
    def feedback(self) -> int:
        """The size of that, at each position."""
        return on_vectors(self.process).size if self.process.moves_vectors else self.traits.feedback

    def predict(
        self,
        noised: Noised,
        batch: Batch,
        sites: Bool[Tensor, "B L"],
        feedback: Float[Tensor, "B L d"] | None = None,
    ) -> Prediction:
        """Trunk over the whole batch, head at the sites alone: a prediction over the M selected positions."""
        return self.read(self.hidden(noised, batch, feedback)[sites], noised.state[sites], noised.t[sites])

    def hidden(
        self, noised: Noised, batch: Batch, feedback: Float[Tensor, "B L d"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """What the trunk says of every position, for the head.

        A network with attention blocks sees [z ; x]: each block of z, and the clean text x of the blocks before it
        (BD3-LM, Arriola et al. 2025, section 3.2).
        """
        if self.traits.block_length is None:
            tags = Tags(batch.positions, live=batch.valid, document=batch.document)
            rows = self.rows(noised.view or noised.state, noised.t, tags, batch.editable, feedback=feedback)
        else:
            rows = self._beside_clean(noised, batch, self.traits.block_length)
        return self.run(rows)[:, : batch.ids.shape[1]]

    def predict_again(
        self, noised: Noised, batch: Batch, sites: Bool[Tensor, "B L"], fed: Bool[Tensor, " B"]
    ) -> Prediction:
        """A prediction of which `fed` rows see the estimate of a first one, of networks that take feedback.

        The first is of the same noisy text and has no gradient. That makes both one function of the noisy text, so a
        bound of the second holds (self-conditioning, Chen et al. 2022).
        """
        if "feedback" not in self.traits.takes or not bool(fed.any()):
            return self.predict(noised, batch, sites)
        feedback = torch.zeros(*batch.ids.shape, self.feedback, device=batch.ids.device)
        with torch.no_grad():
            rows = fed.nonzero()[:, 0]
            part = noised[rows]
            estimate = self.fed_back(self.predict(part, batch.rows(rows), part.editable))
            feedback = feedback.to(estimate.dtype)
            feedback[rows] = feedback[rows].masked_scatter(part.editable[..., None], estimate)
        return self.predict(noised, batch, sites, feedback)

    def _beside_clean(self, noised: Noised, batch: Batch, block_length: int) -> Rows:
        """Rows of z, then those of x but for the last block, which nobody sees; positions count from 0.

        Where blocks begin with what is written, that is position 0, and what comes before it is no block.

        In shifted networks the last row of a block of x speaks of the first position of the next.
        """
        seen = batch.ids.shape[1]
        if not self.traits.floating:  # where blocks may begin anywhere, so may the last one
            seen = (seen - 1) // block_length * block_length

        def both(noisy: Tensor, clean: Tensor) -> Tensor:
            return torch.cat((noisy, clean[:, :seen]), dim=1)

        no = torch.zeros_like(batch.editable)
        tags = Tags(
            both(batch.positions, batch.positions),
            live=both(batch.valid & (batch.positions >= 0), batch.valid),
            document=None if batch.document is None else both(batch.document, batch.document),
            clean=both(no, ~no),
        )
        ids = both(noised.state.ids, noised.x0)
        t = both(noised.t, noised.t.where(~batch.editable, 0.0))  # of the fixed text, a dropped prompt is noise
        rows = self.rows(State(ids), t, tags, both(batch.editable, batch.editable))
        if not self.traits.logit_row:
            return rows
        length = batch.ids.shape[1]
        own = self.speaks(torch.arange(length, device=batch.ids.device).expand_as(batch.ids), batch.positions)
        begins = (batch.positions > 0) & (batch.positions % block_length == 0) & (own < seen)
        return replace(rows, speaker=torch.where(begins, own + length, own))

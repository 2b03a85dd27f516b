"""Denoiser plus process: the one place where a network's output gets its meaning."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .models.base import Denoiser
from .process.prediction import Prediction
from .process.process import Process
from .types import Attend, Batch, HeadKind, Inputs, Noised, State, Tags


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network, the process it denoises, and which of the two distributions its head gives."""

    denoiser: Denoiser
    process: Process
    head: HeadKind

    @cached_property
    def excluded(self) -> Float[Tensor, " V"]:
        """What is added to the logits before normalization: −∞ at unpredictable rows, 0 elsewhere."""
        vocabulary = self.process.vocabulary
        return torch.zeros(vocabulary.rows).index_fill(0, torch.tensor(vocabulary.unpredictable).long(), -torch.inf)

    def hidden(
        self,
        state: State,
        t: Float[Tensor, "B L"],
        positions: Int[Tensor, "B L"],
        editable: Bool[Tensor, "B L"],
        valid: Bool[Tensor, "B L"] | None = None,
        document: Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """The trunk over whole rows, under the network's attention rule; row i speaks of position i.

        Networks with shifted outputs are aligned here; their first position keeps its own row.
        """
        tags = Tags(positions, live=valid, document=document)
        inputs = Inputs(
            state,
            positions,
            level=self.process.level(t) if self.denoiser.takes_time else None,
            editable=editable if self.denoiser.takes_editable else None,
        )
        hidden = self.denoiser.trunk(inputs, Attend(self.denoiser.rule, tags, tags))
        if not self.denoiser.output_offset:
            return hidden
        place = torch.arange(hidden.shape[1], device=hidden.device) + self.denoiser.output_offset
        return hidden[:, place.clamp(min=0)]

    def read(self, hidden: Float[Tensor, "*lead D"], state: State, t: Float[Tensor, "*lead"]) -> Prediction:
        """The head at some positions: float32 logits (or wider), unpredictable rows at −inf, with their meaning."""
        logits = self.denoiser.head(hidden)
        excluded = self.excluded.to(logits.device)
        # in place where the cast made a copy: at 8192 rows a pass over the logits is a tenth of a training step
        narrow = logits.dtype in (torch.bfloat16, torch.float16)
        logits = logits.float().add_(excluded) if narrow else logits + excluded
        return Prediction(logits, self.head, lambda: self.process.log_likelihood(state, t))

    def predict(self, noised: Noised, batch: Batch, sites: Bool[Tensor, "B L"]) -> Prediction:
        """Trunk over the whole batch, head at the sites alone: a prediction over the M selected positions."""
        hidden = self.hidden(noised.state, noised.t, batch.positions, batch.editable, batch.valid, batch.document)
        return self.read(hidden[sites], noised.state[sites], noised.t[sites])

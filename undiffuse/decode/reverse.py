"""Strategies that walk the reverse process along an even grid of times, and what they share."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..kinds import kind_of
from ..process.needs import law_of
from ..process.prediction import Mixture, Prediction
from ..randomness import draw_categorical
from ..types import State
from .canvas import Canvas
from .proposal import Filters
from .strategies.strategy import Decision, Memory, Observation, P, Step, Strategy


@dataclass(frozen=True)
class Reverse(Strategy[P]):
    """Draws reverse steps. A step may decide nothing, and then needs no evaluation under masked noise."""

    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))

    progressive = False
    guidable = True

    def __post_init__(self) -> None:
        if self.filters.temperature == 0:
            raise UserError(
                f"strategy {kind_of(self)!r} draws from the model, and temperature 0 is for 'confidence' and its kin, "
                "which decide masks; use temperature 0.1, which works under every noise"
            )

    def reads(self, process: P, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        open_sites = canvas.window & canvas.pending
        return open_sites & process.reads(State(canvas.ids), step.t[:, None], step.s[:, None], canvas.draws)

    @abstractmethod
    def advance(self, process: P, seen: Observation, step: Step, memory: Memory) -> Decision: ...

    def filtered(self, seen: Observation, prediction: Prediction) -> Prediction:
        """Leave-one-out, after temperature and filters, with what constraints allow."""
        log_p = prediction.leave_one_out()
        if seen.allowed is not None:  # first, so that the filters leave something that is allowed
            log_p = log_p.masked_fill(~seen.allowed, -torch.inf)
        logits = log_p if self.filters.neutral else self.filters.apply(log_p)
        return Prediction(logits, "leave_one_out", prediction.evidence)

    def drawn(self, process: P, seen: Observation, step: Step) -> Decision:
        """A draw from the exact reverse kernel, or from what guidance makes of it."""
        if seen.prediction.mixture is not None:
            return self._guided(process, seen, seen.prediction.mixture, step)
        prediction = self.filtered(seen, seen.prediction)
        stepped = process.step(prediction, State(seen.ids), step.t[:, None], step.s[:, None], seen.draws)
        ids, final = stepped.state.ids, stepped.final & seen.open
        return Decision(
            seen.open,
            torch.where(seen.open, ids, seen.ids),
            seen.open & ~final,
            logp_where(final, seen.prediction, ids),
        )

    def _guided(self, process: P, seen: Observation, mixture: Mixture, step: Step) -> Decision:
        """The draw from the guided law of the step, in which every copy's prediction is filtered by itself."""
        law = law_of(process)
        t, s = (time[:, None].expand(seen.ids.shape) for time in (step.t, step.s))
        mix = mixture.at(s)

        def mixed(parts: Iterable[Prediction]) -> Tensor:
            state = State(seen.ids)
            return mix(tuple(law.transition(part.leave_one_out(), state, t, s) for part in parts)).log_softmax(-1)

        whole = mixed(mixture.parts)
        unchanged = self.filters.neutral and seen.allowed is None
        drawn = whole if unchanged else mixed(self.filtered(seen, part) for part in mixture.parts)
        ids = draw_categorical(drawn.exp(), seen.draws.stream("token"))
        final = law.settled(ids, s) & seen.open
        # a token that is final was drawn from the step's law over the real tokens
        real = whole[..., law.real_tokens.to(ids.device)].logsumexp(-1)
        logp = whole.gather(-1, ids[..., None])[..., 0] - real
        return Decision(seen.open, torch.where(seen.open, ids, seen.ids), seen.open & ~final, logp)


def logp_where(final: Bool[Tensor, "R M"], prediction: Prediction, ids: Int[Tensor, "R M"]) -> Float[Tensor, "R M"]:
    """ln p(x_i = ids | z) of tokens that a step made final, 0 elsewhere: of most steps, of none."""
    found = torch.zeros_like(prediction.logits[..., 0])
    if prediction.mixture is not None:  # whose law is of all sites together
        log_p = prediction.posterior()[final]
    else:
        log_p = Prediction(prediction.logits[final], prediction.kind, lambda: prediction.evidence()[final]).posterior()
    found[final] = log_p.gather(-1, ids[final][:, None])[:, 0].to(found.dtype)
    return found

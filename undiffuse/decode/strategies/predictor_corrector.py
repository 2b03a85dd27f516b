"""Predictor–corrector: after every step of the reverse chain, moves that keep its marginal and undo its errors."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...errors import UserError
from ...kinds import CORRECTORS, STRATEGIES
from ...process.jumps import Jumps
from ...process.needs import Need
from ..canvas import Canvas
from ..correctors.corrector import Corrector, Place, hides
from ..held import held_open
from ..proposal import Filters
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step, Strategy


@dataclass(frozen=True)
class PredictorCorrector(Strategy[Jumps]):
    """A step of `predictor`, then `corrections` of `corrector`, at every time of the grid but the last.

    Every one is an evaluation: n planned steps are n + (n − 1) · `corrections`. Exact if both are: under exact
    predictions the law converges as steps grow, whatever the number of corrections. Under noise that is the mask alone,
    tokens that a corrector hides are pending until the next evaluation; under other noise everything is, to the end.
    """

    predictor: str = "ancestral"
    corrector: str | Corrector = "gibbs"
    corrections: int = 1
    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))

    progressive = False
    revocable = True

    def __post_init__(self) -> None:
        if self.corrections < 1:
            raise UserError(f"corrections must be at least 1, not {self.corrections}; without any, use the predictor")
        if not issubclass(STRATEGIES.load(self.predictor), Reverse):
            raise UserError(
                f"a corrector needs a predictor that takes reverse steps: 'ancestral', not {self.predictor!r}"
            )
        assert self._predictor
        assert self._corrector

    @cached_property
    def _predictor(self) -> Reverse:
        return STRATEGIES.load(self.predictor)(filters=self.filters)

    @cached_property
    def _corrector(self) -> Corrector:
        if isinstance(self.corrector, Corrector):
            return self.corrector
        return CORRECTORS.load(self.corrector)()

    @property
    def exact(self) -> bool:
        return self._predictor.exact and self._corrector.exact

    @property
    def needs(self) -> tuple[Need, ...]:
        return (*self._predictor.needs, *self._corrector.needs)

    def most_steps(self, canvas: Canvas) -> Int[Tensor, " R"]:
        return canvas.steps.sum(-1) * (1 + self.corrections) + canvas.pending.sum(-1)

    def _turn(self, process: Jumps, canvas: Canvas) -> tuple[Step, Int[Tensor, " R"]]:
        """The step of the grid, and how many evaluations of it were made (0: the predictor's is next)."""
        each = 1 + self.corrections
        step = super().step(process, canvas.replace(clock=canvas.clock // each))
        return step, torch.where(step.index + 1 < step.planned, canvas.clock % each, 0)

    def step(self, process: Jumps, canvas: Canvas) -> Step:
        step, made = self._turn(process, canvas)
        return replace(step, t=torch.where(made > 0, self._corrector.asked(step.t, step.s), step.t))

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window

    def begin(self, process: Jumps, canvas: Canvas) -> Memory:
        return {"touched": torch.zeros_like(canvas.pending)}

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        mask = process.mask if hides(process) else None
        grid, made = self._turn(process, seen.canvas)
        predicts, live = (made == 0)[:, None], seen.sites.live
        old = seen.sites.gather(seen.canvas.commit_logp).double()
        place = Place(seen.ids, live, old, grid.t[:, None], grid.s[:, None], seen.draws.stream("corrector"))

        predicted = self._predictor.advance(process, seen, step, {})
        prediction = self._predictor.filtered(seen, seen.prediction)
        corrected = self._corrector.after(process, place, prediction, seen.sites.gather(memory["touched"]))
        ids = torch.where(predicts, predicted.ids.where(predicted.write, seen.ids), corrected.where(live, seen.ids))
        token = ids if mask is None else ids.masked_fill(ids == mask, process.vocabulary.predictable[0])
        logp = seen.prediction.log_prob(token).double()
        if mask is not None:
            logp = logp.where(seen.ids == mask, old)  # of a token that the network saw it says nothing

        corrects_next = ((made < self.corrections) & (grid.s > 0))[:, None]
        place = replace(place, ids=ids, logp=logp, draws=seen.draws.stream("before the corrector"))
        asked, touched = self._corrector.before(process, place)
        ids, touched = torch.where(corrects_next, asked, ids), touched & corrects_next & live
        if mask is None:
            pending = torch.where(predicts, predicted.pending, live)
        else:
            pending = ids == mask
            pending |= held_open(seen, pending, grid.s > 0)
        return Decision(live, ids, pending, logp, {"touched": seen.sites.scatter(touched, memory["touched"])})

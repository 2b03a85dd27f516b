"""Steps that take back more than the reverse chain does, for noise with uniform tokens (Duo's second part).

1  Step.      With probability κ the reverse step p(z_s | z_t), else a draw of x from p(x | z_t), corrupted anew to time
              s: κ·p(z_s | z_t) + (1 − κ)·[α_s p(x | z_t) + b_s], one evaluation either way. Under the exact p both keep
              the marginals of single positions; κ = 1 is `ancestral`.
2  κ.         constant    `kappa`
              shrinking   1 − min(1, `churn`/steps)
              cap         1 − min(η, σ_max)/(1 − α_s), as ReMDM takes tokens back, σ_max = min(1, (1 − α_s)/α_t)
              rescale     1 − η σ_max/(1 − α_s)
3  Law.       Positions of a step are drawn apart from each other, and a token that is renewed forgets the others. At a
              constant κ < 1 every step renews a fixed share, and more steps do not help: on three tokens the total
              variation stays at 0.015 for κ = .5 and at 0.033 for κ = 0 (on two it falls, as 1/√steps). In `cap` and
              `rescale` too it stays. With `shrinking` a run renews each token `churn` times in the mean, and the error
              falls as 1/steps (`verify psi`). A trained network errs in its own ways, and there renewing may pay.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError, did_you_mean
from ...process.jumps import Jumps
from ...process.needs import Need, jumps_to_tokens
from ...process.prediction import Prediction
from ...types import State
from ..canvas import Canvas
from ..renewal import Cap, Constant, Rescale, Share, Shrinking
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step

MODES: dict[str, type[Share]] = {"constant": Constant, "shrinking": Shrinking, "cap": Cap, "rescale": Rescale}
OPTIONS = ("kappa", "churn", "eta")


@dataclass(frozen=True)
class Psi(Reverse[Jumps]):
    """Draws from κ·(reverse step) + (1 − κ)·(renewal); exact in mode `shrinking`, a corrector of real models otherwise.

    `kappa`, `churn` and `eta` belong to one mode each (`eta` to two); None is 0.95, 2 and 0.02.
    """

    mode: str = "shrinking"
    kappa: float | None = None
    churn: float | None = None
    eta: float | None = None

    guidable = False
    needs = (
        Need(
            jumps_to_tokens,
            "strategy 'psi' renews tokens of uniform noise, and this model's noise has none; under masked noise "
            "'remdm' takes tokens back",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise UserError(f"there is no mode {self.mode!r} of 'psi'{did_you_mean(self.mode, MODES)}")
        own = MODES[self.mode].option
        for name in OPTIONS:
            if getattr(self, name) is not None and name != own:
                raise UserError(f"{name} does not belong to mode {self.mode!r} of 'psi', which has {own}")
        assert self.share

    @cached_property
    def share(self) -> Share:
        """What the mode and its number say; UserError for a number that it cannot have."""
        cls = MODES[self.mode]
        given = getattr(self, cls.option)
        return cls() if given is None else cls(**{cls.option: given})

    @property
    def exact(self) -> bool:
        return self.share.exact

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window & canvas.pending

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        t, s = step.t[:, None].expand(seen.ids.shape), step.s[:, None].expand(seen.ids.shape)
        state, prediction = State(seen.ids), self.filtered(seen, seen.prediction)
        kept = seen.draws.stream("psi").uniform() < self.share.kept(process.law, step.t, step.s, step.planned)[:, None]
        moved = process.step(prediction, state, t, s, seen.draws).state.ids
        renewed = self._renewed(process, prediction, seen, t, s)
        ids = torch.where(seen.open, torch.where(kept, moved, renewed), seen.ids)
        final = process.law.settled(ids, s) & seen.open
        logp = seen.prediction.log_prob(torch.where(final, ids, process.vocabulary.predictable[0]))
        return Decision(seen.open, ids, seen.open & ~final, logp)

    @staticmethod
    def _renewed(process: Jumps, prediction: Prediction, seen: Observation, t: Tensor, s: Tensor) -> Tensor:
        """A draw of the clean tokens, corrupted to time s."""
        draws = seen.draws.stream("renewal")
        clean = process.finish(prediction, State(seen.ids), t, draws)
        return process.corrupt(clean, s, draws.stream("again"), seen.open).state.ids

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
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError, did_you_mean
from ...process.jumps import Jumps
from ...process.needs import Need, jumps_to_tokens
from ...process.prediction import Prediction
from ...types import State
from ..canvas import Canvas
from ..reverse import Reverse
from .strategy import Decision, Look, Memory, Step

Mode = Literal["constant", "shrinking", "cap", "rescale"]
DEFAULTS = {"kappa": 0.95, "churn": 2.0, "eta": 0.02}
OPTION = {"constant": "kappa", "shrinking": "churn", "cap": "eta", "rescale": "eta"}


@dataclass(frozen=True)
class Psi(Reverse[Jumps]):
    """Draws from κ·(reverse step) + (1 − κ)·(renewal); exact in mode `shrinking`, a corrector of real models otherwise.

    `kappa`, `churn` and `eta` belong to one mode each (`eta` to two); None is 0.95, 2 and 0.02.
    """

    mode: Mode = "shrinking"
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

    @property
    def exact(self) -> bool:
        return self.mode == "shrinking"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in get_args(Mode):
            raise UserError(f"there is no mode {self.mode!r} of 'psi'{did_you_mean(self.mode, get_args(Mode))}")
        for name in DEFAULTS:
            value = getattr(self, name)
            if value is not None and name != OPTION[self.mode]:
                raise UserError(f"{name} does not belong to mode {self.mode!r} of 'psi', which has {OPTION[self.mode]}")
            if value is not None and not (value >= 0 and (name == "churn" or value <= 1)):
                raise UserError(f"{name} of 'psi' is {'not negative' if name == 'churn' else 'in [0, 1]'}, not {value}")

    def share(
        self, process: Jumps, t: Float[Tensor, "*lead"], s: Float[Tensor, "*lead"], planned: Tensor | int
    ) -> Float[Tensor, "*lead"]:
        """κ of a step from t to s, one of `planned`."""
        given = getattr(self, OPTION[self.mode])
        value = DEFAULTS[OPTION[self.mode]] if given is None else given
        if self.mode == "constant":
            return torch.full_like(t, value)
        if self.mode == "shrinking":
            return 1 - (torch.zeros_like(t) + value / planned).clamp(max=1.0)
        alpha, corrupted = process.law.marginal(t).alpha, process.law.arrival(s).corrupted
        most = torch.where(alpha > 0, corrupted / alpha, 1.0).clamp(max=1.0)
        taken = value * most if self.mode == "rescale" else most.clamp(max=value)
        return torch.where(corrupted > 0, 1 - taken / corrupted, 1.0).clamp(0.0, 1.0)

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window & canvas.pending

    def advance(self, process: Jumps, look: Look, step: Step, memory: Memory) -> Decision:
        t, s = step.t[:, None].expand(look.ids.shape), step.s[:, None].expand(look.ids.shape)
        state, prediction = State(look.ids), self.filtered(look, look.prediction)
        kept = look.draws.stream("psi").uniform() < self.share(process, step.t, step.s, step.planned)[:, None]
        moved = process.step(prediction, state, t, s, look.draws).state.ids
        renewed = self._renewed(process, prediction, look, t, s)
        ids = torch.where(look.open, torch.where(kept, moved, renewed), look.ids)
        final = process.law.settled(ids, s) & look.open
        logp = look.prediction.log_prob(torch.where(final, ids, process.vocabulary.predictable[0]))
        return Decision(look.open, ids, look.open & ~final, logp)

    @staticmethod
    def _renewed(process: Jumps, prediction: Prediction, look: Look, t: Tensor, s: Tensor) -> Tensor:
        """A draw of the clean tokens, corrupted to time s."""
        draws = look.draws.stream("renewal")
        clean = process.finish(prediction, State(look.ids), t, draws)
        return process.corrupt(clean, s, draws.stream("again"), look.open).state.ids

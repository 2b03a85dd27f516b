"""Classifier guidance to first order: one call of a differentiable classifier in place of one per site and token."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError
from ...predictor import Predictor
from ...process.prediction import Mix
from ..canvas import Canvas
from ..passes import Sites
from .classifier import weighed
from .guidance import Guidance

OneHotLogProbability = Callable[
    [Float[Tensor, "B L V"], Float[Tensor, "B L"], Bool[Tensor, "B L"]],
    Float[Tensor, " B"],
]
"""(one-hot tokens, time of each position, which positions exist) → ln p(y | z) of each row, differentiable, nats."""


@dataclass(frozen=True)
class FirstOrder(Guidance):
    """Weighs every token by the slope of ln p(y | text) towards it: one call of a differentiable classifier.

    ln p(y | z with z_i ← v) ≈ ln p(y | z) + ⟨v − z_i, ∇ ln p(y | z)⟩, the gradient in the one-hot tokens (D-CBG, Schiff
    et al. 2025); exact if ln p is linear in them. What does not depend on v drops out. Scale as in `classifier`.
    """

    log_probability: OneHotLogProbability = field(kw_only=True)

    def mix(
        self,
        predictor: Predictor,
        canvas: Canvas,
        sites: Sites,
        t: Float[Tensor, "R L"],
        s: Float[Tensor, "R M"],
    ) -> Mix:
        if not self.scale:
            return lambda laws: laws[0]
        with torch.enable_grad():
            tokens = torch.nn.functional.one_hot(canvas.ids, predictor.process.vocabulary.rows).float().requires_grad_()
            log_p = self.log_probability(tokens, t, canvas.valid)
            if not log_p.requires_grad:
                raise UserError(
                    "guidance 'first-order' needs a classifier that is differentiable in its one-hot tokens; use "
                    "'classifier' with this one"
                )
            slope = torch.autograd.grad(log_p.sum(), tokens)[0]
        # a text that already excludes the condition has no slope
        slope = sites.gather(torch.where(log_p.isfinite()[:, None, None], slope, 0.0))
        return lambda laws: weighed(laws[0], self.scale * slope)

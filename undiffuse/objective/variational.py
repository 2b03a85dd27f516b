"""The variational bound of Gaussian noise as a training loss, with a learned curve of noise (PLAID).

A share of the rows has the least noise and pays the reconstruction, the others have a time and pay the diffusion term;
one evenly spaced draw q per row decides both: q < share reconstructs, else t = (q − share)/(1 − share). Divided by
their shares the two sum to an unbiased estimate of the bound, to which the prior's cost is added.

Three kinds of parameters have three gradients (Gulrajani & Hashimoto 2023, section 3):

    weights, vectors and the ends of the curve    minimize the bound
    the curve between its ends                    does not change the bound, and minimizes the variance of its estimate:
                                                  ∇E[ℓ²] = E[2ℓ∇ℓ], so the gradient of each row is multiplied by 2ℓ
    vectors and curve, on rows with feedback      none: what is fed back has no gradient, and theirs would be wrong

Feedback (`Predictor.predict_again`) is given on a share of the rows in training, and on all in evaluation.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.gammas.gamma import Curve, Pass, Time, unchanged
from ..process.gaussian import FIRST
from ..process.needs import on_vectors
from ..process.prediction import Prediction
from ..randomness import Draws
from ..types import Batch
from .objective import VECTORS, Loss, Objective, summed
from .times.estimator import Cells, element_draws
from .times.shared_offset import SharedOffset


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A curve at the only times that are asked for, with the gradients that each row is to have."""

    times: Float[Tensor, " n"]
    gamma: Float[Tensor, " n"]
    slope: Float[Tensor, " n"]

    def at(self, t: Time, free: Pass = unchanged) -> tuple[Time, Time]:
        place = torch.searchsorted(self.times, t).clamp(max=len(self.times) - 1)
        return self.gamma[place], self.slope[place]


def tabulated(curve: Curve, t: Float[Tensor, " B"], fed: Bool[Tensor, " B"], nats: Float[Tensor, " B"]) -> Tabulated:
    """The curve at the rows' times and at t = 1. The gradient of its shape is multiplied by twice the rows' nats per
    token, which are filled in before gradients are taken."""

    def weighed(shape: Tensor) -> Tensor:
        if shape.requires_grad:
            shape.register_hook(lambda gradient: gradient * 2 * nats)
        return shape

    one = torch.ones(1, dtype=torch.float64, device=t.device)
    here, end = curve.at(t, weighed), curve.at(one)
    gamma, slope = (torch.cat((torch.where(fed, h.detach(), h), e)) for h, e in zip(here, end, strict=True))
    times, order = torch.cat((t, one)).sort()
    return Tabulated(times, gamma[order], slope[order])


@dataclass(frozen=True)
class Variational(Objective):
    """The full bound: prior, diffusion and reconstruction, the curve trained for its variance.

    `reconstruction` is the share of rows with the least noise, `feedback` that of rows with two passes, of a network
    that takes feedback. `evidence` is the share of the evidence that is added to the logits (PLAID's output prior), and
    `ramp` the share of the training over which it rises from 0 to that. The loss is a bound at every share.
    """

    reconstruction: float = 0.1
    feedback: float = 0.25
    evidence: float = 1.0
    ramp: float = 0.0

    head = "leave_one_out"
    is_bound = True
    needs = VECTORS

    def __post_init__(self) -> None:
        if not 0 < self.reconstruction < 1:
            raise ValueError(f"reconstruction must lie between 0 and 1, not {self.reconstruction}")
        if not 0 <= self.feedback <= 1:
            raise ValueError(f"feedback must lie in [0, 1], not {self.feedback}")
        if not 0 <= self.evidence <= 1:
            raise ValueError(f"evidence must lie in [0, 1], not {self.evidence}")
        if not 0 <= self.ramp <= 1:
            raise ValueError(f"ramp is a share of the training and lies in [0, 1], not {self.ramp}")

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if self.evidence != 1:
            raise UserError(
                f"objective.evidence is {self.evidence:g}: a network trained with part of the evidence would be "
                "used with all of it; set objective.ramp, which ends at 1"
            )

    def at(self, progress: float) -> Objective:
        return replace(self, evidence=self.evidence * progress / self.ramp) if progress < self.ramp else self

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        sites, share = batch.editable, self.reconstruction
        q = SharedOffset().quantiles(Cells.rows(batch, rows), draws.stream("times"))[:, 0]
        reads = q < share
        # times that differ, so that each row has its own gradient
        t = torch.where(
            reads, FIRST * (1 + batch.slot.double()), ((q - share) / (1 - share)).clamp(min=2 * FIRST * rows)
        )
        fed = draws.stream("feedback").at(batch.index, batch.epoch).uniform() < self.feedback
        per_token = torch.zeros_like(t)
        process = on_vectors(predictor.process)
        process = process.with_evidence(self.evidence).along(tabulated(process.curve, t, fed, per_token))
        x = process.embed(batch.ids)
        x = torch.where(fed[:, None, None], x.detach(), x)
        each = torch.where(sites, t[:, None], 0.0)
        noised = process.diffuse(batch.ids, x, each, element_draws(batch, draws), sites)
        prediction = replace(predictor, process=process).predict_again(noised, batch, sites, fed)
        posterior = Prediction(prediction.posterior(), "posterior", prediction.evidence)
        nats = torch.where(
            reads[:, None].expand(sites.shape)[sites],
            -posterior.log_prob(batch.ids[sites]) / share,
            process.integrand(x[sites], process.estimate(posterior), noised[sites]) / (1 - share),
        )
        per_token.index_add_(0, sites.nonzero()[:, 0], nats.detach().double())
        per_token /= sites.sum(-1).clamp(min=1)
        return summed(nats + process.prior_cost(batch.ids[sites]), sites, noised, sites, batch)

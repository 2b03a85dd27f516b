"""The variational bound of Gaussian noise as a training loss, with a learned curve of noise (PLAID).

A share of the rows has the least noise and pays the reconstruction, the others have a time and pay the diffusion term;
one evenly spaced draw q per row decides both: q < share reconstructs, else t = (q − share)/(1 − share). Divided by
their shares the two sum to an unbiased estimate of the bound, to which the prior's cost is added.

Three kinds of parameters have three gradients (Gulrajani & Hashimoto 2023, section 3):

    weights, vectors and the ends of the curve    minimize the bound
    the curve between its ends                    does not change the bound, and minimizes the variance of its estimate:
                                                  ∇E[ℓ²] = E[2ℓ∇ℓ], so the gradient of each row is multiplied by 2ℓ
    vectors and curve, on rows with feedback      none: what is fed back has no gradient, and theirs would be wrong

Feedback is the network's own estimate from a first pass over the same noisy text. That makes both passes one function
of the noisy text, so the bound holds; it is given on a share of the rows in training, and on all in evaluation.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.gammas.gamma import Curve, Pass, Time, unchanged
from ..process.gaussian import FIRST, Gaussian
from ..process.prediction import Prediction
from ..randomness import Draws
from ..types import Batch, Noised
from .bound import Integrand
from .objective import Loss, Objective, summed
from .times.shared_offset import SharedOffset
from .times.time_draw import Cells, TimeDraw, element_draws


def gaussian(predictor: Predictor) -> Gaussian:
    """The predictor's process; UserError if it is another kind."""
    if not isinstance(predictor.process, Gaussian):
        raise UserError('this objective is for noise on vectors: set process.kind="gaussian" and model.latent=16')
    return predictor.process


def predict(predictor: Predictor, noised: Noised, batch: Batch, fed: Bool[Tensor, " B"]) -> Prediction:
    """A prediction at the editable positions; rows that are `fed` see the estimate of a first pass without gradient."""
    if not getattr(predictor.denoiser, "takes_feedback", False) or not bool(fed.any()):
        return predictor.predict(noised, batch, noised.editable)
    process = gaussian(predictor)
    feedback = torch.zeros(*batch.ids.shape, process.size, device=batch.ids.device)
    with torch.no_grad():
        rows = fed.nonzero()[:, 0]
        part = noised[rows]
        estimate = process.estimate(predictor.predict(part, batch.rows(rows), part.editable))
        feedback = feedback.to(estimate.dtype)
        feedback[rows] = feedback[rows].masked_scatter(part.editable[..., None], estimate)
    return predictor.predict(noised, batch, noised.editable, feedback)


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
        gaussian(predictor)
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
        process = gaussian(predictor)
        process = process.with_evidence(self.evidence).along(tabulated(process.curve, t, fed, per_token))
        x = process.embed(batch.ids)
        x = torch.where(fed[:, None, None], x.detach(), x)
        each = torch.where(sites, t[:, None], 0.0)
        noised = process.diffuse(batch.ids, x, each, element_draws(batch, draws), sites)
        prediction = predict(replace(predictor, process=process), noised, batch, fed)
        posterior = Prediction(prediction.posterior(), "posterior", prediction.evidence)
        nats = torch.where(
            reads[:, None].expand(sites.shape)[sites],
            -posterior.log_prob(batch.ids[sites]) / share,
            process.integrand(x[sites], process.estimate(posterior), noised[sites]) / (1 - share),
        )
        per_token.index_add_(0, sites.nonzero()[:, 0], nats.detach().double())
        per_token /= sites.sum(-1).clamp(min=1)
        return summed(nats + process.prior_cost(batch.ids[sites]), sites, noised, sites)


def diffusion(predictor: Predictor, times: TimeDraw, batch: Batch, draws: Draws, rows: int) -> Integrand:
    """One draw of the diffusion term alone, with feedback throughout: what a likelihood is estimated from."""
    process = gaussian(predictor).evenly()
    predictor = replace(predictor, process=process)
    noised = times.noise(process, batch, draws, rows)
    prediction = predict(predictor, noised, batch, torch.ones_like(batch.index, dtype=torch.bool))
    return Integrand(noised, noised.editable, times.integrand(process, prediction, noised[noised.editable]))


def reconstruction(predictor: Predictor, batch: Batch, draws: Draws) -> Float[Tensor, " M"]:
    """−ln p(x | z_0) of the editable tokens, from one draw of the least noise, with feedback; nats."""
    process = gaussian(predictor)
    t = torch.full(batch.ids.shape, FIRST, dtype=torch.float64, device=batch.ids.device)
    noised = process.corrupt(batch.ids, t, element_draws(batch, draws), batch.editable)
    prediction = predict(predictor, noised, batch, torch.ones_like(batch.index, dtype=torch.bool))
    return process.reconstruction(prediction, noised[noised.editable])

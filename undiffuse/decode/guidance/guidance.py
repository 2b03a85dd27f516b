"""What guidance is: a condition that is followed more, or less, than the network does by itself.

Derivation, in the order of the code. c is the condition, p_c and p_u the laws with and without it, γ the scale.

1  Scale.     p ∝ p_u · (p_c / p_u)^γ = p_c^γ · p_u^(1−γ), per position: 0 ignores the condition, 1 is the conditional
              law itself (which is what a network with a prompt gives: guidance is off), more sharpens.
2  Of what.   Under masked noise p is the prediction of the clean token. Under noise with uniform tokens a reverse step
              may also keep or renoise, and what is mixed is the law of the step, p(z_s | z_t) (D-CFG, Schiff et al.
              2025; the mixture of predictions is another kernel). A step to s = 0 is the posterior.
              Mixed predictions are normalized, so guidance never changes when masked tokens are decided.
3  Limits.    A law with weight 0 does not count, even where it is −∞. A token that a counting law excludes is excluded
              (−∞ · γ + −∞ · (1 − γ) is not a number); if that leaves nothing, the conditional law stands.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from ...predictor import Predictor
from ...process.needs import Need, jumps, require
from ...process.prediction import Mix, Mixture, Prediction
from ...process.process import Process
from ..canvas import Canvas
from ..passes import Sites
from ..strategies.strategy import Strategy

Law = Float[Tensor, "R M V"]

LARGEST = 1e6
"""Of scales: more is the same in the end, and would leave the numbers that float32 holds."""
NEEDS = (Need(jumps, "guidance mixes laws of tokens that jump by one law, which process '{noise}' does not have"),)


@dataclass(frozen=True)
class Guidance(ABC):
    """One convention of scale everywhere: p ∝ p_u · (p_c / p_u)^scale, so 0 ignores the condition and 1 is p_c."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= LARGEST:
            raise UserError(
                f"the scale of guidance must be 0 or more, and at most {LARGEST:.0f}, not {self.scale}: 1 is off, 0 "
                "ignores the condition, 2 follows it more"
            )

    @property
    def of_text(self) -> float:
        """To which power the likelihood of fixed text counts where numbers of tokens are compared.

        1, unless that text is the condition: p_c(n) ∝ p(n) p(text | n) and p_u(n) = p(n), mixed as everything is.
        """
        return 1.0

    def check(self, predictor: Predictor, canvas: Canvas, strategy: Strategy) -> None:
        """Raise UserError when this guidance has no meaning for a process, a text or a strategy."""
        require(NEEDS, predictor.process)
        if predictor.process.shows_tokens and not strategy.guidable:
            raise UserError(
                "guidance of a model with uniform noise mixes its reverse steps, and this strategy does not take "
                "those; use strategy 'ancestral'"
            )

    @property
    def copies(self) -> int:
        """How often every request goes through the network."""
        return 1

    def expand(self, predictor: Predictor, canvas: Canvas, t: Float[Tensor, "R L"]) -> tuple[Canvas, Tensor]:
        """`copies` times as many requests and times: all as they are, then all as the next copy sees them."""
        return canvas, t

    def by_step(self, process: Process) -> bool:
        """Whether the laws of reverse steps are mixed, or predictions of the clean tokens."""
        return True

    @abstractmethod
    def mix(
        self,
        predictor: Predictor,
        canvas: Canvas,
        sites: Sites,
        t: Float[Tensor, "R L"],
        s: Float[Tensor, "R M"],
    ) -> Mix:
        """How the laws of tokens at time s are mixed at the sites, given the canvas at t."""

    def guide(
        self,
        predictor: Predictor,
        canvas: Canvas,
        sites: Sites,
        t: Float[Tensor, "R L"],
        predictions: tuple[Prediction, ...],
    ) -> Prediction:
        """One prediction from those of the copies."""

        def mix(s: Float[Tensor, "R M"]) -> Mix:
            return self.mix(predictor, canvas, sites, t, s)

        first = predictions[0]
        if self.by_step(predictor.process):
            return Prediction(first.logits, first.kind, first.evidence, mixture=Mixture(predictions, mix))
        logits = mix(torch.zeros_like(sites.gather(t)))(tuple(prediction.logits for prediction in predictions))
        # ratios at the mask are a prediction; mixed, their total says nothing
        return Prediction(logits, "leave_one_out" if first.kind == "score" else first.kind, first.evidence)


def geometric(conditional: Law, unconditional: Law, scale: float) -> Law:
    """γ ln p_c + (1 − γ) ln p_u, up to a constant per site where the laws are logits; see 3 above for −∞."""
    if scale in (0, 1):
        return conditional if scale == 1 else unconditional
    excluded = (conditional == -torch.inf) | (unconditional == -torch.inf)
    mixed = torch.where(excluded, 0.0, unconditional) + scale * torch.where(excluded, 0.0, conditional - unconditional)
    return or_else(mixed.masked_fill(excluded, -torch.inf), conditional)


def or_else(guided: Law, plain: Law) -> Law:
    """The plain law where guidance excludes every token."""
    return torch.where((guided == -torch.inf).all(-1, keepdim=True), plain, guided)

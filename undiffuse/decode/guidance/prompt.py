"""Classifier-free guidance by the fixed text: the unconditional copy does not see it.

Without training for it this is Nie et al. 2024 (section 3.3): masked prompts occur in pretraining. `prompt_dropout`
trains for it. The scale in other conventions: LLaDA's cfg_scale w is scale − 1, D-CFG's γ is scale.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from ...predictor import Predictor
from ...process.prediction import Mix
from ...process.process import Process
from ...randomness import Draws
from ..canvas import Canvas
from ..passes import Sites
from ..strategies.strategy import Strategy
from .guidance import Guidance, geometric


@dataclass(frozen=True)
class Prompt(Guidance):
    """Every request goes through the network twice, once with all fixed tokens as pure noise (time 1).

    Pure noise is the mask; where a model has none, one draw from the prior per request, the same in every step.
    """

    @property
    def copies(self) -> int:
        return 2

    @property
    def of_text(self) -> float:
        return self.scale

    def check(self, predictor: Predictor, canvas: Canvas, strategy: Strategy) -> None:
        super().check(predictor, canvas, strategy)
        bare = ~_given(canvas).any(-1)
        if bool(bare.any()):
            raise UserError(
                f"request {int(bare.long().argmax()) + 1} of {len(bare)} has no fixed text that guidance could follow: "
                "give it a prompt, or leave guidance out"
            )

    def by_step(self, process: Process) -> bool:
        return process.shows_tokens

    def expand(self, predictor: Predictor, canvas: Canvas, t: Float[Tensor, "R L"]) -> tuple[Canvas, Tensor]:
        process, given = predictor.process, _given(canvas)
        if process.mask is not None:
            noise = torch.full_like(canvas.ids, process.mask)
        else:
            noise = process.prior(Draws(canvas.key).stream("guidance")[:, None].at(canvas.positions)).ids
        blind = canvas.replace(ids=torch.where(given, noise, canvas.ids))
        return Canvas.concatenate([canvas, blind]), torch.cat([t, torch.where(given, 1.0, t)])

    def mix(
        self,
        predictor: Predictor,
        canvas: Canvas,
        sites: Sites,
        t: Float[Tensor, "R L"],
        s: Float[Tensor, "R M"],
    ) -> Mix:
        return lambda laws: geometric(laws[0], laws[1], self.scale)


def _given(canvas: Canvas) -> Tensor:
    return canvas.valid & ~canvas.editable

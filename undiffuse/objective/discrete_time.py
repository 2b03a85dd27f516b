"""The bound of discrete-time diffusion, with an auxiliary cross-entropy: D3PM's hybrid loss.

D3PM (Austin et al. 2021) trains on L_vb + λ E −ln x_θ(x). Here λ weighs the cross-entropy against the term of one step,
so over T steps the loss is

    Σ_k E [ KL_k + λ · −ln x_θ(x) ],

which weighs λT times the mean cross-entropy: with T = 1000 and λ = 0.01, ten times. Under masked noise both terms have
one optimum and λ only moves weight between noise levels, from low to high. Under noise with uniform tokens the bound's
optimum is the leave-one-out prediction and that of cross-entropy the posterior: λ > 0 pulls the head away from what the
reverse step takes it for, and the bound cannot become tight.
"""

from dataclasses import dataclass, field

import torch

from ..errors import UserError
from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch
from .objective import Loss, Objective, summed
from .times.estimator import Estimator
from .times.shared_offset import SharedOffset


@dataclass(frozen=True)
class DiscreteTime(Objective):
    """The bound of all steps plus `auxiliary` (λ) times the cross-entropy at each; with 0 the bound itself (D3PM)."""

    auxiliary: float = 0.01
    times: Estimator = field(default_factory=SharedOffset)

    head = "leave_one_out"

    def __post_init__(self) -> None:
        if not self.auxiliary >= 0:
            raise ValueError(f"auxiliary weighs a cross-entropy and cannot be negative: {self.auxiliary}")

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        return self.auxiliary == 0

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if predictor.process.steps is None:
            raise UserError(
                "objective 'discrete-time' needs noise in steps: use process 'discrete', or objective 'bound'"
            )
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = predictor.process
        assert process.steps is not None
        noised = self.times.noise(process, batch, draws, rows, predictor.traits.block_length)
        sites = process.informative(noised)
        prediction = predictor.predict(noised, batch, sites)
        nats = self.times.integrand(process, prediction, noised[sites])
        if self.auxiliary:
            cross_entropy = torch.nn.functional.cross_entropy(prediction.logits, noised.x0[sites], reduction="none")
            nats = nats + self.auxiliary * process.steps * cross_entropy
        return summed(nats, sites, noised, batch.editable, batch)

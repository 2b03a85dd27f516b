"""LLaDA's training loss: masked cross-entropy over the masking probability.

LLaDA (Nie et al. 2025, eq. 3 and its published guidelines) masks each token with probability p = (1 − ε)t + ε,
t ~ U(0, 1), and divides the cross-entropy of the masked tokens by p. For α = 1 − t the bound's weight is 1/t, so with
ε = 0 this is the bound; the floor leaves out the noise levels below ε and scales the rest by 1/(1 − ε).
"""

from dataclasses import dataclass, field

from ..predictor import Predictor
from ..process.needs import Need, masks_by_time
from ..randomness import Draws
from ..types import Batch
from .objective import Loss, Objective, summed
from .times.estimator import Estimator
from .times.uniform import Uniform


@dataclass(frozen=True)
class Llada(Objective):
    """Cross-entropy of masked tokens divided by their masking probability p = (1 − floor)·t + floor (LLaDA)."""

    floor: float = 1e-3
    times: Estimator = field(default_factory=Uniform)

    head = "leave_one_out"
    needs = (
        Need(
            masks_by_time,
            "objective 'llada' is defined for masked noise with schedule 'one-minus-t'; use 'bound'",
        ),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.floor < 1:
            raise ValueError(f"floor must lie in [0, 1), not {self.floor}")
        if not self.times.draws_times:
            raise ValueError(
                "times 'equal-count' leave no masking probability to draw; use objective 'bound' with them"
            )

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        return self.floor == 0

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = predictor.process
        noised = self.times.noise(process, batch, draws, rows, predictor.traits.block_length, (self.floor, 1.0))
        sites = process.informative(noised)
        logits = predictor.predict(noised, batch, sites).logits
        nats = -logits.log_softmax(-1).gather(-1, noised.x0[sites][:, None])[:, 0]
        return summed(nats / noised.t[sites], sites, noised, batch.editable, batch)

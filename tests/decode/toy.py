"""A network without parameters whose logits depend on the whole text, for tests of decoding."""

import torch

from undiffuse.kinds import DESTINATIONS, SCHEDULES, STRATEGIES
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.needs import meets
from undiffuse.vocabulary import Vocabulary

# the mask lies inside the table, and one row is reserved
VOCABULARY = Vocabulary(11, mask=4, reserved=frozenset({9}))


class Echo(Denoiser):
    """Every position's logits are a fixed nonlinear function of all tokens, their distances and the position."""

    traits = Traits(11, 64, rules.full)

    def __init__(self, sharpness: float = 3.0) -> None:
        self.sharpness = sharpness
        self.calls = 0

    def trunk(self, rows, kv=None):
        self.calls += 1
        ids, at = rows.state.ids, rows.tags.position
        mask = self.traits.rule(rows.tags, rows.tags)
        near = (-(at[:, :, None] - at[:, None]).abs().double() / 3).exp()
        seen = near if mask is None else near * mask
        tokens = torch.nn.functional.one_hot(ids, 11).double()
        return torch.cat([seen @ tokens, at[..., None].double()], -1)

    def head(self, hidden):
        mixing = torch.sin(torch.arange(12.0 * 11, dtype=torch.float64).view(12, 11) * 1.7)
        return (self.sharpness * torch.sin(hidden @ mixing)).float()


def predictor(destination: str = "mask", sharpness: float = 3.0) -> Predictor:
    process = Interpolating(VOCABULARY, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load(destination)())
    return Predictor(Echo(sharpness), process, "leave_one_out")


def every_strategy() -> dict:
    return {kind: STRATEGIES.load(kind)() for kind in STRATEGIES.kinds}


def strategies() -> dict:
    """Those that masked noise has a meaning for."""
    return {kind: strategy for kind, strategy in every_strategy().items() if accepts(strategy, predictor().process)}


def accepts(strategy, process) -> bool:
    return meets(strategy.needs, process)

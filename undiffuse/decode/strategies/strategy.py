"""What a decoding strategy is: a choice of positions to commit, made from what the network says at the sites."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...process.needs import Need, has_mask
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...ranking import NEAR, ranked
from ..canvas import Canvas
from ..passes import Latents, Sites
from ..proposal import Filters, Joint, Proposal, propose

Memory = dict[str, Tensor]
P = TypeVar("P", bound=Process, contravariant=True)
"""What a strategy takes its process for, once its needs are met."""
FINITE = 1e300


@dataclass(frozen=True, eq=False)
class Step:
    """Where each request stands within its window, (R,): this step's index, the planned number, times from t to s."""

    index: Int[Tensor, " R"]
    planned: Int[Tensor, " R"]
    t: Float[Tensor, " R"]
    s: Float[Tensor, " R"]


@dataclass(frozen=True, eq=False)
class Decision:
    """What becomes of each site: `write` it with `ids`, leave it `pending` or not, and with which log-probability.

    `certificate`, where a strategy gives one, is below 1 when one token at a time would decide the same (`certified`).
    `hold` keeps the window open for a further step although nothing may be pending in it (None: no request's).
    `belief` is what a network is told that reads its own last prediction (ln p up to a constant; None: what it said).
    """

    write: Bool[Tensor, "R M"]
    ids: Int[Tensor, "R M"]
    pending: Bool[Tensor, "R M"]
    logp: Float[Tensor, "R M"]
    memory: Memory = field(default_factory=dict)
    certificate: Float[Tensor, " R"] | None = None
    hold: Bool[Tensor, " R"] | None = None
    belief: Float[Tensor, "R M V"] | None = None

    def replace(self, **changes: Tensor) -> "Decision":
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Observation:
    """What `advance` decides from: the sites, the tokens and keys there, the prediction, what constraints allow."""

    canvas: Canvas
    sites: Sites
    ids: Int[Tensor, "R M"]
    prediction: Prediction
    draws: Draws
    allowed: Bool[Tensor, "R M V"] | None = None
    joint: Joint | None = None

    @property
    def open(self) -> Bool[Tensor, "R M"]:
        """Sites that are still to be decided."""
        return self.sites.live & self.sites.gather(self.canvas.pending)


class Strategy(ABC, Generic[P]):
    """Stateless; what must be remembered between steps is the memory that `advance` returns.

    `exact`: with unfiltered predictions, samples follow the process's own reverse chain as steps grow. `progressive`:
    every step commits at least one pending position of every request (otherwise `steps` bounds the number of steps).
    `revocable` strategies may change decided positions of the window. With `shadows`, decided sites are read as
    p(x_i | everything but x_i), from a row that stands beside them. `guidable` strategies honor guidance also under
    noise with uniform tokens: they read masks alone, or draw reverse steps from the law that guidance makes of them.
    `scored` ones step with the free ratios of a score head, which has no prediction under uniform noise.
    `begins_anywhere` ones take a text that is noisy at any time. `moves_vectors` says that the network is shown latents
    (`view`), `left_to_right` that the leftmost pending positions are always decided first.
    """

    filters: Filters

    # most strategies set these as class attributes; options decide some of them

    @property
    @abstractmethod
    def exact(self) -> bool: ...

    @property
    @abstractmethod
    def progressive(self) -> bool: ...

    @property
    def revocable(self) -> bool:
        return False

    @property
    def shadows(self) -> bool:
        return False

    @property
    def guidable(self) -> bool:
        return False

    @property
    def scored(self) -> bool:
        return False

    @property
    def moves_vectors(self) -> bool:
        return False

    @property
    def left_to_right(self) -> bool:
        return False

    @property
    def begins_anywhere(self) -> bool:
        return True

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it asks of a process; most accept every one."""
        return ()

    def planned(self, sizes: Int[Tensor, " W"]) -> Int[Tensor, " W"]:
        """How many steps windows of so many pending positions take, where nobody says."""
        return sizes

    def noise(self, process: P, canvas: Canvas) -> Int[Tensor, "R L"]:
        """What pending positions hold before the first step."""
        return process.unread(canvas.draws.stream("prior"))

    def begin(self, process: P, canvas: Canvas) -> Memory:
        """What is remembered before the first step: tensors by name, each with the requests first."""
        return {}

    def latents(self, canvas: Canvas, memory: Memory) -> Latents | None:
        """What the network sees besides tokens: something where a strategy moves vectors."""
        return None

    def most_steps(self, canvas: Canvas) -> Int[Tensor, " R"]:
        """No request takes more steps than this."""
        return canvas.steps.sum(-1) + canvas.pending.sum(-1)

    def step(self, process: P, canvas: Canvas) -> Step:
        """This step's place in its window, with times from an even grid of the planned number of steps.

        The grid leads from the time at which the text begins to 0.
        """
        planned = canvas.steps.gather(1, canvas.current[:, None])[:, 0].clamp(min=1)
        # positions that a constraint held back at the end take the last step again
        index = torch.minimum(canvas.clock, planned - 1)
        left = canvas.begins  # 1 but for a text that is noisy in part
        return Step(
            index, planned, t=left * (1 - index.double() / planned), s=left * (1 - (index + 1).double() / planned)
        )

    def reads(self, process: P, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        """Where logits are needed: by default at the pending positions of each window."""
        return canvas.window & canvas.pending

    def propose(self, seen: Observation) -> Proposal:
        """A token for every site, by the strategy's own filters."""
        return propose(seen.prediction, self.filters, seen.draws, seen.allowed, seen.joint)

    @abstractmethod
    def advance(self, process: P, seen: Observation, step: Step, memory: Memory) -> Decision:
        """Decide about the sites. Sites that are not open must be left as they are unless the strategy is revocable."""


MASKED = (
    Need(
        has_mask,
        "this strategy decides masked positions one after the other, and this model's noise has no mask; "
        "use strategy 'ancestral', with temperature 0.1 for texts near the most probable one",
    ),
)


class Unmasking(Strategy[P]):
    """Strategies that commit proposals and never take them back; they differ in how many and in which order.

    They read the mask as "undecided", so they need a process with one.
    """

    exact = False
    progressive = True
    guidable = True

    @property
    def needs(self) -> tuple[Need, ...]:
        return MASKED

    def step(self, process: P, canvas: Canvas) -> Step:
        """Times follow what is pending, so that a network with time input is told the truth."""
        window = canvas.window
        share = (window & canvas.pending).sum(-1).double() / window.sum(-1).clamp(min=1)
        return replace(super().step(process, canvas), t=process.time_at(1 - share), s=torch.zeros_like(share))

    def noise(self, process: P, canvas: Canvas) -> Int[Tensor, "R L"]:
        assert process.mask is not None
        return torch.full_like(canvas.ids, process.mask)

    @abstractmethod
    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        """Which open sites to commit: at least one per request that has any, if the strategy is progressive."""

    def certify(self, seen: Observation, proposal: Proposal, chosen: Bool[Tensor, "R M"]) -> Float[Tensor, " R"] | None:
        """The certificate of a choice, where a strategy gives one."""
        return None

    def advance(self, process: P, seen: Observation, step: Step, memory: Memory) -> Decision:
        proposal = self.propose(seen)
        chosen = self.choose(seen, proposal, step) & seen.open
        certificate = self.certify(seen, proposal, chosen)
        return Decision(chosen, proposal.ids, seen.open & ~chosen, proposal.logp, certificate=certificate)


def quota(canvas: Canvas, step: Step) -> Int[Tensor, " R"]:
    """LLaDA's transfer counts: n tokens over k steps as n div k each, the remainder one each to the earliest steps.

    Computed from what is still pending and the steps that are left, which gives the same numbers; at least one. In a
    block that a prompt has begun they are those of the whole block, until nothing is pending (SDAR).
    """
    window = canvas.window
    decided = (window & ~canvas.pending).sum(-1)
    left = (step.planned - step.index).clamp(min=1)
    return -((decided - canvas.shared) // left)


def best(
    score: Float[Tensor, "R M"], candidates: Bool[Tensor, "R M"], count: Int[Tensor, " R"], near: float = NEAR
) -> Bool[Tensor, "R M"]:
    """The `count` candidates of highest score per row; the lowest position wins among those within `near`.

    `near` is in the unit of the scores; 0 for draws, which no network rounds.
    """
    return candidates & (ranked(among(score, candidates), near) < count[:, None])


def among(score: Float[Tensor, "R M"], candidates: Bool[Tensor, "R M"]) -> Float[Tensor, "R M"]:
    """The scores of candidates, finite, and −∞ elsewhere."""
    return score.double().clamp(-FINITE, FINITE).masked_fill(~candidates, -torch.inf)

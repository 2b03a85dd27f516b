"""Remasking: a masked chain that may take tokens back, with the marginals of the process (ReMDM, Wang et al. 2025).

1  Kernel.    From t to s, with σ ≤ σ_max = min(1, (1 − α_s)/α_t): a token is masked again with probability σ; a mask
              becomes a token, drawn from the prediction, with probability (α_s − (1 − σ) α_t)/(1 − α_t) (eqs. 5 to 7).
2  Marginal.  α_t (1 − σ) + (1 − α_t) · that = α_s whatever σ is: networks need no other training. σ = 0 is `ancestral`.
3  σ.         cap         min(η, σ_max)
              rescale     η σ_max
              confidence  σ_max shared out over the n tokens by softmax(−ψ), ψ each one's probability when it was drawn.
                          In the published sampler nothing makes up for what is masked so; here every mask becomes a
                          token with that much more probability, σ_max/(masks left), and no more is taken back than
                          that can carry. Then the expected number of masks stays that of the process.
              loop        on a clock that runs to α = `plateau` at t = `on`, stands still until t = `off`, and then
                          finishes: σ = η while it stands, else 0.
4  Law.       Positions of one step are drawn apart from each other, as in `ancestral`, whose error falls as 1/steps. At
              a fixed η that of cap and rescale falls too, as 1/√steps where measured, with ever less taken back.
              That of loop stays at a level in proportion to η, and goes to 0 with η ∝ 1/steps (`verify remasking`).
"""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError, did_you_mean
from ...process.jumps import Jumps
from ...process.needs import Need, jumps_to_mask
from ..canvas import Canvas
from ..held import held_open
from ..proposal import Filters
from ..remasking import Cap, Confidence, Loop, Move, Remasking, Rescale
from .strategy import Decision, Memory, Observation, Step, Strategy

MODES: dict[str, type[Remasking]] = {"cap": Cap, "rescale": Rescale, "confidence": Confidence, "loop": Loop}
ETA = {"cap": 0.008, "rescale": 0.015, "loop": 0.02}
CLOCK = {"on": 0.55, "off": 0.05, "plateau": 0.9}


@dataclass(frozen=True)
class Remdm(Strategy[Jumps]):
    """Exact in the modes `cap` and `rescale`, heuristic in `loop`, and in `confidence`, which prefers likely tokens.

    `eta` None is the published value of the mode (0.008, 0.015, 0.02); `confidence` has none. `on`, `off` and `plateau`
    belong to `loop`. A taken-back token is pending again. Steps that change nothing cost nothing.
    """

    mode: str = "cap"
    eta: float | None = None
    on: float = CLOCK["on"]
    off: float = CLOCK["off"]
    plateau: float = CLOCK["plateau"]
    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))

    progressive = False
    revocable = True
    needs = (
        Need(
            jumps_to_mask,
            "strategy 'remdm' takes tokens back to the mask, and this model's noise is not the mask alone: it "
            "revises tokens by itself; use strategy 'ancestral'",
        ),
    )

    @property
    def begins_anywhere(self) -> bool:
        return self.mode != "loop"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"there is no mode {self.mode!r} of 'remdm'{did_you_mean(self.mode, MODES)}")
        if self.filters.temperature == 0:
            raise UserError("strategy 'remdm' draws from the model; 'wino' revises texts at temperature 0")
        if self.mode not in ETA and self.eta is not None:
            raise UserError(f"mode {self.mode!r} of 'remdm' remasks as much as it may and has no eta; leave it out")
        if self.mode != "loop" and any(getattr(self, name) != value for name, value in CLOCK.items()):
            raise UserError(f"on, off and plateau describe mode 'loop' of 'remdm', not {self.mode!r}")
        assert self.remasking

    @cached_property
    def remasking(self) -> Remasking:
        """What the mode and its numbers say; UserError for numbers that it cannot have."""
        cls = MODES[self.mode]
        given = {"eta": ETA.get(self.mode) if self.eta is None else self.eta, **{n: getattr(self, n) for n in CLOCK}}
        return cls(**{f.name: given[f.name] for f in fields(cls)})  # type: ignore[arg-type]

    @property
    def exact(self) -> bool:
        return self.remasking.exact

    def noise(self, process: Jumps, canvas: Canvas) -> Tensor:
        assert process.mask is not None
        return torch.full_like(canvas.ids, process.mask)

    def step(self, process: Jumps, canvas: Canvas) -> Step:
        step, way = super().step(process, canvas), self.remasking
        return replace(step, t=way.clock(process.law, step.t), s=way.clock(process.law, step.s))

    def rates(self, process: Jumps, canvas: Canvas, step: Step) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Per position, the probability that a mask becomes a token in this step, and that a token becomes a mask."""
        alpha_t, alpha_s = process.law.schedule.alpha(step.t), process.law.schedule.alpha(step.s)
        alpha_s = torch.where(step.s <= 0, 1.0, alpha_s)
        masks = canvas.window & (canvas.ids == process.mask)
        tokens = canvas.window & ~masks
        move = Move(
            most=torch.where(alpha_t > 0, (1 - alpha_s) / alpha_t, 1.0).clamp(max=1.0),
            alpha=alpha_t,
            forward=((alpha_s - alpha_t) / (1 - alpha_t)).clamp(0.0, 1.0),
            stands=step.t == step.s,
            masks=masks,
            tokens=tokens,
            logp=canvas.commit_logp,
        )
        remask, reveal = self.remasking.rates(move)
        reveal = torch.where((step.s <= 0)[:, None], 1.0, reveal)
        return torch.where(masks, reveal, 0.0), torch.where(tokens, remask, 0.0)

    def _changes(self, process: Jumps, canvas: Canvas, step: Step) -> tuple[Bool[Tensor, "R L"], Bool[Tensor, "R L"]]:
        """What is revealed and what is masked again, which does not depend on the prediction."""
        reveal, remask = self.rates(process, canvas, step)
        u = canvas.draws.stream("branch").uniform()
        return u < reveal, u < remask

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        revealed, remasked = self._changes(process, canvas, step)
        changed = revealed | remasked
        busy = changed.any(-1, keepdim=True) | (step.s <= 0)[:, None]
        return changed | (canvas.window & canvas.pending & (canvas.ids != process.mask) & busy)

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        proposal, mask = self.propose(seen), process.mask
        assert mask is not None
        revealed, remasked = (seen.sites.gather(c) & seen.sites.live for c in self._changes(process, seen.canvas, step))
        ids = torch.where(revealed, proposal.ids, torch.where(remasked, mask, seen.ids))
        pending = ids == mask
        pending |= held_open(seen, pending, step.s > 0)
        logp = torch.where(revealed, proposal.logp, seen.sites.gather(seen.canvas.commit_logp).double())
        return Decision(seen.sites.live, ids, pending, logp)

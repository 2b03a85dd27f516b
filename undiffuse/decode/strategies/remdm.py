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

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError, did_you_mean
from ...process.jumps import Jumps
from ...process.needs import Need, jumps_to_mask
from ..canvas import Canvas
from ..held import held_open
from ..proposal import Filters
from .strategy import Decision, Look, Memory, Step, Strategy

MODES = ("cap", "rescale", "confidence", "loop")
ETA = {"cap": 0.008, "rescale": 0.015, "loop": 0.02}


@dataclass(frozen=True)
class Remdm(Strategy[Jumps]):
    """Exact in the modes `cap` and `rescale`, heuristic in `loop`, and in `confidence`, which prefers likely tokens.

    `eta` None is the published value of the mode (0.008, 0.015, 0.02); `confidence` has none. `on`, `off` and `plateau`
    belong to `loop`. A taken-back token is pending again. Steps that change nothing cost nothing.
    """

    mode: str = "cap"
    eta: float | None = None
    on: float = 0.55
    off: float = 0.05
    plateau: float = 0.9
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
    def exact(self) -> bool:
        return self.mode in ("cap", "rescale")

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"there is no mode {self.mode!r} of 'remdm'{did_you_mean(self.mode, MODES)}")
        if self.filters.temperature == 0:
            raise UserError("strategy 'remdm' draws from the model; 'wino' revises texts at temperature 0")
        if self.mode == "confidence" and self.eta is not None:
            raise UserError("mode 'confidence' of 'remdm' remasks as much as it may and has no eta; leave it out")
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise UserError(f"eta must lie in [0, 1], not {self.eta}; it is the probability of remasking in one step")
        if self.mode != "loop" and (self.on, self.off, self.plateau) != (0.55, 0.05, 0.9):
            raise UserError(f"on, off and plateau describe mode 'loop' of 'remdm', not {self.mode!r}")
        if not 0 <= self.off < self.on < 1:
            raise UserError(f"mode 'loop' of 'remdm' needs 0 ≤ off < on < 1, not off {self.off} and on {self.on}")
        if not 0 < self.plateau < 1:
            raise UserError(f"plateau must lie in (0, 1), not {self.plateau}; 0.9 keeps a tenth of the text masked")

    def noise(self, process: Jumps, canvas: Canvas) -> Tensor:
        assert process.mask is not None
        return torch.full_like(canvas.ids, process.mask)

    def step(self, process: Jumps, canvas: Canvas) -> Step:
        step = super().step(process, canvas)
        if self.mode != "loop":
            return step
        return replace(step, t=self._clock(process, step.t), s=self._clock(process, step.s))

    def _clock(self, process: Jumps, t: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The process's time at each time of the grid, in three straight parts."""
        stand = process.law.schedule.inverse(torch.full_like(t, self.plateau))
        falling = 1 - (1 - t) / (1 - self.on) * (1 - stand)
        ending = t / self.off * stand if self.off else torch.zeros_like(t)
        ending = torch.where(t <= 0, 0.0, ending)
        return torch.where(t > self.on, falling, torch.where((t >= self.off) & (t > 0), stand, ending))

    def rates(self, process: Jumps, canvas: Canvas, step: Step) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Per position, the probability that a mask becomes a token in this step, and that a token becomes a mask."""
        alpha_t, alpha_s = process.law.schedule.alpha(step.t), process.law.schedule.alpha(step.s)
        alpha_s = torch.where(step.s <= 0, 1.0, alpha_s)
        most = torch.where(alpha_t > 0, (1 - alpha_s) / alpha_t, 1.0).clamp(max=1.0)
        forward = ((alpha_s - alpha_t) / (1 - alpha_t)).clamp(0.0, 1.0)
        masks = canvas.window & (canvas.ids == process.vocabulary.mask)
        tokens = canvas.window & ~masks
        if self.mode == "confidence":
            left, taken = masks.sum(-1), tokens.any(-1)
            most = torch.minimum(most, left * (1 - forward)) * taken
            psi = canvas.commit_logp.double().exp().masked_fill(~tokens, torch.inf)
            share = torch.where(taken[:, None], (-psi).softmax(-1), 0.0)
            remask, reveal = most[:, None] * share, (forward + most / left.clamp(min=1))[:, None]
        else:
            sigma = self._sigma(step, most)
            makes_up = torch.where(alpha_t < 1, sigma * alpha_t / (1 - alpha_t), 0.0)
            remask, reveal = sigma[:, None].expand(masks.shape), (forward + makes_up)[:, None]
        reveal = torch.where((step.s <= 0)[:, None], 1.0, reveal)
        return torch.where(masks, reveal, 0.0), torch.where(tokens, remask, 0.0)

    def _sigma(self, step: Step, most: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        eta = ETA[self.mode] if self.eta is None else self.eta
        if self.mode == "rescale":
            return eta * most
        stands = step.t == step.s if self.mode == "loop" else torch.ones_like(step.t, dtype=torch.bool)
        return torch.where(stands, most.clamp(max=eta), 0.0)

    def _changes(self, process: Jumps, canvas: Canvas, step: Step) -> tuple[Bool[Tensor, "R L"], Bool[Tensor, "R L"]]:
        """What is revealed and what is masked again, which does not depend on the prediction."""
        reveal, remask = self.rates(process, canvas, step)
        u = canvas.draws.stream("branch").uniform()
        return u < reveal, u < remask

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        revealed, remasked = self._changes(process, canvas, step)
        changed = revealed | remasked
        busy = changed.any(-1, keepdim=True) | (step.s <= 0)[:, None]
        return changed | (canvas.window & canvas.pending & (canvas.ids != process.vocabulary.mask) & busy)

    def advance(self, process: Jumps, look: Look, step: Step, memory: Memory) -> Decision:
        proposal, mask = self.propose(look), process.vocabulary.mask
        assert mask is not None
        revealed, remasked = (look.sites.gather(c) & look.sites.live for c in self._changes(process, look.canvas, step))
        ids = torch.where(revealed, proposal.ids, torch.where(remasked, mask, look.ids))
        pending = ids == mask
        pending |= held_open(look, pending, step.s > 0)
        logp = torch.where(revealed, proposal.logp, look.sites.gather(look.canvas.commit_logp).double())
        return Decision(look.sites.live, ids, pending, logp)

"""Noise by any transition matrix over a small vocabulary, in steps: D3PM beyond masks and uniform tokens.

Derivation, in the order of the code. N states: the real tokens in the order of their ids, and the mask if there is one.

1  Moves.    B is the matrix of one move, its rows sum to 1. `band` goes to any token at most `width` away in the order
             of ids, `gaussian` falls off with a standard deviation of `width`: symmetric matrices (where a move would
             leave the vocabulary the token stays), so that noise ends uniform (D3PM, Austin et al. 2021).
2  Marginal. Tokens move at random times, of which an interval with α_t/α_s = ρ holds none with probability ρ:
             Q(ρ) = exp(−ln ρ (B − I)), q_t(z | x) = Q(α_t)[x, z], q(z_t | z_s) = Q(α_t/α_s). With B = V diag(λ) V⁻¹
             that is V diag(ρ^{1 − λ}) V⁻¹: no product of T matrices, and no table of them. If B² = B, as for masks and
             uniform tokens, Q(ρ) = ρ I + (1 − ρ) B, the noise of `discrete`; others differ from D3PM's (1 − β) I + β B
             in that a step may hold two moves, which no longer matters as T grows.
3  Bound.    Σ_k KL(q(z_s | z_t, x) ‖ p_θ(z_s | z_t)), p_θ ∝ q(z_t | z_s) q_{θ,s}(z_s) with q_{θ,s} = x_θ Q(α_s),
             x_θ leave-one-out. Both share c(y) = q(z_t | z_s = y):
             KL = Σ_y p(y) ln(q_s(y)/q_{θ,s}(y)) − ln(Σ c q_s) + ln(Σ c q_{θ,s}), p = c q_s / Σ c q_s.

Everything here is float64 of N columns per token: a vocabulary of bytes, not of words.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .prediction import Columns, Prediction
from .process import Process, Stepped
from .schedules.one_minus_t import OneMinusT
from .schedules.schedule import Schedule

Times = Float[Tensor, "..."]
LARGEST = 300
"""States: a byte vocabulary has 257 and some; the work per token grows with the square."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """B = V diag(λ) V⁻¹, as V, V⁻¹ and the exponents 1 − λ; float64."""

    vectors: Float[Tensor, "N N"]
    inverse: Float[Tensor, "N N"]
    exponents: Float[Tensor, " N"]

    def powers(self, rho: Times) -> Float[Tensor, "... N"]:
        """ρ^{1 − λ}."""
        return rho[..., None] ** self.exponents.to(rho.device)

    def carried(self, mass: Float[Tensor, "*lead N"], rho: Times) -> Float[Tensor, "*lead N"]:
        """mass · Q(ρ): what becomes of a distribution."""
        moved = mass @ self.vectors.to(mass.device) * self.powers(rho) @ self.inverse.to(mass.device)
        return moved.clamp(min=0.0)

    def out_of(self, x: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[x, y] for every y."""
        left = self.vectors.to(x.device)[x] * self.powers(rho)
        return (left @ self.inverse.to(x.device)).clamp(min=0.0)

    def into(self, z: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[y, z] for every y."""
        left = self.inverse.to(z.device).T[z] * self.powers(rho)
        return (left @ self.vectors.to(z.device).T).clamp(min=0.0)


@dataclass(frozen=True)
class Matrix(Process):
    """Noise by a matrix of moves between tokens, for vocabularies of bytes (D3PM): band, gaussian, uniform or mask."""

    vocabulary: Vocabulary
    schedule: Schedule = field(default_factory=OneMinusT)
    moves: Literal["band", "gaussian", "uniform", "mask"] = "band"
    width: int = 32
    steps: int = 100

    def __post_init__(self) -> None:
        if self.vocabulary.size > LARGEST:
            raise ValueError(
                f"a matrix of moves is for at most {LARGEST} tokens, and this vocabulary has {self.vocabulary.size}: "
                "use tokenizer.kind=byte, or process 'discrete', which writes no matrix out"
            )
        if self.moves == "mask" and self.vocabulary.mask is None:
            raise ValueError("moves 'mask' need a mask, and the vocabulary has none; use 'uniform'")
        if self.moves == "mask" and self.schedule.ends[1] > 0:
            raise ValueError("moves 'mask' need α(1) = 0, or the prior term is infinite: choose another schedule")
        if self.width < 1 or self.steps < 1:
            raise ValueError(f"width and steps must be at least 1, not {self.width} and {self.steps}")

    # 1 Moves

    @cached_property
    def states(self) -> Int[Tensor, " N"]:
        """Table ids of the states."""
        mask = (self.vocabulary.mask,) if self.moves == "mask" else ()
        return torch.tensor([*self.vocabulary.predictable, *mask])

    @cached_property
    def _number(self) -> Int[Tensor, " V"]:
        """State numbers of table ids; rows that are no state count as 0, and are nowhere noised."""
        return torch.zeros(self.vocabulary.rows, dtype=torch.long).scatter(
            0, self.states, torch.arange(len(self.states))
        )

    @cached_property
    def matrix(self) -> Float[Tensor, "N N"]:
        """B."""
        tokens, place = self.vocabulary.size, torch.arange(len(self.states), dtype=torch.float64)
        if self.moves == "mask":
            return torch.zeros(tokens + 1, tokens + 1, dtype=torch.float64).index_fill(1, torch.tensor([tokens]), 1.0)
        if self.moves == "uniform":
            return torch.full((tokens, tokens), 1 / tokens, dtype=torch.float64)
        far = (place - place[:, None]).abs()
        distances = torch.arange(-tokens, tokens + 1, dtype=torch.float64)
        weight, every = (
            (d <= self.width).double() if self.moves == "band" else (-((d / self.width) ** 2) / 2).exp()
            for d in (far, distances.abs())
        )
        moved = weight / every.sum()
        return moved + torch.diag(1 - moved.sum(-1))

    @cached_property
    def _spectrum(self) -> Spectrum:
        if self.moves == "mask":
            count = len(self.states)
            vectors, inverse = (torch.eye(count, dtype=torch.float64) for _ in range(2))
            vectors[:-1, -1], inverse[:-1, -1] = 1.0, -1.0
            return Spectrum(
                vectors, inverse, torch.ones(count, dtype=torch.float64).index_fill(0, torch.tensor(-1), 0.0)
            )
        values, vectors = torch.linalg.eigh(self.matrix)
        exponents = (1 - values).where(1 - values > 1e-12, 0.0)  # the largest eigenvalue is 1, and 0⁰ = 1
        return Spectrum(vectors, vectors.T.contiguous(), exponents)

    # 2 Marginal

    def numbers(self, ids: Int[Tensor, "*lead"]) -> Int[Tensor, "*lead"]:
        """State numbers of table ids."""
        return self._number.to(ids.device)[ids]

    def alpha(self, t: Times) -> Times:
        """α(t); 1 at t = 0, which is the clean text also where a schedule starts below."""
        t = t.double()
        return self.schedule.alpha(t).where(t > 0, 1.0)

    def marginal(self, x: Int[Tensor, "*lead"], t: Times) -> Float[Tensor, "*lead N"]:
        """q_t(· | x) over the states, of clean tokens by their table ids."""
        return self._spectrum.out_of(self.numbers(x), self.alpha(t))

    def level(self, t: Times) -> Times:
        return self.schedule.one_minus_alpha(t.double())

    def prior(self, draws: Draws) -> State:
        device = draws.key.device
        if self.moves == "mask":
            return State(torch.full(draws.key.shape, self.vocabulary.mask, device=device))
        index = (draws.stream("noise").uniform() * self.vocabulary.size).long()
        return State(self.states.to(device)[index])

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        t = torch.where(editable, (t.double() * self.steps).ceil() / self.steps, 0.0)
        z = x0.clone()
        z[editable] = self._draw(self.marginal(x0[editable], t[editable]), draws.stream("corrupt")[editable])
        return Noised(x0, State(z), t, editable)

    def _draw(self, mass: Float[Tensor, "*lead N"], draws: Draws) -> Int[Tensor, "*lead"]:
        return self.states.to(mass.device)[draw_categorical(mass / mass.sum(-1, keepdim=True), draws)]

    def log_likelihood(self, state: State, t: Times) -> Columns:
        of_states = self._spectrum.into(self.numbers(state.ids), self.alpha(t).expand(state.ids.shape))
        full = torch.full((*state.ids.shape, self.vocabulary.rows), -torch.inf, dtype=torch.float64, device=t.device)
        real = self.vocabulary.size
        full[..., self.states[:real].to(t.device)] = of_states[..., :real].log()
        return Columns(full.to)

    # 3 Bound

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        return noised.editable & self._open(noised.state.ids)

    def _open(self, ids: Int[Tensor, "*lead"]) -> Bool[Tensor, "*lead"]:
        """What a reverse step can change."""
        return ids == self.vocabulary.mask if self.moves == "mask" else torch.ones_like(ids, dtype=torch.bool)

    def _carried(self, log_x: Float[Tensor, "*lead V"], alpha: Times) -> Float[Tensor, "*lead N"]:
        """q_θ = x_θ Q(α)."""
        return self._spectrum.carried(log_x[..., self.states.to(log_x.device)].double().exp(), alpha)

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        k = (noised.t.double() * self.steps).round().clamp(min=1)
        alpha_t, alpha_s = (self.alpha(time / self.steps) for time in (k, k - 1))
        step = self._spectrum.into(self.numbers(noised.state.ids), alpha_t / alpha_s)
        true = self.marginal(noised.x0, (k - 1) / self.steps)
        model = self._carried(prediction.leave_one_out(), alpha_s)
        joint = step * true
        possible = joint > 0
        ratio = true.where(possible, 1.0).log() - model.where(possible, 1.0).log()
        evidence, of_model = joint.sum(-1), (step * model).sum(-1)
        kl = (joint * ratio).sum(-1) / evidence - evidence.log() + of_model.log()
        return torch.where(noised.editable & self._open(noised.state.ids), self.steps * kl, 0.0)

    def prior_kl(self) -> float:
        """The largest over the clean tokens: they differ where noise does not end quite uniform."""
        tokens = self.states[: self.vocabulary.size]
        end = self.marginal(tokens, torch.ones(len(tokens), dtype=torch.float64))
        if self.moves == "mask":
            return 0.0
        return (end * (end * self.vocabulary.size).log()).nan_to_num(0.0).sum(-1).max().clamp(min=0.0).item()

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """Nothing besides the first step, which is the reconstruction."""
        return torch.zeros_like(noised.t)

    def reads(self, state: State, t: Times, s: Times, draws: Draws) -> Bool[Tensor, "*lead"]:
        return self._open(state.ids)

    def step(self, prediction: Prediction, state: State, t: Times, s: Times, draws: Draws) -> Stepped:
        z = state.ids
        alpha_t, alpha_s = (self.alpha(time).expand(z.shape) for time in (t, s))
        mass = self._spectrum.into(self.numbers(z), alpha_t / alpha_s)
        mass = mass * self._carried(prediction.leave_one_out(), alpha_s)
        open_ = self._open(z)
        ids = torch.where(open_, self._draw(mass, draws.stream("token")), z)
        final = ids != self.vocabulary.mask if self.moves == "mask" else (s <= 0).expand(z.shape)
        return Stepped(State(ids), final)

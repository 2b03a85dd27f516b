"""Noise by any transition matrix over a small vocabulary, in steps: D3PM beyond masks and uniform tokens.

Derivation, in the order of the code. N states: the real tokens in the order of their ids, and the mask if there is one.

1  Moves.    B is the matrix of one move, its rows sum to 1. `band` goes to any token at most `width` away in the order
             of ids, `gaussian` falls off with a standard deviation of `width`: symmetric matrices (where a move would
             leave the vocabulary the token stays), so that noise ends uniform (D3PM, Austin et al. 2021). A matrix that
             is `given` may be any, symmetric or not, with states that nothing leaves.
2  Marginal. Tokens move at random times, of which an interval with α_t/α_s = ρ holds none with probability ρ:
             Q(ρ) = exp(−ln ρ (B − I)), q_t(z | x) = Q(α_t)[x, z], q(z_t | z_s) = Q(α_t/α_s). If B is symmetric,
             B = V diag(λ) V⁻¹, that is V diag(ρ^{1 − λ}) V⁻¹, without a table over the steps. Of any other B,
             e^{−σ} Σ σⁿBⁿ/n! with σ = −ln ρ, squared from a small σ: sums of what is not negative, so that nothing
             cancels and what cannot happen has probability 0. Each ρ is computed once and kept.
             If B² = B, as for masks and uniform tokens, Q(ρ) = ρ I + (1 − ρ) B, the noise of `discrete`; others differ
             from D3PM's (1 − β) I + β B in that a step may hold two moves, which no longer matters as T grows.
3  Prior.    The mean of q_1(· | x) over the real tokens x. If noise forgets where it began, that is the distribution
             which B leaves unchanged, and costs nothing; else KL(q_1(· | x) ‖ prior) is what is left to see.
4  Bound.    Σ_k KL(q(z_s | z_t, x) ‖ p_θ(z_s | z_t)), p_θ ∝ q(z_t | z_s) q_{θ,s}(z_s) with q_{θ,s} = x_θ Q(α_s),
             x_θ leave-one-out. Both share c(y) = q(z_t | z_s = y):
             KL = Σ_y p(y) ln(q_s(y)/q_{θ,s}(y)) − ln(Σ c q_s) + ln(Σ c q_{θ,s}), p = c q_s / Σ c q_s.
             A state that no other moves to shows its token: there is nothing to predict at it.

Everything here is float64 of N columns per token: a vocabulary of bytes, not of words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import did_you_mean
from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .moves import Band, Gaussian, Given, Moves, ToMask, Uniform, numbers, written
from .powers import Exponentials, Spectrum
from .prediction import Columns, Prediction
from .process import Process, Stepped
from .schedules.one_minus_t import OneMinusT
from .schedules.schedule import Schedule

Times = Float[Tensor, "..."]
LARGEST = 300
"""States: a byte vocabulary has 257 and some; the work per token grows with the square."""


@dataclass(frozen=True)
class Matrix(Process):
    """Noise by a matrix of moves between tokens, for vocabularies of bytes (D3PM): named moves or `given` ones.

    `matrix` are the moves of `given`: a row per token that one may come from, a column per token that one may go to, in
    the order of ids, and the mask last if it is among them; every row sums to 1. It is kept as rows of numbers with
    commas between them.
    """

    vocabulary: Vocabulary
    schedule: Schedule = field(default_factory=OneMinusT)
    moves: Literal["band", "gaussian", "uniform", "mask", "given"] = "band"
    width: int = 32
    steps: int = 100
    matrix: Sequence[str] | Sequence[Sequence[float]] | None = None

    files = ("matrix",)

    def __post_init__(self) -> None:
        if self.vocabulary.size > LARGEST:
            raise ValueError(
                f"a matrix of moves is for at most {LARGEST} tokens, and this vocabulary has {self.vocabulary.size}: "
                "use tokenizer.kind=byte, or process 'discrete', which writes no matrix out"
            )
        if self.width < 1 or self.steps < 1:
            raise ValueError(f"width and steps must be at least 1, not {self.width} and {self.steps}")
        if self.matrix is None and self.moves == "given":
            raise ValueError("moves 'given' need process.matrix: a file (.csv, .npy, .json), or a list of rows")
        if self.matrix is not None and self.moves != "given":
            raise ValueError(f"there is a matrix, and moves are {self.moves!r}: set process.moves=given")
        if self.matrix is not None:
            object.__setattr__(self, "matrix", written(numbers(self.matrix)))
        self.way.check(self.vocabulary, self.schedule)

    @cached_property
    def way(self) -> Moves:
        """What `moves` and its numbers say."""
        if self.matrix is not None:
            return Given(numbers(self.matrix))
        named = {"band": Band(self.width), "gaussian": Gaussian(self.width), "uniform": Uniform(), "mask": ToMask()}
        if self.moves not in named:
            raise ValueError(f"there are no moves {self.moves!r}{did_you_mean(self.moves, (*named, 'given'))}")
        return named[self.moves]

    # Facts

    @property
    def mask(self) -> int | None:
        """The mask if it is a state that a token can move to."""
        masked = len(self.states) > self.vocabulary.size and bool((self.move[:-1, -1] > 0).any())
        return self.vocabulary.mask if masked else None

    @property
    def shows_tokens(self) -> bool:
        between = self.move[: self.vocabulary.size, : self.vocabulary.size]
        return bool((between - torch.diag(between.diag()) > 0).any())

    @property
    def unread_is_drawn(self) -> bool:
        return int((self._ends.mean(0) > 0).sum()) > 1

    @property
    def starts_clean(self) -> bool:
        return False

    # 1 Moves

    @cached_property
    def states(self) -> Int[Tensor, " N"]:
        """Table ids of the states."""
        mask = (self.vocabulary.mask,) if self.way.masked(self.vocabulary.size) else ()
        return torch.tensor([*self.vocabulary.predictable, *mask])

    @cached_property
    def _number(self) -> Int[Tensor, " V"]:
        """State numbers of table ids; rows that are no state count as 0, and are nowhere noised."""
        return torch.zeros(self.vocabulary.rows, dtype=torch.long).scatter(
            0, self.states, torch.arange(len(self.states))
        )

    @cached_property
    def move(self) -> Float[Tensor, "N N"]:
        """B."""
        return self.way.matrix(self.vocabulary.size)

    @cached_property
    def powers(self) -> Spectrum | Exponentials:
        """Q(ρ) for every ρ."""
        return self.way.powers(self.move)

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
        return self.powers.out_of(self.numbers(x), self.alpha(t))

    def arrived(self, z: Int[Tensor, "*lead"], s: Times, t: Times) -> Float[Tensor, "*lead N"]:
        """q(z_t = z | z_s = y) for every state y, of states by their table ids."""
        rho = self.alpha(t) / self.alpha(s)
        return self.powers.into(self.numbers(z), rho.expand(z.shape))

    def level(self, t: Times) -> Times:
        return self.schedule.one_minus_alpha(t.double())

    def time_at(self, kept: Times) -> Times:
        """Tokens that did not move; more are what they were, where moves lead back."""
        return self.schedule.inverse(kept.double())

    def error_share(self, ids: Int[Tensor, " n"], t: Float[Tensor, ""], draws: Draws) -> Float[Tensor, ""]:
        seen = self.marginal(ids, t.expand(ids.shape))[:, : self.vocabulary.size]
        own = seen.gather(-1, self.numbers(ids)[:, None])[:, 0]
        return (1 - own.sum() / seen.sum()).nan_to_num(0.0)

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        # fixed text is clean, but for masks: they stand for a prompt that is not shown
        hidden = torch.zeros_like(editable) if self.mask is None else x0 == self.mask
        t = torch.where(editable, (t.double() * self.steps).ceil() / self.steps, hidden.double())
        z = x0.clone()
        z[editable] = self._draw(self.marginal(x0[editable], t[editable]), draws.stream("corrupt")[editable])
        return Noised(x0, State(z), t, editable)

    def _draw(self, mass: Float[Tensor, "*lead N"], draws: Draws) -> Int[Tensor, "*lead"]:
        return self.states.to(mass.device)[draw_categorical(mass / mass.sum(-1, keepdim=True), draws)]

    def log_likelihood(self, state: State, t: Times) -> Columns:
        of_states = self.powers.into(self.numbers(state.ids), self.alpha(t).expand(state.ids.shape))
        full = torch.full((*state.ids.shape, self.vocabulary.rows), -torch.inf, dtype=torch.float64, device=t.device)
        real = self.vocabulary.size
        full[..., self.states[:real].to(t.device)] = of_states[..., :real].log()
        return Columns(full.to)

    # 3 Prior

    @cached_property
    def _ends(self) -> Float[Tensor, "K N"]:
        """q_1(· | x) of every real token."""
        tokens = self.states[: self.vocabulary.size]
        return self.marginal(tokens, torch.ones(len(tokens), dtype=torch.float64))

    def prior(self, draws: Draws) -> State:
        mass = self._ends.mean(0).to(draws.key.device).expand(*draws.key.shape, -1)
        return State(self._draw(mass, draws.stream("noise")))

    def prior_cost(self, x0: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        ratio = (self._ends / self._ends.mean(0)).nan_to_num(0.0)  # what no token ends at
        each = torch.special.xlogy(self._ends, ratio).sum(-1).clamp(min=0.0)
        return each.to(x0.device)[self.numbers(x0)]

    def prior_kl(self) -> float:
        return self.prior_cost(self.states[: self.vocabulary.size]).max().item()

    # 4 Bound

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        return noised.editable & self._open(noised.state.ids)

    @cached_property
    def _entered(self) -> Bool[Tensor, " N"]:
        """States that others move to."""
        return (self.move - torch.diag(self.move.diag()) > 0).any(0)

    def _open(self, ids: Int[Tensor, "*lead"]) -> Bool[Tensor, "*lead"]:
        """What a reverse step can change."""
        return self._entered.to(ids.device)[self.numbers(ids)]

    def _carried(self, log_x: Float[Tensor, "*lead V"], t: Times) -> Float[Tensor, "*lead N"]:
        """q_θ,t = x_θ Q(α)."""
        return self.powers.carried(log_x[..., self.states.to(log_x.device)].double().exp(), self.alpha(t))

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        open_ = self.informative(noised)
        k = (noised.t.double() * self.steps).round().clamp(min=1)
        t, s = k / self.steps, (k - 1) / self.steps
        step = self.arrived(noised.state.ids, s, t)
        true = self.marginal(noised.x0, s)
        model = self._carried(prediction.leave_one_out(), s)
        joint = step * true
        possible = joint > 0
        ratio = true.where(possible, 1.0).log() - model.where(possible, 1.0).log()
        evidence, of_model = (mass.sum(-1).where(open_, 1.0) for mass in (joint, step * model))
        kl = (joint * ratio).sum(-1) / evidence - evidence.log() + of_model.log()
        return torch.where(open_, self.steps * kl, 0.0)

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """The first step, for states at its end."""
        return self.bound(prediction, noised) / self.steps

    def reads(self, state: State, t: Times, s: Times, draws: Draws) -> Bool[Tensor, "*lead"]:
        """Everywhere: the prior may draw a state that shows its token, which a step has yet to call final."""
        return torch.ones_like(state.ids, dtype=torch.bool)

    def step(self, prediction: Prediction, state: State, t: Times, s: Times, draws: Draws) -> Stepped:
        z = state.ids
        earlier = self._carried(prediction.leave_one_out(), s.expand(z.shape))
        mass = self.arrived(z, s, t) * earlier
        # a prediction that rules out what could have become z (by a constraint) leaves z aside
        mass = torch.where(mass.sum(-1, keepdim=True) > 0, mass, earlier)
        ids = torch.where(self._open(z), self._draw(mass, draws.stream("token")), z)
        return Stepped(State(ids), ~self._open(ids) | (s <= 0))

"""Dynamic programming over the marginals of a hole: exact for the product of the marginals restricted to a language.

The network gives a distribution p_i over tokens for every undecided position i of a hole of n; decided positions have
their token, and positions that were not read any token. Of all sequences x in the language of the hole's automaton

    q(x) = Π_i p_i(x_i) / Z,    Z = Σ over the language of Π_i p_i(x_i)

is the law, and messages along the automaton give all that one may ask of it in O(n · transitions):

    β_n(s) = 1 for final s,   β_i(s) = Σ_c w_i(c) β_{i+1}(next(s, c)),   w_i(c) = Σ over tokens x of class c of p_i(x)
    best:      the same with max for Σ, then from the start the token with the largest p_i(x) β_{i+1}(next(s, x))
    draw:      from the start, token x with probability p_i(x) β_{i+1}(next(s, x)) / β_i(s)
    marginals: q_i(x) = p_i(x) Σ_s α_i(s) β_{i+1}(next(s, x)) / Z, with α the messages from the other side
    chain:     q(x_i | some x_j, j < i) = Σ_s α_{i+1}(s) β_{i+1}(s) / Σ_s α_i(s) β_i(s), with α over what has these x_j

The best is DINGO's (Suresh et al. 2025, arXiv 2505.23061); the draw is exact too, where committing all tokens of a
greedy or a sampled string one by one would not be. Everything is in nats and float64. A token that filters have
excluded counts as FLOOR nats, so that they never leave a hole without any solution: then as few as possible are taken.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..text.automaton import Automaton
from .proposal import Restricted

FLOOR = -1e4


@dataclass(frozen=True, eq=False)
class Program:
    """The automaton of a hole, as tensors, with the log-weights of tokens at each of its positions."""

    next: Int[Tensor, "S C"]
    final: Bool[Tensor, " S"]
    of_token: Int[Tensor, " V"]
    before: Int[Tensor, " E"]
    kind: Int[Tensor, " E"]
    after: Int[Tensor, " E"]
    tokens: Float[Tensor, "R n V"]

    @classmethod
    def of(
        cls,
        automaton: Automaton,
        log_p: Float[Tensor, "R n V"],
        decided: Int[Tensor, "R n"] | None = None,
        read: Bool[Tensor, "R n"] | None = None,
    ) -> "Program":
        """`decided` tokens are −1 where there is none; undecided positions that are not `read` may hold any token."""
        tokens = log_p.double().clamp(min=FLOOR)
        if read is not None:
            tokens = torch.where(read[..., None], tokens, 0.0)
        if decided is not None:
            held = decided[..., None]
            there = torch.arange(log_p.shape[-1], device=log_p.device) == held
            tokens = torch.where(held >= 0, torch.where(there, 0.0, -torch.inf), tokens)
        tables = (automaton.next, automaton.final, automaton.of_token, *automaton.edges)
        follow, final, of_token, *edges = (torch.as_tensor(table, device=log_p.device) for table in tables)
        before, kind, after = edges
        return cls(follow, final, of_token, before, kind, after, tokens)

    @property
    def size(self) -> int:
        return self.tokens.shape[1]

    def weights(self, best: bool) -> Float[Tensor, "R n C"]:
        """ln of the sum, or the maximum, over the tokens of each class."""
        return _gathered(self.tokens, self.of_token, self.next.shape[1], best)

    def backward(self, weights: Float[Tensor, "R n C"], best: bool) -> list[Float[Tensor, "R S"]]:
        """ln β_i for i = 0, …, n."""
        last = torch.where(self.final, 0.0, -torch.inf).double().expand(len(self.tokens), -1)
        messages = [last]
        for place in reversed(range(self.size)):
            passed = weights[:, place, self.kind] + messages[0][:, self.after]
            messages.insert(0, _gathered(passed, self.before, len(self.final), best))
        return messages

    def log_mass(self) -> Float[Tensor, " R"]:
        """ln Z."""
        return self.backward(self.weights(False), False)[0][:, 0]

    def best(self) -> Int[Tensor, "R n"]:
        """The most probable member of the language; the lowest id among tokens of equal worth."""
        return self._follow(self.backward(self.weights(True), True), None)

    def draw(self, draws: Draws) -> Int[Tensor, "R n"]:
        """A member of the language drawn from q, with one key per position."""
        return self._follow(self.backward(self.weights(False), False), draws)

    def _follow(self, messages: list[Tensor], draws: Draws | None) -> Int[Tensor, "R n"]:
        state = torch.zeros(len(self.tokens), dtype=torch.long, device=self.tokens.device)
        chosen = []
        for place in range(self.size):
            follow = self.next[state]
            worth = messages[place + 1].gather(1, follow.clamp(min=0)).masked_fill(follow < 0, -torch.inf)
            score = self.tokens[:, place] + worth[:, self.of_token]
            if draws is None:
                token = score.argmax(-1)
            else:
                token = draw_categorical((score - score.amax(-1, keepdim=True)).exp(), draws[:, place])
            state = follow.gather(1, self.of_token[token][:, None])[:, 0]
            chosen.append(token)
        return torch.stack(chosen, dim=1)

    def marginals(self) -> Float[Tensor, "R n V"]:
        """ln q_i(x)."""
        weights = self.weights(False)
        behind = self.backward(weights, False)
        first = torch.arange(len(self.final), device=self.tokens.device) == 0
        ahead = torch.where(first, 0.0, -torch.inf).double().expand(len(self.tokens), -1)
        total = behind[0][:, :1]
        rows = []
        for place in range(self.size):
            passed = ahead[:, self.before] + behind[place + 1][:, self.after] - total
            # a class's tokens share what surrounds them
            around = _gathered(passed, self.kind, self.next.shape[1], False)
            rows.append(self.tokens[:, place] + around[:, self.of_token])
            ahead = _gathered(ahead[:, self.before] + weights[:, place, self.kind], self.after, len(self.final), False)
        return torch.stack(rows, dim=1)

    def chain(self, tokens: Int[Tensor, "R n"]) -> Float[Tensor, "R n"]:
        """ln q of each given token (−1: none) given those before it; their sum is ln q of all of them."""
        weights = self.weights(False)
        behind = self.backward(weights, False)
        first = torch.arange(len(self.final), device=self.tokens.device) == 0
        ahead = torch.where(first, 0.0, -torch.inf).double().expand(len(self.tokens), -1)
        classes = torch.arange(self.next.shape[1], device=self.tokens.device)
        mass = behind[0][:, 0]
        rows = []
        for place in range(self.size):
            token = tokens[:, place, None]
            own = self.tokens[:, place].gather(1, token.clamp(min=0))
            alone = torch.where(classes == self.of_token[token.clamp(min=0)], own, -torch.inf)
            weight = torch.where(token < 0, weights[:, place], alone)
            ahead = _gathered(ahead[:, self.before] + weight[:, self.kind], self.after, len(self.final), False)
            rest = (ahead + behind[place + 1]).logsumexp(-1)
            rows.append(torch.where(token[:, 0] < 0, 0.0, rest - mass).clamp(max=0.0))
            mass = rest
        return torch.stack(rows, dim=1)

    def restricted(self, draws: Draws | None) -> Restricted:
        """All tokens together, the best or a draw, with their marginals."""
        return Restricted(self.best() if draws is None else self.draw(draws), self.marginals())


def _gathered(
    values: Float[Tensor, "*lead E"], to: Int[Tensor, " E"], size: int, best: bool
) -> Float[Tensor, "*lead K"]:
    """ln of the sum (or the maximum) of the values that go to each of `size` places."""
    where = to.expand(values.shape)
    empty = values.new_full((*values.shape[:-1], size), -torch.inf)
    top = empty.scatter_reduce(-1, where, values, "amax")
    if best:
        return top
    level = top.masked_fill(top == -torch.inf, 0.0)
    return level + torch.zeros_like(top).scatter_add(-1, where, (values - level.gather(-1, where)).exp()).log()

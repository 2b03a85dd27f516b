"""Which kind of head a network has, from its answers alone: a label that they contradict is refused when a model loads.

No text is needed. Clean tokens are drawn from the network's own answer to noise and corrupted at a few times; at one
position of each row the noisy token is exchanged for another, and the two answers are compared (`process/head_kinds`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..kinds import OBJECTIVES
from ..objective.objective import Objective
from ..predictor import Predictor
from ..process.head_kinds import evidence_share, spread
from ..process.needs import jumps_to_tokens_alone, law_of
from ..process.prediction import Prediction
from ..randomness import Draws, draw_categorical
from ..types import HeadKind, State, Tags

TIMES = (0.3, 0.6, 0.9)
ROWS = 8
"""Per time; in each of them one token is exchanged."""
LENGTH = 16
"""Positions of a row, at most."""
LATE = 0.05
"""λ in nats where noise counts as complete: the logits of a score differ by no more."""

LEARNED = 0.5
"""Spread in nats below which a network has learned too little to be judged; frequencies of tokens give 1.5 to 2."""
NO_SHARE, SHARE = 0.05, (0.25, 1.5)
FLAT, FREE = 0.2, 0.8
"""Parts of the earlier spread: in mere noise a score has less than the one, a prediction more than the other."""


@dataclass(frozen=True)
class Answers:
    """What a network did: the shares of the evidence at `TIMES`, its spread at the first of them, and in mere noise.

    `late` is None where it says nothing of scores: without a time input, and under noise other than uniform.
    """

    shares: tuple[float, ...]
    spread: float
    late: float | None

    @property
    def kind(self) -> HeadKind | None:
        """The kind that answers so; None where they are not clear."""
        if self.spread < LEARNED:
            return None
        if self.late is not None and self.late < FREE * self.spread:
            return "score" if self.late < FLAT * self.spread else None
        if all(abs(share) < NO_SHARE for share in self.shares):
            return "leave_one_out"
        return "posterior" if all(SHARE[0] < share < SHARE[1] for share in self.shares) else None

    def contradict(self, label: HeadKind) -> HeadKind | None:
        """The kind that it is instead of `label`, where that is certain.

        A posterior that has not learned yet to trust the token that it sees answers as a leave-one-out head does: that
        label is never contradicted by such answers. One without a time input cannot be told from a score.
        """
        found = self.kind
        if found == label or (found == "leave_one_out" and label == "posterior"):
            return None
        return None if label == "score" and self.late is None else found

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.2f}" for share in self.shares)
        late = (
            "" if self.late is None else f", and their spread is {self.spread:.2f} nats, {self.late:.2f} in mere noise"
        )
        return (
            f"logits change by {shares} of the evidence of a position's own token when that token is exchanged{late} "
            "(leave_one_out: by 0; posterior: by 1; score: no spread in mere noise)"
        )


@dataclass(frozen=True, eq=False)
class Looks:
    """Short rows of noise, n rows of L positions; in each the token of one position is exchanged."""

    predictor: Predictor
    draws: Draws
    t: Float[Tensor, " n"]

    @classmethod
    def at(cls, predictor: Predictor, device: torch.device | str) -> "Looks":
        traits = predictor.traits
        length = min(LENGTH, traits.context, traits.block_length or LENGTH)
        row, column = torch.arange(ROWS * len(TIMES), device=device), torch.arange(length, device=device)
        t = torch.tensor(TIMES, dtype=torch.float64, device=device).repeat_interleave(ROWS)
        draws = Draws.seeded(0, device).stream("probe").at(row[:, None], column)
        return cls(replace(predictor, head="leave_one_out"), draws, t)  # logits as they are, whatever the label

    @property
    def sites(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        row = torch.arange(len(self.t), device=self.t.device)
        return row, row % self.draws.key.shape[1]

    @property
    def tell(self) -> bool:
        """Whether evidence changes at all when a token is exchanged; the network is not asked."""
        process = self.predictor.process
        real = torch.tensor(process.vocabulary.predictable, device=self.t.device)
        number = torch.arange(len(self.t), device=self.t.device) % len(real)
        rows = self.predictor.excluded.to(self.t.device).expand(len(self.t), -1)

        def blank(token: Int[Tensor, " n"]) -> Prediction:
            return Prediction(rows, "leave_one_out", lambda: process.log_likelihood(self.noisy(token), self.t))

        return not evidence_share(blank(real[number]), blank(real[(number + 1) % len(real)])).isnan()

    def noisy(self, token: Int[Tensor, " n"]) -> State:
        """The state of the sites, in which a token is shown as it is, a vector in noise."""
        draws = self.draws[self.sites].stream("own")
        state = self.predictor.process.corrupt(token, self.t, draws, torch.ones_like(token, dtype=torch.bool)).state
        return replace(state, ids=token)

    def pair(self) -> tuple[Prediction, Prediction, Float[Tensor, " n"]]:
        """At the sites, with one token and with another; they and those around are what the network itself expects.

        The third is the spread of the first over the tokens that are not shown.
        """
        t, every = self.t[:, None].expand(self.draws.key.shape), torch.ones_like(self.draws.key, dtype=torch.bool)
        process = self.predictor.process
        expected = self.look(process.prior(self.draws.stream("prior")), torch.full_like(t, 0.5))
        clean = draw_categorical(expected.logits.softmax(-1), self.draws.stream("clean"))
        around = process.corrupt(clean, t, self.draws, every).state
        own = clean[self.sites]
        first, second = (
            self.look(_put(around, self.sites, self.noisy(token)), t, self.sites) for token in (own, own.roll(1))
        )
        return first, second, spread(first.logits.scatter(-1, own[:, None], -torch.inf))

    def in_mere_noise(self, t: float) -> Float[Tensor, ""]:
        """The mean spread at the sites of pure noise, which the network is told is of time t."""
        times = torch.full(self.draws.key.shape, t, dtype=torch.float64, device=self.t.device)
        noise = self.predictor.process.prior(self.draws.stream("prior"))
        return spread(self.look(noise, times, self.sites).logits).mean()

    def look(self, state: State, t: Float[Tensor, "n L"], sites: tuple[Tensor, Tensor] | None = None) -> Prediction:
        every, column = torch.ones_like(self.draws.key, dtype=torch.bool), torch.arange(t.shape[1], device=t.device)
        hidden = self.predictor.run(self.predictor.rows(state, t, Tags(column.expand(t.shape)), every))
        return (
            self.predictor.read(hidden, state, t)
            if sites is None
            else (self.predictor.read(hidden[sites], state[sites], t[sites]))
        )


@torch.no_grad()
def probe(predictor: Predictor, device: torch.device | str = "cpu") -> Answers | None:
    """Four passes over short rows; none, and None, where nothing tells the kinds apart: masks, and one-way networks."""
    looks = Looks.at(predictor, device)
    if predictor.traits.one_sided or not looks.tell:
        return None
    one, other, spreads = looks.pair()
    if one.vectors is not None:  # embeddings, of which logits are only a reading
        return None
    shares = tuple(evidence_share(_rows(one, k), _rows(other, k)).item() for k in range(len(TIMES)))
    late = late_time(predictor)
    early = spreads[:ROWS].mean().item()
    return Answers(shares, early, None if late is None else looks.in_mere_noise(late).item())


def check_head(
    predictor: Predictor, manifest: Mapping[str, Any], place: Path, device: torch.device | str = "cpu"
) -> None:
    """UserError where the kind of head that the manifest at `place` claims is contradicted.

    By the objective of the run that it records, or where it records none by the answers of the network.
    """
    label, trained = predictor.head, recorded(manifest)
    answers = probe(predictor, device) if trained is None else None
    found = trained if answers is None else answers.contradict(label)
    if found is None or found == label:
        return
    reason = f"the network answers as a {found} head: {answers}" if answers else f"its run trained a {found} head"
    raise UserError(
        f'{place} says "head": "{label}", but {reason}. Scores and samples would be wrong: set "head": "{found}" '
        "there, or load(directory, check_head=False)"
    )


def recorded(manifest: Mapping[str, Any]) -> HeadKind | None:
    """The kind of head that a run's objective makes, where the manifest is of a run and this version knows it."""
    training = manifest.get("training")
    spec = training.get("objective") if isinstance(training, Mapping) else None
    if not isinstance(spec, Mapping):
        return None
    try:
        objective: Objective = OBJECTIVES.build({k: v for k, v in spec.items() if not isinstance(v, Mapping)})
    except UserError:
        return None
    return objective.head


def late_time(predictor: Predictor) -> float | None:
    """The time at which λ is `LATE`; None where the network is not told it, and under noise other than uniform."""
    process = predictor.process
    if not (jumps_to_tokens_alone(process) and "level" in predictor.traits.takes):
        return None
    odds = torch.tensor(LATE, dtype=torch.float64).expm1() / process.vocabulary.size  # α/(1 − α)
    alpha = odds / (1 + odds)
    return process.time_at(alpha).item() if alpha > law_of(process).schedule.ends[1] else None


def _rows(prediction: Prediction, time: int) -> Prediction:
    """The sites of one time."""
    place = slice(time * ROWS, (time + 1) * ROWS)
    return Prediction(prediction.logits[place], prediction.kind, lambda: prediction.evidence()[place])


def _put(state: State, sites: tuple[Tensor, Tensor], other: State) -> State:
    """The state with others at some positions."""
    latent = state.latent
    if latent is not None:
        assert other.latent is not None
        latent = latent.index_put(sites, other.latent)
    return State(state.ids.index_put(sites, other.ids), latent)

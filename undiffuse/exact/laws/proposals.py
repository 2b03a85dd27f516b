"""Proposals: temperature, top-k and top-p against plain Python."""

import math

import torch

from ...decode.proposal import Filters, propose
from ...process.prediction import Prediction, Spike
from ...randomness import Draws
from ..law import Law

FILTERS = {
    "neutral": Filters(1.0),
    "temperature .5": Filters(0.5),
    "temperature 2, filtered": Filters(2.0, confidence="filtered"),
    "top-k 3": Filters(1.0, top_k=3),
    "top-p .6": Filters(1.0, top_p=0.6),
    "temperature .7, top-k 4, top-p .9, filtered": Filters(0.7, top_k=4, top_p=0.9, confidence="filtered"),
}


def filter_error(filters: Filters) -> float:
    """Tokens, confidence and log-probability of proposals against plain Python; ties go to the lowest id."""
    size, rows = 7, 400
    draws = Draws.seeded(21).at(torch.arange(rows)[None])
    logits = (draws.along(size).integers(5)).double()  # many ties
    proposal = propose(Prediction(logits, "posterior", lambda: Spike(draws.key, draws.key)), filters, draws)
    u, worst = draws.stream("token").uniform(), 0.0
    for row in range(rows):
        raw = _normalized({v: math.exp(logits[0, row, v].item()) for v in range(size)})
        kept = _filtered(raw, filters)
        cumulated = [(v, sum(kept.get(w, 0.0) for w in range(v + 1))) for v in sorted(kept)]
        token = next(v for v, mass in cumulated if u[0, row] < mass)
        confidence = (kept if filters.confidence == "filtered" else raw)[token]
        wrong = abs(proposal.confidence[0, row].item() - confidence) + abs(
            proposal.logp[0, row].item() - math.log(raw[token])
        )
        worst = max(worst, wrong, float(proposal.ids[0, row] != token))
    return worst


def _normalized(mass: dict[int, float]) -> dict[int, float]:
    total = sum(mass.values())
    return {v: m / total for v, m in mass.items()}


def _filtered(raw: dict[int, float], filters: Filters) -> dict[int, float]:
    """Temperature, then the k most probable, then the fewest that reach top-p; the one that crosses it stays."""
    heated = _normalized({v: p ** (1 / filters.temperature) for v, p in raw.items()})
    first = sorted(heated, key=lambda v: (-heated[v], v))[: filters.top_k]
    nucleus, mass = [], 0.0
    chosen = _normalized({v: heated[v] for v in first})
    for v in first:
        if mass >= filters.top_p:
            break
        nucleus.append(v)
        mass += chosen[v]
    return _normalized({v: chosen[v] for v in nucleus})


LAWS = (Law("decode/filters", lambda: FILTERS, filter_error, 1e-12),)

"""A network that says the same about a position whatever else is decided: probabilities chosen by a test."""

import torch
from toy import VOCABULARY, Echo

from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating

TOKENS = list(VOCABULARY.predictable)


class Table(Echo):
    """`logits` (L, 11) by position."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def trunk(self, rows, kv=None):
        self.calls += 1
        return self.logits[rows.tags.position]

    def head(self, hidden):
        return hidden


def table(probabilities) -> Predictor:
    """Rows of probabilities of the first predictable tokens; the mask has the largest logit of all."""
    p = torch.as_tensor(probabilities, dtype=torch.float64)
    logits = torch.full((len(p), VOCABULARY.rows), -torch.inf, dtype=torch.float64)
    logits[:, TOKENS[: p.shape[1]]] = p.log()
    logits[:, VOCABULARY.mask] = 50.0
    process = Interpolating(VOCABULARY, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    return Predictor(Table(logits), process, "leave_one_out")


def confident(*best: float) -> Predictor:
    """Positions whose best token has these probabilities; the rest is spread over the other eight."""
    rest = len(TOKENS) - 1
    return table([[p, *[(1 - p) / rest] * rest] for p in best])

"""How much goes into a tick: rows of the network a second are measured on this machine, and so is what a pass costs.

A pass over r rows takes about a + b·r seconds. Large ticks cost each row least and let everyone wait longest; the
budget is what fits into `TICK` seconds, and at least the rows of one text of the model's context. It matters where more
is asked for than fits; a tick takes no longer than its work (docs/log.md).
"""

import time

import torch

from ..language_model import LanguageModel

TICK = 0.2
"""Seconds of a tick, about."""
MOST = 1 << 14


def measured_rows(model: LanguageModel, tick: float = TICK) -> int:
    """Rows of the network that fit into a tick."""
    context = min(model.context, 512)
    token = model.predictor.process.vocabulary.predictable[0]
    rows, best = context, 0
    while rows <= MOST:
        ids = torch.full((rows // context, context), token)
        model.logits(ids)
        began = time.perf_counter()
        model.logits(ids)
        if time.perf_counter() - began > tick:
            break
        best, rows = rows, rows * 2
    return max(best, context)


def memory_of(model: LanguageModel, rows: int, positions: int) -> int:
    """Bytes that so many rows of a text need while they run, at most: kept keys and values, and predictions."""
    predictor = model.predictor
    keeps = "keys" in predictor.traits.keeps
    kept = _bytes(list(vars(predictor.denoiser.memory(1, 1)).values())) if keeps else 0
    return rows * positions * (kept + 8 * predictor.traits.vocab_rows)


def _bytes(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0

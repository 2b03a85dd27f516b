"""What a model accepts, found out by asking: every strategy and every cache is checked as a request would be."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ...decode.canvas import start
from ...decode.decoder import Decoder
from ...errors import UserError
from ...kinds import CACHES, STRATEGIES
from ...language_model import LanguageModel
from ...language_model.check import refuse_what_cannot_judge
from ...language_model.fill import refuse_blocks
from ...language_model.log_probabilities import DEFINITIONS, refuse
from ...language_model.settings import PRESETS


def capabilities_of(name: str, model: LanguageModel) -> dict[str, Any]:
    """Strategies, caches, presets, limits, what its network sees, and the verbs that it refuses, with the reason."""
    traits, decoding = model.predictor.traits, model.trained.decoding
    strategies = [kind for kind in STRATEGIES.kinds if _accepted(model, kind, "none")]
    usual = strategies[0] if strategies else "left-to-right"
    asked: dict[str, Callable[[], object]] = {
        "fill": lambda: refuse_blocks(model.trained),
        "check": lambda: refuse_what_cannot_judge(model.trained),
        "chat": lambda: model.trained.voice,
    }
    refused = {verb: why for verb, ask in asked.items() if (why := _reason(ask)) is not None}
    return {
        "id": name,
        "context": model.context,
        "vocabulary": traits.vocab_rows,
        "kind": "causal" if traits.one_sided else "block diffusion" if traits.block_length else "diffusion",
        "block_length": traits.block_length,
        "sees_both_sides": traits.both_sides,
        "fills": "ranked" if traits.one_sided else "decoded" if traits.both_sides else None,
        "likelihood": "exact" if traits.one_sided else "bound",
        "strategies": strategies,
        "presets": {kind: preset.summary for kind, preset in PRESETS.items() if preset.kind in strategies},
        "caches": [kind for kind in CACHES.kinds if _accepted(model, usual, kind)],
        "default": None if decoding is None else {"strategy": decoding.strategy, **decoding.settings},
        "chat": "chat" not in refused,
        "refused": refused,
        "stream_modes": ["committed", "patches"],
        "logprobs": [kind for kind in DEFINITIONS if _reason(partial(refuse, model.predictor, kind)) is None],
        "response_formats": ["text", "json_schema"],
        "device": str(model.device),
    }


def _reason(ask: Callable[[], object]) -> str | None:
    """Why a model refuses a verb; None where it does not."""
    try:
        ask()
    except UserError as error:
        return str(error)
    return None


def _accepted(model: LanguageModel, strategy: str, cache: str) -> bool:
    span = model.predictor.traits.block_length
    length = min(model.context, 2 * (span or 2))
    token = model.predictor.process.vocabulary.predictable[0]
    canvas = start(torch.full((length,), token), torch.arange(length) >= 1, key=0, span=span)
    try:
        Decoder(STRATEGIES.load(strategy)(), CACHES.load(cache)()).check(model.predictor, canvas)
    except UserError:
        return False
    return True

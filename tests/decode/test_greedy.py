"""Temperature 0 under every noise: it works, or is refused with one recommendation that is not refused itself."""

import re
from dataclasses import replace

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.decoder import Decoder
from undiffuse.errors import UserError
from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import bayes_predictor
from undiffuse.exact.world import small_worlds
from undiffuse.language_model.defaults import default_strategy
from undiffuse.language_model.settings import Settings
from undiffuse.predictor import Predictor

WORLD = small_worlds()["K=3 L=2"]
CANVAS = start(WORLD.rows[:1].repeat(2), torch.ones(2).bool(), key=0)


def refusal(predictor: Predictor, kind: str, temperature: float) -> str | None:
    try:
        strategy = Settings.of(kind, temperature=temperature).strategy
        Decoder(strategy).check(predictor, CANVAS)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", golden(WORLD))
@pytest.mark.parametrize("head", ["prediction", "score"])
def test_a_recommendation_is_not_refused(name, head):
    predictor = bayes_predictor(WORLD, golden(WORLD)[name])
    if head == "score":
        if predictor.process.moves_vectors:
            return
        predictor = replace(predictor, head="score")
    default = default_strategy(predictor, drawing=False)
    for kind in {default, "confidence", "ancestral", "greedy-tail", "psi", "euler", "tweedie", "topk-margin"}:
        message = refusal(predictor, kind, 0.0)
        if message is None:
            continue
        recommended = message.rsplit("use ", 1)[1]
        named = re.findall("'([a-z-]+)'", recommended) or [kind]
        again = [refusal(predictor, other, 0.1) for other in named]
        if "strategy" not in recommended and "temperature 0.1" in recommended:
            # the strategy may not suit the noise either, which then names one that does
            again = [
                None if other is None else refusal(predictor, re.findall("'([a-z-]+)'", other)[-1], 0.1)
                for other in again
            ]
        assert again == [None] * len(again), (kind, message)

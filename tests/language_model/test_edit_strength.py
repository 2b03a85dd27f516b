"""Texts edited from what they are: how much stays, and that all of it at strength 1 is `fill`."""

import math

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor

LINE = "The quick brown fox jumps over the lazy dog."
SPANS = [(26, 34), (4, 15)]  # "over the" and "quick brown"


def tokens(model: LanguageModel, text: str) -> list[int]:
    return model.tokenizer.continuing.context(text)


@pytest.mark.parametrize("kind", ["masked", "uniform"])
def test_at_full_strength_it_is_fill(kind, model, uniform):
    edited = model if kind == "masked" else uniform
    first, second = (len(tokens(edited, text)) for text in (" quick brown", " over the"))
    found = edited.edit(LINE, SPANS, seed=3, samples=2)
    filled = edited.fill(f"The [MASK:{first}] fox jumps [MASK:{second}] lazy dog.", seed=3, samples=2, top=1)
    assert [each.text for each in found] == [each.text for each in filled]
    assert [[hole.probability for hole in each.holes] for each in found] == [
        [hole.probability for hole in each.holes] for each in filled
    ]


@pytest.mark.parametrize("strength", [0.01, 0.3, 0.5, 0.99])
def test_masked_noise_hides_that_share_of_the_tokens(model, strength):
    written = []
    before = tokens(model, " quick brown") + tokens(model, " over the")

    def seen(event) -> None:
        written.append(int(event.pending.sum()))

    for seed in range(3):
        written.clear()
        (found,) = model.edit(LINE, SPANS, strength=strength, seed=seed, strategy="confidence", on_event=seen)
        assert written[0] == math.ceil(strength * len(before))
        assert written[-1] == 0
        assert found.nfe == written[0]
        assert found.text.startswith("The ")
        assert found.text.endswith(" lazy dog.")
        assert found.holes[0].text in found.text
    again = model.edit(LINE, SPANS, strength=strength, seed=2, strategy="confidence")
    assert again == [found]


def test_what_is_kept_differs_with_the_seed(model):
    texts = {model.edit(LINE, [(4, 34)], strength=0.4, seed=seed)[0].text for seed in range(8)}
    assert len(texts) > 4


def test_noise_that_shows_tokens_begins_at_that_time(uniform):
    """At little noise nearly every token is at first the one that stood there."""
    first = []

    def share(strength: float) -> float:
        first.clear()
        uniform.edit(
            LINE,
            [(4, 34)],
            strength=strength,
            seed=1,
            samples=16,
            on_event=lambda e: first.append(e.ids) if not first else None,
        )
        inside = tokens(uniform, " quick brown fox jumps over the")
        begin = len(uniform.tokenizer.context("The"))
        return (first[0][:, begin : begin + len(inside)] == torch.tensor(inside)).double().mean().item()

    at = [share(strength) for strength in (0.05, 0.5, 0.95)]
    assert at[0] > 0.85 > at[1] > 0.3 > at[2]


@pytest.mark.parametrize(
    ("spans", "strength", "said"),
    [
        ([(4, 9), (8, 12)], 0.5, "overlap no other"),
        ([(40, 99)], 0.5, "within the text of 44 characters"),
        ([], 0.5, "no span to edit"),
        ([(4, 9)], 0.0, "strength must lie between 0"),
        ([(4, 9)], 1.5, "strength must lie between 0"),
    ],
)
def test_what_cannot_be_edited(model, spans, strength, said):
    with pytest.raises(UserError, match=said):
        model.edit(LINE, spans, strength=strength)


def test_models_that_do_not_edit(model):
    config = TransformerConfig(
        rows=model.tokenizer.vocabulary.rows, width=16, depth=1, heads=2, context=32, causal=True
    )
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, model.tokenizer.vocabulary
    )
    predictor = Predictor(Transformer(config).requires_grad_(False), process, "leave_one_out")
    with pytest.raises(UserError, match="ranks whole fillings"):
        LanguageModel(predictor, model.tokenizer, {}).edit(LINE, SPANS, strength=0.5)

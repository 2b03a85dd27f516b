"""Many texts at once: a list gives what each of its texts gives alone."""

from dataclasses import asdict

import pytest

from undiffuse.errors import UserError
from undiffuse.language_model.many import TOKENS_AT_ONCE, batches
from undiffuse.predictor import Predictor

TEXTS = [
    "The quick [MASK:3] jumps over the [MASK] dog.",
    "[MASK] fox",
    "The lazy ____ and the {what:choice(dog|quick brown fox)} jump; {ok:yesno}, naïve [MASK:2] 漢字 and emoji too.",
    "The quick [MASK:1-3] jumps.",
    "[MASK] fox",
]
PROMPTS = ["The quick brown fox jumps over the lazy dog. " * 4, "", "The ", "Größe, naïve — 漢字", "The "]
CHECKED = ["The quick brown fix jumps over the lazy dog.", "dog", "The quick brown fox jumps ouer " * 9, "lazy lazy"]
CLOSE = 1e-4
"""Relative: a batch of another shape is summed in another order, in float32."""


def same(one: object, other: object) -> bool:
    """Equal, numbers up to the order of sums."""
    if isinstance(one, float):
        return one == pytest.approx(other, rel=CLOSE, abs=CLOSE)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("options", [{}, {"strategy": "ancestral", "temperature": 1.0}, {"max_nfe": 2}])
def test_a_list_is_filled_as_each_of_its_texts(long_model, samples, options):
    how = {"seed": 7, "samples": samples, **options}
    alone = [long_model.fill(text, **how) for text in TEXTS]
    together = long_model.fill(TEXTS, **how)
    assert [[filled.text for filled in each] for each in together] == [[f.text for f in each] for each in alone]
    assert same([[asdict(f) for f in each] for each in together], [[asdict(f) for f in each] for each in alone])


def test_noise_that_shows_tokens_is_filled_alike(uniform):
    texts = [text for text in TEXTS if len(text) < 50]
    alone = [uniform.fill(text, seed=3) for text in texts]
    assert same([asdict(each[0]) for each in uniform.fill(texts, seed=3)], [asdict(each[0]) for each in alone])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"samples": 2, "length": 20},
        {"strategy": "confidence", "block_length": 4, "cache": "dual"},
        {"length": 20, "max_nfe": 9},
    ],
)
def test_a_list_is_continued_as_each_of_its_prompts(model, options):
    """Of a context of 32: some in one part, others in several, with a share of the evaluations each."""
    alone = [model.generate(prompt, seed=5, **options) for prompt in PROMPTS]
    together = model.generate(PROMPTS, seed=5, **options)
    assert together == alone
    if "length" in options:
        assert {bool(each[0].note) for each in together} == {True, False}


@pytest.mark.slow
def test_a_list_is_checked_as_each_of_its_texts(model, uniform):
    for each in (model, uniform):
        alone = [each.check(text, top=2, threshold=0.0) for text in CHECKED]
        together = each.check(CHECKED, top=2, threshold=0.0)
        assert same([found.json() for found in together], [found.json() for found in alone])


def test_an_empty_list_gives_an_empty_list(model):
    assert model.fill([]) == model.generate([]) == model.check([]) == []
    assert model.fill(("[MASK] fox",))[0] == model.fill("[MASK] fox")


def test_an_error_names_the_text(model):
    with pytest.raises(UserError, match=r"^text 2 of 3: there is no hole to fill"):
        model.fill(["[MASK] fox", "no blank", "[MASK]"])
    with pytest.raises(UserError, match=r"^text 1 of 2: "):
        model.fill(["[MASK:0]", "[MASK]"])
    with pytest.raises(UserError, match=r"^text 3 of 3: request 1 of 2 has no fixed text"):
        model.generate(["The ", "dog", ""], guidance=2.0, samples=2, length=4)
    with pytest.raises(UserError, match=r"^text 2 of 2: there is nothing to check"):
        model.check(["The dog", ""])
    with pytest.raises(UserError, match=r"^text 2 of 2: a text must be a string, not 3$"):
        model.fill(["[MASK]", 3])
    with pytest.raises(UserError, match=r"^there is nothing to check"):
        model.check([""])


def test_batches_are_of_one_length_and_bounded():
    lengths = [100, 4000, 30, 100, 2000, 99, 5000, 30]
    found = batches(lengths, [1] * 8)
    assert sorted(number for together in found for number in together) == list(range(8))
    assert found == [[6], [1], [4, 0], [3, 5, 2, 7]]
    for together in found[1:]:
        assert len(together) * max(lengths[number] for number in together) <= TOKENS_AT_ONCE
    assert batches([10, 10, 10], [200, 200, 20]) == [[0, 1], [2]]
    assert batches([], []) == []


def test_texts_of_one_length_go_through_the_network_together(model, monkeypatch):
    """One evaluation of a batch in place of one per text."""
    calls = []
    run = Predictor.run
    monkeypatch.setattr(Predictor, "run", lambda self, *given: (calls.append(1), run(self, *given))[1])
    model.fill(["[MASK] fox"] * 20, top=1)
    assert len(calls) == 1
    model.generate(["The "] * 20, length=4, strategy="confidence")
    assert len(calls) == 1 + 4
    model.check(["The quick brown fox"] * 20, threshold=99.0)
    assert len(calls) == 1 + 4 + 1

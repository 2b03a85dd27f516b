"""Where noise is on vectors the probability of a token is what all others give it, by enumeration, at any steps."""

import math

import pytest
import torch
from letters import Letters, laws

from undiffuse.exact.vectors import exact_vectors
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.process.gammas.linear import Linear
from undiffuse.text.automaton import Automaton

WORLD = World(3, 4, torch.rand(81, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).square())
LAW = laws(WORLD)


def shown(hole) -> dict[str, float]:
    return {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}


def given(pattern: str) -> dict[str, float]:
    """p(token at the `?` | all others)."""
    mass = {v: LAW[pattern.replace("?", v)] for v in "abc"}
    return {v: p / sum(mass.values()) for v, p in mass.items()}


@pytest.mark.parametrize("head", ["leave_one_out", "posterior"])
@pytest.mark.parametrize("steps", [1, 12])
def test_a_token_has_the_probability_that_all_others_give_it(head, steps, monkeypatch):
    model = LanguageModel(exact_vectors(WORLD, Linear(), head), Letters(WORLD), {})
    for filled in model.fill("a[MASK]b[MASK]", steps=steps, samples=4, top=3):
        one, two = (hole.text for hole in filled.holes)
        assert shown(filled.holes[0]) == pytest.approx(given(f"a?b{two}"), abs=1e-5)
        assert shown(filled.holes[1]) == pytest.approx(given(f"a{one}b?"), abs=1e-5)
    for filled in model.fill("a[MASK:2]b", steps=steps, samples=4, top=3):
        one, two = filled.holes[0].text
        left, right = given(f"a?{two}b"), given(f"a{one}?b")
        assert filled.holes[0].probability == pytest.approx(left[one] * right[two], abs=1e-5)
    (filled,) = model.fill("a{x:/(ab|ba|cc)/}b", steps=steps, top=3)
    mass = {text: LAW[f"a{text}b"] for text in ("ab", "ba", "cc")}
    assert shown(filled.holes[0]) == pytest.approx({text: mass[text] / sum(mass.values()) for text in mass}, abs=1e-5)
    monkeypatch.setattr(Automaton, "members", property(lambda self: None))
    for filled in model.fill("a{x:/(ab|ba|cc)/}b", steps=steps, samples=4, top=3):
        one, two = filled.holes[0].text
        each = {text: given(f"a?{two}b")[text[0]] * given(f"a{one}?b")[text[1]] for text in ("ab", "ba", "cc")}
        found = shown(filled.holes[0])
        assert found == pytest.approx({text: each[text] / math.fsum(each.values()) for text in each}, abs=1e-5)

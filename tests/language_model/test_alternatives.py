"""Alternatives on a world small enough to enumerate: p(other | what was decided before), whatever fills."""

import math

import pytest
import torch
from letters import exact_model, laws

from undiffuse.exact.world import World
from undiffuse.text.automaton import Automaton

WORLD = World(3, 4, torch.rand(81, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).square())
LAW = laws(WORLD)
MASKED = exact_model(WORLD)
KINDS = ("ancestral", "confidence", "random", "first-hitting", "greedy-tail", "remdm", "predictor-corrector", "wino")
REVOCABLE = ("remdm", "predictor-corrector", "wino")


@pytest.fixture
def large(monkeypatch):
    """Types as large ones are treated: none is written out."""
    monkeypatch.setattr(Automaton, "members", property(lambda self: None))


def given(pattern: str, among: str = "abc") -> dict[str, float]:
    """p(token at the `?` | the letters, it is one of these), summed over what is `_`."""
    place = pattern.index("?")
    fits = {t: p for t, p in LAW.items() if all(a in ("?", "_", b) for a, b in zip(pattern, t, strict=True))}
    mass = {v: sum(p for text, p in fits.items() if text[place] == v) for v in among}
    return {v: p / sum(mass.values()) for v, p in mass.items()}


def shown(hole) -> dict[str, float]:
    return {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}


def close(found: dict[str, float], known: dict[str, float]) -> bool:
    return found.keys() == known.keys() and all(math.isclose(found[v], known[v], abs_tol=1e-5) for v in known)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [None, 1, 2])
def test_they_are_read_at_the_step_of_their_own_request(kind, limit):
    """Of two holes one was decided before the other, or both together, differently from sample to sample."""
    more = {} if limit is None else {"max_nfe": limit, "steps": 8}
    for filled in MASKED.fill("a[MASK][MASK]c", strategy=kind, samples=12, top=3, **more):
        one, two = map(shown, filled.holes)
        first, second = filled.holes[0].text, filled.holes[1].text
        alone = close(one, given("a?_c")), close(two, given("a_?c"))
        after = close(one, given(f"a?{second}c")), close(two, given(f"a{first}?c"))
        assert alone[0] or after[0]
        assert alone[1] or after[1]
        assert alone[0] or alone[1] or kind in REVOCABLE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [2, 16])
@pytest.mark.usefixtures("large")
def test_of_two_that_a_type_holds_the_other_is_always_named(kind, steps):
    """Also where the first token was taken back, and only one that fits the second can stand there again."""
    one = given("a?bc", "ab")
    for filled in MASKED.fill("a{x:/[ab]/}bc", strategy=kind, samples=16, top=3, steps=steps):
        assert close(shown(filled.holes[0]), one)
    left, right = given("a?_c"), given("a_?c")
    each = {"ab": left["a"] * right["b"], "ba": left["b"] * right["a"]}
    for filled in MASKED.fill("a{x:/(ab|ba)/}c", strategy=kind, samples=16, top=3, steps=steps):
        (other,) = filled.holes[0].alternatives
        assert {filled.holes[0].text, other.text} == each.keys()
        assert other.probability == pytest.approx(each[other.text] / sum(each.values()), abs=1e-5)
        if kind not in REVOCABLE:  # whatever the strategy has read of the hole
            assert filled.holes[0].probability == pytest.approx(1 - other.probability, abs=1e-5)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("kind", ["ancestral", "flow-jump"])
def test_what_is_decided_at_once_is_exchanged_together(kind):
    """Under noise without a mask no single token leads from one of two texts to the other."""
    left, right = given("a?_c"), given("a_?c")
    each = {"ab": left["a"] * right["b"], "ba": left["b"] * right["a"], "cc": left["c"] * right["c"]}
    for filled in exact_model(WORLD, "uniform").fill("a{x:/(ab|ba|cc)/}c", strategy=kind, samples=8, top=3, steps=1):
        found = shown(filled.holes[0])
        assert found == pytest.approx({text: p / sum(each.values()) for text, p in each.items()}, abs=1e-5)


def test_of_several_tokens_they_have_the_probability_of_all_of_them():
    """p(both | fixed, what was decided before), whatever becomes of the other hole."""
    seen = set()
    for filled in MASKED.fill("a[MASK:2][MASK]", strategy="ancestral", samples=24, top=3):
        for other in filled.holes[0].alternatives:
            fits = {last: LAW["a" + other.text + last] for last in "abc"}
            third = filled.holes[1].text
            before = sum(p for text, p in LAW.items() if text[0] == "a" and text[3] == third)
            alone, after = (
                sum(fits.values()) / sum(p for text, p in LAW.items() if text[0] == "a"),
                fits[third] / before,
            )
            near = [math.isclose(other.probability, p, abs_tol=1e-6) for p in (alone, after)]
            assert any(near)
            seen |= {near.index(True)}
    assert seen == {0, 1}


def test_what_is_kept_open_keeps_its_probability_when_evaluations_end():
    """`remdm` writes the token and keeps it open; the last evaluation, which sees it, completes the text."""
    filled = MASKED.fill("a[MASK]bc", strategy="remdm", samples=16, top=3, steps=8, max_nfe=2)
    assert max(each.nfe for each in filled) == 2
    assert all(close(shown(each.holes[0]), given("a?bc")) for each in filled)


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("noise", ["mask", "uniform", "mix k=.3"])
def test_they_are_guided_as_the_answer_is(scale, noise):
    """p ∝ p(token | fixed)^γ · p(token)^(1−γ), the second with the fixed text hidden; a choice is scored alike."""
    among, model = "abc", exact_model(WORLD, noise)

    def guided(conditional: str, unconditional: str) -> dict[str, float]:
        p, q = given(conditional, among), given(unconditional, among)
        weight = {v: p[v] ** scale * q[v] ** (1 - scale) for v in among}
        return {v: w / sum(weight.values()) for v, w in weight.items()}

    how = {"strategy": "ancestral", "guidance": scale, "steps": 1, "top": 3}
    for source in ("a[MASK]bc", "a{x:choice(a|b|c)}bc"):
        assert close(shown(model.fill(source, **how)[0].holes[0]), guided("a?bc", "_?__"))
    if noise == "mask":
        for filled in model.fill("a[MASK:2]c", **{**how, "steps": 16, "samples": 8}):
            for one, two in (other.text for other in filled.holes[0].alternatives):
                orders = (
                    guided("a?_c", "_?__")[one] * guided(f"a{one}?c", f"_{one}?_")[two],
                    guided("a_?c", "__?_")[two] * guided(f"a?{two}c", f"_?{two}_")[one],
                )
                assert min(abs(shown(filled.holes[0])[one + two] - p) for p in orders) < 1e-5


@pytest.mark.usefixtures("large")
def test_an_exchanged_token_has_the_probability_of_all_of_them():
    """Under noise without a mask a hole is decided at once: Π p_i / Σ over the type of it, also of the alternatives."""
    left, right = given("a?_c"), given("a_?c")
    each = {text: left[text[0]] * right[text[1]] for text in ("aa", "ab", "bb")}
    model, texts = exact_model(WORLD, "uniform"), set()
    for filled in model.fill("a{x:/(aa|ab|bb)/}c", strategy="ancestral", steps=1, samples=32, top=3):
        found = shown(filled.holes[0])
        texts |= {filled.holes[0].text}
        assert found == pytest.approx({text: each[text] / sum(each.values()) for text in found}, abs=1e-5)
    assert texts >= {"ab", "bb"}

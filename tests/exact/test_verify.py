"""Every law holds, every component is covered, and a broken component is seen."""

import dataclasses
import math
import time

import pytest

from undiffuse.exact.law import LAST_DIGIT, Law, Result, in_last_digits
from undiffuse.exact.verify import all_laws, verify
from undiffuse.kinds import CORRECTORS, DESTINATIONS, OBJECTIVES, SCHEDULES, STRATEGIES

SECONDS, SECONDS_OF_ALL = 0.15, 1.0
"""CPU seconds for a law in `make test` and in `make test-all`: its first components until then, one at the least."""

REQUIRED = {
    "bound/golden": {"uniform", "mix k=.3", "growing-mask p=.2", "mask"},
    "bound/inequality": {"uniform", "mix k=.3", "growing-mask p=.2", "mask"},
    "discrete/golden": {f"uniform, T={steps}" for steps in (1, 2, 8, 32, 128, 512)},
    "discrete-time/golden": {f"uniform, T={steps}" for steps in (1, 2, 8, 32, 128, 512)},
    "matrix/path": {"band, one-minus-t", "gaussian, one-minus-cos", "mask, one-minus-t", "uniform, one-minus-t"},
    "matrix/interpolating": {"uniform, one-minus-t", "mask, one-minus-cos"},
    "spindle/tight": {"strength=0.3, toy A", "strength=0.3, K=3 L=2", "posterior head, toy A"},
    "discrete-time/hybrid": {"uniform", "mix k=.3", "growing-mask p=.2", "mask"},
    "sampler/golden": {"uniform, leave-one-out", "uniform, posterior passed off"},
    "sampler/correlated-extreme": {"uniform", "mask"},
    "forms/gidd": {"growing-mask p=.2"},
    "forms/uniform": {"uniform, one-minus-t, UDLM", "uniform, one-minus-t, Duo"},
    "head/round-trip-float32": {"uniform, K=50257 t=0.01", "uniform, K=27 t=0.99"},
    "estimator/any-order": {"arbitrary network, mask, one-minus-t"},
    "block/tight": {"blocks of 1, mask", "blocks of 2, mask", "blocks of 2, uniform", "blocks of 3, mask"},
    "block/chain-rule": {"blocks of 1", "blocks of 2", "blocks of 3"},
    "block/unbiased": {"shared-offset per row, blocks of 2", "shared-offset per block, blocks of 2"},
    "objective/llada-is-the-bound": {"shared-offset", "stratified", "uniform"},
    "duo/operator-golden": {"K=30522", "K=50257"},
    "duo/argmax": {"K=64 whole", "K=64 top=2", "K=64 top=8"},
    "flow/bound-golden": {"uniform", "mask"},
    "flow/golden": {"flow-jump", "psi, kappa=.5", "psi, kappa=0"},
    "decode/ancestral": {"ancestral, uniform", "ancestral, mask"},
    "decode/greedy": {"confidence, 3 steps", "left-to-right, 2 steps", "threshold, 4 steps", "factor, 2 steps"},
    "decode/certificate": {"edge", "K=3 L=3, 4"},
    "decode/greedy-tail": {"greedy-tail, uniform", "greedy-tail, mask"},
    "guidance/classifier-golden": {"uniform, one time", "uniform, own times"},
    "guidance/classifier-exact": {"uniform", "mix k=.3", "growing-mask p=.2", "mask"},
    "guidance/prompt": {"uniform", "mix k=.3", "growing-mask p=.2", "mask"},
    "guidance/chain-rule": {"left-to-right", "random"},
    "score/entropy-of-prediction": {"uniform, geometric", "mask, one-minus-t", "mix, one-minus-t"},
    "score/entropy-of-free-ratios": {"uniform, geometric", "uniform, one-minus-t", "mask, one-minus-t"},
    "score/tight": {"uniform, geometric", "mask, one-minus-t"},
    "score/tweedie-is-the-kernel": {"uniform, geometric, score", "mask, one-minus-t, score"},
    "score/euler-golden": {"uniform"},
    "decode/tweedie": {"tweedie, uniform", "tweedie, score, uniform, geometric", "tweedie, score, mask, one-minus-t"},
    "decode/euler": {"euler, uniform", "euler, score, uniform, geometric", "euler, score, mask, one-minus-t"},
    "gaussian/golden": {"γ from -3 to 6", "γ from -6 to 10"},
    "gaussian/curve": {"monotone", "warp"},
    "gaussian/tight": {"toy A, γ from -6 to 10", "pair, square-root"},
    "gaussian/round-trip-float32": {"K=27 t=0.01", "K=50257 t=0.99"},
    "gaussian/loss": {"exact network", "wrong network", "half of the evidence"},
    "gaussian/likelihood": {"exact network", "embeddings"},
    "gaussian/score-temperature": {"linear", "square-root"},
    "diffusion-lm/information": {"one of three, γ from -3 to 6", "toy A, γ from -1 to 5"},
    "diffusion-lm/prior": {"square-root"},
    "diffusion-lm/decoded": {"gaussian-ancestral", "probability-flow"},
    "randomness/chi-square": {"categorical float32, V=50000"},
}


DEAR = {"likelihood/intervals", "likelihood/coverage", "duo/weights"}
"""Laws whose first component alone takes two CPU seconds or more."""


def by_subject() -> list:  # type: ignore[type-arg]
    """Laws of one subject share what they enumerate, so they go to one worker."""
    return [
        pytest.param(
            law,
            id=law.name,
            marks=[pytest.mark.xdist_group(law.name.partition("/")[0]), *([pytest.mark.slow] * (law.name in DEAR))],
        )
        for law in all_laws()
    ]


@pytest.mark.parametrize("law", by_subject())
def test_law_holds(law: Law, request: pytest.FixtureRequest) -> None:
    """On one component after another until the law has cost so many seconds; `make verify-kernels` checks them all."""
    every = request.config.getoption("every_shape")
    ends, checked = time.process_time() + (SECONDS_OF_ALL if every else SECONDS), 0
    for result in law.check(lambda *_: True):
        assert result.passed, result
        checked += 1
        if time.process_time() > ends:
            break
    assert checked, "a law that checks nothing"


def components(law: str) -> set[str]:
    (found,) = [candidate for candidate in all_laws() if candidate.name == law]
    return set(found.cases())


@pytest.mark.parametrize("law", REQUIRED)
def test_required_components_are_covered(law: str) -> None:
    assert components(law) >= REQUIRED[law]


def test_every_file_of_a_family_is_covered() -> None:
    assert components("schedule/integral") >= set(SCHEDULES.kinds)
    assert components("destination/shares") >= set(DESTINATIONS.kinds)
    pairs = components("bound/tight")
    for schedule in SCHEDULES.kinds:
        assert any(f", {schedule}, " in name for name in pairs)
    for destination in DESTINATIONS.kinds:
        assert any(name.startswith(f"{destination}, ") for name in pairs)
    laws = ("decode/log-probability", "decode/ancestral", "decode/greedy", "decode/origin", "decode/greedy-tail")
    laws += ("decode/tweedie", "decode/euler", "decode/path-planning")
    decoded = {name.split(",")[0] for law in laws for name in components(law)}
    elsewhere = {"remdm", "predictor-corrector"}  # laws/remasking.py, laws/correctors.py
    assert components("remasking/count") == {"cap", "rescale", "confidence", "loop"}
    assert {name.split(",")[0] for name in components("corrector/chain")} == set(CORRECTORS.kinds)
    elsewhere |= {name.split(",")[0] for name in components("flow/steps")}
    elsewhere |= components("gaussian/decoded")
    no_law = {
        "wino",
        "entropy-renoise",
        "edit",
    }  # rules without a law of their own: tests/decode holds them against accounts
    assert decoded | elsewhere | no_law == set(STRATEGIES.kinds)
    # each has laws in laws/objectives.py, or in a file of its own
    assert set(OBJECTIVES.kinds) == {
        "autoregressive",
        "bound",
        "clipped",
        "concrete-score",
        "cross-entropy",
        "diffusion-lm",
        "discrete-time",
        "duo",
        "duo-simple",
        "flow-matching",
        "llada",
        "score-entropy",
        "score-interpolation",
        "variational",
    }


def test_names_are_unique() -> None:
    names = [law.name for law in all_laws()]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_pattern_selects_by_part_of_law_or_component_without_case() -> None:
    found = {(result.law, result.component) for result in verify("SCHEDULE/integral gidd")}
    assert found == {("schedule/integral", "gidd"), ("schedule/integral", "gidd uniform_share=0.4 shape=2")}
    assert {result.law for result in verify("schedule/*cos")} >= {"schedule/integral", "schedule/inverse"}
    assert list(verify("no such law")) == []


def test_a_law_reports_a_component_that_breaks_it() -> None:
    (law,) = [candidate for candidate in all_laws() if candidate.name == "schedule/integral"]
    steep = law.cases()["one-minus-t"]

    class Wrong(type(steep)):  # type: ignore[misc]
        def derivative(self, t):  # type: ignore[no-untyped-def]
            return 1.01 * super().derivative(t)

    broken = dataclasses.replace(law, cases=lambda: {"wrong": Wrong()})
    (result,) = broken.check(lambda *_: True)
    assert not result.passed
    assert result.error == pytest.approx(0.01)


def test_nan_fails() -> None:
    good, bad = Result("a", "x", 0.5, 0.5), Result("a", "y", math.nan, 1.0)
    assert good.passed
    assert not bad.passed
    assert good.record() == {"law": "a", "component": "x", "error": 0.5, "tolerance": 0.5, "passed": True}


def test_last_digits() -> None:
    assert in_last_digits(1.2345, "1.234") == pytest.approx(0.5)
    assert in_last_digits(1.2351, "1.234") > LAST_DIGIT
    assert in_last_digits(101.0, "100") == 1.0

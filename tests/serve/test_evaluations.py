"""Verbs that evaluate by themselves (score, check, embeddings, rankings) beside those that denoise."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from served_model import MODEL, causal
from test_engine import Waiter, poisoned, submit

from undiffuse.decode.demand import run
from undiffuse.decode.evaluation import Evaluate
from undiffuse.decode.loop import finished
from undiffuse.language_model import LanguageModel
from undiffuse.predictor import Predictor
from undiffuse.serve.engine import Engine, Limits
from undiffuse.serve.job import Cancelled, Done, Failed, Job

TEXT = "The quick brown fox jumps over the lazy dog."


def narrow(model: LanguageModel) -> LanguageModel:
    """The same model in float32."""
    network = copy.deepcopy(model.predictor.denoiser).float()
    return LanguageModel(Predictor(network, model.predictor.process, "leave_one_out"), model.tokenizer, {})


LEFT = causal()
NARROW = {False: narrow(MODEL), True: narrow(LEFT)}
WIDE = {False: MODEL, True: LEFT}

EVALUATED = {
    "score": lambda calls, seed: calls.score([TEXT, "The fox"], draws=4 + seed, seed=seed, per_token=True),
    "check": lambda calls, seed: calls.check(["The quick fox", "naïve dog"][: 1 + seed % 2], threshold=0.0, top=1),
    "embed": lambda calls, seed: calls.embed([TEXT, "fox", "dog"]),
}
FILLED = {
    "lengths": lambda calls, seed: calls.fill("The [MASK:1-4] fox [MASK:1-3]", seed=seed, top=2),
    "member": lambda calls, seed: calls.fill("The {a:choice(lazy|quick|brown)} fox", seed=seed),
}


def plain(kind: str, found):
    """What a verb gives, so that it can be compared."""
    if kind == "embed":
        return found.tolist()
    if kind == "score":
        return found.json(per_text=True)
    return [each.json() for each in found] if kind == "check" else found


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*EVALUATED, *FILLED]), st.booleans(), st.integers(0, 3)), min_size=2, max_size=4
    ),
    st.sampled_from([20, 200, 5000]),
)
def test_evaluations_beside_others_are_those_of_the_verb_to_the_last_digit(asked, rows):
    """Their passes are their own, in float32 too; fills share the passes of the loop, and are held in float64."""
    engine, made = Engine(Limits(rows=rows)), []
    for kind, left, seed in asked:
        ask, model = (EVALUATED | FILLED)[kind], (NARROW if kind in EVALUATED else WIDE)[left]
        made.append((kind, lambda ask=ask, model=model, seed=seed: ask(model.calls, seed)))
    waiters = [submit(engine, str(number), lambda _, verb=verb: verb()) for number, (_, verb) in enumerate(made)]
    engine.start()
    for waiter, (kind, verb) in zip(waiters, made, strict=True):
        assert isinstance(waiter.last, Done), waiter.last
        assert plain(kind, waiter.last.result) == plain(kind, finished(run(verb())))
    assert engine.stop(5)


class Ticked(Waiter):
    """Notes the tick of the engine at which it was told."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine, self.tick = engine, 0

    def __call__(self, message) -> None:
        self.tick = self.engine.counters.ticks
        super().__call__(message)


@pytest.mark.parametrize("rows", [40, 1 << 14])
@pytest.mark.parametrize("kind", ["score", "check", "ranked"])
def test_a_short_fill_does_not_wait_for_a_long_evaluation(kind, rows):
    long = {
        "score": lambda: NARROW[False].calls.score([TEXT] * 8, draws=64),
        "check": lambda: NARROW[True].calls.check(TEXT, threshold=0.0, top=4),
        "ranked": lambda: LEFT.calls.fill("The [MASK:6] fox [MASK:6] jumps {n:int(1-99)} dog", candidates=40),
    }[kind]
    engine = Engine(Limits(rows=rows))
    waiters = [Ticked(engine), Ticked(engine)]
    engine.submit(Job("long", lambda _: long(), waiters[0]))
    engine.submit(Job("short", lambda _: MODEL.calls.fill("The [MASK] fox", top=1), waiters[1]))
    engine.start()
    assert all(isinstance(waiter.last, Done) for waiter in waiters)
    assert waiters[1].tick <= 4 < 12 < waiters[0].tick
    assert engine.stop(5)


def test_a_long_evaluation_gets_its_share_beside_short_steps():
    """Passes dearer than a tick are taken too: each after about as many rows of the others as it has itself."""
    done = []

    def cheap(seconds):
        while len(done) < 30:
            yield Evaluate(10)

    def dear(seconds):
        for _ in range(30):
            yield Evaluate(400)
            done.append(engine.counters.ticks)

    engine = Engine(Limits(rows=100))
    waiters = [submit(engine, "cheap", cheap), submit(engine, "dear", dear)]
    engine.start()
    assert all(isinstance(waiter.last, Done) for waiter in waiters)
    gaps = [later - before for before, later in pairwise(done)]
    assert max(gaps) <= 9  # 400 rows at a credit of 50 a tick
    assert engine.stop(5)


def test_an_evaluation_that_fails_or_is_taken_back_ends_alone():
    ill = poisoned(MODEL.tokenizer.encode("漢")[0])
    engine = Engine()
    bad = submit(engine, "bad", lambda _: ill.calls.score("漢 fox", draws=8))
    gone = submit(engine, "gone", lambda _: MODEL.calls.score(TEXT, draws=50_000))
    good = submit(engine, "good", lambda _: MODEL.calls.score(TEXT, draws=8))
    engine.start()
    assert good.last.result.json() == MODEL.score(TEXT, draws=8).json()
    engine.cancel("gone")
    assert gone.last == Cancelled("asked")
    assert isinstance(bad.last, Failed)
    assert "not finite" in str(bad.last.error)
    assert engine.counters.ended == {"failed": 1, "cancelled": 1, "done": 1}
    assert torch.is_grad_enabled()
    assert engine.stop(5)

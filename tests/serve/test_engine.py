"""What a job gets from the engine is what its call gives alone, whoever else is there, joins, leaves or fails."""

import copy
import threading
import time
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from served_model import MODEL

from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel
from undiffuse.predictor import Predictor
from undiffuse.serve.engine import BusyError, DrainingError, Engine, Limits
from undiffuse.serve.job import Begun, Cancelled, Done, Failed, Job

CALLS = (
    ("fill", "The [MASK] fox [MASK:3] the lazy dog."),
    ("fill", "The ____ jumps over the {a:choice(lazy|quick|brown)} dog."),
    ("fill", "Größe {n:int(1-99)}, naïve [MASK:2-4]"),
    ("generate", "The quick"),
    ("generate", "emoji"),
    ("chat", "Hello fox"),
)
OPTIONS = {
    "fill": ({}, {"strategy": "ancestral", "temperature": 1.0}, {"strategy": "threshold", "cache": "dual"}),
    "generate": ({"length": 9}, {"length": 40}, {"length": 12, "strategy": "confidence", "block_length": 4}),
    "chat": ({"length": 8}, {"length": 5, "temperature": 1.0}),
}


@dataclass
class Waiter:
    """Collects what a job is told."""

    messages: list = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, message) -> None:
        self.messages.append(message)
        if isinstance(message, Done | Failed | Cancelled):
            self.ended.set()

    @property
    def last(self):
        assert self.ended.wait(60), "the job did not end"
        return self.messages[-1]


def call(kind: str, text: str, options: dict):
    if kind == "chat":
        return MODEL.calls.chat([{"role": "user", "content": text}], **options)
    return getattr(MODEL.calls, kind)(text, **options)


def alone(kind: str, text: str, options: dict):
    if kind == "chat":
        return [MODEL.chat([{"role": "user", "content": text}], **options)]
    return [getattr(MODEL, kind)(text, **options)]


def submit(engine: Engine, name: str, make, **more) -> Waiter:
    waiter = Waiter()
    engine.submit(Job(name, make, waiter, **more))
    return waiter


@pytest.fixture
def engine():
    engine = Engine(Limits(rows=200)).start()
    yield engine
    engine.stop(5)


@st.composite
def asked(draw):
    kind, text = draw(st.sampled_from(CALLS))
    return kind, text, {**draw(st.sampled_from(OPTIONS[kind])), "seed": draw(st.integers(0, 3))}


@settings(max_examples=5, deadline=None)
@given(st.lists(asked(), min_size=2, max_size=7), st.sampled_from([40, 200, 5000]), st.data())
def test_a_job_gets_what_its_call_gives_alone(calls, rows, data):
    engine = Engine(Limits(rows=rows)).start()
    gone = data.draw(st.sampled_from([None, 0, 1]))
    waiters = []
    for number, (kind, text, options) in enumerate(calls):
        waiters.append(submit(engine, str(number), lambda _, k=kind, t=text, o=options: call(k, t, o)))
        if number == gone:
            engine.cancel(str(number))
    for number, (waiter, one) in enumerate(zip(waiters, calls, strict=True)):
        if number == gone and isinstance(waiter.last, Cancelled):
            continue
        assert isinstance(waiter.last, Done), waiter.last
        assert waiter.last.result == alone(*one)
    assert engine.stop(5)
    assert engine.counters.rows > 0


def test_every_step_is_watched(engine):
    seen = []
    waiter = submit(
        engine, "a", lambda _: call("generate", "The", {"length": 6}), watch=lambda canvas, part: seen.append(canvas)
    )
    assert isinstance(waiter.last, Done)
    left = [int(canvas.pending.sum()) for canvas in seen]
    assert left == sorted(left, reverse=True)
    assert left[0] == 6
    assert left[-1] == 0
    assert isinstance(waiter.messages[0], Begun)


def test_what_cannot_be_asked_fails_alone(engine):
    bad = submit(engine, "bad", lambda _: call("fill", "no hole", {}))
    worse = submit(engine, "worse", lambda _: call("fill", "[MASK]", {"strategy": "nothing"}))
    good = submit(engine, "good", lambda _: call("fill", "The [MASK]", {}))
    assert isinstance(bad.last.error, UserError)
    assert "there is no strategy" in str(worse.last.error)
    assert good.last.result == alone("fill", "The [MASK]", {})
    assert not any(isinstance(message, Begun) for message in bad.messages)


def poisoned(token: int) -> LanguageModel:
    """A model whose network answers what is no number wherever a row's text holds a token."""
    network = copy.deepcopy(MODEL.predictor.denoiser)
    trunk = network.trunk

    def ill(rows, kv=None):
        return trunk(rows, kv).masked_fill((rows.state.ids == token).any(-1)[:, None, None], torch.nan)

    network.trunk = ill
    return LanguageModel(Predictor(network, MODEL.predictor.process, "leave_one_out"), MODEL.tokenizer, {})


def test_an_answer_that_is_no_number_fails_alone():
    ill = poisoned(MODEL.tokenizer.encode("漢")[0])
    engine = Engine().start()
    bad = submit(engine, "bad", lambda _: ill.calls.fill("漢 [MASK:4]", seed=1))
    good = submit(engine, "good", lambda _: ill.calls.fill("The [MASK:4]", seed=1))
    assert isinstance(bad.last, Failed)
    assert "not finite" in str(bad.last.error)
    assert isinstance(good.last, Done)
    assert engine.counters.ended == {"failed": 1, "done": 1}
    assert good.last.result[0] == MODEL.fill("The [MASK:4]", seed=1)
    assert engine.stop(5)


def test_a_short_request_is_not_held_behind_long_ones():
    engine = Engine(Limits(rows=64)).start()
    longs = [
        submit(engine, f"long {n}", lambda _, n=n: call("generate", "The", {"length": 24 * 3, "seed": n}))
        for n in range(4)
    ]
    time.sleep(0.05)
    short = submit(engine, "short", lambda _: call("fill", "The [MASK]", {}))
    assert isinstance(short.last, Done)
    assert not all(waiter.ended.is_set() for waiter in longs)
    assert all(isinstance(waiter.last, Done) for waiter in longs)
    assert engine.stop(20)


def test_memory_admits_and_work_turns_away():
    engine = Engine(Limits(memory=10, queue=100))
    waiters = [submit(engine, str(n), lambda _: call("fill", "The [MASK]", {}), memory=8, weight=40) for n in range(2)]
    with pytest.raises(BusyError, match="try again"):
        submit(engine, "more", lambda _: call("fill", "The [MASK]", {}), weight=40)
    engine.start()
    assert all(isinstance(waiter.last, Done) for waiter in waiters)
    assert engine.queued == (0, 0, 0)
    engine.drain()
    with pytest.raises(DrainingError):
        submit(engine, "late", lambda _: call("fill", "The [MASK]", {}))
    assert engine.stop(5)


def test_all_parts_of_a_request_are_cancelled_by_its_name():
    engine = Engine(Limits(rows=64))
    names = ("req-1/0/0", "req-1/1/0", "req-1", "req-12", "req")
    waiters = {name: submit(engine, name, lambda _: call("fill", "The [MASK]", {})) for name in names}
    engine.cancel("req-1")
    engine.start()
    ends = {name: type(waiter.last) for name, waiter in waiters.items()}
    assert ends == {**dict.fromkeys(names[:3], Cancelled), "req-12": Done, "req": Done}
    assert engine.stop(5)


def test_shutdown_tells_those_who_wait():
    engine = Engine(Limits(rows=8)).start()
    waiter = submit(engine, "long", lambda _: call("generate", "The", {"length": 2000}))
    assert not engine.stop(0.05)
    assert waiter.last == Cancelled("shutdown")
    assert not engine.alive

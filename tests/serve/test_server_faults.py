"""What breaks, ends early or leaves: every request is answered in OpenAI's shape, and nothing is left running."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest
from served_model import MODEL
from serving import serving

from undiffuse.serve import deck
from undiffuse.serve.api import guard
from undiffuse.serve.api.app import Options
from undiffuse.serve.api.desk import Bounds
from undiffuse.serve.engine import DrainingError, Engine, Limits
from undiffuse.serve.job import Failed, Job

LONG = {"prompt": "The", "max_tokens": 4000}


@pytest.fixture
def slow(monkeypatch):
    """Every step takes a hundredth of a second more, so that what is asked for is not over before the test looks."""

    def waited(*arguments):
        time.sleep(0.01)
        return step(*arguments)

    step = deck.step
    monkeypatch.setattr(deck, "step", waited)


def idle(app) -> None:
    until = time.monotonic() + 10
    while app.engine.busy:
        assert time.monotonic() < until, f"jobs are left: {app.engine.queued}"
        time.sleep(0.02)


def test_time_that_runs_out_is_a_504():
    with serving(Options(bounds=Bounds(seconds=0.4))) as (address, app):
        found = httpx.post(f"{address}/v1/completions", json={**LONG, "n": 3}, timeout=20)
        assert (found.status_code, found.json()["error"]["code"]) == (504, "ended")
        idle(app)


def test_copies_end_with_a_client_that_leaves():
    with serving(Options(limits=Limits(rows=40), bounds=Bounds(tokens=4000))) as (address, app):
        with httpx.stream("POST", f"{address}/v1/completions", json={**LONG, "n": 3, "stream": True}) as answer:
            next(answer.iter_lines())
        idle(app)


def test_a_client_that_leaves_while_its_stream_waits_is_noticed():
    with serving(Options(limits=Limits(memory=1), bounds=Bounds(tokens=4000))) as (address, app):
        with httpx.stream("POST", f"{address}/v1/completions", json={**LONG, "stream": True}) as first:
            lines = first.iter_lines()  # which ends the answer once it is forgotten
            next(lines)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}/v1/completions", json={**LONG, "stream": True}, timeout=0.3)
            until = time.monotonic() + 10
            while app.engine.queued[0]:
                assert time.monotonic() < until, "it waits on"
                time.sleep(0.02)
        idle(app)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {**LONG, "n": 2}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "n": 64}),
        ("/v1/generate", {"prompt": "The", "length": 4000}),
    ],
)
def test_a_request_is_ended_by_its_id(path, body, slow):
    with serving(Options(limits=Limits(rows=40), bounds=Bounds(tokens=8000))) as (address, app):
        with httpx.stream("POST", f"{address}{path}", json={**body, "stream": True}, timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            name = answer.headers["x-request-id"]
            assert httpx.post(f"{address}/v1/cancel/{name}").json() == {"id": name, "cancelled": True}
            last = [line for line in lines if line.startswith("data: {")][-1]
        assert json.loads(last[6:])["error"]["message"] == "the request was ended: cancelled"
        idle(app)


def test_who_waits_for_a_whole_answer_is_told_that_it_was_cancelled(monkeypatch, slow):
    monkeypatch.setattr(guard.uuid, "uuid4", lambda: UUID(int=7))
    with serving(Options(bounds=Bounds(tokens=8000))) as (address, app), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.post, f"{address}/v1/completions", json={**LONG, "n": 2}, timeout=20)
        while not app.engine.busy:
            time.sleep(0.01)
        httpx.post(f"{address}/v1/cancel/req-{'0' * 16}")
        found = waiting.result()
        assert (found.status_code, found.json()["error"]["code"]) == (409, "ended")
        idle(app)


def test_a_client_that_left_is_a_499_of_the_metrics(slow):
    with serving(Options(bounds=Bounds(tokens=4000))) as (address, app):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/v1/completions", json=LONG, timeout=0.3)
        until = time.monotonic() + 10
        while 'path="/v1/completions",status="499"} 1.0' not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < until, "nobody counted it"
            time.sleep(0.05)
        idle(app)


def test_what_is_left_at_the_end_is_a_503(slow):
    with serving(Options(bounds=Bounds(tokens=8000))) as (address, app), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.post, f"{address}/v1/completions", json=LONG, timeout=20)
        while not app.engine.busy:
            time.sleep(0.01)
        app.engine.drain()
        late = httpx.post(f"{address}/v1/fill", json={"text": "The [MASK]"})
        assert (late.status_code, late.json()["error"]["code"]) == (503, "draining")
        assert not httpx.get(f"{address}/readyz").json()["ready"]
        app.engine.stop(0.05)
        found = waiting.result()
        assert (found.status_code, found.json()["error"]["code"]) == (503, "ended")


def test_who_is_hurried_is_filled_by_one_evaluation_of_each_part():
    with serving(Options(bounds=Bounds(tokens=8000))) as (address, app):
        app.engine.hurry()
        found = httpx.post(f"{address}/v1/generate", json={"prompt": "The", "length": 24}, timeout=20).json()
        assert found["tokens"] == 24
        assert found["nfe"] == 1


def test_copies_that_do_not_fit_the_queue_leave_none_behind():
    ahead = 32 * LONG["max_tokens"]  # of the copy that fits: its context at every step
    with serving(Options(limits=Limits(queue=ahead * 3 // 2))) as (address, app):
        counters = app.engine.counters
        for pace in (100, 1000):  # rows a second, over so long that what runs here changes it by less than a second
            counters.rows, counters.stepping = pace * 100_000, 100_000.0
            found = httpx.post(f"{address}/v1/completions", json={**LONG, "n": 4}, timeout=20)
            assert found.status_code == 429
            assert int(found.headers["retry-after"]) == ahead // pace
            idle(app)
        assert httpx.post(f"{address}/v1/completions", json={"prompt": "The", "max_tokens": 3}).status_code == 200


def test_paths_of_strangers_do_not_fill_the_metrics():
    with serving(Options(keys=("secret",))) as (address, _), httpx.Client(base_url=address) as client:
        for number in range(3):
            assert client.get(f"/v1/stranger{number}").status_code == 401
            client.post(f"/versions{number}")
        text = client.get("/metrics", headers={"authorization": "Bearer secret"}).text
        assert "stranger" not in text
        assert "versions" not in text


def test_an_engine_that_failed_takes_no_more(monkeypatch):
    class Crash(BaseException):
        pass

    def crash(*_):
        raise Crash

    monkeypatch.setattr(deck, "step", crash)
    engine, told = Engine().start(), []
    engine.submit(Job("a", lambda _: MODEL.calls.fill("The [MASK]"), told.append))
    engine._thread.join(10)
    assert isinstance(told[-1], Failed)
    assert not engine.alive
    with pytest.raises(DrainingError):
        engine.submit(Job("b", lambda _: MODEL.calls.fill("The [MASK]"), told.append))

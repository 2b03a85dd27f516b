"""What breaks, ends early or leaves: every request is answered in OpenAI's shape, and nothing is left running."""

import time

import httpx
import pytest
from served_model import MODEL
from serving import serving

from undiffuse.serve import deck
from undiffuse.serve.api.app import Options
from undiffuse.serve.api.desk import Bounds
from undiffuse.serve.engine import DrainingError, Engine, Limits
from undiffuse.serve.job import Failed, Job

LONG = {"prompt": "The", "max_tokens": 4000}


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

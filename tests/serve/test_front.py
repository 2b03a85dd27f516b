"""A front loses replicas at every place of an answer, and its clients notice nothing; what cannot be mended is said."""

import asyncio
import json
import sys
import time
import uuid

import pytest
from served_model import MODEL

from undiffuse.cli.main import run
from undiffuse.errors import UserError
from undiffuse.serve.api.app import Options, create_app
from undiffuse.serve.front import TRIES, Asked, Begin, Front, LostError, create_front, together
from undiffuse.serve.replay import DONE, DifferentError, Replay, event
from undiffuse.serve.replica import Replica
from undiffuse.serve.scaling import AHEAD, Replicas, wanted
from undiffuse.serve.served import Served

TEXT = {"prompt": "The quick", "max_tokens": 12, "seed": 3}


class Breaking:
    """Replicas, all of them one, of which each try is lost after some pieces (None: not at all)."""

    def __init__(self, replica, after=(None,)):
        self.replica, self.after, self.asked, self.cancelled = replica, list(after), [], []

    async def ask(self, asked):
        self.asked.append(asked)
        left = self.after.pop(0) if self.after else None
        answer = self.replica.answer(asked)
        try:
            async for piece in answer:
                if left == 0:
                    raise LostError("it was killed")
                left = None if left is None else left - 1
                yield piece
        finally:
            await answer.aclose()

    async def cancel(self, names):
        self.cancelled += names

    async def running(self):
        return 2

    async def metrics(self):
        return {
            "a": (await self.replica.ask("/metrics"))[1].decode(),
            "b": (await self.replica.ask("/metrics"))[1].decode(),
        }


async def get(app, path, content=None, leave=None, headers=()):
    """The status, headers and pieces that an ASGI application sends; its client leaves after so many pieces."""
    messages, gone = [], asyncio.Event()
    data = [b"" if content is None else json.dumps(content).encode()]

    async def receive():
        if data:
            return {"type": "http.request", "body": data.pop()}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        messages.append(message)
        if leave is not None and len(messages) > leave:
            gone.set()

    head = [(b"content-type", b"application/json"), *headers]
    scope = {
        "type": "http",
        "state": {"request_id": uuid.uuid4().hex},
        "method": "GET" if content is None else "POST",
        "path": path,
        "query_string": b"",
    }
    await app({**scope, "headers": head}, receive, send)
    status = messages[0]["status"] if messages else None
    return status, dict(messages[0]["headers"]) if messages else {}, [m.get("body", b"") for m in messages[1:]]


def together_with(test, **options):
    """Run a coroutine function with a started replica of the tiny model."""

    async def run():
        replica = Replica(create_app(Served.ready({"tiny": MODEL}), Options(**options)))
        await replica.start()
        try:
            return await test(replica)
        finally:
            await replica.stop()

    return asyncio.run(run())


def events(pieces):
    lines = b"".join(pieces).decode().split("\r\n\r\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def written(found, index=0):
    """The text of one of the answers, and the canvas that its patches draw."""
    text, canvas = "", {}
    for each in found:
        choice = each["choices"][0] if each.get("choices") else None
        if choice is not None and choice["index"] == index:
            text += choice["text"] if "text" in choice else choice["delta"].get("content", "")
        told = each.get("diffusion", each)
        if "patches" in told and (choice is None or choice["index"] == index):
            canvas = {} if told["begins"] else canvas
            canvas |= {
                (patch["row"], patch["position"]): (patch["state"], patch.get("id")) for patch in told["patches"]
            }
    return text, canvas


REQUESTS = {
    "text": ("/v1/completions", {**TEXT, "stream": True}),
    "echo": ("/v1/completions", {**TEXT, "stream": True, "echo": True, "n": 2}),
    "patches": ("/v1/completions", {**TEXT, "stream": True, "diffusion": {"stream_mode": "patches"}}),
    "chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "stream": True},
    ),
    "fill": ("/v1/fill", {"text": "The [MASK] fox ____ over.", "seed": 2, "stream": True}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_stream_goes_on_wherever_it_broke_off(name):
    path, asked = REQUESTS[name]

    async def test(replica):
        _, _, pieces = await get(Front(Breaking(replica)), path, asked)
        whole = events(pieces)
        assert len(pieces) > 2
        for first in {0, 1, 2, len(pieces) // 2, len(pieces) - 2, len(pieces) - 1}:
            replicas = Breaking(replica, [first, first // 2, None])
            status, _, again = await get(Front(replicas), path, asked)
            found = events(again)
            assert status == 200
            assert len(replicas.asked) == 3 or first > 1, "every answer has two pieces at least"
            for index in range(asked.get("n", 1)):
                assert written(found, index) == written(whole, index)
            assert len({each["id"] for each in found if each.get("choices")}) <= 1
            assert b"".join(again).count(DONE) == 1
            results = [each["result"] for each in found if each.get("object") == "result"]
            assert results == [each["result"] for each in whole if each.get("object") == "result"]
            roles = [each for each in found if each.get("choices") and each["choices"][0].get("delta", {}).get("role")]
            assert len(roles) == (name == "chat")
            ends = [each for each in found if each.get("choices") and each["choices"][0]["finish_reason"]]
            assert len(ends) == (asked.get("n", 1) if name != "fill" else 0)

    together_with(test)


def test_an_answer_that_does_not_stream_is_asked_for_again():
    async def test(replica):
        _, _, whole = await get(Front(Breaking(replica)), "/v1/fill", {"text": "The [MASK] fox"})
        for after in (0, 1):
            status, _, found = await get(
                Front(Breaking(replica, [after, None])), "/v1/fill", {"text": "The [MASK] fox"}
            )
            assert (status, found) == (200, whole)

    together_with(test)


def test_what_breaks_every_replica_is_given_up():
    async def test(replica):
        front = Front(Breaking(replica, [0] * TRIES))
        status, _, found = await get(front, "/v1/fill", {"text": "The [MASK] fox"})
        assert status == 503
        assert json.loads(found[0])["error"]["message"] == "4 replicas were lost while they answered this request"
        front = Front(Breaking(replica, [2] * TRIES))
        status, _, found = await get(front, "/v1/completions", {**TEXT, "stream": True})
        assert status == 200
        assert events(found)[-1]["error"]["code"] == "lost"
        assert found[-1].endswith(DONE)
        _, _, counted = await get(front, "/metrics")
        assert b"undiffuse_given_up_total 1.0" in counted[0]
        assert b"undiffuse_lost_replies_total 4.0" in counted[0]

    together_with(test)


def test_another_text_is_no_continuation():
    def chunk(text, name):
        return event(
            {"id": name, "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": None}]}
        )

    replay = Replay()
    assert b"".join(replay.feed(chunk("one two", "a"))) == chunk("one two", "a")
    replay.again()
    assert list(replay.feed(chunk("one t", "b"))) == []
    assert list(replay.feed(chunk("wo thr", "b")[:9])) == []
    assert list(replay.feed(chunk("wo thr", "b")[9:])) == [chunk(" thr", "a")]
    replay.again()
    with pytest.raises(DifferentError):
        list(replay.feed(chunk("one, ", "c")))


def test_a_client_is_told_that_its_text_cannot_go_on():
    class Different:
        tries = 0

        async def ask(self, asked):
            self.tries += 1
            yield Begin(200, [(b"content-type", b"text/event-stream")])
            yield event(
                {
                    "id": "a",
                    "object": "text_completion",
                    "choices": [{"index": 0, "text": f"{self.tries}", "finish_reason": None}],
                }
            )
            raise LostError("gone")

    _, _, found = asyncio.run(get(Front(Different()), "/v1/completions", TEXT))
    assert "made another text: ask again" in events(found)[-1]["error"]["message"]


def test_a_replica_whose_engine_failed_is_lost():
    async def test(replica):
        replica._app.engine.failure = RuntimeError("broken")
        with pytest.raises(LostError):
            await anext(replica.answer(Asked("req-1", "GET", "/version", b"", (), b"")))
        replica._app.engine.failure = None

    together_with(test)


def test_a_client_that_leaves_ends_its_request():
    async def test(replica):
        long = {"prompt": "The", "max_tokens": 4000, "stream": True}
        await get(Front(Breaking(replica)), "/v1/completions", long, leave=2)
        until = time.monotonic() + 10
        while replica._app.engine.busy:
            assert time.monotonic() < until, "it runs on"
            await asyncio.sleep(0.02)

    together_with(test)


def test_keys_sizes_and_ids_are_those_of_the_front():
    async def test(replica):
        replicas = Breaking(replica)
        front = create_front(replicas, Options(keys=("secret",), largest_body=100))
        assert (await get(front, "/v1/models"))[0] == 401
        key = [(b"authorization", b"Bearer secret")]
        status, headers, _ = await get(front, "/v1/models", headers=key)
        assert status == 200
        assert headers[b"x-request-id"].decode() == replicas.asked[0].name
        status, _, found = await get(front, "/v1/fill", {"text": "x" * 200}, headers=key)
        assert status == 413
        assert "100 bytes" in json.loads(found[0])["error"]["message"]
        assert (await get(front, "/v1/cancel/req-1", {}, headers=key))[0] == 200
        assert replicas.cancelled == ["req-1", "req-1.1", "req-1.2", "req-1.3"]

    together_with(test)


def test_counters_of_replicas_have_their_names():
    async def test(replica):
        front = create_front(Breaking(replica), Options())
        await get(front, "/v1/fill", {"text": "The [MASK] fox"})
        _, _, found = await get(front, "/metrics")
        text = found[0].decode()
        assert 'undiffuse_jobs_ended_total{how="done",replica="a"} 1.0' in text
        assert 'undiffuse_jobs_ended_total{how="done",replica="b"} 1.0' in text
        assert 'undiffuse_requests_total{path="/v1/fill",status="200"} 1.0' in text
        assert "undiffuse_replicas 2.0" in text
        assert text.count("# TYPE undiffuse_rows_total") == 1
        for path in ("/healthz", "/readyz"):
            status, _, found = await get(front, path)
            assert (status, json.loads(found[0])["replicas"]) == (200, 2)

    together_with(test)
    assert together("", {}) == b""


def test_without_replicas_the_front_is_not_ready():
    class Nobody(Breaking):
        async def running(self):
            return 0

    front = Front(Nobody(None))
    assert asyncio.run(get(front, "/healthz"))[0] == 500
    status, _, found = asyncio.run(get(front, "/readyz"))
    assert (status, json.loads(found[0])["why"]) == (503, "no replica runs")


def test_replicas_follow_the_work_ahead():
    assert wanted([], 3) == 3
    assert wanted([0.0, 0.0], 2) == 1
    assert wanted([AHEAD, AHEAD], 2) == 2
    assert wanted([2.5 * AHEAD], 1) == 3
    assert (Replicas.of("2"), Replicas.of("1-4")) == (Replicas(2, 2), Replicas(1, 4))
    for text in ("0", "two", "3-1", "1-", "-2", "1-2-3"):
        with pytest.raises(UserError, match=f"--replicas {text} "):
            Replicas.of(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray"], "more than one replica needs Ray: pip install 'undiffuse[serve,scale]'"),
        (["--replicas", "2"], "--replicas 2 needs --ray: one server has one engine"),
    ],
    ids=["ray", "replicas"],
)
def test_what_is_missing_is_said_in_one_line(words, said, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["serve", *words]) == 2
    assert capsys.readouterr().err == f"undiffuse: {said}\n"

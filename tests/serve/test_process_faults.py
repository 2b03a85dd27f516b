"""`undiffuse serve` as a process: what it does when it is told to end, when it breaks, and when its clients do."""

import contextlib
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from faulty import chunks, faulty, raw, rest, vanish
from served_model import MODEL

pytestmark = pytest.mark.slow
LONG = {"prompt": "The", "max_tokens": 600}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    found = tmp_path_factory.mktemp("model") / "tiny"
    MODEL.save(found)
    return found


@pytest.fixture(scope="module")
def server(place):
    with faulty(place, SLOW=0.005, READER=1, BODY=1, BUFFER=4096) as found:
        yield found


def test_told_to_end_under_load_it_answers_all_that_it_took(place):
    with faulty(place, "--drain", "10", SLOW=0.03) as server, ThreadPoolExecutor(8) as pool:
        shorts = [
            pool.submit(server.ask, "/v1/completions", {"prompt": "The", "max_tokens": 30, "seed": n}) for n in (1, 2)
        ]
        longs = [pool.submit(server.ask, "/v1/completions", {**LONG, "seed": n}) for n in (3, 4)]
        stream = pool.submit(server.ask, "/v1/completions", {**LONG, "stream": True})
        filling = pool.submit(server.ask, "/v1/fill", {"text": "The [MASK:4] fox", "stream": True})
        server.until(lambda: server.running() >= 5)
        server.program.send_signal(signal.SIGTERM)
        assert server.ended(12) == 0, server.words
        for n, short in zip((1, 2), shorts, strict=True):
            expected = MODEL.generate("The", length=30, seed=n)[0].text
            assert "The" + short.result().json()["choices"][0]["text"] == expected
        for long in longs:
            found = long.result()
            assert found.status_code == 200, found.text
            assert found.json()["usage"]["completion_tokens"] > 0
        told = chunks(stream.result().text.splitlines())
        assert told[-1]["choices"][0]["finish_reason"] in ("stop", "length"), told[-1]
        assert stream.result().text.rstrip().endswith("data: [DONE]")
        assert chunks(filling.result().text.splitlines())[-1]["object"] == "result"
    assert "Traceback" not in server.words


def test_an_engine_that_breaks_takes_the_process_with_it(place):
    with faulty(place, SLOW=0.01) as server, ThreadPoolExecutor(4) as pool:
        whole = pool.submit(server.ask, "/v1/completions", LONG)
        stream = pool.submit(server.ask, "/v1/completions", {**LONG, "stream": True})
        server.until(lambda: server.running() >= 2)
        assert server.ask("/v1/fill", {"text": "🙂🙂 [MASK]"}).status_code == 500
        with contextlib.suppress(httpx.TransportError):  # it may be gone already
            assert httpx.get(f"{server.address}/healthz").status_code == 500
        assert server.ended(5) == 1
        assert whole.result().status_code == 500
        assert chunks(stream.result().text.splitlines())[-1]["error"]["type"] == "server_error"


def test_a_row_that_is_no_number_fails_alone(server):
    before = server.counted('undiffuse_jobs_ended_total{how="failed"}')
    asked = [("漢漢 [MASK:6]", 0), *((f"The [MASK:{n}] fox", n) for n in (3, 5, 6))]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: server.ask("/v1/fill", {"text": one[0], "seed": one[1]}), asked))
    assert found[0].status_code == 500
    assert "not finite" in found[0].json()["error"]["message"]
    for (text, seed), answer in zip(asked[1:], found[1:], strict=True):
        assert answer.json()["text"] == MODEL.fill(text, seed=seed)[0].text
    assert server.counted('undiffuse_jobs_ended_total{how="failed"}') == before + 1


def test_a_slow_reader_is_dropped_and_others_go_on(server):
    before = server.counted('undiffuse_jobs_ended_total{how="cancelled"}')
    body = {"prompt": "The", "max_tokens": 4000, "stream": True, "diffusion": {"stream_mode": "patches"}}
    slow = [raw(server, "/v1/completions", body, small=True) for _ in range(3)]
    server.until(lambda: server.running() >= 3)
    whole = server.ask("/v1/fill", {"text": "The [MASK:3] fox", "seed": 1})
    assert whole.json()["text"] == MODEL.fill("The [MASK:3] fox", seed=1)[0].text
    server.until(lambda: server.counted('undiffuse_jobs_ended_total{how="cancelled"}') >= before + 3, 30)
    assert server.running() == 0
    for each in slow:
        got = rest(each)
        assert len(got) < 150_000
        assert b"[DONE]" not in got
    assert server.words.count("its reader was too slow") == 3


def test_half_a_body_is_waited_for_a_while(server):
    began = time.monotonic()
    half = raw(server, "/v1/fill", b'{"text": "The [MA', length=400)
    answer = rest(half).decode()
    assert answer.startswith("HTTP/1.1 408 ")
    assert "within 1 s" in answer
    assert 0.9 < time.monotonic() - began < 5
    vanish(raw(server, "/v1/fill", b'{"text": ', length=400))
    raw(server, "/v1/fill", b"", length=400).close()
    silent = socket.create_connection(("127.0.0.1", server.port))
    silent.sendall(b"POST /v1/fi")
    assert server.ask("/v1/fill", {"text": "The [MASK]"}).status_code == 200
    silent.close()


def test_a_body_that_is_too_large_is_not_read(server):
    answer = rest(raw(server, "/v1/fill", b"x" * 100, length=1 << 40)).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "connection: close" in answer.lower()
    endless = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    endless.sendall(b"POST /v1/fill HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    try:
        while sent < 64 << 20:
            endless.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            sent += 0x8000
    except ConnectionError:
        pass
    endless.close()
    assert sent < 16 << 20
    assert server.ask("/v1/fill", {"text": "The [MASK]"}).status_code == 200


def test_clients_that_vanish_free_their_rows(server):
    gone = [raw(server, "/v1/completions", {**LONG, "stream": bool(n % 2)}) for n in range(6)]
    server.until(lambda: server.running() >= 6)
    for each in gone:
        vanish(each)
    server.until(lambda: server.running() == 0, 3)
    rows = server.counted("undiffuse_rows_total")
    time.sleep(0.1)
    assert server.counted("undiffuse_rows_total") == rows

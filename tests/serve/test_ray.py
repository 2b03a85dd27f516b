"""Two replicas on Ray: what they answer, one of them killed, and the end. `make test-ray` installs Ray."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import httpx
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make test-ray"),
]
PROMPT = {"prompt": "The city ", "max_tokens": 100}


def below(parent):
    """Processes that a process started, and that these started, by number."""
    lines = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    table = [line.split(None, 2) for line in lines[1:]]
    found, more = {}, [str(parent)]
    while more:
        mine = [(pid, args) for pid, ppid, args in table if ppid == more[0] and pid not in found]
        found |= dict(mine)
        more = more[1:] + [pid for pid, _ in mine]
    return {int(pid): args for pid, args in found.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address and the process of `undiffuse serve --ray --replicas 2`, which ends as Ctrl-C ends it."""
    folder = tmp_path_factory.mktemp("ray")
    command = [
        sys.executable,
        "-m",
        "undiffuse",
        "serve",
        "--ray",
        "--replicas",
        "2",
        "--port",
        "0",
        "--model",
        "world",
    ]
    log = folder / "log"
    with log.open("w") as writing:
        process = subprocess.Popen([*command, "--drain", "5"], cwd=folder, stderr=writing, stdout=writing)
    until = time.monotonic() + 180
    while "Ctrl-C" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)
    address = re.search(r"http://[\d.]+:\d+", log.read_text())
    assert address is not None
    started = below(process.pid)
    yield address[0], process
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, log.read_text()
    assert "Traceback" not in log.read_text()
    time.sleep(1)
    left = [args for pid, args in started.items() if os.path.exists(f"/proc/{pid}")]
    assert not left


async def stream(client, seed, **own):
    """What a stream says: its text, and when each of its events came."""
    text, times = "", []
    async with client.stream("POST", "/v1/completions", json={**PROMPT, "seed": seed, "stream": True, **own}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                found = json.loads(line[6:])
                assert "error" not in found, found
                text += found["choices"][0]["text"] if found["choices"] else ""
                times.append(time.monotonic())
    return text, times


async def whole(client, seed):
    answer = await client.post("/v1/completions", json={**PROMPT, "seed": seed})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["text"]


def test_a_replica_that_is_killed_under_load_costs_no_answer(server):
    address, process = server

    async def test():
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:
            alone = [await whole(client, seed) for seed in range(3)]
            replicas = [pid for pid, args in below(process.pid).items() if args.startswith("ray::ServeReplica")]
            assert len(replicas) == 2

            async def kill():
                await asyncio.sleep(0.5)
                os.kill(replicas[0], signal.SIGKILL)

            streams = [stream(client, number % 3) for number in range(9)]
            texts = [whole(client, number % 3) for number in range(9)]
            _, *found = await asyncio.gather(kill(), *streams, *texts)
            assert [text for text, _ in found[:9]] == alone * 3
            assert found[9:] == alone * 3
            counters = (await client.get("/metrics")).text
            lost = re.search(r"^undiffuse_lost_replies_total (\S+)", counters, re.MULTILINE)
            assert lost is not None
            assert float(lost[1]) > 0
            assert "undiffuse_given_up_total 0.0" in counters
            until = time.monotonic() + 120
            while (await client.get("/healthz")).json()["replicas"] < 2:
                assert time.monotonic() < until, "no replica took its place"
                await asyncio.sleep(0.5)

    asyncio.run(test())


def test_streams_arrive_as_they_are_made(server):
    address, _ = server

    async def test():
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            patches = {"diffusion": {"stream_mode": "patches"}}
            _, times = await stream(client, 1, **patches)
            assert len(times) > 4
            assert times[-1] - times[0] > 0.05, "all at once, at the end"

    asyncio.run(test())


def test_other_endpoints_and_cancelling_go_through(server):
    address, _ = server
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/readyz").json() == {"ready": True, "replicas": 2}
        assert "<html" in client.get("/").text
        found = client.post("/v1/fill", json={"text": "The capital of France is [MASK]."})
        assert found.json()["holes"][0]["text"] == "Paris"
        assert client.post("/v1/fill", json={"txt": ""}).status_code == 400
        until = time.monotonic() + 30  # the front hears of a new replica a little later than Ray counts it
        while len(re.findall(r'undiffuse_rows_total\{replica="(\w+)"\}', client.get("/metrics").text)) < 2:
            assert time.monotonic() < until, "the counters of a replica are missing"
            time.sleep(0.5)
        with client.stream(
            "POST", "/v1/completions", json={"prompt": "The", "max_tokens": 4000, "stream": True}
        ) as answer:
            assert client.post(f"/v1/cancel/{answer.headers['x-request-id']}").status_code == 200
            last = [line for line in answer.iter_lines() if line.startswith("data: {")][-1]
        assert "error" in json.loads(last[6:]) or "finish_reason" in last

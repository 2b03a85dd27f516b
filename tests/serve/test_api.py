"""The HTTP interface as its clients see it: OpenAI's own client, and requests of every kind."""

import json
import time

import httpx
import openai
import pytest
from served_model import MODEL
from serving import serving

from undiffuse.serve.api.app import Options, create_app
from undiffuse.serve.api.desk import Bounds
from undiffuse.serve.engine import Limits
from undiffuse.serve.served import Served

HELLO = [{"role": "user", "content": "Hello fox"}]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}, "ok": {"type": "boolean"}},
}


@pytest.fixture(scope="module")
def place():
    with serving(Options(limits=Limits(rows=200), bounds=Bounds(tokens=4000))) as (address, app):
        yield address, app


@pytest.fixture
def ask(place):
    with httpx.Client(base_url=place[0], timeout=60) as client:

        def asked(path: str, body=None, **more):
            return client.post(path, json=body, **more) if body is not None else client.get(path, **more)

        yield asked


@pytest.fixture
def client(place):
    with openai.OpenAI(base_url=f"{place[0]}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_answers_are_those_of_the_verbs(ask):
    filled = json.loads(json.dumps(MODEL.fill("The [MASK] fox ____ the dog.", seed=3)[0].json()))
    assert ask("/v1/fill", {"text": "The [MASK] fox ____ the dog.", "seed": 3}).json() == {**filled, "model": "tiny"}
    segments = [{"text": "The [MASK] "}, {"hole": {"min": 2, "max": 2}}, {"text": " fox"}]
    typed = MODEL.fill(r"The \[MASK] [MASK:2] fox")[0]
    assert ask("/v1/fill", {"segments": segments}).json()["text"] == typed.text
    written = MODEL.generate("The quick", length=9, seed=2)[0].json()
    assert ask("/v1/generate", {"prompt": "The quick", "length": 9, "seed": 2}).json() == {**written, "model": "tiny"}
    found = MODEL.check("The quick fox jumps").json()
    assert ask("/v1/check", {"text": "The quick fox jumps"}).json() == {
        **json.loads(json.dumps(found)),
        "model": "tiny",
    }
    score = MODEL.score("The quick fox").json()
    assert ask("/v1/score", {"texts": ["The quick fox"]}).json()["bits_per_byte"] == score["bits_per_byte"]
    chosen = ask("/v1/choose", {"text": "The {} fox", "choices": ["lazy", "quick", "br|own"]}).json()
    assert sum(each["probability"] for each in chosen["choices"]) == pytest.approx(1)
    objects = ask("/v1/fill", {"text": "The fox: ", "schema": SCHEMA}).json()
    assert "object" in objects, objects
    assert objects["object"] == MODEL.fill_object("The fox: ", SCHEMA)[0].value


def test_an_edit_writes_spans_anew(ask):
    text = "The quick fox jumps over it"
    body = {"text": text, "spans": [{"start": 20, "end": 24}, {"start": 4, "end": 9, "min": 1, "max": 3}]}
    found = ask("/v1/edit", body).json()
    pieces, end = [], 0
    for change in found["changes"]:
        pieces += [text[end : change["start"]], change["after"]]
        end = change["end"]
    assert "".join(pieces) + text[end:] == found["text"]
    assert [change["before"] for change in found["changes"]] == ["quick", "over"]


def test_openai_client_reads_an_answer_and_its_stream(client):
    whole = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, seed=3, logprobs=True)
    alone = MODEL.chat(HELLO, length=8, seed=3)
    assert whole.choices[0].message.content == alone.text
    assert whole.usage.completion_tokens == alone.tokens
    assert len(whole.choices[0].logprobs.content) == alone.tokens
    stream = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=8, seed=3, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == alone.text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].usage.completion_tokens == alone.tokens


def test_completions_stop_repeat_and_fill(client):
    two = client.completions.create(model="tiny", prompt="The quick", max_tokens=9, n=2, seed=5)
    assert ["The quick" + choice.text for choice in two.choices] == [
        MODEL.generate("The quick", length=9, seed=seed)[0].text for seed in (5, 6)
    ]
    full = MODEL.generate("emoji", length=24, seed=1)[0].text.removeprefix("emoji")
    stop = full[3:5]
    cut = client.completions.create(model="tiny", prompt="emoji", max_tokens=24, seed=1, stop=stop)
    assert cut.choices[0].text == full[: full.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    stream = client.completions.create(model="tiny", prompt="emoji", max_tokens=24, seed=1, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == cut.choices[0].text
    between = client.completions.create(model="tiny", prompt="The ", suffix=" fox", max_tokens=2)
    assert f"The {between.choices[0].text} fox" == MODEL.fill("The [MASK:1-2] fox")[0].text


def test_a_long_stream_is_the_text_of_all_its_parts(client):
    stream = client.completions.create(model="tiny", prompt="The", max_tokens=70, seed=4, stream=True)
    assert (
        "The" + "".join(chunk.choices[0].text for chunk in stream) == MODEL.generate("The", length=70, seed=4)[0].text
    )


def test_an_object_of_a_schema(client):
    form = {"type": "json_schema", "json_schema": {"name": "fox", "schema": SCHEMA}}
    found = client.chat.completions.create(model="tiny", messages=HELLO, response_format=form)
    value = json.loads(found.choices[0].message.content)
    assert value.keys() == {"n", "ok"}
    assert 1 <= value["n"] <= 9
    with pytest.raises(openai.BadRequestError, match="without a schema no JSON"):
        client.chat.completions.create(model="tiny", messages=HELLO, response_format={"type": "json_object"})


def test_patches_tell_the_whole_canvas(ask):
    with httpx.stream(
        "POST", f"{ask('/version').url.copy_with(path='/v1/fill')}", json={"text": "The [MASK:4] fox", "stream": True}
    ) as answer:
        chunks = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    shown: dict[int, dict] = {}
    for chunk in chunks[:-1]:
        assert chunk["object"] == "step"
        shown |= {patch["position"]: patch for patch in chunk["patches"]}
    assert "".join(shown[place]["text"] for place in sorted(shown)) == chunks[-1]["result"]["text"]
    assert {patch["state"] for patch in shown.values()} == {"fixed", "committed"}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/fill", {"text": "nothing"}, 400, "there is no hole to fill"),
        ("/v1/fill", {}, 400, "give text with holes, or segments"),
        ("/v1/fill", {"text": "[MASK]", "colour": 1}, 400, "colour: Extra inputs are not permitted"),
        ("/v1/fill", {"text": "[MASK]", "diffusion": {"treshold": 1}}, 400, "did you mean 'threshold'"),
        ("/v1/fill", {"text": "[MASK]", "diffusion": {"strategy": "wino", "gamma": 1}}, 400, "has no option 'gamma'"),
        ("/v1/fill", {"text": "[MASK]", "model": "tini"}, 404, "did you mean 'tiny'"),
        ("/v1/fill", {"text": "[MASK]", "seed": -1}, 400, "seed: Input should be greater than or equal to 0"),
        ("/v1/fill", {"text": "[MASK:50]"}, 400, "the model was trained on 32"),
        ("/v1/fill", {"text": "x" * 200_001 + "[MASK]"}, 413, "200000 characters"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 4001}, 413, "may write 4000 tokens"),
        ("/v1/completions", {"prompt": "a", "presence_penalty": 1.0}, 400, "presence_penalty is not supported"),
        ("/v1/completions", {"prompt": "a", "stop": [""]}, 400, "an empty string ends nothing"),
        ("/v1/chat/completions", {"messages": []}, 400, "messages: List should have at least 1 item"),
        ("/v1/chat/completions", {"messages": HELLO, "logprobs": True, "top_logprobs": 2}, 400, "top_logprobs"),
        ("/v1/choose", {"text": "no place", "choices": ["a", "b"]}, 400, "one {}"),
        ("/v1/edit", {"text": "abc", "spans": [{"start": 2, "end": 9}]}, 400, "within the text of 3 characters"),
        ("/v1/fim/completions", {"prompt": "a"}, 400, "suffix is missing"),
        ("/v1/nothing", {"a": 1}, 404, "there is no endpoint"),
    ],
)
def test_bad_requests(ask, path, body, status, said):
    found = ask(path, body)
    assert (found.status_code, said in found.json()["error"]["message"]) == (status, True), found.text


def test_a_model_without_a_template_names_completions():
    from dataclasses import replace

    from starlette.testclient import TestClient

    plain = replace(MODEL, manifest={})
    with TestClient(create_app(Served.ready({"plain": plain}))) as client:
        found = client.post("/v1/chat/completions", json={"messages": HELLO})
        capable = client.get("/v1/models/plain/capabilities").json()
    assert found.status_code == 400
    assert list(capable["refused"]) == ["chat"]
    assert "no chat template" in capable["refused"]["chat"]
    assert "POST /v1/completions" in found.json()["error"]["message"]


def test_a_client_that_leaves_ends_its_request(place):
    address, app = place
    before = app.engine.counters.ended.get("cancelled", 0)
    body = {"prompt": "The", "max_tokens": 4000, "stream": True}
    with httpx.stream("POST", f"{address}/v1/completions", json=body) as answer:
        next(answer.iter_lines())
    waiting = httpx.Client(timeout=0.3)
    with pytest.raises(httpx.ReadTimeout):
        waiting.post(f"{address}/v1/completions", json={"prompt": "The", "max_tokens": 4000})
    waiting.close()
    until = time.monotonic() + 20
    while app.engine.counters.ended.get("cancelled", 0) < before + 2:
        assert time.monotonic() < until, "requests whose clients left go on"
        time.sleep(0.05)


def test_keys_sizes_and_headers():
    options = Options(keys=("secret",), largest_body=300)
    with serving(options) as (address, _), httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
        client.headers["authorization"] = "Bearer secret"
        found = client.get("/v1/models")
        assert found.json()["data"][0]["id"] == "tiny"
        assert found.headers["content-security-policy"].startswith("default-src 'self'")
        assert "access-control-allow-origin" not in found.headers
        assert client.post("/v1/fill", json={"text": "[MASK]" + "x" * 300}).status_code == 413
        chunked = client.post("/v1/fill", content=(b"x" * 50 for _ in range(10)))
        assert chunked.status_code == 413


def test_operators_see_what_happens(ask):
    ask("/v1/fill", {"text": "The [MASK]"})
    assert ask("/readyz").json() == {"ready": True}
    text = ask("/metrics").text
    assert 'undiffuse_jobs_ended_total{how="done"}' in text
    assert ask("/version").json()["models"] == ["tiny"]
    capable = ask("/v1/models/tiny/capabilities").json()
    assert "confidence" in capable["strategies"]
    assert "gaussian-ancestral" not in capable["strategies"]
    assert ask("/v1/models/tini").status_code == 404


def test_every_accepted_strategy_is_accepted(ask):
    for kind in ask("/v1/models/tiny/capabilities").json()["strategies"]:
        body = {"text": "The [MASK:3] fox", "diffusion": {"strategy": kind}}
        found = ask("/v1/fill", body)
        assert found.status_code in (200, 400), (kind, found.text)
        assert found.status_code == 200 or "temperature" in found.text, (kind, found.text)

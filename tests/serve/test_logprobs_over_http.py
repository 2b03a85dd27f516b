"""Log-probabilities over HTTP: asked for by name, and those of the verbs."""

import gc
import weakref

import pytest
from served_model import MODEL, causal, model
from starlette.testclient import TestClient

from undiffuse.serve.api.app import create_app
from undiffuse.serve.api.capabilities import capabilities_of
from undiffuse.serve.served import Served


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(Served.ready({"tiny": MODEL, "causal": causal()}))) as client:
        yield client


def completion(client, name, **body):
    asked = {"model": "tiny", "prompt": "The quick", "max_tokens": 6, "logprobs": 1, "diffusion": {"logprobs": name}}
    return client.post("/v1/completions", json=asked | body).json()["choices"][0]


def test_the_shares_of_the_bound_are_those_of_the_score_verb(client):
    for seed in range(20):  # one whose text has the tokens that were written
        found = completion(client, "elbo", seed=seed, temperature=1.0)
        text, numbers = found["text"], found["logprobs"]
        score = MODEL.score(text, prompts="The quick", per_token=True, seed=seed)
        if [token.text for token in score.per_token] == numbers["tokens"]:
            break
    else:
        pytest.fail("no text was tokenized as it was written")
    assert numbers["token_logprobs"] == pytest.approx([-token.nats for token in score.per_token], abs=1e-9)
    assert (numbers["definition"], numbers["kind"], numbers["draws"]) == ("elbo", "bound", score.estimate.draws)
    assert numbers["stderr"] == pytest.approx(score.estimate.stderr)


def test_every_definition_has_a_number_for_every_token(client):
    commit, final, elbo = (completion(client, name, seed=3)["logprobs"] for name in ("commit", "final", "elbo"))
    assert commit["tokens"] == final["tokens"] == elbo["tokens"]
    assert len(commit["tokens"]) == 6
    assert len({tuple(each["token_logprobs"]) for each in (commit, final, elbo)}) == 3
    assert completion(client, "commit", seed=3)["logprobs"] == commit


def test_of_a_causal_model_the_sum_is_the_likelihood(client):
    final, elbo = (completion(client, name, model="causal", max_tokens=5)["logprobs"] for name in ("final", "elbo"))
    assert final["token_logprobs"] == pytest.approx(elbo["token_logprobs"], abs=1e-6)
    assert elbo["kind"] == "exact"
    between = completion(client, "final", model="causal", suffix=" fox", max_tokens=2)["logprobs"]
    assert between["tokens"]


def test_a_text_in_several_parts_has_all_its_tokens(client):
    found = completion(client, "commit", max_tokens=70)["logprobs"]
    assert len(found["tokens"]) == 70
    assert len(completion(client, "elbo", max_tokens=40)["logprobs"]["tokens"]) == 40


def test_chats_and_streams_have_them_too(client):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "logprobs": True}
    body["diffusion"] = {"logprobs": "final"}
    whole = client.post("/v1/chat/completions", json=body).json()["choices"][0]["logprobs"]
    assert whole["definition"] == "final"
    streamed = client.post("/v1/chat/completions", json={**body, "stream": True}).text
    assert '"definition": "final"' in streamed or '"definition":"final"' in streamed


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/completions", {"logprobs": 1, "diffusion": {"logprobs": "finale"}}, "commit, final, elbo"),
        ("/v1/completions", {"diffusion": {"logprobs": "final"}}, "ask for them with logprobs"),
        ("/v1/completions", {"model": "causal", "prompt": "The", "suffix": "s", "logprobs": 1}, "use final, or elbo"),
        ("/v1/generate", {"diffusion": {"logprobs": "final"}}, "leave it out"),
    ],
)
def test_what_is_not_there_is_refused(client, path, body, said):
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_capabilities_name_them_and_keep_no_model_alive(client):
    assert client.get("/v1/models/causal/capabilities").json()["logprobs"] == ["commit", "final", "elbo"]
    other = model()
    network = weakref.ref(other.predictor.denoiser)
    capabilities_of("other", other)
    del other
    gc.collect()
    assert network() is None

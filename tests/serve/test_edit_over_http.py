"""A text edited in place over HTTP is what the verb gives."""

import json

from served_model import MODEL
from starlette.testclient import TestClient

from undiffuse.serve.api.app import create_app
from undiffuse.serve.served import Served

LINE = "The quick brown fox jumps"


def test_a_strength_over_http_is_that_of_the_verb():
    body = {"text": LINE, "spans": [{"start": 16, "end": 19}, {"start": 4, "end": 9}], "seed": 2}
    with TestClient(create_app(Served.ready({"tiny": MODEL}))) as client:
        found = client.post("/v1/edit", json={**body, "strength": 0.5}).json()
        streamed = client.post("/v1/edit", json={**body, "strength": 0.5, "stream": True}).text
        whole = client.post("/v1/edit", json={**body, "strength": 1.0}).json()
        plain = client.post("/v1/edit", json=body).json()
        refused = [
            client.post("/v1/edit", json={**body, "strength": 0.5, **more})
            for more in (
                {"top": 2},
                {"spans": [{"start": 4, "end": 9, "max": 3}]},
                {"spans": [{"start": 9, "end": 40}]},
            )
        ]
    alone = json.loads(json.dumps(MODEL.edit(LINE, [(4, 9), (16, 19)], strength=0.5, seed=2)[0].json()))
    assert {name: found[name] for name in alone} == {**alone, "model": "tiny"}
    assert [change["before"] for change in found["changes"]] == ["quick", "fox"]
    assert json.dumps(alone["text"]) in streamed
    assert whole == plain
    assert [answer.status_code for answer in refused] == [400] * 3
    said = [answer.json()["error"]["message"] for answer in refused]
    assert "no alternatives" in said[0]
    assert "keeps its number of tokens" in said[1]
    assert "must lie within the text" in said[2]

"""Blanks of a causal model over HTTP, and what its capabilities say of it."""

import json

from served_model import causal
from starlette.testclient import TestClient

from undiffuse.serve.api.app import create_app
from undiffuse.serve.served import Served


def test_a_causal_model_ranks_over_http_as_alone():
    model = causal()
    with TestClient(create_app(Served.ready({"causal": model}))) as client:
        capable = client.get("/v1/models/causal/capabilities").json()
        body = {"text": "The [MASK] fox jumps", "diffusion": {"candidates": 5, "right": 3}}
        filled = client.post("/v1/fill", json=body).json()
        checked = client.post("/v1/check", json={"text": "The quick fox", "candidates": 4, "right": 3}).json()
        refused = client.post("/v1/fill", json={"text": "The [MASK]s", "diffusion": {"strategy": "confidence"}})
    assert (capable["fills"], capable["strategies"], capable["likelihood"]) == ("ranked", ["left-to-right"], "exact")
    alone = model.fill("The [MASK] fox jumps", candidates=5, right=3)[0].json()
    assert filled == {**json.loads(json.dumps(alone)), "model": "causal"}
    assert checked["findings"] == json.loads(
        json.dumps(model.check("The quick fox", candidates=4, right=3).json()["findings"])
    )
    assert refused.status_code == 400

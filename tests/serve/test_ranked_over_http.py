"""Blanks of a causal model over HTTP, and what its capabilities say of it."""

import json

import torch
from served_model import TEXT
from starlette.testclient import TestClient

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.serve.api.app import create_app
from undiffuse.serve.served import Served
from undiffuse.text.tokenizer import Tokenizer


def causal() -> LanguageModel:
    tokenizer = Tokenizer.train([TEXT], 300)
    torch.manual_seed(1)
    config = TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=32, causal=True)
    network = Transformer(config).double()
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, tokenizer.vocabulary
    )
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


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

"""The requests that docs/serve.md shows are answered."""

import json
import re
from pathlib import Path

import pytest
from served_model import MODEL
from starlette.testclient import TestClient

from undiffuse.serve.api.app import create_app
from undiffuse.serve.served import Served

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
REQUESTS = [
    json.loads(line) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(Served.ready({"tiny": MODEL}))) as found:
        yield found


def test_the_page_shows_requests():
    assert len(REQUESTS) >= 10


@pytest.mark.parametrize("shown", REQUESTS, ids=str)
def test_a_request_of_the_page_is_answered(client, shown):
    ((where, body),) = shown.items()
    method, path = where.split()
    answer = client.request(method, path, json=body)
    assert answer.status_code == 200, answer.text


def test_every_endpoint_of_the_page_exists(client):
    known = client.get("/openapi.json").json()["paths"]
    for method, path in re.findall(r"`(GET|POST) (/[\w/{}]+)`", PAGE):
        shape = path.replace("{id}", "{name}")
        assert method.lower() in known[shape], path

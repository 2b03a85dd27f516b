"""Builds wheel and sdist, and uses the wheel as somebody does who has nothing but Python: `make release-check`.

Everything happens under build/release: an environment with the tools that build, the two files in dist/, and an empty
environment into which the wheel is installed by its name alone. There it runs in an empty directory, without a network
and without this checkout. Each step is told with its seconds; the first that fails ends the script.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
CONSTRAINTS = ROOT / "constraints.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = "The capital of ____ is Lima."
SECONDS = 5.0
"""From the command to the answer, with the model that comes with the package."""
LARGEST = 20 * 2**20
"""Bytes of a wheel: the code and the models that come with it."""
NO_NETWORK = """
import socket

def refuse(*_arguments, **_options):
    raise OSError("this computer has no network")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
"""
"""The sitecustomize of a Python that finds no network."""


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    tools = environment("tools", "build", "twine")
    step("wheel and sdist", tools, "-m", "build", "--outdir", BUILD / "dist", ROOT)
    (wheel,), (sdist,) = (BUILD / "dist").glob("*.whl"), (BUILD / "dist").glob("*.tar.gz")
    step("twine check", tools, "-m", "twine", "check", "--strict", wheel, sdist)
    check_contents(wheel, sdist)
    extras = ",".join(sorted(PROJECT["optional-dependencies"]))
    resolve = ("-m", "pip", "install", "--dry-run", "--quiet", "-c", CONSTRAINTS)
    step(f"extras resolve: {extras}", tools, *resolve, f"{wheel}[{extras}]")
    use(environment("empty", str(wheel)))


def environment(name: str, *packages: str) -> Path:
    """The Python of a new environment with these packages."""
    began = time.perf_counter()
    venv.create(BUILD / name, with_pip=True)
    python = BUILD / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", CONSTRAINTS, *packages)
    told(f"environment {name}", began)
    return python


def use(python: Path) -> None:
    """Fill a blank with the model that comes with the package, then train one, in a directory with nothing in it."""
    with tempfile.TemporaryDirectory() as place:
        directory, offline = Path(place, "work"), Path(place, "offline")
        directory.mkdir()
        offline.mkdir()
        (offline / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
        alone = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HF_", "VIRTUAL_ENV"))}
        alone |= {"PYTHONPATH": str(offline), "HF_HUB_OFFLINE": "1", "HOME": place}
        command = python.with_name("undiffuse")
        said = run(command, "--version", cwd=directory, env=alone)
        assert said.split() == ["undiffuse", PROJECT["version"]], said
        check_there_is_no_network(python, alone)
        if any("bundled" in name for name in run("git", "ls-files", "undiffuse", cwd=ROOT).split()):
            fill_with_what_comes_with_it(command, directory, alone)
        (directory / "notes.txt").write_text("The sun rises in the east. The moon is round. " * 60, encoding="utf-8")
        began = time.perf_counter()
        small = ("model.width=32", "model.depth=1", "tokenizer.size=300")
        run(command, "--quiet", "train", "notes.txt", "--steps", "5", *small, cwd=directory, env=alone)
        found = json.loads(run(command, "fill", "The [MASK] is round.", "--json", cwd=directory, env=alone))
        assert Path(found["model"]) == Path("runs/notes"), found
        told("train and fill", began)


def check_there_is_no_network(python: Path, alone: Mapping[str, str]) -> None:
    """A port of this computer that answers others does not answer the environment in which the wheel is used."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = f"import socket; socket.create_connection({server.getsockname()!r}).close()"
        run(python, "-c", probe)
        assert subprocess.run([python, "-c", probe], env=alone, stderr=subprocess.DEVNULL).returncode


def fill_with_what_comes_with_it(command: Path, directory: Path, alone: Mapping[str, str]) -> None:
    """The first fill compiles and reads from a cold disk; the second is timed."""
    for what in ("first fill", "fill"):
        began = time.perf_counter()
        found = json.loads(run(command, "fill", TEXT, "--json", cwd=directory, env=alone))
        seconds = told(f"{what}: {found['text']} ({found['holes'][0]['probability']:.3f})", began)
    assert found["model"] == "world", found
    assert "Peru" in found["text"], found
    assert seconds < SECONDS, f"a fill takes {seconds:.1f} s, and {SECONDS} are allowed"


def check_contents(wheel: Path, sdist: Path) -> None:
    """What must be in the two files, what must not, and how large the wheel may be."""
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    tracked = run("git", "ls-files", "undiffuse", cwd=ROOT).split()
    missing = [name for name in tracked if name not in held]
    assert not missing, f"the wheel lacks {missing[:5]}"
    strange = [
        name for name in held if not name.startswith(("undiffuse/", f"undiffuse-{PROJECT['version']}.dist-info/"))
    ]
    assert not strange, f"the wheel holds {strange[:5]}"
    assert wheel.stat().st_size <= LARGEST, f"the wheel has {wheel.stat().st_size} bytes"
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    missing = [
        name for name in (*tracked, "LICENSE", "THIRD_PARTY.md", "README.md", "CHANGELOG.md") if name not in names
    ]
    assert not missing, f"the sdist lacks {missing[:5]}"
    print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, {len(held)} files")


def step(what: str, *command: str | Path) -> None:
    began = time.perf_counter()
    run(*command)
    told(what, began)


def told(what: str, began: float) -> float:
    """Print a step with its seconds."""
    seconds = time.perf_counter() - began
    print(f"{what}: {seconds:.1f} s", flush=True)
    return seconds


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a command prints. Where it fails, the end of what it said ends this script."""
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()

"""One tiny model for all tests of the verbs, trained by the command itself."""

import random
from pathlib import Path

import pytest

from undiffuse.cli.main import run

TINY = (
    *("tokenizer.size=290", "model.width=16", "model.depth=1", "model.heads=1", "model.context=64"),
    *("training.rows=4", "training.windows=4", "training.draws=2", "training.validations=1"),
)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of words from a small made-up language."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(1, 6))) for _ in range(60)]
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text("\n".join(" ".join(draw.choices(words, k=9)) for _ in range(120)))
    return path


@pytest.fixture(scope="session")
def model(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a finished run, alone in `runs/`."""
    directory = tmp_path_factory.mktemp("work") / "runs" / "words"
    assert run(["train", str(text), "--out", str(directory), "--steps", "20", "--threads", "1", *TINY]) == 0
    return directory


@pytest.fixture
def work(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that holds `runs/`, as the current one."""
    monkeypatch.chdir(model.parent.parent)
    return model.parent.parent

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import SETTINGS, STEPS, later, write_text

from undiffuse.training.run import Run, train


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_text(tmp_path / "text.txt")


@pytest.fixture
def train_tiny(text: Path, tmp_path: Path) -> Callable[..., Run]:
    """Trains into tmp_path/run, unless told otherwise."""

    def run(*overrides: str, **options) -> Run:
        options = {"out": tmp_path / "run", "steps": STEPS, "threads": 1} | options
        return train(text, overrides=later(*SETTINGS, *overrides), **options)

    return run

"""Pictures of the guide are those that its scripts draw, and keep what they promise to readers."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = DOCS / "images"
MOVING = ["noises", "run_fact", "run_apart", "run_together"]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"of_docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def noises() -> ModuleType:
    return script("noises")


@pytest.fixture(scope="module")
def charts() -> ModuleType:
    return script("charts")


NUMBER = re.compile(r"-?\d+\.?\d*")


def same(drawn: str, kept: str, near: float) -> None:
    """The same words in the same places; numbers may be rounded differently on another processor."""
    assert NUMBER.sub("#", drawn) == NUMBER.sub("#", kept)
    pairs = zip(NUMBER.findall(drawn), NUMBER.findall(kept), strict=True)
    assert all(abs(float(a) - float(b)) <= near for a, b in pairs)


def test_the_noises_are_drawn_by_the_script(noises):
    same(noises.picture(), noises.PICTURE.read_text(encoding="utf-8"), 0.0101)


def test_what_is_drawn_are_histories_of_the_noises(noises):
    """What is lost stays lost; masks show nothing else, uniform noise no mask; vectors have their law's size."""
    found = {name: noises.history(process) for name, process in noises.processes().items()}
    for name in ("masked", "uniform"):
        ids, clean = found[name].ids, found[name].clean
        assert torch.equal(ids[0], clean)
        lost = ids != clean
        assert bool((lost[1:] >= lost[:-1]).all())
        assert bool(lost[-1].all())
    assert bool((found["masked"].ids[-1] == noises.VOCABULARY.mask).all())
    assert bool((found["uniform"].ids != noises.VOCABULARY.mask).all())
    # the two jump at the same times, since they have the same schedule and the same draws
    assert torch.equal(found["masked"].ids == found["masked"].clean, found["uniform"].ids == found["uniform"].clean)
    latent = found["gaussian"].latent
    assert latent is not None
    norms = latent.square().sum(-1).mean(-1)
    # α² + σ² d, of norm 1 and 16 dimensions: near 1 without noise, near 16 with nothing else (96 numbers: ± 0.15 · 16)
    assert abs(norms[0].item() - 1) < 0.1
    assert abs(norms[-1].item() - 16) < 4 * 0.15 * 16


def test_the_chart_of_parallel_decoding_has_the_numbers_of_the_page(charts):
    assert charts.parallel() == (IMAGES / "parallel.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_pictures_of_the_bundled_model_are_drawn_by_the_script(charts):
    for name, drawn in charts.pictures().items():
        same(drawn, (IMAGES / f"{name}.svg").read_text(encoding="utf-8"), 0.2)


@pytest.mark.parametrize("name", [*MOVING, "bound", "parallel"])
def test_a_picture_is_for_light_and_dark_and_has_no_script(name):
    text = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert root.find("{http://www.w3.org/2000/svg}desc") is not None
    assert "prefers-color-scheme:dark" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    if name in MOVING:
        assert "@keyframes" in text
        assert "prefers-reduced-motion:reduce" in text

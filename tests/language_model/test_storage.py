"""Models on disk: what is saved is what is loaded, and damage is named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from undiffuse.errors import UserError
from undiffuse.language_model import load

TEXT = "The quick brown fox — naïve 漢字.\n" * 6


@pytest.fixture
def saved(model, tmp_path):
    model.save(tmp_path / "run")
    return tmp_path / "run"


def test_round_trip(model, uniform, byte_model, tmp_path):
    for number, each in enumerate((model, uniform, byte_model)):
        each.save(tmp_path / str(number))
        again = load(tmp_path / str(number))
        assert again.predictor.process == each.predictor.process
        assert again.predictor.head == each.predictor.head
        assert again.score(TEXT, draws=2).json() == each.score(TEXT, draws=2).json()


def test_nothing_is_overwritten(model, saved):
    with pytest.raises(UserError, match="exists and is not overwritten"):
        model.save(saved)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_weights(saved, kept):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(UserError, match="truncated or damaged"):
        load(saved)


def test_a_flipped_bit(saved):
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 4
    weights.write_bytes(content)
    with pytest.raises(UserError, match="wrong checksum"):
        load(saved)


def test_foreign_weights(saved):
    weights = load_file(saved / "model.safetensors")
    weights["embedding.weight"] = torch.zeros(3, 32)
    save_file(weights, saved / "model.safetensors")
    _edit(saved, lambda m: m["weights"].update(sha256=_sha(saved)))
    with pytest.raises(UserError, match=r"does not fit its manifest, first at embedding\.weight"):
        load(saved)


def test_damaged_or_foreign_manifests(saved):
    good = (saved / "manifest.json").read_text()
    for text, message in (
        ("{", "is damaged"),
        ("[]", "was not written by undiffuse"),
        (json.dumps({"format": 1}), "was not written by undiffuse"),
        (good.replace('"format": 1', '"format": 99'), "has format 99"),
        (good.replace('"mask"', '"masc"'), "did you mean 'mask'"),
        (good.replace('"kind": "transformer"', '"kind": "mamba"'), "does not know"),
    ):
        (saved / "manifest.json").write_text(text)
        with pytest.raises(UserError, match=message):
            load(saved)


def test_missing_parts(saved, tmp_path):
    with pytest.raises(UserError, match=r"there is no model directory .*rum; did you mean 'run'"):
        load(tmp_path / "rum")
    (saved / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"cannot read .*tokenizer\.json"):
        load(saved)
    (saved / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"it has no manifest\.json"):
        load(saved)


def test_a_tokenizer_of_another_model(saved, byte_model):
    (saved / "tokenizer.json").write_text(byte_model.tokenizer.to_json())
    with pytest.raises(UserError, match="belongs to another model"):
        load(saved)


def _edit(directory, change) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def _sha(directory) -> str:
    import hashlib

    return hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()

"""Models that cannot be loaded: one line on stderr, exit code 2, and nothing of their weights is read."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from undiffuse.cli.main import run
from undiffuse.language_model import stored_tensors

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def copy(tmp_path):
    def make(family: str) -> Path:
        directory = tmp_path / family
        shutil.copytree(GOLDEN / family / "checkpoint", directory)
        directory.chmod(0o755)
        return directory

    return make


def sharded(directory: Path) -> Path:
    """The tensors in two files with an index."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names, place = sorted(tensors), {}
    for shard in range(2):
        held = names[shard::2]
        save_file({name: tensors[name] for name in held}, directory / f"model-{shard}.safetensors")
        place |= dict.fromkeys(held, f"model-{shard}.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))
    return directory


def cut(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: int(len(content) * kept)])


def truncated_shard(directory: Path) -> Path:
    cut(sharded(directory) / "model-1.safetensors", 0.7)
    return directory


def missing_shard(directory: Path) -> Path:
    (sharded(directory) / "model-1.safetensors").unlink()
    return directory


def pickled(directory: Path) -> Path:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    return directory


def foreign_tokenizer(directory: Path) -> Path:
    content = json.loads((GOLDEN / "llama" / "checkpoint" / "tokenizer.json").read_text())
    content["model"]["vocab"]["far"] = 5000
    (directory / "tokenizer.json").unlink(missing_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(content))
    return directory


def no_model(directory: Path) -> Path:
    for path in directory.iterdir():
        path.unlink()
    (directory / "notes.txt").write_text("x")
    return directory


def strange_gguf(directory: Path) -> Path:
    key, value = b"general.architecture", b"rwkv7"
    text = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    path = directory / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text)
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated_shard, r"model-1.safetensors (it is truncated: its header describes "),
        (missing_shard, "model-1.safetensors (No such file or directory); copy it again"),
        (pickled, "its weights are pickled (pytorch_model.bin), which are programs and never opened"),
        (foreign_tokenizer, "tokenizer.json has id 5000 and the model's table "),
        (no_model, "is not a model, it has no manifest.json and no config.json: name a run"),
        (strange_gguf, "is of the architecture 'rwkv7', which is not read; known: llama, qwen2, qwen3"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_line_and_nothing_is_read(damage, said, copy, monkeypatch, capsys):
    monkeypatch.setattr(stored_tensors.Safetensors, "get", None)
    place = damage(copy("sdar"))
    for verb in (["generate", "x"], ["score", __file__], ["fill", "a [MASK]"]):
        assert run([*verb, "--model", str(place)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("undiffuse: ")
        assert said in err


def test_no_network_is_one_line(monkeypatch, capsys, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert run(["generate", "x", "--model", "some-org/some-model", "--revision", "v1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "neither a file nor a directory some-org/some-model" in err
    assert "at v1, and it cannot be fetched: HF_HUB_OFFLINE is set" in err

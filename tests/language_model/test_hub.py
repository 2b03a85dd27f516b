"""Models of Hugging Face by their ids: what is fetched, what the cache answers without a network, and how it fails."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hub_server import COMMIT, serving
from huggingface_hub import constants
from recorded import ROOT

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.errors import UserError
from undiffuse.language_model import hub
from undiffuse.training.start import Start

NAME = "some-org/Dream-v0"
IDS = torch.tensor([[3, 1, 4]])


@pytest.fixture
def published(tmp_path) -> Path:
    """A directory as it is published, with much that is not to be fetched."""
    directory = tmp_path / "published"
    shutil.copytree(ROOT / "dream" / "checkpoint_sharded", directory)
    directory.chmod(0o755)
    for name in ("modeling_dream.py", "pytorch_model.bin", "model.fp16.safetensors", "README.md", "onnx/config.json"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text("{}")
    return directory


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.fixture
def online(cache, monkeypatch, published):
    """The files that are taken from a server of one model."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with serving({NAME: published}) as (address, taken):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield taken


def by_hand(cache: Path, published: Path, name: str = NAME, revision: str = "main") -> Path:
    """A directory put where the cache holds a model."""
    folder = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(published, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / revision).write_text(COMMIT)
    return folder / "snapshots" / COMMIT


def test_what_is_read_is_fetched_and_nothing_else(online, published, monkeypatch):
    model = ud.load(NAME)
    assert torch.equal(model.logits(IDS), ud.load(published).logits(IDS))
    assert model.name == NAME
    wanted = {path.name for path in (ROOT / "dream" / "checkpoint_sharded").iterdir()}
    assert set(online) == wanted
    assert len(online) == len(wanted)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(ud.load(NAME).logits(IDS), model.logits(IDS))
    assert len(online) == len(wanted)


def test_an_index_cannot_name_a_pickle(online, published):
    index = published / "model.safetensors.index.json"
    text = index.read_text()
    index.unlink()
    index.write_text(text.replace("model-00001-of-00003.safetensors", "pytorch_model.bin"))
    with pytest.raises(UserError, match=r"names 'pytorch_model\.bin', and weights are read from safetensors alone"):
        ud.load(NAME)
    assert "pytorch_model.bin" not in online


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        (NAME, "v9", f"{NAME} has no revision 'v9' on Hugging Face"),
        ("some-org/none", None, "neither a file nor a directory some-org/none, nor a model of that name"),
        ("some--org/none", None, "some--org/none is no name of a model on Hugging Face"),
    ],
)
def test_what_is_not_there(online, name, revision, said):
    with pytest.raises(UserError, match=said) as refused:
        ud.load(name, revision=revision)
    assert "\n" not in str(refused.value)


def test_pickles_alone(online, published):
    for path in published.glob("*.safetensors*"):
        path.unlink()
    with pytest.raises(
        UserError, match=r"has no model\.safetensors .* pickled weights \(pytorch_model\.bin\) are prog"
    ):
        ud.load(NAME)


def test_no_model_but_a_file_of_it(online, published):
    (published / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config\.json: .* name one, as in"):
        ud.load(NAME)
    (published / "model-q8_0.gguf").write_bytes(b"GGUF")
    assert hub.fetched(f"{NAME}/model-q8_0.gguf").read_bytes() == b"GGUF"


def test_the_cache_answers_without_a_network(cache, published):
    place = by_hand(cache, published, revision="v2")
    assert hub.fetched(NAME, "v2") == hub.fetched(Path(NAME), COMMIT) == place
    with pytest.raises(UserError, match=f"neither .* {NAME}, the cache .* fetched: HF_HUB_OFFLINE is set"):
        hub.fetched(NAME)


def test_no_network(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UserError, match=f"neither a file nor a directory {NAME}, .* and it cannot be fetched: "
    ) as said:
        hub.fetched(NAME)
    assert "\n" not in str(said.value)


def test_a_path_wins(cache, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.is_id(NAME)
    assert hub.is_id(f"{NAME}/model.gguf")
    for path in ("runs", "runs/a/b", "../a/b", "./a", "/a/b", "a b/c", ""):
        assert not hub.is_id(path)
    shutil.copytree(published, NAME)
    assert not hub.is_id(NAME)
    assert torch.equal(ud.load(NAME).logits(IDS), ud.load(published).logits(IDS))
    with pytest.raises(UserError, match="there is no model directory some-org/Dream-v1; did you mean 'Dream-v0'"):
        ud.load("some-org/Dream-v1")
    with pytest.raises(UserError, match="a revision is of a model on Hugging Face, and some-org/Dream-v0 is here"):
        ud.load(NAME, revision="main")


def test_inspect_fetches_no_weights(online, published, monkeypatch):
    shards = {f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)}
    found, whole = ud.inspect(NAME), ud.inspect(published)
    assert replace(found, where=whole.where) == whole
    assert whole.loads
    assert {file.partition(" ")[0] for file in online if "bytes=" in file} == shards
    assert not shards & set(online)
    assert shards & {file.name for file in (ROOT / "dream" / "checkpoint_sharded").iterdir()} == shards
    ud.load(NAME)
    taken = len(online)
    assert ud.inspect(NAME) == found
    assert len(online) == taken  # headers are read in the cache


def test_inspect_of_an_only_file(online, published):
    for path in published.glob("*.safetensors*"):
        path.unlink()
    ud.load(ROOT / "dream" / "checkpoint").save(published / "again")
    shutil.move(published / "again" / "model.safetensors", published / "model.safetensors")
    shutil.rmtree(published / "again")
    found = ud.inspect(NAME, revision="main")
    assert replace(found, where=str(published)) == ud.inspect(published)
    assert [file for file in online if file.startswith("model.safetensors")] == ["model.safetensors bytes=0-100000"]
    (published / "model.safetensors").write_bytes(b"{}" * 99)
    found = ud.inspect(NAME)
    assert found.doubts[0].startswith(f"model.safetensors of {NAME} has no header that is read: ")
    (published / "model.safetensors").unlink()
    found = ud.inspect(NAME)
    assert not found.loads
    assert found.doubts[0].startswith(f"{NAME} has no model.safetensors in the cache or on Hugging Face: pickled")


def test_inspect_without_a_network(cache, published):
    place = by_hand(cache, published)
    assert ud.inspect(NAME).loads
    shard = place / "model-00002-of-00003.safetensors"
    shard.unlink()
    found = ud.inspect(NAME)
    assert not found.loads
    assert "it cannot be fetched: HF_HUB_OFFLINE is set" in found.doubts[0]
    assert "\n" not in found.doubts[0]


def test_a_run_is_fetched_whole(online, published, model):
    shutil.rmtree(published)
    model.save(published)
    assert ud.inspect(NAME).family == "undiffuse"
    assert {"manifest.json", "model.safetensors", "tokenizer.json"} == set(online)


def test_training_and_studies_take_a_revision(online, tmp_path, capsys):
    (tmp_path / "text.txt").write_text("a text that is long enough\n" * 20)
    text, out = str(tmp_path / "text.txt"), ["--out", str(tmp_path / "out")]
    for arguments in (["train", text, "--from", NAME], ["study", "frontier", "--no-plot", "--model", NAME]):
        assert run([*arguments, *out, "--revision", "v9"]) == 2
        assert f"{NAME} has no revision 'v9' on Hugging Face" in capsys.readouterr().err
    assert run(["study", "fidelity", "--model", NAME, "--revision", "v9"]) == 2
    assert f"{NAME} has no revision 'v9' on Hugging Face" in capsys.readouterr().err
    assert run(["train", text, "--revision", "main", *out]) == 2
    assert "a revision is of a model to start from" in capsys.readouterr().err
    assert run(["train", "--resume", "x", "--revision", "main"]) == 2
    assert "leave out --revision" in capsys.readouterr().err
    assert Start.of(NAME, revision=COMMIT).name == NAME


@pytest.mark.slow
def test_the_library_is_imported_when_it_is_needed(published):
    code = (
        "import sys, undiffuse as ud; ud.load(sys.argv[1]); "
        "sys.exit('huggingface_hub' in sys.modules or 'gguf' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(published)], check=True)

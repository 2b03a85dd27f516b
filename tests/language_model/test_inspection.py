"""What inspect says is what load finds; of what does not load it says why; and it reads no weights."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from recorded import ROOT

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.errors import UserError
from undiffuse.language_model import memory, stored_tensors
from undiffuse.language_model.checkpoints import outline
from undiffuse.language_model.inspection import Role
from undiffuse.language_model.number_formats import NAMES, size_of
from undiffuse.models.family import Keys
from undiffuse.models.llada2 import LLaDA2
from undiffuse.text.published_tokenizer import NoTokenizer

SHARED = Path(__file__).parents[3] / "shared" / "fixtures"
MASKS = {"fast_dllm_v2": 260, "fast-dllm-v2": 260, "llada2": 253, "modernbert": 254, "roberta": 95}
PLACES = [path.parent for path in sorted(ROOT.glob("*/checkpoint*/config.json"))]
PLACES += [path.parent for path in sorted(SHARED.glob("*/checkpoint*/config.json"))]


@pytest.mark.parametrize(
    "place", PLACES, ids=lambda place: f"{place.parent.parent.name}-{place.parent.name}-{place.name}"
)
def test_it_is_what_load_finds(place):
    mask = MASKS.get(place.parent.name)
    found, model = ud.inspect(place, mask_id=mask), ud.load(place, mask_id=mask)
    network, traits, vocabulary = model.predictor.denoiser, model.predictor.traits, model.tokenizer.vocabulary
    assert found.loads
    assert found.family == model.manifest["layout"]
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert found.dtype == str(network.number_format).removeprefix("torch.")
    assert (found.context, found.rows, found.block_length) == (traits.context, traits.vocab_rows, traits.block_length)
    kind = "block" if traits.block_length else "causal" if network.config.causal else "full"
    assert (found.attention, found.alignment) == (kind, "shifted" if traits.logit_row else "same")
    assert found.memory == {name: size_of(network, NAMES[name]) for name in ("float32", "bfloat16", "int8")}
    assert found.head == model.predictor.head
    for role in ("mask", "eos"):
        assert found.ids[role].id == getattr(vocabulary, role)
    assert found.ids["mask"].source == (
        None if vocabulary.mask is None else "mask_id" if mask else found.ids["mask"].source
    )
    assert (found.tokenizer is None) == isinstance(model.tokenizer, NoTokenizer)
    assert found.noise == {"Mask": "mask", "Uniform": "none" if traits.rule.__name__ == "causal" else "uniform"}.get(
        type(model.predictor.process.destination).__name__
    )


def test_runs_of_our_own(model, tmp_path):
    model.save(tmp_path / "run")
    found = ud.inspect(tmp_path / "run")
    vocabulary = model.tokenizer.vocabulary
    assert (found.family, found.dtype, found.noise, found.loads) == ("undiffuse", "float32", "mask", True)
    assert found.parameters == sum(p.numel() for p in model.predictor.denoiser.parameters())
    assert found.ids["mask"] == Role(vocabulary.mask, "tokenizer.json")
    assert found.tokenizer == {"kind": "bpe", "tokens": vocabulary.size - 1, "start": None, "around": None}
    assert found.doubts == ()
    weights = tmp_path / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    found = ud.inspect(tmp_path / "run")
    assert not found.loads
    assert "it is truncated: its header describes" in found.doubts[0]
    assert found.parameters is not None


@pytest.fixture
def copy(tmp_path):
    def make(family: str, **changes) -> Path:
        directory = tmp_path / family
        shutil.copytree(ROOT / family / "checkpoint", directory)
        directory.chmod(0o755)
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").unlink()
        config = {name: value for name, value in {**config, **changes}.items() if value is not None}
        (directory / "config.json").write_text(json.dumps(config))
        return directory

    return make


def put(path: Path, content: object) -> None:
    path.unlink(missing_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_where_ids_are_from(copy):
    directory = copy("llada", mask_token_id=None)
    put(directory / "tokenizer_config.json", {"eos_token": "<end>", "pad_token": {"content": "<pad>"}})
    put(directory / "added_tokens.json", {"<end>": 7, "<pad>": 250, "<|mdm_mask|>": 252})
    found = ud.inspect(directory)
    assert found.ids["mask"] == Role(252, "its added token '<|mdm_mask|>'")
    assert found.ids["eos"] == Role(250, "config.json")
    assert found.ids["bos"] == Role()
    assert "eos: config.json says 250, and its tokenizer names row 7" in found.doubts
    assert not any(doubt.startswith("pad:") for doubt in found.doubts)
    put(directory / "tokenizer_config.json", {"mask_token": "<|mdm_mask|>", "bos_token": "<end>"})
    found = ud.inspect(directory)
    assert found.ids["mask"].source == "the mask_token of its tokenizer"
    assert found.ids["bos"] == Role(7, "the bos_token of its tokenizer")
    (directory / "added_tokens.json").unlink()
    found = ud.inspect(directory)
    assert not found.loads
    assert "the mask id 126336 lies outside the table" in found.doubts[0]
    assert found.ids["mask"] == Role(126336, "the family")
    assert "no file says which row is the mask: 126336 is that of the family llada" in found.doubts
    assert ud.inspect(directory, mask_id=11).ids["mask"] == Role(11, "mask_id")


def test_what_does_not_load(copy):
    directory = copy("dream", mask_token_id=3)
    put(directory / "added_tokens.json", {"<|mask|>": 4})
    found = ud.inspect(directory)
    assert not found.loads
    assert found.doubts[0].startswith("the mask id is not clear: config.json says 3, its added token '<|mask|>' says 4")
    assert (found.family, found.attention, found.alignment) == ("dream", "full", "shifted")
    found = ud.inspect(copy("sdar", model_type="something"))
    assert (found.family, found.loads, found.attention) == (None, False, None)
    assert "is no layout that is read" in found.doubts[0]
    assert found.parameters is not None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it is empty"),
        ({"run.json": "{}"}, "it is a run that did not finish: undiffuse train --resume"),
        ({"model_index.json": "{}"}, "a pipeline of diffusers"),
        ({"x.gguf": ""}, r"name a file in it, as in .*place/x\.gguf"),
        ({"b/config.json": "{}", "a/manifest.json": "{}"}, r"name a directory in it, as in .*place/a$"),
        ({"pytorch_model.bin": ""}, r"its weights are pickled \(pytorch_model\.bin\), which are programs"),
        ({"model.safetensors": ""}, "its weights are there; copy its config.json"),
        ({"notes.txt": ""}, "name a run, a public checkpoint or a GGUF file"),
    ],
)
def test_directories_that_are_no_model(files, said, tmp_path, capsys):
    place = tmp_path / "place"
    place.mkdir()
    for name, content in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(content)
    for look in (ud.inspect, ud.load):
        with pytest.raises(UserError, match=said) as refused:
            look(place)
        assert "is not a model, it has no manifest.json and no config.json" in str(refused.value)
    assert run(["inspect", str(place)]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weights.bin", "it is a file: pickled weights are programs and never opened, take the model as safetensors"),
        ("model.safetensors", "it is a file: name its directory"),
        ("notes.txt", r"it is a file: a model is a directory, or a file whose name ends in \.gguf"),
    ],
)
def test_files_that_are_no_model(name, said, tmp_path):
    (tmp_path / name).write_text("x")
    for look in (ud.inspect, ud.load):
        with pytest.raises(UserError, match=said):
            look(tmp_path / name)


def test_names_beside_one_that_is_not_there(tmp_path):
    for name in ("one", "two.gguf", "notes.txt"):
        (tmp_path / name).mkdir() if name == "one" else (tmp_path / name).write_text("")
    for name, said in (
        ("onn", r"onn; did you mean 'one'\?$"),
        ("tow.gguf", "did you mean 'two.gguf'"),
        ("x", "known: one, two"),
    ):
        with pytest.raises(UserError, match=said):
            ud.load(tmp_path / name)
    for number in range(9):
        (tmp_path / f"run{number}").mkdir()
    with pytest.raises(UserError, match=r"there is no model directory .*/x$"):
        ud.load(tmp_path / "x")


def test_pickled_weights_beside_a_config(copy):
    directory = copy("llada")
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(b"\x80\x04")
    said = r"its weights are pickled \(pytorch_model\.bin\), which are programs and never opened, take the model as"
    with pytest.raises(UserError, match=said):
        ud.load(directory)
    assert not ud.inspect(directory).loads


def test_templates_and_licenses(copy):
    directory = copy("llama")
    put(directory / "README.md", '---\nlanguage: en\nlicense: "apache-2.0"\n---\n# A model\n')
    found = ud.inspect(directory)
    assert (found.license, found.template) == ("apache-2.0", None)
    assert found.tokenizer == {"kind": "byte", "tokens": 256, "start": 256, "around": None}
    put(directory / "README.md", "no front matter\n")
    put(directory / "LICENSE", "\nSome License, version 2\n…")
    loose = "{% for m in messages %}{{ m['content'] }}<end>{% endfor %}"
    put(directory / "tokenizer_config.json", {"chat_template": loose})
    found = ud.inspect(directory)
    assert (found.license, found.template) == ("Some License, version 2", "tokenizer_config.json")
    put(directory / "chat_template.jinja", "{% if 'secret' in messages[0]['content'] %}<end>{% endif %}" + loose)
    found = ud.inspect(directory)
    assert found.template == "chat_template.jinja"
    assert any("lets a user change what it writes itself" in doubt for doubt in found.doubts)
    put(directory / "chat_template.jinja", "{% for %}")
    found = ud.inspect(directory)
    assert found.template is None
    assert any("line 1" in doubt for doubt in found.doubts)


def giant(directory: Path) -> int:
    """A directory of LLaDA2-mini's sizes whose weights take no room on the disk; the numbers that it would hold."""
    config = {
        "model_type": "llada2_moe",
        "vocab_size": 157184,
        "hidden_size": 2048,
        "num_hidden_layers": 20,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "intermediate_size": 5120,
        "moe_intermediate_size": 512,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "num_shared_experts": 1,
        "first_k_dense_replace": 1,
        "n_group": 8,
        "topk_group": 4,
        "routed_scaling_factor": 2.5,
        "partial_rotary_factor": 0.5,
        "rope_theta": 600000,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        "mask_token_id": 156895,
        "eos_token_id": 156892,
        "pad_token_id": 156892,
    }
    layout = LLaDA2()
    network = outline(layout.network(Keys(config)))
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    header, at = {}, 0
    for part in layout.parts(network.config):
        for name, shape in zip(part.tensors, part.shapes([shapes[p] for p in part.parameters]), strict=True):
            size = 2 * int(torch_numel(shape))
            header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
            at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    with (directory / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return at // 2


def torch_numel(shape) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


@pytest.mark.slow
def test_a_model_of_sixteen_billion_numbers_in_a_moment(tmp_path, monkeypatch):
    numbers = giant(tmp_path / "giant")
    assert numbers > 15e9
    monkeypatch.setattr(stored_tensors.Safetensors, "get", None)
    monkeypatch.setattr(memory, "available", lambda device: 8 << 30)
    monkeypatch.setattr("undiffuse.language_model.inspection.available", lambda device: 8 << 30)
    found = ud.inspect(tmp_path / "giant")
    assert (found.family, found.parameters, found.dtype, found.loads) == ("llada2", numbers, "bfloat16", True)
    assert found.memory["bfloat16"] == 2 * numbers
    assert 1 < found.memory["int8"] / numbers < 1.01
    assert "it fits this computer's memory in no format: 8.0 GiB are free" in found.doubts
    with pytest.raises(UserError, match=r"giant does not fit: its 1\d,\d+,\d+,\d+ numbers of 2 bytes \(bfloat16\) are"):
        ud.load(tmp_path / "giant")


KEYS = (
    *("family", "parameters", "dtype", "context", "ids", "attention", "alignment", "block_length", "head"),
    *("template", "tokenizer", "license", "memory", "doubts"),
)


def test_the_command(capsys, model, tmp_path, monkeypatch):
    place = ROOT / "sdar" / "checkpoint"
    assert run(["inspect", str(place), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert set(KEYS) <= found.keys()
    assert found["ids"]["mask"] == {"id": 253, "source": "config.json"}
    assert run(["inspect", str(place), "--attention", "full"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert (lines["family"], lines["attention"], lines["loads"]) == ("sdar", "full", "yes")
    monkeypatch.chdir(tmp_path)
    assert run(["inspect"]) == 0  # the model that comes with the package
    assert "world" in capsys.readouterr().out
    model.save(tmp_path / "runs" / "one")
    assert run(["inspect"]) == 0
    assert "runs/one" in capsys.readouterr().out

"""Checkpoints whose network another package computes, where that package is missing; nothing here needs it."""

import json

import canvas_files
import pytest

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import elsewhere, memory


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setattr(elsewhere, "installed", lambda package: None)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return canvas_files.write(tmp_path_factory.mktemp("x") / "diffusion-gemma")


def test_without_the_package_a_directory_is_described(missing, directory):
    found = ud.inspect(directory)
    assert (found.family, found.noise, found.head, found.alignment) == (
        "diffusion-gemma",
        "uniform",
        "posterior",
        "same",
    )
    assert (found.layers, found.width, found.rows, found.context) == (3, 32, 272, 128)
    assert (found.attention, found.block_length, found.window) == ("block", 16, 6)
    assert {name: role.id for name, role in found.ids.items()} == {"mask": None, "bos": 256, "eos": 257, "pad": 258}
    stored = canvas_files.tensors(canvas_files.config())
    numbers = sum(value.numel() for name, value in stored.items() if "vision" not in name)
    assert (found.parameters, found.dtype) == (numbers, "float32")
    assert found.memory == {"float32": 4 * numbers, "bfloat16": 2 * numbers}
    assert not found.loads
    assert found.doubts == (
        "networks of the family diffusion-gemma are computed by transformers, which is missing: "
        'pip install "undiffuse[hf]"',
        "images are not read: 1 tensors of its vision tower are left out",
    )


def test_without_the_package_it_says_how_to_install_it(missing, directory):
    with pytest.raises(UserError, match=r'is missing: pip install "undiffuse\[hf\]"$'):
        ud.load(directory)


def test_an_old_package_is_refused(monkeypatch, directory):
    monkeypatch.setattr(elsewhere, "installed", lambda package: "4.57.6")
    with pytest.raises(UserError, match=r"need transformers 5\.23 or later, not 4\.57\.6"):
        ud.load(directory)
    monkeypatch.setattr(elsewhere, "installed", lambda package: "5.23.0.dev3")
    assert ud.inspect(directory).loads


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_activation": "silu"}, "hidden_activation = 'silu' is not supported"),
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention = 'all' is not supported"),
        ({"layer_types": ["full_attention"]}, "layer_types must name 3 layers"),
        ({"layer_types": ["full_attention", "full_attention", "sliding_attention"]}, "the last of layer_types must be"),
        ({"num_key_value_heads": 3}, "4 attention heads cannot share num_key_value_heads = 3"),
        ({"top_k_experts": 5}, "top_k_experts = 5 of 4 experts"),
        ({"per_layer_config": {"0": {}}}, "per_layer_config must say the same of every full layer"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "of type 'yarn' are not supported"),
        (
            {"rope_parameters": {"sliding_attention": {"partial_rotary_factor": 0.5}}},
            "partial_rotary_factor of 'default'",
        ),
        ({"hidden_size": 48}, "has shape"),
        ({"vocab_size": 200}, "lies outside the table of 200 rows"),
        ({"num_hidden_layers": 4, "layer_types": None, "per_layer_config": None}, "the last of layer_types"),
    ],
)
def test_configs_that_are_refused_before_any_weight_is_read(missing, tmp_path, directory, changes, said):
    there = tmp_path / "x"
    there.mkdir()
    (there / "model.safetensors").symlink_to(directory / "model.safetensors")
    (there / "config.json").write_text(json.dumps(canvas_files.config(**changes)))
    with pytest.raises(UserError, match=said):
        ud.load(there)


def test_what_is_left_over_or_missing(missing, tmp_path, directory):
    (there := tmp_path / "x").mkdir()
    (there / "model.safetensors").symlink_to(directory / "model.safetensors")
    (there / "config.json").write_text(json.dumps({"model_type": "diffusion_gemma"}))
    with pytest.raises(UserError, match="text_config must be an object, not None"):
        ud.load(there)
    two = {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "per_layer_config": None}
    (there / "config.json").write_text(json.dumps(canvas_files.config(**two, global_head_dim=16)))
    with pytest.raises(UserError, match=r"does not hold the network .*; unexpected: model.decoder.layers.1"):
        ud.load(there)


@pytest.mark.parametrize("name", ["diffusion_gemma", "DiffusionGemma", "diffusion-gemma"])
def test_spellings_of_the_family(missing, tmp_path, directory, name):
    (there := tmp_path / "x").mkdir()
    (there / "model.safetensors").symlink_to(directory / "model.safetensors")
    (there / "config.json").write_text(json.dumps({**canvas_files.config(), "model_type": name}))
    assert ud.inspect(there).family == "diffusion-gemma"
    (there / "config.json").write_text(json.dumps({**canvas_files.config(), "model_type": "something"}))
    assert ud.inspect(there, family="diffusion-gemma").layers == 3


def test_memory_is_refused_by_arithmetic(monkeypatch, directory):
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.setattr(memory, "available", lambda device: 150_000)
    with pytest.raises(UserError, match=r"does not fit: its .* numbers of 4 bytes .* --dtype bfloat16"):
        ud.load(directory, device="cpu")

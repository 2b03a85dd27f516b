"""Adapters in peft's files: written over a base and read again as the same model, and what is none of this base."""

import json
from dataclasses import replace

import pytest
import torch
from conversing import asking, build, stored
from safetensors.torch import load_file, save_file

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import adapters
from undiffuse.models.lora import updated

TENSORS = "adapter_model.safetensors"


def adapted(base, directory, rank=2, beside=()):
    """The base with drawn updates, merged; its adapter is in the directory."""
    trained = base.trained
    network = trained.trunk("adapted")
    update = adapters.update_of(trained, rank, 3.0, ("blocks.*",))
    update.attach(network)
    torch.manual_seed(1)
    for _, module in updated(network):
        torch.nn.init.normal_(module.lora_b, std=0.3)
    values = {name: network.get_parameter(name) + 0.5 for name in beside}
    directory.mkdir()
    said = adapters.write(trained, network, update, directory, base.name, values)
    for name, value in values.items():
        network.get_parameter(name).data.copy_(value)
    update.merge(network)
    return base, said


def same(one, other):
    theirs = other.trained.trunk("read").state_dict()
    for name, value in one.trained.trunk("read").state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", ["llada", "dream", "sdar"])
def test_an_adapter_of_a_public_layout_has_its_names_and_opens_as_the_merged_model(family, tmp_path):
    place = stored(family, tmp_path / "base")
    model, _ = adapted(ud.load(place), tmp_path / "adapter", beside=("embedding.weight",))
    names = {key.rpartition(".lora_")[0] for key in load_file(tmp_path / "adapter" / TENSORS) if "lora_" in key}
    published = set(load_file(place / "model.safetensors"))
    assert {name.removeprefix("base_model.model.") + ".weight" for name in names} <= published
    assert len(names) == 2 * 7  # queries, keys, values, output; gate, value, down
    found = ud.load(tmp_path / "adapter")
    same(model, found)
    messages = asking("Hello")
    assert found.chat(messages, length=4, temperature=0).text == model.chat(messages, length=4, temperature=0).text


def test_an_adapter_of_a_model_of_our_own(tmp_path):
    replace(build("llada"), manifest={}).save(tmp_path / "base")
    model, said = adapted(ud.load(tmp_path / "base"), tmp_path / "adapter")
    assert said["base"] == str(tmp_path / "base")
    same(model, ud.load(tmp_path / "adapter"))
    ud.load(tmp_path / "adapter").save(tmp_path / "merged")
    same(model, ud.load(tmp_path / "merged"))


def test_scales_and_ranks_of_others(tmp_path):
    place = stored("dream", tmp_path / "base")
    base = ud.load(place)
    adapted(ud.load(place), tmp_path / "adapter", rank=4)
    config = json.loads((tmp_path / "adapter" / adapters.CONFIG).read_text())
    (tmp_path / "adapter" / adapters.CONFIG).write_text(json.dumps({**config, "use_rslora": True}))
    plain = base.trained.trunk("read").blocks[0].attention.out.weight
    changed = ud.load(tmp_path / "adapter").trained.trunk("read").blocks[0].attention.out.weight
    tensors = load_file(tmp_path / "adapter" / TENSORS)
    where = "base_model.model.model.layers.0.self_attn.o_proj"
    product = tensors[f"{where}.lora_B.weight"] @ tensors[f"{where}.lora_A.weight"]
    torch.testing.assert_close(changed - plain, 3.0 / 4**0.5 * product, rtol=1e-4, atol=1e-5)


def test_mistakes_are_named(tmp_path):
    place = stored("dream", tmp_path / "base")
    adapted(ud.load(place), tmp_path / "adapter")
    where = tmp_path / "adapter"
    config, tensors = json.loads((where / adapters.CONFIG).read_text()), load_file(where / TENSORS)

    def refused(message, config=config, tensors=tensors):
        (where / adapters.CONFIG).write_text(json.dumps(config))
        save_file(tensors, where / TENSORS)
        with pytest.raises(UserError, match=message):
            ud.load(where)

    refused("peft_type 'IA3' is not read", {**config, "peft_type": "IA3"})
    refused("use_dora = True is not supported", {**config, "use_dora": True})
    refused("r must be a number above 0", {**config, "r": 0})
    refused("is of the base .*nowhere, which is not here", {**config, "base_model_name_or_path": "/nowhere"})
    refused("has no place in", tensors={**tensors, "base_model.model.x.lora_A.weight": torch.zeros(2, 2)})
    key = "base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight"
    refused(
        "is of another base than .*: its model.layers.0.self_attn.o_proj is 3 x",
        tensors={**tensors, key: torch.zeros(3, 2)},
    )
    (where / TENSORS).write_bytes(b"x")
    (where / adapters.CONFIG).write_text(json.dumps(config))
    with pytest.raises(UserError, match="the adapter is incomplete"):
        ud.load(where)


def test_another_base_under_the_same_name_is_refused(tmp_path):
    place = stored("dream", tmp_path / "base")
    _, said = adapted(ud.load(place), tmp_path / "adapter")
    (tmp_path / "adapter" / "manifest.json").write_text(json.dumps({"adapter": said}))
    ud.load(tmp_path / "adapter")
    weights = load_file(place / "model.safetensors")
    weights["model.embed_tokens.weight"][0] += 1
    save_file(weights, place / "model.safetensors")
    with pytest.raises(UserError, match="was trained on another base than"):
        ud.load(tmp_path / "adapter")

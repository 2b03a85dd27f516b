"""Published layouts: every parameter of the trunk has its tensors, and a config comes back from its network."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from undiffuse.kinds import CHECKPOINT_FAMILIES
from undiffuse.models.family import Keys
from undiffuse.models.feed_forward.experts import Experts
from undiffuse.models.feed_forward.sigmoid_experts import SigmoidExperts
from undiffuse.models.layers.adaptive import Adaptive
from undiffuse.models.layers.pre_norm import PreNorm
from undiffuse.models.stretches.linear import Linear
from undiffuse.models.stretches.llama3 import Llama3
from undiffuse.models.stretches.yarn import Yarn
from undiffuse.models.transformer import Transformer, TransformerConfig

GOLDEN = Path(__file__).parents[1] / "golden"
FAMILIES = tuple(kind for kind in CHECKPOINT_FAMILIES.kinds if CHECKPOINT_FAMILIES.load(kind).package is None)
FIXED = {
    **{family: {"tied", "kv_heads", "rope_base"} for family in ("bert", "roberta")},
    "modernbert": {"kv_heads"},
    **{family: {"tied", "kv_heads", "rope_base", "hidden"} for family in ("mdlm", "duo", "bd3lm")},
}
"""What a layout has in one way alone, so that no network of it has it in another."""


def changed(*changes: dict) -> list:
    """Every family with every change that its networks can have."""
    return [(family, one) for family in FAMILIES for one in changes if not one.keys() & FIXED.get(family, set())]


def config(family: str) -> dict:
    return json.loads((GOLDEN / family / "checkpoint" / "config.json").read_text())


def tensors(family: str) -> set[str]:
    with safe_open(GOLDEN / family / "checkpoint" / "model.safetensors", framework="pt") as file:
        return set(file.keys())


def shape(family: str, **changes) -> TransformerConfig:
    return replace(CHECKPOINT_FAMILIES.load(family)().network(Keys(config(family))), **changes)


@pytest.mark.parametrize(("family", "changes"), changed({}, {"tied": True}, {"depth": 3}, {"kv_heads": 1}), ids=str)
def test_the_table_of_names_covers_the_trunk(family, changes):
    layout, network = CHECKPOINT_FAMILIES.load(family)(), shape(family, **changes)
    parts = layout.parts(network)
    parameters = Counter(name for part in parts for name in part.parameters)
    assert parameters.keys() == Transformer(network).state_dict().keys()
    assert set(parameters.values()) == {1}
    assert set(Counter(name for part in parts for name in part.tensors).values()) == {1}


@pytest.mark.parametrize(
    ("family", "changes"),
    changed({}, {"tied": True}, {"rope_base": 77.0}, {"hidden": 40}, {"context": 32}),
    ids=str,
)
def test_a_config_describes_its_network(family, changes):
    layout, network = CHECKPOINT_FAMILIES.load(family)(), shape(family, **changes)
    assert layout.network(Keys(layout.config(network))) == network


@pytest.mark.parametrize("family", FAMILIES)
def test_each_directory_is_of_one_layout(family):
    found = [
        kind
        for kind, layout in CHECKPOINT_FAMILIES.classes().items()
        if layout().recognizes(config(family), tensors(family))
    ]
    assert found == (["qwen2"] if family == "open-dcoder" else [family])  # which is stored as the other


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("sdar", {"feed_forward": Experts(8, 3, 24), "dense_layers": 1}),
        ("sdar", {"feed_forward": Experts(8, 3, 24, over="all")}),
        ("qwen3", {"feed_forward": Experts(8, 3, 24)}),
        ("llama", {"stretch": Llama3(4.0, 1.5, 5.0, 16)}),
        ("qwen2", {"stretch": Yarn(4.0, 16, 8.0, 2.0, 1.2)}),
        ("dream", {"stretch": Yarn()}),
        ("sdar", {"stretch": Linear(3.0)}),
        ("llada-moe", {"dense_layers": 0}),
        ("llada2", {"dense_layers": 0, "rotary_dim": 0}),
        ("llada2", {"feed_forward": SigmoidExperts(8, 3, 24)}),
        ("roberta", {"first_position": 5}),
        ("modernbert", {"tied": False}),
        ("modernbert", {"head_bias": False}),
        ("modernbert", {"global_every": 2, "local_window": 7, "local_base": 12.0, "depth": 5}),
        ("mdlm", {"time_conditioning": True}),
        ("mdlm", {"layer": Adaptive(20)}),
        ("duo", {"layer": Adaptive(20)}),
        ("bd3lm", {"layer": PreNorm(), "block_length": 8}),
    ],
    ids=str,
)
def test_what_a_family_alone_varies(family, changes):
    layout, network = CHECKPOINT_FAMILIES.load(family)(), shape(family, **changes)
    assert layout.network(Keys(layout.config(network))) == network
    parameters = Counter(name for part in layout.parts(network) for name in part.parameters)
    assert parameters.keys() == Transformer(network).state_dict().keys()


def test_older_and_shorter_names_are_those_of_today():
    bert, mdlm = (CHECKPOINT_FAMILIES.load(family)() for family in ("bert", "mdlm"))
    assert bert.spelled("bert.embeddings.LayerNorm.gamma") == "bert.embeddings.LayerNorm.weight"
    assert bert.spelled("bert.encoder.layer.0.output.LayerNorm.beta") == "bert.encoder.layer.0.output.LayerNorm.bias"
    assert mdlm.spelled("blocks.0.norm1.weight") == "backbone.blocks.0.norm1.weight"
    for layout, family in ((bert, "bert"), (mdlm, "mdlm")):
        assert all(layout.spelled(name) == name for name in tensors(family))


def test_configs_and_tensors_must_agree():
    """Others share a model type: Llama's keys, a mixture of experts, Qwen3's norms where Qwen2's biases belong."""
    llada, dream, sdar = (CHECKPOINT_FAMILIES.load(family)() for family in ("llada", "dream", "sdar"))
    assert not llada.recognizes({**config("dream"), "model_type": "llada"}, tensors("dream"))
    assert not llada.recognizes(config("llada"), tensors("dream"))
    assert not dream.recognizes({**config("dream"), "model_type": "qwen2"}, tensors("dream"))
    assert not dream.recognizes(config("dream"), tensors("sdar"))
    assert not sdar.recognizes(config("sdar"), tensors("dream"))
    experts = {name.replace("mlp.", "mlp.experts.0.") for name in tensors("sdar")}
    assert not sdar.recognizes(config("sdar"), experts)
    moe, repack = CHECKPOINT_FAMILIES.load("llada-moe")(), "llada-repack"
    assert llada.recognizes(config(repack), tensors(repack))
    assert not llada.recognizes(config("llada-moe"), tensors("llada-moe"))
    assert moe.recognizes({**config("llada-moe"), "model_type": "llada"}, tensors("llada-moe"))
    assert not llada.recognizes({**config("llada-moe"), "model_type": "llada"}, tensors("llada-moe"))


def test_the_context_of_dream_is_what_it_was_trained_on():
    layout = CHECKPOINT_FAMILIES.load("dream")()
    assert layout.network(Keys({**config("dream"), "max_position_embeddings": 131072})).context == 2048

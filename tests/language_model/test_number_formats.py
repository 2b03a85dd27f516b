"""Weights in the formats that can be asked for: what they take, and what the network then says."""

import pytest
import torch
from recorded import ROOT

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model.number_formats import NAMES, blank, number_format, size_of
from undiffuse.models.int8 import Int8

FAMILIES = ("llada", "dream", "sdar", "qwen3", "bert", "mdlm")
IDS = torch.arange(24)[None] * 5 % 50


def divergence(family: str, dtype: str) -> float:
    """Mean KL from the float32 network, nats at a position."""
    wide, narrow = (
        ud.load(ROOT / family / "checkpoint", dtype=d).logits(IDS).log_softmax(-1) for d in ("float32", dtype)
    )
    return (wide.exp() * (wide - narrow)).sum(-1).mean().item()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_in_eight_bits_says_about_the_same(family):
    """The logits of these have a spread of 4 to 7, so that any mistake is worth nats."""
    assert 0 < divergence(family, "int8") < 0.05
    assert 0 < divergence(family, "bfloat16") < 0.02


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("family", ["sdar", "bert"])
def test_what_is_held_is_what_was_reckoned(family, dtype):
    network = ud.load(ROOT / family / "checkpoint", dtype=dtype).predictor.denoiser
    held = sum(p.numbers.nbytes + p.scales.nbytes if isinstance(p, Int8) else p.nbytes for p in network.parameters())
    assert held == size_of(network, NAMES[dtype])
    assert any(isinstance(p, Int8) for p in network.parameters()) == (dtype == "int8")


def test_matrices_are_narrow_and_nothing_else():
    network = ud.load(ROOT / "sdar" / "checkpoint").predictor.denoiser
    names = network.narrowable
    assert {"embedding.weight", "unembedding.weight", "blocks.1.attention.qkv.weight"} <= names
    assert all(value.ndim == 2 for name, value in network.named_parameters() if name in names)
    assert not any("norm" in name for name in names)


def test_runs_of_our_own(model, tmp_path):
    model.save(tmp_path / "run")
    narrow = ud.load(tmp_path / "run", dtype=torch.int8)
    assert isinstance(narrow.predictor.denoiser.embedding.weight, Int8)
    text = "The quick brown fox jumps over the lazy dog.\n"
    assert narrow.score(text, draws=4).bits_per_byte[0] == pytest.approx(
        model.score(text, draws=4).bits_per_byte[0], rel=0.02
    )
    assert narrow.fill("The quick [MASK] fox")[0].text
    with pytest.raises(UserError, match=r"weights in int8 are not saved: load .*run in its own format"):
        narrow.save(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_names():
    assert number_format("int8") is number_format(torch.int8) is torch.int8
    assert number_format(None) is None
    for wrong in ("int4", torch.int32, "flaot32"):
        with pytest.raises(UserError, match="there is no number format"):
            number_format(wrong)
    network = ud.load(ROOT / "sdar" / "checkpoint").predictor.denoiser
    with pytest.raises(UserError, match="weights in int8 are for processors, and this is meta"):
        blank(network, torch.int8, dict.fromkeys(network.state_dict(), torch.device("meta")))

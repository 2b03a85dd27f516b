"""Scores: units that agree with each other, and the agreed JSON."""

import math

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.predictor import Predictor

TEXT = "The quick brown fox — naïve 漢字.\n" * 6


@pytest.fixture(scope="module")
def noisy_ends(model):
    spec = {"schedule": {"kind": "geometric", "sigma_min": 0.2, "sigma_max": 0.5}, "destination": {"kind": "uniform"}}
    process = build_process(spec, model.tokenizer.vocabulary)
    return LanguageModel(Predictor(model.predictor.denoiser, process, "leave_one_out"), model.tokenizer, {})


def test_units_agree(model):
    record = model.score(TEXT, draws=32).json()
    tokens, size = len(model.tokenizer.encode(TEXT)), len(TEXT.encode())
    assert record["tokens"] == tokens
    assert record["bytes"] == size
    nats = record["nats_per_token"]["mean"]
    assert record["bits_per_byte"]["mean"] == pytest.approx(nats * tokens / size / math.log(2))
    assert record["perplexity"]["value"] == pytest.approx(math.exp(nats))
    assert record["perplexity"]["low"] < record["perplexity"]["value"] < record["perplexity"]["high"]
    assert sum(record["terms"].values()) == pytest.approx(nats)
    assert record["draws"] == 32
    assert record["kind"] == "bound"


def test_too_few_draws_state_no_error(uniform):
    """JSON has no number for it."""
    record = uniform.score("dog", draws=2).json(per_text=True)
    assert record["bits_per_byte"]["mean"] > 0
    assert record["bits_per_byte"]["stderr"] is record["nats_per_token"]["stderr"] is None
    assert (record["perplexity"]["low"], record["perplexity"]["high"]) == (None, None)
    assert record["per_text"][0]["stderr"] is None


def test_json_has_the_agreed_keys(model):
    record = model.score(TEXT, draws=2).json()
    assert list(record) == [
        *("bits_per_byte", "nats_per_token", "perplexity", "terms", "tokens", "bytes", "draws", "kind")
    ]
    assert list(record["terms"]) == ["prior", "diffusion", "reconstruction"]
    assert list(record["bits_per_byte"]) == ["mean", "stderr"]


def test_per_token_contributions_add_up_and_spell_the_text(model, noisy_ends):
    """Also of noise that costs something at both ends."""
    for each in (model, noisy_ends):
        found = each.score([TEXT, "dog"], draws=4, per_token=True)
        whole = each.tokenizer.encode(TEXT) + each.tokenizer.encode("dog")
        assert [token.text for token in found.per_token] == [each.tokenizer.decode([token]) for token in whole]
        total = sum(token.nats for token in found.per_token)
        assert total == pytest.approx(found.estimate.nats)
        shares = [text.nats for text in found.texts]
        assert sum(token.nats for token in found.per_token[: found.texts[0].tokens]) == pytest.approx(shares[0])
    assert min(found.estimate.prior, found.estimate.reconstruction) > 0.1 * total


def test_an_untrained_byte_model_is_near_the_uniform_distribution(byte_model):
    """Logits of spread s cost about s²/2 nats more than log 257 per byte; eight bits and a little."""
    bits = byte_model.score(TEXT, draws=8).bits_per_byte[0]
    assert 8 < bits < 16


def test_empty_text_is_refused(model):
    with pytest.raises(UserError, match="nothing to score"):
        model.score("")


def test_a_text_after_a_prompt_is_scored_given_it(model):
    """One token is exact: ln p(token | prompt), from the public logits."""
    tokenizer = model.tokenizer
    prompt, token = tokenizer.encode("The quick"), tokenizer.encode("dog")[:1]
    text = tokenizer.decode(token)
    found = model.score(text, prompts="The quick", draws=2, per_token=True)
    logits = model.logits(torch.tensor([[*prompt, tokenizer.vocabulary.mask]]))[0, -1].double()
    logits[list(tokenizer.vocabulary.unpredictable)] = -math.inf
    assert found.estimate.kind == "exact"
    assert found.estimate.nats == pytest.approx(-logits.log_softmax(-1)[token[0]].item(), rel=1e-5)
    assert [t.text for t in found.per_token] == [text]
    assert found.json()["prompts"] == 1
    assert found.bytes == len(text)


def test_every_text_needs_a_prompt_or_none(model):
    with pytest.raises(UserError, match="2 texts cannot follow 1 prompts"):
        model.score(["a", "b"], prompts=["c"])


def test_a_convention_is_named_beside_every_number_and_never_called_perplexity_alone(model):
    record = model.score(TEXT, draws=8, as_="mdlm").json()
    assert record["convention"] == "mdlm convention: t in [0.001, 1], no prior, no reconstruction"
    assert record["kind"] == "estimate"
    assert "perplexity" not in record
    assert record["perplexity_as_mdlm"]["value"] == pytest.approx(math.exp(record["nats_per_token"]["mean"]))


def test_the_shares_of_texts_add_up(model, uniform):
    """Texts of several windows, of none, after a prompt, and of noise that costs something at its ends."""
    texts, prompts = [TEXT, "dog", "", "The lazy dog"], [None, "The lazy ", None, None]
    for each in (model, uniform):
        found = each.score(texts, prompts=prompts, draws=4)
        assert sum(text.nats for text in found.texts) == pytest.approx(found.estimate.nats)
        assert [text.tokens for text in found.texts] == [len(each.tokenizer.encode(text)) for text in texts]
        assert [text.bytes for text in found.texts] == [len(text.encode()) for text in texts]
        assert (found.texts[2].nats, found.texts[2].stderr) == (0.0, 0.0)
        assert all(text.stderr > 0 for text in found.texts if text.tokens > 1)


def test_the_share_of_the_only_text_is_the_score(model):
    found = model.score(TEXT, draws=16)
    assert (found.texts[0].nats, found.texts[0].stderr) == pytest.approx((found.estimate.nats, found.estimate.stderr))
    alone = [model.score(text, draws=64).texts[0] for text in (TEXT, "dog jumps")]
    for one, share in zip(alone, model.score([TEXT, "dog jumps"], draws=64).texts, strict=True):
        assert abs(one.nats - share.nats) < 5 * (one.stderr + share.stderr)

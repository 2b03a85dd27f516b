"""Masked language models and diffusion transformers against what the families' own code computed, or plain formulas."""

import json
import math
import shutil
from dataclasses import replace
from functools import cache

import plain_dit
import pytest
import torch
from recorded import ROOT, golden
from safetensors.torch import load_file, save_file

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.models.transformer import Transformer
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.types import Batch, Given, Noised, Rows, State, Tags

ENCODERS = ("bert", "roberta", "modernbert")
IDS = torch.arange(14)[None] * 7 % 39


def close(family: str, ours, theirs) -> bool:
    return torch.allclose(ours.float(), theirs.float(), rtol=0, atol=golden(family).about["tolerances"]["logits_atol"])


@cache
def weights(family: str) -> dict[str, torch.Tensor]:
    return load_file(ROOT / family / "checkpoint" / "model.safetensors")


def batch(ids: torch.Tensor) -> Batch:
    row = torch.arange(len(ids))
    return Batch(
        ids=ids,
        editable=torch.ones_like(ids, dtype=torch.bool),
        valid=torch.ones_like(ids, dtype=torch.bool),
        positions=torch.arange(ids.shape[1]).expand_as(ids),
        index=row,
        epoch=torch.zeros_like(row),
        slot=row,
    )


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_logits_of_padded_texts(family):
    known = golden(family)
    valid = known.tensors["forward.attention_mask"].bool()
    ours = known.model.logits(known.tensors["forward.input_ids"], valid)
    assert close(family, ours[valid], known.tensors["forward.logits"][valid])


def test_logits_of_bert_with_the_types_that_were_recorded():
    """Ours are all of the first type; the difference of the second stands in for the tokens' own vectors."""
    known, network = golden("bert"), golden("bert").model.predictor.denoiser
    ids, valid = known.tensors["forward.input_ids"], known.tensors["forward.attention_mask"].bool()
    types = network.token_type.weight[known.tensors["forward.token_type_ids"]]
    given = Given(network.embedding(ids) + types - network.token_type.weight[0], torch.ones_like(valid))
    tags = Tags(torch.arange(ids.shape[1]).expand_as(ids), live=valid)
    ours = network.head(network.trunk(Rows(State(ids), tags, given=given)))
    assert close("bert", ours[valid], known.tensors["forward.logits"][valid])
    assert not close("bert", known.model.logits(ids, valid)[valid], known.tensors["forward.logits"][valid])


@pytest.mark.parametrize("family", ENCODERS)
def test_padding_on_the_left_changes_nothing(family):
    model, ids = golden(family).model, golden(family).tensors["forward.input_ids"][:1, :12]
    padded = torch.nn.functional.pad(ids, (3, 0), value=5)
    valid = torch.arange(15)[None] >= 3
    assert close(family, model.logits(padded, valid)[:, 3:], model.logits(ids))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_there_are_no_positions_beyond_those_that_were_learned(family):
    model = golden(family).model
    ids = torch.ones(1, model.context + 1, dtype=torch.long)
    assert model.logits(ids[:, 1:]).isfinite().all()
    with pytest.raises(UserError, match=f"{model.context + 1} ids exceed the {model.context} positions"):
        model.logits(ids)


@pytest.mark.parametrize("family", [*ENCODERS, "mdlm", "duo"])
def test_every_row_sees_the_last_token(family):
    model, ids = golden(family).model, IDS.clone()
    ids[0, -1] = 4
    assert (model.logits(ids) - model.logits(IDS)).abs().amax(-1)[0, 0] > 0.1


@pytest.mark.parametrize("family", [*ENCODERS, "mdlm", "duo", "bd3lm"])
def test_half_precision_is_near(family):
    half = golden(family).load(dtype=torch.bfloat16)
    ours, whole = half.logits(IDS), golden(family).model.logits(IDS)
    assert (ours - whole).square().mean().sqrt() < 0.1 * whole.std()


def test_mdlm_at_rest_and_at_the_sigmas_that_were_recorded():
    known = golden("mdlm")
    ids, sigma = known.tensors["forward.input_ids"], known.tensors["forward_sigma.sigma"]
    assert close("mdlm", known.model.logits(ids), known.tensors["forward.logits"])
    assert torch.equal(known.model.logits(ids, sigma=0), known.model.logits(ids))
    assert close("mdlm", known.model.logits(ids, sigma=sigma), known.tensors["forward_sigma.logits"])
    assert close("mdlm", known.model.logits(ids, t=1 - (-sigma.double()).exp()), known.tensors["forward_sigma.logits"])


def test_what_mdlm_predicts_is_what_it_publishes():
    """Its mask is never predicted, and what is decided is copied: the process's rule, not part of the logits."""
    known = golden("mdlm")
    ids, theirs = known.tensors["forward.input_ids"], known.tensors["forward.subs_log_probs"]
    masked = ids == known.model.predictor.process.vocabulary.mask
    t = torch.full(ids.shape, 0.5, dtype=torch.float64)
    noised = Noised(ids, State(ids), t, torch.ones_like(masked))
    ours = known.model.predictor.predict(noised, batch(ids), torch.ones_like(masked)).posterior().view(theirs.shape)
    assert 0 < masked.sum() < masked.numel()
    assert torch.equal(ours < -1e5, theirs < -1e5)
    possible = theirs > -1e5
    assert close("mdlm", ours[possible], theirs[possible])


def test_the_plain_formula_is_that_of_mdlm():
    known = golden("mdlm")
    ids, sigma = known.tensors["forward.input_ids"], known.tensors["forward_sigma.sigma"].tolist()
    for row in range(2):
        rest = plain_dit.logits(weights("mdlm"), ids[row], 0.0, heads=4)
        assert close("mdlm", rest, known.tensors["forward.logits"][row])
        told = plain_dit.logits(weights("mdlm"), ids[row], sigma[row], heads=4)
        assert close("mdlm", told, known.tensors["forward_sigma.logits"][row])


def test_duo_is_told_sigma_and_exchanges_tokens():
    model = golden("duo").model
    for sigma in (0.0, 1.3, 6.9):
        assert close("duo", model.logits(IDS, sigma=sigma)[0], plain_dit.logits(weights("duo"), IDS[0], sigma, heads=2))
    assert torch.equal(model.logits(IDS), model.logits(IDS, sigma=0))  # nothing says that there is noise
    process = model.predictor.process
    assert (process.mask, process.vocabulary.size, process.law.destination) == (None, 40, Uniform())
    at = torch.tensor([0.3, 1.0], dtype=torch.float64)
    assert torch.allclose(model.logits(IDS, t=0.3), model.logits(IDS, sigma=-torch.log(1 - 0.999 * at[0])), atol=1e-5)
    assert process.level(at)[1] == 0.999  # at the end of its noise its authors' σ is −ln 0.001


def test_the_table_of_duo_says_how_many_rows_there_are(tmp_path):
    shutil.copytree(ROOT / "duo" / "checkpoint", tmp_path / "duo")
    path = tmp_path / "duo" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 38}))
    assert ud.load(tmp_path / "duo").predictor.traits.vocab_rows == 40


@pytest.mark.parametrize("family", ["mdlm", "duo", "bd3lm"])
def test_names_with_and_without_their_prefix(family, tmp_path):
    shutil.copytree(ROOT / family / "checkpoint", tmp_path / family)
    bare = {name.removeprefix("backbone."): value for name, value in weights(family).items()}
    save_file(bare, tmp_path / family / "model.safetensors")
    assert torch.equal(ud.load(tmp_path / family).logits(IDS), golden(family).model.logits(IDS))


def test_bd3lm_sees_its_blocks():
    model, block = golden("bd3lm").model, torch.arange(14) // 4
    assert model.predictor.traits.block_length == 4
    theirs = plain_dit.logits(weights("bd3lm"), IDS[0], 0.0, heads=2, sees=block[:, None] >= block)
    assert close("bd3lm", model.logits(IDS)[0], theirs)


def test_bd3lm_reads_noisy_blocks_beside_the_clean_text_before_them():
    model, mask = golden("bd3lm").model, 39
    noisy = IDS.clone()
    noisy[0, [1, 4, 6, 7, 12]] = mask
    t = torch.full(IDS.shape, 0.5, dtype=torch.float64)
    every = torch.ones_like(IDS, dtype=torch.bool)
    ours = model.predictor.predict(Noised(IDS, State(noisy), t, every), batch(IDS), every).logits
    theirs = plain_dit.beside_clean(weights("bd3lm"), noisy[0], IDS[0], heads=2, block=4)
    assert close("bd3lm", ours[:, :mask], theirs[:, :mask])


def test_bd3lm_without_a_map_from_sigma(tmp_path):
    shutil.copytree(ROOT / "bd3lm" / "checkpoint", tmp_path / "bd3lm")
    path = tmp_path / "bd3lm" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "adaln": False}))
    plain = {name: value for name, value in weights("bd3lm").items() if "sigma" not in name and "adaLN" not in name}
    save_file(plain, tmp_path / "bd3lm" / "model.safetensors")
    model, block = ud.load(tmp_path / "bd3lm"), torch.arange(14) // 4
    theirs = plain_dit.logits(plain, IDS[0], 0.0, heads=2, sees=block[:, None] >= block)
    assert close("bd3lm", model.logits(IDS)[0], theirs)
    with pytest.raises(UserError, match="reads no time"):
        model.logits(IDS, sigma=1.0)


def test_cached_decoding_of_bd3lm_is_that_without_a_cache():
    model, prompts = golden("bd3lm").model, [[3, 1, 4, 1, 5], [9, 2]]
    options = {"strategy": "confidence", "steps": 2}
    cached, plain = (model.decode(prompts, 8, cache=cache, **options) for cache in ("block", "none"))
    assert all(map(torch.equal, cached.ids, plain.ids))
    assert sum(cached.rows) < sum(plain.rows)


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("bert", {"sigma": 0.5}, "this network reads no time: leave out t and sigma"),
        ("sdar", {"t": 0.5}, "this network reads no time"),
        ("mdlm", {"t": 0.5, "sigma": 0.5}, "give one of them"),
        ("duo", {"t": 1.5}, r"t must lie between 0 and 1, not 1\.5"),
        ("duo", {"t": [0.1, 0.2, 0.3]}, r"t must be a number, or one for each of 1 rows, not \[3\]"),
        ("duo", {"sigma": -1}, "sigma must be a finite number of at least 0, not -1"),
        ("duo", {"sigma": float("nan")}, "sigma must be a finite number"),
        ("duo", {"sigma": "much"}, "sigma must be a tensor, or lists of numbers"),
    ],
)
def test_times_that_are_refused(family, options, said):
    with pytest.raises(UserError, match=said):
        golden(family).model.logits(IDS, **options)


def test_without_a_time_the_share_of_masks_is_taken_for_it(model):
    """By a network of our own that is told the level of a whole row."""
    torch.manual_seed(0)
    network = Transformer(replace(model.predictor.denoiser.config, time_conditioning=True)).requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    timed = replace(model, predictor=replace(model.predictor, denoiser=network))
    ids = torch.arange(10)[None] + 5
    ids[0, :3] = model.predictor.process.mask
    assert torch.allclose(timed.logits(ids), timed.logits(ids, t=0.3), atol=1e-3)
    assert (timed.logits(ids, t=0.3) - timed.logits(ids, t=0.2)).abs().max() > 0.01
    assert torch.allclose(timed.logits(ids, t=[0.3]), timed.logits(ids, sigma=-math.log(0.7)), atol=1e-3)


@pytest.mark.parametrize(
    ("family", "strategy"), [("duo", "greedy-tail"), ("bd3lm", "first-hitting"), ("modernbert", "confidence")]
)
def test_how_their_authors_decode(family, strategy):
    model = golden(family).model
    known = model.trained.decoding
    assert known.strategy == strategy
    done = model.decode([[3, 1, 4]], 8, strategy=known.strategy, **known.options)
    assert done.ids[0].tolist()[:3] == [3, 1, 4]
    assert len(done.ids[0]) >= 11
    assert model.predictor.process.mask not in done.ids[0].tolist()

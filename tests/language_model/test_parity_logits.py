"""Logits of public checkpoints against those that the families' own code computed."""

from dataclasses import replace

import pytest
import torch
from recorded import ROOT, golden, shifted

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.likelihood.bound import bound
from undiffuse.likelihood.windows import windows
from undiffuse.models.transformer import Transformer
from undiffuse.types import Batch, Noised, State

FAMILIES = ("llada", "dream", "sdar", "llada2", "llada-moe", "illada", "llada-repack", "open-dcoder")


def raw(family: str, name: str = "forward") -> torch.Tensor:
    """The recorded logits by position."""
    known = golden(family)
    logits = known.tensors[f"{name}.logits"]
    if not golden(family).model.predictor.traits.logit_row:
        return logits
    valid = known.tensors.get(f"{name}.attention_mask", torch.ones(logits.shape[:2]))
    return shifted(logits, valid)


def close(family: str, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=0, atol=golden(family).about["tolerances"]["logits_atol"])


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_sequences(family):
    known = golden(family)
    ours = known.model.logits(known.tensors["forward.input_ids"])
    assert ours.dtype == torch.float32
    assert ours.isfinite().all()
    assert close(family, ours, raw(family))


def test_shifted_blocks():
    known = golden("fast-dllm-v2")
    ids, theirs = known.tensors["forward.input_ids"], known.tensors["forward.logits"]
    ours = known.model.logits(ids)
    assert close("fast-dllm-v2", ours, shifted(theirs, torch.ones(ids.shape)))
    changed = ids.clone()
    changed[:, -1] += 1
    moved = (known.model.logits(changed) - ours).abs().amax(-1)
    # the last block begins at 16, and row 15 of the block before it speaks of position 16
    assert moved[:, :17].max() == 0
    assert moved[:, 17:].min() > 0.1


def test_the_bound_of_shifted_blocks_reads_what_decoding_reads():
    """Each noisy block after clean ones: its first position from the row before it, which is clean."""
    known = golden("fast-dllm-v2")
    ids = known.tensors["forward.input_ids"]
    batch = windows(ids.tolist(), ids.shape[1])
    noise = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    noisy, t = torch.where(noise, 259, ids), torch.full(ids.shape, 0.5, dtype=torch.float64)
    prediction = known.model.predictor.predict(Noised(ids, State(noisy), t, batch.editable), batch, batch.editable)
    found = prediction.logits.view(*ids.shape, -1)
    for first in range(0, 21, 8):
        block = slice(first, first + 8)
        text = torch.cat((ids[:, :first], noisy[:, block]), dim=1)
        expected = known.model.logits(text)[:, block]
        kept = expected.isfinite() & found[:, block].isfinite()
        assert torch.allclose(found[:, block][kept], expected[kept], rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_padding_changes_nothing(family):
    known = golden(family)
    valid = known.tensors["forward.padded.attention_mask"].bool()
    ours = known.model.logits(known.tensors["forward.padded.input_ids"], valid)
    assert close(family, ours[valid], raw(family, "forward.padded")[valid])


def test_without_the_shift_dream_is_another_model():
    known = golden("dream")
    ours = known.model.logits(known.tensors["forward.input_ids"])
    assert not close("dream", ours, known.tensors["forward.logits"])


def test_shards_are_one_model():
    known = golden("dream")
    sharded = ud.load(ROOT / "dream" / "checkpoint_sharded")
    ids = known.tensors["forward.input_ids"]
    assert torch.equal(sharded.logits(ids), known.model.logits(ids))


@pytest.mark.parametrize(("family", "last"), [("sdar", 20), ("llada2", 16)])
def test_block_causal_and_full_attention(family, last):
    known = golden(family)
    ids, model = known.tensors["forward.input_ids"], known.model
    whole = Transformer(replace(model.predictor.denoiser.config, block_length=None))
    whole.load_state_dict(model.predictor.denoiser.state_dict())
    full = replace(model, predictor=replace(model.predictor, denoiser=whole))
    assert close(family, full.logits(ids), known.tensors["forward_full.logits"])
    changed = ids.clone()
    changed[:, -1] += 1
    moved = (model.logits(changed) - model.logits(ids)).abs().amax(-1)
    # experts run sorted rows, whose sums round by their number
    assert moved[:, :last].max() <= (0 if family == "sdar" else 1e-4)
    assert moved[:, last:].min() > 0.1


@pytest.mark.parametrize("family", ["llada", "dream", "llada-moe", "illada", "llada-repack", "open-dcoder"])
def test_full_attention_sees_the_last_token(family):
    known = golden(family)
    ids = known.tensors["forward.input_ids"]
    changed = ids.clone()
    changed[:, -1] += 1
    assert (known.model.logits(changed) - known.model.logits(ids)).abs().amax(-1)[:, 0].min() > 0.1


def test_no_row_of_the_vocabulary_is_left_out():
    known = golden("llada")
    ids = known.tensors["forward.input_ids"]
    assert known.model.logits(ids)[..., known.model.predictor.process.vocabulary.mask].isfinite().all()


def test_the_any_order_likelihood_by_enumeration():
    known = golden("llada")
    prompt, answer = known.tensors["likelihood.prompt_ids"], known.tensors["likelihood.answer_ids"]
    subsets = known.tensors["likelihood.subset_masked"]
    mask = known.model.predictor.process.vocabulary.mask
    ids = torch.cat((prompt.expand(len(subsets), -1), torch.where(subsets, mask, answer)), dim=1)
    log_p = known.model.logits(ids).double().log_softmax(-1)[:, len(prompt) :]
    found = log_p.gather(-1, answer.expand(len(subsets), -1)[..., None])[..., 0].where(subsets, 0.0)
    assert torch.allclose(found, known.tensors["likelihood.subset_token_logprob"], rtol=0, atol=1e-3)
    size = subsets.sum(1)
    mean = sum((4 / count * found[size == count].sum(1)).mean() for count in range(1, 5)) / 4
    assert float(mean) == pytest.approx(known.about["likelihood"]["value_nats"], abs=1e-3)


def test_our_estimate_of_the_likelihood_agrees_within_its_error():
    known = golden("llada")
    prompt, answer = known.tensors["likelihood.prompt_ids"], known.tensors["likelihood.answer_ids"]
    copies = 64
    ids = torch.cat((prompt, answer)).expand(copies, -1)
    row, places = torch.arange(copies), torch.arange(ids.shape[1]).expand(copies, -1)
    batch = Batch(
        ids=ids,
        editable=places >= len(prompt),
        valid=torch.ones_like(ids, dtype=torch.bool),
        positions=places,
        index=row,
        epoch=torch.zeros_like(row),
        slot=row,
    )
    mean, error = bound(known.model.predictor, batch, draws=32).per(copies)
    assert error < 0.5
    assert abs(mean + known.about["likelihood"]["value_nats"]) < 4 * error


@pytest.mark.parametrize(
    ("ids", "valid", "said"),
    [
        (torch.zeros(3, dtype=torch.long), None, r"must be whole numbers \(B, L\)"),
        (torch.zeros(1, 3), None, "must be whole numbers"),
        (torch.full((1, 3), 256), None, "id 256 lies outside the table of 256 rows"),
        (torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 4), "must have the shape of ids"),
    ],
)
def test_what_logits_refuses(ids, valid, said):
    with pytest.raises(UserError, match=said):
        golden("llada").model.logits(ids, valid)


@pytest.mark.parametrize(
    ("family", "prompts", "options", "said"),
    [
        ("llada", [], {}, "there is no prompt"),
        ("llada", [[1, 256]], {}, "prompt 0: id 256 lies outside the table of 256 rows"),
        ("llada", [[1], [252]], {}, "prompt 1 holds the mask id 252"),
        ("llada", [[]], {"guidance": 2.0}, "prompt 0 is empty, and guidance by the prompt needs one"),
        ("llada", [[1]], {"length": 0}, "length must be at least 1, not 0"),
        ("llada", [[1]], {"length": 300}, "take 301 positions, and the model was trained on 256"),
        ("llada", [[1]], {"block_length": 5}, "blocks of 5 tokens do not divide a length of 16: use block_length=4"),
        ("llada", [[1]], {"block_length": 4, "steps": 6}, "6 steps do not divide into 4 blocks of 4: use steps=8"),
        ("llada", [[1]], {"block_length": 4, "steps": 3}, "3 steps do not divide into 4 blocks of 4: use steps=4"),
        ("llada", [[1]], {"banned_ids": range(256)}, "banned_ids leave no token to write"),
        ("llada", [[1]], {"stop_ids": [256]}, "stop id 256 lies outside the table"),
        ("llada", [[1]], {"cache": "block"}, "cache 'block' needs a network trained by block diffusion"),
        ("sdar", [[1]], {"cache": "dual"}, "this network has an exact one: use cache 'block'"),
        ("llada", [[1]], {"length": 16.0}, r"length must be at least 1, not 16\.0"),
        ("llada", [[1.5]], {}, r"a tensor \(R, P\) of whole numbers"),
        ("llada", [["a"]], {}, "prompts must be a list of lists of ids"),
        ("llada", [1, 2], {}, "prompts must be a list of lists of ids"),
        ("llada", torch.zeros(2, 3, 1), {}, "prompts must be a list of lists of ids"),
    ],
)
def test_what_decode_refuses_before_any_pass(family, prompts, options, said, monkeypatch):
    monkeypatch.setattr(Transformer, "trunk", lambda *_: pytest.fail("a forward pass was run"))
    with pytest.raises(UserError, match=said):
        golden(family).model.decode(prompts, **{"length": 16, "strategy": "confidence", **options})

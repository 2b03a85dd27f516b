"""Masked language models against transformers' own classes, both ways: runs where transformers is installed."""

from typing import Any

import pytest
import torch

import undiffuse as ud

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SHAPE = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
MASK = 95
CASES: list[tuple[str, dict[str, Any]]] = [
    ("bert", {"max_position_embeddings": 30}),
    ("bert", {"type_vocab_size": 3, "layer_norm_eps": 1e-5, "num_attention_heads": 2, "max_position_embeddings": 24}),
    ("roberta", {"max_position_embeddings": 32, "pad_token_id": 1, "type_vocab_size": 1}),
    ("roberta", {"max_position_embeddings": 40, "pad_token_id": 4, "type_vocab_size": 2, "layer_norm_eps": 1e-3}),
    ("modernbert", {"max_position_embeddings": 30, "local_attention": 8, "pad_token_id": 1}),
    ("modernbert", {"local_attention": 6, "global_attn_every_n_layers": 2, "decoder_bias": False, "pad_token_id": 1}),
]
CLASSES = {"bert": "Bert", "roberta": "Roberta", "modernbert": "ModernBert"}


def theirs(family: str, changes: dict[str, Any]) -> Any:
    """A tiny network of theirs whose every parameter is random, norms around 1, biases not 0."""
    name = CLASSES[family]
    torch.manual_seed(2)
    config = getattr(transformers, f"{name}Config")(
        **{**SHAPE, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, **changes}
    )
    made = getattr(transformers, f"{name}ForMaskedLM")(config).eval().requires_grad_(False)
    for key, value in made.named_parameters():
        norm = "norm" in key.lower() and key.endswith("weight")
        narrow = norm or key.endswith("bias")
        value.normal_(float(norm), 0.15 if narrow else 1.0 if "embeddings" in key else 1.5 * value.shape[-1] ** -0.5)
    return made


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Two texts with masks, the second shorter, and where they are."""
    ids = torch.randint(5, 90, (2, 22), generator=torch.Generator().manual_seed(1))
    ids[:, [3, 9, 10]] = MASK
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[1, 15:] = False
    return ids, valid


@pytest.mark.parametrize(("family", "changes"), CASES, ids=str)
def test_logits_are_those_of_transformers(family, changes, tmp_path):
    reference, (ids, valid) = theirs(family, changes), texts()
    reference.save_pretrained(tmp_path / "x")
    ids = torch.where(valid, ids, reference.config.pad_token_id)
    expected = reference(input_ids=ids, attention_mask=valid.long()).logits
    found = ud.load(tmp_path / "x", mask_id=MASK, device="cpu").logits(ids, valid)
    assert expected[valid].std() > 1
    torch.testing.assert_close(found[valid], expected[valid], atol=3e-4, rtol=0)


@pytest.mark.parametrize(("family", "changes"), CASES, ids=str)
def test_what_is_written_opens_in_transformers(family, changes, tmp_path):
    reference, (ids, valid) = theirs(family, changes), texts()
    reference.save_pretrained(tmp_path / "x")
    ud.load(tmp_path / "x", mask_id=MASK, device="cpu").save(tmp_path / "y")
    again, told = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "y", output_loading_info=True)
    assert not any(told[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.where(valid, ids, reference.config.pad_token_id)
    written, expected = (each(input_ids=ids, attention_mask=valid.long()).logits for each in (again.eval(), reference))
    assert torch.equal(written, expected)

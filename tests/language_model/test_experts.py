"""Published mixtures of experts: layouts of their tensors, number formats of their routers, and cached decoding."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from recorded import ROOT, golden, load
from safetensors.torch import load_file, save_file

import undiffuse as ud
from undiffuse.errors import UserError

SAID = {"mask_id": 251, "attention": "block:8"}


@pytest.fixture
def copy(tmp_path) -> Path:
    """A writable copy of the checkpoint of LLaDA2."""
    directory = tmp_path / "llada2"
    shutil.copytree(ROOT / "llada2" / "checkpoint", directory)
    return directory


def rewrite(directory: Path, change, **keys) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **keys}))


def stack(tensors: dict[str, torch.Tensor]) -> None:
    """Experts as one tensor per kind and layer."""
    for layer in (1, 2):
        for kind in ("gate_proj", "up_proj", "down_proj"):
            root = f"model.layers.{layer}.mlp.experts"
            each = [tensors.pop(f"{root}.{number}.{kind}.weight") for number in range(16)]
            tensors[f"{root}.{kind}"] = torch.stack(each)


def logits(model: ud.LanguageModel) -> torch.Tensor:
    return model.logits(golden("llada2").tensors["forward.input_ids"])


@pytest.mark.parametrize("kind", ["llada2_moe", "llada2_moe_veomni"])
def test_stacked_experts_are_the_same_network(copy, kind, tmp_path):
    rewrite(copy, stack, model_type=kind)
    model = ud.load(copy, **SAID)
    assert torch.equal(logits(model), logits(golden("llada2").model))
    model.save(tmp_path / "again")
    names = load_file(tmp_path / "again" / "model.safetensors").keys()
    assert ("model.layers.1.mlp.experts.gate_proj" in names) == (kind == "llada2_moe_veomni")
    assert torch.equal(logits(ud.load(tmp_path / "again")), logits(model))


def test_preferences_stay_in_float32_whatever_the_rest_is_in(copy, tmp_path):
    """They decide between experts whose scores differ by less than bfloat16 can say."""

    def half(tensors):
        for name in tensors:
            if not name.endswith("expert_bias"):
                tensors[name] = tensors[name].bfloat16()

    rewrite(copy, half)
    for model in (ud.load(copy, **SAID), load("llada2", dtype=torch.bfloat16)):
        router = model.predictor.denoiser.blocks[1].feed_forward.router
        assert router.weight.dtype == torch.bfloat16
        assert router.preference.dtype == torch.float32
        assert model.predictor.denoiser.number_format == torch.bfloat16
        known = load_file(ROOT / "llada2" / "checkpoint" / "model.safetensors")
        assert torch.equal(router.preference, known["model.layers.1.mlp.gate.expert_bias"])
    model.save(tmp_path / "again")
    assert (
        load_file(tmp_path / "again" / "model.safetensors")["model.layers.1.mlp.gate.expert_bias"].dtype
        == torch.float32
    )


def test_preferences_matter(copy):
    rewrite(copy, lambda tensors: [tensors[name].zero_() for name in tensors if name.endswith("expert_bias")])
    moved = (logits(ud.load(copy, **SAID)) - logits(golden("llada2").model)).abs().max()
    assert moved == pytest.approx(18, abs=1)


def test_bfloat16_is_close():
    found = logits(load("llada2", dtype=torch.bfloat16)).log_softmax(-1)
    known = logits(golden("llada2").model).log_softmax(-1)
    assert (known.exp() * (known - found)).sum(-1).median() < 0.2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("score_function", "softmax", "score_function = 'softmax' is not supported, only 'sigmoid'"),
        ("norm_topk_prob", False, "norm_topk_prob = False is not supported"),
        ("use_qkv_bias", True, "use_qkv_bias = True is not supported"),
        ("num_experts", 15, "15 experts cannot lie in 4 equal groups"),
        ("num_experts", 20, r"missing: .*experts\.16"),
        ("num_experts_per_tok", 17, "a row runs 1 to 16 of 16 experts, not 17"),
        ("moe_shared_expert_intermediate_size", 48, "a shared expert of another width"),
        ("moe_intermediate_size", 32, r"has shape \[24, 64\].*describes \[32, 64\]"),
        ("first_k_dense_replace", 0, r"missing: model\.layers\.0\.mlp\.experts"),
        ("partial_rotary_factor", 0.6, "rotary_dim must be even"),
    ],
)
def test_configs_of_another_network_are_refused(copy, key, value, said):
    rewrite(copy, lambda tensors: None, **{key: value})
    with pytest.raises(UserError, match=said):
        ud.load(copy, **SAID)


def test_the_experts_of_sdar_are_those_of_qwen3():
    """The same tensors under SDAR's name and attention, and its own attention with and without the cache."""
    directory, ids = ROOT / "qwen3-moe" / "checkpoint", golden("qwen3-moe").tensors["forward.input_ids"]
    causal = ud.load(directory, family="sdar", attention="causal", mask_id=270)
    assert torch.equal(causal.logits(ids), golden("qwen3-moe").model.logits(ids))
    assert causal.trained.decoding is None
    blocks = ud.load(directory, family="sdar", mask_id=270)
    assert blocks.predictor.traits.block_length == 4
    options = {"strategy": "dynamic", "threshold": 0.3, "steps": 4}
    plain, cached = (blocks.decode(ids[:, :11], 16, cache=cache, **options) for cache in ("none", "block"))
    for one, other in zip(plain.ids, cached.ids, strict=True):
        assert torch.equal(one, other)


def test_a_repack_of_llada_is_written_back_as_it_came(tmp_path):
    model = golden("llada-repack").model
    assert model.manifest["layout"] == "llada"
    model.save(tmp_path / "again")
    written, original = (
        load_file(each / "model.safetensors") for each in (tmp_path / "again", ROOT / "llada-repack" / "checkpoint")
    )
    assert written.keys() == original.keys()
    ids = golden("llada-repack").tensors["forward.input_ids"]
    again = ud.load(tmp_path / "again")
    assert torch.equal(again.logits(ids), model.logits(ids))
    assert again.predictor.process.vocabulary.mask == 270


@pytest.mark.parametrize(
    ("family", "keys", "said"),
    [
        ("llada-moe", {"norm_topk_prob": True}, "norm_topk_prob = True is not supported, only False"),
        ("llada-moe", {"moe_layer_freq": [1, 0]}, "moe_layer_freq must name dense layers before all others"),
        ("llada-moe", {"shared_expert_intermediate_size": 8}, "a shared expert is not supported"),
        ("qwen3-moe", {"mlp_only_layers": [1]}, "mlp_only_layers must name dense layers before all others"),
        ("qwen3-moe", {"decoder_sparse_step": 2}, "decoder_sparse_step = 2 is not supported"),
        ("illada", {"layer_norm_eps": 1e-5}, "layer_norm_eps asks for norms with a bias"),
        ("illada", {"attention_bias": True}, "attention_bias = True is not supported"),
    ],
)
def test_other_experts_and_norms_are_refused(family, keys, said, tmp_path):
    shutil.copytree(ROOT / family / "checkpoint", tmp_path / "model")
    rewrite(tmp_path / "model", lambda tensors: None, **keys)
    with pytest.raises(UserError, match=said):
        ud.load(tmp_path / "model")


def test_open_dcoder_is_named_and_remembered(tmp_path):
    directory = ROOT / "open-dcoder" / "checkpoint"
    assert ud.load(directory).manifest["layout"] == "qwen2"
    with pytest.raises(UserError, match="neither the config nor the tokenizer says which row is the mask"):
        ud.load(directory, family="open-dcoder")
    model = golden("open-dcoder").model
    same = ud.load(directory, attention="full", mask_id=270)
    ids = golden("open-dcoder").tensors["forward.input_ids"]
    assert torch.equal(same.logits(ids), model.logits(ids))
    model.save(tmp_path / "again")
    again = ud.load(tmp_path / "again")
    assert again.manifest["layout"] == "open-dcoder"
    assert again.trained.decoding.strategy == "p2"
    assert again.decode([[1, 2, 3]], 8, strategy="p2", temperature=0.5, top_k=200, seed=1).nfe.item() == 8
    assert torch.equal(again.logits(ids), model.logits(ids))
    assert again.decode([[1, 2, 3]], 8, strategy="entropy", temperature=0.5, top_k=5).nfe.item() == 8


def test_llada21_exchanges_decided_tokens_unless_told_otherwise(copy):
    """By its name: nothing else in a directory tells it from LLaDA2.0."""
    named = copy.rename(copy.parent / "LLaDA2.1-mini")
    assert golden("llada2").model.trained.decoding.strategy == "dynamic"
    known = ud.load(named, **SAID).trained.decoding
    assert (known.strategy, known.options["threshold"], known.options["edit_threshold"]) == ("edit", 0.7, 0.5)


def test_the_cache_changes_nothing():
    """Rows of experts are sorted, so the order of sums changes with the rows that are run: by rounding alone."""
    known = golden("llada2")
    prompt = known.tensors["decode.threshold_0.6_unaligned.prompt_ids"]
    for options in ({"strategy": "dynamic", "threshold": 0.6, "steps": 8}, {"strategy": "confidence", "steps": 4}):
        plain, cached = (known.model.decode(prompt, 22, cache=cache, **options) for cache in ("none", "block"))
        assert torch.equal(plain.ids[0], cached.ids[0])
        assert torch.equal(plain.commit_step[0], cached.commit_step[0])
        assert cached.rows < plain.rows


def test_a_stop_token_ends_at_once_or_with_its_block():
    known = golden("llada2")
    prompt = known.tensors["decode.eos_stop.prompt_ids"]
    options = {"strategy": "dynamic", "threshold": 0.95, "steps": 8, "stop_ids": [152]}
    late = known.model.decode(prompt, 22, **options)
    soon = known.model.decode(prompt, 22, early_stop=True, **options)
    end = late.ids[0].tolist().index(152, prompt.shape[1])
    assert torch.equal(late.ids[0][: end + 1], soon.ids[0][: end + 1])
    assert (late.nfe.item(), soon.nfe.item()) == (13, 10)
    assert (soon.commit_step[0] == -2).sum() > (late.commit_step[0] == -2).sum()

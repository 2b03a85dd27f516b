"""Directories of public checkpoints: what is read, what is refused, and what is written back."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from recorded import ROOT, golden
from safetensors.torch import load_file, save_file

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel
from undiffuse.models.feed_forward.experts import Experts
from undiffuse.models.feed_forward.sigmoid_experts import SigmoidExperts
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.published_tokenizer import NoTokenizer
from undiffuse.vocabulary import Vocabulary

FAMILIES = (
    "llada",
    "dream",
    "sdar",
    "qwen2",
    "qwen3",
    "llama",
    "llada2",
    "fast-dllm-v2",
    "illada",
    "llada-moe",
    "open-dcoder",
)
LEFT_OUT = {
    "llada2": {"mask_token_id": 251, "block_length": 8},
    "fast-dllm-v2": {"mask_token_id": 259},
    "open-dcoder": {"mask_token_id": 270, "undiffuse": {"family": "open-dcoder"}},
}
"""What the configs of tiny checkpoints do not say of them, as copies do."""


@pytest.fixture
def copy(tmp_path):
    """A writable copy of a family's checkpoint, its config changed."""

    def make(family: str, folder: str = "checkpoint", **changes) -> Path:
        directory = tmp_path / family
        shutil.copytree(ROOT / family / folder, directory)
        edit(directory, "config.json", lambda config: config.update({**LEFT_OUT.get(family, {}), **changes}))
        return directory

    return make


def edit(directory: Path, name: str, change) -> None:
    path = directory / name
    content = json.loads(path.read_text()) if path.exists() else {}
    change(content)
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(content))


def edit_tensors(directory: Path, change, file: str = "model.safetensors") -> None:
    tensors = load_file(directory / file)
    change(tensors)
    (directory / file).unlink()
    save_file(tensors, directory / file)


def logits(model: LanguageModel, family: str) -> torch.Tensor:
    return model.logits(golden(family).tensors["forward.input_ids"])


def same(model: LanguageModel, family: str) -> bool:
    return torch.equal(logits(model, family), logits(golden(family).model, family))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_read_is_written_back_tensor_for_tensor(family, tmp_path):
    golden(family).model.save(tmp_path / "again")
    written, original = (load_file(d / "model.safetensors") for d in (tmp_path / "again", ROOT / family / "checkpoint"))
    assert written.keys() == original.keys()
    assert all(torch.equal(written[name], original[name]) for name in original)
    assert same(ud.load(tmp_path / "again"), family)
    before, after = (
        json.loads((d / "config.json").read_text()) for d in (ROOT / family / "checkpoint", tmp_path / "again")
    )
    before.pop("torch_dtype", None)
    said = {"llada2": {"mask_token_id": 251, "undiffuse": {"attention": "block:8"}}}
    assert {**before, "dtype": "float32", **said.get(family, LEFT_OUT.get(family, {}))} == after


OWN = {
    "rows": 40,
    "width": 16,
    "depth": 2,
    "heads": 4,
    "kv_heads": 2,
    "hidden": 24,
    "context": 64,
    "norm": "rmsnorm",
    "activation": "swiglu",
    "scales": True,
    "norm_eps": 1e-6,
    "rope_base": 5000.0,
}
SHAPES = {
    "llada": {"qk_norm": False, "norm_eps": 1e-5, "tied": True},
    "dream": {"qk_norm": False, "qkv_bias": True, "output_offset": -1},
    "sdar": {"qk_norm": True, "block_length": 8, "head_dim": 6},
    "qwen2": {"qk_norm": False, "qkv_bias": True, "output_offset": -1, "causal": True},
    "qwen3": {"qk_norm": True, "output_offset": -1, "causal": True, "head_dim": 6, "tied": True},
    "llama": {"qk_norm": False, "output_offset": -1, "causal": True},
    "illada": {"qk_norm": False, "tied": True},
    "llada-moe": {"qk_norm": True, "dense_layers": 1, "feed_forward": Experts(6, 2, 12, over="all")},
    "open-dcoder": {"qk_norm": False, "qkv_bias": True, "output_offset": -1, "tied": True},
    "fast-dllm-v2": {"qk_norm": False, "qkv_bias": True, "output_offset": -1, "block_length": 8},
    "llada2": {
        "qk_norm": True,
        "block_length": 8,
        "rotary_dim": 2,
        "dense_layers": 1,
        "feed_forward": SigmoidExperts(8, 3, 12, 2, 4, 2, 1.5),
    },
}


def own(**shape) -> LanguageModel:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(**{**OWN, **shape}))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    vocabulary = Vocabulary(40, mask=39, eos=38)
    process = Interpolating(vocabulary, OneMinusT(), Mask())
    network.eval().requires_grad_(False)
    return LanguageModel(Predictor(network, process, "leave_one_out"), NoTokenizer(vocabulary, "here"), {})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_of_our_own_in_a_public_layout(family, tmp_path):
    model = own(**SHAPES[family])
    model.save(tmp_path / family, layout=family)
    again = ud.load(tmp_path / family)
    ids = torch.arange(20)[None] % 40
    assert torch.equal(again.logits(ids), model.logits(ids))
    assert again.predictor.process == model.predictor.process
    assert again.manifest["layout"] == family


def test_a_layout_that_cannot_describe_the_network(tmp_path):
    with pytest.raises(UserError, match=r"cannot be written in the layout of llada: qkv_bias = True \(it has False\)"):
        own(**SHAPES["dream"]).save(tmp_path / "x", layout="llada")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_configs_that_transformers_5_has_saved(copy, family):
    directory = copy(family, dtype="float32")

    def respell(config):
        config.pop("torch_dtype", None)
        theta = config.pop("rope_theta", None) or config["rope_parameters"]["rope_theta"]
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}

    def of_old(config):
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]

    edit(directory, "config.json", respell)
    assert same(ud.load(directory), family)
    edit(directory, "config.json", of_old)
    assert same(ud.load(directory), family)
    edit(directory, "config.json", respell)
    edit(directory, "config.json", lambda config: config["rope_parameters"].update(rope_theta=10.0))
    assert not same(ud.load(directory), family)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_that_change_nothing_are_tolerated(copy, family):
    assert same(ud.load(copy(family, auto_map={"AutoModel": "evil.Evil"}, something_new=3)), family)


@pytest.mark.parametrize(
    ("family", "key", "value", "said"),
    [
        ("llada", "alibi", True, "alibi = True is not supported, only False"),
        ("llada", "include_bias", True, "include_bias = True is not supported"),
        ("llada", "include_qkv_bias", True, "include_qkv_bias = True"),
        ("llada", "layer_norm_type", "default", "layer_norm_type = 'default' is not supported, only 'rms'"),
        ("llada", "scale_logits", True, "scale_logits = True"),
        ("llada", "rope", False, "rope = False is not supported, only True"),
        ("llada", "n_layers", None, "config.json has no n_layers, which this layout needs"),
        ("llada", "n_layers", 2.5, "n_layers must be a whole number, not 2.5"),
        ("dream", "use_sliding_window", True, "use_sliding_window = True is not supported"),
        ("dream", "hidden_act", "gelu", "hidden_act = 'gelu' is not supported, only 'silu'"),
        ("dream", "rope_scaling", {"type": "dynamic", "factor": 4}, "positions of type 'dynamic' are not supported"),
        ("llada", "rope_parameters", {"rope_type": "linear"}, "positions of type 'linear' are not supported"),
        ("dream", "rope_parameters", {"rope_type": "linear"}, "config.json has no factor, which this layout needs"),
        ("dream", "rope_parameters", {"rope_type": "linear", "factor": 0.5}, "'linear': factor must be 1 or more"),
        ("dream", "rope_scaling", {"rope_type": "yarn", "factor": 2, "mscale": 1.0}, "mscale = 1.0 is not supported"),
        ("dream", "rope_scaling", {"rope_type": "llama3", "factor": 8}, "has no original_max_position_embeddings"),
        ("dream", "rms_norm_eps", "tiny", "rms_norm_eps must be a number, not 'tiny'"),
        ("sdar", "attention_bias", True, "attention_bias = True"),
        ("sdar", "layer_types", ["sliding_attention"] * 2, "layer_types other than 'full_attention'"),
    ],
)
def test_values_that_would_change_the_network_are_refused(copy, family, key, value, said):
    with pytest.raises(UserError, match=said):
        ud.load(copy(family, **{key: value}))


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_and_unexpected_tensors_are_named(copy, family):
    directory = copy(family)
    names = sorted(load_file(directory / "model.safetensors"))
    edit_tensors(directory, lambda tensors: tensors.update({"extra.weight": tensors.pop(names[3])}))
    with pytest.raises(UserError, match=re.escape(f"missing: {names[3]}; unexpected: extra.weight")):
        ud.load(directory)


def test_tensors_of_another_shape_are_named(copy):
    with pytest.raises(UserError, match=r"mlp\.gate_proj\.weight has shape \[96, 64\].*\[104, 64\]"):
        ud.load(copy("dream", intermediate_size=104))


def test_stored_rotary_tables_are_not_read(copy):
    directory = copy("sdar")
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    edit_tensors(directory, lambda tensors: tensors.update({name: torch.full((8,), torch.nan)}))
    assert same(ud.load(directory), "sdar")


def test_shards_hold_each_tensor_once(copy):
    directory = copy("dream", "checkpoint_sharded")
    index = "model.safetensors.index.json"
    first, second = (f"model-0000{number}-of-00003.safetensors" for number in (1, 2))
    stolen = sorted(load_file(directory / first))[0]
    edit_tensors(directory, lambda tensors: tensors.update({stolen: torch.zeros(1)}), second)
    with pytest.raises(UserError, match=f"tensor {stolen} is in more than one file"):
        ud.load(directory)
    edit_tensors(directory, lambda tensors: tensors.pop(stolen), second)
    edit(directory, index, lambda content: content["weight_map"].update({stolen: second}))
    with pytest.raises(UserError, match=f"disagree about tensor {stolen}"):
        ud.load(directory)
    (directory / second).unlink()
    with pytest.raises(UserError, match=f"cannot read .*{second}"):
        ud.load(directory)


def test_damaged_and_absent_files(copy):
    directory = copy("llada")
    weights = directory / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    with pytest.raises(UserError, match="download its weights as safetensors"):
        ud.load(directory)
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cannot read .*copy it again"):
        ud.load(directory)
    (directory / "config.json").unlink()
    (directory / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        ud.load(directory)


def test_the_model_type_alone_is_not_enough(copy):
    directory = copy("dream", model_type="llada")
    with pytest.raises(UserError, match=r"model_type 'llada', and its tensors, such as 'lm_head\.weight', are not"):
        ud.load(directory)
    edit(directory, "config.json", lambda config: config.update(model_type="other"))
    with pytest.raises(UserError, match=r"load\(directory, family=…\)"):
        ud.load(directory)
    forced = ud.load(directory, family="dream")
    assert same(forced, "dream")
    forced.save(directory / "again")
    assert same(ud.load(directory / "again"), "dream")
    with pytest.raises(UserError, match="there is no family 'drem'"):
        ud.load(directory, family="drem")


def test_overrides_are_for_public_checkpoints(model, tmp_path):
    model.save(tmp_path / "own")
    with pytest.raises(UserError, match="family, mask_id, attention and shift are for public checkpoints"):
        ud.load(tmp_path / "own", family="llada")
    with pytest.raises(UserError, match="family, mask_id, attention and shift are for public checkpoints"):
        ud.inspect(tmp_path / "own", shift=True)
    with pytest.raises(UserError, match="there is no model directory"):
        ud.load(tmp_path / "none", family="llada")


def _mask(directory: Path, **options) -> int | None:
    return ud.load(directory, **options).predictor.process.vocabulary.mask


def test_where_the_mask_id_comes_from(copy):
    directory = copy("sdar")
    assert _mask(directory) == 253
    assert _mask(directory, mask_id=7) == 7
    edit(directory, "config.json", lambda config: config.pop("mask_token_id"))
    with pytest.raises(UserError, match=r"mask id 151669 lies outside the table of 256 rows; say which row it is"):
        ud.load(directory)
    edit(directory, "added_tokens.json", lambda tokens: tokens.update({"<|MASK|>": 251, "<other>": 250}))
    assert _mask(directory) == 251
    edit(directory, "tokenizer_config.json", lambda config: config.update(mask_token={"content": "<other>"}))
    with pytest.raises(
        UserError, match=r"not clear: the mask_token of its tokenizer says 250, .*'<\|MASK\|>' says 251"
    ):
        ud.load(directory)
    edit(directory, "added_tokens.json", lambda tokens: tokens.pop("<|MASK|>"))
    assert _mask(directory) == 250
    edit(directory, "config.json", lambda config: config.update(mask_token_id=252))
    with pytest.raises(UserError, match=r"config\.json says 252, the mask_token of its tokenizer says 250"):
        ud.load(directory)
    assert _mask(directory, mask_id=252) == 252
    with pytest.raises(UserError, match="the mask id 249 is also the id of another control token"):
        ud.load(directory, mask_id=249)


def test_the_end_of_text_stays_predictable_where_it_also_begins_texts():
    vocabulary = golden("dream").model.predictor.process.vocabulary
    assert vocabulary.eos == 248
    assert vocabulary.unpredictable == (251,)


def test_number_formats(copy, tmp_path):
    half = ud.load(ROOT / "dream" / "checkpoint", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.predictor.denoiser.parameters()} == {torch.bfloat16}
    assert logits(half, "dream").dtype == torch.float32
    half.save(tmp_path / "half")
    stored = ud.load(tmp_path / "half")
    assert {parameter.dtype for parameter in stored.predictor.denoiser.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(stored, "dream"), logits(half, "dream"))


def test_nothing_is_initialized_before_it_is_read(monkeypatch):
    touched = set()
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, **_: touched.add(tensor.device.type))
    ud.load(ROOT / "llada" / "checkpoint")
    assert touched == {"meta"}


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fill("a ____"),
        lambda model: model.generate("a"),
        lambda model: model.score("a"),
    ],
)
def test_text_without_a_tokenizer(use):
    with pytest.raises(UserError, match=r"has no tokenizer, so it takes and gives ids alone \(model\.logits"):
        use(golden("llada").model)


def test_a_directory_that_is_neither(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        ud.load(tmp_path / "x")


def swapped(one: str, other: str):
    def change(tensors):
        tensors[one], tensors[other] = tensors[other], tensors[one]

    return change


def test_tensors_that_fit_only_together_are_refused(copy):
    """Of unequal heights, queries and keys exchanged stack to the same matrix: 64 + 32 + 32 rows of 64."""
    directory = copy("dream")
    layer = "model.layers.0.self_attn"
    edit_tensors(directory, swapped(f"{layer}.q_proj.weight", f"{layer}.k_proj.weight"))
    with pytest.raises(UserError, match=r"layers\.0\.self_attn\.q_proj\.weight has shape \[32, 64\].*\[64, 64\]"):
        ud.load(directory)


@pytest.mark.parametrize("shape", [(64, 63), (64,), (64, 64, 1)], ids=str)
def test_width_and_rank_of_every_tensor_are_checked(copy, shape):
    directory, name = copy("dream"), "model.layers.1.self_attn.q_proj.weight"
    edit_tensors(directory, lambda tensors: tensors.update({name: torch.zeros(shape)}))
    with pytest.raises(UserError, match=re.escape(f"{name} has shape {list(shape)}")):
        ud.load(directory)


@pytest.mark.parametrize(("dtype", "said"), [(torch.float8_e4m3fn, "F8_E4M3"), (torch.int8, "I8")], ids=str)
def test_quantized_weights_are_refused_by_name(copy, dtype, said):
    directory, name = copy("llada"), "model.transformer.blocks.0.q_proj.weight"
    edit_tensors(directory, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    with pytest.raises(UserError, match=f"{name} is stored as {said}, and quantized weights are not read"):
        ud.load(directory)


def test_mixed_formats_become_the_one_that_holds_all(copy):
    directory, name = copy("llada"), "model.transformer.blocks.0.q_proj.weight"
    edit_tensors(directory, lambda tensors: tensors.update({name: tensors[name].bfloat16()}))
    mixed = ud.load(directory)
    assert {parameter.dtype for parameter in mixed.predictor.denoiser.parameters()} == {torch.float32}
    assert logits(mixed, "llada").isfinite().all()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_of_git_lfs_is_called_one(copy, name):
    directory = copy("llada")
    (directory / name).unlink()
    (directory / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134\n")
    with pytest.raises(UserError, match=rf"{name} is a Git LFS pointer and not the file itself: .*git lfs pull"):
        ud.load(directory)


@pytest.mark.parametrize("place", [{"a": 1}, [], {"a": None}, {"a": "../x"}, {"a": ""}], ids=str)
def test_an_index_that_names_no_files(copy, place):
    directory = copy("dream", "checkpoint_sharded")
    edit(directory, "model.safetensors.index.json", lambda index: index.update(weight_map=place))
    with pytest.raises(UserError, match="copy it again"):
        ud.load(directory)


@pytest.mark.parametrize(
    ("family", "key", "value", "said"),
    [
        ("llada", "n_heads", 0, "n_heads must lie between 1 and 16,777,216, not 0"),
        ("dream", "num_attention_heads", 0, "num_attention_heads must lie between"),
        ("dream", "hidden_size", -64, "hidden_size must lie between .* not -64"),
        ("dream", "intermediate_size", 10**30, "intermediate_size must lie between .* not more than"),
        ("sdar", "num_hidden_layers", 1000, "describes 1000 layers, and it holds"),
        ("llada", "n_layers", True, "n_layers must be a whole number, not True"),
        ("dream", "rms_norm_eps", -1, "rms_norm_eps must be a positive number, not -1"),
        ("dream", "rms_norm_eps", float("nan"), "rms_norm_eps must be a positive number, not nan"),
        ("llada", "rope_theta", 0, "rope_theta must be a positive number, not 0"),
        ("sdar", "rope_theta", -1, "rope_theta must be a positive number, not -1"),
        ("sdar", "rope_theta", 10**400, "rope_theta must be a positive number, not more than"),
        ("dream", "rope_scaling", "yarn", "rope_scaling must be an object, not 'yarn'"),
        ("dream", "layer_types", 3, "layer_types other than"),
        ("dream", "tie_word_embeddings", "false", "tie_word_embeddings must be true or false, not 'false'"),
        ("dream", "eos_token_id", "x", "eos_token_id must be a whole number, not 'x'"),
        ("dream", "block_size", 8, "block_size = 8 says that this network attends in blocks"),
    ],
)
def test_configs_with_impossible_values(copy, family, key, value, said):
    with pytest.raises(UserError, match=said):
        ud.load(copy(family, **{key: value}))


@pytest.mark.parametrize("family", [None, "dream"])
def test_families_of_the_field_that_are_not_read_are_named(copy, family):
    """Also where another family is asked for."""
    with pytest.raises(UserError, match="WeDLM, which is not read: it attends causally"):
        ud.load(copy("dream", model_type="WeDLM"), family=family)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"version": "1.0"}, "has no model"),
        ({"model": 3}, "is neither a byte-level BPE, nor one with byte fallback, nor a WordPiece"),
        ({"model": {"type": "BPE"}}, "has no vocabulary"),
        ({"model": {"type": "BPE", "vocab": {"a": "b"}}}, "has no vocabulary"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}}, "decoder": "x"},
            "is neither a byte-level BPE, nor one with byte fallback, nor a WordPiece",
        ),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 3}]}, 'needs "content" and "id"'),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": 5}, "added_tokens must be a list"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}, "decoder": {"type": "ByteLevel"}},
            "is damaged",
        ),
    ],
)
def test_tokenizers_that_are_broken(copy, content, said):
    directory = copy("llada")
    edit(directory, "tokenizer.json", lambda tokenizer: tokenizer.update(content))
    with pytest.raises(UserError, match=rf"tokenizer\.json.*{said}"):
        ud.load(directory).score("aa")

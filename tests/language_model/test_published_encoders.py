"""Directories of masked language models and diffusion transformers: what is read, refused and written back."""

import json
import shutil

import pytest
import tokenizers
import torch
from pieces import content
from recorded import ROOT, golden, load
from safetensors.torch import load_file, save_file

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.kinds import CHECKPOINT_FAMILIES
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.checkpoints import NOISE
from undiffuse.models.family import Keys
from undiffuse.models.transformer import Transformer
from undiffuse.predictor import Predictor
from undiffuse.text.published_tokenizer import NoTokenizer
from undiffuse.vocabulary import Vocabulary

FAMILIES = ("bert", "roberta", "modernbert", "mdlm", "duo", "bd3lm")
MASKS = {"modernbert": 252, "roberta": 95}


@pytest.fixture
def copy(tmp_path):
    """A writable copy of a family's checkpoint, its config and its tensors changed."""

    def make(family: str, tensors=None, **config):
        directory = tmp_path / family
        shutil.copytree(ROOT / family / "checkpoint", directory)
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
        if tensors is not None:
            weights = load_file(directory / "model.safetensors")
            tensors(weights)
            save_file(weights, directory / "model.safetensors")
        return directory

    return make


def same(directory, family: str) -> bool:
    ids = golden(family).tensors["forward.input_ids"]
    return torch.equal(ud.load(directory, mask_id=MASKS.get(family)).logits(ids), golden(family).model.logits(ids))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_read_is_written_back_tensor_for_tensor(family, tmp_path):
    load(family).save(tmp_path / "again")
    written, original = (load_file(d / "model.safetensors") for d in (tmp_path / "again", ROOT / family / "checkpoint"))
    layout = CHECKPOINT_FAMILIES.load(family)()
    original = {name: value for name, value in original.items() if not name.endswith((*layout.inert, "inv_freq"))}
    assert written.keys() == original.keys()
    assert all(torch.equal(written[name], original[name]) for name in original)
    assert same(tmp_path / "again", family)
    before, after = (
        json.loads((d / "config.json").read_text()) for d in (ROOT / family / "checkpoint", tmp_path / "again")
    )
    kept = {name: value for name, value in before.items() if not name.endswith(("token_id", "dtype"))}
    assert {name: after[name] for name in kept} == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_of_our_own_in_a_public_layout(family, tmp_path):
    """Written in a layout that its directory does not say, so that its config is made of the network."""
    layout, keys = (
        CHECKPOINT_FAMILIES.load(family)(),
        json.loads((ROOT / family / "checkpoint/config.json").read_text()),
    )
    shape = layout.network(Keys(keys))
    torch.manual_seed(0)
    network = Transformer(shape).requires_grad_(False).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    vocabulary = Vocabulary(shape.rows, mask=None if layout.noise == "uniform" else shape.rows - 1, pad=1)
    process = NOISE[layout.noise](vocabulary)
    model = LanguageModel(Predictor(network, process, "leave_one_out"), NoTokenizer(vocabulary, "here"), {})
    model.save(tmp_path / "x", layout=family)
    again = ud.load(tmp_path / "x")
    ids = torch.arange(14)[None] % 39
    assert torch.equal(again.logits(ids), model.logits(ids))
    assert (again.predictor.process, again.manifest["layout"]) == (process, family)


def test_older_names_of_norms_and_copies_and_other_heads_are_tolerated(copy):
    def older(tensors):
        for name in [name for name in tensors if "LayerNorm" in name]:
            tensors[name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")] = tensors.pop(name)
        tensors["bert.pooler.dense.weight"] = torch.zeros(64, 64)
        tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]
        tensors["cls.seq_relationship.bias"] = torch.zeros(2)
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()

    assert same(copy("bert", older), "bert")


def test_a_norm_under_both_names(copy):
    def both(tensors):
        tensors["bert.embeddings.LayerNorm.gamma"] = tensors["bert.embeddings.LayerNorm.weight"].clone()

    with pytest.raises(UserError, match=r"bert\.embeddings\.LayerNorm\.weight is stored under two names"):
        ud.load(copy("bert", both))


def test_a_body_without_a_head_says_what_is_missing(copy):
    """As encoders for other uses are published."""

    def beheaded(tensors):
        for name in [name for name in tensors if name.startswith("cls.")]:
            del tensors[name]

    with pytest.raises(UserError, match=r"missing: cls\.predictions\.bias.*LayerNorm.* and 1 more"):
        ud.load(copy("bert", beheaded))


def test_the_bases_of_modernbert_in_their_older_spelling(copy):
    older = {"rope_parameters": None, "layer_types": None, "global_rope_theta": 160_000.0, "local_rope_theta": 1e4}
    directory = copy("modernbert", **older)
    assert same(directory, "modernbert")
    path = directory / "config.json"
    for base in ("global_rope_theta", "local_rope_theta"):
        changed = {**json.loads(path.read_text()), **older, base: 7.0}
        path.write_text(json.dumps(changed))
        assert not same(directory, "modernbert")


@pytest.mark.parametrize(
    ("family", "key", "value", "said"),
    [
        ("bert", "hidden_act", "relu", "hidden_act = 'relu' is not supported, only 'gelu'"),
        (
            "bert",
            "position_embedding_type",
            "relative_key",
            "position_embedding_type = 'relative_key' is not supported",
        ),
        ("bert", "is_decoder", True, "is_decoder = True"),
        ("bert", "tie_word_embeddings", False, "tie_word_embeddings = False is not supported"),
        ("roberta", "pad_token_id", 33, "max_position_embeddings must exceed 34, not 34"),
        ("roberta", "pad_token_id", -1, "pad_token_id must lie between 0 and"),
        ("modernbert", "norm_bias", True, "norm_bias = True"),
        ("modernbert", "layer_types", ["full_attention"] * 3, "layer_types must be full_attention in one layer of 3"),
        ("modernbert", "block_size", 8, "block_size = 8 says that this network attends in blocks"),
        ("mdlm", "adaln", False, "adaln = False is not supported"),
        ("duo", "causal", True, "causal = True is not supported"),
        ("bd3lm", "cross_attn", False, "cross_attn = False"),
        ("bd3lm", "block_size", 0, "block_size must lie between 1"),
    ],
)
def test_values_that_would_change_the_network_are_refused(copy, family, key, value, said):
    with pytest.raises(UserError, match=said):
        ud.load(copy(family, **{key: value}), mask_id=MASKS.get(family))


@pytest.mark.parametrize(("family", "reads"), [("mdlm", True), ("roberta", False)])
def test_merges_without_a_tokenizer_file(copy, family, reads):
    """GPT-2's way of cutting is MDLM's; RoBERTa's needs its marks among the texts."""
    directory = copy(family)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {letter: row for row, letter in enumerate(sorted(alphabet)[:80])}
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    if reads:
        model = ud.load(directory, mask_id=MASKS.get(family))
        assert model.tokenizer.encode("AB") == [vocabulary["A"], vocabulary["B"]]
    else:
        with pytest.raises(UserError, match=r"vocab\.json has no '<unk>', the unk_token of this tokenizer"):
            ud.load(directory, mask_id=MASKS.get(family))


def test_where_masks_are(copy):
    assert golden("bert").model.predictor.process.mask == 103  # the family's own
    assert golden("mdlm").model.predictor.process.mask == 249  # the last row of the table
    assert golden("duo").model.predictor.process.mask is None
    with pytest.raises(UserError, match="noise exchanges tokens, and it has no mask: leave out mask_id"):
        ud.load(ROOT / "duo" / "checkpoint", mask_id=3)
    with pytest.raises(UserError, match="mask id 50284 lies outside the table of 256 rows"):
        ud.load(ROOT / "modernbert" / "checkpoint")


def test_what_is_said_of_an_encoder(copy):
    found = ud.inspect(ROOT / "roberta" / "checkpoint", mask_id=95)
    assert (found.family, found.context, found.window, found.loads) == ("roberta", 32, None, True)
    assert not any("context" in doubt for doubt in found.doubts)
    assert ud.inspect(ROOT / "modernbert" / "checkpoint", mask_id=252).window == 4
    directory = copy("bert")
    (directory / "tokenizer.json").write_text(json.dumps(content()))
    assert ud.inspect(directory).tokenizer["around"] == [[2], [3]]
    assert ud.inspect(directory).ids["mask"].id == 4

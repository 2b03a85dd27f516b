"""The verbs on a checkpoint in a public layout, with the tokenizer that its family publishes."""

import json

import pytest
import tokenizers
import torch

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.published_tokenizer import NoTokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = "The quick brown fox jumps over the lazy dog. Größe, naïve — 漢字 and emoji 🙂 too.\n"
SWIGLU = {"norm": "rmsnorm", "activation": "swiglu", "scales": True, "norm_eps": 1e-6, "hidden": 32, "context": 64}
SHAPES = {
    "llada": {"qk_norm": False},
    "dream": {"qk_norm": False, "qkv_bias": True, "output_offset": -1},
    "sdar": {"qk_norm": True, "block_length": 4},
}


@pytest.fixture
def directory(request, tmp_path):
    """A tiny random checkpoint of a family with a byte-level BPE."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    library.train_from_iterator(
        [TEXT] * 5, tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    library.add_special_tokens(["<|endoftext|>", "<|mask|>"])
    vocabulary = Vocabulary(
        library.get_vocab_size() + 3, library.token_to_id("<|mask|>"), eos=library.token_to_id("<|endoftext|>")
    )
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(vocabulary.rows, 16, 1, 2, **SWIGLU, **SHAPES[request.param]))
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = Interpolating(vocabulary, OneMinusT(), Mask())
    predictor = Predictor(network.requires_grad_(False), process, "leave_one_out")
    LanguageModel(predictor, NoTokenizer(vocabulary, ""), {}).save(tmp_path / "model", layout=request.param)
    library.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


@pytest.mark.parametrize("directory", SHAPES, indirect=True)
def test_generate(directory, capsys):
    arguments = ["generate", "The quick", "--model", str(directory), "--length", "8", "--threads", "1"]
    assert run([*arguments, "--strategy", "confidence", "--temperature", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"].startswith("The quick")


@pytest.mark.parametrize("directory", ["llada", "dream"], indirect=True)
def test_fill(directory, capsys):
    text = "The [MASK:2] fox <|mask|> jumps over the ____ dog."
    assert run(["fill", text, "--model", str(directory), "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = (hole["text"] for hole in found["holes"])
    assert found["text"] == f"The {first} fox <|mask|> jumps over the {second} dog."


@pytest.mark.parametrize("directory", ["llada"], indirect=True)
def test_score(directory, capsys):
    (directory / "text").write_text(TEXT)
    assert run(["score", str(directory / "text"), "--model", str(directory), "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bits_per_byte"]["mean"] > 0


@pytest.mark.parametrize("directory", ["llada"], indirect=True)
def test_without_its_tokenizer(directory, capsys):
    (directory / "tokenizer.json").unlink()
    assert run(["fill", "a ____", "--model", str(directory), "--threads", "1"]) == 2
    assert "has no tokenizer, so it takes and gives ids alone" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("directory", ["sdar"], indirect=True)
def test_saving_keeps_the_tokenizer(directory, tmp_path):
    model = ud.load(directory)
    model.save(tmp_path / "again")
    assert ud.load(tmp_path / "again").tokenizer.encode(TEXT) == model.tokenizer.encode(TEXT)

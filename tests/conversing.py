"""Tiny random models of families with their control tokens, and conversations for them."""

import json
from dataclasses import replace
from pathlib import Path

import pieces
import tokenizers
import torch

from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = "The quick brown fox asks why, and the lazy dog says: user, system, assistant. Größe — 漢字 🙂.\n" * 9
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SWIGLU = {"norm": "rmsnorm", "activation": "swiglu", "scales": True, "norm_eps": 1e-6, "hidden": 32, "context": 160}
FAMILIES = {
    "llada": (
        ("<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        {"qk_norm": False},
    ),
    "dream": (CHATML, {"qk_norm": False, "qkv_bias": True, "output_offset": -1}),
    "sdar": (CHATML, {"qk_norm": True, "block_length": 4}),
}
END = {"llada": "<|eot_id|>", "dream": "<|im_end|>", "sdar": "<|im_end|>"}


def library(controls) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT], tokenizers.trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens([*controls, "<|mask|>"])
    return made


def build(family: str, end: float = 0.0, controls=None) -> LanguageModel:
    """A model whose logits of its end of turn are raised by `end`."""
    named, shape = FAMILIES[family]
    made = library(named if controls is None else controls)
    rows = made.get_vocab_size() + 3
    vocabulary = Vocabulary(rows, made.token_to_id("<|mask|>"), eos=made.token_to_id("<|endoftext|>"))
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows, 16, 2, 2, **SWIGLU, **shape)).requires_grad_(False)
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    if end:
        head, raised = network.head, torch.zeros(rows)
        raised[made.token_to_id(END[family])] = end
        network.head = lambda hidden: head(hidden) + raised
    predictor = Predictor(network, Interpolating(vocabulary, OneMinusT(), Mask()), "leave_one_out")
    tokenizer = PublishedTokenizer(json.loads(made.to_str()), vocabulary)
    return LanguageModel(predictor, tokenizer, {"layout": family}, name=family)


def asking(*texts: str) -> list[dict[str, str]]:
    """Questions and answers in turn."""
    return [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)]


def stored(family: str, directory: Path) -> Path:
    """Such a model in its public layout."""
    replace(build(family), manifest={}).save(directory, layout=family)
    return directory


def build_pieces(end: float = 0.0) -> LanguageModel:
    """A model with a WordPiece, whose logits of [SEP] are raised by `end`."""
    vocabulary = pieces.rows()
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(vocabulary.rows, 16, 1, 2, context=96)).requires_grad_(False)
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    head, raised = network.head, torch.zeros(vocabulary.rows)
    raised[3] = end
    network.head = lambda hidden: head(hidden) + raised
    process = Interpolating(vocabulary, OneMinusT(), Mask())
    return LanguageModel(Predictor(network, process, "leave_one_out"), pieces.pieces(), {}, name="pieces")

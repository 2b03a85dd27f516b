"""Tokenizers of GGUF files: the ids that the published tokenizer gives, from the metadata alone."""

import json

import pytest
import tokenizers
from tokenizers import normalizers, pre_tokenizers

from undiffuse.errors import UserError
from undiffuse.text.gguf_tokenizer import tokenizer_config, tokenizer_json
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = (
    "He'll see 12345 dogs, WE'RE 7 of 90210!  Tabs\tand\n\nlines \r\n  end. Größe, naïve — 漢字 Cafe\u0301 🙂 x_y->z; "
    "def f(a=0x1F):\n    return a**2  # 100%\n"
)
# how the published tokenizers of these models cut a text, as their own files say
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


PLAIN = pre_tokenizers.ByteLevel(add_prefix_space=False)
PUBLISHED = {
    "qwen2": (split(QWEN2), normalizers.NFC()),
    "llama-bpe": (split(LLAMA3), None),
    "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), PLAIN]), None),
    "gpt-2": (PLAIN, None),
}


def published(cut: str, first: bool) -> tokenizers.Tokenizer:
    """A byte-level BPE with its control tokens in the first rows, or in the last ones."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=cut == "llama-bpe"))
    library.pre_tokenizer, normalizer = PUBLISHED[cut]
    if normalizer is not None:
        library.normalizer = normalizer
    library.decoder = tokenizers.decoders.ByteLevel()
    special = ["<|end|>", "<|start|>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=special if first else [],
    )
    library.train_from_iterator([TEXT] * 4, trainer)
    library.add_special_tokens(special)
    library.add_tokens([tokenizers.AddedToken("<tool>", normalized=False)])
    return library


def metadata(library: tokenizers.Tokenizer, cut: str) -> dict:
    content = json.loads(library.to_str())
    added = {token["content"]: 3 if token["special"] else 4 for token in content["added_tokens"]}
    tokens = [library.id_to_token(row) for row in range(library.get_vocab_size())] + ["[PAD1]", "[PAD2]"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": cut,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [added.get(token, 1) for token in tokens[:-2]] + [5, 5],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in content["model"]["merges"]],
    }


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("cut", PUBLISHED)
def test_the_file_is_the_published_one(cut, first):
    library = published(cut, first)
    theirs, found = json.loads(library.to_str()), tokenizer_json(metadata(library, cut))
    for part in ("added_tokens", "normalizer", "pre_tokenizer"):
        assert json.dumps(found[part]) == json.dumps(theirs[part]), part
    for part in ("vocab", "merges", "ignore_merges"):
        assert found["model"][part] == theirs["model"][part], part
    rows = Vocabulary(library.get_vocab_size() + 2)
    ours = PublishedTokenizer(found, rows)
    assert ours.encode(TEXT) == library.encode(TEXT).ids
    assert tokenizers.Tokenizer.from_str(json.dumps(found)).encode("<|start|>a<tool>").ids == (
        library.encode("<|start|>a<tool>").ids
    )
    assert not ours.tokens[-1]


def test_ways_of_cutting_differ():
    ids = {cut: tuple(published(cut, False).encode(TEXT).tokens) for cut in PUBLISHED}
    assert len(set(ids.values())) == len(ids)


def test_settings_are_those_of_a_directory():
    said = metadata(published("smollm", True), "smollm")
    said |= {"tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.padding_token_id": 999}
    assert tokenizer_config(said) == {"bos_token": "<|start|>", "eos_token": "<|end|>", "add_bos_token": False}
    said |= {"tokenizer.ggml.add_bos_token": True, "tokenizer.chat_template": "{{ messages }}"}
    assert tokenizer_config(said)["add_bos_token"] is True
    assert tokenizer_config(said)["chat_template"] == "{{ messages }}"
    assert tokenizer_config({**said, "tokenizer.ggml.pre": "llama-bpe"})["add_bos_token"] is True
    del said["tokenizer.ggml.add_bos_token"]
    assert tokenizer_config({**said, "tokenizer.ggml.pre": "llama-bpe"})["add_bos_token"] is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokenizer.ggml.model": "bert"}, "of the kind 'bert'"),
        ({"tokenizer.ggml.model": None}, "of the kind None"),
        (
            {"tokenizer.ggml.pre": "default"},
            "cuts text as 'default' does, which is not read; known: deepseek-r1-qwen, ",
        ),
        ({"tokenizer.ggml.tokens": None}, "has no list of tokens"),
        ({"tokenizer.ggml.tokens": [1, 2]}, "has no list of tokens"),
        ({"tokenizer.ggml.token_type": [1]}, "tokens and 1 kinds of them"),
        ({"tokenizer.ggml.merges": ["q", "zq x"]}, "its tokenizer is damaged"),
    ],
)
def test_what_is_not_read(change, said):
    found = {**metadata(published("gpt-2", False), "gpt-2"), **change}
    with pytest.raises(UserError, match=said):
        tokenizer_json(found)

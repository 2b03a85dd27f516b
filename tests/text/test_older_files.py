"""Tokenizers of directories without a tokenizer.json: the ids of the published tokenizer classes."""

import json
import random

import pytest
import tokenizers
from pieces import content
from tokenizers import models, pre_tokenizers, trainers

from undiffuse.errors import UserError
from undiffuse.text.older_files import byte_pairs, word_pieces
from undiffuse.text.tokenizer_file import read_tokenizer
from undiffuse.vocabulary import Vocabulary

KNOWN = content()["model"]["vocab"]
MORE = ["é", "##é", "к", "##и", "字", "か", "ß", "##ß", "İ", "[unused0]", "Fox", "T", "##T"]
LINES = [*sorted(KNOWN, key=KNOWN.get), *(token for token in MORE if token not in KNOWN)]
VOCABULARY = "\n".join(LINES) + "\n"
WAYS = [
    {},
    {"do_lower_case": False},
    {"strip_accents": False},
    {"do_lower_case": False, "strip_accents": True},
    {"tokenize_chinese_chars": False},
]
CHARACTERS = "The fox over dogs, a É é e\u0301 ß Кот 漢字かな\t\n\u00a0.!'-Tİ\u200d\x00"


def merges() -> tuple[dict[str, int], str]:
    """A `vocab.json` and a `merges.txt` as RoBERTa has them."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["The quick brown fox jumps over lazy dogs"] * 3,
        trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=special, show_progress=False),
    )
    model = json.loads(made.to_str())["model"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    return model["vocab"] | {"<mask>": len(model["vocab"])}, "\n".join(lines)


def texts(count: int) -> list[str]:
    draws = random.Random(0)
    return ["".join(draws.choices(CHARACTERS, k=draws.randint(0, 30))) for _ in range(count)]


def test_it_is_the_file_that_the_library_writes():
    ours = word_pieces("\n".join(LINES[: len(KNOWN)]) + "\n", {})
    for part in ("normalizer", "pre_tokenizer", "model", "decoder"):
        assert ours[part] == content()[part], part
    found = read_tokenizer(ours, Vocabulary(len(KNOWN)))
    assert found.encode("The fox") == tokenizers.Tokenizer.from_str(json.dumps(content())).encode("The fox").ids[1:-1]
    assert set(found.controls) == {"[PAD]", "[CLS]", "[SEP]", "[MASK]"}


@pytest.mark.parametrize("settings", WAYS, ids=lambda said: ", ".join(said) or "usual")
def test_ids_are_those_of_berts_class(settings, tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text(VOCABULARY)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **settings}))
    theirs = transformers.BertTokenizer.from_pretrained(str(tmp_path))
    ours = read_tokenizer(word_pieces(VOCABULARY, settings), Vocabulary(len(LINES)))
    around = ours.surroundings
    for text in texts(400):
        assert [*around.before, *ours.context(text), *around.after] == theirs.encode(text)


@pytest.mark.parametrize("led", [False, True])
def test_ids_are_those_of_robertas_class(led, tmp_path):
    transformers = pytest.importorskip("transformers")
    rows, lines = merges()
    (tmp_path / "vocab.json").write_text(json.dumps(rows))
    (tmp_path / "merges.txt").write_text(lines)
    theirs = transformers.RobertaTokenizer.from_pretrained(str(tmp_path), add_prefix_space=led)
    ours = read_tokenizer(byte_pairs(rows, lines, {"add_prefix_space": led}), Vocabulary(len(rows)))
    around = ours.surroundings
    for text in texts(400):
        assert [*around.before, *ours.encode(text), *around.after] == theirs.encode(text)


@pytest.mark.parametrize("led", [False, True])
def test_a_space_before_the_text_is_no_part_of_it(led):
    rows, lines = merges()
    ours = read_tokenizer(byte_pairs(rows, lines, {"add_prefix_space": led}), Vocabulary(len(rows)))
    for text in ("The fox", " The fox", "漢字"):
        assert b"".join(data for _, data in ours.pieces(text)) == text.encode()
        assert ours.decode(ours.continuing.encode(text)) == text
    assert (ours.encode("fox") == ours.continuing.encode(" fox")) == led


def test_settings_say_how_text_is_read():
    def first(settings):
        return LINES[read_tokenizer(word_pieces(VOCABULARY, settings), Vocabulary(len(LINES))).context("Fox é")[0]]

    assert first({"do_lower_case": False}) == "Fox"
    assert first({}) != "Fox"


@pytest.mark.parametrize(
    ("vocabulary", "settings", "said"),
    [
        ("a\nb\n", {}, r"vocab.txt has no '\[UNK\]'"),
        (VOCABULARY, {"cls_token": "<s>"}, "vocab.txt has no '<s>', the cls_token"),
        (VOCABULARY, {"do_lower_case": "yes"}, "do_lower_case must be true or false, not 'yes'"),
        (VOCABULARY, {"do_basic_tokenize": False}, "do_basic_tokenize = false is not read"),
    ],
)
def test_what_is_not_read(vocabulary, settings, said):
    with pytest.raises(UserError, match=said):
        word_pieces(vocabulary, settings)


def test_files_that_do_not_belong_together():
    rows, _ = merges()
    with pytest.raises(UserError, match="do not belong together"):
        byte_pairs(rows, "q zzzz", {})

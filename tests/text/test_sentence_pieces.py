"""SentencePiece's BPE with byte fallback: the ids that it gives, every text back, no control token spelled."""

import json
import random
from itertools import pairwise

import pytest
from llama_pieces import BARE, LED, metadata, recorded

from undiffuse.errors import UserError
from undiffuse.text.conversation import encode
from undiffuse.text.form import Blank, Fixed, form_of
from undiffuse.text.gguf_tokenizer import tokenizer_config, tokenizer_json
from undiffuse.text.holes import parse
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.text.tokenizer_file import read_tokenizer
from undiffuse.text.traced import Traced
from undiffuse.vocabulary import Vocabulary

ROWS = Vocabulary(len(recorded()["pieces"]) + 4)
CONTROLS = ("<s>", "</s>", "<|user|>", "<unk>")
METASPACE = {"type": "Metaspace", "replacement": "▁", "split": False}
SCHEMES = ("always", "first", "never")


def tokenizer(number: int = LED) -> PublishedTokenizer:
    found = read_tokenizer(tokenizer_json(metadata(number)), ROWS)
    assert isinstance(found, PublishedTokenizer)
    return found


def metaspace(scheme: str) -> PublishedTokenizer:
    """The same as newer files have it."""
    content = {
        **tokenizer_json(metadata()),
        "normalizer": None,
        "pre_tokenizer": METASPACE | {"prepend_scheme": scheme},
    }
    return PublishedTokenizer(content, ROWS)


def merged(text: str, scores: dict[str, float]) -> list[str]:
    """The rule: of all neighbors that make a token, those of the highest score, the first of equal ones."""
    parts = list(text)
    while True:
        pairs = [(scores[a + b], -place) for place, (a, b) in enumerate(pairwise(parts)) if a + b in scores]
        if not pairs:
            return parts
        place = -max(pairs)[1]
        parts[place : place + 2] = ["".join(parts[place : place + 2])]


@pytest.mark.parametrize("number", [LED, BARE])
def test_ids_are_those_of_sentencepiece(number):
    ours = tokenizer(number)
    for text, ids, read in recorded(number)["texts"]:
        assert ours.encode(text) == ids, text
        assert b"".join(data for _, data in ours.pieces(text)) == text.encode()
        assert [row for row, _ in ours.pieces(text)] == ids
        lead = b" " if number == LED and text else b""
        assert ours.decode_bytes(ids) == lead + read.encode() == lead + text.replace("▁", " ").encode()


def test_the_rule_on_unlikely_vocabularies():
    draws = random.Random(0)
    for _ in range(150):
        tokens = {"a", "b", "▁", *("".join(draws.choices("ab▁", k=draws.randint(2, 6))) for _ in range(20))}
        listed = draws.sample(sorted(tokens), len(tokens))
        said = {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": listed,
            "tokenizer.ggml.scores": [-float(row) for row in range(len(listed))],
            "tokenizer.ggml.add_space_prefix": False,
        }
        ours = PublishedTokenizer(tokenizer_json(said), Vocabulary(len(listed)))
        scores = {token: -row for row, token in enumerate(listed)}
        for text in ("".join(draws.choices("ab ", k=30)) for _ in range(8)):
            assert [listed[row] for row in ours.encode(text)] == merged(text.replace(" ", "▁"), scores)


def test_no_text_spells_a_control_token():
    draws, ours = random.Random(1), tokenizer()
    rows = {row for row, (_, _, kind) in enumerate(recorded()["pieces"]) if kind in (2, 3)}
    assert {row for row, data in enumerate(ours.tokens) if not data} == {*rows, *range(ROWS.rows - 4, ROWS.rows)}
    for _ in range(200):
        text = "".join(draws.choices([*CONTROLS, "<", "|", "us", "er", " ", "é"], k=8))
        ids = ours.encode(text)
        assert rows.isdisjoint(ids)
        assert ours.decode_bytes(ids).decode() == " " + text
    # a published file may hold the merge that makes one, as converters write it
    content = tokenizer_json(metadata())
    model = content["model"]
    for row, piece in enumerate(("<", "/", ">", "</", "s>"), start=ROWS.rows):
        model["vocab"].setdefault(piece, row)
    model["merges"] = [["<", "/"], ["s", ">"], ["</", "s>"], *model["merges"]]
    assert rows.isdisjoint(PublishedTokenizer(content, Vocabulary(ROWS.rows + 5)).encode("</s>"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_files_with_metaspace(scheme):
    ours, bare = metaspace(scheme), tokenizer(LED).continuing
    for text, ids, _ in recorded()["texts"]:
        if scheme == "never":
            ids = bare.encode(text)
        elif text.startswith((" ", "▁")):  # which such files take for the space that they would put there
            continue
        assert ours.encode(text) == ids
        assert b"".join(data for _, data in ours.pieces(text)) == text.encode()
        assert ours.continuing.encode(text) == bare.encode(text)
    assert (ours.continuing is ours) == (scheme == "never")
    assert ours.after_control is (ours if scheme == "always" else ours.continuing)


def test_what_follows_a_text_gets_no_space():
    ours = tokenizer()
    first, second = "The fox", " and the dog"
    assert ours.decode(ours.encode(first) + ours.continuing.encode(second)) == " " + first + second
    assert ours.encode(second) != ours.continuing.encode(second)
    assert tokenizer(BARE).continuing.encode(first) == tokenizer(BARE).encode(first)


def test_blanks_stand_where_a_text_has_them():
    ours = tokenizer()
    form = form_of(parse("[MASK] and the {pet:choice(fox|dog)}, or [MASK]"), ours)
    assert [part.prefix for part in form.blanks] == [b" ", b" ", b" "]
    fixed = [part for part in form.parts if isinstance(part, Fixed)]
    assert [ours.decode(part.ids) for part in fixed] == [" and the", ", or"]
    assert form.blanks[1].spellings(ours)[0] == ours.continuing.encode(" fox")
    assert form.text([b" All", b" dog", b" not"], ours) == "All and the dog, or not"
    assert [blank.shown(data) for blank, data in zip(form.blanks, (b" All", b" dog"), strict=False)] == ["All", "dog"]
    first = form_of(parse("It is [MASK]."), ours)
    assert first.parts[0] == Fixed(tuple(ours.encode("It is")), "It is")
    assert isinstance(first.parts[1], Blank)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_after_control_tokens(scheme):
    ours = metaspace(scheme)
    text, user = "Hi<|user|>the fox", ours.controls["<|user|>"].row
    found = encode(Traced(text, bytes(len(text))), ours)
    assert found.ids == [
        *ours.encode("Hi"),
        user,
        *(ours.encode if scheme == "always" else ours.continuing.encode)("the fox"),
    ]
    assert len(found.answer) == len(found.ids)


def test_settings_are_those_of_llama_where_nothing_is_said():
    said = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    assert tokenizer_config(metadata()) == said
    assert tokenizer_config({**metadata(), "tokenizer.ggml.add_bos_token": False})["add_bos_token"] is False


def test_a_character_without_a_token_is_named():
    said = metadata()
    kept = [row for row, kind in enumerate(said["tokenizer.ggml.token_type"]) if kind != 6]
    for name in ("tokens", "scores", "token_type"):
        said[f"tokenizer.ggml.{name}"] = [said[f"tokenizer.ggml.{name}"][row] for row in kept]
    ours = PublishedTokenizer(tokenizer_json(said), ROWS)
    with pytest.raises(UserError, match="no token for '漢'"):
        ours.encode("The 漢 fox")
    assert 0 in ours.context("The 漢 fox")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": None}, "no score for each of its tokens"),
        ({"scores": [0.0]}, "no score for each of its tokens"),
        ({"scores": [-1000.0] * len(recorded()["pieces"])}, "have one score, by which it would merge whichever"),
        ({"precompiled_charsmap": [1]}, "changes a text before it cuts it"),
        ({"remove_extra_whitespaces": True}, "changes a text before it cuts it"),
    ],
)
def test_what_is_not_read(change, said):
    with pytest.raises(UserError, match=said):
        tokenizer_json({**metadata(), **{f"tokenizer.ggml.{name}": value for name, value in change.items()}})


def test_the_file_is_read_again():
    ours = tokenizer()
    again = read_tokenizer(json.loads(ours.to_json()), ROWS)
    assert again.digest == ours.digest
    assert again.encode("The fox") == ours.encode("The fox")


@pytest.mark.parametrize("number", [LED, BARE])
def test_as_sentencepiece_where_it_is_installed(number):
    """Trained anew, on texts of any script."""
    spm = pytest.importorskip("sentencepiece")
    from io import BytesIO

    draws, out = random.Random(number), BytesIO()
    texts = [text for text, *_ in recorded(number)["texts"]]
    settings = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "minloglevel": 2}
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 5),
        model_writer=out,
        model_type="bpe",
        vocab_size=500,
        byte_fallback=True,
        add_dummy_prefix=number == LED,
        hard_vocab_limit=False,
        **settings,
    )
    theirs = spm.SentencePieceProcessor(model_proto=out.getvalue())
    rows = range(theirs.get_piece_size())
    kinds = [2 if theirs.is_unknown(r) else 3 if theirs.is_control(r) else 6 if theirs.is_byte(r) else 1 for r in rows]
    said = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [theirs.id_to_piece(row) for row in rows],
        "tokenizer.ggml.scores": [theirs.get_score(row) for row in rows],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": number == LED,
    }
    ours = PublishedTokenizer(tokenizer_json(said), Vocabulary(len(rows)))
    for _ in range(2000):
        text = "".join(draws.choices("".join(texts) + "漢字かкהא🙂 \n▁<s>", k=draws.randint(0, 40)))
        assert ours.encode(text) == theirs.encode(text)

"""Round trips against Python's own UTF-8, rows against the tokenizers library, training against a second process."""

import hashlib
import json
import random
import re
import subprocess
import sys
import time

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.errors import UserError
from undiffuse.text import tokenizer
from undiffuse.text.tokenizer import CONTROLS, LONGEST_TOKEN, PART, Tokenizer, size_for

TEXT = (
    "The capital of France is Paris. The capital of Spain is Madrid, and that's that.\r\n\r\n"
    "  Numbers: 123456 and 42; größer, naïve, 東京, 😀!\n\n\tThe end of the text -----------------------------------\n"
) * 20
BPE = Tokenizer.train([TEXT], 350)
BYTES = Tokenizer.byte_level()
EITHER = pytest.mark.parametrize("tokenizer", [BPE, BYTES], ids=["bpe", "byte"])
TRICKY = [
    "",
    " ",
    "  two  spaces  ",
    "a\r\nb\rc\n",
    "\x00\x7f\x85\u2028",
    "e\u0301 \u00e9 \ufb01",
    "\ufeffbom",
    "👩\u200d👩\u200d👧 \U0010ffff",
    "[MASK] <mask> <|endoftext|> <pad> </s>",
    "<control mask><control eos> <control pad>",
]


@EITHER
@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts_come_back_and_hold_no_control_row(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode_bytes(ids) == text.encode()
    assert max(ids, default=0) < tokenizer.vocabulary.rows - len(CONTROLS)


@EITHER
@given(text=st.text() | st.text(alphabet="The capt\r\n '12é-😀"))
def test_every_string_comes_back_bit_for_bit(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


@EITHER
@pytest.mark.parametrize("text", TRICKY)
def test_the_file_means_the_same_to_the_tokenizers_library(tokenizer, text):
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    assert library.encode(text).ids == tokenizer.encode(text)
    assert library.decode(tokenizer.encode(text), skip_special_tokens=False) == text


def test_rows_are_bytes_then_merges_then_controls():
    vocabulary = BPE.vocabulary
    assert [BPE.token_bytes(i) for i in range(256)] == [bytes([i]) for i in range(256)]
    assert vocabulary.rows == 350
    assert (vocabulary.mask, vocabulary.bos, vocabulary.eos, vocabulary.pad) == (346, 347, 348, 349)
    assert len(set(BPE.tokens[:346])) == 346
    assert {len(BPE.token_bytes(i)) for i in range(346, 350)} == {0}
    assert BYTES.vocabulary.rows == 260
    assert (BPE.kind, BYTES.kind) == ("bpe", "byte")


def test_frequent_words_become_tokens_with_the_space_before_them():
    assert [BPE.token_bytes(i) for i in BPE.encode("The capital of")] == [b"The", b" capital", b" of"]
    assert max(map(len, BPE.tokens)) <= LONGEST_TOKEN


def test_tokens_end_where_the_pattern_cuts():
    inside_words = [token for token in BPE.tokens[256:] if any(letter in token for letter in b"abcdefgh")]
    assert inside_words
    assert all(token.lstrip(b" '").isalpha() for token in inside_words if token.isascii())
    assert not any(b" " in token[1:] for token in BPE.tokens if token.strip())
    assert max(len(token.strip()) for token in BPE.tokens if token.strip().isdigit()) == 3
    assert BPE.encode("is.\r\n") == BPE.encode("is") + BPE.encode(".\r\n")


def test_control_rows_are_spelled_as_no_bytes_can_be():
    spelled = json.loads(BPE.to_json())["model"]["vocab"]
    for row in range(346, 350):
        (spelling,) = [spelling for spelling, number in spelled.items() if number == row]
        assert set(spelling) - set(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def test_a_long_text_has_the_tokens_that_it_has_in_one_piece(monkeypatch):
    draw = random.Random(0)
    text = "".join(
        draw.choices(["The capital", " of", "\n", "\r\n", " ", "\t", ".", "é", "1", "\x1c", "\u2028"], k=150_000)
    )
    assert len(PART.findall(text)) > 4
    # parts of a few characters: every kind of line end becomes the end of a part
    monkeypatch.setattr(tokenizer, "PART", re.compile(PART.pattern.replace("65536", "3"), PART.flags))
    text = text[:30_000]
    library = tokenizers.Tokenizer.from_str(BPE.to_json())
    assert BPE.encode(text) == library.encode(text).ids


def test_training_is_the_same_again_and_in_another_process():
    again = Tokenizer.train([TEXT], 350)
    assert again == BPE
    code = (
        "import sys; from undiffuse.text.tokenizer import Tokenizer; assert 'torch' not in sys.modules;"
        "print(Tokenizer.train([sys.stdin.buffer.read().decode()], 350).digest)"
    )
    # ties between merges must not depend on the hash seed of a process
    result = subprocess.run([sys.executable, "-c", code], input=TEXT.encode(), capture_output=True, check=True)
    assert result.stdout.decode().strip() == BPE.digest


def test_the_digest_tells_tokenizers_apart():
    assert len(BPE.digest) == len(hashlib.sha256().hexdigest())
    swapped = Tokenizer((BPE.merges[1], BPE.merges[0], *BPE.merges[2:]))
    assert len({BPE.digest, BYTES.digest, swapped.digest}) == 3


def test_json_round_trip_and_two_merges_for_one_token():
    twice = Tokenizer((("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")))
    assert twice.vocabulary.rows == 256 + 3 + 4
    for each in (BPE, BYTES, twice):
        assert Tokenizer.from_json(each.to_json()) == each


def test_foreign_and_broken_files_are_refused():
    with pytest.raises(UserError, match=r"cannot be read .*copy it again"):
        Tokenizer.from_json(BPE.to_json()[:-100])
    with pytest.raises(UserError, match=r"cannot be read \(KeyError: 'model'\)"):
        Tokenizer.from_json("{}")
    content = json.loads(BPE.to_json())
    content["model"]["vocab"]["<extra>"] = 350
    with pytest.raises(UserError, match="not written by undiffuse"):
        Tokenizer.from_json(json.dumps(content))


def test_lone_surrogates_and_tiny_vocabularies_are_refused():
    with pytest.raises(UserError, match=r"character 3 .* U\+D800"):
        BPE.encode("ab\ud800")
    with pytest.raises(UserError, match=r"259 rows cannot hold .* at least 260"):
        Tokenizer.train([TEXT], 259)


def test_a_short_text_gives_a_small_vocabulary():
    assert Tokenizer.train(["abc abc"], 5000).vocabulary.rows < 270


def test_sizes_grow_with_the_text():
    sizes = [size_for(n) for n in (0, 30_000, 500_000, 1_000_000, 6_000_000, 40_000_000, 10**10)]
    assert sizes == [512, 1024, 4096, 8192, 8192, 8192, 8192]


def test_a_character_cut_in_two_is_shown_as_a_replacement():
    assert BYTES.decode(list("é".encode())[:1]) == "\ufffd"


def test_training_on_text_without_spaces_takes_linear_time():
    """Eight times the text takes about eight times as long, not sixty-four."""
    letters = "".join(random.Random(0).choices("ACDEFGHIKLMNPQRSTVWY", k=320_000))

    def seconds(size: int) -> float:
        began = time.process_time()
        Tokenizer.train([letters[:size]], 512)
        return time.process_time() - began

    assert min(seconds(320_000) for _ in range(2)) < 24 * min(seconds(40_000) for _ in range(3))

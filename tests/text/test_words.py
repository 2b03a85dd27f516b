"""Words as a reader sees them."""

import re

import pytest

from undiffuse.text.tokenizer import Tokenizer
from undiffuse.text.words import words

TEXT = "It is the east, and Juliet's naïve 漢字 🙂🙂 x_1 — 12,345 (well-known)!\n\nSo,  two\tspaces."


def spelled(data: list[bytes], longest: int = 99) -> list[bytes]:
    found = words(data, longest)
    assert found[0][0] == 0
    assert all(a < b for a, b in found)
    assert [end for _, end in found[:-1]] == [begin for begin, _ in found[1:]]
    assert found[-1][1] == len(data)
    return [b"".join(data[a:b]) for a, b in found]


def test_bytes_are_joined_to_runs_of_letters_and_to_characters():
    """An independent statement of the rule: single characters but for runs of letters, digits, _ and apostrophes."""
    data = [bytes((byte,)) for byte in TEXT.encode()]
    assert [word.decode() for word in spelled(data)] == re.findall(r"[\w'’]+|[^\w'’]", TEXT)


def test_pieces_of_a_word_are_joined_and_keep_the_space_before_it():
    assert spelled([b" te", b"h", b" sun", b".", b"\n", b"A", b"h"]) == [b" teh", b" sun", b".", b"\n", b"Ah"]


@pytest.mark.parametrize("size", [260, 320])
def test_whatever_the_tokenizer_no_character_is_cut(size):
    tokenizer = Tokenizer.train([TEXT * 9], size)
    data = [tokenizer.token_bytes(token) for token in tokenizer.encode(TEXT)]
    for word in spelled(data):
        word.decode()


def test_a_run_that_is_too_long_is_no_word():
    data = [bytes((byte,)) for byte in "äöü".encode() * 4]
    assert [len(word) for word in spelled(data, longest=23)] == [2] * 12
    assert [len(word) for word in spelled([b" aa", *data, b" a"], longest=26)] == [3 + 24, 2]
    assert [len(word) for word in spelled([b"a", b"b", b".", *data], longest=23)] == [2, 1] + [2] * 12

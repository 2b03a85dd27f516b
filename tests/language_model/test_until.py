"""Stop strings: a text ends before the first of them."""

import json

import pytest

from undiffuse.errors import UserError
from undiffuse.language_model.until import Until


@pytest.fixture(scope="module")
def whole(model):
    """Three parts of a context, of tokens of one byte and of several."""
    return model.generate("The ", length=60, seed=2)[0]


@pytest.mark.slow
def test_a_text_ends_before_a_string_wherever_tokens_begin(model, whole):
    written = whole.text.removeprefix("The ")
    pieces = [model.tokenizer.token_bytes(token) for token in model.tokenizer.encode(written)]
    assert max(map(len, pieces)) > 1
    for begin in range(0, len(written) - 3, 5):
        string = written[begin : begin + 3]
        found = model.generate("The ", length=60, seed=2, until=string)[0]
        assert found.text == "The " + written[: written.index(string)]
        assert found.stopped == string
        assert found.nfe <= whole.nfe
        assert 0 <= found.tokens <= whole.tokens


def test_no_part_follows_one_that_holds_the_string(model, whole):
    string = whole.text[4:6]
    found = model.generate("The ", length=60, seed=2, until=string)[0]
    assert found.text == "The "
    assert found.tokens == 0
    assert found.nfe < whole.nfe


@pytest.mark.slow
def test_what_is_not_written_changes_nothing(model, whole):
    assert model.generate("The ", length=60, seed=2, until=["The ", "not written"])[0] == whole
    assert "stopped" not in whole.json()
    assert json.dumps(model.generate(length=6, seed=2)[0].json())


@pytest.mark.slow
def test_texts_of_a_batch_end_each_for_itself(model, whole):
    string = whole.text[8:11]
    prompts = ["The ", "", "naïve "]
    alone = [model.generate(prompt, length=40, seed=2, until=string, samples=2) for prompt in prompts]
    assert model.generate(prompts, length=40, seed=2, until=string, samples=2) == alone
    assert {each.stopped for several in alone for each in several} >= {None, string}


def test_the_first_of_several_and_of_those_the_longest():
    until = Until.of(["lazy", "ö", "öß", "x"])
    assert until.found("Größe, lazy".encode()) == (2, "öß")
    assert until.found("a lazy öß".encode()) == (2, "lazy")
    assert until.found(b"quick") is None
    assert Until.of("ab").found(b"xaab") == (2, "ab")


@pytest.mark.slow
@pytest.mark.parametrize("block_length", [None, 4])
@pytest.mark.parametrize("kind", ["left-to-right", "confidence", "ancestral", "remdm"])
def test_nothing_is_spent_after_a_string_that_is_certain(model, kind, block_length):
    """The text is that of a decoding to the end, cut; with blocks or from left to right it costs less."""
    options = {"length": 28, "seed": 4, "strategy": kind, "block_length": block_length}
    whole = model.generate("The ", **options)[0]
    written = whole.text.removeprefix("The ")
    for begin, size in ((1, 2), (4, 3), (len(written) // 2, 2)):
        strings = [written[begin : begin + size], written[begin - 1 : begin + size] + "never"]
        found = model.generate("The ", until=strings, **options)[0]
        assert found.text == "The " + written[: written.index(strings[0])]
        assert found.stopped == strings[0]
        assert found.nfe <= whole.nfe
        if begin == 1 and (kind == "left-to-right" or block_length):
            assert found.nfe < whole.nfe / 2


@pytest.mark.slow
def test_requests_go_on_beside_one_that_ended(model):
    options = {"length": 28, "seed": 4, "strategy": "left-to-right"}
    prompts = ["The ", "naïve ", "dog"]
    string = model.generate("naïve ", **options)[0].text.removeprefix("naïve ")[2:5]
    together = model.generate(prompts, until=string, **options)
    assert together == [model.generate(prompt, until=string, **options) for prompt in prompts]
    assert len({each[0].nfe for each in together}) > 1


def test_a_string_waits_for_one_that_begins_before_it():
    until = Until.of(["bc", "abcd", "bcx"])
    assert until.certain(b"..bc.")
    assert not until.certain(b"..abc")
    assert not until.certain(b"..bc")
    assert until.certain(b"..abce")
    assert until.certain(b"..abcd")
    assert not until.certain(b"..ab")


@pytest.mark.parametrize("until", ["", ["a", ""], [3]])
def test_what_is_no_string_is_refused(model, until):
    with pytest.raises(UserError, match=r"a text ends before a string of one character at least, not before (''|3)"):
        model.generate(length=4, until=until)

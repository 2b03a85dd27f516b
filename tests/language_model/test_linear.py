"""What holes and findings cost, in rows of the network: twice as many take at most twice as much."""

import pytest

from undiffuse.errors import UserError
from undiffuse.predictor import Predictor

FOX = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def rows(monkeypatch):
    """The rows of a call: texts that went through the network, copies of one text and repetitions included."""
    seen, run = [], Predictor.run

    def counted(self, rows, *more):
        seen.append(len(rows.state.ids))
        return run(self, rows, *more)

    monkeypatch.setattr(Predictor, "run", counted)

    def of(call, *given, **options):
        seen.clear()
        call(*given, **options)
        return sum(seen)

    return of


@pytest.mark.parametrize(
    ("hole", "each"),
    [
        ("[MASK]", 1 + 1),  # a step, and one look at what else could have stood there
        ("[MASK:3]", 3 + 1 + 2 * 2),  # the rest of the hole, for each of two others
        ("{%s:int(10-99)}", 2 + 1 + 2 * 1),
        ("{%s:choice(o|e)}", 1 + 2 * (1 + 4)),  # every choice: its tokens, and those after it
    ],
)
def test_holes_cost_as_much_as_each_does(byte_model, rows, hole, each):
    for count in (1, 4, 8):
        holes = (hole % letter if "%" in hole else hole for letter in "abcdefgh"[:count])
        assert rows(byte_model.fill, f"the {' and '.join(holes)} dog") <= count * each


def test_answers_cost_as_much_as_each_does(model, rows):
    few, many = (rows(model.fill, "The[MASK:4] fox", top=top) for top in (11, 21))
    assert (few, many) == (4 + 1 + 10 * 3, 4 + 1 + 20 * 3)


def test_a_text_is_proofread_in_as_many_rows_as_it_has_tokens(model, rows):
    for text in ("e" * 300, "xq" * 500, FOX):
        found = model.check(text, threshold=100.0)
        assert rows(model.check, text, threshold=100.0) == found.tokens


def test_words_that_are_shown_cost_as_much_as_each_does(byte_model, rows):
    """A word of three, filled again by one to four tokens, with one other each; four tokens after it for its length."""
    for count in (1, 2, 4, 8):
        text = "xqj " * count + "....."
        again = (1 + 1) + (2 + 1 + 1) + (3 + 1 + 2) + (4 + 1 + 3) + 4 * 4
        assert rows(byte_model.check, text, threshold=0.0, proposals=1) <= len(text) + count * again


def test_what_is_too_long_for_a_word_is_not_filled_again(byte_model, rows):
    text = "q" * 25 + " " + "q" * 24
    assert byte_model.check(text, threshold=100.0).words == 25 + 1 + 1
    assert rows(byte_model.check, "q" * 99, threshold=0.0) == 99


def test_more_proposals_than_anyone_reads_are_refused(model):
    with pytest.raises(UserError, match="proposals must be at most 100, not 100000: each takes evaluations"):
        model.check(FOX, proposals=100_000)

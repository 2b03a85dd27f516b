"""Blanks of causal models, ranked from both sides: by enumeration of all that could stand there."""

import math
from collections import Counter

import pytest
import torch
from letters import Letters
from recorded import golden
from small_causal import causal, law, nats, words

from undiffuse.errors import UserError
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.text.tokenizer import Tokenizer

LETTERS = Letters(World(3, 1, torch.ones(3, dtype=torch.float64)))


@pytest.fixture(scope="module", params=[0, -1], ids=["own", "shifted"])
def letters(request) -> LanguageModel:
    return causal(LETTERS, offset=request.param)


@pytest.fixture(scope="module")
def bpe() -> LanguageModel:
    return causal(Tokenizer.train(["The quick brown fox jumps over the lazy dog. " * 9], 290), context=32)


def shown(hole) -> dict[str, float]:
    return {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}


SINGLE = [
    ("[MASK]", words(1)),
    ("[MASK:2]", words(2)),
    ("[MASK:3]", words(3)),
    ("[MASK:1-3]", words(1, 2, 3)),
    ("{x:choice(a|bc|cab)}", ["a", "bc", "cab"]),
    ("{x:/a[bc]|c{1,3}/}", ["ab", "ac", "c", "cc", "ccc"]),
]


@pytest.mark.parametrize(("hole", "fills"), SINGLE, ids=[hole for hole, _ in SINGLE])
@pytest.mark.parametrize(("before", "after"), [("a", "b"), ("abcab", "cabba")])
def test_the_probabilities_are_those_of_enumeration(letters, hole, fills, before, after):
    (filled,) = letters.fill(before + hole + after, top=99)
    (found,) = filled.holes
    expected = law(letters, before, fills, after)
    assert shown(found) == pytest.approx(expected, abs=1e-5)
    assert found.text == max(expected, key=lambda fill: expected[fill])
    assert (found.kind, filled.strategy) == ("ranked", "ranked")
    assert found.coverage == pytest.approx(1, abs=1e-5)
    sizes = {each.tokens: each.probability for each in found.lengths} or {len(fills[0]): 1.0}
    assert sizes == pytest.approx(
        {n: sum(p for fill, p in expected.items() if len(fill) == n) for n in {len(fill) for fill in fills}}, abs=1e-5
    )


@pytest.mark.parametrize("last", ["c", ""])
def test_several_holes_are_the_most_probable_together_and_each_given_the_others(letters, last):
    firsts, seconds = words(1), words(1, 2)
    joint = law(letters, "ab", [f"{x}ca{y}" for x in firsts for y in seconds], last)
    best = max(joint, key=lambda fill: joint[fill])
    (filled,) = letters.fill(f"ab[MASK]ca[MASK:1-2]{last}", top=99)
    assert filled.text == "ab" + best + last
    one, two = filled.holes
    assert shown(one) == pytest.approx(law(letters, "ab", firsts, best[1:] + last), abs=1e-5)
    assert shown(two) == pytest.approx(law(letters, "ab" + best[:3], seconds, last), abs=1e-5)


@pytest.mark.parametrize("candidates", [1, 2, 5])
def test_no_hole_has_a_better_text_given_the_others(bpe, candidates):
    """Whatever the beam has lost of them on its way from the left."""
    texts = [
        "The {a:choice(quick|lazy|brown)} fox {b:choice(jumps|over|the)} the {c:choice(dog|fox|quick)}.",
        "A [MASK] b [MASK] c [MASK].",
    ]
    for (filled,) in bpe.fill(texts, candidates=candidates, top=9):
        assert all(hole.probability >= other.probability for hole in filled.holes for other in hole.alternatives)


def test_of_fewer_candidates_the_share_that_they_hold_is_said(letters):
    before, after = "abca", "bb"
    alone = law(letters, before, words(1), "")
    kept = sorted(alone, key=lambda fill: -alone[fill])[:2]
    (hole,) = letters.fill(f"{before}[MASK]{after}", candidates=2, top=9)[0].holes
    assert shown(hole) == pytest.approx(law(letters, before, kept, after), abs=1e-5)
    assert hole.coverage == pytest.approx(sum(alone[fill] for fill in kept), abs=1e-5)
    (hole,) = letters.fill(f"{before}[MASK:2]{after}", candidates=4, top=9)[0].holes
    assert len(shown(hole)) == 4
    alone = law(letters, before, words(2), "")
    assert hole.coverage == pytest.approx(sum(alone[fill] for fill in shown(hole)), abs=1e-5)
    # the texts of a small type are few, and all are compared
    (hole,) = letters.fill(f"{before}{{x:/[ab]{{2}}/}}{after}", candidates=1, top=9)[0].holes
    assert len(shown(hole)) == 4


def test_the_right_side_may_be_cut(letters):
    for right in (0, 1, 2):
        (hole,) = letters.fill("ab[MASK:2]cabba", right=right, top=99)[0].holes
        assert shown(hole) == pytest.approx(law(letters, "ab", words(2), "cabba"[:right]), abs=1e-5)


def test_holes_that_are_farther_apart_than_is_read_are_filled_one_after_the_other(letters):
    one, two = letters.fill("ab[MASK]cabc[MASK]b", right=3, top=99)[0].holes
    assert shown(one) == pytest.approx(law(letters, "ab", words(1), "cab"), abs=1e-5)
    assert shown(two) == pytest.approx(law(letters, f"ab{one.text}cabc", words(1), "b"), abs=1e-5)


def test_of_a_long_text_the_row_holds_a_context(letters):
    """Half of what the holes leave is for either side, more where the other is short."""
    text = "".join("abc"[n * n % 7 % 3] for n in range(60))
    (hole,) = letters.fill(f"{text[:30]}[MASK:2]{text[30:]}", top=99)[0].holes
    assert shown(hole) == pytest.approx(law(letters, text[19:30], words(2), text[30:41]), abs=1e-5)
    (hole,) = letters.fill(f"{text[:5]}[MASK:2]{text[5:]}", top=99)[0].holes
    assert shown(hole) == pytest.approx(law(letters, text[:5], words(2), text[5:22]), abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_are_draws_from_the_ranking(letters, temperature):
    fills = [f"{x}b{y}" for x in words(1) for y in words(1)]
    joint = {fill: p ** (1 / temperature) for fill, p in law(letters, "ab", fills, "a").items()}
    many = 200
    drawn = letters.fill("ab[MASK]b[MASK]a", samples=many, temperature=temperature, seed=5)
    counts = Counter(filled.text[2:-1] for filled in drawn)
    for fill, weight in joint.items():
        p = weight / sum(joint.values())
        assert abs(counts[fill] - many * p) < 4.5 * math.sqrt(many * p * (1 - p)) + 1e-9
    again = letters.fill("ab[MASK]b[MASK]a", samples=20, seed=5)
    assert [one.text for one in again] == [one.text for one in letters.fill("ab[MASK]b[MASK]a", samples=20, seed=5)]
    assert len({one.text for one in again}) > 1
    cold = letters.fill("ab[MASK]b[MASK]a", samples=3, temperature=0)
    assert {one.text for one in cold} == {letters.fill("ab[MASK]b[MASK]a")[0].text}


TEXTS = [
    "The [MASK] fox",
    "The quick [MASK:1-3] jumps over [MASK:2] dog.",
    "A {x:choice(lazy|quick)} dog, {n:int(1-9)}.",
]


def test_with_and_without_kept_keys_and_beside_other_texts(bpe):
    together = bpe.fill([*TEXTS, "The quick[MASK]"])
    assert [text.holes[0].kind for (text,) in together] == ["ranked"] * 3 + ["path"]
    for text, (beside,) in zip(TEXTS, together, strict=False):
        (alone,), (slow,) = bpe.fill(text), bpe.fill(text, cache="none")
        assert alone == beside
        assert alone.text == slow.text
        for one, other in zip(alone.holes, slow.holes, strict=True):
            assert list(shown(one)) == list(shown(other))
            assert list(shown(one).values()) == pytest.approx(list(shown(other).values()), rel=1e-4)


def test_a_space_before_a_hole_belongs_to_its_token_and_nothing_merges(bpe):
    """The candidates are all tokens that begin with a space, of one character at least."""
    encode, pieces = bpe.tokenizer.encode, bpe.tokenizer.tokens
    (hole,) = bpe.fill("The [MASK] fox", candidates=999, top=999)[0].holes
    left, right = encode("The"), encode(" fox")
    tokens = [row for row, piece in enumerate(pieces) if len(piece) > 1 and piece[:1] == b" " and piece.isascii()]
    weight = torch.tensor(nats(bpe, [[*left, row, *right] for row in tokens], 1), dtype=torch.float64)
    expected = {pieces[row][1:].decode(): p for row, p in zip(tokens, weight.softmax(0).tolist(), strict=True)}
    assert shown(hole) == pytest.approx(expected, rel=1e-4)


def test_a_text_has_the_sum_of_its_spellings(bpe):
    pieces = bpe.tokenizer.tokens

    def spelled(data: bytes) -> list[tuple[int, ...]]:
        if not data:
            return [()]
        starts = [row for row, piece in enumerate(pieces) if piece and data.startswith(piece)]
        return [(row, *rest) for row in starts for rest in spelled(data[len(pieces[row]) :])]

    left, right = bpe.tokenizer.encode("The"), bpe.tokenizer.encode(" dog.")
    weight = {
        text: sum(map(math.exp, nats(bpe, [[*left, *each, *right] for each in spelled(b" " + text.encode())], 1)))
        for text in ("fox", "qu")
    }
    (hole,) = bpe.fill("The {x:/(fox|qu)/} dog.", top=9)[0].holes
    assert shown(hole) == pytest.approx({text: p / sum(weight.values()) for text, p in weight.items()}, rel=1e-4)


def test_objects_and_events(bpe):
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}}
    (found,) = bpe.fill_object("a", schema, candidates=4)
    assert found.value["a"] in (True, False)
    (event,) = list(bpe.stream(TEXTS[0], candidates=4))
    assert not event.pending.any()
    assert bpe.tokenizer.decode(event.ids[0].tolist()) == bpe.fill(TEXTS[0], candidates=4)[0].text
    record = bpe.fill([TEXTS[0], "a[MASK]"])
    assert 0 < record[0][0].json()["holes"][0]["coverage"] <= 1
    assert "coverage" not in record[1][0].json()["holes"][0]


def test_blanks_of_an_answer_and_a_start_symbol_that_the_template_writes():
    model = golden("llama").model.with_template(
        "<start>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    talk = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c[MASK]d"}]
    text, filled = model.fill_answer(talk, 1, top=9, candidates=9)
    (plain,) = model.fill("user: ab\nassistant: c[MASK]d\n", top=9, candidates=9)
    assert text == f"c{plain.holes[0].text}d"
    assert shown(filled.holes[0]) == pytest.approx(shown(plain.holes[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"strategy": "confidence"}, "strategy 'confidence'"),
        ({"strategy": "quality"}, "strategy 'topk-margin'"),
        ({"steps": 3}, "a number of steps"),
        ({"block_length": 4}, "a block length"),
        ({"guidance": 2.0}, "guidance"),
        ({"max_nfe": 4}, "a limit on evaluations"),
        ({"deadline_ms": 4}, "a limit on evaluations or milliseconds"),
        ({"top_k": 4, "top_p": 0.5}, "top_k and top_p"),
        ({"cache": "prefix"}, "cache 'prefix'"),
    ],
)
def test_what_means_nothing_where_fillings_are_ranked(letters, options, what):
    with pytest.raises(UserError, match=rf"ranks the fillings of a blank by what follows it, and {what}.*leave it out"):
        letters.fill("a[MASK]b", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"candidates": 0}, "candidates must be at least 1, not 0"),
        ({"right": -1}, "right must be at least 0, not -1"),
        ({"candidates": "many"}, "candidates must be at least 1"),
    ],
)
def test_the_two_numbers(letters, options, said):
    with pytest.raises(UserError, match=said):
        letters.fill("a[MASK]b", **options)


def test_where_nothing_is_ranked_the_two_numbers_are_refused(letters, model):
    for use in (
        lambda: model.fill("The [MASK] fox", candidates=4),
        lambda: letters.fill("a[MASK]", right=4),
        lambda: letters.generate("a", length=2, candidates=4),
        lambda: letters.decode([[0]], 2, strategy="left-to-right", right=2),
    ):
        with pytest.raises(UserError, match=r"(candidates|right) is for blanks that text follows.*leave it out"):
            use()

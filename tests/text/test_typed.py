"""Types of holes against enumeration, and automata over tokens against the library's own index."""

import datetime
import random
import re
import sys
from functools import reduce
from itertools import chain, product

import numpy as np
import pytest
from outlines_core import Index, Vocabulary

from undiffuse.errors import UserError
from undiffuse.text.automaton import DEAD, Automaton, of_regex
from undiffuse.text.form import form_of
from undiffuse.text.holes import Hole, Text, parse, render
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.text.typed import DATE, between, parse_type

TOKENIZER = Tokenizer.train(["The ab abc formal 12 123 2026-11-21 née 漢字 🙂 naïve\n" * 30], 340)


def _reads(automaton: Automaton, text: bytes) -> bool:
    """Whether the automaton takes a text in single bytes, the first 256 rows."""
    return automaton.accepts(list(text))


@pytest.mark.parametrize("bounds", [(0, 0), (1, 99), (7, 7), (-5, 5), (-12, -3), (95, 1205), (-1000, 0), (10, 99)])
def test_ranges_of_integers_hold_exactly_these(bounds):
    low, high = bounds
    written = re.compile(between(low, high))
    spelled = {str(n) for n in range(low, high + 1)}
    others = {*map(str, range(low - 1500, high + 1500)), "", "-", "00", "01", "-0", "1 ", "+1", "-01"}
    assert {text for text in spelled | others if written.fullmatch(text)} == spelled


def test_dates_are_those_of_the_calendar():
    written = re.compile(DATE.pattern)
    for year in (0, 1, 4, 99, 100, 400, 1900, 1996, 1999, 2000, 2023, 2024, 2100, 9996, 9999):
        for month in range(14):
            for day in range(33):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    datetime.date.fromisoformat(text)
                except ValueError:
                    assert not written.fullmatch(text), text
                else:
                    assert written.fullmatch(text), text


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("a|ab|abc", ["a", "ab", "abc"], ["b", "abcc", ""]),
        ("(?:é|漢).?", ["é", "漢字", "éa"], ["e", "字"]),
        ("a*", ["", "aaa"], ["b"]),
        ("[^a]{2}", ["🙂é", "bb"], ["ab", "b"]),
    ],
)
def test_whole_matches_and_nothing_else(pattern, inside, outside):
    automaton = of_regex(pattern, TOKENIZER.tokens, b" ")
    for text in inside:
        assert _reads(automaton, f" {text}".encode())
        assert automaton.accepts(TOKENIZER.encode(f" {text}"))
        assert not _reads(automaton, text.encode())
    assert not any(_reads(automaton, f" {text}".encode()) for text in outside)


def test_half_a_character_is_no_member():
    automaton = of_regex(".", TOKENIZER.tokens)
    assert not automaton.accepts([0xE6, 0xBC])
    assert automaton.accepts([0xE6, 0xBC, 0xA2])
    assert not automaton.accepts([0xFF])


@pytest.mark.parametrize("pattern", ["[0-9]{1,3}é?", "ab?c?|(?:漢|字)+", "x[^a-z]"])
def test_tokens_move_as_in_the_index_over_the_whole_vocabulary(pattern):
    """The library composes tokens itself where it is given all of them: both walk together from the start."""
    ours = of_regex(pattern, TOKENIZER.tokens)
    rows: dict[bytes, list[int]] = {}
    for row, data in enumerate(TOKENIZER.tokens):
        if data:
            rows.setdefault(data, []).append(row)
    index = Index(f"(?:{pattern})\\z", Vocabulary(len(TOKENIZER.tokens), rows))
    transitions = index.get_transitions()
    pairs, todo = set(), [(0, index.get_initial_state())]
    while todo:
        state, theirs = todo.pop()
        if (state, theirs) in pairs:
            continue
        pairs.add((state, theirs))
        assert ours.final[state] == index.is_final_state(theirs)
        steps = {row: to for row, to in transitions.get(theirs, {}).items() if row < len(TOKENIZER.tokens)}
        mine = ours.next[state][ours.of_token]
        assert {row for row, to in enumerate(mine) if to != DEAD} == steps.keys()
        todo += [(int(mine[row]), to) for row, to in steps.items()]


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:a{1000}){1000}",
        "((a{99}){99}b{2,}){9}",
        r"\w{999}",
        r"\p{L}{999}",
        r"[\p{L}é]{0,999}",
        "a{999999999}",
        "(?:a{1}{99}){999}",
        "a{" + "9" * 5000 + "}",
    ],
)
def test_repetitions_that_would_fill_the_memory_are_refused_at_once(pattern):
    with pytest.raises(ValueError, match="more than 4096 states; repeat less"):
        of_regex(pattern, TOKENIZER.tokens)


@pytest.mark.parametrize(
    "pattern", [".*b[a-z]{20}", "[ab]*a[ab]{20}", "(?:a*b*c*d*){99}", r"(?:\w*a\w{2}){5}", "a{5000}"]
)
def test_expressions_with_too_many_states_are_refused_while_they_are_counted(pattern):
    """Of the second there are two million, and memory would end before."""
    with pytest.raises(ValueError, match="more than 4096 states; repeat less, or say where the repetition begins"):
        of_regex(pattern, TOKENIZER.tokens)


def test_expressions_with_too_many_ways_are_refused_before_they_are_counted():
    with pytest.raises(ValueError, match="more than 1048576 pairs of neighboring characters"):
        of_regex("a?" * 2000, TOKENIZER.tokens)


def test_what_takes_few_states_is_read_however_it_is_written():
    """Any twenty characters, of which a search from everywhere would make a million states."""
    automaton = of_regex(".{20}", TOKENIZER.tokens)
    assert _reads(automaton, ("é" * 20).encode())
    assert not _reads(automaton, b"a" * 19)


ATOMS = ["a", "b", "é", ".", r"\d", "[ab]", "[^a]", "(?i:K)", r"\x41", "(?s:.)", "(?x: a b #\n)", "[]a]", ""]
QUANTIFIERS = ["", "", "", "*", "+?", "?", "{2}", "{0,2}?", "{1,}", "{0}"]
LETTERS = "abé1k\n]"


def _expression(dice, depth=0):
    branches = []
    for _ in range(dice.choice([1, 1, 2])):
        items = []
        for _ in range(dice.randrange(1, 4)):
            group = depth < 2 and dice.random() < 0.4
            atom = f"({dice.choice(['', '?:'])}{_expression(dice, depth + 1)})" if group else dice.choice(ATOMS)
            items.append(atom + (dice.choice(QUANTIFIERS) if group or atom[:1] in list("abé.[\\") else ""))
        branches.append("".join(items))
    return "|".join(branches)


@pytest.mark.parametrize("seed", range(60))
def test_random_expressions_hold_what_python_matches(seed):
    """All texts of up to three letters."""
    dice = random.Random(seed)
    pattern = _expression(dice)
    automaton = of_regex(pattern, tuple(bytes([byte]) for byte in range(256)))
    moves = np.where(automaton.next == DEAD, len(automaton.next), automaton.next)[:, automaton.of_token]
    moves = np.concatenate((moves, np.full((1, 256), len(moves)))).tolist()
    final, known = [*automaton.final, False], re.compile(pattern)
    for text in map("".join, chain(*(product(LETTERS, repeat=size) for size in range(4)))):
        state = reduce(lambda state, byte: moves[state][byte], text.encode(), 0)
        assert final[state] == bool(known.fullmatch(text)), text


def test_lengths_are_the_numbers_of_tokens_that_can_spell_a_member():
    assert of_regex("aaa|aaaaa", Tokenizer.byte_level().tokens).lengths == (3, 5)
    lengths = of_regex("formal", TOKENIZER.tokens, b" ").lengths
    assert (lengths[0], lengths[-1]) == (len(TOKENIZER.encode(" formal")), len(" formal"))
    assert of_regex("a+", TOKENIZER.tokens).lengths == tuple(range(1, 33))
    assert of_regex(r"[^\s\S]", TOKENIZER.tokens).lengths == ()


def test_a_choice_has_the_spelling_of_running_text():
    automaton = parse_type("choice(formal|abc)").automaton(TOKENIZER, " ")
    ids = TOKENIZER.encode(" formal")
    assert automaton.accepts(ids)
    assert not automaton.accepts(list(b" formal"))
    assert not automaton.accepts(ids[:-1])


HOLES = [
    "{tone:choice(formal|casual)}",
    r"{x:choice(a\|b|c\)|\\)}",
    "{ok:yesno}",
    "{when:date}",
    "{n:int(-5--1)}",
    r"{x:/a{2}\/[^\/]+/}",
]


@pytest.mark.parametrize("source", HOLES)
def test_typed_holes_are_read_and_written_back(source):
    segments = parse(f"a {source} b [MASK:2] ____")
    assert [type(segment) for segment in segments] == [Text, Hole, Text, Hole, Text, Hole]
    assert segments[1].source == source
    assert render(segments) == f"a {source} b [MASK:2] ____"
    assert parse(f"\\{source} ____")[0] == Text(f"{source} ")


def test_escapes_inside_types():
    assert parse(HOLES[1])[0].type.choices == ("a|b", "c)", "\\")
    assert parse(HOLES[5])[0].type.pattern == "a{2}/[^/]+"


@pytest.mark.parametrize(
    "text",
    ['{"a": {"b": 1}}', "{a:1}", "{name:string}", "{path:/usr/bin}", "{a:datetime}", "{:date}", "{2:date}", "{ok:yes}"],
)
def test_other_braces_stay_text(text):
    assert parse(f"{text} [MASK]")[0] == Text(f"{text} ")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n {n:int(9-1)}", r"at line 2, column 2 is not a hole: its range ends below its start; write int\(1-9\)"),
        ("{n:int(1)}", "'1' is no range of integers"),
        ("{n:int(1-9)", r"at column 1 is not closed: .* lacks a '\)}'"),
        ("{n:choice(a|b", "is not closed"),
        ("{n:choice(a|)}", "one of its choices is empty"),
        ("{n:choice(a|a)}", "it lists 'a' twice"),
        ("{n:yesno} {n:date}", r"'{n:date}' at column 11 has the name of an earlier hole"),
        ("{date}", "there is no hole to fill; write one as"),
        ("{x: yesno}", r"no hole to fill; '{x: yesno}' is plain text: a hole is written without spaces, {x:yesno}$"),
        ("a { x : int (1-9) }", r"'{ x : int \(1-9\) }' is plain text: .* spaces, {x:int\(1-9\)}$"),
        ("{x: /a b/}", "spaces, {x:/a b/}$"),
        (r"\{x: date}", "there is no hole to fill; write one as"),
        (r"\{x:date}", "there is no hole to fill; write one as"),
    ],
)
def test_mistakes_in_types_say_what_and_where(source, message):
    with pytest.raises(UserError, match=message):
        parse(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x {n:/(/}", r"'{n:/\(/}' at column 3 cannot be filled: a group is not closed: its '\)' is missing"),
        (r"{n:/\Qa/}", r"cannot be filled: its expression cannot be read in Rust's dialect: \\Q$"),
        ("{n:/a{2/}", r"its expression cannot be read in Rust's dialect: a\{2$"),
        (r"{n:/a\b/}", r"its \\b cannot be promised: a hole has no word boundaries"),
        ("{n:/(?=a)/}", r"its '\(\?=a' cannot be read; Rust's dialect has no look-around"),
        ("{n:/[a/}", "a class is not closed"),
        ("{n:/a|*/}", "its '\\*' repeats nothing"),
        ("{n:/" + "(" * 1000 + ")" * 1000 + "/}", "nested deeper than 120 groups"),
        (r"{n:/[^\s\S]/}", "nothing can stand in .* at column 1"),
        ("{n:/(?:é{100}){100}/}", "more than 4096 states; repeat less"),
    ],
)
def test_types_without_texts_are_refused(source, message):
    with pytest.raises(UserError, match=message):
        form_of(parse(source), TOKENIZER)


def test_the_space_before_a_typed_hole_belongs_to_it():
    blank = form_of(parse("The {tone:choice(formal|abc)}"), TOKENIZER).blanks[0]
    assert blank.prefix == b" "
    assert blank.lengths == tuple(sorted({len(TOKENIZER.encode(text)) for text in (" formal", " abc")}))


def test_lists_of_texts_whose_table_would_fill_the_memory_are_refused():
    words = "|".join(f"{chr(0x4E00 + number)}{chr(0x9FFF - number)}" for number in range(5000))
    with pytest.raises(UserError, match=r"its choices take .* tokens, .* different: list fewer or shorter ones"):
        form_of(parse(f"{{x:choice({words})}}"), Tokenizer.train([words.replace("|", " ") * 2], 8000))


def test_without_the_library_expressions_are_refused_and_choices_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    with pytest.raises(UserError, match=r"pip install 'undiffuse\[constrain\]'"):
        form_of(parse("{n:/never compiled before/}"), TOKENIZER)
    assert form_of(parse("{n:yesno}"), TOKENIZER).blanks[0].lengths


@pytest.mark.parametrize(
    ("expression", "members", "others"),
    [
        ("^yes|no", ["yes", "no"], ["^yes", ""]),
        ("^[A-Z]{2}$", ["AB"], ["A", "ABC"]),
        ("(^a|b)c", ["ac", "bc"], ["c"]),
        ("^(a|b$)", ["a", "b"], ["ab"]),
        (r"\Aa\$?\z", ["a", "a$"], ["$"]),
        ("[$^]a", ["$a", "^a"], ["a"]),
        ("(?:^a)?b", ["ab", "b"], ["a"]),
    ],
)
def test_anchors_hold_at_the_ends_of_the_hole(expression, members, others):
    """As Python's `re` reads them, matched whole."""
    automaton = of_regex(expression, tuple(bytes([byte]) for byte in range(128)))
    for text in members + others:
        assert _reads(automaton, text.encode()) == (text in members), text
        assert (re.fullmatch(expression.replace(r"\z", r"\Z"), text) is not None) == (text in members), text


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("a^b", "its \\^ stands after something"),
        ("(a$|b)c", "its \\$ stands before something"),
        ("(^a)+", "repeats a group with an anchor"),
    ],
)
def test_anchors_that_no_text_satisfies_are_refused(expression, message):
    with pytest.raises(UserError, match=f"at column 3 cannot be filled: .*{message}"):
        form_of(parse(f"x {{n:/{expression}/}}"), TOKENIZER)

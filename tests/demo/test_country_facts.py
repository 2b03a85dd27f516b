"""The table of countries, what is stated of it, and what is asked."""

from collections import Counter

from undiffuse.data.records import recognized
from undiffuse.demo.facts import BLANK, UNSEEN, WORDINGS, asked, countries, otherwise, stated, statements

TABLE = countries()
SAID = statements(TABLE)


def filled(question):
    return question.text.replace(BLANK, question.answer)


def test_the_table_is_whole():
    names = [country.fields["country"] for country in TABLE]
    assert names == sorted(names)
    assert len(set(names)) == len(names) > 120
    assert all(set(country.fields) == {"country", "capital", "region", "currency", "language"} for country in TABLE)
    assert all(value == value.strip() for country in TABLE for value in country.fields.values())
    capitals = Counter(country.fields["capital"] for country in TABLE)
    assert set(capitals.values()) == {1}, "a capital says which country"


def test_half_of_the_facts_are_stated_in_both_wordings_and_a_quarter_in_either():
    for relation, (first, second) in WORDINGS.items():
        ways = Counter(country.stated[relation] for country in TABLE if relation in country.stated)
        assert set(ways) == {(first, second), (first,), (second,)}
        if relation != "language":  # which some countries lack
            assert abs(ways[first, second] - len(TABLE) / 2) <= 1
            assert abs(ways[first,] - ways[second,]) <= 1


def test_questions_are_statements_with_a_blank_and_have_one_answer():
    questions = stated(TABLE)
    assert {filled(question) for question in questions} == set(SAID)
    assert all(question.text.count(BLANK) == 1 for question in questions)
    for end in ("country", "capital"):
        answers = Counter(question.text for question in questions if question.end == end)
        assert set(answers.values()) == {1}, end


def test_other_wordings_and_those_that_are_never_stated_are_not_stated():
    others = [question for relation in WORDINGS for question in otherwise(TABLE, relation)]
    assert len({filled(question) for question in others}) > len(TABLE)
    never = [question for country in TABLE for question in asked(country, UNSEEN)]
    assert not {filled(question) for question in [*others, *never]} & set(SAID)
    ends = Counter(question.end for question in otherwise(TABLE, "capital"))
    assert ends["country"] == ends["capital"] > 60
    assert {question.end for question in otherwise(TABLE, "currency")} == {"currency"}


def test_statements_are_recognized_as_records():
    assert len(set(SAID)) == len(SAID)
    assert recognized(["".join(line + "\n" for line in SAID)]) == "lines"
